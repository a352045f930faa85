"""Processes: workers that die, reloads, drains, logs, metrics and memory."""
import fcntl
import json
import os
import pathlib
import signal
import socket
import time
import unittest

from harness import ROOT, Case, Load, RawClient, Sheaf, wait_until

RELEASE = ROOT / "build/release/sheaf"


class Workers(Case):
    places = {"workers": 2, "upstream": "timeout: 5s"}

    def test_a_killed_worker_costs_only_its_own_batches(self):
        load = Load(self.sheaf, ["/o/delay/20"] * 4 + ["/o/text"] * 4, threads=8)
        self.addCleanup(load.stop)
        load.wait_for(3)
        before = set(self.sheaf.children())
        self.assertEqual(len(before), 2)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(set(self.sheaf.children()) - {victim}) == 2, 5, "a second worker")
        load.wait_for(5)
        failures = load.stop()
        self.assertTrue(all(len(failures) <= 1 for failures in load.failures), load.failures)
        self.assertLessEqual(len(failures), 8)
        self.assertEqual(self.sheaf.metrics()["sheaf_worker_restarts_total"], 1)

    def test_workers_share_the_metrics(self):
        def total():
            return self.sheaf.metrics()['sheaf_batches_total{outcome="complete"}']
        before = total()
        for _ in range(20):
            self.run_item("/o/text")
        wait_until(lambda: total() - before == 20, 3, "twenty batches counted")

    def test_workers_die_with_the_supervisor(self):
        sheaf = Sheaf(self.origin, workers=2)
        children = sheaf.children()
        self.assertEqual(len(children), 2)
        sheaf.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in children), 5, "the end of the workers")
        sheaf.dir.cleanup()


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Reload(Case):
    places = {"workers": 2}

    def reloads(self, outcome):
        return self.sheaf.metrics()[f'sheaf_reloads_total{{outcome="{outcome}"}}']

    def test_a_reload_under_load_loses_nothing(self):
        load = Load(self.sheaf, ["/o/text", "/o/delay/5", "/o/json/1000"], threads=4)
        self.addCleanup(load.stop)
        load.wait_for(3)
        for number in range(8):
            before = self.reloads("ok")
            self.sheaf.write_conf(routes=f'- {{match: "/new{number}", rewrite: "/text", upstream: origin}}')
            self.sheaf.signal(signal.SIGHUP)
            wait_until(lambda: self.reloads("ok") > before, 10, "the reload")
            load.wait_for(2)
        self.assertEqual(load.stop(), [])
        wait_until(lambda: self.run_item("/new7")["status"] == 200, 3, "the new route")
        self.assertEqual(self.run_item("/new6")["status"], 404)

    def test_a_bad_file_changes_nothing_and_says_so(self):
        before = self.reloads("failed")
        lines = len(self.sheaf.err)
        self.sheaf.path.write_text("listen: [{address: '127.0.0.1:0'}]\nroutse: []\n")
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.reloads("failed") > before, 5, "the refusal")
        wait_until(lambda: any("sheaf.yaml:2:1" in line for line in self.sheaf.err[lines:]), 5, "its place on stderr")
        self.assertEqual(self.run_item("/o/text")["status"], 200)
        self.sheaf.write_conf()

    def test_running_batches_end_in_their_own_epoch(self):
        client = RawClient(self.sheaf.at)
        client.post({"requests": [{"url": "/o/delay/600/text"}, {"id": "b", "url": "/o/text", "dependsOn": ["0"]}]})
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        before = self.reloads("ok")
        self.sheaf.write_conf(routes='- {match: "/later", rewrite: "/text", upstream: origin}')
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.reloads("ok") > before, 5, "the reload")
        answer = client.read_response()
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 200])
        client.close()

    def test_a_new_listener_opens_on_reload(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        text = self.sheaf.write_conf()
        self.sheaf.path.write_text(text.replace("listen: [", f'listen: [{{address: "127.0.0.1:{port}"}}, '))
        self.sheaf.signal(signal.SIGHUP)

        def answers():
            try:
                return self.sheaf.request("POST", "/batch", b"[]", {"Content-Type": "application/json"}, port=port).status == 207
            except OSError:
                return False
        wait_until(answers, 5, "the new listener")
        self.assertEqual(self.run_item("/o/text")["status"], 200)
        self.sheaf.write_conf()


class FewerWorkers(Case):
    places = {"workers": 3, "upstream": "timeout: 20s"}

    def reload(self, workers):
        before = self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}']
        self.sheaf.write_conf(workers=workers)
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] > before, 10, "the reload")

    def test_workers_that_retire_leave_the_gateway_ready_and_are_no_deaths(self):
        clients = [RawClient(self.sheaf.at) for _ in range(24)]
        for client in clients:
            client.post({"requests": [{"url": "/o/delay/1500"}]})
        wait_until(lambda: self.origin.count()["flying"] == len(clients), what="the items flying")
        self.reload(1)
        asked = 0
        while self.origin.count()["flying"] > 0:
            self.assertEqual(self.sheaf.get_admin("/readyz").status, 200)
            self.assertEqual(self.sheaf.metrics()["sheaf_draining"], 0)
            asked += 1
        self.assertGreater(asked, 3)
        for client in clients:
            self.assertEqual(client.read_response().json["responses"][0]["status"], 200)
            client.close()
        wait_until(lambda: len(self.sheaf.children()) == 1, 10, "one worker")
        self.reload(3)
        wait_until(lambda: len(self.sheaf.children()) == 3, 10, "three workers")
        self.assertEqual(self.sheaf.metrics()["sheaf_worker_restarts_total"], 0)
        self.assertEqual(self.run_item("/o/text")["status"], 200)

    def test_one_that_is_wanted_again_while_it_retires_is_replaced_without_a_word(self):
        before = len(self.sheaf.children())
        clients = [RawClient(self.sheaf.at) for _ in range(24)]
        for client in clients:
            client.post({"requests": [{"url": "/o/delay/1000"}]})
        wait_until(lambda: self.origin.count()["flying"] == len(clients), what="the items flying")
        self.reload(1)
        self.reload(3)
        for client in clients:
            self.assertEqual(client.read_response().json["responses"][0]["status"], 200)
            client.close()
        wait_until(lambda: len(self.sheaf.children()) == before, 10, "as many workers as before")
        self.assertEqual(self.sheaf.metrics()["sheaf_worker_restarts_total"], 0)


class Drain(Case):
    def drain(self, **places):
        sheaf = Sheaf(self.origin, top="drain: {delay: 700ms, timeout: 10s}", **places)
        self.addCleanup(sheaf.stop)
        self.assertEqual(sheaf.get_admin("/readyz").status, 200)
        running = RawClient(sheaf.at)
        running.post({"requests": [{"url": "/o/delay/2500"}]})
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        sheaf.signal(signal.SIGTERM)
        wait_until(lambda: sheaf.get_admin("/readyz").status == 503, 2, "unready")
        self.assertEqual(sheaf.post([{"url": "/o/text"}]).status, 207, "listeners stay open for the delay")
        self.assertEqual(sheaf.get_admin("/healthz").status, 200)

        def is_closed():
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", sheaf.at)) != 0
        wait_until(is_closed, 5, "closed listeners")
        self.assertEqual(sheaf.get_admin("/readyz").status, 503, "admin stays up")
        answer = running.read_response()
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200])
        running.close()
        self.assertEqual(sheaf.wait(10), 0)

    def test_a_drain_finishes_what_runs(self):
        self.drain(workers=2)

    def test_a_drain_without_a_supervisor_too(self):
        self.drain(workers=0)

    def test_a_drain_with_no_batch_is_quick_even_with_idle_clients(self):
        sheaf = Sheaf(self.origin)
        self.addCleanup(sheaf.stop)
        conn = sheaf.connect()
        sheaf.batch(["/o/text"], conn=conn)
        started = time.monotonic()
        sheaf.signal(signal.SIGINT)
        self.assertEqual(sheaf.wait(10), 0)
        self.assertLess(time.monotonic() - started, 3)
        conn.close()

    def test_a_drain_gives_up_after_its_timeout(self):
        sheaf = Sheaf(self.origin, top="drain: {timeout: 500ms}")
        self.addCleanup(sheaf.stop)
        client = RawClient(sheaf.at)
        client.post({"requests": [{"url": "/o/never"}]})
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        sheaf.signal(signal.SIGTERM)
        self.assertEqual(sheaf.wait(10), 0)
        client.close()


class Alone(Case):
    places = {"workers": 0}

    def test_workers_zero_serves_from_one_process(self):
        self.assertEqual(self.sheaf.children(), [])
        self.assertEqual([result["status"] for result in self.run_items("/o/text", "/o/half")], [200, 502])

    def test_workers_zero_reloads(self):
        self.sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}')
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.run_item("/new")["status"] == 200, 5, "the new route")


class Observed(Case):
    def test_admin_paths(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.sheaf.get_admin(path).status, 200)
        self.assertEqual(self.sheaf.get_admin("/nothing").status, 404)

    def test_metrics_count_what_happened(self):
        before = self.sheaf.metrics()
        self.run_items("/o/text", "/o/status/404", "/o/half", "/nowhere", "/o/redirect")
        self.sheaf.post("[")

        def moved(series):
            return self.sheaf.metrics().get(series, 0) - before.get(series, 0)
        wait_until(lambda: moved('sheaf_batches_total{outcome="complete"}') == 1, 3, "the batch counted")
        self.assertEqual(moved('sheaf_batches_total{outcome="refused"}'), 1)
        self.assertEqual([moved(f'sheaf_items_total{{class="{kind}"}}') for kind in ("2xx", "3xx", "4xx", "5xx")],
                         [1, 1, 2, 1])
        self.assertGreater(moved('sheaf_backend_bytes_total{direction="in"}'), 0)
        self.assertEqual(moved("sheaf_batch_duration_seconds_count"), 1)
        self.assertEqual(moved("sheaf_batches_in_flight"), 0)

    def test_metrics_are_prometheus_text(self):
        answer = self.sheaf.get_admin("/metrics")
        self.assertTrue(answer.headers["content-type"].startswith("text/plain"))
        text = answer.body.decode()
        for line in ("# TYPE sheaf_batches_total counter", "# TYPE sheaf_batches_in_flight gauge",
                     "# TYPE sheaf_batch_duration_seconds histogram"):
            self.assertIn(line, text)
        self.assertIn('le="+Inf"', text)
        types = [line for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(types), len(set(types)))

    def test_each_batch_is_one_json_line(self):
        start = len(self.sheaf.err)
        self.run_items("/o/text", "/o/status/404", "/o/half")
        line, = self.sheaf.logged("batch", since=start)
        for key in ("time", "level", "client", "endpoint"):
            self.assertIn(key, line)
        self.assertEqual((line["endpoint"], line["items"]), ("/batch", 3), line)
        for entry in self.sheaf.err:
            json.loads(entry)

    def test_text_logs(self):
        sheaf = self.start(top="log: {format: text}")
        start = len(sheaf.err)
        self.run_item("/o/text", sheaf=sheaf)
        wait_until(lambda: [line for line in sheaf.err[start:] if " batch " in line and "endpoint=" in line], 3, "the line")

    def test_a_stderr_that_nobody_reads_never_blocks(self):
        sheaf = Sheaf(self.origin, reads_stderr=False)
        try:
            fcntl.fcntl(sheaf.process.stderr, 1031, 4096)  # F_SETPIPE_SZ
            conn = sheaf.connect()
            for _ in range(1500):
                self.assertEqual(sheaf.batch(["/nowhere"], conn=conn).status, 207)
            conn.close()
            self.assertGreater(sheaf.metrics()["sheaf_log_lines_dropped_total"], 0)
            sheaf.signal(signal.SIGTERM)
            self.assertEqual(sheaf.process.wait(15), 0)
        finally:
            sheaf.kill()
            sheaf.dir.cleanup()


@unittest.skipUnless(RELEASE.exists(), "no release build")
class Memory(Case):
    places = {"binary": str(RELEASE)}

    def test_idle_processes_stay_under_30_mib(self):
        self.run_item("/o/text")
        for pid in (self.sheaf.pid, *self.sheaf.children()):
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            rss_kib = int(status.split("VmRSS:")[1].split()[0])
            self.assertLess(rss_kib, 30 * 1024)


if __name__ == "__main__":
    unittest.main()
