#include "gateway/exec.h"

#include "tap.h"

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // nobody writes to it
}

// What the limits count: one at the limit, and one past it. The words are tried by tests/gateway/relays.
static enum err_code check(size_t args, size_t arg_len, size_t value_len, size_t workdir_len, const char *key)
{
    static char words[3][300 * KIB];
    static char *command[2000];
    struct err err = {};
    Openshell__V1__ExecSandboxRequest req = OPENSHELL__V1__EXEC_SANDBOX_REQUEST__INIT;
    Openshell__V1__ExecSandboxRequest__EnvironmentEntry
        env = OPENSHELL__V1__EXEC_SANDBOX_REQUEST__ENVIRONMENT_ENTRY__INIT;
    Openshell__V1__ExecSandboxRequest__EnvironmentEntry *list[] = {&env};
    const size_t len[] = {arg_len, value_len, workdir_len};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        memset(words[i], 'x', len[i]);
        words[i][len[i]] = '\0';
    }
    for (size_t i = 0; i < args; i++)
        command[i] = words[0];
    req.sandbox_id = text("s");
    req.command = command;
    req.n_command = args;
    req.workdir = words[2];
    env.key = text(key);
    env.value = words[1];
    req.environment = list;
    req.n_environment = key[0] ? 1 : 0;
    return exec_check(&req, &err);
}

int main(void)
{
    tap_ok(check(1, 1, 0, 0, "") == ERR_OK, "a command");
    tap_ok(check(1024, 1, 0, 0, "") == ERR_OK && check(1025, 1, 0, 0, "") == ERR_INVALID, "arguments");
    tap_ok(check(1, 32 * KIB, 0, 0, "") == ERR_OK && check(1, 32 * KIB + 1, 0, 0, "") == ERR_INVALID,
           "bytes of an argument");
    tap_ok(check(1, 1, 32 * KIB, 0, "K") == ERR_OK && check(1, 1, 32 * KIB + 1, 0, "K") == ERR_INVALID,
           "bytes of a value");
    tap_ok(check(1, 1, 0, 4096, "") == ERR_OK && check(1, 1, 0, 4097, "") == ERR_INVALID,
           "bytes of the folder");
    // 8 x (32767 + 1) is the limit exactly.
    tap_ok(check(8, 32 * KIB - 1, 0, 0, "") == ERR_OK && check(8, 32 * KIB - 1, 0, 1, "") == ERR_INVALID,
           "all of it together, the folder too");
    tap_ok(check(8, 32 * KIB - 1, 0, 0, "K") == ERR_INVALID, "and the variables");
    tap_ok(check(1, 1, 0, 0, "OPENSHELL_PYFUNC_B64") == ERR_OK &&
               check(1, 1, 0, 0, "OPENSHELL_PYFUNC") == ERR_INVALID,
           "of the reserved names the Python SDK's alone");
    return tap_done();
}
