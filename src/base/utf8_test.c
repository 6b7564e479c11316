#include "base/utf8.h"

#include "tap.h"

static const struct {
    struct str in;
    size_t next;
    const char *rule;
} heads[] = {
    {STR_INIT(""), 0, "nothing is no sequence"},
    {STR_INIT("a"), 1, "one byte"},
    {STR_INIT("\0"), 1, "NUL is a character"},
    {STR_INIT("\x7f"), 1, "the last of one byte"},
    {STR_INIT("\x80"), 0, "a tail byte begins nothing"},
    {STR_INIT("\xc1\xbf"), 0, "two bytes for what one can say are overlong"},
    {STR_INIT("\xc2\x80"), 2, "the first of two bytes"},
    {STR_INIT("\xdf\xbf"), 2, "the last of two bytes"},
    {STR_INIT("\xc2"), 0, "cut behind the first of two"},
    {STR_INIT("\xc2\x7f"), 0, "a tail below 80"},
    {STR_INIT("\xc2\xc0"), 0, "a tail above bf"},
    {STR_INIT("\xe0\x9f\xbf"), 0, "three bytes for what two can say"},
    {STR_INIT("\xe0\xa0\x80"), 3, "the first of three bytes"},
    {STR_INIT("\xed\x9f\xbf"), 3, "the last before the surrogates"},
    {STR_INIT("\xed\xa0\x80"), 0, "the first surrogate"},
    {STR_INIT("\xed\xbf\xbf"), 0, "the last surrogate"},
    {STR_INIT("\xee\x80\x80"), 3, "the first behind the surrogates"},
    {STR_INIT("\xef\xbf\xbf"), 3, "the last of three bytes"},
    {STR_INIT("\xe1\x80"), 0, "cut behind the second of three"},
    {STR_INIT("\xe1\x80\x41"), 0, "a third byte that is no tail"},
    {STR_INIT("\xf0\x8f\xbf\xbf"), 0, "four bytes for what three can say"},
    {STR_INIT("\xf0\x90\x80\x80"), 4, "the first of four bytes"},
    {STR_INIT("\xf4\x8f\xbf\xbf"), 4, "U+10FFFF is the last"},
    {STR_INIT("\xf4\x90\x80\x80"), 0, "one past it"},
    {STR_INIT("\xf5\x80\x80\x80"), 0, "f5 begins nothing"},
    {STR_INIT("\xf1\x80\x80"), 0, "cut behind the third of four"},
    {STR_INIT("\xf1\x80\x80\x41"), 0, "a fourth byte that is no tail"},
    {STR_INIT("\xff"), 0, "ff begins nothing"},
};

static void test_next(void)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        size_t n = utf8_next(heads[i].in);
        tap_ok(n == heads[i].next, "next: %s", heads[i].rule);
        bool valid = heads[i].in.n == heads[i].next; // each row is one whole sequence, or malformed
        tap_ok(utf8_is_valid(heads[i].in) == valid, "valid: %s", heads[i].rule);
    }
    tap_ok(utf8_is_valid(STR("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x9a")), "valid: one of each length");
    tap_ok(!utf8_is_valid(STR("a\xc3\xbc\xff")), "valid: one bad byte at the end");
}

static size_t encode(uint32_t cp, char *p) // the definition, RFC 3629 section 3, for the comparison below
{
    if (cp < 0x80) {
        p[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x1'0000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        p[i] = (char)(0x80 | (cp & 0x3f));
    p[0] = (char)((0xf00U >> n) | cp);
    return n;
}

static bool unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x61c || cp == 0x200e || cp == 0x200f ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

static void test_every_code_point(void)
{
    bool next = true, plain = true;
    for (uint32_t cp = 0; cp <= 0x11'ffff; cp++) {
        char p[4];
        size_t n = encode(cp, p);
        bool scalar = cp <= 0x10'ffff && !(cp >= 0xd800 && cp <= 0xdfff);
        struct str s = {p, n};
        next = next && utf8_next(s) == (scalar ? n : 0);
        plain = plain && (!scalar || utf8_is_plain(s) == !unsafe(cp));
    }
    tap_ok(next, "next: every code point, surrogates and those past the end refused");
    tap_ok(plain, "plain: every code point against the list");
}

static void test_every_three_bytes(void)
{
    bool ok = true; // what is taken for a sequence encodes to itself again
    for (uint32_t i = 0; i < 0x100'0000; i++) {
        char in[3] = {(char)(i >> 16), (char)(i >> 8), (char)i}, out[4];
        size_t n = utf8_next((struct str){in, 3});
        if (n < 2)
            continue;
        uint32_t cp = (unsigned char)in[0] & (0x7fU >> n);
        for (size_t k = 1; k < n; k++)
            cp = cp << 6 | ((unsigned char)in[k] & 0x3f);
        ok = ok && encode(cp, out) == n && memcmp(in, out, n) == 0;
    }
    tap_ok(ok, "next: of all three bytes, only shortest forms");
}

static const struct {
    struct str in, want;
    const char *rule;
} cleans[] = {
    {STR_INIT("a\xc3\xbc\xe2\x82\xac"), STR_INIT("a\xc3\xbc\xe2\x82\xac"), "text stays"},
    {STR_INIT("a\0\x1f\x20\x7e\x7f"), STR_INIT("a??\x20\x7e?"), "controls and DEL go"},
    {STR_INIT("\xc2\x9f\xc2\xa0"), STR_INIT("??\xc2\xa0"), "C1 ends at U+009F"},
    {STR_INIT("\xe2\x80\xa9\xe2\x81\xa6"), STR_INIT("??????"), "separators and isolates go, byte for byte"},
    {STR_INIT("\xff\xfe"
              "a\xc3"),
     STR_INIT("??a?"), "malformed bytes go, their neighbours stay"},
    {STR_INIT("\xe2\x80"
              "ab"),
     STR_INIT("??ab"), "a cut sequence takes nothing along"},
};

static void test_clean(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cleans); i++) {
        char p[32];
        memcpy(p, cleans[i].in.p, cleans[i].in.n);
        utf8_clean(p, cleans[i].in.n);
        tap_ok(str_eq((struct str){p, cleans[i].in.n}, cleans[i].want), "clean: %s", cleans[i].rule);
    }
}

int main(void)
{
    test_next();
    test_every_code_point();
    test_every_three_bytes();
    test_clean();
    tap_ok(utf8_columns(STR("a\xc3\xbc\xe2\x82\xac")) == 3 && utf8_columns((struct str){}) == 0,
           "columns: one for each sequence");
    return tap_done();
}
