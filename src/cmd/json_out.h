// cmd/json_out.h: JSON results: keys in alphabetical order, two-space indentation, a newline at the end
// (reference: CLI 1.4).
#pragma once
#include <jansson.h>

#include "cmd/report.h"

static inline void json_freep(json_t **j)
{
    json_decref(*j);
}

// A JSON string of any bytes: what is not well-formed UTF-8 becomes '?'. NULL: no memory, which json_out()
// reports.
[[nodiscard]] json_t *json_text(struct str s);

// Add to an object or an array, and take the value over. jansson answers NULL where memory ran out and then
// leaves the item out without a word, which a reader would take for an absent fact: *ok becomes false
// instead.
void json_put(json_t *object, const char *key, json_t *value, bool *ok) __attribute__((nonnull(2, 4)));
void json_push(json_t *array, json_t *value, bool *ok) __attribute__((nonnull(3)));

// Adds `root` to cli->out, unless it is NULL or `ok` is false, which is reported. Takes `root` over. Returns
// the exit status: 0 or EXIT_FAILED.
[[nodiscard]] int json_out(struct cli *cli, json_t *root, bool ok) __attribute__((nonnull(1)));
