#include "rpc/meta.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const struct str taken[] = {STR_INIT("te"),         STR_INIT("content-type"),
                                   STR_INIT("user-agent"), STR_INIT("connection"),
                                   STR_INIT("host"),       STR_INIT("content-length")};

static bool name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!(c >= 'a' && c <= 'z') && !char_is_digit(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.n > 0;
}

static bool name_taken(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (str_eq(name, taken[i]))
            return true;
    return str_starts(name, STR("grpc-"));
}

static bool value_ok(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x20 || value.p[i] > 0x7e)
            return false;
    return true;
}

static enum err_code append(struct rpc_meta *meta, struct arena *arena, struct str name, struct str value,
                            struct err *reterr)
{
    struct rpc_field *f = arena_new(arena, struct rpc_field);
    if (!f || !arena_dup(arena, name, &f->name) || !arena_dup(arena, value, &f->value))
        return arena_limit(arena, "metadata", reterr);
    if (meta->last)
        meta->last->next = f;
    else
        meta->first = f;
    meta->last = f;
    return ERR_OK;
}

static int sextet(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

enum err_code rpc_meta_add(struct rpc_meta *meta, struct arena *arena, struct str name, struct str value,
                           struct err *reterr)
{
    if (!name_ok(name) || name_taken(name))
        return err_set(reterr, ERR_INVALID, "'%.*s' cannot be the name of metadata", STR_FMT(name));
    if (!str_ends(name, STR("-bin")) && !value_ok(value))
        return err_set(reterr, ERR_INVALID,
                       "metadata '%.*s': only printable ASCII, unless the name ends in -bin", STR_FMT(name));
    return append(meta, arena, name, value, reterr);
}

bool rpc_meta_get(const struct rpc_meta *meta, struct str name, struct str *ret)
{
    for (const struct rpc_field *f = meta->first; f; f = f->next) {
        if (str_eq(f->name, name)) {
            *ret = f->value;
            return true;
        }
    }
    return false;
}

enum err_code rpc_meta_receive(struct rpc_meta *meta, struct arena *arena, struct str name, struct str value,
                               struct err *reterr)
{
    if (!name_ok(name) || name_taken(name))
        return ERR_OK;
    if (!str_ends(name, STR("-bin")))
        return append(meta, arena, name, value, reterr);
    enum err_code c = ERR_OK;
    struct str part = {};
    if (!value.p)
        value.p = "";
    while (c == ERR_OK && str_split(&value, ',', &part)) {
        struct buf bytes;
        buf_init(&bytes, part.n);
        if (rpc_base64_decode(str_trim(part), &bytes))
            c = append(meta, arena, name, buf_str(&bytes), reterr);
        else
            c = err_set(reterr, ERR_INVALID, "metadata '%.*s' is no base64", STR_FMT(name));
        buf_done(&bytes);
    }
    return c;
}

enum err_code rpc_meta_wire(const struct rpc_field *field, struct arena *arena, struct str *ret,
                            struct err *reterr)
{
    if (!str_ends(field->name, STR("-bin"))) {
        *ret = field->value;
        return ERR_OK;
    }
    struct buf text;
    buf_init(&text, field->value.n * 2 + 4);
    rpc_base64_encode(field->value, &text);
    bool ok = !text.full && arena_dup(arena, buf_str(&text), ret);
    buf_done(&text);
    return ok ? ERR_OK : arena_limit(arena, "metadata", reterr);
}

void rpc_base64_encode(struct str bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)bytes.p[i + k] : 0);
        for (size_t k = 0; k <= n; k++)
            buf_addc(out, alphabet[v >> (18 - 6 * k) & 63]);
    }
}

bool rpc_base64_decode(struct str text, struct buf *out)
{
    for (int pads = 0; pads < 2 && text.n % 4 == (pads ? 3 : 0) && str_ends(text, STR("=")); pads++)
        text.n--;
    if (text.n % 4 == 1)
        return false;
    uint32_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        int six = sextet(text.p[i]);
        if (six < 0)
            return false;
        v = v << 6 | (uint32_t)six;
        if (i % 4 != 0)
            buf_addc(out, (char)(v >> (6 - 2 * (i % 4)) & 255));
    }
    return !out->full;
}

static const struct {
    char unit;
    int64_t ns;
} units[] = {{'n', 1},
             {'u', 1'000},
             {'m', 1'000'000},
             {'S', 1'000'000'000},
             {'M', 60'000'000'000},
             {'H', 3600'000'000'000}};
enum { TIMEOUT_DIGITS = 8, TIMEOUT_MAX = 99'999'999 };

bool rpc_timeout_parse(struct str text, int64_t *ret_ns)
{
    uint64_t n = 0;
    if (text.n < 2 || text.n > TIMEOUT_DIGITS + 1 || !str_u64(str_head(text, text.n - 1), TIMEOUT_MAX, &n))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].unit == text.p[text.n - 1]) {
            if (__builtin_mul_overflow((int64_t)n, units[i].ns, ret_ns))
                *ret_ns = INT64_MAX;
            return true;
        }
    }
    return false;
}

void rpc_timeout_print(int64_t ns, char dst[static RPC_TIMEOUT_SIZE])
{
    if (ns < 1)
        ns = 1;
    size_t i = 0;
    while (i < ARRAY_LEN(units) - 1 && ns / units[i].ns >= TIMEOUT_MAX)
        i++;
    int64_t n = ns / units[i].ns + (ns % units[i].ns != 0);
    (void)snprintf(dst, RPC_TIMEOUT_SIZE, "%d%c", (int)n, units[i].unit);
}
