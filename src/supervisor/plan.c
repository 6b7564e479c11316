#include "supervisor/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "isolate/env.h"
#include "isolate/netns.h"
#include "isolate/ns.h"
#include "isolate/rootfs.h"
#include "isolate/rootfs_mount.h"
#include "isolate/users.h"
#include "net/host.h"
#include "policy/unbuilt.h"
#include "supervisor/credentials.h"

enum { CONF_MAX = MIB, SOCKETS_MAX = 4 * MIB, TRUST_MAX = 4 * MIB, ENV_ARENA = 8 * MIB };

void plan_done(struct plan *p)
{
    arena_done(&p->arena);
    struct buf *const bufs[] = {&p->policy_text, &p->passwd, &p->group,  &p->resolv_conf,
                                &p->hosts,       &p->trust,  &p->sockets};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_done(bufs[i]);
    fd_close(&p->workdir_fd);
}

// ---- the policy
// --------------------------------------------------------------------------------------------------

static bool same_list(const struct strs *a, const struct strs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = str_eq(a->v[i], b->v[i]);
    return same;
}

static enum err_code static_sections(const struct policy *a, const struct policy *b, struct err *e)
{
    const char *what = NULL;
    if (a->filesystem.include_workdir != b->filesystem.include_workdir ||
        !same_list(&a->filesystem.read_only, &b->filesystem.read_only) ||
        !same_list(&a->filesystem.read_write, &b->filesystem.read_write))
        what = "filesystem_policy";
    else if (!str_eq(a->landlock.compatibility, b->landlock.compatibility))
        what = "landlock";
    else if (!str_eq(a->process.run_as_user, b->process.run_as_user) ||
             !str_eq(a->process.run_as_group, b->process.run_as_group))
        what = "process";
    if (what)
        return err_set(
            e, ERR_PRECONDITION,
            "%s differs from that of the running sandbox: it is fixed when a sandbox is created; start a new "
            "one for it, or leave that section as it was",
            what);
    return ERR_OK;
}

enum err_code plan_reload(const struct plan *p, struct str text, struct arena *a, struct policy **ret,
                          struct diags *diags, struct err *e)
{
    struct policy *next = NULL;
    enum err_code r = policy_load(text, POLICY_USE_FILE, a, &next, diags, e);
    if (r == ERR_OK)
        r = policy_unbuilt(next, e);
    if (r == ERR_OK)
        r = static_sections(p->policy, next, e);
    if (r == ERR_OK)
        *ret = next;
    return r;
}

static bool own_network(const struct cidr *c)
{
    static const struct cidr own = {.net = {.family = 4, .b = {10, 200, 0, 0}}, .bits = 24};
    return cidr_overlaps(c, &own);
}

static enum err_code add_range(struct str text, struct cidr *ranges, size_t *n, size_t cap, struct err *e)
{
    struct cidr c;
    struct err ignored;
    if (cidr_parse(text, &c, &ignored) != ERR_OK)
        return ERR_OK; // a name
    if (own_network(&c))
        return err_set(e, ERR_UNSUPPORTED, "'%.*s' covers 10.200.0.0/24, which is the sandbox's own network",
                       STR_FMT(text));
    if (*n == cap)
        return err_set(e, ERR_LIMIT, "more than %d addresses and ranges in the policy", NETNS_RANGES_MAX);
    ranges[(*n)++] = c;
    return ERR_OK;
}

// A literal host, and the ranges of an endpoint that names no host: what a client may dial by address.
enum err_code plan_ranges(const struct policy *p, struct arena *a, struct cidr **ret, size_t *ret_n,
                          struct err *e)
{
    struct cidr *ranges = arena_newn(a, struct cidr, NETNS_RANGES_MAX);
    size_t n = 0;
    if (!ranges)
        return arena_limit(a, "the policy's address ranges", e);
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < p->entries_n; i++)
        for (size_t j = 0; r == ERR_OK && j < p->entries[i].endpoints_n; j++) {
            const struct endpoint *ep = &p->entries[i].endpoints[j];
            if (ep->host.n > 0)
                r = add_range(ep->host, ranges, &n, NETNS_RANGES_MAX, e);
            for (size_t k = 0; r == ERR_OK && ep->host.n == 0 && k < ep->allowed_ips.n; k++)
                r = add_range(ep->allowed_ips.v[k], ranges, &n, NETNS_RANGES_MAX, e);
        }
    *ret = ranges;
    *ret_n = n;
    return r;
}

static enum err_code policy_text(const struct launch_opts *o, struct plan *p, struct err *e)
{
    if (o->policy)
        return file_read(o->policy, POLICY_TEXT_MAX, &p->policy_text, e);
    buf_init(&p->policy_text, POLICY_TEXT_MAX);
    buf_add(&p->policy_text, o->policy_text);
    return buf_check(&p->policy_text, "the policy", e);
}

static enum err_code read_policy(const struct launch_opts *o, struct plan *p, struct diags *diags,
                                 struct err *e)
{
    enum err_code r = policy_text(o, p, e);
    if (r != ERR_OK)
        return r == ERR_INVALID ? ERR_PRECONDITION : r; // ERR_INVALID is for what the policy says
    r = policy_load(buf_str(&p->policy_text), POLICY_USE_FILE, &p->arena, &p->policy, diags, e);
    if (r == ERR_OK)
        r = policy_unbuilt(p->policy, e);
    if (r == ERR_OK)
        r = plan_ranges(p->policy, &p->arena, &p->spec.ranges, &p->spec.ranges_n, e);
    p->spec.read_only = r == ERR_OK ? p->policy->filesystem.read_only : (struct strs){};
    p->spec.read_write = r == ERR_OK ? p->policy->filesystem.read_write : (struct strs){};
    p->spec.landlock_hard = r == ERR_OK && str_eq(p->policy->landlock.compatibility, STR("hard_requirement"));
    return r;
}

// ---- who
// ---------------------------------------------------------------------------------------------------------

// A file below /etc of the tree, whose links are not ours to trust. Absent: empty.
static enum err_code read_etc(const struct launch_opts *o, const char *name, struct buf *ret, struct err *e)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "etc/%s", name);
    CLEANUP(fd_close) int root = -1;
    CLEANUP(fd_close) int fd = -1;
    enum err_code r = fd_open(o->root ? o->root : "/", O_PATH | O_DIRECTORY, 0, &root, e);
    if (r == ERR_OK)
        r = mnt_open(root, path, O_RDONLY | O_NONBLOCK, &fd, e);
    if (r == ERR_NOT_FOUND && root >= 0) {
        buf_init(ret, 1);
        return ERR_OK;
    }
    return r == ERR_OK ? fd_read_all(fd, USERS_TEXT_MAX, ret, e) : r;
}

static enum err_code who(const struct launch_opts *o, struct plan *p, struct users *u, struct err *e)
{
    CLEANUP(buf_done) struct buf passwd = {}, group = {};
    enum err_code r = read_etc(o, "passwd", &passwd, e);
    if (r == ERR_OK)
        r = read_etc(o, "group", &group, e);
    p->spec.nested = geteuid() != 0;
    if (r == ERR_OK)
        r = users_resolve(p->policy->process.run_as_user, p->policy->process.run_as_group, buf_str(&passwd),
                          buf_str(&group), !p->spec.nested, u, e);
    buf_init(&p->passwd, USERS_TEXT_MAX + KIB);
    buf_init(&p->group, USERS_TEXT_MAX + KIB);
    if (r == ERR_OK)
        r = users_passwd(buf_str(&passwd), u, &p->passwd, e);
    if (r == ERR_OK)
        r = users_group(buf_str(&group), u, &p->group, e);
    p->spec.uid = u->uid;
    p->spec.gid = u->gid;
    p->spec.passwd = buf_str(&p->passwd);
    p->spec.group = buf_str(&p->group);
    return r;
}

// ---- where
// -------------------------------------------------------------------------------------------------------

static bool is_system(struct str dir)
{
    static const struct str whole[] = {STR_INIT("/"),    STR_INIT("/etc"), STR_INIT("/usr"),
                                       STR_INIT("/bin"), STR_INIT("/lib"), STR_INIT("/sbin"),
                                       STR_INIT("/tmp"), STR_INIT("/run")};
    static const struct str below[] = {STR_INIT("/proc"), STR_INIT("/sys"), STR_INIT("/dev")};
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (str_eq(dir, whole[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(below); i++)
        if (rootfs_below(dir, below[i]))
            return true;
    return false;
}

// Root's sandbox: files of the folder's owner are the agent's in there.
static enum err_code hand_over_workdir(struct plan *p, const char *dir, const struct stat *st, struct err *e)
{
    char uids[48], gids[48];
    CLEANUP(fd_close) int idmap = -1;
    bool same = st->st_uid == p->spec.uid && st->st_gid == p->spec.gid;
    (void)snprintf(uids, sizeof(uids), "%u %u 1\n", st->st_uid, p->spec.uid);
    (void)snprintf(gids, sizeof(gids), "%u %u 1\n", st->st_gid, p->spec.gid);
    enum err_code r = same ? ERR_OK : ns_idmap(uids, gids, &idmap, e);
    if (r == ERR_OK)
        r = rootfs_workdir(dir, idmap, &p->workdir_fd, e);
    p->spec.workdir_handed = r == ERR_OK;
    // Root of a container without CAP_SYS_ADMIN: init may in a mount namespace of its own, and the folder
    // keeps its owner.
    return r == ERR_DENIED ? ERR_OK : r;
}

// A folder of the sandbox's own: it becomes the agent's, on any file system.
static enum err_code own_home(const struct launch_opts *o, struct plan *p, struct err *e)
{
    static const struct str place = STR_INIT("/sandbox");
    struct stat st;
    CLEANUP(fd_close) int fd = -1;
    if (o->workdir)
        return err_set(e, ERR_INVALID, "--home and a work directory cannot be had both");
    enum err_code r = fd_open(o->home, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &fd, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "--home");
    if (o->home[0] != '/' || !arena_dup(&p->arena, str_of(o->home), &p->spec.workdir_source))
        return err_set(e, ERR_INVALID, "--home %s: not an absolute path", o->home);
    if (fstat(fd, &st) != 0)
        return err_set(e, fd_code(errno), "--home %s: %s", o->home, fd_strerror(errno));
    p->spec.workdir = place;
    p->spec.workdir_writable = true;
    for (size_t i = 0; i < p->policy->filesystem.read_only.n; i++)
        if (str_eq(p->policy->filesystem.read_only.v[i], place))
            p->spec.workdir_writable = false;
    if (p->spec.nested)
        return ERR_OK;
    if ((st.st_uid != p->spec.uid || st.st_gid != p->spec.gid) &&
        (fchownat(fd, "", p->spec.uid, p->spec.gid, AT_EMPTY_PATH) != 0 || fstat(fd, &st) != 0))
        return err_set(e, fd_code(errno), "--home %s: %s", o->home, fd_strerror(errno));
    return hand_over_workdir(p, o->home, &st, e);
}

static enum err_code where(const struct launch_opts *o, struct plan *p, struct err *e)
{
    p->spec.scratch = o->scratch;
    p->spec.workdir_writable = p->policy->filesystem.include_workdir;
    struct stat st;
    if (o->root) {
        char *real = realpath(o->root, NULL);
        bool ok = real && stat(real, &st) == 0 && S_ISDIR(st.st_mode) &&
                  arena_dup(&p->arena, str_of(real), &p->spec.root);
        free(real);
        if (!ok)
            return err_set(e, ERR_NOT_FOUND, "--rootfs %s: not a folder that can be entered", o->root);
        if (str_eq(p->spec.root, STR("/")))
            return err_set(e, ERR_INVALID, "--rootfs /: say 'host' for the host's own tree");
    }
    if (o->home)
        return own_home(o, p, e);
    if (!o->workdir)
        return ERR_OK;
    char *real = realpath(o->workdir, NULL);
    if (!real || stat(real, &st) != 0 || !S_ISDIR(st.st_mode)) {
        free(real);
        return err_set(e, ERR_NOT_FOUND, "--workdir %s: %s", o->workdir,
                       errno ? fd_strerror(errno) : "not a folder");
    }
    bool kept = arena_dup(&p->arena, str_of(real), &p->spec.workdir);
    free(real);
    if (!kept)
        return arena_limit(&p->arena, "the work directory", e);
    p->spec.workdir_source = p->spec.workdir;
    if (is_system(p->spec.workdir))
        return err_set(e, ERR_INVALID, "--workdir %s: that folder belongs to the system; give one of its own",
                       o->workdir);
    return p->spec.nested ? ERR_OK : hand_over_workdir(p, p->spec.workdir.p, &st, e);
}

// ---- with what
// ---------------------------------------------------------------------------------------------------

static enum err_code list_of(struct arena *a, const char *const *v, struct strs *ret, struct err *e)
{
    size_t n = 0;
    while (v[n])
        n++;
    *ret = (struct strs){.v = arena_newn(a, struct str, n), .n = n};
    if (!ret->v)
        return arena_limit(a, "the command", e);
    for (size_t i = 0; i < n; i++)
        ret->v[i] = str_of(v[i]);
    return ERR_OK;
}

// Placeholders of the credentials, then what --env gives, which wins.
static enum err_code given_env(const struct launch_opts *o, struct arena *a, const char *const **ret,
                               struct err *e)
{
    struct strs own = {};
    enum err_code r = o->credentials ? credentials_env(o->credentials, a, &own, e) : ERR_OK;
    if (r != ERR_OK)
        return r;
    size_t n = 0;
    while (o->env[n])
        n++;
    const char **all = arena_newn(a, const char *, own.n + n + 1);
    if (!all)
        return arena_limit(a, "the environment", e);
    for (size_t i = 0; i < own.n; i++)
        all[i] = own.v[i].p; // NUL-terminated in the arena
    memcpy(all + own.n, o->env, (n + 1) * sizeof(*all));
    *ret = all;
    return ERR_OK;
}

static enum err_code environment(const struct launch_opts *o, struct plan *p, const struct users *u,
                                 struct err *e)
{
    const char *const *host, *const *env, *const *given;
    enum err_code r = given_env(o, &p->arena, &given, e);
    if (r != ERR_OK)
        return r;
    memcpy(&host, &environ, sizeof(host));
    const struct env_spec s = {.host = host,
                               .given = given,
                               .home = STR("/sandbox"),
                               .user = str_of(u->name),
                               .shell = STR("/bin/bash"),
                               .proxy = STR("http://10.200.0.1:3128"),
                               .ca = STR("/etc/openshell-tls/openshell-ca.pem"),
                               .bundle = STR("/etc/openshell-tls/ca-bundle.pem")};
    r = env_build(&s, &p->arena, &env, e);
    return r == ERR_OK ? list_of(&p->arena, env, &p->spec.env, e) : r;
}

// For the egress, which has no files.
static enum err_code outside(struct plan *p, struct err *e)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                          "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                          "/etc/ssl/cert.pem", // reference 2.10
                                          // what a driver brings to images that have none
                                          "/opt/openshell/ca-certificates.crt"};
    enum err_code r = file_read("/etc/resolv.conf", CONF_MAX, &p->resolv_conf, e);
    if (r == ERR_OK || r == ERR_NOT_FOUND)
        r = file_read("/etc/hosts", CONF_MAX, &p->hosts, e);
    for (size_t i = 0; (r == ERR_OK || r == ERR_NOT_FOUND) && i < ARRAY_LEN(bundles); i++) {
        r = file_read(bundles[i], TRUST_MAX, &p->trust, e);
        if (r == ERR_OK)
            return r;
    }
    if (r == ERR_NOT_FOUND)
        return err_set(
            e, ERR_PRECONDITION,
            "this machine has no bundle of CA certificates (%s and three other places): without it no "
            "server can be verified. Install ca-certificates",
            bundles[0]);
    return r;
}

// The last word of each line of /proc/net/unix is where a socket is bound; behind '@' there is no file.
static enum err_code sockets(struct plan *p, struct err *e)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(buf_done) struct buf text = {};
    enum err_code r = fd_open("/proc/self/net/unix", O_RDONLY, 0, &fd, e);
    if (r == ERR_OK)
        r = fd_read_all(fd, SOCKETS_MAX, &text, e);
    if (r != ERR_OK)
        return err_wrap(e, r, "the host's unix sockets");
    buf_init(&p->sockets, SOCKETS_MAX);
    for (struct str rest = buf_str(&text), line; str_line(&rest, &line);) {
        ptrdiff_t at = str_find(line, '/');
        if (at < 0)
            continue;
        buf_add(&p->sockets, str_from(line, (size_t)at));
        buf_addc(&p->sockets, '\n');
    }
    p->spec.sockets = buf_str(&p->sockets);
    return buf_check(&p->sockets, "the host's unix sockets", e);
}

enum err_code plan_new(const struct launch_opts *o, struct plan *ret, struct diags *diags, struct err *e)
{
    *ret = (struct plan){.workdir_fd = -1};
    arena_init(&ret->arena, POLICY_ARENA_MAX + ENV_ARENA);
    diags_init(diags, &ret->arena);
    struct users u = {};
    enum err_code r = read_policy(o, ret, diags, e);
    if (r == ERR_OK)
        r = who(o, ret, &u, e);
    if (r == ERR_OK)
        r = where(o, ret, e);
    if (r == ERR_OK)
        r = list_of(&ret->arena, o->argv, &ret->spec.argv, e);
    if (r == ERR_OK)
        r = environment(o, ret, &u, e);
    if (r == ERR_OK)
        r = outside(ret, e);
    if (r == ERR_OK)
        r = sockets(ret, e);
    ret->spec.limits = o->limits;
    ret->spec.tty = o->tty && !o->session; // else the command that gets it asks for it
    ret->spec.hostname = str_of(o->name);
    ret->spec.hosts = STR("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    ret->spec.resolv_conf = STR("nameserver 10.200.0.1\noptions timeout:2 attempts:2\n");
    return r;
}
