// Start: texts come as descriptors over the control channel; then the process gives up what it has
// (confine_egress) and only then takes listening sockets. After that one loop accepts, answers DNS and takes
// policies; connections have threads.
#include "supervisor/egress/role.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "isolate/confine.h"
#include "policy/load.h"
#include "supervisor/control.h"
#include "supervisor/egress/dnsd.h"
#include "supervisor/egress/egress.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/names.h"
#include "supervisor/egress/sink.h"
#include "supervisor/inference.h"
#include "supervisor/vault.h"

enum {
    LISTENERS_MAX = 8,
    TEXT_MAX_BYTES = 4 * MIB, // a trust bundle is about 220 KiB
    ACCEPT_BURST = 64,        // per turn of the loop
    END_WAIT_MS = 1000,       // for connections whose clients are gone
};

struct role {
    struct egress e;
    struct ip gateway;
    struct ctl_msg start; // names live here
    struct {
        int fd;
        enum ctl_socket kind;
    } listeners[LISTENERS_MAX];
    size_t listeners_n;
};

static enum err_code policy_of(int fd, uint64_t generation, struct snapshot **ret, struct err *err)
{
    CLEANUP(buf_done) struct buf text = {};
    enum err_code r = fd_read_all(fd, POLICY_TEXT_MAX, &text, err);
    if (r != ERR_OK)
        return r;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, POLICY_ARENA_MAX);
    struct diags diags;
    diags_init(&diags, &a);
    struct policy *policy = NULL;
    r = policy_load(buf_str(&text), POLICY_USE_FILE, &a, &policy, &diags, err);
    return r == ERR_OK ? snapshot_compile(policy, generation, ret, err) : r;
}

static enum err_code texts(struct role *role, const int *fds, struct err *err)
{
    struct egress *e = &role->e;
    CLEANUP(buf_done) struct buf resolv = {}, hosts = {}, trust = {};
    enum err_code r = fd_read_all(fds[CTL_FD_RESOLV_CONF], TEXT_MAX_BYTES, &resolv, err);
    if (r == ERR_OK)
        r = fd_read_all(fds[CTL_FD_HOSTS], TEXT_MAX_BYTES, &hosts, err);
    if (r == ERR_OK)
        r = fd_read_all(fds[CTL_FD_TRUST], TEXT_MAX_BYTES, &trust, err);
    if (r == ERR_OK)
        r = resolver_new(buf_str(&resolv), buf_str(&hosts), &e->resolver, err);
    if (r == ERR_OK)
        r = tls_client_new(buf_str(&trust), &e->tls, err);
    struct snapshot *policy = NULL;
    if (r == ERR_OK)
        r = policy_of(fds[CTL_FD_POLICY], role->start.generation, &policy, err);
    e->policy = policy;
    return r;
}

static enum err_code start(struct role *role, struct err *err)
{
    struct egress *e = &role->e;
    int fds[CTL_START_FDS];
    size_t n;
    enum err_code r = ctl_recv(EGRESS_FD_CONTROL, &role->start, fds, &n, err);
    if (r != ERR_OK)
        return r;
    if (role->start.kind != CTL_START || n != CTL_START_FDS)
        return err_set(err, ERR_INVALID, "the first control message is not a start with %d texts",
                       CTL_START_FDS);
    r = texts(role, fds, err);
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    const struct event_host host = {.sandbox_id = str_of(role->start.id),
                                    .sandbox_name = str_of(role->start.name),
                                    .hostname = str_of(role->start.hostname)};
    if (r == ERR_OK)
        r = tls_ca_new(&e->ca, err);
    if (r == ERR_OK)
        r = names_new(&e->names, err);
    if (r == ERR_OK)
        r = mon_new(EGRESS_FD_MONITOR, &e->mon, err);
    if (r == ERR_OK)
        r = pool_new(&e->pool, err);
    if (r == ERR_OK)
        r = vault_new(EGRESS_FD_VAULT, &e->vault, err);
    atomic_store(&e->credentials, role->start.value > 0);
    if (r == ERR_OK)
        r = sink_new(EGRESS_FD_EVENTS, role->start.json != 0, role->start.quiet != 0, &host, &e->sink, err);
    return r;
}

static enum err_code ready(struct role *role, struct err *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, 64 * KIB);
    enum err_code r = tls_ca_pem(role->e.ca, &pem, err);
    CLEANUP(fd_close) int fd = -1;
    if (r == ERR_OK)
        r = ctl_memfd(buf_str(&pem), &fd, err);
    const struct ctl_msg m = {.kind = CTL_READY, .generation = role->start.generation};
    return r == ERR_OK ? ctl_send(EGRESS_FD_CONTROL, &m, &fd, 1, err) : r;
}

static void reload(struct role *role, const struct ctl_msg *m, int fd)
{
    struct ctl_msg answer = {.kind = CTL_DONE, .generation = m->generation};
    struct err err = {};
    struct snapshot *policy = NULL;
    size_t cut = 0;
    enum err_code r = policy_of(fd, m->generation, &policy, &err);
    if (r == ERR_OK)
        r = egress_reload(&role->e, policy, (int)m->timeout_ms, &cut, &err);
    answer.code = (uint32_t)r;
    answer.cut = (uint32_t)cut;
    memcpy(answer.msg, err.msg, sizeof(answer.msg));
    struct err ignored; // a supervisor that is gone closes the channel, which ends the loop
    (void)!ctl_send(EGRESS_FD_CONTROL, &answer, NULL, 0, &ignored);
}

// The launcher has read them before: what cannot be read is no message of it.
static bool take_routes(struct role *role, int fd)
{
    CLEANUP(buf_done) struct buf text = {};
    struct routes *routes = NULL;
    struct err err;
    if (fd_read_all(fd, INFERENCE_BUNDLE_MAX, &text, &err) != ERR_OK ||
        routes_new(buf_str(&text), &routes, &err) != ERR_OK)
        return false;
    egress_set_routes(&role->e, routes);
    return true;
}

static bool add_listener(struct role *role, const struct ctl_msg *m, int fd)
{
    if (role->listeners_n == LISTENERS_MAX || m->socket < CTL_PROXY || m->socket > CTL_DNS)
        return false;
    role->listeners[role->listeners_n].fd = fd;
    role->listeners[role->listeners_n++].kind = (enum ctl_socket)m->socket;
    return true;
}

// One message of the supervisor. False: the channel is closed or broken, the process ends.
static bool control(struct role *role)
{
    struct ctl_msg m;
    int fds[CTL_START_FDS];
    size_t n;
    struct err err;
    if (ctl_recv(EGRESS_FD_CONTROL, &m, fds, &n, &err) != ERR_OK)
        return false;
    if (n == 0 && m.kind == CTL_PROVIDED) {
        atomic_store(&role->e.credentials, m.value > 0);
        return true;
    }
    bool ok = n == 1 && (m.kind == CTL_LISTEN || m.kind == CTL_POLICY || m.kind == CTL_ROUTES);
    bool kept = false;
    if (ok && m.kind == CTL_LISTEN)
        ok = kept = add_listener(role, &m, fds[0]);
    else if (ok && m.kind == CTL_ROUTES)
        ok = take_routes(role, fds[0]);
    else if (ok)
        reload(role, &m, fds[0]);
    for (size_t i = 0; i < n && !kept; i++)
        (void)close(fds[i]);
    return ok;
}

static void accept_some(struct role *role, int listener, enum door door)
{
    for (int i = 0; i < ACCEPT_BURST; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return; // EAGAIN, or an error of that one connection: poll tells if there is more
        egress_serve(&role->e, fd, door);
    }
}

static void loop(struct role *role)
{
    for (;;) {
        struct pollfd p[LISTENERS_MAX + 1] = {{.fd = EGRESS_FD_CONTROL, .events = POLLIN}};
        for (size_t i = 0; i < role->listeners_n; i++)
            p[i + 1] = (struct pollfd){.fd = role->listeners[i].fd, .events = POLLIN};
        if (poll(p, role->listeners_n + 1, -1) < 0 && errno != EINTR)
            return;
        size_t n = role->listeners_n;
        if (p[0].revents && !control(role))
            return;
        for (size_t i = 0; i < n; i++) {
            if (!p[i + 1].revents)
                continue;
            if (role->listeners[i].kind == CTL_DNS)
                dnsd_serve(&role->e, role->listeners[i].fd);
            else
                accept_some(role, role->listeners[i].fd,
                            role->listeners[i].kind == CTL_PROXY ? DOOR_PROXY : DOOR_CAPTURED);
        }
    }
}

static enum err_code egress_init(struct egress *e, struct err *err)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0 || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&e->changed, &attr) != 0 || pthread_mutex_init(&e->lock, NULL) != 0)
        return err_set(err, ERR_INTERNAL, "cannot make a lock");
    (void)pthread_condattr_destroy(&attr);
    return ERR_OK;
}

int egress_main(void)
{
    static struct role role; // the process's own; too large for a stack
    struct err err;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setsid();                 // a terminal's signals are for the launcher
    (void)mallopt(M_ARENA_MAX, 16); // an arena for each of hundreds of threads would be most of what we take
    enum err_code r = egress_init(&role.e, &err);
    if (r == ERR_OK)
        r = start(&role, &err);
    if (r == ERR_OK)
        r = confine_egress(&err);
    if (r == ERR_OK)
        r = ready(&role, &err);
    if (r != ERR_OK) {
        const struct ctl_msg m = {.kind = CTL_DONE, .code = (uint32_t)r};
        struct ctl_msg failed = m;
        memcpy(failed.msg, err.msg, sizeof(failed.msg));
        struct err ignored;
        (void)!ctl_send(EGRESS_FD_CONTROL, &failed, NULL, 0, &ignored); // the supervisor prints it
        return 1;
    }
    loop(&role);
    egress_end(&role.e, END_WAIT_MS); // what was under way is reported; then threads end with the process
    return 0;
}
