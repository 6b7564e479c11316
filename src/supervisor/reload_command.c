#include "cmd/policy_file.h"
#include "cmd/report.h"
#include "supervisor/commands.h"
#include "supervisor/reload.h"

static const struct arg reload_args[] = {
    {.name = "PID", .type = OPT_U32, .help = "The process id of 'openshell-sandbox run'"},
    {.name = "FILE", .type = OPT_PATH, .help = "The policy that it shall obey from now on"},
};

static const struct example reload_examples[] = {
    {"Allow something more", "openshell-sandbox reload 4711 wider.yaml"},
    {"The file of the start was edited", "kill -HUP 4711"},
};

static int reload_run(struct cli *cli, const struct args *a)
{
    CLEANUP(policy_file_done) struct policy_file f;
    policy_file_init(&f);
    struct err err = {};
    uint64_t pid = 0, generation = 0;
    uint32_t cut = 0;
    enum err_code r = policy_file_load(a->words[1], &f, &err);
    if (r != ERR_OK)
        return policy_file_report(cli, a->words[1], &f, r, &err);
    if (!str_u64(str_of(a->words[0]), INT32_MAX, &pid) || pid == 0)
        return report_usage(cli, a, NULL, "'%s' is not a process id", a->words[0]);
    r = reload_ask((pid_t)pid, buf_str(&f.text), &generation, &cut, &err);
    if (r != ERR_OK)
        return report(cli, err.msg,
                      r == ERR_TIMEOUT ? "the new policy is in force, but old connections are left"
                                       : "the policy was not replaced; the previous one stays in force");
    buf_addf(&cli->out, "Policy in force: generation %llu, %u connections ended\n",
             (unsigned long long)generation, cut);
    return 0;
}

const struct command reload_command = {
    .name = "reload",
    .alias = "",
    .section = "COMMANDS",
    .about = "Give a running sandbox another network policy",
    .text =
        "The file is checked as a whole first; a bad one changes nothing. When the command returns, the new "
        "policy is in "
        "force: requests in flight end under the old one, and connections that the new one refuses are gone. "
        "filesystem_policy, landlock and process are fixed when a sandbox starts and must be the same.",
    COMMAND_TABLE(args, reload_args),
    COMMAND_TABLE(examples, reload_examples),
    .run = reload_run,
};
