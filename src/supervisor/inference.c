#include "supervisor/inference.h"

#include "rpc/wire.h"

enum { ROUTE_ARENA_MAX = 2 * MIB, COUNTS_MAX = 2 * ROUTES_MAX };

typedef Openshell__Inference__V1__GetInferenceBundleResponse bundle;

struct count { // of a route's name, also while no route has it
    char name[ROUTE_NAME_MAX + 1];
    uint64_t requests, tokens[3]; // in, out, cached
    uint64_t cost;                // in 10^-12 of a dollar
};

struct set {
    struct arena arena;
    bundle *m; // without keys
    struct route *v;
    struct secret *keys;
    size_t n;
};

struct inference {
    struct set now;
    struct count counts[COUNTS_MAX];
    size_t counts_n;
};

static void set_done(struct set *s)
{
    for (size_t i = 0; i < s->n; i++)
        secret_done(&s->keys[i]);
    arena_done(&s->arena);
    *s = (struct set){};
}

enum err_code inference_new(struct inference **ret, struct err *e)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? ERR_OK : err_set(e, ERR_LIMIT, "no memory for the inference routes");
}

void inference_free(struct inference *i)
{
    if (!i)
        return;
    set_done(&i->now);
    free(i);
}

// ---- counts
// ------------------------------------------------------------------------------------------------

static struct count *count_of(struct inference *i, struct str name)
{
    for (size_t k = 0; k < i->counts_n; k++)
        if (str_eq(str_of(i->counts[k].name), name))
            return &i->counts[k];
    return NULL;
}

static const struct route *find(const struct set *s, struct str name)
{
    for (size_t k = 0; k < s->n; k++)
        if (str_eq(s->v[k].name, name))
            return &s->v[k];
    return NULL;
}

// There is room: names that no route has any more give theirs up.
static void count_add(struct inference *i, struct str name)
{
    if (count_of(i, name))
        return;
    size_t at = i->counts_n;
    if (at == COUNTS_MAX)
        for (at = 0; at + 1 < COUNTS_MAX && find(&i->now, str_of(i->counts[at].name)); at++)
            ;
    else
        i->counts_n++;
    i->counts[at] = (struct count){};
    memcpy(i->counts[at].name, name.p, name.n);
}

// ---- a new set
// -----------------------------------------------------------------------------------------------

static enum err_code take_keys(struct set *s, bundle *m, struct err *e)
{
    s->keys = arena_newn(&s->arena, struct secret, m->n_routes);
    s->v = arena_newn(&s->arena, struct route, m->n_routes);
    if (!s->keys || !s->v)
        return arena_limit(&s->arena, "the inference routes", e);
    for (; s->n < m->n_routes; s->n++) {
        struct str key = str_of(m->routes[s->n]->api_key);
        for (size_t k = 0; k < key.n; k++)
            if ((unsigned char)key.p[k] < 0x20 || (unsigned char)key.p[k] >= 0x7f)
                return err_set(e, ERR_INVALID, "inference route '%.*s': a key that fits no header",
                               STR_FMT(str_of(m->routes[s->n]->name)));
        enum err_code r = secret_init(&s->keys[s->n], key, e);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

static void wipe_keys(bundle *m)
{
    for (size_t i = 0; i < m->n_routes; i++)
        secret_wipe(m->routes[i]->api_key, strlen(m->routes[i]->api_key));
}

// A copy of the message, whose keys are wiped by now, and its routes.
static enum err_code take_routes(struct set *s, const bundle *m, struct err *e)
{
    CLEANUP(buf_done) struct buf packed;
    buf_init(&packed, INFERENCE_BUNDLE_MAX);
    ProtobufCMessage *copy = NULL;
    enum err_code r = wire_pack(&m->base, &packed, e);
    if (r == ERR_OK)
        r = wire_unpack(m->base.descriptor, buf_str(&packed), &s->arena, &copy, e);
    if (r != ERR_OK)
        return r;
    s->m = (bundle *)copy;
    for (size_t i = 0; r == ERR_OK && i < s->m->n_routes; i++) {
        r = route_parse(s->m->routes[i], &s->v[i], e);
        for (size_t k = 0; r == ERR_OK && k < i; k++)
            if (str_eq(s->v[k].name, s->v[i].name))
                r = err_set(e, ERR_INVALID, "inference route '%.*s' is given twice", STR_FMT(s->v[i].name));
    }
    return r;
}

enum err_code inference_set(struct inference *i, bundle *m, struct err *e)
{
    struct set next = {};
    arena_init(&next.arena, ROUTE_ARENA_MAX);
    enum err_code r = m->n_routes <= ROUTES_MAX
                          ? take_keys(&next, m, e)
                          : err_set(e, ERR_LIMIT, "more than %d inference routes", ROUTES_MAX);
    wipe_keys(m);
    if (r == ERR_OK)
        r = take_routes(&next, m, e);
    if (r != ERR_OK) {
        set_done(&next);
        return r;
    }
    set_done(&i->now);
    i->now = next;
    for (size_t k = 0; k < next.n; k++)
        count_add(i, next.v[k].name);
    return ERR_OK;
}

// ---- asking
// --------------------------------------------------------------------------------------------------

const char *inference_revision(const struct inference *i)
{
    return i->now.m ? i->now.m->revision : "";
}

size_t inference_count(const struct inference *i)
{
    return i->now.n;
}

enum err_code inference_bundle(const struct inference *i, struct buf *out, struct err *e)
{
    return i->now.m ? wire_pack(&i->now.m->base, out, e) : ERR_OK;
}

static void usage_of(const struct count *c, const struct route *route, struct inference_usage *ret)
{
    *ret = (struct inference_usage){.name = str_of(c->name),
                                    .requests = c->requests,
                                    .input_tokens = c->tokens[0],
                                    .output_tokens = c->tokens[1],
                                    .cached_tokens = c->tokens[2],
                                    .cost = c->cost / 1'000'000};
    if (!route)
        return;
    ret->model = route->model;
    ret->budget_tokens = route->m->budget_tokens;
    ret->budget_cost = route->m->budget_cost;
}

static bool is_used_up(const struct inference_usage *u)
{
    uint64_t tokens = 0;
    if (__builtin_add_overflow(u->input_tokens, u->output_tokens, &tokens))
        tokens = UINT64_MAX;
    return (u->budget_tokens > 0 && tokens >= u->budget_tokens) ||
           (u->budget_cost > 0 && u->cost >= u->budget_cost);
}

enum err_code inference_key(const struct inference *i, struct str name, struct str host, uint16_t port,
                            struct str *ret, struct err *e)
{
    const struct route *route = find(&i->now, name);
    if (!route)
        return err_set(e, ERR_NOT_FOUND, "no such inference route");
    if (!str_eq(target_host(&route->target), host) || route->target.port != port)
        return err_set(e, ERR_DENIED, "inference route '%.*s' leads elsewhere", STR_FMT(name));
    for (size_t k = 0; k < i->counts_n; k++) {
        struct inference_usage u;
        if (!str_eq(str_of(i->counts[k].name), name))
            continue;
        usage_of(&i->counts[k], route, &u);
        if (is_used_up(&u))
            return err_set(e, ERR_LIMIT, "the budget of inference route '%.*s' is used up", STR_FMT(name));
    }
    *ret = secret_expose(&i->now.keys[route - i->now.v]);
    return ERR_OK;
}

static void add(uint64_t *to, uint64_t n)
{
    if (__builtin_add_overflow(*to, n, to))
        *to = UINT64_MAX;
}

static uint64_t priced(uint64_t tokens, uint64_t price)
{
    uint64_t ret;
    return __builtin_mul_overflow(tokens, price, &ret) ? UINT64_MAX : ret;
}

void inference_used(struct inference *i, struct str name, const uint64_t tokens[static 3])
{
    struct count *c = count_of(i, name);
    const struct route *route = find(&i->now, name);
    if (!c)
        return; // a route that went while it was used, and whose count was given up
    add(&c->requests, 1);
    for (size_t k = 0; k < 3; k++)
        add(&c->tokens[k], tokens[k]);
    if (route) {
        add(&c->cost, priced(tokens[0], route->m->input_price));
        add(&c->cost, priced(tokens[1], route->m->output_price));
    }
}

bool inference_usage(const struct inference *i, size_t n, struct inference_usage *ret)
{
    if (n >= i->counts_n)
        return false;
    usage_of(&i->counts[n], find(&i->now, str_of(i->counts[n].name)), ret);
    return true;
}
