#include "cli/registry.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/secret.h"

enum { GATEWAYS_MAX = 1000 }; // ours

bool registry_is_name(const char *name)
{
    return name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/') &&
           strlen(name) < REGISTRY_NAME_SIZE;
}

// Joins, and says whether it fitted.
__attribute__((format(printf, 2, 3))) static bool path_of(char dst[static PATH_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(dst, PATH_MAX, fmt, ap);
    va_end(ap);
    return n > 0 && n < PATH_MAX;
}

void registry_init(struct registry *r)
{
    *r = (struct registry){};
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    const char *system = getenv("OPENSHELL_SYSTEM_GATEWAY_DIR");
    if (config && config[0] == '/')
        (void)path_of(r->user, "%s/openshell", config);
    else if (home && home[0] == '/')
        (void)path_of(r->user, "%s/.config/openshell", home);
    (void)path_of(r->system, "%s", system && system[0] == '/' ? system : "/etc/openshell");
}

// ---- reading

// A text member; false where it is no text, or too long. Absent is "".
static bool text(const json_t *o, const char *key, char *dst, size_t size)
{
    const json_t *v = json_object_get(o, key);
    dst[0] = '\0';
    if (!v || json_is_null(v))
        return true;
    return json_is_string(v) &&
           str_cstr((struct str){json_string_value(v), json_string_length(v)}, dst, size);
}

static enum err_code parse(struct str bytes, struct registered *ret, struct err *reterr)
{
    json_error_t why;
    json_t *o = json_loadb(bytes.p, bytes.n, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        return err_set(reterr, ERR_INVALID, "line %d: %s", why.line, why.text);
    const json_t *remote = json_object_get(o, "is_remote"), *port = json_object_get(o, "gateway_port");
    bool ok = text(o, "name", ret->name, sizeof(ret->name)) &&
              text(o, "gateway_endpoint", ret->endpoint, sizeof(ret->endpoint)) &&
              text(o, "auth_mode", ret->auth, sizeof(ret->auth)) &&
              text(o, "remote_host", ret->remote_host, sizeof(ret->remote_host)) &&
              text(o, "resolved_host", ret->resolved_host, sizeof(ret->resolved_host)) && ret->name[0] &&
              ret->endpoint[0] && json_is_boolean(remote) && json_is_integer(port);
    ret->is_remote = ok && json_is_true(remote);
    json_decref(o);
    return ok ? ERR_OK
              : err_set(reterr, ERR_INVALID,
                        "name, gateway_endpoint, is_remote and gateway_port are needed, each of its type");
}

static enum err_code read_metadata(const char *root, const char *name, struct registered *ret,
                                   struct err *reterr)
{
    char path[PATH_MAX];
    struct registered out = {};
    CLEANUP(buf_done) struct buf bytes = {};
    if (!root[0] || !path_of(path, "%s/gateways/%s/metadata.json", root, name))
        return err_set(reterr, ERR_NOT_FOUND, "there is no folder for gateways");
    enum err_code r = file_read(path, REGISTRY_FILE_MAX, &bytes, reterr);
    if (r == ERR_OK) {
        r = parse(buf_str(&bytes), &out, reterr);
        if (r != ERR_OK)
            return err_wrap(reterr, r, "%s", path);
    }
    if (r != ERR_OK)
        return r;
    (void)snprintf(out.name, sizeof(out.name), "%s", name); // the folder's name is what it is asked for by
    *ret = out;
    return ERR_OK;
}

enum err_code registry_find(const struct registry *r, const char *name, struct registered *ret,
                            struct err *reterr)
{
    if (!registry_is_name(name))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no gateway's name: it would not be one folder",
                       STR_FMT(str_of(name)));
    enum err_code c = read_metadata(r->user, name, ret, reterr);
    if (c != ERR_NOT_FOUND)
        return c;
    c = read_metadata(r->system, name, ret, reterr);
    if (c == ERR_OK)
        ret->is_system = true;
    if (c == ERR_NOT_FOUND)
        return err_set(reterr, c, "Unknown gateway '%.*s'", STR_FMT(str_of(name)));
    return c;
}

static int compare_names(const void *a, const void *b)
{
    const struct registered *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool has(const struct registered *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].name, name) == 0)
            return true;
    return false;
}

// Those in one folder that the list does not have yet.
static void list_folder(const struct registry *r, const char *root, struct registered *v, size_t *n)
{
    char path[PATH_MAX];
    if (!root[0] || !path_of(path, "%s/gateways", root))
        return;
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (const struct dirent *e; *n < GATEWAYS_MAX && (e = readdir(dir));) {
        struct registered one = {};
        struct err ignored = {};
        if (e->d_name[0] != '.' && !has(v, *n, e->d_name) &&
            registry_find(r, e->d_name, &one, &ignored) == ERR_OK)
            v[(*n)++] = one;
    }
    closedir(dir);
}

enum err_code registry_list(const struct registry *r, struct arena *a, struct registered **ret, size_t *ret_n,
                            struct err *reterr)
{
    size_t n = 0;
    struct registered *all = calloc(GATEWAYS_MAX, sizeof(*all));
    if (!all)
        return err_set(reterr, ERR_LIMIT, "no memory for the list of gateways");
    list_folder(r, r->user, all, &n);
    list_folder(r, r->system, all, &n);
    qsort(all, n, sizeof(*all), compare_names);
    struct registered *v = arena_newn(a, struct registered, n);
    if (v && n > 0)
        memcpy(v, all, n * sizeof(*v));
    free(all);
    if (!v)
        return arena_limit(a, "the list of gateways", reterr);
    *ret = v;
    *ret_n = n;
    return ERR_OK;
}

static bool read_active(const char *root, char ret[static REGISTRY_NAME_SIZE])
{
    char path[PATH_MAX];
    struct err ignored = {};
    CLEANUP(buf_done) struct buf bytes = {};
    if (!root[0] || !path_of(path, "%s/active_gateway", root) ||
        file_read(path, REGISTRY_FILE_MAX, &bytes, &ignored) != ERR_OK)
        return false;
    return str_cstr(str_trim(buf_str(&bytes)), ret, REGISTRY_NAME_SIZE) && registry_is_name(ret);
}

bool registry_active(const struct registry *r, char ret[static REGISTRY_NAME_SIZE])
{
    return read_active(r->user, ret) || read_active(r->system, ret);
}

// ---- writing

// The folder and those above it, as far as they are missing.
static enum err_code make_folder(const char *path, struct err *reterr)
{
    char part[PATH_MAX];
    (void)snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return err_set(reterr, fd_code(errno), "%s: %s", part, fd_strerror(errno));
        if (!slash)
            return ERR_OK;
        *slash = '/';
    }
}

static enum err_code need_user(const struct registry *r, struct err *reterr)
{
    if (!r->user[0])
        return err_set(reterr, ERR_NOT_FOUND,
                       "neither HOME nor XDG_CONFIG_HOME says where settings are kept");
    return make_folder(r->user, reterr);
}

// A file in the folder of a gateway, which is made.
static enum err_code write_file(const struct registry *r, const char *gateway, const char *file,
                                struct str bytes, struct err *reterr)
{
    char dir[PATH_MAX], path[PATH_MAX];
    enum err_code c = need_user(r, reterr);
    if (c != ERR_OK)
        return c;
    if (!path_of(dir, "%s/gateways/%s", r->user, gateway) || !path_of(path, "%.3000s/%s", dir, file))
        return err_set(reterr, ERR_LIMIT, "the path of %s is too long", file);
    c = make_folder(dir, reterr);
    return c == ERR_OK ? file_write_atomic(path, bytes, 0600, reterr) : c;
}

static void put(json_t *o, const char *key, const char *value, bool *ok)
{
    if (value[0] && json_object_set_new(o, key, json_string(value)) != 0)
        *ok = false;
}

static int add_bytes(const char *p, size_t n, void *out)
{
    buf_add(out, (struct str){p, n});
    return 0;
}

enum err_code registry_add(const struct registry *r, const struct registered *g, struct err *reterr)
{
    bool ok = true;
    struct buf bytes;
    buf_init(&bytes, REGISTRY_FILE_MAX);
    json_t *o = json_object();
    put(o, "name", g->name, &ok);
    put(o, "gateway_endpoint", g->endpoint, &ok);
    ok = ok && json_object_set_new(o, "is_remote", json_boolean(g->is_remote)) == 0 &&
         json_object_set_new(o, "gateway_port", json_integer(0)) == 0;
    put(o, "remote_host", g->remote_host, &ok);
    put(o, "resolved_host", g->resolved_host, &ok);
    put(o, "auth_mode", g->auth, &ok);
    ok = ok && json_dump_callback(o, add_bytes, &bytes, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0;
    json_decref(o);
    buf_addc(&bytes, '\n');
    enum err_code c = ok && !bytes.full ? write_file(r, g->name, "metadata.json", buf_str(&bytes), reterr)
                                        : err_set(reterr, ERR_LIMIT, "no memory for the metadata");
    buf_done(&bytes);
    return c;
}

enum err_code registry_select(const struct registry *r, const char *name, struct err *reterr)
{
    char path[PATH_MAX];
    enum err_code c = need_user(r, reterr);
    if (c != ERR_OK)
        return c;
    if (!path_of(path, "%s/active_gateway", r->user))
        return err_set(reterr, ERR_LIMIT, "the path of active_gateway is too long");
    return file_write_atomic(path, str_of(name), 0600, reterr);
}

static enum err_code drop(const char *path, struct err *reterr)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set(reterr, fd_code(errno), "%s: %s", path, fd_strerror(errno));
    return ERR_OK;
}

enum err_code registry_deselect(const struct registry *r, struct err *reterr)
{
    char path[PATH_MAX];
    if (!r->user[0] || !path_of(path, "%s/active_gateway", r->user))
        return ERR_OK;
    return drop(path, reterr);
}

enum err_code registry_remove(const struct registry *r, const char *name, struct err *reterr)
{
    static const char *const files[] = {"metadata.json",
                                        "edge_token",
                                        "cf_token",
                                        "oidc_token.json",
                                        "oidc_login_prompt_required",
                                        "last_sandbox"};
    char path[PATH_MAX], active[REGISTRY_NAME_SIZE];
    if (!registry_is_name(name))
        return err_set(reterr, ERR_INVALID, "'%.*s' is no gateway's name", STR_FMT(str_of(name)));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        enum err_code c = path_of(path, "%s/gateways/%s/%s", r->user, name, files[i])
                              ? drop(path, reterr)
                              : err_set(reterr, ERR_LIMIT, "the path of %s is too long", files[i]);
        if (c != ERR_OK)
            return c;
    }
    if (path_of(path, "%s/gateways/%s", r->user, name))
        (void)rmdir(path); // stays where it holds certificates
    if (read_active(r->user, active) && strcmp(active, name) == 0)
        return registry_deselect(r, reterr);
    return ERR_OK;
}

// ---- certificates

static void drop_bundle(const char *dir)
{
    static const char *const files[] = {"ca.crt", "tls.crt", "tls.key"};
    char path[PATH_MAX];
    struct err ignored = {};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (path_of(path, "%s/%s", dir, files[i]))
            (void)drop(path, &ignored); // best effort: what is left is overwritten the next time
    (void)rmdir(dir);
}

static enum err_code copy_bundle(const char *from, const char *dir, struct err *reterr)
{
    static const char *const files[][2] = {{"ca.crt", "ca.crt"},
                                           {"client/tls.crt", "tls.crt"},
                                           {"client/tls.key", "tls.key"}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char source[PATH_MAX], target[PATH_MAX];
        CLEANUP(buf_done) struct buf bytes = {};
        if (!path_of(source, "%s/%s", from, files[i][0]) || !path_of(target, "%s/%s", dir, files[i][1]))
            return err_set(reterr, ERR_LIMIT, "the path of %s is too long", files[i][0]);
        enum err_code c = file_read(source, REGISTRY_FILE_MAX, &bytes, reterr);
        if (c == ERR_OK)
            c = file_write_atomic(target, buf_str(&bytes), 0600, reterr);
        secret_wipe(bytes.p, bytes.n);
        if (c != ERR_OK)
            return c;
    }
    return ERR_OK;
}

// The new folder is whole before it takes the old one's place.
enum err_code registry_import(const struct registry *r, const char *name, const char *from,
                              struct err *reterr)
{
    char dir[PATH_MAX], fresh[PATH_MAX], old[PATH_MAX];
    registry_bundle(r, name, dir);
    if (!dir[0] || !path_of(fresh, "%s.tmp", dir) || !path_of(old, "%s.bak", dir))
        return err_set(reterr, ERR_LIMIT, "the path of the certificates is too long");
    enum err_code c = need_user(r, reterr);
    drop_bundle(fresh);
    if (c == ERR_OK)
        c = make_folder(fresh, reterr);
    if (c == ERR_OK)
        c = copy_bundle(from, fresh, reterr);
    if (c == ERR_OK) {
        drop_bundle(old);
        (void)rename(dir, old); // there may be none
        if (rename(fresh, dir) != 0) {
            c = err_set(reterr, fd_code(errno), "%s: %s", dir, fd_strerror(errno));
            (void)rename(old, dir);
        }
        drop_bundle(old);
    }
    drop_bundle(fresh);
    return c;
}

// ---- the last sandbox

static void plain_name(const char *gateway, char dst[static REGISTRY_NAME_SIZE])
{
    (void)snprintf(dst, REGISTRY_NAME_SIZE, "%s", gateway);
    for (char *c = dst; *c; c++)
        if (!char_is_alpha(*c) && !char_is_digit(*c) && *c != '.' && *c != '-')
            *c = '_';
}

static void folder_name(const char *gateway, char dst[static REGISTRY_NAME_SIZE])
{
    if (registry_is_name(gateway))
        (void)snprintf(dst, REGISTRY_NAME_SIZE, "%s", gateway);
    else
        plain_name(gateway, dst);
}

void registry_bundle(const struct registry *r, const char *name, char dst[static PATH_MAX])
{
    char plain[REGISTRY_NAME_SIZE];
    plain_name(name, plain);
    if (!path_of(dst, "%s/gateways/%s/mtls", r->user, plain))
        dst[0] = '\0'; // and its files are not found
}

bool registry_last(const struct registry *r, const char *gateway, const char *workspace,
                   char ret[static REGISTRY_SANDBOX_SIZE])
{
    char path[PATH_MAX], folder[REGISTRY_NAME_SIZE];
    struct err ignored = {};
    CLEANUP(buf_done) struct buf bytes = {};
    folder_name(gateway, folder);
    if (!r->user[0] || !path_of(path, "%s/gateways/%s/last_sandbox", r->user, folder) ||
        file_read(path, REGISTRY_FILE_MAX, &bytes, &ignored) != ERR_OK)
        return false;
    struct str rest = buf_str(&bytes), first, second;
    if (!str_line(&rest, &first) || !str_line(&rest, &second) || !str_eq(first, str_of(workspace)))
        return false; // one line is the form of an old version, and means nothing
    second = str_trim(second);
    return second.n > 0 && str_cstr(second, ret, REGISTRY_SANDBOX_SIZE);
}

enum err_code registry_set_last(const struct registry *r, const char *gateway, const char *workspace,
                                const char *sandbox, struct err *reterr)
{
    char folder[REGISTRY_NAME_SIZE];
    struct buf bytes;
    folder_name(gateway, folder);
    buf_init(&bytes, KIB);
    buf_addf(&bytes, "%s\n%s\n", workspace, sandbox);
    enum err_code c = buf_check(&bytes, "the name", reterr);
    if (c == ERR_OK)
        c = write_file(r, folder, "last_sandbox", buf_str(&bytes), reterr);
    buf_done(&bytes);
    return c;
}

void registry_clear_last(const struct registry *r, const char *gateway, const char *workspace,
                         const char *sandbox)
{
    char last[REGISTRY_SANDBOX_SIZE], path[PATH_MAX], folder[REGISTRY_NAME_SIZE];
    struct err ignored = {};
    folder_name(gateway, folder);
    if (registry_last(r, gateway, workspace, last) && strcmp(last, sandbox) == 0 &&
        path_of(path, "%s/gateways/%s/last_sandbox", r->user, folder))
        (void)drop(path, &ignored); // best effort: the name is refused by the gateway anyway
}
