#include "gateway/inference_probe.h"

#include <curl/curl.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/jsonw.h"

enum {
    ANSWER_MAX = 16 * KIB, // of a body; the rest is let go of
    SAID_MAX = 200,        // characters of it in the error; reference: policy 5.6
    URL_MAX = 4 * KIB,
};

static const struct probe {
    const char *protocol, *path, *body; // a JSON object without the model
} probes[] = {
    {"openai_chat_completions", "/chat/completions",
     "\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_completion_tokens\":32"},
    {"openai_chat_completions", "/chat/completions",
     "\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":32"}, // for what wants it that
                                                                                   // way
    {"anthropic_messages", "/messages",
     "\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":32"},
    {"openai_responses", "/responses", "\"input\":\"ping\",\"max_output_tokens\":32"},
    {"openai_completions", "/completions", "\"prompt\":\"ping\",\"max_tokens\":32"},
    {"openai_embeddings", "/embeddings", "\"input\":\"ping\""},
};
enum { RETRY = 1 }; // index of the row that is only for a complaint about the one before it

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); // fails only for want of memory; then easy handles do, too
}

static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct buf *out = ctx;
    size_t room = out->max - out->n;
    buf_add(out, (struct str){p, size * n < room ? size * n : room});
    return size * n;
}

static struct curl_slist *headers_of(const inference_route *r, struct buf *scratch)
{
    bool anthropic = strcmp(r->provider_type, "anthropic") == 0;
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    if (list && r->api_key[0]) {
        buf_addf(scratch, "%s%s", anthropic ? "x-api-key: " : "Authorization: Bearer ", r->api_key);
        buf_addc(scratch, '\0');
        struct curl_slist *more = scratch->full ? NULL : curl_slist_append(list, scratch->p);
        list = more ? more : list;
    }
    if (list && anthropic) {
        struct curl_slist *more = curl_slist_append(list, "anthropic-version: 2023-06-01");
        list = more ? more : list;
    }
    return list;
}

static bool prepare(CURL *easy, const char *url, const char *body, struct curl_slist *headers,
                    struct buf *answer)
{
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)PROBE_MS) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK;
    return ok && curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer) == CURLE_OK;
}

struct outcome {
    CURLcode code;
    long status;
};

static enum err_code try(const inference_route *r, const struct probe *p, const char *url, struct buf *answer,
                         struct outcome *ret, struct err *reterr)
{
    CLEANUP(buf_done) struct buf body;
    CLEANUP(buf_done) struct buf key;
    buf_init(&body, 8 * KIB);
    buf_init(&key, 16 * KIB);
    buf_add(&body, STR("{\"model\":"));
    jsonw_string(&body, str_of(r->model_id));
    buf_addf(&body, ",%s}", p->body);
    buf_addc(&body, '\0');
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = headers_of(r, &key);
    bool ok = easy && headers && !body.full && prepare(easy, url, body.p, headers, answer);
    if (ok) {
        ret->code = curl_easy_perform(easy);
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &ret->status);
    }
    for (struct curl_slist *h = headers; h; h = h->next)
        secret_wipe(h->data, strlen(h->data));
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    if (key.p)
        secret_wipe(key.p, key.n);
    return ok ? ERR_OK : err_set(reterr, ERR_LIMIT, "no memory for a request");
}

static bool says(const struct buf *answer, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= answer->n; i++)
        if (strncasecmp(answer->p + i, word, n) == 0)
            return true;
    return false;
}

static bool is_about_keys(const struct outcome *o, const struct buf *answer)
{
    static const char *const words[] = {"invalid_api_key",      "invalid api key",
                                        "incorrect api key",    "invalid_authentication",
                                        "authentication_error", "authentication failed",
                                        "unauthorized",         "permission_denied",
                                        "permission denied",    "missing api key"};
    if (o->status == 401 || o->status == 403)
        return true;
    bool client = o->status == 400 || o->status == 404 || o->status == 422;
    for (size_t i = 0; client && i < ARRAY_LEN(words); i++)
        if (says(answer, words[i]))
            return true;
    return false;
}

static bool is_shape(long status)
{
    return status == 400 || status == 404 || status == 405 || status == 422;
}

static enum err_code failure(const char *url, const struct outcome *o, const struct buf *answer,
                             struct err *reterr)
{
    const char *what = "the endpoint answered in a way that was not expected";
    if (o->code != CURLE_OK)
        return err_set(
            reterr, ERR_PRECONDITION,
            "failed to verify inference endpoint %s: it cannot be reached (%s). Next steps: check the "
            "address, or retry with '--no-verify'",
            url, curl_easy_strerror(o->code));
    const char *next = "check the provider";
    if (is_about_keys(o, answer)) {
        what = "the credentials were refused";
        next = "check the provider's key";
    } else if (is_shape(o->status)) {
        what = "the endpoint does not take this request";
        next = "check the model's name and the provider's address";
    } else if (o->status == 429) {
        what = "the endpoint is rate limited";
        next = "wait and try again";
    } else if (o->status >= 500) {
        what = "the endpoint has a failure of its own";
        next = "wait and try again";
    }
    return err_set(
        reterr, ERR_PRECONDITION,
        "failed to verify inference endpoint %s: %s with HTTP %ld. Response body: %.*s. Next steps: %s, or "
        "retry with '--no-verify'",
        url, what, o->status, (int)(answer->n < SAID_MAX ? answer->n : SAID_MAX), answer->p ? answer->p : "",
        next);
}

static bool speaks(const inference_route *r, const char *protocol)
{
    for (size_t i = 0; i < r->n_protocols; i++)
        if (strcmp(r->protocols[i], protocol) == 0)
            return true;
    return false;
}

static enum err_code url_of(const inference_route *r, const struct probe *p, char dst[static URL_MAX],
                            struct err *reterr)
{
    const char *path = p->path;
    if (r->_request_path_override_case ==
        OPENSHELL__INFERENCE__V1__RESOLVED_ROUTE___REQUEST_PATH_OVERRIDE_REQUEST_PATH_OVERRIDE)
        path = r->request_path_override;
    int n = r->model_in_path ? snprintf(dst, URL_MAX, "%s/%s%s", r->base_url, r->model_id, path)
                             : snprintf(dst, URL_MAX, "%s%s", r->base_url, path);
    return n > 0 && n < URL_MAX ? ERR_OK : err_set(reterr, ERR_LIMIT, "the route's address is too long");
}

enum err_code inference_probe(const inference_route *r, struct arena *a, const char **ret_url,
                              const char **ret_protocol, struct err *reterr)
{
    char url[URL_MAX];
    bool tried = false, again = false;
    struct err first = {};
    (void)pthread_once(&curl_once, curl_start);
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        struct outcome o = {};
        CLEANUP(buf_done) struct buf answer;
        buf_init(&answer, ANSWER_MAX);
        if (!speaks(r, probes[i].protocol) || (i == RETRY && !again))
            continue;
        enum err_code c = url_of(r, &probes[i], url, reterr);
        if (c == ERR_OK)
            c = try(r, &probes[i], url, &answer, &o, reterr);
        if (c != ERR_OK)
            return c;
        if (o.code == CURLE_OK && o.status >= 200 && o.status < 300) {
            struct str kept = {};
            if (!arena_dup(a, str_of(url), &kept))
                return arena_limit(a, "an address", reterr);
            *ret_url = kept.p;
            *ret_protocol = probes[i].protocol;
            return ERR_OK;
        }
        struct err e = {};
        c = failure(url, &o, &answer, &e);
        again = says(&answer, "max_completion_tokens");
        if (!tried)
            first = e;
        tried = true;
        if (o.code != CURLE_OK || !is_shape(o.status) || is_about_keys(&o, &answer)) {
            *reterr = e;
            return c;
        }
    }
    if (!tried)
        return err_set(
            reterr, ERR_PRECONDITION,
            "failed to verify inference endpoint: route '%s' has no protocol that can be tried; retry with "
            "'--no-verify'",
            r->name);
    *reterr = first; // of the first protocol, which is the likely one
    return ERR_PRECONDITION;
}
