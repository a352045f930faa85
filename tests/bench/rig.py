"""What every measurement stands on: pinned processes, their CPU time, the tools in C, and how a mark is printed.

The gateway of the moment runs on core 0, backends and load on core 1. CPU is what the kernel says the gateway's
processes ran (supervisor and workers, /proc/PID/task/*/schedstat).
"""
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.request

import batches

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/bench"
GATEWAY_CORE, LOAD_CORE = ("0", "1") if len(os.sched_getaffinity(0)) > 1 else ("0", "0")
JSON = batches.FORMS[0]
PARTS = {"load": ("client", "answer"), "pace": ("client", "answer")}  # of the programs, beside the file of their name
GROUPS = {1: 32, 10: 8, 100: 4, 1000: 2, 10000: 1}  # batches at once, where they are posted as fast as they are answered

SHEAF_CONF = """
listen: [{{address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
workers: {workers}
limits: {{connections_per_client: 4096}}
log: {{format: json, level: info}}
upstreams:
  backend: {{servers: [{servers}], timeout: 10s, keepalive: 60s, {upstream}}}
routes:
  - {{match: "/items/{{id}}", methods: [GET], upstream: backend, timeout: 5s}}
  - {{match: "/users/{{id}}", methods: [GET, PUT], upstream: backend}}
  - {{match: "/orders/{{rest...}}", upstream: backend}}
endpoints:
  - {{path: /batch, max_items: 20000, max_body: 8MiB, timeout: 30s, {endpoint}}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit(f"bench: {process.args[3:]} does not listen on {port}")


def children_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = [int(child) for child in text.split()]
    return found + [grandchild for child in found for grandchild in children_of(child)]


class Contender:
    """A gateway that runs on core 0: its pid, its port, what it has used."""

    def __init__(self, name, port, command, log):
        self.name, self.port = name, port
        self.process = subprocess.Popen(["taskset", "-c", GATEWAY_CORE, *command], stdout=log, stderr=log)
        wait_for_port(port, self.process)

    def pids(self):
        return [self.process.pid, *children_of(self.process.pid)]

    def cpu_ns(self):
        return sum(int(task.read_text().split()[0]) for pid in self.pids()
                   for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))

    def rss_kib(self):
        return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
                   for pid in self.pids())

    def stop(self):
        self.process.terminate()
        self.process.wait(40)


class Counted(Contender):
    """Sheaf in one process under callgrind."""

    def __init__(self, port, command, log, directory):
        self.out, self.dumps = directory / "callgrind", 0
        super().__init__("sheaf", port, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.out}", *command], log)

    def instructions(self):
        """How many since the last call."""
        subprocess.run(["callgrind_control", "--dump", str(self.process.pid)], check=True, capture_output=True)
        self.dumps += 1
        return int(re.search(r"^totals: (\d+)", pathlib.Path(f"{self.out}.{self.dumps}").read_text(), re.M)[1])


class Slow:
    """Servers that take their time (slow.c): their ports, and what they counted."""

    def __init__(self, program, servers, delay_us, *late):
        command = ["taskset", "-c", LOAD_CORE, program, servers, delay_us, *late]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        self.ports = [int(port) for port in self.process.stdout.readline().split()]

    def counts(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[0]}/count", timeout=10) as answer:
            return json.load(answer)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def stop(self):
        self.process.kill()
        self.process.wait(10)


class Paced:
    """Batches posted at a pace (pace.c): it runs from the moment it is made."""

    def __init__(self, command, gateway, n):
        self.gateway, self.n, self.before_ns, self.started = gateway, n, gateway.cpu_ns(), time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", LOAD_CORE, *command], stdout=subprocess.PIPE, text=True)
        self.batches, self.cpu_share = [], 0.0  # batches: (posted at, us on the monotonic clock; took, us; good items)

    def wait(self):
        out = self.process.communicate()[0]
        if self.process.returncode != 0:
            raise SystemExit(f"bench: the load on {self.gateway.name} broke off; see above")
        self.cpu_share = (self.gateway.cpu_ns() - self.before_ns) / 1e9 / (time.monotonic() - self.started)
        self.batches = [tuple(map(int, line.split())) for line in out.splitlines()]
        return self

    def took_ms(self):
        return [took_us / 1000 for _, took_us, _ in self.batches]

    def items(self):
        return self.n * len(self.batches)

    def bad_items(self):
        return sum(self.n - good for _, _, good in self.batches)


class Rig:
    """A scratch folder, the tools, and whatever was started: stop() ends it all."""

    def __init__(self, directory, binary):
        self.dir, self.binary = pathlib.Path(directory), binary
        self.running, self.tools, self.schema = [], {}, None
        self.log = open(self.dir / "log", "wb")
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    def tool(self, name):
        if name not in self.tools:
            sources = [HERE / f"{part}.c" for part in (name, *PARTS.get(name, ()))]
            subprocess.run(["gcc", "-O2", "-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", self.dir / name, *sources, "-luv"],
                           check=True)
            self.tools[name] = str(self.dir / name)
        return self.tools[name]

    def nginx(self, name, port, **words):
        """The command of nginx with NAME.conf, in which @PORT@, @DIR@ and @WORD@s are filled in."""
        conf = (HERE / f"{name}.conf").read_text()
        for word, value in {"dir": self.dir, "port": port, **words}.items():
            conf = conf.replace(f"@{word.upper()}@", str(value))
        path = self.dir / f"{name}.conf"
        path.write_text(conf)
        return ["nginx", "-p", str(self.dir), "-e", str(self.dir / "error.log"), "-c", str(path)]

    def nginx_backend(self, name, **words):
        """Starts it on the load's core; returns its port."""
        port = free_port()
        process = subprocess.Popen(["taskset", "-c", LOAD_CORE, *self.nginx(name, port, **words)], stderr=self.log)
        self.running.append(process)
        wait_for_port(port, process)
        return port

    def slow(self, servers, delay_us, *late):
        self.running.append(Slow(self.tool("slow"), servers, delay_us, *late))
        return self.running[-1]

    def peer(self, name, command, port):
        self.running.append(Contender(name, port, command, self.log))
        return self.running[-1]

    def sheaf(self, name, servers, upstream="max_connections: 512", endpoint="linger: 20ms", is_counted=False):
        port, path = free_port(), self.dir / f"{name}.yaml"
        urls = ", ".join(f'"{server if "://" in str(server) else f"http://127.0.0.1:{server}"}"' for server in servers)
        path.write_text(SHEAF_CONF.format(port=port, admin=free_port(), servers=urls, upstream=upstream, endpoint=endpoint,
                                          workers=0 if is_counted else 1))
        command = [self.binary, "run", "-c", str(path)]
        self.running.append(Counted(port, command, self.log, self.dir) if is_counted else
                            Contender(name, port, command, self.log))
        return self.running[-1]

    def knows(self, key):
        """Whether an upstream takes this key."""
        if self.schema is None:
            self.schema = subprocess.run([self.binary, "schema"], capture_output=True, text=True, check=True).stdout
        return f'"{key}"' in self.schema

    def body(self, form, n):
        path = self.dir / f"{form.type.replace('/', '-')}-{n}"
        if not path.exists():
            path.write_bytes(batches.write(form, n))
        return str(path)

    def floor(self, backend_port, n, seconds):
        """What the floor costs: {"items":.., "batches":.., "cpu_us_per_item":.., "seconds":..}."""
        return json.loads(subprocess.run(["taskset", "-c", GATEWAY_CORE, self.tool("floor"), str(backend_port), str(n),
                                          str(GROUPS[n]), str(seconds)], stdout=subprocess.PIPE, check=True).stdout)

    def load(self, gateway, n, seconds, form=JSON, *more):
        """As fast as they are answered: what load.c says, and "cpu", microseconds of the gateway per item."""
        before = gateway.cpu_ns()
        out = subprocess.run(["taskset", "-c", LOAD_CORE, self.tool("load"), str(gateway.port), self.body(form, n),
                              batches.content_type(form), form.accept, batches.MARKS[form.accept], str(n), str(GROUPS[n]),
                              str(seconds), *more], stdout=subprocess.PIPE).stdout
        if not out:
            raise SystemExit(f"bench: the load on {gateway.name} broke off; see above")
        cell = json.loads(out)
        return {**cell, "items": cell["batches"] * n, "cpu": (gateway.cpu_ns() - before) / 1000 / (cell["batches"] * n)}

    def pace(self, gateway, n, rate, seconds):
        return Paced([self.tool("pace"), str(gateway.port), self.body(JSON, n), str(rate), str(seconds)], gateway, n)

    def stop(self):
        for process in reversed(self.running):
            process.stop() if hasattr(process, "stop") else stop_process(process)


def stop_process(process):
    process.terminate()
    process.wait(10)


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def mark(what, is_met, due):
    """Prints a mark: they are told, not enforced (a shared machine must not fail a change)."""
    print(f"{what}: {'met' if is_met else 'MISSED'} (due: {due})")
