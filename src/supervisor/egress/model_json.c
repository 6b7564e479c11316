// One pass without recursion. A bit for each level tells objects from arrays.
#include "supervisor/egress/model_json.h"

#include "base/jsonw.h"
#include "base/utf8.h"

struct scan {
    struct str in;
    size_t at;
    unsigned char kinds[MODEL_JSON_DEPTH_MAX]; // '{' or '['
    size_t depth;
};

#define bad(s, e, what) err_set((e), ERR_INVALID, "JSON at offset %zu: %s", (s)->at, (what))

static bool peek(const struct scan *s, char *ret)
{
    *ret = s->at < s->in.n ? s->in.p[s->at] : '\0';
    return s->at < s->in.n;
}

static void blanks(struct scan *s)
{
    while (s->at < s->in.n && memchr(" \t\r\n", s->in.p[s->at], 4))
        s->at++;
}

static bool hex4(struct str s, size_t at, unsigned *ret)
{
    unsigned v = 0;
    if (s.n < 4 || at > s.n - 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        int d = char_hex(s.p[at + i]);
        if (d < 0)
            return false;
        v = v << 4 | (unsigned)d;
    }
    *ret = v;
    return true;
}

// Behind the backslash; `at` stands on the letter.
static enum err_code escape(struct scan *s, struct err *e)
{
    char c;
    unsigned v;
    if (!peek(s, &c) || !memchr("\"\\/bfnrtu", c, 9))
        return bad(s, e, "an unknown escape");
    s->at++;
    if (c != 'u')
        return ERR_OK;
    if (!hex4(s->in, s->at, &v))
        return bad(s, e, "an escape that is not four hex digits");
    s->at += 4;
    if (v >= 0xdc00 && v < 0xe000)
        return bad(s, e, "half of a surrogate pair");
    if (v < 0xd800 || v >= 0xdc00)
        return ERR_OK;
    bool pair = s->in.n - s->at >= 6 && s->in.p[s->at] == '\\' && s->in.p[s->at + 1] == 'u' &&
                hex4(s->in, s->at + 2, &v) && v >= 0xdc00 && v < 0xe000;
    if (!pair)
        return bad(s, e, "half of a surrogate pair");
    s->at += 6;
    return ERR_OK;
}

// *ret: between the quotes, as it stands.
static enum err_code string(struct scan *s, struct str *ret, struct err *e)
{
    size_t start = ++s->at; // behind the quote
    for (;;) {
        char c;
        if (!peek(s, &c))
            return bad(s, e, "a string that does not end");
        if (c == '"')
            break;
        if ((unsigned char)c < 0x20)
            return bad(s, e, "a control byte in a string");
        if (c == '\\') {
            s->at++;
            enum err_code r = escape(s, e);
            if (r != ERR_OK)
                return r;
            continue;
        }
        size_t n = (unsigned char)c < 0x80 ? 1 : utf8_next(str_from(s->in, s->at));
        if (n == 0)
            return bad(s, e, "malformed UTF-8");
        s->at += n;
    }
    *ret = str_head(str_from(s->in, start), s->at - start);
    s->at++;
    return ERR_OK;
}

static size_t digits(struct scan *s)
{
    size_t n = 0;
    for (; s->at < s->in.n && char_is_digit(s->in.p[s->at]); s->at++)
        n++;
    return n;
}

static enum err_code number(struct scan *s, struct err *e)
{
    char c;
    if (s->in.p[s->at] == '-')
        s->at++;
    size_t start = s->at;
    size_t n = digits(s);
    if (n == 0 || (n > 1 && s->in.p[start] == '0'))
        return bad(s, e, "no number");
    if (peek(s, &c) && c == '.') {
        s->at++;
        if (digits(s) == 0)
            return bad(s, e, "no digit behind a point");
    }
    if (peek(s, &c) && (c == 'e' || c == 'E')) {
        s->at++;
        if (peek(s, &c) && (c == '+' || c == '-'))
            s->at++;
        if (digits(s) == 0)
            return bad(s, e, "no digit in an exponent");
    }
    return ERR_OK;
}

static enum err_code word(struct scan *s, struct err *e)
{
    static const struct str words[] = {STR_INIT("true"), STR_INIT("false"), STR_INIT("null")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_starts(str_from(s->in, s->at), words[i])) {
            s->at += words[i].n;
            return ERR_OK;
        }
    return bad(s, e, "no value");
}

static enum err_code scalar(struct scan *s, struct err *e)
{
    char c;
    struct str ignored;
    if (!peek(s, &c))
        return bad(s, e, "it ends early");
    if (c == '"')
        return string(s, &ignored, e);
    return c == '-' || char_is_digit(c) ? number(s, e) : word(s, e);
}

static enum err_code open_level(struct scan *s, char c, struct err *e)
{
    if (s->depth == MODEL_JSON_DEPTH_MAX)
        return bad(s, e, "it is nested too deeply");
    s->kinds[s->depth++] = (unsigned char)c;
    s->at++;
    return ERR_OK;
}

// `"key":` and the blanks around.
static enum err_code key(struct scan *s, struct str *ret, struct err *e)
{
    char c;
    blanks(s);
    if (!peek(s, &c) || c != '"')
        return bad(s, e, "no name of a member");
    enum err_code r = string(s, ret, e);
    if (r != ERR_OK)
        return r;
    blanks(s);
    if (!peek(s, &c) || c != ':')
        return bad(s, e, "no ':' behind a name");
    s->at++;
    blanks(s);
    return ERR_OK;
}

// What may follow a value: the ends of levels, then a comma or nothing. *ret_more: a value follows.
static enum err_code after_value(struct scan *s, size_t floor, bool *ret_more, struct err *e)
{
    char c;
    *ret_more = false;
    while (s->depth > floor) {
        blanks(s);
        if (!peek(s, &c))
            return bad(s, e, "it ends early");
        bool object = s->kinds[s->depth - 1] == '{';
        if (c == (object ? '}' : ']')) {
            s->depth--;
            s->at++;
            continue;
        }
        if (c != ',')
            return bad(s, e, object ? "neither ',' nor '}'" : "neither ',' nor ']'");
        s->at++;
        struct str ignored;
        *ret_more = true;
        if (object)
            return key(s, &ignored, e);
        blanks(s);
        return ERR_OK;
    }
    return ERR_OK;
}

// One value, whatever is in it.
static enum err_code value(struct scan *s, struct err *e)
{
    const size_t floor = s->depth;
    bool more = true;
    while (more) {
        char c, next;
        struct str ignored;
        enum err_code r = ERR_OK;
        if (!peek(s, &c))
            return bad(s, e, "it ends early");
        if (c == '{' || c == '[') {
            r = open_level(s, c, e);
            blanks(s);
            bool empty = r == ERR_OK && peek(s, &next) && next == (c == '{' ? '}' : ']');
            if (r == ERR_OK && !empty && c == '{')
                r = key(s, &ignored, e);
            if (r != ERR_OK)
                return r;
            if (!empty)
                continue;
        } else {
            r = scalar(s, e);
        }
        if (r == ERR_OK)
            r = after_value(s, floor, &more, e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

// Decoded, as far as ASCII goes: names that we look for are.
static bool is_named(struct str raw, const char *name)
{
    size_t k = 0, want = strlen(name);
    for (size_t i = 0; i < raw.n; k++) {
        unsigned c = (unsigned char)raw.p[i++];
        if (c == '\\') {
            static const char letters[] = "bfnrt", codes[] = "\b\f\n\r\t";
            const char *l = raw.p[i] == 'u' ? NULL : strchr(letters, raw.p[i]);
            if (raw.p[i] == 'u' && !hex4(raw, i + 1, &c))
                return false;
            if (raw.p[i] == 'u')
                i += 5;
            else
                c = l ? (unsigned char)codes[l - letters] : (unsigned char)raw.p[i], i++;
        }
        if (k >= want || c != (unsigned char)name[k])
            return false;
    }
    return k == want;
}

static void decode_model(struct str raw, char *out)
{
    // A model's name has no escapes; one that has is not known by its name.
    if (raw.n < 2 || raw.p[0] != '"' || raw.n - 2 >= MODEL_NAME_MAX || str_has(raw, '\\'))
        return;
    memcpy(out, raw.p + 1, raw.n - 2);
    out[raw.n - 2] = '\0';
}

static enum err_code note(struct scan *s, struct span *to, const struct span *m, const char *name,
                          struct err *e)
{
    if (to->n > 0)
        return err_set(e, ERR_INVALID, "JSON at offset %zu: a second \"%s\"", m->at, name);
    (void)s;
    *to = *m;
    return ERR_OK;
}

static enum err_code member(struct scan *s, struct model_facts *f, struct err *e)
{
    const struct {
        const char *name;
        struct span *to;
    } wanted[] = {{"model", &f->model_at},
                  {"stream", &f->stream_at},
                  {"context_management", &f->context_at},
                  {"anthropic_version", &f->version_at}};
    struct str name;
    struct span m = {.at = s->at};
    enum err_code r = key(s, &name, e);
    m.value = s->at;
    if (r == ERR_OK)
        r = value(s, e);
    m.value_n = s->at - m.value;
    m.n = s->at - m.at;
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(wanted); i++)
        if (is_named(name, wanted[i].name))
            r = note(s, wanted[i].to, &m, wanted[i].name, e);
    return r;
}

static enum err_code members(struct scan *s, struct model_facts *f, struct err *e)
{
    char c;
    blanks(s);
    f->empty = peek(s, &c) && c == '}';
    if (f->empty) {
        s->at++;
        return ERR_OK;
    }
    for (;;) {
        blanks(s);
        enum err_code r = member(s, f, e);
        if (r != ERR_OK)
            return r;
        blanks(s);
        if (!peek(s, &c) || (c != ',' && c != '}'))
            return bad(s, e, "neither ',' nor '}'");
        s->at++;
        if (c == '}')
            return ERR_OK;
    }
}

enum err_code model_read(struct str body, struct model_facts *ret, struct err *e)
{
    struct scan s = {.in = body, .depth = 0};
    struct model_facts f = {};
    char c;
    blanks(&s);
    if (!peek(&s, &c) || c != '{')
        return bad(&s, e, "no object");
    s.at++;
    f.first = s.at;
    s.kinds[s.depth++] = '{';
    enum err_code r = members(&s, &f, e);
    if (r != ERR_OK)
        return r;
    blanks(&s);
    if (s.at != body.n)
        return bad(&s, e, "text behind the object");
    f.has_model = f.model_at.n > 0;
    if (f.has_model)
        decode_model(str_head(str_from(body, f.model_at.value), f.model_at.value_n), f.model);
    f.stream = f.stream_at.n > 0 &&
               str_eq(str_head(str_from(body, f.stream_at.value), f.stream_at.value_n), STR("true"));
    *ret = f;
    return ERR_OK;
}

// ---- writing
// -------------------------------------------------------------------------------------------------

enum err_code model_write(struct str body, const struct model_facts *f, struct str model, struct buf *out,
                          struct err *e)
{
    if (f->has_model) {
        buf_add(out, str_head(body, f->model_at.value));
        jsonw_string(out, model);
        buf_add(out, str_from(body, f->model_at.value + f->model_at.value_n));
    } else {
        buf_add(out, str_head(body, f->first));
        buf_add(out, STR("\"model\":"));
        jsonw_string(out, model);
        if (!f->empty)
            buf_addc(out, ',');
        buf_add(out, str_from(body, f->first));
    }
    return buf_check(out, "the request", e);
}

static bool is_blank(char c)
{
    return memchr(" \t\r\n", c, 4) != NULL;
}

// Copies what stands in front of a member, and returns where what follows it begins. The comma behind it goes
// too, or where it is the last one the comma in front, which may have been that of a neighbour that went.
static size_t leave_out(struct str body, size_t from, const struct span *m, struct buf *out)
{
    buf_add(out, str_head(str_from(body, from), m->at - from));
    size_t next = m->at + m->n;
    while (next < body.n && is_blank(body.p[next]))
        next++;
    if (next < body.n && body.p[next] == ',')
        return next + 1;
    while (out->n > 0 && is_blank(out->p[out->n - 1]))
        out->n--;
    if (out->n > 0 && out->p[out->n - 1] == ',')
        out->n--;
    return m->at + m->n;
}

enum err_code model_write_vertex(struct str body, const struct model_facts *f, struct buf *out, struct err *e)
{
    const struct span *gone[3] = {&f->model_at, &f->context_at, &f->version_at};
    size_t left = 0;
    for (size_t i = 0; i < 3; i++) // in the order of the text
        for (size_t k = i + 1; k < 3; k++)
            if (gone[k]->at < gone[i]->at) {
                const struct span *t = gone[i];
                gone[i] = gone[k];
                gone[k] = t;
            }
    CLEANUP(buf_done) struct buf rest;
    buf_init(&rest, body.n + 1);
    for (size_t i = 0; i < 3; i++)
        if (gone[i]->n > 0)
            left = leave_out(body, left, gone[i], &rest);
    buf_add(&rest, str_from(body, left));
    enum err_code r = buf_check(&rest, "the request", e);
    struct model_facts now;
    if (r == ERR_OK)
        r = model_read(buf_str(&rest), &now, e); // also: what was made is one whole object
    if (r != ERR_OK)
        return r;
    buf_add(out, str_head(buf_str(&rest), now.first));
    buf_add(out, STR("\"anthropic_version\":\"vertex-2023-10-16\""));
    if (!now.empty)
        buf_addc(out, ',');
    buf_add(out, str_from(buf_str(&rest), now.first));
    return buf_check(out, "the request", e);
}
