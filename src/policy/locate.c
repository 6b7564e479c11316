// Diagnostics carry key paths; this finds their lines. The wanted paths are sorted, so that those below a
// node of the tree lie next to each other: the walk goes down only where some are, and each path gets the
// place of the deepest node on the way to it.
#include "policy/policy.h"
#include "policy/yaml.h"

struct wanted {
    struct str path;
    struct diag *diag;
    size_t matched; // bytes of the path that the place stands for
    bool other;     // found under another spelling: the right one wins
};

struct walk {
    struct wanted v[DIAGS_MAX];
    size_t n;
    struct keypath path; // of the node the walk is at
    bool other;          // it was reached by another spelling
};

// A key of the file, and how else its place may be called.
static const struct {
    struct str key, as;
} spellings[] = {
    {STR_INIT("tool"), STR_INIT("params.name")}, {STR_INIT("port"), STR_INIT("ports")},
    {STR_INIT("port"), STR_INIT("ports[0]")},    {STR_INIT("mcp"), STR_INIT("json_rpc")},
    {STR_INIT("json_rpc"), STR_INIT("mcp")},     {STR_INIT("allow"), STR_INIT("")},
};

// Whether the node at `path` is `wanted` or on the way to it. The length of `path` is known to fit.
static bool is_on_way(struct str path, struct str wanted)
{
    return path.n == 0 || wanted.n == path.n || wanted.p[path.n] == '.' || wanted.p[path.n] == '[';
}

struct range {
    size_t from, to; // of walk.v
};

// The wanted paths of `in` that begin with the walk's path.
static struct range narrow(const struct walk *w, struct range in)
{
    struct str path = keypath_str(&w->path);
    size_t low = in.from, high = in.to;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(w->v[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct range out = {low, low};
    while (out.to < in.to && str_starts(w->v[out.to].path, path))
        out.to++;
    return out;
}

// True: some path goes on below this node.
static bool mark_all(struct walk *w, struct range r, struct mark at)
{
    struct str path = keypath_str(&w->path);
    bool below = false;
    for (size_t i = r.from; i < r.to; i++) {
        struct wanted *x = &w->v[i];
        if (!is_on_way(path, x->path))
            continue;
        below = below || x->path.n > path.n;
        bool better = path.n > x->matched || (path.n == x->matched && x->other && !w->other);
        if (x->diag->at.line > 0 && !better)
            continue;
        x->diag->at = at;
        x->matched = path.n;
        x->other = w->other;
    }
    return below;
}

static void walk_node(struct walk *w, const struct yaml_node *node, struct range r);

static void walk_item(struct walk *w, const struct yaml_item *item, struct range r)
{
    struct range in = narrow(w, r);
    if (in.from < in.to && mark_all(w, in, yaml_place(item)))
        walk_node(w, item->value, in);
}

static void walk_spellings(struct walk *w, const struct yaml_item *item, struct range r)
{
    size_t at = w->path.n;
    bool other = w->other;
    w->other = true;
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        struct str as = spellings[i].as;
        if (!str_eq(item->key->text, spellings[i].key) || as.n + 1 > KEYPATH_MAX - w->path.n)
            continue;
        if (as.n > 0) {
            if (at > 0)
                w->path.b[w->path.n++] = '.';
            memcpy(w->path.b + w->path.n, as.p, as.n);
            w->path.n += as.n;
            walk_item(w, item, r);
        } else if (item->value->kind == NODE_MAP) {
            walk_node(w, item->value, r);
        }
        keypath_cut(&w->path, at);
    }
    w->other = other;
}

// As deep as the file is nested: POLICY_DEPTH_MAX.
static void walk_node(struct walk *w, const struct yaml_node *node, struct range r)
{
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_item *item = &node->items[i];
        size_t at = item->key ? keypath_key(&w->path, item->key->text) : keypath_index(&w->path, i);
        walk_item(w, item, r);
        keypath_cut(&w->path, at);
        if (item->key)
            walk_spellings(w, item, r);
    }
}

static int compare(const void *a, const void *b)
{
    return str_cmp(((const struct wanted *)a)->path, ((const struct wanted *)b)->path);
}

void yaml_locate(const struct yaml_node *root, struct diags *d)
{
    struct walk w;
    w.n = 0;
    w.path.n = 0;
    w.other = false;
    for (size_t i = 0; i < d->n && w.n < DIAGS_MAX; i++)
        if (d->v[i].at.line == 0)
            w.v[w.n++] = (struct wanted){.path = d->v[i].path, .diag = &d->v[i]};
    if (w.n == 0)
        return;
    qsort(w.v, w.n, sizeof(w.v[0]), compare);
    struct range all = {0, w.n};
    if (mark_all(&w, all, root->at))
        walk_node(&w, root, all);
}
