"""Every command with the real gateway, which the first one starts, and real sandboxes; in TAP."""
import json, os, re, subprocess, time
import drive
from drive import Terminal, home, in_shell, is_, ok, openshell, run

P = re.compile
open("p.yaml", "w").write("version: 1\n")
open("web.yaml", "w").write("""version: 1
network_policies:
  web:
    endpoints: [{host: example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only}]
    binaries: [{path: /usr/bin/curl}]
""")

# ---- create, and what is known of it
is_(["sandbox", "create", "--name", "dev", "--policy", "p.yaml", "--label", "team=core", "--env", "WHO=me", "--", "sh", "-c",
     "echo main $WHO; sleep 1000"], 0, "create: the gateway is started, the sandbox comes up", P(r"\A\nCreated sandbox: dev\n\n"), "Started a gateway for you")
is_("status", 0, "status", P(r"^  Status: Connected\n  Authentication: Authenticated \(Unix socket\)$"), "")
is_("whoami", 0, "whoami", P(r"^  Subject: uid:\d+$"), "")
is_("gateway info", 0, "gateway info", P(r"^  Compute drivers:\n    local$"), "")
is_("doctor check", 0, "doctor check", P(r"^All checks passed\.$"), "")
is_("sandbox list", 0, "list", P(r"\ANAME  CREATED              PHASE\ndev   [-\d]{10} [:\d]{8}  Ready\n\Z"), "")
is_("sandbox list --selector team=core --names", 0, "by label", "dev\n")
is_("sandbox list --selector team=other", 0, "by another", "No sandboxes found.\n")
is_("sandbox list -o yaml", 0, "as YAML", P(r"^  phase: Ready$"))
got = is_("sandbox get -o json", 0, "get, the last one", None, "Using sandbox 'dev' (last used)")
s = json.loads(got[1])
ok((s["phase"], s["labels"], s["workspace"], s["policy"]["version"], s["revision"]) == ("Ready", {"team": "core"}, "default", 1, 1), "what it says", s)
is_("sandbox get dev", 0, "for people", P(r"^  Labels:\n    team: core\n(.*\n)*Policy:\n\n  version: 1\n"))
is_("sandbox create --name dev -- true", 1, "a name that is taken", None, "already exists")
is_(["sandbox", "create", "--name", "js", "-o", "json"], 0, "create as JSON", P(r'"phase": "Ready"'), "Provisioning sandbox")
is_("sandbox delete js", 0, "delete", "✓ Deleted sandbox js\n", "")
is_(["sandbox", "create", "--no-keep", "--", "sh", "-c", "echo out; echo err >&2; exit 5"], 5, "no-keep: output and exit status of the command",
    P(r"^out\n(.*\n)*✓ Deleted sandbox "))
is_(["sandbox", "create", "--no-keep", "--", "cat"], 0, "and its input", P(r"^some input(.*\n)*✓ Deleted"), stdin=b"some input")
run("sandbox create --name lost -- /no/such/program")
is_("sandbox connect lost", 127, "a command that is not there: its exit status is kept")
for i in range(10):
    got = run(["sandbox", "create", "--no-keep", "--", "sh", "-c", "echo out; exit 5"])
    if got[0] != 5 or "out\n" not in got[1]:
        break
ok(got[0] == 5 and "out\n" in got[1], "a short command is not too short to be attached to", got)

# ---- exec
is_(["sandbox", "exec", "-n", "dev", "--workdir", "/tmp", "--env", "A=1", "--", "sh", "-c", "pwd; echo $A $WHO; echo err >&2; exit 3"], 3, "exec",
    "/tmp\n1 me\n", "err\n")
is_("sandbox exec -n dev cat", 0, "input to its end", "a\nb", stdin=b"a\nb")
is_("sandbox exec -n dev wc -c", 0, "much of it", P(r"^5000000$"), stdin=b"x" * 5_000_000)
got = run("sandbox exec -n dev head -c 20000000 /dev/zero")
ok(got[0] == 0 and len(got[1]) == 20_000_000, "much output", (got[0], len(got[1])))
start = time.monotonic()
is_("sandbox exec -n dev --timeout 1 sleep 30", 124, "a time limit")
ok(time.monotonic() - start < 10, "is kept", time.monotonic() - start)
is_("sandbox exec -n dev /no/such/program", 127, "a program that is not there")
is_(["sandbox", "exec", "-n", "dev", "--", "sh", "-c", "kill -9 $$"], 137, "one that a signal ends")
p = subprocess.Popen([openshell, "sandbox", "exec", "-n", "dev", "--", "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"],
                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
p.stdout.readline()
p.send_signal(2)
ok(p.stdout.read() == b"caught\n" and p.wait(20) == 9, "Ctrl-C reaches the command", p.returncode)
t = Terminal("sandbox exec -n dev bash", rows=33, cols=90)
ok(t.raw(), "exec on a terminal")
t.type(b"stty size; tty\r")
ok(t.expect(b"33 90") and t.expect(b"/dev/pts/"), "has its size", t.seen)
t.resize(40, 100)
time.sleep(0.3)
t.type(b"stty size\r")
ok(t.expect(b"40 100"), "and its changes", t.seen)
t.type(b"sleep 100\r")
time.sleep(0.3)
t.type(b"\x03")
t.type(b"exit 6\r")
ok(t.end() == 6, "Ctrl-C ends what runs, the shell says the exit status")

# ---- the main process
is_(["sandbox", "create", "--name", "main", "--tty", "--detach", "--", "sh", "-c", "echo so far; exec cat"], 0, "create --detach with a terminal")
seen, status, same = in_shell("sandbox connect main", b"hello\r", then=(b"hello", b"\x10\x11"))
ok(status == "status 0" and same and b"Left sandbox main running" in seen, "connect: Ctrl-P Ctrl-Q leaves it", (seen, status, same))
seen, status, same = in_shell("sandbox connect main", b"\x10\x11", after=b"hello")
ok(status == "status 0" and b"so far" in seen, "it runs on, and what it printed is shown again", seen)
seen, status, same = in_shell("sandbox connect main", b"", kill="HUP", after=b"hello")
ok(status == "status 129" and same, "a terminal that goes away", (seen, status))
seen, status, same = in_shell("sandbox connect main", b"\x04", after=b"hello")
ok(status == "status 0" and same, "Ctrl-D ends it, and connect with it", (seen, status))
seen, status, same = in_shell("sandbox create --name here -- sh -c 'echo so far; read x; exit 4'", b"go\r")
ok(status == "status 4" and same and b"Created sandbox:" in seen, "create attaches on a terminal, exit status and all", (seen, status))

# ---- policies
is_("policy set dev --policy web.yaml --wait", 0, "policy set --wait", "", "✓ Policy version 2 loaded (active version: 2)")
is_("policy set dev --policy web.yaml", 0, "the same again", "", "· Policy unchanged (version 2")
is_("policy get dev --full", 0, "policy get", P(r"^Version:      2\n(.*\n)*---\nversion: 1\n(.*\n)*    - host: example\.com"))
is_("policy update dev --add-endpoint api.test:443:full:rest:enforce --binary /usr/bin/gh --add-deny example.com:443:GET:/secret --wait", 0,
    "policy update --wait", "", "✓ Policy version 3 loaded")
is_("policy get dev --full", 0, "is in force", P(r"allow_api_test_443:\n(.*\n)*"))
is_("policy update dev --remove-rule allow_api_test_443 --dry-run", 0, "a dry run", P(r"\APolicy:\n"))
is_("policy list dev", 0, "policy list", P(r"^3        [0-9a-f]{12}   Loaded .*\n2        [0-9a-f]{12}   Superseded "))
is_("policy get dev --rev 2", 0, "an earlier one", P(r"^Status:       Superseded$"))
open("landlock.yaml", "w").write("version: 1\nlandlock: {compatibility: hard_requirement}\n")
is_("policy set dev --policy landlock.yaml --wait", 1, "what is fixed at the start", "", "cannot be changed on a live sandbox")
is_("policy set --global --policy web.yaml --yes", 0, "policy set --global", "", "✓ Global policy configured")
is_("policy get dev", 0, "counts before the sandbox's", P(r"^Source:       global$"))
is_("policy set dev --policy p.yaml", 1, "which cannot be changed meanwhile", "", "Error:")
is_("policy delete --global --yes", 0, "policy delete --global", P("^✓ Deleted global setting policy"))
is_("policy get dev", 0, "takes it back", P(r"^Source:       sandbox$"))

# ---- settings
is_("settings set dev --key ocsf_json_enabled --value yes", 0, "settings set", P(r"^✓ Set sandbox setting ocsf_json_enabled=true for dev"))
is_("settings get dev", 0, "settings get", P(r"^  ocsf_json_enabled = true \(sandbox\)$"))
is_("settings set --global --key ocsf_json_enabled --value no --yes", 0, "settings set --global", P(r"^✓ Set global setting"))
is_("settings get dev", 0, "counts first", P(r"^  ocsf_json_enabled = false \(global\)$"))
is_("settings get --global", 0, "settings get --global", P(r"^  ocsf_json_enabled = false$"))
is_("settings delete --global --key ocsf_json_enabled --yes", 0, "settings delete --global", P(r"^✓ Deleted global setting"))
is_("settings delete dev --key ocsf_json_enabled", 0, "settings delete", P(r"^✓ Deleted sandbox setting"))

# ---- logs
is_("logs dev -n 50", 0, "logs", P(r"^\[\d+\.\d{3}\] \[(gateway|sandbox)\] \[[A-Z ]{5}\] \[\S+\] .+$"))
got = is_("logs dev --source gateway", 0, "of the gateway")
ok("[sandbox]" not in got[1], "alone", got[1])
p = subprocess.Popen([openshell, "logs", "dev", "--tail", "-n", "1"], stdout=subprocess.PIPE)
first = p.stdout.readline()
run("policy set dev --policy p.yaml --wait")
ok(first and p.stdout.readline(), "logs --tail goes on", first)
p.terminate(), p.wait()

# ---- stop, start
run(["sandbox", "exec", "-n", "dev", "--", "sh", "-c", "echo kept >/sandbox/file"])
is_("sandbox stop dev", 0, "stop", "✓ Stopped sandbox dev\n", "")
is_("sandbox exec -n dev true", 1, "no command runs then", None, "Stopped")
is_("sandbox start dev", 0, "start", "✓ Started sandbox dev\n", "")
is_("sandbox exec -n dev cat /sandbox/file", 0, "its files are there", "kept\n")

# ---- the gateway goes, the sandbox stays
subprocess.run(["pkill", "-9", "-f", f"^{os.path.dirname(openshell)}/openshell-gateway"])
while subprocess.run(["pgrep", "-f", f"^{os.path.dirname(openshell)}/openshell-gateway"], stdout=subprocess.DEVNULL).returncode == 0:
    time.sleep(0.01)
is_("sandbox get dev", 0, "a gateway that was killed is started again, and knows its sandboxes", P(r"^  Name: dev$"), "Started a gateway for you")
for _ in range(100):
    if '"phase": "Ready"' in run("sandbox get dev -o json")[1]:
        break
    time.sleep(0.05)
is_("sandbox exec -n dev cat /sandbox/file", 0, "which run on", "kept\n")
is_("sandbox delete --all", 0, "delete --all", P(r"^✓ Deleted sandbox dev$"))
is_("sandbox list", 0, "leaves none", "No sandboxes found.\n")
drive.end()
