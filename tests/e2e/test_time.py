"""Order, dependencies, deadlines and connections: when things happen."""
import contextlib
import os
import signal
import socket
import threading
import time
import unittest

from harness import Case, free_port, wait_until


@contextlib.contextmanager
def deaf_port():
    """A port whose listen queue is full: a connect to it is neither accepted nor refused."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class Order(Case):
    places = {"upstream": "timeout: 5s"}

    def test_items_run_in_parallel(self):
        self.origin.reset()
        started = time.monotonic()
        self.run_items(*["/o/delay/200"] * 20)
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual(self.origin.count()["most_flying"], 20)

    def test_parallel_one_runs_one_after_another(self):
        self.origin.reset()
        self.run_items(*["/o/delay/5"] * 10, parallel=1)
        self.assertEqual(self.origin.count()["most_flying"], 1)

    def test_an_endpoints_parallel_is_the_most(self):
        sheaf = self.start(endpoint="parallel: 4")
        self.origin.reset()
        self.run_items(*["/o/delay/20"] * 30, sheaf=sheaf, parallel=100)
        self.assertEqual(self.origin.count()["most_flying"], 4)

    def test_order_is_requests_or_completion(self):
        items = [{"id": "slow", "url": "/o/delay/300"}, {"id": "middle", "url": "/o/delay/150"}, {"id": "fast", "url": "/o/text"}]
        ids = [result["id"] for result in self.run_items(*items)]
        self.assertEqual(ids, ["slow", "middle", "fast"])
        ids = [result["id"] for result in self.run_items(*items, order="completion")]
        self.assertEqual(ids, ["fast", "middle", "slow"])

    def test_a_dependent_waits_for_its_blocker(self):
        self.origin.reset()
        results = self.run_items({"id": "c", "url": "/o/delay/10", "dependsOn": ["b"]}, {"id": "a", "url": "/o/delay/10"},
                                 {"id": "b", "url": "/o/delay/10", "dependsOn": [{"id": "a", "status": ["2xx"]}]},
                                 order="completion")
        self.assertEqual([result["id"] for result in results], ["a", "b", "c"])
        self.assertEqual(self.origin.count()["most_flying"], 1)

    def test_a_failed_blocker_gives_424_all_the_way_down(self):
        self.origin.reset()
        a, b, c, d, e = self.run_items(
            {"id": "a", "url": "/o/status/409"}, {"id": "b", "url": "/o/text", "dependsOn": ["a"]},
            {"id": "c", "url": "/o/text", "dependsOn": ["b"]},
            {"id": "d", "url": "/o/text", "dependsOn": [{"id": "a", "status": ["2xx", 409]}]}, {"id": "e", "url": "/o/text"})
        self.assertEqual((a["status"], d["status"], e["status"]), (409, 200, 200))
        self.assert_problem(b, 424, "dependency-failed")
        self.assert_problem(c, 424, "dependency-failed")
        self.assertEqual(self.origin.count()["served"], 3)

    def test_on_error_stop_lets_flying_items_finish(self):
        results = self.run_items("/o/delay/200", "/o/status/500", *["/o/text"] * 5, parallel=2, onError="stop")
        self.assertEqual([result["status"] for result in results[:2]], [200, 500])
        for result in results[2:]:
            self.assert_problem(result, 424, "stopped")

    def test_a_batch_waits_its_turn_for_a_connection(self):
        sheaf = self.start(upstream="max_connections: 2")
        self.origin.reset()
        results = self.run_items(*["/o/delay/10"] * 20, sheaf=sheaf)
        self.assertEqual({result["status"] for result in results}, {200})
        self.assertLessEqual(self.origin.count()["most_flying"], 2)

    def test_servers_take_turns_and_names_are_resolved(self):
        sheaf = self.start(upstreams=f'  named: {{servers: ["http://localhost:{self.origin.at}", "http://127.0.0.1:{self.origin.at}"]}}\n'
                                     '  nobody: {servers: ["http://does-not-exist.invalid:80"]}',
                           routes='- {match: "/named", rewrite: "/text", upstream: named}\n'
                                  '  - {match: "/nobody", rewrite: "/text", upstream: nobody}')
        results = self.run_items(*["/named"] * 6, "/nobody", sheaf=sheaf)
        self.assertEqual([result["status"] for result in results[:6]], [200] * 6, results)
        self.assertIn(results[6]["status"], (502, 504))


class Deadlines(Case):
    places = {"upstreams": '  hasty: {{servers: ["http://127.0.0.1:{}"], timeout: 150ms}}',
              "routes": '- {match: "/hasty/{rest...}", rewrite: "/{rest...}", upstream: hasty}'}

    @classmethod
    def setUpClass(cls):
        cls.places = dict(cls.places)
        template = cls.places["upstreams"]
        from harness import Origin, Sheaf
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.sheaf = Sheaf(cls.origin, **{**cls.places, "upstreams": template.format(cls.origin.at)})
        cls.addClassCleanup(cls.sheaf.stop)

    def timed(self, *items, **envelope):
        started = time.monotonic()
        results = self.run_items(*items, **envelope)
        return results, time.monotonic() - started

    def test_the_smallest_deadline_wins(self):
        for item, most in (({"url": "/o/never", "timeout": "100ms"}, 1.5), ({"url": "/quick/never"}, 1.5),
                           ({"url": "/hasty/never"}, 1.5), ({"url": "/hasty/never", "timeout": "10s"}, 1.5)):
            with self.subTest(item=item):
                (result, sibling), seconds = self.timed(item, "/o/text")
                self.assert_problem(result, 504, "timeout")
                self.assertEqual(sibling["status"], 200)
                self.assertLess(seconds, most)

    def test_a_drip_does_not_move_the_deadline(self):
        (result,), seconds = self.timed({"url": "/o/drip/200", "timeout": "300ms"})
        self.assert_problem(result, 504, "timeout")
        self.assertLess(seconds, 2)

    def test_the_batchs_deadline_ends_all_that_is_left(self):
        results, seconds = self.timed("/o/text", "/o/never", {"id": "c", "url": "/o/text", "dependsOn": ["1"]}, timeout="300ms")
        self.assertEqual(results[0]["status"], 200)
        self.assert_problem(results[1], 504, "batch-timeout")
        self.assertIn(results[2]["status"], (424, 504))
        self.assertLess(seconds, 2)

    def test_a_batchs_time_begins_with_it_however_long_the_worker_slept(self):
        """stuck_after: 0s: nothing but the request wakes the worker."""
        sheaf = self.start(top="stuck_after: 0s", endpoint="timeout: 1500ms")
        conn = sheaf.connect()
        self.assertEqual(sheaf.batch(["/o/text"], conn=conn).results["0"]["status"], 200)
        asleep = time.monotonic() + 1.2
        wait_until(lambda: time.monotonic() > asleep)
        result = sheaf.batch(["/o/delay/700/text"], conn=conn).results["0"]
        self.assertEqual(result["status"], 200, result)
        conn.close()

    def test_a_worker_that_stood_still_blames_no_backend(self):
        """What came meanwhile is read before anybody is told that nothing came."""
        self.origin.reset()
        sheaf = self.start(upstream="first_byte_timeout: 400ms, idle_timeout: 400ms, timeout: 700ms")
        worker, = sheaf.children()
        got = []
        thread = threading.Thread(target=lambda: got.extend(self.run_items("/o/delay/100/text", sheaf=sheaf)))
        thread.start()
        wait_until(lambda: self.origin.count()["flying"] == 1)
        os.kill(worker, signal.SIGSTOP)
        late = time.monotonic() + 1
        wait_until(lambda: self.origin.count()["served"] == 1 and time.monotonic() > late)
        os.kill(worker, signal.SIGCONT)
        thread.join(10)
        self.assertEqual(got[0]["status"], 200, got)

    def test_a_client_may_only_lower_the_timeout(self):
        sheaf = self.start(endpoint="timeout: 300ms")
        started = time.monotonic()
        result = self.run_item("/o/never", sheaf=sheaf, timeout="10m")
        self.assertEqual(result["status"], 504)
        self.assertLess(time.monotonic() - started, 3)

    def test_what_was_cancelled_is_closed_at_the_backend(self):
        self.run_items({"url": "/o/never", "timeout": "50ms"})
        wait_until(lambda: self.origin.count()["flying"] == 0, 2, "no request flying at the origin")

    def test_a_dead_backend_is_502_and_a_deaf_one_504(self):
        with deaf_port() as deaf:
            sheaf = self.start(upstreams=f'  dead: {{servers: ["http://127.0.0.1:{free_port()}"]}}\n'
                                         f'  deaf: {{servers: ["http://127.0.0.1:{deaf}"], connect_timeout: 200ms}}',
                               routes='- {match: "/dead", upstream: dead}\n  - {match: "/deaf", upstream: deaf}')
            dead, deaf_, fine = self.run_items("/dead", "/deaf", "/o/text", sheaf=sheaf)
        self.assert_problem(dead, 502, "refused")
        self.assert_problem(deaf_, 504, "connect-timeout")
        self.assertEqual(fine["status"], 200)

    def test_idle_connections_expire(self):
        sheaf = self.start(upstream="keepalive: 100ms")
        self.run_items(*["/o/text"] * 5, sheaf=sheaf)
        wait_until(lambda: sheaf.metrics()['sheaf_backend_connections{state="idle"}'] == 0, 5, "no idle connection")

    def test_a_backends_own_keepalive_is_honoured_less_a_second(self):
        sheaf = self.start()
        self.run_items("/o/keepalive/2", sheaf=sheaf)
        started = time.monotonic()
        wait_until(lambda: sheaf.metrics()['sheaf_backend_connections{state="idle"}'] == 0, 5, "no idle connection")
        self.assertLess(time.monotonic() - started, 2)


if __name__ == "__main__":
    unittest.main()
