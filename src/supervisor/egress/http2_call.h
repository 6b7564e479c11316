// supervisor/egress/http2_call.h: what http2.c, which moves bytes, and http2_call.c, which answers and passes
// on, share of a connection. Not for anyone else.
#pragma once
#include "base/secret.h"
#include "net/http2.h"
#include "supervisor/egress/egress.h"
#include "supervisor/egress/inject.h"

enum {
    THROWN_MAX = 64 * KIB, // of a refused request, before it is reset; ours
    LEG_OUT = 16 * KIB,
    LEG_OUT_MAX = 256 * KIB,
    LEG_READS = 8,
    END_TIMEOUT_MS = 5'000,
    FIELDS = HTTP1_HEADERS_MAX + 8
};

// What of a call is looked into: its request for placeholders, its response for what was written.
struct flow {
    struct injection *injected; // or NULL
    struct mask mask;
    struct scan scan;
    bool hit;            // a header of the response was masked
    struct incoming *in; // of a request whose body is collected to be rewritten, else NULL
    struct buf body, made;
    size_t off; // of made: what was written to the server
};

struct call {
    struct call *next, *prev;
    int32_t down, up; // stream of the client; of the server, 0: none
    bool down_open, up_open;
    bool asked;    // the whole request is here
    bool answered; // the head that counts went to the client
    bool done;     // and the end, too
    int64_t moved_ns;
    struct flow *flow; // NULL: nothing is looked into
    size_t thrown;     // bytes of a request that was refused
};

struct leg {
    struct http2 *h;
    struct stream *s;
    struct buf out;
    size_t off;
    bool ended; // nothing more comes, or can be sent
    int64_t head_since_ns;
};

struct pair {
    struct conn *c;
    const struct target *target;
    bool tls; // both legs speak it
    struct leg client, server;
    struct call *calls;
    bool leaving; // the client was told so
    bool check;   // the last call ended: check_policy
    int64_t now_ns, idle_since_ns;
    struct incoming *in;
    char authority[HOST_MAX + 16];
    char b[LEG_OUT];
};

extern const struct http2_calls http2_client_calls, http2_server_calls;

void http2_call_drop(struct pair *p, struct call *k) NONNULL; // where both of its streams are closed
void http2_call_lost(struct pair *p, struct call *k, const char *why) NONNULL; // 502
