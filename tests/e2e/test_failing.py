"""Failing well: retries, ejected servers and the breaker, seen from both sides."""
import contextlib
import itertools
import json
import random
import socket
import struct
import threading
import time

from harness import Case, Origin, Sheaf, wait_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nhi"


def answer(status, *fields):
    head = [f"HTTP/1.1 {status} No", "Content-Length: 4", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\nbusy"


RESET = object()  # the connection ends without a word
SILENCE = object()


class Backend:
    """A server that does with every request what `does` is: bytes to say, RESET, SILENCE, a list of these taken in turn, or what a
    function without arguments says."""

    def __init__(self, does=OK):
        self.does, self.seen, self.conns, self.lock = does, [], {}, threading.Lock()
        self.listener, self.at = None, 0
        self.start()

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.at))
        self.listener.listen(512)
        self.at = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Refuses connections from here on, and resets those it has. A socket that a thread reads from is not closed before that
        thread knows of it: the resets are out only when all have ended."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            conns, self.conns = self.conns, {}
        for conn in conns:
            self._reset(conn)
        for thread in conns.values():
            if thread is not threading.current_thread():
                thread.join(timeout=5)

    @staticmethod
    def _reset(conn):
        with contextlib.suppress(OSError):
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.shutdown(socket.SHUT_RD)
        conn.close()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = listener.accept()
                thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
                thread.start()
                with self.lock:
                    self.conns[conn] = thread

    def _serve(self, conn):
        with contextlib.suppress(OSError, ValueError):
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = conn.recv(65536)
                    if not more:
                        return
                    data += more
                head, data = data.split(b"\r\n\r\n", 1)
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                length = int(fields.get(b"content-length", 0))
                while len(data) < length:
                    data += conn.recv(65536)
                data = data[length:]
                with self.lock:
                    self.seen.append(head.split(b" ", 2)[0].decode() + " " + head.split(b" ", 2)[1].decode())
                    does = self.does if not isinstance(self.does, list) else self.does.pop(0) if self.does else OK
                    does = does() if callable(does) else does
                if does is RESET:
                    self._reset(conn)
                    return
                if does is not SILENCE:
                    conn.sendall(does)


def statuses(results):
    return [result["status"] for result in results]


class BackendCase(Case):
    """Each test has gateways of its own, before backends of its own."""

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def backends(self, *does):
        made = [Backend(one) for one in does]
        for backend in made:
            self.addCleanup(backend.stop)
        return made


class Failing(BackendCase):
    def gateway(self, backends, upstream, route="", **places):
        urls = ", ".join(f'"http://127.0.0.1:{backend.at}"' for backend in backends)
        sheaf = Sheaf(self.origin, upstreams=f"u: {{servers: [{urls}], {upstream}}}",
                      routes=f'- {{match: "/u/{{rest...}}", upstream: u{route}}}', **places)
        self.addCleanup(sheaf.stop)
        return sheaf

    # --- retries ---

    def test_a_failing_server_among_four_costs_no_item_with_retries_on(self):
        for kind in (RESET, answer(503), answer(502)):
            with self.subTest(kind=kind):
                backends = self.backends(kind, OK, OK, OK)
                sheaf = self.gateway(backends, "retry: {budget: 50%}")
                for _ in range(5):
                    self.assertEqual(statuses(self.run_items(*["/u/x"] * 100, sheaf=sheaf)), [200] * 100)
                self.assertGreaterEqual(len(backends[0].seen), 100)
                self.assertGreaterEqual(sheaf.metrics()["sheaf_retries_total"], 100)

    def test_a_server_killed_and_restarted_under_load_costs_no_item(self):
        backends = self.backends(OK, OK, OK, OK)
        sheaf = self.gateway(backends, "retry: {attempts: 3, budget: 100%}, outlier: {eject: 100ms}")
        failed = []
        for round_ in range(12):
            if round_ % 4 == 1:
                killer = threading.Timer(0.005, backends[0].stop)
                killer.start()
            if round_ % 4 == 3:
                killer.join()
                backends[0].start()
            failed += [result for result in self.run_items(*["/u/x"] * 100, sheaf=sheaf) if result["status"] != 200]
        self.assertEqual(failed, [])

    def test_without_the_key_an_answer_is_passed_on(self):
        backends = self.backends(answer(503))
        sheaf = self.gateway(backends, "keepalive: 1s")
        self.assertEqual(self.run_item("/u/x", sheaf=sheaf)["status"], 503)
        self.assertEqual(len(backends[0].seen), 1)

    def test_a_post_is_not_repeated_once_it_was_sent(self):
        backends = self.backends(RESET, RESET)
        sheaf = self.gateway(backends, "retry: {attempts: 5}")
        post = {"method": "POST", "url": "/u/x", "body": {"a": 1}, "headers": {"idempotency-key": "\"7f\""}}
        self.assert_problem(self.run_item(post, sheaf=sheaf), 502, "reset")
        self.assertEqual(len(backends[0].seen + backends[1].seen), 1)

    def test_a_post_with_a_key_is_repeated_where_the_route_says_so(self):
        backends = self.backends(RESET, OK)
        sheaf = self.gateway(backends, "retry: {budget: 100%}", route=", retry_unsafe: true")
        post = {"method": "POST", "url": "/u/x", "body": {"a": 1}}
        keyed = {**post, "headers": {"Idempotency-Key": "\"7f\""}}
        results = self.run_items(keyed, keyed, keyed, keyed, sheaf=sheaf, parallel=1)
        self.assertEqual(statuses(results), [200] * 4)
        for one in post, {**post, "headers": {"Idempotency-Key": ""}}:  # which names nothing
            self.assertEqual(sorted(statuses(self.run_items(one, one, sheaf=sheaf, parallel=1))), [200, 502])

    def test_a_post_goes_to_another_server_when_nothing_was_sent(self):
        dead, alive = self.backends(OK, OK)
        dead.stop()
        sheaf = self.gateway([dead, alive], "retry: {}")
        post = {"method": "POST", "url": "/u/x", "body": {"a": 1}}
        self.assertEqual(statuses(self.run_items(*[post] * 20, sheaf=sheaf)), [200] * 20)

    def test_retry_after_is_honoured_inside_the_deadline_and_passed_on_beyond_it(self):
        backend, = self.backends([answer(429, "Retry-After: 1"), OK, answer(429, "Retry-After: 30")])
        sheaf = self.gateway([backend], "retry: {}")
        started = time.monotonic()
        self.assertEqual(self.run_item("/u/x", sheaf=sheaf)["status"], 200)
        self.assertGreaterEqual(time.monotonic() - started, 0.95)
        result = self.run_item("/u/x", sheaf=sheaf)
        self.assertEqual((result["status"], result["headers"]["retry-after"]), (429, "30"))
        self.assertEqual(len(backend.seen), 3)

    def test_a_retry_never_outlives_the_deadline_of_its_item(self):
        backend, = self.backends([answer(503), SILENCE])
        sheaf = self.gateway([backend], "retry: {attempts: 10}")
        started = time.monotonic()
        result = self.run_item({"url": "/u/x", "timeout": "300ms"}, sheaf=sheaf)
        self.assert_problem(result, 504, "timeout")
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual(len(backend.seen), 2)

    def test_backends_that_all_fail_see_the_budget_and_no_more(self):
        backends = self.backends(*[answer(503)] * 4)
        sheaf = self.gateway(backends, "retry: {attempts: 10, budget: 20%}")
        started, sent = time.monotonic(), 0
        while sent < 2000:
            self.assertEqual(set(statuses(self.run_items(*["/u/x"] * 100, sheaf=sheaf))), {503})
            sent += 100
        seen = sum(len(backend.seen) for backend in backends)
        floor = 3 * (time.monotonic() - started + 1)
        self.assertGreater(seen, 1.1 * sent)
        self.assertLessEqual(seen, 1.2 * sent + floor)
        metrics = sheaf.metrics()
        self.assertEqual(metrics["sheaf_retries_total"], seen - sent)
        self.assertGreater(metrics['sheaf_retries_refused_total{reason="budget"}'], 0)

    def test_a_client_that_leaves_takes_its_resting_items_along(self):
        backend, = self.backends(answer(503))
        sheaf = self.gateway([backend], "retry: {backoff: 5s}", endpoint="max_items: 1000")
        conn = sheaf.connect()
        conn.request("POST", "/batch", b'{"requests":[{"url":"/u/x"},{"url":"/u/x"}]}', {"Content-Type": "application/json"})
        wait_until(lambda: sheaf.metrics()["sheaf_exchanges_resting"] == 2)
        conn.close()
        wait_until(lambda: sheaf.metrics()["sheaf_exchanges_resting"] == 0)
        self.assertEqual(sheaf.metrics()["sheaf_items_in_flight"], 0)

    # --- who it was ---

    def test_a_problem_says_which_server_failed_unless_the_endpoint_hides_it(self):
        backend, = self.backends(RESET)
        told = self.gateway([backend], "")
        hidden = self.gateway([backend], "", endpoint="hide_servers: true")
        for sheaf, detail in ((told, f"127.0.0.1:{backend.at}: connection reset by peer"),
                              (hidden, "The backend closed the connection before its answer was complete")):
            result = self.run_item("/u/x", sheaf=sheaf)
            self.assert_problem(result, 502, "reset")
            self.assertEqual(result["body"]["detail"], detail)
            line = sheaf.logged("server failed")[0]
            self.assertEqual((line["level"], line["upstream"], line["server"], line["error"], line["detail"]),
                             ("warn", "u", f"127.0.0.1:{backend.at}", "reset", "connection reset by peer"))

    def test_what_a_retry_mends_is_logged_all_the_same(self):
        backends = self.backends(RESET, OK)
        sheaf = self.gateway(backends, "retry: {}")
        for _ in range(2):
            self.assertEqual(self.run_item("/u/x", sheaf=sheaf)["status"], 200)
        self.assertEqual(sheaf.logged("server failed")[0]["server"], f"127.0.0.1:{backends[0].at}")

    # --- silence ---

    def test_silence_before_an_answer_and_within_one_is_told_apart(self):
        mute, half = self.backends(SILENCE, answer(200, "Transfer-Encoding: chunked").replace(b"Content-Length: 4\r\n", b"")[:-4] + b"2\r\nhi\r\n")
        for backend, word in ((mute, "began"), (half, "progress")):
            sheaf = self.gateway([backend], "first_byte_timeout: 200ms, idle_timeout: 200ms")
            started = time.monotonic()
            result = self.run_item("/u/x", sheaf=sheaf)
            self.assert_problem(result, 504, "timeout")
            self.assertIn(word, result["body"]["detail"])
            self.assertLess(time.monotonic() - started, 2)

    def test_a_server_that_swallows_requests_costs_no_item_where_timeouts_are_retried(self):
        for on in ("", "on: [timeout], "):  # a time out is a 504, and that is among the defaults
            with self.subTest(on=on):
                backends = self.backends(SILENCE, OK, OK, OK)
                sheaf = self.gateway(backends, f"first_byte_timeout: 200ms, retry: {{{on}budget: 50%}}, outlier: {{eject: 60s}}")
                for _ in range(3):
                    self.assertEqual(statuses(self.run_items(*["/u/x"] * 100, sheaf=sheaf)), [200] * 100)
                self.assertLessEqual(len(backends[0].seen), 25)
                self.assertEqual(sheaf.metrics()["sheaf_servers_ejected"], 1)

    def test_a_server_that_swallows_posts_gets_each_of_them_once(self):
        backends = self.backends(SILENCE, SILENCE)
        sheaf = self.gateway(backends, "first_byte_timeout: 200ms, retry: {budget: 100%}")
        results = self.run_items(*[{"method": "POST", "url": "/u/x", "body": {}}] * 4, sheaf=sheaf)
        self.assertEqual(statuses(results), [504] * 4)
        self.assertEqual(sum(len(backend.seen) for backend in backends), 4)

    # --- fallback ---

    def with_fallback(self, first, second, upstream, route=""):
        sheaf = Sheaf(self.origin,
                      upstreams=f'u: {{servers: ["http://127.0.0.1:{first.at}"], {upstream}}}\n'
                                f'f: {{servers: ["http://127.0.0.1:{second.at}"], keepalive: 1s}}',
                      routes=f'- {{match: "/u/{{rest...}}", upstream: u, fallback: f{route}}}')
        self.addCleanup(sheaf.stop)
        return sheaf

    def test_a_fallback_answers_when_the_upstream_cannot(self):
        first, second = self.backends([RESET, answer(502), answer(503), answer(504), SILENCE], OK)
        sheaf = self.with_fallback(first, second, "first_byte_timeout: 200ms")
        for _ in range(5):
            self.assertEqual(self.run_item("/u/x", sheaf=sheaf)["body"], "hi")
        first.stop()
        self.assertEqual(self.run_item("/u/x", sheaf=sheaf)["body"], "hi")
        self.assertEqual((len(first.seen), len(second.seen)), (5, 6))
        self.assertEqual(sheaf.metrics()["sheaf_fallbacks_total"], 6)

    def test_a_fallback_is_not_asked_about_what_the_upstream_answered(self):
        first, second = self.backends([OK, answer(404), answer(429), answer(500), answer(501)], OK)
        sheaf = self.with_fallback(first, second, "keepalive: 1s")
        results = self.run_items(*["/u/x"] * 5, sheaf=sheaf, parallel=1)
        self.assertEqual(statuses(results), [200, 404, 429, 500, 501])
        self.assertEqual(second.seen, [])

    def test_a_fallback_comes_after_the_retries_and_its_answer_is_final(self):
        first, second = self.backends(answer(503), answer(503))
        sheaf = self.with_fallback(first, second, "retry: {attempts: 2}")
        self.assertEqual(self.run_item("/u/x", sheaf=sheaf)["status"], 503)
        self.assertEqual((len(first.seen), len(second.seen)), (2, 1))

    def test_a_fallback_answers_while_the_breaker_is_open(self):
        first, second = self.backends(answer(500), OK)
        sheaf = self.with_fallback(first, second, "breaker: {requests: 10, open: 60s}")
        self.run_items(*["/u/x"] * 10, sheaf=sheaf)
        self.assertEqual(statuses(self.run_items(*["/u/x"] * 20, sheaf=sheaf)), [200] * 20)
        self.assertEqual((len(first.seen), len(second.seen)), (10, 20))

    def test_a_post_goes_to_the_fallback_only_where_that_does_no_harm(self):
        post = {"method": "POST", "url": "/u/x", "body": 1, "headers": {"idempotency-key": "k"}}
        for route, want in (("", [502, 503]), (", retry_unsafe: true", [200, 200])):
            first, second = self.backends([RESET, answer(503)], OK)
            sheaf = self.with_fallback(first, second, "keepalive: 1s", route)
            self.assertEqual(statuses(self.run_items(post, post, sheaf=sheaf, parallel=1)), want)
            first.stop()
            self.assertEqual(self.run_item(post, sheaf=sheaf)["status"], 200)  # nothing was sent

    def test_a_fallback_stays_within_the_deadline_of_its_item(self):
        first, second = self.backends(answer(503), SILENCE)
        sheaf = self.with_fallback(first, second, "keepalive: 1s")
        started = time.monotonic()
        self.assert_problem(self.run_item({"url": "/u/x", "timeout": "300ms"}, sheaf=sheaf), 504, "timeout")
        self.assertLess(time.monotonic() - started, 2)

    # --- ejection ---

    def test_an_ejected_server_gets_nothing_and_comes_back(self):
        backends = self.backends(answer(500), OK, OK, OK)
        sheaf = self.gateway(backends, "outlier: {errors: 5, eject: 1s}")
        results = self.run_items(*["/u/x"] * 40, sheaf=sheaf)
        self.assertEqual(statuses(results).count(500), len(backends[0].seen))
        wait_until(lambda: sheaf.metrics()["sheaf_servers_ejected"] == 1)
        before = len(backends[0].seen)
        self.assertEqual(statuses(self.run_items(*["/u/x"] * 100, sheaf=sheaf)), [200] * 100)
        self.assertEqual(len(backends[0].seen), before)
        backends[0].does = OK
        wait_until(lambda: sheaf.metrics()["sheaf_servers_ejected"] == 0)
        self.assertEqual(statuses(self.run_items(*["/u/x"] * 100, sheaf=sheaf)), [200] * 100)
        self.assertEqual(len(backends[0].seen), before + 25)
        log = sheaf.logged("server ejected", "server readmitted", count=2)
        self.assertEqual([(line["upstream"], line["server"]) for line in log], [("u", f"127.0.0.1:{backends[0].at}")] * 2)

    def test_a_mute_server_is_ejected_by_the_timeout_of_a_route_and_not_by_that_of_an_item(self):
        for route, timeout, ejected in ((", timeout: 300ms", "1s", 1), ("", "300ms", 0)):
            backends = self.backends(SILENCE, OK)
            sheaf = self.gateway(backends, "outlier: {errors: 3, eject: 60s}", route)
            self.assertEqual(statuses(self.run_items(*[{"url": "/u/x", "timeout": timeout}] * 8, sheaf=sheaf)).count(504), 4)
            self.assertEqual(sheaf.metrics()["sheaf_servers_ejected"], ejected)

    def test_a_share_of_errors_ejects_as_many_servers_as_may_be(self):
        backends = self.backends([answer(500), OK] * 100, [answer(500), OK] * 100, OK, OK)
        sheaf = self.gateway(backends, "outlier: {errors: 0, ratio: 50%, interval: 1m, eject: 60s, max_ejected: 25%}")
        for _ in range(4):
            self.run_items(*["/u/x"] * 100, sheaf=sheaf)
        self.assertEqual(sheaf.metrics()["sheaf_ejections_total"], 1)
        first, second = sorted(len(backend.seen) for backend in backends[:2])
        self.assertTrue(20 <= first < 50 < second, (first, second))

    def test_a_server_is_left_out_no_longer_than_may_be(self):
        backends = self.backends(answer(500), OK)
        sheaf = self.gateway(backends, "outlier: {errors: 1, eject: 50ms, max_eject: 100ms}")
        wait_until(lambda: self.run_items("/u/x", "/u/x", sheaf=sheaf) and sheaf.metrics()["sheaf_ejections_total"] >= 5)
        times = [line["for_ms"] for line in sheaf.logged("server ejected", count=5)]
        self.assertTrue(50 <= times[0] <= 55 and all(100 <= ms <= 110 for ms in times[1:]), times)

    def test_servers_that_all_fail_are_not_all_ejected(self):
        backends = self.backends(*[answer(500)] * 4)
        sheaf = self.gateway(backends, "outlier: {errors: 1, eject: 60s}")
        for _ in range(3):
            self.assertEqual(set(statuses(self.run_items(*["/u/x"] * 50, sheaf=sheaf))), {500})
        self.assertEqual(sheaf.metrics()["sheaf_servers_ejected"], 2)

    def test_a_reload_that_changes_nothing_keeps_a_server_ejected_and_one_that_does_starts_anew(self):
        backends = self.backends(answer(500), OK)
        sheaf = self.gateway(backends, "outlier: {errors: 1, eject: 60s}")
        self.run_items(*["/u/x"] * 4, sheaf=sheaf)
        self.assertEqual(sheaf.metrics()["sheaf_servers_ejected"], 1)
        reloads = 'sheaf_reloads_total{outcome="ok"}'
        sheaf.signal(1)
        wait_until(lambda: sheaf.metrics()[reloads] == 1)
        before = len(backends[0].seen)
        self.assertEqual(statuses(self.run_items(*["/u/x"] * 10, sheaf=sheaf)), [200] * 10)
        self.assertEqual(len(backends[0].seen), before)
        sheaf.write_conf(upstreams=sheaf.places["upstreams"].replace("60s", "59s"))
        sheaf.signal(1)
        wait_until(lambda: sheaf.metrics()[reloads] == 2)
        wait_until(lambda: sheaf.metrics()["sheaf_servers_ejected"] == 0)
        backends[0].does = OK
        self.run_items(*["/u/x"] * 10, sheaf=sheaf)
        self.assertEqual(len(backends[0].seen), before + 5)

    # --- the breaker ---

    def test_a_breaker_opens_refuses_at_once_and_closes_after_a_probe(self):
        backend, = self.backends(answer(500))
        sheaf = self.gateway([backend], "breaker: {requests: 20, open: 1s}")
        self.run_items(*["/u/x"] * 20, sheaf=sheaf)
        results = self.run_items(*["/u/x"] * 50, "/o/text", sheaf=sheaf)
        for result in results[:50]:
            self.assert_problem(result, 503, "breaker-open")
        self.assertEqual(results[50]["status"], 200)  # another upstream
        self.assertEqual(len(backend.seen), 20)
        self.assertEqual(sheaf.metrics()["sheaf_breaker_refused_total"], 50)
        self.assertEqual(sheaf.metrics()["sheaf_breakers_open"], 1)
        backend.does = OK
        wait_until(lambda: self.run_item("/u/x", sheaf=sheaf)["status"] == 200)
        self.assertEqual(len(backend.seen), 21)
        self.assertEqual(statuses(self.run_items(*["/u/x"] * 50, sheaf=sheaf)), [200] * 50)
        self.assertEqual(sheaf.metrics()["sheaf_breakers_open"], 0)
        self.assertEqual([line["event"] for line in sheaf.logged("breaker opened", "breaker closed", count=2)],
                         ["breaker opened", "breaker closed"])

    def test_a_probe_that_fails_keeps_the_breaker_open(self):
        backend, = self.backends(answer(500))
        sheaf = self.gateway([backend], "breaker: {requests: 10, open: 200ms}")
        self.run_items(*["/u/x"] * 10, sheaf=sheaf)
        wait_until(lambda: self.run_item("/u/x", sheaf=sheaf)["status"] == 500)
        self.assert_problem(self.run_item("/u/x", sheaf=sheaf), 503, "breaker-open")
        self.assertEqual(len(backend.seen), 11)
        self.assertEqual(sheaf.metrics()["sheaf_breaker_opened_total"], 2)

    # --- all at once ---

    def in_trouble(self, more, also=()):
        """Backends that do whatever they like, clients that leave, reloads between them: every item has a status, and nothing is
        left. `more` is written of the upstream, too; what of `also` must have been counted."""
        dice = random.Random(7)
        acts = [OK] * 12 + [RESET, SILENCE, answer(500), answer(502), answer(503), answer(429, "Retry-After: 0"), OK[:20],
                            answer(503, "Retry-After: 1"), answer(503)[:-2], answer(504, "Connection: close"), b"nonsense\r\n\r\n"]
        backends = self.backends(*[lambda: dice.choice(acts)] * 5)
        urls = ", ".join(f'"http://127.0.0.1:{backend.at}"' for backend in backends[:4])
        sheaf = Sheaf(self.origin,
                      upstreams=f"""u: {{servers: [{urls}], first_byte_timeout: 50ms, idle_timeout: 50ms, retry: {{attempts: 4, on: [connect, reset, 502, 503, 504, 429, timeout], backoff: 5ms, budget: 50%}}, outlier: {{errors: 3, eject: 50ms}}, breaker: {{errors: 30%, requests: 10, window: 1s, open: 50ms, probes: 2}}, {more}}}
                      f: {{servers: ["http://127.0.0.1:{backends[4].at}"], first_byte_timeout: 50ms, idle_timeout: 50ms}}""",
                      routes='- {match: "/u/{rest...}", upstream: u, fallback: f, retry_unsafe: true}')
        self.addCleanup(sheaf.stop)
        items = [{"url": "/u/x"}, {"url": "/u/x", "timeout": "60ms"}, {"url": "/u/x", "method": "POST", "body": 1},
                 {"url": "/u/x", "method": "PUT", "body": 1, "headers": {"idempotency-key": "k"}}] * 10
        strange, end = [], time.monotonic() + 6

        def client(number):
            mine = random.Random(number)
            while time.monotonic() < end:
                if mine.random() < 0.3:
                    conn = sheaf.connect()
                    conn.request("POST", "/batch", json.dumps({"requests": items}), {"Content-Type": "application/json"})
                    time.sleep(mine.random() * 0.05)  # a client that leaves in the middle
                    conn.close()
                    continue
                got = sheaf.batch(items)
                seen = statuses(got.json["responses"])
                if got.status != 207 or len(seen) != len(items) or set(seen) - {200, 429, 500, 502, 503, 504}:
                    strange.append((got.status, seen))

        clients = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(4)]
        for thread in clients:
            thread.start()
        for number in itertools.count():
            if time.monotonic() >= end:
                break
            if number % 5 == 0:  # with another upstream, or the same: what flies ends where it began
                sheaf.write_conf(upstreams=sheaf.places["upstreams"].replace("eject: 50ms", f"eject: {50 + number % 2}ms"))
                sheaf.signal(1)
            victim = dice.choice(backends)
            victim.stop()
            time.sleep(0.05)  # the pace of the trouble: nothing is awaited
            victim.start()
            time.sleep(0.1)
        for thread in clients:
            thread.join(60)
        self.assertEqual(strange, [])
        gone = ("sheaf_exchanges_in_flight", "sheaf_exchanges_resting", "sheaf_exchanges_waiting", "sheaf_items_in_flight", "sheaf_batches_in_flight",
                'sheaf_backend_connections{state="active"}', 'sheaf_backend_connections{state="connecting"}')
        wait_until(lambda: not any(sheaf.metrics()[name] for name in gone), what="the end of all that flew")
        metrics = sheaf.metrics()
        for name in ("sheaf_retries_total", "sheaf_ejections_total", "sheaf_fallbacks_total", "sheaf_breaker_opened_total", *also):
            self.assertGreater(metrics[name], 0, name)

    def test_whatever_backends_do_every_item_has_a_status_and_nothing_is_left(self):
        self.in_trouble("max_connections: 16")

    def test_so_it_is_with_hedges(self):
        self.in_trouble("hedge: {after: 10ms, budget: 50%}, max_in_flight: 300",
                        also=("sheaf_hedges_total", "sheaf_hedges_won_total"))

    def test_so_it_is_with_limits_and_shedding(self):
        self.in_trouble("max_connections: 16, hedge: {after: 10ms, budget: 50%}, max_in_flight: 14, shed: true, pipeline: 4, "
                        "adaptive: {min: 3, window: 20ms, measure: 1s}", also=("sheaf_exchange_wait_seconds_count",))
