#include "gateway/hooks.h"

#include "base/clock.h"
#include "gateway/config.h"
#include "gateway/inference.h"
#include "gateway/providers.h"
#include "gateway/tokens.h"
#include "gateway/watch.h"

static void on_record_changed(void *ctx, struct str sandbox_id)
{
    const struct services *s = ctx;
    if (s->watch)
        watch_changed(s->watch, sandbox_id);
}

static void on_record_forgotten(void *ctx, struct str sandbox_id)
{
    const struct services *s = ctx;
    if (s->watch)
        watch_forget(s->watch, sandbox_id);
}

static void on_platform_event(void *ctx, struct str sandbox_id, const Openshell__V1__PlatformEvent *event)
{
    const struct services *s = ctx;
    if (s->watch)
        watch_event(s->watch, sandbox_id, event);
}

static bool has_session(void *ctx, struct str sandbox_id)
{
    const struct services *s = ctx;
    return s->sessions && sessions_has(s->sessions, sandbox_id);
}

static void drop_session(void *ctx, struct str sandbox_id)
{
    const struct services *s = ctx;
    if (s->sessions)
        sessions_drop(s->sessions, sandbox_id);
}

static enum err_code mint_token(void *ctx, struct str sandbox_id, struct buf *out, struct err *reterr)
{
    const struct services *s = ctx;
    int64_t expires_ms;
    return s->tokens
               ? tokens_mint(s->tokens, sandbox_id, clock_realtime_ms() / 1000, out, &expires_ms, reterr)
               : ERR_OK;
}

struct lifecycle_hooks services_hooks(struct services *s)
{
    return (struct lifecycle_hooks){.changed = on_record_changed,
                                    .forgotten = on_record_forgotten,
                                    .has_session = has_session,
                                    .drop_session = drop_session,
                                    .event = on_platform_event,
                                    .mint = mint_token,
                                    .ctx = s};
}

void services_connected(void *ctx, struct str sandbox_id, const Openshell__V1__SupervisorHello *hello)
{
    const struct services *s = ctx;
    if (s->lifecycle) {
        struct sessions_ops ops = lifecycle_sessions(s->lifecycle);
        ops.connected(ops.ctx, sandbox_id, hello);
    }
    config_on_connected(s, sandbox_id, hello);
    provider_on_connected(s, sandbox_id, hello);
    inference_on_connected(s, sandbox_id, hello);
}

void services_disconnected(void *ctx, struct str sandbox_id)
{
    const struct services *s = ctx;
    if (!s->lifecycle)
        return;
    struct sessions_ops ops = lifecycle_sessions(s->lifecycle);
    ops.disconnected(ops.ctx, sandbox_id);
}
