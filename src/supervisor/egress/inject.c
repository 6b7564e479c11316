#include "supervisor/egress/inject.h"

#include <openssl/evp.h>

#include "base/utf8.h"

enum { NEEDLES_MAX = 4 * INJECT_VALUES_MAX };

struct injection {
    inject_ask *ask;
    void *ctx;
    struct str needles[NEEDLES_MAX]; // longest first
    size_t needles_n;
    size_t values_n;
    size_t used;
    char block[INJECT_BLOCK]; // values, and what was made with them
};

enum err_code injection_new(inject_ask *ask, void *ctx, struct injection **ret, struct err *e)
{
    struct injection *j = malloc(sizeof(*j)); // the block is written before it is read
    if (!j)
        return err_set(e, ERR_LIMIT, "no memory for a credential");
    j->ask = ask;
    j->ctx = ctx;
    j->needles_n = j->values_n = j->used = 0;
    *ret = j;
    return ERR_OK;
}

void injection_free(struct injection *j)
{
    if (!j)
        return;
    secret_wipe(j->block, j->used);
    free(j);
}

bool injection_is_used(const struct injection *j)
{
    return j && j->values_n > 0;
}

// ---- the block
// -----------------------------------------------------------------------------------------------

struct writer { // appends to the block
    struct injection *j;
    size_t start;
    bool full;
};

static struct writer begin(struct injection *j)
{
    return (struct writer){.j = j, .start = j->used};
}

static void put(struct writer *w, struct str s)
{
    w->full |= s.n > sizeof(w->j->block) - w->j->used;
    if (w->full || s.n == 0)
        return;
    memcpy(w->j->block + w->j->used, s.p, s.n);
    w->j->used += s.n;
}

static void putc_in(struct writer *w, char c)
{
    put(w, (struct str){&c, 1});
}

static struct str text_of(const struct writer *w)
{
    return (struct str){w->j->block + w->start, w->j->used - w->start};
}

static enum err_code end(const struct writer *w, struct str *ret, struct err *e)
{
    if (w->full)
        return err_set(e, ERR_LIMIT, "a request of more than %d bytes with its credentials", INJECT_BLOCK);
    *ret = text_of(w);
    return ERR_OK;
}

// Kept in order of length, so that masking a short one never hides a part of a longer one.
static void need(struct injection *j, struct str s)
{
    if (s.n < INJECT_MASK_MIN || j->needles_n == NEEDLES_MAX)
        return;
    size_t i = j->needles_n++;
    for (; i > 0 && j->needles[i - 1].n < s.n; i--)
        j->needles[i] = j->needles[i - 1];
    j->needles[i] = s;
}

static enum err_code unresolved(const char *where, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "credential placeholder could not be resolved in %s", where);
}

static bool is_unreserved(char c) // RFC 3986 section 2.3
{
    return char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static void put_encoded(struct writer *w, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(s.p[i])) {
            putc_in(w, s.p[i]);
            continue;
        }
        putc_in(w, '%');
        putc_in(w, hex[c >> 4]);
        putc_in(w, hex[c & 15]);
    }
}

// Ways in which a server may write the value back.
static enum err_code spellings(struct injection *j, struct str value, struct err *e)
{
    struct str made;
    need(j, value);
    struct writer w = begin(j);
    put_encoded(&w, value);
    enum err_code r = end(&w, &made, e);
    if (r == ERR_OK && made.n != value.n)
        need(j, made);
    for (int depth = 0; r == ERR_OK && depth < 2; depth++) { // within a JSON string, and within one in one
        w = begin(j);
        for (size_t i = 0; i < value.n; i++) {
            if (value.p[i] == '"' || value.p[i] == '\\')
                putc_in(&w, '\\');
            putc_in(&w, value.p[i]);
        }
        r = end(&w, &made, e);
        if (r != ERR_OK || made.n == value.n)
            break;
        need(j, made);
        value = made;
    }
    return r;
}

static enum err_code value_of(struct injection *j, struct str placeholder, const char *where, struct str *ret,
                              struct err *e)
{
    if (j->values_n == INJECT_VALUES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d credentials in one request", INJECT_VALUES_MAX);
    if (sizeof(j->block) - j->used < VAULT_VALUE_MAX)
        return err_set(e, ERR_LIMIT, "a request of more than %d bytes with its credentials", INJECT_BLOCK);
    char *p = j->block + j->used;
    size_t n = 0;
    enum err_code r = j->ask(j->ctx, placeholder, p, &n, e);
    j->used += r == ERR_OK ? n : 0;
    if (r == ERR_DENIED)
        return err_set(e, r, "credential is not authorized for the request endpoint in %s", where);
    if (r == ERR_NOT_FOUND)
        return unresolved(where, e);
    if (r != ERR_OK)
        return r;
    // The launcher does not give such a value out; what would begin another line is looked for here, too.
    if (n == 0 || memchr(p, '\r', n) || memchr(p, '\n', n) || memchr(p, '\0', n))
        return unresolved(where, e);
    j->values_n++;
    *ret = (struct str){p, n};
    return spellings(j, *ret, e);
}

enum err_code injection_ask(struct injection *j, struct str name, struct str *ret, struct err *e)
{
    char *p = j->block + j->used;
    size_t n = 0;
    enum err_code r = j->ask(j->ctx, name, p, &n, e);
    if (r != ERR_OK)
        return r;
    j->used += n;
    j->values_n += n > 0; // an empty one need not be looked for
    *ret = (struct str){p, n};
    return spellings(j, *ret, e);
}

// ---- pieces of text
// -------------------------------------------------------------------------------------------------

typedef enum err_code put_value(struct writer *w, struct str value, const char *where, struct err *e);

static enum err_code put_plain(struct writer *w, struct str value, const char *where, struct err *e)
{
    (void)where;
    (void)e;
    put(w, value);
    return ERR_OK;
}

// Writes `text` with all its placeholders replaced. Their values are asked for first: w must come last in the
// block.
static enum err_code replace_all(struct injection *j, struct str text, const char *where, put_value *how,
                                 struct str *ret, struct err *e)
{
    struct str values[INJECT_VALUES_MAX];
    size_t at, n, from = 0, count = 0;
    enum placeholder_found found;
    while ((found = placeholder_find(text, from, &at, &n)) == PLACEHOLDER_FOUND) {
        if (count == INJECT_VALUES_MAX)
            return err_set(e, ERR_LIMIT, "more than %d credentials in one request", INJECT_VALUES_MAX);
        enum err_code r = value_of(j, str_head(str_from(text, at), n), where, &values[count], e);
        if (r != ERR_OK)
            return r;
        count++;
        from = at + n;
    }
    if (found == PLACEHOLDER_BROKEN)
        return unresolved(where, e);
    struct writer w = begin(j);
    from = 0;
    for (size_t i = 0; i < count; i++) {
        (void)placeholder_find(text, from, &at, &n); // as above
        put(&w, str_head(str_from(text, from), at - from));
        enum err_code r = how(&w, values[i], where, e);
        if (r != ERR_OK)
            return r;
        from = at + n;
    }
    put(&w, str_from(text, from));
    return end(&w, ret, e);
}

static bool is_marked(struct str s)
{
    size_t held;
    return placeholder_has_mark(s, &held);
}

// What was made of it holds no mark: a value that is a placeholder itself, or one that was left.
static enum err_code checked(struct str made, const char *where, struct err *e)
{
    return is_marked(made) ? unresolved(where, e) : ERR_OK;
}

// ---- header values
// --------------------------------------------------------------------------------------------------

static bool is_whole(struct str s)
{
    struct placeholder ignored;
    return placeholder_parse(s, &ignored);
}

static bool is_basic(struct str value, struct str *ret)
{
    *ret = value;
    if (!str_skip(ret, STR("Basic ")) && !str_skip(ret, STR("basic ")))
        return false;
    *ret = str_trim(*ret);
    return true;
}

// Strictly: what decodes to these bytes is written in this one way. Into the block, behind everything.
static bool decode_base64(struct injection *j, struct str text, struct str *ret)
{
    char again[4];
    size_t room = sizeof(j->block) - j->used;
    if (text.n == 0 || text.n % 4 != 0 || text.n / 4 * 3 > room || text.n > HTTP1_HEAD_MAX)
        return false;
    unsigned char *out = (unsigned char *)j->block + j->used;
    int n = EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.n);
    if (n < 3)
        return false;
    size_t pad = (size_t)(text.p[text.n - 1] == '=') + (size_t)(text.p[text.n - 2] == '=');
    *ret = (struct str){(const char *)out, (size_t)n - pad};
    size_t last = (ret->n - 1) / 3 * 3;
    unsigned char tail[8];
    (void)EVP_EncodeBlock(tail, out + last, (int)(ret->n - last));
    memcpy(again, tail, sizeof(again));
    return memcmp(again, text.p + text.n - 4, 4) == 0;
}

static enum err_code basic(struct injection *j, struct str text, struct str *ret, struct err *e)
{
    struct str made, encoded;
    enum err_code r = replace_all(j, text, "header", put_plain, &made, e);
    if (r == ERR_OK)
        r = checked(made, "header", e);
    if (r != ERR_OK)
        return r;
    struct writer w = begin(j);
    put(&w, STR("Basic "));
    size_t n = (made.n + 2) / 3 * 4;
    if (n + 1 > sizeof(j->block) - j->used) // it writes a NUL behind
        return err_set(e, ERR_LIMIT, "a header that is too long with its credentials");
    (void)EVP_EncodeBlock((unsigned char *)j->block + j->used, (const unsigned char *)made.p, (int)made.n);
    encoded = (struct str){j->block + j->used, n};
    j->used += n + 1;
    need(j, encoded); // as it was written; what follows the user's name stands in another place each time
    *ret = (struct str){encoded.p - STR("Basic ").n, n + STR("Basic ").n};
    return ERR_OK;
}

static enum err_code header_value(struct injection *j, struct str value, struct str *ret, struct err *e)
{
    struct str coded, text, made;
    if (is_whole(value)) {
        enum err_code r = value_of(j, value, "header", ret, e);
        return r == ERR_OK ? checked(*ret, "header", e) : r;
    }
    size_t before = j->used;
    if (is_basic(value, &coded) && decode_base64(j, coded, &text) && is_marked(text)) {
        j->used += text.n; // it stays in front of what is made of it
        return utf8_is_valid(text) ? basic(j, text, ret, e) : unresolved("header", e);
    }
    j->used = before;
    if (!is_marked(value))
        return ERR_OK;
    ptrdiff_t blank = str_find(value, ' ');
    struct str word = blank < 0 ? STR("") : str_head(value, (size_t)blank + 1);
    struct str rest = str_trim(str_from(value, word.n));
    if (blank <= 0 || is_marked(word) || !is_whole(rest))
        return unresolved("header", e);
    enum err_code r = value_of(j, rest, "header", &made, e);
    if (r == ERR_OK)
        r = checked(made, "header", e);
    if (r != ERR_OK)
        return r;
    struct writer w = begin(j);
    put(&w, word);
    put(&w, made);
    return end(&w, ret, e);
}

// ---- path and query
// -------------------------------------------------------------------------------------------------

// Into the block. False: a malformed escape, or no room.
static bool decode(struct injection *j, struct str in, bool plus, struct str *ret)
{
    struct writer w = begin(j);
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int high = in.n - i > 2 ? char_hex(in.p[i + 1]) : -1;
            int low = in.n - i > 2 ? char_hex(in.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        putc_in(&w, c);
    }
    *ret = text_of(&w);
    return !w.full;
}

// What a value may not bring into a path: another segment, a way up, an end.
static enum err_code put_in_path(struct writer *w, struct str value, const char *where, struct err *e)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == '?' || c == '#' ||
            (c == '.' && (value.n == 1 || (i + 1 < value.n && value.p[i + 1] == '.'))))
            return unresolved(where, e);
    }
    put(w, value);
    return ERR_OK;
}

static enum err_code encoded_part(struct injection *j, struct str part, bool plus, const char *where,
                                  put_value *how, struct str *ret, struct err *e)
{
    struct str text, made;
    if (!decode(j, part, plus, &text))
        return unresolved(where, e);
    enum err_code r = replace_all(j, text, where, how, &made, e);
    if (r == ERR_OK)
        r = checked(made, where, e);
    if (r != ERR_OK)
        return r;
    struct writer w = begin(j);
    put_encoded(&w, made);
    return end(&w, ret, e);
}

// Values lie all over the block, so the text is put together from parts that are known by then.
struct parts {
    struct str v[2 * INJECT_VALUES_MAX + 1];
    size_t n;
};

static void add_part(struct parts *p, struct str s)
{
    assert(p->n < ARRAY_LEN(p->v)); // each value brings one of its own and one in front of it
    if (s.n > 0)
        p->v[p->n++] = s;
}

static enum err_code join(struct injection *j, const struct parts *p, struct str *ret, struct err *e)
{
    struct writer w = begin(j);
    for (size_t i = 0; i < p->n; i++)
        put(&w, p->v[i]);
    return end(&w, ret, e);
}

static enum err_code inject_path(struct injection *j, struct str path, struct str *ret, struct err *e)
{
    struct parts parts = {};
    size_t plain = 0; // of `path`, not yet in parts
    struct str rest = path, segment;
    if (!is_marked(path))
        return ERR_OK;
    while (str_split(&rest, '/', &segment)) {
        if (!is_marked(segment))
            continue;
        struct str made;
        size_t at = (size_t)(segment.p - path.p);
        if (parts.n + 2 >= ARRAY_LEN(parts.v))
            return err_set(e, ERR_LIMIT, "more than %d credentials in a path", INJECT_VALUES_MAX);
        enum err_code r = encoded_part(j, segment, false, "path", put_in_path, &made, e);
        if (r != ERR_OK)
            return r;
        add_part(&parts, str_head(str_from(path, plain), at - plain));
        add_part(&parts, made);
        plain = at + segment.n;
    }
    add_part(&parts, str_from(path, plain));
    enum err_code r = join(j, &parts, ret, e);
    return r == ERR_OK ? checked(*ret, "path", e) : r;
}

static enum err_code inject_query(struct injection *j, struct str query, const char *where, struct str *ret,
                                  struct err *e)
{
    struct parts parts = {};
    size_t plain = 0;
    struct str rest = query, pair;
    if (!is_marked(query))
        return ERR_OK;
    while (str_split(&rest, '&', &pair)) {
        struct str value = pair, name, made;
        if (!is_marked(pair))
            continue;
        (void)str_split(&value, '=', &name);
        if (!value.p || is_marked(name)) // names are not rewritten
            return unresolved(where, e);
        if (parts.n + 2 >= ARRAY_LEN(parts.v))
            return err_set(e, ERR_LIMIT, "more than %d credentials in one request", INJECT_VALUES_MAX);
        size_t at = (size_t)(value.p - query.p);
        enum err_code r = encoded_part(j, value, true, where, put_plain, &made, e);
        if (r != ERR_OK)
            return r;
        add_part(&parts, str_head(str_from(query, plain), at - plain));
        add_part(&parts, made);
        plain = at + value.n;
    }
    add_part(&parts, str_from(query, plain));
    enum err_code r = join(j, &parts, ret, e);
    return r == ERR_OK ? checked(*ret, where, e) : r;
}

// ---- the head
// ------------------------------------------------------------------------------------------------

static bool may_be_basic(struct str value)
{
    struct str ignored;
    return is_basic(value, &ignored);
}

bool inject_wanted(const struct http1_head *h)
{
    if (is_marked(h->method) || is_marked(h->target))
        return true;
    for (size_t i = 0; i < h->headers_n; i++)
        if (is_marked(h->headers[i].name) || is_marked(h->headers[i].value) ||
            may_be_basic(h->headers[i].value))
            return true;
    return false;
}

static void ask_for_plain_answer(struct http1_head *h)
{
    for (size_t i = 0; i < h->headers_n; i++)
        if (str_eq_ci(h->headers[i].name, STR("Accept-Encoding")))
            h->headers[i].value = STR("identity");
}

enum err_code inject_head(struct injection *j, struct http1_head *h, struct str path, struct str *ret_path,
                          struct err *e)
{
    *ret_path = path;
    if (is_marked(h->method))
        return unresolved("header", e);
    enum err_code r = inject_path(j, path, ret_path, e);
    if (r == ERR_OK)
        r = inject_query(j, h->query, "query_param", &h->query, e);
    for (size_t i = 0; r == ERR_OK && i < h->headers_n; i++) {
        struct http1_header *x = &h->headers[i];
        const char *before = x->value.p;
        r = is_marked(x->name) ? unresolved("header", e) : header_value(j, x->value, &x->value, e);
        x->secret = x->value.p != before;
    }
    if (r == ERR_OK && injection_is_used(j))
        ask_for_plain_answer(h);
    return r;
}

// ---- bodies
// ------------------------------------------------------------------------------------------------

enum inject_body inject_body_kind(const struct http1_head *h)
{
    struct str type, coding;
    if (h->framing == FRAMING_NONE || !http1_get(h, STR("Content-Type"), &type))
        return INJECT_BODY_NONE;
    for (size_t i = 0; i < h->headers_n; i++)
        if (str_eq_ci(h->headers[i].name, STR("Content-Encoding")))
            return INJECT_BODY_NONE;
    (void)str_split(&type, ';', &coding);
    coding = str_trim(coding);
    if (str_eq_ci(coding, STR("application/json")))
        return INJECT_BODY_JSON;
    if (str_eq_ci(coding, STR("application/x-www-form-urlencoded")))
        return INJECT_BODY_FORM;
    return coding.n > 5 && str_eq_ci(str_head(coding, 5), STR("text/")) ? INJECT_BODY_TEXT : INJECT_BODY_NONE;
}

// As it may stand within a JSON string.
static void add_json(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '"' || c == '\\')
            buf_addc(out, '\\');
        if ((unsigned char)c < 0x20)
            buf_addf(out, "\\u%04x", (unsigned char)c);
        else
            buf_addc(out, c);
    }
}

static enum err_code replace_in(struct injection *j, enum inject_body kind, struct str body, struct buf *out,
                                struct err *e)
{
    size_t at, n, from = 0;
    enum placeholder_found found;
    while ((found = placeholder_find(body, from, &at, &n)) == PLACEHOLDER_FOUND) {
        struct str value;
        enum err_code r = value_of(j, str_head(str_from(body, at), n), "body", &value, e);
        if (r != ERR_OK)
            return r;
        buf_add(out, str_head(str_from(body, from), at - from));
        if (kind == INJECT_BODY_JSON)
            add_json(out, value);
        else
            buf_add(out, value);
        from = at + n;
    }
    buf_add(out, str_from(body, from));
    return found == PLACEHOLDER_BROKEN ? unresolved("body", e) : ERR_OK;
}

// Values only; what stands around a placeholder is decoded, and encoded again.
static enum err_code replace_in_form(struct injection *j, struct str body, struct buf *out, struct err *e)
{
    bool first = true;
    for (struct str rest = body, pair; str_split(&rest, '&', &pair); first = false) {
        struct str value = pair, name, made;
        if (!first)
            buf_addc(out, '&');
        if (!is_marked(pair)) {
            buf_add(out, pair);
            continue;
        }
        (void)str_split(&value, '=', &name);
        if (!value.p || is_marked(name))
            return unresolved("body", e);
        enum err_code r = encoded_part(j, value, true, "body", put_plain, &made, e);
        if (r != ERR_OK)
            return r;
        buf_add(out, name);
        buf_addc(out, '=');
        buf_add(out, made);
    }
    return ERR_OK;
}

enum err_code inject_body(struct injection *j, enum inject_body kind, struct str body, struct buf *out,
                          struct err *e)
{
    if (!utf8_is_valid(body))
        return err_set(e, ERR_INVALID, "a body that is not UTF-8");
    enum err_code r = kind == INJECT_BODY_FORM ? replace_in_form(j, body, out, e)
                                               : replace_in(j, kind, body, out, e);
    if (r == ERR_OK)
        r = buf_check(out, "a body with its credentials", e);
    return r == ERR_OK ? checked(buf_str(out), "body", e) : r;
}

// ---- responses
// -----------------------------------------------------------------------------------------------

void mask_init(struct mask *m, const struct injection *j)
{
    *m = (struct mask){.j = injection_is_used(j) ? j : NULL};
    buf_init(&m->work, MASK_WORK_MAX);
}

void mask_done(struct mask *m)
{
    if (m)
        secret_buf_done(&m->work);
}

static bool cover(const struct injection *j, char *p, size_t n)
{
    bool hit = false;
    for (size_t i = 0; i < j->needles_n; i++) {
        struct str needle = j->needles[i];
        for (size_t from = 0; from < n;) {
            char *at = memmem(p + from, n - from, needle.p, needle.n);
            if (!at)
                break;
            memset(at, '*', needle.n);
            from = (size_t)(at - p) + needle.n;
            hit = true;
        }
    }
    return hit;
}

// How many of the last bytes may be the beginning of a value.
static size_t unfinished(const struct injection *j, struct str s)
{
    size_t keep = 0;
    for (size_t i = 0; i < j->needles_n; i++) {
        struct str needle = j->needles[i];
        size_t most = needle.n - 1 < s.n ? needle.n - 1 : s.n;
        for (size_t n = most; n > keep; n--)
            if (memcmp(s.p + s.n - n, needle.p, n) == 0)
                keep = n;
    }
    return keep;
}

// How much of `s` may be masked and go: up to where a value may begin that has not come whole, and to no
// place within a value.
static size_t whole(const struct injection *j, struct str s)
{
    size_t n = s.n - unfinished(j, s);
    for (size_t i = 0; i < j->needles_n; i++) {
        struct str needle = j->needles[i];
        size_t from = n < needle.n ? 0 : n - needle.n + 1; // one that begins before reaches n at most
        const char *at = n > 0 ? memmem(s.p + from, s.n - from, needle.p, needle.n) : NULL;
        if (at && (size_t)(at - s.p) < n) {
            n = (size_t)(at - s.p);
            i = (size_t)-1; // a shorter end may cut another one
        }
    }
    return n;
}

enum err_code mask_feed(struct mask *m, struct str data, bool end, struct str *ret, struct err *e)
{
    struct buf *b = &m->work;
    *ret = data;
    if (!m->j || m->j->needles_n == 0)
        return ERR_OK;
    size_t kept = b->n - m->given; // what was given out last time goes
    if (kept > 0)
        memmove(b->p, b->p + m->given, kept);
    b->n = kept;
    m->given = 0;
    buf_add(b, data);
    enum err_code r = buf_check(b, "a response under inspection", e);
    if (r != ERR_OK)
        return r;
    m->given = end ? b->n : whole(m->j, buf_str(b));
    m->hit |= cover(m->j, b->p, m->given);
    *ret = str_head(buf_str(b), m->given);
    return ERR_OK;
}

enum err_code mask_head(struct injection *j, struct http1_head *h, bool *ret_hit, struct err *e)
{
    *ret_hit = false;
    for (size_t i = 0; injection_is_used(j) && i < h->headers_n; i++) {
        struct str *value = &h->headers[i].value, copy;
        bool inside = false;
        for (size_t k = 0; k < j->needles_n && !inside; k++)
            inside = value->n > 0 && memmem(value->p, value->n, j->needles[k].p, j->needles[k].n);
        if (!inside)
            continue;
        struct writer w = begin(j);
        put(&w, *value);
        enum err_code r = end(&w, &copy, e);
        if (r != ERR_OK)
            return r;
        *ret_hit |= cover(j, j->block + w.start, copy.n);
        *value = copy;
    }
    return ERR_OK;
}

bool mask_is_blind(const struct http1_head *response)
{
    for (size_t i = 0; i < response->headers_n; i++)
        if (str_eq_ci(response->headers[i].name, STR("Content-Encoding")) &&
            !str_eq_ci(response->headers[i].value, STR("identity")) && response->headers[i].value.n > 0)
            return true;
    return false;
}

// ---- request bodies that are not rewritten
// --------------------------------------------------------------------------------------------------

enum err_code scan_feed(struct scan *s, struct str data, bool end, struct str *ret, struct err *e)
{
    struct str all = data;
    size_t held;
    if (s->held_n > 0) {
        buf_clear(&s->work);
        buf_add(&s->work, (struct str){s->held, s->held_n});
        buf_add(&s->work, data);
        enum err_code r = buf_check(&s->work, "a body under inspection", e);
        if (r != ERR_OK)
            return r;
        all = buf_str(&s->work);
    }
    s->found = placeholder_has_mark(all, &held);
    if (s->found)
        return err_set(e, ERR_DENIED, "credential placeholder could not be resolved in body");
    s->held_n = end ? 0 : held; // what is cut at the end of all is no mark
    memcpy(s->held, all.p + all.n - s->held_n, s->held_n);
    *ret = str_head(all, all.n - s->held_n);
    return ERR_OK;
}
