// gateway/harness_test.h: the gateway's handlers on a real server and store, in a thread of the test, spoken
// to by the real client. Only the supervisors are a stand-in: what is pushed is noted, and answered as the
// test says.
#pragma once
#include "gateway/caller.h"
#include "gateway/config.h"
#include "gateway/methods.h"
#include "gateway/providers.h"
#include "gateway/records.h"
#include "gateway/revisions.h"
#include "gateway/watch.h"
#include "gateway/workspace.h"
#include "rpc/dial.h"
#include "store/store_test.h"

#include <pthread.h>
#include <signal.h>

#define V1(name)  Openshell__V1__##name
#define SB1(name) Openshell__Sandbox__V1__##name

struct harness {
    struct services services; // first: what handlers see
    struct place place;
    struct log log;
    uv_loop_t loop;
    pthread_t thread;
    struct rpc_server *server;
    struct rpc_handler handlers[RPC_METHODS];
    char socket[128];
    struct rpc_client *client;
    struct arena arena; // of the answers
    struct err err;
    // The stand-in. mu guards it.
    pthread_mutex_t mu;
    bool connected;
    char refusal[200];
    unsigned pushes;
    bool pushing, overlapped; // two at once, which is only right for two sandboxes
    uint32_t in_force;        // the version that was pushed last
    uint64_t config_revision;
    unsigned environments, bundles; // pushed
    size_t values;                  // in the environment that was pushed last
    uint64_t env_revision;
    char route_key[64]; // of the first route pushed last
};

static inline bool harness_has(void *ctx, struct str sandbox_id)
{
    struct harness *h = ctx;
    (void)sandbox_id;
    (void)pthread_mutex_lock(&h->mu);
    bool connected = h->connected;
    (void)pthread_mutex_unlock(&h->mu);
    return connected;
}

static inline enum err_code harness_push(void *ctx, struct str sandbox_id, V1(ConfigPush) * push,
                                         int64_t deadline_ns, struct push_result *ret, struct err *reterr)
{
    struct harness *h = ctx;
    (void)sandbox_id, (void)deadline_ns, (void)reterr;
    (void)pthread_mutex_lock(&h->mu);
    h->pushes++;
    h->overlapped = h->overlapped || h->pushing;
    h->pushing = true;
    (void)pthread_mutex_unlock(&h->mu);
    (void)usleep(200); // what another push would fall into
    (void)pthread_mutex_lock(&h->mu);
    h->pushing = false;
    *ret = (struct push_result){.connections_cut = 3};
    (void)snprintf(ret->error, sizeof(ret->error), "%s", h->refusal);
    if (!ret->error[0] && push->provider_environment) {
        h->environments++;
        h->values = push->provider_environment->n_environment;
        h->env_revision = push->provider_environment->provider_env_revision;
    }
    if (!ret->error[0] && push->inference) {
        h->bundles++;
        (void)snprintf(h->route_key, sizeof(h->route_key), "%s",
                       push->inference->n_routes > 0 ? push->inference->routes[0]->api_key : "");
    }
    if (!ret->error[0] && push->config) {
        h->in_force = push->config->version;
        h->config_revision = push->config->config_revision;
    }
    ret->policy_version = h->in_force;
    (void)pthread_mutex_unlock(&h->mu);
    return ERR_OK;
}

static inline void *harness_loop(void *arg)
{
    struct harness *h = arg;
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    return NULL;
}

static inline void harness_must(enum err_code c, const struct err *err)
{
    if (c == ERR_OK)
        return;
    printf("Bail out! %s\n", err->msg);
    exit(1);
}

static inline void harness_start(struct harness *h, struct place place)
{
    char logs[128];
    *h = (struct harness){.place = place, .log = {.fd = 2}, .connected = true};
    (void)pthread_mutex_init(&h->mu, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    arena_init(&h->arena, 64 * MIB);
    h->services.log = &h->log;
    h->services.store = place_open(&h->place);
    const struct config_ops ops = {harness_has, harness_push, h};
    harness_must(workspace_ensure_default(h->services.store, &h->err), &h->err);
    (void)snprintf(logs, sizeof(logs), "%s/jwt", h->place.folder);
    harness_must(tokens_open(logs, STR("test"), 0, &h->services.tokens, &h->err), &h->err);
    harness_must(secrets_open(h->services.store, h->place.folder, &h->services.secrets, &h->err), &h->err);
    harness_must(profiles_new(&h->services.profiles, &h->err), &h->err);
    harness_must(config_new(&ops, &h->services.config, &h->err), &h->err);
    harness_must(watch_new(&h->services.watch, &h->err), &h->err);
    (void)snprintf(logs, sizeof(logs), "%s/logs", h->place.folder);
    harness_must(watch_keep(h->services.watch, logs, &h->log, &h->err), &h->err);
    if (uv_loop_init(&h->loop) != 0)
        abort();
    memcpy(h->handlers, gateway_handlers, sizeof(h->handlers));
    h->handlers[RPC_OPEN_SHELL_GET_SANDBOX_CONFIG].unary = method_get_sandbox_config;
    h->handlers[RPC_OPEN_SHELL_WATCH_SANDBOX].stream = method_watch_sandbox;
    const struct rpc_server_opts opts = {.loop = &h->loop,
                                         .log = &h->log,
                                         .config = RPC_CONFIG_SERVER,
                                         .handlers = h->handlers,
                                         .ctx = h,
                                         .admit = caller_admit};
    (void)snprintf(h->socket, sizeof(h->socket), "unix:%s/gw.sock", h->place.folder);
    harness_must(rpc_server_new(&opts, &h->server, &h->err), &h->err);
    harness_must(rpc_server_listen_unix(h->server, h->socket + 5, &h->err), &h->err);
    watch_attach(h->services.watch, h->server, &h->loop);
    if (pthread_create(&h->thread, NULL, harness_loop, h) != 0)
        abort();
    const struct rpc_wait wait = {deadline_in_ms(5000), -1};
    const struct rpc_config config = RPC_CONFIG_CLIENT;
    harness_must(rpc_dial(str_of(h->socket), &config, &wait, &h->client, &h->err), &h->err);
}

static inline void harness_stopping(void *arg)
{
    struct harness *h = arg;
    rpc_server_stop(h->server, NULL);
}

static inline void harness_stop(struct harness *h)
{
    rpc_client_free(h->client);
    harness_must(rpc_server_post(h->server, harness_stopping, h, &h->err), &h->err);
    (void)pthread_join(h->thread, NULL);
    config_free(h->services.config);
    watch_free(h->services.watch);
    tokens_free(h->services.tokens);
    profiles_free(h->services.profiles);
    secrets_free(h->services.secrets);
    rpc_server_free(h->server);
    (void)uv_loop_close(&h->loop);
    store_free(h->services.store);
    arena_done(&h->arena);
}

// Another client, which shows the token of that sandbox. `meta` and what is in `a` must live as long.
static inline struct rpc_client *harness_supervisor(struct harness *h, const char *id, struct rpc_meta *meta,
                                                    struct arena *a)
{
    CLEANUP(buf_done) struct buf token;
    struct str text = {};
    int64_t expires;
    struct rpc_client *c = NULL;
    struct err err = {};
    const struct rpc_wait wait = {deadline_in_ms(5000), -1};
    const struct rpc_config config = RPC_CONFIG_CLIENT;
    buf_init(&token, TOKENS_TEXT_MAX + 16);
    buf_add(&token, STR("Bearer "));
    harness_must(tokens_mint(h->services.tokens, str_of(id), clock_realtime_ms() / 1000, &token, &expires,
                             &err),
                 &err);
    if (!arena_dup(a, buf_str(&token), &text))
        abort();
    harness_must(rpc_dial(str_of(h->socket), &config, &wait, &c, &err), &err);
    harness_must(rpc_meta_add(meta, a, STR("authorization"), text, &err), &err);
    rpc_client_set_meta(c, meta);
    return c;
}

// NULL: it failed, and h->err says how.
static inline ProtobufCMessage *harness_call(struct harness *h, enum rpc_method_id method,
                                             const ProtobufCMessage *in)
{
    const struct rpc_wait wait = {deadline_in_ms(20'000), -1};
    ProtobufCMessage *out = NULL;
    h->err = (struct err){};
    return rpc_unary(h->client, method, in, &wait, &h->arena, &out, &h->err) == ERR_OK ? out : NULL;
}

static inline enum rpc_code harness_code(const struct harness *h)
{
    return rpc_client_status(h->client)->code;
}

// A sandbox as its creation stores it; `policy` may be NULL.
static inline void harness_sandbox(struct harness *h, const char *id, const char *name,
                                   SB1(SandboxPolicy) * policy)
{
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    V1(Sandbox) sandbox = OPENSHELL__V1__SANDBOX__INIT;
    V1(SandboxSpec) spec = OPENSHELL__V1__SANDBOX_SPEC__INIT;
    V1(SandboxStatus) status = OPENSHELL__V1__SANDBOX_STATUS__INIT;
    char *command[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "9"};
    meta.id = (char *)(uintptr_t)id;
    meta.name = (char *)(uintptr_t)name;
    meta.workspace = (char *)(uintptr_t) "default";
    meta.created_at_ms = 1;
    spec.command = command;
    spec.n_command = ARRAY_LEN(command);
    spec.policy = policy;
    sandbox.metadata = &meta;
    sandbox.spec = &spec;
    sandbox.status = &status;
    harness_must(record_insert(h->services.store, &sandbox, &h->err), &h->err);
}
