#include "isolate/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/nl.h"

enum { BACKLOG = 1024, PRIORITY_MANGLE = -150, LO_INDEX = 1 };

static const char table[] = "openshell", chain[] = "capture";

static const struct cidr synthetic = {.net = {.family = 4, .b = {198, 18}}, .bits = 15}; // RFC 2544

// ---- loopback and routes
// ------------------------------------------------------------------------------------

static enum err_code lo_up(struct err *e)
{
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        return err_set(e, fd_code(errno), "bringing up the loopback: %s", fd_strerror(errno));
    return ERR_OK;
}

// `ip route add local default dev lo`: every address is ours.
static enum err_code all_local(uint8_t family, struct err *e)
{
    struct nl m = {};
    const struct rtmsg rt = {.rtm_family = family,
                             .rtm_table = RT_TABLE_LOCAL,
                             .rtm_protocol = RTPROT_BOOT,
                             .rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
                             .rtm_type = RTN_LOCAL};
    nl_begin(&m, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &rt, sizeof(rt));
    nl_u32(&m, RTA_OIF, LO_INDEX);
    nl_end(&m);
    return nl_talk(NETLINK_ROUTE, &m, 1, family == AF_INET ? "local route for IPv4" : "local route for IPv6",
                   e);
}

// ---- nf_tables
// ----------------------------------------------------------------------------------------------

static void nft_begin(struct nl *m, uint16_t type, uint16_t flags, uint8_t family)
{
    const struct nfgenmsg g = {.nfgen_family = family, .version = NFNETLINK_V0};
    nl_begin(m, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), (uint16_t)(NLM_F_REQUEST | flags), &g,
             sizeof(g));
}

static void batch(struct nl *m, uint16_t type)
{
    const struct nfgenmsg g = {.nfgen_family = AF_UNSPEC,
                               .version = NFNETLINK_V0,
                               .res_id = htons(NFNL_SUBSYS_NFTABLES)};
    nl_begin(m, type, NLM_F_REQUEST, &g, sizeof(g));
    nl_end(m);
}

struct expr {
    size_t element, data;
};

static struct expr expr_begin(struct nl *m, const char *name)
{
    struct expr x = {.element = nl_nest(m, NFTA_LIST_ELEM)};
    nl_text(m, NFTA_EXPR_NAME, name);
    x.data = nl_nest(m, NFTA_EXPR_DATA);
    return x;
}

static void expr_end(struct nl *m, struct expr x)
{
    nl_unnest(m, x.data);
    nl_unnest(m, x.element);
}

static void data_value(struct nl *m, uint16_t type, const void *p, size_t n)
{
    size_t at = nl_nest(m, type);
    nl_attr(m, NFTA_DATA_VALUE, p, n);
    nl_unnest(m, at);
}

static void equals(struct nl *m, const void *p, size_t n)
{
    struct expr x = expr_begin(m, "cmp");
    nl_be32(m, NFTA_CMP_SREG, NFT_REG_1);
    nl_be32(m, NFTA_CMP_OP, NFT_CMP_EQ);
    data_value(m, NFTA_CMP_DATA, p, n);
    expr_end(m, x);
}

static void meta_equals(struct nl *m, uint32_t key, uint8_t value)
{
    struct expr x = expr_begin(m, "meta");
    nl_be32(m, NFTA_META_DREG, NFT_REG_1);
    nl_be32(m, NFTA_META_KEY, key);
    expr_end(m, x);
    equals(m, &value, 1);
}

// The destination address under a mask.
static void destination_in(struct nl *m, const struct cidr *c)
{
    uint32_t len = c->net.family == 4 ? 4 : 16;
    unsigned char mask[16] = {}, zero[16] = {};
    for (unsigned i = 0; i < c->bits; i++)
        mask[i / 8] |= (unsigned char)(0x80 >> i % 8);
    struct expr x = expr_begin(m, "payload");
    nl_be32(m, NFTA_PAYLOAD_DREG, NFT_REG_1);
    nl_be32(m, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    nl_be32(m, NFTA_PAYLOAD_OFFSET, c->net.family == 4 ? 16 : 24);
    nl_be32(m, NFTA_PAYLOAD_LEN, len);
    expr_end(m, x);
    x = expr_begin(m, "bitwise");
    nl_be32(m, NFTA_BITWISE_SREG, NFT_REG_1);
    nl_be32(m, NFTA_BITWISE_DREG, NFT_REG_1);
    nl_be32(m, NFTA_BITWISE_LEN, len);
    data_value(m, NFTA_BITWISE_MASK, mask, len);
    data_value(m, NFTA_BITWISE_XOR, zero, len);
    expr_end(m, x);
    equals(m, c->net.b, len);
}

static void immediate(struct nl *m, uint32_t reg, const void *p, size_t n)
{
    struct expr x = expr_begin(m, "immediate");
    nl_be32(m, NFTA_IMMEDIATE_DREG, reg);
    data_value(m, NFTA_IMMEDIATE_DATA, p, n);
    expr_end(m, x);
}

// tproxy to the loopback address, at our port.
static void tproxy(struct nl *m, uint8_t family)
{
    struct in6_addr lo6 = IN6ADDR_LOOPBACK_INIT;
    struct in_addr lo4 = {.s_addr = htonl(INADDR_LOOPBACK)};
    uint16_t port = htons(NETNS_CAPTURED_PORT);
    bool v4 = family == 4;
    immediate(m, NFT_REG_1, v4 ? (const void *)&lo4 : (const void *)&lo6, v4 ? sizeof(lo4) : sizeof(lo6));
    immediate(m, NFT_REG_2, &port, sizeof(port));
    struct expr x = expr_begin(m, "tproxy");
    nl_be32(m, NFTA_TPROXY_FAMILY, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    nl_be32(m, NFTA_TPROXY_REG_ADDR, NFT_REG_1);
    nl_be32(m, NFTA_TPROXY_REG_PORT, NFT_REG_2);
    expr_end(m, x);
}

static void rule(struct nl *m, const struct cidr *c)
{
    nft_begin(m, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, NFPROTO_INET);
    nl_text(m, NFTA_RULE_TABLE, table);
    nl_text(m, NFTA_RULE_CHAIN, chain);
    size_t list = nl_nest(m, NFTA_RULE_EXPRESSIONS);
    meta_equals(m, NFT_META_NFPROTO, c->net.family == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    meta_equals(m, NFT_META_L4PROTO, IPPROTO_TCP);
    destination_in(m, c);
    tproxy(m, c->net.family);
    nl_unnest(m, list);
    nl_end(m);
}

static void table_message(struct nl *m, uint16_t type, uint16_t flags)
{
    nft_begin(m, type, (uint16_t)(flags | NLM_F_ACK), NFPROTO_INET);
    nl_text(m, NFTA_TABLE_NAME, table);
    nl_end(m);
}

static void chain_message(struct nl *m)
{
    nft_begin(m, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET);
    nl_text(m, NFTA_CHAIN_TABLE, table);
    nl_text(m, NFTA_CHAIN_NAME, chain);
    size_t hook = nl_nest(m, NFTA_CHAIN_HOOK);
    nl_be32(m, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
    nl_be32(m, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY_MANGLE);
    nl_unnest(m, hook);
    nl_be32(m, NFTA_CHAIN_POLICY, NF_ACCEPT);
    nl_text(m, NFTA_CHAIN_TYPE, "filter");
    nl_end(m);
}

// `again`: what was installed before goes, in the same transaction. Not asked for where there is nothing,
// since the kernel waits for every processor (synchronize_rcu, 10 ms) before it forgets a table.
static enum err_code install(const struct cidr *ranges, size_t n, bool again, struct err *e)
{
    if (n > NETNS_RANGES_MAX)
        return err_set(e, ERR_LIMIT, "%zu address ranges in the policy, %d at most", n, NETNS_RANGES_MAX);
    struct nl m;
    m.n = m.msg = 0;
    m.full = false;
    batch(&m, NFNL_MSG_BATCH_BEGIN);
    if (again)
        table_message(&m, NFT_MSG_DELTABLE, 0);
    table_message(&m, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    chain_message(&m);
    rule(&m, &synthetic);
    for (size_t i = 0; i < n; i++)
        rule(&m, &ranges[i]);
    batch(&m, NFNL_MSG_BATCH_END);
    return nl_talk(NETLINK_NETFILTER, &m, (again ? 4 : 3) + n, "nft tproxy rules", e);
}

enum err_code netns_capture(const struct cidr *ranges, size_t n, struct err *e)
{
    return install(ranges, n, true, e);
}

bool netns_answers(const struct cidr *ranges, size_t n, const struct ip *ip)
{
    static const struct cidr own[] = {
        {.net = {.family = 4, .b = {127}}, .bits = 8},
        {.net = {.family = 4}, .bits = 32}, // 0.0.0.0, which Linux takes for the loopback
        {.net = {.family = 4, .b = {10, 200, 0, 1}}, .bits = 32},
        {.net = {.family = 6, .b = {[15] = 1}}, .bits = 128},
        {.net = {.family = 6}, .bits = 128},
    };
    bool has = cidr_has(&synthetic, ip);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        has = has || cidr_has(&own[i], ip);
    for (size_t i = 0; i < n; i++)
        has = has || cidr_has(&ranges[i], ip);
    return has;
}

// ---- sockets
// ------------------------------------------------------------------------------------------------

static bool on(int fd, int level, int option)
{
    const int yes = 1;
    return setsockopt(fd, level, option, &yes, sizeof(yes)) == 0;
}

static bool bind4(int fd, uint32_t address, uint16_t port)
{
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr = {.s_addr = htonl(address)}};
    return bind(fd, (const struct sockaddr *)&in, sizeof(in)) == 0;
}

static bool bind6(int fd, uint16_t port)
{
    const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                                     .sin6_port = htons(port),
                                     .sin6_addr = IN6ADDR_ANY_INIT};
    return on(fd, IPPROTO_IPV6, IPV6_V6ONLY) && bind(fd, (const struct sockaddr *)&in6, sizeof(in6)) == 0;
}

static enum err_code sock_error(const char *what, struct err *e)
{
    return err_set(e, fd_code(errno), "%s: %s", what, fd_strerror(errno));
}

static int stream_sock(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static enum err_code listeners(struct netns *n, struct err *e)
{
    n->proxy = stream_sock(AF_INET);
    if (n->proxy < 0 || !on(n->proxy, SOL_SOCKET, SO_REUSEADDR) ||
        !bind4(n->proxy, 0x0ac80001, NETNS_PROXY_PORT) || listen(n->proxy, BACKLOG) < 0)
        return sock_error("listening at 10.200.0.1:3128", e);
    n->captured[0] = stream_sock(AF_INET);
    if (n->captured[0] < 0 || !on(n->captured[0], IPPROTO_IP, IP_TRANSPARENT) ||
        !bind4(n->captured[0], INADDR_ANY, NETNS_CAPTURED_PORT) || listen(n->captured[0], BACKLOG) < 0)
        return sock_error("the transparent IPv4 listener", e);
    n->captured[1] = stream_sock(AF_INET6);
    if (n->captured[1] < 0 || !on(n->captured[1], IPPROTO_IPV6, IPV6_TRANSPARENT) ||
        !bind6(n->captured[1], NETNS_CAPTURED_PORT) || listen(n->captured[1], BACKLOG) < 0)
        return sock_error("the transparent IPv6 listener", e);
    n->dns[0] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (n->dns[0] < 0 || !on(n->dns[0], IPPROTO_IP, IP_PKTINFO) || !bind4(n->dns[0], INADDR_ANY, 53))
        return sock_error("the IPv4 DNS socket", e);
    n->dns[1] = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (n->dns[1] < 0 || !on(n->dns[1], IPPROTO_IPV6, IPV6_RECVPKTINFO) || !bind6(n->dns[1], 53))
        return sock_error("the IPv6 DNS socket", e);
    return ERR_OK;
}

void netns_close(struct netns *n)
{
    fd_close(&n->proxy);
    for (int i = 0; i < 2; i++) {
        fd_close(&n->captured[i]);
        fd_close(&n->dns[i]);
    }
}

enum err_code netns_setup(const struct cidr *ranges, size_t n, struct netns *ret, struct err *e)
{
    struct netns ns = {.proxy = -1, .captured = {-1, -1}, .dns = {-1, -1}};
    enum err_code r = lo_up(e);
    if (r == ERR_OK)
        r = all_local(AF_INET, e);
    if (r == ERR_OK)
        r = all_local(AF_INET6, e);
    if (r == ERR_OK)
        r = listeners(&ns, e);
    if (r == ERR_OK)
        r = install(ranges, n, false, e);
    if (r != ERR_OK) {
        netns_close(&ns);
        return r;
    }
    *ret = ns;
    return ERR_OK;
}
