// net/tls_pipe.h: TLS for those who own their socket: bytes in, bytes out, no I/O and no waiting.
//
// A side is what one end shows and whom it believes; it never changes, and many connections and threads share
// it. A pipe is one connection: what came from the wire is put in, what is for the application is read out,
// and what is for the wire is taken and sent. TLS 1.2 (ECDHE with AEAD only) and 1.3, HTTP/2 by ALPN, no
// renegotiation, no compression, no resumption: each connection proves anew who is at its end.
#pragma once
#include "base/buf.h"

enum {
    TLS_NAME_SIZE = 129, // of a subject's names; X.520 knows 64 characters
    TLS_UNITS_MAX = 8,
    TLS_PEM_MAX = 1 * MIB, // of one file
    TLS_SERVER_NAMES_MAX = 64,
};

// PEM. A certificate is followed by those that lead to its anchor.
struct tls_pair {
    struct str cert, key;
};

struct tls_side_opts {
    bool server;
    struct tls_pair own; // a client without: shows none
    // Anchors. A server without asks for no certificate; a client without trusts what the system does.
    struct str ca;
    bool peer_optional; // server: a client may come without a certificate. One that it shows must be good
    bool insecure;      // client: takes any certificate
    // Server: a second pair, for clients that ask for one of these names: exact, or "*." and one label more.
    struct tls_pair external;
    const struct str *external_names;
    size_t external_n;
};

struct tls_side;
// ERR_INVALID: a certificate, key or anchor cannot be read, or the two of a pair do not belong together; keys
// that ask for a passphrase are not read. ERR_LIMIT: no memory.
enum err_code tls_side_new(const struct tls_side_opts *opts, struct tls_side **ret, struct err *e) NONNULL;

// The same from files; NULL or "": none. A certificate without a key, or the other way round, is ERR_INVALID.
struct tls_files {
    bool server, peer_optional, insecure;
    const char *cert, *key, *ca;
    const char *external_cert, *external_key;
    const struct str *external_names;
    size_t external_n;
};
enum err_code tls_side_load(const struct tls_files *f, struct tls_side **ret, struct err *e) NONNULL;

struct tls_side *tls_side_ref(struct tls_side *s) NONNULL; // any thread
void tls_side_unref(struct tls_side *s);                   // any thread; NULL is fine
static inline void tls_side_unrefp(struct tls_side **s)
{
    tls_side_unref(*s);
}

// Of a certificate that was verified.
struct tls_subject {
    char cn[TLS_NAME_SIZE]; // empty: it has none
    char units[TLS_UNITS_MAX][TLS_NAME_SIZE];
    size_t units_n;
};

struct tls_pipe;
// Holds a share of `side`. `host`: whom a client means to speak to, a name or an IP literal without brackets;
// a server takes no notice.
enum err_code tls_pipe_new(struct tls_side *side, struct str host, struct tls_pipe **ret,
                           struct err *e) NONNULL;
void tls_pipe_free(struct tls_pipe *p); // NULL is fine

// Gives what came from the wire, which is borrowed until tls_pipe_read() has said 0.
void tls_pipe_put(struct tls_pipe *p, struct str wire) NONNULL;
// Moves the handshake on, and reads up to n bytes for the application; *ret 0: there are no more now. Call it
// until then, also where nothing was put in yet: a client speaks first. ERR_DENIED: the peer's certificate is
// not good, or it has none. ERR_UNAVAILABLE: not TLS, or the peer gave up, with the reason; what there is for
// the wire should still be sent. ERR_LIMIT: nobody took what is for the wire.
enum err_code tls_pipe_read(struct tls_pipe *p, char *dst, size_t n, size_t *ret, struct err *e) NONNULL;
// Seals all of it. ERR_PRECONDITION: the handshake has not ended. ERR_LIMIT as above.
enum err_code tls_pipe_write(struct tls_pipe *p, struct str plain, struct err *e) NONNULL;
void tls_pipe_end(struct tls_pipe *p) NONNULL; // says that no more will be written

// What is for the wire, borrowed until the next call but tls_pipe_sent(), which tells how much of it went.
[[nodiscard]] struct str tls_pipe_out(const struct tls_pipe *p) NONNULL;
void tls_pipe_sent(struct tls_pipe *p, size_t n) NONNULL;

[[nodiscard]] bool tls_pipe_is_up(const struct tls_pipe *p) NONNULL;     // the handshake has ended well
[[nodiscard]] bool tls_pipe_has_ended(const struct tls_pipe *p) NONNULL; // the peer will write no more

// *ret_has: the peer has shown a certificate that was verified. ERR_INVALID: its subject has names that
// cannot be told apart: with a NUL, longer than TLS_NAME_SIZE, two common names, more units than
// TLS_UNITS_MAX.
enum err_code tls_pipe_subject(const struct tls_pipe *p, struct tls_subject *ret, bool *ret_has,
                               struct err *e) NONNULL;
