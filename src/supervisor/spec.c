#include "supervisor/spec.h"

// Numbers first, as they lie in memory; then the strings, each behind its length.
struct head {
    uint32_t argv_n, env_n, read_only_n, read_write_n, ranges_n;
    uint32_t uid, gid;
    uint8_t workdir_writable, workdir_handed, nested, landlock_hard, limits_soft, tty, pad[2];
    uint64_t scratch;
    struct limits_want limits;
};

static void put(struct buf *out, struct str s)
{
    const uint64_t n = s.n;
    buf_add(out, (struct str){(const char *)&n, sizeof(n)});
    buf_add(out, s);
}

static void put_all(struct buf *out, const struct strs *list)
{
    for (size_t i = 0; i < list->n; i++)
        put(out, list->v[i]);
}

enum err_code spec_encode(const struct init_spec *s, struct buf *out, struct err *e)
{
    const struct head h = {.argv_n = (uint32_t)s->argv.n,
                           .env_n = (uint32_t)s->env.n,
                           .read_only_n = (uint32_t)s->read_only.n,
                           .read_write_n = (uint32_t)s->read_write.n,
                           .ranges_n = (uint32_t)s->ranges_n,
                           .uid = s->uid,
                           .gid = s->gid,
                           .workdir_writable = s->workdir_writable,
                           .workdir_handed = s->workdir_handed,
                           .nested = s->nested,
                           .landlock_hard = s->landlock_hard,
                           .limits_soft = s->limits_soft,
                           .tty = s->tty,
                           .scratch = s->scratch,
                           .limits = s->limits};
    buf_add(out, (struct str){(const char *)&h, sizeof(h)});
    put_all(out, &s->argv);
    put_all(out, &s->env);
    put_all(out, &s->read_only);
    put_all(out, &s->read_write);
    const struct str texts[] = {s->root,  s->workdir,     s->hostname, s->passwd,        s->group,
                                s->hosts, s->resolv_conf, s->sockets,  s->workdir_source};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        put(out, texts[i]);
    if (s->ranges_n > 0)
        buf_add(out, (struct str){(const char *)s->ranges, s->ranges_n * sizeof(s->ranges[0])});
    return buf_check(out, "the command, its environment and the policy's paths", e);
}

static bool take(struct str *in, void *dst, size_t n)
{
    if (n > in->n)
        return false;
    memcpy(dst, in->p, n);
    *in = str_from(*in, n);
    return true;
}

static bool take_str(struct str *in, struct str *ret)
{
    uint64_t n;
    if (!take(in, &n, sizeof(n)) || n > in->n)
        return false;
    *ret = str_head(*in, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

static bool take_all(struct str *in, size_t n, struct arena *a, struct strs *ret)
{
    if (n > in->n / sizeof(uint64_t)) // each has at least its length
        return false;
    *ret = (struct strs){.v = arena_newn(a, struct str, n), .n = n};
    for (size_t i = 0; ret->v && i < n; i++)
        if (!take_str(in, &ret->v[i]))
            return false;
    return ret->v != NULL;
}

static bool take_ranges(struct str *in, size_t n, struct arena *a, struct init_spec *s)
{
    if (n != in->n / sizeof(struct cidr) || in->n % sizeof(struct cidr) != 0)
        return false;
    s->ranges = arena_newn(a, struct cidr, n);
    s->ranges_n = n;
    return s->ranges && take(in, s->ranges, n * sizeof(struct cidr));
}

enum err_code spec_decode(struct str in, struct arena *a, struct init_spec *ret, struct err *e)
{
    struct head h;
    bool ok = take(&in, &h, sizeof(h)) && h.argv_n > 0;
    struct init_spec s = {};
    if (ok)
        s = (struct init_spec){.uid = h.uid,
                               .gid = h.gid,
                               .workdir_writable = h.workdir_writable != 0,
                               .workdir_handed = h.workdir_handed != 0,
                               .nested = h.nested != 0,
                               .landlock_hard = h.landlock_hard != 0,
                               .limits_soft = h.limits_soft != 0,
                               .tty = h.tty != 0,
                               .scratch = h.scratch,
                               .limits = h.limits};
    ok = ok && take_all(&in, h.argv_n, a, &s.argv) && take_all(&in, h.env_n, a, &s.env) &&
         take_all(&in, h.read_only_n, a, &s.read_only) && take_all(&in, h.read_write_n, a, &s.read_write);
    struct str *const texts[] = {&s.root,  &s.workdir,     &s.hostname, &s.passwd,        &s.group,
                                 &s.hosts, &s.resolv_conf, &s.sockets,  &s.workdir_source};
    for (size_t i = 0; ok && i < ARRAY_LEN(texts); i++)
        ok = take_str(&in, texts[i]);
    if (!ok || !take_ranges(&in, h.ranges_n, a, &s))
        return err_set(e, ERR_INVALID, "the specification of the sandbox is not well-formed");
    *ret = s;
    return ERR_OK;
}

// ---- one command
// -------------------------------------------------------------------------------------------------

struct command_head {
    uint32_t argv_n, env_n;
    uint16_t cols, rows, tty, pad;
};

enum err_code spec_encode_command(const struct command_spec *s, struct buf *out, struct err *e)
{
    const struct command_head h = {.argv_n = (uint32_t)s->argv.n,
                                   .env_n = (uint32_t)s->env.n,
                                   .cols = s->cols,
                                   .rows = s->rows,
                                   .tty = s->tty};
    buf_add(out, (struct str){(const char *)&h, sizeof(h)});
    put_all(out, &s->argv);
    put_all(out, &s->env);
    put(out, s->workdir);
    return buf_check(out, "the command and its environment", e);
}

enum err_code spec_decode_command(struct str in, struct arena *a, struct command_spec *ret, struct err *e)
{
    struct command_head h;
    struct command_spec s = {};
    if (!take(&in, &h, sizeof(h)) || h.argv_n == 0 || !take_all(&in, h.argv_n, a, &s.argv) ||
        !take_all(&in, h.env_n, a, &s.env) || !take_str(&in, &s.workdir) || in.n > 0)
        return err_set(e, ERR_INVALID, "the command is not well-formed");
    s.tty = h.tty != 0;
    s.cols = h.cols;
    s.rows = h.rows;
    *ret = s;
    return ERR_OK;
}
