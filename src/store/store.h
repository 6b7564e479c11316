// store/store.h: what the gateway must not forget.
//
// One table of objects: a payload of opaque bytes, and the few columns that a query needs. A write that
// returned ERR_OK is on disk, and survives kill -9 and a power cut. Every call may block, so it is made on a
// worker, never on the loop; all are thread-safe, and a reader never waits for a writer. A workspace is part
// of every look-up by name, of every list and of every write; "" is the platform's own.
#pragma once
#include "base/arena.h"
#include "base/base.h"

enum {
    STORE_PAGE_MAX = 1000,         // rows in one list answer; the gateway's page limit
    STORE_PAYLOAD_MAX = 16 * MIB,  // bytes of one payload; ours
    STORE_LABELS_BYTES = 64 * KIB, // of the labels of one object or query, as "key=value\n"; ours
    STORE_BUSY_MS = 5000,          // how long a call waits for another process; ours
};

struct store;

// No control characters in either, no '=' in a key; no key twice. ERR_INVALID otherwise.
struct store_label {
    struct str key, value;
};

// A row. What a call returns lives in the arena that was passed; what a call is given is borrowed for the
// call. An absent `name`, `scope`, `status` or `dedup_key` has p == NULL; an empty one has not.
struct store_object {
    struct str kind; // "sandbox", "sandbox_policy", …
    struct str workspace;
    struct str id;        // the key, whatever the kind
    struct str name;      // unique for (kind, workspace)
    struct str scope;     // the owner of a revision or a draft, as a sandbox's id
    int64_t revision;     // unique for (kind, scope); 0: the row has none
    struct str status;    // of a revision or a draft
    struct str dedup_key; // unique for (kind, scope)
    int64_t hit_count;
    struct str payload;
    const struct store_label *labels;
    size_t n_labels;
    int64_t created_ms, updated_ms; // the caller's clock
    uint64_t version;               // 1 when created, one more with each update; set by the store
};

enum store_op {
    STORE_CREATE,
    STORE_UPDATE, // writes all but kind, workspace, id, scope, revision and created_ms, which never change
    STORE_DELETE, // the row with this kind, workspace and id
    STORE_DELETE_SCOPE, // every row with this kind, workspace and scope, be it none
};

// One write. `if_version` 0 means whatever version there is; it counts with STORE_UPDATE and STORE_DELETE.
struct store_write {
    enum store_op op;
    uint64_t if_version;
    struct store_object object;
};

enum store_order {
    STORE_OLDEST,        // by creation time, name, workspace, id
    STORE_NEWEST,        // the same from the other end
    STORE_LAST_REVISION, // rows that have a revision, the highest first
};

struct store_query {
    struct str kind;
    bool all_workspaces; // a caller who may see every one; else `workspace`
    struct str workspace;
    struct str scope, status;         // p == NULL: any
    const struct store_label *labels; // every pair must be there
    size_t n_labels;
    enum store_order order;
    uint32_t limit;                   // 1 to STORE_PAGE_MAX, else ERR_INVALID
    uint64_t offset;                  // rows to pass over; moves when rows come and go, `after` does not
    const struct store_object *after; // the last row of the page before, also if it is gone by now; or NULL
};

// Opens or creates the file at the absolute `path` (0600, ours) in a folder that must be private (0700, ours)
// and whose last part is made, checks it and brings its schema up to date. Two processes may have it open.
// ERR_INVALID, ERR_NOT_FOUND: the path. ERR_DENIED: owner or mode. ERR_PRECONDITION: a newer schema, a
// changed migration, or no store of ours. ERR_INTERNAL: the file is damaged, and was left as it is.
// ERR_LIMIT: no space or no memory. ERR_UNAVAILABLE: another process holds it longer than STORE_BUSY_MS.
enum err_code store_open(struct str path, struct store **ret, struct err *reterr) NONNULL;

// ERR_NOT_FOUND; ERR_LIMIT when the arena is full; and, as from all below, ERR_LIMIT, ERR_UNAVAILABLE and
// ERR_INTERNAL as above.
enum err_code store_get(struct store *st, struct str kind, struct str id, struct arena *arena,
                        struct store_object *ret, struct err *reterr) NONNULL;
enum err_code store_get_named(struct store *st, struct str kind, struct str workspace, struct str name,
                              struct arena *arena, struct store_object *ret, struct err *reterr) NONNULL;

// *ret points at *ret_n rows in the arena. *ret_more: there are rows behind these.
enum err_code store_list(struct store *st, const struct store_query *query, struct arena *arena,
                         const struct store_object **ret, size_t *ret_n, bool *ret_more,
                         struct err *reterr) NONNULL;

// All of the writes or none, in this order. versions[i] becomes the version of writes[i], 0 for a delete. On
// failure *ret_failed is the write at fault, n if it is none of them: ERR_EXISTS for a key that is taken,
// ERR_NOT_FOUND, ERR_PRECONDITION for another version than `if_version`, which versions[*ret_failed] then
// holds, ERR_INVALID. ERR_LIMIT: the disk is full, and nothing acknowledged is lost.
enum err_code store_apply(struct store *st, const struct store_write *writes, size_t n, uint64_t *versions,
                          size_t *ret_failed, struct err *reterr) NONNULL;

void store_free(struct store *st); // NULL is fine; no call may be under way
static inline void store_freep(struct store **st)
{
    store_free(*st);
}
