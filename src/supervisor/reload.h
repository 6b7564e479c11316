// supervisor/reload.h: a new policy for a running sandbox.
//
// `openshell-sandbox reload PID FILE` speaks to the launcher over an abstract socket that carries its pid, so
// that nothing is left behind by whichever process is killed. Both ends check whom they speak to by
// SO_PEERCRED: the launcher takes policies from its own user and from root, and the command gives them to
// that very pid.
#pragma once
#include "base/base.h"
#include "policy/diag.h"

#include <sys/types.h>

struct launcher;

enum err_code reload_listen(int *ret, struct err *e) NONNULL;
void reload_accept(struct launcher *l) NONNULL; // serves one caller
void reload_file(struct launcher *l) NONNULL;   // SIGHUP: reads the file of the start again
// From the gateway, and only from there where a sandbox has one. *ret_cut connections were ended.
enum err_code reload_text(struct launcher *l, struct str text, uint32_t *ret_cut, struct err *e) NONNULL;

// The command's side. It returns when no connection that the new policy refuses is left: *ret_cut were ended,
// *ret_generation is in force. Errors are the launcher's. ERR_NOT_FOUND: no sandbox has that pid.
enum err_code reload_ask(pid_t pid, struct str text, uint64_t *ret_generation, uint32_t *ret_cut,
                         struct err *e) NONNULL;
