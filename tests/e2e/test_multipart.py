"""multipart/mixed in and out: OData 4.01 and Google style, as sloppy as clients write it."""
import json
import re
import unittest

from harness import Case


def http_part(request, *mime, eol="\r\n"):
    return eol.join(["Content-Type: application/http", *mime, "", request])


def multipart(*parts, boundary="b", eol="\r\n"):
    return "".join(f"--{boundary}{eol}{part}{eol}" for part in parts) + f"--{boundary}--"


class Part:
    """One part of an answer, cut by hand: nothing of it may be read leniently."""

    def __init__(self, data):
        mime, self.content = data.split(b"\r\n\r\n", 1)
        self.mime = self.fields(mime)
        if self.mime["Content-Type"] == "application/http":
            head, self.body = self.content.split(b"\r\n\r\n", 1)
            line, _, fields = head.partition(b"\r\n")
            self.version, status, self.reason = line.decode().split(" ", 2)
            self.status = int(status)
            self.headers = self.fields(fields)
            assert self.version == "HTTP/1.1" and self.reason and self.headers, head

    @staticmethod
    def fields(data):
        return dict(line.split(": ", 1) for line in data.decode("latin-1").split("\r\n"))


def cut(body, boundary):
    """The parts between the delimiters of `boundary`."""
    mark = b"--" + boundary.encode()
    assert body.startswith(mark) and body.endswith(mark + b"--\r\n"), body
    if body == mark + b"--\r\n":
        return []
    return [Part(data) for data in body[len(mark) + 2:-len(mark) - 6].split(b"\r\n" + mark + b"\r\n")]


class Multipart(Case):
    places = {"endpoint": "max_items: 50", "endpoints": """
        - {path: /nested, change_sets: independent}
        - {path: /flat, change_sets: flat}
        - {path: /svc/$batch, base: /o}
        - {path: /on, on_error: continue}"""}

    def send(self, body, path="/batch", content_type="multipart/mixed; boundary=b", **headers):
        body = body if isinstance(body, bytes) else body.encode()
        return self.sheaf.request("POST", path, body, {"Content-Type": content_type, **headers})

    def parts(self, body, *args, **kwargs):
        answer = self.send(body, *args, **kwargs)
        self.assertEqual(answer.status, 207, answer.body[:600])
        found = re.fullmatch(r"multipart/mixed; boundary=(batchresponse_[0-9a-f]{32})", answer.headers["content-type"])
        self.assertTrue(found, answer.headers)
        return cut(answer.body, found[1])

    def test_an_odata_batch(self):
        parts = self.parts(multipart(
            http_part("GET /o/text HTTP/1.1\r\nAccept: text/plain\r\n\r\n", "Content-Transfer-Encoding: binary"),
            http_part('POST /o/echo HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"n": 1}',
                      "Content-ID: 1.a"),
            http_part("DELETE /o/status/204 HTTP/1.1\r\n\r\n\r\n")), Accept="application/json")
        self.assertEqual([part.status for part in parts], [200, 200, 204])
        self.assertEqual([part.mime.get("Content-ID") for part in parts], [None, "1.a", None])
        self.assertEqual(json.loads(parts[1].body)["body"], '{"n": 1}')
        self.assertEqual(parts[1].headers["Content-Type"], "application/json")
        self.assertEqual(int(parts[1].headers["Content-Length"]), len(parts[1].body))
        self.assertEqual((parts[2].body, parts[2].headers), (b"", {"Via": "1.1 sheaf"}))  # no length: RFC 9110 8.6

    def test_google_style_with_bare_line_feeds_and_folded_names(self):
        parts = self.parts(multipart(
            http_part("GET /o/echo?q=1\nAccept: application/json\nHost: gateway\n\n\n",
                      "MIME-Version: 1.0", "Content-ID: <7c1e7f5e-7a0a-4a9c-8e9a-4a4f3d3f9c22 +\n a>", eol="\n"),
            http_part("GET /o/status/404\n", "Content-ID: <x>", eol="\n"),
            http_part("GET /o/text", "Content-ID: <y>", eol="\n"), boundary="===============99==", eol="\n"),
            content_type='multipart/mixed; boundary="===============99=="', Prefer="continue-on-error")
        self.assertEqual([part.status for part in parts], [200, 404, 200])
        self.assertEqual([part.mime["Content-ID"] for part in parts],
                         ["<response-7c1e7f5e-7a0a-4a9c-8e9a-4a4f3d3f9c22 + a>", "<response-x>", "<response-y>"])
        self.assertEqual(json.loads(parts[0].body)["target"], "/echo?q=1")

    def test_a_part_that_is_no_request_fails_alone(self):
        ours = [http_part("GET /o/text", "Content-ID: a"), http_part("hello", "Content-ID: b[1]"), http_part(""),
                http_part("GET"), http_part("GET /o/text", "Content-ID: c")]
        parts = self.parts(multipart(*ours), path="/on")
        self.assertEqual([(part.mime.get("Content-ID"), part.status) for part in parts],
                         [("a", 200), ("b[1]", 400), (None, 400), (None, 400), ("c", 200)])
        self.assertEqual(json.loads(parts[1].body)["type"], "urn:sheaf:problem:bad-request")

    def test_forms_of_targets(self):
        host = f"127.0.0.1:{self.sheaf.at}"
        for target in ("/o/echo?a=b c", "o/echo?a=b c", f"http://{host}/o/echo?a=b c", f"HTTPS://{host}/o/echo?a=b c"):
            with self.subTest(target=target):
                part, = self.parts(multipart(http_part(f"GET {target} HTTP/1.1")))
                self.assertEqual(part.status, 200, part.body)
                self.assertEqual(json.loads(part.body)["target"], "/echo?a=b%20c")
        part, = self.parts(multipart(http_part("GET echo")), path="/svc/$batch")
        self.assertEqual(part.status, 200)
        for target in ("http://elsewhere.example/o/echo", f"http://{host}.example/o/echo", "//elsewhere/o/echo"):
            part, = self.parts(multipart(http_part(f"GET {target} HTTP/1.1")))
            self.assertEqual(part.status, 400, target)

    def test_any_bytes_of_a_body_pass(self):
        every = bytes(range(256)) * 4 + b"\r\n--bb\r\n\r\n--\r\n--b \x00"
        body = (b"preamble --b\r\n--b  \t\r\nContent-Type: application/http;msgtype=request;\r\n\r\n"
                b"POST /o/echo HTTP/1.1\r\nContent-Type: image/png\r\n\r\n" + every + b"\r\n--b--epilogue\r\n--b\r\n")
        part, = self.parts(body)
        self.assertEqual(json.loads(part.body)["body"].encode("latin-1"), every)

    def test_what_follows_an_error_is_not_processed(self):
        parts = [http_part("GET /o/status/500"), http_part("GET /o/text")]
        self.origin.reset()
        one = self.parts(multipart(http_part("GET /o/status/500", "Content-ID: a"),
                                   http_part("GET $a/x", "Content-ID: b"), http_part("GET $b/x")))
        self.assertEqual([part.status for part in one][:1], [500])
        self.assertNotIn(200, [part.status for part in one])
        for headers in ({"Prefer": "odata.continue-on-error"}, {"Prefer": 'wait=5, Continue-On-Error="true"'}):
            self.assertEqual([part.status for part in self.parts(multipart(*parts), **headers)], [500, 200])
        self.assertEqual([part.status for part in self.parts(multipart(*parts), path="/on")], [500, 200])

    SET = multipart(http_part("POST /o/echo HTTP/1.1\r\n\r\n1", "Content-ID: 1"),
                    http_part("POST /o/echo HTTP/1.1\r\n\r\n2", "Content-ID: 2"), boundary="set")

    def with_set(self):
        return multipart(http_part("GET /o/text", "Content-ID: 1"),
                         "Content-Type: Multipart/Mixed;boundary=set\r\n\r\n" + self.SET, http_part("GET /o/text"))

    def test_a_change_set_is_refused_as_one(self):
        parts = self.parts(self.with_set(), Prefer="continue-on-error")
        self.assertEqual([part.status for part in parts], [200, 501, 200])
        self.assertEqual(json.loads(parts[1].body)["type"], "urn:sheaf:problem:change-sets")

    def test_a_change_set_of_independent_requests_is_answered_nested(self):
        one, nested, last = self.parts(self.with_set(), path="/nested")
        self.assertEqual((one.status, last.status), (200, 200))
        found = re.fullmatch("multipart/mixed; boundary=(changesetresponse_[0-9a-f]{32})", nested.mime["Content-Type"])
        inner = cut(nested.content + b"\r\n", found[1])
        self.assertEqual([part.mime["Content-ID"] for part in inner], ["1", "2"])
        self.assertEqual([json.loads(part.body)["body"] for part in inner], ["1", "2"])

    def test_a_flat_change_set_is_answered_flat(self):
        self.assertEqual([part.status for part in self.parts(self.with_set(), path="/flat")], [200] * 4)

    def test_an_empty_batch(self):
        self.assertEqual(self.parts("--b--"), [])

    def test_envelope_errors_name_line_and_column(self):
        nested = multipart("Content-Type: multipart/mixed; boundary=c\r\n\r\n" + multipart(
            "Content-Type: multipart/mixed; boundary=d\r\n\r\n--d--", boundary="c"))
        good = http_part("GET /o/text")
        for body, slug, line in (
                ("", "syntax", 1), ("--b\r\n" + good, "syntax", 4), ("no delimiter", "syntax", 1),
                (multipart("\r\nGET /o/text"), "member", 2), (multipart("Content-Type: text/plain\r\n\r\nx"), "member", 2),
                (multipart(good, "Content-Type application/http\r\n\r\nGET /"), "syntax", 6),
                (multipart(http_part("GET /o/text", "Content-ID: x"), http_part("GET /o/text", "Content-ID: <x>")), "id", 10),
                (nested, "member", None)):
            with self.subTest(body=body):
                answer = self.send(body, path="/nested")
                self.assertEqual(answer.status, 400, answer.body)
                self.assertEqual(answer.json["type"], f"urn:sheaf:problem:{slug}", answer.json)
                if line:
                    self.assertEqual(answer.json["line"], line, answer.json)
        for content_type in ("multipart/mixed", "multipart/mixed; boundary=" + "x" * 71, 'multipart/mixed; boundary=""'):
            self.assertEqual(self.send(multipart(good), content_type=content_type).status, 400, content_type)

    def test_a_bad_request_is_its_own(self):
        parts = self.parts(multipart(
            http_part("GET /o/text\r\nContent-Length: x"), http_part("GET /o/text", "Content-Transfer-Encoding: base64"),
            http_part("GET /o/text\r\nno field"), http_part("GET /nowhere"), http_part("GET /o/text")),
            Prefer="continue-on-error")
        self.assertEqual([part.status for part in parts], [400, 400, 400, 404, 200])

    def test_json_is_answered_in_multipart_by_accept(self):
        answer = self.sheaf.batch([{"id": "a b", "url": "/o/text"}, {"url": "/o/status/204"}], {"Accept": "multipart/mixed"})
        parts = cut(answer.body, answer.headers["content-type"].split("=")[1])
        self.assertEqual([(part.mime["Content-ID"], part.status) for part in parts], [("a%20b", 200), ("1", 204)])

    def test_boundaries_differ_from_answer_to_answer(self):
        types = {self.send("--b--").headers["content-type"] for _ in range(8)}
        self.assertEqual(len(types), 8)


if __name__ == "__main__":
    unittest.main()
