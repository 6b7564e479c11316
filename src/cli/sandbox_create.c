#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/sandbox_out.h"
#include "cmd/json_out.h"
#include "cmd/policy_file.h"
#include "convert/policy_wire.h"

enum { READY_MS = 30'000, ASK_MS = 50 };

enum { OPT_NAME = GATEWAY_OPTS, OPT_POLICY, OPT_LABEL, OPT_ENV, OPT_DETACH };
static const struct opt create_opts[] = {
    GATEWAY_OPT_ROWS,
    [OPT_NAME] = {.name = "name",
                  .type = OPT_STRING,
                  .value = "NAME",
                  .help = "Its name, up to 19 of a-z, 0-9 and '-'; without it the gateway makes one up"},
    [OPT_POLICY] = {.name = "policy",
                    .type = OPT_PATH,
                    .value = "FILE",
                    .env = "OPENSHELL_SANDBOX_POLICY",
                    .help = "The policy it has to obey; without one it has no network"},
    [OPT_LABEL] = {.name = "label", .type = OPT_STRING, .value = "K=V", .repeat = true, .help = "A label"},
    [OPT_ENV] = {.name = "env",
                 .type = OPT_STRING,
                 .value = "K=V",
                 .repeat = true,
                 .help = "A variable of the command"},
    [OPT_DETACH] =
        {.name = "detach",
         .type = OPT_FLAG,
         .help = "Do not attach to the command; needed on a terminal, for attaching is not built yet"},
};

static const struct arg create_args[] = {
    {.name = "COMMAND", .type = OPT_STRING, .repeat = true, .help = "What to run, behind '--'"},
};

static const struct example create_examples[] = {
    {"Run an agent and come back", "openshell sandbox create --name dev --policy p.yaml --detach -- ./agent"},
};

// "K=V" as an entry of a map: both halves, copied.
static bool split(struct arena *a, const char *word, char **key, char **value)
{
    ptrdiff_t eq = str_find(str_of(word), '=');
    struct str k = {}, v = {};
    if (eq <= 0 || !arena_dup(a, str_head(str_of(word), (size_t)eq), &k) ||
        !arena_dup(a, str_from(str_of(word), (size_t)eq + 1), &v))
        return false;
    *key = (char *)(uintptr_t)k.p;
    *value = (char *)(uintptr_t)v.p;
    return true;
}

// Both kinds of maps have entries of the same members.
#define FILL(fn, Entry, entry_init, opt)                                                                     \
    static int fn(struct cli *cli, const struct args *a, struct arena *arena, Entry ***ret, size_t *ret_n)   \
    {                                                                                                        \
        size_t n = args_count(a, (opt));                                                                     \
        Entry **list = arena_newn(arena, Entry *, n), *v = arena_newn(arena, Entry, n);                      \
        for (size_t i = 0; list && v && i < n; i++) {                                                        \
            entry_init(&v[i]);                                                                               \
            if (!split(arena, args_nth(a, (opt), i), &v[i].key, &v[i].value))                                \
                return report_usage(cli, a, NULL, "'%s' is not KEY=VALUE", args_nth(a, (opt), i));           \
            list[i] = &v[i];                                                                                 \
        }                                                                                                    \
        *ret = list;                                                                                         \
        *ret_n = list && v ? n : 0;                                                                          \
        return *ret_n == n ? 0 : report(cli, NULL, "no memory");                                             \
    }
FILL(fill_labels, Openshell__V1__CreateSandboxRequest__LabelsEntry,
     openshell__v1__create_sandbox_request__labels_entry__init, &create_opts[OPT_LABEL])
FILL(fill_env, Openshell__V1__SandboxSpec__EnvironmentEntry,
     openshell__v1__sandbox_spec__environment_entry__init, &create_opts[OPT_ENV])

// Reads and checks the file; *ret lives in f->arena.
static int fill_policy(struct cli *cli, const char *path, struct policy_file *f,
                       Openshell__Sandbox__V1__SandboxPolicy **ret)
{
    struct err err = {};
    enum err_code r = policy_file_load(path, f, &err);
    if (r != ERR_OK)
        return policy_file_report(cli, path, f, r, &err);
    if (policy_to_wire(f->policy, &f->arena, ret, &err) != ERR_OK)
        return report(cli, err.msg, "a gateway cannot be given %s", path);
    return 0;
}

// Until it is ready, or not to be. Asked for again and again because WatchSandbox is not built.
static int wait_ready(struct cli *cli, struct gateway *g, const char *name,
                      const Openshell__V1__Sandbox **ret)
{
    int64_t deadline = deadline_in_ms(READY_MS);
    for (;;) {
        struct err err = {};
        arena_done(&g->arena); // the answer before
        if (sandbox_fetch(g, name, ret, &err) != ERR_OK)
            return gateway_report(cli, g, "tell about the sandbox", &err);
        const char *phase = sandbox_phase(*ret);
        bool ended = (*ret)->status && (*ret)->status->_exit_code_case != 0; // a short command has run
        if (strcmp(phase, "Ready") == 0 || ended)
            return 0;
        if (strcmp(phase, "Provisioning") != 0)
            return report(cli, sandbox_why(*ret), "sandbox %s did not become ready: it is in phase %s", name,
                          phase);
        if (deadline_passed(deadline))
            return report(cli, sandbox_why(*ret),
                          "sandbox %s is not ready after 30 seconds; it was left as it is", name);
        (void)poll(NULL, 0, ASK_MS);
    }
}

static int create(struct cli *cli, const struct args *a, struct gateway *g, struct policy_file *f,
                  Openshell__V1__CreateSandboxRequest *req)
{
    struct err err = {};
    ProtobufCMessage *m = NULL;
    const char *policy = args_value(a, &create_opts[OPT_POLICY]);
    int status = policy && policy[0] ? fill_policy(cli, policy, f, &req->spec->policy) : 0;
    if (status == 0)
        status = gateway_open(cli, a, g);
    if (status != 0)
        return status;
    if (gateway_ask(g, RPC_OPEN_SHELL_CREATE_SANDBOX, &req->base, &m, &err) != ERR_OK)
        return gateway_report(cli, g, "create the sandbox", &err);
    const Openshell__V1__SandboxResponse *out = (const Openshell__V1__SandboxResponse *)(const void *)m;
    char name[256];
    if (!out->sandbox || !out->sandbox->metadata ||
        !str_cstr(str_of(out->sandbox->metadata->name), name, sizeof(name)))
        return report(cli, "it holds no sandbox", "the gateway's answer is not understood");
    bool json = gateway_wants_json(a);
    if (!json) {
        buf_add(&cli->out, STR("Created sandbox: "));
        term_name(&cli->out, name);
        buf_addc(&cli->out, '\n');
        cli_flush(cli);
    }
    const Openshell__V1__Sandbox *s = NULL;
    status = wait_ready(cli, g, name, &s);
    if (status != 0 || !json)
        return status;
    bool ok = true;
    json_t *o = sandbox_json(s, &ok);
    return json_out(cli, o, ok);
}

static int create_run(struct cli *cli, const struct args *a)
{
    if (!args_count(a, &create_opts[OPT_DETACH]) && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        return report(cli, "with --detach the command runs without a terminal, and nothing was started now",
                      "attaching to a sandbox is not built yet");
    CLEANUP(policy_file_done) struct policy_file f;
    CLEANUP(gateway_done) struct gateway g;
    policy_file_init(&f);
    gateway_init(&g);
    Openshell__V1__SandboxSpec spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    Openshell__V1__CreateSandboxRequest req = OPENSHELL__V1__CREATE_SANDBOX_REQUEST__INIT;
    req.spec = &spec;
    const char *name = args_value(a, &create_opts[OPT_NAME]);
    req.name = (char *)(uintptr_t)(name ? name : "");
    spec.n_command = a->words_n;
    spec.command = arena_newn(&f.arena, char *, a->words_n);
    if (!spec.command)
        return report(cli, NULL, "no memory");
    for (size_t i = 0; i < a->words_n; i++)
        spec.command[i] = (char *)(uintptr_t)a->words[i];
    int status = fill_labels(cli, a, &f.arena, &req.labels, &req.n_labels);
    if (status == 0)
        status = fill_env(cli, a, &f.arena, &spec.environment, &spec.n_environment);
    return status == 0 ? create(cli, a, &g, &f, &req) : status;
}

const struct command sandbox_create_command = {
    .name = "create",
    .alias = "",
    .section = "COMMANDS",
    .about = "Start a command in a new sandbox",
    .text = "Returns when the command runs, or has failed to. The command has no terminal, its input is "
            "empty, and "
            "what it prints is not kept. The sandbox stays until it is deleted or the gateway ends.",
    COMMAND_TABLE(opts, create_opts),
    COMMAND_TABLE(args, create_args),
    COMMAND_TABLE(examples, create_examples),
    .run = create_run,
};
