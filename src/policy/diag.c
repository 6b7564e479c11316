#include "policy/diag.h"

#include "base/utf8.h"

static bool grow(struct diags *d)
{
    size_t cap = d->cap ? d->cap * 2 : 16;
    struct diag *v = arena_newn(d->arena, struct diag, cap);
    if (!v)
        return false;
    if (d->n > 0)
        memcpy(v, d->v, d->n * sizeof(*v));
    d->v = v;
    d->cap = cap;
    return true;
}

void diag_add(struct diags *d, enum diag_level level, struct mark at, struct str path, const char *hint,
              const char *fmt, ...)
{
    if (level == DIAG_ERROR)
        d->errors++;
    else
        d->warnings++;
    if (d->n == DIAGS_MAX)
        return;
    char msg[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    utf8_clean(msg, strlen(msg));

    struct diag new = {.level = level, .at = at};
    if ((d->n == d->cap && !grow(d)) || !arena_dup(d->arena, path, &new.path) ||
        !arena_dup(d->arena, str_of(msg), &new.msg) || !arena_dup(d->arena, str_of(hint), &new.hint)) {
        d->no_room = true;
        return;
    }
    d->v[d->n++] = new;
}

static int compare(const struct diag *a, const struct diag *b)
{
    uint32_t la = a->at.line ? a->at.line : UINT32_MAX, lb = b->at.line ? b->at.line : UINT32_MAX;
    if (la != lb)
        return la < lb ? -1 : 1;
    if (a->at.column != b->at.column)
        return a->at.column < b->at.column ? -1 : 1;
    return 0;
}

static bool is_repeat(const struct diag *a, const struct diag *b)
{
    return a->level == b->level && a->at.line == b->at.line && a->at.column == b->at.column &&
           str_eq(a->path, b->path) && str_eq(a->msg, b->msg);
}

void diags_sort(struct diags *d)
{
    for (size_t i = 1; i < d->n; i++) { // insertion: at most DIAGS_MAX, nearly sorted, and stable
        struct diag x = d->v[i];
        size_t k = i;
        for (; k > 0 && compare(&d->v[k - 1], &x) > 0; k--)
            d->v[k] = d->v[k - 1];
        d->v[k] = x;
    }
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        bool again = false;
        for (size_t k = kept; k > 0 && compare(&d->v[k - 1], &d->v[i]) == 0 && !again; k--)
            again = is_repeat(&d->v[k - 1], &d->v[i]);
        if (!again)
            d->v[kept++] = d->v[i];
        else if (d->v[i].level == DIAG_ERROR)
            d->errors--;
        else
            d->warnings--;
    }
    d->n = kept;
}

static void path_add(struct keypath *p, struct str s)
{
    static const struct str more = STR_INIT("...");
    if (str_ends(keypath_str(p), more) && p->n + s.n > KEYPATH_MAX - more.n)
        return;
    if (s.n > KEYPATH_MAX - more.n - p->n) {
        memcpy(p->b + p->n, more.p, more.n);
        p->n += more.n;
        return;
    }
    memcpy(p->b + p->n, s.p, s.n);
    p->n += s.n;
}

static bool is_plain_key(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if (!char_is_alpha(key.p[i]) && !char_is_digit(key.p[i]) && key.p[i] != '_' && key.p[i] != '-')
            return false;
    return key.n > 0;
}

size_t keypath_key(struct keypath *p, struct str key)
{
    size_t before = p->n;
    if (p->n > 0)
        path_add(p, STR("."));
    if (is_plain_key(key)) {
        path_add(p, key);
        return before;
    }
    char safe[128]; // a hostile key neither fills the path nor reaches a terminal
    struct str cut = str_head(key, sizeof(safe));
    if (cut.n > 0)
        memcpy(safe, cut.p, cut.n);
    utf8_clean(safe, cut.n);
    path_add(p, STR("\""));
    path_add(p, (struct str){safe, cut.n});
    path_add(p, STR("\""));
    return before;
}

size_t keypath_index(struct keypath *p, size_t i)
{
    size_t before = p->n;
    char text[32];
    int n = snprintf(text, sizeof(text), "[%zu]", i);
    path_add(p, (struct str){text, (size_t)n});
    return before;
}

enum { SUGGEST_MAX = 48 }; // longer words are not typing mistakes of our keys

static char fold(char c)
{
    return c == '-' ? '_' : char_lower(c);
}

// Optimal string alignment distance: one insertion, deletion, substitution or swap of neighbours costs 1.
static size_t distance(struct str a, struct str b)
{
    size_t rows[3][SUGGEST_MAX + 1];
    for (size_t k = 0; k <= b.n; k++)
        rows[0][k] = k;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t k = 1; k <= b.n; k++) {
            bool same = fold(a.p[i - 1]) == fold(b.p[k - 1]);
            size_t best = above[k - 1] + !same;
            if (above[k] + 1 < best)
                best = above[k] + 1;
            if (now[k - 1] + 1 < best)
                best = now[k - 1] + 1;
            bool swapped = i > 1 && k > 1 && fold(a.p[i - 1]) == fold(b.p[k - 2]) &&
                           fold(a.p[i - 2]) == fold(b.p[k - 1]);
            if (swapped && above2[k - 2] + 1 < best)
                best = above2[k - 2] + 1;
            now[k] = best;
        }
    }
    return rows[a.n % 3][b.n];
}

struct str diag_suggest(struct str word, const struct str *candidates, size_t n)
{
    struct str best = {};
    if (word.n == 0 || word.n > SUGGEST_MAX)
        return best;
    size_t least = word.n / 3 + 1;
    for (size_t i = 0; i < n; i++) {
        if (candidates[i].n == 0 || candidates[i].n > SUGGEST_MAX)
            continue;
        size_t far = distance(word, candidates[i]);
        if (far < least) {
            least = far;
            best = candidates[i];
        }
    }
    return best;
}
