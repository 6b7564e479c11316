// supervisor/launcher.h: the state of a running launcher, for launch.c and reload.c.
#pragma once
#include "isolate/ns.h"
#include "supervisor/credentials.h"
#include "inference.pb-c.h"
#include "supervisor/launch.h"

struct ctl_msg;
struct event;

struct launcher {
    const struct launch_opts *opts;
    struct plan *plan;
    struct limits limits;
    struct arena policy_arena;   // of the policy in force, once one was reloaded
    struct eventlog *log, *json; // json: NULL where nobody asked for it
    struct terminal *terminal;   // NULL: the agent has ours
    struct ns_child egress_child, init_child;
    struct buf ca;       // PEM; empty until the egress is ready
    uint64_t generation; // of the policy in force
    int egress, init;    // control channels
    int events, signals, reloads, guard, vault;
    int trust;              // the bundle, until egress and init have it
    pid_t guard_pid, agent; // agent: in the sandbox; 0 until it runs
    int status;             // to exit with
    bool built, ended, had_terminal;
};

// A message of init that came unasked; descriptors that are taken become -1.
enum err_code launcher_heard(struct launcher *l, const struct ctl_msg *m, int *fds, size_t n,
                             struct err *e) NONNULL;

// ---- provide.c
// Whether the set came in whole or was revoked, an event tells, and the egress knows whether there is one.
enum err_code launcher_set_credentials(struct launcher *l,
                                       Openshell__V1__GetSandboxProviderEnvironmentResponse *m,
                                       struct err *e) NONNULL; // as credentials_set
enum err_code launcher_set_inference(struct launcher *l,
                                     Openshell__Inference__V1__GetInferenceBundleResponse *m,
                                     struct err *e) NONNULL; // as inference_set
enum err_code launcher_tell_routes(struct launcher *l,
                                   struct err *e) NONNULL;    // to the egress, where there are
void launcher_reread_credentials(struct launcher *l) NONNULL; // from the file of the start, where one is
enum err_code launcher_serve_vault(struct launcher *l, struct err *e) NONNULL; // one request; else they end

// One line, and one object where those are wanted, of the launcher's own.
void launcher_event(struct launcher *l, const struct event *ev) NONNULL;
