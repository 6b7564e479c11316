#include <unistd.h>

#include "cli/commands.h"
#include "cli/provider.h"
#include "cli/request_maps.h"
#include "cli/sandbox_template.h"
#include "cli/sandbox_watch.h"
#include "cli/show.h"
#include "cmd/policy_file.h"
#include "convert/policy_wire.h"

enum { PROVISION_S = 300, PROVIDERS_MAX = 32 };
#define PROVISION_VARIABLE "OPENSHELL_PROVISION_TIMEOUT"

enum {
    OPT_NAME,
    OPT_POLICY,
    OPT_PROVIDER,
    OPT_LABEL,
    OPT_ENV,
    OPT_NO_WARNINGS,
    OPT_APPROVAL,
    OPT_TTY,
    OPT_NO_TTY,
    OPT_DETACH,
    OPT_KEEP,
    OPT_NO_KEEP,
    OPT_OUTPUT,
    OPT_AUTO,
    OPT_NO_AUTO,
    OPT_FROM,
    OPT_CPU,
    OPT_MEMORY,
    OPT_UNBUILT, // and all that follow
};
static const char *const approvals[] = {"manual", "auto", NULL};
#define UNBUILT_FLAG(word)                                                                                   \
    {                                                                                                        \
        .name = (word), .type = OPT_FLAG, .hidden = true, .help = "Not built yet"                            \
    }
#define UNBUILT_VALUE(word, what)                                                                            \
    {                                                                                                        \
        .name = (word), .type = OPT_STRING, .value = (what), .repeat = true, .hidden = true,                 \
        .help = "Not built yet"                                                                              \
    }
static const struct opt create_opts[] = {
    [OPT_NAME] = {.name = "name",
                  .type = OPT_STRING,
                  .value = "NAME",
                  .help = "Its name, up to 19 of a-z, 0-9 and '-'; without it the gateway makes one up"},
    [OPT_POLICY] = {.name = "policy",
                    .type = OPT_PATH,
                    .value = "FILE",
                    .env = "OPENSHELL_SANDBOX_POLICY",
                    .help = "The policy it has to obey; without one it has no network"},
    [OPT_PROVIDER] = {.name = "provider",
                      .type = OPT_STRING,
                      .value = "NAME",
                      .repeat = true,
                      .kind = "provider",
                      .help = "A provider whose credentials it may use"},
    [OPT_LABEL] = {.name = "label", .type = OPT_STRING, .value = "K=V", .repeat = true, .help = "A label"},
    [OPT_ENV] = {.name = "env",
                 .type = OPT_STRING,
                 .value = "K=V",
                 .repeat = true,
                 .help = "A variable of all that runs in it; not for secrets, which it could read"},
    [OPT_NO_WARNINGS] = {.name = "no-credential-warnings",
                         .type = OPT_FLAG,
                         .help = "Do not warn of variables that look like credentials"},
    [OPT_APPROVAL] = {.name = "approval-mode",
                      .type = OPT_ENUM,
                      .value = "MODE",
                      .values = approvals,
                      .def = "manual",
                      .help = "Whether proposed rules that are found harmless are approved by themselves"},
    [OPT_TTY] =
        {.name = "tty",
         .type = OPT_FLAG,
         .repeat = true,
         .help = "Give the command a terminal; it has one without asking where input and output are one"},
    [OPT_NO_TTY] = {.name = "no-tty", .type = OPT_FLAG, .repeat = true, .help = "Give it none"},
    [OPT_DETACH] = {.name = "detach", .type = OPT_FLAG, .help = "Do not attach to the command"},
    [OPT_KEEP] = {.name = "keep", .type = OPT_FLAG, .hidden = true, .help = "Sandboxes are kept anyway"},
    [OPT_NO_KEEP] = {.name = "no-keep",
                     .type = OPT_FLAG,
                     .help = "Delete the sandbox when the command has ended"},
    [OPT_OUTPUT] = SHOW_OUTPUT_OPT,
    [OPT_AUTO] =
        {.name = "auto-providers",
         .type = OPT_FLAG,
         .help = "Make a provider that is missing from this environment's credentials, without asking"},
    [OPT_NO_AUTO] = {.name = "no-auto-providers", .type = OPT_FLAG, .help = "Go on without it"},
    [OPT_FROM] =
        {.name = "from",
         .type = OPT_STRING,
         .value = "IMAGE",
         .help = "The image that it is made from, on a driver of containers: a reference, or the name of a "
                 "community image"},
    [OPT_CPU] = {.name = "cpu",
                 .type = OPT_STRING,
                 .value = "CORES",
                 .help = "Limit its processors, as in 1.5"},
    [OPT_MEMORY] = {.name = "memory",
                    .type = OPT_STRING,
                    .value = "SIZE",
                    .help = "Limit its memory, as in 2Gi"},
    [OPT_UNBUILT] = UNBUILT_VALUE("upload", "LOCAL[:REMOTE]"),
    UNBUILT_FLAG("no-git-ignore"),
    UNBUILT_VALUE("editor", "EDITOR"),
    UNBUILT_VALUE("forward", "PORT"),
    UNBUILT_FLAG("gpu"),
    UNBUILT_VALUE("driver-config-json", "JSON"),
};

static const struct arg create_args[] = {
    {.name = "COMMAND",
     .type = OPT_STRING,
     .repeat = true,
     .optional = true,
     .place = ARG_BEHIND_DASHES,
     .help = "What to run; without it a shell"},
};

static const struct example create_examples[] = {
    {"A shell in a sandbox", "openshell sandbox create"},
    {"An agent, with a policy", "openshell sandbox create --name dev --policy p.yaml -- claude"},
    {"Something that ends, and is gone then", "openshell sandbox create --no-keep -- make test"},
    {"In the background", "openshell sandbox create --detach -- ./agent"},
};
static const struct exit_row create_exits[] = {
    {0, "The sandbox is there, and the command that was attached to succeeded or was left running"},
    {1, "The sandbox could not be created, which is reported, or the command failed so"},
    {2, "The command line is wrong, or the command failed so"},
    {255, "The connection to the command was lost, or the command failed so"},
};

REQUEST_MAP(fill_labels, Openshell__V1__CreateSandboxRequest__LabelsEntry,
            openshell__v1__create_sandbox_request__labels_entry__init)
REQUEST_MAP(fill_env, Openshell__V1__SandboxSpec__EnvironmentEntry,
            openshell__v1__sandbox_spec__environment_entry__init)

// ---- the command line

static int check_options(struct cli *cli, const struct args *a)
{
    static const int pairs[][2] = {{OPT_KEEP, OPT_NO_KEEP},
                                   {OPT_DETACH, OPT_NO_KEEP},
                                   {OPT_AUTO, OPT_NO_AUTO},
                                   {OPT_NO_KEEP, OPT_OUTPUT}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        int status = report_conflict(cli, a, &create_opts[pairs[i][0]], &create_opts[pairs[i][1]]);
        if (status != 0)
            return status;
    }
    if (a->words_n > 0 && args_count(a, &create_opts[OPT_OUTPUT]) > 0)
        return report_usage(cli, a, NULL, "the argument '--output <FORMAT>' cannot be used with a command");
    for (size_t i = OPT_UNBUILT; i < ARRAY_LEN(create_opts); i++)
        if (args_count(a, &create_opts[i]) > 0)
            return report(cli, NULL, "not built yet: '--%s' of 'sandbox create'; nothing was created",
                          create_opts[i].name);
    return 0;
}

static int fill_maps(struct cli *cli, const struct args *a, struct arena *arena,
                     Openshell__V1__CreateSandboxRequest *req)
{
    struct err err = {};
    const struct opt *env = &create_opts[OPT_ENV];
    enum err_code r = fill_labels(arena, a, &create_opts[OPT_LABEL], &req->labels, &req->n_labels, &err);
    for (size_t i = 0; r == ERR_OK && i < args_count(a, env); i++)
        r = request_env_check(args_nth(a, env, i), &err);
    if (r == ERR_OK)
        r = fill_env(arena, a, env, &req->spec->environment, &req->spec->n_environment, &err);
    if (r != ERR_OK)
        return report(cli, NULL, "%s", err.msg);
    for (size_t i = 0; i < req->spec->n_environment && !args_count(a, &create_opts[OPT_NO_WARNINGS]); i++)
        if (request_env_is_secret(str_of(req->spec->environment[i]->key)))
            show_err(
                cli, SHOW_WARNING,
                "%s looks like a credential: what runs in the sandbox can read it. A provider keeps it out "
                "('openshell provider create', then --provider); --no-credential-warnings says nothing",
                req->spec->environment[i]->key);
    return 0;
}

static int fill_command(struct cli *cli, const struct args *a, struct arena *arena,
                        Openshell__V1__SandboxSpec *spec)
{
    static const char *const shell[] = {"/bin/bash", "-l"};
    size_t n = a->words_n > 0 ? a->words_n : ARRAY_LEN(shell);
    spec->n_providers = args_count(a, &create_opts[OPT_PROVIDER]);
    spec->command = arena_newn(arena, char *, n);
    spec->providers = arena_newn(arena, char *, spec->n_providers + 1);
    if (!spec->command || !spec->providers)
        return report(cli, NULL, "no memory");
    spec->n_command = n;
    for (size_t i = 0; i < n; i++)
        spec->command[i] = gateway_text(a->words_n > 0 ? a->words[i] : shell[i]);
    for (size_t i = 0; i < spec->n_providers; i++)
        spec->providers[i] = gateway_text(args_nth(a, &create_opts[OPT_PROVIDER], i));
    spec->tty = sandbox_wants_tty(a, &create_opts[OPT_TTY], &create_opts[OPT_NO_TTY]);
    return 0;
}

// Reads and checks the file; *ret lives in f->arena.
static int fill_policy(struct cli *cli, const struct args *a, struct policy_file *f,
                       Openshell__Sandbox__V1__SandboxPolicy **ret)
{
    const char *path = args_value(a, &create_opts[OPT_POLICY]);
    struct err err = {};
    if (!path || !path[0])
        return 0;
    enum err_code r = policy_file_load(path, f, &err);
    if (r != ERR_OK)
        return policy_file_report(cli, path, f, r, &err);
    if (policy_to_wire(f->policy, &f->arena, ret, &err) != ERR_OK)
        return report(cli, err.msg, "a gateway cannot be given %s", path);
    return 0;
}

// ---- the work

static int ask_create(struct cli *cli, struct gateway *g, Openshell__V1__CreateSandboxRequest *req,
                      const Openshell__V1__Sandbox **ret)
{
    struct err err = {};
    ProtobufCMessage *m = NULL;
    req->workspace = g->workspace;
    enum err_code r = gateway_ask(g, RPC_OPEN_SHELL_CREATE_SANDBOX, &req->base, &m, &err);
    if (r == ERR_OK)
        r = sandbox_of(m, ret, &err);
    if (r == ERR_EXISTS) {
        char cause[500];
        (void)snprintf(cause, sizeof(cause), "%s; 'openshell sandbox delete %s' removes it", err.msg,
                       req->name);
        return report(cli, cause, "sandbox '%s' already exists", req->name);
    }
    return r == ERR_OK ? 0 : gateway_report(cli, g, "create the sandbox", &err);
}

static void say_created(struct cli *cli, const char *name, bool structured)
{
    if (structured) {
        show_err_line(cli, "Provisioning sandbox (structured output on stdout)...");
        return;
    }
    buf_addc(&cli->out, '\n');
    term_put(&cli->out, &cli->out_term, STYLE_AND(STYLE_BOLD, STYLE_CYAN), "Created sandbox:");
    buf_addc(&cli->out, ' ');
    term_put(&cli->out, &cli->out_term, STYLE_BOLD, "%s", name);
    buf_addf(&cli->out, "\n\n");
    cli_flush(cli);
}

// The setting is the sandbox's own; where it cannot be set the sandbox is there all the same.
static void set_approval(struct cli *cli, struct gateway *g, const struct args *a, const char *name)
{
    struct err err = {};
    const char *mode = args_value(a, &create_opts[OPT_APPROVAL]);
    if (strcmp(mode, "auto") != 0)
        return;
    Openshell__Sandbox__V1__SettingValue value = OPENSHELL__SANDBOX__V1__SETTING_VALUE__INIT;
    Openshell__V1__UpdateConfigRequest req = OPENSHELL__V1__UPDATE_CONFIG_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    value.value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE;
    value.string_value = gateway_text(mode);
    req.name = gateway_text(name);
    req.workspace = g->workspace;
    req.setting_key = gateway_text("proposal_approval_mode");
    req.setting_value = &value;
    if (gateway_ask(g, RPC_OPEN_SHELL_UPDATE_CONFIG, &req.base, &m, &err) != ERR_OK)
        show_err(
            cli, SHOW_WARNING,
            "the approval mode is not set: %s. Try 'openshell settings set %s --key proposal_approval_mode "
            "--value auto'",
            err.msg, name);
}

static int wait_ready(struct cli *cli, struct gateway *g, const Openshell__V1__Sandbox *s, bool structured,
                      const Openshell__V1__Sandbox **ret)
{
    enum progress_kind kind = structured              ? PROGRESS_NONE
                              : isatty(STDOUT_FILENO) ? PROGRESS_TERMINAL
                                                      : PROGRESS_LINES;
    const struct sandbox_wait wait = {.id = s->metadata->id,
                                      .name = s->metadata->name,
                                      .want = OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY,
                                      .idle_ms = sandbox_wait_ms(PROVISION_VARIABLE, PROVISION_S),
                                      .variable = PROVISION_VARIABLE,
                                      .kind = kind,
                                      .ended_is_enough = true};
    return sandbox_wait(cli, g, &wait, ret);
}

// Ready, or never to be. With --no-keep what came to nothing goes, unless it may still come to something.
static int settle(struct cli *cli, struct gateway *g, const struct args *a, const Openshell__V1__Sandbox *s)
{
    bool structured = show_is_structured(a, &create_opts[OPT_OUTPUT]);
    bool keep = args_count(a, &create_opts[OPT_NO_KEEP]) == 0;
    assert(s);
    const char *name = s->metadata->name;
    say_created(cli, name, structured);
    if (keep)
        sandbox_note_last(cli, g, name);
    set_approval(cli, g, a, name);
    const Openshell__V1__Sandbox *seen = NULL;
    int status = wait_ready(cli, g, s, structured, &seen);
    if (status != 0) {
        struct err ignored = {};
        if (!keep && sandbox_fetch(g, name, &seen, &ignored) == ERR_OK &&
            sandbox_is(seen, OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_ERROR))
            (void)sandbox_delete(cli, g, name); // the failure before is what counts
        return status;
    }
    if (structured) {
        bool ok = true;
        json_t *o = sandbox_json(seen, &ok);
        return show_structured(cli, a, &create_opts[OPT_OUTPUT], o, ok);
    }
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (args_count(a, &create_opts[OPT_DETACH]) > 0 || (keep && !terminal))
        return sandbox_has_ended(seen) && seen->status->exit_code != 0
                   ? report(cli, "'openshell sandbox connect' shows what it said",
                            "the command of sandbox %s has ended at once, exit status %d", name,
                            (int)seen->status->exit_code)
                   : 0;
    status = sandbox_attach(cli, g, seen, false);
    if (!keep) {
        int gone = sandbox_delete(cli, g, name);
        status = status ? status : gone;
    }
    return status;
}

static enum provider_auto auto_of(const struct args *a)
{
    if (args_count(a, &create_opts[OPT_AUTO]) > 0)
        return PROVIDER_AUTO_ALWAYS;
    return args_count(a, &create_opts[OPT_NO_AUTO]) > 0 ? PROVIDER_AUTO_NEVER : PROVIDER_AUTO_ASK;
}

static int fill_template(struct cli *cli, const struct args *a, struct arena *arena,
                         Openshell__V1__SandboxSpec *spec)
{
    struct err err = {};
    enum err_code r = sandbox_template(args_value(a, &create_opts[OPT_FROM]),
                                       args_value(a, &create_opts[OPT_CPU]),
                                       args_value(a, &create_opts[OPT_MEMORY]), arena, &spec->template_,
                                       &err);
    return r == ERR_OK ? 0 : report(cli, err.msg, "--from: there is no such image");
}

static int create_run(struct cli *cli, const struct args *a)
{
    int status = check_options(cli, a);
    if (status != 0)
        return status;
    CLEANUP(policy_file_done) struct policy_file f;
    CLEANUP(gateway_done) struct gateway g;
    policy_file_init(&f);
    gateway_init(&g);
    Openshell__V1__SandboxSpec spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    Openshell__V1__CreateSandboxRequest req = OPENSHELL__V1__CREATE_SANDBOX_REQUEST__INIT;
    const Openshell__V1__Sandbox *s = NULL;
    const char *name = args_value(a, &create_opts[OPT_NAME]);
    req.spec = &spec;
    req.name = gateway_text(name ? name : "");
    status = fill_maps(cli, a, &f.arena, &req);
    if (status == 0)
        status = fill_command(cli, a, &f.arena, &spec);
    if (status == 0)
        status = fill_template(cli, a, &f.arena, &spec);
    if (status == 0)
        status = fill_policy(cli, a, &f, &spec.policy);
    if (status == 0)
        status = gateway_open(cli, a, &g);
    if (status == 0)
        status = providers_resolve(cli, &g, auto_of(a), a->words_n > 0 ? a->words[0] : NULL, spec.providers,
                                   &spec.n_providers);
    if (status == 0)
        status = ask_create(cli, &g, &req, &s);
    return status == 0 ? settle(cli, &g, a, s) : status;
}

const struct command sandbox_create_command = {
    .name = "create",
    .alias = "",
    .section = "COMMANDS",
    .about = "Start a command in a new sandbox, and attach to it",
    .text = "Waits until the sandbox is ready. On a terminal it then attaches: every key is the command's, "
            "and Ctrl-P "
            "Ctrl-Q leaves it running. Elsewhere it returns, unless --no-keep asks for the command's end. "
            "The sandbox "
            "stays until it is deleted.",
    COMMAND_TABLE(opts, create_opts),
    COMMAND_TABLE(args, create_args),
    COMMAND_TABLE(examples, create_examples),
    COMMAND_TABLE(exits, create_exits),
    .run = create_run,
};
