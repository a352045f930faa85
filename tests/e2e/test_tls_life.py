"""What of TLS lives longer than a connection: sessions that resume, keys in memory, certificates that change."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import tempfile
import unittest

from harness import RawClient, free_port, wait_until
from pki import dumped, handshake, secrets, tls_yaml
from test_processes import stopped
from tls_case import ECHO, OPEN, VERSIONS, Tls, reload


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


if __name__ == "__main__":
    unittest.main()
