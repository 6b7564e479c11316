// Random policies and requests: the engine (decide.h) and the model (naive.h) must agree on each.
//
//   decide_random_test [SEED [POLICIES [REQUESTS]]]
//
// A disagreement is printed with the seed of its policy: that seed, 1 policy and the same number of requests
// replay it.
#include "policy/gen.h"
#include "policy/naive.h"
#include "policy/print.h"
#include "tap.h"

enum { POLICIES = 5000, REQUESTS = 200, REPORTS_MAX = 3, WHYS = WHY_QUARANTINE };

struct run {
    uint64_t policies, requests, asked, differ, refused;
    uint64_t whys[WHYS]; // how often each answer came
};

static void note_lines(struct str text)
{
    for (struct str line; str_line(&text, &line);)
        tap_note("%.*s", (int)line.n, line.p);
}

static void report(uint64_t seed, const struct policy *p, const struct gen_request *q, struct str answers)
{
    struct buf out;
    buf_init(&out, MIB);
    policy_print_yaml(p, &out);
    buf_addf(&out, "seed %llu\n", (unsigned long long)seed);
    gen_print(q, &out);
    buf_add(&out, answers);
    note_lines(buf_str(&out));
    buf_done(&out);
}

static void ask_all(struct run *run, uint64_t seed, struct gen *g, const struct policy *p,
                    const struct snapshot *s)
{
    struct buf out;
    buf_init(&out, 16 * KIB);
    for (uint64_t i = 0; i < run->requests; i++) {
        struct gen_request q;
        gen_request(g, p, &q);
        enum why why = WHY_NO_ENDPOINT;
        buf_clear(&out);
        if (!naive_check(p, s, &q.conn, &q.request, &why, &out) && run->differ++ < REPORTS_MAX)
            report(seed, p, &q, buf_str(&out));
        if ((int)why < (int)WHYS)
            run->whys[why]++;
        run->asked++;
    }
    buf_done(&out);
}

static void one_policy(struct run *run, uint64_t seed)
{
    struct gen g = gen_seed(seed);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const struct policy *p = gen_policy(&g, &a);
    CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
    struct err err = {};
    if (p && snapshot_compile(p, seed, &s, &err) == ERR_OK) {
        ask_all(run, seed, &g, p, s);
        return;
    }
    if (run->refused++ < REPORTS_MAX) {
        struct gen_request nothing = {};
        report(seed, p ? p : &(struct policy){}, &nothing, str_of(err.msg));
    }
}

int main(int argc, char **argv)
{
    uint64_t args[3] = {1, POLICIES, REQUESTS}; // seed, policies, requests
    for (int i = 1; i < argc && i <= 3; i++)
        if (!str_u64(str_of(argv[i]), UINT64_MAX, &args[i - 1]))
            return 2;
    struct run run = {.policies = args[1], .requests = args[2]};
    for (uint64_t i = 0; i < run.policies; i++)
        one_policy(&run, args[0] + i);

    (void)tap_ok(run.refused == 0, "every policy of the generator compiles (%llu do not)",
                 (unsigned long long)run.refused);
    (void)tap_ok(run.differ == 0, "engine and model agree on %llu requests (%llu differ)",
                 (unsigned long long)run.asked, (unsigned long long)run.differ);
    bool small = run.asked < 100'000; // a replay
    for (int why = 0; why < WHYS; why++)
        (void)tap_ok(small || run.whys[why] >= run.asked / 2000, "the answer %s comes up: %llu times",
                     why_name((enum why)why), (unsigned long long)run.whys[why]);
    return tap_done();
}
