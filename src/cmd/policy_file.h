// cmd/policy_file.h: a policy file as the commands take it: read, checked, and complained about.
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "cmd/report.h"
#include "policy/diag.h"
#include "policy/load.h"
#include "policy/snapshot.h"

struct policy_file {
    struct buf text;
    struct arena arena; // what is below lives in it
    struct diags diags;
    struct policy *policy; // NULL: not valid
};

void policy_file_init(struct policy_file *f) NONNULL;
void policy_file_done(struct policy_file *f) NONNULL;

// Reads and checks; nothing is reported. ERR_INVALID: f->diags says all that is wrong. Anything else but
// ERR_OK: the file could not be read or held, and *reterr says why.
enum err_code policy_file_load(const char *path, struct policy_file *f, struct err *reterr) NONNULL;

// Only its shape (policy_parse).
enum err_code policy_file_parse(const char *path, struct policy_file *f, struct err *reterr) NONNULL;

// Tells why one of the above failed, on standard error. Returns EXIT_FAILED.
int policy_file_report(struct cli *cli, const char *path, const struct policy_file *f, enum err_code code,
                       const struct err *err) NONNULL;

// A valid policy, compiled; *ret is one share. What is wrong has been reported where this fails.
enum err_code policy_file_compile(struct cli *cli, const char *path, struct snapshot **ret) NONNULL;
