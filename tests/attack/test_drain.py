"""A gateway that ends (fact 3): what clients send then neither spins it nor loses what is under way."""
import json
import signal
import socket
import time
import unittest

from harness import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, Attack,
                     Http2Client, Worker, block, field, frame, headers, items, needs, tls_context, wait_until)


class Drain(Attack):
    """Each on a gateway of its own, which ends."""

    def door(self):
        places = {"top": "drain: {timeout: 10s}\nlog: {level: warn}"}
        door = self.open_door(**places)
        self.addCleanup(door.stop)
        return door

    def enter(self, door):
        sock = socket.create_connection(("127.0.0.1", door.at), timeout=15)
        self.addCleanup(sock.close)
        if self.tls:
            sock = tls_context("h2").wrap_socket(sock, server_hostname="localhost")
            self.addCleanup(sock.close)
        return Http2Client(sock=sock)

    def until_goaway(self, client):
        while not any(entry[0] == GOAWAY for entry in client.frames):
            client.read()

    def begin(self, delay):
        """A gateway with a batch under way that takes so many milliseconds, told to end."""
        door = self.door()
        worker = Worker(door.children()[0])
        client = self.enter(door)
        client.head(1)
        client.send_data(1, items(f"/o/delay/{delay}/text"), END_STREAM)
        wait_until(lambda: door.metrics()["sheaf_items_in_flight"] == 1, 5, "the item under way")
        door.signal(signal.SIGTERM)
        wait_until(lambda: door.metrics()["sheaf_draining"] == 1, 5, "the drain")
        return door, worker, client

    def finish(self, door, within=8):
        started = time.monotonic()
        self.assertEqual(door.wait(within), 0)
        return time.monotonic() - started

    def test_continuation_after_goaway(self):
        door, worker, client = self.begin(1500)
        cpu = worker.cpu()
        self.pour(client.sock, frame(HEADERS, 0, 3, block()) + frame(CONTINUATION, 0, 3, field(b"a", b"b")) * 10)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        self.assertLess(worker.cpu() - cpu, 0.5)
        client.sock.close()
        self.finish(door)

    @needs("guard: goaway")
    def test_continuation_after_the_goaway_was_read(self):
        door, worker, client = self.begin(1500)
        self.until_goaway(client)
        cpu = worker.cpu()
        for stream in (3, 5, 7):
            self.pour(client.sock, frame(HEADERS, 0, stream, block()) +
                      frame(CONTINUATION, 0, stream, field(b"a", b"b")) * 5 + frame(CONTINUATION, END_HEADERS, stream))
        self.pour(client.sock, frame(HEADERS, 0, 9, block()) + frame(CONTINUATION, 0, 9))
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        self.assertLess(worker.cpu() - cpu, 0.5)
        client.sock.close()
        self.finish(door)

    @needs("guard: goaway")
    def test_a_client_that_ignores_goaway_does_not_keep_it(self):
        door, worker, client = self.begin(100)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        stream, end = 3, time.monotonic() + 8
        while time.monotonic() < end:
            if not self.pour(client.sock, headers(stream) + frame(DATA, END_STREAM, stream, items("/o/text"))):
                break
            if self.is_over(client.sock, 0.02):
                break
            stream += 2
        else:
            self.fail("served for ever")
        self.finish(door, 12)
        del worker

    @needs("guard: goaway")
    def test_a_request_after_the_last_one_is_refused_so_that_it_may_be_sent_again(self):
        """REFUSED_STREAM says that nothing of it was done (RFC 9113 8.7); what the client had sent already is dropped."""
        door, _, client = self.begin(3000)
        while not any(entry[0] == GOAWAY and entry[3][:4] == b"\0\0\0\1" for entry in client.frames):
            client.read()
        client.sock.sendall(headers(3) + frame(DATA, 0, 3, b"[") + frame(DATA, END_STREAM, 3, b"]") +
                            headers(5, flags=END_HEADERS | END_STREAM) +
                            headers(7, flags=0) + frame(CONTINUATION, END_HEADERS, 7) + frame(DATA, 0, 7, b"["))
        while sum(entry[0] == RST_STREAM for entry in client.frames) < 3:
            client.read()
        # asked while the batch runs: once that is answered the gateway may be gone
        self.assertEqual(door.metrics()['sheaf_client_refused_total{reason="http2-after-goaway"}'], 3)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        resets = [(entry[2], int.from_bytes(entry[3], "big")) for entry in client.frames if entry[0] == RST_STREAM]
        self.assertEqual(resets, [(3, 7), (5, 7), (7, 7)])
        client.sock.close()
        self.finish(door)

    @needs("guard: goaway")
    def test_an_upload_under_way_is_finished(self):
        door = self.door()
        client = self.enter(door)
        body = json.dumps([{"url": "/o/text"}]).encode().ljust(45000)
        client.head(1)
        client.send_data(1, body[:15000])
        client.sock.sendall(frame(PING, 0, 0, b"whatever"))
        client.until(PING, 0, 1)
        door.signal(signal.SIGTERM)
        wait_until(lambda: door.metrics()["sheaf_draining"] == 1, 5, "the drain")
        client.send_data(1, body[15000:30000])
        client.send_data(1, body[30000:], END_STREAM)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        self.assertTrue(any(entry[0] == GOAWAY for entry in client.frames) or self.is_over(client.sock, 5))
        client.sock.close()
        self.finish(door)

    @needs("guard: goaway")
    def test_no_request_is_lost_without_a_word(self):
        """A client that sends on until it hears GOAWAY: every stream up to the last one named is answered."""
        door = self.door()
        client = self.enter(door)
        client.head(1)
        client.send_data(1, items("/o/delay/300/text"), END_STREAM)
        wait_until(lambda: door.metrics()["sheaf_items_in_flight"] == 1, 5, "the item under way")
        door.signal(signal.SIGTERM)
        stream = 3
        sent = []
        client.sock.settimeout(0.01)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            if not self.pour(client.sock, headers(stream) + frame(DATA, END_STREAM, stream, items("/o/text"))):
                break
            sent.append(stream)
            stream += 2
            try:
                while True:
                    client.read()
            except TimeoutError:
                pass
            except (AssertionError, OSError):
                break
            if any(entry[0] == GOAWAY and int.from_bytes(entry[3][:4], "big") < 0x7fffffff for entry in client.frames):
                break
        client.sock.settimeout(5)
        try:
            while True:
                client.read()
        except (AssertionError, OSError):
            pass
        lasts = [int.from_bytes(entry[3][:4], "big") for entry in client.frames if entry[0] == GOAWAY]
        self.assertTrue(lasts, "no GOAWAY")
        ended = {entry[2] for entry in client.frames if entry[0] == DATA and entry[1] & END_STREAM}
        owed = {number for number in [1] + sent if number <= lasts[-1]}
        self.assertEqual(owed - ended, set(), "streams that were accepted and not answered")
        client.sock.close()
        self.finish(door)


class DrainTls(Drain):
    tls = True


if __name__ == "__main__":
    unittest.main()
