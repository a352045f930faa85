"""Networks that fail: a backend in a network namespace, at the other end of a cable that can be cut.

    net = Net()                 # needs root; `missing()` says what stands in the way
    origin = net.origin()       # listens at net.ip and net.ip6
    net.drop("-p", "tcp")       # what the backend's side loses from here on
    net.close()                 # kills what runs there, and takes all of it away

Names carry the pid of the test, so that what a killed test left behind is found and taken away by the next one.
"""
import functools
import os
import pathlib
import re
import shutil
import subprocess

from harness import ORIGIN, Origin, Process

PREFIX = "sheaf-e2e-"


def run(*command, check=True):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def sweep():
    """Takes away the namespaces of tests that are no more."""
    for name in re.findall(rf"^({PREFIX}(\d+)-\d+)", run("ip", "netns", "list", check=False), re.M):
        if not pathlib.Path(f"/proc/{name[1]}").exists():
            remove(name[0])


def remove(name):
    for pid in run("ip", "netns", "pids", name, check=False).split():
        os.kill(int(pid), 9)
    run("ip", "netns", "del", name, check=False)


@functools.lru_cache(None)
def missing():
    """Why there can be no such network here, or None."""
    absent = [name for name in ("ip", "iptables", "ip6tables", "tc") if not shutil.which(name)]
    if absent:
        return f"no {', '.join(absent)}"
    sweep()
    try:
        net = Net()
    except (RuntimeError, PermissionError) as failure:
        return f"no network namespaces: {failure}"
    try:
        for rule in (("-p", "tcp", "--dport", "1"), ("-m", "statistic", "--mode", "random", "--probability", "0.5",
                                                     "-p", "tcp", "--dport", "1")):
            net.rule("DROP", *rule)
        net.shape("1mbit")
    except RuntimeError as failure:
        return f"no packet filter or shaping: {failure}"
    finally:
        net.close()
    return None


class NetOrigin(Origin):
    def __init__(self, net):
        Process.__init__(self, ["ip", "netns", "exec", net.name, ORIGIN, "0", "::"], env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.at = self.port()


class Net:
    """A namespace, and a cable between it and this one. The side here is `near`, the other one `far`."""
    made = 0

    def __init__(self):
        Net.made += 1
        pid, number = os.getpid(), Net.made
        self.name = f"{PREFIX}{pid}-{number}"
        self.near, self.far = f"sf{pid}n{number}", "far"
        net = f"198.18.{pid % 250}.{number % 31 * 8}"  # RFC 2544: nobody's
        base, last = net.rsplit(".", 1)
        self.ip, self.ip6 = f"{base}.{int(last) + 2}", f"fd00:5e:{pid % 65536:x}:{number:x}::2"
        self.nobody = f"{base}.{int(last) + 3}"
        run("ip", "netns", "add", self.name)
        try:
            self._connect(f"{base}.{int(last) + 1}/29", self.ip6[:-1] + "1/64")
        except RuntimeError:
            self.close()
            raise

    def _connect(self, ip, ip6):
        run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
        for where, link, address, address6 in (((), self.near, ip, ip6),
                                               (("-n", self.name), self.far, self.ip + "/29", self.ip6 + "/64")):
            run("ip", *where, "addr", "add", address, "dev", link)
            run("ip", *where, "addr", "add", address6, "dev", link, "nodad")
            run("ip", *where, "link", "set", link, "up")
        run("ip", "-n", self.name, "link", "set", "lo", "up")

    def inside(self, *command):
        return run("ip", "netns", "exec", self.name, *command)

    def origin(self):
        return NetOrigin(self)

    def rule(self, target, *match, chain="INPUT", v6=False):
        """What becomes of packets that the backend's side gets, or sends."""
        self.inside("ip6tables" if v6 else "iptables", "-A", chain, *match, "-j", *target.split())

    def drop(self, *match, **where):
        self.rule("DROP", *match, **where)

    def lose(self, share):
        """That share of all packets, both ways."""
        for chain in ("INPUT", "OUTPUT"):
            self.drop("-m", "statistic", "--mode", "random", "--probability", share, chain=chain)

    def heal(self):
        for command in ("iptables", "ip6tables"):
            self.inside(command, "-F")

    def shape(self, rate):
        """Bits per second of what the backend's side sends."""
        self.inside("tc", *self._bucket(self.far, rate))

    def shape_near(self, rate):
        """The same of what this side sends."""
        run("tc", *self._bucket(self.near, rate))

    @staticmethod
    def _bucket(device, rate):
        return "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate, "burst", "16kb", "latency", "1s"

    def cut(self):
        run("ip", "-n", self.name, "link", "set", self.far, "down")

    def mend(self):
        run("ip", "-n", self.name, "link", "set", self.far, "up")
        run("ip", "-n", self.name, "addr", "replace", self.ip6 + "/64", "dev", self.far, "nodad")

    def close(self):
        remove(self.name)
        run("ip", "link", "del", self.near, check=False)  # goes with the namespace, a little later
