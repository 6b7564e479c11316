// gateway/sandboxes.h: the sandboxes of this gateway, each a process of openshell-sandbox.
//
// They are known to this process only and end with it: nothing is stored. Launching and ending happen on the
// loop, which owns the processes; the functions marked "worker" run on its workers and wait for the loop. One
// lock guards the list and every sandbox in it.
//
// A sandbox is its record (metadata and spec, packed), its policy and event log in the folder, and the
// launcher, which is killed by the kernel when this process dies. A name is free again when the launcher has
// been reaped and the files are gone.
#pragma once
#include "rpc/serve.h"

#include "openshell.pb-c.h"

struct sandboxes;

enum {
    SANDBOXES_MAX = 256,     // at a time; ours
    SANDBOX_NAME_MAX = 19,   // reference: gateway 3.1
    SANDBOX_ARGS_MAX = 256,  // ditto
    SANDBOX_DIR_SIZE = 4096, // bytes of a path
};

// `dir` is made with mode 0700 and emptied: what stands in it is left from a gateway that was killed.
// `program` is openshell-sandbox. ERR_DENIED: the folder is not this user's alone.
enum err_code sandboxes_new(const char *dir, const char *program, struct sandboxes **ret,
                            struct err *reterr) NONNULL;
void sandboxes_attach(struct sandboxes *s, struct rpc_server *server, uv_loop_t *loop) NONNULL;
void sandboxes_kill(struct sandboxes *s) NONNULL; // on the loop, after the server has stopped; all of them
void sandboxes_free(struct sandboxes *s);         // after the loop has ended; NULL is fine

// What to start. Borrowed for the call.
struct sandbox_plan {
    struct str name, record, policy; // record: a packed Sandbox without its status; policy: YAML
    char *const *command;
    size_t command_n;
    const struct str *env; // "NAME=VALUE"
    size_t env_n;
};

// Worker. ERR_EXISTS, ERR_LIMIT; ERR_UNAVAILABLE: the gateway is ending; else the launcher did not start.
enum err_code sandboxes_create(struct sandboxes *s, const struct sandbox_plan *plan,
                               struct err *reterr) NONNULL;
// Worker. ERR_NOT_FOUND. Returns when no process and no file of it is left.
enum err_code sandboxes_delete(struct sandboxes *s, struct str name, struct err *reterr) NONNULL;
// Worker. The record with the status of this moment, in `a`. ERR_NOT_FOUND.
enum err_code sandboxes_get(struct sandboxes *s, struct str name, struct arena *a,
                            Openshell__V1__Sandbox **ret, struct err *reterr) NONNULL;
// Worker. All of them, the oldest first.
enum err_code sandboxes_list(struct sandboxes *s, struct arena *a, Openshell__V1__Sandbox ***ret,
                             size_t *ret_n, struct err *reterr) NONNULL;

// The process between gateway and launcher (argv: "launch" PPID PROGRAM ARG...): asks the kernel to be killed
// with its parent, and becomes the program. Returns only where that fails.
int sandbox_launch_main(int argc, char **argv) NONNULL;
