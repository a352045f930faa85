"""What the tests of TLS on client listeners share: an authority, an origin, handshakes, what is counted and logged."""
import json
import signal
import ssl

from harness import Case, RawClient, wait_until
from pki import TlsSheaf, Typist, equip, handshake, tls_yaml

HANDSHAKES = 'sheaf_tls_handshakes_total{outcome="%s"}'
OPEN = "sheaf_client_connections"
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
ECHO = {"requests": [{"url": "/o/echo"}]}


def request(value):
    body = json.dumps(value).encode()
    return (b"POST /batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body))


class Tls(Case):
    """Has an authority and an origin; `sheaf` is a gateway of the class if `tls` says how."""
    more = None  # of the class's listener

    @classmethod
    def setUpClass(cls):
        equip(cls)
        if cls.more is not None:
            cls.sheaf = TlsSheaf(cls.origin, listener=", " + tls_yaml(cls.pair, cls.more), **cls.places)
            cls.sheaf.context = cls.pki.context()
            cls.addClassCleanup(cls.sheaf.stop)

    def start(self, more="", pair=None, **places):
        places.setdefault("listener", ", " + tls_yaml(pair or self.pair, more))
        sheaf = TlsSheaf(self.origin, **places)
        sheaf.context = self.pki.context()
        self.addCleanup(sheaf.stop)
        return sheaf

    def connect(self, sheaf=None, context=None, **kwargs):
        sock = handshake((sheaf or self.sheaf).at, context or self.pki.context(), **kwargs)
        self.addCleanup(sock.close)
        return sock

    def ask(self, sock, value=None):
        """One batch on a connection: its answer."""
        client = RawClient.__new__(RawClient)
        client.sock = sock
        client.post(value or ECHO)
        return client.read_response()

    def typist(self, sheaf, *options):
        client = Typist(sheaf.at, self.pki.ca, *options)
        self.addCleanup(client.close)
        return client

    def counted(self, outcome, sheaf=None):
        return (sheaf or self.sheaf).metrics()[HANDSHAKES % outcome]

    def assert_refused(self, context, alert, sheaf=None, **kwargs):
        """The handshake fails, the client is told why, and it counts. With TLS 1.3 a client learns of it when it reads."""
        before = self.counted("refused", sheaf)
        with self.assertRaisesRegex(ssl.SSLError, alert):
            sock = handshake((sheaf or self.sheaf).at, context, **kwargs)
            with sock:
                sock.sendall(request(ECHO))
                sock.recv(1)
        wait_until(lambda: self.counted("refused", sheaf) == before + 1, what="the refusal counted")

    def log_line(self, sheaf, mark):
        """The last line of the log with a batch in which `mark` stands."""
        def found():
            lines = [line for line in list(sheaf.err) if '"event":"batch"' in line and mark in line]
            return lines and json.loads(lines[-1])
        return wait_until(found, what=f"a log line with {mark}")


def reload(sheaf, outcome="ok"):
    """SIGHUP, until it is counted."""
    name = f'sheaf_reloads_total{{outcome="{outcome}"}}'
    before = sheaf.metrics()[name]
    sheaf.signal(signal.SIGHUP)
    wait_until(lambda: sheaf.metrics()[name] == before + 1, what=f"a reload that ended {outcome}")
