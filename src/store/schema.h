// store/schema.h: forward-only migrations, each checked against what was once applied. Inside this layer
// only.
#pragma once
#include "store/db.h"

enum {
    SCHEMA_APPLICATION = 0x4f53484c, // "OSHL", PRAGMA application_id
};

// Migration i makes version i + 1. Once released, a text is never changed: its checksum is in every store.
struct migration {
    const char *sql;
};
extern const struct migration schema_migrations[];
extern const size_t schema_n;

// Applies what is missing in one transaction: all of it or nothing. On
// failure the caller closes `db`, which rolls back. ERR_PRECONDITION: the file knows a newer
// version, or applied another text than ours.
enum err_code schema_apply(const char *path, sqlite3 *db, const struct migration *list, size_t n,
                           struct err *reterr) NONNULL;
