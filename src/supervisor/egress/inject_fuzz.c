// A head with placeholders anywhere, then a response that may hold what was written: no mark is left in what
// goes out, and no value in what comes back, wherever either is cut.
#include "supervisor/egress/inject.h"

static const struct str value = {"s3cret-value", 12};

static enum err_code ask(void *ctx, struct str placeholder, char *out, size_t *ret_n, struct err *e)
{
    struct placeholder p;
    (void)ctx;
    assert(placeholder_parse(placeholder, &p));
    if (str_eq(p.key, STR("NO")))
        return err_set(e, ERR_NOT_FOUND, "no");
    memcpy(out, value.p, value.n);
    *ret_n = value.n;
    return ERR_OK;
}

static void masked(const struct injection *j, struct str response)
{
    for (size_t cut = 0; cut <= response.n && cut < 64; cut++) {
        CLEANUP(mask_done) struct mask m;
        CLEANUP(buf_done) struct buf out;
        struct str part;
        struct err e;
        buf_init(&out, MIB);
        mask_init(&m, j);
        bool ok = mask_feed(&m, str_head(response, cut), false, &part, &e) == ERR_OK;
        buf_add(&out, part);
        ok = ok && mask_feed(&m, str_from(response, cut), true, &part, &e) == ERR_OK;
        buf_add(&out, part);
        assert(!ok || (out.n == response.n && !memmem(out.p ? out.p : "", out.n, value.p, value.n)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(injection_freep) struct injection *j = NULL;
    CLEANUP(buf_done) struct buf body;
    static struct http1_head h;
    struct str in = {(const char *)data, size}, path;
    size_t resume = 0, used, held;
    struct err e;
    buf_init(&body, 512 * KIB);
    if (http1_request(in, HTTP1_HEAD_MAX, &resume, &h, &used, &e) != HTTP1_DONE ||
        injection_new(ask, NULL, &j, &e) != ERR_OK)
        return 0;
    struct str rest = str_from(in, used);
    if (inject_body_kind(&h) != INJECT_BODY_NONE && rest.n <= INJECT_BODY_MAX &&
        inject_body(j, inject_body_kind(&h), rest, &body, &e) == ERR_OK)
        assert(!placeholder_has_mark(buf_str(&body), &held));
    if (h.form != FORM_ORIGIN || inject_head(j, &h, h.path, &path, &e) != ERR_OK)
        return 0;
    assert(!placeholder_has_mark(path, &held) && !placeholder_has_mark(h.query, &held));
    for (size_t i = 0; i < h.headers_n; i++) {
        assert(!placeholder_has_mark(h.headers[i].name, &held));
        assert(!placeholder_has_mark(h.headers[i].value, &held));
        assert(!memchr(h.headers[i].value.p, '\n', h.headers[i].value.n));
    }
    if (injection_is_used(j))
        masked(j, rest);
    return 0;
}
