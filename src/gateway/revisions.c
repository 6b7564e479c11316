#include "gateway/revisions.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "rpc/wire.h"

#define PAYLOAD(m) ((Openshell__V1__PolicyRevisionPayload *)(void *)(m))

enum {
    WRITES_MAX = 64, // of one transaction: those superseded, the revision, and what goes with it
    ID_SIZE = 96,    // "SCOPE.NUMBER"
};

static const char *const names[] = {
    [OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_UNSPECIFIED] = "",
    [OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_PENDING] = "pending",
    [OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED] = "loaded",
    [OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED] = "failed",
    [OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_SUPERSEDED] = "superseded",
};
#define STATUS(name) OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_##name

const char *revision_status_name(Openshell__V1__PolicyStatus status)
{
    return (size_t)status < ARRAY_LEN(names) ? names[status] : "";
}

static Openshell__V1__PolicyStatus status_of(struct str word)
{
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        if (str_eq(word, str_of(names[i])))
            return (Openshell__V1__PolicyStatus)i;
    return STATUS(UNSPECIFIED);
}

// ---- reading

static enum err_code read_row(const struct store_object *o, struct arena *a, struct revision *ret,
                              struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code c = wire_unpack(&openshell__v1__policy_revision_payload__descriptor, o->payload, a, &m,
                                  reterr);
    if (c == ERR_OK && (!PAYLOAD(m)->policy || o->revision < 1 || o->revision > UINT32_MAX))
        c = err_set(reterr, ERR_INTERNAL, "policy revision %.*s is not what was stored", STR_FMT(o->id));
    if (c != ERR_OK)
        return c;
    *ret = (struct revision){.number = (uint32_t)o->revision,
                             .status = status_of(o->status),
                             .created_ms = o->created_ms,
                             .payload = PAYLOAD(m)};
    return ERR_OK;
}

static struct store_query query_of(struct revision_scope scope, struct str status, uint32_t limit)
{
    return (struct store_query){.kind = STR("sandbox_policy"),
                                .workspace = scope.workspace,
                                .scope = scope.id,
                                .status = status,
                                .order = STORE_LAST_REVISION,
                                .limit = limit};
}

enum err_code revision_list(struct store *st, struct revision_scope scope, uint32_t limit, uint64_t offset,
                            struct arena *a, struct revision **ret, size_t *ret_n, struct err *reterr)
{
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    struct store_query q = query_of(scope, (struct str){}, limit);
    q.offset = offset;
    enum err_code c = store_list(st, &q, a, &rows, &n, &more, reterr);
    if (c != ERR_OK)
        return c;
    struct revision *v = arena_newn(a, struct revision, n);
    if (!v)
        return arena_limit(a, "policy revisions", reterr);
    for (size_t i = 0; c == ERR_OK && i < n; i++)
        c = read_row(&rows[i], a, &v[i], reterr);
    if (c == ERR_OK) {
        *ret = v;
        *ret_n = n;
    }
    return c;
}

enum err_code revision_latest(struct store *st, struct revision_scope scope, struct arena *a,
                              struct revision *ret, struct err *reterr)
{
    struct revision *v = NULL;
    size_t n = 0;
    enum err_code c = revision_list(st, scope, 1, 0, a, &v, &n, reterr);
    if (c == ERR_OK && n == 0)
        c = err_set(reterr, ERR_NOT_FOUND, "policy revision not found");
    if (c == ERR_OK)
        *ret = v[0];
    return c;
}

static struct str id_of(struct revision_scope scope, uint32_t number, char dst[static ID_SIZE])
{
    int n = snprintf(dst, ID_SIZE, "%.*s.%u", STR_FMT(scope.id), number);
    return (struct str){dst, n > 0 ? (size_t)n : 0};
}

static enum err_code get_row(struct store *st, struct revision_scope scope, uint32_t number, struct arena *a,
                             struct store_object *ret, struct err *reterr)
{
    char id[ID_SIZE];
    enum err_code c = store_get(st, STR("sandbox_policy"), id_of(scope, number, id), a, ret, reterr);
    if (c == ERR_NOT_FOUND || (c == ERR_OK && !str_eq(ret->workspace, scope.workspace)))
        return err_set(reterr, ERR_NOT_FOUND, "policy revision not found");
    return c;
}

enum err_code revision_get(struct store *st, struct revision_scope scope, uint32_t number, struct arena *a,
                           struct revision *ret, struct err *reterr)
{
    struct store_object row = {};
    enum err_code c = get_row(st, scope, number, a, &row, reterr);
    return c == ERR_OK ? read_row(&row, a, ret, reterr) : c;
}

// ---- writing

struct batch {
    struct store_write w[WRITES_MAX];
    size_t n;
    size_t also_at, also_n; // where the caller's own begin
};

// One row with that status, other than the one that is about to count.
static enum err_code add_superseded(struct store *st, struct revision_scope scope, const char *status,
                                    int64_t below, struct arena *a, struct batch *b, struct err *reterr)
{
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    const struct store_query q = query_of(scope, str_of(status), WRITES_MAX / 4);
    enum err_code c = store_list(st, &q, a, &rows, &n, &more, reterr);
    for (size_t i = 0; c == ERR_OK && i < n; i++) {
        if (rows[i].revision >= below)
            continue;
        struct store_write *w = &b->w[b->n++]; // twice a quarter of the room
        *w = (struct store_write){.op = STORE_UPDATE, .if_version = rows[i].version, .object = rows[i]};
        w->object.status = str_of(revision_status_name(STATUS(SUPERSEDED)));
        w->object.updated_ms = clock_realtime_ms();
    }
    return c;
}

static enum err_code add_all_superseded(struct store *st, struct revision_scope scope, int64_t below,
                                        struct arena *a, struct batch *b, struct err *reterr)
{
    enum err_code c = add_superseded(st, scope, "pending", below, a, b, reterr);
    return c == ERR_OK ? add_superseded(st, scope, "loaded", below, a, b, reterr) : c;
}

static enum err_code apply(struct store *st, struct batch *b, const struct store_write *also, size_t n_also,
                           uint64_t *ret_version, struct err *reterr)
{
    uint64_t versions[WRITES_MAX] = {};
    size_t failed = 0;
    assert(n_also <= REVISION_ALSO_MAX);
    b->also_at = b->n;
    for (size_t i = 0; i < n_also; i++)
        b->w[b->n++] = also[i];
    enum err_code c = b->n > 0 ? store_apply(st, b->w, b->n, versions, &failed, reterr) : ERR_OK;
    if (c == ERR_PRECONDITION && failed < b->also_at)
        return err_set(reterr, ERR_EXISTS, "another policy revision has just changed");
    if (c == ERR_PRECONDITION && failed < b->n)
        *ret_version = versions[failed];
    return c;
}

static enum err_code pack(const Openshell__V1__PolicyRevisionPayload *p, struct arena *a, struct str *ret,
                          struct err *reterr)
{
    struct buf bytes;
    buf_init(&bytes, STORE_PAYLOAD_MAX);
    enum err_code c = wire_pack(&p->base, &bytes, reterr);
    if (c == ERR_OK && !arena_dup(a, buf_str(&bytes), ret))
        c = arena_limit(a, "a policy revision", reterr);
    buf_done(&bytes);
    return c;
}

enum err_code revision_add(struct store *st, const struct revision_new *n, struct arena *a,
                           uint64_t *ret_version, struct err *reterr)
{
    char id[ID_SIZE];
    struct batch b = {};
    Openshell__V1__PolicyRevisionPayload p = OPENSHELL__V1__POLICY_REVISION_PAYLOAD__INIT;
    struct store_object o = {.kind = STR("sandbox_policy"),
                             .workspace = n->scope.workspace,
                             .id = id_of(n->scope, n->number, id),
                             .scope = n->scope.id,
                             .revision = n->number,
                             .created_ms = clock_realtime_ms()};
    o.updated_ms = o.created_ms;
    o.status = str_of(revision_status_name(n->loaded ? STATUS(LOADED) : STATUS(PENDING)));
    p.policy = n->policy;
    p.hash = (char *)(uintptr_t)n->hash; // packing only reads it
    p.provenance = n->provenance;
    p.n_provenance = n->n_provenance;
    p.loaded_at_ms = n->loaded ? o.created_ms : 0;
    enum err_code c = pack(&p, a, &o.payload, reterr);
    if (c == ERR_OK)
        c = add_all_superseded(st, n->scope, n->number, a, &b, reterr);
    if (c != ERR_OK)
        return c;
    b.w[b.n++] = (struct store_write){.op = STORE_CREATE, .object = o};
    return apply(st, &b, n->also, n->n_also, ret_version, reterr);
}

enum err_code revision_report(struct store *st, struct revision_scope scope, uint32_t number,
                              Openshell__V1__PolicyStatus status, struct str why,
                              const struct store_write *also, size_t n_also, struct arena *a,
                              uint64_t *ret_version, struct err *reterr)
{
    struct batch b = {};
    struct store_object o = {};
    struct revision v = {};
    struct str error = {};
    bool loaded = status == STATUS(LOADED);
    size_t cut = why.n < REVISION_ERROR_MAX ? why.n : REVISION_ERROR_MAX;
    while (cut > 0 && !utf8_is_valid(str_head(why, cut)))
        cut--; // not inside a character, which could not be read again
    enum err_code c = get_row(st, scope, number, a, &o, reterr);
    if (c == ERR_OK)
        c = read_row(&o, a, &v, reterr);
    if (c == ERR_OK && !arena_dup(a, str_head(why, cut), &error))
        c = arena_limit(a, "a policy revision", reterr);
    if (c != ERR_OK)
        return c;
    v.payload->load_error = (char *)(uintptr_t)error.p;
    if (loaded)
        v.payload->loaded_at_ms = clock_realtime_ms();
    c = pack(v.payload, a, &o.payload, reterr);
    if (c == ERR_OK && loaded)
        c = add_all_superseded(st, scope, number, a, &b, reterr);
    if (c != ERR_OK)
        return c;
    o.status = str_of(revision_status_name(status));
    o.updated_ms = clock_realtime_ms();
    b.w[b.n++] = (struct store_write){.op = STORE_UPDATE, .if_version = o.version, .object = o};
    return apply(st, &b, also, n_also, ret_version, reterr);
}

enum err_code revision_supersede(struct store *st, struct revision_scope scope,
                                 const struct store_write *also, size_t n_also, struct arena *a,
                                 size_t *ret_n, struct err *reterr)
{
    struct batch b = {};
    uint64_t version = 0;
    enum err_code c = add_all_superseded(st, scope, INT64_MAX, a, &b, reterr);
    size_t n = b.n;
    if (c == ERR_OK)
        c = apply(st, &b, also, n_also, &version, reterr);
    if (c == ERR_OK)
        *ret_n = n;
    return c;
}

// ---- as clients see it

static enum err_code provenance_of(const Openshell__V1__PolicyRevisionPayload *p, struct arena *a,
                                   Openshell__V1__SandboxPolicyRevision *m, struct err *reterr)
{
    m->provenance = arena_newn(a, Openshell__V1__SandboxPolicyRevision__ProvenanceEntry *, p->n_provenance);
    for (size_t i = 0; m->provenance && i < p->n_provenance; i++) {
        Openshell__V1__SandboxPolicyRevision__ProvenanceEntry
            *e = arena_new(a, Openshell__V1__SandboxPolicyRevision__ProvenanceEntry);
        if (!e)
            return arena_limit(a, "an answer", reterr);
        openshell__v1__sandbox_policy_revision__provenance_entry__init(e);
        e->key = p->provenance[i]->key;
        e->value = p->provenance[i]->value;
        m->provenance[m->n_provenance++] = e;
    }
    return m->provenance ? ERR_OK : arena_limit(a, "an answer", reterr);
}

enum err_code revision_message(const struct revision *v, bool brief, struct arena *a,
                               Openshell__V1__SandboxPolicyRevision **ret, struct err *reterr)
{
    Openshell__V1__SandboxPolicyRevision *m = arena_new(a, Openshell__V1__SandboxPolicyRevision);
    if (!m)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__sandbox_policy_revision__init(m);
    m->version = v->number;
    m->policy_hash = v->payload->hash;
    m->status = v->status;
    m->load_error = v->payload->load_error;
    m->created_at_ms = v->created_ms;
    m->loaded_at_ms = v->payload->loaded_at_ms;
    m->policy = brief ? NULL : v->payload->policy;
    *ret = m;
    return provenance_of(v->payload, a, m, reterr);
}
