#include "policy/validate_rows.h"

#include "alloc_fail.h"

#define FS(lists)   "version: 1\nfilesystem_policy: {" lists "}\n"
#define ID(user)    "version: 1\nprocess: {run_as_user: " user "}\n"
#define ONE         "endpoints: [{host: a.test, port: 443}], binaries: [{path: /usr/bin/curl}]}\n"
#define NAMES(a, b) "version: 1\nnetwork_policies:\n  " a ONE "  " b ONE
#define BIN(a, b)                                                                                            \
    "version: 1\nnetwork_policies:\n  a:\n    endpoints: [{host: a.test, port: 443}]\n"                      \
    "    binaries: [{path: " a "}, {path: " b "}]\n"

static const struct row rows[] = {
    // version and sections
    {"version 1", "version: 1\n", ""},
    {"version 0", "version: 0\n", "error version: unknown policy version 0: only version 1 is known\n"},
    {"version 2", "version: 2\n", "error version: unknown policy version 2: only version 1 is known\n"},
    {"compatibility best_effort", "version: 1\nlandlock: {compatibility: best_effort}\n", ""},
    {"compatibility hard_requirement", "version: 1\nlandlock: {compatibility: hard_requirement}\n", ""},
    {"compatibility near miss", "version: 1\nlandlock: {compatibility: hard-requirement}\n",
     "error landlock.compatibility: unknown landlock compatibility 'hard-requirement'\n"},
    // filesystem
    {"absolute paths", FS("read_only: [/usr, /], read_write: [/tmp]"), ""},
    {"a relative path", FS("read_only: [usr/lib]"),
     "error filesystem_policy.read_only[0]: path must be absolute (start with '/'): 'usr/lib'\n"},
    {"an empty path", FS("read_write: [\"\"]"),
     "error filesystem_policy.read_write[0]: path must be absolute (start with '/'): ''\n"},
    {"a parent directory", FS("read_only: [/usr/../etc]"),
     "error filesystem_policy.read_only[0]: path contains '..' traversal component: '/usr/../etc'\n"},
    {"a parent directory at the end", FS("read_write: [/tmp/..]"),
     "error filesystem_policy.read_write[0]: path contains '..' traversal component: '/tmp/..'\n"},
    {"dots that are no component", FS("read_only: [/usr/..lib, /usr/lib..]"), ""},
    {"the root is not writable", FS("read_write: [/]"),
     "error filesystem_policy.read_write[0]: read-write path is overly broad: '/'\n"},
    {"slashes are the root", FS("read_write: [///]"),
     "error filesystem_policy.read_write[0]: read-write path is overly broad: '///'\n"},
    {"dots are the root", FS("read_write: [/./.]"),
     "error filesystem_policy.read_write[0]: read-write path is overly broad: '/./.'\n"},
    {"a path twice", FS("read_only: [/usr, /etc, /usr/./]"),
     "warning filesystem_policy.read_only[2]: path '/usr/./' is listed twice\n"},
    {"a path in both lists", FS("read_only: [/usr, /tmp], read_write: [//tmp/]"),
     "warning filesystem_policy.read_write[0]: path '//tmp/' is in read_only as well: it will be writable\n"},
    {"the first path in both lists", FS("read_only: [/tmp], read_write: [/tmp]"),
     "warning filesystem_policy.read_write[0]: path '/tmp' is in read_only as well: it will be writable\n"},
    {"a path is no pattern", FS("read_only: [\"/usr/*\"]"),
     "warning filesystem_policy.read_only[0]: filesystem paths are not patterns: '/usr/*' is taken "
     "literally\n"},
    // process
    {"the sandbox's identity", ID("sandbox"), ""},
    {"the least id", ID("\"1\""), ""},
    {"the greatest id", ID("\"4294967294\""), ""},
    {"no id 0", ID("\"0\""),
     "error process.run_as_user: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, "
     "4294967294], got '0'\n"},
    {"no id past the greatest", ID("\"4294967295\""),
     "error process.run_as_user: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, "
     "4294967294], got '4294967295'\n"},
    {"no id past 64 bits", ID("\"18446744073709551617\""),
     "error process.run_as_user: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, "
     "4294967294], got '18446744073709551617'\n"},
    {"no sign", ID("\"-1\""),
     "error process.run_as_user: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, "
     "4294967294], got '-1'\n"},
    {"no root", ID("root"),
     "error process.run_as_user: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, "
     "4294967294], got 'root'\n"},
    {"the group too", "version: 1\nprocess: {run_as_user: sandbox, run_as_group: wheel}\n",
     "error process.run_as_group: run_as_group must be 'sandbox' or a numeric UID/GID in range [1, "
     "4294967294], got 'wheel'\n"},
    // entries
    {"no endpoints", "version: 1\nnetwork_policies:\n  a: {binaries: [{path: /usr/bin/curl}]}\n",
     "warning network_policies.a.endpoints: no endpoints: this entry allows nothing\n"},
    {"no binaries", "version: 1\nnetwork_policies:\n  a: {endpoints: [{host: a.test, port: 443}]}\n",
     "warning network_policies.a.binaries: no binaries: this entry matches no program, so it allows "
     "nothing\n"},
    {"a name twice", NAMES("a: {name: x, ", "b: {name: x, "),
     "error network_policies.b.name: name 'x' is that of entry 'a' already\n"},
    {"a name that is a key", NAMES("a: {", "b: {name: a, "),
     "error network_policies.b.name: name 'a' is that of entry 'a' already\n"},
    {"a key that is a name", NAMES("a: {name: b, ", "b: {"),
     "error network_policies.b: name 'b' is that of entry 'a' already\n"},
    {"case counts in a key", NAMES("a: {", "A: {"), ""},
    {"provider entries share names", NAMES("a: {name: x, ", "_provider_b: {name: x, "), ""},
    // binaries
    {"an absolute path and a pattern", BIN("/usr/bin/curl", "\"/usr/local/bin/*\""), ""},
    {"a path is not empty", BIN("\"\"", "/x"),
     "error network_policies.a.binaries[0].path: a binary needs a path\n"},
    {"a binary has an absolute path", BIN("curl", "bin/git"),
     "error network_policies.a.binaries[0].path: binary 'curl' is not an absolute path and can never match\n"
     "error network_policies.a.binaries[1].path: binary 'bin/git' is not an absolute path and can never "
     "match\n"},
    {"a pattern may begin with stars", BIN("\"**/curl\"", "/x"), ""},
    {"one star cannot be the slash", BIN("\"*/curl\"", "/x"),
     "warning network_policies.a.binaries[0].path: binary '*/curl' can never match: the path of a program "
     "begins with '/'\n"},
    {"a pattern has closed brackets", BIN("\"/usr/[a*\"", "/x"),
     "error network_policies.a.binaries[0].path: pattern '/usr/[a*': '[' at offset 5 is not closed\n"},
    {"a bracket without a star is a bracket", BIN("\"/usr/[a\"", "\"/usr/b?n\""),
     "warning network_policies.a.binaries[0].path: binary '/usr/[a' is taken literally: only a '*' makes it "
     "a pattern\n"
     "warning network_policies.a.binaries[1].path: binary '/usr/b?n' is taken literally: only a '*' makes it "
     "a pattern\n"},
    {"a parent directory never matches", BIN("/usr/../bin/x", "\"/usr/./*\""),
     "warning network_policies.a.binaries[0].path: binary '/usr/../bin/x' can never match\n"
     "warning network_policies.a.binaries[1].path: binary '/usr/./*' can never match\n"},
    {"two slashes never match", BIN("/usr//bin/x", "/usr/bin/"),
     "warning network_policies.a.binaries[0].path: binary '/usr//bin/x' can never match\n"
     "warning network_policies.a.binaries[1].path: binary '/usr/bin/' can never match\n"},
    {"every program", BIN("\"/**\"", "\"**\""),
     "warning network_policies.a.binaries[0].path: binary '/**' matches every program\n"
     "warning network_policies.a.binaries[1].path: binary '**' matches every program\n"},
    {"every program, spelled out", BIN("\"/**/*\"", "/x"),
     "warning network_policies.a.binaries[0].path: binary '/**/*' matches every program\n"},
    {"a shell", BIN("/bin/bash", "/usr/bin/env"),
     "warning network_policies.a.binaries[0].path: binary '/bin/bash' runs other programs: allowing it "
     "allows everything it starts\n"
     "warning network_policies.a.binaries[1].path: binary '/usr/bin/env' runs other programs: allowing it "
     "allows everything it starts\n"},
    {"an interpreter is often the agent", BIN("/usr/bin/node", "/usr/bin/python3.12"), ""},
    {"no shell by its end", BIN("/usr/bin/publish", "/opt/bash/tool"), ""},
    {"case counts in a path", BIN("/usr/bin/curl", "/usr/bin/Curl"), ""},
    {"a binary twice", BIN("/usr/bin/curl", "/usr/bin/curl"),
     "warning network_policies.a.binaries[1].path: binary '/usr/bin/curl' is listed twice\n"},
};

static const struct row gateway_rows[] = {
    {"a gateway keeps _provider_ keys to itself", NAMES("_provider_a: {", "b: {"),
     "error network_policies._provider_a: keys that begin with '_provider_' are reserved for what the "
     "gateway "
     "derives from providers\n"},
    {"a key that only resembles them", NAMES("_provider: {", "x_provider_a: {"), ""},
    {"a client that never set the version means 1", "version: 0\n",
     "warning version: no version is given; it is read as version 1\n"},
    {"no version 2 there either", "version: 2\n",
     "error version: unknown policy version 2: only version 1 is known\n"},
};

static void check_path_count(size_t read_only, size_t read_write, const char *want)
{
    CLEANUP(buf_done) struct buf yaml = {};
    buf_init(&yaml, MIB);
    buf_add(&yaml, STR("version: 1\nfilesystem_policy: {read_only: ["));
    for (size_t i = 0; i < read_only; i++)
        buf_addf(&yaml, "/r%zu, ", i);
    buf_add(&yaml, STR("], read_write: ["));
    for (size_t i = 0; i < read_write; i++)
        buf_addf(&yaml, "/w%zu, ", i);
    buf_add(&yaml, STR("]}\n"));
    char rule[80];
    (void)snprintf(rule, sizeof(rule), "%zu and %zu filesystem paths", read_only, read_write);
    (void)rows_check(&(struct row){rule, yaml.p, want}, POLICY_USE_FILE);
}

static void check_path_length(const char *key, size_t n, const char *want)
{
    CLEANUP(buf_done) struct buf yaml = {};
    buf_init(&yaml, MIB);
    buf_addf(&yaml, "version: 1\n%s", key);
    buf_addc(&yaml, '/');
    buf_pad(&yaml, 'a', n - 1);
    buf_add(&yaml, strstr(key, "binaries") ? STR("}]}\n") : STR("]}\n"));
    char rule[80];
    (void)snprintf(rule, sizeof(rule), "a path of %zu bytes", n);
    (void)rows_check(&(struct row){rule, yaml.p, want}, POLICY_USE_FILE);
}

#define A10 "aaaaaaaaaa"
#define CUT "'/" A10 A10 A10 A10 A10 A10 A10 "aaaaaaaaa'\n" // 80 bytes of it

static void check_limits(void)
{
    check_path_count(256, 0, "");
    check_path_count(200, 56, "");
    check_path_count(200, 57, "error filesystem_policy: too many filesystem paths (257 > 256)\n");
    check_path_count(0, 257, "error filesystem_policy: too many filesystem paths (257 > 256)\n");
    check_path_length("filesystem_policy: {read_write: [", 4096, "");
    check_path_length(
        "filesystem_policy: {read_write: [", 4097,
        "error filesystem_policy.read_write[0]: path exceeds maximum length (4097 > 4096): " CUT);
    static const char
        binary[] = "network_policies:\n  a: {endpoints: [{host: a.test, port: 1}], binaries: [{path: ";
    check_path_length(binary, 4096, "");
    check_path_length(
        binary, 4097,
        "error network_policies.a.binaries[0].path: path exceeds maximum length (4097 > 4096): " CUT);
}

static void nul_in_path(struct policy *p)
{
    p->filesystem.read_only.v[0] = STR("/a\0b");
}

static void key_twice(struct policy *p)
{
    p->entries[1].key = p->entries[0].key;
}

// Whatever allocation fails, the answer is "no room" or the right one.
static void check_no_room(void)
{
    static const char yaml[] = ENTRY(
        "{host: \"*.a.test\", port: 443, protocol: rest, enforcement: enforce, rules: "
        "[{allow: {method: GET, path: \"/a/*\"}}]}, {host: x.a.test, ports: [2, 443], "
        "tls: skip, allowed_ips: [10.1.0.0/16]}") //
        "network_middlewares: {m: {middleware: x, endpoints: {include: [\"*.a.test\"], exclude: "
        "[b.test]}}}\n";
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, POLICY_ARENA_MAX);
    struct policy *p = NULL;
    struct diags d;
    struct err err;
    bool ok = policy_parse(str_of(yaml), &a, &p, &d, &err) == ERR_OK;
    bool done = !ok;
    for (size_t n = 1; !done && ok; n++) {
        CLEANUP(arena_done) struct arena own = {};
        arena_init(&own, POLICY_ARENA_MAX);
        diags_init(&d, &own);
        alloc_fail_at(n);
        policy_validate(p, POLICY_USE_FILE, &d);
        alloc_fail_off();
        done = alloc_fail_count() < n;
        ok = d.errors == 2 || d.no_room || (!done && d.errors > 0);
        if (!ok)
            tap_note("allocation %zu: %zu errors", n, d.errors);
    }
    (void)tap_ok(ok && done, "an allocation that fails never makes a policy valid");
}

int main(void)
{
    rows_run(rows, ARRAY_LEN(rows), POLICY_USE_FILE);
    rows_run(gateway_rows, ARRAY_LEN(gateway_rows), POLICY_USE_GATEWAY);
    (void)rows_check(&(struct row){"a file may use _provider_ keys", NAMES("_provider_a: {", "b: {"), ""},
                     POLICY_USE_FILE);
    check_limits();
    rows_edited("no NUL in a path", FS("read_only: [/a]"), POLICY_USE_GATEWAY, nul_in_path,
                "error filesystem_policy.read_only[0]: path has a NUL byte: '/a'\n");
    rows_edited("a key once", NAMES("a: {", "b: {"), POLICY_USE_GATEWAY, key_twice,
                "error network_policies.a: key 'a' is given twice\n");
    check_no_room();
    return tap_done();
}
