#include "cmd/term.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tap.h"

static const struct {
    const char *no_colour, *term, *lang, *lc_all;
    unsigned short columns;
    bool colour, unicode;
    size_t width;
    const char *rule;
} rows[] = {
    {NULL, "xterm", "en_US.UTF-8", NULL, 100, true, true, 100, "a terminal has colour and its width"},
    {"1", "xterm", "en_US.UTF-8", NULL, 100, false, true, 100, "NO_COLOR takes the colour"},
    {"", "xterm", "en_US.UTF-8", NULL, 100, true, true, 100, "an empty NO_COLOR does not"},
    {NULL, "dumb", "en_US.UTF-8", NULL, 100, false, true, 100, "nor has a dumb terminal colour"},
    {NULL, NULL, "en_US.UTF-8", NULL, 100, false, true, 100, "nor one without a name"},
    {NULL, "xterm", "C", NULL, 100, true, false, 100, "the C locale has ASCII"},
    {NULL, "xterm", "C.utf8", NULL, 100, true, true, 100, "utf8 is a spelling of UTF-8"},
    {NULL, "xterm", "de_DE.UTF-8@euro", NULL, 100, true, true, 100, "a modifier does not count"},
    {NULL, "xterm", "en_US.UTF-8", "C", 100, true, false, 100, "LC_ALL comes first"},
    {NULL, "xterm", NULL, NULL, 100, true, false, 100, "no locale has ASCII"},
    {NULL, "linux", "en_US.UTF-8", NULL, 100, true, false, 100, "the console's font lacks the signs"},
    {NULL, "xterm", "C", NULL, 0, true, false, 80, "80 columns where nobody says"},
    {NULL, "xterm", "C", NULL, 10, true, false, 40, "at least 40"},
    {NULL, "xterm", "C", NULL, 9999, true, false, 400, "at most 400"},
};

static void set(const char *name, const char *value)
{
    if (value)
        (void)setenv(name, value, 1);
    else
        (void)unsetenv(name);
}

static void test_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    int fd = master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0
                 ? open(ptsname(master), O_RDWR | O_NOCTTY)
                 : -1;
    if (fd < 0) {
        tap_ok(true, "terminals # SKIP no pseudo-terminal here");
        return;
    }
    set("LC_CTYPE", NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        set("NO_COLOR", rows[i].no_colour);
        set("TERM", rows[i].term);
        set("LANG", rows[i].lang);
        set("LC_ALL", rows[i].lc_all);
        const struct winsize ws = {.ws_col = rows[i].columns};
        (void)ioctl(fd, TIOCSWINSZ, &ws);
        struct term t;
        term_init(&t, fd);
        tap_ok(t.colour == rows[i].colour && t.unicode == rows[i].unicode && t.width == rows[i].width, "%s",
               rows[i].rule);
    }
    (void)close(fd);
    (void)close(master);
    int pipe_fds[2];
    if (pipe(pipe_fds) == 0) {
        struct term t;
        term_init(&t, pipe_fds[1]);
        tap_ok(!t.colour && t.unicode && t.width == 80, "a pipe has no colour, 80 columns, and Unicode");
    }
}

static const struct {
    const char *text;
    size_t at, indent;
    const char *lead, *want, *rule;
} wraps[] = {
    {"aaa bbb ccc", 0, 0, "", "aaa bbb\nccc", "a line is broken at a blank"},
    {"aaaa bbbbb c", 0, 0, "", "aaaa bbbbb\nc", "ten columns fit"},
    {"aaaa bbbbbb c", 0, 0, "", "aaaa\nbbbbbb c", "eleven do not"},
    {"aa bb cc", 6, 2, "", "aa\n  bb cc", "it begins at a column, and goes on at another"},
    {"aaaaaaaaaaaa b", 4, 2, "", "aaaaaaaaaaaa\n  b", "a long word stays whole"},
    {"aa\nbb", 0, 4, "  | ", "aa\n  | bb", "line breaks count, and lines have a lead"},
    {"", 0, 0, "", "", "no text"},
    {"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2 bb", 0, 0, "",
     "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\nbb", "wide characters count twice"},
};

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    test_terminal();
    for (size_t i = 0; i < ARRAY_LEN(wraps); i++) {
        struct buf out;
        buf_init(&out, KIB);
        term_wrap(&out, str_of(wraps[i].text), wraps[i].at, wraps[i].indent, wraps[i].lead, 10);
        if (!tap_ok(str_eq(buf_str(&out), str_of(wraps[i].want)), "%s", wraps[i].rule))
            tap_note("got %s", out.p);
        buf_done(&out);
    }
    return tap_done();
}
