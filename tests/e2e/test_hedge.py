"""Hedging: what is late is sent to a second server, and the first good answer is taken; seen from both sides."""
import threading
import time

from harness import Case, Origin, Sheaf, wait_until
from test_failing import OK, RESET, SILENCE, Backend, answer, statuses
from test_upstream_tls import Nginx

SENT, WON = "sheaf_hedges_total", "sheaf_hedges_won_total"
OPENED, HTTP2 = "sheaf_backend_connections_opened_total", "sheaf_exchanges_http2_total"
REFUSED = 'sheaf_hedges_refused_total{reason="budget"}'
SLOW_S = 0.6
POST = {"method": "POST", "url": "/u/x", "body": {}}


class Slow(Backend):
    """Late with every `nth` request it gets, as long as it lives."""

    def __init__(self, nth):
        self.nth, self.count = nth, 0
        super().__init__(OK)

    def _serve(self, conn):
        super()._serve(Late(conn, self))

    def is_late(self):
        with self.lock:
            self.count += 1
            return self.count % self.nth == 0


class Late:
    """A connection of a Slow server."""

    def __init__(self, conn, server):
        self.conn, self.server, self.recv = conn, server, conn.recv

    def sendall(self, data):
        if self.server.is_late():
            time.sleep(SLOW_S)
        self.conn.sendall(data)


class Hedge(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def backends(self, *does):
        made = [one if isinstance(one, Backend) else Backend(one) for one in does]
        for backend in made:
            self.addCleanup(backend.stop)
        return made

    def gateway(self, backends, upstream):
        urls = ", ".join(f'"http://127.0.0.1:{backend.at}"' for backend in backends)
        sheaf = Sheaf(self.origin, upstreams=f"u: {{servers: [{urls}], {upstream}}}",
                      routes='- {match: "/u/{rest...}", upstream: u}')
        self.addCleanup(sheaf.stop)
        return sheaf

    def times(self, sheaf, batches, items=20):
        took = []
        for _ in range(batches):
            begun = time.monotonic()
            results = self.run_items(*["/u/x"] * items, sheaf=sheaf)
            self.assertEqual([r for r in results if r["status"] != 200], [])
            took.append(time.monotonic() - begun)
        return sorted(took)

    def test_a_slow_answer_is_overtaken_and_the_tail_goes(self):
        slow = {}
        for upstream in ("timeout: 10s", "hedge: {after: 50ms, budget: 5%}"):
            backends = self.backends(Slow(50), OK, OK, OK)
            sheaf = self.gateway(backends, upstream)
            slow[upstream] = sum(took >= SLOW_S for took in self.times(sheaf, 40))
            asked, metrics = sum(len(backend.seen) for backend in backends), sheaf.metrics()
            self.assertEqual(asked, 800 + metrics[SENT])
            self.assertLessEqual(metrics[SENT], 40)
            self.assertEqual(metrics[WON] > 0, "hedge" in upstream)
        without, with_it = slow.values()
        self.assertGreaterEqual(without, 3)
        self.assertEqual(with_it, 0)

    def test_a_percentile_is_learned_and_then_hedged_by(self):
        backends = self.backends(OK, OK)
        sheaf = self.gateway(backends, "hedge: {after: p99, budget: 50%}")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:  # it is read anew every 100 ms
            self.times(sheaf, 10)
        before = sheaf.metrics()[WON]
        with backends[0].lock:
            backends[0].does = SILENCE
        self.assertEqual(statuses(self.run_items("/u/x", "/u/x", "/u/x", "/u/x", sheaf=sheaf)), [200] * 4)
        self.assertGreaterEqual(sheaf.metrics()[WON], before + 1)

    def test_with_too_few_answers_nothing_is_late_by_a_percentile(self):
        backends = self.backends(Slow(2), Slow(2))
        sheaf = self.gateway(backends, "hedge: {}")
        self.run_items(*["/u/x"] * 20, sheaf=sheaf)
        self.assertEqual((sheaf.metrics()[SENT], sum(len(backend.seen) for backend in backends)), (0, 20))

    def test_what_is_not_safe_is_never_sent_twice(self):
        backends = self.backends(Slow(2), Slow(2))
        sheaf = self.gateway(backends, "hedge: {after: 20ms, budget: 100%}")
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            results = self.run_items(*[{"method": method, "url": "/u/x", "headers": {"idempotency-key": "1"}}] * 4, sheaf=sheaf)
            self.assertEqual(statuses(results), [200] * 4)
        self.assertEqual((sheaf.metrics()[SENT], sum(len(backend.seen) for backend in backends)), (0, 16))

    def test_the_budget_bounds_what_is_sent_twice(self):
        backends = self.backends(Slow(1), Slow(1))
        sheaf = self.gateway(backends, "hedge: {after: 20ms, budget: 5%}")
        self.run_items(*["/u/x"] * 100, sheaf=sheaf)
        metrics = sheaf.metrics()
        self.assertEqual((metrics[SENT], metrics[REFUSED]), (5, 95))
        wait_until(lambda: sum(len(backend.seen) for backend in backends) == 105, what="all requests")

    def test_one_server_alone_is_asked_once(self):
        backends = self.backends(Slow(1))
        sheaf = self.gateway(backends, "hedge: {after: 20ms, budget: 100%}")
        self.assertEqual(statuses(self.run_items(*["/u/x"] * 4, sheaf=sheaf)), [200] * 4)
        self.assertEqual((sheaf.metrics()[SENT], len(backends[0].seen)), (0, 4))

    def test_a_second_server_that_fails_costs_nothing(self):
        for kind in (RESET, answer(503)):
            with self.subTest(kind=kind):
                backends = self.backends(Slow(1), kind)
                sheaf = self.gateway(backends, "hedge: {after: 20ms, budget: 100%}, balance: hash, hash: path")
                results = statuses(self.run_items(*["/u/%d" % i for i in range(16)], sheaf=sheaf))
                self.assertEqual(results.count(200) + sum(s >= 500 for s in results), 16)
                self.assertGreater(sheaf.metrics()[SENT], 0)
                self.assertEqual(results.count(200), len(backends[0].seen))

    def test_over_http2_the_stream_that_is_overtaken_is_reset_and_its_conn_stays(self):
        backends = self.backends(Slow(10), OK)
        peers = [Nginx(backend, {"clear": (None, 'add_header x-protocol "$server_protocol";')}) for backend in backends]
        for nginx in peers:
            self.addCleanup(nginx.stop)
            nginx.path.write_text(nginx.path.read_text().replace(f":{nginx.ports['clear']} ", f":{nginx.ports['clear']} http2 "))
            nginx.restart()
            nginx.at = nginx.ports["clear"]
        sheaf = self.gateway(peers, "protocol: http2, hedge: {after: 50ms, budget: 50%}")
        self.run_items("/u/x", "/u/x", sheaf=sheaf)
        opened = sheaf.metrics()[OPENED]
        took = self.times(sheaf, 20)
        metrics = sheaf.metrics()
        self.assertLess(took[-1], SLOW_S)
        self.assertGreater(metrics[WON], 5)
        self.assertEqual((metrics[OPENED], metrics[HTTP2]), (opened, 402 + metrics[SENT]))

    def test_a_client_that_goes_away_leaves_nothing_behind(self):
        backends = self.backends(SILENCE, SILENCE)
        sheaf = self.gateway(backends, "hedge: {after: 20ms, budget: 100%}")
        conn = sheaf.connect()
        thread = threading.Thread(target=lambda: self.leave(conn), daemon=True)
        conn.request("POST", "/batch", '[{"url": "/u/x"}, {"url": "/u/y"}]', {"content-type": "application/json"})
        wait_until(lambda: sheaf.metrics()[SENT] == 2, what="the second ones")
        thread.start()
        thread.join()
        wait_until(lambda: sheaf.metrics()["sheaf_exchanges_in_flight"] == 0, what="the end of all")
        self.assertEqual(sheaf.metrics()[WON], 0)

    @staticmethod
    def leave(conn):
        conn.close()
