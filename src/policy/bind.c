#include "policy/bind.h"

static const char *found(const struct yaml_node *node)
{
    switch (node->kind) {
    case NODE_NULL:
        return "nothing";
    case NODE_BOOL:
        return node->boolean ? "true" : "false";
    case NODE_INT:
    case NODE_FLOAT:
        return "the number";
    case NODE_STRING:
        return "the string";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a mapping";
    }
    return "";
}

void bind_expected(struct binder *b, const struct yaml_item *item, const char *expected, const char *hint)
{
    const struct yaml_node *node = item->value;
    if (node->kind == NODE_INT || node->kind == NODE_FLOAT)
        bind_error(b, yaml_place(item), hint, "expected %s, found the number %.*s", expected,
                   STR_FMT(node->text));
    else if (node->kind == NODE_STRING)
        bind_error(b, yaml_place(item), hint, "expected %s, found the string '%.*s'", expected,
                   STR_FMT(node->text));
    else
        bind_error(b, yaml_place(item), hint, "expected %s, found %s", expected, found(node));
}

bool bind_dup(struct binder *b, struct str s, struct str *ret)
{
    if (arena_dup(b->a, s, ret))
        return true;
    b->no_room = true;
    return false;
}

void bind_str(struct binder *b, const struct yaml_item *item, void *field)
{
    const struct yaml_node *node = item->value;
    if (node->kind == NODE_STRING || node->kind == NODE_INT || node->kind == NODE_FLOAT) {
        (void)bind_dup(b, node->text, field);
        return;
    }
    char hint[60] = "";
    if (node->kind == NODE_NULL)
        (void)snprintf(hint, sizeof(hint), "write \"\"%s", item->key ? " or remove the key" : "");
    else if (node->kind == NODE_BOOL)
        (void)snprintf(hint, sizeof(hint), "put it in quotes: \"%.*s\"", STR_FMT(node->text));
    bind_expected(b, item, "a string", hint);
}

void bind_strs(struct binder *b, const struct yaml_item *item, void *field)
{
    struct strs *strs = field;
    char hint[100] = "write a list, as in [a, b]";
    if (item->value->kind == NODE_STRING && item->value->text.n < 60)
        (void)snprintf(hint, sizeof(hint), "write [\"%.*s\"]", STR_FMT(item->value->text));
    struct bind_array how = {BIND_LIST, sizeof(struct str), bind_str, "a list of strings", hint};
    strs->v = bind_array(b, item, &how, &strs->n);
}

// False: reported.
static bool read_bool(struct binder *b, const struct yaml_item *item, bool *ret)
{
    const struct yaml_node *node = item->value;
    if (node->kind == NODE_BOOL) {
        *ret = node->boolean;
        return true;
    }
    enum yaml_kind inside = node->kind == NODE_STRING ? yaml_resolve(node->text) : NODE_NULL;
    bind_expected(b, item, "true or false",
                  inside == NODE_BOOL ? "remove the quotes" : "write true or false");
    return false;
}

void bind_bool(struct binder *b, const struct yaml_item *item, void *field)
{
    (void)read_bool(b, item, field); // reported there
}

void bind_tristate(struct binder *b, const struct yaml_item *item, void *field)
{
    bool yes;
    if (read_bool(b, item, &yes))
        *(enum tristate *)field = yes ? YES : NO;
}

static bool read_int(struct binder *b, const struct yaml_item *item, int64_t min, int64_t max, int64_t *ret)
{
    const struct yaml_node *node = item->value;
    char expected[80];
    (void)snprintf(expected, sizeof(expected), "a whole number from %lld to %lld", (long long)min,
                   (long long)max);
    bool negative;
    uint64_t magnitude;
    if (node->kind == NODE_INT && yaml_int(node, &negative, &magnitude) && magnitude <= INT64_MAX) {
        int64_t n = negative ? -(int64_t)magnitude : (int64_t)magnitude;
        if (n >= min && n <= max) {
            *ret = n;
            return true;
        }
    }
    const char *hint = NULL;
    if (node->kind == NODE_STRING && yaml_resolve(node->text) == NODE_INT)
        hint = "remove the quotes";
    else if (node->kind == NODE_NULL)
        hint = item->key ? "write a number or remove the key" : "write a number";
    bind_expected(b, item, expected, hint);
    return false;
}

static void bind_unsigned(struct binder *b, const struct yaml_item *item, int64_t min, int64_t max,
                          void *field)
{
    int64_t n;
    if (read_int(b, item, min, max, &n))
        *(uint32_t *)field = (uint32_t)n;
}

void bind_u16(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_unsigned(b, item, 0, UINT16_MAX, field);
}

void bind_u32(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_unsigned(b, item, 0, UINT32_MAX, field);
}

void bind_size(struct binder *b, const struct yaml_item *item, void *field)
{
    bind_unsigned(b, item, 1, UINT32_MAX, field);
}

void bind_i32(struct binder *b, const struct yaml_item *item, void *field)
{
    int64_t n;
    if (read_int(b, item, INT32_MIN, INT32_MAX, &n))
        *(int32_t *)field = (int32_t)n;
}

// Other systems' names for our keys, too far from them for a guess by spelling.
static const struct {
    struct str wrong, right;
} known_slips[] = {
    {STR_INIT("filesystem"), STR_INIT("filesystem_policy")},
    {STR_INIT("fs"), STR_INIT("filesystem_policy")},
    {STR_INIT("network"), STR_INIT("network_policies")},
    {STR_INIT("networks"), STR_INIT("network_policies")},
    {STR_INIT("network_policy"), STR_INIT("network_policies")},
    {STR_INIT("policies"), STR_INIT("network_policies")},
    {STR_INIT("middleware"), STR_INIT("network_middlewares")},
    {STR_INIT("middlewares"), STR_INIT("network_middlewares")},
    {STR_INIT("implementation"), STR_INIT("middleware")},
    {STR_INIT("hostname"), STR_INIT("host")},
    {STR_INIT("host_name"), STR_INIT("host")},
    {STR_INIT("domain"), STR_INIT("host")},
    {STR_INIT("user"), STR_INIT("run_as_user")},
    {STR_INIT("group"), STR_INIT("run_as_group")},
    {STR_INIT("deny"), STR_INIT("deny_rules")},
    {STR_INIT("allow"), STR_INIT("rules")},
    {STR_INIT("methods"), STR_INIT("method")},
    {STR_INIT("methods"), STR_INIT("rules")}, // in an endpoint
    {STR_INIT("method"), STR_INIT("rules")},
    {STR_INIT("verb"), STR_INIT("method")},
    {STR_INIT("tools"), STR_INIT("tool")},
    {STR_INIT("url"), STR_INIT("path")},
    {STR_INIT("executable"), STR_INIT("path")},
    {STR_INIT("writable"), STR_INIT("read_write")},
    {STR_INIT("readonly"), STR_INIT("read_only")},
    {STR_INIT("readwrite"), STR_INIT("read_write")},
    {STR_INIT("program"), STR_INIT("path")},
    {STR_INIT("programs"), STR_INIT("binaries")},
    {STR_INIT("hosts"), STR_INIT("endpoints")},
};

enum { KEYS_MAX = 40 }; // of a table

static size_t find_field(struct bind_table table, struct str key)
{
    size_t i = 0;
    while (i < table.n && !str_eq(table.fields[i].key, key))
        i++;
    return i;
}

static struct str suggest(struct str word, struct bind_table table)
{
    struct str keys[KEYS_MAX];
    assert(table.n <= KEYS_MAX);
    for (size_t i = 0; i < table.n; i++)
        keys[i] = table.fields[i].key;
    for (size_t i = 0; i < ARRAY_LEN(known_slips); i++)
        for (size_t k = 0; k < table.n; k++)
            if (str_eq_ci(word, known_slips[i].wrong) && str_eq(keys[k], known_slips[i].right))
                return keys[k];
    return diag_suggest(word, keys, table.n);
}

// The index of the field that was probably meant, or table.n.
static size_t report_unknown(struct binder *b, const struct yaml_node *key, struct bind_table table)
{
    char hint[640];
    struct str near = suggest(key->text, table);
    if (near.n > 0) {
        (void)snprintf(hint, sizeof(hint), "did you mean '%.*s'?", STR_FMT(near));
    } else {
        int n = snprintf(hint, sizeof(hint), "%s has: ", table.what);
        for (size_t i = 0; i < table.n && n > 0 && (size_t)n < sizeof(hint); i++)
            n += snprintf(hint + n, sizeof(hint) - (size_t)n, "%s%.*s", i > 0 ? ", " : "",
                          STR_FMT(table.fields[i].key));
    }
    bind_error(b, key->at, hint, "unknown key '%.*s'", STR_FMT(key->text));
    return find_field(table, near);
}

void bind_map(struct binder *b, const struct yaml_item *item, struct bind_table table, void *object)
{
    const struct yaml_node *node = item->value;
    if (node->kind != NODE_MAP) {
        char expected[60];
        (void)snprintf(expected, sizeof(expected), "%s as a mapping", table.what);
        const char *empty = item->key ? "write {} or remove the key" : table.example;
        bind_expected(b, item, expected, node->kind == NODE_NULL ? empty : table.example);
        return;
    }
    uint64_t seen = 0, meant = 0; // by index; a table has at most KEYS_MAX fields
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_item *child = &node->items[i];
        size_t at = keypath_key(&b->path, child->key->text);
        size_t f = find_field(table, child->key->text);
        if (f == table.n) {
            size_t guess = report_unknown(b, child->key, table);
            meant |= guess < table.n ? (uint64_t)1 << guess : 0; // not to be reported as missing too
        } else {
            if (!(seen & (uint64_t)1 << f)) // a key given twice was reported already
                table.fields[f].bind(b, child, (char *)object + table.fields[f].offset);
            seen |= (uint64_t)1 << f;
        }
        keypath_cut(&b->path, at);
    }
    for (size_t f = 0; f < table.n; f++) {
        if (!table.fields[f].required || (seen | meant) & (uint64_t)1 << f)
            continue;
        struct mark at = item->key ? item->key->at : node->at;
        size_t cut = keypath_key(&b->path, table.fields[f].key);
        bind_error(b, at, NULL, "%s needs the key '%.*s'", table.what, STR_FMT(table.fields[f].key));
        keypath_cut(&b->path, cut);
    }
}

void *bind_array(struct binder *b, const struct yaml_item *item, const struct bind_array *how, size_t *ret_n)
{
    const struct yaml_node *node = item->value;
    bool keyed = how->kind == BIND_KEYED;
    if (node->kind != (keyed ? NODE_MAP : NODE_LIST)) {
        const char *empty = keyed ? "write {} or remove the key" : "write [] or remove the key";
        bind_expected(b, item, how->expected, node->kind == NODE_NULL ? empty : how->hint);
        return NULL;
    }
    char *v = arena_array(b->a, node->n, how->size);
    if (!v) {
        b->no_room = true;
        return NULL;
    }
    for (size_t i = 0; i < node->n && !b->no_room; i++) {
        const struct yaml_item *child = &node->items[i];
        char *element = v + i * how->size;
        size_t at = keyed ? keypath_key(&b->path, child->key->text) : keypath_index(&b->path, i);
        if (!keyed || bind_dup(b, child->key->text, (struct str *)(void *)element))
            how->bind(b, child, element);
        keypath_cut(&b->path, at);
    }
    *ret_n = node->n;
    return v;
}
