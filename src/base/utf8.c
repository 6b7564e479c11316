#include "base/utf8.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_next(struct str s)
{
    if (s.n == 0)
        return 0;
    unsigned char c[4] = {};
    memcpy(c, s.p, s.n < 4 ? s.n : 4);
    if (c[0] < 0x80)
        return 1;
    if (c[0] >= 0xc2 && c[0] <= 0xdf)
        return is_tail(c[1]) ? 2 : 0;
    if (c[0] >= 0xe0 && c[0] <= 0xef) {
        bool ok = is_tail(c[1]) && is_tail(c[2]) && !(c[0] == 0xe0 && c[1] < 0xa0) && // overlong
                  !(c[0] == 0xed && c[1] > 0x9f);                                     // surrogates
        return ok ? 3 : 0;
    }
    if (c[0] >= 0xf0 && c[0] <= 0xf4) {
        bool ok = is_tail(c[1]) && is_tail(c[2]) && is_tail(c[3]) && !(c[0] == 0xf0 && c[1] < 0x90) &&
                  !(c[0] == 0xf4 && c[1] > 0x8f);
        return ok ? 4 : 0;
    }
    return 0;
}

bool utf8_is_valid(struct str s)
{
    while (s.n > 0) {
        size_t n = utf8_next(s);
        if (n == 0)
            return false;
        s = str_from(s, n);
    }
    return true;
}

// C1 controls (U+0080..9F) act as escapes on some terminals; U+2028 and 2029 end a line for some readers of
// logs; the others reorder what is shown (Unicode Standard Annex 9, section 2).
bool utf8_is_plain(struct str seq)
{
    const unsigned char *c = (const unsigned char *)seq.p;
    if (seq.n == 1)
        return c[0] >= 0x20 && c[0] != 0x7f;
    if (seq.n == 2)
        return !(c[0] == 0xc2 && c[1] < 0xa0) && !(c[0] == 0xd8 && c[1] == 0x9c);
    if (seq.n == 3 && c[0] == 0xe2 && c[1] == 0x80)
        return (c[2] != 0x8e && c[2] != 0x8f) && !(c[2] >= 0xa8 && c[2] <= 0xae);
    if (seq.n == 3 && c[0] == 0xe2 && c[1] == 0x81)
        return !(c[2] >= 0xa6 && c[2] <= 0xa9);
    return true;
}

void utf8_clean(char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_next((struct str){p + i, n - i});
        if (len > 0 && utf8_is_plain((struct str){p + i, len})) {
            i += len;
            continue;
        }
        size_t bad = len > 0 ? len : 1;
        memset(p + i, '?', bad);
        i += bad;
    }
}

size_t utf8_columns(struct str s)
{
    size_t columns = 0;
    for (size_t i = 0; i < s.n; i++)
        columns += !is_tail((unsigned char)s.p[i]);
    return columns;
}
