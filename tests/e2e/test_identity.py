"""Who may pass, by a token or a key: the same decision for a direct request, an item and an element of a bulk."""
import contextlib
import hashlib
import http.server
import json
import pathlib
import re
import signal
import tempfile
import threading
import unittest

from harness import DEADLINE, ROOT, Case, RawClient, wait_until


def samples():
    """Tokens and keys that jose made, see tests/unit/plugins/jwt_samples.mjs."""
    text = (ROOT / "tests/unit/plugins/jwt_samples.h").read_text()
    found = re.findall(r'#define SAMPLE_(\w+) *\\\n((?: *".*" *\\?\n)+)', text)
    return {name: "".join(json.loads(piece) for piece in re.findall(r'".*"', pieces)) for name, pieces in found}


JWT = samples()
SECRETS = tempfile.TemporaryDirectory(prefix="sheaf-identity-")
FOLDER = pathlib.Path(SECRETS.name)
HEX = {name: hashlib.sha256(f"{name}-key".encode()).hexdigest() for name in ("alpha", "beta", "gamma", "delta")}
(FOLDER / "jwks").write_text(JWT["JWKS"])
(FOLDER / "keys").write_text(f"alpha {HEX['alpha']} plan=gold\nbeta {HEX['beta']}\ngamma {HEX['gamma']} routes=/elsewhere/*\n")

CLAIMS = "claims_to_headers: [{claim: sub, header: X-User}, {claim: level, header: X-Level}]"
USERS = f'{{name: users, use: jwt, everywhere: false, jwks: "{FOLDER}/jwks", {CLAIMS}}}'
WRITERS = f'{{name: writers, use: jwt, everywhere: false, jwks: "{FOLDER}/jwks", scopes: [write]}}'
STRIPPERS = f'{{name: strippers, use: jwt, everywhere: false, jwks: "{FOLDER}/jwks", forward: false}}'
PARTNERS = f'{{name: partners, use: api_key, everywhere: false, keys: "{FOLDER}/keys"}}'
LINKS = f'{{name: links, use: api_key, everywhere: false, keys: "{FOLDER}/keys", query: key}}'
ROUTES = """- {match: "/jwt/{rest...}", rewrite: "/{rest...}", upstream: origin, plugins: [users]}
            - {match: "/writers/{rest...}", rewrite: "/{rest...}", upstream: origin, plugins: [writers]}
            - {match: "/key/{rest...}", rewrite: "/{rest...}", upstream: origin, plugins: [partners]}
            - {match: "/link/{rest...}", rewrite: "/{rest...}", upstream: origin, plugins: [links]}
            - {match: "/once/{rest...}", rewrite: "/{rest...}", upstream: origin, coalesce: true, plugins: [users]}"""
ROUTES += """
            - {match: "/safe/{rest...}", rewrite: "/{rest...}", upstream: origin, plugins: [users], forward_credentials: false}
            - {match: "/twice/{rest...}", rewrite: "/{rest...}", upstream: origin, plugins: [strippers, writers]}"""
BULKS = """- {path: /bulk, kind: bulk, each: {method: GET, url: "/${item/route}/echo"}}
           - {path: "/parts/{route}", kind: aggregate, items: [{id: part, url: "/${params.route}/echo"}]}"""
TOP = f"plugins: [{USERS}, {WRITERS}, {STRIPPERS}, {PARTNERS}, {LINKS}]"


def bearer(name):
    return {"Authorization": "Bearer " + JWT[name]}


def forged(name, number):
    """A token that looks good until its signature is verified."""
    token = JWT[name]
    return f"Bearer {token[:-48]}{number:08}{token[-40:]}"


def longest(name, size):
    """A token that is as long as `size` and otherwise good but for its signature."""
    head, claims, sign = JWT[name].split(".")
    return {"Authorization": f"Bearer {head}.{claims + 'A' * (size - len(JWT[name]))}.{sign}"}


# route, what the client sends, status, problem
TABLE = [
    ("jwt", bearer("ES256"), 200, None),
    ("jwt", bearer("RS256"), 200, None),
    ("jwt", bearer("PS256"), 200, None),
    ("jwt", bearer("EDDSA"), 200, None),
    ("jwt", {"authorization": "bearer   " + JWT["ES256"]}, 200, None),
    ("jwt", {}, 401, "token-required"),
    ("jwt", {"Authorization": "Basic YTpi"}, 401, "token-required"),
    ("jwt", {"Authorization": "Bearer"}, 401, "invalid-token"),
    ("jwt", {"Authorization": "Bearer x.y.z"}, 401, "invalid-token"),
    ("jwt", {"Authorization": f"Bearer {JWT['ES256']}, Bearer {JWT['ES256']}"}, 401, "invalid-token"),
    ("jwt", bearer("NONE"), 401, "invalid-token"),
    ("jwt", bearer("HS256"), 401, "invalid-token"),
    ("jwt", bearer("CONFUSED_PEM"), 401, "invalid-token"),
    ("jwt", bearer("CONFUSED_N"), 401, "invalid-token"),
    ("jwt", bearer("EXPIRED"), 401, "invalid-token"),
    ("jwt", bearer("FOREVER"), 401, "invalid-token"),
    ("jwt", bearer("EARLY"), 401, "invalid-token"),
    ("jwt", bearer("CRIT"), 401, "invalid-token"),
    ("jwt", bearer("NEW"), 401, "invalid-token"),
    ("jwt", longest("ES256", 9000), 401, "invalid-token"),
    ("jwt", {"X-User": "alice", "X-Forwarded-User": "alice", "Remote-User": "alice", "Jwt.taken": "1"}, 401, "token-required"),
    ("writers", bearer("ES256"), 200, None),
    ("writers", bearer("BOB"), 403, "insufficient-scope"),
    ("writers", {}, 401, "token-required"),
    ("key", {"X-Api-Key": "alpha-key"}, 200, None),
    ("key", {"X-Api-Key": "gamma-key"}, 403, "key-not-for-route"),
    ("key", {"X-Api-Key": "alpha-keY"}, 401, "invalid-key"),
    ("key", {"X-Api-Key": HEX["alpha"]}, 401, "invalid-key"),
    ("key", {"X-Api-Key": "alpha-key, beta-key"}, 401, "invalid-key"),
    ("key", {"X_Api_Key": "alpha-key"}, 401, "key-required"),
    ("key", {"Consumer": "alpha", "X-Consumer": "alpha"}, 401, "key-required"),
    ("key", {}, 401, "key-required"),
]


class Decisions(Case):
    places = {"top": TOP, "routes": ROUTES, "endpoints": BULKS}

    def direct(self, route, headers):
        answer = self.sheaf.request("GET", f"/{route}/echo", headers=headers)
        return answer.status, answer.headers, answer.json

    def one_of(self, answer):
        self.assertEqual(answer.status, 207, answer.body[:300])
        result = answer.json["responses"][0]
        return result["status"], result["headers"], result["body"]

    def item_that_inherits(self, route, headers):
        return self.one_of(self.sheaf.batch([f"/{route}/echo"], headers))

    def item_of_its_own(self, route, headers):
        return self.one_of(self.sheaf.batch([{"url": f"/{route}/echo", "headers": headers}]))

    def item_of_the_envelope(self, route, headers):
        return self.one_of(self.sheaf.post({"headers": headers, "requests": [{"url": f"/{route}/echo"}]}))

    def item_under_another(self, route, headers):
        """Its own stands, whatever comes from outside."""
        outer = {"Authorization": "Bearer " + JWT["ES256"], "X-Api-Key": "alpha-key"}
        if not {name.lower() for name in headers} & {"authorization", "x-api-key"}:
            outer = {}
        return self.one_of(self.sheaf.batch([{"url": f"/{route}/echo", "headers": headers}], outer))

    def element(self, route, headers):
        return self.one_of(self.sheaf.post([{"route": route}], headers, path="/bulk"))

    def part(self, route, headers):
        return self.one_of(self.sheaf.request("GET", f"/parts/{route}", headers=headers))

    def test_a_decision_is_the_same_every_way(self):
        ways = (self.direct, self.item_that_inherits, self.item_of_its_own, self.item_of_the_envelope, self.item_under_another,
                self.element, self.part)
        for route, headers, want, problem in TABLE:
            for way in ways:
                with self.subTest(way=way.__name__, route=route, headers=str(headers)[:120]):
                    status, fields, body = way(route, headers)
                    self.assertEqual(status, want, body)
                    if problem is not None:
                        self.assertEqual(body["type"], f"urn:sheaf:problem:{problem}")
                        self.assertEqual("www-authenticate" in fields, status == 401 or route != "key", fields)

    def test_no_backend_is_asked_for_who_is_refused(self):
        self.origin.reset()
        self.sheaf.batch([{"url": "/jwt/echo", "headers": headers} for route, headers, want, _ in TABLE if route == "jwt" and want == 401])
        self.assertEqual(self.origin.count()["served"], 0)


class Identity(Case):
    places = {"top": TOP, "routes": ROUTES, "endpoints": BULKS}

    def headers_of(self, result):
        self.assertEqual(result["status"], 200, result)
        return {name.lower(): value for name, value in result["body"]["headers"]}

    def run_as(self, outer, *items):
        answer = self.sheaf.batch(items, outer)
        self.assertEqual(answer.status, 207, answer.body[:300])
        return answer.json["responses"]

    def test_the_token_of_one_item_is_not_used_for_another(self):
        alice, bob, bad = ({"url": "/jwt/echo", "headers": bearer(name)} for name in ("ES256", "BOB", "EXPIRED"))
        results = self.run_as({}, alice, "/jwt/echo", bob, bad, alice, bob)
        self.assertEqual([result["status"] for result in results], [200, 401, 200, 401, 200, 200])
        self.assertEqual([self.headers_of(results[at])["x-user"] for at in (0, 2, 4, 5)], ["alice", "bob", "alice", "bob"])
        self.assertNotIn("x-level", self.headers_of(results[2]))  # a claim of alice's alone

    def test_an_item_with_its_own_token_has_nothing_of_the_outer_one(self):
        results = self.run_as(bearer("ES256"), "/jwt/echo", {"url": "/jwt/echo", "headers": bearer("BOB")})
        seen = [self.headers_of(result) for result in results]
        self.assertEqual([(one["x-user"], one.get("x-level")) for one in seen], [("alice", "3"), ("bob", None)])
        self.assertEqual(seen[1]["authorization"], bearer("BOB")["Authorization"])

    def test_no_header_of_a_client_is_an_identity(self):
        forged = {"X-User": "root", "x_user": "root", "X_USER": "root", "X-Level": "9", "X_Level": "9"}
        ways = [
            self.run_as({**bearer("BOB"), **forged}, "/jwt/echo")[0],
            self.run_as(bearer("BOB"), {"url": "/jwt/echo", "headers": forged})[0],
            self.run_as({}, {"url": "/jwt/echo", "headers": {**bearer("BOB"), **forged}})[0],
            self.sheaf.post({"headers": forged, "requests": [{"url": "/jwt/echo"}]}, bearer("BOB")).json["responses"][0],
        ]
        direct = self.sheaf.request("GET", "/jwt/echo", headers={**bearer("BOB"), **forged})
        ways.append({"status": direct.status, "body": direct.json})
        for result in ways:
            seen = self.headers_of(result)
            self.assertEqual([value for name, value in seen.items() if name.replace("_", "-") in ("x-user", "x-level")], ["bob"])

    def test_items_that_ask_the_same_as_somebody_else_do_not_share_an_answer(self):
        items = [{"url": "/once/echo", "headers": bearer(name)} for name in ("ES256", "BOB", "EXPIRED", "ES256")] + ["/once/echo"]
        results = self.run_as({}, *items)
        self.assertEqual([result["status"] for result in results], [200, 200, 401, 200, 401])
        self.assertEqual([self.headers_of(results[at])["x-user"] for at in (0, 1, 3)], ["alice", "bob", "alice"])

    def test_a_token_that_comes_of_another_items_answer_is_looked_at_as_it_will_be_sent(self):
        for name, want in (("BOB", "bob"), ("EXPIRED", None)):
            login = {"id": "login", "method": "POST", "url": "/o/echo", "headers": {"content-type": "text/plain"}, "body": JWT[name]}
            uses = {"id": "uses", "url": "/jwt/echo", "dependsOn": ["login"], "headers": {"authorization": "Bearer ${login.body/body}"}}
            result = next(one for one in self.run_as(bearer("ES256"), login, uses) if one["id"] == "uses")
            self.assertEqual(result["status"], 200 if want else 401, result)
            if want:
                self.assertEqual(self.headers_of(result)["x-user"], want)

    def test_two_tokens_are_none(self):
        two = [bearer("ES256")["Authorization"], bearer("BOB")["Authorization"]]
        for headers in ({"authorization": two}, {"authorization": two[0], "Authorization": two[1]}):
            self.assertIn(self.run_as({}, {"url": "/jwt/echo", "headers": headers})[0]["status"], (400, 401))
        lines = "".join(f"Authorization: {value}\r\n" for value in two)
        batch = '[{"url":"/jwt/echo"}]'
        for head, body in (("GET /jwt/echo", ""), ("POST /batch", batch)):
            client = RawClient(self.sheaf.at)
            client.send(f"{head} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{lines}"
                        f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = client.read_response()
            client.close()
            self.assertEqual(answer.json["responses"][0]["status"] if body else answer.status, 401)

    def test_a_backend_need_not_see_what_was_decided_by(self):
        bob = {"headers": bearer("BOB")}
        results = self.run_as(bearer("ES256"), "/safe/echo", {"url": "/safe/echo", **bob}, "/twice/echo", {"url": "/twice/echo", **bob})
        seen = [self.headers_of(result) for result in results[:3]]
        self.assertEqual([one.get("x-user") for one in seen], ["alice", "bob", None])
        for one in seen:
            self.assertNotIn("authorization", one)
        self.assertEqual(results[3]["status"], 401)  # writers cannot see bob's, and does not take alice's for it

    def test_a_token_that_the_connection_keeps_is_none_for_items(self):
        outer = {**bearer("ES256"), "Connection": "authorization"}
        self.assertEqual(self.run_as(outer, "/jwt/echo")[0]["status"], 401)

    def test_a_hundred_forged_tokens_are_refused_one_by_one(self):
        bad = [{"url": "/jwt/echo", "headers": {"Authorization": forged("EDDSA", at)}} for at in range(99)]
        results = self.run_as({}, *bad, {"url": "/jwt/echo", "headers": bearer("EDDSA")})
        self.assertEqual([result["status"] for result in results], [401] * 99 + [200])
        self.assertTrue(all("www-authenticate" in result["headers"] for result in results[:99]))

    def test_tokens_and_keys_are_never_logged(self):
        since = len(self.sheaf.err)
        self.run_as({**bearer("EXPIRED"), "X-Api-Key": "beta-key"}, "/jwt/echo", "/key/echo", {"url": "/jwt/echo", "headers": bearer("BOB")})
        self.sheaf.request("GET", "/jwt/echo", headers=bearer("NONE"))
        self.sheaf.logged("batch", "request", count=2, since=since)
        words = "\n".join(self.sheaf.err + self.sheaf.out)
        for word in [part for token in JWT.values() for part in token.split(".")[1:] if part] + ["beta-key"]:
            self.assertNotIn(word, words)

    def test_a_key_does_not_reach_the_backend(self):
        results = self.run_as({"X-Api-Key": "alpha-key"}, "/key/echo", {"url": "/key/echo", "headers": {"x-api-key": "beta-key"}})
        for result in results:
            self.assertNotIn("x-api-key", self.headers_of(result))
        direct = self.sheaf.request("GET", "/key/echo", headers={"X-Api-Key": "alpha-key"})
        self.assertNotIn("x-api-key", {name.lower() for name, _ in direct.json["headers"]})

    def test_a_key_in_the_url_does_not_either(self):
        for query, seen in (("?key=alpha-key", ""), ("?a=1&key=alpha-key&b=%20", "?a=1&b=%20"), ("?key=alpha-key&a=1", "?a=1"),
                            ("?k%65y=alpha-key", "")):
            with self.subTest(query=query):
                direct = self.sheaf.request("GET", f"/link/echo{query}")
                self.assertEqual((direct.status, direct.json["target"]), (200, f"/echo{seen}"))
                result = self.run_as({}, f"/link/echo{query}")[0]
                self.assertEqual(result["body"]["target"], f"/echo{seen}")
        self.assertEqual(self.sheaf.request("GET", "/link/echo?key=wrong").status, 401)


class Everywhere(Case):
    """Where all must be known, a stranger's batch is refused before it is read."""
    places = {"top": f'plugins: [{{use: jwt, jwks: "{FOLDER}/jwks", realm: shop}}]', "endpoints": BULKS}

    def test_a_batch_by_a_stranger_is_refused_as_a_whole(self):
        for answer in (self.sheaf.post("no batch at all"), self.sheaf.batch(["/o/echo"]), self.sheaf.post("[", path="/bulk"),
                       self.sheaf.request("GET", "/o/echo"),
                       self.sheaf.batch([{"url": "/o/echo", "headers": bearer("ES256")}])):
            self.assertEqual(answer.status, 401)
            self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="shop"')
            self.assertEqual(answer.json["type"], "urn:sheaf:problem:token-required")

    def test_a_known_one_passes_and_its_items_do(self):
        answer = self.sheaf.batch(["/o/echo", {"url": "/o/echo", "headers": bearer("EXPIRED")}], bearer("RS256"))
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 401])
        self.assertEqual(self.sheaf.request("GET", "/o/echo", headers=bearer("BOB")).status, 200)
        self.assertEqual(self.sheaf.batch(["/o/echo"], bearer("EXPIRED")).status, 401)


class Together(Case):
    """Who is asking decides how much he may ask: nobody has more by other tokens, nobody pays for others."""
    places = {"top": f'plugins: [{{use: jwt, jwks: "{FOLDER}/jwks", anonymous_batch: true}}, {{use: rate_limit, by: [attribute user],'
                     ' limits: [{rate: 3, per: 1h}]}]', "endpoints": BULKS}

    def test_each_item_is_charged_to_its_own_bearer(self):
        bad = [{"url": "/o/echo", "headers": {"Authorization": forged("ES256", at)}} for at in range(20)]
        items = [{"url": "/o/echo", "headers": bearer(name)} for name in ("ES256", "BOB") * 5]
        results = self.sheaf.batch([*bad, *items, *bad]).json["responses"]
        self.assertEqual([result["status"] for result in results[:20] + results[30:]], [401] * 40)
        mine = [[result["status"] for result in results[20 + at:30:2]] for at in (0, 1)]
        self.assertEqual([(row.count(200), row.count(429)) for row in mine], [(3, 2), (3, 2)])
        self.assertEqual(self.sheaf.request("GET", "/o/echo", headers=bearer("RS256")).status, 429)  # alice by another token
        self.assertEqual(self.sheaf.post([{"route": "o"}], bearer("PS256"), path="/bulk").json["responses"][0]["status"], 429)


class Issuer(http.server.ThreadingHTTPServer):
    """Serves a JWKS document that the test sets, while its gate is open; None: 500."""
    daemon_threads = True

    def __init__(self, document):
        self.document, self.asked = document, 0
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(("127.0.0.1", 0), IssuerHandler)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.shutdown()
        self.server_close()


class IssuerHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked += 1
        self.server.gate.wait(DEADLINE)
        body = (self.server.document or "").encode()
        self.send_response(200 if self.server.document else 500)
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # nobody waits any more
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Keys(Case):
    def gateway(self, document, is_open=True, timeout="10s"):
        issuer = Issuer(document)
        if not is_open:
            issuer.gate.clear()
        self.addCleanup(issuer.stop)
        upstream = f'issuer: {{servers: ["http://127.0.0.1:{issuer.server_port}"]}}'
        url = "{upstream: issuer, path: /keys, refresh: 1h, refresh_min: 1s, timeout: " + timeout + "}"
        return issuer, self.start(upstreams=upstream, top=f"plugins: [{{use: jwt, jwks_url: {url}, {CLAIMS}}}]")

    def test_keys_are_fetched_and_a_new_one_is_found(self):
        issuer, sheaf = self.gateway(JWT["JWKS"])
        answer = sheaf.batch(["/o/echo", "/o/echo"], bearer("ES256"))
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 200])
        issuer.document = JWT["JWKS_NEW"]
        wait_until(lambda: sheaf.batch(["/o/echo"], bearer("NEW")).status == 207, what="the new key")
        self.assertEqual(sheaf.batch(["/o/echo"], bearer("ES256")).status, 401)
        issuer.document = None
        asked = issuer.asked
        wait_until(lambda: sheaf.batch(["/o/echo"], bearer("ES256")).status == 401 and issuer.asked > asked, what="another fetch")
        self.assertEqual(sheaf.batch(["/o/echo"], bearer("NEW")).status, 207)
        for _ in range(20):
            sheaf.batch(["/o/echo"], bearer("RS256"))
        self.assertLess(issuer.asked - asked, 10)

    def test_without_keys_the_gateway_says_that_it_cannot_know(self):
        issuer, sheaf = self.gateway(None)
        answer = sheaf.batch(["/o/echo"], bearer("ES256"))
        self.assertEqual((answer.status, answer.json["type"]), (503, "urn:sheaf:problem:keys-unavailable"))
        self.assertEqual(sheaf.batch(["/o/echo"]).status, 401)
        issuer.document = JWT["JWKS"]
        wait_until(lambda: sheaf.batch(["/o/echo"], bearer("ES256")).status == 207, what="the keys")

    def test_who_waits_for_keys_is_answered_whatever_is_reloaded_meanwhile(self):
        issuer, sheaf = self.gateway(JWT["JWKS"], is_open=False)
        answers = []

        def ask(name, **more):
            answers.append(sheaf.batch(["/o/echo", {"url": "/o/echo", **more}], bearer(name)))
        threads = [threading.Thread(target=ask, args=("ES256",), kwargs={"headers": bearer("BOB")}) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(1, 4):
            wait_until(lambda: issuer.asked >= number, what="a fetch")
            sheaf.signal(signal.SIGHUP)
            wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] >= number, what="the reload")
        issuer.gate.set()
        for thread in threads:
            thread.join(DEADLINE)
        self.assertEqual([[result["status"] for result in answer.json["responses"]] for answer in answers], [[200, 200]] * 4)
        users = [[dict(map(tuple, result["body"]["headers"]))["x-user"] for result in answer.json["responses"]] for answer in answers]
        self.assertEqual(users, [["alice", "bob"]] * 4)

    def test_who_waits_for_keys_that_do_not_come_is_ended_by_the_time(self):
        issuer, sheaf = self.gateway(JWT["JWKS"], is_open=False, timeout="300ms")
        self.assertEqual(sheaf.batch(["/o/echo"], bearer("ES256")).status, 503)  # after the fetch's own timeout
        sheaf.signal(signal.SIGTERM)
        self.assertEqual(sheaf.wait(DEADLINE), 0)
        issuer.gate.set()

    def test_a_file_of_keys_is_read_anew_on_reload(self):
        path = FOLDER / "changing"
        path.write_text(f"alpha {HEX['alpha']}\n")
        sheaf = self.start(top=f'plugins: [{{use: api_key, keys: "{path}"}}]')

        def status(key):
            return sheaf.request("GET", "/o/echo", headers={"X-Api-Key": key}).status
        self.assertEqual((status("alpha-key"), status("delta-key")), (200, 401))
        path.write_text(f"delta {HEX['delta']}\n")
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: status("delta-key") == 200, what="the new key")
        self.assertEqual(status("alpha-key"), 401)
        path.write_text("delta oops\n")  # changes nothing
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: any("oops" in line or "line 1" in line for line in sheaf.err), what="a word of the faulty file")
        self.assertEqual(status("delta-key"), 200)


if __name__ == "__main__":
    unittest.main()
