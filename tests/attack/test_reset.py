"""Requests that are started only to be thrown away: rapid reset (CVE-2023-44487) and MadeYouReset (CVE-2025-8671), in
which the client makes the server reset the stream. Fact 8: neither reaches a backend, and both cost the connection."""
import unittest

from harness import (DATA, END_HEADERS, END_STREAM, FIFTY, HEAD, PRIORITY, RELEASE, RST_STREAM, WINDOW_UPDATE, Attack, amount,
                     batch, frame, headers, keep_worst, number)

CANCEL = number(8)
BURST = 100  # limits.aborts


def streams(count):
    return range(1, 2 * count, 2)


class RapidReset(Attack):
    binary = RELEASE

    def test_a_hundred_thousand_on_one_connection(self):
        blob = b"".join(batch(stream) + frame(RST_STREAM, 0, stream, CANCEL) for stream in streams(100000))
        cpu = self.cpu()
        sock = self.dial_http2()
        self.assertFalse(self.pour(sock, blob), "all of it was taken")
        self.assert_cut(sock)
        took, served = self.cpu() - cpu, self.origin.count()["served"]
        over = " over TLS" if self.tls else ""
        keep_worst(f"CPU for 100,000 rapid resets{over}", took, "{:.2f} s")
        keep_worst(f"sub-requests of 100,000 rapid resets that reached a backend{over}", served)
        self.assertLess(took, 0.2)
        self.assertLess(served, 200)

    def test_requests_for_a_route_are_no_way_round(self):
        head = tuple((name, {b":method": b"GET", b":path": b"/o/text"}.get(name, value)) for name, value in HEAD)
        blob = b"".join(headers(stream, flags=END_HEADERS | END_STREAM, head=head) + frame(RST_STREAM, 0, stream, CANCEL)
                        for stream in streams(100000))
        cpu = self.cpu()
        sock = self.dial_http2()
        self.assertFalse(self.pour(sock, blob), "all of it was taken")
        self.assert_cut(sock)
        self.assertLess(self.cpu() - cpu, 0.2)
        self.assertLess(self.origin.count()["served"], 200)

    def test_again_and_again_on_new_connections(self):
        """The burst of each connection is what it gets."""
        runs, each = amount(20, 200), 1000
        blob = b"".join(batch(stream, FIFTY) + frame(RST_STREAM, 0, stream, CANCEL) for stream in streams(each))
        for _ in range(runs):
            sock = self.dial_http2()
            self.pour(sock, blob)
            self.assert_cut(sock)
            sock.close()
        self.assertLess(self.origin.count()["served"], 200 * runs)

    def test_resets_that_come_late_are_counted_too(self):
        """Each in a packet of its own, so that the fan-out has begun."""
        sock = self.dial_http2()
        taken = 0
        for stream in streams(5000):
            if not self.pour(sock, batch(stream)) or not self.pour(sock, frame(RST_STREAM, 0, stream, CANCEL)):
                break
            taken += 1
        self.assertLess(taken, 4000)
        self.assertLess(self.origin.count()["served"], 400)


class RapidResetTls(RapidReset):
    tls = True


class MadeYouReset(Attack):
    """Each batch has fifty items; what follows it makes the gateway reset its stream."""
    binary = RELEASE

    def provoke(self, provocation):
        runs, each = amount(3, 34), 1000  # six variants of 34,000: 200,000 batches
        blob = b"".join(batch(stream, FIFTY) + provocation(stream) for stream in streams(each))
        cpu = self.cpu()
        for _ in range(runs):
            sock = self.dial_http2()
            self.pour(sock, blob)
            self.assert_cut(sock)
            sock.close()
        served = self.origin.count()["served"]
        keep_worst(f"sub-requests of {runs * each:,} batches of 50 that were made to be reset, of which a backend saw", served)
        self.assertLess(served, 200 * runs)
        self.assertLess(self.cpu() - cpu, 0.1 * runs)

    def test_window_update_over_the_top(self):
        self.provoke(lambda stream: frame(WINDOW_UPDATE, 0, stream, number(0x7fffffff)))

    def test_window_update_of_nothing(self):
        self.provoke(lambda stream: frame(WINDOW_UPDATE, 0, stream, number(0)))

    def test_data_after_the_end(self):
        self.provoke(lambda stream: frame(DATA, 0, stream, b"x"))

    def test_a_priority_on_itself(self):
        self.provoke(lambda stream: frame(PRIORITY, 0, stream, number(stream) + b"\x10"))

    def test_headers_after_the_end(self):
        self.provoke(lambda stream: headers(stream, flags=END_HEADERS | END_STREAM))

    def test_a_priority_of_the_wrong_length(self):
        self.provoke(lambda stream: frame(PRIORITY, 0, stream, b"\0\0\0"))


class MadeYouResetTls(MadeYouReset):
    tls = True


class OneAtATime(Attack):
    """The same, with an answer from the gateway between any two: nothing hides in one read."""
    binary = RELEASE

    def provoke_each(self, provocation):
        client = self.http2()
        sent = 0
        try:
            for stream in streams(1000):
                client.sock.sendall(batch(stream, FIFTY))
                client.sock.sendall(provocation(stream) + frame(6, 0, 0, b"whatever"))
                sent += 1
                while client.read()[:2] != (6, 1):
                    pass
        except (OSError, AssertionError):
            pass
        self.assertLess(sent, 1000, "never cut")
        self.assert_cut(client.sock)
        served = self.origin.count()["served"]
        keep_worst("sub-requests of one connection that resets batches of 50 one at a time", served)
        self.assertLess(served, 50 * (BURST + 60))

    def test_window_update_over_the_top(self):
        self.provoke_each(lambda stream: frame(WINDOW_UPDATE, 0, stream, number(0x7fffffff)))

    def test_window_update_of_nothing(self):
        self.provoke_each(lambda stream: frame(WINDOW_UPDATE, 0, stream, number(0)))

    def test_data_after_the_end(self):
        self.provoke_each(lambda stream: frame(DATA, 0, stream, b"x"))

    def test_cancel(self):
        self.provoke_each(lambda stream: frame(RST_STREAM, 0, stream, CANCEL))


if __name__ == "__main__":
    unittest.main()
