#include "policy/shape.h"

#define STRUCT                    policy
#define AT(member)                offsetof(struct STRUCT, member)
#define NAMED(t, k, member, yaml) .tag = (t), .kind = SHAPE_##k, .at = AT(member), .name = (yaml)
#define ROW(t, k, member)         NAMED(t, k, member, #member)
#define STRS(t, member)                                                                                      \
    .tag = (t), .kind = SHAPE_LIST, .at = AT(member.v), .n_at = AT(member.n), .of = &shape_str,              \
    .name = #member
#define MANY(t, k, member, shape)                                                                            \
    .tag = (t), .kind = SHAPE_##k, .at = AT(member), .n_at = AT(member##_n), .of = &(shape), .name = #member
#define SHAPE(object, table) const struct shape object = {table, ARRAY_LEN(table), sizeof(struct STRUCT)}

// In each table the order of the rows is that of the members; the tags are what the hash is made of.
static const struct shape_field policy_fields[] = {
    {ROW(1, U32, version)},
    {ROW(2, BOOL, has_filesystem)},
    {ROW(3, BOOL, has_landlock)},
    {ROW(4, BOOL, has_process)},
    {ROW(5, BOOL, filesystem.include_workdir)},
    {STRS(6, filesystem.read_only)},
    {STRS(7, filesystem.read_write)},
    {ROW(8, STR, landlock.compatibility), .word = "best_effort"},
    {ROW(9, STR, process.run_as_user)},
    {ROW(10, STR, process.run_as_group)},
    {MANY(11, MAP, entries, shape_entry)},
    {MANY(12, MAP, middlewares, shape_middleware)},
};
SHAPE(shape_policy, policy_fields);

#undef STRUCT
#define STRUCT policy_entry
static const struct shape_field entry_fields[] = {
    {ROW(1, STR, key)},
    {ROW(2, STR, name), .is_key_default = true},
    {MANY(3, LIST, endpoints, shape_endpoint)},
    {MANY(4, LIST, binaries, shape_binary)},
};
SHAPE(shape_entry, entry_fields);

#undef STRUCT
#define STRUCT endpoint
static const struct shape_field endpoint_fields[] = {
    {ROW(1, STR, host)},
    {ROW(2, STR, path)},
    {MANY(3, LIST, ports, shape_u32)},
    {ROW(4, STR, protocol)},
    {ROW(5, STR, tls)},
    {ROW(6, STR, enforcement), .word = "audit"},
    {ROW(7, STR, access)},
    {MANY(8, LIST, rules, shape_rule)},
    {MANY(9, LIST, deny_rules, shape_rule)},
    {STRS(10, allowed_ips)},
    {ROW(11, BOOL, allow_encoded_slash)},
    {ROW(12, BOOL, websocket_credential_rewrite)},
    {ROW(13, BOOL, request_body_credential_rewrite)},
    {ROW(14, BOOL, allow_uninspected_credentials)},
    {ROW(15, BOOL, advisor_proposed)},
    {ROW(16, BOOL, provider_credentialed)},
    {ROW(17, STR, persisted_queries), .word = "deny"},
    {MANY(18, MAP, registered, shape_registered)},
    {ROW(19, U32, graphql_max_body_bytes), .number = POLICY_BODY_DEFAULT},
    {NAMED(20, U32, json_rpc_max_body_bytes, "json_rpc.max_body_bytes"), .number = POLICY_BODY_DEFAULT},
    {NAMED(21, BOOL, has_mcp, "mcp")},
    {NAMED(22, U32, strict_tool_names, "mcp.strict_tool_names"), .number = YES},
    {NAMED(23, U32, allow_all_known_mcp_methods, "mcp.allow_all_known_mcp_methods"), .number = NO},
    {ROW(24, STR, credential_signing)},
    {ROW(25, STR, signing_service)},
    {ROW(26, STR, signing_region)},
    {NAMED(27, STR, credential_provider, "credential_binding.provider")},
};
SHAPE(shape_endpoint, endpoint_fields);

#undef STRUCT
#define STRUCT l7_rule
static const struct shape_field rule_fields[] = {
    {ROW(1, STR, method)},
    {ROW(2, STR, path)},
    {ROW(3, STR, command)},
    {MANY(4, MAP, query, shape_matcher)},
    {ROW(5, STR, operation_type)},
    {ROW(6, STR, operation_name)},
    {STRS(7, fields)},
    {MANY(8, MAP, params, shape_matcher)},
};
SHAPE(shape_rule, rule_fields);

#undef STRUCT
#define STRUCT matcher
static const struct shape_field matcher_fields[] = {
    {ROW(1, STR, key)},
    {ROW(2, STR, glob)},
    {STRS(3, any)},
};
SHAPE(shape_matcher, matcher_fields);

#undef STRUCT
#define STRUCT graphql_registered
static const struct shape_field registered_fields[] = {
    {ROW(1, STR, id)},
    {ROW(2, STR, operation_type)},
    {ROW(3, STR, operation_name)},
    {STRS(4, fields)},
};
SHAPE(shape_registered, registered_fields);

#undef STRUCT
#define STRUCT binary
static const struct shape_field binary_fields[] = {
    {ROW(1, STR, path)},
    {ROW(2, BOOL, harness)},
};
SHAPE(shape_binary, binary_fields);

#undef STRUCT
#define STRUCT middleware
static const struct shape_field middleware_fields[] = {
    {ROW(1, STR, key)},
    {ROW(2, STR, name), .is_key_default = true},
    {NAMED(3, STR, implementation, "middleware")},
    {ROW(4, U32, order)},
    {ROW(5, VALUE, config)},
    {ROW(6, STR, on_error), .word = "fail_closed"},
    {STRS(7, include)},
    {STRS(8, exclude)},
};
SHAPE(shape_middleware, middleware_fields);

static const struct shape_field str_fields[] = {{.tag = 1, .kind = SHAPE_STR, .name = ""}};
const struct shape shape_str = {str_fields, 1, sizeof(struct str)};
static const struct shape_field u32_fields[] = {{.tag = 1, .kind = SHAPE_U32, .name = ""}};
const struct shape shape_u32 = {u32_fields, 1, sizeof(uint32_t)};

static const void *member(const struct shape_field *f, const void *object)
{
    return (const char *)object + f->at;
}

struct str shape_get_str(const struct shape_field *f, const void *object)
{
    const struct str *s = member(f, object), *key = object;
    if ((f->word && str_eq(*s, str_of(f->word))) || (f->is_key_default && str_eq(*s, *key)))
        return (struct str){};
    return *s;
}

uint32_t shape_get_u32(const struct shape_field *f, const void *object)
{
    if (f->kind == SHAPE_BOOL)
        return *(const bool *)member(f, object);
    uint32_t v;
    memcpy(&v, member(f, object), sizeof(v)); // not a cast: enums and int32_t are other types
    return f->number != 0 && v == f->number ? 0 : v;
}

const struct value *shape_get_value(const struct shape_field *f, const void *object)
{
    const struct value *v = member(f, object);
    bool is_nothing = v->kind == VALUE_NULL || (v->kind == VALUE_MAP && v->n == 0);
    return is_nothing ? NULL : v;
}

const void *shape_get_items(const struct shape_field *f, const void *object, size_t *ret_n)
{
    const void *items;
    memcpy(&items, member(f, object), sizeof(items));
    memcpy(ret_n, (const char *)object + f->n_at, sizeof(*ret_n));
    return items;
}

uint64_t shape_number_bits(double number)
{
    if (number != number)
        return 0x7ff8'0000'0000'0000; // the quiet NaN, whatever its payload was
    if (number == 0)
        return 0;
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static bool map_value_within(const struct value *a, const struct value *b)
{
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        while (k < b->n && !str_eq(a->keys[i], b->keys[k]))
            k++;
        if (k == b->n || !shape_same_value(&a->items[i], &b->items[k]))
            return false;
    }
    return true;
}

bool shape_same_value(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_NUMBER:
        return shape_number_bits(a->number) == shape_number_bits(b->number);
    case VALUE_STRING:
        return str_eq(a->string, b->string);
    case VALUE_LIST:
        for (size_t i = 0; a->n == b->n && i < a->n; i++)
            if (!shape_same_value(&a->items[i], &b->items[i]))
                return false;
        return a->n == b->n;
    case VALUE_MAP:
        return a->n == b->n && map_value_within(a, b) && map_value_within(b, a);
    }
    return false;
}

static bool same_list(const struct shape *of, const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!shape_same(of, a + i * of->size, b + i * of->size))
            return false;
    return true;
}

// Asked in both directions, so that a key given twice (a file cannot, the wire can) does not hide another.
static bool map_within(const struct shape *of, const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct str *key = (const void *)(a + i * of->size);
        size_t k = 0;
        while (k < n && !str_eq(*key, *(const struct str *)(const void *)(b + k * of->size)))
            k++;
        if (k == n || !shape_same(of, a + i * of->size, b + k * of->size))
            return false;
    }
    return true;
}

bool shape_same_field(const struct shape_field *f, const void *a, const void *b)
{
    size_t an, bn;
    const void *av, *bv;
    const struct value *x, *y;
    switch (f->kind) {
    case SHAPE_STR:
        return str_eq(shape_get_str(f, a), shape_get_str(f, b));
    case SHAPE_BOOL:
    case SHAPE_U32:
        return shape_get_u32(f, a) == shape_get_u32(f, b);
    case SHAPE_VALUE:
        x = shape_get_value(f, a);
        y = shape_get_value(f, b);
        return x && y ? shape_same_value(x, y) : x == y;
    case SHAPE_LIST:
    case SHAPE_MAP:
        av = shape_get_items(f, a, &an);
        bv = shape_get_items(f, b, &bn);
        if (an != bn || an == 0)
            return an == bn;
        return f->kind == SHAPE_LIST ? same_list(f->of, av, bv, an)
                                     : map_within(f->of, av, bv, an) && map_within(f->of, bv, av, an);
    }
    return false;
}

bool shape_same(const struct shape *s, const void *a, const void *b)
{
    for (size_t i = 0; i < s->n; i++)
        if (!shape_same_field(&s->fields[i], a, b))
            return false;
    return true;
}
