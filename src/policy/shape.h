// policy/shape.h: the fields of the model, one row each.
//
// Hash, equality and the tests that change one field at a time walk these tables, so a field that is added to
// the model and forgotten here is a red test (shape_test.c looks for gaps between the offsets), not a change
// that nobody sees. A row also knows the word that means the same as silence (`enforcement: audit`), so that
// two ways to write one policy are one policy.
#pragma once
#include "policy/policy.h"

enum shape_kind {
    SHAPE_STR,
    SHAPE_BOOL,
    SHAPE_U32, // also int32_t and enums, by their bits
    SHAPE_VALUE,
    SHAPE_LIST, // order counts
    SHAPE_MAP,  // order does not; the first member of an item is a struct str, its key
};

struct shape;
struct shape_field {
    uint8_t tag; // in the canonical encoding: never reused, never renumbered
    enum shape_kind kind;
    size_t at;              // LIST and MAP: of the pointer to the items
    size_t n_at;            // LIST and MAP: of their number
    const struct shape *of; // LIST and MAP: what an item is
    const char *name;       // as in the YAML form
    const char *word;       // STR: means the same as none
    uint32_t number;        // U32: ditto
    bool is_key_default;    // STR: the first member, a key, means the same as none
};
struct shape {
    const struct shape_field *fields;
    size_t n, size;
};

extern const struct shape shape_policy, shape_entry, shape_endpoint, shape_rule, shape_binary,
    shape_middleware, shape_registered, shape_matcher, shape_str, shape_u32;

// The parts of an object that a row points at.
[[nodiscard]] struct str shape_get_str(const struct shape_field *f,
                                       const void *object) NONNULL; // {} by default
[[nodiscard]] uint32_t shape_get_u32(const struct shape_field *f,
                                     const void *object) NONNULL; // BOOL too; 0 by default
[[nodiscard]] const struct value *shape_get_value(const struct shape_field *f,
                                                  const void *object) NONNULL; // NULL by default
[[nodiscard]] const void *shape_get_items(const struct shape_field *f, const void *object,
                                          size_t *ret_n) NONNULL;

// Whether two objects of one shape, two lists or two values mean the same.
[[nodiscard]] bool shape_same(const struct shape *s, const void *a, const void *b) NONNULL;
[[nodiscard]] bool shape_same_field(const struct shape_field *f, const void *a, const void *b) NONNULL;
[[nodiscard]] bool shape_same_value(const struct value *a, const struct value *b) NONNULL;

// One bit pattern for each number: no negative zero, one NaN.
[[nodiscard]] uint64_t shape_number_bits(double number);
