// gateway/compute/engine.h: the HTTP API of a container engine on its Unix socket: Docker's from
// version 1.41, which Podman's service speaks too.
//
// Thread-safe; each call has a connection of its own and blocks for at most its timeout.
#pragma once
#include "base/base.h"

#include <jansson.h>

struct engine;

enum {
    ENGINE_REPLY_MAX = 16 * MIB, // of one answer; ours: an inspected container has some 10 KiB
    ENGINE_LINE_MAX = 1 * MIB,   // of one object in a stream; ours
    ENGINE_CALL_MS = 60'000,     // ours: a stop waits for its grace period
};

// `socket` is absolute. No connection is made yet. ERR_INVALID: not absolute, or longer than unix(7) allows.
enum err_code engine_new(const char *socket, struct engine **ret, struct err *reterr) NONNULL;
void engine_free(struct engine *en); // NULL is fine; no call may be under way

// One request, `body` as JSON where it is not NULL. *ret is the answer as JSON, NULL where it has none; the
// caller's. `ret` may be NULL. Failures have the engine's own message: ERR_NOT_FOUND (404), ERR_EXISTS (409),
// ERR_INVALID (400), ERR_DENIED (401, 403, and a socket that may not be used), ERR_UNAVAILABLE: nobody
// answers, or 5xx; ERR_TIMEOUT; ERR_LIMIT; ERR_INTERNAL: an answer that is not what the API says.
enum err_code engine_call(struct engine *en, const char *method, const char *path, const json_t *body,
                          json_t **ret, struct err *reterr) __attribute__((nonnull(1, 2, 3, 6)));

// The answer's bytes as they are, into `out` (up to its maximum; the rest is let go of).
struct buf;
enum err_code engine_bytes(struct engine *en, const char *path, struct buf *out, struct err *reterr) NONNULL;

// A request that answers with one JSON object after the other: each is handed to `object`, until the engine
// ends it (ERR_OK), `object` returns false (ERR_OK), or engine_stop() was called (ERR_UNAVAILABLE). Without a
// time limit, but a connection that dies is noticed.
enum err_code engine_stream(struct engine *en, const char *method, const char *path,
                            bool (*object)(void *ctx, json_t *object), void *ctx, struct err *reterr)
    __attribute__((nonnull(1, 2, 3, 4, 6)));

// Any thread: ends every stream, those that come later too.
void engine_stop(struct engine *en) NONNULL;

// `s` as part of a path or a query: everything but unreserved characters becomes %XX (RFC 3986 section 2.3).
void engine_escape(struct str s, struct buf *out) NONNULL;
