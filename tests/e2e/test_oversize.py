"""Requests far larger than any endpoint allows: the answer arrives, whatever the client was still sending."""
import json
import signal
import time
import unittest

from harness import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, RST_STREAM, WINDOW_UPDATE, Case, Http2Client,
                     RawClient, frame, literal, wait_until)

LIMIT = 4096
ITEMS_ONLY = ", expose: [batch]"  # else a route that takes more is what counts: what a body is for is not known as it comes
BODY = b"[" + b" " * (3 << 20)
TYPE = b"Content-Type: application/json\r\n"


class Oversize(Case):
    places = {"endpoint": f"max_body: {LIMIT}", "route": ITEMS_ONLY, "top": "log: {level: info, format: json}"}

    def talk(self, head, body=BODY):
        """Sends all of it before it reads a byte, like a client that knows no early answers."""
        client = RawClient(self.sheaf.at)
        self.addCleanup(client.close)
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\n" + TYPE + head + b"\r\n")
        for at in range(0, len(body), 50000):
            client.send(body[at:at + 50000])
        answer = client.read_response()
        self.assertEqual(client.sock.recv(1), b"", "the end follows")
        return answer

    def assert_problem_answer(self, answer, status, slug):
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.json["type"], f"urn:sheaf:problem:{slug}")
        self.assertEqual(answer.json["status"], status)

    def test_every_client_reads_its_413(self):
        length = f"Content-Length: {len(BODY)}\r\n".encode()
        for _ in range(20):
            answer = self.talk(length)
            self.assert_problem_answer(answer, 413, "too-large")
            self.assertIn(str(LIMIT), answer.json["detail"])
            self.assertEqual(answer.headers["connection"], "close")

    def test_chunks_without_end_too(self):
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        for _ in range(5):
            self.assert_problem_answer(self.talk(b"Transfer-Encoding: chunked\r\n", chunk * 100), 413, "too-large")

    def test_one_that_waits_for_100_continue_hears_413_instead(self):
        answer = self.talk(b"Expect: 100-continue\r\nContent-Length: 9000000\r\n", b"")
        self.assert_problem_answer(answer, 413, "too-large")

    def test_an_unknown_expectation_is_417(self):
        answer = self.talk(b"Expect: a miracle\r\nContent-Length: 2\r\n", b"[]")
        self.assert_problem_answer(answer, 417, "expectation-failed")

    def test_broken_chunks_are_400(self):
        answer = self.talk(b"Transfer-Encoding: chunked\r\n", b"zz\r\n")
        self.assert_problem_answer(answer, 400, "bad-request")

    def test_it_is_counted_and_logged(self):
        def refused():
            return self.sheaf.metrics()['sheaf_batches_total{outcome="refused"}']
        before, lines = refused(), len(self.sheaf.err)
        self.talk(b"Content-Length: 9000000\r\n", b"")
        wait_until(lambda: refused() == before + 1, 3, "the refusal counted")
        line = self.sheaf.logged("batch", since=lines)[0]
        self.assertEqual((line["error"], line["status"], line["client"], line["items"]), ("too-large", 413, "127.0.0.1", 0))

    def test_a_refusal_by_the_handler_names_its_endpoint(self):
        lines = len(self.sheaf.err)
        self.sheaf.post(b"[" + b" " * (LIMIT + 9))
        self.sheaf.request("POST", "/batch", b"[]", {"Content-Type": "image/png"})
        found = self.sheaf.logged("batch", count=2, since=lines)
        self.assertEqual([(line["outcome"], line["status"], line["endpoint"]) for line in found],
                         [("refused", 413, "/batch"), ("refused", 415, "/batch")])

    def test_an_admin_takes_no_large_bodies_either(self):
        client = RawClient(self.sheaf.admin)
        self.addCleanup(client.close)
        client.send(b"POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 70000000\r\n\r\n")
        self.assertEqual(client.read_response().status, 413)

    def test_a_client_that_never_ends_is_dropped_after_five_silent_seconds(self):
        sheaf = self.start()

        def lingering():
            return sheaf.metrics()["sheaf_client_connections_lingering"]
        client = RawClient(sheaf.at)
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\n" + TYPE + b"Content-Length: 9000000\r\n\r\n[")
        self.assertEqual(client.read_response().status, 413)
        started = time.monotonic()
        wait_until(lambda: lingering() == 1, 3, "a connection that lingers")
        wait_until(lambda: lingering() == 0, 8, "its end")
        self.assertGreater(time.monotonic() - started, 4)
        client.close()

    def test_a_gateway_that_ends_does_not_wait_for_them(self):
        sheaf = self.start()
        clients = [RawClient(sheaf.at) for _ in range(5)]
        for client in clients:
            client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Length: 900000000\r\n\r\n[")
            self.assertEqual(client.read_response().status, 413)
        started = time.monotonic()
        sheaf.stop()
        self.assertLess(time.monotonic() - started, 3)
        for client in clients:
            client.close()


class OversizeHttp2(Case):
    places = {"endpoint": f"max_body: {LIMIT}", "route": ITEMS_ONLY}

    def setUp(self):
        self.client = Http2Client(self.sheaf.at)
        self.addCleanup(self.client.sock.close)

    def assert_too_large(self, stream):
        document = self.client.answer(stream)
        self.assertEqual((document["status"], document["type"]), (413, "urn:sheaf:problem:too-large"))
        kinds = [entry[0] for entry in self.client.frames if entry[2] == stream]
        self.assertEqual(kinds.count(HEADERS), 1)

    def assert_still_serves(self, stream):
        body = json.dumps({"requests": [{"url": "/o/text"}]}).encode()
        self.client.head(stream)
        self.client.send_data(stream, body, END_STREAM)
        self.assertEqual(self.client.answer(stream)["responses"][0]["status"], 200)

    def test_the_413_comes_and_then_no_error(self):
        self.client.head(1)
        for _ in range(64):
            self.client.send_data(1, b" " * 8192)
        self.assert_too_large(1)
        self.client.send_data(1, b" " * 8192)
        resets = [payload for kind, _, _, payload in self.client.until(RST_STREAM, 1) if kind == RST_STREAM]
        self.assertEqual(resets, [b"\0\0\0\0"], "NO_ERROR: do not send it again")
        self.client.send_data(1, b" " * 8192)
        self.client.send_data(1, b"", END_STREAM)
        self.assert_still_serves(3)
        self.assertEqual(sum(1 for entry in self.client.frames if entry[0] == RST_STREAM), 1)
        self.assertNotIn(GOAWAY, [entry[0] for entry in self.client.frames])

    def test_a_content_length_over_the_limit_is_enough(self):
        self.client.head(1, (b"content-length", b"5000"))
        self.client.send_data(1, b"[")
        self.assert_too_large(1)
        self.assert_still_serves(3)

    def test_the_limit_itself_is_allowed_and_padding_does_not_count(self):
        body = json.dumps({"requests": [{"url": "/o/text"}]}).encode()
        body += b" " * (LIMIT - len(body))
        for stream, fields in ((1, ()), (3, ((b"content-length", str(LIMIT).encode()),))):
            self.client.head(stream, *fields)
            for at in range(0, LIMIT, 256):
                last = END_STREAM if at + 256 == LIMIT else 0
                self.client.send_data(stream, b"\xff" + body[at:at + 256] + bytes(255), PADDED | last)
            self.assertEqual(self.client.answer(stream)["responses"][0]["status"], 200)
        self.client.head(5)
        self.client.send_data(5, body + b" ", END_STREAM)
        self.assert_too_large(5)

    def test_trailers_of_a_request_that_was_cut_cost_its_siblings_nothing(self):
        self.client.head(1)
        body = json.dumps({"requests": [{"url": "/o/delay/300/text"}]}).encode()
        self.client.send_data(1, body, END_STREAM)
        self.client.head(3)
        trailers = b"\x40\x03x-a\x03one"  # goes into the table: what follows is read with it
        self.client.sock.sendall(frame(DATA, 0, 3, b" " * (LIMIT + 1)) +
                                 frame(HEADERS, END_STREAM | END_HEADERS, 3, trailers))
        self.assert_too_large(3)
        self.assertEqual(self.client.answer(1)["responses"][0]["status"], 200)
        self.client.windows[5] = 65535
        fields = ((b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
                  (b"content-type", b"application/json"))
        self.client.sock.sendall(frame(HEADERS, END_HEADERS, 5,
                                       b"".join(literal(*field) for field in fields) + b"\xbe"))
        self.client.send_data(5, json.dumps({"requests": [{"url": "/o/echo"}]}).encode(), END_STREAM)
        seen = dict(map(tuple, self.client.answer(5)["responses"][0]["body"]["headers"]))
        self.assertEqual(seen.get("x-a"), "one", "the table went on")
        self.assertNotIn(GOAWAY, [entry[0] for entry in self.client.frames])

    def test_a_reload_that_lowers_the_limit_meets_uploads_under_way(self):
        sheaf = self.start(endpoint="max_body: 400KiB", route=ITEMS_ONLY)
        client = Http2Client(sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        for _ in range(20):
            client.send_data(1, b" " * 16000)
        client.until(WINDOW_UPDATE, 0)  # it has read the better part of it
        sheaf.write_conf(endpoint=f"max_body: {LIMIT}")
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == 1, 5, "the reload")
        client.send_data(1, b" " * 16000)
        document = client.answer(1)
        self.assertEqual(document["status"], 413)

    def test_fifty_at_once_on_one_connection(self):
        streams = range(1, 101, 2)
        for stream in streams:
            self.client.head(stream)
        for stream in streams:
            self.client.send_data(stream, b" " * (LIMIT + 1))
        for stream in streams:
            self.assert_too_large(stream)
        for stream in streams:
            self.client.send_data(stream, b" ")
        for stream in streams:
            self.client.until(RST_STREAM, stream)
        self.assert_still_serves(101)


if __name__ == "__main__":
    unittest.main()
