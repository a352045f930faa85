"""Every way in which bytes go wrong between gateway and backend, with and without what is there to heal it.

One gateway has an upstream for each fault and each of four configurations: nothing, retries, outlier ejection, a
fallback. A batch of items that meet the fault and of siblings that do not is posted; each item must end as the table
says, within its time.
"""
import dataclasses
import json
import time
import unittest

from fault_proxy import END, HONEST, RESET, STALL, Fault, FaultProxy
from harness import Case, Origin, Sheaf, wait_until

LIMIT_MS = 600  # of each of the three limits of silence
SLACK = 3.0  # what a busy machine may add, seconds
COUNT = 6  # items that meet each fault
ANSWER, HEAD, WHOLE = "/json/200", 130, 341  # bytes of its head, and with the body
IN_HEAD, IN_BODY = 20, 200
KEYS = (f"connect_timeout: {LIMIT_MS}ms, first_byte_timeout: {LIMIT_MS}ms, idle_timeout: {LIMIT_MS}ms, "
        "keepalive: 100ms")
WAYS = {"plain": "", "retry": "", "outlier": "", "fallback": ", fallback: spare"}
GONE = ("sheaf_items_in_flight", "sheaf_exchanges_resting", "sheaf_exchanges_waiting",
        'sheaf_backend_connections{state="active"}', 'sheaf_backend_connections{state="connecting"}',
        'sheaf_backend_connections{state="idle"}')


@dataclasses.dataclass(frozen=True)
class Trouble:
    """A fault and what an item gets that meets it: a status, the slug of its problem, a word of the detail."""
    fault: Fault = HONEST
    act: str = ""  # what is done to the proxy instead
    status: int = 200
    slug: str = ""
    word: str = ""
    heals: bool = False  # another attempt, or the fallback, may still answer
    is_dial: bool = False  # another server is dialed at once, whatever the configuration
    is_race: bool = False  # it may come before anything was sent, and then is one of these


def cut(after, then, word="", heals=False):
    status, slug = (504, "timeout") if then == STALL else (502, "reset")
    return Trouble(Fault(after=after, then=then), status=status, slug=slug, word=word, heals=heals)


TROUBLES = {
    "late": Trouble(Fault(delay=LIMIT_MS / 2000)),
    "crumbs": Trouble(Fault(piece=1)),
    "drops": Trouble(Fault(piece=30, pause=LIMIT_MS / 8000)),  # takes longer than the limit, and is never silent for so long
    "deaf": Trouble(Fault(is_deaf=True), status=504, slug="timeout", word="began", heals=True),
    "silent": cut(0, STALL, "began", heals=True),
    "stalled_head": cut(IN_HEAD, STALL, "progress", heals=True),
    "stalled_body": cut(IN_BODY, STALL, "progress"),
    "ended": cut(0, END, heals=True),
    "cut_head": cut(IN_HEAD, END, heals=True),
    "cut_body": cut(IN_BODY, END),
    "reset": cut(0, RESET, "reset", heals=True),
    "reset_head": cut(IN_HEAD, RESET, heals=True),
    "reset_body": cut(IN_BODY, RESET),
    "unwelcome": Trouble(Fault(is_cut_at_once=True), status=502, slug="reset", heals=True, is_race=True),
    "garbled": Trouble(Fault(flip=0), status=502, slug="malformed"),
    "refused": Trouble(act="stop", status=502, slug="refused", heals=True, is_dial=True),
    "unanswered": Trouble(act="block", status=504, slug="connect-timeout", heals=True, is_dial=True),
}


def is_quiet(sheaf):
    metrics = sheaf.metrics()
    return not any(metrics[name] for name in GONE)


class Faults(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)
        cls.proxies = {name: FaultProxy(cls.origin.at) for name in TROUBLES}
        for proxy in cls.proxies.values():
            cls.addClassCleanup(proxy.stop)
        upstreams = [line for name, proxy in cls.proxies.items() for line in cls.upstreams(name, proxy.at)]
        routes = [f'- {{match: "/{name}/{way}/{{rest...}}", rewrite: "/{{rest...}}", upstream: {name}_{way}{more}}}'
                  for name in TROUBLES for way, more in WAYS.items()]
        cls.sheaf = Sheaf(cls.origin, upstream="keepalive: 100ms",
                          endpoint="timing: true, max_items: 1000, parallel: 1000",
                          upstreams="\n".join([f'spare: {{servers: ["http://127.0.0.1:{cls.origin.at}"], {KEYS}}}', *upstreams]),
                          routes="\n".join(routes))
        cls.addClassCleanup(cls.sheaf.stop)
        cls.sheaf.batch(["/o/text"] * 5)
        wait_until(lambda: is_quiet(cls.sheaf), what="the end of all connections")
        cls.baseline = cls.sheaf.descriptors()

    @classmethod
    def upstreams(cls, name, port):
        bad, good = f'"http://127.0.0.1:{port}"', f'"http://127.0.0.1:{cls.origin.at}"'
        yield f"{name}_plain: {{servers: [{bad}], {KEYS}}}"
        yield (f"{name}_retry: {{servers: [{bad}, {good}], {KEYS}, "
               "retry: {on: [connect, reset, timeout], budget: 100%, backoff: 5ms}}")
        yield f"{name}_outlier: {{servers: [{bad}, {good}], {KEYS}, outlier: {{errors: 1, eject: 60s}}}}"
        yield f"{name}_fallback: {{servers: [{bad}], {KEYS}}}"

    def tearDown(self):
        wait_until(lambda: is_quiet(self.sheaf), what="the end of all connections")
        wait_until(lambda: self.sheaf.descriptors() <= self.baseline, what="as many descriptors as before")

    def begin(self):
        for name, trouble in TROUBLES.items():
            self.proxies[name].fault = trouble.fault
            if trouble.act:
                getattr(self.proxies[name], trouble.act)()
        self.is_over = False
        self.addCleanup(self.end)

    def end(self):
        if self.is_over:
            return
        self.is_over = True
        for name, trouble in TROUBLES.items():
            self.proxies[name].fault = HONEST
            if trouble.act == "stop":
                self.proxies[name].start()
            elif trouble.act == "block":
                self.proxies[name].unblock()

    def post(self, way):
        """One batch that meets every trouble at once: {trouble: results}, after the siblings have been looked at."""
        urls = [f"/{name}/{way}{ANSWER}" for name in TROUBLES for _ in range(COUNT)]
        started = time.monotonic()
        results = self.run_items("/o/text", *urls, "/o/text")
        self.assertLess(time.monotonic() - started, 3 * LIMIT_MS / 1000 + SLACK)
        self.assertEqual(len(results), len(urls) + 2)
        for sibling in (results[0], results[-1]):
            self.assertEqual(sibling["status"], 200)
            self.assertLess(sibling["elapsedMs"], LIMIT_MS)
        return {name: results[1 + at * COUNT:][:COUNT] for at, name in enumerate(TROUBLES)}

    def assert_whole(self, result):
        self.assertEqual(result["status"], 200, result)
        self.assertEqual(len(result["body"]["fill"]), 200)

    def assert_met(self, trouble, result):
        if trouble.status == 200:
            self.assert_whole(result)
            return
        self.assert_problem(result, trouble.status, trouble.slug)
        self.assertIn(trouble.word, result["body"].get("detail", ""))
        port = next(self.proxies[name].at for name, one in TROUBLES.items() if one is trouble)
        self.assertTrue(result["body"]["detail"].startswith(f"127.0.0.1:{port}: "), result)

    def assert_met_or_whole(self, trouble, results):
        """How many met it."""
        failed = [result for result in results if result["status"] != 200]
        for result in results:
            self.assert_met(trouble, result) if result in failed else self.assert_whole(result)
        return len(failed)

    def assert_all_whole(self, way):
        for name, results in self.post(way).items():
            with self.subTest(healed=name):
                for result in results:
                    self.assert_whole(result)

    def each(self, way):
        for name, results in self.post(way).items():
            yield name, TROUBLES[name], results

    def test_without_help_an_item_gets_what_its_backend_did(self):
        self.begin()
        for name, trouble, results in self.each("plain"):
            with self.subTest(trouble=name):
                for result in results:
                    self.assert_met(trouble, result)
        self.end()
        self.assert_all_whole("plain")

    def test_with_retries_only_what_had_begun_to_answer_fails(self):
        self.begin()
        for name, trouble, results in self.each("retry"):
            with self.subTest(trouble=name):
                is_healed = trouble.heals or trouble.status == 200
                self.assertEqual(self.assert_met_or_whole(trouble, results), 0 if is_healed else COUNT // 2)
        self.end()
        self.assert_all_whole("retry")

    def test_an_ejected_server_costs_what_it_had_taken_and_nothing_after(self):
        self.begin()
        for name, trouble, results in self.each("outlier"):
            with self.subTest(trouble=name):
                is_free = trouble.is_dial or trouble.status == 200
                failed = self.assert_met_or_whole(trouble, results)
                self.assertIn(failed, range(0 if is_free or trouble.is_race else COUNT // 2, 1 if is_free else COUNT // 2 + 1))
        bad = [name for name, trouble in TROUBLES.items() if trouble.status != 200]
        ejected = [line["upstream"] for line in self.sheaf.logged("server ejected", count=len(bad))]
        self.assertEqual(sorted(ejected), sorted(f"{name}_outlier" for name in bad))
        taken = {name: self.proxies[name].accepted for name in bad}
        self.assert_all_whole("outlier")
        self.assertEqual(taken, {name: self.proxies[name].accepted for name in bad})

    def test_a_fallback_stands_in_for_all_that_had_not_begun_to_answer(self):
        self.begin()
        for name, trouble, results in self.each("fallback"):
            with self.subTest(trouble=name):
                for result in results:
                    self.assert_whole(result) if trouble.heals else self.assert_met(trouble, result)
        self.end()
        self.assert_all_whole("fallback")


class Proxied(Case):
    def gateway(self, proxy, keys, more="", limit_ms=1000):
        return self.start(endpoint="max_items: 1000, max_body: 8MiB, max_item_body: 8MiB",
                          upstreams=f'u: {{servers: ["http://127.0.0.1:{proxy.at}"{more}], keepalive: 0s, '
                                    f'first_byte_timeout: {limit_ms}ms, idle_timeout: {limit_ms}ms, {keys}}}',
                          routes='- {match: "/u/{rest...}", rewrite: "/{rest...}", upstream: u, max_body: 8MiB}')

    def proxy(self, port, faults):
        proxy = FaultProxy(port, faults)
        self.addCleanup(proxy.stop)
        return proxy


class EveryByte(Proxied):
    """A connection for each byte of an answer, that goes wrong there."""

    def cut(self, keys, then, more=""):
        """How many whole answers come when each connection is cut one byte later; the others are resets."""
        proxy = self.proxy(self.origin.at, [Fault(after=at, then=then) for at in range(WHOLE + 1)])
        sheaf = self.gateway(proxy, keys, more)
        results = self.run_items(*[f"/u{ANSWER}"] * (WHOLE + 1), sheaf=sheaf)
        for result in results:
            if result["status"] == 200:
                self.assertEqual(len(result["body"]["fill"]), 200)
            else:
                self.assert_problem(result, 502, "reset")
        self.assertEqual(proxy.accepted, WHOLE + 1)
        return sum(result["status"] == 200 for result in results)

    def test_an_answer_cut_at_any_byte_is_never_taken_for_a_whole_one(self):
        for then in (END, RESET):
            with self.subTest(then=then):
                self.assertEqual(self.cut("timeout: 10s", then), 1)

    def test_an_answer_cut_within_its_head_is_asked_of_another_server(self):
        for then in (END, RESET):
            with self.subTest(then=then):
                backup = f', {{url: "http://127.0.0.1:{self.origin.at}", backup: true}}'
                self.assertEqual(self.cut("retry: {budget: 100%, backoff: 1ms}", then, backup), HEAD + 1)


class Requests(Proxied):
    """Of a megabyte, to backends that do not want it."""
    ITEM = {"url": "/u/echo", "headers": {"content-type": "text/plain", "idempotency-key": "k"}, "body": "x" * (1 << 20)}

    def meet(self, method, fault, keys, more=""):
        proxy = self.proxy(self.origin.at, fault)
        sheaf = self.gateway(proxy, keys, more)
        results = self.run_items({**self.ITEM, "method": method}, "/o/text", sheaf=sheaf)
        self.assertEqual(results[1]["status"], 200)
        return results[0], proxy

    def test_a_backend_that_reads_nothing_costs_the_timeout(self):
        started = time.monotonic()
        result, _ = self.meet("POST", Fault(is_deaf=True), "timeout: 1500ms")
        self.assert_problem(result, 504, "timeout")
        self.assertLess(time.monotonic() - started, 1.5 + SLACK)

    def test_a_reset_within_a_request_is_no_reason_to_repeat_a_post(self):
        spare = f', {{url: "http://127.0.0.1:{self.origin.at}", backup: true}}'
        for fault in (Fault(reads=1 << 18), Fault(reads=1)):
            for method, status in (("POST", 502), ("PUT", 200)):
                with self.subTest(method=method, fault=fault):
                    result, proxy = self.meet(method, fault, "retry: {}", spare)
                    self.assertEqual((result["status"], proxy.accepted), (status, 1), result)

    def test_a_backend_that_reads_slowly_gets_all_of_it(self):
        item = {**self.ITEM, "method": "POST", "body": "0123456789abcdef" * (1 << 18)}
        proxy = self.proxy(self.origin.at, Fault(sips=1 << 16, pause=0.02))
        result = self.run_item(item, sheaf=self.gateway(proxy, "timeout: 30s", limit_ms=9000))
        self.assertEqual(result["status"], 200, str(result)[:300])
        self.assertTrue(result["body"]["body"] == item["body"])


if __name__ == "__main__":
    unittest.main()
