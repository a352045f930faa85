"""Backends at the other end of a network that loses, chokes and breaks: namespaces, packet filters, shaping."""
import json
import pathlib
import tempfile
import time
import unittest

import netns
from harness import SHEAF, Case, wait_until

RACED = "sheaf_backend_connections_raced_total"
SLACK = 4.0  # what a busy machine may add, seconds


class Networks(Case):
    def setUp(self):
        if netns.missing():
            self.skipTest(netns.missing())
        self.net = netns.Net()
        self.addCleanup(self.net.close)
        self.far = self.net.origin()
        self.addCleanup(self.far.kill)

    def gateway(self, keys, hosts=None, spare=False, **places):
        """/n/... leads to the far origin, or to one of `hosts`; with a `spare` one here as its equal."""
        hosts = hosts or [self.net.ip]
        urls = [f'"http://{host}:{self.far.at}"' for host in hosts] + [f'"http://127.0.0.1:{self.origin.at}"'] * spare
        return self.start(endpoint="timing: true, max_item_body: 4MiB",
                          upstreams=f'n: {{servers: [{", ".join(urls)}], {keys}}}',
                          routes='- {match: "/n/{rest...}", rewrite: "/{rest...}", upstream: n}', **places)

    def ask(self, sheaf, count, path="/n/json/200"):
        """The results of `count` items; a sibling at home must not have felt anything."""
        *results, sibling = self.run_items(*[path] * count, "/o/text", sheaf=sheaf)
        self.assertEqual(sibling["status"], 200)
        self.assertLess(sibling["elapsedMs"], 500)
        return results

    def assert_whole(self, results, length=200):
        for result in results:
            self.assertEqual(result["status"], 200, str(result)[:300])
            self.assertEqual(len(result["body"]["fill"]), length)

    # --- packets that vanish ---

    def test_a_host_that_answers_nothing_costs_the_connect_timeout(self):
        self.net.drop("-p", "tcp")
        sheaf = self.gateway("connect_timeout: 500ms")
        for result in self.ask(sheaf, 10):
            self.assert_problem(result, 504, "connect-timeout")
            self.assertLess(result["elapsedMs"], 500 + 1000 * SLACK)
        self.net.heal()
        self.assert_whole(self.ask(sheaf, 10))

    def test_a_host_that_answers_nothing_costs_no_item_beside_another_server(self):
        self.net.drop("-p", "tcp")
        sheaf = self.gateway("connect_timeout: 500ms, retry: {budget: 100%}", spare=True)
        self.assert_whole(self.ask(sheaf, 20))
        started = time.monotonic()
        for _ in range(10):
            self.assert_whole(self.ask(sheaf, 4))
        self.assertLess(time.monotonic() - started, 0.5 + SLACK)  # it is tried again one at a time

    def test_kept_connections_to_a_host_that_vanished_cost_no_item_where_timeouts_are_retried(self):
        sheaf = self.gateway("connect_timeout: 500ms, first_byte_timeout: 500ms, outlier: {errors: 3, eject: 60s}, "
                             "retry: {on: [connect, reset, timeout], budget: 100%}", spare=True)
        self.assert_whole(self.ask(sheaf, 40))
        self.net.drop("-p", "tcp")
        self.assert_whole(self.ask(sheaf, 40))
        self.assertEqual(sheaf.metrics()["sheaf_servers_ejected"], 1)
        for result in self.ask(sheaf, 40):
            self.assert_whole([result])
            self.assertLess(result["elapsedMs"], 450)  # nobody waits for it any more

    def test_one_packet_in_ten_lost_both_ways_changes_no_status(self):
        self.net.lose("0.1")
        sheaf = self.gateway("connect_timeout: 8s, timeout: 20s, retry: {}")
        started = time.monotonic()
        for length in (200, 20000):
            self.assert_whole(self.ask(sheaf, 30, f"/n/json/{length}"), length)
        self.assertLess(time.monotonic() - started, 20)

    # --- a narrow cable, and one that is cut ---

    def test_a_narrow_cable_is_no_silence(self):
        self.net.shape("2mbit")
        sheaf = self.gateway("first_byte_timeout: 2s, idle_timeout: 400ms, timeout: 30s")
        started = time.monotonic()
        self.assert_whole(self.ask(sheaf, 1, "/n/json/400000"), 400000)
        self.assertGreater(time.monotonic() - started, 1.0)

    def test_nor_is_one_that_a_request_takes_long_to_pass(self):
        """Our kernel has all of it long before the backend does."""
        self.net.shape_near("2mbit")
        sheaf = self.gateway("first_byte_timeout: 500ms, timeout: 30s")
        started = time.monotonic()
        result = self.run_item({"method": "POST", "url": "/n/text", "body": "x" * 500000}, sheaf=sheaf)
        self.assertEqual(result["status"], 200, result)
        self.assertGreater(time.monotonic() - started, 1.5)

    def test_a_cable_cut_within_an_answer_is_told_by_the_idle_timeout(self):
        self.net.shape("1mbit")
        sheaf = self.gateway("connect_timeout: 500ms, idle_timeout: 400ms, timeout: 30s, retry: {on: [connect, reset, timeout]}")
        client = sheaf.connect()
        self.addCleanup(client.close)
        received = 'sheaf_backend_bytes_total{direction="in"}'
        before = sheaf.metrics()[received]
        client.request("POST", "/batch", '{"requests":[{"url":"/n/json/1000000"},{"url":"/o/text"}]}',
                       {"Content-Type": "application/json"})
        wait_until(lambda: sheaf.metrics()[received] > before + 20000, what="an answer under way")
        self.net.cut()
        started = time.monotonic()
        results = json.loads(client.getresponse().read())["responses"]
        self.assertLess(time.monotonic() - started, 0.4 + SLACK)
        self.assert_problem(results[0], 504, "timeout")
        self.assertIn("progress", results[0]["body"]["detail"])
        self.assertEqual(results[1]["status"], 200)
        for result in self.ask(sheaf, 3):
            self.assertIn(result["status"], (502, 504))
        self.net.mend()
        wait_until(lambda: self.ask(sheaf, 1)[0]["status"] == 200, what="the cable is mended")

    # --- addresses that are known not to be there ---

    def test_an_address_that_routers_call_unreachable_is_told_at_once(self):
        self.net.rule("REJECT --reject-with icmp-host-unreachable", "-p", "tcp")
        sheaf = self.gateway("connect_timeout: 5s")
        for result in self.ask(sheaf, 5):
            self.assert_problem(result, 502, "refused")
            self.assertIn("host is unreachable", result["body"]["detail"])
            self.assertLess(result["elapsedMs"], 1000 * SLACK)
        spared = self.gateway("connect_timeout: 5s", spare=True)
        self.assert_whole(self.ask(spared, 10))

    def test_an_address_that_nobody_has_costs_the_connect_timeout_and_another_server_answers(self):
        sheaf = self.gateway("connect_timeout: 300ms", hosts=[self.net.nobody])
        for result in self.ask(sheaf, 3):
            self.assert_problem(result, 504, "connect-timeout")
        spared = self.gateway("connect_timeout: 300ms", hosts=[self.net.nobody, self.net.ip])
        self.assert_whole(self.ask(spared, 10))

    # --- two families ---

    def named(self, keys):
        """A gateway that knows the far host by a name of both families."""
        folder = tempfile.TemporaryDirectory(prefix="sheaf-hosts-")
        self.addCleanup(folder.cleanup)
        hosts = pathlib.Path(folder.name) / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{self.net.ip} far.test\n{self.net.ip6} far.test\n")
        script = pathlib.Path(folder.name) / "sheaf"
        script.write_text("#!/bin/sh\nexec unshare -m "
                          f"sh -c 'mount --bind {hosts} /etc/hosts && exec {SHEAF} \"$@\"' sheaf \"$@\"\n")
        script.chmod(0o755)
        return self.gateway(keys, hosts=["far.test"], binary=str(script))

    def test_a_family_that_is_swallowed_delays_a_name_by_a_moment(self):
        for v6 in (True, False):
            with self.subTest(swallowed="IPv6" if v6 else "IPv4"):
                self.net.drop("-p", "tcp", v6=v6)
                sheaf = self.named("connect_timeout: 4s")
                results = self.ask(sheaf, 10)
                self.assert_whole(results)
                self.assertLess(max(result["elapsedMs"] for result in results), 2000)
                self.assertGreater(sheaf.metrics()[RACED], 0)
                self.net.heal()

    def test_a_family_that_vanishes_later_is_left(self):
        sheaf = self.named("connect_timeout: 4s, first_byte_timeout: 500ms, keepalive: 0s, retry: {on: [connect, timeout]}")
        for v6 in (True, False):
            self.net.drop("-p", "tcp", v6=v6)
            for _ in range(3):
                self.assert_whole(self.ask(sheaf, 4))
            self.net.heal()
            self.assert_whole(self.ask(sheaf, 4))


if __name__ == "__main__":
    unittest.main()
