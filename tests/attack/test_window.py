"""Fact 1: a window that is lifted above nothing while the END_STREAM frame of its stream waits in a blocked write was an
assertion in libh2o. The client reads nothing, so that answers end in blocked writes; then it lowers every window by
SETTINGS and lifts them again."""
import json
import unittest

from harness import (DATA, END_STREAM, SETTINGS, WINDOW_UPDATE, Attack, amount, batch, frame, headers, items, needs, number,
                     setting, wait_until)

WIDE = setting(4, 0x7fffffff)
OPEN = frame(WINDOW_UPDATE, 0, 0, number(0x7fff0000))


def lift_by_settings(streams):
    del streams
    return (frame(SETTINGS, 0, 0, setting(4, 0)) + frame(SETTINGS, 0, 0, WIDE)) * 3


def lift_by_updates(streams):
    return frame(SETTINGS, 0, 0, setting(4, 0)) + b"".join(
        frame(WINDOW_UPDATE, 0, stream, number(0x7fffffff)) for stream in streams)


def lift_in_one_settings(streams):
    """The same setting twice in one frame, and once more alone."""
    del streams
    return frame(SETTINGS, 0, 0, setting(4, 0)) + frame(SETTINGS, 0, 0, setting(4, 1) + WIDE)


@needs("guard: window")
class Window(Attack):
    places = {"endpoint": "budget: 64MiB, max_item_body: 16MiB"}
    growth = 64 << 20
    step = amount(150000, 20000)
    LIFTS = (lift_by_settings, lift_by_updates, lift_in_one_settings)

    def blocked(self, *sizes):
        """A connection that asked for answers of `sizes` and reads none of them."""
        sock = self.dial_http2(WIDE, receive_buffer=4096)
        streams = range(1, 2 * len(sizes), 2)
        sock.sendall(OPEN + b"".join(batch(stream, items(f"/o/json/{size}")) for stream, size in zip(streams, sizes)))
        wait_until(lambda: self.sheaf.metrics()["sheaf_items_in_flight"] == 0, 30, "all answers of the origin")
        return sock, streams

    def test_with_many_answers_one_always_ends_in_the_blocked_write(self):
        for lift in self.LIFTS:
            for size in amount((20000, 100000), (1000, 20000, 60000, 100000)):
                sock, streams = self.blocked(*[size] * 98)
                self.assertTrue(self.pour(sock, lift(streams) + frame(6, 0, 0, b"whatever")))
                sock.settimeout(20)
                self.read_all(sock, streams)
                sock.close()

    def read_all(self, sock, streams):
        """Reads on until every answer has ended: the windows were lifted rightly."""
        data, at, ended = bytearray(), 0, set()
        while len(ended) < len(streams):
            more = sock.recv(1 << 20)
            self.assertTrue(more, f"ended after {len(ended)} of {len(streams)} answers")
            data += more
            while len(data) - at >= 9:
                length = int.from_bytes(data[at:at + 3], "big")
                if len(data) - at < 9 + length:
                    break
                if data[at + 3] == DATA and data[at + 4] & END_STREAM:
                    ended.add(int.from_bytes(data[at + 5:at + 9], "big"))
                at += 9 + length
            del data[:at]
            at = 0

    def test_over_the_whole_range_of_sizes(self):
        """One answer per connection, a little larger each time: somewhere its end lies in the blocked write."""
        for size in range(200000, 5000000, self.step):
            sock, streams = self.blocked(size)
            lift = self.LIFTS[size // 1000 % 3]
            self.assertTrue(self.pour(sock, lift(streams)))
            sock.close()
        self.sheaf.metrics()

    def test_a_window_that_opens_late_in_small_steps(self):
        """As it was found: many results of 5 kB, the stream's window opened while nobody reads."""
        for total in range(540, 620, amount(20, 4)):
            sock = self.dial_http2(setting(4, 65535), receive_buffer=4096)
            body = json.dumps([{"url": "/o/json/5000"}] * 100).encode()
            sock.sendall(OPEN)
            for stream in range(1, 13, 2):
                sock.sendall(headers(stream) + frame(DATA, END_STREAM, stream, body))
                for step in range(total // 6):
                    sock.sendall(frame(WINDOW_UPDATE, 0, stream, number(5000 + step)))
            sock.sendall(lift_by_settings(()))
            sock.close()
        self.sheaf.metrics()


class WindowTls(Window):
    tls = True
    step = amount(600000, 100000)


if __name__ == "__main__":
    unittest.main()
