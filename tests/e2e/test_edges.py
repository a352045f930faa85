"""Where two rules meet: closed windows, long lingers, lines that are out of time, gathered writes, no descriptors."""
import json
import os
import pathlib
import resource
import socket
import struct
import time
import unittest

from harness import H2_PREFACE, Case, RawClient, frame, literal, wait_until

TEXT = {"requests": [{"url": "/o/text"}]}


class ClosedWindows(Case):
    places = {"top": "limits: {send_timeout: 1s}"}
    head = b"".join(literal(*field) for field in (
        (b":method", b"POST"), (b":path", b"/batch"), (b":scheme", b"http"), (b":authority", b"h"),
        (b"content-type", b"image/png")))

    def frames_until_the_end(self, sock):
        """[(kind, stream, payload)] up to the end of the connection, or the reset of stream 1."""
        data, frames = b"", []
        while True:
            while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                size = 9 + int.from_bytes(data[:3], "big")
                frames.append((data[3], int.from_bytes(data[5:9], "big"), data[9:size]))
                data = data[size:]
                if frames[-1][:2] == (3, 1):
                    return frames
            try:
                more = sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return frames
            data += more

    def test_a_refusal_that_may_not_be_sent_is_given_up(self):
        before = self.sheaf.metrics()["sheaf_client_stalls_total"]
        with socket.create_connection(("127.0.0.1", self.sheaf.at), timeout=6) as sock:
            sock.sendall(H2_PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0)) +
                         frame(1, 4, 1, self.head) + frame(0, 1, 1, b"not a batch"))
            started = time.monotonic()
            frames = self.frames_until_the_end(sock)
            seconds = time.monotonic() - started
        self.assertIn((1, 1), [entry[:2] for entry in frames], "the head of the refusal came")
        self.assertNotIn((0, 1), [entry[:2] for entry in frames], "no byte of its body did")
        self.assertLess(seconds, 3)
        self.assertEqual(self.sheaf.metrics()["sheaf_client_stalls_total"], before + 1)
        wait_until(lambda: self.sheaf.metrics()["sheaf_client_connections"] == 0, 3, "the connection gone")
        self.assertEqual(self.run_item("/o/text")["status"], 200)


class LongLingers(Case):
    places = {"endpoint": "linger: 10s, timeout: 60s", "upstream": "timeout: 30s"}

    def test_a_hang_up_cancels_what_flies_within_a_second(self):
        for how in ("close", "reset"):
            with self.subTest(how=how):
                self.origin.reset()
                client = RawClient(self.sheaf.at)
                client.post({"requests": [{"url": "/o/text"}, {"url": "/o/never"}]})
                wait_until(lambda: (count := self.origin.count())["flying"] == 1 and count["served"] == 2,
                           what="one item answered, one flying")
                getattr(client, how)()
                wait_until(lambda: self.origin.count()["cancelled"] == 1, 1, "the cancelled exchange")
        wait_until(lambda: self.sheaf.metrics()["sheaf_batches_in_flight"] == 0, 1, "the batch's end")


class BodiesThatAreNotKept(Case):
    places = {"endpoint": "max_item_body: 13"}

    def test_a_205_may_not_be_larger_than_others(self):
        text = {"url": "/o/bytes/13"}
        before, large, after = self.run_items(text, "/o/status/205", text)  # 14 bytes
        self.assert_problem(large, 502, "answer-too-large")
        self.assertEqual((before["status"], after["status"]), (200, 200))
        self.assertEqual(before["body"], after["body"])

    def test_a_205_that_fits_is_one_without_a_body(self):
        sheaf = self.start(endpoint="max_item_body: 14")
        result = self.run_item("/o/status/205", sheaf=sheaf)
        self.assertEqual((result["status"], result.get("body")), (205, None))
        wait_until(lambda: sheaf.metrics()["sheaf_result_bytes_held"] == 0, 3, "nothing held")


class OutOfTime(Case):
    places = {"upstream": "max_connections: 1, timeout: 30s", "endpoint": "timeout: 300ms"}

    def test_who_flies_who_waits_in_line_and_who_is_not_launched_tell_the_same(self):
        self.origin.reset()
        started = time.monotonic()
        first, *rest = self.run_items("/o/text", *["/o/delay/5000"] * 8, parallel=4)
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual(first["status"], 200)
        for result in rest:
            self.assert_problem(result, 504, "batch-timeout")
        self.assertEqual(len({json.dumps(result["body"]) for result in rest}), 1)
        wait_until(lambda: self.origin.count()["flying"] == 0, 1, "nothing flying")
        self.assertEqual(self.origin.count()["cancelled"], 1, "the others never left")
        self.assertEqual(self.run_item("/o/text")["status"], 200, "the line moves on")


class Gathering(Case):
    items = 3000
    places = {"endpoint": "max_items: 3000, linger: 0s, timeout: 60s"}

    def chunks(self, data):
        """Sizes of the chunks of a whole answer, and its body."""
        sizes, body = [], b""
        at = data.index(b"\r\n\r\n") + 4
        while True:
            line_end = data.index(b"\r\n", at)
            size = int(data[at:line_end], 16)
            if size == 0:
                return sizes, body
            sizes.append(size)
            body += data[line_end + 2:line_end + 2 + size]
            at = line_end + 2 + size + 2

    def test_small_results_share_their_chunks(self):
        client = RawClient(self.sheaf.at)
        started = time.monotonic()
        client.post({"requests": [{"url": "/o/text"}] * self.items})
        sizes, body = self.chunks(client.read_until(b"\r\n0\r\n\r\n"))
        seconds = time.monotonic() - started
        client.close()
        self.assertEqual([result["status"] for result in json.loads(body)["responses"]], [200] * self.items)
        self.assertLessEqual(len(sizes), seconds / 0.005 + len(body) / 65536 + 5)
        self.assertLess(len(sizes), self.items / 4)

    def test_a_lone_result_does_not_wait_for_company(self):
        client = RawClient(self.sheaf.at)
        client.post({"requests": [{"url": "/o/text"}, {"url": "/o/never"}]})
        client.read_until(b"plain")
        self.assertEqual(self.origin.count()["flying"], 1)
        client.close()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class OutOfDescriptors(Case):
    def fill(self, sheaf):
        """Leaves the worker eight descriptors; of 20 idle clients that connect, the last ones wait to be accepted."""
        wait_until(lambda: sheaf.get_admin("/readyz").status == 200, what="a ready worker")
        (pid,) = sheaf.children()
        limit = open_files(pid) + 8
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        clients = []
        for _ in range(20):
            clients.append(RawClient(sheaf.at))
            self.addCleanup(clients[-1].close)
        wait_until(lambda: open_files(pid) == limit, 5, "no descriptor left")
        return pid, clients

    def test_a_full_worker_rests_and_recovers(self):
        pid, clients = self.fill(self.sheaf)
        late = clients.pop()
        late.post(TEXT)
        late.sock.settimeout(0.8)
        before, started = cpu_seconds(pid), time.monotonic()
        with self.assertRaises(TimeoutError):  # nobody can accept it
            late.sock.recv(1)
        self.assertLess(cpu_seconds(pid) - before, (time.monotonic() - started) / 4)

        for client in clients:
            client.close()
        late.sock.settimeout(5)
        answer = late.read_response()
        self.assertEqual([result["status"] for result in answer.json["responses"]], [200], "who waited is served")
        self.assertEqual(self.run_item("/o/text")["status"], 200)
        self.assertEqual(self.sheaf.children(), [pid])

    def test_an_item_without_a_descriptor_for_its_backend_fails_alone(self):
        sheaf = self.start()  # it has no connection to a backend yet
        pid, (client, *others) = self.fill(sheaf)
        client.post(TEXT)
        (result,) = client.read_response().json["responses"]
        self.assert_problem(result, 503, "overloaded")

        for other in others:
            other.close()

        def is_quiet():
            metrics = sheaf.metrics()
            return metrics["sheaf_client_connections_total"] == 20 and metrics["sheaf_client_connections"] == 1
        wait_until(is_quiet, 5, "all who queued taken and gone")
        client.post(TEXT)
        (result,) = client.read_response().json["responses"]
        self.assertEqual(result["status"], 200, "the same connection, once there is room")
        self.assertEqual(sheaf.children(), [pid])


if __name__ == "__main__":
    unittest.main()
