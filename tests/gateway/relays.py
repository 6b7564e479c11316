"""relays.py GATEWAY: supervisors and clients, both grpcio, on the real gateway; TAP."""
import base64
import hashlib
import json
import os
import queue
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc
import datamodel_pb2 as dm
import openshell_pb2 as pb
import sandbox_pb2 as sb

SERVICE = "/openshell.v1.OpenShell/"
METHODS = {
    "ConnectSupervisor": ("stream_stream", pb.SupervisorMessage, pb.GatewayMessage),
    "RelayStream": ("stream_stream", pb.RelayFrame, pb.RelayFrame),
    "ExecSandbox": ("unary_stream", pb.ExecSandboxRequest, pb.ExecSandboxEvent),
    "ExecSandboxInteractive": ("stream_stream", pb.ExecSandboxInput, pb.ExecSandboxEvent),
    "RefreshSandboxToken": ("unary_unary", pb.RefreshSandboxTokenRequest, pb.RefreshSandboxTokenResponse),
    "IssueSandboxToken": ("unary_unary", pb.IssueSandboxTokenRequest, pb.IssueSandboxTokenResponse),
    "CreateSshSession": ("unary_unary", pb.CreateSshSessionRequest, pb.CreateSshSessionResponse),
    "RevokeSshSession": ("unary_unary", pb.RevokeSshSessionRequest, pb.RevokeSshSessionResponse),
    "ForwardTcp": ("stream_stream", pb.TcpForwardFrame, pb.TcpForwardFrame),
    "UpdateConfig": ("unary_unary", pb.UpdateConfigRequest, pb.UpdateConfigResponse),
    "Health": ("unary_unary", pb.HealthRequest, pb.HealthResponse),
    "GetCurrentUser": ("unary_unary", pb.GetCurrentUserRequest, pb.GetCurrentUserResponse),
}
READY, STOPPED = pb.SANDBOX_PHASE_READY, pb.SANDBOX_PHASE_STOPPED
WAIT = 20
count = failed = 0


def ok(good, rule, note=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {rule}", flush=True)
    if not good and note:
        print(f"# {note}", flush=True)


def error_of(call):
    """How a call fails: 'CODE: text'."""
    try:
        call()
        return "no error"
    except grpc.RpcError as e:
        return f"{e.code().name}: {e.details()}"


def is_error(call, want, rule):
    got = error_of(call)
    ok(got == want, rule, f"{got}; want {want}")


def eventually(fn):
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if fn():
            return True
        time.sleep(0.02)
    return False


class Gateway:
    def __init__(self, program, folder):
        self.dir = folder
        self.program = program
        self.log = open(os.path.join(folder, "log"), "wb")
        self.start()

    def start(self):
        before = self.ready()
        # What a sanitizer keeps of freed memory would count as the gateway's.
        env = os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        self.process = subprocess.Popen([self.program, "--socket", f"{self.dir}/gw.sock", "--state-dir", f"{self.dir}/state"],
                                        stderr=self.log, env=env)
        assert eventually(lambda: self.ready() > before)

    def ready(self):
        with open(self.log.name, "rb") as f:
            return f.read().count(b"gateway.ready")

    def channel(self):
        return grpc.insecure_channel(f"unix:{self.dir}/gw.sock", options=[("grpc.use_local_subchannel_pool", 1)])

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    def add_sandbox(self, phase=READY):
        """A record as the gateway would write it: what makes sandboxes is tried elsewhere."""
        sid = str(uuid.uuid4())
        now = int(time.time() * 1000)
        record = pb.Sandbox(metadata=dm.ObjectMeta(id=sid, name=sid[:19].rstrip("-"), workspace="default", created_at_ms=now),
                            spec=pb.SandboxSpec(), status=pb.SandboxStatus(phase=phase))
        with sqlite3.connect(f"{self.dir}/state/openshell.db", timeout=10) as db:
            db.execute("INSERT INTO object VALUES (?,'sandbox','default',?,NULL,NULL,NULL,NULL,0,?,?,?,'',1)",
                       (sid, record.metadata.name, record.SerializeToString(), now, now))
        return sid

    def sign(self, header, claims):
        def b64(raw):
            return base64.urlsafe_b64encode(raw).rstrip(b"=")
        text = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(claims).encode())
        part = os.path.join(self.dir, "part")
        with open(part, "wb") as f:
            f.write(text)
        sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-in", part, "-inkey",
                              f"{self.dir}/state/jwt/signing.pem"], check=True, capture_output=True).stdout
        return (text + b"." + b64(sig)).decode()

    def token(self, sid, **changed):
        kid = open(f"{self.dir}/state/jwt/kid", encoding="ascii").read().strip()
        who = "openshell-gateway:openshell"
        claims = {"sub": f"spiffe://openshell/sandbox/{sid}", "iss": who, "aud": who, "iat": 1, "exp": 0, "sandbox_id": sid}
        return self.sign({"alg": "EdDSA", "typ": "JWT", "kid": kid}, claims | changed)

    def client(self, token=None):
        return Client(self, token)


class Client:
    def __init__(self, gateway, token=None):
        self.channel = gateway.channel()
        self.meta = [("authorization", f"Bearer {token}")] if token else []

    def __getattr__(self, name):
        kind, request, response = METHODS[name]
        call = getattr(self.channel, kind)(SERVICE + name, request_serializer=request.SerializeToString,
                                           response_deserializer=response.FromString)
        return lambda given, timeout=WAIT: call(given, metadata=self.meta, timeout=timeout)

    def close(self):
        self.channel.close()


class Stream:
    """Both ways, by hand."""

    def __init__(self, call):
        self.out = queue.Queue()
        self.call = call(iter(self.out.get, None), timeout=120)

    def send(self, message):
        self.out.put(message)
        return self

    def half_close(self):
        self.out.put(None)

    def read(self):
        return next(self.call)

    def rest(self):
        return list(self.call)


class Supervisor:
    """Greets, answers heartbeats with nothing, and hands each RelayOpen to `serve` in a thread."""

    def __init__(self, gateway, sid, serve=None, token=None, hello=None):
        self.client = gateway.client(token or gateway.token(sid))
        self.session = Stream(self.client.ConnectSupervisor)
        self.session.send(pb.SupervisorMessage(hello=hello or pb.SupervisorHello(sandbox_id=sid, instance_id="i-1")))
        self.serve = serve
        self.asked = queue.Queue()
        self.closed = queue.Queue()
        self.pushed = queue.Queue()
        self.accepted = self.session.read().session_accepted
        self.ended = None
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        try:
            for m in self.session.call:
                kind = m.WhichOneof("payload")
                if kind == "relay_open":
                    self.asked.put(m.relay_open)
                    if self.serve:
                        threading.Thread(target=self.run, args=(m.relay_open,), daemon=True).start()
                elif kind == "relay_close":
                    self.closed.put(m.relay_close)
                elif kind == "config_push":
                    self.pushed.put(m.config_push)
                    result = self.obey(m.config_push)
                    if result:
                        self.session.send(pb.SupervisorMessage(config_result=result))
            self.ended = "OK: "
        except grpc.RpcError as e:
            self.ended = f"{e.code().name}: {e.details()}"

    @staticmethod
    def obey(push):
        return pb.ConfigResult(push_id=push.push_id, policy_version=push.config.version)

    def claim(self, channel):
        relay = Stream(self.client.RelayStream)
        return relay.send(pb.RelayFrame(init=pb.RelayInit(channel_id=channel)))

    def run(self, ask):
        try:
            self.serve(self.claim(ask.channel_id), ask)
        except grpc.RpcError:
            pass

    def next_ask(self):
        return self.asked.get(timeout=WAIT)

    def close(self):
        self.client.close()


def data(b):
    return pb.RelayFrame(data=b)


def output(events):
    """stdout, stderr and the exit code of an ExecSandbox."""
    out, err, code = [], [], None
    for e in events:
        kind = e.WhichOneof("payload")
        out.append(e.stdout.data)
        err.append(e.stderr.data)
        code = e.exit.exit_code if kind == "exit" else code
    return b"".join(out), b"".join(err), code


def echo(relay, ask):
    """A command that gives back its input, then how it was called on standard error."""
    got = b""
    while True:
        f = relay.read()
        if f.WhichOneof("payload") == "end_of_input":
            break
        got += f.data
        relay.send(data(f.data))
    e = getattr(ask, "exec")
    relay.send(pb.RelayFrame(error_data=" ".join(e.command).encode()))
    relay.send(pb.RelayFrame(exit_code=len(got) % 100)).half_close()
    relay.rest()


def try_tokens(gw, sid):
    good = gw.client(gw.token(sid))
    other = gw.client(gw.token(str(uuid.uuid4())))
    user = gw.client()
    bad = gw.client(gw.token(sid)[:-4] + "AAAA")
    old = gw.client(gw.token(sid, exp=int(time.time()) - 100))
    answer = good.RefreshSandboxToken(pb.RefreshSandboxTokenRequest())
    ok(answer.expires_at_ms == 0 and gw.client(answer.token).RefreshSandboxToken(pb.RefreshSandboxTokenRequest()).token,
       "a token is renewed, and the new one works")
    is_error(lambda: good.GetCurrentUser(pb.GetCurrentUserRequest()),
             "PERMISSION_DENIED: sandbox principals may not call this method", "a sandbox is no user")
    is_error(lambda: user.RefreshSandboxToken(pb.RefreshSandboxTokenRequest()),
             "PERMISSION_DENIED: this method requires a sandbox principal", "a user is no sandbox")
    is_error(lambda: bad.GetCurrentUser(pb.GetCurrentUserRequest()), "UNAUTHENTICATED: invalid token: InvalidSignature",
             "a user with a wrong token is nobody")
    is_error(lambda: old.RefreshSandboxToken(pb.RefreshSandboxTokenRequest()),
             "UNAUTHENTICATED: invalid token: ExpiredSignature", "a token that has expired")
    is_error(lambda: other.RefreshSandboxToken(pb.RefreshSandboxTokenRequest()), "NOT_FOUND: sandbox not found",
             "a token of a sandbox that is gone is not renewed")
    e = error_of(lambda: good.IssueSandboxToken(pb.IssueSandboxTokenRequest()))
    ok(e.startswith("PERMISSION_DENIED: ") and "RefreshSandboxToken" in e, "IssueSandboxToken says what to call", e)
    is_error(lambda: good.RefreshSandboxToken(pb.RefreshSandboxTokenRequest(extension_service_names=["a"])),
             "PERMISSION_DENIED: extension service 'a' is not selected by the sandbox policy", "a service of an extension")
    for names, rule in (["a", "a"], "one twice"), ([""], "one without a name"), ([str(i) for i in range(65)], "65 of them"):
        e = error_of(lambda n=names: good.RefreshSandboxToken(pb.RefreshSandboxTokenRequest(extension_service_names=n)))
        ok(e.startswith("INVALID_ARGUMENT: "), f"services of extensions: {rule}", e)
    ok(bad.Health(pb.HealthRequest()).version, "Health is for anyone")


def first_error(stream):
    return error_of(stream.read)


def try_hello(gw, sid):
    def connect(*messages, token=None):
        s = Stream(gw.client(token or gw.token(sid)).ConnectSupervisor)
        for m in messages:
            s.send(m)
        return s

    hello = pb.SupervisorMessage(hello=pb.SupervisorHello(sandbox_id=sid))
    s = connect()
    s.half_close()
    ok(first_error(s) == "INVALID_ARGUMENT: stream closed before hello", "a session without hello")
    s = connect(pb.SupervisorMessage(heartbeat=pb.SupervisorHeartbeat()))
    ok(first_error(s) == "INVALID_ARGUMENT: expected SupervisorHello", "a session that begins with something else")
    e = first_error(connect(pb.SupervisorMessage(hello=pb.SupervisorHello())))
    ok(e.startswith("INVALID_ARGUMENT: sandbox_id is required"), "hello of nobody", e)
    other = gw.add_sandbox()
    e = first_error(connect(hello, token=gw.token(other)))
    ok(e.startswith("PERMISSION_DENIED: cross-sandbox access denied"), "hello for another sandbox", e)
    gone = str(uuid.uuid4())
    s = connect(pb.SupervisorMessage(hello=pb.SupervisorHello(sandbox_id=gone)), token=gw.token(gone))
    ok(first_error(s) == "NOT_FOUND: sandbox not found", "hello of a sandbox that is gone")
    s = Stream(gw.client().ConnectSupervisor).send(hello)
    ok(first_error(s) == "PERMISSION_DENIED: this method requires a sandbox principal", "hello of a user")
    s = connect(hello)
    accepted = s.read().session_accepted
    ok(uuid.UUID(accepted.session_id).version == 4 and accepted.heartbeat_interval_secs == 15, "a session is accepted")
    newer = connect(hello)
    second = newer.read().session_accepted
    ok(second.session_id != accepted.session_id and first_error(s).startswith("ABORTED: a newer session"),
       "a newer one takes its place")
    newer.half_close()
    ok(newer.rest() == [], "a supervisor ends its session")


def try_exec(gw, sid):
    user = gw.client()
    sup = Supervisor(gw, sid, echo)
    for n in (0, 1, 16384, 16385, 700000):
        given = os.urandom(n)
        got = output(user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["c", str(n)], stdin=given)))
        ok(got == (given, f"c {n}".encode(), n % 100), f"ExecSandbox: {n} bytes in and out, errors apart, an exit code")
    sup.close()

    sup = Supervisor(gw, sid)
    call = user.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=sid, command=["a", "b\nc"], workdir="/w", environment={"K": "v", "OPENSHELL_PYFUNC_B64": "x"},
        timeout_seconds=9, tty=True, cols=100, rows=30, stdin=b"in"))
    ask = sup.next_ask()
    e = getattr(ask, "exec")
    ok(list(e.command) == ["a", "b\nc"] and e.workdir == "/w" and dict(e.environment) == {"K": "v", "OPENSHELL_PYFUNC_B64": "x"}
       and e.timeout_seconds == 9 and e.tty and (e.cols, e.rows) == (100, 30) and not e.attach_main,
       "the supervisor is asked for just that", str(ask))
    relay = sup.claim(ask.channel_id)
    ok([relay.read(), relay.read()] == [data(b"in"), pb.RelayFrame(end_of_input=True)], "its input, then the end of it")
    relay.send(data(b"")).send(data(b"x")).send(pb.RelayFrame(exit_code=-1)).half_close()
    ok(output(call) == (b"x", b"", -1) and relay.rest() == [], "empty output is none, and the relay ends well")
    again = sup.claim(ask.channel_id)
    ok(error_of(again.read) == "NOT_FOUND: unknown or expired relay channel", "a relay is claimed once")

    attach = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, attach_main=True, read_only=True))
    ask = sup.next_ask()
    ok(getattr(ask, "exec").attach_main and getattr(ask, "exec").read_only, "attach_main and read_only are passed on")
    relay = sup.claim(ask.channel_id)
    ok(relay.read() == pb.RelayFrame(end_of_input=True), "and its input has ended")
    relay.half_close()
    ok(error_of(lambda: list(attach)) == "UNAVAILABLE: the command has ended without an exit status", "no exit status")

    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    ask = sup.next_ask()
    sup.session.send(pb.SupervisorMessage(relay_open_result=pb.RelayOpenResult(
        channel_id=ask.channel_id, success=False, error="no such\x07program")))
    ok(error_of(lambda: list(call)) == "UNAVAILABLE: no such?program", "a supervisor that cannot: its reason, printable")

    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    ask = sup.next_ask()
    thief = Stream(gw.client(gw.token(gw.add_sandbox())).RelayStream)
    thief.send(pb.RelayFrame(init=pb.RelayInit(channel_id=ask.channel_id)))
    ok(error_of(thief.read).startswith("PERMISSION_DENIED: cross-sandbox"), "another sandbox cannot claim it")
    relay = sup.claim(ask.channel_id)
    relay.send(pb.RelayFrame(exit_code=0))
    ok(output(call) == (b"", b"", 0), "and its own still can")
    s = Stream(sup.client.RelayStream).send(data(b"x"))
    ok(error_of(s.read) == "INVALID_ARGUMENT: first frame must be init", "a relay begins with init")

    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    relay = sup.claim(sup.next_ask().channel_id)
    relay.send(data(b"some"))
    next(call)
    call.cancel()
    e = error_of(relay.rest)
    ok(e == "CANCELLED: the client has gone" and eventually(lambda: sup.closed.get(timeout=WAIT).reason == e[11:]),
       "a client that cancels ends the relay, and the supervisor is told", e)

    start = time.monotonic()
    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"], timeout_seconds=1))
    relay = sup.claim(sup.next_ask().channel_id)
    ok(output(call) == (b"", b"", 124) and 3.5 < time.monotonic() - start < 8 and error_of(relay.rest).startswith("DEADLINE"),
       "a command that the supervisor lets run on is 124 after a grace")

    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    sup.next_ask()
    more = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["y"]))
    open_relay = sup.claim(sup.next_ask().channel_id)
    open_relay.send(data(b"y"))
    next(more)
    sup.close()
    ok(error_of(lambda: list(call)) == "UNAVAILABLE: supervisor session disconnected", "a lost session: what was not open")
    ok(error_of(lambda: list(more)) == "UNAVAILABLE: the supervisor has gone", "a lost session: what was")


def try_refusals(gw, sid):
    user = gw.client()
    stopped = gw.add_sandbox(STOPPED)

    def execute(**what):
        return error_of(lambda: list(user.ExecSandbox(pb.ExecSandboxRequest(**what))))

    for what, want in (
            ({"command": ["x"]}, "INVALID_ARGUMENT: sandbox_id is required"),
            ({"sandbox_id": sid}, "INVALID_ARGUMENT: command is required"),
            ({"sandbox_id": sid, "command": [""]}, "INVALID_ARGUMENT: command is required"),
            ({"sandbox_id": str(uuid.uuid4()), "command": ["x"]}, "NOT_FOUND: sandbox not found"),
            ({"sandbox_id": "x" * 64, "command": ["x"]}, "NOT_FOUND: sandbox not found"),
            ({"sandbox_id": stopped, "command": ["x"]}, "FAILED_PRECONDITION: sandbox is not ready"),
            ({"sandbox_id": sid, "command": ["x"] * 1025}, "INVALID_ARGUMENT: 1025 arguments, the limit is 1024"),
            ({"sandbox_id": sid, "command": ["x" * 32769]},
             "INVALID_ARGUMENT: argument 0 has 32769 bytes, the limit is 32768"),
            ({"sandbox_id": sid, "command": ["x" * 32000] * 9}, "INVALID_ARGUMENT: the command has 288009 bytes, the limit is 262144"),
            ({"sandbox_id": sid, "command": ["x"], "environment": {"OPENSHELL_X": "1"}},
             "INVALID_ARGUMENT: variable OPENSHELL_X: names with OPENSHELL_ are reserved"),
            ({"sandbox_id": sid, "command": ["x"], "environment": {"1A": "1"}}, "INVALID_ARGUMENT: '1A' is no name of a variable"),
            ({"sandbox_id": sid, "command": ["x"], "environment": {"A": "1\n"}},
             "INVALID_ARGUMENT: variable A: a value has at most 32768 bytes and no line break"),
            ({"sandbox_id": sid, "command": ["x"], "workdir": "/a\n"},
             "INVALID_ARGUMENT: workdir has at most 4096 bytes and no line break"),
            ({"sandbox_id": sid, "command": ["x"], "read_only": True}, "INVALID_ARGUMENT: read_only is for attach_main"),
            ({"sandbox_id": sid, "attach_main": True, "read_only": True, "stdin": b"x"},
             "INVALID_ARGUMENT: read_only takes no input"),
            ({"sandbox_id": sid, "command": ["x"], "cols": 65536}, "INVALID_ARGUMENT: a terminal has at most 65535 columns and rows"),
            ({"sandbox_id": sid, "attach_main": True, "command": ["x"]},
             "INVALID_ARGUMENT: attach_main is for the main process, which has its command, workdir, environment and time")):
        got = execute(**what)
        ok(got == want, f"ExecSandbox refuses: {want}", got)
    for first, rule in ((pb.ExecSandboxInput(stdin=b"x"), "input first"), (None, "nothing at all")):
        s = Stream(user.ExecSandboxInteractive)
        if first:
            s.send(first)
        s.half_close()
        e = error_of(s.read)
        ok(e == "INVALID_ARGUMENT: first message must be a start payload", f"ExecSandboxInteractive: {rule}", e)
    start = time.monotonic()
    got = execute(sandbox_id=sid, command=["x"])
    ok(got == "UNAVAILABLE: supervisor session not connected" and 14 < time.monotonic() - start < 19,
       "without a session it is waited for, 15 s", got)


def try_interactive(gw, sid):
    user = gw.client()
    sup = Supervisor(gw, sid)
    call = Stream(user.ExecSandboxInteractive)
    call.send(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=sid, command=["sh"], tty=True, stdin=b"0")))
    call.send(pb.ExecSandboxInput(stdin=b"1")).send(pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=90, rows=20)))
    call.send(pb.ExecSandboxInput(signal=2)).send(pb.ExecSandboxInput(stdin=b"2")).send(pb.ExecSandboxInput(end_of_input=True))
    call.send(pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=91, rows=21)))
    relay = sup.claim(sup.next_ask().channel_id)
    want = [data(b"0"), data(b"1"), pb.RelayFrame(resize=pb.RelayResize(cols=90, rows=20)), pb.RelayFrame(signal=2), data(b"2"),
            pb.RelayFrame(end_of_input=True), pb.RelayFrame(resize=pb.RelayResize(cols=91, rows=21))]
    got = [relay.read() for _ in want]
    ok(got == want, "interactive: input, size, signal and the end of input, in their order", str(got))
    relay.send(data(b"out")).send(pb.RelayFrame(exit_code=7)).half_close()
    ok(output(call.rest()) == (b"out", b"", 7), "interactive: output and exit code")

    call = Stream(user.ExecSandboxInteractive)
    call.send(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=sid, command=["sh"])))
    call.send(pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=90, rows=20)))
    call.half_close()
    relay = sup.claim(sup.next_ask().channel_id)
    ok(relay.read() == pb.RelayFrame(end_of_input=True), "interactive: no terminal, no size; the client's end is the input's")
    relay.send(pb.RelayFrame(exit_code=0)).half_close()
    ok(output(call.rest()) == (b"", b"", 0), "interactive: and the exit code comes still")

    for m, want in ((pb.ExecSandboxInput(signal=65), "INVALID_ARGUMENT: 65 is no signal: 1 to 64"),
                    (pb.ExecSandboxInput(start=pb.ExecSandboxRequest()), "INVALID_ARGUMENT: a second start payload")):
        call = Stream(user.ExecSandboxInteractive)
        call.send(pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=sid, command=["sh"]))).send(m)
        relay = sup.claim(sup.next_ask().channel_id)
        got = error_of(call.rest)
        ok(got == want and error_of(relay.rest) == want, f"interactive: {want}", got)
    sup.close()


def try_supersede(gw, sid):
    user = gw.client()
    sup = Supervisor(gw, sid)
    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    ask = sup.next_ask()
    newer = Supervisor(gw, sid)
    again = newer.next_ask()
    ok(again == ask and eventually(lambda: sup.ended), "a newer session is asked for what was not open yet")
    relay = newer.claim(again.channel_id).send(pb.RelayFrame(exit_code=3))
    got = output(call)
    ok(got == (b"", b"", 3), "and opens it", f"{got} {error_of(relay.rest)}")
    newer.close()
    late = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    time.sleep(0.5)
    third = Supervisor(gw, sid, echo)
    ok(output(late) == (b"", b"x", 0), "a call that came before the session waits for it")
    third.close()
    sup.close()


def try_forward(gw, sid):
    user = gw.client()
    sup = Supervisor(gw, sid)

    def init(**what):
        given = {"sandbox_id": sid, "tcp": pb.TcpRelayTarget(host="localhost", port=80)} | what
        return pb.TcpForwardFrame(init=pb.TcpForwardInit(**{k: v for k, v in given.items() if v is not None}))

    def begin(**what):
        return Stream(user.ForwardTcp).send(init(**what))

    now = time.time() * 1000
    made = user.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=sid))
    ok(uuid.UUID(made.token).version == 4 and made.sandbox_id == sid and made.gateway_scheme == "http" and
       86300e3 < made.expires_at_ms - now < 86500e3, "a token for connections, for a day", str(made))
    with sqlite3.connect(f"{gw.dir}/state/openshell.db") as db:
        rows = db.execute("SELECT id, payload FROM object WHERE kind='ssh_session'").fetchall()
    ok(len(rows) == 1 and made.token not in str(rows), "which the store does not know")
    stopped, other = gw.add_sandbox(STOPPED), gw.add_sandbox()
    is_error(lambda: user.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=stopped)),
             "FAILED_PRECONDITION: sandbox is not ready", "no token for a sandbox that does not run")
    is_error(lambda: user.CreateSshSession(pb.CreateSshSessionRequest()), "INVALID_ARGUMENT: sandbox_id is required",
             "nor for none")
    token = made.token
    foreign = user.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=other)).token
    old = user.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=sid)).token
    with sqlite3.connect(f"{gw.dir}/state/openshell.db") as db:
        key = hashlib.sha256(old.encode()).hexdigest()
        db.execute("UPDATE object SET payload=? WHERE id=?",
                   (pb.SshSession(sandbox_id=sid, expires_at_ms=int(now)).SerializeToString(), key))

    def tcp(host, port):
        return pb.TcpRelayTarget(host=host, port=port)
    for what, want in (
            ({"sandbox_id": ""}, "INVALID_ARGUMENT: sandbox_id is required"), ({"tcp": None}, "INVALID_ARGUMENT: target is required"),
            ({"tcp": tcp("10.0.0.1", 80)}, "INVALID_ARGUMENT: tcp target host must be loopback"),
            ({"tcp": tcp("127.0.0.1.evil.test", 80)}, "INVALID_ARGUMENT: tcp target host must be loopback"),
            ({"tcp": tcp("", 80)}, "INVALID_ARGUMENT: tcp target host is required"),
            ({"tcp": tcp("::1", 0)}, "INVALID_ARGUMENT: tcp target port must be between 1 and 65535"),
            ({"tcp": tcp("::1", 65536)}, "INVALID_ARGUMENT: tcp target port must be between 1 and 65535"),
            ({"sandbox_id": stopped}, "FAILED_PRECONDITION: sandbox is not ready"),
            ({"sandbox_id": str(uuid.uuid4())}, "NOT_FOUND: sandbox not found"),
            ({}, "UNAUTHENTICATED: authorization_token is required for ForwardTcp"),
            ({"authorization_token": str(uuid.uuid4())}, "UNAUTHENTICATED: SSH session token not found"),
            ({"authorization_token": "x" * 129}, "UNAUTHENTICATED: SSH session token not found"),
            ({"authorization_token": foreign}, "UNAUTHENTICATED: SSH session token is not valid"),
            ({"authorization_token": old}, "UNAUTHENTICATED: SSH session token expired")):
        got = error_of(begin(**what).read)
        ok(got == want, f"ForwardTcp refuses: {want}", got)
    s = Stream(user.ForwardTcp).send(pb.TcpForwardFrame(data=b"x"))
    ok(error_of(s.read) == "INVALID_ARGUMENT: first frame must be init", "ForwardTcp begins with init")

    calls = []
    for host in ("localhost", "127.9.9.9", "::1"):
        call = begin(tcp=tcp(host, 8080), authorization_token=token, service_id="web")
        ask = sup.next_ask()
        want = "127.0.0.1" if host == "localhost" else host
        ok(ask.tcp == tcp(want, 8080) and ask.service_id == "web", f"a connection to {host}", str(ask))
        calls.append((call, sup.claim(ask.channel_id)))
    got = error_of(begin(authorization_token=token).read)
    ok(got == "RESOURCE_EXHAUSTED: 3 connections with this token, the limit", "the fourth with a token", got)
    (call, relay), (second, second_relay), (third, third_relay) = calls
    call.send(pb.TcpForwardFrame(data=b"a" * 40000))
    got = b""
    while len(got) < 40000:
        frame = relay.read()
        got += frame.data
    ok(got == b"a" * 40000 and len(frame.data) <= 16384, "bytes in, in pieces of 16 KiB")
    relay.send(data(b"b"))
    ok(call.read() == pb.TcpForwardFrame(data=b"b"), "bytes out")
    call.half_close()
    ok(relay.read() == pb.RelayFrame(end_of_input=True), "the client's end")
    relay.send(data(b"c")).half_close()
    ok(call.rest() == [pb.TcpForwardFrame(data=b"c")], "and what comes behind it, until the other end")
    sup.session.send(pb.SupervisorMessage(heartbeat=pb.SupervisorHeartbeat()))
    third.call.cancel()
    ok(error_of(third_relay.rest).startswith("CANCELLED"), "a client that cancels")
    fourth = begin(authorization_token=token)
    ask = sup.next_ask()
    sup.session.send(pb.SupervisorMessage(relay_open_result=pb.RelayOpenResult(channel_id=ask.channel_id, error="refused")))
    ok(error_of(fourth.read) == "UNAVAILABLE: refused", "nobody listens inside")
    ssh = begin(tcp=None, ssh=pb.SshRelayTarget(), authorization_token=token)
    ask = sup.next_ask()
    ok(ask.WhichOneof("target") == "ssh", "an SSH target is the supervisor's to take or refuse")
    ssh.call.cancel()
    tokens = [user.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=sid)).token for _ in range(7)]
    many = [(begin(authorization_token=t), sup.next_ask()) for t in (tokens * 3)[:19]]
    got = error_of(begin(authorization_token=tokens[6]).read)
    ok(got == "RESOURCE_EXHAUSTED: 20 connections to this sandbox, the limit", "the 21st to a sandbox", got)
    for c, _ in many:
        c.call.cancel()
    second.call.cancel()
    error_of(second_relay.rest)
    with sqlite3.connect(f"{gw.dir}/state/openshell.db") as db:
        rows = db.execute("SELECT count(*) FROM object WHERE kind='ssh_session' AND scope=?", (sid,)).fetchone()[0]
    ok(rows == 8, "the one that had expired went with the next that was made", str(rows))
    revoke = pb.RevokeSshSessionRequest
    ok(user.RevokeSshSession(revoke(token=token)).revoked and not user.RevokeSshSession(revoke(token="none")).revoked,
       "a token is revoked; one that is none is not")
    got = error_of(begin(authorization_token=token).read)
    ok(got == "UNAUTHENTICATED: SSH session token is not valid", "and opens nothing any more", got)
    sup.close()


def try_push(gw, sid):
    user = gw.client()
    sup = Supervisor(gw, sid)

    def update(path):
        policy = sb.SandboxPolicy(version=1, network_policies={"p": sb.NetworkPolicyRule(name="p", endpoints=[
            sb.NetworkEndpoint(host="a.example.com", port=443, path=path)], binaries=[sb.NetworkBinary(path="/usr/bin/curl")])})
        start = time.monotonic()
        answer = user.UpdateConfig(pb.UpdateConfigRequest(name=sid[:19].rstrip("-"), policy=policy))
        return answer.version, time.monotonic() - start

    def latest():
        push = sup.pushed.get(timeout=WAIT)
        while not sup.pushed.empty():
            push = sup.pushed.get()
        return push
    one, took = update("")
    first = latest()
    ok(first.config.version == one and "p" in first.config.policy.network_policies and took < 2,
       "a policy that is stored is pushed, and the call returns with the answer", str(took))
    two, took = update("/x")
    second = latest()
    ok(second.config.version == two > one and second.push_id > first.push_id, "each push has its own number")
    sup.obey = lambda push: pb.ConfigResult(push_id=push.push_id + 7)
    three, took = update("/y")
    ok(three > two and 4 < took < 8, "an answer to another push is none: the call waits 5 s, and the revision is stored", str(took))
    sup.obey = lambda push: sup.session.half_close()
    four, took = update("/z")
    ok(four > three and took < 3, "a session that ends ends the wait", str(took))
    sup.close()


def fill(gw, others, last):
    """How one more fails when 256 relays wait for sessions that never come, which they do for 15 s."""
    limit = "RESOURCE_EXHAUSTED: 256 relays are being opened, the limit; try again"
    clients = [gw.client() for _ in others]
    user = gw.client()
    calls = [c.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=other, command=["x"])) for c, other in zip(clients, others)
             for _ in range(32)]
    got = ""
    end = time.monotonic() + 12
    while got != limit and time.monotonic() < end:
        probe = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=last, command=["x"]), timeout=0.5)
        got = error_of(lambda c=probe: list(c))
    for c in calls:
        c.cancel()
    for c in clients + [user]:
        c.close()
    return got == limit, got


def try_limits(gw, sid):
    others = [gw.add_sandbox() for _ in range(8)]
    last = gw.add_sandbox()
    tries = []
    while len(tries) < 3 and not (tries and tries[-1][0]):  # a busy machine may not make them all in that time
        tries.append(fill(gw, others, last))
    ok(tries[-1][0], "the 257th of all", str(tries))

    user = gw.client()
    sup = Supervisor(gw, sid)
    calls = [user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"])) for _ in range(32)]
    asks = [sup.next_ask() for _ in calls]
    is_error(lambda: list(user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))),
             "RESOURCE_EXHAUSTED: 32 relays of this sandbox are being opened, the limit; try again", "the 33rd of a sandbox")
    timed_out = [error_of(lambda c=c: list(c)) for c in calls]
    ok(timed_out == ["DEADLINE_EXCEEDED: relay open timed out"] * 32, "what is not claimed in 10 s has timed out", timed_out[0])
    ok(error_of(sup.claim(asks[0].channel_id).read) == "NOT_FOUND: unknown or expired relay channel", "and cannot be claimed")
    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))
    relay = sup.claim(sup.next_ask().channel_id).send(pb.RelayFrame(exit_code=0))
    got = output(call)
    ok(got == (b"", b"", 0), "then there is room again", f"{got} {error_of(relay.rest)}")
    sup.close()


def try_slow(gw, sid):
    total, piece = 256 << 20, 64 << 10
    sent = {"n": 0}

    def pour(relay, ask):
        if "quick" in getattr(ask, "exec").command:
            relay.send(data(b"quick")).send(pb.RelayFrame(exit_code=0)).half_close()
            relay.rest()
            return
        relay.half_close()
        relay.rest()

    def frames(channel):
        yield pb.RelayFrame(init=pb.RelayInit(channel_id=channel))
        chunk = data(b"z" * piece)
        for _ in range(total // piece):
            sent["n"] += piece
            yield chunk
        yield pb.RelayFrame(exit_code=0)

    sup = Supervisor(gw, sid)
    user, other = gw.client(), gw.client()
    before = gw.rss_kib()
    call = user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["pour"]), timeout=120)
    ask = sup.next_ask()
    relay = sup.client.RelayStream(frames(ask.channel_id), timeout=120)
    first = next(call)
    stopped = {"n": -1}

    def is_stopped():
        was, stopped["n"] = stopped["n"], sent["n"]
        time.sleep(0.5)
        return was == sent["n"]
    ok(eventually(is_stopped) and sent["n"] < 32 << 20, "a client that does not read stops its supervisor", str(sent))
    sup.serve = pour
    ok(output(other.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["quick"]))) == (b"quick", b"", 0),
       "and nobody else")
    slow = gw.rss_kib()
    got, code = len(first.stdout.data), None
    for e in call:
        got += len(e.stdout.data)
        code = e.exit.exit_code if e.WhichOneof("payload") == "exit" else code
    after = gw.rss_kib()
    ok(got == total and code == 0, "then all 256 MiB come through", f"{got} {code}")
    ok(max(slow, after) - before < 24 << 10, "in less than 24 MiB of the gateway's memory", f"{before} {slow} {after}")
    list(relay)

    # The other way: a command that does not read its input.
    given = {"n": 0}

    def inputs():
        yield pb.ExecSandboxInput(start=pb.ExecSandboxRequest(sandbox_id=sid, command=["sink"]))
        chunk = pb.ExecSandboxInput(stdin=b"i" * piece)
        for _ in range((64 << 20) // piece):
            given["n"] += piece
            yield chunk

    sup.serve = None
    while not sup.asked.empty():
        sup.asked.get()
    call = user.ExecSandboxInteractive(inputs(), timeout=120)
    relay = sup.claim(sup.next_ask().channel_id)
    relay.read()
    stopped["n"] = -1

    def is_held():
        was, stopped["n"] = stopped["n"], given["n"]
        time.sleep(0.5)
        return was == given["n"]
    ok(eventually(is_held) and given["n"] < 32 << 20, "a command that does not read stops its client", str(given))
    got = piece // 4
    while got < 64 << 20:
        got += len(relay.read().data)
    ok(relay.read() == pb.RelayFrame(end_of_input=True), "then all of it comes, and its end")
    relay.send(pb.RelayFrame(exit_code=1)).half_close()
    ok(output(call) == (b"", b"", 1) and gw.rss_kib() - before < 24 << 10, "in bounded memory")
    sup.close()


def try_end(gw, sid):
    user = gw.client()
    sup = Supervisor(gw, sid, echo)
    start = time.monotonic()
    gw.process.terminate()
    ok(gw.process.wait(WAIT) == 0 and time.monotonic() - start < 5, "a gateway with sessions ends at once")
    ok(eventually(lambda: sup.ended == "UNAVAILABLE: the gateway is ending"), "and tells them why", str(sup.ended))
    gw.start()
    sup = Supervisor(gw, sid, echo)
    ok(output(user.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sid, command=["x"]))) == (b"", b"x", 0),
       "the next one knows sandbox and token")
    sup.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        gw = Gateway(sys.argv[1], folder)
        try:
            only = sys.argv[2:]
            for part in (try_tokens, try_hello, try_exec, try_refusals, try_interactive, try_supersede, try_push, try_forward, try_limits, try_slow, try_end):
                if not only or part.__name__ in only:
                    part(gw, gw.add_sandbox())
            gw.process.terminate()
            ok(gw.process.wait(WAIT) == 0, "the gateway ends well")
        finally:
            gw.process.kill()
            with open(gw.log.name, encoding="utf-8") as f:
                text = f.read()
            if failed or "ERROR: " in text:
                print("".join(f"# {line}" for line in text.splitlines(True)[-60:]))
    print(f"1..{count}", flush=True)
    os._exit(failed != 0)  # threads of grpcio may still wait


if __name__ == "__main__":
    main()
