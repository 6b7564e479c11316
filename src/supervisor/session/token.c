// By what the gateway knows the sandbox. It comes from a file, or from the gateway itself, which gives a new
// one before the old one is out of date; that one is kept in memory only.
#include <fcntl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/session/internal.h"

enum {
    TOKEN_MAX = 16 * KIB,
    REFRESH_MIN_S = 1, // reference: policy 9.1, as all of these
    REFRESH_MAX_S = 12 * 3600,
    REFRESH_UNKNOWN_S = 6 * 3600,
};

static enum err_code bearer_of(struct str token, struct secret *ret, struct err *e)
{
    char text[TOKEN_MAX + 8];
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= 0x20 || token.p[i] >= 0x7f)
            return err_set(e, ERR_INVALID, "the token has a byte that no token has, at offset %zu", i);
    if (token.n == 0 || token.n > TOKEN_MAX)
        return err_set(e, ERR_INVALID, "the token has %zu bytes", token.n);
    memcpy(text, "Bearer ", 7);
    memcpy(text + 7, token.p, token.n);
    enum err_code r = secret_init(ret, (struct str){text, token.n + 7}, e);
    secret_wipe(text, sizeof(text));
    return r;
}

static void use(struct session *s)
{
    s->field = (struct rpc_field){.name = STR("authorization"), .value = secret_expose(&s->bearer)};
    s->meta = (struct rpc_meta){.first = &s->field, .last = &s->field};
}

// A file is read each time: whoever refreshes tokens writes it anew.
enum err_code token_take(struct session *s, struct err *e)
{
    CLEANUP(secret_done) struct secret token = {};
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = ERR_OK;
    if (s->token_fresh)
        return ERR_OK;
    secret_done(&s->bearer);
    s->bearer = (struct secret){};
    s->meta = (struct rpc_meta){};
    if (s->opts.token_file) {
        r = fd_open(s->opts.token_file, O_RDONLY, 0, &fd, e);
        if (r == ERR_OK)
            r = secret_read(fd, TOKEN_MAX, &token, e);
        if (r == ERR_OK)
            r = bearer_of(secret_expose(&token), &s->bearer, e);
    } else if (s->opts.token) {
        r = bearer_of(str_of(s->opts.token), &s->bearer, e);
    } else {
        return ERR_OK;
    }
    if (r != ERR_OK)
        return err_wrap(e, r, "the token");
    use(s);
    return ERR_OK;
}

int64_t token_life_ms(int64_t expires_at_ms, int64_t now_ms, size_t token_n)
{
    int64_t left_s = expires_at_ms > now_ms ? (expires_at_ms - now_ms) / 1000 : 0;
    int64_t s = expires_at_ms <= 0 ? REFRESH_UNKNOWN_S : left_s / 5 * 4;
    s = s < REFRESH_MIN_S ? REFRESH_MIN_S : s > REFRESH_MAX_S ? REFRESH_MAX_S : s;
    return s * 1000 + s * 10 * (int64_t)(token_n % 10); // sandboxes do not come all at once
}

void token_heard(struct session *s, const GATEWAY(RefreshSandboxTokenResponse) * m)
{
    struct err ignored; // the old one goes on; the next refresh may do better
    struct secret fresh = {};
    struct str token = str_of(m->token);
    if (bearer_of(token, &fresh, &ignored) == ERR_OK) {
        secret_done(&s->bearer);
        s->bearer = fresh;
        s->token_fresh = true;
        use(s);
    }
    s->token_report.due = true;
    s->token_report.at_ns = deadline_in_ms(token_life_ms(m->expires_at_ms, clock_realtime_ms(), token.n));
}
