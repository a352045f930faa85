"""idempotency: decided alike for a direct request, an item and an element of a bulk; over several gateways, through Redis."""
import http.client
import signal
import pathlib
import unittest

import redis_server
from harness import SHEAF, Case, wait_until

OBJECT = pathlib.Path(SHEAF).resolve().parent / "plugins/idempotency.so"


HOST = {"Host": "api.example"}  # all gateways are asked by one name: another one is another request


def route(name, keys):
    return f'- {{match: "/{name}/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin, plugins: [{{use: idempotency, {keys}}}]}}\n'


def redis(server, more):
    return f'redis: {{address: "{server.address}", timeout: 5s, {more}}}'


# What is asked again under one key: where, the answer to the first, to the second; and whether the second one was done, too.
ROWS = [
    ("echo", 200, "replayed", False),
    ("text", 200, "replayed", False),
    ("status/404", 404, "replayed", False),
    ("head204", 204, "replayed", False),
    ("redirect", 302, "replayed", False),
    ("chunked/100", 200, "replayed", False),
    ("json/9000", 200, "idempotency-answered", False),     # over max_answer
    ("chunked/90000", 200, "idempotency-answered", False),  # and it does not say so
    ("status/503", 503, 503, True),
    ("status/429", 429, 429, True),
]
KEYS = "max_answer: 4KiB"


class ThreeWays(Case):
    """What one way has done the others know: they ask for the same."""
    places = {"routes": route("once", KEYS), "workers": 2, "endpoints": "".join(
        f'- {{path: /bulk/{path}, kind: bulk, each: {{method: POST, url: "/once/{path}", headers: {{idempotency-key: "${{item/key}}"}}, body: "${{item/n}}"}}}}\n    '
        for path, *_ in ROWS)}

    def item(self, path, key, n):
        return self.run_item({"method": "POST", "url": "/once/" + path, "headers": {"idempotency-key": key}, "body": n})

    def direct(self, path, key, n):
        answer = self.sheaf.request("POST", "/once/" + path, str(n), {"Idempotency-Key": key, "Content-Type": "application/json"})
        is_json = "json" in answer.headers.get("content-type", "") and answer.body
        return {"status": answer.status, "headers": answer.headers, "body": answer.json if is_json else answer.body.decode()}

    def element(self, path, key, n):
        return self.sheaf.post([{"key": key, "n": n}], path="/bulk/" + path).json["responses"][0]

    def ways(self):
        return [("direct", self.direct), ("item", self.item), ("element", self.element)]

    def decision(self, result):
        if result["headers"].get("idempotency-replayed") == "true":
            return "replayed"
        is_ours = "problem" in result["headers"].get("content-type", "")
        return result["body"]["type"].rsplit(":", 1)[1] if is_ours else result["status"]

    def settled(self, way, path, key, n):
        """What is decided when the first one is over; what its last word is may come right after its answer."""
        found = []
        def is_over():
            found[:] = [way(path, key, n)]
            return self.decision(found[0]) != "idempotency-running"
        wait_until(is_over)
        return found[0]

    def test_each_way_is_decided_alike_after_each_other(self):
        for path, status, then, is_done_again in ROWS:
            for name, way in self.ways():
                for next_name, next_way in self.ways():
                    with self.subTest(path=path, first=name, then=next_name):
                        key, before = f"{path}-{name}-{next_name}".replace("/", "-"), self.origin.count()["served"]
                        first = way(path, key, 7)
                        self.assertEqual((first["status"], self.decision(first)), (status, status))
                        second = self.settled(next_way, path, key, 7)
                        self.assertEqual(self.decision(second), then)
                        self.assertEqual(self.origin.count()["served"] - before, 2 if is_done_again else 1)
                        if then == "replayed":
                            self.assertEqual((second["status"], second.get("body") or ""), (status, first.get("body") or ""))
                            self.assertEqual(second["headers"].get("location"), first["headers"].get("location"))
                        if not is_done_again:
                            self.assertEqual(self.decision(next_way(path, key, 8)), "idempotency-mismatch")

    def test_what_is_no_key_is_none(self):
        for name, way in self.ways():
            with self.subTest(way=name):
                self.assertEqual(self.decision(way("echo", "a b", 1)), "idempotency-key-invalid")

    def test_a_direct_answer_that_was_cut_is_not_done_again(self):
        before = self.origin.count()["served"]
        with self.assertRaises(http.client.IncompleteRead):
            self.direct("half", "cut", 1)
        self.assertEqual(self.decision(self.settled(self.direct, "half", "cut", 1)), "idempotency-answered")
        self.assertEqual(self.origin.count()["served"] - before, 1)

    def test_a_client_that_leaves_its_answer_halfway_does_not_have_it_done_again(self):
        headers = {"Idempotency-Key": "left", "Content-Type": "application/json"}
        before = self.origin.count()["served"]
        conn = http.client.HTTPConnection("127.0.0.1", self.sheaf.at)
        conn.request("POST", "/once/drip/200/20", "1", headers)
        conn.getresponse()
        conn.close()
        self.assertEqual(self.decision(self.settled(self.direct, "drip/200/20", "left", 1)), "idempotency-answered")
        self.assertLessEqual(self.origin.count()["served"] - before, 1)


@unittest.skipUnless(redis_server.IS_THERE, "there is no redis-server")
class ThreeWaysInRedis(ThreeWays):
    @classmethod
    def setUpClass(cls):
        cls.redis = redis_server.RedisServer(cls)
        cls.places = {**ThreeWays.places, "routes": route("once", f"{KEYS}, {redis(cls.redis, 'on_error: deny')}")}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        wait_until(lambda: self.item("echo", "up", 1)["status"] == 200)


class ThreeWaysShared(ThreeWaysInRedis):
    """The same source as a shared object, with what it is built with."""
    @classmethod
    def setUpClass(cls):
        cls.redis = redis_server.RedisServer(cls)
        mine = route("once", f"{KEYS}, {redis(cls.redis, 'on_error: deny')}").replace("use: idempotency", f"file: {OBJECT}")
        cls.places = {**ThreeWays.places, "routes": mine}
        super(ThreeWaysInRedis, cls).setUpClass()


@unittest.skipUnless(redis_server.IS_THERE, "there is no redis-server")
class IdempotencyInRedis(Case):
    @classmethod
    def setUpClass(cls):
        cls.redis = redis_server.RedisServer(cls)
        cls.places = {"routes": route("once", redis(cls.redis, "on_error: deny")) + route("lax", redis(cls.redis, "on_error: allow, prefix: lax")) + route("twice", "name: front, " + redis(cls.redis, "prefix: two") + "}, {use: idempotency, name: back, " + redis(cls.redis, "prefix: two")) + route("brief", "ttl: 3s, " + redis(cls.redis, "prefix: brief")),
                      "endpoints": '- {path: /bulk, kind: bulk, each: {method: POST, url: "/once/echo", headers: {idempotency-key: "${item/key}"}, body: "${item}"}}'}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.second = self.start(**self.places)
        for sheaf in (self.sheaf, self.second):  # it is connected, and Redis knows the script
            wait_until(lambda: self.tried("up", sheaf=sheaf) in (200, 409))

    def run_items(self, *items, sheaf=None, **envelope):
        return super().run_items(*items, sheaf=sheaf, headers=HOST, **envelope)

    def item(self, key, to="once", path="echo", body=None):
        return {"method": "POST", "url": f"/{to}/{path}", "headers": {"idempotency-key": key}, "body": body or {}}

    def tried(self, key, sheaf=None, **more):
        return self.run_item(self.item(key, **more), sheaf=sheaf)["status"]

    def served(self):
        return self.origin.count()["served"]

    def replayed(self, item, sheaf):
        """What the other one gets, as soon as it knows."""
        found = []
        def is_known():
            found[:] = [self.run_item(item, sheaf=sheaf)]
            return found[0]["status"] != 409
        wait_until(is_known)
        return found[0]

    def test_two_instances_of_one_prefix_are_as_one(self):
        item = self.item("t", to="twice", body={"n": 1})
        first, before = self.run_item(item), self.served()
        self.assertEqual(first["status"], 200)
        again = self.replayed(item, self.second)
        self.assertEqual((again["status"], again["body"], again["headers"]["idempotency-replayed"]), (200, first["body"], "true"))
        self.assertEqual(self.served(), before)

    def test_what_one_gateway_did_the_other_one_tells(self):
        item = self.item("a", body={"n": 1})
        first, before = self.run_item(item), self.served()
        again = self.replayed(item, self.second)
        self.assertEqual((again["status"], again["body"], again["headers"]["idempotency-replayed"]), (200, first["body"], "true"))
        self.assertEqual(self.served(), before)
        self.assert_problem(self.run_item(self.item("a", body={"n": 2}), sheaf=self.second), 422, "idempotency-mismatch")

    def test_elements_and_direct_requests_are_known_there_too(self):
        first = self.sheaf.post([{"key": "e1"}, {"key": "e2"}], headers=HOST, path="/bulk").json["responses"]
        self.assertEqual([result["status"] for result in first], [200, 200])
        direct = {**HOST, "Idempotency-Key": '"d1"', "Content-Type": "application/json"}
        self.assertEqual(self.sheaf.request("POST", "/once/echo", "{}", direct).status, 200)
        before = self.served()
        def elements():
            return self.second.post([{"key": "e2"}, {"key": "e1"}, {"key": "e1", "other": 1}], headers=HOST, path="/bulk").json["responses"]
        wait_until(lambda: [result["status"] for result in elements()] == [200, 200, 422])
        self.assertEqual([result["body"] for result in elements()[:2]], [first[1]["body"], first[0]["body"]])
        self.assertEqual(self.second.request("POST", "/once/echo", '{"n":1}', direct).status, 422)
        wait_until(lambda: self.second.request("POST", "/once/echo", "{}", direct).headers.get("idempotency-replayed") == "true")
        self.assertEqual(self.served(), before)

    def test_while_it_runs_here_it_is_409_there(self):
        item = self.item("r", path="delay/3000")
        before = self.served()
        end = self.run_aside(item)
        wait_until(lambda: self.origin.count()["flying"] > 0)
        self.assert_problem(self.run_item(item, sheaf=self.second), 409, "idempotency-running")
        self.assertEqual(end()[0]["status"], 200)
        self.assertEqual(self.replayed(item, self.second)["headers"]["idempotency-replayed"], "true")
        self.assertEqual(self.served() - before, 1)

    def test_when_its_time_is_over_it_is_new_everywhere(self):
        item, before = self.item("t", to="brief"), self.served()
        self.run_item(item)
        again = self.replayed(item, self.second)
        self.assertEqual(again["headers"].get("idempotency-replayed"), "true")
        wait_until(lambda: "idempotency-replayed" not in self.replayed(item, self.second)["headers"])
        self.assertEqual(self.served() - before, 2)

    def test_a_batch_that_is_sent_again_elsewhere_is_not_done_again(self):
        items = [{"id": str(n), "method": "POST", "url": "/once/echo", "body": {"n": n}} for n in range(20)]
        first, before = self.sheaf.batch(items, headers={**HOST, "Idempotency-Key": "b1"}).json["responses"], self.served()
        def again():
            return self.second.batch(items, headers={**HOST, "Idempotency-Key": "b1"}).json["responses"]
        wait_until(lambda: all(result["status"] == 200 for result in again()))
        self.assertEqual([result["body"] for result in again()], [result["body"] for result in first])
        self.assertEqual(self.served(), before)

    def test_a_post_is_not_done_twice_when_redis_dies_in_the_middle(self):
        item, before = self.item("m", path="delay/3000"), self.served()
        end = self.run_aside(item)
        wait_until(lambda: self.origin.count()["flying"] > 0)
        self.redis.kill()
        self.assert_problem(self.replayed(item, self.sheaf), 503, "idempotency-unavailable")
        self.assertEqual(self.tried("other"), 503)
        self.assertEqual(self.tried("open", to="lax"), 200)
        self.assertEqual(self.tried("open", to="lax"), 200)
        self.assertEqual(end()[0]["status"], 200)
        self.assert_problem(self.run_item(item), 503, "idempotency-unavailable")

        self.redis.start()  # and knows of nothing
        found = []
        def is_there():
            found[:] = [self.run_item(item)]
            return found[0]["status"] not in (409, 503)
        wait_until(is_there, 20)
        self.assertEqual((found[0]["status"], found[0]["headers"]["idempotency-replayed"]), (200, "true"))
        self.assertEqual(self.served() - before, 3)  # it, and two without protection
        wait_until(lambda: self.tried("other") == 200)
        self.assertGreater(sum(value for name, value in self.sheaf.metrics().items() if name.startswith("sheaf_plugin_undecided_total")), 0)

    def test_nor_while_it_still_runs_when_redis_is_back(self):
        item, before = self.item("n", path="delay/6000"), self.served()
        end = self.run_aside(item)
        wait_until(lambda: self.origin.count()["flying"] > 0)
        self.redis.kill()
        self.redis.start()
        wait_until(lambda: self.tried("fresh") == 200)
        wait_until(lambda: self.tried("fresh-too", sheaf=self.second) == 200)
        self.assert_problem(self.run_item(item), 409, "idempotency-running")
        self.assert_problem(self.run_item(item, sheaf=self.second), 409, "idempotency-running")
        self.assertEqual(end()[0]["status"], 200)
        self.assertEqual(self.replayed(item, self.sheaf)["headers"]["idempotency-replayed"], "true")
        self.assertEqual(self.served() - before, 3)

    def test_nor_when_the_configuration_is_replaced_meanwhile(self):
        sheaf = self.second
        item, before = self.item("c", path="delay/6000"), self.served()
        end = self.run_aside(item, sheaf=sheaf)
        wait_until(lambda: self.origin.count()["flying"] > 0)
        self.redis.kill()
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == 1)
        self.redis.start()
        wait_until(lambda: self.tried("fresh", sheaf=sheaf) == 200)
        self.assert_problem(self.run_item(item, sheaf=sheaf), 409, "idempotency-running")
        self.assertEqual(end()[0]["status"], 200)
        self.assertEqual(self.replayed(item, sheaf)["headers"]["idempotency-replayed"], "true")
        self.assertEqual(self.served() - before, 2)


if __name__ == "__main__":
    unittest.main()
