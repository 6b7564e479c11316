// policy/bind.h: from YAML nodes to the fields of a struct, by tables. Internal to the loader (load.c,
// load_endpoint.c).
//
// Each mapping of a policy file has a table of its keys. Binding a node reports unknown keys, missing keys,
// wrong types and numbers out of range, each at its place, and goes on: what could not be bound keeps its
// zero.
#pragma once
#include "policy/policy.h"
#include "policy/yaml.h"

struct binder {
    struct arena *a; // of the policy; nothing in it points into the tree
    struct diags *d;
    struct keypath path; // of the item that is being bound
    bool no_room;
};

// Binds the item at b->path to `field`, as the table says.
typedef void bind_fn(struct binder *b, const struct yaml_item *item, void *field);

struct bind_field {
    struct str key;
    bind_fn *bind;
    size_t offset; // of the field in the struct that the table is about
    bool required;
};

struct bind_table {
    const struct bind_field *fields;
    size_t n;
    const char *what;    // "an endpoint"
    const char *example; // hint where something else was found; may be NULL
};
#define BIND_TABLE(array, name, example) ((struct bind_table){(array), ARRAY_LEN(array), (name), (example)})

bind_fn bind_str;      // struct str; a number is taken as it is written
bind_fn bind_strs;     // struct strs
bind_fn bind_bool;     // bool
bind_fn bind_tristate; // enum tristate
bind_fn bind_u16;      // uint32_t, 0 to 65535
bind_fn bind_u32;      // uint32_t
bind_fn bind_size;     // uint32_t, from 1: 0 stands for "not given"
bind_fn bind_i32;      // int32_t

// The keys of a mapping, one by one. Something else than a mapping is reported.
void bind_map(struct binder *b, const struct yaml_item *item, struct bind_table table, void *object) NONNULL;

// The items of a list, or the values of a mapping with free keys, each bound to an element of a new array;
// *ret_n of them, also where some had errors. `keyed`: each element begins with a struct str, which gets the
// key.
struct bind_array {
    enum { BIND_LIST, BIND_KEYED } kind;
    size_t size;          // of an element
    bind_fn *bind;        // to the element
    const char *expected; // "a list of endpoints"
    const char *hint;     // where a scalar or the other kind of collection was found; may be NULL
};
void *bind_array(struct binder *b, const struct yaml_item *item, const struct bind_array *how,
                 size_t *ret_n) NONNULL;

// "expected a list of strings, found a mapping"
void bind_expected(struct binder *b, const struct yaml_item *item, const char *expected, const char *hint)
    __attribute__((nonnull(1, 2, 3)));
#define bind_error(b, at, hint, ...)                                                                         \
    diag_add((b)->d, DIAG_ERROR, (at), keypath_str(&(b)->path), (hint), __VA_ARGS__)

[[nodiscard]] bool bind_dup(struct binder *b, struct str s, struct str *ret) NONNULL; // false: b->no_room

bind_fn bind_entry; // struct policy_entry, its key set already; in load_endpoint.c
