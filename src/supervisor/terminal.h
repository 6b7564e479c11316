// supervisor/terminal.h: the user's terminal and the sandbox's, joined.
#pragma once
#include "base/base.h"

#include <poll.h>

struct terminal; // the user's is in raw mode while this lives

// `master` is the sandbox's; owned from here on. Standard input need not be a terminal.
enum err_code terminal_join(int master, struct terminal **ret, struct err *e) NONNULL;
void terminal_part(struct terminal *t); // puts the user's terminal back; NULL is fine
void terminal_resize(struct terminal *t) NONNULL;

// Two entries for poll(2), and what to do when they are ready. False: the sandbox's side has hung up.
void terminal_poll(const struct terminal *t, struct pollfd p[static 2]) NONNULL;
bool terminal_move(struct terminal *t, const struct pollfd p[static 2]) NONNULL;
