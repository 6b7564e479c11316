#include "gateway/certs.h"

#include "base/fd.h"
#include "net/pki.h"

enum { DIRS_MAX = 5, SETTLE_MS = 1000 };

struct certs {
    const struct conf *config;
    struct rpc_server *server;
    struct log *log;
    uv_timer_t timer;
    uv_fs_event_t dirs[DIRS_MAX];
    unsigned handles; // not yet closed
    bool missed;      // a folder was not there
};

// server_sans are what clients call the gateway by: a certificate without one of them would fail them, later.
static enum err_code check_names(const struct conf *o, struct err *reterr)
{
    CLEANUP(buf_done) struct buf pem = {};
    size_t at = 0;
    if (o->server_sans.n == 0)
        return ERR_OK;
    enum err_code r = file_read(o->cert, TLS_PEM_MAX, &pem, reterr);
    if (r == ERR_OK)
        r = pki_covers(buf_str(&pem), o->server_sans.v, o->server_sans.n, &at, reterr);
    if (r == ERR_OK && at < o->server_sans.n)
        r = err_set(reterr, ERR_INVALID, "%s is not good for '%.*s', one of server_sans", o->cert,
                    STR_FMT(o->server_sans.v[at]));
    return r;
}

static enum err_code load(struct certs *c, struct err *reterr)
{
    const struct conf *o = c->config;
    const struct tls_files files = {.server = true,
                                    .peer_optional = o->client_auth != CONF_ON,
                                    .cert = o->cert,
                                    .key = o->key,
                                    .ca = o->client_ca,
                                    .external_cert = o->external_cert,
                                    .external_key = o->external_key,
                                    .external_names = o->external_names.v,
                                    .external_n = o->external_names.n};
    CLEANUP(tls_side_unrefp) struct tls_side *side = NULL;
    enum err_code r = tls_side_load(&files, &side, reterr);
    if (r == ERR_OK)
        r = check_names(o, reterr);
    if (r != ERR_OK)
        return r;
    assert(side);
    rpc_server_set_tls(c->server, side);
    return ERR_OK;
}

// These three go in a circle: a change starts the timer, which watches anew, for changes.
static void on_change(uv_fs_event_t *dir, const char *name, int events, int status);

static const char *path_of(const struct certs *c, size_t i)
{
    const struct conf *o = c->config;
    const char *const paths[DIRS_MAX] = {o->cert, o->key, o->client_ca, o->external_cert, o->external_key};
    return paths[i];
}

// Anew each time, since a folder may be another one by now. False: one is not there.
static bool watch(struct certs *c)
{
    bool all = true;
    for (size_t i = 0; i < DIRS_MAX; i++) {
        char dir[CONF_PATH_SIZE];
        const char *path = path_of(c, i), *slash = strrchr(path, '/');
        struct str head = slash == path ? STR("/")
                                        : str_head(str_of(path), slash ? (size_t)(slash - path) : 0);
        (void)uv_fs_event_stop(&c->dirs[i]);
        if (!path[0])
            continue;
        all = str_cstr(head.n > 0 ? head : STR("."), dir, sizeof(dir)) &&
              uv_fs_event_start(&c->dirs[i], on_change, dir, 0) == 0 && all;
    }
    return all;
}

static void on_settled(uv_timer_t *timer)
{
    struct certs *c = timer->data;
    struct err err = {};
    bool watched = watch(c); // before reading: what changes meanwhile is not missed
    if (load(c, &err) == ERR_OK)
        log_info(c->log, "gateway.certificates", LOG_WORD("file", str_of(c->config->cert)));
    else if (watched || !c->missed)
        log_error(c->log, "gateway.certificates-kept", LOG_REASON(&err));
    c->missed = !watched;
    if (!watched)
        (void)uv_timer_start(timer, on_settled, SETTLE_MS, 0); // fails only for want of a callback
}

static void on_change(uv_fs_event_t *dir, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    struct certs *c = dir->data;
    (void)uv_timer_start(&c->timer, on_settled, SETTLE_MS, 0); // fails only for want of a callback
}

static void on_closed(uv_handle_t *handle)
{
    struct certs *c = handle->data;
    if (--c->handles == 0)
        free(c);
}

void certs_close(struct certs *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < DIRS_MAX; i++)
        uv_close((uv_handle_t *)&c->dirs[i], on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

enum err_code certs_open(const struct conf *config, uv_loop_t *loop, struct rpc_server *server,
                         struct log *log, struct certs **ret, struct err *reterr)
{
    struct certs *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(reterr, ERR_LIMIT, "no memory for certificates");
    *c = (struct certs){.config = config, .server = server, .log = log, .handles = DIRS_MAX + 1};
    (void)uv_timer_init(loop, &c->timer); // these cannot fail
    c->timer.data = c;
    for (size_t i = 0; i < DIRS_MAX; i++) {
        (void)uv_fs_event_init(loop, &c->dirs[i]);
        c->dirs[i].data = c;
    }
    bool watched = watch(c);
    enum err_code r = load(c, reterr);
    if (r == ERR_OK && !watched)
        r = err_set(reterr, ERR_INTERNAL, "the folders of the certificates cannot be watched");
    if (r == ERR_OK)
        *ret = c;
    else
        certs_close(c);
    return r;
}
