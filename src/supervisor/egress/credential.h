// supervisor/egress/credential.h: credentials of one admitted request, for http.c and http2.c.
#pragma once
#include "supervisor/egress/egress.h"

// Writes the credentials that the head's placeholders stand for, after its admission and before its dial.
// Changes in->head and in->path; *ret owns what they then point to, and is NULL where nothing was written.
// ERR_DENIED and others: nothing of the request may leave; see credential_answer.
enum err_code credential_inject(struct conn *c, const struct target *t, struct incoming *in,
                                struct injection **ret, struct err *e) NONNULL;

// Whether the policy wants the body rewritten, and it is one that can be (reference 2.11).
[[nodiscard]] bool credential_body_wanted(struct conn *c, const struct snapshot *s,
                                          const struct incoming *in) NONNULL;
// Head and body. `new_body` was born with all its room, and is the caller's to wipe.
enum err_code credential_inject_body(struct conn *c, const struct target *t, struct incoming *in,
                                     struct str body, struct buf *new_body, struct injection **ret,
                                     struct err *e) NONNULL;

// The body of the answer to a request that was refused so; returns its status (reference 2.4, 2.5).
unsigned credential_answer(enum err_code why, bool forward, struct buf *body) NONNULL;

// Events. None of them has a field that a value could be in.
void credential_refused(struct conn *c, const struct target *t, const struct incoming *in, enum err_code why,
                        struct str text, unsigned status) NONNULL;
void credential_in_body(struct conn *c, const struct target *t) NONNULL;
void credential_reflected(struct conn *c, const struct target *t) NONNULL;
