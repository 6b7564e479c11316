// A policy becomes a tree of struct value first, defaults left out and keys in the order of the reference;
// one small writer for each of the two formats does the rest.
#include "policy/print.h"

#include <math.h>

#include "base/jsonw.h"
#include "base/utf8.h"
#include "policy/yaml.h"

struct printer {
    struct arena a; // of the tree; its strings are the policy's
    bool no_room;
};

static void printer_done(struct printer *p)
{
    arena_done(&p->a);
}

// ---- the tree
// -----------------------------------------------------------------------------------------------

enum { FIELDS_MAX = 28 };
struct map { // under construction
    struct value items[FIELDS_MAX];
    struct str keys[FIELDS_MAX];
    size_t n;
};

static void put(struct map *m, const char *key, struct value v)
{
    assert(m->n < FIELDS_MAX);
    m->keys[m->n] = str_of(key);
    m->items[m->n++] = v;
}

static struct value of_str(struct str s)
{
    return (struct value){.kind = VALUE_STRING, .string = s};
}

static void put_str(struct map *m, const char *key, struct str s)
{
    if (s.n > 0)
        put(m, key, of_str(s));
}

static void put_bool(struct map *m, const char *key, bool yes)
{
    if (yes)
        put(m, key, (struct value){.kind = VALUE_BOOL, .boolean = true});
}

static void put_tristate(struct map *m, const char *key, enum tristate t)
{
    if (t != UNSET)
        put(m, key, (struct value){.kind = VALUE_BOOL, .boolean = t == YES});
}

static struct value of_number(double n)
{
    return (struct value){.kind = VALUE_NUMBER, .number = n};
}

static void put_number(struct map *m, const char *key, double n)
{
    if (n != 0)
        put(m, key, of_number(n));
}

// A list or mapping of `n` zeroed items; without memory an empty one.
static struct value new_items(struct printer *p, enum value_kind kind, size_t n)
{
    struct value v = {.kind = kind, .n = n};
    v.items = arena_newn(&p->a, struct value, n);
    v.keys = kind == VALUE_MAP ? arena_newn(&p->a, struct str, n) : NULL;
    if (v.items && (v.keys || kind != VALUE_MAP))
        return v;
    p->no_room = true;
    return (struct value){.kind = kind};
}

static struct value seal(struct printer *p, const struct map *m)
{
    struct value v = new_items(p, VALUE_MAP, m->n);
    if (v.n > 0) {
        memcpy(v.items, m->items, v.n * sizeof(*v.items));
        memcpy(v.keys, m->keys, v.n * sizeof(*v.keys));
    }
    return v;
}

static struct value of_strs(struct printer *p, const struct strs *strs)
{
    struct value v = new_items(p, VALUE_LIST, strs->n);
    for (size_t i = 0; i < v.n; i++)
        v.items[i] = of_str(strs->v[i]);
    return v;
}

static void put_strs(struct printer *p, struct map *m, const char *key, const struct strs *strs)
{
    if (strs->n > 0)
        put(m, key, of_strs(p, strs));
}

static struct value of_matcher(struct printer *p, const struct matcher *matcher)
{
    if (matcher->any.n == 0)
        return of_str(matcher->glob);
    struct map m = {};
    put_strs(p, &m, "any", &matcher->any);
    return seal(p, &m);
}

static void put_matchers(struct printer *p, struct map *m, const char *key, const struct matcher *v, size_t n)
{
    if (n == 0)
        return;
    struct value map = new_items(p, VALUE_MAP, n);
    for (size_t i = 0; i < map.n; i++) {
        map.keys[i] = v[i].key;
        map.items[i] = of_matcher(p, &v[i]);
    }
    put(m, key, map);
}

// Reference 1.2: the method that a rule of this endpoint gets when it names none.
static bool is_implied(const struct endpoint *ep, struct str method, bool has_tool)
{
    return str_eq(ep->protocol, STR("mcp")) && ep->allow_all_known_mcp_methods == YES &&
           str_eq(method, has_tool ? STR("tools/call") : STR("*"));
}

static struct value of_rule(struct printer *p, const struct endpoint *ep, const struct l7_rule *rule)
{
    bool has_tool = rule->params_n > 0 && str_eq(rule->params[0].key, STR("name"));
    struct map m = {};
    if (!is_implied(ep, rule->method, has_tool))
        put_str(&m, "method", rule->method);
    put_str(&m, "path", rule->path);
    put_str(&m, "command", rule->command);
    put_matchers(p, &m, "query", rule->query, rule->query_n);
    put_str(&m, "operation_type", rule->operation_type);
    put_str(&m, "operation_name", rule->operation_name);
    put_strs(p, &m, "fields", &rule->fields);
    if (has_tool)
        put(&m, "tool", of_matcher(p, &rule->params[0]));
    put_matchers(p, &m, "params", has_tool ? rule->params + 1 : rule->params, rule->params_n - has_tool);
    return seal(p, &m);
}

static void put_rules(struct printer *p, struct map *m, const struct endpoint *ep)
{
    if (ep->rules_n > 0) {
        struct value list = new_items(p, VALUE_LIST, ep->rules_n);
        for (size_t i = 0; i < list.n; i++) {
            struct map item = {};
            put(&item, "allow", of_rule(p, ep, &ep->rules[i]));
            list.items[i] = seal(p, &item);
        }
        put(m, "rules", list);
    }
    if (ep->deny_rules_n > 0) {
        struct value list = new_items(p, VALUE_LIST, ep->deny_rules_n);
        for (size_t i = 0; i < list.n; i++)
            list.items[i] = of_rule(p, ep, &ep->deny_rules[i]);
        put(m, "deny_rules", list);
    }
}

static void put_registered(struct printer *p, struct map *m, const struct endpoint *ep)
{
    if (ep->registered_n == 0)
        return;
    struct value map = new_items(p, VALUE_MAP, ep->registered_n);
    for (size_t i = 0; i < map.n; i++) {
        struct map query = {};
        put_str(&query, "operation_type", ep->registered[i].operation_type);
        put_str(&query, "operation_name", ep->registered[i].operation_name);
        put_strs(p, &query, "fields", &ep->registered[i].fields);
        map.keys[i] = ep->registered[i].id;
        map.items[i] = seal(p, &query);
    }
    put(m, "graphql_persisted_queries", map);
}

static void put_ports(struct printer *p, struct map *m, const struct endpoint *ep)
{
    if (ep->ports_n == 1)
        put(m, "port", of_number(ep->ports[0]));
    if (ep->ports_n < 2)
        return;
    struct value list = new_items(p, VALUE_LIST, ep->ports_n);
    for (size_t i = 0; i < list.n; i++)
        list.items[i] = of_number(ep->ports[i]);
    put(m, "ports", list);
}

static void put_rpc(struct printer *p, struct map *m, const struct endpoint *ep)
{
    bool mcp = ep->has_mcp || ep->strict_tool_names != UNSET || ep->allow_all_known_mcp_methods != UNSET;
    if (!mcp && ep->json_rpc_max_body_bytes == 0)
        return;
    struct map options = {};
    put_number(&options, "max_body_bytes", ep->json_rpc_max_body_bytes);
    if (mcp) {
        put_tristate(&options, "strict_tool_names", ep->strict_tool_names);
        put_tristate(&options, "allow_all_known_mcp_methods", ep->allow_all_known_mcp_methods);
    }
    put(m, mcp ? "mcp" : "json_rpc", seal(p, &options));
}

static struct value of_endpoint(struct printer *p, const struct endpoint *ep)
{
    struct map m = {};
    put_str(&m, "host", ep->host);
    put_str(&m, "path", ep->path);
    put_ports(p, &m, ep);
    put_str(&m, "protocol", ep->protocol);
    put_str(&m, "tls", ep->tls);
    put_str(&m, "enforcement", ep->enforcement);
    put_str(&m, "access", ep->access);
    put_rules(p, &m, ep);
    put_strs(p, &m, "allowed_ips", &ep->allowed_ips);
    put_bool(&m, "allow_encoded_slash", ep->allow_encoded_slash);
    put_bool(&m, "websocket_credential_rewrite", ep->websocket_credential_rewrite);
    put_bool(&m, "request_body_credential_rewrite", ep->request_body_credential_rewrite);
    put_bool(&m, "allow_uninspected_credentials", ep->allow_uninspected_credentials);
    put_str(&m, "persisted_queries", ep->persisted_queries);
    put_registered(p, &m, ep);
    put_number(&m, "graphql_max_body_bytes", ep->graphql_max_body_bytes);
    put_rpc(p, &m, ep);
    put_str(&m, "credential_signing", ep->credential_signing);
    put_str(&m, "signing_service", ep->signing_service);
    put_str(&m, "signing_region", ep->signing_region);
    if (ep->credential_provider.n > 0) {
        struct map binding = {};
        put_str(&binding, "provider", ep->credential_provider);
        put(&m, "credential_binding", seal(p, &binding));
    }
    return seal(p, &m);
}

static struct value of_entry(struct printer *p, const struct policy_entry *e)
{
    struct map m = {};
    put_str(&m, "name", e->name);
    if (e->endpoints_n > 0) {
        struct value list = new_items(p, VALUE_LIST, e->endpoints_n);
        for (size_t i = 0; i < list.n; i++)
            list.items[i] = of_endpoint(p, &e->endpoints[i]);
        put(&m, "endpoints", list);
    }
    if (e->binaries_n > 0) {
        struct value list = new_items(p, VALUE_LIST, e->binaries_n);
        for (size_t i = 0; i < list.n; i++) {
            struct map binary = {};
            put(&binary, "path", of_str(e->binaries[i].path)); // required, so even when empty
            list.items[i] = seal(p, &binary);
        }
        put(&m, "binaries", list);
    }
    return seal(p, &m);
}

static struct value of_middleware(struct printer *p, const struct middleware *mw)
{
    struct map m = {}, selector = {};
    put_str(&m, "name", mw->name);
    put(&m, "middleware", of_str(mw->implementation)); // ditto
    put_number(&m, "order", mw->order);
    if (mw->config.n > 0)
        put(&m, "config", mw->config);
    put_str(&m, "on_error", mw->on_error);
    put_strs(p, &selector, "include", &mw->include);
    put_strs(p, &selector, "exclude", &mw->exclude);
    if (selector.n > 0)
        put(&m, "endpoints", seal(p, &selector));
    return seal(p, &m);
}

static void put_static(struct printer *p, struct map *m, const struct policy *policy)
{
    if (policy->has_filesystem) {
        struct map fs = {};
        put_bool(&fs, "include_workdir", policy->filesystem.include_workdir);
        put_strs(p, &fs, "read_only", &policy->filesystem.read_only);
        put_strs(p, &fs, "read_write", &policy->filesystem.read_write);
        put(m, "filesystem_policy", seal(p, &fs));
    }
    if (policy->has_landlock) {
        struct map landlock = {};
        put_str(&landlock, "compatibility", policy->landlock.compatibility);
        put(m, "landlock", seal(p, &landlock));
    }
    if (policy->has_process) {
        struct map process = {};
        put_str(&process, "run_as_user", policy->process.run_as_user);
        put_str(&process, "run_as_group", policy->process.run_as_group);
        put(m, "process", seal(p, &process));
    }
}

static struct value of_policy(struct printer *p, const struct policy *policy)
{
    struct map m = {};
    put(&m, "version", of_number(policy->version));
    put_static(p, &m, policy);
    if (policy->entries_n > 0) {
        struct value map = new_items(p, VALUE_MAP, policy->entries_n);
        for (size_t i = 0; i < map.n; i++) {
            map.keys[i] = policy->entries[i].key;
            map.items[i] = of_entry(p, &policy->entries[i]);
        }
        put(&m, "network_policies", map);
    }
    if (policy->middlewares_n > 0) {
        struct value map = new_items(p, VALUE_MAP, policy->middlewares_n);
        for (size_t i = 0; i < map.n; i++) {
            map.keys[i] = policy->middlewares[i].key;
            map.items[i] = of_middleware(p, &policy->middlewares[i]);
        }
        put(&m, "network_middlewares", map);
    }
    return seal(p, &m);
}

// ---- scalars
// ------------------------------------------------------------------------------------------------

// The shortest text that reads back as the same double; never in the shape of an integer of more than 53
// bits, which the loader refuses. Our programs leave LC_NUMERIC at "C".
static void write_number(struct buf *out, double x, const char *nan)
{
    if (!isfinite(x)) {
        buf_add(out, str_of(nan));
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    buf_add(out, str_of(text));
    if (fabs(x) > 9007199254740992.0 && !strpbrk(text, ".e"))
        buf_add(out, STR(".0"));
}

// Words that YAML 1.1 readers take for something else than a string.
static bool is_old_word(struct str s)
{
    static const struct str words[] = {STR_INIT("y"),  STR_INIT("yes"), STR_INIT("n"),  STR_INIT("no"),
                                       STR_INIT("on"), STR_INIT("off"), STR_INIT("<<"), STR_INIT("=")};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq_ci(s, words[i]))
            return true;
    if (str_starts(s, STR("0b")))
        return true;
    size_t i = 0; // 1_000, 12:30:00 and 2024-01-31 are a number, another number and a date
    while (i < s.n && (char_is_digit(s.p[i]) || strchr("_:+-", s.p[i])))
        i++;
    return i == s.n && (char_is_digit(s.p[0]) || s.p[0] == '+');
}

// The code point at the start of `s`, *len bytes; U+FFFD for what is not UTF-8.
static uint32_t code_point(struct str s, size_t *len)
{
    *len = utf8_next(s);
    const unsigned char *c = (const unsigned char *)s.p;
    if (*len == 0) {
        *len = 1;
        return 0xfffd;
    }
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = c[0] & first[*len];
    for (size_t i = 1; i < *len; i++)
        point = point << 6 | (c[i] & 0x3f);
    return point;
}

// Can stand in a YAML text as it is: no control, no line break, nothing that reorders or hides.
static bool is_printable(uint32_t c)
{
    if (c < 0x80)
        return c >= 0x20 && c < 0x7f;
    bool hides = c < 0xa0 || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                 (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfffd || (c & 0xfffe) == 0xfffe;
    return !hides;
}

static bool is_plain(struct str s)
{
    if (yaml_resolve(s) != NODE_STRING || is_old_word(s))
        return false;
    if (strchr("-?:,[]{}#&*!|>'\"%@` ", s.p[0]) || str_starts(s, STR("...")))
        return false;
    char last = s.p[s.n - 1];
    if (last == ' ' || last == ':')
        return false;
    size_t len;
    for (size_t i = 0; i < s.n; i += len) {
        char next = i + 1 < s.n ? s.p[i + 1] : '\0';
        if (!is_printable(code_point(str_from(s, i), &len)) || (s.p[i] == ':' && next == ' ') ||
            (s.p[i] == ' ' && next == '#'))
            return false;
    }
    return true;
}

static void write_quoted(struct buf *out, struct str s)
{
    buf_addc(out, '"');
    size_t len;
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t c = code_point(str_from(s, i), &len);
        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", (char)c);
        else if (c == '\n')
            buf_add(out, STR("\\n"));
        else if (c == '\t')
            buf_add(out, STR("\\t"));
        else if (is_printable(c))
            buf_add(out, (struct str){s.p + i, len});
        else
            buf_addf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
    buf_addc(out, '"');
}

static void write_string(struct buf *out, struct str s)
{
    if (is_plain(s))
        buf_add(out, s);
    else
        write_quoted(out, s);
}

// ---- YAML
// ---------------------------------------------------------------------------------------------------

static bool is_inline(const struct value *v)
{
    return (v->kind != VALUE_LIST && v->kind != VALUE_MAP) || v->n == 0;
}

static void write_inline(struct buf *out, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        buf_add(out, STR("null"));
        return;
    case VALUE_BOOL:
        buf_add(out, v->boolean ? STR("true") : STR("false"));
        return;
    case VALUE_NUMBER:
        write_number(out, v->number, ".nan");
        return;
    case VALUE_STRING:
        write_string(out, v->string);
        return;
    case VALUE_LIST:
        buf_add(out, STR("[]"));
        return;
    case VALUE_MAP:
        buf_add(out, STR("{}"));
        return;
    }
}

// A key of more than 1024 characters has to be announced by '?': libyaml and others look no further for its
// ':'.
static bool write_key(struct buf *out, struct str key)
{
    enum { SIMPLE_MAX = 1000 };
    size_t before = out->n;
    write_string(out, key);
    if (out->n - before <= SIMPLE_MAX || out->full)
        return true;
    out->n = before;
    buf_add(out, STR("? "));
    write_string(out, key);
    return false;
}

// The first line of `v` continues one that has `indent` columns already. Nests as deep as the policy's
// values.
static void write_block(struct buf *out, const struct value *v, size_t indent)
{
    for (size_t i = 0; i < v->n && !out->full; i++) {
        const struct value *item = &v->items[i];
        if (i > 0)
            buf_pad(out, ' ', indent);
        size_t inner = indent + 2;
        if (v->kind == VALUE_LIST) {
            buf_add(out, STR("- "));
            if (!is_inline(item)) {
                write_block(out, item, inner);
                continue;
            }
        } else {
            bool simple = write_key(out, v->keys[i]);
            if (!simple) {
                buf_addc(out, '\n');
                buf_pad(out, ' ', indent);
            } else if (item->kind == VALUE_LIST) {
                inner = indent; // a list in a mapping is not indented, its '-' is enough
            }
            buf_addc(out, ':');
            if (!is_inline(item)) {
                buf_addc(out, '\n');
                buf_pad(out, ' ', inner);
                write_block(out, item, inner);
                continue;
            }
            buf_addc(out, ' ');
        }
        write_inline(out, item);
        buf_addc(out, '\n');
    }
}

void policy_print_yaml(const struct policy *policy, struct buf *out)
{
    CLEANUP(printer_done) struct printer p = {};
    arena_init(&p.a, POLICY_ARENA_MAX);
    struct value root = of_policy(&p, policy);
    if (p.no_room)
        out->full = true;
    else
        write_block(out, &root, 0);
}

// ---- JSON
// ---------------------------------------------------------------------------------------------------

struct member {
    struct str key;
    const struct value *value;
};

static int compare_members(const void *a, const void *b)
{
    return str_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void write_json(struct printer *p, struct buf *out, const struct value *v, size_t indent)
{
    if (v->kind == VALUE_STRING) {
        jsonw_string(out, v->string);
        return;
    }
    if (v->kind == VALUE_NUMBER || is_inline(v)) {
        v->kind == VALUE_NUMBER ? write_number(out, v->number, "null") : write_inline(out, v);
        return;
    }
    bool map = v->kind == VALUE_MAP;
    struct member *members = arena_newn(&p->a, struct member, v->n);
    if (!members) {
        out->full = true;
        return;
    }
    for (size_t i = 0; i < v->n; i++)
        members[i] = (struct member){map ? v->keys[i] : (struct str){}, &v->items[i]};
    if (map)
        qsort(members, v->n, sizeof(*members), compare_members);
    buf_add(out, map ? STR("{\n") : STR("[\n"));
    for (size_t i = 0; i < v->n && !out->full; i++) {
        buf_pad(out, ' ', indent + 2);
        if (map) {
            jsonw_string(out, members[i].key);
            buf_add(out, STR(": "));
        }
        write_json(p, out, members[i].value, indent + 2);
        buf_add(out, i + 1 < v->n ? STR(",\n") : STR("\n"));
    }
    buf_pad(out, ' ', indent);
    buf_addc(out, map ? '}' : ']');
}

void policy_print_json(const struct policy *policy, size_t indent, struct buf *out)
{
    CLEANUP(printer_done) struct printer p = {};
    arena_init(&p.a, POLICY_ARENA_MAX);
    struct value root = of_policy(&p, policy);
    if (p.no_room)
        out->full = true;
    else
        write_json(&p, out, &root, indent);
}
