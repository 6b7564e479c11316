#include "gateway/conf.h"

#include "base/fd.h"
#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#define G "[openshell.gateway]\n"

static const struct {
    const char *text, *msg;
} bad[] = {
    {"x = 1", "line 1: unknown key 'x'"},
    {"[openshel]", "line 1: unknown key 'openshel'; did you mean 'openshell'?"},
    {"[openshell]\n\nverison = 1", "line 3: unknown key 'verison' in [openshell]; did you mean 'version'?"},
    {"[openshell]\nversion = 2", "line 2: version 2 is not known; this gateway knows 1"},
    {"[openshell]\nversion = \"1\"", "line 2: version is a string; it should be an integer"},
    {"openshell = 1", "line 1: openshell is an integer; it should be a table"},
    {G "bind_adress = \"x\"",
     "line 2: unknown key 'bind_adress' in [openshell.gateway]; did you mean 'bind_address'?"},
    {G "bind_address = 1", "line 2: bind_address is an integer; it should be a string"},
    {G "bind_address = \"\"", "line 2: bind_address is empty or has a NUL"},
    {G "bind_address = \"127.0.0.1\"", "line 2: bind_address: '127.0.0.1' has no port; write ADDRESS:PORT"},
    {G "bind_address = \"localhost:1\"", "line 2: bind_address: 'localhost' is no address: 'localhost' is "
                                         "not an IPv4 address: each part is a decimal number"},
    {G "bind_address = \"127.0.0.1:65536\"", "line 2: bind_address: '65536' is no port: 0 to 65535"},
    {G "bind_address = \"::1:80\"", "line 2: bind_address: '::1:80': an IPv6 address stands in brackets"},
    {G "log_level = \"loud\"", "line 2: log_level: 'loud' is none of error, warning, info, debug"},
    {G "disable_tls = \"true\"", "line 2: disable_tls is a string; it should be true or false"},
    {G "server_sans = \"a\"", "line 2: server_sans is a string; it should be an array of strings"},
    {G "server_sans = [\n\"a\",\n1]", "line 4: server_sans is an integer; it should be a string"},
    {G "grpc_rate_limit_requests = -1", "line 2: grpc_rate_limit_requests is from 0 to 4294967295"},
    {G "compute_drivers = []", "line 2: compute_drivers names exactly one driver"},
    {G "compute_drivers = [\"local\", \"local\"]", "line 2: compute_drivers names exactly one driver"},
    {G "compute_drivers = [\"warp\"]",
     "line 2: compute_drivers: driver 'warp' is not built; there is: local docker podman"},
    {"[openshell.drivers.warp]", "line 1: driver 'warp' is not built; there is: local docker podman"},
    {G "database_url = \"sqlite:x\"", "line 2: database_url does not belong into the file"},
    {G "default_image = \"x\"", "line 2: openshell.gateway.default_image is not built yet; leave it out"},
    {"[openshell.gateway.oidc]\nissuer = \"x\"",
     "line 1: openshell.gateway.oidc is not built yet; leave it out"},
    {"[[openshell.gateway.interceptors]]",
     "line 1: openshell.gateway.interceptors is not built yet; leave it out"},
    {"[[openshell.supervisor.middleware]]",
     "line 1: openshell.supervisor.middleware is not built yet; leave it out"},
    {"[openshell.supervisor]\nx = 1", "line 2: unknown key 'x' in [openshell.supervisor]"},
    {"[openshell.gateway.tls]\ncert = \"x\"", "line 2: unknown key 'cert' in [openshell.gateway.tls]"},
    {G "enable_loopback_service_http = true",
     "line 2: openshell.gateway.enable_loopback_service_http is not built yet; leave it out"},
    {G "policy_validation_failure_mode = \"retain_last_valid\"",
     "line 2: policy_validation_failure_mode 'retain_last_valid' is not built; there is: fail_closed"},
    {"[openshell\n", "line 1, column 11: ']' was expected"},
};

// Each by itself is fine, and the whole is not.
static const struct {
    const char *text, *msg;
} bad_whole[] = {
    {G "grpc_rate_limit_requests = 1",
     "a rate limit needs both grpc_rate_limit_requests and grpc_rate_limit_window_seconds"},
    {G "disable_tls = true\ntls.client_ca_path = \"x\"",
     "TLS is disabled, and certificates or mTLS are configured: one of the two"},
    {G "disable_tls = true\nmtls_auth.enabled = true",
     "TLS is disabled, and certificates or mTLS are configured: one of the two"},
    {G "mtls_auth.enabled = true", "mTLS needs a TCP listener: --bind-address, --port"},
    {G "tls = { cert_path = \"c\", key_path = \"k\" }\nmtls_auth.enabled = true",
     "client certificates need the CA that signed them: client_ca_path"},
    {G "tls = { cert_path = \"c\", key_path = \"k\", require_client_auth = true }",
     "client certificates need the CA that signed them: client_ca_path"},
    {G "tls.cert_path = \"c\"", "a certificate and its key are named together"},
    {G "tls = { cert_path = \"c\", key_path = \"k\", external_cert_path = \"e\", external_key_path = \"f\" }",
     "external_cert_path, external_key_path and external_server_names stand together"},
    {G "disable_tls = true\nhealth_bind_address = \"127.0.0.1:17670\"",
     "the ports of service, health and metrics must differ"},
    {G "bind_address = \"127.0.0.1:1\"", "TLS needs a certificate: 'openshell-gateway generate-certs' makes "
                                         "one, --tls-cert and --tls-key name one, "
                                         "--disable-tls does without"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct conf c;
        struct err err = {};
        conf_init(&c);
        enum err_code r = conf_parse(&c, str_of(bad[i].text), &err);
        if (!tap_ok(r != ERR_OK && strcmp(err.msg, bad[i].msg) == 0, "refuses %s", bad[i].msg))
            tap_note("%s", err.msg);
        conf_done(&c);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad_whole); i++) {
        struct conf c;
        struct err err = {};
        conf_init(&c);
        enum err_code r = conf_parse(&c, str_of(bad_whole[i].text), &err);
        if (r == ERR_OK)
            r = conf_finish(&c, &err);
        if (!tap_ok(r == ERR_INVALID && strcmp(err.msg, bad_whole[i].msg) == 0, "refuses %s",
                    bad_whole[i].msg))
            tap_note("%s", err.msg);
        conf_done(&c);
    }
}

static void test_whole(void)
{
    static const char
        text[] = "[openshell]\nversion = 1\n" G "bind_address = \"[::]:8080\"\n"
                 "health_bind_address = \"0.0.0.0:8081\"\nlog_level = \"warn\"\n"
                 "compute_drivers = [\"local\"]\nserver_sans = [\"a.test\", \"b.test\"]\n"
                 "grpc_rate_limit_requests = 10\ngrpc_rate_limit_window_seconds = 60\n"
                 "policy_validation_failure_mode = \"fail_closed\"\n"
                 "enable_loopback_service_http = false\n"
                 "[openshell.gateway.tls]\ncert_path = \"/c\"\nkey_path = \"/k\"\nclient_ca_path = \"/a\"\n"
                 "external_cert_path = \"/x\"\nexternal_key_path = \"/y\"\n"
                 "external_server_names = [\"gw.test\"]\n"
                 "[openshell.gateway.auth]\nallow_unauthenticated_users = true\n"
                 "[openshell.gateway.gateway_jwt]\ngateway_id = \"g1\"\nttl_secs = 3600\n"
                 "[openshell.drivers.local]\n";
    struct conf c;
    struct err err = {};
    conf_init(&c);
    bool ok = conf_parse(&c, str_of(text), &err) == ERR_OK && conf_finish(&c, &err) == ERR_OK;
    tap_ok(ok && strcmp(c.bind.ip, "::") == 0 && c.bind.port == 8080 && c.health.port == 8081 &&
               c.log_level == LOG_LEVEL_WARNING && strcmp(c.driver, "local") == 0 && c.server_sans.n == 2 &&
               str_eq(c.server_sans.v[1], STR("b.test")) && c.rate_requests == 10 && c.rate_seconds == 60 &&
               strcmp(c.key, "/k") == 0 && c.external_names.n == 1 && c.allow_unauthenticated &&
               strcmp(c.gateway_id, "g1") == 0 && c.token_ttl_s == 3600 && c.drivers && conf_has_tls(&c),
           "a whole file: %s", err.msg);
    tap_ok(c.mtls_auth == CONF_ON && c.client_auth == CONF_ON,
           "with a client CA, client certificates are asked for and are users");
    conf_done(&c);
    conf_init(&c);
    ok = conf_parse(&c, STR(""), &err) == ERR_OK && conf_finish(&c, &err) == ERR_OK;
    tap_ok(ok && !conf_has_tcp(&c) && !c.health.set && strcmp(c.gateway_id, "openshell") == 0,
           "an empty file is the defaults");
    conf_done(&c);
}

// Options count more than the file, one after the other.
static void test_options(void)
{
    static const struct {
        const char *name, *value, *msg; // NULL: fine
    } rows[] = {
        {"bind-address", "127.0.0.2", NULL},
        {"bind-address", "host",
         "'host' is no address: 'host' is not an IPv4 address: each part is a decimal number"},
        {"port", "1", NULL},
        {"port", "-1", "'-1' is no port: 0 to 65535"},
        {"health-port", "2", NULL},
        {"metrics-port", "0", NULL},
        {"log-level", "debug", NULL},
        {"disable-tls", "true", NULL},
        {"disable-tls", "yes", "'yes' is neither true nor false"},
        {"enable-mtls-auth", "false", NULL},
        {"server-san", "a, b,c", NULL},
        {"server-san", "a,,b", "a name of the list is empty"},
        {"drivers", "local", NULL},
        {"drivers", "warp", "driver 'warp' is not built; there is: local docker podman"},
        {"grpc-rate-limit-requests", "5", NULL},
        {"grpc-rate-limit-window-seconds", "x", "'x' is no number from 0 to 4294967295"},
        {"grpc-rate-limit-window-seconds", "7", NULL},
        {"socket", "anything", NULL},
    };
    struct conf c;
    struct err err = {};
    conf_init(&c);
    bool ok = conf_parse(&c, STR(G "bind_address = \"127.0.0.1:9\"\nmetrics_bind_address = \"127.0.0.1:10\""),
                         &err) == ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err_code r = conf_set(&c, str_of(rows[i].name), str_of(rows[i].value), &err);
        bool fine = rows[i].msg ? r == ERR_INVALID && strcmp(err.msg, rows[i].msg) == 0 : r == ERR_OK;
        if (!tap_ok(fine, "--%s %s", rows[i].name, rows[i].value))
            tap_note("%s", err.msg);
    }
    ok = ok && conf_finish(&c, &err) == ERR_OK;
    tap_ok(ok && strcmp(c.bind.ip, "127.0.0.2") == 0 && c.bind.port == 1 && c.health.port == 2 &&
               strcmp(c.health.ip, "127.0.0.2") == 0 && !c.metrics.set && c.log_level == LOG_LEVEL_DEBUG &&
               c.disable_tls == CONF_ON && c.mtls_auth == CONF_OFF && c.server_sans.n == 3 &&
               c.rate_requests == 5 && c.rate_seconds == 7,
           "options count more than the file: %s", err.msg);
    conf_done(&c);
}

static bool touch(const char *dir, const char *name)
{
    char path[256];
    struct err err = {};
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return file_write_atomic(path, STR("x"), 0600, &err) == ERR_OK;
}

// Certificates that generate-certs made are found, all or none.
static void test_local(const char *dir)
{
    char sub[256];
    struct conf c;
    struct err err = {};
    (void)snprintf(sub, sizeof(sub), "%s/server", dir);
    if (setenv("OPENSHELL_LOCAL_TLS_DIR", dir, 1) != 0 || mkdir(sub, 0700) != 0 || !touch(dir, "ca.crt") ||
        !touch(dir, "server/tls.crt"))
        abort();
    conf_init(&c);
    enum err_code r = conf_set(&c, STR("port"), STR("1"), &err);
    if (r == ERR_OK)
        r = conf_finish(&c, &err);
    tap_ok(r == ERR_INVALID && strstr(err.msg, "has only some of"), "some files are an error: %s", err.msg);
    conf_done(&c);
    if (!touch(dir, "server/tls.key"))
        abort();
    conf_init(&c);
    r = conf_set(&c, STR("port"), STR("1"), &err);
    if (r == ERR_OK)
        r = conf_finish(&c, &err);
    tap_ok(r == ERR_OK && strstr(c.key, "/server/tls.key") && c.mtls_auth == CONF_ON,
           "all of them are taken: %s", err.msg);
    conf_done(&c);
    static const char *const names[] = {"server/tls.crt", "server/tls.key", "ca.crt"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(sub, sizeof(sub), "%s/%s", dir, names[i]);
        (void)unlink(sub);
    }
    (void)snprintf(sub, sizeof(sub), "%s/server", dir);
    (void)rmdir(sub);
}

static void test_places(void)
{
    char place[CONF_PATH_SIZE];
    struct conf c;
    struct err err = {};
    if (setenv("HOME", "/h", 1) != 0 || setenv("XDG_CONFIG_HOME", "/c", 1) != 0)
        abort();
    tap_ok(conf_place(place) && strcmp(place, "/c/openshell/gateway.toml") == 0, "the file's place: %s",
           place);
    (void)unsetenv("XDG_CONFIG_HOME");
    tap_ok(conf_place(place) && strcmp(place, "/h/.config/openshell/gateway.toml") == 0, "else: %s", place);
    conf_init(&c);
    tap_ok(conf_read(&c, "/nonexistent", &err) == ERR_NOT_FOUND, "a file that is not there: %s", err.msg);
    conf_done(&c);
    if (setenv("OPENSHELL_OIDC_ISSUER", "x", 1) != 0)
        abort();
    tap_ok(conf_refuse_env(&err) == ERR_UNSUPPORTED, "a variable of what is not built: %s", err.msg);
    (void)unsetenv("OPENSHELL_OIDC_ISSUER");
    tap_ok(conf_refuse_env(&err) == ERR_OK, "and without");
}

int main(void)
{
    char dir[] = "/tmp/gateway-config-XXXXXX";
    if (!mkdtemp(dir) || setenv("OPENSHELL_LOCAL_TLS_DIR", "/nonexistent", 1) != 0)
        return 1;
    test_bad();
    test_whole();
    test_options();
    test_local(dir);
    test_places();
    (void)rmdir(dir);
    return tap_done();
}
