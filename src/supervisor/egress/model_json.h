// supervisor/egress/model_json.h: the model that a request's JSON body names, and another one in its place.
//
// Strict (RFC 8259): what is not one whole object, or names the model twice, is refused, since two readers of
// it could differ. Everything but the members that are changed stays as it was, byte for byte.
#pragma once
#include "base/buf.h"

enum {
    MODEL_JSON_DEPTH_MAX = 128, // ours
    MODEL_NAME_MAX = 256,       // bytes of a name that is looked at; ours
};

struct model_facts {
    bool has_model;
    char model[MODEL_NAME_MAX]; // decoded, NUL-terminated; empty where it is no string, or too long
    bool stream;                // "stream": true
    struct span {               // of whole members, commas not included; n 0: not there
        size_t at, n;
        size_t value, value_n;
    } model_at, stream_at, context_at, version_at; // context_management, anthropic_version
    size_t first;                                  // behind the opening brace
    bool empty;                                    // it has no members
};

// ERR_INVALID: says what, and at which offset.
enum err_code model_read(struct str body, struct model_facts *ret, struct err *e) NONNULL;

// With "model": `model`, added as the first member where there is none.
enum err_code model_write(struct str body, const struct model_facts *f, struct str model, struct buf *out,
                          struct err *e) NONNULL;

// As Vertex takes it (reference 5.3): without model and context_management, with anthropic_version.
enum err_code model_write_vertex(struct str body, const struct model_facts *f, struct buf *out,
                                 struct err *e) NONNULL;
