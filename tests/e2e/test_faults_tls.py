"""What goes wrong with bytes of TLS, and everything at once."""
import json
import os
import random
import threading
import time
import unittest

import peers
from fault_proxy import END, HONEST, RESET, STALL, Fault, FaultProxy
from harness import Case, knows, wait_until
from pki import equip

GONE = ("sheaf_items_in_flight", "sheaf_batches_in_flight", "sheaf_exchanges_resting", "sheaf_exchanges_waiting",
        'sheaf_backend_connections{state="active"}', 'sheaf_backend_connections{state="connecting"}',
        'sheaf_backend_connections{state="idle"}')
# what the binary may know besides
MORE = {
    "hedge": "hedge: {after: 20ms, budget: 20%}",
    "health": "health: {path: /status/200, interval: 500ms, timeout: 200ms}",
    "adaptive": "adaptive: {}",
    "shed": "shed: true",
}


@unittest.skipIf(peers.missing(), peers.missing())
class Sealed(Case):
    @classmethod
    def setUpClass(cls):
        equip(cls)
        cls.peer = peers.Nginx(cls.origin, cls.pki, cls.pair)
        cls.addClassCleanup(cls.peer.close)

    def proxy(self, port, fault):
        proxy = FaultProxy(port, fault)
        self.addCleanup(proxy.stop)
        return proxy


class EveryByte(Sealed):
    def run_faults(self, faults):
        """What becomes of an item for each of them, on a connection of its own: the counts by status and slug."""
        proxy = self.proxy(self.peer.ports["tls"], list(faults))
        sheaf = self.start(endpoint="max_items: 1000, parallel: 1000",
                           upstreams=f'u: {{servers: ["https://127.0.0.1:{proxy.at}"], keepalive: 0s, connect_timeout: 3s, '
                                     f'first_byte_timeout: 1s, idle_timeout: 1s, tls: {{ca: {self.pki.ca}}}}}',
                           routes='- {match: "/u/{rest...}", rewrite: "/{rest...}", upstream: u}')
        counts = {}
        for at in range(0, len(faults), 200):
            items = [f"/u/echo?{number}" for number in range(at, min(at + 200, len(faults)))]
            for item, result in zip(items, self.run_items(*items, sheaf=sheaf)):
                kind = result["status"]
                if kind == 200:
                    self.assertEqual(result["body"]["target"], item[2:])
                else:
                    kind = result["body"]["type"].rsplit(":", 1)[1]
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def test_no_byte_of_it_can_be_changed_unnoticed(self):
        """The head of a record may lie about its length: then more is waited for."""
        counts = self.run_faults([Fault(flip=at) for at in range(0, 1800, 9)])
        self.assertLessEqual(set(counts), {"tls", "reset", "connect-timeout", "timeout", 200}, counts)
        self.assertGreater(counts["tls"], 100, counts)
        self.assertLess(counts.get(200, 0), 100, counts)  # beyond the end of what came

    def test_a_cut_at_any_byte_of_it_is_a_failure_and_never_an_answer(self):
        for then in (END, RESET):
            with self.subTest(then=then):
                counts = self.run_faults([Fault(after=at, then=then) for at in range(0, 1800, 9)])
                self.assertLessEqual(set(counts), {"tls", "reset", 200}, counts)
                self.assertGreater(counts["tls"], 50, counts)

    def test_crumbs_of_it_are_put_together(self):
        self.assertEqual(self.run_faults([Fault(piece=1)] * 5 + [Fault(piece=7)] * 5), {200: 10})


class Storm(Sealed):
    """Four servers behind proxies that do something else with every connection, clients that come and leave."""
    SECONDS = 5
    STATUSES = {200, 502, 503, 504}

    @staticmethod
    def any_fault(dice):
        at = dice.randrange(3000)
        return dice.choice([HONEST] * 4 + [
            Fault(after=at, then=END), Fault(after=at, then=RESET), Fault(after=at, then=STALL), Fault(piece=1 + at % 50),
            Fault(delay=dice.random() / 5), Fault(reads=at), Fault(is_deaf=True), Fault(is_cut_at_once=True),
            Fault(piece=200, pause=0.01)])

    def gateway(self, proxies):
        servers = ", ".join(f'"{scheme}://127.0.0.1:{proxy.at}"' for scheme, proxy in zip(("http", "https") * 2, proxies))
        keys = ("keepalive: 1s, connect_timeout: 200ms, first_byte_timeout: 200ms, idle_timeout: 200ms, max_connections: 24, "
                f"tls: {{ca: {self.pki.ca}}}, retry: {{attempts: 3, on: [connect, reset, timeout], budget: 50%, backoff: 5ms}}, "
                "outlier: {errors: 5, eject: 100ms}, breaker: {errors: 90%, requests: 100, window: 1s, open: 100ms}" +
                "".join(f", {line}" for key, line in MORE.items() if knows("upstreams.NAME." + key)))
        return self.start(workers=2, upstream="keepalive: 1s", endpoint="max_items: 1000",
                          upstreams=f'u: {{servers: [{servers}], {keys}}}\n'
                                    f'f: {{servers: ["http://127.0.0.1:{self.origin.at}"], keepalive: 1s}}',
                          routes='- {match: "/u/{rest...}", rewrite: "/{rest...}", upstream: u}\n'
                                 '- {match: "/f/{rest...}", rewrite: "/{rest...}", upstream: u, fallback: f}')

    def client(self, sheaf, number, end):
        dice = random.Random(number)
        while time.monotonic() < end:
            marks = [f"{dice.getrandbits(60):x}" for _ in range(30)]
            items = [{"url": f"/{dice.choice('uf')}/echo?{mark}", "method": dice.choice(("GET", "PUT", "POST"))}
                     for mark in marks]
            for item, mark in zip(items, marks):
                if item["method"] != "GET":
                    item["body"] = [mark] * dice.choice((1, 1, 500))
            if dice.random() < 0.2:
                conn = sheaf.connect()
                conn.request("POST", "/batch", json.dumps({"requests": items}), {"Content-Type": "application/json"})
                time.sleep(dice.random() / 10)  # when it leaves: nothing is awaited
                conn.close()
                continue
            self.check(marks, items, sheaf.batch(items))

    def check(self, marks, items, answer):
        results = answer.json["responses"]
        self.seen += [result["status"] for result in results]
        if answer.status != 207 or [result["id"] for result in results] != [str(at) for at in range(len(items))]:
            self.strange.append(answer.body[:300])
        for mark, item, result in zip(marks, items, results):
            if result["status"] not in self.STATUSES:
                self.strange.append(result)
            elif result["status"] == 200:
                sent = json.dumps(item["body"], separators=(",", ":")) if "body" in item else ""
                got = result["body"]
                if got["target"] != f"/echo?{mark}" or got["method"] != item["method"] or \
                        "".join(got["body"].split()) != sent:
                    self.strange.append((item, result))

    def test_every_item_has_its_own_answer_or_a_reason_and_nothing_is_left(self):
        seed = int(os.environ.get("STORM_SEED", time.time_ns() % 100000))
        print(f"seed {seed}", end=" ", flush=True)
        dice = random.Random(seed)
        proxies = [self.proxy(port, lambda: self.any_fault(dice))
                   for port in (self.origin.at, self.peer.ports["tls"]) * 2]
        sheaf = self.gateway(proxies)
        self.seen, self.strange = [], []
        sheaf.batch(["/o/text"])
        wait_until(lambda: not any(sheaf.metrics()[name] for name in GONE), what="an idle gateway")
        before = sheaf.descriptors()
        end = time.monotonic() + self.SECONDS
        clients = [threading.Thread(target=self.client, args=(sheaf, seed + number, end), daemon=True) for number in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
            self.assertFalse(client.is_alive())
        self.assertEqual(self.strange[:3], [])
        self.assertGreater(self.seen.count(200), len(self.seen) // 4)
        wait_until(lambda: not any(sheaf.metrics()[name] for name in GONE), what="the end of all that flew")
        wait_until(lambda: sheaf.descriptors() <= before, what="as many descriptors as before")
        self.assertEqual(sheaf.metrics()["sheaf_worker_restarts_total"], 0)


if __name__ == "__main__":
    unittest.main()
