"""What comes back: every kind of backend answer in its own place, in JSON and in XML."""
import base64
import json
import unittest
import xml.etree.ElementTree as xml

from harness import Case

DAV, OWN = "{DAV:}", "{urn:sheaf:batch}"


class Results(Case):
    places = {"upstream": "timeout: 2s", "endpoint": "timeout: 20s"}

    def test_a_batch_with_every_member_is_answered_item_by_item(self):
        answer = self.sheaf.batch(
            [{"id": "a", "method": "get", "url": "/o/echo?q=1", "headers": {"x-one": "1", "x-two": ["2", "3"]}},
             {"id": "b", "method": "POST", "url": "/o/echo", "body": {"n": 12345678901234567890}, "timeout": "1s",
              "dependsOn": ["a"]},
             {"id": "c", "method": "PUT", "url": "/o/echo", "headers": {"content-type": "text/plain"}, "body": "hi é"},
             {"id": "d", "method": "POST", "url": "/o/echo", "headers": {"content-type": "image/png"},
              "body": base64.b64encode(b"\0\1\2").decode()},
             {"id": "e", "method": "DELETE", "url": "o/status/204", "@odata.note": 1, "body": None}],
            headers={"x-outer": "o", "x-one": "outer"}, timeout="5s", onError="continue", order="request", parallel=3)
        self.assertEqual(answer.status, 207)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual([result["id"] for result in answer.json["responses"]], list("abcde"))
        self.assertEqual(answer.json["summary"], {"total": 5, "succeeded": 5, "failed": 0})
        a, b, c, d, e = answer.json["responses"]
        seen = [tuple(field) for field in a["body"]["headers"]]
        self.assertEqual((a["body"]["method"], a["body"]["target"]), ("GET", "/echo?q=1"))
        self.assertIn(("x-outer", "o"), seen)
        self.assertIn(("x-one", "1"), seen)
        self.assertNotIn(("x-one", "outer"), seen)
        self.assertEqual(sorted(value for name, value in seen if name == "x-two" for value in value.split(", ")), ["2", "3"])
        self.assertEqual(b["body"]["body"].replace(" ", ""), '{"n":12345678901234567890}')
        self.assertEqual(dict(map(tuple, b["body"]["headers"]))["content-type"], "application/json")
        self.assertEqual(c["body"]["body"].encode("latin-1"), "hi é".encode())
        self.assertEqual(d["body"]["body"], "\0\1\2")
        self.assertEqual(e, {"id": "e", "status": 204, "headers": {}})

    def test_envelope_headers_stand_between_outer_and_item(self):
        answer = self.sheaf.post({"headers": {"x-a": "envelope", "x-b": "envelope"},
                                  "requests": [{"url": "/o/echo", "headers": {"x-b": "item"}}]},
                                 {"x-a": "outer", "x-c": "outer"})
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        self.assertEqual((seen["x-a"], seen["x-b"], seen["x-c"]), ("envelope", "item", "outer"))

    def test_a_bare_array_is_taken_and_ids_default_to_the_index(self):
        answer = self.sheaf.post([{"url": "/o/text"}, {"url": "/o/json/10"}])
        self.assertEqual(answer.status, 207)
        self.assertEqual([result["id"] for result in answer.json["responses"]], ["0", "1"])

    def test_an_empty_batch_is_an_empty_207(self):
        answer = self.sheaf.post([])
        self.assertEqual((answer.status, answer.json["responses"]), (207, []))
        self.assertEqual(answer.json["summary"]["total"], 0)

    def test_every_misbehaviour_is_one_items_and_leaves_siblings_alone(self):
        wanted = {  # url: status and problem, or status and body
            "/o/status/500": (500, None), "/o/status/404": (404, None), "/o/redirect": (302, None),
            "/o/drop": (502, "reset"), "/o/half": (502, "reset"), "/o/half-head": (502, "reset"),
            "/o/half-chunk": (502, "reset"), "/o/garbage": (502, "malformed"), "/o/two-lengths": (502, "malformed"),
            "/o/length-and-chunked": (502, "malformed"), "/o/extra": (200, None), "/o/1xx": (200, None),
            "/o/eof": (200, None), "/o/close": (200, None), "/o/chunked/2500?trailers": (200, None),
            "/o/drip/3": (200, None), "/quick/never": (504, "timeout"), "/o/bytes/0": (200, None),
            "/o/keepalive/5": (200, None), "/o/head204": (204, None), "/o/delay/30/status/418": (418, None),
            "/o/bytes/1048577": (502, "answer-too-large"), "/o/chunked/1048577": (502, "answer-too-large"),
            "/o/bytes/1048576": (200, None),
        }
        items = []
        for url in wanted:
            items += [{"id": url, "url": url}, {"id": url + "#sibling", "url": "/o/text"}]
        for round_number in range(3):  # the pool of the second round holds what the first left behind
            answer = self.sheaf.batch(items)
            self.assertEqual(answer.status, 207)
            results = answer.results
            for url, (status, slug) in wanted.items():
                with self.subTest(url=url, round=round_number):
                    if slug:
                        self.assert_problem(results[url], status, slug)
                    self.assertEqual(results[url]["status"], status, results[url])
                    self.assertEqual(results[url + "#sibling"]["body"], 'plain "text" é')
            self.assertEqual(results["/o/1xx"]["body"], "final")
            self.assertEqual(results["/o/eof"]["body"], "until the end")
            self.assertEqual(results["/o/extra"]["body"], "ok")
            self.assertEqual(results["/o/drip/3"]["body"], "...")
            self.assertEqual(len(results["/o/chunked/2500?trailers"]["body"]), 2500)

    def test_bytes_after_an_answer_never_reach_another_item(self):
        results = self.run_items(*(["/o/extra", "/o/text"] * 20), parallel=1)
        self.assertEqual({result["status"] for result in results}, {200})
        self.assertNotIn("poison", str(results))

    def test_bodies_are_json_text_or_base64(self):
        items = ["/o/json/100", "/o/text", "/o/xml", "/o/binary", "/o/latin1", "/o/badjson", "/o/notype"]
        json_, text, xml_, binary, latin1, badjson, notype = self.run_items(*items)
        self.assertTrue(json_["body"]["fill"].startswith("abc"))
        self.assertNotIn("bodyEncoding", json_)
        self.assertEqual(text["body"], 'plain "text" é')
        self.assertEqual(xml_["body"], '<?xml version="1.0"?><a><b>1 &amp; 2</b></a>')
        for result, want in ((binary, bytes(range(256))), (latin1, b"caf\xe9"), (badjson, b'{"a":}'), (notype, b"untyped")):
            self.assertEqual(result["bodyEncoding"], "base64", result)
            self.assertEqual(base64.b64decode(result["body"]), want)
        self.assertEqual(latin1["headers"]["x-name"], "café")

    def test_no_body_member_where_there_is_no_body(self):
        items = [{"method": "HEAD", "url": "/o/bytes/10"}, {"url": "/o/status/204"}, {"url": "/o/status/304"},
                 {"url": "/o/bytes/0"}]
        for result in self.run_items(*items):
            self.assertNotIn("body", result)
            self.assertIn("headers", result)

    def test_result_headers_are_the_end_to_end_ones(self):
        cookies, hop = self.run_items("/o/setcookie", "/o/hop")
        self.assertEqual(cookies["headers"]["set-cookie"], ["a=1", "b=2"])
        self.assertIn(cookies["headers"]["x-two"], ("1, 2", ["1", "2"]))
        for name in ("date", "server", "content-length", "connection", "keep-alive", "x-mine"):
            self.assertNotIn(name, {**cookies["headers"], **hop["headers"]})
        self.assertEqual(hop["headers"]["x-yours"], "2")

    def test_request_bodies_travel_as_the_client_wrote_them(self):
        body = '{"big":9007199254740993,"exp":1.50E+3, "text":"\\u00e9\\ud83d\\ude00"}'
        answer = self.sheaf.post('{"requests":[{"method":"POST","url":"/o/echo","body":' + body + '}]}')
        self.assertEqual(answer.json["responses"][0]["body"]["body"], body)

    def test_bad_base64_is_that_items_400(self):
        bad, null, good = self.run_items(
            {"method": "POST", "url": "/o/echo", "bodyEncoding": "base64", "body": "%%%"},
            {"method": "POST", "url": "/o/echo", "body": None},
            {"method": "POST", "url": "/o/echo", "bodyEncoding": "base64", "body": "_-8="})
        self.assert_problem(bad, 400, "item-body")
        self.assertEqual(null["body"]["body"], "null")
        self.assertEqual(good["body"]["body"], "\xff\xef")

    def test_body_on_get_is_400_and_a_large_body_413(self):
        on_get, large, small = self.run_items(
            {"url": "/o/echo", "body": {}}, {"method": "POST", "url": "/small", "body": "x" * 20},
            {"method": "POST", "url": "/small", "body": "x"})
        self.assert_problem(on_get, 400, "item-body")
        self.assert_problem(large, 413, "item-too-large")
        self.assertEqual(small["status"], 200)

    def test_odata_groups_and_conditions(self):
        group, condition = self.run_items({"url": "/o/text", "atomicityGroup": "g"}, {"url": "/o/text", "if": "x"})
        self.assert_problem(group, 501, "change-sets")
        self.assert_problem(condition, 424, "condition")

    def test_results_name_the_group_of_their_items(self):
        sheaf = self.start(endpoint="change_sets: flat")
        items = ({"url": "/o/text", "atomicityGroup": "g"}, {"url": "/o/status/404", "atomicityGroup": "g"}, "/o/text")
        for accept in ("application/json", "application/x-ndjson"):
            answer = sheaf.batch(items, {"Accept": accept}, order="request")
            results = (answer.json["responses"] if accept == "application/json"
                       else [json.loads(line) for line in answer.body.splitlines()[:3]])
            self.assertEqual([(result.get("atomicityGroup"), result["status"]) for result in results],
                             [("g", 200), ("g", 404), (None, 200)])

    def test_a_batch_in_xml_may_have_groups_too(self):
        sheaf = self.start(endpoint="change_sets: flat")
        body = """<batch xmlns="urn:sheaf:batch"><request url="/o/text" atomicityGroup="g &amp; &#233;"/><request url="/o/xml"/></batch>"""
        groups = {}
        for accept in ("application/json", "application/xml"):
            answer = sheaf.request("POST", "/batch", body, {"Content-Type": "application/xml", "Accept": accept})
            self.assertEqual(answer.status, 207, answer.body)
            groups[accept] = ([item.get("atomicityGroup") for item in xml.fromstring(answer.body).iter(OWN + "item")]
                              if accept == "application/xml"
                              else [result.get("atomicityGroup") for result in answer.json["responses"]])
        self.assertEqual(groups, dict.fromkeys(groups, ["g & é", None]))

    def test_a_reused_connection_that_dies_is_retried_for_idempotent_methods(self):
        for _ in range(10):
            results = self.run_items("/o/drop-once-reused", "/o/drop-once-reused", parallel=1)
            self.assertEqual([result["status"] for result in results], [200, 200], results)

    def test_a_post_that_may_have_been_processed_is_never_sent_twice(self):
        self.run_items("/o/text", parallel=1)
        self.origin.reset()
        result = self.run_item({"method": "POST", "url": "/o/drop", "body": {}})
        self.assert_problem(result, 502, "reset")
        self.assertEqual(self.origin.count()["served"], 1)

    def test_connections_are_reused(self):
        self.run_items(*["/o/text"] * 5, parallel=1)
        self.origin.reset()
        self.run_items(*["/o/text"] * 20, parallel=1)
        count = self.origin.count()
        self.assertEqual(count["served"], 20)
        self.assertLessEqual(count["opened"] - count["open"], 2, count)


class Xml(Case):
    def xml_of(self, *items, accept="application/xml", **envelope):
        answer = self.sheaf.batch(items, {"Accept": accept}, **envelope)
        self.assertEqual(answer.status, 207)
        self.assertEqual(answer.headers["content-type"].split(";")[0], accept)
        return xml.fromstring(answer.body), answer

    def test_an_xml_answer_is_a_multistatus(self):
        root, answer = self.xml_of({"id": "u", "url": "/o/json/10?a=1&b=<x>"}, {"id": "v", "url": "/o/status/404"},
                                   {"id": "w", "url": "/nowhere"}, {"id": "x", "url": "/o/redirect"})
        self.assertEqual(root.tag, DAV + "multistatus")
        responses = root.findall(DAV + "response")
        self.assertEqual([response.find(DAV + "status").text.split()[1] for response in responses],
                         ["200", "404", "404", "302"])
        self.assertTrue(responses[0].find(DAV + "href").text.startswith("/o/json/10?a=1&b=%3Cx%3E"))
        item = responses[0].find(OWN + "item")
        self.assertEqual(item.get("id"), "u")
        self.assertEqual({header.get("name"): header.text for header in item.findall(OWN + "header")},
                         {"content-type": "application/json"})
        self.assertEqual(item.find(OWN + "body").text, '{"fill":"abcdefghij"}')
        self.assertIsNotNone(responses[2].find(DAV + "responsedescription"))
        self.assertEqual(responses[3].find(DAV + "location").find(DAV + "href").text, "/o/elsewhere")
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_bodies_in_xml_are_elements_text_or_base64(self):
        root, _ = self.xml_of("/o/xml", "/o/text", "/o/binary", "/o/latin1")
        bodies = [response.find(OWN + "item").find(OWN + "body") for response in root.findall(DAV + "response")]
        self.assertEqual(bodies[0].find("a").find("b").text, "1 & 2")
        self.assertEqual(bodies[1].text, 'plain "text" é')
        self.assertEqual(base64.b64decode(bodies[2].text), bytes(range(256)))
        self.assertEqual(bodies[2].get("encoding"), "base64")

    def test_a_repeated_href_stands_once(self):
        root, _ = self.xml_of("/o/text", "/o/text", "/o/text", accept="text/xml")
        hrefs = [response.find(DAV + "href").text for response in root.findall(DAV + "response")]
        self.assertEqual(hrefs, ["/o/text", "urn:sheaf:item:1", "urn:sheaf:item:2"])
        self.assertEqual(root.findall(DAV + "response")[1].find(OWN + "item").get("url"), "/o/text")

    def test_misbehaviours_never_break_the_document(self):
        urls = ["/o/badjson", "/o/half", "/o/garbage", "/o/header/X-Odd/%3C%26", "/o/text"]
        root, _ = self.xml_of(*urls)
        self.assertEqual(len(root.findall(DAV + "response")), len(urls))


if __name__ == "__main__":
    unittest.main()
