"""Certificates of client listeners: which one is shown, who the client is, what is not taken."""
import hashlib
import pathlib
import re
import ssl
import subprocess
import tempfile
import unittest

from harness import SHEAF, wait_until
from pki import Pki, handshake, openssl, tls_yaml
from tls_case import VERSIONS, Tls, reload, request


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
