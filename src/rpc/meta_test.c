#include "rpc/meta.h"
#include "tap.h"

static const struct {
    struct str name, value;
    enum err_code code;
    const char *rule;
} adds[] = {
    {STR_INIT("x-request_id.2"), STR_INIT("a b~"), ERR_OK, "letters, digits, dashes, dots, underscores"},
    {STR_INIT("X-a"), STR_INIT("v"), ERR_INVALID, "no capitals in a name"},
    {STR_INIT(""), STR_INIT("v"), ERR_INVALID, "no empty name"},
    {STR_INIT(":path"), STR_INIT("v"), ERR_INVALID, "no pseudo header"},
    {STR_INIT("grpc-timeout"), STR_INIT("1S"), ERR_INVALID, "nothing of gRPC's own"},
    {STR_INIT("te"), STR_INIT("v"), ERR_INVALID, "nothing of HTTP's own"},
    {STR_INIT("x"), STR_INIT("a\nb"), ERR_INVALID, "no line feed in a value"},
    {STR_INIT("x"), STR_INIT("\x7f"), ERR_INVALID, "no DEL in a value"},
    {STR_INIT("x"), STR_INIT("\xc3\xbc"), ERR_INVALID, "nothing beyond ASCII in a value"},
    {STR_INIT("x-bin"), STR_INIT("\x00\xff\n"), ERR_OK, "any bytes where the name ends in -bin"},
};

static const struct {
    struct str bytes, text;
    const char *rule;
} base64[] = {
    {STR_INIT(""), STR_INIT(""), "nothing"},
    {STR_INIT("f"), STR_INIT("Zg"), "one byte"},
    {STR_INIT("fo"), STR_INIT("Zm8"), "two bytes"},
    {STR_INIT("foo"), STR_INIT("Zm9v"), "three bytes"},
    {STR_INIT("\xff\xfe\xfd\xfc"), STR_INIT("//79/A"), "the last letters of the alphabet"},
};
static const struct {
    struct str text, bytes;
    bool ok;
    const char *rule;
} decode[] = {
    {STR_INIT("Zg=="), STR_INIT("f"), true, "padding is taken"},
    {STR_INIT("Zm8="), STR_INIT("fo"), true, "so is a short one"},
    {STR_INIT("Zg="), STR_INIT(""), false, "half a padding is none"},
    {STR_INIT("Zm9v="), STR_INIT(""), false, "nor is one too many"},
    {STR_INIT("Z"), STR_INIT(""), false, "one letter is no byte"},
    {STR_INIT("Zm 8"), STR_INIT(""), false, "a blank is no letter"},
    {STR_INIT("Zm-_"), STR_INIT(""), false, "nor are those of URLs"},
    {STR_INIT("Z\0Zg"), STR_INIT(""), false, "nor is a NUL"},
};

static void test_base64(void)
{
    for (size_t i = 0; i < ARRAY_LEN(base64); i++) {
        struct buf text;
        struct buf back;
        buf_init(&text, 64);
        buf_init(&back, 64);
        rpc_base64_encode(base64[i].bytes, &text);
        tap_ok(str_eq(buf_str(&text), base64[i].text) && rpc_base64_decode(buf_str(&text), &back) &&
                   str_eq(buf_str(&back), base64[i].bytes),
               "base64: %s", base64[i].rule);
        buf_done(&text);
        buf_done(&back);
    }
    for (size_t i = 0; i < ARRAY_LEN(decode); i++) {
        struct buf bytes;
        buf_init(&bytes, 64);
        bool ok = rpc_base64_decode(decode[i].text, &bytes);
        tap_ok(ok == decode[i].ok && (!ok || str_eq(buf_str(&bytes), decode[i].bytes)), "base64: %s",
               decode[i].rule);
        buf_done(&bytes);
    }
}

static void test_meta(void)
{
    struct arena arena;
    arena_init(&arena, 8 * KIB);
    struct rpc_meta meta = {};
    struct err err = {};
    for (size_t i = 0; i < ARRAY_LEN(adds); i++) {
        enum err_code c = rpc_meta_add(&meta, &arena, adds[i].name, adds[i].value, &err);
        tap_ok(c == adds[i].code, "%s", adds[i].rule);
    }
    struct str value = {};
    tap_ok(rpc_meta_get(&meta, STR("x-bin"), &value) && str_eq(value, STR("\x00\xff\n")) &&
               !rpc_meta_get(&meta, STR("x"), &value),
           "what was added is there, what was refused is not");

    struct rpc_meta in = {};
    bool ok = rpc_meta_receive(&in, &arena, STR("a-bin"), STR("Zg==, Zm8"), &err) == ERR_OK &&
              rpc_meta_receive(&in, &arena, STR("grpc-x"), STR("y"), &err) == ERR_OK &&
              rpc_meta_receive(&in, &arena, STR("b"), STR("1,2"), &err) == ERR_OK;
    const struct rpc_field *f = in.first;
    tap_ok(ok && f && str_eq(f->value, STR("f")) && f->next && str_eq(f->next->value, STR("fo")) &&
               f->next->next && str_eq(f->next->next->value, STR("1,2")) && !f->next->next->next,
           "a list of binary values comes apart, a text stays whole");
    enum err_code c = rpc_meta_receive(&in, &arena, STR("a-bin"), STR("?"), &err);
    tap_ok(c == ERR_INVALID && strcmp(err.msg, "metadata 'a-bin' is no base64") == 0, "refuses: %s", err.msg);
    arena_done(&arena);
    arena_init(&arena, 64);
    c = rpc_meta_add(&in, &arena, STR("a"), STR("b"), &err);
    tap_ok(c == ERR_LIMIT, "an arena that is full is ERR_LIMIT: %s", err.msg);
    arena_done(&arena);
}

static const struct {
    struct str text;
    bool ok;
    int64_t ns;
} timeouts[] = {
    {STR_INIT("1n"), true, 1},
    {STR_INIT("99999999u"), true, 99'999'999'000},
    {STR_INIT("5m"), true, 5'000'000},
    {STR_INIT("2S"), true, 2'000'000'000},
    {STR_INIT("3M"), true, 180'000'000'000},
    {STR_INIT("99999999H"), true, INT64_MAX},
    {STR_INIT("0S"), true, 0},
    {STR_INIT("100000000S"), false, 0},
    {STR_INIT("S"), false, 0},
    {STR_INIT("1"), false, 0},
    {STR_INIT("1s"), false, 0},
    {STR_INIT("-1S"), false, 0},
    {STR_INIT(""), false, 0},
};

static void test_timeouts(void)
{
    for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
        int64_t ns = -1;
        bool ok = rpc_timeout_parse(timeouts[i].text, &ns);
        tap_ok(ok == timeouts[i].ok && (!ok || ns == timeouts[i].ns), "timeout '%.*s'",
               STR_FMT(timeouts[i].text));
    }
    static const int64_t prints[] = {-5,       0, 1, 99'999'998, 99'999'999, 100'000'001, 1'500'000'000'000,
                                     INT64_MAX};
    bool right = true;
    for (size_t i = 0; i < ARRAY_LEN(prints); i++) {
        char text[RPC_TIMEOUT_SIZE];
        int64_t back = 0;
        rpc_timeout_print(prints[i], text);
        right = right && rpc_timeout_parse(str_of(text), &back) && back >= prints[i] && back > 0 &&
                (prints[i] < 1'000 || (back - prints[i]) <= prints[i] / 1'000);
    }
    tap_ok(right, "a printed timeout is never shorter, and hardly longer");
}

int main(void)
{
    test_base64();
    test_meta();
    test_timeouts();
    return tap_done();
}
