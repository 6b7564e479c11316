"""watch.py GATEWAY: what happens to a sandbox, as it happens, by grpcio on the real gateway; TAP."""
import os
import queue
import sys
import tempfile
import threading
import time

import grpc
import openshell_pb2 as pb
import relays
from relays import READY, WAIT, Gateway, error_of, eventually, is_error, ok

relays.METHODS |= {
    "WatchSandbox": ("unary_stream", pb.WatchSandboxRequest, pb.SandboxStreamEvent),
    "PushSandboxLogs": ("stream_unary", pb.PushSandboxLogsRequest, pb.PushSandboxLogsResponse),
    "GetSandboxLogs": ("unary_unary", pb.GetSandboxLogsRequest, pb.GetSandboxLogsResponse),
}


def lines(sid, first, n, **more):
    logs = [pb.SandboxLogLine(timestamp_ms=1000 + i, message=f"line {i}", level="INFO", **more)
            for i in range(first, first + n)]
    return pb.PushSandboxLogsRequest(sandbox_id=sid, logs=logs)


def push(client, *batches):
    return client.PushSandboxLogs(iter(batches))


class View:
    """Reads in a thread, so that what never comes does not hang."""

    def __init__(self, client, **asked):
        self.call = client.WatchSandbox(pb.WatchSandboxRequest(**asked), timeout=60)
        self.seen, self.ended = [], None
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for m in self.call:
                self.seen.append(m)
            self.ended = "OK: "
        except grpc.RpcError as e:
            self.ended = f"{e.code().name}: {e.details()}"

    def has(self, n):
        return eventually(lambda: len(self.seen) >= n)

    def kinds(self):
        return [m.WhichOneof("payload") for m in self.seen]

    def messages(self):
        return [m.log.message for m in self.seen if m.WhichOneof("payload") == "log"]


def try_first(gw, sid):
    user = gw.client()
    view = View(user, id=sid)
    ok(eventually(lambda: view.ended) and view.ended == "OK: " and view.kinds() == ["sandbox"] and
       view.seen[0].sandbox.metadata.id == sid, "the record comes, whatever is followed")
    view = View(user, id=sid, follow_status=True, follow_logs=True, stop_on_terminal=True)
    ok(eventually(lambda: view.ended) and view.kinds() == ["sandbox"] and view.seen[0].sandbox.status.phase == READY,
       "one that is ready ends a watch that waits for it")
    is_error(lambda: list(user.WatchSandbox(pb.WatchSandboxRequest(id="no"))), "NOT_FOUND: sandbox not found", "no such one")
    got = error_of(lambda: list(gw.client(gw.token(sid)).WatchSandbox(pb.WatchSandboxRequest(id=sid))))
    ok(got.startswith("PERMISSION_DENIED: "), "a sandbox watches nobody, itself neither", got)


def try_logs(gw, sid):
    user, agent = gw.client(), gw.client(gw.token(sid))
    push(agent, lines(sid, 0, 50), lines(sid, 50, 50))
    view = View(user, id=sid, follow_logs=True, log_tail_lines=10)
    ok(view.has(11) and view.messages() == [f"line {i}" for i in range(90, 100)], "the last lines first")
    out = queue.Queue()
    thread = threading.Thread(target=lambda: agent.PushSandboxLogs(iter(out.get, None)))
    thread.start()
    live = True
    for i in range(100, 110):
        out.put(lines(sid, i, 1, source="gateway", sandbox_id="somebody"))
        live = live and view.has(12 + i - 100)
    ok(live, "each as it comes, while its stream goes on")
    ok(view.messages() == [f"line {i}" for i in range(90, 110)], "in their order, none twice")
    ok(all(m.log.source == "sandbox" and m.log.sandbox_id == sid for m in view.seen[1:]), "whose they are is not what they say")
    out.put(None)
    thread.join(WAIT)
    got = user.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=sid, lines=20, since_ms=1100))
    ok(got.buffer_total == 20 and [m.message for m in got.logs] == [f"line {i}" for i in range(100, 110)],
       "asked once: the tail, then the time")
    bad = "\x1b[31mred\x1b[0m\r\n\u202eevent\x07"
    push(agent, pb.PushSandboxLogsRequest(sandbox_id=sid, logs=[pb.SandboxLogLine(message=bad, level="OCSF")]))
    ok(view.has(22) and view.messages()[-1] == bad, "control characters arrive as they were, for whoever shows them")
    view.call.cancel()


def try_slow(gw, sid):
    user, agent = gw.client(), gw.client(gw.token(sid))
    call = user.WatchSandbox(pb.WatchSandboxRequest(id=sid, follow_logs=True), timeout=60)
    next(call)
    long = "x" * 2000
    batch = pb.PushSandboxLogsRequest(sandbox_id=sid, logs=[pb.SandboxLogLine(message=long)] * 100)
    push(agent, *[batch] * 150)
    before = gw.rss_kib()
    push(agent, *[batch] * 150)
    ok(gw.rss_kib() - before < 20_000, "a reader that sleeps costs no more memory the longer it sleeps",
       f"{gw.rss_kib() - before} KiB")
    got = error_of(lambda: list(call))
    ok(got.startswith("RESOURCE_EXHAUSTED: watch stream lagged; dropped ") and got.endswith(" messages"),
       "and is told that it has missed something", got)


def try_many(gw, sid):
    user, agent = gw.client(), gw.client(gw.token(sid))
    views = [View(user, id=sid, follow_logs=True) for _ in range(40)]
    ok(all(v.has(1) for v in views), "forty watchers")
    for i in range(20):
        push(agent, lines(sid, i * 20, 20))
    ok(all(v.has(401) for v in views) and all(v.messages() == [f"line {i}" for i in range(400)] for v in views),
       "see the same")
    for v in views:
        v.call.cancel()


def try_restart(gw, sid):
    user, agent = gw.client(), gw.client(gw.token(sid))
    push(agent, lines(sid, 0, 30))
    view = View(user, id=sid, follow_logs=True, follow_status=True)
    view.has(31)
    start = time.monotonic()
    gw.process.terminate()
    ok(gw.process.wait(WAIT) == 0 and time.monotonic() - start < 5, "a gateway with watchers ends at once")
    ok(eventually(lambda: view.ended == "UNAVAILABLE: the gateway is ending"), "and says so", str(view.ended))
    gw.start()
    user, agent = gw.client(), gw.client(gw.token(sid))
    push(agent, lines(sid, 30, 5))
    got = user.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=sid))
    ok([m.message for m in got.logs] == [f"line {i}" for i in range(35)], "the next one has the lines, too",
       str(len(got.logs)))
    time.sleep(0.5)
    gw.process.kill()
    gw.process.wait()
    gw.start()
    got = gw.client().GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=sid))
    ok(len(got.logs) == 35, "also after kill -9", str(len(got.logs)))


def main():
    with tempfile.TemporaryDirectory() as folder:
        gw = Gateway(sys.argv[1], folder)
        try:
            for part in (try_first, try_logs, try_slow, try_many, try_restart):
                part(gw, gw.add_sandbox())
            gw.process.terminate()
            ok(gw.process.wait(WAIT) == 0, "the gateway ends well")
        finally:
            gw.process.kill()
            with open(gw.log.name, encoding="utf-8") as f:
                text = f.read()
            if relays.failed or "ERROR: " in text:
                print("".join(f"# {line}" for line in text.splitlines(True)[-60:]))
    print(f"1..{relays.count}", flush=True)
    os._exit(relays.failed != 0)  # threads of grpcio may still wait


main()
