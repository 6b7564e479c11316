"""supervise.py OPENSHELL_SANDBOX: the supervisor of a sandbox, as its gateway sees it."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import grpc
import openshell_pb2 as pb
from gateway import Gateway, credentials, policy

UID = 64123
count = failed = 0


def ok(good, rule, *notes):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {rule}", flush=True)
    for note in () if good else notes:
        print(f"# {note!r}", flush=True)


class Sandbox:
    """A supervisor, its gateway beside it."""

    def __init__(self, exe, where, user, command, options=(), place=None, env=None, **more):
        self.where = pathlib.Path(tempfile.mkdtemp(dir=where))
        os.chmod(self.where, 0o755)
        self.gateway = Gateway(place or f"unix:{self.where}/gateway", command, **more)
        endpoint = f"https://{place}" if place else f"unix://{self.where}/gateway"
        (self.where / "token").write_text("a-token\n")
        if user and not place:
            os.chmod(self.where / "gateway", 0o777)
        as_user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"] if user else []
        self.err = open(self.where / "err", "wb")
        self.process = subprocess.Popen(
            [*as_user, exe, "supervise", "--endpoint", endpoint, *options],
            env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "quarantine_size_mb=1", "OPENSHELL_SANDBOX_ID": "an-id",
                 "OPENSHELL_SANDBOX_TOKEN_FILE": str(self.where / "token"), **(env or {})},
            stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err)
        for _ in range(100):
            if self.gateway.wait(lambda: self.gateway.hellos, 0.2) or self.process.poll() is not None:
                break

    def __enter__(self):
        return self

    def said(self):
        return (self.where / "err").read_text(errors="replace")

    def end(self, seconds=10):
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.gateway.stop()
        self.err.close()


def test_start(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "echo $GREETING; id -u; sleep 1000"],
                 environment={"GREETING": "hello"}) as s:
        g = s.gateway
        ok(len(g.hellos) == 1 and g.hellos[0].sandbox_id == "an-id" and len(g.hellos[0].instance_id) == 36 and
           g.hellos[0].policy_version == 1 and g.hellos[0].config_revision == 7,
           "hello names the sandbox, its start and what is in force", g.hellos, s.said())
        ok(g.wait(lambda: g.statuses) and g.statuses[0].version == 1 and g.statuses[0].status == 2,
           "the first policy is reported as loaded", g.statuses)
        ok(g.wait(lambda: any("PROC:LAUNCH" in l.message for l in g.logs)) and g.logs[0].source == "sandbox" and
           g.logs[0].level == "OCSF", "events are pushed", g.logs, s.said())
        a = g.attach(read_only=True)
        ok(a.wait(lambda r: r.out.count(b"\n") >= 2) and a.out.startswith(b"hello\n"), "the main process runs, with the "
           "gateway's environment", a.out, a.err)
        status = s.end()
        ok(status == 0, "SIGTERM ends it", status, s.said())


def test_exec(exe, where, user):
    with Sandbox(exe, where, user, ["sleep", "1000"]) as s:
        g = s.gateway
        r = g.exec("sh", "-c", "echo out; echo err >&2; exit 7").done()
        ok((r.out, r.err, r.code) == (b"out\n", b"err\n", 7), "a command: output, errors, status", r.out, r.err, r.code,
           r.result, s.said())
        r = g.exec("cat")
        r.send(data=b"some ")
        r.send(data=b"input")
        r.send(end_of_input=True)
        r.done()
        ok((r.out, r.code) == (b"some input", 0), "its input, and the end of it", r.out, r.code)
        r = g.exec("sh", "-c", "echo $A $B $TERM $OPENSHELL_SANDBOX; pwd", workdir="/tmp",
                   environment={"A": "1", "B": "two words"}).done()
        ok(r.out == b"1 two words dumb 1\n/tmp\n", "its environment and folder", r.out, r.err)
        r = g.exec("no-such-program").done()
        ok(r.code == 127 and b"no such program" in r.err, "one that is not there: 127, and why", r.code, r.err, r.result)
        r = g.exec("/etc/passwd").done()
        ok(r.code == 126, "one that cannot be run: 126", r.code, r.err)
        r = g.exec("true", workdir="/nonexistent").done()
        ok(r.code == 127 and b"/nonexistent" in r.err, "a folder that is not there", r.code, r.err)
        r = g.exec("sh", "-c", "kill -9 $$").done()
        ok(r.code == 137, "killed: 128 and the signal", r.code)
        r = g.exec("sh", "-c", "trap 'echo got; exit 3' USR1; echo up; while :; do sleep 0.05; done")
        r.wait(lambda r: r.out)
        r.send(signal=int(signal.SIGUSR1))
        r.done()
        ok((r.out, r.code) == (b"up\ngot\n", 3), "a signal reaches it", r.out, r.code)
        r = g.exec("sleep", "1000", timeout_seconds=1).done()
        ok(r.code == 124, "its time is over: 124", r.code)
        r = g.exec("sh", "-c", "trap '' TERM; sleep 1000", timeout_seconds=1).done()
        ok(r.code == 124, "also where it does not want to hear", r.code)
        big = os.urandom(3 << 20)
        r = g.exec("cat")
        for i in range(0, len(big), 16384):
            r.send(data=big[i:i + 16384])
        r.send(end_of_input=True)
        r.done()
        ok(r.out == big, "3 MiB there and back arrive as sent", len(r.out))
        many = [g.exec("sh", "-c", f"echo {i}; exit {i}") for i in range(30)]
        right = [(r.done().out, r.code) == (f"{i}\n".encode(), i) for i, r in enumerate(many)]
        ok(all(right), "thirty at a time", right, s.said())


def test_confined(exe, where, user):
    show = ("grep -E '^(Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap...|Seccomp_filters):' /proc/self/status; "
            "for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; cat /proc/self/limits; "
            "env | grep -v -E '^(SHLVL|TERM|_)=' | sort; pwd; umask; echo end; ")
    with Sandbox(exe, where, user, ["sh", "-c", show + "exec sleep 1000"], environment={"MINE": "1"}) as s:
        g = s.gateway
        r = g.exec("sh", "-c", show).done()
        main = g.attach(read_only=True)
        main.wait(lambda m: m.out.endswith(b"end\n"))
        ok(r.out == main.out and b"MINE=1" in r.out, "a command has the ids, filters, namespaces, limits and variables of "
           "the main process", r.out, main.out)
        ok(b"Seccomp:\t2" in r.out and b"NoNewPrivs:\t1" in r.out and b"CapEff:\t0000000000000000" in r.out and
           b"CapBnd:\t0000000000000000" in r.out, "it is without rights, and under filters", r.out, r.err)
        r = g.exec("sh", "-c", "cat /etc/shadow; touch /usr/x; mount -t tmpfs x /tmp; unshare -r true; kill -9 1; "
                   "cat /proc/1/environ; echo end").done()
        ok(r.out == b"end\n" and r.err.count(b"\n") >= 6, "and meets the walls", r.out, r.err)
        r = g.exec("sh", "-c", "ls /proc/self/fd; for i in 0 1 2; do readlink /proc/self/fd/$i; done").done()
        ok(r.out.startswith(b"0\n1\n2\n3\n") and r.out.count(b"pipe:") == 3, "no descriptor but its own three", r.out)
        r = g.exec("sh", "-c", "echo again > /dev/stdout").done()
        ok(r.out == b"again\n", "which it can open by name", r.out, r.err)


def test_kill(exe, where, user):
    with Sandbox(exe, where, user, ["sleep", "1000"]) as s:
        g = s.gateway
        r = g.exec("sh", "-c", "sleep 500 & echo up; wait")
        r.wait(lambda r: r.out)
        r.drop()
        gone = False
        for _ in range(100):
            left = g.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").done().out
            gone = b"sleep 500" not in left
            if gone:
                break
            time.sleep(0.05)
        ok(gone, "who lost its relay is killed, with its process group", left)
        r = g.exec("sh", "-c", "sleep 600 & echo quick")
        r.done()
        ok(r.out == b"quick\n" and r.code == 0, "a descendant with the pipe does not hold a command's end up", r.code)
        held = [g.exec("sleep", "1000") for _ in range(64)]
        for h in held:
            h.wait(lambda r: r.opened)
        r = g.exec("true").done(5)
        ok(r.result and not r.result.success and "the most" in r.result.error, "more relays than a sandbox has are refused",
           r.result, sum(h.opened for h in held))
        for h in held:
            h.drop()
        code = None
        for _ in range(100):
            code = g.exec("true").done(5).code
            if code == 0:
                break
            time.sleep(0.05)
        ok(code == 0, "until some of them end", code)


def test_ports(exe, where, user):
    server = ("import socket;s=socket.create_server(('127.0.0.1',8123));print('up',flush=True);"
              "c=s.accept()[0];d=b''\nwhile b:=c.recv(100): d+=b\nc.sendall(d.upper());c.close();s.accept()")
    with Sandbox(exe, where, user, ["python3", "-c", server]) as s:
        g = s.gateway
        a = g.attach(read_only=True)
        a.wait(lambda r: b"up" in r.out)
        r = g.relay(tcp={"host": "localhost", "port": 8123})
        r.send(data=b"abc")
        r.send(end_of_input=True)
        r.done()
        ok(r.out == b"ABC", "a port inside: there, half-closed, and back", r.out, r.result, a.err)
        for host, port, why in (("localhost", 9, "refused"), ("93.184.216.34", 80, "loopback"), ("10.200.0.1", 3128, "loopback"),
                                ("127.0.0.1", 0, "between 1 and 65535"), ("", 80, "required"),
                                ("127.0.0.1", 65536, "between 1 and 65535")):
            r = g.relay(tcp={"host": host, "port": port}).done(5)
            ok(r.result is not None and not r.result.success and why in r.result.error, f"{host!r} port {port}: {why}", r.result)


def test_push(exe, where, user):
    with Sandbox(exe, where, user, ["sleep", "1000"], policy_=policy(a=["one.example.com"])) as s:
        g = s.gateway
        r = g.push(policy(a=["two.example.com"]), 2)
        ok(r is not None and r.push_id == 2 and r.policy_version == 2 and not r.error, "a policy is taken", r, s.said())
        bad = policy(a=["bad host"])
        r = g.push(bad, 3)
        ok(r is not None and r.policy_version == 2 and r.error, "one that is not valid is refused whole", r)
        fixed = policy(a=["two.example.com"])
        fixed.filesystem.read_write.append("/var")
        r = g.push(fixed, 4)
        ok(r is not None and r.policy_version == 2 and "filesystem_policy" in r.error, "so is one that changes what is fixed", r)
        wide = policy(a=["two.example.com"])
        wide.network_policies["a"].endpoints[0].protocol = "websocket"
        r = g.push(wide, 5)
        ok(r is not None and r.policy_version == 2 and r.error, "and what is not built", r)
        r = g.push(policy(a=["three.example.com"]), 6)
        ok(r is not None and r.policy_version == 6 and not r.error, "then the next one is taken", r)
        busy = [g.exec("sh", "-c", "exit 0") for _ in range(10)]
        r = g.push(policy(a=["10.1.2.3"]), 7)
        ok(r is not None and r.policy_version == 7 and not r.error, "also one with addresses, while commands end", r)
        ok(all(b.done().code == 0 for b in busy), "whose ends are told all the same")
        ok(g.wait(lambda: any("Policy reloaded" in l.message for l in g.logs)), "and the events say so", g.logs)


def test_bad_start(exe, where, user):
    bad = policy(a=["x.example.com"])
    bad.network_policies["a"].endpoints[0].protocol = "nonsense"
    with Sandbox(exe, where, user, ["true"], policy_=bad) as s:
        status = s.process.wait(20)
        g = s.gateway
        ok(status == 125 and g.wait(lambda: g.statuses, 5) and g.statuses[0].status == 3 and g.statuses[0].load_error,
           "a policy that cannot be had is reported as failed", status, g.statuses, s.said())
    with Sandbox(exe, where, user, []) as s:
        status = s.process.wait(20)
        ok(status == 125 and "no command" in s.said(), "no command is no sandbox", status, s.said())


def test_exit(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "echo last words; exit 5"]) as s:
        g = s.gateway
        ok(g.wait(lambda: g.exits) and g.exits[0].exit_code == 5 and g.exits[0].sandbox_id == "an-id" and
           g.exits[0].instance_id == g.hellos[0].instance_id, "the end of the main process is told", g.exits)
        r = g.attach().done()
        ok(r.out == b"last words\n" and r.code == 5, "who attaches then has its output and its status", r.out, r.code)
        r = g.exec("echo", "still here").done()
        ok(r.out == b"still here\n", "and the sandbox stays", r.out, r.result)
        ok(s.end() == 0, "until it is ended")
    with Sandbox(exe, where, user, ["no-such-program"]) as s:
        g = s.gateway
        ok(g.wait(lambda: g.exits) and g.exits[0].exit_code == 127, "a main process that is not there: 127", g.exits, s.said())
        r = g.attach().done()
        ok(b"no such program" in r.err and r.code == 127, "and why", r.err, r.code)


def test_terminal(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "tty; stty size; trap 'echo resized; stty size' WINCH; echo ready; "
                                    "while :; do sleep 0.05; done"], tty=True) as s:
        g = s.gateway
        main = g.attach()
        ok(main.wait(lambda r: b"ready" in r.out) and b"/dev/pts/" in main.out and b"24 80\r\n" in main.out,
           "the main process has a terminal, 80 by 24", main.out)
        main.send(resize={"cols": 132, "rows": 50})
        ok(main.wait(lambda r: b"resized\r\n50 132\r\n" in r.out), "which is resized", main.out)
        r = g.exec("sh", "-c", "stty size; tty; echo $TERM; read x; echo got $x; read y", tty=True, cols=100, rows=30)
        ok(r.wait(lambda r: b"xterm-256color" in r.out) and b"30 100\r\n" in r.out and b"/dev/pts/" in r.out,
           "a command may have one, too, of the size that was asked for", r.out, r.err)
        r.send(data=b"words\n")
        ok(r.wait(lambda r: b"got words\r\n" in r.out), "what is typed arrives", r.out)
        r.send(data=b"\x03")
        r.done()
        ok(r.code == 130, "^C is its terminal's business", r.code, r.out)
        r = g.exec("cat", tty=True)
        r.send(data=b"abc\n")
        r.send(end_of_input=True)
        r.done()
        ok(r.code == 0 and r.out == b"abc\r\nabc\r\n", "the end of input is ^D", r.code, r.out)
        r = g.exec("sh", "-c", "exec 0<&- 1>&- 2>&-; sleep 0.2; exit 3", tty=True).done()
        ok(r.code == 3, "a command that closes its terminal has a status all the same", r.code)
        r = g.exec("sh", "-c", "trap 'echo hung up > /tmp/hup' HUP; echo up; sleep 1000 & wait", tty=True)
        r.wait(lambda r: b"up" in r.out)
        r.drop()
        left = b"?"
        for _ in range(100):
            left = g.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'hung u[p]'").done().out
            if left.strip() == b"0":
                break
            time.sleep(0.05)
        ok(left.strip() == b"0", "one that lost its relay is gone", left)


def test_attach(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "echo first; echo problem >&2; while read x; do echo got $x; done; exit 9"]) as s:
        g = s.gateway
        a = g.attach()
        ok(a.wait(lambda r: r.out == b"first\n" and r.err == b"problem\n"), "what was said before comes first", a.out, a.err)
        b = g.attach()
        ok(b.wait(lambda r: r.out == b"first\n" and b"already has an input owner; attached read-only\n" in r.err),
           "a second one reads only, and is told so", b.out, b.err)
        c = g.attach(read_only=True)
        ok(c.wait(lambda r: r.out == b"first\n" and r.err == b"problem\n"), "who wants to read only is not", c.err)
        b.send(data=b"from b\n")
        a.send(data=b"from a\n")
        ok(all(r.wait(lambda r: b"got from a\n" in r.out) for r in (a, b, c)) and b"from b" not in a.out,
           "all see what the owner's input does, and nobody else's gets there", a.out, b.out)
        a.drop()
        a.done()
        for _ in range(50):
            d = g.attach()
            d.wait(lambda r: b"first" in r.out)
            d.send(data=b"from d\n")
            if d.wait(lambda r: b"got from d\n" in r.out, 1):
                break
            d.drop()
            d.done()
        ok(b"got from d\n" in d.out and b"read-only" not in d.err, "when the owner goes, the next one has the input", d.out, d.err)
        d.send(end_of_input=True)
        d.done()
        b.done()
        ok((d.code, b.code) == (9, 9), "all learn how it ended", d.code, b.code)


def private(process):
    with open(f"/proc/{process.pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


def test_flood(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "read x; yes 0123456789012345678901234567890123456789 | head -c 60000000; "
                                    "echo; echo end; sleep 1000"]) as s:
        g = s.gateway
        slow = g.attach(read_only=True)
        slow.wait(lambda r: r.opened)
        fast = g.attach()
        fast.wait(lambda r: r.opened)
        before = private(s.process)
        slow.reading.clear()
        begun = time.monotonic()
        fast.send(data=b"go\n")
        ok(fast.wait(lambda r: r.err or r.out.endswith(b"end\n"), 60) and len(fast.out) == 60000005 and not fast.err,
           "60 MB reach one reader whole, though another does not read", len(fast.out), fast.err)
        ok(time.monotonic() - begun > 3, "which is waited for a while", time.monotonic() - begun)
        slow.reading.set()
        slow.wait(lambda r: r.err or r.ended)
        ok(b"fell behind" in slow.err and slow.code is None, "then it is told, and ended", slow.err, len(slow.out))
        late = g.attach(read_only=True)
        ok(late.wait(lambda r: r.out.endswith(b"end\n")) and 1 << 19 < len(late.out) <= 1 << 20,
           "the last of it is replayed: at most 1 MiB", len(late.out), late.err)
        after = private(s.process)
        ok(after - before < 8192, "and the supervisor did not grow by it", before, after)
        r = g.exec("sh", "-c", "yes | head -c 100000000; echo >&2 done")
        r.reading.clear()
        time.sleep(1)
        ok(private(s.process) - before < 8192 and not r.err, "a command whose reader does not read waits", private(s.process))
        r.drop()
        full = [g.exec("sleep", "1000") for _ in range(8)]
        for f in full:
            for _ in range(64):
                f.send(data=b"x" * 65536)
        time.sleep(1)
        ok(private(s.process) - before < 16384, "input that is not taken waits at the gateway", private(s.process))
        for f in full:
            f.cancel()
        left = b"?"
        for _ in range(100):
            left = g.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 100[0]'").done().out
            if left.strip() == b"0":
                break
            time.sleep(0.05)
        ok(left.strip() == b"0", "which is no shelter from being killed", left)


def test_reconnect(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "while read x; do echo got $x; done; exit 4"]) as s:
        g = s.gateway
        a = g.attach()
        a.send(data=b"one\n")
        a.wait(lambda r: r.out)
        cut = g.exec("sh", "-c", "echo > /tmp/alive; sleep 1000")
        cut.wait(lambda r: r.opened)
        g.stop()
        time.sleep(1)
        ok(s.process.poll() is None, "a gateway that goes leaves the sandbox", s.said())
        (s.where / "token").write_text("another-token")
        g.start()
        if user:
            os.chmod(s.where / "gateway", 0o777)
        time.sleep(1)
        ok(len(g.hellos) == 1, "a token that is wrong is not let in", g.hellos)
        (s.where / "token").write_text("a-token")
        ok(g.wait(lambda: len(g.hellos) == 2) and g.hellos[0] == g.hellos[1], "the right one is, read anew: the same sandbox",
           g.hellos)
        b = g.attach()
        b.send(data=b"two\n")
        ok(b.wait(lambda r: b"got two\n" in r.out) and b"got one\n" in b.out and not b.err,
           "its main process has gone on, and its input is free", b.out, b.err)
        left = g.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 100[0]'").done().out
        ok(left.strip() == b"0", "commands over the old connection are gone", left)
        g.refuse_exits = 3
        b.send(end_of_input=True)
        ok(g.wait(lambda: g.exits) and g.exits[0].exit_code == 4 and g.refuse_exits == 0,
           "the end of the main process is told until it is heard", g.exits, g.refuse_exits)
        ok(g.wait(lambda: any("session connected" in l.message for l in g.logs), 5) and
           any("session lost" in l.message for l in g.logs), "events tell of it", [l.message for l in g.logs])
        ok(s.end() == 0, "and SIGTERM ends the sandbox")


def test_end(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]) as s:
        s.gateway.attach(read_only=True).wait(lambda r: b"up" in r.out)
        begun = time.monotonic()
        status = s.end(15)
        ok(status == 0 and 4 < time.monotonic() - begun < 10, "a main process that ignores SIGTERM is killed after 5 seconds",
           status, time.monotonic() - begun)
    with Sandbox(exe, where, user, ["sleep", f"1{os.getpid()}"]) as s:
        held = s.gateway.exec("sleep", f"2{os.getpid()}")
        held.wait(lambda r: r.opened)
        s.process.kill()
        s.process.wait()
        time.sleep(0.3)
        left = subprocess.run(["pgrep", "-f", f"sleep [12]{os.getpid()}$"], capture_output=True).stdout
        ok(not left, "with a supervisor that is killed everything ends", left)


def test_lies(exe, where, user):
    with Sandbox(exe, where, user, ["sleep", "1000"]) as s:
        g = s.gateway
        before = private(s.process)
        for channel in ("", "x" * 5000, "/../../etc", "a" * 64):
            g.said.put(pb.GatewayMessage(relay_open=pb.RelayOpen(channel_id=channel, exec=pb.ExecRelayTarget(command=["true"]))))
        r = g.exec().done(5)
        ok(r.result is not None and not r.result.success and "no command" in r.result.error, "no command", r.result)
        r = g.relay(ssh=pb.SshRelayTarget()).done(5)
        ok(r.result is not None and not r.result.success and "SSH" in r.result.error, "no SSH", r.result)
        r = g.exec("true", environment={f"V{i}": "x" for i in range(2000)}).done(5)
        ok(r.result is not None and not r.result.success and "variables" in r.result.error, "too many variables", r.result)
        r = g.exec("true", environment={"A=B": "x"}).done(5)
        ok(r.result is not None and not r.result.success and "name" in r.result.error, "a variable without a name", r.result)
        r = g.exec("sh", "-c", "echo $#", *["a" * 30000] * 20).done(5)
        ok(r.out == b"19\n", "a long command", r.out, r.err, r.result)
        r = g.exec("sh", "-c", "trap 'echo 1' USR1; sleep 2; echo end")
        r.wait(lambda r: r.opened)
        for signal_ in (0, 65, 2**31, 2**32 - 1):
            r.send(signal=signal_)
        r.send(resize={"cols": 2**32 - 1, "rows": 0})
        r.send(init={"channel_id": "again"})
        r.send(exit_code=3)
        r.send(error_data=b"?")
        r.done()
        ok(r.out == b"end\n" and r.code == 0, "frames that mean nothing change nothing", r.out, r.code)
        for _ in range(3000):
            g.said.put(pb.GatewayMessage(relay_open=pb.RelayOpen(channel_id=str(time.monotonic_ns()),
                                                                  exec=pb.ExecRelayTarget(command=["sleep", "1000"]))))
        time.sleep(2)
        ok(s.process.poll() is None and private(s.process) - before < 16384, "3000 relays at once are not had", private(s.process), before,
           s.said())
        g.said.put(pb.GatewayMessage(session_rejected=pb.SessionRejected(reason="because\x1b[31m")))
        ok(g.wait(lambda: len(g.hellos) == 2), "who is rejected comes again", g.hellos)
        code = None
        for _ in range(100):
            code = g.exec("true").done(5).code
            if code == 0:
                break
            time.sleep(0.1)
        ok(code == 0, "and then works as before", code)
        ok("\x1b" not in s.said() and not any("\x1b" in l.message for l in g.logs), "nothing colours a terminal")


def test_credentials(exe, where, user):
    with Sandbox(exe, where, user, ["sh", "-c", "echo $KEY $PLAIN; sleep 1000"], credentials=credentials(5, KEY="s3cret-of-mine")) as s:
        g = s.gateway
        a = g.attach(read_only=True)
        ok(a.wait(lambda r: b"\n" in r.out) and b"s3cret" not in a.out and b"openshell:" in a.out and b" plain5" in a.out,
           "the main process has a placeholder, and what is no secret as it is", a.out)
        ok(g.hellos[0].provider_env_revision == 5, "hello says which set is in force", g.hellos)
        r = g.push(None, 2, provider_environment=credentials(6, KEY="s3cret-of-mine", OTHER="another-s3cret"))
        ok(r is not None and not r.error and r.policy_version == 1, "a new set is taken, and the policy stays", r)
        r = g.exec("sh", "-c", "echo $KEY $OTHER $PLAIN").done()
        ok(b"s3cret" not in r.out and r.out.count(b"openshell:") == 2 and b" plain6" in r.out, "a new command has it", r.out, r.err)
        bad = credentials(7, KEY="s3cret-of-mine")
        bad.static_credential_bindings["KEY"].endpoints[0].port = 70000
        r = g.push(None, 3, provider_environment=bad)
        ok(r is not None and r.error and "s3cret" not in r.error, "a set that is not valid is refused", r)
        ok(not any("s3cret" in l.message for l in g.logs) and "s3cret" not in s.said(), "no log has a value")


def test_token(exe, where, user):
    with Sandbox(exe, where, user, ["sleep", "1000"], fresh="fresh-token") as s:
        g = s.gateway
        ok(g.wait(lambda: g.statuses) and g.tokens[0] == "Bearer a-token", "the first calls show the file's token", g.tokens)
        time.sleep(0.5)
        g.exec("true").done()
        ok(g.tokens[-1] == "Bearer fresh-token", "later ones what the gateway gave for it", g.tokens)
        (s.where / "token").write_text("worthless")
        g.stop()
        g.start()
        if user:
            os.chmod(s.where / "gateway", 0o777)
        ok(g.wait(lambda: len(g.hellos) == 2) and "Bearer worthless" not in g.tokens, "also on a new connection", g.tokens)
        (s.where / "token").write_text("a-token")
        g.stop()
        g.fresh = "another-fresh-token"
        g.start()
        if user:
            os.chmod(s.where / "gateway", 0o777)
        ok(g.wait(lambda: len(g.hellos) == 3), "unless it is refused: then the file is asked again", g.tokens)


def test_tls(exe, where, user):
    pki = pathlib.Path(tempfile.mkdtemp(dir=where))
    os.chmod(pki, 0o755)

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=pki, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl("req", "-x509", *new, "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    for name, alt in (("server", "DNS:gateway.test"), ("client", "DNS:sandbox")):
        (pki / "ext").write_text(f"subjectAltName={alt}\n")
        openssl("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile", "ext",
                "-out", f"{name}.pem")
    for key in pki.glob("*.key"):
        os.chmod(key, 0o644)
    read = {f.name: f.read_bytes() for f in pki.glob("*.*")}
    side = grpc.ssl_server_credentials([(read["server.key"], read["server.pem"])], read["ca.pem"], True)
    port = 20000 + os.getpid() % 20000 + user
    place = f"127.0.0.1:{port}"
    own = {"OPENSHELL_TLS_CA": "ca.pem", "OPENSHELL_TLS_CERT": "client.pem", "OPENSHELL_TLS_KEY": "client.key"}
    env = {name: str(pki / file) for name, file in own.items()}
    with Sandbox(exe, where, user, ["sleep", "1000"], place=place, tls=side,
                 env={**env, "OPENSHELL_GATEWAY_TLS_SERVER_NAME": "gateway.test"}) as s:
        r = s.gateway.exec("echo", "over TLS").done()
        ok(r.out == b"over TLS\n", "a session over TLS, with certificates of both", r.out, s.said())
    with Sandbox(exe, where, user, ["sleep", "1000"], place=place, tls=side, env=env) as s:
        ok(s.process.wait(20) == 125 and not s.gateway.hellos, "a certificate of another name is not believed", s.said())


TESTS = [test_start, test_exec, test_confined, test_kill, test_ports, test_push, test_bad_start, test_exit, test_terminal,
         test_attach, test_flood, test_reconnect, test_end, test_lies, test_credentials, test_token,
         test_tls]


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP it becomes another user, for which it needs to be root")
        return
    only = sys.argv[2:]
    where = pathlib.Path(tempfile.mkdtemp())
    os.chmod(where, 0o755)
    exe = shutil.copy(sys.argv[1], where / "openshell-sandbox")
    os.chmod(exe, 0o755)
    try:
        for test in TESTS:
            for user in (False, True):
                if not only or test.__name__ in only:
                    print(f"# {test.__name__}, {'user' if user else 'root'}", flush=True)
                    test(exe, where, user)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    print(f"1..{count}")
    sys.stdout.flush()
    os._exit(failed > 0)  # grpcio's threads are not waited for


main()
