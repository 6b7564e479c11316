// policy/yaml.h: a YAML file as a tree of nodes that know where they were written.
//
// A strict reading of YAML, so that a policy cannot mean one thing here and another in a reviewer's editor:
// one document, scalars by the core schema of YAML 1.2 (yes, no, on and off are strings; what is quoted is a
// string), keys that are scalars and unique. Tags, merge keys, tabs in front of a line, control characters
// and every line break but LF and CR LF are refused. Anchors and aliases work, bounded in what they expand
// to.
#pragma once
#include "policy/diag.h"

enum yaml_kind { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_LIST, NODE_MAP };

enum { YAML_ANCHORS_MAX = 256 }; // ours

struct yaml_node {
    enum yaml_kind kind;
    bool quoted;     // a scalar in quotes or in block style: always a NODE_STRING
    bool boolean;    // BOOL
    uint32_t size;   // nodes in it and itself, aliases expanded
    uint32_t height; // levels of collections in it and itself; scalars: 0
    struct mark at;  // of a collection: where it begins, length 1
    struct str text; // scalars: as written, without quotes and escapes
    struct yaml_item *items;
    size_t n; // of items
};

struct yaml_item {
    const struct yaml_node *key; // a scalar; NULL in a list
    const struct yaml_node *value;
};

// Builds the tree in `a`; nothing in it points into `text`. What is wrong goes to `d`, with place and key
// path. ERR_OK: *ret is the root, although `d` may have got errors that leave a tree (a tag, a key given
// twice). An empty text is a NODE_NULL. ERR_INVALID: no tree (syntax, a limit), the errors are in `d`.
// ERR_LIMIT: no memory. `reterr` is written for both.
enum err_code yaml_parse(struct str text, struct arena *a, struct diags *d, const struct yaml_node **ret,
                         struct err *reterr) NONNULL;

// Where an error about an item is shown: a scalar's own place, else that of its key, else its beginning.
[[nodiscard]] struct mark yaml_place(const struct yaml_item *item) NONNULL;

// The number of a NODE_INT as sign and magnitude. False: more than 64 bits.
[[nodiscard]] bool yaml_int(const struct yaml_node *node, bool *negative, uint64_t *magnitude) NONNULL;

// The number of a NODE_INT or NODE_FLOAT. False: not finite.
[[nodiscard]] bool yaml_number(const struct yaml_node *node, double *ret) NONNULL;

// What a plain scalar of these bytes is.
[[nodiscard]] enum yaml_kind yaml_resolve(struct str s);

// Gives each diagnostic whose line is 0 the place of its key path, or of the longest part of it that exists.
// Other spellings of a place answer too: `params.name` for `tool`, `ports` for `port`, `mcp` and `json_rpc`
// for each other, a rule's fields without `allow`. In locate.c.
void yaml_locate(const struct yaml_node *root, struct diags *d) NONNULL;
