// gateway/conf.h: what a gateway was told, by a file, by variables and by options.
//
// An option counts more than its variable, that more than the file, that more than the default (reference:
// gateway 6). Unknown keys and values out of range are errors with the line; keys of the interface that are
// not built yet are refused by name, never ignored.
#pragma once
#include "base/arena.h"
#include "base/log.h"
#include "gateway/toml.h"
#include "net/ip.h"

#define CONF_PORT 17670

enum { CONF_PATH_SIZE = 4096, CONF_LIST_MAX = 64 };

struct conf_addr {
    bool set;
    char ip[IP_TEXT_MAX];
    uint16_t port;
};

struct conf_list {
    struct str v[CONF_LIST_MAX];
    size_t n;
};

enum conf_switch { CONF_UNSET, CONF_OFF, CONF_ON };

struct conf {
    struct arena arena;    // of strings and of the tree
    struct conf_addr bind; // TCP; its defaults where only a part is set
    struct conf_addr health, metrics;
    enum log_level log_level;
    const char *cert, *key, *client_ca; // "" where there is none
    const char *external_cert, *external_key;
    struct conf_list external_names;
    enum conf_switch client_auth; // require_client_auth: a client must have a certificate
    enum conf_switch disable_tls;
    enum conf_switch mtls_auth; // a client certificate is a user
    bool allow_unauthenticated; // who shows nothing is a user: the developer's
    struct conf_list server_sans;
    uint32_t rate_requests, rate_seconds; // 0: no limit
    bool rate_requests_set, rate_seconds_set;
    const char *gateway_id;         // in tokens
    uint32_t token_ttl_s;           // 0: they do not expire
    const char *driver;             // of compute_drivers; "": the gateway chooses
    const struct toml *drivers;     // [openshell.drivers]: a table for each; NULL: none
    char local_pki[CONF_PATH_SIZE]; // where generate-certs puts its files, unless told otherwise; "":
                                    // nowhere
    char paths[3][CONF_PATH_SIZE];  // for cert, key and client_ca of local_pki
};

void conf_init(struct conf *c) NONNULL; // the defaults
void conf_done(struct conf *c) NONNULL;

// Errors begin with the path and, where there is one, the line. ERR_NOT_FOUND: there is no such file.
enum err_code conf_read(struct conf *c, const char *path, struct err *reterr) NONNULL;
enum err_code conf_parse(struct conf *c, struct str text, struct err *reterr) NONNULL;

// Where the file is when nobody says: $XDG_CONFIG_HOME/openshell/gateway.toml, else below ~/.config. False:
// no variable says where.
[[nodiscard]] bool conf_place(char dst[static CONF_PATH_SIZE]);

// Where generate-certs puts its files: $OPENSHELL_LOCAL_TLS_DIR, else $XDG_STATE_HOME/openshell/tls, else
// below
// ~/.local/state. And where the openshell command looks for its own certificate for a gateway of this
// machine.
[[nodiscard]] bool conf_tls_place(char dst[static CONF_PATH_SIZE]);
[[nodiscard]] bool conf_client_place(char dst[static CONF_PATH_SIZE]);

// An option or its variable: `name` as on the command line, without dashes. ERR_INVALID says what would be
// right, and not which option it was.
enum err_code conf_set(struct conf *c, struct str name, struct str value, struct err *reterr) NONNULL;
// Variables of the interface that stand for what is not built: ERR_UNSUPPORTED where one is set.
enum err_code conf_refuse_env(struct err *reterr) NONNULL;

// What can only be seen whole: parts that exclude or need each other; and the files of local_pki where TLS is
// on and none was named. ERR_INVALID.
enum err_code conf_finish(struct conf *c, struct err *reterr) NONNULL;

// There is a TCP listener where anything about it was configured: an address, a port, TLS, or its absence.
[[nodiscard]] bool conf_has_tcp(const struct conf *c) NONNULL;
[[nodiscard]] static inline bool conf_has_tls(const struct conf *c)
{
    return conf_has_tcp(c) && c->disable_tls != CONF_ON;
}
