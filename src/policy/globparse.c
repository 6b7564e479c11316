// Reading of patterns whose syntax is more than a star: paths, dotted names, endpoint scopes.
//
// Braces come first into a flat stream with marks where a group opens, where its branches part and where it
// closes; then the stream is walked once for each combination of branches, as an odometer turns, and what the
// walk passes is one sequence. Whether `**` is a whole component is decided in the stream, by what was read
// last and what comes next, the way the reference's engine decides it: a brace or a comma in front makes it
// the start of a component of its own branch only. So the alternatives are not those of pasted text.
#include "policy/globseq.h"

enum { // kinds in the stream only
    MARK_OPEN = TOK_RUN + 1,
    MARK_NEXT, // between two branches
    MARK_CLOSE,
    MARK_HOP, // `**/` at the start of a branch: nothing, or any run that ends with the separator
};

enum { NONE = UINT32_MAX };

struct branch {
    uint32_t start; // in the stream
    uint32_t next;  // a branch, or NONE
};

struct group {
    uint32_t parent, open;        // group or NONE; offset in the pattern
    uint32_t close;               // in the stream
    uint32_t first, last, chosen; // branches, or NONE; a MARK_HOP counts 0, 1 in `chosen`
    uint32_t start;               // of the branch that is being read
    bool full;                    // that branch can match something but the empty text
};

struct parser {
    enum glob_dialect dialect;
    struct str in;
    size_t at;
    bool slash; // the byte read last was the separator
    char sep;
    struct arena *a;
    struct err *reterr;

    uint8_t *kind; // the stream
    char *ch;
    uint32_t *link; // of marks: the group
    uint32_t n;

    struct group *groups;
    struct branch *branches;
    uint32_t *passed; // groups of the present walk
    uint32_t groups_n, branches_n, passed_n;
    uint32_t cur; // group that is open, or NONE

    struct globclass *classes;
    uint32_t classes_n;

    uint8_t *out_kind; // one walk
    char *out_ch;
    uint32_t out_n;
};

static void emit(struct parser *p, unsigned kind, char ch)
{
    p->kind[p->n] = (uint8_t)kind;
    p->ch[p->n] = ch;
    p->link[p->n++] = p->cur;
    if (p->cur != NONE && kind <= TOK_RUN)
        p->groups[p->cur].full = true;
}

static bool more(const struct parser *p)
{
    return p->at < p->in.n;
}

static char peek(const struct parser *p)
{
    return p->in.p[p->at];
}

static void class_add(const struct parser *p, struct globclass *c, char lo, char hi)
{
    for (unsigned b = (unsigned char)lo; b <= (unsigned char)hi; b++) {
        // The reference hides '/' from dotted globs behind another byte, so no range runs across it.
        if (p->dialect == GLOB_DOTTED && b == '/' && lo != '/' && hi != '/')
            continue;
        c->bits[b >> 6] |= (uint64_t)1 << (b & 63);
    }
}

static enum err_code class_emit(struct parser *p, struct globclass *c, bool negated)
{
    for (size_t i = 0; negated && i < ARRAY_LEN(c->bits); i++)
        c->bits[i] = ~c->bits[i];
    if (p->dialect != GLOB_SCOPE) {
        unsigned b = (unsigned char)p->sep;
        c->bits[b >> 6] &= ~((uint64_t)1 << (b & 63));
    }
    uint32_t i = 0;
    while (i < p->classes_n && memcmp(&p->classes[i], c, sizeof(*c)) != 0)
        i++;
    if (i == GLOB_CLASSES_MAX)
        return err_set(p->reterr, ERR_INVALID, "more than %d different classes", GLOB_CLASSES_MAX);
    p->classes[i] = *c;
    p->classes_n += i == p->classes_n;
    emit(p, TOK_CLASS, (char)i);
    return ERR_OK;
}

// Behind '['. A first ']' or '-' and a last '-' stand for themselves; a backslash does too.
static enum err_code read_class(struct parser *p)
{
    size_t open = p->at - 1;
    bool negated = more(p) && (peek(p) == '!' || peek(p) == '^');
    p->at += negated;
    struct globclass c = {};
    char lo = 0, hi = 0;
    bool range = false; // "x-" was read
    for (bool first = true;; first = false) {
        if (!more(p))
            return err_set(p->reterr, ERR_INVALID, "'[' at offset %zu is not closed", open);
        char b = p->in.p[p->at++];
        if (b == ']' && !first)
            break;
        if (range) {
            hi = b;
            if ((unsigned char)hi < (unsigned char)lo)
                return err_set(p->reterr, ERR_INVALID, "the range at offset %zu runs backwards", p->at - 3);
            class_add(p, &c, lo, hi);
            range = false;
        } else if (b == '-' && !first) {
            range = true;
        } else {
            lo = hi = b;
            class_add(p, &c, lo, hi);
        }
    }
    if (range)
        class_add(p, &c, '-', '-');
    return class_emit(p, &c, negated);
}

// Behind the second star of a pair that begins a branch, or the pattern.
static void read_first_pair(struct parser *p)
{
    if (more(p) && peek(p) != p->sep) {
        emit(p, TOK_STAR, 0);
        return;
    }
    if (p->dialect == GLOB_DOTTED) {
        emit(p, TOK_RUN, 0); // the dot behind it stays
        return;
    }
    if (p->cur == NONE) {
        emit(p, TOK_SKIP, 0);
    } else {
        struct group *g = &p->groups[p->groups_n];
        *g = (struct group){.parent = p->cur};
        emit(p, MARK_HOP, 0);
        p->link[p->n - 1] = p->groups_n++;
        p->groups[p->cur].full = true;
    }
    p->slash = more(p);
    p->at += more(p);
}

static void read_star(struct parser *p)
{
    bool whole = p->slash;
    p->slash = false;
    if (!more(p) || peek(p) != '*') {
        emit(p, TOK_STAR, 0);
        return;
    }
    p->at++;
    if (p->n == 0 || p->kind[p->n - 1] == MARK_OPEN || p->kind[p->n - 1] == MARK_NEXT) {
        read_first_pair(p);
        return;
    }
    bool last = !more(p) || (p->cur != NONE && (peek(p) == ',' || peek(p) == '}'));
    if (!whole || (!last && peek(p) != p->sep)) {
        emit(p, TOK_STAR, 0);
        return;
    }
    if (p->dialect == GLOB_DOTTED) {
        emit(p, TOK_RUN, 0);
        return;
    }
    // Behind another `**/` this pair says nothing new, but that the end may be more than nothing.
    uint8_t before = p->kind[p->n - 1];
    if (before == TOK_LIT)
        emit(p, last ? TOK_RUN : TOK_SKIP, 0);
    else if (before == TOK_SKIP && last && p->n > 1 && p->kind[p->n - 2] == TOK_LIT)
        p->kind[p->n - 1] = TOK_RUN;
    p->slash = !last;
    p->at += !last;
}

static void open_group(struct parser *p)
{
    p->groups[p->groups_n] = (struct group){.parent = p->cur,
                                            .open = (uint32_t)p->at - 1,
                                            .first = NONE,
                                            .last = NONE,
                                            .start = p->n + 1};
    p->cur = p->groups_n++;
    emit(p, MARK_OPEN, 0);
}

// An empty branch is left out, and a group of only such branches is nothing at all.
static void close_branch(struct parser *p, unsigned mark)
{
    struct group *g = &p->groups[p->cur];
    if (g->full) {
        uint32_t b = p->branches_n++;
        p->branches[b] = (struct branch){.start = g->start, .next = NONE};
        if (g->last == NONE)
            g->first = b;
        else
            p->branches[g->last].next = b;
        g->last = b;
    }
    emit(p, mark, 0);
    g->start = p->n;
    g->full = false;
}

static enum err_code close_group(struct parser *p)
{
    if (p->cur == NONE)
        return err_set(p->reterr, ERR_INVALID, "'}' at offset %zu closes nothing", p->at - 1);
    close_branch(p, MARK_CLOSE);
    struct group *g = &p->groups[p->cur];
    g->close = p->n - 1;
    g->chosen = g->first;
    p->cur = g->parent;
    if (p->cur != NONE && g->first != NONE)
        p->groups[p->cur].full = true;
    return ERR_OK;
}

static enum err_code read_one(struct parser *p)
{
    char b = p->in.p[p->at++];
    if (b == '*') {
        read_star(p);
        return ERR_OK;
    }
    p->slash = false;
    if (b == '?')
        emit(p, TOK_ANY, 0);
    else if (b == '[')
        return read_class(p);
    else if (b == '{')
        open_group(p);
    else if (b == '}')
        return close_group(p);
    else if (b == ',' && p->cur != NONE)
        close_branch(p, MARK_NEXT);
    else {
        if (b == '\\') {
            if (!more(p))
                return err_set(p->reterr, ERR_INVALID, "'\\' at offset %zu escapes nothing", p->at - 1);
            b = p->in.p[p->at++];
        }
        emit(p, TOK_LIT, b);
        p->slash = b == p->sep;
    }
    return ERR_OK;
}

static enum err_code read_all(struct parser *p)
{
    while (more(p)) {
        enum err_code r = read_one(p);
        if (r != ERR_OK)
            return r;
    }
    if (p->cur != NONE)
        return err_set(p->reterr, ERR_INVALID, "'{' at offset %u is not closed", p->groups[p->cur].open);
    if (p->n == 1 && p->kind[0] == TOK_SKIP)
        p->kind[0] = TOK_RUN; // `**` alone is everything
    return ERR_OK;
}

static void put(struct parser *p, unsigned kind, char ch)
{
    p->out_kind[p->out_n] = (uint8_t)kind;
    p->out_ch[p->out_n++] = ch;
}

static void walk(struct parser *p)
{
    p->out_n = p->passed_n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        struct group *g = p->link[i] == NONE ? NULL : &p->groups[p->link[i]];
        switch (p->kind[i]) {
        case MARK_OPEN:
            assert(g); // marks are made with their group
            if (g->first == NONE) {
                i = g->close;
                break;
            }
            p->passed[p->passed_n++] = p->link[i];
            i = p->branches[g->chosen].start - 1;
            break;
        case MARK_NEXT:
        case MARK_CLOSE:
            assert(g);
            i = g->close;
            break;
        case MARK_HOP:
            assert(g);
            p->passed[p->passed_n++] = p->link[i];
            if (g->chosen > 0) {
                put(p, TOK_RUN, 0);
                put(p, TOK_LIT, p->sep);
            }
            break;
        default:
            put(p, p->kind[i], p->ch[i]);
        }
    }
}

// The next combination of branches of the groups that the last walk passed; false after the last one. A group
// that starts over may hide others, whose choice is then the first again already.
static bool turn(struct parser *p)
{
    while (p->passed_n > 0) {
        struct group *g = &p->groups[p->passed[--p->passed_n]];
        bool hop = g->close == 0; // only a group has its mark behind the stream's start
        uint32_t next = hop ? (g->chosen == 0 ? 1 : NONE) : p->branches[g->chosen].next;
        if (next != NONE) {
            g->chosen = next;
            return true;
        }
        g->chosen = hop ? 0 : g->first;
    }
    return false;
}

static enum err_code expand(struct parser *p, struct glob *ret)
{
    struct globseq seqs[GLOB_ALTS_MAX];
    uint32_t n = 0;
    do {
        if (n == GLOB_ALTS_MAX)
            return err_set(p->reterr, ERR_INVALID, "the braces make more than %d alternatives",
                           GLOB_ALTS_MAX);
        walk(p);
        if (!globseq_make(p->out_kind, p->out_ch, p->out_n, p->a, &seqs[n++]))
            return arena_limit(p->a, "a pattern", p->reterr);
    } while (turn(p));

    struct globseq *v = arena_newn(p->a, struct globseq, n);
    struct globclass *classes = arena_newn(p->a, struct globclass, p->classes_n);
    if (!v || !classes)
        return arena_limit(p->a, "a pattern", p->reterr);
    memcpy(v, seqs, n * sizeof(*v));
    if (p->classes_n > 0)
        memcpy(classes, p->classes, p->classes_n * sizeof(*classes));
    *ret = (struct glob){.classes = classes, .v = v, .n = n, .dialect = p->dialect, .sep = p->sep};
    return ERR_OK;
}

static enum err_code scope_all(struct parser *p, struct glob *ret)
{
    p->n = 0;
    emit(p, TOK_RUN, 0);
    return expand(p, ret);
}

static enum err_code scope_literal(struct parser *p, struct str text, struct glob *ret)
{
    p->n = 0;
    for (size_t i = 0; i < text.n; i++)
        emit(p, TOK_LIT, text.p[i]);
    return expand(p, ret);
}

// `X/**`: X itself, or X, a slash and anything. X is text: stars in it stand for themselves.
static enum err_code scope_below(struct parser *p, struct str top, struct glob *ret)
{
    struct globseq both[2];
    p->n = 0;
    for (size_t i = 0; i < top.n; i++)
        emit(p, TOK_LIT, top.p[i]);
    bool ok = globseq_make(p->kind, p->ch, p->n, p->a, &both[0]);
    emit(p, TOK_LIT, '/');
    emit(p, TOK_RUN, 0);
    ok = ok && globseq_make(p->kind, p->ch, p->n, p->a, &both[1]);
    struct globseq *v = ok ? arena_newn(p->a, struct globseq, 2) : NULL;
    if (!v)
        return arena_limit(p->a, "a pattern", p->reterr);
    memcpy(v, both, sizeof(both));
    *ret = (struct glob){.v = v, .n = 2, .dialect = p->dialect, .sep = p->sep};
    return ERR_OK;
}

// Behind the first of a run of stars. False: the pattern is not a glob.
static bool scope_star(struct parser *p, bool starts)
{
    if (!more(p) || peek(p) != '*') {
        emit(p, TOK_RUN, 0);
        return true;
    }
    p->at++;
    if (!starts || (more(p) && peek(p) != '/')) // a third star is no slash either
        return false;
    emit(p, TOK_SKIP, 0);
    p->slash = more(p);
    p->at += more(p);
    return true;
}

// Behind '['. The closing bracket is not the first byte; a range needs a byte on both sides of its '-'.
static bool scope_class(struct parser *p, enum err_code *r)
{
    bool negated = more(p) && peek(p) == '!';
    p->at += negated;
    struct str rest = str_from(p->in, p->at);
    ptrdiff_t end = rest.n > 1 ? str_find(str_from(rest, 1), ']') : -1;
    if (end < 0)
        return false;
    struct str in = str_head(rest, (size_t)end + 1);
    p->at += in.n + 1;
    struct globclass c = {};
    for (size_t i = 0; i < in.n;) {
        bool range = i + 3 <= in.n && in.p[i + 1] == '-';
        class_add(p, &c, in.p[i], in.p[range ? i + 2 : i]); // a range that runs backwards is empty
        i += range ? 3 : 1;
    }
    *r = class_emit(p, &c, negated);
    return true;
}

static enum err_code read_scope(struct parser *p, struct glob *ret)
{
    struct str in = p->in;
    if (in.n == 0 || str_eq(in, STR("**")) || str_eq(in, STR("/**")))
        return scope_all(p, ret);
    if (str_ends(in, STR("/**")))
        return scope_below(p, str_head(in, in.n - 3), ret);
    enum err_code r = ERR_OK;
    while (more(p) && r == ERR_OK) {
        bool starts = p->at == 0 || p->slash;
        char b = p->in.p[p->at++];
        bool ok = true;
        p->slash = false;
        if (b == '*')
            ok = scope_star(p, starts);
        else if (b == '?')
            r = class_emit(p, &(struct globclass){}, true);
        else if (b == '[')
            ok = scope_class(p, &r);
        else {
            emit(p, TOK_LIT, b);
            p->slash = b == '/';
        }
        if (!ok)
            return scope_literal(p, in, ret);
    }
    if (p->n > 0 && p->kind[p->n - 1] == TOK_SKIP)
        p->kind[p->n - 1] = TOK_RUN; // at the end it takes what follows too
    return r == ERR_OK ? expand(p, ret) : r;
}

enum err_code globparse(enum glob_dialect dialect, struct str pattern, struct arena *a, struct glob *ret,
                        struct err *reterr)
{
    // One byte makes at most one token and one group, and is the end of at most one branch, but for a
    // MARK_HOP, which is two tokens in the output: of two bytes. One more each for a closing bracket that
    // ends a last branch.
    size_t n = pattern.n + 2;
    size_t each = sizeof(struct group) + sizeof(struct branch) + 2 * sizeof(uint32_t) + 4;
    CLEANUP(base_freep) char *mem = calloc(1, n * each + GLOB_CLASSES_MAX * sizeof(struct globclass));
    if (!mem)
        return err_set(reterr, ERR_LIMIT, "no memory for a pattern of %zu bytes", pattern.n);
    struct parser p = {.dialect = dialect,
                       .in = pattern,
                       .sep = dialect == GLOB_DOTTED ? '.' : '/',
                       .a = a,
                       .reterr = reterr,
                       .cur = NONE};
    char *at = mem;
    p.classes = (struct globclass *)(void *)at;
    at += GLOB_CLASSES_MAX * sizeof(struct globclass);
    p.groups = (struct group *)(void *)at;
    at += n * sizeof(struct group);
    p.branches = (struct branch *)(void *)at;
    at += n * sizeof(struct branch);
    p.link = (uint32_t *)(void *)at;
    p.passed = p.link + n;
    p.kind = (uint8_t *)(p.passed + n);
    p.ch = (char *)p.kind + n;
    p.out_kind = p.kind + 2 * n;
    p.out_ch = p.ch + 2 * n;

    if (dialect == GLOB_SCOPE)
        return read_scope(&p, ret);
    enum err_code r = read_all(&p);
    return r == ERR_OK ? expand(&p, ret) : r;
}
