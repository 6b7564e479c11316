// supervisor/session/ends.h: our ends of a command's standard input, output and error, or of its terminal.
//
// Never waits. What a command does not take of its input is kept up to a bound; then whoever has more must
// wait.
#pragma once
#include "base/buf.h"

#include <poll.h>
#include <sys/types.h>

enum {
    ENDS_INPUT_MAX = 64 * KIB, // kept; then ends_has_room() says no
    ENDS_PIECE_MAX = 1 * MIB,  // of one ends_input()
    ENDS_CHUNK = 16 * KIB,     // of one ends_read(); reference: policy 9.3
};

enum ends_which { ENDS_IN, ENDS_OUT, ENDS_ERR, ENDS };

struct ends {
    int fd[ENDS];   // -1: closed, or not there. A terminal's master is IN and, as a duplicate, OUT
    short at[ENDS]; // in the array of the last ends_poll(), or -1
    bool tty, input_ends;
    struct buf input;
    size_t input_off;
};

void ends_init(struct ends *e) NONNULL;
void ends_done(struct ends *e) NONNULL; // closes all: a terminal hangs up

// Three pipes. theirs[] are the caller's, to hand over and close; they belong to uid and gid, where those are
// not our own, so that the command can open /dev/stdin and the like.
enum err_code ends_pipes(struct ends *e, int theirs[static ENDS], uid_t uid, gid_t gid,
                         struct err *err) NONNULL;
// One descriptor for both ways: a terminal's master, or a socket. Owned from here, also on failure.
enum err_code ends_one(struct ends *e, int fd, bool tty, struct err *err) NONNULL;

// Input. What comes behind its end, or when the command has closed it, is dropped.
[[nodiscard]] bool ends_has_room(const struct ends *e) NONNULL;
void ends_input(struct ends *e, struct str data) NONNULL;
void ends_input_end(struct ends *e) NONNULL; // a terminal is told as one tells it: by ^D
void ends_feed(struct ends *e) NONNULL;

// Output: ENDS_OUT or ENDS_ERR.
enum ends_got { ENDS_NOTHING, ENDS_BYTES, ENDS_END };
enum ends_got ends_read(struct ends *e, enum ends_which which, char dst[static ENDS_CHUNK],
                        size_t *ret) NONNULL;
[[nodiscard]] static inline bool ends_is_silent(const struct ends *e) // no output can come any more
{
    return e->fd[ENDS_OUT] < 0 && e->fd[ENDS_ERR] < 0;
}

void ends_resize(const struct ends *e, uint32_t cols, uint32_t rows) NONNULL;

// For poll(2): at most ENDS entries from p[n]; returns the new n. `output`: whether it is wanted.
[[nodiscard]] size_t ends_poll(struct ends *e, struct pollfd *p, size_t n, bool output) NONNULL;
[[nodiscard]] bool ends_is_ready(const struct ends *e, enum ends_which which, const struct pollfd *p) NONNULL;
