"""A new binary without a refused connection: SIGUSR2."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import ssl
import tempfile
import time
import unittest

from harness import DEADLINE, SHEAF, Case, Load, Origin, RawClient, Sheaf, free_port, wait_until
from pki import Pki, TlsSheaf, equip, handshake, tls_yaml

PR_SET_CHILD_SUBREAPER = 36


def is_gone(pid):
    """Whether a process ended; those that became ours are buried."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return True
        return False
    except ChildProcessError:
        return not pathlib.Path(f"/proc/{pid}").exists()


def children_of(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def pipes_of(pid):
    """But for its output."""
    names = set()
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names |= {os.readlink(link)} if int(link.name) > 2 else set()
    return {name for name in names if name.startswith("pipe:")}


class Line(Sheaf):
    """A gateway and its successors. Their output goes to the same pipes; orphans become children of this process."""

    def __init__(self, *args, **kwargs):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        super().__init__(*args, **kwargs)
        self.first = self.pid

    def said(self, text, since=0):
        return [line for line in list(self.err)[since:] if text in line]

    def upgrade(self):
        """SIGUSR2, until the successor is alone: (its pid, exit status of the old one)."""
        old, since = self.pid, len(self.err)
        self.signal(signal.SIGUSR2)
        self.pid = self.heir(since)
        return old, self.status_of(old)

    def heir(self, since):
        line = wait_until(lambda: self.said("is ready, this one drains", since), what="the successor")[0]
        return int(line.split("pid ")[1].split()[0])

    def status_of(self, pid):
        if pid == self.first:
            return self.process.wait(DEADLINE)

        def ended():
            with contextlib.suppress(ChildProcessError):
                done, status = os.waitpid(pid, os.WNOHANG)
                return done == pid and (os.waitstatus_to_exitcode(status),)

        return wait_until(ended, what=f"the end of {pid}")[0]

    def stop(self):
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            status = self.status_of(self.pid)
            words = self.sanitizer_words()
            assert not words, "a sanitizer spoke: " + "\n".join(self.err[-60:])
            assert status == 0, f"exit status {status}: " + "\n".join(self.err[-20:])
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.kill()
            self.dir.cleanup()


class TlsLine(Line, TlsSheaf):
    """The same over TLS."""


class Fresh(Load):
    """The same with a connection for every batch."""

    def _run(self, number):
        while not self.is_over:
            try:
                self._take(number, self.sheaf.batch(self.items))
            except Exception as failure:
                self.failures[number].append(repr(failure))


class Upgrades(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def start_line(self, **places):
        line = Line(self.origin, **places)
        self.addCleanup(line.stop)
        return line

    def test_twenty_under_load_lose_nothing(self):
        sheaf = self.start_line(workers=2)
        loads = [Fresh(sheaf, ["/o/text", "/o/delay/5"], threads=3), Load(sheaf, ["/o/text"], threads=2)]
        for load in loads:
            self.addCleanup(load.stop)
        pids = []
        for _ in range(20):
            pids.append(sheaf.pid)
            since = len(sheaf.err)
            sheaf.signal(signal.SIGUSR2)
            sheaf.pid = sheaf.heir(since)  # several generations drain at the same time
            loads[0].wait_for(1)
        self.assertEqual([load.stop() for load in loads], [[], []])
        self.assertEqual(len({*pids, sheaf.pid}), 21)
        self.assertEqual([sheaf.status_of(pid) for pid in pids], [0] * 20)
        self.assertGreater(sum(loads[0].done), 100)

    def test_a_running_batch_ends_in_the_old_one_and_the_admin_socket_is_the_new_ones_at_once(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="sheaf-e2e-")) / "client.sock"
        self.addCleanup(shutil.rmtree, path.parent)
        sheaf = self.start_line(workers=2, listeners=f', {{address: "unix:{path}"}}')
        client = RawClient(sheaf.at)
        client.post([{"url": "/o/delay/1200/text"}, {"id": "b", "url": "/o/text", "dependsOn": ["0"]}])
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        old, since = sheaf.pid, len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        sheaf.pid = sheaf.heir(since)
        wait_until(lambda: sheaf.metrics()["sheaf_batches_in_flight"] == 0, 5, "the metrics of the new one")
        for _ in range(20):
            self.assertEqual(sheaf.get_admin("/readyz").status, 200)
            self.assertEqual(sheaf.metrics()["sheaf_draining"], 0)
        os.kill(old, signal.SIGTERM)  # it does that already
        self.assertFalse(is_gone(old), "it still has a batch")
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual([result["status"] for result in client.read_response().json["responses"]], [200, 200])
        client.close()
        self.assertEqual(sheaf.status_of(old), 0)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")
            self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 207"))

    def test_a_replaced_file_and_a_new_configuration_are_used(self):
        folder = tempfile.mkdtemp(prefix="sheaf-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        binary = pathlib.Path(folder) / "sheaf"
        shutil.copy(SHEAF, binary)
        sheaf = self.start_line(workers=1, binary=str(binary))
        shutil.copy(SHEAF, binary.with_name("new"))
        inode = binary.with_name("new").stat().st_ino
        os.rename(binary.with_name("new"), binary)
        port = free_port()
        sheaf.write_conf(workers=2, listeners=f', {{address: "127.0.0.1:{port}"}}',
                         routes='- {match: "/new", rewrite: "/text", upstream: origin}')
        self.assertEqual(sheaf.upgrade()[1], 0)
        self.assertEqual(os.stat(f"/proc/{sheaf.pid}/exe").st_ino, inode)
        self.assertEqual(len(sheaf.children()), 2)
        self.assertEqual(self.run_item("/new", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.request("POST", "/batch", b"[]", {"Content-Type": "application/json"}, port=port).status, 207)
        sheaf.write_conf(workers=0)
        self.assertEqual(sheaf.upgrade()[1], 0)
        self.assertEqual(sheaf.children(), [])
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    def assert_fails(self, sheaf, words):
        before, since = sheaf.metrics()["sheaf_upgrades_failed_total"], len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        wait_until(lambda: sheaf.metrics()["sheaf_upgrades_failed_total"] == before + 1, what="the failed start")
        wait_until(lambda: sheaf.said("before it was ready, this one goes on", since), 3, "the words")
        for word in words:
            wait_until(lambda: sheaf.said(word, since), 3, word)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual(len(sheaf.children()), 1)

    def test_the_old_one_goes_on_when_the_new_one_does_not_start(self):
        folder = tempfile.mkdtemp(prefix="sheaf-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        binary = pathlib.Path(folder) / "sheaf"
        shutil.copy(SHEAF, binary)
        sheaf = self.start_line(binary=str(binary))
        good = sheaf.path.read_text()
        sheaf.path.write_text(good + "plumbing: true\n")
        self.assert_fails(sheaf, ["unknown key `plumbing`", "exited with 1"])
        sheaf.path.write_text(good.replace("admin:", "user: no-such-user\nadmin:"))
        self.assert_fails(sheaf, ["there is no user `no-such-user`"])
        sheaf.path.write_text(good)
        binary.rename(binary.with_name("away"))
        self.assert_fails(sheaf, ["exited with 127"])
        binary.write_text("#!/bin/sh\nkill -9 $$\n")
        binary.chmod(0o755)
        self.assert_fails(sheaf, ["was ended by signal 9"])
        os.replace(binary.with_name("away"), binary)
        self.assertEqual(sheaf.upgrade()[1], 0)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    def start_with_a_lame_successor(self, script="exec sleep 1000"):
        """A gateway whose successor never becomes ready, or does what the script says: (the gateway, the successor's pid)."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="sheaf-e2e-"))
        self.addCleanup(shutil.rmtree, folder)
        shutil.copy(SHEAF, folder / "sheaf")
        sheaf = self.start_line(binary=str(folder / "sheaf"))
        os.unlink(folder / "sheaf")
        (folder / "sheaf").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "sheaf").chmod(0o755)
        since = len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        line = wait_until(lambda: sheaf.said("the new binary starts as pid", since), what="the successor")[0]
        return sheaf, int(line.split("as pid ")[1].split('"')[0])

    def test_a_reload_meanwhile_is_not_lost(self):
        sheaf, lame = self.start_with_a_lame_successor()
        sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}')
        sheaf.signal(signal.SIGHUP)
        self.assertEqual(self.run_item("/new", sheaf=sheaf)["status"], 404)
        os.kill(lame, signal.SIGKILL)
        wait_until(lambda: self.run_item("/new", sheaf=sheaf)["status"] == 200, 5, "the reload")

    def test_nor_is_one_that_is_asked_for_just_before_the_new_one_is_ready(self):
        """The old one hears of both at once."""
        gate = pathlib.Path(tempfile.mkdtemp(prefix="sheaf-e2e-")) / "gate"
        self.addCleanup(shutil.rmtree, gate.parent)
        os.mkfifo(gate)
        sheaf, heir = self.start_with_a_lame_successor(f'read line < {gate}\nexec {os.path.abspath(SHEAF)} "$@"')
        old = sheaf.pid
        os.kill(old, signal.SIGSTOP)
        try:
            gate.write_text("go\n")
            wait_until(lambda: not pipes_of(heir) & pipes_of(old), what="the word of the new one")
            sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}')
            sheaf.signal(signal.SIGHUP)
        finally:
            os.kill(old, signal.SIGCONT)
        sheaf.pid = heir
        self.assertEqual(sheaf.status_of(old), 0)
        wait_until(lambda: self.run_item("/new", sheaf=sheaf)["status"] == 200, 5, "the reload")

    def test_who_is_told_to_stop_meanwhile_takes_the_new_one_along(self):
        sheaf, lame = self.start_with_a_lame_successor()
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        sheaf.signal(signal.SIGTERM)
        self.assertEqual(sheaf.status_of(sheaf.pid), 0)
        wait_until(lambda: is_gone(lame), 5, "the end of the successor")

    def test_a_worker_that_dies_or_is_stuck_holds_nothing_up(self):
        sheaf = self.start_line(workers=2, top="stuck_after: 1s\ndrain: {timeout: 60s}")
        stuck, victim = sheaf.children()
        os.kill(stuck, signal.SIGSTOP)
        client = RawClient(sheaf.at)
        client.post([{"url": "/o/never"}])
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        old, since = sheaf.pid, len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        sheaf.pid = sheaf.heir(since)
        os.kill(victim, signal.SIGKILL)
        self.assertEqual(sheaf.status_of(old), 0)
        client.close()
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        os.kill(sheaf.children()[0], signal.SIGKILL)
        wait_until(lambda: sheaf.metrics()["sheaf_worker_restarts_total"] == 1, 5, "the successor of a worker")

    def test_it_waits_for_a_reload(self):
        sheaf = self.start_line(workers=2, routes='- {match: "/old", rewrite: "/text", upstream: origin}')
        slow, _ = sheaf.children()
        os.kill(slow, signal.SIGSTOP)
        sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}')
        old, since = sheaf.pid, len(sheaf.err)
        sheaf.signal(signal.SIGHUP)
        sheaf.signal(signal.SIGUSR2)
        sheaf.signal(signal.SIGUSR2)
        self.assertEqual(self.run_item("/old", sheaf=sheaf)["status"], 200)
        self.assertFalse(sheaf.said("starts as pid", since))
        os.kill(slow, signal.SIGCONT)
        sheaf.pid = sheaf.heir(since)
        self.assertEqual(sheaf.status_of(old), 0)
        self.assertEqual(self.run_item("/new", sheaf=sheaf)["status"], 200)
        self.assertEqual(len(sheaf.said("starts as pid", since)), 1)
        self.assertTrue(sheaf.said("is in use", since))

    def test_a_newcomer_that_is_to_make_room_says_first_that_it_is_ready(self):
        sheaf = self.start_line(workers=2)
        old, since = sheaf.pid, len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        line = wait_until(lambda: sheaf.said("starts as pid", since), what="the newcomer")[0]
        newcomer = int(line.split("as pid ")[1].split('"')[0])
        wait_until(lambda: len(children_of(newcomer)) == 2, what="its workers")
        os.kill(newcomer, signal.SIGUSR2)
        self.assertEqual(sheaf.heir(since), newcomer)
        self.assertEqual(sheaf.status_of(old), 0)
        wait_until(lambda: len(sheaf.said("is ready, this one drains", since)) == 2, what="the one after it")
        sheaf.pid = int(sheaf.said("is ready, this one drains", since)[1].split("pid ")[1].split()[0])
        self.assertEqual(sheaf.status_of(newcomer), 0)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    def test_without_a_supervisor_it_is_said_and_nothing_happens(self):
        sheaf = self.start_line(workers=0)
        sheaf.signal(signal.SIGUSR2)
        wait_until(lambda: sheaf.said("SIGUSR2 needs a supervisor"), 5, "the words")
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "pid 1 needs a namespace of its own")
class FirstProcess(Case):
    """Pid 1 of a container: the container ends with it, so it cannot hand over."""

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def start_contained(self, workers):
        """(the gateway, the pid of its main process out here)."""
        folder = tempfile.mkdtemp(prefix="sheaf-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        script = pathlib.Path(folder) / "contained"
        script.write_text(f'#!/bin/sh\nexec unshare --pid --fork --kill-child -- {SHEAF} "$@"\n')
        script.chmod(0o755)
        sheaf = Sheaf(self.origin, binary=str(script), workers=workers)
        self.addCleanup(sheaf.dir.cleanup)
        self.addCleanup(sheaf.kill)
        (pid,) = sheaf.children()
        return sheaf, pid

    def test_it_is_said_and_nothing_else_happens(self):
        for workers, words in ((2, "pid 1 cannot hand over to another process"), (0, "SIGUSR2 needs a supervisor")):
            with self.subTest(workers=workers):
                sheaf, pid = self.start_contained(workers)
                kept, before = sheaf.connect(), children_of(pid)
                self.assertEqual(sheaf.batch(["/o/text"], conn=kept).status, 207)
                os.kill(pid, signal.SIGUSR2)
                wait_until(lambda sheaf=sheaf, words=words: [line for line in sheaf.err if words in line], 5, "the words")
                self.assertEqual(sheaf.batch(["/o/text"], conn=kept).status, 207)
                kept.close()
                self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
                self.assertEqual(children_of(pid), before)
                self.assertEqual(sheaf.metrics()["sheaf_upgrades_failed_total"], 0)
                os.kill(pid, signal.SIGTERM)
                self.assertEqual(sheaf.wait(), 0)
                self.assertFalse(sheaf.sanitizer_words())


class Resumed(Case):
    """Sessions of TLS over a change of the binary."""

    @classmethod
    def setUpClass(cls):
        equip(cls)

    def start_line(self, more="", **places):
        line = TlsLine(self.origin, listener=", " + tls_yaml(self.pair, more), **places)
        line.context = self.pki.context()
        self.addCleanup(line.stop)
        return line

    def open(self, sheaf, context, session=None):
        """One batch on a connection of its own: (its session, whether it is the one that was offered)."""
        with handshake(sheaf.at, context, session=session) as sock:
            client = RawClient.__new__(RawClient)
            client.sock = sock
            client.post([{"url": "/o/text"}])
            self.assertEqual(client.read_response().status, 207)
            return sock.session, sock.session_reused

    def test_a_session_is_resumed_by_the_successor(self):
        for workers in (2, 0):  # of the last successor: nobody follows one without a supervisor
            sheaf = self.start_line(workers=2)
            context = self.pki.context()
            old = self.pki.context(version=ssl.TLSVersion.TLSv1_2)
            sessions = [self.open(sheaf, each)[0] for each in (context, old)]
            self.assertEqual(sheaf.upgrade()[1], 0)
            sheaf.write_conf(workers=workers)
            self.assertEqual(sheaf.upgrade()[1], 0)  # what was inherited is bequeathed
            self.assertEqual(self.open(sheaf, context, sessions[0])[1], True)
            self.assertEqual(self.open(sheaf, old, sessions[1])[1], True)
            self.assertEqual(sheaf.metrics()['sheaf_tls_handshakes_total{outcome="full"}'], 0)
            self.assertFalse([name for name in self.descriptors(sheaf) if "tickets" in name])

    def descriptors(self, sheaf):
        names = []
        for pid in [sheaf.pid, *sheaf.children()]:
            for entry in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    names.append(os.readlink(f"/proc/{pid}/fd/{entry}"))
        return names

    def test_a_key_does_not_grow_younger_by_it(self):
        sheaf = self.start_line(", session_timeout: 1s", workers=1)
        context = self.pki.context()
        first, _ = self.open(sheaf, context)
        self.assertTrue(self.open(sheaf, context, first)[1])
        end = time.monotonic() + DEADLINE
        while self.open(sheaf, context, first)[1]:
            self.assertLess(time.monotonic(), end, "a ticket that does not end")
            self.assertEqual(sheaf.upgrade()[1], 0)
        second, _ = self.open(sheaf, context)
        self.assertTrue(self.open(sheaf, context, second)[1])

    def test_it_does_not_outlive_the_authority(self):
        app, other = self.pki.make("app", "DNS:app"), Pki()
        self.addCleanup(other.folder.cleanup)
        sheaf = self.start_line(f', client_ca: "{self.pki.ca}"')
        context = self.pki.context(client=app)
        first, _ = self.open(sheaf, context)
        sheaf.write_conf(listener=", " + tls_yaml(self.pair, f', client_ca: "{other.ca}"'))
        self.assertEqual(sheaf.upgrade()[1], 0)
        with self.assertRaisesRegex(ssl.SSLError, "UNKNOWN_CA"):
            self.open(sheaf, context, first)


if __name__ == "__main__":
    unittest.main()
