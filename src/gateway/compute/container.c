#include "gateway/compute/container.h"

#include <stdlib.h>

#include "base/buf.h"
#include "gateway/compute/mounts.h"
#include "gateway/compute/quantity.h"

#define HOME_DIR "/sandbox"

enum {
    NANO_PER_MILLI = 1'000'000,
    IMAGE_MAX = 1024, // reference: gateway 3.1
    WORDS_MAX = 400,  // of a container's last words, in a condition
};

// What the supervisor needs, measured by leaving each one out: it gives the egress, the agent and init ids of
// their own in user namespaces. Nothing here reaches the agent, and no capability over the network, mounts or
// other processes is among them.
static const char *const capabilities[] = {
    "SETUID",  // writes the uid maps of its children's user namespaces
    "SETGID",  // the gid maps
    "SETFCAP", // user_namespaces(7): a map that has uid 0, since Linux 5.12
    "CHOWN",   // hands the agent its work directory
};

bool container_is_image(struct str ref)
{
    bool ok = ref.n > 0 && ref.n <= IMAGE_MAX && ref.p[0] != '-' && ref.p[0] != '/';
    for (size_t i = 0; ok && i < ref.n; i++)
        ok = char_is_alpha(ref.p[i]) || char_is_digit(ref.p[i]) || memchr("._-/:@", ref.p[i], 6) != NULL;
    return ok;
}

// ---- checks

static const Openshell__Compute__V1__DriverSandboxTemplate *template_of(
    const Openshell__Compute__V1__DriverSandbox *s)
{
    return s->spec ? s->spec->template_ : NULL;
}

// Of a sandbox that container_check() has let through.
__attribute__((returns_nonnull)) static const Openshell__Compute__V1__DriverSandboxTemplate *checked_template(
    const Openshell__Compute__V1__DriverSandbox *s)
{
    const Openshell__Compute__V1__DriverSandboxTemplate *t = template_of(s);
    assert(t);
    return t;
}

static enum err_code check_limits(const Openshell__Compute__V1__DriverResourceRequirements *r,
                                  struct err *reterr)
{
    uint64_t n;
    if (!r)
        return ERR_OK;
    if (r->cpu_limit[0] && !quantity_cpu_milli(str_of(r->cpu_limit), &n))
        return err_set(reterr, ERR_INVALID, "cpu limit '%.*s': a number as in 2, 1.5 or 500m",
                       STR_FMT(str_of(r->cpu_limit)));
    if (r->memory_limit[0] && !quantity_bytes(str_of(r->memory_limit), &n))
        return err_set(reterr, ERR_INVALID, "memory limit '%.*s': a number of bytes as in 512Mi or 2Gi",
                       STR_FMT(str_of(r->memory_limit)));
    return ERR_OK;
}

enum err_code container_check(const Openshell__Compute__V1__DriverSandbox *s,
                              const struct container_config *config, struct err *reterr)
{
    const Openshell__Compute__V1__DriverSandboxTemplate *t = template_of(s);
    if (!t || !t->image[0])
        return err_set(reterr, ERR_INVALID, "an image is required");
    if (!container_is_image(str_of(t->image)))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no image: NAME, NAME:TAG or NAME@sha256:…",
                       STR_FMT(str_of(t->image)));
    if (s->spec->resource_requirements && s->spec->resource_requirements->gpu)
        return err_set(reterr, ERR_UNSUPPORTED, "a sandbox with a GPU is not built yet");
    enum err_code r = check_limits(t->resources, reterr);
    struct mounts m = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    return r == ERR_OK ? mounts_parse(t->driver_config, config->bind_mounts, &a, &m, reterr) : r;
}

enum err_code container_name(const Openshell__Compute__V1__DriverSandbox *s, struct arena *a, struct str *ret,
                             struct err *reterr)
{
    struct str name = {};
    if (!arena_fmt(a, &name, "openshell-%s--%s-%s", s->workspace, s->name, s->id))
        return arena_limit(a, "a container's name", reterr);
    if (name.n > CONTAINER_NAME_MAX)
        return err_set(reterr, ERR_INVALID, "the names of workspace and sandbox are too long together");
    for (size_t i = 0; i < name.n; i++)
        if (!char_is_alpha(name.p[i]) && !char_is_digit(name.p[i]) && !memchr("._-", name.p[i], 3))
            return err_set(reterr, ERR_INVALID, "a name has the byte 0x%02x",
                           (unsigned)(unsigned char)name.p[i]);
    *ret = name;
    return ERR_OK;
}

// ---- the specification

static const json_t *image_config(const json_t *image)
{
    return json_object_get(image, "Config");
}

static void add_env(json_t *list, const char *name, const char *value)
{
    (void)json_array_append_new(list, json_sprintf("%s=%s", name, value));
}

// For the supervisor. The image's own variables become the agent's, but for those that could steer a program;
// what the sandbox's owner set comes from the gateway, so that it is not in what anybody may inspect.
static void env_of(const Openshell__Compute__V1__DriverSandbox *s, const json_t *image, json_t *list)
{
    const char *user = json_string_value(json_object_get(image_config(image), "User"));
    add_env(list, "OPENSHELL_ENDPOINT", CONTAINER_ENDPOINT);
    add_env(list, "OPENSHELL_SANDBOX_ID", s->id);
    add_env(list, "OPENSHELL_SANDBOX_TOKEN_FILE", CONTAINER_TOKEN);
    add_env(list, "OPENSHELL_LOG_LEVEL", s->spec->log_level[0] ? s->spec->log_level : "info");
    if (user && user[0])
        add_env(list, "OPENSHELL_OCI_IMAGE_USER", user);
}

// Where the agent works: the image's WORKDIR where it is a folder of its own, else /sandbox (reference:
// gateway 8.2).
static const char *workdir_of(const json_t *image)
{
    const char *dir = json_string_value(json_object_get(image_config(image), "WorkingDir"));
    return dir && dir[0] == '/' && dir[1] != '\0' && strcmp(dir, HOME_DIR) != 0 ? dir : HOME_DIR;
}

static json_t *labels_of(const Openshell__Compute__V1__DriverSandbox *s,
                         const struct container_config *config)
{
    json_t *o = json_object();
    const Openshell__Compute__V1__DriverSandboxTemplate *t = checked_template(s);
    for (size_t i = 0; i < t->n_labels; i++)
        (void)json_object_set_new(o, t->labels[i]->key, json_string(t->labels[i]->value));
    (void)json_object_set_new(o, LABEL_MANAGED, json_string("openshell")); // ours win
    (void)json_object_set_new(o, LABEL_ID, json_string(s->id));
    (void)json_object_set_new(o, LABEL_NAME, json_string(s->name));
    (void)json_object_set_new(o, LABEL_WORKSPACE, json_string(s->workspace));
    (void)json_object_set_new(o, LABEL_NAMESPACE, json_string(config->namespace));
    return o;
}

static json_t *mount_of(const char *source, const char *target)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source", source, "Target", target, "ReadOnly",
                     1);
}

static void set_limits(const Openshell__Compute__V1__DriverResourceRequirements *r, uint64_t pids,
                       json_t *host)
{
    uint64_t n;
    if (r && quantity_cpu_milli(str_of(r->cpu_limit), &n))
        (void)json_object_set_new(host, "NanoCpus", json_integer((json_int_t)n * NANO_PER_MILLI));
    if (r && quantity_bytes(str_of(r->memory_limit), &n))
        (void)json_object_set_new(host, "Memory", json_integer((json_int_t)n));
    if (pids > 0)
        (void)json_object_set_new(host, "PidsLimit", json_integer((json_int_t)pids));
}

// The engine's seccomp and AppArmor profiles forbid what the walls are made of (namespaces, mounts in them),
// and a /proc with parts hidden may not be mounted anew inside (mount_too_revealing() of the kernel). The
// agent gets a stricter filter than the engine's, and a /proc of its own; the supervisor has no capability
// that would make use of what is open here.
static json_t *host_config(const Openshell__Compute__V1__DriverSandbox *s,
                           const struct container_config *config, const struct mounts *m)
{
    json_t *add = json_array(), *mounts = json_array();
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
        (void)json_array_append_new(add, json_string(capabilities[i]));
    (void)json_array_append_new(mounts, mount_of(config->program, CONTAINER_PROGRAM));
    (void)json_array_append_new(mounts, mount_of(config->token_file, CONTAINER_TOKEN));
    (void)json_array_append_new(mounts, mount_of(config->socket_dir, CONTAINER_GATEWAY));
    if (config->trust)
        (void)json_array_append_new(mounts, mount_of(config->trust, CONTAINER_TRUST));
    mounts_json(m, mounts);
    json_t *host = json_pack("{s:[s], s:o, s:[s,s,s], s:[], s:[], s:o, s:{s:s}, s:[s,s]}", "CapDrop", "ALL",
                             "CapAdd", add, "SecurityOpt", "no-new-privileges", "seccomp=unconfined",
                             "apparmor=unconfined", "MaskedPaths", "ReadonlyPaths", "Mounts", mounts,
                             "RestartPolicy", "Name", "no", "ExtraHosts",
                             "host.openshell.internal:host-gateway", "host.docker.internal:host-gateway");
    if (host && config->podman) // its word for empty MaskedPaths and ReadonlyPaths
        (void)json_array_append_new(json_object_get(host, "SecurityOpt"), json_string("unmask=ALL"));
    if (host && config->network)
        (void)json_object_set_new(host, "NetworkMode", json_string(config->network));
    if (host)
        set_limits(checked_template(s)->resources, config->pids, host);
    return host;
}

enum err_code container_spec(const Openshell__Compute__V1__DriverSandbox *s,
                             const struct container_config *config, const json_t *image, struct arena *a,
                             json_t **ret, struct err *reterr)
{
    struct mounts m = {};
    enum err_code r = container_check(s, config, reterr);
    if (r == ERR_OK)
        r = mounts_parse(checked_template(s)->driver_config, config->bind_mounts, a, &m, reterr);
    const char *id = json_string_value(json_object_get(image, "Id"));
    if (r == ERR_OK && !id)
        r = err_set(reterr, ERR_INTERNAL, "the engine says nothing of the image's id");
    if (r != ERR_OK)
        return r;
    const char *workdir = workdir_of(image);
    json_t *env = json_array();
    env_of(s, image, env);
    json_t *spec = json_pack("{s:s, s:s, s:s, s:[s,s], s:[s,s], s:o, s:o, s:s, s:s, s:i, s:{s:[s]}, s:o}",
                             "Image", id, "User", "0:0", "WorkingDir", workdir, "Entrypoint",
                             CONTAINER_PROGRAM, "supervise", "Cmd",
                             strcmp(workdir, HOME_DIR) == 0 ? "--home" : "--workdir", workdir, "Env", env,
                             "Labels", labels_of(s, config), "Hostname", s->name, "StopSignal", "SIGTERM",
                             "StopTimeout", 10, "Healthcheck", "Test", "NONE", "HostConfig",
                             host_config(s, config, &m));
    if (!spec) // whatever was there until then was let go of by json_pack()
        return err_set(reterr, ERR_LIMIT, "a container's specification cannot be written as JSON");
    *ret = spec;
    return ERR_OK;
}

// ---- the state

static struct str copy(struct arena *a, const char *s)
{
    struct str ret = {};
    return arena_dup(a, str_of(s ? s : ""), &ret) ? ret : (struct str){"", 0};
}

static char *text(struct str s)
{
    return (char *)(uintptr_t)s.p; // protobuf-c's strings are char *, and packing only reads them
}

static const struct state_row {
    const char *engine, *status, *reason, *message;
    bool deleting;
} states[] = {
    {"running", "True", "BackendReady", "The container runs", false},
    {"created", "False", "Starting", "The container is created", false},
    {"configured", "False", "Starting", "The container is created", false}, // Podman's words
    {"initialized", "False", "Starting", "The container is created", false},
    {"restarting", "False", "ContainerRestarting", "The container restarts", false},
    {"removing", "False", "Deleting", "The container is removed", true},
    {"stopping", "False", "Stopping", "The container is stopped", false},
    {"paused", "False", "ContainerPaused", "The container is paused", false},
    {"exited", "False", "ContainerExited", "The container has ended", false},
    {"stopped", "False", "ContainerExited", "The container has ended", false},
    {"dead", "False", "ContainerDead", "The engine could not remove the container", false},
};

static struct str ended_message(const json_t *state, struct str words, struct arena *a)
{
    struct str ret = {};
    json_int_t code = json_integer_value(json_object_get(state, "ExitCode"));
    const char *why = json_is_true(json_object_get(state, "OOMKilled")) ? ": it ran out of memory" : "";
    struct str w = str_trim(words);
    if (w.n > WORDS_MAX) {
        w.p += w.n - WORDS_MAX;
        w.n = WORDS_MAX;
    }
    struct err clean = {}; // makes foreign bytes printable
    err_fill(&clean, ERR_INTERNAL, "%.*s", (int)w.n, w.p ? w.p : "");
    bool ok = arena_fmt(a, &ret, "The container has ended with status %lld%s%s%s", (long long)code, why,
                        w.n > 0 ? ": " : "", w.n > 0 ? clean.msg : "");
    return ok ? ret : (struct str){"The container has ended", strlen("The container has ended")};
}

static void fill_condition(const json_t *inspected, struct str words, struct arena *a,
                           Openshell__Compute__V1__DriverCondition *c,
                           Openshell__Compute__V1__DriverSandboxStatus *st)
{
    const json_t *state = json_object_get(inspected, "State");
    const char *now = json_string_value(json_object_get(state, "Status"));
    const struct state_row *row = &states[1];
    for (size_t i = 0; now && i < ARRAY_LEN(states); i++)
        if (strcmp(states[i].engine, now) == 0)
            row = &states[i];
    bool ended = strcmp(row->reason, "ContainerExited") == 0;
    c->type = text(STR("Ready"));
    c->status = text(str_of(row->status));
    c->reason = text(str_of(row->reason));
    c->message = text(ended ? ended_message(state, words, a) : str_of(row->message));
    const char *at = json_string_value(json_object_get(state, ended ? "FinishedAt" : "StartedAt"));
    c->last_transition_time = text(copy(a, at));
    st->deleting = row->deleting;
}

enum err_code container_state(const json_t *inspected, struct str words, struct arena *a,
                              Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr)
{
    const json_t *labels = json_object_get(json_object_get(inspected, "Config"), "Labels");
    const char *id = json_string_value(json_object_get(labels, LABEL_ID));
    if (!id || !id[0])
        return err_set(reterr, ERR_NOT_FOUND, "the container is no sandbox");
    Openshell__Compute__V1__DriverSandbox *s = arena_new(a, Openshell__Compute__V1__DriverSandbox);
    Openshell__Compute__V1__DriverSandboxStatus *st = arena_new(a,
                                                                Openshell__Compute__V1__DriverSandboxStatus);
    Openshell__Compute__V1__DriverCondition *c = arena_new(a, Openshell__Compute__V1__DriverCondition),
                                            **list = arena_newn(a, Openshell__Compute__V1__DriverCondition *,
                                                                1);
    if (!s || !st || !c || !list)
        return arena_limit(a, "a sandbox's state", reterr);
    openshell__compute__v1__driver_sandbox__init(s);
    openshell__compute__v1__driver_sandbox_status__init(st);
    openshell__compute__v1__driver_condition__init(c);
    s->id = text(copy(a, id));
    s->name = text(copy(a, json_string_value(json_object_get(labels, LABEL_NAME))));
    s->workspace = text(copy(a, json_string_value(json_object_get(labels, LABEL_WORKSPACE))));
    st->sandbox_name = s->name;
    st->instance_id = text(copy(a, json_string_value(json_object_get(inspected, "Id"))));
    fill_condition(inspected, words, a, c, st);
    list[0] = c;
    st->conditions = list;
    st->n_conditions = 1;
    s->status = st;
    *ret = s;
    return ERR_OK;
}
