#include "net/query.h"

// Decodes `in` to *w, behind which there is room for in.n bytes, and moves *w. `offset`: of `in` in the
// query.
static enum err_code part_decode(struct str in, size_t offset, char **w, struct str *ret, struct err *reterr)
{
    char *start = *w, *p = start;
    for (size_t i = 0; i < in.n; i++) {
        size_t at = offset + i;
        unsigned char c = (unsigned char)in.p[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = in.n - i > 2 ? char_hex(in.p[i + 1]) : -1;
            int low = in.n - i > 2 ? char_hex(in.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(reterr, ERR_INVALID, "malformed escape at offset %zu", at);
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        bool escaped = in.p[at - offset] == '%';
        if (escaped ? c == 0 : c < 0x20 || c == 0x7f) // a NUL ends a string for somebody; the rest is text
            return err_set(reterr, ERR_INVALID, "byte 0x%02x at offset %zu", c, at);
        *p++ = (char)c;
    }
    *w = p;
    *ret = (struct str){start, (size_t)(p - start)};
    return ERR_OK;
}

enum err_code query_decode(struct str in, struct arena *a, struct query_item **ret, size_t *ret_n,
                           struct err *reterr)
{
    size_t pairs = 0;
    for (struct str rest = in, pair; str_split(&rest, '&', &pair);)
        pairs += pair.n > 0;
    if (pairs > QUERY_PAIRS_MAX) // asked before the allocation, whose size the peer decides
        return err_set(reterr, ERR_LIMIT, "%zu query pairs, the limit is %d", pairs, QUERY_PAIRS_MAX);
    struct query_item *items = arena_newn(a, struct query_item, pairs);
    char *w = items ? arena_alloc(a, in.n) : NULL; // decoding never lengthens
    if (!w)
        return arena_limit(a, "the query", reterr);

    size_t n = 0;
    for (struct str rest = in, pair; str_split(&rest, '&', &pair);) {
        if (pair.n == 0)
            continue;
        struct str value = pair, key = {};
        (void)str_split(&value, '=', &key); // without a '=' nothing is left for the value
        size_t offset = (size_t)(pair.p - in.p);
        enum err_code r = part_decode(key, offset, &w, &items[n].key, reterr);
        if (r == ERR_OK)
            r = part_decode(value, offset + key.n + 1, &w, &items[n].value, reterr);
        if (r != ERR_OK)
            return r;
        n++;
    }
    *ret = items;
    *ret_n = n;
    return ERR_OK;
}
