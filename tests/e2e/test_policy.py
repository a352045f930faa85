"""What an item may ask for, and which headers pass: the attacks, and what is left of them."""
import unittest

from harness import Case, RawClient

TRUST = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6",
         "X-Real-IP": "6.6.6.6", "X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "X_Forwarded_For": "6.6.6.6",
         "X-Forwarded-Prefix": "/evil"}
HOP = {"Connection": "x-listed", "X-Listed": "1", "Keep-Alive": "timeout=5", "TE": "trailers", "Trailer": "X-T",
       "Upgrade": "h2c", "Proxy-Authorization": "Basic eA==", "Proxy-Connection": "keep-alive"}


class Urls(Case):
    def statuses(self, *urls):
        return {url: result["status"] for url, result in zip(urls, self.run_items(*urls))}

    def test_urls_that_leave_the_house_are_400(self):
        urls = ["http://127.0.0.1/o/text", "HTTP://h/o/text", "//h/o/text", "//u@h/o/text", "/o/text#fragment",
                "/o\\text", "/o/%5ctext", "/o/a%2fb", "/o/a%2Fb", "/o/%00", "/kept/%00", "/o/\r\nX: y", "/o/\u0000",
                "/o/text?a=\r\n", "/o/\u007f", "\\\\h\\x", "/o/%zz", "/o/%2", "ftp:x", "javascript:1", ""]
        before = self.origin.count()["served"]
        for url, status in self.statuses(*urls).items():
            with self.subTest(url=url):
                self.assertEqual(status, 400)
        self.assertEqual(self.origin.count()["served"], before)

    def test_dot_segments_are_removed_before_routing(self):
        for url, want in (("/o/x/../echo", "/echo"), ("/o/./echo", "/echo"), ("/o/x/%2e%2e/echo", "/echo"),
                          ("/o/%2e/echo", "/echo"), ("/x/.%2E/o/echo", "/echo"), ("/../../o/echo", "/echo"),
                          ("o/echo", "/echo"), ("./o/echo?a=/../b", "/echo?a=/../b")):
            with self.subTest(url=url):
                self.assertEqual(self.echo(url)["target"], want)
        for url, status in self.statuses("/o/../admin", "/o/%2e%2e/metrics", "/o/..", "/o/../../etc/passwd").items():
            self.assertEqual(status, 404, url)

    def test_an_item_never_reaches_the_gateway_itself(self):
        urls = ["/batch", "/o/../batch", "/%62atch", "/batch?x", "/batch/", "/healthz", "/metrics", "/readyz"]
        items = [{"method": "POST", "url": url, "body": []} for url in urls]
        for url, result in zip(urls, self.run_items(*items)):
            self.assertIn(result["status"], (400, 403, 404), url)
        catch_all = self.start(routes='- {match: "/{all...}", upstream: origin}')
        for url in ("/batch", "/o/../batch", "/%62atch"):
            result = self.run_item({"method": "POST", "url": url, "body": []}, sheaf=catch_all)
            self.assertIn(result["status"], (400, 403, 404), url)

    def test_odd_bytes_are_percent_encoded(self):
        self.assertEqual(self.echo('/o/echo/a b"{é}?q=<é>')["target"], "/echo/a%20b%22%7B%C3%A9%7D?q=%3C%C3%A9%3E")

    def test_encoded_slashes_pass_where_the_route_keeps_them(self):
        self.assertEqual(self.echo("/kept/echo/a%2Fb")["target"], "/echo/a%2Fb")

    def test_methods(self):
        results = self.run_items({"method": "CONNECT", "url": "/o/text"}, {"method": "TRACE", "url": "/o/text"},
                                 {"method": "GE T", "url": "/o/text"}, {"method": "GET\r\n", "url": "/o/text"},
                                 {"method": "POST", "url": "/readonly"}, {"method": "HEAD", "url": "/readonly"},
                                 {"method": "PROPFIND", "url": "/o/echo"}, {"method": "delete", "url": "/readonly"})
        self.assertEqual([result["status"] for result in results], [405, 405, 400, 400, 405, 200, 200, 200])
        self.assertEqual(set(results[4]["headers"]["allow"].split(", ")), {"GET", "HEAD", "DELETE"})

    def test_no_route_is_404(self):
        self.assert_problem(self.run_item("/nowhere"), 404, "no-route")

    def test_the_rewrite_has_the_routes_parameters(self):
        sheaf = self.start(routes='- {match: "/users/{id}/x", rewrite: "/echo/people/{id}", upstream: origin}')
        self.assertEqual(self.echo("/users/4%202/x?a=1", sheaf=sheaf)["target"], "/echo/people/4%202?a=1")


class Headers(Case):
    def test_trust_headers_never_pass_from_anywhere(self):
        item = {"url": "/o/echo", "headers": {name: value for name, value in TRUST.items()}}
        answer = self.sheaf.post({"headers": TRUST, "requests": [item]}, TRUST)
        self.assertEqual(answer.status, 207, answer.body)
        seen = answer.json["responses"][0]["body"]["headers"]
        self.assertNotIn("6.6.6.6", str(seen))
        self.assertNotIn("evil", str(seen))
        self.assertNotIn("/admin", str(seen))
        names = [name for name, _ in seen]
        self.assertEqual(len(names), len(set(names)), seen)
        seen = dict(map(tuple, seen))
        self.assertEqual((seen["x-forwarded-for"], seen["x-real-ip"], seen["x-forwarded-proto"]),
                         ("127.0.0.1", "127.0.0.1", "http"))
        self.assertEqual(seen["x-forwarded-host"], f"127.0.0.1:{self.sheaf.at}")

    def test_hop_by_hop_headers_never_pass(self):
        answer = self.sheaf.post([{"url": "/o/echo"}], HOP)
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        for name in HOP:
            if name != "Connection":
                self.assertNotIn(name.lower(), seen)
        self.assertNotIn("x-listed", str(seen))
        for name, value in (*HOP.items(), ("Transfer-Encoding", "chunked"), ("Content-Length", "99")):
            with self.subTest(name=name):
                result = self.run_item({"method": "POST", "url": "/o/echo", "headers": {name: value}, "body": {}})
                if result["status"] != 400:
                    seen = dict(map(tuple, result["body"]["headers"]))
                    self.assertNotEqual(seen.get(name.lower()), value if name != "X-Listed" else None)

    def test_outer_headers_are_inherited_but_for_the_requests_own(self):
        answer = self.sheaf.post([{"url": "/o/echo"}], {
            "Authorization": "Bearer t", "Cookie": "a=1", "Accept-Language": "de", "Accept": "*/*", "Range": "bytes=0-1",
            "If-Match": "x", "Prefer": "wait", "Idempotency-Key": "k", "Accept-Encoding": "gzip", "Content-Language": "de"})
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        self.assertEqual((seen["authorization"], seen["cookie"], seen["accept-language"]), ("Bearer t", "a=1", "de"))
        for name in ("range", "if-match", "prefer", "idempotency-key", "content-language", "content-type"):
            self.assertNotIn(name, seen)
        self.assertNotEqual(seen.get("accept-encoding"), "gzip")
        self.assertEqual(seen["host"], f"127.0.0.1:{self.origin.at}")

    def test_header_values_cannot_split_a_request(self):
        for headers in ({"x": "a\r\nb: c"}, {"x": "a\nb"}, {"x": "a\u0000"}, {"x y": "a"}, {"": "a"}, {"x:": "a"},
                        {"x": "\u0001"}):
            with self.subTest(headers=headers):
                self.assert_problem(self.run_item({"url": "/o/echo", "headers": headers}), 400, "item-header")

    def test_a_large_head_is_the_items_own_failure(self):
        large, small = self.run_items({"url": "/o/text", "headers": {"x": "y" * 66000}}, "/o/text")
        self.assertIn(large["status"], (400, 413))
        self.assertEqual(small["status"], 200)
        long_url, = self.run_items("/o/echo?" + "x" * 8200)
        self.assertIn(long_url["status"], (400, 413, 414))

    def test_via_is_appended_to(self):
        answer = self.sheaf.post([{"url": "/o/echo"}], {"Via": "1.0 elsewhere"})
        via = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))["via"]
        self.assertTrue(via.startswith("1.0 elsewhere, 1.1 "), via)

    def test_a_backends_header_with_a_strange_name_or_byte_does_not_break_the_answer(self):
        result = self.run_item("/o/header/X-Odd/%22quoted%22\u00e9")
        self.assertEqual(result["status"], 200)


class TrustedProxy(Case):
    places = {"top": "trusted_proxies: [127.0.0.0/8]"}

    def test_a_trusted_peers_forwarded_for_is_appended_to(self):
        answer = self.sheaf.post([{"url": "/o/echo"}], {"X-Forwarded-For": "6.6.6.6, 7.7.7.7"})
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        self.assertEqual(seen["x-forwarded-for"].replace(" ", ""), "6.6.6.6,7.7.7.7,127.0.0.1")

    def test_an_items_forwarded_for_is_still_dropped(self):
        seen = self.echo({"url": "/o/echo", "headers": {"x-forwarded-for": "6.6.6.6"}})
        self.assertEqual(seen["headers"]["x-forwarded-for"], "127.0.0.1")


class Hostile(Case):
    def test_bytes_that_are_no_http_cost_nobody_else_anything(self):
        for data in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
                     b"\0" * 5000):
            client = RawClient(self.sheaf.at)
            client.send(data)
            client.close()
        self.assertEqual(self.run_item("/o/text")["status"], 200)


if __name__ == "__main__":
    unittest.main()
