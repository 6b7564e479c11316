// From a sandbox that was stored to a container that runs: one thread for each that is on its way, which asks
// the engine step by step. A gateway that dies in between leaves at most a container that was not started,
// which has its labels from birth: the next one finds it.
#include "gateway/compute/docker_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rpc/wire.h"

// What engines and clients show of a pull: the layers that are done, and all of them.
enum { LAYERS_MAX = 128, EVENT_GAP_MS = 500 };

struct pull {
    struct provision *p;
    struct layer {
        char id[16];
        int64_t now, total;
    } layers[LAYERS_MAX];
    size_t n;
    int64_t told_ms;
    char error[300];
};

static bool is_cancelled(struct provision *p)
{
    (void)pthread_mutex_lock(&p->docker->lock);
    bool yes = p->cancelled;
    (void)pthread_mutex_unlock(&p->docker->lock);
    return yes;
}

// ---- pulling

static void note_layer(struct pull *u, const char *id, int64_t now, int64_t total)
{
    size_t i = 0;
    while (i < u->n && strncmp(u->layers[i].id, id, sizeof(u->layers[i].id) - 1) != 0)
        i++;
    if (i == LAYERS_MAX)
        return;
    if (i == u->n) {
        (void)snprintf(u->layers[i].id, sizeof(u->layers[i].id), "%s", id);
        u->n++;
    }
    u->layers[i].now = now;
    if (total > 0)
        u->layers[i].total = total;
}

static void tell_pull(struct pull *u)
{
    int64_t now = 0, total = 0, ms = clock_realtime_ms();
    if (ms - u->told_ms < EVENT_GAP_MS)
        return;
    u->told_ms = ms;
    for (size_t i = 0; i < u->n; i++) {
        now += u->layers[i].now;
        total += u->layers[i].total;
    }
    char detail[96];
    (void)snprintf(detail, sizeof(detail), "%lld of %lld MB", (long long)(now / 1'000'000),
                   (long long)(total / 1'000'000));
    const char *const meta[] = {"openshell.progress.active_step", "pulling_image",
                                "openshell.progress.active_detail", detail, NULL};
    docker_event(u->p->docker, u->p->id, "PullProgress", detail, meta);
}

static bool on_pull(void *ctx, json_t *o)
{
    struct pull *u = ctx;
    const char *error = json_string_value(json_object_get(o, "error"));
    const char *id = json_string_value(json_object_get(o, "id"));
    const json_t *detail = json_object_get(o, "progressDetail");
    if (error)
        (void)snprintf(u->error, sizeof(u->error), "%s", error);
    if (id && json_is_integer(json_object_get(detail, "current"))) {
        note_layer(u, id, json_integer_value(json_object_get(detail, "current")),
                   json_integer_value(json_object_get(detail, "total")));
        tell_pull(u);
    }
    return !is_cancelled(u->p);
}

static enum err_code pull(struct provision *p, const char *image, struct err *reterr)
{
    static const char *const start[] = {"openshell.progress.active_step", "pulling_image", NULL};
    struct pull *u = calloc(1, sizeof(*u));
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 8 * KIB);
    buf_add(&path, STR(DOCKER_API "/images/create?fromImage="));
    engine_escape(str_of(image), &path);
    const char *last = strrchr(image, '/'); // without a tag the engine would fetch all of them
    if (!strchr(last ? last : image, ':') && !strchr(image, '@'))
        buf_add(&path, STR("&tag=latest"));
    buf_addc(&path, '\0');
    enum err_code r = u ? buf_check(&path, "a request", reterr) : err_set(reterr, ERR_LIMIT, "no memory");
    if (r == ERR_OK) {
        u->p = p;
        docker_event(p->docker, p->id, "Pulling", image, start);
        r = engine_stream(p->docker->engine, "POST", path.p, on_pull, u, reterr);
        if (r == ERR_OK && u->error[0])
            r = err_set(reterr, ERR_UNAVAILABLE, "%s", u->error);
    }
    free(u);
    return r == ERR_OK ? r : err_wrap(reterr, r, "image %s cannot be pulled", image);
}

static enum err_code inspect_image(struct docker *d, const char *image, json_t **ret, struct err *reterr)
{
    char path[2048];
    int n = snprintf(path, sizeof(path), DOCKER_API "/images/%s/json", image); // container_is_image() holds
    if (n < 0 || (size_t)n >= sizeof(path))
        return err_set(reterr, ERR_LIMIT, "an image's name is too long");
    return engine_call(d->engine, "GET", path, NULL, ret, reterr);
}

static enum err_code image_of(struct provision *p, const char *image, json_t **ret, struct err *reterr)
{
    static const char *const done[] = {"openshell.progress.complete_step",
                                       "pulling_image",
                                       "openshell.progress.complete_label",
                                       "Image present",
                                       "openshell.progress.active_step",
                                       "starting_sandbox",
                                       NULL};
    enum pull_policy policy = p->docker->config.pull;
    enum err_code r = policy == PULL_ALWAYS ? ERR_NOT_FOUND : inspect_image(p->docker, image, ret, reterr);
    if (r == ERR_NOT_FOUND && policy == PULL_NEVER)
        return err_set(reterr, ERR_NOT_FOUND,
                       "image %s is not on this machine, and the pull policy is to never pull", image);
    if (r == ERR_NOT_FOUND) {
        r = pull(p, image, reterr);
        if (r == ERR_OK)
            r = inspect_image(p->docker, image, ret, reterr);
    }
    if (r == ERR_OK)
        docker_event(p->docker, p->id, "ImagePresent", image, done);
    return r;
}

// ---- the steps

struct step_state {
    struct arena arena;
    Openshell__Compute__V1__DriverSandbox *sandbox;
    json_t *image;
    struct str container;
    char token[DOCKER_PATH];
};

static enum err_code step_image(struct provision *p, struct step_state *t, struct err *reterr)
{
    return image_of(p, t->sandbox->spec->template_->image, &t->image, reterr);
}

static enum err_code step_token(struct provision *p, struct step_state *t, struct err *reterr)
{
    if (!docker_token_path(p->docker, p->id, t->token))
        return err_set(reterr, ERR_LIMIT, "the path of the token is too long");
    return file_write_atomic(t->token, str_of(t->sandbox->spec->sandbox_token), 0600, reterr);
}

static enum err_code step_create(struct provision *p, struct step_state *t, struct err *reterr)
{
    const struct container_config config = docker_container_config(p->docker, t->token);
    char path[512];
    struct str name = {};
    json_t *spec = NULL, *answer = NULL;
    enum err_code r = container_name(t->sandbox, &t->arena, &name, reterr);
    if (r == ERR_OK)
        r = container_spec(t->sandbox, &config, t->image, &t->arena, &spec, reterr);
    if (r != ERR_OK)
        return r;
    (void)snprintf(path, sizeof(path), DOCKER_API "/containers/create?name=%.*s", STR_FMT(name));
    r = engine_call(p->docker->engine, "POST", path, spec, &answer, reterr);
    json_decref(spec);
    const char *id = json_string_value(json_object_get(answer, "Id"));
    if (r == ERR_OK && !id)
        r = err_set(reterr, ERR_INTERNAL, "the engine does not say which container it made");
    if (r == ERR_OK && !arena_dup(&t->arena, str_of(id), &t->container))
        r = arena_limit(&t->arena, "a container's id", reterr);
    json_decref(answer);
    return r;
}

static enum err_code step_start(struct provision *p, struct step_state *t, struct err *reterr)
{
    char path[512];
    (void)snprintf(path, sizeof(path), DOCKER_API "/containers/%.*s/start", STR_FMT(t->container));
    return engine_call(p->docker->engine, "POST", path, NULL, NULL, reterr);
}

static const struct step {
    enum err_code (*run)(struct provision *p, struct step_state *t, struct err *reterr);
    const char *reason; // of a failure; reference: gateway 8.2
} steps[] = {
    {step_image, "ImagePullFailed"},
    {step_token, "SandboxTokenWriteFailed"},
    {step_create, "ContainerCreateFailed"},
    {step_start, "ContainerStartFailed"},
};

Openshell__Compute__V1__DriverSandbox *provision_state(const struct provision *p, struct arena *a)
{
    ProtobufCMessage *m = NULL;
    struct err ignored;
    Openshell__Compute__V1__DriverSandboxStatus *st = arena_new(a,
                                                                Openshell__Compute__V1__DriverSandboxStatus);
    Openshell__Compute__V1__DriverCondition *c = arena_new(a, Openshell__Compute__V1__DriverCondition),
                                            **list = arena_newn(a, Openshell__Compute__V1__DriverCondition *,
                                                                1);
    struct str message = {}, reason = {};
    const char *what = p->reason ? p->message : "The container is on its way";
    if (!st || !c || !list || !arena_dup(a, str_of(what), &message) ||
        !arena_dup(a, str_of(p->reason ? p->reason : "Starting"), &reason) ||
        wire_unpack(&openshell__compute__v1__driver_sandbox__descriptor, buf_str(&p->packed), a, &m,
                    &ignored) != ERR_OK)
        return NULL;
    Openshell__Compute__V1__DriverSandbox *s = (Openshell__Compute__V1__DriverSandbox *)(void *)m;
    openshell__compute__v1__driver_sandbox_status__init(st);
    openshell__compute__v1__driver_condition__init(c);
    c->type = (char *)(uintptr_t) "Ready";
    c->status = (char *)(uintptr_t) "False";
    c->reason = (char *)(uintptr_t)reason.p;
    c->message = (char *)(uintptr_t)message.p;
    list[0] = c;
    st->conditions = list;
    st->n_conditions = 1;
    st->sandbox_name = s->name;
    s->status = st;
    s->spec = NULL; // the token's
    return s;
}

// ---- the thread

static void forget(struct docker *d, struct provision *p) // with the lock held
{
    for (struct provision **at = &d->provisions; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            d->provisions_n--;
            break;
        }
    if (p->packed.p)
        explicit_bzero(p->packed.p, p->packed.n); // it has the token
    buf_done(&p->packed);
    free(p);
}

static void tell(struct docker *d, struct provision *p, struct str container)
{
    struct err gone; // then the watch tells
    Openshell__Compute__V1__DriverSandbox *s = NULL;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, DOCKER_ARENA);
    if (container.n > 0) {
        if (docker_inspect(d, container, &a, &s, &gone) != ERR_OK)
            s = NULL;
    } else {
        (void)pthread_mutex_lock(&d->lock);
        s = provision_state(p, &a);
        (void)pthread_mutex_unlock(&d->lock);
    }
    if (s)
        docker_tell(d, s);
}

static void finish(struct provision *p, const char *reason, const struct err *e, struct str container)
{
    struct docker *d = p->docker;
    (void)pthread_mutex_lock(&d->lock);
    bool stays = reason && !p->cancelled;
    if (stays) {
        p->reason = reason;
        (void)snprintf(p->message, sizeof(p->message), "%s", e->msg);
    }
    bool cancelled = p->cancelled;
    (void)pthread_mutex_unlock(&d->lock);
    if (stays)
        container.n = 0; // what the provision says counts
    if (!cancelled)
        tell(d, p, container);
    (void)pthread_mutex_lock(&d->lock);
    p->running = false;
    if (!stays && !p->cancelled) // whoever cancelled forgets it
        forget(d, p);
    (void)pthread_cond_broadcast(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
}

static void *provision_main(void *arg)
{
    struct provision *p = arg;
    struct step_state t = {};
    struct err e = {};
    ProtobufCMessage *m = NULL;
    const char *reason = NULL;
    arena_init(&t.arena, DOCKER_ARENA);
    enum err_code r = wire_unpack(&openshell__compute__v1__driver_sandbox__descriptor, buf_str(&p->packed),
                                  &t.arena, &m, &e);
    t.sandbox = (Openshell__Compute__V1__DriverSandbox *)(void *)m;
    if (r != ERR_OK)
        reason = "ContainerCreateFailed";
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(steps) && !is_cancelled(p); i++) {
        r = steps[i].run(p, &t, &e);
        if (r != ERR_OK)
            reason = steps[i].reason;
    }
    if (reason)
        log_warning(p->docker->log, "docker.provision", LOG_STR("sandbox", str_of(p->id)),
                    LOG_STR("reason", str_of(reason)), LOG_STR("error", str_of(e.msg)));
    finish(p, reason, &e, t.container);
    json_decref(t.image);
    arena_done(&t.arena);
    return NULL;
}

enum err_code provision_start(struct docker *d, const Openshell__Compute__V1__DriverSandbox *s,
                              struct err *reterr)
{
    struct provision *p = calloc(1, sizeof(*p));
    pthread_attr_t attr;
    pthread_t thread;
    if (!p)
        return err_set(reterr, ERR_LIMIT, "no memory for a sandbox");
    p->docker = d;
    p->running = true;
    buf_init(&p->packed, DOCKER_ARENA);
    enum err_code r = str_cstr(str_of(s->id), p->id, sizeof(p->id))
                          ? wire_pack(&s->base, &p->packed, reterr)
                          : err_set(reterr, ERR_INVALID, "a sandbox's id is too long");
    (void)pthread_mutex_lock(&d->lock);
    if (r == ERR_OK && d->ending)
        r = err_set(reterr, ERR_UNAVAILABLE, "the gateway is ending");
    if (r == ERR_OK && d->provisions_n >= DOCKER_PROVISIONING_MAX)
        r = err_set(reterr, ERR_LIMIT, "%d sandboxes are being provisioned, which is the limit",
                    DOCKER_PROVISIONING_MAX);
    if (r == ERR_OK) {
        p->next = d->provisions;
        d->provisions = p;
        d->provisions_n++;
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attr, provision_main, p) != 0) {
            r = err_set(reterr, ERR_LIMIT, "no thread for a sandbox");
            forget(d, p);
            p = NULL;
        }
        (void)pthread_attr_destroy(&attr);
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (r != ERR_OK && p) {
        buf_done(&p->packed);
        free(p);
    }
    return r;
}

bool provision_cancel(struct docker *d, struct str id)
{
    struct provision *p = d->provisions;
    while (p && !str_eq(str_of(p->id), id))
        p = p->next;
    if (!p)
        return false;
    p->cancelled = true;
    while (p->running)
        (void)pthread_cond_wait(&d->changed, &d->lock);
    forget(d, p);
    return true;
}
