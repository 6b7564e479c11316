#include "policy/shape_fill.h"

#include "tap.h"

static size_t size_of(const struct shape_field *f)
{
    static const size_t sizes[] = {
        [SHAPE_STR] = sizeof(struct str),     [SHAPE_BOOL] = sizeof(bool),   [SHAPE_U32] = sizeof(uint32_t),
        [SHAPE_VALUE] = sizeof(struct value), [SHAPE_LIST] = sizeof(void *), [SHAPE_MAP] = sizeof(void *),
    };
    return sizes[f->kind];
}

// Every byte of the struct belongs to a row, or is less than what alignment asks for.
static void no_gap(const char *name, const struct shape *s)
{
    bool seen[1024] = {};
    assert(s->size <= sizeof(seen));
    for (size_t i = 0; i < s->n; i++) {
        const struct shape_field *f = &s->fields[i];
        for (size_t k = 0; k < size_of(f); k++)
            seen[f->at + k] = true;
        for (size_t k = 0; f->of && k < sizeof(size_t); k++)
            seen[f->n_at + k] = true;
    }
    size_t run = 0, worst = 0;
    for (size_t i = 0; i < s->size; i++) {
        run = seen[i] ? 0 : run + 1;
        worst = run > worst ? run : worst;
    }
    tap_ok(worst < _Alignof(max_align_t) / 2, "%s: no member is without a row", name);
    for (size_t i = 1; i < s->n; i++)
        if (s->fields[i].tag <= s->fields[i - 1].tag)
            tap_ok(false, "%s: tags ascend", name);
}

static const struct {
    const char *name;
    const struct shape *shape;
} shapes[] = {
    {"policy", &shape_policy},         {"entry", &shape_entry},
    {"endpoint", &shape_endpoint},     {"rule", &shape_rule},
    {"binary", &shape_binary},         {"middleware", &shape_middleware},
    {"registered", &shape_registered}, {"matcher", &shape_matcher},
};

static void words(void)
{
    struct endpoint none = {}, given = {.enforcement = STR("audit"),
                                        .persisted_queries = STR("deny"),
                                        .graphql_max_body_bytes = POLICY_BODY_DEFAULT,
                                        .json_rpc_max_body_bytes = POLICY_BODY_DEFAULT,
                                        .strict_tool_names = YES,
                                        .allow_all_known_mcp_methods = NO};
    tap_ok(shape_same(&shape_endpoint, &none, &given),
           "a default that is written out means the same as silence");
    given.enforcement = STR("enforce");
    tap_ok(!shape_same(&shape_endpoint, &none, &given), "another word does not");
    struct policy_entry x = {.key = STR("k"), .name = STR("k")}, y = {.key = STR("k")};
    tap_ok(shape_same(&shape_entry, &x, &y), "a name that repeats the key says nothing");
    y.name = STR("other");
    tap_ok(!shape_same(&shape_entry, &x, &y), "another name does");
    struct middleware m = {.key = STR("k")}, n = {.key = STR("k"), .config = {.kind = VALUE_MAP}};
    tap_ok(shape_same(&shape_middleware, &m, &n), "an empty config is none");
    struct matcher twice[] = {{.key = STR("k"), .glob = STR("1")}, {.key = STR("k"), .glob = STR("1")}};
    struct matcher other[] = {{.key = STR("k"), .glob = STR("1")}, {.key = STR("l"), .glob = STR("2")}};
    struct l7_rule r = {.query = twice, .query_n = 2}, q = {.query = other, .query_n = 2};
    tap_ok(!shape_same(&shape_rule, &r, &q) && !shape_same(&shape_rule, &q, &r),
           "a key given twice does not hide another");
}

static void numbers(void)
{
    struct value zero = {.kind = VALUE_NUMBER, .number = 0.0}, minus = {.kind = VALUE_NUMBER, .number = -0.0};
    struct value nan = {.kind = VALUE_NUMBER, .number = __builtin_nan("")};
    struct value nan2 = {.kind = VALUE_NUMBER, .number = -__builtin_nan("7")};
    tap_ok(shape_same_value(&zero, &minus), "there is one zero");
    tap_ok(shape_same_value(&nan, &nan2), "there is one NaN");
    tap_ok(!shape_same_value(&zero, &nan), "they are not the same");
}

static void each_field(void)
{
    struct arena a;
    arena_init(&a, 64 * MIB);
    struct policy p = {};
    unsigned n = 0;
    bool ok = fill(&shape_policy, &p, &a, &n);
    size_t fields = 0;
    for (size_t i = 0; ok; i++, fields++) {
        struct policy *q = NULL;
        size_t left = i;
        const char *name = "";
        ok = policy_clone(&p, &a, &q) && shape_same(&shape_policy, &p, q);
        if (!ok || !change(&shape_policy, q, &left, &name))
            break;
        if (shape_same(&shape_policy, &p, q))
            tap_ok(false, "field %zu (%s) counts", i, name);
    }
    tap_ok(ok && fields > 300, "each of %zu fields of a full policy counts", fields);
    arena_done(&a);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        no_gap(shapes[i].name, shapes[i].shape);
    words();
    numbers();
    each_field();
    return tap_done();
}
