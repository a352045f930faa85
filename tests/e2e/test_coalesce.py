"""The same question once; repetitions reported (RFC 5842); the envelope of the answer and its timing."""
import unittest
from xml.etree import ElementTree

from harness import Case

ROUTES = '- {match: "/once/{rest...}", rewrite: "/{rest...}", upstream: origin, coalesce: true}'
SHEAF_NS = "{urn:sheaf:batch}"


class Coalesce(Case):
    places = {"routes": ROUTES}

    def setUp(self):
        self.origin.reset()

    def served(self):
        return self.origin.count()["served"]

    def test_items_that_ask_the_same_cost_one_exchange_and_have_an_answer_each(self):
        results = self.run_items(*["/once/json/100"] * 20, "/once/text")
        self.assertEqual([result["id"] for result in results], [str(i) for i in range(21)])
        self.assertEqual([result["status"] for result in results], [200] * 21)
        for result in results[1:20]:
            self.assertEqual(result["body"], results[0]["body"])
            self.assertEqual(result["headers"], results[0]["headers"])
        self.assertEqual(self.served(), 2)

    def test_a_reference_to_one_that_shares_finds_its_answer(self):
        asked = {"method": "GET", "url": "/once/echo?n=1"}
        results = self.run_items({"id": "a", **asked}, {"id": "b", **asked}, {
            "id": "c", "method": "POST", "url": "/o/echo?m=${b.body/method}", "dependsOn": ["b"],
            "body": {"$result": "b.body/target"}}, repeat="reported")
        self.assertEqual([result["status"] for result in results], [200, 208, 200])
        self.assertEqual((results[2]["body"]["target"], results[2]["body"]["body"]), ("/echo?m=GET", '"/echo?n=1"'))
        self.assertEqual(self.served(), 2)

    def test_large_bodies_are_whole_for_everybody(self):
        results = self.run_items(*["/once/json/300000"] * 8)
        self.assertEqual(len({str(result["body"]) for result in results}), 1)
        self.assertEqual(self.served(), 1)

    def test_other_credentials_never_share(self):
        items = [{"url": "/once/echo", "headers": {"authorization": token}} for token in ("a", "b", "a")]
        results = self.run_items(*items)
        seen = [dict(map(tuple, result["body"]["headers"]))["authorization"] for result in results]
        self.assertEqual(seen, ["a", "b", "a"])
        self.assertEqual(self.served(), 2)

    def test_other_routes_share_nothing(self):
        before = self.sheaf.metrics()["sheaf_items_shared_total"]
        self.run_items("/o/text", "/o/text")
        self.assertEqual(self.served(), 2)
        self.assertEqual(self.sheaf.metrics()["sheaf_items_shared_total"], before)

    def test_items_that_share_are_counted(self):
        before = self.sheaf.metrics()["sheaf_items_shared_total"]
        self.run_items(*["/once/text"] * 5)
        self.assertEqual(self.sheaf.metrics()["sheaf_items_shared_total"], before + 4)

    def test_repetitions_are_reported_in_json(self):
        first, again, other = self.run_items("/once/text", "/once/text", "/o/text", repeat="reported")
        self.assertEqual((first["status"], other["status"]), (200, 200))
        self.assertEqual(again, {"id": "1", "status": 208, "headers": {}, "sameAs": "0"})

    def test_failures_are_never_called_a_repetition(self):
        results = self.run_items("/once/status/404", "/once/status/404", repeat="reported")
        self.assertEqual([result["status"] for result in results], [404, 404])

    def test_repetitions_are_reported_in_xml(self):
        answer = self.sheaf.batch(["/once/text", "/once/text"], headers={"Accept": "application/xml"}, repeat="reported")
        first, again = ElementTree.fromstring(answer.body).findall("{DAV:}response")
        self.assertEqual(first.find("{DAV:}status").text, "HTTP/1.1 200 OK")
        self.assertEqual(again.find("{DAV:}status").text, "HTTP/1.1 208 Already Reported")
        item = again.find(SHEAF_NS + "item")
        self.assertEqual((dict(item.attrib)["sameAs"], len(item)), ("0", 0))

    def test_batches_in_xml_and_lines_may_ask_for_it(self):
        xml = ('<batch xmlns="urn:sheaf:batch" repeat="reported"><request url="/once/text"/><request url="/once/text"/>'
               '</batch>')
        lines = '{"batch":{"repeat":"reported"}}\n{"url":"/once/text"}\n{"url":"/once/text"}\n'
        for body, content_type in ((xml, "application/xml"), (lines, "application/x-ndjson")):
            answer = self.sheaf.post(body, {"Content-Type": content_type, "Accept": "application/json"})
            self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 208])

    def test_formats_that_cannot_say_so_repeat(self):
        answer = self.sheaf.batch(["/once/json/10"] * 2, headers={"Accept": "multipart/mixed"}, repeat="reported")
        self.assertEqual(answer.body.count(b"HTTP/1.1 200 OK"), 2)

    def test_the_word_must_be_one_of_two(self):
        answer = self.sheaf.batch(["/once/text"], repeat="never")
        self.assertEqual((answer.status, answer.json["pointer"]), (400, "/repeat"))


class Envelope(Case):
    def test_data_wraps_the_document(self):
        sheaf = self.start(endpoint="envelope: data")
        answer = sheaf.batch(["/o/text", "/nowhere"])
        self.assertEqual(answer.json["status"], 207)
        self.assertEqual([result["status"] for result in answer.json["data"]["responses"]], [200, 404])
        self.assertEqual(answer.json["data"]["summary"]["total"], 2)
        self.assertEqual(list(answer.json), ["status", "data"])

    def test_its_status_is_that_of_the_answer(self):
        answer = self.start(endpoint="envelope: data, status: 200").batch(["/o/text"])
        self.assertEqual((answer.status, answer.json["status"]), (200, 200))

    def test_timing_says_how_long_each_item_took(self):
        sheaf = self.start(endpoint="timing: true")
        slow, never = self.run_items("/o/delay/200", "/nowhere", sheaf=sheaf)
        self.assertGreaterEqual(slow["elapsedMs"], 150)
        self.assertEqual(never["elapsedMs"], 0)
        answer = sheaf.batch(["/o/delay/200"], headers={"Accept": "application/xml"})
        item = ElementTree.fromstring(answer.body).find(f".//{SHEAF_NS}item")
        self.assertGreaterEqual(float(item.attrib["elapsedMs"]), 150)

    def test_nothing_is_timed_unasked(self):
        self.assertNotIn("elapsedMs", self.run_items("/o/text")[0])


if __name__ == "__main__":
    unittest.main()
