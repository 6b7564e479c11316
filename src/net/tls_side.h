// net/tls_side.h: between tls_side.c (certificates, trust) and tls_pipe.c (connections).
#pragma once
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/tls_pipe.h"

struct tls_side {
    atomic_uint refs;
    bool server, insecure;
    SSL_CTX *ctx;
    SSL_CTX *external; // of a server that shows names a certificate of their own; NULL: none
    char **names;
    size_t names_n;
};

// A server name as configured, against one that a client asks for.
[[nodiscard]] bool tls_name_matches(struct str pattern, struct str name);
