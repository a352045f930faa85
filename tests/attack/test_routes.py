"""What a client may say to be taken where it may not go: hosts, hidden routes, fields in every spelling, names, places."""
import itertools
import json
import unittest

from harness import Attack, RawClient

SECRET = "secret.example"
PLACES = {
    "routes": f'- {{match: "/x", rewrite: "/echo/secret", upstream: origin, hosts: [{SECRET}]}}\n'
              '- {match: "/x", rewrite: "/echo/open", upstream: origin}\n'
              '- {match: "/hidden", rewrite: "/echo/hidden", upstream: origin, expose: [direct]}\n'
              '- {match: "/inner", rewrite: "/echo/inner", upstream: origin, expose: [batch]}\n'
              '- {match: "/deep/in/{rest...}", rewrite: "/echo/in", upstream: origin}\n'
              '- {match: "/deep/get", methods: [GET], rewrite: "/echo/get", upstream: origin}\n'
              '- {match: "/guarded", rewrite: "/echo", upstream: origin, forward_credentials: false, '
              'request_headers: {deny: [x-internal-*, x-role]}}\n'
              '- {match: "/kept-one/{name}", upstream: origin, encoded_slashes: keep}\n'
              '- {match: "/{all...}", rewrite: "/echo/all", upstream: origin}'}


def spellings(name):
    """A name in every case and with every mixture of - and _ that is told apart at all."""
    seps = itertools.product("-_", repeat=name.count("-"))
    for sep in seps:
        words = name.split("-")
        text = words[0] + "".join(mark + word for mark, word in zip(sep, words[1:]))
        yield from (text, text.upper(), text.title())


class Routes(Attack):
    places = PLACES

    def raw(self, head):
        client = RawClient(self.sheaf.at)
        client.send(head.encode("latin-1"))
        answer = client.read_response()
        client.close()
        return answer

    def reached(self, answer):
        return answer.json.get("target") if answer.status == 200 else answer.status

    def test_no_field_but_the_host_leads_to_a_host(self):
        heads = [f"Host: evil.example\r\n{name}: {value}\r\n" for name in
                 ("X-Forwarded-Host", "X_Forwarded_Host", "X-Host", "X-Original-Host", "X-HTTP-Host-Override", "Forwarded",
                  "X-Original-URL", "X-Rewrite-URL")
                 for value in (SECRET, f"host={SECRET}", f"http://{SECRET}/x")]
        heads += [f"Host: {host}\r\n" for host in
                  (f"{SECRET}.evil.example", f"evil-{SECRET}", f"x.{SECRET}", f"{SECRET}:80:80", f"{SECRET}..", f".{SECRET}")]
        for head in heads:
            with self.subTest(head=head):
                self.assertNotEqual(self.reached(self.raw(f"GET /x HTTP/1.1\r\n{head}\r\n")), "/echo/secret")
        for head in (f"Host: {SECRET}\r\nHost: evil.example\r\n", f"Host: evil.example\r\nHost: {SECRET}\r\n",
                     f"Host: {SECRET}@evil.example\r\n", f"Host: evil.example, {SECRET}\r\n", f"Host: {SECRET} \tx\r\n"):
            with self.subTest(head=head):
                self.assertEqual(self.raw(f"GET /x HTTP/1.1\r\n{head}\r\n").status, 400)

    def test_no_path_leads_an_item_to_a_route_that_is_hidden_from_it(self):
        for url in ("/hidden", "/%68idden", "/./hidden", "/x/../hidden", "/x/%2e%2e/hidden", "/%2e/hidden", "hidden", "/hidden?a",
                    "/x/..%2fhidden", "//hidden", "/hidden;a", "/HIDDEN", "/hidden/", "/hidden%00", "/hidden%20"):
            with self.subTest(url=url):
                result = self.sheaf.batch([url]).json["responses"][0]
                target = result["body"].get("target", "")
                self.assertFalse(target.startswith("/echo/hidden"), result)
                direct = self.raw(f"GET {url.replace('hidden', 'inner').replace('%68idden', '%69nner')} HTTP/1.1\r\nHost: h\r\n\r\n"
                                  if url.startswith("/") else "GET /inner HTTP/1.1\r\nHost: h\r\n\r\n")
                self.assertNotEqual(self.reached(direct), "/echo/inner")

    def ways(self, url):
        """What a url reaches directly, as an item, as an element of a bulk and as a part of an aggregate."""
        yield self.reached(self.raw(f"GET {url} HTTP/1.1\r\nHost: h\r\n\r\n"))
        bulk = {"path": "/bulk", "kind": "bulk", "each": {"method": "GET", "url": url}}
        part = {"path": "/parts", "kind": "aggregate", "items": [{"id": "a", "method": "GET", "url": url}]}
        sheaf = self.start(routes=PLACES["routes"], endpoints=f"- {json.dumps(bulk)}\n- {json.dumps(part)}")
        for answer in (sheaf.batch([url]), sheaf.post([{}], path="/bulk"), sheaf.request("GET", "/parts")):
            result = answer.json["responses"][0]
            yield result["body"].get("target") if result["status"] == 200 else result["status"]

    def test_no_path_leads_out_of_a_route_that_keeps_encoded_slashes(self):
        """For who decodes them before he removes dot segments."""
        for url in ("/kept-one/..%2Fhidden", "/kept-one/a%2F..%2F..%2Fhidden", "/kept-one/..%5Chidden", "/kept-one/%2e%2e%2fhidden",
                    "/kept-one/a%2F..", "/kept-one/..;a%2Fhidden", "/kept-one/..%3Ba%2Fhidden", "/kept-one/a%2F.%2Fb"):
            with self.subTest(url=url):
                self.assertEqual(set(self.ways(url)), {400})
        for url in ("/kept-one/a%2Fb", "/kept-one/..a%2F.b%2F...", "/kept-one/a..%2Fb"):
            with self.subTest(url=url):
                self.assertEqual(set(self.ways(url)), {404})  # the origin's

    def test_no_path_that_others_read_otherwise_leads_round_a_route(self):
        for url in ("/deep//in/x", "/deep;a/in/x", "/deep/in;b/x", "/deep/;/in/x", "/deep///in;a=1/x", "/hidden;a", "/inner;a", "/guarded;a=1",
                    "/deep;/get"):
            with self.subTest(url=url):
                self.assertEqual(list(self.ways(url)), [400] * 4)
        for url in ("/deep/other;a=1//x", "/a//b;c", "/deep/in/x;a//b"):
            with self.subTest(url=url):
                self.assertEqual(list(self.ways(url)), ["/echo/in" if "/in/" in url else "/echo/all"] * 4)
        self.assertEqual(self.raw("POST /deep;/get HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").status, 400)

    def test_no_spelling_brings_a_denied_field_to_the_backend(self):
        for name in (*spellings("x-internal-user"), *spellings("x-role"), *spellings("authorization"), *spellings("cookie"),
                     *spellings("x-request-id"), *spellings("x-real-ip")):
            with self.subTest(name=name):
                outer = self.sheaf.batch(["/guarded"], {name: "forged"})
                envelope = self.sheaf.post({"headers": {name: "forged"}, "requests": [{"url": "/guarded"}]})
                item = self.sheaf.batch([{"url": "/guarded", "headers": {name: "forged"}}])
                direct = self.sheaf.request("GET", "/guarded", headers={name: "forged"})
                for answer in (outer, envelope, item, direct):
                    self.assertIn(answer.status, (200, 207), answer.body)
                    self.assertNotIn(b"forged", answer.body)


class Stored(Attack):
    """A backend that tells everybody what it was told, and lets it be stored: what one client said must reach no other.
    (Its Date is always the same, and so its answers are old.)"""
    places = {"top": "plugins: [{use: cache}, {use: headers, response: {set: {cache-control: max-age=2000000000}}}]"}
    UNKEYED = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-for", "x-forwarded-port", "forwarded", "x-real-ip", "x-host",
               "x-original-url", "x-rewrite-url", "x-http-method-override", "x-method-override", "x-forwarded-prefix",
               "x-forwarded-scheme", "x-original-host", "authorization", "cookie", "x-api-key", "x-auth-token")

    def answers(self, target):
        yield "item", self.sheaf.batch([target]).body
        yield "direct", self.sheaf.request("GET", target).body

    def test_no_field_of_a_direct_request_is_stored_for_others(self):
        for number, name in enumerate(name for unkeyed in self.UNKEYED for name in {unkeyed, unkeyed.replace("-", "_"), unkeyed.upper()}):
            target = f"/o/echo/{number}"
            with self.subTest(name=name):
                self.assertEqual(self.sheaf.request("GET", target, headers={name: "forged"}).status, 200)
                for way, body in self.answers(target):
                    self.assertNotIn(b"forged", body, way)

    def test_no_body_or_range_of_a_direct_request_is_stored_for_others(self):
        self.assertIn(b"forged", self.sheaf.request("GET", "/o/echo/fat", b"forged").body)
        self.assertIn(b"forged", self.sheaf.request("GET", "/o/echo/part", headers={"Range": "bytes=0-9, forged"}).body)
        for target in ("/o/echo/fat", "/o/echo/part"):
            for way, body in self.answers(target):
                self.assertNotIn(b"forged", body, way)

    def test_what_a_client_breaks_off_is_not_stored(self):
        client = RawClient(self.sheaf.at)
        client.send(b"GET /o/drip/40 HTTP/1.1\r\nHost: h\r\n\r\n")
        client.read_until(b"stored\r\n")
        client.reset()
        answer = self.sheaf.request("GET", "/o/drip/40", headers={"Host": "h"})
        self.assertEqual(len(answer.body), 40)

    def test_what_was_stored_is_for_everybody(self):
        self.sheaf.request("GET", "/o/echo/fine")
        self.assertIn(b"hit", self.sheaf.batch(["/o/echo/fine"]).body)


if __name__ == "__main__":
    unittest.main()
