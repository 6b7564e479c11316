// gateway/update.h: the parts of UpdateConfig that its files share. Private to them.
#pragma once
#include "gateway/config.h"
#include "policy/merge.h"

enum { UPDATE_TRIES = 5 }; // where somebody else wrote meanwhile; reference: gateway 4.2

struct update {
    struct rpc_request *r;
    const struct services *s;
    const Openshell__V1__UpdateConfigRequest *req;
    struct arena *a;
    Openshell__V1__UpdateConfigResponse *out;
    struct err *err;
};

// All operations on `base`, or none; what comes out was checked as config_check_policy() does. ERR_INVALID:
// an operation that is none; ERR_PRECONDITION: one that does not fit.
enum err_code update_merge(const struct policy *base, Openshell__V1__PolicyMergeOperation *const *ops,
                           size_t n, struct arena *a, struct policy **ret, struct err *reterr) NONNULL;

// Somebody else wrote, once too often or where the caller named a version: ABORTED.
enum err_code update_conflict(const struct update *u, uint64_t version) NONNULL;

// A setting, of all sandboxes or (`sandbox`) of one; stored, not yet pushed.
enum err_code update_setting(struct update *u, const Openshell__V1__Sandbox *sandbox)
    __attribute__((nonnull(1)));
// The policy of all sandboxes; ditto.
enum err_code update_global_policy(struct update *u) NONNULL;
// The policy of one; ditto.
enum err_code update_policy(struct update *u, struct str workspace) NONNULL;
