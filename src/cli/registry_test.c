#include "cli/registry.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

static char root[PATH_MAX];

static void put_file(const char *path, const char *bytes)
{
    char full[PATH_MAX];
    struct err err = {};
    (void)snprintf(full, sizeof(full), "%.2000s/%s", root, path);
    for (char *c = strchr(full + strlen(root) + 1, '/'); c; c = strchr(c + 1, '/')) {
        *c = '\0';
        (void)mkdir(full, 0700);
        *c = '/';
    }
    if (file_write_atomic(full, str_of(bytes), 0600, &err) != ERR_OK)
        tap_note("%s", err.msg);
}

static bool holds(const char *path, const char *want)
{
    char full[PATH_MAX];
    struct err err = {};
    CLEANUP(buf_done) struct buf b = {};
    (void)snprintf(full, sizeof(full), "%.2000s/%s", root, path);
    if (file_read(full, 64 * KIB, &b, &err) != ERR_OK)
        return !want;
    bool ok = want && str_eq(buf_str(&b), str_of(want));
    if (!ok)
        tap_note("%s holds: %.*s", path, STR_FMT(buf_str(&b)));
    return ok;
}

#define META                                                                                                 \
    "{\"name\": \"x\", \"gateway_endpoint\": \"http://127.0.0.1:1\", \"is_remote\": false, "                 \
    "\"gateway_port\": 0"

static const struct {
    const char *text, *want, *rule;
} bad[] = {
    {META "}", "", "the least that is needed"},
    {META ", \"oidc_issuer\": \"https://i\", \"later\": [1]}", "", "what other clients write is let be"},
    {META ", \"auth_mode\": null}", "", "null is absent"},
    {"{\"name\": \"x\", \"is_remote\": false, \"gateway_port\": 0}", "needed", "an endpoint is needed"},
    {"{\"name\": \"x\", \"gateway_endpoint\": \"u\", \"is_remote\": 0, \"gateway_port\": 0}", "needed",
     "is_remote is a truth value"},
    {META ", \"auth_mode\": 1}", "needed", "a text is a text"},
    {META ", \"name\": \"y\"}", "duplicate", "a member that stands there twice"},
    {"[]", "needed", "a list is no metadata"},
    {"{", "line 1", "what is cut is no JSON"},
};

static void test_metadata(const struct registry *r)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct registered g = {};
        struct err err = {};
        put_file("cfg/openshell/gateways/one/metadata.json", bad[i].text);
        enum err_code c = registry_find(r, "one", &g, &err);
        tap_ok(bad[i].want[0] ? c == ERR_INVALID && strstr(err.msg, bad[i].want) : c == ERR_OK,
               "metadata: %s", bad[i].rule);
    }
    struct registered g = {};
    struct err err = {};
    put_file("sys/gateways/one/metadata.json", META "}");
    tap_ok(registry_find(r, "one", &g, &err) == ERR_INVALID,
           "a damaged entry of the user hides the system's");
}

static void test_names(const struct registry *r)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/etc"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct registered g = {};
        struct err err = {};
        tap_ok(registry_find(r, names[i], &g, &err) == ERR_INVALID, "'%s' is no name", names[i]);
    }
    struct registered g = {};
    struct err err = {};
    tap_ok(registry_find(r, "none", &g, &err) == ERR_NOT_FOUND &&
               strcmp(err.msg, "Unknown gateway 'none'") == 0,
           "one that is not there");
}

static void test_add(const struct registry *r)
{
    struct registered g = {.name = "gw", .endpoint = "https://h:1", .auth = "mtls", .is_remote = true};
    struct registered back = {};
    struct err err = {};
    char name[REGISTRY_NAME_SIZE] = "";
    tap_ok(!registry_active(r, name), "none is active at first");
    tap_ok(
        registry_add(r, &g, &err) == ERR_OK &&
            holds(
                "cfg/openshell/gateways/gw/metadata.json",
                "{\n  \"name\": \"gw\",\n  \"gateway_endpoint\": \"https://h:1\",\n  \"is_remote\": true,\n  "
                "\"gateway_port\": 0,\n  \"auth_mode\": \"mtls\"\n}\n"),
        "metadata has its keys in order, without those that are absent");
    tap_ok(registry_find(r, "gw", &back, &err) == ERR_OK && strcmp(back.endpoint, g.endpoint) == 0 &&
               strcmp(back.auth, "mtls") == 0 && back.is_remote && !back.is_system,
           "and comes back");
    put_file("sys/gateways/gw/metadata.json", META "}");
    put_file("sys/gateways/sys/metadata.json", META "}");
    put_file("sys/active_gateway", " sys\n");
    tap_ok(registry_active(r, name) && strcmp(name, "sys") == 0, "the system's active one counts");
    tap_ok(registry_select(r, "gw", &err) == ERR_OK && holds("cfg/openshell/active_gateway", "gw") &&
               registry_active(r, name) && strcmp(name, "gw") == 0,
           "behind the user's");
    struct arena a;
    struct registered *all = NULL;
    size_t n = 0;
    arena_init(&a, MIB);
    tap_ok(registry_list(r, &a, &all, &n, &err) == ERR_OK && n == 2 && strcmp(all[0].name, "gw") == 0 &&
               !all[0].is_system && strcmp(all[1].name, "sys") == 0 && all[1].is_system,
           "a list by name; the user's hides the system's; what is damaged is left out");
    arena_done(&a);
    put_file("cfg/openshell/gateways/gw/mtls/tls.key", "secret");
    put_file("cfg/openshell/gateways/gw/oidc_token.json", "{}");
    tap_ok(registry_remove(r, "gw", &err) == ERR_OK &&
               holds("cfg/openshell/gateways/gw/metadata.json", NULL) &&
               holds("cfg/openshell/gateways/gw/oidc_token.json", NULL) &&
               holds("cfg/openshell/active_gateway", NULL) &&
               holds("cfg/openshell/gateways/gw/mtls/tls.key", "secret"),
           "removing takes metadata, tokens and the choice, and leaves certificates");
    put_file("cfg/openshell/active_gateway", "../x\n");
    tap_ok(registry_active(r, name) && strcmp(name, "sys") == 0, "what is no name does not count");
}

static void test_last(const struct registry *r)
{
    char name[REGISTRY_SANDBOX_SIZE] = "";
    struct err err = {};
    tap_ok(!registry_last(r, "gw", "default", name), "none was used at first");
    tap_ok(registry_set_last(r, "gw", "default", "dev", &err) == ERR_OK &&
               holds("cfg/openshell/gateways/gw/last_sandbox", "default\ndev\n") &&
               registry_last(r, "gw", "default", name) && strcmp(name, "dev") == 0,
           "workspace and name, a line each");
    tap_ok(!registry_last(r, "gw", "team", name), "it counts in its workspace alone");
    registry_clear_last(r, "gw", "default", "other");
    tap_ok(registry_last(r, "gw", "default", name), "another one's end does not forget it");
    registry_clear_last(r, "gw", "default", "dev");
    tap_ok(!registry_last(r, "gw", "default", name), "its own does");
    put_file("cfg/openshell/gateways/gw/last_sandbox", "dev\n");
    tap_ok(!registry_last(r, "gw", "dev", name), "a file of one line is of an old version");
    tap_ok(registry_set_last(r, "http://127.0.0.1:1/../..", "default", "dev", &err) == ERR_OK &&
               holds("cfg/openshell/gateways/http___127.0.0.1_1_.._../last_sandbox", "default\ndev\n"),
           "a gateway's address becomes one folder");
}

int main(void)
{
    struct registry r;
    char dir[] = "/tmp/registry_test.XXXXXX", path[PATH_MAX];
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(root, sizeof(root), "%s", dir);
    (void)snprintf(path, sizeof(path), "%s/cfg", dir);
    (void)setenv("XDG_CONFIG_HOME", path, 1);
    (void)snprintf(path, sizeof(path), "%s/sys", dir);
    (void)setenv("OPENSHELL_SYSTEM_GATEWAY_DIR", path, 1);
    registry_init(&r);
    test_names(&r);
    test_add(&r);
    test_last(&r);
    test_metadata(&r);
    (void)unsetenv("XDG_CONFIG_HOME");
    (void)setenv("HOME", dir, 1);
    (void)setenv("OPENSHELL_SYSTEM_GATEWAY_DIR", "relative", 1);
    registry_init(&r);
    tap_ok(strstr(r.user, "/.config/openshell") && strcmp(r.system, "/etc/openshell") == 0,
           "without the variables: below HOME, and /etc");
    (void)unsetenv("HOME");
    registry_init(&r);
    struct err err = {};
    tap_ok(registry_select(&r, "x", &err) == ERR_NOT_FOUND && strstr(err.msg, "HOME"),
           "without a home nothing can be kept");
    int status = tap_done();
    char rm[] = "rm", all[] = "-rf", *const argv[] = {rm, all, dir, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        (void)execv("/bin/rm", argv);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
    return status;
}
