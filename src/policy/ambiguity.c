// Which of two endpoints would decide? (reference 1.6, ambiguity check)
//
// Two endpoints that can be met by the same connection must agree on how it is made; where the same request
// can meet both, and neither path is more specific, on how it is inspected. Compared pair by pair this is
// quadratic, so first each endpoint gets two class numbers, equal where the metadata are: a pair of equal
// classes cannot conflict. Then exact hosts meet only their equals, through a hash; wildcards and endpoints
// without a host meet everyone.
#include "policy/validate.h"

#include "base/buf.h"
#include "policy/glob.h"
#include "policy/validate_parts.h"

enum {
    WORK_MAX = 64'000'000, // steps before a policy is refused as too tangled, about a second; ours
    WORK_PAIR = 8,         // steps that a pair costs whose classes differ
    MESSAGE_MAX = 1000,    // bytes of a message; ours
};

struct item { // one endpoint
    const struct policy_entry *entry;
    const struct endpoint *ep;
    size_t index;            // in the list of its entry
    struct str host;         // lower case
    const struct glob *wild; // NULL: exact, or no host
    struct strs ips;         // allowed_ips as a set: trimmed, lower case, sorted
    uint32_t *ports;         // sorted
    uint32_t connection;     // class
    uint32_t request;        // class; 0: carries no request metadata
    uint32_t specificity;
    uint32_t next; // in the bucket of its host; one past the index, 0 ends
};

struct work {
    struct diags *d;
    struct arena a;
    struct item *v;
    size_t n;
    uint32_t *slots; // open addressing, a power of two; one past an index of v, 0 is free
    size_t mask;
    size_t steps, found;
};

// ---- what must agree
// ----------------------------------------------------------------------------------------

// The metadata as words, so that comparing and telling cannot differ. (allowed_ips is a list: see ips_eq.)
enum { CONNECTION_FACTS = 3, REQUEST_FACTS = 13 };
static const char *const connection_names[CONNECTION_FACTS] = {"tcp-eligibility", "tls", "advisor_proposed"};
static const char *const request_names[REQUEST_FACTS] = {
    "protocol",
    "enforcement",
    "allow_encoded_slash",
    "websocket_credential_rewrite",
    "request_body_credential_rewrite",
    "websocket-graphql",
    "credential_signing",
    "signing_service",
    "signing_region",
    "credential_binding.provider",
    "graphql_max_body_bytes",
    "json_rpc_max_body_bytes",
    "mcp.strict_tool_names",
};

struct facts {
    struct str v[REQUEST_FACTS];
    char numbers[2][16]; // what v[10] and v[11] point to; so a struct facts is not copied
};

static struct str truth(bool b)
{
    return b ? STR("true") : STR("false");
}

static void connection_facts(const struct endpoint *ep, struct facts *ret)
{
    ret->v[0] = truth(protocol_is(ep, "tcp"));
    ret->v[1] = str_eq(ep->tls, STR("skip")) ? STR("skip") : STR("auto");
    ret->v[2] = truth(ep->advisor_proposed);
}

static struct str limit_fact(uint32_t limit, char out[static 16])
{
    if (limit == 0 || limit == POLICY_BODY_DEFAULT) // nearly always, and printing takes its time
        return STR("65536");
    int n = snprintf(out, 16, "%u", (unsigned)limit);
    return (struct str){out, (size_t)n};
}
static_assert(POLICY_BODY_DEFAULT == 65536, "the word above");

static void request_facts(const struct endpoint *ep, struct facts *ret)
{
    ret->v[0] = ep->protocol;
    ret->v[1] = str_eq(ep->enforcement, STR("enforce")) ? STR("enforce") : STR("audit");
    ret->v[2] = truth(ep->allow_encoded_slash);
    ret->v[3] = truth(ep->websocket_credential_rewrite);
    ret->v[4] = truth(ep->request_body_credential_rewrite);
    ret->v[5] = truth(endpoint_has_websocket_graphql(ep));
    ret->v[6] = ep->credential_signing;
    ret->v[7] = ep->signing_service;
    ret->v[8] = ep->signing_region;
    ret->v[9] = ep->credential_provider;
    ret->v[10] = limit_fact(ep->graphql_max_body_bytes, ret->numbers[0]);
    ret->v[11] = limit_fact(ep->json_rpc_max_body_bytes, ret->numbers[1]);
    ret->v[12] = truth(ep->strict_tool_names != NO);
}

static bool facts_eq(const struct facts *a, const struct facts *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!str_eq(a->v[i], b->v[i]))
            return false;
    return true;
}

static uint64_t facts_hash(const struct facts *f, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++)
        h = str_hash(f->v[i], h);
    return h;
}

// Endpoints that say nothing about requests leave them to those that do.
static bool has_request_metadata(const struct endpoint *ep)
{
    return endpoint_has_l7(ep) || ep->allowed_ips.n > 0 || ep->tls.n > 0 || ep->credential_provider.n > 0;
}

static bool ips_eq(const struct item *a, const struct item *b)
{
    for (size_t i = 0; i < a->ips.n && a->ips.n == b->ips.n; i++)
        if (!str_eq(a->ips.v[i], b->ips.v[i]))
            return false;
    return a->ips.n == b->ips.n;
}

static bool connection_eq(const struct item *a, const struct item *b)
{
    struct facts x, y;
    connection_facts(a->ep, &x);
    connection_facts(b->ep, &y);
    return facts_eq(&x, &y, CONNECTION_FACTS) && ips_eq(a, b);
}

static bool request_eq(const struct item *a, const struct item *b)
{
    struct facts x, y;
    request_facts(a->ep, &x);
    request_facts(b->ep, &y);
    return facts_eq(&x, &y, REQUEST_FACTS);
}

static uint64_t connection_hash(const struct item *it)
{
    struct facts f;
    connection_facts(it->ep, &f);
    uint64_t h = facts_hash(&f, CONNECTION_FACTS);
    for (size_t i = 0; i < it->ips.n; i++)
        h = str_hash(it->ips.v[i], h);
    return h;
}

static uint64_t request_hash(const struct item *it)
{
    struct facts f;
    request_facts(it->ep, &f);
    return facts_hash(&f, REQUEST_FACTS);
}

// ---- classes and buckets
// ------------------------------------------------------------------------------------

static void slots_clear(struct work *w)
{
    memset(w->slots, 0, (w->mask + 1) * sizeof(*w->slots));
}

// The slot of the first item equal to v[i], or a free one. At most half of the slots are ever taken.
static uint32_t *slot_of(const struct work *w, size_t i, uint64_t hash,
                         bool (*eq)(const struct item *, const struct item *))
{
    size_t at = (size_t)hash & w->mask;
    while (w->slots[at] != 0 && !eq(&w->v[w->slots[at] - 1], &w->v[i]))
        at = (at + 1) & w->mask;
    return &w->slots[at];
}

// Neighbours are mostly alike, so each item is held against the one before it first.
static void assign_classes(struct work *w)
{
    slots_clear(w);
    for (size_t i = 0; i < w->n; i++) {
        if (i > 0 && connection_eq(&w->v[i - 1], &w->v[i])) {
            w->v[i].connection = w->v[i - 1].connection;
            continue;
        }
        uint32_t *slot = slot_of(w, i, connection_hash(&w->v[i]), connection_eq);
        if (*slot == 0)
            *slot = (uint32_t)i + 1;
        w->v[i].connection = *slot;
    }
    slots_clear(w);
    for (size_t i = 0; i < w->n; i++) {
        if (!has_request_metadata(w->v[i].ep))
            continue;
        if (i > 0 && w->v[i - 1].request != 0 && request_eq(&w->v[i - 1], &w->v[i])) {
            w->v[i].request = w->v[i - 1].request;
            continue;
        }
        uint32_t *slot = slot_of(w, i, request_hash(&w->v[i]), request_eq);
        if (*slot == 0)
            *slot = (uint32_t)i + 1;
        w->v[i].request = *slot;
    }
}

static bool may_conflict(const struct item *a, const struct item *b)
{
    return a->connection != b->connection || (a->request != b->request && a->request != 0 &&
                                              b->request != 0 && a->specificity == b->specificity);
}

static bool host_eq(const struct item *a, const struct item *b)
{
    return str_eq(a->host, b->host);
}

static bool is_exact(const struct item *it)
{
    return !it->wild && it->host.n > 0;
}

// ---- endpoint paths
// -----------------------------------------------------------------------------------------

// A scope as a row of single bytes, TOKEN_ANY and runs. A class counts as any byte, and a `**` component with
// its slash as a run: a superset, so an overlap may be seen that is none, never the other way round.
enum { TOKEN_ANY = 256, TOKEN_RUN = 257 };
struct tokens {
    uint16_t v[POLICY_PATH_MAX + 2]; // and what tokens_below() adds
    size_t n;
};

static void tokens_read(struct str path, struct tokens *ret)
{
    ret->n = 0;
    for (size_t i = 0; i < path.n; i++) {
        uint16_t token = (unsigned char)path.p[i];
        if (path.p[i] == '*') {
            token = TOKEN_RUN;
            bool component = i + 1 < path.n && path.p[i + 1] == '*';
            while (i + 1 < path.n && path.p[i + 1] == '*')
                i++;
            if (component && i + 1 < path.n && path.p[i + 1] == '/')
                i++;
        } else if (path.p[i] == '?') {
            token = TOKEN_ANY;
        } else if (path.p[i] == '[') {
            ptrdiff_t end = str_find(str_from(path, i + 2), ']'); // the first byte of a class may be ']'
            if (end >= 0) {
                token = TOKEN_ANY;
                i += 2 + (size_t)end;
            }
        }
        ret->v[ret->n++] = token;
    }
}

// Whether a text matches both: which pairs of positions can be reached by reading the same bytes?
static bool tokens_meet(const struct tokens *a, const struct tokens *b)
{
    bool row[POLICY_PATH_MAX + 3] = {[0] = true}, below[POLICY_PATH_MAX + 3];
    for (size_t i = 0;; i++) {
        memset(below, 0, (b->n + 1) * sizeof(*below));
        bool run_a = i < a->n && a->v[i] == TOKEN_RUN;
        for (size_t k = 0; k <= b->n; k++) {
            if (!row[k])
                continue;
            bool run_b = k < b->n && b->v[k] == TOKEN_RUN;
            if (k < b->n && (run_a || run_b)) // a run of `a` eats one of `b`, or a run of `b` ends
                row[k + 1] = true;
            if (i < a->n && (run_a || run_b))
                below[k] = true;
            if (i < a->n && k < b->n && !run_a && !run_b &&
                (a->v[i] == b->v[k] || a->v[i] == TOKEN_ANY || b->v[k] == TOKEN_ANY))
                below[k + 1] = true;
        }
        if (i == a->n)
            return row[b->n];
        memcpy(row, below, (b->n + 1) * sizeof(*row));
    }
}

// `X/**` is X and all below it: two patterns, `X` and `X/*`.
static bool scope_tail(struct str *path)
{
    if (!str_ends(*path, STR("/**")))
        return false;
    path->n -= 3;
    return true;
}

static void tokens_below(struct tokens *t)
{
    t->v[t->n++] = '/';
    t->v[t->n++] = TOKEN_RUN;
}

static bool scopes_overlap(struct work *w, struct str a, struct str b)
{
    if (path_is_everything(a) || path_is_everything(b) || str_eq(a, b))
        return true;
    if (!str_has_any(a, "*?[") && !str_has_any(b, "*?["))
        return false;
    if (a.n > POLICY_PATH_MAX || b.n > POLICY_PATH_MAX)
        return true; // refused elsewhere
    w->steps += a.n * b.n / 8;
    bool tail_a = scope_tail(&a), tail_b = scope_tail(&b);
    struct tokens x, y;
    tokens_read(a, &x);
    tokens_read(b, &y);
    if (tokens_meet(&x, &y))
        return true;
    struct tokens below_x = x, below_y = y;
    tokens_below(&below_x);
    tokens_below(&below_y);
    // What is below both is below one of them and in the other, or below the same text, which is in both.
    return (tail_a && tokens_meet(&below_x, &y)) || (tail_b && tokens_meet(&x, &below_y));
}

// ---- a conflict
// ---------------------------------------------------------------------------------------------

static void add_ports(struct buf *out, const uint32_t *ports, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addf(out, "%s%u", i == 0 ? "" : ",", (unsigned)ports[i]);
}

static void add_item(struct buf *out, const struct item *it)
{
    struct str path = it->ep->path;
    buf_addf(out, "'%.*s' endpoint[%zu] (%.*s:", STR_FMT(it->entry->key), it->index,
             STR_FMT(it->host.n > 0 ? it->host : STR("*")));
    add_ports(out, it->ports, it->ep->ports_n);
    buf_addf(out, "%s%.*s)", path.n > 0 ? " " : "", STR_FMT(path));
}

static void add_field(struct buf *out, bool *first, const char *name, struct str a, struct str b)
{
    if (str_eq(a, b))
        return;
    buf_addf(out, "%s%s=%.*s vs %.*s", *first ? "" : "; ", name, STR_FMT(a.n > 0 ? a : STR("unset")),
             STR_FMT(b.n > 0 ? b : STR("unset")));
    *first = false;
}

static void add_ips(struct buf *out, const struct strs *ips)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < ips->n; i++)
        buf_addf(out, "%s%.*s", i == 0 ? "" : ", ", STR_FMT(ips->v[i]));
    buf_addc(out, ']');
}

static void add_facts(struct buf *out, bool *first, const char *const *names, size_t n, const struct facts *a,
                      const struct facts *b)
{
    for (size_t i = 0; i < n; i++)
        add_field(out, first, names[i], a->v[i], b->v[i]);
}

static void add_conflicts(struct buf *out, const struct item *a, const struct item *b, bool requests)
{
    bool first = true;
    struct facts x, y;
    connection_facts(a->ep, &x);
    connection_facts(b->ep, &y);
    add_facts(out, &first, connection_names, CONNECTION_FACTS, &x, &y);
    if (!ips_eq(a, b)) {
        buf_addf(out, "%sallowed_ips=", first ? "" : "; ");
        add_ips(out, &a->ips);
        buf_add(out, STR(" vs "));
        add_ips(out, &b->ips);
        first = false;
    }
    if (!requests)
        return;
    request_facts(a->ep, &x);
    request_facts(b->ep, &y);
    add_facts(out, &first, request_names, REQUEST_FACTS, &x, &y);
}

// *ret gets the common ports; there is room for those of `a`.
static size_t common_ports(const struct item *a, const struct item *b, uint32_t *ret)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < a->ep->ports_n && k < b->ep->ports_n;) {
        if (a->ports[i] == b->ports[k] && (n == 0 || !ret || ret[n - 1] != a->ports[i])) {
            if (!ret)
                return 1;
            ret[n++] = a->ports[i];
        }
        if (a->ports[i] < b->ports[k])
            i++;
        else
            k++;
    }
    return n;
}

static void report(struct work *w, const struct item *a, const struct item *b, bool requests)
{
    w->found++;
    uint32_t *ports = arena_newn(&w->a, uint32_t, a->ep->ports_n);
    if (!ports) {
        w->d->no_room = true;
        return;
    }
    struct buf out;
    buf_init(&out, 64 * KIB);
    buf_add(&out, STR("network policies "));
    add_item(&out, a);
    buf_add(&out, STR(" and "));
    add_item(&out, b);
    buf_add(&out, STR(" overlap on port(s) "));
    add_ports(&out, ports, common_ports(a, b, ports));
    buf_add(&out, STR(" with conflicting metadata: "));
    add_conflicts(&out, a, b, requests);

    struct keypath at = {};
    (void)keypath_key(&at, STR("network_policies"));
    (void)keypath_key(&at, b->entry->key);
    (void)keypath_key(&at, STR("endpoints"));
    (void)keypath_index(&at, b->index);
    struct str text = str_head(buf_str(&out), MESSAGE_MAX);
    diag_error(w->d, keypath_str(&at), "make them agree, or keep their hosts, ports or paths apart", "%.*s",
               (int)text.n, text.p);
    buf_done(&out);
}

static bool hosts_overlap(const struct item *a, const struct item *b)
{
    if (a->host.n == 0 || b->host.n == 0)
        return true;
    if (a->wild && b->wild)
        return glob_hosts_overlap(a->wild, b->wild);
    if (a->wild)
        return glob_match(a->wild, b->host);
    return b->wild ? glob_match(b->wild, a->host) : str_eq(a->host, b->host);
}

// ---- pairs
// --------------------------------------------------------------------------------------------------

static bool is_worn_out(const struct work *w)
{
    return w->found >= DIAGS_MAX || w->steps > WORK_MAX || w->d->no_room;
}

static void compare(struct work *w, const struct item *a, const struct item *b)
{
    w->steps++;
    if (!may_conflict(a, b))
        return;
    w->steps += WORK_PAIR;
    if (common_ports(a, b, NULL) == 0 || !hosts_overlap(a, b))
        return;
    bool requests = a->request != b->request && a->request != 0 && b->request != 0 &&
                    a->specificity == b->specificity && scopes_overlap(w, a->ep->path, b->ep->path);
    if (a->connection == b->connection && !requests)
        return;
    bool in_order = a < b;
    report(w, in_order ? a : b, in_order ? b : a, requests);
}

// Each bucket is a list of the items of one exact host, newest first.
static void compare_exact(struct work *w)
{
    slots_clear(w);
    for (size_t i = 0; i < w->n && !is_worn_out(w); i++) {
        if (!is_exact(&w->v[i]))
            continue;
        uint32_t *slot = slot_of(w, i, str_hash(w->v[i].host, 0), host_eq);
        for (uint32_t k = *slot; k != 0 && !is_worn_out(w); k = w->v[k - 1].next)
            compare(w, &w->v[k - 1], &w->v[i]);
        w->v[i].next = *slot;
        *slot = (uint32_t)i + 1;
    }
}

static void compare_open(struct work *w)
{
    for (size_t i = 0; i < w->n; i++) {
        if (is_exact(&w->v[i]))
            continue;
        for (size_t k = 0; k < w->n && !is_worn_out(w); k++)
            if (is_exact(&w->v[k]) || k < i) // two open ones meet once
                compare(w, &w->v[i], &w->v[k]);
    }
}

// ---- items
// --------------------------------------------------------------------------------------------------

static bool lower_copy(struct arena *a, struct str s, struct str *ret)
{
    char *p = arena_alloc(a, s.n);
    for (size_t i = 0; p && i < s.n; i++)
        p[i] = char_lower(s.p[i]);
    *ret = (struct str){p, s.n};
    return p;
}

static int str_order(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int port_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool item_lists(struct work *w, struct item *it)
{
    const struct endpoint *ep = it->ep;
    it->ports = ep->ports;
    bool sorted = true;
    for (size_t i = 1; i < ep->ports_n; i++)
        sorted = sorted && ep->ports[i - 1] <= ep->ports[i];
    if (!sorted) {
        it->ports = arena_newn(&w->a, uint32_t, ep->ports_n);
        if (!it->ports)
            return false;
        memcpy(it->ports, ep->ports, ep->ports_n * sizeof(*it->ports));
        qsort(it->ports, ep->ports_n, sizeof(*it->ports), port_order);
    }
    if (ep->allowed_ips.n == 0)
        return true;
    it->ips.v = arena_newn(&w->a, struct str, ep->allowed_ips.n);
    if (!it->ips.v)
        return false;
    for (size_t i = 0; i < ep->allowed_ips.n; i++)
        if (!lower_copy(&w->a, str_trim(ep->allowed_ips.v[i]), &it->ips.v[i]))
            return false;
    qsort(it->ips.v, ep->allowed_ips.n, sizeof(*it->ips.v), str_order);
    for (size_t i = 0; i < ep->allowed_ips.n; i++)
        if (i == 0 || !str_eq(it->ips.v[it->ips.n - 1], it->ips.v[i]))
            it->ips.v[it->ips.n++] = it->ips.v[i];
    return true;
}

// False: no room. A host that is no pattern had its error elsewhere; the item is then left out.
static bool item_add(struct work *w, const struct policy_entry *e, size_t index)
{
    struct item it = {.entry = e, .ep = &e->endpoints[index], .index = index};
    struct str path = it.ep->path;
    for (size_t i = 0; i < path.n; i++)
        it.specificity += path.p[i] != '*';
    if (!lower_copy(&w->a, it.ep->host, &it.host) || !item_lists(w, &it))
        return false;
    struct err err;
    if (str_has(it.host, '*')) {
        enum err_code r = glob_compile(GLOB_HOST, it.host, &w->a, &it.wild, &err);
        if (r != ERR_OK)
            return r != ERR_LIMIT;
    }
    w->v[w->n++] = it;
    return true;
}

static bool items_build(struct work *w, const struct policy *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->entries_n; i++)
        n += p->entries[i].endpoints_n;
    if (n > UINT32_MAX / 4)
        return false;
    for (w->mask = 15; w->mask < n * 2;)
        w->mask = w->mask * 2 + 1;
    w->v = arena_newn(&w->a, struct item, n);
    w->slots = arena_newn(&w->a, uint32_t, w->mask + 1);
    if (!w->v || !w->slots)
        return false;
    for (size_t i = 0; i < p->entries_n; i++)
        for (size_t k = 0; k < p->entries[i].endpoints_n; k++)
            if (!item_add(w, &p->entries[i], k))
                return false;
    return true;
}

static bool are_all_alike(const struct work *w)
{
    for (size_t i = 1; i < w->n; i++)
        if (w->v[i].connection != w->v[0].connection || w->v[i].request != w->v[0].request)
            return false;
    return true;
}

void policy_check_ambiguity(const struct policy *p, struct diags *d)
{
    struct work w = {.d = d};
    arena_init(&w.a, POLICY_ARENA_MAX);
    if (!items_build(&w, p)) {
        d->no_room = true;
        arena_done(&w.a);
        return;
    }
    assign_classes(&w);
    if (!are_all_alike(&w)) {
        compare_exact(&w);
        compare_open(&w);
    }
    if (w.steps > WORK_MAX)
        diag_error(
            d, STR("network_policies"), "use fewer wildcards, and fewer endpoints of one host",
            "network policies '%.*s' to '%.*s' have too many endpoints that may overlap to compare them all",
            STR_FMT(p->entries[0].key), STR_FMT(p->entries[p->entries_n - 1].key));
    arena_done(&w.a);
}
