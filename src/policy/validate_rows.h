// policy/validate_rows.h: rows of YAML and what the validator says about them. For tests only.
#pragma once
#include "base/buf.h"
#include "policy/load.h"
#include "policy/validate.h"
#include "tap.h"

// A policy around one endpoint, written in flow style; `@` in what is expected stands for that endpoint's
// path.
#define ENTRY(endpoints)                                                                                     \
    "version: 1\nnetwork_policies:\n  a:\n    endpoints: [" endpoints                                        \
    "]\n    binaries: [{path: /usr/bin/curl}]\n"
#define ENDPOINT(fields) ENTRY("{" fields "}")
#define REST(fields)     ENDPOINT("host: a.test, port: 443, protocol: rest, enforcement: enforce, " fields)
#define PROTOCOL(protocol, fields)                                                                           \
    ENDPOINT("host: a.test, port: 443, protocol: " protocol ", enforcement: enforce, " fields)
#define AT "network_policies.a.endpoints[0]"

struct row {
    const char *rule; // that the row pins
    const char *yaml;
    const char *want; // every diagnostic, a line each: "error PATH: MESSAGE"
};

static void rows_print(const struct diags *d, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        struct str path = d->v[i].path;
        buf_add(out, d->v[i].level == DIAG_ERROR ? STR("error ") : STR("warning "));
        if (str_skip(&path, STR(AT)))
            buf_addc(out, '@');
        buf_add(out, path);
        buf_addf(out, ": %.*s\n", (int)d->v[i].msg.n, d->v[i].msg.p);
    }
}

static bool rows_check(const struct row *row, enum policy_use use)
{
    CLEANUP(arena_done) struct arena a = {};
    CLEANUP(buf_done) struct buf got = {};
    arena_init(&a, POLICY_ARENA_MAX);
    buf_init(&got, MIB);
    struct policy *p = NULL;
    struct diags d;
    struct err err;
    enum err_code r = policy_load(str_of(row->yaml), use, &a, &p, &d, &err);
    rows_print(&d, &got);
    bool ok = str_eq(buf_str(&got), str_of(row->want)) && r == (d.errors > 0 ? ERR_INVALID : ERR_OK);
    if (!tap_ok(ok, "%s", row->rule)) {
        struct str rest = buf_str(&got);
        for (struct str line; str_line(&rest, &line);)
            tap_note("got: %.*s", (int)line.n, line.p);
    }
    return ok;
}

static inline void rows_run(const struct row *rows, size_t n, enum policy_use use)
{
    for (size_t i = 0; i < n; i++)
        (void)rows_check(&rows[i], use);
}

// What only the wire can say: `edit` changes a good policy before it is validated.
static inline void rows_edited(const char *rule, const char *yaml, enum policy_use use,
                               void (*edit)(struct policy *), const char *want)
{
    CLEANUP(arena_done) struct arena a = {};
    CLEANUP(buf_done) struct buf got = {};
    arena_init(&a, POLICY_ARENA_MAX);
    buf_init(&got, MIB);
    struct policy *p = NULL;
    struct diags d;
    struct err err;
    bool ok = policy_parse(str_of(yaml), &a, &p, &d, &err) == ERR_OK;
    if (ok) {
        edit(p);
        diags_init(&d, &a);
        policy_validate(p, use, &d);
        diags_sort(&d);
        rows_print(&d, &got);
        ok = str_eq(buf_str(&got), str_of(want));
    }
    if (!tap_ok(ok, "%s", rule))
        tap_note("got: %.*s", (int)got.n, got.p);
}
