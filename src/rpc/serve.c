#include "rpc/serve_internal.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 // Linux 6.5; not in Debian 12's headers
#endif

// What there is to do for a connection is done in one place, conn_turn(), before the loop waits again:
// whoever changes something marks the connection by conn_touch(). So no event of a core is called from inside
// another.

enum {
    CONNS_MAX = 16384,
    WORK_MAX = 512,
    ARENA_MAX = 32 * MIB,
    WRITE_MAX = 64 * KIB,  // one write
    QUEUE_MAX = 256 * KIB, // bytes given to libuv that the kernel has not taken; above, the cores keep theirs
    BACKLOG = 1024,
};
#define HELLO_NS 10'000'000'000
#define MS_NS    1'000'000

// ---- life of a connection

void conn_touch(struct conn *c)
{
    if (c->dirty || c->closing)
        return;
    c->dirty = true;
    c->next_dirty = c->server->dirty;
    c->server->dirty = c;
}

static void check_stopped(struct rpc_server *server)
{
    if (server->draining && server->drained && server->conns_n == 0) {
        void (*drained)(void *ctx) = server->drained;
        server->drained = NULL;
        drained(server->opts.ctx);
    }
    if (server->stopping && server->stopped && server->handles == 0 && server->conns_n == 0 &&
        server->work_n == 0) {
        void (*stopped)(void *ctx) = server->stopped;
        server->stopped = NULL;
        stopped(server->opts.ctx); // may free
    }
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->handles > 0)
        return;
    struct rpc_server *server = c->server;
    if (c->prev)
        c->prev->next = c->next;
    else
        server->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    server->conns_n--;
    free(c);
    check_stopped(server);
}

static void conn_close(struct conn *c, const char *why)
{
    if (c->closing)
        return;
    c->closing = true;
    c->server->open_n--;
    if (c->core) {
        rpc_core_lost(c->core, why);
        rpc_core_run(c->core); // every call learns of it
        rpc_core_free(c->core);
        c->core = NULL;
    }
    tls_pipe_free(c->tls);
    c->tls = NULL;
    uv_close(&c->u.handle, on_conn_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
}

static void conn_fail(struct conn *c, const char *why)
{
    if (!c->failed)
        (void)snprintf(c->why, sizeof(c->why), "%s", why);
    c->failed = true;
    conn_touch(c);
}

// ---- writing

struct write {
    uv_write_t req;
    size_t n;
    char bytes[WRITE_MAX];
};

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->handle->data;
    free(req->data);
    if (c->closing)
        return;
    if (status < 0)
        conn_fail(c, uv_strerror(status));
    conn_touch(c);
}

// What the core has to say, in pieces of at most WRITE_MAX. `rest` is what did not fit into the one before.
static enum err_code gather(struct conn *c, struct str *rest, struct write *w, struct err *reterr)
{
    while (w->n < WRITE_MAX) {
        if (rest->n == 0) {
            enum err_code code = rpc_core_send(c->core, rest, reterr);
            if (code != ERR_OK)
                return code;
        }
        if (rest->n == 0)
            return ERR_OK;
        struct str part = str_head(*rest, WRITE_MAX - w->n);
        memcpy(w->bytes + w->n, part.p, part.n);
        w->n += part.n;
        *rest = str_from(*rest, part.n);
    }
    return ERR_OK;
}

// Hands `w` to libuv, or frees it.
static bool conn_send(struct conn *c, struct write *w)
{
    uv_buf_t b = uv_buf_init(w->bytes, (unsigned)w->n);
    w->req.data = w;
    int r = uv_write(&w->req, &c->u.stream, &b, 1, on_written);
    if (r < 0) {
        free(w);
        conn_fail(c, uv_strerror(r));
    }
    return r >= 0;
}

static void conn_write_plain(struct conn *c)
{
    struct err err = {};
    struct str rest = {};
    while (rest.n > 0 || uv_stream_get_write_queue_size(&c->u.stream) < QUEUE_MAX) {
        struct write *w = malloc(sizeof(*w));
        if (!w) {
            conn_fail(c, "no memory");
            return;
        }
        w->n = 0;
        enum err_code code = gather(c, &rest, w, &err);
        if (code != ERR_OK)
            conn_fail(c, err.msg);
        if (code != ERR_OK || w->n == 0) {
            free(w);
            return;
        }
        if (!conn_send(c, w))
            return;
    }
}

static void conn_write_tls(struct conn *c)
{
    struct err err = {};
    while (uv_stream_get_write_queue_size(&c->u.stream) < QUEUE_MAX) {
        struct str out = {};
        if (conn_tls_seal(c, &out, &err) != ERR_OK)
            conn_fail(c, err.msg);
        if (out.n == 0)
            return;
        out = str_head(out, WRITE_MAX);
        struct write *w = malloc(sizeof(*w));
        if (!w) {
            conn_fail(c, "no memory");
            return;
        }
        memcpy(w->bytes, out.p, out.n);
        w->n = out.n;
        tls_pipe_sent(c->tls, out.n);
        if (!conn_send(c, w))
            return;
    }
}

static void conn_write(struct conn *c)
{
    if (c->tls)
        conn_write_tls(c);
    else
        conn_write_plain(c);
}

// The peer is told that nothing follows: an end without this may have been made by somebody else.
static void conn_say_end(struct conn *c)
{
    if (!c->tls)
        return;
    tls_pipe_end(c->tls);
    conn_write_tls(c);
}

// ---- reading

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    (void)size;
    const struct conn *c = handle->data;
    *ret = uv_buf_init(c->server->in, sizeof(c->server->in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct conn *c = stream->data;
    struct err err = {};
    if (n < 0) {
        conn_fail(c, n == UV_EOF ? "the client has closed it" : uv_strerror((int)n));
        return;
    }
    if (n == 0 || c->failed || c->closing)
        return;
    struct str bytes = {b->base, (size_t)n};
    enum err_code code = c->tls ? conn_tls_recv(c, bytes, &err)
                                : rpc_core_recv(c->core, bytes, clock_ns(), &err);
    if (code != ERR_OK) {
        log_warning(c->server->opts.log, "rpc.refused", LOG_STR("peer", str_of(c->peer.addr)),
                    LOG_REASON(&err));
        conn_fail(c, err.msg);
    }
    if (c->tls && tls_pipe_has_ended(c->tls))
        conn_fail(c, "the client has closed it");
    conn_touch(c);
}

static void on_timer(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    struct err err = {};
    int64_t now_ns = clock_ns();
    if (!rpc_core_is_greeted(c->core) && now_ns >= c->hello_ns)
        conn_fail(c, "the client has not begun to speak HTTP/2");
    else if (rpc_core_tick(c->core, now_ns, &err) != ERR_OK)
        conn_fail(c, err.msg);
    conn_touch(c);
}

static void conn_timer(struct conn *c)
{
    int64_t next_ns = rpc_core_next_ns(c->core);
    if (!rpc_core_is_greeted(c->core) && c->hello_ns < next_ns)
        next_ns = c->hello_ns;
    int64_t left_ns = next_ns == DEADLINE_NEVER ? DEADLINE_NEVER : next_ns - clock_ns();
    uint64_t ms = left_ns <= 0 ? 0 : (uint64_t)(left_ns / MS_NS) + 1;
    (void)uv_timer_start(&c->timer, on_timer, ms, 0); // fails only for a handle that is being closed
}

// A peer that does not read what we answer is not read from either.
static void conn_throttle(struct conn *c)
{
    bool full = uv_stream_get_write_queue_size(&c->u.stream) >= QUEUE_MAX;
    if (full && !c->stopped_reading)
        (void)uv_read_stop(&c->u.stream);
    if (!full && c->stopped_reading && uv_read_start(&c->u.stream, on_alloc, on_read) != 0)
        conn_fail(c, "reading failed");
    c->stopped_reading = full;
}

static void conn_turn(struct conn *c)
{
    if (c->closing)
        return;
    rpc_core_run(c->core);
    conn_write(c);
    if (c->failed) {
        conn_say_end(c);
        conn_close(c, c->why);
        return;
    }
    if (rpc_core_is_done(c->core) && uv_stream_get_write_queue_size(&c->u.stream) == 0) {
        conn_say_end(c);
        conn_close(c, "the server is going away");
        return;
    }
    conn_throttle(c);
    conn_timer(c);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct rpc_server *server = prepare->data;
    while (server->dirty) {
        struct conn *c = server->dirty;
        server->dirty = c->next_dirty;
        c->dirty = false;
        conn_turn(c);
    }
}

// ---- accepting

// Whether the process at the other end is not surely in our own pid namespace. It is held by a pidfd
// meanwhile, so that its number cannot become another's. Kernels before 6.5 have no SO_PEERPIDFD: there, a
// number that was used again between connect() and here is not noticed.
static bool is_nested(int fd, pid_t pid)
{
    CLEANUP(fd_close) int pidfd = -1;
    socklen_t n = sizeof(pidfd);
    char path[40];
    struct stat own, theirs;
    if (pid <= 0) // of a namespace that we cannot see into
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) != 0)
        pidfd = errno == ENOPROTOOPT ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
    return pidfd < 0 || stat("/proc/self/ns/pid", &own) != 0 || stat(path, &theirs) != 0 ||
           own.st_dev != theirs.st_dev || own.st_ino != theirs.st_ino ||
           syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != 0; // has not ended meanwhile
}

static void peer_of(struct conn *c, bool is_unix)
{
    uv_os_fd_t fd = -1;
    struct ucred cred = {};
    socklen_t n = sizeof(cred);
    c->peer.uid = (uid_t)-1;
    c->peer.gid = (gid_t)-1;
    if (is_unix) {
        (void)snprintf(c->peer.addr, sizeof(c->peer.addr), "unix");
        if (uv_fileno(&c->u.handle, &fd) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0) {
            c->peer.local = true;
            c->peer.uid = cred.uid;
            c->peer.gid = cred.gid;
            c->peer.pid = cred.pid;
            c->peer.nested = is_nested(fd, cred.pid);
        }
        return;
    }
    struct sockaddr_storage addr = {};
    int size = sizeof(addr);
    char text[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;
    if (uv_tcp_getpeername(&c->u.tcp, (struct sockaddr *)&addr, &size) == 0) {
        if (addr.ss_family == AF_INET6) {
            const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&addr;
            (void)uv_ip6_name(v6, text, sizeof(text));
            port = ntohs(v6->sin6_port);
        } else {
            const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&addr;
            (void)uv_ip4_name(v4, text, sizeof(text));
            port = ntohs(v4->sin_port);
        }
    }
    bool v6 = addr.ss_family == AF_INET6;
    (void)snprintf(c->peer.addr, sizeof(c->peer.addr), "%s%s%s:%u", v6 ? "[" : "", text, v6 ? "]" : "", port);
    (void)uv_tcp_nodelay(&c->u.tcp, 1); // slower without, no worse
}

static bool conn_start(struct conn *c, struct listener *l)
{
    struct rpc_server *server = c->server;
    struct err err = {};
    if (uv_accept(&l->u.stream, &c->u.stream) != 0)
        return false;
    peer_of(c, l->is_unix);
    if (server->open_n > server->opts.conns_max) {
        log_warning(server->opts.log, "rpc.refused", LOG_STR("peer", str_of(c->peer.addr)),
                    LOG_WORD("why", STR("conns_max")));
        return false;
    }
    int64_t now_ns = clock_ns();
    c->hello_ns = now_ns + server->opts.hello_ns;
    if (l->tls && conn_tls_start(c, &err) != ERR_OK)
        return false;
    return rpc_core_new(RPC_SERVER, &server->opts.config, &request_events, c, now_ns, &c->core, &err) ==
               ERR_OK &&
           uv_read_start(&c->u.stream, on_alloc, on_read) == 0;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;
    struct rpc_server *server = l->server;
    if (status < 0)
        return; // the peer has gone already, or there is no descriptor left: the next one is tried again
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return;
    c->server = server;
    int r = l->is_unix ? uv_pipe_init(server->opts.loop, &c->u.pipe, 0)
                       : uv_tcp_init(server->opts.loop, &c->u.tcp);
    if (r != 0) {
        free(c);
        return;
    }
    (void)uv_timer_init(server->opts.loop, &c->timer); // cannot fail
    c->u.handle.data = c;
    c->timer.data = c;
    c->handles = 2;
    c->next = server->conns;
    if (c->next)
        c->next->prev = c;
    server->conns = c;
    server->conns_n++;
    server->open_n++;
    if (conn_start(c, l))
        conn_touch(c);
    else
        conn_close(c, "refused");
}

// ---- listening

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    struct rpc_server *server = l->server;
    free(l);
    server->handles--;
    check_stopped(server);
}

static void listeners_close(struct rpc_server *server)
{
    while (server->listeners) {
        struct listener *l = server->listeners;
        server->listeners = l->next;
        if (l->path[0])
            (void)unlink(l->path); // best effort: the next start replaces it
        uv_close(&l->u.handle, on_listener_closed);
    }
}

static bool is_unix_socket(int fd)
{
    int domain = 0;
    socklen_t n = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX;
}

static enum err_code listen_fd(struct rpc_server *server, int fd, struct listener **ret, struct err *reterr)
{
    CLEANUP(fd_close) int owned = fd;
    struct listener *l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(reterr, ERR_LIMIT, "no memory for a listener");
    l->server = server;
    l->is_unix = is_unix_socket(fd);
    int r = l->is_unix ? uv_pipe_init(server->opts.loop, &l->u.pipe, 0)
                       : uv_tcp_init(server->opts.loop, &l->u.tcp);
    if (r != 0) {
        free(l);
        return err_set(reterr, ERR_INTERNAL, "listening: %s", uv_strerror(r));
    }
    l->u.handle.data = l;
    server->handles++;
    r = l->is_unix ? uv_pipe_open(&l->u.pipe, fd) : uv_tcp_open(&l->u.tcp, fd);
    if (r == 0) {
        (void)fd_take(&owned); // the handle's
        r = uv_listen(&l->u.stream, BACKLOG, on_connection);
    }
    if (r != 0) {
        uv_close(&l->u.handle, on_listener_closed);
        return err_set(reterr, fd_code(-r), "listening: %s", uv_strerror(r));
    }
    l->next = server->listeners;
    server->listeners = l;
    *ret = l;
    return ERR_OK;
}

enum err_code rpc_server_listen_fd(struct rpc_server *server, int fd, struct err *reterr)
{
    struct listener *l = NULL;
    return listen_fd(server, fd, &l, reterr);
}

// Whether somebody listens at the socket there.
static bool is_taken(const struct sockaddr_un *addr)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED;
}

enum err_code rpc_server_listen_unix(struct rpc_server *server, const char *path, struct err *reterr)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (!str_cstr(str_of(path), addr.sun_path, sizeof(addr.sun_path)))
        return err_set(reterr, ERR_INVALID, "%s: a socket's path has at most %zu bytes", path,
                       sizeof(addr.sun_path) - 1);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || fchmod(fd, 0600) != 0) // the mode that the file gets at its birth
        return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    int r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
    struct stat st = {};
    if (r != 0 && errno == EADDRINUSE) {
        if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode) || is_taken(&addr))
            return err_set(reterr, ERR_EXISTS, "%s: somebody listens there", path);
        (void)unlink(path); // bind says what came of it
        r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
    }
    if (r != 0)
        return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    struct listener *l = NULL;
    enum err_code c = listen_fd(server, fd_take(&fd), &l, reterr);
    if (c != ERR_OK)
        return err_wrap(reterr, c, "%s", path);
    assert(l);
    memcpy(l->path, addr.sun_path, sizeof(addr.sun_path));
    return ERR_OK;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr = {};
    socklen_t n = sizeof(addr);
    if (getsockname(fd, &addr.any, &n) != 0)
        return 0;
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port : addr.v4.sin_port);
}

static enum err_code listen_tcp(struct rpc_server *server, const char *addr, uint16_t port, bool tls,
                                uint16_t *ret_port, struct err *reterr)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v6 = inet_pton(AF_INET6, addr, &v6.sin6_addr) == 1;
    if (!is_v6 && inet_pton(AF_INET, addr, &v4.sin_addr) != 1)
        return err_set(reterr, ERR_INVALID, "'%s' is no address", addr);
    CLEANUP(fd_close)
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(fd, is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4,
             is_v6 ? sizeof(v6) : sizeof(v4)))
        return err_set(reterr, errno == EADDRINUSE ? ERR_EXISTS : fd_code(errno), "%s port %u: %s", addr,
                       port, fd_strerror(errno));
    uint16_t bound = port_of(fd);
    struct listener *l = NULL;
    enum err_code c = listen_fd(server, fd_take(&fd), &l, reterr);
    if (c != ERR_OK)
        return err_wrap(reterr, c, "%s port %u", addr, port);
    assert(l);
    l->tls = tls;
    *ret_port = bound;
    return ERR_OK;
}

enum err_code rpc_server_listen_tcp(struct rpc_server *server, const char *addr, uint16_t port,
                                    uint16_t *ret_port, struct err *reterr)
{
    return listen_tcp(server, addr, port, false, ret_port, reterr);
}

enum err_code rpc_server_listen_tls(struct rpc_server *server, const char *addr, uint16_t port,
                                    uint16_t *ret_port, struct err *reterr)
{
    if (!server->tls)
        return err_set(reterr, ERR_PRECONDITION, "there is no certificate to listen with");
    return listen_tcp(server, addr, port, true, ret_port, reterr);
}

// ---- the server

static void on_post(uv_async_t *async)
{
    struct rpc_server *server = async->data;
    uv_mutex_lock(&server->lock);
    struct post *p = server->posts;
    server->posts = NULL;
    server->posts_last = NULL;
    uv_mutex_unlock(&server->lock);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

enum err_code rpc_server_post(struct rpc_server *server, void (*fn)(void *arg), void *arg, struct err *reterr)
{
    struct post *p = malloc(sizeof(*p));
    if (!p)
        return err_set(reterr, ERR_LIMIT, "no memory for a message to the loop");
    *p = (struct post){.fn = fn, .arg = arg};
    uv_mutex_lock(&server->lock);
    if (server->stopping) {
        uv_mutex_unlock(&server->lock);
        free(p);
        return err_set(reterr, ERR_UNAVAILABLE, "the server has stopped");
    }
    if (server->posts_last)
        server->posts_last->next = p;
    else
        server->posts = p;
    server->posts_last = p;
    (void)uv_async_send(&server->async); // under the lock: rpc_server_stop() closes it
    uv_mutex_unlock(&server->lock);
    return ERR_OK;
}

enum err_code rpc_server_new(const struct rpc_server_opts *opts, struct rpc_server **ret, struct err *reterr)
{
    struct sigaction pipe_action = {};
    if (sigaction(SIGPIPE, NULL, &pipe_action) != 0 || pipe_action.sa_handler != SIG_IGN)
        return err_set(reterr, ERR_PRECONDITION,
                       "a server needs SIGPIPE to be ignored: libuv writes without asking");
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (!server)
        return err_set(reterr, ERR_LIMIT, "no memory for a server");
    server->opts = *opts;
    struct rpc_server_opts *o = &server->opts;
    o->conns_max = o->conns_max ? o->conns_max : CONNS_MAX;
    o->work_max = o->work_max ? o->work_max : WORK_MAX;
    o->arena_max = o->arena_max ? o->arena_max : ARENA_MAX;
    o->hello_ns = o->hello_ns ? o->hello_ns : HELLO_NS;
    int r = uv_mutex_init(&server->lock);
    if (r == 0) {
        r = uv_async_init(o->loop, &server->async, on_post);
        if (r != 0)
            uv_mutex_destroy(&server->lock);
    }
    if (r != 0) {
        free(server);
        return err_set(reterr, ERR_INTERNAL, "a server: %s", uv_strerror(r));
    }
    (void)uv_prepare_init(o->loop, &server->prepare); // these cannot fail
    (void)uv_prepare_start(&server->prepare, on_prepare);
    server->async.data = server;
    server->prepare.data = server;
    server->handles = 2;
    *ret = server;
    return ERR_OK;
}

void rpc_server_drain(struct rpc_server *server, void (*done)(void *ctx))
{
    server->draining = true;
    server->drained = done;
    listeners_close(server);
    for (struct conn *c = server->conns; c; c = c->next) {
        if (c->core)
            rpc_core_drain(c->core);
        conn_touch(c);
    }
    check_stopped(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct rpc_server *server = handle->data;
    server->handles--;
    check_stopped(server);
}

void rpc_server_stop(struct rpc_server *server, void (*done)(void *ctx))
{
    if (server->stopping)
        return;
    uv_mutex_lock(&server->lock);
    server->stopping = true; // no more posts
    uv_mutex_unlock(&server->lock);
    on_post(&server->async); // those that came before
    server->stopped = done;
    listeners_close(server);
    for (struct conn *c = server->conns; c; c = c->next)
        conn_close(c, "the server has stopped");
    server->dirty = NULL;
    uv_close((uv_handle_t *)&server->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&server->async, on_handle_closed);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    assert(server->handles == 0 && server->conns_n == 0);
    uv_mutex_destroy(&server->lock);
    tls_side_unref(server->tls);
    free(server);
}

size_t rpc_server_conns(const struct rpc_server *server)
{
    return server->conns_n;
}
