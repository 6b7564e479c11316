#include "policy/ssrf.h"

#include "net/cidr.h"
#include "net/host.h"

enum {
    PORT_ETCD = 2379,
    PORT_ETCD_PEER = 2380,
    PORT_KUBE_API = 6443,
    PORT_KUBELET = 10250,
    PORT_KUBELET_RO = 10255
};

#define HOST_FMT(f) (int)((f)->host.n < HOST_MAX ? (f)->host.n : HOST_MAX), ((f)->host.n ? (f)->host.p : "")

static bool is_gateway_alias(struct str host)
{
    static const struct str aliases[] = {
        STR_INIT("host.openshell.internal"),
        STR_INIT("host.containers.internal"),
        STR_INIT("host.docker.internal"),
    };
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (str_eq_ci(host, aliases[i]))
            return true;
    return false;
}

static enum err_code refuse(const struct ssrf_facts *f, const char *what, const struct ip *ip,
                            struct err *reterr)
{
    char text[IP_TEXT_MAX];
    ip_format(ip, text);
    return err_set(reterr, ERR_DENIED, "%.*s resolves to %s address %s, connection rejected", HOST_FMT(f),
                   what, text);
}

static enum err_code refuse_mismatch(const struct ssrf_facts *f, const struct ip *ip, const char *why,
                                     struct err *reterr)
{
    char text[IP_TEXT_MAX];
    ip_format(ip, text);
    return err_set(reterr, ERR_DENIED, "%.*s resolves to %s which %s, connection rejected", HOST_FMT(f), text,
                   why);
}

// The one link-local address that may be dialled. Looked at again, as it was pinned from a file.
static enum err_code check_gateway(const struct ssrf_facts *f, const struct ip *ip, struct err *reterr)
{
    const struct ip *gateway = f->trusted_gateway;
    if (ip_is_metadata(ip))
        return refuse(f, "cloud metadata", ip, reterr);
    if (!ip_eq(ip, gateway)) {
        char text[IP_TEXT_MAX], why[IP_TEXT_MAX + 40];
        ip_format(gateway, text);
        (void)snprintf(why, sizeof(why), "does not match trusted host gateway %s", text);
        return refuse_mismatch(f, ip, why, reterr);
    }
    if (!ip_is_link_local(ip))
        return refuse(f, ip_classify(ip) == IP_BLOCKED ? "always-blocked" : "internal", ip, reterr);
    return ERR_OK;
}

static enum err_code check_listed(const struct ssrf_facts *f, const struct snap_endpoint *e,
                                  const struct ip *ip, struct err *reterr)
{
    if (ip_classify(ip) == IP_BLOCKED)
        return refuse(f, "always-blocked", ip, reterr);
    for (size_t i = 0; i < e->allowed_ips_n; i++)
        if (cidr_has(&e->allowed_ips[i], ip))
            return ERR_OK;
    return refuse_mismatch(f, ip, "is not in allowed_ips", reterr);
}

static enum err_code check_literal(const struct ssrf_facts *f, const struct ip *ip, struct err *reterr)
{
    struct ip literal;
    struct err ignored;
    if (ip_classify(ip) == IP_BLOCKED)
        return refuse(f, "always-blocked", ip, reterr);
    if (ip_parse(f->host, &literal, &ignored) != ERR_OK || !ip_eq(&literal, ip))
        return refuse_mismatch(f, ip, "is not that address", reterr);
    return ERR_OK;
}

// Whoever answers for the name picks the address: a private one is what the policy asked for, a cloud's
// metadata service never is. A policy that means it lists the range or the literal.
static enum err_code check_declared(const struct ssrf_facts *f, const struct ip *ip, struct err *reterr)
{
    if (ip_classify(ip) == IP_BLOCKED)
        return refuse(f, "always-blocked", ip, reterr);
    if (ip_is_metadata(ip))
        return refuse(f, "cloud metadata", ip, reterr);
    return ERR_OK;
}

static enum err_code check_public(const struct ssrf_facts *f, const struct ip *ip, struct err *reterr)
{
    return ip_classify(ip) == IP_PUBLIC ? ERR_OK : refuse(f, "internal", ip, reterr);
}

static enum err_code check_one(enum ssrf_mode mode, const struct ssrf_facts *f, const struct conn_decision *d,
                               const struct ip *ip, struct err *reterr)
{
    switch (mode) {
    case SSRF_GATEWAY:
        return check_gateway(f, ip, reterr);
    case SSRF_ALLOWED_IPS:
        return check_listed(f, d->allowed_ips_of, ip, reterr);
    case SSRF_LITERAL:
        return check_literal(f, ip, reterr);
    case SSRF_DECLARED:
        return check_declared(f, ip, reterr);
    case SSRF_DEFAULT:
        break;
    }
    return check_public(f, ip, reterr);
}

enum ssrf_mode ssrf_mode(const struct ssrf_facts *f, const struct conn_decision *d)
{
    if (f->trusted_gateway && is_gateway_alias(f->host))
        return SSRF_GATEWAY;
    if (d->allowed_ips_of)
        return SSRF_ALLOWED_IPS;
    if (d->literal_declared)
        return SSRF_LITERAL;
    return d->exact_declared ? SSRF_DECLARED : SSRF_DEFAULT;
}

enum err_code ssrf_check(const struct ssrf_facts *f, const struct conn_decision *d, const struct ip *addrs,
                         size_t n, struct err *reterr)
{
    enum ssrf_mode mode = ssrf_mode(f, d);
    if (mode != SSRF_DEFAULT && ssrf_port_is_blocked(f->port))
        return err_set(reterr, ERR_DENIED, "port %u is a blocked control-plane port, connection rejected",
                       f->port);
    if (n == 0)
        return err_set(reterr, ERR_DENIED, "DNS resolution returned no addresses for %.*s", HOST_FMT(f));
    for (size_t i = 0; i < n; i++) {
        enum err_code r = check_one(mode, f, d, &addrs[i], reterr);
        if (r != ERR_OK)
            return r;
    }
    return ERR_OK;
}

const char *ssrf_kind(enum ssrf_mode mode)
{
    switch (mode) {
    case SSRF_GATEWAY:
        return "trusted-gateway check failed";
    case SSRF_ALLOWED_IPS:
        return "allowed_ips check failed";
    case SSRF_LITERAL:
    case SSRF_DECLARED:
        return "declared endpoint check failed";
    case SSRF_DEFAULT:
        break;
    }
    return "internal address";
}

bool ssrf_port_is_blocked(uint16_t port)
{
    return port == PORT_ETCD || port == PORT_ETCD_PEER || port == PORT_KUBE_API || port == PORT_KUBELET ||
           port == PORT_KUBELET_RO;
}
