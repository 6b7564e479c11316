#include "cmd/yaml_out.h"

#include "tap.h"

static const struct {
    const char *json, *want, *rule;
} rows[] = {
    {"[]", "[]\n", "an empty list"},
    {"{}", "{}\n", "an empty map"},
    {"null", "null\n", "a scalar alone"},
    {"{\"b\":1,\"a\":true}", "a: true\nb: 1\n", "keys in the order of the alphabet"},
    {"{\"a\":{\"b\":{\"c\":\"d\"}}}", "a:\n  b:\n    c: d\n", "maps in maps are indented by two"},
    {"{\"a\":[1,\"x\"]}", "a:\n- 1\n- x\n", "a list stands under its key"},
    {"[{\"a\":1,\"b\":2},{\"a\":3}]", "- a: 1\n  b: 2\n- a: 3\n", "the first key stands on the dash's line"},
    {"[[1,2],[]]", "- - 1\n  - 2\n- []\n", "lists in lists"},
    {"[{\"a\":[{\"b\":1}]}]", "- a:\n  - b: 1\n", "a list in a map in a list"},
    {"{\"a\":\"\"}", "a: \"\"\n", "an empty text is quoted"},
    {"{\"a\":\"yes\",\"b\":\"NULL\",\"c\":\"12\",\"d\":\"-\"}",
     "a: \"yes\"\nb: \"NULL\"\nc: \"12\"\nd: \"-\"\n", "so is what would be read as something else"},
    {"{\"a\":\"x: y\",\"b\":\"2026-01-05 09:12:44\",\"c\":\"a\\nb\"}",
     "a: \"x: y\"\nb: \"2026-01-05 09:12:44\"\nc: \"a\\nb\"\n", "and what has other characters"},
    {"{\"a b\":1,\"true\":2}", "\"a b\": 1\n\"true\": 2\n", "also as a key"},
    {"{\"a\":null,\"b\":false,\"c\":{},\"d\":1.5}", "a: null\nb: false\nc: {}\nd: 1.5\n", "other scalars"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(json_freep) json_t *v = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
        struct buf b;
        buf_init(&b, 4 * KIB);
        bool ok = v && yaml_write(v, &b) && str_eq(buf_str(&b), str_of(rows[i].want));
        tap_ok(ok, "%s", rows[i].rule);
        if (!ok)
            printf("# %.*s\n", (int)b.n, b.n ? b.p : "");
        buf_done(&b);
    }
    CLEANUP(json_freep) json_t *deep = json_array();
    for (size_t i = 0; deep && i < 70; i++) {
        json_t *outer = json_array();
        if (!outer || json_array_append_new(outer, deep) != 0)
            return 1;
        deep = outer;
    }
    struct buf b;
    buf_init(&b, 4 * KIB);
    tap_ok(deep && !yaml_write(deep, &b), "what is deeper than any answer is refused");
    buf_done(&b);
    return tap_done();
}
