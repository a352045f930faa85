"""/metrics of each upstream: what the healthy one says beside the one that fails, after reloads and after deaths."""
import os
import signal

from harness import Sheaf, wait_until
from test_failing import OK, RESET, SILENCE, BackendCase, answer, statuses

CLASSES = ("2xx", "3xx", "4xx", "5xx")


class Upstats(BackendCase):
    def places(self, **upstreams):
        """Each is (its backends, its keys), and has the route /NAME/."""
        lines, routes = [], []
        for name, (backends, keys) in upstreams.items():
            urls = ", ".join(f'"http://127.0.0.1:{backend.at}"' for backend in backends)
            lines.append(f"{name}: {{servers: [{urls}], {keys}}}")
            routes.append(f'- {{match: "/{name}/{{rest...}}", upstream: {name}}}')
        return {"upstreams": "\n".join(lines), "routes": "\n".join(routes)}

    def gateway(self, workers=1, **upstreams):
        sheaf = Sheaf(self.origin, workers=workers, **self.places(**upstreams))
        self.addCleanup(sheaf.stop)
        return sheaf

    def reload(self, sheaf, **upstreams):
        before = sheaf.metrics()['sheaf_reloads_total{outcome="ok"}']
        sheaf.write_conf(**self.places(**upstreams))
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] > before, what="the reload")

    @staticmethod
    def read(sheaf, family, upstream, more=""):
        return sheaf.metrics()[f'sheaf_upstream_{family}{{upstream="{upstream}"{more}}}']

    def answers(self, sheaf, upstream):
        metrics = sheaf.metrics()
        return tuple(metrics[f'sheaf_upstream_answers_total{{upstream="{upstream}",class="{one}"}}'] for one in CLASSES)

    def failures(self, sheaf, upstream):
        start = f'sheaf_upstream_failures_total{{upstream="{upstream}",error="'
        return {series[len(start):-2]: value for series, value in sheaf.metrics().items() if series.startswith(start) and value}

    def run_on(self, sheaf, name, count):
        return statuses(self.run_items(*[f"/{name}/x"] * count, sheaf=sheaf))

    def assert_quiet(self, sheaf, upstream):
        """Nothing is said of it but that it is there."""
        self.assertEqual((self.answers(sheaf, upstream), self.failures(sheaf, upstream)), ((0, 0, 0, 0), {}))
        for family in ("retries_total", "ejections_total", "hedges_total", "breaker_opened_total", "in_flight", "waiting",
                       "servers_ejected", "servers_unhealthy", "breakers_open", "connections"):
            self.assertEqual(self.read(sheaf, family, upstream), 0, family)

    # --- who failed ---

    def test_answers_and_retries_are_those_of_the_upstream_that_gave_them(self):
        good, bad, spare = self.backends(OK, answer(503), OK)
        sheaf = self.gateway(good=([good], ""), bad=([bad, spare], "retry: {budget: 100%}"))
        self.assertEqual(self.run_on(sheaf, "good", 10), [200] * 10)
        self.assertEqual(self.run_on(sheaf, "bad", 20), [200] * 20)
        self.assertEqual(self.answers(sheaf, "good"), (10, 0, 0, 0))
        self.assertEqual(self.answers(sheaf, "bad"), (20, 0, 0, len(bad.seen)))
        self.assertEqual((self.read(sheaf, "retries_total", "good"), self.read(sheaf, "retries_total", "bad")), (0, len(bad.seen)))
        self.assertEqual(self.read(sheaf, "answer_duration_seconds_count", "good"), 10)
        self.assertEqual(self.read(sheaf, "answer_duration_seconds_count", "bad"), 20 + len(bad.seen))
        self.assertGreater(self.read(sheaf, "answer_duration_seconds_sum", "bad"), 0)
        self.assertGreater(self.read(sheaf, "connections", "good"), 0)
        self.assertEqual(self.read(sheaf, "connections", "good") + self.read(sheaf, "connections", "bad"),
                         sum(value for series, value in sheaf.metrics().items() if series.startswith("sheaf_backend_connections{")))
        self.assert_quiet(sheaf, "origin")

    def test_an_ejected_server_and_what_it_failed_with(self):
        good, bad, spare = self.backends(OK, RESET, OK)
        sheaf = self.gateway(good=([good], "outlier: {}"), bad=([bad, spare], "outlier: {errors: 2, eject: 60s}"))
        for _ in range(4):
            self.run_on(sheaf, "bad", 4)
        self.assertEqual(self.run_on(sheaf, "good", 4), [200] * 4)
        self.assertEqual(self.failures(sheaf, "bad"), {"reset": len(bad.seen)})
        self.assertEqual((self.read(sheaf, "ejections_total", "bad"), self.read(sheaf, "servers_ejected", "bad")), (1, 1))
        self.assertEqual((self.read(sheaf, "ejections_total", "good"), self.read(sheaf, "servers_ejected", "good")), (0, 0))
        self.assertEqual(self.failures(sheaf, "good"), {})

    def test_an_open_breaker_and_what_it_refused(self):
        good, bad = self.backends(OK, answer(500))
        breaker = "breaker: {errors: 50%, open: 60s}"
        sheaf = self.gateway(good=([good], breaker), bad=([bad], breaker))
        while self.run_on(sheaf, "bad", 1) != [503]:
            pass
        self.assertEqual(self.run_on(sheaf, "bad", 5), [503] * 5)
        self.assertEqual(self.run_on(sheaf, "good", 5), [200] * 5)
        self.assertEqual(self.answers(sheaf, "bad"), (0, 0, 0, len(bad.seen)))
        self.assertEqual(self.failures(sheaf, "bad"), {"breaker-open": 6})
        self.assertEqual((self.read(sheaf, "breakers_open", "bad"), self.read(sheaf, "breaker_opened_total", "bad")), (1, 1))
        self.assertEqual((self.read(sheaf, "breakers_open", "good"), self.failures(sheaf, "good")), (0, {}))

    def test_an_unhealthy_server_counts_once_whatever_the_number_of_workers(self):
        good, sick, well = self.backends(OK, lambda: answer(500), OK)
        health = "health: {path: /health, interval: 100ms, timeout: 5s, unhealthy: 2}"
        sheaf = self.gateway(workers=2, good=([good], health), bad=([sick, well], health))
        wait_until(lambda: self.read(sheaf, "servers_unhealthy", "bad") == 1, what="the sick server")
        self.assertGreaterEqual(self.read(sheaf, "health_probes_total", "bad", ',outcome="failed"'), 2)
        self.assertEqual(self.read(sheaf, "servers_unhealthy", "good"), 0)
        self.assertEqual(self.read(sheaf, "health_probes_total", "good", ',outcome="failed"'), 0)
        sick.does = OK
        wait_until(lambda: self.read(sheaf, "servers_unhealthy", "bad") == 0, what="it is well again")

    def test_hedges_sent_and_won(self):
        good, mute, quick = self.backends(OK, SILENCE, OK)
        sheaf = self.gateway(good=([good], "hedge: {after: 10s}"), late=([mute, quick], "hedge: {after: 50ms, budget: 100%}"))
        self.assertEqual(self.run_on(sheaf, "late", 4) + self.run_on(sheaf, "good", 4), [200] * 8)
        sent = len(mute.seen)
        self.assertGreaterEqual(sent, 1)
        self.assertEqual((self.read(sheaf, "hedges_total", "late"), self.read(sheaf, "hedges_won_total", "late")), (sent, sent))
        self.assertEqual(self.read(sheaf, "hedges_total", "good"), 0)
        self.assertEqual((self.answers(sheaf, "late"), self.failures(sheaf, "late")), ((4, 0, 0, 0), {}))  # who lost is in neither

    def test_who_flies_and_who_waits(self):
        good, mute = self.backends(OK, SILENCE)
        sheaf = self.gateway(good=([good], ""), late=([mute], "max_in_flight: 1, timeout: 400ms"))
        conn = sheaf.connect()
        conn.request("POST", "/batch", b'{"requests":[{"url":"/late/1"},{"url":"/late/2"},{"url":"/late/3"}]}',
                     {"Content-Type": "application/json"})
        wait_until(lambda: (self.read(sheaf, "in_flight", "late"), self.read(sheaf, "waiting", "late")) == (1, 2), what="the line")
        self.assertEqual((self.read(sheaf, "in_flight", "good"), self.read(sheaf, "waiting", "good")), (0, 0))
        conn.getresponse().read()
        self.assertEqual(sum(self.failures(sheaf, "late").values()), 3)
        self.assertEqual((self.read(sheaf, "in_flight", "late"), self.read(sheaf, "waiting", "late")), (0, 0))
        conn.close()

    def test_the_time_of_a_batch_that_is_over_is_a_time_out_of_those_it_waited_for(self):
        good, mute = self.backends(OK, SILENCE)
        sheaf = self.gateway(good=([good], ""), late=([mute], "max_in_flight: 1"))
        results = self.run_items("/good/1", "/late/1", "/late/2", sheaf=sheaf, timeout="300ms")
        self.assertEqual(statuses(results), [200, 504, 504])
        self.assertEqual(self.failures(sheaf, "late"), {"timeout": 1, "queue-full": 1})
        self.assertEqual((self.answers(sheaf, "good"), self.failures(sheaf, "good")), ((1, 0, 0, 0), {}))

    # --- what outlives what ---

    def test_a_name_goes_on_after_reloads_and_one_that_is_gone_stands_still(self):
        good, bad = self.backends(OK, answer(503))
        sheaf = self.gateway(workers=2, good=([good], ""), bad=([bad], ""))
        self.run_on(sheaf, "good", 3)
        self.run_on(sheaf, "bad", 4)
        self.reload(sheaf, good=([good], "keepalive: 7s"), fresh=([good], ""))
        self.run_on(sheaf, "good", 5)
        self.run_on(sheaf, "fresh", 1)
        self.assertEqual(self.answers(sheaf, "good"), (8, 0, 0, 0))
        self.assertEqual(self.answers(sheaf, "fresh"), (1, 0, 0, 0))
        self.assertEqual(self.answers(sheaf, "bad"), (0, 0, 0, 4))
        wait_until(lambda: self.read(sheaf, "connections", "bad") == 0, what="its connections closed")
        self.reload(sheaf, good=([good], ""), bad=([bad], ""))
        self.run_on(sheaf, "bad", 2)
        self.assertEqual(self.answers(sheaf, "bad"), (0, 0, 0, 6))

    def test_a_killed_worker_leaves_its_counters_and_not_its_gauges(self):
        backend, = self.backends([OK, OK, SILENCE, OK])
        sheaf = self.gateway(u=([backend], "max_connections: 1, breaker: {}"))
        self.assertEqual(self.run_on(sheaf, "u", 2), [200] * 2)
        conn = sheaf.connect()
        conn.request("POST", "/batch", b'{"requests":[{"url":"/u/x"},{"url":"/u/x"}]}', {"Content-Type": "application/json"})
        wait_until(lambda: self.read(sheaf, "in_flight", "u") == 1 and self.read(sheaf, "waiting", "u") == 1, what="its items")
        worker, = sheaf.children()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: sheaf.children() not in ([], [worker]), what="its successor")
        wait_until(lambda: self.read(sheaf, "in_flight", "u") == 0, what="the gauges")
        self.assertEqual((self.read(sheaf, "waiting", "u"), self.read(sheaf, "connections", "u")), (0, 0))
        self.assertEqual(self.answers(sheaf, "u"), (2, 0, 0, 0))
        self.assertEqual(self.run_on(sheaf, "u", 1), [200])
        self.assertEqual(self.answers(sheaf, "u"), (3, 0, 0, 0))
        self.assertEqual(self.read(sheaf, "connections", "u"), 1)
        conn.close()

    # --- the page ---

    def test_a_family_stands_once_with_all_its_lines_and_no_line_twice(self):
        a, b = self.backends(OK, answer(503))
        sheaf = self.gateway(workers=2, **{"a.1": ([a], ""), "b-2_x": ([b], "")})
        self.run_on(sheaf, "b-2_x", 3)
        lines = sheaf.get_admin("/metrics").body.decode().splitlines()
        families = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
        self.assertEqual(len(families), len(set(families)))
        series = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]
        self.assertEqual(len(series), len(set(series)))
        family = None
        for line in lines:
            if line.startswith("# TYPE "):
                family = line.split()[2]
            elif not line.startswith("#"):
                self.assertIn(line.split("{")[0].split()[0], (family, f"{family}_bucket", f"{family}_sum", f"{family}_count"))
        for name in ("origin", "a.1", "b-2_x"):
            self.assertIn(f'sheaf_upstream_answers_total{{upstream="{name}",class="2xx"}}', series)

    def test_more_upstreams_than_there_are_places_share_the_last_one(self):
        backend, = self.backends(OK)
        sheaf = self.gateway(**{f"u{i}": ([backend], "") for i in range(260)})  # and `origin`, the first
        self.assertEqual(self.run_on(sheaf, "u254", 1) + self.run_on(sheaf, "u255", 2) + self.run_on(sheaf, "u259", 4), [200] * 7)
        self.assertEqual(self.answers(sheaf, "u254"), (1, 0, 0, 0))
        self.assertEqual(self.read(sheaf, "answer_duration_seconds_count", "(other)"), 6)  # the last line of a large page
        self.assertEqual(self.answers(sheaf, "(other)"), (6, 0, 0, 0))
        self.assertNotIn('sheaf_upstream_in_flight{upstream="u255"}', sheaf.metrics())
