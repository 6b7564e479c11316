#include "cli/ask.h"

#include "base/utf8.h"
#include "net/query.h"
#include "net/urlpath.h"

// Room for one more element behind the n that are there, in blocks of eight: questions are small.
static void *more_room(struct ask *k, void *old, size_t n, size_t size)
{
    if (n % 8 != 0)
        return old;
    char *v = arena_array(k->arena, n + 8, size);
    if (v && n > 0)
        memcpy(v, old, n * size);
    return v;
}

// ---- parts
// --------------------------------------------------------------------------------------------------

static enum err_code check_program(struct str path, struct err *reterr)
{
    if (!str_starts(path, STR("/")) || str_has(path, '\0'))
        return err_set(reterr, ERR_INVALID, "'%.*s' is not an absolute path", STR_FMT(path));
    return ERR_OK;
}

enum err_code ask_binary(struct ask *k, struct str path, struct err *reterr)
{
    enum err_code r = check_program(path, reterr);
    if (r == ERR_OK)
        k->binary = path;
    return r;
}

enum err_code ask_ancestor(struct ask *k, struct str path, struct err *reterr)
{
    enum err_code r = check_program(path, reterr);
    if (r != ERR_OK)
        return r;
    if (k->ancestors_n == ASK_ANCESTORS_MAX)
        return err_set(reterr, ERR_LIMIT, "more than %d ancestors", ASK_ANCESTORS_MAX);
    struct str *v = more_room(k, k->ancestors, k->ancestors_n, sizeof(*v));
    if (!v)
        return arena_limit(k->arena, "ancestors", reterr);
    k->ancestors = v;
    k->ancestors[k->ancestors_n++] = path;
    return ERR_OK;
}

enum err_code ask_request(struct ask *k, struct str text, struct err *reterr)
{
    return request_arg_parse(text, &k->request, reterr);
}

static enum err_code parse_fields(struct ask *k, struct str text, struct graphql_op *op, struct err *reterr)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    struct str *fields = arena_newn(k->arena, struct str, n);
    if (!fields)
        return arena_limit(k->arena, "GraphQL fields", reterr);
    for (struct str one; op->fields_n < n && str_split(&text, ',', &one);) {
        if (one.n == 0)
            return err_set(reterr, ERR_INVALID, "a GraphQL field is empty");
        fields[op->fields_n++] = one;
    }
    op->fields = fields;
    return ERR_OK;
}

enum err_code ask_graphql(struct ask *k, struct str text, struct err *reterr)
{
    static const struct str types[] = {STR_INIT("query"), STR_INIT("mutation"), STR_INIT("subscription")};
    struct graphql_op op = {};
    struct str rest = text;
    (void)str_split(&rest, ':', &op.type);
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        known = known || str_eq(op.type, types[i]);
    if (!known)
        return err_set(reterr, ERR_INVALID,
                       "GraphQL operation type '%.*s' is not query, mutation or subscription",
                       STR_FMT(op.type));
    (void)str_split(&rest, ':', &op.name);
    if (rest.n > 0) {
        enum err_code r = parse_fields(k, rest, &op, reterr);
        if (r != ERR_OK)
            return r;
    }
    if (k->graphql_n == ASK_CALLS_MAX)
        return err_set(reterr, ERR_LIMIT, "more than %d GraphQL operations", ASK_CALLS_MAX);
    struct graphql_op *v = more_room(k, k->graphql, k->graphql_n, sizeof(*v));
    if (!v)
        return arena_limit(k->arena, "GraphQL operations", reterr);
    k->graphql = v;
    k->graphql[k->graphql_n++] = op;
    return ERR_OK;
}

static enum err_code add_call(struct ask *k, struct rpc_call call, struct err *reterr)
{
    if (call.method.n == 0)
        return err_set(reterr, ERR_INVALID, "the method of the call is empty");
    if (k->rpc_n == ASK_CALLS_MAX)
        return err_set(reterr, ERR_LIMIT, "more than %d calls", ASK_CALLS_MAX);
    struct rpc_call *v = more_room(k, k->rpc, k->rpc_n, sizeof(*v));
    if (!v)
        return arena_limit(k->arena, "calls", reterr);
    k->rpc = v;
    k->rpc[k->rpc_n++] = call;
    return ERR_OK;
}

enum err_code ask_mcp(struct ask *k, struct str text, struct err *reterr)
{
    struct rpc_call call = {};
    struct str rest = text;
    (void)str_split(&rest, ':', &call.method);
    call.has_tool = rest.p;
    call.tool = rest;
    if (call.has_tool && call.tool.n == 0)
        return err_set(reterr, ERR_INVALID, "the tool behind '%.*s' is empty", STR_FMT(text));
    return add_call(k, call, reterr);
}

enum err_code ask_json_rpc(struct ask *k, struct str method, struct err *reterr)
{
    return add_call(k, (struct rpc_call){.method = method}, reterr);
}

enum err_code ask_check(const struct ask *k, struct err *reterr)
{
    bool body = k->graphql_n > 0 || k->rpc_n > 0 || k->event_stream;
    if (k->request.connect && (body || k->websocket_text))
        return err_set(reterr, ERR_INVALID,
                       "a CONNECT has no body: name a request, as in 'POST https://host/path'");
    if (k->graphql_n > 0 && (k->rpc_n > 0 || k->event_stream))
        return err_set(reterr, ERR_INVALID, "a body is GraphQL or JSON-RPC, not both");
    if (k->event_stream && (k->rpc_n > 0 || !str_eq(k->request.method, STR("GET"))))
        return err_set(reterr, ERR_INVALID, "an event stream is a GET without calls");
    if (k->websocket_text && (k->rpc_n > 0 || k->event_stream || !str_eq(k->request.method, STR("GET"))))
        return err_set(reterr, ERR_INVALID,
                       "a WebSocket is opened by a GET, and its text is no JSON-RPC body");
    return ERR_OK;
}

// ---- the answer
// ---------------------------------------------------------------------------------------------

// As the proxy does: %2F passes only where the endpoint that the path selects says so.
static enum err_code canonical_path(struct ask *k, const struct snapshot *s, const struct conn_facts *c,
                                    struct err *reterr)
{
    char text[URLPATH_MAX + 1];
    struct str path;
    enum err_code r = urlpath_canonical(k->request.path, false, text, &path, reterr);
    if (r != ERR_OK) {
        struct err ignored;
        if (urlpath_canonical(k->request.path, true, text, &path, &ignored) != ERR_OK)
            return r;
        const struct snap_endpoint *ep = decide_endpoint(s, c, path);
        if (!ep || !ep->allow_encoded_slash)
            return r;
    }
    return arena_dup(k->arena, path, &k->path) ? ERR_OK : arena_limit(k->arena, "the path", reterr);
}

static enum err_code decoded_query(struct ask *k, struct request_facts *facts, struct err *reterr)
{
    struct query_item *items = NULL;
    size_t n = 0;
    enum err_code r = query_decode(k->request.query, k->arena, &items, &n, reterr);
    if (r != ERR_OK)
        return r;
    struct query_pair *pairs = arena_newn(k->arena, struct query_pair, n);
    if (!pairs)
        return arena_limit(k->arena, "the query", reterr);
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct query_pair){.key = items[i].key, .value = items[i].value};
    facts->query = pairs;
    facts->query_n = n;
    return ERR_OK;
}

enum err_code ask_policy(struct ask *k, const struct snapshot *s, struct explanation *ret, struct err *reterr)
{
    struct conn_facts c = {
        .host = str_of(k->request.host),
        .port = k->request.port,
        .who = {.exe = k->binary, .ancestors = k->ancestors, .ancestors_n = k->ancestors_n},
    };
    if (k->request.connect)
        return policy_explain(s, &c, NULL, k->arena, ret, reterr);

    struct graphql_facts graphql = {.ops = k->graphql, .ops_n = k->graphql_n};
    struct rpc_facts rpc = {.calls = k->rpc, .calls_n = k->rpc_n, .receive_stream = k->event_stream};
    k->method = k->websocket_text ? STR("WEBSOCKET_TEXT") : k->request.method;
    enum err_code r = canonical_path(k, s, &c, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "path '%.*s'", STR_FMT(k->request.path));
    struct request_facts facts = {
        .method = k->method,
        .path = k->path,
        .graphql = k->graphql_n > 0 ? &graphql : NULL,
        .rpc = k->rpc_n > 0 || k->event_stream ? &rpc : NULL,
    };
    r = decoded_query(k, &facts, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "query '%.*s'", STR_FMT(k->request.query));
    return policy_explain(s, &c, &facts, k->arena, ret, reterr);
}
