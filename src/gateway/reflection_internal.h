// gateway/reflection_internal.h: what scripts/gen-reflection makes of the interface.
#pragma once
#include "base/base.h"

struct reflection_file {
    struct str name;
    const unsigned char *bytes; // a google.protobuf.FileDescriptorProto
    size_t bytes_n;
    const unsigned short *deps; // files that it imports
    size_t deps_n;
};
struct reflection_symbol {
    struct str name; // "openshell.v1.OpenShell.Health"
    unsigned short file;
};
struct reflection_extension {
    struct str type; // that is extended
    int32_t number;
    unsigned short file;
};

extern const struct reflection_file reflection_files[];
extern const struct reflection_symbol reflection_symbols[]; // by name
extern const struct reflection_extension reflection_extensions[];
extern const size_t reflection_files_n, reflection_symbols_n, reflection_extensions_n;
