#include "isolate/env.h"

#include "tap.h"

static const char *const none[] = {NULL};

static const struct env_spec plain = {.host = none,
                                      .given = none,
                                      .home = STR_INIT("/sandbox"),
                                      .user = STR_INIT("sandbox"),
                                      .shell = STR_INIT("/bin/sh"),
                                      .proxy = STR_INIT("http://10.200.0.1:3128"),
                                      .ca = STR_INIT("/ca.pem"),
                                      .bundle = STR_INIT("/bundle.pem")};

// ---- names
// ---------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    bool scrubbed;
    const char *rule;
} names[] = {
    {"LD_PRELOAD", true, "the loader's variables do not pass"},
    {"LD_AUDIT", true, "a star ends a beginning"},
    {"LD_", true, "a beginning alone matches its star"},
    {"LD", false, "what is shorter than a beginning is another name"},
    {"XLD_PRELOAD", false, "a beginning is not looked for in the middle"},
    {"ld_preload", false, "names are compared with their case"},
    {"GLIBC_TUNABLES", true, "the C library's switches do not pass"},
    {"GLIBC_TUNABLES2", false, "a name without a star is compared whole"},
    {"BASH_ENV", true, "what a shell reads at its start does not pass"},
    {"BASH_FUNC_ls%%", true, "exported functions do not pass"},
    {"ENV", true, "sh's start file does not pass"},
    {"ENVIRONMENT", false, "a name that only begins like ENV passes"},
    {"IFS", true, "the word splitter does not pass"},
    {"NODE_OPTIONS", true, "node's options do not pass"},
    {"NODE_ENV", false, "what only says how node runs passes"},
    {"PYTHONSTARTUP", true, "python's variables do not pass"},
    {"PERL5OPT", true, "perl's variables do not pass"},
    {"RUBYOPT", true, "ruby's variables do not pass"},
    {"JAVA_TOOL_OPTIONS", true, "the JVM's options do not pass"},
    {"GIT_SSH_COMMAND", true, "git's commands do not pass"},
    {"SSH_AUTH_SOCK", true, "the host's key agent does not pass"},
    {"DBUS_SESSION_BUS_ADDRESS", true, "the host's bus does not pass"},
    {"DOCKER_HOST", true, "the host's engine does not pass"},
    {"XDG_RUNTIME_DIR", true, "the host's session does not pass"},
    {"https_proxy", true, "the host's proxy does not pass"},
    {"SSL_CERT_FILE", true, "the host's trust does not pass"},
    {"OPENSHELL_ANYTHING", true, "the supervisor's own names do not pass"},
    {"GITHUB_TOKEN", true, "a token does not pass"},
    {"github_token", true, "a credential is known by its end, whatever the case"},
    {"AWS_SECRET_ACCESS_KEY", true, "a key does not pass"},
    {"AWS_ACCESS_KEY_ID", true, "a key's name does not pass"},
    {"DB_PASSWORD", true, "a password does not pass"},
    {"TOKEN", false, "an end needs something before its underscore"},
    {"_TOKEN", true, "an end alone is one, too"},
    {"MY_TOKENS", false, "an end is at the end"},
    {"PATH", false, "PATH passes"},
    {"LANG", false, "the language passes"},
    {"TERM", false, "the terminal's kind passes"},
    {"", false, "no name is no match"},
};

// ---- lists
// ---------------------------------------------------------------------------------------------------------

static const char *value_of(const char *const *env, const char *name, int *ret_times)
{
    const char *found = NULL;
    *ret_times = 0;
    for (; *env; env++) {
        struct str rest = str_of(*env), n;
        if (str_split(&rest, '=', &n) && str_eq(n, str_of(name))) {
            found = *env + strlen(name) + 1;
            (*ret_times)++;
        }
    }
    return found;
}

// One variable of the host, one that is given, and what the agent sees of `name`; NULL: nothing.
static const struct {
    const char *host, *given, *name, *want, *rule;
} lists[] = {
    {NULL, NULL, "PATH", "/usr/local/bin:/usr/bin:/bin", "a PATH is there without the host's"},
    {"PATH=/opt", NULL, "PATH", "/opt", "the host's PATH wins over ours"},
    {"PATH=/opt", "PATH=/mine", "PATH", "/mine", "a given PATH wins over both"},
    {"LANG=C.UTF-8", NULL, "LANG", "C.UTF-8", "what is harmless passes"},
    {"EMPTY=", NULL, "EMPTY", "", "an empty variable is one"},
    {"A=b=c", NULL, "A", "b=c", "a value may hold an equals sign"},
    {"NOVALUE", NULL, "NOVALUE", NULL, "a host's variable without an equals sign is left out"},
    {"=x", NULL, "", NULL, "a host's variable without a name is left out"},
    {"LD_PRELOAD=/evil.so", NULL, "LD_PRELOAD", NULL, "what is scrubbed is not there"},
    {"LD_PRELOAD=/evil.so", "LD_PRELOAD=/good.so", "LD_PRELOAD", "/good.so",
     "what is given passes, scrubbed or not"},
    {"GH_TOKEN=s3cret", NULL, "GH_TOKEN", NULL, "a credential of the host is not there"},
    {NULL, "GH_TOKEN=s3cret", "GH_TOKEN", "s3cret", "a credential that is given is there"},
    {"HOME=/root", NULL, "HOME", "/sandbox", "our HOME wins over the host's"},
    {"HOME=/root", "HOME=/else", "HOME", "/else", "a given HOME wins over ours"},
    {"USER=root", NULL, "USER", "sandbox", "our USER wins over the host's"},
    {"LOGNAME=root", NULL, "LOGNAME", "sandbox", "our LOGNAME wins over the host's"},
    {"SHELL=/bin/zsh", NULL, "SHELL", "/bin/sh", "our SHELL wins over the host's"},
    {"HTTPS_PROXY=http://corp:1", NULL, "HTTPS_PROXY", "http://10.200.0.1:3128",
     "the proxy is the sandbox's"},
    {"no_proxy=*", NULL, "no_proxy", "127.0.0.1,localhost,::1", "only the loopback goes past the proxy"},
    {"NODE_EXTRA_CA_CERTS=/h", NULL, "NODE_EXTRA_CA_CERTS", "/ca.pem", "node gets the sandbox's CA"},
    {"GIT_SSL_CAINFO=/h", NULL, "GIT_SSL_CAINFO", "/bundle.pem", "git gets the sandbox's bundle"},
    {"OPENSHELL_SANDBOX=0", NULL, "OPENSHELL_SANDBOX", "1", "a sandbox says that it is one"},
};

static void list(size_t i)
{
    const char *host[] = {lists[i].host, NULL}, *given[] = {lists[i].given, NULL};
    struct env_spec s = plain;
    s.host = host;
    s.given = given;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const char *const *env;
    struct err e;
    enum err_code r = env_build(&s, &a, &env, &e);
    int times = 0;
    const char *got = r == ERR_OK ? value_of(env, lists[i].name, &times) : "(error)";
    const char *want = lists[i].want;
    if (!tap_ok(want ? got && strcmp(got, want) == 0 && times == 1 : !got, "%s", lists[i].rule))
        tap_note("%s: got %s, %d times", lists[i].name, got ? got : "nothing", times);
}

static void twice_given(void)
{
    const char *given[] = {"A=1", "B=2", "A=3", NULL};
    struct env_spec s = plain;
    s.given = given;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const char *const *env;
    struct err e;
    int times = 0;
    const char *got = env_build(&s, &a, &env, &e) == ERR_OK ? value_of(env, "A", &times) : NULL;
    (void)tap_ok(got && strcmp(got, "3") == 0 && times == 1, "the last of two given ones counts");
}

static void without_proxy(void)
{
    static const char *const names_unset[] = {"HTTP_PROXY", "no_proxy", "NODE_USE_ENV_PROXY",
                                              "SSL_CERT_FILE"};
    const char *host[] = {"HTTP_PROXY=http://corp:1", "no_proxy=x", NULL};
    const struct env_spec s = {.host = host, .given = none};
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const char *const *env;
    struct err e;
    bool ok = env_build(&s, &a, &env, &e) == ERR_OK;
    int times;
    for (size_t i = 0; ok && i < ARRAY_LEN(names_unset); i++)
        ok = !value_of(env, names_unset[i], &times);
    (void)tap_ok(ok, "without a proxy and a CA, neither ours nor the host's are set");
}

// ---- errors
// --------------------------------------------------------------------------------------------------------

static const struct {
    const char *given, *text, *rule;
} bad[] = {
    {"JUSTANAME", "variable 'JUSTANAME' is not NAME=VALUE", "a given variable needs an equals sign"},
    {"=value", "variable '=value' is not NAME=VALUE", "a given variable needs a name"},
    {"", "variable '' is not NAME=VALUE", "a given variable is not empty"},
};

static void refused(size_t i)
{
    const char *given[] = {bad[i].given, NULL};
    struct env_spec s = plain;
    s.given = given;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    const char *const *env;
    struct err e = {};
    enum err_code r = env_build(&s, &a, &env, &e);
    if (!tap_ok(r == ERR_INVALID && strcmp(e.msg, bad[i].text) == 0, "%s", bad[i].rule))
        tap_note("%d %s", r, e.msg);
}

static void no_room(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, KIB);
    const char *const *env;
    struct err e = {};
    (void)tap_ok(env_build(&plain, &a, &env, &e) == ERR_LIMIT, "a full arena is a limit, not a crash");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)tap_ok(env_scrubbed(str_of(names[i].name)) == names[i].scrubbed, "%s: %s", names[i].name,
                     names[i].rule);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list(i);
    twice_given();
    without_proxy();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refused(i);
    no_room();
    return tap_done();
}
