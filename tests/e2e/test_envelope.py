"""What is refused as a whole: one problem+json, its place in the document, and no backend touched."""
import json
import unittest

from harness import Case, RawClient

ITEM = {"url": "/o/text"}


def deep(levels):
    return "[" * levels + "]" * levels


class Envelope(Case):
    places = {"endpoint": "max_items: 5, max_body: 64KiB"}

    def refuse(self, body, status=400, slug=None, pointer=None, place=None, headers=None):
        before = self.origin.count()["served"]
        answer = self.sheaf.post(body, headers)
        self.assertEqual(answer.status, status, answer.body[:400])
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        problem = answer.json
        self.assertEqual(problem["status"], status)
        if slug:
            self.assertEqual(problem["type"], f"urn:sheaf:problem:{slug}", problem)
        if pointer is not None:
            self.assertEqual(problem.get("pointer"), pointer, problem)
        if place is not None:
            self.assertEqual((problem.get("line"), problem.get("column")), place, problem)
        self.assertEqual(self.origin.count()["served"], before, "a backend was touched")
        return problem

    def test_syntax_errors_carry_line_and_column(self):
        for body, place in (('{"requests":[}', (1, 14)), ('{"requests":[\n{"url":"/o/text",}]}', (2, 18)),
                            ("", None), ("[", None), ('{"requests":[]} x', (1, 17)), ("\ufeff[]", (1, 1)),
                            ('["é" x]', (1, 6)), ('[{"url":"\\ud800"}]', None), ("nope", None)):
            with self.subTest(body=body):
                self.refuse(body, slug="syntax", place=place)

    def test_invalid_utf8_duplicates_and_depth_are_refused_inside_bodies_too(self):
        for body in (b'[{"url":"/o/\xff"}]', '[{"url":"/o/text","url":"/o/text"}]',
                     '[{"method":"POST","url":"/o/echo","body":{"a":1,"a":2}}]',
                     '[{"method":"POST","url":"/o/echo","body":' + deep(70) + "}]",
                     b'[{"method":"POST","url":"/o/echo","body":"\xc3("}]'):
            with self.subTest(body=body[:60]):
                self.refuse(body)

    def test_wrong_members_are_pointed_at(self):
        for body, pointer in (
                ({"requests": [ITEM, {"url": 5}]}, "/requests/1/url"), ({"requests": [ITEM, {}]}, "/requests/1"),
                ([ITEM, {"url": "/x", "nope": 1}], "/1/nope"), ({"requests": [], "nope": 1}, "/nope"),
                ({"requests": 5}, "/requests"), ({"requests": [5]}, "/requests/0"),
                ({"requests": [ITEM], "timeout": "soon"}, "/timeout"), ({"requests": [ITEM], "order": "any"}, "/order"),
                ({"requests": [ITEM], "parallel": 0}, "/parallel"), ({"requests": [ITEM], "onError": "x"}, "/onError"),
                ({"requests": [{**ITEM, "timeout": "-1s"}]}, "/requests/0/timeout"),
                ({"requests": [{**ITEM, "headers": {"a": 1}}]}, "/requests/0/headers/a"),
                ({"requests": [{**ITEM, "a/b~c": 1}]}, "/requests/0/a~1b~0c"), ({}, "")):
            with self.subTest(body=body):
                self.refuse(body, pointer=pointer)

    def test_ids_are_checked(self):
        for first, second, pointer in (("a", "a", "/1/id"), ("x" * 129, "b", "/0/id"), ("a\u0001", "b", "/0/id"),
                                       ("", "b", "/0/id"), ("1", None, None), ("a[3]", "b", "/0/id")):
            with self.subTest(first=first[:10]):
                items = [{**ITEM, "id": first}, {**ITEM, "id": second} if second else ITEM]
                self.refuse(items, slug="id", pointer=pointer)

    def test_unknown_dependencies_and_cycles_are_refused(self):
        self.refuse([{**ITEM, "id": "a", "dependsOn": ["nobody"]}], slug="dependency", pointer="/0/dependsOn/0")
        self.refuse([{**ITEM, "id": "a", "dependsOn": ["a"]}], slug="cycle")
        self.refuse([{**ITEM, "id": "a", "dependsOn": ["c"]}, {**ITEM, "id": "b", "dependsOn": ["a"]},
                     {**ITEM, "id": "c", "dependsOn": ["b"]}], slug="cycle")

    def test_too_many_items_and_too_large_are_413(self):
        self.refuse([ITEM] * 6, 413, "too-many-items")
        self.refuse([{**ITEM, "headers": {"x": "y" * 70000}}], 413, "too-large")

    def test_only_post_is_allowed(self):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            answer = self.sheaf.request(method, "/batch")
            self.assertEqual(answer.status, 405)
            self.assertIn("POST", answer.headers["allow"])

    def test_media_types_that_are_not_understood_are_415(self):
        for content_type in ("text/plain", "application/xhtml+xml", "application/jsonx", "nonsense"):
            self.refuse([ITEM], 415, "media-type", headers={"Content-Type": content_type})
        client = RawClient(self.sheaf.at)
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]")
        self.assertEqual(client.read_response().status, 415)
        client.close()
        for content_type in ("application/json; charset=utf-8", "Application/JSON"):
            self.assertEqual(self.sheaf.post([ITEM], {"Content-Type": content_type}).status, 207)

    def test_accept_chooses_by_quality(self):
        for accept, want in (("*/*", "application/json"), ("application/xml", "application/xml"),
                             ("application/json;q=0.5, application/xml", "application/xml"),
                             ("application/json, application/xml", "application/json"),
                             ("text/html, application/*;q=0.1", "application/json"),
                             ("application/json;q=0, */*", "application/xml"), ("text/xml", "text/xml"),
                             ("TEXT/*", "text/xml")):
            with self.subTest(accept=accept):
                answer = self.sheaf.post([ITEM], {"Accept": accept})
                self.assertEqual((answer.status, answer.headers["content-type"].split(";")[0]), (207, want))
        for accept in ("text/html", "application/json;q=0, application/xml;q=0, text/xml;q=0", "image/*"):
            with self.subTest(accept=accept):
                self.refuse([ITEM], 406, "not-acceptable", headers={"Accept": accept})

    def test_other_paths_are_404(self):
        for path in ("/", "/batch/x", "/healthz", "/metrics", "/readyz"):
            answer = self.sheaf.request("POST", path, b"[]", {"Content-Type": "application/json"})
            self.assertEqual(answer.status, 404, path)

    def test_the_connection_lives_on_after_a_refusal(self):
        conn = self.sheaf.connect()
        for body, status in (("[", 400), (json.dumps([ITEM]), 207), ("{}", 400), (json.dumps([ITEM]), 207)):
            self.assertEqual(self.sheaf.post(body, conn=conn).status, status)
        conn.close()

    def test_a_gateway_that_meets_itself_says_508(self):
        seen = self.echo("/o/echo")
        self.assertIn("via", seen["headers"])
        answer = self.sheaf.post([ITEM], {"Via": seen["headers"]["via"]})
        self.assertEqual(answer.status, 508)


class Statuses(Case):
    places = {"endpoints": "- {path: /mixed, status: mixed}\n  - {path: /always200, status: \"200\"}\n"
                           "  - {path: /v1/$batch, status: \"202\"}"}

    def test_mixed_is_the_common_status(self):
        for items, want in ((["/o/text", "/o/text"], 200), (["/o/status/404", "/o/status/404"], 404),
                            (["/o/text", "/o/status/404"], 207), (["/o/status/401", "/o/status/401"], 207),
                            (["/o/status/201", "/o/status/201"], 207), (["/o/half"], 502)):
            with self.subTest(items=items):
                self.assertEqual(self.sheaf.batch(items, path="/mixed").status, want)

    def test_fixed_statuses_and_the_folder_of_a_dollar_batch(self):
        self.assertEqual(self.sheaf.batch(["/o/text"], path="/always200").status, 200)
        answer = self.sheaf.batch(["../o/text", "o/text"], path="/v1/$batch")
        self.assertEqual(answer.status, 202)
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 404])


if __name__ == "__main__":
    unittest.main()
