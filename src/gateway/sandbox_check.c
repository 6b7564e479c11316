#include "gateway/sandbox_check.h"

#include "gateway/check.h"
#include "gateway/config.h"
#include "policy/load.h"
#include "policy/print.h"
#include "policy/shape.h"

enum { // reference: gateway 3.1
    PROVIDERS_MAX = 32,
    LOG_LEVEL_MAX = 32,
    ENV_TOTAL_MAX = 256 * KIB,
    TEXT_MAX = 1024, // of a template's fields
    MAP_MAX = 128,
    MAP_KEY_MAX = 256,
    MAP_VALUE_MAX = 8192,
    STRUCT_MAX = 64 * KIB,
    ARGS_MAX = 256,
    ARG_BYTES_MAX = 32 * KIB,
    ARGS_TOTAL_MAX = 256 * KIB,
};

typedef Openshell__V1__SandboxSpec Spec;
typedef Openshell__V1__SandboxTemplate Template;

static enum err_code at_most(const char *what, size_t n, size_t max, struct err *reterr)
{
    return n <= max ? ERR_OK : err_set(reterr, ERR_INVALID, "%s: at most %zu", what, max);
}

static enum err_code check_command(const Spec *spec, struct err *reterr)
{
    size_t total = 0;
    if (spec->n_command == 0)
        return ERR_OK; // a login shell
    for (size_t i = 0; i < spec->n_command; i++) {
        size_t n = strlen(spec->command[i]);
        total += n; // both are bounded by the message
        if (n > ARG_BYTES_MAX || total > ARGS_TOTAL_MAX)
            return err_set(reterr, ERR_INVALID,
                           "the command: an argument has at most 32 KiB, all have 256 KiB");
    }
    if (spec->n_command > ARGS_MAX || spec->command[0][0] == '\0')
        return err_set(reterr, ERR_INVALID, "the command has 1 to %d words, and the first is not empty",
                       ARGS_MAX);
    return ERR_OK;
}

static enum err_code check_environment(const Spec *spec, struct err *reterr)
{
    size_t total = 0;
    enum err_code r = at_most("environment: variables", spec->n_environment, CHECK_ENV_MAX, reterr);
    for (size_t i = 0; r == ERR_OK && i < spec->n_environment; i++) {
        struct str key = str_of(spec->environment[i]->key), value = str_of(spec->environment[i]->value);
        r = check_env(key, value, reterr);
        total += key.n + value.n;
    }
    return r == ERR_OK ? at_most("environment: bytes", total, ENV_TOTAL_MAX, reterr) : r;
}

static enum err_code check_entry(const char *what, const char *key, const char *value, struct err *reterr)
{
    size_t key_n = strlen(key);
    if (key_n > 0 && key_n <= MAP_KEY_MAX && strlen(value) <= MAP_VALUE_MAX)
        return ERR_OK;
    return err_set(reterr, ERR_INVALID, "template.%s '%.*s': a key has 1 to %d bytes, a value at most %d",
                   what, STR_FMT(str_of(key)), MAP_KEY_MAX, MAP_VALUE_MAX);
}

static enum err_code check_struct(const char *what, const Google__Protobuf__Struct *s, struct err *reterr)
{
    return s ? at_most(what, protobuf_c_message_get_packed_size(&s->base), STRUCT_MAX, reterr) : ERR_OK;
}

static enum err_code check_template(const Template *t, struct err *reterr)
{
    const struct {
        const char *what, *value;
    } texts[] = {{"template.image: bytes", t->image},
                 {"template.runtime_class_name: bytes", t->runtime_class_name},
                 {"template.agent_socket: bytes", t->agent_socket}};
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(texts); i++)
        r = at_most(texts[i].what, strlen(texts[i].value), TEXT_MAX, reterr);
    if (r == ERR_OK)
        r = at_most("template.labels", t->n_labels, MAP_MAX, reterr);
    if (r == ERR_OK)
        r = at_most("template.annotations", t->n_annotations, MAP_MAX, reterr);
    if (r == ERR_OK)
        r = at_most("template.environment", t->n_environment, MAP_MAX, reterr);
    for (size_t i = 0; r == ERR_OK && i < t->n_labels; i++)
        r = check_entry("labels", t->labels[i]->key, t->labels[i]->value, reterr);
    for (size_t i = 0; r == ERR_OK && i < t->n_annotations; i++)
        r = check_entry("annotations", t->annotations[i]->key, t->annotations[i]->value, reterr);
    for (size_t i = 0; r == ERR_OK && i < t->n_environment; i++)
        r = check_env(str_of(t->environment[i]->key), str_of(t->environment[i]->value), reterr);
    if (r == ERR_OK)
        r = check_struct("template.resources: bytes", t->resources, reterr);
    return r == ERR_OK ? check_struct("template.driver_config: bytes", t->driver_config, reterr) : r;
}

static enum err_code check_gpu(const Spec *spec, struct err *reterr)
{
    const Openshell__V1__GpuResourceRequirements *gpu = spec->resource_requirements
                                                            ? spec->resource_requirements->gpu
                                                            : NULL;
    if (gpu && gpu->_count_case == OPENSHELL__V1__GPU_RESOURCE_REQUIREMENTS___COUNT_COUNT && gpu->count == 0)
        return err_set(reterr, ERR_INVALID, "resource_requirements.gpu.count: more than 0, or not at all");
    return ERR_OK;
}

enum err_code sandbox_check_policy(const Openshell__Sandbox__V1__SandboxPolicy *policy, struct arena *a,
                                   struct err *reterr)
{
    struct policy *p = NULL, *again = NULL;
    struct diags d;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, POLICY_TEXT_MAX);
    enum err_code r = config_check_policy(policy, a, &p, reterr);
    if (r != ERR_OK)
        return r;
    policy_print_yaml(p, &text); // as the file that openshell-sandbox reads, which must mean the same
    r = buf_check(&text, "a policy", reterr);
    if (r != ERR_OK)
        return r;
    diags_init(&d, a);
    r = policy_load(buf_str(&text), POLICY_USE_GATEWAY, a, &again, &d, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "policy");
    if (!shape_same(&shape_policy, p, again))
        return err_set(reterr, ERR_UNSUPPORTED, "the policy cannot be written as a policy file");
    return ERR_OK;
}

static enum err_code check_spec(const Spec *spec, struct arena *a, struct err *reterr)
{
    enum err_code r = at_most("providers", spec->n_providers, PROVIDERS_MAX, reterr);
    if (r == ERR_OK)
        r = at_most("log_level: bytes", strlen(spec->log_level), LOG_LEVEL_MAX, reterr);
    if (r == ERR_OK)
        r = check_command(spec, reterr);
    if (r == ERR_OK)
        r = check_environment(spec, reterr);
    if (r == ERR_OK && spec->template_)
        r = check_template(spec->template_, reterr);
    if (r == ERR_OK)
        r = check_gpu(spec, reterr);
    return r == ERR_OK && spec->policy ? sandbox_check_policy(spec->policy, a, reterr) : r;
}

enum err_code sandbox_check(const Openshell__V1__CreateSandboxRequest *req, struct arena *a,
                            struct err *reterr)
{
    if (!req->spec)
        return err_set(reterr, ERR_INVALID, "spec is required");
    enum err_code r = req->name[0] ? check_sandbox_name(str_of(req->name), reterr) : ERR_OK;
    if (r == ERR_OK)
        r = at_most("labels", req->n_labels, CHECK_LABELS_MAX, reterr);
    for (size_t i = 0; r == ERR_OK && i < req->n_labels; i++)
        r = check_label(str_of(req->labels[i]->key), str_of(req->labels[i]->value), reterr);
    if (r == ERR_OK)
        r = at_most("annotations", req->n_annotations, CHECK_LABELS_MAX, reterr);
    for (size_t i = 0; r == ERR_OK && i < req->n_annotations; i++)
        r = check_annotation(str_of(req->annotations[i]->key), str_of(req->annotations[i]->value), reterr);
    return r == ERR_OK ? check_spec(req->spec, a, reterr) : r;
}
