#include "base/jsonw.h"

#include "tap.h"

static const struct {
    struct str in;
    const char *want, *rule;
} rows[] = {
    {STR_INIT(""), "\"\"", "the empty string is two quotes"},
    {STR_INIT("plain"), "\"plain\"", "plain text stays"},
    {STR_INIT("a\"b\\c"), "\"a\\\"b\\\\c\"", "quote and backslash are escaped"},
    {STR_INIT("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"", "the short escapes"},
    {STR_INIT("\x01\x1f\x7f"), "\"\\u0001\\u001f\\u007f\"", "other control bytes in hex"},
    {STR_INIT("a\0b"), "\"a\\u0000b\"", "a NUL does not end the string"},
    {STR_INIT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"", "UTF-8 stays"},
    {STR_INIT("\xff\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
     "malformed bytes become U+FFFD, one each"},
    {STR_INIT("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"", "a cut sequence is malformed"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, KIB);
        jsonw_string(&b, rows[i].in);
        if (!tap_ok(str_eq(buf_str(&b), str_of(rows[i].want)), "%s", rows[i].rule))
            tap_note("got %s", b.p);
    }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, KIB);
    bool first = true;
    jsonw_member(&b, &first, "a", STR("1"));
    jsonw_key(&b, &first, "b");
    buf_add(&b, STR("2"));
    tap_ok(str_eq(buf_str(&b), STR("\"a\":\"1\",\"b\":2")), "members are separated by commas, none in front");
    return tap_done();
}
