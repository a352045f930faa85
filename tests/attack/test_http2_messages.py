"""Messages that RFC 9113 section 8 calls malformed (fact 13): a stream error, a 400, or the end of the connection, never
a batch. What is well-formed is answered, on the same connection, before and after."""
import json
import unittest

from harness import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, Attack, awaited, block,
                     field, frame, headers, items, needs)

GOOD, BAD, EITHER = "answered by 207", "malformed", "either"
HEAD = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/batch"), (b":authority", b"h"),
        (b"content-type", b"application/json")]


def head(*more, **changes):
    """The fields of a batch with some replaced (None: left out) and more behind."""
    fields = [(name, changes.get(name.decode().strip(":").replace("-", "_"), value)) for name, value in HEAD]
    return [pair for pair in fields if pair[1] is not None] + list(more)


def row(name, verdict, *more, body=b"[]", trailers=None, raw=None, **changes):
    return name, verdict, raw or head(*more, **changes), body, trailers


ROWS = [
    row("plain", GOOD),
    row("a query", GOOD, path=b"/batch?a=b"),
    row("an authority with a port", GOOD, authority=b"h:8080"),
    row("an authority that is IPv6", GOOD, authority=b"[::1]:80"),
    row("host for :authority", GOOD, (b"host", b"h"), authority=None),
    row("host beside :authority, the same", GOOD, (b"host", b"h")),
    row("te: trailers", GOOD, (b"te", b"trailers")),
    row("a content-length that is right", GOOD, (b"content-length", b"2")),
    row("every token character in a name", GOOD, (b"!#$%&'*+-.^_`|~09az", b"b")),
    row("obs-text in a value", GOOD, (b"x-a", b"\x80\xff")),
    row("an empty value", GOOD, (b"x-a", b"")),
    row("two cookies", GOOD, (b"cookie", b"a=1"), (b"cookie", b"b=2")),
    row("trailers", GOOD, trailers=[(b"x-a", b"b")]),
    row("a content-length and trailers", GOOD, (b"content-length", b"2"), trailers=[(b"x-a", b"b")]),
    row("the order of pseudo-headers is free", GOOD, raw=[HEAD[2], HEAD[3], HEAD[1], HEAD[0], HEAD[4]]),
    row("another scheme", EITHER, scheme=b"ftp"),

    row("no :method", BAD, method=None),
    row("no :scheme", BAD, scheme=None),
    row("no :path", BAD, path=None),
    row("no :authority and no host", BAD, authority=None),
    row("an empty :method", BAD, method=b""),
    row("an empty :scheme", BAD, scheme=b""),
    row("an empty :path", BAD, path=b""),
    row("an empty :authority", BAD, authority=b""),
    row("two :method", BAD, raw=[HEAD[0]] + HEAD),
    row("two :path", BAD, raw=[HEAD[2]] + HEAD),
    row("two :scheme", BAD, raw=[HEAD[1]] + HEAD),
    row("two :authority", BAD, raw=[HEAD[3]] + HEAD),
    row("two host", BAD, (b"host", b"h"), (b"host", b"h")),
    row("another host than :authority", BAD, (b"host", b"other")),
    row("a pseudo-header nobody knows", BAD, raw=[(b":x", b"y")] + HEAD),
    row(":status in a request", BAD, raw=[(b":status", b"200")] + HEAD),
    row(":protocol that was not offered", BAD, raw=[(b":protocol", b"websocket")] + HEAD),
    row("a pseudo-header after a field", BAD, raw=[HEAD[4]] + HEAD[:4]),
    row(":path at the end", BAD, raw=HEAD[:2] + HEAD[3:] + [HEAD[2]]),

    row("a space in :method", BAD, method=b"PO ST"),
    row("a request line in :method", BAD, method=b"POST /other HTTP/1.1\r\nx: y"),
    row("a control in :method", BAD, method=b"PO\x01ST"),
    row("a colon in :method", BAD, method=b"POST:"),
    row("a space in :path", BAD, path=b"/batch HTTP/1.1"),
    row("CR LF in :path", BAD, path=b"/batch\r\nx: y"),
    row("a control in :path", BAD, path=b"/batch\x01"),
    row("DEL in :path", BAD, path=b"/batch\x7f"),
    row("beyond ASCII in :path", BAD, path=b"/batch\xc3\xa9"),
    row("a fragment in :path", BAD, path=b"/batch#a"),
    row("a :path without slash", BAD, path=b"batch"),
    row("a whole URL in :path", BAD, path=b"http://h/batch"),
    row("* for POST", BAD, path=b"*"),
    row("a space in :scheme", BAD, scheme=b"ht tp"),
    row("CR LF in :scheme", BAD, scheme=b"http\r\nx: y"),
    row("a slash in :scheme", BAD, scheme=b"http://h/"),
    row("a space in :authority", BAD, authority=b"a b"),
    row("userinfo in :authority", BAD, authority=b"me@h"),
    row("a path in :authority", BAD, authority=b"h/batch"),
    row("a query in :authority", BAD, authority=b"h?a"),
    row("a bad port in :authority", BAD, authority=b"h:80x"),
    row("two ports in :authority", BAD, authority=b"h:80:81"),
    row("CR LF in :authority", BAD, authority=b"h\r\nx: y"),
    row("beyond ASCII in :authority", BAD, authority=b"h\xe9"),
    row("a space in host", BAD, (b"host", b"a b"), authority=None),
    row("CONNECT", BAD, raw=[(b":method", b"CONNECT"), (b":authority", b"h:443")]),
    row("CONNECT with a path", BAD, method=b"CONNECT"),

    row("an upper-case name", BAD, (b"X-a", b"b")),
    row("an upper-case letter within", BAD, (b"x-A", b"b")),
    row("an empty name", BAD, (b"", b"b")),
    row("a space in a name", BAD, (b"x a", b"b")),
    row("a colon in a name", BAD, (b"x:a", b"b")),
    row("a control in a name", BAD, (b"x\x01a", b"b")),
    row("NUL in a name", BAD, (b"x\0a", b"b")),
    row("CR LF in a name", BAD, (b"x: y\r\nz", b"b")),
    row("DEL in a name", BAD, (b"x\x7f", b"b")),
    row("beyond ASCII in a name", BAD, (b"x\xe9", b"b")),
    row("NUL in a value", BAD, (b"x-a", b"b\0c")),
    row("CR in a value", BAD, (b"x-a", b"b\rc")),
    row("LF in a value", BAD, (b"x-a", b"b\nc")),
    row("CR LF in a value", BAD, (b"x-a", b"b\r\nx-b: c")),
    row("a space before a value", BAD, (b"x-a", b" b")),
    row("a space after a value", BAD, (b"x-a", b"b ")),
    row("a tab before a value", BAD, (b"x-a", b"\tb")),

    row("connection", BAD, (b"connection", b"close")),
    row("keep-alive", BAD, (b"keep-alive", b"timeout=5")),
    row("proxy-connection", BAD, (b"proxy-connection", b"keep-alive")),
    row("transfer-encoding", BAD, (b"transfer-encoding", b"chunked")),
    row("upgrade", BAD, (b"upgrade", b"h2c")),
    row("te: gzip", BAD, (b"te", b"gzip")),
    row("te: trailers, gzip", BAD, (b"te", b"trailers, gzip")),

    row("a content-length too large", BAD, (b"content-length", b"3")),
    row("a content-length too small", BAD, (b"content-length", b"1")),
    row("a content-length of nothing", BAD, (b"content-length", b"0")),
    row("a content-length without body", BAD, (b"content-length", b"5"), body=None),
    row("a content-length too large, with trailers", BAD, (b"content-length", b"3"), trailers=[(b"x-a", b"b")]),
    row("two content-lengths", BAD, (b"content-length", b"2"), (b"content-length", b"3")),
    row("a content-length with a sign", BAD, (b"content-length", b"+2")),
    row("a negative content-length", BAD, (b"content-length", b"-2")),
    row("a content-length that is no number", BAD, (b"content-length", b"2x")),
    row("an empty content-length", BAD, (b"content-length", b"")),
    row("a content-length over 64 bits", BAD, (b"content-length", b"18446744073709551618")),

    row("a pseudo-header in trailers", BAD, trailers=[(b":path", b"/other")]),
    row("an upper-case name in trailers", BAD, trailers=[(b"X-A", b"b")]),
    row("connection in trailers", BAD, trailers=[(b"connection", b"close")]),
    row("CR LF in trailers", BAD, trailers=[(b"x-a", b"b\r\nc: d")]),
]


def fields_of(pairs):
    return b"".join(field(*pair) for pair in pairs)


class Messages(Attack):
    def send(self, client, stream, pairs, body=b"[]", trailers=None):
        last = END_STREAM if body is None else 0
        data = frame(HEADERS, END_HEADERS | last, stream, fields_of(pairs))
        if body is not None:
            data += frame(DATA, 0 if trailers else END_STREAM, stream, body)
        if trailers:
            data += frame(HEADERS, END_HEADERS | END_STREAM, stream, fields_of(trailers))
        self.pour(client.sock, data)

    def outcome(self, client, stream):
        """What became of a stream: its document, or what ended it."""
        body = b""
        while True:
            try:
                kind, flags, of, payload = client.read()
            except (AssertionError, OSError):
                return "the connection ended"
            if kind == GOAWAY:
                return "GOAWAY"
            if of != stream:
                continue
            if kind == RST_STREAM:
                return "RST_STREAM"
            if kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                document = json.loads(body) if body else {}
                return GOOD if "responses" in document else f"problem {document.get('status')}"

    @needs("guard: HTTP/2 messages")
    def test_every_row(self):
        wrong = {}
        client = None
        for name, verdict, pairs, body, trailers in awaited(ROWS):
            if client is None:
                client, stream = self.http2(), 1
                client.sock.settimeout(5)
            self.send(client, stream, pairs, body, trailers)
            found = self.outcome(client, stream)
            if verdict != EITHER and (found == GOOD) != (verdict == GOOD):
                wrong[name] = found
            if verdict == BAD and found not in ("RST_STREAM", "GOAWAY", "the connection ended") and not self.is_refusal(found):
                wrong[name] = found
            if found in ("GOAWAY", "the connection ended"):
                client = None
                continue
            self.send(client, stream + 2, HEAD)
            after = self.outcome(client, stream + 2)
            if after != GOOD:
                wrong[name] = f"{found}, and a plain request after it: {after}"
                client = None
                continue
            stream += 4
        self.assertEqual(wrong, {}, f"{len(wrong)} of {len(ROWS)} rows")

    def test_content_that_does_not_come_is_missed_by_routes_too(self):
        for length, status in ((b"5", 400), (b"0", 200)):
            client = self.http2()
            pairs = head((b"content-length", length), path=b"/o/echo", content_type=None)
            self.send(client, 1, pairs, body=None)
            frames = client.until(DATA, 1, END_STREAM)
            document = json.loads(b"".join(payload for kind, _, _, payload in frames if kind == DATA))
            self.assertEqual(document.get("status", 200), status, document)

    @staticmethod
    def is_refusal(found):
        return found in ("problem 400", "problem 405", "problem 501", "problem None")

    def echo(self, more=(), trailers=None):
        """The request headers that reached the origin."""
        client = self.http2()
        self.send(client, 1, head(*more), items("/o/echo"), trailers)
        return client.answer(1)["responses"][0]["body"]["headers"]

    @needs("guard: HTTP/2 messages")
    def test_trailers_never_become_headers(self):
        seen = self.echo(trailers=[(b"x-secret", b"trailer-was-here"), (b"authorization", b"trailer-was-here"),
                                   (b"x-forwarded-for", b"6.6.6.6")])
        self.assertNotIn("trailer-was-here", str(seen))
        self.assertNotIn("6.6.6.6", str(seen))

    def test_cookies_are_joined(self):
        seen = self.echo(more=[(b"cookie", b"a=1"), (b"x-a", b"b"), (b"cookie", b"b=2"), (b"cookie", b"c=3")])
        self.assertEqual([value for name, value in seen if name == "cookie"], ["a=1; b=2; c=3"])

    def test_trailers_must_end_the_stream(self):
        client = self.http2()
        self.pour(client.sock, frame(HEADERS, END_HEADERS, 1, block()) + frame(DATA, 0, 1, b"[]") +
                  frame(HEADERS, END_HEADERS, 1, field(b"x-a", b"b")))
        self.assertIn(self.outcome(client, 1), ("RST_STREAM", "GOAWAY", "the connection ended"))

    def refused_upload(self, *trailers):
        """A request that is refused with its first bytes; then its trailers, whole frames as they are given."""
        client = self.http2()
        self.pour(client.sock, headers(1, (b"content-length", b"%d" % (2 << 20))) + frame(DATA, 0, 1, bytes(1000)))
        client.until(DATA, 1, END_STREAM)
        self.pour(client.sock, b"".join(trailers))
        return client

    INDEXED = b"\x40\x03x-a\x01b"  # joins the dynamic table as its newest entry, 62

    def test_trailers_of_a_refused_request_in_several_frames(self):
        """They are thrown away, and the table knows of them."""
        for pieces in ((self.INDEXED,), (b"", self.INDEXED), (self.INDEXED[:3], self.INDEXED[3:]),
                       (self.INDEXED[:1], b"", self.INDEXED[1:])):
            kinds = [(HEADERS, END_STREAM)] + [(CONTINUATION, 0)] * (len(pieces) - 1)
            frames = [frame(kind, flags | (END_HEADERS if at == len(pieces) - 1 else 0), 1, piece)
                      for at, ((kind, flags), piece) in enumerate(zip(kinds, pieces))]
            client = self.refused_upload(*frames)
            self.pour(client.sock, frame(HEADERS, END_HEADERS, 3, block() + b"\xbe") +
                      frame(DATA, END_STREAM, 3, items("/o/echo")))
            seen = client.answer(3)["responses"][0]["body"]["headers"]
            self.assertIn(["x-a", "b"], seen, pieces)

    def test_trailers_of_a_refused_request_have_limits(self):
        many = [frame(HEADERS, END_STREAM, 1, field(b"x-a", b"b" * 16000))]
        many += [frame(CONTINUATION, 0, 1, field(b"x-a", b"b" * 16000))] * 4
        for frames in (many, [frame(HEADERS, END_STREAM, 1, b""), frame(CONTINUATION, END_HEADERS, 1, field(b"x", b"") * 129)],
                       [frame(HEADERS, END_STREAM, 1, b""), frame(CONTINUATION, END_HEADERS, 3, b"")],
                       [frame(HEADERS, END_STREAM, 1, b""), frame(PING, 0, 0, b"whatever")],
                       [frame(HEADERS, END_STREAM, 1, b""), frame(CONTINUATION, END_HEADERS, 1, b"\xff\xff\xff")]):
            self.assert_cut(self.refused_upload(*frames).sock)

    def test_a_second_head_ends_the_connection(self):
        for more in (END_STREAM, 0):
            client = self.http2()
            self.pour(client.sock, frame(HEADERS, END_HEADERS | END_STREAM, 1, block()) +
                      frame(HEADERS, END_HEADERS | more, 1, block()))
            self.assert_cut(client.sock)


class MessagesTls(Messages):
    tls = True


if __name__ == "__main__":
    unittest.main()
