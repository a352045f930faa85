"""Workers that live and do nothing."""
import os
import signal
import time
import unittest

from harness import RawClient, free_port, wait_until
from pki import Pki, handshake, tls_yaml
from test_processes import Processes, outcome, state, stopped


class Stuck(Processes):
    """A worker that shows no sign of life is replaced; the others go on meanwhile."""

    def stuck(self, sheaf):
        return sheaf.metrics()["sheaf_worker_stuck_total"]

    def stop_for_good(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: state(pid) != "Z" and os.kill(pid, signal.SIGKILL))
        wait_until(lambda: state(pid) == "T", 5, "a stopped process")

    def test_a_stopped_worker_is_replaced_and_the_others_accept_meanwhile(self):
        sheaf = self.start_ready(2, top="stuck_after: 1s")
        victim, other = sheaf.children()
        self.stop_for_good(victim)
        stopped_at = time.monotonic()
        answered = 0
        while victim in sheaf.children():
            self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
            answered += 1
            self.assertLess(time.monotonic() - stopped_at, 10, "it is to be replaced")
        seconds = time.monotonic() - stopped_at
        self.assertGreater(seconds, 0.9)
        self.assertGreater(answered, 20)
        wait_until(lambda: len(sheaf.children()) == 2, 5, "the successor")
        self.assertIn(other, sheaf.children())
        self.assertEqual(self.stuck(sheaf), 1)
        self.assertEqual(sheaf.metrics()["sheaf_worker_restarts_total"], 1)
        self.assertTrue([line for line in sheaf.err if f"(pid {victim}) shows no sign of life" in line])

    def test_no_new_connection_waits_for_it_in_clear_text_or_over_tls(self):
        pki, port = Pki(), free_port()
        self.addCleanup(pki.folder.cleanup)
        pair = pki.make("localhost", "DNS:localhost,IP:127.0.0.1")
        sheaf = self.start_ready(2, top="stuck_after: 2s", listeners=f', {{address: "127.0.0.1:{port}", {tls_yaml(pair)}}}')
        victim, _ = sheaf.children()
        context = pki.context()
        self.stop_for_good(victim)
        slowest, opened = 0, [0, 0]
        while victim in sheaf.children():
            for at, connect in enumerate((lambda: RawClient(sheaf.at).sock, lambda: handshake(port, context))):
                began = time.monotonic()
                client = RawClient.__new__(RawClient)
                client.sock = connect()
                client.post([{"url": "/o/text"}])
                self.assertEqual(outcome(client), [200])
                client.close()
                slowest, opened[at] = max(slowest, time.monotonic() - began), opened[at] + 1
        self.assertGreater(min(opened), 20)
        self.assertLess(slowest, 1, "less than any wait for the one that is stuck")
        self.assertEqual(self.stuck(sheaf), 1)

    def test_the_only_worker_too_and_who_waited_is_answered(self):
        sheaf = self.start_ready(1, top="stuck_after: 1s")
        (victim,) = sheaf.children()
        self.stop_for_good(victim)
        client = RawClient(sheaf.at)
        client.post({"requests": [{"url": "/o/text"}]})
        self.assertEqual(outcome(client), [200])
        self.assertNotIn(victim, sheaf.children())

    def test_a_reload_waits_for_the_successor(self):
        sheaf = self.start_ready(2, top="stuck_after: 1s")
        victim, _ = sheaf.children()
        self.stop_for_good(victim)
        sheaf.write_conf(routes='- {match: "/new", rewrite: "/text", upstream: origin}')
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.run_item("/new", sheaf=sheaf)["status"] == 200, what="the reload")
        self.assert_each_worker(sheaf, 2, "/new", 200)
        metrics = sheaf.metrics()
        self.assertEqual([metrics[f'sheaf_reloads_total{{outcome="{outcome}"}}'] for outcome in ("ok", "failed")], [1, 0])
        self.assertEqual(self.stuck(sheaf), 1)

    def test_a_drain_does_not_wait_for_it(self):
        sheaf = self.start_ready(2, top="stuck_after: 1s\ndrain: {timeout: 60s}")
        victim, _ = sheaf.children()
        self.stop_for_good(victim)
        sheaf.signal(signal.SIGTERM)
        self.assert_ends(sheaf)

    def test_one_that_lives_is_let_be_and_a_stopped_gateway_is_nobodys_fault(self):
        sheaf = self.start_ready(2, top="stuck_after: 1s")
        before = sheaf.children()
        with stopped(sheaf.pid, *before):
            end = time.monotonic() + 2.5
            wait_until(lambda: time.monotonic() > end, what="more than stuck_after")
        end = time.monotonic() + 1
        while time.monotonic() < end:
            self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.children(), before)
        self.assertEqual(self.stuck(sheaf), 0)

    def test_never_means_never(self):
        sheaf = self.start_ready(1, top="stuck_after: 0s")
        (pid,) = sheaf.children()
        with stopped(pid):
            end = time.monotonic() + 1
            wait_until(lambda: time.monotonic() > end, what="a while")
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.children(), [pid])


if __name__ == "__main__":
    unittest.main()
