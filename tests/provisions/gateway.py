"""gateway.py OPENSHELL_SANDBOX: gives a sandbox credentials and routes, changes them, takes them away; TAP."""
import concurrent.futures, pathlib, queue, subprocess, sys, time

import grpc
import inference_pb2 as inf
import openshell_pb2 as pb
import sandbox_pb2 as sb

SCRIPT = """
for i in $(seq 400); do
    curl -s -o /dev/null "https://example.com/try?k=$TOKEN"
    curl -s -o /dev/null https://inference.local/v1/embeddings -d '{"input":"x"}'
    sleep 0.1
done
"""
count = failed = 0
pushes, results, hellos = queue.Queue(), queue.Queue(), queue.Queue()


def ok(good, rule):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {rule}", flush=True)


def environment(revision, value, host="example.com"):
    e = pb.GetSandboxProviderEnvironmentResponse(provider_env_revision=revision)
    if value:
        e.environment["TOKEN"] = value
        b = e.static_credential_bindings["TOKEN"]
        b.credential_identity = "provider:TOKEN"
        b.endpoints.add(host=host, port=443)
    return e


def bundle(revision, model):
    b = inf.GetInferenceBundleResponse(revision=revision)
    b.routes.add(name="r", base_url="https://example.com", model_id=model, protocols=["openai_embeddings"], api_key=f"key-of-{model}")
    return b


def config(request, context):
    p = sb.SandboxPolicy(version=1)
    rule = p.network_policies["echo"]
    e = rule.endpoints.add(host="example.com", ports=[443], protocol="rest", enforcement="enforce", access="full")
    rule.binaries.add(path="/usr/**")
    return sb.GetSandboxConfigResponse(policy=p, version=1, config_revision=1,
                                       launch=sb.LaunchSpec(name="provisioned", command=["/bin/sh", "-c", SCRIPT]))


def connect(messages, context):
    first = next(messages)
    hellos.put(first.hello)
    yield pb.GatewayMessage(session_accepted=pb.SessionAccepted(session_id="1", heartbeat_interval_secs=30))

    def read():
        try:
            for m in messages:
                if m.HasField("config_result"):
                    results.put(m.config_result)
        except grpc.RpcError:
            pass

    concurrent.futures.ThreadPoolExecutor(1).submit(read)
    while (push := pushes.get()) is not None:
        yield pb.GatewayMessage(config_push=push)


def drain(messages, context):
    for _ in messages:
        pass
    return pb.PushSandboxLogsResponse()


def unary(fn, request):
    return grpc.unary_unary_rpc_method_handler(fn, request.FromString, lambda m: m.SerializeToString())


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("openshell.v1.OpenShell", {
            "GetSandboxConfig": unary(config, sb.GetSandboxConfigRequest),
            "GetSandboxProviderEnvironment": unary(lambda r, c: environment(1, "value-one"), pb.GetSandboxProviderEnvironmentRequest),
            "ReportPolicyStatus": unary(lambda r, c: pb.ReportPolicyStatusResponse(), pb.ReportPolicyStatusRequest),
            "PushSandboxLogs": grpc.stream_unary_rpc_method_handler(drain, pb.PushSandboxLogsRequest.FromString,
                                                                    lambda m: m.SerializeToString()),
            "ConnectSupervisor": grpc.stream_stream_rpc_method_handler(connect, pb.SupervisorMessage.FromString,
                                                                       lambda m: m.SerializeToString())}),
        grpc.method_handlers_generic_handler("openshell.inference.v1.Inference", {
            "GetInferenceBundle": unary(lambda r, c: bundle("a", "first-model"), inf.GetInferenceBundleRequest)})))
    server.add_insecure_port("unix:gateway.sock")
    server.start()
    return server


def seen(text, since=0, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if text in pathlib.Path("requests.log").read_text()[since:]:
            return True
        time.sleep(0.05)
    return False


def push(**what):
    push.last = getattr(push, "last", 0) + 1
    pushes.put(pb.ConfigPush(push_id=push.last, **what))
    return results.get(timeout=20)


def main():
    server = serve()
    here = pathlib.Path.cwd()
    child = subprocess.Popen([sys.argv[1], "supervise", "--endpoint", f"unix://{here}/gateway.sock", "--sandbox-id", "s-1", "--log",
                              "log"], stdin=subprocess.DEVNULL)
    pathlib.Path("requests.log").touch()
    ok(seen("GET example.com /try?k=value-one"), "a credential that was there at the start is used")
    ok(seen("POST example.com /v1/embeddings"), "and a route")
    hello = hellos.get(timeout=20)
    ok(hello.provider_env_revision == 1 and hello.inference_revision == "a", "the greeting says which revisions")
    begun = time.monotonic()
    ok(push(provider_environment=environment(2, "value-two")).error == "", "a rotated credential is taken")
    ok(time.monotonic() - begun < 1, "at once")
    ok(seen("/try?k=value-two"), "and the placeholder of before gives its value")
    ok(push(inference=bundle("b", "second-model")).error == "", "other routes are taken")
    at = pathlib.Path("requests.log").stat().st_size
    ok(seen("POST example.com /v1/embeddings", at), "and used")
    refused = push(provider_environment=environment(3, "value-three", host=""))
    ok("binds it to nothing" in refused.error, "a binding to nothing is refused")
    time.sleep(1)
    at = pathlib.Path("requests.log").stat().st_size
    ok(not seen("/try?k=", at, 2), "and revokes what was there")
    ok(push(provider_environment=environment(4, "value-four")).error == "" and seen("/try?k=value-four", at) is False,
       "after it was gone, the placeholder of before stands for nobody's")
    text = pathlib.Path("log").read_text()
    ok("value-" not in text and "key-of" not in text, "no value is in the log")
    pushes.put(None)
    child.terminate()
    ok(child.wait(20) is not None, "it ends")
    server.stop(0)
    print(f"1..{count}")
    sys.exit(failed > 0)


main()
