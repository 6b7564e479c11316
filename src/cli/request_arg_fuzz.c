#include "cli/request_arg.h"

// What is accepted, written as a URL again, is accepted and means the same.
static void read_back(const struct request_arg *r)
{
    char text[2 * REQUEST_TEXT_MAX];
    bool v6 = strchr(r->host, ':');
    int n;
    if (r->connect)
        n = snprintf(text, sizeof(text), "CONNECT %s%s%s:%u", v6 ? "[" : "", r->host, v6 ? "]" : "", r->port);
    else
        n = snprintf(text, sizeof(text), "%.*s %s://%s%s%s:%u%.*s?%.*s", (int)r->method.n, r->method.p,
                     r->websocket ? "wss" : "https", v6 ? "[" : "", r->host, v6 ? "]" : "", r->port,
                     (int)r->path.n, r->path.p, (int)r->query.n, r->query.n ? r->query.p : "");
    if (n > REQUEST_TEXT_MAX)
        return;
    struct request_arg again;
    struct err err;
    enum err_code code = request_arg_parse((struct str){text, (size_t)n}, &again, &err);
    assert(code == ERR_OK && again.port == r->port && strcmp(again.host, r->host) == 0);
    assert(again.connect == r->connect && again.websocket == r->websocket && again.is_ip == r->is_ip);
    assert(str_eq(again.method, r->method) && str_eq(again.path, r->path) && str_eq(again.query, r->query));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_arg r;
    struct err err;
    if (request_arg_parse((struct str){(const char *)data, size}, &r, &err) == ERR_OK)
        read_back(&r);
    return 0;
}
