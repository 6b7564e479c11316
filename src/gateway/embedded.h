// gateway/embedded.h: files of share/ that the program carries with it (scripts/embed).
#pragma once
#include "base/base.h"

struct embedded {
    const char *name; // of the file, without its ending
    struct str text;
};

extern const struct embedded embedded_profiles[]; // share/providers
extern const size_t embedded_profiles_n;
