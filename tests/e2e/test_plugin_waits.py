"""Plugins that wait: for a descriptor, for time, for an answer; ended inside their own callbacks, by a reload, by the end of all."""
import json
import pathlib
import signal
import unittest

from harness import SHEAF, Case, wait_until

OBJECTS = pathlib.Path(SHEAF).resolve().parent / "tests" / "plugins"


class Waits(Case):
    places = {"top": f"plugins: [{{file: {OBJECTS}/waiter.so, upstream: origin}}]", "endpoint": "timeout: 5s"}

    def count(self, name, sheaf=None):
        return (sheaf or self.sheaf).metrics()[f'sheaf_plugin_{name}_total{{plugin="waiter"}}']

    def reload(self):
        before = self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}']
        self.sheaf.write_conf(upstream=f"timeout: {9000 + int(before)}ms")
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == before + 1, what="the reload")

    def item(self, how):
        return {"url": "/o/text", "headers": {"x-wait": how}}

    def test_a_wait_may_be_ended_in_its_own_callback(self):
        for how, counter in (("watch", "watched"), ("call", "answered"), ("time", "timed")):
            with self.subTest(how=how):
                before = self.count(counter)
                results = self.run_items(*[self.item(how)] * 20)
                self.assertEqual({result["status"] for result in results}, {200})
                answer = self.sheaf.request("GET", "/o/text", headers={"x-wait": how})
                self.assertEqual(answer.status, 200)
                wait_until(lambda: self.count(counter) == before + 21, what="the count")

    def test_a_call_may_be_made_when_its_request_is_over(self):
        answered, stale = self.count("answered"), self.count("stale")
        self.assertEqual(self.sheaf.batch(["/o/text"], {"x-wait-done": "1"}).status, 207)
        self.assertEqual(self.sheaf.request("GET", "/o/text", headers={"x-wait-done": "1"}).status, 200)
        wait_until(lambda: (self.count("answered"), self.count("stale")) == (answered + 2, stale + 2), what="two answers")

    def test_what_is_held_when_the_configuration_changes_is_answered_by_who_holds_it(self):
        timed = self.count("timed")
        end = self.run_aside(*[self.item("time")] * 3)
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] == 3, what="held items")
        self.reload()
        self.assertEqual([result["body"] for result in end()], ["timed"] * 3)
        wait_until(lambda: self.count("timed") == timed + 3, what="the timers")

    def test_a_client_that_left_is_not_answered(self):
        timed, aborts = self.count("timed"), self.sheaf.metrics()["sheaf_client_aborts_total"]
        conn = self.sheaf.connect()
        conn.request("POST", "/batch", json.dumps([self.item("time")] * 3), {"Content-Type": "application/json"})
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] == 3, what="held items")
        conn.close()
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_aborts_total"] == aborts + 1, what="the abort")
        wait_until(lambda: self.count("timed") == timed + 3, what="the timers")
        self.assertEqual(self.sheaf.metrics()["sheaf_plugin_faults_total"], 0)

    def test_what_is_begun_in_close_ends_with_it(self):
        for _ in range(3):
            self.reload()
            self.assertEqual(self.run_item(self.item("watch"))["status"], 200)


if __name__ == "__main__":
    unittest.main()
