// cli/test_file.h: tables of questions to a policy and the answers that are expected.
//
//     policy: policy.yaml             # relative to this file
//     tests:
//       - name: curl reads the API
//         binary: /usr/bin/curl
//         ancestors: [/usr/bin/bash]  # the nearest first
//         request: GET https://api.github.com/zen
//         expect: allow               # deny, audit
//         policy: github-read         # these three only where they matter
//         rule: network_policies.gh.endpoints[0].access
//         reason: part of the reason
//
// A body: `graphql`, `mcp` and `json_rpc` take what the options of `policy explain` take, one or a list;
// `websocket_text: true`, `event_stream: true`.
#pragma once
#include "cli/ask.h"
#include "policy/diag.h"

enum { TESTS_MAX = 10'000 }; // in one file; ours

struct test_case {
    struct str name; // never empty
    struct ask *ask;
    enum verdict expect;
    struct str policy, rule, reason; // empty: any
    uint32_t line;
};

struct test_file {
    struct str policy; // "" where the file does not say
    struct test_case *tests;
    size_t tests_n;
};

// All of *ret lives in `a`. ERR_INVALID: `d` says all that is wrong; ERR_LIMIT: no memory, or a limit.
enum err_code test_file_parse(struct str text, struct arena *a, struct test_file *ret, struct diags *d,
                              struct err *reterr) NONNULL;
