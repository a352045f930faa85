"""Who takes part in a soak: origins that die, the gateway between, the load, and the one who makes the trouble."""
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness import Process, Sheaf, wait_until  # noqa: E402

CONF = """
listen: [{{address: "127.0.0.1:0"}}]
admin: {{address: "127.0.0.1:0"}}
workers: 2
log: {{level: warn}}
upstreams:
  soak:
    servers: [{servers}]
    max_connections: 128
    keepalive: {keepalive}
    first_byte_timeout: 500ms
    idle_timeout: 500ms
    retry: {{attempts: 3, on: [connect, reset, 502, 503, 504, 429, timeout]}}
    outlier: {{errors: 5, eject: 500ms, max_eject: 2s, max_ejected: 75%}}
    breaker: {{errors: 90%, requests: 1000}}
{extras}
routes:
  - {{match: "/s/{{rest...}}", rewrite: "/{{rest...}}", upstream: soak}}
endpoints:
  - {{path: /batch, max_items: 1000, max_body: 4MiB}}
"""
# what a binary may or may not know, by the key that tells
EXTRAS = {
    "health": "health: {path: /status/200, interval: 1s, timeout: 500ms}",
    "hedge": "hedge: {after: p99, budget: 5%}",
    "adaptive": "adaptive: {}",
    "shed": "shed: true",
}
# answers that the origin hands over in one write: such a one is there or is not, and what is not there is asked for again
ITEMS = ["/s/json/200", "/s/text", "/s/json/3000", "/s/json/20000", "/s/delay/2/text", "/s/latin1"]
N = 100  # items of the load's batch


def compile_program(name, directory, *sources):
    path = str(directory / name)
    subprocess.run(["gcc", "-O2", "-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", path,
                    *[str(ROOT / source) for source in sources], "-luv"], check=True)
    return path


def low_port(dice):
    """Below those that the kernel gives to clients: nobody else takes it, and no client meets itself, while it is free."""
    while True:
        port = dice.randrange(15000, 30000)
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Origin:
    def __init__(self, program, port):
        self.program, self.at, self.process = program, port, None
        self.start()

    def start(self):
        self.process = Process([self.program, str(self.at)])
        self.process.port()

    def kill(self):
        self.process.kill()


class Gateway(Sheaf):
    KEEPALIVE_S = 5

    def __init__(self, binary, origins):
        keys = subprocess.run([binary, "keys"], capture_output=True, text=True, check=True).stdout
        self.extras = [key for key in EXTRAS if f"\nupstreams.NAME.{key}  " in keys]
        self.origins, self.weight = origins, 1
        super().__init__(origins[0], binary=binary)
        self.workers = sorted(self.children())

    def write_conf(self):
        servers = ", ".join(f'{{url: "http://127.0.0.1:{origin.at}", weight: {self.weight}}}' for origin in self.origins)
        extras = "\n".join(f"    {EXTRAS[key]}" for key in self.extras)
        self.path.write_text(CONF.format(servers=servers, extras=extras, keepalive=f"{self.KEEPALIVE_S}s"))

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
    """tests/bench/load: the same batch of 100 over a few connections, as fast as it goes."""

    def __init__(self, program, gateway, directory, seconds):
        body = directory / "batch.json"
        body.write_text(json.dumps({"requests": [{"url": ITEMS[number % len(ITEMS)]} for number in range(N)]}))
        self.process = subprocess.Popen([program, str(gateway.at), str(body), "application/json", "application/json",
                                         '"status":200', str(N), "4", str(seconds)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def end(self):
        """{"batches":, "bad":, "p99_us":...}; what it says of a bad one comes along."""
        out, err = self.process.communicate(timeout=120)
        if not out:
            return {"batches": 0, "bad": 1, "p50_us": 0, "p99_us": 0, "first": err or "the load ended without a word"}
        return {**json.loads(out), "first": err}

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Trouble(threading.Thread):
    """Every `every` seconds one origin dies for a while; half-way to the next another one stands still for a second. With
    every third death the configuration is loaded again."""
    DEAD_S, STOPPED_S = 1.5, 1.0

    def __init__(self, gateway, origins, every, seed):
        super().__init__(daemon=True)
        self.gateway, self.origins, self.every, self.dice = gateway, origins, every, random.Random(seed)
        self.over = threading.Event()
        self.deaths = self.stops = self.reloads = 0
        self.failure = None
        self.start()

    def run(self):
        try:
            while not self.over.wait(self.every / 2):
                self.kill_one()
                if self.over.wait(max(0.0, self.every / 2 - self.DEAD_S)):
                    return
                self.stop_one()
        except Exception as failure:
            self.failure = failure

    def kill_one(self):
        victim = self.origins[self.deaths % len(self.origins)]
        victim.kill()
        self.over.wait(self.DEAD_S)
        victim.start()
        self.deaths += 1
        if self.deaths % 3 == 0:
            self.gateway.reload()
            self.reloads += 1

    def stop_one(self):
        process = self.dice.choice(self.origins).process
        os.kill(process.pid, signal.SIGSTOP)
        self.over.wait(self.STOPPED_S)
        os.kill(process.pid, signal.SIGCONT)
        self.stops += 1

    def end(self):
        self.over.set()
        self.join(60)
