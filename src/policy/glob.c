// Matching. The literal bytes at both ends of a sequence are compared at once; what is left between them is
// walked with two places to come back to: the last TOK_STAR, whose run grows until the separator, and the
// last TOK_RUN or TOK_SKIP, whose run grows without bound. Neither needs the places before it: the shortest
// run that lets the rest begin leaves the most text to those that follow, and where a star has reached the
// end of its component, a later start in that component would end there too. So each byte of the text meets
// each token at most a few times.
#include "policy/glob.h"

#include "net/host.h"
#include "policy/globseq.h"

bool globseq_make(const uint8_t *kind, const char *ch, size_t n, struct arena *a, struct globseq *ret)
{
    char *mem = arena_array(a, n, 2);
    if (!mem)
        return false;
    uint8_t *k = (uint8_t *)mem + n;
    uint32_t len = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t last = len > 0 ? k[len - 1] : (uint8_t)TOK_LIT;
        if (kind[i] >= TOK_STAR && last >= TOK_STAR) {
            // Each of them takes the empty run too, and TOK_RUN takes whatever the others do.
            if (kind[i] == TOK_RUN)
                k[len - 1] = TOK_RUN;
            if (last == TOK_RUN || kind[i] == TOK_RUN || kind[i] == last)
                continue;
        }
        k[len] = kind[i];
        mem[len++] = ch[i];
    }
    struct globseq s = {.kind = k, .ch = mem, .n = len};
    while (s.head < len && k[s.head] == TOK_LIT)
        s.head++;
    while (s.head < len && k[len - 1 - s.tail] == TOK_LIT)
        s.tail++;
    *ret = s;
    return true;
}

static bool one(const struct glob *g, const struct globseq *s, size_t at, char byte)
{
    switch ((enum globtok)s->kind[at]) {
    case TOK_LIT:
        return byte == s->ch[at];
    case TOK_ANY:
        return byte != g->sep;
    case TOK_CLASS:
        return globclass_has(&g->classes[(unsigned char)s->ch[at]], byte);
    case TOK_STAR:
    case TOK_SKIP:
    case TOK_RUN:
        break;
    }
    return false;
}

// A place to come back to: the token behind the wildcard, and where its run ends so far.
struct place {
    size_t token; // 0: none
    size_t end;
};

// Moves the end of a TOK_RUN or TOK_SKIP to the next place where the rest may begin. False: there is none.
static bool grow(struct place *wide, bool to_sep, struct str text, char sep)
{
    if (!to_sep)
        return wide->end++ < text.n;
    const char *from = text.p + wide->end;
    const char *at = wide->end < text.n ? memchr(from, sep, text.n - wide->end) : NULL;
    if (!at)
        return false;
    wide->end += (size_t)(at - from) + 1;
    return true;
}

// Tokens `from` to before `end` against the whole of `text`.
static bool match_middle(const struct glob *g, const struct globseq *s, size_t from, size_t end,
                         struct str text)
{
    struct place star = {}, wide = {};
    bool skip = false, starred = false; // `wide` is a TOK_SKIP; a star was met since
    size_t t = from, i = 0;
    for (;;) {
        if (t == end && i == text.n)
            return true;
        if (t < end && s->kind[t] >= TOK_STAR) {
            unsigned kind = s->kind[t++];
            if (kind == TOK_STAR) {
                star.token = t;
                star.end = i;
                starred = true;
                continue;
            }
            if (kind == TOK_RUN && t == end)
                return true;
            wide.token = t;
            wide.end = i;
            skip = kind == TOK_SKIP;
            star.token = 0;
            starred = false;
            continue;
        }
        // clang 14 loses track of who wrote the text. NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
        if (t < end && i < text.n && one(g, s, t, text.p[i])) {
            if (text.p[i] == g->sep)
                star.token = 0; // its component is over
            t++;
            i++;
            continue;
        }
        if (star.token > 0 && star.end < text.n && text.p[star.end] != g->sep) {
            t = star.token;
            i = ++star.end;
            continue;
        }
        if (wide.token == 0 || !grow(&wide, skip || starred, text, g->sep))
            return false;
        t = wide.token;
        i = wide.end;
        star.token = 0;
        starred = false;
    }
}

bool globseq_match(const struct glob *g, const struct globseq *s, struct str text)
{
    if (s->head == s->n)
        return text.n == s->n && (text.n == 0 || memcmp(text.p, s->ch, text.n) == 0);
    size_t fixed = (size_t)s->head + s->tail;
    if (text.n < fixed)
        return false;
    if (s->head > 0 && memcmp(text.p, s->ch, s->head) != 0)
        return false;
    if (s->tail > 0 && memcmp(text.p + text.n - s->tail, s->ch + s->n - s->tail, s->tail) != 0)
        return false;
    struct str middle = {text.n > 0 ? text.p + s->head : "", text.n - fixed};
    if (s->n - fixed == 1 && s->kind[s->head] == TOK_STAR)
        return !str_has(middle, g->sep);
    return match_middle(g, s, s->head, s->n - s->tail, middle);
}

// ---- hosts
// --------------------------------------------------------------------------------------------------

static bool is_ldh(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '_';
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!char_is_digit(s.p[i]))
            return false;
    return s.n > 0;
}

static struct str last_label(struct str host)
{
    const char *dot = host.n > 0 ? memrchr(host.p, '.', host.n) : NULL;
    return dot ? str_from(host, (size_t)(dot - host.p) + 1) : host;
}

static enum err_code label_check(enum glob_dialect dialect, struct str label, size_t off, struct err *reterr)
{
    if (label.n == 0)
        return err_set(reterr, ERR_INVALID, "the label at offset %zu is empty", off);
    bool star = str_has(label, '*');
    bool pair = str_eq(label, STR("**"));
    for (size_t i = 0; i < label.n; i++) {
        if (label.p[i] != '*' && !is_ldh(label.p[i]))
            return err_set(reterr, ERR_INVALID,
                           "byte 0x%02x at offset %zu: a host pattern has letters, digits, "
                           "'-', '_', '.' and '*'",
                           (unsigned char)label.p[i], off + i);
        if (i > 0 && label.p[i] == '*' && label.p[i - 1] == '*' && !pair)
            return err_set(reterr, ERR_INVALID, "'**' at offset %zu is not a whole label", off + i - 1);
    }
    if (dialect == GLOB_HOST && pair && off > 0)
        return err_set(reterr, ERR_INVALID, "'**' at offset %zu: only the first label can be '**'", off);
    if (dialect == GLOB_HOST && star && off > 0 && label.n > 1)
        return err_set(reterr, ERR_INVALID,
                       "'%.*s' at offset %zu: behind the first label a wildcard is a whole "
                       "label, '*'",
                       STR_FMT(label), off);
    return ERR_OK;
}

// Shapes that the dialects have (reference 1.5). A pattern without a star is compared for equality, so for an
// endpoint host anything goes; a selector is a name in any case.
static enum err_code host_check(enum glob_dialect dialect, struct str pattern, struct err *reterr)
{
    if (pattern.n == 0)
        return err_set(reterr, ERR_INVALID, "a host pattern is not empty");
    bool star = str_has(pattern, '*');
    if (star && pattern.n > HOST_MAX)
        return err_set(reterr, ERR_INVALID, "a host pattern of %zu bytes, the limit is %d", pattern.n,
                       HOST_MAX);
    if (!star && (dialect == GLOB_HOST || str_has(pattern, ':'))) // an IPv6 literal is no row of labels
        return ERR_OK;
    size_t labels = 0, off = 0;
    struct str label;
    for (struct str rest = pattern; str_split(&rest, '.', &label); off += label.n + 1, labels++) {
        enum err_code r = label_check(dialect, label, off, reterr);
        if (r != ERR_OK)
            return r;
    }
    if (dialect == GLOB_HOST && labels <= 2)
        return err_set(reterr, ERR_INVALID, "a wildcard needs a domain of two labels, as in *.example.com");
    if (dialect == GLOB_HOST && all_digits(last_label(pattern)))
        return err_set(reterr, ERR_INVALID, "a wildcard does not match IP addresses");
    return ERR_OK;
}

// That no label is empty is asked of the text, in host_match(). So a wildcard that is a whole label need not
// say it; and where two patterns share a text with an empty label, they share one in which it is filled.
static enum err_code host_compile(enum glob_dialect dialect, struct str pattern, struct arena *a,
                                  struct glob *ret, struct err *reterr)
{
    enum err_code r = host_check(dialect, pattern, reterr);
    if (r != ERR_OK)
        return r;
    CLEANUP(base_freep) char *mem = calloc(pattern.n, 2);
    if (!mem)
        return err_set(reterr, ERR_LIMIT, "no memory for a pattern of %zu bytes", pattern.n);
    uint8_t *kind = (uint8_t *)mem + pattern.n;
    size_t n = 0, off = 0;
    struct str label;
    for (struct str rest = pattern; str_split(&rest, '.', &label); off += label.n + 1) {
        if (off > 0)
            mem[n++] = '.'; // kind 0 is TOK_LIT
        if (str_eq(label, STR("**"))) {
            kind[n++] = TOK_RUN;
            continue;
        }
        for (size_t i = 0; i < label.n; i++) {
            kind[n] = label.p[i] == '*' ? TOK_STAR : TOK_LIT;
            mem[n++] = char_lower(label.p[i]);
        }
    }
    struct globseq *s = arena_new(a, struct globseq);
    if (!s || !globseq_make(kind, mem, n, a, s))
        return arena_limit(a, "a host pattern", reterr);
    *ret = (struct glob){.v = s, .n = 1, .dialect = dialect, .sep = '.'};
    return ERR_OK;
}

// Without case; a wildcard takes no name with an empty label, and as an endpoint's host no IP literal.
static bool host_match(const struct glob *g, struct str text)
{
    const struct globseq *s = g->v;
    if (s->head == s->n)
        return str_eq_ci(text, (struct str){s->ch, s->n});
    if (text.n == 0 || text.n > HOST_MAX)
        return false;
    char lower[HOST_MAX];
    char last = '.';
    for (size_t i = 0; i < text.n; i++) {
        if (last == '.' && text.p[i] == '.')
            return false;
        last = lower[i] = char_lower(text.p[i]);
    }
    if (last == '.')
        return false;
    if (g->dialect == GLOB_HOST && (str_has(text, ':') || all_digits(last_label(text))))
        return false;
    return globseq_match(g, s, (struct str){lower, text.n});
}

// Whether one byte can be taken by both tokens.
static bool share(const struct globseq *a, size_t i, const struct globseq *b, size_t j)
{
    unsigned x = a->kind[i], y = b->kind[j];
    if (x == TOK_RUN || y == TOK_RUN)
        return true;
    if (x == TOK_LIT && y == TOK_LIT)
        return a->ch[i] == b->ch[j];
    return !(x == TOK_LIT && a->ch[i] == '.') && !(y == TOK_LIT && b->ch[j] == '.');
}

// Both patterns read the same unknown host at once: from (i, j), the tokens they stand before, a run may end,
// or both take a byte. No step goes back, so two rows of the table are enough.
static bool seqs_overlap(const struct globseq *a, const struct globseq *b)
{
    bool rows[2][HOST_MAX + 2] = {{true}};
    for (size_t i = 0; i <= a->n; i++) {
        bool *row = rows[i & 1], *below = rows[(i + 1) & 1];
        memset(below, 0, sizeof(rows[0]));
        bool loop_a = i < a->n && a->kind[i] >= TOK_STAR;
        for (size_t j = 0; j <= b->n; j++) {
            if (!row[j])
                continue;
            bool loop_b = j < b->n && b->kind[j] >= TOK_STAR;
            if (loop_a)
                below[j] = true;
            if (loop_b)
                row[j + 1] = true;
            if (i == a->n || j == b->n || !share(a, i, b, j))
                continue;
            if (loop_a)
                row[j + 1] = true;
            else if (loop_b)
                below[j] = true;
            else
                below[j + 1] = true;
        }
        if (i == a->n)
            return row[b->n];
    }
    return false;
}

enum err_code glob_compile(enum glob_dialect dialect, struct str pattern, struct arena *a,
                           const struct glob **ret, struct err *reterr)
{
    if (pattern.n > GLOB_MAX)
        return err_set(reterr, ERR_INVALID, "a pattern of %zu bytes, the limit is %d", pattern.n, GLOB_MAX);
    struct glob *g = arena_new(a, struct glob);
    if (!g)
        return arena_limit(a, "a pattern", reterr);
    bool host = dialect == GLOB_HOST || dialect == GLOB_SELECTOR;
    enum err_code r = host ? host_compile(dialect, pattern, a, g, reterr)
                           : globparse(dialect, pattern, a, g, reterr);
    if (r == ERR_OK)
        *ret = g;
    return r;
}

bool glob_match(const struct glob *g, struct str text)
{
    if (g->dialect == GLOB_HOST || g->dialect == GLOB_SELECTOR)
        return host_match(g, text);
    for (uint32_t i = 0; i < g->n; i++)
        if (globseq_match(g, &g->v[i], text))
            return true;
    return false;
}

bool glob_is_literal(const struct glob *g, struct str *ret)
{
    if (g->n > 1 || g->v->head < g->v->n)
        return false;
    *ret = (struct str){g->v->ch, g->v->n};
    return true;
}

bool glob_hosts_overlap(const struct glob *a, const struct glob *b)
{
    struct str text = {};
    if (glob_is_literal(a, &text))
        return glob_match(b, text);
    if (glob_is_literal(b, &text))
        return glob_match(a, text);
    return seqs_overlap(a->v, b->v);
}

bool glob_has_wildcard(enum glob_dialect dialect, struct str pattern)
{
    bool host = dialect == GLOB_HOST || dialect == GLOB_SELECTOR;
    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i];
        if (c == '*' || (!host && (c == '?' || c == '[')) || (c == '{' && !host && dialect != GLOB_SCOPE))
            return true;
    }
    return false;
}
