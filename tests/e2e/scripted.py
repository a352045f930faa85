"""A backend that says what the test says, byte by byte, and tells how much of it was taken."""
import socket
import time

from harness import DEADLINE

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


class Scripted:
    """Listens from the start; `take()` is the next connection, with its request read."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        self.at = self.listener.getsockname()[1]

    def take(self):
        sock, _ = self.listener.accept()
        return Exchange(sock)

    def close(self):
        self.listener.close()


class Exchange:
    """One connection of the gateway, its request read: `head` and `body`."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(DEADLINE)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        while len(body) < length:
            body += self._some()
        self.head, self.body = head, body

    def _some(self):
        data = self.sock.recv(1 << 20)
        assert data, "the gateway went away before its request was whole"
        return data

    def say(self, data):
        self.sock.sendall(data)

    def pour(self, most, silence):
        """Writes until nothing was taken for `silence` seconds, or `most` bytes were: how many. Nothing else can tell that a
        peer has stopped reading."""
        self.sock.setblocking(False)
        piece, sent, since = b"x" * 65536, 0, time.monotonic()
        while sent < most and time.monotonic() - since < silence:
            try:
                sent += self.sock.send(piece[:most - sent])
                since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.005)
        self.sock.settimeout(DEADLINE)
        return sent

    def is_closed(self):
        """Has the gateway gone away (waits for it)?"""
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True

    def close(self):
        self.sock.close()
