#include "supervisor/monitor.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
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

struct asker {
    int fd;
    struct str exe;
};

// Answers the first question with the answer to another one, then with its own.
static void *answer_twice(void *arg)
{
    struct asker *k = arg;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, MIB);
    struct mon_request q;
    struct identity id = {.pid = 7, .exe = STR("/usr/bin/late"), .hash = "ab"};
    if (recv(k->fd, &q, sizeof(q), 0) != (ssize_t)sizeof(q) || !mon_encode(ERR_OK, &id, "", &out))
        return NULL;
    mon_number(&out, q.serial - 1);
    bool ok = send(k->fd, out.p, out.n, MSG_NOSIGNAL) > 0;
    id.exe = k->exe;
    ok = ok && mon_encode(ERR_OK, &id, "", &out);
    mon_number(&out, q.serial);
    (void)(ok && send(k->fd, out.p, out.n, MSG_NOSIGNAL) > 0); // the asker tells
    return NULL;
}

static void test_asking(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    int s[2];
    struct err e = {};
    struct mon *m = NULL;
    pthread_t thread;
    const struct sock_pair pair = {.peer = {.family = 4}, .local = {.family = 4}};
    struct identity id = {};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) != 0 || mon_new(s[0], &m, &e) != ERR_OK) {
        tap_ok(false, "a pair of sockets: %s", e.msg);
        return;
    }
    struct asker k = {s[1], STR("/usr/bin/own")};
    bool ok = pthread_create(&thread, NULL, answer_twice, &k) == 0 &&
              mon_ask_identify(m, &pair, &a, &id, &e) == ERR_OK && pthread_join(thread, NULL) == 0;
    tap_ok(ok && str_eq(id.exe, k.exe), "an answer to an earlier question is not taken for this one's");

    int64_t before = clock_ns();
    enum err_code r = mon_ask_identify(m, &pair, &a, &id, &e); // nobody answers
    int64_t took_ms = (clock_ns() - before) / 1'000'000;
    tap_ok(r == ERR_TIMEOUT && took_ms >= MON_ASK_MS - 1 && took_ms < 3 * MON_ASK_MS,
           "no answer is not waited for for ever: %s", e.msg);
    (void)close(s[1]);
    tap_ok(mon_ask_identify(m, &pair, &a, &id, &e) == ERR_UNAVAILABLE, "nobody there: %s", e.msg);
    mon_free(m);
}

static void test_deaf_asker(void)
{
    int s[2];
    struct err e = {};
    struct identity_table *t = NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) != 0 ||
        identity_table_new(&t, &e) != ERR_OK) {
        tap_ok(false, "a pair of sockets: %s", e.msg);
        return;
    }
    const struct mon_request q = {.kind = MON_IDENTIFY,
                                  .pair = {.peer = {.family = 4}, .local = {.family = 4}}};
    enum err_code r = ERR_OK;
    for (int i = 0; i < 100'000 && r == ERR_OK; i++)
        r = send(s[0], &q, sizeof(q), 0) > 0 ? mon_serve(s[1], t, &e) : ERR_INTERNAL;
    tap_ok(r == ERR_INVALID, "an asker that reads no answer is not waited for: %s", e.msg);
    (void)close(s[0]);
    (void)close(s[1]);
    identity_table_free(t);
}

int main(void)
{
    test_asking();
    test_deaf_asker();
    test_round_trip();
    test_requests();
    return tap_done();
}
