#include "supervisor/session/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

static const struct {
    int64_t expires_at_ms, now_ms;
    size_t token_n;
    int64_t want_ms;
    const char *rule;
} lives[] = {
    {3'600'000, 0, 100, 2'880'000, "four fifths of what is left"},
    {0, 5000, 100, 21'600'000, "without an end: every six hours"},
    {1000, 5000, 100, 1000, "one that is over: in a second"},
    {1'000'000'000'000, 0, 100, 43'200'000, "at most twelve hours"},
    {3'600'000, 0, 107, 2'880'000 + 201'600, "and up to nine in a hundred more, by its length"},
};

static const struct {
    const char *file, *bearer, *rule; // bearer NULL: refused
} files[] = {
    {"abc.def\n", "Bearer abc.def", "a newline at the end is no part of it"},
    {"", NULL, "an empty one is none"},
    {"a b", NULL, "neither is one with a blank"},
    {"a\r\nx: y", NULL, "or with a line break"},
    {"a\x80", NULL, "or with what is not ASCII"},
};

static void test_file(const char *path, size_t i)
{
    struct session s = {.opts = {.token_file = path}};
    struct err err = {};
    bool ok = file_write_atomic(path, str_of(files[i].file), 0600, &err) == ERR_OK;
    enum err_code r = token_take(&s, &err);
    struct str got = {};
    if (ok && files[i].bearer)
        ok = r == ERR_OK && rpc_meta_get(&s.meta, STR("authorization"), &got) &&
             str_eq(got, str_of(files[i].bearer));
    else
        ok = ok && r != ERR_OK && !s.meta.first;
    tap_ok(ok, "%s: %s", files[i].rule, err.msg);
    secret_done(&s.bearer);
}

static void test_refresh(const char *path)
{
    struct session s = {.opts = {.token_file = path}};
    struct err err = {};
    struct str got = {};
    GATEWAY(RefreshSandboxTokenResponse) m = OPENSHELL__V1__REFRESH_SANDBOX_TOKEN_RESPONSE__INIT;
    m.token = (char *)(uintptr_t) "new";
    bool ok = file_write_atomic(path, STR("old"), 0600, &err) == ERR_OK && token_take(&s, &err) == ERR_OK;
    token_heard(&s, &m);
    tap_ok(ok && token_take(&s, &err) == ERR_OK && rpc_meta_get(&s.meta, STR("authorization"), &got) &&
               str_eq(got, STR("Bearer new")) && s.token_report.due && s.token_report.at_ns > 0,
           "what the gateway gives is better than the file");
    m.token = (char *)(uintptr_t) "not one";
    token_heard(&s, &m);
    tap_ok(rpc_meta_get(&s.meta, STR("authorization"), &got) && str_eq(got, STR("Bearer new")),
           "unless it is none");
    s.token_fresh = false;
    tap_ok(token_take(&s, &err) == ERR_OK && rpc_meta_get(&s.meta, STR("authorization"), &got) &&
               str_eq(got, STR("Bearer old")),
           "one that was refused is forgotten for that of the file");
    secret_done(&s.bearer);
}

int main(void)
{
    char dir[] = "/tmp/token-test-XXXXXX", path[64];
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/token", dir);
    for (size_t i = 0; i < ARRAY_LEN(lives); i++)
        tap_ok(token_life_ms(lives[i].expires_at_ms, lives[i].now_ms, lives[i].token_n) == lives[i].want_ms,
               "%s", lives[i].rule);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        test_file(path, i);
    test_refresh(path);
    (void)unlink(path);
    (void)rmdir(dir);
    return tap_done();
}
