#include "policy/preset.h"

#define HTTP(verb)                                                                                           \
    {                                                                                                        \
        .method = STR_INIT(verb), .path = STR_INIT("**")                                                     \
    }
#define GRAPHQL(type)                                                                                        \
    {                                                                                                        \
        .operation_type = STR_INIT(type)                                                                     \
    }

// Each preset begins with the rules of the one before it, so one table serves both; `full` has its own.
static const struct l7_rule rest[] = {
    HTTP("GET"),  HTTP("HEAD"), HTTP("OPTIONS"),
    HTTP("POST"), HTTP("PUT"),  HTTP("PATCH"), // DELETE is only in `full`
};
static const struct l7_rule websocket[] = {HTTP("GET"), HTTP("WEBSOCKET_TEXT")};
static const struct l7_rule graphql[] = {GRAPHQL("query"), GRAPHQL("mutation")};
static const struct l7_rule any_method[] = {HTTP("*")};
static const struct l7_rule any_operation[] = {GRAPHQL("*")};

static const struct preset {
    struct str protocol; // empty: every other one
    const struct l7_rule *graded;
    size_t read_only_n, read_write_n;
    const struct l7_rule *full;
} presets[] = {
    {STR_INIT("mcp"), .full = NULL},
    {STR_INIT("json-rpc"), .full = NULL},
    {STR_INIT("websocket"), websocket, 1, 2, any_method},
    {STR_INIT("graphql"), graphql, 1, 2, any_operation},
    {STR_INIT(""), rest, 3, 6, any_method},
};

size_t preset_rules(struct str access, struct str protocol, const struct l7_rule **ret)
{
    const struct preset *p = presets;
    while (p->protocol.n > 0 && !str_eq(p->protocol, protocol))
        p++;
    if (!p->full)
        return 0;
    if (str_eq(access, STR("full"))) {
        *ret = p->full;
        return 1;
    }
    bool is_write = str_eq(access, STR("read-write"));
    if (!is_write && !str_eq(access, STR("read-only")))
        return 0;
    *ret = p->graded;
    return is_write ? p->read_write_n : p->read_only_n;
}
