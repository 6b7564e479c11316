#include "supervisor/inference.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "rpc/wire.h"
#include "supervisor/egress/inference.h"
#include "tap.h"

static char path[] = "/tmp/inference-test-XXXXXX";

#define ROUTES                                                                                               \
    "routes:\n"                                                                                              \
    "  - {name: one, endpoint: \"https://api.openai.com/v1\", model: gpt-x, provider_type: openai,\n"        \
    "     protocols: [openai_chat_completions, model_discovery], api_key: \"k-one\", aliases: [fast],\n"     \
    "     input_price: 1000000, output_price: 2000000, budget_tokens: 100}\n"                                \
    "  - {name: two, endpoint: \"http://10.0.0.1:8000\", model: local, protocols: "                          \
    "[openai_chat_completions]}\n"                                                                           \
    "  - {name: sandbox-system, endpoint: \"http://10.0.0.2\", model: own, protocols: [openai_responses]}\n"

static enum err_code set_text(struct inference *i, const char *text, struct err *e)
{
    enum err_code r = file_write_atomic(path, str_of(text), 0600, e);
    return r == ERR_OK ? inference_set_file(i, path, e) : r;
}

static const struct {
    const char *name, *host, *key, *rule;
    uint16_t port;
    enum err_code want;
} keys[] = {
    {"one", "api.openai.com", "k-one", "a key for its server", 443, ERR_OK},
    {"one", "evil.test", "", "not for another server", 443, ERR_DENIED},
    {"one", "api.openai.com", "", "nor another port", 80, ERR_DENIED},
    {"two", "10.0.0.1", "", "a route without a key", 8000, ERR_OK},
    {"three", "10.0.0.1", "", "no such route", 8000, ERR_NOT_FOUND},
};

static void key(const struct inference *i, size_t k)
{
    struct str got = {};
    struct err e = {};
    enum err_code r = inference_key(i, str_of(keys[k].name), str_of(keys[k].host), keys[k].port, &got, &e);
    if (!tap_ok(r == keys[k].want && str_eq(got, str_of(keys[k].key)), "key: %s", keys[k].rule))
        tap_note("%d %s", r, e.msg);
}

static void bundle(const struct inference *i)
{
    CLEANUP(buf_done) struct buf text;
    struct routes *r = NULL;
    struct err e = {};
    buf_init(&text, INFERENCE_BUNDLE_MAX);
    bool ok = inference_bundle(i, &text, &e) == ERR_OK && routes_new(buf_str(&text), &r, &e) == ERR_OK;
    tap_ok(ok && routes_count(r) == 3 && !memmem(text.p, text.n, "k-one", 5),
           "the egress gets routes without keys");
    const struct route *first = ok ? routes_choose(r, ROUTE_CHAT, STR("")) : NULL;
    const struct route *alias = ok ? routes_choose(r, ROUTE_CHAT, STR("fast")) : NULL;
    const struct route *model = ok ? routes_choose(r, ROUTE_CHAT, STR("local")) : NULL;
    const struct route *other = ok ? routes_choose(r, ROUTE_CHAT, STR("whatever")) : NULL;
    tap_ok(first && str_eq(first->name, STR("one")) && other == first, "choose: the first for the protocol");
    tap_ok(alias == first && model && str_eq(model->name, STR("two")),
           "choose: or the one of that model or alias");
    tap_ok(ok && !routes_choose(r, ROUTE_MESSAGES, STR("")), "choose: none for another protocol");
    tap_ok(ok && !routes_choose(r, ROUTE_RESPONSES, STR("own")), "choose: never the supervisor's own");
    routes_unref(r);
}

static void budgets(struct inference *i)
{
    struct inference_usage u = {};
    struct str got;
    struct err e = {};
    inference_used(i, STR("one"), (const uint64_t[]){40, 59, 7});
    bool ok = inference_usage(i, 0, &u);
    tap_ok(ok && str_eq(u.name, STR("one")) && u.requests == 1 && u.input_tokens == 40 &&
               u.output_tokens == 59 && u.cached_tokens == 7,
           "used: tokens are counted");
    tap_ok(ok && u.cost == 40 + 2 * 59, "used: and their cost, in millionths of a dollar");
    tap_ok(inference_key(i, STR("one"), STR("api.openai.com"), 443, &got, &e) == ERR_OK,
           "budget: one token less than it");
    inference_used(i, STR("one"), (const uint64_t[]){1, 0, 0});
    tap_ok(inference_key(i, STR("one"), STR("api.openai.com"), 443, &got, &e) == ERR_LIMIT,
           "budget: used up: %s", e.msg);
    inference_used(i, STR("nobody"), (const uint64_t[]){1, 0, 0});
    tap_ok(!inference_usage(i, 3, &u), "used: of no route counts nowhere");
    ok = set_text(i, ROUTES, &e) == ERR_OK && inference_usage(i, 0, &u);
    tap_ok(ok && u.input_tokens == 41, "used: counts outlive a new set");
    inference_used(i, STR("two"), (const uint64_t[]){UINT64_MAX, UINT64_MAX, 0});
    inference_used(i, STR("two"), (const uint64_t[]){UINT64_MAX, UINT64_MAX, 0});
    tap_ok(inference_usage(i, 1, &u) && u.input_tokens == UINT64_MAX && u.requests == 2,
           "used: no count runs over");
}

static const struct {
    const char *text, *error, *rule;
} bad[] = {
    {"routes: [{name: a}]", "line 1: routes[0]", "a member that is missing"},
    {"routes: [{name: a, endpoint: \"https://a.test\", model: m, protocols: [openai_responses], key: s}]",
     "line 1: routes[0]", "an unknown member"},
    {"routes: [{name: a, endpoint: \"https://a.test\", model: m, protocols: [x]}]", "unknown protocol 'x'",
     "an unknown protocol"},
    {"routes: [{name: a, endpoint: \"https://a.test\", model: m, protocols: [openai_responses]}, "
     "{name: a, endpoint: \"https://b.test\", model: m, protocols: [openai_responses]}]",
     "inference route 'a' is given twice", "a name twice"},
    {"routes: [{name: a, endpoint: \"https://a.test\", model: m, protocols: [openai_responses], api_key: "
     "\"a\\tb\"}]",
     "a key that fits no header", "a key with a tab"},
    {"routes: [{name: a, endpoint: \"https://a.test\", model: m, protocols: [openai_responses], api_key: x, "
     "api_key_env: Y}]",
     "both api_key and api_key_env", "two sources of a key"},
    {"routes: [{name: a, endpoint: \"https://a.test\", model: m, protocols: [openai_responses], api_key_env: "
     "NO_SUCH_VARIABLE}]",
     "the variable 'NO_SUCH_VARIABLE' is not set", "a variable that is not set"},
    {"routes: s3cr3t", "line 1: routes", "no list"},
};

static void refuse(struct inference *i, size_t k)
{
    struct err e = {};
    enum err_code r = set_text(i, bad[k].text, &e);
    if (!tap_ok(r != ERR_OK && strstr(e.msg, bad[k].error) && inference_count(i) == 3,
                "refused, and the old routes stay: %s", bad[k].rule))
        tap_note("%d %s", r, e.msg);
    if (strstr(bad[k].text, "s3cr3t"))
        tap_ok(!strstr(e.msg, "s3cr3t"), "what was found there is not shown");
}

static void message(struct inference *i)
{
    char secret[] = "from-gateway", *protocol[] = {(char[]){"anthropic_messages"}};
    Openshell__Inference__V1__ResolvedRoute r;
    Openshell__Inference__V1__ResolvedRoute *routes[] = {&r};
    Openshell__Inference__V1__GetInferenceBundleResponse m;
    openshell__inference__v1__resolved_route__init(&r);
    openshell__inference__v1__get_inference_bundle_response__init(&m);
    r.name = (char[]){"claude"};
    r.base_url = (char[]){"https://api.anthropic.com/v1"};
    r.model_id = (char[]){"m"};
    r.api_key = secret;
    r.n_protocols = 1;
    r.protocols = protocol;
    m.n_routes = 1;
    m.routes = routes;
    m.revision = (char[]){"7"};
    struct str got = {};
    struct err e = {};
    bool ok = inference_set(i, &m, &e) == ERR_OK &&
              inference_key(i, STR("claude"), STR("api.anthropic.com"), 443, &got, &e) == ERR_OK;
    tap_ok(ok && str_eq(got, STR("from-gateway")) && strcmp(inference_revision(i), "7") == 0,
           "message: a route");
    tap_ok(secret[0] == '\0' && secret[5] == '\0', "message: its key is wiped");
    memcpy(secret, "from-gateway", sizeof(secret));
    r.model_id = (char[]){""};
    tap_ok(inference_set(i, &m, &e) == ERR_INVALID && secret[0] == '\0' && inference_count(i) == 1,
           "message: a bad one is wiped, and the old one stays: %s", e.msg);
}

int main(void)
{
    struct inference *i = NULL;
    struct err e = {};
    int fd = mkstemp(path);
    fd_close(&fd);
    if (!tap_ok(inference_new(&i, &e) == ERR_OK && set_text(i, ROUTES, &e) == ERR_OK, "routes: %s", e.msg)) {
        inference_free(i);
        return tap_done();
    }
    for (size_t k = 0; k < ARRAY_LEN(keys); k++)
        key(i, k);
    bundle(i);
    budgets(i);
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        refuse(i, k);
    tap_ok(chmod(path, 0644) == 0 && inference_set_file(i, path, &e) == ERR_DENIED,
           "others may not read it: %s", e.msg);
    message(i);
    (void)unlink(path);
    inference_free(i);
    return tap_done();
}
