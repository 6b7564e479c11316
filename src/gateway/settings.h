// gateway/settings.h: switches that an operator sets for all sandboxes or for one.
//
// Any worker; never the loop. Only registered keys exist. A set is one row: "gateway_settings" named
// "global", or "sandbox_settings" named as its sandbox and in its scope. A value for all wins over that of a
// sandbox.
#pragma once
#include "policy/hash.h"
#include "store/store.h"

#include "openshell.pb-c.h"

typedef Openshell__Sandbox__V1__SettingValue setting_value;

enum { SETTINGS_N = 4 };

struct settings_owner {
    struct str workspace, name, sandbox_id; // name empty: all sandboxes
};
#define SETTINGS_GLOBAL ((struct settings_owner){.workspace = STR("")})

// As stored. value[i] belongs to settings_key(i); NULL: not set.
struct settings {
    const setting_value *value[SETTINGS_N];
    uint64_t revision; // one more with each change; 0: nothing was ever set
    uint64_t version;  // of the row; 0: there is none
};

[[nodiscard]] const char *settings_key(size_t i);

// The index of a key. ERR_INVALID: "unknown setting key 'K'. Allowed keys: …", or that it is reserved.
enum err_code settings_find(struct str key, size_t *ret, struct err *reterr) NONNULL;

// ERR_INVALID: "setting 'K' expects bool value", or a word that is not among its values.
enum err_code settings_check(size_t i, const setting_value *value, struct err *reterr)
    __attribute__((nonnull(3)));

// What is in *ret lives in `a`. Where nothing was stored, everything is zero.
enum err_code settings_read(struct store *st, struct settings_owner owner, struct arena *a,
                            struct settings *ret, struct err *reterr) NONNULL;

// The write that stores `s` with its next revision, in `a`; s->revision becomes that. ERR_EXISTS and
// ERR_PRECONDITION of that write: somebody else was faster.
enum err_code settings_write(struct settings_owner owner, struct settings *s, struct arena *a,
                             struct store_write *ret, struct err *reterr) NONNULL;

// Whether two values are the same; NULL is none.
[[nodiscard]] bool settings_same(const setting_value *a, const setting_value *b);

// What is in force: every key, also those without a value, in `a`; with what makes up the revision.
enum err_code settings_effective(const struct settings *global, const struct settings *own, struct arena *a,
                                 Openshell__Sandbox__V1__GetSandboxConfigResponse *out,
                                 struct hash_setting **ret, size_t *ret_n, struct err *reterr) NONNULL;
