"""Honest clients before, during and after attacks: curl, nghttp, h2load and wrk notice nothing."""
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from harness import (CONTINUATION, FIFTY, HEADERS, PING, RELEASE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Attack, amount,
                     batch, block, frame, items, number)

JSON = "content-type: application/json"


class Siege:
    """Attackers that go on and on while something else is looked at."""

    def __init__(self, attack, *onslaughts):
        self.attack, self.is_over, self.rounds = attack, False, 0
        self.threads = [threading.Thread(target=self._run, args=(onslaught,), daemon=True) for onslaught in onslaughts]

    def _run(self, onslaught):
        while not self.is_over:
            try:
                sock = self.attack.dial("h2", timeout=2)
                onslaught(sock)
                sock.close()
                self.rounds += 1
            except OSError:
                pass

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join(30)


class Honest(Attack):
    binary = RELEASE
    is_alone = True
    growth = 32 << 20
    places = {"top": "limits: {connections_per_client: 0, control_frames: 1000}\nlog: {level: error}"}

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="sheaf-attack-")
        self.addCleanup(folder.cleanup)
        self.body, self.lua = f"{folder.name}/batch.json", f"{folder.name}/batch.lua"
        with open(self.body, "wb") as file:
            file.write(items("/o/text", 5))
        with open(self.lua, "w", encoding="ascii") as file:
            file.write(f'wrk.method = "POST"\nwrk.body = \'{items("/o/text", 5).decode()}\'\n'
                       'wrk.headers["Content-Type"] = "application/json"\n')
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.sheaf.at}/batch"

    def run_tool(self, *command):
        if not shutil.which(command[0]):
            self.skipTest(f"{command[0]} is not installed")
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def curl(self, *options):
        out = self.run_tool("curl", "-sk", "--max-time", "10", *options, "-H", JSON, "--data-binary", f"@{self.body}",
                            "-w", "\n%{http_code} %{http_version}", self.url)
        self.assertEqual(out.count('"status":200'), 5, out)
        self.assertRegex(out, r"\n207 ")
        return out.rsplit(" ", 1)[1]

    def everybody(self):
        self.assertEqual(self.curl("--http1.1"), "1.1")
        self.assertEqual(self.curl("--http2" if self.tls else "--http2-prior-knowledge"), "2")
        self.curl("--http1.1", "-H", "Transfer-Encoding: chunked")
        self.curl("--http1.1", "-H", "Expect: 100-continue")
        self.curl("--http1.0")
        out = self.run_tool("nghttp", "-v", "-H", JSON, "-d", self.body, self.url)
        self.assertEqual(out.count('"status":200'), 5, out[-500:])
        out = self.run_tool("h2load", "-n", str(amount(500, 3000)), "-c", "5", "-m", "10", "-d", self.body, "-H", JSON, self.url)
        self.assertIn(f"{amount(500, 3000)} succeeded, 0 failed, 0 errored, 0 timeout", out)
        out = self.run_tool("h2load", "--h1", "-n", "200", "-c", "5", "-d", self.body, "-H", JSON, self.url)
        self.assertIn("200 succeeded, 0 failed, 0 errored, 0 timeout", out)
        out = self.run_tool("wrk", "-t1", "-c10", "-d1s", "-s", self.lua, self.url)
        self.assertGreater(int(re.search(r"(\d+) requests in", out)[1]), 20)
        self.assertNotIn("Socket errors", out)
        self.assertNotIn("Non-2xx", out)

    def test_before_during_and_after(self):
        self.everybody()
        with Siege(self, self.reset, self.flood, self.bomb, self.rubbish) as siege:
            self.everybody()
        self.assertGreater(siege.rounds, 3)
        self.everybody()

    # onslaughts

    def reset(self, sock):
        self.pour(sock, self.preface() + b"".join(batch(stream, FIFTY) + frame(RST_STREAM, 0, stream, number(8))
                                                  for stream in range(1, 1001, 2)))
        self.drain(sock)

    def flood(self, sock):
        self.pour(sock, self.preface() + (frame(PING, 0, 0, b"whatever") + frame(SETTINGS, 0, 0) +
                                          frame(WINDOW_UPDATE, 0, 0, number(1))) * 3000)
        self.drain(sock)

    def bomb(self, sock):
        self.pour(sock, self.preface() + b"".join(
            frame(HEADERS, 4, stream, block() + b"\x90" * 16000) for stream in range(1, 41, 2)))
        self.drain(sock)

    def rubbish(self, sock):
        self.pour(sock, self.preface() + frame(HEADERS, 0, 1, block()) + frame(CONTINUATION, 0, 1) * 2000)
        self.drain(sock)

    @staticmethod
    def preface():
        return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


class HonestTls(Honest):
    tls = True


if __name__ == "__main__":
    unittest.main()
