#include "cli/terminal.h"

#include "base/buf.h"
#include "tap.h"

static const struct {
    struct str first, second; // two reads; keys may be apart
    struct str want;
    bool detach;
    const char *rule;
} rows[] = {
    {STR_INIT("ls\r"), STR_INIT(""), STR_INIT("ls\r"), false, "keys pass"},
    {STR_INIT("\x10\x11"), STR_INIT(""), STR_INIT(""), true, "Ctrl-P Ctrl-Q detaches"},
    {STR_INIT("a\x10"),
     STR_INIT("\x11"
              "b"),
     STR_INIT("a"), true, "also in two reads"},
    {STR_INIT("ab\x10\x11"
              "cd"),
     STR_INIT(""), STR_INIT("ab"), true, "what is behind it does not pass"},
    {STR_INIT("\x10"), STR_INIT(""), STR_INIT(""), false, "a lone Ctrl-P waits"},
    {STR_INIT("\x10"), STR_INIT("x"), STR_INIT("\x10x"), false, "and passes with the next key"},
    {STR_INIT("\x10\x10\x11"), STR_INIT(""), STR_INIT("\x10"), true, "the last Ctrl-P counts"},
    {STR_INIT("\x11\x10"), STR_INIT("\x10z"), STR_INIT("\x11\x10\x10z"), false, "Ctrl-Q alone passes"},
    {STR_INIT("\x03\x04"), STR_INIT(""), STR_INIT("\x03\x04"), false, "Ctrl-C and Ctrl-D pass"},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct detach_keys k = {};
        char out[64];
        bool detach = false;
        size_t n = detach_filter(&k, rows[i].first, out, &detach);
        if (!detach)
            n += detach_filter(&k, rows[i].second, out + n, &detach);
        tap_ok(str_eq((struct str){out, n}, rows[i].want) && detach == rows[i].detach, "%s", rows[i].rule);
    }
    struct err err = {};
    tap_ok(terminal_raw(-1, &err) != ERR_OK && err.msg[0], "what is no terminal is said");
    return tap_done();
}
