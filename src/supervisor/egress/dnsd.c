// The resolver inside the sandbox. It asks nobody: a name that the policy admits is answered with its
// synthetic address, any other is refused. So nothing can be carried out by names, and an answer costs
// microseconds.
#include "supervisor/egress/dnsd.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/dns.h"
#include "supervisor/egress/inference.h"
#include "supervisor/egress/names.h"

enum { DNS_TTL_S = 30, DNS_REPLY_MAX = 1232 }; // reference 2.12; a reply has one record

static enum dns_rcode answer(struct egress *e, const struct dns_query *q, struct ip *ret, size_t *ret_n)
{
    *ret_n = 0;
    struct snapshot *s = egress_policy(e);
    bool admitted = decide_name(s, host_str(&q->name)) || str_eq(host_str(&q->name), INFERENCE_HOST);
    snapshot_unref(s);
    if (!admitted)
        return DNS_REFUSED;
    if (q->type == DNS_AAAA || q->type == DNS_HTTPS || q->type == DNS_SVCB)
        return DNS_NOERROR; // there is such a name, without an address of that kind
    if (q->type != DNS_A)
        return DNS_NOTIMP;
    struct err err;
    if (names_address(e->names, host_str(&q->name), ret, &err) != ERR_OK)
        return DNS_SERVFAIL;
    *ret_n = 1;
    return DNS_NOERROR;
}

size_t dnsd_reply(struct egress *e, struct str query, char *out, size_t size)
{
    struct dns_query q = {};
    struct err err;
    struct ip ip = {};
    size_t n = 0;
    if (dns_query_parse(query, &q, &err) != ERR_OK)
        return query.n >= 12 ? dns_answer(&q, DNS_FORMERR, &ip, 0, 0, out, size) : 0;
    enum dns_rcode rcode = answer(e, &q, &ip, &n);
    return dns_answer(&q, rcode, &ip, n, DNS_TTL_S, out, size);
}

// The reply must come from the address that was asked, whichever it was (a client checks): so the control
// message that told it on the way in goes out again as the source.
void dnsd_serve(struct egress *e, int fd)
{
    char query[DNS_MESSAGE_MAX], reply[DNS_REPLY_MAX], control[256];
    struct sockaddr_storage from;
    for (int budget = 64; budget > 0; budget--) { // then let the others have a turn
        struct iovec iov = {.iov_base = query, .iov_len = sizeof(query)};
        struct msghdr msg = {.msg_name = &from,
                             .msg_namelen = sizeof(from),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(fd, &msg, MSG_DONTWAIT);
        if (got < 0)
            return;
        if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
            continue;
        size_t n = dnsd_reply(e, (struct str){query, (size_t)got}, reply, sizeof(reply));
        if (n == 0)
            continue;
        iov = (struct iovec){.iov_base = reply, .iov_len = n};
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
            if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
                struct in_pktinfo info;
                memcpy(&info, CMSG_DATA(c), sizeof(info));
                info.ipi_ifindex = 0;
                info.ipi_spec_dst = info.ipi_addr;
                memcpy(CMSG_DATA(c), &info, sizeof(info));
            }
        }
        (void)sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL); // UDP: the client asks again
    }
}
