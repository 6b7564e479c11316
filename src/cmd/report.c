#include "cmd/report.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cmd/help.h"

enum { REPORT_MAX = 64 * KIB };

void cli_init(struct cli *cli)
{
    *cli = (struct cli){};
    buf_init(&cli->out, CLI_OUT_MAX);
    term_init(&cli->out_term, STDOUT_FILENO);
    term_init(&cli->err_term, STDERR_FILENO);
    cli->log = (struct log){.fd = STDERR_FILENO, .level = LOG_LEVEL_WARNING, .colour = cli->err_term.colour};
}

void cli_done(struct cli *cli)
{
    buf_done(&cli->out);
}

// 0 or an errno: the caller tells a reader that went away from a disk that is full. A descriptor that
// somebody else made non-blocking is waited for.
static int write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n >= 0) {
            s = str_from(s, (size_t)n);
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            (void)poll(&p, 1, -1); // whatever it says, the next write knows
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

void cli_flush(struct cli *cli)
{
    if (cli->write_errno == 0 && cli->out.full)
        cli->write_errno = EFBIG;
    if (cli->write_errno == 0)
        cli->write_errno = write_all(STDOUT_FILENO, buf_str(&cli->out));
    buf_clear(&cli->out);
}

// Standard error is the last resort: where it cannot be written, nobody can be told.
void cli_write_err(struct cli *cli, const struct buf *b)
{
    cli_flush(cli);
    (void)write_all(STDERR_FILENO, buf_str(b));
}

// ---- frames
// -------------------------------------------------------------------------------------------------

// One message of a frame: `head` in front of its first line, `lead` in front of the others.
static void frame_part(const struct term *t, const char *head, const char *lead, const char *msg,
                       struct buf *out)
{
    size_t at = term_columns(str_of(head));
    term_put(out, t, STYLE_RED, "%s", head);
    term_wrap(out, str_of(msg), at, at > 10 ? term_columns(str_of(lead)) : at, lead, t->width);
    buf_addc(out, '\n');
}

void report_frame(const struct term *t, const char *msg, const char *const *causes, struct buf *out)
{
    bool u = t->unicode;
    term_put(out, t, STYLE_RED, "%s", "Error: ");
    const char *bar = u ? "  │ " : "  | ";
    frame_part(t, u ? "  × " : "  x ", bar, msg, out);
    for (; *causes; causes++) {
        bool last = !causes[1];
        const char *tee = u ? "  ├─▶ " : "  |-> ", *elbow = u ? "  ╰─▶ " : "  `-> ";
        frame_part(t, last ? elbow : tee, last ? "" : bar, *causes, out);
    }
}

int report(struct cli *cli, const char *cause, const char *fmt, ...)
{
    char msg[1024], why[600] = "";
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    utf8_clean(msg, strlen(msg));
    (void)snprintf(why, sizeof(why), "%s", cause ? cause : "");
    utf8_clean(why, strlen(why));
    const char *const causes[] = {cause ? why : NULL, NULL};
    struct buf b;
    buf_init(&b, REPORT_MAX);
    report_frame(&cli->err_term, msg, causes, &b);
    cli_write_err(cli, &b);
    buf_done(&b);
    return EXIT_FAILED;
}

int report_usage(struct cli *cli, const struct args *a, const char *tip, const char *fmt, ...)
{
    char msg[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    for (char *line = msg; *line;) { // the parser's lists have lines of their own
        size_t n = strcspn(line, "\n");
        utf8_clean(line, n);
        line += n + (line[n] == '\n');
    }
    struct buf b;
    buf_init(&b, REPORT_MAX);
    const struct term *t = &cli->err_term;
    term_put(&b, t, STYLE_AND(STYLE_BOLD, STYLE_RED), "error:");
    buf_addf(&b, " %s\n", msg);
    if (tip && tip[0])
        buf_addf(&b, "\n  tip: %s\n", tip);
    buf_addc(&b, '\n');
    term_put(&b, t, STYLE_BOLD, "Usage:");
    buf_addc(&b, ' ');
    help_usage(a->path, a->depth, &b);
    buf_addf(&b, "\n\nFor more information, try '--help'.\n");
    cli_write_err(cli, &b);
    buf_done(&b);
    return EXIT_USAGE;
}

int report_conflict(struct cli *cli, const struct args *a, const struct opt *one, const struct opt *other)
{
    char first[ARGS_NAME_MAX], second[ARGS_NAME_MAX];
    if (args_count(a, one) == 0 || args_count(a, other) == 0)
        return 0;
    args_opt_name(one, first);
    args_opt_name(other, second);
    return report_usage(cli, a, NULL, "the argument '%s' cannot be used with '%s'", first, second);
}
