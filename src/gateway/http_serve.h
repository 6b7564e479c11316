// gateway/http_serve.h: a small HTTP/1 server on the loop, for pages that are made at once: health, metrics.
//
// Plain HTTP, GET and HEAD, no bodies in requests. Heads are read by net/http1.h, strictly; a connection is
// kept for further requests, IDLE_MS of silence end it, and so does a head that does not come whole in that
// time. A peer that does not read its answer is not read from.
#pragma once
#include "base/buf.h"
#include "base/log.h"

#include <uv.h>

struct http_page {
    unsigned status;
    const char *type; // of the body; NULL where there is none
    struct buf body;  // born with HTTP_PAGE_MAX
};
enum { HTTP_PAGE_MAX = 4 * MIB };

struct http_route {
    const char *path;
    void (*get)(void *ctx, struct http_page *ret); // on the loop; status is 200 before
};

struct http_serve;
// `routes` ends with a path of NULL; all is borrowed until the end. *ret_port is the port that it became.
// ERR_INVALID: no address. ERR_EXISTS: the port is taken.
enum err_code http_serve_new(uv_loop_t *loop, const char *ip, uint16_t port, const struct http_route *routes,
                             void *ctx, struct http_serve **ret, uint16_t *ret_port, struct err *reterr)
    __attribute__((nonnull(1, 2, 4, 6, 7, 8)));
void http_serve_close(struct http_serve *s); // frees itself in the next turns of the loop; NULL is fine
