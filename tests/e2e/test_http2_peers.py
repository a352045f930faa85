"""What passes between the gateway and the HTTP/2 of others: nginx, haproxy and nghttpd, in clear text and by TLS."""
import base64
import json
import random
import signal
import string
import time
import unittest

import peers
from fault_proxy import Fault, FaultProxy
from harness import Case, Sheaf, wait_until
from pki import equip
from slow_reader import batch_of, read_slowly

KINDS = ("h2c", "h2_tls")
NAMES = ("nginx", "haproxy", "nghttpd")
HTTP2 = "sheaf_exchanges_http2_total"
MIB = 1 << 20
RECEIVED = 'sheaf_backend_bytes_total{direction="in"}'
SILENCE = "first_byte_timeout: 20s, idle_timeout: 20s, ping: 300ms"  # only a PING can tell
SLACK = 3.0  # what a busy machine may add, seconds


@unittest.skipIf(peers.missing(*NAMES), peers.missing(*NAMES))
class Http2Peers(Case):
    """/NAME/KIND/... leads to one of them; from /NAME/KIND/spared/... the origin stands in for it."""

    @classmethod
    def setUpClass(cls):
        equip(cls)
        cls.peers = {}
        for name, make in zip(NAMES, (peers.Nginx, peers.Haproxy, peers.Nghttpd)):
            cls.peers[name] = make(cls.origin, cls.pki, cls.pair)
            cls.addClassCleanup(cls.peers[name].close)
        cls.ways = [(name, kind) for name in NAMES for kind in KINDS]
        cls.sheaf = Sheaf(cls.origin, **cls.make_places())
        cls.addClassCleanup(cls.sheaf.stop)

    @classmethod
    def make_places(cls, keys="", ports=None):
        """Another gateway with more `keys`; `ports` by way, where something stands between."""
        lines, routes = [], []
        for name, kind in cls.ways:
            port = (ports or {}).get((name, kind), cls.peers[name].ports[kind])
            tls = f"tls: {{ca: {cls.pki.ca}}}, " if kind == "h2_tls" else ""
            scheme = "https" if tls else "http"
            lines.append(f'{name}_{kind}: {{servers: ["{scheme}://127.0.0.1:{port}"], {tls}{keys}protocol: http2}}')
            head, to = f'- {{match: "/{name}/{kind}/', f'rewrite: "/{{rest...}}", upstream: {name}_{kind}'
            routes += [f'{head}spared/{{rest...}}", {to}, fallback: origin}}',
                       f'{head}{{rest...}}", {to}, compress: true, max_body: 8MiB}}']
        return {"upstreams": "\n".join(lines), "routes": "\n".join(routes),
                "endpoint": "max_items: 1000, max_body: 64MiB, max_item_body: 8MiB, budget: 64MiB, parallel: 1000"}

    def each(self, behind_origin, of_nghttpd, **more):
        """An item a way."""
        return [{"url": f"/{name}/{kind}{of_nghttpd if name == 'nghttpd' else behind_origin}", **more}
                for name, kind in self.ways]

    def assert_statuses(self, results, status):
        self.assertEqual([result["status"] for result in results], [status] * len(results), str(results)[:2000])

    # --- what passes ---

    def test_a_mebibyte_comes_back_as_it_went(self):
        dice = random.Random(1)
        text = "".join(dice.choices(string.printable[:95], k=MIB))
        sent = {"method": "POST", "headers": {"content-type": "text/plain"}}
        items = [item for at in range(2) for item in self.each("/echo", "/upload", **sent, body=text[at:] + text[:at])]
        results = self.run_items(*items)
        self.assert_statuses(results, 200)
        for item, result in zip(items, results):
            body = result["body"]["body"] if "/echo" in item["url"] else base64.b64decode(result["body"]).decode()
            self.assertTrue(body == item["body"], item["url"])

    def test_large_answers_wait_for_a_slow_client(self):
        length = peers.Nghttpd.BIG
        urls = [item["url"] for item in self.each(f"/json/{length}", "/big.json")]
        status, text, _, _ = read_slowly(self.sheaf, batch_of(urls), 12 * MIB)
        self.assertEqual(status, 207)
        for result in json.loads(text)["responses"]:
            self.assertEqual((result["status"], result["body"]), (200, {"fill": length}))

    def test_large_answers_of_slow_backends_come_whole(self):
        ports = {}
        for name, kind in self.ways:
            proxy = FaultProxy(self.peers[name].ports[kind], Fault(piece=50000, pause=0.01))
            self.addCleanup(proxy.stop)
            ports[name, kind] = proxy.at
        sheaf = self.start(**self.make_places("idle_timeout: 2s, max_connections: 1, ", ports))
        items = self.each("/json/2000000", "/big.json")
        for result in self.run_items(*items, sheaf=sheaf):
            self.assertEqual(result["status"], 200, str(result)[:300])
            self.assertTrue(result["body"]["fill"] == (peers.ALPHABET * 80000)[:2000000])

    def test_what_has_no_body_has_none(self):
        results = self.run_items(*self.each("/json/200", "/small.txt", method="HEAD"))
        self.assert_statuses(results, 200)
        self.assertEqual([result.get("body") for result in results], [None] * len(results))
        lengths = {result["headers"]["content-length"] for result in results if "content-length" in result["headers"]}
        self.assertLessEqual(lengths, {"211", "6"})
        since = {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        self.assert_statuses(self.run_items(*self.each("/status/304", "/small.txt", headers=since)), 304)
        results = self.run_items(*[item for item in self.each("/head204", "/") if "nghttpd" not in item["url"]])
        self.assert_statuses(results, 204)
        self.assertEqual([result.get("body") for result in results], [None] * len(results))
        self.assert_statuses(self.run_items(*self.each("/text", "/small.txt")), 200)  # their connections still serve

    def test_gzip_is_made_plain(self):
        name = 'sheaf_answers_decompressed_total{outcome="ok"}'
        before = self.sheaf.metrics()[name]
        results = self.run_items(*[f"/{name}/{kind}/json/30000" for name, kind in self.ways if name != "nghttpd"])
        self.assert_statuses(results, 200)
        for result in results:
            self.assertEqual(len(result["body"]["fill"]), 30000)
            self.assertNotIn("content-encoding", result["headers"])
        self.assertEqual(self.sheaf.metrics()[name], before + len(results))

    def test_trailers_end_an_answer_and_are_no_headers(self):
        results = self.run_items(*self.each("/chunked/2500?trailers", "/big.json"))
        self.assert_statuses(results, 200)
        for result in results:
            self.assertIn(len(result["body"]), (2500, 1))
            self.assertFalse({name for name in result["headers"] if name in ("x-sum", "x-trailer", "trailer")}, result["headers"])

    def test_no_more_streams_are_opened_than_the_backend_wants(self):
        """nghttpd would refuse the eighth, and that would cost another exchange."""
        self.run_items("/nghttpd/h2c/small.txt")
        before = self.sheaf.metrics()
        self.assert_statuses(self.run_items(*["/nghttpd/h2c/small.txt"] * 300), 200)
        after = self.sheaf.metrics()
        self.assertEqual(after[HTTP2] - before[HTTP2], 300)

    # --- trouble ---

    def begin(self, sheaf, items, received):
        """Posts them from a thread of its own; returns when so many bytes of answers have come. The call that is
        returned waits for the results."""
        before = sheaf.metrics()[RECEIVED]
        end = self.run_aside(*items, sheaf=sheaf)
        wait_until(lambda: sheaf.metrics()[RECEIVED] - before >= received, what="answers under way")
        return end

    def test_killed_within_its_answers_they_fail_and_started_again_it_serves(self):
        for name in NAMES:
            with self.subTest(name):
                self.check_death(name, "/big.json" if name == "nghttpd" else "/chunked/2000000")

    def revive(self, peer):
        if peer.process.poll() is not None:
            peer.start()

    def check_death(self, name, path):
        peer, ports = self.peers[name], {}
        for kind in KINDS:
            proxy = FaultProxy(peer.ports[kind], Fault(piece=20000, pause=0.02))
            self.addCleanup(proxy.stop)
            ports[name, kind] = proxy.at
        sheaf = self.start(**self.make_places("retry: {budget: 100%}, ", ports))
        items = [f"/{name}/{kind}{path}" for kind in KINDS for _ in range(4)]
        others = [item for item in self.each("/delay/500/text", "/small.txt") if f"/{name}/" not in item["url"]]
        end = self.begin(sheaf, [*items, *others, "/o/text"], 200000)
        peer.kill()
        self.addCleanup(lambda: self.revive(peer))
        results = end()
        self.assert_statuses(results[len(items):], 200)
        for result in results[:len(items)]:  # what had begun is not repeated; what had not is, and nobody is there
            self.assertEqual(result["status"], 502, str(result)[:300])
            self.assertIn(result["body"]["type"].rsplit(":", 1)[1], ("reset", "refused", "tls"), result)
        begun = [result["body"]["detail"] for result in results[:len(items)] if result["body"]["type"].endswith(":reset")]
        self.assertTrue(any(": within its answer: " in detail for detail in begun), results[:len(items)])
        self.revive(peer)
        small = self.each("/text", "/small.txt") * 5
        self.assert_statuses(self.run_items(*small, sheaf=sheaf), 200)

    def test_stopped_a_ping_tells_and_the_fallback_stands_in(self):
        sheaf = self.start(**self.make_places(SILENCE + ", "))
        self.assert_statuses(self.run_items(*self.each("/text", "/small.txt"), sheaf=sheaf), 200)
        for peer in self.peers.values():
            peer.signal(signal.SIGSTOP)
            self.addCleanup(lambda peer=peer: peer.signal(signal.SIGCONT))
        plain, spared = self.each("/text", "/small.txt"), self.each("/spared/text", "/spared/text")
        started = time.monotonic()
        results = self.run_items(*plain, *spared, sheaf=sheaf)
        self.assertLess(time.monotonic() - started, 0.6 + SLACK)
        for result in results[:len(plain)]:
            self.assert_problem(result, 502, "reset")
            self.assertIn("PING", result["body"]["detail"])
        self.assert_statuses(results[len(plain):], 200)
        for peer in self.peers.values():
            peer.signal(signal.SIGCONT)
        self.assert_statuses(self.run_items(*self.each("/text", "/small.txt"), sheaf=sheaf), 200)


if __name__ == "__main__":
    unittest.main()
