"""HTTP/2 to backends: nginx in front of the origin, by ALPN and by prior knowledge."""
from harness import Case, Origin, wait_until
from pki import Pki
from test_upstream_tls import Nginx, route

HTTP2, OPENED = "sheaf_exchanges_http2_total", "sheaf_backend_connections_opened_total"


class Http2(Case):
    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.addClassCleanup(cls.pki.folder.cleanup)
        good = cls.pki.make("localhost", "DNS:localhost,IP:127.0.0.1")
        cls.client = cls.pki.make("gateway")
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        says = 'add_header x-protocol "$server_protocol" always; keepalive_requests 1000000;'
        mutual = f"ssl_client_certificate {cls.pki.ca}; ssl_verify_client on"
        cls.nginx = Nginx(cls.origin, {
            "tls": (good, says),
            "mtls": (good, f"{says} {mutual};"),
            "short": (good, says.replace("1000000", "50")),
            "brief": (good, says.replace("1000000", "10")),
            "clear": (None, says),
            "old": (good, says),
        })
        cls.addClassCleanup(cls.nginx.stop)
        text = cls.nginx.path.read_text()
        for name in ("tls", "mtls", "short", "brief"):
            text = text.replace(f":{cls.nginx.ports[name]} ssl", f":{cls.nginx.ports[name]} ssl http2")
        text = text.replace(f":{cls.nginx.ports['clear']} ", f":{cls.nginx.ports['clear']} http2 ")
        cls.nginx.path.write_text(text)
        cls.nginx.restart()
        own = f"ca: {cls.pki.ca}, certificate: {cls.client[0]}, key: {cls.client[1]}"
        trust, at = f"tls: {{ca: {cls.pki.ca}}}", cls.nginx.ports
        ways = {
            "tls": f'servers: ["https://127.0.0.1:{at["tls"]}"], {trust}',
            "mtls": f'servers: ["https://127.0.0.1:{at["mtls"]}"], tls: {{{own}}}, protocol: http2',
            "short": f'servers: ["https://127.0.0.1:{at["short"]}"], {trust}',
            "brief": f'servers: ["https://127.0.0.1:{at["brief"]}"], {trust}',
            "clear": f'servers: ["http://127.0.0.1:{at["clear"]}"], protocol: http2',
            "forced": f'servers: ["https://127.0.0.1:{at["old"]}"], {trust}, protocol: http2',
            "old": f'servers: ["https://127.0.0.1:{at["old"]}"], {trust}',
            "one": f'servers: ["https://127.0.0.1:{at["tls"]}"], {trust}, protocol: http1',
        }
        cls.places = {"upstreams": "\n".join(f"{name}: {{{way}}}" for name, way in ways.items()),
                      "routes": "\n".join(route(name) for name in ways),
                      "endpoint": "max_items: 1000, budget: 64MiB, max_body: 16MiB"}

    def setUp(self):
        self.sheaf = self.start(**self.places)

    def protocol(self, name):
        result = self.run_item(f"/{name}/echo", sheaf=self.sheaf)
        self.assertEqual(result["status"], 200, result)
        return result["headers"]["x-protocol"]

    def run_many(self, name, count, **item):
        answer = self.sheaf.batch([{"url": f"/{name}/echo?n={i}", **item} for i in range(count)])
        results = answer.json["responses"]
        self.assertEqual([r["status"] for r in results], [200] * count,
                         [r for r in results if r["status"] != 200][:2])
        return results

    def test_the_protocol_is_what_alpn_and_the_configuration_say(self):
        for name in ("tls", "mtls", "clear"):
            self.assertEqual(self.protocol(name), "HTTP/2.0", name)
        for name in ("old", "one"):
            self.assertEqual(self.protocol(name), "HTTP/1.1", name)
        result = self.run_item("/forced/echo", sheaf=self.sheaf)
        self.assert_problem(result, 502, "tls")
        self.assertIn("protocol", result["body"]["detail"])

    def probing(self, *names):
        """A gateway whose upstreams of these names have active health checks."""
        health = "health: {path: /echo, interval: 100ms, timeout: 10s, unhealthy: 1}"
        lines = [line for line in self.places["upstreams"].splitlines() if line.split(":")[0] in names]
        return self.start(**{**self.places, "upstreams": "\n".join(f"{line[:-1]}, {health}}}" for line in lines),
                             "routes": "\n".join(route(name) for name in names)})

    def test_health_checks_speak_what_exchanges_speak(self):
        passed = 'sheaf_health_probes_total{outcome="ok"}'
        for name, is_http2 in (("clear", True), ("mtls", True), ("tls", True), ("one", False), ("old", False)):
            sheaf = self.probing(name)
            metrics = wait_until(lambda: (m := sheaf.metrics())[passed] >= 3 and m, what=f"three probes of {name}")
            self.assertEqual(metrics['sheaf_health_probes_total{outcome="failed"}'], 0, name)
            self.assertEqual(metrics[HTTP2] >= 3, is_http2, name)
        forced = self.probing("forced")
        wait_until(lambda: forced.metrics()["sheaf_servers_unhealthy"] == 1, what="an unhealthy server")

    def test_a_thousand_items_fly_on_a_few_conns(self):
        for name in ("tls", "clear"):
            self.protocol(name)
            opened = self.sheaf.metrics()[OPENED]
            self.run_many(name, 1000)
            self.assertEqual(self.sheaf.metrics()[OPENED], opened, name)
        self.assertEqual(self.sheaf.metrics()[HTTP2], 2002)

    def test_no_more_fly_on_a_conn_than_max_streams(self):
        sheaf = self.start(upstreams=f'clear: {{servers: ["http://127.0.0.1:{self.nginx.ports["clear"]}"], protocol: http2, '
                                     'max_streams: 10}', routes=route("clear"))
        self.run_item("/clear/echo", sheaf=sheaf)
        results = self.run_items(*["/clear/delay/300"] * 40, sheaf=sheaf)
        self.assertEqual({result["status"] for result in results}, {200})
        self.assertEqual(sheaf.metrics()[OPENED], 4)

    def test_bodies_go_both_ways(self):
        results = self.run_many("tls", 5, method="POST", headers={"content-type": "text/plain"}, body="x" * 300000)
        self.assertEqual(len(results), 5)

    def test_a_backend_that_ends_its_conns_loses_nothing(self):
        self.run_many("short", 300, method="POST", body={})
        self.run_many("brief", 300, method="POST", body={})

    def test_a_reload_of_the_backend_loses_nothing(self):
        for _ in range(3):
            self.run_many("tls", 100)
            self.nginx.restart()
            self.run_many("tls", 100)

    def test_a_deadline_ends_its_stream_and_no_other(self):
        self.protocol("clear")
        opened = self.sheaf.metrics()[OPENED]
        late, good = self.sheaf.batch([{"url": "/clear/delay/3000/", "timeout": "200ms"},
                                       "/clear/echo"]).json["responses"]
        self.assertEqual((late["status"], good["status"]), (504, 200))
        self.protocol("clear")
        self.assertEqual(self.sheaf.metrics()[OPENED], opened)
