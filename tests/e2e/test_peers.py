"""nginx and haproxy as backends, killed, stopped, started again and reloaded while batches run."""
import signal
import unittest

import peers
from harness import Case, Load, Sheaf, wait_until
from pki import equip

COUNT = 5  # items of each kind
KEYS = "first_byte_timeout: 800ms, connect_timeout: 800ms, keepalive: 20s"
RETRY = ", retry: {on: [connect, reset, timeout], budget: 100%}"


@unittest.skipIf(peers.missing(), peers.missing())
class Peers:
    """One peer with all that it speaks: /KIND/plain/... leads to it alone, /KIND/retry/... to it and to the origin behind it."""

    @classmethod
    def setUpClass(cls):
        equip(cls)
        cls.peer = peers.PEERS[cls.name](cls.origin, cls.pki, cls.pair)
        cls.addClassCleanup(cls.peer.close)
        client = cls.pki.make("gateway")
        lines, routes = [], []
        for kind, port in cls.peer.ports.items():
            tls = f"ca: {cls.pki.ca}" + (f", certificate: {client[0]}, key: {client[1]}" if "mtls" in kind else "")
            is_tls = "tls" in kind
            url = f'"{"https" if is_tls else "http"}://127.0.0.1:{port}"'
            more = KEYS + (f", tls: {{{tls}}}" if is_tls else "")
            spare, fallback = f', "http://127.0.0.1:{cls.origin.at}"', ""
            if kind == "h2c":  # what stands in for it speaks HTTP/1: not in the same upstream
                more, spare, fallback = more + ", protocol: http2", "", ", fallback: origin"
            lines += [f"{kind}_plain: {{servers: [{url}], {more}}}",
                      f"{kind}_retry: {{servers: [{url}{spare}], {more}{RETRY}}}"]
            routes += [f'- {{match: "/{kind}/{way}/{{rest...}}", rewrite: "/{{rest...}}", upstream: {kind}_{way}{more}}}'
                       for way, more in (("plain", ""), ("retry", fallback))]
        cls.sheaf = Sheaf(cls.origin, upstreams="\n".join(lines), routes="\n".join(routes), endpoint="parallel: 1000")
        cls.addClassCleanup(cls.sheaf.stop)

    def setUp(self):
        self.addCleanup(self.revive)
        for way in ("plain", "retry"):
            self.assert_all_well(way)

    def revive(self):
        if self.peer.process.poll() is None:
            self.peer.signal(signal.SIGCONT)
        else:
            self.peer.start()

    def items(self, way, path, **more):
        return [{"url": f"/{kind}/{way}{path}", **more} for kind in self.peer.ports for _ in range(COUNT)]

    def assert_all_well(self, way, path="/text", **more):
        for result in self.run_items(*self.items(way, path, **more), "/o/text"):
            self.assertEqual(result["status"], 200, result)

    def used(self, way):
        """The kinds whose items come by the peer."""
        items = self.items(way, "/text")
        return {item["url"].split("/")[1] for item, result in zip(items, self.run_items(*items))
                if "x-spoken" in result["headers"]}

    def begin(self, items, flying):
        """Posts them from a thread of its own; returns when so many have reached the origin. The call that is returned
        waits for the results."""
        end = self.run_aside(*items)
        wait_until(lambda: self.origin.count()["flying"] >= flying, what="items at the origin")
        return end

    def test_it_is_spoken_to_as_its_configuration_says(self):
        items = self.items("plain", "/text")
        for item, result in zip(items, self.run_items(*items)):
            wanted = "HTTP/2.0" if item["url"].startswith("/h2") else "HTTP/1.1"
            self.assertEqual(result["headers"].get("x-spoken"), wanted, item)

    def test_killed_within_a_batch_it_costs_those_it_had_and_none_where_they_are_retried(self):
        plain, retried = self.items("plain", "/delay/500/text"), self.items("retry", "/delay/500/text")
        end = self.begin([*plain, *retried, "/o/delay/500/text"], len(plain) + len(retried) + 1)
        self.peer.kill()
        results = end()
        for result in results[:len(plain)]:
            self.assertEqual(result["status"], 502, result)  # what was kept is dialed once more, and may meet the dying
            self.assertIn(result["body"]["type"].rsplit(":", 1)[1], ("reset", "refused", "tls"))
        for result in results[len(plain):]:
            self.assertEqual(result["status"], 200, result)

    def test_killed_with_posts_it_costs_them_even_where_others_are_retried(self):
        wait_until(lambda: self.used("retry") == set(self.peer.ports), what="all trust in it after other deaths")
        posted = self.items("retry", "/delay/500/text", method="POST", body=1)
        end = self.begin(posted, len(posted))
        self.peer.kill()
        lost = dict.fromkeys(self.peer.ports, 0)
        for item, result in zip(posted, end()):
            if result["status"] != 200:  # the origin had it from the peer
                self.assert_problem(result, 502, "reset")
                lost[item["url"].split("/")[1]] += 1
        self.assertGreater(min(lost.values()), 0, lost)

    def test_dead_it_refuses_and_started_again_it_is_used(self):
        self.peer.kill()
        for result in self.run_items(*self.items("plain", "/text")):
            self.assert_problem(result, 502, "refused")
        self.assert_all_well("retry")
        self.assert_all_well("retry", "/echo", method="POST", body=1)
        self.peer.start()
        self.assert_all_well("plain")
        self.assert_all_well("plain", "/echo", method="POST", body=1)

    def test_started_again_between_two_batches_nobody_notices(self):
        for _ in range(2):
            self.peer.kill()
            self.peer.start()
            self.assert_all_well("plain", "/echo", method="POST", body=1)

    def test_stopped_it_costs_a_timeout_and_nothing_where_timeouts_are_retried(self):
        self.peer.signal(signal.SIGSTOP)
        results = self.run_items(*self.items("plain", "/text"), *self.items("retry", "/text"), "/o/text")
        for result in results[:COUNT * len(self.peer.ports)]:
            self.assertEqual(result["status"], 504, result)
            self.assertIn(result["body"]["type"].rsplit(":", 1)[1], ("timeout", "connect-timeout"))
        for result in results[COUNT * len(self.peer.ports):]:
            self.assertEqual(result["status"], 200, result)
        self.peer.signal(signal.SIGCONT)
        self.assert_all_well("plain")

    def test_reloaded_under_load_it_costs_nothing(self):
        items = self.items("plain", "/delay/5/text") + self.items("plain", "/echo", method="PUT", body=1)
        posts = self.items("plain", "/echo", method="POST", body=1)
        items += [item for item in posts if item["url"].startswith("/h2")]  # GOAWAY says what was not taken
        load = Load(self.sheaf, items, threads=2)
        for _ in range(3):
            self.peer.reload()
            load.wait_for(3)
        self.assertEqual(load.stop(), [])

    def test_reloaded_within_a_batch_it_finishes_what_it_has(self):
        items = self.items("plain", "/delay/400/text")
        end = self.begin(items, len(items))
        self.peer.reload()
        for result in end():
            self.assertEqual(result["status"], 200, result)


class BehindNginx(Peers, Case):
    name = "nginx"


class BehindHaproxy(Peers, Case):
    name = "haproxy"


if __name__ == "__main__":
    unittest.main()
