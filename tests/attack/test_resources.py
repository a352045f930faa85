"""What runs out: descriptors, room for the log, the patience of a connection with requests pending (facts 2 and 17)."""
import contextlib
import socket
import time
import unittest

from harness import (DATA, END_STREAM, GOAWAY, HEADERS, SETTINGS, WINDOW_UPDATE, Attack, Http2Client, amount, batch, block,
                     frame, headers, items, needs, number, request, setting)


class Descriptors(Attack):
    """Connections without end against a worker that may open 300 files."""

    @classmethod
    def open_door(cls, **places):
        return cls.open_wrapped('exec prlimit --nofile=300:300 "$SHEAF" "$@"', **places)

    def crowd(self, count):
        socks = []
        for _ in range(count):
            try:
                socks.append(self.dial_to(self.sheaf.at, timeout=3))
            except OSError:
                break
        return socks

    def probe_from(self, address, deadline=10):
        """A batch from another address of the loopback network."""
        with socket.create_connection(("127.0.0.1", self.sheaf.at), timeout=deadline, source_address=(address, 0)) as sock:
            sock.sendall(request(fields=b"Connection: close\r\n"))
            return self.drain(sock)

    @needs("watchdog: connections")
    def test_another_client_is_served_meanwhile(self):
        """One address has its share; the backend's connections and the log have descriptors in reserve."""
        self.crowd(400)
        started = time.monotonic()
        for last in range(2, 12):
            answer = self.probe_from(f"127.0.0.{last}")
            self.assertIn(b"HTTP/1.1 207 ", answer)
            self.assertIn(b'"status":200', answer)
        self.assertLess(time.monotonic() - started, 5)

    @needs("watchdog: connections")
    def test_crowds_from_many_addresses(self):
        """More connections than descriptors, from addresses that each keep within their share: they wait in the queue of
        the kernel, and those that are in are served, backend included."""
        held = []
        for last in range(20, 30):
            for _ in range(60):
                sock = socket.socket()
                self.addCleanup(sock.close)
                sock.settimeout(3)
                sock.bind((f"127.0.0.{last}", 0))
                try:
                    sock.connect(("127.0.0.1", self.sheaf.at))
                except OSError:
                    break
                held.append(sock)
        first = held[0]
        first.sendall(request(items("/o/text", 20), b"Connection: close\r\n"))
        answer = self.drain(first)
        self.assertIn(b"HTTP/1.1 207 ", answer)
        self.assertEqual(answer.count(b'"status":200'), 20)

    def test_the_worker_does_not_spin(self):
        """The listen queue is full and nothing can be accepted: that costs no processor time."""
        self.crowd(600)
        cpu, end = self.cpu(), time.monotonic() + 1.5
        while time.monotonic() < end:
            time.sleep(0.1)  # what is measured is this time
        self.assertLess(self.cpu() - cpu, 0.5)


class FullLog(Attack):
    """Standard error is /dev/full: every line fails with ENOSPC."""
    places = {"top": "log: {level: debug, format: json}"}

    @classmethod
    def open_door(cls, **places):
        return cls.open_wrapped('exec "$SHEAF" "$@" 2>/dev/full', **places)

    def test_batches_go_on(self):
        for _ in range(amount(200, 2000)):
            self.probe()

    def test_refusals_go_on(self):
        for _ in range(amount(50, 500)):
            self.assertIn(b" 400 ", self.talk(b"garbage\r\n\r\n"))


class ConnectionErrors(Attack):
    """Requests pending, running or half sent while their connection ends in an error."""
    ERRORS = {
        "DATA on stream 0": frame(DATA, 0, 0, b"x"),
        "HEADERS on stream 0": frame(HEADERS, 4, 0, block()),
        "HEADERS on an even stream": frame(HEADERS, 4, 2, block()),
        "SETTINGS on a stream": frame(SETTINGS, 0, 1),
        "SETTINGS of a wrong length": frame(SETTINGS, 0, 0, b"\0\4\0"),
        "SETTINGS with a bad window": frame(SETTINGS, 0, 0, setting(4, 0x80000000)),
        "a window over the top": frame(WINDOW_UPDATE, 0, 0, number(0x7fffffff)) * 2,
        "an increment of nothing": frame(WINDOW_UPDATE, 0, 0, number(0)),
        "PING of a wrong length": frame(6, 0, 0, b"short"),
        "PUSH_PROMISE": frame(5, 4, 1, number(2) + block()),
        "CONTINUATION alone": frame(9, 4, 1, block()),
        "a frame too large": frame(DATA, 0, 1, bytes(16385)),
        "an HPACK error": frame(HEADERS, 4 | END_STREAM, 999, b"\xff\xff\xff\xff\xff\xff"),
        "GOAWAY and then garbage": frame(GOAWAY, 0, 0, bytes(8)) + b"garbage" * 10,
        "an old stream": frame(HEADERS, 4 | END_STREAM, 1, block()),
        "nothing": b"",
    }

    def test_with_requests_in_every_state(self):
        for name, error in self.ERRORS.items():
            for url in amount(("/o/delay/50/text",), ("/o/text", "/o/delay/50/text", "/o/json/100000")):
                for end in ("close", "reset", "wait"):
                    with self.subTest(error=name, url=url, end=end):
                        self.break_off(error, items(url, 5), end)
            self.settled()

    def break_off(self, error, body, end):
        client = Http2Client(sock=self.dial("h2"))
        streams = b"".join(batch(stream, body) for stream in range(1, 301, 2))  # more than may run at once
        half = b"".join(headers(stream) + frame(DATA, 0, stream, b"[") for stream in range(301, 341, 2))
        self.pour(client.sock, streams + half + error)
        if end == "wait" and error:
            self.drain(client.sock)
        elif end == "reset":
            with contextlib.suppress(OSError):
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sock.close()

    def test_http1_with_answers_waiting(self):
        for url in ("/o/text", "/o/delay/50/text", "/o/json/100000"):
            for tail in (b"", b"garbage\r\n\r\n", b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n[",
                         b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
                for reset in (False, True):
                    sock = self.dial()
                    self.pour(sock, request(items(url, 5)) * 20 + tail)
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sock.close()
        self.settled()


class ConnectionErrorsTls(ConnectionErrors):
    tls = True


if __name__ == "__main__":
    unittest.main()
