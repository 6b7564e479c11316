#include "policy/preset.h"

#include "tap.h"

#define RO   "GET HEAD OPTIONS"
#define RW   RO " POST PUT PATCH"
#define NONE ""

static const struct {
    struct str access, protocol;
    const char *want; // methods or operation types, in order
    const char *rule;
} rows[] = {
    {STR_INIT("read-only"), STR_INIT("rest"), RO, "rest, read-only: what does not change anything"},
    {STR_INIT("read-write"), STR_INIT("rest"), RW, "rest, read-write: no DELETE"},
    {STR_INIT("full"), STR_INIT("rest"), "*", "rest, full: every method"},
    {STR_INIT("read-only"), STR_INIT(""), RO, "no protocol: as rest"},
    {STR_INIT("read-write"), STR_INIT("sql"), RW, "a protocol without rows of its own: as rest"},
    {STR_INIT("read-only"), STR_INIT("websocket"), "GET", "websocket, read-only: the handshake"},
    {STR_INIT("read-write"), STR_INIT("websocket"), "GET WEBSOCKET_TEXT",
     "websocket, read-write: messages too"},
    {STR_INIT("full"), STR_INIT("websocket"), "*", "websocket, full"},
    {STR_INIT("read-only"), STR_INIT("graphql"), "query", "graphql, read-only: queries"},
    {STR_INIT("read-write"), STR_INIT("graphql"), "query mutation", "graphql, read-write: mutations too"},
    {STR_INIT("full"), STR_INIT("graphql"), "*", "graphql, full: subscriptions too"},
    {STR_INIT("full"), STR_INIT("mcp"), NONE, "mcp knows no presets"},
    {STR_INIT("read-only"), STR_INIT("json-rpc"), NONE, "json-rpc knows no presets"},
    {STR_INIT("readonly"), STR_INIT("rest"), NONE, "an unknown word grants nothing"},
    {STR_INIT("FULL"), STR_INIT("rest"), NONE, "the words are in lower case"},
    {STR_INIT(""), STR_INIT("rest"), NONE, "no word grants nothing"},
};

static bool is_row(size_t i)
{
    const struct l7_rule *v = NULL;
    size_t n = preset_rules(rows[i].access, rows[i].protocol, &v);
    struct str rest = str_of(rows[i].want), word;
    size_t k = 0;
    while (rest.n > 0 && str_split(&rest, ' ', &word)) {
        if (k == n)
            return false;
        bool is_http = v[k].method.n > 0;
        bool has_path = str_eq(v[k].path, STR("**"));
        if (is_http != has_path || !str_eq(is_http ? v[k].method : v[k].operation_type, word))
            return false;
        k++;
    }
    return k == n;
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tap_ok(is_row(i), "%s", rows[i].rule);
    return tap_done();
}
