#include "policy/diff.h"
#include "policy/diff_words.h"
#include "policy/grant.h"
#include "policy/shape.h"

// ---- filesystem, landlock, process: fixed for the life of a sandbox
// ------------------------------------------

static bool has_str(const struct strs *list, struct str s)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i], s))
            return true;
    return false;
}

// Whether the list has a directory that `path` is in.
static bool has_parent(const struct strs *list, struct str path)
{
    for (size_t i = 0; i < list->n; i++) {
        struct str dir = list->v[i];
        while (dir.n > 0 && dir.p[dir.n - 1] == '/')
            dir.n--;
        if (str_starts(path, dir) && path.n > dir.n && path.p[dir.n] == '/')
            return true;
    }
    return false;
}

static void diff_paths(struct diff *d, const struct strs *from, const struct strs *to,
                       const struct strs *other_from, const struct strs *other_to, bool is_write)
{
    size_t at = diff_enter(d, is_write ? "filesystem_policy.read_write" : "filesystem_policy.read_only");
    for (size_t i = 0; i < to->n; i++) {
        struct str path = to->v[i];
        if (has_str(from, path))
            continue;
        if (is_write)
            diff_add(d, CHANGE_ADDED, EFFECT_WIDENS, true, "%.*s may now %sbe written", STR_FMT(path),
                     has_str(other_from, path) ? "also " : "");
        else if (has_str(other_from, path) || has_str(other_to, path))
            diff_add(d, CHANGE_ADDED, has_str(other_to, path) ? EFFECT_NONE : EFFECT_NARROWS, true,
                     "%.*s is now listed as read-only", STR_FMT(path));
        else
            diff_add(d, CHANGE_ADDED, EFFECT_WIDENS, true, "%.*s may now be read", STR_FMT(path));
    }
    for (size_t i = 0; i < from->n; i++) {
        struct str path = from->v[i];
        if (has_str(to, path))
            continue;
        bool is_open = has_parent(to, path) || has_parent(other_to, path);
        if (!is_write && has_str(other_to, path))
            diff_add(d, CHANGE_REMOVED, EFFECT_NONE, true, "%.*s is no longer listed as read-only",
                     STR_FMT(path));
        else
            diff_add(d, CHANGE_REMOVED, is_open ? EFFECT_EITHER : EFFECT_NARROWS, true,
                     "%.*s may no longer be %s%s", STR_FMT(path), is_write ? "written" : "read",
                     is_open ? " by a line of its own, but a directory above it is listed" : "");
    }
    keypath_cut(&d->at, at);
}

static void diff_word(struct diff *d, const char *name, struct str from, struct str to,
                      enum change_effect effect)
{
    if (str_eq(from, to))
        return;
    size_t at = diff_enter(d, name);
    struct words a = diff_str(from), b = diff_str(to);
    diff_add(d, CHANGE_CHANGED, effect, true, "%s changes from %s to %s", name, a.b, b.b);
    keypath_cut(&d->at, at);
}

static void diff_section(struct diff *d, const char *name, bool was, bool is)
{
    if (was == is)
        return;
    size_t at = diff_enter(d, name);
    diff_add(d, is ? CHANGE_ADDED : CHANGE_REMOVED, EFFECT_NONE, true, "there is %s section %s",
             is ? "now a" : "no longer a", name);
    keypath_cut(&d->at, at);
}

static void diff_static(struct diff *d)
{
    const struct policy *from = d->from, *to = d->to;
    diff_section(d, "filesystem_policy", from->has_filesystem, to->has_filesystem);
    diff_section(d, "landlock", from->has_landlock, to->has_landlock);
    diff_section(d, "process", from->has_process, to->has_process);
    if (from->filesystem.include_workdir != to->filesystem.include_workdir) {
        bool is = to->filesystem.include_workdir;
        size_t at = diff_enter(d, "filesystem_policy.include_workdir");
        diff_add(d, CHANGE_CHANGED, is ? EFFECT_WIDENS : EFFECT_NARROWS, true,
                 "the working directory may %s be written", is ? "now" : "no longer");
        keypath_cut(&d->at, at);
    }
    const struct strs *fr = &from->filesystem.read_only, *fw = &from->filesystem.read_write;
    const struct strs *tr = &to->filesystem.read_only, *tw = &to->filesystem.read_write;
    diff_paths(d, fr, tr, fw, tw, false);
    diff_paths(d, fw, tw, fr, tr, true);
    struct str was = from->landlock.compatibility.n > 0 ? from->landlock.compatibility : STR("best_effort");
    struct str is = to->landlock.compatibility.n > 0 ? to->landlock.compatibility : STR("best_effort");
    diff_word(d, "landlock.compatibility", was, is,
              str_eq(is, STR("hard_requirement"))    ? EFFECT_NARROWS
              : str_eq(was, STR("hard_requirement")) ? EFFECT_WIDENS
                                                     : EFFECT_NONE);
    diff_word(d, "process.run_as_user", from->process.run_as_user, to->process.run_as_user, EFFECT_EITHER);
    diff_word(d, "process.run_as_group", from->process.run_as_group, to->process.run_as_group, EFFECT_EITHER);
}

// ---- entries
// -------------------------------------------------------------------------------------------------

// The key of another entry of `p` that may let someone reach `e`; empty: none does.
static struct str other_way(const struct policy *p, const struct policy_entry *but, const struct endpoint *e)
{
    for (size_t i = 0; i < p->entries_n; i++)
        for (size_t k = 0; !str_eq(p->entries[i].key, but->key) && k < p->entries[i].endpoints_n; k++) {
            const struct endpoint *x = &p->entries[i].endpoints[k];
            bool is_host = x->host.n == 0 || str_has(x->host, '*') || str_has(e->host, '*') ||
                           str_eq_ci(x->host, e->host);
            for (size_t n = 0; is_host && n < e->ports_n; n++)
                if (grant_has_port(x, e->ports[n]))
                    return p->entries[i].key;
        }
    return (struct str){};
}

static void add_endpoint(struct diff *d, const struct policy_entry *entry, const struct endpoint *e)
{
    struct words who = diff_binaries(entry), where = diff_where(e), contract = diff_contract(e);
    // Its deny rules hold for the other endpoints of the host, too.
    bool may_narrow = e->deny_rules_n > 0 && other_way(d->from, entry, e).n > 0;
    diff_add(d, CHANGE_ADDED, may_narrow ? EFFECT_EITHER : EFFECT_WIDENS, false, "%s may now reach %s (%s)",
             who.b, where.b, contract.b);
}

static void remove_endpoint(struct diff *d, const struct policy_entry *entry, const struct endpoint *e)
{
    struct words who = diff_binaries(entry), where = diff_where(e);
    struct str other = other_way(d->to, entry, e);
    if (other.n > 0)
        diff_add(d, CHANGE_REMOVED, EFFECT_EITHER, false,
                 "%s is no longer reachable for %s by this rule, but rule '%.*s' may still allow it", where.b,
                 who.b, STR_FMT(other));
    else if (e->deny_rules_n > 0) // they held for the other endpoints of the host, too
        diff_add(d, CHANGE_REMOVED, EFFECT_EITHER, false,
                 "%s is no longer reachable for %s; its deny rules are gone, too", where.b, who.b);
    else
        diff_add(d, CHANGE_REMOVED, EFFECT_NARROWS, false, "%s is no longer reachable for %s", where.b,
                 who.b);
}

static bool pairs_at(const struct endpoint *a, const struct endpoint *b, unsigned level)
{
    if (!str_eq_ci(a->host, b->host) || (level < 2 && !grant_same_path(a->path, b->path)))
        return false;
    for (size_t i = 0; level < 1 && i < a->ports_n; i++)
        if (!grant_has_port(b, a->ports[i]))
            return false;
    return level > 0 || a->ports_n == b->ports_n;
}

// to_of[i] becomes the place in `to` of the i-th endpoint of `from`, or SIZE_MAX: nearest pairs first.
static bool pair_endpoints(struct diff *d, const struct policy_entry *from, const struct policy_entry *to,
                           size_t **ret_to_of, bool **ret_used)
{
    size_t *to_of = arena_newn(d->a, size_t, from->endpoints_n);
    bool *used = arena_newn(d->a, bool, to->endpoints_n);
    if (!to_of || !used)
        return false;
    for (size_t i = 0; i < from->endpoints_n; i++)
        to_of[i] = SIZE_MAX;
    for (unsigned level = 0; level < 3; level++)
        for (size_t i = 0; i < from->endpoints_n; i++)
            for (size_t k = 0; to_of[i] == SIZE_MAX && k < to->endpoints_n; k++)
                if (!used[k] && pairs_at(&from->endpoints[i], &to->endpoints[k], level)) {
                    to_of[i] = k;
                    used[k] = true;
                }
    *ret_to_of = to_of;
    *ret_used = used;
    return true;
}

static void diff_endpoints(struct diff *d, const struct policy_entry *from, const struct policy_entry *to)
{
    size_t *to_of, last = 0;
    bool *used, is_moved = false;
    if (!pair_endpoints(d, from, to, &to_of, &used)) {
        d->no_room = true;
        return;
    }
    size_t at = keypath_key(&d->at, STR("endpoints"));
    for (size_t i = 0; i < from->endpoints_n; i++) {
        size_t in_list = keypath_index(&d->at, to_of[i] == SIZE_MAX ? i : to_of[i]);
        if (to_of[i] == SIZE_MAX) {
            remove_endpoint(d, from, &from->endpoints[i]);
        } else {
            diff_endpoint(d, &from->endpoints[i], &to->endpoints[to_of[i]], to);
            is_moved |= to_of[i] < last;
            last = to_of[i];
        }
        keypath_cut(&d->at, in_list);
    }
    if (is_moved)
        diff_add(d, CHANGE_CHANGED, EFFECT_NONE, false, "the endpoints are in another order");
    for (size_t i = 0; i < to->endpoints_n; i++) {
        if (used[i])
            continue;
        size_t in_list = keypath_index(&d->at, i);
        add_endpoint(d, to, &to->endpoints[i]);
        keypath_cut(&d->at, in_list);
    }
    keypath_cut(&d->at, at);
}

static const struct binary *find_binary(const struct policy_entry *e, struct str path)
{
    for (size_t i = 0; i < e->binaries_n; i++)
        if (str_eq(e->binaries[i].path, path))
            return &e->binaries[i];
    return NULL;
}

static void diff_binary_list(struct diff *d, const struct policy_entry *from, const struct policy_entry *to)
{
    // No binary at all matches none when identities are checked, and any when they are not.
    bool is_plain = from->binaries_n > 0 && to->binaries_n > 0;
    size_t at = keypath_key(&d->at, STR("binaries"));
    struct words where = {};
    if (to->endpoints_n > 0)
        where = diff_where(&to->endpoints[0]);
    const char *more = to->endpoints_n > 1 ? " and the other endpoints of the rule" : "";
    for (size_t i = 0; i < to->binaries_n; i++) {
        const struct binary *b = &to->binaries[i], *old = find_binary(from, b->path);
        if (!old)
            diff_add(d, CHANGE_ADDED, is_plain ? EFFECT_WIDENS : EFFECT_EITHER, false,
                     "%.*s may now reach %s%s", STR_FMT(b->path), where.b[0] ? where.b : "nothing yet", more);
        else if (old->harness != b->harness)
            diff_add(d, CHANGE_CHANGED, b->harness ? EFFECT_NARROWS : EFFECT_WIDENS, false,
                     "%.*s counts as %s", STR_FMT(b->path),
                     b->harness ? "proposed by an advisor now: private addresses stay closed to it"
                                : "declared by the user now: private addresses may open to it");
    }
    for (size_t i = 0; i < from->binaries_n; i++)
        if (!find_binary(to, from->binaries[i].path))
            diff_add(d, CHANGE_REMOVED, is_plain ? EFFECT_NARROWS : EFFECT_EITHER, false,
                     "%s%s is no longer reachable for %.*s by this rule%s", where.b[0] ? where.b : "nothing",
                     more, STR_FMT(from->binaries[i].path),
                     to->binaries_n == 0 ? ", which names no binary now" : "");
    keypath_cut(&d->at, at);
}

static void diff_entry(struct diff *d, const struct policy_entry *from, const struct policy_entry *to)
{
    if (!str_eq(policy_entry_name(from), policy_entry_name(to))) {
        size_t at = keypath_key(&d->at, STR("name"));
        diff_add(d, CHANGE_CHANGED, EFFECT_NONE, false, "rule '%.*s' is now called '%.*s'",
                 STR_FMT(policy_entry_name(from)), STR_FMT(policy_entry_name(to)));
        keypath_cut(&d->at, at);
    }
    diff_binary_list(d, from, to);
    diff_endpoints(d, from, to);
}

static void lone_entry(struct diff *d, const struct policy_entry *e, bool is_added)
{
    if (e->endpoints_n == 0)
        diff_add(d, is_added ? CHANGE_ADDED : CHANGE_REMOVED, EFFECT_NONE, false,
                 "rule '%.*s' is %s; it has no endpoint", STR_FMT(e->key), is_added ? "new" : "gone");
    size_t at = keypath_key(&d->at, STR("endpoints"));
    for (size_t i = 0; i < e->endpoints_n; i++) {
        size_t in_list = keypath_index(&d->at, i);
        if (is_added)
            add_endpoint(d, e, &e->endpoints[i]);
        else
            remove_endpoint(d, e, &e->endpoints[i]);
        keypath_cut(&d->at, in_list);
    }
    keypath_cut(&d->at, at);
}

static const struct policy_entry *find_entry(const struct policy *p, struct str key)
{
    for (size_t i = 0; i < p->entries_n; i++)
        if (str_eq(p->entries[i].key, key))
            return &p->entries[i];
    return NULL;
}

// An entry of `in` that is not in `out` by key, and the same as `e` but for its key.
static const struct policy_entry *find_renamed(const struct policy *in, const struct policy *out,
                                               const struct policy_entry *e)
{
    for (size_t i = 0; i < in->entries_n; i++) {
        struct policy_entry x = in->entries[i], y = *e;
        x.name = policy_entry_name(&x);
        y.name = policy_entry_name(&y);
        if (str_eq(x.name, x.key) && str_eq(y.name, y.key))
            x.name = y.name = (struct str){};
        x.key = y.key = (struct str){};
        if (!find_entry(out, in->entries[i].key) && shape_same(&shape_entry, &x, &y))
            return &in->entries[i];
    }
    return NULL;
}

static void diff_entries(struct diff *d)
{
    size_t at = keypath_key(&d->at, STR("network_policies"));
    for (size_t i = 0; i < d->from->entries_n; i++) {
        const struct policy_entry *from = &d->from->entries[i], *to = find_entry(d->to, from->key);
        const struct policy_entry *renamed = to ? NULL : find_renamed(d->to, d->from, from);
        size_t in_map = keypath_key(&d->at, renamed ? renamed->key : from->key);
        if (to)
            diff_entry(d, from, to);
        else if (renamed)
            diff_add(d, CHANGE_CHANGED, EFFECT_NONE, false, "rule '%.*s' has the key '%.*s' now",
                     STR_FMT(from->key), STR_FMT(renamed->key));
        else
            lone_entry(d, from, false);
        keypath_cut(&d->at, in_map);
    }
    for (size_t i = 0; i < d->to->entries_n; i++) {
        const struct policy_entry *to = &d->to->entries[i];
        if (find_entry(d->from, to->key) || find_renamed(d->from, d->to, to))
            continue;
        size_t in_map = keypath_key(&d->at, to->key);
        lone_entry(d, to, true);
        keypath_cut(&d->at, in_map);
    }
    keypath_cut(&d->at, at);
}

// ---- middlewares
// ---------------------------------------------------------------------------------------------

static const struct middleware *find_middleware(const struct policy *p, struct str key)
{
    for (size_t i = 0; i < p->middlewares_n; i++)
        if (str_eq(p->middlewares[i].key, key))
            return &p->middlewares[i];
    return NULL;
}

static void diff_selectors(struct diff *d, const struct middleware *m, const struct strs *from,
                           const struct strs *to, const char *verb)
{
    for (size_t i = 0; i < to->n; i++)
        if (!has_str(from, to->v[i]))
            diff_add(d, CHANGE_ADDED, EFFECT_EITHER, false, "middleware '%.*s' now %s %.*s", STR_FMT(m->key),
                     verb, STR_FMT(to->v[i]));
    for (size_t i = 0; i < from->n; i++)
        if (!has_str(to, from->v[i]))
            diff_add(d, CHANGE_REMOVED, EFFECT_EITHER, false, "middleware '%.*s' no longer %s %.*s",
                     STR_FMT(m->key), verb, STR_FMT(from->v[i]));
}

static void diff_middleware_field(struct diff *d, const struct middleware *from, const struct middleware *to,
                                  const struct shape_field *f)
{
    if (strcmp(f->name, "config") == 0) {
        diff_add(d, CHANGE_CHANGED, EFFECT_EITHER, false, "middleware '%.*s' has another configuration",
                 STR_FMT(to->key));
    } else if (strcmp(f->name, "order") == 0) {
        diff_add(d, CHANGE_CHANGED, EFFECT_EITHER, false, "middleware '%.*s' runs at place %d instead of %d",
                 STR_FMT(to->key), to->order, from->order);
    } else if (strcmp(f->name, "on_error") == 0) {
        bool was = str_eq(from->on_error, STR("fail_open")), is = str_eq(to->on_error, STR("fail_open"));
        diff_add(d, CHANGE_CHANGED,
                 was == is ? EFFECT_NONE
                 : is      ? EFFECT_WIDENS
                           : EFFECT_NARROWS,
                 false, "when middleware '%.*s' fails, traffic is now %s", STR_FMT(to->key),
                 is ? "let through" : "refused");
    } else {
        struct words a = diff_str(shape_get_str(f, from)), b = diff_str(shape_get_str(f, to));
        diff_add(d, CHANGE_CHANGED, strcmp(f->name, "name") == 0 ? EFFECT_NONE : EFFECT_EITHER, false,
                 "%s of middleware '%.*s' changes from %s to %s", f->name, STR_FMT(to->key), a.b, b.b);
    }
}

static void diff_middleware(struct diff *d, const struct middleware *from, const struct middleware *to)
{
    for (size_t i = 0; i < shape_middleware.n; i++) {
        const struct shape_field *f = &shape_middleware.fields[i];
        if (shape_same_field(f, from, to))
            continue;
        bool is_list = f->kind == SHAPE_LIST;
        size_t at = is_list ? keypath_key(&d->at, STR("endpoints")) : d->at.n;
        (void)diff_enter(d, f->name);
        if (strcmp(f->name, "include") == 0)
            diff_selectors(d, to, &from->include, &to->include, "covers");
        else if (is_list)
            diff_selectors(d, to, &from->exclude, &to->exclude, "leaves out");
        else
            diff_middleware_field(d, from, to, f);
        keypath_cut(&d->at, at);
    }
}

static void diff_middlewares(struct diff *d)
{
    size_t at = keypath_key(&d->at, STR("network_middlewares"));
    for (size_t i = 0; i < d->from->middlewares_n; i++) {
        const struct middleware *from = &d->from->middlewares[i], *to = find_middleware(d->to, from->key);
        size_t in_map = keypath_key(&d->at, from->key);
        if (to)
            diff_middleware(d, from, to);
        else
            diff_add(d, CHANGE_REMOVED, EFFECT_EITHER, false,
                     "middleware '%.*s' (%.*s) no longer sees any traffic", STR_FMT(from->key),
                     STR_FMT(from->implementation));
        keypath_cut(&d->at, in_map);
    }
    for (size_t i = 0; i < d->to->middlewares_n; i++) {
        const struct middleware *to = &d->to->middlewares[i];
        if (find_middleware(d->from, to->key))
            continue;
        size_t in_map = keypath_key(&d->at, to->key);
        diff_add(d, CHANGE_ADDED, EFFECT_EITHER, false,
                 "middleware '%.*s' (%.*s) now sees the traffic of %zu host pattern%s", STR_FMT(to->key),
                 STR_FMT(to->implementation), to->include.n, to->include.n == 1 ? "" : "s");
        keypath_cut(&d->at, in_map);
    }
    keypath_cut(&d->at, at);
}

enum err_code policy_diff(const struct policy *from, const struct policy *to, struct arena *a,
                          struct change **ret, size_t *ret_n, struct err *reterr)
{
    struct diff d = {.a = a, .from = from, .to = to};
    if (from->version != to->version) {
        size_t at = keypath_key(&d.at, STR("version"));
        diff_add(&d, CHANGE_CHANGED, EFFECT_NONE, false, "version changes from %u to %u", from->version,
                 to->version);
        keypath_cut(&d.at, at);
    }
    diff_static(&d);
    diff_entries(&d);
    diff_middlewares(&d);
    if (d.no_room)
        return arena_limit(a, "the list of changes", reterr);
    *ret = d.v;
    *ret_n = d.n;
    return ERR_OK;
}
