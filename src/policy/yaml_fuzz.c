#include "policy/yaml.h"

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Counts what the tree says it has; deep trees are refused, so recursion is bounded.
static size_t count(const struct yaml_node *node)
{
    size_t n = 1;
    for (size_t i = 0; i < node->n; i++) {
        assert(!node->items[i].key == (node->kind == NODE_LIST));
        assert(yaml_place(&node->items[i]).line > 0);
        n += count(node->items[i].value) + (node->items[i].key ? 1 : 0);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a = {};
    arena_init(&a, 2 * POLICY_ARENA_MAX);
    struct diags d;
    diags_init(&d, &a);
    const struct yaml_node *root = NULL;
    struct err err;
    struct str text = {(const char *)data, size};
    enum err_code r = yaml_parse(text, &a, &d, &root, &err);
    assert((r == ERR_OK) == (root != NULL));
    assert(r != ERR_INVALID || d.errors > 0);
    uint32_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    for (size_t i = 0; i < d.n; i++)
        assert(d.v[i].at.line > 0 && d.v[i].at.line <= lines && d.v[i].at.column > 0);
    if (!root)
        return 0;
    assert(count(root) == root->size && root->size <= POLICY_NODES_MAX && root->height <= POLICY_DEPTH_MAX);
    diag_error(&d, str_head(text, 40), NULL, "the text itself as a path");
    diag_error(&d, STR("a.b[0].c"), NULL, "a path");
    yaml_locate(root, &d);
    return 0;
}
