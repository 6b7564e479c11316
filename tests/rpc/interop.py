"""interop.py PEER: grpcio as a client of our server, over a Unix socket, TCP and TLS, and as a server for our client."""
import concurrent.futures
import os
import queue
import subprocess
import sys
import tempfile
import threading

import grpc
import openshell_pb2 as pb

SERVICE = "/openshell.v1.OpenShell/"
count = failed = 0


def ok(good, rule):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {rule}", flush=True)


def status_of(call):
    try:
        call()
        return None
    except grpc.RpcError as e:
        return e


def method(channel, kind, name, request, response):
    return getattr(channel, kind)(SERVICE + name, request_serializer=request.SerializeToString,
                                  response_deserializer=response.FromString)


def frames(sizes):
    return (pb.RelayFrame(data=b"x" * n) for n in sizes)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def open_channel(target, credentials):
    options = [("grpc.max_receive_message_length", 64 << 20)]
    if credentials:
        return grpc.secure_channel(target, credentials, options=options)
    return grpc.insecure_channel(target, options=options + [("grpc.default_authority", "localhost")])


def try_server(target, where, credentials=None):
    with open_channel(target, credentials) as channel:
        health = method(channel, "unary_unary", "Health", pb.HealthRequest, pb.HealthResponse)
        get = method(channel, "unary_unary", "GetSandbox", pb.GetSandboxRequest, pb.SandboxResponse)
        watch = method(channel, "unary_stream", "WatchSandbox", pb.WatchSandboxRequest, pb.SandboxStreamEvent)
        push = method(channel, "stream_unary", "PushSandboxLogs", pb.PushSandboxLogsRequest, pb.PushSandboxLogsResponse)
        relay = method(channel, "stream_stream", "RelayStream", pb.RelayFrame, pb.RelayFrame)

        answer = health(pb.HealthRequest(), metadata=[("x-text", "hi"), ("x-raw-bin", b"\0\1\2")])
        ok(answer.version == "hi/3", f"{where}: unary, with metadata of both kinds")
        e = status_of(lambda: get(pb.GetSandboxRequest(name="ü")))
        ok(e.code() == grpc.StatusCode.ABORTED and e.details() == "100% of 'ü'", f"{where}: an error and its text")
        e = status_of(lambda: get(pb.GetSandboxRequest(name="hang"), timeout=0.2))
        ok(e.code() == grpc.StatusCode.DEADLINE_EXCEEDED, f"{where}: a deadline")
        future = get.future(pb.GetSandboxRequest(name="hang"))
        future.cancel()
        ok(future.cancelled(), f"{where}: a cancelled call")
        for n, size in ((2000, 1000), (3, 3000000), (0, 0)):
            got = list(watch(pb.WatchSandboxRequest(log_tail_lines=n, event_tail=size)))
            ok([g.log.timestamp_ms for g in got] == list(range(n)) and all(len(g.log.message) == size for g in got),
               f"{where}: a stream of {n} messages of {size} bytes")
        stream = watch(pb.WatchSandboxRequest(log_tail_lines=1000000, event_tail=1000))
        next(stream)
        stream.cancel()
        ok(health(pb.HealthRequest()).version == "-/1", f"{where}: a stream that is cancelled leaves the rest alone")

        def requests(n):
            return (pb.PushSandboxLogsRequest(logs=[pb.SandboxLogLine()] * 3) for _ in range(n))

        ok(push(requests(4)) == pb.PushSandboxLogsResponse(), f"{where}: messages, one answer")
        e = status_of(lambda: push(requests(5)))
        ok(e.code() == grpc.StatusCode.INVALID_ARGUMENT and e.details() == "15 lines are not 12",
           f"{where}: messages, one error")
        sizes = [0, 1, 5, 10, 100000, 1000000, 3]
        ok([len(f.data) for f in relay(frames(sizes))] == sizes, f"{where}: both ways, large and small")
        todo = queue.Queue()
        answers = relay(iter(todo.get, None))
        in_turn = []
        for n in (1, 2, 3):
            todo.put(pb.RelayFrame(data=b"y" * n))
            in_turn.append(len(next(answers).data))
        todo.put(None)
        ok(in_turn == [1, 2, 3] and list(answers) == [], f"{where}: both ways in turn")
        e = status_of(lambda: list(relay(frames([7]))))
        ok(e.code() == grpc.StatusCode.NOT_FOUND and e.details() == "tür" and
           ("grpc-status-details-bin", b"\x08\x05\x12\x01x") in e.trailing_metadata(), f"{where}: status details")
        e = status_of(lambda: list(relay(frames([1048576]))))
        ok(e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, f"{where}: a message past the limit: {e.details()}")
        packed = relay(frames([100000, 2]), compression=grpc.Compression.Gzip)
        ok([len(f.data) for f in packed] == [100000, 2], f"{where}: gzip from the client")
        service = pb.DESCRIPTOR.services_by_name["OpenShell"]
        mine = ("Health", "GetSandbox", "WatchSandbox", "PushSandboxLogs", "RelayStream")
        wrong = []
        for m in service.methods:
            if m.name not in mine:
                e = status_of(lambda: list(channel.unary_stream(SERVICE + m.name)(b"")))
                if e is None or e.code() != grpc.StatusCode.UNIMPLEMENTED or m.name not in e.details():
                    wrong.append(m.name)
        ok(not wrong, f"{where}: every other method is UNIMPLEMENTED, by its name {wrong}")
        e = status_of(lambda: channel.unary_unary("/grpc.reflection.v1.ServerReflection/X")(b""))
        ok(e.code() == grpc.StatusCode.UNIMPLEMENTED, f"{where}: so is one of a service that is not there")
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            got = list(pool.map(lambda _: health(pb.HealthRequest()).version, range(1000)))
        ok(got == ["-/1"] * 1000, f"{where}: a thousand calls, fifty at a time")


def client_credentials(folder, ca="ca.crt", who="client"):
    pair = (read(f"{folder}/{who}.key"), read(f"{folder}/{who}.crt")) if who else (None, None)
    return grpc.ssl_channel_credentials(read(f"{folder}/{ca}"), *pair)


def try_strangers(port, folder):
    """Who is not let in, or does not go in."""
    for target, ca, who, rule in ((f"127.0.0.1:{port}", "ca.crt", None, "no client certificate"),
                                  (f"127.0.0.1:{port}", "ca.crt", "expired", "a client certificate that has expired"),
                                  (f"127.0.0.1:{port}", "ca.crt", "foreign", "a client certificate of another CA"),
                                  (f"127.0.0.1:{port}", "other-ca.crt", "client", "another CA than the server's"),
                                  (f"127.0.0.2:{port}", "ca.crt", "client", "an address that is not in the certificate")):
        with grpc.secure_channel(target, client_credentials(folder, ca, who)) as channel:
            health = method(channel, "unary_unary", "Health", pb.HealthRequest, pb.HealthResponse)
            e = status_of(lambda: health(pb.HealthRequest(), timeout=10))  # pylint: disable=cell-var-from-loop
            ok(e is not None and e.code() == grpc.StatusCode.UNAVAILABLE, f"tls: no call with {rule}")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = method(channel, "unary_unary", "Health", pb.HealthRequest, pb.HealthResponse)
        e = status_of(lambda: health(pb.HealthRequest(), timeout=10))
        ok(e is not None and e.code() == grpc.StatusCode.UNAVAILABLE, "tls: no call without TLS")


class Server(grpc.GenericRpcHandler):
    """What peer.c serves, by grpcio."""

    def service(self, details):
        name = details.method[len(SERVICE):]
        make = {"Health": (grpc.unary_unary_rpc_method_handler, self.health, pb.HealthRequest),
                "GetSandbox": (grpc.unary_unary_rpc_method_handler, self.get, pb.GetSandboxRequest),
                "WatchSandbox": (grpc.unary_stream_rpc_method_handler, self.watch, pb.WatchSandboxRequest),
                "PushSandboxLogs": (grpc.stream_unary_rpc_method_handler, self.push, pb.PushSandboxLogsRequest),
                "RelayStream": (grpc.stream_stream_rpc_method_handler, self.relay, pb.RelayFrame)}.get(name)
        return make and make[0](make[1], request_deserializer=make[2].FromString,
                                response_serializer=lambda m: m.SerializeToString())

    def health(self, _, context):
        meta = dict(context.invocation_metadata())
        return pb.HealthResponse(version=f"{meta.get('x-text', '-')}/{len(meta.get('x-raw-bin', '-'))}")

    def get(self, request, context):
        if request.name == "hang":
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(10)
        context.abort(grpc.StatusCode.ABORTED, f"100% of '{request.name}'")

    def watch(self, request, _):
        for n in range(request.log_tail_lines):
            line = pb.SandboxLogLine(timestamp_ms=n, message="a" * request.event_tail)
            yield pb.SandboxStreamEvent(log=line)

    def push(self, requests, context):
        n = sum(len(r.logs) for r in requests)
        if n != 12:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{n} lines are not 12")
        return pb.PushSandboxLogsResponse()

    def relay(self, requests, context):
        for r in requests:
            if len(r.data) == 7:
                context.set_trailing_metadata([("grpc-status-details-bin", b"\x08\x05\x12\x01x")])
                context.abort(grpc.StatusCode.NOT_FOUND, "tür")
            yield r


def try_client(peer, endpoint, compression, folder=None):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[Server()], compression=compression,
                         options=[("grpc.max_send_message_length", 64 << 20)])
    path = endpoint.removeprefix("unix:")
    extra = []
    if folder:
        port = server.add_secure_port(endpoint, grpc.ssl_server_credentials(
            [(read(f"{folder}/server.key"), read(f"{folder}/server.crt"))], read(f"{folder}/ca.crt"), True))
        target, extra = f"https://localhost:{port}", [folder]
    else:
        port = server.add_insecure_port(endpoint)
        target = endpoint if path != endpoint else f"http://127.0.0.1:{port}"
    server.start()
    result = subprocess.run([peer, "call", target, *extra], capture_output=True, text=True, timeout=60, check=False)
    where = f"our client, {endpoint}, {compression.name}{', mTLS' if folder else ''}"
    for line in result.stdout.splitlines():
        if line.startswith(("ok", "not ok")):
            ok(line.startswith("ok"), f"{where}: {line.split(' - ', 1)[1]}")
    ok(result.returncode == 0 and result.stdout.endswith("1..11\n"), f"our client is content {result.stderr}")
    if folder:
        result = subprocess.run([peer, "call", target], capture_output=True, text=True, timeout=60, check=False)
        ok(result.returncode == 1 and "certificate" in result.stderr, f"{where}: another CA: {result.stderr.strip()}")
    server.stop(None)


def main():
    peer = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        subprocess.run([peer, "certs", folder], check=True)
        with subprocess.Popen([peer, "serve", path, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as server:
            port, tls_port = map(int, server.stdout.readline().split())
            try_server(f"unix:{path}", "unix")
            try_server(f"127.0.0.1:{port}", "tcp")
            try_server(f"localhost:{tls_port}", "mtls", client_credentials(folder))
            try_strangers(tls_port, folder)
            server.stdin.close()
            ok(server.wait(10) == 0, "our server ends cleanly")
        try_client(peer, f"unix:{folder}/theirs", grpc.Compression.NoCompression)
        try_client(peer, "127.0.0.1:0", grpc.Compression.Gzip)
        try_client(peer, "127.0.0.1:0", grpc.Compression.NoCompression, folder)
    print(f"1..{count}")
    return failed != 0


sys.exit(main())
