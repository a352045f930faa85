"""The cache: what is answered from memory, to whom, and when the backend is asked, for items, elements and direct requests."""
import concurrent.futures
import gzip
import http.client
import json
import signal
import unittest

from harness import RawClient, wait_until
from keeper import BULK, CACHE, WAYS, Keeping, Seen


class Cache(Keeping):
    def test_what_an_item_brought_is_answered_in_every_way(self):
        target = self.url(cc="max-age=60", etag="a")
        first = self.ask("item", target)
        self.assertEqual(first.cache, "sheaf; fwd=uri-miss; stored")
        for way in WAYS:
            with self.subTest(way=way):
                again = self.ask(way, target)
                self.assertEqual((again.status, again.body), (200, first.body))
                self.assertRegex(again.cache, r"^sheaf; hit; ttl=(60|5\d)$")
                self.assertEqual(again.headers["etag"], '"a"')
                self.assertIn("age", again.headers)
        self.assertEqual(self.keeper.count(self.name), 1)

    def test_head_is_answered_from_it_and_conditions_too(self):
        target = self.url(cc="max-age=60", etag="a")
        self.ask("item", target)
        head = self.sheaf.request("HEAD", f"/k/{target}")
        self.assertEqual((head.status, head.body), (200, b""))
        same = self.sheaf.request("GET", f"/k/{target}", headers={"If-None-Match": 'W/"a"'})
        self.assertEqual((same.status, same.body, same.headers["etag"]), (304, b"", '"a"'))
        self.assertEqual(self.keeper.count(self.name), 1)

    def test_what_must_not_be_stored_is_not(self):
        for why, query in (("private", {"cc": "private, max-age=60"}), ("no-store", {"cc": "no-store, max-age=60"}),
                           ("set-cookie", {"cc": "public, max-age=60", "cookie": "s=1"}), ("lifetime", {}),
                           ("vary", {"cc": "max-age=60", "vary": "*"}), ("vary", {"cc": "max-age=60", "vary": "X-Forwarded-For"}),
                           ("status", {"cc": "max-age=60", "status": "500"}), ("malformed", {"cc": 'max-age=60, a="'})):
            with self.subTest(query=query):
                self.name = f"{why}-{len(self.keeper.asked)}"
                target = self.url(**query)
                self.assertEqual(self.ask("item", target).cache, f"sheaf; fwd=uri-miss; detail={why}")
                for way in WAYS:
                    self.assertNotIn("hit", self.ask(way, target).cache)
                self.assertEqual(self.keeper.count(self.name), 4)

    def test_nobody_gets_what_another_got_who_said_who_he_is(self):
        for field in ("Authorization", "Cookie", "X-Api-Key"):
            for way in WAYS:
                with self.subTest(field=field, way=way):
                    self.name = f"{field}-{way}"
                    target = self.url(cc="max-age=60", who=field)
                    self.assertEqual(self.ask(way, target, headers={field: "ann"}).body["who"], "ann")
                    self.assertEqual(self.ask(way, target, headers={field: "bob"}).body["who"], "bob")
                    self.assertEqual(self.ask("item", target).body["who"], "nobody")
                    self.assertEqual(self.ask(way, target, headers={field: "ann"}).body["who"], "ann")
                    self.assertEqual(self.keeper.count(self.name), 4)

    def test_what_is_public_is_for_those_too(self):
        target = self.url(cc="public, max-age=60")
        self.ask("item", target)
        for way in WAYS:
            self.assertIn("hit", self.ask(way, target, headers={"Authorization": "x"}).cache)

    def test_in_one_batch_each_item_has_its_own_token(self):
        target = self.url(cc="max-age=60", who="Authorization")
        items = [{"url": f"/k/{target}", "headers": {"Authorization": who}} for who in ("ann", "bob", "ann")]
        answer = self.sheaf.batch([*items, {"url": f"/k/{target}"}])
        self.assertEqual([result["body"]["who"] for result in answer.json["responses"]], ["ann", "bob", "ann", "nobody"])

    def test_fields_that_move_the_url_get_past_the_store(self):
        for way in WAYS:
            self.name = f"moved-{way}"
            target = self.url(cc="max-age=60")
            self.assertIn("bypass", self.ask(way, target, headers={"X-HTTP-Method-Override": "DELETE"}).cache)
            self.assertNotIn("hit", self.ask("item", target).cache)

    def test_vary_tells_variants_apart(self):
        target = self.url(cc="max-age=60", vary="Accept-Language", who="Accept-Language")
        for language in ("de", "en"):
            self.assertEqual(self.ask("item", target, headers={"Accept-Language": language}).body["who"], language)
        for way in WAYS:
            for language in ("de", "en"):
                seen = self.ask(way, target, headers={"Accept-Language": language})
                self.assertEqual((seen.body["who"], "hit" in seen.cache), (language, True))
        self.assertEqual(self.keeper.count(self.name), 2)

    def test_another_host_is_another_answer(self):
        target = self.url(cc="max-age=60")
        for host in ("a.example", "b.example"):
            self.assertEqual(self.ask("item", target, headers={"Host": host}).body["host"], host)
        for way in WAYS:
            for host in ("a.example", "b.example"):
                self.assertEqual(self.ask(way, target, headers={"Host": host}).body["host"], host)
        self.assertEqual(self.keeper.count(self.name), 2)

    def test_those_who_ask_the_same_ask_once(self):
        target = self.url(cc="max-age=60")
        self.keeper.gate.clear()
        try:
            ends = [self.run_aside(f"/k/{target}") for _ in range(4)]
            wait_until(lambda: self.keeper.count(self.name) == 1, what="the question")
            wait_until(lambda: self.sheaf.metrics().get('sheaf_batches_in_flight', 4) >= 4, what="all four")
        finally:
            self.keeper.gate.set()
        bodies = [end()[0]["body"] for end in ends]
        self.assertEqual(self.keeper.count(self.name), 1)
        self.assertEqual([body["n"] for body in bodies], [bodies[0]["n"]] * 4)

    def test_what_any_way_brought_is_answered_in_every_way(self):
        for first in WAYS:
            for chunked in ({}, {"chunked": 1}):
                self.name = f"{first}-{len(chunked)}"
                target = self.url(cc="max-age=60", etag="a", pad=30000, **chunked)
                brought = self.ask(first, target)
                self.assertEqual(brought.cache, "sheaf; fwd=uri-miss; stored")
                for way in WAYS:
                    with self.subTest(first=first, way=way, chunked=chunked):
                        again = self.ask(way, target)
                        self.assertEqual((again.status, again.body), (200, brought.body))
                        self.assertRegex(again.cache, r"^sheaf; hit; ttl=(60|5\d)$")
                self.assertEqual(self.keeper.count(self.name), 1)

    def test_an_item_reads_what_a_direct_request_brought_coded(self):
        target = self.url(cc="max-age=60", gzip=1, vary="Accept-Encoding")
        coded = self.sheaf.request("GET", f"/k/{target}", headers={"Accept-Encoding": "gzip"})
        self.assertEqual(coded.headers["content-encoding"], "gzip")
        again = self.sheaf.request("GET", f"/k/{target}", headers={"Accept-Encoding": "gzip"})
        self.assertEqual((again.body, again.headers["content-encoding"]), (coded.body, "gzip"))
        item = self.run_item({"url": f"/k/{target}", "headers": {"Accept-Encoding": "gzip"}})
        self.assertIn("hit", item["headers"]["cache-status"])
        self.assertEqual(item["body"], json.loads(gzip.decompress(coded.body)))
        self.assertNotIn("content-encoding", item["headers"])
        plain = self.ask("direct", target)
        self.assertEqual(plain.cache, "sheaf; fwd=vary-miss; stored")
        self.assertEqual(self.keeper.count(self.name), 2)

    def test_a_client_has_304_for_what_a_direct_request_brought(self):
        target = self.url(cc="max-age=60", etag="a")
        self.ask("direct", target)
        same = self.ask("direct", target, headers={"If-None-Match": '"a"'})
        self.assertEqual((same.status, same.body, same.headers["etag"]), (304, None, '"a"'))
        self.assertIn("age", same.headers)
        self.assertEqual(self.keeper.count(self.name), 1)

    def with_tag(self, way, target, tag):
        headers = {"If-None-Match": f'"{tag}"'}
        if way == "direct":
            return self.ask(way, target, headers=headers)
        result = self.run_item({"url": f"/k/{target}", "headers": headers})
        return Seen(result["status"], result["headers"], result.get("body"))

    def test_what_is_asked_for_with_conditions_is_stored_whole(self):
        for way, status in (("item", 304), ("direct", 200)):
            with self.subTest(way=way):
                self.name = f"conditional-{way}"
                target = self.url(cc="max-age=60", etag="a", pad=30000)
                first = self.with_tag(way, target, "a")
                self.assertEqual((first.status, first.headers["etag"]), (status, '"a"'))
                self.assertRegex(first.cache, "^sheaf; fwd=uri-miss;(.*;)? stored$")
                self.assertNotIn("if-none-match", self.keeper.asked[-1][1])
                self.assertIn("hit", self.ask("direct", target).cache)
                for again in ("item", "direct"):
                    self.assertEqual(self.with_tag(again, target, "a").status, 304)
                self.assertEqual(self.keeper.count(self.name), 1)

    def test_conditions_on_what_is_not_stored_are_the_backends_from_the_second_time_on(self):
        for way in ("item", "direct"):
            with self.subTest(way=way):
                self.name = f"own-{way}"
                target = self.url(cc="no-store", etag="a", pad=30000)
                first, second = self.with_tag(way, target, "a"), self.with_tag(way, target, "a")
                self.assertEqual((first.status, first.body, first.cache), (304, None, "sheaf; fwd=uri-miss; fwd-status=200; detail=no-store"))
                self.assertEqual((second.status, second.cache), (304, "sheaf; fwd=uri-miss; detail=status"))
                self.assertEqual([seen.get("if-none-match") for path, seen in self.keeper.asked if path.startswith(f"/{self.name}/")],
                                 [None, '"a"'])
                self.assertEqual(self.with_tag(way, target, "b").status, 200)

    def test_who_has_what_is_too_large_for_an_item_hears_so_from_the_second_time_on(self):
        target = self.url(cc="max-age=60", etag="a", pad=3000000)
        self.assertEqual([self.with_tag("item", target, "a").status for _ in range(3)], [502, 304, 304])
        self.name += "-direct"
        large = self.with_tag("direct", self.url(cc="max-age=60", etag="a", pad=3000000), "a")
        self.assertEqual((large.status, large.body, large.cache), (304, None, "sheaf; fwd=uri-miss; fwd-status=200; detail=size"))

    def test_a_part_is_asked_of_the_backend_and_not_stored(self):
        target = self.url(cc="max-age=60")
        for _ in range(2):
            self.assertEqual(self.ask("direct", target, headers={"Range": "bytes=0-3"}).cache, "sheaf; fwd=bypass")
        self.ask("direct", target)
        self.assertEqual(self.ask("direct", target, headers={"Range": "bytes=0-3"}).cache, "sheaf; fwd=bypass")
        self.assertEqual(self.keeper.count(self.name), 4)

    def test_what_is_cut_is_not_stored(self):
        for chunked in ({}, {"chunked": 1}):
            self.name = f"cut-{len(chunked)}"
            target = self.url(cc="max-age=60", pad=3000, cut=1, **chunked)
            for _ in range(2):
                try:
                    self.assertEqual(self.ask("direct", target).status, 502)  # cut before its head was sent
                except (http.client.IncompleteRead, ConnectionError):
                    pass
            self.assertEqual(self.keeper.count(self.name), 2)

    def test_what_is_too_large_passes_and_is_not_stored(self):
        for chunked, said in (({}, "detail=size"), ({"chunked": 1}, "stored")):
            self.name = f"large-{len(chunked)}"
            target = self.url(cc="max-age=60", pad=3000000, **chunked)
            for _ in range(2):
                seen = self.ask("direct", target)
                self.assertEqual((len(seen.body["pad"]), seen.cache), (3000000, f"sheaf; fwd=uri-miss; {said}"))
            self.assertEqual(self.keeper.count(self.name), 2)

    def lead_and_follow(self):
        """A direct request whose body is held back, and three who wait for what it brings: client, futures."""
        target = self.url(cc="max-age=60")
        leader = RawClient(self.sheaf.at)
        leader.send(f"GET /k/{target} HTTP/1.1\r\nHost: 127.0.0.1:{self.sheaf.at}\r\n\r\n".encode())
        leader.read_until(b"uri-miss; stored\r\n")
        ends = [self.pool.submit(self.ask, way, target) for way in ("direct", "item", "direct")]
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] == 4, what="those who wait")
        return leader, ends

    def test_who_asks_while_the_answer_passes_waits_for_it(self):
        self.keeper.body_gate.clear()
        try:
            leader, ends = self.lead_and_follow()
        finally:
            self.keeper.body_gate.set()
        seen = [end.result() for end in ends]
        self.assertEqual(self.keeper.count(self.name), 1)
        self.assertTrue(all("collapsed" in answer.cache for answer in seen), [answer.cache for answer in seen])
        leader.close()

    def test_when_the_client_that_leads_goes_away_another_leads(self):
        self.keeper.body_gate.clear()
        try:
            leader, ends = self.lead_and_follow()
            leader.close()
            wait_until(lambda: self.keeper.count(self.name) == 2, what="the next one to lead")
        finally:
            self.keeper.body_gate.set()
        bodies = [end.result().body for end in ends]
        self.assertEqual([body["n"] for body in bodies], [bodies[0]["n"]] * 3)
        self.assertEqual(self.keeper.count(self.name), 2)

    def test_what_is_stale_is_validated_with_the_host_of_the_client(self):
        target = self.url(cc="max-age=0", etag="a")
        first = self.ask("item", target, headers={"Host": "a.example"})
        second = self.ask("item", target, headers={"Host": "a.example"})
        self.assertEqual((second.status, second.body), (200, first.body))
        self.assertEqual(second.cache, "sheaf; fwd=stale; fwd-status=304")
        self.assertEqual(self.keeper.asked[-1][1].get("if-none-match"), '"a"')
        self.assertEqual(self.keeper.asked[-1][1]["host"], "a.example")
        third = self.ask("direct", target, headers={"Host": "a.example"})
        self.assertEqual((third.status, third.body, third.cache), (200, first.body, "sheaf; fwd=stale; fwd-status=304"))

    def test_stale_is_answered_while_it_is_revalidated(self):
        for way in WAYS:
            with self.subTest(way=way):
                self.name = f"while-{way}"
                target = self.url(cc="max-age=0, stale-while-revalidate=60")
                first = self.ask("item", target)
                seen = self.ask(way, target)
                self.assertEqual((seen.status, seen.body), (200, first.body))
                self.assertRegex(seen.cache, r"^sheaf; hit; ttl=(0|-\d)$")
                wait_until(lambda: self.ask("item", target).body["n"] > first.body["n"], what="the new answer")

    def test_stale_stands_in_for_a_backend_that_fails(self):
        for how in ({"etag": "a"}, {}):
            for way in WAYS:
                with self.subTest(how=how, way=way):
                    self.name = f"error-{way}-{len(how)}"
                    target = self.url(cc="max-age=0, stale-if-error=60", **how)
                    first = self.ask(way, target)
                    self.keeper.is_down = True
                    try:
                        seen = self.ask(way, target)
                    finally:
                        self.keeper.is_down = False
                    self.assertEqual((seen.status, seen.body, seen.cache), (200, first.body, "sheaf; fwd=stale; fwd-status=503"))

    def test_behind_what_decides_who_may_ask_it_answers_nobody_else(self):
        gate = "{use: ip_access, name: gate, allow: [203.0.113.0/24]}, {use: cache, name: behind}"
        sheaf = self.start(top="trusted_proxies: [127.0.0.0/8]", endpoints=BULK, upstreams=self.places["upstreams"],
                           routes=f'- {{match: "/k/{{rest...}}", rewrite: "/{{rest...}}", upstream: keeper, plugins: [{gate}]}}')
        target = self.url(cc="public, max-age=60")
        for client, status in (("203.0.113.5", 200), ("198.51.100.1", 403), ("203.0.113.6", 200)):
            headers = {"X-Forwarded-For": client}
            got = [sheaf.batch([f"/k/{target}"], headers).json["responses"][0]["status"],
                   sheaf.post([dict(zip(("name", "how"), target.split("/")))], headers, path="/bulk").json["responses"][0]["status"],
                   sheaf.request("GET", f"/k/{target}", headers=headers).status]
            self.assertEqual(got, [status] * 3)
        self.assertEqual(self.keeper.count(self.name), 1)

    def test_what_a_client_says_of_the_host_over_a_trusted_proxy_is_for_those_who_say_so_too(self):
        sheaf = self.start(top="trusted_proxies: [127.0.0.0/8]\n" + CACHE, upstreams=self.places["upstreams"],
                           routes=self.places["routes"])
        for field in ("X-Forwarded-Host", "X-Forwarded-Proto"):
            target = f"/k/{self.url(cc='max-age=60', who=field, of=field)}"
            for way in ("item", "direct"):
                for value in ("evil", "good"):
                    with self.subTest(field=field, way=way, value=value):
                        if way == "item":
                            body = sheaf.batch([target], {field: value}).json["responses"][0]["body"]
                        else:
                            body = json.loads(sheaf.request("GET", target, headers={field: value}).body)
                        self.assertEqual(body["who"], value)
        self.assertEqual(self.keeper.count(self.name), 4)

    def test_a_reload_ends_what_the_cache_has_under_way(self):
        sheaf = self.start(top=CACHE, upstreams=self.places["upstreams"], routes=self.places["routes"])
        stale = self.url(cc="max-age=0, stale-while-revalidate=60", etag="a")
        first = sheaf.batch([f"/k/{stale}"]).json["responses"][0]["body"]
        self.keeper.gate.clear()
        try:
            self.assertEqual(sheaf.batch([f"/k/{stale}"]).json["responses"][0]["body"], first)
            wait_until(lambda: self.keeper.count(self.name) == 2, what="the call in the background")
            sheaf.signal(signal.SIGHUP)
            wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] >= 1, what="the reload")
        finally:
            self.keeper.gate.set()
        self.assertIn("uri-miss", sheaf.batch([f"/k/{stale}"]).json["responses"][0]["headers"]["cache-status"])

    def test_an_unsafe_method_drops_what_is_stored(self):
        target = self.url(cc="max-age=60")
        for way in ("direct", "item"):
            self.ask("item", target)
            self.assertIn("hit", self.ask(way, target).cache)
            self.ask(way, target, method="PUT")
            self.assertNotIn("hit", self.ask("item", target).cache)


if __name__ == "__main__":
    unittest.main()
