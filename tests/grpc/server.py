"""A gRPC server of the stand-in Internet: Echo answers once, Chat answers each message as it comes."""
import concurrent.futures, os, grpc

ADDRESS = "93.184.216.35:443"  # bench.example.com
net = os.environ["INTERNET_DIR"]


def echo(request, context):
    context.set_trailing_metadata((("x-trailer", "kept"),))
    if request == b"fail":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    return request


def chat(requests, context):
    for request in requests:
        yield b"echo:" + request
    context.set_trailing_metadata((("x-trailer", "at the end"),))


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/pkg.Service/Chat":
            return grpc.stream_stream_rpc_method_handler(chat)
        return grpc.unary_unary_rpc_method_handler(echo)


def read(name):
    with open(f"{net}/{name}", "rb") as f:
        return f.read()


server = grpc.server(concurrent.futures.ThreadPoolExecutor(20), options=[("grpc.max_receive_message_length", 64 << 20)])
server.add_generic_rpc_handlers((Handler(),))
server.add_secure_port(ADDRESS, grpc.ssl_server_credentials([(read("server.key"), read("server.pem"))]))
server.start()
open(f"{net}/grpc.up", "w").close()
server.wait_for_termination()
