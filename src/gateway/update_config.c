// UpdateConfig: what is asked for, settings, and the push. Reference: gateway 4.2.
#include "base/clock.h"
#include "gateway/caller.h"
#include "gateway/check.h"
#include "gateway/records.h"
#include "gateway/revisions.h"
#include "gateway/settings.h"
#include "gateway/update.h"
#include "gateway/watch.h"
#include "gateway/workspace.h"

enum { ANNOTATIONS_MAX = 128, ANNOTATION_MAX = 8192 }; // reference: gateway 3.1

static enum err_code check_annotations(const Openshell__V1__UpdateConfigRequest *req, struct err *reterr)
{
    if (req->n_annotations > ANNOTATIONS_MAX)
        return err_set(reterr, ERR_INVALID, "at most %d annotations", ANNOTATIONS_MAX);
    if (req->global && req->n_annotations > 0)
        return err_set(reterr, ERR_INVALID,
                       "annotations go with a sandbox's policy, not with a global change");
    if (req->setting_key[0] && req->n_annotations > 0)
        return err_set(reterr, ERR_INVALID, "annotations go with a policy, not with a setting");
    for (size_t i = 0; i < req->n_annotations; i++) {
        enum err_code c = check_label(str_of(req->annotations[i]->key), STR(""), reterr);
        if (c != ERR_OK)
            return err_wrap(reterr, c, "annotation");
        if (strlen(req->annotations[i]->value) > ANNOTATION_MAX)
            return err_set(reterr, ERR_INVALID, "annotation '%.*s' has more than %d bytes",
                           STR_FMT(str_of(req->annotations[i]->key)), ANNOTATION_MAX);
    }
    return ERR_OK;
}

static enum err_code check_request(const Openshell__V1__UpdateConfigRequest *req, struct err *reterr)
{
    unsigned kinds = (req->policy != NULL) + (req->setting_key[0] != '\0') + (req->n_merge_operations > 0);
    if (kinds != 1)
        return err_set(reterr, ERR_INVALID,
                       "exactly one of policy, setting_key and merge_operations is required");
    if (!req->setting_key[0] && req->delete_setting)
        return err_set(reterr, ERR_INVALID, "delete_setting goes with setting_key");
    if (!req->setting_key[0] && req->setting_value)
        return err_set(reterr, ERR_INVALID, "setting_value goes with setting_key");
    if (req->delete_setting && req->setting_value)
        return err_set(reterr, ERR_INVALID, "delete_setting and setting_value exclude each other");
    if (req->global && req->n_merge_operations > 0)
        return err_set(reterr, ERR_INVALID, "merge operations are not supported for the global policy");
    if (req->global && (req->name[0] || req->expected_resource_version != 0))
        return err_set(reterr, ERR_INVALID,
                       "a global change is of no one sandbox: no name, no resource_version");
    if (!req->global && !req->name[0])
        return err_set(reterr, ERR_INVALID, "name is required");
    return check_annotations(req, reterr);
}

// ---- settings

// Stores the change, where it is one. ERR_EXISTS, ERR_PRECONDITION: somebody else was faster.
static enum err_code change_setting(struct update *u, struct settings_owner owner, size_t i)
{
    struct settings now = {};
    struct store_write w = {};
    uint64_t version = 0;
    size_t failed = 0;
    const setting_value *value = u->req->delete_setting ? NULL : u->req->setting_value;
    enum err_code c = settings_read(u->s->store, owner, u->a, &now, u->err);
    if (c != ERR_OK)
        return c;
    bool same = settings_same(now.value[i], value);
    now.value[i] = value;
    if (!same)
        c = settings_write(owner, &now, u->a, &w, u->err);
    if (c == ERR_OK && !same)
        c = store_apply(u->s->store, &w, 1, &version, &failed, u->err);
    if (c != ERR_OK)
        return c;
    u->out->settings_revision = now.revision;
    u->out->deleted = u->req->delete_setting && !same;
    return ERR_OK;
}

enum err_code update_setting(struct update *u, const Openshell__V1__Sandbox *sandbox)
{
    size_t i = 0;
    struct settings global = {};
    struct settings_owner owner = SETTINGS_GLOBAL;
    enum err_code c = settings_find(str_of(u->req->setting_key), &i, u->err);
    if (c == ERR_OK && !u->req->delete_setting)
        c = settings_check(i, u->req->setting_value, u->err);
    if (c == ERR_OK && sandbox) {
        const Openshell__Datamodel__V1__ObjectMeta *m = sandbox->metadata;
        owner = (struct settings_owner){str_of(m->workspace), str_of(m->name), str_of(m->id)};
        c = settings_read(u->s->store, SETTINGS_GLOBAL, u->a, &global, u->err);
    }
    if (c == ERR_OK && sandbox && global.value[i])
        return err_set(u->err, ERR_PRECONDITION,
                       "setting '%s' is managed globally: delete the global setting first", settings_key(i));
    for (unsigned tries = 0; c == ERR_OK && tries < UPDATE_TRIES; tries++) {
        c = change_setting(u, owner, i);
        if (c != ERR_EXISTS && c != ERR_PRECONDITION)
            return c;
        c = ERR_OK;
    }
    return c == ERR_OK ? update_conflict(u, 0) : c;
}

// ---- all of it

// A supervisor may give its own sandbox a policy, and nothing else.
static enum err_code check_caller(const struct update *u, const Openshell__V1__Sandbox *sandbox)
{
    const struct caller *c = rpc_request_principal(u->r);
    if (c->kind == CALLER_USER)
        return ERR_OK;
    if (u->req->global || !u->req->policy)
        return rpc_request_fail(u->r, RPC_PERMISSION_DENIED, u->err,
                                "a sandbox may only give its own policy");
    if (!sandbox || strcmp(sandbox->metadata->id, c->sandbox_id) != 0)
        return rpc_request_fail(u->r, RPC_PERMISSION_DENIED, u->err,
                                "sandbox not found or not owned by caller");
    return ERR_OK;
}

// What was stored is pushed; where nobody is connected, or does not answer, it waits for them.
static void push(struct update *u, struct str sandbox_id)
{
    struct err err = {};
    int64_t deadline = deadline_in_ms(CONFIG_PUSH_MS), asked = rpc_request_deadline_ns(u->r);
    if (u->s->watch)
        watch_changed(u->s->watch, sandbox_id);
    enum err_code c = config_push(u->s, sandbox_id, asked < deadline ? asked : deadline, u->a, &err);
    if (c != ERR_OK && c != ERR_UNAVAILABLE)
        log_warning(u->s->log, "config.push", LOG_WORD("sandbox", sandbox_id), LOG_REASON(&err));
}

static enum err_code update_global(struct update *u)
{
    bool is_policy = u->req->policy || (strcmp(u->req->setting_key, "policy") == 0 && u->req->delete_setting);
    enum err_code c = check_caller(u, NULL);
    if (c == ERR_OK)
        c = is_policy ? update_global_policy(u) : update_setting(u, NULL);
    if (c == ERR_OK)
        config_push_all(u->s);
    return c;
}

static enum err_code update_sandbox(struct update *u)
{
    struct str workspace = {};
    Openshell__V1__Sandbox *sandbox = NULL;
    enum err_code c = workspace_check(u->s->store, u->req->workspace, WORKSPACE_WRITE, u->a, &workspace,
                                      u->err);
    if (c == ERR_OK)
        c = record_by_name(u->s->store, workspace, str_of(u->req->name), u->a, &sandbox, u->err);
    if (c == ERR_OK || c == ERR_NOT_FOUND) {
        enum err_code denied = check_caller(u, c == ERR_OK ? sandbox : NULL);
        c = denied != ERR_OK ? denied : c;
    }
    if (c == ERR_OK)
        c = u->req->setting_key[0] ? update_setting(u, sandbox) : update_policy(u, workspace);
    if (c == ERR_OK)
        push(u, str_of(sandbox->metadata->id));
    return c;
}

enum err_code method_update_config(struct rpc_request *r, const ProtobufCMessage *in, ProtobufCMessage **ret,
                                   struct err *reterr)
{
    struct update u = {.r = r,
                       .s = rpc_request_ctx(r),
                       .req = (const Openshell__V1__UpdateConfigRequest *)(const void *)in,
                       .a = rpc_request_arena(r),
                       .err = reterr};
    u.out = arena_new(u.a, Openshell__V1__UpdateConfigResponse);
    if (!u.out)
        return arena_limit(u.a, "an answer", reterr);
    openshell__v1__update_config_response__init(u.out);
    enum err_code c = check_request(u.req, reterr);
    if (c == ERR_OK)
        c = u.req->global ? update_global(&u) : update_sandbox(&u);
    if (c == ERR_OK)
        *ret = &u.out->base;
    return c;
}
