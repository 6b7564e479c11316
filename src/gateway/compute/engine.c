// libcurl does HTTP. One easy handle for each call: an engine answers in milliseconds, and a connection costs
// it microseconds, so nothing is shared but the socket's path.
#include "gateway/compute/engine.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"

enum {
    CONNECT_MS = 10'000, // ours: a local socket whose listener is alive accepts at once
    URL_MAX = 8 * KIB,   // of a path with its query; ours
};

struct engine {
    atomic_bool stopped;
    char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

// What a call gets back: JSON objects one by one, or all of the bytes.
struct sink {
    struct engine *en;
    struct buf bytes;
    bool (*object)(void *ctx, json_t *object);
    void *ctx;
    bool ended; // by `object`
    bool truncate, full, malformed;
    CURL *easy;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); // fails only for want of memory; then easy handles do, too
}

enum err_code engine_new(const char *socket, struct engine **ret, struct err *reterr)
{
    struct str path = str_of(socket);
    if (path.n == 0 || path.p[0] != '/' || path.n >= sizeof((*ret)->socket))
        return err_set(reterr, ERR_INVALID, "%.*s is no path of a Unix socket: absolute, at most %zu bytes",
                       STR_FMT(path), sizeof((*ret)->socket) - 1);
    struct engine *en = calloc(1, sizeof(*en));
    if (!en)
        return err_set(reterr, ERR_LIMIT, "no memory for an engine");
    (void)pthread_once(&curl_once, curl_start);
    memcpy(en->socket, path.p, path.n);
    *ret = en;
    return ERR_OK;
}

void engine_free(struct engine *en)
{
    free(en);
}

void engine_stop(struct engine *en)
{
    atomic_store(&en->stopped, true);
}

void engine_escape(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (char_is_alpha(c) || char_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~')
            buf_addc(out, c);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

// ---- what comes back

// Objects stand one behind the other, with white space between them. A part of one waits for the rest.
static bool take_objects(struct sink *s)
{
    size_t at = 0;
    while (at < s->bytes.n && !s->ended) {
        json_error_t je;
        json_t *o = json_loadb(s->bytes.p + at, s->bytes.n - at,
                               JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &je);
        if (!o)
            break;
        at += (size_t)je.position;
        s->ended = !s->object(s->ctx, o);
        json_decref(o);
        while (at < s->bytes.n && strchr(" \r\n\t", s->bytes.p[at]))
            at++;
    }
    memmove(s->bytes.p, s->bytes.p + at, s->bytes.n - at);
    s->bytes.n -= at;
    return !s->ended;
}

// Engines write an object on a line. The start of one that is wrong however it goes on never ends; a line
// does.
static bool is_stuck(const struct sink *s)
{
    return s->bytes.n > 0 && memchr(s->bytes.p, '\n', s->bytes.n) != NULL;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct sink *s = ctx;
    n *= size; // size is 1, as libcurl says
    long status = 0;
    (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    size_t room = s->bytes.max - s->bytes.n;
    if (n > room && s->truncate) {
        buf_add(&s->bytes, (struct str){p, room});
        return n;
    }
    if (n > room) {
        s->full = true;
        return 0;
    }
    buf_add(&s->bytes, (struct str){p, n});
    if (!s->object || status >= 300)
        return n;
    if (!take_objects(s))
        return 0;
    s->malformed = is_stuck(s);
    return s->malformed ? 0 : n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    const struct sink *s = ctx;
    return s->object && atomic_load(&s->en->stopped);
}

static enum err_code code_of(long status)
{
    switch (status) {
    case 400:
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_EXISTS;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : ERR_INTERNAL;
    }
}

// {"message": "…"} of Docker, {"cause": …, "message": …} of Podman.
static enum err_code refused(long status, const struct sink *s, struct err *reterr)
{
    json_t *o = json_loadb(s->bytes.p ? s->bytes.p : "", s->bytes.n, JSON_REJECT_DUPLICATES, NULL);
    const char *message = json_string_value(json_object_get(o, "message"));
    enum err_code r = err_set(reterr, code_of(status), "%s", message ? message : "no reason given");
    if (!message)
        r = err_wrap(reterr, r, "the engine answers %ld", status);
    json_decref(o);
    return r;
}

static enum err_code failed(const struct engine *en, CURLcode code, const struct sink *s, struct err *reterr)
{
    if (s->ended)
        return ERR_OK;
    if (s->full)
        return err_set(reterr, ERR_LIMIT, "the engine's answer has more than %zu bytes", s->bytes.max);
    if (s->malformed)
        return err_set(reterr, ERR_INTERNAL, "the engine's answer is not JSON");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(reterr, ERR_TIMEOUT, "the engine at %s does not answer", en->socket);
    if (code == CURLE_COULDNT_CONNECT &&
        (access(en->socket, F_OK) == 0 && access(en->socket, R_OK | W_OK) != 0))
        return err_set(reterr, ERR_DENIED,
                       "the engine's socket %s may not be used by this user; the engine's group may",
                       en->socket);
    if (code == CURLE_COULDNT_CONNECT)
        return err_set(reterr, ERR_UNAVAILABLE, "no engine answers at %s; is it running?", en->socket);
    return err_set(reterr, ERR_UNAVAILABLE, "the engine at %s: %s", en->socket, curl_easy_strerror(code));
}

// ---- calls

struct request {
    const char *method, *path;
    char *body; // JSON, or NULL
    long timeout_ms;
};

static bool prepare(CURL *easy, const struct engine *en, const struct request *q, const char *url,
                    struct curl_slist *headers, struct sink *s)
{
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, en->socket) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK; // whatever the environment says
    ok = ok && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, q->timeout_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEDATA, s) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_XFERINFODATA, s) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    if (q->body || strcmp(q->method, "POST") == 0)
        ok = ok && curl_easy_setopt(easy, CURLOPT_POSTFIELDS, q->body ? q->body : "") == CURLE_OK;
    return ok;
}

static enum err_code perform(struct engine *en, const struct request *q, struct sink *s, struct err *reterr)
{
    char url[URL_MAX];
    int n = snprintf(url, sizeof(url), "http://localhost%s", q->path);
    if (n < 0 || (size_t)n >= sizeof(url))
        return err_set(reterr, ERR_LIMIT, "a request to the engine has more than %d bytes", URL_MAX);
    CURL *easy = curl_easy_init();
    // An answer of "100 Continue" is not waited for; an empty value takes a header out.
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    struct curl_slist *more = headers ? curl_slist_append(headers, "Content-Type: application/json") : NULL;
    s->en = en;
    s->easy = easy;
    enum err_code r = ERR_OK;
    if (!easy || !more || !prepare(easy, en, q, url, headers, s)) {
        r = err_set(reterr, ERR_LIMIT, "no memory for a request to the engine");
    } else {
        long status = 0;
        CURLcode code = curl_easy_perform(easy);
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK)
            r = failed(en, code, s, reterr);
        else if (status >= 300 && status != 304) // 304: it is as was asked already
            r = refused(status, s, reterr);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return r;
}

enum err_code engine_call(struct engine *en, const char *method, const char *path, const json_t *body,
                          json_t **ret, struct err *reterr)
{
    struct sink s = {};
    struct request q = {.method = method, .path = path, .timeout_ms = ENGINE_CALL_MS};
    json_t *answer = NULL;
    if (body && !(q.body = json_dumps(body, JSON_COMPACT)))
        return err_set(reterr, ERR_INVALID, "a request to the engine cannot be written as JSON");
    buf_init(&s.bytes, ENGINE_REPLY_MAX);
    enum err_code r = perform(en, &q, &s, reterr);
    if (r == ERR_OK && ret && s.bytes.n > 0) {
        answer = json_loadb(s.bytes.p, s.bytes.n, JSON_REJECT_DUPLICATES, NULL);
        if (!answer)
            r = err_set(reterr, ERR_INTERNAL, "the engine's answer to %s %s is not JSON", method, path);
    }
    if (r == ERR_OK && ret)
        *ret = answer;
    buf_done(&s.bytes);
    free(q.body);
    return r;
}

enum err_code engine_bytes(struct engine *en, const char *path, struct buf *out, struct err *reterr)
{
    struct sink s = {.truncate = true};
    const struct request q = {.method = "GET", .path = path, .timeout_ms = ENGINE_CALL_MS};
    buf_init(&s.bytes, out->max - out->n);
    enum err_code r = perform(en, &q, &s, reterr);
    if (r == ERR_OK)
        buf_add(out, buf_str(&s.bytes));
    buf_done(&s.bytes);
    return r;
}

enum err_code engine_stream(struct engine *en, const char *method, const char *path,
                            bool (*object)(void *ctx, json_t *object), void *ctx, struct err *reterr)
{
    struct sink s = {.object = object, .ctx = ctx};
    const struct request q = {.method = method, .path = path};
    buf_init(&s.bytes, ENGINE_LINE_MAX);
    enum err_code r = perform(en, &q, &s, reterr);
    buf_done(&s.bytes);
    return r;
}
