#include "policy/load.h"

#include "base/buf.h"
#include "policy/print.h"
#include "policy_same.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What was loaded is printed, loaded again and compared; what is printed then has the same bytes.
static void check_printing(const struct policy *p)
{
    CLEANUP(arena_done) struct arena a = {};
    CLEANUP(buf_done) struct buf first = {}, again = {};
    arena_init(&a, 4 * POLICY_ARENA_MAX);
    buf_init(&first, 64 * MIB);
    buf_init(&again, 64 * MIB);
    policy_print_yaml(p, &first);
    if (first.full || first.n > POLICY_TEXT_MAX)
        return; // aliases can stand for more than a file holds
    struct policy *q = NULL;
    struct diags d;
    struct err err;
    enum err_code r = policy_parse(buf_str(&first), &a, &q, &d, &err);
    if (r != ERR_OK)
        (void)fprintf(stderr, "%s\n%s\n", err.msg, first.p);
    assert(r == ERR_OK);
    assert(same_policy(p, q));
    policy_print_yaml(q, &again);
    assert(str_eq(buf_str(&first), buf_str(&again)));
    struct policy *copy = NULL;
    assert(policy_clone(q, &a, &copy) && same_policy(q, copy));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, POLICY_ARENA_MAX);
    struct str text = {(const char *)data, size};
    struct policy *p = NULL;
    struct diags d;
    struct err err;
    enum err_code r = policy_parse(text, &a, &p, &d, &err);
    assert((r == ERR_OK) == (p != NULL));
    if (p)
        check_printing(p);
    struct policy *valid = NULL;
    enum err_code v = policy_load(text, POLICY_USE_GATEWAY, &a, &valid, &d, &err);
    assert(v != ERR_OK || r == ERR_OK || r == ERR_LIMIT); // what is valid parses
    return 0;
}
