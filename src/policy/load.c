#include "policy/load.h"

#include "policy/bind.h"
#include "policy/validate.h"

#define FIELD(type, member, key, fn)                                                                         \
    {                                                                                                        \
        STR_INIT(key), (fn), offsetof(type, member), false                                                   \
    }

// ---- the static sections
// ------------------------------------------------------------------------------------

static const struct bind_field filesystem_fields[] = {
    FIELD(struct policy, filesystem.include_workdir, "include_workdir", bind_bool),
    FIELD(struct policy, filesystem.read_only, "read_only", bind_strs),
    FIELD(struct policy, filesystem.read_write, "read_write", bind_strs),
};
static const struct bind_field landlock_fields[] = {
    FIELD(struct policy, landlock.compatibility, "compatibility", bind_str),
};
static const struct bind_field process_fields[] = {
    FIELD(struct policy, process.run_as_user, "run_as_user", bind_str),
    FIELD(struct policy, process.run_as_group, "run_as_group", bind_str),
};

static void bind_filesystem(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy *p = field;
    p->has_filesystem = true;
    p->filesystem.include_workdir = false; // reference 1.3: its default where the section is there
    bind_map(b, item, BIND_TABLE(filesystem_fields, "filesystem_policy", "write {read_only: [/usr]}"), p);
}

static void bind_landlock(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy *p = field;
    p->has_landlock = true;
    bind_map(b, item, BIND_TABLE(landlock_fields, "landlock", "write {compatibility: best_effort}"), p);
}

static void bind_process(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy *p = field;
    p->has_process = true;
    bind_map(b, item, BIND_TABLE(process_fields, "process", "write {run_as_user: sandbox}"), p);
}

// ---- middlewares
// --------------------------------------------------------------------------------------------

static void bind_value(struct binder *b, const struct yaml_item *item, void *field);

static void bind_collection(struct binder *b, const struct yaml_item *item, struct value *v)
{
    const struct yaml_node *node = item->value;
    v->kind = node->kind == NODE_MAP ? VALUE_MAP : VALUE_LIST;
    v->items = arena_newn(b->a, struct value, node->n);
    v->keys = v->kind == VALUE_MAP ? arena_newn(b->a, struct str, node->n) : NULL;
    if (!v->items || (v->kind == VALUE_MAP && !v->keys)) {
        b->no_room = true;
        return;
    }
    for (size_t i = 0; i < node->n && !b->no_room; i++) {
        const struct yaml_item *child = &node->items[i];
        size_t at = child->key ? keypath_key(&b->path, child->key->text) : keypath_index(&b->path, i);
        if (!v->keys || !child->key || bind_dup(b, child->key->text, &v->keys[i]))
            bind_value(b, child, &v->items[i]);
        keypath_cut(&b->path, at);
    }
    v->n = node->n;
}

static void bind_number(struct binder *b, const struct yaml_item *item, struct value *v)
{
    enum { EXACT_BITS = 53 }; // of a double, which is what a protobuf Struct has
    v->kind = VALUE_NUMBER;
    bool negative;
    uint64_t magnitude;
    if (!yaml_number(item->value, &v->number))
        bind_error(b, yaml_place(item), NULL, "the number %.*s is not finite", STR_FMT(item->value->text));
    else if (item->value->kind == NODE_INT &&
             (!yaml_int(item->value, &negative, &magnitude) || magnitude > (uint64_t)1 << EXACT_BITS))
        bind_error(b, yaml_place(item), "put it in quotes", "the number %.*s has more than %d bits",
                   STR_FMT(item->value->text), EXACT_BITS);
}

// Goes as deep as the file is nested: POLICY_DEPTH_MAX.
static void bind_value(struct binder *b, const struct yaml_item *item, void *field)
{
    struct value *v = field;
    switch (item->value->kind) {
    case NODE_NULL:
        return;
    case NODE_BOOL:
        v->kind = VALUE_BOOL;
        v->boolean = item->value->boolean;
        return;
    case NODE_INT:
    case NODE_FLOAT:
        bind_number(b, item, v);
        return;
    case NODE_STRING:
        v->kind = VALUE_STRING;
        (void)bind_dup(b, item->value->text, &v->string);
        return;
    case NODE_LIST:
    case NODE_MAP:
        bind_collection(b, item, v);
        return;
    }
}

static void bind_config(struct binder *b, const struct yaml_item *item, void *field)
{
    if (item->value->kind == NODE_MAP)
        bind_collection(b, item, field);
    else
        bind_expected(b, item, "a mapping", "write {} or remove the key");
}

static const struct bind_field selector_fields[] = {
    FIELD(struct middleware, include, "include", bind_strs),
    FIELD(struct middleware, exclude, "exclude", bind_strs),
};

static void bind_selector(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_map(b, item, BIND_TABLE(selector_fields, "endpoints", "write {include: [\"*.example.com\"]}"),
             field);
}

static const struct bind_field middleware_fields[] = {
    FIELD(struct middleware, name, "name", bind_str),
    {STR_INIT("middleware"), bind_str, offsetof(struct middleware, implementation), true},
    FIELD(struct middleware, order, "order", bind_i32),
    FIELD(struct middleware, config, "config", bind_config),
    FIELD(struct middleware, on_error, "on_error", bind_str),
    {STR_INIT("endpoints"), bind_selector, 0, false},
};

static void bind_middleware(struct binder *b, const struct yaml_item *item, void *field)
{
    struct middleware *m = field;
    m->config.kind = VALUE_MAP;
    const char *example = "write {middleware: openshell/regex, endpoints: {include: [\"*.example.com\"]}}";
    bind_map(b, item, BIND_TABLE(middleware_fields, "an entry of network_middlewares", example), m);
}

// ---- the whole
// ----------------------------------------------------------------------------------------------

static void bind_entries(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy *p = field;
    struct bind_array how = {BIND_KEYED, sizeof(struct policy_entry), bind_entry, "a mapping of entries",
                             "give each entry a name, as in 'github: {endpoints: [...], binaries: [...]}'"};
    p->entries = bind_array(b, item, &how, &p->entries_n);
}

static void bind_middlewares(struct binder *b, const struct yaml_item *item, void *field)
{
    struct policy *p = field;
    struct bind_array how = {BIND_KEYED, sizeof(struct middleware), bind_middleware, "a mapping of entries",
                             "give each entry a name, as in 'redact: {middleware: openshell/regex}'"};
    p->middlewares = bind_array(b, item, &how, &p->middlewares_n);
}

static const struct bind_field policy_fields[] = {
    {STR_INIT("version"), bind_u32, offsetof(struct policy, version), true},
    {STR_INIT("filesystem_policy"), bind_filesystem, 0, false},
    {STR_INIT("landlock"), bind_landlock, 0, false},
    {STR_INIT("process"), bind_process, 0, false},
    {STR_INIT("network_policies"), bind_entries, 0, false},
    {STR_INIT("network_middlewares"), bind_middlewares, 0, false},
};

// POLICY_NODES_MAX nodes of some 100 bytes, and AddressSanitizer's fences between them.
enum { TREE_MAX = 96 * MIB };

struct loaded {
    struct arena tree; // nodes and what else ends with the call
    const struct yaml_node *root;
    struct policy *policy; // NULL: no tree
    size_t shape_errors;   // found before validation
};

static void loaded_done(struct loaded *l)
{
    arena_done(&l->tree);
}

// ERR_OK also with errors in `d`. Else ERR_LIMIT.
static enum err_code read_policy(struct str text, struct arena *a, struct loaded *l, struct diags *d,
                                 struct err *reterr)
{
    arena_init(&l->tree, TREE_MAX);
    diags_init(d, a);
    enum err_code r = yaml_parse(text, &l->tree, d, &l->root, reterr);
    if (r == ERR_INVALID) { // `d` knows why
        l->shape_errors = d->errors;
        return ERR_OK;
    }
    if (r != ERR_OK)
        return r;
    struct policy *p = arena_new(a, struct policy);
    struct binder *b = arena_new(&l->tree, struct binder);
    if (!p || !b)
        return arena_limit(a, "the policy", reterr);
    p->filesystem.include_workdir = true;
    b->a = a;
    b->d = d;
    struct yaml_item whole = {.value = l->root};
    if (l->root->kind == NODE_NULL)
        bind_error(b, l->root->at, "begin with 'version: 1'", "the policy is empty");
    else
        bind_map(b, &whole, BIND_TABLE(policy_fields, "a policy", "begin with 'version: 1'"), p);
    if (b->no_room || d->no_room)
        return arena_limit(a, "the policy", reterr);
    l->policy = p;
    l->shape_errors = d->errors;
    return ERR_OK;
}

static void word_error(const struct diags *d, struct err *reterr)
{
    const struct diag *first = NULL;
    for (size_t i = 0; i < d->n && !first; i++)
        if (d->v[i].level == DIAG_ERROR)
            first = &d->v[i];
    if (!first) {
        err_fill(reterr, ERR_INVALID, "%zu errors", d->errors);
        return;
    }
    char hint[200] = "";
    if (first->hint.n > 0)
        (void)snprintf(hint, sizeof(hint), " (%.*s)", (int)first->hint.n, first->hint.p);
    err_fill(reterr, ERR_INVALID, "%.*s%s%.*s%s", (int)first->path.n, first->path.p,
             first->path.n > 0 ? ": " : "", (int)first->msg.n, first->msg.p, hint);
    if (first->at.line > 0)
        err_prefix(reterr, "line %u, column %u", first->at.line, first->at.column);
}

// What a call answers, once all diagnostics are there.
static enum err_code finish(struct loaded *l, struct arena *a, struct policy **ret, struct diags *d,
                            struct err *reterr)
{
    if (d->no_room)
        return arena_limit(a, "the policy", reterr);
    if (l->root)
        yaml_locate(l->root, d);
    diags_sort(d);
    if (d->errors > 0) {
        word_error(d, reterr);
        if (l->shape_errors > 0)
            err_prefix(reterr, "failed to parse sandbox policy YAML");
        return ERR_INVALID;
    }
    *ret = l->policy;
    return ERR_OK;
}

// Whether `path` is `top` or below it.
static bool is_below(struct str path, struct str top)
{
    return str_starts(path, top) && (path.n == top.n || path.p[top.n] == '.' || path.p[top.n] == '[');
}

// The mapping or list that the item at `path` is in; empty at the top.
static struct str container_of(struct str path)
{
    bool quoted = false;
    size_t cut = 0;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && (path.p[i] == '.' || path.p[i] == '['))
            cut = i;
    }
    return str_head(path, cut);
}

// A part of the policy that could not be read has its zero value, and the validator may complain about that.
// What it says about the same mapping as an error of shape, or about one around it, waits for the next run.
static bool is_shadowed(const struct diag *x, const struct diags *shape)
{
    for (size_t i = 0; i < shape->n; i++) {
        struct str bad = shape->v[i].path, around = container_of(bad);
        if (shape->v[i].level != DIAG_ERROR)
            continue;
        if (is_below(x->path, bad) || is_below(bad, x->path) || (around.n > 0 && is_below(x->path, around)))
            return true;
    }
    return str_starts(x->msg, STR("network policies '")); // compares endpoints, and some are not complete
}

static void validate_rest(struct loaded *l, enum policy_use use, struct diags *d)
{
    struct diags shape = *d, more;
    diags_init(&more, &l->tree);
    policy_validate(l->policy, use, &more);
    for (size_t i = 0; i < more.n; i++) {
        const struct diag *x = &more.v[i];
        if (is_shadowed(x, &shape))
            continue;
        char hint[1024];
        diag_add(d, x->level, x->at, x->path, str_cstr(x->hint, hint, sizeof(hint)) ? hint : NULL, "%.*s",
                 (int)x->msg.n, x->msg.p);
    }
    d->no_room = d->no_room || more.no_room;
}

enum err_code policy_load(struct str text, enum policy_use use, struct arena *a, struct policy **ret,
                          struct diags *d, struct err *reterr)
{
    CLEANUP(loaded_done) struct loaded l = {};
    enum err_code r = read_policy(text, a, &l, d, reterr);
    if (r != ERR_OK)
        return r;
    if (l.policy && l.shape_errors == 0)
        policy_validate(l.policy, use, d);
    else if (l.policy && d->n < DIAGS_MAX && l.root->kind == NODE_MAP)
        validate_rest(&l, use, d);
    return finish(&l, a, ret, d, reterr);
}

enum err_code policy_parse(struct str text, struct arena *a, struct policy **ret, struct diags *d,
                           struct err *reterr)
{
    CLEANUP(loaded_done) struct loaded l = {};
    enum err_code r = read_policy(text, a, &l, d, reterr);
    return r == ERR_OK ? finish(&l, a, ret, d, reterr) : r;
}
