#include "gateway/reflection.h"

#include "gateway/health.h"
#include "gateway/methods.h"
#include "gateway/reflection_internal.h"
#include "gateway/services.h"

#include "grpc_health.pb-c.h"

#define R(name) Grpc__Reflection__V1__##name

enum { FILES_MAX = 64, ANSWER_MAX = 1 * MIB };

static char *text(struct str s) // protobuf-c's strings are char *, and packing only reads them
{
    return (char *)(uintptr_t)s.p;
}

// ---- the interface

static const struct reflection_symbol *find_symbol(struct str name)
{
    size_t low = 0, high = reflection_symbols_n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = str_cmp(name, reflection_symbols[mid].name);
        if (c == 0)
            return &reflection_symbols[mid];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

// "/package.Service/Method" without its method.
static struct str service_of(const struct rpc_method *m)
{
    struct str path = str_from(m->path, 1);
    return str_head(path, path.n - rpc_method_name(m).n - 1);
}

static bool is_served(const struct rpc_handler *handlers, size_t i)
{
    return handlers[i].unary || handlers[i].stream;
}

// ---- answers

static enum err_code no_room(struct err *reterr)
{
    return err_set(reterr, ERR_LIMIT, "no room for an answer about the interface");
}

static enum err_code not_found(struct arena *a, const char *what, struct str name,
                               R(ServerReflectionResponse) * ret, struct err *reterr)
{
    struct str words = {};
    R(ErrorResponse) *e = arena_new(a, R(ErrorResponse));
    struct err clean = {};
    err_fill(&clean, ERR_NOT_FOUND, "%s '%.*s' is not known", what, STR_FMT(name));
    if (!e || !arena_dup(a, str_of(clean.msg), &words))
        return no_room(reterr);
    grpc__reflection__v1__error_response__init(e);
    e->error_code = RPC_NOT_FOUND;
    e->error_message = text(words);
    ret->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    ret->error_response = e;
    return ERR_OK;
}

// The file, then all that it imports, each once.
static enum err_code files_from(unsigned short first, struct arena *a, R(ServerReflectionResponse) * ret,
                                struct err *reterr)
{
    unsigned short order[FILES_MAX] = {first};
    bool seen[FILES_MAX] = {};
    size_t n = 1;
    assert(reflection_files_n <= FILES_MAX && first < FILES_MAX);
    seen[first] = true;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < reflection_files[order[i]].deps_n; k++) {
            unsigned short dep = reflection_files[order[i]].deps[k];
            if (!seen[dep])
                order[n++] = dep;
            seen[dep] = true;
        }
    R(FileDescriptorResponse) *f = arena_new(a, R(FileDescriptorResponse));
    ProtobufCBinaryData *list = arena_newn(a, ProtobufCBinaryData, n);
    if (!f || !list)
        return no_room(reterr);
    for (size_t i = 0; i < n; i++)
        list[i] = (ProtobufCBinaryData){reflection_files[order[i]].bytes_n,
                                        (uint8_t *)(uintptr_t)reflection_files[order[i]].bytes};
    grpc__reflection__v1__file_descriptor_response__init(f);
    f->file_descriptor_proto = list;
    f->n_file_descriptor_proto = n;
    ret->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    ret->file_descriptor_response = f;
    return ERR_OK;
}

static enum err_code by_name(struct str name, struct arena *a, R(ServerReflectionResponse) * ret,
                             struct err *reterr)
{
    for (size_t i = 0; i < reflection_files_n; i++)
        if (str_eq(reflection_files[i].name, name))
            return files_from((unsigned short)i, a, ret, reterr);
    return not_found(a, "file", name, ret, reterr);
}

static enum err_code by_symbol(struct str name, struct arena *a, R(ServerReflectionResponse) * ret,
                               struct err *reterr)
{
    const struct reflection_symbol *s = find_symbol(name);
    return s ? files_from(s->file, a, ret, reterr) : not_found(a, "symbol", name, ret, reterr);
}

static enum err_code by_extension(const R(ExtensionRequest) * req, struct arena *a,
                                  R(ServerReflectionResponse) * ret, struct err *reterr)
{
    struct str type = str_of(req->containing_type);
    for (size_t i = 0; i < reflection_extensions_n; i++)
        if (str_eq(reflection_extensions[i].type, type) &&
            reflection_extensions[i].number == req->extension_number)
            return files_from(reflection_extensions[i].file, a, ret, reterr);
    return not_found(a, "extension of", type, ret, reterr);
}

static enum err_code numbers_of(struct str type, struct arena *a, R(ServerReflectionResponse) * ret,
                                struct err *reterr)
{
    if (!find_symbol(type))
        return not_found(a, "type", type, ret, reterr);
    R(ExtensionNumberResponse) *e = arena_new(a, R(ExtensionNumberResponse));
    int32_t *list = arena_newn(a, int32_t, reflection_extensions_n);
    struct str name = {};
    if (!e || !list || !arena_dup(a, type, &name))
        return no_room(reterr);
    grpc__reflection__v1__extension_number_response__init(e);
    for (size_t i = 0; i < reflection_extensions_n; i++)
        if (str_eq(reflection_extensions[i].type, type))
            list[e->n_extension_number++] = reflection_extensions[i].number;
    e->base_type_name = text(name);
    e->extension_number = list;
    ret->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    ret->all_extension_numbers_response = e;
    return ERR_OK;
}

// Methods are sorted by path, so those of a service stand together.
static enum err_code list_services(const struct rpc_handler *handlers, struct arena *a,
                                   R(ServerReflectionResponse) * ret, struct err *reterr)
{
    R(ListServiceResponse) *l = arena_new(a, R(ListServiceResponse));
    R(ServiceResponse) **list = arena_newn(a, R(ServiceResponse) *, RPC_METHODS);
    struct str last = {};
    if (!l || !list)
        return no_room(reterr);
    grpc__reflection__v1__list_service_response__init(l);
    l->service = list;
    for (size_t i = 0; i < RPC_METHODS; i++) {
        struct str service = service_of(&rpc_methods[i]), name = {};
        if (!is_served(handlers, i) || str_eq(service, last))
            continue;
        R(ServiceResponse) *s = arena_new(a, R(ServiceResponse));
        if (!s || !arena_dup(a, service, &name))
            return no_room(reterr);
        grpc__reflection__v1__service_response__init(s);
        s->name = text(name);
        list[l->n_service++] = s;
        last = service;
    }
    ret->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    ret->list_services_response = l;
    return ERR_OK;
}

enum err_code reflection_answer(const struct rpc_handler *handlers, const R(ServerReflectionRequest) * req,
                                struct arena *a, R(ServerReflectionResponse) * ret, struct err *reterr)
{
    grpc__reflection__v1__server_reflection_response__init(ret);
    ret->valid_host = req->host;
    ret->original_request = (R(ServerReflectionRequest) *)(uintptr_t)req; // packing only reads it
    switch ((int)req->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        return by_name(str_of(req->file_by_filename), a, ret, reterr);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        return by_symbol(str_of(req->file_containing_symbol), a, ret, reterr);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        return by_extension(req->file_containing_extension, a, ret, reterr);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        return numbers_of(str_of(req->all_extension_numbers_of_type), a, ret, reterr);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        return list_services(handlers, a, ret, reterr);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
    default:
        return err_set(reterr, ERR_INVALID, "a question without content");
    }
}

// ---- the stream: one question at a time

struct talk {
    struct buf held; // a question whose answer found no room
    bool ended;      // the client has asked all
};

static void finish(struct rpc_request *r, const struct err *e)
{
    struct talk *t = rpc_request_user(r);
    buf_done(&t->held);
    free(t);
    if (e)
        rpc_request_finish_err(r, e);
    else
        rpc_request_finish_ok(r);
}

// ERR_LIMIT: the client reads slowly, and the question was kept.
static enum err_code answer(struct rpc_request *r, const R(ServerReflectionRequest) * req, struct err *reterr)
{
    struct talk *t = rpc_request_user(r);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, ANSWER_MAX);
    R(ServerReflectionResponse) out;
    enum err_code c = reflection_answer(gateway_handlers, req, &a, &out, reterr);
    if (c == ERR_LIMIT) // ours; the queue's is another
        return err_set(reterr, ERR_INTERNAL, "no room for an answer");
    if (c == ERR_OK)
        c = rpc_request_send(r, &out.base, reterr);
    if (c == ERR_LIMIT && t->held.n == 0 && wire_pack(&req->base, &t->held, reterr) != ERR_OK)
        return ERR_INTERNAL;
    return c;
}

static void on_message(struct rpc_request *r, const ProtobufCMessage *m)
{
    struct err err = {};
    enum err_code c = answer(r, (const R(ServerReflectionRequest) *)(const void *)m, &err);
    if (c == ERR_OK)
        rpc_request_want(r, 1);
    else if (c != ERR_LIMIT)
        finish(r, &err);
}

static void on_writable(struct rpc_request *r)
{
    struct talk *t = rpc_request_user(r);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, ANSWER_MAX);
    struct err err = {};
    ProtobufCMessage *m = NULL;
    if (t->held.n == 0)
        return;
    enum err_code c = wire_unpack(&grpc__reflection__v1__server_reflection_request__descriptor,
                                  buf_str(&t->held), &a, &m, &err);
    if (c == ERR_OK)
        c = answer(r, (const R(ServerReflectionRequest) *)(const void *)m, &err);
    if (c == ERR_LIMIT)
        return;
    buf_clear(&t->held);
    if (c == ERR_OK && !t->ended)
        rpc_request_want(r, 1);
    else
        finish(r, c == ERR_OK ? NULL : &err);
}

static void on_end(struct rpc_request *r)
{
    struct talk *t = rpc_request_user(r);
    t->ended = true;
    if (t->held.n == 0)
        finish(r, NULL);
}

static void on_closed(struct rpc_request *r)
{
    struct talk *t = rpc_request_user(r);
    buf_done(&t->held);
    free(t);
}

void method_reflection(struct rpc_request *r)
{
    static const struct rpc_stream_ops ops = {.message = on_message,
                                              .end = on_end,
                                              .writable = on_writable,
                                              .closed = on_closed};
    struct talk *t = calloc(1, sizeof(*t));
    if (!t) {
        struct err err = {};
        err_fill(&err, ERR_LIMIT, "no memory for a talk about the interface");
        rpc_request_finish_err(r, &err);
        return;
    }
    buf_init(&t->held, ANSWER_MAX);
    rpc_request_begin(r, &ops, t);
    rpc_request_want(r, 1);
}

// ---- health

enum err_code method_health_check(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                  struct err *reterr)
{
    const struct services *services = rpc_request_ctx(r);
    struct str service = str_of(((const Grpc__Health__V1__HealthCheckRequest *)(const void *)in)->service);
    bool known = service.n == 0;
    for (size_t i = 0; i < RPC_METHODS && !known; i++)
        known = is_served(gateway_handlers, i) && str_eq(service_of(&rpc_methods[i]), service);
    if (!known)
        return err_set(reterr, ERR_NOT_FOUND, "service '%.*s' is not known", STR_FMT(service));
    Grpc__Health__V1__HealthCheckResponse *out = arena_new(rpc_request_arena(r),
                                                           Grpc__Health__V1__HealthCheckResponse);
    if (!out)
        return arena_limit(rpc_request_arena(r), "an answer", reterr);
    grpc__health__v1__health_check_response__init(out);
    out->status = services->health && health_state(services->health) == HEALTH_UP
                      ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                      : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    *ret = &out->base;
    return ERR_OK;
}
