// Both ends of the vault's channel: what the egress asks, and what the launcher makes of what is no question.
#include "supervisor/vault.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/credentials_given.h"
#include "tap.h"

static const struct credential_endpoint places[] = {{STR_INIT("api.example.com"), STR_INIT("/v1/**"), 443}};

static struct credentials *some(void)
{
    static char big[VAULT_VALUE_MAX + 1];
    memset(big, 'x', sizeof(big));
    const struct credential_given given[] = {
        {.key = STR("KEY"),
         .value = STR("secret"),
         .bound = true,
         .identity = STR("i"),
         .endpoints = places,
         .endpoints_n = 1},
        {.key = STR("BIG"),
         .value = {big, VAULT_VALUE_MAX},
         .bound = true,
         .identity = STR("i"),
         .endpoints = places,
         .endpoints_n = 1},
        {.key = STR("HUGE"),
         .value = {big, VAULT_VALUE_MAX + 1},
         .bound = true,
         .identity = STR("i"),
         .endpoints = places,
         .endpoints_n = 1},
    };
    struct credentials *c = NULL;
    struct err e;
    if (credentials_new(&c, &e) != ERR_OK || credentials_put(c, 0, given, ARRAY_LEN(given), &e) != ERR_OK)
        abort();
    return c;
}

struct server {
    int fd;
    const struct credentials *c;
    int questions;
    bool late; // answers a question of an earlier asker first
};

static void *serve(void *arg)
{
    struct server *s = arg;
    struct err e;
    if (s->late) {
        const struct vault_answer old = {.code = ERR_OK, .serial = 0, .value_len = 3};
        char b[sizeof(old) + 3];
        memcpy(b, &old, sizeof(old));
        memcpy(b + sizeof(old), "old", 3);
        (void)!send(s->fd, b, sizeof(b), MSG_NOSIGNAL);
    }
    for (int i = 0; i < s->questions; i++)
        if (vault_serve(s->fd, s->c, NULL, &e) != ERR_OK)
            break;
    return NULL;
}

static const struct {
    const char *placeholder, *path;
    enum err_code want;
    size_t n;
    const char *rule;
} asks[] = {
    {"openshell:resolve:env:KEY", "/v1/x", ERR_OK, 6, "a value arrives"},
    {"openshell:resolve:env:KEY", "/v2/x", ERR_DENIED, 0, "a mismatch arrives as one"},
    {"openshell:resolve:env:NONE", "/v1/x", ERR_NOT_FOUND, 0, "an unknown key arrives as one"},
    {"openshell:resolve:env:BIG", "/v1/x", ERR_OK, VAULT_VALUE_MAX, "the longest value"},
    {"openshell:resolve:env:HUGE", "/v1/x", ERR_NOT_FOUND, 0, "one byte more is never given out"},
};

static void asking(void)
{
    int s[2];
    struct err e = {};
    struct vault *v = NULL;
    pthread_t thread;
    static char value[VAULT_VALUE_MAX];
    struct credentials *c = some();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) != 0 || vault_new(s[0], &v, &e) != ERR_OK)
        abort();
    struct server server = {s[1], c, ARRAY_LEN(asks) + 1, true};
    if (pthread_create(&thread, NULL, serve, &server) != 0)
        abort();
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        const struct credential_place where = {STR("api.example.com"), 443, str_of(asks[i].path)};
        size_t n = 0;
        enum err_code r = vault_ask_credential(v, str_of(asks[i].placeholder), &where, value, sizeof(value),
                                               &n, &e);
        bool ok = r == asks[i].want && (r != ERR_OK || n == asks[i].n);
        if (!tap_ok(ok && (i != 0 || memcmp(value, "secret", 6) == 0), "ask: %s", asks[i].rule))
            tap_note("%d %s", r, e.msg);
    }
    const struct credential_place where = {STR("api.example.com"), 443, STR("/v1/x")};
    size_t n;
    tap_ok(vault_ask_credential(v, STR("openshell:resolve:env:BIG"), &where, value, 100, &n, &e) == ERR_LIMIT,
           "ask: no room for it: %s", e.msg);
    (void)pthread_join(thread, NULL);
    static char longer[PLACEHOLDER_MAX + 1];
    tap_ok(vault_ask_credential(v, (struct str){longer, sizeof(longer)}, &where, value, 100, &n, &e) ==
               ERR_NOT_FOUND,
           "ask: a placeholder that is too long is none: %s", e.msg);
    (void)close(s[1]);
    tap_ok(vault_ask_credential(v, STR("x"), &where, value, 100, &n, &e) == ERR_UNAVAILABLE,
           "ask: nobody there: %s", e.msg);
    vault_free(v);
    credentials_free(c);
}

static void requests(void)
{
    int s[2];
    struct err e = {};
    struct credentials *c = some();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) != 0)
        abort();
    struct vault_request q = {.kind = VAULT_CREDENTIAL};
    char more[sizeof(q) + 1] = {};
    memcpy(more, &q, sizeof(q));
    tap_ok(send(s[0], &q, sizeof(q) - 1, 0) > 0 && vault_serve(s[1], c, NULL, &e) == ERR_INVALID,
           "a byte too few: %s", e.msg);
    tap_ok(send(s[0], more, sizeof(more), 0) > 0 && vault_serve(s[1], c, NULL, &e) == ERR_INVALID,
           "a byte too many: %s", e.msg);
    q.kind = 99;
    tap_ok(send(s[0], &q, sizeof(q), 0) > 0 && vault_serve(s[1], c, NULL, &e) == ERR_INVALID,
           "an unknown kind: %s", e.msg);
    uint16_t *const lengths[] = {&q.text_len, &q.host_len, &q.path_len};
    const size_t most[] = {sizeof(q.text), sizeof(q.host), sizeof(q.path)};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        q = (struct vault_request){.kind = VAULT_CREDENTIAL};
        *lengths[i] = (uint16_t)(most[i] + 1);
        bool over = send(s[0], &q, sizeof(q), 0) > 0 && vault_serve(s[1], c, NULL, &e) == ERR_INVALID;
        *lengths[i] = (uint16_t)most[i];
        tap_ok(over && send(s[0], &q, sizeof(q), 0) > 0 && vault_serve(s[1], c, NULL, &e) == ERR_OK,
               "length %zu: all of its room, and one byte more", i);
    }
    tap_ok(send(s[0], &q, sizeof(q), 0) > 0 && vault_serve(s[1], NULL, NULL, &e) == ERR_OK,
           "a sandbox without credentials answers, too");
    enum err_code r = ERR_OK;
    for (int i = 0; i < 100'000 && r == ERR_OK; i++)
        r = send(s[0], &q, sizeof(q), 0) > 0 ? vault_serve(s[1], c, NULL, &e) : ERR_INTERNAL;
    tap_ok(r == ERR_INVALID, "an asker that reads no answer is not waited for: %s", e.msg);
    (void)close(s[0]);
    (void)close(s[1]);
    credentials_free(c);
}

int main(void)
{
    asking();
    requests();
    return tap_done();
}
