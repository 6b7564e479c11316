// cli/sandbox_template.h: what a sandbox is made from, as the command line says it.
#pragma once
#include "cli/gateway.h"

// The image that --from means (reference: CLI 4.4): a reference as it is, or the name of a community image.
// ERR_NOT_FOUND, ERR_UNSUPPORTED: a path. In `a`.
enum err_code sandbox_image(const char *from, struct arena *a, const char **ret, struct err *reterr) NONNULL;

// --from, --cpu and --memory, each of which may be NULL; *ret stays NULL where none is there. In `a`.
enum err_code sandbox_template(const char *from, const char *cpu, const char *memory, struct arena *a,
                               Openshell__V1__SandboxTemplate **ret, struct err *reterr)
    __attribute__((nonnull(4, 5, 6)));
