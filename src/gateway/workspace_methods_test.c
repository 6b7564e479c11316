#include "gateway/workspace_methods.h"

#include "gateway/harness_test.h"

static struct harness h;

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static bool failed(const void *answer, enum rpc_code code, const char *words)
{
    bool ok = !answer && harness_code(&h) == code && strstr(h.err.msg, words);
    if (!ok)
        tap_note("%s: %s; want %s: %s", rpc_code_name(harness_code(&h)), h.err.msg, rpc_code_name(code),
                 words);
    return ok;
}

static const V1(CreateWorkspaceResponse) * create(const char *name, const char *label)
{
    V1(CreateWorkspaceRequest__LabelsEntry)
    e = OPENSHELL__V1__CREATE_WORKSPACE_REQUEST__LABELS_ENTRY__INIT, *list[] = {&e};
    V1(CreateWorkspaceRequest) m = OPENSHELL__V1__CREATE_WORKSPACE_REQUEST__INIT;
    m.name = text(name);
    e.key = text("team");
    e.value = text(label ? label : "");
    m.labels = list;
    m.n_labels = label != NULL;
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_CREATE_WORKSPACE, &m.base);
}

static const V1(GetWorkspaceResponse) * get(const char *name)
{
    V1(GetWorkspaceRequest) m = OPENSHELL__V1__GET_WORKSPACE_REQUEST__INIT;
    m.name = text(name);
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_GET_WORKSPACE, &m.base);
}

static const V1(ListWorkspacesResponse) * list(const char *selector, uint32_t limit, uint32_t offset)
{
    V1(ListWorkspacesRequest) m = OPENSHELL__V1__LIST_WORKSPACES_REQUEST__INIT;
    m.label_selector = text(selector);
    m.limit = limit;
    m.offset = offset;
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_LIST_WORKSPACES, &m.base);
}

static const V1(DeleteWorkspaceResponse) * drop(const char *name)
{
    V1(DeleteWorkspaceRequest) m = OPENSHELL__V1__DELETE_WORKSPACE_REQUEST__INIT;
    m.name = text(name);
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_DELETE_WORKSPACE, &m.base);
}

static const V1(AddWorkspaceMemberResponse) * add(const char *workspace, const char *subject, int role)
{
    V1(AddWorkspaceMemberRequest) m = OPENSHELL__V1__ADD_WORKSPACE_MEMBER_REQUEST__INIT;
    m.workspace = text(workspace);
    m.principal_subject = text(subject);
    m.role = (V1(WorkspaceRole))role;
    return (const void *)harness_call(&h, RPC_OPEN_SHELL_ADD_WORKSPACE_MEMBER, &m.base);
}

static size_t members(const char *workspace, uint32_t limit)
{
    V1(ListWorkspaceMembersRequest) m = OPENSHELL__V1__LIST_WORKSPACE_MEMBERS_REQUEST__INIT;
    m.workspace = text(workspace);
    m.limit = limit;
    const V1(ListWorkspaceMembersResponse) *r = (const void *)
        harness_call(&h, RPC_OPEN_SHELL_LIST_WORKSPACE_MEMBERS, &m.base);
    return r ? r->n_members : 9999;
}

static void test_workspaces(void)
{
    const V1(CreateWorkspaceResponse) *c = create("blue", "core");
    tap_ok(c && strcmp(c->workspace->metadata->name, "blue") == 0 && c->workspace->metadata->n_labels == 1 &&
               c->workspace->metadata->resource_version == 1 &&
               c->workspace->status->phase ==
                   OPENSHELL__DATAMODEL__V1__WORKSPACE_PHASE__WORKSPACE_PHASE_ACTIVE,
           "a workspace is made, and active");
    tap_ok(failed(create("blue", NULL), RPC_ALREADY_EXISTS, "workspace 'blue' already exists"), "once");
    tap_ok(failed(create("Blue", NULL), RPC_INVALID_ARGUMENT, "workspace name 'Blue'") &&
               failed(create("", NULL), RPC_INVALID_ARGUMENT, "workspace name") &&
               failed(create("a-name-of-20-letters", NULL), RPC_INVALID_ARGUMENT, "workspace name"),
           "by a name that can be one");
    tap_ok(failed(create("red", "no value"), RPC_INVALID_ARGUMENT, "label"), "with labels that can be some");
    (void)create("green", "other");
    const V1(GetWorkspaceResponse) *g = get("blue");
    tap_ok(g && strcmp(g->workspace->metadata->labels[0]->value, "core") == 0, "it can be looked at");
    tap_ok(failed(get("red"), RPC_NOT_FOUND, "workspace 'red' not found"), "if it is there");
    const V1(ListWorkspacesResponse) *l = list("", 0, 0);
    tap_ok(l && l->n_workspaces == 3 && strcmp(l->workspaces[0]->metadata->name, "default") == 0,
           "all of them");
    l = list("", 1, 1);
    tap_ok(l && l->n_workspaces == 1 && strcmp(l->workspaces[0]->metadata->name, "blue") == 0,
           "a page of them");
    l = list(" team = core ,", 0, 0);
    tap_ok(l && l->n_workspaces == 1 && strcmp(l->workspaces[0]->metadata->name, "blue") == 0,
           "those with a label");
    tap_ok(failed(list("team", 0, 0), RPC_INVALID_ARGUMENT, "KEY=VALUE"), "a selector that is none");
}

static void test_members(void)
{
    const V1(AddWorkspaceMemberResponse) *a = add("blue", "uid:1000", 1);
    tap_ok(a && strcmp(a->member->principal_subject, "uid:1000") == 0 &&
               strcmp(a->member->metadata->workspace, "blue") == 0,
           "a member");
    tap_ok(failed(add("blue", "uid:1000", 2), RPC_ALREADY_EXISTS, "member already exists in this workspace"),
           "once");
    tap_ok(add("green", "uid:1000", 2) != NULL, "in each workspace");
    tap_ok(failed(add("blue", "uid:1", 0), RPC_INVALID_ARGUMENT, "USER or ADMIN"), "with a role");
    tap_ok(failed(add("blue", "", 1), RPC_INVALID_ARGUMENT, "principal_subject") &&
               failed(add("blue", "a\033[31m", 1), RPC_INVALID_ARGUMENT, "principal_subject"),
           "and a name");
    tap_ok(failed(add("red", "x", 1), RPC_NOT_FOUND, "workspace 'red' not found"), "of a workspace");
    (void)add("blue", "uid:2", 1);
    tap_ok(members("blue", 0) == 2 && members("blue", 1) == 1 && members("green", 0) == 1, "they are listed");
    V1(RemoveWorkspaceMemberRequest) m = OPENSHELL__V1__REMOVE_WORKSPACE_MEMBER_REQUEST__INIT;
    m.workspace = text("blue");
    m.principal_subject = text("uid:2");
    const V1(RemoveWorkspaceMemberResponse) *r = (const void *)
        harness_call(&h, RPC_OPEN_SHELL_REMOVE_WORKSPACE_MEMBER, &m.base);
    tap_ok(r && r->removed && members("blue", 0) == 1, "and removed");
    r = (const void *)harness_call(&h, RPC_OPEN_SHELL_REMOVE_WORKSPACE_MEMBER, &m.base);
    tap_ok(r && !r->removed, "once");
}

static void test_limit(void)
{
    enum { MANY = WORKSPACE_MEMBERS_MAX - 1 };
    static struct store_write w[MANY];
    static uint64_t versions[MANY];
    static char names[MANY][16];
    size_t bad = 0;
    (void)create("full", NULL);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "many-%zu", i);
        w[i].object = thing(names[i], names[i]);
        w[i].object.kind = STR("workspace_member");
        w[i].object.workspace = STR("full");
    }
    harness_must(store_apply(h.services.store, w, MANY, versions, &bad, &h.err), &h.err);
    tap_ok(add("full", "uid:1", 1) != NULL, "the thousandth member");
    tap_ok(failed(add("full", "uid:2", 1), RPC_RESOURCE_EXHAUSTED, "at most 1000 members"), "is the last");
    const V1(DeleteWorkspaceResponse) *d = drop("full");
    tap_ok(d && d->deleted, "all of them go at once");
}

static void test_end(void)
{
    tap_ok(failed(drop("default"), RPC_FAILED_PRECONDITION, "cannot be deleted"), "the default stays");
    tap_ok(failed(drop("red"), RPC_NOT_FOUND, "workspace 'red' not found"), "one that is not there");
    struct store_object o = thing("p-1", "p");
    o.kind = STR("provider"), o.workspace = STR("blue");
    uint64_t v;
    harness_must(put(h.services.store, STORE_CREATE, 0, o, &v, &h.err), &h.err);
    tap_ok(failed(drop("blue"), RPC_FAILED_PRECONDITION,
                  "workspace 'blue' still contains resources: provider"),
           "one that is not empty");
    tap_ok(failed(add("blue", "uid:3", 1), RPC_FAILED_PRECONDITION, "workspace 'blue' is being deleted"),
           "is being deleted from then on");
    const V1(GetWorkspaceResponse) *g = get("blue");
    tap_ok(g && g->workspace->metadata->deletion_timestamp_ms > 0, "and says since when");
    harness_must(put(h.services.store, STORE_DELETE, 0, o, &v, &h.err), &h.err);
    const V1(DeleteWorkspaceResponse) *d = drop("blue");
    tap_ok(d && d->deleted && failed(get("blue"), RPC_NOT_FOUND, "not found"), "once it is empty it goes");
    (void)create("blue", NULL);
    tap_ok(members("blue", 0) == 0, "with its members");
}

int main(void)
{
    harness_start(&h, place_new("/tmp"));
    test_workspaces();
    test_members();
    test_end();
    test_limit();
    harness_stop(&h);
    place_done(&h.place);
    return tap_done();
}
