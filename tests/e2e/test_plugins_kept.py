"""Plugins that remember: rate_limit, idempotency, access_log. The same for a direct request, an item and an element of a bulk."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import signal
import tempfile
import time
import unittest

import redis_server
from harness import Case, wait_until

FOLDER = tempfile.TemporaryDirectory(prefix="sheaf-kept-")
LOG = pathlib.Path(FOLDER.name) / "access.log"
VERSIONS = LOG.with_name("versions.log")
FIVE = "limits: [{rate: 5, per: 1h}]"


def route(name, *plugins):
    return f'- {{match: "/{name}/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin, plugins: [{", ".join(plugins)}]}}\n'


def limit(name, more="", limits=FIVE):
    return f"{{use: rate_limit, policy: {name}, {limits}, {more}}}".replace(", }", "}")


ROUTES = "".join([
    route("direct", limit("direct")), route("item", limit("item")), route("bulk", limit("bulk")), route("mixed", limit("mixed")),
    route("user", limit("user", "by: [attribute user]")), route("tenant", limit("tenant", "by: [header x-tenant]")),
    route("sneaky", limit("sneaky", "charge: batch")), route("said", limit("said")), route("workers", limit("workers")),
    route("window", limit("window", "algorithm: sliding_window"))])
ENDPOINTS = """- {path: /bulk, kind: bulk, each: {method: POST, url: "/${item/to}/echo", body: {}}}
    - {path: /paid, plugins: [{use: rate_limit, policy: paid, charge: batch, limits: [{rate: 10, per: 1h}]}]}
    - {path: /paid/each, plugins: [{use: rate_limit, policy: each, charge: batch, limits: [{rate: 3, per: 1h}]}]}
    - {path: /paid/bulk, kind: bulk, plugins: [{use: rate_limit, policy: paid, charge: batch, limits: [{rate: 10, per: 1h}]}], each: {method: POST, url: "/o/echo", body: {}}}"""


class RateLimit(Case):
    places = {"routes": ROUTES, "endpoints": ENDPOINTS, "workers": 2}

    def direct(self, to, headers=None):
        return self.sheaf.request("POST", f"/{to}/echo", "{}", {"Content-Type": "application/json", **(headers or {})})

    def bulk(self, to, count, path="/bulk"):
        return self.sheaf.post([{"to": to}] * count, path=path)

    def items(self, to, count, **more):
        return self.run_items(*[{"method": "POST", "url": f"/{to}/echo", "body": {}, **more}] * count)

    def assert_five(self, statuses):
        self.assertEqual((statuses.count(200), statuses.count(429), len(statuses)), (5, len(statuses) - 5, len(statuses)))

    def test_five_of_a_hundred_direct_requests_pass(self):
        self.assert_five([self.direct("direct").status for _ in range(100)])

    def test_five_of_a_hundred_items_of_one_batch_pass(self):
        self.assert_five([result["status"] for result in self.items("item", 100)])

    def test_five_of_a_hundred_elements_of_a_bulk_pass(self):
        self.assert_five([result["status"] for result in self.bulk("bulk", 100).json["responses"]])

    def test_the_three_ways_share_one_limit(self):
        statuses = [self.direct("mixed").status, self.direct("mixed").status]
        statuses += [result["status"] for result in self.items("mixed", 2)]
        statuses += [result["status"] for result in self.bulk("mixed", 20).json["responses"]]
        statuses += [self.direct("mixed").status] + [result["status"] for result in self.items("mixed", 5)]
        self.assert_five(statuses)

    def test_workers_count_together(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assert_five(list(pool.map(lambda _: self.direct("workers").status, range(60))))

    def test_a_sliding_window_does_too(self):
        self.assert_five([result["status"] for result in self.items("window", 50)])

    def test_nothing_that_a_client_sends_dodges_a_limit_by_identity(self):
        items = [{"method": "POST", "url": "/user/echo", "body": {}, "headers": {
            "authorization": f"Bearer {n}", "user": str(n), "x-user": str(n), "x-forwarded-for": f"10.0.0.{n}", "X-Real-IP": f"10.0.1.{n}",
            "forwarded": f"for=10.0.2.{n}", "attr.user": str(n)}} for n in range(40)]
        statuses = [result["status"] for result in self.run_items(*items)]
        statuses += [self.direct("user", {"Authorization": f"Bearer x{n}", "User": str(n), "X-Forwarded-For": f"10.1.0.{n}"}).status
                     for n in range(10)]
        self.assert_five(statuses)

    def test_a_header_is_believed_where_that_is_configured(self):
        statuses = [result["status"] for result in self.run_items(*[
            {"method": "POST", "url": "/tenant/echo", "body": {}, "headers": {"x-tenant": name}} for name in "ab" * 10])]
        self.assertEqual(statuses.count(200), 10)
        self.assert_five([self.direct("tenant", {"X-Tenant": "c"}).status for _ in range(7)])

    def test_charge_batch_on_a_route_lets_no_item_through_unpaid(self):
        statuses = [result["status"] for result in self.items("sneaky", 50)] + [self.direct("sneaky").status for _ in range(3)]
        self.assert_five(statuses)

    def test_a_batch_pays_for_all_its_items_or_is_refused(self):
        first, second, third = (self.sheaf.batch(["/o/json/10"] * count, path="/paid") for count in (6, 6, 4))
        self.assertEqual((first.status, second.status, third.status), (207, 429, 207))
        self.assertEqual(first.headers["ratelimit-policy"], '"paid";q=10;w=3600')
        self.assertRegex(first.headers["ratelimit"], r'^"paid";r=4;t=\d+$')
        self.assertEqual((second.headers["content-type"], second.json["type"]),
                         ("application/problem+json", "urn:sheaf:problem:rate-limited"))
        self.assertGreater(int(second.headers["retry-after"]), 0)

    def test_elements_of_a_for_each_pay_for_themselves(self):
        answer = self.sheaf.batch([{"id": "a", "url": "/o/echo"},
                                   {"id": "b", "method": "POST", "url": "/o/echo?n=${each/0}", "body": {}, "dependsOn": ["a"],
                                    "forEach": "a.body/headers"}], path="/paid/each")
        statuses = [result["status"] for result in answer.json["responses"]]
        self.assertRegex(answer.headers["ratelimit"], r'^"each";r=1;')
        self.assertGreater(len(statuses), 3, answer.json)
        self.assertEqual(statuses, [200, 200] + [429] * (len(statuses) - 2))

    def test_a_bulk_pays_for_all_its_elements(self):
        self.assertEqual(self.bulk("o", 11, "/paid/bulk").status, 429)
        self.assertEqual(self.bulk("o", 10, "/paid/bulk").status, 207)
        self.assertEqual(self.bulk("o", 1, "/paid/bulk").status, 429)

    def test_results_and_answers_say_what_is_left(self):
        result = self.items("said", 1)[0]
        self.assertEqual(result["headers"]["ratelimit-policy"], '"said";q=5;w=3600')
        self.assertRegex(result["headers"]["ratelimit"], r'^"said";r=4;t=\d+$')
        answer = self.direct("said")
        self.assertRegex(answer.headers["ratelimit"], r'^"said";r=3;t=\d+$')
        refused = self.items("said", 4)[-1]
        self.assert_problem(refused, 429, "rate-limited")
        self.assertGreater(int(refused["headers"]["retry-after"]), 0)
        self.assertEqual(refused["headers"]["ratelimit"], f'"said";r=0;t={refused["headers"]["retry-after"]}')
        answer = self.direct("said")
        self.assertEqual((answer.status, answer.json["type"]), (429, "urn:sheaf:problem:rate-limited"))
        self.assertGreater(int(answer.headers["retry-after"]), 0)


class RateLimitBehindProxies(Case):
    """The client is whom the trusted proxy names: the last address that is not a proxy's own."""
    places = {"top": "trusted_proxies: [127.0.0.0/8]", "routes": "".join(route(name, limit(name)) for name in ("far", "six", "all")),
              "endpoints": '- {path: /bulk, kind: bulk, each: {method: GET, url: "/${item/to}/json/10", headers: {x-forwarded-for: "${item/as}"}}}'}

    def passed(self, to, names):
        """How many of direct requests, items and elements pass, each from the next of `names`."""
        passed = 0
        for number, name in enumerate(names):
            headers = {"X-Forwarded-For": name}
            if number % 3 == 0:
                passed += self.sheaf.request("GET", f"/{to}/json/10", headers=headers).status == 200
            elif number % 3 == 1:
                item = {"url": f"/{to}/json/10", "headers": {"X-Forwarded-For": f"10.9.9.{number}", "X-Real-IP": f"10.9.8.{number}"}}
                passed += self.sheaf.batch([item], headers).json["responses"][0]["status"] == 200
            else:
                answer = self.sheaf.post([{"to": to, "as": f"10.9.9.{number}"}], headers, path="/bulk")
                passed += answer.json["responses"][0]["status"] == 200
        return passed

    def test_what_a_client_put_before_its_own_address_does_not_count(self):
        self.assertEqual(self.passed("far", [f"10.0.0.{n}, 203.0.113.7" for n in range(30)]), 5)

    def test_a_client_with_ipv6_is_its_64(self):
        self.assertEqual(self.passed("six", [f"2001:db8:1:2::{n:x}" for n in range(1, 31)]), 5)

    def test_clients_behind_one_proxy_have_limits_of_their_own(self):
        self.assertEqual(self.passed("all", [f"203.0.113.{n}" for n in range(30)]), 30)


class RateLimitReloaded(Case):
    places = {"routes": route("a", limit("a")) + route("b", limit("b")), "workers": 2}

    def statuses(self, to):
        return [self.sheaf.request("GET", f"/{to}/json/10").status for _ in range(7)]

    def test_counts_outlive_a_reload_each_in_its_place(self):
        self.assertEqual(self.statuses("a").count(200), 5)
        self.sheaf.write_conf(top="log: {level: warn}")
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] > 0, what="the reload")
        self.assertEqual(self.statuses("a").count(200), 0)
        self.assertEqual(self.statuses("b").count(200), 5)


@unittest.skipUnless(redis_server.IS_THERE, "there is no redis-server")
class RateLimitInRedis(Case):
    @classmethod
    def setUpClass(cls):
        cls.redis = redis_server.RedisServer(cls)
        routes = "".join(route(name, limit(name, f'redis: {{address: "{cls.redis.address}", on_error: {word}, timeout: 5s}}'))
                         for name, word in (("one", "deny"), ("gone", "deny"), ("local", "local"), ("allow", "allow")))
        cls.places = {"routes": routes}
        super().setUpClass()

    def statuses(self, to, count, sheaf=None):
        return [result["status"] for result in self.run_items(*[f"/{to}/json/10"] * count, sheaf=sheaf)]

    def test_gateways_count_together_and_when_redis_is_gone_each_does_what_it_was_told(self):
        other = self.start(**self.places)
        wait_until(lambda: self.sheaf.request("GET", "/one/json/10").status == 200)
        statuses = self.statuses("one", 20) + self.statuses("one", 20, other) + [other.request("GET", "/one/json/10").status]
        self.assertEqual((statuses.count(200), statuses.count(429)), (4, 37))

        self.redis.kill()
        wait_until(lambda: self.sheaf.request("GET", "/gone/json/10").status == 503)
        self.assertEqual(self.statuses("gone", 3), [503] * 3)
        self.assertEqual(self.statuses("allow", 20), [200] * 20)
        self.assertEqual(self.statuses("local", 20).count(200), 5)

        self.redis.start()
        wait_until(lambda: self.sheaf.request("GET", "/gone/json/10").status == 200, 20)
        self.assertEqual(self.statuses("gone", 10).count(200), 4)


class Idempotency(Case):
    places = {"routes": route("once", "{use: idempotency, max_answer: 4KiB}"), "workers": 2,
              "endpoints": '- {path: /bulk, kind: bulk, each: {method: POST, url: "/once/echo", headers: {idempotency-key: "${item/key}"}, body: "${item}"}}'}

    def item(self, key, body, **more):
        return {"method": "POST", "url": "/once/echo", "headers": {"idempotency-key": key}, "body": body, **more}

    def served(self):
        return self.origin.count()["served"]

    def test_an_item_is_done_once(self):
        first = self.run_item(self.item("i1", {"n": 1}))
        before = self.served()
        again = [self.run_item(self.item("i1", {"n": 1})) for _ in range(4)]
        self.assertEqual(self.served() - before, 0)
        for result in again:
            self.assertEqual((result["status"], result["body"]), (200, first["body"]))
            self.assertEqual(result["headers"]["idempotency-replayed"], "true")
        self.assert_problem(self.run_item(self.item("i1", {"n": 2})), 422, "idempotency-mismatch")

    def test_a_place_is_told_alike_the_second_time(self):
        item = {"method": "POST", "url": "/once/redirect", "headers": {"idempotency-key": "p1"}, "body": {}}
        first, again = self.run_item(item), self.run_item(item)
        self.assertEqual(again["headers"]["idempotency-replayed"], "true")
        self.assertEqual((first["headers"]["location"], again["headers"]["location"]), ("/once/elsewhere",) * 2)

    def test_an_element_of_a_bulk_is_done_once(self):
        first = self.sheaf.post([{"key": "e1"}, {"key": "e2"}], path="/bulk").json["responses"]
        again = self.sheaf.post([{"key": "e2"}, {"key": "e1"}, {"key": "e1", "other": 1}], path="/bulk").json["responses"]
        self.assertEqual([result["status"] for result in again], [200, 200, 422])
        self.assertEqual([result["body"] for result in again[:2]], [first[1]["body"], first[0]["body"]])

    def test_a_direct_request_is_done_once(self):
        headers = {"Idempotency-Key": '"d1"', "Content-Type": "application/json"}
        first, second, other = (self.sheaf.request("POST", "/once/echo", body, headers) for body in ("{}", "{}", '{"n":1}'))
        self.assertEqual((first.status, second.status, other.status), (200, 200, 422))
        self.assertEqual((second.body, second.headers["idempotency-replayed"]), (first.body, "true"))

    def test_a_key_that_runs_is_409(self):
        item = {**self.item("r1", {}), "url": "/once/delay/300"}
        statuses = sorted(result["status"] for result in self.run_items(item, item))
        self.assertEqual(statuses, [200, 409])

    def test_a_client_that_gives_up_and_tries_again_is_not_served_twice(self):
        item = {**self.item("g1", {}), "url": "/once/delay/1500"}
        direct = {"Idempotency-Key": "g2", "Content-Type": "application/json"}
        batch = json.dumps({"requests": [{"id": "a", **item}]})
        before = self.served()
        for path, body, headers in (("/batch", batch, {"Content-Type": "application/json"}), ("/once/delay/1500", "{}", direct)):
            conn = http.client.HTTPConnection("127.0.0.1", self.sheaf.at)
            conn.request("POST", path, body, headers)
            time.sleep(0.4)
            conn.close()
        time.sleep(0.2)
        self.assert_problem(self.run_item(item), 409, "idempotency-running")
        self.assertEqual(self.sheaf.request("POST", "/once/delay/1500", "{}", direct).status, 409)
        self.assertLessEqual(self.served() - before, 2)

    def test_a_batch_that_is_sent_again_is_not_done_again(self):
        items = [{"method": "POST", "url": "/once/echo", "body": {"n": n}} for n in range(5)]
        first = self.sheaf.batch(items, headers={"Idempotency-Key": "b1"})
        before = self.served()
        again = self.sheaf.batch(items, headers={"Idempotency-Key": "b1"})
        self.assertEqual(self.served() - before, 0)
        self.assertEqual([result["body"] for result in first.json["responses"]], [result["body"] for result in again.json["responses"]])

    def test_nobody_gets_the_answer_of_somebody_else(self):
        mine = {**self.item("s1", {}), "headers": {"idempotency-key": "s1", "authorization": "Bearer me"}}
        other = {**self.item("s1", {}), "headers": {"idempotency-key": "s1", "authorization": "Bearer you"}}
        self.assertEqual(self.run_item(mine)["status"], 200)
        result = self.run_item(other)
        self.assertEqual(result["status"], 200)
        self.assertNotIn("idempotency-replayed", result["headers"])


class IdempotencyTwice(Case):
    """An instance for all and one on the route: each has its own tickets."""
    places = {"top": "plugins: [{name: outer, use: idempotency}]", "routes": route("twice", "{name: inner, use: idempotency, ttl: 1h, entries: 64}")}

    def test_an_item_that_two_instances_look_at_is_done_once_and_replayed(self):
        item = {"method": "POST", "url": "/twice/echo", "headers": {"idempotency-key": "t1"}, "body": {"n": 1}}
        first, again = self.run_item(item), self.run_item(item)
        self.assertEqual((first["status"], again["status"], again["body"]), (200, 200, first["body"]))
        self.assertEqual(again["headers"]["idempotency-replayed"], "true")

    def test_a_direct_request_is_too(self):
        headers = {"Idempotency-Key": "t2", "Content-Type": "application/json"}
        first, again = (self.sheaf.request("POST", "/twice/echo", "{}", headers) for _ in range(2))
        self.assertEqual((first.status, again.status, again.body), (200, 200, first.body))
        self.assertEqual(again.headers["idempotency-replayed"], "true")


class AccessLog(Case):
    places = {"workers": 2, "top": f'plugins: [{{use: access_log, path: "{LOG}", lines: both, reopen: 10ms, mask_query: [pin]}}, {{use: example, word: banned}}, '
                             f'{{use: access_log, path: "{VERSIONS}", fields: [url, http_version], reopen: 10ms}}]',
              "endpoints": '- {path: /bulk, kind: bulk, each: {method: GET, url: "/o/json/${item/n}?pin=1"}}'}

    def lines(self, request_id_or_path):
        """Those about a path, when as many as that are there."""
        found = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
        return [line for line in found if line["url"].startswith(request_id_or_path)]

    def line(self, path):
        return wait_until(lambda: self.lines(path), what=f"a line about {path}")[-1]

    def test_a_direct_request_is_one_line(self):
        self.sheaf.request("GET", "/o/json/11?token=abc&b=1", headers={"User-Agent": 'a"b\\', "Authorization": "Bearer abc"})
        line = self.line("/o/json/11")
        self.assertEqual((line["kind"], line["method"], line["status"], line["url"], line["client_ip"], line["route"]),
                         ("direct", "GET", 200, "/o/json/11?token=***&b=1", "127.0.0.1", "/o/{rest...}"))
        self.assertEqual(line["header.user-agent"], 'a"b\\')
        self.assertGreater(line["duration_ms"], 0)
        self.assertNotIn("abc", LOG.read_text())

    def test_a_batch_is_one_line_and_each_item_is_one(self):
        self.sheaf.batch([{"id": "x", "url": "/o/json/12?pin=1"}, {"id": "y", "url": "/o/status/404?q=yy"}, {"id": "z", "url": "/nowhere-z"}],
                         path="/batch?of=three")
        batch = self.line("/batch?of=three")
        self.assertEqual((batch["kind"], batch["method"], batch["status"], batch["items"]), ("request", "POST", 207, 3))
        items = [line for path in ("/o/json/12", "/o/status/404?q=yy", "/nowhere-z") for line in self.lines(path)]
        self.assertEqual([(line["kind"], line["item_id"], line["status"], line["request_id"]) for line in items],
                         [("item", "x", 200, batch["request_id"]), ("item", "y", 404, batch["request_id"]), ("item", "z", 404, batch["request_id"])])
        self.assertEqual(items[0]["url"], "/o/json/12?pin=***")

    def test_an_element_of_a_bulk_is_a_line(self):
        self.sheaf.post([{"n": 13}, {"n": 14}], path="/bulk")
        for path in ("/o/json/13", "/o/json/14"):
            self.assertEqual((self.line(path)["kind"], self.line(path)["url"]), ("item", path + "?pin=***"))

    def test_what_is_no_batch_is_a_line_too(self):
        self.sheaf.post("{", path="/batch?broken")
        self.assertEqual(self.line("/batch?broken")["status"], 400)

    def test_a_body_is_as_long_as_it_was_whoever_answered(self):
        body, banned = json.dumps({"requests": [{"url": "/o/json/10"}] * 9}), {"Content-Type": "application/json", "x-word": "banned"}
        for path, headers, status in (("/o/echo?len", {}, 200), ("/o/echo?word", banned, 403), ("/batch?len", {"Content-Type": "application/json"}, 207),
                                      ("/batch?word", banned, 403)):
            with self.subTest(path=path):
                self.assertEqual(self.sheaf.request("POST", path, body, headers).status, status)
                self.assertEqual(self.line(path)["bytes_in"], len(body))

    def test_a_line_says_which_http_the_client_speaks(self):
        for text, number in (("1.0", 10), ("1.1", 11)):
            conn = self.sheaf.connect()
            conn._http_vsn, conn._http_vsn_str = number, f"HTTP/{text}"
            self.assertEqual(self.sheaf.request("GET", f"/o/json/17?{text}", conn=conn).status, 200)
            conn.close()
            wait_until(lambda: VERSIONS.exists() and f'"/o/json/17?{text}","http_version":"{text}"' in VERSIONS.read_text(), what=text)

    def test_a_file_that_was_moved_away_is_made_anew(self):
        self.sheaf.request("GET", "/o/json/15")
        self.line("/o/json/15")
        os.rename(LOG, str(LOG) + ".1")
        for pid in [self.sheaf.pid, *self.sheaf.children()]:  # what logrotate is told to do for nginx
            os.kill(pid, signal.SIGUSR1)
        wait_until(LOG.exists, what="a new file")
        def is_in_the_new_one():
            self.sheaf.request("GET", "/o/json/16")
            return self.lines("/o/json/16")
        wait_until(is_in_the_new_one)

    def test_a_worker_begins_without_a_log_that_is_gone(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=LOG.parent))
        log = folder / "access.log"
        sheaf = self.start(top=f'plugins: [{{use: access_log, path: "{log}", reopen: 10ms}}]', endpoints="")
        worker, = sheaf.children()
        shutil.rmtree(folder)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: sheaf.children() not in ([], [worker]), what="another worker")
        self.assertEqual(sheaf.request("GET", "/o/json/18").status, 200)
        folder.mkdir()
        def is_written():
            sheaf.request("GET", "/o/json/19")
            return log.exists() and "/o/json/19" in log.read_text()
        wait_until(is_written, what="a line")


if __name__ == "__main__":
    unittest.main()
