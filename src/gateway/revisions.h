// gateway/revisions.h: the policies that a sandbox has had, numbered from 1, and what became of each.
//
// Any worker; never the loop. A revision is a row of kind "sandbox_policy" in the scope of its sandbox's id;
// the policy of the whole gateway has revisions too, in a scope of its own. A new one is stored together with
// all that follows from it, in one write: those before it are superseded, and the sandbox's record is another
// version. So no crash leaves two that count.
#pragma once
#include "store/store.h"

#include "openshell.pb-c.h"

enum { REVISION_ERROR_MAX = 4 * KIB }; // bytes kept of why a supervisor refused it; ours

struct revision_scope {
    struct str workspace, id;
};
#define REVISION_GLOBAL ((struct revision_scope){STR(""), STR("__global__")})

// `payload` and what it points at live in the arena it was read into.
struct revision {
    uint32_t number;
    Openshell__V1__PolicyStatus status;
    int64_t created_ms;
    Openshell__V1__PolicyRevisionPayload *payload; // policy and hash are never NULL
};

// The one with the highest number. ERR_NOT_FOUND: there is none.
enum err_code revision_latest(struct store *st, struct revision_scope scope, struct arena *a,
                              struct revision *ret, struct err *reterr) NONNULL;
// ERR_NOT_FOUND: "policy revision not found".
enum err_code revision_get(struct store *st, struct revision_scope scope, uint32_t number, struct arena *a,
                           struct revision *ret, struct err *reterr) NONNULL;
// The newest first; `limit` as store.h's.
enum err_code revision_list(struct store *st, struct revision_scope scope, uint32_t limit, uint64_t offset,
                            struct arena *a, struct revision **ret, size_t *ret_n,
                            struct err *reterr) NONNULL;

struct revision_new {
    struct revision_scope scope;
    uint32_t number; // one more than the latest
    Openshell__Sandbox__V1__SandboxPolicy *policy;
    const char *hash;
    bool loaded; // it is in force by being stored; else it is pending
    Openshell__V1__PolicyRevisionPayload__ProvenanceEntry **provenance;
    size_t n_provenance;
    const struct store_write *also; // what must be stored with it
    size_t n_also;
};

enum { REVISION_ALSO_MAX = 4 };

// Supersedes what is pending or loaded. ERR_EXISTS: the number is taken, or one before it has just changed;
// read again and try again. ERR_PRECONDITION: one of `also` has another version than it names, which is
// *ret_version then.
enum err_code revision_add(struct store *st, const struct revision_new *n, struct arena *a,
                           uint64_t *ret_version, struct err *reterr) NONNULL;

// What a supervisor made of it: LOADED (since `loaded_ms`) or FAILED, with why. LOADED supersedes the older
// ones. Failures as revision_add(), and ERR_NOT_FOUND.
enum err_code revision_report(struct store *st, struct revision_scope scope, uint32_t number,
                              Openshell__V1__PolicyStatus status, struct str why,
                              const struct store_write *also, size_t n_also, struct arena *a,
                              uint64_t *ret_version, struct err *reterr)
    __attribute__((nonnull(1, 8, 9, 10)));

// Supersedes what is pending or loaded, and makes nothing new. *ret_n: how many.
enum err_code revision_supersede(struct store *st, struct revision_scope scope,
                                 const struct store_write *also, size_t n_also, struct arena *a,
                                 size_t *ret_n, struct err *reterr) __attribute__((nonnull(1, 5, 6, 7)));

// "pending", …: as stored.
[[nodiscard]] const char *revision_status_name(Openshell__V1__PolicyStatus status);

// As clients see it; without the policy where `brief`. Borrowed from `v`.
enum err_code revision_message(const struct revision *v, bool brief, struct arena *a,
                               Openshell__V1__SandboxPolicyRevision **ret, struct err *reterr) NONNULL;
