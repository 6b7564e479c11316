#include "net/cidr.h"

// ::ffff:a.b.c.d is a.b.c.d to the kernel that dials it, so it is to the ranges.
static struct cidr unmapped(const struct ip *net, size_t bits)
{
    static const struct ip mapped = {6, {[10] = 0xff, 0xff}};
    struct cidr c = {.net = *net, .bits = (uint8_t)bits};
    if (bits >= 96 && ip_prefix_eq(net, &mapped, 96)) {
        c = (struct cidr){.net = {.family = 4}, .bits = (uint8_t)(bits - 96)};
        memcpy(c.net.b, net->b + 12, 4);
    }
    return c;
}

static size_t bits_max(const struct ip *ip)
{
    return ip->family == 4 ? 32 : 128;
}

static void clear_host_bits(struct ip *ip, size_t bits)
{
    for (size_t i = bits; i < bits_max(ip); i++)
        ip->b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

enum err_code cidr_parse(struct str in, struct cidr *ret, struct err *reterr)
{
    ptrdiff_t slash = str_find(in, '/');
    struct ip ip;
    enum err_code r = ip_parse(slash < 0 ? in : str_head(in, (size_t)slash), &ip, reterr);
    if (r != ERR_OK)
        return r;

    uint64_t bits = bits_max(&ip);
    if (slash >= 0) {
        struct str digits = str_from(in, (size_t)slash + 1);
        bool zeros = digits.n > 1 && digits.p[0] == '0';
        if (zeros || !str_u64(digits, bits_max(&ip), &bits))
            return err_set(reterr, ERR_INVALID, "'%.*s': the prefix length is a number from 0 to %zu",
                           STR_FMT(in), bits_max(&ip));
    }
    struct cidr c = {.net = ip, .bits = (uint8_t)bits};
    clear_host_bits(&c.net, bits);
    if (!ip_eq(&c.net, &ip)) {
        char meant[CIDR_TEXT_MAX];
        cidr_format(&c, meant);
        return err_set(reterr, ERR_INVALID, "'%.*s' has bits set behind its prefix: is %s meant?",
                       STR_FMT(in), meant);
    }
    *ret = c;
    return ERR_OK;
}

bool cidr_has(const struct cidr *c, const struct ip *ip)
{
    struct cidr range = unmapped(&c->net, c->bits);
    struct cidr one = unmapped(ip, bits_max(ip));
    return ip_prefix_eq(&range.net, &one.net, range.bits);
}

bool cidr_overlaps(const struct cidr *a, const struct cidr *b)
{
    struct cidr x = unmapped(&a->net, a->bits), y = unmapped(&b->net, b->bits);
    return ip_prefix_eq(&x.net, &y.net, x.bits < y.bits ? x.bits : y.bits);
}

bool cidr_touches_blocked(const struct cidr *c)
{
    return ip_range_touches_blocked(&c->net, c->bits);
}

size_t cidr_format(const struct cidr *c, char out[static CIDR_TEXT_MAX])
{
    size_t n = ip_format(&c->net, out);
    return n + (size_t)snprintf(out + n, CIDR_TEXT_MAX - n, "/%u", c->bits);
}
