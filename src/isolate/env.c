#include "isolate/env.h"

enum { PAIRS_MAX = 24, VARIABLES_MAX = 16 * 1024 };

// Names, or their beginnings where a '*' ends them, of variables that make a program load or run what they
// name, or that lead to things of the host that a sandbox does not have. A caller who means one of them gives
// it by --env.
static const struct str scrubbed[] = {
    // the dynamic loader and the C library
    STR_INIT("LD_*"),
    STR_INIT("GLIBC_TUNABLES"),
    STR_INIT("MALLOC_*"),
    STR_INIT("LOCPATH"),
    STR_INIT("GCONV_PATH"),
    STR_INIT("RES_OPTIONS"),
    STR_INIT("HOSTALIASES"),
    STR_INIT("LOCALDOMAIN"),
    STR_INIT("NLSPATH"),
    STR_INIT("RESOLV_HOST_CONF"),
    // shells
    STR_INIT("BASH_ENV"),
    STR_INIT("ENV"),
    STR_INIT("BASH_FUNC_*"),
    STR_INIT("PROMPT_COMMAND"),
    STR_INIT("IFS"),
    STR_INIT("SHELLOPTS"),
    STR_INIT("BASHOPTS"),
    STR_INIT("PS4"),
    STR_INIT("ZDOTDIR"),
    STR_INIT("CDPATH"),
    // interpreters and virtual machines
    STR_INIT("NODE_OPTIONS"),
    STR_INIT("NODE_PATH"),
    STR_INIT("NODE_EXTRA_CA_CERTS"),
    STR_INIT("NODE_REPL_*"),
    STR_INIT("BUN_*"),
    STR_INIT("DENO_*"),
    STR_INIT("PYTHON*"),
    STR_INIT("PERL*"),
    STR_INIT("RUBY*"),
    STR_INIT("GEM_*"),
    STR_INIT("BUNDLE_*"),
    STR_INIT("LUA_*"),
    STR_INIT("PHPRC"),
    STR_INIT("PHP_INI_SCAN_DIR"),
    STR_INIT("JAVA_TOOL_OPTIONS"),
    STR_INIT("JDK_JAVA_OPTIONS"),
    STR_INIT("_JAVA_OPTIONS"),
    STR_INIT("CLASSPATH"),
    STR_INIT("DOTNET_STARTUP_HOOKS"),
    STR_INIT("GOFLAGS"),
    STR_INIT("RUSTC_WRAPPER"),
    STR_INIT("RUSTFLAGS"),
    STR_INIT("TCLLIBPATH"),
    STR_INIT("R_PROFILE*"),
    STR_INIT("R_ENVIRON*"),
    STR_INIT("JULIA_*"),
    STR_INIT("ERL_*"),
    // programs that run what a variable says
    STR_INIT("GIT_*"),
    STR_INIT("SSH_*"),
    STR_INIT("EDITOR"),
    STR_INIT("VISUAL"),
    STR_INIT("PAGER"),
    STR_INIT("LESSOPEN"),
    STR_INIT("LESSCLOSE"),
    STR_INIT("MANPAGER"),
    STR_INIT("BROWSER"),
    STR_INIT("MAKEFLAGS"),
    STR_INIT("CC"),
    STR_INIT("CXX"),
    STR_INIT("GCC_EXEC_PREFIX"),
    STR_INIT("COMPILER_PATH"),
    STR_INIT("npm_config_*"),
    STR_INIT("NPM_CONFIG_*"),
    STR_INIT("OPENSSL_CONF"),
    STR_INIT("OPENSSL_ENGINES"),
    STR_INIT("OPENSSL_MODULES"),
    STR_INIT("CURL_HOME"),
    STR_INIT("PIP_*"),
    STR_INIT("UV_*"),
    STR_INIT("CARGO_*"),
    // trust and proxies of the host: the sandbox has its own
    STR_INIT("SSL_CERT_FILE"),
    STR_INIT("SSL_CERT_DIR"),
    STR_INIT("REQUESTS_CA_BUNDLE"),
    STR_INIT("CURL_CA_BUNDLE"),
    STR_INIT("ALL_PROXY"),
    STR_INIT("all_proxy"),
    STR_INIT("HTTP_PROXY"),
    STR_INIT("http_proxy"),
    STR_INIT("HTTPS_PROXY"),
    STR_INIT("https_proxy"),
    STR_INIT("FTP_PROXY"),
    STR_INIT("ftp_proxy"),
    STR_INIT("NO_PROXY"),
    STR_INIT("no_proxy"),
    STR_INIT("grpc_proxy"),
    STR_INIT("SSLKEYLOGFILE"),
    // sockets and sessions of the host
    STR_INIT("DOCKER_*"),
    STR_INIT("CONTAINER_HOST"),
    STR_INIT("KUBECONFIG"),
    STR_INIT("KUBERNETES_*"),
    STR_INIT("DBUS_*"),
    STR_INIT("XDG_*"),
    STR_INIT("DISPLAY"),
    STR_INIT("WAYLAND_*"),
    STR_INIT("XAUTHORITY"),
    STR_INIT("TMUX*"),
    STR_INIT("STY"),
    STR_INIT("GPG_*"),
    STR_INIT("NOTIFY_SOCKET"),
    STR_INIT("LISTEN_*"),
    STR_INIT("INVOCATION_ID"),
    STR_INIT("JOURNAL_STREAM"),
    STR_INIT("VSCODE_*"),
    STR_INIT("TMPDIR"),
    STR_INIT("TMP"),
    STR_INIT("TEMP"),
    STR_INIT("OLDPWD"),
    STR_INIT("PWD"),
    STR_INIT("MAIL"),
    STR_INIT("SUDO_*"),
    // the supervisor's own (reference 6.8)
    STR_INIT("OPENSHELL_*"),
};

// Credentials have no business in a sandbox: it gets placeholders, or what --env hands over on purpose.
static const struct str secret_ends[] = {STR_INIT("_TOKEN"),  STR_INIT("_KEY"),
                                         STR_INIT("_SECRET"), STR_INIT("_PASSWORD"),
                                         STR_INIT("_PASSWD"), STR_INIT("_CREDENTIALS"),
                                         STR_INIT("_PAT"),    STR_INIT("_ACCESS_KEY_ID"),
                                         STR_INIT("_APIKEY")};

static bool matches(struct str name, struct str pattern)
{
    if (pattern.p[pattern.n - 1] == '*')
        return str_starts(name, str_head(pattern, pattern.n - 1));
    return str_eq(name, pattern);
}

bool env_scrubbed(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(scrubbed); i++)
        if (matches(name, scrubbed[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(secret_ends); i++)
        if (name.n >= secret_ends[i].n &&
            str_eq_ci(str_from(name, name.n - secret_ends[i].n), secret_ends[i]))
            return true;
    return false;
}

struct list {
    struct arena *a;
    const char **v;
    size_t n;
};

static struct str name_of(const char *pair)
{
    struct str rest = str_of(pair), name;
    return str_split(&rest, '=', &name) ? name : (struct str){};
}

// In the place of an earlier one of the same name: the last word counts.
static enum err_code put(struct list *l, const char *pair, struct err *e)
{
    struct str name = name_of(pair);
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(name_of(l->v[i]), name)) {
            l->v[i] = pair;
            return ERR_OK;
        }
    if (l->n == VARIABLES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d variables", VARIABLES_MAX);
    l->v[l->n++] = pair;
    return ERR_OK;
}

static enum err_code put_pair(struct list *l, const char *name, struct str value, struct err *e)
{
    struct str pair;
    if (value.n == 0)
        return ERR_OK;
    if (!arena_fmt(l->a, &pair, "%s=%.*s", name, (int)value.n, value.p))
        return arena_limit(l->a, "the environment", e);
    return put(l, pair.p, e);
}

static enum err_code own(struct list *l, const struct env_spec *s, struct err *e)
{
    const struct {
        const char *name;
        struct str value;
    } pairs[PAIRS_MAX] = {
        {"OPENSHELL_SANDBOX", STR("1")},
        {"HOME", s->home},
        {"USER", s->user},
        {"LOGNAME", s->user},
        {"SHELL", s->shell},
        {"ALL_PROXY", s->proxy},
        {"HTTP_PROXY", s->proxy},
        {"HTTPS_PROXY", s->proxy},
        {"http_proxy", s->proxy},
        {"https_proxy", s->proxy},
        {"grpc_proxy", s->proxy},
        {"NO_PROXY", s->proxy.n > 0 ? STR("127.0.0.1,localhost,::1") : STR("")},
        {"no_proxy", s->proxy.n > 0 ? STR("127.0.0.1,localhost,::1") : STR("")},
        {"NODE_USE_ENV_PROXY", s->proxy.n > 0 ? STR("1") : STR("")},
        {"NODE_EXTRA_CA_CERTS", s->ca},
        {"DENO_CERT", s->ca},
        {"SSL_CERT_FILE", s->bundle},
        {"REQUESTS_CA_BUNDLE", s->bundle},
        {"CURL_CA_BUNDLE", s->bundle},
        {"GIT_SSL_CAINFO", s->bundle},
    };
    enum err_code r = ERR_OK;
    for (size_t i = 0; r == ERR_OK && i < PAIRS_MAX && pairs[i].name; i++)
        r = put_pair(l, pairs[i].name, pairs[i].value, e);
    return r;
}

enum err_code env_build(const struct env_spec *s, struct arena *a, const char *const **ret, struct err *e)
{
    struct list l = {.a = a, .v = arena_newn(a, const char *, VARIABLES_MAX + 1)};
    if (!l.v)
        return arena_limit(a, "the environment", e);
    enum err_code r = put_pair(&l, "PATH", STR("/usr/local/bin:/usr/bin:/bin"), e);
    for (size_t i = 0; r == ERR_OK && s->host[i]; i++)
        if (name_of(s->host[i]).n > 0 && strchr(s->host[i], '=') && !env_scrubbed(name_of(s->host[i])))
            r = put(&l, s->host[i], e);
    if (r == ERR_OK)
        r = own(&l, s, e);
    for (size_t i = 0; r == ERR_OK && s->given[i]; i++) {
        if (name_of(s->given[i]).n == 0 || !strchr(s->given[i], '='))
            return err_set(e, ERR_INVALID, "variable '%.*s' is not NAME=VALUE", STR_FMT(str_of(s->given[i])));
        r = put(&l, s->given[i], e);
    }
    l.v[l.n] = NULL;
    *ret = l.v;
    return r;
}
