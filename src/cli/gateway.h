// cli/gateway.h: the gateway that a command talks to.
//
// Which one (reference: CLI 2.3): --gateway-endpoint or OPENSHELL_GATEWAY_ENDPOINT; else the registered one
// of
// --gateway or OPENSHELL_GATEWAY; else the active one. Where none is: the user's own, which listens on the
// socket of rpc/local.h and is started when a command needs it. Its name is "local" unless one is registered
// so.
#pragma once
#include "cli/registry.h"
#include "cmd/report.h"
#include "rpc/dial.h"

#include "openshell.pb-c.h"

enum { GATEWAY_WORKSPACE_SIZE = 256 };
#define GATEWAY_LOCAL "local"

// The options of the root, which every command takes.
enum { GATEWAY_OPT_NAME, GATEWAY_OPT_ENDPOINT, GATEWAY_OPT_INSECURE, GATEWAY_OPT_WORKSPACE, GATEWAY_OPTS };
extern const struct opt gateway_opts[GATEWAY_OPTS];

struct gateway {
    char name[REGISTRY_ENDPOINT_SIZE]; // registered, or GATEWAY_LOCAL, or the endpoint
    char endpoint[REGISTRY_ENDPOINT_SIZE];
    char workspace[GATEWAY_WORKSPACE_SIZE];
    bool is_local; // a Unix socket
    bool is_own;   // the user's own, which may be started
    bool insecure; // no certificate of the gateway is asked for, and none is shown
    char auth[32]; // auth_mode of the registered one, or ""
    struct registry registry;
    struct rpc_client *client; // NULL before gateway_dial()
    struct arena arena;        // answers live in it
    int64_t wait_ms;           // for each call and for the connection; 10 seconds
};

void gateway_init(struct gateway *g) NONNULL;
void gateway_done(struct gateway *g) NONNULL;

// ERR_NOT_FOUND: the one that is named is not registered. ERR_INVALID, ERR_LIMIT: a name or an address that
// cannot be one.
enum err_code gateway_choose(const struct args *a, struct gateway *g, struct err *reterr) NONNULL;
// The registered one of that name, whatever else the command line says.
enum err_code gateway_choose_named(const struct args *a, struct gateway *g, const char *name,
                                   struct err *reterr) NONNULL;
// Whether somebody has said which gateway it is to be, or the user's own has a socket.
[[nodiscard]] bool gateway_is_configured(const struct gateway *g) NONNULL;

// Both wait for g->wait_ms at most. For https:// the files ca.crt, tls.crt and tls.key of the gateway's
// folder mtls (reference: CLI 2.4); ERR_NOT_FOUND names the one that is missing.
enum err_code gateway_dial(struct gateway *g, struct err *reterr) NONNULL;
enum err_code gateway_ask(struct gateway *g, enum rpc_method_id method, const ProtobufCMessage *request,
                          ProtobufCMessage **ret, struct err *reterr) NONNULL;

// Chooses, starts the user's own where that is the one, and dials; what fails has been reported, with a
// remedy. Returns 0 or the exit status.
[[nodiscard]] int gateway_open(struct cli *cli, const struct args *a, struct gateway *g) NONNULL;

// gateway_ask(), reported where it fails: "the gateway did not <what>". Returns 0 or the exit status.
[[nodiscard]] int gateway_call(struct cli *cli, struct gateway *g, enum rpc_method_id method,
                               const ProtobufCMessage *request, const char *what,
                               ProtobufCMessage **ret) NONNULL;
// One report for a call that failed; returns the exit status.
[[nodiscard]] int gateway_report(struct cli *cli, const struct gateway *g, const char *what,
                                 const struct err *err) NONNULL;

// The message `m` as what it is: GATEWAY_ANSWER(Openshell__V1__HealthResponse, m).
#define GATEWAY_ANSWER(Type, m) ((const Type *)(const void *)(m))
// protobuf-c has no const; requests are not written to.
static inline char *gateway_text(const char *s)
{
    return (char *)(uintptr_t)s;
}
