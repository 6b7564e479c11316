#include "net/tls.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { HANDSHAKE_MS = 200 };

static struct tls_ca *ca;
static struct tls_client *client;

static void setup(void)
{
    CLEANUP(buf_done) struct buf pem;
    struct err e;
    buf_init(&pem, 64 * KIB);
    (void)signal(SIGPIPE, SIG_IGN);
    assert(tls_ca_new(&ca, &e) == ERR_OK && tls_ca_pem(ca, &pem, &e) == ERR_OK);
    assert(tls_client_new(buf_str(&pem), &client, &e) == ERR_OK);
}

// A peer that says the input and nothing more: whatever it is, neither side's handshake may succeed, hang or
// crash.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int p[2];
    struct err e = {};
    struct stream *below = NULL, *s = NULL;
    bool h2 = false;
    if (!ca)
        setup();
    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) != 0)
        return 0;
    CLEANUP(fd_close) int far = p[0];
    (void)!write(far, data + 1, size - 1);
    (void)shutdown(far, SHUT_WR);
    assert(stream_socket(p[1], &below, &e) == ERR_OK);
    const struct wait w = {.deadline_ns = deadline_in_ms(HANDSHAKE_MS), .cancel_fd = -1};
    enum err_code r = data[0] & 1
                          ? tls_connect(client, below, STR("a.test"), 443, data[0] & 2, &w, &s, &h2, &e)
                          : tls_accept(ca, below, STR("a.test"), data[0] & 2, &w, &s, &h2, &e);
    assert(r != ERR_OK && r != ERR_INTERNAL && e.msg[0] != '\0');
    stream_free(below);
    return 0;
}
