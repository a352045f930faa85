"""Direct requests whose answers take their time: handed on as they come, as fast as the client takes them, and given up when
there is nobody to take them."""
import hashlib
import http.client
import json
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

import pki
from harness import (DATA, DEADLINE, END_HEADERS, END_STREAM, HEADERS, ROOT, RST_STREAM, WINDOW_UPDATE, Case, Http2Client, Origin,
                     RawClient, Sheaf, frame, literal, wait_until)
from scripted import HEAD, Scripted
from slow_reader import kib

RELEASE = ROOT / "build/release/sheaf"
EVENTS = HEAD + b"Content-Type: text/event-stream\r\n\r\n"


class Streaming(Case):
    """A gateway before a backend that the test speaks for, under /s."""
    upstream = plugins = ""

    @classmethod
    def setUpClass(cls):
        cls.backend = Scripted()
        cls.addClassCleanup(cls.backend.close)
        cls.places = {**cls.places, "upstreams": f's: {{servers: ["http://127.0.0.1:{cls.backend.at}"], {cls.upstream}}}',
                      "routes": '- {match: "/s/{rest...}", upstream: s, max_body: 8MiB' + cls.plugins + "}"}
        super().setUpClass()

    def begin(self, path="/s/x", sheaf=None):
        """A client that has asked, and the backend's side of it."""
        client = RawClient((sheaf or self.sheaf).at)
        self.addCleanup(client.close)
        client.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        exchange = self.backend.take()
        self.addCleanup(exchange.close)
        return client, exchange

    @staticmethod
    def ask(client, stream, flags, method=b"GET", length=b"0", path=b"/s/x"):
        fields = ((b":method", method), (b":path", path), (b":scheme", b"http"), (b":authority", b"h"), (b"content-length", length))
        client.sock.sendall(frame(HEADERS, END_HEADERS | flags, stream, b"".join(literal(*field) for field in fields)))

    def begin_http2(self, stream=1, client=None):
        client = client or Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        self.ask(client, stream, END_STREAM)
        exchange = self.backend.take()
        self.addCleanup(exchange.close)
        return client, exchange


class Events(Streaming):
    def test_each_event_is_there_before_the_next_one_is_made(self):
        client, exchange = self.begin()
        exchange.say(EVENTS)
        head = client.read_until(b"\r\n\r\n")
        self.assertIn(b"content-type: text/event-stream", head)
        for number in range(20):
            exchange.say(b"data: %d\n\n" % number)
            self.assertEqual(client.read_until(b"\n\n\r\n").split(b"\r\n")[1], b"data: %d\n\n" % number)
        exchange.close()
        self.assertEqual(client.read_until(b"0\r\n\r\n"), b"0\r\n\r\n")

    def test_over_http2(self):
        client, exchange = self.begin_http2()
        exchange.say(EVENTS)
        client.until(HEADERS, 1)
        for number in range(20):
            exchange.say(b"data: %d\n\n" % number)
            while b"data: %d\n\n" % number not in [entry[3] for entry in client.frames if entry[0] == DATA]:
                client.read()
        exchange.close()
        client.until(DATA, 1, END_STREAM)

    def test_the_time_of_a_route_ends_with_the_head(self):
        answer = self.sheaf.request("GET", "/quick/drip/10")  # half a second; the route has 200 ms
        self.assertEqual((answer.status, answer.body), (200, b"." * 10))
        self.assertEqual(self.sheaf.request("GET", "/quick/delay/400/text").status, 504)


class Silence(Streaming):
    upstream = "breaker: {}, timeout: 50ms, max_connections: 64"

    def test_a_backend_that_hangs_is_left_alone_after_a_while(self):
        """The upstream hears that its time was over, as it does of items."""
        statuses = []
        while len(statuses) < 100:
            client, _ = self.begin()
            statuses.append(client.read_response().status)
            if self.sheaf.metrics()["sheaf_breakers_open"]:
                break
        self.assertEqual(set(statuses), {504})
        self.assertEqual(self.sheaf.request("GET", "/s/x").status, 503)


class Lengths(Streaming):
    def test_a_backend_that_ends_too_early_over_http1(self):
        for head in (b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n"):
            client, exchange = self.begin()
            exchange.say(HEAD + head + b"x" * 300000)
            client.read_until(b"x" * 1000)
            exchange.close()
            rest = b""
            while more := client.sock.recv(65536):
                rest += more
            self.assertFalse(rest.endswith(b"0\r\n\r\n"))

    def test_who_is_told_no_length_is_told_by_a_reset(self):
        client = RawClient(self.sheaf.at)
        self.addCleanup(client.close)
        client.send(b"GET /s/x HTTP/1.0\r\n\r\n")
        exchange = self.backend.take()
        exchange.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        client.read_until(b"hello")
        exchange.close()
        with self.assertRaises(ConnectionResetError):
            self.assertEqual(client.sock.recv(100), b"")
            self.fail("an end like that of a whole answer")

    def test_over_tls_by_the_lack_of_an_end(self):
        authority = pki.Pki()
        self.addCleanup(authority.folder.cleanup)
        sheaf = self.start(**self.places, listener=", " + pki.tls_yaml(authority.make("localhost")))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version):
                client = socket.create_connection(("127.0.0.1", sheaf.at), timeout=DEADLINE)
                client = authority.context(version=version).wrap_socket(client, server_hostname="localhost", suppress_ragged_eofs=False)
                self.addCleanup(client.close)
                client.sendall(b"GET /s/x HTTP/1.0\r\n\r\n")
                exchange = self.backend.take()
                exchange.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                answer = b""
                while not answer.endswith(b"hello"):
                    answer += client.recv(65536)
                exchange.close()
                with self.assertRaises((ssl.SSLEOFError, ConnectionResetError)):
                    self.assertEqual(client.recv(100), b"")
                    self.fail("an end like that of a whole answer")

    def test_over_http2_its_stream_is_reset_and_the_others_live(self):
        client, exchange = self.begin_http2()
        exchange.say(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 30000)
        client.until(DATA, 1)
        exchange.close()
        frames = client.until(RST_STREAM, 1)
        self.assertFalse(any(kind == DATA and flags & END_STREAM for kind, flags, _, _ in frames))
        self.assertEqual(frames[-1][3], struct.pack(">I", 2))  # INTERNAL_ERROR: not the client's fault
        _, exchange = self.begin_http2(3, client)
        exchange.say(HEAD + b"Content-Length: 2\r\n\r\nok")
        self.assertEqual(client.until(DATA, 3, END_STREAM)[-1][3], b"ok")

    def test_it_is_not_held_against_the_client(self):
        before = self.sheaf.metrics()
        for _ in range(3):
            with self.assertRaises(http.client.IncompleteRead):
                self.sheaf.request("GET", "/o/half")
        wait_until(lambda: self.sheaf.metrics()['sheaf_requests_total{outcome="cut"}'] >= before['sheaf_requests_total{outcome="cut"}'] + 3)
        self.assertEqual(self.sheaf.metrics()["sheaf_client_aborts_total"], before["sheaf_client_aborts_total"])


class Parts(Streaming):
    def exchange(self, client, fields, answer):
        client.send(b"GET /s/file HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
        exchange = self.backend.take()
        self.assertIn(fields.lower().strip(), exchange.head.lower())
        exchange.say(answer)
        got = client.read_response()
        exchange.close()
        return got

    def test_a_range_and_what_is_not_modified(self):
        client = RawClient(self.sheaf.at)  # one connection: what came too much would show
        self.addCleanup(client.close)
        part = self.exchange(client, b"Range: bytes=2-4\r\n", b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
                             b"Content-Range: bytes 2-4/9\r\nContent-Length: 3\r\nAccept-Ranges: bytes\r\n\r\ncde")
        self.assertEqual((part.status, part.headers["content-range"], part.body), (206, "bytes 2-4/9", b"cde"))
        same = self.exchange(client, b'If-None-Match: "e"\r\n', b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n"
                             b'ETag: "e"\r\nContent-Length: 9\r\n\r\n')
        self.assertEqual((same.status, same.headers["etag"], same.headers["content-length"], same.body), (304, '"e"', "9", b""))
        gone = self.exchange(client, b"Range: bytes=20-\r\n", b"HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\n"
                             b"Content-Range: bytes */9\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual((gone.status, gone.headers["content-range"]), (416, "bytes */9"))


class Given(Streaming):
    """Answers that a plugin gives; here the cache, out of what an item brought."""
    plugins = ", plugins: [{use: cache}]"

    def test_they_come_whole_and_none_has_a_length_that_it_may_not_have(self):
        end = self.run_aside("/s/kept")
        exchange = self.backend.take()
        exchange.say(HEAD + b'Content-Length: 4\r\nETag: "e"\r\nCache-Control: max-age=60\r\n\r\nkept')
        self.assertEqual(end()[0]["status"], 200)
        exchange.close()
        conn = self.sheaf.connect()  # one connection: what came too much would show
        for method, fields, status, length, body in (("GET", {}, 200, "4", b"kept"), ("HEAD", {}, 200, None, b""),
                                                     ("GET", {"If-None-Match": '"e"'}, 304, None, b""),
                                                     ("GET", {}, 200, "4", b"kept")):
            answer = self.sheaf.request(method, "/s/kept", headers=fields, conn=conn)
            self.assertEqual((answer.status, answer.headers.get("content-length"), answer.body), (status, length, body))
        conn.close()


class GoneClients(Streaming):
    def test_a_client_that_hangs_up_before_the_head(self):
        for end in (RawClient.close, RawClient.reset):
            client, exchange = self.begin()
            end(client)
            self.assertTrue(exchange.is_closed())

    def test_or_while_nothing_comes(self):
        for end in (RawClient.close, RawClient.reset):
            client, exchange = self.begin()
            exchange.say(EVENTS + b"data: 1\n\n")
            client.read_until(b"data: 1")
            end(client)
            self.assertTrue(exchange.is_closed())

    def test_or_resets_its_stream(self):
        for says in (b"", EVENTS):
            client, exchange = self.begin_http2()
            if says:
                exchange.say(says)
                client.until(HEADERS, 1)
            client.sock.sendall(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)))
            self.assertTrue(exchange.is_closed())

    def test_it_has_its_line_and_its_count(self):
        before = self.sheaf.metrics()['sheaf_requests_total{outcome="abandoned"}']
        client, exchange = self.begin("/s/abandoned")
        client.close()
        self.assertTrue(exchange.is_closed())
        line = wait_until(lambda: next((line for line in list(self.sheaf.err) if '"/s/abandoned"' in line), None))
        self.assertEqual(json.loads(line)["outcome"], "abandoned")
        self.assertEqual(self.sheaf.metrics()['sheaf_requests_total{outcome="abandoned"}'] - before, 1)


class Stalls(Streaming):
    places = {"top": "limits: {send_timeout: 1s, idle_timeout: 1s, head_timeout: 1s, body_timeout: 1s, send_rate: 1MiB}"}
    upstream = "timeout: 1s"

    def test_an_event_now_and_then_lives_for_longer_than_all_limits(self):
        client, exchange = self.begin()
        other, exchange2 = self.begin_http2()
        for says in (exchange, exchange2):
            says.say(EVENTS)
        client.read_until(b"\r\n\r\n")
        for number in range(4):
            time.sleep(2)  # the pace of the events
            for says in (exchange, exchange2):
                says.say(b"data: %d\n\n" % number)
            client.read_until(b"data: %d\n\n" % number)
            while not any(b"data: %d\n\n" % number in entry[3] for entry in other.frames):
                other.read()

    def test_who_does_not_read_is_given_up_and_the_backend_hears_of_it(self):
        client, exchange = self.begin()
        exchange.say(EVENTS)
        exchange.pour(64 << 20, 0.3)
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_stalls_total"] == 1)
        with self.assertRaises(ConnectionError):
            while True:
                exchange.say(b"x" * 65536)

    def test_who_waits_for_an_event_is_not(self):
        client, exchange = self.begin()
        exchange.say(EVENTS)
        client.read_until(b"\r\n\r\n")
        client.sock.settimeout(2.5)
        with self.assertRaises(TimeoutError):
            client.sock.recv(1)
        exchange.say(b"data: late\n\n")
        client.read_until(b"data: late")


class SlowReaders(Case):
    """Who takes next to nothing of an answer, and others who ask the same upstream, which has one connection."""
    places = {"upstream": "max_connections: 1, timeout: 700ms",
              "upstreams": 'large: {{servers: ["http://127.0.0.1:{origin}"], max_connections: 1, timeout: 700ms}}',
              "routes": '- {match: "/large/{rest...}", rewrite: "/{rest...}", upstream: large}'}

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        places = {**cls.places, "upstreams": cls.places["upstreams"].format(origin=cls.origin.at)}
        cls.sheaf = Sheaf(cls.origin, **places)
        cls.addClassCleanup(cls.sheaf.stop)

    def dawdle(self, path):
        """Asks, and lets the window of the connection shut: 64 KiB."""
        client = Http2Client(self.sheaf.at)
        self.addCleanup(client.sock.close)
        Streaming.ask(client, 1, END_STREAM, path=path.encode())
        taken = 0
        while taken < 65535:
            kind, _, _, payload = client.read()
            taken += len(payload) if kind == DATA else 0

    def test_an_answer_of_128_kib_holds_no_connection(self):
        self.dawdle("/o/bytes/120000")
        self.assertEqual(self.sheaf.request("GET", "/o/text").status, 200)

    def test_a_larger_one_holds_one_of_its_upstream_alone(self):
        self.dawdle("/large/bytes/9000000")
        self.assertEqual(self.sheaf.request("GET", "/large/text").status, 503)
        self.assertEqual(self.sheaf.request("GET", "/o/text").status, 200)


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Downloads(Streaming):
    """200 MiB to a client that does not hurry: the worker keeps next to nothing of it, the backend waits."""
    LENGTH = 200 << 20
    MOST = 4 << 10  # KiB beyond idle
    places = {"binary": str(RELEASE)}

    def head(self):
        return HEAD + b"Content-Length: %d\r\n\r\n" % self.LENGTH

    def download(self, client, exchange, read):
        (worker,) = self.sheaf.children()
        idle = kib(worker, "VmRSS")
        exchange.say(self.head())
        ahead = exchange.pour(self.LENGTH, 0.5)
        self.assertLess(ahead, 24 << 20, "the backend was not held up")  # most of it lies in the sockets of three connections
        def pour():
            exchange.pour(self.LENGTH - ahead, 20)
            exchange.close()

        rest = threading.Thread(target=pour, daemon=True)
        rest.start()
        got = read()
        rest.join(20)
        self.assertEqual(got, self.LENGTH)
        most = kib(worker, "VmHWM") - idle
        print(f"download: the backend was {ahead / (1 << 20):.1f} MiB ahead, {most / 1024:.1f} MiB beyond idle", flush=True)
        self.assertLess(most, self.MOST)

    def test_over_http1(self):
        client, exchange = self.begin()

        def read():
            got = len(client.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")[2])
            while got < self.LENGTH and (more := client.sock.recv(1 << 20)):
                got += len(more)
            return got
        self.download(client, exchange, read)

    def test_over_http2(self):
        client, exchange = self.begin_http2()

        def read():
            client.sock.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)))  # as much as for the stream
            got = ended = owed = 0
            while not ended:
                kind, flags, _, payload = client.read()
                client.frames.clear()
                if kind != DATA:
                    continue
                got, owed, ended = got + len(payload), owed + len(payload), flags & END_STREAM
                if owed > 1 << 19 and not ended:  # not more often: small updates in great number are an attack
                    client.sock.sendall(b"".join(frame(WINDOW_UPDATE, 0, at, struct.pack(">I", owed)) for at in (0, 1)))
                    owed = 0
            return got
        self.download(client, exchange, read)


class DownloadsPastACache(Downloads):
    """The same of an answer that a cache would store: its copy begins, and is let go where it becomes too large."""
    MOST = 6 << 10
    places = {"binary": str(RELEASE), "top": "plugins: [{use: cache, max_entry: 1MiB}]"}
    test_over_http1 = None  # chunks would be in the way of counting

    def head(self):
        return HEAD + b"Cache-Control: max-age=60\r\n\r\n"


class Uploads(Streaming):
    def upload(self, size, *args):
        body = b"".join(hashlib.sha256(b"%d" % at).digest() for at in range(size // 32))
        path = pathlib.Path(self.sheaf.dir.name) / "upload"
        path.write_bytes(body)
        command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *args, "-T", str(path), f"http://127.0.0.1:{self.sheaf.at}/s/up"]
        return body, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def test_up_to_what_the_route_takes(self):
        for args in (["--http1.1"], ["--http2-prior-knowledge"], ["--http1.1", "-H", "Transfer-Encoding: chunked"]):
            with self.subTest(args=args):
                body, curl = self.upload(8 << 20, *args)
                exchange = self.backend.take()
                self.assertEqual(hashlib.sha256(exchange.body).digest(), hashlib.sha256(body).digest())
                exchange.say(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                self.assertEqual(curl.communicate(timeout=15)[0], "201")
                exchange.close()

    def test_and_not_more(self):
        for size in ((8 << 20) + 32, 9 << 20):
            _, curl = self.upload(size, "--http1.1")
            self.assertEqual(curl.communicate(timeout=15)[0], "413")
            client = Http2Client(self.sheaf.at)  # curl may look at nothing but the RST_STREAM behind it
            self.addCleanup(client.sock.close)
            self.ask(client, 1, 0, method=b"PUT", length=b"%d" % size)
            client.windows[1] = 65535
            for _ in range(0, 9 << 20, 16000):
                client.send_data(1, b"x" * 16000)
                if any(entry[0] == HEADERS for entry in client.frames):
                    break
            self.assertEqual(client.answer(1)["status"], 413)


class Limits(Streaming):
    places = {"top": "limits: {requests: 2, batches: 1, items: 1}"}

    def assert_overloaded(self, answer):
        self.assertEqual((answer.status, answer.json["type"], answer.headers["retry-after"]),
                         (503, "urn:sheaf:problem:overloaded", "1"))

    def refused(self, reason):
        return self.sheaf.metrics()[f'sheaf_client_refused_total{{reason="{reason}"}}']

    def test_streams_that_stand_take_no_place_of_a_batch(self):
        streams = [self.begin() for _ in range(2)]
        for client, exchange in streams:
            exchange.say(EVENTS + b"data: 1\n\n")
            client.read_until(b"data: 1")
        before = self.refused("requests"), self.refused("batches")
        self.assert_overloaded(self.sheaf.request("GET", "/o/text"))
        self.assertEqual((self.refused("requests") - before[0], self.refused("batches") - before[1]), (1, 0))
        self.assertEqual([self.sheaf.batch(["/o/text"]).status for _ in range(3)], [207] * 3)
        for client, exchange in streams:
            exchange.close()
            client.read_until(b"0\r\n\r\n")
        wait_until(lambda: self.sheaf.request("GET", "/o/text").status == 200)

    def test_a_batch_takes_no_place_of_a_request(self):
        end = self.run_aside("/o/delay/1000/text")
        wait_until(lambda: self.sheaf.metrics()["sheaf_batches_in_flight"] == 1)
        self.assert_overloaded(self.sheaf.batch(["/o/text"]))
        self.assertEqual(self.sheaf.request("GET", "/o/text").status, 200)
        end()


class Drains(Streaming):
    def test_an_answer_under_way_is_finished(self):
        sheaf = self.start(**self.places)
        client, exchange = self.begin(sheaf=sheaf)
        exchange.say(EVENTS + b"data: 1\n\n")
        client.read_until(b"data: 1")
        sheaf.signal(signal.SIGTERM)
        wait_until(lambda: sheaf.get_admin("/readyz").status == 503)
        exchange.say(b"data: 2\n\n")
        client.read_until(b"data: 2")
        exchange.close()
        client.read_until(b"0\r\n\r\n")
        self.assertEqual(client.sock.recv(1), b"")

    def test_but_not_waited_for_for_ever(self):
        sheaf = self.start(**{**self.places, "top": "drain: {timeout: 1s}"})
        client, exchange = self.begin(sheaf=sheaf)
        exchange.say(EVENTS)
        client.read_until(b"\r\n\r\n")
        sheaf.signal(signal.SIGTERM)
        self.assertTrue(exchange.is_closed())


class Secure(Case):
    def test_over_tls(self):
        authority = pki.Pki()
        certificate, key = authority.make("localhost", "DNS:localhost,IP:127.0.0.1")
        sheaf = self.start(listener=f', tls: {{certificates: [{{certificate: "{certificate}", key: "{key}"}}]}}')
        for version in ("--http1.1", "--http2"):
            with self.subTest(version=version):
                out = subprocess.run(["curl", "-sS", version, "--cacert", authority.ca, f"https://127.0.0.1:{sheaf.at}/o/echo"],
                                     capture_output=True, check=True).stdout
                self.assertIn(["x-forwarded-proto", "https"], json.loads(out)["headers"])
                out = subprocess.run(["curl", "-sS", version, "--cacert", authority.ca,
                                      f"https://127.0.0.1:{sheaf.at}/o/bytes/3000000"], capture_output=True, check=True).stdout
                self.assertEqual(len(out), 3000000)


class Trust(Case):
    places = {"top": "trusted_proxies: [127.0.0.0/8]"}

    def test_a_trusted_peer_is_believed_and_appended_to(self):
        answer = self.sheaf.request("GET", "/o/echo", headers={"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"})
        headers = dict(map(tuple, answer.json["headers"]))
        self.assertEqual((headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-real-ip"]),
                         ("9.9.9.9, 127.0.0.1", "https", "9.9.9.9"))


if __name__ == "__main__":
    unittest.main()
