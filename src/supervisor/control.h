// supervisor/control.h: what the launcher tells its egress and its init, and what comes back. All ends are
// ours: fixed-size structs over a SOCK_SEQPACKET pair, texts and sockets as descriptors beside them.
#pragma once
#include "base/base.h"

enum ctl_kind {
    CTL_START = 1, // to egress, first: fds[CTL_START_FDS]; answered by CTL_READY
    CTL_LISTEN,    // to egress: one fd, of kind ctl_socket; not answered
    CTL_POLICY,    // to egress: one fd, the text of a policy that the supervisor has validated; answered by
                   // CTL_DONE
    CTL_READY,     // from egress: one fd, the CA certificate as PEM
    CTL_DONE,      // from egress and init: code, msg
    CTL_ROUTES,    // to egress: one fd, a packed GetInferenceBundleResponse without keys; not answered
    CTL_PROVIDED,  // to egress: value = how many credentials the sandbox has now; not answered

    // With init, after it was started with a specification (spec.h):
    CTL_SOCKET, // from init: one fd, a listening socket of kind ctl_socket, for the egress
    CTL_BUILT,  // from init: the walls stand and were tested; one fd where there is a terminal: its master
    CTL_GO,   // to init: fds[CTL_GO_FDS]; commands may start. value: command 0, the specification's, does now
    CTL_EXEC, // to init: start `command`: fds[CTL_EXEC_FDS], or the first of them where it gets a terminal
    CTL_TERMINAL, // from init, before CTL_STARTED: the master of the terminal that `command` was to get
    CTL_STARTED,  // from init: value = the pid of `command` in there
    CTL_FAILED,   // from init: `command` did not start: code, msg; value = what a shell would exit with
    CTL_EXITED,   // from init: value = wait status of `command`, which started
    CTL_SIGNAL,   // to init: value, for the process group of `command`; unknown: it has ended
    CTL_PORT,     // to init: value = AF_INET or AF_INET6, for `command`
    CTL_SOCKETED, // from init, of `command`: a TCP socket of the sandbox's network, to be connected
    CTL_DIALED,   // from init: name = an address that nothing answers at, value = port, cut = pid and msg =
                  // executable of who dialled it, generation = how many others were not told
    CTL_CAPTURE,  // to init: one fd, struct cidr[]; answered by CTL_DONE
};

enum ctl_exec_fd { CTL_FD_COMMAND, CTL_FD_STDIN, CTL_FD_STDOUT, CTL_FD_STDERR, CTL_EXEC_FDS };

enum { CTL_COMMANDS_MAX = 65 }; // at a time: the main process and 64 more; ours

enum ctl_go_fd { CTL_FD_CA, CTL_GO_FDS }; // a sealed memfd: the CA certificate as PEM

enum ctl_start_fd { // sealed memfds with texts
    CTL_FD_POLICY,
    CTL_FD_RESOLV_CONF,
    CTL_FD_HOSTS,
    CTL_FD_TRUST, // PEM bundle for upstream verification
    CTL_START_FDS,
};

enum ctl_socket { CTL_PROXY = 1, CTL_CAPTURED, CTL_DNS };

struct ctl_msg {
    uint32_t kind;
    uint32_t socket;     // LISTEN: enum ctl_socket
    uint64_t generation; // START, POLICY; DONE: of the policy now in force
    uint32_t cut;        // DONE: connections that the new policy ended
    uint32_t code;       // DONE: enum err_code
    uint32_t json;       // START: OCSF objects wanted
    uint32_t quiet;      // START: only what is more than low in severity is wanted
    int32_t value;       // PROVIDED, START (ditto), GO, STARTED, FAILED, EXITED, SIGNAL, PORT, DIALED
    uint32_t command;    // EXEC and what follows from it; 0: the main process
    uint32_t timeout_ms; // POLICY: how long to wait for refused tunnels to be gone
    char name[64], id[64], hostname[64]; // START: of the sandbox, NUL-terminated
    char msg[400];                       // DONE: NUL-terminated
};

// Sends one message with n descriptors (0..CTL_START_FDS), which stay the caller's.
enum err_code ctl_send(int fd, const struct ctl_msg *m, const int *fds, size_t n, struct err *e)
    __attribute__((nonnull(2, 5)));
// The same, but where the peer does not read ERR_LIMIT at once.
enum err_code ctl_send_now(int fd, const struct ctl_msg *m, struct err *e) __attribute__((nonnull(2, 3)));
// Receives one; *ret_n descriptors, close-on-exec, are the caller's. Strings are checked to end.
// ERR_UNAVAILABLE: the peer is gone; ERR_INVALID: it is not what it should be.
enum err_code ctl_recv(int fd, struct ctl_msg *m, int fds[static CTL_START_FDS], size_t *ret_n,
                       struct err *e) NONNULL;

// A sealed memfd holding `text`.
enum err_code ctl_memfd(struct str text, int *ret, struct err *e) NONNULL;
