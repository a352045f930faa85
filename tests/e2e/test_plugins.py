"""Plugins in the gateway: asked in order, held, caught when they break the contract, refused when they do not fit."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import SHEAF, Case, RawClient, wait_until

OBJECTS = pathlib.Path(SHEAF).resolve().parent / "tests" / "plugins"
ROGUE = f"{{file: {OBJECTS}/rogue_0.so}}"
PLACES = {"top": f"plugins: [{ROGUE}, {{use: example, word: banned}}]",
          "routes": """- {match: "/guarded/{rest...}", rewrite: "/{rest...}", upstream: origin, coalesce: true, plugins: [{use: example, name: guard, word: guarded}]}""",
          "endpoint": "timeout: 2s",
          "endpoints": """- {path: /bulk, kind: bulk, timeout: 2s, each: {method: POST, url: "/o/echo", headers: {x-rogue: "${item/rogue:-}", x-word: "${item/word:-}"}, body: {}}}"""}
FAULTY = ("twice", "none", "answer-and-pass", "wrong", "resume-twice", "answer-twice")


class Plugins(Case):
    places = PLACES

    def ask(self, way, rogue=None, word=None, url="/o/echo"):
        """Status and body, three ways: as a request, as an item, as an element of a bulk."""
        headers = {name: value for name, value in (("x-rogue", rogue), ("x-word", word)) if value}
        if way == "direct":
            answer = self.sheaf.request("POST", url, "{}", {"Content-Type": "application/json", **headers})
            return answer.status, answer.body.decode()
        if way == "item":
            result = self.run_item({"method": "POST", "url": url, "headers": headers, "body": {}})
        else:
            result = self.sheaf.post([{k: v for k, v in (("rogue", rogue), ("word", word)) if v}], path="/bulk").json["responses"][0]
        return result["status"], result.get("body")

    def faults(self):
        return self.sheaf.metrics()["sheaf_plugin_faults_total"]

    def test_one_plugin_decides_the_same_three_ways(self):
        for way in ("direct", "item", "bulk"):
            with self.subTest(way=way):
                self.assertEqual(self.ask(way)[0], 200)
                self.assertEqual(self.ask(way, word="banned")[0], 403)

    def test_whoever_breaks_the_contract_gets_500_and_is_named(self):
        for way in ("direct", "item", "bulk"):
            for what in FAULTY:
                with self.subTest(way=way, what=what):
                    before = self.faults()
                    self.assertEqual(self.ask(way, rogue=what)[0], 500)
                    self.assertEqual(self.faults(), before + 1)
        wait_until(lambda: any('"plugin":"rogue"' in line and "fault" in line for line in self.sheaf.err), what="the log")

    def test_a_request_as_a_whole_is_caught_in_the_same_way(self):
        for what in FAULTY:
            with self.subTest(what=what):
                answer = self.sheaf.batch(["/o/echo"], {"x-rogue-request": what})
                self.assertEqual((answer.status, answer.json["type"]), (500, "urn:sheaf:problem:plugin"))

    def test_who_is_never_let_go_meets_the_deadline(self):
        before = self.faults()
        result = self.run_item({"url": "/o/echo", "headers": {"x-rogue": "never"}, "timeout": "100ms"})
        self.assert_problem(result, 504, "timeout")
        self.assertEqual(self.sheaf.batch(["/o/echo"], {"x-rogue-request": "never"}).status, 504)
        self.assertEqual(self.faults(), before + 2)

    def test_who_is_held_goes_on_or_is_answered(self):
        for way in ("direct", "item", "bulk"):
            self.assertEqual(self.ask(way, rogue="later")[0], 200, way)
            self.assertEqual(self.ask(way, rogue="later-answer"), (200, "late"), way)
        answer = self.sheaf.batch(["/o/echo"], {"x-rogue-request": "later"})
        self.assertEqual((answer.status, answer.json["summary"]["succeeded"]), (207, 1))
        answer = self.sheaf.batch(["/o/echo"], {"x-rogue-request": "later-answer"})
        self.assertEqual((answer.status, answer.body, answer.headers["x-late"]), (200, b"late", "yes"))

    def test_whoever_is_asked_later_still_refuses_what_was_held(self):
        self.assertEqual(self.ask("item", rogue="later", word="banned")[0], 403)

    def test_a_word_that_comes_too_late_finds_nothing(self):
        stale = 'sheaf_plugin_stale_total{plugin="rogue"}'
        before = self.sheaf.metrics()[stale]
        self.assertEqual(self.ask("item", rogue="stale")[0], 200)
        wait_until(lambda: self.sheaf.metrics()[stale] == before + 1, what="the late word")

    def test_heads_are_changed_but_for_what_is_the_gateways(self):
        answer = self.sheaf.batch([{"url": "/o/echo", "headers": {"x-rogue": "mark"}}], {"Authorization": "Bearer x"})
        seen = dict(map(tuple, answer.json["responses"][0]["body"]["headers"]))
        self.assertEqual((seen["x-mark"], seen["x-forwarded-for"], "authorization" in seen), ("made", "127.0.0.1", False))
        self.assertEqual(answer.headers["x-mark"], "made")

    def test_the_head_of_the_answer_is_changed_256_times_and_not_once_it_is_sent(self):
        too_late = 'sheaf_plugin_too_late_total{plugin="rogue"}'
        for path in ("/o/echo", "/nowhere"):
            for headers, more in (({"x-rogue-request": "change"}, 44), ({"x-rogue-done": "1"}, 1)):
                with self.subTest(path=path, headers=headers):
                    before = self.sheaf.metrics()[too_late]
                    self.sheaf.request("GET", path, headers=headers)
                    wait_until(lambda: self.sheaf.metrics()[too_late] == before + more, what="the refusals")
        before = self.sheaf.metrics()[too_late]
        self.assertEqual(self.sheaf.batch(["/o/echo"], {"x-rogue-done": "1"}).status, 207)
        wait_until(lambda: self.sheaf.metrics()[too_late] == before + 1, what="the refusal")

    def test_an_item_that_is_refused_does_not_read_what_another_was_answered(self):
        statuses = [result["status"] for result in self.run_items(
            "/guarded/echo", {"url": "/guarded/echo", "headers": {"x-word": "guarded"}}, "/guarded/echo")]
        self.assertEqual(statuses, [200, 403, 200])

    def test_no_spelling_of_an_item_skips_a_plugin(self):
        urls = ["/guarded/echo", "/%67uarded/echo", "/./guarded/echo", "/x/../guarded/echo", "/x/%2e%2e/guarded/echo",
                "guarded/echo", "./guarded/echo", "/guarded/./echo", "/guarded/x/../echo", "/guarded/echo?a=b", "/guarded//echo"]
        spellings = [{"x-word": "guarded"}, {"X-WORD": "guarded"}, {"X-Word": ["other", "guarded"]}, {"x-wOrD": "  guarded "}]
        items = [{"url": url, "headers": headers} for url in urls for headers in spellings]
        items += [{"url": "/guarded/echo", "headers": spellings[0], "method": method} for method in ("get", "HEAD", "OPTIONS", "DELETE")]
        before = self.origin.count()["served"]
        for item, result in zip(items, self.run_items(*items)):
            with self.subTest(item=item):
                self.assertEqual(result["status"], 403)
        self.assertEqual(self.origin.count()["served"], before)

    def test_what_is_refused_anyway_is_asked_about_as_well(self):
        banned = {"x-word": "banned"}
        for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/batch", 405), ("PUT", "/readonly", 405)):
            with self.subTest(path=path):
                self.assertEqual(self.sheaf.request(method, path).status, status)
                self.assertEqual(self.sheaf.request(method, path, headers=banned).status, 403)
                answer = self.sheaf.request(method, path, headers={"x-rogue-request": "mark"})
                self.assertEqual((answer.status, answer.headers["x-mark"]), (status, "made"))

    def test_the_answer_of_a_plugin_names_the_request(self):
        answer = self.sheaf.request("GET", "/o/echo", headers={"x-word": "banned"})
        self.assertEqual((answer.status, len(answer.headers["x-request-id"])), (403, 16))

    def test_a_client_that_leaves_while_it_is_held_leaves_nothing(self):
        for headers, items in (({"x-rogue-request": "never"}, ["/o/echo"]), ({}, [{"url": "/o/echo", "headers": {"x-rogue": "never"}}])):
            aborts = self.sheaf.metrics()["sheaf_client_aborts_total"]
            conn = self.sheaf.connect()
            conn.request("POST", "/batch", json.dumps({"requests": items}), {"Content-Type": "application/json", **headers})
            conn.close()
            wait_until(lambda: self.sheaf.metrics()["sheaf_client_aborts_total"] == aborts + 1, what="the abort")

    def test_a_dependent_and_an_element_of_for_each_are_asked_as_well(self):
        results = self.run_items({"id": "a", "method": "POST", "url": "/o/echo", "body": {"list": [1, 2]}},
                                 {"id": "b", "url": "/guarded/echo", "headers": {"x-word": "guarded"}, "dependsOn": ["a"]},
                                 {"id": "c", "url": "/guarded/${a.status}", "headers": {"x-word": "guarded"}, "dependsOn": ["a"]})
        self.assertEqual([result["status"] for result in results], [200, 403, 403])


class Kept(Case):
    """A body that a plugin wants whole, and an answer that it puts in the place of another."""
    places = PLACES

    def ask(self, way, word, path, method="GET"):
        if way == "direct":
            answer = self.sheaf.request(method, "/o" + path, headers={"x-rogue-result": word})
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body.decode()
        result = self.run_item({"method": method, "url": "/o" + path, "headers": {"x-rogue-result": word}})
        return result["status"], result["headers"], result.get("body")

    def said(self, what):
        wait_until(lambda: any(what in line for line in self.sheaf.err), what=what)
        self.assertFalse([line for line in self.sheaf.err if "too late is" in line])

    def test_a_body_is_kept_three_ways(self):
        for number, (way, path, size) in enumerate((way, path, size) for way in ("direct", "item")
                                                   for path, size in (("/bytes/%d", 40000), ("/chunked/%d", 3000), ("/bytes/%d", 7))):
            with self.subTest(way=way, path=path):
                size += number  # each says another thing in the log
                status, headers, _ = self.ask(way, "keep100000", path % size)
                self.assertEqual((status, headers["x-kept"]), (200, "yes"))
                self.said(f"kept all {size} bytes of 200")

    def test_an_empty_one_is_whole_too(self):
        self.assertEqual(self.ask("direct", "keep0", "/bytes/5", "HEAD")[1]["x-kept"], "yes")
        self.said("kept all 0 bytes of 200")
        self.assertEqual(self.ask("direct", "keep10", "/status/204")[1]["x-kept"], "yes")
        self.said("kept all 0 bytes of 204")

    def test_what_says_that_it_is_longer_is_not_kept_at_all(self):
        self.assertEqual(self.ask("direct", "keep999", "/bytes/1000")[1]["x-kept"], "no")
        self.assertEqual(self.ask("item", "keep999", "/bytes/1000")[1]["x-kept"], "no")

    def test_what_turns_out_to_be_longer_is_let_go(self):
        status, headers, body = self.ask("direct", "keep70000", "/chunked/90000")
        self.assertEqual((status, headers["x-kept"], len(body)), (200, "yes", 90000))
        self.said("kept no 0 bytes of 200")

    def test_what_is_cut_is_not_whole(self):
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            self.ask("direct", "keep100001", "/half")
        self.said("kept no 0 bytes of 502")

    def test_whose_client_goes_away_is_not_whole(self):
        client = RawClient(self.sheaf.at)
        client.send(b"GET /o/drip/100 HTTP/1.1\r\nHost: h\r\nx-rogue-result: keep100002\r\n\r\n")
        client.read_until(b"x-kept: yes")
        client.close()
        self.said("kept no 0 bytes of 499")

    def test_another_answer_takes_the_place_of_the_one_that_is_here(self):
        for way in ("direct", "item"):
            for path in ("/status/503", "/bytes/90000", "/chunked/90000", "/echo", "/drip/10"):
                with self.subTest(way=way, path=path):
                    status, headers, body = self.ask(way, "replace", path)
                    self.assertEqual((status, body, headers["x-given"], headers["content-type"]), (200, "in its place", "yes", "text/plain"))
                    self.assertNotIn("x-gone", headers)
        self.assertEqual(self.faults(), 0)

    def test_who_wanted_the_body_of_an_answer_that_was_replaced_is_told_that_it_does_not_come(self):
        rogue = ROGUE.replace("}", ", field: x-outer, name: outer}")
        sheaf = self.start(top=f"plugins: [{rogue}, {ROGUE}]")
        for way in ("direct", "item"):
            for path, length in (("/bytes/500", 500), ("/chunked/90000", 90000), ("/drip/10", 10)):
                with self.subTest(way=way, path=path):
                    sheaf.err.clear()
                    headers = {"x-rogue-result": "keep100000", "x-outer-result": "replace"}
                    if way == "direct":
                        self.assertEqual(sheaf.request("GET", "/o" + path, headers=headers).body, b"in its place")
                    else:
                        self.assertEqual(sheaf.batch(["/o" + path], headers).json["responses"][0]["body"], "in its place")
                    wait_until(lambda: [line for line in sheaf.err if "kept no 0 bytes of 200" in line], what="the word")
                    self.assertEqual(len([line for line in sheaf.err if "bytes of" in line]), 2)  # each of the two, once

    def test_who_saw_an_answer_that_was_replaced_hears_nothing_of_the_next_one(self):
        names = ("front", "second", "first")
        fields = ", ".join(ROGUE.replace("}", f", field: x-{name}, name: {name}}}") for name in names)
        sheaf = self.start(top=f"plugins: [{fields}, {ROGUE}]")
        no, new = "kept no 0 bytes of 200", "kept all 12 bytes of 200"
        for way in ("direct", "item"):
            for inner, first, second, front, want in (
                    ("keep100000", "replace", "none", "keep100000", [("first", no), ("front", new), ("rogue", no), ("second", new)]),
                    ("keep100000", "replace", "replace", "keep100000", [("first", no), ("front", new), ("rogue", no)]),
                    ("keep100000", "replace", "keep100000", "replace", [("first", no), ("front", no), ("rogue", no), ("second", no)]),
                    ("none", "replace", "none", "keep100000", [("front", new), ("second", new)])):
                with self.subTest(way=way, inner=inner, first=first, second=second, front=front):
                    sheaf.err.clear()
                    headers = {"x-rogue-result": inner, "x-first-result": first, "x-second-result": second, "x-front-result": front}
                    if way == "direct":
                        self.assertEqual(sheaf.request("GET", "/o/bytes/500", headers=headers).body, b"in its place")
                    else:
                        self.assertEqual(sheaf.batch(["/o/bytes/500"], headers).json["responses"][0]["body"], "in its place")
                    said = [(line["plugin"], line["message"].removesuffix(" application/octet-stream").removesuffix(" text/plain").strip())
                            for line in sheaf.logged("plugin", count=len(want))]
                    self.assertEqual(sorted(said), want)

    def faults(self):
        return self.sheaf.metrics()["sheaf_plugin_faults_total"]

    def test_a_parameter_is_taken_out_of_the_query(self):
        answer = self.sheaf.request("GET", "/o/echo?a=1&rog%75e=x&b=2&rogue")
        self.assertEqual(json.loads(answer.body)["target"], "/echo?a=1&b=2")
        result = self.run_item({"url": "/o/echo?rogue=1"})
        self.assertEqual(result["body"]["target"], "/echo")


class Strangers(Case):
    places = {"top": f"plugins: [{ROGUE}, {{file: {OBJECTS}/rogue_0.so, name: holder, field: x-holder}}]"}

    def ask(self, stranger, holder):
        item = {"method": "POST", "url": "/o/echo", "headers": {"x-rogue": stranger, "x-holder": holder}, "body": {"own": 1}, "timeout": "400ms"}
        before = self.sheaf.metrics()["sheaf_plugin_faults_total"]
        result = self.run_item(item)
        return result, self.sheaf.metrics()["sheaf_plugin_faults_total"] - before

    def test_nobody_releases_or_answers_what_another_plugin_holds(self):
        for what in ("strange-resume", "strange-answer"):
            with self.subTest(what=what):
                result, faults = self.ask(what, "never")
                self.assert_problem(result, 504, "timeout")
                self.assertEqual(faults, 2)  # the stranger's, and that of who never came back
                result, faults = self.ask(what, "later")
                self.assertEqual((result["status"], faults), (200, 1))

    def test_nobody_changes_what_another_plugin_holds(self):
        result, faults = self.ask("strange-change", "later")
        self.assertEqual((result["status"], faults), (200, 0))
        self.assertNotIn("x-strange", dict(map(tuple, result["body"]["headers"])))
        self.assertIn("own", str(result["body"]))


class Shared(Case):
    places = {**PLACES, "workers": 2}

    def count(self):
        return int(self.run_item({"url": "/o/echo", "headers": {"x-rogue": "count"}})["body"])

    def test_memory_is_that_of_all_workers_and_outlives_a_reload(self):
        self.assertEqual([self.count() for _ in range(40)], list(range(1, 41)))
        before = self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}']
        self.sheaf.write_conf(endpoint="timeout: 3s")
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == before + 1, what="the reload")
        self.assertEqual([self.count() for _ in range(20)], list(range(41, 61)))

    def test_a_file_that_was_replaced_is_not_taken_on_reload(self):
        with tempfile.TemporaryDirectory(prefix="sheaf-e2e-") as folder:
            name, new = pathlib.Path(folder) / "mine.so", pathlib.Path(folder) / "new.so"
            shutil.copy(OBJECTS / "rogue_0.so", name)
            sheaf = self.start(top=f"plugins: [{{file: {name}, field: x-one}}]")
            one, two = ({"url": "/o/echo", "headers": {field: "none"}} for field in ("x-one", "x-two"))
            self.assertEqual([result["status"] for result in self.run_items(one, two, sheaf=sheaf)], [500, 200])
            shutil.copy(OBJECTS / "empty.so", new)
            new.rename(name)
            before = sheaf.metrics()['sheaf_reloads_total{outcome="ok"}']
            sheaf.write_conf(top=f"plugins: [{{file: {name}, field: x-two}}]")
            sheaf.signal(signal.SIGHUP)
            wait_until(lambda: sheaf.metrics()['sheaf_reloads_total{outcome="ok"}'] == before + 1, what="the reload")
            self.assertEqual([result["status"] for result in self.run_items(one, two, sheaf=sheaf)], [200, 500])
            os.kill(sheaf.children()[0], signal.SIGKILL)
            wait_until(lambda: sheaf.metrics()['sheaf_worker_restarts_total'] == 1, what="a new worker")
            self.assertEqual([result["status"] for result in self.run_items(one, two, sheaf=sheaf)], [200, 500])

    def test_a_plugin_that_refuses_to_open_refuses_the_reload(self):
        failed = 'sheaf_reloads_total{outcome="failed"}'
        before = self.sheaf.metrics()[failed]
        self.sheaf.write_conf(top=f"plugins: [{{file: {OBJECTS}/rogue_0.so, refuse: open}}]")
        self.sheaf.signal(signal.SIGHUP)
        wait_until(lambda: self.sheaf.metrics()[failed] == before + 1, what="the refusal")
        self.assertEqual(self.run_item({"url": "/o/echo", "headers": {"x-word": "banned"}})["status"], 403)


class Refused(Case):
    def check(self, top):
        text = self.sheaf.write_conf(top=top)
        self.addCleanup(self.sheaf.write_conf)
        self.assertIn(top, text)
        done = subprocess.run([SHEAF, "check", "-c", str(self.sheaf.path)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    def test_what_does_not_fit_is_refused_with_a_reason(self):
        for top, words in ((f"plugins: [{{file: {OBJECTS}/rogue_1.so}}]", "needs version 2.0 of the plugin ABI"),
                           (f"plugins: [{{file: {OBJECTS}/empty.so}}]", "no symbol `sheaf_plugin`"),
                           ("plugins: [{file: nowhere.so}]", "cannot open shared object file"),
                           (f"plugins: [{{file: {OBJECTS}/rogue_0.so, refuse: check}}]", "refuse: it was to refuse"),
                           (f"plugins: [{{file: {OBJECTS}/rogue_0.so, refuse: open}}]", "plugin rogue: it was to refuse")):
            with self.subTest(top=top):
                self.assertIn(words, self.check(top))


if __name__ == "__main__":
    unittest.main()
