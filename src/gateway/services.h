// gateway/services.h: what rpc_request_ctx() is for handlers. Parts that a gateway runs without are NULL.
#pragma once
#include "base/log.h"

struct services {
    struct store *store;
    struct watch *watch;         // gateway/watch.h
    struct sessions *sessions;   // gateway/sessions.h
    struct sandboxes *sandboxes; // gateway/sandboxes.h; NULL: there is no openshell-sandbox
    struct config *config;       // gateway/config.h
    struct lifecycle *lifecycle; // gateway/lifecycle.h: sandboxes, and the driver they are on
    struct tokens *tokens;       // gateway/tokens.h: of supervisors
    struct secrets *secrets;     // gateway/secrets.h: credentials, encrypted at rest
    struct profiles *profiles;   // gateway/profiles.h: kinds of providers
    struct log *log;
    // gateway/caller.h: users over TCP
    const struct caller_rules *callers;
};
