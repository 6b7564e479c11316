// gateway/bundle.h: a CA of one's own with a certificate for the gateway and one for its user, as files.
//
//     DIR/ca.crt ca.key  server/tls.crt tls.key  client/tls.crt tls.key
//
// Keys have mode 0600, folders 0700. Names and layout are the reference's (gateway 6.3); the certificates are
// good for ten years.
#pragma once
#include "base/buf.h"
#include "gateway/conf.h"

enum { BUNDLE_FILES = 6 };

struct bundle {
    struct buf files[BUNDLE_FILES]; // as in bundle_names
};
extern const char *const bundle_names[BUNDLE_FILES]; // relative to the folder

enum bundle_did {
    BUNDLE_KEPT,     // all was there, and good for all names
    BUNDLE_MADE,     // all of it
    BUNDLE_REISSUED, // the server's certificate, by the CA that was there, for names that it had not
};

// The names that the gateway is known by anyway, and `more`. ERR_LIMIT, ERR_INVALID: no name.
enum err_code bundle_sans(const struct conf_list *more, struct conf_list *ret, struct err *reterr) NONNULL;

enum err_code bundle_make(const struct conf_list *sans, struct bundle *ret, struct err *reterr) NONNULL;
void bundle_done(struct bundle *b) NONNULL; // wipes the keys

// Makes, completes or leaves the files in `dir`. ERR_PRECONDITION: some are there and some are not.
enum err_code bundle_ensure(const char *dir, const struct conf_list *sans, enum bundle_did *ret,
                            struct err *reterr) NONNULL;

// CA and the client's pair from `dir` into `to`, which is replaced whole: ca.crt, tls.crt, tls.key.
enum err_code bundle_install(const char *dir, const char *to, struct err *reterr) NONNULL;
