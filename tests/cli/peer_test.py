"""Every command against a gateway that others wrote, in TAP."""
import json, os, re, shutil, signal, socket, subprocess, time
import drive, peer
from drive import Terminal, home, in_shell, is_, ok, openshell, run

address = f"unix:{home}/gw.sock"
os.environ["OPENSHELL_GATEWAY_ENDPOINT"] = address
gateway = peer.Gateway()
server = peer.serve(gateway, address)


def asked(method):
    return [r for m, r in gateway.asked if m == method][-1]


P = re.compile

# ---- sandboxes
is_("sandbox list", 0, "list: a table", "NAME  CREATED              PHASE\ndev   2026-01-05 09:12:44  Ready\n", "")
is_("sandbox list --names", 0, "names alone", "dev\n")
is_("sandbox list --ids", 0, "ids alone", "id-dev\n")
is_("sandbox list --ids --names", 2, "not both", "", "cannot be used with")
is_("sandbox list --all-workspaces", 0, "of all workspaces",
    "WORKSPACE  NAME  CREATED              PHASE\ndefault    dev   2026-01-05 09:12:44  Ready\n")
ok(asked("ListSandboxes").all_workspaces and asked("ListSandboxes").workspace == "", "asks without a workspace then")
is_("sandbox list --names --all-workspaces", 0, "with their workspaces", "default/dev\n")
is_("--workspace team sandbox list --limit 5 --offset 1 --selector a=b", 0, "none", "No sandboxes found.\n")
r = asked("ListSandboxes")
ok((r.limit, r.offset, r.label_selector, r.workspace) == (5, 1, "a=b", "team"), "the request says it all", r)
got = is_("sandbox list -o json", 0, "JSON")
ok(list(json.loads(got[1])[0]) == ["annotations", "created_at", "current_policy_version", "id", "labels", "name", "phase",
                                   "resource_version", "workspace"], "its keys in order", got[1])
is_("sandbox list -o yaml", 0, "YAML", P(r"^- annotations: \{\}\n  created_at: \"2026-01-05 09:12:44\"$"))
is_("sandbox get", 1, "no sandbox was used yet", "", "no sandbox was used yet")
is_("sandbox get dev", 0, "get: fields", P(r"^Sandbox:\n\n  Id: id-dev\n  Name: dev\n  Phase: Ready\n  Resource version: 4\n"
    r"  Policy source: sandbox\n  Revision: 1\n\nPolicy:\n\n  version: 1\n"), "")
is_("sandbox get dev --policy-only", 0, "the policy alone", P(r"\Aversion: 1\nnetwork_policies:\n"))
got = is_("sandbox get dev -o json", 0, "get as JSON")
ok({"policy", "policy_source", "revision"} <= set(json.loads(got[1])), "with the policy", got[1])
is_("sandbox get none", 1, "one that is not there", "", "sandbox not found")

# ---- completion
def complete(line, at=None, **env):
    words = line.split(" ")
    return run([str(len(words) - 1 if at is None else at), *words], COMPLETE="bash", **env)


ok(complete("openshell sandbox get ")[:2] == (0, "dev\n"), "completion: names of sandboxes", complete("openshell sandbox get "))
ok(complete("openshell sandbox exec -n d")[1] == "dev\n", "as values too")
ok(complete("openshell sandbox get x")[1] == "", "that begin as was typed")
ok(complete("openshell sandbox exec -n dev ")[1] == "", "none for the words of a command")
ok(complete("openshell --workspace team sandbox get ")[1] == "dev\n" and asked("ListSandboxes").workspace == "team", "in the workspace of the line")
ok(complete("openshell sandbox get ", OPENSHELL_GATEWAY_ENDPOINT="unix:/nobody") == (0, "", ""), "none and no word where nobody answers")
hanging = socket.socket(socket.AF_UNIX)
hanging.bind(f"{home}/hang.sock"), hanging.listen()
start = time.monotonic()
ok(complete("openshell sandbox get ", OPENSHELL_GATEWAY_ENDPOINT=f"unix:{home}/hang.sock") == (0, "", "") and time.monotonic() - start < 5,
   "nor for long where nobody speaks", time.monotonic() - start)
ok(complete("openshell sandbox get ", OPENSHELL_GATEWAY_ENDPOINT="") == (0, "", "") and not os.path.exists(f"{home}/run"), "no gateway is started for that")

# ---- create
gateway.events = [{"openshell.progress.complete_step": "requesting_sandbox", "openshell.progress.complete_label": "Sandbox allocated"},
                  {"openshell.progress.active_step": "starting_sandbox", "openshell.progress.active_detail": "Container created"},
                  peer.READY]
is_("sandbox create --name c1 --label a=b --env K=V=W --provider gh -- sleep 9", 0, "create tells what happens, and returns",
    P(r"\A\nCreated sandbox: c1\n\n  \[0\.0s\] Requesting compute\.\.\.\n\[\d\.\ds\] Sandbox allocated\n"
      r"\[\d\.\ds\] Starting sandbox Container created\n\Z"), "")
r = asked("CreateSandbox")
ok((list(r.spec.command), dict(r.labels), dict(r.spec.environment), list(r.spec.providers), r.spec.tty, r.workspace) ==
   (["sleep", "9"], {"a": "b"}, {"K": "V=W"}, ["gh"], False, "default"), "the request says it all", r)
ok(open(f"{home}/.config/openshell/gateways/unix_{home.replace('/', '_')}_gw.sock/last_sandbox").read() == "default\nc1\n",
   "the sandbox is remembered")
is_("sandbox get -o json", 0, "and meant by commands without a name", P('"name": "c1"'), "Using sandbox 'c1' (last used)")
is_("sandbox create --name c1 -- x", 1, "a name that is taken", "", "already exists")
is_("sandbox create --name tty --tty --no-tty --tty --detach", 0, "no command: a shell; the last of --tty and --no-tty wins")
r = asked("CreateSandbox")
ok((list(r.spec.command), r.spec.tty) == (["/bin/bash", "-l"], True), "as the request says", r)
is_("sandbox create --name js -o json", 0, "create as JSON", P(r'"name": "js"'), "Provisioning sandbox (structured output on stdout)...")
is_("sandbox create --name e --env OPENSHELL_X=1", 1, "a reserved variable", "", "reserved")
is_("sandbox create --name e --label x", 1, "a label without '='", "", "'x' is not KEY=VALUE")
is_("sandbox create --name tok --env GH_TOKEN=hush", 0, "a credential is warned of", None, "GH_TOKEN looks like a credential")
ok("hush" not in run("sandbox create --name tok2 --env GH_TOKEN=hush")[2], "without its value")
is_("sandbox create --name tok3 --env GH_TOKEN=x --no-credential-warnings", 0, "unless that is not wanted", None, "")
is_("sandbox create --keep --no-keep", 2, "keep and no-keep", "", "cannot be used with")
is_("sandbox create --no-keep --detach", 2, "no-keep and detach", "", "cannot be used with")
is_(["sandbox", "create", "-o", "json", "--", "x"], 2, "JSON and a command", "", "cannot be used with a command")
open("bad.yaml", "w").write("version: 2\n")
is_("sandbox create --name e --policy bad.yaml", 1, "a policy that is wrong", "", "bad.yaml is not a valid policy")
ok("e" not in gateway.sandboxes, "creates nothing")
open("p.yaml", "w").write("version: 1\nnetwork_policies:\n  x:\n    endpoints: [{host: a.test, port: 443}]\n    binaries: [{path: /x}]\n")
is_("sandbox create --name pol", 0, "the policy of the variable", None, "", OPENSHELL_SANDBOX_POLICY="p.yaml")
ok(asked("CreateSandbox").spec.policy.network_policies["x"].endpoints[0].host == "a.test", "is sent")
is_("sandbox create --name app --approval-mode auto", 0, "the approval mode is set")
ok(asked("UpdateConfig").setting_key == "proposal_approval_mode", "as a setting of it")
gateway.events = [peer.ERROR]
is_("sandbox create --name er -- x", 1, "one that fails", None, "StartFailed: no luck")
gateway.events = ["end"]
is_("sandbox create --name en -- x", 1, "one that goes away meanwhile", None, "is gone")
gateway.events = ["hang"]
is_("sandbox create --name ha -- x", 1, "one that does not come in time", None, "timed out: sandbox ha is in phase Provisioning after 1 s",
    OPENSHELL_PROVISION_TIMEOUT="1")
ok("ha" in gateway.sandboxes, "is left as it is")
gateway.events = [peer.READY]
is_("sandbox create --name nk --no-keep -- x", 0, "no-keep attaches and deletes", P(r"so far\r\n.*Deleted sandbox nk\n\Z"))
ok("nk" not in gateway.sandboxes, "it is gone")

# ---- stop, start, delete
is_("sandbox stop dev", 0, "stop", "✓ Stopped sandbox dev\n", "")
is_("sandbox stop dev", 1, "not twice", "", "must be Ready to stop")
is_("sandbox start dev", 0, "start", "✓ Started sandbox dev\n", "")
is_("sandbox delete c1 none tok", 0, "delete several", "✓ Deleted sandbox c1\n! Sandbox none not found\n✓ Deleted sandbox tok\n")
is_("sandbox delete", 2, "delete nothing", "", "required arguments")
is_("sandbox delete --all x", 2, "delete all and one", "", "cannot be used with '--all'")

# ---- exec
is_("sandbox exec -n dev exit 7", 7, "exec: output, errors and the exit status", "to out\n", "to err\n")
is_("sandbox exec exit 0", 0, "and remembers the sandbox", "to out\n", "Using sandbox 'dev' (last used)")
is_("sandbox exec -n dev cat", 0, "input is streamed to its end", "some\ninput", stdin=b"some\ninput")
is_("sandbox exec -n dev count", 0, "more than a message", f"{9 << 20}\n", stdin=b"x" * (9 << 20))
got = run("sandbox exec -n dev flood 8")
ok(got[0] == 3 and len(got[1]) == 8 << 20, "output is whole, before the exit status", (got[0], len(got[1])))
p = subprocess.Popen([openshell, "sandbox", "exec", "-n", "dev", "flood", "64"], stdout=subprocess.PIPE)
p.stdout.read(1000)
p.stdout.close()
ok(p.wait(20) == 141, "a reader that goes away ends it", p.returncode)
is_("sandbox exec -n dev --workdir /tmp --timeout 5 --env A=1 --env B= exit 0 -n x --tty", 0, "options in front of the command are its own")
r = asked("Start")
ok((r.workdir, r.timeout_seconds, dict(r.environment), list(r.command), r.tty, r.sandbox_id) ==
   ("/tmp", 5, {"A": "1", "B": ""}, ["exit", "0", "-n", "x", "--tty"], False, "id-dev"), "those behind it are not", r)
is_("sandbox exec -n dev lost", 1, "a session that is lost", "before\n", "the supervisor is gone")
is_("sandbox exec -n dev noexit", 1, "one without an exit status", "before\n", "without an exit status")
is_("sandbox exec -n dev refuse", 1, "one that is refused", "", "sandbox is not ready")
is_("sandbox exec -n ha x", 1, "a sandbox that is not ready", "", "it is in phase Provisioning")
is_("sandbox exec -n dev --env 1=2 x", 1, "a variable that is none", "", "--env 1")
p = subprocess.Popen([openshell, "sandbox", "exec", "-n", "dev", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b"go\n"), p.stdin.flush(), p.stdout.readline()
p.send_signal(signal.SIGINT)
ok(p.stdout.readline() == b"signal 2\r\n", "Ctrl-C is passed on")
p.send_signal(signal.SIGINT)
ok(p.wait(20) == 130, "a second one ends the command", p.returncode)
p = subprocess.Popen([openshell, "sandbox", "exec", "-n", "dev", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b"go\n"), p.stdin.flush(), p.stdout.readline()
p.send_signal(signal.SIGTERM)
ok(p.wait(20) == 143, "SIGTERM does at once", p.returncode)


# ---- with a terminal
t = Terminal("sandbox exec -n dev cat")
ok(t.raw(), "exec on a terminal: the terminal is raw")
t.type(b"hello\r")
ok(t.expect(b"hello\r"), "keys go as they are", t.seen)
r = asked("Start")
ok(r.tty, "the program has a terminal", r)
t.resize(30, 100)
ok(t.expect(b"size 100x30"), "its size is passed on", t.seen)
t.type(b"\x03")
ok(t.expect(b"\x03"), "Ctrl-C is a key", t.seen)
t.type(b"\x04")
ok(t.end() == 0, "and it ends as the program does")

gateway.sandboxes["dev"].spec.tty = True
seen, status, same = in_shell("sandbox connect dev", b"x\x10\x11")
ok(status == "status 0" and same and b"Left sandbox dev running" in seen, "connect: Ctrl-P Ctrl-Q leaves, and the terminal is as before",
   (seen, status, same))
ok(b"so far" in seen, "what was printed is shown first", seen)
ok(asked("Start").attach_main and asked("Start").tty, "it attaches to the main process", asked("Start"))
is_("sandbox connect dev", 0, "input from a pipe ends with it", P(r"so far\r\nmore"), stdin=b"more")
p = subprocess.Popen([openshell, "sandbox", "connect", "dev"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
p.stdout.readline()
try:
    p.wait(0.5)
    ok(False, "input that is empty from the start ends nothing", p.returncode)
except subprocess.TimeoutExpired:
    ok(True, "input that is empty from the start ends nothing")
p.terminate(), p.wait()
seen, status, same = in_shell("sandbox connect dev", b"", kill="TERM")
ok(status == "status 143" and same, "SIGTERM restores the terminal", (seen, status, same))
seen, status, same = in_shell("sandbox connect dev", b"", kill="HUP")
ok(status == "status 129" and same, "so does SIGHUP", (seen, status, same))
seen, status, same = in_shell("sandbox connect dev", b"", kill="ABRT")
ok(same, "and so do signals of broken programs", (seen, status, same))
seen, status, same = in_shell("sandbox create --name term -- agent", b"\x10\x11")
ok(status == "status 0" and same and b"Created sandbox:" in seen, "create attaches on a terminal", (seen, status))
ok(gateway.sandboxes["term"].spec.tty, "and asks for one")

# ---- policies
is_("policy get dev", 0, "policy get", f"Version:      1\nHash:         {'a1' * 32}\nStatus:       Effective\nSource:       sandbox\n"
    "Config rev:   11820\n")
is_("policy get dev --full", 0, "with all of it", P(r"^---\nversion: 1\n(.*\n)*  _provider_gh:"))
got = is_("policy get dev --base", 0, "without what providers add", P(r"^---\nversion: 1\n"))
ok("_provider_" not in got[1], "which is gone", got[1])
got = is_("policy get dev -o json", 0, "as JSON")
ok(json.loads(got[1])["status"] == "effective" and "policy" not in json.loads(got[1]), "its keys", got[1])
is_("policy get dev --rev 1", 0, "a revision", P(r"^Status:       Loaded\nActive:       1\nCreated:      1767603000000 ms\n"))
is_("policy get dev --rev 9", 0, "one that never was", "", "No policy history found for sandbox 'dev'")
is_("policy set dev --policy p.yaml --wait", 0, "policy set --wait", "",
    "✓ Policy version 2 submitted (hash: b2b2b2b2b2b2)\n✓ Policy version 2 loaded (active version: 2)\n")
is_("policy set dev --policy p.yaml", 0, "the same again", "", "· Policy unchanged (version 2, hash: b2b2b2b2b2b2)\n")
open("q.yaml", "w").write("version: 1\n")
gateway.status, gateway.error = 3, "no such program"
is_("policy set dev --policy q.yaml --wait", 1, "one that does not load", "", "✗ Policy version 3 failed to load: no such program")
gateway.status, gateway.error = 1, ""
is_("policy set dev --policy p.yaml --wait --timeout 1", 124, "one that takes too long", "", "Timeout waiting for policy version 4")
gateway.status = 4
is_("policy set dev --policy q.yaml --wait", 0, "one that another has replaced", "", "superseded")
gateway.status = 2
is_("policy set dev --policy bad.yaml", 1, "a file that is wrong", "", "bad.yaml is not a valid policy")
is_("policy set none --policy q.yaml", 1, "a sandbox that is not there", "", "not found")
is_("policy set --global --policy p.yaml", 1, "the global one is asked about", "", "--yes")
is_("policy set --global --policy p.yaml --yes", 0, "or said --yes to", "", "✓ Global policy configured (hash: b2b2b2b2b2b2, settings revision: 9)")
is_("policy set --global --wait --policy p.yaml --yes", 1, "and not waited for", "", "cannot be waited for")
is_("policy list dev --limit 2", 0, "policy list",
    "VERSION  HASH           STATUS       CREATED                  ERROR\n"
    "6        b2b2b2b2b2b2   Loaded       1767603000000            \n5        b2b2b2b2b2b2   Superseded   1767603000000            \n")
is_("policy delete", 1, "policy delete wants --global", "", "--global")
is_("policy delete --global --yes", 0, "and says what was not there", "! Global setting policy not found\n")
gateway.revisions = [gateway.revision(1, 2, "a1" * 32)]
is_("policy update dev --add-endpoint api.test:443:read-only:rest:enforce --binary /usr/bin/gh --add-deny example.com:443:POST:/x --wait",
    0, "policy update", "", "✓ Policy version 2 submitted")
r = asked("UpdateConfig")
o = r.merge_operations
ok(len(o) == 2 and o[0].add_rule.rule_name == "allow_api_test_443" and o[0].add_rule.rule.binaries[0].path == "/usr/bin/gh" and
   o[0].add_rule.rule.endpoints[0].access == "read-only" and o[1].add_deny_rules.host == "example.com" and
   o[1].add_deny_rules.deny_rules[0].method == "POST", "its operations", r)
is_("policy update dev --remove-rule web --remove-endpoint example.com:443 --dry-run", 1, "changes that do not fit", None, "do not fit")
is_("policy update dev --add-allow example.com:443:post:/x/** --dry-run", 0, "a dry run prints what would be",
    P(r"\APolicy:\nversion: 1\n(.*\n)*.*method: POST"), "Dry run preview for 1 incremental policy operation(s)")
before = len(gateway.revisions)
ok(before == 2, "and sends nothing")
is_("policy update dev", 1, "no change", "", "no change was asked for")
is_("policy update dev --binary /x --remove-rule web", 1, "a binary for nothing", "", "--binary belongs to")
is_("policy update dev --add-endpoint x", 1, "an endpoint that is none", "", "HOST:PORT is needed")

# ---- settings
is_("settings get dev", 0, "settings get", "Sandbox:       dev\nConfig Rev:    11820\nPolicy Source: sandbox\nPolicy Hash:   " + "b2" * 32 +
    "\nSettings:\n  agent_policy_proposals_enabled = <unset> (unset)\n  ocsf_json_enabled = true (sandbox)\n"
    "  proposal_approval_mode = auto (sandbox)\n  providers_v2_enabled = <unset> (unset)\n")
is_("settings get dev --json", 0, "as JSON", P('"scope": "sandbox",\n      "value": "true"'))
is_("settings get --global", 0, "of the gateway", P(r"^Scope: global\nSettings Rev: 7\nSettings:\n(.*\n)*  proposal_approval_mode = manual$"))
is_("settings get dev --global", 1, "not of both", "", "leave the sandbox's name out")
is_("settings set dev --key ocsf_json_enabled --value OFF", 0, "settings set",
    "✓ Set sandbox setting ocsf_json_enabled=false for dev (revision 8)\n")
ok(asked("UpdateConfig").setting_value.WhichOneof("value") == "bool_value", "a truth value is one")
is_("settings set dev --key nope --value 1", 1, "a key that is none", "", "the keys are agent_policy_proposals_enabled, ocsf_json_enabled")
is_("settings set dev --key proposal_approval_mode --value x", 1, "a value that is none", "", "manual or auto")
is_("settings set --global --key providers_v2_enabled --value 1 --yes", 0, "settings set --global",
    "✓ Set global setting providers_v2_enabled=true (revision 8)\n")
is_("settings delete dev --key ocsf_json_enabled", 0, "settings delete", "✓ Deleted sandbox setting ocsf_json_enabled for dev (revision 8)\n")
is_("settings delete dev --key ocsf_json_enabled", 0, "not twice", "! Sandbox setting ocsf_json_enabled not found for dev\n")

# ---- logs
LINE = "[1767604003.007] [sandbox] [INFO ] [egress] m0 host=a?b rule=7\n"
is_("logs dev -n 1", 0, "logs", LINE)
is_("logs dev -n 1 --since 5m --source sandbox --level warn", 0, "of the last minutes", LINE, "keeps the last 3 lines")
r = asked("GetSandboxLogs")
ok(abs(r.since_ms - (time.time() - 300) * 1000) < 60000 and list(r.sources) == ["sandbox"] and r.min_level == "WARN", "the request says it", r)
is_("logs dev --since 5", 1, "a duration that is none", "", "'5' is no duration")
is_("logs dev --tail -n 9", 0, "followed to the end", P(r"(.* m\d .*\n){3}"))
ok(asked("WatchSandbox").log_tail_lines == 9 and not asked("WatchSandbox").follow_status, "logs alone", asked("WatchSandbox"))

# ---- the gateway, and those that are registered
is_("status", 0, "status", P(r"^  Status: Connected\n  Authentication: Authenticated \(Unix socket\)\n  Version: 9\.9$"))
is_("whoami", 0, "whoami", "Current User\n\n  Subject: u\n  Provider: test\n  Roles: a, b\n  Scopes: \n")
del os.environ["OPENSHELL_GATEWAY_ENDPOINT"]
is_("gateway list", 0, "none is registered", P(r"\ANo gateways found\.\n"))
is_("gateway list -o json", 0, "as JSON", "[]\n")
is_(f"gateway add {address} --name one", 0, "gateway add", "", f"✓ Gateway 'one' added and set as active\n  Endpoint: {address}\n  Type: local\n")
is_("status", 0, "is the active one", P(r"^  Gateway: one$"))
is_("sandbox list --names", 0, "for every command", P(r"^dev$"))
is_(f"gateway add {address} --name one", 1, "not twice", "", "already exists")
got = is_("gateway add http://127.0.0.1:9 --local --name two", 0, "one that does not run is registered", "", "Gateway is not reachable at http://127.0.0.1:9")
ok("  Auth: plaintext" in got[2], "without TLS", got[2])
is_("gateway list", 0, "the list", f"  NAME  ENDPOINT{' ' * (len(address) - 6)}TYPE   SOURCE  AUTH\n"
    f"  one   {address}  local  user    unix_socket\n* two   http://127.0.0.1:9{' ' * (len(address) - 16)}local  user    plaintext\n")
ok(complete("openshell gateway select ")[1] == "one\ntwo\n" and complete("openshell -g t")[1] == "two\n", "names of gateways are completed")
is_("gateway select one", 0, "select", "", "✓ Active gateway set to 'one'\n")
is_("gateway select one", 0, "warns of the variable", "", "⚠ OPENSHELL_GATEWAY is set to 'two'", OPENSHELL_GATEWAY="two")
is_("gateway select none", 1, "one that is not there", "", "Unknown gateway 'none'")
is_("gateway select", 0, "without a name: the list", P(r"^\* one"), "gateway select <name>")
is_("status -g two", 1, "another one for one command", "", "cannot reach the gateway at http://127.0.0.1:9")
is_("gateway info", 0, "info", P(r"^  Gateway: one$"))
is_("sandbox exec exit 0", 1, "each gateway has a last sandbox of its own", "", "no sandbox was used yet")
is_("gateway remove two", 0, "remove", "", "✓ Gateway registration 'two' removed.\n")
is_("gateway remove two", 1, "not twice", "", "Unknown gateway 'two'")
is_("gateway remove", 0, "the active one", "", "✓ Gateway registration 'one' removed.\n")
is_("status", 0, "then there is none", P("No gateway configured"))
is_("gateway add https://gw.test:1", 1, "a browser's log-in is refused", "", "not built yet")
is_("gateway add https://127.0.0.1:9 --local", 1, "certificates that are not there", "", "generate-certs")
is_("gateway add ftp://x", 1, "no endpoint", "", "that is no gateway's endpoint")
is_("gateway add http://h:1 --name a/b", 1, "no name", "", "'a/b' is no gateway's name")
os.makedirs("tls/client")
for f in ("ca.crt", "client/tls.crt", "client/tls.key"):
    open(f"tls/{f}", "w").write(f)
is_("gateway add https://127.0.0.1:9 --local", 0, "certificates are taken over", "", "✓ TLS certificates present", OPENSHELL_LOCAL_TLS_DIR=f"{home}/tls")
key = f"{home}/.config/openshell/gateways/openshell/mtls/tls.key"
ok(open(key).read() == "client/tls.key" and os.stat(key).st_mode & 0o777 == 0o600, "for the user alone")

gateway.gone.set()
server.stop(0)
drive.end()
