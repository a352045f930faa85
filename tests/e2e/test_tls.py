"""TLS on client listeners: what is spoken, and how a connection begins and ends."""
import http.client
import json
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

from harness import DEADLINE, END_STREAM, WINDOW_UPDATE, Http2Client, RawClient, frame, wait_until
from pki import tls_yaml
from tls_case import ECHO, OPEN, VERSIONS, Tls, request

MEGA = 1000000


class Spoken(Tls):
    more = ""
    places = {"workers": 1, "endpoint": "budget: 4MiB, timeout: 60s", "upstream": "timeout: 30s"}

    def test_http1_over_both_versions(self):
        for name, version in VERSIONS.items():
            sock = self.connect(context=self.pki.context(version=version))
            self.assertEqual(sock.version(), name)
            result = self.ask(sock).json["responses"][0]
            self.assertEqual(dict(result["body"]["headers"])["x-forwarded-proto"], "https")
            self.assertEqual(self.log_line(self.sheaf, name)["tls"], name)

    def test_alpn_decides(self):
        for offered, chosen in ((("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"),
                                (("spdy/3", "http/1.1"), "http/1.1"), ((), None)):
            sock = self.connect(context=self.pki.context(*offered))
            self.assertEqual(sock.selected_alpn_protocol(), chosen, offered)
            if chosen == "h2":
                client = Http2Client(sock=sock)
                client.head(1)
                client.send_data(1, json.dumps(ECHO).encode(), END_STREAM)
                self.assertEqual(client.answer(1)["summary"]["succeeded"], 1)
            else:
                self.assertEqual(self.ask(sock).status, 207)

    def test_one_that_offers_only_what_is_not_spoken_is_told(self):
        self.assert_refused(self.pki.context("spdy/3"), "(?i)no.application.protocol")

    def test_the_scheme_is_what_is_spoken_not_what_is_said(self):
        client = Http2Client(sock=self.connect(context=self.pki.context("h2")))
        client.head(1)  # says http
        client.send_data(1, json.dumps(ECHO).encode(), END_STREAM)
        headers = dict(client.answer(1)["responses"][0]["body"]["headers"])
        self.assertEqual(headers["x-forwarded-proto"], "https")

    def test_curl_speaks_http2(self):
        out = subprocess.run(["curl", "-sS", "--cacert", self.pki.ca, "-w", "\n%{http_version} %{http_code}", "-H",
                              "content-type: application/json", "-d", json.dumps(ECHO),
                              f"https://localhost:{self.sheaf.at}/batch"], capture_output=True, text=True, timeout=60)
        self.assertEqual(out.stderr, "")
        self.assertEqual(out.stdout.rsplit("\n", 1)[1], "2 207")

    def test_two_hundred_batches_over_one_connection(self):
        conn = self.sheaf.connect()
        before = self.counted("full")
        for number in range(200):
            answer = self.sheaf.batch([{"url": f"/o/echo?{number}"}, "/o/text"], conn=conn)
            self.assertEqual(answer.json["summary"]["succeeded"], 2)
            self.assertIn(f"{number}", answer.json["responses"][0]["body"]["target"])
        conn.close()
        self.assertEqual(self.counted("full"), before + 1)

    def test_large_results_stream(self):
        conn = self.sheaf.connect()
        for _ in range(2):
            answer = self.sheaf.batch([f"/o/json/{MEGA}"] * 40, conn=conn)
            self.assertEqual(answer.headers["transfer-encoding"], "chunked")
            self.assertEqual([len(result["body"]["fill"]) for result in answer.json["responses"]], [MEGA] * 40)
        conn.close()

    def test_large_results_stream_over_http2(self):
        with tempfile.NamedTemporaryFile() as file:
            out = subprocess.run(["curl", "-sS", "--http2", "--cacert", self.pki.ca, "-o", file.name, "-w",
                                  "%{http_version} %{http_code}", "-H", "content-type: application/json", "-d",
                                  json.dumps([{"url": f"/o/json/{MEGA}"}] * 40),
                                  f"https://localhost:{self.sheaf.at}/batch"], capture_output=True, text=True, timeout=60)
            self.assertEqual((out.stdout, out.stderr), ("2 207", ""))
            document = json.load(file)
        self.assertEqual([len(result["body"]["fill"]) for result in document["responses"]], [MEGA] * 40)

    def test_a_large_request_arrives_whole(self):
        text = "x" * 900000
        for protocol in ("--http1.1", "--http2"):
            out = subprocess.run(["curl", "-sS", protocol, "--cacert", self.pki.ca, "-H", "content-type: application/json",
                                  "-H", "expect:", "--data-binary", "@-", f"https://localhost:{self.sheaf.at}/batch"],
                                 input=json.dumps([{"method": "POST", "url": "/o/echo", "body": text}]).encode(),
                                 capture_output=True, timeout=60)
            self.assertEqual(out.stderr, b"")
            self.assertEqual(json.loads(out.stdout)["responses"][0]["status"], 200)

    def test_fifty_parallel_streams(self):
        client = Http2Client(sock=self.connect(context=self.pki.context("h2")))
        client.sock.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
        streams = range(1, 101, 2)
        for stream in streams:
            client.head(stream)
            client.send_data(stream, json.dumps({"requests": [
                {"url": f"/o/delay/100/echo?{stream}"}, {"url": "/o/json/30000"}]}).encode(), END_STREAM)
        for stream in streams:
            results = client.answer(stream)["responses"]
            self.assertEqual([result["status"] for result in results], [200, 200])
            self.assertIn(f"{stream}", json.dumps(results[0]["body"]))

    def test_old_versions_are_refused(self):
        context = self.pki.context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assert_refused(context, "PROTOCOL_VERSION")

    def test_weak_ciphers_are_refused(self):
        for ciphers in ("AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "aNULL", "DHE"):
            context = self.pki.context(version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(ciphers + ":@SECLEVEL=0")
            self.assert_refused(context, "HANDSHAKE_FAILURE")

    def test_compression_is_off(self):
        self.assertIsNone(self.connect(context=self.pki.context(version=ssl.TLSVersion.TLSv1_2)).compression())

    def test_renegotiation_is_refused(self):
        client = self.typist(self.sheaf, "-tls1_2")
        client.type(b"R\n")
        client.until(b"RENEGOTIATING")
        self.assertNotEqual(client.ended(), 0)
        self.assertEqual(self.run_item("/o/text")["status"], 200)

    def test_early_data_is_not_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            client = self.typist(self.sheaf, "-sess_out", f"{folder}/session")
            client.type(request(ECHO))
            client.until(b'"failed":0')  # tickets came before the answer
            client.type(b"Q\n")
            client.ended()
            client.until(b"Max Early Data: 0")

    def test_clear_text_ends_the_handshake(self):
        before = self.counted("refused")
        client = RawClient(self.sheaf.at)
        client.post(ECHO)
        self.assertNotIn(b"HTTP/", client.sock.recv(65536))
        client.close()
        wait_until(lambda: self.counted("refused") == before + 1, what="the refusal counted")

    def hello(self):
        """The first flight of a client."""
        out = ssl.MemoryBIO()
        tls = self.pki.context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        return out.read()

    def test_clients_that_hang_up_in_the_handshake_leave_nothing(self):
        hello, pids = self.hello(), self.sheaf.children()
        before, open_before = self.counted("abandoned"), self.sheaf.metrics()[OPEN]
        ways = [(cut, reads, end) for cut in (0, 1, 5, len(hello) // 2, len(hello)) for reads in (False, True)
                for end in ("close", "reset") if not reads or cut == len(hello)]
        for cut, reads, end in ways * 5:
            client = RawClient(self.sheaf.at)
            client.send(hello[:cut])
            if reads:
                client.sock.recv(1)
            getattr(client, end)()
        wait_until(lambda: self.sheaf.metrics()[OPEN] == open_before, what="no connection left")
        self.assertEqual(self.counted("abandoned"), before + len(ways) * 5)
        self.assertEqual(self.sheaf.children(), pids)
        self.assertEqual(self.run_item("/o/text")["status"], 200)

    def test_a_handshake_in_small_pieces_is_fine(self):
        sock = socket.create_connection(("127.0.0.1", self.sheaf.at), timeout=DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.pki.context().wrap_bio(into, out, server_hostname="localhost")

        def flush():
            for byte in out.read():
                sock.sendall(bytes([byte]))
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flush()
                into.write(sock.recv(65536))
        tls.write(request(ECHO))
        flush()
        seen = b""
        while b'"summary"' not in seen:
            try:
                seen += tls.read(65536)
            except ssl.SSLWantReadError:
                into.write(sock.recv(65536))
        sock.close()

    def test_garbage_is_refused(self):
        for garbage in (b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x80\x2e\x01\x00\x02" + bytes(60), bytes(300),
                        self.hello()[:-40] + bytes(40), b"\x17\x03\x03\x00\x05hello", b"\x15\x03\x03\x00\x02\x02\x28"):
            client = RawClient(self.sheaf.at)
            client.send(garbage)
            client.sock.shutdown(socket.SHUT_WR)
            try:
                while client.sock.recv(65536):
                    pass
            except ConnectionError:
                pass
            client.close()
        self.assertEqual(self.run_item("/o/text")["status"], 200)


class Keyed(Tls):
    def test_a_client_may_change_its_keys(self):
        sheaf = self.start()
        for order in (b"k\n", b"K\n"):  # its own, and the gateway's too
            client = self.typist(sheaf)
            client.type(order)
            client.until(b"KEYUPDATE")
            client.type(request(ECHO))
            client.until(b'"failed":0')

    def test_only_the_ciphers_that_are_named(self):
        sheaf = self.start(", ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:TLS_AES_256_GCM_SHA384'")
        for version, cipher in ((ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
                                (ssl.TLSVersion.TLSv1_3, "TLS_AES_256_GCM_SHA384")):
            self.assertEqual(self.connect(sheaf, self.pki.context(version=version)).cipher()[0], cipher)
        context = self.pki.context(version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        self.assert_refused(context, "HANDSHAKE_FAILURE", sheaf)

    def test_min_version_1_3(self):
        sheaf = self.start(", min_version: 1.3")
        self.assertEqual(self.connect(sheaf).version(), "TLSv1.3")
        self.assert_refused(self.pki.context(version=ssl.TLSVersion.TLSv1_2), "PROTOCOL_VERSION", sheaf)

    def test_a_handshake_that_stalls_is_ended(self):
        sheaf = self.start(top="limits: {handshake_timeout: 300ms}")
        silent, partial = RawClient(sheaf.at), RawClient(sheaf.at)
        partial.send(b"\x16\x03\x01")
        for client in (silent, partial):
            self.assertEqual(client.sock.recv(1), b"")
            client.close()
        self.assertEqual(self.counted("timeout", sheaf), 2)
        self.assertEqual(self.counted("abandoned", sheaf), 0)
        kept = self.connect(sheaf)  # one that is done is not meant
        end = time.monotonic() + 0.5
        wait_until(lambda: time.monotonic() > end, what="a while")
        self.assertEqual(self.ask(kept).status, 207)

    def test_a_slow_handshake_leaves_the_head_its_time(self):
        sheaf = self.start(top="limits: {handshake_timeout: 10s, head_timeout: 1s}")
        sock = socket.create_connection(("127.0.0.1", sheaf.at), timeout=DEADLINE)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 1.5, what="a while")
        sock = self.pki.context().wrap_socket(sock, server_hostname="localhost")
        self.addCleanup(sock.close)
        self.assertEqual(self.ask(sock).status, 207)

    def test_all_in_one_process(self):
        sheaf = self.start(workers=0)
        first = self.connect(sheaf)
        self.assertEqual(self.ask(first).status, 207)
        context = self.pki.context()
        first = self.connect(sheaf, context)
        self.ask(first)
        self.assertTrue(self.connect(sheaf, context, session=first.session).session_reused)

    def test_behind_a_proxy_that_says_for_whom_it_stands(self):
        sheaf = self.start(listener=", proxy_protocol: true, proxy_trusted: [127.0.0.0/8], " + tls_yaml(self.pair))
        sock = socket.create_connection(("127.0.0.1", sheaf.at), timeout=DEADLINE)
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.2 56324 443\r\n")
        sock = self.pki.context().wrap_socket(sock, server_hostname="localhost")
        self.addCleanup(sock.close)
        headers = dict(self.ask(sock).json["responses"][0]["body"]["headers"])
        self.assertEqual((headers["x-forwarded-for"], headers["x-forwarded-proto"]), ("192.0.2.7", "https"))

    def test_a_unix_socket_speaks_it_too(self):
        with tempfile.TemporaryDirectory() as folder:
            self.start(listeners=f', {{address: "unix:{folder}/s", {tls_yaml(self.pair)}}}')
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(DEADLINE)
            sock.connect(f"{folder}/s")
            sock = self.pki.context().wrap_socket(sock, server_hostname="localhost")
            self.addCleanup(sock.close)
            self.assertEqual(self.ask(sock).status, 207)

    def test_a_drain_waits_for_handshakes_and_their_first_request(self):
        sheaf = self.start(workers=1, top="drain: {timeout: 10s}")
        sock = socket.create_connection(("127.0.0.1", sheaf.at), timeout=DEADLINE)
        self.addCleanup(sock.close)
        wait_until(lambda: sheaf.metrics()[OPEN] == 1, what="the connection")
        sheaf.signal(signal.SIGTERM)
        wait_until(lambda: not self.accepts(sheaf.at), what="a closed listener")
        tls = self.pki.context().wrap_socket(sock, server_hostname="localhost")
        answer = self.ask(tls)
        self.assertEqual((answer.status, answer.headers["connection"]), (207, "close"))

    def test_a_drain_ends_idle_connections_and_no_batch(self):
        for protocol in ("http/1.1", "h2"):
            sheaf = self.start(workers=1)
            idle, busy = (self.connect(sheaf, self.pki.context(protocol)) for _ in range(2))
            slow = {"requests": [{"url": "/o/delay/700/text"}]}
            if protocol == "h2":
                idle, busy = Http2Client(sock=idle), Http2Client(sock=busy)
                for client, value in ((idle, ECHO), (busy, slow)):
                    client.head(1)
                    client.send_data(1, json.dumps(value).encode(), END_STREAM)
                idle.answer(1)
            else:
                self.ask(idle)
                busy.sendall(request(slow))
            wait_until(lambda: self.origin.count()["flying"] == 1, what="the slow item")
            sheaf.signal(signal.SIGTERM)
            if protocol == "h2":
                with self.assertRaisesRegex(AssertionError, "the connection ended"):
                    while True:
                        idle.read()
                self.assertEqual(busy.answer(1)["summary"]["succeeded"], 1)
            else:
                self.assertEqual(idle.recv(1), b"")
                response = http.client.HTTPResponse(busy)
                response.begin()
                self.assertIn(b'"succeeded":1', response.read())
            self.assertEqual(sheaf.wait(10), 0)

    def accepts(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
            return True
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
