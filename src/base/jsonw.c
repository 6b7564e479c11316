#include "base/jsonw.h"

#include "base/utf8.h"

static void escape(struct buf *out, unsigned char c)
{
    static const char *const shorts[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n",  ['\f'] = "\\f",
        ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\",
    };
    if (c < ARRAY_LEN(shorts) && shorts[c])
        buf_add(out, str_of(shorts[c]));
    else
        buf_addf(out, "\\u%04x", c);
}

void jsonw_string(struct buf *out, struct str s)
{
    buf_addc(out, '"');
    while (s.n > 0) {
        size_t plain = 0;
        while (plain < s.n) {
            unsigned char c = (unsigned char)s.p[plain];
            size_t len = utf8_next(str_from(s, plain));
            if (len == 0 || c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
                break;
            plain += len;
        }
        buf_add(out, str_head(s, plain));
        s = str_from(s, plain);
        if (s.n == 0)
            break;
        if (utf8_next(s) == 0)
            buf_add(out, STR("\xef\xbf\xbd"));
        else
            escape(out, (unsigned char)s.p[0]);
        s = str_from(s, 1);
    }
    buf_addc(out, '"');
}

void jsonw_key(struct buf *out, bool *first, const char *key)
{
    if (!*first)
        buf_addc(out, ',');
    *first = false;
    jsonw_string(out, str_of(key));
    buf_addc(out, ':');
}

void jsonw_member(struct buf *out, bool *first, const char *key, struct str value)
{
    jsonw_key(out, first, key);
    jsonw_string(out, value);
}
