"""A gateway for tests of the supervisor: one sandbox, whose session, relays and reports a test drives and reads."""
import concurrent.futures
import queue
import threading
import time
import uuid

import grpc
import openshell_pb2 as pb
import sandbox_pb2 as sb

SERVICE = "/openshell.v1.OpenShell/"
TOKEN = "Bearer a-token"


def credentials(revision, **values):
    m = pb.GetSandboxProviderEnvironmentResponse(provider_env_revision=revision)
    for key, value in values.items():
        m.environment[key] = value
        binding = m.static_credential_bindings[key]
        binding.credential_identity = key
        binding.endpoints.add(host="api.example.com", port=443)
    m.environment["PLAIN"] = f"plain{revision}"
    m.non_secret_environment_keys.append("PLAIN")
    return m


def policy(**entries):
    p = sb.SandboxPolicy(version=1)
    p.filesystem.include_workdir = True
    p.filesystem.read_only.extend(["/usr", "/lib", "/lib64", "/etc", "/proc", "/dev/urandom"])
    p.filesystem.read_write.extend(["/tmp", "/dev/null"])
    for key, hosts in entries.items():
        for host in hosts:
            p.network_policies[key].endpoints.add(host=host, port=443)
        p.network_policies[key].binaries.add(path="/usr/bin/curl")
    return p


class Relay:
    """The gateway's end of one RelayStream."""

    def __init__(self):
        self.channel = str(uuid.uuid4())
        self.frames, self.out, self.err, self.code = queue.Queue(), bytearray(), bytearray(), None
        self.changed, self.opened, self.ended = threading.Condition(), False, False
        self.result = None  # RelayOpenResult
        self.reading = threading.Event()
        self.reading.set()

    def serve(self, requests):
        with self.changed:
            self.opened = True
            self.changed.notify_all()
        threading.Thread(target=self.read, args=(requests,), daemon=True).start()
        while (frame := self.frames.get()) is not None:
            yield frame

    def read(self, requests):
        try:
            while True:
                self.reading.wait()
                frame = next(requests)
                with self.changed:
                    self.out += frame.data
                    self.err += frame.error_data
                    if frame.WhichOneof("payload") == "exit_code":
                        self.code = frame.exit_code
                    self.changed.notify_all()
        except Exception:  # the end, or a cancelled call
            pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        if self.code is not None:
            self.frames.put(None)

    def send(self, **frame):
        self.frames.put(pb.RelayFrame(**frame))

    def drop(self):  # after what was sent
        self.frames.put(None)

    def cancel(self):
        self.context.cancel()

    def wait(self, what, seconds=20):
        with self.changed:
            return self.changed.wait_for(lambda: what(self), seconds)

    def done(self, seconds=20):
        self.wait(lambda r: r.ended or (r.result and not r.result.success), seconds)
        return self


class Gateway:
    def __init__(self, place, command, tty=False, environment=None, policy_=None, workdir="", credentials=None, tls=None, fresh=None):
        self.place, self.tls = place, tls
        self.credentials = credentials or pb.GetSandboxProviderEnvironmentResponse()
        self.config = sb.GetSandboxConfigResponse(policy=policy_ or policy(), version=1, config_revision=7)
        self.config.launch.name, self.config.launch.tty, self.config.launch.workdir = "box", tty, workdir
        self.config.launch.command.extend(command)
        self.config.launch.environment.update(environment or {})
        self.changed = threading.Condition()
        self.hellos, self.exits, self.statuses, self.logs, self.results = [], [], [], [], []
        self.said = queue.Queue()  # to the supervisor
        self.relays = {}
        self.refuse_exits = 0  # answer as many ReportMainProcessExit with UNAVAILABLE
        self.fresh, self.tokens = fresh, []
        self.server = None
        self.start()

    def start(self):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(120), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        if self.tls:
            assert self.server.add_secure_port(self.place, self.tls)
        else:
            assert self.server.add_insecure_port(self.place)
        self.server.start()

    def stop(self):
        self.said.put(None)
        self.server.stop(0).wait()
        self.said = queue.Queue()

    # grpc.GenericRpcHandler
    def service(self, details):
        unary, both, up = (grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler,
                           grpc.stream_unary_rpc_method_handler)
        rows = {
            "GetSandboxConfig": (unary, self.get_config, sb.GetSandboxConfigRequest),
            "GetSandboxProviderEnvironment": (unary, self.get_credentials, pb.GetSandboxProviderEnvironmentRequest),
            "ReportMainProcessExit": (unary, self.report_exit, pb.ReportMainProcessExitRequest),
            "ReportPolicyStatus": (unary, self.report_status, pb.ReportPolicyStatusRequest),
            "ConnectSupervisor": (both, self.connect, pb.SupervisorMessage),
            "RelayStream": (both, self.relay_stream, pb.RelayFrame),
            "PushSandboxLogs": (up, self.push_logs, pb.PushSandboxLogsRequest),
        }
        if self.fresh:  # a token that is given for another
            rows["RefreshSandboxToken"] = (unary, self.refresh, pb.RefreshSandboxTokenRequest)
        row = rows.get(details.method.removeprefix(SERVICE))
        if row is None:
            return None
        kind, method, request = row

        def checked(asked, context):
            token = dict(context.invocation_metadata()).get("authorization")
            self.tokens.append(token)
            if token not in (TOKEN, f"Bearer {self.fresh}"):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")
            return method(asked, context)

        return kind(checked, request_deserializer=request.FromString, response_serializer=lambda m: m.SerializeToString())

    def note(self, where, what):
        with self.changed:
            where.append(what)
            self.changed.notify_all()

    def wait(self, what, seconds=20):
        with self.changed:
            return self.changed.wait_for(what, seconds)

    def get_config(self, request, context):
        return self.config

    def refresh(self, request, context):
        return pb.RefreshSandboxTokenResponse(token=self.fresh, expires_at_ms=int(time.time() * 1000) + 3600000)

    def get_credentials(self, request, context):
        return self.credentials

    def report_exit(self, request, context):
        if self.refuse_exits > 0:
            self.refuse_exits -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        self.note(self.exits, request)
        return pb.ReportMainProcessExitResponse()

    def report_status(self, request, context):
        self.note(self.statuses, request)
        return pb.ReportPolicyStatusResponse()

    def push_logs(self, requests, context):
        for request in requests:
            for line in request.logs:
                self.note(self.logs, line)
        return pb.PushSandboxLogsResponse()

    def connect(self, requests, context):
        hello = next(requests).hello
        said = self.said

        def listen():
            try:
                for m in requests:
                    if m.WhichOneof("payload") == "config_result":
                        self.note(self.results, m.config_result)
                    elif m.WhichOneof("payload") == "relay_open_result":
                        relay = self.relays.get(m.relay_open_result.channel_id)
                        if relay is None:
                            continue
                        with relay.changed:
                            relay.result = m.relay_open_result
                            relay.changed.notify_all()
            except Exception:
                pass

        threading.Thread(target=listen, daemon=True).start()
        yield pb.GatewayMessage(session_accepted=pb.SessionAccepted(session_id=str(uuid.uuid4()),
                                                                    heartbeat_interval_secs=15))
        self.note(self.hellos, hello)
        while (m := said.get()) is not None:
            yield m

    def relay_stream(self, requests, context):
        first = next(requests)
        relay = self.relays.get(first.init.channel_id)
        if relay is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown or expired relay channel")
        relay.context = context
        context.add_callback(lambda: relay.frames.put(None))
        yield from relay.serve(requests)

    # what tests ask for
    def relay(self, **target):
        relay = Relay()
        self.relays[relay.channel] = relay
        self.said.put(pb.GatewayMessage(relay_open=pb.RelayOpen(channel_id=relay.channel, **target)))
        return relay

    def exec(self, *command, **more):
        return self.relay(exec=pb.ExecRelayTarget(command=command, **more))

    def attach(self, **more):
        return self.relay(exec=pb.ExecRelayTarget(attach_main=True, **more))

    def push(self, policy_, version, **more):
        config = policy_ and sb.GetSandboxConfigResponse(policy=policy_, version=version, config_revision=version + 100)
        before = len(self.results)
        self.said.put(pb.GatewayMessage(config_push=pb.ConfigPush(push_id=version, config=config, **more)))
        return self.results[-1] if self.wait(lambda: len(self.results) > before) else None
