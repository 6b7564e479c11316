// cli/sandbox.h: what the commands about sandboxes share: which one, its state, and its forms.
#pragma once
#include <jansson.h>

#include "cli/gateway.h"

[[nodiscard]] const char *sandbox_phase(const Openshell__V1__Sandbox *s) NONNULL; // "Ready"
[[nodiscard]] bool sandbox_is(const Openshell__V1__Sandbox *s, Openshell__V1__SandboxPhase phase) NONNULL;
// Of its condition Ready: "reason: message", for reports; "" where there is none. In `a`.
[[nodiscard]] const char *sandbox_why(const Openshell__V1__Sandbox *s, struct arena *a) NONNULL;
[[nodiscard]] bool sandbox_has_ended(const Openshell__V1__Sandbox *s) NONNULL; // its main process, by itself
[[nodiscard]] json_t *sandbox_json(const Openshell__V1__Sandbox *s, bool *ok) NONNULL;
[[nodiscard]] int sandbox_phase_style(const Openshell__V1__Sandbox *s) NONNULL; // of enum style, or -1

// *ret lives as long as `g`, and has metadata.
enum err_code sandbox_fetch(struct gateway *g, const char *name, const Openshell__V1__Sandbox **ret,
                            struct err *reterr) NONNULL;
// The same of a response: ERR_INTERNAL where it holds none.
enum err_code sandbox_of(ProtobufCMessage *response, const Openshell__V1__Sandbox **ret,
                         struct err *reterr) NONNULL;

// The sandbox that the command means: its first word, else the one that was used last, which is said. NULL:
// it was reported that there is none. `g` is chosen; the name lives as long as `a` and `g`.
[[nodiscard]] const char *sandbox_name(struct cli *cli, const struct args *a, struct gateway *g) NONNULL;
// The same where `name` has been found otherwise; NULL: not given.
[[nodiscard]] const char *sandbox_name_or_last(struct cli *cli, struct gateway *g, const char *name)
    __attribute__((nonnull(1, 2)));

// Opens the gateway and fetches the sandbox that is meant; what fails has been reported. 0 or the exit
// status.
[[nodiscard]] int sandbox_open(struct cli *cli, const struct args *a, struct gateway *g,
                               const Openshell__V1__Sandbox **ret) NONNULL;

// Notes the sandbox as the one that was used last. What fails is a warning.
void sandbox_note_last(struct cli *cli, const struct gateway *g, const char *name) NONNULL;

// The row of NAME of a command that takes the last one.
#define SANDBOX_NAME_ARG                                                                                     \
    {                                                                                                        \
        .name = "NAME", .type = OPT_STRING, .optional = true, .kind = "sandbox",                             \
        .help = "Its name; without it, the sandbox that was used last"                                       \
    }

// --tty and --no-tty, the last of which wins; else whether input and output are terminals.
[[nodiscard]] bool sandbox_wants_tty(const struct args *a, const struct opt *tty,
                                     const struct opt *no_tty) NONNULL;

// The user at the main process; the exit status, what fails reported. spare_input: as in attach.h.
[[nodiscard]] int sandbox_attach(struct cli *cli, struct gateway *g, const Openshell__V1__Sandbox *s,
                                 bool spare_input) NONNULL;
