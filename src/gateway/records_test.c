#include "gateway/records.h"

#include "tap.h"

#include "store/store_test.h"

typedef Openshell__V1__Sandbox Sandbox;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // packing only reads them
}

static bool said(enum err_code r, enum err_code want, const struct err *err, const char *msg)
{
    bool ok = r == want && strstr(err->msg, msg);
    if (!ok)
        tap_note("%s: %s; want %s: %s", err_code_name(r), err->msg, err_code_name(want), msg);
    return ok;
}

static enum err_code insert(struct store *st, const char *id, const char *workspace, const char *name,
                            const char *team, struct err *err)
{
    Openshell__Datamodel__V1__ObjectMeta__LabelsEntry
        label = OPENSHELL__DATAMODEL__V1__OBJECT_META__LABELS_ENTRY__INIT,
        *labels[] = {&label};
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    Openshell__V1__SandboxSpec spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    Sandbox s = OPENSHELL__V1__SANDBOX__INIT;
    label.key = text("team");
    label.value = text(team);
    meta.id = text(id);
    meta.workspace = text(workspace);
    meta.name = text(name);
    meta.created_at_ms = 7;
    meta.labels = labels;
    meta.n_labels = 1;
    meta.resource_version = 77; // counts for nothing
    s.metadata = &meta;
    s.spec = &spec;
    enum err_code r = record_insert(st, &s, err);
    return r == ERR_OK && meta.resource_version != 1 ? ERR_INTERNAL : r;
}

static void test_reading(struct store *st, struct arena *a)
{
    struct err err = {};
    Sandbox *s = NULL, **all = NULL;
    size_t n = 0;
    bool more = false;
    tap_ok(insert(st, "id-1", "default", "one", "core", &err) == ERR_OK, "insert: version 1");
    tap_ok(said(insert(st, "id-2", "default", "one", "x", &err), ERR_EXISTS, &err,
                "sandbox 'one' already exists"),
           "insert: a name is taken once in a workspace");
    tap_ok(insert(st, "id-3", "other", "one", "core", &err) == ERR_OK, "insert: and again in another one");
    tap_ok(record_by_name(st, STR("default"), STR("one"), a, &s, &err) == ERR_OK &&
               strcmp(s->metadata->id, "id-1") == 0 && s->metadata->resource_version == 1 &&
               s->metadata->created_at_ms == 7 && s->spec && s->metadata->n_labels == 1,
           "by name: the record, with the store's version");
    tap_ok(record_by_id(st, STR("id-3"), a, &s, &err) == ERR_OK &&
               strcmp(s->metadata->workspace, "other") == 0,
           "by id, whatever the workspace");
    tap_ok(said(record_by_name(st, STR("third"), STR("one"), a, &s, &err), ERR_NOT_FOUND, &err,
                "sandbox not found"),
           "by name: another workspace's is not found");
    tap_ok(said(record_by_id(st, STR("id-9"), a, &s, &err), ERR_NOT_FOUND, &err, "sandbox not found"),
           "by id: none is not found");
    struct store_query q = {.workspace = STR("default"), .order = STORE_OLDEST, .limit = 10};
    tap_ok(record_list(st, &q, a, &all, &n, &more, &err) == ERR_OK && n == 1 && !more &&
               strcmp(all[0]->metadata->id, "id-1") == 0 && all[0]->metadata->resource_version == 1,
           "list: those of the workspace");
    q.all_workspaces = true;
    q.limit = 1;
    tap_ok(record_list(st, &q, a, &all, &n, &more, &err) == ERR_OK && n == 1 && more, "list: in pages");
    const struct store_label core = {STR("team"), STR("core")}, none = {STR("team"), STR("x")};
    q.limit = 10;
    q.labels = &core;
    q.n_labels = 1;
    tap_ok(record_list(st, &q, a, &all, &n, &more, &err) == ERR_OK && n == 2, "list: by label");
    q.labels = &none;
    tap_ok(record_list(st, &q, a, &all, &n, &more, &err) == ERR_OK && n == 0,
           "list: the label of an insert that failed is nowhere");
}

struct edit {
    struct store *st;
    const char *pod;
    unsigned calls, disturb; // how many of the calls find that somebody wrote meanwhile
    int verdict;
};

static int edit(Sandbox *s, void *ctx, struct arena *a, struct err *reterr)
{
    struct edit *e = ctx;
    e->calls++;
    if (e->verdict > 0) {
        err_fill(reterr, (enum err_code)e->verdict, "no");
        return e->verdict;
    }
    s->status = arena_new(a, Openshell__V1__SandboxStatus);
    openshell__v1__sandbox_status__init(s->status);
    s->status->agent_pod = text(e->pod);
    if (e->calls <= e->disturb) {
        struct edit inner = {.pod = "meanwhile"};
        uint64_t v;
        if (record_update(e->st, str_of(s->metadata->id), 0, edit, &inner, a, &(Sandbox *){NULL}, &v,
                          reterr) != ERR_OK)
            return ERR_INTERNAL;
    }
    return e->verdict;
}

static void test_writing(struct store *st, struct arena *a)
{
    struct err err = {};
    Sandbox *s = NULL;
    uint64_t v = 0;
    struct edit e = {st, "p", 0, 0, 0};
    tap_ok(record_update(st, STR("id-1"), 0, edit, &e, a, &s, &v, &err) == ERR_OK && v == 2 && e.calls == 1 &&
               s->metadata->resource_version == 2 && strcmp(s->status->agent_pod, "p") == 0,
           "update: what was changed, one version on");
    tap_ok(record_by_id(st, STR("id-1"), a, &s, &err) == ERR_OK && strcmp(s->status->agent_pod, "p") == 0 &&
               s->metadata->resource_version == 2 && s->metadata->n_labels == 1,
           "update: is stored, and the rest stays");
    tap_ok(said(record_update(st, STR("id-1"), 1, edit, &e, a, &s, &v, &err), ERR_PRECONDITION, &err,
                "current resource_version: 2") &&
               v == 2 && e.calls == 1,
           "update: of another version is refused before anything is changed");
    tap_ok(record_update(st, STR("id-1"), 2, edit, &e, a, &s, &v, &err) == ERR_OK && v == 3,
           "update: of the right version");
    e = (struct edit){st, "q", 0, RECORD_UPDATE_TRIES - 1, 0};
    tap_ok(record_update(st, STR("id-1"), 0, edit, &e, a, &s, &v, &err) == ERR_OK &&
               e.calls == RECORD_UPDATE_TRIES && strcmp(s->status->agent_pod, "q") == 0 && v == 6,
           "update: tried again when somebody wrote meanwhile");
    e = (struct edit){st, "r", 0, RECORD_UPDATE_TRIES, 0};
    tap_ok(said(record_update(st, STR("id-1"), 0, edit, &e, a, &s, &v, &err), ERR_PRECONDITION, &err,
                "current resource_version: 9") &&
               v == 9,
           "update: but not for ever");
    e = (struct edit){st, "s", 0, 1, 0};
    tap_ok(said(record_update(st, STR("id-1"), 9, edit, &e, a, &s, &v, &err), ERR_PRECONDITION, &err, "10") &&
               e.calls == 1,
           "update: and not at all where a version was named");
    e = (struct edit){st, "t", 0, 0, RECORD_SAME};
    tap_ok(record_update(st, STR("id-1"), 0, edit, &e, a, &s, &v, &err) == ERR_OK && v == 10,
           "update: nothing changed is no new version");
    e = (struct edit){st, "u", 0, 0, ERR_DENIED};
    tap_ok(said(record_update(st, STR("id-1"), 0, edit, &e, a, &s, &v, &err), ERR_DENIED, &err, "no"),
           "update: a change that is refused is told");
    tap_ok(record_by_id(st, STR("id-1"), a, &s, &err) == ERR_OK && s->metadata->resource_version == 10 &&
               strcmp(s->status->agent_pod, "meanwhile") == 0,
           "update: and writes nothing");
    tap_ok(said(record_update(st, STR("no"), 0, edit, &e, a, &s, &v, &err), ERR_NOT_FOUND, &err,
                "sandbox not found"),
           "update: of none");
    tap_ok(record_remove(st, STR("id-1"), &err) == ERR_OK &&
               said(record_by_id(st, STR("id-1"), a, &s, &err), ERR_NOT_FOUND, &err, "not found"),
           "remove");
    tap_ok(said(record_remove(st, STR("id-1"), &err), ERR_NOT_FOUND, &err, "sandbox not found"),
           "remove: not twice");
    tap_ok(record_by_id(st, STR("id-3"), a, &s, &err) == ERR_OK, "remove: only that one");
}

static void test_damage(struct store *st, struct arena *a)
{
    struct err err = {};
    Sandbox *s = NULL;
    uint64_t v;
    struct store_object o = thing("bad", "bad");
    o.kind = STR(RECORD_KIND);
    o.payload = STR("\xff\xff");
    (void)!put(st, STORE_CREATE, 0, o, &v, &err);
    tap_ok(said(record_by_id(st, STR("bad"), a, &s, &err), ERR_INTERNAL, &err, "'bad' is damaged"),
           "a payload that is none is our mistake, not the caller's");
    o.id = o.name = STR("empty");
    o.payload = STR("");
    (void)!put(st, STORE_CREATE, 0, o, &v, &err);
    tap_ok(said(record_by_id(st, STR("empty"), a, &s, &err), ERR_INTERNAL, &err, "no metadata"),
           "and so is one without metadata");
}

int main(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 8 * MIB);
    test_reading(st, &a);
    test_writing(st, &a);
    test_damage(st, &a);
    store_free(st);
    place_done(&p);
    return tap_done();
}
