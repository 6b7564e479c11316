#include "supervisor/placeholder.h"

#include "tap.h"

#define CANON "openshell:resolve:env:"
#define ALIAS "OPENSHELL-RESOLVE-ENV-"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHAPE "05e11abe1dc0de5e"

static const struct {
    const char *text;
    bool ok;
    enum placeholder_form form;
    const char *key;
    uint64_t revision;
    const char *rule;
} parses[] = {
    {CANON "OPENAI_API_KEY", true, PLACEHOLDER_PLAIN, "OPENAI_API_KEY", 0, "a key"},
    {CANON "k9", true, PLACEHOLDER_PLAIN, "k9", 0, "lower case and digits are key characters"},
    {CANON, false, PLACEHOLDER_PLAIN, "", 0, "a mark without a key"},
    {CANON "A-B", false, PLACEHOLDER_PLAIN, "", 0, "a key ends before '-'"},
    {CANON "v12_KEY", true, PLACEHOLDER_REVISION, "KEY", 12, "a revision"},
    {CANON "v0_KEY", true, PLACEHOLDER_REVISION, "KEY", 0, "revision 0"},
    {CANON "v_KEY", true, PLACEHOLDER_PLAIN, "v_KEY", 0, "no digits: the key is v_KEY"},
    {CANON "v12_", true, PLACEHOLDER_PLAIN, "v12_", 0, "no key behind a revision: the key is v12_"},
    {CANON "v99999999999999999999999_K", true, PLACEHOLDER_REVISION, "K", UINT64_MAX,
     "a revision past all numbers is one that never was"},
    {CANON "s" HEX64 "_KEY", true, PLACEHOLDER_HANDLE, "KEY", 0, "a handle"},
    {CANON "s" HEX64 "0_KEY", true, PLACEHOLDER_PLAIN, "s" HEX64 "0_KEY", 0, "65 hex digits are no handle"},
    {CANON "sABC_KEY", true, PLACEHOLDER_PLAIN, "sABC_KEY", 0, "a key that begins with s"},
    {"sk-" ALIAS "KEY", true, PLACEHOLDER_ALIAS, "KEY", 0, "an alias"},
    {"sk-" ALIAS "v3_KEY", true, PLACEHOLDER_ALIAS, "v3_KEY", 0, "an alias knows no revisions"},
    {ALIAS "KEY", false, PLACEHOLDER_ALIAS, "", 0, "an alias needs a prefix"},
    {"sk-" ALIAS "KEY-x", false, PLACEHOLDER_ALIAS, "", 0, "an alias ends with its key"},
    {"s k-" ALIAS "KEY", false, PLACEHOLDER_ALIAS, "", 0, "an alias is one word"},
    {"ghp_" SHAPE "0123456789abcdef", true, PLACEHOLDER_SHAPED, "", 0, "a shaped one"},
    {SHAPE "0123456789abcdef", true, PLACEHOLDER_SHAPED, "", 0, "a shaped one of hex digits alone"},
    {"ghp_" SHAPE "0123456789abcde", false, PLACEHOLDER_SHAPED, "", 0, "a shaped one that is too short"},
    {"sk-real", false, PLACEHOLDER_PLAIN, "", 0, "no placeholder"},
    {"", false, PLACEHOLDER_PLAIN, "", 0, "nothing"},
};

static void parse(size_t i)
{
    struct placeholder p = {};
    bool ok = placeholder_parse(str_of(parses[i].text), &p);
    tap_ok(ok == parses[i].ok && (!ok || (p.form == parses[i].form && p.revision == parses[i].revision &&
                                          str_eq(p.key, str_of(parses[i].key)))),
           "parse: %s", parses[i].rule);
}

static const struct {
    const char *text;
    enum placeholder_found found;
    const char *first, *rule;
} finds[] = {
    {"nothing here", PLACEHOLDER_NONE, "", "no mark"},
    {"/bot" CANON "TG/send", PLACEHOLDER_FOUND, CANON "TG", "text stands around it"},
    {"a=" CANON "A&b=" CANON "B", PLACEHOLDER_FOUND, CANON "A", "the first of two"},
    {CANON "FOO_BAR", PLACEHOLDER_FOUND, CANON "FOO_BAR", "the longest that can be read"},
    {"x" CANON "/y", PLACEHOLDER_BROKEN, "", "a mark without a key"},
    {"u:sk-" ALIAS "K:v", PLACEHOLDER_FOUND, "sk-" ALIAS "K", "an alias is the whole word"},
    {"/" ALIAS "K", PLACEHOLDER_BROKEN, "", "an alias without a prefix"},
    {"key ghp_" SHAPE "0123456789abcdef.", PLACEHOLDER_FOUND, "ghp_" SHAPE "0123456789abcdef.",
     "a shaped one is the whole word, so a longer word is another one"},
};

static void find(size_t i)
{
    size_t at = 0, n = 0;
    struct str text = str_of(finds[i].text);
    enum placeholder_found r = placeholder_find(text, 0, &at, &n);
    bool ok = r == finds[i].found &&
              (r != PLACEHOLDER_FOUND || str_eq(str_head(str_from(text, at), n), str_of(finds[i].first)));
    tap_ok(ok, "find: %s", finds[i].rule);
}

static const struct {
    const char *text;
    bool has;
    size_t held;
    const char *rule;
} scans[] = {
    {"abc", false, 0, "nothing"},
    {"x " CANON "K", true, 0, "a canonical mark"},
    {"x " ALIAS "K", true, 0, "an alias mark"},
    {"x " SHAPE, true, 0, "a shaped mark"},
    {"openshell%3Aresolve%3aenv:K", true, 0, "colons as %3A"},
    {"%6fpenshell:resolve:env:K", true, 0, "a letter as %6f"},
    {"%6Fpenshell:resolve:env:K", true, 0, "a letter as %6F"},
    {"openshell%2Aresolve:env:K", false, 0, "another byte in %XX is no mark"},
    {"OPENSHELL:resolve:env:K", false, 0, "marks have one spelling"},
    {"body openshell:resol", false, 15, "a mark may be cut"},
    {"body openshell%3", false, 11, "in the middle of %XX, too"},
    {"body openshell%", false, 10, "behind a %, too"},
    {"body o", false, 1, "after its first byte"},
    {"body oo", false, 1, "the last byte may begin one"},
    {"body openshell:resolX", false, 0, "what cannot become one is not held"},
};

static void scan(size_t i)
{
    size_t held = 99;
    bool has = placeholder_has_mark(str_of(scans[i].text), &held);
    if (!tap_ok(has == scans[i].has && (has || held == scans[i].held), "scan: %s", scans[i].rule))
        tap_note("%d, held %zu", has, held);
}

// A mark cut at any place is held from its beginning on.
static void cuts(void)
{
    const struct str whole = STR("some text %6fpenshell:r%65solve:env:KEY");
    bool ok = true;
    for (size_t n = 11; n < 10 + PLACEHOLDER_MARK_LEN + 4 && ok; n++) {
        size_t held;
        ok = !placeholder_has_mark(str_head(whole, n), &held) && held == n - 10;
    }
    tap_ok(ok, "scan: cut anywhere, the rest is held");
}

static void redact(void)
{
    char out[64];
    struct str got;
    bool ok = placeholder_redact(STR("/bot" CANON "TG/x/" CANON "/y"), out, sizeof(out), &got);
    if (!tap_ok(ok && str_eq(got, STR("/bot[CREDENTIAL]/x/[CREDENTIAL]/y")), "redact: all of them"))
        tap_note("%.*s", STR_FMT(got));
    tap_ok(placeholder_redact(STR("/a" CANON "B"), out, 14, &got) && got.n == 14, "redact: exactly the room");
    tap_ok(!placeholder_redact(STR("/a" CANON "B"), out, 13, &got), "redact: one byte too little");
    tap_ok(placeholder_is_reserved(STR("v1_K")) && placeholder_is_reserved(STR("s" HEX64 "_K")) &&
               !placeholder_is_reserved(STR("vX_K")) && !placeholder_is_reserved(STR("KEY")),
           "names that read as a revision or a handle are reserved");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(parses); i++)
        parse(i);
    for (size_t i = 0; i < ARRAY_LEN(finds); i++)
        find(i);
    for (size_t i = 0; i < ARRAY_LEN(scans); i++)
        scan(i);
    cuts();
    redact();
    return tap_done();
}
