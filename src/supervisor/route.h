// supervisor/route.h: one route to a model, as both launcher and egress read it (reference 5.2, 5.3, 5.5).
#pragma once
#include "supervisor/egress/egress.h"

#include "inference.pb-c.h"

enum route_protocol { // as bits
    ROUTE_CHAT = 1 << 0,
    ROUTE_COMPLETIONS = 1 << 1,
    ROUTE_RESPONSES = 1 << 2,
    ROUTE_EMBEDDINGS = 1 << 3,
    ROUTE_MESSAGES = 1 << 4,
    ROUTE_MODELS = 1 << 5,
    ROUTE_BEDROCK = 1 << 6,
};
[[nodiscard]] const char *route_protocol_name(enum route_protocol p); // "openai_chat_completions", …

enum route_auth { ROUTE_BEARER, ROUTE_API_KEY, ROUTE_NO_AUTH }; // Authorization, x-api-key, none

struct route_profile { // what a type of provider wants
    struct str type;
    enum route_auth auth;
    struct str passthrough[3]; // request headers that go on; empty: no more
    struct http1_header given; // added where the client sent none; name empty: none
    bool drops_beta;           // anthropic-beta is looked at and goes no further
};

enum { ROUTES_MAX = 64, ROUTE_NAME_MAX = 128, ROUTE_TIMEOUT_MAX_SECS = 86'400 }; // ours

struct route {
    const Openshell__Inference__V1__ResolvedRoute *m; // borrowed: names, models, prices
    struct str name, model;
    const struct route_profile *profile;
    struct target target;
    bool tls;
    struct str base_path; // of the URL, without '/' at its end; into m
    uint32_t protocols;
    int64_t timeout_ms; // 0: none given
};

// ERR_INVALID: a URL, a protocol or a number that is none. Strings are borrowed from `m`.
enum err_code route_parse(const Openshell__Inference__V1__ResolvedRoute *m, struct route *ret,
                          struct err *e) NONNULL;

// A request that a model may be asked (reference 5.2). `path` is canonical. NULL: it is none.
struct route_pattern {
    struct str method, path; // '*' at the end: one segment more; in the middle: one segment
    enum route_protocol protocol;
    const char *kind;
    bool streams;
};
[[nodiscard]] const struct route_pattern *route_pattern(struct str method, struct str path);
