#include "base/base.h"

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_ci(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (char_lower(a.p[i]) != char_lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts(struct str s, struct str head)
{
    return s.n >= head.n && (head.n == 0 || memcmp(s.p, head.p, head.n) == 0);
}

bool str_ends(struct str s, struct str tail)
{
    return s.n >= tail.n && (tail.n == 0 || memcmp(s.p + (s.n - tail.n), tail.p, tail.n) == 0);
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

bool str_has(struct str s, char c)
{
    return str_find(s, c) >= 0;
}

struct str str_from(struct str s, size_t off)
{
    return off < s.n ? (struct str){s.p + off, s.n - off} : (struct str){"", 0};
}

struct str str_head(struct str s, size_t n)
{
    return (struct str){s.p, n < s.n ? n : s.n};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

// FNV-1a over words of eight bytes with a final mix. Tables that use it are built from a policy, which its
// author does not attack; look-ups never insert, so a peer cannot lengthen a chain.
uint64_t str_hash(struct str s, uint64_t seed)
{
    const uint64_t prime = 0x9e37'79b9'7f4a'7c15;
    uint64_t h = seed ^ (s.n * prime);
    while (s.n >= 8) {
        uint64_t w;
        memcpy(&w, s.p, 8);
        h = (h ^ w) * prime;
        h ^= h >> 29;
        s.p += 8;
        s.n -= 8;
    }
    uint64_t w = 0;
    if (s.n > 0)
        memcpy(&w, s.p, s.n);
    h = (h ^ w) * prime;
    h ^= h >> 32;
    h *= 0xd6e8'feb8'6659'fd93;
    return h ^ (h >> 32);
}

bool str_skip(struct str *s, struct str head)
{
    if (!str_starts(*s, head))
        return false;
    *s = str_from(*s, head.n);
    return true;
}

bool str_split(struct str *rest, char sep, struct str *ret)
{
    if (!rest->p)
        return false;
    ptrdiff_t at = str_find(*rest, sep);
    if (at < 0) {
        *ret = *rest;
        *rest = (struct str){};
        return true;
    }
    *ret = str_head(*rest, (size_t)at);
    *rest = (struct str){rest->p + at + 1, rest->n - (size_t)at - 1};
    return true;
}

bool str_line(struct str *rest, struct str *ret)
{
    if (rest->n == 0)
        return false;
    if (!str_split(rest, '\n', ret))
        return false;
    if (rest->p && str_ends(*ret, STR("\r"))) // only before an LF, which is there unless rest has ended
        ret->n--;
    return true;
}

bool str_u64(struct str s, uint64_t max, uint64_t *ret)
{
    if (s.n == 0)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!char_is_digit(s.p[i]) || __builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (v > max)
        return false;
    *ret = v;
    return true;
}

bool str_cstr(struct str s, char *dst, size_t size)
{
    if (s.n >= size || str_has(s, '\0'))
        return false;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}
