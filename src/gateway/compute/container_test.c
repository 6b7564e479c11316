#include "gateway/compute/container.h"

#include <stdlib.h>

#include "tap.h"

typedef Openshell__Compute__V1__DriverSandbox sandbox;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static const struct container_config config = {.program = "/usr/bin/openshell-sandbox",
                                               .socket_dir = "/run/gw",
                                               .token_file = "/state/1.jwt",
                                               .namespace = "default",
                                               .pids = CONTAINER_PIDS};

static Openshell__Compute__V1__DriverResourceRequirements limits;
static Openshell__Compute__V1__DriverSandboxTemplate template_;
static Openshell__Compute__V1__DriverSandboxSpec spec;
static Openshell__Compute__V1__DriverSandboxSpec__EnvironmentEntry env, *envs[] = {&env};
static Openshell__Compute__V1__DriverSandboxTemplate__LabelsEntry label, *labels[] = {&label};

static sandbox make(void)
{
    sandbox s = OPENSHELL__COMPUTE__V1__DRIVER_SANDBOX__INIT;
    openshell__compute__v1__driver_sandbox_spec__init(&spec);
    openshell__compute__v1__driver_sandbox_template__init(&template_);
    openshell__compute__v1__driver_resource_requirements__init(&limits);
    openshell__compute__v1__driver_sandbox_spec__environment_entry__init(&env);
    openshell__compute__v1__driver_sandbox_template__labels_entry__init(&label);
    s.id = text("11111111-2222");
    s.name = text("calm-fox");
    s.workspace = text("default");
    s.spec = &spec;
    spec.template_ = &template_;
    spec.sandbox_token = text("the-token");
    spec.environment = envs;
    spec.n_environment = 1;
    env.key = text("A");
    env.value = text("x \"y\"");
    template_.image = text("base:1");
    template_.resources = &limits;
    template_.labels = labels;
    template_.n_labels = 1;
    label.key = text(LABEL_ID);
    label.value = text("of somebody else");
    return s;
}

static const struct {
    const char *ref;
    bool ok;
} images[] = {
    {"debian", true},
    {"ghcr.io/o/n:1.2", true},
    {"localhost:5000/n@sha256:00", true},
    {"", false},
    {"-x", false},
    {"/x", false},
    {"a b", false},
    {"a?b", false},
    {"a%2fb", false},
    {"a\nb", false},
};

static json_t *made(const sandbox *s, const char *image, struct err *e)
{
    json_t *i = json_loads(image, 0, NULL), *ret = NULL;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    enum err_code r = container_spec(s, &config, i, &a, &ret, e);
    json_decref(i);
    return r == ERR_OK ? ret : NULL;
}

static bool has_env(const json_t *o, const char *word)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(o, "Env"), i,
                       v) if (strcmp(json_string_value(v), word) == 0) return true;
    return false;
}

static void test_spec(void)
{
    sandbox s = make();
    struct err e = {};
    limits.cpu_limit = text("1.5");
    limits.memory_limit = text("512Mi");
    json_t *o = made(&s,
                     "{\"Id\":\"sha256:ab\",\"Config\":{\"User\":\"node:node\",\"WorkingDir\":\"/work\","
                     "\"Env\":[\"PATH=/x\",\"LANG=C\"]}}",
                     &e);
    char *all = json_dumps(o, JSON_COMPACT);
    const json_t *host = json_object_get(o, "HostConfig");
    char *caps = json_dumps(json_object_get(host, "CapAdd"), JSON_COMPACT);
    char *drop = json_dumps(json_object_get(host, "CapDrop"), JSON_COMPACT);
    char *cmd = json_dumps(json_object_get(o, "Cmd"), JSON_COMPACT);
    tap_ok(o && strcmp(caps, "[\"SETUID\",\"SETGID\",\"SETFCAP\",\"CHOWN\"]") == 0 &&
               strcmp(drop, "[\"ALL\"]") == 0,
           "four capabilities, and none over network, mounts and processes");
    tap_ok(!strstr(all, "the-token"), "the token is nowhere in what anybody may inspect");
    tap_ok(strstr(all, "no-new-privileges") != NULL, "no new privileges");
    tap_ok(has_env(o, "OPENSHELL_OCI_IMAGE_USER=node:node"), "the image's USER is handed on");
    tap_ok(strcmp(cmd, "[\"--workdir\",\"/work\"]") == 0, "the image's WORKDIR is the agent's");
    tap_ok(!strstr(all, "x \\\"y"), "nor is a variable of the sandbox, which may be a secret");
    tap_ok(json_integer_value(json_object_get(host, "NanoCpus")) == 1'500'000'000 &&
               json_integer_value(json_object_get(host, "Memory")) == 512 << 20 &&
               json_integer_value(json_object_get(host, "PidsLimit")) == CONTAINER_PIDS,
           "limits as the engine counts them");
    const char *id = json_string_value(json_object_get(json_object_get(o, "Labels"), LABEL_ID));
    tap_ok(id && strcmp(id, "11111111-2222") == 0, "nobody's label can take the place of ours");
    free(all);
    free(caps);
    free(drop);
    free(cmd);
    json_decref(o);
    o = made(&s, "{\"Id\":\"sha256:ab\",\"Config\":{\"WorkingDir\":\"/\",\"Env\":null}}", &e);
    cmd = json_dumps(json_object_get(o, "Cmd"), JSON_COMPACT);
    tap_ok(o && strcmp(cmd, "[\"--home\",\"/sandbox\"]") == 0, "an image that works in / gets /sandbox");
    free(cmd);
    json_decref(o);
}

static void refuse(const char *rule, sandbox *s, const char *part)
{
    struct err e = {};
    bool ok = container_check(s, &config, &e) != ERR_OK && strstr(e.msg, part);
    if (!tap_ok(ok, "%s", rule))
        tap_note("%s", e.msg);
}

static void test_refused(void)
{
    sandbox s = make();
    limits.cpu_limit = text("many");
    refuse("a cpu limit that is no number", &s, "cpu limit 'many'");
    s = make();
    limits.memory_limit = text("1 GB");
    refuse("a memory limit that is no size", &s, "memory limit '1 GB'");
    s = make();
    template_.image = text("");
    refuse("no image", &s, "an image is required");
    s = make();
    template_.image = text("a?x=y");
    refuse("an image that would change the request", &s, "is no image");
    s = make();
    Openshell__Compute__V1__ResourceRequirements r = OPENSHELL__COMPUTE__V1__RESOURCE_REQUIREMENTS__INIT;
    Openshell__Compute__V1__GpuResourceRequirements
        g = OPENSHELL__COMPUTE__V1__GPU_RESOURCE_REQUIREMENTS__INIT;
    r.gpu = &g;
    spec.resource_requirements = &r;
    refuse("a GPU, by name", &s, "GPU");
    s = make();
    s.workspace = text("a/../b");
    CLEANUP(arena_done) struct arena a;
    struct str name;
    struct err e = {};
    arena_init(&a, MIB);
    tap_ok(container_name(&s, &a, &name, &e) == ERR_INVALID, "a name that would change the request");
    s = make();
    tap_ok(container_name(&s, &a, &name, &e) == ERR_OK &&
               str_eq(name, STR("openshell-default--calm-fox-11111111-2222")),
           "a container is named after its sandbox");
    for (size_t i = 0; i < ARRAY_LEN(images); i++)
        tap_ok(container_is_image(str_of(images[i].ref)) == images[i].ok, "image %zu is %s", i,
               images[i].ok ? "one" : "none");
}

static const struct {
    const char *state, *words, *status, *reason, *message;
} states[] = {
    {"\"Status\":\"running\"", "", "True", "BackendReady", "runs"},
    {"\"Status\":\"created\"", "", "False", "Starting", "created"},
    {"\"Status\":\"exited\",\"ExitCode\":3", " no policy\n", "False", "ContainerExited",
     "status 3: no policy"},
    {"\"Status\":\"exited\",\"ExitCode\":1", "a\033[31mb", "False", "ContainerExited", "a?[31mb"},
    {"\"Status\":\"exited\",\"ExitCode\":137,\"OOMKilled\":true", "", "False", "ContainerExited",
     "out of memory"},
    {"\"Status\":\"dead\"", "", "False", "ContainerDead", "remove"},
    {"\"Status\":\"paused\"", "", "False", "ContainerPaused", "paused"},
    {"\"Status\":\"removing\"", "", "False", "Deleting", "removed"},
    {"\"Status\":\"never heard of\"", "", "False", "Starting", "created"},
};

static void test_states(void)
{
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        char doc[512];
        struct err e = {};
        sandbox *s = NULL;
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        (void)snprintf(doc, sizeof(doc),
                       "{\"Id\":\"c1\",\"State\":{%s},\"Config\":{\"Labels\":{\"%s\":\"i1\"}}}",
                       states[i].state, LABEL_ID);
        json_t *o = json_loads(doc, 0, NULL);
        bool ok = container_state(o, str_of(states[i].words), &a, &s, &e) == ERR_OK &&
                  strcmp(s->id, "i1") == 0;
        const Openshell__Compute__V1__DriverCondition *c = ok ? s->status->conditions[0] : NULL;
        ok = ok && strcmp(c->status, states[i].status) == 0 && strcmp(c->reason, states[i].reason) == 0 &&
             strstr(c->message, states[i].message);
        if (!tap_ok(ok, "a container in state {%s}", states[i].state) && c)
            tap_note("%s %s %s", c->status, c->reason, c->message);
        json_decref(o);
    }
    sandbox *s = NULL;
    struct err e = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    json_t *o = json_loads("{\"Id\":\"c1\",\"State\":{},\"Config\":{\"Labels\":null}}", 0, NULL);
    tap_ok(container_state(o, STR(""), &a, &s, &e) == ERR_NOT_FOUND,
           "somebody else's container is no sandbox");
    json_decref(o);
}

int main(void)
{
    test_spec();
    test_refused();
    test_states();
    return tap_done();
}
