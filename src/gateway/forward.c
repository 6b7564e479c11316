#include "gateway/forward.h"

#include <arpa/inet.h>

#include "gateway/lookup.h"
#include "gateway/offload.h"
#include "gateway/relay_call.h"
#include "gateway/services.h"
#include "gateway/sessions_internal.h"
#include "gateway/ssh_sessions.h"

enum { PORT_MAX = 65'535, HOST_MAX_BYTES = 64, TOKEN_MAX = 128, LOOKUP_ARENA = 8 * MIB };

// One connection; in the list of all while it has a token that was checked.
struct forward {
    struct relay_call call; // first
    struct sessions *s;
    struct forward *next;
    bool begun, listed;
    char sandbox_id[SESSION_ID_MAX + 1], key[SSH_SESSION_KEY_SIZE], host[HOST_MAX_BYTES];
    char *service_id;
    Openshell__V1__RelayOpen ask;
    Openshell__V1__TcpRelayTarget tcp;
    Openshell__V1__SshRelayTarget ssh;
};

struct ticket { // what a worker checks
    char sandbox_id[SESSION_ID_MAX + 1], token[TOKEN_MAX + 1];
};

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}

enum err_code forward_check(const Openshell__V1__TcpForwardInit *init, struct err *reterr)
{
    if (!init->sandbox_id[0])
        return err_set(reterr, ERR_INVALID, "sandbox_id is required");
    switch (init->target_case) {
    case OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_SSH:
        return ERR_OK;
    case OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_TCP:
        break;
    case OPENSHELL__V1__TCP_FORWARD_INIT__TARGET__NOT_SET:
    case _OPENSHELL__V1__TCP_FORWARD_INIT__TARGET__CASE_IS_INT_SIZE:
    default:
        return err_set(reterr, ERR_INVALID, "target is required");
    }
    if (!init->tcp->host[0])
        return err_set(reterr, ERR_INVALID, "tcp target host is required");
    if (!is_loopback(init->tcp->host))
        return err_set(reterr, ERR_INVALID, "tcp target host must be loopback");
    if (init->tcp->port < 1 || init->tcp->port > PORT_MAX)
        return err_set(reterr, ERR_INVALID, "tcp target port must be between 1 and 65535");
    return ERR_OK;
}

// ---- the call as a relay

static ProtobufCMessage *output(struct relay_call *c, const Openshell__V1__RelayFrame *frame, void *room)
{
    (void)c;
    static_assert(sizeof(Openshell__V1__TcpForwardFrame) <= RELAY_CALL_ROOM, "what is built fits");
    Openshell__V1__TcpForwardFrame *out = room;
    if (frame->payload_case != OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA || frame->data.len == 0)
        return NULL;
    openshell__v1__tcp_forward_frame__init(out);
    out->payload_case = OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA;
    out->data = frame->data;
    return &out->base;
}

static enum err_code input(struct relay_call *c, const ProtobufCMessage *message, struct err *reterr)
{
    const Openshell__V1__TcpForwardFrame *m = (const Openshell__V1__TcpForwardFrame *)message;
    if (m->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_INIT)
        return err_set(reterr, ERR_INVALID, "a second init frame");
    if (m->payload_case == OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_DATA)
        return relay_call_input(c, (struct str){(const char *)m->data.data, m->data.len}, reterr);
    return ERR_OK; // of a newer interface
}

static void lost(struct relay_call *c, enum rpc_code code, const char *why)
{
    relay_call_fail(c, code, why); // RPC_OK: the peer inside has closed it
}

static void release(struct relay_call *c)
{
    struct forward *f = (struct forward *)c;
    for (struct forward **p = &f->s->forwards; f->listed && *p; p = &(*p)->next)
        if (*p == f) {
            *p = f->next;
            break;
        }
    free(f->service_id);
    free(f);
}

static const struct relay_call_kind forward_kind = {.output = output,
                                                    .input = input,
                                                    .lost = lost,
                                                    .release = release};

// ---- beginning

static enum err_code check_ticket(struct rpc_request *r, void *arg, struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    const struct ticket *t = arg;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LOOKUP_ARENA);
    struct str ignored = {};
    enum err_code c = lookup_ready_now(r, str_of(t->sandbox_id), &a, &ignored, reterr);
    if (c != ERR_OK)
        return c;
    if (!t->token[0])
        return rpc_request_fail(r, RPC_UNAUTHENTICATED, reterr,
                                "authorization_token is required for ForwardTcp");
    c = ssh_session_check(services->store, str_of(t->token), str_of(t->sandbox_id), &a, reterr);
    if (c == ERR_DENIED)
        rpc_request_set_code(r, RPC_UNAUTHENTICATED);
    return c;
}

static enum err_code take_place(struct forward *f, struct err *reterr)
{
    unsigned token = 0, sandbox = 0;
    for (const struct forward *o = f->s->forwards; o; o = o->next) {
        token += strcmp(o->key, f->key) == 0;
        sandbox += strcmp(o->sandbox_id, f->sandbox_id) == 0;
    }
    if (token >= FORWARDS_OF_TOKEN)
        return err_set(reterr, ERR_LIMIT, "%d connections with this token, the limit", FORWARDS_OF_TOKEN);
    if (sandbox >= FORWARDS_OF_SANDBOX)
        return err_set(reterr, ERR_LIMIT, "%d connections to this sandbox, the limit", FORWARDS_OF_SANDBOX);
    f->next = f->s->forwards;
    f->s->forwards = f;
    f->listed = true;
    return ERR_OK;
}

static void checked(struct rpc_request *r, void *arg, const struct err *failed)
{
    (void)arg;
    struct forward *f = rpc_request_user(r);
    struct err err = {};
    if (failed)
        relay_call_fail_err(&f->call, failed, RPC_OK);
    else if (take_place(f, &err) != ERR_OK)
        relay_call_fail_err(&f->call, &err, RPC_OK);
    else
        relay_call_open(&f->call, str_of(f->sandbox_id), &f->ask);
}

static const struct offload_ops ticket_ops = {.work = check_ticket, .done = checked};

// What the relay needs of the first frame, which is borrowed.
static bool copy(struct forward *f, const Openshell__V1__TcpForwardInit *init)
{
    openshell__v1__relay_open__init(&f->ask);
    openshell__v1__tcp_relay_target__init(&f->tcp);
    openshell__v1__ssh_relay_target__init(&f->ssh);
    f->service_id = strdup(init->service_id);
    if (!f->service_id)
        return false;
    f->ask.service_id = f->service_id;
    if (init->target_case == OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_SSH) {
        f->ask.target_case = OPENSHELL__V1__RELAY_OPEN__TARGET_SSH;
        f->ask.ssh = &f->ssh;
        return true;
    }
    const char *host = strcmp(init->tcp->host, "localhost") == 0 ? "127.0.0.1" : init->tcp->host;
    (void)snprintf(f->host, sizeof(f->host), "%s", host); // an address, so it fits
    f->tcp.host = f->host;
    f->tcp.port = init->tcp->port;
    f->ask.target_case = OPENSHELL__V1__RELAY_OPEN__TARGET_TCP;
    f->ask.tcp = &f->tcp;
    return true;
}

static void begin(struct forward *f, const Openshell__V1__TcpForwardInit *init)
{
    struct err err = {};
    enum err_code c = forward_check(init, &err);
    if (c == ERR_OK && !str_cstr(str_of(init->sandbox_id), f->sandbox_id, sizeof(f->sandbox_id)))
        c = err_set(&err, ERR_NOT_FOUND, "sandbox not found");
    struct ticket *t = c == ERR_OK ? calloc(1, sizeof(*t)) : NULL;
    if (c == ERR_OK && (!t || !copy(f, init)))
        c = err_set(&err, ERR_LIMIT, "no memory for the call");
    if (c != ERR_OK) {
        free(t);
        relay_call_fail_err(&f->call, &err, RPC_OK);
        return;
    }
    f->begun = true;
    memcpy(t->sandbox_id, f->sandbox_id, sizeof(t->sandbox_id));
    ssh_session_key(str_of(init->authorization_token), f->key);
    if (!str_cstr(str_of(init->authorization_token), t->token, sizeof(t->token)))
        memcpy(t->token, "-", 2); // too long for one: it is not found
    offload(f->s->loop, f->call.client, &ticket_ops, t);
}

static void on_message(struct rpc_request *r, const ProtobufCMessage *message)
{
    struct forward *f = rpc_request_user(r);
    const Openshell__V1__TcpForwardFrame *m = (const Openshell__V1__TcpForwardFrame *)message;
    if (f->begun)
        relay_call_message(&f->call, message);
    else if (m->payload_case != OPENSHELL__V1__TCP_FORWARD_FRAME__PAYLOAD_INIT)
        relay_call_fail(&f->call, RPC_INVALID_ARGUMENT, "first frame must be init");
    else
        begin(f, m->init);
}

static void on_end(struct rpc_request *r)
{
    struct forward *f = rpc_request_user(r);
    if (f->begun)
        relay_call_client_end(&f->call);
    else
        relay_call_fail(&f->call, RPC_INVALID_ARGUMENT, "first frame must be init");
}

static void on_writable(struct rpc_request *r)
{
    relay_call_writable(rpc_request_user(r));
}

static void on_closed(struct rpc_request *r)
{
    relay_call_closed(rpc_request_user(r));
}

static const struct rpc_stream_ops client_ops = {.message = on_message,
                                                 .end = on_end,
                                                 .writable = on_writable,
                                                 .closed = on_closed};

void forward_tcp(struct rpc_request *r)
{
    const struct services *services = rpc_request_ctx(r);
    struct err err = {};
    struct forward *f = services->sessions ? calloc(1, sizeof(*f)) : NULL;
    if (!f) {
        err_fill(&err, ERR_UNAVAILABLE, "the gateway takes no sessions now");
        rpc_request_finish_err(r, &err);
        return;
    }
    f->s = services->sessions;
    relay_call_init(&f->call, &forward_kind, r);
    f->call.in_stream = true;
    rpc_request_begin(r, &client_ops, f);
    rpc_request_want(r, 1);
}
