"""Readers that take an answer slowly: who takes less than limits.send_rate of what waits for him gives up his backend's
connection, and who takes as much keeps it for as long as he likes."""
import ssl
import threading
import time
import unittest

from harness import (DATA, END_HEADERS, END_STREAM, HEADERS, RELEASE, RST_STREAM, WINDOW_UPDATE, Attack, field, frame, items, number,
                     request, setting, wait_until)

CONNS = 4  # of the upstream
STALLS = "sheaf_client_stalls_total"


def get(stream, path):
    head = ((b":method", b"GET"), (b":path", path.encode()), (b":scheme", b"http"), (b":authority", b"h"))
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, b"".join(field(*pair) for pair in head))


def ask(path):
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


class Sipping(Attack):
    """One upstream with few connections; what a client does on its own connection, it does in `at_a_pace`."""
    rate = ""
    timeout = "1s"
    upstream_conns = CONNS

    @classmethod
    def setUpClass(cls):
        cls.places = {"top": "limits: {send_timeout: " + cls.timeout + cls.rate + "}\nlog: {level: error}",
                      "upstream": f"max_connections: {cls.upstream_conns}, max_waiting: 1000, timeout: 30s"}
        super().setUpClass()

    def stalls(self):
        return self.sheaf.metrics()[STALLS]

    @staticmethod
    def at_a_pace(step, seconds, is_over=threading.Event()):
        """Calls `step` each quarter of a second until it says that its connection has ended, or the time is over: did it live?"""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not is_over.wait(0.25):  # the pace
            if not step():
                return False
        return True

    def hold(self, step):
        """Does `step` aside until the test is over."""
        is_over = threading.Event()
        thread = threading.Thread(target=self.at_a_pace, args=(step, 60, is_over), daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(is_over.set)

    def others_are_served(self, within=6):
        """The connections that were held are there for others."""
        started = time.monotonic()
        answer = self.sheaf.request("GET", "/o/text")
        self.assertEqual(answer.status, 200)
        self.assertLess(time.monotonic() - started, within)

    @staticmethod
    def sip(sock, most):
        """Reads up to `most` bytes that are there; False at the end."""
        sock.setblocking(False)
        try:
            return sock.recv(most) != b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        finally:
            sock.setblocking(True)


class Trickles(Sipping):
    """Windows of HTTP/2 that are opened by next to nothing, again and again."""

    def trickle(self, sock, streams, size=1):
        def step():
            self.sip(sock, 1 << 20)
            return self.pour(sock, b"".join(frame(WINDOW_UPDATE, 0, stream, number(size)) for stream in streams))
        return step

    def test_windows_of_streams(self):
        before = self.stalls()
        sock = self.dial_http2(setting(4, 1000))
        streams = range(1, 1 + 2 * CONNS, 2)
        self.pour(sock, b"".join(get(stream, "/o/bytes/20000000") for stream in streams))
        self.hold(self.trickle(sock, streams))
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] >= CONNS, 10, "the streams")
        self.others_are_served()
        wait_until(lambda: self.stalls() >= before + CONNS, 10, "every stream given up")
        self.assertTrue(self.pour(sock, get(101, "/o/text")), "the connection goes on")

    def test_the_window_of_the_connection(self):
        before = self.stalls()
        sock = self.dial_http2(setting(4, 0x7fffffff))
        self.pour(sock, b"".join(get(stream, "/o/bytes/20000000") for stream in range(1, 1 + 2 * CONNS, 2)))
        self.hold(self.trickle(sock, (0,)))
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] >= CONNS, 10, "the streams")
        self.others_are_served()
        wait_until(lambda: self.stalls() > before, 10, "the connection given up")

    def test_of_a_batch(self):
        before = self.stalls()
        sock = self.dial_http2(setting(4, 1000))
        body = items("/o/json/60000")
        self.pour(sock, b"".join((frame(HEADERS, END_HEADERS, stream, b"".join(field(*pair) for pair in (
            (b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
            (b"content-type", b"application/json")))) + frame(DATA, END_STREAM, stream, body)) for stream in (1, 3)))
        self.hold(self.trickle(sock, (1, 3)))
        wait_until(lambda: self.stalls() >= before + 2, 10, "both given up")


class TricklesTls(Trickles):
    tls = True


class Sockets(Sipping):
    """A socket that is read slowly, and steadily: its queue in the kernel moves all the time."""
    rate = ", send_rate: 256KiB"

    def sipper(self, data, alpn="http/1.1", step=16384):
        sock = self.dial(alpn, receive_buffer=16384)
        self.pour(sock, data)
        return sock, lambda: self.sip(sock, step)  # 64 KiB a second

    def test_direct_answers(self):
        before = self.stalls()
        for _ in range(CONNS):
            self.hold(self.sipper(ask("/o/bytes/20000000"))[1])
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] >= CONNS, 10, "the answers")
        self.others_are_served()
        wait_until(lambda: self.stalls() >= before + CONNS, 10, "every answer given up")

    def test_a_batch(self):
        before = self.stalls()
        self.hold(self.sipper(request(items("/o/json/900000", 8)))[1])
        wait_until(lambda: self.stalls() > before, 20, "it is given up")


class SocketsTls(Sockets):
    tls = True


class Honest(Sipping):
    """Slow lines, and streams that have little to say, live for longer than all limits together."""
    timeout = "3s"  # a record of TLS comes whole, and windows open by half: what is steady comes in lumps of a second
    upstream_conns = 64
    SECONDS = 14

    def live(self, clients):
        """All of `clients`, each a socket and what is done with it, at the same time."""
        before, ended = self.stalls(), []

        def lead(name, step):
            if not self.at_a_pace(step, self.SECONDS):
                ended.append(name)
        threads = [threading.Thread(target=lead, args=(name, step)) for name, (_, step) in clients.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(ended, [])
        self.assertEqual(self.stalls(), before)
        for sock, _ in clients.values():
            sock.close()

    def mobile_http1(self):
        sock = self.dial(receive_buffer=8192)
        self.pour(sock, ask("/o/bytes/20000000"))
        return sock, lambda: self.sip(sock, 5120)

    def mobile(self, streams, settings, line, receive_buffer=8192):
        """One connection that takes 20 KiB a second and opens windows by what it read."""
        sock = self.dial_http2(settings, receive_buffer=receive_buffer)
        self.pour(sock, b"".join(get(1 + 2 * nth, "/o/bytes/3000000") for nth in range(streams)))
        if line:
            self.pour(sock, frame(WINDOW_UPDATE, 0, 0, number(line)))
        state = {"data": b"", "owed": {}, "resets": 0}

        def step():
            sock.setblocking(False)
            try:
                data = sock.recv(5120)
                if not data:
                    return False
                state["data"] += data
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            finally:
                sock.setblocking(True)
            self.reads(state)
            return self.pour(sock, self.updates(state)) and state["resets"] == 0
        return sock, step

    @staticmethod
    def reads(state):
        data = state["data"]
        while len(data) >= 9 and len(data) >= 9 + (length := int.from_bytes(data[:3], "big")):
            kind, stream = data[3], int.from_bytes(data[5:9], "big")
            if kind == DATA:
                for of in (0, stream):
                    state["owed"][of] = state["owed"].get(of, 0) + length
            state["resets"] += kind == RST_STREAM
            data = data[9 + length:]
        state["data"] = data

    @staticmethod
    def updates(state):
        """As libraries have it: once half of a window is used."""
        due = {of: owed for of, owed in state["owed"].items() if owed >= 32768}
        for of in due:
            del state["owed"][of]
        return b"".join(frame(WINDOW_UPDATE, 0, of, number(owed)) for of, owed in due.items())

    def test_twenty_kib_a_second(self):
        self.live({"HTTP/1": self.mobile_http1(),
                   "one stream": self.mobile(1, setting(4, 1 << 20), 1 << 20),
                   "twenty streams that share the connection's window": self.mobile(20, setting(4, 65535), 0),
                   # each has used its window up, and all of it lies in our kernel: none is to blame
                   "twenty streams whose bytes are on their way": self.mobile(20, setting(4, 65535), 16 << 20)})

    def test_events_that_are_read_at_once(self):
        http1, http2 = self.dial(), self.dial_http2()
        self.pour(http1, ask("/o/drip/400"))
        self.pour(http2, get(1, "/o/drip/400"))
        self.live({"HTTP/1": (http1, lambda: self.sip(http1, 1 << 16)), "HTTP/2": (http2, lambda: self.sip(http2, 1 << 16))})


class HonestTls(Honest):
    tls = True


class Holding(Attack):
    """Many small answers that nobody takes are as much as a large one: when memory is short their connection goes first."""
    binary = RELEASE
    growth = 64 << 20  # what libc keeps of it
    places = {"top": "limits: {memory: 64MiB}\nlog: {level: error}", "upstream": "max_connections: 1000, max_waiting: 1000"}

    def test_direct_answers_of_one_connection(self):
        refused = 'sheaf_client_refused_total{reason="memory"}'
        before = self.sheaf.metrics()[refused]
        for _ in range(4):
            sock = self.dial_http2(setting(4, 0))
            self.pour(sock, b"".join(get(stream, "/o/bytes/400000") for stream in range(1, 199, 2)))
        wait_until(lambda: self.sheaf.metrics()[refused] > before, 20, "one of them is given up")
        wait_until(lambda: self.sheaf.batch(["/o/text"]).status == 207, 5, "others are served")
        self.assertLess(self.workers[0].rss(), 96 << 20)


class HoldingTls(Holding):
    tls = True


del Sipping

if __name__ == "__main__":
    unittest.main()
