"""The client side: framing, connections that live on, slow and dead readers, and connections that abuse us."""
import json
import signal
import socket
import struct
import time
import unittest

from harness import H2_PREFACE, Case, frame, literal, wait_until

TEXT = json.dumps([{"url": "/o/text"}]).encode()
SLOW = json.dumps([{"url": "/o/text"}, {"url": "/o/delay/200"}]).encode()


def request(body, version="1.1", fields=""):
    return (f"POST /batch HTTP/{version}\r\nHost: h\r\nContent-Type: application/json\r\n{fields}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Raw(Case):
    def talk(self, data, half_closes=False):
        """Sends `data`, reads until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.sheaf.at), timeout=5) as sock:
            sock.sendall(data)
            if half_closes:
                sock.shutdown(socket.SHUT_WR)
            out = b""
            while more := sock.recv(65536):
                out += more
            return out


class Framing(Raw):
    def test_requests_in_one_packet_are_answered_in_turn(self):
        out = self.talk(request(SLOW) + request(TEXT) * 3 + request(SLOW, fields="Connection: close\r\n"))
        self.assertEqual(out.count(b"HTTP/1.1 207 "), 5)
        self.assertEqual(out.count(b"\r\n0\r\n\r\n"), 2)

    def test_a_refusal_has_a_length_and_keeps_the_connection(self):
        out = self.talk(request(b"[") * 3 + request(TEXT, fields="Connection: close\r\n"))
        self.assertEqual((out.count(b" 400 "), out.count(b" 207 ")), (3, 1))

    def test_http_1_0_gets_no_chunks(self):
        out = self.talk(request(SLOW, "1.0"))
        head, _, body = out.partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head)
        self.assertEqual(len(json.loads(body)["responses"]), 2)

    def test_options_and_head(self):
        out = self.talk(b"OPTIONS /batch HTTP/1.1\r\nHost: h\r\n\r\nHEAD /batch HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertIn(b"HTTP/1.1 200 ", out)
        self.assertIn(b"allow: POST, OPTIONS\r\n", out)
        self.assertIn(b"accept-post: application/json", out)
        self.assertIn(b'"limits":{"maxItems":100,"maxBody":1048576,', out)
        self.assertIn(b"HTTP/1.1 405 ", out)
        self.assertTrue(out.endswith(b"\r\n\r\n"), "a HEAD has no body")

    def test_compressed_batches_are_415(self):
        out = self.talk(request(TEXT, fields="Content-Encoding: gzip\r\nConnection: close\r\n"))
        self.assertIn(b"HTTP/1.1 415 ", out)

    def test_a_client_that_ends_its_side_gets_what_is_quick(self):
        self.assertIn(b"HTTP/1.1 207 ", self.talk(request(b"[]"), half_closes=True))


class Readers(Case):
    places = {"top": "limits: {send_timeout: 1s}", "endpoint": "budget: 4MiB, timeout: 60s"}

    def reader(self, megabytes):
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", self.sheaf.at))
        sock.sendall(request(json.dumps([{"url": "/o/json/1000000"}] * megabytes).encode()))
        return sock

    def stalls(self):
        return self.sheaf.metrics()["sheaf_client_stalls_total"]

    def test_one_who_does_not_read_is_given_up(self):
        before = self.stalls()
        self.reader(12)
        wait_until(lambda: self.stalls() == before + 1, 6, "the stall")
        wait_until(lambda: self.sheaf.metrics()["sheaf_result_bytes_held"] == 0, 3, "nothing held")

    def test_one_who_reads_slowly_is_not(self):
        before = self.stalls()
        sock = self.reader(7)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            self.assertTrue(sock.recv(2048))
            time.sleep(0.01)  # the pace of the reader, not a wait for something
        self.assertEqual(self.stalls(), before)


class Drains(Case):
    def test_a_request_that_is_half_here_is_still_answered(self):
        sheaf = self.start(top="drain: {timeout: 10s}")
        whole = request(SLOW)
        with socket.create_connection(("127.0.0.1", sheaf.at), timeout=5) as sock:
            sock.sendall(whole[:-20])
            wait_until(lambda: sheaf.metrics()["sheaf_client_connections"] == 1, 3, "the connection")
            sheaf.signal(signal.SIGTERM)
            wait_until(lambda: sheaf.metrics()["sheaf_draining"] == 1, 3, "the drain")
            sock.sendall(whole[-20:])
            out = b""
            while more := sock.recv(65536):
                out += more
        self.assertIn(b"HTTP/1.1 207 ", out)
        self.assertIn(b"connection: close", out.lower())
        self.assertEqual(sheaf.wait(5), 0)


class Resets(Case):
    places = {"top": "limits: {aborts: 20}"}
    head = b"".join(literal(*field) for field in (
        (b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
        (b"content-type", b"application/json")))

    def test_a_rapid_reset_reaches_no_backend_and_costs_the_connection(self):
        self.origin.reset()
        sock = socket.create_connection(("127.0.0.1", self.sheaf.at), timeout=5)
        self.addCleanup(sock.close)
        sock.sendall(H2_PREFACE + frame(4, 0, 0))
        with self.assertRaises(OSError):
            for stream in range(1, 200001, 2):
                sock.sendall(frame(1, 4, stream, self.head) + frame(0, 1, stream, TEXT) +
                             frame(3, 0, stream, struct.pack(">I", 8)))
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_connections"] == 0, 3, "the connection gone")
        self.assertLess(self.origin.count()["served"], 30)
        self.run_item("/o/text")


if __name__ == "__main__":
    unittest.main()
