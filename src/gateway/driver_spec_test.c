#include "gateway/driver_spec.h"

#include "tap.h"

#include "base/buf.h"

typedef Openshell__V1__Sandbox Sandbox;
typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;
typedef Google__Protobuf__Struct Struct;
typedef Google__Protobuf__Struct__FieldsEntry Field;
typedef Google__Protobuf__Value Value;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nothing here writes them
}

static Struct *object(struct arena *a)
{
    Struct *s = arena_new(a, Struct);
    google__protobuf__struct__init(s);
    s->fields = arena_newn(a, Field *, 8);
    return s;
}

static Value *add(Struct *s, const char *key, struct arena *a)
{
    Field *f = arena_new(a, Field);
    google__protobuf__struct__fields_entry__init(f);
    f->key = text(key);
    f->value = arena_new(a, Value);
    google__protobuf__value__init(f->value);
    s->fields[s->n_fields++] = f;
    return f->value;
}

static void add_text(Struct *s, const char *key, const char *value, struct arena *a)
{
    Value *v = add(s, key, a);
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v->string_value = text(value);
}

static Struct *add_object(Struct *s, const char *key, struct arena *a)
{
    Value *v = add(s, key, a);
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    v->struct_value = object(a);
    return v->struct_value;
}

// {"a": {"b": 1}} as "a={b=1;};"
static void print(const Struct *s, struct buf *out)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        const Value *v = s->fields[i]->value;
        buf_addf(out, "%s=", s->fields[i]->key);
        if (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE) {
            buf_addc(out, '{');
            print(v->struct_value, out);
            buf_addc(out, '}');
        } else if (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE) {
            buf_addf(out, "'%s'", v->string_value);
        } else {
            buf_addf(out, "%g",
                     v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE ? v->bool_value
                                                                              : v->number_value);
        }
        buf_addc(out, ';');
    }
}

static bool is(const Struct *s, const char *want)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 * KIB);
    if (s)
        print(s, &b);
    bool ok = str_eq(buf_str(&b), str_of(want));
    if (!ok)
        tap_note("%.*s, want %s", (int)b.n, b.n ? b.p : "", want);
    return ok;
}

static Sandbox *plain(struct arena *a)
{
    Sandbox *s = arena_new(a, Sandbox);
    openshell__v1__sandbox__init(s);
    s->metadata = arena_new(a, Openshell__Datamodel__V1__ObjectMeta);
    openshell__datamodel__v1__object_meta__init(s->metadata);
    s->spec = arena_new(a, Openshell__V1__SandboxSpec);
    openshell__v1__sandbox_spec__init(s->spec);
    s->metadata->id = text("the-id");
    s->metadata->name = text("dev");
    s->metadata->workspace = text("ws");
    return s;
}

static void test_plain(struct arena *a)
{
    char *command[] = {text("sleep"), text("1")};
    struct err err = {};
    DriverSandbox *d = NULL;
    Sandbox *s = plain(a);
    Openshell__V1__SandboxSpec__EnvironmentEntry env = OPENSHELL__V1__SANDBOX_SPEC__ENVIRONMENT_ENTRY__INIT,
                                                 *envs[] = {&env};
    env.key = text("K");
    env.value = text("V");
    s->spec->environment = envs;
    s->spec->n_environment = 1;
    s->spec->command = command;
    s->spec->n_command = 2;
    s->spec->tty = true;
    s->spec->log_level = text("debug");
    tap_ok(driver_spec(s, "local", a, &d, &err) == ERR_OK && strcmp(d->id, "the-id") == 0 &&
               strcmp(d->name, "dev") == 0 && strcmp(d->workspace, "ws") == 0 && d->namespace_[0] == '\0',
           "who it is; the namespace is the driver's to choose");
    tap_ok(d->spec->n_command == 2 && strcmp(d->spec->command[1], "1") == 0 && d->spec->tty &&
               strcmp(d->spec->log_level, "debug") == 0 && d->spec->n_environment == 1 &&
               strcmp(d->spec->environment[0]->key, "K") == 0 &&
               strcmp(d->spec->environment[0]->value, "V") == 0,
           "what runs in it");
    tap_ok(d->spec->sandbox_token[0] == '\0' && d->spec->template_ && !d->spec->template_->resources &&
               !d->spec->template_->platform_config && !d->spec->template_->driver_config &&
               !d->spec->resource_requirements,
           "and nothing that was not asked for");
    s->spec = NULL;
    tap_ok(driver_spec(s, "local", a, &d, &err) == ERR_INTERNAL, "a record without a spec is our mistake");
}

static void test_template(struct arena *a)
{
    struct err err = {};
    DriverSandbox *d = NULL;
    Sandbox *s = plain(a);
    Openshell__V1__SandboxTemplate t = OPENSHELL__V1__SANDBOX_TEMPLATE__INIT;
    Openshell__V1__SandboxTemplate__AnnotationsEntry
        note = OPENSHELL__V1__SANDBOX_TEMPLATE__ANNOTATIONS_ENTRY__INIT,
        *notes[] = {&note};
    Openshell__V1__SandboxTemplate__LabelsEntry label = OPENSHELL__V1__SANDBOX_TEMPLATE__LABELS_ENTRY__INIT,
                                                *labels[] = {&label};
    s->spec->template_ = &t;
    note.key = text("n");
    note.value = text("1");
    label.key = text("l");
    label.value = text("2");
    t.annotations = notes;
    t.n_annotations = 1;
    t.labels = labels;
    t.n_labels = 1;
    t.image = text("img");
    t.agent_socket = text("/a.sock");
    t.runtime_class_name = text("rc");
    t._user_namespaces_case = OPENSHELL__V1__SANDBOX_TEMPLATE___USER_NAMESPACES_USER_NAMESPACES;
    t.user_namespaces = true;
    t.resources = object(a);
    Struct *limits = add_object(t.resources, "limits", a), *requests = add_object(t.resources, "requests", a);
    add_text(limits, "cpu", "2", a);
    add_text(limits, "memory", "1Gi", a);
    add_text(limits, "disk", "9", a);
    add_text(requests, "cpu", "500m", a);
    Value *number = add(requests, "memory", a);
    number->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    number->number_value = 7;
    add_text(t.resources, "claims", "x", a);
    t.driver_config = object(a);
    add_text(add_object(t.driver_config, "docker", a), "mine", "no", a);
    add_text(add_object(t.driver_config, "local", a), "mine", "yes", a);
    tap_ok(driver_spec(s, "local", a, &d, &err) == ERR_OK, "a template");
    const Openshell__Compute__V1__DriverSandboxTemplate *out = d->spec->template_;
    tap_ok(strcmp(out->image, "img") == 0 && strcmp(out->agent_socket_path, "/a.sock") == 0 &&
               out->n_labels == 1 && strcmp(out->labels[0]->value, "2") == 0,
           "image, socket, labels");
    tap_ok(strcmp(out->resources->cpu_limit, "2") == 0 && strcmp(out->resources->memory_limit, "1Gi") == 0 &&
               strcmp(out->resources->cpu_request, "500m") == 0 && out->resources->memory_request[0] == '\0',
           "amounts that are text have their fields");
    tap_ok(is(out->platform_config, "runtime_class_name='rc';annotations={n='1';};host_users=0;"
                                    "resources_raw={limits={disk='9';};requests={memory=7;};claims='x';};"),
           "everything else is for the platform");
    tap_ok(is(out->driver_config, "mine='yes';"), "only the driver's own configuration");
    tap_ok(driver_spec(s, "podman", a, &d, &err) == ERR_OK && !d->spec->template_->driver_config,
           "and none where there is none");
    add_text(t.driver_config, "vm", "text", a);
    tap_ok(driver_spec(s, "vm", a, &d, &err) == ERR_INVALID &&
               strcmp(err.msg, "template.driver_config.vm must be an object") == 0,
           "which is an object");
}

static void test_gpu(struct arena *a)
{
    struct err err = {};
    DriverSandbox *d = NULL;
    Sandbox *s = plain(a);
    Openshell__V1__ResourceRequirements r = OPENSHELL__V1__RESOURCE_REQUIREMENTS__INIT;
    Openshell__V1__GpuResourceRequirements gpu = OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS__INIT;
    s->spec->resource_requirements = &r;
    tap_ok(driver_spec(s, "local", a, &d, &err) == ERR_OK && d->spec->resource_requirements &&
               !d->spec->resource_requirements->gpu,
           "no GPU");
    r.gpu = &gpu;
    tap_ok(driver_spec(s, "local", a, &d, &err) == ERR_OK &&
               d->spec->resource_requirements->gpu->_count_case ==
                   OPENSHELL__COMPUTE__V1__GPU_RESOURCE_REQUIREMENTS___COUNT__NOT_SET,
           "one, without a count");
    gpu._count_case = OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS___COUNT_COUNT;
    gpu.count = 3;
    tap_ok(driver_spec(s, "local", a, &d, &err) == ERR_OK && d->spec->resource_requirements->gpu->count == 3,
           "three");
}

int main(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * MIB);
    test_plain(&a);
    test_template(&a);
    test_gpu(&a);
    return tap_done();
}
