"""A backend that keeps every request as it came, byte by byte, and answers it, or falls silent, or hangs up."""
import socket
import threading

from harness import DEADLINE

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
MUTE, HANG_UP = b"", None  # answers that are none


class Recorder:
    """`requests` are (method, target, head lines without the first one, body); `answer` may be changed meanwhile."""

    def __init__(self, answer=ANSWER):
        self.answer, self.requests = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.at = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(10 * DEADLINE)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            try:
                data = b""
                while (data := self._take(sock, data)) is not None and self.answer is not HANG_UP:
                    sock.sendall(self.answer)
            except OSError:
                pass

    def _take(self, sock, data):
        """Reads a request off `data` and what follows it; what is left, or None at the end."""
        while b"\r\n\r\n" not in data:
            more = sock.recv(1 << 20)
            if not more:
                return None
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        while len(data) < length:
            data += sock.recv(1 << 20)
        method, target, _ = first.split(" ")
        self.requests.append((method, target, lines, data[:length]))
        return data[length:]

    def close(self):
        self.listener.close()
