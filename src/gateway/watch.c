// Buses: what is known of each sandbox, and who wants to know. See watch_stream.c for how it reaches them.
#include "gateway/watch_internal.h"

#include "base/utf8.h"
#include "rpc/wire.h"

#if defined(__GNUC__) && !defined(__clang__) // gcc's analyzer loses sight of what a ring holds
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

typedef Openshell__V1__SandboxLogLine Line;

enum { TARGET_MAX = 256, LEVEL_MAX = 32, RING_START = 32 };

// ---- items and rings

struct item *item_ref(struct item *x)
{
    atomic_fetch_add(&x->refs, 1);
    return x;
}

void item_unref(struct item *x)
{
    if (x && atomic_fetch_sub(&x->refs, 1) == 1)
        free(x);
}

struct item *item_new(const ProtobufCMessage *m, bool is_event)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    struct item *x = n <= ITEM_MAX ? malloc(sizeof(*x) + n) : NULL;
    if (!x)
        return NULL;
    atomic_init(&x->refs, 1);
    x->is_event = is_event;
    x->n = protobuf_c_message_pack(m, (uint8_t *)x->bytes);
    return x;
}

static size_t ring_at(const struct ring *r, size_t i)
{
    assert(r->cap > 0); // something is in it, or ring_grow() has just made room
    return (r->head + i) % r->cap;
}

static bool ring_grow(struct ring *r)
{
    if (r->n < r->cap)
        return true;
    size_t cap = r->cap > 0 ? r->cap * 2 : RING_START;
    struct item **v = calloc(cap, sizeof(struct item *)), **old = r->v;
    if (!v)
        return false;
    for (size_t i = 0; i < r->n; i++)
        v[i] = r->v[ring_at(r, i)];
    r->v = v;
    r->cap = cap;
    r->head = 0;
    free(old);
    return true;
}

static void ring_drop(struct ring *r)
{
    struct item *x = r->v[ring_at(r, 0)];
    r->bytes -= x->n;
    item_unref(x);
    r->head = (r->head + 1) % r->cap;
    r->n--;
}

bool ring_push(struct ring *r, struct item *x, size_t bytes_max)
{
    while (r->n > 0 && (r->n >= r->max || r->bytes + x->n > bytes_max))
        ring_drop(r);
    if (!ring_grow(r))
        return false;
    r->v[ring_at(r, r->n)] = item_ref(x);
    r->n++;
    r->bytes += x->n;
    return true;
}

bool ring_unshift(struct ring *r, struct item *x, size_t bytes_max)
{
    if (r->n >= r->max || r->bytes + x->n > bytes_max || !ring_grow(r))
        return false;
    r->head = (r->head + r->cap - 1) % r->cap;
    r->n++;
    r->v[r->head] = item_ref(x);
    r->bytes += x->n;
    return true;
}

void ring_clear(struct ring *r)
{
    while (r->n > 0)
        ring_drop(r);
    free(r->v);
    *r = (struct ring){.max = r->max};
}

// ---- buses

static bool is_id(struct str id)
{
    bool ok = id.n > 0 && id.n <= BUS_ID_MAX;
    for (size_t i = 0; ok && i < id.n; i++)
        ok = char_is_alpha(id.p[i]) || char_is_digit(id.p[i]) || id.p[i] == '-';
    return ok; // it becomes the name of a file
}

static bool was_forgotten(const struct watch *w, struct str id)
{
    for (size_t i = 0; i < FORGOTTEN; i++)
        if (str_eq(str_of(w->forgotten[i]), id))
            return true;
    return false;
}

struct bus *bus_find(struct watch *w, struct str id, bool make)
{
    struct bus **slot = &w->slots[str_hash(id, 0) % BUSES], *b = *slot;
    while (b && !str_eq(str_of(b->id), id))
        b = b->next;
    if (b || !make || !is_id(id) || was_forgotten(w, id))
        return b;
    b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    memcpy(b->id, id.p, id.n);
    b->lines.max = WATCH_LOG_LINES;
    b->events.max = WATCH_EVENTS;
    b->unwritten.max = BUS_UNWRITTEN;
    b->loaded = !w->keeps;
    b->next = *slot;
    *slot = b;
    return b;
}

static void bus_free(struct bus *b)
{
    ring_clear(&b->lines);
    ring_clear(&b->events);
    ring_clear(&b->unwritten);
    free(b);
}

static void bus_unhash(struct watch *w, const struct bus *b)
{
    struct bus **at = &w->slots[str_hash(str_of(b->id), 0) % BUSES];
    while (*at && *at != b)
        at = &(*at)->next;
    if (*at)
        *at = b->next;
}

void bus_unpin(struct watch *w, struct bus *b)
{
    b->pins--;
    if (b->pins > 0 || b->watchers || (!b->forgotten && (b->lines.n > 0 || b->events.n > 0)))
        return;
    if (!b->forgotten) // nothing is known of it, and nobody asks
        bus_unhash(w, b);
    bus_free(b);
}

// ---- noting

void watcher_mark(struct watcher *x)
{
    if (x->is_ready)
        return;
    x->is_ready = true;
    x->ready_next = x->w->ready;
    x->w->ready = x;
}

void watch_wake(struct watch *w)
{
    struct err err = {};
    (void)pthread_mutex_lock(&w->mu);
    bool post = w->ready && !w->posted && w->server;
    w->posted = w->posted || post;
    (void)pthread_mutex_unlock(&w->mu);
    if (!post || rpc_server_post(w->server, watch_turn, w, &err) == ERR_OK)
        return;
    (void)pthread_mutex_lock(&w->mu);
    w->posted = false; // no memory now, so the next that is noted wakes it; or the server has ended
    (void)pthread_mutex_unlock(&w->mu);
}

// A watcher that reads too slowly loses all that waits for it, and is told how much that was.
static void enqueue(struct watcher *x, struct item *item)
{
    struct node *n = x->lost == 0 && x->live_n < WATCH_QUEUE ? calloc(1, sizeof(*n)) : NULL;
    if (n) {
        n->item = item_ref(item);
        *x->last = n;
        x->last = &n->next;
        x->live_n++;
    } else {
        x->lost += 1 + (x->lost == 0 ? x->live_n : 0);
    }
    watcher_mark(x);
}

// The share in `item` is the caller's still.
static void note(struct watch *w, struct bus *b, struct item *item, const Line *line)
{
    if (line) {
        (void)ring_push(&b->lines, item, WATCH_LOG_BYTES); // no memory: it is only delivered
        if (w->keeps && ring_push(&b->unwritten, item, WATCH_FILE_MAX - ITEM_MAX)) // drops the oldest
            file_mark(w, b);
    } else {
        (void)ring_push(&b->events, item, SIZE_MAX);
    }
    for (struct watcher *x = b->watchers; x; x = x->next) {
        struct watch_filter f = x->filter;
        f.since_ms = INT64_MIN; // holds for what was before (reference: gateway 3.4)
        bool wanted = line ? x->follow_logs && watch_passes(&f, line) : x->follow_events;
        if (wanted)
            enqueue(x, item);
    }
}

void watch_changed(struct watch *w, struct str sandbox_id)
{
    (void)pthread_mutex_lock(&w->mu);
    struct bus *b = bus_find(w, sandbox_id, false);
    for (struct watcher *x = b ? b->watchers : NULL; x; x = x->next) {
        x->changed = true;
        watcher_mark(x);
    }
    (void)pthread_mutex_unlock(&w->mu);
    watch_wake(w);
}

// At most `max` bytes of `s`, whole characters. NULL: no memory.
static char *cut(char *s, size_t max, struct arena *a)
{
    struct str all = str_of(s), copy = {};
    if (all.n <= max)
        return s;
    size_t n = max;
    while (n > 0 && ((unsigned char)all.p[n] & 0xc0) == 0x80)
        n--; // it is UTF-8, so this is the beginning of a character
    return arena_dup(a, str_head(all, n), &copy) ? (char *)(uintptr_t)copy.p : NULL;
}

void watch_log(struct watch *w, struct str sandbox_id, const Line *line)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    Line m = *line;
    m.sandbox_id = (char *)(uintptr_t)protobuf_c_empty_string; // the bus knows
    m.message = cut(line->message, WATCH_LINE_MAX, &a);
    m.target = cut(line->target, TARGET_MAX, &a);
    m.level = cut(line->level, LEVEL_MAX, &a);
    m.source = cut(line->source, LEVEL_MAX, &a);
    if (!m.message || !m.target || !m.level || !m.source)
        return;
    if (!m.source[0])
        m.source = (char *)(uintptr_t) "gateway";
    if (protobuf_c_message_get_packed_size(&m.base) > ITEM_MAX / 2)
        m.n_fields = 0;
    struct item *item = item_new(&m.base, false);
    if (!item)
        return;
    (void)pthread_mutex_lock(&w->mu);
    struct bus *b = bus_find(w, sandbox_id, true);
    if (b)
        note(w, b, item, &m);
    (void)pthread_mutex_unlock(&w->mu);
    item_unref(item);
    watch_wake(w);
}

void watch_event(struct watch *w, struct str sandbox_id, const Openshell__V1__PlatformEvent *event)
{
    struct item *item = item_new(&event->base, true);
    if (!item)
        return;
    (void)pthread_mutex_lock(&w->mu);
    struct bus *b = bus_find(w, sandbox_id, true);
    if (b)
        note(w, b, item, NULL);
    (void)pthread_mutex_unlock(&w->mu);
    item_unref(item);
    watch_wake(w);
}

void watch_forget(struct watch *w, struct str sandbox_id)
{
    (void)pthread_mutex_lock(&w->mu);
    struct bus *b = bus_find(w, sandbox_id, true); // also one that is known to a file only
    if (b) {
        bus_unhash(w, b);
        memcpy(w->forgotten[w->forgotten_at++ % FORGOTTEN], b->id, sizeof(b->id));
        b->forgotten = true;
        for (struct watcher *x = b->watchers; x; x = x->next) {
            x->over = true;
            watcher_mark(x);
        }
        b->pins++;
        if (w->keeps)
            file_mark(w, b); // the writer removes the files
        bus_unpin(w, b);
    }
    (void)pthread_mutex_unlock(&w->mu);
    watch_wake(w);
}

// ---- asking

// Reference: gateway 3.4.
static unsigned rank(const char *level)
{
    static const struct {
        const char *word;
        unsigned rank;
    } ranks[] = {{"ERROR", 0}, {"WARN", 1}, {"INFO", 2}, {"OCSF", 2}, {"DEBUG", 3}, {"TRACE", 4}};
    for (size_t i = 0; i < ARRAY_LEN(ranks); i++)
        if (str_eq_ci(str_of(level), str_of(ranks[i].word)))
            return ranks[i].rank;
    return 5;
}

bool watch_passes(const struct watch_filter *f, const Line *line)
{
    bool named = f->n_sources == 0;
    for (size_t i = 0; i < f->n_sources && !named; i++)
        named = strcmp(f->sources[i], line->source[0] ? line->source : "gateway") == 0;
    return named && line->timestamp_ms >= f->since_ms &&
           (!f->min_level[0] || rank(line->level) <= rank(f->min_level));
}

// Shares of the last lines, so that they can be unpacked without the lock.
static size_t take_tail(struct watch *w, struct str id, size_t n, struct item **ret)
{
    (void)pthread_mutex_lock(&w->mu);
    const struct bus *b = bus_find(w, id, false);
    size_t have = b ? b->lines.n : 0, take = have < n ? have : n;
    for (size_t i = 0; i < take; i++)
        ret[i] = item_ref(b->lines.v[ring_at(&b->lines, have - take + i)]);
    (void)pthread_mutex_unlock(&w->mu);
    return take;
}

static void load(struct watch *w, struct str id)
{
    (void)pthread_mutex_lock(&w->mu);
    struct bus *b = bus_find(w, id, w->keeps);
    bool loaded = !b || b->loaded;
    if (!loaded)
        b->pins++;
    (void)pthread_mutex_unlock(&w->mu);
    if (loaded)
        return;
    file_load(w, b);
    (void)pthread_mutex_lock(&w->mu);
    bus_unpin(w, b);
    (void)pthread_mutex_unlock(&w->mu);
}

enum err_code watch_tail(struct watch *w, struct str sandbox_id, size_t n, struct arena *a, Line ***ret,
                         size_t *ret_n, struct err *reterr)
{
    if (n > WATCH_LOG_LINES)
        n = WATCH_LOG_LINES;
    struct item **items = arena_newn(a, struct item *, n);
    Line **lines = arena_newn(a, Line *, n);
    struct str id = {};
    if (!items || !lines || !arena_dup(a, sandbox_id, &id))
        return arena_limit(a, "log lines", reterr);
    load(w, sandbox_id);
    size_t taken = take_tail(w, sandbox_id, n, items), made = 0;
    enum err_code c = ERR_OK;
    for (size_t i = 0; i < taken; i++) {
        ProtobufCMessage *m = NULL;
        if (c == ERR_OK)
            c = wire_unpack(&openshell__v1__sandbox_log_line__descriptor,
                            (struct str){items[i]->bytes, items[i]->n}, a, &m, reterr);
        item_unref(items[i]);
        if (c != ERR_OK)
            continue;
        lines[made] = (Line *)(void *)m;
        lines[made++]->sandbox_id = (char *)(uintptr_t)id.p;
    }
    if (c == ERR_OK) {
        *ret = lines;
        *ret_n = made;
    }
    return c;
}

// ---- life

enum err_code watch_new(struct watch **ret, struct err *reterr)
{
    struct watch *w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(reterr, ERR_LIMIT, "no memory for watchers");
    (void)pthread_mutex_init(&w->mu, NULL); // none of these can fail without attributes
    (void)pthread_mutex_init(&w->io, NULL);
    (void)pthread_cond_init(&w->work, NULL);
    *ret = w;
    return ERR_OK;
}

void watch_attach(struct watch *w, struct rpc_server *server, uv_loop_t *loop)
{
    w->server = server;
    w->loop = loop;
}

bool watch_call_add(struct watch *w, struct watch_call *c)
{
    if (w->ending)
        return false;
    c->next = w->calls;
    c->at = &w->calls;
    if (c->next)
        c->next->at = &c->next;
    w->calls = c;
    return true;
}

void watch_call_remove(struct watch_call *c)
{
    if (!c->at)
        return;
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    c->at = NULL;
}

void watch_stop(struct watch *w)
{
    struct err err = {};
    err_fill(&err, ERR_UNAVAILABLE, "the gateway is ending");
    w->ending = true;
    while (w->calls)
        w->calls->end(w->calls, &err);
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->keeps)
        file_stop(w);
    for (size_t i = 0; i < BUSES; i++) {
        for (struct bus *b = w->slots[i], *next; b; b = next) {
            next = b->next;
            bus_free(b);
        }
    }
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->io);
    (void)pthread_mutex_destroy(&w->mu);
    free(w);
}
