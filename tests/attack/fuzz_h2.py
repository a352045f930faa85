#!/usr/bin/env python3
"""HTTP/2 frames by chance against the real binary.

    tests/attack/fuzz_h2.py [--seconds 60] [--sessions N] [--seed S] [--first N] [--tls] [--valgrind]

A session is a connection that knows the state of its streams and mixes frames that are right with frames that are bent:
flipped bits, wrong lengths, wrong streams, wrong states, repeated, cut short. It ends in one of several ways, some while
answers are on their way. Session N of seed S is always the same: --seed S --first N begins with it. After every hundred
sessions the workers must be the same ones and answer a batch; a word of a sanitizer ends the run. --valgrind runs
build/debug/sheaf under valgrind instead and fails on any error. The last line says how many sessions there were.
"""
import argparse
import collections
import os
import pathlib
import random
import socket
import ssl
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2_PREFACE, HEADERS, PADDED, PING, PRIORITY,  # noqa: E402
                     PUSH_PROMISE, ROOT, RST_STREAM, SETTINGS, SHEAF, WINDOW_UPDATE, Certificate, Door, Origin, field, frame,
                     integer, items, number, setting, tls_context, wait_until)

PRIORITY_FLAG = 0x20
OPEN_AT_ONCE = 24  # sessions that stay open behind the one at work
EVERY = 100        # sessions between two looks
URLS = ("/o/text", "/o/text", "/o/json/100", "/o/json/5000", "/o/json/70000", "/o/delay/5/text", "/o/delay/60/text",
        "/o/status/500", "/o/drop", "/o/half", "/other")
LENGTHS = (0, 1, 2, 3, 7, 8, 100, 16383, 16384, 16385, 65535, 65536, 0x7ffffffe, 0x7fffffff, 0x80000000, 0xffffffff)


class Session:
    """One connection's bytes, made from a chance of its own. How often it does what no client does is chosen first; half
    of all sessions never do, and get their answers."""

    def __init__(self, chance):
        self.chance = chance
        self.next, self.open, self.closed = 1, [], []
        self.table = 0  # entries that we put into the peer's dynamic table
        self.wild = self.pick(0, 0, 0.01, 0.1)
        self.bends = self.pick(0, 0, 0, 0.02, 0.2) if self.wild else 0

    def pick(self, *choices):
        return self.chance.choice(choices)

    def often(self, share):
        return self.chance.random() < share

    def is_odd(self):
        return self.often(self.wild)

    def stream(self, of=None):
        """A stream of those, or any; one that is over or never was when it is odd."""
        of = self.open + self.closed if of is None else of
        if of and not self.is_odd():
            return self.chance.choice(of)
        if not self.wild:
            return None
        return self.pick(0, self.next, self.next + 2, self.chance.randrange(1, 100), 0x7fffffff)

    # header blocks

    def fields(self):
        out = []
        if self.often(0.05):
            out.append(integer(self.pick(0, 100, 4096), 5, 0x20))
            self.table = 0
        pairs = [(b":method", b"POST"), (b":path", self.pick(b"/batch", b"/batch", b"/batch?x")), (b":scheme", b"http"),
                 (b":authority", b"h"), (b"content-type", b"application/json")]
        for _ in range(self.pick(0, 0, 0, 1, 3, 20)):
            pairs.append((self.pick(b"x-a", b"cookie", b"accept-language", b"x" * 300), self.pick(b"", b"v", b"2", b"v" * 500)))
        if self.is_odd():
            self.spoil(pairs)
        out += [self.one_field(*pair) for pair in pairs]
        return b"".join(out)

    def spoil(self, pairs):
        """A list of fields that is not a request."""
        how = self.chance.randrange(6)
        if how == 0:
            self.chance.shuffle(pairs)
        elif how == 1:
            del pairs[self.chance.randrange(len(pairs))]
        elif how == 2:
            pairs += [(b"x-%d" % i, b"v") for i in range(140)]
        elif how == 3:
            pairs.append((self.pick(b"te", b"X-Up", b"", b"connection", b"content-length", b":path", b":x"),
                          self.pick(b"", b"v", b"2", b"trailers", b"a\r\nb")))
        else:
            at = self.chance.randrange(4)
            pairs[at] = (pairs[at][0], self.pick(b"", b"GET", b"OPTIONS", b"CONNECT", b"P T", b"*", b"https", b"a b", b"/other"))

    def one_field(self, name, value):
        roll = self.chance.random()
        if self.is_odd():
            return self.pick(integer(self.chance.randrange(0, 200), 7, 0x80),
                             integer(self.chance.randrange(0, 90), 4, 0x10) + integer(len(value), 7) + value,
                             integer(self.pick(4097, 1 << 20, 1 << 31), 5, 0x20), b"\xff" * 9)
        if roll < 0.75:
            return field(name, value)
        if roll < 0.9 or self.table == 0 or name[:1] == b":":
            self.table = min(self.table + 1, 5)
            return b"\x40" + field(name, value)[1:]
        return integer(self.pick(15, 16, 19, 31, 61), 7, 0x80)

    def head(self, stream, flags, payload=None):
        """HEADERS, maybe padded, maybe with a priority, maybe in pieces."""
        payload = self.fields() if payload is None else payload
        if self.often(0.1):
            depends = self.pick(stream, 3, 0xffffffff) if self.is_odd() else 0
            payload, flags = number(depends) + bytes([self.chance.randrange(256)]) + payload, flags | PRIORITY_FLAG
        if self.often(0.1):
            pad = self.chance.randrange(256)
            payload, flags = bytes([pad]) + payload + bytes(pad), flags | PADDED
            return frame(HEADERS, flags | END_HEADERS, stream, payload)
        if self.often(0.85):
            return frame(HEADERS, flags | END_HEADERS, stream, payload)
        cuts = sorted(self.chance.randrange(len(payload) + 1) for _ in range(self.chance.randrange(1, 4)))
        if flags & PRIORITY_FLAG:
            cuts = [max(5, cut) for cut in cuts]
        parts = [payload[a:b] for a, b in zip([0] + cuts, cuts + [len(payload)])]
        out = [frame(HEADERS, flags, stream, parts[0])]
        out += [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
        if not self.is_odd():
            out.append(frame(CONTINUATION, END_HEADERS, stream, parts[-1]))
        return b"".join(out)

    # what a client does

    def request(self):
        stream, self.next = self.next, self.next + self.pick(2, 2, 2, 4)
        body = items(self.chance.choice(URLS), self.pick(0, 1, 1, 1, 2, 3, 10)) if self.often(0.95) else b"[{"
        out = self.head(stream, 0)
        if self.often(0.7):
            self.closed.append(stream)
            return out + self.data(stream, body, END_STREAM)
        self.open.append(stream)
        return out + self.data(stream, body[:len(body) // 2], 0)

    def data(self, stream, body, flags):
        if self.often(0.1):
            pad = self.chance.randrange(256)
            return frame(DATA, flags | PADDED, stream, bytes([pad]) + body + bytes(pad))
        return frame(DATA, flags, stream, body)

    def end(self, stream):
        if stream in self.open:
            self.open.remove(stream)
            self.closed.append(stream)

    def more_data(self):
        stream, last = self.stream(self.open), self.pick(0, 0, END_STREAM)
        if stream is None:
            return self.request()
        if last:
            self.end(stream)
        return self.data(stream, self.pick(b"", b" ", b"]", b" " * 5000), last)

    def trailers(self):
        stream = self.stream(self.open)
        if stream is None:
            return self.request()
        self.end(stream)
        return self.head(stream, 0 if self.is_odd() else END_STREAM, None if self.is_odd() else field(b"x-t", b"v"))

    def reset(self):
        stream = self.stream()
        if stream is None:
            return self.request()
        self.end(stream)
        return frame(RST_STREAM, 0, stream, number(self.pick(0, 1, 2, 5, 8, 11, 0xffffffff)))

    def window(self):
        if self.is_odd():
            return frame(WINDOW_UPDATE, 0, self.stream() or 0, number(self.chance.choice(LENGTHS)))
        return frame(WINDOW_UPDATE, 0, self.pick(0, self.stream() or 0), number(self.pick(1, 100, 16384, 65535, 1000000)))

    def settings(self):
        if self.often(0.2):
            return frame(SETTINGS, 1, 0)
        if self.is_odd():
            return frame(SETTINGS, 0, 0, b"".join(setting(self.pick(1, 2, 3, 4, 5, 6, 99), self.chance.choice(LENGTHS))
                                                  for _ in range(self.pick(1, 2, 3))))
        return frame(SETTINGS, 0, 0, b"".join(self.pick(
            setting(4, self.pick(0, 1, 100, 65535, 1 << 20, 0x7fffffff)), setting(1, self.pick(0, 100, 4096, 65536)),
            setting(2, 0), setting(3, 100), setting(5, self.pick(16384, 20000, 0xffffff)), setting(6, 0), setting(99, 1))
            for _ in range(self.pick(0, 1, 1, 2, 3))))

    def windows_down_and_up(self):
        """What fact 1 is made of."""
        low = frame(SETTINGS, 0, 0, setting(4, self.pick(0, 1, 10)))
        high = frame(SETTINGS, 0, 0, setting(4, self.pick(65535, 0x7fffffff)))
        lift = b"".join(frame(WINDOW_UPDATE, 0, stream, number(self.pick(1, 65535, 0x7fffffff))) for stream in self.closed[-20:])
        return low + self.pick(high, lift, lift + high)

    def small(self):
        stream = self.stream() or 1
        if self.is_odd():
            return self.pick(frame(PRIORITY, 0, stream, number(stream) + b"\x10"),
                             frame(GOAWAY, 0, 0, number(0) + number(0)),
                             frame(PUSH_PROMISE, END_HEADERS, stream, number(2) + self.fields()),
                             frame(CONTINUATION, END_HEADERS, stream, self.fields()),
                             frame(PING, 0, 0, b"short"))
        return self.pick(frame(PING, self.pick(0, 1), 0, b"whatever"),
                         frame(PRIORITY, 0, stream, number(0) + b"\x10"),
                         frame(self.chance.randrange(10, 256), self.chance.randrange(256), stream, b"grease"))

    def step(self):
        roll = self.chance.random()
        for share, what in ((0.45, self.request), (0.55, self.more_data), (0.6, self.trailers), (0.68, self.reset),
                            (0.8, self.window), (0.86, self.settings), (0.92, self.windows_down_and_up), (1, self.small)):
            if roll < share:
                return what()
        return b""

    def bend(self, data):
        """Something that no client sends."""
        if not data:
            return data
        data = bytearray(data)
        how = self.chance.randrange(7)
        if how == 0:
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        elif how == 1:
            del data[self.chance.randrange(len(data)):]
        elif how == 2:
            data[:3] = struct.pack(">I", self.chance.choice(LENGTHS) & 0xffffff)[1:]
        elif how == 3 and len(data) > 4:
            data[self.pick(3, 4)] = self.chance.randrange(256)
        elif how == 4 and len(data) > 9:
            data[5:9] = number(self.chance.choice(LENGTHS))
        elif how == 5:
            data *= self.pick(2, 3, 50)
        else:
            data += self.chance.randbytes(self.chance.randrange(1, 60))
        return bytes(data)

    def pieces(self):
        """The bytes of the session, in the pieces in which they are sent."""
        start = self.bend(H2_PREFACE) if self.often(self.bends / 5) else H2_PREFACE
        if not self.is_odd():
            start += frame(SETTINGS, 0, 0, setting(4, self.pick(0, 1, 1000, 65535, 0x7fffffff)))
        if self.often(0.4):
            start += frame(WINDOW_UPDATE, 0, 0, number(0x3fff0000))
        piece = start
        for _ in range(self.pick(1, 3, 6, 12, 25, 60)):
            data = self.step()
            piece += self.bend(data) if self.often(self.bends) else data
            if self.often(0.3):
                yield piece
                piece = b""
        if len(piece) > 2 and self.often(0.2):
            cut = self.chance.randrange(1, len(piece))
            yield piece[:cut]
            piece = piece[cut:]
        yield piece


class Run:
    def __init__(self, options):
        self.options = options
        self.origin = Origin()
        self.binary = self.wrapped() if options.valgrind else SHEAF
        places = {"top": "log: {level: error}", "endpoint": "timeout: 2s"}
        if options.tls:
            places["listener"] = Certificate.listener()
        self.door = Door(self.origin, binary=self.binary, **places)
        self.door.is_tls = options.tls
        self.context = tls_context("h2")
        self.workers = self.door.children()
        self.open = collections.deque()
        self.count, self.batches = 0, ""

    def wrapped(self):
        """A script that starts build/debug/sheaf under valgrind, one log per process."""
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-fuzz-")
        script = pathlib.Path(self.folder.name) / "sheaf"
        script.write_text(f'#!/bin/sh\nexec valgrind --quiet --error-exitcode=9 --log-file="{self.folder.name}/%p.log" '
                          f'"{ROOT}/build/debug/sheaf" "$@"\n')
        script.chmod(0o755)
        return str(script)

    def dial(self, chance):
        sock = socket.socket()
        if chance.random() < 0.3:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", self.door.at))
        if self.options.tls:
            sock = self.context.wrap_socket(sock, server_hostname="localhost")
        return sock

    def session(self, number_of_it):
        chance = random.Random(f"{self.options.seed}/{number_of_it}")
        sock = self.dial(chance)
        reads = chance.random()
        sock.settimeout(0.2)
        try:
            for piece in Session(chance).pieces():
                sock.sendall(piece)
                if chance.random() < reads * 0.3:
                    sock.settimeout(0.003)
                    try:
                        sock.recv(chance.choice((100, 65536)))
                    except TimeoutError:
                        pass
                    sock.settimeout(0.2)
        except (OSError, ssl.SSLError):
            pass
        self.end(sock, chance.randrange(6))

    def end(self, sock, how):
        """0: close, 1: RST, 2: FIN and read, 3 and more: stays open behind the next ones."""
        try:
            if how == 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif how == 2:
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(0.01)
                while sock.recv(65536):
                    pass
        except (OSError, ssl.SSLError):
            pass
        if how < 3:
            sock.close()
            return
        self.open.append(sock)
        if len(self.open) > OPEN_AT_ONCE:
            old = self.open.popleft()
            if how == 4:
                try:
                    old.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                except OSError:
                    pass
            old.close()

    def look(self):
        """What is wrong, or None."""
        if self.door.process.poll() is not None:
            return "the gateway ended"
        if self.door.children() != self.workers:
            return f"workers {self.workers} became {self.door.children()}"
        if self.door.sanitizer_words():
            return "a sanitizer spoke"
        for _ in range(5):  # the origin may have more to do than it can
            try:
                status = self.door.batch(["/o/text"]).json["responses"][0]["status"]
            except (OSError, ValueError, KeyError) as failure:
                return f"no batch was answered: {failure!r}"
            if status == 200:
                return None
        return f"a batch got {status}"

    def turn(self):
        """Sessions until the time is over; what went wrong, or None."""
        end = time.monotonic() + self.options.seconds
        while self.count < self.options.sessions and time.monotonic() < end:
            try:
                self.session(self.options.first + self.count)
            except OSError as failure:
                return self.look() or f"no connection: {failure!r}"
            self.count += 1
            if self.count % EVERY == 0 and (wrong := self.look()):
                return wrong
        for sock in self.open:
            sock.close()
        return self.look()

    def finish(self):
        """Ends the gateway: what went wrong, or None."""
        seen = self.door.metrics()
        self.batches = ", ".join(f"{int(value)} {series.split('=')[1][1:-2]}" for series, value in seen.items()
                                 if series.startswith("sheaf_batches_total"))
        try:
            wait_until(lambda: self.door.metrics()["sheaf_client_connections"] == 0, 30, "the end of all connections")
            self.door.stop()
        except (AssertionError, OSError) as failure:
            return f"{failure}"
        if self.options.valgrind:
            logs = [path.read_text() for path in pathlib.Path(self.folder.name).glob("*.log")]
            # "==PID==" is what it found; "--PID--" is about itself: it does not know mlock2, of OpenSSL's secure heap
            return next((log for log in logs if "==" in log), None)
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sessions", type=int, default=1 << 60)
    parser.add_argument("--seed", default=str(int.from_bytes(os.urandom(4), "big")))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--valgrind", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    run = Run(options)
    try:
        wrong = run.turn() or run.finish()
    finally:
        run.door.kill()
        run.origin.kill()
    if wrong:
        last = options.first + run.count
        print(f"after session {last} of seed {options.seed}: {wrong}")
        print("\n".join(run.door.err[-60:]))
        print(f"again: tests/attack/fuzz_h2.py --seed {options.seed} --first {max(options.first, last - 2 * EVERY)}"
              + (" --tls" if options.tls else ""))
    print(f"{run.count} sessions{' over TLS' if options.tls else ''} (batches: {run.batches}), seed {options.seed}: {'FAILED' if wrong else 'no crash'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
