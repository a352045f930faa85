"""The first items for https:// servers of which nobody knows yet whether they speak HTTP/2: nginx, with it and without."""
import unittest

import peers
from harness import Case, Origin
from pki import Pki

OPENED = "sheaf_backend_connections_opened_total"
ITEMS = 100


@unittest.skipIf(peers.missing("nginx"), peers.missing("nginx"))
class Cold(Case):
    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.nginx = peers.Nginx(cls.origin, cls.pki, cls.pki.make("localhost", "DNS:localhost,IP:127.0.0.1"))
        cls.addClassCleanup(cls.nginx.close)

    def ask(self, kind, keys=""):
        """A gateway that has asked a cold server all at once, and what versions of HTTP came to that."""
        sheaf = self.start(
            upstreams=f'cold: {{servers: ["https://127.0.0.1:{self.nginx.ports[kind]}"], tls: {{ca: {self.pki.ca}}}{keys}}}',
            routes='- {match: "/cold/{rest...}", rewrite: "/{rest...}", upstream: cold}',
            endpoint=f"max_items: {ITEMS}, parallel: {ITEMS}")
        results = self.run_items(*[f"/cold/json/{100 + at}" for at in range(ITEMS)], sheaf=sheaf)
        for at, result in enumerate(results):
            self.assertEqual((result["status"], len(result["body"]["fill"])), (200, 100 + at), str(result)[:300])
        return sheaf, {result["headers"]["x-spoken"] for result in results}

    def test_a_hundred_items_open_one_connection_that_speaks_http2(self):
        sheaf, spoken = self.ask("h2_tls")
        self.assertEqual(spoken, {"HTTP/2.0"})
        self.assertEqual(sheaf.metrics()[OPENED], 1)

    def test_a_hundred_items_are_answered_by_a_server_without_http2(self):
        sheaf, spoken = self.ask("tls", ", max_connections: 20")
        self.assertEqual(spoken, {"HTTP/1.1"})
        self.assertEqual(sheaf.metrics()[OPENED], 20)

    def test_who_may_fly_but_a_few_at_a_time_is_answered_too(self):
        for kind in ("h2_tls", "tls"):
            self.ask(kind, ", max_in_flight: 7, max_streams: 3, max_connections: 4")


if __name__ == "__main__":
    unittest.main()
