"""Fan-out of 1,000 items over HTTP/2 and over HTTP/1 to the same nginx, in clear text and over TLS, and over HTTP/1 on four
connections with and without pipelining: CPU per item, and connections that are open to it afterwards."""
import pathlib
import re
import statistics
import subprocess

from rig import free_port, mark

N = 1000
FEW = "protocol: http1, max_connections: 4"
# name: (scheme, which port of the backend, what the upstream says)
VARIANTS = {
    "http/1": ("http", "h1", "protocol: http1"),
    "http/2": ("http", "h2", "protocol: http2"),
    "http/1 over TLS": ("https", "tls", "protocol: http1, tls: {verify: false}"),
    "http/2 over TLS": ("https", "tls", "protocol: auto, tls: {verify: false}"),
    "http/1, max_connections: 4": ("http", "h1", FEW),
    "http/1, max_connections: 4, pipeline: 8": ("http", "h1", f"{FEW}, pipeline: 8"),
}
BASES = {"http/2": "http/1", "http/2 over TLS": "http/1 over TLS", "http/1, max_connections: 4, pipeline: 8": "http/1, max_connections: 4"}


def make_certificate(rig):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=backend", "-days", "2", "-keyout", rig.dir / "key.pem", "-out", rig.dir / "cert.pem"],
                   check=True, capture_output=True)


def connections_to(gateway, port):
    """How many the gateway holds to this port of the loopback."""
    links = [link for pid in gateway.pids() for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {match[1] for link in links if (match := re.match(r"socket:\[(\d+)\]", str(link.readlink())))}
    rows = [row.split() for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2] == f"0100007F:{port:04X}" and row[9] in inodes for row in rows)


def measure(rig, rounds, seconds):
    """{variant: ([CPU per item, a round each], connections)}, and how many answers went wrong."""
    make_certificate(rig)
    ports = {"h2": free_port(), "tls": free_port()}
    ports["h1"] = rig.nginx_backend("protocols", **ports)
    has_protocol = rig.knows("protocol")
    cells = {}
    for i, (name, (scheme, where, upstream)) in enumerate(VARIANTS.items()):
        if ("http/2" in name and not has_protocol) or ("pipeline" in name and not rig.knows("pipeline")):
            continue
        upstream = upstream if has_protocol else upstream.replace("protocol: http1", "max_connections: 512")
        gateway = rig.sheaf(f"protocols-{i}", [f"{scheme}://127.0.0.1:{ports[where]}"], upstream)
        cells[name] = (gateway, [], ports[where])
        rig.load(gateway, N, 0.3)
    bad = 0
    for _ in range(rounds):
        for gateway, costs, _ in cells.values():
            cell = rig.load(gateway, N, seconds)
            costs.append(cell["cpu"])
            bad += cell["bad"]
    return {name: (costs, connections_to(gateway, port)) for name, (gateway, costs, port) in cells.items()}, bad


def run(rig, is_quick):
    """Returns how many answers went wrong."""
    cells, bad = measure(rig, *((1, 0.7) if is_quick else (5, 1.5)))
    print(f"\n| fan-out of {N:,} items, one nginx | CPU us/item | / http/1 like it | connections |\n|---|---|---|---|")
    for name, (costs, used) in cells.items():
        base = cells[BASES.get(name, name)][0]
        ratio = statistics.median(cost / other for cost, other in zip(costs, base))
        print(f"| {name} | {statistics.median(costs):.2f} | {ratio:.2f} | {used} |")
    if "http/2" in cells:
        mark(f"http/2: {cells['http/2'][1]} connections for {cells['http/1'][1]}", cells["http/2"][1] < cells["http/1"][1], "fewer")
    return bad
