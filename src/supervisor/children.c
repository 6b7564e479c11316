#include "supervisor/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static void say(const struct children *c, const struct ctl_msg *m, int fd)
{
    struct err ignored; // a launcher that is gone takes us along
    (void)!ctl_send(c->control, m, &fd, fd >= 0 ? 1 : 0, &ignored);
}

static void say_failed(const struct children *c, uint32_t command, int status, const struct err *why)
{
    struct ctl_msg m = {.kind = CTL_FAILED, .command = command, .code = why->code, .value = status};
    memcpy(m.msg, why->msg, sizeof(m.msg));
    say(c, &m, -1);
}

// ---- starting
// ----------------------------------------------------------------------------------------------------

static struct child_entry *free_entry(struct children *c, uint32_t command)
{
    struct child_entry *free = NULL;
    for (size_t i = 0; i < CTL_COMMANDS_MAX; i++) {
        if (c->v[i].pid == 0)
            free = &c->v[i];
        else if (c->v[i].command == command)
            return NULL;
    }
    return free;
}

static enum err_code start(struct children *c, uint32_t command, const struct command_spec *spec,
                           const struct agent_io *io, struct err *e)
{
    struct child_entry *entry = free_entry(c, command);
    if (!entry)
        return err_set(e, ERR_LIMIT, "%d commands run in this sandbox already, which is the most",
                       CTL_COMMANDS_MAX);
    enum err_code r = agent_start(c->spec, spec, c->paths, io, &entry->pid, &entry->hear, e);
    if (r != ERR_OK) {
        entry->pid = 0;
        return r;
    }
    entry->command = command;
    return ERR_OK;
}

void children_first(struct children *c, const struct agent_io *io)
{
    const struct command_spec spec = {.argv = c->spec->argv, .env = c->spec->env};
    struct err e = {};
    if (start(c, 0, &spec, io, &e) != ERR_OK)
        say_failed(c, 0, 1, &e);
}

static enum err_code exec_terminal(struct children *c, uint32_t command, const struct command_spec *spec,
                                   struct err *e)
{
    CLEANUP(fd_close) int master = -1;
    CLEANUP(fd_close) int slave = -1;
    const struct winsize size = {.ws_col = spec->cols, .ws_row = spec->rows};
    enum err_code r = agent_terminal(c->spec, &master, &slave, e);
    if (r != ERR_OK)
        return r;
    (void)ioctl(master, TIOCSWINSZ, &size); // a size of zero is what a new one has anyway
    const struct agent_io io = {.fds = {-1, -1, -1}, .tty = slave};
    r = start(c, command, spec, &io, e);
    if (r == ERR_OK) { // the launcher has it from now on: at its end the terminal hangs up
        const struct ctl_msg m = {.kind = CTL_TERMINAL, .command = command};
        r = ctl_send(c->control, &m, &master, 1, e);
    }
    return r;
}

static enum err_code exec(struct children *c, uint32_t command, const int *fds, size_t n, struct err *e)
{
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, SPEC_MAX);
    struct command_spec spec = {};
    enum err_code r = fd_read_all(fds[CTL_FD_COMMAND], SPEC_MAX, &text, e);
    if (r == ERR_OK)
        r = spec_decode_command(buf_str(&text), &a, &spec, e);
    if (r == ERR_OK && n != (spec.tty ? CTL_FD_COMMAND + 1 : CTL_EXEC_FDS))
        r = err_set(e, ERR_INVALID, "a command with %zu descriptors", n);
    if (r != ERR_OK || spec.tty)
        return r == ERR_OK ? exec_terminal(c, command, &spec, e) : r;
    const struct agent_io io = {.fds = {fds[CTL_FD_STDIN], fds[CTL_FD_STDOUT], fds[CTL_FD_STDERR]},
                                .tty = -1};
    return start(c, command, &spec, &io, e);
}

void children_exec(struct children *c, uint32_t command, const int *fds, size_t n)
{
    struct err e = {};
    if (exec(c, command, fds, n, &e) != ERR_OK)
        say_failed(c, command, 1, &e);
}

// ---- running
// -----------------------------------------------------------------------------------------------------

void children_signal(const struct children *c, uint32_t command, int sig)
{
    for (size_t i = 0; i < CTL_COMMANDS_MAX; i++)
        if (c->v[i].pid > 0 && c->v[i].command == command) { // not reaped: the number is its own
            if (kill(-c->v[i].pid, sig) != 0)
                (void)kill(c->v[i].pid, sig); // it has not made its session yet, or has ended
        }
}

size_t children_poll(const struct children *c, struct pollfd *p)
{
    size_t n = 0;
    for (size_t i = 0; i < CTL_COMMANDS_MAX; i++)
        if (c->v[i].pid > 0 && c->v[i].hear >= 0)
            p[n++] = (struct pollfd){.fd = c->v[i].hear, .events = POLLIN};
    return n;
}

static void hear(struct children *c, struct child_entry *entry)
{
    struct err e = {};
    int status = 1;
    bool runs = agent_heard(entry->hear, &status, &e);
    fd_close(&entry->hear);
    if (!runs) {
        say_failed(c, entry->command, status, &e);
        entry->pid = 0; // reaped as a stranger
        return;
    }
    const struct ctl_msg m = {.kind = CTL_STARTED, .command = entry->command, .value = entry->pid};
    say(c, &m, -1);
}

void children_hear(struct children *c, const struct pollfd *p, size_t n)
{
    for (size_t i = 0, at = 0; i < CTL_COMMANDS_MAX && at < n; i++) {
        struct child_entry *entry = &c->v[i];
        if (entry->pid == 0 || entry->hear != p[at].fd)
            continue;
        if (p[at].revents)
            hear(c, entry);
        at++;
    }
}

void children_reap(struct children *c)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < CTL_COMMANDS_MAX; i++) {
            struct child_entry *entry = &c->v[i];
            if (entry->pid != pid)
                continue;
            if (entry->hear >= 0) // it has ended: what it had to say is there
                hear(c, entry);
            if (entry->pid == 0)
                break;
            const struct ctl_msg m = {.kind = CTL_EXITED, .command = entry->command, .value = status};
            say(c, &m, -1);
            entry->pid = 0;
            break;
        }
}
