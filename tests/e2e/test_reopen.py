"""SIGUSR1: a file that was moved away is made anew at once, no line is lost, and nothing dies of it."""
import json
import os
import pathlib
import signal
import socket
import tempfile
import threading
import unittest

from harness import DEADLINE, SHEAF, Case, Origin, Process, RawClient, Sheaf, wait_until
from test_upgrade import Line

USR1 = 1 << (signal.SIGUSR1 - 1)


def spoken(pid):
    """Whether the process has said what is to become of SIGUSR1."""
    fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(fields["SigIgn"], 16) | int(fields["SigBlk"], 16)) & USR1


def is_pending(pid, number):
    """Whether a signal waits to be heard by the process."""
    fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)) & 1 << (number - 1)


def flood(pid, count):
    """SIGUSR1, each heard before the next: they are not one for the kernel."""
    for _ in range(count):
        os.kill(pid, signal.SIGUSR1)
        while is_pending(pid, signal.SIGUSR1):
            pass


def files_of(pid):
    folder = pathlib.Path(f"/proc/{pid}/fd")
    try:
        return [os.readlink(each) for each in folder.iterdir()]
    except FileNotFoundError:
        return []  # one was closed meanwhile: it is looked again


def refuses(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


class Asking(threading.Thread):
    """Requests one after the other, each with a number of its own."""

    def __init__(self, sheaf):
        super().__init__(daemon=True)
        self.sheaf, self.asked, self.is_over = sheaf, 0, False
        self.start()

    def run(self):
        while not self.is_over:
            self.sheaf.request("GET", f"/o/json/{self.asked}")
            self.asked += 1

    def wait_for(self, more):
        goal = self.asked + more
        wait_until(lambda: self.asked >= goal, what="requests")

    def stop(self):
        self.is_over = True
        self.join(DEADLINE)


class Reopen(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def start_logged(self, workers, kind=Sheaf):
        """A gateway and its log, which nothing but the signal opens anew."""
        folder = tempfile.TemporaryDirectory(prefix="sheaf-reopen-")
        self.addCleanup(folder.cleanup)
        log = pathlib.Path(folder.name) / "access.log"
        sheaf = kind(self.origin, workers=workers, top=f'plugins: [{{use: access_log, path: "{log}", reopen: 1h}}]')
        self.addCleanup(sheaf.stop)
        return sheaf, log

    def writers(self, sheaf):
        return sheaf.children() or [sheaf.pid]

    def rotate(self, sheaf, log, number):
        """As nginx's example does it."""
        aside = log.with_name(f"access.log.{number}")
        os.rename(log, aside)
        sheaf.signal(signal.SIGUSR1)
        wait_until(lambda: all(str(log) in files_of(pid) and str(aside) not in files_of(pid) for pid in self.writers(sheaf)),
                   what="the new file in every worker")
        return aside

    def numbers(self, *files):
        return sorted(int(json.loads(line)["url"].rsplit("/", 1)[1]) for each in files for line in each.read_text().splitlines())

    def check_rotation(self, workers):
        sheaf, log = self.start_logged(workers)
        load = Asking(sheaf)
        files = []
        for number in range(3):
            load.wait_for(20)
            files.append(self.rotate(sheaf, log, number))
        sizes = [each.stat().st_size for each in files]
        load.wait_for(20)
        load.stop()
        sheaf.stop()
        self.assertEqual([each.stat().st_size for each in files], sizes)
        self.assertEqual(self.numbers(*files, log), list(range(load.asked)))
        self.assertIn(load.asked - 1, self.numbers(log))

    def test_no_line_is_lost_with_one_worker(self):
        self.check_rotation(1)

    def test_no_line_is_lost_with_two_workers(self):
        self.check_rotation(2)

    def test_no_line_is_lost_with_the_one_process_that_there_is(self):
        self.check_rotation(0)

    def test_one_that_has_written_no_line_makes_its_file_too(self):
        sheaf, log = self.start_logged(2)
        self.rotate(sheaf, log, 0)
        self.assertEqual(log.read_text(), "")

    def test_all_processes_may_be_told(self):
        sheaf, log = self.start_logged(2)
        workers = sheaf.children()
        for pid in [sheaf.pid, *workers] * 20:
            os.kill(pid, signal.SIGUSR1)
        self.rotate(sheaf, log, 0)
        self.assertEqual(sheaf.request("GET", "/o/json/1").status, 200)
        self.assertEqual(sheaf.children(), workers)

    def check_drain(self, workers):
        sheaf, log = self.start_logged(workers)
        answers = []
        running = threading.Thread(target=lambda: answers.append(sheaf.request("GET", "/o/delay/3000")), daemon=True)
        running.start()
        wait_until(lambda: self.origin.count()["flying"] > 0, what="a request in flight")
        sheaf.signal(signal.SIGTERM)
        wait_until(lambda: refuses(sheaf.at), what="the drain")
        os.rename(log, log.with_name("access.log.0"))
        for _ in range(2):
            sheaf.signal(signal.SIGUSR1)
        running.join(DEADLINE)
        self.assertEqual(sheaf.wait(), 0)
        self.assertEqual(answers[0].status, 200)
        self.assertIn("/o/delay/3000", log.read_text())

    def test_a_drain_goes_on_and_its_line_is_in_the_new_file(self):
        for workers in (0, 1, 2):
            with self.subTest(workers=workers):
                self.check_drain(workers)

    def test_reloads_go_on(self):
        sheaf, log = self.start_logged(2)
        load = Asking(sheaf)
        for _ in range(5):
            for _ in range(3):
                sheaf.signal(signal.SIGHUP)
                sheaf.signal(signal.SIGUSR1)
            load.wait_for(5)
        aside = self.rotate(sheaf, log, 0)
        load.wait_for(5)
        load.stop()
        self.assertEqual(sheaf.metrics()['sheaf_reloads_total{outcome="failed"}'], 0)
        sheaf.stop()
        self.assertEqual(self.numbers(aside, log), list(range(load.asked)))

    def test_a_reload_reaches_one_that_was_told_very_often_and_did_not_listen(self):
        sheaf, log = self.start_logged(2)
        deaf, other = sheaf.children()
        os.kill(deaf, signal.SIGSTOP)
        try:
            flood(sheaf.pid, 600)
            sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}')
            since = len(sheaf.err)
            sheaf.signal(signal.SIGHUP)
            wait_until(lambda: not is_pending(sheaf.pid, signal.SIGHUP), what="the order to be heard")
        finally:
            os.kill(deaf, signal.SIGCONT)
        wait_until(lambda: [line for line in list(sheaf.err)[since:] if "is in use" in line], what="the reload")
        os.kill(other, signal.SIGSTOP)
        try:
            self.assertEqual(sheaf.request("GET", "/new").status, 200)
        finally:
            os.kill(other, signal.SIGCONT)
        self.rotate(sheaf, log, 0)

    def test_one_that_takes_the_place_of_another_is_told_too(self):
        sheaf, log = self.start_logged(2)
        dead = sheaf.children()[0]
        os.kill(dead, signal.SIGKILL)
        for _ in range(20):
            sheaf.signal(signal.SIGUSR1)
        wait_until(lambda: len(set(sheaf.children()) - {dead}) == 2, what="two workers")
        self.rotate(sheaf, log, 0)
        self.assertEqual(sheaf.request("GET", "/o/json/1").status, 200)

    def test_a_start_goes_on(self):
        for workers in (0, 2):
            with self.subTest(workers=workers):
                sheaf, log = self.start_logged(workers)
                again = Process([SHEAF, "run", "-c", sheaf.path_text])
                self.addCleanup(again.kill)
                wait_until(lambda: spoken(again.pid), what="its first words")
                while not any(line.startswith("admin on ") for line in again.out):
                    self.assertIsNone(again.process.poll(), again.err)
                    os.kill(again.pid, signal.SIGUSR1)
                os.kill(again.pid, signal.SIGTERM)
                self.assertEqual(again.wait(), 0)

    def test_a_change_of_the_binary_goes_on(self):
        sheaf, log = self.start_logged(2, Line)
        old, since = sheaf.pid, len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        while not sheaf.said("is ready, this one drains", since):
            sheaf.signal(signal.SIGUSR1)
        sheaf.pid = sheaf.heir(since)
        self.assertEqual(sheaf.status_of(old), 0)
        self.rotate(sheaf, log, 0)
        self.assertEqual(sheaf.request("GET", "/o/json/1").status, 200)

    def test_the_old_ones_that_drain_write_to_the_new_file(self):
        for successors, workers in ((1, 2), (2, 2), (1, 0)):
            with self.subTest(successors=successors, workers=workers):
                self.check_old_ones(successors, workers)

    def check_old_ones(self, successors, workers):
        """Each that drains has a request in flight whose line is due when the signal has come to the newest."""
        sheaf, log = self.start_logged(2, Line)
        asked, old = [], []
        for number in range(successors):
            client = RawClient(sheaf.at)
            self.addCleanup(client.close)
            client.send(b"GET /o/delay/%d/json/%d HTTP/1.1\r\nHost: h\r\n\r\n" % (2000 * successors + 1000, number))
            wait_until(lambda number=number: self.origin.count()["flying"] == number + 1, what="the request flying")
            asked.append(client)
            old.append(sheaf.pid)
            since = len(sheaf.err)
            sheaf.write_conf(workers=workers)
            sheaf.signal(signal.SIGUSR2)
            sheaf.pid = sheaf.heir(since)
        aside = self.rotate(sheaf, log, 0)
        self.assertEqual([client.read_response().status for client in asked], [200] * successors)
        self.assertEqual([sheaf.status_of(pid) for pid in old], [0] * successors)
        self.assertEqual(aside.read_text(), "")
        self.assertEqual(self.numbers(log), list(range(successors)))


if __name__ == "__main__":
    unittest.main()
