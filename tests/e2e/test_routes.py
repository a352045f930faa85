"""What a route says of those who may ask it, and of what passes on it: the same for every item."""
import unittest

from harness import Case


class Exposure(Case):
    places = {"routes": '- {match: "/admin/{rest...}", rewrite: "/echo", upstream: origin, expose: [direct]}\n'
                        '- {match: "/inner", rewrite: "/echo", upstream: origin, expose: [batch]}\n'
                        '- {match: "/{all...}", rewrite: "/echo", upstream: origin}'}

    def test_an_item_finds_nothing_where_batches_are_not_let_in(self):
        before = self.origin.count()["served"]
        for url in ("/admin/x", "/admin/", "/%61dmin/x", "/x/../admin/x", "/x/%2e%2e/admin/x", "admin/x", "/./admin/x?y"):
            with self.subTest(url=url):
                self.assert_problem(self.run_item(url), 404, "no-route")
        self.assertEqual(self.origin.count()["served"], before)

    def test_other_routes_are_there_for_items(self):
        self.assertEqual([result["status"] for result in self.run_items("/inner", "/elsewhere")], [200, 200])

    def test_a_url_that_references_make_is_held_to_it_too(self):
        first, second = self.run_items({"id": "a", "url": "/inner"},
                                       {"url": "/${a.body/method}/../admin/x", "dependsOn": ["a"]})
        self.assertEqual(first["status"], 200)
        self.assert_problem(second, 404, "no-route")


if __name__ == "__main__":
    unittest.main()
