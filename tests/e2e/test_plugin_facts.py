"""What plugins are told of a request, and until when they may write into the head of its answer."""
import unittest

from harness import Case

SEEN = ('{use: headers, request: {set: {x-scheme: "${scheme}"}}, '
        'reply: {set: {x-scheme: "${scheme}", x-method: "${method}", x-path: "${path}", x-query: "${query}"}}}')


class Facts(Case):
    places = {"top": f"trusted_proxies: [127.0.0.0/8]\nplugins: [{SEEN}]"}

    def seen_by_backend(self, answer):
        return dict(map(tuple, answer["headers"]))

    def test_the_scheme_is_the_one_that_backends_are_told(self):
        for said, scheme in (({}, "http"), ({"X-Forwarded-Proto": "https"}, "https"), ({"X-Forwarded-Proto": "HTTPS, http"}, "https")):
            with self.subTest(said=said):
                direct = self.sheaf.request("GET", "/o/echo", headers=said)
                batch = self.sheaf.batch(["/o/echo"], said)
                self.assertEqual((direct.headers["x-scheme"], batch.headers["x-scheme"]), (scheme, scheme))
                for seen in (direct.json, batch.json["responses"][0]["body"]):
                    self.assertEqual(self.seen_by_backend(seen)["x-scheme"], scheme)

    def test_a_stranger_says_nothing_of_the_scheme(self):
        sheaf = self.start(top=f"plugins: [{SEEN}]")
        self.assertEqual(sheaf.request("GET", "/o/echo", headers={"X-Forwarded-Proto": "https"}).headers["x-scheme"], "http")

    def test_a_direct_request_that_is_refused_has_its_method_path_and_query(self):
        for method, target, status in (("GET", "/nowhere?a=b", 404), ("PUT", "/readonly?a=b", 405), ("TRACE", "/o/echo?a=b", 405),
                                       ("get", "/o/echo?a=b", 400), ("GET", "/o/%zz?a=b", 400), ("GET", "/o/a%2Fb?a=b", 400)):
            with self.subTest(method=method, target=target):
                answer = self.sheaf.request(method, target)
                self.assertEqual(answer.status, status)
                self.assertEqual([answer.headers.get(f"x-{name}") for name in ("method", "path", "query")],
                                 [method, target.split("?")[0], "a=b"])


if __name__ == "__main__":
    unittest.main()
