// The bytes are checked first (check_text), so that libyaml sees nothing but printable UTF-8 with LF and CR
// LF as its only line breaks. Its events then drive a stack of open collections (frames). The items of all
// open collections lie in one scratch array, those of the innermost last; closing a collection moves its
// items to an array of their own. So there is no recursion, and a collection costs two allocations from the
// arena.
#include "policy/yaml.h"

#include <math.h>
#include <yaml.h>

#include "base/utf8.h"
#include "policy/policy.h"

struct frame {
    struct yaml_node *node;
    const struct yaml_node *key; // MAP: read, its value is still to come
    size_t base;                 // of its items in reader.items
};

struct anchor {
    struct str name;
    const struct yaml_node *node;
};

// libyaml counts characters, we count bytes. Marks come in ascending order nearly always, so one cursor that
// moves in both directions serves all of them in linear time.
struct cursor {
    size_t index;      // characters before it
    size_t at;         // bytes before it
    size_t line_start; // bytes before the line it is in
};

struct reader {
    struct str text;
    struct arena *a;
    struct diags *d;
    yaml_parser_t parser;
    struct cursor cursor;
    struct frame frames[POLICY_DEPTH_MAX];
    size_t depth;
    struct yaml_item *items;
    size_t items_n, items_cap;
    struct anchor anchors[YAML_ANCHORS_MAX];
    size_t anchors_n;
    size_t nodes; // aliases expanded
    const struct yaml_node *root;
};

enum step { STEP_ON, STEP_BAD, STEP_NO_ROOM }; // BAD: reported, and no tree can come of it

// ---- scalars
// ------------------------------------------------------------------------------------------------

static bool is_one_of(struct str s, const struct str *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, words[i]))
            return true;
    return false;
}

static bool all_digits(struct str s, int base)
{
    for (size_t i = 0; i < s.n; i++) {
        int v = char_hex(s.p[i]);
        if (v < 0 || v >= base)
            return false;
    }
    return s.n > 0;
}

static struct str without_sign(struct str s)
{
    return s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? str_from(s, 1) : s;
}

static size_t count_digits(struct str s)
{
    size_t n = 0;
    while (n < s.n && char_is_digit(s.p[n]))
        n++;
    return n;
}

// YAML 1.2.2 section 10.3.2: [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
static bool is_float(struct str s)
{
    static const struct str special[] = {STR_INIT(".inf"), STR_INIT(".Inf"), STR_INIT(".INF")};
    static const struct str nan[] = {STR_INIT(".nan"), STR_INIT(".NaN"), STR_INIT(".NAN")};
    if (is_one_of(s, nan, ARRAY_LEN(nan)))
        return true;
    s = without_sign(s);
    if (is_one_of(s, special, ARRAY_LEN(special)))
        return true;
    size_t whole = count_digits(s);
    s = str_from(s, whole);
    size_t fraction = 0;
    if (str_skip(&s, STR("."))) {
        fraction = count_digits(s);
        s = str_from(s, fraction);
    }
    if (whole == 0 && fraction == 0)
        return false;
    if (s.n == 0)
        return true;
    if (s.p[0] != 'e' && s.p[0] != 'E')
        return false;
    s = without_sign(str_from(s, 1));
    return s.n > 0 && count_digits(s) == s.n;
}

enum yaml_kind yaml_resolve(struct str s)
{
    static const struct str null[] = {STR_INIT("~"), STR_INIT("null"), STR_INIT("Null"), STR_INIT("NULL")};
    static const struct str bools[] = {STR_INIT("true"),  STR_INIT("True"),  STR_INIT("TRUE"),
                                       STR_INIT("false"), STR_INIT("False"), STR_INIT("FALSE")};
    if (s.n == 0)
        return NODE_NULL;
    char c = s.p[0]; // most scalars are names, paths and hosts: one look at the first byte settles them
    if (!char_is_digit(c) && !strchr("~nNtTfF.+-", c))
        return NODE_STRING;
    if (is_one_of(s, null, ARRAY_LEN(null)))
        return NODE_NULL;
    if (is_one_of(s, bools, ARRAY_LEN(bools)))
        return NODE_BOOL;
    if (all_digits(without_sign(s), 10))
        return NODE_INT;
    if ((str_starts(s, STR("0x")) && all_digits(str_from(s, 2), 16)) ||
        (str_starts(s, STR("0o")) && all_digits(str_from(s, 2), 8)))
        return NODE_INT;
    return is_float(s) ? NODE_FLOAT : NODE_STRING;
}

bool yaml_int(const struct yaml_node *node, bool *negative, uint64_t *magnitude)
{
    struct str s = node->text;
    unsigned base = 10;
    bool minus = str_starts(s, STR("-"));
    if (str_skip(&s, STR("0x")))
        base = 16;
    else if (str_skip(&s, STR("0o")))
        base = 8;
    else
        s = without_sign(s);
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (unsigned)char_hex(s.p[i]), &n))
            return false;
    *negative = minus && n > 0;
    *magnitude = n;
    return true;
}

bool yaml_number(const struct yaml_node *node, double *ret)
{
    double number;
    if (node->kind == NODE_INT) {
        struct str s = node->text;
        double base = str_starts(s, STR("0x")) ? 16 : 8;
        if (!str_starts(s, STR("0x")) && !str_starts(s, STR("0o"))) {
            number = strtod(s.p, NULL); // of a string that arena_dup ended with a NUL
        } else {
            number = 0;
            for (size_t i = 2; i < s.n; i++)
                number = number * base + char_hex(s.p[i]);
        }
    } else if (str_ends(node->text, STR("f")) || str_ends(node->text, STR("F")) ||
               str_ends(node->text, STR("n")) || str_ends(node->text, STR("N"))) {
        return false; // .inf and .nan
    } else {
        number = strtod(node->text.p, NULL);
    }
    if (!isfinite(number))
        return false;
    *ret = number;
    return true;
}

// ---- places
// -------------------------------------------------------------------------------------------------

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static void cursor_move(struct cursor *c, struct str text, size_t index)
{
    while (c->index < index && c->at < text.n) {
        if (text.p[c->at] == '\n')
            c->line_start = c->at + 1;
        do
            c->at++;
        while (c->at < text.n && is_tail(text.p[c->at]));
        c->index++;
    }
    bool crossed = false;
    while (c->index > index && c->at > 0) {
        do
            c->at--;
        while (c->at > 0 && is_tail(text.p[c->at]));
        c->index--;
        crossed = crossed || text.p[c->at] == '\n';
    }
    if (crossed) {
        const char *lf = memrchr(text.p, '\n', c->at);
        c->line_start = lf ? (size_t)(lf - text.p) + 1 : 0;
    }
}

// Leaves the cursor at `from`. A thing that goes on to the next line is marked up to the end of its first
// one.
static struct mark mark_of(struct reader *r, yaml_mark_t from, size_t chars)
{
    cursor_move(&r->cursor, r->text, from.index);
    size_t end = r->cursor.at;
    for (size_t i = 0; i < chars && end < r->text.n && r->text.p[end] != '\n' && r->text.p[end] != '\r'; i++)
        do
            end++;
        while (end < r->text.n && is_tail(r->text.p[end]));
    size_t length = end - r->cursor.at, column = r->cursor.at - r->cursor.line_start;
    bool past_end = from.column == 0 && column > 0; // libyaml ends a last line without LF by itself
    return (struct mark){
        .line = (uint32_t)from.line + !past_end,
        .column = (uint32_t)column + 1,
        .length = length > 0 ? (uint32_t)length : 1,
    };
}

struct mark yaml_place(const struct yaml_item *item)
{
    bool is_scalar = item->value->kind < NODE_LIST && item->value->text.n > 0;
    return is_scalar || !item->key ? item->value->at : item->key->at;
}

// The path of what is being read: of the innermost open collection, or of a value of it.
static void path_here(const struct reader *r, struct keypath *p)
{
    p->n = 0;
    for (size_t i = 0; i < r->depth; i++) {
        const struct frame *f = &r->frames[i];
        size_t next = i + 1 < r->depth ? r->frames[i + 1].base : r->items_n;
        if (f->node->kind == NODE_LIST)
            (void)keypath_index(p, next - f->base);
        else if (f->key)
            (void)keypath_key(p, f->key->text);
    }
}

#define report(r, at, hint, ...)                                                                             \
    ({                                                                                                       \
        struct keypath path_;                                                                                \
        path_here((r), &path_);                                                                              \
        diag_add((r)->d, DIAG_ERROR, (at), keypath_str(&path_), (hint), __VA_ARGS__);                        \
    })

// ---- the text
// -----------------------------------------------------------------------------------------------

// The byte at text[at], which no policy file may have: what is it, in words; NULL where it is fine.
static const char *what_is_wrong(struct str text, size_t at, size_t *len)
{
    unsigned char c = (unsigned char)text.p[at];
    *len = 1;
    if (c == '\t' || c == '\n' || (c >= 0x20 && c < 0x7f))
        return NULL;
    if (c == '\r')
        return at + 1 < text.n && text.p[at + 1] == '\n' ? NULL : "a carriage return without a line feed";
    if (c == 0)
        return "a NUL byte";
    if (c < 0x80)
        return "a control character";
    *len = utf8_next(str_from(text, at));
    if (*len == 0)
        return "a byte that is not UTF-8";
    struct str s = {text.p + at, *len};
    if (str_eq(s, STR("\xc2\x85")) || str_eq(s, STR("\xe2\x80\xa8")) || str_eq(s, STR("\xe2\x80\xa9")))
        return "a line break that only some programs know";
    if (*len == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
        return "a control character";
    if (str_eq(s, STR("\xef\xbb\xbf")))
        return "a byte order mark inside the text";
    if (str_eq(s, STR("\xef\xbf\xbe")) || str_eq(s, STR("\xef\xbf\xbf")))
        return "a code point that is no character";
    return NULL;
}

static enum step check_text(struct reader *r)
{
    struct mark at = {.line = 1, .column = 1, .length = 1};
    if (r->text.n > POLICY_TEXT_MAX) {
        diag_add(r->d, DIAG_ERROR, at, (struct str){}, "split the policy",
                 "the file has %zu bytes, the limit is %d", r->text.n, POLICY_TEXT_MAX);
        return STEP_BAD;
    }
    size_t line_start = 0, len;
    bool indent = true; // nothing but blanks so far in this line
    for (size_t i = 0; i < r->text.n; i += len) {
        const char *wrong = what_is_wrong(r->text, i, &len);
        const char *hint = NULL;
        char c = r->text.p[i];
        if (!wrong && c == '\t' && indent) {
            wrong = "a tab in front of a line";
            hint = "indent with spaces";
        }
        if (wrong) {
            at.column = (uint32_t)(i - line_start) + 1;
            at.length = (uint32_t)len + (len == 0);
            if (at.length > 1)
                diag_add(r->d, DIAG_ERROR, at, (struct str){}, hint, "%s", wrong);
            else
                diag_add(r->d, DIAG_ERROR, at, (struct str){}, hint, "%s (0x%02x)", wrong, (unsigned char)c);
            return STEP_BAD;
        }
        indent = c == '\n' || (indent && c == ' ');
        if (c == '\n') {
            line_start = i + 1;
            at.line++;
        }
    }
    return STEP_ON;
}

// ---- the tree
// -----------------------------------------------------------------------------------------------

static enum step count_nodes(struct reader *r, struct mark at, size_t more)
{
    r->nodes += more;
    if (r->nodes <= POLICY_NODES_MAX)
        return STEP_ON;
    report(r, at, "aliases count with all that they stand for", "more than %d values and keys",
           POLICY_NODES_MAX);
    return STEP_BAD;
}

static enum step push_item(struct reader *r, struct yaml_item item)
{
    if (r->items_n == r->items_cap) {
        size_t cap = r->items_cap ? r->items_cap * 2 : 64;
        struct yaml_item *items = arena_newn(r->a, struct yaml_item, cap);
        if (!items)
            return STEP_NO_ROOM;
        if (r->items_n > 0)
            memcpy(items, r->items, r->items_n * sizeof(*items));
        r->items = items;
        r->items_cap = cap;
    }
    r->items[r->items_n++] = item;
    return STEP_ON;
}

// Whether the next node is a key.
static bool at_key(const struct reader *r)
{
    const struct frame *top = r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
    return top && top->node->kind == NODE_MAP && !top->key;
}

static enum step add_value(struct reader *r, const struct yaml_node *node)
{
    if (r->depth == 0) {
        r->root = node;
        return STEP_ON;
    }
    struct frame *top = &r->frames[r->depth - 1];
    if (top->node->kind == NODE_LIST)
        return push_item(r, (struct yaml_item){.value = node});
    const struct yaml_node *key = top->key;
    if (!key->quoted && (key->text.n == 0 || str_eq(key->text, STR("<<")))) {
        top->key = NULL; // reported when it was read
        return STEP_ON;
    }
    enum step s = push_item(r, (struct yaml_item){.key = key, .value = node});
    top->key = NULL;
    return s;
}

static void set_key(struct reader *r, const struct yaml_node *key)
{
    if (!key->quoted && key->text.n == 0)
        report(r, key->at, NULL, "a key is missing in front of ':'");
    else if (!key->quoted && str_eq(key->text, STR("<<")))
        report(r, key->at, "write the keys out, or use an alias for a whole value",
               "merge keys ('<<') are not part of YAML 1.2");
    r->frames[r->depth - 1].key = key;
}

static enum step add_anchor(struct reader *r, const yaml_char_t *name, struct mark at,
                            const struct yaml_node *node)
{
    if (!name)
        return STEP_ON;
    if (r->anchors_n == YAML_ANCHORS_MAX) {
        report(r, at, NULL, "more than %d anchors", YAML_ANCHORS_MAX);
        return STEP_BAD;
    }
    struct anchor *new = &r->anchors[r->anchors_n];
    new->node = node;
    if (!arena_dup(r->a, str_of((const char *)name), &new->name))
        return STEP_NO_ROOM;
    r->anchors_n++;
    return STEP_ON;
}

// libyaml drops the tag `!` from a plain scalar without a trace; so we look at the source. The cursor is at
// the beginning of the node, anchor and tag included.
static bool is_tagged(const struct reader *r, const yaml_char_t *tag, size_t chars)
{
    if (tag)
        return true;
    struct str s = chars > 0 ? str_from(r->text, r->cursor.at) : (struct str){};
    if (str_skip(&s, STR("&"))) {
        size_t i = 0;
        while (i < s.n && !strchr(" \t\r\n,[]{}", s.p[i]))
            i++;
        while (i < s.n && strchr(" \t\r\n", s.p[i]))
            i++;
        s = str_from(s, i);
    }
    return str_starts(s, STR("!"));
}

static void refuse_tag(struct reader *r, struct mark at)
{
    report(r, at, "a value that begins with '!' needs quotes", "tags ('!') have no meaning in a policy");
}

static enum step read_scalar(struct reader *r, const yaml_event_t *e)
{
    size_t chars = e->end_mark.index - e->start_mark.index;
    struct mark at = mark_of(r, e->start_mark, chars);
    struct str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    if (is_tagged(r, e->data.scalar.tag, chars))
        refuse_tag(r, at);
    struct yaml_node *node = arena_new(r->a, struct yaml_node);
    if (!node || !arena_dup(r->a, text, &node->text))
        return STEP_NO_ROOM;
    node->at = at;
    node->size = 1;
    node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->kind = node->quoted ? NODE_STRING : yaml_resolve(text);
    node->boolean = node->kind == NODE_BOOL && char_lower(text.p[0]) == 't';
    if (text.n > 0 && memchr(text.p, '\0', text.n))
        report(r, at, NULL, "a NUL character in a string");
    enum step s = count_nodes(r, at, 1);
    if (s == STEP_ON)
        s = add_anchor(r, e->data.scalar.anchor, at, node);
    if (s != STEP_ON)
        return s;
    if (!at_key(r))
        return add_value(r, node);
    set_key(r, node);
    return STEP_ON;
}

static enum step read_alias(struct reader *r, const yaml_event_t *e)
{
    struct mark at = mark_of(r, e->start_mark, e->end_mark.index - e->start_mark.index);
    struct str name = str_of((const char *)e->data.alias.anchor);
    const struct yaml_node *node = NULL;
    for (size_t i = r->anchors_n; i-- > 0 && !node;) // the latest of that name counts
        if (str_eq(r->anchors[i].name, name))
            node = r->anchors[i].node;
    if (!node) {
        report(r, at, "a value that begins with '*' needs quotes",
               "no anchor '&%.*s' stands before this alias", STR_FMT(name));
        return STEP_BAD;
    }
    if (node->size == 0) { // still open
        report(r, at, NULL, "the alias '*%.*s' is inside of what it stands for", STR_FMT(name));
        return STEP_BAD;
    }
    if (at_key(r)) {
        report(r, at, "write the key out", "an alias cannot be a key");
        return STEP_BAD;
    }
    if (r->depth + node->height > POLICY_DEPTH_MAX) {
        report(r, at, NULL, "nested deeper than %d levels", POLICY_DEPTH_MAX);
        return STEP_BAD;
    }
    enum step s = count_nodes(r, at, node->size);
    return s == STEP_ON ? add_value(r, node) : s;
}

static enum step open_collection(struct reader *r, const yaml_event_t *e, enum yaml_kind kind)
{
    const yaml_char_t *tag = kind == NODE_MAP ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    const yaml_char_t *anchor = kind == NODE_MAP ? e->data.mapping_start.anchor
                                                 : e->data.sequence_start.anchor;
    struct mark at = mark_of(r, e->start_mark, 1);
    if (is_tagged(r, tag, e->end_mark.index - e->start_mark.index))
        refuse_tag(r, at);
    if (at_key(r)) {
        report(r, at, "a value that begins with '{' or '[' needs quotes", "a %s cannot be a key",
               kind == NODE_MAP ? "mapping" : "list");
        return STEP_BAD;
    }
    if (r->depth == POLICY_DEPTH_MAX) {
        report(r, at, NULL, "nested deeper than %d levels", POLICY_DEPTH_MAX);
        return STEP_BAD;
    }
    struct yaml_node *node = arena_new(r->a, struct yaml_node);
    if (!node)
        return STEP_NO_ROOM;
    node->kind = kind;
    node->at = at;
    enum step s = count_nodes(r, at, 1);
    if (s == STEP_ON)
        s = add_anchor(r, anchor, at, node);
    if (s == STEP_ON)
        r->frames[r->depth++] = (struct frame){.node = node, .base = r->items_n};
    return s;
}

static int compare_keys(const void *a, const void *b)
{
    const struct yaml_node *x = *(const struct yaml_node *const *)a, *y = *(const struct yaml_node *const *)b;
    int order = str_cmp(x->text, y->text);
    if (order != 0)
        return order;
    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    return (x->at.column > y->at.column) - (x->at.column < y->at.column);
}

static void report_twice(struct reader *r, const struct yaml_node *first, const struct yaml_node *again)
{
    struct frame *top = &r->frames[r->depth - 1];
    top->key = again;
    report(r, again->at, NULL, "the key '%.*s' is given twice, first in line %u, column %u",
           STR_FMT(again->text), first->at.line, first->at.column);
    top->key = NULL;
}

// By sorting, whose cost no choice of keys can raise.
static enum step check_unique(struct reader *r, const struct yaml_node *map)
{
    enum { FEW = 32 };
    const struct yaml_node *few[FEW], **keys = few;
    if (map->n > FEW) {
        keys = arena_newn(r->a, const struct yaml_node *, map->n);
        if (!keys)
            return STEP_NO_ROOM;
    }
    for (size_t i = 0; i < map->n; i++)
        keys[i] = map->items[i].key;
    if (map->n > 1)
        qsort(keys, map->n, sizeof(const struct yaml_node *), compare_keys);
    for (size_t i = 1, first = 0; i < map->n; i++) {
        if (str_eq(keys[first]->text, keys[i]->text))
            report_twice(r, keys[first], keys[i]);
        else
            first = i;
    }
    return STEP_ON;
}

static enum step close_collection(struct reader *r)
{
    struct frame *top = &r->frames[r->depth - 1];
    struct yaml_node *node = top->node;
    size_t n = r->items_n - top->base;
    node->items = arena_newn(r->a, struct yaml_item, n);
    if (!node->items)
        return STEP_NO_ROOM;
    if (n > 0)
        memcpy(node->items, r->items + top->base, n * sizeof(*node->items));
    node->n = n;
    node->size = 1;
    for (size_t i = 0; i < n; i++) {
        node->size += node->items[i].value->size + (node->items[i].key ? 1 : 0);
        if (node->height < node->items[i].value->height)
            node->height = node->items[i].value->height;
    }
    node->height++;
    enum step s = node->kind == NODE_MAP ? check_unique(r, node) : STEP_ON;
    r->items_n = top->base;
    r->depth--;
    return s == STEP_ON ? add_value(r, node) : s;
}

// ---- libyaml
// ------------------------------------------------------------------------------------------------

static const struct {
    const char *context, *problem; // parts of libyaml's texts; NULL: any
    const char *msg, *hint;
} words[] = {
    {"alias", NULL, "'*' begins an alias here",
     "put a value that begins with '*' in quotes: \"*.example.com\""},
    {"anchor", NULL, "'&' begins an anchor here", "put a value that begins with '&' in quotes"},
    {NULL, "tag handle", "tags ('!') have no meaning in a policy",
     "a value that begins with '!' needs quotes"},
    {"tag", NULL, "tags ('!') have no meaning in a policy", "a value that begins with '!' needs quotes"},
    {NULL, "cannot start any token", "this character cannot begin a value", "put the value in quotes"},
    {NULL, "mapping values are not allowed", "a ':' that belongs to no key",
     "check the indentation, or put a value that contains ': ' in quotes"},
    {NULL, "mapping keys are not allowed", "a key is not possible here", "check the indentation"},
    {NULL, "could not find expected ':'", "a line that is neither 'key: value' nor a list item",
     "write ':' and a blank behind the key, or check the indentation"},
    {NULL, "did not find expected key", "expected a key", "check the indentation of this line, and quotes"},
    {NULL, "expected '-' indicator", "expected the next item of the list, or its end",
     "items begin with '- ' in one column; check the indentation"},
    {NULL, "expected ',' or ']'", "expected ',' or ']'", "a list that begins with '[' ends with ']'"},
    {NULL, "expected ',' or '}'", "expected ',' or '}'", "a mapping that begins with '{' ends with '}'"},
    {NULL, "block sequence entries are not allowed", "a list item is not possible here",
     "begin the list on a line of its own"},
    {NULL, "unknown escape character", "an unknown escape in double quotes",
     "write a backslash twice, or use single quotes"},
    {NULL, "hexdecimal number", "an escape with too few hexadecimal digits", NULL},
    {NULL, "invalid Unicode character", "an escape for what is no character", NULL},
    {"quoted scalar", "unexpected end of stream", "a quoted value does not end", "close the quotes"},
    {"quoted scalar", "unexpected document indicator", "a quoted value does not end", "close the quotes"},
    {NULL, "node content", "a value is missing", NULL},
    {NULL, "<document start>", "text behind the end of the document", "a file holds one policy"},
    {NULL, "incompatible YAML document", "an unknown version of YAML",
     "remove the line that begins with '%'"},
    {"directive", NULL, "a line that begins with '%' is a directive, and this one is malformed", "remove it"},
    {NULL, "directive", "a directive that is given twice", "remove the line that begins with '%'"},
    {"block scalar", NULL, "a malformed block scalar", "indent its lines by spaces, all by the same number"},
    {NULL, "tab character", "a tab where an indentation is expected", "indent with spaces"},
};

static bool is_part(const char *part, const char *text)
{
    return !part || (text && strstr(text, part));
}

static enum step syntax_error(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR || p->error == YAML_NO_ERROR)
        return STEP_NO_ROOM;
    const char *problem = p->problem ? p->problem : "it cannot be read", *msg = NULL, *hint = NULL;
    for (size_t i = 0; i < ARRAY_LEN(words) && !msg; i++)
        if (is_part(words[i].context, p->context) && is_part(words[i].problem, problem)) {
            msg = words[i].msg;
            hint = words[i].hint;
        }
    struct mark at = mark_of(r, p->problem_mark, 1);
    size_t began = p->context ? p->context_mark.line + 1 : at.line;
    char where[60] = "";
    if (began != at.line && began > 0)
        (void)snprintf(where, sizeof(where), ", in what begins in line %zu", began);
    if (msg)
        report(r, at, hint, "%s%s", msg, where);
    else
        report(r, at, NULL, "not YAML: %s%s", problem, where);
    return STEP_BAD;
}

static enum step read_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (!r->root)
            return STEP_ON;
        r->depth = 0;
        report(r, mark_of(r, e->start_mark, e->end_mark.index - e->start_mark.index),
               "a file holds one policy", "a second document begins");
        return STEP_BAD;
    case YAML_ALIAS_EVENT:
        return read_alias(r, e);
    case YAML_SCALAR_EVENT:
        return read_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(r, e, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_collection(r, e, NODE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_collection(r);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return STEP_ON;
    }
    return STEP_ON;
}

static enum step read_all(struct reader *r)
{
    if (!yaml_parser_initialize(&r->parser))
        return STEP_NO_ROOM;
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text.p, r->text.n);
    enum step s = STEP_ON;
    for (bool done = false; !done && s == STEP_ON;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e)) {
            s = syntax_error(r);
            break;
        }
        done = e.type == YAML_STREAM_END_EVENT;
        s = read_event(r, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&r->parser);
    return s;
}

enum err_code yaml_parse(struct str text, struct arena *a, struct diags *d, const struct yaml_node **ret,
                         struct err *reterr)
{
    if (text.n == 0)
        text.p = ""; // libyaml asserts that there is one
    (void)str_skip(&text, STR("\xef\xbb\xbf"));
    struct reader *r = arena_new(a, struct reader);
    if (!r)
        return arena_limit(a, "the YAML tree", reterr);
    r->text = text;
    r->a = a;
    r->d = d;
    enum step s = check_text(r);
    if (s == STEP_ON)
        s = read_all(r);
    if (s == STEP_ON && !r->root) {
        struct yaml_node *nothing = arena_new(a, struct yaml_node);
        if (nothing) {
            nothing->at = (struct mark){.line = 1, .column = 1, .length = 1};
            nothing->size = 1;
            r->root = nothing;
        }
    }
    if (s == STEP_NO_ROOM || d->no_room || (s == STEP_ON && !r->root))
        return arena_limit(a, "the YAML tree", reterr);
    if (s == STEP_BAD) {
        const struct diag *last = d->n > 0 ? &d->v[d->n - 1] : NULL;
        return err_set(reterr, ERR_INVALID, "line %u, column %u: %.*s", last ? last->at.line : 0,
                       last ? last->at.column : 0, STR_FMT(last ? last->msg : STR("not YAML")));
    }
    *ret = r->root;
    return ERR_OK;
}
