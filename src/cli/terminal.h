// cli/terminal.h: the user's terminal while a program inside a sandbox has it.
#pragma once
#include "base/base.h"

// Raw: each key goes on as it is, Ctrl-C too. Restored by terminal_restore(), and by itself where the process
// ends by exit() or by a signal that says that it is broken. One at a time.
enum err_code terminal_raw(int fd, struct err *reterr) NONNULL;
void terminal_restore(void);
void terminal_again(void); // raw once more: after a stop, the shell has set its own modes

// Columns and rows; false: it has none.
[[nodiscard]] bool terminal_size(uint32_t *cols, uint32_t *rows) NONNULL;

// ---- Ctrl-P Ctrl-Q

struct detach_keys {
    bool held; // a Ctrl-P that has not been passed on yet
};
enum { DETACH_FIRST = 0x10, DETACH_SECOND = 0x11 };

// Filters keys on their way; `out` has room for n + 1 bytes. Returns how many are passed on; *detach: the two
// keys were there, and nothing behind them is passed on. A lone Ctrl-P is passed on with the next key.
[[nodiscard]] size_t detach_filter(struct detach_keys *k, struct str in, char *out, bool *detach) NONNULL;
