// supervisor/placeholder.h: what an agent holds in place of a credential (reference 4.1).
//
//   openshell:resolve:env:KEY             the current value of KEY
//   openshell:resolve:env:v<rev>_KEY      KEY as of that revision of the environment
//   openshell:resolve:env:s<64 hex>_KEY   an identity that survives rotation
//   <prefix>OPENSHELL-RESOLVE-ENV-KEY     an alias: the prefix makes it look like a vendor's key
//   <prefix>05e11abe1dc0de5e<hex>         shaped: as long as the value, of the same alphabet; ours
//
// Pure: bytes in, places out. Whether a placeholder stands for anything is the launcher's to say
// (credentials.h).
#pragma once
#include "base/base.h"

enum placeholder_form {
    PLACEHOLDER_PLAIN,
    PLACEHOLDER_REVISION,
    PLACEHOLDER_HANDLE,
    PLACEHOLDER_ALIAS,
    PLACEHOLDER_SHAPED,
};

enum {
    PLACEHOLDER_MAX = 512,        // bytes of one; ours
    PLACEHOLDER_HANDLE_LEN = 64,  // hex digits
    PLACEHOLDER_MARK_LEN = 22,    // of the longer marks
    PLACEHOLDER_SHAPED_MIN = 32,  // mark and id; ours
    PLACEHOLDER_HELD_MAX = 3 * 22 // of an unfinished mark, each byte as %XX
};

#define PLACEHOLDER_CANONICAL_MARK STR("openshell:resolve:env:")
#define PLACEHOLDER_ALIAS_MARK     STR("OPENSHELL-RESOLVE-ENV-")
#define PLACEHOLDER_SHAPED_MARK    STR("05e11abe1dc0de5e")

struct placeholder {
    enum placeholder_form form;
    struct str key;    // empty for SHAPED
    uint64_t revision; // REVISION
    struct str handle; // HANDLE
};

// Reads one whole placeholder, all of `text`. False: it is none.
[[nodiscard]] bool placeholder_parse(struct str text, struct placeholder *ret) NONNULL;

// The first placeholder in text[from, …): text[*at, *at + *n). BROKEN: a mark is there that begins no
// placeholder, or stands inside of something that is none; nothing of that kind may leave.
enum placeholder_found { PLACEHOLDER_NONE, PLACEHOLDER_FOUND, PLACEHOLDER_BROKEN };
enum placeholder_found placeholder_find(struct str text, size_t from, size_t *at, size_t *n) NONNULL;

// Whether a mark is anywhere in `text`, also where bytes of it are written %XX. *held: where there is none,
// how many of the last bytes may be the beginning of one, at most PLACEHOLDER_HELD_MAX.
[[nodiscard]] bool placeholder_has_mark(struct str text, size_t *held) NONNULL;

// Whether a name could be read as `v<digits>_…` or `s<64 hex>_…`, which no key may (reference 4.1).
[[nodiscard]] bool placeholder_is_reserved(struct str key);
[[nodiscard]] bool placeholder_is_key(struct str key); // one or more of [A-Za-z0-9_]

// `text` with every placeholder, known or not, replaced by "[CREDENTIAL]": what logs and the policy see.
// out[size]; false: no room.
#define PLACEHOLDER_REDACTED STR("[CREDENTIAL]")
[[nodiscard]] bool placeholder_redact(struct str text, char *out, size_t size, struct str *ret) NONNULL;
