#include "cli/commands.h"

#include "cli/gateway.h"
#include "cli/names.h"

// ---- what the interface has beyond the tree above
// -----------------------------------------------------------

static const struct unbuilt {
    const char *path, *alias;
    const char *leaves; // names of its subcommands without subcommands of their own, with blanks between
} unbuilts[] = {
    {"sandbox", "sb", "upload download ssh-config"},
    {"forward", "fwd", "start stop list service"},
    {"service", "svc", "expose list get delete"},
    {"rule", "rl", "get approve reject clear history approve-all"},
    {"provider profile", "", "import update lint delete"},
    {"provider refresh", "", "status configure rotate delete"},
    {"workspace", "ws", "create get list delete"},
    {"workspace member", "", "add remove list"},
    {"gateway", "gw", "login logout"},
    {"term", "", ""},
    {"ssh-proxy", "", ""},
};

static bool has_word(const char *list, const char *word)
{
    struct str rest = str_of(list), one;
    while (rest.n > 0 && str_split(&rest, ' ', &one))
        if (str_eq(one, str_of(word)))
            return true;
    return false;
}

static bool extend(char path[static COMMAND_PATH_MAX], const char *name)
{
    size_t n = strlen(path);
    int more = snprintf(path + n, COMMAND_PATH_MAX - n, "%s%s", n > 0 ? " " : "", name);
    return more > 0 && (size_t)more < COMMAND_PATH_MAX - n;
}

static bool command_unbuilt(char *path, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(unbuilts); i++) {
        const struct unbuilt *u = &unbuilts[i];
        if (strcmp(u->path, path) == 0 && has_word(u->leaves, word))
            return extend(path, word);
        struct str name = str_of(u->path); // what is left of the row's path behind `path`
        if (path[0] && (!str_skip(&name, str_of(path)) || !str_skip(&name, STR(" "))))
            continue;
        if (str_has(name, ' '))
            continue; // more than one word is left
        if (str_eq(name, str_of(word)) || (u->alias[0] && strcmp(u->alias, word) == 0))
            return extend(path, name.p); // the end of a literal: NUL-terminated
    }
    return false;
}

// ---- the tree
// ----

static const struct command *const policy_subs[] = {
    &policy_set_command,    &policy_update_command, &policy_get_command,     &policy_list_command,
    &policy_delete_command, &policy_check_command,  &policy_explain_command, &policy_test_command,
    &policy_fmt_command,    &policy_diff_command,
};

static const struct example policy_examples[] = {
    {"Is the file valid?", "openshell policy check policy.yaml"},
    {"May curl fetch that page?",
     "openshell policy explain policy.yaml --binary /usr/bin/curl GET https://api.github.com/zen"},
    {"What does the change open?", "openshell policy diff old.yaml new.yaml"},
};

static const struct command policy_command = {
    .name = "policy",
    .alias = "pol",
    .section = "SANDBOX COMMANDS",
    .about = "Change what sandboxes may do, and check, explain and compare policies",
    .text = "set, update, get, list and delete are about sandboxes that run. The others read policy files "
            "and need "
            "neither a gateway nor a sandbox; they decide with the same code that decides in a sandbox.",
    COMMAND_TABLE(examples, policy_examples),
    COMMAND_TABLE(subs, policy_subs),
};

static const struct command *const gateway_subs[] = {
    &gateway_add_command,  &gateway_list_command,   &gateway_select_command,
    &gateway_info_command, &gateway_remove_command,
};

static const struct command gateway_command = {
    .name = "gateway",
    .alias = "gw",
    .section = "GATEWAY COMMANDS",
    .about = "Register, choose and show gateways",
    .text = "The gateway is that of --gateway-endpoint, else of --gateway, else the active one, else one of "
            "your own "
            "on this machine, which is started when a command needs it.",
    COMMAND_TABLE(subs, gateway_subs),
};

static const struct command *const sandbox_subs[] = {
    &sandbox_create_command, &sandbox_get_command,     &sandbox_list_command,
    &sandbox_delete_command, &sandbox_stop_command,    &sandbox_start_command,
    &sandbox_exec_command,   &sandbox_connect_command, &sandbox_provider_command,
};

static const struct command sandbox_command = {
    .name = "sandbox",
    .alias = "sb",
    .section = "SANDBOX COMMANDS",
    .about = "Create, use, show and end sandboxes",
    .text = "A gateway runs them. Where none is configured, the command that needs one starts one for you.",
    COMMAND_TABLE(subs, sandbox_subs),
};

static const struct command *const profile_subs[] = {&provider_profile_export_command};

static const struct command provider_profile_command = {
    .name = "profile",
    .alias = "",
    .section = "COMMANDS",
    .about = "Kinds of providers as documents",
    COMMAND_TABLE(subs, profile_subs),
};

static const struct command *const provider_subs[] = {
    &provider_create_command,  &provider_get_command,    &provider_list_command,
    &provider_update_command,  &provider_delete_command, &provider_list_profiles_command,
    &provider_profile_command,
};

static const struct command provider_command = {
    .name = "provider",
    .alias = "",
    .section = "SANDBOX COMMANDS",
    .about = "Keep credentials that sandboxes use without seeing them",
    .text = "A provider is a set of credentials of one kind, which says where they may go. In a sandbox "
            "there are "
            "placeholders in their place.",
    COMMAND_TABLE(subs, provider_subs),
};

static const struct command *const root_subs[] = {
    &sandbox_command,  &logs_command,      &policy_command,      &settings_command,
    &provider_command, &inference_command, &gateway_command,     &status_command,
    &whoami_command,   &doctor_command,    &completions_command,
};

static const struct example root_examples[] = {
    {"Find mistakes in a policy", "openshell policy check policy.yaml"},
    {"See why a request is denied",
     "openshell policy explain policy.yaml --binary /usr/bin/git GET https://github.com/"},
    {"Complete commands in bash", "source <(openshell completions bash)"},
};

static const struct command root_command = {
    .name = "openshell",
    .alias = "",
    .about = "Sandboxes for autonomous AI agents, ruled by declarative policies",
    .text = "OpenShell runs AI agents in sandboxes whose files, processes, network and model calls obey a "
            "policy.",
    COMMAND_TABLE(examples, root_examples),
    COMMAND_TABLE(opts, gateway_opts),
    COMMAND_TABLE(subs, root_subs),
    .unbuilt = command_unbuilt,
    .names = names_list,
};

const struct command *command_root(void)
{
    return &root_command;
}
