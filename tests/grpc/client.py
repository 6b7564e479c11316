"""Calls from inside a sandbox, through the proxy that its variables name; TAP."""
import os, queue, grpc

number = bad = 0


def ok(good, rule, note=""):
    global number, bad
    number += 1
    bad += not good
    print(f"{'' if good else 'not '}ok {number} - {rule}", "" if good else f"\n# {note}", flush=True)


with open(os.environ["SSL_CERT_FILE"], "rb") as f:
    roots = f.read()
channel = grpc.secure_channel("bench.example.com:443", grpc.ssl_channel_credentials(roots),
                              options=[("grpc.max_receive_message_length", 64 << 20)])


def method(name):
    return channel.unary_unary("/pkg.Service/" + name)


def failure(name, request):
    try:
        return method(name)(request, timeout=20)
    except grpc.RpcError as e:
        return e.code(), e.details()


answer, call = method("Echo").with_call(b"hello", timeout=20)
ok(answer == b"hello" and ("x-trailer", "kept") in [tuple(m) for m in call.trailing_metadata()],
   "an answer has its trailers", (answer, call.trailing_metadata()))
got = failure("Echo", b"fail")
ok(got == (grpc.StatusCode.NOT_FOUND, "no such thing"), "a status and its message arrive", got)
got = failure("Delete", b"x")
ok(got[0] == grpc.StatusCode.PERMISSION_DENIED, "a method that the policy does not name is refused", got)

outgoing = queue.Queue()
chat = channel.stream_stream("/pkg.Service/Chat")(iter(outgoing.get, None), timeout=30)
said = []
for i in range(5):
    outgoing.put(b"%d" % i)
    said.append(next(chat))
ok(said == [b"echo:%d" % i for i in range(5)], "each message is answered before the next is sent", said)
outgoing.put(None)
ok(list(chat) == [] and [tuple(m) for m in chat.trailing_metadata()] == [("x-trailer", "at the end")],
   "a stream ends with its trailers", chat.trailing_metadata())

big = os.urandom(8 << 20)
ok(method("Echo")(big, timeout=60) == big, "eight megabytes there and back")
calls = [method("Echo").future(b"%d" % i * 1000, timeout=60) for i in range(500)]
same = sum(c.result() == b"%d" % i * 1000 for i, c in enumerate(calls))
ok(same == 500, "five hundred calls at once", same)
calls = [method("Echo").future(big[:100000], timeout=60) for _ in range(50)]
for c in calls[::2]:
    c.cancel()
whole = sum(c.result() == big[:100000] for c in calls[1::2])
ok(whole == 25, "calls that are cancelled do not harm the others", whole)
print(f"1..{number}")
raise SystemExit(bad > 0)
