// What a supervisor's session costs the gateway: a command and its answer, a gigabyte of output, and the
// memory of ten thousand sessions that do nothing. One line a measurement, name<TAB>value<TAB>unit.
//
//   bench_sessions [FOLDER]   a build folder, for its programs; without: that of this one
//
// The supervisors are simulated first, so that what a sandbox takes itself is not in it; then there is a real
// one.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/ids.h"
#include "gateway/records.h"
#include "gateway/tokens.h"
#include "rpc/dial.h"

enum {
    IDLE = 10'000,
    EXECS = 2000,
    REAL_EXECS = 300,
    PIECE = 64 * KIB,
    POUR_MIB = 1024,
    FIRST_MS = 10'000,
    PATH_SIZE = 4096
};
#define V1(name) Openshell__V1__##name

struct bench {
    char dir[64], socket[96];
    pid_t gateway;
    struct store *store;
    struct tokens *tokens;
};

struct supervisor {
    struct rpc_client *client;
    struct rpc_client_call *session;
    struct rpc_meta meta;
    struct arena arena; // of meta
};

static const struct rpc_wait forever = {DEADLINE_NEVER, -1};

static void check(enum err_code r, const struct err *err)
{
    if (r == ERR_OK)
        return;
    (void)fprintf(stderr, "bench_sessions: %s\n", err->msg);
    exit(1);
}

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_sessions: %s\n", what);
    exit(1);
}

static char *text(const char *s)
{
    return (char *)(uintptr_t)s; // packing only reads it
}

// ---- the gateway

static struct rpc_client *dial(const struct bench *b)
{
    struct rpc_client *c = NULL;
    struct err err = {};
    const struct rpc_config config = RPC_CONFIG_CLIENT;
    check(rpc_dial(str_of(b->socket), &config, &forever, &c, &err), &err);
    return c;
}

static void start(struct bench *b, const char *program)
{
    char path[128];
    struct err err = {};
    (void)snprintf(b->dir, sizeof(b->dir), "/tmp/bench-sessions-XXXXXX");
    need(mkdtemp(b->dir), "no folder");
    (void)snprintf(b->socket, sizeof(b->socket), "unix:%s/gw.sock", b->dir);
    (void)snprintf(path, sizeof(path), "%s/state", b->dir);
    b->gateway = fork();
    if (b->gateway == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM); // where something fails nobody else would end it
        (void)execl(program, program, "--socket", b->socket + 5, "--state-dir", path, "--log-level", "error",
                    NULL);
        _exit(127);
    }
    need(b->gateway > 0, "no gateway");
    for (int64_t end_ns = deadline_in_ms(FIRST_MS); access(b->socket + 5, F_OK) != 0;) {
        need(!deadline_passed(end_ns) && waitpid(b->gateway, NULL, WNOHANG) == 0,
             "the gateway did not start");
        (void)poll(NULL, 0, 10);
    }
    struct rpc_client *c = dial(b); // it listens before it has opened its store
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    V1(HealthRequest) in = OPENSHELL__V1__HEALTH_REQUEST__INIT;
    ProtobufCMessage *out = NULL;
    check(rpc_unary(c, RPC_OPEN_SHELL_HEALTH, &in.base, &forever, &a, &out, &err), &err);
    rpc_client_free(c);
    (void)snprintf(path, sizeof(path), "%s/state/openshell.db", b->dir);
    check(store_open(str_of(path), &b->store, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/state/jwt", b->dir);
    check(tokens_open(path, STR("openshell"), 0, &b->tokens, &err), &err);
}

static void stop(struct bench *b)
{
    (void)kill(b->gateway, SIGTERM);
    (void)waitpid(b->gateway, NULL, 0);
    store_free(b->store);
    tokens_free(b->tokens);
    char command[96];
    (void)snprintf(command, sizeof(command), "%s", b->dir);
    pid_t rm = fork();
    if (rm == 0) {
        (void)execlp("rm", "rm", "-rf", command, NULL);
        _exit(127);
    }
    (void)waitpid(rm, NULL, 0);
}

static double memory_kib(const struct bench *b) // anonymous: what is not the program's own file
{
    char path[64], line[256];
    double kib = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)b->gateway);
    FILE *f = fopen(path, "re");
    need(f, "no /proc");
    while (fgets(line, sizeof(line), f)) {
        struct str rest = str_of(line);
        uint64_t n = 0;
        if (str_skip(&rest, STR("RssAnon:")) &&
            str_u64(str_head(str_trim(rest), (size_t)str_find(str_trim(rest), ' ')), UINT32_MAX, &n))
            kib = (double)n;
    }
    (void)fclose(f);
    return kib;
}

// ---- supervisors

static void add_sandbox(const struct bench *b, char id[static ID_SIZE], unsigned i)
{
    struct err err = {};
    char name[32];
    check(id_make(id, &err), &err);
    (void)snprintf(name, sizeof(name), "bench-%u", i);
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    V1(Sandbox) sandbox = OPENSHELL__V1__SANDBOX__INIT;
    V1(SandboxSpec) spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    V1(SandboxStatus) status = OPENSHELL__V1__SANDBOX_STATUS__INIT;
    meta.id = id;
    meta.name = name;
    meta.workspace = text("default");
    meta.created_at_ms = clock_realtime_ms();
    char *command[] = {text("sleep"), text("1000")};
    spec.command = command;
    spec.n_command = ARRAY_LEN(command);
    status.phase = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY;
    sandbox.metadata = &meta;
    sandbox.spec = &spec;
    sandbox.status = &status;
    check(record_insert(b->store, &sandbox, &err), &err);
}

static void connect_one(const struct bench *b, const char *id, struct supervisor *s)
{
    struct err err = {};
    int64_t expires_ms = 0;
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, TOKENS_TEXT_MAX);
    buf_add(&token, STR("Bearer "));
    check(tokens_mint(b->tokens, str_of(id), clock_realtime_ms() / 1000, &token, &expires_ms, &err), &err);
    arena_init(&s->arena, 8 * KIB);
    check(rpc_meta_add(&s->meta, &s->arena, STR("authorization"), buf_str(&token), &err), &err);
    s->client = dial(b);
    rpc_client_set_meta(s->client, &s->meta);
    check(rpc_open(s->client, RPC_OPEN_SHELL_CONNECT_SUPERVISOR, &forever, &s->session, &err), &err);
    V1(SupervisorHello) hello = OPENSHELL__V1__SUPERVISOR_HELLO__INIT;
    V1(SupervisorMessage) m = OPENSHELL__V1__SUPERVISOR_MESSAGE__INIT;
    hello.sandbox_id = text(id);
    hello.instance_id = text("i");
    m.payload_case = OPENSHELL__V1__SUPERVISOR_MESSAGE__PAYLOAD_HELLO;
    m.hello = &hello;
    check(rpc_write(s->session, &m.base, RPC_BLOCK, &err), &err);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * KIB);
    ProtobufCMessage *in = NULL;
    bool end = false;
    check(rpc_read(s->session, RPC_BLOCK, &a, &in, &end, &err), &err);
    need(in && ((V1(GatewayMessage) *)in)->payload_case ==
                   OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_SESSION_ACCEPTED,
         "a session was not accepted");
}

static void disconnect(struct supervisor *s)
{
    rpc_close(s->session);
    rpc_client_free(s->client);
    arena_done(&s->arena);
}

static void serve(struct supervisor *s, const V1(RelayOpen) * ask)
{
    static char zeros[PIECE];
    struct err err = {};
    struct rpc_client_call *relay = NULL;
    V1(RelayInit) init = OPENSHELL__V1__RELAY_INIT__INIT;
    V1(RelayFrame) f = OPENSHELL__V1__RELAY_FRAME__INIT;
    check(rpc_open(s->client, RPC_OPEN_SHELL_RELAY_STREAM, &forever, &relay, &err), &err);
    init.channel_id = ask->channel_id;
    f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_INIT;
    f.init = &init;
    check(rpc_write(relay, &f.base, RPC_BLOCK, &err), &err);
    f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_DATA;
    f.data = (ProtobufCBinaryData){sizeof(zeros), (uint8_t *)zeros};
    bool pours = strcmp(ask->exec->command[0], "pour") == 0;
    for (int i = 0; pours && i < POUR_MIB * (MIB / PIECE); i++)
        check(rpc_write(relay, &f.base, RPC_BLOCK, &err), &err);
    openshell__v1__relay_frame__init(&f);
    f.payload_case = OPENSHELL__V1__RELAY_FRAME__PAYLOAD_EXIT_CODE;
    check(rpc_write(relay, &f.base, RPC_BLOCK, &err), &err);
    rpc_write_end(relay);
    for (bool end = false; !end;) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        ProtobufCMessage *in = NULL;
        check(rpc_read(relay, RPC_BLOCK, &a, &in, &end, &err), &err);
    }
    rpc_close(relay);
}

// Until the session ends.
static void *run_supervisor(void *arg)
{
    struct supervisor *s = arg;
    for (;;) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        struct err err = {};
        ProtobufCMessage *in = NULL;
        bool end = false;
        if (rpc_read(s->session, RPC_BLOCK, &a, &in, &end, &err) != ERR_OK || end)
            return NULL;
        const V1(GatewayMessage) *m = (const V1(GatewayMessage) *)in;
        if (m->payload_case == OPENSHELL__V1__GATEWAY_MESSAGE__PAYLOAD_RELAY_OPEN)
            serve(s, m->relay_open);
    }
}

// ---- what is measured

// Bytes of output.
static size_t run_command(struct rpc_client *c, const char *id, const char *const *words)
{
    struct err err = {};
    struct rpc_client_call *call = NULL;
    char *command[8];
    size_t command_n = 0;
    for (; words[command_n]; command_n++)
        command[command_n] = text(words[command_n]);
    V1(ExecSandboxRequest) req = OPENSHELL__V1__EXEC_SANDBOX_REQUEST__INIT;
    req.sandbox_id = text(id);
    req.command = command;
    req.n_command = command_n;
    size_t n = 0;
    bool exited = false;
    check(rpc_open(c, RPC_OPEN_SHELL_EXEC_SANDBOX, &forever, &call, &err), &err);
    check(rpc_write(call, &req.base, RPC_BLOCK, &err), &err);
    rpc_write_end(call);
    for (bool end = false; !end;) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 2 * MIB);
        ProtobufCMessage *in = NULL;
        check(rpc_read(call, RPC_BLOCK, &a, &in, &end, &err), &err);
        const V1(ExecSandboxEvent) *e = (const V1(ExecSandboxEvent) *)in;
        if (e && e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_STDOUT)
            n += e->stdout->data.len;
        exited |= e && e->payload_case == OPENSHELL__V1__EXEC_SANDBOX_EVENT__PAYLOAD_EXIT;
    }
    need(exited, "a command has not ended");
    rpc_close(call);
    return n;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, double *us, size_t n)
{
    qsort(us, n, sizeof(*us), compare);
    printf("session, %s, p50\t%.0f\tus\n", what, us[n / 2]);
    printf("session, %s, p99\t%.0f\tus\n", what, us[n * 99 / 100]);
}

static const char *const true_words[] = {"true", NULL}, *const pour_words[] = {"pour", NULL};

static void time_commands(struct rpc_client *c, const char *id, size_t n, const char *what)
{
    static double us[EXECS];
    (void)run_command(c, id, true_words);
    for (size_t i = 0; i < n; i++) {
        int64_t start_ns = clock_ns();
        (void)run_command(c, id, true_words);
        us[i] = (double)(clock_ns() - start_ns) / 1000;
    }
    print_times(what, us, n);
}

static void time_output(const struct bench *b, struct rpc_client *c, const char *id, const char *const *words,
                        const char *what)
{
    double before_kib = memory_kib(b);
    int64_t start_ns = clock_ns();
    need(run_command(c, id, words) == (size_t)POUR_MIB * MIB, "output was lost");
    double seconds = (double)(clock_ns() - start_ns) / 1e9;
    printf("session, %s\t%.0f\tMiB/s\n", what, POUR_MIB / seconds);
    printf("session, the gateway's memory grew by\t%.0f\tKiB\n", memory_kib(b) - before_kib);
}

static void commands(const struct bench *b)
{
    static double us[EXECS];
    char id[ID_SIZE];
    struct supervisor s = {};
    pthread_t thread;
    struct err err = {};
    add_sandbox(b, id, 0);
    connect_one(b, id, &s);
    need(pthread_create(&thread, NULL, run_supervisor, &s) == 0, "no thread");
    struct rpc_client *c = dial(b);
    time_commands(c, id, EXECS, "a command and its exit code");
    for (size_t i = 0; i < EXECS; i++) { // what any call takes
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, MIB);
        V1(GetCurrentUserRequest) in = OPENSHELL__V1__GET_CURRENT_USER_REQUEST__INIT;
        ProtobufCMessage *out = NULL;
        int64_t start_ns = clock_ns();
        check(rpc_unary(c, RPC_OPEN_SHELL_GET_CURRENT_USER, &in.base, &forever, &a, &out, &err), &err);
        us[i] = (double)(clock_ns() - start_ns) / 1000;
    }
    print_times("beside it a unary call", us, EXECS);
    time_output(b, c, id, pour_words, "1 GiB of output");
    rpc_client_free(c);
    (void)pthread_cancel(thread);
    (void)pthread_join(thread, NULL);
    disconnect(&s);
}

static void *pour_plain(void *arg)
{
    static const char zeros[PIECE];
    const int *fd = arg;
    struct err err = {};
    for (int i = 0; i < POUR_MIB * (MIB / PIECE); i++)
        check(fd_write_all(*fd, (struct str){zeros, sizeof(zeros)}, &err), &err);
    return NULL;
}

// The peer: the same bytes through two Unix sockets and a relay of read and write between them.
static void *relay_plain(void *arg)
{
    static char bytes[PIECE];
    const int *fd = arg;
    struct err err = {};
    for (ssize_t n; (n = read(fd[0], bytes, sizeof(bytes))) > 0;)
        check(fd_write_all(fd[1], (struct str){bytes, (size_t)n}, &err), &err);
    return NULL;
}

static void plain(void)
{
    static char bytes[PIECE];
    int in[2], out[2];
    pthread_t writer, relay;
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) == 0 &&
             socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) == 0,
         "no sockets");
    int between[2] = {in[1], out[0]};
    int64_t start_ns = clock_ns();
    need(pthread_create(&relay, NULL, relay_plain, between) == 0 &&
             pthread_create(&writer, NULL, pour_plain, &in[0]) == 0,
         "no thread");
    for (size_t left = (size_t)POUR_MIB * MIB; left > 0;) {
        ssize_t n = read(out[1], bytes, sizeof(bytes));
        need(n > 0, "the peer broke");
        left -= (size_t)n;
    }
    printf("session, beside it a relay of read and write\t%.0f\tMiB/s\n",
           POUR_MIB / ((double)(clock_ns() - start_ns) / 1e9));
    (void)pthread_join(writer, NULL);
    (void)close(in[0]);
    (void)pthread_join(relay, NULL);
}

// A sandbox, as a driver starts it.
static pid_t start_sandbox(const struct bench *b, const char *program, const char *id)
{
    char endpoint[104], token_file[128];
    struct err err = {};
    int64_t expires_ms = 0;
    CLEANUP(buf_done) struct buf token;
    buf_init(&token, TOKENS_TEXT_MAX);
    check(tokens_mint(b->tokens, str_of(id), clock_realtime_ms() / 1000, &token, &expires_ms, &err), &err);
    (void)snprintf(token_file, sizeof(token_file), "%s/token", b->dir);
    (void)snprintf(endpoint, sizeof(endpoint), "unix://%s", b->socket + 5);
    check(file_write_atomic(token_file, buf_str(&token), 0600, &err), &err);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)execl(program, program, "supervise", "--endpoint", endpoint, "--sandbox-id", id, "--token-file",
                    token_file, NULL);
        _exit(127);
    }
    need(pid > 0, "no sandbox");
    return pid;
}

static void real(const struct bench *b, const char *program)
{
    static const char *const zeros[] = {"head", "-c", "1073741824", "/dev/zero", NULL};
    char id[ID_SIZE];
    add_sandbox(b, id, IDLE + 1);
    pid_t pid = start_sandbox(b, program, id);
    struct rpc_client *c = dial(b); // the first command waits for the session
    time_commands(c, id, REAL_EXECS, "a command in a real sandbox");
    time_output(b, c, id, zeros, "1 GiB of head's output in a real sandbox");
    rpc_client_free(c);
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
}

static void idle(const struct bench *b)
{
    struct rlimit files = {};
    (void)getrlimit(RLIMIT_NOFILE, &files);
    unsigned n = files.rlim_cur > IDLE + 100 ? IDLE : (unsigned)files.rlim_cur / 2;
    struct supervisor *all = calloc(n, sizeof(*all));
    char(*ids)[ID_SIZE] = calloc(n, sizeof(*ids));
    need(all && ids, "no memory");
    for (unsigned i = 0; i < n; i++)
        add_sandbox(b, ids[i], i + 1);
    double before_kib = memory_kib(b);
    int64_t start_ns = clock_ns();
    for (unsigned i = 0; i < n; i++)
        connect_one(b, ids[i], &all[i]);
    double seconds = (double)(clock_ns() - start_ns) / 1e9;
    printf("session, %u connect\t%.0f\tper second\n", n, n / seconds);
    printf("session, memory of each of %u\t%.1f\tKiB\n", n, (memory_kib(b) - before_kib) / n);
    for (unsigned i = 0; i < n; i++)
        disconnect(&all[i]);
    free(all);
    free(ids);
}

// FOLDER/below, or of the build folder that this program is in.
static void program_at(char dst[static PATH_SIZE], const char *folder, const char *below)
{
    if (folder) {
        (void)snprintf(dst, PATH_SIZE, "%s/%s", folder, below);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", dst, PATH_SIZE - 64);
    need(n > 0, "no /proc");
    dst[n] = '\0';
    char *slash = strrchr(dst, '/');
    need(slash, "no folder");
    (void)snprintf(slash, 64, "/../../%s", below);
}

int main(int argc, char **argv)
{
    char gateway[PATH_SIZE], sandbox[PATH_SIZE];
    struct bench b = {};
    struct rlimit files = {};
    (void)signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); // what there is of it is asked for again
    }
    program_at(gateway, argc > 1 ? argv[1] : NULL, "src/gateway/openshell-gateway");
    program_at(sandbox, argc > 1 ? argv[1] : NULL, "src/supervisor/openshell-sandbox");
    start(&b, gateway);
    commands(&b);
    plain();
    real(&b, sandbox);
    idle(&b);
    stop(&b);
    return 0;
}
