"""Requests for a route's own path: what the backend sees, and what becomes of its answer."""
import http.client
import json
import re
import socket
import subprocess
import unittest

from harness import Case, RawClient, wait_until


def seen(answer):
    """What /echo saw: its document, headers as a dict."""
    document = answer.json
    document["headers"] = dict(map(tuple, document["headers"]))
    return document


class Requests(Case):
    def test_every_method_goes_to_the_backend_with_its_body(self):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"):
            for body in (None, "", "some bytes"):
                with self.subTest(method=method, body=body):
                    answer = self.sheaf.request(method, "/o/echo?a=1&b", body)
                    self.assertEqual(answer.status, 200)
                    document = seen(answer)
                    self.assertEqual((document["method"], document["target"]), (method, "/echo?a=1&b"))
                    self.assertEqual(document["body"], body or "")
                    if body:
                        self.assertEqual(document["headers"]["content-length"], str(len(body)))

    def test_an_options_goes_as_far_as_it_may(self):
        for given, left in (("1", "0"), ("18446744073709551615", "18446744073709551614"), ("many", "many"), ("-1", "-1")):
            with self.subTest(given=given):
                answer = self.sheaf.request("OPTIONS", "/o/echo", headers={"Max-Forwards": given})
                self.assertEqual(seen(answer)["headers"]["max-forwards"], left)
        self.assertEqual(seen(self.sheaf.request("GET", "/o/echo", headers={"Max-Forwards": "0"}))["headers"]["max-forwards"], "0")

    def test_one_that_may_go_no_further_is_answered_here(self):
        sheaf = self.start(routes='- {match: "/asked", methods: [GET, OPTIONS], rewrite: "/echo", upstream: origin}')
        before, conn = self.origin.count()["served"], sheaf.connect()
        for path, allow in (("/o/echo", None), ("/asked", "GET, HEAD, OPTIONS")):
            for value in ("0", "000"):
                answer = sheaf.request("OPTIONS", path, "a body", {"Max-Forwards": value}, conn)
                self.assertEqual((answer.status, answer.body, answer.headers.get("content-length")), (200, b"", "0"))
                self.assertEqual(answer.headers.get("allow"), allow)
                self.assertRegex(answer.headers["x-request-id"], "^[0-9a-f]{16}$")
        conn.close()
        self.assertEqual(self.origin.count()["served"], before)
        self.assertEqual(sheaf.logged("request", count=4)[0]["status"], 200)
        self.assertEqual(sheaf.metrics()["sheaf_requests_in_flight"], 0)

    def test_end_to_end_headers_of_the_client_go_along(self):
        sent = {"Accept": "text/x", "Accept-Encoding": "br", "Range": "bytes=0-1", "If-None-Match": '"a"', "If-Range": '"b"',
                "If-Modified-Since": "Tue, 24 Nov 2026 12:00:00 GMT", "Content-Type": "text/plain", "Content-Language": "de",
                "Content-Encoding": "br", "Authorization": "Bearer x", "Cookie": "a=1", "Prefer": "wait=1",
                "Idempotency-Key": '"k"', "Cache-Control": "no-cache", "X-Mine": "1", "User-Agent": "me"}
        headers = seen(self.sheaf.request("POST", "/o/echo", "x", sent))["headers"]
        for name, value in sent.items():
            self.assertEqual(headers.get(name.lower()), value)

    def test_what_is_not_the_clients_to_say_stays_behind(self):
        sent = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X_Forwarded_For": "6.6.6.6", "X-Real-IP": "6.6.6.6",
                "Forwarded": "for=6.6.6.6", "X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "Connection": "x-hop, close",
                "X-Hop": "1", "Keep-Alive": "timeout=5", "TE": "trailers", "Proxy-Authorization": "Basic x", "Expect": ""}
        sent = {name: value for name, value in sent.items() if value}
        headers = seen(self.sheaf.request("GET", "/o/echo", headers=sent))["headers"]
        self.assertRegex(headers.pop("x-request-id"), "^[0-9a-f]{16}$")
        self.assertEqual(headers, {"host": f"127.0.0.1:{self.origin.at}", "accept-encoding": "identity", "via": "1.1 sheaf",
                                   "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-real-ip": "127.0.0.1",
                                   "x-forwarded-host": f"127.0.0.1:{self.sheaf.at}"})

    def test_no_path_leads_round_the_router(self):
        for path, status in (("/o/../o/echo", 200), ("/x/%2e%2e/o/echo", 200), ("/%6f/echo", 200), ("/o/a%2fb", 400),
                             ("/kept/a%2Fecho", 404), ("/o/%00", 400), ("/o/%zz", 400),
                             ("/o/..;/echo", 400), ("/o/%2e%2e;a/echo", 400), ("//o/echo", 400), ("/nothing", 404)):
            with self.subTest(path=path):
                self.assertEqual(self.sheaf.request("GET", path).status, status)

    def test_a_body_up_to_what_the_route_takes(self):
        self.assertEqual(seen(self.sheaf.request("POST", "/small", "x" * 16))["body"], "x" * 16)
        answer = self.sheaf.request("POST", "/small", "x" * 17)
        self.assertEqual((answer.status, answer.json["type"]), (413, "urn:sheaf:problem:too-large"))

    def test_continue_is_answered_before_the_body_comes(self):
        client = RawClient(self.sheaf.at)
        client.send(b"POST /o/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        self.assertIn(b"100 Continue", client.read_until(b"\r\n\r\n"))
        client.send(b"body")
        document = seen(client.read_response())
        client.close()
        self.assertEqual(document["body"], "body")
        self.assertNotIn("expect", document["headers"])

    def test_who_would_wait_for_continue_hears_of_what_is_too_large_at_once(self):
        sheaf = self.start(endpoint="max_body: 1KiB", endpoints="- {path: /large, max_body: 1MiB}",
                           routes='- {match: "/only", hosts: [a.example], rewrite: "/echo", upstream: origin, max_body: 20}')
        cases = [("/small", "h", 16, 100), ("/small", "h", 17, 413), ("/small?a=/../x", "h", 17, 413), ("/o/echo", "h", 1 << 20, 100),
                 ("/batch", "h", 1024, 100), ("/batch", "h", 1025, 413), ("/large", "h", 1 << 20, 100), ("http://h/small", "h", 17, 413),
                 ("/only", "a.example", 20, 100), ("/only", "a.example", 21, 413)]
        for target, host, length, status in cases:
            with self.subTest(target=target, length=length):
                client = RawClient(sheaf.at)
                client.send(f"POST {target} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n"
                            "Content-Type: application/json\r\n\r\n".encode())
                head = client.read_until(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), head)
                if status == 413:
                    client.send(b" " * length)  # one that did not wait
                    while more := client.sock.recv(65536):
                        head += more
                    self.assertIn(b'"urn:sheaf:problem:too-large"', head)
                    self.assertIn(b"connection: close", head.lower())
                client.close()

    def test_nothing_behind_a_head_that_is_too_large_is_a_request(self):
        """The body was sent at once, and reads like one; more of it comes than any buffer holds."""
        inner = b"GET /o/echo HTTP/1.1\r\nHost: h\r\n\r\n"
        for count in (1, 100000):
            with self.subTest(count=count):
                before = self.origin.count()
                client = RawClient(self.sheaf.at)
                client.send(b"GET /o/echo HTTP/1.1\r\nHost: h\r\n\r\nPOST /small HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                            b"Content-Length: %d\r\n\r\n" % (len(inner) * count) + inner * count + inner)
                data = b""
                while more := client.sock.recv(65536):
                    data += more
                client.close()
                self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+) ", data), [b"200", b"413"])
                self.assertEqual(self.origin.count()["served"], before["served"] + 1)

    def test_what_is_too_large_by_another_way_of_writing_its_path_is_so_in_the_end(self):
        for target in ("/./small", "/small/../small", "/%73mall"):
            with self.subTest(target=target):
                client = RawClient(self.sheaf.at)
                client.send(f"POST {target} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n".encode())
                self.assertIn(b"100 Continue", client.read_until(b"\r\n\r\n"))
                client.send(b"x" * 17)
                self.assertEqual(client.read_response().status, 413)
                client.close()

    def test_chunks_become_a_body(self):
        client = RawClient(self.sheaf.at)
        client.send(b"PUT /o/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")
        document = seen(client.read_response())
        client.close()
        self.assertEqual((document["body"], document["headers"]["content-length"]), ("abcde", "5"))
        self.assertNotIn("x-t", document["headers"])


class Refusals(Case):
    places = {"routes": '- {match: "/inner", rewrite: "/echo", upstream: origin, expose: [batch]}\n'
                        '- {match: "/dead", upstream: dead}',
              "upstreams": 'dead: {servers: ["http://127.0.0.1:1"]}'}

    def refused(self, method, path, status, slug, **headers):
        answer = self.sheaf.request(method, path, headers=headers)
        self.assertEqual((answer.status, answer.headers["content-type"]), (status, "application/problem+json"), answer.body)
        if method != "HEAD":
            self.assertEqual((answer.json["type"], answer.json["status"]), (f"urn:sheaf:problem:{slug}", status))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        return answer

    def test_what_is_not_there(self):
        self.refused("GET", "/nothing", 404, "not-found")
        self.refused("HEAD", "/nothing", 404, "not-found")
        self.refused("GET", "/inner", 404, "not-found")
        self.assertEqual(self.sheaf.batch(["/inner"]).results["0"]["status"], 200)

    def test_other_methods(self):
        answer = self.refused("POST", "/readonly", 405, "method-not-allowed")
        self.assertEqual(answer.headers["allow"], "DELETE, GET, HEAD")
        self.refused("TRACE", "/o/echo", 405, "method-not-allowed")
        self.refused("get", "/o/echo", 400, "bad-request")

    def test_an_endpoint_keeps_its_path(self):
        self.refused("GET", "/batch", 405, "method-not-allowed")

    def test_backends_that_fail(self):
        self.refused("GET", "/dead", 502, "refused")
        self.refused("GET", "/o/drop", 502, "reset")
        self.refused("HEAD", "/o/drop", 502, "reset")
        self.refused("GET", "/o/half-head", 502, "reset")
        self.refused("GET", "/o/garbage", 502, "malformed")
        self.refused("GET", "/quick/never", 504, "timeout")

    def test_servers_are_not_named(self):
        self.assertNotIn(str(self.origin.at), self.sheaf.request("GET", "/o/drop").json["detail"])

    def test_another_protocol(self):
        self.refused("GET", "/o/echo", 501, "upgrade", Connection="Upgrade", Upgrade="websocket")
        self.assertEqual(self.sheaf.request("GET", "/o/echo", headers={"Connection": "Upgrade", "Upgrade": "h2c"}).status, 200)

    def test_an_offer_of_http10_is_none(self):
        client = RawClient(self.sheaf.at)
        client.send(b"GET /o/echo HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(client.read_response().status, 200)
        client.close()

    def test_a_loop(self):
        self.refused("GET", "/o/echo", 508, "loop", Via="1.1 sheaf")


class Answers(Case):
    def test_an_answer_comes_as_the_backend_gave_it(self):
        for path, status, headers, body in (
                ("/o/text", 200, {"content-type": "text/plain; charset=utf-8"}, 'plain "text" \u00e9'.encode()),
                ("/o/badjson", 200, {"content-type": "application/json"}, b'{"a":}'),
                ("/o/redirect", 302, {"location": "/o/elsewhere"}, b"there"),
                ("/o/status/418", 418, {}, b'{"status":418}'),
                ("/o/status/503", 503, {}, b'{"status":503}'),
                ("/o/binary", 200, {"content-type": "image/png"}, bytes(range(256)))):
            with self.subTest(path=path):
                answer = self.sheaf.request("GET", path)
                self.assertEqual((answer.status, answer.body), (status, body))
                self.assertEqual(answer.headers["content-length"], str(len(body)))
                for name, value in headers.items():
                    self.assertEqual(answer.headers[name], value)

    def test_fields_stay_apart_and_none_stands_twice(self):
        fields = [(name.lower(), value) for name, value in self.sheaf.request("GET", "/o/setcookie").fields]
        self.assertEqual([value for name, value in fields if name == "set-cookie"], ["a=1", "b=2"])
        self.assertEqual([value for name, value in fields if name == "x-two"], ["1", "2"])
        self.assertEqual([value for name, value in fields if name == "server"], ["sheaf"])
        for name in ("date", "content-length", "connection"):
            self.assertEqual(sum(field[0] == name for field in fields), 1)

    def test_hop_by_hop_fields_end_here(self):
        headers = self.sheaf.request("GET", "/o/hop").headers
        self.assertEqual(headers["x-yours"], "2")
        for name in ("x-mine", "keep-alive"):
            self.assertNotIn(name, headers)

    def test_answers_of_unknown_length_are_chunked_and_trailers_dropped(self):
        client = RawClient(self.sheaf.at)
        for target in (b"/o/chunked/2500?trailers", b"/o/eof", b"/o/chunked/0"):
            client.send(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = client.read_until(b"0\r\n\r\n").lower()
            self.assertIn(b"transfer-encoding: chunked\r\n", answer)
            self.assertNotIn(b"content-length", answer)
            self.assertNotIn(b"x-sum", answer)
        client.close()

    def test_to_http10_the_end_of_the_connection_is_the_end(self):
        client = RawClient(self.sheaf.at)
        client.send(b"GET /o/chunked/2500 HTTP/1.0\r\nHost: h\r\n\r\n")
        answer = client.read_response()
        self.assertEqual((len(answer.body), "transfer-encoding" in answer.headers), (2500, False))
        self.assertEqual(client.sock.recv(1), b"")
        client.close()

    def test_answers_without_a_body(self):
        conn = self.sheaf.connect()
        for method, target, status, length in (("HEAD", "/o/bytes/5000", 200, "5000"), ("HEAD", "/o/chunked/5000", 200, None),
                                               ("GET", "/o/head204", 204, None), ("GET", "/o/status/304", 304, None),
                                               ("GET", "/o/bytes/0", 200, "0"), ("GET", "/o/text", 200, "15")):
            with self.subTest(method=method, target=target):
                answer = self.sheaf.request(method, target, conn=conn)  # one connection: what came too much would show
                self.assertEqual((answer.status, answer.headers.get("content-length")), (status, length))
                self.assertNotIn("transfer-encoding", answer.headers)
        conn.close()

    def test_interim_answers_are_dropped(self):
        self.assertEqual(self.sheaf.request("GET", "/o/1xx").body, b"final")

    def test_a_cut_answer_is_never_taken_for_whole(self):
        for path in ("/o/half", "/o/half-chunk"):
            with self.subTest(path=path):
                with self.assertRaises(http.client.IncompleteRead):
                    self.sheaf.request("GET", path)
                args = ["curl", "-s", "--http2-prior-knowledge", f"http://127.0.0.1:{self.sheaf.at}{path}"]
                self.assertNotEqual(subprocess.run(args, capture_output=True).returncode, 0)

    def test_http2(self):
        args = ["curl", "-s", "--http2-prior-knowledge", "-i", f"http://127.0.0.1:{self.sheaf.at}/o/bytes/300000"]
        head, _, body = subprocess.run(args, capture_output=True, check=True).stdout.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/2 200"))
        self.assertIn(b"content-length: 300000", head)
        self.assertEqual(len(body), 300000)


class Counts(Case):
    def test_a_request_is_counted_and_has_its_line(self):
        before = self.sheaf.metrics()
        self.sheaf.request("POST", "/o/status/404?secret=1", "abc")
        line = wait_until(lambda: next((line for line in list(self.sheaf.err) if '"/o/status/404"' in line), None))
        line = json.loads(line)
        self.assertEqual({name: line[name] for name in ("event", "method", "path", "route", "status", "bytes_in", "bytes_out",
                                                        "outcome")},
                         {"event": "request", "method": "POST", "path": "/o/status/404", "route": "/o/{rest...}", "status": 404,
                          "bytes_in": 3, "bytes_out": 14, "outcome": "complete"})
        self.assertNotIn("secret", json.dumps(line))
        after = self.sheaf.metrics()
        for series in ('sheaf_requests_total{outcome="complete"}', 'sheaf_items_total{class="4xx"}',
                       "sheaf_request_duration_seconds_count"):
            self.assertEqual(after[series] - before[series], 1, series)
        for series in ('sheaf_batches_total{outcome="complete"}', "sheaf_requests_in_flight", "sheaf_items_held",
                       "sheaf_items_in_flight"):
            self.assertEqual(after[series], before[series], series)


if __name__ == "__main__":
    unittest.main()
