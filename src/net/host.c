#include "net/host.h"

static struct str without_root(struct str in)
{
    return in.n > 0 && in.p[in.n - 1] == '.' ? str_head(in, in.n - 1) : in; // RFC 1034 section 3.1
}

static enum err_code label_check(struct str label, size_t offset, struct err *reterr)
{
    if (label.n == 0)
        return err_set(reterr, ERR_INVALID, "empty label at offset %zu", offset);
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        if (!char_is_alpha(c) && !char_is_digit(c) && c != '-' && c != '_')
            return err_set(reterr, ERR_INVALID, "byte 0x%02x at offset %zu", (unsigned char)c, offset + i);
    }
    if (label.n > LABEL_MAX)
        return err_set(reterr, ERR_INVALID, "label '%.*s' has %zu bytes, %d at most", STR_FMT(label), label.n,
                       LABEL_MAX);
    if (label.p[0] == '-' || label.p[label.n - 1] == '-')
        return err_set(reterr, ERR_INVALID, "label '%.*s' begins or ends with '-'", STR_FMT(label));
    // "xn--" alone ended with '-'. An A-label is LDH throughout, RFC 5890 section 2.3.1.
    if (str_eq_ci(str_head(label, 4), STR("xn--")) && str_has(label, '_'))
        return err_set(reterr, ERR_INVALID, "label '%.*s' begins with 'xn--' and has a '_'", STR_FMT(label));
    return ERR_OK;
}

enum err_code host_parse(struct str in, struct host *ret, struct err *reterr)
{
    struct str name = without_root(in);
    if (name.n == 0 || name.n > HOST_MAX)
        return err_set(reterr, ERR_INVALID, "a name has 1 to %d bytes, not %zu", HOST_MAX, name.n);

    for (struct str rest = name, label; str_split(&rest, '.', &label);) {
        enum err_code r = label_check(label, (size_t)(label.p - name.p), reterr);
        if (r != ERR_OK)
            return r;
    }
    if (host_ends_in_number(name))
        return err_set(reterr, ERR_INVALID, "'%.*s' ends in a number, so it is an IPv4 address or nothing",
                       STR_FMT(name));

    struct host host = {.n = name.n};
    for (size_t i = 0; i < name.n; i++)
        host.b[i] = char_lower(name.p[i]);
    *ret = host;
    return ERR_OK;
}

bool host_ends_in_number(struct str in)
{
    struct str name = without_root(in);
    const char *dot = name.n > 0 ? memrchr(name.p, '.', name.n) : NULL;
    struct str last = dot ? str_from(name, (size_t)(dot - name.p) + 1) : name;
    if (last.n == 0)
        return false;

    bool hex = last.n >= 2 && last.p[0] == '0' && char_lower(last.p[1]) == 'x';
    for (size_t i = hex ? 2 : 0; i < last.n; i++) // "0x" alone is zero to WHATWG URL
        if (hex ? char_hex(last.p[i]) < 0 : !char_is_digit(last.p[i]))
            return false;
    return true;
}
