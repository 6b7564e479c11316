// Which addresses a policy makes reachable by themselves. The rest of a plan is tried by the scenarios, in
// sandboxes.
#include "isolate/netns.h"
#include "supervisor/launch.h"

#include "tap.h"

static struct endpoint endpoint(struct str host, struct str *ips, size_t ips_n)
{
    return (struct endpoint){.host = host, .allowed_ips = {.v = ips, .n = ips_n}};
}

// The ranges of `eps`, as text with blanks between them; or the error's.
static enum err_code ranges(struct endpoint *eps, size_t n, char *out, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct policy_entry entry = {.key = STR("a"), .endpoints = eps, .endpoints_n = n};
    const struct policy p = {.entries = &entry, .entries_n = 1};
    struct cidr *v = NULL;
    size_t v_n = 0;
    struct err e = {};
    enum err_code r = plan_ranges(&p, &a, &v, &v_n, &e);
    out[0] = '\0';
    if (r != ERR_OK)
        (void)snprintf(out, size, "%.*s", (int)size - 1, e.msg);
    for (size_t i = 0, used = 0; r == ERR_OK && i < v_n && used < size; i++) {
        char text[CIDR_TEXT_MAX + 1] = "";
        (void)cidr_format(&v[i], text);
        int k = snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", text);
        used += k > 0 ? (size_t)k : 0;
    }
    return r;
}

static const struct {
    struct str host;
    const char *ip; // NULL: none
    enum err_code code;
    const char *want, *rule;
} rows[] = {
    {STR_INIT("a.test"), NULL, ERR_OK, "", "a name is no address"},
    {STR_INIT("*.a.test"), NULL, ERR_OK, "", "nor is a pattern"},
    {STR_INIT("93.184.216.34"), NULL, ERR_OK, "93.184.216.34/32", "a literal host is one address"},
    {STR_INIT("2001:db8::1"), NULL, ERR_OK, "2001:db8::1/128", "one of version 6, too"},
    {STR_INIT(""), "198.51.100.0/24", ERR_OK, "198.51.100.0/24", "an endpoint without a host is its ranges"},
    {STR_INIT("a.test"), "198.51.100.0/24", ERR_OK, "",
     "the ranges of a name are what it may resolve to, not what may be dialled"},
    {STR_INIT("10.200.0.1"), NULL, ERR_UNSUPPORTED,
     "'10.200.0.1' covers 10.200.0.0/24, which is the sandbox's own network",
     "the sandbox's own network is refused"},
    {STR_INIT(""), "10.0.0.0/8", ERR_UNSUPPORTED,
     "'10.0.0.0/8' covers 10.200.0.0/24, which is the sandbox's own network", "a range around it is, too"},
    {STR_INIT(""), "10.200.1.0/24", ERR_OK, "10.200.1.0/24", "its neighbour is not"},
};

static void row(size_t i)
{
    char got[200];
    struct str ip = str_of(rows[i].ip ? rows[i].ip : "");
    struct endpoint ep = endpoint(rows[i].host, &ip, rows[i].ip ? 1 : 0);
    enum err_code r = ranges(&ep, 1, got, sizeof(got));
    if (!tap_ok(r == rows[i].code && strcmp(got, rows[i].want) == 0, "%s", rows[i].rule))
        tap_note("%d %s", r, got);
}

static void many(size_t n, enum err_code want, const char *text, const char *rule)
{
    static struct endpoint eps[NETNS_RANGES_MAX + 1];
    char got[(NETNS_RANGES_MAX + 1) * 20];
    for (size_t i = 0; i < n; i++)
        eps[i] = endpoint(STR("93.184.216.34"), NULL, 0);
    enum err_code r = ranges(eps, n, got, sizeof(got));
    if (!tap_ok(r == want && (!text || strcmp(got, text) == 0), "%s", rule))
        tap_note("%d %s", r, got);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row(i);
    many(NETNS_RANGES_MAX, ERR_OK, NULL, "as many addresses as there is room for");
    many(NETNS_RANGES_MAX + 1, ERR_LIMIT, "more than 64 addresses and ranges in the policy",
         "one more is refused");
    return tap_done();
}
