#include "cmd/command.h"

const char *const command_table_or_json[] = {"table", "json", NULL};
const char *const command_formats[] = {"table", "yaml", "json", NULL};

static const struct opt globals[GLOBALS] = {
    [GLOBAL_VERBOSE] = {.name = "verbose",
                        .letter = 'v',
                        .type = OPT_COUNT,
                        .repeat = true,
                        .help = "Say more about what is done, on standard error; -vv says still more"},
    [GLOBAL_HELP] = {.name = "help", .letter = 'h', .type = OPT_FLAG, .repeat = true, .help = "Print help"},
    [GLOBAL_VERSION] =
        {.name = "version", .letter = 'V', .type = OPT_FLAG, .repeat = true, .help = "Print the version"},
};

const struct opt *command_globals(void)
{
    return globals;
}
