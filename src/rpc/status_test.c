#include "rpc/status.h"
#include "tap.h"

static const struct {
    struct str text, wire;
    const char *rule;
} percent[] = {
    {STR_INIT("no such sandbox"), STR_INIT("no such sandbox"), "printable ASCII stays"},
    {STR_INIT("100%"), STR_INIT("100%25"), "a percent sign is encoded"},
    {STR_INIT("a\nb\x7f"), STR_INIT("a%0Ab%7F"), "controls are encoded"},
    {STR_INIT("\xc3\xbc"), STR_INIT("%C3%BC"), "so is each byte of UTF-8"},
};
static const struct {
    struct str wire, text;
    const char *rule;
} decode[] = {
    {STR_INIT("%4"), STR_INIT("%4"), "a cut sequence is left as it is"},
    {STR_INIT("%"), STR_INIT("%"), "so is a bare sign"},
    {STR_INIT("%4x%xx"), STR_INIT("%4x%xx"), "so are digits that are none"},
    {STR_INIT("%c3%BC"), STR_INIT("\xc3\xbc"), "both cases of digits count"},
};

static void test_percent(void)
{
    for (size_t i = 0; i < ARRAY_LEN(percent); i++) {
        struct buf wire;
        struct buf back;
        buf_init(&wire, KIB);
        buf_init(&back, KIB);
        rpc_percent_encode(percent[i].text, &wire);
        rpc_percent_decode(buf_str(&wire), &back);
        tap_ok(str_eq(buf_str(&wire), percent[i].wire) && str_eq(buf_str(&back), percent[i].text), "%s",
               percent[i].rule);
        buf_done(&wire);
        buf_done(&back);
    }
    for (size_t i = 0; i < ARRAY_LEN(decode); i++) {
        struct buf text;
        buf_init(&text, KIB);
        rpc_percent_decode(decode[i].wire, &text);
        tap_ok(str_eq(buf_str(&text), decode[i].text), "%s", decode[i].rule);
        buf_done(&text);
    }
}

static void test_codes(void)
{
    enum rpc_code code = RPC_OK;
    tap_ok(rpc_code_parse(STR("16"), &code) && code == RPC_UNAUTHENTICATED, "16 is the last code");
    tap_ok(!rpc_code_parse(STR("17"), &code) && !rpc_code_parse(STR(""), &code) &&
               !rpc_code_parse(STR("-1"), &code),
           "17, nothing and -1 are no codes");
    bool back = true;
    for (enum err_code c = ERR_OK; c <= ERR_INTERNAL; c++)
        back = back && rpc_code_err(rpc_code_of(c)) == c && (rpc_exit_status(c) == 0) == (c == ERR_OK);
    tap_ok(back, "each of our codes comes back as itself, and all but OK fail the command line");
    tap_ok(strcmp(rpc_code_name(RPC_ABORTED), "ABORTED") == 0 &&
               rpc_code_err(RPC_ABORTED) == ERR_PRECONDITION,
           "ABORTED is a precondition that no longer holds");
    tap_ok(strcmp(rpc_code_name((enum rpc_code)99), "UNKNOWN") == 0, "a code that does not exist is UNKNOWN");
}

static void test_status(void)
{
    struct err e = {};
    struct rpc_status st = {};
    err_fill(&e, ERR_NOT_FOUND, "sandbox 'a' does not exist");
    tap_ok(!rpc_status_of(&e, 7, &st) && st.code == RPC_NOT_FOUND && strcmp(st.msg, e.msg) == 0,
           "a message travels as it is");
    err_fill(&e, ERR_INTERNAL, "/var/lib/secret.db: short read");
    tap_ok(rpc_status_of(&e, 0x7f3a, &st) && st.code == RPC_INTERNAL &&
               strcmp(st.msg, "internal error 7f3a") == 0,
           "an internal error travels as a number");
    rpc_status_set(&st, RPC_UNAUTHENTICATED, "a\nb");
    struct err back = {};
    enum err_code c = rpc_status_err(&st, &back);
    tap_ok(c == ERR_DENIED && strcmp(back.msg, "a?b") == 0, "what a peer says cannot break a line");
    st.msg[0] = '\0';
    c = rpc_status_err(&st, &back);
    tap_ok(c == ERR_DENIED && strcmp(back.msg, "UNAUTHENTICATED") == 0,
           "an empty message gives the code's name");
}

int main(void)
{
    test_percent();
    test_codes();
    test_status();
    return tap_done();
}
