#include "base/base.h"

#include "tap.h"

static void test_names(void)
{
    bool ok = true;
    for (int i = ERR_OK; i <= ERR_INTERNAL; i++) {
        const char *name = err_code_name((enum err_code)i);
        ok = ok && name && strcmp(name, "unknown") != 0;
        for (int k = ERR_OK; k < i; k++)
            ok = ok && strcmp(name, err_code_name((enum err_code)k)) != 0;
    }
    tap_ok(ok, "name: every code has one, and its own");
    tap_ok(strcmp(err_code_name(ERR_PRECONDITION), "failed precondition") == 0, "name: as gRPC calls it");
    tap_ok(strcmp(err_code_name((enum err_code)(ERR_INTERNAL + 1)), "unknown") == 0,
           "name: a number that is no code");
}

static const struct {
    const char *in, *want, *rule;
} cleaned[] = {
    {"plain text", "plain text", "ASCII stays"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "UTF-8 stays"},
    {"a\nb\rc\td", "a?b?c?d", "a message stays on its line"},
    {"\033[31mred", "?[31mred", "a message does not colour a terminal"},
    {"\x7f", "?", "DEL is a control"},
    {"\xc2\x9b"
     "31m",
     "??31m", "a C1 control acts as an escape"},
    {"a\xe2\x80\xae"
     "b",
     "a???b", "nothing is reordered"},
    {"a\xff"
     "b\xc3",
     "a?b?", "malformed bytes"},
};

static void test_fill(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cleaned); i++) {
        struct err e = {};
        enum err_code r = err_set(&e, ERR_INVALID, "%s", cleaned[i].in);
        tap_ok(r == ERR_INVALID && e.code == ERR_INVALID && strcmp(e.msg, cleaned[i].want) == 0, "fill: %s",
               cleaned[i].rule);
        struct err w = {.code = ERR_DENIED, .msg = "end"};
        char want[64];
        (void)snprintf(want, sizeof(want), "%s: end", cleaned[i].want);
        r = err_wrap(&w, ERR_DENIED, "%s", cleaned[i].in);
        tap_ok(r == ERR_DENIED && w.code == ERR_DENIED && strcmp(w.msg, want) == 0, "prefix: %s",
               cleaned[i].rule);
    }
}

static void test_length(void)
{
    struct err e = {};
    char text[600];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    const int room = (int)sizeof(e.msg) - 1;

    err_fill(&e, ERR_LIMIT, "%.*s", room, text);
    tap_ok(strlen(e.msg) == (size_t)room && e.msg[0] == 'x', "fill: the longest message");
    err_fill(&e, ERR_LIMIT, "%.*s", room + 1, text);
    tap_ok(strlen(e.msg) == (size_t)room, "fill: one byte more is cut at the end");
    err_fill(&e, ERR_LIMIT, "%.*s\xc3\xbc", room - 1, text);
    tap_ok(strlen(e.msg) == (size_t)room && e.msg[room - 1] == '?',
           "fill: a sequence that was cut through is no UTF-8");

    err_fill(&e, ERR_LIMIT, "%s", "inner");
    err_prefix(&e, "%.*s", room - 7, text);
    tap_ok(strlen(e.msg) == (size_t)room && strcmp(e.msg + room - 7, ": inner") == 0, "prefix: just fits");
    err_fill(&e, ERR_LIMIT, "%s", "inner");
    err_prefix(&e, "%.*s", room - 6, text);
    tap_ok(strlen(e.msg) == (size_t)room && strcmp(e.msg + room - 6, ": inne") == 0,
           "prefix: the message gives way");
    err_fill(&e, ERR_LIMIT, "%s", "inner");
    err_prefix(&e, "%s", text);
    tap_ok(strlen(e.msg) == (size_t)room && e.msg[room - 1] == 'x',
           "prefix: one that fills all is cut itself");
}

static void test_alias(void)
{
    struct err e = {.code = ERR_INVALID, .msg = "below"};
    err_fill(&e, ERR_DENIED, "above %s", e.msg);
    tap_ok(e.code == ERR_DENIED && strcmp(e.msg, "above below") == 0,
           "fill: may quote the message it replaces");
    err_prefix(&e, "%zu bytes of '%s'", strlen(e.msg), e.msg);
    tap_ok(strcmp(e.msg, "11 bytes of 'above below': above below") == 0, "prefix: may quote it too");
}

int main(void)
{
    test_names();
    test_fill();
    test_length();
    test_alias();
    return tap_done();
}
