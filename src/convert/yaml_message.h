// convert/yaml_message.h: a YAML or JSON document as a message, by the message's own field names.
//
// For documents whose keys are the fields of proto/, as provider profiles: unknown keys, keys given twice,
// and values of another type are errors with their place. Enumerations are written as their value's name
// without the type's prefix, in lower case, with '-' for '_' as one likes. Where a message of which `any` and
// `glob` are the fields (a matcher) is wanted, a string is its `glob`.
#pragma once
#include "policy/yaml.h"
#include "rpc/wire.h"

// *ret and all in it live in `a`; what is wrong is added to `d`. ERR_INVALID: something is. ERR_LIMIT: the
// arena.
enum err_code message_from_yaml(const struct yaml_node *root, const ProtobufCMessageDescriptor *type,
                                struct arena *a, struct diags *d, ProtobufCMessage **ret,
                                struct err *reterr) NONNULL;

// The same back, as block-style YAML or as JSON; fields that have their default are left out, and a matcher
// that is a glob alone is a string. What does not fit sets out->full.
void message_to_yaml(const ProtobufCMessage *m, struct buf *out) NONNULL;
void message_to_json(const ProtobufCMessage *m, struct buf *out) NONNULL; // two spaces, keys in field order
