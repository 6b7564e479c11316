#include "rpc/wire.h"
#include "rpc/method.h"
#include "openshell.pb-c.h"
#include "supervisor_middleware.pb-c.h"
#include "tap.h"

// Bytes that another implementation wrote for the texts beside them: the wire form that clients rely on.
static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *hex, *rule;
} golden[] = {
    {&openshell__v1__create_sandbox_request__descriptor,
     "0a292a060a014112013132170a01693a100a0e0a016e120911000000000000f83f500042017042017168011201611a060a016b1"
     "201762a01"
     "77",
     "maps, a Struct, presence of false, repeated text"},
    {&openshell__v1__sandbox_stream_event__descriptor, "0a121a10300838ac0248ffffffffffffffffff01",
     "a oneof, an enum, a negative int32 with presence"},
    {&openshell__v1__exec_sandbox_event__descriptor, "1a00", "an exit record of 0 is there and empty"},
    {&openshell__v1__relay_frame__descriptor, "120200ff", "bytes in a oneof"},
    {&openshell__v1__policy_chunk__descriptor, "3d0000003f48ffffffffffffffffff0168feffffffffffffffff01",
     "float, negative int64 and int32"},
    {&openshell__v1__stored_draft_chunk__descriptor, "49000000000000e03f5800", "double, presence of a zero"},
    {&openshell__sandbox__v1__sandbox_policy__descriptor,
     "08012a220a0172121d0a017212100a016810bb034a0350bb03ba010208011a060a022f621001",
     "a map of messages, packed numbers, a field above 15"},
    {&openshell__sandbox__v1__setting_value__descriptor, "18fbffffffffffffffff01",
     "a negative int64 in a oneof"},
    {&openshell__middleware__v1__web_socket_message__descriptor, "08ffffffffffffffffff011a00",
     "the largest uint64, empty bytes in a oneof"},
};

static size_t unhex(const char *hex, char *dst, size_t size)
{
    size_t n = 0;
    for (; hex[2 * n] && n < size; n++)
        dst[n] = (char)(char_hex(hex[2 * n]) * 16 + char_hex(hex[2 * n + 1]));
    return n;
}

static void test_golden(void)
{
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        char bytes[256];
        struct str s = {bytes, unhex(golden[i].hex, bytes, sizeof(bytes))};
        struct arena arena;
        arena_init(&arena, MIB);
        struct buf out;
        buf_init(&out, KIB);
        struct err err = {};
        ProtobufCMessage *m = NULL;
        bool ok = wire_unpack(golden[i].type, s, &arena, &m, &err) == ERR_OK && m->n_unknown_fields == 0 &&
                  wire_pack(m, &out, &err) == ERR_OK && str_eq(buf_str(&out), s);
        if (!tap_ok(ok, "%s", golden[i].rule))
            tap_note("%s, %zu bytes back", err.msg, out.n);
        buf_done(&out);
        arena_done(&arena);
    }
}

static void test_values(void)
{
    char bytes[256];
    struct str s = {bytes, unhex(golden[1].hex, bytes, sizeof(bytes))};
    struct arena arena;
    arena_init(&arena, MIB);
    struct err err = {};
    ProtobufCMessage *m = NULL;
    bool ok = wire_unpack(golden[1].type, s, &arena, &m, &err) == ERR_OK;
    const Openshell__V1__SandboxStreamEvent *event = (const Openshell__V1__SandboxStreamEvent *)(const void *)
        m;
    ok = ok && event->payload_case == OPENSHELL__V1__SANDBOX_STREAM_EVENT__PAYLOAD_SANDBOX;
    const Openshell__V1__SandboxStatus *status = ok ? event->sandbox->status : NULL;
    tap_ok(status && status->phase == OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_STARTING &&
               status->current_policy_version == 300 &&
               status->_exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE &&
               status->exit_code == -1,
           "values arrive in the fields of those numbers");
    arena_done(&arena);
}

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *hex;
    const char *want;
} bad[] = {
    {&openshell__v1__health_request__descriptor, "80",
     "openshell.v1.HealthRequest: no field number at offset 0"},
    {&openshell__v1__health_request__descriptor, "0001",
     "openshell.v1.HealthRequest: no field number at offset 0"},
    {&openshell__v1__health_request__descriptor, "08",
     "openshell.v1.HealthRequest: a number that does not end at offset 0"},
    {&openshell__v1__health_request__descriptor, "08ffffffffffffffffff02",
     "openshell.v1.HealthRequest: a number that does not end at offset 0"},
    {&openshell__v1__health_request__descriptor, "0b0c", "openshell.v1.HealthRequest: a group at offset 0"},
    {&openshell__v1__health_request__descriptor,
     "0a0161"
     "0a0261",
     "openshell.v1.HealthRequest: a field longer than its message at offset 3"},
    {&openshell__v1__health_request__descriptor, "0d000000",
     "openshell.v1.HealthRequest: a field longer than its message at offset 0"},
    {&openshell__v1__get_sandbox_request__descriptor, "0a026100",
     "openshell.v1.GetSandboxRequest: 'name' is no text at offset 0"},
    {&openshell__v1__get_sandbox_request__descriptor, "0a01ff",
     "openshell.v1.GetSandboxRequest: 'name' is no text at offset 0"},
    {&openshell__v1__get_sandbox_request__descriptor, "0801",
     "openshell.v1.GetSandboxRequest: a field of another type"},
    {&openshell__v1__create_sandbox_request__descriptor, "0a020a05",
     "openshell.v1.SandboxSpec: a field longer than its message at offset 2"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char bytes[64];
        struct str s = {bytes, unhex(bad[i].hex, bytes, sizeof(bytes))};
        struct arena arena;
        arena_init(&arena, MIB);
        struct err err = {};
        ProtobufCMessage *m = NULL;
        bool ok = wire_unpack(bad[i].type, s, &arena, &m, &err) == ERR_INVALID && !m &&
                  strcmp(err.msg, bad[i].want) == 0;
        if (!tap_ok(ok, "refuses: %s", bad[i].want))
            tap_note("got: %s", err.msg);
        arena_done(&arena);
    }
}

// A Value inside ListValues: each level is two messages. Built from the inside out.
static enum err_code nested(size_t levels, struct err *reterr)
{
    char bytes[4 * KIB];
    size_t at = sizeof(bytes);
    for (size_t i = 0; i < levels; i++) { // Struct.fields is 1; Value.list_value is 6, ListValue.values is 1
        size_t n = sizeof(bytes) - at;
        if (n > 127)
            bytes[--at] = (char)(n >> 7);
        bytes[--at] = (char)(n > 127 ? (n & 127) | 128 : n);
        bytes[--at] = i % 2 == 0 ? 0x0a : 0x32;
    }
    struct str s = {bytes + at, sizeof(bytes) - at};
    return wire_check(levels % 2 == 0 ? &google__protobuf__value__descriptor
                                      : &google__protobuf__list_value__descriptor,
                      s, reterr);
}

static void test_limits(void)
{
    struct err err = {};
    tap_ok(nested(WIRE_DEPTH_MAX - 1, &err) == ERR_OK, "100 messages inside each other");
    tap_ok(nested(WIRE_DEPTH_MAX, &err) == ERR_INVALID &&
               strstr(err.msg, "more than 100 messages inside each other"),
           "101 are refused");

    char bytes[8 * KIB]; // two bytes for each of 4096 empty sandboxes
    for (size_t i = 0; i < sizeof(bytes); i += 2) {
        bytes[i] = 0x0a;
        bytes[i + 1] = 0;
    }
    struct arena arena;
    arena_init(&arena, 64 * KIB);
    ProtobufCMessage *m = NULL;
    enum err_code c = wire_unpack(&openshell__v1__list_sandboxes_response__descriptor,
                                  (struct str){bytes, sizeof(bytes)}, &arena, &m, &err);
    tap_ok(c == ERR_LIMIT && !m, "what grows past the arena is ERR_LIMIT: %s", err.msg);
    arena_done(&arena);

    Openshell__V1__GetSandboxRequest request = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    char name[] = "name";
    request.name = name;
    struct buf out;
    buf_init(&out, 6);
    tap_ok(wire_pack(&request.base, &out, &err) == ERR_OK && out.n == 6, "a message as large as the buffer");
    buf_done(&out);
    buf_init(&out, 5);
    c = wire_pack(&request.base, &out, &err);
    tap_ok(c == ERR_LIMIT && strcmp(err.msg, "openshell.v1.GetSandboxRequest: 6 bytes, the limit is 5") == 0,
           "one byte more is refused: %s", err.msg);
    buf_done(&out);
}

int main(void)
{
    test_golden();
    test_values();
    test_bad();
    test_limits();
    return tap_done();
}
