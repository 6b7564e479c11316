#include "gateway/sandboxes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    TAIL_MAX = 512,                             // bytes of the launcher's last words
    LOG_HEAD = 16 * KIB,                        // of the event log, in which the start of the command stands
    ARGV_MAX = 16 + SANDBOX_ARGS_MAX + 2 * 128, // ours, the command's, two for each of 128 variables
};

enum state { NEW, RUNNING, ENDED };

struct sandbox {
    struct sandboxes *all;
    char name[SANDBOX_NAME_MAX + 1];
    struct buf record;
    enum state state;
    bool deleting, spawn_done, kill_done;
    int spawn_error; // of libuv
    int64_t exit_status;
    int term_signal;
    char tail[TAIL_MAX];
    size_t tail_n;
    char **argv; // while it is started
    uv_process_t process;
    uv_pipe_t words; // standard output and error of the launcher and its command
    unsigned handles;
    char chunk[4 * KIB];
};

struct sandboxes {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rpc_server *server;
    uv_loop_t *loop;
    char dir[SANDBOX_DIR_SIZE], program[SANDBOX_DIR_SIZE], self[SANDBOX_DIR_SIZE];
    struct sandbox *v[SANDBOXES_MAX]; // the oldest first
    size_t n;
};

// ---- files

enum file { FILE_POLICY, FILE_LOG, FILE_LOG_1, FILE_LOG_2, FILES };

static bool file_path(const struct sandboxes *s, const char *name, enum file file,
                      char dst[static SANDBOX_DIR_SIZE])
{
    static const char *const ends[FILES] = {".yaml", ".log", ".log.1", ".log.2"};
    int n = snprintf(dst, SANDBOX_DIR_SIZE, "%s/%s%s", s->dir, name, ends[file]);
    return n > 0 && n < SANDBOX_DIR_SIZE;
}

static void remove_files(const struct sandboxes *s, const char *name)
{
    char path[SANDBOX_DIR_SIZE];
    for (enum file f = 0; f < FILES; f++)
        if (file_path(s, name, f, path))
            (void)unlink(path); // most are not there
}

static enum err_code prepare_dir(const char *dir, struct err *reterr)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(reterr, ERR_DENIED, "%s is not a folder of this user alone (mode 0700)", dir);
    DIR *d = opendir(dir);
    if (!d)
        return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(d), e->d_name, 0); // what stays is overwritten when its name comes again
    (void)closedir(d);
    return ERR_OK;
}

// Whether the event log says that the command runs behind all walls. Command output does not reach that file,
// and nothing is written in front of that line which a command could choose.
static bool log_says_launched(const struct sandboxes *s, const char *name)
{
    char path[SANDBOX_DIR_SIZE], head[LOG_HEAD];
    CLEANUP(fd_close) int fd = -1;
    struct err ignored = {};
    if (!file_path(s, name, FILE_LOG, path) || fd_open(path, O_RDONLY, 0, &fd, &ignored) != ERR_OK)
        return false;
    ssize_t n = read(fd, head, sizeof(head));
    return n > 0 && memmem(head, (size_t)n, " OCSF PROC:LAUNCH ", 18);
}

// ---- on the loop

static void on_closed(uv_handle_t *handle)
{
    struct sandbox *b = handle->data;
    struct sandboxes *s = b->all;
    (void)pthread_mutex_lock(&s->lock);
    if (--b->handles == 0) {
        b->state = ENDED; // once the lock is open, b may be gone
        (void)pthread_cond_broadcast(&s->changed);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static void keep_tail(struct sandbox *b, const char *p, size_t n)
{
    if (n > TAIL_MAX) {
        p += n - TAIL_MAX;
        n = TAIL_MAX;
    }
    size_t keep = b->tail_n + n > TAIL_MAX ? TAIL_MAX - n : b->tail_n;
    memmove(b->tail, b->tail + b->tail_n - keep, keep);
    memcpy(b->tail + keep, p, n);
    b->tail_n = keep + n;
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct sandbox *b = handle->data;
    *ret = uv_buf_init(b->chunk, sizeof(b->chunk));
}

static void on_words(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct sandbox *b = stream->data;
    if (n < 0) {
        (void)uv_read_stop(stream);
        return;
    }
    (void)pthread_mutex_lock(&b->all->lock);
    keep_tail(b, buf->base, (size_t)n);
    (void)pthread_mutex_unlock(&b->all->lock);
}

static void on_exit_of(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct sandbox *b = process->data;
    int fd = -1;
    (void)uv_read_stop((uv_stream_t *)&b->words);
    ssize_t n = uv_fileno((uv_handle_t *)&b->words, &fd) == 0 ? read(fd, b->chunk, sizeof(b->chunk)) : 0;
    (void)pthread_mutex_lock(&b->all->lock);
    if (n > 0) // what it said last
        keep_tail(b, b->chunk, (size_t)n);
    b->exit_status = exit_status;
    b->term_signal = term_signal;
    (void)pthread_mutex_unlock(&b->all->lock);
    uv_close((uv_handle_t *)process, on_closed);
    uv_close((uv_handle_t *)&b->words, on_closed);
}

static void spawn(void *arg)
{
    struct sandbox *b = arg;
    struct sandboxes *s = b->all;
    int failed = uv_pipe_init(s->loop, &b->words, 0);
    assert(failed == 0); // it cannot: nothing is allocated
    b->words.data = b->process.data = b;
    // Standard error becomes the same pipe: sandbox_launch_main() makes it a copy of standard output.
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, // /dev/null
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&b->words},
        {.flags = UV_IGNORE},
    };
    const uv_process_options_t options = {.file = s->self,
                                          .args = b->argv,
                                          .exit_cb = on_exit_of,
                                          .stdio_count = 3,
                                          .stdio = stdio};
    failed = uv_spawn(s->loop, &b->process, &options);
    if (failed == 0)
        (void)uv_read_start((uv_stream_t *)&b->words, on_buffer, on_words); // a pipe that was just made
    (void)pthread_mutex_lock(&s->lock);
    b->handles = 2;
    b->spawn_error = failed;
    b->state = failed == 0 ? RUNNING : NEW;
    b->spawn_done = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    if (failed != 0) { // libuv wants a process handle closed also where it did not start
        uv_close((uv_handle_t *)&b->process, on_closed);
        uv_close((uv_handle_t *)&b->words, on_closed);
    }
}

static bool is_alive(const struct sandbox *b)
{
    return b->state == RUNNING && !uv_is_closing((const uv_handle_t *)&b->process);
}

static void kill_one(struct sandbox *b)
{
    // The launcher takes everything of its sandbox along, however it ends (docs/internals/sandbox.md).
    if (is_alive(b))
        (void)uv_process_kill(&b->process, SIGKILL);
}

static void kill_for_delete(void *arg)
{
    struct sandbox *b = arg;
    struct sandboxes *s = b->all;
    (void)pthread_mutex_lock(&s->lock);
    kill_one(b);
    b->kill_done = true; // once the lock is open, b may be gone
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

void sandboxes_kill(struct sandboxes *s)
{
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n; i++)
        kill_one(s->v[i]);
    (void)pthread_mutex_unlock(&s->lock);
}

// ---- on workers, with the lock held

static struct sandbox *find(struct sandboxes *s, struct str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(str_of(s->v[i]->name), name))
            return s->v[i];
    return NULL;
}

static void drop(struct sandboxes *s, struct sandbox *b)
{
    size_t i = 0;
    while (i < s->n && s->v[i] != b)
        i++;
    assert(i < s->n);
    for (; i + 1 < s->n; i++)
        s->v[i] = s->v[i + 1];
    s->n--;
    remove_files(s, b->name);
    buf_done(&b->record);
    free(b);
}

static enum err_code not_found(struct str name, struct err *reterr)
{
    return err_set(reterr, ERR_NOT_FOUND, "sandbox '%.*s' not found", STR_FMT(name));
}

static const char *describe(const struct sandbox *b, bool launched, Openshell__V1__SandboxPhase *phase,
                            const char **reason)
{
    if (b->deleting) {
        *phase = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_DELETING;
        *reason = "Deleting";
        return "Sandbox delete requested";
    }
    if (b->state == ENDED) {
        *phase = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR;
        *reason = launched ? "MainProcessExited" : "StartFailed";
        return launched ? "The command has ended" : "The sandbox did not start";
    }
    *phase = launched ? OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY
                      : OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_PROVISIONING;
    *reason = launched ? "DependenciesReady" : "Starting";
    return launched ? "The command runs in its sandbox" : "The sandbox is being built";
}

static char *text(struct str s)
{
    return (char *)(uintptr_t)s.p;
}

// What the launcher said at the end, as one printable line.
static struct str last_words(const struct sandbox *b)
{
    struct str s = str_trim((struct str){b->tail, b->tail_n});
    return s;
}

static enum err_code render(struct sandbox *b, struct arena *a, Openshell__V1__Sandbox **ret,
                            struct err *reterr)
{
    ProtobufCMessage *m = NULL;
    enum err_code r = wire_unpack(&openshell__v1__sandbox__descriptor, buf_str(&b->record), a, &m, reterr);
    if (r != ERR_OK)
        return r;
    Openshell__V1__Sandbox *out = (Openshell__V1__Sandbox *)(void *)m;
    Openshell__V1__SandboxStatus *st = arena_new(a, Openshell__V1__SandboxStatus);
    Openshell__V1__SandboxCondition *c = arena_new(a, Openshell__V1__SandboxCondition),
                                    **list = arena_newn(a, Openshell__V1__SandboxCondition *, 1);
    if (!st || !c || !list)
        return arena_limit(a, "an answer", reterr);
    openshell__v1__sandbox_status__init(st);
    openshell__v1__sandbox_condition__init(c);
    bool launched = log_says_launched(b->all, b->name);
    const char *reason = "", *message = describe(b, launched, &st->phase, &reason);
    struct err words = {}; // makes them printable
    if (b->state == ENDED && !launched)
        err_fill(&words, ERR_INTERNAL, "%s: %.*s", message, (int)last_words(b).n, last_words(b).p);
    struct str copy = {};
    if (!arena_dup(a, str_of(words.msg[0] ? words.msg : message), &copy))
        return arena_limit(a, "an answer", reterr);
    bool ready = st->phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY;
    c->type = text(STR("Ready"));
    c->status = text(ready ? STR("True") : STR("False"));
    c->reason = text(str_of(reason));
    c->message = text(copy);
    list[0] = c;
    st->conditions = list;
    st->n_conditions = 1;
    st->sandbox_name = out->metadata->name;
    st->current_policy_version = 1;
    if (b->state == ENDED && launched && !b->deleting) {
        st->_exit_code_case = OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
        st->exit_code = b->term_signal != 0 ? 128 + b->term_signal : (int32_t)b->exit_status;
    }
    out->status = st;
    *ret = out;
    return ERR_OK;
}

// ---- public

enum err_code sandboxes_new(const char *dir, const char *program, struct sandboxes **ret, struct err *reterr)
{
    struct sandboxes *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(reterr, ERR_LIMIT, "no memory");
    size_t self_n = sizeof(s->self) - 1;
    enum err_code r = prepare_dir(dir, reterr);
    if (r == ERR_OK &&
        (!str_cstr(str_of(dir), s->dir, sizeof(s->dir)) ||
         !str_cstr(str_of(program), s->program, sizeof(s->program)) || uv_exepath(s->self, &self_n) != 0))
        r = err_set(reterr, ERR_LIMIT, "a path is too long");
    if (r != ERR_OK) {
        free(s);
        return r;
    }
    (void)pthread_mutex_init(&s->lock, NULL); // glibc's cannot fail with default attributes
    (void)pthread_cond_init(&s->changed, NULL);
    *ret = s;
    return ERR_OK;
}

void sandboxes_attach(struct sandboxes *s, struct rpc_server *server, uv_loop_t *loop)
{
    s->server = server;
    s->loop = loop;
}

void sandboxes_free(struct sandboxes *s)
{
    if (!s)
        return;
    while (s->n > 0)
        drop(s, s->v[s->n - 1]);
    (void)rmdir(s->dir); // not empty where somebody else put something there
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->changed);
    free(s);
}

static size_t fill_argv(struct sandboxes *s, const struct sandbox_plan *plan, const char *policy,
                        const char *log, const char *ppid, const char *name, char **argv)
{
    const char *head[] = {s->self, "launch", ppid, s->program, "run", "--policy",
                          policy,  "--log",  log,  "--name",   name};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(head); i++)
        argv[n++] = (char *)(uintptr_t)head[i]; // uv_spawn only reads
    for (size_t i = 0; i < plan->env_n; i++) {
        argv[n++] = text(STR("--env"));
        argv[n++] = text(plan->env[i]);
    }
    argv[n++] = text(STR("--"));
    for (size_t i = 0; i < plan->command_n; i++)
        argv[n++] = plan->command[i];
    argv[n] = NULL;
    return n;
}

// The files are there, and the sandbox is in the list: starts it and waits until that is known.
static enum err_code start_and_wait(struct sandboxes *s, struct sandbox *b, const struct sandbox_plan *plan,
                                    struct err *reterr)
{
    char policy[SANDBOX_DIR_SIZE], log[SANDBOX_DIR_SIZE], ppid[16], *argv[ARGV_MAX + 1];
    if (!file_path(s, b->name, FILE_POLICY, policy) || !file_path(s, b->name, FILE_LOG, log))
        return err_set(reterr, ERR_LIMIT, "the path of a file is too long");
    remove_files(s, b->name);
    enum err_code r = file_write_atomic(policy, plan->policy, 0600, reterr);
    if (r != ERR_OK)
        return r;
    (void)snprintf(ppid, sizeof(ppid), "%d", getpid());
    (void)fill_argv(s, plan, policy, log, ppid, b->name, argv);
    b->argv = argv;
    r = rpc_server_post(s->server, spawn, b, reterr);
    if (r != ERR_OK)
        return r;
    (void)pthread_mutex_lock(&s->lock);
    while (!b->spawn_done)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    b->argv = NULL;
    int failed = b->spawn_error;
    while (failed != 0 && b->handles > 0)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
    if (failed != 0)
        return err_set(reterr, ERR_UNAVAILABLE, "the sandbox did not start: %s", uv_strerror(failed));
    return ERR_OK;
}

enum err_code sandboxes_create(struct sandboxes *s, const struct sandbox_plan *plan, struct err *reterr)
{
    struct sandbox *b = calloc(1, sizeof(*b));
    if (!b || plan->command_n > SANDBOX_ARGS_MAX || plan->env_n > 128 ||
        !str_cstr(plan->name, b->name, sizeof(b->name))) {
        free(b);
        return err_set(reterr, ERR_LIMIT, "no room for the sandbox");
    }
    b->all = s;
    buf_init(&b->record, 2 * MIB);
    buf_add(&b->record, plan->record);
    enum err_code r = buf_check(&b->record, "the sandbox", reterr);
    (void)pthread_mutex_lock(&s->lock);
    if (r == ERR_OK && find(s, plan->name))
        r = err_set(reterr, ERR_EXISTS, "sandbox '%.*s' already exists", STR_FMT(plan->name));
    if (r == ERR_OK && s->n == SANDBOXES_MAX)
        r = err_set(reterr, ERR_LIMIT, "this gateway has %d sandboxes, which is its limit", SANDBOXES_MAX);
    if (r == ERR_OK)
        s->v[s->n++] = b;
    (void)pthread_mutex_unlock(&s->lock);
    if (r != ERR_OK) {
        buf_done(&b->record);
        free(b);
        return r;
    }
    r = start_and_wait(s, b, plan, reterr);
    if (r != ERR_OK) {
        (void)pthread_mutex_lock(&s->lock);
        drop(s, b);
        (void)pthread_mutex_unlock(&s->lock);
    }
    return r;
}

enum err_code sandboxes_delete(struct sandboxes *s, struct str name, struct err *reterr)
{
    (void)pthread_mutex_lock(&s->lock);
    struct sandbox *b = find(s, name);
    if (!b || b->deleting || !b->spawn_done) { // whoever came first deletes it, or is still making it
        (void)pthread_mutex_unlock(&s->lock);
        return not_found(name, reterr);
    }
    b->deleting = true;
    (void)pthread_mutex_unlock(&s->lock);
    struct err ignored = {}; // the gateway is ending: then everything is killed
    bool posted = rpc_server_post(s->server, kill_for_delete, b, &ignored) == ERR_OK;
    (void)pthread_mutex_lock(&s->lock);
    while (b->state != ENDED || (posted && !b->kill_done))
        (void)pthread_cond_wait(&s->changed, &s->lock);
    drop(s, b);
    (void)pthread_mutex_unlock(&s->lock);
    return ERR_OK;
}

enum err_code sandboxes_get(struct sandboxes *s, struct str name, struct arena *a,
                            Openshell__V1__Sandbox **ret, struct err *reterr)
{
    (void)pthread_mutex_lock(&s->lock);
    struct sandbox *b = find(s, name);
    enum err_code r = b ? render(b, a, ret, reterr) : not_found(name, reterr);
    (void)pthread_mutex_unlock(&s->lock);
    return r;
}

enum err_code sandboxes_list(struct sandboxes *s, struct arena *a, Openshell__V1__Sandbox ***ret,
                             size_t *ret_n, struct err *reterr)
{
    (void)pthread_mutex_lock(&s->lock);
    enum err_code r = ERR_OK;
    Openshell__V1__Sandbox **v = arena_newn(a, Openshell__V1__Sandbox *, s->n);
    if (!v)
        r = arena_limit(a, "an answer", reterr);
    for (size_t i = 0; r == ERR_OK && i < s->n; i++)
        r = render(s->v[i], a, &v[i], reterr);
    if (r == ERR_OK) {
        *ret = v;
        *ret_n = s->n;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return r;
}

int sandbox_launch_main(int argc, char **argv)
{
    uint64_t ppid = 0;
    if (argc < 4 || !str_u64(str_of(argv[2]), INT32_MAX, &ppid))
        return 2;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != (pid_t)ppid ||
        dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        return 1;
    (void)execv(argv[3], argv + 3);
    (void)dprintf(STDERR_FILENO, "%s: %s\n", argv[3], fd_strerror(errno));
    return 127;
}
