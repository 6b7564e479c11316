#include "base/secret.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

// At the start of the first page with access: | no access | header, bytes … | no access |
struct secret_pages {
    size_t n;      // bytes of the secret
    size_t room;   // bytes there is room for
    size_t mapped; // bytes with access
    char bytes[];
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

// Both limits that are only best effort: locked memory is scarce for an ordinary user (8 MiB), and a secret
// that may be swapped out is better than a program that stops at the thousandth.
static struct secret_pages *pages_new(size_t room)
{
    size_t page = page_size();
    size_t mapped = (sizeof(struct secret_pages) + room + page - 1) / page * page;
    char *p = mmap(NULL, mapped + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (mprotect(p + page, mapped, PROT_READ | PROT_WRITE) != 0) {
        (void)munmap(p, mapped + 2 * page);
        return NULL;
    }
    (void)madvise(p + page, mapped, MADV_DONTDUMP);
    (void)mlock(p + page, mapped);
    struct secret_pages *pages = (void *)(p + page);
    pages->room = room;
    pages->mapped = mapped;
    return pages;
}

static void pages_free(struct secret_pages *pages)
{
    size_t page = page_size(), mapped = pages->mapped;
    explicit_bzero(pages, mapped);
    (void)munmap((char *)pages - page, mapped + 2 * page);
}

static void pages_freep(struct secret_pages **pages)
{
    if (*pages)
        pages_free(*pages);
}

enum err_code secret_init(struct secret *ret, struct str bytes, struct err *reterr)
{
    if (bytes.n > SECRET_MAX)
        return err_set(reterr, ERR_LIMIT, "a secret of %zu bytes, the limit is %d", bytes.n, SECRET_MAX);
    struct secret_pages *pages = pages_new(bytes.n);
    if (!pages)
        return err_set(reterr, ERR_LIMIT, "no memory for a secret");
    if (bytes.n > 0)
        memcpy(pages->bytes, bytes.p, bytes.n);
    pages->n = bytes.n;
    ret->pages = pages;
    return ERR_OK;
}

enum err_code secret_read(int fd, size_t max, struct secret *ret, struct err *reterr)
{
    if (max > SECRET_MAX)
        max = SECRET_MAX;
    CLEANUP(pages_freep)
    struct secret_pages *pages = pages_new(max + 2); // the newline, and one byte too many
    if (!pages)
        return err_set(reterr, ERR_LIMIT, "no memory for a secret");
    while (pages->n < pages->room) {
        ssize_t n = read(fd, pages->bytes + pages->n, pages->room - pages->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(reterr, fd_code(errno), "read a secret: %s", fd_strerror(errno));
        if (n == 0)
            break;
        pages->n += (size_t)n;
    }
    if (pages->n > 0 && pages->n < pages->room && pages->bytes[pages->n - 1] == '\n')
        pages->n--;
    if (pages->n > max)
        return err_set(reterr, ERR_LIMIT, "a secret of more than %zu bytes", max);
    ret->pages = TAKE(pages);
    return ERR_OK;
}

void secret_done(struct secret *s)
{
    if (!s)
        return;
    pages_freep(&s->pages);
    s->pages = NULL;
}

bool secret_eq(const struct secret *s, struct str guess)
{
    if (!s->pages || s->pages->n != guess.n)
        return false;
    volatile unsigned char differ = 0; // volatile: or the compiler may stop at the first difference
    for (size_t i = 0; i < guess.n; i++)
        differ = (unsigned char)(differ | (unsigned char)(s->pages->bytes[i] ^ guess.p[i]));
    return differ == 0;
}

struct str secret_expose(const struct secret *s)
{
    assert(s->pages);
    return (struct str){s->pages->bytes, s->pages->n};
}

void secret_buf_init(struct buf *b, size_t max)
{
    buf_init(b, max);
    buf_pad(b, '\0', max);
    if (!b->full)
        buf_clear(b);
}

void secret_buf_done(struct buf *b)
{
    if (b && b->p)
        explicit_bzero(b->p, b->size);
    buf_done(b);
}

void secret_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}
