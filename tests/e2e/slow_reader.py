"""A client that takes so many bytes a second and no more, keeps only the frame of what it reads, and watches a process.

The bodies are the origin's: `{"fill":"abc..."}`. Each is checked byte by byte as it comes and leaves its length behind, so
that an answer of any size is a small document, `{"fill":1000}`, that a test can parse.
"""
import http.client
import json
import pathlib
import re
import time

from harness import RawClient

MARK = b'{"fill":"'
ALPHABET = bytes(range(ord("a"), ord("z") + 1))
PIECE = 65536
PATTERN = ALPHABET * (PIECE // 26 + 3)


def kib(pid, what):
    """VmRSS or VmHWM of a process."""
    return int(re.search(rf"{what}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


class Pace:
    """A bucket of `rate` bytes a second that never holds more than a tenth of a second's."""

    def __init__(self, rate):
        self.rate, self.full_at = rate, time.monotonic()

    def take(self, count):
        """Returns when `count` bytes may have been read. Slowness is what is tested: nothing is awaited here."""
        now = time.monotonic()
        self.full_at = max(self.full_at, now - 0.1) + count / self.rate
        if self.full_at > now:
            time.sleep(self.full_at - now)


class Frame:
    """What is left of an answer when its bodies are taken out."""

    def __init__(self):
        self.text, self.rest = bytearray(), b""
        self.filled = None  # bytes of the body that is being read

    def feed(self, data):
        data = self.rest + data
        self.rest = b""
        while data:
            data = self._outside(data) if self.filled is None else self._inside(data)

    def _outside(self, data):
        before, mark, behind = data.partition(MARK)
        if mark:
            self.text += before + MARK[:-1]
            self.filled = 0
            return behind
        kept = max(0, len(data) - len(MARK) + 1)  # the mark may come in two pieces
        self.text += data[:kept]
        self.rest = data[kept:]
        return b""

    def _inside(self, data):
        piece, quote, behind = data.partition(b'"')
        start = self.filled % 26
        assert piece == PATTERN[start:start + len(piece)], f"wrong bytes in a body at {self.filled}"
        self.filled += len(piece)
        if quote:
            self.text += b"%d" % self.filled
            self.filled = None
        return behind

    def end(self):
        assert self.filled is None, "the answer ends within a body"
        return bytes(self.text + self.rest)


def read_slowly(sheaf, body, rate, content_type="application/json", accept="application/json"):
    """Posts `body` and reads the answer at `rate` bytes a second: the status, the frame, seconds, and the KiB that the
    worker needed at most beyond what it had before."""
    (worker,) = sheaf.children()
    idle, started = kib(worker, "VmRSS"), time.monotonic()
    client = RawClient(sheaf.at)
    client.send(f"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\nAccept: {accept}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    response = http.client.HTTPResponse(client.sock)
    response.begin()
    pace, frame = Pace(rate), Frame()
    while data := response.read1(PIECE):
        frame.feed(data)
        pace.take(len(data))
    client.close()
    return response.status, frame.end(), time.monotonic() - started, kib(worker, "VmHWM") - idle


def batch_of(urls):
    return json.dumps({"requests": [{"url": url} for url in urls]}).encode()
