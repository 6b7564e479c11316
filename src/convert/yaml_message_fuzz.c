// Whatever is read as a profile and written again reads back as the same bytes.
#include "convert/yaml_message.h"

#include "openshell.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ProtobufCMessage *read_profile(struct str text, struct arena *a)
{
    struct diags d;
    struct err e;
    const struct yaml_node *root = NULL;
    ProtobufCMessage *m = NULL;
    diags_init(&d, a);
    if (yaml_parse(text, a, &d, &root, &e) != ERR_OK || d.errors > 0 ||
        message_from_yaml(root, &openshell__v1__provider_profile__descriptor, a, &d, &m, &e) != ERR_OK)
        return NULL;
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf one;
    CLEANUP(buf_done) struct buf two;
    arena_init(&a, 64 * MIB);
    buf_init(&one, 8 * MIB);
    buf_init(&two, 8 * MIB);
    const ProtobufCMessage *m = read_profile((struct str){(const char *)data, size}, &a);
    if (!m)
        return 0;
    message_to_yaml(m, &one);
    if (one.full)
        return 0;
    const ProtobufCMessage *again = read_profile(buf_str(&one), &a);
    if (!again)
        return 0; // longer or deeper than a document may be
    message_to_yaml(again, &two);
    assert(str_eq(buf_str(&one), buf_str(&two)));
    buf_clear(&one);
    message_to_json(m, &one);
    return 0;
}
