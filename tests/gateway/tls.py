"""tls.py GATEWAY: a gateway on TCP: certificates, who calls, the configuration's file, reloading. In TAP."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import grpc
import openshell_pb2 as pb

SERVICE = "/openshell.v1.OpenShell/"
count = failed = 0


def ok(good, rule, note=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {rule}", flush=True)
    if not good and note:
        print("".join(f"# {line}\n" for line in str(note).splitlines()), end="", flush=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Gateway:
    """One that runs until the end of its `with`; `ports` are those that it says it listens on."""

    def __init__(self, program, folder, *args, env=None):
        self.log = os.path.join(folder, "log")
        self.command = [program, "--log-level", "info", *args]
        self.env = {**os.environ, **(env or {})}
        self.process = None

    def __enter__(self):
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdin=subprocess.DEVNULL, env=self.env)
        self.wait("gateway.ready")
        return self

    def text(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def wait(self, word, seconds=20):
        end = time.monotonic() + seconds
        while word not in self.text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no {word}: {self.text()}")
            time.sleep(0.02)

    def port(self, event="gateway.listening"):
        return int(re.search(rf"{event} .*port=(\d+)", self.text()).group(1))

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.status = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.status = self.process.wait()


def credentials(folder, with_client=True):
    pair = (read(f"{folder}/tls.key"), read(f"{folder}/tls.crt")) if with_client else (None, None)
    return grpc.ssl_channel_credentials(read(f"{folder}/ca.crt"), *pair)


def ask_on(channel, name, metadata=None):
    request, response = {"GetCurrentUser": (pb.GetCurrentUserRequest, pb.GetCurrentUserResponse),
                         "Health": (pb.HealthRequest, pb.HealthResponse)}[name]
    call = channel.unary_unary(SERVICE + name, request_serializer=request.SerializeToString,
                               response_deserializer=response.FromString)
    try:
        return call(request(), timeout=10, metadata=metadata)
    except grpc.RpcError as e:
        return e


def ask(target, creds, name="GetCurrentUser", metadata=None):
    with (grpc.secure_channel(target, creds) if creds else grpc.insecure_channel(target)) as channel:
        return ask_on(channel, name, metadata)


def denied(answer, code, text=""):
    return isinstance(answer, grpc.RpcError) and answer.code() == code and text in answer.details()


def fails(program, pattern, rule, *args, env=None):
    done = subprocess.run([program, *args], capture_output=True, text=True, timeout=20, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    flat = re.sub(r"\s+", " ", done.stderr)
    ok(done.returncode == 1 and re.search(pattern, flat), rule, done.stderr)


def try_mtls(program, folder, mtls):
    with Gateway(program, folder, "--port", "0") as gateway:
        port = gateway.port()
        user = ask(f"localhost:{port}", credentials(mtls))
        ok(getattr(user, "subject", "") == "openshell-client" and list(user.roles) == ["openshell-user"] and
           user.identity_provider == "mtls" and not user.scopes, "mTLS: the certificate says who calls", user)
        for target in (f"127.0.0.1:{port}", f"openshell.localhost:{port}"):
            ok(getattr(ask(target, credentials(mtls), "Health"), "version", ""), f"mTLS: reached as {target.split(':')[0]}")
        ok(denied(ask(f"localhost:{port}", credentials(mtls, False)), grpc.StatusCode.UNAVAILABLE),
           "mTLS: no certificate, no connection")
        answer = ask(f"localhost:{port}", credentials(mtls), metadata=[("authorization", "Bearer x.y.z")])
        ok(denied(answer, grpc.StatusCode.UNAUTHENTICATED, "invalid token"), "a token that is none is not made good by a certificate", answer)
        ok(denied(ask(f"127.0.0.1:{port}", None), grpc.StatusCode.UNAVAILABLE), "mTLS: no TLS, no connection")
    ok(gateway.status == 0 and "gateway.end" in gateway.text(), "it ends cleanly", gateway.text())


def try_reload(program, folder, state, mtls):
    """Other certificates in the same place, while a connection is open."""
    with Gateway(program, folder, "--port", "0") as gateway:
        target = f"localhost:{gateway.port()}"
        old = credentials(mtls)
        with grpc.secure_channel(target, old) as channel:
            health = channel.unary_unary(SERVICE + "Health", request_serializer=pb.HealthRequest.SerializeToString,
                                         response_deserializer=pb.HealthResponse.FromString)
            health(pb.HealthRequest(), timeout=10)
            before = read(f"{state}/server/tls.key")
            with open(f"{state}/server/tls.key", "wb") as f:
                f.write(b"nonsense")
            gateway.wait("gateway.certificates-kept")
            ok(getattr(ask(target, old, "Health"), "version", ""), "a key that cannot be read: the old certificate stays")
            with open(f"{state}/server/tls.key", "wb") as f:
                f.write(before)
            gateway.wait("gateway.certificates ")
            shutil.rmtree(state)
            gateway.wait("No such file")
            subprocess.run([program, "generate-certs"], check=True, capture_output=True)
            end = time.monotonic() + 10
            answer = None
            while time.monotonic() < end:
                answer = ask(target, credentials(mtls), "Health")
                if not isinstance(answer, grpc.RpcError):
                    break
                time.sleep(0.1)
            ok(getattr(answer, "version", ""), "new certificates are shown without a restart", answer)
            ok(denied(ask(target, old, "Health"), grpc.StatusCode.UNAVAILABLE), "the old CA does not do any more")
            ok(health(pb.HealthRequest(), timeout=10).version, "a connection that was there goes on")


def try_file(program, folder, mtls):
    path = f"{folder}/gateway.toml"

    def write(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    write('[openshell.gateway]\nbind_address = "127.0.0.1:0"\ndisable_tls = true\n'
          "auth.allow_unauthenticated_users = true\n")
    with Gateway(program, folder, "--config", path) as gateway:
        user = ask(f"127.0.0.1:{gateway.port()}", None)
        ok(getattr(user, "subject", "") == "unauthenticated-local-dev" and user.identity_provider == "local_dev" and
           list(user.roles) == ["openshell-user", "openshell-admin"] and list(user.scopes) == ["openshell:all"],
           "plain TCP where the file lets everybody in", user)
        ok("gateway.no-tls" in gateway.text() and "gateway.no-authentication" in gateway.text(), "which is warned of")
    write('[openshell.gateway]\nbind_address = "127.0.0.1:0"\ndisable_tls = true\n')
    with Gateway(program, folder, "--config", path) as gateway:
        answer = ask(f"127.0.0.1:{gateway.port()}", None)
        ok(denied(answer, grpc.StatusCode.UNAUTHENTICATED, "missing authorization header"),
           "plain TCP is nobody's where it does not", answer)
        ok(getattr(ask(f"127.0.0.1:{gateway.port()}", None, "Health"), "version", ""), "Health is for everybody")
    write('[openshell.gateway.tls]\nrequire_client_auth = false\n'
          + "".join(f'{k} = "{v}"\n' for k, v in (("cert_path", f"{folder}/state/openshell/tls/server/tls.crt"),
                                                  ("key_path", f"{folder}/state/openshell/tls/server/tls.key"),
                                                  ("client_ca_path", f"{folder}/state/openshell/tls/ca.crt"))))
    with Gateway(program, folder, "--config", path, "--bind-address", "::1", "--port", "0") as gateway:
        target = f"[::1]:{gateway.port()}"
        ok(getattr(ask(target, credentials(mtls)), "subject", "") == "openshell-client",
           "IPv6, and an option on top of the file")
        answer = ask(target, credentials(mtls, False))
        ok(denied(answer, grpc.StatusCode.UNAUTHENTICATED, "missing client certificate"),
           "a certificate that may be left out is missed by methods of users", answer)
    write("[openshell.gateway]\n\nbind_adress = 1\n")
    fails(program, r"gateway.toml: line 3: unknown key 'bind_adress'.*did you mean 'bind_address'",
          "an unknown key is an error with its line", "--config", path)
    fails(program, r"cannot|No such file", "a file that was named must be there", "--config", f"{folder}/none.toml")
    os.makedirs(f"{folder}/config/openshell", exist_ok=True)
    shutil.move(path, f"{folder}/config/openshell/gateway.toml")
    fails(program, r"line 3: unknown key", "the user's own file is read without being named")
    os.unlink(f"{folder}/config/openshell/gateway.toml")


def clean(folder):
    """No configuration but what lies in `folder`."""
    for name in list(os.environ):
        if name.startswith(("OPENSHELL_", "XDG_")):
            del os.environ[name]
    os.environ.update(HOME=folder, XDG_STATE_HOME=f"{folder}/state", XDG_CONFIG_HOME=f"{folder}/config",
                      XDG_RUNTIME_DIR=f"{folder}/run")


def main():
    program = os.path.realpath(sys.argv[1])
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        clean(folder)
        fails(program, "TLS needs a certificate: 'openshell-gateway generate-certs' makes one",
              "TCP without certificates names the remedy", "--port", "0")
        done = subprocess.run([program, "generate-certs"], capture_output=True, text=True, check=False)
        mtls = f"{folder}/config/openshell/gateways/openshell/mtls"
        ok(done.returncode == 0 and oct(os.stat(f"{mtls}/tls.key").st_mode)[-3:] == "600" and
           oct(os.stat(mtls).st_mode)[-3:] == "700", "generate-certs makes certificates", done.stderr)
        try_mtls(program, folder, mtls)
        try_reload(program, folder, f"{folder}/state/openshell/tls", mtls)
        try_file(program, folder, mtls)
        fails(program, r"--port: '70000' is no port", "a port that is none", "--port", "70000")
        fails(program, "what OPENSHELL_OIDC_ISSUER asks for is not built yet", "a variable of what is not built",
              env={"OPENSHELL_OIDC_ISSUER": "https://x"})
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
