"""What a client may say to be taken where it may not go: hosts, hidden routes, fields in every spelling, names, places."""
import itertools
import unittest

from harness import Attack, RawClient

SECRET = "secret.example"
PLACES = {
    "routes": f'- {{match: "/x", rewrite: "/echo/secret", upstream: origin, hosts: [{SECRET}]}}\n'
              '- {match: "/x", rewrite: "/echo/open", upstream: origin}\n'
              '- {match: "/hidden", rewrite: "/echo/hidden", upstream: origin, expose: [direct]}\n'
              '- {match: "/inner", rewrite: "/echo/inner", upstream: origin, expose: [batch]}\n'
              '- {match: "/guarded", rewrite: "/echo", upstream: origin, forward_credentials: false, '
              'request_headers: {deny: [x-internal-*, x-role]}}\n'
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


if __name__ == "__main__":
    unittest.main()
