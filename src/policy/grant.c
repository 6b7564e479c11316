#include "policy/grant.h"
#include "policy/preset.h"
#include "policy/shape.h"

static const struct l7_rule any_call = {.method = STR_INIT("*")};

size_t grant_rules(const struct endpoint *e, const struct l7_rule **ret)
{
    if (e->rules_n > 0) {
        *ret = e->rules;
        return e->rules_n;
    }
    size_t n = preset_rules(e->access, e->protocol, ret);
    if (n > 0 || !str_eq(e->protocol, STR("mcp")) || e->allow_all_known_mcp_methods != YES)
        return n;
    *ret = &any_call;
    return 1;
}

bool grant_is_inspected(const struct endpoint *e)
{
    return e->protocol.n > 0 && !str_eq(e->protocol, STR("tcp"));
}

static bool covers_word(struct str big, struct str small)
{
    return str_eq(big, STR("*")) || str_eq_ci(big, small);
}

static bool covers_glob(struct str big, struct str small)
{
    return str_eq(big, STR("**")) || str_eq(big, small);
}

static bool same_list(const struct shape *shape, const void *a, const void *b, size_t n)
{
    const char *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (!shape_same(shape, x + i * shape->size, y + i * shape->size))
            return false;
    return true;
}

// A condition fewer allows more: none at all covers any, otherwise they have to be the same.
static bool covers_list(const struct shape *shape, const void *big, size_t big_n, const void *small,
                        size_t small_n)
{
    return big_n == 0 || (big_n == small_n && same_list(shape, big, small, big_n));
}

bool grant_covers_rule(const struct l7_rule *big, const struct l7_rule *small)
{
    bool is_head = str_eq_ci(big->method, STR("GET")) && str_eq_ci(small->method, STR("HEAD"));
    return (is_head || covers_word(big->method, small->method)) && covers_glob(big->path, small->path) &&
           covers_word(big->command, small->command) &&
           covers_word(big->operation_type, small->operation_type) &&
           (big->operation_name.n == 0 || covers_glob(big->operation_name, small->operation_name)) &&
           covers_list(&shape_str, big->fields.v, big->fields.n, small->fields.v, small->fields.n) &&
           covers_list(&shape_matcher, big->query, big->query_n, small->query, small->query_n) &&
           covers_list(&shape_matcher, big->params, big->params_n, small->params, small->params_n);
}

bool grant_covers_rules(const struct endpoint *big, const struct endpoint *small)
{
    const struct l7_rule *b = NULL, *s = NULL;
    size_t bn = grant_rules(big, &b), sn = grant_rules(small, &s);
    for (size_t i = 0; i < sn; i++) {
        size_t k = 0;
        while (k < bn && !grant_covers_rule(&b[k], &s[i]))
            k++;
        if (k == bn)
            return false;
    }
    return true;
}

static bool is_every_path(struct str path)
{
    return path.n == 0 || str_eq(path, STR("**")) || str_eq(path, STR("/**"));
}

bool grant_same_path(struct str a, struct str b)
{
    return is_every_path(a) ? is_every_path(b) : str_eq(a, b);
}

bool grant_has_port(const struct endpoint *e, uint32_t port)
{
    for (size_t i = 0; i < e->ports_n; i++)
        if (e->ports[i] == port)
            return true;
    return false;
}

bool grant_has_binary(const struct policy_entry *e, struct str path)
{
    for (size_t i = 0; i < e->binaries_n; i++)
        if (str_eq(e->binaries[i].path, path))
            return true;
    return false;
}

bool grant_is_provider_key(struct str key)
{
    return str_starts(key, POLICY_PROVIDER_PREFIX);
}
