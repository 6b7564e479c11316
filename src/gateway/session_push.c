// Configuration on its way to a supervisor. A worker waits for the answer; the loop sends, and has the list
// of what has no answer yet. Both hold a share: whoever lets go last frees. The message is the worker's, so
// that the loop looks at it under the lock only, and not once the worker has given up.
#include <stdatomic.h>

#include "gateway/sessions_internal.h"

#if defined(__GNUC__) && !defined(__clang__) // gcc's analyzer takes each share of a push for the last one
#pragma GCC diagnostic ignored "-Wanalyzer-double-free"
#pragma GCC diagnostic ignored "-Wanalyzer-use-after-free"
#endif

struct push {
    atomic_uint refs;
    struct sessions *s;
    struct push *next; // of its session
    char sandbox_id[SESSION_ID_MAX + 1];
    uint64_t id;
    bool sent;
    uv_mutex_t lock; // guards what follows
    uv_cond_t cond;
    Openshell__V1__ConfigPush *message; // NULL: the worker waits no more
    bool done;
    enum err_code code; // ERR_OK: `result` is the answer
    struct err err;
    struct push_result result;
};

static void push_unref(struct push *p)
{
    if (atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    uv_cond_destroy(&p->cond);
    uv_mutex_destroy(&p->lock);
    free(p);
}

// The loop's share ends here.
static void push_fail(struct push *p, enum err_code code, const char *why)
{
    uv_mutex_lock(&p->lock);
    p->code = err_set(&p->err, code, "%s", why);
    p->done = true;
    uv_cond_signal(&p->cond);
    uv_mutex_unlock(&p->lock);
    push_unref(p);
}

static bool is_given_up(struct push *p)
{
    uv_mutex_lock(&p->lock);
    bool given_up = !p->message;
    uv_mutex_unlock(&p->lock);
    return given_up;
}

// ERR_LIMIT: not now.
static enum err_code push_send(struct session *ss, struct push *p, struct err *reterr)
{
    Openshell__V1__GatewayMessage m = OPENSHELL__V1__GATEWAY_MESSAGE__INIT;
    m.payload_case = OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_CONFIG_PUSH;
    enum err_code c = ERR_OK;
    uv_mutex_lock(&p->lock);
    if (p->message) {
        m.config_push = p->message;
        m.config_push->push_id = p->id;
        c = session_send(ss, &m, reterr);
    }
    uv_mutex_unlock(&p->lock);
    p->sent = c == ERR_OK;
    return c;
}

void pushes_writable(struct session *ss)
{
    for (struct push **at = &ss->pushes; *at;) {
        struct push *p = *at;
        struct err err = {};
        if (is_given_up(p)) {
            *at = p->next;
            push_unref(p);
            continue;
        }
        enum err_code c = p->sent ? ERR_OK : push_send(ss, p, &err);
        if (c == ERR_LIMIT)
            return; // and so do those behind it
        if (c == ERR_OK) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        push_fail(p, c, err.msg);
    }
}

void pushes_answer(struct session *ss, const Openshell__V1__ConfigResult *result)
{
    for (struct push **at = &ss->pushes; *at; at = &(*at)->next) {
        struct push *p = *at;
        if (p->id != result->push_id || !p->sent)
            continue;
        *at = p->next;
        uv_mutex_lock(&p->lock);
        p->result.policy_version = result->policy_version;
        p->result.connections_cut = result->connections_cut;
        struct err text = {};
        if (result->error[0])
            err_fill(&text, ERR_INVALID, "%s", result->error); // printable from here on
        memcpy(p->result.error, text.msg, sizeof(p->result.error));
        p->done = true;
        uv_cond_signal(&p->cond);
        uv_mutex_unlock(&p->lock);
        push_unref(p);
        return;
    }
}

void pushes_end(struct session *ss, const char *why)
{
    while (ss->pushes) {
        struct push *p = ss->pushes;
        ss->pushes = p->next;
        push_fail(p, ERR_UNAVAILABLE, why);
    }
}

static void begin(void *arg)
{
    struct push *p = arg;
    struct session *ss = session_find(p->s, str_of(p->sandbox_id));
    if (!ss) {
        push_fail(p, ERR_UNAVAILABLE, "supervisor session not connected");
        return;
    }
    p->id = ++p->s->push_id;
    struct push **end = &ss->pushes;
    while (*end)
        end = &(*end)->next;
    *end = p;
    pushes_writable(ss);
}

static struct push *push_new(struct sessions *s, struct str sandbox_id, Openshell__V1__ConfigPush *message)
{
    struct push *p = calloc(1, sizeof(*p));
    if (!p || !str_cstr(sandbox_id, p->sandbox_id, sizeof(p->sandbox_id)) || uv_mutex_init(&p->lock) != 0) {
        free(p);
        return NULL;
    }
    if (uv_cond_init(&p->cond) != 0) {
        uv_mutex_destroy(&p->lock);
        free(p);
        return NULL;
    }
    p->s = s;
    p->message = message;
    atomic_init(&p->refs, 2);
    return p;
}

enum err_code sessions_push(struct sessions *s, struct str sandbox_id, Openshell__V1__ConfigPush *push,
                            int64_t deadline_ns, struct push_result *ret, struct err *reterr)
{
    struct push *p = push_new(s, sandbox_id, push);
    if (!p)
        return err_set(reterr, ERR_LIMIT, "no memory for a push");
    enum err_code c = rpc_server_post(s->server, begin, p, reterr);
    if (c != ERR_OK) {
        push_unref(p); // the loop's
        push_unref(p);
        return c;
    }
    uv_mutex_lock(&p->lock);
    for (int64_t left_ns = deadline_ns - clock_ns(); !p->done && left_ns > 0;
         left_ns = deadline_ns - clock_ns())
        (void)uv_cond_timedwait(&p->cond, &p->lock, (uint64_t)left_ns); // woken too early is looked at again
    p->message = NULL;
    c = p->done ? p->code : ERR_TIMEOUT;
    if (!p->done)
        err_fill(reterr, ERR_TIMEOUT, "the supervisor has not answered yet");
    else if (c != ERR_OK)
        *reterr = p->err;
    else
        *ret = p->result;
    uv_mutex_unlock(&p->lock);
    push_unref(p);
    return c;
}
