#include "gateway/workspace_methods.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "gateway/check.h"
#include "gateway/ids.h"
#include "gateway/services.h"
#include "gateway/workspace.h"
#include "rpc/wire.h"

#define DM(name)    Openshell__Datamodel__V1__##name
#define V1(name)    Openshell__V1__##name
#define TERMINATING OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_TERMINATING

enum { PAGE_DEFAULT = 100, PAYLOAD_MAX = 256 * KIB, PAIRS_MAX = 64, SUBJECT_MAX = 253 };

static char *text(struct str s)
{
    return (char *)(uintptr_t)s.p; // nobody writes to it
}

static uint32_t page(uint32_t limit)
{
    return limit == 0 ? PAGE_DEFAULT : limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : limit;
}

static enum err_code pack(const ProtobufCMessage *m, struct arena *a, struct str *ret, struct err *reterr)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, PAYLOAD_MAX);
    enum err_code c = wire_pack(m, &b, reterr);
    if (c == ERR_OK && !arena_dup(a, buf_str(&b), ret))
        c = arena_limit(a, "a workspace", reterr);
    return c;
}

// ---- workspaces

static enum err_code read_workspace(const struct store_object *row, struct arena *a, DM(Workspace) * *ret,
                                    struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code c = wire_unpack(&openshell__datamodel__v1__workspace__descriptor, row->payload, a, &m,
                                  reterr);
    if (c != ERR_OK)
        return c;
    DM(Workspace) *w = (DM(Workspace) *)(void *)m;
    if (!w->metadata || !w->status)
        return err_set(reterr, ERR_INTERNAL, "workspace '%.*s' is not what was stored", STR_FMT(row->name));
    w->metadata->resource_version = row->version;
    *ret = w;
    return ERR_OK;
}

static enum err_code find(struct store *st, const char *name, struct arena *a, struct store_object *row,
                          DM(Workspace) * *ret, struct err *reterr)
{
    if (!name[0])
        return err_set(reterr, ERR_INVALID, "name is required");
    enum err_code c = store_get_named(st, STR("workspace"), STR(""), str_of(name), a, row, reterr);
    if (c == ERR_NOT_FOUND)
        return err_set(reterr, c, "workspace '%.*s' not found", STR_FMT(str_of(name)));
    return c == ERR_OK ? read_workspace(row, a, ret, reterr) : c;
}

// What is stored, from the message; labels are the store's.
static enum err_code row_of(DM(Workspace) * w, struct arena *a, struct store_object *ret, struct err *reterr)
{
    DM(ObjectMeta) *m = w->metadata;
    struct store_label *labels = arena_newn(a, struct store_label, m->n_labels);
    if (!labels)
        return arena_limit(a, "labels", reterr);
    for (size_t i = 0; i < m->n_labels; i++)
        labels[i] = (struct store_label){str_of(m->labels[i]->key), str_of(m->labels[i]->value)};
    *ret = (struct store_object){.kind = STR("workspace"),
                                 .workspace = STR(""),
                                 .id = str_of(m->id),
                                 .name = str_of(m->name),
                                 .labels = labels,
                                 .n_labels = m->n_labels,
                                 .created_ms = m->created_at_ms,
                                 .updated_ms = clock_realtime_ms()};
    m->resource_version = 0; // the column has it
    return pack(&w->base, a, &ret->payload, reterr);
}

static enum err_code copy_labels(const V1(CreateWorkspaceRequest) * req, struct arena *a, DM(ObjectMeta) * m,
                                 struct err *reterr)
{
    typedef DM(ObjectMeta__LabelsEntry) entry;
    if (req->n_labels > CHECK_LABELS_MAX)
        return err_set(reterr, ERR_INVALID, "at most %d labels", CHECK_LABELS_MAX);
    entry *entries = arena_newn(a, entry, req->n_labels);
    m->labels = arena_newn(a, entry *, req->n_labels);
    if (!entries || !m->labels)
        return arena_limit(a, "labels", reterr);
    for (size_t i = 0; i < req->n_labels; i++) {
        enum err_code c = check_label(str_of(req->labels[i]->key), str_of(req->labels[i]->value), reterr);
        if (c != ERR_OK)
            return c;
        openshell__datamodel__v1__object_meta__labels_entry__init(&entries[i]);
        entries[i].key = req->labels[i]->key;
        entries[i].value = req->labels[i]->value;
        m->labels[m->n_labels++] = &entries[i];
    }
    return ERR_OK;
}

static enum err_code new_meta(struct arena *a, char *name, DM(ObjectMeta) * *ret, struct err *reterr)
{
    char id[ID_SIZE];
    struct str copy = {};
    enum err_code c = id_make(id, reterr);
    if (c != ERR_OK)
        return c;
    DM(ObjectMeta) *m = arena_new(a, DM(ObjectMeta));
    if (!m || !arena_dup(a, str_of(id), &copy))
        return arena_limit(a, "an answer", reterr);
    openshell__datamodel__v1__object_meta__init(m);
    m->id = text(copy);
    m->name = name;
    m->created_at_ms = clock_realtime_ms();
    *ret = m;
    return ERR_OK;
}

enum err_code method_create_workspace(struct rpc_request *r, const ProtobufCMessage *in,
                                      ProtobufCMessage **ret, struct err *reterr)
{
    const V1(CreateWorkspaceRequest) *req = (const V1(CreateWorkspaceRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct store_write write = {.op = STORE_CREATE};
    uint64_t version = 0;
    size_t failed = 0;
    V1(CreateWorkspaceResponse) *out = arena_new(a, V1(CreateWorkspaceResponse));
    DM(Workspace) *w = arena_new(a, DM(Workspace));
    DM(WorkspaceStatus) *status = arena_new(a, DM(WorkspaceStatus));
    if (!out || !w || !status)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__create_workspace_response__init(out);
    openshell__datamodel__v1__workspace__init(w);
    openshell__datamodel__v1__workspace_status__init(status);
    status->phase = OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_ACTIVE;
    w->status = status;
    enum err_code c = check_sandbox_name(str_of(req->name), reterr); // the same alphabet and length
    if (c != ERR_OK)
        return err_set(reterr, c, "workspace name '%.*s': 1 to 19 of a-z, 0-9 and single '-' inside",
                       STR_FMT(str_of(req->name)));
    c = new_meta(a, req->name, &w->metadata, reterr);
    if (c == ERR_OK)
        c = copy_labels(req, a, w->metadata, reterr);
    if (c == ERR_OK)
        c = row_of(w, a, &write.object, reterr);
    if (c == ERR_OK)
        c = store_apply(s->store, &write, 1, &version, &failed, reterr);
    if (c == ERR_EXISTS)
        return err_set(reterr, c, "workspace '%.*s' already exists", STR_FMT(str_of(req->name)));
    if (c != ERR_OK)
        return c;
    w->metadata->resource_version = version;
    out->workspace = w;
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_get_workspace(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr)
{
    const V1(GetWorkspaceRequest) *req = (const V1(GetWorkspaceRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct store_object row = {};
    V1(GetWorkspaceResponse) *out = arena_new(a, V1(GetWorkspaceResponse));
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__get_workspace_response__init(out);
    enum err_code c = find(s->store, req->name, a, &row, &out->workspace, reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

// "k=v,k2=v2" as the store asks for it.
static enum err_code selector_of(struct str selector, struct arena *a, struct store_label **ret,
                                 size_t *ret_n, struct err *reterr)
{
    struct str rest = selector, pair;
    struct store_label *v = arena_newn(a, struct store_label, PAIRS_MAX);
    size_t n = 0;
    if (!v)
        return arena_limit(a, "a selector", reterr);
    while (str_split(&rest, ',', &pair)) {
        pair = str_trim(pair);
        ptrdiff_t eq = str_find(pair, '=');
        if (pair.n == 0)
            continue;
        if (eq <= 0 || n == PAIRS_MAX)
            return err_set(reterr, ERR_INVALID,
                           "label selector: '%.*s' is not KEY=VALUE, or there are over %d", STR_FMT(pair),
                           PAIRS_MAX);
        v[n++] = (struct store_label){str_trim(str_head(pair, (size_t)eq)),
                                      str_trim(str_from(pair, (size_t)eq + 1))};
    }
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

enum err_code method_list_workspaces(struct rpc_request *r, const ProtobufCMessage *in,
                                     ProtobufCMessage **ret, struct err *reterr)
{
    const V1(ListWorkspacesRequest) *req = (const V1(ListWorkspacesRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct store_label *labels = NULL;
    struct store_query q = {.kind = STR("workspace"), .limit = page(req->limit), .offset = req->offset};
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    V1(ListWorkspacesResponse) *out = arena_new(a, V1(ListWorkspacesResponse));
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_workspaces_response__init(out);
    q.workspace = STR("");
    enum err_code c = selector_of(str_of(req->label_selector), a, &labels, &q.n_labels, reterr);
    q.labels = labels;
    if (c == ERR_OK)
        c = store_list(s->store, &q, a, &rows, &n, &more, reterr);
    if (c != ERR_OK)
        return c;
    out->workspaces = arena_newn(a, DM(Workspace) *, n);
    if (!out->workspaces)
        return arena_limit(a, "an answer", reterr);
    for (size_t i = 0; c == ERR_OK && i < n; i++)
        c = read_workspace(&rows[i], a, &out->workspaces[out->n_workspaces++], reterr);
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}

// ---- their end

// ERR_PRECONDITION: what stands in its way, by kind.
static enum err_code check_empty(struct store *st, struct str name, struct arena *a, struct err *reterr)
{
    static const struct {
        struct str kind;
        const char *word;
    } kinds[] = {{STR_INIT("sandbox"), "sandbox"},
                 {STR_INIT("provider"), "provider"},
                 {STR_INIT("provider_profile"), "provider profile"},
                 {STR_INIT("service_endpoint"), "service"},
                 {STR_INIT("ssh_session"), "ssh session"},
                 {STR_INIT("sandbox_settings"), "sandbox settings"},
                 {STR_INIT("sandbox_policy"), "sandbox policy"},
                 {STR_INIT("draft_policy_chunk"), "draft policy chunk"},
                 {STR_INIT("provider_credential_refresh_state"), "credential refresh state"}};
    CLEANUP(buf_done) struct buf found;
    buf_init(&found, KIB);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct store_object *rows = NULL;
        size_t n = 0;
        bool more = false;
        const struct store_query q = {.kind = kinds[i].kind, .workspace = name, .limit = 1};
        enum err_code c = store_list(st, &q, a, &rows, &n, &more, reterr);
        if (c != ERR_OK)
            return c;
        if (n > 0)
            buf_addf(&found, "%s%s", found.n > 0 ? ", " : "", kinds[i].word);
    }
    if (found.n == 0)
        return ERR_OK;
    return err_set(reterr, ERR_PRECONDITION, "workspace '%.*s' still contains resources: %.*s", STR_FMT(name),
                   (int)found.n, buf_str(&found).p);
}

static enum err_code mark(struct store *st, struct store_object *row, DM(Workspace) * w, struct arena *a,
                          struct err *reterr)
{
    uint64_t version = 0;
    size_t failed = 0;
    struct store_write write = {.op = STORE_UPDATE, .if_version = row->version};
    if (w->status->phase == TERMINATING)
        return ERR_OK; // again
    w->status->phase = TERMINATING;
    w->metadata->deletion_timestamp_ms = clock_realtime_ms();
    enum err_code c = row_of(w, a, &write.object, reterr);
    if (c == ERR_OK)
        c = store_apply(st, &write, 1, &version, &failed, reterr);
    if (c == ERR_OK)
        row->version = version;
    return c;
}

// Its members go with it; one page is all there can be.
static enum err_code remove_all(struct store *st, const struct store_object *row, struct arena *a,
                                struct err *reterr)
{
    const struct store_object *members = NULL;
    size_t n = 0, failed = 0;
    bool more = false;
    const struct store_query q = {.kind = STR("workspace_member"),
                                  .workspace = row->name,
                                  .limit = WORKSPACE_MEMBERS_MAX};
    enum err_code c = store_list(st, &q, a, &members, &n, &more, reterr);
    if (c != ERR_OK)
        return c;
    struct store_write *w = arena_newn(a, struct store_write, n + 1);
    uint64_t *versions = arena_newn(a, uint64_t, n + 1);
    if (!w || !versions)
        return arena_limit(a, "a workspace", reterr);
    for (size_t i = 0; i < n; i++)
        w[i] = (struct store_write){.op = STORE_DELETE, .object = members[i]};
    w[n] = (struct store_write){.op = STORE_DELETE, .if_version = row->version, .object = *row};
    return store_apply(st, w, n + 1, versions, &failed, reterr);
}

enum err_code method_delete_workspace(struct rpc_request *r, const ProtobufCMessage *in,
                                      ProtobufCMessage **ret, struct err *reterr)
{
    const V1(DeleteWorkspaceRequest) *req = (const V1(DeleteWorkspaceRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct store_object row = {};
    DM(Workspace) *w = NULL;
    V1(DeleteWorkspaceResponse) *out = arena_new(a, V1(DeleteWorkspaceResponse));
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__delete_workspace_response__init(out);
    if (strcmp(req->name, WORKSPACE_DEFAULT) == 0)
        return err_set(reterr, ERR_PRECONDITION, "the workspace '%s' cannot be deleted", WORKSPACE_DEFAULT);
    enum err_code c = find(s->store, req->name, a, &row, &w, reterr);
    if (c == ERR_OK)
        c = mark(s->store, &row, w, a, reterr);
    if (c == ERR_OK)
        c = check_empty(s->store, row.name, a, reterr);
    if (c == ERR_OK)
        c = remove_all(s->store, &row, a, reterr);
    if (c == ERR_PRECONDITION && !strstr(reterr->msg, "still contains"))
        return rpc_request_fail(r, RPC_ABORTED, reterr,
                                "delete workspace failed due to concurrent modification "
                                "(current resource_version: unknown)");
    if (c != ERR_OK)
        return c;
    out->deleted = true;
    *ret = &out->base;
    return ERR_OK;
}

// ---- members

static enum err_code check_subject(const char *subject, struct err *reterr)
{
    struct str s = str_of(subject);
    bool ok = s.n > 0 && s.n <= SUBJECT_MAX;
    for (struct str rest = s; ok && rest.n > 0; rest = str_from(rest, utf8_next(rest)))
        ok = utf8_next(rest) > 0 && utf8_is_plain(str_head(rest, utf8_next(rest)));
    return ok ? ERR_OK
              : err_set(reterr, ERR_INVALID, "principal_subject has 1 to %d bytes, and no control character",
                        SUBJECT_MAX);
}

static enum err_code count_members(struct store *st, struct str workspace, struct arena *a,
                                   struct err *reterr)
{
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    const struct store_query q = {.kind = STR("workspace_member"),
                                  .workspace = workspace,
                                  .limit = WORKSPACE_MEMBERS_MAX};
    enum err_code c = store_list(st, &q, a, &rows, &n, &more, reterr);
    if (c == ERR_OK && n >= WORKSPACE_MEMBERS_MAX)
        c = err_set(reterr, ERR_LIMIT, "a workspace has at most %d members", WORKSPACE_MEMBERS_MAX);
    return c;
}

enum err_code method_add_member(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                struct err *reterr)
{
    const V1(AddWorkspaceMemberRequest) *req = (const V1(AddWorkspaceMemberRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct str workspace = {};
    struct store_write w = {.op = STORE_CREATE};
    uint64_t version = 0;
    size_t failed = 0;
    V1(AddWorkspaceMemberResponse) *out = arena_new(a, V1(AddWorkspaceMemberResponse));
    V1(WorkspaceMember) *m = arena_new(a, V1(WorkspaceMember));
    if (!out || !m)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__add_workspace_member_response__init(out);
    openshell__v1__workspace_member__init(m);
    m->principal_subject = req->principal_subject;
    m->role = req->role;
    if (req->role != OPENSHELL__V1__WORKSPACE_ROLE__WORKSPACE_ROLE_USER &&
        req->role != OPENSHELL__V1__WORKSPACE_ROLE__WORKSPACE_ROLE_ADMIN)
        return err_set(reterr, ERR_INVALID, "the role of a member is USER or ADMIN");
    enum err_code c = check_subject(req->principal_subject, reterr);
    if (c == ERR_OK)
        c = workspace_check(s->store, req->workspace, WORKSPACE_WRITE, a, &workspace, reterr);
    if (c == ERR_OK)
        c = count_members(s->store, workspace, a, reterr);
    if (c == ERR_OK)
        c = new_meta(a, req->principal_subject, &m->metadata, reterr);
    if (c != ERR_OK)
        return c;
    m->metadata->workspace = text(workspace);
    w.object = (struct store_object){.kind = STR("workspace_member"),
                                     .workspace = workspace,
                                     .id = str_of(m->metadata->id),
                                     .name = str_of(req->principal_subject),
                                     .created_ms = m->metadata->created_at_ms,
                                     .updated_ms = m->metadata->created_at_ms};
    c = pack(&m->base, a, &w.object.payload, reterr);
    if (c == ERR_OK)
        c = store_apply(s->store, &w, 1, &version, &failed, reterr);
    if (c == ERR_EXISTS)
        return err_set(reterr, c, "member already exists in this workspace");
    if (c != ERR_OK)
        return c;
    m->metadata->resource_version = version;
    out->member = m;
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_remove_member(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr)
{
    const V1(RemoveWorkspaceMemberRequest) *req = (const V1(RemoveWorkspaceMemberRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct str workspace = {};
    struct store_write w = {.op = STORE_DELETE};
    uint64_t version = 0;
    size_t failed = 0;
    V1(RemoveWorkspaceMemberResponse) *out = arena_new(a, V1(RemoveWorkspaceMemberResponse));
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__remove_workspace_member_response__init(out);
    enum err_code c = check_subject(req->principal_subject, reterr);
    if (c == ERR_OK)
        c = workspace_check(s->store, req->workspace, WORKSPACE_WRITE, a, &workspace, reterr);
    if (c != ERR_OK)
        return c;
    c = store_get_named(s->store, STR("workspace_member"), workspace, str_of(req->principal_subject), a,
                        &w.object, reterr);
    if (c == ERR_OK)
        c = store_apply(s->store, &w, 1, &version, &failed, reterr);
    if (c != ERR_OK && c != ERR_NOT_FOUND)
        return c;
    out->removed = c == ERR_OK;
    *ret = &out->base;
    return ERR_OK;
}

enum err_code method_list_members(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr)
{
    const V1(ListWorkspaceMembersRequest) *req = (const V1(ListWorkspaceMembersRequest) *)(const void *)in;
    const struct services *s = rpc_request_ctx(r);
    struct arena *a = rpc_request_arena(r);
    struct store_query q = {.kind = STR("workspace_member"),
                            .limit = page(req->limit),
                            .offset = req->offset};
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    V1(ListWorkspaceMembersResponse) *out = arena_new(a, V1(ListWorkspaceMembersResponse));
    if (!out)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__list_workspace_members_response__init(out);
    enum err_code c = workspace_check(s->store, req->workspace, WORKSPACE_READ, a, &q.workspace, reterr);
    if (c == ERR_OK)
        c = store_list(s->store, &q, a, &rows, &n, &more, reterr);
    if (c != ERR_OK)
        return c;
    out->members = arena_newn(a, V1(WorkspaceMember) *, n);
    if (!out->members)
        return arena_limit(a, "an answer", reterr);
    for (size_t i = 0; c == ERR_OK && i < n; i++) {
        ProtobufCMessage *m = NULL;
        c = wire_unpack(&openshell__v1__workspace_member__descriptor, rows[i].payload, a, &m, reterr);
        out->members[out->n_members++] = (V1(WorkspaceMember) *)(void *)m;
        if (c == ERR_OK && out->members[i]->metadata)
            out->members[i]->metadata->resource_version = rows[i].version;
    }
    if (c == ERR_OK)
        *ret = &out->base;
    return c;
}
