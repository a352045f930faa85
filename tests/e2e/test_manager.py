"""Under a service manager: listening sockets that it hands over, and what it hears."""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import unittest

from harness import DEADLINE, SANITIZER, SHEAF, Case, Origin, Process, wait_until
from test_upgrade import PR_SET_CHILD_SUBREAPER, Line, is_gone


class Manager:
    """The service manager's side: a datagram socket that keeps what it is told."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(name)
        self.sock.setblocking(False)
        self.name = name.replace("\0", "@")
        self.heard = []

    def has_heard(self, *words):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self.sock.recv(4096).decode().splitlines()
        heard = [word for word in self.heard if not word.startswith("MONOTONIC_USEC=")]
        return heard[-len(words):] == list(words)


class Managed(Case):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.kill)

    def start_managed(self, sockets, conf, manager):
        """Runs `conf` as systemd would, with listening sockets from descriptor 3 on."""
        folder = tempfile.mkdtemp(prefix="sheaf-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        path = pathlib.Path(folder) / "sheaf.yaml"
        path.write_text(conf)
        spare = [os.dup2(sock.fileno(), 100 + at) for at, sock in enumerate(sockets)]
        moves = " ".join(f"{3 + at}<&{fd} {fd}<&-" for at, fd in enumerate(spare))
        script = f"LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec {SHEAF} run -c {path} {moves}"
        process = Process(["/bin/bash", "-c", script], env={"NOTIFY_SOCKET": manager.name}, pass_fds=spare)
        for fd in spare:
            os.close(fd)
        process.path = path
        self.addCleanup(process.kill)
        return process

    def listening(self, name, family=socket.AF_INET):
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.bind(name)
        sock.listen(100)
        return sock

    def post(self, sock_or_port):
        conn = http.client.HTTPConnection("127.0.0.1", sock_or_port, timeout=DEADLINE)
        conn.request("POST", "/batch", b'[{"url":"/o/text"}]', {"Content-Type": "application/json"})
        answer = json.loads(conn.getresponse().read())
        conn.close()
        return answer["responses"][0]["status"]

    def conf(self, addresses, admin, workers=1):
        listen = ", ".join(f'{{address: "{address}"}}' for address in addresses)
        return (f'listen: [{listen}]\nadmin: {{address: "{admin}"}}\nworkers: {workers}\n'
                f'upstreams: {{origin: {{servers: ["http://127.0.0.1:{self.origin.at}"]}}}}\n'
                'routes: [{match: "/o/{rest...}", rewrite: "/{rest...}", upstream: origin}]\nendpoints: [{path: /batch}]\n')

    def test_sockets_come_from_the_manager_and_it_hears_what_happens(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        folder = tempfile.mkdtemp(prefix="sheaf-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        for workers, manager in ((1, Manager(folder + "/notify")), (0, Manager(f"\0sheaf-e2e-{os.getpid()}"))):
            with self.subTest(workers=workers):
                first, admin, stranger = [self.listening(("127.0.0.1", 0)) for _ in range(3)]
                path = f"{folder}/client-{workers}.sock"
                unix = self.listening(path, socket.AF_UNIX)
                ports = [sock.getsockname()[1] for sock in (first, admin, stranger)]
                conf = self.conf([f"127.0.0.1:{ports[0]}", f"unix:{path}", "127.0.0.1:0"], f"127.0.0.1:{ports[1]}", workers)
                client = socket.create_connection(("127.0.0.1", ports[0]))  # who came before the gateway is served too
                client.sendall(b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")
                process = self.start_managed([admin, unix, stranger, first], conf, manager)
                wait_until(lambda: manager.has_heard("READY=1"), what="READY=1")
                self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 207"))
                client.close()
                self.assertEqual(self.post(ports[0]), 200)
                self.assertEqual(self.post(process.port(nth=2)), 200)
                wait_until(lambda: [line for line in list(process.err) if "a socket from systemd" in line], what="the word of the stranger")
                os.kill(process.pid, signal.SIGHUP)
                wait_until(lambda: manager.has_heard("READY=1", "RELOADING=1", "READY=1"), what="a reload")
                process.path.write_text("listen: 7\n")
                os.kill(process.pid, signal.SIGHUP)
                wait_until(lambda: manager.has_heard("READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"), what="a reload")
                process.path.write_text(conf)
                pid = process.pid
                if workers > 0:
                    pid = self.assert_moves(process, manager)
                    self.assertEqual(self.post(ports[0]), 200)
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: manager.has_heard("STOPPING=1"), what="STOPPING=1")
                wait_until(lambda: is_gone(pid) if pid != process.pid else process.process.poll() == 0, what="the end")
                self.assertFalse([line for line in process.err if SANITIZER.search(line)])

    def assert_moves(self, process, manager):
        """SIGUSR2: the manager hears of the new main process from the old one, and of no stop."""
        os.kill(process.pid, signal.SIGUSR2)
        wait_until(lambda: process.process.poll() is not None, what="the end of the old one")
        self.assertEqual(process.process.poll(), 0)
        manager.has_heard()
        heir = int([word for word in manager.heard if word.startswith("MAINPID=")][-1].split("=")[1])
        self.assertNotIn("STOPPING=1", manager.heard)
        self.assertNotEqual(heir, process.pid)
        return heir

    def test_variables_for_another_process_are_not_ours(self):
        sheaf = Line(self.origin, env={"LISTEN_PID": "1", "LISTEN_FDS": "1", "SHEAF_HANDOVER": "1 0\n0 client 127.0.0.1:0\n",
                                       "NOTIFY_SOCKET": "relative"})
        self.addCleanup(sheaf.stop)
        self.assertEqual(self.run_item("/o/text", sheaf=sheaf)["status"], 200)


if __name__ == "__main__":
    unittest.main()
