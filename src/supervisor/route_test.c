#include "supervisor/egress/inference.h"

#include "tap.h"

typedef Openshell__Inference__V1__ResolvedRoute message;

static char *own(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void route_init(message *m, const char *url, char **protocol)
{
    openshell__inference__v1__resolved_route__init(m);
    m->name = own("r");
    m->model_id = own("m-1");
    m->base_url = own(url);
    m->n_protocols = 1;
    m->protocols = protocol;
}

static const struct {
    const char *url, *protocol, *host, *path, *error, *rule;
    uint16_t port;
    bool tls;
} urls[] = {
    {"https://api.openai.com/v1", "openai_chat_completions", "api.openai.com", "/v1", NULL, "https", 443,
     true},
    {"http://10.1.2.3:8000", "openai_chat_completions", "10.1.2.3", "", NULL, "http, an address, a port",
     8000, false},
    {"https://API.example.com/", " Anthropic_Messages ", "api.example.com", "", NULL, "case and blanks", 443,
     true},
    {"https://[2001:db8::1]:8443/x/v1//", "model_discovery", "2001:db8::1", "/x/v1", NULL,
     "IPv6, slashes at the end", 8443, true},
    {"ftp://a.test", "openai_responses", "", "", "'ftp://a.test' is no http:// or https:// URL",
     "another scheme", 0, false},
    {"https://", "openai_responses", "", "", "'https://': host '': ", "no host", 0, false},
    {"https://u:p@a.test", "openai_responses", "", "", "'https://u:p@a.test': ", "user and password", 0,
     false},
    {"https://a.test/x?y", "openai_responses", "", "", "a path with a query", "a query", 0, false},
    {"https://a.test/x y", "openai_responses", "", "", "a path with a query", "a blank", 0, false},
    {"https://a.test", "openai", "", "", "unknown protocol 'openai'", "an unknown protocol", 0, false},
};

static void url(size_t i)
{
    message m;
    char *protocol[] = {own(urls[i].protocol)};
    struct route r;
    struct err e = {};
    route_init(&m, urls[i].url, protocol);
    enum err_code code = route_parse(&m, &r, &e);
    bool ok = urls[i].error ? code == ERR_INVALID && strstr(e.msg, urls[i].error)
                            : code == ERR_OK && str_eq(target_host(&r.target), str_of(urls[i].host)) &&
                                  r.target.port == urls[i].port && r.tls == urls[i].tls &&
                                  str_eq(r.base_path, str_of(urls[i].path));
    if (!tap_ok(ok, "url: %s", urls[i].rule))
        tap_note("%d %s", code, e.msg);
}

static const struct {
    const char *method, *path;
    enum route_protocol protocol; // 0: none
} patterns[] = {
    {"POST", "/v1/chat/completions", ROUTE_CHAT},
    {"POST", "/v1/completions", ROUTE_COMPLETIONS},
    {"POST", "/v1/responses", ROUTE_RESPONSES},
    {"POST", "/v1/embeddings", ROUTE_EMBEDDINGS},
    {"POST", "/v1/messages", ROUTE_MESSAGES},
    {"GET", "/v1/models", ROUTE_MODELS},
    {"GET", "/v1/models/a/b", ROUTE_MODELS},
    {"POST", "/model/anthropic.claude/invoke", ROUTE_BEDROCK},
    {"GET", "/v1/chat/completions", 0},
    {"POST", "/v1/chat/completions/x", 0},
    {"POST", "/v1/chat/completions/", 0},
    {"GET", "/v1/models/", 0},
    {"POST", "/model//invoke", 0},
    {"POST", "/model/a/b/invoke", 0},
    {"POST", "/model/a/invoke/x", 0},
    {"post", "/v1/messages", 0},
    {"POST", "/v1/messages/count_tokens", 0},
    {"DELETE", "/v1/models/x", 0},
};

static void pattern(size_t i)
{
    const struct route_pattern *p = route_pattern(str_of(patterns[i].method), str_of(patterns[i].path));
    tap_ok(patterns[i].protocol ? p && p->protocol == patterns[i].protocol : !p, "pattern: %s %s is %s",
           patterns[i].method, patterns[i].path, p ? route_protocol_name(p->protocol) : "none");
}

static const struct {
    const char *url, *type, *method, *path, *override, *want;
    bool stream;
} paths[] = {
    {"https://a.test/v1", "openai", "POST", "/v1/chat/completions", NULL, "/v1/chat/completions", false},
    {"https://a.test", "openai", "POST", "/v1/chat/completions", NULL, "/v1/chat/completions", false},
    {"https://a.test/v1/openai", "deepinfra", "POST", "/v1/chat/completions", NULL,
     "/v1/openai/chat/completions", false},
    {"https://a.test/v12", "openai", "POST", "/v1/embeddings", NULL, "/v12/v1/embeddings", false},
    {"https://a.test", "aws-bedrock", "POST", "/model/x/invoke", NULL, "/model/m%2F1%3A0/invoke", false},
    {"https://a.test/p/m", "vertex", "POST", "/v1/messages", ":rawPredict", "/p/m:rawPredict", false},
    {"https://a.test/p/m", "vertex", "POST", "/v1/messages", ":rawPredict", "/p/m:streamRawPredict", true},
    {"https://a.test/v1", "openai", "GET", "/v1/models/x", NULL, "/v1/models/x", false},
};

static void path(size_t i)
{
    CLEANUP(buf_done) struct buf out;
    message m;
    char *protocol[] = {own("openai_chat_completions")};
    struct route r;
    struct err e = {};
    buf_init(&out, KIB);
    route_init(&m, paths[i].url, protocol);
    m.provider_type = own(paths[i].type);
    m.model_id = own("m/1:0");
    if (paths[i].override) {
        m._request_path_override_case =
            OPENSHELL__INFERENCE__V1__RESOLVED_ROUTE___REQUEST_PATH_OVERRIDE_REQUEST_PATH_OVERRIDE;
        m.request_path_override = own(paths[i].override);
    }
    const struct route_pattern *p = route_pattern(str_of(paths[i].method), str_of(paths[i].path));
    bool ok = p && route_parse(&m, &r, &e) == ERR_OK &&
              route_path(&r, p, str_of(paths[i].path), paths[i].stream, &out, &e) == ERR_OK;
    if (!tap_ok(ok && str_eq(buf_str(&out), str_of(paths[i].want)), "path: %s", paths[i].want))
        tap_note("%s %.*s", e.msg, STR_FMT(buf_str(&out)));
}

static const struct {
    const char *type, *header;
    bool passes;
} headers[] = {
    {"openai", "Content-Type", true},
    {"openai", "accept", true},
    {"openai", "User-Agent", true},
    {"openai", "OpenAI-Organization", true},
    {"openai", "authorization", false},
    {"openai", "x-api-key", false},
    {"openai", "cookie", false},
    {"openai", "anthropic-version", false},
    {"openai", "accept-encoding", false},
    {"anthropic", "anthropic-beta", true},
    {"anthropic", "x-model-id", false},
    {"google-vertex-ai", "anthropic-beta", false},
    {"somebody-else", "x-model-id", false},
    {"nvidia", "x-model-id", true},
};

static void header(size_t i)
{
    message m;
    char *protocol[] = {own("openai_chat_completions")};
    struct route r;
    struct err e = {};
    route_init(&m, "https://a.test", protocol);
    m.provider_type = own(headers[i].type);
    bool ok = route_parse(&m, &r, &e) == ERR_OK;
    tap_ok(ok && route_passes(&r, str_of(headers[i].header)) == headers[i].passes, "header: %s with %s %s",
           headers[i].header, headers[i].type, headers[i].passes ? "goes on" : "stays");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        url(i);
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        pattern(i);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        path(i);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        header(i);
    return tap_done();
}
