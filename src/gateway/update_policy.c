// UpdateConfig: a policy, replaced or changed by operations. Reference: gateway 4.2.
#include "base/clock.h"
#include "convert/policy_wire.h"
#include "gateway/records.h"
#include "gateway/revisions.h"
#include "gateway/settings.h"
#include "gateway/update.h"

#define SB(name)     Openshell__Sandbox__V1__##name
#define STATUS(name) OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_##name

typedef Openshell__V1__PolicyRevisionPayload__ProvenanceEntry provenance;

// One attempt: what was read, and what is to be stored.
struct attempt {
    Openshell__V1__Sandbox *sandbox;
    struct revision latest; // number 0: none
    struct policy *next;
    SB(SandboxPolicy) * message; // `next` again
    char hash[POLICY_HASH_LEN + 1];
    provenance **from;
    size_t n_from;
};

static enum err_code no_room(const struct update *u)
{
    return arena_limit(u->a, "a policy", u->err);
}

enum err_code update_conflict(const struct update *u, uint64_t version)
{
    char number[24] = "unknown";
    if (version > 0)
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)version);
    return rpc_request_fail(
        u->r, RPC_ABORTED, u->err,
        "update config failed due to concurrent modification (current resource_version: %s)", number);
}

// ---- what it becomes

// What operations are applied to: the newest revision, else nothing at all.
static enum err_code base_of(const struct update *u, const struct attempt *t, struct policy **ret)
{
    if (t->latest.payload)
        return policy_from_wire(t->latest.payload->policy, u->a, ret, u->err);
    struct policy *p = arena_new(u->a, struct policy);
    if (!p)
        return no_room(u);
    p->version = 1;
    *ret = p;
    return ERR_OK;
}

// Sections that a sandbox has been built from stay as they were.
static enum err_code check_static(const struct update *u, const struct attempt *t)
{
    struct policy *born = NULL;
    if (!t->sandbox->spec || !t->sandbox->spec->policy)
        return ERR_OK;
    enum err_code c = policy_from_wire(t->sandbox->spec->policy, u->a, &born, u->err);
    return c == ERR_OK ? policy_check_live(born, t->next, u->err) : c;
}

static enum err_code candidate(struct update *u, struct attempt *t)
{
    struct policy *base = NULL;
    enum err_code c = ERR_OK;
    if (u->req->policy) {
        t->message = u->req->policy;
        c = config_check_policy(u->req->policy, u->a, &t->next, u->err);
    } else {
        c = base_of(u, t, &base);
        if (c == ERR_OK && base)
            c = update_merge(base, u->req->merge_operations, u->req->n_merge_operations, u->a, &t->next,
                             u->err);
        if (c == ERR_OK)
            c = policy_to_wire(t->next, u->a, &t->message, u->err);
    }
    if (c == ERR_OK)
        c = check_static(u, t);
    return c == ERR_OK ? policy_hash(t->next, t->hash, u->err) : c;
}

// ---- where it comes from

static enum err_code provenance_of(const struct update *u, struct attempt *t)
{
    size_t n = u->req->n_annotations;
    provenance *entries = arena_newn(u->a, provenance, n);
    t->from = arena_newn(u->a, provenance *, n);
    if (!entries || !t->from)
        return no_room(u);
    for (size_t i = 0; i < n; i++) {
        openshell__v1__policy_revision_payload__provenance_entry__init(&entries[i]);
        entries[i].key = u->req->annotations[i]->key;
        entries[i].value = u->req->annotations[i]->value;
        t->from[i] = &entries[i];
    }
    t->n_from = n;
    return ERR_OK;
}

static bool same_provenance(const struct attempt *t)
{
    const Openshell__V1__PolicyRevisionPayload *p = t->latest.payload;
    size_t same = 0;
    for (size_t i = 0; i < p->n_provenance; i++)
        for (size_t k = 0; k < t->n_from; k++)
            same += strcmp(p->provenance[i]->key, t->from[k]->key) == 0 &&
                    strcmp(p->provenance[i]->value, t->from[k]->value) == 0;
    return same == p->n_provenance && same == t->n_from;
}

typedef Openshell__Datamodel__V1__ObjectMeta__AnnotationsEntry annotation;

// The record says what its newest policy came with.
static enum err_code annotate(const struct update *u, Openshell__Datamodel__V1__ObjectMeta *meta)
{
    annotation **list = arena_newn(u->a, annotation *, meta->n_annotations + u->req->n_annotations);
    if (!list)
        return no_room(u);
    size_t n = 0;
    for (size_t i = 0; i < meta->n_annotations; i++)
        list[n++] = meta->annotations[i];
    for (size_t i = 0; i < u->req->n_annotations; i++) {
        annotation *e = NULL;
        for (size_t k = 0; k < n && !e; k++)
            e = strcmp(list[k]->key, u->req->annotations[i]->key) == 0 ? list[k] : NULL;
        if (!e) {
            e = list[n++] = arena_new(u->a, annotation);
            if (!e)
                return no_room(u);
            openshell__datamodel__v1__object_meta__annotations_entry__init(e);
        }
        e->key = u->req->annotations[i]->key;
        e->value = u->req->annotations[i]->value;
    }
    meta->annotations = list;
    meta->n_annotations = n;
    return ERR_OK;
}

static enum err_code answer_annotations(const struct update *u,
                                        const Openshell__Datamodel__V1__ObjectMeta *meta)
{
    typedef Openshell__V1__UpdateConfigResponse__AnnotationsEntry out_entry;
    out_entry *entries = arena_newn(u->a, out_entry, meta->n_annotations);
    u->out->annotations = arena_newn(u->a, out_entry *, meta->n_annotations);
    if (!entries || !u->out->annotations)
        return no_room(u);
    for (size_t i = 0; i < meta->n_annotations; i++) {
        openshell__v1__update_config_response__annotations_entry__init(&entries[i]);
        entries[i].key = meta->annotations[i]->key;
        entries[i].value = meta->annotations[i]->value;
        u->out->annotations[i] = &entries[i];
    }
    u->out->n_annotations = meta->n_annotations;
    return ERR_OK;
}

// ---- one sandbox's

static enum err_code check_global(const struct update *u)
{
    struct revision global = {};
    bool is = false;
    enum err_code c = config_global(u->s->store, u->a, &global, &is, u->err);
    if (c == ERR_OK && is)
        return err_set(u->err, ERR_PRECONDITION,
                       "the policy is managed globally (revision %u): delete the global policy first",
                       global.number);
    return c;
}

static enum err_code read_now(struct update *u, struct str workspace, struct attempt *t)
{
    enum err_code c = record_by_name(u->s->store, workspace, str_of(u->req->name), u->a, &t->sandbox, u->err);
    if (c != ERR_OK)
        return c;
    uint64_t version = t->sandbox->metadata->resource_version;
    if (u->req->expected_resource_version != 0 && version != u->req->expected_resource_version)
        return update_conflict(u, version);
    c = config_latest(u->s->store, t->sandbox, u->a, &t->latest, u->err);
    return c == ERR_NOT_FOUND ? ERR_OK : c;
}

static enum err_code store_it(struct update *u, struct attempt *t, uint64_t *ret_version)
{
    struct store_write record = {};
    Openshell__V1__Sandbox *x = t->sandbox;
    enum err_code c = annotate(u, x->metadata);
    if (x->spec && !x->spec->policy)
        x->spec->policy = t->message; // from now on its static sections stay
    if (c == ERR_OK)
        c = record_write(x, STORE_UPDATE, x->metadata->resource_version, u->a, &record, u->err);
    if (c != ERR_OK)
        return c;
    const struct revision_new n = {.scope = {str_of(x->metadata->workspace), str_of(x->metadata->id)},
                                   .number = t->latest.number + 1,
                                   .policy = t->message,
                                   .hash = t->hash,
                                   .provenance = t->from,
                                   .n_provenance = t->n_from,
                                   .also = &record,
                                   .n_also = 1};
    return revision_add(u->s->store, &n, u->a, ret_version, u->err);
}

static enum err_code answer(struct update *u, const struct attempt *t, uint32_t number)
{
    struct str hash = {};
    if (!arena_dup(u->a, str_of(number > 0 ? t->hash : ""), &hash))
        return no_room(u);
    u->out->version = number;
    u->out->policy_hash = (char *)(uintptr_t)hash.p;
    return answer_annotations(u, t->sandbox->metadata);
}

// Nothing that would be another revision.
static bool is_same(const struct update *u, const struct attempt *t)
{
    if (t->latest.payload)
        return strcmp(t->latest.payload->hash, t->hash) == 0 && same_provenance(t);
    return !u->req->policy && t->next->entries_n == 0; // operations on nothing, without effect
}

enum err_code update_policy(struct update *u, struct str workspace)
{
    uint64_t version = 0;
    enum err_code c = check_global(u);
    for (unsigned tries = 0; c == ERR_OK && tries < UPDATE_TRIES; tries++) {
        struct attempt t = {};
        c = read_now(u, workspace, &t);
        if (c == ERR_OK)
            c = candidate(u, &t);
        if (c == ERR_OK)
            c = provenance_of(u, &t);
        if (c != ERR_OK)
            return c;
        if (is_same(u, &t))
            return answer(u, &t, t.latest.number);
        c = store_it(u, &t, &version);
        if (c == ERR_OK)
            return answer(u, &t, t.latest.number + 1);
        if (c != ERR_EXISTS && c != ERR_PRECONDITION)
            return c;
        c = ERR_OK; // somebody else was faster
    }
    return c == ERR_OK ? update_conflict(u, version) : c;
}

// ---- that of all sandboxes

// The settings' revision counts the policy's changes too; nothing else of them changes.
static enum err_code bump(struct update *u, struct settings *settings, struct store_write *ret)
{
    enum err_code c = settings_read(u->s->store, SETTINGS_GLOBAL, u->a, settings, u->err);
    return c == ERR_OK ? settings_write(SETTINGS_GLOBAL, settings, u->a, ret, u->err) : c;
}

static enum err_code remove_global(struct update *u)
{
    struct settings settings = {};
    struct revision now = {};
    struct store_write w = {};
    bool is = false;
    size_t n = 0;
    enum err_code c = config_global(u->s->store, u->a, &now, &is, u->err);
    if (c == ERR_OK)
        c = bump(u, &settings, &w);
    if (c == ERR_OK && is)
        c = revision_supersede(u->s->store, REVISION_GLOBAL, &w, 1, u->a, &n, u->err);
    if (c == ERR_EXISTS || c == ERR_PRECONDITION)
        return update_conflict(u, 0);
    u->out->deleted = is;
    u->out->settings_revision = settings.revision - !is;
    return c;
}

static enum err_code set_global(struct update *u)
{
    struct attempt t = {};
    struct settings settings = {};
    struct store_write w = {};
    uint64_t version = 0;
    struct str hash = {};
    enum err_code c = config_check_policy(u->req->policy, u->a, &t.next, u->err);
    if (c == ERR_OK)
        c = policy_hash(t.next, t.hash, u->err);
    if (c == ERR_OK && !arena_dup(u->a, str_of(t.hash), &hash))
        c = no_room(u);
    if (c == ERR_OK)
        c = revision_latest(u->s->store, REVISION_GLOBAL, u->a, &t.latest, u->err);
    if (c == ERR_OK || c == ERR_NOT_FOUND)
        c = bump(u, &settings, &w);
    if (c != ERR_OK)
        return c;
    bool same = t.latest.status == STATUS(LOADED) && strcmp(t.latest.payload->hash, t.hash) == 0;
    const struct revision_new n = {.scope = REVISION_GLOBAL,
                                   .number = t.latest.number + 1,
                                   .policy = u->req->policy,
                                   .hash = t.hash,
                                   .loaded = true,
                                   .also = &w,
                                   .n_also = 1};
    if (!same)
        c = revision_add(u->s->store, &n, u->a, &version, u->err);
    if (c == ERR_EXISTS || c == ERR_PRECONDITION)
        return update_conflict(u, 0);
    u->out->version = t.latest.number + !same;
    u->out->policy_hash = (char *)(uintptr_t)hash.p;
    u->out->settings_revision = settings.revision - same;
    return c;
}

enum err_code update_global_policy(struct update *u)
{
    return u->req->policy ? set_global(u) : remove_global(u);
}
