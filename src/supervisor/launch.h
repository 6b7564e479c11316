// supervisor/launch.h: the launcher, which starts a sandbox's processes, keeps its files and credentials, and
// ends it.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "isolate/limits.h"
#include "policy/load.h"
#include "policy/policy.h"
#include "supervisor/spec.h"

struct credentials;
struct inference;

struct launch_opts {
    const char *policy;      // path, or NULL where there is
    struct str policy_text;  // of a gateway
    struct session *session; // with that gateway; NULL: none, and the end of the agent is ours
    const char *id;          // of the sandbox; NULL: its name
    const char *workdir, *root, *log, *log_json; // paths, or NULL
    const char *home;                            // path of what is /sandbox and stays; NULL: nothing does
    const char *name;                            // of the sandbox, also its host name
    const char *const *argv;                     // of the agent, NULL at the end
    const char *const *env;                      // "NAME=value", NULL at the end
    struct credentials *credentials;             // of the sandbox, or NULL; borrowed
    const char *credentials_file;                // read again with the policy, or NULL
    struct inference *inference;                 // its routes to models, or NULL; borrowed
    const char *inference_file;                  // likewise
    bool tty, verbose;
    uint64_t scratch;
    struct limits_want limits;
};

// What was worked out before the first process starts. Borrowed strings live in the arenas.
struct plan {
    struct arena arena; // policy, lists
    struct buf policy_text, passwd, group, resolv_conf, hosts, trust, sockets;
    struct policy *policy;
    struct init_spec spec;
    int workdir_fd; // its mount where it is handed over, else -1
};

// ---- plan.c
// ----------------------------------------------------------------------------------------------------------

void plan_done(struct plan *p) NONNULL;
// Reads everything that the sandbox is made from, and refuses what cannot be enforced. *diags has what is
// wrong with the policy where the error is ERR_INVALID and diags->errors > 0.
enum err_code plan_new(const struct launch_opts *o, struct plan *ret, struct diags *diags,
                       struct err *e) NONNULL;

// Whether a running sandbox may take `next`: valid, enforceable, and the same in its static sections.
// ERR_PRECONDITION: those differ, and where.
enum err_code plan_reload(const struct plan *p, struct str text, struct arena *a, struct policy **ret,
                          struct diags *diags, struct err *e) NONNULL;

// The address ranges that a policy names, for transparent capture; in `a`.
enum err_code plan_ranges(const struct policy *p, struct arena *a, struct cidr **ret, size_t *ret_n,
                          struct err *e) NONNULL;

// ---- launch.c
// --------------------------------------------------------------------------------------------------------

// Runs the agent to its end; *ret_status is what to exit with: the agent's own status, 128 + signal, 126 or
// 127.
enum err_code launch(const struct launch_opts *o, struct plan *p, int *ret_status, struct err *e) NONNULL;
