// gateway/ids.h: ids and names that the gateway makes up.
#pragma once
#include "base/base.h"

enum {
    ID_SIZE = 37,          // "b9f0c7a2-…" and the NUL
    ID_WORDS_MAX = 19 + 1, // two words, the NUL included; a sandbox's name has at most 19 bytes
};

// A random UUID (RFC 9562 section 5.4). ERR_UNAVAILABLE: the system has no random numbers.
enum err_code id_make(char dst[static ID_SIZE], struct err *reterr) NONNULL;

// "brisk-otter". One of 1024, so that one that is taken must be reckoned with. ERR_UNAVAILABLE as above.
enum err_code id_make_words(char dst[static ID_WORDS_MAX], struct err *reterr) NONNULL;

[[nodiscard]] bool id_is_uuid(struct str s); // in lower case, as id_make() writes it
