#include "supervisor/eventlog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/events/event.h"

enum { NAME_MAX_BYTES = 4096 };

struct eventlog {
    int fd;
    bool file, all;
    uint64_t size, lost;
    char path[NAME_MAX_BYTES];
};

static enum err_code file_open(struct eventlog *l, struct err *e)
{
    struct stat st;
    CLEANUP(fd_close) int fd = -1;
    // Non-blocking, for a pipe without a reader would hold the start up; it is refused below.
    enum err_code r = fd_open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0600, &fd, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "event log");
    if (fstat(fd, &st) != 0)
        return err_set(e, fd_code(errno), "event log %s: %s", l->path, fd_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "event log %s: not a regular file", l->path);
    l->size = (uint64_t)st.st_size;
    fd_close(&l->fd);
    l->fd = fd_take(&fd);
    return ERR_OK;
}

enum err_code eventlog_open(const char *path, bool all, struct eventlog **ret, struct err *e)
{
    struct eventlog *l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(e, ERR_LIMIT, "no memory for the event log");
    *l = (struct eventlog){.fd = -1, .all = all};
    enum err_code r = ERR_OK;
    if (!path) {
        l->fd = STDERR_FILENO;
    } else if (!str_cstr(str_of(path), l->path, sizeof(l->path) - 8)) { // room for ".N"
        r = err_set(e, ERR_INVALID, "event log: its path is too long");
    } else {
        l->file = true;
        r = file_open(l, e);
    }
    if (r != ERR_OK) {
        eventlog_free(l);
        return r;
    }
    *ret = l;
    return ERR_OK;
}

void eventlog_free(struct eventlog *l)
{
    if (l && l->file)
        fd_close(&l->fd);
    free(l);
}

// A file that cannot be rotated goes on growing rather than be lost.
static void rotate(struct eventlog *l)
{
    char from[NAME_MAX_BYTES + 16], to[NAME_MAX_BYTES + 16];
    for (int i = EVENTLOG_FILES - 1; i > 0; i--) {
        (void)snprintf(to, sizeof(to), "%s.%d", l->path, i);
        (void)snprintf(from, sizeof(from), i > 1 ? "%s.%d" : "%s", l->path, i - 1);
        (void)rename(from, to); // best effort, see above
    }
    struct err ignored;
    (void)!file_open(l, &ignored);
}

// "2026-… OCSF NET:OPEN [INFO] …"
static bool informational(struct str line)
{
    struct str word;
    for (int i = 0; i < 4 && str_split(&line, ' ', &word); i++)
        if (str_eq(word, STR("[INFO]")) || str_eq(word, STR("[LOW]")))
            return true;
    return false;
}

static bool put(struct eventlog *l, struct str s)
{
    ssize_t n;
    do
        n = write(l->fd, s.p, s.n);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        l->size += (uint64_t)n;
    if (n > 0 && (size_t)n < s.n) // cut by a full disk: the next one begins on a line of its own
        l->size += write(l->fd, "\n", 1) == 1;
    return n == (ssize_t)s.n;
}

void eventlog_write(struct eventlog *l, struct str line)
{
    if (!l->file && !l->all && informational(line))
        return;
    if (l->file && l->size + line.n > EVENTLOG_FILE_MAX)
        rotate(l);
    if (l->lost > 0) {
        char text[80];
        (void)snprintf(text, sizeof(text), "%llu events were lost: the log could not be written",
                       (unsigned long long)l->lost);
        const struct event gap = {.class = EVENT_CONFIG,
                                  .severity = EVENT_MEDIUM,
                                  .state = STR("degraded"),
                                  .message = str_of(text)};
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, KIB);
        event_line(&gap, (uint64_t)clock_realtime_ms(), &b);
        if (!put(l, buf_str(&b))) {
            l->lost++;
            return;
        }
        l->lost = 0;
    }
    l->lost += !put(l, line);
}
