"""Active health checks: one worker asks the servers how they are, and all workers leave out those that are not well."""
import os
import signal
import socket
import tempfile
import threading
import time

from harness import Case, Origin, RawClient, wait_until
from pki import Pki
from test_failing import OK, SILENCE, Backend, answer, statuses
from test_processes import stopped
from test_upgrade import Line
from test_upstream_tls import Nginx

UNHEALTHY = "sheaf_servers_unhealthy"
PROBES = 'sheaf_health_probes_total{outcome="%s"}'
QUICK = "path: /health, interval: 150ms, timeout: 300ms, unhealthy: 2, healthy: 2"


class Server(Backend):
    """Says to /health what `health` is, and OK to all else."""

    def __init__(self, health=OK):
        self.health = health
        super().__init__(lambda: self.health if self.seen[-1] == "GET /health" else OK)

    @property
    def probes(self):
        return self.seen.count("GET /health")

    @property
    def items(self):
        return len(self.seen) - self.probes


class UnixServer(Server):
    def __init__(self, path, health=OK):
        self.path = path
        super().__init__(health)

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()


class Health(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def servers(self, *healths):
        made = [Server(health) for health in healths]
        for server in made:
            self.addCleanup(server.stop)
        return made

    def conf(self, urls, health=QUICK, more=""):
        urls = ", ".join(f'"{url}"' for url in urls)
        health = f", health: {{{health}}}" if health else ""
        return {"upstreams": f"u: {{servers: [{urls}]{health}{more}}}",
                "routes": '- {match: "/u/{rest...}", rewrite: "/{rest...}", upstream: u}'}

    def gateway(self, servers, workers=1, **conf):
        urls = [f"http://127.0.0.1:{server.at}" for server in servers]
        return self.start(workers=workers, **self.conf(urls, **conf))

    def until_unhealthy(self, sheaf, count):
        wait_until(lambda: sheaf.metrics()[UNHEALTHY] == count, what=f"{count} unhealthy servers")

    def ask(self, sheaf, times=8):
        """So many items, each on its own connection to the gateway, each answered."""
        for _ in range(times):
            self.assertEqual(statuses(self.run_items("/u/x", sheaf=sheaf)), [200])

    def ask_each_worker(self, sheaf, times=6):
        """Asks every worker, while the others are stopped."""
        pids = sheaf.children()
        for pid in pids:
            with stopped(*(set(pids) - {pid})):
                self.ask(sheaf, times)

    def reload(self, sheaf, nth, servers, **conf):
        sheaf.write_conf(**self.conf([f"http://127.0.0.1:{server.at}" for server in servers], **conf))
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == nth, what="the reload")

    def test_a_sick_server_is_left_out_by_all_of_four_workers_and_comes_back(self):
        sick, well = self.servers(OK, OK)
        sheaf = self.gateway([sick, well], workers=4)
        self.ask_each_worker(sheaf)
        self.assertEqual((sick.items, well.items), (12, 12))
        sick.health = answer(500)
        self.until_unhealthy(sheaf, 1)
        self.ask_each_worker(sheaf)
        self.assertEqual((sick.items, well.items), (12, 36))
        line, = sheaf.logged("server unhealthy")
        self.assertEqual((line["upstream"], line["server"], line["reason"], line["status"]), ("u", f"127.0.0.1:{sick.at}", "status", 500))
        sick.health = OK
        self.until_unhealthy(sheaf, 0)
        self.ask_each_worker(sheaf)
        self.assertEqual((sick.items, well.items), (24, 48))
        self.assertEqual(len(sheaf.logged("server healthy")), 1)
        metrics = sheaf.metrics()
        self.assertGreaterEqual(metrics[PROBES % "failed"], 2)
        self.assertGreaterEqual(metrics[PROBES % "ok"], 4)
        self.assertEqual(metrics["sheaf_ejections_total"], 0)

    def test_one_worker_asks(self):
        server, = self.servers(OK)
        sheaf = self.gateway([server], workers=4)
        started = time.monotonic()
        wait_until(lambda: server.probes >= 10, what="ten probes")
        self.assertGreater(time.monotonic() - started, 8 * 0.135)
        self.assertEqual(sheaf.metrics()["sheaf_items_in_flight"], 0)

    def test_all_in_one_process(self):
        sick, well = self.servers(answer(404), answer(301))
        sheaf = self.gateway([sick, well], workers=0, health=QUICK + ", expect: [2xx, 301]")
        self.until_unhealthy(sheaf, 1)
        self.ask(sheaf)
        self.assertEqual((sick.items, well.items), (0, 8))

    def test_a_stopped_server_is_left_out_after_the_timeout_and_comes_back(self):
        origins = [Origin(), Origin()]
        for origin in origins:
            self.addCleanup(origin.kill)
        sheaf = self.gateway(origins, health=QUICK.replace("/health", "/echo"))
        wait_until(lambda: sheaf.metrics()[PROBES % "ok"] >= 2, what="probes")
        with stopped(origins[0].pid):
            self.until_unhealthy(sheaf, 1)
            self.assertEqual(statuses(self.run_items(*["/u/echo"] * 20, sheaf=sheaf)), [200] * 20)
            self.assertEqual(sheaf.logged("server unhealthy")[0]["reason"], "timeout")
        self.until_unhealthy(sheaf, 0)

    def test_the_successor_of_a_killed_worker_goes_on(self):
        sick, well = self.servers(answer(500), OK)
        sheaf = self.gateway([sick, well], workers=2)
        self.until_unhealthy(sheaf, 1)
        prober = sheaf.children()[0]  # the first one asks
        before = sick.items
        os.kill(prober, signal.SIGKILL)
        wait_until(lambda: len(pids := sheaf.children()) == 2 and prober not in pids, what="the successor")
        self.until_unhealthy(sheaf, 1)
        self.ask_each_worker(sheaf)
        self.assertEqual(sick.items, before)
        sick.health = OK
        self.until_unhealthy(sheaf, 0)
        self.ask_each_worker(sheaf)
        self.assertEqual(sick.items, before + 6)

    def test_a_reload_keeps_what_is_known(self):
        sick, well = self.servers(answer(500), OK)
        sheaf = self.gateway([sick, well], workers=2)
        self.until_unhealthy(sheaf, 1)
        before = sick.items
        for number, more in enumerate(("", ", timeout: 9s")):  # the same upstream, and one that differs elsewhere
            self.reload(sheaf, number + 1, [sick, well], more=more)
            self.ask_each_worker(sheaf)
            self.assertEqual(sick.items, before)
            self.assertEqual(sheaf.metrics()[UNHEALTHY], 1)

    def test_a_reload_without_health_ends_the_probes(self):
        sick, well = self.servers(answer(500), OK)
        sheaf = self.gateway([sick, well], workers=2)
        self.until_unhealthy(sheaf, 1)
        before = sick.items
        self.reload(sheaf, 1, [sick, well], health=None)
        self.until_unhealthy(sheaf, 0)
        wait_until(lambda: sheaf.metrics()['sheaf_backend_connections{state="connecting"}'] == 0, what="the last probe")
        probes = sick.probes + well.probes
        self.ask_each_worker(sheaf)
        self.assertEqual(sick.items, before + 6)
        self.assertEqual(sick.probes + well.probes, probes)

    def test_when_all_are_unhealthy_all_are_used(self):
        servers = self.servers(answer(500), SILENCE)
        sheaf = self.gateway(servers)
        self.until_unhealthy(sheaf, 2)
        before = [server.items for server in servers]
        self.ask(sheaf)
        self.assertEqual([server.items for server in servers], [count + 4 for count in before])

    def test_a_backup_stands_in(self):
        sick, spare = self.servers(answer(500), OK)
        sheaf = self.start(upstreams=f'u: {{servers: ["http://127.0.0.1:{sick.at}", '
                           f'{{url: "http://127.0.0.1:{spare.at}", backup: true}}], health: {{{QUICK}}}}}',
                           routes='- {match: "/u/{rest...}", rewrite: "/{rest...}", upstream: u}')
        self.until_unhealthy(sheaf, 1)
        self.ask(sheaf)
        self.assertEqual((sick.items, spare.items), (0, 8))

    def test_a_unix_socket_is_asked_like_any_other(self):
        folder = tempfile.TemporaryDirectory(prefix="sheaf-health-")
        self.addCleanup(folder.cleanup)
        sick, well = (UnixServer(f"{folder.name}/{name}.sock", health) for name, health in (("a", answer(500)), ("b", OK)))
        for server in (sick, well):
            self.addCleanup(server.stop)
        sheaf = self.start(**self.conf([f"unix:{sick.path}", f"unix:{well.path}"]))
        self.until_unhealthy(sheaf, 1)
        self.ask(sheaf)
        self.assertEqual((sick.items, well.items), (0, 8))
        self.assertIn(sick.path, sheaf.logged("server unhealthy")[0]["server"])

    def test_over_tls_a_server_that_cannot_prove_who_it_is_is_unhealthy(self):
        pki = Pki()
        self.addCleanup(pki.folder.cleanup)
        nginx = Nginx(self.origin, {
            "well": (pki.make("well", names="IP:127.0.0.1"), "location = /health { return 200; }"),
            "sick": (pki.make("sick", names="IP:127.0.0.1"), "location = /health { return 503; }"),
            "other": (pki.make("other", names="DNS:other.test"), "location = /health { return 200; }")})
        self.addCleanup(nginx.stop)
        urls = [f"https://127.0.0.1:{nginx.ports[name]}" for name in ("well", "sick", "other")]
        sheaf = self.start(**self.conf(urls, more=f", tls: {{ca: {pki.ca}}}"))
        self.until_unhealthy(sheaf, 2)
        self.assertEqual(statuses(self.run_items(*["/u/echo"] * 20, sheaf=sheaf)), [200] * 20)
        log = sheaf.logged("server unhealthy", count=2)
        self.assertEqual({line["reason"] for line in log}, {"status", "tls"})
        self.assertIn("IP address mismatch", str(log))

    def test_after_a_change_of_the_binary_only_the_new_one_asks(self):
        sick, well = self.servers(answer(500), OK)
        sheaf = Line(self.origin, workers=2, **self.conf([f"http://127.0.0.1:{server.at}" for server in (sick, well)]))
        self.addCleanup(sheaf.stop)
        self.until_unhealthy(sheaf, 1)
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        client.post([{"url": "/o/delay/3000/text"}])  # the old one drains as long as that
        wait_until(lambda: self.origin.count()["flying"] == 1, what="the item flying")
        old, since = sheaf.pid, len(sheaf.err)
        sheaf.signal(signal.SIGUSR2)
        sheaf.pid = sheaf.heir(since)
        started, probes = time.monotonic(), well.probes
        wait_until(lambda: well.probes >= probes + 10, what="ten probes")
        self.assertGreater(time.monotonic() - started, 8 * 0.135)
        self.until_unhealthy(sheaf, 1)
        before = sick.items
        self.ask(sheaf)
        self.assertEqual(sick.items, before)
        self.assertEqual([result["status"] for result in client.read_response().json["responses"]], [200])
        self.assertEqual(sheaf.status_of(old), 0)
