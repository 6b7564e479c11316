"""policy.py GATEWAY: policies and settings of sandboxes that run, by grpcio on the real gateway; TAP."""
import os
import queue
import random
import sys
import tempfile
import threading
import time

import grpc
import openshell_pb2 as pb
import relays
import sandbox_pb2 as sb
from relays import WAIT, Gateway, Supervisor, error_of, eventually, is_error, ok

relays.METHODS |= {
    "UpdateConfig": ("unary_unary", pb.UpdateConfigRequest, pb.UpdateConfigResponse),
    "GetSandboxPolicyStatus": ("unary_unary", pb.GetSandboxPolicyStatusRequest, pb.GetSandboxPolicyStatusResponse),
    "ListSandboxPolicies": ("unary_unary", pb.ListSandboxPoliciesRequest, pb.ListSandboxPoliciesResponse),
    "GetGatewayConfig": ("unary_unary", sb.GetGatewayConfigRequest, sb.GetGatewayConfigResponse),
}
LOADED, FAILED, PENDING, SUPERSEDED = (pb.POLICY_STATUS_LOADED, pb.POLICY_STATUS_FAILED, pb.POLICY_STATUS_PENDING,
                                       pb.POLICY_STATUS_SUPERSEDED)


def policy(*hosts):
    p = sb.SandboxPolicy(version=1)
    for i, host in enumerate(hosts):
        rule = p.network_policies[f"r{i}"]
        rule.endpoints.add(host=host, ports=[443])
        rule.binaries.add(path="/usr/bin/curl")
    return p


class Agent(Supervisor):
    """A supervisor that answers pushes as `answer` says."""

    def __init__(self, gateway, sid, answer=lambda push: {}, hello=None):
        self.answer = answer
        self.seen = []
        super().__init__(gateway, sid, hello=hello)

    def obey(self, push):
        self.seen.append(push.config.version)
        said = self.answer(push)
        if said is None:
            return None
        return pb.ConfigResult(push_id=push.push_id, **({"policy_version": push.config.version} | said))


def name_of(sid):
    return sid[:19].rstrip("-")


def status(user, sid, version=0):
    return user.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name=name_of(sid), version=version))


def replace(user, sid, *hosts):
    return user.UpdateConfig(pb.UpdateConfigRequest(name=name_of(sid), policy=policy(*hosts)))


def try_push(gw, sid):
    user = gw.client()
    began, go_on = threading.Event(), threading.Event()

    def slowly(push):
        began.set()
        go_on.wait(WAIT)
        return {"connections_cut": 2}

    sup = Agent(gw, sid, slowly)
    done = []
    thread = threading.Thread(target=lambda: done.append(replace(user, sid, "a.example.com")))
    thread.start()
    ok(began.wait(WAIT) and not done, "the call waits for the supervisor")
    ok(status(user, sid).revision.status == PENDING, "meanwhile the revision is pending")
    go_on.set()
    thread.join(WAIT)
    now = status(user, sid)
    ok(done and done[0].version == 1 and now.revision.status == LOADED and now.active_version == 1,
       "it returns once the policy is in force")
    ok(now.revision.policy == policy("a.example.com") and len(now.revision.policy_hash) == 64,
       "the revision has the policy that was sent")
    times = []
    for i in range(100):
        start = time.monotonic()
        replace(user, sid, f"n{i}.example.com")
        times.append(time.monotonic() - start)
    times.sort()
    ok(sup.seen == list(range(1, 102)), "a hundred more, in this order", str(sup.seen))
    print(f"# update and push: median {times[50] * 1e3:.1f} ms, p99 {times[98] * 1e3:.1f} ms")
    listed = user.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(name=name_of(sid))).revisions
    ok([r.version for r in listed] == list(range(101, 51, -1)) and not listed[0].HasField("policy"),
       "fifty are listed, the newest first, without their policies")
    ok([r.status for r in listed[:3]] == [LOADED, SUPERSEDED, SUPERSEDED], "one is loaded")
    sup.answer = lambda push: {"error": "no such thing"}
    ok(replace(user, sid, "bad.example.com").version == 102 and status(user, sid).revision.load_error == "no such thing"
       and status(user, sid).revision.status == FAILED and status(user, sid).active_version == 101,
       "what is refused is failed, and the one before stays active")
    sup.close()


def try_silence(gw, sid):
    user = gw.client()
    sup = Agent(gw, sid, lambda push: None)
    start = time.monotonic()
    answer = replace(user, sid, "a.example.com")
    ok(answer.version == 1 and 4 < time.monotonic() - start < 8 and status(user, sid).revision.status == PENDING,
       "a supervisor that does not answer is waited for five seconds, and the revision stays pending")
    thread = threading.Thread(target=lambda: replace(user, sid, "b.example.com"))
    thread.start()
    ok(eventually(lambda: len(sup.seen) == 2), "another push")
    start = time.monotonic()
    sup.close()
    thread.join(WAIT)
    ok(time.monotonic() - start < 2, "one that goes away is not waited for")
    back = Agent(gw, sid, hello=pb.SupervisorHello(sandbox_id=sid, instance_id="i-1", config_revision=1))
    ok(eventually(lambda: status(user, sid).revision.status == LOADED) and back.seen == [2],
       "when it is back it gets the newest", str(back.seen))
    back.close()


def try_settings(gw, sid):
    user = gw.client()
    sup = Agent(gw, sid)
    two = gw.add_sandbox()
    other = Agent(gw, two)
    ask = pb.UpdateConfigRequest(setting_key="ocsf_json_enabled", setting_value=sb.SettingValue(bool_value=True))
    ask.name = name_of(sid)
    ok(user.UpdateConfig(ask).settings_revision == 1 and len(sup.seen) == 1 and not other.seen,
       "a setting of one sandbox is pushed to it")
    every = pb.UpdateConfigRequest(setting_key="proposal_approval_mode", setting_value=sb.SettingValue(string_value="auto"))
    setattr(every, "global", True)
    ok(user.UpdateConfig(every).settings_revision == 1 and len(sup.seen) == 2 and len(other.seen) == 1,
       "one of all to all")
    now = user.GetGatewayConfig(sb.GetGatewayConfigRequest())
    ok(sorted(now.settings) == ["agent_policy_proposals_enabled", "ocsf_json_enabled", "proposal_approval_mode",
                                "providers_v2_enabled"] and now.settings["proposal_approval_mode"].string_value == "auto"
       and now.settings["ocsf_json_enabled"].WhichOneof("value") is None and now.settings_revision == 1,
       "all keys are listed, with what is set for all")
    silent = [Agent(gw, gw.add_sandbox(), lambda push: None) for _ in range(3)]
    start = time.monotonic()
    every.setting_value.string_value = "manual"
    user.UpdateConfig(every)
    ok(all(s.seen == [0] for s in silent) and len(sup.seen) == 3 and len(other.seen) == 2 and
       4 < time.monotonic() - start < 8, "those that do not answer are waited for all at once")
    for s in silent:
        s.close()
    everywhere = pb.UpdateConfigRequest(policy=policy("everywhere.example.com"))
    setattr(everywhere, "global", True)
    answer = user.UpdateConfig(everywhere)
    ok(answer.version == 1 and len(sup.seen) == 4 and len(other.seen) == 3, "a policy for all, too")
    got = error_of(lambda: replace(user, sid, "x.example.com"))
    ok(got.startswith("FAILED_PRECONDITION: ") and "managed globally" in got and "delete the global policy" in got,
       "which a sandbox cannot have its own beside", got)
    remove = pb.UpdateConfigRequest(setting_key="policy", delete_setting=True)
    setattr(remove, "global", True)
    ok(user.UpdateConfig(remove).deleted and replace(user, sid, "x.example.com").version == 1, "until it is gone")
    sup.close()
    other.close()


def try_kill(gw, sid):
    """SIGKILL in the middle of updates: what was acknowledged is there, and one revision counts."""
    rounds, acknowledged = 15, 0
    good, lone = True, True
    for i in range(rounds):
        user = gw.client()
        sup = Agent(gw, sid)
        stop = threading.Event()
        last = queue.Queue()

        def update(user=user, stop=stop, last=last, i=i):
            k = 0
            while not stop.is_set():
                try:
                    last.put(replace(user, sid, f"h{k}.r{i}.example.com").version)
                except grpc.RpcError:
                    return
                k += 1

        thread = threading.Thread(target=update)
        thread.start()
        time.sleep(random.uniform(0.02, 0.25))
        gw.process.kill()
        gw.process.wait()
        stop.set()
        thread.join(WAIT)
        sup.close()
        while not last.empty():
            acknowledged = last.get()
        gw.start()
        user = gw.client()
        listed = user.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(name=name_of(sid), limit=1000)).revisions
        versions = [r.version for r in listed]
        good = good and versions == list(range(len(versions), 0, -1)) and len(versions) in (acknowledged, acknowledged + 1)
        lone = lone and sum(r.status in (LOADED, PENDING) for r in listed) <= 1
        user.close()
    ok(good, f"{rounds} times killed: every acknowledged revision is there ({acknowledged} of them), and no gap")
    ok(lone, "and at most one counts")
    sup = Agent(gw, sid, hello=pb.SupervisorHello(sandbox_id=sid, instance_id="i-1", config_revision=1))
    ok(eventually(lambda: status(gw.client(), sid).revision.status == LOADED), "which a supervisor gets that comes back")
    sup.close()


def try_errors(gw, sid):
    user = gw.client()
    is_error(lambda: user.UpdateConfig(pb.UpdateConfigRequest(name="nobody", policy=policy())),
             "NOT_FOUND: sandbox not found", "no such sandbox")
    is_error(lambda: user.UpdateConfig(pb.UpdateConfigRequest(name=name_of(sid), policy=policy(), workspace="other")),
             "NOT_FOUND: workspace 'other' not found", "no such workspace")
    is_error(lambda: user.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name=name_of(sid))),
             "NOT_FOUND: no policy revision found for this sandbox", "no revision")
    got = error_of(lambda: user.UpdateConfig(pb.UpdateConfigRequest(name=name_of(sid), policy=policy("a.example.com"),
                                                                    expected_resource_version=7)))
    ok(got == "ABORTED: update config failed due to concurrent modification (current resource_version: 1)",
       "another version than was seen", got)


def main():
    with tempfile.TemporaryDirectory() as folder:
        gw = Gateway(sys.argv[1], folder)
        try:
            for part in (try_errors, try_push, try_silence, try_settings, try_kill):
                part(gw, gw.add_sandbox())
            gw.process.terminate()
            ok(gw.process.wait(WAIT) == 0, "the gateway ends well")
        finally:
            gw.process.kill()
            with open(gw.log.name, encoding="utf-8") as f:
                text = f.read()
            if relays.failed or "ERROR: " in text:
                print("".join(f"# {line}" for line in text.splitlines(True)[-60:]))
    print(f"1..{relays.count}", flush=True)
    os._exit(relays.failed != 0)  # threads of grpcio may still wait


main()
