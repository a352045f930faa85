"""A backend whose answer is in the path, and a case whose gateway keeps what it says."""
import concurrent.futures
import gzip
import http.server
import json
import threading

from harness import Case

CACHE = 'plugins: [{name: cache, use: cache, collapse_wait: 20s}]'
BULK = '- {path: /bulk, kind: bulk, each: {method: GET, url: "/k/${item/name}/${item/how}"}}'
WAYS = ("direct", "item", "element")


class Keeper(http.server.ThreadingHTTPServer):
    """A backend whose answer is in the path, /NAME/HOW: cc (Cache-Control), etag, vary, cookie, status, pad (bytes), chunked, cut, gzip,
    stuck; it counts what it was asked, and holds answers while `gate` is closed, their bodies while `body_gate` is, what is stuck the
    first time it is asked for until `release` is called."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.at, self.asked, self.gate, self.is_down = self.server_address[1], [], threading.Event(), False
        self.body_gate = threading.Event()
        self.stuck = threading.Event()
        self.gate.set()
        self.body_gate.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """The gateway may go away before it has its answer."""

    def release(self):
        self.stuck.set()
        self.gate.set()

    def count(self, name):
        return sum(1 for path, _ in self.asked if path.startswith(f"/{name}/"))


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        query = json.loads(bytes.fromhex(self.path.rpartition("/")[2]))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.gate.wait(30)
        if "stuck" in query and self.server.count(self.path.split("/")[1]) == 1:
            self.server.stuck.wait(30)
        status = 503 if self.server.is_down else int(query.get("status", 200))
        is_same = status == 200 and "etag" in query and self.headers.get("if-none-match") == f'"{query["etag"]}"'
        who = self.headers.get(query.get("who", ""), "nobody")
        body = b"" if is_same else json.dumps({"n": len(self.server.asked), "who": who, "host": self.headers["Host"],
                                                   "pad": "x" * query.get("pad", 0)}).encode()
        is_coded = "gzip" in query and "gzip" in self.headers.get("accept-encoding", "") and not is_same
        body = gzip.compress(body) if is_coded else body
        self.send_response(304 if is_same else status)
        if is_coded:
            self.send_header("Content-Encoding", "gzip")
        for name, field in (("cc", "Cache-Control"), ("vary", "Vary"), ("cookie", "Set-Cookie"), ("location", "Location"),
                            ("debug", "X-Debug")):
            if name in query:
                self.send_header(field, query[name])
        if "etag" in query:
            self.send_header("ETag", f'"{query["etag"]}"')
        if not is_same:
            self.send_header("Content-Type", "application/json")
            self.send_header(*(("Transfer-Encoding", "chunked") if "chunked" in query else ("Content-Length", str(len(body)))))
        self.end_headers()
        self.wfile.flush()
        self.server.body_gate.wait(30)
        if "cut" in query:
            self.close_connection = True
            self.wfile.write(body[:len(body) // 2])
        elif "chunked" in query and not is_same and self.command != "HEAD":
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        elif self.command != "HEAD":
            self.wfile.write(body)

    do_PUT = do_HEAD = do_GET


class Seen:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, {name.lower(): value for name, value in headers.items()}, body

    @property
    def cache(self):
        return self.headers.get("cache-status", "")


class Keeping(Case):
    """A gateway with a cache before a Keeper; `rules` are keys of its route."""
    places, rules = {"top": CACHE, "endpoints": BULK}, ""

    @classmethod
    def setUpClass(cls):
        cls.keeper = Keeper()
        cls.addClassCleanup(cls.keeper.server_close)
        cls.addClassCleanup(cls.keeper.shutdown)
        cls.places = {**cls.places,
                      "upstreams": f'keeper: {{servers: ["http://127.0.0.1:{cls.keeper.at}"]}}',
                      "routes": f'- {{match: "/k/{{rest...}}", rewrite: "/{{rest...}}", upstream: keeper, host: client{cls.rules}}}'}
        super().setUpClass()

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1]
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)

    def url(self, **query):
        return f"{self.name}/{json.dumps(query).encode().hex()}"

    def ask(self, way, target, method="GET", headers=None):
        if way == "direct":
            answer = self.sheaf.request(method, f"/k/{target}", headers=headers)
            return Seen(answer.status, answer.headers, json.loads(answer.body) if answer.body else None)
        if way == "item":
            answer = self.sheaf.batch([{"method": method, "url": f"/k/{target}"}], headers)
        else:
            answer = self.sheaf.post([dict(zip(("name", "how"), target.split("/")))], headers, path="/bulk")
        self.assertEqual(answer.status, 207, answer.body)
        self.assertNotIn("set-cookie", answer.headers)
        result = answer.json["responses"][0]
        return Seen(result["status"], result["headers"], result.get("body"))
