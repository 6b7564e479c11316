#include "policy/validate.h"

#include "policy/validate_parts.h"

static const struct str compatibilities[] = {STR_INIT("best_effort"), STR_INIT("hard_requirement")};
static const struct words compatibility_words = {"landlock compatibility", compatibilities,
                                                 ARRAY_LEN(compatibilities)};

// ---- filesystem_policy
// --------------------------------------------------------------------------------------

// The next component of a path: empty ones and `.` do not count, `..` does (reference 1.3).
static bool next_component(struct str *rest, struct str *ret)
{
    while (str_split(rest, '/', ret))
        if (ret->n > 0 && !str_eq(*ret, STR(".")))
            return true;
    return false;
}

static bool has_parent_component(struct str path)
{
    for (struct str part; next_component(&path, &part);)
        if (str_eq(part, STR("..")))
            return true;
    return false;
}

static bool is_same_path(struct str a, struct str b)
{
    for (;;) {
        struct str x = {}, y = {};
        bool more_a = next_component(&a, &x), more_b = next_component(&b, &y);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!str_eq(x, y))
            return false;
    }
}

static bool is_root(struct str path)
{
    struct str part;
    return str_starts(path, STR("/")) && !next_component(&path, &part);
}

static void check_fs_path(struct check *c, struct str path, bool write)
{
    if (path.n > POLICY_PATH_MAX) {
        check_error(c, NULL, NULL, "path exceeds maximum length (%zu > %d): '%.*s'", path.n, POLICY_PATH_MAX,
                    STR_FMT(path));
        return;
    }
    if (!str_starts(path, STR("/")))
        check_error(c, NULL, NULL, "path must be absolute (start with '/'): '%.*s'", STR_FMT(path));
    if (str_has(path, '\0'))
        check_error(c, NULL, NULL, "path has a NUL byte: '%.*s'", STR_FMT(path));
    if (has_parent_component(path))
        check_error(c, NULL, "write the path that is meant, without '..'",
                    "path contains '..' traversal component: '%.*s'", STR_FMT(path));
    if (write && is_root(path))
        check_error(c, NULL, "name the directories that the agent works in, as in /sandbox or /tmp",
                    "read-write path is overly broad: '%.*s'", STR_FMT(path));
    if (str_has_any(path, "*?["))
        check_warning(c, NULL, "name the directory itself; everything below it is included",
                      "filesystem paths are not patterns: '%.*s' is taken literally", STR_FMT(path));
}

static void check_fs_list(struct check *c, const char *key, const struct strs *list, const struct strs *other,
                          bool write)
{
    for (size_t i = 0; i < list->n; i++) {
        size_t back = check_item(c, key, i);
        check_fs_path(c, list->v[i], write);
        for (size_t k = 0; k < i && list->n <= POLICY_FS_PATHS_MAX; k++) {
            if (is_same_path(list->v[i], list->v[k])) {
                check_warning(c, NULL, NULL, "path '%.*s' is listed twice", STR_FMT(list->v[i]));
                break;
            }
        }
        for (size_t k = 0; write && k < other->n && list->n + other->n <= POLICY_FS_PATHS_MAX; k++)
            if (is_same_path(list->v[i], other->v[k]))
                check_warning(c, NULL, NULL, "path '%.*s' is in read_only as well: it will be writable",
                              STR_FMT(list->v[i]));
        keypath_cut(&c->at, back);
    }
}

static void check_filesystem(struct check *c)
{
    const struct strs *ro = &c->p->filesystem.read_only, *rw = &c->p->filesystem.read_write;
    size_t back = check_down(c, "filesystem_policy");
    if (ro->n + rw->n > POLICY_FS_PATHS_MAX)
        check_error(c, NULL, "list directories, not what is in them", "too many filesystem paths (%zu > %d)",
                    ro->n + rw->n, POLICY_FS_PATHS_MAX);
    check_fs_list(c, "read_only", ro, rw, false);
    check_fs_list(c, "read_write", rw, ro, true);
    keypath_cut(&c->at, back);
}

// ---- process
// ------------------------------------------------------------------------------------------------

static void check_identity(struct check *c, const char *field, struct str id)
{
    uint64_t number = 0;
    if (id.n == 0 || str_eq(id, STR("sandbox")) || (str_u64(id, POLICY_ID_MAX, &number) && number > 0))
        return;
    size_t back = check_down(c, "process");
    check_error(c, field, NULL, "%s must be 'sandbox' or a numeric UID/GID in range [1, %u], got '%.*s'",
                field, (unsigned)POLICY_ID_MAX, STR_FMT(id));
    keypath_cut(&c->at, back);
}

// ---- binaries
// -----------------------------------------------------------------------------------------------

// Programs that only run other programs. Ancestors count (reference 1.12), so such a binary opens the
// endpoints of its entry to everything below it. Language interpreters run anything too, but are often the
// agent itself, which nothing else could name: no word about those.
static bool runs_anything(struct str path)
{
    static const struct str names[] = {
        STR_INIT("sh"),  STR_INIT("bash"), STR_INIT("dash"), STR_INIT("ash"),  STR_INIT("zsh"),
        STR_INIT("ksh"), STR_INIT("fish"), STR_INIT("env"),  STR_INIT("sudo"), STR_INIT("busybox"),
    };
    struct str name = path;
    for (ptrdiff_t slash; (slash = str_find(name, '/')) >= 0;)
        name = str_from(name, (size_t)slash + 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

static bool matches_every_binary(struct str path)
{
    return path_is_everything(path) || str_eq(path, STR("/**/*")) || str_eq(path, STR("**/*"));
}

static bool has_odd_component(struct str path) // one that no resolved path has
{
    struct str part;
    (void)str_skip(&path, STR("/"));
    while (str_split(&path, '/', &part))
        if (part.n == 0 || str_eq(part, STR(".")) || str_eq(part, STR("..")))
            return true;
    return false;
}

static void check_binary(struct check *c, struct str path)
{
    if (path.n == 0) {
        check_error(c, "path", NULL, "a binary needs a path");
        return;
    }
    if (path.n > POLICY_PATH_MAX) {
        check_error(c, "path", NULL, "path exceeds maximum length (%zu > %d): '%.*s'", path.n,
                    POLICY_PATH_MAX, STR_FMT(path));
        return;
    }
    if (path.p[0] != '/' && path.p[0] != '*') {
        check_error(c, "path", "write the whole path, as in /usr/bin/curl, or **/curl",
                    "binary '%.*s' is not an absolute path and can never match", STR_FMT(path));
        return;
    }
    bool glob = str_has(path, '*'); // reference 1.5: nothing else makes it a pattern
    if (glob && !check_glob(c, "path", GLOB_PATH, path))
        return;
    if (!glob && str_has_any(path, "?[{"))
        check_warning(c, "path", NULL, "binary '%.*s' is taken literally: only a '*' makes it a pattern",
                      STR_FMT(path));
    if (has_odd_component(path))
        check_warning(c, "path", "write the path as the kernel reports it: no '.', '..', '//' or final '/'",
                      "binary '%.*s' can never match", STR_FMT(path));
    else if (matches_every_binary(path))
        check_warning(c, "path", "name the programs that need these endpoints",
                      "binary '%.*s' matches every program", STR_FMT(path));
    else if (path.p[0] == '*' && !str_starts(path, STR("**/")))
        check_warning(c, "path", "begin with '/' or '**/'",
                      "binary '%.*s' can never match: the path of a program begins with '/'", STR_FMT(path));
    else if (runs_anything(path))
        check_warning(c, "path", "name the programs that need these endpoints instead",
                      "binary '%.*s' runs other programs: allowing it allows everything it starts",
                      STR_FMT(path));
}

static void check_binaries(struct check *c, const struct policy_entry *e)
{
    if (e->binaries_n == 0) {
        check_warning(c, "binaries",
                      "list the programs that may connect, as in `binaries: [{path: /usr/bin/curl}]`",
                      "no binaries: this entry matches no program, so it allows nothing");
        return;
    }
    struct str *paths = check_scratch(c, e->binaries_n, sizeof(*paths));
    size_t *firsts = check_scratch(c, e->binaries_n, sizeof(*firsts));
    if (!paths || !firsts)
        return;
    for (size_t i = 0; i < e->binaries_n; i++)
        paths[i] = e->binaries[i].path;
    if (!check_firsts(c, paths, e->binaries_n, false, firsts))
        return;
    for (size_t i = 0; i < e->binaries_n; i++) {
        size_t back = check_item(c, "binaries", i);
        check_binary(c, paths[i]);
        if (firsts[i] != i && paths[i].n > 0)
            check_warning(c, "path", NULL, "binary '%.*s' is listed twice", STR_FMT(paths[i]));
        keypath_cut(&c->at, back);
    }
}

// ---- entries
// ------------------------------------------------------------------------------------------------

static void check_entry(struct check *c, const struct policy_entry *e)
{
    if (c->use == POLICY_USE_GATEWAY && str_starts(e->key, POLICY_PROVIDER_PREFIX))
        check_error(
            c, NULL, "choose another key",
            "keys that begin with '_provider_' are reserved for what the gateway derives from providers");
    if (e->endpoints_n == 0)
        check_warning(c, "endpoints", NULL, "no endpoints: this entry allows nothing");
    for (size_t i = 0; i < e->endpoints_n; i++) {
        size_t back = check_item(c, "endpoints", i);
        check_endpoint(c, &e->endpoints[i]);
        keypath_cut(&c->at, back);
        arena_done(&c->scratch);
        arena_init(&c->scratch, POLICY_ARENA_MAX);
    }
    check_binaries(c, e);
}

// Logs and denials call an entry by its name, so two entries may not share one. What the gateway derived from
// providers is not the author's to rename.
static void check_entry_names(struct check *c)
{
    const struct policy *p = c->p;
    struct str *names = check_scratch(c, p->entries_n, sizeof(*names));
    struct str *keys = check_scratch(c, p->entries_n, sizeof(*keys));
    size_t *same_name = check_scratch(c, p->entries_n, sizeof(*same_name));
    size_t *same_key = check_scratch(c, p->entries_n, sizeof(*same_key));
    if (!names || !keys || !same_name || !same_key)
        return;
    for (size_t i = 0; i < p->entries_n; i++) {
        keys[i] = p->entries[i].key;
        bool derived = str_starts(keys[i], POLICY_PROVIDER_PREFIX);
        names[i] = derived ? keys[i] : policy_entry_name(&p->entries[i]);
    }
    if (!check_firsts(c, names, p->entries_n, false, same_name) ||
        !check_firsts(c, keys, p->entries_n, false, same_key))
        return;
    for (size_t i = 0; i < p->entries_n; i++) {
        size_t back = keypath_key(&c->at, keys[i]);
        if (same_key[i] != i)
            check_error(c, NULL, NULL, "key '%.*s' is given twice", STR_FMT(keys[i]));
        else if (same_name[i] != i)
            check_error(c, p->entries[i].name.n > 0 ? "name" : NULL, "give each entry a name of its own",
                        "name '%.*s' is that of entry '%.*s' already", STR_FMT(names[i]),
                        STR_FMT(keys[same_name[i]]));
        keypath_cut(&c->at, back);
    }
}

static void check_entries(struct check *c)
{
    size_t back = check_down(c, "network_policies");
    check_entry_names(c);
    for (size_t i = 0; i < c->p->entries_n; i++) {
        size_t here = keypath_key(&c->at, c->p->entries[i].key);
        check_entry(c, &c->p->entries[i]);
        keypath_cut(&c->at, here);
        arena_done(&c->scratch);
        arena_init(&c->scratch, POLICY_ARENA_MAX);
    }
    keypath_cut(&c->at, back);
}

static void check_version(struct check *c)
{
    if (c->p->version == 1)
        return;
    if (c->p->version == 0 && c->use == POLICY_USE_GATEWAY) // a client that never set the field
        check_warning(c, "version", "write `version: 1`", "no version is given; it is read as version 1");
    else
        check_error(c, "version", "write `version: 1`", "unknown policy version %u: only version 1 is known",
                    (unsigned)c->p->version);
}

void policy_validate(const struct policy *p, enum policy_use use, struct diags *d)
{
    struct check c = {.p = p, .use = use, .d = d};
    arena_init(&c.scratch, POLICY_ARENA_MAX);
    check_version(&c);
    check_filesystem(&c);
    size_t back = check_down(&c, "landlock");
    check_word(&c, "compatibility", p->landlock.compatibility, &compatibility_words);
    keypath_cut(&c.at, back);
    check_identity(&c, "run_as_user", p->process.run_as_user);
    check_identity(&c, "run_as_group", p->process.run_as_group);
    check_entries(&c);
    check_middlewares(&c);
    arena_done(&c.scratch);
    policy_check_ambiguity(p, d);
}
