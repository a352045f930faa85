"""Bulk endpoints: an array of data, and what each element becomes."""
import json
import unittest

from harness import Case, RawClient, wait_until
from test_ndjson import NDJSON, lines_of

BULKS = """
    - {path: /users/bulk, kind: bulk, each: {id: "${item/externalId}", method: POST, url: "/o/echo", body: "${item}"}}
    - {path: /users/bulk, kind: bulk, method: DELETE, each: {method: DELETE, url: "/o/echo/${item}"}}
    - {path: /made, kind: bulk, max_items: 3, on_error: stop, parallel: 1, each: {method: PUT, url: "/o/status/${item/status:-200}?q=${item/q:-}", headers: {x-name: "is ${item/name:-nobody}"}, body: {name: "${item/name:-nobody}", all: ["${item/list:-[]}", "no ${item/q:-0}"]}}}
    - {path: /waits, kind: bulk, max_items: 100000, max_body: 8MiB, each: {method: GET, url: "/o/${item/do:-json}/${item/n:-10}"}}
    - {path: /typed, kind: bulk, each: {url: "/o/echo", body: "${item}"}}
    - {path: /mixed, kind: bulk, status: mixed, timeout: 1s, each: {method: GET, url: "/o/${item/do:-json}/${item/n:-10}"}}
    - {path: /echoes, kind: bulk, each: {method: PUT, url: "/o/echo?q=${item/q:-}", headers: {x-name: "is ${item/name:-nobody}"}, body: {name: "${item/name:-nobody}", all: ["${item/list:-[]}", "no ${item/q:-0}"]}}}
"""
DELAY, FAIL = '{"do":"delay","n":20000}', '{"do":"status","n":503}'
BIG = '{"externalId":"7f","n":12345678901234567890,"d":1.0, "s":"\\u00e9\\/"}'


class Bulk(Case):
    places = {"endpoints": BULKS}

    def ask(self, body, path="/users/bulk", method="POST", **headers):
        headers = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.sheaf.request(method, path, body if isinstance(body, bytes) else body.encode(), headers)

    def results(self, answer):
        self.assertEqual(answer.status, 207, answer.body[:500])
        return answer.json["responses"]

    def test_each_element_is_sent_byte_for_byte_and_called_by_its_own_id(self):
        results = self.results(self.ask(f'[{BIG}, {{"externalId":9}}]'))
        self.assertEqual([(result["id"], result["index"], result["status"]) for result in results], [("7f", 0, 200), ("9", 1, 200)])
        self.assertEqual(results[0]["body"]["body"], BIG)
        self.assertEqual((results[0]["body"]["method"], dict(map(tuple, results[0]["body"]["headers"]))["content-type"]),
                         ("POST", "application/json"))

    def test_an_object_with_items_is_taken_too(self):
        answer = self.ask('{"@context":1,"items":[{"externalId":"a"}]}')
        self.assertEqual([result["id"] for result in self.results(answer)], ["a"])

    def test_lines_are_taken_too(self):
        answer = self.ask(BIG + '\r\n\n{"externalId":"b"}', Content_Type=NDJSON)
        results = self.results(answer)
        self.assertEqual([result["id"] for result in results], ["7f", "b"])
        self.assertEqual(results[0]["body"]["body"], BIG)

    def test_ids_may_repeat_because_results_carry_the_index(self):
        results = self.results(self.ask('[{"externalId":"a"},{"externalId":"a"}]'))
        self.assertEqual([(result["id"], result["index"]) for result in results], [("a", 0), ("a", 1)])

    def test_what_an_element_lacks_is_its_own_error(self):
        results = self.results(self.ask('[{"externalId":"a"},{"id":1},3,{"externalId":[]},{"externalId":"\\u0000"},{"externalId":"z"}]'))
        self.assertEqual([result["status"] for result in results], [200, 400, 400, 400, 400, 200])
        self.assertEqual([result["id"] for result in results], ["a", "1", "2", "3", "4", "z"])
        self.assert_problem(results[1], 400, "item-data")
        self.assertEqual(results[1]["body"]["detail"], '"${item/externalId}" found nothing')
        self.assertEqual(results[3]["body"]["detail"], '"${item/externalId}" found an array where a plain value is wanted')

    def test_ids_of_the_query_are_elements(self):
        answer = self.sheaf.request("DELETE", "/users/bulk?ids=1,a%2Cb,%C3%A9+x&x=1")
        results = self.results(answer)
        self.assertEqual([result["body"]["target"] for result in results], ["/echo/1", "/echo/a%2Cb", "/echo/%C3%A9%20x"])
        self.assertEqual({result["body"]["method"] for result in results}, {"DELETE"})
        self.assertEqual([result["id"] for result in results], ["0", "1", "2"])

    def test_an_id_is_a_number_only_when_it_is_nothing_but_that(self):
        answer = self.sheaf.request("POST", "/typed?ids=1,-2.5,1e5,01,-,2+,3%0A,+4,true")
        self.assertEqual([result["body"]["body"] for result in self.results(answer)],
                         ["1", "-2.5", "1e5", '"01"', '"-"', '"2 "', '"3\\u000a"', '" 4"', '"true"'])

    def test_a_body_of_plain_values_is_the_same(self):
        results = self.results(self.ask("[1, 2.50, \"x y\", true]", "/users/bulk", "DELETE"))
        self.assertEqual([result["body"]["target"] for result in results], ["/echo/1", "/echo/2.50", "/echo/x%20y", "/echo/true"])

    def test_a_value_cannot_leave_its_segment(self):
        results = self.results(self.ask('["..", ".", "", "../x", "a?b#c", "${item}", null, {}]', "/users/bulk", "DELETE"))
        self.assertEqual([result["status"] for result in results], [400, 400, 400, 400, 200, 200, 400, 400], results)
        self.assertEqual([result["body"]["target"] for result in results[4:6]], ["/echo/a%3Fb%23c", "/echo/%24%7Bitem%7D"])
        self.assert_problem(results[0], 400, "item-data")

    def test_urls_headers_and_bodies_are_made_of_the_element(self):
        results = self.results(self.ask('[{"name":"A \\"B\\"","list":[1,{"x":2.0}],"q":"&="},{}]', "/echoes"))
        seen = [result["body"] for result in results]
        self.assertEqual(seen[0]["target"], "/echo?q=%26%3D")
        self.assertEqual(dict(map(tuple, seen[0]["headers"]))["x-name"], 'is A "B"')
        self.assertEqual(seen[0]["body"], '{"name":"A \\"B\\"","all":[[1,{"x":2.0}],"no &="]}')
        self.assertEqual(seen[1]["body"], '{"name":"nobody","all":[[],"no 0"]}')

    def test_a_header_takes_no_control_character(self):
        results = self.results(self.ask('[{"name":"a\\r\\nx: y"}]', "/echoes"))
        self.assert_problem(results[0], 400, "item-data")

    def test_what_is_no_bulk_is_refused_by_its_place(self):
        for body, status, slug, pointer in (('{"item":[]}', 400, "member", "/item"), ('{"items":{}}', 400, "member", "/items"),
                                            ('{}', 400, "member", ""), ('3', 400, "member", ""), ('[1,]', 400, "syntax", "/1"),
                                            ('[{"a":1,"a":2}]', 400, "syntax", "/0/a"), ('', 400, "syntax", "")):
            answer = self.ask(body)
            self.assertEqual((answer.status, answer.json["type"], answer.json.get("pointer")),
                             (status, f"urn:sheaf:problem:{slug}", pointer), body)
        answer = self.ask('{"externalId":1}\n{"externalId":}\n', Content_Type=NDJSON)
        self.assertEqual([answer.json[name] for name in ("pointer", "line", "column")], ["/1/externalId", 2, 15])

    def test_more_elements_than_allowed_are_refused_before_anything_runs(self):
        self.origin.reset()
        for body, kind, pointer in (("[1,2,3,4]", "application/json", ""), ('{"items":[1,2,3,4]}', "application/json", "/items"),
                                    ("1\n2\n3\n4\n", NDJSON, "/3")):
            answer = self.ask(body, "/made", Content_Type=kind)
            self.assertEqual((answer.status, answer.json["type"], answer.json["pointer"]),
                             (413, "urn:sheaf:problem:too-many-items", pointer))
        self.assertEqual(self.origin.count()["served"], 0)

    def test_ids_are_refused_when_malformed_or_beside_a_body(self):
        for query, detail in (("ids=1,,2", 'number 2 of "ids" is empty'), ("ids=", 'number 1 of "ids" is empty'),
                              ("ids=1&ids=2", '"ids" stands twice'), ("ids&%69ds=1", '"ids" stands twice'),
                              ("ids=1,%2", 'number 2 of "ids" is malformed'), ("ids=%FF", 'number 1 of "ids" is malformed')):
            answer = self.sheaf.request("DELETE", f"/users/bulk?{query}")
            self.assertEqual((answer.status, answer.json["detail"]), (400, detail))
        answer = self.ask("[1]", "/users/bulk?ids=1", "DELETE")
        self.assertEqual((answer.status, answer.json["detail"]), (400, 'the elements are in the body or in "ids", not in both'))

    def test_two_bulks_share_a_path_by_their_methods(self):
        answer = self.ask("[1]", method="PUT")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "DELETE, POST, OPTIONS"))
        answer = self.sheaf.request("OPTIONS", "/users/bulk")
        self.assertEqual([(each["kind"], each["methods"][0], each["requests"]) for each in answer.json],
                         [("bulk", method, ["application/json", NDJSON]) for method in ("DELETE", "POST")])

    def test_a_sequence_says_the_index_too(self):
        answer = self.ask('[{"externalId":"a"},{"externalId":"a"}]', Accept="application/json-seq")
        results = [json.loads(text) for text in answer.body.split(b"\x1e")[1:-1]]
        self.assertEqual(sorted((result["id"], result["index"]) for result in results), [("a", 0), ("a", 1)])

    def test_an_xml_document_names_each_element_by_its_index(self):
        answer = self.ask('[{"externalId":"a"},{"externalId":"a"}]', Accept="application/xml")
        for index in (0, 1):
            self.assertIn(b"<D:href>urn:sheaf:index:%d</D:href>" % index, answer.body)
            self.assertIn(b'<S:item id="a" index="%d" url="/o/echo">' % index, answer.body)

    def test_a_body_without_a_type_or_of_another_is_415(self):
        for headers in ({}, {"Content-Type": "application/xml"}):
            answer = self.sheaf.request("POST", "/users/bulk", b"[1]", headers)
            self.assertEqual((answer.status, answer.headers["accept-post"]), (415, "application/json, application/x-ndjson"))

    def test_an_empty_array_is_answered_by_an_empty_207(self):
        for body, kind in (("[]", "application/json"), ('{"items":[]}', "application/json"), ("\n", NDJSON)):
            self.assertEqual(self.results(self.ask(body, Content_Type=kind)), [])

    def test_stop_ends_it_after_the_first_failure(self):
        results = self.results(self.ask('[{},{"status":500},{}]', "/made"))
        self.assertEqual([result["status"] for result in results], [200, 500, 424])
        results = self.results(self.ask('[{"status":500},{}]', "/made", Prefer="continue-on-error"))
        self.assertEqual([result["status"] for result in results], [500, 200])

    def test_a_common_status_may_stand_for_all(self):
        self.assertEqual(self.ask(f"[{FAIL},{FAIL}]", "/mixed").status, 503)
        self.assertEqual(self.ask(f"[{{}},{FAIL}]", "/mixed").status, 207)

    def test_the_deadline_of_the_bulk_ends_what_has_not_answered(self):
        results = self.results(self.ask(f"[{{}},{DELAY},{DELAY}]", "/mixed"))
        self.assertEqual([result["status"] for result in results], [200, 504, 504])
        self.assert_problem(results[1], 504, "batch-timeout")

    def test_results_leave_while_later_elements_wait(self):
        client = RawClient(self.sheaf.at)
        self.addCleanup(client.close)
        body = b'{"do":"delay","n":3000}\n{}\n' * 2
        client.send(b"POST /waits HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\nAccept: application/x-ndjson\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        data = client.read_until(b'"index":3')
        self.assertNotIn(b'"index":0', data)
        self.assertIn(b'"summary":{"total":4,"succeeded":4,"failed":0}', client.read_until(b"\r\n0\r\n\r\n"))

    def test_thousands_pass_through_the_window_in_every_format(self):
        count = 5000
        body = "{}\n" * count
        for accept in (NDJSON, "application/json", "application/xml", "multipart/mixed"):
            answer = self.ask(body, "/waits", Content_Type=NDJSON, Accept=accept)
            self.assertEqual(answer.status, 207)
            if accept == NDJSON:
                results, summary = lines_of(answer)
                self.assertEqual(sorted(result["index"] for result in results), list(range(count)))
                self.assertEqual(summary, {"total": count, "succeeded": count, "failed": 0})
            elif accept == "application/json":
                self.assertEqual([result["index"] for result in answer.json["responses"]], list(range(count)))
            elif accept == "application/xml":
                for index in (0, 1, count - 1):
                    self.assertIn(b"<D:href>urn:sheaf:index:%d</D:href>" % index, answer.body)
                self.assertEqual(answer.body.count(b'url="/o/json/10"'), count)
            else:
                self.assertEqual(answer.body.count(b"HTTP/1.1 200 OK\r\n"), count)

    def test_a_client_that_leaves_ends_it(self):
        client = RawClient(self.sheaf.at)
        wait_until(lambda: self.origin.count()["flying"] == 0, what="the end of what flew before")
        self.origin.reset()
        client.post([json.loads(DELAY)] * 1000, path="/waits")
        wait_until(lambda: self.origin.count()["flying"] == 64, what="what flies")
        client.reset()
        wait_until(lambda: self.origin.count()["flying"] == 0, what="the end of what flew")


if __name__ == "__main__":
    unittest.main()
