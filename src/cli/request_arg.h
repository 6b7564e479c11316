// cli/request_arg.h: a request as a user names it, read as strictly as the proxy reads a client's.
//
//     GET https://api.github.com/zen?x=1      a request; http, https, ws, wss; the scheme's port unless one
//     is given CONNECT db.internal.example:5432        a connection only
#pragma once
#include "base/base.h"
#include "net/host.h"
#include "net/ip.h"

enum {
    REQUEST_TEXT_MAX = 8 * KIB, // bytes of the whole; ours
    REQUEST_METHOD_MAX = 32,    // ours
};

struct request_arg {
    bool connect;            // no method, path and query
    bool websocket;          // ws or wss
    struct str method;       // borrowed, like the other strings
    struct str path;         // as written, not empty, without the query; net/urlpath.h makes it canonical
    struct str query;        // without its '?'
    char host[HOST_MAX + 1]; // host_parse() or ip_format() form, NUL-terminated
    bool is_ip;
    uint16_t port;
};

// ERR_INVALID, with what would be right. A fragment is dropped, as clients do; user names and passwords are
// refused.
enum err_code request_arg_parse(struct str in, struct request_arg *ret, struct err *reterr) NONNULL;
