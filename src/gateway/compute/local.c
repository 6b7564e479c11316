#include "gateway/compute/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/compute/local_internal.h"
#include "gateway/compute/process.h"
#include "gateway/compute/tree.h"
#include "gateway/ids.h"
#include "rpc/wire.h"

typedef Openshell__Compute__V1__DriverSandbox DriverSandbox;
typedef Openshell__Compute__V1__DriverSandboxStatus DriverStatus;
typedef Openshell__Compute__V1__DriverCondition DriverCondition;

enum {
    PATH_SIZE = 4096,
    SAVED_MAX = 2 * MIB, // of what is kept of a sandbox
    WORDS_MAX = 32,      // of the supervisor's command line
    STOP_MS = 10'000,    // from SIGTERM to SIGKILL; as Docker's
    DELETE_MS = 2'000,   // ditto, where nothing of it is wanted any more
    LOG_TAIL = 4 * KIB,
    LAST_WORDS = 300,
};

struct local {
    struct driver driver; // first
    const struct driver_env *env;
    struct local_watch *watch;
    struct driver_events told;
    atomic_uint dropped; // names of folders on their way out
    int dir;
    char program[PATH_SIZE];
};

static struct local *of(struct driver *d)
{
    return (struct local *)d; // its first member
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // protobuf-c's strings are char *, and packing only reads them
}

static enum err_code not_there(struct str id, struct err *reterr)
{
    return err_set(reterr, ERR_NOT_FOUND, "driver 'local' has no sandbox %.*s", STR_FMT(id));
}

static enum err_code path_of(const struct local *l, struct str id, const char *file,
                             char dst[static PATH_SIZE], struct err *reterr)
{
    if (!id_is_uuid(id)) // it becomes the name of a folder
        return err_set(reterr, ERR_INVALID, "'%.*s' is no id of a sandbox", STR_FMT(id));
    int n = snprintf(dst, PATH_SIZE, "%s/%.*s%s%s", l->env->state_dir, (int)id.n, id.p, file[0] ? "/" : "",
                     file);
    return n > 0 && n < PATH_SIZE ? ERR_OK : err_set(reterr, ERR_LIMIT, "the path of a file is too long");
}

static bool exists(const struct local *l, struct str id, const char *file)
{
    char path[PATH_SIZE];
    struct err ignored = {};
    return path_of(l, id, file, path, &ignored) == ERR_OK && access(path, F_OK) == 0;
}

// ---- folders

// Not synced one by one: a sandbox that was acknowledged has its folder, and what is in it is written anew at
// each start.
static enum err_code write_file(const char *path, struct str bytes, struct err *reterr)
{
    CLEANUP(fd_close) int fd = -1;
    (void)unlink(path); // a descriptor that somebody has of the old one stays with the old one
    enum err_code r = fd_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, reterr);
    return r == ERR_OK ? fd_write_all(fd, bytes, reterr) : r;
}

static enum err_code make_dir(const char *path, struct err *reterr)
{
    return mkdir(path, 0700) == 0 ? ERR_OK
                                  : err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
}

// Out of the way at once, and then gone, however long that takes; a gateway that is killed meanwhile leaves a
// name with a dot, which the next one removes.
static enum err_code drop_dir(struct local *l, const char *name, struct err *reterr)
{
    char dropped[40];
    (void)snprintf(dropped, sizeof(dropped), ".gone-%u", atomic_fetch_add(&l->dropped, 1));
    if (renameat(l->dir, name, l->dir, dropped) == 0)
        name = dropped;
    else if (errno == ENOENT)
        return ERR_OK;
    return tree_remove(l->dir, name, reterr);
}

// ---- starting

static enum err_code save(const struct local *l, const DriverSandbox *s, struct err *reterr)
{
    char path[PATH_SIZE];
    DriverSandbox copy = *s;
    Openshell__Compute__V1__DriverSandboxSpec spec = *s->spec;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, SAVED_MAX);
    spec.sandbox_token = text("");
    copy.spec = &spec;
    copy.status = NULL;
    enum err_code r = path_of(l, str_of(s->id), "sandbox", path, reterr);
    if (r == ERR_OK)
        r = wire_pack(&copy.base, &b, reterr);
    if (r == ERR_OK)
        r = write_file(path, buf_str(&b), reterr);
    if (r == ERR_OK)
        r = path_of(l, str_of(s->id), "token", path, reterr);
    return r == ERR_OK ? write_file(path, str_of(s->spec->sandbox_token), reterr) : r;
}

static enum err_code run(struct local *l, const DriverSandbox *s, struct err *reterr)
{
    char dir[PATH_SIZE], token[PATH_SIZE], home[PATH_SIZE], cpus[32], memory[32];
    char *argv[WORDS_MAX] = {};
    struct local_limits limits = {};
    size_t n = 0;
    int pidfd = -1;
    struct str id = str_of(s->id);
    enum err_code r = path_of(l, id, "", dir, reterr);
    if (r == ERR_OK)
        r = path_of(l, id, "token", token, reterr);
    if (r == ERR_OK)
        r = path_of(l, id, "home", home, reterr);
    if (r == ERR_OK)
        r = local_limits(s, &limits, reterr);
    if (r != ERR_OK)
        return r;
    const char *const head[] = {l->program, "supervise",    "--endpoint", l->env->endpoint, "--sandbox-id",
                                s->id,      "--token-file", token,        "--home",         home};
    for (; n < ARRAY_LEN(head); n++)
        argv[n] = text(head[n]);
    if (limits.cpu_milli > 0) {
        (void)snprintf(cpus, sizeof(cpus), "%llu.%03llu", (unsigned long long)limits.cpu_milli / 1000,
                       (unsigned long long)limits.cpu_milli % 1000);
        argv[n++] = text("--cpus");
        argv[n++] = cpus;
    }
    if (limits.memory > 0) {
        (void)snprintf(memory, sizeof(memory), "%llu", (unsigned long long)limits.memory);
        argv[n++] = text("--memory");
        argv[n++] = memory;
    }
    r = process_launch(dir, argv, &pidfd, reterr);
    return r == ERR_OK ? local_watch_add(l->watch, id, pidfd, reterr) : r;
}

// ---- the driver's operations

static enum err_code do_capabilities(struct driver *d, struct arena *a,
                                     Openshell__Compute__V1__GetCapabilitiesResponse **ret,
                                     struct err *reterr)
{
    Openshell__Compute__V1__GetCapabilitiesResponse
        *out = arena_new(a, Openshell__Compute__V1__GetCapabilitiesResponse);
    if (!out)
        return arena_limit(a, "capabilities", reterr);
    openshell__compute__v1__get_capabilities_response__init(out);
    out->driver_name = text(d->name);
    out->driver_version = text(OPENSHELL_VERSION);
    out->gateway_manages_lifecycle = d->manages_lifecycle;
    *ret = out;
    return ERR_OK;
}

static enum err_code do_validate(struct driver *d, const DriverSandbox *s, struct err *reterr)
{
    (void)d;
    return local_check(s, reterr);
}

// The folder comes into being whole: made under another name, and synced before anybody is told of it.
static enum err_code make_sandbox(struct local *l, struct str id, struct err *reterr)
{
    char dir[PATH_SIZE], made[PATH_SIZE], home[PATH_SIZE + 8];
    enum err_code r = path_of(l, id, "", dir, reterr);
    if (r != ERR_OK)
        return r;
    if (access(dir, F_OK) == 0)
        return err_set(reterr, ERR_EXISTS, "driver 'local' has sandbox %.*s already", STR_FMT(id));
    int n = snprintf(made, sizeof(made), "%s/.new-%.*s", l->env->state_dir, (int)id.n, id.p);
    if (n < 0 || n >= PATH_SIZE)
        return err_set(reterr, ERR_LIMIT, "the path of a file is too long");
    (void)snprintf(home, sizeof(home), "%s/home", made);
    r = make_dir(made, reterr);
    if (r == ERR_OK)
        r = make_dir(home, reterr);
    if (r == ERR_OK && (rename(made, dir) != 0 || fsync(l->dir) != 0))
        r = err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    return r;
}

static enum err_code do_create(struct driver *d, const DriverSandbox *s, struct err *reterr)
{
    struct local *l = of(d);
    struct err ignored = {};
    enum err_code r = local_check(s, reterr);
    if (r == ERR_OK)
        r = make_sandbox(l, str_of(s->id), reterr);
    if (r != ERR_OK)
        return r;
    r = save(l, s, reterr);
    if (r == ERR_OK)
        r = run(l, s, reterr);
    if (r != ERR_OK)
        (void)!drop_dir(l, s->id, &ignored); // nobody knows it
    return r;
}

static enum err_code do_stop(struct driver *d, struct str id, struct str name, struct err *reterr)
{
    struct local *l = of(d);
    char path[PATH_SIZE];
    (void)name;
    enum err_code r = path_of(l, id, "stopped", path, reterr);
    if (r != ERR_OK)
        return r;
    if (!exists(l, id, ""))
        return not_there(id, reterr);
    r = write_file(path, STR(""), reterr); // before it ends, so that its end is no failure
    return r == ERR_OK ? local_watch_end(l->watch, id, STOP_MS, reterr) : r;
}

static enum err_code do_start(struct driver *d, const DriverSandbox *s, struct err *reterr)
{
    struct local *l = of(d);
    struct str id = str_of(s->id);
    char path[PATH_SIZE];
    if (!exists(l, id, ""))
        return not_there(id, reterr);
    enum err_code r = path_of(l, id, "stopped", path, reterr);
    if (r == ERR_OK && !local_watch_has(l->watch, id)) {
        r = save(l, s, reterr);
        if (r == ERR_OK)
            r = run(l, s, reterr);
    }
    if (r == ERR_OK && unlink(path) != 0 && errno != ENOENT)
        r = err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    return r;
}

static enum err_code do_remove(struct driver *d, struct str id, struct str name, bool *ret_was,
                               struct err *reterr)
{
    struct local *l = of(d);
    char path[PATH_SIZE];
    (void)name;
    enum err_code r = path_of(l, id, "", path, reterr);
    bool was = exists(l, id, "");
    if (r == ERR_OK)
        r = local_watch_end(l->watch, id, DELETE_MS, reterr);
    if (r == ERR_OK)
        r = drop_dir(l, strrchr(path, '/') + 1, reterr);
    if (r == ERR_OK)
        *ret_was = was;
    return r;
}

// What the supervisor said last, as one printable line.
static void last_words(const struct local *l, struct str id, struct err *ret)
{
    char path[PATH_SIZE], tail[LOG_TAIL];
    struct err ignored = {};
    struct stat st;
    CLEANUP(fd_close) int fd = -1;
    ssize_t n = -1;
    if (path_of(l, id, "log", path, &ignored) == ERR_OK &&
        fd_open(path, O_RDONLY, 0, &fd, &ignored) == ERR_OK && fstat(fd, &st) == 0)
        n = pread(fd, tail, sizeof(tail), st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0);
    for (ssize_t i = 0; i < n; i++)
        if (tail[i] == '\n')
            tail[i] = ' ';
    struct str words = str_trim((struct str){tail, n > 0 ? (size_t)n : 0});
    if (words.n > LAST_WORDS)
        words = str_from(words, words.n - LAST_WORDS);
    err_fill(ret, ERR_INTERNAL, "The sandbox's supervisor has ended: %.*s", (int)words.n,
             words.n > 0 ? words.p : "");
}

static enum err_code describe(struct local *l, struct str id, DriverCondition *c, struct arena *a,
                              struct err *reterr)
{
    enum process_state state = PROCESS_NONE;
    char dir[PATH_SIZE];
    CLEANUP(fd_close) int pidfd = -1;
    struct err words = {};
    struct str message = {};
    c->type = text("Ready");
    c->status = text("False");
    if (local_watch_has(l->watch, id)) {
        c->status = text("True");
        c->reason = text("BackendReady");
        c->message = text("The sandbox's supervisor runs");
        return ERR_OK;
    }
    if (exists(l, id, "stopped")) {
        c->type = text("Suspended");
        c->status = text("True");
        c->reason = text("Stopped");
        c->message = text("The sandbox was stopped");
        return ERR_OK;
    }
    enum err_code r = path_of(l, id, "", dir, reterr);
    if (r == ERR_OK)
        r = process_find(dir, &state, &pidfd, reterr);
    if (r != ERR_OK)
        return r;
    if (state == PROCESS_NONE || state == PROCESS_ELSEWHERE) {
        c->reason = text("Starting");
        c->message = text("The sandbox's supervisor was not started yet");
        return ERR_OK;
    }
    last_words(l, id, &words);
    if (!arena_dup(a, str_of(words.msg), &message))
        return arena_limit(a, "a message", reterr);
    c->reason = text("ProcessExited");
    c->message = text(message.p);
    return ERR_OK;
}

static enum err_code read_saved(struct local *l, struct str id, struct arena *a, DriverSandbox **ret,
                                struct err *reterr)
{
    char path[PATH_SIZE];
    ProtobufCMessage *m = NULL;
    struct str copy = {};
    CLEANUP(buf_done) struct buf b = {};
    enum err_code r = path_of(l, id, "sandbox", path, reterr);
    if (r == ERR_OK)
        r = file_read(path, SAVED_MAX, &b, reterr);
    if (r == ERR_OK)
        r = wire_unpack(&openshell__compute__v1__driver_sandbox__descriptor, buf_str(&b), a, &m, reterr);
    if (r == ERR_LIMIT)
        return r;
    DriverSandbox *out = (DriverSandbox *)(void *)m;
    if (r == ERR_OK && str_eq(str_of(out->id), id)) {
        *ret = out;
        return ERR_OK;
    }
    out = arena_new(a, DriverSandbox); // lost in a power cut: the store has it, too
    if (!out || !arena_dup(a, id, &copy))
        return arena_limit(a, "a sandbox", reterr);
    openshell__compute__v1__driver_sandbox__init(out);
    out->id = text(copy.p);
    *ret = out;
    return ERR_OK;
}

static enum err_code do_get(struct driver *d, struct str id, struct arena *a, DriverSandbox **ret,
                            struct err *reterr)
{
    struct local *l = of(d);
    DriverSandbox *out = NULL;
    DriverStatus *st = arena_new(a, DriverStatus);
    DriverCondition *c = arena_new(a, DriverCondition), **list = arena_newn(a, DriverCondition *, 1);
    if (!st || !c || !list)
        return arena_limit(a, "a status", reterr);
    if (!exists(l, id, ""))
        return not_there(id, reterr);
    openshell__compute__v1__driver_sandbox_status__init(st);
    openshell__compute__v1__driver_condition__init(c);
    enum err_code r = read_saved(l, id, a, &out, reterr);
    if (r == ERR_OK)
        r = describe(l, id, c, a, reterr);
    if (r != ERR_OK)
        return r;
    assert(out);
    list[0] = c;
    st->conditions = list;
    st->n_conditions = 1;
    st->sandbox_name = out->name;
    st->instance_id = out->id;
    out->status = st;
    *ret = out;
    return ERR_OK;
}

// Calls fn(l, name) for each folder that has the name of a sandbox (`whole`), or of none.
static enum err_code each_dir(struct local *l, bool whole,
                              enum err_code (*fn)(struct local *l, const char *name, void *ctx,
                                                  struct err *e),
                              void *ctx, struct err *reterr)
{
    int fd = openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        enum err_code r = err_set(reterr, fd_code(errno), "%s: %s", l->env->state_dir, fd_strerror(errno));
        fd_close(&fd);
        return r;
    }
    enum err_code r = ERR_OK;
    for (struct dirent *e; r == ERR_OK && (e = readdir(dir));)
        if (whole
                ? id_is_uuid(str_of(e->d_name))
                : str_starts(str_of(e->d_name), STR(".new-")) || str_starts(str_of(e->d_name), STR(".gone-")))
            r = fn(l, e->d_name, ctx, reterr);
    (void)closedir(dir);
    return r;
}

struct listing {
    struct arena *a;
    DriverSandbox **v;
    size_t n, size;
};

static enum err_code count_one(struct local *l, const char *name, void *ctx, struct err *reterr)
{
    (void)l, (void)name, (void)reterr;
    struct listing *list = ctx;
    list->size++;
    return ERR_OK;
}

static enum err_code list_one(struct local *l, const char *name, void *ctx, struct err *reterr)
{
    struct listing *list = ctx;
    if (list->n == list->size)
        return ERR_OK; // made since they were counted
    enum err_code r = do_get(&l->driver, str_of(name), list->a, &list->v[list->n], reterr);
    list->n += r == ERR_OK;
    return r == ERR_NOT_FOUND ? ERR_OK : r; // gone since
}

static enum err_code do_list(struct driver *d, struct arena *a, DriverSandbox ***ret, size_t *ret_n,
                             struct err *reterr)
{
    struct listing list = {.a = a};
    enum err_code r = each_dir(of(d), true, count_one, &list, reterr);
    list.v = r == ERR_OK ? arena_newn(a, DriverSandbox *, list.size) : NULL;
    if (r == ERR_OK && !list.v)
        r = arena_limit(a, "a list", reterr);
    if (r == ERR_OK)
        r = each_dir(of(d), true, list_one, &list, reterr);
    if (r == ERR_OK) {
        *ret = list.v;
        *ret_n = list.n;
    }
    return r;
}

static void on_ended(void *ctx, struct str id)
{
    struct local *l = ctx;
    DriverSandbox now = OPENSHELL__COMPUTE__V1__DRIVER_SANDBOX__INIT;
    char copy[ID_SIZE];
    if (!str_cstr(id, copy, sizeof(copy)))
        return; // local_watch_add() was given a UUID
    now.id = copy;
    l->told.changed(l->told.ctx, &now);
}

static void do_watch(struct driver *d, const struct driver_events *events)
{
    struct local *l = of(d);
    l->told = *events;
    local_watch_tell(l->watch, on_ended, l);
}

static void do_free(struct driver *d)
{
    struct local *l = of(d);
    local_watch_free(l->watch);
    fd_close(&l->dir);
    free(l);
}

static const struct driver_ops local_ops = {
    .capabilities = do_capabilities,
    .validate = do_validate,
    .create = do_create,
    .stop = do_stop,
    .start = do_start,
    .remove = do_remove,
    .get = do_get,
    .list = do_list,
    .watch = do_watch,
    .free = do_free,
};

// ---- public

static enum err_code find_again(struct local *l, const char *name, void *ctx, struct err *reterr)
{
    enum process_state state = PROCESS_NONE;
    char dir[PATH_SIZE];
    int pidfd = -1;
    (void)ctx;
    enum err_code r = path_of(l, str_of(name), "", dir, reterr);
    if (r == ERR_OK)
        r = process_find(dir, &state, &pidfd, reterr);
    if (r == ERR_OK && state == PROCESS_RUNS)
        r = local_watch_add(l->watch, str_of(name), pidfd, reterr);
    return r;
}

static enum err_code drop_left(struct local *l, const char *name, void *ctx, struct err *reterr)
{
    (void)ctx;
    return tree_remove(l->dir, name, reterr);
}

static enum err_code open_dir(struct local *l, struct err *reterr)
{
    const char *dir = l->env->state_dir;
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    l->dir = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (l->dir < 0 || fstat(l->dir, &st) != 0)
        return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(reterr, ERR_DENIED, "%s is not a folder of this user alone (mode 0700)", dir);
    return ERR_OK;
}

enum err_code local_new(const struct driver_env *env, struct driver **ret, struct err *reterr)
{
    struct local *l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(reterr, ERR_LIMIT, "no memory");
    l->driver = (struct driver){.ops = &local_ops, .name = "local"};
    l->env = env;
    l->dir = -1;
    enum err_code r = ERR_OK;
    CLEANUP(base_freep) char *program = realpath(env->program, NULL);
    if (!program || !str_cstr(str_of(program), l->program, sizeof(l->program)) || access(program, X_OK) != 0)
        r = err_set(reterr, ERR_NOT_FOUND, "%s is no program", env->program);
    if (r == ERR_OK)
        r = open_dir(l, reterr);
    if (r == ERR_OK)
        r = local_watch_new(&l->watch, reterr);
    if (r == ERR_OK)
        r = each_dir(l, false, drop_left, NULL, reterr);
    if (r == ERR_OK)
        r = each_dir(l, true, find_again, NULL, reterr);
    if (r != ERR_OK) {
        do_free(&l->driver);
        return r;
    }
    *ret = &l->driver;
    return ERR_OK;
}
