"""model.py: what agents talk to: a model in the shapes of OpenAI and Anthropic that streams, a WebSocket echo, an MCP server.

The model says the words of the last user message back, one event for each, PAUSE seconds apart. Where tools are offered and
none has answered yet, it calls the first one with {"text": that message}. A message with a line "RUN: COMMAND" has it call the
tool that runs commands, by whatever name an agent has it; then it says what that printed. The key is "test-key"; any other is refused.
A stream in which a word is "cut-here" ends there, with its connection.
"""
import base64, hashlib, http.server, json, pathlib, ssl, struct, threading, time

PAUSE = 0.1
LOG = threading.Lock()
OPENAI, ANTHROPIC, TOOLS = "162.159.140.245", "160.79.104.10", "104.18.32.47"


def text_of(content):
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if isinstance(part, dict))


def last_words(messages):
    said = [text_of(m.get("content", "")) for m in messages if m.get("role") == "user"]
    return [w for t in said[-1:] for w in t.split()] or ["nothing"]


SHELLS = ("Bash", "bash", "shell", "exec_command", "shell_command", "local_shell", "container.exec")


def command_of(messages):
    """The COMMAND of the last line "RUN: COMMAND" that a user said."""
    said = [text_of(m.get("content", "")) for m in messages if m.get("role") == "user"]
    lines = [line[5:] for t in said for line in t.splitlines() if line.startswith("RUN: ")]
    return lines[-1] if lines else None


def shell_call(name, command):
    if name == "exec_command":
        return {"cmd": command}
    if name in ("shell", "container.exec"):
        return {"command": ["sh", "-c", command]}
    return {"command": command, "description": "as the user asked"}


def wants_tool(request, answered):
    return bool(request.get("tools")) and not answered


def chat(request):  # POST /v1/chat/completions
    messages = request.get("messages", [])
    words = last_words(messages)
    tool = wants_tool(request, any(m.get("role") == "tool" for m in messages))
    head = {"id": "chatcmpl-1", "created": 1, "model": request.get("model", "echo")}
    arguments = json.dumps({"text": " ".join(words)})
    call = {"id": "call_1", "type": "function",
            "function": {"name": request["tools"][0]["function"]["name"], "arguments": arguments}} if tool else None
    finish = "tool_calls" if tool else "stop"
    if not request.get("stream"):
        message = {"role": "assistant", "content": None if tool else " ".join(words)}
        if tool:
            message["tool_calls"] = [call]
        choices = [{"index": 0, "message": message, "finish_reason": finish}]
        return {**head, "object": "chat.completion", "choices": choices,
                "usage": {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}}

    def events():
        deltas = [{"role": "assistant"}] + ([{"tool_calls": [{"index": 0, **call}]}] if tool
                                            else [{"content": w + " "} for w in words]) + [{}]
        for i, delta in enumerate(deltas):
            last = i == len(deltas) - 1
            yield None, {**head, "object": "chat.completion.chunk",
                         "choices": [{"index": 0, "delta": delta, "finish_reason": finish if last else None}]}
        if request.get("stream_options", {}).get("include_usage"):
            yield None, {**head, "object": "chat.completion.chunk", "choices": [],
                         "usage": {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}}
        yield None, "[DONE]"
    return events()


def responses(request):  # POST /v1/responses
    given = request.get("input", "")
    words = last_words([{"role": "user", "content": given}] if isinstance(given, str) else given)
    whole = {"id": "resp_1", "object": "response", "status": "completed", "model": request.get("model", "echo"),
             "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                         "content": [{"type": "output_text", "text": " ".join(words), "annotations": []}]}],
             "usage": {"input_tokens": len(words), "output_tokens": len(words), "total_tokens": 2 * len(words)}}
    if not request.get("stream"):
        return whole

    def events():
        yield "response.created", {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}
        for w in words:
            yield "response.output_text.delta", {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
                                                 "content_index": 0, "delta": w + " "}
        yield "response.completed", {"type": "response.completed", "response": whole}
    return events()


def messages(request):  # POST /v1/messages
    words = last_words(request.get("messages", []))
    parts = [p for m in request.get("messages", []) if isinstance(m.get("content"), list) for p in m["content"]]
    tool = wants_tool(request, any(p.get("type") == "tool_result" for p in parts))
    command = command_of(request.get("messages", []))
    shell = next((t["name"] for t in request.get("tools", []) if t.get("name") in SHELLS), None)
    results = [text_of(p.get("content", "")) for p in parts if p.get("type") == "tool_result"]
    block = {"type": "text", "text": " ".join(words)}
    if command and results:
        words = results[-1].split() or ["nothing"]
        block["text"] = " ".join(words)
    if tool and command:
        block = {"type": "tool_use", "id": "toolu_1", "name": shell or request["tools"][0]["name"],
                 "input": shell_call(shell or "", command)}
    elif tool:
        block = {"type": "tool_use", "id": "toolu_1", "name": request["tools"][0]["name"], "input": {"text": " ".join(words)}}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": request.get("model", "echo"), "content": [block],
             "stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None,
             "usage": {"input_tokens": len(words), "output_tokens": len(words)}}
    if not request.get("stream"):
        return whole

    def events():
        start = {**block, "input": {}} if tool else {**block, "text": ""}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}] if tool else [
            {"type": "text_delta", "text": w + " "} for w in words]
        yield "message_start", {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
        yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": start}
        for delta in deltas:
            yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": 0}
        yield "message_delta", {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}, "usage": whole["usage"]}
        yield "message_stop", {"type": "message_stop"}
    return events()


def mcp(request):  # POST /mcp: JSON-RPC over HTTP
    result = {
        "initialize": {"protocolVersion": "2025-03-26", "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"}},
        "tools/list": {"tools": [{"name": n, "description": n, "inputSchema": {"type": "object"}} for n in ("echo", "remove")]},
        "tools/call": {"content": [{"type": "text", "text": json.dumps(request.get("params", {}))}]},
    }.get(request.get("method"))
    known = {"result": result} if result else {"error": {"code": -32601, "message": "no such method"}}
    return {"jsonrpc": "2.0", "id": request.get("id"), **known}


ROUTES = {(OPENAI, "/v1/chat/completions"): chat, (OPENAI, "/v1/responses"): responses, (ANTHROPIC, "/v1/messages"): messages,
          (TOOLS, "/mcp"): mcp}


class Model(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def note(self, n):
        with LOG, open("requests.log", "a") as log:
            print(self.command, self.headers.get("host"), self.path, n, file=log)

    def send(self, status, value):
        out = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def piece(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, events):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, value in events:
            data = value if isinstance(value, str) else json.dumps(value)
            if "cut-here" in data:
                self.close_connection = True
                return
            self.piece(((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode())
            time.sleep(PAUSE)
        self.piece(b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.note(len(body))
        address = self.server.server_address[0]
        route = ROUTES.get((address, self.path.split("?")[0]))
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            request = json.loads(body)
        except ValueError:
            request = None
        if not route:
            self.send(404, {"error": {"type": "not_found_error", "message": "no such path"}})
        elif not isinstance(request, dict):
            self.send(400, {"error": {"type": "invalid_request_error", "message": "no JSON object"}})
        elif address != TOOLS and key != "test-key":
            self.send(401, {"error": {"type": "authentication_error", "message": "invalid key"}})
        else:
            answer = route(request)
            self.send(200, answer) if isinstance(answer, dict) else self.stream(answer)

    def do_GET(self):
        self.note(0)
        if self.path == "/v1/models":
            self.send(200, {"object": "list", "data": [{"id": "echo", "object": "model", "type": "model"}]})
        elif self.headers.get("upgrade", "").lower() == "websocket":
            self.websocket()
        else:
            self.send(404, {"error": "no such path"})

    def websocket(self):
        key = self.headers.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        for header in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                       ("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())):
            self.send_header(*header)
        self.end_headers()
        self.close_connection = True
        while len(head := self.rfile.read(2)) == 2:
            n = head[1] & 127
            if n >= 126:
                n = struct.unpack(">H" if n == 126 else ">Q", self.rfile.read(2 if n == 126 else 8))[0]
            mask = self.rfile.read(4) if head[1] & 128 else bytes(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(n)))
            size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
            code = {9: 10}.get(head[0] & 15, head[0] & 15)  # a ping gets a pong, the rest itself
            self.wfile.write(bytes([head[0] & 0xF0 | code]) + size + data)
            if code == 8:
                return
            with LOG, open("requests.log", "a") as log:
                print("FRAME", self.headers.get("host"), code, len(data), file=log)

    def log_message(self, *_):
        pass


def listen(address):
    server = http.server.ThreadingHTTPServer((address, 443), Model)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


for one in (OPENAI, ANTHROPIC, TOOLS):
    listen(one)
pathlib.Path("model.up").touch()
threading.Event().wait()
