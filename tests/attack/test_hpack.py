"""HPACK bombs (fact 7): few bytes on the wire, many fields in memory. A head of more than 128 fields ends the
connection; resident memory grows by less than 2 MB."""
import unittest

from harness import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RELEASE, Attack, Http2Client, amount, block,
                     field, frame, integer, keep_worst, needs)

STREAMS = 90
BLOCK = 16000  # index bytes in each head


def indexed_head(stream, fields, flags=END_HEADERS):
    """A whole head on one HEADERS frame; the body is to follow for ever."""
    return frame(HEADERS, flags, stream, block() + fields)


class Inherited(Attack):
    """A header that HPACK names by one byte, inherited by every item of every batch: nothing of it reaches a backend."""

    def test_every_item_inherits_sixty_thousand_bytes(self):
        client = self.http2()
        big = b"\x40" + integer(1, 7) + b"x" + integer(3900, 7) + b"v" * 3900
        body = b"[" + b",".join([b'{"url":"/o/text"}'] * 100) + b"]"
        before = self.sheaf.metrics()
        for stream in range(1, 1 + 2 * 20, 2):
            client.sock.sendall(frame(HEADERS, END_HEADERS, stream, block() + (big if stream == 1 else b"") + b"\xbe" * 14))
            client.sock.sendall(frame(DATA, END_STREAM, stream, body))
            self.assertIn("limits.inherited allows 16384", client.answer(stream)["detail"])
        after = self.sheaf.metrics()
        name = 'sheaf_client_refused_total{reason="inherited-headers"}'
        self.assertEqual(after[name] - before[name], 20)
        out = 'sheaf_backend_bytes_total{direction="out"}'
        self.assertEqual(after[out], before[out], "bytes went to a backend")


@needs("guard: hpack")
class Bombs(Attack):
    binary = RELEASE
    growth = 2 << 20

    def setUp(self):
        """An honest head of a hundred fields first: what libc takes for that is not the bomb's."""
        super().setUp()
        client = self.http2()
        client.head(1, *[(b"x-%d" % i, b"v" * 100) for i in range(100)])
        client.send_data(1, b"[]", END_STREAM)
        client.answer(1)
        client.sock.close()

    def explode(self, first, then, count=STREAMS):
        """Many streams at once, each a bomb that is waiting for its body."""
        for _ in range(amount(2, 10)):
            sock = self.dial_http2()
            sock.settimeout(10)
            worker, = self.workers
            worker.forget_peak()
            before = worker.rss()
            self.pour(sock, first)
            for stream in range(3, 3 + 2 * count, 2):
                if not self.pour(sock, then(stream)):
                    break
            self.assert_cut(sock, within=5)
            peak = worker.peak() - before
            keep_worst("RSS growth under an HPACK bomb", peak / 1048576, "{:.2f} MB")
            self.assertLess(peak, 2 << 20, "while it ran")
            sock.close()

    def test_static_table(self):
        """Index 2 of the static table is a method; index 16 is accept-encoding: gzip, deflate."""
        self.explode(b"", lambda stream: indexed_head(stream, b"\x90" * BLOCK))

    def test_dynamic_table(self):
        """One entry of 3,900 bytes, named 16,000 times by one byte each."""
        big = b"\x40" + integer(1, 7) + b"x" + integer(3900, 7) + b"v" * 3900
        self.explode(frame(HEADERS, END_HEADERS | END_STREAM, 1, block() + big),
                     lambda stream: indexed_head(stream, b"\xbe" * BLOCK))

    def test_cookie_crumbs(self):
        """Crumbs may be many (RFC 9113 8.2.3), but not that many."""
        crumb = b"\x40" + integer(6, 7) + b"cookie" + integer(100, 7) + b"c" * 100
        self.explode(frame(HEADERS, END_HEADERS | END_STREAM, 1, block() + crumb),
                     lambda stream: indexed_head(stream, b"\xbe" * BLOCK))

    def test_huffman(self):
        """Five bits a character: 16,000 bytes become 25,600; ten fields of that a head, over CONTINUATION."""
        value = bytes(14000)  # "0" is 00000 in HPACK's code
        big = b"\x00" + integer(1, 7) + b"x" + integer(len(value), 7, 0x80) + value

        def head(stream):
            parts = [frame(HEADERS, 0, stream, block() + big)]
            parts += [frame(CONTINUATION, 0, stream, big) for _ in range(16)]
            return b"".join(parts) + frame(CONTINUATION, END_HEADERS, stream, field(b"y", b""))
        self.explode(b"", head)

    def test_many_small_literals(self):
        """Two bytes of name and value each: the most fields without a table."""
        self.explode(b"", lambda stream: indexed_head(stream, b"\x00\x01a\x00" * (BLOCK // 4)))

    def test_in_trailers(self):
        """Trailers are fields, too."""
        def head(stream):
            return frame(HEADERS, END_HEADERS, stream, block()) + frame(HEADERS, END_HEADERS | END_STREAM, stream,
                                                                        b"\x90" * BLOCK)
        self.explode(b"", head)


class WithinTheLimit(Attack):
    """As many fields as are allowed, each as large as is allowed: what is kept is what is allowed, and not its square."""
    binary = RELEASE
    growth = 24 << 20  # a hundred heads of 64 KiB, and what libc keeps of them

    def keep(self, name, body=True):
        sock = self.dial_http2()
        worker, = self.workers
        worker.forget_peak()
        before, cpu = worker.rss(), self.cpu()
        crumb = b"\x40" + integer(len(name), 7) + name + integer(500, 7) + b"c" * 500
        self.pour(sock, frame(HEADERS, END_HEADERS | END_STREAM, 1, block() + crumb))
        flags = END_HEADERS if body else END_HEADERS | END_STREAM
        self.pour(sock, b"".join(indexed_head(stream, b"\xbe" * 115, flags) for stream in range(3, 203, 2)))
        client = self.http2()
        client.head(1)
        client.send_data(1, b"[]", END_STREAM)
        client.answer(1)
        client.sock.close()
        self.assertLess(worker.peak() - before, self.growth)
        self.assertLess(self.cpu() - cpu, 0.5)
        sock.close()

    def test_cookies_that_wait_for_their_body(self):
        self.keep(b"cookie")

    def test_ways_to_accept(self):
        self.keep(b"accept", body=False)


class BombsTls(Bombs):
    tls = True


class Fields(Attack):
    """What is allowed still is."""

    def ask(self, *fields):
        client = Http2Client(sock=self.dial("h2"))
        client.head(1, *fields)
        client.send_data(1, b'[{"url":"/o/text"}]', END_STREAM)
        return client

    def test_a_hundred_and_twenty_fields_are_fine(self):
        client = self.ask(*[(b"x-%d" % i, b"v") for i in range(115)])
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)

    @needs("guard: hpack")
    def test_a_hundred_and_thirty_are_not(self):
        client = Http2Client(sock=self.dial("h2"))
        client.head(1, *[(b"x-%d" % i, b"v") for i in range(130)])
        self.assert_cut(client.sock)

    def test_forty_cookie_crumbs_arrive_as_one_field(self):
        client = self.ask(*[(b"cookie", b"c%d=%d" % (i, i)) for i in range(40)])
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)

    def test_a_table_size_over_the_limit_ends_the_connection(self):
        sock = self.dial_http2()
        sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, integer(1 << 20, 5, 0x20) + block()))
        self.assert_cut(sock)

    def test_an_index_beyond_the_tables_ends_the_connection(self):
        for fields in (b"\x80", integer(4000, 7, 0x80), b"\xff" * 12, integer(200, 4) + b"\x01v", b"\x00\x7f\xff\xff\xff\xff\x7f"):
            sock = self.dial_http2()
            sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, block() + fields))
            self.assert_cut(sock)


if __name__ == "__main__":
    unittest.main()
