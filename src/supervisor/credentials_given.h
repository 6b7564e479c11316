// supervisor/credentials_given.h: a set of credentials as it came, from whichever source, for credentials.c
// and those who read the sources.
#pragma once
#include "supervisor/credentials.h"

struct credential_endpoint {
    struct str host, path;
    uint64_t port;
};

struct credential_given {
    struct str key, value;
    bool bound, literal; // neither: unbound, and left out
    struct str identity, handle;
    enum placeholder_form form;
    int64_t expires_at_ms; // 0: never
    const struct credential_endpoint *endpoints;
    size_t endpoints_n;
};

// As credentials_set; everything is copied.
enum err_code credentials_put(struct credentials *c, uint64_t revision, const struct credential_given *v,
                              size_t n, struct err *e) __attribute__((nonnull(1, 5)));
