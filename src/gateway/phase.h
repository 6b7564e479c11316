// gateway/phase.h: what phase a sandbox is in (reference: gateway 3.3). No I/O, no clock.
//
// A phase is composed of what the driver says and of whether the supervisor has a session. All functions edit
// a record in its arena; a `bool *ret_changed` says whether they did. ERR_LIMIT: the arena.
#pragma once
#include "base/arena.h"

#include "compute_driver.pb-c.h"
#include "openshell.pb-c.h"

enum sandbox_phase {
    PHASE_UNSPECIFIED = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_UNSPECIFIED,
    PHASE_PROVISIONING = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_PROVISIONING,
    PHASE_READY = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY,
    PHASE_ERROR = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR,
    PHASE_DELETING = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_DELETING,
    PHASE_UNKNOWN = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_UNKNOWN,
    PHASE_STOPPING = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPING,
    PHASE_STOPPED = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STOPPED,
    PHASE_STARTING = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STARTING,
};

[[nodiscard]] const char *phase_name(enum sandbox_phase phase); // "Ready"
[[nodiscard]] enum sandbox_phase phase_of(const Openshell__V1__Sandbox *s) NONNULL;

// Of the backend alone. NULL: no status.
[[nodiscard]] enum sandbox_phase phase_of_driver(const Openshell__Compute__V1__DriverSandboxStatus *status);

// A gateway's own step: the phase, and the condition of type Ready, which tells of it.
struct phase_step {
    enum sandbox_phase phase;
    const char *status, *reason, *message; // "True", "False"
};
extern const struct phase_step phase_stopping, phase_stopped, phase_starting, phase_resource_missing,
    phase_backend_missing;
enum err_code phase_set(Openshell__V1__Sandbox *s, const struct phase_step *step, int64_t now_ms,
                        struct arena *a, struct err *reterr) NONNULL;

// What the driver says now; `s` keeps what it borrows from `now`. With `sticky` the rules of a snapshot
// that comes by itself hold: one does not leave Error, Deleting or Stopped, nor Stopping and Starting before
// they are done.
enum err_code phase_apply(Openshell__V1__Sandbox *s, const Openshell__Compute__V1__DriverSandbox *now,
                          bool session, bool sticky, int64_t now_ms, struct arena *a, bool *ret_changed,
                          struct err *reterr) NONNULL;

enum err_code phase_connected(Openshell__V1__Sandbox *s, struct str instance_id, int64_t now_ms,
                              struct arena *a, bool *ret_changed, struct err *reterr) NONNULL;
enum err_code phase_disconnected(Openshell__V1__Sandbox *s, int64_t now_ms, struct arena *a,
                                 bool *ret_changed, struct err *reterr) NONNULL;
enum err_code phase_main_exit(Openshell__V1__Sandbox *s, struct str instance_id, int32_t exit_code,
                              int64_t now_ms, struct arena *a, bool *ret_changed, struct err *reterr) NONNULL;
