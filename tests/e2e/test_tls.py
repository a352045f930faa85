"""TLS on client listeners: what is spoken, which certificate is shown, who the client is, what resumes, what reloads."""
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

from harness import (DEADLINE, END_STREAM, SHEAF, WINDOW_UPDATE, Case, Http2Client, Origin, RawClient, frame,
                     free_port, wait_until)
from pki import Pki, TlsSheaf, Typist, dumped, handshake, openssl, secrets, tls_yaml
from test_processes import stopped

HANDSHAKES = 'sheaf_tls_handshakes_total{outcome="%s"}'
OPEN = "sheaf_client_connections"
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
ECHO = {"requests": [{"url": "/o/echo"}]}
MEGA = 1000000


def request(value):
    body = json.dumps(value).encode()
    return (b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body))


class Tls(Case):
    """Has an authority and an origin; `sheaf` is a gateway of the class if `tls` says how."""
    more = None  # of the class's listener

    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)
        cls.pair = cls.pki.make("localhost", "DNS:localhost,IP:127.0.0.1")
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        if cls.more is not None:
            cls.sheaf = TlsSheaf(cls.origin, listener=", " + tls_yaml(cls.pair, cls.more), **cls.places)
            cls.sheaf.context = cls.pki.context()
            cls.addClassCleanup(cls.sheaf.stop)

    def start(self, more="", pair=None, **places):
        places.setdefault("listener", ", " + tls_yaml(pair or self.pair, more))
        sheaf = TlsSheaf(self.origin, **places)
        sheaf.context = self.pki.context()
        self.addCleanup(sheaf.stop)
        return sheaf

    def connect(self, sheaf=None, context=None, **kwargs):
        sock = handshake((sheaf or self.sheaf).at, context or self.pki.context(), **kwargs)
        self.addCleanup(sock.close)
        return sock

    def ask(self, sock, value=None):
        """One batch on a connection: its answer."""
        client = RawClient.__new__(RawClient)
        client.sock = sock
        client.post(value or ECHO)
        return client.read_response()

    def typist(self, sheaf, *options):
        client = Typist(sheaf.at, self.pki.ca, *options)
        self.addCleanup(client.close)
        return client

    def counted(self, outcome, sheaf=None):
        return (sheaf or self.sheaf).metrics()[HANDSHAKES % outcome]

    def assert_refused(self, context, alert, sheaf=None, **kwargs):
        """The handshake fails, the client is told why, and it counts. With TLS 1.3 a client learns of it when it reads."""
        before = self.counted("refused", sheaf)
        with self.assertRaisesRegex(ssl.SSLError, alert):
            sock = handshake((sheaf or self.sheaf).at, context, **kwargs)
            with sock:
                sock.sendall(request(ECHO))
                sock.recv(1)
        wait_until(lambda: self.counted("refused", sheaf) == before + 1, what="the refusal counted")

    def log_line(self, sheaf, mark):
        """The last line of the log with a batch in which `mark` stands."""
        def found():
            lines = [line for line in list(sheaf.err) if '"event":"batch"' in line and mark in line]
            return lines and json.loads(lines[-1])
        return wait_until(found, what=f"a log line with {mark}")


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
            sheaf = self.start(listeners=f', {{address: "unix:{folder}/s", {tls_yaml(self.pair)}}}')
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


class Named(Tls):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.exact = cls.pki.make("exact", "DNS:a.example,DNS:special.b.example")
        cls.wild = cls.pki.make("wild", "DNS:*.b.example")
        cls.rsa = cls.pki.make("rsa", "DNS:*.b.example", rsa=True)

    def names(self, sheaf, name, context=None):
        context = context or self.pki.context()
        context.check_hostname = False
        sock = handshake(sheaf.at, context, name=name)
        with sock:
            return sorted(value for _, value in sock.getpeercert()["subjectAltName"])

    def test_the_name_picks_the_certificate(self):
        pairs = ", ".join(f'{{certificate: "{pem}", key: "{key}"}}' for pem, key in (self.exact, self.wild, self.rsa))
        sheaf = self.start(f", certificates: [{pairs}]")
        first, exact, wild = ["127.0.0.1", "localhost"], ["a.example", "special.b.example"], ["*.b.example"]
        for name, shown in (("localhost", first), ("a.example", exact), ("A.EXAMPLE", exact), ("x.b.example", wild),
                            ("special.b.example", exact), ("x.y.b.example", first), ("b.example", first),
                            ("unknown.example", first), (None, first)):
            self.assertEqual(self.names(sheaf, name), shown, name)

    def test_one_name_with_two_kinds_of_keys(self):
        pairs = ", ".join(f'{{certificate: "{pem}", key: "{key}"}}' for pem, key in (self.wild, self.rsa))
        sheaf = self.start(f", certificates: [{pairs}]")
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
            context = self.pki.context(version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(cipher)
            self.assertEqual(self.names(sheaf, "x.b.example", context), ["*.b.example"])

    def test_the_first_of_the_list_is_the_default_when_there_is_no_other(self):
        pairs = ", ".join(f'{{certificate: "{pem}", key: "{key}"}}' for pem, key in (self.exact, self.pair))
        sheaf = self.start(listener=f", tls: {{certificates: [{pairs}]}}")
        self.assertEqual(self.names(sheaf, "unknown.example"), ["a.example", "special.b.example"])
        self.assertEqual(self.names(sheaf, "localhost"), ["127.0.0.1", "localhost"])


class Clients(Tls):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.app = cls.pki.make("app", "URI:spiffe://example/app,DNS:app.example", subject="/O=Example, Inc/CN=app")
        cls.old = cls.pki.make("old", days=(-2, -1))
        cls.others = Pki("another authority")
        cls.addClassCleanup(cls.others.folder.cleanup)
        cls.stranger = cls.others.make("stranger")

    def start_asking(self, verify="", **places):
        return self.start(f', client_ca: "{self.pki.ca}"{verify}', **places)

    def assert_logged(self, sheaf):
        line = self.log_line(sheaf, '"subject"')
        self.assertEqual(line["subject"], "CN=app,O=Example\\, Inc")
        self.assertEqual(line["san"], "URI:spiffe://example/app")
        der = ssl.PEM_cert_to_DER_cert(pathlib.Path(self.app[0]).read_text())
        self.assertEqual(line["fingerprint"], hashlib.sha256(der).hexdigest())

    def test_required(self):
        sheaf = self.start_asking()
        self.assertEqual(self.ask(self.connect(sheaf, self.pki.context(client=self.app))).status, 207)
        self.assert_logged(sheaf)
        for version in VERSIONS.values():
            self.assert_refused(self.pki.context(version=version),
                                "CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE", sheaf)
            self.assert_refused(self.pki.context(version=version, client=self.stranger), "UNKNOWN_CA", sheaf)
            self.assert_refused(self.pki.context(version=version, client=self.old), "CERTIFICATE_EXPIRED", sheaf)

    def test_optional(self):
        sheaf = self.start_asking(", client_verify: optional")
        self.assertEqual(self.ask(self.connect(sheaf)).status, 207)
        self.assertNotIn("subject", self.log_line(sheaf, '"tls"'))
        self.assertEqual(self.ask(self.connect(sheaf, self.pki.context(client=self.app))).status, 207)
        self.assert_logged(sheaf)
        self.assert_refused(self.pki.context(client=self.stranger), "UNKNOWN_CA", sheaf)

    def test_none(self):
        sheaf = self.start_asking(", client_verify: none")
        self.assertEqual(self.ask(self.connect(sheaf, self.pki.context(client=self.stranger))).status, 207)
        self.assertNotIn("subject", self.log_line(sheaf, '"tls"'))

    def test_the_authority_may_be_an_intermediate_or_the_certificate_itself(self):
        sheaf = self.start(f', client_ca: "{self.app[0]}"')
        self.assertEqual(self.ask(self.connect(sheaf, self.pki.context(client=self.app))).status, 207)
        self.assert_refused(self.pki.context(client=self.stranger), "UNKNOWN_CA", sheaf)

    def test_a_resumed_session_knows_its_client(self):
        for version in VERSIONS.values():
            sheaf = self.start_asking()
            context = self.pki.context(client=self.app, version=version)
            first = self.connect(sheaf, context)
            self.ask(first)
            again = self.connect(sheaf, context, session=first.session)
            self.assertTrue(again.session_reused)
            sheaf.err.clear()
            self.ask(again)
            self.assert_logged(sheaf)

    def test_a_batch_that_outlives_its_connection_knows_its_client(self):
        sheaf = self.start_asking(endpoint="on_client_abort: finish_unsafe")
        sock = self.connect(sheaf, self.pki.context(client=self.app))
        sock.sendall(request({"requests": [{"method": "POST", "url": "/o/delay/300/text", "body": 1}]}))
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item")
        sock.close()
        self.assert_logged(sheaf)

    def test_a_ticket_does_not_outlive_the_authority(self):
        sheaf = self.start_asking()
        context = self.pki.context(client=self.app)
        first = self.connect(sheaf, context)
        self.ask(first)
        sheaf.write_conf(listener=", " + tls_yaml(self.pair, f', client_ca: "{self.others.ca}"'))
        reload(sheaf)
        self.assert_refused(context, "UNKNOWN_CA", sheaf, session=first.session)


def reload(sheaf, outcome="ok"):
    """SIGHUP, until it is counted."""
    name = f'sheaf_reloads_total{{outcome="{outcome}"}}'
    before = sheaf.metrics()[name]
    sheaf.signal(signal.SIGHUP)
    wait_until(lambda: sheaf.metrics()[name] == before + 1, what=f"a reload that ended {outcome}")


class Resumed(Tls):
    def resume(self, sheaf, context, session):
        with self.connect(sheaf, context, session=session) as sock:
            self.assertEqual(self.ask(sock).status, 207)
            return sock.session_reused

    def test_a_ticket_of_one_worker_is_good_at_the_other(self):
        sheaf = self.start(workers=2)
        pids = sheaf.children()
        for version in VERSIONS.values():
            context = self.pki.context(version=version)
            for one, other in (pids, pids[::-1]):
                with stopped(other):
                    first = self.connect(sheaf, context)
                    self.ask(first)
                with stopped(one):
                    again = self.connect(sheaf, context, session=first.session)
                    self.assertTrue(again.session_reused)
                    self.ask(again)
                with stopped(other):  # and what the second one gave, at the first
                    self.assertTrue(self.resume(sheaf, context, again.session))
        self.assertEqual(self.counted("resumed", sheaf), 8)
        self.assertEqual(self.counted("full", sheaf), 4)

    def test_it_is_good_after_a_reload_and_after_the_death_of_the_worker(self):
        sheaf = self.start(workers=1)
        for version in VERSIONS.values():
            context = self.pki.context(version=version)
            first = self.connect(sheaf, context)
            self.ask(first)
            reload(sheaf)
            self.assertTrue(self.resume(sheaf, context, first.session))
            (pid,) = sheaf.children()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: sheaf.children() not in ([], [pid]), what="a successor")
            self.assertTrue(self.resume(sheaf, context, first.session))

    def test_it_is_good_at_its_own_listener_only(self):
        port = free_port()
        sheaf = self.start(workers=1, listeners=f', {{address: "127.0.0.1:{port}", {tls_yaml(self.pair)}}}')
        context = self.pki.context()
        first = self.connect(sheaf, context)
        self.ask(first)
        other = handshake(port, context, session=first.session)
        self.addCleanup(other.close)
        self.assertFalse(other.session_reused)
        self.assertTrue(self.resume(sheaf, context, first.session))

    def test_no_tickets_when_the_timeout_is_zero(self):
        sheaf = self.start(", session_timeout: 0s")
        for version in VERSIONS.values():
            context = self.pki.context(version=version)
            first = self.connect(sheaf, context)
            self.ask(first)
            self.assertFalse(first.session is not None and first.session.has_ticket)
            self.assertFalse(first.session is not None and self.resume(sheaf, context, first.session))

    def test_keys_are_changed_and_old_tickets_end(self):
        for workers in (1, 0):
            sheaf = self.start(", session_timeout: 1s", workers=workers)
            context = self.pki.context()
            first = self.connect(sheaf, context)
            self.ask(first)
            self.assertTrue(self.resume(sheaf, context, first.session))
            wait_until(lambda: not self.resume(sheaf, context, first.session), what="the end of the ticket")
            second = self.connect(sheaf, context)
            self.ask(second)
            self.assertTrue(self.resume(sheaf, context, second.session))


class Hidden(Tls):
    """Private keys are not in what a core dump would hold, before and after they were used and read again."""

    def assert_hidden(self, sheaf, key, but=()):
        for pid in [sheaf.process.pid, *sheaf.children()]:
            memory = dumped(pid)
            self.assertIn(b"sheaf", memory)
            self.assertEqual([name for name, value in secrets(key).items() if value in memory and name not in but], [])

    def test_of_an_elliptic_curve(self):
        sheaf = self.start()
        self.assert_hidden(sheaf, self.pair[1])
        for version in VERSIONS.values():
            self.ask(self.connect(sheaf, self.pki.context(version=version)))
        reload(sheaf)
        self.ask(self.connect(sheaf))
        self.assert_hidden(sheaf, self.pair[1])

    def test_rsa(self):
        pair = self.pki.make("hidden", "DNS:localhost", rsa=True)
        sheaf = self.start(pair=pair)
        self.assert_hidden(sheaf, pair[1])
        reload(sheaf)
        self.assert_hidden(sheaf, pair[1])
        self.ask(self.connect(sheaf))
        self.assert_hidden(sheaf, pair[1], but=("prime1 reversed", "prime2 reversed"))  # OpenSSL's copies, in limbs


class Reloaded(Tls):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sheaf-tls-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.used = (str(self.folder / "site.pem"), str(self.folder / "site.key"))
        self.pki.copy(self.pair, self.used)

    def serial(self, sheaf):
        context = self.pki.context()
        context.check_hostname = False
        with handshake(sheaf.at, context) as sock:
            return sock.getpeercert()["serialNumber"]

    def test_a_new_certificate_is_shown_and_old_connections_go_on(self):
        sheaf = self.start(pair=self.used, workers=2)
        before = self.serial(sheaf)
        old = [self.connect(sheaf) for _ in range(8)]
        for sock in old:
            self.ask(sock)
        self.pki.copy(self.pki.make("new", "DNS:localhost"), self.used)
        self.assertEqual(self.serial(sheaf), before, "not before the reload")
        reload(sheaf)
        self.assertEqual(len({self.serial(sheaf) for _ in range(20)} - {before}), 1)
        for sock in old:
            self.assertEqual(self.ask(sock).status, 207)

    def test_a_handshake_may_have_reloads_before_it(self):
        sheaf = self.start(pair=self.used)
        reload(sheaf)  # the configuration that a worker is born with stays in its memory
        halves = [RawClient(sheaf.at) for _ in range(8)]
        wait_until(lambda: sheaf.metrics()[OPEN] == 8, what="the connections")
        reload(sheaf)
        reload(sheaf)
        for half in halves:
            with self.pki.context().wrap_socket(half.sock, server_hostname="localhost") as sock:
                self.assertEqual(self.ask(sock).status, 207)

    def test_workers_need_no_files(self):
        sheaf = self.start(pair=self.used, workers=2)
        self.pki.copy(self.pki.make("new", "DNS:localhost"), self.used)
        reload(sheaf)
        now = self.serial(sheaf)
        for path in self.used:
            os.unlink(path)
        pids = sheaf.children()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(sheaf.children()) - set(pids)) == 2, what="successors")
        for _ in range(10):
            self.assertEqual(self.serial(sheaf), now)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    @unittest.skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_workers_need_no_right_to_read_keys(self):
        os.chmod(self.folder, 0o700)
        sheaf = self.start(pair=self.used, workers=2, top="user: nobody")
        before = self.serial(sheaf)
        self.pki.copy(self.pki.make("new", "DNS:localhost"), self.used)
        reload(sheaf)
        self.assertNotEqual(self.serial(sheaf), before)
        for pid in sheaf.children():
            self.assertNotEqual(pathlib.Path(f"/proc/{pid}").stat().st_uid, 0)

    def test_what_is_bad_changes_nothing_and_is_named(self):
        sheaf = self.start(pair=self.used, workers=2)
        before, other = self.serial(sheaf), self.pki.make("other", "DNS:localhost")
        expired = self.pki.make("expired", "DNS:localhost", days=(-2, -1))
        early = self.pki.make("early", "DNS:localhost", days=(1, 2))

        def cut(path):
            text = pathlib.Path(path).read_text()
            pathlib.Path(path).write_text(text[:len(text) // 2])
        for spoil, word in ((lambda: shutil.copyfile(other[0], self.used[0]), r"site\.key does not hold the private key"),
                            (lambda: self.pki.copy(expired, self.used), r"site\.pem has expired"),
                            (lambda: self.pki.copy(early, self.used), r"site\.pem is not valid yet"),
                            (lambda: cut(self.used[0]), r"site\.pem holds"),
                            (lambda: cut(self.used[1]), r"site\.key holds"),
                            (lambda: os.unlink(self.used[1]), r"site\.key: No such file")):
            sheaf.err.clear()
            spoil()
            reload(sheaf, "failed")
            wait_until(lambda: any(re.search(r"sheaf\.yaml:\d+:\d+: error: .*" + word, line) for line in list(sheaf.err)),
                       what=f"{word} in {sheaf.err}")
            self.assertEqual(self.serial(sheaf), before)
            self.pki.copy(self.pair, self.used)
        reload(sheaf)
        self.assertEqual(self.serial(sheaf), before)

    def test_an_address_turns_from_clear_text_to_tls_and_back(self):
        port = free_port()
        sheaf = self.start(workers=2, listeners=f', {{address: "127.0.0.1:{port}"}}')
        clear = RawClient(port)
        clear.post(ECHO)
        self.assertEqual(clear.read_response().status, 207)
        sheaf.write_conf(listeners=f', {{address: "127.0.0.1:{port}", {tls_yaml(self.used)}}}')
        reload(sheaf)
        with handshake(port, self.pki.context()) as sock:
            self.assertEqual(self.ask(sock).status, 207)
        clear.post(ECHO)  # it was accepted before
        self.assertEqual(clear.read_response().status, 207)
        clear.close()
        sheaf.write_conf(listeners=f', {{address: "127.0.0.1:{port}"}}')
        reload(sheaf)
        clear = RawClient(port)
        clear.post(ECHO)
        self.assertEqual(clear.read_response().status, 207)
        clear.close()

    def test_reloads_under_load_break_nothing(self):
        sheaf = self.start(pair=self.used, workers=2)
        pairs = [self.pki.make(f"pair{number}", "DNS:localhost") for number in range(2)]
        stop = []

        def load():
            done = 0
            while not stop:
                with handshake(sheaf.at, self.pki.context()) as sock:
                    for _ in range(3):
                        assert self.ask(sock).json["responses"][0]["status"] == 200
                        done += 1
            return done
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(load) for _ in range(4)]
            try:
                for number in range(8):
                    self.pki.copy(pairs[number % 2], self.used)
                    reload(sheaf)
            finally:
                stop.append(True)
            self.assertTrue(all(client.result(60) > 0 for client in clients))


class Refused(Tls):
    """Neither `check` nor `run` takes it, and both say where and which file."""

    def assert_error(self, tls, pattern):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "sheaf.yaml"
            path.write_text(f"listen:\n  - address: 127.0.0.1:0\n    tls: {tls}\n")
            for command in ("check", "run"):
                out = subprocess.run([SHEAF, command, "-c", str(path)], capture_output=True, text=True, timeout=60)
                self.assertEqual(out.returncode, 1, out)
                self.assertRegex(out.stderr, re.escape(str(path)) + r":3:\d+: error: " + pattern)
                self.assertRegex(out.stderr, r"\n +\^\n")
                self.assertEqual(out.stdout, "")

    def pair_yaml(self, pem, key, more=""):
        return f'{{certificate: "{pem}", key: "{key}"{more}}}'

    def test_files_that_are_not_there(self):
        self.assert_error(self.pair_yaml("/no/such.pem", self.pair[1]), r"cannot read /no/such\.pem: No such file")
        self.assert_error(self.pair_yaml(self.pair[0], "/no/such.key"), r"cannot read /no/such\.key: No such file")
        self.assert_error(self.pair_yaml(*self.pair, ", client_ca: /no/ca.pem"), r"cannot read /no/ca\.pem: No such file")

    def test_what_does_not_fit(self):
        other = self.pki.make("other")
        self.assert_error(self.pair_yaml(self.pair[0], other[1]), r".*other\.key does not hold the private key of the "
                                                                  r"certificate \(.*localhost\.pem\)")
        self.assert_error(self.pair_yaml(self.pair[1], self.pair[1]), r".*localhost\.key holds no certificate in PEM form")
        self.assert_error(self.pair_yaml(*self.pair, f", client_ca: '{self.pair[1]}'"), r".*localhost\.key holds no cert")

    def test_times(self):
        self.assert_error(self.pair_yaml(*self.pki.make("expired", days=(-2, -1))), r".*expired\.pem has expired: it ended on ")
        self.assert_error(self.pair_yaml(*self.pki.make("early", days=(1, 2))), r".*early\.pem is not valid yet: it begins on ")

    def test_an_encrypted_key(self):
        path = f"{self.pki.dir}/encrypted.key"
        openssl("pkey", "-in", self.pair[1], "-aes256", "-passout", "pass:x", "-out", path)
        self.assert_error(self.pair_yaml(self.pair[0], path), r".*encrypted\.key holds an encrypted private key")

    def test_paths_are_relative_to_the_configuration(self):
        with tempfile.TemporaryDirectory() as folder:
            self.pki.copy(self.pair, (f"{folder}/a.pem", f"{folder}/a.key"))
            path = pathlib.Path(folder) / "sheaf.yaml"
            path.write_text("listen: [{address: '127.0.0.1:0', tls: {certificate: a.pem, key: a.key}}]\n")
            for cwd, name in ((folder, "sheaf.yaml"), ("/", str(path))):
                out = subprocess.run([SHEAF, "check", "-c", name], capture_output=True, text=True, timeout=60, cwd=cwd)
                self.assertEqual((out.returncode, out.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
