// cli/sandbox_out.h: sandboxes as the commands about them fetch and print them.
#pragma once
#include <jansson.h>

#include "cli/gateway.h"

#include "openshell.pb-c.h"

[[nodiscard]] const char *sandbox_phase(const Openshell__V1__Sandbox *s) NONNULL; // "Ready"
[[nodiscard]] const char *sandbox_why(const Openshell__V1__Sandbox *s) NONNULL; // of its condition; may be ""
[[nodiscard]] json_t *sandbox_json(const Openshell__V1__Sandbox *s, bool *ok) NONNULL;

// *ret lives as long as `g`, and has metadata.
enum err_code sandbox_fetch(struct gateway *g, const char *name, const Openshell__V1__Sandbox **ret,
                            struct err *reterr) NONNULL;
