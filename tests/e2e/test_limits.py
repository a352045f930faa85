"""What one client may take: time for a head and a body, connections, memory; and how connections end in a drain."""
import contextlib
import json
import pathlib
import re
import signal
import socket
import struct
import time
import unittest

from harness import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, ROOT, RST_STREAM, Case, Http2Client,
                     RawClient, frame, literal, wait_until)

CONTINUATION = 9
RELEASE = ROOT / "build/release/sheaf"

TEXT = {"requests": [{"url": "/o/text"}]}
BODY = json.dumps(TEXT).encode()
HEAD = b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
FIELDS = ((b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
          (b"content-type", b"application/json"))


def refused(sheaf, reason):
    return sheaf.metrics()[f'sheaf_client_refused_total{{reason="{reason}"}}']


def seconds_until_closed(client, deadline=6):
    """How long the gateway keeps the connection, reading whatever it sends."""
    started = time.monotonic()
    sock = client.sock
    sock.settimeout(deadline)
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - started


class Time(Case):
    places = {"top": "limits: {head_timeout: 700ms, body_timeout: 700ms, body_rate: 20KiB, idle_timeout: 1500ms}"}

    def client(self):
        client = RawClient(self.sheaf.at)
        self.addCleanup(client.close)
        return client

    def test_a_head_has_its_time(self):
        for start in (b"", b"POST /batch HT", (HEAD % 2)[:-2]):
            before = refused(self.sheaf, "slow-head")
            client = self.client()
            client.send(start)
            self.assertLess(seconds_until_closed(client), 3)
            self.assertEqual(refused(self.sheaf, "slow-head"), before + 1)

    def test_dripping_a_head_does_not_make_it_longer(self):
        client = self.client()
        client.send(b"GET / HTTP/1.1\r\n")
        client.sock.settimeout(0.05)
        started = time.monotonic()
        with self.assertRaises(OSError):
            while time.monotonic() - started < 5:
                client.send(b"x: y\r\n")
                try:
                    if not client.sock.recv(10):
                        raise ConnectionResetError
                except socket.timeout:
                    pass
        self.assertLess(time.monotonic() - started, 3)

    def test_a_body_has_its_time(self):
        before = refused(self.sheaf, "slow-body")
        client = self.client()
        client.send(HEAD % 100 + b"[")
        self.assertLess(seconds_until_closed(client), 3)
        self.assertEqual(refused(self.sheaf, "slow-body"), before + 1)

    def test_a_slow_but_steady_body_goes_through(self):
        client = self.client()
        body = BODY + b" " * 100000
        client.send(HEAD % len(body))
        client.sock.settimeout(0.1)
        started = time.monotonic()
        for at in range(0, len(body), 5000):  # 50 KB a second
            client.send(body[at:at + 5000])
            if at + 5000 < len(body):
                with self.assertRaises(socket.timeout):
                    client.sock.recv(1)
        self.assertGreater(time.monotonic() - started, 1.5)
        client.sock.settimeout(15)
        self.assertEqual(client.read_response().json["responses"][0]["status"], 200)

    def test_an_upload_over_http_2_has_its_time(self):
        before = refused(self.sheaf, "slow-body")
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        client.send_data(1, b"[")
        self.assertLess(seconds_until_closed(client), 3)
        self.assertEqual(refused(self.sheaf, "slow-body"), before + 1)

    def test_a_head_over_http_2_has_its_time(self):
        before = refused(self.sheaf, "slow-head")
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        client.sock.sendall(frame(HEADERS, END_STREAM, 1, literal(*FIELDS[0])))
        self.assertLess(seconds_until_closed(client), 3)
        self.assertEqual(refused(self.sheaf, "slow-head"), before + 1)

    def test_other_heads_do_not_make_an_upload_longer(self):
        before = refused(self.sheaf, "slow-body")
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        client.send_data(1, b"[")
        started = time.monotonic()
        client.sock.settimeout(0.2)
        block = b"".join(literal(*field) for field in ((b":method", b"GET"), *FIELDS[1:4]))
        with self.assertRaises(OSError):
            for stream in range(3, 80, 2):
                whole = frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
                split = (frame(HEADERS, END_STREAM, stream, block[:10]) +
                         frame(CONTINUATION, END_HEADERS, stream, block[10:]))
                client.sock.sendall(whole if stream % 4 == 3 else split)
                end = time.monotonic() + 0.2
                while time.monotonic() < end:
                    try:
                        if not client.sock.recv(65536):
                            raise ConnectionResetError
                    except socket.timeout:
                        pass
        self.assertLess(time.monotonic() - started, 4)
        self.assertEqual(refused(self.sheaf, "slow-body"), before + 1)

    def test_an_idle_http_2_connection_hears_goaway_first(self):
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        client.send_data(1, BODY, END_STREAM)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        started = time.monotonic()
        while not any(entry[0] == GOAWAY for entry in client.frames):
            client.read()
        self.assertGreater(time.monotonic() - started, 1)
        last = [entry[3] for entry in client.frames if entry[0] == GOAWAY][0]
        self.assertEqual(struct.unpack(">II", last[:8]), (1, 0))
        self.assertLess(seconds_until_closed(client), 3)

    def test_idle_connections_end(self):
        before = self.sheaf.metrics()["sheaf_client_idle_total"]
        client = self.client()
        client.send(HEAD % len(BODY) + BODY)
        self.assertEqual(client.read_response().status, 207)
        self.assertGreater(seconds_until_closed(client), 1)
        self.assertEqual(self.sheaf.metrics()["sheaf_client_idle_total"], before + 1)

    def test_a_batch_that_runs_is_not_idle(self):
        client = self.client()
        client.post({"requests": [{"url": "/o/delay/2500"}]})
        self.assertEqual(client.read_response().json["responses"][0]["status"], 200)


    def test_a_batch_that_runs_over_http_2_is_not_idle_either(self):
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        client.send_data(1, json.dumps({"requests": [{"url": "/o/delay/3500"}]}).encode(), END_STREAM)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        self.assertNotIn(GOAWAY, [entry[0] for entry in client.frames])

    def test_an_upload_that_is_over_does_not_end_its_siblings(self):
        for how in ("cancelled", "too large"):
            client = Http2Client(self.sheaf.at)
            self.addCleanup(client.sock.close)
            client.head(1)
            client.send_data(1, json.dumps({"requests": [{"url": "/o/delay/2500"}]}).encode(), END_STREAM)
            if how == "cancelled":
                client.head(3)
                client.send_data(3, b"[")
                client.sock.sendall(frame(RST_STREAM, 0, 3, b"\0\0\0\x08"))
            else:
                client.head(3, (b"content-length", b"9000000"))
                client.send_data(3, b"[")
                self.assertEqual(client.answer(3)["status"], 413)
            self.assertEqual(client.answer(1)["responses"][0]["status"], 200, how)


class Defaults(Case):
    def test_an_upload_over_http_2_may_pause_for_longer_than_libh2o_would_wait(self):
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        client.send_data(1, BODY[:5])
        client.sock.settimeout(11)
        started = time.monotonic()
        with self.assertRaises(socket.timeout):
            while True:
                client.read()
        self.assertGreater(time.monotonic() - started, 10.5)
        client.sock.settimeout(15)
        client.send_data(1, BODY[5:], END_STREAM)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)

    def test_close_is_heard_whatever_stands_beside_it(self):
        for lines, kept in ((b"Connection: keep-alive, close", False), (b"Connection: close\r\nConnection: keep-alive", False),
                            (b"Connection: x-a\r\nConnection: CLOSE", False), (b"Connection: TE\r\nTE: trailers", True),
                            (b"Connection: keep-alive", True)):
            client = RawClient(self.sheaf.at)
            client.send(HEAD[:-2] % len(BODY) + lines + b"\r\nX-A: secret\r\n\r\n" + BODY)
            answer = client.read_response()
            self.assertEqual((answer.status, answer.headers["connection"]), (207, "keep-alive" if kept else "close"), lines)
            client.close()

    def test_http_1_0_is_not_told_to_continue(self):
        client = RawClient(self.sheaf.at)
        self.addCleanup(client.close)
        client.send(b"POST /batch HTTP/1.0\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        self.assertTrue(client.read_until(b"}}").startswith(b"HTTP/1.1 207"))

    def test_refusals_do_not_buy_aborts(self):
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        stream, taken = 1, 0
        with self.assertRaises((OSError, AssertionError)):
            for taken in range(600):
                client.head(stream)
                client.send_data(stream, b"no batch", END_STREAM)
                client.until(DATA, stream, END_STREAM)
                client.head(stream + 2)
                client.send_data(stream + 2, json.dumps({"requests": [{"url": "/o/never"}]}).encode(), END_STREAM)
                client.sock.sendall(frame(RST_STREAM, 0, stream + 2, b"\0\0\0\x08"))
                stream += 4
        self.assertLess(taken, 400)


class Crowd(Case):
    places = {"top": "limits: {connections_per_client: 5}"}

    def test_one_address_has_so_many_and_no_more(self):
        clients = [RawClient(self.sheaf.at) for _ in range(5)]
        for client in clients:
            client.post(TEXT)
            self.assertEqual(client.read_response().status, 207)
        more = RawClient(self.sheaf.at)
        self.assertLess(seconds_until_closed(more), 2)
        more.close()
        self.assertEqual(refused(self.sheaf, "connections-per-client"), 1)
        clients.pop().close()
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_connections"] == 4, 3, "the one that left")
        self.assertEqual(self.run_item("/o/text")["status"], 200)
        for client in clients:
            client.close()

    def test_trusted_proxies_are_exempt(self):
        sheaf = self.start(top="limits: {connections_per_client: 2}\ntrusted_proxies: [127.0.0.0/8]")
        clients = [RawClient(sheaf.at) for _ in range(10)]
        for client in clients:
            client.post(TEXT)
            self.assertEqual(client.read_response().status, 207)
            client.close()


class Full(Case):
    places = {"top": "limits: {connections: 3}"}

    def test_who_comes_too_many_waits_in_the_queue(self):
        clients = [RawClient(self.sheaf.at) for _ in range(3)]
        for client in clients:
            client.post(TEXT)
            self.assertEqual(client.read_response().status, 207)
        waiting = RawClient(self.sheaf.at)
        waiting.post(TEXT)
        waiting.sock.settimeout(0.5)
        with self.assertRaises(socket.timeout):
            waiting.sock.recv(1)
        clients.pop().close()
        waiting.sock.settimeout(15)
        self.assertEqual(waiting.read_response().status, 207)
        for client in (*clients, waiting):
            client.close()


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Memory(Case):
    def test_batches_that_hold_too_much_are_given_up_and_the_others_go_on(self):
        sheaf = self.start(binary=RELEASE, top="limits: {memory: 48MiB}", upstream="timeout: 20s",
                           endpoint="max_item_body: 4MiB, linger: 5s, timeout: 30s")
        greedy = [RawClient(sheaf.at, receive_buffer=4096) for _ in range(10)]
        for client in greedy:
            client.post({"requests": [{"url": "/o/bytes/3000000"}] * 10})  # 300 MB in all, and nobody reads
        wait_until(lambda: refused(sheaf, "memory") >= 2, 15, "batches refused or given up")
        wait_until(lambda: sheaf.batch(["/o/text"]).status == 207, 10, "others served")
        (worker,) = sheaf.children()
        peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{worker}/status").read_text())[1]) << 10
        self.assertLess(peak, 256 << 20)  # of 300 MB; answers on their way when it is noticed still come in
        heads = []
        for client in greedy:
            with contextlib.suppress(OSError):
                heads.append(client.sock.recv(400))
            client.close()
        refusals = [head for head in heads if head.startswith(b"HTTP/1.1 503 ")]
        self.assertTrue(all(b"retry-after: 1\r\n" in head for head in refusals), refusals)
        self.assertLess(len(refusals), len(greedy))


class Goaway(Case):
    places = {"upstream": "timeout: 20s"}

    def goaways(self, client):
        return [struct.unpack(">II", payload[:8]) for kind, _, _, payload in client.frames if kind == GOAWAY]

    def read_until(self, client, condition):
        while not condition():
            client.read()

    def test_http_2_hears_the_end_and_loses_nothing(self):
        sheaf = self.start(top="drain: {timeout: 20s}")
        client = Http2Client(sheaf.at)
        self.addCleanup(client.sock.close)
        client.head(1)
        client.send_data(1, json.dumps({"requests": [{"url": "/o/delay/2500"}]}).encode(), END_STREAM)
        client.head(3)
        client.send_data(3, BODY[:5])
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        sheaf.signal(signal.SIGTERM)
        self.read_until(client, lambda: len(self.goaways(client)) == 1)
        client.head(5)  # was on its way
        client.send_data(5, BODY, END_STREAM)
        self.assertEqual(client.answer(5)["responses"][0]["status"], 200)
        self.read_until(client, lambda: len(self.goaways(client)) == 2)
        self.assertEqual(self.goaways(client), [(2**31 - 1, 0), (5, 0)])
        client.head(7)  # too late, and its client knows
        client.until(RST_STREAM, 7)
        client.send_data(3, BODY[5:], END_STREAM)
        self.assertEqual(client.answer(3)["responses"][0]["status"], 200)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        self.assertEqual(sheaf.wait(10), 0)

    def test_a_kept_alive_connection_is_told_that_its_next_answer_is_the_last(self):
        sheaf = self.start(top="drain: {timeout: 20s}")
        running = RawClient(sheaf.at)
        running.post({"requests": [{"url": "/o/delay/1500"}]})
        client = RawClient(sheaf.at)
        client.post(TEXT)
        self.assertEqual(client.read_response().headers["connection"], "keep-alive")
        sheaf.signal(signal.SIGTERM)
        wait_until(lambda: sheaf.get_admin("/readyz").status == 503, 2, "unready")
        client.post(TEXT)
        answer = client.read_response()
        self.assertEqual((answer.status, answer.headers["connection"]), (207, "close"))
        self.assertEqual(running.read_response().status, 207)
        self.assertEqual(sheaf.wait(10), 0)
        client.close()
        running.close()


if __name__ == "__main__":
    unittest.main()
