#include "cli/test_file.h"

#include "policy/yaml.h"

struct reader {
    struct arena *a;
    struct diags *d;
    struct keypath path;
    bool no_room;
};

static void PRINTF(4, 5) wrong(struct reader *r, struct mark at, const char *hint, const char *fmt, ...)
{
    char msg[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    diag_add(r->d, DIAG_ERROR, at, keypath_str(&r->path), hint, "%s", msg);
}

// ---- values
// -------------------------------------------------------------------------------------------------

static bool text_of(struct reader *r, const struct yaml_item *item, struct str *ret)
{
    const struct yaml_node *n = item->value;
    if (n->kind == NODE_LIST || n->kind == NODE_MAP || n->text.n == 0) {
        wrong(r, yaml_place(item), NULL, "a text is needed here");
        return false;
    }
    *ret = n->text;
    return true;
}

typedef enum err_code part_fn(struct ask *k, struct str text, struct err *reterr);

static void add_part(struct reader *r, struct ask *k, const struct yaml_item *item, part_fn *add)
{
    struct str text;
    struct err err = {};
    if (!text_of(r, item, &text))
        return;
    enum err_code code = add(k, text, &err);
    if (code != ERR_OK)
        wrong(r, yaml_place(item), NULL, "%s", err.msg);
}

// One text or a list of them.
static void add_parts(struct reader *r, struct ask *k, const struct yaml_item *item, part_fn *add)
{
    if (item->value->kind != NODE_LIST) {
        add_part(r, k, item, add);
        return;
    }
    for (size_t i = 0; i < item->value->n; i++) {
        size_t at = keypath_index(&r->path, i);
        add_part(r, k, &item->value->items[i], add);
        keypath_cut(&r->path, at);
    }
}

static void read_bool(struct reader *r, const struct yaml_item *item, bool *ret)
{
    if (item->value->kind != NODE_BOOL)
        wrong(r, yaml_place(item), NULL, "true or false is needed here");
    else
        *ret = item->value->boolean;
}

static const struct str verdict_words[] = {[VERDICT_DENY] = STR_INIT("deny"),
                                           [VERDICT_ALLOW] = STR_INIT("allow"),
                                           [VERDICT_AUDIT] = STR_INIT("audit")};

static void read_expect(struct reader *r, const struct yaml_item *item, struct test_case *t)
{
    struct str text;
    if (!text_of(r, item, &text))
        return;
    for (size_t i = 0; i < ARRAY_LEN(verdict_words); i++) {
        if (str_eq(text, verdict_words[i])) {
            t->expect = (enum verdict)i;
            return;
        }
    }
    wrong(r, yaml_place(item), "allow, deny or audit", "unknown decision '%.*s'", STR_FMT(text));
}

// ---- maps
// ---------------------------------------------------------------------------------------------------

static void unknown_key(struct reader *r, const struct yaml_item *item, const struct str *keys, size_t n)
{
    char hint[100] = "";
    struct str near = diag_suggest(item->key->text, keys, n);
    if (near.n > 0)
        (void)snprintf(hint, sizeof(hint), "did you mean '%.*s'?", STR_FMT(near));
    wrong(r, item->key->at, hint, "unknown key '%.*s'", STR_FMT(item->key->text));
}

enum test_key {
    KEY_NAME,
    KEY_BINARY,
    KEY_ANCESTORS,
    KEY_REQUEST,
    KEY_GRAPHQL,
    KEY_MCP,
    KEY_JSON_RPC,
    KEY_WEBSOCKET_TEXT,
    KEY_EVENT_STREAM,
    KEY_EXPECT,
    KEY_POLICY,
    KEY_RULE,
    KEY_REASON,
    TEST_KEYS,
};
static const struct str test_keys[TEST_KEYS] = {
    [KEY_NAME] = STR_INIT("name"),
    [KEY_BINARY] = STR_INIT("binary"),
    [KEY_ANCESTORS] = STR_INIT("ancestors"),
    [KEY_REQUEST] = STR_INIT("request"),
    [KEY_GRAPHQL] = STR_INIT("graphql"),
    [KEY_MCP] = STR_INIT("mcp"),
    [KEY_JSON_RPC] = STR_INIT("json_rpc"),
    [KEY_WEBSOCKET_TEXT] = STR_INIT("websocket_text"),
    [KEY_EVENT_STREAM] = STR_INIT("event_stream"),
    [KEY_EXPECT] = STR_INIT("expect"),
    [KEY_POLICY] = STR_INIT("policy"),
    [KEY_RULE] = STR_INIT("rule"),
    [KEY_REASON] = STR_INIT("reason"),
};

static size_t find_key(const struct yaml_item *item, const struct str *keys, size_t n)
{
    size_t i = 0;
    while (i < n && !str_eq(item->key->text, keys[i]))
        i++;
    return i;
}

static void read_key(struct reader *r, enum test_key key, const struct yaml_item *item, struct test_case *t)
{
    static const struct {
        part_fn *add;
        bool list;
    } parts[TEST_KEYS] = {
        [KEY_BINARY] = {ask_binary, false},   [KEY_ANCESTORS] = {ask_ancestor, true},
        [KEY_REQUEST] = {ask_request, false}, [KEY_GRAPHQL] = {ask_graphql, true},
        [KEY_MCP] = {ask_mcp, true},          [KEY_JSON_RPC] = {ask_json_rpc, true},
    };
    struct str *const texts[TEST_KEYS] =
        {[KEY_NAME] = &t->name, [KEY_POLICY] = &t->policy, [KEY_RULE] = &t->rule, [KEY_REASON] = &t->reason};
    if (key == KEY_EXPECT)
        read_expect(r, item, t);
    else if (key == KEY_WEBSOCKET_TEXT || key == KEY_EVENT_STREAM)
        read_bool(r, item, key == KEY_EVENT_STREAM ? &t->ask->event_stream : &t->ask->websocket_text);
    else if (texts[key])
        (void)text_of(r, item, texts[key]); // what is wrong is in the diagnostics
    else if (parts[key].list)
        add_parts(r, t->ask, item, parts[key].add);
    else
        add_part(r, t->ask, item, parts[key].add);
}

static void name_test(struct reader *r, struct test_case *t, struct str request)
{
    if (t->name.n == 0 &&
        !arena_fmt(r->a, &t->name, "%.*s by %.*s", STR_FMT(request), STR_FMT(t->ask->binary)))
        r->no_room = true;
}

static void read_test(struct reader *r, const struct yaml_item *item, struct test_case *t)
{
    static const enum test_key needed[] = {KEY_BINARY, KEY_REQUEST, KEY_EXPECT};
    const struct yaml_node *map = item->value;
    bool seen[TEST_KEYS] = {};
    struct str request = {};
    t->line = map->at.line;
    t->ask = arena_new(r->a, struct ask);
    if (!t->ask) {
        r->no_room = true;
        return;
    }
    t->ask->arena = r->a;
    if (map->kind != NODE_MAP) {
        wrong(r, yaml_place(item), "- {binary: …, request: …, expect: …}", "a test is a map");
        return;
    }
    size_t errors = r->d->errors;
    for (size_t i = 0; i < map->n; i++) {
        const struct yaml_item *one = &map->items[i];
        size_t at = keypath_key(&r->path, one->key->text), key = find_key(one, test_keys, TEST_KEYS);
        if (key == TEST_KEYS) {
            unknown_key(r, one, test_keys, TEST_KEYS);
        } else {
            seen[key] = true;
            if (key == KEY_REQUEST)
                request = one->value->text;
            read_key(r, (enum test_key)key, one, t);
        }
        keypath_cut(&r->path, at);
    }
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!seen[needed[i]])
            wrong(r, map->at, NULL, "'%s' is missing", test_keys[needed[i]].p);
    struct err err = {};
    if (errors == r->d->errors && ask_check(t->ask, &err) != ERR_OK)
        wrong(r, map->at, NULL, "%s", err.msg);
    name_test(r, t, request);
}

static void read_tests(struct reader *r, const struct yaml_item *item, struct test_file *f)
{
    const struct yaml_node *list = item->value;
    if (list->kind != NODE_LIST || list->n == 0) {
        wrong(r, yaml_place(item), NULL, "a list of tests is needed here");
        return;
    }
    if (list->n > TESTS_MAX) {
        wrong(r, yaml_place(item), NULL, "%zu tests, %d at most", list->n, TESTS_MAX);
        return;
    }
    f->tests = arena_newn(r->a, struct test_case, list->n);
    if (!f->tests) {
        r->no_room = true;
        return;
    }
    for (size_t i = 0; i < list->n && !r->no_room; i++) {
        size_t at = keypath_index(&r->path, i);
        read_test(r, &list->items[i], &f->tests[f->tests_n++]);
        keypath_cut(&r->path, at);
    }
}

static void read_file(struct reader *r, const struct yaml_node *root, struct test_file *f)
{
    enum { FILE_POLICY, FILE_TESTS, FILE_KEYS };
    static const struct str keys[FILE_KEYS] =
        {[FILE_POLICY] = STR_INIT("policy"), [FILE_TESTS] = STR_INIT("tests")};
    bool tests = false;
    if (root->kind != NODE_MAP) {
        wrong(r, root->at, "policy: policy.yaml", "a file of tests is a map with `policy` and `tests`");
        return;
    }
    for (size_t i = 0; i < root->n; i++) {
        const struct yaml_item *one = &root->items[i];
        size_t at = keypath_key(&r->path, one->key->text), key = find_key(one, keys, FILE_KEYS);
        if (key == FILE_POLICY)
            (void)text_of(r, one, &f->policy); // what is wrong is in the diagnostics
        else if (key == FILE_TESTS)
            read_tests(r, one, f);
        else
            unknown_key(r, one, keys, FILE_KEYS);
        tests = tests || key == FILE_TESTS;
        keypath_cut(&r->path, at);
    }
    if (!tests)
        wrong(r, root->at, NULL, "'tests' is missing");
}

enum err_code test_file_parse(struct str text, struct arena *a, struct test_file *ret, struct diags *d,
                              struct err *reterr)
{
    const struct yaml_node *root = NULL;
    enum err_code r = yaml_parse(text, a, d, &root, reterr);
    if (r != ERR_OK)
        return r;
    struct test_file f = {};
    struct reader reader = {.a = a, .d = d};
    read_file(&reader, root, &f);
    yaml_locate(root, d);
    diags_sort(d);
    if (reader.no_room || d->no_room)
        return arena_limit(a, "the tests", reterr);
    if (d->errors > 0)
        return err_set(reterr, ERR_INVALID, "%s", d->n > 0 ? d->v[0].msg.p : "not a file of tests");
    *ret = f;
    return ERR_OK;
}
