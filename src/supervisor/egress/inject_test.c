#include "supervisor/egress/inject.h"

#include "alloc_fail.h"
#include "tap.h"

#define CANON "openshell:resolve:env:"

static const struct {
    const char *key;
    const char *value;
} store[] = {
    {"KEY", "s3cret-value"}, {"SLASH", "a/b"},          {"UP", ".."},
    {"ODD", "p@ss w&rd=1%"}, {"QUOTE", "q\"uo\\te-12"}, {"SELF", CANON "KEY"},
    {"LINE", "a\r\nb"},      {"SHORT", "abc"},          {"NESTED", "s3cret-value-and-more"},
};

static enum err_code ask(void *ctx, struct str placeholder, char *value, size_t *ret_n, struct err *e)
{
    struct placeholder p;
    (void)ctx;
    if (!placeholder_parse(placeholder, &p))
        return err_set(e, ERR_NOT_FOUND, "no placeholder");
    if (str_eq(p.key, STR("ELSEWHERE")))
        return err_set(e, ERR_DENIED, "bound elsewhere");
    for (size_t i = 0; i < ARRAY_LEN(store); i++)
        if (str_eq(p.key, str_of(store[i].key))) {
            *ret_n = strlen(store[i].value);
            memcpy(value, store[i].value, *ret_n);
            return ERR_OK;
        }
    return err_set(e, ERR_NOT_FOUND, "unknown");
}

#define UNRESOLVED(where) "credential placeholder could not be resolved in " where
#define MISMATCH(where)   "credential is not authorized for the request endpoint in " where

// ---- heads
// -------------------------------------------------------------------------------------------------

static const struct {
    const char *line, *header, *path, *query, *value, *error, *rule;
} heads[] = {
    {"/a?b=c", "plain", "/a", "b=c", "plain", NULL, "nothing to do"},
    {"/a", CANON "KEY", "/a", "", "s3cret-value", NULL, "a whole value"},
    {"/a", "Bearer " CANON "KEY", "/a", "", "Bearer s3cret-value", NULL, "a word and a placeholder"},
    {"/a", "token   " CANON "KEY", "/a", "", "token s3cret-value", NULL, "any word, any blanks"},
    {"/a", "Basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZ", "/a", "", "Basic dXNlcjpzM2NyZXQtdmFsdWU=", NULL,
     "Basic: decoded and encoded"},
    {"/a", "basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZ", "/a", "", "Basic dXNlcjpzM2NyZXQtdmFsdWU=", NULL,
     "basic becomes Basic"},
    {"/a", "Basic dXNlcjpwYXNz", "/a", "", "Basic dXNlcjpwYXNz", NULL, "Basic without a placeholder stays"},
    {"/a", "Basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6", "/a", "", NULL, UNRESOLVED("header"),
     "Basic: a mark without a key"},
    {"/a", "Basic " CANON "KEY", "/a", "", "Basic s3cret-value", NULL, "Basic: a placeholder in its place"},
    {"/a", "x " CANON "KEY y", "/a", "", NULL, UNRESOLVED("header"), "text behind it"},
    {"/a", "x=" CANON "KEY", "/a", "", NULL, UNRESOLVED("header"), "text in front of it"},
    {"/a", CANON "KEY " CANON "KEY", "/a", "", NULL, UNRESOLVED("header"), "a placeholder for the word"},
    {"/a", "openshell%3Aresolve:env:KEY", "/a", "", NULL, UNRESOLVED("header"), "an escaped mark"},
    {"/a", CANON "NOBODY", "/a", "", NULL, UNRESOLVED("header"), "unknown"},
    {"/a", CANON "ELSEWHERE", "/a", "", NULL, MISMATCH("header"), "bound elsewhere"},
    {"/a", CANON "LINE", "/a", "", NULL, UNRESOLVED("header"), "a value with a line break"},
    {"/a", CANON "SELF", "/a", "", NULL, UNRESOLVED("header"), "a value that is a placeholder"},
    {"/a", "k-OPENSHELL-RESOLVE-ENV-KEY", "/a", "", "s3cret-value", NULL, "an alias"},
    {"/bot" CANON "KEY/send", "x", "/bots3cret-value/send", "", "x", NULL, "path: text around it"},
    {"/" CANON "KEY/" CANON "SHORT", "x", "/s3cret-value/abc", "", "x", NULL, "path: two segments"},
    {"/" CANON "ODD", "x", "/p%40ss%20w%26rd%3D1%25", "", "x", NULL, "path: encoded"},
    {"/" CANON "SLASH", "x", "/", "", NULL, UNRESOLVED("path"), "path: no value with a slash"},
    {"/" CANON "UP", "x", "/", "", NULL, UNRESOLVED("path"), "path: no way up"},
    {"/" CANON "NOBODY", "x", "/", "", NULL, UNRESOLVED("path"), "path: unknown"},
    {"/" CANON "ELSEWHERE", "x", "/", "", NULL, MISMATCH("path"), "path: bound elsewhere"},
    {"/a?k=" CANON "KEY&x=%41", "x", "/a", "k=s3cret-value&x=%41", "x", NULL,
     "query: the rest stays as it is"},
    {"/a?k=pre-openshell%3Aresolve%3Aenv%3AODD", "x", "/a", "k=pre-p%40ss%20w%26rd%3D1%25", "x", NULL,
     "query: decoded, replaced, encoded"},
    {"/a?" CANON "KEY=x", "x", "/a", "", NULL, UNRESOLVED("query_param"), "query: names are not rewritten"},
    {"/a?" CANON "KEY", "x", "/a", "", NULL, UNRESOLVED("query_param"), "query: a name alone"},
    {"/a?k=" CANON "ELSEWHERE", "x", "/a", "", NULL, MISMATCH("query_param"), "query: bound elsewhere"},
};

static bool request(struct str text, struct http1_head *h)
{
    size_t resume = 0, used;
    struct err e;
    return http1_request(text, HTTP1_HEAD_MAX, &resume, h, &used, &e) == HTTP1_DONE;
}

static void head(size_t i)
{
    CLEANUP(injection_freep) struct injection *j = NULL;
    CLEANUP(buf_done) struct buf text;
    struct http1_head h = {};
    struct err e = {};
    struct str path;
    buf_init(&text, 8 * KIB);
    buf_addf(&text, "GET %s HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\nX-Key: %s\r\n\r\n",
             heads[i].line, heads[i].header);
    if (!request(buf_str(&text), &h) || injection_new(ask, NULL, &j, &e) != ERR_OK) {
        tap_ok(false, "head: %s: it does not parse", heads[i].rule);
        return;
    }
    enum err_code r = inject_head(j, &h, h.path, &path, &e);
    bool ok = (r == ERR_OK) == !heads[i].error;
    if (heads[i].error)
        ok = ok && strcmp(e.msg, heads[i].error) == 0;
    else
        ok = ok && str_eq(path, str_of(heads[i].path)) && str_eq(h.query, str_of(heads[i].query)) &&
             str_eq(h.headers[2].value, str_of(heads[i].value)) &&
             str_eq(h.headers[1].value, injection_is_used(j) ? STR("identity") : STR("gzip")) &&
             h.headers[2].secret == !str_eq(str_of(heads[i].header), str_of(heads[i].value));
    if (!tap_ok(ok, "head: %s", heads[i].rule))
        tap_note("%d %s: %.*s ? %.*s | %.*s", r, e.msg, STR_FMT(path), STR_FMT(h.query),
                 STR_FMT(h.headers[2].value));
}

static void elsewhere(void)
{
    static const char *const texts[] =
        {"GET / HTTP/1.1\r\nHost: a.test\r\nx-OPENSHELL-RESOLVE-ENV-KEY: 1\r\n\r\n",
         "x-OPENSHELL-RESOLVE-ENV-KEY / HTTP/1.1\r\nHost: a.test\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(injection_freep) struct injection *j = NULL;
        struct http1_head h = {};
        struct err e = {};
        struct str path;
        bool ok = request(str_of(texts[i]), &h) && injection_new(ask, NULL, &j, &e) == ERR_OK;
        tap_ok(ok && inject_wanted(&h) && inject_head(j, &h, h.path, &path, &e) == ERR_NOT_FOUND,
               "head: a %s is never one", i == 0 ? "header's name" : "method");
    }
    struct http1_head h = {};
    tap_ok(request(STR("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"), &h) && !inject_wanted(&h),
           "head: nothing is wanted where there is no mark");
}

// ---- bodies
// ------------------------------------------------------------------------------------------------

static const struct {
    const char *type, *body, *want, *error, *rule;
} bodies[] = {
    {"application/json", "{\"k\":\"" CANON "KEY\"}", "{\"k\":\"s3cret-value\"}", NULL, "JSON"},
    {"application/json; charset=utf-8", "[\"" CANON "QUOTE\"]", "[\"q\\\"uo\\\\te-12\"]", NULL,
     "JSON: escaped as it stands in a string"},
    {"text/plain", "a " CANON "KEY b", "a s3cret-value b", NULL, "text"},
    {"application/x-www-form-urlencoded", "a=b%20c&k=" CANON "ODD", "a=b%20c&k=p%40ss%20w%26rd%3D1%25", NULL,
     "a form: encoded, the rest as it is"},
    {"application/x-www-form-urlencoded", CANON "KEY=1", NULL, UNRESOLVED("body"), "a form's name"},
    {"text/plain", CANON "NOBODY", NULL, UNRESOLVED("body"), "unknown"},
    {"text/plain", CANON "ELSEWHERE", NULL, MISMATCH("body"), "bound elsewhere"},
    {"text/plain", "x " CANON " y", NULL, UNRESOLVED("body"), "a mark alone"},
    {"text/plain", "%6fpenshell:resolve:env:KEY", NULL, UNRESOLVED("body"),
     "an escaped mark is left by nobody"},
    {"text/plain", "\xff " CANON "KEY", NULL, "a body that is not UTF-8", "not UTF-8"},
};

static void body(size_t i)
{
    CLEANUP(injection_freep) struct injection *j = NULL;
    CLEANUP(buf_done) struct buf text, out;
    struct http1_head h = {};
    struct err e = {};
    buf_init(&text, 8 * KIB);
    buf_init(&out, 8 * KIB);
    buf_addf(&text, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\nContent-Type: %s\r\n\r\n",
             bodies[i].type);
    bool ok = request(buf_str(&text), &h) && injection_new(ask, NULL, &j, &e) == ERR_OK;
    enum inject_body kind = inject_body_kind(&h);
    enum err_code r = ok ? inject_body(j, kind, str_of(bodies[i].body), &out, &e) : ERR_INTERNAL;
    ok = ok && kind != INJECT_BODY_NONE && (r == ERR_OK) == !bodies[i].error &&
         (bodies[i].error ? strcmp(e.msg, bodies[i].error) == 0
                          : str_eq(buf_str(&out), str_of(bodies[i].want)));
    if (!tap_ok(ok, "body: %s", bodies[i].rule))
        tap_note("%d %s: %.*s", r, e.msg, STR_FMT(buf_str(&out)));
}

static void kinds(void)
{
    static const struct {
        const char *fields;
        enum inject_body kind;
    } rows[] = {{"Content-Length: 1\r\n", INJECT_BODY_NONE},
                {"Content-Type: text/plain\r\n", INJECT_BODY_NONE},
                {"Content-Length: 1\r\nContent-Type: multipart/form-data\r\n", INJECT_BODY_NONE},
                {"Content-Length: 1\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n",
                 INJECT_BODY_NONE},
                {"Content-Length: 1\r\nContent-Type: TEXT/html\r\n", INJECT_BODY_TEXT},
                {"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n", INJECT_BODY_JSON}};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[400];
        struct http1_head h = {};
        (void)snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", rows[i].fields);
        ok = ok && request(str_of(text), &h) && inject_body_kind(&h) == rows[i].kind;
    }
    tap_ok(ok, "body: which are rewritten");
}

// ---- responses
// -----------------------------------------------------------------------------------------------

static struct injection *injected(const char *header)
{
    struct injection *j = NULL;
    CLEANUP(buf_done) struct buf text;
    static struct http1_head h;
    struct err e;
    struct str path;
    buf_init(&text, 8 * KIB);
    buf_addf(&text, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", header);
    if (!request(buf_str(&text), &h) || injection_new(ask, NULL, &j, &e) != ERR_OK ||
        inject_head(j, &h, h.path, &path, &e) != ERR_OK)
        abort();
    return j;
}

static bool masks(const struct injection *j, struct str in, size_t cut, struct str want, bool hit)
{
    CLEANUP(mask_done) struct mask m;
    CLEANUP(buf_done) struct buf out;
    struct err e;
    struct str part;
    buf_init(&out, 4 * KIB);
    mask_init(&m, j);
    bool ok = mask_feed(&m, str_head(in, cut), false, &part, &e) == ERR_OK;
    buf_add(&out, part);
    ok = ok && mask_feed(&m, str_from(in, cut), false, &part, &e) == ERR_OK;
    buf_add(&out, part);
    ok = ok && mask_feed(&m, STR(""), true, &part, &e) == ERR_OK;
    buf_add(&out, part);
    return ok && str_eq(buf_str(&out), want) && m.hit == hit;
}

static const struct {
    const char *header, *in, *want;
    bool hit;
    const char *rule;
} reflections[] = {
    {"X: " CANON "KEY\r\n", "got s3cret-value, s3cret-value", "got ************, ************", true,
     "every time"},
    {"X: " CANON "KEY\r\n", "got s3cret-valux s3cret-valu", "got s3cret-valux s3cret-valu", false,
     "not what only begins like it"},
    {"X: " CANON "KEY\r\nY: " CANON "NESTED\r\n", "s3cret-value-and-more s3cret-value",
     "********************* ************", true, "a value within another"},
    {"X: Basic dXNlcjpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6S0VZ\r\n", "dXNlcjpzM2NyZXQtdmFsdWU= s3cret-value",
     "************************ ************", true, "as it was encoded, and as it is"},
    {"X: " CANON "ODD\r\n", "p%40ss%20w%26rd%3D1%25 p@ss w&rd=1%", "********************** ************",
     true, "as a URL has it"},
    {"X: " CANON "QUOTE\r\n", "q\\\"uo\\\\te-12 q\\\\\"uo", "************ q\\\\\"uo", true, "as JSON has it"},
    {"X: " CANON "SHORT\r\n", "abc abc", "abc abc", false, "a value that is too short is not looked for"},
};

static void reflect(size_t i)
{
    CLEANUP(injection_freep) struct injection *j = injected(reflections[i].header);
    struct str in = str_of(reflections[i].in);
    bool ok = true;
    for (size_t cut = 0; ok && cut <= in.n; cut++)
        ok = masks(j, in, cut, str_of(reflections[i].want), reflections[i].hit);
    tap_ok(ok, "reflected, cut anywhere: %s", reflections[i].rule);
}

static void reflected_head(void)
{
    CLEANUP(injection_freep) struct injection *j = injected("X: " CANON "KEY\r\n");
    struct http1_head h = {};
    size_t resume = 0, used;
    struct err e;
    bool hit = false;
    struct str text = STR(
        "HTTP/1.1 200 OK\r\nX-Echo: <s3cret-value>\r\nX-Other: a\r\nContent-Length: 0\r\n\r\n");
    bool ok = http1_response(text, KIB, STR("GET"), &resume, &h, &used, &e) == HTTP1_DONE &&
              mask_head(j, &h, &hit, &e) == ERR_OK;
    tap_ok(ok && hit && str_eq(h.headers[0].value, STR("<************>")) &&
               str_eq(h.headers[1].value, STR("a")),
           "reflected in a header");
    static const struct {
        const char *value;
        bool blind;
    } rows[] = {{"gzip", true}, {"br", true}, {"identity", false}, {"IDENTITY", false}, {"", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http1_head r = {.headers_n = 1};
        r.headers[0] = (struct http1_header){STR("content-encoding"), str_of(rows[i].value)};
        tap_ok(mask_is_blind(&r) == rows[i].blind, "content-encoding '%s': %s", rows[i].value,
               rows[i].blind ? "cannot be looked into" : "can");
    }
}

// ---- request bodies
// --------------------------------------------------------------------------------------------------

static void scanning(void)
{
    const struct str in = STR("openshell: " CANON "KEY");
    const struct str good = STR(
        "openshell:resolve:en o OPENSHELL-RESOLVE-ENV 05e11abe1dc0de5 openshell:reso");
    bool caught = true, leaked = false, whole = true;
    for (size_t cut = 0; cut <= in.n; cut++) {
        struct scan s;
        struct str a = {}, b = {};
        struct err e;
        scan_init(&s);
        bool first = scan_feed(&s, str_head(in, cut), false, &a, &e) == ERR_DENIED;
        leaked |= !first && a.n > 11;
        caught &= first || scan_feed(&s, str_from(in, cut), true, &b, &e) == ERR_DENIED;
        scan_done(&s);
    }
    tap_ok(caught, "scan: a mark is caught wherever it is cut");
    tap_ok(!leaked, "scan: and no byte of it has gone");
    for (size_t cut = 0; cut <= good.n; cut++) {
        CLEANUP(buf_done) struct buf out;
        struct scan s;
        struct str part = {};
        struct err e;
        buf_init(&out, KIB);
        scan_init(&s);
        whole = whole && scan_feed(&s, str_head(good, cut), false, &part, &e) == ERR_OK;
        buf_add(&out, part);
        whole = whole && scan_feed(&s, str_from(good, cut), false, &part, &e) == ERR_OK;
        buf_add(&out, part);
        whole = whole && scan_feed(&s, STR(""), true, &part, &e) == ERR_OK;
        buf_add(&out, part);
        whole = whole && str_eq(buf_str(&out), good);
        scan_done(&s);
    }
    tap_ok(whole, "scan: what is none arrives as it was, to its last byte");
}

static void limits(void)
{
    CLEANUP(injection_freep) struct injection *j = NULL;
    CLEANUP(buf_done) struct buf text;
    struct http1_head h = {};
    struct err e = {};
    struct str path;
    buf_init(&text, 16 * KIB);
    buf_add(&text, STR("GET / HTTP/1.1\r\nHost: a.test\r\n"));
    for (int i = 0; i <= INJECT_VALUES_MAX; i++)
        buf_add(&text, STR("X: " CANON "SHORT\r\n"));
    buf_add(&text, STR("\r\n"));
    bool ok = request(buf_str(&text), &h) && injection_new(ask, NULL, &j, &e) == ERR_OK;
    struct http1_head fewer = h;
    fewer.headers_n--;
    tap_ok(ok && inject_head(j, &h, h.path, &path, &e) == ERR_LIMIT, "one value more than the limit: %s",
           e.msg);
    injection_free(j);
    j = NULL;
    tap_ok(injection_new(ask, NULL, &j, &e) == ERR_OK &&
               inject_head(j, &fewer, fewer.path, &path, &e) == ERR_OK,
           "as many as the limit");
    alloc_fail_at(1);
    struct injection *none = NULL;
    enum err_code r = injection_new(ask, NULL, &none, &e);
    alloc_fail_off();
    tap_ok(r == ERR_LIMIT && !none, "no memory: %s", e.msg);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        head(i);
    elsewhere();
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        body(i);
    kinds();
    for (size_t i = 0; i < ARRAY_LEN(reflections); i++)
        reflect(i);
    reflected_head();
    scanning();
    limits();
    return tap_done();
}
