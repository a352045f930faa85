"""How the answer leaves: lingering, streaming, back-pressure, HTTP/2, and clients that go away."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

from harness import Case, RawClient, wait_until

MEGA = 1000000
HELD = "sheaf_result_bytes_held"


class Streams(Case):
    places = {"endpoint": "budget: 4MiB, timeout: 60s", "upstream": "timeout: 30s"}

    def test_a_fast_batch_is_one_write_with_content_length(self):
        answer = self.sheaf.batch(["/o/text"] * 3)
        self.assertIn("content-length", answer.headers)
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))

    def test_a_slow_batch_streams_item_by_item(self):
        client = RawClient(self.sheaf.at)
        client.post({"requests": [{"url": "/o/text"}, {"url": "/o/delay/700"}]})
        data = client.read_until(b"plain")
        self.assertIn(b"transfer-encoding: chunked", data.lower())
        self.assertEqual(self.origin.count()["flying"], 1, "the first result came while the second item still flew")
        client.read_until(b"\r\n0\r\n\r\n")
        client.close()

    def test_a_large_batch_streams(self):
        answer = self.sheaf.batch(["/o/json/40000"] * 3)
        self.assertEqual(answer.headers.get("transfer-encoding"), "chunked")
        self.assertEqual(len(answer.json["responses"]), 3)

    def test_a_hundred_mebibytes_behind_a_slow_head_end(self):
        urls = [f"/o/delay/500/json/{MEGA}"] + [f"/o/json/{MEGA}"] * 99
        results = self.run_items(*urls)
        self.assertEqual(len(results), 100)
        self.assertTrue(all(result["status"] == 200 and len(result["body"]["fill"]) == MEGA for result in results))

    def test_a_first_item_that_waits_for_the_last_ends(self):
        items = [{"url": f"/o/json/{MEGA}", "dependsOn": ["29"]}] + [f"/o/json/{MEGA}"] * 29
        for order in ("request", "completion"):
            results = self.run_items(*items, order=order)
            self.assertEqual([result["status"] for result in results], [200] * 30)

    def test_a_slow_reader_holds_no_more_than_the_budget(self):
        self.origin.reset()
        client = RawClient(self.sheaf.at, receive_buffer=4096)
        client.post({"requests": [{"url": f"/o/json/{MEGA}"}] * 40})
        client.read_until(b"207")
        history = []

        def is_stuck():
            history.append((time.monotonic(), self.origin.count()["served"]))
            return [entry for entry in history if entry[1] == history[-1][1] and entry[0] < history[-1][0] - 0.5]

        wait_until(is_stuck, 20, "the fan-out waiting for its client")
        self.assertLess(history[-1][1], 20)
        self.assertLessEqual(self.sheaf.metrics()[HELD], 6 * 1024 * 1024)
        data = client.read_until(b"\r\n0\r\n\r\n")
        self.assertGreater(len(data), 39 * MEGA)
        self.assertEqual(self.origin.count()["served"], 40)
        client.close()
        wait_until(lambda: self.sheaf.metrics()[HELD] == 0, 5, "nothing held")

    def test_a_streamed_document_is_whole_for_every_order(self):
        urls = [f"/o/delay/{(index * 37) % 60}/json/{index * 100}" for index in range(60)]
        for order in ("request", "completion"):
            results = self.run_items(*urls, order=order)
            self.assertEqual(sorted(int(result["id"]) for result in results), list(range(60)))

    def test_keepalive_connections_serve_batch_after_batch(self):
        conn = self.sheaf.connect()
        for number in range(50):
            urls = ["/o/text"] * (number % 5) + (["/o/delay/30"] if number % 10 == 0 else [])
            answer = self.sheaf.batch(urls, conn=conn)
            self.assertEqual(len(answer.json["responses"]), len(urls))
        conn.close()


class Http2(Case):
    def curl(self, body, *options):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(body, file)
            file.flush()
            return subprocess.run(
                ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "30", "-H", "Content-Type: application/json",
                 "--data-binary", f"@{file.name}", "-w", "\n%{http_version} %{http_code}", *options,
                 f"http://127.0.0.1:{self.sheaf.at}/batch"], capture_output=True, check=True).stdout.decode()

    def test_prior_knowledge_serves_batches(self):
        out = self.curl({"requests": [{"url": "/o/json/100"}, {"url": "/o/delay/50"}, {"url": "/o/half"}]})
        body, _, last = out.rpartition("\n")
        self.assertEqual(last, "2 207")
        self.assertEqual([result["status"] for result in json.loads(body)["responses"]], [200, 200, 502])

    def test_refusals_and_large_answers_too(self):
        self.assertTrue(self.curl({"requests": [5]}).endswith("2 400"))
        body, _, last = self.curl({"requests": [{"url": "/o/json/900000"}] * 10}).rpartition("\n")
        self.assertEqual((last, len(json.loads(body)["responses"])), ("2 207", 10))

    def test_many_streams_on_one_connection(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"requests": [{"url": "/o/json/1000"}, {"url": "/o/delay/5"}] * 5}, file)
            file.flush()
            out = subprocess.run(
                ["nghttp", "-n", "-s", "-m", "60", "-H", "content-type: application/json", "-d", file.name,
                 f"http://127.0.0.1:{self.sheaf.at}/batch"], capture_output=True, timeout=60).stdout.decode()
        self.assertEqual(out.count(" 207 "), 60, out[-500:])

    def test_a_client_that_goes_away_on_http2_cancels_too(self):
        self.origin.reset()
        curl = subprocess.Popen(
            ["curl", "-sS", "--http2-prior-knowledge", "-H", "Content-Type: application/json", "-d",
             '[{"url":"/o/never"},{"url":"/o/never"}]', f"http://127.0.0.1:{self.sheaf.at}/batch"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: self.origin.count()["flying"] == 2, what="two requests flying")
        finally:
            os.kill(curl.pid, signal.SIGKILL)
            curl.wait()
        wait_until(lambda: self.origin.count()["flying"] == 0, 1, "nothing flying")


class Disconnects(Case):
    def leave(self, how):
        client = RawClient(self.sheaf.at)
        client.post({"requests": [{"url": "/o/never"}] * 10 + [{"url": "/o/text"}]})
        wait_until(lambda: self.origin.count()["flying"] == 10, what="ten requests flying")
        getattr(client, how)()
        wait_until(lambda: self.origin.count()["flying"] == 0, 1, "nothing flying within a second")

    def test_a_client_that_closes_cancels_what_flies(self):
        self.leave("close")

    def test_a_client_that_resets_cancels_what_flies(self):
        self.leave("reset")

    def test_nothing_new_is_launched_for_a_client_that_left(self):
        self.origin.reset()
        client = RawClient(self.sheaf.at)
        client.post({"parallel": 1, "requests": [{"url": "/o/delay/100"}] * 50})
        wait_until(lambda: self.origin.count()["served"] >= 2, what="the second item")
        client.close()
        wait_until(lambda: self.sheaf.metrics()["sheaf_batches_in_flight"] == 0, 2, "the batch's end")
        self.assertLess(self.origin.count()["served"], 10)

    def test_finish_unsafe_lets_a_post_end(self):
        sheaf = self.start(endpoint="on_client_abort: finish_unsafe")
        self.origin.reset()
        client = RawClient(sheaf.at)
        client.post({"requests": [{"method": "POST", "url": "/o/delay/500", "body": {}}, {"url": "/o/never"}]})
        wait_until(lambda: self.origin.count()["flying"] == 2, what="two requests flying")
        client.close()
        wait_until(lambda: self.origin.count()["flying"] == 0, 3, "nothing flying")
        self.assertEqual(self.origin.count()["cancelled"], 1)

    def test_gauges_come_back_to_zero(self):
        self.leave("close")

        def is_quiet():
            metrics = self.sheaf.metrics()
            return not any(metrics[name] for name in ("sheaf_batches_in_flight", "sheaf_items_in_flight", HELD,
                                                      'sheaf_backend_connections{state="active"}'))
        wait_until(is_quiet, 3, "quiet gauges")


if __name__ == "__main__":
    unittest.main()
