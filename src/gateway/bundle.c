#include "gateway/bundle.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/host.h"
#include "net/pki.h"
#include "rpc/local.h"

enum { DAYS = 3650, FILE_MAX = 64 * KIB };
enum { CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY, CLIENT_CERT, CLIENT_KEY };

const char *const bundle_names[BUNDLE_FILES] = {"ca.crt",         "ca.key",         "server/tls.crt",
                                                "server/tls.key", "client/tls.crt", "client/tls.key"};

static bool is_key(size_t i)
{
    return i % 2 == 1;
}

enum err_code bundle_sans(const struct conf_list *more, struct conf_list *ret, struct err *reterr)
{
    static const struct str fixed[] = {
        // reference: gateway 6.3
        STR_INIT("openshell"),
        STR_INIT("openshell.openshell.svc"),
        STR_INIT("openshell.openshell.svc.cluster.local"),
        STR_INIT("localhost"),
        STR_INIT("openshell.localhost"),
        STR_INIT("*.openshell.localhost"),
        STR_INIT("host.docker.internal"),
        STR_INIT("host.containers.internal"),
        STR_INIT("127.0.0.1"),
        STR_INIT("::1"),
    };
    struct conf_list all = {.n = ARRAY_LEN(fixed)};
    memcpy(all.v, fixed, sizeof(fixed));
    for (size_t i = 0; i < more->n; i++) {
        bool there = false;
        for (size_t k = 0; k < all.n; k++)
            there = there || str_eq_ci(all.v[k], more->v[i]);
        if (there)
            continue;
        if (all.n == CONF_LIST_MAX)
            return err_set(reterr, ERR_LIMIT, "a certificate has at most %d names", CONF_LIST_MAX);
        all.v[all.n++] = more->v[i];
    }
    *ret = all;
    return ERR_OK;
}

void bundle_done(struct bundle *b)
{
    for (size_t i = 0; i < BUNDLE_FILES; i++) {
        if (b->files[i].p)
            explicit_bzero(b->files[i].p, b->files[i].size);
        buf_done(&b->files[i]);
    }
}

static enum err_code issue_server(const struct pki *ca, const struct conf_list *sans, struct bundle *b,
                                  struct err *reterr)
{
    const struct pki_leaf leaf = {.cn = STR("openshell-server"),
                                  .names = sans->v,
                                  .names_n = sans->n,
                                  .server = true,
                                  .days = DAYS};
    return pki_issue(ca, &leaf, &b->files[SERVER_CERT], &b->files[SERVER_KEY], reterr);
}

static enum err_code fill(const struct conf_list *sans, struct bundle *b, struct err *reterr)
{
    CLEANUP(pki_freep) struct pki *ca = NULL;
    const struct pki_leaf client = {.cn = STR("openshell-client"),
                                    .unit = STR("openshell-user"),
                                    .client = true,
                                    .days = DAYS};
    enum err_code r = pki_new(STR("openshell"), STR("openshell-ca"), DAYS, &ca, reterr);
    if (r == ERR_OK)
        r = pki_cert(ca, &b->files[CA_CERT], reterr);
    if (r == ERR_OK)
        r = pki_key(ca, &b->files[CA_KEY], reterr);
    if (r == ERR_OK)
        r = issue_server(ca, sans, b, reterr);
    return r == ERR_OK ? pki_issue(ca, &client, &b->files[CLIENT_CERT], &b->files[CLIENT_KEY], reterr) : r;
}

enum err_code bundle_make(const struct conf_list *sans, struct bundle *ret, struct err *reterr)
{
    for (size_t i = 0; i < BUNDLE_FILES; i++)
        buf_init(&ret->files[i], FILE_MAX);
    enum err_code r = fill(sans, ret, reterr);
    if (r != ERR_OK)
        bundle_done(ret);
    return r;
}

// ---- files

static enum err_code join(const char *dir, const char *name, char dst[static CONF_PATH_SIZE],
                          struct err *reterr)
{
    int n = snprintf(dst, CONF_PATH_SIZE, "%s/%s", dir, name);
    return n > 0 && n < CONF_PATH_SIZE ? ERR_OK
                                       : err_set(reterr, ERR_INVALID, "the path of the folder is too long");
}

static enum err_code put(const char *dir, const char *name, const struct buf *bytes, mode_t mode,
                         struct err *reterr)
{
    char path[CONF_PATH_SIZE];
    enum err_code r = join(dir, name, path, reterr);
    if (r == ERR_OK)
        r = local_make_dir(path, geteuid(), reterr);
    return r == ERR_OK ? file_write_atomic(path, buf_str(bytes), mode, reterr) : r;
}

static enum err_code get(const char *dir, const char *name, struct buf *ret, struct err *reterr)
{
    char path[CONF_PATH_SIZE];
    enum err_code r = join(dir, name, path, reterr);
    return r == ERR_OK ? file_read(path, FILE_MAX, ret, reterr) : r;
}

static enum err_code put_some(const char *dir, const struct bundle *b, size_t from, size_t to,
                              struct err *reterr)
{
    enum err_code r = ERR_OK;
    for (size_t i = from; r == ERR_OK && i < to; i++)
        r = put(dir, bundle_names[i], &b->files[i], is_key(i) ? 0600 : 0644, reterr);
    return r;
}

// How many there are; the CA's key, which may be kept elsewhere, does not count.
static enum err_code count(const char *dir, size_t *ret, struct err *reterr)
{
    size_t n = 0;
    for (size_t i = 0; i < BUNDLE_FILES; i++) {
        char path[CONF_PATH_SIZE];
        struct stat st;
        enum err_code r = join(dir, bundle_names[i], path, reterr);
        if (r != ERR_OK)
            return r;
        if (lstat(path, &st) == 0)
            n += i != CA_KEY;
        else if (errno != ENOENT && errno != ENOTDIR)
            return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    }
    *ret = n;
    return ERR_OK;
}

static enum err_code reissue(const char *dir, const struct conf_list *sans, enum bundle_did *ret,
                             struct err *reterr)
{
    struct bundle b = {};
    size_t covered = 0;
    enum err_code r = get(dir, bundle_names[SERVER_CERT], &b.files[SERVER_CERT], reterr);
    if (r == ERR_OK)
        r = pki_covers(buf_str(&b.files[SERVER_CERT]), sans->v, sans->n, &covered, reterr);
    if (r == ERR_OK && covered == sans->n) {
        bundle_done(&b);
        *ret = BUNDLE_KEPT;
        return ERR_OK;
    }
    CLEANUP(pki_freep) struct pki *ca = NULL;
    if (r == ERR_OK)
        r = get(dir, bundle_names[CA_CERT], &b.files[CA_CERT], reterr);
    if (r == ERR_OK)
        r = get(dir, bundle_names[CA_KEY], &b.files[CA_KEY], reterr);
    if (r == ERR_OK)
        r = pki_load(buf_str(&b.files[CA_CERT]), buf_str(&b.files[CA_KEY]), &ca, reterr);
    buf_done(&b.files[SERVER_CERT]);
    buf_init(&b.files[SERVER_CERT], FILE_MAX);
    buf_init(&b.files[SERVER_KEY], FILE_MAX);
    if (r == ERR_OK)
        r = issue_server(ca, sans, &b, reterr);
    if (r == ERR_OK)
        r = put_some(dir, &b, SERVER_CERT, CLIENT_CERT, reterr);
    bundle_done(&b);
    if (r == ERR_OK)
        *ret = BUNDLE_REISSUED;
    return r;
}

enum err_code bundle_ensure(const char *dir, const struct conf_list *sans, enum bundle_did *ret,
                            struct err *reterr)
{
    size_t n = 0;
    enum err_code r = count(dir, &n, reterr);
    if (r != ERR_OK)
        return r;
    if (n == BUNDLE_FILES - 1)
        return reissue(dir, sans, ret, reterr);
    if (n > 0)
        return err_set(
            reterr, ERR_PRECONDITION,
            "%s is in a partial state: %zu of %d files are there; remove the folder and run this again", dir,
            n, BUNDLE_FILES - 1);
    struct bundle b;
    r = bundle_make(sans, &b, reterr);
    if (r != ERR_OK)
        return r;
    r = put_some(dir, &b, 0, BUNDLE_FILES, reterr);
    bundle_done(&b);
    if (r == ERR_OK)
        *ret = BUNDLE_MADE;
    return r;
}

// ---- the client's own copy

static void remove_copy(const char *dir)
{
    static const char *const names[] = {"ca.crt", "tls.crt", "tls.key"};
    char path[CONF_PATH_SIZE];
    struct err ignored = {};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (join(dir, names[i], path, &ignored) == ERR_OK)
            (void)unlink(path); // what cannot be removed is seen when the folder cannot
    (void)rmdir(dir);
}

enum err_code bundle_install(const char *dir, const char *to, struct err *reterr)
{
    static const struct {
        size_t from;
        const char *to;
    } files[] = {{CA_CERT, "ca.crt"}, {CLIENT_CERT, "tls.crt"}, {CLIENT_KEY, "tls.key"}};
    char fresh[CONF_PATH_SIZE], old[CONF_PATH_SIZE];
    int n = snprintf(fresh, sizeof(fresh), "%s.tmp", to), m = snprintf(old, sizeof(old), "%s.bak", to);
    if (n < 0 || n >= CONF_PATH_SIZE || m < 0 || m >= CONF_PATH_SIZE)
        return err_set(reterr, ERR_INVALID, "the path of the folder is too long");
    remove_copy(fresh);
    remove_copy(old);
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < ARRAY_LEN(files); i++) {
        struct buf b = {};
        r = get(dir, bundle_names[files[i].from], &b, reterr);
        if (r == ERR_OK)
            r = put(fresh, files[i].to, &b, is_key(files[i].from) ? 0600 : 0644, reterr);
        if (b.p)
            explicit_bzero(b.p, b.size);
        buf_done(&b);
    }
    if (r == ERR_OK && rename(to, old) != 0 && errno != ENOENT)
        r = err_set(reterr, fd_code(errno), "%s: %s", to, fd_strerror(errno));
    if (r == ERR_OK && rename(fresh, to) != 0) {
        r = err_set(reterr, fd_code(errno), "%s: %s", to, fd_strerror(errno));
        (void)rename(old, to); // as it was
    }
    remove_copy(r == ERR_OK ? old : fresh);
    return r;
}
