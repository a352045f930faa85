"""What every attack stands on: the end-to-end harness, clients that lie, and the question that closes each attack.

An attack may do what it likes to the gateway. When it is over, its connections are closed and `Attack` asks: are the
worker processes the same, is a batch answered at once, is nothing of the attack alive, are descriptors and memory back
where they were? `needs` keeps an attack whose remedy is not built yet (missing.txt) from failing a run.
"""
import functools
import importlib.util
import os
import pathlib
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def load_e2e():
    """tests/e2e/harness.py bears the name of this file, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("e2e_harness", HERE.parent / "e2e/harness.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


load_e2e()
from e2e_harness import (DATA, DEADLINE, END_HEADERS, END_STREAM, GOAWAY, H2_PREFACE, HEADERS, PADDED, PING,  # noqa: E402,F401
                         ROOT, RST_STREAM, SETTINGS, SHEAF, WINDOW_UPDATE, Case, Http2Client, Load, Origin, RawClient, Sheaf,
                         frame, free_port, literal, wait_until)

PRIORITY, PUSH_PROMISE, CONTINUATION = 2, 5, 9
RELEASE = os.environ.get("SHEAF_RELEASE_BIN", str(ROOT / "build/release/sheaf"))
IS_FULL = os.environ.get("ATTACK_FULL") == "1"  # larger amounts, for CI
HAS_ALL = os.environ.get("ATTACK_ALL") == "1"   # also the attacks whose remedy is missing
ON_RELEASE = os.environ.get("ATTACK_RELEASE") == "1"  # the release build for what else runs under sanitizers


# --- what is not built yet ---

def missing():
    lines = (HERE / "missing.txt").read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def needs(remedy):
    """Marks an attack that only `remedy` stops: skipped while missing.txt names it and ATTACK_ALL is not 1."""
    return unittest.skipIf(remedy in missing() and not HAS_ALL, f"needs {remedy}")


def only_in_full(what):
    """Leaves out what the quick run can do without: attacks whose outcome hardly depends on what lies below them."""
    return unittest.skipUnless(IS_FULL, "only with --full")(what)


def awaited(rows):
    """The rows of a table without those whose remedy is missing ("row: NAME")."""
    return [row for row in rows if HAS_ALL or f"row: {row[0]}" not in missing()]


def amount(quick, full):
    """How much of it: little in tests/run, much in CI."""
    return full if IS_FULL else quick


FIGURES = {}  # what was measured, by name; printed at the end of a run


def keep_worst(name, value, form="{}"):
    """Remembers a figure for the end of the run, the worst of several."""
    if name not in FIGURES or value > FIGURES[name][0]:
        FIGURES[name] = (value, form.format(value))


# --- bytes ---

def integer(value, bits, first=0):
    """An HPACK integer (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(name, value):
    """A header field of any length that touches no table."""
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


HEAD = ((b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
        (b"content-type", b"application/json"))


def block(*more, head=HEAD):
    return b"".join(field(*pair) for pair in head + more)


def headers(stream, *more, flags=END_HEADERS, head=HEAD):
    return frame(HEADERS, flags, stream, block(*more, head=head))


def items(url, count=1):
    """A batch document."""
    return b"[" + b",".join([b'{"url":"%s"}' % url.encode()] * count) + b"]"


ONE = items("/o/text")
FIFTY = items("/o/text", 50)


def batch(stream, body=ONE):
    """A whole batch as one HEADERS and one DATA frame."""
    return headers(stream) + frame(DATA, END_STREAM, stream, body)


def number(value):
    return struct.pack(">I", value)


def setting(name, value):
    return struct.pack(">HI", name, value)


def request(body=ONE, fields=b"", version=b"1.1", host=b"Host: h\r\n"):
    """A batch over HTTP/1."""
    return (b"POST /batch HTTP/" + version + b"\r\n" + host + b"Content-Type: application/json\r\n" + fields +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


# --- the gateway's processes ---

def is_sanitized(binary):
    return b"__asan_init" in pathlib.Path(binary).read_bytes()


class Worker:
    """One process as the kernel sees it."""

    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        """Seconds on the processor, user and system."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def forget_peak(self):
        """The high-water mark of resident memory begins anew (proc(5), clear_refs)."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self):
        """The most resident bytes since then."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) * 1024

    def descriptors(self, origin_port):
        """Open descriptors, without the connections to the origin that are kept for the next batch."""
        backend = backend_inodes(origin_port)
        names = []
        for entry in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                names.append(os.readlink(f"/proc/{self.pid}/fd/{entry}"))
            except FileNotFoundError:
                continue
        return sum(1 for name in names if name[8:-1] not in backend)


def backend_inodes(port):
    """Inodes of the sockets whose peer is `port`."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {line.split()[9] for line in lines if int(line.split()[2].rsplit(":", 1)[1], 16) == port}


# --- TLS ---

class Certificate:
    """A self-signed certificate that lives as long as the run."""

    @staticmethod
    @functools.cache
    def made():
        folder = tempfile.TemporaryDirectory(prefix="sheaf-attack-")
        key, certificate = f"{folder.name}/key.pem", f"{folder.name}/certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        return folder, certificate, key

    @classmethod
    def listener(cls):
        """What a listener's configuration needs."""
        _, certificate, key = cls.made()
        return f', tls: {{certificate: "{certificate}", key: "{key}"}}'


def tls_context(*protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


class TlsPipe:
    """A TLS client over a socket that shows its records: the test decides when which of them are sent."""

    def __init__(self, sock, alpn="h2"):
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls_context(alpn).wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def hello(self):
        """The first flight, not sent yet."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                self.feed()

    def flush(self):
        if data := self.outgoing.read():
            self.sock.sendall(data)

    def feed(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError("the gateway ended it")
        self.incoming.write(data)

    def records(self, data):
        """The ciphertext of `data`, not sent yet."""
        self.tls.write(data)
        return self.outgoing.read()

    def close_notify(self):
        """The alert that ends our side, not sent yet."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        return self.outgoing.read()

    def read(self):
        """Plaintext as it comes; nothing at the end."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                try:
                    self.feed()
                except ConnectionResetError:
                    return b""


# --- the attack ---

class Door(Sheaf):
    """A gateway that may speak TLS to its clients."""
    is_tls = False

    def connect(self, port=None):
        if self.is_tls and port in (None, self.at):
            import http.client
            return http.client.HTTPSConnection("127.0.0.1", self.at, timeout=60, context=tls_context("http/1.1"))
        return super().connect(port)


class Attack(Case):
    """Attacks on one gateway with one worker, the same one throughout. A class with tls = True repeats them over TLS."""
    tls = False
    binary = RELEASE if ON_RELEASE else SHEAF
    is_alone = False   # whether it takes the whole machine: no other attack runs at the same time
    at_once = 0.1      # seconds in which a batch is answered after the attack, in every build
    growth = 16 << 20  # bytes a worker of a release build may have grown by
    top = ""

    @classmethod
    def setUpClass(cls):
        if not pathlib.Path(cls.binary).exists():
            raise unittest.SkipTest(f"{cls.binary} is not built")
        if cls.tls and "tls" in missing():
            raise unittest.SkipTest("needs tls")
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.sheaf = cls.open_door(**cls.places)
        cls.addClassCleanup(cls.sheaf.stop)
        cls.is_sanitized = is_sanitized(cls.binary)

    @classmethod
    def open_door(cls, **places):
        if cls.tls:
            places = {"listener": Certificate.listener(), **places}
        places = {"top": "log: {level: warn, format: json}", **places}
        door = Door(cls.origin, binary=cls.binary, **places)
        door.is_tls = cls.tls
        return door

    @classmethod
    def open_wrapped(cls, line, **places):
        """A gateway started by a line of shell; $SHEAF "$@" stands for it and its words."""
        folder = tempfile.TemporaryDirectory(prefix="sheaf-attack-")
        cls.addClassCleanup(folder.cleanup)
        script = pathlib.Path(folder.name) / "sheaf"
        script.write_text(f'#!/bin/sh\nSHEAF="{cls.binary}"\n{line}\n')
        script.chmod(0o755)
        real, cls.binary = cls.binary, str(script)
        try:
            return Attack.open_door.__func__(cls, **places)
        finally:
            cls.binary = real

    def setUp(self):
        for _ in range(3):
            self.probe()  # buffers and pools have their everyday size
        self.workers = [Worker(pid) for pid in self.sheaf.children()]
        self.settled()
        self.origin.reset()
        self.descriptors = self.count_descriptors()
        self.rss = [worker.rss() for worker in self.workers]
        self.addCleanup(self.closing_question)

    # clients

    def dial_to(self, port, receive_buffer=None, timeout=DEADLINE):
        """A TCP connection, closed when the attack is over."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def dial(self, alpn="http/1.1", **kwargs):
        """A connection: a socket, or a TLS one that offers `alpn`; closed when the attack is over."""
        sock = self.dial_to(self.sheaf.at, **kwargs)
        if self.tls:
            sock = tls_context(alpn).wrap_socket(sock, server_hostname="localhost")
            self.addCleanup(sock.close)
        return sock

    def dial_http2(self, settings=b"", **kwargs):
        """A connection whose HTTP/2 preface is sent."""
        sock = self.dial("h2", **kwargs)
        sock.sendall(H2_PREFACE + frame(SETTINGS, 0, 0, settings))
        return sock

    def http2(self):
        return Http2Client(sock=self.dial("h2"))

    def talk(self, data, timeout=DEADLINE):
        """Sends `data` over HTTP/1 and reads until the gateway closes."""
        sock = self.dial(timeout=timeout)
        self.pour(sock, data)
        return self.drain(sock)

    @staticmethod
    def pour(sock, data, patience=3):
        """Sends as much of `data` as the gateway lets in; tells whether that was all.

        A connection that the gateway has ended may still look full to us for a minute (the kernel answers our window
        probes from TIME-WAIT), so its FIN is looked for, and a send without progress ends after `patience` seconds."""
        poll, view, at = select.poll(), memoryview(data), 0
        poll.register(sock, select.POLLOUT | select.POLLRDHUP)
        before = sock.gettimeout()
        sock.settimeout(patience)
        try:
            while at < len(view):
                events = poll.poll(patience * 1000)
                if not events or events[0][1] & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                    return False
                at += sock.send(view[at:at + (256 << 10)])
            return True
        except (OSError, ssl.SSLError):
            return False
        finally:
            sock.settimeout(before)

    @staticmethod
    def drain(sock):
        """Everything that still comes, up to the end or the reset. A timeout is an error."""
        out = bytearray()
        try:
            while more := sock.recv(65536):
                out += more
        except (ConnectionError, ssl.SSLError):
            pass
        return bytes(out)

    @staticmethod
    def is_over(sock, within):
        """Whether the gateway ends the connection within so many seconds; answers are read and forgotten."""
        end = time.monotonic() + within
        before = sock.gettimeout()
        try:
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                if not sock.recv(65536):
                    return True
        except TimeoutError:
            pass
        except (OSError, ssl.SSLError):
            return True
        finally:
            sock.settimeout(before)
        return False

    def assert_cut(self, sock, within=5):
        """The gateway has ended this connection, or does so now."""
        sock.settimeout(within)
        try:
            self.drain(sock)
        except TimeoutError:
            self.fail(f"the connection was still open after {within} s")

    # what happened

    def served(self):
        """Sub-requests that reached the origin."""
        return self.origin.count()["opened"] and self.origin.count()["served"]

    def cpu(self):
        return sum(worker.cpu() for worker in self.workers)

    def count_descriptors(self):
        return sum(worker.descriptors(self.origin.at) for worker in self.workers)

    def probe(self):
        """One batch on a new connection; the seconds it took."""
        started = time.monotonic()
        answer = self.sheaf.batch(["/o/text"])
        took = time.monotonic() - started
        self.assertEqual((answer.status, answer.json["responses"][0]["status"]), (207, 200))
        return took

    def settled(self):
        """Waits until nothing is alive in the gateway."""
        gauges = ("sheaf_client_connections", "sheaf_client_connections_lingering", "sheaf_batches_in_flight",
                  "sheaf_items_in_flight", "sheaf_exchanges_waiting", "sheaf_result_bytes_held")
        alive = {}

        def is_quiet():
            nonlocal alive
            metrics = self.sheaf.metrics()
            alive = {name: metrics[name] for name in gauges if metrics[name] != 0}
            return not alive
        try:
            wait_until(is_quiet, 10)
        except AssertionError:
            raise AssertionError(f"still alive: {alive}") from None

    def closing_question(self):
        self.assertEqual(self.sheaf.children(), [worker.pid for worker in self.workers],
                         "a worker died: " + "\n".join(self.sheaf.err[-40:]))
        self.origin.count()  # answered when the origin is through with what it was asked in vain
        self.ask_at_once()
        self.settled()
        most = self.descriptors
        wait_until(lambda: self.count_descriptors() <= most, 5,
                   f"descriptors at {most} again (now {self.count_descriptors()})")
        # The quarantine of ASan keeps what was freed, and without it the suite would no longer see a late use of freed
        # memory: `run --release` asks the same attacks for their memory.
        if not self.is_sanitized:
            grown = [worker.rss() - before for worker, before in zip(self.workers, self.rss)]
            self.assertLess(max(grown), self.growth, "resident bytes")

    def ask_at_once(self):
        """A batch on a new connection, handshake included, is answered within 100 ms: the best of a few, because a stall
        of the machine is not the gateway's."""
        took = self.probe()
        end = time.monotonic() + 2
        while took >= self.at_once and time.monotonic() < end:
            took = min(took, self.probe())
        build = "sanitized" if self.is_sanitized else "release"
        keep_worst(f"slowest probe after an attack, {build} build{', over TLS' if self.tls else ''}", took * 1000, "{:.0f} ms")
        self.assertLess(took, self.at_once, "the probe was slow")
