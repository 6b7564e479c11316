// cli/gateway.h: the gateway that a command talks to.
//
// --gateway-endpoint, else OPENSHELL_GATEWAY_ENDPOINT, else the user's own socket (rpc/local.h) where there
// is one. The registry of gateways is not built.
#pragma once
#include "cmd/report.h"
#include "rpc/dial.h"

enum { GATEWAY_ENDPOINT_MAX = 300 };

// The rows that every such command has at the start of its table.
enum { GATEWAY_OPT_ENDPOINT, GATEWAY_OPT_OUTPUT, GATEWAY_OPTS };
#define GATEWAY_OPT_ROWS                                                                                     \
    [GATEWAY_OPT_ENDPOINT] = {.name = "gateway-endpoint",                                                    \
                              .type = OPT_STRING,                                                            \
                              .value = "URL",                                                                \
                              .env = "OPENSHELL_GATEWAY_ENDPOINT",                                           \
                              .help = "The gateway to talk to: unix:///PATH, or http://ADDRESS:PORT; "       \
                                      "without it the user's own socket"},                                   \
    [GATEWAY_OPT_OUTPUT] = {.name = "output",                                                                \
                            .letter = 'o',                                                                   \
                            .type = OPT_ENUM,                                                                \
                            .value = "FORMAT",                                                               \
                            .values = command_table_or_json,                                                 \
                            .def = "table",                                                                  \
                            .help = "How to print the answer"}
extern const struct opt gateway_opts[GATEWAY_OPTS]; // for a command that has no others

[[nodiscard]] bool gateway_wants_json(const struct args *a) NONNULL;

struct gateway {
    char endpoint[GATEWAY_ENDPOINT_MAX]; // empty: no gateway is configured
    bool local;                          // a Unix socket
    struct rpc_client *client;           // NULL before gateway_dial()
    struct arena arena;                  // answers live in it
};

void gateway_init(struct gateway *g) NONNULL;
void gateway_done(struct gateway *g) NONNULL;

// ERR_NOT_FOUND: none is configured. ERR_LIMIT: the address is too long.
enum err_code gateway_choose(const struct args *a, struct gateway *g, struct err *reterr) NONNULL;

// Both wait for 10 seconds at most.
enum err_code gateway_dial(struct gateway *g, struct err *reterr) NONNULL;
enum err_code gateway_ask(struct gateway *g, enum rpc_method_id method, const ProtobufCMessage *request,
                          ProtobufCMessage **ret, struct err *reterr) NONNULL;

// Chooses and dials; what fails has been reported, with a remedy. Returns 0 or the exit status.
[[nodiscard]] int gateway_open(struct cli *cli, const struct args *a, struct gateway *g) NONNULL;

// One report for a call that failed; returns the exit status.
[[nodiscard]] int gateway_report(struct cli *cli, const struct gateway *g, const char *what,
                                 const struct err *err) NONNULL;
