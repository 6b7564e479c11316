// cmd/command.h: commands, options and arguments as tables. The parser, the help pages, the manual and shell
// completion all read the same rows, so none of them can say something that another does not do.
#pragma once
#include "base/base.h"

enum opt_type {
    OPT_FLAG,   // given or not
    OPT_COUNT,  // -vv
    OPT_STRING, // any text
    OPT_ENUM,   // one of `values`
    OPT_PATH,   // a file; "-" is the command's business
    OPT_U32,    // decimal
};

struct opt {
    const char *name; // long name without the dashes
    char letter;      // short name, or 0
    enum opt_type type;
    const char *value;         // what help calls the value: "PATH"; NULL for FLAG and COUNT
    const char *const *values; // ENUM: ends with NULL
    bool repeat, required;
    const char *def, *env; // env: names the variable that counts where the option is not given
    const char *help;      // a sentence without its full stop
    bool hidden;           // understood, and neither on help pages nor in completions
    const char *kind;      // what it names, for the root's `names`; NULL: nothing that can be listed
};

enum arg_place {
    ARG_ANYWHERE,
    ARG_REST,          // from its first word on, all of the line is words
    ARG_BEHIND_DASHES, // only behind "--"
};

struct arg { // a positional argument; only the last of a command repeats
    const char *name;
    enum opt_type type;
    const char *const *values;
    bool repeat, optional;
    enum arg_place place;
    const char *help;
    const char *kind; // as of an option
};

struct example {
    const char *what, *line;
};

struct exit_row {
    int status;
    const char *help;
};

struct cli;
struct args;

struct command {
    const char *name, *alias; // alias: "" where there is none
    const char *section;      // the heading it stands under on its parent's page
    const char *about;        // one line without a full stop
    const char *text; // paragraphs with an empty line between; what help and the manual say beyond `about`
    const struct arg *args;
    size_t args_n;
    const struct opt *opts;
    size_t opts_n;
    const struct example *examples;
    size_t examples_n;
    const struct exit_row *exits; // beyond 0 and 2 for misuse, which every command has
    size_t exits_n;
    const struct command *const *subs;
    size_t subs_n;
    int (*run)(struct cli *cli, const struct args *a); // the exit status; NULL for a group
    // Of the root only, NULL for none: commands of the interface that this program does not have yet. `path`
    // holds those found so far ("" or "sandbox"); true: `word` (or its alias) continues it, and `path` now
    // says so.
    bool (*unbuilt)(char *path, const char *word);
    // Of the root only, NULL for none: calls `add` with each name of that kind which the line `v` may mean.
    void (*names)(const char *kind, char *const *v, size_t n, void (*add)(void *ctx, const char *name),
                  void *ctx);
};

enum {
    COMMAND_DEPTH_MAX = 4, // openshell sandbox provider list
    COMMAND_PATH_MAX = 80, // bytes of "openshell policy check" and the like
};

// The rows of a table and how many: COMMAND_TABLE(args, check_args).
#define COMMAND_TABLE(member, table) .member = (table), .member##_n = ARRAY_LEN(table)

// -v, -h and -V, which every command takes before and after its name. So it does the options of the root.
enum { GLOBAL_VERBOSE, GLOBAL_HELP, GLOBAL_VERSION, GLOBALS };
[[nodiscard]] const struct opt *command_globals(void);

extern const char *const command_table_or_json[], *const command_formats[]; // values that several take
