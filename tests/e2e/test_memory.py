"""What a batch costs in memory while its answer is far larger than that: a worker's most, beyond what it has idle."""
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import unittest
import zlib

from harness import ROOT, Case, RawClient, wait_until
from slow_reader import batch_of, kib, read_slowly

RELEASE = ROOT / "build/release/sheaf"
ITEMS = 200 if os.environ.get("ATTACK_FULL") else 40
RATE = 10 << 20
MOST_KIB = 32 << 10
LENGTHS = [(1 << 20) - len('{"fill":""}') - index for index in range(ITEMS)]  # no two bodies are the same


def lengths_in(text):
    """How long each body was, in the order of the answer."""
    return [int(length) for length in re.findall(rb'\{"fill":(\d+)\}', text)]


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Streams(Case):
    """200 answers of 1 MiB through a budget of 16 MiB, to a client that reads 10 MiB/s; 40 unless ATTACK_FULL is set.
    Most of that is waiting, and a busy machine only makes the client slower: others run beside it."""

    def stream(self, accept):
        sheaf = self.start(binary=str(RELEASE), upstream="timeout: 60s",
                           endpoint="max_items: 200, max_item_body: 1MiB, budget: 16MiB, timeout: 120s")
        body = batch_of(f"/o/json/{length}" for length in LENGTHS)
        status, text, seconds, most_kib = read_slowly(sheaf, body, RATE, accept=accept)
        print(f"{accept}: {most_kib / 1024:.1f} MiB beyond idle in {seconds:.1f} s", flush=True)
        self.assertEqual(status, 207)
        self.assertGreater(seconds, 0.8 * ITEMS * (1 << 20) / RATE, "the client was no slow one")
        self.assertLess(most_kib, MOST_KIB)
        return text

    def test_json_stays_within_its_memory(self):
        responses = json.loads(self.stream("application/json"))["responses"]
        self.assertEqual([(result["id"], result["status"], result["body"]["fill"]) for result in responses],
                         [(str(index), 200, length) for index, length in enumerate(LENGTHS)])

    def test_ndjson_stays_within_its_memory(self):
        *results, summary = [json.loads(line) for line in self.stream("application/x-ndjson").splitlines()]
        self.assertEqual(sorted((int(result["id"]), result["status"], result["body"]["fill"]) for result in results),
                         [(index, 200, length) for index, length in enumerate(LENGTHS)])
        self.assertEqual(summary["summary"]["succeeded"], ITEMS)

    def test_xml_stays_within_its_memory(self):
        text = self.stream("application/xml")
        self.assertEqual((lengths_in(text), text.count(b"HTTP/1.1 200 OK")), (LENGTHS, ITEMS))

    def test_multipart_stays_within_its_memory(self):
        text = self.stream("multipart/mixed")
        self.assertEqual((lengths_in(text), text.count(b"HTTP/1.1 200 OK")), (LENGTHS, ITEMS))


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Bulks(Case):
    """100,000 elements through a window: what is needed beyond the request itself does not grow with their number."""
    is_alone = True
    COUNT = 100000
    MOST_KIB = 16 << 10  # the request lies there twice while its batch runs: 7.2 MiB of it count here

    def bulk(self, accept):
        sheaf = self.start(binary=str(RELEASE), endpoints="""
            - {path: /bulk, kind: bulk, max_items: 100000, max_body: 16MiB, timeout: 120s, each: {id: "${item/id}", method: POST, url: /o/status/201, body: "${item}"}}""")
        (worker,) = sheaf.children()
        idle = kib(worker, "VmRSS")
        body = b"".join(b'{"id":"element-%d","n":12345678901234567890,"text":"some words of data"}\n' % index
                        for index in range(self.COUNT))
        answer = sheaf.request("POST", "/bulk", body, {"Content-Type": "application/x-ndjson", "Accept": accept})
        most_kib = kib(worker, "VmHWM") - idle - len(body) // 1024
        print(f"bulk, {accept}: {most_kib / 1024:.1f} MiB beyond idle and the request", flush=True)
        self.assertEqual(answer.status, 207)
        self.assertLess(most_kib, self.MOST_KIB)
        return answer

    def test_a_long_bulk_stays_within_its_memory(self):
        *results, summary = [json.loads(line) for line in self.bulk("application/x-ndjson").body.splitlines()]
        self.assertEqual(summary["summary"], {"total": self.COUNT, "succeeded": self.COUNT, "failed": 0})
        self.assertEqual(sorted((result["index"], result["id"], result["status"]) for result in results),
                         [(index, f"element-{index}", 201) for index in range(self.COUNT)])

    def test_a_long_bulk_in_request_order_stays_within_its_memory(self):
        responses = self.bulk("application/json").json["responses"]
        self.assertEqual([(result["index"], result["id"], result["status"]) for result in responses],
                         [(index, f"element-{index}", 201) for index in range(self.COUNT)])


class Sluggish:
    """Backends that take connections and read nothing until they are woken; then they read all and answer."""

    def __init__(self, count):
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        self.ports = [listener.getsockname()[1] for listener in self.listeners]
        self.is_awake, self.lengths = threading.Event(), []
        for listener in self.listeners:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
            threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def serve(self, listener):
        conn = listener.accept()[0]
        with conn, conn.makefile("rb") as file:
            self.is_awake.wait()
            length = 0
            for line in iter(file.readline, b"\r\n"):
                if line.startswith(b"content-length: "):
                    length = int(line[16:])
            self.lengths.append(len(file.read(length)))
            conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    def close(self):
        self.is_awake.set()
        for listener in self.listeners:
            listener.close()


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Requests(Case):
    """Bodies of 16 MiB for backends that read nothing: the gateway has them once, beside the request that they came in."""
    is_alone = True
    COUNT, LENGTH = 8, 16 << 20
    MOST_KIB = 64 << 10

    def test_backends_that_read_slowly_hold_no_second_body(self):
        backends = Sluggish(self.COUNT)
        self.addCleanup(backends.close)
        names = range(self.COUNT)
        sheaf = self.start(
            binary=str(RELEASE), endpoint="max_body: 256MiB, max_item_body: 1MiB, budget: 64MiB, timeout: 60s",
            upstreams="\n".join(f'b{at}: {{servers: ["http://127.0.0.1:{backends.ports[at]}"]}}' for at in names),
            routes="\n".join(f'- {{match: "/b{at}", rewrite: "/", upstream: b{at}, max_body: 32MiB}}' for at in names))
        (worker,) = sheaf.children()
        items = [{"method": "POST", "url": f"/b{at}", "headers": {"content-type": "text/plain"}, "body": "x" * self.LENGTH}
                 for at in names]
        answers = []
        client = threading.Thread(target=lambda: answers.append(sheaf.batch(items)), daemon=True)
        client.start()
        flying = "sheaf_backend_connections{state=\"active\"}"
        wait_until(lambda: sheaf.metrics()[flying] == self.COUNT, 30, "a connection to each")
        more_kib = kib(worker, "VmRSS") - 2 * self.COUNT * self.LENGTH // 1024
        backends.is_awake.set()
        client.join(30)
        print(f"large bodies: {more_kib / 1024:.1f} MiB beyond them", flush=True)
        self.assertLess(more_kib, self.MOST_KIB)
        self.assertEqual([result["status"] for result in answers[0].json["responses"]], [200] * self.COUNT)
        self.assertEqual(backends.lengths, [self.LENGTH] * self.COUNT)


@unittest.skipUnless(RELEASE.exists(), "a sanitizer's malloc does not tell: cmake --preset release")
class Copies(Case):
    """Direct answers whose copies plugins want, more of them at once than limits.memory allows: copies go, and nothing else does."""
    is_alone = True
    COUNT, LENGTH, LIMIT = 12, 16 << 20, 64 << 20
    MOST_KIB = (LIMIT + (24 << 20)) >> 10
    TOP = "limits: {memory: 64MiB}\nplugins: [%s]"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="sheaf-copies-")
        cls.addClassCleanup(folder.cleanup)
        cls.rogue = f"{folder.name}/rogue.so"
        subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", f"-I{ROOT}", "-DROGUE_MAJOR=0",
                        ROOT / "tests/plugins/rogue/rogue.c", "-o", cls.rogue], check=True, timeout=60)

    def answers(self, sheaf, paths, headers):
        """Half of each is read before any of them is read to its end: all copies are there at once."""
        clients = [http.client.HTTPConnection("127.0.0.1", sheaf.at, timeout=60) for _ in paths]
        for client, path in zip(clients, paths):
            client.sock = socket.socket()
            client.sock.settimeout(60)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)  # the kernel holds less than the rest
            client.sock.connect(("127.0.0.1", sheaf.at))
            client.request("GET", path, headers=headers)
        answers = [client.getresponse() for client in clients]
        sums = [zlib.crc32(answer.read(self.LENGTH // 2)) for answer in answers]
        sums = [zlib.crc32(answer.read(), crc) for answer, crc in zip(answers, sums)]
        for client in clients:
            client.close()
        return [answer.status for answer in answers], sums

    def check(self, sheaf, paths, headers=None):
        (worker,) = sheaf.children()
        batch = RawClient(sheaf.at, receive_buffer=4096)
        batch.sock.settimeout(60)
        batch.post({"requests": [{"url": "/o/bytes/3000000"}]})
        statuses, sums = self.answers(sheaf, paths, headers or {})
        most_kib = kib(worker, "VmHWM")
        print(f"copies: {most_kib / 1024:.1f} MiB of {self.LIMIT >> 20}", flush=True)
        self.assertEqual(statuses, [200] * len(paths))
        self.assertEqual(sums, [sums[0]] * len(paths))
        self.assertLess(most_kib, self.MOST_KIB)
        self.assertEqual(sheaf.children(), [worker])
        self.assertEqual(sheaf.batch(["/o/text"]).status, 207)
        self.assertEqual([result["status"] for result in batch.read_response().json["responses"]], [200])
        batch.close()

    def test_copies_that_a_plugin_wants_go_first(self):
        for path in (f"/o/bytes/{self.LENGTH}", f"/o/chunked/{self.LENGTH}"):
            with self.subTest(path=path):
                sheaf = self.start(binary=str(RELEASE), top=self.TOP % f"{{file: {self.rogue}}}", upstream="timeout: 60s",
                                   endpoint="max_item_body: 4MiB, timeout: 60s")
                self.check(sheaf, [path] * self.COUNT, {"x-rogue-result": f"keep{self.LENGTH}"})
                said = [line["message"].split(" bytes")[0] for line in sheaf.logged("plugin", count=self.COUNT)]
                self.assertEqual(sum(word == "kept no 0" for word in said) + sum(word == f"kept all {self.LENGTH}" for word in said), self.COUNT)
                self.assertGreater(said.count("kept no 0"), self.COUNT // 2)


if __name__ == "__main__":
    unittest.main()
