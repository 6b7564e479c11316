// policy/hash.h: names for policies (reference 1.9).
#pragma once
#include "policy/policy.h"

enum { POLICY_HASH_LEN = 64 }; // hex digits of a SHA-256

// Hex SHA-256 over a canonical encoding: maps sorted by key, list order kept, middlewares in any order,
// defaults left out. Equal policies have equal hashes however they were written. ERR_LIMIT: no memory.
enum err_code policy_hash(const struct policy *p, char ret[static POLICY_HASH_LEN + 1],
                          struct err *reterr) NONNULL;

// An effective setting, for the revision.
struct hash_setting {
    struct str key;
    int32_t scope; // wire number of SettingScope
    enum { SETTING_STRING, SETTING_BOOL, SETTING_INT, SETTING_BYTES } tag;
    struct str bytes; // STRING, BYTES
    int64_t number;   // BOOL (0, 1), INT
};

// config_revision of reference 1.9: a fingerprint, not monotonic. `services` are encoded middleware services,
// sorted here by name.
struct hash_config {
    int32_t policy_source; // wire number of PolicySource
    struct str failure_mode;
    bool extension_auth;
    struct str policy_hash; // hex
    const struct hash_setting *settings;
    size_t settings_n;
    const struct str *services; // "name NUL encoded bytes"
    size_t services_n;
};
enum err_code policy_config_revision(const struct hash_config *c, uint64_t *ret, struct err *reterr) NONNULL;
