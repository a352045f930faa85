"""https:// servers: nginx in front of the origin, once for each kind of certificate and of talking."""
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import DEADLINE, Case, Origin, Sheaf, free_port, wait_until
from pki import Pki, dumped, secrets
from test_upgrade import Line

HANDSHAKES = 'sheaf_backend_tls_handshakes_total{outcome="%s"}'
OPENED, REUSED = "sheaf_backend_connections_opened_total", "sheaf_backend_connections_reused_total"
RELOADS = 'sheaf_reloads_total{outcome="ok"}'
MEGA = 1 << 20

NGINX = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 0;
  ssl_protocols TLSv1.2 TLSv1.3;
  add_header x-tls "$ssl_protocol $ssl_session_reused" always;
  add_header x-cipher "$ssl_cipher" always;
  add_header x-sni "$ssl_server_name" always;
  add_header x-client "$ssl_client_s_dn" always;
  {servers}
}}
"""
SERVER = """
  server {{ listen 127.0.0.1:{port} {ssl}; {more} location / {{ proxy_pass http://127.0.0.1:{origin}; }} }}
"""


class Nginx:
    """One nginx with a server for each name: `ports[name]`."""

    def __init__(self, origin, servers):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-nginx-")
        self.ports = {name: free_port() for name in servers}
        self.path = path = pathlib.Path(self.folder.name) / "nginx.conf"
        text = "".join(SERVER.format(port=self.ports[name], origin=origin.at, ssl="ssl" if pair else "", more=(
            f"ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]}; " if pair else "") + more)
            for name, (pair, more) in servers.items())
        path.write_text(NGINX.format(dir=self.folder.name, servers=text))
        self.run()

    def run(self):
        self.process = subprocess.Popen(["nginx", "-p", self.folder.name, "-e", self.folder.name + "/error.log", "-c",
                                         str(self.path)], stderr=subprocess.DEVNULL)
        for port in self.ports.values():
            wait_until(lambda: self.is_open(port), what="nginx")

    def restart(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        self.run()

    def is_open(self, port):
        assert self.process.poll() is None, pathlib.Path(self.folder.name + "/error.log").read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def stop(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        self.folder.cleanup()


def upstream(name, port, tls, host="127.0.0.1", more=""):
    return f'{name}: {{servers: ["https://{host}:{port}"], tls: {{{tls}}}{more}}}'


def route(name):
    return f'- {{match: "/{name}/{{rest...}}", rewrite: "/{{rest...}}", upstream: {name}, max_body: 64MiB}}'


class Backends(Case):
    """An authority, another one, and an nginx with a server of each kind."""
    ways = {}  # upstreams: name: (server, tls, more)

    @classmethod
    def setUpClass(cls):
        cls.pki, cls.other = Pki(), Pki("another authority")
        for pki in (cls.pki, cls.other):
            cls.addClassCleanup(pki.folder.cleanup)
        names = "DNS:localhost,IP:127.0.0.1"
        good = cls.pki.make("localhost", names)
        cls.unknown = cls.other.make("unknown", names)
        cls.client = cls.pki.make("gateway")
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.nginx = Nginx(cls.origin, {
            "good": (good, ""),
            "no_address": (cls.pki.make("backend.test"), ""),
            "expired": (cls.pki.make("expired", names, days=(-3, -1)), ""),
            "early": (cls.pki.make("early", names, days=(1, 2)), ""),
            "unknown": (cls.unknown, ""),
            "rsa": (cls.pki.make("rsa", names, rsa=True), ""),
            "mtls": (good, f"ssl_client_certificate {cls.pki.ca}; ssl_verify_client on;"),
            "tls12": (good, "ssl_protocols TLSv1.2;"),
            "tls13": (good, "ssl_protocols TLSv1.3;"),
            "clear": (None, ""),
        })
        cls.addClassCleanup(cls.nginx.stop)
        cls.sheaf = Sheaf(cls.origin, **cls.make_places())
        cls.addClassCleanup(cls.sheaf.stop)

    @classmethod
    def make_places(cls, ways=None):
        ways = ways or cls.ways
        fill = {"ca": cls.pki.ca, "other": cls.other.ca, "crt": cls.client[0], "key": cls.client[1],
                "unknown": cls.unknown[0]}
        lines = [upstream(name, cls.nginx.ports[server], tls.format(**fill), **dict(more))
                 for name, (server, tls, more) in ways.items()]
        return {"upstreams": "\n".join(lines), "routes": "\n".join(route(name) for name in ways),
                "endpoint": "budget: 64MiB, max_item_body: 32MiB, max_body: 64MiB"}

    def fetch(self, name, sheaf=None, path="echo", **item):
        """An item of that upstream, which must go well: its headers."""
        result = self.run_item({"url": f"/{name}/{path}", **item}, sheaf=sheaf)
        self.assertEqual(result["status"], 200, result)
        return result["headers"]

    def assert_told(self, name, why, sheaf=None, slug="tls", status=502):
        result = self.run_item(f"/{name}/echo", sheaf=sheaf)
        self.assert_problem(result, status, slug)
        self.assertIn(why, result["body"]["detail"])
        self.assertRegex(result["body"]["detail"], r"^(127\.0\.0\.1|localhost):\d+: ")

    def counted(self, outcome, sheaf=None):
        return (sheaf or self.sheaf).metrics()[HANDSHAKES % outcome]


class Verified(Backends):
    ways = {
        "good": ("good", "ca: {ca}", {}),
        "by_name": ("good", "ca: {ca}", {"host": "localhost"}),
        "renamed": ("no_address", "ca: {ca}, server_name: backend.test", {}),
        "misnamed": ("no_address", "ca: {ca}", {"host": "localhost"}),
        "no_address": ("no_address", "ca: {ca}", {}),
        "expired": ("expired", "ca: {ca}", {}),
        "early": ("early", "ca: {ca}", {}),
        "unknown": ("unknown", "ca: {ca}", {}),
        "pinned": ("unknown", "ca: {unknown}", {}),
        "system": ("good", "min_version: 1.2", {}),
        "careless": ("expired", "verify: false", {}),
        "rsa": ("rsa", "ca: {ca}", {}),
        "mtls": ("mtls", "ca: {ca}, certificate: {crt}, key: {key}", {}),
        "nobody": ("mtls", "ca: {ca}", {}),
        "tls12": ("tls12", "ca: {ca}", {}),
        "tls13": ("tls13", "ca: {ca}, min_version: 1.3", {}),
        "too_old": ("tls12", "ca: {ca}, min_version: 1.3", {}),
        "clear": ("clear", "ca: {ca}", {}),
        "cipher12": ("tls12", "ca: {ca}, ciphers: ECDHE-ECDSA-AES256-GCM-SHA384", {}),
        "cipher13": ("tls13", "ca: {ca}, ciphers: TLS_AES_256_GCM_SHA384", {}),
        "no_cipher": ("tls12", "ca: {ca}, ciphers: ECDHE-RSA-AES256-GCM-SHA384", {}),  # its key is no RSA key
    }

    def test_a_good_certificate_by_address_and_by_name(self):
        self.assertEqual(self.fetch("good").get("x-sni"), None)  # an address is never sent as SNI
        self.assertEqual(self.fetch("by_name")["x-sni"], "localhost")
        self.assertEqual(self.fetch("renamed")["x-sni"], "backend.test")
        self.assertTrue(self.fetch("rsa")["x-tls"].startswith("TLSv1.3"))

    def test_versions(self):
        self.assertTrue(self.fetch("tls12")["x-tls"].startswith("TLSv1.2"))
        self.assertTrue(self.fetch("tls13")["x-tls"].startswith("TLSv1.3"))
        self.assert_told("too_old", "protocol version")

    def test_ciphers(self):
        self.assertEqual(self.fetch("cipher12")["x-cipher"], "ECDHE-ECDSA-AES256-GCM-SHA384")
        self.assertEqual(self.fetch("cipher13")["x-cipher"], "TLS_AES_256_GCM_SHA384")
        self.assert_told("no_cipher", "handshake failure")

    def test_what_fails_to_verify_says_which_check_it_was(self):
        failed = self.counted("failed")
        self.assert_told("misnamed", "hostname mismatch, it is not for localhost")
        self.assert_told("no_address", "IP address mismatch, it is not for 127.0.0.1")
        self.assert_told("expired", "certificate has expired")
        self.assert_told("early", "certificate is not yet valid")
        self.assert_told("unknown", "unable to get local issuer certificate")
        self.assert_told("system", "unable to get local issuer certificate")
        self.assertEqual(self.counted("failed"), failed + 6)

    def test_a_servers_own_certificate_can_be_what_is_trusted(self):
        self.fetch("pinned")

    def test_verify_false_takes_whoever_answers(self):
        self.fetch("careless")

    def test_a_client_certificate_given_and_missing(self):
        self.assertEqual(self.fetch("mtls")["x-client"], "CN=gateway")
        self.assertEqual(self.run_item("/nobody/echo")["status"], 400)  # nginx says it in HTTP

    def test_a_backend_that_speaks_clear_text(self):
        self.assert_told("clear", "what came is not TLS")

    def test_one_failing_upstream_leaves_its_siblings_alone(self):
        statuses = [result["status"] for result in self.run_items("/good/echo", "/expired/echo", "/good/echo")]
        self.assertEqual(statuses, [200, 502, 200])

    def test_every_kind_of_answer_comes_through(self):
        for path, status in (("status/404", 404), ("status/204", 204), ("half", 502), ("chunked", 200)):
            self.assertEqual(self.run_item(f"/good/{path}")["status"], status, path)

    def test_bodies_of_megabytes_go_both_ways(self):
        text = "0123456789abcdef" * (8 * MEGA // 16)
        seen = self.echo({"url": "/good/echo", "method": "POST", "headers": {"content-type": "text/plain"}, "body": text})
        self.assertEqual(seen["headers"]["content-length"], str(len(text)))
        self.assertTrue(seen["body"] == text)
        filled = self.run_item("/good/json/8000000")["body"]["fill"]
        self.assertTrue(filled == ("abcdefghijklmnopqrstuvwxyz" * 307693)[:8000000])


class Kept(Backends):
    ways = {"good": ("good", "ca: {ca}", {}), "tls12": ("tls12", "ca: {ca}", {}),
            "brief": ("good", "ca: {ca}", {"more": ", keepalive: 0s"}),
            "brief12": ("tls12", "ca: {ca}", {"more": ", keepalive: 0s"})}

    def test_connections_are_kept(self):
        for name in ("good", "tls12"):
            self.fetch(name)
            before = self.sheaf.metrics()
            for _ in range(20):
                self.fetch(name)
                self.fetch(name, method="POST", body={"a": 1})
            after = self.sheaf.metrics()
            self.assertEqual(after[OPENED], before[OPENED])
            self.assertEqual(after[REUSED], before[REUSED] + 40)

    def test_new_connections_resume_the_session(self):
        for name in ("brief", "brief12"):
            self.fetch(name)
            full, resumed = self.counted("full"), self.counted("resumed")
            for _ in range(5):
                self.assertTrue(self.fetch(name)["x-tls"].endswith(" r"))
            self.assertEqual((self.counted("full"), self.counted("resumed")), (full, resumed + 5))

    def test_a_hundred_items_at_once(self):
        results = self.run_items(*[f"/good/echo?{number}" for number in range(100)])
        self.assertEqual([result["status"] for result in results], [200] * 100)
        self.assertEqual([result["body"]["target"] for result in results], [f"/echo?{n}" for n in range(100)])


    def test_a_backend_that_restarts_costs_nothing_that_may_be_asked_twice(self):
        nginx = Nginx(self.origin, {"again": (self.pki.make("again", "IP:127.0.0.1"), "")})
        self.addCleanup(nginx.stop)
        sheaf = self.start(upstreams=upstream("again", nginx.ports["again"], f"ca: {self.pki.ca}"), routes=route("again"))
        for _ in range(3):
            self.assertEqual([result["status"] for result in self.run_items(*["/again/echo"] * 8, sheaf=sheaf)], [200] * 8)
            nginx.restart()


class Processes(Backends):
    """A worker that comes later gets the files as the supervisor read them."""
    ways = {"mtls": ("mtls", "ca: {ca}, certificate: {crt}, key: {key}", {"more": ", keepalive: 0s"})}

    def test_a_worker_that_follows_needs_no_files(self):
        places = self.make_places()
        hidden = pathlib.Path(self.client[1])
        sheaf = self.start(**{**places, "workers": 1})
        self.fetch("mtls", sheaf=sheaf)
        content = hidden.read_bytes()
        hidden.unlink()
        self.addCleanup(hidden.write_bytes, content)
        worker = sheaf.children()[0]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: sheaf.children() and sheaf.children() != [worker], what="another worker")
        self.assertEqual(wait_until(lambda: self.try_fetch(sheaf), what="its answer")["x-client"], "CN=gateway")

    def test_a_new_binary_reads_the_files_that_are_there_now(self):
        folder = pathlib.Path(self.pki.folder.name)
        trusted = folder / "upgraded.pem"
        trusted.write_text(pathlib.Path(self.pki.ca).read_text())
        ways = {"mtls": ("mtls", f"ca: {trusted}, certificate: {{crt}}, key: {{key}}", {})}
        sheaf = Line(self.origin, **self.make_places(ways), workers=1)
        self.addCleanup(sheaf.stop)
        self.assertEqual(self.fetch("mtls", sheaf=sheaf)["x-client"], "CN=gateway")
        self.assertEqual(sheaf.upgrade()[1], 0)
        self.assertEqual(self.fetch("mtls", sheaf=sheaf)["x-client"], "CN=gateway")
        trusted.write_text(pathlib.Path(self.other.ca).read_text())
        self.assertEqual(sheaf.upgrade()[1], 0)
        self.assert_told("mtls", "unable to get local issuer certificate", sheaf=sheaf)

    def test_the_private_key_is_not_in_a_core_dump(self):
        for _ in range(2):
            self.fetch("mtls")
            for pid in [self.sheaf.process.pid, *self.sheaf.children()]:
                memory = dumped(pid)
                self.assertIn(b"sheaf", memory)
                self.assertEqual([name for name, value in secrets(self.client[1]).items() if value in memory], [])
            self.sheaf.signal(signal.SIGHUP)
            wait_until(lambda: self.sheaf.metrics()[RELOADS] > 0, what="the reload")

    def try_fetch(self, sheaf):
        try:
            return self.fetch("mtls", sheaf=sheaf)
        except (ConnectionError, http.client.HTTPException):
            return None


class Reloaded(Backends):

    @classmethod
    def make_places(cls, ways=None):
        cls.file = pathlib.Path(cls.pki.folder.name) / "trusted.pem"
        cls.file.write_text(pathlib.Path(cls.pki.ca).read_text())
        return super().make_places({"good": ("good", f"ca: {cls.file}", {})})

    def reload(self, outcome="ok"):
        series = RELOADS.replace("ok", outcome)
        before = self.sheaf.metrics()[series]
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.sheaf.metrics()[series] == before + 1, what="the reload")

    def test_a_reload_with_another_authority_asks_again(self):
        self.fetch("good")
        opened = self.sheaf.metrics()[OPENED]
        self.reload()
        self.fetch("good")
        self.assertEqual(self.sheaf.metrics()[OPENED], opened)  # the same content: the conn is kept
        self.file.write_text(pathlib.Path(self.other.ca).read_text())
        self.reload()
        self.assert_told("good", "unable to get local issuer certificate")
        self.file.write_text("nothing")
        self.reload("failed")
        self.assert_told("good", "unable to get local issuer certificate")
        self.file.write_text(pathlib.Path(self.pki.ca).read_text())
        self.reload()
        self.fetch("good")


class Silent(Case):
    """A backend that accepts and says nothing."""

    @classmethod
    def setUpClass(cls):
        cls.listener = socket.create_server(("127.0.0.1", 0))
        cls.addClassCleanup(cls.listener.close)
        port = cls.listener.getsockname()[1]
        cls.places = {"upstreams": upstream("mute", port, "verify: false", more=", connect_timeout: 300ms") + "\n" +
                      upstream("patient", port, "verify: false", more=", connect_timeout: 30s"),
                      "routes": route("mute") + "\n" + route("patient")}
        super().setUpClass()

    def test_the_connect_timeout_ends_the_handshake(self):
        result = self.run_item("/mute/echo")
        self.assert_problem(result, 504, "connect-timeout")
        self.assertIn("the TLS handshake was not done in time", result["body"]["detail"])

    def test_a_deadline_in_the_handshake(self):
        self.assert_problem(self.run_item({"url": "/patient/echo", "timeout": "200ms"}), 504, "timeout")

    def test_a_client_that_goes_away_in_the_handshake(self):
        conn = self.sheaf.connect()
        connecting = 'sheaf_backend_connections{state="connecting"}'
        conn.request("POST", "/batch", b'{"requests":[{"url":"/patient/echo"}]}', {"content-type": "application/json"})
        wait_until(lambda: self.sheaf.metrics()[connecting] == 1, what="the handshake")
        conn.close()
        wait_until(lambda: self.sheaf.metrics()[connecting] == 0, what="its end")


class Alerted(Case):
    """`openssl s_server` that wants a certificate says so by an alert, with TLS 1.3 behind the handshake."""

    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)
        pair = cls.pki.make("localhost", "IP:127.0.0.1")
        ports = {version: free_port() for version in ("tls1_2", "tls1_3")}
        for version, port in ports.items():
            process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pair[0], "-key",
                                        pair[1], "-CAfile", cls.pki.ca, "-Verify", "1", "-verify_return_error", "-www",
                                        f"-{version}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            cls.addClassCleanup(process.wait, DEADLINE)
            cls.addClassCleanup(process.kill)
        for port in ports.values():
            def is_open():
                with socket.socket() as sock:
                    return sock.connect_ex(("127.0.0.1", port)) == 0
            wait_until(is_open, what="s_server")
        cls.places = {"upstreams": "\n".join(upstream(name, port, f"ca: {cls.pki.ca}") for name, port in ports.items()),
                      "routes": "\n".join(route(name) for name in ports)}
        super().setUpClass()

    def test_the_alert_is_told(self):
        for name, alert in (("tls1_2", "alert handshake failure"), ("tls1_3", "alert certificate required")):
            result = self.run_item(f"/{name}/x")
            self.assert_problem(result, 502, "tls")
            self.assertIn(alert, result["body"]["detail"])


if __name__ == "__main__":
    unittest.main()
