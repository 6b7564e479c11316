#include "supervisor/spec.h"

#include "tap.h"

static struct str words[] = {STR_INIT("sh"), STR_INIT("-c"), STR_INIT(""), STR_INIT("a\0b")};
static struct cidr ranges[] = {{.net = {.family = 4, .b = {10}}, .bits = 8},
                               {.net = {.family = 6}, .bits = 128}};

static struct init_spec sample(void)
{
    return (struct init_spec){.argv = {words, 4},
                              .env = {words + 1, 2},
                              .read_only = {words, 1},
                              .root = STR("/srv/root"),
                              .workdir = STR("/w"),
                              .workdir_source = STR("/host/w"),
                              .hostname = STR("h"),
                              .passwd = STR("p"),
                              .group = STR("g"),
                              .hosts = STR("o"),
                              .resolv_conf = STR("r"),
                              .sockets = STR("/s\n"),
                              .ranges = ranges,
                              .ranges_n = 2,
                              .workdir_writable = true,
                              .nested = true,
                              .tty = true,
                              .uid = 7,
                              .gid = 8,
                              .scratch = 1ULL << 40,
                              .limits = {.memory = 1, .pids = 2, .cpu_milli = 3}};
}

static bool same_list(const struct strs *a, const struct strs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = str_eq(a->v[i], b->v[i]);
    return same;
}

static void test_round(void)
{
    struct err e = {};
    const struct init_spec s = sample();
    struct init_spec got = {};
    CLEANUP(buf_done) struct buf b;
    CLEANUP(arena_done) struct arena a;
    buf_init(&b, SPEC_MAX);
    arena_init(&a, MIB);
    tap_ok(spec_encode(&s, &b, &e) == ERR_OK && spec_decode(buf_str(&b), &a, &got, &e) == ERR_OK,
           "what was written reads: %s", e.msg);
    tap_ok(same_list(&s.argv, &got.argv) && same_list(&s.env, &got.env) &&
               same_list(&s.read_only, &got.read_only) && got.read_write.n == 0,
           "lists, with empty words and NUL bytes");
    tap_ok(str_eq(got.root, s.root) && str_eq(got.workdir, s.workdir) &&
               str_eq(got.workdir_source, s.workdir_source) && str_eq(got.hostname, s.hostname) &&
               str_eq(got.passwd, s.passwd) && str_eq(got.group, s.group) && str_eq(got.hosts, s.hosts) &&
               str_eq(got.resolv_conf, s.resolv_conf) && str_eq(got.sockets, s.sockets),
           "texts");
    tap_ok(got.uid == 7 && got.gid == 8 && got.scratch == s.scratch && got.limits.cpu_milli == 3 &&
               got.workdir_writable && !got.workdir_handed && got.nested && !got.landlock_hard && got.tty &&
               got.ranges_n == 2 && memcmp(got.ranges, ranges, sizeof(ranges)) == 0,
           "numbers and ranges");
    size_t refused = 0;
    for (size_t n = 0; n < b.n; n++)
        refused += spec_decode((struct str){b.p, n}, &a, &got, &e) == ERR_INVALID;
    tap_ok(refused == b.n, "cut at any byte it is refused");
    buf_addc(&b, 'x');
    tap_ok(spec_decode(buf_str(&b), &a, &got, &e) == ERR_INVALID, "one byte too many is refused");
}

static void test_limits(void)
{
    struct err e = {};
    struct init_spec s = sample();
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 64);
    tap_ok(spec_encode(&s, &b, &e) == ERR_LIMIT, "what does not fit is refused: %s", e.msg);
    CLEANUP(buf_done) struct buf none;
    CLEANUP(arena_done) struct arena a;
    buf_init(&none, SPEC_MAX);
    arena_init(&a, MIB);
    s.argv.n = 0;
    struct init_spec got = {};
    tap_ok(spec_encode(&s, &none, &e) == ERR_OK && spec_decode(buf_str(&none), &a, &got, &e) == ERR_INVALID,
           "no command is no specification");
}

static void test_command(void)
{
    struct err e = {};
    const struct command_spec s = {.argv = {words, 4},
                                   .env = {words + 1, 2},
                                   .workdir = STR("/w"),
                                   .tty = true,
                                   .cols = 80,
                                   .rows = 24};
    struct command_spec got = {};
    CLEANUP(buf_done) struct buf b;
    CLEANUP(arena_done) struct arena a;
    buf_init(&b, SPEC_MAX);
    arena_init(&a, MIB);
    tap_ok(spec_encode_command(&s, &b, &e) == ERR_OK &&
               spec_decode_command(buf_str(&b), &a, &got, &e) == ERR_OK && same_list(&s.argv, &got.argv) &&
               same_list(&s.env, &got.env) && str_eq(s.workdir, got.workdir) && got.tty && got.cols == 80 &&
               got.rows == 24,
           "a command that was written reads: %s", e.msg);
    size_t refused = 0;
    for (size_t n = 0; n < b.n; n++)
        refused += spec_decode_command((struct str){b.p, n}, &a, &got, &e) == ERR_INVALID;
    tap_ok(refused == b.n, "cut at any byte it is refused");
    buf_addc(&b, 'x');
    tap_ok(spec_decode_command(buf_str(&b), &a, &got, &e) == ERR_INVALID, "one byte too many is refused");
    const struct command_spec none = {};
    buf_clear(&b);
    tap_ok(spec_encode_command(&none, &b, &e) == ERR_OK &&
               spec_decode_command(buf_str(&b), &a, &got, &e) == ERR_INVALID,
           "no word is no command");
}

int main(void)
{
    test_round();
    test_limits();
    test_command();
    return tap_done();
}
