// TLS around a server's connections: what libuv reads goes through it to the core, and back.
#include "rpc/serve_internal.h"

enum { SEAL_MAX = 48 * KIB }; // what is sealed from it is a bit longer, and one write

enum err_code conn_tls_start(struct conn *c, struct err *reterr)
{
    c->peer.tls = true;
    return tls_pipe_new(c->server->tls, STR(""), &c->tls, reterr);
}

enum err_code conn_tls_recv(struct conn *c, struct str wire, struct err *reterr)
{
    struct rpc_server *server = c->server;
    size_t n = 0;
    bool was_up = tls_pipe_is_up(c->tls);
    tls_pipe_put(c->tls, wire);
    do {
        enum err_code code = tls_pipe_read(c->tls, server->plain, sizeof(server->plain), &n, reterr);
        if (code == ERR_OK && !was_up && tls_pipe_is_up(c->tls)) {
            was_up = true; // before the core sees the first byte of a call
            code = tls_pipe_subject(c->tls, &c->peer.cert, &c->peer.has_cert, reterr);
        }
        if (code == ERR_OK && n > 0)
            code = rpc_core_recv(c->core, (struct str){server->plain, n}, clock_ns(), reterr);
        if (code != ERR_OK)
            return code;
    } while (n > 0);
    return ERR_OK;
}

enum err_code conn_tls_seal(struct conn *c, struct str *ret, struct err *reterr)
{
    enum err_code code = ERR_OK;
    struct str plain = {};
    do {
        if (!tls_pipe_is_up(c->tls) || tls_pipe_out(c->tls).n >= SEAL_MAX)
            break;
        code = rpc_core_send(c->core, &plain, reterr);
        if (code == ERR_OK && plain.n > 0)
            code = tls_pipe_write(c->tls, plain, reterr);
    } while (code == ERR_OK && plain.n > 0);
    *ret = tls_pipe_out(c->tls);
    return code;
}

void rpc_server_set_tls(struct rpc_server *server, struct tls_side *side)
{
    struct tls_side *old = server->tls;
    server->tls = tls_side_ref(side);
    tls_side_unref(old);
}
