#include "supervisor/monitor.h"

#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/monitor_wire.h"
#include "tap.h"

static void test_round_trip(void)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf out;
    arena_init(&a, MIB);
    buf_init(&out, MIB);
    struct err e = {};
    struct identity id = {.pid = 7,
                          .exe = STR("/usr/bin/curl"),
                          .ancestors = {STR("/usr/bin/bash"), STR("/usr/bin/node")},
                          .ancestors_n = 2,
                          .cmdline = {STR("/tmp/x")},
                          .cmdline_n = 1,
                          .hash = "ab"},
                    got = {};
    bool ok = mon_encode(ERR_OK, &id, "", &out) && mon_decode(buf_str(&out), &a, &got, &e) == ERR_OK;
    tap_ok(ok && got.pid == 7 && str_eq(got.exe, id.exe) && got.ancestors_n == 2 &&
               str_eq(got.ancestors[1], id.ancestors[1]) && str_eq(got.cmdline[0], id.cmdline[0]),
           "an identity arrives as it was sent");
    bool cut = true;
    for (size_t n = 0; n < out.n; n++)
        cut &= mon_decode(str_head(buf_str(&out), n), &a, &got, &e) == ERR_INTERNAL;
    tap_ok(cut, "cut anywhere, it is refused");
    buf_addc(&out, 'x');
    tap_ok(mon_decode(buf_str(&out), &a, &got, &e) == ERR_INTERNAL, "one byte too many is refused");
    ok = mon_encode(ERR_DENIED, &id, "who knows", &out) &&
         mon_decode(buf_str(&out), &a, &got, &e) == ERR_DENIED;
    tap_ok(ok && str_eq(str_of(e.msg), STR("who knows")), "a refusal arrives with its reason");
    static char big[IDENTITY_TEXT_MAX + 1];
    id.exe = (struct str){big, sizeof(big)};
    tap_ok(!mon_encode(ERR_OK, &id, "", &out), "more text than the limit is not sent");
}

static void test_requests(void)
{
    int s[2];
    struct err e = {};
    struct identity_table *t = NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) != 0 ||
        identity_table_new(&t, &e) != ERR_OK) {
        tap_ok(false, "a pair of sockets: %s", e.msg);
        return;
    }
    struct mon_request q = {.kind = MON_IDENTIFY, .pair = {.peer = {.family = 4}, .local = {.family = 4}}};
    tap_ok(send(s[0], &q, sizeof(q) - 1, 0) > 0 && mon_serve(s[1], t, &e) == ERR_INVALID,
           "a byte too few: %s", e.msg);
    char more[sizeof(q) + 1] = {};
    memcpy(more, &q, sizeof(q));
    tap_ok(send(s[0], more, sizeof(more), 0) > 0 && mon_serve(s[1], t, &e) == ERR_INVALID,
           "a byte too many: %s", e.msg);
    q.kind = 99;
    tap_ok(send(s[0], &q, sizeof(q), 0) > 0 && mon_serve(s[1], t, &e) == ERR_INVALID, "an unknown kind: %s",
           e.msg);
    q.kind = MON_IDENTIFY;
    q.pair.peer.family = 5;
    tap_ok(send(s[0], &q, sizeof(q), 0) > 0 && mon_serve(s[1], t, &e) == ERR_INVALID, "no family: %s", e.msg);
    (void)close(s[0]);
    tap_ok(mon_serve(s[1], t, &e) == ERR_UNAVAILABLE, "the asker is gone: %s", e.msg);
    (void)close(s[1]);
    identity_table_free(t);
}

int main(void)
{
    test_round_trip();
    test_requests();
    return tap_done();
}
