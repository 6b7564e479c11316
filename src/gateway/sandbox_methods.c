#include "gateway/sandbox_methods.h"

#include "gateway/caller.h"
#include "gateway/check.h"
#include "gateway/ids.h"
#include "gateway/lifecycle.h"
#include "gateway/providers.h"
#include "gateway/sandbox_check.h"
#include "gateway/services.h"
#include "gateway/workspace.h"

enum { PAGE_DEFAULT = 100, NAME_TRIES = 8 };

typedef Openshell__V1__Sandbox Sandbox;
typedef Openshell__Datamodel__V1__ObjectMeta Meta;
typedef Openshell__Datamodel__V1__ObjectMeta__LabelsEntry Label;
typedef Openshell__Datamodel__V1__ObjectMeta__AnnotationsEntry Annotation;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

static enum err_code need_lifecycle(struct rpc_request *r, struct lifecycle **ret, struct err *reterr)
{
    const struct services *s = rpc_request_ctx(r);
    if (!s->lifecycle)
        return err_set(reterr, ERR_PRECONDITION,
                       "this gateway was started without openshell-sandbox and cannot run sandboxes");
    *ret = s->lifecycle;
    return ERR_OK;
}

static struct store *store_of(const struct rpc_request *r)
{
    const struct services *s = rpc_request_ctx(r);
    return s->store;
}

// What a request that names one sandbox says.
static enum err_code named(struct rpc_request *r, const char *workspace, const char *name,
                           enum workspace_use use, struct str *ret_workspace, struct err *reterr)
{
    if (!name[0])
        return err_set(reterr, ERR_INVALID, "name is required");
    return workspace_check(store_of(r), workspace, use, rpc_request_arena(r), ret_workspace, reterr);
}

static enum err_code answer(struct arena *a, Sandbox *s, ProtobufCMessage **ret, struct err *reterr)
{
    Openshell__V1__SandboxResponse *out = arena_new(a, Openshell__V1__SandboxResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__sandbox_response__init(out);
    out->sandbox = s;
    *ret = &out->base;
    return ERR_OK;
}

// ---- create

static enum err_code make_meta(const Openshell__V1__CreateSandboxRequest *req, struct str workspace,
                               struct arena *a, Meta **ret, struct err *reterr)
{
    Meta *m = arena_new(a, Meta);
    Label *labels = arena_newn(a, Label, req->n_labels),
          **labels_list = arena_newn(a, Label *, req->n_labels);
    Annotation *notes = arena_newn(a, Annotation, req->n_annotations),
               **notes_list = arena_newn(a, Annotation *, req->n_annotations);
    if (!m || !labels || !labels_list || !notes || !notes_list)
        return arena_limit(a, "a sandbox", reterr);
    openshell__datamodel__v1__object_meta__init(m);
    for (size_t i = 0; i < req->n_labels; i++) {
        openshell__datamodel__v1__object_meta__labels_entry__init(&labels[i]);
        labels[i].key = req->labels[i]->key;
        labels[i].value = req->labels[i]->value;
        labels_list[i] = &labels[i];
    }
    for (size_t i = 0; i < req->n_annotations; i++) {
        openshell__datamodel__v1__object_meta__annotations_entry__init(&notes[i]);
        notes[i].key = req->annotations[i]->key;
        notes[i].value = req->annotations[i]->value;
        notes_list[i] = &notes[i];
    }
    m->workspace = text(workspace.p); // arena_dup() put a NUL behind it
    m->name = req->name;
    m->labels = labels_list;
    m->n_labels = req->n_labels;
    m->annotations = notes_list;
    m->n_annotations = req->n_annotations;
    *ret = m;
    return ERR_OK;
}

// Without a command: a login shell at a terminal.
static enum err_code make_spec(const Openshell__V1__CreateSandboxRequest *req, struct arena *a,
                               Openshell__V1__SandboxSpec **ret, struct err *reterr)
{
    static const char *const shell[] = {"/bin/bash", "-l"};
    Openshell__V1__SandboxSpec *spec = req->spec;
    if (spec->n_command == 0) {
        char **argv = arena_newn(a, char *, ARRAY_LEN(shell));
        if (!argv)
            return arena_limit(a, "a command", reterr);
        for (size_t i = 0; i < ARRAY_LEN(shell); i++)
            argv[i] = text(shell[i]);
        spec->command = argv;
        spec->n_command = ARRAY_LEN(shell);
        spec->tty = true;
    }
    *ret = spec;
    return ERR_OK;
}

// A name that was made up may be taken.
static enum err_code create(struct lifecycle *l, Sandbox *s, struct arena *a, struct err *reterr)
{
    char words[ID_WORDS_MAX];
    struct str copy = {};
    if (s->metadata->name[0])
        return lifecycle_create(l, s, a, reterr);
    enum err_code r = ERR_EXISTS;
    for (unsigned i = 0; r == ERR_EXISTS && i < NAME_TRIES; i++) {
        r = id_make_words(words, reterr);
        if (r == ERR_OK && !arena_dup(a, str_of(words), &copy))
            r = arena_limit(a, "a name", reterr);
        s->metadata->name = text(copy.p);
        if (r == ERR_OK)
            r = lifecycle_create(l, s, a, reterr);
    }
    return r;
}

enum err_code method_create_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__CreateSandboxRequest
        *req = (const Openshell__V1__CreateSandboxRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    struct lifecycle *l = NULL;
    struct str workspace = {};
    Sandbox *s = arena_new(a, Sandbox);
    if (!s)
        return arena_limit(a, "a sandbox", reterr);
    openshell__v1__sandbox__init(s);
    enum err_code c = need_lifecycle(r, &l, reterr);
    if (c == ERR_OK)
        c = sandbox_check(req, a, reterr);
    if (c == ERR_OK)
        c = workspace_check(store_of(r), req->workspace, WORKSPACE_WRITE, a, &workspace, reterr);
    if (c == ERR_OK)
        c = providers_check(rpc_request_ctx(r), workspace, req->spec->providers, req->spec->n_providers, a,
                            reterr);
    if (c == ERR_OK)
        c = make_meta(req, workspace, a, &s->metadata, reterr);
    if (c == ERR_OK)
        c = make_spec(req, a, &s->spec, reterr);
    if (c == ERR_OK)
        c = create(l, s, a, reterr);
    return c == ERR_OK ? answer(a, s, ret, reterr) : c;
}

// ---- get, list

enum err_code method_get_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                 struct err *reterr)
{
    const Openshell__V1__GetSandboxRequest *req = (const Openshell__V1__GetSandboxRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    struct str workspace = {};
    Sandbox *s = NULL;
    enum err_code c = named(r, req->workspace, req->name, WORKSPACE_READ, &workspace, reterr);
    if (c == ERR_OK)
        c = record_by_name(store_of(r), workspace, str_of(req->name), a, &s, reterr);
    return c == ERR_OK ? answer(a, s, ret, reterr) : c;
}

enum err_code method_list_sandboxes(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__ListSandboxesRequest
        *req = (const Openshell__V1__ListSandboxesRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    Openshell__V1__ListSandboxesResponse *out = arena_new(a, Openshell__V1__ListSandboxesResponse);
    struct store_query q = {.all_workspaces = req->all_workspaces,
                            .order = STORE_OLDEST,
                            .offset = req->offset};
    struct store_label *labels = NULL;
    bool none = false, more = false;
    enum err_code c = ERR_OK;
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_sandboxes_response__init(out);
    if (req->all_workspaces && req->workspace[0])
        return err_set(reterr, ERR_INVALID, "all_workspaces and workspace are mutually exclusive");
    if (!req->all_workspaces)
        c = workspace_check(store_of(r), req->workspace, WORKSPACE_READ, a, &q.workspace, reterr);
    if (c == ERR_OK)
        c = check_selector(str_of(req->label_selector), a, &labels, &q.n_labels, &none, reterr);
    q.labels = labels;
    q.limit = req->limit == 0 ? PAGE_DEFAULT : req->limit < STORE_PAGE_MAX ? req->limit : STORE_PAGE_MAX;
    if (c == ERR_OK && !none)
        c = record_list(store_of(r), &q, a, &out->sandboxes, &out->n_sandboxes, &more, reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

// ---- delete, stop, start

// A record that somebody else keeps changing is ABORTED, which err_code has no name for.
static enum err_code settled(struct rpc_request *r, enum err_code c, bool conflict)
{
    if (c != ERR_OK && conflict)
        rpc_request_set_code(r, RPC_ABORTED);
    return c;
}

enum err_code method_delete_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                    struct err *reterr)
{
    const Openshell__V1__DeleteSandboxRequest
        *req = (const Openshell__V1__DeleteSandboxRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    struct lifecycle *l = NULL;
    struct str workspace = {};
    bool deleted = false, conflict = false;
    Openshell__V1__DeleteSandboxResponse *out = arena_new(a, Openshell__V1__DeleteSandboxResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__delete_sandbox_response__init(out);
    enum err_code c = need_lifecycle(r, &l, reterr);
    if (c == ERR_OK) // what is in a workspace that is being deleted has to go
        c = named(r, req->workspace, req->name, WORKSPACE_READ, &workspace, reterr);
    if (c == ERR_OK)
        c = lifecycle_delete(l, workspace, str_of(req->name), &deleted, &conflict, reterr);
    if (c != ERR_OK)
        return settled(r, c, conflict);
    out->deleted = deleted;
    *ret = &out->base;
    return ERR_OK;
}

// lifecycle_stop() or lifecycle_start().
typedef enum err_code mover(struct lifecycle *l, struct str workspace, struct str name, struct arena *a,
                            Sandbox **ret, bool *conflict, struct err *reterr);

static enum err_code moved(struct rpc_request *r, const char *asked_workspace, const char *name, mover *move,
                           ProtobufCMessage **ret, struct err *reterr)
{
    struct lifecycle *l = NULL;
    struct str workspace = {};
    Sandbox *s = NULL;
    bool conflict = false;
    enum err_code c = need_lifecycle(r, &l, reterr);
    if (c == ERR_OK)
        c = named(r, asked_workspace, name, WORKSPACE_WRITE, &workspace, reterr);
    if (c == ERR_OK)
        c = move(l, workspace, str_of(name), rpc_request_arena(r), &s, &conflict, reterr);
    return c == ERR_OK ? answer(rpc_request_arena(r), s, ret, reterr) : settled(r, c, conflict);
}

enum err_code method_stop_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr)
{
    const Openshell__V1__StopSandboxRequest *req = (const Openshell__V1__StopSandboxRequest *)(const void *)
        in;
    return moved(r, req->workspace, req->name, lifecycle_stop, ret, reterr);
}

enum err_code method_start_sandbox(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr)
{
    const Openshell__V1__StartSandboxRequest *req = (const Openshell__V1__StartSandboxRequest *)(const void *)
        in;
    return moved(r, req->workspace, req->name, lifecycle_start, ret, reterr);
}

// ---- what a supervisor says

enum err_code method_report_main_process_exit(struct rpc_request *r, const ProtobufCMessage *in,
                                              ProtobufCMessage **ret, struct err *reterr)
{
    const Openshell__V1__ReportMainProcessExitRequest
        *req = (const Openshell__V1__ReportMainProcessExitRequest *)(const void *)in;
    struct arena *a = rpc_request_arena(r);
    struct lifecycle *l = NULL;
    Openshell__V1__ReportMainProcessExitResponse
        *out = arena_new(a, Openshell__V1__ReportMainProcessExitResponse);
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__report_main_process_exit_response__init(out);
    enum err_code c = need_lifecycle(r, &l, reterr);
    if (c == ERR_OK && (!req->sandbox_id[0] || !req->instance_id[0]))
        c = err_set(reterr, ERR_INVALID, "sandbox_id and instance_id are required");
    if (c == ERR_OK)
        c = caller_scope(r, str_of(req->sandbox_id), reterr);
    if (c == ERR_OK)
        c = lifecycle_main_exit(l, str_of(req->sandbox_id), str_of(req->instance_id), req->exit_code, reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}
