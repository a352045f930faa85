"""Requests far larger than any endpoint allows: the answer arrives, whatever the client was still sending."""
import json
import os
import pathlib
import time
import unittest

from harness import Case, RawClient, wait_until

LIMIT = 4096
BODY = b"[" + b" " * (3 << 20)
TYPE = b"Content-Type: application/json\r\n"


class Oversize(Case):
    places = {"endpoint": f"max_body: {LIMIT}", "top": "log: {level: info, format: json}"}

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

        def logged():
            return [json.loads(line) for line in self.sheaf.err[lines:] if '"error":"too-large"' in line]
        line = wait_until(logged, 3, "its line")[0]
        self.assertEqual((line["status"], line["client"], line["items"]), (413, "127.0.0.1", 0))

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.sheaf.children())

    def open_clients(self):
        return self.sheaf.metrics()["sheaf_client_connections"]

    def test_a_client_that_never_ends_is_dropped_after_five_silent_seconds(self):
        self.talk(b"Content-Length: 9000000\r\n", b"")  # whatever a worker opens once is open now
        before = wait_until(lambda: self.open_clients() == 0 and self.descriptors(), 3, "no client left")
        client = RawClient(self.sheaf.at)
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\n" + TYPE + b"Content-Length: 9000000\r\n\r\n[")
        self.assertEqual(client.read_response().status, 413)
        started = time.monotonic()
        wait_until(lambda: self.descriptors() <= before, 8, "the descriptor back")
        self.assertGreater(time.monotonic() - started, 3)
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


if __name__ == "__main__":
    unittest.main()
