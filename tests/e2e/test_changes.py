"""Load that goes on while the gateway changes: a new binary, a restart under socket activation, a drain.

Clients of three kinds, in clear text and over TLS: a connection for every batch, kept HTTP/1 connections, and HTTP/2
connections with batches in flight. Each remembers what it lost: a connection that was refused, an answer that did not
come or is not whole. What HTTP/2 gives back by GOAWAY (streams after the last one named) was never processed and is no
loss (RFC 9113 6.8).
"""
import http.client
import json
import os
import pathlib
import signal
import socket
import tempfile
import threading
import unittest

from harness import (DATA, DEADLINE, END_STREAM, GOAWAY, RST_STREAM, SHEAF, WINDOW_UPDATE, Case, Http2Client,
                     Process, Sheaf, frame, free_port, wait_until)
from pki import equip, tls_yaml
from test_upgrade import Line, is_gone

ITEMS = [{"url": "/o/text"}, {"url": "/o/delay/5"}]
BODY = json.dumps(ITEMS).encode()
IN_FLIGHT = 4
REFUSED_STREAM = 7
NOTICE = 0x7fffffff  # the GOAWAY that only announces the next one


def is_whole(body):
    return [result["status"] for result in json.loads(body)["responses"]] == [200] * len(ITEMS)


class Client:
    """One thread of load. `lost` is what went wrong, `done` counts whole answers."""

    def __init__(self, port, context=None):
        self.port, self.context = port, context
        self.done, self.lost, self.is_over = 0, [], False
        self.ends_when_refused = self.is_refused = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def open(self):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        return self.context.wrap_socket(sock, server_hostname="localhost") if self.context else sock

    def _run(self):
        while not self.is_over:
            try:
                self.serve()
            except ConnectionRefusedError as error:
                if self.ends_when_refused:
                    self.is_refused = True
                    return
                self.lost.append(repr(error))
            except Exception as error:
                self.lost.append(repr(error))


class Fresh(Client):
    """A connection for every batch."""

    def serve(self):
        with self.open() as sock:
            self.ask(sock)

    def ask(self, sock):
        """One batch; False when the gateway says that it was the last on this connection."""
        sock.sendall(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        if answer.status != 207 or not is_whole(answer.read()):
            raise AssertionError(f"answered {answer.status}")
        self.done += 1
        return not answer.will_close


class Kept(Fresh):
    """The same connection as long as the gateway keeps it."""

    def serve(self):
        with self.open() as sock:
            answered = 0
            while not self.is_over:
                try:
                    if not self.ask(sock):
                        return
                except (OSError, http.client.HTTPException) as error:
                    raise AssertionError(f"after {answered} answers: {error!r}") from error
                answered += 1


class Many(Client):
    """HTTP/2 with batches in flight, and new ones until the last GOAWAY names where it ends."""

    def serve(self):
        with self.open() as sock:
            client, flying, stream, last = Http2Client(sock=sock), set(), 1, NOTICE
            while True:
                while len(flying) < IN_FLIGHT and last == NOTICE and not self.is_over:
                    client.head(stream)
                    sock.sendall(frame(DATA, END_STREAM, stream, BODY))
                    flying.add(stream)
                    stream += 2
                if not flying:
                    return
                try:
                    last = self.take(client, flying, last)
                except (AssertionError, OSError) as error:
                    raise AssertionError(f"{len(flying)} streams without an answer: {error!r}") from error

    def take(self, client, flying, last):
        kind, flags, stream, payload = client.read()
        client.frames = [entry for entry in client.frames if entry[0] == DATA and entry[2] in flying]
        if kind == DATA:
            if payload:
                client.sock.sendall(frame(WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big")))
            if flags & END_STREAM:
                flying.discard(stream)
                if not is_whole(b"".join(entry[3] for entry in client.frames if entry[2] == stream)):
                    raise AssertionError("an answer that is not whole")
                self.done += 1
        elif kind == RST_STREAM:
            if stream in flying and int.from_bytes(payload, "big") != REFUSED_STREAM:
                raise AssertionError(f"reset with {payload!r}")
            flying.discard(stream)
        elif kind == GOAWAY:
            if payload[4:8] != b"\0\0\0\0":
                raise AssertionError(f"GOAWAY with {payload!r}")
            last = int.from_bytes(payload[:4], "big")
            flying -= {number for number in flying if number > last}
        return last


class Crowd:
    """Clients of every kind, in clear text and over TLS."""

    def __init__(self, plain, tls, contexts, ends_when_refused=False):
        make = [(Fresh, 2), (Kept, 3), (Many, 5)]
        self.clients = [kind(*where) for kind, count in make for where in ((plain,), (tls, contexts[kind]))
                        for _ in range(count)]
        for client in self.clients:
            client.ends_when_refused = ends_when_refused
            client.thread.start()

    def wait_for(self, more):
        """Until every client has had `more` answers from now on."""
        goal = [client.done + more for client in self.clients]
        wait_until(lambda: all(client.done >= least for client, least in zip(self.clients, goal)), 30, "the load's progress")

    def stop(self):
        """What was lost, by kind of client."""
        for client in self.clients:
            client.is_over = True
        for client in self.clients:
            client.thread.join(30)
        return [(type(client).__name__, loss) for client in self.clients for loss in client.lost]

    def done(self):
        return sum(client.done for client in self.clients)


class Changes(Case):
    @classmethod
    def setUpClass(cls):
        equip(cls)

    def start_both(self, kind, **places):
        """A gateway with a clear listener and one with TLS, under load."""
        port = free_port()
        sheaf = kind(self.origin, workers=2, listeners=f', {{address: "127.0.0.1:{port}", {tls_yaml(self.pair)}}}', **places)
        self.addCleanup(sheaf.stop)
        return sheaf, port

    def load(self, plain, tls, **kwargs):
        crowd = Crowd(plain, tls, {kind: self.pki.context(protocol) for kind, protocol in
                                   ((Fresh, "http/1.1"), (Kept, "http/1.1"), (Many, "h2"))}, **kwargs)
        self.addCleanup(crowd.stop)
        crowd.wait_for(2)
        return crowd

    def test_a_new_binary_takes_over_and_nothing_is_lost(self):
        sheaf, port = self.start_both(Line)
        crowd, pids = self.load(sheaf.at, port), []
        for _ in range(3):
            pids.append(sheaf.pid)
            since = len(sheaf.err)
            sheaf.signal(signal.SIGUSR2)
            sheaf.pid = sheaf.heir(since)
            crowd.wait_for(3)
        self.assertEqual(sheaf.status_of(pids[0]), 0)
        for pid in pids[1:]:  # one that ends before its predecessor is buried by that one
            wait_until(lambda pid=pid: is_gone(pid), what="the end of an old one")
        self.assertFalse(sheaf.said("drain.timeout is over"))
        crowd.wait_for(2)
        self.assertEqual(crowd.stop(), [])
        self.assertGreater(crowd.done(), 200)

    def test_a_drain_answers_whatever_came_in(self):
        """Who keeps a connection busy loses nothing: its last answer says that it is the last."""
        sheaf, port = self.start_both(Sheaf)
        crowd = self.load(sheaf.at, port, ends_when_refused=True)
        sheaf.signal(signal.SIGTERM)
        wait_until(lambda: sum(client.is_refused for client in crowd.clients) == len(crowd.clients), 20, "the end of the load")
        self.assertEqual(sheaf.wait(), 0)
        self.assertEqual(crowd.stop(), [])

    def start_activated(self, sockets, path):
        """Runs `path` as systemd would, with listening sockets from descriptor 3 on."""
        spare = [os.dup2(sock.fileno(), 100 + at) for at, sock in enumerate(sockets)]
        moves = " ".join(f"{3 + at}<&{fd} {fd}<&-" for at, fd in enumerate(spare))
        script = f"LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec {SHEAF} run -c {path} {moves}"
        process = Process(["/bin/bash", "-c", script], pass_fds=spare)
        for fd in spare:
            os.close(fd)
        self.addCleanup(process.kill)
        process.port()
        return process

    def test_a_restart_on_sockets_of_the_manager_refuses_nobody(self):
        sockets = []
        for _ in range(2):
            sockets.append(socket.create_server(("127.0.0.1", 0), backlog=1000))
            self.addCleanup(sockets[-1].close)
        plain, tls = [sock.getsockname()[1] for sock in sockets]
        folder = tempfile.TemporaryDirectory(prefix="sheaf-e2e-")
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "sheaf.yaml"
        path.write_text(f'listen: [{{address: "127.0.0.1:{plain}"}}, {{address: "127.0.0.1:{tls}", {tls_yaml(self.pair)}}}]\n'
                        f'workers: 2\nupstreams: {{origin: {{servers: ["http://127.0.0.1:{self.origin.at}"]}}}}\n'
                        'routes: [{match: "/o/{rest...}", rewrite: "/{rest...}", upstream: origin}]\nendpoints: [{path: /batch}]\n')
        process = self.start_activated(sockets, path)
        crowd = self.load(plain, tls)
        for _ in range(2):
            os.kill(process.pid, signal.SIGTERM)
            self.assertEqual(process.wait(), 0)
            process = self.start_activated(sockets, path)
            crowd.wait_for(2)
        self.assertEqual(crowd.stop(), [])
        os.kill(process.pid, signal.SIGTERM)
        self.assertEqual(process.wait(), 0)


if __name__ == "__main__":
    unittest.main()
