// The launcher holds the main process's ends, whether somebody looks or not: what it says goes into the ring,
// and readers take from the ring at their own pace. One that has half a ring to go holds the main process up,
// for as long as it takes a piece in HOLD_MS; one that does not falls behind, and nobody waits for it.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/session/internal.h"

enum {
    READS_MAX = 8, // of one stream in one turn: others want theirs, too
    HOLD_MS = 5000,
};

static_assert(RING_MAX / 2 + 2 * READS_MAX * (RING_RECORD_MAX + 16) < RING_MAX,
              "a turn does not overrun a reader");

enum err_code session_exec(struct session *s, uint32_t command, const struct command_spec *spec,
                           struct ends *ends, struct err *e)
{
    CLEANUP(buf_done) struct buf text;
    int fds[CTL_EXEC_FDS] = {-1, -1, -1, -1};
    const struct init_spec *sandbox = &s->launcher->plan->spec;
    buf_init(&text, SPEC_MAX);
    enum err_code r = spec_encode_command(spec, &text, e);
    if (r == ERR_OK)
        r = ctl_memfd(buf_str(&text), &fds[CTL_FD_COMMAND], e);
    if (r == ERR_OK && !spec->tty)
        r = ends_pipes(ends, fds + CTL_FD_STDIN, sandbox->nested ? geteuid() : sandbox->uid, sandbox->gid, e);
    const struct ctl_msg m = {.kind = CTL_EXEC, .command = command};
    if (r == ERR_OK)
        r = ctl_send(s->launcher->init, &m, fds, spec->tty ? 1 : CTL_EXEC_FDS, e);
    for (size_t i = 0; i < CTL_EXEC_FDS; i++)
        fd_close(&fds[i]);
    return r;
}

void session_signal(struct session *s, uint32_t command, int sig)
{
    const struct ctl_msg m = {.kind = CTL_SIGNAL, .command = command, .value = sig};
    struct err ignored; // the launcher's loop sees that the sandbox is gone
    (void)!ctl_send(s->launcher->init, &m, NULL, 0, &ignored);
}

int session_exit_code(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// ---- the main process

enum err_code main_start(struct session *s, struct err *e)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, SPEC_MAX);
    const struct init_spec *sandbox = &s->launcher->plan->spec;
    struct command_spec spec = {.argv = sandbox->argv,
                                .tty = s->launcher->opts->tty,
                                .cols = SESSION_COLS,
                                .rows = SESSION_ROWS};
    enum err_code r = config_env(s, NULL, &a, &spec.env, e);
    if (r == ERR_OK)
        r = session_exec(s, 0, &spec, &s->main.ends, e);
    if (r == ERR_OK)
        s->main.state = MAIN_STARTING;
    return r;
}

// What a shell would say of it, for those who attach; and the end.
static void never_ran(struct session *s, const struct ctl_msg *m)
{
    char line[500];
    int n = snprintf(line, sizeof(line), "openshell: %s%s", m->msg, s->launcher->opts->tty ? "\r\n" : "\n");
    (void)!ring_add(&s->main.ring, RING_ERR,
                    (struct str){line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1});
    s->main.exit_code = m->value > 0 ? m->value : 1;
}

bool main_said(struct session *s, const struct ctl_msg *m, int *fds, size_t n)
{
    struct main_process *p = &s->main;
    struct err e = {};
    if (m->kind == CTL_TERMINAL && n == 1) {
        if (ends_one(&p->ends, fd_take(&fds[0]), true, &e) != ERR_OK)
            ends_done(&p->ends); // it hangs up
        return true;
    }
    if (m->kind == CTL_STARTED && n == 0) {
        p->state = MAIN_RUNNING;
        return true;
    }
    if ((m->kind != CTL_EXITED && m->kind != CTL_FAILED) || n != 0)
        return false;
    p->state = MAIN_ENDED;
    p->exit_code = session_exit_code(m->value);
    if (m->kind == CTL_FAILED)
        never_ran(s, m);
    p->drain_by_ns = deadline_in_ms(DRAIN_MS);
    s->exit_report.due = true;
    return true;
}

static void take(struct main_process *p, enum ends_which which)
{
    char b[ENDS_CHUNK];
    size_t n = 0;
    for (int i = 0; i < READS_MAX && ends_read(&p->ends, which, b, &n) == ENDS_BYTES; i++)
        (void)!ring_add(&p->ring, which == ENDS_ERR ? RING_ERR : RING_OUT, (struct str){b, n});
}

void main_move(struct session *s, const struct pollfd *p)
{
    struct main_process *m = &s->main;
    if (ends_is_ready(&m->ends, ENDS_IN, p))
        ends_feed(&m->ends);
    if (ends_is_ready(&m->ends, ENDS_OUT, p))
        take(m, ENDS_OUT);
    if (ends_is_ready(&m->ends, ENDS_ERR, p))
        take(m, ENDS_ERR);
}

bool main_is_held(struct session *s, int64_t *deadline_ns)
{
    bool held = false;
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *r = s->relays[i];
        if (!r || r->kind != RELAY_ATTACH || r->state != RELAY_OPEN)
            continue;
        if (s->main.ring.newest - r->at <= RING_MAX / 2) {
            r->hold_by_ns = 0;
            continue;
        }
        if (r->hold_by_ns == 0)
            r->hold_by_ns = deadline_in_ms(HOLD_MS);
        if (deadline_passed(r->hold_by_ns))
            continue;
        held = true;
        *deadline_ns = r->hold_by_ns < *deadline_ns ? r->hold_by_ns : *deadline_ns;
    }
    return held;
}

bool main_is_quiet(const struct session *s)
{
    const struct main_process *m = &s->main;
    return m->state == MAIN_ENDED &&
           (ends_is_silent(&m->ends) || (!m->held && deadline_passed(m->drain_by_ns)));
}
