"""The grammar of HTTP/1 (fact 12, RFC 9112): every row of grammar.py, each followed by a second request on the same
connection, whole and cut at every byte. What is refused ends the connection; the second request is never answered then."""
import re
import shutil
import subprocess
import tempfile
import unittest

import grammar
from harness import (Attack, amount, awaited, free_port, items, needs, only_in_full, wait_until)

NEXT = grammar.whole(fields=b"Connection: close\r\n" + grammar.LENGTH)
WAVE = 90  # connections at once


def split_answers(data):
    """[(status, head, body)] of what a connection gave back."""
    answers = []
    while data:
        head, mark, rest = data.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
        if not found or not mark:
            raise AssertionError(f"no answer: {data[:200]!r}")
        status = int(found[1])
        if status == 100:
            data = rest
            continue
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            body, data = rest[:int(length[1])], rest[int(length[1]):]
        elif b"chunked" in head.lower():
            body, data = unchunk(rest)
        else:
            body, data = (b"", rest) if status == 204 else (rest, b"")
        answers.append((status, head, body))
    return answers


def unchunk(data):
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + data[:length], data[length + 2:]
        if length == 0:
            return body, data


def judge(verdict, data):
    """What is wrong with the answers in `data`, or None."""
    statuses, goes_on = verdict
    try:
        seen = [status for status, _, _ in split_answers(data)] or [0]
    except (AssertionError, ValueError) as failure:
        return f"{failure}"
    if seen[0] not in statuses:
        return f"{seen}, wanted {statuses}"
    if goes_on is not None and len(seen) != (2 if goes_on else 1):
        return f"{seen}, wanted the connection to {'go on' if goes_on else 'end'}"
    if len(seen) > 2 or (len(seen) == 2 and seen[1] != 207):
        return f"{seen}, one answer too many or a wrong one"
    return None


class Grammar(Attack):
    step = amount(11, 1)  # between two cuts

    @needs("guard: strict HTTP/1")
    def test_every_row(self):
        wrong = {}
        for name, row, verdict in awaited(grammar.ROWS):
            sock = self.dial(timeout=3)
            self.pour(sock, row + NEXT)
            found = judge(verdict, self.whatever(sock))
            if found:
                wrong[name] = found
        self.assertEqual(wrong, {}, f"{len(wrong)} of {len(grammar.ROWS)} rows")

    @needs("guard: strict HTTP/1")
    def test_every_row_cut_in_two(self):
        wrong = {}
        for name, row, verdict in awaited(grammar.ROWS):
            step = max(self.step, len(row) // 300)
            for at, data in self.cut(row + NEXT, range(1, len(row) + 2, step)):
                found = judge(verdict, data)
                if found:
                    wrong[name] = f"cut at {at}: {found}"
        self.assertEqual(wrong, {}, f"{len(wrong)} of {len(grammar.ROWS)} rows")

    def cut(self, data, places):
        """Yields (place, answer) for `data` sent in two halves, the second when the gateway has read the first."""
        places = list(places)
        for first in range(0, len(places), WAVE):
            wave = [(at, self.dial(timeout=3)) for at in places[first:first + WAVE]]
            for at, sock in wave:
                self.pour(sock, data[:at])
            self.probe()  # the gateway has turned its loop with all of them in it
            for at, sock in wave:
                self.pour(sock, data[at:])
            for at, sock in wave:
                yield at, self.whatever(sock)
                sock.close()

    def whatever(self, sock):
        """What comes until the end; an end that does not come is an answer too, a wrong one."""
        try:
            return self.drain(sock)
        except TimeoutError:
            return b"silence"

    def test_byte_by_byte(self):
        for name, row, verdict in grammar.ROWS[::amount(16, 4)]:
            if verdict != grammar.GOOD:
                continue
            sock = self.dial()
            for at in range(len(row)):
                self.pour(sock, row[at:at + 1])
            self.pour(sock, NEXT)
            self.assertIsNone(judge(verdict, self.drain(sock)), name)


class GrammarTls(Grammar):
    tls = True
    step = amount(150, 13)


class Trailers(Attack):
    """Fields after a body are no fields of the request, in any guise."""

    def test_they_never_become_headers(self):
        body = items("/o/echo")
        data = (b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                b"Trailer: x-secret, authorization\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n"
                b"X-Secret: trailer-was-here\r\nAuthorization: trailer-was-here\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
                % (len(body), body))
        answers = split_answers(self.talk(data))
        self.assertEqual([status for status, _, _ in answers], [207])
        self.assertNotIn(b"trailer-was-here", answers[0][2])
        self.assertNotIn(b"6.6.6.6", answers[0][2])


class Upgrade(Attack):
    """h2c by Upgrade (RFC 7540 3.2) was taken out of HTTP by RFC 9113, and is a way past a proxy that passes it on: here nobody
    changes over, and what follows is the next request."""
    OFFERS = (b"Upgrade: h2c\r\n", b"upgrade:H2C\r\n", b"Upgrade: h2c-14\r\n", b"Upgrade: , h2c ,\r\n", b"Upgrade: h2c\r\nUpgrade: h2c\r\n",
              b"Upgrade: h2c, h2c-16\r\n")
    SETTINGS = (b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", b"HTTP2-Settings: !!!\r\n", b"HTTP2-Settings: \r\n", b"",
                b"HTTP2-Settings: AAMAAABk\r\nHTTP2-Settings: AAMAAABk\r\n")

    def ask(self, line, fields):
        return split_answers(self.talk(line + b" HTTP/1.1\r\nHost: h\r\n" + fields + b"Content-Type: application/json\r\n"
                                       b"Content-Length: 2\r\n\r\n[]" + NEXT))

    def test_h2c_is_never_taken(self):
        for line, want in ((b"POST /batch", 207), (b"GET /batch", 405), (b"POST /o/echo", 200), (b"OPTIONS *", 404)):
            for offer in self.OFFERS:
                for settings in self.SETTINGS:
                    for connection in (b"Connection: Upgrade, HTTP2-Settings\r\n", b"Connection: upgrade\r\n", b""):
                        with self.subTest(line=line, offer=offer, settings=settings, connection=connection):
                            first, second = self.ask(line, connection + offer + settings)
                            self.assertEqual((first[0], second[0]), (want, 207))
                            for word in (b"h2c", b"settings", b"upgrade"):
                                self.assertNotIn(word, (first[1] + first[2]).lower())

    def test_another_protocol_beside_it_is_refused(self):
        for offer in (b"Upgrade: websocket\r\n", b"Upgrade: h2c, websocket\r\n", b"Upgrade: websocket, h2c\r\n",
                      b"Upgrade: h2c\r\nUpgrade: websocket\r\n", b"Upgrade: xh2c\r\n"):
            with self.subTest(offer=offer):
                self.assertEqual(self.ask(b"GET /o/echo", b"Connection: Upgrade\r\n" + offer)[0][0], 501)


NGINX = """
daemon off; pid {dir}/pid; error_log {dir}/error.log crit;
events {{}}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; lingering_close off;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{origin}/echo; }} }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout client 1s
  timeout server 1s
  timeout connect 3s
frontend f
  bind 127.0.0.1:{port}
  http-request set-path /echo
  default_backend b
backend b
  server o 127.0.0.1:{origin}
"""


@only_in_full
class Others(Attack):
    """At least as strict as nginx and HAProxy, where those are installed: what one of them refuses is refused here."""

    LEGAL = {"spaces after Content-Length", "spaces around chunked"}  # RFC 9112 5.1: OWS is legal; nginx knows no tab

    def refused_by(self, program, conf, command):
        if not shutil.which(program):
            self.skipTest(f"{program} is not installed")
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="sheaf-attack-") as folder:
            path = f"{folder}/conf"
            with open(path, "w", encoding="ascii") as file:
                file.write(conf.format(dir=folder, port=port, origin=self.origin.at))
            other = subprocess.Popen([program, *command, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: self.is_open(port), 10, f"{program} to listen")
                return {name for name, row, _ in grammar.ROWS if self.is_refused(port, row)}
            finally:
                other.terminate()
                other.wait(10)

    def is_open(self, port):
        try:
            self.dial_to(port).close()
            return True
        except OSError:
            return False

    def is_refused(self, port, row):
        sock = self.dial_to(port)
        sock.settimeout(5)
        self.pour(sock, row + NEXT)
        try:
            data = self.drain(sock)
        except TimeoutError:
            data = b""
        sock.close()
        return bool(re.match(rb"HTTP/1\.[01] (4|501|505)", data)) and not re.match(rb"HTTP/1\.[01] (404|405|408)", data)

    def compare(self, *how):
        refused = self.refused_by(*how)
        lax = {name for name, _, verdict in grammar.ROWS
               if name in refused and 207 in verdict[0] and name not in self.LEGAL}
        self.assertEqual(lax, set())

    def test_nginx(self):
        self.compare("nginx", NGINX, ["-p", "/", "-c"])

    def test_haproxy(self):
        self.compare("haproxy", HAPROXY, ["-f"])


if __name__ == "__main__":
    unittest.main()
