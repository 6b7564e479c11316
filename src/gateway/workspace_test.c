#include "gateway/workspace.h"

#include "tap.h"

#include "gateway/ids.h"
#include "rpc/wire.h"
#include "store/store_test.h"

static bool said(enum err_code r, enum err_code want, const struct err *err, const char *msg)
{
    bool ok = r == want && strcmp(err->msg, msg) == 0;
    if (!ok)
        tap_note("%s: %s; want %s: %s", err_code_name(r), err->msg, err_code_name(want), msg);
    return ok;
}

static void add_dying(struct store *st)
{
    struct err err = {};
    uint64_t v;
    Openshell__Datamodel__V1__WorkspaceStatus status = OPENSHELL__DATAMODEL__V1__WORKSPACE_STATUS__INIT;
    Openshell__Datamodel__V1__Workspace w = OPENSHELL__DATAMODEL__V1__WORKSPACE__INIT;
    status.phase = OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_TERMINATING;
    w.status = &status;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, KIB);
    struct store_object o = thing("w-1", "dying");
    o.kind = STR("workspace");
    o.workspace = STR("");
    if (wire_pack(&w.base, &b, &err) != ERR_OK)
        abort();
    o.payload = buf_str(&b);
    if (put(st, STORE_CREATE, 0, o, &v, &err) != ERR_OK)
        abort();
}

int main(void)
{
    struct place p = place_new("/tmp");
    struct store *st = place_open(&p);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MIB);
    struct err err = {};
    struct str name = {};
    struct store_object first = {}, second = {};
    tap_ok(said(workspace_check(st, "", WORKSPACE_READ, &a, &name, &err), ERR_NOT_FOUND, &err,
                "workspace 'default' not found"),
           "an empty store has none");
    tap_ok(workspace_ensure_default(st, &err) == ERR_OK, "the default is made");
    (void)!store_get_named(st, STR("workspace"), STR(""), STR("default"), &a, &first, &err);
    tap_ok(workspace_ensure_default(st, &err) == ERR_OK &&
               store_get_named(st, STR("workspace"), STR(""), STR("default"), &a, &second, &err) == ERR_OK &&
               str_eq(first.id, second.id) && second.version == 1 && id_is_uuid(first.id),
           "once");
    tap_ok(workspace_check(st, "", WORKSPACE_WRITE, &a, &name, &err) == ERR_OK &&
               str_eq(name, STR("default")),
           "an empty name means it");
    tap_ok(workspace_check(st, "default", WORKSPACE_WRITE, &a, &name, &err) == ERR_OK &&
               str_eq(name, STR("default")),
           "and so does its own");
    tap_ok(said(workspace_check(st, "no", WORKSPACE_READ, &a, &name, &err), ERR_NOT_FOUND, &err,
                "workspace 'no' not found"),
           "one that is not there");
    char longest[400] = "";
    memset(longest, 'a', sizeof(longest) - 1);
    tap_ok(workspace_check(st, longest, WORKSPACE_READ, &a, &name, &err) == ERR_NOT_FOUND,
           "one that cannot be there");
    add_dying(st);
    tap_ok(workspace_check(st, "dying", WORKSPACE_READ, &a, &name, &err) == ERR_OK &&
               str_eq(name, STR("dying")),
           "one that is being deleted can be read");
    tap_ok(said(workspace_check(st, "dying", WORKSPACE_WRITE, &a, &name, &err), ERR_PRECONDITION, &err,
                "workspace 'dying' is being deleted"),
           "and not be written");
    store_free(st);
    place_done(&p);
    return tap_done();
}
