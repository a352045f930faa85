"""Copies of what goes to a backend, for an upstream that nobody waits for (routes[].mirror)."""
import signal
import time
import unittest

from harness import ROOT, Case, free_port, wait_until
from recorder import ANSWER, HANG_UP, MUTE, Recorder
from slow_reader import kib

RELEASE = ROOT / "build/release/sheaf"


class Mirrored(Case):
    """A route whose backend and whose mirror are recorders."""
    more = ""

    @classmethod
    def setUpClass(cls):
        cls.backend, cls.mirror = Recorder(), Recorder()
        cls.addClassCleanup(cls.backend.close)
        cls.addClassCleanup(cls.mirror.close)
        cls.places = {**cls.places, **cls.filled(cls.mirror.at)}
        super().setUpClass()

    @classmethod
    def filled(cls, mirror_at, mirror="", shadow="timeout: 60s"):
        return {"upstreams": f'backend: {{servers: ["http://127.0.0.1:{cls.backend.at}"]}}\n'
                             f'shadow: {{servers: ["http://127.0.0.1:{mirror_at}"], {shadow}}}',
                "routes": '- {match: "/m/{rest...}", rewrite: "/in/{rest...}", upstream: backend, host: client, '
                          f'request_headers: {{deny: [x-secret]}}, mirror: {{upstream: shadow{mirror}}}}}\n'
                          '- {match: "/plain", upstream: backend}',
                "endpoints": '- {path: /bulk, kind: bulk, max_items: 20000, max_body: 64MiB, parallel: 200, '
                             'each: {method: POST, url: "/m/${item/n}", body: "${item}"}}'}

    def setUp(self):
        self.backend.requests.clear()
        self.mirror.requests.clear()
        self.mirror.answer = ANSWER

    def count(self, outcome, sheaf=None):
        return (sheaf or self.sheaf).metrics()[f'sheaf_mirrored_total{{outcome="{outcome}"}}']

    def in_flight(self, sheaf=None):
        return (sheaf or self.sheaf).metrics()["sheaf_mirrors_in_flight"]

    def restart(self, mirror_at=None, mirror="", shadow="timeout: 60s", **more):
        return self.start(**{**self.filled(mirror_at or self.mirror.at, mirror, shadow), **more})


class Copies(Mirrored):
    def assert_same(self, count):
        wait_until(lambda: len(self.mirror.requests) >= count, what="a copy of each request")
        self.assertEqual(sorted(map(repr, self.mirror.requests)), sorted(map(repr, self.backend.requests)))
        self.assertEqual(len(self.backend.requests), count)

    def test_a_direct_request_is_copied_as_it_was_sent(self):
        for method, body in (("GET", None), ("HEAD", None), ("DELETE", None), ("POST", b"a=1"), ("PUT", b"x" * 300000)):
            answer = self.sheaf.request(method, "/m/a%20b?q=1", body, {"Host": "shop.example", "X-Secret": "1", "X-Own": "1",
                                                                       "Cookie": "c=1", "Range": "bytes=0-1"})
            self.assertEqual(answer.status, 200)
        self.assert_same(5)
        method, target, lines, body = self.mirror.requests[3]
        self.assertEqual((method, target, body), ("POST", "/in/a%20b?q=1", b"a=1"))
        self.assertIn("host: shop.example", [line.lower() for line in lines])
        self.assertIn("x-own: 1", lines)
        self.assertEqual([line for line in lines if "secret" in line or "mirror" in line or "sheaf" in line.replace("1.1 sheaf", "")],
                         [])

    def test_items_are_copied_each_and_elements_of_a_bulk(self):
        answer = self.sheaf.batch([{"id": "a", "method": "PATCH", "url": "/m/1", "headers": {"X-Own": "1"}, "body": {"a": 1}},
                                   {"method": "POST", "url": "/m/2", "body": {"of": {"$result": "a.status"}},
                                    "dependsOn": ["a"]}, "/m/3", "/plain"], {"Accept-Language": "de"})
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200] * 4)
        bulk = self.sheaf.post([{"n": number} for number in range(5)], path="/bulk")
        self.assertEqual(len(bulk.json["responses"]), 5)
        self.backend.requests = [request for request in self.backend.requests if request[1] != "/plain"]
        self.assert_same(8)
        self.assertIn('{"of": 200}', [request[3].decode() for request in self.mirror.requests])

    def test_what_never_flies_is_not_copied(self):
        self.assertEqual(self.sheaf.request("GET", "/none").status, 404)
        self.assert_problem(self.run_item({"url": "/m/../batch"}), 400, "item-url")
        self.sheaf.request("GET", "/m/last")
        self.assert_same(1)

    def test_an_original_that_is_retried_is_copied_once(self):
        backend = Recorder(HANG_UP)
        self.addCleanup(backend.close)
        places = self.filled(self.mirror.at)
        places["upstreams"] = places["upstreams"].replace(f"{self.backend.at}\"]", f"{backend.at}\"], retry: {{attempts: 3}}")
        sheaf = self.start(**places)
        self.assertEqual(sheaf.request("GET", "/m/x").status, 502)
        wait_until(lambda: self.count("answered", sheaf) == 1)
        self.assertEqual((len(backend.requests), len(self.mirror.requests)), (3, 1))

    def test_a_share_is_copied(self):
        sheaf = self.restart(mirror=", share: 30%")
        for _ in range(10):
            sheaf.batch([f"/m/{number}" for number in range(100)])
        wait_until(lambda: self.in_flight(sheaf) == 0)
        self.assertTrue(200 < len(self.mirror.requests) < 400, len(self.mirror.requests))


class Troubles(Mirrored):
    """Whatever becomes of copies, originals are answered as if there were none."""

    def ask(self, sheaf):
        begun = time.monotonic()
        answers = sheaf.batch([{"method": "POST", "url": f"/m/{number}", "body": {"n": number}} for number in range(20)])
        self.assertEqual([result["status"] for result in answers.json["responses"]], [200] * 20)
        self.assertEqual(sheaf.request("POST", "/m/direct", b"{}").status, 200)
        self.assertLess(time.monotonic() - begun, 5)

    def test_a_dead_mirror(self):
        sheaf = self.restart(mirror_at=free_port(), shadow="retry: {attempts: 5}")
        self.ask(sheaf)
        wait_until(lambda: self.count("failed", sheaf) == 21)
        self.assertEqual((self.in_flight(sheaf), sheaf.metrics()["sheaf_retries_total"]), (0, 0))

    def test_a_mirror_that_hangs_up(self):
        self.mirror.answer = HANG_UP
        sheaf = self.restart(shadow="retry: {attempts: 5}")
        self.ask(sheaf)
        wait_until(lambda: self.count("failed", sheaf) == 21)
        self.assertEqual(len(self.mirror.requests), 21)  # it is not asked again

    def test_a_mute_mirror_is_given_up_by_its_own_timeout(self):
        self.mirror.answer = MUTE
        sheaf = self.restart(shadow="timeout: 1s")
        self.ask(sheaf)
        self.assertEqual(self.in_flight(sheaf), 21)
        wait_until(lambda: self.count("failed", sheaf) == 21)

    def test_a_late_copy_is_not_sent_to_another_server(self):
        self.mirror.answer = MUTE
        places = self.filled(self.mirror.at, shadow="timeout: 1s, hedge: {after: 20ms}")
        places["upstreams"] = places["upstreams"].replace(f'"http://127.0.0.1:{self.mirror.at}"',
                                                          f'"http://127.0.0.1:{self.mirror.at}", "http://localhost:{self.mirror.at}"')
        sheaf = self.start(**places)
        self.assertEqual(sheaf.request("GET", "/m/x").status, 200)
        wait_until(lambda: self.count("failed", sheaf) == 1)
        self.assertEqual((len(self.mirror.requests), sheaf.metrics()["sheaf_hedges_total"]), (1, 0))

    def test_a_mirror_that_never_stops_talking(self):
        self.mirror.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * (4 << 20)
        sheaf = self.restart()
        self.ask(sheaf)
        wait_until(lambda: self.count("answered", sheaf) == 21)

    def test_a_mirror_that_breaks_the_protocol(self):
        self.mirror.answer = b"SSH-2.0-OpenSSH\r\n\r\n"
        sheaf = self.restart()
        self.ask(sheaf)
        wait_until(lambda: self.count("failed", sheaf) == 21)

    def test_a_mirror_without_a_connection_to_spare(self):
        self.mirror.answer = MUTE
        sheaf = self.restart(shadow="timeout: 2s, max_connections: 2, max_waiting: 3")
        self.ask(sheaf)
        self.assertEqual((self.in_flight(sheaf), self.count("busy", sheaf)), (5, 16))
        wait_until(lambda: self.in_flight(sheaf) == 0)
        self.assertEqual((self.count("busy", sheaf), self.count("failed", sheaf)), (19, 2))

    def test_its_breaker_opens_for_copies_alone(self):
        sheaf = self.restart(mirror_at=free_port(), shadow="breaker: {requests: 5}")
        for _ in range(3):
            self.ask(sheaf)
        wait_until(lambda: sheaf.metrics()["sheaf_breaker_refused_total"] > 0)
        self.ask(sheaf)


class Ends(Mirrored):
    def test_a_reload_lets_copies_end(self):
        self.mirror.answer = MUTE
        sheaf = self.restart(shadow="timeout: 2s")
        self.assertEqual(sheaf.request("GET", "/m/x").status, 200)
        wait_until(lambda: len(self.mirror.requests) == 1)
        sheaf.places["upstreams"] = sheaf.places["upstreams"].replace("timeout: 2s", "timeout: 3s")
        sheaf.write_conf()
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == 1)
        self.assertEqual((self.in_flight(sheaf), self.count("cut", sheaf)), (1, 0))
        self.assertEqual(sheaf.request("GET", "/m/y").status, 200)
        wait_until(lambda: self.count("failed", sheaf) == 2)

    def test_the_end_of_a_worker_waits_for_no_copy(self):
        self.mirror.answer = MUTE
        sheaf = self.restart()
        self.assertEqual(sheaf.request("GET", "/m/x").status, 200)
        wait_until(lambda: len(self.mirror.requests) == 1)
        begun = time.monotonic()
        sheaf.stop()
        self.assertLess(time.monotonic() - begun, 10)

    def test_a_reload_and_an_end_with_copies_of_both(self):
        self.mirror.answer = MUTE
        sheaf = self.restart(workers=0)
        self.assertEqual(sheaf.request("GET", "/m/x").status, 200)
        sheaf.places["upstreams"] = sheaf.places["upstreams"].replace("timeout: 60s", "timeout: 50s")
        sheaf.write_conf()
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == 1)
        self.assertEqual(sheaf.request("GET", "/m/y").status, 200)
        wait_until(lambda: len(self.mirror.requests) == 2)
        sheaf.stop()


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Memory(Mirrored):
    def test_ten_thousand_requests_beside_a_mute_mirror(self):
        self.mirror.answer = MUTE
        sheaf = self.restart(binary=str(RELEASE))
        (worker,) = sheaf.children()
        items = [{"n": number, "fill": "x" * 1000} for number in range(2500)]
        sheaf.post(items, path="/bulk")
        begun = kib(worker, "VmRSS")
        for _ in range(4):
            answer = sheaf.post(items, path="/bulk")
            self.assertEqual({result["status"] for result in answer.json["responses"]}, {200})
        more = kib(worker, "VmRSS") - begun
        print(f"10,000 requests beside a mute mirror: {more} KiB more, {self.count('busy', sheaf):.0f} not copied", flush=True)
        self.assertLess(more, 4 << 10)
        self.assertEqual((self.in_flight(sheaf), self.count("busy", sheaf)), (100, 12500 - 100))

    def test_what_does_not_fit_is_not_copied(self):
        self.mirror.answer = MUTE
        sheaf = self.restart(binary=str(RELEASE), mirror=", memory: 1MiB")
        for _ in range(20):
            self.assertEqual(sheaf.request("POST", "/m/x", b"x" * 200000).status, 200)
        self.assertEqual((self.in_flight(sheaf), self.count("memory", sheaf)), (5, 15))


if __name__ == "__main__":
    unittest.main()
