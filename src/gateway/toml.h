// gateway/toml.h: TOML 1.0.0, strictly, into a tree that remembers lines.
//
// The text is UTF-8 (a byte order mark may begin it). What the specification forbids is refused: keys and
// tables defined twice, tables added to after their end, numbers with leading zeros or out of range, control
// characters, newlines in inline tables. Nothing is resolved or guessed.
#pragma once
#include "base/arena.h"

enum {
    TOML_TEXT_MAX = 1 * MIB,
    TOML_DEPTH_MAX = 32, // arrays and inline tables inside each other; also the parts of one key
};

enum toml_type { TOML_TABLE, TOML_ARRAY, TOML_STRING, TOML_INT, TOML_FLOAT, TOML_BOOL, TOML_TIME };

struct toml {
    enum toml_type type;
    unsigned line;             // of its key, or of its value in an array
    struct str key;            // in a table
    struct toml *first, *last; // of a table or an array, in the order of the text
    struct toml *next;
    struct str text;   // STRING: decoded, without a NUL behind it. FLOAT, TIME: as written
    int64_t number;    // INT
    bool yes;          // BOOL
    unsigned char how; // of a table or an array: who may add to it (toml.c)
};

// `text` is borrowed as long as the tree is, which lives in `a`. ERR_INVALID: "line 3, column 7: …".
// ERR_LIMIT: too long, too deep, or no room.
enum err_code toml_parse(struct str text, struct arena *a, struct toml **ret, struct err *reterr) NONNULL;

[[nodiscard]] struct toml *toml_find(const struct toml *table, struct str key) NONNULL; // or NULL
[[nodiscard]] const char *toml_type_name(enum toml_type type);                          // "a string"
