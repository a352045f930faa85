"""Servers by name: hosts and services of DNS that change, fail, lie and hide while items fly."""
import signal
import time
import unittest

import dns_server
from dns_server import A, SERVFAIL, SRV, a, cname, srv
from harness import ORIGIN, Case, Load, Origin, Process, wait_until
from pki import Pki
from test_upstream_tls import Nginx

SERVICE = "_http._tcp.backend.test"
OPENED = "sheaf_backend_connections_opened_total"
RELOADS = 'sheaf_reloads_total{outcome="ok"}'


class Everywhere(Origin):
    """An origin at all addresses of both families."""

    def __init__(self):
        Process.__init__(self, [ORIGIN, "0", "::"], env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.at = self.port()


class NamesCase(Case):
    def setUp(self):
        if dns_server.missing():
            self.skipTest(dns_server.missing())
        self.dns = dns_server.DnsServer()
        self.addCleanup(self.dns.close)
        self.asking = dns_server.Asking(self.dns)
        self.addCleanup(self.asking.close)

    def origins(self, count):
        made = [Origin() for _ in range(count)]
        for number, origin in enumerate(made):
            self.addCleanup(origin.kill)
            self.dns.say(f"t{number}.test", a("127.0.0.1"))
        return made

    def gateway(self, server, keys="", resolve="min: 100ms, max: 1s", **places):
        """/n/... leads to `server`."""
        return self.start(binary=self.asking.binary, endpoint="timing: true", top=f"resolve: {{{resolve}}}",
                          upstreams=f"n: {{servers: [{server}]{keys}}}",
                          routes='- {match: "/n/{rest...}", rewrite: "/{rest...}", upstream: n}', **places)

    def of_service(self, keys="", **places):
        return self.gateway('{url: "http://backend.test", service: http}', keys, **places)

    def ask(self, sheaf, count, path="/n/text", **envelope):
        results = self.run_items(*[path] * count, sheaf=sheaf, **envelope)
        for result in results:
            self.assertEqual(result["status"], 200, result)
        return results

    def shares(self, origins, sheaf, count):
        before = [origin.count()["served"] for origin in origins]
        self.ask(sheaf, count, parallel=1)
        return [origin.count()["served"] - old for origin, old in zip(origins, before)]

    def heard(self, kind, name=None):
        """Waits until the gateway, which is used all the time, has asked twice more: it has heard the newest answer."""
        goal = self.dns.count(kind, name) + 2
        wait_until(lambda: self.dns.count(kind, name) >= goal, what="the gateway's questions")


class Services(NamesCase):
    def test_targets_have_ports_and_weights_of_their_own_and_the_host_of_the_url(self):
        origins = self.origins(2)
        self.dns.say(SERVICE, srv(origins[0].at, "t0.test", weight=30), srv(origins[1].at, "t1.test", weight=10))
        sheaf = self.of_service()
        self.assertEqual(self.shares(origins, sheaf, 40), [30, 10])
        self.assertEqual(self.echo("/n/echo", sheaf=sheaf)["headers"]["host"], "backend.test")

    def test_higher_priorities_stand_by_in_their_order(self):
        origins = self.origins(3)
        self.dns.say(SERVICE, *[srv(origin.at, f"t{number}.test", priority=10 * number)
                                for number, origin in enumerate(origins)])
        sheaf = self.of_service()
        self.assertEqual(self.shares(origins, sheaf, 6), [6, 0, 0])
        origins[0].kill()
        self.ask(sheaf, 6)
        self.assertEqual(self.shares(origins[1:], sheaf, 6), [6, 0])
        origins[1].kill()
        self.ask(sheaf, 6)
        self.assertEqual(self.shares(origins[2:], sheaf, 6), [6])

    def test_flaps_several_times_a_second_lose_no_item(self):
        origins = self.origins(3)
        one, two, three = (srv(origin.at, f"t{number}.test") for number, origin in enumerate(origins))
        sets = [[one], [two, three], [one, two, three], [three], [srv(9, "nobody.test", priority=5), one],
                [two], [srv(origins[2].at, "t0.test"), two]]
        self.dns.say(SERVICE, one)
        sheaf = self.of_service()
        load = Load(sheaf, ["/n/text"] * 10 + ["/n/delay/30"] * 2, threads=3)
        for number in range(28):
            self.dns.say(SERVICE, *sets[number % len(sets)])
            self.heard(SRV)
        self.assertEqual(load.stop(), [])
        self.assertGreater(min(origin.count()["served"] for origin in origins), 50)
        self.dns.say(SERVICE, one)
        self.ask(sheaf, 1)
        for origin in origins[1:]:
            wait_until(lambda: self.ask(sheaf, 1) and origin.count()["open"] == 0, what="the end of idle connections")

    def test_what_flies_ends_at_a_server_that_has_left(self):
        origins = self.origins(2)
        self.dns.say(SERVICE, srv(origins[0].at, "t0.test"))
        sheaf = self.of_service()
        self.ask(sheaf, 1)
        load = Load(sheaf, ["/n/delay/1500"], threads=1)
        wait_until(lambda: origins[0].count()["flying"] == 1, what="the slow item")
        self.dns.say(SERVICE, srv(origins[1].at, "t1.test"))
        wait_until(lambda: self.ask(sheaf, 1) and origins[1].count()["served"] >= 3, what="the new server")
        self.assertEqual(origins[0].count()["cancelled"], 0)
        load.wait_for(1)
        self.assertEqual(load.stop(), [])

    def test_failed_lookups_keep_the_last_answer_and_delay_nobody(self):
        origins = self.origins(1)
        self.dns.say(SERVICE, srv(origins[0].at, "t0.test"))
        sheaf = self.of_service()
        self.ask(sheaf, 1)
        good = dict(self.dns.records)
        for failure in ("SERVFAIL", "NXDOMAIN", "silence", "nothing in it", "no record of a service"):
            with self.subTest(failure):
                self.dns.failure = SERVFAIL if failure == "SERVFAIL" else None
                self.dns.is_mute = failure == "silence"
                self.dns.records = {} if failure == "NXDOMAIN" else {**good, SERVICE: (
                    [] if failure == "nothing in it" else [cname("elsewhere.test")])} if " " in failure else good
                before = self.dns.count(SRV)
                wait_until(lambda: self.ask(sheaf, 3) and self.dns.count(SRV) > before + 1, what="two more questions")
                for result in self.ask(sheaf, 3):
                    self.assertLess(result["elapsedMs"], 500)

    def test_a_service_that_is_not_there_says_so_until_it_is(self):
        origins = self.origins(1)
        sheaf = self.of_service()
        result = self.run_item("/n/text", sheaf=sheaf)
        self.assert_problem(result, 502, "resolve")
        self.assertIn(SERVICE, result["body"]["detail"])
        self.dns.say(SERVICE, srv(0, "."))
        wait_until(lambda: "not offered" in self.run_item("/n/text", sheaf=sheaf)["body"]["detail"], what="the denial")
        self.dns.say(SERVICE, srv(origins[0].at, "t0.test"))
        wait_until(lambda: self.run_item("/n/text", sheaf=sheaf)["status"] == 200, what="the service")

    def test_an_answer_that_does_not_fit_comes_by_tcp(self):
        origins = self.origins(1)
        self.dns.is_short = True
        names = [f"a-target-with-a-rather-long-name-{number}.backend.test" for number in range(40)]
        for name in names:
            self.dns.say(name, a("127.0.0.1"))
        self.dns.say(SERVICE, *[srv(origins[0].at, name) for name in names])
        sheaf = self.of_service(resolve="min: 10s, max: 60s")
        self.ask(sheaf, 64)
        self.assertGreater(self.dns.count_tcp(), 30)
        asked = {name for kind, name, _ in self.dns.asked if kind == A}
        self.assertEqual(len(asked), 32)  # as many as are used

    def test_a_reload_keeps_targets_and_connections(self):
        origins = self.origins(2)
        self.dns.say(SERVICE, *[srv(origin.at, f"t{number}.test") for number, origin in enumerate(origins)])
        sheaf = self.of_service()
        self.ask(sheaf, 4, parallel=1)
        opened = sheaf.metrics()[OPENED]
        sheaf.signal(signal.SIGHUP)
        wait_until(lambda: sheaf.metrics()[RELOADS] == 1, what="the reload")
        self.assertEqual(self.shares(origins, sheaf, 4), [2, 2])
        self.assertEqual(sheaf.metrics()[OPENED], opened)

    def test_the_certificate_is_that_of_the_url(self):
        pki = Pki()
        self.addCleanup(pki.folder.cleanup)
        origin = self.origins(1)[0]
        nginx = Nginx(origin, {"right": (pki.make("backend.test"), ""), "target": (pki.make("t0.test"), "")})
        self.addCleanup(nginx.stop)
        for name in ("right", "target"):
            self.dns.say("_https._tcp.backend.test", srv(nginx.ports[name], "t0.test"))
            sheaf = self.gateway('{url: "https://backend.test", service: https}', f", tls: {{ca: {pki.ca}}}")
            result = self.run_item("/n/text", sheaf=sheaf)
            if name == "right":
                self.assertEqual(result["status"], 200, result)
                self.assertEqual(result["headers"]["x-sni"], "backend.test")
            else:
                self.assert_problem(result, 502, "tls")
                self.assertIn(f"t0.test:{nginx.ports[name]}", result["body"]["detail"])


class Hosts(NamesCase):
    def everywhere(self):
        origin = Everywhere()
        self.addCleanup(origin.kill)
        return origin

    def test_flaps_of_a_name_lose_no_item(self):
        origin = self.everywhere()
        sets = [["127.0.0.1"], ["127.0.0.2", "127.0.0.3"], ["::1"], ["127.0.0.3", "::1", "127.0.0.1"]]
        self.dns.say("host.test", a("127.0.0.1"))
        sheaf = self.gateway(f'"http://host.test:{origin.at}"')
        load = Load(sheaf, ["/n/text"] * 10 + ["/n/delay/30"], threads=3)
        for number in range(16):
            self.dns.say("host.test", *map(a, sets[number % len(sets)]))
            self.heard(A)
        self.assertEqual(load.stop(), [])

    def test_a_name_of_one_family_is_enough(self):
        origin = self.everywhere()
        self.dns.say("six.test", a("::1"))
        self.dns.say("four.test", a("127.0.0.1"))
        for name in ("six", "four"):
            self.ask(self.gateway(f'"http://{name}.test:{origin.at}"'), 2)

    def test_odd_answers_are_a_502_of_the_item_and_of_nobody_else(self):
        origin = self.everywhere()
        self.dns.say("circle.test", cname("circle.test"))
        self.dns.say("empty.test")
        for name in ("circle", "empty", "nowhere"):
            sheaf = self.gateway(f'"http://{name}.test:{origin.at}"')
            result, sibling = self.run_items("/n/text", "/o/text", sheaf=sheaf)
            self.assert_problem(result, 502, "resolve")
            self.assertEqual(sibling["status"], 200)

    def test_a_name_with_forty_addresses_is_found_where_it_is(self):
        origin = self.origins(1)[0]  # at 127.0.0.1 only
        self.dns.is_short = True
        self.dns.say("many.test", *[a(f"127.0.1.{number}", 60) for number in range(39)], a("127.0.0.1", 60))
        self.ask(self.gateway(f'"http://many.test:{origin.at}"'), 20)
        self.assertGreater(self.dns.count_tcp(), 0)

    def test_a_ttl_of_nothing_does_not_ask_for_each_item(self):
        origin = self.origins(1)[0]
        sheaf = self.gateway(f'"http://t0.test:{origin.at}"', resolve="min: 1s, max: 60s")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            self.ask(sheaf, 20)
        self.assertLessEqual(self.dns.count(A, "t0.test"), 3)

    def test_an_endless_ttl_is_bounded(self):
        origin = self.origins(1)[0]
        self.dns.say("t0.test", a("127.0.0.1", 2**31 - 1))
        sheaf = self.gateway(f'"http://t0.test:{origin.at}"', resolve="min: 100ms, max: 300ms")
        wait_until(lambda: self.ask(sheaf, 2) and self.dns.count(A, "t0.test") >= 3, what="the third question")

    def test_a_server_whose_name_is_not_found_is_ejected(self):
        origin = self.origins(1)[0]
        sheaf = self.gateway(f'"http://nowhere.test:{origin.at}", "http://t0.test:{origin.at}"', ", outlier: {errors: 1}")
        self.ask(sheaf, 4, parallel=1)
        self.assertEqual(sheaf.metrics()["sheaf_ejections_total"], 1)
        asked = self.dns.count(A, "nowhere.test")
        end = time.monotonic() + 1.5  # after a second it would be asked for again
        while time.monotonic() < end:
            self.ask(sheaf, 4)
        self.assertEqual(self.dns.count(A, "nowhere.test"), asked)


if __name__ == "__main__":
    unittest.main()
