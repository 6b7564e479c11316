// grpcjs.js PEER PROTO_DIR: grpc-js as a client of our server, over a Unix socket, TCP and mutual TLS. In TAP.
"use strict";
const { execFileSync, spawn } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [peer, proto] = process.argv.slice(2);
let count = 0;
let failed = 0;

function ok(good, rule, note) {
    count++;
    console.log(`${good ? "" : "not "}ok ${count} - ${rule}`);
    if (!good) {
        failed++;
        console.log(`# ${note}`);
    }
}

const api = grpc.loadPackageDefinition(loader.loadSync("openshell.proto", { includeDirs: [proto], keepCase: true, longs: Number, defaults: true, oneofs: true })).openshell.v1;

function unary(client, method, request, meta, options) {
    return new Promise((resolve) => client[method](request, meta || new grpc.Metadata(), options || {},
        (error, answer) => resolve({ error, answer })));
}

function collect(stream) {
    return new Promise((resolve) => {
        const got = [];
        stream.on("data", (m) => got.push(m));
        stream.on("error", (error) => resolve({ error, got }));
        stream.on("end", () => resolve({ got }));
    });
}

async function tryUnary(client, where) {
    const meta = new grpc.Metadata();
    meta.set("x-text", "hi");
    meta.set("x-raw-bin", Buffer.from([0, 1, 2]));
    let r = await unary(client, "Health", {}, meta);
    ok(r.answer && r.answer.version === "hi/3", `${where}: unary, with metadata of both kinds`, r.error);
    r = await unary(client, "GetSandbox", { name: "ü" });
    ok(r.error && r.error.code === grpc.status.ABORTED && r.error.details === "100% of 'ü'", `${where}: an error and its text`, r.error);
    r = await unary(client, "GetSandbox", { name: "hang" }, null, { deadline: Date.now() + 200 });
    ok(r.error && r.error.code === grpc.status.DEADLINE_EXCEEDED, `${where}: a deadline`, r.error);
    r = await new Promise((resolve) => {
        const call = client.GetSandbox({ name: "hang" }, (error) => resolve({ error }));
        setTimeout(() => call.cancel(), 50);
    });
    ok(r.error && r.error.code === grpc.status.CANCELLED, `${where}: a cancelled call`, r.error);
    r = await unary(client, "ListWorkspaces", {});
    ok(r.error && r.error.code === grpc.status.UNIMPLEMENTED && r.error.details.includes("ListWorkspaces"),
        `${where}: UNIMPLEMENTED, by its name`, r.error);
    const many = await Promise.all(Array.from({ length: 500 }, () => unary(client, "Health", {})));
    ok(many.every((m) => m.answer && m.answer.version === "-/1"), `${where}: 500 calls at once`);
}

async function tryStreams(client, where) {
    for (const [n, size] of [[2000, 1000], [3, 3000000], [0, 0]]) {
        const r = await collect(client.WatchSandbox({ log_tail_lines: n, event_tail: size }));
        ok(r.got.length === n && r.got.every((g, i) => Number(g.log.timestamp_ms) === i && g.log.message.length === size),
            `${where}: a stream of ${n} messages of ${size} bytes`, r.error || JSON.stringify(r.got.slice(0, 2)).slice(0, 300));
    }
    const long = client.WatchSandbox({ log_tail_lines: 1000000, event_tail: 1000 });
    await new Promise((resolve) => long.once("data", resolve));
    const ended = collect(long);
    long.cancel();
    ok((await ended).error.code === grpc.status.CANCELLED, `${where}: a stream that is cancelled`);
    for (const [n, code] of [[4, 0], [5, grpc.status.INVALID_ARGUMENT]]) {
        const r = await new Promise((resolve) => {
            const push = client.PushSandboxLogs((error, answer) => resolve({ error, answer }));
            for (let i = 0; i < n; i++)
                push.write({ logs: [{}, {}, {}] });
            push.end();
        });
        ok(code === 0 ? r.answer && !r.error : r.error && r.error.code === code, `${where}: ${n} messages, one ${code ? "error" : "answer"}`, r.error);
    }
    const sizes = [0, 1, 5, 10, 100000, 1000000, 3];
    const relay = client.RelayStream();
    const echo = collect(relay);
    sizes.forEach((n) => relay.write({ data: Buffer.alloc(n, "x") }));
    relay.end();
    const r = await echo;
    ok(JSON.stringify(r.got.map((f) => f.data.length)) === JSON.stringify(sizes), `${where}: both ways, large and small`, r.error);
    const details = client.RelayStream();
    const failing = collect(details);
    details.write({ data: Buffer.alloc(7) });
    const e = (await failing).error;
    ok(e && e.code === grpc.status.NOT_FOUND && e.details === "tür" &&
        e.metadata.get("grpc-status-details-bin")[0].equals(Buffer.from([8, 5, 18, 1, 120])), `${where}: status details`, e);
}

async function tryServer(target, credentials, where) {
    const client = new api.OpenShell(target, credentials, { "grpc.max_receive_message_length": 64 << 20 });
    await tryUnary(client, where);
    await tryStreams(client, where);
    client.close();
}

async function tryStrangers(port, folder) {
    const read = (name) => fs.readFileSync(path.join(folder, name));
    for (const [ca, who, rule] of [["ca.crt", null, "no client certificate"], ["ca.crt", "expired", "one that has expired"],
        ["ca.crt", "foreign", "one of another CA"], ["other-ca.crt", "client", "another CA than the server's"]]) {
        const pair = who ? [read(`${who}.key`), read(`${who}.crt`)] : [null, null];
        const client = new api.OpenShell(`localhost:${port}`, grpc.credentials.createSsl(read(ca), ...pair));
        const r = await unary(client, "Health", {}, null, { deadline: Date.now() + 5000 });
        ok(r.error && [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.INTERNAL].includes(r.error.code), `mtls: no call with ${rule}`, r.error);
        client.close();
    }
}

async function main() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "grpcjs-"));
    execFileSync(peer, ["certs", folder]);
    const server = spawn(peer, ["serve", path.join(folder, "socket"), folder], { stdio: ["pipe", "pipe", "ignore"] });
    const [port, tlsPort] = (await new Promise((resolve) => server.stdout.once("data", resolve))).toString().split(" ").map(Number);
    const read = (name) => fs.readFileSync(path.join(folder, name));
    const plain = grpc.credentials.createInsecure();
    await tryServer(`unix:${path.join(folder, "socket")}`, plain, "unix");
    await tryServer(`127.0.0.1:${port}`, plain, "tcp");
    await tryServer(`localhost:${tlsPort}`, grpc.credentials.createSsl(read("ca.crt"), read("client.key"), read("client.crt")), "mtls");
    await tryStrangers(tlsPort, folder);
    const ended = new Promise((resolve) => server.once("exit", resolve));
    server.stdin.end();
    ok(await ended === 0, "our server ends cleanly");
    fs.rmSync(folder, { recursive: true });
    console.log(`1..${count}`);
    process.exit(failed ? 1 : 0);
}

main();
