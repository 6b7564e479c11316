#include "gateway/conf_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_MAX = 16 * MIB };

void conf_init(struct conf *c)
{
    *c = (struct conf){.log_level = LOG_LEVEL_INFO,
                       .cert = "",
                       .key = "",
                       .client_ca = "",
                       .external_cert = "",
                       .external_key = "",
                       .gateway_id = "openshell",
                       .driver = ""};
    arena_init(&c->arena, ARENA_MAX);
}

void conf_done(struct conf *c)
{
    arena_done(&c->arena);
}

static bool is_absolute(const char *dir)
{
    return dir && dir[0] == '/';
}

// $VARIABLE/name, else $HOME/below/name.
static bool home_place(const char *variable, const char *below, const char *name,
                       char dst[static CONF_PATH_SIZE])
{
    const char *dir = getenv(variable), *home = getenv("HOME");
    int n = -1;
    if (is_absolute(dir))
        n = snprintf(dst, CONF_PATH_SIZE, "%s/%s", dir, name);
    else if (is_absolute(home))
        n = snprintf(dst, CONF_PATH_SIZE, "%s/%s/%s", home, below, name);
    return n > 0 && n < CONF_PATH_SIZE;
}

bool conf_place(char dst[static CONF_PATH_SIZE])
{
    return home_place("XDG_CONFIG_HOME", ".config", "openshell/gateway.toml", dst);
}

bool conf_tls_place(char dst[static CONF_PATH_SIZE])
{
    const char *given = getenv("OPENSHELL_LOCAL_TLS_DIR");
    if (given && given[0])
        return str_cstr(str_of(given), dst, CONF_PATH_SIZE);
    return home_place("XDG_STATE_HOME", ".local/state", "openshell/tls", dst);
}

bool conf_client_place(char dst[static CONF_PATH_SIZE])
{
    return home_place("XDG_CONFIG_HOME", ".config", "openshell/gateways/openshell/mtls", dst);
}

// ---- values that the file and options share

enum err_code conf_level(struct conf *c, struct str word, struct err *reterr)
{
    if (str_eq(word, STR("warn")))
        word = STR("warning");
    return log_level_parse(word, &c->log_level)
               ? ERR_OK
               : err_set(reterr, ERR_INVALID, "'%.*s' is none of error, warning, info, debug", STR_FMT(word));
}

bool conf_is_driver(struct str name)
{
    struct str rest = STR(CONF_DRIVERS), word;
    while (str_split(&rest, ' ', &word))
        if (str_eq(word, name))
            return true;
    return false;
}

enum err_code conf_driver(struct conf *c, struct str name, struct err *reterr)
{
    struct str copy = {};
    if (!conf_is_driver(name))
        return err_set(reterr, ERR_INVALID, "driver '%.*s' is not built; there is: %s", STR_FMT(name),
                       CONF_DRIVERS);
    if (!arena_dup(&c->arena, name, &copy))
        return arena_limit(&c->arena, "the configuration", reterr);
    c->driver = copy.p;
    return ERR_OK;
}

static enum err_code set_ip(struct conf_addr *addr, struct str text, struct err *reterr)
{
    struct ip ip;
    struct err why = {};
    if (ip_parse(text, &ip, &why) != ERR_OK)
        return err_set(reterr, ERR_INVALID, "'%.*s' is no address: %s", STR_FMT(text), why.msg);
    (void)ip_format(&ip, addr->ip);
    return ERR_OK;
}

static enum err_code set_port(struct conf_addr *addr, struct str text, struct err *reterr)
{
    uint64_t port = 0;
    if (!str_u64(text, UINT16_MAX, &port))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no port: 0 to 65535", STR_FMT(text));
    addr->port = (uint16_t)port;
    return ERR_OK;
}

// "127.0.0.1:17670", "[::1]:17670".
enum err_code conf_addr_parse(struct str text, struct conf_addr *ret, struct err *reterr)
{
    struct conf_addr addr = {.set = true};
    struct str host = text;
    while (host.n > 0 && host.p[host.n - 1] != ':')
        host.n--;
    if (host.n == 0)
        return err_set(reterr, ERR_INVALID, "'%.*s' has no port; write ADDRESS:PORT", STR_FMT(text));
    struct str port = str_from(text, host.n);
    host.n--;
    bool v6 = str_starts(host, STR("[")) && str_ends(host, STR("]"));
    if (!v6 && str_has(host, ':'))
        return err_set(reterr, ERR_INVALID, "'%.*s': an IPv6 address stands in brackets", STR_FMT(text));
    if (v6)
        host = (struct str){host.p + 1, host.n - 2};
    enum err_code c = set_ip(&addr, host, reterr);
    if (c == ERR_OK)
        c = set_port(&addr, port, reterr);
    if (c == ERR_OK)
        *ret = addr;
    return c;
}

// ---- options

static enum err_code to_string(struct conf *c, const char **ret, struct str value, struct err *reterr)
{
    struct str copy = {};
    if (!arena_dup(&c->arena, value, &copy))
        return arena_limit(&c->arena, "the configuration", reterr);
    *ret = copy.p;
    return ERR_OK;
}

static enum err_code to_switch(enum conf_switch *ret, struct str value, struct err *reterr)
{
    bool on = str_eq(value, STR("true")) || str_eq(value, STR("1"));
    if (!on && !str_eq(value, STR("false")) && !str_eq(value, STR("0")))
        return err_set(reterr, ERR_INVALID, "'%.*s' is neither true nor false", STR_FMT(value));
    *ret = on ? CONF_ON : CONF_OFF;
    return ERR_OK;
}

static enum err_code to_u32(uint32_t *ret, bool *ret_set, struct str value, struct err *reterr)
{
    uint64_t v = 0;
    if (!str_u64(value, UINT32_MAX, &v))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no number from 0 to %u", STR_FMT(value), UINT32_MAX);
    *ret = (uint32_t)v;
    *ret_set = true;
    return ERR_OK;
}

static enum err_code to_list(struct conf *c, struct conf_list *ret, struct str value, struct err *reterr)
{
    struct str rest = {};
    struct conf_list list = {};
    if (!arena_dup(&c->arena, value, &rest))
        return arena_limit(&c->arena, "the configuration", reterr);
    for (struct str word; str_split(&rest, ',', &word);) {
        word = str_trim(word);
        if (word.n == 0)
            return err_set(reterr, ERR_INVALID, "a name of the list is empty");
        if (list.n == CONF_LIST_MAX)
            return err_set(reterr, ERR_INVALID, "the list has more than %d names", CONF_LIST_MAX);
        list.v[list.n++] = word;
    }
    *ret = list;
    return ERR_OK;
}

static void default_bind(struct conf_addr *addr, const char *ip)
{
    if (addr->set)
        return;
    *addr = (struct conf_addr){.set = true, .port = CONF_PORT};
    (void)snprintf(addr->ip, sizeof(addr->ip), "%s", ip);
}

// Only the port; the address is that of the service, as in the reference. 0: none.
static enum err_code side_port(struct conf *c, struct conf_addr *addr, struct str value, struct err *reterr)
{
    struct conf_addr a = {.set = true};
    enum err_code r = set_port(&a, value, reterr);
    if (r != ERR_OK)
        return r;
    a.set = a.port != 0;
    (void)snprintf(a.ip, sizeof(a.ip), "%s", c->bind.set ? c->bind.ip : "127.0.0.1");
    *addr = a;
    return ERR_OK;
}

enum err_code conf_set(struct conf *c, struct str name, struct str value, struct err *reterr)
{
    if (str_eq(name, STR("bind-address")) || str_eq(name, STR("port")))
        default_bind(&c->bind, "127.0.0.1");
    if (str_eq(name, STR("bind-address")))
        return set_ip(&c->bind, value, reterr);
    if (str_eq(name, STR("port")))
        return set_port(&c->bind, value, reterr);
    if (str_eq(name, STR("health-port")))
        return side_port(c, &c->health, value, reterr);
    if (str_eq(name, STR("metrics-port")))
        return side_port(c, &c->metrics, value, reterr);
    if (str_eq(name, STR("log-level")))
        return conf_level(c, value, reterr);
    if (str_eq(name, STR("tls-cert")))
        return to_string(c, &c->cert, value, reterr);
    if (str_eq(name, STR("tls-key")))
        return to_string(c, &c->key, value, reterr);
    if (str_eq(name, STR("tls-client-ca")))
        return to_string(c, &c->client_ca, value, reterr);
    if (str_eq(name, STR("disable-tls")))
        return to_switch(&c->disable_tls, value, reterr);
    if (str_eq(name, STR("enable-mtls-auth")))
        return to_switch(&c->mtls_auth, value, reterr);
    if (str_eq(name, STR("server-san")))
        return to_list(c, &c->server_sans, value, reterr);
    if (str_eq(name, STR("drivers")))
        return conf_driver(c, value, reterr);
    if (str_eq(name, STR("grpc-rate-limit-requests")))
        return to_u32(&c->rate_requests, &c->rate_requests_set, value, reterr);
    if (str_eq(name, STR("grpc-rate-limit-window-seconds")))
        return to_u32(&c->rate_seconds, &c->rate_seconds_set, value, reterr);
    return ERR_OK; // not of the configuration
}

enum err_code conf_refuse_env(struct err *reterr)
{
    static const char *const names[] = {"OPENSHELL_OIDC_ISSUER", "OPENSHELL_DB_URL",
                                        "OPENSHELL_COMPUTE_DRIVER_SOCKET"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *v = getenv(names[i]);
        if (v && v[0])
            return err_set(reterr, ERR_UNSUPPORTED, "what %s asks for is not built yet; unset it", names[i]);
    }
    return ERR_OK;
}

// ---- the whole

bool conf_has_tcp(const struct conf *c)
{
    return c->bind.set || c->cert[0] || c->key[0] || c->client_ca[0] || c->external_cert[0] ||
           c->disable_tls == CONF_ON;
}

// The files of the local folder: all of them, or none.
static enum err_code local_files(struct conf *c, struct err *reterr)
{
    static const char *const names[] = {"server/tls.crt", "server/tls.key", "ca.crt"};
    size_t there = 0;
    if (!conf_tls_place(c->local_pki))
        c->local_pki[0] = '\0';
    for (size_t i = 0; c->local_pki[0] && i < ARRAY_LEN(names); i++) {
        struct stat st;
        int n = snprintf(c->paths[i], sizeof(c->paths[i]), "%s/%s", c->local_pki, names[i]);
        there += n > 0 && n < CONF_PATH_SIZE && stat(c->paths[i], &st) == 0;
    }
    if (there > 0 && there < ARRAY_LEN(names))
        return err_set(
            reterr, ERR_INVALID,
            "%s has only some of server/tls.crt, server/tls.key, ca.crt; remove it, or name the files",
            c->local_pki);
    if (there == 0)
        return err_set(
            reterr, ERR_INVALID,
            "TLS needs a certificate: 'openshell-gateway generate-certs' makes one, --tls-cert and "
            "--tls-key name one, --disable-tls does without");
    c->cert = c->paths[0];
    c->key = c->paths[1];
    c->client_ca = c->paths[2];
    return ERR_OK;
}

static enum err_code finish_tls(struct conf *c, struct err *reterr)
{
    bool any = c->cert[0] || c->key[0] || c->client_ca[0];
    if (c->disable_tls == CONF_ON)
        return any || c->external_cert[0] || c->mtls_auth == CONF_ON
                   ? err_set(reterr, ERR_INVALID,
                             "TLS is disabled, and certificates or mTLS are configured: one of the two")
                   : ERR_OK;
    enum err_code r = any ? ERR_OK : local_files(c, reterr);
    if (r != ERR_OK)
        return r;
    if (!c->cert[0] || !c->key[0])
        return err_set(reterr, ERR_INVALID, "a certificate and its key are named together");
    if (!c->external_cert[0] != !c->external_key[0] || !c->external_cert[0] != (c->external_names.n == 0))
        return err_set(reterr, ERR_INVALID,
                       "external_cert_path, external_key_path and external_server_names stand together");
    if (c->client_ca[0])
        return ERR_OK;
    if (c->mtls_auth == CONF_ON || c->client_auth == CONF_ON)
        return err_set(reterr, ERR_INVALID,
                       "client certificates need the CA that signed them: client_ca_path");
    return ERR_OK;
}

static bool same_port(const struct conf_addr *a, const struct conf_addr *b)
{
    return a->set && b->set && a->port != 0 && a->port == b->port;
}

enum err_code conf_finish(struct conf *c, struct err *reterr)
{
    if (c->rate_requests_set != c->rate_seconds_set)
        return err_set(reterr, ERR_INVALID,
                       "a rate limit needs both grpc_rate_limit_requests and grpc_rate_limit_window_seconds");
    if (c->rate_requests == 0 || c->rate_seconds == 0)
        c->rate_requests = c->rate_seconds = 0;
    if (!conf_has_tcp(c))
        return c->mtls_auth == CONF_ON || c->client_auth == CONF_ON
                   ? err_set(reterr, ERR_INVALID, "mTLS needs a TCP listener: --bind-address, --port")
                   : ERR_OK;
    default_bind(&c->bind, "127.0.0.1");
    if (same_port(&c->bind, &c->health) || same_port(&c->bind, &c->metrics) ||
        same_port(&c->health, &c->metrics))
        return err_set(reterr, ERR_INVALID, "the ports of service, health and metrics must differ");
    enum err_code r = finish_tls(c, reterr);
    if (r == ERR_OK && c->mtls_auth == CONF_UNSET)
        c->mtls_auth = c->client_ca[0] ? CONF_ON : CONF_OFF;
    if (r == ERR_OK && c->client_auth == CONF_UNSET)
        c->client_auth = c->client_ca[0] ? CONF_ON : CONF_OFF;
    return r;
}
