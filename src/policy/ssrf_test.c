#include "policy/ssrf.h"
#include "tap.h"

#define N63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define N253 N63 "." N63 "." N63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// What the decision says, in letters: r ranges listed, l literal declared, d exact name declared.
static const struct {
    const char *host, *gateway, *decision;
    enum ssrf_mode want;
    const char *rule;
} modes[] = {
    {"host.openshell.internal", "169.254.1.2", "rld", SSRF_GATEWAY, "the alias comes first"},
    {"host.containers.internal", "169.254.1.2", "", SSRF_GATEWAY, "the second alias"},
    {"host.docker.internal", "169.254.1.2", "", SSRF_GATEWAY, "the third alias"},
    {"host.docker.internal", NULL, "", SSRF_DEFAULT, "no gateway, no alias"},
    {"host.docker.internal", NULL, "d", SSRF_DECLARED, "but a name like any other"},
    {"a.host.docker.internal", "169.254.1.2", "", SSRF_DEFAULT, "an alias has no children"},
    {"host.docker.interna", "169.254.1.2", "", SSRF_DEFAULT, "nor beginnings"},
    {"api.test", "169.254.1.2", "rld", SSRF_ALLOWED_IPS, "listed ranges come second"},
    {"api.test", NULL, "ld", SSRF_LITERAL, "the literal comes third"},
    {"api.test", NULL, "d", SSRF_DECLARED, "the declared name comes fourth"},
    {"api.test", NULL, "", SSRF_DEFAULT, "the rest"},
};

static const struct {
    const char *host;
    uint16_t port;
    const char *gateway, *decision;
    const char *addrs; // blanks between
    const char *want;  // NULL: passes
    const char *rule;
} checks[] = {
    {"api.test", 443, NULL, "", "8.8.8.8", NULL, "default: public"},
    {"api.test", 443, NULL, "", "8.8.8.8 2606:4700::1", NULL, "default: public, two families"},
    {"api.test", 6443, NULL, "", "8.8.8.8", NULL, "default: no port check"},
    {"api.test", 443, NULL, "", "10.0.0.1",
     "api.test resolves to internal address 10.0.0.1, connection rejected", "default: private"},
    {"api.test", 443, NULL, "", "8.8.8.8 10.0.0.1 9.9.9.9",
     "api.test resolves to internal address 10.0.0.1, connection rejected", "one bad address refuses"},
    {"api.test", 443, NULL, "", "8.8.8.8 9.9.9.9 ::1",
     "api.test resolves to internal address ::1, connection rejected", "the last one too"},
    {"api.test", 443, NULL, "", "127.0.0.1",
     "api.test resolves to internal address 127.0.0.1, connection rejected", "default: loopback"},
    {"api.test", 443, NULL, "", "::ffff:10.0.0.1",
     "api.test resolves to internal address ::ffff:10.0.0.1, connection rejected", "default: mapped"},
    {"api.test", 443, NULL, "", "64:ff9b::a9fe:a9fe",
     "api.test resolves to internal address 64:ff9b::a9fe:a9fe, connection rejected", "default: NAT64"},
    {"api.test", 443, NULL, "", "", "DNS resolution returned no addresses for api.test", "no address"},
    {"api.test", 443, NULL, "d", "", "DNS resolution returned no addresses for api.test",
     "no address, declared"},
    {N253, 443, NULL, "", "2002:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa",
     N253 " resolves to internal address 2002:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa, connection rejected",
     "the longest name is said in full"},

    {"api.test", 443, NULL, "d", "10.0.0.1", NULL, "declared: private"},
    {"api.test", 443, NULL, "d", "8.8.8.8", NULL, "declared: public"},
    {"api.test", 443, NULL, "d", "fd00::1 10.0.0.1", NULL, "declared: unique local"},
    {"api.test", 443, NULL, "d", "10.0.0.1 169.254.169.254",
     "api.test resolves to always-blocked address 169.254.169.254, connection rejected",
     "declared: link-local"},
    {"api.test", 443, NULL, "d", "224.0.0.1",
     "api.test resolves to always-blocked address 224.0.0.1, connection rejected", "declared: multicast"},
    {"api.test", 443, NULL, "d", "100.100.100.200",
     "api.test resolves to cloud metadata address 100.100.100.200, connection rejected",
     "declared: metadata"},
    {"api.test", 443, NULL, "d", "fd00:ec2::254",
     "api.test resolves to cloud metadata address fd00:ec2::254, connection rejected",
     "declared: metadata, IPv6"},
    {"api.test", 10250, NULL, "d", "8.8.8.8",
     "port 10250 is a blocked control-plane port, connection rejected", "declared: port"},
    {"api.test", 2379, NULL, "d", "", "port 2379 is a blocked control-plane port, connection rejected",
     "the port comes before the addresses"},

    {"10.0.0.1", 443, NULL, "ld", "10.0.0.1", NULL, "literal: private"},
    {"fd00::1", 443, NULL, "l", "fd00::1", NULL, "literal: unique local"},
    {"100.100.100.200", 443, NULL, "l", "100.100.100.200", NULL, "literal: metadata, by name"},
    {"10.0.0.1", 443, NULL, "l", "10.0.0.2",
     "10.0.0.1 resolves to 10.0.0.2 which is not that address, connection rejected",
     "literal: another address"},
    {"a.test", 443, NULL, "l", "10.0.0.2",
     "a.test resolves to 10.0.0.2 which is not that address, connection rejected", "literal: not one"},
    {"127.0.0.1", 443, NULL, "l", "127.0.0.1",
     "127.0.0.1 resolves to always-blocked address 127.0.0.1, connection rejected", "literal: loopback"},
    {"169.254.169.254", 80, NULL, "l", "169.254.169.254",
     "169.254.169.254 resolves to always-blocked address 169.254.169.254, connection rejected",
     "literal: link-local"},
    {"10.0.0.1", 2380, NULL, "l", "10.0.0.1",
     "port 2380 is a blocked control-plane port, connection rejected", "literal: port"},

    {"api.test", 443, NULL, "r", "10.1.2.3", NULL, "ranges: the first has it"},
    {"api.test", 443, NULL, "r", "fd00::1 10.1.2.3", NULL, "ranges: the second too"},
    {"api.test", 443, NULL, "r", "::ffff:10.1.2.3", NULL, "ranges: mapped"},
    {"api.test", 443, NULL, "rd", "8.8.8.8",
     "api.test resolves to 8.8.8.8 which is not in allowed_ips, connection rejected",
     "ranges: public addresses must be listed too"},
    {"api.test", 443, NULL, "r", "10.1.2.3 11.1.2.3",
     "api.test resolves to 11.1.2.3 which is not in allowed_ips, connection rejected", "ranges: all must be"},
    {"api.test", 443, NULL, "r", "127.0.0.1",
     "api.test resolves to always-blocked address 127.0.0.1, connection rejected",
     "ranges: a listed loopback"},
    {"api.test", 443, NULL, "r", "::ffff:127.0.0.1",
     "api.test resolves to always-blocked address ::ffff:127.0.0.1, connection rejected",
     "ranges: and mapped"},
    {"api.test", 6443, NULL, "r", "10.1.2.3",
     "port 6443 is a blocked control-plane port, connection rejected", "ranges: port"},
    {"api.test", 443, NULL, "e", "10.1.2.3",
     "api.test resolves to 10.1.2.3 which is not in allowed_ips, connection rejected",
     "ranges: an empty list"},

    {"host.docker.internal", 80, "169.254.1.2", "", "169.254.1.2", NULL, "gateway: that address"},
    {"host.docker.internal", 80, "fe80::1", "", "fe80::1", NULL, "gateway: IPv6"},
    {"host.docker.internal", 80, "169.254.1.2", "", "169.254.1.2 169.254.1.3",
     "host.docker.internal resolves to 169.254.1.3 which does not match trusted host gateway 169.254.1.2, "
     "connection "
     "rejected",
     "gateway: another address"},
    {"host.docker.internal", 80, "169.254.1.2", "d", "8.8.8.8",
     "host.docker.internal resolves to 8.8.8.8 which does not match trusted host gateway 169.254.1.2, "
     "connection "
     "rejected",
     "gateway: a public one"},
    {"host.docker.internal", 80, "169.254.1.2", "", "::ffff:169.254.1.2",
     "host.docker.internal resolves to ::ffff:169.254.1.2 which does not match trusted host gateway "
     "169.254.1.2, "
     "connection rejected",
     "gateway: exactly"},
    {"host.docker.internal", 80, "169.254.169.254", "", "169.254.169.254",
     "host.docker.internal resolves to cloud metadata address 169.254.169.254, connection rejected",
     "gateway: pinned to metadata"},
    {"host.docker.internal", 80, "127.0.0.1", "", "127.0.0.1",
     "host.docker.internal resolves to always-blocked address 127.0.0.1, connection rejected",
     "gateway: pinned to loopback"},
    {"host.docker.internal", 80, "10.0.0.1", "", "10.0.0.1",
     "host.docker.internal resolves to internal address 10.0.0.1, connection rejected",
     "gateway: pinned to private"},
    {"host.docker.internal", 10255, "169.254.1.2", "", "169.254.1.2",
     "port 10255 is a blocked control-plane port, connection rejected", "gateway: port"},
    {"host.docker.internal", 80, "169.254.1.2", "", "",
     "DNS resolution returned no addresses for host.docker.internal", "gateway: no address"},
};

struct scene {
    struct ssrf_facts facts;
    struct conn_decision decision;
    struct ip gateway;
    struct snap_endpoint endpoint;
    struct cidr ranges[3];
};

static struct ip read_ip(struct str text)
{
    struct ip ip = {};
    struct err err;
    if (ip_parse(text, &ip, &err) != ERR_OK)
        tap_ok(false, "an address in the table: %s", err.msg);
    return ip;
}

static void scene_set(struct scene *s, const char *host, uint16_t port, const char *gateway,
                      const char *decision)
{
    *s = (struct scene){.facts = {.host = str_of(host), .port = port}};
    if (gateway) {
        s->gateway = read_ip(str_of(gateway));
        s->facts.trusted_gateway = &s->gateway;
    }
    s->ranges[0] = (struct cidr){{4, {10}}, 8};
    s->ranges[1] = (struct cidr){{6, {0xfd}}, 8};
    s->ranges[2] = (struct cidr){{4, {127}}, 8};
    bool empty = strchr(decision, 'e') != NULL;
    s->endpoint = (struct snap_endpoint){.allowed_ips = s->ranges, .allowed_ips_n = empty ? 0 : 3};
    s->decision.allowed_ips_of = empty || strchr(decision, 'r') ? &s->endpoint : NULL;
    s->decision.literal_declared = strchr(decision, 'l') != NULL;
    s->decision.exact_declared = strchr(decision, 'd') != NULL;
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct scene s;
        scene_set(&s, modes[i].host, 443, modes[i].gateway, modes[i].decision);
        tap_ok(ssrf_mode(&s.facts, &s.decision) == modes[i].want, "%s", modes[i].rule);
    }
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct scene s;
        scene_set(&s, checks[i].host, checks[i].port, checks[i].gateway, checks[i].decision);
        struct ip addrs[4];
        size_t n = 0;
        for (struct str rest = str_of(checks[i].addrs), one; rest.n > 0 && str_split(&rest, ' ', &one);)
            addrs[n++] = read_ip(one);
        struct err err = {};
        enum err_code r = ssrf_check(&s.facts, &s.decision, addrs, n, &err);
        bool ok = checks[i].want ? r == ERR_DENIED && strcmp(err.msg, checks[i].want) == 0 : r == ERR_OK;
        if (!tap_ok(ok, "%s", checks[i].rule))
            tap_note("%s", err.msg);
    }
    static const char *const kinds[] = {"trusted-gateway check failed", "allowed_ips check failed",
                                        "declared endpoint check failed", "declared endpoint check failed",
                                        "internal address"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        tap_ok(strcmp(ssrf_kind((enum ssrf_mode)i), kinds[i]) == 0, "kind %zu is '%s'", i, kinds[i]);
    size_t blocked = 0;
    for (unsigned port = 0; port <= UINT16_MAX; port++)
        blocked += ssrf_port_is_blocked((uint16_t)port);
    bool ok = ssrf_port_is_blocked(2379) && ssrf_port_is_blocked(2380) && ssrf_port_is_blocked(6443) &&
              ssrf_port_is_blocked(10250) && ssrf_port_is_blocked(10255);
    tap_ok(ok && blocked == 5, "five ports are closed, and no other");
    return tap_done();
}
