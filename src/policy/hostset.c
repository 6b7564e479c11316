// Exact names are a hash table. Wildcards are a trie that is read from the last label to the first; its edges
// are one hash table for all nodes, keyed by the node and the label. A `*` is an edge too, so at most two
// edges leave a node for a given label, and a look-up keeps the one it did not take in a list that is no
// longer than the host has labels. Each node is visited at most once, because it has one way in.
#include "policy/hostset.h"

#include "net/host.h"
#include "policy/globseq.h"

enum {
    LABELS_MAX = HOST_MAX / 2 + 1, // of one byte each
    NONE = UINT32_MAX,
};

struct ids {
    const uint32_t *v; // ascending; NULL: no pattern
    size_t n;
};

struct partial { // a pattern whose first label is text with stars
    const struct glob *first;
    struct ids ids;
    uint32_t next; // or NONE
};

struct node {
    struct str label; // of the edge that leads here
    uint32_t parent;
    uint32_t star;     // behind a `*`, or NONE
    uint32_t partials; // with one label left, or NONE
    struct ids here;   // no label is left
    struct ids below;  // `**`: at least one is left
};

struct name {
    struct str name; // lower case
    struct ids ids;
};

struct hostset {
    const struct name *names; // slots; an empty one has no ids
    const uint32_t *edges;    // slots of nodes; 0, the root, marks an empty one
    struct node *nodes;
    struct partial *partials;
    uint64_t names_mask, edges_mask;
    uint32_t nodes_n, partials_n;
};

struct sorted {
    struct str pattern; // lower case
    uint32_t id;
};

static int sorted_cmp(const void *pa, const void *pb)
{
    const struct sorted *a = pa, *b = pb;
    int c = str_cmp(a->pattern, b->pattern);
    return c != 0 ? c : (a->id > b->id) - (a->id < b->id);
}

static uint32_t edge_find(const struct hostset *set, uint32_t parent, struct str label)
{
    for (uint64_t i = edge_hash(parent, part_hash(label));; i++) {
        uint32_t at = set->edges[i & set->edges_mask];
        if (at == 0)
            return NONE;
        const struct node *n = &set->nodes[at];
        if (n->parent == parent && part_eq(n->label.p, n->label.n, label))
            return at;
    }
}

static uint32_t node_add(struct hostset *set, uint32_t parent, struct str label)
{
    uint32_t at = set->nodes_n++;
    set->nodes[at] = (struct node){.label = label, .parent = parent, .star = NONE, .partials = NONE};
    return at;
}

static uint32_t edge_make(struct hostset *set, uint32_t *edges, uint32_t parent, struct str label)
{
    if (str_eq(label, STR("*"))) {
        if (set->nodes[parent].star == NONE) {
            uint32_t star = node_add(set, parent, label);
            set->nodes[parent].star = star;
        }
        return set->nodes[parent].star;
    }
    uint32_t at = edge_find(set, parent, label);
    if (at != NONE)
        return at;
    at = node_add(set, parent, label);
    uint64_t i = edge_hash(parent, part_hash(label));
    while (edges[i & set->edges_mask] != 0)
        i++;
    edges[i & set->edges_mask] = at;
    return at;
}

// Cuts the last label off.
static struct str take_label(struct str *host)
{
    const char *dot = host->n > 0 ? memrchr(host->p, '.', host->n) : NULL;
    if (!dot) {
        struct str all = *host;
        *host = (struct str){};
        return all;
    }
    size_t off = (size_t)(dot - host->p);
    struct str label = str_from(*host, off + 1);
    host->n = off;
    return label;
}

static enum err_code wild_add(struct hostset *set, uint32_t *edges, struct str pattern, struct ids ids,
                              struct arena *a, struct err *reterr)
{
    uint32_t at = 0;
    struct str rest = pattern;
    while (rest.p) {
        struct str label = take_label(&rest);
        bool first = !rest.p;
        if (first && str_eq(label, STR("**"))) {
            set->nodes[at].below = ids;
            return ERR_OK;
        }
        if (first && label.n > 1 && str_has(label, '*')) {
            // The label alone is a pattern of the other host dialect, which has the same stars.
            struct partial *p = &set->partials[set->partials_n];
            enum err_code r = glob_compile(GLOB_SELECTOR, label, a, &p->first, reterr);
            if (r != ERR_OK)
                return r;
            p->ids = ids;
            p->next = set->nodes[at].partials;
            set->nodes[at].partials = set->partials_n++;
            return ERR_OK;
        }
        at = edge_make(set, edges, at, label);
    }
    set->nodes[at].here = ids;
    return ERR_OK;
}

static void name_add(struct name *names, uint64_t mask, struct str name, struct ids ids)
{
    uint64_t i = part_hash(name);
    while (names[i & mask].ids.v)
        i++;
    names[i & mask] = (struct name){name, ids};
}

static uint64_t slots_for(size_t n) // a power of two, at most half of it taken
{
    uint64_t slots = 2;
    while (slots < 2 * (uint64_t)n)
        slots *= 2;
    return slots;
}

static enum err_code check_and_lower(const struct hostset_item *items, size_t n, struct sorted *sorted,
                                     struct arena *a, struct err *reterr)
{
    for (size_t i = 0; i < n; i++) {
        struct str pattern = items[i].pattern;
        struct arena scratch;
        arena_init(&scratch, 64 * KIB);
        const struct glob *g;
        enum err_code r = glob_compile(GLOB_HOST, pattern, &scratch, &g, reterr);
        arena_done(&scratch);
        if (r != ERR_OK)
            return err_wrap(reterr, r, "pattern %zu, '%.*s'", i + 1, STR_FMT(pattern));
        char *lower = arena_alloc(a, pattern.n);
        if (!lower)
            return arena_limit(a, "a set of hosts", reterr);
        for (size_t k = 0; k < pattern.n; k++)
            lower[k] = char_lower(pattern.p[k]);
        sorted[i] = (struct sorted){{lower, pattern.n}, items[i].id};
    }
    qsort(sorted, n, sizeof(*sorted), sorted_cmp);
    return ERR_OK;
}

struct sizes {
    size_t names, wilds, labels; // labels of wildcards
};

static struct sizes count(const struct sorted *sorted, size_t n)
{
    struct sizes s = {};
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && str_eq(sorted[i].pattern, sorted[i - 1].pattern))
            continue;
        struct str rest = sorted[i].pattern;
        if (!str_has(rest, '*')) {
            s.names++;
            continue;
        }
        s.wilds++;
        while (rest.p) {
            (void)take_label(&rest);
            s.labels++;
        }
    }
    return s;
}

static enum err_code fill(struct hostset *set, const struct sorted *sorted, size_t n, struct arena *a,
                          struct err *reterr)
{
    struct sizes sizes = count(sorted, n);
    uint64_t names_n = slots_for(sizes.names), edges_n = slots_for(sizes.labels);
    struct name *names = arena_newn(a, struct name, names_n);
    uint32_t *edges = arena_newn(a, uint32_t, edges_n);
    uint32_t *ids = arena_newn(a, uint32_t, n);
    set->nodes = arena_newn(a, struct node, sizes.labels + 1);
    set->partials = arena_newn(a, struct partial, sizes.wilds);
    if (!names || !edges || !ids || !set->nodes || !set->partials)
        return arena_limit(a, "a set of hosts", reterr);
    set->names = names;
    set->edges = edges;
    set->names_mask = names_n - 1;
    set->edges_mask = edges_n - 1;
    (void)node_add(set, NONE, STR(""));
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && str_eq(sorted[end].pattern, sorted[i].pattern); end++)
            ids[end] = sorted[end].id;
        struct ids these = {ids + i, end - i};
        if (!str_has(sorted[i].pattern, '*')) {
            name_add(names, set->names_mask, sorted[i].pattern, these);
            continue;
        }
        enum err_code r = wild_add(set, edges, sorted[i].pattern, these, a, reterr);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

// Whether wildcards may match: a name without an empty label, and no IP literal.
static bool is_name(struct str host)
{
    bool number = true; // the last label so far, if only because it is empty
    char last = '.';
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (c == ':' || (c == '.' && last == '.'))
            return false;
        number = c == '.' || (number && char_is_digit(c));
        last = c;
    }
    return !number;
}

static bool report(struct ids ids, hostset_fn *fn, void *ctx)
{
    return !ids.v || fn(ctx, ids.v, ids.n);
}

static bool report_partials(const struct hostset *set, const struct node *n, struct str label, hostset_fn *fn,
                            void *ctx)
{
    for (uint32_t i = n->partials; i != NONE; i = set->partials[i].next)
        if (globseq_match(set->partials[i].first, set->partials[i].first->v, label) &&
            !report(set->partials[i].ids, fn, ctx))
            return false;
    return true;
}

static void walk(const struct hostset *set, struct str host, hostset_fn *fn, void *ctx)
{
    struct {
        uint32_t node;
        uint32_t left; // bytes of the host that did not lead here
    } todo[LABELS_MAX + 1] UNINIT;
    todo[0].node = 0;
    todo[0].left = (uint32_t)host.n;
    for (size_t n = 1; n > 0;) {
        uint32_t at = todo[--n].node;
        struct str rest = str_head(host, todo[n].left);
        const struct node *node = &set->nodes[at];
        if (rest.n == 0) {
            if (!report(node->here, fn, ctx))
                return;
            continue;
        }
        struct str label = take_label(&rest);
        if (!report(node->below, fn, ctx) || (rest.n == 0 && !report_partials(set, node, label, fn, ctx)))
            return;
        uint32_t next[2] = {node->star, edge_find(set, at, label)};
        for (size_t i = 0; i < ARRAY_LEN(next); i++) {
            if (next[i] == NONE)
                continue;
            todo[n].node = next[i];
            todo[n++].left = (uint32_t)rest.n;
        }
    }
}

enum err_code hostset_build(const struct hostset_item *items, size_t n, struct arena *a,
                            const struct hostset **ret, struct err *reterr)
{
    struct hostset *set = arena_new(a, struct hostset);
    CLEANUP(base_freep) struct sorted *sorted = calloc(n + 1, sizeof(*sorted));
    if (!set || !sorted)
        return arena_limit(a, "a set of hosts", reterr);
    enum err_code r = check_and_lower(items, n, sorted, a, reterr);
    if (r == ERR_OK)
        r = fill(set, sorted, n, a, reterr);
    if (r == ERR_OK)
        *ret = set;
    return r;
}

void hostset_each(const struct hostset *set, struct str host, hostset_fn *fn, void *ctx)
{
    for (uint64_t i = part_hash(host); set->names[i & set->names_mask].ids.v; i++) {
        const struct name *name = &set->names[i & set->names_mask];
        if (!part_eq(name->name.p, name->name.n, host))
            continue;
        if (!fn(ctx, name->ids.v, name->ids.n))
            return;
        break;
    }
    if (set->nodes_n > 1 && host.n <= HOST_MAX && is_name(host))
        walk(set, host, fn, ctx);
}
