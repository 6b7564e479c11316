#include "gateway/compute/quantity.h"

enum {
    DIGITS_MAX = 18,      // of a number without its point; fits 64 bits
    CPUS_MAX = 1'000'000, // ours
    MILLI = 1000,
};

static const uint64_t bytes_max = 1ULL << 62;

// A number of at most DIGITS_MAX digits with at most one point, times `scale`, rounded up.
static bool scaled(struct str s, uint64_t scale, uint64_t max, uint64_t *ret)
{
    unsigned __int128 value = 0, divisor = 1;
    size_t digits = 0;
    bool point = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!char_is_digit(s.p[i]) || digits == DIGITS_MAX)
            return false;
        digits++;
        value = value * 10 + (unsigned)(s.p[i] - '0');
        divisor *= point ? 10 : 1;
    }
    if (digits == 0 || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    value = (value * scale + divisor - 1) / divisor; // 18 digits times 2^60 fit 128 bits
    if (value == 0 || value > max)
        return false;
    *ret = (uint64_t)value;
    return true;
}

bool quantity_cpu_milli(struct str s, uint64_t *ret)
{
    bool milli = s.n > 1 && s.p[s.n - 1] == 'm';
    if (milli)
        s.n--;
    return scaled(s, milli ? 1 : MILLI, (uint64_t)CPUS_MAX * MILLI, ret);
}

// "12e3" is 12'000; what stands in front of the e comes back, and its scale.
static bool exponent(struct str *s, uint64_t *scale)
{
    for (size_t i = 1; i < s->n; i++) {
        uint64_t power = 0;
        if (s->p[i] != 'e' && !(s->p[i] == 'E' && i + 1 < s->n))
            continue;
        if (!str_u64((struct str){s->p + i + 1, s->n - i - 1}, DIGITS_MAX, &power))
            return false;
        for (*scale = 1; power > 0; power--)
            *scale *= 10;
        s->n = i;
        return true;
    }
    return true;
}

bool quantity_bytes(struct str s, uint64_t *ret)
{
    uint64_t scale = 1;
    bool binary = s.n > 2 && s.p[s.n - 1] == 'i';
    if (binary)
        s.n--;
    const char *units = binary ? "KMGTPE" : "kMGTPE";
    const char *unit = s.n > 1 && s.p[s.n - 1] != '\0' ? strchr(units, s.p[s.n - 1]) : NULL;
    if (binary && !unit)
        return false;
    if (unit) {
        for (const char *u = units; u <= unit; u++)
            scale *= binary ? 1024 : 1000;
        s.n--;
    } else if (!exponent(&s, &scale)) {
        return false;
    }
    return scaled(s, scale, bytes_max, ret);
}
