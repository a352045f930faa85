"""Small requests that ask for much work: references that look far, names that are looked for among thousands, fields that are
joined again and again. Others are served meanwhile, and no worker is taken for stuck."""
import socket
import threading
import unittest

from harness import Attack, RawClient

FAR = 400000


class Far(threading.Thread):
    """A backend whose answer is an array with its last value far in."""

    def __init__(self):
        super().__init__(daemon=True)
        body = b"[" + b"0," * FAR + b"1]"
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.answer += b"Content-Length: %d\r\n\r\n" % len(body) + body
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.at = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                while b"\r\n\r\n" not in sock.recv(65536):
                    pass
                sock.sendall(self.answer)


class Work(Attack):
    @classmethod
    def setUpClass(cls):
        cls.far = Far()
        cls.far.start()
        cls.addClassCleanup(cls.far.listener.close)
        cls.places = {"upstreams": f"far: {{servers: ['http://127.0.0.1:{cls.far.at}']}}",
                      "routes": '- {match: "/far", upstream: far}'}
        super().setUpClass()

    def others_while(self, attack):
        """Does `attack` while somebody else asks; how long that one waited at most."""
        waits, is_over = [], threading.Event()

        def ask():
            while not is_over.is_set():
                waits.append(self.probe())
        other = threading.Thread(target=ask)
        other.start()
        try:
            attack()
        finally:
            is_over.set()
            other.join()
        return max(waits)

    def test_references_that_look_far(self):
        """Each of 99 items names the last value of a long array 64 times."""
        far = {"url": "/o/text", "dependsOn": ["u"], "headers": {"x": f"${{u.body/{FAR}}}" * 64}}
        before = self.cpu()

        def attack():
            results = self.sheaf.batch([{"id": "u", "url": "/far"}] + [far] * 99).json["responses"]
            self.assertEqual({result["status"] for result in results[1:]}, {424})
        self.assertLess(self.others_while(attack), 2)
        self.assertLess(self.cpu() - before, 5)  # once they took 20 s, and the worker was gone after 10

    def test_names_among_thousands_in_connection(self):
        """An item, and each element that a forEach makes of it."""
        fields = {"connection": ",".join(["a"] * 28000), **{f"x{i}": "" for i in range(250)}}
        before = self.cpu()
        results = self.sheaf.batch([{"url": "/o/text", "headers": fields}] * 15).json["responses"]
        self.assertEqual({result["status"] for result in results}, {413})
        self.assertLess(self.cpu() - before, 2)

    def test_fields_that_are_joined(self):
        """Requests that a backend holds while each has a hundred fields of one name."""
        head = b"GET /o/delay/2000/text HTTP/1.1\r\nHost: h\r\n" + (b"Via: 1.1 " + b"a" * 150 + b"\r\n") * 90 + b"\r\n"
        clients = [RawClient(self.sheaf.at) for _ in range(100)]
        before = self.workers[0].rss()
        for client in clients:
            client.send(head)
        self.assertEqual({client.read_response().status for client in clients}, {200})
        if not self.is_sanitized:
            self.assertLess(self.workers[0].rss() - before, 32 << 20)
        for client in clients:
            client.close()


if __name__ == "__main__":
    unittest.main()
