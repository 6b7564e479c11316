"""commands.py GATEWAY OPENSHELL_SANDBOX [TEST...]: commands in a real sandbox through the real gateway; TAP."""
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import openshell_pb2 as pb
import relays
from relays import Gateway, Stream, error_of, eventually, ok, output


class Sandbox:
    """A supervisor as a driver starts it, of a record as the gateway writes it."""

    def __init__(self, gw, program, command):
        self.gw = gw
        self.sid = gw.add_sandbox()
        with sqlite3.connect(f"{gw.dir}/state/openshell.db", timeout=10) as db:
            payload = db.execute("SELECT payload FROM object WHERE id=?", (self.sid,)).fetchone()[0]
            record = pb.Sandbox.FromString(payload)
            record.spec.command.extend(command)
            db.execute("UPDATE object SET payload=? WHERE id=?", (record.SerializeToString(), self.sid))
        token = f"{gw.dir}/token-{self.sid}"
        with open(token, "w", encoding="ascii") as f:
            os.chmod(token, 0o600)
            f.write(gw.token(self.sid))
        self.log = open(f"{gw.dir}/log-{self.sid}", "wb")
        self.process = subprocess.Popen([program, "supervise", "--endpoint", f"unix://{gw.dir}/gw.sock", "--sandbox-id", self.sid,
                                         "--token-file", token], stdout=self.log, stderr=self.log)
        self.user = gw.client()

    def run(self, *command, timeout=60, **more):
        call = self.user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=self.sid, command=command, **more), timeout=timeout)
        return output(call)

    def begin(self, *command, **more):
        call = Stream(self.user.ExecSandboxInteractive)
        return call.send(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=self.sid, command=command, **more)))

    @staticmethod
    def count(seconds):
        """Processes of this machine that sleep for just so long."""
        n = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    n += f.read() == f"sleep\0{seconds}\0".encode()
            except OSError:
                pass  # it has ended
        return n

    def end(self):
        self.process.terminate()
        code = self.process.wait(20)
        self.log.close()
        return code


def read_until(call, word):
    got = b""
    for e in call.call:
        got += e.stdout.data
        if word in got:
            break
    return got


def try_run(sb):
    ok(sb.run("sh", "-c", "echo out; echo err >&2; exit 3") == (b"out\n", b"err\n", 3), "output, errors, an exit code")
    ok(sb.run("sh", "-c", "kill -9 $$") == (b"", b"", 137), "a signal is 128 and its number")
    got = sb.run("/no/such")
    ok(got[2] in (126, 127) or got[2] is None, "a program that is not there", str(got))
    ok(sb.run("sh", "-c", "echo $A; pwd", environment={"A": "b c"}, workdir="/tmp") == (b"b c\n/tmp\n", b"", 0),
       "variables and the folder")
    given = os.urandom(1000000)
    ok(sb.run("sha256sum", stdin=given)[0].split()[0].decode() == hashlib.sha256(given).hexdigest(), "a megabyte of input")
    ok(sb.run("cat", stdin=given)[0] == given, "and through")
    got = sb.run("head", "-c", "50000000", "/dev/zero")
    ok(len(got[0]) == 50000000 and got[2] == 0, "50 MB of output")
    start = time.monotonic()
    got = sb.run("sleep", f"71.{os.getpid()}", timeout_seconds=1)
    ok(got == (b"", b"", 124) and time.monotonic() - start < 3, "a timeout is 124", str(got))
    ok(eventually(lambda: sb.count(f"71.{os.getpid()}") == 0), "and nothing is left of it")


def try_cancel(sb):
    name = f"72.{os.getpid()}"  # nobody else's on this machine
    call = sb.user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sb.sid, command=["sh", "-c", f"echo on; sleep {name}; :"]))
    next(call)
    ok(eventually(lambda: sb.count(name) == 1), "a command runs")
    call.cancel()
    ok(eventually(lambda: sb.count(name) == 0), "and is killed when its client goes, its children too")


def try_interactive(sb):
    call = sb.begin("sh", tty=True, cols=90, rows=20)
    call.send(pb.ExecSandboxInput(stdin=b"stty size; tty\n"))
    got = read_until(call, b"/dev/pts")
    ok(b"20 90" in got, "a terminal of that size", str(got))
    call.send(pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=91, rows=21)))
    call.send(pb.ExecSandboxInput(stdin=b"sleep 0.2; stty size; echo do''ne\n"))
    got = read_until(call, b"done\r\n")
    ok(b"21 91" in got, "that changes", str(got))
    call.send(pb.ExecSandboxInput(stdin=b"exit 5\n"))
    ok(output(call.rest())[2] == 5, "and the shell's exit code")
    call = sb.begin("sh", "-c", "trap 'echo int; exit 9' INT; echo on; while :; do sleep 0.1; done")
    read_until(call, b"on\n")
    call.send(pb.ExecSandboxInput(signal=2))
    ok(output(call.rest()) == (b"int\n", b"", 9), "a signal")
    call = sb.begin("sh", "-c", "cat; echo end")
    call.send(pb.ExecSandboxInput(stdin=b"a")).send(pb.ExecSandboxInput(end_of_input=True))
    ok(output(call.rest()) == (b"aend\n", b"", 0), "the end of input, while the call goes on")
    call = sb.begin("cat")
    call.send(pb.ExecSandboxInput(stdin=b"b")).half_close()
    ok(output(call.rest()) == (b"b", b"", 0), "and by the client's end")


def try_attach(sb):
    call = sb.user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sb.sid, attach_main=True, read_only=True))
    ok(next(call).stdout.data.startswith(b"main says"), "attached to the main process, what it said is there")
    call.cancel()
    call = Stream(sb.user.ExecSandboxInteractive)
    call.send(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=sb.sid, attach_main=True)))
    read_until(call, b"main says")
    call.send(pb.ExecSandboxInput(stdin=b"hello\n"))
    got = read_until(call, b"got hello")
    ok(b"got hello" in got, "and it takes input", str(got))
    call.call.cancel()


def try_many(sb):
    results = [None] * 16

    def one(i):
        results[i] = sb.gw.client().ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sb.sid, command=["sh", "-c", f"sleep 0.5; echo {i}"]))
        results[i] = output(results[i])
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(results))]
    start = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    ok(results == [(f"{i}\n".encode(), b"", 0) for i in range(len(results))] and time.monotonic() - start < 6,
       "sixteen at once", str(results))


def try_forward(sb):
    token = sb.user.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=sb.sid)).token
    server = sb.begin("python3", "-c", "import socket\ns = socket.create_server(('127.0.0.1', 7001))\nprint('up', flush=True)\n"
                      "while True:\n c, _ = s.accept()\n b = b''\n while True:\n  d = c.recv(65536)\n  b += d\n"
                      "  if not d: break\n c.sendall(b[::-1])\n c.close()\n")
    if b"up" not in read_until(server, b"up"):
        return
    call = Stream(sb.user.ForwardTcp)
    init = pb.TcpForwardInit(sandbox_id=sb.sid, tcp=pb.TcpRelayTarget(host="localhost", port=7001), authorization_token=token)
    call.send(pb.TcpForwardFrame(init=init))
    given = os.urandom(300000)
    for i in range(0, len(given), 50000):
        call.send(pb.TcpForwardFrame(data=given[i:i + 50000]))
    call.half_close()
    ok(b"".join(f.data for f in call.rest()) == given[::-1], "a port inside, and the end of what is sent goes in")
    call = Stream(sb.user.ForwardTcp)
    init.tcp.port = 7002
    call.send(pb.TcpForwardFrame(init=init))
    got = error_of(call.read)
    ok(got.startswith("UNAVAILABLE: "), "a port where nobody listens", got)
    server.call.cancel()


def try_restart(sb):
    sb.gw.process.kill()
    sb.gw.process.wait()
    sb.gw.start()
    sb.user = sb.gw.client()
    ok(sb.run("echo", "again") == (b"again\n", b"", 0), "a sandbox finds the next gateway")


def main():
    only = sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        gw = Gateway(sys.argv[1], folder)
        sb = Sandbox(gw, sys.argv[2], ["sh", "-c", "echo main says; while read line; do echo got $line; done; sleep 1000"])
        try:
            for part in (try_run, try_cancel, try_interactive, try_attach, try_many, try_forward, try_restart):
                if not only or part.__name__ in only:
                    part(sb)
            ok(sb.end() is not None, "the sandbox ends")
            gw.process.terminate()
            ok(gw.process.wait(20) == 0, "and the gateway")
        finally:
            gw.process.kill()
            sb.process.kill()
            for name in gw.log.name, sb.log.name:
                with open(name, encoding="utf-8", errors="replace") as f:
                    text = f.read()
                if relays.failed or relays.count == 0 or "ERROR: " in text:
                    print("".join(f"# {line}" for line in text.splitlines(True)[-40:]))
    print(f"1..{relays.count}", flush=True)
    os._exit(relays.failed != 0)


if __name__ == "__main__":
    main()
