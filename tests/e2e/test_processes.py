"""Processes that are killed at the wrong moment: in a reload, in a drain, again and again; and backends in pairs."""
import collections
import contextlib
import ctypes
import http.client
import http.server
import os
import pathlib
import signal
import socket
import threading
import time
import unittest

from harness import DEADLINE, ROOT, Case, Origin, RawClient, wait_until

RELEASE = ROOT / "build/release/sheaf"
ENDLESS = {"requests": [{"url": "/o/never"}]}
HELD = {"requests": [{"url": "/others/held"}]}  # until the test releases it
PTRACE_SEIZE = 0x4206
BROKEN = (OSError, http.client.HTTPException, ValueError)  # what a client sees of a connection whose worker is gone


def state(pid):
    """The letter of /proc/PID/stat; Z for one that is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def send_and_settle(pid, number):
    """Sends a signal and waits until it was taken and the process waits for something else."""
    def is_settled():
        fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        is_pending = int(fields["ShdPnd"], 16) >> (number - 1) & 1
        return not is_pending and state(pid) == "S"
    os.kill(pid, number)
    wait_until(is_settled, 5, f"signal {number} taken")


def cpu_seconds(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@contextlib.contextmanager
def stopped(*pids):
    """Processes that do nothing for a while: connections and notes wait for them."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            wait_until(lambda: state(pid) == "T", 5, "a stopped process")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def outcome(client):
    """Statuses of the batch a client waits for, or None when its connection broke."""
    try:
        return [result["status"] for result in client.read_response().json["responses"]]
    except BROKEN:
        return None
    finally:
        client.close()


class Crowd:
    """Counts the requests that are at any of the backends that share it, and may hold them there."""

    def __init__(self, is_held=False):
        self.lock, self.gate = threading.Lock(), threading.Semaphore(0)
        self.is_held, self.flying, self.most = is_held, 0, 0

    def release(self, count=1):
        self.gate.release(count)

    def pass_through(self):
        with self.lock:
            self.flying += 1
            self.most = max(self.most, self.flying)
        if self.is_held:
            self.gate.acquire(timeout=DEADLINE)
        with self.lock:
            self.flying -= 1


class Backend:
    """A backend in Python that says to which host it was asked, after its crowd let the request pass."""

    def __init__(self, family=socket.AF_INET, host="127.0.0.1", crowd=None):
        backend = self
        self.crowd = crowd or Crowd()
        self.served = 0

        class Server(http.server.ThreadingHTTPServer):
            address_family = family

            def handle_error(self, *args):
                pass  # a killed worker's connections

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                backend.crowd.pass_through()
                backend.served += 1
                body = f"host {self.headers['Host']}".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = Server((host, 0), Handler)
        self.at = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(DEADLINE)


class Processes(Case):
    """Has backends only; each test starts the gateways it is going to hurt."""

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.backend = Backend()
        cls.addClassCleanup(cls.backend.close)

    def flying(self):
        return self.origin.count()["flying"] + self.crowd.flying

    def setUp(self):
        self.crowd = self.backend.crowd = Crowd(is_held=True)
        self.addCleanup(self.crowd.release, 100)
        wait_until(lambda: self.flying() == 0, what="backends at rest")

    def start_ready(self, workers=1, **places):
        sheaf = self.start(workers=workers, **places)
        self.assertEqual(len(sheaf.children()), workers)
        return sheaf

    def start_before(self, servers=None, more="", **places):
        """A gateway that has /others/... lead to other servers; by default to the backend that holds its answers."""
        servers = servers or f'"http://127.0.0.1:{self.backend.at}"'
        return self.start_ready(upstreams=f"others: {{servers: [{servers}]{more}}}",
                                routes='- {match: "/others/{rest...}", rewrite: "/{rest...}", upstream: others}', **places)

    def post_to(self, sheaf, pid, batch):
        """A client whose batch runs in the worker `pid`."""
        before = self.flying()
        with stopped(*(set(sheaf.children()) - {pid})):
            client = RawClient(sheaf.at)
            self.addCleanup(client.close)
            client.post(batch)
            wait_until(lambda: self.flying() == before + 1, what="the item flying")
        return client

    def assert_each_worker(self, sheaf, workers, url, status):
        """What every worker answers, from soon on."""
        pids = wait_until(lambda: len(pids := sheaf.children()) == workers and pids, what="all workers")
        for pid in pids:
            with stopped(*(set(pids) - {pid})):
                wait_until(lambda: self.run_item(url, sheaf=sheaf)["status"] == status, 5, f"{url}: {status}")
        self.assertEqual(sheaf.children(), pids)

    def assert_ends(self, sheaf):
        """Soon and well; nothing in these tests may wait for drain.timeout (30 s)."""
        children = sheaf.children()
        self.assertEqual(sheaf.wait(DEADLINE), 0, sheaf.err[-5:])
        self.assertEqual([pid for pid in children if state(pid) != "Z"], [])

    def assert_once_within(self, seconds, measure):
        """A busy machine only ever adds time: one good try in five tells what the gateway needs."""
        tries = []
        while not tries or min(tries) >= seconds:
            self.assertLess(len(tries), 5, tries)
            tries.append(measure())


class Reloading(Processes):
    """A reload counts once, as what it was, whenever a worker dies."""

    def reloads(self, sheaf):
        metrics = sheaf.metrics()
        return [metrics[f'sheaf_reloads_total{{outcome="{outcome}"}}'] for outcome in ("ok", "failed")]

    def write(self, sheaf, name):
        sheaf.write_conf(routes=f'- {{match: "/{name}", rewrite: "/text", upstream: origin}}')

    def assert_in_use(self, sheaf, workers, name, reloads, restarts):
        wait_until(lambda: sum(self.reloads(sheaf)) == sum(reloads), what="the reload's end")
        self.assertEqual(self.reloads(sheaf), reloads)
        self.assert_each_worker(sheaf, workers, f"/{name}", 200)
        self.assertEqual(sheaf.metrics()["sheaf_worker_restarts_total"], restarts)

    def test_the_worker_dies_as_the_reload_begins(self):
        for signals in ((signal.SIGHUP, signal.SIGKILL), (signal.SIGKILL, signal.SIGHUP)):
            sheaf = self.start_ready()
            for number in range(1, 4):
                (pid,) = wait_until(sheaf.children, what="a worker")
                self.write(sheaf, f"new{number}")
                for each in signals:
                    os.kill(sheaf.pid if each == signal.SIGHUP else pid, each)
                self.assert_in_use(sheaf, 1, f"new{number}", [number, 0], number)
            self.assert_each_worker(sheaf, 1, "/new2", 404)

    def test_the_supervisor_hears_of_reload_and_death_at_once(self):
        sheaf = self.start_ready()
        (pid,) = sheaf.children()
        self.write(sheaf, "new")
        with stopped(sheaf.pid):
            os.kill(sheaf.pid, signal.SIGHUP)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: state(pid) == "Z", 5, "a dead worker")
        self.assert_in_use(sheaf, 1, "new", [1, 0], 1)

    def test_the_worker_dies_before_it_prepared(self):
        for workers in (1, 2):
            sheaf = self.start_ready(workers)
            pid = sheaf.children()[0]
            self.write(sheaf, "new")
            with stopped(pid):
                send_and_settle(sheaf.pid, signal.SIGHUP)
                os.kill(pid, signal.SIGKILL)
            self.assert_in_use(sheaf, workers, "new", [1, 0], 1)

    def test_another_worker_dies_while_one_still_prepares(self):
        sheaf = self.start_ready(2)
        slow, victim = sheaf.children()
        self.write(sheaf, "new")
        with stopped(slow):
            send_and_settle(sheaf.pid, signal.SIGHUP)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(pids := sheaf.children()) == 2 and victim not in pids, 5, "the successor")
            self.assertEqual(self.run_item("/new", sheaf=sheaf)["status"], 404, "nothing is in use before all prepared")
            self.assertEqual(self.reloads(sheaf), [0, 0])
        self.assert_in_use(sheaf, 2, "new", [1, 0], 1)

    def test_two_reloads_at_once_end_in_the_later(self):
        sheaf = self.start_ready()
        (pid,) = sheaf.children()
        with stopped(pid):
            for name in ("first", "second"):
                self.write(sheaf, name)
                send_and_settle(sheaf.pid, signal.SIGHUP)
            os.kill(pid, signal.SIGKILL)
        self.assert_in_use(sheaf, 1, "second", [2, 0], 1)
        self.assert_each_worker(sheaf, 1, "/first", 404)

    def test_a_shutdown_ends_a_reload_that_is_not_done(self):
        sheaf = self.start_ready(2, top="drain: {delay: 60s}")
        slow, other = sheaf.children()
        self.write(sheaf, "new")
        with stopped(slow):
            send_and_settle(sheaf.pid, signal.SIGHUP)
            self.assertEqual(self.reloads(sheaf), [0, 0])
            send_and_settle(sheaf.pid, signal.SIGTERM)
            self.assertEqual(self.reloads(sheaf), [0, 1])
        with stopped(other):
            self.assertEqual(self.run_item("/new", sheaf=sheaf)["status"], 404)
            self.assertEqual(sheaf.get_admin("/readyz").status, 503)
        sheaf.signal(signal.SIGTERM)
        self.assert_ends(sheaf)

    def test_a_bad_file_fails_and_the_successor_has_the_old_one(self):
        sheaf = self.start_ready()
        (pid,) = sheaf.children()
        sheaf.path.write_text("listen: 7\n")
        os.kill(sheaf.pid, signal.SIGHUP)
        os.kill(pid, signal.SIGKILL)
        self.assert_in_use(sheaf, 1, "o/text", [0, 1], 1)


class Draining(Processes):
    def wait_unready(self, sheaf):
        def is_unready():
            with contextlib.suppress(*BROKEN):  # a worker that has nothing to do may end with the asker at its door
                return sheaf.get_admin("/readyz").status == 503
        wait_until(is_unready, 5, "unready")

    def readiness(self, sheaf):
        """Statuses of /readyz up to the end of the gateway."""
        statuses = collections.Counter()

        def is_over():
            with contextlib.suppress(*BROKEN):
                statuses[sheaf.get_admin("/readyz").status] += 1
            return sheaf.process.poll() is not None
        wait_until(is_over, what="the end")
        return statuses

    def test_a_worker_killed_in_the_delay_has_an_unready_successor(self):
        for workers, delay in ((1, "2500ms"), (2, "60s")):
            sheaf = self.start_ready(workers, top=f"drain: {{delay: {delay}}}")
            sheaf.signal(signal.SIGTERM)
            self.wait_unready(sheaf)
            victim, *others = sheaf.children()
            os.kill(victim, signal.SIGKILL)
            (heir,) = wait_until(lambda: set(sheaf.children()) - {victim, *others}, 5, "the successor")
            with stopped(*others):
                self.assertEqual(sheaf.get_admin("/readyz").status, 503)
                self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200, "listeners stay open")
                self.assertEqual(sheaf.metrics()["sheaf_draining"], workers)
            self.assertIn(heir, sheaf.children())
            if delay == "60s":
                sheaf.signal(signal.SIGTERM)
            statuses = self.readiness(sheaf)
            self.assertLessEqual(set(statuses), {503})
            self.assert_ends(sheaf)

    def test_a_worker_killed_in_the_drain_leaves_the_others_batches_alone(self):
        sheaf = self.start_before(workers=2)
        victim, other = sheaf.children()
        lost = self.post_to(sheaf, victim, ENDLESS)
        kept = self.post_to(sheaf, other, HELD)
        sheaf.signal(signal.SIGTERM)
        self.wait_unready(sheaf)
        os.kill(victim, signal.SIGKILL)
        self.assertIsNone(outcome(lost))
        wait_until(lambda: sheaf.children() == [other], 5, "the other worker alone")
        self.crowd.release()
        self.assertEqual(outcome(kept), [200])
        self.assert_ends(sheaf)
        self.assertFalse([line for line in sheaf.err if "is replaced" in line])

    def seconds_after_the_second(self, workers, top):
        sheaf = self.start_ready(workers, top=top)
        client = self.post_to(sheaf, (sheaf.children() or [sheaf.pid])[0], ENDLESS)
        sheaf.signal(signal.SIGTERM)
        self.wait_unready(sheaf)
        self.assertEqual(self.flying(), 1, "the first one waits for the batch")
        started = time.monotonic()
        sheaf.signal(signal.SIGTERM)
        self.assert_ends(sheaf)
        seconds = time.monotonic() - started
        outcome(client)
        wait_until(lambda: self.flying() == 0, 5, "nothing flying")
        return seconds

    def test_asked_twice_it_ends_at_once(self):
        for workers in (2, 1, 0):
            for top in ("", "drain: {delay: 60s}"):
                with self.subTest(workers=workers, top=top):
                    self.assert_once_within(1.9, lambda: self.seconds_after_the_second(workers, top))  # the grace: 2 s

    def test_a_reload_during_a_drain_is_not_for_it(self):
        for workers in (2, 0):
            for top in ("drain: {delay: 1s}", ""):
                with self.subTest(workers=workers, top=top):
                    sheaf = self.start_before(workers=workers, top=top)
                    client = self.post_to(sheaf, (sheaf.children() or [sheaf.pid])[0], HELD)
                    sheaf.path.write_text("listen: 7\n")  # would be refused aloud
                    sheaf.signal(signal.SIGTERM)
                    self.wait_unready(sheaf)
                    send_and_settle(sheaf.pid, signal.SIGHUP)
                    metrics = sheaf.metrics()
                    for outcome_name in ("ok", "failed"):
                        self.assertEqual(metrics[f'sheaf_reloads_total{{outcome="{outcome_name}"}}'], 0)
                    self.crowd.release()
                    self.assertEqual(outcome(client), [200])
                    self.assert_ends(sheaf)
                    self.assertFalse([line for line in sheaf.err if "reload" in line or "sheaf.yaml" in line])


class Killed(Processes):
    def seconds_to_the_next_answer(self, **places):
        sheaf = self.start_ready(**places)
        (pid,) = sheaf.children()
        self.run_item("/o/text", sheaf=sheaf)
        os.kill(pid, signal.SIGKILL)
        started = time.monotonic()
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        seconds = time.monotonic() - started
        self.assertNotIn(pid, sheaf.children())
        return seconds

    def test_the_next_batch_is_answered_soon(self):
        self.assert_once_within(1.5, self.seconds_to_the_next_answer)

    @unittest.skipUnless(RELEASE.exists(), "no release build")
    def test_the_next_batch_is_answered_within_a_fifth_of_a_second(self):
        self.assert_once_within(0.2, lambda: self.seconds_to_the_next_answer(binary=str(RELEASE)))

    def test_who_waits_in_the_listen_queue_is_answered(self):
        sheaf = self.start_ready()
        (pid,) = sheaf.children()
        with stopped(pid):
            clients = [RawClient(sheaf.at) for _ in range(20)]
            for client in clients:
                client.post({"requests": [{"url": "/o/text"}]})
            os.kill(pid, signal.SIGKILL)
        self.assertEqual([outcome(client) for client in clients], [[200]] * 20)

    def test_only_the_batches_of_the_killed_worker_fail(self):
        sheaf = self.start_before(workers=2)
        victim, other = sheaf.children()
        lost = [self.post_to(sheaf, victim, HELD) for _ in range(3)]
        kept = [self.post_to(sheaf, other, HELD) for _ in range(3)]
        os.kill(victim, signal.SIGKILL)
        self.assertEqual([outcome(client) for client in lost], [None] * 3)
        self.crowd.release(6)
        self.assertEqual([outcome(client) for client in kept], [[200]] * 3)
        self.assert_each_worker(sheaf, 2, "/o/text", 200)
        wait_until(lambda: sheaf.metrics()["sheaf_batches_in_flight"] == 0, 3, "no batch counted as running")
        self.assertEqual(sheaf.metrics()["sheaf_worker_restarts_total"], 1)

    def test_one_whose_end_is_held_up_does_not_keep_the_supervisor_busy(self):
        sheaf = self.start_ready()
        (pid,) = sheaf.children()
        if ctypes.CDLL(None, use_errno=True).ptrace(PTRACE_SEIZE, pid, None, None) != 0:
            self.skipTest("may not trace")  # a traced process is its parent's to bury only after its tracer took notice
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: state(pid) == "Z", 5, "a dead worker")
        try:
            before, end = cpu_seconds(sheaf.pid), time.monotonic() + 0.4
            wait_until(lambda: time.monotonic() > end, what="a while")
            self.assertEqual(sheaf.children(), [pid])
            self.assertLess(cpu_seconds(sheaf.pid) - before, 0.04)
        finally:
            os.waitpid(pid, 0)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    def seconds_to_the_successor(self, sheaf):
        """Kills the only worker: the seconds until another one is there."""
        (pid,) = sheaf.children()
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: set(sheaf.children()) - {pid}, what="a successor")
        return time.monotonic() - started

    def test_the_first_death_is_followed_at_once(self):
        self.assert_once_within(0.1, lambda: self.seconds_to_the_successor(self.start_ready()))

    def test_one_that_dies_young_again_and_again_is_restarted_ever_later(self):
        sheaf = self.start_ready()
        waits = [self.seconds_to_the_successor(sheaf) for _ in range(5)]
        for seconds, least in zip(waits, (0, 0.1, 0.2, 0.4, 0.8)):
            self.assertGreaterEqual(seconds, least - 0.001, waits)  # the supervisor counts whole milliseconds
        self.assertLess(sum(waits), 5)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.metrics()["sheaf_worker_restarts_total"], 5)

        born = time.monotonic()
        wait_until(lambda: time.monotonic() - born > 1.1, what="a worker that is not young any more")
        self.assertLess(self.seconds_to_the_successor(sheaf), 1.2, "a long life makes up for it")
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)


class Backends(Processes):
    def start_backend(self, *args, **kwargs):
        backend = Backend(*args, **kwargs)
        self.addCleanup(backend.close)
        return backend

    def test_an_ipv6_backend_answers(self):
        try:
            backend = self.start_backend(socket.AF_INET6, "::1")
        except OSError:
            self.skipTest("no ::1 here")
        sheaf = self.start_before(f'"http://[::1]:{backend.at}"')
        results = self.run_items(*["/others/text"] * 5, sheaf=sheaf)
        self.assertEqual([result["status"] for result in results], [200] * 5)
        self.assertEqual({result["body"] for result in results}, {f"host [::1]:{backend.at}"})
        self.assertEqual(backend.served, 5)

    def test_max_connections_is_for_all_servers_together(self):
        crowd = Crowd(is_held=True)
        backends = [self.start_backend(crowd=crowd) for _ in range(2)]
        servers = ", ".join(f'"http://127.0.0.1:{backend.at}"' for backend in backends)
        sheaf = self.start_before(servers, ", max_connections: 3")
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        client.post({"requests": [{"url": "/others/text"}] * 8})
        for gone in range(8):
            wait_until(lambda: crowd.flying == min(3, 8 - gone), what=f"as many as may fly after {gone}")
            self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200, "the worker had its chance")
            crowd.release()
            wait_until(lambda: sum(backend.served for backend in backends) == gone + 1, what="one answer more")
        self.assertEqual(outcome(client), [200] * 8)
        self.assertEqual(crowd.most, 3)
        self.assertTrue(all(backend.served > 0 for backend in backends), [backend.served for backend in backends])


if __name__ == "__main__":
    unittest.main()
