// Compiling under failing allocations: each one is ERR_LIMIT, nothing leaks, nothing half-built comes out.
#include "alloc_fail.h"
#include "base/fd.h"
#include "policy/decide.h"
#include "policy/load.h"
#include "tap.h"

static void test_file(const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/good/%s", folder, name);
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, POLICY_ARENA_MAX);
    struct policy *p = NULL;
    struct diags d;
    struct err e = {};
    bool ready = file_read(path, POLICY_TEXT_MAX, &text, &e) == ERR_OK &&
                 policy_load(buf_str(&text), POLICY_USE_FILE, &a, &p, &d, &e) == ERR_OK;
    (void)tap_ok(ready, "%s is a policy", name);
    if (!ready || !p) {
        tap_note("%s", e.msg);
        return;
    }
    bool clean = true;
    size_t n = 0;
    for (enum err_code r = ERR_LIMIT; r == ERR_LIMIT && clean && n < 10'000; n++) {
        CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
        alloc_fail_at(n + 1);
        r = snapshot_compile(p, 1, &s, &e);
        alloc_fail_off();
        clean = r == ERR_OK ? s != NULL : r == ERR_LIMIT && !s;
    }
    tap_ok(clean && n > 3, "%s: each of %zu failing allocations is ERR_LIMIT", name, n - 1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s tests/data\n", argv[0]);
        return 2;
    }
    test_file(argv[1], "bedrock.yaml");
    test_file(argv[1], "claude-code.yaml");
    test_file(argv[1], "github.yaml");
    test_file(argv[1], "graphql.yaml");
    test_file(argv[1], "mcp.yaml");
    test_file(argv[1], "middleware.yaml");
    test_file(argv[1], "minimal.yaml");
    test_file(argv[1], "npm.yaml");
    test_file(argv[1], "postgres.yaml");
    test_file(argv[1], "pypi.yaml");
    test_file(argv[1], "websocket.yaml");
    test_file(argv[1], "worked-example.yaml");
    return tap_done();
}
