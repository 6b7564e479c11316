// supervisor/egress/names.h: the synthetic addresses that the in-sandbox resolver hands out, and the names
// they stand for.
//
// A name that the policy admits is answered with an address of 198.18.0.0/15 (RFC 2544, never routed). A dial
// to it is captured, and the address says which name was meant; so a client that knows no proxy comes under
// the same rules as one that does. An address, once given, stands for its name for as long as the process
// lives: it is never reused (reference 2.12). Safe for many threads.
#pragma once
#include "base/base.h"
#include "net/ip.h"

enum { NAMES_MAX = 4096 }; // ours; the reference has 1024

struct name_map;
enum err_code names_new(struct name_map **ret, struct err *e) NONNULL;
void names_free(struct name_map *m);

// The address of `host` (canonical), given out now if it is new. ERR_LIMIT: NAMES_MAX names, or no memory.
enum err_code names_address(struct name_map *m, struct str host, struct ip *ret, struct err *e) NONNULL;

// The name that `ip` stands for, as a NUL-terminated copy; false: none.
[[nodiscard]] bool names_host(struct name_map *m, const struct ip *ip, char out[static 254],
                              size_t *ret_n) NONNULL;

// Whether an address is in the pool at all.
[[nodiscard]] bool names_in_pool(const struct ip *ip) NONNULL;
