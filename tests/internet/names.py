"""names.py ADDRESSES: a name server on 9.9.9.9. rebind.test is public every second time."""
import ipaddress, pathlib, socket, struct, sys

TABLE = {}
for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
    words = line.split()
    if words and not line.startswith("#"):
        for name in words[1:]:
            TABLE.setdefault(name, []).append(ipaddress.ip_address(words[0].split("/")[0]))
TABLE["mapped.test"] = [ipaddress.ip_address("::ffff:169.254.169.254")]
TABLE["metadata.test"] = [ipaddress.ip_address("169.254.169.254")]
TABLE["loopback.test"] = [ipaddress.ip_address("127.0.0.1")]
TABLE["nat64.test"] = [ipaddress.ip_address("64:ff9b::a9fe:a9fe")]
TABLE["both.test"] = [ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("127.0.0.1")]
asked = {}


def answers(name, kind):
    if name == "rebind.test":
        asked[kind] = asked.get(kind, 0) + 1
        public = asked[kind] % 2 == 1
        return [ipaddress.ip_address("93.184.216.34" if public else "127.0.0.1")] if kind == 1 else []
    return [a for a in TABLE.get(name, []) if (a.version == 4) == (kind == 1)]


def reply(query):
    ident, flags, questions = struct.unpack(">HHH", query[:6])
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
    name = ".".join(labels)
    with open("names.log", "a") as log:
        print(name, kind, file=log)
    found = answers(name, kind)
    known = name in TABLE or name == "rebind.test"
    head = struct.pack(">HHHHHH", ident, 0x8180 | (0 if known else 3), 1, len(found), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 5, len(a.packed)) + a.packed for a in found)
    return head + query[12 : at + 5] + body


sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("9.9.9.9", 53))
pathlib.Path("names.up").touch()
while True:
    query, peer = sock.recvfrom(4096)
    try:
        sock.sendto(reply(query), peer)
    except (IndexError, struct.error):
        pass
