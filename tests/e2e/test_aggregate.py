"""Aggregates: what the configuration asks, made of one request; the answers merged into one document, or as a batch."""
import http.server
import json
import threading
import unittest
from xml.etree import ElementTree

from harness import DATA, END_HEADERS, END_STREAM, HEADERS, Case, Http2Client, RawClient, frame, literal, wait_until

EXAMPLE = """
- {path: "/profile/{id}", kind: aggregate, response: merge, items: [{id: user, url: "/users/${params.id}", required: true}, {id: orders, url: "/orders?for=${user.body/id}&page=${query.page:-1}", dependsOn: [user], as: lastOrders, fallback: []}, {id: note, method: POST, url: /notes, headers: {x-lang: "${headers.accept-language:-en}"}, body: {user: "${params.id}", ref: {$result: user.body/id}}, dependsOn: [user]}]}
- {path: "/profile/{id}"}
- {path: /pair, kind: aggregate, response: merge, items: [{id: a, url: "/${query.a}"}, {id: b, url: "/${query.b}"}]}
- {path: /slow, kind: aggregate, response: merge, items: [{id: slow, url: /stuck}, {id: must, url: /status/404, required: true}]}
- {path: /late, kind: aggregate, response: merge, timeout: 300ms, items: [{id: slow, url: /stuck, fallback: {none: true}}, {id: quick, url: /users/1}]}
- {path: /all, kind: aggregate, items: [{id: user, url: "/users/${query.id}"}, {id: orders, url: "/orders?for=${user.body/id}", dependsOn: [user]}]}
- {path: /make, kind: aggregate, method: POST, response: merge, items: [{id: made, method: PUT, url: "/echo/${body/id}", body: {whole: "${body}", text: "it is ${body/name}", n: "${body/n:-7}"}}]}
- {path: /spread, kind: aggregate, items: [{id: list, url: /list}, {id: one, url: "/users/${each/id}", forEach: list.body/items, dependsOn: [list]}]}
- {path: /read, kind: aggregate, response: merge, items: [{id: seen, url: "/echo?for=${query.for:-nobody}&h=${headers.x-here:-none}"}]}
- {path: /tight, kind: aggregate, max_item_body: 1MiB, budget: 1MiB, items: [{id: a, url: /big}, {id: b, url: /big}, {id: c, url: /big}]}
- {path: "/t/{tenant}/$batch"}
- {path: /join, kind: aggregate, response: merge, items: [{id: user, url: /users/7}, {id: seen, url: /echo, dependsOn: [user], headers: {x-a: "${headers.x-one:-}${headers.x-two:-}", x-b: "${headers.x-one:-}{user.body/id}"}}]}
- {path: /glue, kind: aggregate, items: [{id: user, url: /users/7}, {id: seen, url: /echo, dependsOn: [user], headers: {x-a: "${headers.x-one:-}${user.body/id}"}}]}
- {path: /match, kind: aggregate, items: [{id: user, url: /users/7}, {id: seen, url: /echo, dependsOn: [user], headers: {if-match: "${headers.if-match:-*}"}}]}
- {path: /crumbs, kind: aggregate, response: merge, items: [{id: seen, url: "/echo?c=${headers.cookie:-}"}]}
- {path: /side, kind: aggregate, response: merge, items: [{id: a, url: /shared}, {id: b, method: POST, url: /shared}]}
- {path: /full, kind: aggregate, response: merge, max_item_body: 1KiB, budget: 8KiB, parallel: 1, items: [{id: a, url: /heady?a}, {id: b, url: /heady?b}, {id: c, url: /heady?c}, {id: d, url: /heady?d}, {id: e, url: /heady?e}, {id: f, url: /heady?f}, {id: g, url: /heady?g}, {id: h, url: /heady?h}]}
"""
BIG = b'"' + b"x" * 900000 + b'"'

# path -> status, headers, body
SCRIPT = {
    "/users/7": (200, {"Content-Type": "application/json", "Cache-Control": "max-age=60, public"}, b'{"id": 7,\n "big": 12345678901234567890}'),
    "/users/1": (200, {"Content-Type": "application/json"}, b'{"id":1}'),
    "/users/2": (200, {"Content-Type": "application/json"}, b'{"id":2}'),
    "/list": (200, {"Content-Type": "application/json"}, b'{"items":[{"id":1},{"id":2}]}'),
    "/notes": (201, {"Content-Type": "text/plain", "Cache-Control": "max-age=10", "Vary": "X-Mood, Cookie"}, b"noted \"it\""),
    "/text": (200, {"Content-Type": "text/plain"}, "é\n".encode()),
    "/empty": (204, {}, b""),
    "/bytes": (200, {"Content-Type": "image/png", "Set-Cookie": "a=1"}, b"\x00\xff"),
    "/broken": (200, {"Content-Type": "application/json"}, b"{"),
    "/private": (200, {"Content-Type": "application/json", "Cache-Control": "private, max-age=30"}, b"1"),
    "/shared": (200, {"Content-Type": "application/json", "Cache-Control": "public, max-age=100, s-maxage=20"}, b"2"),
    "/aged": (200, {"Content-Type": "application/json", "Cache-Control": "public, max-age=100", "Age": "60"}, b"3"),
    "/secret": (200, {"Content-Type": "application/json", "Cache-Control": "no-store"}, b"4"),
    "/anyhow": (200, {"Content-Type": "application/json", "Cache-Control": "max-age=5", "Vary": "*"}, b"5"),
    "/fresh": (200, {"Content-Type": "application/json", "Cache-Control": "max-age=60"}, b"6"),
    "/once": (200, {"Content-Type": "application/json", "Cache-Control": "s-maxage=60"}, b"7"),
    "/strict": (200, {"Content-Type": "application/json", "Cache-Control": "max-age=60, must-revalidate"}, b"8"),
    "/expired": (200, {"Content-Type": "application/json", "Cache-Control": "public", "Expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, b"9"),
    "/big": (200, {"Content-Type": "application/json", "Cache-Control": "public, max-age=1"}, BIG),
    "/t/acme/x": (200, {"Content-Type": "application/json"}, b'"of acme"'),
    "/status/404": (404, {"Content-Type": "application/json", "Cache-Control": "max-age=99"}, b"{}"),
    "/moved": (302, {"Location": "/text"}, b""),
}


class Backend(http.server.ThreadingHTTPServer):
    """Answers from SCRIPT; /orders and /echo tell what they were asked; /stuck answers once it is let go."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.seen, self.free = [], threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.free.set()
        self.shutdown()
        self.server_close()


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        seen = {"method": self.command, "url": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        self.server.seen.append(seen)
        if self.path == "/stuck":
            self.server.free.wait()
        echo = 200, {"Content-Type": "application/json", "Cache-Control": "public, max-age=30"}, json.dumps(seen).encode()
        found = echo if self.path.startswith(("/orders", "/echo")) else (404, {"Content-Type": "text/plain"}, b"no")
        if self.path.startswith("/heady"):
            found = 200, {"Content-Type": "application/json", "X-Long": "x" * 8000}, b'"' + b"y" * 1022 + b'"'
        status, headers, text = SCRIPT.get(self.path, found)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *args):
        pass


class Aggregate(Case):
    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.addClassCleanup(cls.backend.end)
        cls.places = {"endpoints": EXAMPLE.strip(), "upstreams": f'script: {{servers: ["http://127.0.0.1:{cls.backend.server_port}"]}}',
                      "routes": '- {match: "/{rest...}", upstream: script}'}
        super().setUpClass()

    def setUp(self):
        self.backend.seen.clear()

    def get(self, path, headers=None, method="GET", body=None):
        return self.sheaf.request(method, path, body, headers)

    def seen(self, path):
        return [one for one in self.backend.seen if one["url"].startswith(path)]

    def pair(self, a, b):
        return self.get(f"/pair?a={a}&b={b}")

    # --- merged ---

    def test_the_example_is_one_document_in_the_order_of_the_configuration(self):
        answer = self.get("/profile/7?page=3", {"Accept-Language": "de"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["sheaf-complete"], "true")
        self.assertTrue(answer.body.startswith(b'{"user":{"id": 7,\n "big": 12345678901234567890},"lastOrders":{'), answer.body)
        self.assertEqual(answer.json["note"], 'noted "it"')
        self.assertEqual(answer.json["lastOrders"]["url"], "/orders?for=7&page=3")
        note = self.seen("/notes")[0]
        self.assertEqual(json.loads(note["body"]), {"user": "7", "ref": 7})
        self.assertEqual((note["headers"]["x-lang"], note["headers"]["content-type"]), ("de", "application/json"))
        self.assertEqual(answer.headers["cache-control"], "no-store")  # a part is a POST
        self.assertEqual(answer.headers["vary"], "accept-language, X-Mood, Cookie")

    def test_what_the_request_does_not_say_has_its_default(self):
        answer = self.get("/profile/7")
        self.assertEqual(answer.json["lastOrders"]["url"], "/orders?for=7&page=1")
        self.assertEqual(self.seen("/notes")[0]["headers"]["x-lang"], "en")

    def test_a_failed_part_that_is_optional_is_null(self):
        answer = self.pair("nothing-here", "shared")
        self.assertEqual((answer.status, answer.headers["sheaf-complete"]), (200, "false"))
        self.assertEqual(answer.json, {"a": None, "b": 2})
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_what_fails_gives_way_to_its_fallback_and_the_rest_stands(self):
        answer = self.get("/late")
        self.assertEqual((answer.status, answer.json), (200, {"slow": {"none": True}, "quick": {"id": 1}}))
        self.assertEqual(answer.headers["sheaf-complete"], "false")
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_a_failed_part_that_is_required_is_502_that_names_it(self):
        answer = self.get("/profile/8")
        self.assertEqual((answer.status, answer.headers["content-type"]), (502, "application/problem+json"))
        self.assertEqual((answer.json["type"], answer.json["item"]), ("urn:sheaf:problem:part-failed", "user"))
        self.assertIn("404", answer.json["detail"])
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertNotIn("sheaf-complete", answer.headers)
        self.assertEqual(self.seen("/orders"), [])

    def test_a_required_part_that_fails_is_told_while_others_still_fly(self):
        for _ in range(3):
            answer = self.get("/slow")  # /stuck never answers
            self.assertEqual((answer.status, answer.json["item"]), (502, "must"))
        wait_until(lambda: self.sheaf.metrics().get("sheaf_items_in_flight", 0) == 0, what="nothing flies")

    def test_bodies_of_every_kind_have_their_place(self):
        self.assertEqual(self.pair("text", "empty").json, {"a": "é\n", "b": None})
        answer = self.pair("bytes", "broken")
        self.assertEqual(answer.json["a"], {"bodyEncoding": "base64", "contentType": "image/png", "body": "AP8="})
        self.assertEqual(answer.json["b"]["body"], "ew==")
        self.assertNotIn("set-cookie", answer.headers)
        self.assertEqual(answer.headers["sheaf-complete"], "true")

    def test_large_parts_are_whole(self):
        answer = self.pair("big", "big")
        self.assertEqual(answer.body, b'{"a":' + BIG + b',"b":' + BIG + b"}")
        head = self.get("/pair?a=big&b=big", method="HEAD")
        self.assertEqual(head.headers["content-length"], str(len(answer.body)))

    def test_what_a_head_passes_over_holds_nothing_up(self):
        self.assertEqual(len(self.get("/tight").json["responses"]), 3)
        head = self.get("/tight", method="HEAD")
        self.assertEqual((head.status, head.body), (207, b""))
        self.assertGreater(int(head.headers["content-length"]), 3 * len(BIG))

    def test_head_and_get_over_http2(self):
        client = Http2Client(self.sheaf.at)
        for stream, method in ((1, b"HEAD"), (3, b"GET"), (5, b"HEAD")):
            fields = (b":method", method), (b":path", b"/pair?a=shared&b=shared"), (b":scheme", b"http"), (b":authority", b"x")
            client.sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, b"".join(literal(*one) for one in fields)))
        self.assertEqual(client.answer(3), {"a": 2, "b": 2})
        for stream in (1, 5):
            client.until(HEADERS, stream)
            wait_until(lambda: any(kind in (HEADERS, DATA) and at == stream and flags & END_STREAM
                                   for kind, flags, at, _ in client.frames) or not client.read(), what="the stream ends")
            self.assertEqual([text for kind, _, at, text in client.frames if kind == DATA and at == stream and text], [])

    def test_a_redirection_is_no_part(self):
        answer = self.pair("moved", "text")
        self.assertEqual((answer.json["a"], answer.headers["sheaf-complete"]), (None, "false"))

    def test_the_strictest_cache_control_goes_for_all(self):
        for a, b, wanted in (("private", "shared", "private, max-age=30"),
                             ("shared", "aged", "public, max-age=40, s-maxage=20"),
                             ("shared", "secret", "no-store"),
                             ("shared", "text", "no-store"),
                             ("shared", "status404", "no-store"),
                             ("shared", "shared", "public, max-age=100, s-maxage=20")):
            self.assertEqual(self.pair(a, b).headers["cache-control"], wanted, (a, b))
        self.assertEqual(self.pair("anyhow", "shared").headers["vary"], "*")

    def test_a_shared_cache_keeps_for_nobody_what_a_part_withholds_from_it(self):
        mine = {"Authorization": "Bearer mine"}
        for a, b, wanted in (("fresh", "once", "private, max-age=0"), ("fresh", "strict", "private, max-age=60, must-revalidate"),
                             ("fresh", "fresh", "private, max-age=60"), ("shared", "shared", "public, max-age=100, s-maxage=20"),
                             ("once", "once", "s-maxage=60"), ("strict", "strict", "max-age=60, must-revalidate")):
            self.assertEqual(self.get(f"/pair?a={a}&b={b}", mine).headers["cache-control"], wanted, (a, b))
        self.assertEqual(self.pair("fresh", "once").headers["cache-control"], "max-age=0, s-maxage=60")

    def test_a_part_that_has_expired_is_not_fresh(self):
        self.assertEqual(self.pair("expired", "expired").headers["cache-control"], "public, max-age=0")
        self.assertEqual(self.pair("expired", "shared").headers["cache-control"], "public, max-age=0, s-maxage=0")

    def test_what_changes_something_is_never_answered_from_a_cache(self):
        self.assertEqual(self.get("/side").headers["cache-control"], "no-store")

    def test_headers_of_parts_do_not_count_against_what_a_merged_answer_may_hold(self):
        for method in ("GET", "HEAD"):
            answer = self.get("/full", method=method)
            self.assertEqual((answer.status, answer.headers["sheaf-complete"]), (200, "true"))

    def test_head_has_the_fields_of_get_and_no_body(self):
        for path in ("/profile/7", "/pair?a=text&b=shared", "/profile/8", "/all?id=7"):
            get, head = self.get(path), self.get(path, method="HEAD")
            self.assertEqual((head.status, head.body), (get.status, b""))
            for name in ("content-type", "content-length", "cache-control", "sheaf-complete", "vary"):
                if name in get.headers or name != "content-length":
                    self.assertEqual(head.headers.get(name), get.headers.get(name), (path, name))

    def test_connections_live_on_after_head(self):
        conn = self.sheaf.connect()
        for method in ("HEAD", "GET", "HEAD", "HEAD", "GET"):
            answer = self.sheaf.request(method, "/pair?a=shared&b=text", conn=conn)
            self.assertEqual((answer.status, bool(answer.body)), (200, method == "GET"))
        conn.close()

    def test_only_json_can_be_had_of_a_merged_answer(self):
        self.assertEqual(self.get("/profile/7", {"Accept": "application/xml"}).status, 406)
        self.assertEqual(self.get("/profile/7", {"Accept": "*/*;q=0.1"}).status, 200)

    def test_a_client_cannot_ask_for_less_of_a_merged_answer(self):
        answer = self.get("/pair?a=text&b=shared", {"Prefer": "return=minimal"})
        self.assertEqual(answer.json, {"a": "é\n", "b": 2})
        self.assertNotIn("preference-applied", answer.headers)

    # --- data is never more than data ---

    def test_parameters_never_leave_their_segment(self):
        for wire in ("..%2Fusers%2F7", "%2e%2e%2f7", "a%2Fb", "%5C..%5C", "..%252F7"):
            self.backend.seen.clear()
            answer = self.get("/profile/" + wire)
            self.assertIn(answer.status, (400, 404, 502), wire)
            self.assertTrue(all(one["url"].startswith("/users/") and one["url"].count("/") == 2 for one in self.backend.seen), wire)
        self.assertEqual(self.get("/profile/%2e%2e").status, 404)
        self.assertEqual(self.get("/profile/").status, 404)
        self.assertEqual(self.get("/profile/7/8").status, 404)
        self.assertEqual(self.get("/profile/%00").status, 400)

    def test_values_are_encoded_where_they_go(self):
        answer = self.get("/read?for=%26x%3d1%23%2B+%25&for=second", {"X-Here": "a&b=${user.body/id}"})
        self.assertEqual(answer.json["seen"]["url"], "/echo?for=%26x%3D1%23%2B%20%25&h=a%26b%3D%24%7Buser.body%2Fid%7D")

    def test_nothing_supplied_is_a_reference(self):
        answer = self.get("/profile/7?page=${user.body/id}%24%7Buser.body/id%7D", {"Accept-Language": "${user.body/id}"})
        self.assertEqual(answer.json["lastOrders"]["url"],
                         "/orders?for=7&page=%24%7Buser.body%2Fid%7D%24%7Buser.body%2Fid%7D")
        self.assertEqual(self.seen("/notes")[0]["headers"]["x-lang"], "${user.body/id}")

    def test_nothing_supplied_becomes_a_reference_beside_its_neighbour(self):
        answer = self.get("/join", {"X-One": "a$", "X-Two": "{user.body/id}"}).json["seen"]
        self.assertEqual(answer["headers"]["x-a"], "a${user.body/id}")
        self.assertEqual(answer["headers"]["x-b"], "a${user.body/id}")

    def test_nothing_supplied_takes_a_reference_away(self):
        self.assertEqual(self.get("/glue", {"X-One": "a"}).json["responses"][1]["body"]["headers"]["x-a"], "a7")
        self.assert_problem(self.get("/glue", {"X-One": "a$"}).json["responses"][1], 400, "item-data")

    def test_no_if_match_that_is_supplied_stands_for_an_etag(self):
        self.assertEqual(self.get("/match").json["responses"][1]["body"]["headers"]["if-match"], "*")
        self.assert_problem(self.get("/match", {"If-Match": "$user"}).json["responses"][1], 400, "item-data")

    def test_the_crumbs_of_a_cookie_are_one_value_over_http2_too(self):
        client = Http2Client(self.sheaf.at)
        fields = (b":method", b"GET"), (b":path", b"/crumbs"), (b":scheme", b"http"), (b":authority", b"x"), (b"cookie", b"a=1"), (b"cookie", b"b=2")
        client.sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"".join(literal(*one) for one in fields)))
        self.assertEqual(client.answer(1)["seen"]["url"], "/echo?c=a%3D1%3B%20b%3D2")

    def test_line_breaks_stay_data(self):
        answer = self.get("/read?for=a%0d%0ax:%20y")
        self.assertEqual(answer.json["seen"]["url"], "/echo?for=a%0D%0Ax%3A%20y&h=none")

    def test_what_is_missing_fails_its_item(self):
        answer = self.get("/all")
        self.assertEqual(answer.status, 207)
        user, orders = answer.json["responses"]
        self.assert_problem(user, 400, "item-data")
        self.assertIn("query.id", user["body"]["detail"])
        self.assert_problem(orders, 424, "dependency-failed")

    # --- as a batch ---

    def test_a_multistatus_is_negotiated(self):
        answer = self.get("/all?id=7")
        self.assertEqual((answer.status, answer.headers["cache-control"]), (207, "no-store"))
        self.assertEqual([result["id"] for result in answer.json["responses"]], ["user", "orders"])
        document = ElementTree.fromstring(self.get("/all?id=7", {"Accept": "application/xml"}).body)
        self.assertEqual([one.text for one in document.iter("{DAV:}href")], ["/users/7", "/orders?for=7"])

    def test_items_run_once_for_each_element(self):
        results = self.get("/spread").json["responses"]
        self.assertEqual([(one["id"], one["status"]) for one in results], [("list", 200), ("one[0]", 200), ("one[1]", 200)])

    # --- with a body ---

    def test_a_body_supplies_values_of_every_type(self):
        answer = self.sheaf.post('{"id":"x/y","name":"A \\"b\\"","n":1.50,"$result":"made.body"}', path="/make")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(answer.json, {"made": None})  # an encoded slash is for the route to allow
        answer = self.sheaf.post('{"id":"xy","name":"A \\"b\\"","n":1.50,"$result":"made.body"}', path="/make")
        self.assertEqual(answer.json["made"]["body"], '{"whole":{"id":"xy","name":"A \\"b\\"","n":1.50,"$result":"made.body"},'
                                                      '"text":"it is A \\"b\\"","n":1.50}')
        self.assertEqual(answer.json["made"]["method"], "PUT")

    def test_a_body_that_is_not_json_is_refused_with_its_place(self):
        answer = self.sheaf.post('{"id":1,\n"id":2}', path="/make")
        self.assertEqual((answer.status, answer.json["type"]), (400, "urn:sheaf:problem:syntax"))
        self.assertEqual((answer.json["line"], answer.json["pointer"]), (2, "/id"))
        for kind in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=latin1"}):
            answer = self.sheaf.request("POST", "/make", "{}", kind)
            self.assertEqual((answer.status, answer.headers["accept-post"]), (415, "application/json"))
        self.assertEqual(self.sheaf.request("POST", "/make", "{}").status, 415)
        self.assertEqual(self.backend.seen, [])

    def test_a_get_with_a_body_is_refused(self):
        answer = self.get("/pair?a=text&b=text", {"Content-Type": "application/json"}, body="{}")
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.backend.seen, [])

    # --- paths and methods ---

    def test_two_endpoints_share_a_path(self):
        answer = self.sheaf.batch(["/users/7", "users/1"], path="/profile/9")
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 200])

    def test_relative_urls_start_where_the_request_went(self):
        for path in ("/t/acme/$batch", "/t/acme/%24batch"):
            self.assertEqual(self.sheaf.batch(["x"], path=path).json["responses"][0]["body"], "of acme")

    def test_the_base_of_relative_urls_is_as_clean_as_they_are(self):
        body = b'{"requests":[{"url":"x"}]}'
        client = Http2Client(self.sheaf.at)
        for stream, path in ((1, b"/t/a HTTP/1.1\r\nx-evil: 1\r\n\r\n/$batch"), (3, b"/t/a b/$batch"), (5, b"/t/a\\b/$batch"), (7, b'/t/a"b/$batch')):
            fields = (b":method", b"POST"), (b":path", path), (b":scheme", b"http"), (b":authority", b"x"), (b"content-type", b"application/json")
            client.sock.sendall(frame(HEADERS, END_HEADERS, stream, b"".join(literal(*one) for one in fields)) + frame(DATA, END_STREAM, stream, body))
            answer = client.answer(stream)
            self.assertEqual(answer.get("status"), {7: None}.get(stream, 400), answer)
        self.assertEqual([one["url"] for one in self.backend.seen], ["/t/a%22b/x"])

    def test_other_methods_are_405_with_all_that_are_allowed(self):
        for path, allow in (("/profile/7", "GET, HEAD, POST, OPTIONS"), ("/pair", "GET, HEAD, OPTIONS"),
                            ("/make", "POST, OPTIONS"), ("/batch", "POST, OPTIONS")):
            answer = self.sheaf.request("DELETE", path)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, allow))
            self.assertEqual(self.sheaf.request("OPTIONS", path).headers["allow"], allow)

    def test_options_describes_every_endpoint_of_the_path(self):
        answer = self.sheaf.request("OPTIONS", "/profile/7")
        self.assertEqual([(one["kind"], one["methods"]) for one in answer.json],
                         [("aggregate", ["GET", "HEAD", "OPTIONS"]), ("batch", ["POST", "OPTIONS"])])
        self.assertIn("application/json", answer.headers["accept-post"])
        answer = self.sheaf.request("OPTIONS", "/pair")
        self.assertEqual((answer.json["path"], answer.json["requests"], answer.json["response"]), ("/pair", [], "merge"))
        self.assertNotIn("accept-post", answer.headers)

    def test_items_name_no_endpoint_of_any_method(self):
        for result in self.run_items("/profile/7", "/pair?a=text&b=text", "/make"):
            self.assert_problem(result, 400, "item-url")

    def test_encoded_letters_and_dollars_find_their_endpoint(self):
        self.assertEqual(self.get("/%70air?a=text&b=text").status, 200)
        self.assertEqual(self.get("/%70rofile/%37").status, 200)

    def test_a_client_that_leaves_ends_what_flies(self):
        client = RawClient(self.sheaf.at)
        client.send(b"GET /pair?a=stuck&b=text HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: self.seen("/stuck"), what="it flies")
        before = self.sheaf.metrics()
        client.close()
        wait_until(lambda: self.sheaf.metrics()["sheaf_batches_total{outcome=\"abandoned\"}"] >
                   before.get("sheaf_batches_total{outcome=\"abandoned\"}", 0), what="it is abandoned")


if __name__ == "__main__":
    unittest.main()
