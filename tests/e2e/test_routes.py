"""What a route says of those who may ask it, and of what passes on it: the same for every item."""
import unittest

from harness import END_HEADERS, END_STREAM, HEADERS, Case, Http2Client, Origin, RawClient, frame, literal, wait_until
from recorder import Recorder


class Exposure(Case):
    places = {"routes": '- {match: "/admin/{rest...}", rewrite: "/echo", upstream: origin, expose: [direct]}\n'
                        '- {match: "/inner", rewrite: "/echo", upstream: origin, expose: [batch]}\n'
                        '- {match: "/alone", rewrite: "/echo", upstream: origin, batch: false}\n'
                        '- {match: "/{all...}", rewrite: "/echo", upstream: origin}'}

    def test_an_item_finds_nothing_where_batches_are_not_let_in(self):
        before = self.origin.count()["served"]
        for url in ("/admin/x", "/admin/", "/%61dmin/x", "/x/../admin/x", "/x/%2e%2e/admin/x", "admin/x", "/./admin/x?y",
                    "/alone", "/%61lone"):
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

    def test_a_request_finds_what_is_for_requests(self):
        statuses = [self.sheaf.request("GET", path).status
                    for path in ("/admin/x", "/alone", "/inner", "/x/../inner", "/%69nner", "/y")]
        self.assertEqual(statuses, [200, 200, 404, 404, 404, 200])


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

    def test_requests_go_there_too(self):
        for host, path, want in (("API.example.com.:1", "/x", "/echo/api"), ("b.example.com", "/x", "/echo/wild"),
                                 ("evil.org", "/x", "/echo/any"), ("evil.org", "/only", 404)):
            answer = self.sheaf.request("GET", path, headers={"Host": host, "X-Forwarded-Host": "api.example.com"})
            self.assertEqual(answer.json["target"] if answer.status == 200 else answer.status, want)

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

    def test_requests_send_the_same(self):
        for path, want in (("/client", "Shop.example:8443"), ("/named", "api.internal:81")):
            answer = self.sheaf.request("GET", path, headers={"Host": "Shop.example:8443"})
            self.assertEqual([value for name, value in answer.json["headers"] if name == "host"], [want])

    def test_an_outer_request_without_a_host_leaves_the_servers_own(self):
        client = RawClient(self.sheaf.at)
        body = b'[{"url":"/client"}]'
        client.send(b"POST /batch HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = client.read_response()
        client.close()
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        self.assertEqual(seen["host"], f"127.0.0.1:{self.origin.at}")
        self.assertNotIn("x-forwarded-host", seen)


class Policy(Case):
    places = {"routes": '- {match: "/denied", rewrite: "/echo", upstream: origin, request_headers: {deny: [X-Internal-*, cookie]}}\n'
                        '- {match: "/allowed", rewrite: "/echo", upstream: origin, request_headers: {allow: [x-app, accept]}}\n'
                        '- {match: "/bare", rewrite: "/echo", upstream: origin, forward_credentials: false, compress: true}\n'
                        '- {match: "/answers/{rest...}", rewrite: "/{rest...}", upstream: origin, '
                        'response_headers: {deny: [x_secret]}}\n'
                        '- {match: "/few/{rest...}", rewrite: "/{rest...}", upstream: origin, response_headers: {allow: []}}'}

    OUTER = {"Cookie": "outer=1", "Authorization": "Bearer outer", "X-App": "outer", "X-Internal-Outer": "1", "X-Other": "1"}
    OURS = ("host", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "x-request-id")

    def seen(self, item, envelope=None):
        answer = self.sheaf.post({"requests": [item], "headers": envelope or {}}, self.OUTER)
        self.assertEqual(answer.status, 207, answer.body)
        result = answer.json["responses"][0]
        self.assertEqual(result["status"], 200, result)
        return dict(map(tuple, result["body"]["headers"]))

    def assert_ours(self, seen):
        for name in self.OURS:
            self.assertIn(name, seen)

    def test_what_is_denied_passes_from_nowhere(self):
        seen = self.seen({"url": "/denied", "headers": {"x-internal-item": "1", "X_INTERNAL_ITEM": "1", "x-Internal_b": "1",
                                                        "COOKIE": "item=1", "x-mine": "1"}},
                         {"X-Internal-Envelope": "1", "Cookie": "envelope=1", "x-theirs": "1"})
        self.assertEqual([name for name in seen if "internal" in name.lower().replace("_", "-") or name == "cookie"], [])
        self.assertEqual((seen["x-mine"], seen["x-theirs"], seen["x-other"], seen["authorization"]),
                         ("1", "1", "1", "Bearer outer"))
        self.assert_ours(seen)

    def test_only_what_is_allowed_passes(self):
        seen = self.seen({"method": "POST", "url": "/allowed", "body": {"a": 1},
                          "headers": {"x_app": "folded", "x-mine": "1", "accept": "a/b"}}, {"x-theirs": "1"})
        self.assert_ours(seen)
        self.assertEqual((seen["x-app"], seen["accept"], seen["content-type"]), ("outer", "a/b", "application/json"))
        self.assertEqual(set(seen) - set(self.OURS) - {"content-length"}, {"x-app", "accept", "content-type"})

    def test_credentials_stay_where_the_route_says_so(self):
        seen = self.seen({"url": "/bare", "headers": {"authorization": "Bearer item", "cookie": "item=1", "x-mine": "1"}},
                         {"Authorization": "Bearer envelope", "Cookie": "envelope=1"})
        self.assertNotIn("authorization", seen)
        self.assertNotIn("cookie", seen)
        self.assertEqual((seen["x-mine"], seen["x-app"], seen["accept-encoding"]), ("1", "outer", "gzip"))
        self.assert_ours(seen)

    def test_requests_are_held_to_the_same(self):
        sent = {**self.OUTER, "x_internal_a": "1", "X-INTERNAL_b": "1", "x_app": "folded"}
        seen = {path: dict(map(tuple, self.sheaf.request("GET", path, headers=sent).json["headers"]))
                for path in ("/denied", "/allowed", "/bare")}
        self.assertEqual({name for name in seen["/denied"] if "internal" in name or name == "cookie"}, set())
        self.assertEqual(set(seen["/allowed"]) - set(self.OURS), {"x-app", "accept-encoding"})
        self.assertEqual({"authorization", "cookie"} & set(seen["/bare"]), set())
        for each in seen.values():
            self.assert_ours(each)
        self.assertEqual(self.sheaf.request("GET", "/answers/header/X-Open/1").headers.get("x-open"), "1")
        self.assertNotIn("x-secret", self.sheaf.request("GET", "/answers/header/X-Secret/1").headers)
        self.assertNotIn("x-open", self.sheaf.request("GET", "/few/header/X-Open/1").headers)

    def test_each_item_has_the_policy_of_its_own_route(self):
        items = [{"url": url} for url in ("/denied", "/o/echo", "/bare", "/denied", "/allowed", "/o/echo")]
        answer = self.sheaf.post({"requests": items}, self.OUTER)
        seen = [dict(map(tuple, result["body"]["headers"])) for result in answer.json["responses"]]
        self.assertEqual(["cookie" in each for each in seen], [False, True, False, False, False, True])
        self.assertEqual(["authorization" in each for each in seen], [True, True, False, True, False, True])
        self.assertEqual(["x-internal-outer" in each for each in seen], [False, True, True, False, False, True])

    def test_headers_made_of_references_are_held_to_it_too(self):
        result = self.run_items({"id": "a", "url": "/o/echo"},
                                {"url": "/denied", "dependsOn": ["a"],
                                 "headers": {"x-internal-z": "${a.status}", "x-mine": "${a.status}"}})[1]
        seen = dict(map(tuple, result["body"]["headers"]))
        self.assertEqual(seen.get("x-mine"), "200")
        self.assertNotIn("x-internal-z", seen)

    def test_what_an_answer_may_not_show_is_there_for_nobody(self):
        kept, lost, few = self.run_items("/answers/header/X-Open/1", "/answers/header/X-Secret/1", "/few/header/X-Open/1")
        self.assertEqual(kept["headers"].get("x-open"), "1")
        self.assertNotIn("x-secret", lost["headers"])
        self.assertNotIn("x-open", few["headers"])
        self.assertIn("content-type", few["headers"])
        reader = self.run_items({"id": "a", "url": "/answers/header/X-Secret/1"},
                                {"url": "/o/echo?${a.headers.x-secret}", "dependsOn": ["a"]})[1]
        self.assert_problem(reader, 424, "unresolved-reference")


class Places(Case):
    places = {"routes": '- {match: "/shop/{rest...}", rewrite: "/{rest...}", upstream: origin}\n'
                        '- {match: "/raw/{rest...}", rewrite: "/{rest...}", upstream: origin, rewrite_back: false}\n'
                        '- {match: "/header/{rest...}", upstream: origin, host: api.internal}'}

    def both(self, prefix, name, value, host="shop.example"):
        """The header as a request gets it and as an item does; they must agree."""
        url = f"{prefix}/header/{name}/{value}"
        direct = self.sheaf.request("GET", url, headers={"Host": host})
        item = self.sheaf.batch([url], {"Host": host}).json["responses"][0]
        self.assertEqual((direct.status, item["status"]), (200, 200))
        got = item["headers"][name.lower()]
        self.assertEqual(direct.headers[name.lower()], got[0] if isinstance(got, list) else got)
        return direct.headers[name.lower()]

    def test_locations_are_told_as_the_client_sees_them(self):
        backend = f"127.0.0.1:{self.origin.at}"
        for prefix, value, want in (
                ("/shop", f"http://{backend}/a/b", "/shop/a/b"), ("/shop", f"https://{backend}", "/shop/"),
                ("/shop", "/a", "/shop/a"), ("/shop", "http://shop.example/a", "/shop/a"),
                ("/shop", "http://evil.example/a", "http://evil.example/a"), ("/shop", "a/b", "a/b"),
                ("/shop", f"http://{backend}@evil.example/", f"http://{backend}@evil.example/"),
                ("", f"http://{backend}/a", "/a"), ("", "http://api.internal/a", "/a"), ("", "//evil.example/a", "//evil.example/a"),
                ("", f"http://{backend}//evil.example/a", "/.//evil.example/a"),
                ("/raw", f"http://{backend}/a", f"http://{backend}/a"), ("/raw", "/a", "/a")):
            for name in ("Location", "Content-Location"):
                with self.subTest(prefix=prefix, value=value, name=name):
                    self.assertEqual(self.both(prefix, name, value), want)

    def test_redirects_of_a_backend_that_has_one_place_only_come_to_an_end(self):
        backend = Recorder()
        self.addCleanup(backend.close)
        sheaf = self.start(upstreams=f'strict: {{servers: ["http://127.0.0.1:{backend.at}"]}}',
                           routes='- {match: "/m", rewrite: "/inner", upstream: strict}\n'
                                  '- {match: "/m/{rest...}", rewrite: "/inner/{rest...}", upstream: strict}')
        told = b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
        for asked, location, want in (("/m/", b"/inner", "/m"), ("/m", b"/inner/", "/m/"), ("/m/x", b"/inner", "/m"),
                                      ("/m/x", b"https://127.0.0.1:%d/inner/x" % backend.at, "https://shop.example/m/x"),
                                      ("/m/x", b"https://127.0.0.1:%d/inner/y" % backend.at, "/m/y")):
            with self.subTest(asked=asked, location=location):
                backend.answer = told % location
                direct = sheaf.request("GET", asked, headers={"Host": "shop.example"})
                item = sheaf.batch([asked], {"Host": "shop.example"}).json["responses"][0]
                self.assertEqual((direct.headers["location"], item["headers"]["location"]), (want, want))

    def test_cookies_are_the_gateways(self):
        for prefix, value, want in (
                ("/shop", "a=1;Path=/", "a=1; Path=/shop/"), ("/shop", "a=1;Domain=127.0.0.1;Path=/x", "a=1; Path=/shop/x"),
                ("", "a=1;Domain=api.internal", "a=1"), ("", "a=1;Domain=evil.example", "a=1;Domain=evil.example"),
                ("/shop", "__Host-a=1;Path=/;Secure", "__Host-a=1;Path=/;Secure"),
                ("/raw", "a=1;Domain=127.0.0.1;Path=/", "a=1;Domain=127.0.0.1;Path=/")):
            with self.subTest(prefix=prefix, value=value):
                self.assertEqual(self.both(prefix, "Set-Cookie", value), want)
        self.assertEqual(self.both("", "Set-Cookie", "a=1;Domain=api.internal", host="api.internal"), "a=1;Domain=api.internal")


class Names(Case):
    def ids(self, sheaf=None, headers=None, items=("/o/echo", "/o/echo")):
        """What the request, its items and a direct one are called: (answer, [items], (answer, backend))."""
        sheaf = sheaf or self.sheaf
        answer = sheaf.batch(items, headers)
        direct = sheaf.request("GET", "/o/echo", headers=headers or {})

        def named(document):
            return [value for name, value in document["headers"] if name.replace("_", "-") == "x-request-id"]
        return (answer.headers["x-request-id"], [named(result["body"]) for result in answer.json["responses"]],
                (direct.headers["x-request-id"], named(direct.json)))

    def test_a_request_has_a_name_and_its_items_have_names_made_of_it(self):
        batch, items, (answer, backend) = self.ids()
        self.assertRegex(batch, "^[0-9a-f]{16}$")
        self.assertEqual(items, [[f"{batch}.0"], [f"{batch}.1"]])
        self.assertEqual(backend, [answer])
        self.assertNotEqual(batch, answer)
        line = wait_until(lambda: [line for line in self.sheaf.err if f'"{batch}"' in line])[0]
        self.assertIn('"batch"', line)

    def test_a_client_gives_no_names(self):
        mine = {"X-Request-Id": "mine", "X_Request_Id": "mine"}
        item = {"url": "/o/echo", "headers": mine}
        batch, items, (answer, backend) = self.ids(headers=mine, items=[item, "/o/echo"])
        self.assertNotIn("mine", str((batch, items, answer, backend)))
        self.assertEqual(items, [[f"{batch}.0"], [f"{batch}.1"]])
        self.assertEqual(backend, [answer])

    def test_a_trusted_proxy_does(self):
        sheaf = self.start(top="trusted_proxies: [127.0.0.0/8]")
        batch, items, (answer, backend) = self.ids(sheaf, {"X-Request-Id": "from-the-proxy:7"})
        self.assertEqual((batch, answer, backend), ("from-the-proxy:7", "from-the-proxy:7", ["from-the-proxy:7"]))
        self.assertEqual(items, [["from-the-proxy:7.0"], ["from-the-proxy:7.1"]])
        for bad in ("", "a b", "x" * 129, 'a"b', "a,b", "\u00e9", "$(x)"):
            with self.subTest(bad=bad):
                batch, items, (answer, backend) = self.ids(sheaf, {"X-Request-Id": bad.encode("latin-1")})
                self.assertRegex(batch, "^[0-9a-f]{16}$")
                self.assertEqual((items[0], backend), ([f"{batch}.0"], [answer]))

    def test_what_is_refused_has_one_too(self):
        self.assertRegex(self.sheaf.request("GET", "/nowhere").headers["x-request-id"], "^[0-9a-f]{16}$")
        self.assertRegex(self.sheaf.post("{").headers["x-request-id"], "^[0-9a-f]{16}$")

    def test_a_backend_does_not_rename_a_request(self):
        answer = self.sheaf.request("GET", "/o/header/X-Request-Id/other")
        self.assertEqual([name.lower() for name, _ in answer.fields].count("x-request-id"), 1)
        self.assertNotEqual(answer.headers["x-request-id"], "other")


class Split(Case):
    def test_requests_and_items_are_dealt_by_shares(self):
        other = Origin()
        self.addCleanup(other.kill)
        sheaf = self.start(upstreams=f'canary: {{servers: ["http://127.0.0.1:{other.at}"]}}',
                           routes='- {match: "/dealt", rewrite: "/echo", upstream: origin, split: [{upstream: canary, share: 30%}]}\n'
                                  '- {match: "/all", rewrite: "/echo", upstream: origin, split: [{upstream: canary, share: 100%}]}')
        results = sheaf.batch(["/dealt"] * 100).json["responses"]
        self.assertEqual({result["status"] for result in results}, {200})
        self.assertTrue(10 <= other.count()["served"] <= 55, other.count())
        before = other.count()["served"]
        for _ in range(60):
            self.assertEqual(sheaf.request("GET", "/dealt").status, 200)
        self.assertTrue(5 <= other.count()["served"] - before <= 40, other.count())
        before = self.origin.count()["served"]
        sheaf.batch(["/all"] * 20)
        self.assertEqual(self.origin.count()["served"], before)


class Listeners(Case):
    places = {"listener": ', hosts: [api.example.com, "*.example.org"]'}

    def test_other_hosts_are_misdirected(self):
        for host, status in (("api.example.com", 200), ("API.EXAMPLE.com.:99", 200), ("x.example.org", 200), ("example.org", 421),
                             ("evil.example", 421), ("default", 421)):
            with self.subTest(host=host):
                answer = self.sheaf.request("GET", "/o/text", headers={"Host": host, "X-Forwarded-Host": "api.example.com"})
                self.assertEqual(answer.status, status)
                answer = self.sheaf.batch(["/o/text"], {"Host": host})
                self.assertEqual(answer.status, 207 if status == 200 else status)
                if status != 200:
                    self.assertEqual(answer.json["type"], "urn:sheaf:problem:misdirected")

    def test_no_host_is_none_of_them(self):
        client = RawClient(self.sheaf.at)
        client.send(b"GET /o/text HTTP/1.0\r\n\r\n")
        self.assertEqual(client.read_response().status, 421)
        client.close()


if __name__ == "__main__":
    unittest.main()
