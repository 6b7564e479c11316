#include "gateway/profiles.h"

#include <stdlib.h>

#include "convert/yaml_message.h"
#include "gateway/embedded.h"

#define KIND "provider_profile"

enum {
    BUILTIN_MAX = 32,        // of embedded profiles; ours
    BUILTIN_ARENA = 4 * MIB, // ours
    ID_MAX = 64,             // bytes of a profile's id: a provider's type; reference: gateway 3.1
    ENV_NAME_MAX = 256,      // ditto
};

struct profiles {
    struct arena arena;
    const provider_profile *v[BUILTIN_MAX];
    size_t n;
};

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

// ---- what is built in

static enum err_code read_one(struct profiles *p, const struct embedded *file, struct err *reterr)
{
    struct diags d;
    const struct yaml_node *root = NULL;
    ProtobufCMessage *m = NULL;
    diags_init(&d, &p->arena);
    enum err_code r = yaml_parse(file->text, &p->arena, &d, &root, reterr);
    if (r == ERR_OK)
        r = message_from_yaml(root, &openshell__v1__provider_profile__descriptor, &p->arena, &d, &m, reterr);
    if (r == ERR_OK)
        profile_check((const provider_profile *)(const void *)m, &d);
    if (r == ERR_OK && d.errors > 0)
        r = err_set(reterr, ERR_INTERNAL, "profile %s: %.*s: %.*s", file->name, STR_FMT(d.v[0].path),
                    STR_FMT(d.v[0].msg));
    if (r != ERR_OK)
        return r;
    provider_profile *profile = (provider_profile *)(void *)m;
    profile->source = text("builtin");
    p->v[p->n++] = profile;
    return ERR_OK;
}

enum err_code profiles_new(struct profiles **ret, struct err *reterr)
{
    struct profiles *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(reterr, ERR_LIMIT, "no memory");
    arena_init(&p->arena, BUILTIN_ARENA);
    assert(embedded_profiles_n <= BUILTIN_MAX);
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < embedded_profiles_n; i++)
        r = read_one(p, &embedded_profiles[i], reterr);
    if (r != ERR_OK) {
        profiles_free(p);
        return r;
    }
    *ret = p;
    return ERR_OK;
}

void profiles_free(struct profiles *p)
{
    if (!p)
        return;
    arena_done(&p->arena);
    free(p);
}

// ---- what is stored

static enum err_code unpack(const struct store_object *row, struct arena *a, const provider_profile **ret,
                            struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code r = wire_unpack(&openshell__v1__stored_provider_profile__descriptor, row->payload, a, &m,
                                  reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, ERR_INTERNAL, "a stored provider profile");
    provider_profile *p = ((Openshell__V1__StoredProviderProfile *)(void *)m)->profile;
    if (!p)
        return err_set(reterr, ERR_INTERNAL, "a stored provider profile is damaged");
    p->resource_version = row->version;
    p->source = text("user");
    p->scope = text(row->workspace.n == 0 ? "platform" : "workspace");
    *ret = p;
    return ERR_OK;
}

static const provider_profile *builtin(const struct profiles *p, struct str id)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(str_of(p->v[i]->id), id))
            return p->v[i];
    return NULL;
}

enum err_code profile_find(const struct profiles *p, struct store *st, struct str workspace, struct str id,
                           struct arena *a, const provider_profile **ret, struct err *reterr)
{
    const struct str scopes[] = {workspace, STR("")};
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        struct store_object row = {};
        enum err_code r = store_get_named(st, STR(KIND), scopes[i], id, a, &row, reterr);
        if (r != ERR_NOT_FOUND)
            return r == ERR_OK ? unpack(&row, a, ret, reterr) : r;
    }
    const provider_profile *found = builtin(p, id);
    if (!found)
        return err_set(reterr, ERR_NOT_FOUND, "provider profile '%.*s' not found", STR_FMT(id));
    *ret = found;
    return ERR_OK;
}

static int by_id(const void *a, const void *b)
{
    const provider_profile *const *x = a, *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

enum err_code profile_list(const struct profiles *p, struct store *st, struct str workspace, struct arena *a,
                           const provider_profile ***ret, size_t *ret_n, struct err *reterr)
{
    const struct str scopes[] = {workspace, STR("")};
    const struct store_object *rows[2] = {};
    size_t n[2] = {}, all = 0;
    for (size_t i = 0; i < (workspace.n > 0 ? 2U : 1U); i++) {
        const struct store_query q = {.kind = STR(KIND), .workspace = scopes[i], .limit = STORE_PAGE_MAX};
        bool more = false;
        enum err_code r = store_list(st, &q, a, &rows[i], &n[i], &more, reterr);
        if (r != ERR_OK)
            return r;
    }
    const provider_profile **v = arena_newn(a, const provider_profile *, n[0] + n[1] + p->n);
    if (!v)
        return arena_limit(a, "a list of profiles", reterr);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < n[i]; k++) {
            enum err_code r = unpack(&rows[i][k], a, &v[all++], reterr);
            if (r != ERR_OK)
                return r;
        }
    for (size_t i = 0; i < p->n; i++)
        v[all++] = p->v[i];
    qsort(v, all, sizeof(v[0]), by_id); // NOLINT(bugprone-sizeof-expression): pointers are what is sorted
    *ret = v;
    *ret_n = all;
    return ERR_OK;
}

// ---- checks

static bool is_kebab(struct str id)
{
    bool ok = id.n > 0 && id.n <= ID_MAX && id.p[0] != '-' && id.p[id.n - 1] != '-';
    for (size_t i = 0; ok && i < id.n; i++)
        ok = (id.p[i] >= 'a' && id.p[i] <= 'z') || char_is_digit(id.p[i]) || id.p[i] == '-';
    return ok;
}

static bool is_variable(struct str s)
{
    bool ok = s.n > 0 && s.n <= ENV_NAME_MAX && !char_is_digit(s.p[0]);
    for (size_t i = 0; ok && i < s.n; i++)
        ok = char_is_alpha(s.p[i]) || char_is_digit(s.p[i]) || s.p[i] == '_';
    return ok;
}

static void check_credential(const Openshell__V1__ProviderProfileCredential *c, struct keypath *path,
                             struct diags *d)
{
    static const char *const styles[] = {"", "bearer", "header", "basic", "query", "path"};
    bool known = false;
    if (!c->name[0])
        diag_error(d, keypath_str(path), NULL, "a credential has a name");
    for (size_t i = 0; i < ARRAY_LEN(styles); i++)
        known = known || strcmp(c->auth_style, styles[i]) == 0;
    if (!known)
        diag_error(d, keypath_str(path), NULL, "auth_style is bearer, header, basic, query or path");
    if (strcmp(c->auth_style, "header") == 0 && !c->header_name[0])
        diag_error(d, keypath_str(path), NULL, "auth_style header needs header_name");
    if (strcmp(c->auth_style, "query") == 0 && !c->query_param[0])
        diag_error(d, keypath_str(path), NULL, "auth_style query needs query_param");
    if (strcmp(c->auth_style, "path") == 0 && !c->path_template[0])
        diag_error(d, keypath_str(path), NULL, "auth_style path needs path_template");
    for (size_t i = 0; i < c->n_env_vars; i++)
        if (!is_variable(str_of(c->env_vars[i])))
            diag_error(d, keypath_str(path), NULL, "'%.*s' is no name of a variable",
                       STR_FMT(str_of(c->env_vars[i])));
}

void profile_check(const provider_profile *p, struct diags *d)
{
    struct keypath path = {};
    if (!is_kebab(str_of(p->id)))
        diag_error(d, STR("id"), NULL, "an id has a-z, 0-9 and '-', at most %d", ID_MAX);
    for (size_t i = 0; i < p->n_credentials; i++) {
        size_t at = keypath_key(&path, STR("credentials"));
        (void)keypath_index(&path, i);
        check_credential(p->credentials[i], &path, d);
        for (size_t k = 0; k < i; k++)
            if (strcmp(p->credentials[k]->name, p->credentials[i]->name) == 0)
                diag_error(d, keypath_str(&path), NULL, "credential '%.*s' is there twice",
                           STR_FMT(str_of(p->credentials[i]->name)));
        keypath_cut(&path, at);
    }
    for (size_t i = 0; i < p->n_endpoints; i++) {
        const Openshell__Sandbox__V1__NetworkEndpoint *e = p->endpoints[i];
        size_t at = keypath_key(&path, STR("endpoints"));
        (void)keypath_index(&path, i);
        if (!e->host[0])
            diag_error(d, keypath_str(&path), NULL, "an endpoint has a host");
        if (e->port == 0 && e->n_ports == 0)
            diag_error(d, keypath_str(&path), NULL, "an endpoint has a port");
        keypath_cut(&path, at);
    }
    for (size_t i = 0; p->discovery && i < p->discovery->n_credentials; i++) {
        bool there = false;
        for (size_t k = 0; k < p->n_credentials; k++)
            there = there || strcmp(p->credentials[k]->name, p->discovery->credentials[i]) == 0;
        if (!there)
            diag_error(d, STR("discovery.credentials"), NULL, "there is no credential '%.*s'",
                       STR_FMT(str_of(p->discovery->credentials[i])));
    }
}

const Openshell__V1__ProviderProfileCredential *profile_credential(const provider_profile *p,
                                                                   struct str variable)
{
    for (size_t i = 0; i < p->n_credentials; i++)
        for (size_t k = 0; k < p->credentials[i]->n_env_vars; k++)
            if (str_eq(str_of(p->credentials[i]->env_vars[k]), variable))
                return p->credentials[i];
    return NULL;
}

static bool is_output(const provider_profile *p, const char *name)
{
    for (size_t i = 0; i < p->n_credentials; i++) {
        const Openshell__V1__ProviderCredentialRefresh *r = p->credentials[i]->refresh;
        for (size_t k = 0; r && k < r->n_additional_outputs; k++)
            if (strcmp(r->additional_outputs[k]->credential, name) == 0)
                return true;
    }
    return false;
}

bool profile_allows_empty(const provider_profile *p)
{
    for (size_t i = 0; i < p->n_credentials; i++) {
        const Openshell__V1__ProviderProfileCredential *c = p->credentials[i];
        if (c->required && !c->refresh && !c->token_grant && !is_output(p, c->name))
            return false;
    }
    return true;
}
