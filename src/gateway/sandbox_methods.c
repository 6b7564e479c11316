// CreateSandbox, GetSandbox, ListSandboxes, DeleteSandbox. All run on workers.
#include "base/clock.h"
#include "convert/policy_wire.h"
#include "gateway/check.h"
#include "gateway/ids.h"
#include "gateway/methods.h"
#include "gateway/sandboxes.h"
#include "gateway/workspace.h"
#include "policy/load.h"
#include "policy/print.h"
#include "policy/shape.h"

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000, POLICY_WIRE_MAX = 256 * KIB, ARG_MAX_BYTES = 32 * KIB };
enum { ARGS_TOTAL_MAX = 256 * KIB };

static enum err_code need_driver(struct rpc_request *r, struct sandboxes **ret, struct err *reterr)
{
    const struct services *s = rpc_request_ctx(r);
    if (!s->sandboxes)
        return err_set(reterr, ERR_PRECONDITION,
                       "this gateway was started without openshell-sandbox and cannot run sandboxes");
    *ret = s->sandboxes;
    return ERR_OK;
}

// Sandboxes are still in memory, where there is only one workspace.
static enum err_code check_workspace(struct rpc_request *r, const char *given, struct err *reterr)
{
    const struct services *s = rpc_request_ctx(r);
    struct str name = {};
    enum err_code c = workspace_check(s->store, given, WORKSPACE_WRITE, rpc_request_arena(r), &name, reterr);
    if (c == ERR_OK && !str_eq(name, STR(WORKSPACE_DEFAULT)))
        c = err_set(reterr, ERR_UNSUPPORTED, "sandboxes in another workspace are not built yet");
    return c;
}

// ---- what a request says and this driver does not do

static enum err_code unsupported(const char *what, struct err *reterr)
{
    return err_set(reterr, ERR_UNSUPPORTED, "%s is not built yet", what);
}

static enum err_code check_spec(const Openshell__V1__SandboxSpec *spec, struct err *reterr)
{
    if (spec->n_providers > 0)
        return err_set(reterr, ERR_PRECONDITION, "provider '%.*s' not found: providers are not built yet",
                       STR_FMT(str_of(spec->providers[0])));
    if (spec->tty || spec->n_command == 0)
        return unsupported("attaching to a terminal: give a command, without a terminal; a sandbox with one",
                           reterr);
    if (spec->template_ && protobuf_c_message_get_packed_size(&spec->template_->base) > 0)
        return unsupported("a sandbox from a template or an image", reterr);
    if (spec->resource_requirements && spec->resource_requirements->gpu)
        return unsupported("a sandbox with a GPU", reterr);
    if (spec->log_level[0])
        return unsupported("a log level of a sandbox", reterr);
    size_t total = 0;
    for (size_t i = 0; i < spec->n_command; i++) {
        size_t n = strlen(spec->command[i]);
        total += n; // both are bounded by the message
        if (n > ARG_MAX_BYTES || total > ARGS_TOTAL_MAX)
            return err_set(reterr, ERR_INVALID,
                           "the command: an argument has at most 32 KiB, all have 256 KiB");
    }
    if (spec->n_command > SANDBOX_ARGS_MAX || spec->command[0][0] == '\0')
        return err_set(reterr, ERR_INVALID, "the command has 1 to %d words, and the first is not empty",
                       SANDBOX_ARGS_MAX);
    return ERR_OK;
}

static enum err_code check_request(const Openshell__V1__CreateSandboxRequest *req, struct err *reterr)
{
    if (!req->spec)
        return err_set(reterr, ERR_INVALID, "spec is required");
    enum err_code r = ERR_OK;
    if (req->name[0])
        r = check_sandbox_name(str_of(req->name), reterr);
    if (r == ERR_OK && req->n_annotations > 0)
        r = unsupported("an annotation of a sandbox", reterr);
    if (r == ERR_OK && req->n_labels > CHECK_LABELS_MAX)
        r = err_set(reterr, ERR_INVALID, "at most %d labels", CHECK_LABELS_MAX);
    for (size_t i = 0; r == ERR_OK && i < req->n_labels; i++)
        r = check_label(str_of(req->labels[i]->key), str_of(req->labels[i]->value), reterr);
    return r == ERR_OK ? check_spec(req->spec, reterr) : r;
}

// The policy as the file that openshell-sandbox reads, which must mean the same. Without one: no network, and
// the default folders.
static enum err_code policy_text(const Openshell__V1__SandboxSpec *spec, struct arena *a, struct buf *text,
                                 struct err *reterr)
{
    struct policy *p = NULL, *again = NULL;
    struct diags d;
    if (!spec->policy) {
        buf_add(text, STR("version: 1\n"));
        return buf_check(text, "a policy", reterr);
    }
    if (protobuf_c_message_get_packed_size(&spec->policy->base) > POLICY_WIRE_MAX)
        return err_set(reterr, ERR_INVALID, "the policy has more than 256 KiB");
    enum err_code r = policy_from_wire(spec->policy, a, &p, reterr);
    if (r != ERR_OK)
        return r;
    policy_print_yaml(p, text);
    r = buf_check(text, "a policy", reterr);
    if (r != ERR_OK)
        return r;
    diags_init(&d, a);
    r = policy_load(buf_str(text), POLICY_USE_GATEWAY, a, &again, &d, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "policy");
    if (!shape_same(&shape_policy, p, again))
        return err_set(reterr, ERR_UNSUPPORTED, "the policy cannot be written as a policy file");
    return ERR_OK;
}

static enum err_code env_words(const Openshell__V1__SandboxSpec *spec, struct arena *a, struct str **ret,
                               struct err *reterr)
{
    if (spec->n_environment > CHECK_ENV_MAX)
        return err_set(reterr, ERR_INVALID, "at most %d variables", CHECK_ENV_MAX);
    struct str *v = arena_newn(a, struct str, spec->n_environment);
    if (!v)
        return arena_limit(a, "variables", reterr);
    for (size_t i = 0; i < spec->n_environment; i++) {
        const Openshell__V1__SandboxSpec__EnvironmentEntry *e = spec->environment[i];
        enum err_code r = check_env(str_of(e->key), str_of(e->value), reterr);
        if (r != ERR_OK)
            return r;
        struct str word[3] = {str_of(e->key), STR("="), str_of(e->value)};
        struct buf b;
        buf_init(&b, 16 * KIB);
        for (size_t k = 0; k < ARRAY_LEN(word); k++)
            buf_add(&b, word[k]);
        bool ok = buf_check(&b, "a variable", reterr) == ERR_OK && arena_dup(a, buf_str(&b), &v[i]);
        buf_done(&b);
        if (!ok)
            return arena_limit(a, "variables", reterr);
    }
    *ret = v;
    return ERR_OK;
}

static enum err_code make_record(const Openshell__V1__CreateSandboxRequest *req, char *name, char *id,
                                 struct arena *a, struct buf *out, struct err *reterr)
{
    Openshell__V1__Sandbox sandbox = OPENSHELL__V1__SANDBOX__INIT;
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    meta.id = id;
    meta.name = name;
    meta.workspace = (char *)(uintptr_t) "default";
    meta.created_at_ms = clock_realtime_ms();
    meta.resource_version = 1;
    meta.labels = arena_newn(a, Openshell__Datamodel__V1__ObjectMeta__LabelsEntry *, req->n_labels);
    Openshell__Datamodel__V1__ObjectMeta__LabelsEntry
        *labels = arena_newn(a, Openshell__Datamodel__V1__ObjectMeta__LabelsEntry, req->n_labels);
    if (!labels || !meta.labels)
        return arena_limit(a, "labels", reterr);
    for (size_t i = 0; i < req->n_labels; i++) {
        openshell__datamodel__v1__object_meta__labels_entry__init(&labels[i]);
        labels[i].key = req->labels[i]->key;
        labels[i].value = req->labels[i]->value;
        meta.labels[meta.n_labels++] = &labels[i];
    }
    sandbox.metadata = &meta;
    sandbox.spec = req->spec;
    return wire_pack(&sandbox.base, out, reterr);
}

static enum err_code answer(struct sandboxes *s, const char *name, struct arena *a, ProtobufCMessage **ret,
                            struct err *reterr)
{
    Openshell__V1__SandboxResponse *out = arena_new(a, Openshell__V1__SandboxResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__sandbox_response__init(out);
    enum err_code r = sandboxes_get(s, str_of(name), a, &out->sandbox, reterr);
    if (r == ERR_OK)
        *ret = &out->base;
    return r;
}

enum err_code method_create_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__CreateSandboxRequest
        *req = (const Openshell__V1__CreateSandboxRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    struct sandboxes *s = NULL;
    char name[SANDBOX_NAME_MAX + 1] = "", id[ID_SIZE] = "";
    CLEANUP(buf_done) struct buf policy;
    CLEANUP(buf_done) struct buf record;
    buf_init(&policy, POLICY_TEXT_MAX);
    buf_init(&record, 2 * MIB);
    struct str *env = NULL;
    enum err_code c = need_driver(r, &s, reterr);
    if (c == ERR_OK)
        c = check_workspace(r, req->workspace, reterr);
    if (c == ERR_OK)
        c = check_request(req, reterr);
    if (c == ERR_OK)
        c = policy_text(req->spec, a, &policy, reterr);
    if (c == ERR_OK)
        c = env_words(req->spec, a, &env, reterr);
    if (c == ERR_OK)
        c = id_make(id, reterr);
    if (c == ERR_OK && !req->name[0])
        c = id_make_words(name, reterr);
    if (c == ERR_OK && req->name[0])
        (void)snprintf(name, sizeof(name), "%s", req->name); // it was checked
    if (c == ERR_OK)
        c = make_record(req, name, id, a, &record, reterr);
    if (c != ERR_OK)
        return c;
    const struct sandbox_plan plan = {.name = str_of(name),
                                      .record = buf_str(&record),
                                      .policy = buf_str(&policy),
                                      .command = req->spec->command,
                                      .command_n = req->spec->n_command,
                                      .env = env,
                                      .env_n = req->spec->n_environment};
    c = sandboxes_create(s, &plan, reterr);
    return c == ERR_OK ? answer(s, name, a, ret, reterr) : c;
}

enum err_code method_get_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                 struct err *reterr)
{
    const Openshell__V1__GetSandboxRequest *req = (const Openshell__V1__GetSandboxRequest *)(const void *)in;
    struct sandboxes *s = NULL;
    enum err_code c = need_driver(r, &s, reterr);
    if (c == ERR_OK)
        c = check_workspace(r, req->workspace, reterr);
    if (c == ERR_OK && !req->name[0])
        c = err_set(reterr, ERR_INVALID, "name is required");
    return c == ERR_OK ? answer(s, req->name, rpc_request_arena(r), ret, reterr) : c;
}

static struct str label_of(const void *labels, struct str key)
{
    const Openshell__Datamodel__V1__ObjectMeta *m = labels;
    for (size_t i = 0; i < m->n_labels; i++)
        if (str_eq(str_of(m->labels[i]->key), key))
            return str_of(m->labels[i]->value);
    return (struct str){};
}

enum err_code method_list_sandboxes(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__ListSandboxesRequest
        *req = (const Openshell__V1__ListSandboxesRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    struct sandboxes *s = NULL;
    Openshell__V1__Sandbox **all = NULL;
    size_t n = 0, at = 0,
           limit = req->limit == 0         ? PAGE_DEFAULT
                   : req->limit > PAGE_MAX ? PAGE_MAX
                                           : req->limit;
    Openshell__V1__ListSandboxesResponse *out = arena_new(a, Openshell__V1__ListSandboxesResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_sandboxes_response__init(out);
    enum err_code c = need_driver(r, &s, reterr);
    if (c == ERR_OK)
        c = check_workspace(r, req->workspace, reterr);
    if (c == ERR_OK && req->all_workspaces && req->workspace[0])
        c = err_set(reterr, ERR_INVALID, "all_workspaces and workspace exclude each other");
    if (c == ERR_OK)
        c = sandboxes_list(s, a, &all, &n, reterr);
    out->sandboxes = all;
    for (size_t i = 0; c == ERR_OK && i < n; i++) {
        bool matches = false;
        c = check_selector(str_of(req->label_selector), label_of, all[i]->metadata, &matches, reterr);
        if (c == ERR_OK && matches && at++ >= req->offset && out->n_sandboxes < limit)
            out->sandboxes[out->n_sandboxes++] = all[i];
    }
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

enum err_code method_delete_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__DeleteSandboxRequest
        *req = (const Openshell__V1__DeleteSandboxRequest *)(const void *)in;
    struct sandboxes *s = NULL;
    Openshell__V1__DeleteSandboxResponse *out = arena_new(rpc_request_arena(r),
                                                          Openshell__V1__DeleteSandboxResponse);
    if (!out)
        return arena_limit(rpc_request_arena(r), "an answer", reterr);
    openshell__v1__delete_sandbox_response__init(out);
    enum err_code c = need_driver(r, &s, reterr);
    if (c == ERR_OK)
        c = check_workspace(r, req->workspace, reterr);
    if (c == ERR_OK && !req->name[0])
        c = err_set(reterr, ERR_INVALID, "name is required");
    if (c == ERR_OK)
        c = sandboxes_delete(s, str_of(req->name), reterr);
    if (c != ERR_OK)
        return c;
    out->deleted = true;
    *ret = &out->base;
    return ERR_OK;
}
