#include "gateway/workspace.h"

#include "base/clock.h"
#include "gateway/ids.h"
#include "rpc/wire.h"

enum { NAME_MAX_BYTES = 253 }; // reference: gateway 3.1, of names in general

enum err_code workspace_check(struct store *st, const char *given, enum workspace_use use, struct arena *a,
                              struct str *ret, struct err *reterr)
{
    struct str name = given[0] ? str_of(given) : STR(WORKSPACE_DEFAULT);
    struct store_object row = {};
    ProtobufCMessage *m = NULL;
    struct str copy = {};
    enum err_code r = name.n > NAME_MAX_BYTES
                          ? ERR_NOT_FOUND
                          : store_get_named(st, STR("workspace"), STR(""), name, a, &row, reterr);
    if (r == ERR_NOT_FOUND)
        return err_set(reterr, r, "workspace '%.*s' not found", STR_FMT(name));
    if (r == ERR_OK)
        r = wire_unpack(&openshell__datamodel__v1__workspace__descriptor, row.payload, a, &m, reterr);
    if (r != ERR_OK)
        return err_wrap(reterr, r, "workspace '%.*s'", STR_FMT(name));
    const Openshell__Datamodel__V1__Workspace *w = (const void *)m;
    if (use == WORKSPACE_WRITE && w->status &&
        w->status->phase == OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_TERMINATING)
        return err_set(reterr, ERR_PRECONDITION, "workspace '%.*s' is being deleted", STR_FMT(name));
    if (!arena_dup(a, name, &copy))
        return arena_limit(a, "a name", reterr);
    *ret = copy;
    return ERR_OK;
}

enum err_code workspace_ensure_default(struct store *st, struct err *reterr)
{
    char id[ID_SIZE], name[] = WORKSPACE_DEFAULT;
    uint64_t version;
    size_t failed;
    CLEANUP(buf_done) struct buf payload;
    buf_init(&payload, 4 * KIB);
    enum err_code r = id_make(id, reterr);
    if (r != ERR_OK)
        return r;
    Openshell__Datamodel__V1__ObjectMeta meta = OPENSHELL__DATAMODEL__V1__OBJECT_META__INIT;
    Openshell__Datamodel__V1__WorkspaceStatus status = OPENSHELL__DATAMODEL__V1__WORKSPACE_STATUS__INIT;
    Openshell__Datamodel__V1__Workspace w = OPENSHELL__DATAMODEL__V1__WORKSPACE__INIT;
    meta.id = id;
    meta.name = name;
    meta.created_at_ms = clock_realtime_ms();
    status.phase = OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_ACTIVE;
    w.metadata = &meta;
    w.status = &status;
    r = wire_pack(&w.base, &payload, reterr);
    if (r != ERR_OK)
        return r;
    const struct store_write write = {.op = STORE_CREATE,
                                      .object = {.kind = STR("workspace"),
                                                 .workspace = STR(""),
                                                 .id = str_of(id),
                                                 .name = STR(WORKSPACE_DEFAULT),
                                                 .payload = buf_str(&payload),
                                                 .created_ms = meta.created_at_ms,
                                                 .updated_ms = meta.created_at_ms}};
    r = store_apply(st, &write, 1, &version, &failed, reterr);
    return r == ERR_EXISTS ? ERR_OK : r;
}
