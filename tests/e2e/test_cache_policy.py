"""What a route says of fields holds for what the cache asks its backend by itself, too."""
import unittest

from keeper import WAYS, Keeping


class CachePolicy(Keeping):
    rules = ", request_headers: {deny: [x-secret]}, response_headers: {deny: [x-debug]}"

    def test_what_is_denied_of_a_question_is_not_asked_by_the_cache_either(self):
        target = self.url(cc="max-age=0", etag="a")
        self.ask("item", target)
        for way in WAYS:
            with self.subTest(way=way):
                again = self.ask(way, target, headers={"X-Secret": "1", "X_Secret": "2", "X-Other": "3"})
                self.assertEqual(again.cache, "sheaf; fwd=stale; fwd-status=304")
                seen = self.keeper.asked[-1][1]
                self.assertEqual([name for name in seen if "secret" in name], [])
                self.assertEqual(seen["x-other"], "3")

    def test_what_is_denied_of_an_answer_does_not_come_by_way_of_the_cache(self):
        for query in ({"etag": "a"}, {"etag": "a", "status": 404}):
            target = self.url(cc="max-age=0", debug="inside", **query)
            self.ask("item", target)
            for way in WAYS:
                with self.subTest(way=way, **query):
                    again = self.ask(way, target)
                    self.assertRegex(again.cache, "fwd=stale; fwd-status=")
                    self.assertNotIn("x-debug", again.headers)

    def test_what_the_cache_asked_itself_names_no_backend(self):
        target = self.url(cc="max-age=0", etag="a", status=301, location=f"http://127.0.0.1:{self.keeper.at}/there?a")
        first = self.ask("item", target)
        self.assertEqual(first.headers["location"], "/k/there?a")
        for way in WAYS:
            with self.subTest(way=way):
                again = self.ask(way, target)
                self.assertRegex(again.cache, "fwd=stale; fwd-status=301")
                self.assertEqual(again.headers["location"], "/k/there?a")


if __name__ == "__main__":
    unittest.main()
