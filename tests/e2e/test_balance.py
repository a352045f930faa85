"""Which server of an upstream is asked: shares, keys, busy servers, backups, unix sockets."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import DEADLINE, ORIGIN, Case, Load, Origin, Process, RawClient, wait_until

NGINX = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen unix:{dir}/nginx.sock; location / {{ return 200 "$http_host $request_uri"; }} }}
}}
"""


class OriginAt(Origin):
    """An origin on a port that is known already."""

    def __init__(self, port):
        Process.__init__(self, [ORIGIN, str(port)], env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.at = self.port()


class BalanceCase(Case):
    def start_over(self, *origins, more="", servers=None):
        """A gateway whose /b/... leads to `origins`; each server is a url, or {options} behind it."""
        servers = servers or ", ".join(f'"http://127.0.0.1:{origin.at}"' for origin in origins)
        return self.start(endpoint="timing: true", upstreams=f"balanced: {{servers: [{servers}]{more}}}",
                          routes='- {match: "/b/{rest...}", rewrite: "/{rest...}", upstream: balanced}')

    def origins(self, count):
        made = [Origin() for _ in range(count)]
        for origin in made:
            self.addCleanup(origin.kill)
        return made

    def ask(self, sheaf, count, headers=None, path="/b/status/200", **envelope):
        items = [{"url": path, **({"headers": headers} if headers else {})} for _ in range(count)]
        for result in self.run_items(*items, sheaf=sheaf, **envelope):
            self.assertEqual(result["status"], 200, result)

    def shares(self, origins, *args, **kwargs):
        """How many of the requests each origin got."""
        before = [origin.count()["served"] for origin in origins]
        self.ask(*args, **kwargs)
        return [origin.count()["served"] - old for origin, old in zip(origins, before)]


class Shares(BalanceCase):
    def test_requests_are_spread_by_weight(self):
        heavy, light = self.origins(2)
        sheaf = self.start_over(servers=f'{{url: "http://127.0.0.1:{heavy.at}", weight: 3}}, "http://127.0.0.1:{light.at}"')
        self.assertEqual(self.shares((heavy, light), sheaf, 40), [30, 10])
        self.assertEqual(self.shares((heavy, light), sheaf, 4, parallel=1), [3, 1])

    def test_a_reload_changes_weights_and_ways_under_load(self):
        one, two = self.origins(2)
        sheaf = self.start_over(one, two)
        load = Load(sheaf, ["/b/status/200"] * 20, threads=2)
        for rest in ("", ", balance: random_two", ", balance: hash", ", balance: least_requests"):
            sheaf.places["upstreams"] = (f'balanced: {{servers: [{{url: "http://127.0.0.1:{one.at}", weight: 3}}, '
                                         f'"http://127.0.0.1:{two.at}"]{rest}}}')
            reloads = sheaf.metrics()['sheaf_reloads_total{outcome="ok"}']
            sheaf.write_conf()
            sheaf.signal(signal.SIGHUP)
            wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] > reloads, what="the reload")
            load.wait_for(2)
        self.assertEqual(load.stop(), [])
        self.assertEqual(self.shares((one, two), sheaf, 40, parallel=1), [30, 10])

    def test_chance_takes_every_server(self):
        origins = self.origins(3)
        sheaf = self.start_over(*origins, more=", balance: random_two")
        for share in self.shares(origins, sheaf, 90, parallel=1):
            self.assertGreater(share, 8)

    def check_busy(self, kind):
        origins = self.origins(2)
        sheaf = self.start_over(*origins, more=f", balance: {kind}")
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        client.post({"requests": [{"url": "/b/never"}]})
        busy = wait_until(lambda: [at for at, origin in enumerate(origins) if origin.count()["flying"] == 1])[0]
        shares = self.shares(origins, sheaf, 20, parallel=1)
        self.assertEqual((shares[busy], shares[1 - busy]), (0, 20))
        client.reset()
        wait_until(lambda: origins[busy].count()["flying"] == 0)
        return self.shares(origins, sheaf, 40, parallel=1)

    def test_the_fewest_requests_avoid_a_busy_server_until_its_client_goes(self):
        self.assertEqual(self.check_busy("least_requests"), [20, 20])

    def test_two_by_chance_avoid_a_busy_server_until_its_client_goes(self):
        for share in self.check_busy("random_two"):
            self.assertGreater(share, 6)

    def test_the_fewest_requests_send_little_to_a_stopped_server(self):
        origins = self.origins(4)
        sheaf = self.start_over(*origins, more=", balance: least_requests, timeout: 1s")
        os.kill(origins[0].pid, signal.SIGSTOP)
        try:
            results = self.run_items(*[{"url": "/b/status/200"}] * 100, sheaf=sheaf, parallel=4)
        finally:
            os.kill(origins[0].pid, signal.SIGCONT)
        late = [result["status"] for result in results if result["status"] != 200]
        self.assertLessEqual(len(late), 2)  # a turn of four would lose a quarter


    def test_after_a_storm_it_is_known_that_nothing_flies(self):
        """Answers whole, cut, refused as too large and late, clients that go, a server that is killed and comes back:
        whatever is counted wrongly would tilt the turns for good."""
        origins = self.origins(3)
        sheaf = self.start_over(*origins, more=", balance: least_requests, timeout: 300ms, max_connections: 24")
        urls = ["/b/status/200", "/b/half", "/b/status/503", "/b/delay/20/status/200", "/b/never", "/b/two-lengths"]
        port = origins[0].at
        for round_number in range(12):
            clients = [RawClient(sheaf.at) for _ in range(4)]
            for client in clients:
                client.post({"requests": [{"url": url} for url in urls * 6]})
            if round_number % 4 == 1:
                origins[0].kill()
            if round_number % 4 == 3:
                origins[0] = OriginAt(port)
                self.addCleanup(origins[0].kill)
            for client in clients[:2]:
                client.reset()
            for client in clients[2:]:
                self.assertEqual(client.read_response().status, 207)
                client.close()
        wait_until(lambda: sheaf.metrics()["sheaf_batches_in_flight"] == 0)
        wait_until(lambda: min(self.shares(origins, sheaf, 6, parallel=1)) > 0, what="all servers are used again")
        self.assertEqual(self.shares(origins, sheaf, 30, parallel=1), [10, 10, 10])


class Keys(BalanceCase):
    def test_a_user_stays_at_one_server_and_users_are_spread(self):
        origins = self.origins(4)
        sheaf = self.start_over(*origins, more=", balance: hash, hash: header X-User")
        homes = set()
        for user in range(16):
            shares = self.shares(origins, sheaf, 5, {"x-user": f"u{user}"}, parallel=1)
            self.assertEqual(sorted(shares), [0, 0, 0, 5])
            homes.add(shares.index(5))
        self.assertGreater(len(homes), 2)
        self.assertEqual(self.shares(origins, sheaf, 8, parallel=1), [2, 2, 2, 2])  # nobody's go round

    def test_the_key_may_come_from_the_outer_request(self):
        origins = self.origins(4)
        sheaf = self.start_over(*origins, more=", balance: hash, hash: header x-user")
        before = [origin.count()["served"] for origin in origins]
        for _ in range(5):
            answer = sheaf.batch(["/b/status/200"] * 2, headers={"X-User": "me"}, parallel=1)
            self.assertEqual([result["status"] for result in answer.json["responses"]], [200, 200])
        shares = [origin.count()["served"] - old for origin, old in zip(origins, before)]
        self.assertEqual(sorted(shares), [0, 0, 0, 10])

    def test_the_key_may_be_the_id_of_the_item(self):
        origins = self.origins(3)
        sheaf = self.start_over(*origins, more=", balance: hash, hash: id")
        for name in ("a", "b", "c"):
            before = [origin.count()["served"] for origin in origins]
            for _ in range(4):
                self.run_items({"id": name, "url": "/b/status/200"}, sheaf=sheaf)
            shares = [origin.count()["served"] - old for origin, old in zip(origins, before)]
            self.assertEqual(sorted(shares), [0, 0, 4])

    def test_when_its_server_dies_a_key_moves_and_the_others_stay(self):
        origins = self.origins(4)
        sheaf = self.start_over(*origins, more=", balance: hash, hash: header x-user")
        homes = {user: self.shares(origins, sheaf, 1, {"x-user": user}).index(1) for user in map(str, range(20))}
        origins[0].kill()
        for user, home in homes.items():
            now = self.shares(origins[1:], sheaf, 1, {"x-user": user}).index(1) + 1
            self.assertTrue(now == home or home == 0, (user, home, now))

    def test_a_key_that_everybody_wants_is_bounded(self):
        origins = self.origins(4)
        sheaf = self.start_over(*origins, more=", balance: hash, hash: path")
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        client.post({"requests": [{"url": "/b/never"}] * 40})
        flying = wait_until(lambda: (counts := [origin.count()["flying"] for origin in origins]) and sum(counts) == 40 and counts)
        self.assertLessEqual(max(flying), 13, flying)  # 1.25 times 10


class Backups(BalanceCase):
    def test_a_backup_takes_over_without_a_failure_and_hands_back(self):
        first, second, backup = self.origins(3)
        sheaf = self.start_over(servers=f'"http://127.0.0.1:{first.at}", "http://127.0.0.1:{second.at}", '
                                        f'{{url: "http://127.0.0.1:{backup.at}", backup: true}}')
        self.assertEqual(self.shares((first, second, backup), sheaf, 20), [10, 10, 0])
        first.kill()
        self.assertEqual(self.shares((second, backup), sheaf, 20), [20, 0])
        second.kill()
        self.assertEqual(self.shares((backup,), sheaf, 20), [20])
        self.assertEqual(sheaf.metrics()["sheaf_exchanges_backup_total"], 20)
        again = OriginAt(second.at)
        self.addCleanup(again.kill)
        wait_until(lambda: self.shares((again,), sheaf, 1) == [1], what="the server is used again")
        self.assertEqual(self.shares((again, backup), sheaf, 20), [20, 0])


    def test_a_server_that_swallows_connections_delays_few_while_a_backup_is_there(self):
        backup, = self.origins(1)
        with socket.socket() as full, contextlib.ExitStack() as callers:
            full.bind(("127.0.0.1", 0))
            full.listen(0)  # and nobody accepts: once its queue is full the kernel drops every SYN
            for _ in range(4):
                caller = callers.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(full.getsockname())
            sheaf = self.start_over(more=", connect_timeout: 400ms",
                                    servers=f'"http://127.0.0.1:{full.getsockname()[1]}", '
                                            f'{{url: "http://127.0.0.1:{backup.at}", backup: true}}')
            self.ask(sheaf, 1)  # the first one finds out
            late = []
            for _ in range(120):  # some seconds: it is tried again now and then
                results = self.run_items(*["/b/delay/20/status/200"] * 4, sheaf=sheaf)
                self.assertEqual([result["status"] for result in results], [200] * 4)
                late += [result["id"] for result in results if result["elapsedMs"] > 350]
        self.assertLessEqual(len(late), 3)  # one at a time, not all four of a batch


class UnixSockets(BalanceCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="sheaf-unix-")
        self.addCleanup(self.dir.cleanup)
        self.socket = pathlib.Path(self.dir.name) / "nginx.sock"
        self.addCleanup(self.stop_nginx)
        self.start_nginx()

    def start_nginx(self):
        conf = pathlib.Path(self.dir.name) / "nginx.conf"
        conf.write_text(NGINX.format(dir=self.dir.name))
        self.nginx = subprocess.Popen(["nginx", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.socket.exists, what="nginx listens")

    def stop_nginx(self):
        self.nginx.kill()
        self.nginx.wait(DEADLINE)

    def test_nginx_answers_through_a_socket_file(self):
        sheaf = self.start_over(servers=f'"unix:{self.socket}"')
        results = self.run_items(*[f"/b/{number}?q" for number in range(100)], sheaf=sheaf)
        self.assertEqual([result["body"] for result in results], [f"localhost /{number}?q" for number in range(100)])
        self.assertLessEqual(sheaf.metrics()["sheaf_backend_connections_opened_total"], 64)

    def test_a_socket_stands_beside_ports_and_its_death_is_survived(self):
        origin, = self.origins(1)
        sheaf = self.start_over(servers=f'"http://unix:{self.socket}", "http://127.0.0.1:{origin.at}"')
        self.assertEqual(self.shares((origin,), sheaf, 20), [10])
        self.stop_nginx()  # the file stays, nobody listens
        self.assertEqual(self.shares((origin,), sheaf, 20), [20])
        self.socket.unlink()
        self.start_nginx()
        wait_until(lambda: self.shares((origin,), sheaf, 2) == [1], what="nginx is used again")

    def test_a_socket_that_is_not_there_is_a_502(self):
        sheaf = self.start_over(servers=f'"unix:{self.socket}.not"')
        result = self.run_item("/b/x", sheaf=sheaf)
        self.assert_problem(result, 502, "refused")
        self.assertIn("no such file or directory", result["body"]["detail"])


if __name__ == "__main__":
    unittest.main()
