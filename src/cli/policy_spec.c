#include "cli/policy_spec.h"

#include "net/cidr.h"

enum { SEGMENTS_MAX = 6, PORT_MAX = 65535, ALLOWED_IPS_MAX = 64 };

static bool one_of(struct str s, const struct str *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, words[i]))
            return true;
    return false;
}

static enum err_code check_host(struct str host, struct err *reterr)
{
    bool ok = host.n > 0;
    for (size_t i = 0; i < host.n; i++)
        ok = ok && host.p[i] > ' ' && host.p[i] != '/' && (unsigned char)host.p[i] < 0x7f;
    return ok ? ERR_OK
              : err_set(reterr, ERR_INVALID, "'%.*s' is no host: a name, without blanks and '/'",
                        STR_FMT(host));
}

static enum err_code check_port(struct str text, uint32_t *ret, struct err *reterr)
{
    uint64_t n = 0;
    if (!str_u64(text, PORT_MAX, &n) || n == 0)
        return err_set(reterr, ERR_INVALID, "'%.*s' is no port: 1 to %d", STR_FMT(text), PORT_MAX);
    *ret = (uint32_t)n;
    return ERR_OK;
}

enum err_code policy_spec_place(struct str text, struct str *host, uint32_t *port, struct err *reterr)
{
    struct str rest = text, name = {};
    (void)str_split(&rest, ':', &name);
    if (!rest.p || str_has(rest, ':'))
        return err_set(reterr, ERR_INVALID, "HOST:PORT is needed");
    uint32_t n = 0;
    enum err_code r = check_host(name, reterr);
    if (r == ERR_OK)
        r = check_port(rest, &n, reterr);
    if (r != ERR_OK)
        return r;
    *host = name;
    *port = n;
    return ERR_OK;
}

enum err_code policy_spec_rule(struct str text, struct arena *a, struct str *host, uint32_t *port,
                               struct l7_rule *ret, struct err *reterr)
{
    struct str part[4] = {}, rest = text, method = {};
    size_t n = 0;
    while (n < ARRAY_LEN(part) && rest.p && str_split(&rest, ':', &part[n]))
        n++;
    if (n != ARRAY_LEN(part) || rest.p)
        return err_set(reterr, ERR_INVALID, "HOST:PORT:METHOD:PATH is needed");
    const struct str path = part[3];
    uint32_t number = 0;
    enum err_code r = check_host(part[0], reterr);
    if (r == ERR_OK)
        r = check_port(part[1], &number, reterr);
    if (r != ERR_OK)
        return r;
    if (part[2].n == 0)
        return err_set(reterr, ERR_INVALID, "the method is empty: a name such as GET, or *");
    if (!str_starts(path, STR("/")) && !str_eq(path, STR("**")) && !str_starts(path, STR("**/")))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no path: it begins with '/' or '**/', or is '**'",
                       STR_FMT(path));
    if (!arena_dup(a, part[2], &method))
        return arena_limit(a, "a rule", reterr);
    char *upper = (char *)(uintptr_t)method.p; // our own copy
    for (size_t i = 0; i < method.n; i++)
        if (upper[i] >= 'a' && upper[i] <= 'z')
            upper[i] = (char)(upper[i] & ~0x20);
    *host = part[0];
    *port = number;
    *ret = (struct l7_rule){.method = method, .path = path};
    return ERR_OK;
}

// ---- endpoints

static enum err_code add_ip(struct str text, struct arena *a, struct endpoint *ep, struct err *reterr)
{
    struct cidr ignored;
    enum err_code r = cidr_parse(text, &ignored, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "allowed-ip '%.*s'", STR_FMT(text));
    if (!ep->allowed_ips.v)
        ep->allowed_ips.v = arena_newn(a, struct str, ALLOWED_IPS_MAX);
    if (!ep->allowed_ips.v || ep->allowed_ips.n == ALLOWED_IPS_MAX)
        return err_set(reterr, ERR_LIMIT, "more than %d of allowed-ip", ALLOWED_IPS_MAX);
    ep->allowed_ips.v[ep->allowed_ips.n++] = text;
    return ERR_OK;
}

static enum err_code add_option(struct str o, struct arena *a, struct endpoint *ep, struct err *reterr)
{
    struct str value = o;
    bool rest = str_eq(ep->protocol, STR("rest")), websocket = str_eq(ep->protocol, STR("websocket"));
    if (str_eq(o, STR("allow-uninspected-credentials"))) {
        ep->allow_uninspected_credentials = true;
    } else if (str_eq(o, STR("websocket-credential-rewrite"))) {
        if (!rest && !websocket)
            return err_set(reterr, ERR_INVALID, "'%.*s' needs protocol rest or websocket", STR_FMT(o));
        ep->websocket_credential_rewrite = true;
    } else if (str_eq(o, STR("request-body-credential-rewrite"))) {
        if (!rest)
            return err_set(reterr, ERR_INVALID, "'%.*s' needs protocol rest", STR_FMT(o));
        ep->request_body_credential_rewrite = true;
    } else if (str_skip(&value, STR("allowed-ip="))) {
        return add_ip(value, a, ep, reterr);
    } else {
        return err_set(reterr, ERR_INVALID,
                       "'%.*s' is no option: allow-uninspected-credentials, websocket-credential-rewrite, "
                       "request-body-credential-rewrite, allowed-ip=ADDRESS",
                       STR_FMT(o));
    }
    return ERR_OK;
}

static enum err_code check_words(const struct endpoint *ep, struct err *reterr)
{
    static const struct str accesses[] = {STR_INIT("read-only"), STR_INIT("read-write"), STR_INIT("full")};
    static const struct str protocols[] = {STR_INIT("tcp"), STR_INIT("rest"), STR_INIT("websocket"),
                                           STR_INIT("sql")};
    static const struct str enforcements[] = {STR_INIT("enforce"), STR_INIT("audit")};
    if (ep->access.n > 0 && !one_of(ep->access, accesses, ARRAY_LEN(accesses)))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no access: read-only, read-write, full",
                       STR_FMT(ep->access));
    if (ep->protocol.n > 0 && !one_of(ep->protocol, protocols, ARRAY_LEN(protocols)))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no protocol: tcp, rest, websocket, sql",
                       STR_FMT(ep->protocol));
    if (ep->enforcement.n > 0 && !one_of(ep->enforcement, enforcements, ARRAY_LEN(enforcements)))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no enforcement: enforce, audit",
                       STR_FMT(ep->enforcement));
    if (ep->enforcement.n > 0 && ep->protocol.n == 0)
        return err_set(reterr, ERR_INVALID, "an enforcement needs a protocol");
    if (str_eq(ep->protocol, STR("tcp")) && ep->access.n + ep->enforcement.n > 0)
        return err_set(reterr, ERR_INVALID, "protocol tcp takes neither an access nor an enforcement");
    return ERR_OK;
}

enum err_code policy_spec_endpoint(struct str text, struct arena *a, struct endpoint *ret, struct err *reterr)
{
    struct str part[SEGMENTS_MAX] = {}, rest = text;
    size_t n = 0;
    while (n + 1 < SEGMENTS_MAX && rest.p && str_split(&rest, ':', &part[n]))
        n++;
    if (rest.p)
        part[n++] = rest; // the options, which may hold IPv6 addresses
    if (n < 2)
        return err_set(reterr, ERR_INVALID, "HOST:PORT is needed, and what follows is optional");
    if (n > 2 && part[n - 1].n == 0)
        return err_set(reterr, ERR_INVALID, "the last segment is empty: leave its ':' out");
    struct endpoint ep = {.host = part[0],
                          .access = part[2],
                          .protocol = part[3],
                          .enforcement = part[4],
                          .ports_n = 1};
    ep.ports = arena_newn(a, uint32_t, 1);
    if (!ep.ports)
        return arena_limit(a, "an endpoint", reterr);
    enum err_code r = check_host(ep.host, reterr);
    if (r == ERR_OK)
        r = check_port(part[1], &ep.ports[0], reterr);
    if (r == ERR_OK)
        r = check_words(&ep, reterr);
    struct str options = part[5], one;
    while (r == ERR_OK && options.p && str_split(&options, ',', &one))
        r = add_option(one, a, &ep, reterr);
    if (r == ERR_OK)
        *ret = ep;
    return r;
}
