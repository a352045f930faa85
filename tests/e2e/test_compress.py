"""Compressed answers of backends are made plain for the batch; answers of the gateway are compressed for who wants it;
and a worker takes on so many batches and items at once."""
import gzip
import http.client
import http.server
import json
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import zlib

from harness import Case, Http2Client, RawClient, free_port, wait_until

TEXT = json.dumps({"fill": "abc" * 4000, "id": 12345678901234567890}).encode()
RAW = zlib.compressobj(9, zlib.DEFLATED, -15)
BOMB = gzip.compress(b"0" * (64 << 20))
NOISE = json.dumps({"fill": random.Random(7).randbytes(400000).hex()}).encode()  # half of it is left by gzip
JSON = {"Content-Type": "application/json"}
ANSWERS = {
    "/gzip": ({**JSON, "Content-Encoding": "gzip", "ETag": '"v1"', "Content-Digest": "sha-256=:AA==:", "X-Kept": "1"},
              gzip.compress(TEXT)),
    "/x-gzip": ({**JSON, "Content-Encoding": "X-GZIP"}, gzip.compress(TEXT)),
    "/deflate": ({**JSON, "Content-Encoding": "deflate"}, zlib.compress(TEXT)),
    "/raw": ({**JSON, "Content-Encoding": "deflate"}, RAW.compress(TEXT) + RAW.flush()),
    "/members": ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]) + b"\0" * 9),
    "/list": ({**JSON, "Content-Encoding": "identity, gzip,"}, gzip.compress(TEXT)),
    "/garbage": ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(TEXT) + b"more"),
    "/cut": ({**JSON, "Content-Encoding": "gzip"}, gzip.compress(TEXT)[:-9]),
    "/lie": ({**JSON, "Content-Encoding": "gzip"}, TEXT),
    "/empty": ({**JSON, "Content-Encoding": "gzip"}, b""),
    "/br": ({"Content-Type": "text/plain", "Content-Encoding": "br"}, b"looks like text"),
    "/two": ({**JSON, "Content-Encoding": "gzip, br"}, gzip.compress(TEXT)),
    "/text": ({"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}, gzip.compress("né".encode())),
    "/binary": ({"Content-Type": "image/png", "Content-Encoding": "gzip"}, gzip.compress(bytes(range(256)))),
    "/part": ({**JSON, "Content-Encoding": "gzip", "Content-Range": "bytes 0-9/99"}, gzip.compress(TEXT)[:10]),
    "/noise": (JSON, NOISE),
    "/bomb": ({**JSON, "Content-Encoding": "gzip"}, BOMB),
}


class Backend(http.server.BaseHTTPRequestHandler):
    """Says what ANSWERS has; any other path tells which codings it was asked for."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        headers, body = ANSWERS.get(self.path, (JSON, json.dumps({"asked": self.headers.get_all("Accept-Encoding")}).encode()))
        self.send_response(206 if self.path == "/part" else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def start_backend(case):
    """Serves ANSWERS until the class ends; returns the upstream's line."""
    server = Server(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    case.addClassCleanup(server.server_close)
    case.addClassCleanup(server.shutdown)
    return f'coded: {{servers: ["http://127.0.0.1:{server.server_port}"]}}'


ROUTES = """- {match: "/c/{rest...}", rewrite: "/{rest...}", upstream: coded, compress: true}
- {match: "/p/{rest...}", rewrite: "/{rest...}", upstream: coded}"""


class Decoded(Case):
    @classmethod
    def setUpClass(cls):
        cls.places = {"upstreams": start_backend(cls), "routes": ROUTES,
                      "endpoints": "- {path: /merged, kind: aggregate, response: merge, method: GET, compress: true, "
                                   "items: [{id: a, url: /c/gzip}, {id: b, url: /c/br}]}"}
        super().setUpClass()

    def test_gzip_and_deflate_are_embedded_as_json(self):
        for path in ("/gzip", "/x-gzip", "/deflate", "/raw", "/members", "/list"):
            result = self.run_item("/c" + path)
            self.assertEqual((result["status"], result["body"]), (200, json.loads(TEXT)), path)
            self.assertNotIn("content-encoding", result["headers"])

    def test_what_tells_of_coded_bytes_goes_and_the_rest_stays(self):
        headers = self.run_item("/p/gzip")["headers"]
        self.assertEqual(headers, {"content-type": "application/json", "etag": '"v1"', "x-kept": "1"})

    def test_text_and_bytes_are_plain_too(self):
        self.assertEqual(self.run_item("/c/text")["body"], "né")
        self.assertEqual(self.run_item("/c/binary")["bodyEncoding"], "base64")

    def test_a_reference_reads_the_plain_body(self):
        results = self.run_items({"id": "a", "url": "/c/gzip"}, {"id": "b", "url": "/o/echo?id=${a.body/id}",
                                                                 "dependsOn": ["a"]})
        self.assertEqual(results[1]["body"]["target"], "/echo?id=12345678901234567890")

    def test_other_codings_stay_as_they_came(self):
        for path, coding in (("/br", "br"), ("/two", "gzip, br"), ("/part", "gzip")):
            result = self.run_item("/c" + path)
            self.assertEqual((result["headers"]["content-encoding"], result["bodyEncoding"]), (coding, "base64"), path)

    def test_a_merged_answer_holds_the_plain_body_and_says_what_coding_is_left(self):
        answer = self.sheaf.request("GET", "/merged", headers={"Accept-Encoding": "gzip"})
        merged = json.loads(gzip.decompress(answer.body))
        self.assertEqual(merged["a"], json.loads(TEXT))
        self.assertEqual((merged["b"]["contentEncoding"], merged["b"]["bodyEncoding"]), ("br", "base64"))
        self.assertIn("accept-encoding", [value for name, value in answer.fields if name.lower() == "vary"])
        head = self.sheaf.request("HEAD", "/merged", headers={"Accept-Encoding": "gzip"})
        self.assertEqual((head.status, int(head.headers["content-length"])), (200, len(gzip.decompress(answer.body))))

    def test_damaged_ones_are_malformed_and_siblings_are_not(self):
        *bad, good = self.run_items("/c/cut", "/c/garbage", "/c/lie", "/c/gzip")
        for result, word in zip(bad, ("ends before", "behind the end", "damaged")):
            self.assert_problem(result, 502, "malformed")
            self.assertIn(word, result["body"]["detail"])
        self.assertEqual(good["status"], 200)

    def test_a_bomb_is_too_large(self):
        before = self.sheaf.metrics()
        started = time.monotonic()
        result = self.run_item("/c/bomb")
        self.assert_problem(result, 502, "answer-too-large")
        self.assertIn("decompressed", result["body"]["detail"])
        self.assertLess(time.monotonic() - started, 5)
        series = 'sheaf_answers_decompressed_total{outcome="refused"}'
        self.assertEqual(self.sheaf.metrics()[series], before[series] + 1)

    def test_nothing_is_a_body_of_nothing(self):
        result = self.run_item("/c/empty")
        self.assertEqual(result["status"], 200)
        self.assertNotIn("body", result)

    def test_head_keeps_its_headers(self):
        result = self.run_item({"method": "HEAD", "url": "/c/gzip"})
        self.assertEqual((result["status"], result["headers"]["content-encoding"]), (200, "gzip"))

    def test_gzip_is_asked_for_where_the_route_says(self):
        asked = [result["body"]["asked"] for result in self.run_items(
            "/c/seen", "/p/seen", {"url": "/c/seen", "headers": {"Accept-Encoding": "br"}},
            {"url": "/c/seen", "headers": {"Range": "bytes=0-1"}})]
        self.assertEqual(asked, [["gzip"], None, ["br"], None])
        answer = self.sheaf.post({"requests": [{"url": "/c/seen"}], "headers": {"Accept-Encoding": "identity"}})
        self.assertEqual(answer.results["0"]["body"]["asked"], ["identity"])


@unittest.skipUnless(shutil.which("nginx"), "no nginx")
class Nginx(Case):
    """A real server that compresses on the fly, in chunks."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="sheaf-nginx-")
        cls.addClassCleanup(folder.cleanup)
        root, port = pathlib.Path(folder.name), free_port()
        root.chmod(0o755)
        (root / "a.json").write_bytes(TEXT)
        conf = root / "nginx.conf"
        conf.write_text(f"""daemon off; master_process off; pid {root}/pid; error_log {root}/error;
events {{}}
http {{ access_log off; gzip on; gzip_proxied any; gzip_types *; gzip_min_length 1; gzip_http_version 1.0;
  default_type application/json; client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }} }}""")
        nginx = subprocess.Popen(["nginx", "-e", f"{root}/error", "-c", str(conf)], stderr=subprocess.DEVNULL)
        cls.addClassCleanup(nginx.wait)
        cls.addClassCleanup(nginx.terminate)

        def answers():
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0
        wait_until(answers, what="nginx")
        cls.places = {"upstreams": f'coded: {{servers: ["http://127.0.0.1:{port}"]}}', "routes": ROUTES}
        super().setUpClass()

    def test_what_nginx_compresses_is_embedded(self):
        name = 'sheaf_answers_decompressed_total{outcome="ok"}'
        before = self.sheaf.metrics()[name]
        coded, plain = self.run_items("/c/a.json", "/p/a.json")
        self.assertEqual(coded["body"], plain["body"])
        self.assertEqual(coded["body"], json.loads(TEXT))
        self.assertEqual(self.sheaf.metrics()[name], before + 1)


class Compressed(Case):
    places = {"endpoint": "compress: true, linger: 50ms", "routes": ROUTES, "top": "limits: {send_timeout: 1s}",
              "endpoints": "- {path: /plain}\n- {path: /bulk, kind: bulk, compress: true, method: POST, max_items: 5000, "
                           'each: {method: GET, url: "/o/json/${item}"}}'}
    GZIP = {"Accept-Encoding": "br;q=1, gzip;q=0.5"}

    @classmethod
    def setUpClass(cls):
        cls.places = {**cls.places, "upstreams": start_backend(cls)}
        super().setUpClass()

    def plain(self, answer):
        self.assertEqual(answer.headers.get("content-encoding"), "gzip")
        return json.loads(gzip.decompress(answer.body))

    def vary(self, answer):
        return [value for name, value in answer.fields if name.lower() == "vary"]

    def test_a_short_answer_is_compressed_and_has_a_length(self):
        answer = self.sheaf.batch(["/o/json/3000"], self.GZIP)
        self.assertEqual(len(self.plain(answer)["responses"][0]["body"]["fill"]), 3000)
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
        self.assertLess(len(answer.body), 1000)
        self.assertEqual(self.vary(answer), ["accept", "accept-encoding"])

    def test_a_long_one_streams_chunked_on_a_connection_that_lives(self):
        conn = self.sheaf.connect()
        for _ in range(3):
            answer = self.sheaf.batch([f"/o/json/{300000 + i}" for i in range(8)] + ["/o/bytes/200000"], self.GZIP, conn)
            lengths = [len(result["body"].get("fill", "")) for result in self.plain(answer)["responses"][:8]]
            self.assertEqual(lengths, [300000 + i for i in range(8)])
            self.assertEqual(answer.headers["transfer-encoding"], "chunked")
        conn.close()

    def test_each_result_can_be_read_as_soon_as_it_is_sent(self):
        client = RawClient(self.sheaf.at)
        body = json.dumps({"requests": [{"url": "/o/text"}, {"url": "/o/delay/1500"}]}).encode()
        started = time.monotonic()
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAccept: application/x-ndjson\r\n"
                    b"Accept-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        response = http.client.HTTPResponse(client.sock)
        response.begin()
        stream, text = zlib.decompressobj(31), b""
        while b"\n" not in text:
            text += stream.decompress(response.read1())
        self.assertLess(time.monotonic() - started, 1.4, "the first result waited for the second")
        self.assertEqual(json.loads(text.splitlines()[0])["id"], "0")
        text += stream.decompress(response.read())
        self.assertTrue(stream.eof)
        self.assertEqual(json.loads(text.splitlines()[-1])["summary"]["succeeded"], 2)
        response.close()
        client.close()

    def test_who_does_not_want_it_does_not_get_it(self):
        for wish in ({}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip;q=0, *"}, {"Accept-Encoding": "br"}):
            answer = self.sheaf.batch(["/o/json/3000"], wish)
            self.assertNotIn("content-encoding", answer.headers, wish)
            self.assertEqual(answer.results["0"]["status"], 200)
            self.assertEqual(self.vary(answer), ["accept", "accept-encoding"])
        answer = self.sheaf.batch(["/o/json/3000"], self.GZIP, path="/plain")
        self.assertNotIn("content-encoding", answer.headers)
        self.assertEqual(self.vary(answer), ["accept"])

    def test_what_fits_a_packet_and_what_is_refused_stay_plain(self):
        self.assertNotIn("content-encoding", self.sheaf.batch(["/o/text"], self.GZIP).headers)
        refused = self.sheaf.post("{", self.GZIP)
        self.assertEqual((refused.status, refused.json["status"]), (400, 400))

    def test_http2_and_a_bulk_through_its_window(self):
        client = Http2Client(self.sheaf.at)
        client.head(1, (b"accept-encoding", b"gzip"))
        client.send_data(1, json.dumps({"requests": [{"url": "/o/json/30000"}] * 20}).encode(), 1)
        frames = client.until(0, 1, 1)
        answer = json.loads(gzip.decompress(b"".join(payload for kind, _, _, payload in frames if kind == 0)))
        self.assertEqual(answer["summary"], {"total": 20, "succeeded": 20, "failed": 0})
        client.sock.close()
        answer = self.sheaf.post([100] * 3000, self.GZIP, path="/bulk")
        self.assertEqual(self.plain(answer)["summary"]["succeeded"], 3000)

    def post_noise(self, items):
        client = RawClient(self.sheaf.at, receive_buffer=8192)
        self.addCleanup(client.close)
        body = json.dumps({"requests": [{"url": "/p/noise"}] * items}).encode()
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return client

    def test_a_slow_client_has_all_of_it(self):
        client = self.post_noise(8)
        response = http.client.HTTPResponse(client.sock)
        response.begin()
        stream, length = zlib.decompressobj(31), 0
        while not stream.eof:
            length += len(stream.decompress(response.read1(30000)))
        self.assertGreater(length, 8 * len(NOISE))
        self.assertEqual(response.read(), b"")
        response.close()

    def test_a_client_that_does_not_read_is_given_up(self):
        stalls = self.sheaf.metrics()["sheaf_client_stalls_total"]
        self.post_noise(20)
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_stalls_total"] == stalls + 1, what="the stall")
        wait_until(lambda: self.sheaf.metrics()["sheaf_result_bytes_held"] == 0, what="the results are given back")

    def test_a_whole_answer_counts_as_complete_by_what_was_sent(self):
        before = self.sheaf.metrics()
        answer = self.sheaf.batch([f"/o/json/{200000 + i}" for i in range(4)], self.GZIP)
        for name, more in (('sheaf_batches_total{outcome="complete"}', 1), ("sheaf_client_aborts_total", 0),
                           ('sheaf_client_bytes_total{direction="out"}', len(answer.body))):
            wait_until(lambda: self.sheaf.metrics()[name] == before[name] + more, what=name)


class Limits(Case):
    def held(self, sheaf, count):
        wait_until(lambda: sheaf.metrics()["sheaf_items_held"] == count, what=f"{count} items held")

    def assert_overloaded(self, answer, word):
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"), answer.body)
        self.assertEqual(answer.json["type"], "urn:sheaf:problem:overloaded")
        self.assertIn(word, answer.json["detail"])

    def fill(self, sheaf, items):
        """A batch that stays until the returned client goes."""
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        client.post({"requests": items})
        return client

    def test_batches_beyond_the_limit_are_refused_until_one_ends(self):
        sheaf = self.start(top="limits: {batches: 2}")
        clients = [self.fill(sheaf, [{"url": "/o/never"}]) for _ in range(2)]
        self.held(sheaf, 2)
        self.assert_overloaded(sheaf.batch(["/o/text"]), "batches")
        self.assertEqual(sheaf.metrics()['sheaf_client_refused_total{reason="batches"}'], 1)
        clients[0].close()
        self.held(sheaf, 1)
        self.assertEqual(sheaf.batch(["/o/text"]).status, 207)

    def test_items_beyond_the_limit_are_refused_and_a_batch_alone_never(self):
        sheaf = self.start(top="limits: {items: 10}")
        self.assertEqual(len(sheaf.batch(["/o/text"] * 30).json["responses"]), 30)
        self.held(sheaf, 0)
        self.origin.reset()
        client = self.fill(sheaf, [{"url": "/o/never"}] * 8)
        self.held(sheaf, 8)
        self.assert_overloaded(sheaf.batch(["/o/text"] * 3), "items")
        self.assertEqual(sheaf.metrics()['sheaf_client_refused_total{reason="items"}'], 1)
        self.assertEqual(self.origin.count()["served"], 8)
        self.assertEqual(sheaf.batch(["/o/text"] * 2).status, 207)
        client.close()
        self.held(sheaf, 0)
        self.assertEqual(sheaf.batch(["/o/text"] * 9).status, 207)

    def test_a_bulk_holds_its_window_and_a_spread_item_what_it_became(self):
        sheaf = self.start(endpoints='- {path: /bulk, kind: bulk, method: POST, max_items: 5000, parallel: 1, '
                                     'each: {method: GET, url: "/o/${item}"}}')
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        client.post(["never"] * 3000, "/bulk")
        self.held(sheaf, 256)
        other = self.fill(sheaf, [{"id": "a", "method": "POST", "url": "/o/echo", "body": "x"},
                                  {"id": "b", "url": "/o/never?${each/0}", "dependsOn": ["a"], "forEach": "a.body/headers"}])
        wait_until(lambda: sheaf.metrics()["sheaf_items_held"] > 256 + 2, what="the spread")
        client.close()
        other.close()
        self.held(sheaf, 0)

    def test_zero_is_no_limit(self):
        sheaf = self.start(top="limits: {batches: 0, items: 0}")
        self.fill(sheaf, [{"url": "/o/never"}])
        self.held(sheaf, 1)
        self.assertEqual(sheaf.batch(["/o/text"] * 20).status, 207)


if __name__ == "__main__":
    unittest.main()
