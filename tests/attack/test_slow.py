"""Slow and silent clients (fact 11), by the thousand: every wait for a client has an end."""
import time
import unittest

from harness import (CONTINUATION, DATA, END_HEADERS, END_STREAM, H2_PREFACE, HEAD, HEADERS, PING, RELEASE, RST_STREAM,
                     SETTINGS, WINDOW_UPDATE, Attack, amount, batch, block, frame, headers, items, needs, number,
                     request, setting, wait_until)


@needs("watchdog: deadlines")
class Heads(Attack):
    places = {"top": "limits: {handshake_timeout: 2s, head_timeout: 1s, idle_timeout: 2s, connections_per_client: 0}\nlog: {level: error}"}

    def drip(self, data, before=b"", alpn="http/1.1", step=1):
        """`data` a few bytes every twentieth of a second; the gateway must end it within five seconds."""
        sock = self.dial(alpn)
        self.pour(sock, before)
        end = time.monotonic() + 5
        for at in range(0, len(data), step):
            if time.monotonic() > end:
                self.fail("never cut")
            if not self.pour(sock, data[at:at + step]) or self.is_over(sock, 0.05):
                return
        self.assert_cut(sock, 5)

    def test_a_drip_of_fields(self):
        self.drip(b"X-A: b\r\n" * 1000, b"POST /batch HTTP/1.1\r\nHost: h\r\n")

    def test_a_drip_of_empty_lines(self):
        self.drip(b"\r\n" * 1000)

    def test_half_a_request_line(self):
        self.drip(b"POST /batch")

    def test_after_a_good_request(self):
        self.drip(b"X-A: b\r\n" * 1000, request() + b"POST /batch HTTP/1.1\r\n")

    def test_a_drip_of_the_preface(self):
        self.drip(H2_PREFACE, alpn="h2")

    def test_a_preface_without_settings(self):
        self.drip(b"", H2_PREFACE, alpn="h2")

    def test_a_drip_of_continuation(self):
        self.drip(frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b") * 200,
                  H2_PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, block()), alpn="h2", step=14)

    def test_a_frame_that_never_ends(self):
        self.drip(frame(HEADERS, END_HEADERS, 1, block() + bytes(2000)), H2_PREFACE + frame(SETTINGS, 0, 0), alpn="h2")

    def test_pings_keep_no_connection(self):
        self.drip(frame(PING, 0, 0, b"whatever") * 200, H2_PREFACE + frame(SETTINGS, 0, 0), alpn="h2", step=17)

    def test_silence_by_the_thousand(self):
        """Connections that never say a word are gone after idle_timeout; others are served meanwhile."""
        count = amount(500, 2000)
        socks = [self.dial_to(self.sheaf.at) for _ in range(count)]
        self.probe()
        for sock in socks:
            self.assert_cut(sock, 10)
            sock.close()


class HeadsTls(Heads):
    tls = True


class Readers(Attack):
    """Who does not read: nothing waits for them for long, and what waits is bounded."""
    binary = RELEASE
    growth = 96 << 20  # of 115 MB that the answers are together, what libc keeps when all wait at once
    places = {"top": "limits: {send_timeout: 1s}\nlog: {level: error}"}

    def given_up(self):
        return self.sheaf.metrics()['sheaf_batches_total{outcome="abandoned"}']

    def test_windows_of_nothing_by_the_thousand(self):
        """Ten connections with a hundred answers each that may not be sent."""
        for _ in range(amount(1, 4)):  # a wave after the other takes no more memory
            before = self.given_up()
            for _ in range(10):
                sock = self.dial_http2(setting(4, 0))
                self.pour(sock, b"".join(batch(stream, items("/o/json/100")) for stream in range(1, 199, 2)))
            self.probe()
            wait_until(lambda before=before: self.given_up() >= before + 990, 20, "every answer given up")

    def test_a_window_of_nothing_for_the_connection(self):
        """Windows of streams are wide, that of the connection is used up."""
        before = self.given_up()
        sock = self.dial_http2(setting(4, 0x7fffffff))
        self.pour(sock, b"".join(batch(stream, items("/o/json/60000")) for stream in range(1, 41, 2)))
        wait_until(lambda: self.given_up() >= before + 18, 20, "every answer given up")

    @needs("guard: control frames")
    def test_a_byte_at_a_time(self):
        """A window of one byte, opened again and again, is not progress for ever: control frames are counted."""
        before = self.sheaf.metrics()["sheaf_client_aborts_total"]
        sock = self.dial_http2(setting(4, 1))
        self.pour(sock, batch(1, items("/o/json/60000")))
        for _ in range(100000):
            if not self.pour(sock, frame(8, 0, 1, number(1))):
                break
        else:
            self.fail("never cut")
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_aborts_total"] > before, 10, "the end of the request")

    def test_http1_readers_that_stop(self):
        before = self.given_up()
        count = amount(6, 16)  # 8 MB each: within limits.memory
        for _ in range(count):
            sock = self.dial(receive_buffer=4096)
            self.pour(sock, request(items("/o/json/900000", 8)))
            self.pass_on()
        wait_until(lambda: self.given_up() >= before + count, 60, "every answer given up")

    def pass_on(self):
        """Until the origin has answered: an answer that only says 504 would fit into the socket and not wait."""
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] == 0, 20, "the answers of the origin")

    def test_answers_nobody_reads_in_a_pipeline(self):
        """Requests without end and no answer read: the gateway stops reading."""
        sock = self.dial(receive_buffer=4096)
        pile = request(items("/o/json/10000")) * 5000
        rss = self.workers[0].rss()
        for _ in range(100):
            if not self.pour(sock, pile, patience=1):
                break
        else:
            self.fail("all of it was taken")
        self.assertLess(self.workers[0].rss() - rss, 32 << 20)


class ReadersTls(Readers):
    tls = True


class OneStream(Attack):
    """One stream that is not read costs that stream; a connection that is not read costs the connection."""
    places = {"top": "limits: {send_timeout: 1s}\nlog: {level: error}"}
    CANCEL = number(8)

    def open_both(self):
        """Stream 1 may send nothing, its siblings what they like."""
        client = self.http2()
        self.pour(client.sock, frame(SETTINGS, 0, 0, setting(4, 0)) + batch(1, items("/o/json/60000")))
        client.until(HEADERS, 1)
        return client

    def sibling(self, client, stream, size=1000):
        self.pour(client.sock, batch(stream, items(f"/o/json/{size}")) + frame(WINDOW_UPDATE, 0, stream, number(1 << 20)) +
                  frame(WINDOW_UPDATE, 0, 0, number(4096)))
        self.assertEqual(client.answer(stream)["responses"][0]["status"], 200)

    @staticmethod
    def resets(client):
        return [(stream, payload) for kind, _, stream, payload in client.frames if kind == RST_STREAM]

    def until_reset(self, client, stream):
        """Siblings are answered one after the other until stream 1 is reset; the next stream."""
        end = time.monotonic() + 10
        while not self.resets(client):
            self.assertLess(time.monotonic(), end, "stream 1 was never reset")
            self.sibling(client, stream)
            stream += 2
            time.sleep(0.05)  # the pace: ten seconds are within the budget of control frames
        return stream

    def test_is_reset_and_its_siblings_live(self):
        before, started = self.sheaf.metrics(), time.monotonic()
        client = self.open_both()
        stream = self.until_reset(client, 3)
        self.assertGreater(time.monotonic() - started, 0.9, "too early")
        for _ in range(3):
            self.sibling(client, stream)
            stream += 2
        self.assertEqual(self.resets(client), [(1, self.CANCEL)])
        after = self.sheaf.metrics()
        for name in ("sheaf_client_stalls_total", "sheaf_client_streams_reset_total", "sheaf_client_aborts_total",
                     'sheaf_batches_total{outcome="abandoned"}'):
            self.assertEqual(after[name] - before[name], 1, name)

    def test_half_of_it_sent(self):
        """The window shuts in the middle of the answer: what was sent is whole frames."""
        client = self.open_both()
        self.pour(client.sock, frame(WINDOW_UPDATE, 0, 1, number(30000)))
        client.until(DATA, 1)
        stream = self.until_reset(client, 3)
        self.assertEqual(sum(len(payload) for kind, _, of, payload in client.frames if kind == DATA and of == 1), 30000)
        self.sibling(client, stream)

    def test_late_frames_for_it_harm_nothing(self):
        client = self.open_both()
        stream = self.until_reset(client, 3)
        self.pour(client.sock, frame(WINDOW_UPDATE, 0, 1, number(1000)) + frame(RST_STREAM, 0, 1, self.CANCEL) +
                  frame(SETTINGS, 0, 0, setting(4, 1 << 20)))
        self.sibling(client, stream)

    def test_an_empty_answer_too(self):
        """Only END_STREAM is left to send, and that waits for the window as well."""
        client = self.open_both()
        head = tuple((name, b"HEAD") if name == b":method" else (name, value) for name, value in HEAD)
        self.pour(client.sock, frame(RST_STREAM, 0, 1, self.CANCEL) + headers(3, flags=END_HEADERS | END_STREAM, head=head))
        self.until_reset(client, 5)
        self.assertEqual(self.resets(client), [(3, self.CANCEL)])

    def test_its_requests_are_abandoned_ones(self):
        """More of them than limits.aborts, and the connection is over."""
        sock = self.dial_http2(setting(4, 0))
        for first in (1, 161):
            before = self.sheaf.metrics()["sheaf_client_streams_reset_total"]
            if not self.pour(sock, b"".join(batch(stream) for stream in range(first, first + 160, 2))):
                break
            wait_until(lambda before=before: self.sheaf.metrics()["sheaf_client_streams_reset_total"] >= before + 20 or
                       self.is_over(sock, 0.05), 10, "resets")
        self.assert_cut(sock)

    def test_a_window_of_the_connection_that_stays_shut_ends_it(self):
        """After a stream was reset; PING and its answers are no progress."""
        client = self.open_both()
        stream = self.until_reset(client, 3)
        before = self.sheaf.metrics()["sheaf_client_streams_reset_total"]
        self.pour(client.sock, frame(SETTINGS, 0, 0, setting(4, 1 << 20)) +
                  b"".join(batch(more, items("/o/json/900000")) for more in range(stream, stream + 6, 2)))
        end = time.monotonic() + 10
        while self.pour(client.sock, frame(PING, 0, 0, b"whatever")) and not self.is_over(client.sock, 0.05):
            self.assertLess(time.monotonic(), end, "never cut")
        self.assertEqual(self.sheaf.metrics()["sheaf_client_streams_reset_total"], before)

    def test_a_reader_of_small_sips_is_served(self):
        """A window that opens by a little at a time, far longer than send_timeout in all."""
        client = self.open_both()
        started = time.monotonic()
        while not any(kind == DATA and of == 1 and flags & END_STREAM for kind, flags, of, _ in client.frames):
            self.pour(client.sock, frame(WINDOW_UPDATE, 0, 1, number(8000)) + frame(WINDOW_UPDATE, 0, 0, number(8000)))
            client.read()
            time.sleep(0.4)  # its pace
        self.assertGreater(time.monotonic() - started, 2)
        self.assertEqual(self.resets(client), [])


class OneStreamTls(OneStream):
    tls = True


if __name__ == "__main__":
    unittest.main()
