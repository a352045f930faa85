"""Limits of what is in flight, shedding, and turns in the line: one upstream that has less to give than is asked of it."""
import random
import statistics
import threading
import time

from harness import Case, wait_until
from test_failing import OK, Backend, answer, statuses

IN_FLIGHT, LIMIT, SHED = "sheaf_exchanges_in_flight", "sheaf_adaptive_limit", "sheaf_exchanges_shed_total"
WAITING, WAITED = "sheaf_exchanges_waiting", "sheaf_exchange_wait_seconds_count"
LARGE = "max_items: 2000, parallel: 2000, max_item_body: 16KiB, timeout: 60s"  # 16 KiB: its budget lets all of it go


class Server(Backend):
    """A backend that works on `capacity` requests at once, each for `seconds`; the others queue inside of it."""

    def __init__(self, capacity, seconds):
        self.seconds, self.slots = seconds, threading.Semaphore(capacity)
        self.inside, self.most, self.count_lock = 0, 0, threading.Lock()
        super().__init__(OK)

    def _serve(self, conn):
        super()._serve(Worked(conn, self))

    def work(self):
        with self.count_lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        with self.slots:
            time.sleep(self.seconds)
        with self.count_lock:
            self.inside -= 1


class Worked:
    """A connection of a Server: it works before it answers."""

    def __init__(self, conn, server):
        self.conn, self.server, self.recv = conn, server, conn.recv

    def sendall(self, data):
        self.server.work()
        self.conn.sendall(data)


class Overload(Case):
    def gateway(self, upstream, **places):
        self.origin.reset()
        return self.start(upstream=upstream, **{"endpoint": LARGE, **places})

    def server(self, capacity, seconds):
        server = Server(capacity, seconds)
        self.addCleanup(server.stop)
        return server

    def before(self, server, upstream, **places):
        """A gateway with the upstream of a Server."""
        return self.start(upstreams=f'u: {{servers: ["http://127.0.0.1:{server.at}"], {upstream}}}',
                          routes='- {match: "/u/{rest...}", upstream: u}', **{"endpoint": LARGE, **places})

    def beside(self, sheaf, items):
        """Posts `items` from another thread; the list it returns gets the statuses once they are there."""
        found = []
        thread = threading.Thread(target=lambda: found.extend(statuses(self.run_items(*items, sheaf=sheaf))))
        thread.start()
        self.addCleanup(thread.join)
        wait_until(lambda: sheaf.metrics()[WAITING] > 0, what="the line")
        return thread, found

    # --- max_in_flight ---

    def test_no_more_fly_than_may_and_those_that_wait_end_well(self):
        sheaf = self.gateway("max_in_flight: 3")
        self.assertEqual(set(statuses(self.run_items(*["/o/delay/5"] * 100, sheaf=sheaf))), {200})
        self.assertEqual(self.origin.count()["most_flying"], 3)
        metrics = sheaf.metrics()
        self.assertEqual((metrics[IN_FLIGHT], metrics[WAITING], metrics[WAITED]), (0, 0, 97))

    def test_each_worker_has_the_limit_for_itself(self):
        sheaf = self.gateway("max_in_flight: 2", workers=4)
        batches = [self.beside(sheaf, ["/o/delay/20"] * 30) for _ in range(16)]
        for thread, found in batches:
            thread.join()
            self.assertEqual(found, [200] * 30)
        self.assertLessEqual(self.origin.count()["most_flying"], 8)
        self.assertEqual(sheaf.metrics()[IN_FLIGHT], 0)

    def test_what_flies_and_what_waits_is_in_the_metrics(self):
        sheaf = self.gateway("max_in_flight: 2")
        thread, found = self.beside(sheaf, ["/o/delay/700"] * 5)
        wait_until(lambda: (sheaf.metrics()[IN_FLIGHT], sheaf.metrics()[WAITING]) == (2, 3), what="two that fly")
        thread.join()
        self.assertEqual(found, [200] * 5)
        metrics = sheaf.metrics()
        self.assertEqual((metrics[IN_FLIGHT], metrics[WAITING], metrics[WAITED]), (0, 0, 3))
        self.assertEqual(metrics['sheaf_exchange_wait_seconds_bucket{le="+Inf"}'], 3)
        self.assertGreater(metrics["sheaf_exchange_wait_seconds_sum"], 0.7 + 0.7 + 1.4 - 0.3)

    def test_who_waits_until_its_time_is_over_was_never_sent(self):
        sheaf = self.gateway("max_in_flight: 1")
        items = [{"url": "/o/delay/600"}, {"url": "/o/text", "timeout": "200ms"}]
        first, second = self.run_items(*items, sheaf=sheaf)
        self.assertEqual(first["status"], 200)
        self.assert_problem(second, 503, "queue-full")
        self.assertEqual(second["headers"]["retry-after"], "1")
        self.assertEqual(self.origin.count()["served"], 1)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)

    def test_a_client_that_leaves_gives_its_places_back(self):
        sheaf = self.gateway("max_in_flight: 2")
        conn = sheaf.connect()
        conn.request("POST", "/batch", b'{"requests":[' + b",".join([b'{"url":"/o/never"}'] * 10) + b"]}",
                     {"Content-Type": "application/json"})
        wait_until(lambda: sheaf.metrics()[IN_FLIGHT] == 2, what="two that fly")
        conn.close()
        wait_until(lambda: (sheaf.metrics()[IN_FLIGHT], sheaf.metrics()[WAITING]) == (0, 0), what="none that flies")
        self.assertEqual(statuses(self.run_items(*["/o/text"] * 10, sheaf=sheaf)), [200] * 10)

    # --- adaptive ---

    def test_an_adaptive_limit_comes_down_to_what_a_backend_can_do(self):
        server = self.server(4, 0.01)
        sheaf = self.before(server, "timeout: 30s, adaptive: {min: 2, window: 50ms, measure: 1s}")
        self.assertEqual(sheaf.metrics()[LIMIT], 32)

        def settles():  # where 4 are worked on, as many again queue, and the root of that is tried
            server.most = 0
            self.assertEqual(set(statuses(self.run_items(*["/u/x"] * 300, sheaf=sheaf))), {200})
            return server.most <= 20 and 2 <= sheaf.metrics()[LIMIT] <= 20

        wait_until(settles, what="a limit near what the backend can do")
        self.assertEqual(sheaf.metrics()[IN_FLIGHT], 0)

    def test_an_adaptive_limit_with_its_defaults_grows_where_a_backend_keeps_up(self):
        sheaf = self.gateway("adaptive: {}")
        for _ in range(2):
            self.assertEqual(set(statuses(self.run_items(*["/o/delay/20"] * 2000, sheaf=sheaf))), {200})
        self.assertGreater(self.origin.count()["most_flying"], 40)
        self.assertGreater(sheaf.metrics()[LIMIT], 40)

    # --- shed ---

    SHEDDING = "timeout: 10s, shed: true"

    def test_what_could_only_be_late_is_not_sent(self):
        sheaf = self.gateway(self.SHEDDING)
        self.assertEqual(statuses(self.run_items(*["/o/delay/400"] * 200, sheaf=sheaf)), [200] * 200)
        self.origin.reset()
        started = time.monotonic()
        results = self.run_items(*[{"url": "/o/delay/400", "timeout": "300ms"}] * 19, sheaf=sheaf)
        self.assertLess(time.monotonic() - started, 0.3)
        for result in results:
            self.assert_problem(result, 504, "too-late")
            self.assertIn("not sent", result["body"]["detail"])
        self.assertEqual(self.origin.count()["served"] + self.origin.count()["flying"], 0)
        self.assertEqual(sheaf.metrics()[SHED], 19)
        self.assertEqual(self.run_item({"url": "/o/delay/400", "timeout": "2s"}, sheaf=sheaf)["status"], 200)

    def test_one_in_twenty_is_sent_to_see_and_sets_it_right(self):
        sheaf = self.gateway(self.SHEDDING)
        self.run_items(*["/o/delay/400"] * 200, sheaf=sheaf)
        quick = [{"url": "/o/text", "timeout": "200ms"}] * 20
        first = statuses(self.run_items(*quick, sheaf=sheaf, parallel=1))
        self.assertEqual(first, [504] * 19 + [200])
        self.assertEqual(statuses(self.run_items(*quick, sheaf=sheaf)), [200] * 20)

    def test_without_enough_evidence_all_is_sent(self):
        sheaf = self.gateway(self.SHEDDING)
        self.run_items(*["/o/delay/300"] * 90, sheaf=sheaf)
        result = self.run_item({"url": "/o/delay/300", "timeout": "100ms"}, sheaf=sheaf)
        self.assert_problem(result, 504, "timeout")
        self.assertEqual(sheaf.metrics()[SHED], 0)

    def test_what_got_too_late_in_the_line_is_not_sent_either(self):
        sheaf = self.gateway(self.SHEDDING + ", max_in_flight: 100")
        self.run_items(*["/o/delay/600"] * 200, sheaf=sheaf)
        self.origin.reset()
        large, found = self.beside(sheaf, ["/o/delay/600"] * 190)
        late = self.run_items(*[{"url": "/o/delay/600", "timeout": "800ms"}] * 10, sheaf=sheaf)
        large.join()
        self.assertEqual(found, [200] * 190)
        for result in late:
            self.assert_problem(result, 504, "too-late")
        self.assertEqual(self.origin.count()["served"], 190)

    # --- when to ask again ---

    def refused(self, open_for):
        """A gateway whose upstream u is not asked for so long."""
        backend = Backend(answer(500))
        self.addCleanup(backend.stop)
        sheaf = self.before(backend, f"breaker: {{requests: 10, open: {open_for}}}")
        self.run_items(*["/u/x"] * 10, sheaf=sheaf)
        return sheaf

    def test_an_open_breaker_says_when_it_lets_probes_through(self):
        sheaf = self.refused("60s")
        refused, other = self.run_items("/u/x", "/o/text", sheaf=sheaf)
        self.assert_problem(refused, 503, "breaker-open")
        self.assertIn(refused["headers"]["retry-after"], ("60", "59", "58"))
        self.assertNotIn("retry-after", other["headers"])
        refused = self.run_item("/u/x", sheaf=self.refused("300ms"))
        if refused["status"] == 503:  # it is still open
            self.assertEqual(refused["headers"]["retry-after"], "1")

    def test_every_format_says_so(self):
        sheaf = self.refused("3600s")
        for accept in ("application/json", "application/xml", "application/x-ndjson", "multipart/mixed"):
            text = sheaf.batch(["/u/x"], {"Accept": accept})
            self.assertEqual((text.status, text.headers["content-type"].split(";")[0]), (207, accept))
            self.assertRegex(text.body.decode().lower(), r"""(?s)retry-after\W.{0,40}?\b(3600|359\d)\b""", accept)

    # --- turns ---

    def assert_fair(self, sheaf, most_s, url="/o/delay/10"):
        """Singles beside a batch of a thousand wait for their turn and not for the batch."""
        started = time.monotonic()
        large, found = self.beside(sheaf, [url] * 1000)
        took, conn = [], sheaf.connect()
        while large.is_alive():
            single = time.monotonic()
            self.assertEqual(statuses(sheaf.batch([url], conn=conn).json["responses"]), [200])
            took.append(time.monotonic() - single)
        conn.close()
        large.join()
        self.assertEqual(found, [200] * 1000)
        self.assertGreater(time.monotonic() - started, 2)
        self.assertGreater(len(took), 20)
        self.assertLess(statistics.median(took), most_s)
        self.assertLess(max(took), 3 * most_s)

    def test_a_single_item_waits_for_its_turn_and_not_for_a_large_batch(self):
        self.assert_fair(self.gateway("timeout: 30s, max_connections: 4"), 0.1)

    def test_so_it_does_where_exchanges_are_tried_again(self):
        server = self.server(4, 0.01)
        dice = random.Random(7)  # one in four by number would meet the same item again where all go in step
        server.does = lambda: answer(503) if dice.random() < 0.25 else OK
        sheaf = self.before(server, "timeout: 30s, max_connections: 4, retry: {attempts: 10, budget: 100%, backoff: 1ms}")
        self.assert_fair(sheaf, 0.1, "/u/x")
        self.assertGreater(sheaf.metrics()["sheaf_retries_total"], 200)

    def test_so_it_does_where_the_limit_is_one_of_exchanges(self):
        self.assert_fair(self.gateway("timeout: 30s, max_in_flight: 4"), 0.1)

    def test_so_it_does_where_the_limit_is_adaptive(self):
        sheaf = self.gateway("timeout: 30s, adaptive: {min: 2, max: 4, window: 50ms, measure: 1s}")
        self.assert_fair(sheaf, 0.1)
        self.assertLessEqual(sheaf.metrics()[LIMIT], 4)

    def test_so_it_does_where_the_limit_finds_what_a_backend_can_do(self):
        server = self.server(4, 0.01)  # what queues inside of it no line can put in order: its share of the limit
        sheaf = self.before(server, "timeout: 30s, adaptive: {min: 2, window: 50ms, measure: 1s}")
        self.run_items(*["/u/x"] * 300, sheaf=sheaf)  # until it is found
        self.assert_fair(sheaf, 0.2, "/u/x")

    def test_so_it_does_beside_many_that_are_large(self):
        sheaf = self.gateway("timeout: 60s, max_in_flight: 8")
        batches = [self.beside(sheaf, ["/o/delay/10"] * 300) for _ in range(6)]
        for _ in range(5):
            single = time.monotonic()
            self.assertEqual(self.run_item("/o/delay/10", sheaf=sheaf)["status"], 200)
            self.assertLess(time.monotonic() - single, 0.3)
        for thread, found in batches:
            thread.join()
            self.assertEqual(found, [200] * 300)
