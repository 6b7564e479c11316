#include "cmd/program.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd/complete.h"
#include "cmd/help.h"
#include "cmd/report.h"

// A descriptor that the caller closed must not be taken by the first file we open: messages would go into it.
static void open_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY); // the lowest free one is `fd`
}

// COMPLETE=SHELL: never runs a command, and never fails aloud.
static int complete(struct cli *cli, const struct command *root, const char *name, int argc,
                    char *const *argv)
{
    enum shell shell;
    uint64_t at;
    if (!complete_shell(name, &shell))
        return 0;
    if (argc < 2)
        complete_script(root->name, shell, &cli->out);
    else if (str_u64(str_of(argv[1]), INT32_MAX, &at))
        complete_words(root, argv + 2, (size_t)argc - 2, (size_t)at, shell, &cli->out);
    return 0;
}

static int run(struct cli *cli, const struct command *root, int argc, char *const *argv)
{
    struct args a;
    enum args_result r = args_parse(argc, argv, root, &a);
    size_t verbose = args_count(&a, &command_globals()[GLOBAL_VERBOSE]);
    cli->log.level = verbose == 0 ? LOG_LEVEL_WARNING : verbose == 1 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
    int status = 0;
    switch (r) {
    case ARGS_RUN:
        status = a.cmd->run(cli, &a);
        break;
    case ARGS_HELP:
        help_page(a.path, a.depth, &cli->out_term, &cli->out);
        break;
    case ARGS_VERSION:
        buf_addf(&cli->out, "%s %s\n", root->name, OPENSHELL_VERSION);
        break;
    case ARGS_UNBUILT:
        status = report(cli, NULL, "not built yet: '%s' comes with the gateway", a.unbuilt);
        break;
    case ARGS_BAD:
        status = report_usage(cli, &a, a.tip, "%s", a.error);
        break;
    }
    args_done(&a);
    return status;
}

int program_main(const struct command *root, int argc, char **argv)
{
    open_standard_fds();
    (void)signal(SIGPIPE, SIG_IGN); // a reader that goes away is EPIPE, and no reason to die by a signal
    (void)setlocale(LC_CTYPE, "C.UTF-8"); // for wcwidth(): our files are UTF-8 whatever the user's locale is
    struct cli cli;
    cli_init(&cli);
    const char *shell = getenv("COMPLETE");
    int status = shell && shell[0] ? complete(&cli, root, shell, argc, argv) : run(&cli, root, argc, argv);
    cli_flush(&cli);
    if (cli.write_errno != 0 && cli.write_errno != EPIPE) // who closed the pipe has read what they wanted
        status = report(&cli, fd_strerror(cli.write_errno), "cannot write to standard output");
    cli_done(&cli);
    return status;
}
