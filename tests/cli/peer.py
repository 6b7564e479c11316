"""A gateway for the command line's tests, by grpcio, which others wrote: one sandbox called dev, what was asked of it, and
programs that exist by their names alone."""
import concurrent.futures, copy, queue, threading, grpc
import openshell_pb2 as pb, sandbox_pb2 as sb

READY, ERROR, PROVISIONING, STOPPED, STARTING = 2, 3, 1, 7, 8


class Gateway:
    def __init__(self):
        self.asked = []  # (method, request)
        self.sandboxes = {}
        self.add("dev", READY)
        self.revisions = [self.revision(1, 2, "a1" * 32)]
        self.settings = {"ocsf_json_enabled": (sb.SettingValue(bool_value=True), 1)}
        self.events = []  # of WatchSandbox, for a sandbox that is created
        self.status = 2  # of the next revision
        self.error = ""
        self.gone = threading.Event()

    def add(self, name, phase, **kw):
        s = pb.Sandbox()
        s.metadata.id, s.metadata.name, s.metadata.workspace = f"id-{name}", name, "default"
        s.metadata.created_at_ms, s.metadata.resource_version = 1767604364000, 4
        s.status.phase, s.status.current_policy_version = phase, 1
        self.sandboxes[name] = s
        return s

    def revision(self, version, status, digest):
        r = pb.SandboxPolicyRevision(version=version, policy_hash=digest, status=status, created_at_ms=1767603000000)
        r.loaded_at_ms = 1767603000020 if status == 2 else 0
        rule = r.policy.network_policies["web"]
        r.policy.version, rule.name = 1, "web"
        rule.endpoints.add(host="example.com", port=443, ports=[443], protocol="rest", access="read-only", enforcement="enforce")
        rule.binaries.add(path="/usr/bin/curl")
        r.policy.network_policies["_provider_gh"].endpoints.add(host="api.github.com", port=443, ports=[443])
        return r

    def find(self, context, name):
        if name not in self.sandboxes:
            context.abort(grpc.StatusCode.NOT_FOUND, "sandbox not found")
        return self.sandboxes[name]

    def by_id(self, context, ident):
        return self.find(context, ident.removeprefix("id-"))

    # ---- unary

    def Health(self, r, c):
        return pb.HealthResponse(status=1, version="9.9")

    def GetGatewayInfo(self, r, c):
        return pb.GetGatewayInfoResponse(status=1, gateway_version="9.9")

    def GetCurrentUser(self, r, c):
        return pb.GetCurrentUserResponse(subject="u", roles=["a", "b"], identity_provider="test")

    def GetSandbox(self, r, c):
        return pb.SandboxResponse(sandbox=self.find(c, r.name))

    def ListSandboxes(self, r, c):
        return pb.ListSandboxesResponse(sandboxes=list(self.sandboxes.values())[r.offset :][: r.limit])

    def ListProviders(self, r, c):
        p = pb.ListProvidersResponse()
        p.providers.add(type="github").metadata.name = "gh"
        return p

    def DeleteSandbox(self, r, c):
        self.find(c, r.name)
        del self.sandboxes[r.name]
        return pb.DeleteSandboxResponse(deleted=True)

    def StopSandbox(self, r, c):
        s = self.find(c, r.name)
        if s.status.phase != READY:
            c.abort(grpc.StatusCode.FAILED_PRECONDITION, f"sandbox must be Ready to stop (current phase: {s.status.phase})")
        s.status.phase = STOPPED
        return pb.SandboxResponse(sandbox=s)

    def StartSandbox(self, r, c):
        s = self.find(c, r.name)
        s.status.phase = STARTING
        answer = copy.deepcopy(s)
        s.status.phase = READY
        return pb.SandboxResponse(sandbox=answer)

    def CreateSandbox(self, r, c):
        if r.name in self.sandboxes:
            c.abort(grpc.StatusCode.ALREADY_EXISTS, f"sandbox '{r.name}' already exists")
        s = self.add(r.name or "brave-otter", PROVISIONING)
        s.spec.CopyFrom(r.spec)
        return pb.SandboxResponse(sandbox=s)

    def GetSandboxConfig(self, r, c):
        self.by_id(c, r.sandbox_id)
        rev = self.revisions[-1]
        out = sb.GetSandboxConfigResponse(policy=rev.policy, version=rev.version, policy_hash=rev.policy_hash,
                                          config_revision=11820, policy_source=1)
        for k, (v, scope) in self.settings.items():
            out.settings[k].value.CopyFrom(v)
            out.settings[k].scope = scope
        return out

    def GetGatewayConfig(self, r, c):
        out = sb.GetGatewayConfigResponse(settings_revision=7)
        out.settings["proposal_approval_mode"].string_value = "manual"
        return out

    def UpdateConfig(self, r, c):
        if r.setting_key:
            had = r.setting_key in self.settings
            if r.delete_setting:
                self.settings.pop(r.setting_key, None)
            else:
                self.settings[r.setting_key] = (r.setting_value, 2 if getattr(r, "global") else 1)
            return pb.UpdateConfigResponse(settings_revision=8, deleted=r.delete_setting and had)
        if not getattr(r, "global"):
            self.find(c, r.name)
        last = self.revisions[-1]
        if r.HasField("policy") and r.policy == last.policy:
            return pb.UpdateConfigResponse(version=last.version, policy_hash=last.policy_hash)
        rev = self.revision(last.version + 1, self.status, "b2" * 32)
        if r.HasField("policy"):
            rev.policy.CopyFrom(r.policy)
        rev.load_error = self.error
        self.revisions.append(rev)
        return pb.UpdateConfigResponse(version=rev.version, policy_hash=rev.policy_hash, settings_revision=9)

    def GetSandboxPolicyStatus(self, r, c):
        for rev in reversed(self.revisions):
            if r.version in (0, rev.version):
                return pb.GetSandboxPolicyStatusResponse(revision=rev, active_version=self.revisions[-1].version)
        c.abort(grpc.StatusCode.NOT_FOUND, "no such revision")

    def ListSandboxPolicies(self, r, c):
        return pb.ListSandboxPoliciesResponse(revisions=list(reversed(self.revisions))[: r.limit])

    def line(self, n):
        out = pb.SandboxLogLine(timestamp_ms=1767604003007 + n, level="INFO", target="egress", message=f"m{n}", source="sandbox")
        out.fields["rule"] = "7"
        out.fields["host"] = "a\nb"
        return out

    def GetSandboxLogs(self, r, c):
        return pb.GetSandboxLogsResponse(logs=[self.line(i) for i in range(min(r.lines, 3))], buffer_total=3)

    # ---- streams

    def WatchSandbox(self, r, c):
        s = self.by_id(c, r.id)
        yield pb.SandboxStreamEvent(sandbox=s)
        if r.follow_logs:
            for i in range(3):
                yield pb.SandboxStreamEvent(log=self.line(i))
            return
        for step in self.events:
            if isinstance(step, dict):
                yield pb.SandboxStreamEvent(event=pb.PlatformEvent(source="driver", reason="Scheduled", metadata=step))
            elif step == "hang":
                self.gone.wait(20)
            elif step == "end":
                return
            else:
                s.status.phase = step
                if step == ERROR:
                    s.status.conditions.add(type="Ready", status="False", reason="StartFailed", message="no luck")
                yield pb.SandboxStreamEvent(sandbox=s)

    def ExecSandboxInteractive(self, requests, c):
        start = next(requests).start
        self.asked.append(("Start", start))
        inputs = queue.Queue()

        def pump():
            try:
                for m in requests:
                    inputs.put(m)
            except grpc.RpcError:
                pass
            inputs.put(None)

        threading.Thread(target=pump, daemon=True).start()
        yield from getattr(self, "main" if start.attach_main else "do_" + start.command[0])(start, inputs, c)

    def main(self, start, inputs, c):
        yield out(b"so far\r\n")
        yield from self.do_cat(start, inputs, c)

    def do_cat(self, start, inputs, c):
        while (m := inputs.get()) is not None:
            kind = m.WhichOneof("payload")
            if kind == "stdin" and m.stdin == b"\x04":
                break
            if kind == "stdin":
                yield out(m.stdin)
            elif kind == "resize":
                yield out(f"size {m.resize.cols}x{m.resize.rows}\r\n".encode())
            elif kind == "signal":
                yield out(f"signal {m.signal}\r\n".encode())
            elif kind == "end_of_input":
                break
        yield pb.ExecSandboxEvent(exit=pb.ExecSandboxExit(exit_code=0))

    def do_count(self, start, inputs, c):
        n = 0
        while (m := inputs.get()) is not None and m.WhichOneof("payload") != "end_of_input":
            n += len(m.stdin)
        yield out(b"%d\n" % n)
        yield pb.ExecSandboxEvent(exit=pb.ExecSandboxExit(exit_code=0))

    def do_exit(self, start, inputs, c):
        yield out(b"to out\n")
        yield pb.ExecSandboxEvent(stderr=pb.ExecSandboxStderr(data=b"to err\n"))
        yield pb.ExecSandboxEvent(exit=pb.ExecSandboxExit(exit_code=int(start.command[1])))

    def do_flood(self, start, inputs, c):
        for _ in range(int(start.command[1]) * 16):
            yield out(b"x" * 65536)
        yield pb.ExecSandboxEvent(exit=pb.ExecSandboxExit(exit_code=3))

    def do_lost(self, start, inputs, c):
        yield out(b"before\n")
        c.abort(grpc.StatusCode.UNAVAILABLE, "the supervisor is gone")

    def do_noexit(self, start, inputs, c):
        yield out(b"before\n")

    def do_refuse(self, start, inputs, c):
        c.abort(grpc.StatusCode.FAILED_PRECONDITION, "sandbox is not ready")
        yield


def out(data):
    return pb.ExecSandboxEvent(stdout=pb.ExecSandboxStdout(data=data))


def serve(gateway, address):
    methods = {}
    for m in pb.DESCRIPTOR.services_by_name["OpenShell"].methods:
        if not hasattr(gateway, m.name):
            continue
        types = {}
        for role, d in (("in", m.input_type), ("out", m.output_type)):
            module = sb if d.file.name == "sandbox.proto" else pb
            types[role] = getattr(module, d.name)

        def call(request, context, name=m.name):
            if hasattr(request, "DESCRIPTOR"):
                gateway.asked.append((name, request))
            return getattr(gateway, name)(request, context)

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[(m.name == "ExecSandboxInteractive", m.name in ("WatchSandbox", "ExecSandboxInteractive"))]
        methods[m.name] = make(call, request_deserializer=types["in"].FromString, response_serializer=types["out"].SerializeToString)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(20))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("openshell.v1.OpenShell", methods),))
    server.add_insecure_port(address)
    server.start()
    return server
