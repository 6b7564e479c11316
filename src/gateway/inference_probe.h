// gateway/inference_probe.h: tries a route with one small request, before it is stored (reference:
// policy 5.6).
//
// Blocks for at most PROBE_MS for each request.
#pragma once
#include "gateway/inference.h"

enum { PROBE_MS = 30'000 };

// One request for each protocol of the route that writes, until one succeeds. *ret_url and *ret_protocol, in
// `a`, are what answered. ERR_PRECONDITION: "failed to verify inference endpoint …", with what the other side
// said.
enum err_code inference_probe(const inference_route *route, struct arena *a, const char **ret_url,
                              const char **ret_protocol, struct err *reterr) NONNULL;
