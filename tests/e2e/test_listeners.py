"""Where clients come in: IPv4, IPv6 and unix sockets, and proxies that say for whom they stand."""
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import stat
import struct
import subprocess
import time
import unittest

from harness import DEADLINE, H2_PREFACE, SHEAF, Answer, Case, RawClient, Sheaf, frame, literal, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ECHO = json.dumps([{"url": "/o/echo"}]).encode()
V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
REFUSED = "sheaf_proxy_protocol_refused_total"


def v2(command=1, family=0x11, body=b""):
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body)) + body


def v2_tcp4(source, tlvs=b""):
    return v2(body=socket.inet_aton(source) + socket.inet_aton("192.0.2.2") + struct.pack(">HH", 56324, 443) + tlvs)


def v2_tcp6(source):
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
    return v2(family=0x21, body=addresses + struct.pack(">HH", 56324, 443))


def request(body, fields=""):
    return (f"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{fields}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def read_answer(sock):
    response = http.client.HTTPResponse(sock)
    response.begin()
    return Answer(response)


def cpu_seconds(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


class Addresses(Case):
    def connect_unix(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        self.addCleanup(sock.close)
        sock.connect(str(path))
        return sock

    def start_unix(self, more="", **places):
        """A gateway with a listener on a socket file that is in the folder of its configuration."""
        self.path = pathlib.Path(self.sheaf.dir.name) / f"{self.id().rpartition('.')[2][:40]}.sock"
        return self.start(listeners=f', {{address: "unix:{self.path}"{more}}}', **places)

    def permissions(self):
        return stat.S_IMODE(self.path.stat().st_mode)

    def post_unix(self):
        sock = self.connect_unix(self.path)
        sock.sendall(request(ECHO))
        return read_answer(sock)

    def test_a_unix_socket_serves(self):
        self.start_unix()
        answer = self.post_unix()
        self.assertEqual(answer.json["responses"][0]["status"], 200)

    def test_a_client_without_an_address_is_refused_by_its_address(self):
        for lists in ("deny: [203.0.113.0/24]", "allow: [0.0.0.0/0, '::/0']"):
            with self.subTest(lists=lists):
                sheaf = self.start_unix(top=f"plugins: [{{use: ip_access, {lists}}}]")
                answer = self.post_unix()
                self.assertEqual((answer.status, answer.json["type"]), (403, "urn:sheaf:problem:address-refused"))
                sheaf.stop()

    def test_a_socket_file_has_its_mode_from_the_start_and_after_a_reload(self):
        sheaf = self.start_unix(", mode: 0640")
        self.assertEqual(self.permissions(), 0o640)
        sheaf.write_conf(listeners=f', {{address: "unix:{self.path}", mode: "0606"}}')
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.permissions() == 0o606, 5, "the new mode")
        self.assertEqual(self.post_unix().status, 207)

    def test_a_file_whose_owner_is_gone_is_replaced(self):
        path = pathlib.Path(self.sheaf.dir.name) / "left.sock"
        first = Sheaf(self.origin, listeners=f', {{address: "unix:{path}"}}')
        first.kill()
        first.dir.cleanup()
        self.path = path
        self.assertTrue(self.path.exists())
        self.start(listeners=f', {{address: "unix:{self.path}", mode: 0600}}')
        self.assertEqual(self.post_unix().status, 207)
        self.assertEqual(self.permissions(), 0o600)

    def test_a_file_that_is_in_use_is_left_alone(self):
        first = self.start_unix()
        conf = first.path.with_name("second.yaml")
        conf.write_text(first.path.read_text())
        done = subprocess.run([SHEAF, "run", "-c", str(conf)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot listen on unix:{self.path}", done.stderr)
        self.assertEqual(self.post_unix().status, 207)

    @unittest.skipUnless(has_ipv6(), "no ::1 here")
    def test_ipv6_and_all_addresses(self):
        sheaf = self.start(listeners=', {address: "[::1]:0"}, {address: ":0"}', top="trusted_proxies: []")
        for port, hosts in ((sheaf.port(nth=1), ["::1"]), (sheaf.port(nth=2), ["::1", "127.0.0.1"])):
            for host in hosts:
                with self.subTest(host=host), socket.create_connection((host, port), timeout=DEADLINE) as sock:
                    sock.sendall(request(ECHO))
                    seen = dict(map(tuple, read_answer(sock).json["responses"][0]["body"]["headers"]))
                    self.assertEqual(seen["x-forwarded-for"], host)
        lines = [line for line in sheaf.out if line.startswith("listening on")]
        self.assertEqual([line.rpartition(":")[0] for line in lines],
                         ["listening on 127.0.0.1", "listening on [::1]", "listening on "])
        self.assertEqual([line["client"] for line in sheaf.logged("batch", count=3)], ["::1", "::1", "127.0.0.1"])


class Proxied(Case):
    """127.0.0.2 is the listener of a proxy at 127.0.0.1; clients in 198.51.100.0/24 are proxies themselves."""
    places = {"listeners": ', {address: "127.0.0.2:0", proxy_protocol: true, proxy_trusted: [127.0.0.1]}',
              "top": "trusted_proxies: [198.51.100.0/24]"}

    def connect(self, source="127.0.0.1", sheaf=None):
        sock = socket.create_connection(("127.0.0.2", (sheaf or self.sheaf).port(nth=1)), timeout=DEADLINE,
                                        source_address=(source, 0))
        self.addCleanup(sock.close)
        return sock

    def seen_by_backend(self, data, fields=""):
        """The headers of an item whose batch came behind the header `data`."""
        sock = self.connect()
        sock.sendall(data + request(ECHO, fields))
        return dict(map(tuple, read_answer(sock).json["responses"][0]["body"]["headers"]))

    def test_the_named_address_is_the_clients(self):
        for data, client in ((V1, "192.0.2.1"), (v2_tcp4("192.0.2.7"), "192.0.2.7"),
                             (v2_tcp4("192.0.2.8", b"\x01\x00\x02h2\xea\x00\x01x"), "192.0.2.8"),
                             (b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n", "2001:db8::9"), (v2_tcp6("2001:db8::a"), "2001:db8::a"),
                             (v2_tcp6("::ffff:192.0.2.11"), "192.0.2.11")):
            with self.subTest(client=client):
                before = len(self.sheaf.err)
                seen = self.seen_by_backend(data)
                self.assertEqual((seen["x-forwarded-for"], seen["x-real-ip"]), (client, client))
                wait_until(lambda: any(f'"client":"{client}"' in line for line in self.sheaf.err[before:]), 3, "its log line")

    def test_a_header_may_name_nobody(self):
        for data in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff ff\r\n", v2(0, 0), v2(0, 0x11, b"rubbish"), v2(1, 0),
                     v2(1, 0x31, b"/run/client".ljust(216, b"\0"))):
            with self.subTest(data=data):
                self.assertEqual(self.seen_by_backend(data)["x-forwarded-for"], "127.0.0.1")

    def test_only_named_proxies_are_believed_further(self):
        lie = "X-Forwarded-For: 203.0.113.5\r\n"
        self.assertEqual(self.seen_by_backend(V1, lie)["x-forwarded-for"], "192.0.2.1")
        self.assertEqual(self.seen_by_backend(v2_tcp4("198.51.100.4"), lie)["x-forwarded-for"],
                         "203.0.113.5, 198.51.100.4")

    def test_a_header_may_come_in_pieces_and_nothing_spins(self):
        for data in (V1, v2_tcp4("192.0.2.1", b"\x04\x00\x10" + bytes(16))):
            sock = self.connect()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(data)):
                sock.sendall(data[at:at + 1])
            (pid,) = self.sheaf.children()
            for _ in range(2):
                sock.sendall(request(ECHO))
                self.assertEqual(read_answer(sock).json["responses"][0]["status"], 200)

            sock = self.connect()
            sock.sendall(data[:15])
            before, end = cpu_seconds(pid), time.monotonic() + 0.4
            wait_until(lambda: time.monotonic() > end, what="a while")
            self.assertLess(cpu_seconds(pid) - before, 0.05)
            sock.sendall(data[15:] + request(ECHO))
            self.assertEqual(read_answer(sock).status, 207)

    def test_tls_behind_a_header(self):
        folder = pathlib.Path(self.sheaf.dir.name)
        pair = str(folder / "cert.pem"), str(folder / "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=h", "-addext", "subjectAltName=DNS:h", "-out", pair[0], "-keyout", pair[1]],
                       check=True, capture_output=True)
        sheaf = self.start(listeners=', {address: "127.0.0.2:0", proxy_protocol: true, proxy_trusted: [127.0.0.1], '
                                     f'tls: {{certificate: "{pair[0]}", key: "{pair[1]}"}}}}')
        context = ssl.create_default_context(cafile=pair[0])
        for data, client in ((V1, "192.0.2.1"), (v2_tcp4("192.0.2.9", b"\x04\x00\x00"), "192.0.2.9"), (v2(0, 0), "127.0.0.1")):
            raw = self.connect(sheaf=sheaf)
            raw.sendall(data)
            with context.wrap_socket(raw, server_hostname="h") as sock:
                sock.sendall(request(ECHO))
                seen = dict(map(tuple, read_answer(sock).json["responses"][0]["body"]["headers"]))
                self.assertEqual((seen["x-forwarded-for"], seen["x-forwarded-proto"]), (client, "https"))
        with self.assertRaises(OSError):
            context.wrap_socket(self.connect(sheaf=sheaf), server_hostname="h")
        self.assertEqual(sheaf.metrics()[f'{REFUSED}{{reason="invalid"}}'], 1)

    def test_http_2_behind_a_header(self):
        sock = self.connect()
        sock.sendall(v2_tcp4("192.0.2.1") + H2_PREFACE + frame(4, 0, 0))
        head = b"".join(literal(*field) for field in ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/batch"),
                                                      (b":authority", b"h"), (b"content-type", b"application/json")))
        sock.sendall(frame(1, 4, 1, head) + frame(0, 1, 1, ECHO))
        got = b""
        while b"192.0.2.1" not in got:
            more = sock.recv(65536)
            self.assertTrue(more, got)
            got += more

    def refused(self, reason):
        return self.sheaf.metrics()[f'{REFUSED}{{reason="{reason}"}}']

    def assert_refused(self, sock, data, reason, half_closes=False):
        try:
            sock.sendall(data)
            if half_closes:
                sock.shutdown(socket.SHUT_WR)
            self.assertEqual(sock.recv(100), b"", data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        self.refusals[reason] = self.refusals.get(reason, self.first_refusals[reason]) + 1
        self.assertEqual(self.refused(reason), self.refusals[reason], data)

    def setUp(self):
        self.refusals = {}
        self.first_refusals = {reason: self.refused(reason) for reason in ("untrusted", "invalid", "incomplete")}

    def test_without_a_valid_header_the_connection_is_closed_and_counted(self):
        for data in (request(ECHO), H2_PREFACE, b"\x16\x03\x01\x02\x00\x01", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 02\r\n",
                     v2(1, 0x12, bytes(12)), v2(1, 0x11, bytes(11)), v2(1, 0x11, bytes(14)), b"PROXY UNKNOWN " + b"x" * 100):
            self.assert_refused(self.connect(), data, "invalid")
        for data in (b"", b"PRO", V1[:-1], v2_tcp4("192.0.2.1")[:-1], SIGNATURE[:4]):
            self.assert_refused(self.connect(), data, "incomplete", half_closes=True)
        self.assertEqual(self.seen_by_backend(V1)["x-forwarded-for"], "192.0.2.1")

    def test_who_takes_too_long_is_closed_and_counted(self):
        sheaf = self.start(**{**self.places, "top": "limits: {handshake_timeout: 300ms}"})
        for data in (b"", V1[:30]):
            sock = self.connect(sheaf=sheaf)
            sock.sendall(data)
            started = time.monotonic()
            self.assertEqual(sock.recv(100), b"")
            self.assertGreater(time.monotonic() - started, 0.2)
        self.assertEqual(sheaf.metrics()[f'{REFUSED}{{reason="incomplete"}}'], 2)

    def test_who_says_nothing_takes_a_place_until_then(self):
        sheaf = self.start(**{**self.places, "top": "limits: {handshake_timeout: 1s, connections: 20}"})
        (pid,) = sheaf.children()
        self.run_item("/o/echo", sheaf=sheaf)  # the connection to the backend stays

        def descriptors():
            return len(os.listdir(f"/proc/{pid}/fd"))
        before = descriptors()  # perhaps that of the client too
        silent = [self.connect(sheaf=sheaf) for _ in range(100)]  # 80 of them in the listen queue
        for sock in silent:
            sock.sendall(V1[:17])
        wait_until(lambda: descriptors() >= before + 19, 5, "a full worker")
        self.assertLessEqual(descriptors(), before + 20)
        served = self.connect(sheaf=sheaf)
        served.sendall(V1 + request(ECHO))
        self.assertEqual(read_answer(served).status, 207)
        served.close()
        wait_until(lambda: descriptors() <= before, what="the descriptors back")
        self.assertEqual(sheaf.metrics()[f'{REFUSED}{{reason="incomplete"}}'], 100)

    def test_others_than_the_proxy_may_not_even_speak(self):
        self.assert_refused(self.connect("127.0.0.3"), b"", "untrusted")
        self.assert_refused(self.connect("127.0.0.3"), V1, "untrusted")

    def test_a_client_that_hangs_up_behind_its_header_leaves_nothing(self):
        for data in (V1, V1 + request(ECHO)[:40]):
            sock = self.connect()
            sock.sendall(data)
            wait_until(lambda: self.sheaf.metrics()["sheaf_client_connections"] == 1, 3, "the connection")
            sock.close()
            wait_until(lambda: self.sheaf.metrics()["sheaf_client_connections"] == 0, 3, "its end")

    def test_trusted_proxies_is_the_default_and_a_reload_may_change_it_all(self):
        plain, proxied = ', {address: "127.0.0.2:0"}', ', {address: "127.0.0.2:0", proxy_protocol: true}'
        sheaf = self.start(listeners=proxied, top="trusted_proxies: [127.0.0.1]")

        def answers(data):
            with self.connect(sheaf=sheaf) as sock:
                sock.sendall(data + request(b"[]"))
                try:
                    return sock.recv(12) == b"HTTP/1.1 207"
                except ConnectionResetError:
                    return False
        self.assertTrue(answers(V1))
        self.assertFalse(answers(b""))
        waiting = self.connect(sheaf=sheaf)
        waiting.sendall(V1[:9])
        sheaf.write_conf(listeners=plain)
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: answers(b""), 5, "the listener without the protocol")
        self.assertFalse(answers(V1))
        waiting.sendall(V1[9:] + request(b"[]"))
        self.assertEqual(read_answer(waiting).status, 207, "one that had begun is served")
        sheaf.write_conf(listeners=proxied)
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: answers(V1), 5, "the protocol again")

    def test_a_unix_peer_is_trusted(self):
        path = pathlib.Path(self.sheaf.dir.name) / "proxied.sock"
        self.start(listeners=f', {{address: "unix:{path}", proxy_protocol: true}}')
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(str(path))
            sock.sendall(v2_tcp4("192.0.2.1") + request(ECHO))
            seen = dict(map(tuple, read_answer(sock).json["responses"][0]["body"]["headers"]))
        self.assertEqual(seen["x-forwarded-for"], "192.0.2.1")

    def test_who_has_not_spoken_does_not_keep_a_drain_waiting(self):
        sheaf = self.start(**self.places)
        sock = self.connect(sheaf=sheaf)
        sock.sendall(V1[:20])
        late = self.connect(sheaf=sheaf)
        late.sendall(V1[:20])
        waiting = RawClient(sheaf.at)  # accepted behind them, so they are too
        waiting.post([{"url": "/o/text"}])
        self.assertEqual(waiting.read_response().status, 207)
        waiting.close()
        started = time.monotonic()
        sheaf.signal(signal.SIGTERM)
        late.sendall(V1[20:] + request(ECHO))
        self.assertEqual(read_answer(late).status, 207)
        self.assertEqual(sheaf.wait(), 0)
        self.assertLess(time.monotonic() - started, 4)


if __name__ == "__main__":
    unittest.main()
