#include "policy/yaml.h"

#include "alloc_fail.h"
#include "base/buf.h"
#include "policy/policy.h"
#include "tap.h"

// A node as text: kind letter and scalar, [..] and {k: v}.
static void show(const struct yaml_node *node, struct buf *out)
{
    static const char *const kinds[] = {"null", "bool", "int", "float", "str"};
    if (node->kind < NODE_LIST) {
        buf_addf(out, "%s:%.*s", kinds[node->kind], (int)node->text.n, node->text.p ? node->text.p : "");
        return;
    }
    buf_addc(out, node->kind == NODE_LIST ? '[' : '{');
    for (size_t i = 0; i < node->n; i++) {
        if (i > 0)
            buf_addc(out, ' ');
        if (node->items[i].key) {
            buf_add(out, node->items[i].key->text);
            buf_addc(out, '=');
        }
        show(node->items[i].value, out);
    }
    buf_addc(out, node->kind == NODE_LIST ? ']' : '}');
}

static const struct {
    struct str text;
    const char *want, *rule;
} trees[] = {
    {STR_INIT(""), "null:", "an empty text is nothing"},
    {STR_INIT("# only\n"), "null:", "so is a comment"},
    {STR_INIT("--- \n...\n"), "null:", "and an empty document"},
    {STR_INIT("\xef\xbb\xbf"
              "a: b"),
     "{a=str:b}", "a byte order mark in front is skipped"},
    {STR_INIT("a: b\r\nc: d\r\n"), "{a=str:b c=str:d}", "CR LF ends a line"},
    {STR_INIT("%YAML 1.2\n---\na"), "str:a", "a directive for the version is fine"},
    {STR_INIT("[~, null, Null, NULL, ]"), "[null:~ null:null null:Null null:NULL]", "four words for null"},
    {STR_INIT("[nULL, \"null\", 'null']"), "[str:nULL str:null str:null]", "and no others"},
    {STR_INIT("[true, True, TRUE, false, False, FALSE]"),
     "[bool:true bool:True bool:TRUE bool:false bool:False bool:FALSE]", "six words for booleans"},
    {STR_INIT("[tRUE, yes, no, on, off, y, n, \"true\"]"),
     "[str:tRUE str:yes str:no str:on str:off str:y str:n str:true]", "and no others"},
    {STR_INIT("[0, 007, -1, +1, 0x1F, 0o17]"), "[int:0 int:007 int:-1 int:+1 int:0x1F int:0o17]", "integers"},
    {STR_INIT("[-0x1, 0xg, 0o8, 0x, 1_0, 0b1, -, +, 1a]"),
     "[str:-0x1 str:0xg str:0o8 str:0x str:1_0 str:0b1 str:- str:+ str:1a]", "what are none"},
    {STR_INIT("[1.0, .5, 1., -1e3, 1E+3, 1.5e-3, .inf, -.Inf, +.INF, .nan, .NaN, .NAN]"),
     "[float:1.0 float:.5 float:1. float:-1e3 float:1E+3 float:1.5e-3 float:.inf float:-.Inf float:+.INF "
     "float:.nan float:.NaN float:.NAN]",
     "floats"},
    {STR_INIT("[1e, ., -.nan, .iNF, 1.2.3, e3, 1e3x, inf, nan]"),
     "[str:1e str:. str:-.nan str:.iNF str:1.2.3 str:e3 str:1e3x str:inf str:nan]", "what are none either"},
    {STR_INIT("[\"1\", '1', 'it''s', \"a\\tb\\x41\\u00e9\"]"), "[str:1 str:1 str:it's str:a\tbA\xc3\xa9]",
     "what is quoted is a string"},
    {STR_INIT("a: |\n  x\n  y\nb: >-\n  1\n"), "{a=str:x\ny\n b=str:1}", "so is a block"},
    {STR_INIT("a:\n- b\n- c: d\n  e: f\n- - g\n"), "{a=[str:b {c=str:d e=str:f} [str:g]]}",
     "block style nests"},
    {STR_INIT("{a: {}, b: [], c: }"), "{a={} b=[] c=null:}", "flow style nests, and may be empty"},
    {STR_INIT("{1: a, true: b, ~: c, \"\": d, '<<': e}"), "{1=str:a true=str:b ~=str:c =str:d <<=str:e}",
     "a key is its text"},
    {STR_INIT("? a\n: b\n? |\n  c\n: d\n"), "{a=str:b c\n=str:d}", "a key may be announced"},
    {STR_INIT("a: &x [1, 2]\nb: *x\nc: [*x, *x]"),
     "{a=[int:1 int:2] b=[int:1 int:2] c=[[int:1 int:2] [int:1 int:2]]}", "an alias stands for its anchor"},
    {STR_INIT("[&x 1, *x, &x 2, *x]"), "[int:1 int:1 int:2 int:2]", "the latest anchor of a name counts"},
    {STR_INIT("[a\tb, \"\tc\", d] \t# e\tf"), "[str:a\tb str:\tc str:d]", "a tab inside a line is fine"},
};

static void test_trees(void)
{
    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        CLEANUP(arena_done) struct arena a = {};
        CLEANUP(buf_done) struct buf got = {};
        arena_init(&a, MIB);
        buf_init(&got, MIB);
        struct diags d;
        diags_init(&d, &a);
        struct err err = {};
        const struct yaml_node *root = NULL;
        if (yaml_parse(trees[i].text, &a, &d, &root, &err) == ERR_OK && d.errors == 0)
            show(root, &got);
        if (!tap_ok(str_eq(buf_str(&got), str_of(trees[i].want)), "%s", trees[i].rule))
            tap_note("got %s %s", got.n ? got.p : "", err.msg);
    }
}

static const struct {
    struct str text;
    const char *want, *rule; // line:column+length path: message
} errors[] = {
    {STR_INIT("a: b\n---\nc: d"), "2:1+3 : a second document begins", "one document"},
    {STR_INIT("a: !!str b"), "1:4+7 a: tags ('!') have no meaning in a policy", "no tag on a scalar"},
    {STR_INIT("a: ! b"), "1:4+3 a: tags ('!') have no meaning in a policy", "not even the empty one"},
    {STR_INIT("a: &x ! b"), "1:4+6 a: tags ('!') have no meaning in a policy", "nor behind an anchor"},
    {STR_INIT("a: !x [b]"), "1:4+1 a: tags ('!') have no meaning in a policy", "no tag on a list"},
    {STR_INIT("a: ! {b: c}"), "1:4+1 a: tags ('!') have no meaning in a policy", "no tag on a mapping"},
    {STR_INIT("a: ! \"b\""), "1:4+5 a: tags ('!') have no meaning in a policy", "no tag on a quoted scalar"},
    {STR_INIT("a: !h!x b"), "1:4+1 a: tags ('!') have no meaning in a policy", "no tag with a handle"},
    {STR_INIT("! a: b"), "1:1+3 : tags ('!') have no meaning in a policy", "no tag on a key"},
    {STR_INIT("a: 1\nb: 2\na: 3"), "3:1+1 a: the key 'a' is given twice, first in line 1, column 1",
     "unique keys"},
    {STR_INIT("{a: 1, \"a\": 2}"), "1:8+3 a: the key 'a' is given twice, first in line 1, column 2",
     "quotes do not make a key another"},
    {STR_INIT("x: [0, {a: 1, a: 2}]"), "1:15+1 x[1].a: the key 'a' is given twice, first in line 1, column 9",
     "nor does nesting"},
    {STR_INIT("{<<: {a: b}}"), "1:2+2 : merge keys ('<<') are not part of YAML 1.2", "no merge keys"},
    {STR_INIT("{: a}"), "1:2+1 : a value is missing", "no empty keys in flow style"},
    {STR_INIT("? [a]\n: b"), "1:3+1 : a list cannot be a key", "no list as a key"},
    {STR_INIT("{{a: b}: c}"), "1:2+1 : a mapping cannot be a key", "no mapping as a key"},
    {STR_INIT("- &x a\n- {*x : b}"), "2:4+2 [1]: an alias cannot be a key", "no alias as a key"},
    {STR_INIT("- &x a\n- *y"), "2:3+2 [1]: no anchor '&y' stands before this alias",
     "an alias needs its anchor"},
    {STR_INIT("&x [*x]"), "1:5+2 [0]: the alias '*x' is inside of what it stands for", "no recursion"},
    {STR_INIT("a: &x {b: {c: *x}}"), "1:15+2 a.b.c: the alias '*x' is inside of what it stands for",
     "no recursion from below"},
    {STR_INIT("a: \"x\\0y\""), "1:4+6 a: a NUL character in a string", "no NUL by an escape"},
    {STR_INIT("a: x\0y"), "1:5+1 : a NUL byte (0x00)", "no NUL"},
    {STR_INIT("a: \x1b"), "1:4+1 : a control character (0x1b)", "no control character"},
    {STR_INIT("a: \x7f"), "1:4+1 : a control character (0x7f)", "nor DEL"},
    {STR_INIT("a: \xc2\x9b"), "1:4+2 : a control character", "nor those of C1"},
    {STR_INIT("\n \xff"), "2:2+1 : a byte that is not UTF-8 (0xff)", "UTF-8 only"},
    {STR_INIT("a: \xc3"), "1:4+1 : a byte that is not UTF-8 (0xc3)", "not cut either"},
    {STR_INIT("\xff\xfe"
              "a\0"),
     "1:1+1 : a byte that is not UTF-8 (0xff)", "not UTF-16"},
    {STR_INIT("a\xe2\x80\xa8"), "1:2+3 : a line break that only some programs know", "no line separator"},
    {STR_INIT("a\xe2\x80\xa9"), "1:2+3 : a line break that only some programs know",
     "no paragraph separator"},
    {STR_INIT("a\xef\xbb\xbf"), "1:2+3 : a byte order mark inside the text", "no byte order mark inside"},
    {STR_INIT("a\xef\xbf\xbf"), "1:2+3 : a code point that is no character", "no noncharacter"},
    {STR_INIT("a\xef\xbf\xbe"), "1:2+3 : a code point that is no character", "nor the other"},
    {STR_INIT("a: b\rc: d"), "1:5+1 : a carriage return without a line feed (0x0d)", "no bare CR"},
    {STR_INIT("a:\n \tb: c"), "2:2+1 : a tab in front of a line (0x09)", "no tab in an indentation"},
    {STR_INIT("{\n\ta: b}"), "2:1+1 : a tab in front of a line (0x09)", "nor in flow style"},
    {STR_INIT("\xc3\xa4: \xc3\xa4\n\xc3\xb6: [\xc3\xa4, ! \xc3\xbc\xc3\xbc]"),
     "2:10+6 \"\xc3\xb6\"[1]: tags ('!') have no meaning in a policy", "columns and lengths count bytes"},
    {STR_INIT("a: 'x\n y' z"), "2:5+1 : expected a key, in what begins in line 1",
     "a context on another line is named"},
    {STR_INIT("a: *"), "1:5+1 a: '*' begins an alias here", "a star needs quotes"},
    {STR_INIT("a: &"), "1:5+1 a: '&' begins an anchor here", "an ampersand needs quotes"},
    {STR_INIT("a: b: c"), "1:5+1 : a ':' that belongs to no key", "a colon needs quotes"},
    {STR_INIT("a\nb: c"), "2:2+1 : a ':' that belongs to no key", "a line without a colon"},
    {STR_INIT("a:\n  - b\n c"), "3:2+1 : expected a key, in what begins in line 1", "a lost line"},
    {STR_INIT("a: [b"), "1:6+1 a[1]: expected ',' or ']'", "a list needs its end"},
    {STR_INIT("a: {b"), "1:6+1 a: expected ',' or '}'", "a mapping needs its end"},
    {STR_INIT("a: \"b"), "1:6+1 a: a quoted value does not end", "quotes need their end"},
    {STR_INIT("a: \"\\q\""), "1:5+1 a: an unknown escape in double quotes", "escapes are known ones"},
    {STR_INIT("a: @b"), "1:4+1 a: this character cannot begin a value", "reserved characters"},
    {STR_INIT("a: - b"), "1:4+1 a: a list item is not possible here", "a list on the line of its key"},
    {STR_INIT("%YAML 3.0\n--- a"), "1:1+1 : an unknown version of YAML", "a version from the future"},
};

static void print_diag(const struct diags *d, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct diag *x = &d->v[i];
        buf_addf(out, "%s%u:%u+%u %.*s: %.*s", i > 0 ? " | " : "", x->at.line, x->at.column, x->at.length,
                 (int)x->path.n, x->path.p, (int)x->msg.n, x->msg.p);
    }
}

static void test_errors(void)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        CLEANUP(arena_done) struct arena a = {};
        CLEANUP(buf_done) struct buf got = {};
        arena_init(&a, MIB);
        buf_init(&got, MIB);
        struct diags d;
        diags_init(&d, &a);
        struct err err = {};
        const struct yaml_node *root = NULL;
        enum err_code r = yaml_parse(errors[i].text, &a, &d, &root, &err);
        print_diag(&d, &got);
        if (!tap_ok((r == ERR_OK || r == ERR_INVALID) && (r == ERR_OK) == (root != NULL) && d.errors == 1 &&
                        str_eq(buf_str(&got), str_of(errors[i].want)),
                    "%s", errors[i].rule))
            tap_note("got %s", got.n ? got.p : "");
    }
}

static enum err_code parse_only(struct str text, size_t room, struct err *err)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, room);
    struct diags d;
    diags_init(&d, &a);
    const struct yaml_node *root = NULL;
    enum err_code r = yaml_parse(text, &a, &d, &root, err);
    return r == ERR_OK && d.errors > 0 ? ERR_INVALID : r;
}

static void limit_row(const struct buf *text, enum err_code want, const char *msg, const char *rule)
{
    struct err err = {};
    enum err_code r = parse_only(buf_str(text), 2 * POLICY_ARENA_MAX, &err);
    if (!tap_ok(r == want && (!msg || strcmp(err.msg, msg) == 0), "%s", rule))
        tap_note("got %s: %s", err_code_name(r), err.msg);
}

static void nested(struct buf *b, size_t depth)
{
    buf_clear(b);
    buf_pad(b, '[', depth);
    buf_pad(b, ']', depth);
}

// `item` n times, its number for each '#'.
static void repeat(struct buf *b, const char *head, const char *item, size_t n, const char *tail)
{
    buf_clear(b);
    buf_add(b, str_of(head));
    for (size_t i = 0; i < n; i++)
        for (const char *c = item; *c; c++)
            if (*c == '#')
                buf_addf(b, "%zu", i);
            else
                buf_addc(b, *c);
    buf_add(b, str_of(tail));
}

static void test_limits(void)
{
    CLEANUP(buf_done) struct buf b = {};
    buf_init(&b, 4 * MIB);
    buf_pad(&b, ' ', POLICY_TEXT_MAX);
    limit_row(&b, ERR_OK, NULL, "a text of the greatest length");
    buf_addc(&b, ' ');
    limit_row(&b, ERR_INVALID, "line 1, column 1: the file has 1048577 bytes, the limit is 1048576",
              "one byte more");
    nested(&b, POLICY_DEPTH_MAX);
    limit_row(&b, ERR_OK, NULL, "the deepest nesting");
    nested(&b, POLICY_DEPTH_MAX + 1);
    limit_row(&b, ERR_INVALID, "line 1, column 33: nested deeper than 32 levels", "one level more");
    buf_clear(&b);
    buf_add(&b, STR("[&a [[x]], [[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"));
    limit_row(&b, ERR_OK, NULL, "the deepest nesting by an alias");
    buf_clear(&b);
    buf_add(&b, STR("[&a [[x]], [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"));
    limit_row(&b, ERR_INVALID, "line 1, column 42: nested deeper than 32 levels",
              "one level more by an alias");
    repeat(&b, "[", "a,", POLICY_NODES_MAX - 1, "]");
    limit_row(&b, ERR_OK, NULL, "the greatest number of nodes");
    repeat(&b, "[", "a,", POLICY_NODES_MAX, "]");
    limit_row(&b, ERR_INVALID, "line 1, column 800000: more than 400000 values and keys", "one node more");
    repeat(&b, "[&a [b,b,b,b,b,b,b,b,b]", ",*a", POLICY_NODES_MAX / 10 - 2, ",1,2,3,4,5,6,7,8,9]");
    limit_row(&b, ERR_OK, NULL, "aliases count with what they stand for");
    repeat(&b, "[&a [b,b,b,b,b,b,b,b,b]", ",*a", POLICY_NODES_MAX / 10 - 2, ",1,2,3,4,5,6,7,8,9,0]");
    limit_row(&b, ERR_INVALID, NULL, "so that one node more is too many");
    repeat(&b, "[", "&a# x,", YAML_ANCHORS_MAX, "]");
    limit_row(&b, ERR_OK, NULL, "the greatest number of anchors");
    repeat(&b, "[", "&a# x,", YAML_ANCHORS_MAX + 1, "]");
    limit_row(&b, ERR_INVALID, "line 1, column 1940: more than 256 anchors", "one anchor more");
    repeat(&b, "{", "k#: v,", 60'000, "}");
    limit_row(&b, ERR_OK, NULL, "many keys");
    repeat(&b, "{", "k#: v,", 60'000, "k31415: w}");
    limit_row(&b, ERR_INVALID, NULL, "one of many keys twice");
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool ok, negative;
        uint64_t magnitude;
    } rows[] = {
        {"0", true, false, 0},
        {"-0", true, false, 0},
        {"-12", true, true, 12},
        {"+12", true, false, 12},
        {"0xfF", true, false, 255},
        {"0o17", true, false, 15},
        {"017", true, false, 17},
        {"18446744073709551615", true, false, UINT64_MAX},
        {"18446744073709551616", false, false, 0},
        {"0xffffffffffffffff", true, false, UINT64_MAX},
        {"0x10000000000000000", false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct yaml_node node = {.kind = NODE_INT, .text = str_of(rows[i].text)};
        bool negative = false;
        uint64_t magnitude = 0;
        bool ok = yaml_int(&node, &negative, &magnitude);
        (void)tap_ok(ok == rows[i].ok && negative == rows[i].negative && magnitude == rows[i].magnitude,
                     "the integer %s", rows[i].text);
    }
    static const struct {
        const char *text;
        bool ok;
        double number;
    } floats[] = {
        {"1.5", true, 1.5}, {"0x10", true, 16},  {"0o10", true, 8},  {"-3", true, -3},   {"1e999", false, 0},
        {".inf", false, 0}, {"-.INF", false, 0}, {".nan", false, 0}, {".NaN", false, 0}, {"1.", true, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(floats); i++) {
        struct yaml_node node = {.kind = yaml_resolve(str_of(floats[i].text)),
                                 .text = str_of(floats[i].text)};
        double number = 0;
        bool ok = yaml_number(&node, &number);
        (void)tap_ok(ok == floats[i].ok && number >= floats[i].number && number <= floats[i].number,
                     "the number %s", floats[i].text);
    }
}

static const struct str places_text = STR_INIT("version: 1\n"
                                               "network_policies:\n"
                                               "  gh:\n"
                                               "    endpoints:\n"
                                               "      - host: a.test\n"
                                               "        port: 443\n"
                                               "        mcp: {max_body_bytes: 5}\n"
                                               "        rules:\n"
                                               "          - allow: {method: GET, tool: {any: [x, y]}}\n"
                                               "      - {host: b.test, ports: [1, 2]}\n"
                                               "  gh-2: {name: x}\n"
                                               "  \"g.h\": {name: y}\n"
                                               "  gh0:\n");
static const struct {
    const char *path, *want, *rule;
} places[] = {
    {"", "1:1+1", "the whole is the first line"},
    {"nothing", "1:1+1", "what does not exist is where it would be"},
    {"version", "1:10+1", "a scalar is its value"},
    {"network_policies", "2:1+16", "a mapping is its key"},
    {"network_policies.gh", "3:3+2", "an entry is its key"},
    {"network_policies.gh.name", "3:3+2", "an absent key is its mapping"},
    {"network_policies.gh-2.name", "11:16+1", "an entry whose name begins like another's"},
    {"network_policies.gh0", "13:3+3", "an empty value is its key"},
    {"network_policies.gh0.endpoints[3].host", "13:3+3", "as is all below it"},
    {"network_policies.\"g.h\".name", "12:17+1", "a quoted key"},
    {"network_policies.gh.endpoints[0].host", "5:15+6", "a scalar in an item"},
    {"network_policies.gh.endpoints[0].hos", "5:9+1", "the item where a key is only begun"},
    {"network_policies.gh.endpoints[1]", "10:9+1", "an item"},
    {"network_policies.gh.endpoints[12]", "4:5+9", "the list where an item is absent"},
    {"network_policies.gh.endpoints[1].ports[1]", "10:35+1", "an item of ports"},
    {"network_policies.gh.endpoints[1].ports[2]", "10:24+5", "an absent item of ports"},
    {"network_policies.gh.endpoints[0].ports", "6:15+3", "ports where port is given"},
    {"network_policies.gh.endpoints[0].ports[0]", "6:15+3", "its item too"},
    {"network_policies.gh.endpoints[0].json_rpc.max_body_bytes", "7:31+1", "json_rpc where mcp is given"},
    {"network_policies.gh.endpoints[0].rules[0].allow.params.name.any[1]", "9:50+1",
     "params.name where tool is given"},
    {"network_policies.gh.endpoints[0].rules[0].params.name", "9:34+4", "a rule's fields without allow"},
    {"network_policies.gh.endpoints[0].rules[0].method", "9:29+3", "a scalar without allow"},
};

static void test_places(void)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, MIB);
    struct diags d;
    diags_init(&d, &a);
    struct err err = {};
    const struct yaml_node *root = NULL;
    if (!tap_ok(yaml_parse(places_text, &a, &d, &root, &err) == ERR_OK, "the text with the places is read"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        diag_error(&d, str_of(places[i].path), NULL, "x");
    diag_add(&d, DIAG_ERROR, (struct mark){.line = 7, .column = 8, .length = 9}, STR("version"), NULL, "x");
    yaml_locate(root, &d);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char got[60];
        (void)snprintf(got, sizeof(got), "%u:%u+%u", d.v[i].at.line, d.v[i].at.column, d.v[i].at.length);
        if (!tap_ok(strcmp(got, places[i].want) == 0, "place of %s: %s", places[i].path, places[i].rule))
            tap_note("got %s", got);
    }
    (void)tap_ok(d.v[ARRAY_LEN(places)].at.line == 7, "a place that is known stays");
}

static void test_no_room(void)
{
    static const struct str text = STR_INIT("a: &x [1, \"2\", {b: c}]\nd: *x\ne: !t f\na: 2\n"
                                            "[g]: h\n");
    struct err err = {};
    bool clean = true;
    size_t n = 1;
    for (;; n++) {
        alloc_fail_at(n);
        enum err_code r = parse_only(text, MIB, &err);
        alloc_fail_off();
        if (alloc_fail_count() < n) {
            clean = clean && r == ERR_INVALID;
            break;
        }
        clean = clean && r == ERR_LIMIT;
    }
    (void)tap_ok(clean && n > 10, "each failing allocation is ERR_LIMIT");
    size_t room = 0;
    for (; parse_only(text, room, &err) == ERR_LIMIT; room += 64)
        ;
    (void)tap_ok(room > KIB, "so is each arena that is too small");
}

int main(void)
{
    test_trees();
    test_errors();
    test_limits();
    test_numbers();
    test_places();
    test_no_room();
    return tap_done();
}
