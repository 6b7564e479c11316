// cli/provider.h: what the commands about providers share.
#pragma once
#include "cli/gateway.h"

// What fails has been reported. *ret lives as long as `g`, and has metadata.
[[nodiscard]] int provider_fetch(struct cli *cli, struct gateway *g, const char *name,
                                 const Openshell__Datamodel__V1__Provider **ret) NONNULL;

// The profile of a type; *ret stays NULL where there is none.
[[nodiscard]] int provider_profile_fetch(struct cli *cli, struct gateway *g, const char *type,
                                         const Openshell__V1__ProviderProfile **ret) NONNULL;

enum provider_auto { PROVIDER_AUTO_ASK, PROVIDER_AUTO_ALWAYS, PROVIDER_AUTO_NEVER };

// For `sandbox create` (reference: CLI 4.3): the providers that were asked for, and that of the agent which
// the command starts, each once. One that is missing is made from the user's environment, as `how` says.
// names[] has room for one more than *n.
[[nodiscard]] int providers_resolve(struct cli *cli, struct gateway *g, enum provider_auto how,
                                    const char *command, char **names, size_t *n)
    __attribute__((nonnull(1, 2, 5, 6)));
