// Look-ups against a name server of our own, in a process where no file can be opened.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/dns.h"
#include "tap.h"

// Takes the place of libc's for the libraries too: every file is absent, and those asked for are noted.
static char opened[256];
static FILE *no_file(const char *path)
{
    if (strcmp(path, "/dev/urandom") != 0)
        (void)snprintf(opened, sizeof(opened), "%s", path);
    errno = ENOENT;
    return NULL;
}
FILE *fopen_plain(const char *restrict path, const char *restrict mode) __asm__("fopen");
FILE *fopen_plain(const char *restrict path, const char *restrict mode)
{
    (void)mode;
    return no_file(path);
}
FILE *fopen_large(const char *restrict path, const char *restrict mode) __asm__("fopen64");
FILE *fopen_large(const char *restrict path, const char *restrict mode)
{
    (void)mode;
    return no_file(path);
}

static struct wait in_ms(int ms)
{
    return (struct wait){.deadline_ns = deadline_in_ms(ms), .cancel_fd = -1};
}

static size_t answer(struct str in, char *out, size_t size)
{
    static const struct ip v4[2] = {{.family = 4, .b = {192, 0, 2, 7}}, {.family = 4, .b = {192, 0, 2, 8}}};
    static const struct ip v6[1] = {{.family = 6, .b = {0x20, 1, 0xd, 0xb8, [15] = 1}}};
    struct dns_query q = {};
    struct err e;
    if (dns_query_parse(in, &q, &e) != ERR_OK)
        return 0;
    struct str name = host_str(&q.name);
    if (str_eq(name, STR("silent.test")))
        return 0;
    if (str_eq(name, STR("absent.test")))
        return dns_answer(&q, DNS_NXDOMAIN, v4, 0, 0, out, size);
    if (str_eq(name, STR("broken.test")))
        return dns_answer(&q, DNS_SERVFAIL, v4, 0, 0, out, size);
    bool empty = str_eq(name, STR("empty.test"));
    if (q.type == DNS_A)
        return dns_answer(&q, DNS_NOERROR, v4, empty ? 0 : 2, 60, out, size);
    return dns_answer(&q, DNS_NOERROR, v6, empty ? 0 : 1, 60, out, size);
}

static void *server_main(void *arg)
{
    const int *fd = arg;
    for (;;) {
        char in[512], out[1024];
        struct sockaddr_in from;
        socklen_t n = sizeof(from);
        ssize_t got = recvfrom(*fd, in, sizeof(in), 0, (struct sockaddr *)&from, &n);
        if (got <= 0) // an empty message ends the server
            return NULL;
        size_t len = answer((struct str){in, (size_t)got}, out, sizeof(out));
        if (len > 0 && sendto(*fd, out, len, 0, (const struct sockaddr *)&from, n) < 0)
            return NULL;
    }
}

static void test_answers(struct resolver *r)
{
    static const struct {
        const char *name;
        enum err_code want;
        size_t n;
        const char *msg, *rule;
    } rows[] = {
        {"a.test", ERR_OK, 3, "", "both families are asked for"},
        {"local.test", ERR_OK, 2, "", "hosts come first, with all their addresses"},
        {"alias.test", ERR_OK, 1, "", "and all their names"},
        {"absent.test", ERR_NOT_FOUND, 0, "Domain name not found", "a name that is not there"},
        {"empty.test", ERR_NOT_FOUND, 0, "DNS server returned answer with no data", "a name without address"},
        {"broken.test", ERR_UNAVAILABLE, 0, NULL, "a server that fails"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip v[DNS_ADDRS_MAX];
        size_t n = 0;
        struct err e = {};
        struct wait w = in_ms(10'000);
        bool ok = resolver_lookup(r, str_of(rows[i].name), &w, v, &n, &e) == rows[i].want;
        ok = ok && (rows[i].want != ERR_OK || n == rows[i].n) &&
             (!rows[i].msg || strcmp(e.msg, rows[i].msg) == 0);
        tap_ok(ok, "%s: %s", rows[i].rule, e.msg);
    }
}

static void test_waits(struct resolver *r)
{
    struct ip v[DNS_ADDRS_MAX];
    size_t n = 0;
    struct err e = {};
    struct wait w = in_ms(80);
    int64_t t0 = clock_ns();
    bool ok = resolver_lookup(r, STR("silent.test"), &w, v, &n, &e) == ERR_TIMEOUT;
    int64_t took = clock_ns() - t0;
    tap_ok(ok && took >= 80'000'000 && took < 1'500'000'000,
           "a server that says nothing: until the deadline");
    CLEANUP(fd_close) int cancel = eventfd(1, EFD_CLOEXEC);
    w = (struct wait){.deadline_ns = DEADLINE_NEVER, .cancel_fd = cancel};
    tap_ok(resolver_lookup(r, STR("silent.test"), &w, v, &n, &e) == ERR_DENIED, "or until it is cancelled");
}

static void test_none(void)
{
    struct resolver *r = NULL;
    struct err e = {};
    struct ip v[DNS_ADDRS_MAX];
    size_t n;
    struct wait w = in_ms(5000);
    bool ok = resolver_new(STR("# nameserver 192.0.2.1\nnameserver nonsense\n"), STR(""), &r, &e) == ERR_OK &&
              resolver_lookup(r, STR("a.test"), &w, v, &n, &e) == ERR_UNAVAILABLE;
    tap_ok(ok && strcmp(e.msg, "no name servers are configured") == 0, "no server is no look-up: %s", e.msg);
    resolver_free(r);
}

int main(void)
{
    static const char conf[] = "search example.test\nnameserver 127.9.8.7 # ours\noptions timeout:1\n";
    static const char
        hosts[] = "127.0.0.1 localhost\n10.0.0.1 local.test alias.test # a.test\n10.0.0.2\tLOCAL.test\n";
    test_none();
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_port = htons(53);
    in.sin_addr.s_addr = htonl(0x7f090807);
    if (bind(fd, (const struct sockaddr *)&in, sizeof(in)) != 0) {
        printf("ok %d - look-ups # SKIP port 53 cannot be had: %s\n", ++tap_n, fd_strerror(errno));
        return tap_done();
    }
    pthread_t thread;
    struct resolver *r = NULL;
    struct err e;
    if (pthread_create(&thread, NULL, server_main, &fd) != 0 ||
        resolver_new(str_of(conf), str_of(hosts), &r, &e) != ERR_OK)
        abort();
    test_answers(r);
    test_waits(r);
    resolver_free(r);
    (void)sendto(fd, "", 0, 0, (const struct sockaddr *)&in, sizeof(in));
    (void)pthread_join(thread, NULL);
    tap_ok(opened[0] == '\0', "no file is looked for: %s", opened);
    return tap_done();
}
