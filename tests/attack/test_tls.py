"""TLS: reads that fill libh2o's buffer exactly (fact 4), clients that die (fact 5), ciphertext after close_notify (fact 6),
handshakes that stall."""
import socket
import struct
import time
import unittest

from harness import (DATA, H2_PREFACE, RELEASE, SETTINGS, Attack, TlsPipe, amount, batch, frame, headers, items, needs,
                     request, wait_until)

MIB = 1 << 20
LINGER_NONE = struct.pack("ii", 1, 0)


class Tls(Attack):
    tls = True

    def pipe(self, alpn="http/1.1", handshake=True):
        pipe = TlsPipe(self.dial_to(self.sheaf.at), alpn)
        if handshake:
            pipe.handshake()
        return pipe

    def assert_answered(self, pipe, note=""):
        data = b""
        while not data.endswith(b'"failed":0}}'):
            more = pipe.read()
            self.assertTrue(more, f"ended after {data[:200]!r} {note}")
            data += more
        self.assertRegex(data, rb"^HTTP/1.1 207 ", note)

    @staticmethod
    def kill(sock):
        """The client dies: RST."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        sock.close()


@needs("guard: libuv")
class ExactReads(Tls):
    """libh2o reads 8,192 bytes at a time; a read that was exactly that was followed by one of nothing."""

    def burst(self, size):
        """A request whose ciphertext has exactly `size` bytes, sent in one piece."""
        pipe = self.pipe()
        overhead = len(pipe.records(b"")) or 22
        plain = size - overhead
        probe = request(b"[]".ljust(1000))
        body = b"[]".ljust(1000 + plain - len(probe))
        data = request(body)
        data = request(body.ljust(len(body) + plain - len(data))[:len(body) + plain - len(data)])
        cipher = pipe.records(data)
        self.assertEqual(len(cipher), size)
        pipe.sock.settimeout(5)
        pipe.sock.sendall(cipher)
        return pipe

    def test_bursts_around_the_buffer(self):
        for size in (*range(8185, 8201), 16384, 16383, 16385):
            for _ in range(amount(2, 10)):
                pipe = self.burst(size)
                self.assert_answered(pipe, f"{size} bytes")
                pipe.sock.close()

    def test_the_connection_goes_on_after_one(self):
        pipe = self.burst(8192)
        self.assert_answered(pipe)
        pipe.sock.sendall(pipe.records(request()))
        self.assert_answered(pipe)

    def test_a_paced_upload_in_pieces_of_the_buffer(self):
        """Two dozen reads that each fill the buffer, over HTTP/2 and HTTP/1."""
        for _ in range(amount(3, 20)):
            pipe = self.pipe()
            pipe.sock.settimeout(10)
            body = items("/o/text").ljust(200 * 1024)
            cipher = b"".join(pipe.records(part) for part in self.parts(request(body), 8192 - 22))
            for part in self.parts(cipher, 8192):
                pipe.sock.sendall(part)
                wait_until(lambda pipe=pipe: unsent(pipe.sock) == 0, 5, "the piece to be taken")
            self.assert_answered(pipe)
            pipe.sock.close()

    @staticmethod
    def parts(data, size):
        return [data[at:at + size] for at in range(0, len(data), size)]


def unsent(sock):
    """Bytes that the peer's kernel has not acknowledged."""
    import fcntl
    import termios
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


@needs("guard: libuv")
class CloseNotify(Tls):
    binary = RELEASE
    growth = 16 * MIB

    def flood(self, pipe, junk):
        before = self.workers[0].rss()
        for _ in range(64):
            if not self.pour(pipe.sock, junk):
                break
        else:
            self.fail("all of it was taken")
        self.assertLess(self.workers[0].rss() - before, 8 * MIB)

    def test_then_ciphertext_over_http2(self):
        pipe = self.pipe("h2")
        pipe.sock.sendall(pipe.records(H2_PREFACE + frame(SETTINGS, 0, 0) + batch(1, items("/o/delay/300/text"))))
        pipe.sock.sendall(pipe.close_notify())
        self.flood(pipe, (b"\x17\x03\x03\x40\x00" + bytes(16384)) * 64)

    def test_then_ciphertext_over_http1(self):
        pipe = self.pipe()
        pipe.sock.sendall(pipe.records(request(items("/o/delay/300/text"))))
        pipe.sock.sendall(pipe.close_notify())
        self.flood(pipe, (b"\x17\x03\x03\x40\x00" + bytes(16384)) * 64)

    def test_then_rubbish(self):
        pipe = self.pipe("h2")
        pipe.sock.sendall(pipe.records(H2_PREFACE + frame(SETTINGS, 0, 0) + headers(1) + frame(DATA, 0, 1, b"[")))
        pipe.sock.sendall(pipe.close_notify())
        self.flood(pipe, b"\xff" * MIB)

    def test_an_honest_one_after_a_request_is_fine(self):
        """Our side is over, the answer comes all the same."""
        pipe = self.pipe()
        pipe.sock.sendall(pipe.records(request()) + pipe.close_notify())
        pipe.sock.settimeout(5)
        self.assertTrue(pipe.sock.recv(65536))

    def test_records_of_nothing(self):
        """Empty records, and a record that never ends."""
        pipe = self.pipe("h2")
        pipe.sock.sendall(pipe.records(H2_PREFACE + frame(SETTINGS, 0, 0)))
        pipe.sock.sendall(b"\x17\x03\x03\x40\x00" + bytes(8000))
        pipe.sock.close()


@needs("guard: libuv")
class Killed(Tls):
    """Clients that die by RST, in six rounds: none of them may leak its descriptor."""
    each = amount(15, 80)

    def round(self, state, alpn="http/1.1"):
        pipes = []
        for _ in range(self.each):  # each speaks at once: the last must not wait longer than a handshake may
            pipes.append(self.pipe(alpn, handshake=False))
            state(pipes[-1])
        for pipe in pipes:
            self.kill(pipe.sock)
        self.settled()
        wait_until(lambda: self.count_descriptors() <= self.descriptors, 5, "all descriptors back")

    def test_in_the_handshake(self):
        self.round(lambda pipe: pipe.sock.sendall(pipe.hello()))

    def test_after_the_handshake(self):
        self.round(lambda pipe: pipe.handshake())

    def test_in_a_request(self):
        def state(pipe):
            pipe.handshake()
            pipe.sock.sendall(pipe.records(request(items("/o/text"))[:-5]))
        self.round(state)

    def test_while_the_answer_is_made(self):
        def state(pipe):
            pipe.handshake()
            pipe.sock.sendall(pipe.records(request(items("/o/delay/200/text"))))
        self.round(state)

    def test_while_the_answer_is_read(self):
        def state(pipe):
            pipe.handshake()
            pipe.sock.sendall(pipe.records(request(items("/o/json/300000", 4))))
            pipe.sock.recv(1000)
        self.round(state)

    def test_over_http2_with_answers_waiting(self):
        def state(pipe):
            pipe.handshake()
            pipe.sock.sendall(pipe.records(H2_PREFACE + frame(SETTINGS, 0, 0) +
                                           b"".join(batch(stream, items("/o/json/100000")) for stream in range(1, 21, 2))))
            pipe.sock.recv(1000)
        self.round(state, "h2")

    def test_after_close_notify(self):
        def state(pipe):
            pipe.handshake()
            pipe.sock.sendall(pipe.records(request()) + pipe.close_notify())
        self.round(state)


@needs("watchdog: deadlines")
class Stalls(Tls):
    places = {"top": "limits: {connections_per_client: 0, head_timeout: 1s, handshake_timeout: 1s}\nlog: {level: error}"}

    def assert_all_cut(self, socks, within=6):
        started = time.monotonic()
        self.probe()
        for sock in socks:
            self.assert_cut(sock, within)
            sock.close()
        self.assertLess(time.monotonic() - started, within)

    def test_silence(self):
        self.assert_all_cut([self.dial_to(self.sheaf.at) for _ in range(amount(300, 1500))])

    def test_half_a_hello(self):
        socks = []
        for _ in range(amount(100, 500)):
            pipe = self.pipe(handshake=False)
            pipe.sock.sendall(pipe.hello()[:100])
            socks.append(pipe.sock)
        self.assert_all_cut(socks)

    def test_a_hello_and_nothing_more(self):
        socks = []
        for _ in range(amount(100, 500)):
            pipe = self.pipe(handshake=False)
            pipe.sock.sendall(pipe.hello())
            socks.append(pipe.sock)
        self.assert_all_cut(socks)

    def test_a_hello_byte_by_byte(self):
        pipe = self.pipe(handshake=False)
        for byte in pipe.hello():
            if not self.pour(pipe.sock, bytes([byte])) or self.is_over(pipe.sock, 0.02):
                return
        self.fail("the whole hello took its time and was taken")

    def test_silence_after_the_handshake(self):
        socks = []
        for _ in range(amount(30, 200)):
            pipe = self.pipe()
            socks.append(pipe.sock)
        self.assert_all_cut(socks)


class Garbage(Tls):
    def test_what_is_no_handshake(self):
        for junk in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", H2_PREFACE, bytes(2000), b"\xff" * 2000,
                     b"\x16\x03\x01\xff\xff" + bytes(70000), b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
                     b"\x15\x03\x01\x00\x02\x02\x28", b"\x80\x2e\x01\x00\x02" + bytes(44)):
            for _ in range(10):
                sock = self.dial_to(self.sheaf.at)
                self.pour(sock, junk)
                sock.shutdown(socket.SHUT_WR)
                self.assert_cut(sock)
                sock.close()

    def test_hellos_with_a_flipped_bit(self):
        import random
        chance = random.Random(11)
        for _ in range(amount(200, 2000)):
            pipe = self.pipe(handshake=False)
            hello = bytearray(pipe.hello())
            for _ in range(chance.randint(1, 3)):
                hello[chance.randrange(len(hello))] ^= 1 << chance.randrange(8)
            self.pour(pipe.sock, bytes(hello))
            pipe.sock.close()


if __name__ == "__main__":
    unittest.main()
