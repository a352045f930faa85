"""What stands behind the gateway in a soak, and how it dies: origins, and servers that others wrote before one more origin."""
import os
import pathlib
import signal
import socket
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import peers  # noqa: E402
from harness import Process, wait_until  # noqa: E402

ENDING_S = 20  # how long a server that was told to end may take for what it is at


def low_port(dice):
    """Below those that the kernel gives to clients: nobody else takes it, and no client meets itself, while it is free."""
    while True:
        port = dice.randrange(15000, 30000)
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Origin:
    ways = ("kill",)

    def __init__(self, program, port):
        self.program, self.at, self.process = program, port, None
        self.ports = {"http1": port}
        self.start()

    def start(self):
        self.process = Process([self.program, str(self.at)])
        self.process.port()

    def kill(self):
        self.process.kill()

    def halt(self, number=signal.SIGSTOP):
        os.kill(self.process.pid, number)

    def go_on(self):
        self.halt(signal.SIGCONT)

    def close(self):
        self.kill()


class Peer:
    """Over a class of peers.py. What it is at is done when it is told to end, or to read its configuration again."""
    ways = ("kill", "end", "reload")

    def __init__(self, dice, kinds, *more):
        self.dice, self.kinds = dice, kinds
        super().__init__(*more)

    def choose_port(self):
        return low_port(self.dice)

    def end(self):
        """Returns when it has ended, as it does by itself."""
        os.kill(self.process.pid, self.end_signal)
        try:
            wait_until(lambda: self.process.poll() is not None and not self.members(), ENDING_S, "a server's end")
        except AssertionError:
            self.kill()

    def halt(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)


class Nginx(Peer, peers.Nginx):
    end_signal = signal.SIGQUIT
    CONF = peers.Nginx.CONF.replace("127.0.0.1:{origin};", "127.0.0.1:{origin}; keepalive 64;").replace(
        "proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_set_header connection ''; client_body_buffer_size 512k;")


class Haproxy(Peer, peers.Haproxy):
    end_signal = signal.SIGUSR1
