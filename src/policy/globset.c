// The trie's edges are components. Literal ones are found in one hash table for all nodes; a node keeps the
// others in lists: a lone `*`, and the rest, which are tried one by one. `**` is a node of its own: entered
// together with the node in front of it, and alive for the rest of the path, since it takes any number of
// components; a `**` at the end of a pattern likewise, but it must take one.
//
// A path is read once, component by component, with the set of nodes that its beginning leads to. A node has
// one way in, so it enters a step's set at most once, but for the two kinds that stay alive, which are looked
// for before they are added. When the set outgrows its array, which takes a policy full of `**`, every
// pattern is tried in turn instead; nothing has been reported until then.
//
// A pattern with braces is several paths through the trie. If some path cannot be one (the end of a component
// is in a brace with a `**`), the pattern is kept out of it and tried by itself.
#include "policy/globset.h"

#include "policy/globseq.h"

enum {
    NONE = UINT32_MAX,
    STEP_MAX = 64, // nodes that one component of the path leads to
    HELD_MAX = 64, // nodes that stay alive
    HEADS_MAX = 63,
};

struct slice { // tokens of a component
    const struct glob *g;
    const uint8_t *kind;
    const char *ch;
    uint32_t n;
    uint32_t head; // literals at the start
};

struct end { // a pattern that ends at a node
    uint32_t pattern;
    uint32_t alt;  // which of its alternatives
    uint32_t next; // or NONE
};

struct node {
    struct slice in; // the component that leads here
    uint32_t parent;
    uint32_t star;  // the child behind `*`, or NONE
    uint32_t wilds; // of a group: the first child behind a component with wildcards
    uint32_t next;  // the next of these
    uint32_t skip;  // the child that takes any number of components, or NONE
    uint32_t below; // the child at which patterns end that take any number but none, or NONE
    uint32_t ends;  // or NONE
    uint64_t
        heads; // lengths of the literal beginnings of its other children: bit n for n, bit 63 for more too
    bool literals; // it has literal children
    bool group;    // not a component: leads to those of the parent's children that begin with `in`
};

struct pattern {
    const struct glob *g;
    const uint32_t *ids; // ascending
    size_t ids_n;
    const uint32_t *alts; // the node at which each alternative ends; NULL: not in the trie
};

struct edge {
    uint32_t hash; // the upper half of edge_hash(), so that most of what is not sought is passed by unread
    uint32_t to;   // 0, the root, marks an empty slot
};

struct globset {
    struct node *nodes;
    const struct edge *edges;
    struct end *ends;
    struct pattern *patterns;
    uint32_t *loose; // patterns outside the trie
    uint64_t edges_mask;
    uint32_t nodes_n, ends_n, patterns_n, loose_n;
};

// ---- building
// -----------------------------------------------------------------------------------------------

struct sorted {
    struct str pattern;
    uint32_t id;
    size_t at; // place among the items
};

static int sorted_cmp(const void *pa, const void *pb)
{
    const struct sorted *a = pa, *b = pb;
    int c = str_cmp(a->pattern, b->pattern);
    if (c == 0)
        c = (a->id > b->id) - (a->id < b->id);
    return c != 0 ? c : (a->at > b->at) - (a->at < b->at);
}

static struct str slice_bytes(const struct slice *s) // all of it, where it is literal
{
    return (struct str){s->ch, s->n};
}

static uint64_t slice_hash(const struct slice *s)
{
    if (s->head == s->n)
        return part_hash(slice_bytes(s));
    uint64_t h = str_hash((struct str){(const char *)s->kind, s->n}, 1);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct globclass *c = &s->g->classes[(unsigned char)s->ch[i]];
        if (s->kind[i] == TOK_CLASS)
            h = str_hash((struct str){(const char *)c, sizeof(*c)}, h);
        else
            h = str_hash((struct str){&s->ch[i], 1}, h);
    }
    return h;
}

static bool slice_eq(const struct slice *a, const struct slice *b)
{
    if (a->n != b->n || (a->n > 0 && memcmp(a->kind, b->kind, a->n) != 0))
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        bool same = a->ch[i] == b->ch[i];
        if (a->kind[i] == TOK_CLASS)
            same = memcmp(&a->g->classes[(unsigned char)a->ch[i]], &b->g->classes[(unsigned char)b->ch[i]],
                          sizeof(struct globclass)) == 0;
        if (!same)
            return false;
    }
    return true;
}

static uint32_t node_add(struct globset *set, uint32_t parent, const struct slice *in)
{
    uint32_t at = set->nodes_n++;
    set->nodes[at] = (struct node){.in = in ? *in : (struct slice){},
                                   .parent = parent,
                                   .star = NONE,
                                   .wilds = NONE,
                                   .next = NONE,
                                   .skip = NONE,
                                   .below = NONE,
                                   .ends = NONE};
    return at;
}

static uint32_t only_child(struct globset *set, uint32_t parent, uint32_t *child)
{
    if (*child == NONE)
        *child = node_add(set, parent, NULL);
    return *child;
}

// Components with wildcards stand in the table too, but only here, so that none is added twice; a path finds
// them by way of a group, which has the same parent and is the first bytes that all its members share.
static uint32_t edge_make(struct globset *set, struct edge *edges, uint32_t parent, const struct slice *in,
                          bool group)
{
    uint64_t h = edge_hash(parent, slice_hash(in) + group);
    uint64_t i = h;
    for (; edges[i & set->edges_mask].to != 0; i++) {
        uint32_t at = edges[i & set->edges_mask].to;
        const struct node *n = &set->nodes[at];
        if (n->parent == parent && n->group == group && slice_eq(&n->in, in))
            return at;
    }
    uint32_t at = node_add(set, parent, in);
    set->nodes[at].group = group;
    edges[i & set->edges_mask] = (struct edge){(uint32_t)(h >> 32), at};
    return at;
}

static uint32_t child_make(struct globset *set, struct edge *edges, uint32_t parent, const struct slice *in)
{
    if (in->n == 1 && in->kind[0] == TOK_STAR)
        return only_child(set, parent, &set->nodes[parent].star);
    uint32_t before = set->nodes_n;
    uint32_t at = edge_make(set, edges, parent, in, false);
    if (in->head == in->n) {
        set->nodes[parent].literals = true;
    } else if (at == before) {
        struct slice first = *in;
        first.n = first.head = in->head < HEADS_MAX ? in->head : HEADS_MAX;
        uint32_t group = edge_make(set, edges, parent, &first, true);
        set->nodes[parent].heads |= (uint64_t)1 << first.n;
        set->nodes[at].next = set->nodes[group].wilds;
        set->nodes[group].wilds = at;
    }
    return at;
}

static bool is_sep(const struct globseq *s, uint32_t i)
{
    return s->kind[i] == TOK_LIT && s->ch[i] == '/';
}

// Whether each TOK_RUN is the end, where it is a component of its own: globparse() puts it there behind a '/'
// only.
static bool fits_trie(const struct globseq *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->kind[i] == TOK_RUN && i + 1 < s->n)
            return false;
    return true;
}

static uint32_t seq_add(struct globset *set, struct edge *edges, const struct glob *g,
                        const struct globseq *s)
{
    uint32_t at = 0, i = 0;
    for (;;) {
        if (i < s->n && s->kind[i] == TOK_RUN)
            return only_child(set, at, &set->nodes[at].below);
        if (i < s->n && s->kind[i] == TOK_SKIP) {
            at = only_child(set, at, &set->nodes[at].skip);
            i++;
        }
        struct slice in = {.g = g, .kind = s->kind + i, .ch = s->ch + i};
        while (i + in.n < s->n && !is_sep(s, i + in.n)) {
            in.head += in.head == in.n && in.kind[in.n] == TOK_LIT;
            in.n++;
        }
        at = child_make(set, edges, at, &in);
        i += in.n + 1;
        if (i > s->n)
            return at;
    }
}

static bool pattern_add(struct globset *set, struct edge *edges, uint32_t at, struct arena *a)
{
    struct pattern *p = &set->patterns[at];
    for (uint32_t i = 0; i < p->g->n; i++) {
        if (!fits_trie(&p->g->v[i])) {
            set->loose[set->loose_n++] = at;
            return true;
        }
    }
    uint32_t *alts = arena_newn(a, uint32_t, p->g->n);
    if (!alts)
        return false;
    for (uint32_t i = 0; i < p->g->n; i++) {
        alts[i] = seq_add(set, edges, p->g, &p->g->v[i]);
        struct node *n = &set->nodes[alts[i]];
        set->ends[set->ends_n] = (struct end){.pattern = at, .alt = i, .next = n->ends};
        n->ends = set->ends_n++;
    }
    p->alts = alts;
    return true;
}

struct sizes {
    size_t alts, nodes; // at most
};

// One for each component, one for the group of each that has wildcards.
static size_t count_nodes(const struct globseq *s)
{
    size_t nodes = 1;
    bool wild = false;
    for (uint32_t t = 0; t < s->n; t++) {
        bool sep = is_sep(s, t);
        bool more = sep || s->kind[t] == TOK_SKIP;
        bool group = !more && !wild && s->kind[t] != TOK_LIT;
        nodes += more + group;
        wild = !sep && (wild || group);
    }
    return nodes;
}

static struct sizes count(const struct globset *set)
{
    struct sizes s = {.nodes = 1};
    for (uint32_t i = 0; i < set->patterns_n; i++) {
        const struct glob *g = set->patterns[i].g;
        s.alts += g->n;
        for (uint32_t k = 0; k < g->n; k++) {
            s.nodes += count_nodes(&g->v[k]);
        }
    }
    return s;
}

static enum err_code make_trie(struct globset *set, struct arena *a, struct err *reterr)
{
    struct sizes sizes = count(set);
    uint64_t slots = 2;
    while (slots < 2 * (uint64_t)sizes.nodes)
        slots *= 2;
    struct edge *edges = arena_newn(a, struct edge, slots);
    set->nodes = arena_newn(a, struct node, sizes.nodes);
    set->ends = arena_newn(a, struct end, sizes.alts);
    set->loose = arena_newn(a, uint32_t, set->patterns_n);
    if (sizes.nodes >= NONE / 2 || !edges || !set->nodes || !set->ends || !set->loose)
        return arena_limit(a, "a set of patterns", reterr);
    set->edges = edges;
    set->edges_mask = slots - 1;
    (void)node_add(set, NONE, NULL);
    for (uint32_t i = 0; i < set->patterns_n; i++)
        if (!pattern_add(set, edges, i, a))
            return arena_limit(a, "a set of patterns", reterr);
    return ERR_OK;
}

static enum err_code compile_all(struct globset *set, const struct sorted *sorted, size_t n, struct arena *a,
                                 struct err *reterr)
{
    uint32_t *ids = arena_newn(a, uint32_t, n);
    set->patterns = arena_newn(a, struct pattern, n);
    if (!ids || !set->patterns)
        return arena_limit(a, "a set of patterns", reterr);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && str_eq(sorted[end].pattern, sorted[i].pattern); end++)
            ids[end] = sorted[end].id;
        struct pattern *p = &set->patterns[set->patterns_n++];
        enum err_code r = glob_compile(GLOB_PATH, sorted[i].pattern, a, &p->g, reterr);
        if (r != ERR_OK)
            return err_wrap(reterr, r, "pattern %zu, '%.*s'", sorted[i].at + 1, STR_FMT(sorted[i].pattern));
        p->ids = ids + i;
        p->ids_n = end - i;
    }
    return ERR_OK;
}

// ---- looking up
// ---------------------------------------------------------------------------------------------

struct look {
    const struct globset *set;
    uint32_t step[2][STEP_MAX];
    uint32_t held[HELD_MAX];
    uint32_t step_n, held_n;
    bool open; // a held node leads on
    bool full;
};

static bool is_held(const struct look *l, uint32_t node)
{
    for (uint32_t i = 0; i < l->held_n; i++)
        if (l->held[i] == node)
            return true;
    return false;
}

static void hold(struct look *l, uint32_t node)
{
    if (is_held(l, node))
        return;
    if (l->held_n == HELD_MAX) {
        l->full = true;
        return;
    }
    l->held[l->held_n++] = node;
    l->open |= l->set->nodes[node].ends == NONE; // it leads on
}

static void enter(struct look *l, uint32_t *step, uint32_t node)
{
    if (l->step_n == STEP_MAX) {
        l->full = true;
        return;
    }
    step[l->step_n++] = node;
    uint32_t skip = l->set->nodes[node].skip;
    if (skip != NONE)
        hold(l, skip);
}

static bool slice_match(const struct slice *s, struct str text)
{
    struct globseq seq = {.kind = s->kind, .ch = s->ch, .n = s->n, .head = s->head};
    return globseq_match(s->g, &seq, text);
}

static uint32_t find(const struct globset *set, uint32_t parent, struct str part, uint64_t hash, bool group)
{
    uint64_t h = edge_hash(parent, hash + group);
    for (uint64_t i = h;; i++) {
        struct edge e = set->edges[i & set->edges_mask];
        if (e.to == 0)
            return NONE;
        if (e.hash != (uint32_t)(h >> 32))
            continue;
        const struct node *n = &set->nodes[e.to];
        if (n->parent == parent && n->group == group && n->in.head == n->in.n &&
            part_eq(n->in.ch, n->in.n, part))
            return e.to;
    }
}

static void follow_wilds(struct look *l, uint32_t at, struct str part, uint32_t *step)
{
    const struct globset *set = l->set;
    for (uint64_t heads = set->nodes[at].heads; heads != 0; heads &= heads - 1) {
        struct str first = {part.p, (size_t)__builtin_ctzll(heads)};
        if (first.n > part.n)
            return;
        uint32_t group = find(set, at, first, part_hash(first), true);
        for (uint32_t w = group == NONE ? NONE : set->nodes[group].wilds; w != NONE; w = set->nodes[w].next)
            if (slice_match(&set->nodes[w].in, part))
                enter(l, step, w);
    }
}

static void follow(struct look *l, uint32_t at, struct str part, uint64_t hash, uint32_t *step)
{
    const struct globset *set = l->set;
    const struct node *node = &set->nodes[at];
    if (node->below != NONE)
        hold(l, node->below);
    if (node->star != NONE)
        enter(l, step, node->star);
    if (node->heads != 0)
        follow_wilds(l, at, part, step);
    uint32_t to = node->literals ? find(set, at, part, hash, false) : NONE;
    if (to != NONE)
        enter(l, step, to);
}

// Leaves the nodes that the whole path leads to in l->step[ret] and l->held.
static unsigned read_path(struct look *l, struct str path)
{
    unsigned cur = 0;
    enter(l, l->step[cur], 0);
    if (!path.p)
        path.p = "";
    const char *p = path.p, *end = path.p + path.n;
    for (bool more = true; more && !l->full; cur = !cur) {
        const char *slash = p < end ? memchr(p, '/', (size_t)(end - p)) : NULL;
        struct str part = {p, (size_t)((slash ? slash : end) - p)};
        uint64_t hash = part_hash(part);
        more = slash;
        p += part.n + more;
        uint32_t from_n = l->step_n, held_n = l->held_n;
        l->step_n = 0;
        for (uint32_t i = 0; i < from_n; i++)
            follow(l, l->step[cur][i], part, hash, l->step[!cur]);
        for (uint32_t i = 0; i < held_n; i++)
            follow(l, l->held[i], part, hash, l->step[!cur]);
        if (l->step_n == 0 && !l->open)
            more = false;
    }
    return cur;
}

static bool report(const struct pattern *p, globset_fn *fn, void *ctx)
{
    return fn(ctx, p->ids, p->ids_n);
}

// Whether an earlier alternative of the same pattern ends at a node that is alive too, and reports for both.
static bool is_reported(const struct look *l, const uint32_t *step, const struct end *end)
{
    const struct pattern *p = &l->set->patterns[end->pattern];
    for (uint32_t i = 0; i < end->alt; i++) {
        if (is_held(l, p->alts[i]))
            return true;
        for (uint32_t k = 0; k < l->step_n; k++)
            if (step[k] == p->alts[i])
                return true;
    }
    return false;
}

static bool report_node(const struct look *l, const uint32_t *step, uint32_t node, globset_fn *fn, void *ctx)
{
    const struct globset *set = l->set;
    for (uint32_t e = set->nodes[node].ends; e != NONE; e = set->ends[e].next)
        if (!is_reported(l, step, &set->ends[e]) && !report(&set->patterns[set->ends[e].pattern], fn, ctx))
            return false;
    return true;
}

static void try_all(const struct globset *set, struct str path, globset_fn *fn, void *ctx)
{
    for (uint32_t i = 0; i < set->patterns_n; i++)
        if (glob_match(set->patterns[i].g, path) && !report(&set->patterns[i], fn, ctx))
            return;
}

enum err_code globset_build(const struct globset_item *items, size_t n, struct arena *a,
                            const struct globset **ret, struct err *reterr)
{
    struct globset *set = arena_new(a, struct globset);
    CLEANUP(base_freep) struct sorted *sorted = calloc(n + 1, sizeof(*sorted));
    if (!set || !sorted)
        return arena_limit(a, "a set of patterns", reterr);
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct sorted){items[i].pattern, items[i].id, i};
    qsort(sorted, n, sizeof(*sorted), sorted_cmp);
    enum err_code r = compile_all(set, sorted, n, a, reterr);
    if (r == ERR_OK)
        r = make_trie(set, a, reterr);
    if (r == ERR_OK)
        *ret = set;
    return r;
}

void globset_each(const struct globset *set, struct str path, globset_fn *fn, void *ctx)
{
    struct look l UNINIT;
    l.set = set;
    l.step_n = l.held_n = 0;
    l.open = l.full = false;
    const uint32_t *step = l.step[read_path(&l, path)];
    if (l.full) {
        try_all(set, path, fn, ctx);
        return;
    }
    for (uint32_t i = 0; i < l.step_n; i++)
        if (!report_node(&l, step, step[i], fn, ctx))
            return;
    for (uint32_t i = 0; i < l.held_n; i++)
        if (!report_node(&l, step, l.held[i], fn, ctx))
            return;
    for (uint32_t i = 0; i < set->loose_n; i++) {
        const struct pattern *p = &set->patterns[set->loose[i]];
        if (glob_match(p->g, path) && !report(p, fn, ctx))
            return;
    }
}
