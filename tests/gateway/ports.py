"""ports.py GATEWAY: what a gateway tells probes, Prometheus and tools that know nothing of it. In TAP."""
import http.client
import json
import os
import re
import sys
import tempfile
import time

import grpc
import grpc_health_pb2 as hpb
import grpc_reflection_pb2 as rpb
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tls import Gateway, denied, ok
import tls

REFLECTION = "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo"


def get(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def try_health(gateway):
    port = gateway.port("gateway.health-listening")
    answer, body = get(port, "/healthz")
    ok(answer.status == 200 and body == b"", "/healthz")
    end = time.monotonic() + 10
    while time.monotonic() < end and get(port, "/readyz")[0].status != 200:
        time.sleep(0.05)
    for path in ("/readyz", "/health"):
        answer, body = get(port, path)
        value = json.loads(body)
        ok(answer.status == 200 and value["status"] == "healthy" and value["version"] and
           value["checks"]["database"]["status"] == "healthy" and
           value["checks"]["database"]["latency_ms"] >= 0, f"{path}: {body.decode().strip()}")
    ok(get(port, "/metrics")[0].status == 404, "metrics are not on the port of health")
    ok(get(port, "/healthz", "POST")[0].status == 405, "nothing is posted there")


def metric(text, name, **labels):
    inside = ",".join(f'{k}="{v}"' for k, v in labels.items())
    found = re.search(rf"^{re.escape(name + ('{' + inside + '}' if inside else ''))} (\S+)$", text, re.M)
    return float(found.group(1)) if found else None


def try_metrics(gateway, channel):
    port = gateway.port("gateway.metrics-listening")
    health = channel.unary_unary("/openshell.v1.OpenShell/Health")
    for _ in range(3):
        health(b"", timeout=10)
    tls.ask_on(channel, "GetCurrentUser")
    channel.unary_unary("/no.such/Method")
    try:
        channel.unary_unary("/no.such/Method")(b"", timeout=10)
    except grpc.RpcError:
        pass
    answer, body = get(port, "/metrics")
    text = body.decode()
    total = "openshell_server_grpc_requests_total"
    ok(answer.status == 200 and answer.getheader("content-type").startswith("text/plain; version=0.0.4"), "/metrics")
    ok(metric(text, total, method="Health", code="OK") == 3, "calls are counted", text)
    ok(metric(text, total, method="unknown", code="UNIMPLEMENTED") == 1, "calls that nothing serves, without their names", text)
    ok(metric(text, "openshell_server_grpc_request_duration_seconds_count", method="Health", code="OK") == 3,
       "and how long they took")
    ok(metric(text, "openshell_server_readiness_database_healthy") == 1, "the store is healthy")
    ok(get(port, "/healthz")[0].status == 404, "health is not on the port of metrics")


class Mirror:
    """Asks the reflection service and builds what it needs from the answers, as tools do."""

    def __init__(self, channel, version):
        self.channel, self.version = channel, version
        self.pool = descriptor_pool.DescriptorPool()
        self.seen = set()

    def ask(self, *questions):
        call = self.channel.stream_stream(REFLECTION % self.version,
                                          request_serializer=rpb.ServerReflectionRequest.SerializeToString,
                                          response_deserializer=rpb.ServerReflectionResponse.FromString)
        return list(call(iter([rpb.ServerReflectionRequest(**q) for q in questions]), timeout=20))

    def load(self, symbol):
        answer = self.ask({"file_containing_symbol": symbol})[0]
        files = [descriptor_pb2.FileDescriptorProto.FromString(raw)
                 for raw in answer.file_descriptor_response.file_descriptor_proto]
        while files:
            for f in files:
                if all(d in self.seen for d in f.dependency):
                    if f.name not in self.seen:
                        self.pool.Add(f)
                    self.seen.add(f.name)
                    files.remove(f)
                    break
            else:
                raise RuntimeError("an import is missing")
        return self.pool


def try_reflection(channel):
    for version in ("v1", "v1alpha"):
        mirror = Mirror(channel, version)
        services = [s.name for s in mirror.ask({"list_services": ""})[0].list_services_response.service]
        ok("openshell.v1.OpenShell" in services and "grpc.health.v1.Health" in services and
           f"grpc.reflection.{version}.ServerReflection" in services and
           not any("compute" in s for s in services), f"{version}: lists the services that it serves", services)
        pool = mirror.load("openshell.v1.OpenShell")
        method = pool.FindServiceByName("openshell.v1.OpenShell").FindMethodByName("Health")
        make = {d: message_factory.MessageFactory(pool).GetPrototype(d) for d in (method.input_type, method.output_type)}
        call = channel.unary_unary("/openshell.v1.OpenShell/Health",
                                   request_serializer=make[method.input_type].SerializeToString,
                                   response_deserializer=make[method.output_type].FromString)
        ok(call(make[method.input_type](), timeout=10).version, f"{version}: a method is called by what it tells alone")
    mirror = Mirror(channel, "v1")
    for symbol in ("openshell.v1.OpenShell.Health", "openshell.v1.HealthRequest", "openshell.v1.CreateSandboxRequest.name",
                   "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc.health.v1.HealthCheckResponse.SERVING"):
        ok(mirror.ask({"file_containing_symbol": symbol})[0].HasField("file_descriptor_response"), f"knows {symbol}")
    extension = {"containing_type": "google.protobuf.MethodOptions", "extension_number": 50000}
    answers = mirror.ask({"file_by_filename": "options.proto"}, {"file_containing_extension": extension},
                         {"all_extension_numbers_of_type": "google.protobuf.MethodOptions"},
                         {"file_by_filename": "../etc/passwd"}, {"file_containing_symbol": "no.such"},
                         {"all_extension_numbers_of_type": "no.such"})
    ok(answers[0].file_descriptor_response.file_descriptor_proto[0] ==
       answers[1].file_descriptor_response.file_descriptor_proto[0], "an extension's file is found")
    ok(list(answers[2].all_extension_numbers_response.extension_number) == [50000], "and its number")
    ok([a.error_response.error_code for a in answers[3:]] == [5, 5, 5], "what is not there is NOT_FOUND", answers[3:])
    ok(answers[4].original_request.file_containing_symbol == "no.such", "answers repeat their question")
    many = mirror.ask(*[{"file_containing_symbol": "openshell.v1.OpenShell"}] * 200)
    ok(len(many) == 200 and len({a.SerializeToString() for a in many}) == 1, "200 questions on one stream, 200 answers")
    try:
        mirror.ask({})
        ok(False, "a question without content is an error")
    except grpc.RpcError as e:
        ok(e.code() == grpc.StatusCode.INVALID_ARGUMENT, "a question without content is an error")


def try_grpc_health(channel):
    check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=hpb.HealthCheckRequest.SerializeToString,
                                response_deserializer=hpb.HealthCheckResponse.FromString)
    for service in ("", "openshell.v1.OpenShell"):
        ok(check(hpb.HealthCheckRequest(service=service), timeout=10).status == hpb.HealthCheckResponse.SERVING,
           f"gRPC's own health check of '{service}'")
    try:
        check(hpb.HealthCheckRequest(service="no.such"), timeout=10)
        ok(False, "of a service that is not there")
    except grpc.RpcError as e:
        ok(e.code() == grpc.StatusCode.NOT_FOUND, "of a service that is not there")


def try_rate(program, folder):
    with Gateway(program, folder, "--port", "0", "--disable-tls", "--grpc-rate-limit-requests", "5",
                 "--grpc-rate-limit-window-seconds", "2") as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.port()}") as channel:
            answers = [tls.ask_on(channel, "Health") for _ in range(8)]
            ok(sum(not isinstance(a, grpc.RpcError) for a in answers) == 5 and
               all(denied(a, grpc.StatusCode.RESOURCE_EXHAUSTED, "gRPC rate limit exceeded") for a in answers[5:]),
               "a window takes as many calls as it was given", answers)
            time.sleep(2.1)
            ok(not isinstance(tls.ask_on(channel, "Health"), grpc.RpcError), "and the next one takes more")


def main():
    program = os.path.realpath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        tls.clean(folder)
        with Gateway(program, folder, "--port", "0", "--disable-tls", "--health-port", "0", env={
                "OPENSHELL_HEALTH_PORT": "0"}) as gateway:
            ok("health-listening" not in gateway.text(), "port 0 is none")
        path = f"{folder}/gateway.toml"
        with open(path, "w", encoding="utf-8") as f:
            f.write('[openshell.gateway]\nbind_address = "127.0.0.1:0"\ndisable_tls = true\n'
                    'health_bind_address = "127.0.0.1:0"\nmetrics_bind_address = "127.0.0.1:0"\n'
                    "auth.allow_unauthenticated_users = true\n")
        with Gateway(program, folder, "--config", path) as gateway:
            with grpc.insecure_channel(f"127.0.0.1:{gateway.port()}",
                                       options=[("grpc.max_receive_message_length", 16 << 20)]) as channel:
                try_health(gateway)
                try_metrics(gateway, channel)
                try_grpc_health(channel)
                try_reflection(channel)
        ok(gateway.status == 0, "it ends cleanly", gateway.text())
        tls.fails(program, "Address already in use|address already in use", "a port that is taken", "--socket",
                  f"{folder}/other", "--state-dir", f"{folder}/other-state", "--metrics-port", str(take()))
        try_rate(program, folder)
    print(f"1..{tls.count}")
    return tls.failed != 0


HELD = []


def take():
    import socket  # pylint: disable=import-outside-toplevel
    HELD.append(socket.create_server(("127.0.0.1", 0)))
    return HELD[-1].getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
