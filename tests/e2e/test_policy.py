"""What an item may ask for, and which headers pass: the attacks, and what is left of them; what plugins decide, alike
however it is asked (decisions.py)."""
import base64
import hashlib
import hmac
import json
import time
import unittest

from decisions import Decisions, Row
from harness import Case, RawClient, wait_until

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
                "/o\\text", "/o/%5ctext", "/o/a%2fb", "/o/a%2Fb", "/o/%00", "/o/..;/echo", "/o/%2e.%3Ba/echo", "/kept/%00", "/o/\r\nX: y", "/o/\u0000",
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


NETWORKS = "{use: ip_access, name: NAME, allow: [203.0.113.0/24, 2001:db8::/32], deny: [203.0.113.64/26]}"
FIELDS = ('{use: headers, name: NAME, request: {set: {x-user: "${attr.user}", x-client: "${client_ip}", x-way: "<${path}>"}, '
          'rename: {x-old: x-new}, remove: [x-debug], add: {x-tag: b}}, response: {remove: [x-two], set: {x-said: "${status}"}}}')


def networks(name):
    return NETWORKS.replace("NAME", name)


def fields(name):
    return FIELDS.replace("NAME", name)


class SameDecision(Decisions):
    """A row a case; each is a route of its own, asked directly, as an item, and as an element of a bulk."""
    ROWS = [
        Row("an address that is allowed", networks("ip-0"), 200, client="203.0.113.5"),
        Row("an IPv6 address that is allowed", networks("ip-1"), 200, client="2001:db8::5"),
        Row("one that is not", networks("ip-2"), 403, client="198.51.100.1", problem="address-refused"),
        Row("one that is denied though it is allowed", networks("ip-3"), 403, client="203.0.113.65", problem="address-refused"),
        Row("the peer alone", networks("ip-4"), 403, problem="address-refused"),
        Row("a status that hides it", "{use: ip_access, name: ip-5, deny: [0.0.0.0/0], status: 404}", 404),
        Row("a field of trust in every case", networks("ip-6"), 403, client="198.51.100.1",
            headers={"X-Real-IP": "203.0.113.5", "Forwarded": "for=203.0.113.5", "x_forwarded_for": "203.0.113.5",
                     "True-Client-IP": "203.0.113.5", "CF-Connecting-IP": "203.0.113.5"}),
        Row("dot segments to a protected route", networks("ip-7"), 403, path="/x/../echo"),
        Row("encoded dot segments to a protected route", networks("ip-8"), 403, path="/x/%2e%2E/echo"),
        Row("an encoded letter of a protected route", networks("ip-9"), 403, path="/%65cho"),
        Row("fields are set, renamed, removed and added", fields("f-0"), 200,
            headers={"x-user": "root", "x-old": "1", "x-new": "0", "x-debug": "1", "x-client": "10.0.0.1"},
            sees={"x-user": None, "x-new": "1", "x-old": None, "x-debug": None, "x-client": "127.0.0.1", "x-tag": "b"}),
        Row("answers lose and get fields", fields("f-1"), 200, path="/setcookie", says={"x-two": None, "x-said": "200"}),
        Row("a refusal gets fields of the reply, too", '{use: headers, name: f-2, reply: {set: {x-said: a}}}, ' + networks("ip-10"),
            403, problem="address-refused"),
        Row("a field is removed in any case", fields("f-3"), 200, headers={"X-DEBUG": "1", "X-User": "root"},
            sees={"x-debug": None, "x-user": None}),
        Row("a field that is set in another spelling", fields("f-6"), 200, headers={"X_User": "root", "x_debug": "1", "x_kept": "1"},
            sees={"x_user": None, "x_debug": None, "x_kept": "1", "x-user": None}),
        Row("what is inherited is replaced", '{use: headers, name: f-4, request: {set: {accept-language: eo}}}', 200,
            headers={"Accept-Language": "de"}, inherits=True, sees={"accept-language": "eo"}),
        Row("what is inherited is removed", '{use: headers, name: f-5, request: {remove: [authorization]}}', 200,
            headers={"Authorization": "Bearer x"}, inherits=True, sees={"authorization": None}),
        Row("the store alone is wanted and has nothing", "{use: cache, name: c-0}", 504, headers={"Cache-Control": "only-if-cached"},
            problem="not-cached"),
        Row("what frameworks take for the method", "{use: cache, name: c-1}", 200, headers={"X-HTTP-Method-Override": "PUT"},
            says={"cache-status": "sheaf; fwd=bypass"}),
        Row("a question that nothing may be kept of", "{use: cache, name: c-2}", 200, headers={"Cache-Control": "no-store"},
            says={"cache-status": "sheaf; fwd=bypass"}),
        Row("a question that is malformed", "{use: cache, name: c-3}", 200, headers={"Cache-Control": 'max-age="1'},
            says={"cache-status": "sheaf; fwd=bypass"}),
        Row("an answer that is private", "{use: cache, name: c-5}, {use: headers, name: f-15, response: {set: {cache-control: private}}}", 200,
            says={"cache-status": "sheaf; fwd=uri-miss; detail=private"}),
        Row("an answer that says nothing of being kept", "{use: cache, name: c-6}", 200,
            says={"cache-status": "sheaf; fwd=uri-miss; detail=lifetime"}),
        Row("a method that is no question", "{use: cache, name: c-4}", 200, method="PUT", body={}, says={"cache-status": None}),
        Row("a method that the route has not", "", 405, keys=", methods: [GET]", method="POST", body={}),
        Row("a body that is too large for the route", "", 413, keys=", max_body: 4", method="POST", body={"a": 1}),
        Row("fields that the route denies", "", 200, keys=", request_headers: {deny: [x-internal-*]}",
            headers={"X-Internal-User": "root", "x_internal_user": "root", "X-Mine": "1"},
            sees={"x-internal-user": None, "x_internal_user": None, "x-mine": "1"}),
        Row("credentials that the route keeps", "", 200, keys=", forward_credentials: false", inherits=True,
            headers={"Authorization": "Bearer x", "Cookie": "a=1"}, sees={"authorization": None, "cookie": None}),
        Row("a plugin's field where the route denies a client's", '{use: headers, name: f-7, request: {set: {x-user: "7"}}}', 200,
            keys=", request_headers: {deny: [x-user]}", headers={"x-user": "root", "x_user": "root"},
            sees={"x-user": "7", "x_user": None}),
        Row("a plugin's field beside a client's that the route denies",
            '{use: headers, name: f-8, request: {add: {x-tag: b}}}, {use: headers, name: f-9, request: {add: {x-tag: c}}}', 200,
            keys=", request_headers: {deny: [x-tag]}", headers={"x-tag": "a"}, sees={"x-tag": "b, c"}),
        Row("a plugin's field beside an inherited one that the route denies",
            '{use: headers, name: f-10, request: {add: {accept-language: eo}}}', 200, inherits=True,
            keys=", request_headers: {deny: [accept-language]}", headers={"Accept-Language": "de"},
            sees={"accept-language": "eo"}),
        Row("a plugin's credentials where the route keeps a client's",
            '{use: headers, name: f-11, request: {set: {authorization: Basic eDp5}}}', 200, inherits=True,
            keys=", forward_credentials: false", headers={"Authorization": "Bearer x", "Cookie": "a=1"},
            sees={"authorization": "Basic eDp5", "cookie": None}),
        Row("a plugin's field where the route allows a client others", '{use: headers, name: f-12, request: {set: {x-user: "7"}}}',
            200, keys=", request_headers: {allow: [accept]}", headers={"x-user": "root", "x-more": "1"},
            sees={"x-user": "7", "x-more": None}),
        Row("a plugin's field that another takes away", '{use: headers, name: f-13, request: {set: {x-user: "7"}}}, '
            '{use: headers, name: f-14, request: {remove: [x-user]}}', 200,
            keys=", request_headers: {deny: [x-user]}", headers={"x-user": "root"}, sees={"x-user": None}),
        Row("fields of answers that the route denies", "", 200, keys=", response_headers: {deny: [x-two]}", path="/setcookie",
            says={"x-two": None}),
        Row("fields of answers that the route does not allow", "", 200, keys=", response_headers: {allow: [content-type]}",
            path="/setcookie", says={"x-two": None, "set-cookie": None}),
        Row("an encoded slash", networks("ip-11"), 400, path="/a%2Fb", client="203.0.113.5"),
        Row("an encoded NUL", networks("ip-12"), 400, path="/a%00b", client="203.0.113.5"),
        Row("an encoded backslash", networks("ip-13"), 400, path="/a%5Cb", client="203.0.113.5"),
        Row("a key that is missing where one has to be", "{use: idempotency, name: i-0, required: true}", 400, method="POST", body={}),
        Row("a key that is none", "{use: idempotency, name: i-1}", 400, method="POST", body={}, headers={"Idempotency-Key": "a b\"c"}),
        Row("a trace of the client's goes on, a field of it does not", "{use: trace, name: t-0, accept: false}", 200,
            headers={"tracestate": "a=1"}, sees={"tracestate": None}),
    ]


SECRET, KEY, OTHER = "s" * 40, "a-key-of-acme", "a-key-of-umbrella"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=SECRET, alg="HS256", **claims):
    claims = {"sub": "ann", "scope": "read", "exp": int(time.time()) + 3600, **claims}
    text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": alg, "typ": "JWT"}, claims))
    mac = b"" if alg == "none" else hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return {"Authorization": f"Bearer {text}.{base64url(mac)}"}


def bearers(name, more=""):
    return (f"{{use: jwt, name: {name}, secret: @DIR@/secret, claims_to_headers: [{{claim: sub, header: x-user}}], forward: false{more}}}, "
            f'{{use: headers, name: {name}-user, request: {{set: {{x-attr: "${{attr.user}}"}}}}}}')


def keyed(name):
    return (f"{{use: api_key, name: {name}, keys: @DIR@/keys}}, "
            f'{{use: headers, name: {name}-who, request: {{set: {{x-consumer: "${{attr.consumer}}"}}}}}}')


class SameIdentity(Decisions):
    """Who is asking, and whether that may be believed: alike however it is asked."""
    FILES = {"secret": SECRET, "keys": f"acme {hashlib.sha256(KEY.encode()).hexdigest()}\n"
                                       f"umbrella {hashlib.sha256(OTHER.encode()).hexdigest()} routes=/elsewhere\n"}
    ROWS = [
        Row("no key", keyed("k-0"), 401),
        Row("a key", keyed("k-1"), 200, {"X-Api-Key": KEY}, sees={"x-consumer": "acme", "x-api-key": None}),
        Row("a key in another case", keyed("k-2"), 401, {"X-Api-Key": KEY.upper()}),
        Row("a key under another name", keyed("k-3"), 401, {"x_api_key": KEY, "Api-Key": KEY}),
        Row("a key of another route", keyed("k-4"), 403, {"X-Api-Key": OTHER}),
        Row("a consumer by header", keyed("k-5"), 200, {"X-Api-Key": KEY, "X-Consumer": "root", "X_Consumer": "root"},
            sees={"x-consumer": "acme", "x_consumer": None}),
        Row("no token", bearers("j-0"), 401),
        Row("a token", bearers("j-1"), 200, token(), inherits=True, sees={"x-user": "ann", "x-attr": "ann", "authorization": None}),
        Row("a token of another secret", bearers("j-2"), 401, token("t" * 40), inherits=True),
        Row("a token that is signed by nobody", bearers("j-3"), 401, token(alg="none"), inherits=True),
        Row("a token that is over", bearers("j-4"), 401, token(exp=1), inherits=True),
        Row("a token without the scope", bearers("j-5", ", scopes: [write]"), 403, token(), inherits=True),
        Row("a token with the scope", bearers("j-6", ", scopes: [write]"), 200, token(scope="read write"), inherits=True),
        Row("a token that names nobody", bearers("j-nobody"), 200, {**token(sub=None), "X-User": "root", "X-Attr": "root"}, inherits=True,
            sees={"x-user": None, "x-attr": None}),
        Row("a user by header", bearers("j-7"), 200, {**token(), "X-User": "root", "X_User": "root", "X-Attr": "root"},
            sees={"x-user": "ann", "x_user": None, "x-attr": "ann"}),
        Row("a user by header without a token", bearers("j-8", ", required: false"), 200,
            {"X-User": "root", "X_User": "root", "X-Attr": "root", "x_attr": "root"},
            sees={"x-user": None, "x_user": None, "x-attr": None, "x_attr": None}),
        Row("a bad token where none is needed", bearers("j-9", ", required: false"), 401, token("t" * 40), inherits=True),
        Row("a token of more than its size", bearers("j-10"), 401, token(sub="a" * 9000)),
        Row("a challenge where the route lets few fields of answers through", bearers("j-11"), 401,
            keys=", response_headers: {allow: [x-app-*], deny: [www-*]}", says={"www-authenticate": 'Bearer realm="sheaf"'}),
    ]


class Addresses(Case):
    places = {"top": "trusted_proxies: [127.0.0.0/8]\nplugins: [{use: ip_access, deny: [203.0.113.0/24]}]"}

    def test_a_client_that_is_denied_gets_nothing_whatever_it_asks(self):
        before = self.origin.count()["served"]
        for client, status in (("203.0.113.9", 403), ("::ffff:203.0.113.9", 403)):
            headers = {"X-Forwarded-For": client}
            for answer in (self.sheaf.batch(["/o/text"], headers), self.sheaf.request("GET", "/o/text", headers=headers),
                           self.sheaf.request("OPTIONS", "/batch", headers=headers),
                           self.sheaf.post("no batch at all", headers)):
                self.assertEqual((answer.status, answer.json["type"]), (status, "urn:sheaf:problem:address-refused"))
        self.assertEqual(self.origin.count()["served"], before)
        self.assertEqual(self.sheaf.metrics()['sheaf_plugin_refused_total{plugin="ip_access"}'], 8)

    def test_any_other_is_answered(self):
        self.assertEqual(self.run_item("/o/text")["status"], 200)
        self.assertEqual(self.sheaf.request("GET", "/o/text", headers={"X-Forwarded-For": "203.0.114.9"}).status, 200)

    def test_one_item_that_is_refused_leaves_its_siblings_alone(self):
        sheaf = self.start(top="", routes='- {match: "/closed", upstream: origin, rewrite: "/echo", '
                                          "plugins: [{use: ip_access, deny: [127.0.0.0/8]}]}")
        results = self.run_items("/o/text", "/closed", "/o/../closed", "/o/text", sheaf=sheaf)
        self.assertEqual([result["status"] for result in results], [200, 403, 403, 200])


CORS = 'plugins: [{use: cors, origins: ["https://app.example", "*.example.com"], credentials: true, expose: [etag]}]'
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


class Cors(Case):
    """Pages of other origins: what they may read of a batch and of a direct request."""
    places = {"top": CORS}

    def test_a_preflight_is_answered_without_a_backend(self):
        before = self.origin.count()["served"]
        for path in ("/batch", "/o/echo", "/readonly"):
            with self.subTest(path=path):
                answer = self.sheaf.request("OPTIONS", path, headers={"Origin": "https://app.example", **PREFLIGHT})
                self.assertEqual((answer.status, answer.body), (204, b""))
                self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")
                self.assertEqual(answer.headers["access-control-allow-credentials"], "true")
                self.assertEqual(answer.headers["access-control-allow-methods"], "GET, HEAD, POST, PUT, PATCH, DELETE")
                self.assertEqual(answer.headers["access-control-allow-headers"], "content-type")
                self.assertEqual(answer.headers["access-control-max-age"], "600")
                self.assertEqual(answer.headers["vary"], "Origin")
        self.assertEqual(self.origin.count()["served"], before)

    def test_other_origins_get_no_permission(self):
        for origin in ("https://evil.example", "http://app.example", "https://app.example.evil.example", "null",
                       "https://evilexample.com", "https://app.example:8443", "https://app.example/"):
            with self.subTest(origin=origin):
                headers = {"Origin": origin}
                for answer in (self.sheaf.request("OPTIONS", "/batch", headers={**headers, **PREFLIGHT}),
                               self.sheaf.batch(["/o/cors"], headers), self.sheaf.request("GET", "/o/cors", headers=headers)):
                    self.assertLess(answer.status, 300)
                    self.assertEqual([name for name in answer.headers if name.startswith("access-control-")], [])
                    self.assertEqual(answer.headers["vary"], "Origin")

    def test_answers_say_who_may_read_them_and_backends_have_no_say(self):
        for origin in ("https://app.example", "https://a.b.example.com"):
            headers = {"Origin": origin}
            for answer in (self.sheaf.batch(["/o/cors"], headers), self.sheaf.request("GET", "/o/cors", headers=headers),
                           self.sheaf.request("GET", "/o/status/500", headers=headers)):
                said = [(name.lower(), value) for name, value in answer.fields if name.lower().startswith("access-control-")]
                self.assertEqual(sorted(said), [("access-control-allow-credentials", "true"),
                                                ("access-control-allow-origin", origin),
                                                ("access-control-expose-headers", "etag")])

    def test_an_answer_without_origin_varies_too(self):
        for answer in (self.sheaf.batch(["/o/text"]), self.sheaf.request("GET", "/o/text")):
            self.assertEqual(answer.headers["vary"], "Origin")
            self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_options_that_are_no_preflight_go_on(self):
        answer = self.sheaf.request("OPTIONS", "/o/echo", headers={"Origin": "https://app.example"})
        self.assertEqual((answer.status, answer.json["method"]), (200, "OPTIONS"))

    def test_a_page_may_read_why_it_was_refused(self):
        sheaf = self.start(top=CORS[:-1] + ", {use: ip_access, deny: [127.0.0.0/8]}]")
        for answer in (sheaf.batch(["/o/text"], {"Origin": "https://app.example"}),
                       sheaf.request("GET", "/o/text", headers={"Origin": "https://app.example"})):
            self.assertEqual(answer.status, 403)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")

    def test_a_page_may_read_what_no_plugin_refused(self):
        headers = {"Origin": "https://app.example"}
        for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/readonly", 405), ("DELETE", "/batch", 405)):
            with self.subTest(path=path):
                answer = self.sheaf.request(method, path, headers=headers)
                self.assertEqual((answer.status, answer.headers["vary"]), (status, "Origin"))
                self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")

    def test_a_route_has_its_own(self):
        sheaf = self.start(routes='- {match: "/shared/{rest...}", upstream: origin, rewrite: "/{rest...}", '
                                  'methods: [GET], plugins: [{use: cors, origins: ["*"]}]}')
        answer = sheaf.request("OPTIONS", "/shared/text", headers={"Origin": "https://any.example", **PREFLIGHT})
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (204, "*"))
        self.assertEqual(sheaf.request("GET", "/shared/cors").headers["access-control-allow-origin"], "*")
        self.assertNotIn("access-control-allow-origin", sheaf.request("GET", "/o/text").headers)


class Trace(Case):
    places = {"top": "plugins: [{use: trace, upstream: origin, path: /echo, interval: 100ms}]"}
    ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

    def parents(self, *items, **headers):
        answer = self.sheaf.batch(items, headers)
        return [dict(map(tuple, result["body"]["headers"])).get("traceparent", "") for result in answer.json["responses"]]

    def test_every_item_has_a_span_in_the_trace_of_its_request(self):
        own = {"url": "/o/echo", "headers": {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}}
        parents = self.parents("/o/echo", "/o/echo", own, traceparent=f"00-{self.ID}-{self.SPAN}-01")
        self.assertEqual([parent[:36] for parent in parents], [f"00-{self.ID}-"] * 3)
        self.assertEqual(len({parent[36:52] for parent in parents} | {self.SPAN, "2" * 16}), 5)

    def test_a_direct_request_is_traced_and_spans_are_exported(self):
        answer = self.sheaf.request("GET", "/o/echo", headers={"traceparent": f"00-{self.ID}-{self.SPAN}-01"})
        parent = dict(map(tuple, answer.json["headers"]))["traceparent"]
        self.assertTrue(parent.startswith(f"00-{self.ID}-") and self.SPAN not in parent, parent)
        wait_until(lambda: self.sheaf.metrics()['sheaf_plugin_sent_total{plugin="trace"}'] >= 2)
        self.assertEqual(self.sheaf.metrics()['sheaf_plugin_dropped_total{plugin="trace"}'], 0)


if __name__ == "__main__":
    unittest.main()
