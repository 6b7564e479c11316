// gateway/services.h: what rpc_request_ctx() is for handlers. Parts that a gateway runs without are NULL.
#pragma once
#include "base/log.h"

// All zero where it listens on its Unix socket only.
struct gateway_address {
    char host[64]; // of the address that it was bound to
    uint16_t port;
    bool tls;
};

struct services {
    struct store *store;
    struct watch *watch;         // gateway/watch.h
    struct sessions *sessions;   // gateway/sessions.h
    struct config *config;       // gateway/config.h
    struct lifecycle *lifecycle; // gateway/lifecycle.h: sandboxes, and the driver they are on
    struct tokens *tokens;       // gateway/tokens.h: of supervisors
    struct secrets *secrets;     // gateway/secrets.h: credentials, encrypted at rest
    struct profiles *profiles;   // gateway/profiles.h: kinds of providers
    struct log *log;
    // gateway/health.h: whether the store answers
    struct health *health;
    // gateway/caller.h: users over TCP
    const struct caller_rules *callers;
    struct gateway_address address; // where clients of another machine find it
};
