"""multipart/mixed in and out: what OData and Google clients send, and what they must be able to read."""
import email.parser
import email.policy
import json
import re
import unittest

from harness import Case

ALL_BYTES = bytes(range(256))


def part(request, *headers, newline="\r\n"):
    """One application/http part; `request` is bytes, or text whose lines are joined by CRLF."""
    if isinstance(request, str):
        request = request.encode()
    head = newline.join(["Content-Type: application/http", "Content-Transfer-Encoding: binary", *headers])
    return head.encode() + newline.encode() * 2 + request


def join(parts, boundary="batch_1", newline="\r\n"):
    newline, line = newline.encode(), b"--" + boundary.encode()
    return b"".join(line + newline + part + newline for part in parts) + line + b"--"


def change_set(*parts, boundary="changeset_1"):
    return b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n%s" % (boundary.encode(), join(parts, boundary))


def split(content_type, body):
    """The parts of a multipart as strictly as RFC 2046 has it: (MIME headers, content)."""
    kind, boundary = content_type.split("; boundary=")
    assert kind == "multipart/mixed" and re.fullmatch(r"(batch|changeset)response_[0-9a-f]{32}", boundary), content_type
    line = b"--" + boundary.encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + line)
    assert pieces[0] == b"" and pieces[-1].startswith(b"--"), body
    assert all(piece.startswith(b"\r\n") for piece in pieces[1:-1]), body
    found = []
    for piece in pieces[1:-1]:
        head, _, content = piece[2:].partition(b"\r\n\r\n")
        found.append((dict(field.split(": ", 1) for field in head.decode().split("\r\n")), content))
    return found


class Response:
    def __init__(self, mime, content):
        assert mime["Content-Type"] == "application/http", mime
        head, separator, self.body = content.partition(b"\r\n\r\n")
        assert separator, content
        line, *fields = head.decode().split("\r\n")
        assert fields and re.fullmatch(r"HTTP/1\.1 [1-5]\d\d [A-Z].*", line), head
        self.content_id, self.status = mime.get("Content-ID"), int(line.split()[1])
        self.headers = dict(field.split(": ", 1) for field in fields)

    @property
    def echoed(self):
        """The body that /echo got."""
        return json.loads(self.body)["body"].encode("latin-1")


def read(content_type, body):
    """Responses; those of a change set as a list."""
    return [read(mime["Content-Type"], content) if mime["Content-Type"].startswith("multipart/") else
            Response(mime, content) for mime, content in split(content_type, body)]


class Multipart(Case):
    def send(self, body, sheaf=None, boundary="batch_1", **headers):
        """Posts; the answer as it came."""
        headers = {"Content-Type": f"multipart/mixed; boundary={boundary}",
                   **{name.replace("_", "-"): value for name, value in headers.items()}}
        return (sheaf or self.sheaf).request("POST", "/batch", body, headers)

    def ask(self, *parts, sheaf=None, **headers):
        answer = self.send(join(parts), sheaf, **headers)
        self.assertEqual(answer.status, 207, answer.body[:500])
        return read(answer.headers["content-type"], answer.body)

    def test_requests_are_answered_in_order(self):
        one, two = self.ask(part("GET /o/text HTTP/1.1\r\n"), part("GET /o/json/10"), Prefer="continue-on-error")
        self.assertEqual((one.status, two.status), (200, 200))
        self.assertEqual(two.headers["Content-Length"], str(len(two.body)))
        self.assertIsNone(one.content_id)

    def test_the_answer_is_multipart_whatever_accept_says(self):
        self.assertEqual([r.status for r in self.ask(part("GET /o/text"), Accept="application/json")], [200])

    def test_every_byte_passes_both_ways(self):
        body = ALL_BYTES + b"\r\n\n\r--batch_1x\r\n"
        request = b"POST /o/echo HTTP/1.1\r\nContent-Type: application/octet-stream\r\n\r\n"
        sent, got = self.ask(part(request + body), part("GET /o/binary"))
        self.assertEqual((sent.echoed, got.body), (body, ALL_BYTES))

    def test_an_empty_answer_keeps_its_line_break(self):
        one, two = self.ask(part("GET /o/status/204"), part("GET /o/text"))
        self.assertEqual((one.status, one.body, two.status), (204, b"", 200))

    def test_processing_stops_at_the_first_error(self):
        parts = [part("GET /o/text"), part("GET /o/status/500"), part("GET /o/text"), part("GET /nowhere")]
        self.assertEqual([r.status for r in self.ask(*parts)], [200, 500])
        for prefer in "continue-on-error", "odata.continue-on-error", "respond-async, continue-on-error=true":
            self.assertEqual([r.status for r in self.ask(*parts, Prefer=prefer)], [200, 500, 200, 404])
        self.assertEqual([r.status for r in self.ask(*parts, Prefer="continue-on-error=false")], [200, 500])

    def test_the_endpoint_may_say_that_it_goes_on(self):
        sheaf = self.start(endpoint="on_error: continue")
        answers = self.ask(part("GET /o/status/500"), part("GET /o/text"), sheaf=sheaf)
        self.assertEqual([r.status for r in answers], [500, 200])

    def test_content_ids_come_back(self):
        answers = self.ask(part("GET /o/text", "Content-ID: 1"), part("GET /o/text", "content-id: <a.b + c>"),
                           part("GET /o/text HTTP/1.1\r\nContent-ID: 3\r\n\r\n"))
        self.assertEqual([r.content_id for r in answers], ["1", "<response-a.b + c>", "3"])

    def test_a_change_set_is_refused_as_one(self):
        requests = [part("POST /o/echo\r\n\r\nx", "Content-ID: 1"), part("POST /o/echo\r\n\r\ny", "Content-ID: 2")]
        one, two = self.ask(change_set(*requests), part("GET /o/text"), Prefer="continue-on-error")
        self.assertEqual((one.status, two.status), (501, 200))

    def test_a_change_set_runs_as_ordinary_items(self):
        requests = [part("POST /o/echo\r\n\r\nx", "Content-ID: 1"), part("POST /o/echo\r\n\r\ny", "Content-ID: 2")]
        sheaf = self.start(endpoint="change_sets: independent")
        alone, nested = self.ask(part("GET /o/text"), change_set(*requests), sheaf=sheaf)
        self.assertEqual(alone.status, 200)
        self.assertEqual([(r.content_id, r.status, r.echoed) for r in nested], [("1", 200, b"x"), ("2", 200, b"y")])

    def test_a_change_set_may_be_answered_flat(self):
        requests = [part("POST /o/echo\r\n\r\nx", "Content-ID: 1"), part("POST /o/echo\r\n\r\ny", "Content-ID: 2")]
        sheaf = self.start(endpoint="change_sets: flat")
        answers = self.ask(change_set(*requests), part("GET /o/text"), sheaf=sheaf)
        self.assertEqual([r.content_id for r in answers], ["1", "2", None])

    def test_google_style_with_bare_line_feeds(self):
        """What googleapiclient sends, and how it reads the answer: with the email package."""
        sheaf = self.start(endpoint="on_error: continue")
        boundary = "===============7330845974216740156=="
        parts = [part(f"GET /o/status/{status} HTTP/1.1\nAccept: application/json\nHost: x\n\n\n", "MIME-Version: 1.0",
                      f"Content-ID: <b29c5de2 + {status}>", newline="\n") for status in (404, 200)]
        answer = self.send(join(parts, boundary, "\n"), sheaf, f'"{boundary}"')
        text = b"content-type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.body
        message = email.parser.BytesFeedParser(policy=email.policy.compat32)
        message.feed(text)
        found = message.close()
        self.assertTrue(found.is_multipart())
        got = {p["Content-ID"]: p.get_payload().split(" ", 2)[1] for p in found.get_payload()}
        self.assertEqual(got, {"<response-b29c5de2 + 404>": "404", "<response-b29c5de2 + 200>": "200"})

    def test_an_absolute_target_of_this_host_is_ours(self):
        ours, foreign = self.ask(part(f"GET http://127.0.0.1:{self.sheaf.at}/o/text HTTP/1.1"),
                                 part("GET http://other.example/o/text HTTP/1.1"))
        self.assertEqual((ours.status, foreign.status), (200, 400))

    def test_a_broken_batch_is_one_problem_with_its_place(self):
        answer = self.send(b"--batch_1\r\nContent-Type: text/plain\r\n\r\nx\r\n--batch_1--")
        self.assertEqual((answer.status, answer.headers["content-type"]), (400, "application/problem+json"))
        self.assertEqual((answer.json["line"], answer.json["column"]), (2, 1))

    def test_a_json_batch_may_be_answered_in_multipart(self):
        items = [{"id": "a", "url": "/o/text"}, {"id": "b", "url": "/nowhere"}]
        answer = self.sheaf.batch(items, headers={"Accept": "multipart/mixed"})
        results = read(answer.headers["content-type"], answer.body)
        self.assertEqual([(r.content_id, r.status) for r in results], [("a", 200), ("b", 404)])

    def test_an_atomicity_group_is_answered_nested(self):
        sheaf = self.start(endpoint="change_sets: independent")
        items = [{"url": "/o/text"}, *({"id": i, "url": "/o/text", "atomicityGroup": "g"} for i in "xy")]
        answer = sheaf.batch(items, headers={"Accept": "multipart/mixed"})
        alone, nested = read(answer.headers["content-type"], answer.body)
        self.assertEqual([r.content_id for r in nested], ["x", "y"])

    def test_large_bodies_stream(self):
        """More than is held back for one write: the answer is chunked, and parts stay whole."""
        answers = self.ask(*(part(f"GET /o/bytes/{size}") for size in (300000, 1, 300000)))
        self.assertEqual([len(r.body) for r in answers], [300000, 1, 300000])


if __name__ == "__main__":
    unittest.main()
