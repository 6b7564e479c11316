// Who is connected is told on workers, in order for each sandbox: one job of it at a time, the next when that
// ends.
#include "gateway/sessions_internal.h"

struct note {
    struct note *next;
    bool connected;
    size_t n;
    uint8_t hello[]; // as packed
};

struct teller { // of one sandbox, while there is something to tell
    uv_work_t work;
    struct sessions *s;
    struct teller *next; // in its bucket
    struct note *first, **end;
    char sandbox_id[SESSION_ID_MAX + 1];
};

static void on_work(uv_work_t *work)
{
    struct teller *t = work->data;
    const struct note *n = t->first;
    const struct sessions_ops *ops = &t->s->ops;
    if (!n->connected) {
        if (ops->disconnected)
            ops->disconnected(ops->ctx, str_of(t->sandbox_id));
        return;
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    ProtobufCMessage *m = NULL;
    struct err ignored = {};
    if (ops->connected && wire_unpack(&openshell__v1__supervisor_hello__descriptor,
                                      (struct str){(const char *)n->hello, n->n}, &a, &m, &ignored) == ERR_OK)
        ops->connected(ops->ctx, str_of(t->sandbox_id), (const Openshell__V1__SupervisorHello *)m);
}

static void after_work(uv_work_t *work, int status);

static void start(struct teller *t)
{
    t->work.data = t;
    if (uv_queue_work(t->s->loop, &t->work, on_work, after_work) != 0)
        after_work(&t->work, UV_ECANCELED);
}

static void after_work(uv_work_t *work, int status)
{
    (void)status; // a note that could not be told is left out
    struct teller *t = work->data;
    struct note *told = t->first;
    t->first = told->next;
    free(told);
    if (t->first) {
        start(t);
        return;
    }
    for (struct teller **p = &t->s->tellers[sessions_bucket(str_of(t->sandbox_id))]; *p; p = &(*p)->next)
        if (*p == t) {
            *p = t->next;
            break;
        }
    free(t);
}

static void tell(struct sessions *s, struct str sandbox_id, struct note *n)
{
    struct teller **bucket = &s->tellers[sessions_bucket(sandbox_id)];
    for (struct teller *t = *bucket; t; t = t->next)
        if (str_eq(str_of(t->sandbox_id), sandbox_id)) {
            *t->end = n;
            t->end = &n->next;
            return;
        }
    struct teller *t = calloc(1, sizeof(*t));
    if (!t || !str_cstr(sandbox_id, t->sandbox_id, sizeof(t->sandbox_id))) {
        free(n);
        free(t);
        return;
    }
    t->s = s;
    t->first = n;
    t->end = &n->next;
    t->next = *bucket;
    *bucket = t;
    start(t);
}

void notes_connected(struct sessions *s, struct str sandbox_id, const Openshell__V1__SupervisorHello *hello)
{
    size_t size = openshell__v1__supervisor_hello__get_packed_size(hello);
    struct note *n = calloc(1, sizeof(*n) + size);
    if (!n)
        return;
    n->connected = true;
    n->n = openshell__v1__supervisor_hello__pack(hello, n->hello);
    tell(s, sandbox_id, n);
}

void notes_disconnected(struct sessions *s, struct str sandbox_id)
{
    struct note *n = s->stopping ? NULL : calloc(1, sizeof(*n));
    if (n)
        tell(s, sandbox_id, n);
}
