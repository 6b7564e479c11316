#include "gateway/providers.h"

#include "gateway/harness_test.h"
#include "gateway/provider_map.h"

static struct harness h;

#define DM(name) Openshell__Datamodel__V1__##name
#define KEY      "sk-ant-REAL-0123456789"

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

// "NAME TYPE KEY=VALUE…": a provider in one line.
static provider *make(const char *name, const char *type, const char *const *pairs)
{
    provider *p = arena_new(&h.arena, provider);
    DM(ObjectMeta) *m = arena_new(&h.arena, DM(ObjectMeta));
    size_t n = 0;
    while (pairs[2 * n])
        n++;
    provider_credential *e = arena_newn(&h.arena, provider_credential, n),
                        **list = arena_newn(&h.arena, provider_credential *, n);
    openshell__datamodel__v1__provider__init(p);
    openshell__datamodel__v1__object_meta__init(m);
    m->name = text(name);
    p->metadata = m;
    p->type = text(type);
    for (size_t i = 0; i < n; i++) {
        openshell__datamodel__v1__provider__credentials_entry__init(&e[i]);
        e[i].key = text(pairs[2 * i]);
        e[i].value = text(pairs[2 * i + 1]);
        list[i] = &e[i];
    }
    p->credentials = list;
    p->n_credentials = n;
    return p;
}

static const provider *create(provider *p)
{
    V1(CreateProviderRequest) q = OPENSHELL__V1__CREATE_PROVIDER_REQUEST__INIT;
    q.provider = p;
    const V1(ProviderResponse) *r = (const V1(
        ProviderResponse) *)(const void *)harness_call(&h, RPC_OPEN_SHELL_CREATE_PROVIDER, &q.base);
    return r ? r->provider : NULL;
}

static const provider *get(const char *name)
{
    V1(GetProviderRequest) q = OPENSHELL__V1__GET_PROVIDER_REQUEST__INIT;
    q.name = text(name);
    const V1(ProviderResponse) *r = (const V1(
        ProviderResponse) *)(const void *)harness_call(&h, RPC_OPEN_SHELL_GET_PROVIDER, &q.base);
    return r ? r->provider : NULL;
}

static const provider *update(provider *p)
{
    V1(UpdateProviderRequest) q = OPENSHELL__V1__UPDATE_PROVIDER_REQUEST__INIT;
    q.provider = p;
    const V1(ProviderResponse) *r = (const V1(
        ProviderResponse) *)(const void *)harness_call(&h, RPC_OPEN_SHELL_UPDATE_PROVIDER, &q.base);
    return r ? r->provider : NULL;
}

static int delete_provider(const char *name) // 1: deleted, 0: not there, -1: refused
{
    V1(DeleteProviderRequest) q = OPENSHELL__V1__DELETE_PROVIDER_REQUEST__INIT;
    q.name = text(name);
    const V1(DeleteProviderResponse) *r = (const V1(
        DeleteProviderResponse) *)(const void *)harness_call(&h, RPC_OPEN_SHELL_DELETE_PROVIDER, &q.base);
    return r ? (int)r->deleted : -1;
}

static int attach(const char *sandbox, const char *name, bool on) // as above
{
    V1(AttachSandboxProviderRequest) q = OPENSHELL__V1__ATTACH_SANDBOX_PROVIDER_REQUEST__INIT;
    V1(DetachSandboxProviderRequest) d = OPENSHELL__V1__DETACH_SANDBOX_PROVIDER_REQUEST__INIT;
    q.sandbox_name = d.sandbox_name = text(sandbox);
    q.provider_name = d.provider_name = text(name);
    const ProtobufCMessage *m = harness_call(&h,
                                             on ? RPC_OPEN_SHELL_ATTACH_SANDBOX_PROVIDER
                                                : RPC_OPEN_SHELL_DETACH_SANDBOX_PROVIDER,
                                             on ? &q.base : &d.base);
    if (!m)
        return -1;
    return on ? (int)((const V1(AttachSandboxProviderResponse) *)(const void *)m)->attached
              : (int)((const V1(DetachSandboxProviderResponse) *)(const void *)m)->detached;
}

static void check(bool ok, const char *rule)
{
    if (!tap_ok(ok, "%s", rule))
        tap_note("%s", h.err.msg);
}

static bool refused(enum rpc_code code, const char *part)
{
    return harness_code(&h) == code && strstr(h.err.msg, part);
}

static const char *const one[] = {"ANTHROPIC_API_KEY", KEY, NULL};

static void test_records(void)
{
    const provider *p = create(make("claude", "claude", one));
    check(p && strcmp(p->type, "claude-code") == 0 && p->n_credentials == 1 &&
              strcmp(p->credentials[0]->value, PROVIDER_REDACTED) == 0 && p->n_credential_handles == 0,
          "a provider is created; its value does not come back, and its type has one name");
    check(!create(make("claude", "claude-code", one)) &&
              refused(RPC_ALREADY_EXISTS, "provider already exists"),
          "a name is taken once");
    static const char *const none[] = {NULL};
    check(!create(make("x", "claude-code", none)) && refused(RPC_INVALID_ARGUMENT, "at least one credential"),
          "a kind with a credential that is required has one");
    check(create(make("index", "pypi", none)) != NULL, "a kind without any may have none");
    check(!create(make("x", "", one)) && refused(RPC_INVALID_ARGUMENT, "type is required"),
          "a type is required");
    static const char *const breaks[] = {"A", "x\r\nHost: y", NULL};
    check(!create(make("x", "generic", breaks)) && refused(RPC_INVALID_ARGUMENT, "line break"),
          "a value with a line break is no credential");
    p = create(make("", "generic", one));
    check(p && strlen(p->metadata->name) == 6, "a name is made where none was given");
    check(delete_provider(p ? p->metadata->name : "") == 1, "and can be used");
    check(!get("nobody") && refused(RPC_NOT_FOUND, "provider not found"), "one that is not there");
}

static void test_update(void)
{
    static const char *const more[] = {"CLAUDE_API_KEY", "second", NULL};
    static const char *const less[] = {"CLAUDE_API_KEY", "", NULL};
    uint64_t version = get("claude")->metadata->resource_version;
    const provider *p = update(make("claude", "", more));
    check(p && p->n_credentials == 2 && p->metadata->resource_version == version + 1, "an update adds");
    provider *stale = make("claude", "", more);
    stale->metadata->resource_version = version;
    check(!update(stale) && refused(RPC_ABORTED, "modified concurrently"),
          "an update of an older version is refused");
    p = update(make("claude", "", less));
    check(p && p->n_credentials == 1, "an empty value removes");
    check(!update(make("claude", "codex", more)) && refused(RPC_INVALID_ARGUMENT, "type"), "a type stays");
}

static const V1(GetSandboxProviderEnvironmentResponse) * environment(const char *id, bool bindings)
{
    CLEANUP(arena_done) struct arena a;
    struct rpc_meta meta = {};
    arena_init(&a, MIB);
    V1(GetSandboxProviderEnvironmentRequest)
    q = OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_REQUEST__INIT;
    q.sandbox_id = text("sb-1");
    q.supports_static_credential_bindings = bindings;
    struct rpc_client *c = harness_supervisor(&h, id, &meta, &a);
    const struct rpc_wait wait = {deadline_in_ms(20'000), -1};
    ProtobufCMessage *out = NULL;
    h.err = (struct err){};
    enum err_code r = rpc_unary(c, RPC_OPEN_SHELL_GET_SANDBOX_PROVIDER_ENVIRONMENT, &q.base, &wait, &h.arena,
                                &out, &h.err);
    rpc_client_free(c);
    return r == ERR_OK ? (const V1(GetSandboxProviderEnvironmentResponse) *)(const void *)out : NULL;
}

static void test_attached(void)
{
    static const char *const token[] = {"GITHUB_TOKEN", "ghp_x", NULL};
    static const char *const unbound[] = {"SOMETHING", "value", NULL};
    harness_sandbox(&h, "sb-1", "one", NULL);
    check(attach("one", "claude", true) == 1, "attached");
    check(attach("one", "claude", true) == 0, "attached twice is said");
    check(attach("one", "nobody", true) == -1 &&
              refused(RPC_FAILED_PRECONDITION, "provider 'nobody' not found"),
          "a provider that is not there");
    check(create(make("again", "claude-code", one)) && attach("one", "again", true) == -1 &&
              refused(RPC_FAILED_PRECONDITION, "both give ANTHROPIC_API_KEY"),
          "two that give the same variable do not go together");
    check(delete_provider("claude") == -1 &&
              refused(RPC_FAILED_PRECONDITION, "provider 'claude' is attached to sandbox(es): one"),
          "one that is attached stays");
    check(create(make("hub", "gh", token)) && attach("one", "hub", true) == 1, "another kind beside it");
    check(create(make("free", "generic", unbound)) && attach("one", "free", true) == 1,
          "and one without a profile");

    const V1(GetSandboxProviderEnvironmentResponse) *e = environment("sb-1", true);
    check(e && e->n_environment == 2 && strcmp(e->environment[0]->key, "ANTHROPIC_API_KEY") == 0 &&
              strcmp(e->environment[0]->value, KEY) == 0 && strcmp(e->environment[1]->value, "ghp_x") == 0,
          "its supervisor gets the values that have a place to go, in the order of attachment");
    const V1(StaticCredentialBinding) *b = e && e->n_static_credential_bindings == 2
                                               ? e->static_credential_bindings[0]->value
                                               : NULL;
    check(b && b->n_endpoints == 3 && strcmp(b->endpoints[0]->host, "api.anthropic.com") == 0 &&
              b->endpoints[0]->port == 443 && strstr(b->credential_identity, ":ANTHROPIC_API_KEY"),
          "and where each may go");
    uint64_t revision = e ? e->provider_env_revision : 0;
    check(!environment("sb-2", true), "another sandbox gets nothing");
    e = environment("sb-1", false);
    check(e && e->n_environment == 0, "a supervisor that knows no bindings gets no value");
    V1(GetSandboxProviderEnvironmentRequest)
    q = OPENSHELL__V1__GET_SANDBOX_PROVIDER_ENVIRONMENT_REQUEST__INIT;
    q.sandbox_id = text("sb-1");
    check(!harness_call(&h, RPC_OPEN_SHELL_GET_SANDBOX_PROVIDER_ENVIRONMENT, &q.base) &&
              refused(RPC_PERMISSION_DENIED, "sandbox principal"),
          "no user gets values");

    static const char *const next[] = {"GITHUB_TOKEN", "ghp_y", NULL};
    check(update(make("hub", "", next)) != NULL, "a value is replaced");
    e = environment("sb-1", true);
    check(e && e->provider_env_revision != revision && strcmp(e->environment[1]->value, "ghp_y") == 0,
          "which is another revision");
    V1(UpdateProviderRequest) u = OPENSHELL__V1__UPDATE_PROVIDER_REQUEST__INIT;
    V1(UpdateProviderRequest__CredentialExpiresAtMsEntry)
    x = OPENSHELL__V1__UPDATE_PROVIDER_REQUEST__CREDENTIAL_EXPIRES_AT_MS_ENTRY__INIT, *xs[] = {&x};
    x.key = text("GITHUB_TOKEN");
    x.value = 1;
    u.provider = make("hub", "", (const char *const[]){NULL});
    u.credential_expires_at_ms = xs;
    u.n_credential_expires_at_ms = 1;
    check(harness_call(&h, RPC_OPEN_SHELL_UPDATE_PROVIDER, &u.base) && (e = environment("sb-1", true)) &&
              e->n_environment == 1,
          "what has expired is not given");
}

static void test_detached(void)
{
    const V1(GetSandboxProviderEnvironmentResponse) *e = NULL;
    check(attach("one", "claude", false) == 1, "detached");
    check(attach("one", "claude", false) == 0, "once");
    check((e = environment("sb-1", true)) && e->n_environment == 0, "and given no more");
    check(delete_provider("claude") == 1, "then it can be deleted");
    check(delete_provider("claude") == 0, "once");
}

// What a connected supervisor is sent, and that it is not asked for more than was meant.
static void test_pushed(void)
{
    static const char *const next[] = {"ANTHROPIC_API_KEY", "sk-ant-NEXT", NULL};
    harness_sandbox(&h, "sb-3", "three", NULL);
    harness_must(create(make("pushed", "claude-code", one)) ? ERR_OK : ERR_INTERNAL, &h.err);
    unsigned before = h.environments;
    check(attach("three", "pushed", true) == 1 && h.environments == before + 1 && h.values == 1,
          "what is attached is pushed before the call returns");
    uint64_t revision = h.env_revision;
    check(update(make("pushed", "", next)) && h.environments > before + 1 && h.env_revision != revision,
          "so is a changed value, as another revision");
    before = h.environments;
    check(update(make("hub", "", (const char *const[]){"GITHUB_TOKEN", "ghp_z", NULL})) &&
              h.environments == before + 1,
          "one that others use is pushed to those alone");
    check(attach("three", "pushed", false) == 1 && h.values == 0, "what is detached is taken away");
    before = h.environments;
    h.connected = false;
    check(attach("three", "pushed", true) == 1 && h.environments == before,
          "a sandbox that is not connected is no failure: it asks when it is");
    h.connected = true;
    V1(SupervisorHello) hello = OPENSHELL__V1__SUPERVISOR_HELLO__INIT;
    provider_on_connected(&h.services, STR("sb-3"), &hello);
    check(h.environments == before + 1 && h.values == 1, "and gets what it has not heard of");
    hello.provider_env_revision = h.env_revision;
    provider_on_connected(&h.services, STR("sb-3"), &hello);
    check(h.environments == before + 1, "but nothing that it has");
}

static void test_profiles(void)
{
    V1(ListProviderProfilesRequest) q = OPENSHELL__V1__LIST_PROVIDER_PROFILES_REQUEST__INIT;
    const V1(ListProviderProfilesResponse) *r = (const V1(ListProviderProfilesResponse) *)(const void *)
        harness_call(&h, RPC_OPEN_SHELL_LIST_PROVIDER_PROFILES, &q.base);
    check(r && r->n_profiles == 13 && strcmp(r->profiles[0]->id, "aws") == 0 &&
              strcmp(r->profiles[12]->id, "pypi") == 0 && strcmp(r->profiles[0]->source, "builtin") == 0,
          "thirteen kinds are built in, sorted");
    V1(GetProviderProfileRequest) g = OPENSHELL__V1__GET_PROVIDER_PROFILE_REQUEST__INIT;
    g.id = text("claude");
    const V1(ProviderProfileResponse) *p = (const V1(ProviderProfileResponse) *)(const void *)
        harness_call(&h, RPC_OPEN_SHELL_GET_PROVIDER_PROFILE, &g.base);
    check(p && strcmp(p->profile->id, "claude-code") == 0 && p->profile->n_binaries == 2,
          "one by another name");
    g.id = text("no-such");
    check(!harness_call(&h, RPC_OPEN_SHELL_GET_PROVIDER_PROFILE, &g.base) &&
              refused(RPC_NOT_FOUND, "provider profile 'no-such' not found"),
          "one that is not there");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    test_records();
    test_update();
    test_attached();
    test_detached();
    test_pushed();
    test_profiles();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
