// The driver's calls. Each is one or two requests to the engine; what an engine does by and by (pulling an
// image, starting) is docker_provision.c's, and what it says unasked docker_watch.c's.
#include "gateway/compute/docker_internal.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "rpc/wire.h"

enum { API_MINOR_MIN = 41, LOG_TAIL = 20 };

static struct docker *of(struct driver *driver)
{
    return (struct docker *)(void *)driver;
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

void docker_tell(struct docker *d, const Openshell__Compute__V1__DriverSandbox *now)
{
    if (d->events.changed)
        d->events.changed(d->events.ctx, now);
}

void docker_event(struct docker *d, const char *id, const char *reason, const char *message,
                  const char *const *metadata)
{
    enum { PAIRS = 4 };
    Openshell__Compute__V1__DriverPlatformEvent ev = OPENSHELL__COMPUTE__V1__DRIVER_PLATFORM_EVENT__INIT;
    Openshell__Compute__V1__DriverPlatformEvent__MetadataEntry pairs[PAIRS], *list[PAIRS];
    for (size_t n = 0; metadata && metadata[2 * n] && n < PAIRS; n++) {
        openshell__compute__v1__driver_platform_event__metadata_entry__init(&pairs[n]);
        pairs[n].key = text(metadata[2 * n]);
        pairs[n].value = text(metadata[2 * n + 1]);
        list[n] = &pairs[n];
        ev.n_metadata = n + 1;
    }
    ev.metadata = list;
    ev.timestamp_ms = clock_realtime_ms();
    ev.source = text(d->driver.name);
    ev.type = text("Normal");
    ev.reason = text(reason);
    ev.message = text(message);
    if (d->events.event)
        d->events.event(d->events.ctx, str_of(id), &ev);
}

static const char *own_trust(void)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                         "/etc/ssl/cert.pem"}; // reference: policy 2.10
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

struct container_config docker_container_config(const struct docker *d, const char *token_file)
{
    return (struct container_config){.program = d->program,
                                     .socket_dir = d->socket_dir,
                                     .token_file = token_file,
                                     .trust = own_trust(),
                                     .namespace = d->namespace,
                                     .network = d->network[0] ? d->network : NULL,
                                     .pids = d->config.pids,
                                     .bind_mounts = d->config.bind_mounts,
                                     .podman = d->config.podman};
}

bool docker_token_path(const struct docker *d, const char *id, char dst[static DOCKER_PATH])
{
    int n = snprintf(dst, DOCKER_PATH, "%s/%s.jwt", d->state_dir, id);
    return n > 0 && n < DOCKER_PATH && !strchr(id, '/');
}

// ---- asking the engine

static void add_filters(struct buf *path, const char *label, struct str value)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 4 * KIB);
    buf_addf(&text, "{\"label\":[\"%s=%.*s\"]}", label, STR_FMT(value));
    buf_add(path, STR("&filters="));
    engine_escape(buf_str(&text), path);
}

static bool is_id(struct str id) // what stands in a filter between quotes
{
    bool ok = id.n > 0 && id.n < DOCKER_ID;
    for (size_t i = 0; ok && i < id.n; i++)
        ok = char_is_alpha(id.p[i]) || char_is_digit(id.p[i]) || id.p[i] == '-';
    return ok;
}

static enum err_code listed(struct docker *d, const char *label, struct str value, json_t **ret,
                            struct err *reterr)
{
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 8 * KIB);
    buf_add(&path, STR(DOCKER_API "/containers/json?all=true"));
    add_filters(&path, label, value);
    buf_addc(&path, '\0');
    enum err_code r = buf_check(&path, "a request", reterr);
    if (r == ERR_OK)
        r = engine_call(d->engine, "GET", path.p, NULL, ret, reterr);
    if (r == ERR_OK && !json_is_array(*ret)) {
        json_decref(*ret);
        r = err_set(reterr, ERR_INTERNAL, "the engine's list of containers is no list");
    }
    return r;
}

enum err_code docker_find(struct docker *d, struct str id, struct arena *a, struct str *ret,
                          struct err *reterr)
{
    json_t *list = NULL;
    if (!is_id(id))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no id of a sandbox", STR_FMT(id));
    enum err_code r = listed(d, LABEL_ID, id, &list, reterr);
    if (r != ERR_OK)
        return r;
    const char *found = json_string_value(json_object_get(json_array_get(list, 0), "Id"));
    if (!found)
        r = err_set(reterr, ERR_NOT_FOUND, "there is no container for sandbox %.*s", STR_FMT(id));
    else if (!arena_dup(a, str_of(found), ret))
        r = arena_limit(a, "a container's id", reterr);
    json_decref(list);
    return r;
}

// The engine frames both outputs: 8 bytes, the last four of them a length (Engine API, attach).
static void plain_log(struct buf *log)
{
    size_t at = 0, to = 0;
    while (log->n - at >= 8 && (unsigned char)log->p[at] <= 2) {
        const unsigned char *h = (const unsigned char *)log->p + at;
        size_t len = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];
        at += 8;
        if (len > log->n - at)
            len = log->n - at;
        memmove(log->p + to, log->p + at, len);
        at += len;
        to += len;
    }
    if (to > 0)
        log->n = to;
}

static void last_words(struct docker *d, struct str container, struct buf *out)
{
    char path[512];
    struct err ignored; // then there are none
    int n = snprintf(path, sizeof(path), DOCKER_API "/containers/%.*s/logs?stdout=1&stderr=1&tail=%d",
                     STR_FMT(container), LOG_TAIL);
    if (n > 0 && (size_t)n < sizeof(path) && engine_bytes(d->engine, path, out, &ignored) == ERR_OK)
        plain_log(out);
}

enum err_code docker_inspect(struct docker *d, struct str container, struct arena *a,
                             Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr)
{
    char path[512];
    json_t *o = NULL;
    CLEANUP(buf_done) struct buf words;
    buf_init(&words, 16 * KIB);
    (void)snprintf(path, sizeof(path), DOCKER_API "/containers/%.*s/json", STR_FMT(container));
    enum err_code r = engine_call(d->engine, "GET", path, NULL, &o, reterr);
    if (r != ERR_OK)
        return r;
    const char *now = json_string_value(json_object_get(json_object_get(o, "State"), "Status"));
    if (now && (strcmp(now, "exited") == 0 || strcmp(now, "stopped") == 0))
        last_words(d, container, &words);
    r = container_state(o, buf_str(&words), a, ret, reterr);
    json_decref(o);
    return r;
}

// ---- the contract

static enum err_code do_capabilities(struct driver *driver, struct arena *a,
                                     Openshell__Compute__V1__GetCapabilitiesResponse **ret,
                                     struct err *reterr)
{
    struct docker *d = of(driver);
    Openshell__Compute__V1__GetCapabilitiesResponse
        *out = arena_new(a, Openshell__Compute__V1__GetCapabilitiesResponse);
    if (!out)
        return arena_limit(a, "capabilities", reterr);
    openshell__compute__v1__get_capabilities_response__init(out);
    out->driver_name = text(d->driver.name);
    out->driver_version = d->version;
    out->default_image = d->image;
    out->gateway_manages_lifecycle = d->driver.manages_lifecycle;
    *ret = out;
    return ERR_OK;
}

static enum err_code do_validate(struct driver *driver, const Openshell__Compute__V1__DriverSandbox *s,
                                 struct err *reterr)
{
    const struct docker *d = of(driver);
    const struct container_config config = docker_container_config(d, "");
    struct str name;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    enum err_code r = container_check(s, &config, reterr);
    return r == ERR_OK ? container_name(s, &a, &name, reterr) : r;
}

static enum err_code do_create(struct driver *driver, const Openshell__Compute__V1__DriverSandbox *s,
                               struct err *reterr)
{
    enum err_code r = do_validate(driver, s, reterr);
    return r == ERR_OK ? provision_start(of(driver), s, reterr) : r;
}

static enum err_code act(struct docker *d, struct str id, const char *method, const char *action,
                         struct err *reterr)
{
    char path[512];
    struct str container = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    enum err_code r = docker_find(d, id, &a, &container, reterr);
    if (r != ERR_OK)
        return r;
    (void)snprintf(path, sizeof(path), DOCKER_API "/containers/%.*s%s", STR_FMT(container), action);
    return engine_call(d->engine, method, path, NULL, NULL, reterr);
}

static enum err_code do_stop(struct driver *driver, struct str id, struct str name, struct err *reterr)
{
    (void)name; // the id says it
    char action[32];
    (void)snprintf(action, sizeof(action), "/stop?t=%d", DOCKER_STOP_S);
    return act(of(driver), id, "POST", action, reterr);
}

static enum err_code do_start(struct driver *driver, const Openshell__Compute__V1__DriverSandbox *s,
                              struct err *reterr)
{
    struct docker *d = of(driver);
    char path[DOCKER_PATH];
    const char *token = s->spec ? s->spec->sandbox_token : "";
    if (token[0] && docker_token_path(d, s->id, path)) { // a newer one than the container was made with
        enum err_code r = file_write_atomic(path, str_of(token), 0600, reterr);
        if (r != ERR_OK)
            return r;
    }
    return act(d, str_of(s->id), "POST", "/start", reterr);
}

static enum err_code do_remove(struct driver *driver, struct str id, struct str name, bool *ret_was,
                               struct err *reterr)
{
    (void)name;
    struct docker *d = of(driver);
    char path[DOCKER_PATH], copy[DOCKER_ID];
    (void)pthread_mutex_lock(&d->lock);
    bool was = provision_cancel(d, id);
    (void)pthread_mutex_unlock(&d->lock);
    enum err_code r = act(d, id, "DELETE", "?force=true&v=true", reterr);
    if (r != ERR_OK && r != ERR_NOT_FOUND)
        return r;
    if (str_cstr(id, copy, sizeof(copy)) && docker_token_path(d, copy, path))
        (void)unlink(path); // it may never have been there
    *ret_was = was || r == ERR_OK;
    return ERR_OK;
}

// What is under way, while it has no container.
static Openshell__Compute__V1__DriverSandbox *under_way(struct docker *d, struct str id, struct arena *a)
{
    Openshell__Compute__V1__DriverSandbox *s = NULL;
    (void)pthread_mutex_lock(&d->lock);
    for (const struct provision *p = d->provisions; p; p = p->next)
        if (str_eq(str_of(p->id), id))
            s = provision_state(p, a);
    (void)pthread_mutex_unlock(&d->lock);
    return s;
}

static enum err_code do_get(struct driver *driver, struct str id, struct arena *a,
                            Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr)
{
    struct docker *d = of(driver);
    struct str container = {};
    Openshell__Compute__V1__DriverSandbox *s = under_way(d, id, a);
    if (s) {
        *ret = s;
        return ERR_OK;
    }
    enum err_code r = docker_find(d, id, a, &container, reterr);
    return r == ERR_OK ? docker_inspect(d, container, a, ret, reterr) : r;
}

static enum err_code do_list(struct driver *driver, struct arena *a,
                             Openshell__Compute__V1__DriverSandbox ***ret, size_t *ret_n, struct err *reterr)
{
    struct docker *d = of(driver);
    json_t *list = NULL;
    size_t n = 0;
    enum err_code r = listed(d, LABEL_NAMESPACE, str_of(d->namespace), &list, reterr);
    if (r != ERR_OK)
        return r;
    (void)pthread_mutex_lock(&d->lock);
    size_t room = json_array_size(list) + d->provisions_n;
    Openshell__Compute__V1__DriverSandbox **v = arena_newn(a, Openshell__Compute__V1__DriverSandbox *, room);
    for (const struct provision *p = d->provisions; v && p; p = p->next)
        if ((v[n] = provision_state(p, a)))
            n++;
    (void)pthread_mutex_unlock(&d->lock);
    if (!v)
        r = arena_limit(a, "a list of sandboxes", reterr);
    for (size_t i = 0; r == ERR_OK && i < json_array_size(list); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(list, i), "Id"));
        struct err gone = {};
        r = id ? docker_inspect(d, str_of(id), a, &v[n], &gone) : ERR_NOT_FOUND;
        bool twice = false; // its provision is not forgotten yet
        for (size_t k = 0; r == ERR_OK && k < n; k++)
            twice = twice || strcmp(v[k]->id, v[n]->id) == 0;
        n += r == ERR_OK && !twice;
        r = r == ERR_OK || r == ERR_NOT_FOUND ? ERR_OK : err_set(reterr, r, "%s", gone.msg);
    }
    json_decref(list);
    if (r == ERR_OK) {
        *ret = v;
        *ret_n = n;
    }
    return r;
}

static void do_watch(struct driver *driver, const struct driver_events *events)
{
    struct docker *d = of(driver);
    struct err e = {};
    d->events = *events;
    if (watch_start(d, &e) != ERR_OK)
        log_error(d->log, "docker.watch", LOG_STR("error", str_of(e.msg)));
}

static void do_free(struct driver *driver)
{
    struct docker *d = of(driver);
    (void)pthread_mutex_lock(&d->lock);
    d->ending = true;
    for (struct provision *p = d->provisions; p; p = p->next)
        p->cancelled = true;
    (void)pthread_mutex_unlock(&d->lock);
    engine_stop(d->engine);
    watch_end(d);
    (void)pthread_mutex_lock(&d->lock);
    while (d->provisions)
        (void)provision_cancel(d, str_of(d->provisions->id));
    (void)pthread_mutex_unlock(&d->lock);
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_cond_destroy(&d->changed);
    engine_free(d->engine);
    free(d);
}

static const struct driver_ops docker_ops = {
    .capabilities = do_capabilities,
    .validate = do_validate,
    .create = do_create,
    .stop = do_stop,
    .start = do_start,
    .remove = do_remove,
    .get = do_get,
    .list = do_list,
    .watch = do_watch,
    .free = do_free,
};

// ---- making one

enum err_code docker_socket(bool podman, char *dst, size_t size, struct err *reterr)
{
    const char *host = getenv(podman ? "CONTAINER_HOST" : "DOCKER_HOST");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    int n = 0;
    if (host && host[0]) {
        if (strncmp(host, "unix://", strlen("unix://")) != 0)
            return err_set(reterr, ERR_UNSUPPORTED, "%s: only an engine at a unix:// address can be used",
                           podman ? "CONTAINER_HOST" : "DOCKER_HOST");
        n = snprintf(dst, size, "%s", host + strlen("unix://"));
    } else {
        const char *own = podman ? "podman/podman.sock" : "docker.sock";
        n = runtime && runtime[0] == '/' ? snprintf(dst, size, "%s/%s", runtime, own) : 0;
        if (n <= 0 || (size_t)n >= size || stat(dst, &st) != 0)
            n = snprintf(dst, size, "%s", podman ? "/run/podman/podman.sock" : "/var/run/docker.sock");
    }
    return n > 0 && (size_t)n < size ? ERR_OK
                                     : err_set(reterr, ERR_LIMIT, "the engine's socket: a path too long");
}

static enum err_code ask_version(struct docker *d, struct err *reterr)
{
    json_t *o = NULL;
    enum err_code r = engine_call(d->engine, "GET", "/version", NULL, &o, reterr);
    if (r != ERR_OK)
        return r;
    const char *api = json_string_value(json_object_get(o, "ApiVersion"));
    const char *version = json_string_value(json_object_get(o, "Version"));
    const char *dot = api ? strchr(api, '.') : NULL;
    uint64_t minor = 0;
    (void)snprintf(d->version, sizeof(d->version), "%s", version ? version : "");
    if (!dot || (api[0] == '1' && (!str_u64(str_of(dot + 1), 10'000, &minor) || minor < API_MINOR_MIN)))
        r = err_set(reterr, ERR_UNSUPPORTED,
                    "the engine speaks API %s; at least 1.%d is needed (Docker 20.10)",
                    api ? api : "of an unknown version", API_MINOR_MIN);
    json_decref(o);
    return r;
}

static bool keep(char *dst, size_t size, const char *s)
{
    return str_cstr(str_of(s ? s : ""), dst, size);
}

enum err_code docker_new(const struct docker_config *config, const struct driver_env *env,
                         struct driver **ret, struct err *reterr)
{
    char socket[DOCKER_PATH];
    struct docker *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(reterr, ERR_LIMIT, "no memory for a driver");
    (void)pthread_mutex_init(&d->lock, NULL); // glibc's cannot fail with default attributes
    (void)pthread_cond_init(&d->changed, NULL);
    d->driver = (struct driver){.ops = &docker_ops,
                                .name = config->podman ? "podman" : "docker",
                                .manages_lifecycle = true};
    d->config = *config;
    d->log = env->log;
    enum err_code r = ERR_OK;
    if (!keep(d->program, sizeof(d->program), env->program) ||
        !keep(d->state_dir, sizeof(d->state_dir), env->state_dir) ||
        !keep(d->socket_dir, sizeof(d->socket_dir), config->socket_dir) ||
        !keep(d->namespace, sizeof(d->namespace), config->namespace) ||
        !keep(d->network, sizeof(d->network), config->network) ||
        !keep(d->image, sizeof(d->image), config->default_image))
        r = err_set(reterr, ERR_LIMIT, "a path or name of the driver's configuration is too long");
    if (r == ERR_OK && !is_id(str_of(d->namespace)))
        r = err_set(reterr, ERR_INVALID, "namespace '%s': letters, digits and '-'", d->namespace);
    if (r == ERR_OK && geteuid() != 0) // root in a container has no right over files of other users
        r = err_set(
            reterr, ERR_UNSUPPORTED,
            "containers could not read what a gateway that is not root gives them; run it as root, or "
            "use the local driver");
    if (r == ERR_OK && config->socket)
        (void)snprintf(socket, sizeof(socket), "%s", config->socket);
    else if (r == ERR_OK)
        r = docker_socket(config->podman, socket, sizeof(socket), reterr);
    if (r == ERR_OK)
        r = engine_new(socket, &d->engine, reterr);
    if (r == ERR_OK)
        r = ask_version(d, reterr);
    if (r == ERR_OK) {
        *ret = &d->driver;
        return ERR_OK;
    }
    engine_free(d->engine);
    free(d);
    return r;
}
