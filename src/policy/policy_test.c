#include "policy/policy.h"

#include "alloc_fail.h"
#include "policy/sample.h"
#include "policy_same.h"
#include "tap.h"

static bool copy_is_apart(const void *copy, const void *original)
{
    return copy != original;
}

static void test_clone(void)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, MIB);
    sample_entries[0].binaries[0].harness = true; // from the wire
    sample_entries[0].endpoints[0].advisor_proposed = true;
    sample_entries[0].endpoints[0].provider_credentialed = true;
    struct policy *copy = NULL;
    (void)tap_ok(policy_clone(&sample_policy, &a, &copy) && same_policy(&sample_policy, copy),
                 "a copy has every field");
    const struct endpoint *x = &copy->entries[0].endpoints[0], *y = &sample_policy.entries[0].endpoints[0];
    (void)tap_ok(copy_is_apart(copy->entries, sample_policy.entries) && copy_is_apart(x, y) &&
                     copy_is_apart(x->host.p, y->host.p) && copy_is_apart(x->ports, y->ports) &&
                     copy_is_apart(x->rules, y->rules) &&
                     copy_is_apart(x->rules[0].method.p, y->rules[0].method.p) &&
                     copy_is_apart(x->rules[0].query[1].any.v, y->rules[0].query[1].any.v) &&
                     copy_is_apart(x->registered[0].id.p, y->registered[0].id.p) &&
                     copy_is_apart(copy->middlewares[0].config.keys,
                                   sample_policy.middlewares[0].config.keys) &&
                     copy_is_apart(copy->middlewares[0].config.items,
                                   sample_policy.middlewares[0].config.items) &&
                     copy_is_apart(copy->filesystem.read_only.v, sample_policy.filesystem.read_only.v) &&
                     copy_is_apart(copy->landlock.compatibility.p, sample_policy.landlock.compatibility.p),
                 "and shares none with the original");
    sample_entries[0].binaries[0].harness = false;
    sample_entries[0].endpoints[0].advisor_proposed = false;
    sample_entries[0].endpoints[0].provider_credentialed = false;
}

static void test_empty(void)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, MIB);
    struct policy empty = {}, *copy = NULL;
    (void)tap_ok(policy_clone(&empty, &a, &copy) && same_policy(&empty, copy), "an empty policy has a copy");
    struct strs none = {}, strs = {};
    (void)tap_ok(policy_clone_strs(&none, &a, &strs) && strs.n == 0, "so has an empty list");
    struct l7_rule rule = {}, rule_copy;
    (void)tap_ok(policy_clone_rule(&rule, &a, &rule_copy) && same_rules(&rule, 1, &rule_copy, 1),
                 "and a rule");
}

// In arenas that are larger each time, until it fits.
static void test_no_room(void)
{
    size_t refused = 0;
    bool clean = true;
    for (size_t max = 0;; max += 64) {
        CLEANUP(arena_done) struct arena a = {};
        arena_init(&a, max);
        struct policy *copy = NULL;
        if (policy_clone(&sample_policy, &a, &copy)) {
            clean = clean && same_policy(&sample_policy, copy);
            break;
        }
        clean = clean && !copy;
        refused++;
    }
    (void)tap_ok(clean && refused > 10, "without room nothing is returned");
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        CLEANUP(arena_done) struct arena a = {};
        arena_init(&a, MIB);
        struct policy *copy = NULL;
        alloc_fail_at(n);
        bool ok = policy_clone(&sample_policy, &a, &copy);
        alloc_fail_off();
        failed = alloc_fail_count() >= n;
        clean = clean && ok == !failed && ok == (copy != NULL);
    }
    (void)tap_ok(clean, "nor when an allocation fails");
}

int main(void)
{
    test_clone();
    test_empty();
    test_no_room();
    return tap_done();
}
