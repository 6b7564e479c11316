// The file: every key of the interface is in one table, with what it is here.
#include "base/fd.h"
#include "gateway/conf_internal.h"
#include "policy/diag.h"

enum kind {
    TABLE,
    STRING,
    STRINGS,
    ADDR, // "ip:port"
    BOOL,
    SWITCH,
    U32,
    LEVEL,
    VERSION,
    DRIVER,
    DRIVERS,
    FAILURE_MODE,
    SERVICE_HTTP,
    UNBUILT,
    DATABASE_URL,
};

struct row {
    const char *table, *key;
    enum kind kind;
    size_t at, set_at; // into struct conf; set_at 0: nothing to set
};

#define AT(field) offsetof(struct conf, field)
#define GATEWAY   "openshell.gateway"

static const struct row rows[] = {
    {"", "openshell", TABLE, 0, 0},
    {"openshell", "version", VERSION, 0, 0},
    {"openshell", "gateway", TABLE, 0, 0},
    {"openshell", "supervisor", TABLE, 0, 0},
    {"openshell", "drivers", DRIVERS, 0, 0},
    {"openshell", "credential_drivers", UNBUILT, 0, 0},
    {"openshell.supervisor", "middleware", UNBUILT, 0, 0},
    {GATEWAY, "bind_address", ADDR, AT(bind), 0},
    {GATEWAY, "health_bind_address", ADDR, AT(health), 0},
    {GATEWAY, "metrics_bind_address", ADDR, AT(metrics), 0},
    {GATEWAY, "log_level", LEVEL, 0, 0},
    {GATEWAY, "compute_drivers", DRIVER, 0, 0},
    {GATEWAY, "disable_tls", SWITCH, AT(disable_tls), 0},
    {GATEWAY, "server_sans", STRINGS, AT(server_sans), 0},
    {GATEWAY, "grpc_rate_limit_requests", U32, AT(rate_requests), AT(rate_requests_set)},
    {GATEWAY, "grpc_rate_limit_window_seconds", U32, AT(rate_seconds), AT(rate_seconds_set)},
    {GATEWAY, "policy_validation_failure_mode", FAILURE_MODE, 0, 0},
    {GATEWAY, "enable_loopback_service_http", SERVICE_HTTP, 0, 0},
    {GATEWAY, "tls", TABLE, 0, 0},
    {GATEWAY, "auth", TABLE, 0, 0},
    {GATEWAY, "mtls_auth", TABLE, 0, 0},
    {GATEWAY, "gateway_jwt", TABLE, 0, 0},
    {GATEWAY ".tls", "cert_path", STRING, AT(cert), 0},
    {GATEWAY ".tls", "key_path", STRING, AT(key), 0},
    {GATEWAY ".tls", "client_ca_path", STRING, AT(client_ca), 0},
    {GATEWAY ".tls", "require_client_auth", SWITCH, AT(client_auth), 0},
    {GATEWAY ".tls", "external_cert_path", STRING, AT(external_cert), 0},
    {GATEWAY ".tls", "external_key_path", STRING, AT(external_key), 0},
    {GATEWAY ".tls", "external_server_names", STRINGS, AT(external_names), 0},
    {GATEWAY ".auth", "allow_unauthenticated_users", BOOL, AT(allow_unauthenticated), 0},
    {GATEWAY ".mtls_auth", "enabled", SWITCH, AT(mtls_auth), 0},
    {GATEWAY ".gateway_jwt", "gateway_id", STRING, AT(gateway_id), 0},
    {GATEWAY ".gateway_jwt", "ttl_secs", U32, AT(token_ttl_s), 0},
    {GATEWAY ".gateway_jwt", "signing_key_path", UNBUILT, 0, 0},
    {GATEWAY ".gateway_jwt", "public_key_path", UNBUILT, 0, 0},
    {GATEWAY ".gateway_jwt", "kid_path", UNBUILT, 0, 0},
    {GATEWAY, "database_url", DATABASE_URL, 0, 0},
    {GATEWAY, "credential_drivers", UNBUILT, 0, 0},
    {GATEWAY, "default_credential_driver", UNBUILT, 0, 0},
    {GATEWAY, "sandbox_namespace", UNBUILT, 0, 0},
    {GATEWAY, "ssh_session_ttl_secs", UNBUILT, 0, 0},
    {GATEWAY, "default_image", UNBUILT, 0, 0},
    {GATEWAY, "supervisor_image", UNBUILT, 0, 0},
    {GATEWAY, "client_tls_secret_name", UNBUILT, 0, 0},
    {GATEWAY, "service_account_name", UNBUILT, 0, 0},
    {GATEWAY, "host_gateway_ip", UNBUILT, 0, 0},
    {GATEWAY, "enable_user_namespaces", UNBUILT, 0, 0},
    {GATEWAY, "sa_token_ttl_secs", UNBUILT, 0, 0},
    {GATEWAY, "guest_tls_ca", UNBUILT, 0, 0},
    {GATEWAY, "guest_tls_cert", UNBUILT, 0, 0},
    {GATEWAY, "guest_tls_key", UNBUILT, 0, 0},
    {GATEWAY, "provider_profile_sources", UNBUILT, 0, 0},
    {GATEWAY, "oidc", UNBUILT, 0, 0},
    {GATEWAY, "otlp", UNBUILT, 0, 0},
    {GATEWAY, "credential_storage", UNBUILT, 0, 0},
    {GATEWAY, "interceptors", UNBUILT, 0, 0},
};

struct reading {
    struct conf *config;
    const struct toml *t;
    const struct row *row;
};

static enum err_code wrong(const struct reading *r, const char *what, struct err *reterr)
{
    return err_set(reterr, ERR_INVALID, "line %u: %s is %s; it should be %s", r->t->line, r->row->key,
                   toml_type_name(r->t->type), what);
}

// Named values that are refused keep their own words.
static enum err_code at_line(const struct reading *r, enum err_code c, struct err *reterr)
{
    return c == ERR_OK ? c : err_wrap(reterr, c, "line %u: %s", r->t->line, r->row->key);
}

static void *place(const struct reading *r)
{
    return (char *)r->config + r->row->at;
}

// ---- values

static enum err_code read_string(const struct reading *r, struct str *ret, struct err *reterr)
{
    if (r->t->type != TOML_STRING)
        return wrong(r, "a string", reterr);
    if (r->t->text.n == 0 || memchr(r->t->text.p, '\0', r->t->text.n))
        return err_set(reterr, ERR_INVALID, "line %u: %s is empty or has a NUL", r->t->line, r->row->key);
    *ret = r->t->text;
    return ERR_OK;
}

static enum err_code set_string(const struct reading *r, struct err *reterr)
{
    struct str s = {}, copy = {};
    enum err_code c = read_string(r, &s, reterr);
    if (c != ERR_OK)
        return c;
    if (!arena_dup(&r->config->arena, s, &copy))
        return arena_limit(&r->config->arena, "the configuration", reterr);
    memcpy(place(r), &copy.p, sizeof(copy.p));
    return ERR_OK;
}

static enum err_code set_strings(const struct reading *r, struct err *reterr)
{
    struct conf_list *list = place(r);
    if (r->t->type != TOML_ARRAY)
        return wrong(r, "an array of strings", reterr);
    list->n = 0;
    for (const struct toml *i = r->t->first; i; i = i->next) {
        const struct reading one = {.config = r->config, .t = i, .row = r->row};
        struct str s = {};
        enum err_code c = read_string(&one, &s, reterr);
        if (c != ERR_OK)
            return c;
        if (list->n == CONF_LIST_MAX)
            return err_set(reterr, ERR_INVALID, "line %u: %s has more than %d strings", i->line, r->row->key,
                           CONF_LIST_MAX);
        list->v[list->n++] = s;
    }
    return ERR_OK;
}

static enum err_code set_addr(const struct reading *r, struct err *reterr)
{
    struct str s = {};
    enum err_code c = read_string(r, &s, reterr);
    return c == ERR_OK ? at_line(r, conf_addr_parse(s, place(r), reterr), reterr) : c;
}

static enum err_code set_u32(const struct reading *r, struct err *reterr)
{
    if (r->t->type != TOML_INT)
        return wrong(r, "an integer", reterr);
    if (r->t->number < 0 || r->t->number > UINT32_MAX)
        return err_set(reterr, ERR_INVALID, "line %u: %s is from 0 to %u", r->t->line, r->row->key,
                       UINT32_MAX);
    uint32_t v = (uint32_t)r->t->number;
    memcpy(place(r), &v, sizeof(v));
    if (r->row->set_at)
        *(bool *)((char *)r->config + r->row->set_at) = true;
    return ERR_OK;
}

static enum err_code set_bool(const struct reading *r, struct err *reterr)
{
    if (r->t->type != TOML_BOOL)
        return wrong(r, "true or false", reterr);
    if (r->row->kind == BOOL)
        *(bool *)place(r) = r->t->yes;
    else
        *(enum conf_switch *)place(r) = r->t->yes ? CONF_ON : CONF_OFF;
    return ERR_OK;
}

static enum err_code set_version(const struct reading *r, struct err *reterr)
{
    if (r->t->type != TOML_INT)
        return wrong(r, "an integer", reterr);
    return r->t->number == 1 || r->t->number == 0
               ? ERR_OK
               : err_set(reterr, ERR_INVALID, "line %u: version %lld is not known; this gateway knows 1",
                         r->t->line, (long long)r->t->number);
}

static enum err_code set_driver(const struct reading *r, struct err *reterr)
{
    if (r->t->type != TOML_ARRAY)
        return wrong(r, "an array with the name of one driver", reterr);
    if (!r->t->first || r->t->first->next)
        return err_set(reterr, ERR_INVALID, "line %u: compute_drivers names exactly one driver", r->t->line);
    const struct reading one = {.config = r->config, .t = r->t->first, .row = r->row};
    struct str s = {};
    enum err_code c = read_string(&one, &s, reterr);
    return c == ERR_OK ? at_line(&one, conf_driver(r->config, s, reterr), reterr) : c;
}

// Their keys are each driver's own business; a driver that is not there has none.
static enum err_code set_drivers(const struct reading *r, struct err *reterr)
{
    if (r->t->type != TOML_TABLE)
        return wrong(r, "a table", reterr);
    for (const struct toml *d = r->t->first; d; d = d->next) {
        if (!conf_is_driver(d->key))
            return err_set(reterr, ERR_INVALID, "line %u: driver '%.*s' is not built; there is: %s", d->line,
                           STR_FMT(d->key), CONF_DRIVERS);
        if (d->type != TOML_TABLE)
            return err_set(reterr, ERR_INVALID, "line %u: drivers.%.*s is no table", d->line,
                           STR_FMT(d->key));
    }
    r->config->drivers = r->t;
    return ERR_OK;
}

// Words of which one is built.
static enum err_code set_word(const struct reading *r, const char *built, struct err *reterr)
{
    struct str s = {};
    enum err_code c = read_string(r, &s, reterr);
    if (c != ERR_OK || str_eq(s, str_of(built)))
        return c;
    return err_set(reterr, ERR_INVALID, "line %u: %s '%.*s' is not built; there is: %s", r->t->line,
                   r->row->key, STR_FMT(s), built);
}

static enum err_code set_level(const struct reading *r, struct err *reterr)
{
    struct str s = {};
    enum err_code c = read_string(r, &s, reterr);
    return c == ERR_OK ? at_line(r, conf_level(r->config, s, reterr), reterr) : c;
}

static enum err_code unbuilt(const struct reading *r, struct err *reterr)
{
    return err_set(reterr, ERR_UNSUPPORTED, "line %u: %s.%s is not built yet; leave it out", r->t->line,
                   r->row->table, r->row->key);
}

static enum err_code set_value(const struct reading *r, struct err *reterr)
{
    switch (r->row->kind) {
    case STRING:
        return set_string(r, reterr);
    case STRINGS:
        return set_strings(r, reterr);
    case ADDR:
        return set_addr(r, reterr);
    case BOOL:
    case SWITCH:
        return set_bool(r, reterr);
    case U32:
        return set_u32(r, reterr);
    case LEVEL:
        return set_level(r, reterr);
    case VERSION:
        return set_version(r, reterr);
    case DRIVER:
        return set_driver(r, reterr);
    case DRIVERS:
        return set_drivers(r, reterr);
    case FAILURE_MODE:
        return set_word(r, "fail_closed", reterr);
    case SERVICE_HTTP: // there is no such service, so that only its absence can be had
        if (r->t->type != TOML_BOOL)
            return wrong(r, "true or false", reterr);
        return r->t->yes ? unbuilt(r, reterr) : ERR_OK;
    case DATABASE_URL:
        return err_set(reterr, ERR_INVALID, "line %u: database_url does not belong into the file",
                       r->t->line);
    case UNBUILT:
    case TABLE:
    default:
        return unbuilt(r, reterr);
    }
}

// ---- tables

static enum err_code unknown(const struct toml *t, const char *table, struct err *reterr)
{
    struct str names[ARRAY_LEN(rows)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].table, table) == 0)
            names[n++] = str_of(rows[i].key);
    struct str near = diag_suggest(t->key, names, n);
    return err_set(reterr, ERR_INVALID, "line %u: unknown key '%.*s'%s%s%s%s%.*s%s", t->line, STR_FMT(t->key),
                   table[0] ? " in [" : "", table, table[0] ? "]" : "", near.n > 0 ? "; did you mean '" : "",
                   STR_FMT(near), near.n > 0 ? "'?" : "");
}

// [openshell], [openshell.gateway] and those below it: as deep as there are rows for tables.
static enum err_code read_table(struct conf *c, const struct toml *table, const char *path,
                                struct err *reterr)
{
    for (const struct toml *t = table->first; t; t = t->next) {
        const struct row *row = NULL;
        for (size_t i = 0; i < ARRAY_LEN(rows) && !row; i++)
            if (strcmp(rows[i].table, path) == 0 && str_eq(str_of(rows[i].key), t->key))
                row = &rows[i];
        if (!row)
            return unknown(t, path, reterr);
        const struct reading r = {.config = c, .t = t, .row = row};
        enum err_code code = ERR_OK;
        char below[80];
        (void)snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? "." : "", row->key);
        if (row->kind == TABLE && t->type != TOML_TABLE)
            code = wrong(&r, "a table", reterr);
        else
            code = row->kind == TABLE ? read_table(c, t, below, reterr) : set_value(&r, reterr);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

enum err_code conf_parse(struct conf *c, struct str text, struct err *reterr)
{
    struct toml *root = NULL;
    struct str copy = {};
    if (text.n > TOML_TEXT_MAX || !arena_dup(&c->arena, text, &copy)) // the tree lives in it
        return err_set(reterr, ERR_LIMIT, "the configuration has %zu bytes, %d at most", text.n,
                       TOML_TEXT_MAX);
    enum err_code r = toml_parse(copy, &c->arena, &root, reterr);
    return r == ERR_OK ? read_table(c, root, "", reterr) : r;
}

enum err_code conf_read(struct conf *c, const char *path, struct err *reterr)
{
    CLEANUP(buf_done) struct buf text = {};
    enum err_code r = file_read(path, TOML_TEXT_MAX, &text, reterr);
    if (r != ERR_OK)
        return r;
    r = conf_parse(c, buf_str(&text), reterr);
    return r == ERR_OK ? r : err_wrap(reterr, r, "%s", path);
}
