"""Request bodies (fact 11): many at once, without end, at a drip. What one connection may have waiting is bounded, and so
is the time a body may take; an honest upload on a slow line goes through."""
import time
import unittest

from harness import (DATA, END_STREAM, RELEASE, Attack, Http2Client, amount, frame, headers, items, needs, wait_until)

CHUNK = b" " * 16384
MIB = 1 << 20


class Buffered(Attack):
    """A hundred streams, each with a body of nearly a mebibyte that does not end."""
    binary = RELEASE
    growth = 24 << 20
    budget = 8 * MIB

    def pile(self, sock, streams=100, each=MIB - 16384):
        """Sends bodies in turn until the connection is cut; tells whether it was."""
        if not self.pour(sock, b"".join(headers(stream) for stream in range(1, 2 * streams, 2))):
            return True
        for _ in range(each // len(CHUNK)):
            for stream in range(1, 2 * streams, 2):
                if not self.pour(sock, frame(DATA, 0, stream, CHUNK)):
                    return True
        return False

    @needs("guard: bodies")
    def test_of_one_connection(self):
        before = self.workers[0].rss()
        for _ in range(amount(1, 5)):
            sock = self.dial_http2()
            self.workers[0].forget_peak()
            self.assertTrue(self.pile(sock), "all of it was taken")
            self.assertLess(self.workers[0].peak() - before, self.budget + 16 * MIB)
            self.assert_cut(sock)
            sock.close()

    @needs("guard: bodies")
    def test_of_a_connection_that_never_ends_one(self):
        """One stream, flow control ignored: no more than the window is kept."""
        before = self.workers[0].rss()
        sock = self.dial_http2()
        self.pour(sock, headers(1))
        for _ in range(64 * MIB // len(CHUNK)):
            if not self.pour(sock, frame(DATA, 0, 1, CHUNK)):
                break
        self.assertLess(self.workers[0].rss() - before, self.budget + 16 * MIB)

    def test_padding_is_not_kept(self):
        before = self.workers[0].rss()
        sock = self.dial_http2()
        self.pour(sock, headers(1))
        pile = frame(DATA, 8, 1, b"\xff" + b"x" + bytes(255)) * 100
        for _ in range(1000):
            if not self.pour(sock, pile):
                break
        self.assertLess(self.workers[0].rss() - before, self.budget + 16 * MIB)

    def test_eight_megabytes_in_eight_batches_are_honest(self):
        """What the budget allows is answered."""
        client = self.http2()
        body = items("/o/text").ljust(MIB - 65536)
        for stream in range(1, 15, 2):
            client.head(stream)
        for at in range(0, len(body), 16384):
            for stream in range(1, 15, 2):
                client.send_data(stream, body[at:at + 16384], END_STREAM if at + 16384 >= len(body) else 0)
        for stream in range(1, 15, 2):
            self.assertEqual(client.answer(stream)["responses"][0]["status"], 200)


class BufferedTls(Buffered):
    tls = True


@needs("watchdog: memory")
class Memory(Attack):
    """The worker's memory is bounded by a key, whatever many connections send together."""
    binary = RELEASE
    growth = 160 << 20  # what libc keeps
    places = {"top": "limits: {memory: 96MiB, connections_per_client: 0}\nlog: {level: error}"}

    def closing_question(self):
        """Right after the attack 503 is the answer that was wanted: it ends with what it was about."""
        wait_until(lambda: self.sheaf.batch(["/o/text"]).status == 207, 5, "the end of 503")
        super().closing_question()

    def test_bodies_on_many_connections(self):
        socks = [self.dial_http2() for _ in range(40)]
        head = b"".join(headers(stream) for stream in range(1, 17, 2))
        for sock in socks:
            self.pour(sock, head)
        for _ in range(50):
            for sock in socks:
                self.pour(sock, b"".join(frame(DATA, 0, stream, CHUNK) for stream in range(1, 17, 2)), patience=1)
        self.assertLess(self.workers[0].peak(), (96 + 48) * MIB)


@needs("watchdog: deadlines")
class Deadlines(Attack):
    places = {"top": "limits: {body_timeout: 1s, body_rate: 4KiB}\nlog: {level: error}"}

    def test_a_drip_over_http1(self):
        sock = self.dial()
        self.pour(sock, b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[")
        self.drip(sock, b" ")

    def test_a_drip_of_chunks(self):
        sock = self.dial()
        self.pour(sock, b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n")
        self.drip(sock, b"1\r\n \r\n")

    def test_a_drip_over_http2(self):
        sock = self.dial_http2()
        self.pour(sock, headers(1))
        self.drip(sock, frame(DATA, 0, 1, b" "))

    def test_silence_on_many_streams(self):
        sock = self.dial_http2()
        self.pour(sock, b"".join(headers(stream) for stream in range(1, 199, 2)))
        self.drip(sock, frame(6, 0, 0, b"whatever"))

    def drip(self, sock, drop):
        """A little every tenth of a second, until it is cut."""
        started = time.monotonic()
        while time.monotonic() - started < 8:
            if not self.pour(sock, drop) or self.is_over(sock, 0.1):
                break
        else:
            self.fail("never cut")
        self.assertGreater(time.monotonic() - started, 0.9, "cut too early")

    def test_an_honest_slow_upload_goes_through(self):
        """8 kB/s for far longer than body_timeout: DESIGN section 3 promises it."""
        body = items("/o/text").ljust(amount(24, 64) * 1024)
        sock = self.dial(timeout=30)
        self.pour(sock, b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nConnection: close\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(body))
        http2 = Http2Client(sock=self.dial("h2"))
        http2.head(1)
        for at in range(0, len(body), 1024):
            self.assertTrue(self.pour(sock, body[at:at + 1024]))
            http2.send_data(1, body[at:at + 1024], END_STREAM if at + 1024 >= len(body) else 0)
            if at + 1024 < len(body):
                self.assertFalse(self.is_over(sock, 0.12))  # the pace
        self.assertIn(b"HTTP/1.1 207 ", self.drain(sock))
        self.assertEqual(http2.answer(1)["responses"][0]["status"], 200)

    def test_deadlines_are_per_body_not_per_connection(self):
        """A keep-alive connection with many quick bodies outlives the deadline of one."""
        conn = self.sheaf.connect()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            self.assertEqual(self.sheaf.batch(["/o/delay/50/text"], conn=conn).status, 207)
        conn.close()


class DeadlinesTls(Deadlines):
    tls = True


if __name__ == "__main__":
    unittest.main()
