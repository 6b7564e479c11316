"""hostile.py: a server that does what servers should not. The path says what: GET /two-lengths and so on."""
import pathlib, socket, ssl, threading, time, zlib

OK = b"HTTP/1.1 200 OK\r\n"
SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED"
ANSWERS = {
    "/good": OK + b"Content-Length: 5\r\n\r\ngood\n",
    "/two-lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" + SMUGGLED,
    "/length-and-chunked": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "/bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "/folded": OK + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi",
    "/bad-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n" + SMUGGLED,
    "/nul": OK + b"X-A: b\0c\r\nContent-Length: 2\r\n\r\nhi",
    "/more-than-said": OK + b"Content-Length: 2\r\n\r\nhi" + SMUGGLED,
    "/less-than-said": OK + b"Content-Length: 200\r\n\r\nhi",
    "/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
    "/head-body": OK + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "/no-content-body": b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "/not-modified-body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "/interim-flood": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 100000 + OK + b"Content-Length: 2\r\n\r\nhi",
    "/header-bomb": OK + b"X-A: " + b"a" * (8 << 20) + b"\r\n\r\n",
    "/many-headers": OK + b"X: y\r\n" * 200000 + b"\r\n",
}


def serve(conn):
    with conn:
        conn.settimeout(20)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            with open("hostile.log", "a") as log:
                print(head.split(b"\r\n")[0].decode("latin1"), file=log)
            path = head.split(b" ")[1].decode("latin1")
            if path == "/bomb":
                body = zlib.compress(b"\0" * (64 << 20), 9)
                conn.sendall(OK + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            elif path == "/slow":
                for byte in OK:
                    conn.sendall(bytes([byte]))
                    time.sleep(0.2)
            elif path == "/endless":
                conn.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
                while True:
                    conn.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            else:
                conn.sendall(ANSWERS.get(path, ANSWERS["/good"]))


def greet(conn):  # like a mail server: speaks first
    with conn:
        conn.sendall(b"220 hostile.test\r\n")
        while line := conn.recv(4096):
            conn.sendall(b"250 " + line)


def listen(port, cert=None, what=serve):
    sock = socket.create_server(("185.199.108.133", port), reuse_port=False)
    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert + ".pem", cert + ".key")

    def one(conn):
        try:
            what(context.wrap_socket(conn, server_side=True) if context else conn)
        except OSError:
            pass

    def loop():
        while True:
            conn, _ = sock.accept()
            threading.Thread(target=one, args=(conn,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def echo_behind_greeting(conn):  # says back what it hears, after a word of its own
    with conn:
        conn.sendall(b"220 hello\r\n")
        while data := conn.recv(65536):
            conn.sendall(data)


listen(80)
listen(443, "server")
listen(8443, "self")
listen(25, what=greet)
listen(2525, what=echo_behind_greeting)
pathlib.Path("hostile.up").touch()
threading.Event().wait()
