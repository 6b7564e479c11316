#include "gateway/inference.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "gateway/harness_test.h"

static struct harness h;

#define IV1(name) Openshell__Inference__V1__##name

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void check(bool ok, const char *rule)
{
    if (!tap_ok(ok, "%s", rule))
        tap_note("%s", h.err.msg);
}

static bool refused(enum rpc_code code, const char *part)
{
    return harness_code(&h) == code && strstr(h.err.msg, part);
}

// ---- a backend on a port of its own: one answer for each request, and what it was asked last

static struct backend {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *answers[8];
    size_t n;
    char asked[8][4096];
} backend;

static void *backend_main(void *arg)
{
    (void)arg;
    for (;;) {
        int c = accept(backend.fd, NULL, NULL);
        if (c < 0)
            return NULL;
        size_t at = backend.n++ % ARRAY_LEN(backend.asked), got = 0;
        while (got < sizeof(backend.asked[0]) - 1) {
            ssize_t n = recv(c, backend.asked[at] + got, sizeof(backend.asked[0]) - 1 - got, 0);
            got += n > 0 ? (size_t)n : 0;
            backend.asked[at][got] = '\0';
            const char *end = strstr(backend.asked[at], "\r\n\r\n");
            if (n <= 0 || (end && strchr(end, '}')))
                break;
        }
        const char *answer = backend.answers[at];
        (void)!send(c, answer, strlen(answer), MSG_NOSIGNAL);
        (void)close(c);
    }
}

#define HTTP(status, body)                                                                                   \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body

static void backend_start(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    backend.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(backend.fd, (struct sockaddr *)&sa, len) != 0 || listen(backend.fd, 8) != 0 ||
        getsockname(backend.fd, (struct sockaddr *)&sa, &len) != 0 ||
        pthread_create(&backend.thread, NULL, backend_main, NULL) != 0)
        abort();
    backend.port = ntohs(sa.sin_port);
}

static void backend_stop(void)
{
    (void)shutdown(backend.fd, SHUT_RDWR);
    (void)pthread_join(backend.thread, NULL);
    (void)close(backend.fd);
}

static void backend_says(const char *one, const char *two)
{
    backend.n = 0;
    backend.answers[0] = one;
    backend.answers[1] = two;
    for (size_t i = 2; i < ARRAY_LEN(backend.answers); i++)
        backend.answers[i] = two;
}

// ---- requests

static void provide(const char *name, const char *type, const char *key, const char *base_key)
{
    V1(CreateProviderRequest) q = OPENSHELL__V1__CREATE_PROVIDER_REQUEST__INIT;
    provider p = OPENSHELL__DATAMODEL__V1__PROVIDER__INIT;
    Openshell__Datamodel__V1__ObjectMeta m = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    Openshell__Datamodel__V1__Provider__CredentialsEntry
        c = OPENSHELL__DATAMODEL__V1__PROVIDER__CREDENTIALS_ENTRY__INIT,
        *cs[] = {&c};
    Openshell__Datamodel__V1__Provider__ConfigEntry
        b = OPENSHELL__DATAMODEL__V1__PROVIDER__CONFIG_ENTRY__INIT,
        *bs[] = {&b};
    char base[64];
    (void)snprintf(base, sizeof(base), "http://127.0.0.1:%d/v1/", backend.port);
    m.name = text(name);
    c.key = text(key);
    c.value = text("sk-REAL");
    b.key = text(base_key);
    b.value = base;
    p.metadata = &m;
    p.type = text(type);
    p.credentials = cs;
    p.n_credentials = 1;
    p.config = bs;
    p.n_config = base_key[0] ? 1 : 0;
    q.provider = &p;
    harness_must(harness_call(&h, RPC_OPEN_SHELL_CREATE_PROVIDER, &q.base) ? ERR_OK : ERR_INTERNAL, &h.err);
}

static const IV1(SetInferenceRouteResponse) *
    set(const char *provider_name, const char *route, bool no_verify)
{
    IV1(SetInferenceRouteRequest) q = OPENSHELL__INFERENCE__V1__SET_INFERENCE_ROUTE_REQUEST__INIT;
    q.provider_name = text(provider_name);
    q.model_id = text("m-1");
    q.route_name = text(route);
    q.no_verify = no_verify;
    return (const IV1(SetInferenceRouteResponse) *)(const void *)
        harness_call(&h, RPC_INFERENCE_SET_INFERENCE_ROUTE, &q.base);
}

static const IV1(GetInferenceBundleResponse) * bundle(void)
{
    CLEANUP(arena_done) struct arena a;
    struct rpc_meta meta = {};
    arena_init(&a, MIB);
    IV1(GetInferenceBundleRequest) q = OPENSHELL__INFERENCE__V1__GET_INFERENCE_BUNDLE_REQUEST__INIT;
    struct rpc_client *c = harness_supervisor(&h, "sb-1", &meta, &a);
    const struct rpc_wait wait = {deadline_in_ms(20'000), -1};
    ProtobufCMessage *out = NULL;
    h.err = (struct err){};
    enum err_code r = rpc_unary(c, RPC_INFERENCE_GET_INFERENCE_BUNDLE, &q.base, &wait, &h.arena, &out,
                                &h.err);
    rpc_client_free(c);
    return r == ERR_OK ? (const IV1(GetInferenceBundleResponse) *)(const void *)out : NULL;
}

static void test_probe(void)
{
    backend_says(HTTP("200 OK", "{}"), HTTP("500 No", "{}"));
    const IV1(SetInferenceRouteResponse) *r = set("open", "", false);
    check(r && r->version == 1 && r->validation_performed && r->n_validated_endpoints == 1 &&
              strstr(r->validated_endpoints[0]->url, "/v1/chat/completions") &&
              strcmp(r->route_name, INFERENCE_USER) == 0,
          "a route is tried, and stored");
    check(strstr(backend.asked[0], "POST /v1/chat/completions ") &&
              strstr(backend.asked[0], "Authorization: Bearer sk-REAL\r\n") &&
              strstr(backend.asked[0], "{\"model\":\"m-1\",\"messages\":"),
          "with the provider's key and the model");
    backend_says(HTTP("400 No", "{\"error\":\"unknown max_completion_tokens\"}"), HTTP("200 OK", "{}"));
    check((r = set("open", "", false)) && r->version == 2 && strstr(backend.asked[1], "\"max_tokens\":32"),
          "a complaint about a field is tried again in the older form");
    backend_says(HTTP("400 No", "{\"error\":\"Incorrect API key provided\"}"), HTTP("200 OK", "{}"));
    check(!set("open", "", false) &&
              refused(RPC_FAILED_PRECONDITION, "credentials were refused with HTTP 400") &&
              strstr(h.err.msg, "--no-verify") && backend.n == 1,
          "a refused key ends it, and says what to do");
    backend_says(HTTP("404 No", "{\"error\":\"no such model\"}"), HTTP("404 No", "{}"));
    check(!set("open", "", false) &&
              refused(RPC_FAILED_PRECONDITION, "does not take this request with HTTP 404") &&
              strstr(h.err.msg, "no such model") && backend.n == 4,
          "another shape is tried for each protocol, and the first failure is told");
    backend_says(HTTP("503 No", "{}"), HTTP("200 OK", "{}"));
    check(!set("open", "", false) && refused(RPC_FAILED_PRECONDITION, "failure of its own with HTTP 503") &&
              backend.n == 1,
          "a failing backend ends it");
    check(!strstr(h.err.msg, "sk-REAL"), "no error has the key");
    backend_says(HTTP("200 OK", "{}"), HTTP("200 OK", "{}"));
    check(set("anth", INFERENCE_SYSTEM, false) && strstr(backend.asked[0], "POST /v1/messages ") &&
              strstr(backend.asked[0], "x-api-key: sk-REAL\r\n") &&
              strstr(backend.asked[0], "anthropic-version: 2023-06-01\r\n"),
          "the other shape of request has its own header");
}

static void test_routes(void)
{
    check(!set("open", "other", true) &&
              refused(RPC_INVALID_ARGUMENT, "there are inference.local and sandbox-system"),
          "there are two routes");
    check(!set("nobody", "", true) && refused(RPC_FAILED_PRECONDITION, "provider 'nobody' not found"),
          "a provider that is not there");
    check(!set("hub", "", true) && refused(RPC_INVALID_ARGUMENT, "provider type 'github' serves no models"),
          "a kind that serves no models");
    check(!set("vertex", "", true) && refused(RPC_UNIMPLEMENTED, "not built yet"),
          "what is not built is named");
    const IV1(GetInferenceBundleResponse) *b = bundle();
    check(b && b->n_routes == 2 && strcmp(b->routes[0]->name, INFERENCE_USER) == 0 &&
              strcmp(b->routes[0]->api_key, "sk-REAL") == 0 && strcmp(b->routes[0]->model_id, "m-1") == 0 &&
              b->routes[0]->n_protocols == 5 && strstr(b->routes[0]->base_url, "/v1") &&
              b->routes[0]->base_url[strlen(b->routes[0]->base_url) - 1] == '1' && strlen(b->revision) == 16,
          "a supervisor gets both, with keys");
    const char *revision = b ? b->revision : "";
    IV1(GetInferenceBundleRequest) none = OPENSHELL__INFERENCE__V1__GET_INFERENCE_BUNDLE_REQUEST__INIT;
    check(!harness_call(&h, RPC_INFERENCE_GET_INFERENCE_BUNDLE, &none.base) &&
              refused(RPC_PERMISSION_DENIED, "sandbox principal"),
          "a user gets none");
    IV1(GetInferenceRouteRequest) g = OPENSHELL__INFERENCE__V1__GET_INFERENCE_ROUTE_REQUEST__INIT;
    const IV1(GetInferenceRouteResponse) *r = (const IV1(GetInferenceRouteResponse) *)(const void *)
        harness_call(&h, RPC_INFERENCE_GET_INFERENCE_ROUTE, &g.base);
    check(r && strcmp(r->provider_name, "open") == 0 && r->version == 2, "a user sees where it goes");
    IV1(DeleteInferenceRouteRequest) d = OPENSHELL__INFERENCE__V1__DELETE_INFERENCE_ROUTE_REQUEST__INIT;
    const IV1(DeleteInferenceRouteResponse) *x = (const IV1(DeleteInferenceRouteResponse) *)(const void *)
        harness_call(&h, RPC_INFERENCE_DELETE_INFERENCE_ROUTE, &d.base);
    check(x && x->deleted, "it is deleted");
    x = (const IV1(DeleteInferenceRouteResponse) *)(const void *)
        harness_call(&h, RPC_INFERENCE_DELETE_INFERENCE_ROUTE, &d.base);
    check(x && !x->deleted, "once");
    check(!harness_call(&h, RPC_INFERENCE_GET_INFERENCE_ROUTE, &g.base) &&
              refused(RPC_NOT_FOUND,
                      "inference route 'inference.local' is not configured in workspace 'default'"),
          "then there is none");
    b = bundle();
    check(b && b->n_routes == 1 && strcmp(b->revision, revision) != 0, "which is another revision");
}

// A route has its key from a provider: whoever changes that changes the route.
static void test_pushed(void)
{
    V1(UpdateProviderRequest) q = OPENSHELL__V1__UPDATE_PROVIDER_REQUEST__INIT;
    provider p = OPENSHELL__DATAMODEL__V1__PROVIDER__INIT;
    Openshell__Datamodel__V1__ObjectMeta m = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    Openshell__Datamodel__V1__Provider__CredentialsEntry
        c = OPENSHELL__DATAMODEL__V1__PROVIDER__CREDENTIALS_ENTRY__INIT,
        *cs[] = {&c};
    unsigned before = h.bundles;
    check(set("open", "", true) && h.bundles == before + 1 && strcmp(h.route_key, "sk-REAL") == 0,
          "a route is pushed before the call returns");
    m.name = text("open");
    c.key = text("OPENAI_API_KEY");
    c.value = text("sk-NEXT");
    p.metadata = &m;
    p.credentials = cs;
    p.n_credentials = 1;
    q.provider = &p;
    check(harness_call(&h, RPC_OPEN_SHELL_UPDATE_PROVIDER, &q.base) && h.bundles == before + 2 &&
              strcmp(h.route_key, "sk-NEXT") == 0,
          "and again with its provider's new key");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    backend_start();
    harness_sandbox(&h, "sb-1", "one", NULL);
    provide("open", "openai", "OPENAI_API_KEY", "OPENAI_BASE_URL");
    provide("anth", "anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL");
    provide("hub", "github", "GITHUB_TOKEN", "");
    provide("vertex", "google-vertex-ai", "VERTEX_AI_TOKEN", "");
    test_probe();
    test_routes();
    test_pushed();
    backend_stop();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
