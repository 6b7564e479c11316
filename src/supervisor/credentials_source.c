// Where a set of credentials comes from: a message of the gateway, or a file. Both become the same list.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/credentials_given.h"

enum { LIST_ARENA_MAX = 4 * MIB };

// ---- the message
// -----------------------------------------------------------------------------------------------

typedef Openshell__V1__GetSandboxProviderEnvironmentResponse message;

static void wipe(message *m)
{
    for (size_t i = 0; i < m->n_environment; i++) {
        char *value = m->environment[i]->value;
        secret_wipe(value, strlen(value));
    }
}

static bool is_literal(const message *m, struct str key)
{
    for (size_t i = 0; i < m->n_non_secret_environment_keys; i++)
        if (str_eq(str_of(m->non_secret_environment_keys[i]), key))
            return true;
    return false;
}

static const Openshell__V1__StaticCredentialBinding *binding_of(const message *m, struct str key)
{
    for (size_t i = 0; i < m->n_static_credential_bindings; i++)
        if (str_eq(str_of(m->static_credential_bindings[i]->key), key))
            return m->static_credential_bindings[i]->value;
    return NULL;
}

static enum err_code bound(const Openshell__V1__StaticCredentialBinding *b, struct arena *a,
                           struct credential_given *g, struct err *e)
{
    struct credential_endpoint *v = arena_newn(a, struct credential_endpoint, b->n_endpoints);
    if (!v)
        return arena_limit(a, "the credentials", e);
    for (size_t i = 0; i < b->n_endpoints; i++)
        v[i] = (struct credential_endpoint){.host = str_of(b->endpoints[i]->host),
                                            .path = str_of(b->endpoints[i]->path),
                                            .port = b->endpoints[i]->port};
    g->bound = true;
    g->identity = str_of(b->credential_identity);
    g->handle = str_of(b->workload_credential_handle);
    g->endpoints = v;
    g->endpoints_n = b->n_endpoints;
    return ERR_OK;
}

static enum err_code from_message(struct credentials *c, const message *m, struct err *e)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LIST_ARENA_MAX);
    struct credential_given *v = arena_newn(&a, struct credential_given, m->n_environment);
    if (!v)
        return arena_limit(&a, "the credentials", e);
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < m->n_environment; i++) {
        struct credential_given *g = &v[i];
        g->key = str_of(m->environment[i]->key);
        g->value = str_of(m->environment[i]->value);
        for (size_t k = 0; k < m->n_credential_expires_at_ms; k++)
            if (str_eq(str_of(m->credential_expires_at_ms[k]->key), g->key))
                g->expires_at_ms = m->credential_expires_at_ms[k]->value;
        const Openshell__V1__StaticCredentialBinding *b = binding_of(m, g->key);
        if (b)
            r = bound(b, &a, g, e);
        else
            g->literal = is_literal(m, g->key);
    }
    return r == ERR_OK ? credentials_put(c, m->provider_env_revision, v, m->n_environment, e) : r;
}

enum err_code credentials_set(struct credentials *c, message *m, struct err *e)
{
    enum err_code r = from_message(c, m, e);
    wipe(m);
    if (r != ERR_OK)
        credentials_revoke(c);
    return r;
}

// ---- the file
// --------------------------------------------------------------------------------------------------

static void wiping_free(void *p)
{
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    free(p);
}

static enum err_code open_file(const char *path, int *ret, struct err *e)
{
    struct stat st;
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, e);
    if (r != ERR_OK)
        return r;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_PRECONDITION, "%s: not a file", path);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 0077) != 0)
        return err_set(e, ERR_DENIED,
                       "%s: others may read it or change it; make it yours alone: chmod 600 %s", path, path);
    *ret = fd_take(&fd);
    return ERR_OK;
}

// True where every member of `o` is one of `known`.
static bool only(json_t *o, const char *const *known, size_t n, const char *where, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(key, known[i]) != 0)
            i++;
        if (i == n) {
            err_fill(e, ERR_INVALID, "%s: unknown member '%.80s'", where, key);
            return false;
        }
    }
    return true;
}

static struct str string_of(json_t *v)
{
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : (struct str){};
}

static bool form_of(json_t *v, enum placeholder_form *ret)
{
    static const struct {
        struct str name;
        enum placeholder_form form;
    } forms[] = {{STR_INIT("canonical"), PLACEHOLDER_PLAIN},
                 {STR_INIT("alias"), PLACEHOLDER_ALIAS},
                 {STR_INIT("shaped"), PLACEHOLDER_SHAPED}};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (!v || str_eq(string_of(v), forms[i].name)) {
            *ret = forms[i].form;
            return true;
        }
    return false;
}

static enum err_code endpoints(json_t *list, const char *where, struct arena *a, struct credential_given *g,
                               struct err *e)
{
    static const char *const known[] = {"host", "port", "path"};
    size_t n = json_array_size(list);
    struct credential_endpoint *v = arena_newn(a, struct credential_endpoint, n);
    if (!v)
        return arena_limit(a, "the credentials", e);
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_array_get(list, i), *port = json_object_get(o, "port"),
               *path = json_object_get(o, "path");
        if (!json_is_object(o) || !json_is_string(json_object_get(o, "host")) || !json_is_integer(port) ||
            json_integer_value(port) < 0 || (path && !json_is_string(path)))
            return err_set(e, ERR_INVALID, "%s: endpoint %zu is not {\"host\", \"port\", \"path\"}", where,
                           i);
        if (!only(o, known, ARRAY_LEN(known), where, e))
            return ERR_INVALID;
        v[i] = (struct credential_endpoint){.host = string_of(json_object_get(o, "host")),
                                            .path = string_of(path),
                                            .port = (uint64_t)json_integer_value(port)};
    }
    g->endpoints = v;
    g->endpoints_n = n;
    return ERR_OK;
}

static enum err_code credential(const char *key, json_t *o, struct arena *a, struct credential_given *g,
                                struct err *e)
{
    static const char *const known[] = {"value", "endpoints", "identity", "handle", "expires_at_ms", "form"};
    char where[128];
    (void)snprintf(where, sizeof(where), "credentials.%.80s", key);
    json_t *identity = json_object_get(o, "identity"), *handle = json_object_get(o, "handle"),
           *expires = json_object_get(o, "expires_at_ms");
    if (!json_is_object(o) || !json_is_string(json_object_get(o, "value")) ||
        !json_is_array(json_object_get(o, "endpoints")))
        return err_set(e, ERR_INVALID, "%s: it needs a \"value\" and \"endpoints\"", where);
    if (!only(o, known, ARRAY_LEN(known), where, e))
        return ERR_INVALID;
    if ((identity && !json_is_string(identity)) || (handle && !json_is_string(handle)) ||
        (expires && !json_is_integer(expires)) || !form_of(json_object_get(o, "form"), &g->form))
        return err_set(e, ERR_INVALID, "%s: a member of the wrong type, or an unknown form", where);
    g->key = str_of(key);
    g->value = string_of(json_object_get(o, "value"));
    g->bound = true;
    g->identity = identity ? string_of(identity) : g->key;
    g->handle = string_of(handle);
    g->expires_at_ms = expires ? json_integer_value(expires) : 0;
    return endpoints(json_object_get(o, "endpoints"), where, a, g, e);
}

static enum err_code from_json(struct credentials *c, json_t *root, struct err *e)
{
    static const char *const known[] = {"revision", "environment", "credentials"};
    json_t *revision = json_object_get(root, "revision"), *env = json_object_get(root, "environment"),
           *all = json_object_get(root, "credentials");
    if (json_is_object(root) && !only(root, known, ARRAY_LEN(known), "the file", e))
        return ERR_INVALID;
    if (!json_is_object(root) || (env && !json_is_object(env)) || (all && !json_is_object(all)) ||
        (revision && (!json_is_integer(revision) || json_integer_value(revision) < 0)))
        return err_set(e, ERR_INVALID, "not an object of \"revision\", \"environment\" and \"credentials\"");
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, LIST_ARENA_MAX);
    size_t n = 0;
    struct credential_given *v = arena_newn(&a, struct credential_given,
                                            json_object_size(env) + json_object_size(all));
    if (!v)
        return arena_limit(&a, "the credentials", e);
    const char *key;
    json_t *value;
    json_object_foreach(env, key, value)
    {
        if (!json_is_string(value))
            return err_set(e, ERR_INVALID, "environment.%.80s: not a string", key);
        v[n++] = (struct credential_given){.key = str_of(key), .value = string_of(value), .literal = true};
    }
    json_object_foreach(all, key, value)
    {
        enum err_code r = credential(key, value, &a, &v[n++], e);
        if (r != ERR_OK)
            return r;
    }
    return credentials_put(c, revision ? (uint64_t)json_integer_value(revision) : 0, v, n, e);
}

static enum err_code from_file(struct credentials *c, const char *path, struct err *e)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(secret_done) struct secret text = {};
    enum err_code r = open_file(path, &fd, e);
    if (r == ERR_OK)
        r = secret_read(fd, CREDENTIALS_FILE_MAX, &text, e);
    if (r != ERR_OK)
        return r;
    struct str bytes = secret_expose(&text);
    json_error_t why;
    json_set_alloc_funcs(malloc, wiping_free);
    json_t *root = json_loadb(bytes.p, bytes.n, JSON_REJECT_DUPLICATES, &why);
    if (!root) // without why.text: it may show a part of a value
        return err_set(e, ERR_INVALID, "%s: not JSON, line %d, column %d", path, why.line, why.column);
    r = from_json(c, root, e);
    json_decref(root);
    return r == ERR_OK ? r : err_wrap(e, r, "%s", path);
}

enum err_code credentials_set_file(struct credentials *c, const char *path, struct err *e)
{
    enum err_code r = from_file(c, path, e);
    if (r != ERR_OK)
        credentials_revoke(c);
    return r;
}
