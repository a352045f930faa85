"""Endpoints that speak another gateway's dialect: its requests, its answers, and what it gets wrong done right."""
import json

from harness import Case

PIPELINE, BATCH = "/apisix/batch-requests", "/o/tyk/batch/"


class Dialect(Case):
    places = {"upstream": "timeout: 2s", "endpoint": "max_items: 5",
              "endpoints": f"""- {{path: {PIPELINE}, dialect: apisix, max_items: 5}}
                               - {{path: {BATCH}, dialect: tyk, max_items: 5}}
                               - {{path: /other, dialect: tyk, base: /quick}}"""}

    def results(self, path, body, headers=None):
        answer = self.sheaf.post(body, headers, path=path)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"), answer.body[:500])
        self.assertIsInstance(answer.json, list)
        return answer.json

    def refuse(self, path, body, status, member, headers=None):
        before = self.origin.count()["served"]
        answer = self.sheaf.post(body, headers, path=path)
        self.assertEqual((answer.status, answer.headers["content-type"]), (status, "application/json"), answer.body)
        self.assertEqual(self.origin.count()["served"], before, "a backend was touched")
        self.assertIsInstance(answer.json[member], str)
        return answer.json

    def refuse_all(self, path, list_name, url_name, member):
        item = {url_name: "/o/text"}
        self.assertEqual(self.refuse(path, "malformed", 400, member)["line"], 1)
        self.assertEqual(self.refuse(path, {list_name: [item, 5]}, 400, member)["pointer"], f"/{list_name}/1")
        self.assertEqual(self.refuse(path, {}, 400, member)["type"], "urn:sheaf:problem:member")
        self.refuse(path, {list_name: [item] * 6}, 413, member)
        self.refuse(path, {list_name: [item]}, 415, member, {"Content-Type": "text/plain"})
        answer = self.sheaf.request("GET", path)
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST, OPTIONS"))
        self.assertIn(member, answer.json)


def seen(result):
    """What /echo saw."""
    document = json.loads(result["body"])
    document["headers"] = dict(map(tuple, document["headers"]))
    return document


class Apisix(Dialect):
    def test_the_documented_exchange(self):
        both = self.results(PIPELINE, {
            "headers": {"Content-Type": "application/json", "admin-jwt": "xxxx"}, "timeout": 5000,
            "pipeline": [{"method": "POST", "path": "/o/echo", "body": "test"},
                         {"method": "POST", "path": "/o/echo", "body": "test2"}]})
        self.assertEqual([seen(result)["body"] for result in both], ["test", "test2"])
        for result in both:
            self.assertEqual(set(result), {"status", "reason", "headers", "body"})
            self.assertEqual((result["status"], result["reason"]), (200, "OK"))
            self.assertEqual(result["headers"]["Content-Type"], "application/json")
            headers = seen(result)["headers"]
            self.assertEqual((headers["content-type"], headers["admin-jwt"]), ("application/json", "xxxx"))

    def test_queries_and_headers_of_the_batch_are_defaults(self):
        b, c, d = self.results(PIPELINE, {
            "query": {"base": "base_query", "conflict": "query_value"},
            "headers": {"Base-Header": "base", "ConflictHeader": "header_value", "OuterConflict": "common_value"},
            "pipeline": [{"path": "/o/echo", "headers": {"Header1": "hello", "ConflictHeader": "b-header-value"}},
                         {"path": "/o/echo", "method": "PUT"},
                         {"path": "/o/echo", "query": {"one": "thing", "conflict": "d value"}}]},
            {"ConflictHeader": "outer_header", "OuterConflict": "outer_conflict", "X-Outer": "o"})
        self.assertEqual(seen(b)["target"], "/echo?base=base_query&conflict=query_value")
        self.assertEqual(seen(d)["target"], "/echo?one=thing&conflict=d%20value&base=base_query")
        self.assertEqual(seen(c)["method"], "PUT")
        headers = seen(b)["headers"]
        self.assertEqual((headers["base-header"], headers["header1"], headers["conflictheader"],
                          headers["outerconflict"], headers["x-outer"]),
                         ("base", "hello", "b-header-value", "common_value", "o"))

    def test_one_slow_item_loses_nothing_but_itself(self):
        results = self.results(PIPELINE, {"timeout": 700, "pipeline": [
            {"path": "/o/never"}, {"path": "/o/text"}, {"path": "/o/status/404"}, {"path": "/nowhere"}]})
        self.assertEqual([(result["status"], result["reason"]) for result in results],
                         [(504, "upstream timeout"), (200, "OK"), (404, "Not Found"), (404, "Not Found")])
        self.assertIn("urn:sheaf:problem:batch-timeout", results[0]["body"])

    def test_results_keep_the_order_of_the_request(self):
        results = self.results(PIPELINE, {"pipeline": [
            {"path": "/o/delay/120/status/201"}, {"path": "/o/delay/60/status/202"}, {"path": "/o/text"}]})
        self.assertEqual([result["status"] for result in results], [201, 202, 200])

    def test_bodies(self):
        binary, empty, gone, head = self.results(PIPELINE, {"pipeline": [
            {"path": "/o/echo", "method": "GET"}, {"path": "/o/bytes/0"}, {"path": "/o/status/204"},
            {"path": "/o/text", "method": "HEAD"}]})
        self.assertIsInstance(binary["body"], str)
        self.assertEqual(empty["body"], "")
        self.assertNotIn("body", gone)
        self.assertNotIn("body", head)

    def test_accept_does_not_matter(self):
        self.results(PIPELINE, {"pipeline": [{"path": "/o/text"}]}, {"Accept": "application/xml"})
        self.results(PIPELINE, {"pipeline": [{"path": "/o/text"}]}, {"Accept": "text/html"})

    def test_trust_headers_of_the_batch_are_not_believed(self):
        result, = self.results(PIPELINE, {"headers": {"X-Real-IP": "6.6.6.6", "X-Forwarded-For": "6.6.6.6"}, "pipeline": [
            {"path": "/o/echo", "headers": {"X-Real-IP": "6.6.6.6"}}]}, {"X-Real-IP": "6.6.6.6"})
        headers = seen(result)["headers"]
        self.assertEqual((headers["x-real-ip"], headers["x-forwarded-for"]), ("127.0.0.1", "127.0.0.1"))

    def test_refusals_are_where_clients_look(self):
        self.refuse_all(PIPELINE, "pipeline", "path", "error_msg")
        self.assertEqual(self.refuse(PIPELINE, {"pipeline": []}, 400, "error_msg")["status"], 400)

    def test_options_say_what_is_read(self):
        answer = self.sheaf.request("OPTIONS", PIPELINE)
        self.assertEqual(answer.headers["accept-post"], "application/json")


class Tyk(Dialect):
    def test_the_documented_exchange(self):
        results = self.results(BATCH, {"requests": [
            {"method": "GET", "headers": {"x-tyk-test": "1", "authorization": "1dbc"}, "body": "", "relative_url": "echo?a=1"},
            {"method": "POST", "headers": {"x-tyk-test": "2"}, "body": "TEST BODY", "relative_url": "/echo"}],
            "suppress_parallel_execution": False}, {"authorization": "outer", "x-outer": "o"})
        for result in results:
            self.assertEqual(set(result), {"relative_url", "code", "headers", "body"})
            self.assertEqual((result["code"], result["headers"]["Content-Type"]), (200, ["application/json"]))
        self.assertEqual([result["relative_url"] for result in results], ["echo?a=1", "/echo"])
        get, post = map(seen, results)
        self.assertEqual((get["method"], get["target"], get["headers"]["authorization"]), ("GET", "/echo?a=1", "1dbc"))
        self.assertEqual((post["method"], post["body"]), ("POST", "TEST BODY"))
        for document in (get, post):
            self.assertNotIn("x-outer", document["headers"])
        self.assertNotIn("authorization", post["headers"])

    def test_an_item_that_failed_is_no_zero_unit(self):
        dropped, nowhere, well = self.results(BATCH, {"requests": [
            {"relative_url": "drop"}, {"relative_url": "../nowhere"}, {"relative_url": "text"}]})
        self.assertEqual((dropped["relative_url"], dropped["code"]), ("drop", 502))
        self.assertEqual(dropped["headers"]["Content-Type"], ["application/problem+json"])
        self.assertIn("urn:sheaf:problem:reset", dropped["body"])
        self.assertEqual((nowhere["code"], well["code"]), (400, 200))

    def test_results_keep_the_order_of_the_request(self):
        urls = ["delay/120/status/201", "delay/60/status/202", "text"]
        results = self.results(BATCH, {"requests": [{"relative_url": url} for url in urls]})
        self.assertEqual([(result["relative_url"], result["code"]) for result in results], list(zip(urls, (201, 202, 200))))

    def test_suppressed_parallel_execution_is_one_after_another(self):
        self.origin.reset()
        results = self.results(BATCH, {"suppress_parallel_execution": True,
                                       "requests": [{"relative_url": "delay/30/text"}, {"relative_url": "drop"},
                                                    {"relative_url": "delay/30/text"}]})
        self.assertEqual([result["code"] for result in results], [200, 502, 200])
        self.assertEqual(self.origin.count()["most_flying"], 1)

    def test_urls_stay_below_the_base(self):
        slow, outside = self.results("/other", {"requests": [{"relative_url": "never"}, {"relative_url": "../o/text"}]})
        self.assertEqual((slow["code"], outside["code"]), (504, 400))

    def test_an_empty_batch_is_an_empty_array(self):
        self.assertEqual(self.results(BATCH, {"requests": []}), [])

    def test_refusals_are_where_clients_look(self):
        self.refuse_all(BATCH, "requests", "relative_url", "message")
        self.assertEqual(self.refuse(BATCH, "nope", 400, "message")["status"], "error")


del Dialect, Case
