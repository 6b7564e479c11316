// Names outside the sandbox, by c-ares: no NSS, no files. Each look-up has a channel of its own, so threads
// share nothing but the configuration; c-ares reads none itself (the texts are given), so it works without a
// file system.
#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/select.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fd.h"
#include "net/dns.h"

enum { SERVERS_MAX = 3, TRY_MS = 2000, TRIES = 2, HOSTS_LINES_MAX = 4096 };

struct hosts_line {
    struct str name;
    struct ip ip;
};

struct resolver {
    struct arena arena;
    struct ip servers[SERVERS_MAX];
    size_t servers_n;
    struct hosts_line *hosts;
    size_t hosts_n;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// The next word of a line, or empty at its end or at a comment.
static struct str word(struct str *line)
{
    while (line->n > 0 && is_blank(line->p[0]))
        *line = str_from(*line, 1);
    size_t n = 0;
    while (n < line->n && !is_blank(line->p[n]) && line->p[n] != '#' && line->p[n] != ';')
        n++;
    struct str w = str_head(*line, n);
    *line = n < line->n && !is_blank(line->p[n]) ? STR("") : str_from(*line, n);
    return w;
}

static void read_servers(struct resolver *r, struct str text)
{
    for (struct str line; str_line(&text, &line) && r->servers_n < SERVERS_MAX;) {
        struct err ignored;
        struct ip ip;
        if (str_eq(word(&line), STR("nameserver")) && ip_parse(word(&line), &ip, &ignored) == ERR_OK)
            r->servers[r->servers_n++] = ip;
    }
}

static enum err_code add_host(struct resolver *r, struct str name, const struct ip *ip, struct err *e)
{
    struct host h;
    struct err ignored;
    struct str copy;
    if (r->hosts_n == HOSTS_LINES_MAX || host_parse(name, &h, &ignored) != ERR_OK)
        return ERR_OK; // hosts files hold all sorts of things; what is no name cannot be asked for
    if (!arena_dup(&r->arena, host_str(&h), &copy))
        return arena_limit(&r->arena, "hosts", e);
    r->hosts[r->hosts_n++] = (struct hosts_line){copy, *ip};
    return ERR_OK;
}

static enum err_code read_hosts(struct resolver *r, struct str text, struct err *e)
{
    r->hosts = arena_newn(&r->arena, struct hosts_line, HOSTS_LINES_MAX);
    if (!r->hosts)
        return arena_limit(&r->arena, "hosts", e);
    for (struct str line; str_line(&text, &line);) {
        struct err ignored;
        struct ip ip;
        if (ip_parse(word(&line), &ip, &ignored) != ERR_OK)
            continue;
        for (struct str name = word(&line); name.n > 0; name = word(&line)) {
            enum err_code code = add_host(r, name, &ip, e);
            if (code != ERR_OK)
                return code;
        }
    }
    return ERR_OK;
}

enum err_code resolver_new(struct str resolv_conf, struct str hosts, struct resolver **ret, struct err *e)
{
    // Without a file system c-ares finds no /dev/urandom and takes the ids of its queries from rand(3).
    unsigned seed;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return err_set(e, ERR_INTERNAL, "getrandom: %s", fd_strerror(errno));
    srand(seed);
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return err_set(e, ERR_INTERNAL, "c-ares cannot be started");
    struct resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, ERR_LIMIT, "no memory for a resolver");
    arena_init(&r->arena, 4 * MIB);
    read_servers(r, resolv_conf);
    enum err_code code = read_hosts(r, hosts, e);
    if (code != ERR_OK) {
        resolver_free(r);
        return code;
    }
    *ret = r;
    return ERR_OK;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    arena_done(&r->arena);
    free(r);
}

// ---- asking
// -------------------------------------------------------------------------------------------------

struct answer {
    struct ip *v;
    size_t n;
    int status;
    bool done;
};

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct answer *a = arg;
    a->done = true;
    a->status = status;
    if (status != ARES_SUCCESS)
        return;
    for (const struct ares_addrinfo_node *node = info->nodes; node && a->n < DNS_ADDRS_MAX;
         node = node->ai_next) {
        struct ip ip = {};
        if (node->ai_family == AF_INET) {
            struct sockaddr_in in;
            memcpy(&in, node->ai_addr, sizeof(in));
            ip.family = 4;
            memcpy(ip.b, &in.sin_addr, 4);
        } else if (node->ai_family == AF_INET6) {
            struct sockaddr_in6 in6;
            memcpy(&in6, node->ai_addr, sizeof(in6));
            ip.family = 6;
            memcpy(ip.b, &in6.sin6_addr, 16);
        } else {
            continue;
        }
        a->v[a->n++] = ip;
    }
    ares_freeaddrinfo(info);
}

static enum err_code channel_open(const struct resolver *r, ares_channel *ret, struct err *e)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN,
        .timeout = TRY_MS,
        .tries = TRIES,
        .ndots = 1,
        .lookups = (char[]){"b"},                                       // DNS alone: hosts were asked here
        .servers = &(struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)}, // until ares_set_servers, below
        .nservers = 1,
    };
    // All that resolv.conf may hold is set here, so c-ares does not look for it: no domains, no sort list.
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
                     ARES_OPT_LOOKUPS | ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_SORTLIST;
    if (ares_init_options(ret, &options, mask) != ARES_SUCCESS)
        return err_set(e, ERR_INTERNAL, "c-ares cannot open a channel");
    struct ares_addr_node nodes[SERVERS_MAX] = {};
    for (size_t i = 0; i < r->servers_n; i++) {
        nodes[i].next = i + 1 < r->servers_n ? &nodes[i + 1] : NULL;
        nodes[i].family = r->servers[i].family == 4 ? AF_INET : AF_INET6;
        memcpy(&nodes[i].addr, r->servers[i].b, r->servers[i].family == 4 ? 4 : 16);
    }
    if (ares_set_servers(*ret, nodes) != ARES_SUCCESS) {
        ares_destroy(*ret);
        return err_set(e, ERR_INTERNAL, "c-ares does not take the name servers");
    }
    return ERR_OK;
}

// One turn: waits for c-ares's sockets, its timer, the deadline or the cancel fd.
static enum err_code turn(ares_channel channel, const struct wait *w, struct err *e)
{
    ares_socket_t socks[ARES_GETSOCK_MAXNUM];
    unsigned bits = (unsigned)ares_getsock(channel, socks, ARES_GETSOCK_MAXNUM);
    struct pollfd p[ARES_GETSOCK_MAXNUM + 1];
    nfds_t n = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        // As ARES_GETSOCK_READABLE and _WRITABLE, which shift a one into the sign.
        short events = (short)((bits >> i & 1 ? POLLIN : 0) |
                               (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));
        if (events)
            p[n++] = (struct pollfd){.fd = socks[i], .events = events};
    }
    p[n] = (struct pollfd){.fd = w->cancel_fd, .events = POLLIN};
    struct timeval tv = {}, limit = {.tv_sec = TRY_MS / 1000};
    const struct timeval *next = ares_timeout(channel, &limit, &tv);
    int ms = (int)(next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
    int left = deadline_left_ms(w->deadline_ns);
    if (poll(p, n + 1, left >= 0 && left < ms ? left : ms) < 0 && errno != EINTR)
        return err_set(e, ERR_INTERNAL, "poll failed");
    if (p[n].revents)
        return err_set(e, ERR_DENIED, "cancelled");
    if (deadline_passed(w->deadline_ns))
        return err_set(e, ERR_TIMEOUT, "timed out");
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); // timers
    for (nfds_t i = 0; i < n; i++)
        ares_process_fd(channel, p[i].revents & (POLLIN | POLLERR | POLLHUP) ? p[i].fd : ARES_SOCKET_BAD,
                        p[i].revents & POLLOUT ? p[i].fd : ARES_SOCKET_BAD);
    return ERR_OK;
}

static enum err_code ask(const struct resolver *r, const char *name, const struct wait *w, struct answer *a,
                         struct err *e)
{
    ares_channel channel;
    enum err_code code = channel_open(r, &channel, e);
    if (code != ERR_OK)
        return code;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    ares_getaddrinfo(channel, name, NULL, &hints, on_answer, a);
    while (!a->done && code == ERR_OK)
        code = turn(channel, w, e);
    ares_destroy(channel); // an unfinished look-up is answered with ARES_EDESTRUCTION, into `a`
    return code;
}

static size_t from_hosts(const struct resolver *r, struct str host, struct ip *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < r->hosts_n && n < DNS_ADDRS_MAX; i++)
        if (str_eq(r->hosts[i].name, host))
            ret[n++] = r->hosts[i].ip;
    return n;
}

enum err_code resolver_lookup(struct resolver *r, struct str host, const struct wait *w,
                              struct ip ret[static DNS_ADDRS_MAX], size_t *ret_n, struct err *e)
{
    *ret_n = from_hosts(r, host, ret);
    if (*ret_n > 0)
        return ERR_OK;
    char name[HOST_MAX + 1];
    if (!str_cstr(host, name, sizeof(name)))
        return err_set(e, ERR_INVALID, "no host name");
    if (r->servers_n == 0)
        return err_set(e, ERR_UNAVAILABLE, "no name servers are configured");
    struct answer a = {.v = ret};
    enum err_code code = ask(r, name, w, &a, e);
    if (code != ERR_OK)
        return code;
    *ret_n = a.n;
    if (a.status == ARES_SUCCESS && a.n > 0)
        return ERR_OK;
    bool absent = a.status == ARES_SUCCESS || a.status == ARES_ENOTFOUND || a.status == ARES_ENODATA;
    return err_set(e, absent ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "%s",
                   a.status == ARES_SUCCESS ? "no address" : ares_strerror(a.status));
}
