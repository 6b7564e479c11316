// cmd/args.h: the words of a command line, checked against the tables of command.h.
//
// GNU long options, spelled in full: `--opt value`, `--opt=value`; letters: `-o value`, `-ovalue`, `-vv`;
// `--` ends options. Options may stand between arguments. A value of its own word does not begin with '-',
// save "-" itself.
#pragma once
#include "cmd/command.h"

enum args_result {
    ARGS_RUN,     // a->cmd->run
    ARGS_HELP,    // asked for, or a group without a subcommand
    ARGS_VERSION, // asked for
    ARGS_UNBUILT, // a->unbuilt names a command of the interface that does not exist yet
    ARGS_BAD,     // a->error, perhaps a->tip
};

struct args_given {
    const struct opt *opt;
    const char *value; // NULL for FLAG and COUNT
};

struct args {
    const struct command *path[COMMAND_DEPTH_MAX]; // path[0] is the root
    size_t depth;
    const struct command *cmd; // the last of path
    struct args_given *given;  // in the order of the command line
    size_t given_n;
    const char **words; // positional arguments, borrowed from argv
    size_t words_n;
    char unbuilt[COMMAND_PATH_MAX];
    char error[400], tip[200];
};

// `a` is zeroed before; args_done() whatever comes back. Words and values are borrowed from argv and the
// environment.
[[nodiscard]] enum args_result args_parse(int argc, char *const *argv, const struct command *root,
                                          struct args *a) NONNULL;
void args_done(struct args *a) NONNULL;

// How often an option was given.
[[nodiscard]] size_t args_count(const struct args *a, const struct opt *opt) NONNULL;

// Its value, else that of its variable, else its default, else NULL.
[[nodiscard]] const char *args_value(const struct args *a, const struct opt *opt) NONNULL;

// Whether `opt` was given, and behind the last `than`: of two that contradict each other the last one wins.
[[nodiscard]] bool args_later(const struct args *a, const struct opt *opt, const struct opt *than) NONNULL;

// The number that an OPT_U32 is; 0 where it has no value at all.
[[nodiscard]] uint32_t args_u32(const struct args *a, const struct opt *opt) NONNULL;

// The i-th value of a repeatable option, or NULL.
[[nodiscard]] const char *args_nth(const struct args *a, const struct opt *opt, size_t i) NONNULL;

[[nodiscard]] static inline bool args_is(const struct args *a, const struct opt *opt, const char *value)
{
    const char *v = args_value(a, opt);
    return v && strcmp(v, value) == 0;
}

// "--output <FORMAT>", "<FILE>...": as messages and help pages name them.
enum { ARGS_NAME_MAX = 80 };
void args_opt_name(const struct opt *opt, char out[static ARGS_NAME_MAX]) NONNULL;
void args_arg_name(const struct arg *arg, char out[static ARGS_NAME_MAX]) NONNULL;

// "openshell policy check": the first `depth` commands of the path.
void args_path(const struct args *a, size_t depth, char out[static COMMAND_PATH_MAX]) NONNULL;

// Looks a word up among the options of `cmd`, of the root and the global ones: by name (length n), or by
// letter.
[[nodiscard]] const struct opt *args_find_opt(const struct command *root, const struct command *cmd,
                                              struct str name) NONNULL;
[[nodiscard]] const struct opt *args_find_letter(const struct command *root, const struct command *cmd,
                                                 char letter) NONNULL;
[[nodiscard]] const struct command *args_find_sub(const struct command *cmd, struct str name) NONNULL;

[[nodiscard]] static inline bool opt_takes_value(const struct opt *opt)
{
    return opt->type != OPT_FLAG && opt->type != OPT_COUNT;
}
