"""Pipelining before servers that others wrote, and over a line that cuts: every item gets the answer to its own request."""
import unittest

import peers
from fault_proxy import END, RESET, Fault, FaultProxy
from harness import Case, Load, Origin, Sheaf
from pki import Pki

KEYS = "pipeline: 8, max_connections: 2, timeout: 20s"
PIPELINED, CUTS = "sheaf_exchanges_pipelined_total", "sheaf_pipeline_cuts_total"


def items(way, count, first=0):
    return [f"/{way}/echo?n={number}" for number in range(first, first + count)]


class Pipelining(Case):
    """/KIND/... leads to the peer as its kind says, /cut/... and /crumbs/... to it through proxies that do so."""

    @classmethod
    def begin(cls, peer):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.peer = peer(cls.origin, cls.pki, cls.pki.make("localhost", "DNS:localhost,IP:127.0.0.1"))
        cls.addClassCleanup(cls.peer.close)
        cls.cut = FaultProxy(cls.peer.ports["clear"])
        cls.addClassCleanup(cls.cut.stop)
        crumbs = FaultProxy(cls.peer.ports["clear"], Fault(piece=7))
        cls.addClassCleanup(crumbs.stop)
        ports = {**cls.peer.ports, "cut": cls.cut.at, "crumbs": crumbs.at}
        urls = {name: f"http{'s' if name == 'tls' else ''}://127.0.0.1:{ports[name]}"
                for name in ("clear", "tls", "cut", "crumbs")}
        cls.sheaf = Sheaf(
            cls.origin, endpoint="parallel: 1000, max_items: 1000, timing: true",
            upstreams="\n".join(f'{name}: {{servers: ["{url}"], {KEYS}' +
                                (f", tls: {{ca: {cls.pki.ca}}}" if name == "tls" else "") + "}"
                                for name, url in urls.items()),
            routes="\n".join(f'- {{match: "/{name}/{{rest...}}", rewrite: "/{{rest...}}", upstream: {name}}}' for name in urls))
        cls.addClassCleanup(cls.sheaf.stop)

    def count(self, metric):
        return self.sheaf.metrics()[metric]

    def assert_each_its_own(self, urls):
        for url, result in zip(urls, self.run_items(*urls)):
            self.assertEqual(result["status"], 200, result)
            self.assertEqual(result["body"]["target"], "/" + url.split("/", 2)[2])

    def test_each_item_gets_its_own_answer(self):
        for way in ("clear", "tls"):
            with self.subTest(way=way):
                before = self.count(PIPELINED)
                for first in range(0, 400, 100):
                    self.assert_each_its_own(items(way, 100, first))
                self.assertGreater(self.count(PIPELINED), before + 200)

    def test_what_is_not_safe_stands_alone_and_is_sent_once(self):
        posts = [{"url": f"/clear/echo?n={number}", "method": "POST", "body": {"n": number}} for number in range(20)]
        gets = items("clear", 60)
        mixed = [item for trio in zip(gets[:20], posts, gets[20:40]) for item in trio] + gets[40:]
        for item, result in zip(mixed, self.run_items(*mixed)):
            self.assertEqual(result["status"], 200, result)
            wanted = item if isinstance(item, str) else item["url"]
            self.assertEqual(result["body"]["target"], "/" + wanted.split("/", 2)[2])
            self.assertEqual(result["body"]["method"], "GET" if isinstance(item, str) else "POST")

    def test_conns_that_are_cut_anywhere_cost_nothing(self):
        for then in (END, RESET):
            for after in range(700, 4000, 173):
                with self.subTest(then=then, after=after):
                    self.cut.fault = Fault(after=after, then=then)
                    before, accepted, urls = self.count(CUTS), self.cut.accepted, items("cut", 50)
                    results = self.run_items(*urls)
                    for url, result in zip(urls, results):
                        if result["status"] == 200:
                            self.assertEqual(result["body"]["target"], "/" + url.split("/", 2)[2])
                        else: # its answer had begun: one for each conn that ended, and nobody else's
                            self.assert_problem(result, 502, "reset")
                    lost = sum(result["status"] != 200 for result in results)
                    self.assertLessEqual(lost, self.cut.accepted - accepted + 2)
                    self.assertGreater(self.count(CUTS), before)

    def test_in_crumbs_it_is_the_same(self):
        before = self.count(PIPELINED)
        for _ in range(2):
            self.assert_each_its_own(items("crumbs", 30))
        self.assertGreater(self.count(PIPELINED), before + 20)

    def test_a_slow_first_holds_up_nobody_for_long(self):
        self.assert_each_its_own(items("clear", 20))
        urls = ["/clear/delay/1500/text", *items("clear", 7)]
        results = self.run_items(*urls)
        self.assertEqual([result["status"] for result in results], [200] * len(urls))
        for result in results[1:]:
            self.assertLess(result["elapsedMs"], 1000)

    def test_reloads_and_batches_side_by_side(self):
        load = Load(self.sheaf, items("clear", 30) + items("tls", 30) + ["/clear/delay/5/text"], threads=4)
        for _ in range(3):
            self.peer.reload()
            load.wait_for(3)
        self.assertEqual(load.stop(), [])


@unittest.skipIf(peers.missing(), peers.missing())
class BeforeNginx(Pipelining):
    @classmethod
    def setUpClass(cls):
        cls.begin(peers.Nginx)


@unittest.skipIf(peers.missing(), peers.missing())
class BeforeHaproxy(Pipelining):
    @classmethod
    def setUpClass(cls):
        cls.begin(peers.Haproxy)


del Pipelining

if __name__ == "__main__":
    unittest.main()
