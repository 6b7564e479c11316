#include "cli/sandbox.h"

#include "cli/show.h"

const char *sandbox_phase(const Openshell__V1__Sandbox *s)
{
    static const char *const words[] = {"Unspecified", "Provisioning", "Ready",   "Error",   "Deleting",
                                        "Unknown",     "Stopping",     "Stopped", "Starting"};
    unsigned phase = s->status ? (unsigned)s->status->phase : 0;
    return phase < ARRAY_LEN(words) ? words[phase] : "Unknown";
}

bool sandbox_is(const Openshell__V1__Sandbox *s, Openshell__V1__SandboxPhase phase)
{
    return s->status && s->status->phase == phase;
}

int sandbox_phase_style(const Openshell__V1__Sandbox *s)
{
    static const int styles[] = {-1,        STYLE_YELLOW, STYLE_GREEN,  STYLE_RED,   STYLE_DIM,
                                 STYLE_DIM, STYLE_YELLOW, STYLE_YELLOW, STYLE_YELLOW};
    unsigned phase = s->status ? (unsigned)s->status->phase : 0;
    return phase < ARRAY_LEN(styles) ? styles[phase] : -1;
}

bool sandbox_has_ended(const Openshell__V1__Sandbox *s)
{
    return s->status && s->status->_exit_code_case == OPENSHELL__V1__SANDBOX_STATUS___EXIT_CODE_EXIT_CODE;
}

const char *sandbox_why(const Openshell__V1__Sandbox *s, struct arena *a)
{
    const Openshell__V1__SandboxCondition *found = NULL;
    for (size_t i = 0; s->status && i < s->status->n_conditions; i++)
        if (!found || strcmp(s->status->conditions[i]->type, "Ready") == 0)
            found = s->status->conditions[i];
    struct str out = {};
    if (!found)
        return "";
    bool both = found->reason[0] && found->message[0];
    return arena_fmt(a, &out, "%s%s%s", found->reason, both ? ": " : "", found->message) ? out.p : "";
}

json_t *sandbox_json(const Openshell__V1__Sandbox *s, bool *ok)
{
    char at[SHOW_TIME_SIZE];
    show_time(s->metadata->created_at_ms, at);
    json_t *o = json_object(), *labels = json_object(), *annotations = json_object();
    for (size_t i = 0; i < s->metadata->n_labels; i++)
        json_put(labels, s->metadata->labels[i]->key, json_text(str_of(s->metadata->labels[i]->value)), ok);
    for (size_t i = 0; i < s->metadata->n_annotations; i++)
        json_put(annotations, s->metadata->annotations[i]->key,
                 json_text(str_of(s->metadata->annotations[i]->value)), ok);
    json_put(o, "annotations", annotations, ok);
    json_put(o, "created_at", json_string(at), ok);
    json_put(o, "current_policy_version", json_integer(s->status ? s->status->current_policy_version : 0),
             ok);
    json_put(o, "id", json_text(str_of(s->metadata->id)), ok);
    json_put(o, "labels", labels, ok);
    json_put(o, "name", json_text(str_of(s->metadata->name)), ok);
    json_put(o, "phase", json_string(sandbox_phase(s)), ok);
    json_put(o, "resource_version", json_integer((json_int_t)s->metadata->resource_version), ok);
    json_put(o, "workspace", json_text(str_of(s->metadata->workspace)), ok);
    return o;
}

enum err_code sandbox_of(ProtobufCMessage *response, const Openshell__V1__Sandbox **ret, struct err *reterr)
{
    const Openshell__V1__SandboxResponse *out = GATEWAY_ANSWER(Openshell__V1__SandboxResponse, response);
    if (!out->sandbox || !out->sandbox->metadata)
        return err_set(reterr, ERR_INTERNAL, "the gateway's answer holds no sandbox");
    *ret = out->sandbox;
    return ERR_OK;
}

enum err_code sandbox_fetch(struct gateway *g, const char *name, const Openshell__V1__Sandbox **ret,
                            struct err *reterr)
{
    Openshell__V1__GetSandboxRequest req = OPENSHELL__V1__GET_SANDBOX_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.name = gateway_text(name);
    req.workspace = g->workspace;
    enum err_code r = gateway_ask(g, RPC_OPEN_SHELL_GET_SANDBOX, &req.base, &m, reterr);
    return r == ERR_OK ? sandbox_of(m, ret, reterr) : r;
}

const char *sandbox_name_or_last(struct cli *cli, struct gateway *g, const char *name)
{
    char last[REGISTRY_SANDBOX_SIZE];
    struct str kept = {};
    if (name)
        return name;
    if (!registry_last(&g->registry, g->name, g->workspace, last)) {
        (void)report(cli, "give its name, or use one with 'openshell sandbox connect NAME' first",
                     "no sandbox was used yet");
        return NULL;
    }
    if (!arena_dup(&g->arena, str_of(last), &kept)) {
        (void)report(cli, NULL, "no memory");
        return NULL;
    }
    show_err(cli, SHOW_HINT, "Using sandbox '%s' (last used)", kept.p);
    return kept.p;
}

const char *sandbox_name(struct cli *cli, const struct args *a, struct gateway *g)
{
    return sandbox_name_or_last(cli, g, a->words_n > 0 ? a->words[0] : NULL);
}

int sandbox_open(struct cli *cli, const struct args *a, struct gateway *g, const Openshell__V1__Sandbox **ret)
{
    int status = gateway_open(cli, a, g);
    const char *name = status == 0 ? sandbox_name(cli, a, g) : NULL;
    if (!name)
        return status ? status : EXIT_FAILED;
    struct err err = {};
    if (sandbox_fetch(g, name, ret, &err) != ERR_OK)
        return gateway_report(cli, g, "find the sandbox", &err);
    return 0;
}

void sandbox_note_last(struct cli *cli, const struct gateway *g, const char *name)
{
    struct err err = {};
    if (registry_set_last(&g->registry, g->name, g->workspace, name, &err) != ERR_OK)
        show_err(cli, SHOW_WARNING, "%s is not remembered as the last sandbox: %s", name, err.msg);
}
