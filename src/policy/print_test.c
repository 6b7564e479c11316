#include "policy/print.h"

#include "policy/load.h"
#include "policy/sample.h"
#include "policy_same.h"
#include "tap.h"

static const char sample_yaml[] = "version: 1\n"
                                  "filesystem_policy:\n"
                                  "  include_workdir: true\n"
                                  "  read_only:\n"
                                  "  - /usr\n"
                                  "  - /lib\n"
                                  "  read_write:\n"
                                  "  - /tmp\n"
                                  "landlock:\n"
                                  "  compatibility: hard_requirement\n"
                                  "process:\n"
                                  "  run_as_user: \"1000\"\n"
                                  "  run_as_group: sandbox\n"
                                  "network_policies:\n"
                                  "  gh:\n"
                                  "    name: \"git: hub #1\"\n"
                                  "    endpoints:\n"
                                  "    - host: \"*.example.com\"\n"
                                  "      path: /v1/**\n"
                                  "      ports:\n"
                                  "      - 443\n"
                                  "      - 8443\n"
                                  "      - 0\n"
                                  "      protocol: rest\n"
                                  "      tls: skip\n"
                                  "      enforcement: enforce\n"
                                  "      access: full\n"
                                  "      rules:\n"
                                  "      - allow:\n"
                                  "          method: GET\n"
                                  "          path: /repos/**\n"
                                  "          command: SELECT\n"
                                  "          query:\n"
                                  "            q: \"*\"\n"
                                  "            page size:\n"
                                  "              any:\n"
                                  "              - \"1\"\n"
                                  "              - \"2.5\"\n"
                                  "              - \"true\"\n"
                                  "            empty: \"\"\n"
                                  "      - allow:\n"
                                  "          operation_type: query\n"
                                  "          operation_name: Viewer*\n"
                                  "          fields:\n"
                                  "          - viewer\n"
                                  "          - \"*\"\n"
                                  "      deny_rules:\n"
                                  "      - method: \"*\"\n"
                                  "        path: /admin/**\n"
                                  "      allowed_ips:\n"
                                  "      - 10.0.0.0/8\n"
                                  "      - \"::1\"\n"
                                  "      allow_encoded_slash: true\n"
                                  "      websocket_credential_rewrite: true\n"
                                  "      request_body_credential_rewrite: true\n"
                                  "      allow_uninspected_credentials: true\n"
                                  "      persisted_queries: allow_registered\n"
                                  "      graphql_persisted_queries:\n"
                                  "        sha:1:\n"
                                  "          operation_type: query\n"
                                  "          operation_name: A\n"
                                  "          fields:\n"
                                  "          - a\n"
                                  "        \"007\": {}\n"
                                  "      graphql_max_body_bytes: 1\n"
                                  "      json_rpc:\n"
                                  "        max_body_bytes: 4294967295\n"
                                  "      credential_signing: sigv4:body\n"
                                  "      signing_service: bedrock\n"
                                  "      signing_region: us-east-1\n"
                                  "      credential_binding:\n"
                                  "        provider: aws\n"
                                  "    - host: mcp.example.com\n"
                                  "      port: 443\n"
                                  "      protocol: mcp\n"
                                  "      rules:\n"
                                  "      - allow: {}\n"
                                  "      - allow:\n"
                                  "          tool: search_*\n"
                                  "      - allow:\n"
                                  "          method: tools/call\n"
                                  "      - allow:\n"
                                  "          method: \"*\"\n"
                                  "          tool:\n"
                                  "            any:\n"
                                  "            - a\n"
                                  "            - b\n"
                                  "          params:\n"
                                  "            arguments.repo.owner: me\n"
                                  "      deny_rules:\n"
                                  "      - tool: search_*\n"
                                  "      mcp:\n"
                                  "        max_body_bytes: 5\n"
                                  "        strict_tool_names: false\n"
                                  "        allow_all_known_mcp_methods: true\n"
                                  "    - host: strict.example.com\n"
                                  "      port: 0\n"
                                  "      protocol: mcp\n"
                                  "      rules:\n"
                                  "      - allow:\n"
                                  "          method: \"*\"\n"
                                  "      - allow:\n"
                                  "          method: tools/call\n"
                                  "          tool: search_*\n"
                                  "      mcp:\n"
                                  "        allow_all_known_mcp_methods: false\n"
                                  "    - mcp: {}\n"
                                  "    binaries:\n"
                                  "    - path: /usr/bin/curl\n"
                                  "    - path: \"\"\n"
                                  "  \"no\": {}\n"
                                  "network_middlewares:\n"
                                  "  redact:\n"
                                  "    name: r\n"
                                  "    middleware: openshell/regex\n"
                                  "    order: -7\n"
                                  "    config:\n"
                                  "      z: null\n"
                                  "      bool: true\n"
                                  "      big: -1e+300\n"
                                  "      2^60: 1.152921504606847e+18\n"
                                  "      \"~\": \"null\"\n"
                                  "      a:\n"
                                  "      - - 0.1\n"
                                  "        - []\n"
                                  "        - {}\n"
                                  "    on_error: fail_open\n"
                                  "    endpoints:\n"
                                  "      include:\n"
                                  "      - \"*.example.com\"\n"
                                  "      exclude:\n"
                                  "      - x.test\n"
                                  "  bare:\n"
                                  "    middleware: \"\"\n";

static bool parse(struct str text, struct arena *a, struct policy **ret)
{
    struct diags d;
    struct err err;
    if (policy_parse(text, a, ret, &d, &err) == ERR_OK)
        return true;
    tap_note("%s", err.msg);
    return false;
}

// Prints `p`, loads that, and compares; then prints that again, and compares the texts.
static bool comes_back(const struct policy *p)
{
    CLEANUP(arena_done) struct arena a = {};
    CLEANUP(buf_done) struct buf first = {}, again = {};
    arena_init(&a, POLICY_ARENA_MAX);
    buf_init(&first, 4 * MIB);
    buf_init(&again, 4 * MIB);
    policy_print_yaml(p, &first);
    struct policy *q = NULL;
    if (first.full || !parse(buf_str(&first), &a, &q))
        return false;
    policy_print_yaml(q, &again);
    return same_policy(p, q) && str_eq(buf_str(&first), buf_str(&again));
}

static void test_sample(void)
{
    CLEANUP(buf_done) struct buf out = {};
    buf_init(&out, MIB);
    policy_print_yaml(&sample_policy, &out);
    if (!tap_ok(str_eq(buf_str(&out), str_of(sample_yaml)), "every field has its place in the YAML"))
        tap_note("%s", out.p);
    (void)tap_ok(comes_back(&sample_policy), "every field comes back from the YAML");

    struct policy minimal = {.version = 2, .filesystem = {.include_workdir = true}};
    buf_clear(&out);
    policy_print_yaml(&minimal, &out);
    (void)tap_ok(str_eq(buf_str(&out), STR("version: 2\n")), "defaults are left out");
    (void)tap_ok(comes_back(&minimal), "an absent filesystem section comes back as absent");

    struct policy bare = {.version = 1, .has_filesystem = true, .has_landlock = true, .has_process = true};
    buf_clear(&out);
    policy_print_yaml(&bare, &out);
    (void)tap_ok(str_eq(buf_str(&out), STR("version: 1\nfilesystem_policy: {}\nlandlock: {}\nprocess: {}\n")),
                 "a section that is there and empty is printed");
    (void)tap_ok(comes_back(&bare), "and comes back");

    struct buf small;
    buf_init(&small, 100);
    policy_print_yaml(&sample_policy, &small);
    (void)tap_ok(small.full, "what does not fit sets full");
    buf_done(&small);
}

static const struct {
    struct str value;
    const char *text, *rule;
} scalars[] = {
    {STR_INIT(""), "\"\"", "the empty string"},
    {STR_INIT("true"), "\"true\"", "a word for true"},
    {STR_INIT("False"), "\"False\"", "a word for false"},
    {STR_INIT("yes"), "\"yes\"", "a word for true of YAML 1.1"},
    {STR_INIT("OFF"), "\"OFF\"", "a word for false of YAML 1.1"},
    {STR_INIT("~"), "\"~\"", "a word for null"},
    {STR_INIT("Null"), "\"Null\"", "another"},
    {STR_INIT("<<"), "\"<<\"", "a merge key"},
    {STR_INIT("1"), "\"1\"", "an integer"},
    {STR_INIT("0x1f"), "\"0x1f\"", "a hexadecimal integer"},
    {STR_INIT("0o7"), "\"0o7\"", "an octal integer"},
    {STR_INIT("0b1"), "\"0b1\"", "a binary integer of YAML 1.1"},
    {STR_INIT("1.0"), "\"1.0\"", "a float"},
    {STR_INIT("1e3"), "\"1e3\"", "a float with an exponent"},
    {STR_INIT(".5"), "\".5\"", "a float without a whole part"},
    {STR_INIT("-.inf"), "\"-.inf\"", "infinity"},
    {STR_INIT("1_000"), "\"1_000\"", "an integer of YAML 1.1"},
    {STR_INIT("12:30"), "\"12:30\"", "a base 60 integer of YAML 1.1"},
    {STR_INIT("2024-01-31"), "\"2024-01-31\"", "a date of YAML 1.1"},
    {STR_INIT("10.0.0.0/8"), "10.0.0.0/8", "a network is a string"},
    {STR_INIT("10.0.0.1"), "10.0.0.1", "an address is a string"},
    {STR_INIT("1e"), "1e", "an exponent without digits is a string"},
    {STR_INIT("."), ".", "a dot is a string"},
    {STR_INIT("..."), "\"...\"", "the end of a document"},
    {STR_INIT("---"), "\"---\"", "the beginning of one"},
    {STR_INIT("a: b"), "\"a: b\"", "a colon and a blank"},
    {STR_INIT("a:b"), "a:b", "a colon inside a word"},
    {STR_INIT("a:"), "\"a:\"", "a colon at the end"},
    {STR_INIT("a #b"), "\"a #b\"", "a comment"},
    {STR_INIT("a#b"), "a#b", "a number sign inside a word"},
    {STR_INIT(" a"), "\" a\"", "a blank in front"},
    {STR_INIT("a "), "\"a \"", "a blank behind"},
    {STR_INIT("a b"), "a b", "a blank inside"},
    {STR_INIT("*.example.com"), "\"*.example.com\"", "an alias"},
    {STR_INIT("&a"), "\"&a\"", "an anchor"},
    {STR_INIT("!a"), "\"!a\"", "a tag"},
    {STR_INIT("- a"), "\"- a\"", "an item"},
    {STR_INIT("? a"), "\"? a\"", "a key"},
    {STR_INIT("{a}"), "\"{a}\"", "a mapping"},
    {STR_INIT("[a]"), "\"[a]\"", "a list"},
    {STR_INIT("a,b]}"), "a,b]}", "brackets inside a word"},
    {STR_INIT("|"), "\"|\"", "a block scalar"},
    {STR_INIT(">"), "\">\"", "a folded one"},
    {STR_INIT("%a"), "\"%a\"", "a directive"},
    {STR_INIT("@a"), "\"@a\"", "a reserved character"},
    {STR_INIT("`a"), "\"`a\"", "another"},
    {STR_INIT("'a'"), "\"'a'\"", "single quotes"},
    {STR_INIT("\"a\""), "\"\\\"a\\\"\"", "double quotes"},
    {STR_INIT("a\\b"), "a\\b", "a backslash in plain text"},
    {STR_INIT(" \\"), "\" \\\\\"", "a backslash in quotes"},
    {STR_INIT("a\nb\tc"), "\"a\\nb\\tc\"", "a line feed and a tab"},
    {STR_INIT("\x01\x7f"), "\"\\x01\\x7f\"", "control characters"},
    {STR_INIT("\xc2\x85"), "\"\\x85\"", "the next line character"},
    {STR_INIT("\xe2\x80\xa8"), "\"\\u2028\"", "the line separator"},
    {STR_INIT("\xe2\x80\xae"), "\"\\u202e\"", "a character that turns the text around"},
    {STR_INIT("\xe2\x80\x8b"), "\"\\u200b\"", "a character without width"},
    {STR_INIT("\xef\xbb\xbf"), "\"\\ufeff\"", "the byte order mark"},
    {STR_INIT("\xef\xbf\xbf"), "\"\\uffff\"", "a code point that is no character"},
    {STR_INIT("\xf0\x9f\xbf\xbf"), "\"\\U0001ffff\"", "one beyond the first plane"},
    {STR_INIT("caf\xc3\xa9"), "caf\xc3\xa9", "letters beyond ASCII"},
    {STR_INIT("\xf0\x9f\x90\x99"), "\xf0\x9f\x90\x99", "and beyond the first plane"},
};

static void test_scalars(void)
{
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
        struct policy p = {.version = 1, .has_landlock = true, .filesystem = {.include_workdir = true}};
        p.landlock.compatibility = scalars[i].value;
        struct policy_entry entry = {.key = scalars[i].value, .name = scalars[i].value};
        p.entries = &entry;
        p.entries_n = 1;
        CLEANUP(buf_done) struct buf out = {}, want = {};
        buf_init(&out, MIB);
        buf_init(&want, MIB);
        policy_print_yaml(&p, &out);
        const char *x = scalars[i].text;
        buf_addf(&want, "version: 1\nlandlock:%s%s\nnetwork_policies:\n  %s:%s%s\n",
                 scalars[i].value.n > 0 ? "\n  compatibility: " : " ", scalars[i].value.n > 0 ? x : "{}", x,
                 scalars[i].value.n > 0 ? "\n    name: " : " ", scalars[i].value.n > 0 ? x : "{}");
        if (!tap_ok(str_eq(buf_str(&out), buf_str(&want)), "as key and value: %s", scalars[i].rule))
            tap_note("%s", out.p);
        (void)tap_ok(comes_back(&p), "comes back: %s", scalars[i].rule);
    }
}

static void test_long_keys(void)
{
    static const size_t lens[] = {999, 1000, 1001, 1024, 1025, 5000};
    char key[5001];
    memset(key, 'k', sizeof(key));
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct policy_entry entries[] = {
            {.key = {key, lens[i]}, .name = STR("x"), .binaries = sample_binaries, .binaries_n = 1},
            {.key = {key, lens[i] - 1}},
            {.key = STR("c")},
        };
        struct policy p = {.version = 1,
                           .filesystem = {.include_workdir = true},
                           .entries = entries,
                           .entries_n = 3};
        (void)tap_ok(comes_back(&p), "a key of %zu bytes comes back", lens[i]);
        struct value list[] = {{.kind = VALUE_STRING, .string = STR("x")}};
        struct value config[] = {{.kind = VALUE_LIST, .items = list, .n = 1}};
        struct str keys[] = {{key, lens[i]}};
        struct middleware m = {.key = STR("m"),
                               .config = {.kind = VALUE_MAP, .items = config, .keys = keys, .n = 1}};
        struct policy q = {.version = 1,
                           .filesystem = {.include_workdir = true},
                           .middlewares = &m,
                           .middlewares_n = 1};
        (void)tap_ok(comes_back(&q), "also in front of a list");
    }
}

static const struct {
    double number;
    const char *text;
} numbers[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-1.5, "-1.5"},
    {0.1, "0.1"},
    {1.0 / 3, "0.3333333333333333"},
    {1e15, "1e+15"},
    {123456789012345, "123456789012345"},
    {9007199254740992.0, "9007199254740992"},
    {9007199254740994.0, "9007199254740994.0"},
    {18014398509481984.0, "18014398509481984.0"},
    {1e22, "1e+22"},
    {5e-324, "4.94065645841247e-324"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
};

static void test_numbers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct value item = {.kind = VALUE_NUMBER, .number = numbers[i].number};
        struct str key = STR("x");
        struct middleware m = {.key = STR("m"),
                               .config = {.kind = VALUE_MAP, .items = &item, .keys = &key, .n = 1}};
        struct policy p = {.version = 1,
                           .filesystem = {.include_workdir = true},
                           .middlewares = &m,
                           .middlewares_n = 1};
        CLEANUP(buf_done) struct buf out = {}, want = {};
        buf_init(&out, MIB);
        buf_init(&want, MIB);
        policy_print_yaml(&p, &out);
        buf_addf(&want, "config:\n      x: %s\n", numbers[i].text);
        if (!tap_ok(str_ends(buf_str(&out), buf_str(&want)), "the number %s", numbers[i].text))
            tap_note("%s", out.p);
        (void)tap_ok(comes_back(&p), "the number %s comes back", numbers[i].text);
    }
}

static void test_json(void)
{
    static const char
        text[] = "version: 1\n"
                 "landlock: {compatibility: \"a\\\"b\"}\n"
                 "network_policies:\n"
                 "  z: {}\n"
                 "  a: {endpoints: [{port: 1, host: h}], binaries: []}\n"
                 "network_middlewares: {m: {middleware: x, config: {b: [1, true, null], a: 0.5}}}\n";
    static const char want[] = "{\n"
                               "    \"landlock\": {\n"
                               "      \"compatibility\": \"a\\\"b\"\n"
                               "    },\n"
                               "    \"network_middlewares\": {\n"
                               "      \"m\": {\n"
                               "        \"config\": {\n"
                               "          \"a\": 0.5,\n"
                               "          \"b\": [\n"
                               "            1,\n"
                               "            true,\n"
                               "            null\n"
                               "          ]\n"
                               "        },\n"
                               "        \"middleware\": \"x\"\n"
                               "      }\n"
                               "    },\n"
                               "    \"network_policies\": {\n"
                               "      \"a\": {\n"
                               "        \"endpoints\": [\n"
                               "          {\n"
                               "            \"host\": \"h\",\n"
                               "            \"port\": 1\n"
                               "          }\n"
                               "        ]\n"
                               "      },\n"
                               "      \"z\": {}\n"
                               "    },\n"
                               "    \"version\": 1\n"
                               "  }";
    CLEANUP(arena_done) struct arena a = {};
    CLEANUP(buf_done) struct buf out = {};
    arena_init(&a, POLICY_ARENA_MAX);
    buf_init(&out, MIB);
    struct policy *p = NULL;
    if (parse(str_of(text), &a, &p))
        policy_print_json(p, 2, &out);
    if (!tap_ok(str_eq(buf_str(&out), str_of(want)),
                "JSON has its keys in order and begins at the given column"))
        tap_note("%s", out.p ? out.p : "");

    // JSON is YAML: what was printed means the same.
    buf_clear(&out);
    policy_print_json(&sample_policy, 0, &out);
    struct policy *q = NULL;
    CLEANUP(buf_done) struct buf json = {};
    buf_init(&json, MIB);
    if (parse(buf_str(&out), &a, &q))
        policy_print_json(q, 0, &json);
    (void)tap_ok(str_eq(buf_str(&out), buf_str(&json)), "every field comes back from the JSON");
}

int main(void)
{
    test_sample();
    test_scalars();
    test_long_keys();
    test_numbers();
    test_json();
    return tap_done();
}
