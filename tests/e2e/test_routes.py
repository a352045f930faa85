"""What a route says of those who may ask it, and of what passes on it: the same for every item."""
import unittest

from harness import END_HEADERS, END_STREAM, HEADERS, Case, Http2Client, RawClient, frame, literal


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


class Hosts(Case):
    places = {"routes": '- {match: "/x", rewrite: "/echo/api", upstream: origin, hosts: [api.example.com, "[::1]"]}\n'
                        '- {match: "/x", rewrite: "/echo/wild", upstream: origin, hosts: ["*.example.com"]}\n'
                        '- {match: "/x", rewrite: "/echo/any", upstream: origin}\n'
                        '- {match: "/only", rewrite: "/echo/only", upstream: origin, hosts: [api.example.com]}'}

    def target(self, host, item="/x"):
        answer = self.sheaf.batch([item], {"Host": host})
        self.assertEqual(answer.status, 207, answer.body)
        result = answer.json["responses"][0]
        return result["body"]["target"] if result["status"] == 200 else result["status"]

    def test_items_go_where_the_host_of_the_request_leads(self):
        for host, want in (("api.example.com", "/echo/api"), ("API.example.COM.:8080", "/echo/api"),
                           ("[0:0::1]:80", "/echo/api"), ("b.example.com", "/echo/wild"), ("a.b.example.com", "/echo/wild"),
                           ("example.com", "/echo/any"), ("apiXexample.com", "/echo/any"),
                           ("api.example.com.evil.org", "/echo/any"), ("evil.org", "/echo/any")):
            with self.subTest(host=host):
                self.assertEqual(self.target(host), want)
        self.assertEqual((self.target("api.example.com", "/only"), self.target("b.example.com", "/only")),
                         ("/echo/only", 404))

    def test_an_item_cannot_choose_its_host(self):
        for headers in ({"Host": "api.example.com"}, {"host": "api.example.com"}, {"X-Forwarded-Host": "api.example.com"},
                        {":authority": "api.example.com"}, {"Forwarded": "host=api.example.com"}):
            with self.subTest(headers=headers):
                self.assertIn(self.target("evil.org", {"url": "/only", "headers": headers}), (400, 404))
                answer = self.sheaf.batch(["/only"], {"Host": "evil.org", **{k: v for k, v in headers.items()
                                                                             if k not in ("Host", "host", ":authority")}})
                self.assertEqual(answer.json["responses"][0]["status"], 404)
        for url in ("//api.example.com/only", "http://api.example.com/only", "\\\\api.example.com/only"):
            self.assertEqual(self.target("evil.org", url), 400)

    def test_over_http2_the_authority_is_the_host(self):
        body = b'{"requests":[{"url":"/only"}]}'
        client = Http2Client(self.sheaf.at)
        fields = ((b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"Api.Example.com:80"),
                  (b"content-type", b"application/json"))
        client.windows[1] = 65535
        client.sock.sendall(frame(HEADERS, END_HEADERS, 1, b"".join(literal(*field) for field in fields)))
        client.send_data(1, body, END_STREAM)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        client.sock.close()


class HostThatIsSent(Case):
    places = {"routes": '- {match: "/client", rewrite: "/echo", upstream: origin, host: client}\n'
                        '- {match: "/named", rewrite: "/echo", upstream: origin, host: "api.internal:81"}\n'
                        '- {match: "/server", rewrite: "/echo", upstream: origin, host: upstream}'}

    def hosts(self, sheaf, host):
        answer = sheaf.batch([{"url": url, "headers": {"Host": "evil"}} for url in ("/client", "/named", "/server")],
                             {"Host": host})
        seen = [[value for name, value in result["body"]["headers"] if name == "host"] for result in answer.json["responses"]]
        for each in seen:
            self.assertEqual(len(each), 1, seen)
        return [each[0] for each in seen]

    def test_backends_see_the_host_that_the_route_says(self):
        self.assertEqual(self.hosts(self.sheaf, "Shop.example:8443"),
                         ["Shop.example:8443", "api.internal:81", f"127.0.0.1:{self.origin.at}"])

    def test_an_outer_request_without_a_host_leaves_the_servers_own(self):
        client = RawClient(self.sheaf.at)
        body = b'[{"url":"/client"}]'
        client.send(b"POST /batch HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = client.read_response()
        client.close()
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        self.assertEqual(seen["host"], f"127.0.0.1:{self.origin.at}")
        self.assertNotIn("x-forwarded-host", seen)


if __name__ == "__main__":
    unittest.main()
