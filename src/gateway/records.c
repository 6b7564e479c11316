#include "gateway/records.h"

#include "base/clock.h"
#include "rpc/wire.h"

enum { RECORD_MAX = 2 * MIB }; // ours: a request has at most 1 MiB, and a status is small

typedef Openshell__V1__Sandbox Sandbox;

static enum err_code not_found(struct err *reterr)
{
    return err_set(reterr, ERR_NOT_FOUND, "sandbox not found");
}

// A row whose payload has no metadata was not written by record_insert().
static enum err_code unpack(const struct store_object *row, struct arena *a, Sandbox **ret,
                            struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code r = wire_unpack(&openshell__v1__sandbox__descriptor, row->payload, a, &m, reterr);
    if (r == ERR_INVALID)
        return err_set(reterr, ERR_INTERNAL, "the record of sandbox '%.*s' is damaged", STR_FMT(row->id));
    if (r != ERR_OK)
        return r;
    Sandbox *out = (Sandbox *)(void *)m;
    if (!out->metadata)
        return err_set(reterr, ERR_INTERNAL, "the record of sandbox '%.*s' has no metadata",
                       STR_FMT(row->id));
    out->metadata->resource_version = row->version;
    *ret = out;
    return ERR_OK;
}

// The row of a record, but for its payload. Its labels live in the arena.
static enum err_code row_of(const Sandbox *sandbox, struct arena *a, struct store_object *ret,
                            struct err *reterr)
{
    const Openshell__Datamodel__V1__ObjectMeta *m = sandbox->metadata;
    struct store_label *labels = arena_newn(a, struct store_label, m->n_labels);
    if (!labels)
        return arena_limit(a, "labels", reterr);
    for (size_t i = 0; i < m->n_labels; i++)
        labels[i] = (struct store_label){str_of(m->labels[i]->key), str_of(m->labels[i]->value)};
    *ret = (struct store_object){.kind = STR(RECORD_KIND),
                                 .workspace = str_of(m->workspace),
                                 .id = str_of(m->id),
                                 .name = str_of(m->name),
                                 .labels = labels,
                                 .n_labels = m->n_labels,
                                 .created_ms = m->created_at_ms,
                                 .updated_ms = clock_realtime_ms()};
    return ERR_OK;
}

enum err_code record_write(const Openshell__V1__Sandbox *sandbox, enum store_op op, uint64_t if_version,
                           struct arena *a, struct store_write *ret, struct err *reterr)
{
    struct store_object row = {};
    Openshell__Datamodel__V1__ObjectMeta meta = *sandbox->metadata;
    Sandbox copy = *sandbox;
    meta.resource_version = 0; // the column has it
    copy.metadata = &meta;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, RECORD_MAX);
    enum err_code r = row_of(sandbox, a, &row, reterr);
    if (r == ERR_OK)
        r = wire_pack(&copy.base, &b, reterr);
    if (r != ERR_OK)
        return r;
    if (!arena_dup(a, buf_str(&b), &row.payload))
        return arena_limit(a, "a record", reterr);
    *ret = (struct store_write){op, if_version, row};
    return ERR_OK;
}

// One write; *ret_version is the new version, or that in the way.
static enum err_code put(struct store *st, const Sandbox *sandbox, enum store_op op, uint64_t if_version,
                         struct arena *a, uint64_t *ret_version, struct err *reterr)
{
    struct store_write w = {};
    size_t failed;
    enum err_code r = record_write(sandbox, op, if_version, a, &w, reterr);
    return r == ERR_OK ? store_apply(st, &w, 1, ret_version, &failed, reterr) : r;
}

enum err_code record_by_name(struct store *st, struct str workspace, struct str name, struct arena *a,
                             Openshell__V1__Sandbox **ret, struct err *reterr)
{
    struct store_object row = {};
    enum err_code r = store_get_named(st, STR(RECORD_KIND), workspace, name, a, &row, reterr);
    if (r == ERR_NOT_FOUND)
        return not_found(reterr);
    return r == ERR_OK ? unpack(&row, a, ret, reterr) : r;
}

enum err_code record_by_id(struct store *st, struct str id, struct arena *a, Openshell__V1__Sandbox **ret,
                           struct err *reterr)
{
    struct store_object row = {};
    enum err_code r = store_get(st, STR(RECORD_KIND), id, a, &row, reterr);
    if (r == ERR_NOT_FOUND)
        return not_found(reterr);
    return r == ERR_OK ? unpack(&row, a, ret, reterr) : r;
}

enum err_code record_list(struct store *st, const struct store_query *query, struct arena *a,
                          Openshell__V1__Sandbox ***ret, size_t *ret_n, bool *ret_more, struct err *reterr)
{
    struct store_query q = *query;
    const struct store_object *rows = NULL;
    size_t n = 0;
    bool more = false;
    q.kind = STR(RECORD_KIND);
    enum err_code r = store_list(st, &q, a, &rows, &n, &more, reterr);
    if (r != ERR_OK)
        return r;
    Sandbox **v = arena_newn(a, Sandbox *, n);
    if (!v)
        return arena_limit(a, "a list of sandboxes", reterr);
    for (size_t i = 0; r == ERR_OK && i < n; i++)
        r = unpack(&rows[i], a, &v[i], reterr);
    if (r != ERR_OK)
        return r;
    *ret = v;
    *ret_n = n;
    *ret_more = more;
    return ERR_OK;
}

enum err_code record_insert(struct store *st, Openshell__V1__Sandbox *sandbox, struct err *reterr)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 2 * RECORD_MAX);
    uint64_t version = 0;
    enum err_code r = put(st, sandbox, STORE_CREATE, 0, &a, &version, reterr);
    if (r == ERR_EXISTS)
        return err_set(reterr, r, "sandbox '%.*s' already exists", STR_FMT(str_of(sandbox->metadata->name)));
    if (r == ERR_OK)
        sandbox->metadata->resource_version = version;
    return r;
}

static enum err_code changed_meanwhile(uint64_t version, uint64_t *ret_version, struct err *reterr)
{
    *ret_version = version;
    return err_set(reterr, ERR_PRECONDITION,
                   "the sandbox was changed meanwhile (current resource_version: %llu)",
                   (unsigned long long)version);
}

enum err_code record_update(struct store *st, struct str id, uint64_t if_version, record_change *change,
                            void *ctx, struct arena *a, Openshell__V1__Sandbox **ret, uint64_t *ret_version,
                            struct err *reterr)
{
    uint64_t version = 0;
    for (unsigned tries = 0; tries < RECORD_UPDATE_TRIES; tries++) {
        Sandbox *now = NULL;
        enum err_code r = record_by_id(st, id, a, &now, reterr);
        if (r != ERR_OK)
            return r;
        version = now->metadata->resource_version;
        if (if_version != 0 && version != if_version)
            return changed_meanwhile(version, ret_version, reterr);
        int verdict = change(now, ctx, a, reterr);
        if (verdict > ERR_OK)
            return (enum err_code)verdict;
        uint64_t next = version;
        r = verdict == RECORD_SAME ? ERR_OK : put(st, now, STORE_UPDATE, version, a, &next, reterr);
        if (r == ERR_OK) {
            now->metadata->resource_version = next;
            *ret = now;
            *ret_version = next;
            return ERR_OK;
        }
        if (r == ERR_NOT_FOUND)
            return not_found(reterr);
        if (r != ERR_PRECONDITION)
            return r;
        version = next;
    }
    return changed_meanwhile(version, ret_version, reterr);
}

enum err_code record_remove(struct store *st, struct str id, struct err *reterr)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 2 * RECORD_MAX);
    Sandbox *now = NULL;
    uint64_t version;
    size_t failed;
    enum err_code r = record_by_id(st, id, &a, &now, reterr);
    if (r != ERR_OK)
        return r;
    const struct store_write w = {.op = STORE_DELETE,
                                  .object = {.kind = STR(RECORD_KIND),
                                             .workspace = str_of(now->metadata->workspace),
                                             .id = id}};
    r = store_apply(st, &w, 1, &version, &failed, reterr);
    return r == ERR_NOT_FOUND ? not_found(reterr) : r;
}
