#include "supervisor/route.h"

static const struct {
    const char *name;
    enum route_protocol bit;
} protocols[] = {
    {"openai_chat_completions", ROUTE_CHAT}, {"openai_completions", ROUTE_COMPLETIONS},
    {"openai_responses", ROUTE_RESPONSES},   {"openai_embeddings", ROUTE_EMBEDDINGS},
    {"anthropic_messages", ROUTE_MESSAGES},  {"model_discovery", ROUTE_MODELS},
    {"aws_bedrock_invoke", ROUTE_BEDROCK},
};

// Reference 5.3. The last is for types that nobody knows.
static const struct route_profile profiles[] = {
    {.type = STR_INIT("openai"), .passthrough = {STR_INIT("openai-organization"), STR_INIT("x-model-id")}},
    {.type = STR_INIT("anthropic"),
     .auth = ROUTE_API_KEY,
     .passthrough = {STR_INIT("anthropic-version"), STR_INIT("anthropic-beta")},
     .given = {STR_INIT("anthropic-version"), STR_INIT("2023-06-01")}},
    {.type = STR_INIT("nvidia"), .passthrough = {STR_INIT("x-model-id")}},
    {.type = STR_INIT("deepinfra"), .passthrough = {STR_INIT("x-model-id")}},
    {.type = STR_INIT("google-vertex-ai"), .drops_beta = true},
    {.type = STR_INIT("vertex"), .drops_beta = true},
    {.type = STR_INIT("vertex-ai"), .drops_beta = true},
    {.type = STR_INIT("google-vertex"), .drops_beta = true},
    {.type = STR_INIT("gcp-vertex"), .drops_beta = true},
    {.type = STR_INIT("aws-bedrock"), .auth = ROUTE_NO_AUTH},
    {.type = STR_INIT("")},
};

static const struct route_pattern patterns[] = {
    {STR_INIT("POST"), STR_INIT("/v1/chat/completions"), ROUTE_CHAT, "chat_completion", true},
    {STR_INIT("POST"), STR_INIT("/v1/completions"), ROUTE_COMPLETIONS, "completion", true},
    {STR_INIT("POST"), STR_INIT("/v1/responses"), ROUTE_RESPONSES, "responses", true},
    {STR_INIT("POST"), STR_INIT("/v1/embeddings"), ROUTE_EMBEDDINGS, "embeddings", false},
    {STR_INIT("POST"), STR_INIT("/v1/messages"), ROUTE_MESSAGES, "messages", true},
    {STR_INIT("GET"), STR_INIT("/v1/models"), ROUTE_MODELS, "models_list", false},
    {STR_INIT("GET"), STR_INIT("/v1/models/*"), ROUTE_MODELS, "models_get", false},
    {STR_INIT("POST"), STR_INIT("/model/*/invoke"), ROUTE_BEDROCK, "messages", false},
};

const char *route_protocol_name(enum route_protocol p)
{
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (protocols[i].bit == p)
            return protocols[i].name;
    return "unknown";
}

// A star is one segment, not an empty one; at the end it is one or more (model names have slashes).
static bool path_is(struct str path, struct str pattern)
{
    ptrdiff_t star = str_find(pattern, '*');
    if (star < 0)
        return str_eq(path, pattern);
    struct str head = str_head(pattern, (size_t)star), tail = str_from(pattern, (size_t)star + 1);
    if (!str_starts(path, head) || !str_ends(path, tail) || path.n <= head.n + tail.n)
        return false;
    struct str middle = {path.p + head.n, path.n - head.n - tail.n};
    return tail.n == 0 || !str_has(middle, '/');
}

const struct route_pattern *route_pattern(struct str method, struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        if (str_eq(method, patterns[i].method) && path_is(path, patterns[i].path))
            return &patterns[i];
    return NULL;
}

// ---- reading
// ------------------------------------------------------------------------------------------------

static const struct route_profile *profile_of(struct str type)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(profiles) && !str_eq_ci(type, profiles[i].type))
        i++;
    return &profiles[i];
}

// The path is sent as it stands, so it holds nothing that a request line does not.
static bool is_base_path(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '#' || s.p[i] == '?')
            return false;
    return true;
}

static enum err_code url(struct str text, struct route *ret, struct err *e)
{
    struct str rest = text;
    ret->tls = str_skip(&rest, STR("https://"));
    if (!ret->tls && !str_skip(&rest, STR("http://")))
        return err_set(e, ERR_INVALID, "'%.*s' is no http:// or https:// URL", STR_FMT(text));
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/')
        n++;
    ret->base_path = str_from(rest, n);
    while (ret->base_path.n > 0 && ret->base_path.p[ret->base_path.n - 1] == '/')
        ret->base_path.n--;
    if (!is_base_path(ret->base_path))
        return err_set(e, ERR_INVALID, "'%.*s': a path with a query, a fragment or other bytes that none has",
                       STR_FMT(text));
    enum err_code r = target_parse(str_head(rest, n), ret->tls ? 443 : 80, &ret->target, e);
    return r == ERR_OK ? r : err_wrap(e, r, "'%.*s'", STR_FMT(text));
}

static enum err_code protocols_of(const Openshell__Inference__V1__ResolvedRoute *m, uint32_t *ret,
                                  struct err *e)
{
    *ret = 0;
    for (size_t i = 0; i < m->n_protocols; i++) {
        struct str name = str_trim(str_of(m->protocols[i]));
        size_t k = 0;
        while (k < ARRAY_LEN(protocols) && !str_eq_ci(name, str_of(protocols[k].name)))
            k++;
        if (k == ARRAY_LEN(protocols))
            return err_set(e, ERR_INVALID, "unknown protocol '%.*s'", STR_FMT(name));
        *ret |= protocols[k].bit;
    }
    return *ret != 0 ? ERR_OK : err_set(e, ERR_INVALID, "no protocol");
}

enum err_code route_parse(const Openshell__Inference__V1__ResolvedRoute *m, struct route *ret, struct err *e)
{
    struct route r = {.m = m, .name = str_of(m->name), .model = str_of(m->model_id)};
    r.profile = profile_of(str_of(m->provider_type));
    enum err_code code = url(str_of(m->base_url), &r, e);
    if (code == ERR_OK)
        code = protocols_of(m, &r.protocols, e);
    if (code == ERR_OK && (r.name.n == 0 || r.name.n > ROUTE_NAME_MAX))
        code = err_set(e, ERR_INVALID, "a name of 1 to %d bytes", ROUTE_NAME_MAX);
    if (code == ERR_OK && r.model.n == 0 && r.protocols != ROUTE_MODELS)
        code = err_set(e, ERR_INVALID, "no model");
    if (code == ERR_OK && m->timeout_secs > ROUTE_TIMEOUT_MAX_SECS)
        code = err_set(e, ERR_INVALID, "a timeout of more than a day");
    if (code != ERR_OK)
        return err_wrap(e, code, "inference route '%.*s'", STR_FMT(r.name));
    r.timeout_ms = (int64_t)m->timeout_secs * 1000;
    *ret = r;
    return ERR_OK;
}
