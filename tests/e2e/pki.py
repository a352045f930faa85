"""Certificates made while the tests run, by the openssl command, and clients that use them."""
import datetime
import http.client
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile

from harness import DEADLINE, Origin, Sheaf, wait_until

CONFIG = """
[ca]
default_ca = own
[own]
dir = {dir}
new_certs_dir = {dir}
database = {dir}/index.txt
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
organizationName = optional
commonName = supplied
"""


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def moment(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


class Pki:
    """One authority and what it signs, in a folder that goes away with it."""

    def __init__(self, name="test authority"):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-pki-")
        self.dir = pathlib.Path(self.folder.name)
        (self.dir / "index.txt").write_text("")
        (self.dir / "ca.cnf").write_text(CONFIG.format(dir=self.dir))
        self.ca = str(self.dir / "ca.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-keyout", str(self.dir / "ca.key"), "-out", self.ca, "-subj", f"/CN={name}")

    def make(self, name, names=None, subject=None, days=(-1, 1), rsa=False):
        """Signs a certificate: (certificate, key) as paths. `days` from now that it begins and ends at."""
        base = self.dir / name
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-keyout", f"{base}.key", "-out", f"{base}.csr",
                "-subj", subject or f"/CN={name}")
        pathlib.Path(f"{base}.ext").write_text(f"subjectAltName={names or f'DNS:{name}'}\n")
        openssl("ca", "-batch", "-notext", "-config", str(self.dir / "ca.cnf"), "-cert", self.ca, "-keyfile",
                str(self.dir / "ca.key"), "-in", f"{base}.csr", "-out", f"{base}.pem", "-extfile", f"{base}.ext",
                "-startdate", moment(days[0]), "-enddate", moment(days[1]))
        return f"{base}.pem", f"{base}.key"

    def copy(self, pair, to):
        """Puts a pair where another was: new content under names that stay."""
        for source, target in zip(pair, to):
            shutil.copyfile(source, target)

    def context(self, *protocols, client=None, version=None):
        """A client that trusts this authority."""
        context = ssl.create_default_context(cafile=self.ca)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if client:
            context.load_cert_chain(*client)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def equip(case):
    """Gives a class of tests an authority, a pair of it for this machine, and an origin."""
    case.pki = Pki()
    case.addClassCleanup(case.pki.folder.cleanup)
    case.pair = case.pki.make("localhost", "DNS:localhost,IP:127.0.0.1")
    case.origin = Origin()
    case.addClassCleanup(case.origin.kill)


def secrets(key):
    """What of a private key nobody may see, by name: its numbers in both byte orders, and its text."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout
    found = {"text": pathlib.Path(key).read_text().splitlines()[1].encode()}
    for name, value in re.findall(r"^(\w+):\n((?: +[0-9a-f:]+\n)+)", text, re.M):
        if name in ("priv", "privateExponent", "prime1", "prime2", "exponent1", "exponent2", "coefficient"):
            number = bytes.fromhex(re.sub(r"[\s:]", "", value)).lstrip(b"\0")
            found[name], found[name + " reversed"] = number, number[::-1]
    return found


def dumped(pid):
    """What a core dump of the process would hold: the memory that is not marked otherwise (dd, proc(5))."""
    held = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for area in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path(f"/proc/{pid}/smaps").read_text())[1:]:
            start, end = (int(at, 16) for at in area.split(" ", 1)[0].split("-"))
            if re.search(r"^VmFlags:.* dd\b", area, re.M) or "\nRss:                   0 kB" in area:
                continue
            for at in range(start, end, 1 << 24):
                mem.seek(at)
                try:
                    held.append(mem.read(min(1 << 24, end - at)))
                except OSError:  # [vvar], [vsyscall]
                    break
    return b"".join(held)


def tls_yaml(pair, more=""):
    return f'tls: {{certificate: "{pair[0]}", key: "{pair[1]}"{more}}}'


def handshake(port, context, name="localhost", session=None):
    sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
    try:
        return context.wrap_socket(sock, server_hostname=name, session=session)
    except BaseException:
        sock.close()
        raise


class TlsSheaf(Sheaf):
    """A gateway whose first listener speaks TLS; `context` is its clients'."""
    context = None

    def connect(self, port=None):
        if port == self.admin:
            return super().connect(port)
        conn = http.client.HTTPSConnection("localhost", port or self.at, timeout=60, context=self.context)
        return conn


class Typist:
    """`openssl s_client`, once it is connected: what is typed, and what it has printed so far."""

    def __init__(self, port, ca, *options):
        self.printed = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", ca, *options],
                                        stdin=subprocess.PIPE, stdout=self.printed, stderr=subprocess.STDOUT)
        self.until(b"Verify return code")

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def until(self, mark):
        wait_until(lambda: mark in pathlib.Path(self.printed.name).read_bytes(), what=f"s_client's {mark}")

    def ended(self):
        return self.process.wait(DEADLINE)

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE)
        self.process.stdin.close()
        self.printed.close()
