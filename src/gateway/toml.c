#include "gateway/toml.h"

#include "gateway/toml_internal.h"

// One pass, by recursive descent: this file has the document, keys, tables and arrays; toml_value.c strings,
// numbers and times.

enum {          // struct toml.how
    BY_PATH,    // a table that a longer header passed through: a header may still define it
    BY_HEADER,  // [table]
    BY_KEY,     // of a dotted key: only dotted keys of the same section may add to it, and headers below it
    BY_VALUE,   // inline, or an array of values: complete
    BY_HEADERS, // [[array]]: each such header adds a table
};

enum err_code toml_bad(const struct toml_in *in, const char *what, struct err *reterr)
{
    return err_set(reterr, ERR_INVALID, "line %u, column %zu: %s", in->line, in->at - in->line_at + 1, what);
}

static enum err_code no_room(const struct toml_in *in, struct err *reterr)
{
    return arena_limit(in->arena, "the configuration", reterr);
}

// ---- white space

void toml_blanks(struct toml_in *in)
{
    while (toml_peek(in) == ' ' || toml_peek(in) == '\t')
        in->at++;
}

bool toml_newline(struct toml_in *in)
{
    size_t n = toml_peek(in) == '\n' ? 1 : toml_starts(in, STR("\r\n")) ? 2 : 0;
    in->at += n;
    if (n > 0) {
        in->line++;
        in->line_at = in->at;
    }
    return n > 0;
}

static enum err_code comment(struct toml_in *in, struct err *reterr)
{
    if (toml_peek(in) != '#')
        return ERR_OK;
    while (in->at < in->text.n && toml_peek(in) != '\n' && !toml_starts(in, STR("\r\n"))) {
        if (toml_is_control(toml_peek(in)))
            return toml_bad(in, "a control character in a comment", reterr);
        in->at++;
    }
    return ERR_OK;
}

static enum err_code line_end(struct toml_in *in, struct err *reterr)
{
    toml_blanks(in);
    enum err_code c = comment(in, reterr);
    if (c != ERR_OK || in->at == in->text.n || toml_newline(in))
        return c;
    return toml_bad(in, "only a comment may follow on this line", reterr);
}

// Between the values of an array: blanks, newlines, comments.
static enum err_code gap(struct toml_in *in, struct err *reterr)
{
    enum err_code c = ERR_OK;
    do {
        toml_blanks(in);
        c = comment(in, reterr);
    } while (c == ERR_OK && toml_newline(in));
    return c;
}

// ---- the tree

struct toml *toml_find(const struct toml *table, struct str key)
{
    for (struct toml *t = table->first; t; t = t->next)
        if (str_eq(t->key, key))
            return t;
    return NULL;
}

const char *toml_type_name(enum toml_type type)
{
    static const char *const names[] =
        {[TOML_TABLE] = "a table",      [TOML_ARRAY] = "an array", [TOML_STRING] = "a string",
         [TOML_INT] = "an integer",     [TOML_FLOAT] = "a float",  [TOML_BOOL] = "true or false",
         [TOML_TIME] = "a date or time"};
    return names[type];
}

static struct toml *add(struct toml_in *in, struct toml *parent, struct str key, enum toml_type type,
                        unsigned char how)
{
    struct toml *t = arena_new(in->arena, struct toml);
    if (!t)
        return NULL;
    *t = (struct toml){.type = type, .line = in->line, .key = key, .how = how};
    *(parent->last ? &parent->last->next : &parent->first) = t;
    parent->last = t;
    return t;
}

// ---- keys

static bool is_bare(char c)
{
    return char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '_';
}

static enum err_code simple_key(struct toml_in *in, struct str *ret, struct err *reterr)
{
    char c = toml_peek(in);
    if (c == '"' || c == '\'') {
        if (toml_starts(in, STR("\"\"\"")) || toml_starts(in, STR("'''")))
            return toml_bad(in, "a key has no several lines", reterr);
        return toml_string(in, ret, reterr);
    }
    size_t from = in->at;
    while (in->at < in->text.n && is_bare(toml_peek(in)))
        in->at++;
    *ret = str_head(str_from(in->text, from), in->at - from);
    return ret->n > 0 ? ERR_OK
                      : toml_bad(in, "a key was expected: letters, digits, '-', '_', or in quotes", reterr);
}

struct path {
    struct str parts[TOML_DEPTH_MAX];
    size_t n;
};

static enum err_code dotted_key(struct toml_in *in, struct path *p, struct err *reterr)
{
    p->n = 0;
    for (;;) {
        if (p->n == TOML_DEPTH_MAX)
            return toml_bad(in, "a key has too many parts", reterr);
        enum err_code c = simple_key(in, &p->parts[p->n++], reterr);
        if (c != ERR_OK)
            return c;
        toml_blanks(in);
        if (toml_peek(in) != '.')
            return ERR_OK;
        in->at++;
        toml_blanks(in);
    }
}

static enum err_code taken(const struct toml_in *in, const struct toml *t, struct err *reterr)
{
    return err_set(reterr, ERR_INVALID, "line %u: '%.*s' was defined on line %u", in->line, STR_FMT(t->key),
                   t->line);
}

// ---- values

static enum err_code value(struct toml_in *in, struct toml *t, unsigned depth, struct err *reterr);

static enum err_code array(struct toml_in *in, struct toml *t, unsigned depth, struct err *reterr)
{
    in->at++; // [
    for (;;) {
        enum err_code c = gap(in, reterr);
        if (c != ERR_OK)
            return c;
        if (toml_peek(in) == ']')
            break;
        struct toml *item = add(in, t, STR(""), TOML_STRING, BY_VALUE);
        c = item ? value(in, item, depth + 1, reterr) : no_room(in, reterr);
        if (c == ERR_OK)
            c = gap(in, reterr);
        if (c != ERR_OK)
            return c;
        if (toml_peek(in) == ',')
            in->at++;
        else if (toml_peek(in) != ']')
            return toml_bad(in, "',' or ']' was expected", reterr);
    }
    in->at++;
    return ERR_OK;
}

static enum err_code pair(struct toml_in *in, struct toml *table, unsigned depth, struct err *reterr);

static void complete(struct toml *t) // what an inline table's dotted keys made is as closed as it is
{
    t->how = BY_VALUE;
    for (struct toml *i = t->type == TOML_TABLE ? t->first : NULL; i; i = i->next)
        if (i->type == TOML_TABLE)
            complete(i); // as deep as keys have parts, and inline tables are complete already
}

static enum err_code inline_table(struct toml_in *in, struct toml *t, unsigned depth, struct err *reterr)
{
    in->at++; // {
    toml_blanks(in);
    while (toml_peek(in) != '}' || t->first) {
        enum err_code c = pair(in, t, depth + 1, reterr);
        if (c != ERR_OK)
            return c;
        toml_blanks(in);
        if (toml_peek(in) == '}')
            break;
        if (toml_peek(in) != ',')
            return toml_bad(in, "',' or '}' was expected", reterr);
        in->at++;
        toml_blanks(in);
    }
    in->at++;
    complete(t);
    return ERR_OK;
}

static enum err_code value(struct toml_in *in, struct toml *t, unsigned depth, struct err *reterr)
{
    if (depth > TOML_DEPTH_MAX)
        return toml_bad(in, "too many arrays and tables inside each other", reterr);
    t->line = in->line;
    switch (toml_peek(in)) {
    case '"':
    case '\'':
        t->type = TOML_STRING;
        return toml_string(in, &t->text, reterr);
    case '[':
        t->type = TOML_ARRAY;
        return array(in, t, depth, reterr);
    case '{':
        t->type = TOML_TABLE;
        return inline_table(in, t, depth, reterr);
    default:
        return toml_scalar(in, t, reterr);
    }
}

// Where a dotted key leads: its tables are made on the way.
static enum err_code walk_key(struct toml_in *in, struct toml **table, const struct path *p,
                              struct err *reterr)
{
    for (size_t i = 0; i + 1 < p->n; i++) {
        struct toml *t = toml_find(*table, p->parts[i]);
        if (!t && !(t = add(in, *table, p->parts[i], TOML_TABLE, BY_KEY)))
            return no_room(in, reterr);
        if (t->type != TOML_TABLE || t->how != BY_KEY)
            return taken(in, t, reterr);
        *table = t;
    }
    const struct toml *same = toml_find(*table, p->parts[p->n - 1]);
    return same ? taken(in, same, reterr) : ERR_OK;
}

static enum err_code pair(struct toml_in *in, struct toml *table, unsigned depth, struct err *reterr)
{
    struct path p;
    enum err_code c = dotted_key(in, &p, reterr);
    if (c != ERR_OK)
        return c;
    if (toml_peek(in) != '=')
        return toml_bad(in, "'=' was expected behind a key", reterr);
    in->at++;
    toml_blanks(in);
    c = walk_key(in, &table, &p, reterr);
    if (c != ERR_OK)
        return c;
    struct toml *t = add(in, table, p.parts[p.n - 1], TOML_STRING, BY_VALUE);
    return t ? value(in, t, depth, reterr) : no_room(in, reterr);
}

// ---- headers

// The table above the last part of a header.
static enum err_code walk_header(struct toml_in *in, struct toml **table, const struct path *p,
                                 struct err *reterr)
{
    for (size_t i = 0; i + 1 < p->n; i++) {
        struct toml *t = toml_find(*table, p->parts[i]);
        if (!t && !(t = add(in, *table, p->parts[i], TOML_TABLE, BY_PATH)))
            return no_room(in, reterr);
        if (t->how == BY_VALUE) // a value, or a table that is complete
            return taken(in, t, reterr);
        *table = t->type == TOML_ARRAY ? t->last : t;
    }
    return ERR_OK;
}

static enum err_code define(struct toml_in *in, struct toml *above, struct str key, struct toml **ret,
                            struct err *reterr)
{
    struct toml *t = toml_find(above, key);
    if (t && (t->type != TOML_TABLE || t->how != BY_PATH))
        return taken(in, t, reterr);
    if (!t && !(t = add(in, above, key, TOML_TABLE, BY_HEADER)))
        return no_room(in, reterr);
    t->how = BY_HEADER;
    t->line = in->line;
    *ret = t;
    return ERR_OK;
}

static enum err_code append(struct toml_in *in, struct toml *above, struct str key, struct toml **ret,
                            struct err *reterr)
{
    struct toml *t = toml_find(above, key);
    if (t && (t->type != TOML_ARRAY || t->how != BY_HEADERS))
        return taken(in, t, reterr);
    if (!t && !(t = add(in, above, key, TOML_ARRAY, BY_HEADERS)))
        return no_room(in, reterr);
    *ret = add(in, t, STR(""), TOML_TABLE, BY_HEADER);
    return *ret ? ERR_OK : no_room(in, reterr);
}

static enum err_code header(struct toml_in *in, struct toml *root, struct toml **section, struct err *reterr)
{
    bool is_array = toml_starts(in, STR("[["));
    struct path p;
    in->at += is_array ? 2 : 1;
    toml_blanks(in);
    enum err_code c = dotted_key(in, &p, reterr);
    if (c != ERR_OK)
        return c;
    struct str end = is_array ? STR("]]") : STR("]");
    if (!toml_starts(in, end))
        return toml_bad(in, is_array ? "']]' was expected" : "']' was expected", reterr);
    in->at += end.n;
    struct toml *above = root;
    c = walk_header(in, &above, &p, reterr);
    if (c != ERR_OK)
        return c;
    struct str key = p.parts[p.n - 1];
    return is_array ? append(in, above, key, section, reterr) : define(in, above, key, section, reterr);
}

// ---- the document

enum err_code toml_parse(struct str text, struct arena *a, struct toml **ret, struct err *reterr)
{
    if (text.n > TOML_TEXT_MAX)
        return err_set(reterr, ERR_LIMIT, "the configuration has %zu bytes, %d at most", text.n,
                       TOML_TEXT_MAX);
    (void)str_skip(&text, STR("\xef\xbb\xbf"));
    struct toml_in in = {.text = text, .line = 1, .arena = a};
    enum err_code c = toml_check_text(&in, reterr);
    struct toml *root = arena_new(a, struct toml);
    if (!root)
        return no_room(&in, reterr);
    *root = (struct toml){.type = TOML_TABLE, .line = 1, .how = BY_HEADER};
    struct toml *section = root;
    while (c == ERR_OK && in.at < text.n) {
        toml_blanks(&in);
        char first = toml_peek(&in);
        if (first == '[')
            c = header(&in, root, &section, reterr);
        else if (in.at < text.n && first != '#' && first != '\n' && !toml_starts(&in, STR("\r\n")))
            c = pair(&in, section, 1, reterr);
        if (c == ERR_OK)
            c = line_end(&in, reterr);
    }
    if (c == ERR_OK)
        *ret = root;
    return c;
}
