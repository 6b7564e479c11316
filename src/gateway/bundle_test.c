#include "gateway/bundle.h"

#include "base/fd.h"
#include "net/pki.h"
#include "net/tls_pipe.h"
#include "tap.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static bool same(const char *dir, const char *a, const char *to, const char *b)
{
    char from_path[300], to_path[300];
    CLEANUP(buf_done) struct buf x = {};
    CLEANUP(buf_done) struct buf y = {};
    struct err err = {};
    (void)snprintf(from_path, sizeof(from_path), "%s/%s", dir, a);
    (void)snprintf(to_path, sizeof(to_path), "%s/%s", to, b);
    return file_read(from_path, MIB, &x, &err) == ERR_OK && file_read(to_path, MIB, &y, &err) == ERR_OK &&
           x.n > 0 && str_eq(buf_str(&x), buf_str(&y));
}

static bool mode_is(const char *dir, const char *name, mode_t mode)
{
    char path[300];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return stat(path, &st) == 0 && (st.st_mode & 07777) == mode;
}

static void drop(const char *dir, const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    (void)unlink(path);
}

// The three files of a server make one that can be had.
static bool loads(const char *dir)
{
    char cert[300], key[300], ca[300];
    struct tls_side *side = NULL;
    struct err err = {};
    (void)snprintf(cert, sizeof(cert), "%s/server/tls.crt", dir);
    (void)snprintf(key, sizeof(key), "%s/server/tls.key", dir);
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
    const struct tls_files files = {.server = true, .cert = cert, .key = key, .ca = ca};
    enum err_code r = tls_side_load(&files, &side, &err);
    tls_side_unref(side);
    return r == ERR_OK;
}

static void test_ensure(const char *dir)
{
    static const struct conf_list none = {}, one = {.v = {STR_INIT("gw.test")}, .n = 1},
                                  twice = {.v = {STR_INIT("LOCALHOST")}, .n = 1},
                                  odd = {.v = {STR_INIT("a b")}, .n = 1};
    struct conf_list sans, more, bad;
    struct err err = {};
    enum bundle_did did = BUNDLE_KEPT;
    bool ok = bundle_sans(&none, &sans, &err) == ERR_OK && bundle_sans(&one, &more, &err) == ERR_OK;
    tap_ok(ok && more.n == sans.n + 1, "names are added to those that are known anyway");
    ok = bundle_sans(&twice, &bad, &err) == ERR_OK;
    tap_ok(ok && bad.n == sans.n, "but none twice");
    ok = bundle_sans(&odd, &bad, &err) == ERR_OK;
    tap_ok(ok && bundle_ensure(dir, &bad, &did, &err) == ERR_INVALID && !mode_is(dir, "ca.crt", 0644),
           "a name that is none makes nothing: %s", err.msg);
    ok = bundle_ensure(dir, &sans, &did, &err) == ERR_OK;
    tap_ok(ok && did == BUNDLE_MADE && loads(dir) && mode_is(dir, "ca.key", 0600) &&
               mode_is(dir, "client", 0700) && mode_is(dir, "client/tls.key", 0600) &&
               mode_is(dir, "client/tls.crt", 0644),
           "all files, keys for their owner only: %s", err.msg);
    ok = bundle_ensure(dir, &sans, &did, &err) == ERR_OK;
    tap_ok(ok && did == BUNDLE_KEPT, "what is there stays");
    ok = bundle_ensure(dir, &more, &did, &err) == ERR_OK;
    tap_ok(ok && did == BUNDLE_REISSUED && loads(dir),
           "a further name has the server's certificate issued again: %s", err.msg);
    ok = bundle_ensure(dir, &more, &did, &err) == ERR_OK;
    tap_ok(ok && did == BUNDLE_KEPT, "once");
    drop(dir, "ca.key");
    ok = bundle_ensure(dir, &more, &did, &err) == ERR_OK;
    tap_ok(ok && did == BUNDLE_KEPT, "the CA's key may be kept elsewhere");
    static const struct conf_list third = {.v = {STR_INIT("third.test")}, .n = 1};
    ok = bundle_sans(&third, &bad, &err) == ERR_OK;
    tap_ok(ok && bundle_ensure(dir, &bad, &did, &err) == ERR_NOT_FOUND, "and is needed to issue: %s",
           err.msg);
    drop(dir, "client/tls.crt");
    tap_ok(bundle_ensure(dir, &more, &did, &err) == ERR_PRECONDITION, "a part is an error: %s", err.msg);
}

static void test_install(const char *dir, const char *to)
{
    static const struct conf_list sans = {.v = {STR_INIT("localhost")}, .n = 1};
    struct err err = {};
    enum bundle_did did;
    bool ok = bundle_ensure(dir, &sans, &did, &err) == ERR_OK && bundle_install(dir, to, &err) == ERR_OK;
    tap_ok(ok && same(dir, "ca.crt", to, "ca.crt") && same(dir, "client/tls.crt", to, "tls.crt") &&
               same(dir, "client/tls.key", to, "tls.key") && mode_is(to, "tls.key", 0600) &&
               mode_is(to, ".", 0700),
           "the client's copy: %s", err.msg);
    ok = bundle_install(dir, to, &err) == ERR_OK;
    char left[300];
    struct stat st;
    (void)snprintf(left, sizeof(left), "%s.bak", to);
    bool clean = stat(left, &st) != 0;
    (void)snprintf(left, sizeof(left), "%s.tmp", to);
    tap_ok(ok && clean && stat(left, &st) != 0 && same(dir, "ca.crt", to, "ca.crt"), "is replaced whole: %s",
           err.msg);
    drop(dir, "client/tls.key");
    tap_ok(bundle_install(dir, to, &err) == ERR_NOT_FOUND && mode_is(to, "tls.key", 0600) &&
               stat(left, &st) != 0,
           "and stays where it cannot be: %s", err.msg);
}

int main(void)
{
    char dir[] = "/tmp/gateway-bundle-XXXXXX", a[64], b[64], to[64];
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(a, sizeof(a), "%s/a", dir);
    (void)snprintf(b, sizeof(b), "%s/b", dir);
    (void)snprintf(to, sizeof(to), "%s/to/mtls", dir);
    test_ensure(a);
    test_install(b, to);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}
