// Text to binary and back, and the one table of what may be reached.
//
// An IPv6 address that carries an IPv4 one is as bad as the worse of the two: some gateway on the way would
// unpack it, behind the decision. So every place where an IPv4 address can stand is a row in `embeddings`,
// and both the class of an address and the question whether a range touches a blocked one come from that
// table.
#include "net/ip.h"

// ---- text -----------------------------------------------------------------------------------------

// NULL, or what is wrong with it.
static const char *quad_read(struct str in, uint8_t out[static 4])
{
    size_t n = 0;
    for (struct str rest = in, part; str_split(&rest, '.', &part); n++) {
        uint64_t v = 0;
        if (n == 4)
            return "more than four parts";
        if (part.n == 0 || !char_is_digit(part.p[0]))
            return "each part is a decimal number";
        if (part.n > 1 && part.p[0] == '0')
            return "a part with a leading zero, which some read as octal";
        if (!str_u64(part, 255, &v))
            return "each part is a decimal number up to 255";
        out[n] = (uint8_t)v;
    }
    return n == 4 ? NULL : "fewer than four parts";
}

// One number as inet_aton reads it. False for a wrong digit or more than 32 bits.
static bool part_read(struct str part, uint32_t *ret)
{
    unsigned base = 10;
    if (part.n >= 2 && part.p[0] == '0') {
        base = char_lower(part.p[1]) == 'x' ? 16 : 8;
        part = str_from(part, base == 16 ? 2 : 1); // "0x" alone is zero to WHATWG URL
    } else if (part.n == 0) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < part.n; i++) {
        int digit = char_hex(part.p[i]);
        if (digit < 0 || digit >= (int)base)
            return false;
        v = v * base + (unsigned)digit;
        if (v > UINT32_MAX)
            return false;
    }
    *ret = (uint32_t)v;
    return true;
}

// 1 to 4 parts; the last one fills the bytes that are left.
static bool aton_read(struct str in, uint8_t out[static 4])
{
    if (in.n > 0 && in.p[in.n - 1] == '.')
        in.n--;
    uint32_t parts[4] = {};
    size_t n = 0;
    for (struct str rest = in, part; str_split(&rest, '.', &part); n++)
        if (n == 4 || !part_read(part, &parts[n]))
            return false;
    if (n == 0)
        return false;

    uint64_t sum = parts[n - 1];
    if (sum >= 1ull << (8 * (5 - n)))
        return false;
    for (size_t i = 0; i + 1 < n; i++) {
        if (parts[i] > 255)
            return false;
        sum |= (uint64_t)parts[i] << (24 - 8 * i);
    }
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(sum >> (24 - 8 * i));
    return true;
}

// A group of 1 to 4 hex digits at the head of *s.
static bool group_read(struct str *s, uint8_t out[static 2])
{
    unsigned v = 0;
    size_t n = 0;
    for (; n < 4 && n < s->n && char_hex(s->p[n]) >= 0; n++)
        v = v << 4 | (unsigned)char_hex(s->p[n]);
    *s = str_from(*s, n);
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)(v & 0xff);
    return n > 0;
}

static bool is_quad(struct str s) // does a '.' come before the next ':'?
{
    struct str head;
    return str_split(&s, ':', &head) && str_has(head, '.');
}

// RFC 4291 section 2.2. "::" stands for one group or more.
static bool six_read(struct str s, uint8_t out[static 16])
{
    uint8_t b[16] = {};
    size_t n = 0, gap = SIZE_MAX; // bytes so far; where "::" stood
    bool more = true;             // a group must follow
    if (str_skip(&s, STR("::"))) {
        gap = 0;
        more = s.n > 0;
    }
    while (more) {
        if (is_quad(s)) {
            if (n > 12 || quad_read(s, b + n) != NULL)
                return false;
            n += 4;
            break;
        }
        if (n == 16 || !group_read(&s, b + n))
            return false;
        n += 2;
        if (s.n == 0)
            break;
        if (str_skip(&s, STR("::"))) {
            if (gap != SIZE_MAX)
                return false;
            gap = n;
            more = s.n > 0;
        } else if (!str_skip(&s, STR(":"))) {
            return false;
        }
    }
    if (gap == SIZE_MAX ? n != 16 : n > 14)
        return false;
    size_t head = gap == SIZE_MAX ? n : gap;
    memset(out, 0, 16);
    memcpy(out, b, head);
    memcpy(out + 16 - (n - head), b + head, n - head);
    return true;
}

static bool zone_is_valid(struct str zone) // ZoneID of RFC 6874 section 2, its escapes left as they are
{
    for (size_t i = 0; i < zone.n; i++) {
        char c = zone.p[i];
        if (!char_is_alpha(c) && !char_is_digit(c) && !str_has(STR("-._~%"), c))
            return false;
    }
    return zone.n > 0;
}

static size_t quad_write(const uint8_t b[static 4], char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
}

// ---- ranges
// -------------------------------------------------------------------------------------------------

struct range {
    struct ip net;
    uint8_t bits;
    enum ip_class class;
};

// The first row that has the address decides. RFC 6890 and the registries that it founded; what they call
// globally reachable is internal here too, since no service that an agent needs lives there.
static const struct range ranges[] = {
    {{4, {0}}, 8, IP_BLOCKED},          // "this network"; Linux connects 0.0.0.0 to itself
    {{4, {127}}, 8, IP_BLOCKED},        // loopback
    {{4, {169, 254}}, 16, IP_BLOCKED},  // link-local, cloud metadata
    {{4, {224}}, 4, IP_BLOCKED},        // multicast
    {{4, {10}}, 8, IP_INTERNAL},        // RFC 1918
    {{4, {172, 16}}, 12, IP_INTERNAL},  // RFC 1918
    {{4, {192, 168}}, 16, IP_INTERNAL}, // RFC 1918
    {{4, {100, 64}}, 10, IP_INTERNAL},  // carrier-grade NAT, RFC 6598
    {{4, {192, 0, 0}}, 24, IP_INTERNAL},
    {{4, {192, 0, 2}}, 24, IP_INTERNAL},    // documentation, RFC 5737
    {{4, {198, 51, 100}}, 24, IP_INTERNAL}, // ditto
    {{4, {203, 0, 113}}, 24, IP_INTERNAL},  // ditto
    {{4, {198, 18}}, 15, IP_INTERNAL},      // benchmarks, RFC 2544
    {{4, {192, 31, 196}}, 24, IP_INTERNAL}, // AS112, RFC 7535
    {{4, {192, 175, 48}}, 24, IP_INTERNAL}, // AS112, RFC 7534
    {{4, {192, 52, 193}}, 24, IP_INTERNAL}, // AMT, RFC 7450
    {{4, {192, 88, 99}}, 24, IP_INTERNAL},  // 6to4 relays, RFC 7526
    {{4, {240}}, 4, IP_INTERNAL},           // reserved, and 255.255.255.255
    {{4, {0}}, 0, IP_PUBLIC},
    {{6, {[15] = 0}}, 128, IP_BLOCKED},                     // unspecified
    {{6, {[15] = 1}}, 128, IP_BLOCKED},                     // loopback
    {{6, {0xfe, 0x80}}, 10, IP_BLOCKED},                    // link-local
    {{6, {0xff}}, 8, IP_BLOCKED},                           // multicast
    {{6, {0xfc}}, 7, IP_INTERNAL},                          // unique local, RFC 4193
    {{6, {[10] = 0xff, 0xff}}, 96, IP_PUBLIC},              // mapped: the kernel speaks IPv4, which decides
    {{6, {0x00, 0x64, 0xff, 0x9b}}, 96, IP_PUBLIC},         // NAT64: what is inside decides
    {{6, {0x20, 0x01}}, 23, IP_INTERNAL},                   // IETF protocols, Teredo, ORCHID
    {{6, {0x20, 0x01, 0x0d, 0xb8}}, 32, IP_INTERNAL},       // documentation, RFC 3849
    {{6, {0x20, 0x02}}, 16, IP_INTERNAL},                   // 6to4
    {{6, {0x26, 0x20, 0x00, 0x4f, 0x80}}, 48, IP_INTERNAL}, // AS112, RFC 7534
    {{6, {0x3f, 0xff}}, 20, IP_INTERNAL},                   // documentation, RFC 9637
    {{6, {0x20}}, 3, IP_PUBLIC},                            // global unicast
    {{6, {0}}, 0, IP_INTERNAL}, // 100::/64, 5f00::/16, fec0::/10 and all that IANA has not given out
};

// Where IPv4 addresses stand in IPv6 ones: at[i] is the offset of its byte i.
struct embedding {
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t at[4];
    uint8_t zero_from; // with `local`: byte 8 and those from here on are zero, RFC 6052 section 2.2
    bool inverted;
    bool local; // 64:ff9b:1::/48, where the prefix length is the operator's secret
};

static const struct embedding embeddings[] = {
    {{[10] = 0xff, 0xff}, 96, {12, 13, 14, 15}, 16, false, false},     // mapped, RFC 4291 section 2.5.5.2
    {{0}, 96, {12, 13, 14, 15}, 16, false, false},                     // compatible, section 2.5.5.1
    {{[8] = 0xff, 0xff}, 96, {12, 13, 14, 15}, 16, false, false},      // translated, RFC 2765 section 2.1
    {{0, 0x64, 0xff, 0x9b}, 96, {12, 13, 14, 15}, 16, false, false},   // NAT64, RFC 6052 section 2.1
    {{0x20, 0x02}, 16, {2, 3, 4, 5}, 16, false, false},                // 6to4, RFC 3056 section 2
    {{0x20, 0x01}, 32, {12, 13, 14, 15}, 16, true, false},             // Teredo, RFC 4380 section 4
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {6, 7, 9, 10}, 11, false, true}, // NAT64, RFC 8215 and RFC 6052
                                                                       // section 2.2
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {7, 9, 10, 11}, 12, false, true},
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {9, 10, 11, 12}, 13, false, true},
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, {12, 13, 14, 15}, 16, false, true},
};

static bool bits_eq(const uint8_t *a, const uint8_t *b, size_t bits)
{
    size_t bytes = bits / 8, left = bits % 8;
    if (memcmp(a, b, bytes) != 0)
        return false;
    return left == 0 || (a[bytes] ^ b[bytes]) >> (8 - left) == 0;
}

static enum ip_class own_class(const struct ip *ip)
{
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (ip_prefix_eq(ip, &ranges[i].net, ranges[i].bits))
            return ranges[i].class;
    return IP_BLOCKED; // no address: a family that is neither 4 nor 6
}

// Whether `ip` holds an IPv4 address in the manner of `e`, and which.
static bool embedding_read(const struct embedding *e, const struct ip *ip, struct ip *ret)
{
    if (ip->family != 6 || !bits_eq(ip->b, e->prefix, e->bits))
        return false;
    for (size_t i = e->zero_from; i < 16; i++)
        if (ip->b[i] != 0)
            return false;
    if (e->zero_from < 16 && ip->b[8] != 0)
        return false;
    struct ip v4 = {.family = 4};
    for (size_t i = 0; i < 4; i++)
        v4.b[i] = e->inverted ? (uint8_t)~ip->b[e->at[i]] : ip->b[e->at[i]];
    // Read with the wrong prefix length, an address begins with zeros.
    if (e->local && v4.b[0] == 0)
        return false;
    *ret = v4;
    return true;
}

// A template takes the first `bits` bits of the range; what comes out is in the range, and blocked if any
// address is in the range and like the template.
static bool template_is_blocked(const struct ip *net, size_t bits, struct ip template)
{
    for (size_t i = 0; i < bits; i++) {
        uint8_t mask = (uint8_t)(0x80 >> i % 8);
        template.b[i / 8] = (uint8_t)((template.b[i / 8] & ~mask) | (net->b[i / 8] & mask));
    }
    return ip_classify(&template) == IP_BLOCKED;
}

// ---- public
// -------------------------------------------------------------------------------------------------

enum err_code ip_parse(struct str in, struct ip *ret, struct err *reterr)
{
    struct ip ip = {};
    if (str_has(in, ':')) {
        if (!six_read(in, ip.b))
            return err_set(reterr, ERR_INVALID, "'%.*s' is not an IPv6 address", STR_FMT(in));
        ip.family = 6;
    } else {
        const char *why = quad_read(in, ip.b);
        if (why)
            return err_set(reterr, ERR_INVALID, "'%.*s' is not an IPv4 address: %s", STR_FMT(in), why);
        ip.family = 4;
    }
    *ret = ip;
    return ERR_OK;
}

enum err_code ip_parse_any(struct str in, struct ip *ret, bool *ret_zone, struct err *reterr)
{
    struct ip ip = {};
    bool ok = false, zone = false;
    if (str_has(in, ':')) {
        struct str s = in, name = {};
        if (s.p[0] == '[' && s.p[s.n - 1] == ']')
            s = (struct str){s.p + 1, s.n - 2};
        ptrdiff_t percent = str_find(s, '%');
        zone = percent >= 0;
        if (zone) {
            name = str_from(s, (size_t)percent + 1);
            s = str_head(s, (size_t)percent);
        }
        ip.family = 6;
        ok = (!zone || zone_is_valid(name)) && six_read(s, ip.b);
    } else {
        ip.family = 4;
        ok = aton_read(in, ip.b);
    }
    if (!ok)
        return err_set(reterr, ERR_INVALID, "'%.*s' is not an IP address", STR_FMT(in));
    *ret = ip;
    *ret_zone = zone;
    return ERR_OK;
}

size_t ip_format(const struct ip *ip, char out[static IP_TEXT_MAX])
{
    static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
    if (ip->family == 4)
        return quad_write(ip->b, out, IP_TEXT_MAX);
    if (memcmp(ip->b, mapped, 12) == 0) // RFC 5952 section 5
        return 7 + quad_write(ip->b + 12, memcpy(out, "::ffff:", 7) + 7, IP_TEXT_MAX - 7);

    size_t from = 8,
           len = 1; // RFC 5952 section 4.2: the first of the longest runs of two zero groups or more
    for (size_t i = 0, run = 0; i < 8; i++) {
        run = ip->b[2 * i] == 0 && ip->b[2 * i + 1] == 0 ? run + 1 : 0;
        if (run > len) {
            len = run;
            from = i + 1 - run;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < 8; i++) {
        if (i == from) {
            n += (size_t)snprintf(out + n, IP_TEXT_MAX - n, "::");
            i += len - 1;
            continue;
        }
        const char *colon = i > 0 && out[n - 1] != ':' ? ":" : "";
        unsigned group = (unsigned)ip->b[2 * i] << 8 | ip->b[2 * i + 1];
        n += (size_t)snprintf(out + n, IP_TEXT_MAX - n, "%s%x", colon, group);
    }
    return n;
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
    return ip_prefix_eq(a, b, 128);
}

bool ip_prefix_eq(const struct ip *a, const struct ip *b, size_t bits)
{
    size_t max = a->family == 4 ? 32 : 128;
    return a->family == b->family && bits_eq(a->b, b->b, bits < max ? bits : max);
}

bool ip_embedded_v4(const struct ip *ip, struct ip *ret)
{
    struct ip v4;
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
        if (!embedding_read(&embeddings[i], ip, &v4))
            continue;
        if (embeddings[i].bits == 96 && own_class(ip) == IP_BLOCKED)
            return false; // :: and ::1 are no compatible addresses, RFC 4291 section 2.5.5.1
        *ret = v4;
        return true;
    }
    return false;
}

enum ip_class ip_classify(const struct ip *ip)
{
    enum ip_class worst = own_class(ip);
    struct ip v4;
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
        if (!embedding_read(&embeddings[i], ip, &v4))
            continue;
        enum ip_class class = own_class(&v4);
        worst = class > worst ? class : worst;
    }
    return worst;
}

bool ip_range_touches_blocked(const struct ip *net, size_t bits)
{
    size_t max = net->family == 4 ? 32 : 128;
    bits = bits < max ? bits : max;
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (ranges[i].class != IP_BLOCKED)
            continue;
        if (ranges[i].net.family == net->family && template_is_blocked(net, bits, ranges[i].net))
            return true;
        if (ranges[i].net.family != 4 || net->family != 6)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(embeddings); k++) {
            const struct embedding *e = &embeddings[k];
            struct ip template = {.family = 6};
            memcpy(template.b, e->prefix, 16);
            for (size_t j = 0; j < 4; j++)
                template.b[e->at[j]] = e->inverted ? (uint8_t)~ranges[i].net.b[j] : ranges[i].net.b[j];
            if (template_is_blocked(net, bits, template))
                return true;
        }
    }
    return false;
}

bool ip_is_link_local(const struct ip *ip)
{
    static const struct ip v4 = {4, {169, 254}}, v6 = {6, {0xfe, 0x80}};
    return ip_prefix_eq(ip, &v4, 16) || ip_prefix_eq(ip, &v6, 10);
}

bool ip_is_metadata(const struct ip *ip)
{
    static const struct ip known[] = {
        {4, {169, 254, 169, 254}},
        {4, {100, 100, 100, 200}},
        {6, {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54}},
    };
    struct ip v4;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (ip_eq(ip, &known[i]))
            return true;
        for (size_t k = 0; k < ARRAY_LEN(embeddings); k++)
            if (embedding_read(&embeddings[k], ip, &v4) && ip_eq(&v4, &known[i]))
                return true;
    }
    return false;
}
