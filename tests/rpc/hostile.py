"""hostile.py PEER: frames that RFC 9113 forbids, and floods of those that it allows, against our server, over TCP and TLS.
In TAP. No library of HTTP/2 would write these, so the bytes are made here."""
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 1, 4, 8, 32, 1
NO_ERROR, PROTOCOL, INTERNAL, FLOW, _, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION, _, CALM = range(12)
count = failed = 0


def ok(good, rule, note=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {rule}", flush=True)
    if not good:
        print(f"# {note}", flush=True)


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    """A literal without indexing (RFC 7541 section 6.2.2); short strings, no Huffman."""
    def string(s):
        return bytes([len(s)]) + s if len(s) < 127 else b"\x7f" + varint(len(s) - 127) + s
    return b"\0" + string(name) + string(value)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


CALL = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/openshell.v1.OpenShell/Health"), (b":authority", b"x"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers")]
MESSAGE = b"\0\0\0\0\0"


def block(fields):
    return b"".join(field(n, v) for n, v in fields)


def headers(stream=1, fields=None, flags=END_HEADERS, before=b"", after=b""):
    return frame(HEADERS, flags, stream, before + block(CALL if fields is None else fields) + after)


def call(stream=1, fields=None):
    return headers(stream, fields) + frame(DATA, END_STREAM, stream, MESSAGE)


def without(name):
    return [f for f in CALL if f[0] != name]


def replaced(name, value):
    return [(n, value if n == name else v) for n, v in CALL]


# Rule, bytes behind the client's greeting, what becomes of it: ALIVE (a later PING is answered), ("goaway", codes), ("rst",
# codes): the stream is reset and the connection goes on, or ends with one of these.
ALIVE = ("alive", ())
CONNECTION = ("goaway", (PROTOCOL, INTERNAL, FLOW, CLOSED, SIZE, COMPRESSION, CALM))
BAD = ("goaway", (PROTOCOL,))
BAD_SIZE = ("goaway", (SIZE, PROTOCOL))
STREAM = ("rst", (PROTOCOL, CLOSED, FLOW, REFUSED, CANCEL, SIZE))
ROWS = [
    ("a call, for a measure", call(), ("answer", ())),
    ("a frame of a kind that nobody knows", frame(0xEE, 0xFF, 7, b"x" * 100), ALIVE),
    ("a frame that is longer than was offered", frame(DATA, 0, 1, b"x" * 20000), BAD_SIZE),
    ("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, b"x" * 5), BAD_SIZE),
    ("SETTINGS on a stream", frame(SETTINGS, 0, 1), BAD),
    ("SETTINGS that acknowledge and have content", frame(SETTINGS, ACK, 0, b"x" * 6), BAD_SIZE),
    ("a window larger than may be", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), ("goaway", (FLOW,))),
    ("a frame size smaller than may be", frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 100)), BAD),
    ("ENABLE_PUSH of 2", frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2)), BAD),
    ("a setting that nobody knows", frame(SETTINGS, 0, 0, struct.pack(">HI", 0x7777, 1)), ALIVE),
    ("PING of 7 bytes", frame(PING, 0, 0, b"x" * 7), BAD_SIZE),
    ("PING on a stream", frame(PING, 0, 1, b"x" * 8), BAD),
    ("a window that grows by 0, of the connection", frame(WINDOW, 0, 0, b"\0" * 4), BAD),
    ("a window past 2^31-1, of the connection", frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)), ("goaway", (FLOW,))),
    ("WINDOW_UPDATE of 3 bytes", frame(WINDOW, 0, 0, b"\0" * 3), BAD_SIZE),
    ("WINDOW_UPDATE on a stream that is idle", frame(WINDOW, 0, 5, struct.pack(">I", 1)), BAD),
    ("DATA on the connection", frame(DATA, 0, 0, b"x"), BAD),
    ("DATA on a stream that is idle", frame(DATA, 0, 5, b"x"), CONNECTION),
    ("padding longer than its frame", headers() + frame(DATA, PADDED, 1, b"\xff" + b"x" * 10), BAD),
    ("DATA behind the end", call() + frame(DATA, 0, 1, b"x"), ("rst or goaway", ())),
    ("HEADERS on the connection", frame(HEADERS, END_HEADERS, 0, block(CALL)), BAD),
    ("HEADERS on an even stream", headers(2), BAD),
    # nghttp2 takes no notice of it, which harms nobody.
    ("a stream with a smaller number than one before", call(5) + call(3), ("any", ())),
    ("a stream that depends on itself", frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, struct.pack(">IB", 1, 0) + block(CALL)),
     ("any", ())),
    ("PRIORITY of 4 bytes", frame(PRIORITY, 0, 1, b"\0" * 4), ("any", ())),
    ("PRIORITY on the connection", frame(PRIORITY, 0, 0, b"\0" * 5), BAD),
    ("RST_STREAM of 3 bytes", headers() + frame(RST, 0, 1, b"\0" * 3), BAD_SIZE),
    ("RST_STREAM on a stream that is idle", frame(RST, 0, 5, b"\0" * 4), BAD),
    ("RST_STREAM on the connection", frame(RST, 0, 0, b"\0" * 4), BAD),
    ("a promise from a client", frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + block(CALL)), BAD),
    ("CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, block(CALL)), BAD),
    ("another frame between HEADERS and CONTINUATION", headers(flags=0) + frame(PING, 0, 0, b"x" * 8), BAD),
    ("CONTINUATION of another stream", headers(flags=0) + frame(CONTINUATION, END_HEADERS, 3), BAD),
    ("GOAWAY of 3 bytes", frame(GOAWAY, 0, 0, b"x" * 3), BAD_SIZE),
    ("HPACK: an index that is not there", frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\x7f"), ("goaway", (COMPRESSION,))),
    ("HPACK: index 0", frame(HEADERS, END_HEADERS, 1, b"\x80"), ("goaway", (COMPRESSION,))),
    ("HPACK: a string longer than its block", frame(HEADERS, END_HEADERS, 1, b"\0\x7f\x00abc"), ("goaway", (COMPRESSION, PROTOCOL))),
    ("HPACK: Huffman with wrong padding", frame(HEADERS, END_HEADERS, 1, b"\0\x81\x00\x00"), ("goaway", (COMPRESSION,))),
    ("HPACK: a table larger than was offered", frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\xff\x7f"), ("goaway", (COMPRESSION,))),
    ("a name in upper case", call(fields=CALL + [(b"X-Upper", b"1")]), STREAM),
    ("a name with a colon", call(fields=CALL + [(b"x:y", b"1")]), STREAM),
    ("a value with a newline", call(fields=CALL + [(b"x", b"a\nb")]), STREAM),
    ("a value with a NUL", call(fields=CALL + [(b"x", b"a\0b")]), STREAM),
    ("no :method", call(fields=without(b":method")), STREAM),
    ("no :path", call(fields=without(b":path")), STREAM),
    ("no :scheme", call(fields=without(b":scheme")), STREAM),
    ("two :path", call(fields=CALL[:3] + [CALL[2]] + CALL[3:]), STREAM),
    ("an empty :path", call(fields=replaced(b":path", b"")), STREAM),
    ("a pseudo-header that nobody knows", call(fields=[(b":x", b"1")] + CALL), STREAM),
    ("a pseudo-header behind others", call(fields=CALL[4:] + CALL[:4]), STREAM),
    ("connection-specific: connection", call(fields=CALL + [(b"connection", b"close")]), STREAM),
    ("connection-specific: transfer-encoding", call(fields=CALL + [(b"transfer-encoding", b"chunked")]), STREAM),
    ("te other than trailers", call(fields=replaced(b"te", b"gzip")), STREAM),
    ("a length that is not that of the body", call(fields=CALL + [(b"content-length", b"3")]), STREAM),
    ("GET", call(fields=replaced(b":method", b"GET")), ("answer", ())),
    ("another content type", call(fields=replaced(b"content-type", b"text/html")), ("answer", ())),
    ("a message with a flag that is none", headers() + frame(DATA, END_STREAM, 1, b"\x02\0\0\0\0"), ("answer", ())),
    ("a message that is cut", headers() + frame(DATA, END_STREAM, 1, b"\0\0\0\0\x05ab"), ("answer", ())),
    ("a message longer than may be", headers() + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"), ("answer", ())),
    ("two messages to a method that takes one", headers() + frame(DATA, END_STREAM, 1, MESSAGE * 2), ("answer", ())),
    ("headers of 200 KB", headers(flags=0) + b"".join(frame(CONTINUATION, 0, 1, field(b"x", b"y" * 16000)) for _ in range(13)) +
     frame(CONTINUATION, END_HEADERS, 1), ("refused", ())),
    ("CONTINUATION without end", headers(flags=0) + frame(CONTINUATION, 0, 1, field(b"x", b"y" * 100)) * 20000, ("refused", ())),
    ("CONTINUATION of nothing, without end", headers(flags=0) + frame(CONTINUATION, 0, 1) * 20000, ("refused", ())),
    ("an HPACK bomb", frame(HEADERS, END_HEADERS, 1, block(CALL) + b"\x40\x01x\x7f\x81\x1e" + b"y" * 4000 + b"\xbe" * 12000),
     ("refused", ())),
    ("more streams than were offered", b"".join(headers(n) for n in range(1, 2001, 2)), ("any", ())),
    ("PING without end", frame(PING, 0, 0, b"x" * 8) * 50000, ("refused", ())),
    ("SETTINGS without end", frame(SETTINGS) * 50000, ("refused", ())),
    ("empty DATA without end", headers() + frame(DATA, 0, 1) * 50000, ("refused", ())),
    ("rapid reset", b"".join(call(n) + frame(RST, 0, n, struct.pack(">I", CANCEL)) for n in range(1, 40001, 2)), ("refused", ())),
    ("streams that are reset by breaking them", b"".join(headers(n) + frame(WINDOW, 0, n, b"\0" * 4) for n in range(1, 40001, 2)),
     ("refused", ())),
    ("PRIORITY without end", frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") * 50000, ("refused", ())),
    ("windows without end", headers() + frame(WINDOW, 0, 1, struct.pack(">I", 1)) * 50000, ("any", ())),
]


class Peer:
    def __init__(self, port, context):
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket = context.wrap_socket(raw, server_hostname="localhost") if context else raw
        self.data = b""

    def send(self, data):
        """As much as the server takes: it may have closed."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def frames(self, until):
        """Frames as they come, until the end of the connection or a PING that is answered."""
        while time.monotonic() < until:
            if len(self.data) >= 9 and len(self.data) >= 9 + int.from_bytes(self.data[:3], "big"):
                size = int.from_bytes(self.data[:3], "big")
                kind, flags, stream = self.data[3], self.data[4], int.from_bytes(self.data[5:9], "big")
                payload, self.data = self.data[9:9 + size], self.data[9 + size:]
                yield kind, flags, stream, payload
                continue
            try:
                more = self.socket.recv(65536)
            except (socket.timeout, OSError):
                more = b""
            if not more:
                yield None
                return
            self.data += more
        yield "late"


def outcome(port, context, data, patient=False):
    """What the server did: the code of GOAWAY, codes of RST_STREAM, how often it answered, whether it is alive.
    `patient`: waits for an answer, too, which comes from another thread."""
    peer = Peer(port, context)
    peer.send(PREFACE + frame(SETTINGS))
    sent = peer.send(data)
    sent = peer.send(frame(PING, 0, 0, b"are you?")) and sent
    found = {"goaway": None, "rst": [], "alive": False, "late": False, "headers": 0}
    for f in peer.frames(time.monotonic() + 15):
        if f is None or f == "late":
            found["late"] = f == "late"
            break
        kind, flags, stream, payload = f
        if kind == GOAWAY:
            found["goaway"] = struct.unpack(">I", payload[4:8])[0]
        elif kind == RST:
            found["rst"].append(struct.unpack(">I", payload)[0])
        elif kind == HEADERS:
            found["headers"] += 1
            if patient and flags & END_STREAM:
                break
        elif kind == PING and flags & ACK and payload == b"are you?":
            found["alive"] = True
            peer.send(frame(PING, 0, 0, b"and now?"))
        elif kind == PING and flags & ACK and payload == b"and now?" and not (patient and not found["rst"]):
            break
    peer.socket.close()
    return found


def judge(want, found):
    kind, codes = want
    if found["late"]:
        return False
    ended = not found["alive"]
    return {
        "alive": not ended and found["goaway"] is None,
        "goaway": found["goaway"] in codes,
        "rst": any(c in codes for c in found["rst"]) or found["goaway"] in codes,
        "rst or goaway": bool(found["rst"]) or found["goaway"] is not None or found["alive"],
        "refused": ended or bool(found["rst"]) or found["goaway"] is not None,
        "any": True,
        "answer": found["headers"] > 0 or bool(found["rst"]),
    }[kind]


def try_port(port, context, where):
    for rule, data, want in ROWS:
        found = outcome(port, context, data, want[0] == "answer")
        ok(judge(want, found), f"{where}: {rule}: {want[0]}", found)
        again = outcome(port, context, call(), True)
        ok(again["headers"] > 0 and not again["late"], f"{where}: and others are served", again)
    for rule, data in (("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("a preface that is cut", PREFACE[:10]),
                       ("no SETTINGS", PREFACE + frame(PING, 0, 0, b"x" * 8)), ("SSH", b"SSH-2.0-x\r\n" + b"x" * 100)):
        peer = Peer(port, context)
        peer.send(data)
        if rule == "a preface that is cut":
            peer.socket.close()
            continue
        frames = list(peer.frames(time.monotonic() + 12))
        ok(frames[-1] is None, f"{where}: {rule} instead of the greeting is closed", frames)
        peer.socket.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], "certs", folder], check=True)
        context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
        context.load_cert_chain(f"{folder}/client.crt", f"{folder}/client.key")
        context.set_alpn_protocols(["h2"])
        command = [sys.argv[1], "serve", os.path.join(folder, "socket"), folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as server:
            port, tls_port = map(int, server.stdout.readline().split())
            try_port(port, None, "tcp")
            try_port(tls_port, context, "tls")
            server.stdin.close()
            ok(server.wait(20) == 0, "the server ends cleanly")
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
