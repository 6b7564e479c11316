// Lines in files: DIR/ID.log, and DIR/ID.1.log for those before it, each a row of records (four bytes of
// length, little-endian, then a packed line). One thread writes; nobody waits for it. A record that a crash
// has cut off is removed when the file is read, which is before anything is added to it.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/watch_internal.h"
#include "rpc/wire.h"

enum { PATH_SIZE = 4096, HEAD = 4 };

static bool path_of(const struct watch *w, const struct bus *b, bool older, char dst[static PATH_SIZE])
{
    return snprintf(dst, PATH_SIZE, "%s/%s%s.log", w->dir, b->id, older ? ".1" : "") < PATH_SIZE;
}

static void complain(const struct watch *w, const struct bus *b, const struct err *err)
{
    log_warning(w->log, "watch.file", LOG_WORD("sandbox", str_of(b->id)), LOG_REASON(err));
}

// ---- reading

// Bytes of the record at `at`, its head included; 0: there is no whole one.
static size_t record_at(struct str all, size_t at, struct str *ret)
{
    if (all.n - at < HEAD)
        return 0;
    const unsigned char *p = (const unsigned char *)all.p + at;
    size_t n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    if (n > ITEM_MAX || n > all.n - at - HEAD)
        return 0;
    *ret = (struct str){all.p + at + HEAD, n};
    return HEAD + n;
}

static bool is_line(struct str bytes)
{
    struct err err = {};
    return wire_check(&openshell__v1__sandbox_log_line__descriptor, bytes, &err) == ERR_OK;
}

static struct item *item_of(struct str bytes)
{
    struct item *x = malloc(sizeof(*x) + bytes.n);
    if (!x)
        return NULL;
    atomic_init(&x->refs, 1);
    x->is_event = false;
    x->n = bytes.n;
    memcpy(x->bytes, bytes.p, bytes.n);
    return x;
}

// The lines of a file go to the end of `ret`. *ret_whole: the bytes before the first that is no record.
// False: it could not be read, or is not there.
static bool read_file(const char *path, struct ring *ret, size_t *ret_whole)
{
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, 1);
    struct err err = {};
    struct str one = {};
    *ret_whole = 0;
    if (file_read(path, 3 * WATCH_FILE_MAX, &bytes, &err) != ERR_OK) // one that is full, and one more batch
        return false;
    for (size_t n; (n = record_at(buf_str(&bytes), *ret_whole, &one)) > 0; *ret_whole += n) {
        struct item *x = is_line(one) ? item_of(one) : NULL;
        if (x)
            (void)ring_push(ret, x, WATCH_LOG_BYTES);
        item_unref(x);
    }
    return true;
}

// io is held.
static void load_locked(struct watch *w, struct bus *b)
{
    char path[PATH_SIZE];
    struct ring old = {.max = WATCH_LOG_LINES};
    struct stat st;
    size_t whole = 0;
    if (path_of(w, b, true, path))
        (void)read_file(path, &old, &whole);
    if (path_of(w, b, false, path) && read_file(path, &old, &whole) && stat(path, &st) == 0 &&
        (size_t)st.st_size > whole && truncate(path, (off_t)whole) != 0)
        (void)unlink(path); // what cannot be mended is not added to
    (void)pthread_mutex_lock(&w->mu);
    bool room = true;
    for (size_t i = old.n; i > 0 && room; i--)
        room = ring_unshift(&b->lines, old.v[(old.head + i - 1) % old.cap], WATCH_LOG_BYTES);
    b->loaded = true;
    (void)pthread_mutex_unlock(&w->mu);
    ring_clear(&old);
}

void file_load(struct watch *w, struct bus *b)
{
    (void)pthread_mutex_lock(&w->io);
    (void)pthread_mutex_lock(&w->mu);
    bool loaded = b->loaded;
    (void)pthread_mutex_unlock(&w->mu);
    if (!loaded)
        load_locked(w, b);
    (void)pthread_mutex_unlock(&w->io);
}

// ---- writing

void file_mark(struct watch *w, struct bus *b)
{
    if (b->is_dirty)
        return;
    b->is_dirty = true;
    b->pins++;
    b->dirty_next = w->dirty;
    w->dirty = b;
    (void)pthread_cond_signal(&w->work);
}

static void rotate(const struct watch *w, const struct bus *b, const char *path, int fd)
{
    char older[PATH_SIZE];
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size >= WATCH_FILE_MAX && path_of(w, b, true, older))
        (void)rename(path, older); // best effort: the file grows until it works
}

static void append(struct watch *w, struct bus *b, const struct ring *lines)
{
    char path[PATH_SIZE];
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(buf_done) struct buf bytes;
    struct err err = {};
    buf_init(&bytes, (size_t)BUS_UNWRITTEN * (ITEM_MAX + HEAD));
    for (size_t i = 0; i < lines->n; i++) {
        const struct item *x = lines->v[(lines->head + i) % lines->cap];
        for (size_t k = 0; k < HEAD; k++)
            buf_addc(&bytes, (char)(x->n >> (8 * k)));
        buf_add(&bytes, (struct str){x->bytes, x->n});
    }
    if (!path_of(w, b, false, path))
        return;
    enum err_code c = buf_check(&bytes, "log lines", &err);
    if (c == ERR_OK)
        c = fd_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, &fd, &err);
    if (c == ERR_OK)
        c = fd_write_all(fd, buf_str(&bytes), &err);
    if (c == ERR_OK)
        rotate(w, b, path, fd);
    else
        complain(w, b, &err);
}

static void remove_files(const struct watch *w, const struct bus *b)
{
    char path[PATH_SIZE];
    for (int older = 0; older < 2; older++)
        if (path_of(w, b, older, path))
            (void)unlink(path); // there may be none
}

// mu is held, and given up meanwhile.
static void write_one(struct watch *w, struct bus *b)
{
    struct ring lines = b->unwritten;
    b->unwritten = (struct ring){.max = lines.max};
    b->is_dirty = false;
    bool gone = b->forgotten, loaded = b->loaded;
    (void)pthread_mutex_unlock(&w->mu);
    (void)pthread_mutex_lock(&w->io);
    if (gone) {
        remove_files(w, b);
    } else {
        if (!loaded)
            load_locked(w, b);
        append(w, b, &lines);
    }
    (void)pthread_mutex_unlock(&w->io);
    ring_clear(&lines);
    (void)pthread_mutex_lock(&w->mu);
    bus_unpin(w, b);
}

static void *write_all(void *arg)
{
    struct watch *w = arg;
    (void)pthread_mutex_lock(&w->mu);
    while (w->dirty || !w->stopping) {
        struct bus *b = w->dirty;
        if (b) {
            w->dirty = b->dirty_next;
            write_one(w, b);
        } else {
            (void)pthread_cond_wait(&w->work, &w->mu);
        }
    }
    (void)pthread_mutex_unlock(&w->mu);
    return NULL;
}

enum err_code watch_keep(struct watch *w, const char *dir, struct log *log, struct err *reterr)
{
    if (!str_cstr(str_of(dir), w->dir, sizeof(w->dir)))
        return err_set(reterr, ERR_LIMIT, "the path of the folder for logs is too long");
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
    w->log = log;
    int failed = pthread_create(&w->writer, NULL, write_all, w);
    if (failed != 0)
        return err_set(reterr, ERR_LIMIT, "no thread for logs: %s", fd_strerror(failed));
    w->keeps = true;
    return ERR_OK;
}

void file_stop(struct watch *w)
{
    (void)pthread_mutex_lock(&w->mu);
    w->stopping = true;
    (void)pthread_cond_signal(&w->work);
    (void)pthread_mutex_unlock(&w->mu);
    (void)pthread_join(w->writer, NULL);
}
