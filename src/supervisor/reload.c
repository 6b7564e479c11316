#include "supervisor/reload.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/control.h"
#include "supervisor/events/event.h"
#include "supervisor/launcher.h"

enum {
    CUT_WAIT_MS = 2000, // for refused tunnels to be gone
    ANSWER_WAIT_MS = 3000,
    CALLER_WAIT_MS = 1000, // for a caller's message: it is sent at once or never
};

static socklen_t address(pid_t pid, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "openshell-sandbox/%d", pid);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static void wait_at_most(int fd, int ms)
{
    const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

enum err_code reload_listen(int *ret, struct err *e)
{
    struct sockaddr_un un;
    socklen_t n = address(getpid(), &un);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&un, n) != 0 || listen(fd, 8) != 0)
        return err_set(e, fd_code(errno), "listening for reloads: %s", fd_strerror(errno));
    *ret = fd_take(&fd);
    return ERR_OK;
}

// ---- in the launcher
// ---------------------------------------------------------------------------------------------

// The next message of a child; what init says of commands meanwhile is not the answer.
static enum err_code next_answer(struct launcher *l, int fd, struct ctl_msg *answer, struct err *e)
{
    const int64_t until = deadline_in_ms(ANSWER_WAIT_MS);
    for (;;) {
        int fds[CTL_START_FDS] = {};
        size_t n = 0;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready;
        do
            ready = poll(&p, 1, deadline_left_ms(until));
        while (ready < 0 && errno == EINTR);
        if (ready != 1)
            return err_set(e, ERR_TIMEOUT, "no answer in %d ms", ANSWER_WAIT_MS);
        enum err_code r = ctl_recv(fd, answer, fds, &n, e);
        bool other = r == ERR_OK && fd == l->init && answer->kind != CTL_DONE;
        if (other)
            r = launcher_heard(l, answer, fds, n, e);
        for (size_t i = 0; i < n; i++)
            fd_close(&fds[i]);
        if (r != ERR_OK || !other)
            return r;
    }
}

// Sends to a child and waits for its CTL_DONE. Events go on queueing meanwhile; the sink never blocks.
static enum err_code ask_child(struct launcher *l, int fd, const struct ctl_msg *q, int text,
                               struct ctl_msg *answer, struct err *e)
{
    enum err_code r = ctl_send(fd, q, &text, 1, e);
    if (r == ERR_OK)
        r = next_answer(l, fd, answer, e);
    if (r == ERR_OK && (answer->kind != CTL_DONE || answer->code > ERR_INTERNAL))
        r = err_set(e, ERR_INTERNAL, "an unexpected answer");
    return r == ERR_OK && answer->code != ERR_OK ? err_set(e, (enum err_code)answer->code, "%s", answer->msg)
                                                 : r;
}

// What may be dialled by address comes first: until the policy follows, the gate refuses what is new in it.
static enum err_code capture(struct launcher *l, const struct policy *policy, struct arena *a, struct err *e)
{
    struct cidr *ranges;
    size_t n;
    enum err_code r = plan_ranges(policy, a, &ranges, &n, e);
    const struct init_spec *now = &l->plan->spec;
    if (r == ERR_OK && n == now->ranges_n && memcmp(ranges, now->ranges, n * sizeof(ranges[0])) == 0)
        return ERR_OK; // a change costs a grace period of the kernel's (netns.c)
    CLEANUP(fd_close) int fd = -1;
    if (r == ERR_OK)
        r = ctl_memfd((struct str){(const char *)ranges, n * sizeof(ranges[0])}, &fd, e);
    const struct ctl_msg m = {.kind = CTL_CAPTURE};
    struct ctl_msg answer;
    if (r == ERR_OK)
        r = ask_child(l, l->init, &m, fd, &answer, e);
    if (r == ERR_OK) {
        l->plan->spec.ranges = ranges; // they live as long as the policy that they are of
        l->plan->spec.ranges_n = n;
    }
    return r;
}

static enum err_code swap(struct launcher *l, struct str text, struct ctl_msg *answer, struct err *e)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(fd_close) int fd = -1;
    arena_init(&a, POLICY_ARENA_MAX);
    struct diags diags;
    diags_init(&diags, &a);
    struct policy *next = NULL;
    if (l->agent == 0)
        return err_set(e, ERR_PRECONDITION, "the sandbox is not running yet");
    enum err_code r = plan_reload(l->plan, text, &a, &next, &diags, e);
    if (r == ERR_OK)
        r = capture(l, next, &a, e);
    if (r == ERR_OK)
        r = ctl_memfd(text, &fd, e);
    const struct ctl_msg m = {.kind = CTL_POLICY, .generation = l->generation + 1, .timeout_ms = CUT_WAIT_MS};
    bool asked = r == ERR_OK;
    if (asked)
        r = ask_child(l, l->egress, &m, fd, answer, e);
    if (r == ERR_OK || (asked && r == ERR_TIMEOUT)) { // it is in force; old connections may be left
        l->generation++;
        arena_done(&l->policy_arena);
        l->policy_arena = a;
        l->plan->policy = next;
        a = (struct arena){};
    } else {
        l->plan->spec.ranges_n = SIZE_MAX; // not known: they may be the refused policy's, which go with it
    }
    return r;
}

static void report(struct launcher *l, enum err_code r, const struct ctl_msg *answer, const struct err *why)
{
    char text[500];
    if (r == ERR_OK)
        (void)snprintf(text, sizeof(text), "Policy reloaded [generation:%llu cut:%u]",
                       (unsigned long long)l->generation, answer->cut);
    else
        (void)snprintf(text, sizeof(text),
                       "Policy reload failed, the previous one stays [generation:%llu] %s",
                       (unsigned long long)l->generation, why->msg);
    const struct event ev = {.class = EVENT_CONFIG,
                             .severity = r == ERR_OK ? EVENT_INFO : EVENT_MEDIUM,
                             .state = r == ERR_OK ? STR("loaded") : STR("failed"),
                             .message = str_of(text),
                             .generation = l->generation};
    launcher_event(l, &ev);
}

enum err_code reload_text(struct launcher *l, struct str text, uint32_t *ret_cut, struct err *e)
{
    struct ctl_msg answer = {};
    enum err_code r = swap(l, text, &answer, e);
    report(l, r, &answer, e);
    if (r == ERR_OK)
        *ret_cut = answer.cut;
    return r;
}

void reload_file(struct launcher *l)
{
    CLEANUP(buf_done) struct buf text = {};
    struct err e = {};
    struct ctl_msg answer = {};
    enum err_code r = file_read(l->opts->policy, POLICY_TEXT_MAX, &text, &e);
    if (r == ERR_OK)
        r = swap(l, buf_str(&text), &answer, &e);
    report(l, r, &answer, &e);
}

static enum err_code served(struct launcher *l, int fd, struct ctl_msg *answer, struct err *e)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != geteuid() && peer.uid != 0))
        return err_set(e, ERR_DENIED, "this sandbox belongs to another user");
    if (l->opts->session)
        return err_set(e, ERR_PRECONDITION, "this sandbox has its policy from its gateway: change it there");
    struct ctl_msg m;
    int fds[CTL_START_FDS] = {};
    size_t n;
    enum err_code r = ctl_recv(fd, &m, fds, &n, e);
    if (r != ERR_OK)
        return r;
    CLEANUP(buf_done) struct buf text = {};
    if (m.kind != CTL_POLICY || n != 1)
        r = err_set(e, ERR_INVALID, "not a request to reload");
    if (r == ERR_OK)
        r = fd_read_all(fds[0], POLICY_TEXT_MAX, &text, e);
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    return r == ERR_OK ? swap(l, buf_str(&text), answer, e) : r;
}

void reload_accept(struct launcher *l)
{
    CLEANUP(fd_close) int fd = accept4(l->reloads, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return; // the caller is gone again
    wait_at_most(fd, CALLER_WAIT_MS);
    struct ctl_msg answer = {};
    struct err e = {};
    enum err_code r = served(l, fd, &answer, &e);
    report(l, r, &answer, &e);
    answer.kind = CTL_DONE;
    answer.code = (uint32_t)r;
    answer.generation = l->generation;
    memcpy(answer.msg, e.msg, sizeof(answer.msg));
    (void)!ctl_send(fd, &answer, NULL, 0, &e); // a caller that has gone does not want to know
}

// ---- in the command
// ----------------------------------------------------------------------------------------------

enum err_code reload_ask(pid_t pid, struct str text, uint64_t *ret_generation, uint32_t *ret_cut,
                         struct err *e)
{
    struct sockaddr_un un;
    socklen_t n = address(pid, &un);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, fd_code(errno), "socket: %s", fd_strerror(errno));
    wait_at_most(fd, CUT_WAIT_MS + 2 * ANSWER_WAIT_MS);
    if (connect(fd, (const struct sockaddr *)&un, n) != 0)
        return err_set(
            e, ERR_NOT_FOUND,
            "no sandbox with pid %d: give the pid of the 'openshell-sandbox run' process, from the network "
            "namespace that it was started in",
            pid);
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid != pid ||
        (peer.uid != geteuid() && geteuid() != 0))
        return err_set(e, ERR_DENIED, "what answers for pid %d is another process, or another user's", pid);
    CLEANUP(fd_close) int memfd = -1;
    enum err_code r = ctl_memfd(text, &memfd, e);
    const struct ctl_msg q = {.kind = CTL_POLICY};
    struct ctl_msg answer;
    int fds[CTL_START_FDS] = {};
    size_t fds_n = 0;
    if (r == ERR_OK)
        r = ctl_send(fd, &q, &memfd, 1, e);
    if (r == ERR_OK)
        r = ctl_recv(fd, &answer, fds, &fds_n, e);
    for (size_t i = 0; i < fds_n; i++)
        (void)close(fds[i]);
    if (r != ERR_OK)
        return r;
    *ret_generation = answer.generation;
    *ret_cut = answer.cut;
    if (answer.kind != CTL_DONE || answer.code > ERR_INTERNAL)
        return err_set(e, ERR_INTERNAL, "the sandbox's answer is not well-formed");
    return answer.code == ERR_OK ? ERR_OK : err_set(e, (enum err_code)answer.code, "%s", answer.msg);
}
