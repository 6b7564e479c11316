#include "supervisor/commands.h"

static const struct command *const root_subs[] = {&run_command, &reload_command, &doctor_command,
                                                  &supervise_command};

static const struct example root_examples[] = {
    {"Run a command under a policy",
     "openshell-sandbox run --policy p.yaml --workdir . -- git clone https://github.com/o/r"},
    {"Give the running sandbox another policy", "openshell-sandbox reload 4711 p.yaml"},
    {"Ask whether this machine can hold a sandbox", "openshell-sandbox doctor"},
};

static const struct command root_command = {
    .name = "openshell-sandbox",
    .alias = "",
    .about = "Run one command in a sandbox whose files, processes and network obey a policy",
    .text = "This is the executable that compute drivers place into every sandbox. It also works by itself, "
            "as root and as "
            "an ordinary user, with no container engine and no service.",
    COMMAND_TABLE(examples, root_examples),
    COMMAND_TABLE(subs, root_subs),
};

const struct command *sandbox_root(void)
{
    return &root_command;
}
