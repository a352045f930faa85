"""The plain reverse proxy: CPU per direct request beside nginx with proxy_pass, on one backend, in interleaved rounds. Both
write a line per request to a file, as they do out of the box."""
import re
import statistics
import subprocess

from rig import LOAD_CORE, free_port, mark

CONNECTIONS = (1, 32)
HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate, br", "Cookie": "session=8c1f0b7de2a94f5f",
           "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}


def ask(gateway, connections, seconds):
    """(CPU microseconds per request, how many answers were not good) of as many requests as are answered in `seconds`."""
    fields = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    before = gateway.cpu_ns()
    out = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *fields,
                          f"http://127.0.0.1:{gateway.port}/users/7"], capture_output=True, text=True, check=True).stdout
    count = int(re.search(r"(\d+) requests in", out)[1])
    bad = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", out)))
    bad += sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out)))
    return (gateway.cpu_ns() - before) / 1000 / count, bad


def run(rig, is_quick):
    """Returns how many answers went wrong."""
    backend, port = rig.nginx_backend("backend"), free_port()
    gateways = {"sheaf": rig.sheaf("direct", [backend]),
                "nginx proxy_pass": rig.peer("proxy", rig.nginx("proxy", port, backend=backend), port)}
    costs, bad = {(name, count): [] for count in CONNECTIONS for name in gateways}, 0
    for number in range(4 if is_quick else 10):
        for (name, count), row in costs.items():
            cost, wrong = ask(gateways[name], count, 1 if is_quick else 2)
            bad += wrong
            if number > 0:  # the first round warms caches, pools and connections
                row.append(cost)
    print("\n| direct request, 79 bytes of JSON | connections | CPU us/request | / nginx |\n|---|---|---|---|")
    for (name, count), row in costs.items():
        ratio = statistics.median(cost / base for cost, base in zip(row, costs["nginx proxy_pass", count]))
        print(f"| {name} | {count} | {statistics.median(row):.2f} | {ratio:.2f} |")
        if name == "sheaf":
            told = f"direct, {count} connections: {ratio:.2f} x nginx proxy_pass", ratio <= 1.1
        else:
            mark(*told, "1.1")
    return bad
