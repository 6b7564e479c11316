#include "cli/sandbox_policy.h"

#include "cmd/json_out.h"
#include "convert/policy_wire.h"
#include "policy/merge.h"
#include "policy/print.h"

int sandbox_policy_read(struct cli *cli, struct gateway *g, const Openshell__Sandbox__V1__SandboxPolicy *m,
                        struct policy **ret)
{
    struct err err = {};
    if (policy_from_wire(m, &g->arena, ret, &err) != ERR_OK)
        return report(cli, err.msg, "the gateway's policy cannot be shown");
    return 0;
}

int sandbox_policy_fetch(struct cli *cli, struct gateway *g, const char *id, struct sandbox_policy *ret)
{
    Openshell__Sandbox__V1__GetSandboxConfigRequest
        req = OPENSHELL__SANDBOX__V1__GET_SANDBOX_CONFIG_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.sandbox_id = gateway_text(id);
    int status = gateway_call(cli, g, RPC_OPEN_SHELL_GET_SANDBOX_CONFIG, &req.base,
                              "tell the sandbox's configuration", &m);
    if (status != 0)
        return status;
    ret->config = GATEWAY_ANSWER(Openshell__Sandbox__V1__GetSandboxConfigResponse, m);
    return ret->config->policy ? sandbox_policy_read(cli, g, ret->config->policy, &ret->policy) : 0;
}

int sandbox_policy_base(struct cli *cli, struct arena *a, const struct policy *p, struct policy **ret)
{
    static const struct provider_layer none = {};
    struct err err = {};
    if (policy_compose(p, &none, 0, a, ret, &err) != ERR_OK)
        return report(cli, err.msg, "the policy cannot be shown");
    return 0;
}

const char *sandbox_policy_source(const Openshell__Sandbox__V1__GetSandboxConfigResponse *c)
{
    return c->policy_source == OPENSHELL__SANDBOX__V1__POLICY_SOURCE__POLICY_SOURCE_GLOBAL ? "global"
                                                                                           : "sandbox";
}

json_t *sandbox_policy_json(const struct policy *p, bool *ok)
{
    struct buf text;
    buf_init(&text, 4 * POLICY_TEXT_MAX);
    policy_print_json(p, 0, &text);
    json_t *o = text.full ? NULL : json_loadb(text.p, text.n, 0, NULL);
    buf_done(&text);
    *ok = *ok && o;
    return o;
}

int sandbox_policy_print(struct cli *cli, const struct policy *p, size_t indent)
{
    struct buf text;
    buf_init(&text, 4 * POLICY_TEXT_MAX);
    policy_print_yaml(p, &text);
    if (text.full) {
        buf_done(&text);
        return report(cli, NULL, "no memory for the policy");
    }
    struct str rest = buf_str(&text), line;
    while (str_line(&rest, &line)) {
        buf_pad(&cli->out, ' ', indent);
        buf_add(&cli->out, line);
        buf_addc(&cli->out, '\n');
    }
    buf_done(&text);
    return 0;
}
