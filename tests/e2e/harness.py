"""What every end-to-end test stands on: the real binary, the origin behind it, and clients that read every byte.

Nothing here sleeps to let something happen: processes announce themselves ("listening on"), conditions are polled with
a deadline by `wait_until`. Processes are ended by the pid they were started with, and a gateway that left a word of a
sanitizer on stderr fails the test that stopped it.
"""
import contextlib
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHEAF = os.environ.get("SHEAF_BIN", str(ROOT / "build/asan/sheaf"))
ORIGIN = os.environ.get("ORIGIN_BIN", str(ROOT / "build/asan/tests/origin"))
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|Assertion")
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
DEADLINE = 15  # seconds that anything may take before its test fails


def wait_until(condition, deadline=DEADLINE, what="the condition"):
    """Polls `condition` until it gives something true, and returns that; fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {deadline} s")
        time.sleep(0.005)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@functools.lru_cache(None)
def keys():
    """What `sheaf keys` names."""
    text = subprocess.run([SHEAF, "keys"], capture_output=True, text=True, check=True).stdout
    return {line.split("  (")[0] for line in text.splitlines() if "  (" in line}


def knows(key):
    return key in keys()


def frame(kind, flags, stream, payload=b""):
    """One HTTP/2 frame (RFC 9113 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field that touches no HPACK table (RFC 7541 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Process:
    """A program with its output collected line by line."""

    def __init__(self, command, env=None, reads_stderr=True, pass_fds=()):
        self.out, self.err = [], []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        text=True, errors="replace", env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.readers = [threading.Thread(target=self._collect, args=(self.process.stdout, self.out), daemon=True)]
        if reads_stderr:
            self.readers.append(threading.Thread(target=self._collect, args=(self.process.stderr, self.err), daemon=True))
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _collect(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def port(self, what="listening", nth=0):
        """The nth port that was announced as `what` on ADDRESS:PORT."""
        def announced():
            found = [line for line in list(self.out) if line.startswith(what + " on ")]
            if len(found) <= nth and self.process.poll() is not None:
                raise AssertionError(f"{self.process.args} ended: " + "\n".join(self.out + self.err))
            return found[nth] if len(found) > nth else None
        return int(wait_until(announced, what=f"'{what} on' of {self.process.args}").rsplit(":", 1)[1])

    def wait(self, deadline=DEADLINE):
        status = self.process.wait(deadline)
        for reader in self.readers:
            reader.join(deadline)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        for stream in (self.process.stdout, self.process.stderr):
            with contextlib.suppress(Exception):
                stream.close()


class Origin(Process):
    def __init__(self):
        super().__init__([ORIGIN, "0"], env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.at = self.port()

    def _get(self, path):
        conn = http.client.HTTPConnection("127.0.0.1", self.at, timeout=DEADLINE)
        conn.request("GET", path, headers={"Connection": "close"})
        answer = conn.getresponse().read()
        conn.close()
        return json.loads(answer)

    def count(self):
        """What happened: served, cancelled, open, opened, flying, most_flying."""
        return self._get("/count")

    def reset(self):
        return self._get("/reset-count")


class Answer:
    """One HTTP answer, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.fields = response.getheaders()
        self.headers = {name.lower(): value for name, value in self.fields}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def results(self):
        """The results by id."""
        return {result["id"]: result for result in self.json["responses"]}


CONF = """
listen: [{{address: "127.0.0.1:0"{listener}}}{listeners}]
admin: {{address: "127.0.0.1:0"}}
workers: {workers}
{top}
upstreams:
  origin: {{servers: ["http://127.0.0.1:{origin}"], {upstream}}}
{upstreams}
routes:
  - {{match: "/o/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin{route}}}
  - {{match: "/kept/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin{route}, encoded_slashes: keep}}
  - {{match: "/quick/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin{route}, timeout: 200ms}}
  - {{match: "/readonly", methods: [GET], rewrite: "/echo", upstream: origin{route}}}
  - {{match: "/readonly", methods: [DELETE], rewrite: "/echo", upstream: origin{route}}}
  - {{match: "/small", rewrite: "/echo", upstream: origin{route}, max_body: 16}}
{routes}
endpoints:
  - {{path: /batch, {endpoint}}}
{endpoints}
"""


class Sheaf(Process):
    """A gateway in front of `origin`; keywords fill the places of CONF."""

    def __init__(self, origin, reads_stderr=True, binary=SHEAF, env=None, **places):
        self.dir = tempfile.TemporaryDirectory(prefix="sheaf-e2e-")
        self.path = pathlib.Path(self.dir.name) / "sheaf.yaml"
        self.origin, self.places = origin, places
        self.write_conf()
        super().__init__([binary, "run", "-c", str(self.path)], env=env, reads_stderr=reads_stderr)
        self.at, self.admin = self.port("listening"), self.port("admin")
        self.path_text = str(self.path)

    def write_conf(self, **changes):
        blank = dict.fromkeys(("listener", "listeners", "top", "upstream", "upstreams", "route", "routes", "endpoint", "endpoints"), "")
        places = {**blank, "workers": 1, "origin": self.origin.at, **self.places, **changes}
        for name in ("upstreams", "routes", "endpoints"):  # more entries, one a line, indented here
            places[name] = "\n".join("  " + line.strip() for line in places[name].splitlines())
        text = CONF.format(**places).replace("], }", "]}").replace("/batch, }", "/batch}")
        self.path.write_text(text)
        return text

    def connect(self, port=None):
        return http.client.HTTPConnection("127.0.0.1", port or self.at, timeout=60)

    def request(self, method, path, body=None, headers=None, conn=None, port=None):
        own = conn is None
        conn = conn or self.connect(port)
        try:
            conn.request(method, path, body, headers or {})
            return Answer(conn.getresponse())
        finally:
            if own:
                conn.close()

    def post(self, body, headers=None, conn=None, path="/batch"):
        """Posts bytes, text or a value as the batch."""
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        return self.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})}, conn)

    def batch(self, items, headers=None, conn=None, path="/batch", **envelope):
        """Posts items (a string is a url) and returns the answer."""
        items = [{"url": item} if isinstance(item, str) else item for item in items]
        return self.post({"requests": items, **envelope}, headers, conn, path)

    def get_admin(self, path):
        return self.request("GET", path, port=self.admin)

    def metrics(self):
        """{series: value} of /metrics."""
        text = self.get_admin("/metrics").body.decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line and not line.startswith("#")}

    def children(self):
        try:
            return [int(pid) for pid in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def descriptors(self):
        """How many the workers have open, but for files of /proc: a worker opens its own when it first needs it."""
        count = 0
        for pid in self.children():
            for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    count += not os.readlink(path).startswith("/proc/")
        return count

    def signal(self, number):
        os.kill(self.pid, number)

    def logged(self, *events, count=1, since=0):
        """The log's lines about these events behind its first `since` lines, parsed, once there are `count` (they gather first)."""
        def found():
            lines = [json.loads(line) for line in list(self.err)[since:] if any(f'"event":"{event}"' in line for event in events)]
            return lines if len(lines) >= count else None
        return wait_until(found, what=f"{count} lines of {' or '.join(events)}")

    def sanitizer_words(self):
        return [line for line in self.err if SANITIZER.search(line)]

    def stop(self):
        """Drains and checks that the gateway ended well."""
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            status = self.wait(40)
            words = self.sanitizer_words()
            assert not words, "a sanitizer spoke: " + "\n".join(self.err[self.err.index(words[0]) - 5:][:60])
            assert status == 0, f"exit status {status}: " + "\n".join(self.err[-20:])
        finally:
            self.kill()
            self.dir.cleanup()


class Case(unittest.TestCase):
    """Tests that share one origin and one gateway; `places` fills the configuration."""
    places = {}
    is_alone = False  # whether it takes or measures the whole machine: nothing else runs at the same time
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.sheaf = Sheaf(cls.origin, **cls.places)
        cls.addClassCleanup(cls.sheaf.stop)

    def start(self, **places):
        """Another gateway for one test."""
        sheaf = Sheaf(self.origin, **places)
        self.addCleanup(sheaf.stop)
        return sheaf

    def run_items(self, *items, sheaf=None, **envelope):
        """Posts items, expects 207, returns the results in the order of the answer."""
        answer = (sheaf or self.sheaf).batch(items, **envelope)
        self.assertEqual(answer.status, 207, answer.body[:500])
        self.assertEqual(answer.headers["content-type"], "application/json")
        return answer.json["responses"]

    def run_aside(self, *items, sheaf=None):
        """The same from a thread of its own: what is returned is to be called, waits, and returns the results."""
        got = []
        thread = threading.Thread(target=lambda: got.extend(self.run_items(*items, sheaf=sheaf)), daemon=True)
        thread.start()

        def end():
            thread.join(30)
            self.assertEqual(len(got), len(items))
            return got
        return end

    def run_item(self, item, sheaf=None, **envelope):
        return self.run_items(item, sheaf=sheaf, **envelope)[0]

    def echo(self, item, **kwargs):
        """What the backend saw of an item that goes to /echo: its document, headers as a dict."""
        result = self.run_item(item, **kwargs)
        self.assertEqual(result["status"], 200, result)
        seen = result["body"]
        seen["headers"] = dict(map(tuple, seen["headers"]))
        return seen

    def assert_problem(self, result, status, slug):
        """An item's problem+json."""
        self.assertEqual(result["status"], status, result)
        self.assertEqual(result["headers"]["content-type"], "application/problem+json", result)
        self.assertEqual(result["body"]["type"], f"urn:sheaf:problem:{slug}", result)
        self.assertEqual(result["body"]["status"], status)


class RawClient:
    """A socket that sends and reads what the test says."""

    def __init__(self, port, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(("127.0.0.1", port))

    def post(self, value, path="/batch"):
        body = json.dumps(value).encode()
        self.send(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def send(self, data):
        self.sock.sendall(data)

    def read_until(self, mark):
        data = bytearray()
        while data.find(mark, max(0, len(data) - 65536 - len(mark))) < 0:
            more = self.sock.recv(65536)
            if not more:
                raise AssertionError(f"ended before {mark!r}: {bytes(data[:300])!r}")
            data += more
        return bytes(data)

    def read_response(self):
        response = http.client.HTTPResponse(self.sock)
        response.begin()
        return Answer(response)

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Http2Client:
    """One connection that sends what the test says and keeps every frame that comes, by stream."""

    def __init__(self, port=None, sock=None):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.data, self.windows = b"", {0: 65535}
        self.sock.sendall(H2_PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20)))
        self.frames = []

    def head(self, stream, *fields):
        self.windows[stream] = 65535  # until the settings of the gateway are read
        fields = ((b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
                  (b"content-type", b"application/json")) + fields
        self.sock.sendall(frame(HEADERS, END_HEADERS, stream, b"".join(literal(*field) for field in fields)))

    def read(self):
        """Reads one frame: (kind, flags, stream, payload)."""
        while len(self.data) < 9 or len(self.data) < 9 + int.from_bytes(self.data[:3], "big"):
            more = self.sock.recv(65536)
            if not more:
                raise AssertionError(f"the connection ended after {[entry[:3] for entry in self.frames]}")
            self.data += more
        size = 9 + int.from_bytes(self.data[:3], "big")
        entry = (self.data[3], self.data[4], int.from_bytes(self.data[5:9], "big"), self.data[9:size])
        self.data = self.data[size:]
        self.frames.append(entry)
        if entry[0] == WINDOW_UPDATE and entry[2] in self.windows:
            self.windows[entry[2]] += int.from_bytes(entry[3], "big")
        return entry

    def send_data(self, stream, payload, flags=0):
        """Sends DATA as flow control allows."""
        self.sock.sendall(frame(DATA, flags, stream, payload))
        for window in (0, stream):
            self.windows[window] -= len(payload)
        while self.windows[0] < 16384:
            self.read()

    def until(self, kind, stream, flags=0):
        """Every frame of `stream` up to the first of `kind` with `flags`."""
        def found():
            return any(entry[0] == kind and entry[2] == stream and entry[1] & flags == flags for entry in self.frames)
        while not found():
            self.read()
        return [entry for entry in self.frames if entry[2] == stream]

    def answer(self, stream):
        frames = self.until(DATA, stream, END_STREAM)
        return json.loads(b"".join(payload for kind, _, _, payload in frames if kind == DATA))


class Load:
    """Threads that post the same batch over keep-alive connections and remember every failure."""

    def __init__(self, sheaf, items, threads=4):
        self.sheaf, self.items = sheaf, items
        self.is_over = False
        self.done = [0] * threads
        self.failures = [[] for _ in range(threads)]
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        conn = self.sheaf.connect()
        while not self.is_over:
            try:
                self._take(number, self.sheaf.batch(self.items, conn=conn))
            except Exception as failure:  # every kind of broken answer counts
                self.failures[number].append(repr(failure))
                conn.close()
                conn = self.sheaf.connect()
        conn.close()

    def _take(self, number, answer):
        results = answer.json["responses"]
        if answer.status != 207 or len(results) != len(self.items):
            ids = [result["id"] for result in results]
            self.failures[number].append((answer.status, f"{len(self.items)} items, {len(ids)} results: {ids}", answer.body[-300:]))
        self.failures[number] += [(self.items[at], result) for at, result in enumerate(results) if result["status"] != 200]
        self.done[number] += 1

    def wait_for(self, more):
        """Waits until every thread has finished `more` batches from now on."""
        goal = [done + more for done in self.done]
        wait_until(lambda: all(done >= least for done, least in zip(self.done, goal)), 60, "the load's progress")

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(60)
        return [failure for failures in self.failures for failure in failures]
