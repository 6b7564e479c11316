// gateway/records.h: sandboxes as the store has them.
//
// Any worker; never the loop. A record is the packed Sandbox with its status, under kind "sandbox"; its
// labels are the store's, so that selectors are looked up there. metadata.resource_version is the store's
// version, not what is in the payload.
#pragma once
#include "store/store.h"

#include "openshell.pb-c.h"

// A workspace of 1 to RECORD_WORKSPACE_MAX bytes; "" of a request is "default" before it comes here.
enum { RECORD_WORKSPACE_MAX = 63, RECORD_UPDATE_TRIES = 3 };
#define RECORD_KIND "sandbox"

// ERR_NOT_FOUND: "sandbox not found". *ret lives in `a`.
enum err_code record_by_name(struct store *st, struct str workspace, struct str name, struct arena *a,
                             Openshell__V1__Sandbox **ret, struct err *reterr) NONNULL;
enum err_code record_by_id(struct store *st, struct str id, struct arena *a, Openshell__V1__Sandbox **ret,
                           struct err *reterr) NONNULL;

// A page of them; query->kind is set here. ERR_INVALID as store_list().
enum err_code record_list(struct store *st, const struct store_query *query, struct arena *a,
                          Openshell__V1__Sandbox ***ret, size_t *ret_n, bool *ret_more,
                          struct err *reterr) NONNULL;

// metadata has id, name, workspace and created_at_ms. ERR_EXISTS: "sandbox 'NAME' already exists".
// Sets metadata.resource_version.
enum err_code record_insert(struct store *st, Openshell__V1__Sandbox *sandbox, struct err *reterr) NONNULL;

// Lets `change` edit what is stored, in the arena, and writes it back. Without `if_version` it is tried again
// where somebody else wrote meanwhile, RECORD_UPDATE_TRIES times, so `change` may be called more than once.
// ERR_PRECONDITION: another version than `if_version`, or no try left; *ret_version is the current one then.
// A failure of `change` ends it and writes nothing. RECORD_SAME: it left everything as it was.
enum { RECORD_SAME = -1 };
typedef int record_change(Openshell__V1__Sandbox *sandbox, void *ctx, struct arena *a, struct err *reterr);
enum err_code record_update(struct store *st, struct str id, uint64_t if_version, record_change *change,
                            void *ctx, struct arena *a, Openshell__V1__Sandbox **ret, uint64_t *ret_version,
                            struct err *reterr) __attribute__((nonnull(1, 4, 6, 7, 8, 9)));

// The record alone; what belongs to the sandbox besides is its owner's to remove. ERR_NOT_FOUND.
enum err_code record_remove(struct store *st, struct str id, struct err *reterr) NONNULL;

// The write of a record for a store_apply() of several; what it points at lives in `a`.
enum err_code record_write(const Openshell__V1__Sandbox *sandbox, enum store_op op, uint64_t if_version,
                           struct arena *a, struct store_write *ret, struct err *reterr) NONNULL;
