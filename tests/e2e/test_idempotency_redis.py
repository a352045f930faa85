"""idempotency over several gateways, through Redis. The same for a direct request, an item and an element of a bulk."""
import unittest

import redis_server
from harness import Case, wait_until


HOST = {"Host": "api.example"}  # all gateways are asked by one name: another one is another request


def route(name, address, more):
    redis = f'redis: {{address: "{address}", timeout: 5s, {more}}}'
    return f'- {{match: "/{name}/{{rest...}}", rewrite: "/{{rest...}}", upstream: origin, plugins: [{{use: idempotency, {redis}}}]}}\n'


@unittest.skipUnless(redis_server.IS_THERE, "there is no redis-server")
class IdempotencyInRedis(Case):
    @classmethod
    def setUpClass(cls):
        cls.redis = redis_server.RedisServer(cls)
        cls.places = {"routes": route("once", cls.redis.address, "on_error: deny") + route("lax", cls.redis.address, "on_error: allow, prefix: lax"),
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
        self.assertEqual(self.second.request("POST", "/once/echo", "{}", direct).status, 409)
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


if __name__ == "__main__":
    unittest.main()
