"""Who takes part in a soak: the gateway before its backends, the load, and the one who makes the trouble."""
import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import time

from backends import ROOT
from harness import Sheaf, wait_until

CONF = """
listen: [{{address: "127.0.0.1:0"}}]
admin: {{address: "127.0.0.1:0"}}
workers: 2
log: {{level: warn}}
upstreams:
{upstreams}
routes:
{routes}
endpoints:
  - {{path: /batch, max_items: 1000, max_body: 4MiB}}
"""
UPSTREAM = """
  {kind}:
    servers: [{servers}]
    keepalive: {keepalive}
    first_byte_timeout: 1s
    idle_timeout: 1s
    retry: {{attempts: 3, on: [connect, reset, 502, 503, 504, 429, timeout]}}
    outlier: {{errors: 5, eject: 500ms, max_eject: 2s, max_ejected: 75%}}
    breaker: {{errors: 90%, requests: 1000}}
    health: {{path: /status/200, interval: 1s, timeout: 500ms}}
    hedge: {{after: p99, budget: 5%}}
{more}
"""
ROUTE = '  - {{match: "/{kind}/{{rest...}}", rewrite: "/{{rest...}}", upstream: {kind}, compress: {compress}}}'
TLS = "tls: {{ca: {ca}}}"
# what is spoken to the backends, and what else is written there
KINDS = {
    "http1": ("http://127.0.0.1", ["max_connections: 128", "shed: true", "adaptive: {{}}"]),
    "tls": ("https://localhost", ["max_connections: 12", "pipeline: 8", "max_in_flight: 60", "shed: true", TLS]),
    "h2c": ("http://127.0.0.1", ["protocol: http2", "max_streams: 30", "max_connections: 128", "adaptive: {{}}"]),
    "h2_tls": ("https://localhost", ["protocol: http2", "max_connections: 6", "max_in_flight: 200", TLS]),
}
# answers that the origin hands over in one write: such a one is there or is not, and what is not there is asked for again
ITEMS = ["/json/200", "/text", "/json/3000", "/json/20000", "/delay/2/text", "/latin1"]
WORKER = "worker"
N = 100  # items of the load's batch


def compile_program(name, directory, *sources):
    path = str(directory / name)
    subprocess.run(["gcc", "-O2", "-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", path,
                    *[str(ROOT / source) for source in sources], "-luv"], check=True)
    return path


class Gateway(Sheaf):
    """An upstream of each of `kinds`, whose servers are the backends that speak it; /KIND/... leads to it."""
    KEEPALIVE_S = 5

    def __init__(self, binary, backends, kinds, ca):
        self.backends, self.kinds, self.ca, self.weight = backends, kinds, ca, 1
        super().__init__(None, binary=binary)
        self.workers = sorted(self.children())

    def upstream(self, kind):
        begin, keys = KINDS[kind]
        more = "".join(f"    {key}\n" for key in keys).format(ca=self.ca)
        servers = ", ".join(f'{{url: "{begin}:{backend.ports[kind]}", weight: {self.weight}}}'
                            for backend in self.backends if kind in backend.ports)
        return UPSTREAM.format(kind=kind, servers=servers, keepalive=f"{self.KEEPALIVE_S}s", more=more)

    def write_conf(self):
        routes = [ROUTE.format(kind=kind, compress="true" if kind != "h2_tls" else "false") for kind in self.kinds]
        self.path.write_text(CONF.format(upstreams="".join(map(self.upstream, self.kinds)), routes="\n".join(routes)))

    def reload(self):
        """Every second time with other weights, so that the upstream is a new one."""
        before = self.metrics()['sheaf_reloads_total{outcome="ok"}']
        self.weight = 3 - self.weight
        self.write_conf()
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.metrics()['sheaf_reloads_total{outcome="ok"}'] > before, 60, "the reload")

    def kib(self):
        """Resident, all processes together."""
        return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
                   for pid in [self.pid, *self.workers])


class Load:
    """tests/bench/load: the same batch of 100 over a few connections, as fast as it goes. `problems` are those items of it
    that failed, as (when it was heard of, url, status, type, detail)."""
    PROBLEM = re.compile(r'"id":"(\d+)","status":(\d+),((?!"id":).)*urn:sheaf:problem:([a-z-]+)".*?"detail":"([^"]*)')

    def __init__(self, program, gateway, directory, seconds):
        body = directory / "batch.json"
        ways = [f"/{kind}{item}" for item in ITEMS for kind in gateway.kinds]
        self.urls = [ways[number % len(ways)] for number in range(N)]
        body.write_text(json.dumps({"requests": [{"url": url} for url in self.urls]}))
        self.problems, self.words = [], collections.deque(maxlen=20)
        self.process = subprocess.Popen([program, str(gateway.at), str(body), "application/json", "application/json",
                                         '"status":200', str(N), "4", str(seconds)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            if found := self.PROBLEM.search(line):
                at, status, _, kind, detail = found.groups()
                self.problems.append((time.monotonic(), self.urls[int(at)], int(status), kind, detail))
            else:
                self.words.append(line)

    def end(self):
        """{"batches":, "bad":, "missing": items without a good answer, "p99_us":...}"""
        self.process.wait(120)
        self.reader.join(10)
        out = self.process.stdout.read()
        return json.loads(out) if out else {"batches": 0, "bad": 1, "missing": 1, "p50_us": 0, "p99_us": 0}

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Trouble(threading.Thread):
    """Every `every` seconds one backend dies for a while, or ends, or reads its configuration again; half-way to the next
    another one stands still for two seconds, or a worker of the gateway does, of which nothing may fail. With every third
    the gateway's configuration is loaded again."""
    DEAD_S, STOPPED_S = 1.5, 2.0  # longer than the upstreams let a server be silent
    AFTER_S = 1.5  # how long after it something may still fail of it

    def __init__(self, gateway, backends, every, seed, turns):
        super().__init__(daemon=True)
        self.gateway, self.backends, self.every, self.dice = gateway, backends, every, random.Random(seed)
        self.over = threading.Event()
        self.counts = collections.Counter()
        self.spans = []  # [what, whom, from, to]: what was done to a backend, or to a worker
        self.turns = turns  # that were taken before: whose turn it is, and in which way
        self.failure = None
        self.start()

    def run(self):
        try:
            while not self.over.wait(self.every / 2):
                self.trouble_one()
                if self.over.wait(max(0.0, self.every / 2 - self.DEAD_S)):
                    return
                self.stop_one()
        except Exception as failure:
            self.failure = failure

    def who(self, backend):
        return f"{type(backend).__name__} {self.backends.index(backend)}"

    def do(self, what, whom, *steps):
        span = [what, whom, time.monotonic(), float("inf")]
        self.spans.append(span)
        for step in steps:
            step()
        span[3] = time.monotonic()
        self.counts[what] += 1

    def trouble_one(self):
        """Each backend in turn, and each time it is its turn in another way."""
        around, at = divmod(self.turns, len(self.backends))
        backend = self.backends[at]
        way = backend.ways[(around + at) % len(backend.ways)]
        self.turns += 1
        if way == "reload":
            self.do(way, self.who(backend), backend.reload)
        else:
            self.do(way, self.who(backend), getattr(backend, way), lambda: self.over.wait(self.DEAD_S), backend.start)
        if self.turns % 3 == 0:
            self.gateway.reload()
            self.counts["gateway reloads"] += 1

    def stop_one(self):
        backend, worker = self.dice.choice(self.backends), self.dice.choice(self.gateway.workers)

        def wait():
            self.over.wait(self.STOPPED_S)
        if self.dice.random() < 0.25:
            self.do("halt", WORKER, lambda: os.kill(worker, signal.SIGSTOP), wait, lambda: os.kill(worker, signal.SIGCONT))
        else:
            self.do("stop", self.who(backend), backend.halt, wait, backend.go_on)

    def told(self, begin, end):
        """What happened shortly before or between these times: "kill Origin 2 0.42 s before; ..." """
        return "; ".join(f"{what} {whom} {end - since:.2f} s before" for what, whom, since, until in list(self.spans)
                         if since < end and begin < until + self.AFTER_S) or "no trouble"

    def is_reason(self, begin, end):
        """Whether any of it happened to a backend."""
        return any(whom != WORKER and since < end and begin < until + self.AFTER_S
                   for _, whom, since, until in list(self.spans))

    def end(self):
        self.over.set()
        self.join(60)
