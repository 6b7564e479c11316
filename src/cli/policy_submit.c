#include "cli/policy_submit.h"

#include <poll.h>

#include "base/clock.h"
#include "cli/show.h"

// Between two questions: soon at first, for most policies are in force when the gateway answers.
enum { ASK_FIRST_MS = 2, ASK_LAST_MS = 250 };

void policy_short_hash(const char *hash, char dst[static POLICY_HASH_SIZE])
{
    (void)snprintf(dst, POLICY_HASH_SIZE, "%.12s", hash);
}

static enum err_code ask(struct gateway *g, const Openshell__V1__UpdateConfigRequest *r, uint32_t version,
                         const Openshell__V1__GetSandboxPolicyStatusResponse **ret, struct err *reterr)
{
    Openshell__V1__GetSandboxPolicyStatusRequest req = OPENSHELL__V1__GET_SANDBOX_POLICY_STATUS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    req.name = r->name;
    req.workspace = r->workspace;
    req.version = version;
    enum err_code c = gateway_ask(g, RPC_OPEN_SHELL_GET_SANDBOX_POLICY_STATUS, &req.base, &m, reterr);
    if (c == ERR_OK)
        *ret = GATEWAY_ANSWER(Openshell__V1__GetSandboxPolicyStatusResponse, m);
    return c;
}

// One look; true: *status is the answer.
static bool look(struct cli *cli, const Openshell__V1__GetSandboxPolicyStatusResponse *out, uint32_t version,
                 int *status)
{
    const Openshell__V1__SandboxPolicyRevision *rev = out->revision;
    switch (rev ? rev->status : OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_UNSPECIFIED) {
    case OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_LOADED:
        show_err(cli, SHOW_DONE, "Policy version %u loaded (active version: %u)", version,
                 out->active_version);
        *status = 0;
        return true;
    case OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_FAILED:
        show_err(cli, SHOW_FAILED, "Policy version %u failed to load: %s", version, rev->load_error);
        *status = EXIT_FAILED;
        return true;
    case OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_SUPERSEDED:
        show_err(cli, SHOW_ATTENTION, "Policy version %u was superseded (active version: %u)", version,
                 out->active_version);
        *status = 0;
        return true;
    case OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_UNSPECIFIED:
    case OPENSHELL__V1__POLICY_STATUS__POLICY_STATUS_PENDING:
    case _OPENSHELL__V1__POLICY_STATUS_IS_INT_SIZE:
        break;
    }
    return false;
}

static int wait_loaded(struct cli *cli, struct gateway *g, const struct policy_submit *s, uint32_t version)
{
    int64_t deadline = deadline_in_ms((int64_t)s->timeout_s * 1000);
    for (int pause = ASK_FIRST_MS;; pause = pause * 2 < ASK_LAST_MS ? pause * 2 : ASK_LAST_MS) {
        const Openshell__V1__GetSandboxPolicyStatusResponse *out = NULL;
        struct err err = {};
        int status = 0;
        if (ask(g, s->req, version, &out, &err) != ERR_OK)
            return gateway_report(cli, g, "tell how the policy is", &err);
        if (look(cli, out, version, &status))
            return status;
        if (deadline_passed(deadline)) {
            show_err(cli, SHOW_FAILED, "Timeout waiting for policy version %u to load", version);
            return POLICY_TIMEOUT_STATUS;
        }
        int left = deadline_left_ms(deadline);
        (void)poll(NULL, 0, left < pause ? left : pause); // nothing tells of a revision but being asked
    }
}

int policy_submit(struct cli *cli, struct gateway *g, const struct policy_submit *s)
{
    const Openshell__V1__GetSandboxPolicyStatusResponse *before = NULL;
    struct err err = {};
    ProtobufCMessage *m = NULL;
    char hash[POLICY_HASH_SIZE];
    enum err_code r = ask(g, s->req, 0, &before, &err);
    if (r != ERR_OK &&
        r != ERR_NOT_FOUND) // a sandbox that never had a policy; or none, which the update says
        return gateway_report(cli, g, "tell the present policy", &err);
    int status = gateway_call(cli, g, RPC_OPEN_SHELL_UPDATE_CONFIG, &s->req->base, "take the policy", &m);
    if (status != 0)
        return status;
    const Openshell__V1__UpdateConfigResponse *out = GATEWAY_ANSWER(Openshell__V1__UpdateConfigResponse, m);
    policy_short_hash(out->policy_hash, hash);
    bool same = before && before->revision && before->revision->version == out->version;
    if (same)
        show_err(cli, SHOW_SAME, "Policy unchanged (version %u, hash: %s)", out->version, hash);
    else
        show_err(cli, SHOW_DONE, "Policy version %u submitted (hash: %s)", out->version, hash);
    return s->wait ? wait_loaded(cli, g, s, out->version) : 0;
}
