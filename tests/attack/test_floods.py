"""Frames that cost the sender nothing (fact 15) and frames of unknown types (fact 14): a budget, then the end."""
import unittest

from harness import (CONTINUATION, DATA, END_HEADERS, HEADERS, PADDED, PING, PRIORITY, RELEASE, RST_STREAM, SETTINGS,
                     WINDOW_UPDATE, Attack, amount, block, frame, headers, number)


class Floods(Attack):
    binary = RELEASE

    def flood(self, once, before=b"", most_cpu=0.5):
        """Sends `once` until the gateway has had enough, or for 200,000 times: it must have had enough then."""
        sock = self.dial_http2()
        sock.settimeout(20)
        cpu = self.cpu()
        sock.sendall(before)
        pile = once * max(1, 20000 // len(once))
        for _ in range(amount(200, 1000)):
            if not self.pour(sock, pile):
                break
        self.assert_cut(sock)
        self.assertLess(self.cpu() - cpu, most_cpu)

    def test_ping(self):
        self.flood(frame(PING, 0, 0, b"whatever"))

    def test_ping_answers(self):
        self.flood(frame(PING, 1, 0, b"whatever"))

    def test_settings(self):
        self.flood(frame(SETTINGS, 0, 0))

    def test_settings_that_change_the_window(self):
        self.flood(frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff") + frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xfe"))

    def test_settings_answers(self):
        self.flood(frame(SETTINGS, 1, 0))

    def test_priority(self):
        self.flood(frame(PRIORITY, 0, 1, number(0) + b"\x10"))

    def test_priority_of_many_streams(self):
        self.flood(b"".join(frame(PRIORITY, 0, stream, number(0) + b"\x10") for stream in range(3, 23, 2)))

    def test_empty_data(self):
        self.flood(frame(DATA, 0, 1), before=headers(1))

    def test_padded_data_without_data(self):
        self.flood(frame(DATA, PADDED, 1, b"\0"), before=headers(1))

    def test_empty_continuation(self):
        self.flood(frame(CONTINUATION, 0, 1), before=frame(HEADERS, 0, 1, block()))

    def test_full_continuation(self):
        self.flood(frame(CONTINUATION, 0, 1, b"\x00\x01x\x7f\x81\x7e" + b"v" * 16250),
                   before=frame(HEADERS, 0, 1, block()))

    def test_tiny_window_updates(self):
        self.flood(frame(WINDOW_UPDATE, 0, 0, number(1)))

    def test_tiny_window_updates_of_a_stream(self):
        self.flood(frame(WINDOW_UPDATE, 0, 1, number(1)), before=headers(1))

    def test_resets_of_a_closed_stream(self):
        self.flood(frame(RST_STREAM, 0, 1, number(8)), before=headers(1))

    def test_empty_headers_of_closed_streams(self):
        """Each is a stream error (no pseudo-headers)."""
        sock = self.dial_http2()
        cpu = self.cpu()
        self.pour(sock, b"".join(frame(HEADERS, END_HEADERS | 1, stream, b"") for stream in range(1, 200001, 2)))
        self.assert_cut(sock)
        self.assertLess(self.cpu() - cpu, 0.5)

    def test_unknown_frames(self):
        self.flood(frame(0xbe, 0, 0, b"grease"))
        self.assertEqual([line for line in self.sheaf.err if '"event":"start"' not in line], [])


class FloodsTls(Floods):
    tls = True


class Unknown(Attack):
    def test_browsers_may_send_unknown_frames_and_settings(self):
        client = self.http2()
        client.sock.sendall(frame(SETTINGS, 0, 0, b"\x3a\x3a\0\0\0\1"))
        for kind in (10, 11, 12, 16, 32, 0x0b + 0x1f * 3, 255):
            client.sock.sendall(frame(kind, 255, 0, b"grease"))
            client.sock.sendall(frame(kind, 0, 1, b""))
        client.head(1)
        client.send_data(1, b'[{"url":"/o/text"}]', 1)
        self.assertEqual(client.answer(1)["responses"][0]["status"], 200)
        self.assertEqual([line for line in self.sheaf.err if "level" not in line], [])

    def test_within_a_header_block_they_end_the_connection(self):
        sock = self.dial_http2()
        sock.sendall(frame(HEADERS, 0, 1, block()) + frame(0xbe, 0, 1, b"grease"))
        self.assert_cut(sock)


class UnknownTls(Unknown):
    tls = True


if __name__ == "__main__":
    unittest.main()
