"""References over the real binary: what items take from the answers of others."""
import unittest

from harness import Case


class References(Case):
    def results(self, items, headers=None):
        return self.sheaf.batch(items, headers).results

    def test_url_headers_and_body_take_values(self):
        results = self.results([
            {"id": "u", "method": "POST", "url": "/o/echo", "body": {"id": 12345678901234567890}},
            {"id": "o", "method": "POST", "url": "/o/echo?for=${u.body/method}&t=${u.body/target}", "dependsOn": ["u"],
             "headers": {"x-status": "<${u.status}>"},
             "body": {"m": {"$result": "u.body/method"}, "s": {"$result": "u.status"}, "l": {"$literal": {"$result": 1}},
                      "t": "${u.status}"}}])
        body = results["o"]["body"]
        self.assertEqual(body["target"], "/echo?for=POST&t=%2Fecho")
        self.assertIn(["x-status", "<200>"], body["headers"])
        self.assertEqual(body["body"].replace(" ", ""),
                         '{"m":"POST","s":200,"l":{"$result":1},"t":"${u.status}"}')

    def test_what_is_missing_is_a_424_that_names_it(self):
        results = self.results([{"id": "u", "url": "/o/echo"},
                                {"id": "v", "url": "/o/${u.body/none}", "dependsOn": ["u"]},
                                {"id": "w", "url": "/o/echo?${x.body}", "dependsOn": ["u"]},
                                {"id": "x", "url": "/o/echo"}])
        self.assertEqual(results["v"]["status"], 424)
        self.assertEqual(results["v"]["body"]["type"], "urn:sheaf:problem:unresolved-reference")
        self.assertIn("u.body/none", results["v"]["body"]["detail"])
        self.assertEqual((results["w"]["status"], results["w"]["body"]["type"]), (400, "urn:sheaf:problem:reference"))
        self.assertEqual(results["x"]["status"], 200)

    def test_odata_forms_take_the_location(self):
        results = self.results([{"id": "1", "url": "/o/echo?a=b"},
                                {"id": "2", "url": "$1?c=d", "dependsOn": ["1"]}])
        self.assertEqual(results["2"]["body"]["target"], "/echo?c=d&a=b")

    def test_a_large_body_is_read_where_it_came_in_pieces(self):
        results = self.results([{"id": "u", "method": "POST", "url": "/o/echo", "body": "x" * 300000},
                                {"id": "v", "url": "/o/echo?${u.body/method}", "dependsOn": ["u"]}])
        self.assertEqual(results["v"]["body"]["target"], "/echo?POST")

    def test_for_each_runs_once_per_element_in_its_place(self):
        items = [{"id": "list", "method": "POST", "url": "/o/echo?a=1"},
                 {"id": "x", "method": "POST", "url": "/o/echo?n=${each/0}", "forEach": "list.body/headers",
                  "body": {"whole": {"$result": "each"}}},
                 {"id": "z", "url": "/o/echo?${list.status}", "dependsOn": ["x", "list"]}]
        for order in ("request", "completion"):
            answer = self.sheaf.batch(items, order=order)
            count = len(answer.results["list"]["body"]["headers"])
            self.assertGreater(count, 1)
            self.assertEqual(answer.json["summary"], {"total": count + 2, "succeeded": count + 2, "failed": 0})
            if order == "request":
                self.assertEqual([result["id"] for result in answer.json["responses"]],
                                 ["list", *(f"x[{i}]" for i in range(count)), "z"])
            for i, (name, _) in enumerate(answer.results["list"]["body"]["headers"]):
                self.assertEqual(answer.results[f"x[{i}]"]["body"]["target"], f"/echo?n={name}")

    def test_for_each_of_what_is_no_array_is_a_424(self):
        answer = self.sheaf.batch([{"id": "list", "method": "POST", "url": "/o/echo"},
                                   {"id": "x", "url": "/o/echo", "forEach": "list.body/target"},
                                   {"id": "y", "url": "/o/echo", "forEach": "list.body"}])
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 424, 424])


if __name__ == "__main__":
    unittest.main()
