// cli/answer.h: an explanation as a person and as a program read it.
#pragma once
#include "cli/ask.h"
#include "cmd/json_out.h"

void answer_human(const struct ask *k, const struct explanation *x, const struct term *t,
                  struct buf *out) NONNULL;
[[nodiscard]] json_t *answer_json(const struct ask *k, const struct explanation *x, bool *ok) NONNULL;

// "GET https://…", "CONNECT host:port": what was asked, in the form that was decided on.
void answer_request(const struct ask *k, struct buf *out) NONNULL;

// The entry that decided, "" for none.
[[nodiscard]] struct str answer_policy(const struct explanation *x) NONNULL;
