#include "gateway/forward.h"

#include "base/base.h"
#include "tap.h"

static const struct {
    const char *host;
    uint32_t port;
    const char *msg;
} rows[] = {
    {"localhost", 1, ""},
    {"127.0.0.1", 65535, ""},
    {"127.255.255.255", 80, ""},
    {"::1", 80, ""},
    {"0:0:0:0:0:0:0:1", 80, ""},
    {"", 80, "tcp target host is required"},
    {"LOCALHOST", 80, "tcp target host must be loopback"},
    {"localhost.", 80, "tcp target host must be loopback"},
    {"127.1", 80, "tcp target host must be loopback"},
    {"0x7f000001", 80, "tcp target host must be loopback"},
    {"126.255.255.255", 80, "tcp target host must be loopback"},
    {"128.0.0.1", 80, "tcp target host must be loopback"},
    {"0.0.0.0", 80, "tcp target host must be loopback"},
    {"::", 80, "tcp target host must be loopback"},
    {"::ffff:127.0.0.1", 80, "tcp target host must be loopback"},
    {"::1%lo", 80, "tcp target host must be loopback"},
    {"127.0.0.1 ", 80, "tcp target host must be loopback"},
    {"10.200.0.1", 80, "tcp target host must be loopback"},
    {"localhost", 0, "tcp target port must be between 1 and 65535"},
    {"localhost", 65536, "tcp target port must be between 1 and 65535"},
};

int main(void)
{
    Openshell__V1__TcpForwardInit init = OPENSHELL__V1__TCP_FORWARD_INIT__INIT;
    Openshell__V1__TcpRelayTarget tcp = OPENSHELL__V1__TCP_RELAY_TARGET__INIT;
    struct err err = {};
    tap_ok(forward_check(&init, &err) == ERR_INVALID && strcmp(err.msg, "sandbox_id is required") == 0,
           "no sandbox");
    init.sandbox_id = (char *)(uintptr_t) "s";
    tap_ok(forward_check(&init, &err) == ERR_INVALID && strcmp(err.msg, "target is required") == 0,
           "no target");
    init.target_case = OPENSHELL__V1__TCP_FORWARD_INIT__TARGET_TCP;
    init.tcp = &tcp;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tcp.host = (char *)(uintptr_t)rows[i].host;
        tcp.port = rows[i].port;
        err = (struct err){};
        enum err_code c = forward_check(&init, &err);
        tap_ok(c == (rows[i].msg[0] ? ERR_INVALID : ERR_OK) && strcmp(err.msg, rows[i].msg) == 0,
               "'%s' port %u", rows[i].host, rows[i].port);
    }
    return tap_done();
}
