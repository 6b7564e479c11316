#include "gateway/tokens_test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

#define HEADER "{\"typ\":\"JWT\",\"alg\":\"EdDSA\",\"kid\":\"%K\"}"
#define WHO    "\"sub\":\"spiffe://openshell/sandbox/s-1\",\"sandbox_id\":\"s-1\""
#define GW     "\"iss\":\"openshell-gateway:gw\",\"aud\":\"openshell-gateway:gw\""
#define CLAIMS "{" WHO "," GW ",\"iat\":1000,\"exp\":2000}"
#define R4(s)  s s s s

// Each is signed with the right key.
static const struct {
    struct str header, claims;
    int64_t now_s;
    enum err_code code;
    const char *msg, *rule;
} rows[] = {
    {STR_INIT(HEADER), STR_INIT(CLAIMS), 1500, ERR_OK, "", "what a token says"},
    {STR_INIT(HEADER), STR_INIT(CLAIMS), 2060, ERR_OK, "", "60 s of leeway"},
    {STR_INIT(HEADER), STR_INIT(CLAIMS), 2061, ERR_DENIED, "invalid token: ExpiredSignature",
     "and not one more"},
    {STR_INIT(HEADER), STR_INIT("{" WHO "," GW ",\"iat\":1,\"exp\":0}"), INT64_MAX, ERR_OK, "", "0 is never"},
    {STR_INIT("{\"alg\":\"EdDSA\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_OK, "", "typ may be absent"},
    {STR_INIT("{\"typ\":\"openshell-ext+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1,
     ERR_DENIED, "extension tokens cannot authenticate to the gateway", "a token for an extension"},
    {STR_INIT("{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_DENIED,
     "invalid token: InvalidToken", "a token of another type"},
    {STR_INIT("{\"typ\":7,\"alg\":\"EdDSA\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_DENIED,
     "invalid token: InvalidToken", "a type that is no string"},
    {STR_INIT("{\"alg\":\"none\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token",
     "alg none"},
    {STR_INIT("{\"alg\":\"eddsa\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token",
     "case"},
    {STR_INIT("{\"alg\":\"HS256\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token",
     "HS256"},
    {STR_INIT("{\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token", "no alg"},
    {STR_INIT("{\"alg\":\"EdDSA\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token", "no kid"},
    {STR_INIT("{\"alg\":\"EdDSA\",\"kid\":\"%K0\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token",
     "other kid"},
    {STR_INIT("{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\",\"kid\":\"%K\"}"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND,
     "invalid token", "a header that says something twice"},
    {STR_INIT("[\"EdDSA\"]"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token",
     "a header that is no object"},
    {STR_INIT(HEADER "x"), STR_INIT(CLAIMS), 1, ERR_NOT_FOUND, "invalid token",
     "something behind the header"},
    {STR_INIT("{\"alg\":\"EdDSA\",\"kid\":\"%K\",\"crit\":[\"b64\"]}"), STR_INIT(CLAIMS), 1, ERR_DENIED,
     "invalid token: InvalidToken", "crit names what is not understood"},
    {STR_INIT(HEADER), STR_INIT("{" WHO "," GW ",\"iat\":1,\"exp\":9,\"exp\":0}"), 1, ERR_DENIED,
     "invalid token: InvalidToken", "a claim twice"},
    {STR_INIT(HEADER), STR_INIT("7"), 1, ERR_DENIED, "invalid token: InvalidToken",
     "claims that are no object"},
    {STR_INIT(HEADER), STR_INIT("{" WHO "," GW ",\"iat\":1}"), 1, ERR_DENIED,
     "invalid token: MissingRequiredClaim", "no exp"},
    {STR_INIT(HEADER), STR_INIT("{" WHO "," GW ",\"exp\":0}"), 1, ERR_DENIED,
     "invalid token: MissingRequiredClaim", "no iat"},
    {STR_INIT(HEADER), STR_INIT("{" WHO "," GW ",\"iat\":1,\"exp\":9.5}"), 1, ERR_DENIED,
     "invalid token: MissingRequiredClaim", "a time that is no whole number"},
    {STR_INIT(HEADER), STR_INIT("{" WHO "," GW ",\"iat\":1,\"exp\":-1}"), 1, ERR_DENIED,
     "invalid token: MissingRequiredClaim", "a time before all times"},
    {STR_INIT(HEADER),
     STR_INIT("{" WHO
              ",\"iss\":\"openshell-gateway:g\",\"aud\":\"openshell-gateway:gw\",\"iat\":1,\"exp\":0}"),
     1, ERR_DENIED, "invalid token: InvalidIssuer", "another issuer"},
    {STR_INIT(HEADER),
     STR_INIT("{" WHO
              ",\"iss\":\"openshell-gateway:gw\",\"aud\":\"openshell-gateway:gw2\",\"iat\":1,\"exp\":0}"),
     1, ERR_DENIED, "invalid token: InvalidAudience", "another audience"},
    {STR_INIT(HEADER),
     STR_INIT("{" WHO
              ",\"iss\":\"openshell-gateway:gw\",\"aud\":[\"openshell-gateway:gw\"],\"iat\":1,\"exp\":0}"),
     1, ERR_DENIED, "invalid token: InvalidAudience", "a list of audiences"},
    {STR_INIT(HEADER),
     STR_INIT("{\"sub\":\"spiffe://openshell/sandbox/s-1\",\"sandbox_id\":\"s-2\"," GW
              ",\"iat\":1,\"exp\":0}"),
     1, ERR_DENIED, "invalid token: InvalidSubject", "two sandboxes in one"},
    {STR_INIT(HEADER), STR_INIT("{\"sub\":\"s-1\",\"sandbox_id\":\"s-1\"," GW ",\"iat\":1,\"exp\":0}"), 1,
     ERR_DENIED, "invalid token: InvalidSubject", "a subject that is no sandbox"},
    {STR_INIT(HEADER),
     STR_INIT("{\"sub\":\"spiffe://openshell/sandbox/\",\"sandbox_id\":\"\"," GW ",\"iat\":1,\"exp\":0}"), 1,
     ERR_DENIED, "invalid token: InvalidSubject", "no sandbox"},
    {STR_INIT(HEADER),
     STR_INIT("{\"sub\":\"spiffe://openshell/sandbox/a/b\",\"sandbox_id\":\"a/b\"," GW
              ",\"iat\":1,\"exp\":0}"),
     1, ERR_DENIED, "invalid token: InvalidSubject", "an id that is none"},
};

static void test_rows(const struct keys *k)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf token;
        buf_init(&token, TOKENS_TEXT_MAX);
        keys_sign(k, rows[i].header, rows[i].claims, &token);
        char id[TOKENS_ID_MAX + 1] = "none";
        struct err err = {};
        enum err_code r = tokens_check(k->tokens, buf_str(&token), rows[i].now_s, id, &err);
        if (!tap_ok(r == rows[i].code && strcmp(err.msg, rows[i].msg) == 0 &&
                        strcmp(id, r == ERR_OK ? "s-1" : "none") == 0,
                    "%s", rows[i].rule))
            tap_note("%s: %s: %s", err_code_name(r), err.msg, id);
    }
}

static bool is_accepted(const struct tokens *t, struct str token)
{
    char id[TOKENS_ID_MAX + 1];
    struct err err;
    return tokens_check(t, token, 1000, id, &err) == ERR_OK;
}

// No byte can be another, none can be away, none can be more.
static void test_spoilt(const struct keys *k)
{
    CLEANUP(buf_done) struct buf token, spoilt;
    buf_init(&token, TOKENS_TEXT_MAX);
    buf_init(&spoilt, 2 * TOKENS_TEXT_MAX);
    struct err err = {};
    int64_t expires_ms = -1;
    tap_ok(tokens_mint(k->tokens, STR("s-1"), 1000, &token, &expires_ms, &err) == ERR_OK &&
               expires_ms == 4'600'000 && is_accepted(k->tokens, buf_str(&token)),
           "a token that was minted, for an hour");
    size_t changed = 0, cut = 0, longer = 0;
    for (size_t i = 0; i < token.n; i++) {
        for (const char *c = "AB9-_.=+/ \n"; *c; c++) {
            buf_clear(&spoilt);
            buf_add(&spoilt, buf_str(&token));
            spoilt.p[i] = *c;
            changed += *c != token.p[i] && is_accepted(k->tokens, buf_str(&spoilt));
            buf_clear(&spoilt);
            buf_add(&spoilt, str_head(buf_str(&token), i));
            buf_addc(&spoilt, *c);
            buf_add(&spoilt, str_from(buf_str(&token), i));
            longer += is_accepted(k->tokens, buf_str(&spoilt));
        }
        cut += is_accepted(k->tokens, str_head(buf_str(&token), i));
    }
    tap_ok(changed == 0, "no byte can be another");
    tap_ok(cut == 0, "no end can be missing");
    tap_ok(longer == 0, "no byte can be more");
    buf_addc(&token, '=');
    tap_ok(!is_accepted(k->tokens, buf_str(&token)), "no padding behind it");
    buf_clear(&spoilt);
    buf_pad(&spoilt, 'A', TOKENS_TEXT_MAX + 1);
    tap_ok(!is_accepted(k->tokens, buf_str(&spoilt)) && !is_accepted(k->tokens, STR("")) &&
               !is_accepted(k->tokens, STR("..")) && !is_accepted(k->tokens, STR("...")),
           "what is no token at all");
}

static void test_ids(const struct keys *k)
{
    static const struct {
        struct str id;
        bool ok;
        const char *rule;
    } ids[] = {
        {STR_INIT("550e8400-e29b-41d4-a716-446655440000"), true, "a UUID"},
        {STR_INIT(R4("0123456789abcde") "xyz"), true, "63 bytes"},
        {STR_INIT(R4("0123456789abcdef")), false, "64 bytes"},
        {STR_INIT(""), false, "nothing"},
        {STR_INIT("a\"b"), false, "what JSON would have to escape"},
        {STR_INIT("a\0b"), false, "a NUL"},
        {STR_INIT("a.b"), false, "a dot"},
    };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        CLEANUP(buf_done) struct buf token;
        buf_init(&token, TOKENS_TEXT_MAX);
        struct err err = {};
        int64_t expires_ms = 0;
        char id[TOKENS_ID_MAX + 1] = "";
        enum err_code r = tokens_mint(k->tokens, ids[i].id, 1, &token, &expires_ms, &err);
        bool ok = ids[i].ok
                      ? r == ERR_OK && tokens_check(k->tokens, buf_str(&token), 1, id, &err) == ERR_OK &&
                            str_eq(str_of(id), ids[i].id)
                      : r == ERR_INVALID && token.n == 0;
        tap_ok(ok, "as an id: %s", ids[i].rule);
    }
    CLEANUP(buf_done) struct buf full;
    buf_init(&full, 100);
    struct err err = {};
    int64_t expires_ms = 7;
    tap_ok(tokens_mint(k->tokens, STR("s"), 1, &full, &expires_ms, &err) == ERR_LIMIT && expires_ms == 7,
           "no room for a token");
}

static bool fails(const struct keys *k, const char *msg, enum err_code code)
{
    CLEANUP(tokens_freep) struct tokens *t = NULL;
    struct err err = {};
    enum err_code r = tokens_open(k->jwt, STR("gw"), 0, &t, &err);
    bool ok = r == code && !t && strstr(err.msg, msg);
    if (!ok)
        tap_note("%s: %s", err_code_name(r), err.msg);
    return ok;
}

static void test_files(struct keys *k)
{
    char key[96], pub[96], kid[96], away[96];
    (void)snprintf(key, sizeof(key), "%s/signing.pem", k->jwt);
    (void)snprintf(pub, sizeof(pub), "%s/public.pem", k->jwt);
    (void)snprintf(kid, sizeof(kid), "%s/kid", k->jwt);
    (void)snprintf(away, sizeof(away), "%s/away", k->dir);
    struct stat st = {}, dir = {};
    tap_ok(stat(key, &st) == 0 && (st.st_mode & 07777) == 0600 && stat(k->jwt, &dir) == 0 &&
               (dir.st_mode & 07777) == 0700,
           "the key is its owner's alone");
    CLEANUP(tokens_freep) struct tokens *again = NULL;
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, TOKENS_TEXT_MAX);
    struct err err = {};
    int64_t expires_ms = -1;
    tap_ok(tokens_open(k->jwt, STR("gw"), 0, &again, &err) == ERR_OK &&
               tokens_mint(again, STR("s-1"), 1, &token, &expires_ms, &err) == ERR_OK && expires_ms == 0 &&
               is_accepted(k->tokens, buf_str(&token)),
           "the next start has the same key; a ttl of 0 is for ever");
    CLEANUP(tokens_freep) struct tokens *other = NULL;
    tap_ok(tokens_open(k->jwt, STR("gw2"), 0, &other, &err) == ERR_OK && !is_accepted(other, buf_str(&token)),
           "another gateway's id, another issuer");
    tap_ok(tokens_open(k->jwt, STR("g w"), 0, &other, &err) == ERR_INVALID, "an id that is none");
    (void)chmod(key, 0640);
    tap_ok(fails(k, "others can read it", ERR_DENIED), "a key that others can read");
    (void)chmod(key, 0600);
    const char *const parts[] = {key, pub, kid};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        (void)rename(parts[i], away);
        tap_ok(fails(k, "belong together", ERR_PRECONDITION), "a part that is missing: %s",
               strrchr(parts[i], '/'));
        (void)rename(away, parts[i]);
    }
    (void)file_write_atomic(kid, STR("a b\n"), 0644, &err);
    tap_ok(fails(k, "kid holds no name", ERR_PRECONDITION), "a name that is none");
    (void)file_write_atomic(kid, STR("mine\n"), 0644, &err);
    CLEANUP(tokens_freep) struct tokens *renamed = NULL;
    tap_ok(tokens_open(k->jwt, STR("gw"), 0, &renamed, &err) == ERR_OK &&
               !is_accepted(renamed, buf_str(&token)),
           "another name, other tokens");
    struct keys second = {};
    char foreign[128];
    if (tap_ok(keys_make(&second, 0), "a second key")) {
        (void)snprintf(foreign, sizeof(foreign), "%s/public.pem", second.jwt);
        (void)rename(foreign, pub);
        tap_ok(fails(k, "not the public part", ERR_PRECONDITION), "halves that do not fit");
        tap_ok(!is_accepted(second.tokens, buf_str(&token)), "another key, other tokens");
    }
    keys_done(&second);
    (void)file_write_atomic(key, STR("-----BEGIN PRIVATE KEY-----\n"), 0600, &err);
    tap_ok(fails(k, "no Ed25519 key", ERR_PRECONDITION), "a key that is none");
}

int main(void)
{
    struct keys k = {};
    if (tap_ok(keys_make(&k, 3600), "a key is made where there is none")) {
        test_rows(&k);
        test_spoilt(&k);
        test_ids(&k);
        test_files(&k);
    }
    keys_done(&k);
    return tap_done();
}
