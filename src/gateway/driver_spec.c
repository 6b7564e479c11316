#include "gateway/driver_spec.h"

typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;
typedef Openshell__Compute__V1__DriverSandboxSpec DriverSpec;
typedef Openshell__Compute__V1__DriverSandboxTemplate DriverTemplate;
typedef Openshell__Compute__V1__DriverResourceRequirements DriverResources;
typedef Google__Protobuf__Struct Struct;
typedef Google__Protobuf__Struct__FieldsEntry Field;
typedef Google__Protobuf__Value Value;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

static const Value *field(const Struct *s, const char *key)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (strcmp(s->fields[i]->key, key) == 0)
            return s->fields[i]->value;
    return NULL;
}

static enum err_code new_struct(size_t fields_max, struct arena *a, Struct **ret, struct err *reterr)
{
    Struct *s = arena_new(a, Struct);
    Field **list = arena_newn(a, Field *, fields_max);
    if (!s || !list)
        return arena_limit(a, "a sandbox for its driver", reterr);
    google__protobuf__struct__init(s);
    s->fields = list;
    *ret = s;
    return ERR_OK;
}

// `s` has room for one more.
static enum err_code add(Struct *s, const char *key, const Value *value, struct arena *a, struct err *reterr)
{
    Field *f = arena_new(a, Field);
    Value *v = arena_new(a, Value);
    if (!s || !f || !v)
        return arena_limit(a, "a sandbox for its driver", reterr);
    google__protobuf__struct__fields_entry__init(f);
    *v = *value;
    f->key = text(key);
    f->value = v;
    s->fields[s->n_fields++] = f;
    return ERR_OK;
}

static enum err_code add_text(Struct *s, const char *key, const char *value, struct arena *a,
                              struct err *reterr)
{
    Value v = GOOGLE__PROTOBUF__VALUE__INIT;
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v.string_value = text(value);
    return add(s, key, &v, a, reterr);
}

static enum err_code add_struct(Struct *s, const char *key, Struct *value, struct arena *a,
                                struct err *reterr)
{
    Value v = GOOGLE__PROTOBUF__VALUE__INIT;
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    v.struct_value = value;
    return add(s, key, &v, a, reterr);
}

// What of {"cpu": "…", "memory": "…", …} has a field of its own goes there, the rest into *rest.
static enum err_code split_amounts(const Struct *in, char **cpu, char **memory, Struct *rest, struct arena *a,
                                   struct err *reterr)
{
    for (size_t i = 0; i < in->n_fields; i++) {
        const Field *f = in->fields[i];
        bool is_text = f->value && f->value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        char **own = strcmp(f->key, "cpu") == 0 ? cpu : strcmp(f->key, "memory") == 0 ? memory : NULL;
        if (is_text && own) {
            *own = f->value->string_value;
            continue;
        }
        enum err_code r = f->value ? add(rest, f->key, f->value, a, reterr) : ERR_OK;
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err_code split_resources(const Struct *in, DriverResources *out, Struct *raw, struct arena *a,
                                     struct err *reterr)
{
    for (size_t i = 0; i < in->n_fields; i++) {
        const Field *f = in->fields[i];
        bool limits = strcmp(f->key, "limits") == 0, requests = strcmp(f->key, "requests") == 0;
        enum err_code r = ERR_OK;
        if (!f->value)
            continue;
        if ((limits || requests) && f->value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE) {
            Struct *rest = NULL;
            r = new_struct(f->value->struct_value->n_fields, a, &rest, reterr);
            if (r == ERR_OK)
                r = split_amounts(f->value->struct_value, limits ? &out->cpu_limit : &out->cpu_request,
                                  limits ? &out->memory_limit : &out->memory_request, rest, a, reterr);
            if (r == ERR_OK && rest && rest->n_fields > 0)
                r = add_struct(raw, f->key, rest, a, reterr);
        } else {
            r = add(raw, f->key, f->value, a, reterr);
        }
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static enum err_code resources(const Openshell__V1__SandboxTemplate *in, DriverTemplate *out,
                               Struct *platform, struct arena *a, struct err *reterr)
{
    Struct *raw = NULL;
    if (!in->resources)
        return ERR_OK;
    out->resources = arena_new(a, DriverResources);
    if (!out->resources)
        return arena_limit(a, "a sandbox for its driver", reterr);
    openshell__compute__v1__driver_resource_requirements__init(out->resources);
    enum err_code r = new_struct(in->resources->n_fields, a, &raw, reterr);
    if (r == ERR_OK)
        r = split_resources(in->resources, out->resources, raw, a, reterr);
    if (r == ERR_OK && raw && raw->n_fields > 0)
        r = add_struct(platform, "resources_raw", raw, a, reterr);
    return r;
}

// What only some platforms know.
static enum err_code platform_config(const Openshell__V1__SandboxTemplate *in, DriverTemplate *out,
                                     struct arena *a, struct err *reterr)
{
    Struct *p = NULL, *annotations = NULL;
    enum err_code r = new_struct(4, a, &p, reterr);
    if (r == ERR_OK && in->runtime_class_name[0])
        r = add_text(p, "runtime_class_name", in->runtime_class_name, a, reterr);
    if (r == ERR_OK && in->n_annotations > 0)
        r = new_struct(in->n_annotations, a, &annotations, reterr);
    for (size_t i = 0; r == ERR_OK && i < in->n_annotations; i++)
        r = add_text(annotations, in->annotations[i]->key, in->annotations[i]->value, a, reterr);
    if (r == ERR_OK && annotations)
        r = add_struct(p, "annotations", annotations, a, reterr);
    if (r == ERR_OK &&
        in->_user_namespaces_case == OPENSHELL__V1__SANDBOX_TEMPLATE___USER_NAMESPACES_USER_NAMESPACES) {
        Value v = GOOGLE__PROTOBUF__VALUE__INIT;
        v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
        v.bool_value = !in->user_namespaces;
        r = add(p, "host_users", &v, a, reterr);
    }
    if (r == ERR_OK)
        r = resources(in, out, p, a, reterr);
    if (r == ERR_OK && p && p->n_fields > 0)
        out->platform_config = p;
    return r;
}

static enum err_code driver_config(const Openshell__V1__SandboxTemplate *in, const char *driver,
                                   DriverTemplate *out, struct err *reterr)
{
    const Value *v = in->driver_config ? field(in->driver_config, driver) : NULL;
    if (!v)
        return ERR_OK; // what is there is for other drivers
    if (v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
        return err_set(reterr, ERR_INVALID, "template.driver_config.%s must be an object", driver);
    out->driver_config = v->struct_value;
    return ERR_OK;
}

// The maps of both interfaces have entries of the same shape, under two names.
#define COPY_MAP(Entry, init, from, n_from, to, n_to, a)                                                     \
    ({                                                                                                       \
        Entry **list_ = arena_newn((a), Entry *, (n_from)), *all_ = arena_newn((a), Entry, (n_from));        \
        for (size_t i_ = 0; list_ && all_ && i_ < (n_from); i_++) {                                          \
            init(&all_[i_]);                                                                                 \
            all_[i_].key = (from)[i_]->key;                                                                  \
            all_[i_].value = (from)[i_]->value;                                                              \
            list_[i_] = &all_[i_];                                                                           \
        }                                                                                                    \
        (to) = list_;                                                                                        \
        (n_to) = (n_from);                                                                                   \
        list_ &&all_;                                                                                        \
    })

static enum err_code template_of(const Openshell__V1__SandboxTemplate *in, const char *driver,
                                 DriverTemplate *out, struct arena *a, struct err *reterr)
{
    out->image = in->image;
    out->agent_socket_path = in->agent_socket;
    if (!COPY_MAP(Openshell__Compute__V1__DriverSandboxTemplate__LabelsEntry,
                  openshell__compute__v1__driver_sandbox_template__labels_entry__init, in->labels,
                  in->n_labels, out->labels, out->n_labels, a) ||
        !COPY_MAP(Openshell__Compute__V1__DriverSandboxTemplate__EnvironmentEntry,
                  openshell__compute__v1__driver_sandbox_template__environment_entry__init, in->environment,
                  in->n_environment, out->environment, out->n_environment, a))
        return arena_limit(a, "a sandbox for its driver", reterr);
    enum err_code r = platform_config(in, out, a, reterr);
    return r == ERR_OK ? driver_config(in, driver, out, reterr) : r;
}

static enum err_code gpu_of(const Openshell__V1__SandboxSpec *in, DriverSpec *out, struct arena *a,
                            struct err *reterr)
{
    if (!in->resource_requirements)
        return ERR_OK;
    Openshell__Compute__V1__ResourceRequirements
        *req = arena_new(a, Openshell__Compute__V1__ResourceRequirements);
    Openshell__Compute__V1__GpuResourceRequirements
        *gpu = arena_new(a, Openshell__Compute__V1__GpuResourceRequirements);
    if (!req || !gpu)
        return arena_limit(a, "a sandbox for its driver", reterr);
    openshell__compute__v1__resource_requirements__init(req);
    openshell__compute__v1__gpu_resource_requirements__init(gpu);
    const Openshell__V1__GpuResourceRequirements *from = in->resource_requirements->gpu;
    if (from && from->_count_case == OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS___COUNT_COUNT) {
        gpu->_count_case = OPENSHELL__COMPUTE__V1__GPU_RESOURCE_REQUIREMENTS___COUNT_COUNT;
        gpu->count = from->count;
    }
    req->gpu = from ? gpu : NULL;
    out->resource_requirements = req;
    return ERR_OK;
}

enum err_code driver_spec(const Openshell__V1__Sandbox *s, const char *driver, struct arena *a,
                          Openshell__Compute__V1__DriverSandbox **ret, struct err *reterr)
{
    DriverSandbox *out = arena_new(a, DriverSandbox);
    DriverSpec *spec = arena_new(a, DriverSpec);
    DriverTemplate *tmpl = arena_new(a, DriverTemplate);
    const Openshell__V1__SandboxSpec *in = s->spec;
    if (!out || !spec || !tmpl)
        return arena_limit(a, "a sandbox for its driver", reterr);
    openshell__compute__v1__driver_sandbox__init(out);
    openshell__compute__v1__driver_sandbox_spec__init(spec);
    openshell__compute__v1__driver_sandbox_template__init(tmpl);
    out->id = s->metadata->id;
    out->name = s->metadata->name;
    out->workspace = s->metadata->workspace;
    out->spec = spec;
    spec->template_ = tmpl;
    if (!in)
        return err_set(reterr, ERR_INTERNAL, "the record of sandbox '%s' has no spec", s->metadata->id);
    spec->log_level = in->log_level;
    spec->command = in->command;
    spec->n_command = in->n_command;
    spec->tty = in->tty;
    if (!COPY_MAP(Openshell__Compute__V1__DriverSandboxSpec__EnvironmentEntry,
                  openshell__compute__v1__driver_sandbox_spec__environment_entry__init, in->environment,
                  in->n_environment, spec->environment, spec->n_environment, a))
        return arena_limit(a, "a sandbox for its driver", reterr);
    enum err_code r = gpu_of(in, spec, a, reterr);
    if (r == ERR_OK && in->template_)
        r = template_of(in->template_, driver, tmpl, a, reterr);
    if (r == ERR_OK)
        *ret = out;
    return r;
}
