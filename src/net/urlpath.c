// Three passes, each linear: decode, resolve segments in place, encode. Between them the path lies decoded in
// a buffer of the stack, with SLASH for a %2F that may stay: a decoded control byte is refused, so that byte
// is free.
#include "net/urlpath.h"

enum { SLASH = 0x01 };

static bool is_pchar(char c) // RFC 3986 section 3.3
{
    return char_is_alpha(c) || char_is_digit(c) || str_has(STR("-._~!$&'()*+,;=:@"), c);
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

// Whether `c` behind `before` makes an overlong form of UTF-8 (RFC 3629 section 3; table 3-7 of Unicode). C0
// and C1 begin nothing else; five and six bytes were legal once, and lenient decoders still take them.
static bool is_overlong(unsigned char before, unsigned char c)
{
    if (c == 0xc0 || c == 0xc1)
        return true;
    if ((c & 0xc0) != 0x80)
        return false;
    return (before == 0xe0 && c < 0xa0) || (before == 0xf0 && c < 0x90) || (before == 0xf8 && c < 0x88) ||
           (before == 0xfc && c < 0x84);
}

static enum err_code decode(struct str in, bool allow_encoded_slash, char *out, size_t *ret_n,
                            struct err *reterr)
{
    size_t n = 0;
    unsigned char before = 0;
    for (size_t i = 0; i < in.n; i++) {
        size_t at = i;
        unsigned char c = (unsigned char)in.p[i];
        bool encoded = c == '%';
        if (is_control(c) || c >= 0x80 || c == '#' || c == '?')
            return err_set(reterr, ERR_INVALID, "byte 0x%02x at offset %zu", c, i);
        if (encoded) {
            int high = in.n - i > 2 ? char_hex(in.p[i + 1]) : -1;
            int low = in.n - i > 2 ? char_hex(in.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(reterr, ERR_INVALID, "malformed escape at offset %zu", i);
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (is_control(c))
            return err_set(reterr, ERR_INVALID, "byte 0x%02x, escaped, at offset %zu", c, at);
        if (is_overlong(before, c))
            return err_set(reterr, ERR_INVALID, "overlong UTF-8 at offset %zu", at);
        if (encoded && c == '/' && !allow_encoded_slash)
            return err_set(reterr, ERR_INVALID,
                           "escaped '/' at offset %zu, which the endpoint does not allow", at);
        out[n++] = encoded && c == '/' ? SLASH : (char)c;
        before = c;
    }
    *ret_n = n;
    return ERR_OK;
}

static bool is_dots(struct str s)
{
    return str_eq(s, STR(".")) || str_eq(s, STR(".."));
}

static bool has_hidden_dots(struct str segment) // who decodes %2F later would resolve them then
{
    for (struct str part; str_split(&segment, SLASH, &part);)
        if (is_dots(part))
            return true;
    return false;
}

// p[n] begins with '/'. What is written never overtakes what is read.
static enum err_code resolve(char *p, size_t n, size_t *ret_n, struct err *reterr)
{
    size_t w = 0, number = 0;
    bool folder = false; // does the path so far end with '/'?
    struct str rest = {p + 1, n - 1};
    for (struct str segment; str_split(&rest, '/', &segment);) {
        number++;
        ptrdiff_t params = str_find(segment, ';');
        segment = params < 0 ? segment : str_head(segment, (size_t)params);
        folder = segment.n == 0 || is_dots(segment);
        if (str_eq(segment, STR(".."))) {
            if (w == 0)
                return err_set(reterr, ERR_INVALID, "segment %zu: '..' above the root", number);
            do
                w--;
            while (p[w] != '/');
        } else if (!folder) {
            if (has_hidden_dots(segment))
                return err_set(reterr, ERR_INVALID, "segment %zu: a dot segment beside an escaped '/'",
                               number);
            p[w++] = '/';
            memmove(p + w, segment.p, segment.n);
            w += segment.n;
        }
    }
    if (folder) // true too where nothing is left
        p[w++] = '/';
    *ret_n = w;
    return ERR_OK;
}

static enum err_code encode(struct str in, char *out, struct str *ret, struct err *reterr)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        bool plain = in.p[i] == '/' || is_pchar(in.p[i]);
        unsigned char c = in.p[i] == SLASH ? '/' : (unsigned char)in.p[i];
        if ((plain ? 1u : 3u) > URLPATH_MAX - n)
            return err_set(reterr, ERR_INVALID, "the canonical path has more than %d bytes", URLPATH_MAX);
        if (plain) {
            out[n++] = in.p[i];
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    out[n] = '\0';
    *ret = (struct str){out, n};
    return ERR_OK;
}

enum err_code urlpath_canonical(struct str in, bool allow_encoded_slash, char *out, struct str *ret,
                                struct err *reterr)
{
    if (in.n == 0 || in.p[0] != '/')
        return err_set(reterr, ERR_INVALID, "a path begins with '/'");
    if (in.n > URLPATH_MAX)
        return err_set(reterr, ERR_INVALID, "a path has at most %d bytes, not %zu", URLPATH_MAX, in.n);

    char plain[URLPATH_MAX]; // decoding never lengthens
    size_t n = 0;
    enum err_code r = decode(in, allow_encoded_slash, plain, &n, reterr);
    if (r == ERR_OK)
        r = resolve(plain, n, &n, reterr);
    return r == ERR_OK ? encode((struct str){plain, n}, out, ret, reterr) : r;
}
