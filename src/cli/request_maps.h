// cli/request_maps.h: "KEY=VALUE" of a command line as the entries of maps in requests.
#pragma once
#include "base/arena.h"
#include "cmd/args.h"

// Both halves, copied, with NULs. False: no '=', nothing in front of it, or no memory.
[[nodiscard]] bool request_pair(struct arena *a, const char *word, char **key, char **value) NONNULL;

// ERR_INVALID: [A-Za-z_][A-Za-z0-9_]*, and OPENSHELL_ is reserved (reference: CLI 4.1).
enum err_code request_env_check(const char *word, struct err *reterr) NONNULL;
// Whether the name of a variable says that it holds a credential (reference: CLI 4.2).
[[nodiscard]] bool request_env_is_secret(struct str key);

// Defines fn(arena, a, opt, ret, ret_n, reterr): an entry for each value of `opt`. All maps have entries of
// the same members, each of a type of its own.
#define REQUEST_MAP(fn, Entry, entry_init)                                                                   \
    static enum err_code fn(struct arena *arena, const struct args *a, const struct opt *opt, Entry ***ret,  \
                            size_t *ret_n, struct err *reterr)                                               \
    {                                                                                                        \
        size_t n = args_count(a, opt);                                                                       \
        Entry **list = arena_newn(arena, Entry *, n), *v = arena_newn(arena, Entry, n);                      \
        if (!list || !v)                                                                                     \
            return arena_limit(arena, "options", reterr);                                                    \
        for (size_t i = 0; i < n; i++) {                                                                     \
            const char *word = args_nth(a, opt, i);                                                          \
            entry_init(&v[i]);                                                                               \
            if (!request_pair(arena, word ? word : "", &v[i].key, &v[i].value))                              \
                return err_set(reterr, ERR_INVALID, "'%.*s' is not KEY=VALUE", STR_FMT(str_of(word)));       \
            list[i] = &v[i];                                                                                 \
        }                                                                                                    \
        *ret = list;                                                                                         \
        *ret_n = n;                                                                                          \
        return ERR_OK;                                                                                       \
    }
