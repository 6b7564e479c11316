#include "supervisor/session/internal.h"

#include <errno.h>
#include <unistd.h>

#include "convert/policy_wire.h"
#include "policy/print.h"
#include "supervisor/credentials.h"

enum { ENV_MAX = 1024, TEXT_ARENA = 16 * MIB };

// What holds where the gateway has no policy of the sandbox (reference: policy 1.1).
#define RESTRICTIVE                                                                                          \
    "version: 1\n"                                                                                           \
    "filesystem_policy:\n"                                                                                   \
    "  include_workdir: true\n"                                                                              \
    "  read_only: [/usr, /lib, /lib64, /proc, /dev/urandom, /app, /etc, /var/log]\n"                         \
    "  read_write: [/tmp, /dev/null]\n"                                                                      \
    "landlock: {compatibility: best_effort}\n"

enum err_code config_policy(const Openshell__Sandbox__V1__GetSandboxConfigResponse *m, struct buf *out,
                            struct err *e)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, TEXT_ARENA);
    struct policy *policy = NULL;
    buf_init(out, POLICY_TEXT_MAX);
    if (m->n_supervisor_middleware_services > 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "supervisor middleware is not built yet, so it cannot be enforced");
    if (!m->policy) {
        buf_add(out, STR(RESTRICTIVE));
        return buf_check(out, "the policy", e);
    }
    enum err_code r = policy_from_wire(m->policy, &a, &policy, e);
    if (r != ERR_OK)
        return r;
    policy_print_yaml(policy, out);
    return buf_check(out, "the policy", e);
}

// ---- what to start
// -----------------------------------------------------------------------------------------------

static const char *copy(struct arena *a, const char *s)
{
    struct str d;
    return arena_dup(a, str_of(s), &d) ? d.p : NULL;
}

static bool is_name(const char *name)
{
    return name[0] && !strchr(name, '=');
}

static enum err_code launch_words(const Openshell__Sandbox__V1__LaunchSpec *l, struct arena *a,
                                  struct session_launch *ret, struct err *e)
{
    const char **argv = arena_newn(a, const char *, l->n_command + 1);
    const char **env = arena_newn(a, const char *, l->n_environment + 1);
    bool ok = argv && env;
    for (size_t i = 0; ok && i < l->n_command; i++)
        ok = (argv[i] = copy(a, l->command[i])) != NULL;
    for (size_t i = 0; ok && i < l->n_environment; i++) {
        struct str pair = {};
        if (!is_name(l->environment[i]->key))
            return err_set(e, ERR_INVALID, "the gateway's variable '%s' has no name", l->environment[i]->key);
        ok = arena_fmt(a, &pair, "%s=%s", l->environment[i]->key, l->environment[i]->value);
        env[i] = pair.p;
    }
    if (!ok)
        return arena_limit(a, "the command", e);
    ret->argv = argv;
    ret->env = env;
    return ERR_OK;
}

enum err_code config_launch(const Openshell__Sandbox__V1__GetSandboxConfigResponse *m, struct arena *a,
                            struct session_launch *ret, struct err *e)
{
    static const struct str levels[] = {STR_INIT("info"), STR_INIT("debug"), STR_INIT("trace")};
    const Openshell__Sandbox__V1__LaunchSpec *l = m->launch;
    CLEANUP(buf_done) struct buf text = {};
    if (!l)
        return err_set(e, ERR_PRECONDITION, "the gateway does not say what to start (LaunchSpec)");
    if (l->n_command == 0 || !l->command[0][0])
        return err_set(e, ERR_INVALID, "the gateway names no command to start");
    struct session_launch got = {.tty = l->tty};
    enum err_code r = config_policy(m, &text, e);
    if (r == ERR_OK)
        r = launch_words(l, a, &got, e);
    if (r != ERR_OK)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        got.verbose = got.verbose || str_eq_ci(str_of(l->log_level), levels[i]);
    got.name = copy(a, l->name);
    got.workdir = l->workdir[0] ? copy(a, l->workdir) : NULL;
    if (!got.name || (l->workdir[0] && !got.workdir) || !arena_dup(a, buf_str(&text), &got.policy))
        return arena_limit(a, "the configuration of the sandbox", e);
    *ret = got;
    return ERR_OK;
}

// ---- the environment of a command
// ---------------------------------------------------------------------------------

// In the place of one of the same name, or behind all.
static void put_pair(struct strs *env, struct str pair)
{
    size_t i = 0, head = (size_t)str_find(pair, '=') + 1; // it has one
    while (i < env->n && !str_starts(env->v[i], str_head(pair, head)))
        i++;
    env->v[i] = pair;
    env->n += i == env->n;
}

static enum err_code put(struct strs *env, struct arena *a, const char *name, const char *value,
                         struct err *e)
{
    struct str pair;
    if (!arena_fmt(a, &pair, "%s=%s", name, value))
        return arena_limit(a, "the environment", e);
    put_pair(env, pair);
    return ERR_OK;
}

enum err_code config_env(const struct session *s, const GATEWAY(ExecRelayTarget) * m, struct arena *a,
                         struct strs *ret, struct err *e)
{
    const struct strs *base = &s->launcher->plan->spec.env;
    struct strs bound = {};
    size_t more = m ? m->n_environment : 0;
    bool tty = m ? m->tty : s->launcher->opts->tty;
    if (more > ENV_MAX)
        return err_set(e, ERR_LIMIT, "%zu variables, the limit is %d", more, ENV_MAX);
    enum err_code r = credentials_env(s->opts.credentials, a, &bound, e);
    if (r != ERR_OK)
        return r;
    struct strs env = {.v = arena_newn(a, struct str, base->n + bound.n + more + 1)};
    if (!env.v)
        return arena_limit(a, "the environment", e);
    bool has_term = false;
    for (; env.n < base->n; env.n++) {
        env.v[env.n] = base->v[env.n];
        has_term = has_term || str_starts(base->v[env.n], STR("TERM="));
    }
    for (size_t i = 0; m && i < bound.n; i++) // those of now; the main process has those of its start
        put_pair(&env, bound.v[i]);
    if (r == ERR_OK &&
        (m || !has_term)) // what the supervisor was started with says nothing of a terminal in there
        r = put(&env, a, "TERM", tty ? "xterm-256color" : "dumb", e);
    for (size_t i = 0; r == ERR_OK && i < more; i++) {
        if (!is_name(m->environment[i]->key))
            return err_set(e, ERR_INVALID, "variable '%s' has no name", m->environment[i]->key);
        r = put(&env, a, m->environment[i]->key, m->environment[i]->value, e);
    }
    *ret = env;
    return r;
}
