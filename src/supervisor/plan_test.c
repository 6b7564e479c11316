// Which addresses a policy makes reachable by themselves, and what a running sandbox may not change. The rest
// of a plan is tried by the scenarios, in sandboxes.
#include "isolate/netns.h"
#include "supervisor/launch.h"

#include "tap.h"

#define HOST     "version: 1\nnetwork_policies:\n  a:\n    endpoints: [{host: a.test, port: 443"
#define BINARIES "]\n    binaries: [{path: /usr/bin/curl}]\n"

static const char *first_diag(const struct diags *d)
{
    return d->n > 0 ? d->v[0].msg.p : "";
}

static enum err_code load(const char *text, struct arena *a, struct policy **ret, struct err *e)
{
    struct diags d;
    arena_init(a, 32 * MIB);
    diags_init(&d, a);
    enum err_code r = policy_load(str_of(text), POLICY_USE_FILE, a, ret, &d, e);
    if (r != ERR_OK || d.errors > 0)
        tap_note("%s: %s", text, first_diag(&d));
    return r;
}

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

// ---- a running sandbox
// ---------------------------------------------------------------------------------------------------

#define FIXED(what)                                                                                          \
    what                                                                                                     \
        " differs from that of the running sandbox: it is fixed when a sandbox is created; start a new one " \
        "for it, or leave that section as it was"
#define RUNNING                                                                                              \
    "version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr, /etc], read_write: [/tmp]}\n"  \
    "landlock: {compatibility: best_effort}\nprocess: {run_as_user: sandbox, run_as_group: sandbox}\n"

static const struct {
    const char *text, *error, *rule;
} reloads[] = {
    {RUNNING, NULL, "the same again"},
    {RUNNING "network_policies:\n  a:\n    endpoints: [{host: a.test, port: 443}]\n"
             "    binaries: [{path: /usr/bin/curl}]\n",
     NULL, "network policies may change"},
    {"version: 1\nfilesystem_policy: {include_workdir: false, read_only: [/usr, /etc], read_write: [/tmp]}\n"
     "landlock: {compatibility: best_effort}\nprocess: {run_as_user: sandbox, run_as_group: sandbox}\n",
     FIXED("filesystem_policy"), "the work directory may not"},
    {"version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr], read_write: [/tmp]}\n"
     "landlock: {compatibility: best_effort}\nprocess: {run_as_user: sandbox, run_as_group: sandbox}\n",
     FIXED("filesystem_policy"), "a path may not go"},
    {"version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr, /opt], read_write: [/tmp]}\n"
     "landlock: {compatibility: best_effort}\nprocess: {run_as_user: sandbox, run_as_group: sandbox}\n",
     FIXED("filesystem_policy"), "a path may not become another"},
    {"version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr, /etc], read_write: [/tmp, "
     "/srv/x]}\n"
     "landlock: {compatibility: best_effort}\nprocess: {run_as_user: sandbox, run_as_group: sandbox}\n",
     FIXED("filesystem_policy"), "a writable path may not come"},
    {"version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr, /etc], read_write: [/tmp]}\n"
     "landlock: {compatibility: hard_requirement}\nprocess: {run_as_user: sandbox, run_as_group: sandbox}\n",
     FIXED("landlock"), "Landlock may not"},
    {"version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr, /etc], read_write: [/tmp]}\n"
     "landlock: {compatibility: best_effort}\nprocess: {run_as_user: \"1234\", run_as_group: sandbox}\n",
     FIXED("process"), "the user may not"},
    {"version: 1\nfilesystem_policy: {include_workdir: true, read_only: [/usr, /etc], read_write: [/tmp]}\n"
     "landlock: {compatibility: best_effort}\nprocess: {run_as_user: sandbox, run_as_group: \"1234\"}\n",
     FIXED("process"), "the group may not"},
};

static void reload(size_t i)
{
    CLEANUP(arena_done) struct arena a = {}, b = {};
    struct plan p = {.workdir_fd = -1};
    struct policy *next = NULL;
    struct diags d;
    struct err e = {};
    enum err_code r = load(RUNNING, &a, &p.policy, &e);
    arena_init(&b, 32 * MIB);
    diags_init(&d, &b);
    if (r == ERR_OK)
        r = plan_reload(&p, str_of(reloads[i].text), &b, &next, &d, &e);
    bool ok = reloads[i].error ? r == ERR_PRECONDITION && strcmp(e.msg, reloads[i].error) == 0 && !next
                               : r == ERR_OK && next;
    if (!tap_ok(ok, "reload: %s", reloads[i].rule))
        tap_note("%d %s", r, e.msg);
}

static void reload_refuses(const char *text, enum err_code want, const char *rule)
{
    CLEANUP(arena_done) struct arena a = {}, b = {};
    struct plan p = {.workdir_fd = -1};
    struct policy *next = NULL;
    struct diags d;
    struct err e = {};
    enum err_code r = load("version: 1\n", &a, &p.policy, &e);
    arena_init(&b, 32 * MIB);
    diags_init(&d, &b);
    if (r == ERR_OK)
        r = plan_reload(&p, str_of(text), &b, &next, &d, &e);
    if (!tap_ok(r == want && !next, "reload: %s", rule))
        tap_note("%d %s", r, e.msg);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(reloads); i++)
        reload(i);
    reload_refuses("version: 2\n", ERR_INVALID, "what is not valid is not taken");
    reload_refuses(HOST ", protocol: mcp, mcp: {allow_all_known_mcp_methods: true}}" BINARIES,
                   ERR_UNSUPPORTED, "what is not built is not taken");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row(i);
    many(NETNS_RANGES_MAX, ERR_OK, NULL, "as many addresses as there is room for");
    many(NETNS_RANGES_MAX + 1, ERR_LIMIT, "more than 64 addresses and ranges in the policy",
         "one more is refused");
    return tap_done();
}
