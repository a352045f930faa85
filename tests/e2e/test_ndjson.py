"""Results a line at a time: NDJSON and JSON text sequences."""
import contextlib
import json
import os
import random
import re
import signal
import socket
import statistics
import time
import unittest

from harness import DEADLINE, ROOT, Case, RawClient

RELEASE = ROOT / "build/release/sheaf"

NDJSON, JSON_SEQ = "application/x-ndjson", "application/json-seq"
SLOW_FIRST = ["/o/delay/300", "/o/text", "/o/delay/100"]


def lines_of(answer):
    """The results, and the summary."""
    lines = [json.loads(line) for line in answer.body.decode().splitlines()]
    return lines[:-1], lines[-1]["summary"]


class Lines(Case):
    def ask(self, items, accept=NDJSON, sheaf=None, **envelope):
        answer = (sheaf or self.sheaf).batch(items, headers={"Accept": accept}, **envelope)
        self.assertEqual((answer.status, answer.headers["content-type"]), (207, accept))
        return answer

    def test_each_result_is_a_line_and_the_last_one_the_summary(self):
        results, summary = lines_of(self.ask(["/o/text", "/nowhere", "/o/json/10"]))
        self.assertEqual({result["id"]: result["status"] for result in results}, {"0": 200, "1": 404, "2": 200})
        self.assertEqual(summary, {"total": 3, "succeeded": 2, "failed": 1})

    def test_an_empty_batch_is_its_summary(self):
        self.assertEqual(lines_of(self.ask([])), ([], {"total": 0, "succeeded": 0, "failed": 0}))

    def test_results_come_in_order_of_completion(self):
        results, _ = lines_of(self.ask(SLOW_FIRST))
        self.assertEqual([result["id"] for result in results], ["1", "2", "0"])

    def test_the_batch_may_ask_for_request_order(self):
        results, _ = lines_of(self.ask(SLOW_FIRST, order="request"))
        self.assertEqual([result["id"] for result in results], ["0", "1", "2"])

    def test_the_endpoint_may_say_request_order(self):
        sheaf = self.start(endpoint="order: request")
        results, _ = lines_of(self.ask(SLOW_FIRST, sheaf=sheaf))
        self.assertEqual([result["id"] for result in results], ["0", "1", "2"])

    def test_json_keeps_request_order_by_default(self):
        self.assertEqual([result["id"] for result in self.run_items(*SLOW_FIRST)], ["0", "1", "2"])

    def test_json_seq_begins_each_text_with_a_record_separator(self):
        body = self.ask(SLOW_FIRST, accept=JSON_SEQ).body
        self.assertEqual((body[:1], body[-1:], body.count(b"\x1e")), (b"\x1e", b"\n", 4))
        texts = [json.loads(text) for text in body.split(b"\x1e")[1:]]
        self.assertEqual([text.get("id") for text in texts], ["1", "2", "0", None])
        self.assertEqual(texts[-1]["summary"]["total"], 3)

    def test_a_batch_may_be_lines_too(self):
        body = '{"batch":{"order":"request","headers":{"x-all":"1"}}}\n\n{"id":"slow","url":"/o/delay/200"}\r\n' \
               '{"id":"new","method":"POST","url":"/o/echo","body":{"n":12345678901234567890}}'
        answer = self.sheaf.post(body, {"Content-Type": NDJSON, "Accept": NDJSON})
        results, summary = lines_of(answer)
        self.assertEqual([(result["id"], result["status"]) for result in results], [("slow", 200), ("new", 200)])
        self.assertEqual(results[1]["body"]["body"], '{"n":12345678901234567890}')
        self.assertIn(["x-all", "1"], results[1]["body"]["headers"])
        self.assertEqual(summary["total"], 2)

    def test_a_line_that_cannot_be_read_refuses_the_batch_by_its_place(self):
        answer = self.sheaf.post('{"url":"/o/text"}\n\n{"url":"/o/text","body":[1,}\n', {"Content-Type": NDJSON})
        self.assertEqual((answer.status, answer.headers["content-type"]), (400, "application/problem+json"))
        self.assertEqual([answer.json[name] for name in ("pointer", "line", "column")], ["/1/body/1", 3, 28])

    def post(self, sheaf, *urls):
        client = RawClient(sheaf.at)
        self.addCleanup(client.close)
        body = json.dumps([{"url": url} for url in urls]).encode()
        client.send(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAccept: application/x-ndjson\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return client

    def test_the_first_line_arrives_while_a_slow_item_still_runs(self):
        """No linger holds it back: a second would outlast the slow item."""
        sheaf = self.start(endpoint="linger: 10s", upstream="timeout: 30s")
        client = self.post(sheaf, "/o/delay/3000", "/o/text")
        data = client.read_until(b'"id":"1"')
        self.assertNotIn(b'"id":"0"', data)
        self.assertEqual(self.origin.count()["flying"], 1)
        self.assertIn(b'"summary":{"total":2', client.read_until(b"\r\n0\r\n\r\n"))

    def test_a_cut_stream_lacks_its_summary(self):
        sheaf = self.start(upstream="timeout: 30s")
        client = self.post(sheaf, "/o/delay/20000", "/o/text")
        data = client.read_until(b'"id":"1"')
        os.kill(sheaf.children()[0], signal.SIGKILL)
        while more := client.sock.recv(65536):
            data += more
        self.assertIn(b'"id":"1"', data)
        self.assertNotIn(b"summary", data)


class Held:
    """A backend that answers a request when it is told to."""

    def __init__(self, stack):
        self.stack, self.asked = stack, {}
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        self.listener.settimeout(DEADLINE)
        self.at = self.listener.getsockname()[1]

    def take(self, count):
        """Accepts `count` requests, each on a connection of its own."""
        for _ in range(count):
            sock = self.stack.enter_context(self.listener.accept()[0])
            sock.settimeout(DEADLINE)
            head = b""
            while b"\r\n\r\n" not in head:
                more = sock.recv(65536)
                assert more, f"the gateway hung up after {head!r}"
                head += more
            self.asked[re.match(rb"GET /(\S+) ", head)[1].decode()] = sock

    def answer(self, name):
        body = json.dumps({"name": name}).encode()
        self.asked[name].sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                                 % (len(body), body))


@unittest.skipUnless(RELEASE.exists(), "times are those of the release build")
class Latency(Case):
    ITEMS = 20

    def latencies(self, accept):
        """Milliseconds from a backend's answer to its line at the client, one answer after the other in random order."""
        with contextlib.ExitStack() as stack:
            held = Held(stack)
            sheaf = self.start(binary=str(RELEASE), upstreams=f'held: {{servers: ["http://127.0.0.1:{held.at}"], timeout: 60s}}',
                               routes='- {match: "/held/{rest...}", rewrite: "/{rest...}", upstream: held}', endpoint="timeout: 60s")
            body = json.dumps([{"id": f"n{index}", "url": f"/held/n{index}"} for index in range(self.ITEMS)]).encode()
            client = RawClient(sheaf.at)
            stack.callback(client.close)
            client.send(f"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            held.take(self.ITEMS)
            taken = []
            for name in random.sample(sorted(held.asked), self.ITEMS):
                started = time.monotonic()
                held.answer(name)
                line = client.read_until(b'"body":{"name": "%s"}}\n' % name.encode())
                taken.append(1000 * (time.monotonic() - started))
                self.assertEqual(line.count(b'"body"'), 1, "one answer, one line")
            while not line.endswith(b"\r\n0\r\n\r\n"):  # the summary may have come with the last result
                line += client.read_until(b"\n")
            self.assertIn(b'"succeeded":20', line)
        return taken

    def assert_at_once(self, accept):
        taken = self.latencies(accept)
        print(f"{accept}: {statistics.median(taken):.2f} ms, at most {max(taken):.2f} ms", flush=True)
        self.assertLess(statistics.median(taken), 5)

    def test_a_result_leaves_within_five_milliseconds_of_its_answer(self):
        self.assert_at_once(NDJSON)

    def test_a_result_in_a_sequence_leaves_as_soon(self):
        self.assert_at_once(JSON_SEQ)


if __name__ == "__main__":
    unittest.main()
