#include "rpc/wire.h"

#include "base/utf8.h"

enum wire_type { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };
enum { VARINT_MAX = 10, PACK_MAX = 64 * MIB };

// What is being read: all of the bytes, and how far.
struct reader {
    struct str bytes;
    size_t at;
};

static bool read_varint(struct reader *r, size_t end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < VARINT_MAX && r->at < end; i++) {
        unsigned char c = (unsigned char)r->bytes.p[r->at++];
        if (i == VARINT_MAX - 1 && c > 1)
            return false; // more than 64 bits
        v |= (uint64_t)(c & 127) << (7 * i);
        if (c < 128) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static enum err_code bad(const ProtobufCMessageDescriptor *type, size_t at, const char *why,
                         struct err *reterr)
{
    return err_set(reterr, ERR_INVALID, "%s: %s at offset %zu", type->name, why, at);
}

// What a delimited field holds, as far as it can hurt. Packed numbers and bytes cannot.
static enum err_code check_string(const ProtobufCMessageDescriptor *type,
                                  const ProtobufCFieldDescriptor *field, struct str s, size_t at,
                                  struct err *reterr)
{
    if (!field || field->type != PROTOBUF_C_TYPE_STRING)
        return ERR_OK;
    if (str_has(s, '\0') || !utf8_is_valid(s))
        return err_set(reterr, ERR_INVALID, "%s: '%s' is no text at offset %zu", type->name, field->name, at);
    return ERR_OK;
}

// Reads one key and value of `type` below `end`. *ret_sub and *ret_end are set for a message inside.
static enum err_code check_field(const ProtobufCMessageDescriptor *type, struct reader *r, size_t end,
                                 const ProtobufCMessageDescriptor **ret_sub, size_t *ret_end,
                                 struct err *reterr)
{
    size_t at = r->at;
    uint64_t key = 0;
    if (!read_varint(r, end, &key) || key > UINT32_MAX || key >> 3 == 0)
        return bad(type, at, "no field number", reterr);
    size_t left = end - r->at;
    uint64_t value = 0;
    switch (key & 7) {
    case VARINT:
        return read_varint(r, end, &value) ? ERR_OK : bad(type, at, "a number that does not end", reterr);
    case FIXED64:
    case FIXED32:
        value = (key & 7) == FIXED64 ? 8 : 4;
        break;
    case DELIMITED:
        if (!read_varint(r, end, &value))
            return bad(type, at, "a length that does not end", reterr);
        left = end - r->at;
        break;
    default:
        return bad(type, at, "a group", reterr);
    }
    if (value > left)
        return bad(type, at, "a field longer than its message", reterr);
    if ((key & 7) == DELIMITED) {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type,
                                                                                        (unsigned)(key >> 3));
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
            *ret_sub = field->descriptor;
            *ret_end = r->at + (size_t)value;
            return ERR_OK;
        }
        struct str s = {r->bytes.p + r->at, (size_t)value};
        enum err_code c = check_string(type, field, s, at, reterr);
        if (c != ERR_OK)
            return c;
    }
    r->at += (size_t)value;
    return ERR_OK;
}

enum err_code wire_check(const ProtobufCMessageDescriptor *type, struct str bytes, struct err *reterr)
{
    struct {
        const ProtobufCMessageDescriptor *type;
        size_t end;
    } stack[WIRE_DEPTH_MAX];
    size_t depth = 1;
    stack[0].type = type;
    stack[0].end = bytes.n;
    struct reader r = {bytes, 0};
    while (depth > 0) {
        if (r.at == stack[depth - 1].end) {
            depth--;
            continue;
        }
        const ProtobufCMessageDescriptor *sub = NULL;
        size_t end = 0;
        enum err_code c = check_field(stack[depth - 1].type, &r, stack[depth - 1].end, &sub, &end, reterr);
        if (c != ERR_OK)
            return c;
        if (!sub)
            continue;
        if (depth == WIRE_DEPTH_MAX)
            return err_set(reterr, ERR_INVALID, "%s: more than %d messages inside each other at offset %zu",
                           type->name, WIRE_DEPTH_MAX, r.at);
        stack[depth].type = sub;
        stack[depth].end = end;
        depth++;
    }
    return ERR_OK;
}

// protobuf-c does not say why it fails, so the allocator remembers.
struct source {
    struct arena *arena;
    bool dry;
};

static void *from_arena(void *data, size_t size)
{
    struct source *source = data;
    void *p = arena_alloc(source->arena, size);
    source->dry |= !p;
    return p;
}

static void to_arena(void *data, void *p)
{
    (void)data; // it is dropped in one go
    (void)p;
}

enum err_code wire_unpack(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *arena,
                          ProtobufCMessage **ret, struct err *reterr)
{
    enum err_code c = wire_check(type, bytes, reterr);
    if (c != ERR_OK)
        return c;
    struct source source = {.arena = arena};
    ProtobufCAllocator allocator = {from_arena, to_arena, &source};
    const uint8_t *p = (const uint8_t *)(bytes.n > 0 ? bytes.p : "");
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &allocator, bytes.n, p);
    if (!m && source.dry)
        return arena_limit(arena, type->name, reterr);
    if (!m)
        return err_set(reterr, ERR_INVALID, "%s: a field of another type", type->name);
    *ret = m;
    return ERR_OK;
}

enum err_code wire_pack(const ProtobufCMessage *message, struct buf *out, struct err *reterr)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    if (n > PACK_MAX || n > out->max - out->n)
        return err_set(reterr, ERR_LIMIT, "%s: %zu bytes, the limit is %zu", message->descriptor->name, n,
                       out->max);
    buf_pad(out, '\0', n);
    enum err_code c = buf_check(out, message->descriptor->name, reterr);
    if (c != ERR_OK)
        return c;
    if (n > 0)
        (void)protobuf_c_message_pack(message, (uint8_t *)out->p + (out->n - n));
    return ERR_OK;
}
