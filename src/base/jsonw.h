// base/jsonw.h: writing JSON (RFC 8259) into a buf. Reading it is jansson's business.
#pragma once
#include "base/buf.h"

// "…" with quotes. Control bytes, '"' and '\' are escaped; a malformed UTF-8 byte becomes U+FFFD, so that
// whatever came from outside gives a valid document.
void jsonw_string(struct buf *out, struct str s) NONNULL;

// `"key":"value"` with a comma in front unless it is the first member; `*first` starts true and becomes
// false.
void jsonw_member(struct buf *out, bool *first, const char *key, struct str value) NONNULL;
// `"key":` for a value that the caller writes.
void jsonw_key(struct buf *out, bool *first, const char *key) NONNULL;
