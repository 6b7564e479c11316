"""web.py: echo servers: what was asked comes back as JSON and goes into requests.log, as the server saw it."""
import gzip, http.server, json, pathlib, socket, ssl, threading

LOG = threading.Lock()


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while n := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(n))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self):
        body = self.body()
        with LOG, open("requests.log", "a") as log:
            print(self.command, self.headers.get("host"), self.path, len(body), file=log)
        seen = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode("latin1")}
        out = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.path.startswith("/gzip"):  # whatever was asked for
            out = gzip.compress(out)
            self.send_header("Content-Encoding", "gzip")
        if self.path.startswith("/header"):
            self.send_header("X-Echo", self.headers.get("authorization", ""))
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(out)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, address, port, tls):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), Echo)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain("server.pem", "server.key")
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()


for address in ("93.184.216.34", "2606:2800:220:1::1", "140.82.112.3", "10.20.30.40", "169.254.169.254"):
    Server(address, 80, False)
    Server(address, 443, True)
Server("127.0.0.1", 80, False)
pathlib.Path("web.up").touch()
threading.Event().wait()
