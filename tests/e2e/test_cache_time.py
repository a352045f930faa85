"""How long the cache lets those who ask it wait: never so long that no time is left to ask the backend, or to answer with what is stale."""
import time
import unittest

from harness import wait_until
from keeper import Keeping

FAULTS = "sheaf_plugin_faults_total"


class CacheTime(Keeping):
    def setUp(self):
        super().setUp()
        self.keeper.gate.set()
        self.keeper.stuck.clear()
        self.addCleanup(self.keeper.release)

    def tearDown(self):
        self.assertEqual(self.sheaf.metrics().get(FAULTS, 0), 0, "a plugin is blamed")

    def item(self, target, timeout="1s", **headers):
        return {"url": f"/k/{target}", "timeout": timeout, "headers": headers}

    def test_one_who_waits_asks_the_backend_itself_while_there_is_time(self):
        target = self.url(cc="max-age=60", stuck=1)
        leader = self.pool.submit(self.ask, "direct", target)
        wait_until(lambda: self.keeper.count(self.name) == 1, what="the question that is stuck")
        seen = self.run_item(self.item(target))
        self.assertEqual((seen["status"], seen["headers"]["cache-status"]), (200, "sheaf; fwd=uri-miss; stored"))
        self.assertEqual(self.keeper.count(self.name), 2)
        self.keeper.release()
        self.assertEqual(leader.result().status, 200)

    def test_one_who_waits_for_what_comes_late_but_in_time_has_it(self):
        target = self.url(cc="max-age=60", stuck=1)
        leader = self.pool.submit(self.ask, "direct", target)
        wait_until(lambda: self.keeper.count(self.name) == 1, what="the question that is stuck")
        end = self.run_aside(self.item(target, "30s"))
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] == 2, what="the one who waits")
        self.keeper.release()
        self.assertIn("collapsed", end()[0]["headers"]["cache-status"])
        self.assertEqual(leader.result().status, 200)
        self.assertEqual(self.keeper.count(self.name), 1)

    def test_a_backend_that_hangs_is_a_timeout_for_all_who_ask(self):
        target = self.url(cc="max-age=60")
        self.keeper.gate.clear()
        for result in self.run_items(*[self.item(target)] * 3):
            self.assert_problem(result, 504, "timeout")

    def test_stale_stands_in_for_a_backend_that_hangs(self):
        target = self.url(cc="max-age=0, stale-if-error=60", etag="a")
        first = self.ask("item", target)
        self.keeper.gate.clear()
        seen = self.run_item(self.item(target))
        self.assertEqual((seen["status"], seen["body"]), (200, first.body))

    def test_a_backend_that_hangs_while_it_is_asked_whether_an_answer_holds_is_a_timeout(self):
        target = self.url(cc="max-age=0", etag="a")
        self.ask("item", target)
        self.keeper.gate.clear()
        begun = time.monotonic()
        self.assert_problem(self.run_item(self.item(target)), 504, "timeout")
        self.assertLess(time.monotonic() - begun, 3)


if __name__ == "__main__":
    unittest.main()
