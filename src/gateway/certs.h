// gateway/certs.h: the gateway's certificates, and again when their files change.
//
// The folders of all files are watched; a second after the last change everything is read anew, and what can
// be used replaces what was. What cannot is logged, and the old certificates stay (reference: gateway 2.1).
#pragma once
#include "gateway/conf.h"
#include "rpc/serve.h"

struct certs;

// Reads the files and sets `server`'s TLS. `config` and `log` are borrowed until certs_close() is done.
enum err_code certs_open(const struct conf *config, uv_loop_t *loop, struct rpc_server *server,
                         struct log *log, struct certs **ret, struct err *reterr) NONNULL;
void certs_close(struct certs *c); // its handles are closed in the next turns of the loop; NULL is fine
