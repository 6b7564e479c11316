// supervisor/vault.h: what the egress may ask of the launcher: one secret value, for one use, and nothing
// else.
//
// A SOCK_SEQPACKET pair made before the egress existed, as the monitor's (monitor.h). Requests are fixed-size
// structs; a wrong size, an unknown kind or lengths that do not fit end the egress. An answer is a head and
// the value, sent from where it is kept and received into memory that the asker wipes.
#pragma once
#include "net/host.h"
#include "net/urlpath.h"
#include "supervisor/credentials.h"

enum vault_kind {
    VAULT_CREDENTIAL = 1, // a placeholder's value
    VAULT_ROUTE,          // the key of an inference route
    VAULT_USED,           // tokens that were used of one; not answered
};

struct inference;

enum {
    VAULT_VALUE_MAX = CREDENTIAL_VALUE_MAX,
    VAULT_ASK_MS = 10'000, // for a question, the turn before it included; ours
};

struct vault_request { // exactly this many bytes
    uint32_t kind;
    uint32_t serial; // comes back with the answer
    uint16_t text_len, host_len, path_len, port;
    char text[PLACEHOLDER_MAX]; // CREDENTIAL: the placeholder; else the route's name
    char host[HOST_MAX + 1];
    char path[URLPATH_MAX];
    uint64_t tokens[3]; // USED: in, out, cached
};

struct vault_answer { // the value follows it
    uint32_t code;    // enum err_code
    uint32_t serial;
    uint32_t value_len;
};

// ---- asking (egress) ----
struct vault; // any number of threads; requests take turns
enum err_code vault_new(int fd, struct vault **ret, struct err *e) NONNULL; // owns fd
void vault_free(struct vault *v);

// *ret_n bytes come into value[size], which the caller wipes, also after a failure. ERR_NOT_FOUND and
// ERR_DENIED as credentials_resolve. ERR_LIMIT: longer than `size`. ERR_UNAVAILABLE, ERR_TIMEOUT: the
// launcher.
enum err_code vault_ask_credential(struct vault *v, struct str placeholder,
                                   const struct credential_place *where, char *value, size_t size,
                                   size_t *ret_n, struct err *e) NONNULL;

// The key of a route, for a request to that host and port. Errors as inference_key.
enum err_code vault_ask_route(struct vault *v, struct str name, struct str host, uint16_t port, char *value,
                              size_t size, size_t *ret_n, struct err *e) NONNULL;
enum err_code vault_tell_used(struct vault *v, struct str name, const uint64_t tokens[static 3],
                              struct err *e) NONNULL;

// ---- answering (launcher) ----
// Handles one request waiting on `fd`; never waits for the asker. ERR_INVALID: the asker broke the protocol,
// or does not read its answers, and must be ended. ERR_UNAVAILABLE: it is gone.
enum err_code vault_serve(int fd, const struct credentials *c, struct inference *i, struct err *e)
    __attribute__((nonnull(4))); // c, i NULL: there are none
