// DNS messages (RFC 1035 section 4), as much as answering one question takes.
#include "net/dns.h"

enum { HEADER = 12, CLASS_IN = 1, TYPE_OPT = 41, FLAG_QR = 0x8000, FLAG_RD = 0x0100, FLAG_RA = 0x0080 };

static uint16_t u16(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

// The name at in.p[*at], uncompressed: a question comes first, there is nothing to point back to.
static enum err_code question_name(struct str in, size_t *at, struct host *ret, struct err *e)
{
    char text[HOST_MAX + 1];
    size_t n = 0;
    for (;;) {
        if (*at >= in.n)
            return err_set(e, ERR_INVALID, "the name is cut");
        size_t len = (unsigned char)in.p[(*at)++];
        if (len == 0)
            break;
        if (len > LABEL_MAX)
            return err_set(e, ERR_INVALID, "a compressed or oversized label in a question");
        if (len > in.n - *at || n + len + 1 > sizeof(text))
            return err_set(e, ERR_INVALID, "the name is cut, or longer than %d bytes", HOST_MAX);
        if (memchr(in.p + *at, '.', len)) // would read as two labels
            return err_set(e, ERR_INVALID, "a dot inside a label");
        memcpy(text + n, in.p + *at, len);
        n += len;
        text[n++] = '.';
        *at += len;
    }
    return host_parse((struct str){text, n}, ret, e);
}

static bool has_edns(struct str in, size_t at)
{
    // An OPT record in the additional section has the root as its name (RFC 6891 section 6.1.2).
    return u16(in.p + 10) > 0 && in.n - at >= 11 && in.p[at] == 0 && u16(in.p + at + 1) == TYPE_OPT;
}

enum err_code dns_query_parse(struct str in, struct dns_query *ret, struct err *e)
{
    if (in.n < HEADER || in.n > DNS_MESSAGE_MAX)
        return err_set(e, ERR_INVALID, "a message of %zu bytes", in.n);
    *ret = (struct dns_query){.id = u16(in.p)};
    uint16_t flags = u16(in.p + 2);
    ret->recursion_desired = flags & FLAG_RD;
    if ((flags & FLAG_QR) || (flags >> 11 & 0xf) != 0)
        return err_set(e, ERR_INVALID, "not a standard query");
    if (u16(in.p + 4) != 1 || u16(in.p + 6) != 0 || u16(in.p + 8) != 0)
        return err_set(e, ERR_INVALID, "not exactly one question");
    struct dns_query q = *ret;
    size_t at = HEADER;
    enum err_code r = question_name(in, &at, &q.name, e);
    if (r != ERR_OK)
        return r;
    if (in.n - at < 4)
        return err_set(e, ERR_INVALID, "the question is cut");
    q.type = u16(in.p + at);
    if (u16(in.p + at + 2) != CLASS_IN)
        return err_set(e, ERR_INVALID, "a class other than IN");
    at += 4;
    q.question = (struct str){in.p + HEADER, at - HEADER};
    q.edns = has_edns(in, at);
    *ret = q;
    return ERR_OK;
}

// ---- answers
// ------------------------------------------------------------------------------------------------

struct out {
    char *p;
    size_t n, size;
    bool full;
};

static void put(struct out *o, const void *p, size_t n)
{
    if (o->full || n > o->size - o->n) {
        o->full = true;
        return;
    }
    if (n > 0)
        memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void put16(struct out *o, unsigned v)
{
    const unsigned char b[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    put(o, b, sizeof(b));
}

static void put_address(struct out *o, const struct dns_query *q, const struct ip *ip, uint32_t ttl)
{
    unsigned len = ip->family == 4 ? 4 : 16;
    put16(o, 0xc000 | HEADER); // the name of the question
    put16(o, q->type);
    put16(o, CLASS_IN);
    put16(o, ttl >> 16);
    put16(o, ttl & 0xffff);
    put16(o, len);
    put(o, ip->b, len);
}

size_t dns_answer(const struct dns_query *q, enum dns_rcode rcode, const struct ip *addrs, size_t n,
                  uint32_t ttl, char *out, size_t size)
{
    struct out o = {.p = out, .size = size};
    size_t fit = 0;
    for (size_t i = 0; i < n; i++)
        fit += addrs[i].family == (q->type == DNS_AAAA ? 6 : 4);
    put16(&o, q->id);
    put16(&o, FLAG_QR | FLAG_RA | (q->recursion_desired ? FLAG_RD : 0) | (unsigned)rcode);
    put16(&o, q->question.n > 0);
    put16(&o, (unsigned)fit);
    put16(&o, 0);
    put16(&o, q->edns);
    put(&o, q->question.p, q->question.n);
    for (size_t i = 0; i < n; i++)
        if (addrs[i].family == (q->type == DNS_AAAA ? 6 : 4))
            put_address(&o, q, &addrs[i], ttl);
    if (q->edns) { // answered in kind (RFC 6891 section 6.1.1): root name, OPT, our payload size, nothing
                   // else
        put(&o, "", 1);
        put16(&o, TYPE_OPT);
        put16(&o, 1232);
        put16(&o, 0);
        put16(&o, 0);
        put16(&o, 0);
    }
    return o.full ? 0 : o.n;
}
