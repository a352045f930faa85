"""What a batch costs in memory while its answer is far larger than that: a worker's most, beyond what it has idle."""
import json
import os
import re
import unittest

from harness import ROOT, Case
from slow_reader import batch_of, read_slowly

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
    """200 answers of 1 MiB through a budget of 16 MiB, to a client that reads 10 MiB/s; 40 unless ATTACK_FULL is set."""

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


if __name__ == "__main__":
    unittest.main()
