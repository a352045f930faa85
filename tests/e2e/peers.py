"""Servers that others wrote, as backends: each has several ports, before the origin or with files of its own, and can be
killed, stopped, started again and reloaded as its operators do it. Where x-spoken stands in an answer, it is the version
of HTTP that came to them."""
import json
import os
import pathlib
import shutil
import signal
import socket
import string
import subprocess
import tempfile

from harness import DEADLINE, free_port, knows, wait_until

ALPHABET = string.ascii_lowercase


class Peer:
    """A server of its own process group. `ports` by kind: what it speaks there says its configuration."""
    kinds = ()

    def __init__(self, origin, pki, pair):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-peer-")
        self.dir, self.origin, self.pki, self.pair = pathlib.Path(self.folder.name), origin, pki, pair
        self.ports = {kind: self.choose_port() for kind in self.kinds if not kind.startswith("h2") or knows("upstreams.NAME.protocol")}
        self.path = self.dir / "conf"
        self.dir.chmod(0o755)  # nginx serves as somebody else, who puts large bodies here
        self.log = self.dir / "log"
        self.path.write_text(self.conf())
        self.start()

    def choose_port(self):
        return free_port()

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=open(self.log, "ab"), stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        for port in self.ports.values():
            wait_until(lambda: self.is_open(port), what=f"{type(self).__name__} on its port")

    def is_open(self, port):
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def signal(self, number):
        """To master and workers alike."""
        os.killpg(self.process.pid, number)

    def kill(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait(DEADLINE)
            wait_until(lambda: not self.members(), what="the end of its workers, who listen too")

    def members(self):
        """The pids of all its processes but zombies."""
        found = subprocess.run(["pgrep", "-r", "R,S,D,T", "-g", str(self.process.pid)], capture_output=True, text=True)
        return found.stdout.split()

    def reload(self):
        """Returns when a new worker is there."""
        before = set(self.members())
        os.kill(self.process.pid, self.reload_signal)
        wait_until(lambda: set(self.members()) - before, what=f"a new worker of {type(self).__name__}")

    def close(self):
        self.kill()
        self.folder.cleanup()


class Nginx(Peer):
    kinds = ("clear", "tls", "mtls", "h2c", "h2_tls", "h2_mtls")
    reload_signal = signal.SIGHUP
    CONF = """
daemon off; worker_processes 2; pid {dir}/pid; error_log {dir}/log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s; client_max_body_size 0; proxy_http_version 1.1;
  ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]}; ssl_client_certificate {ca};
  add_header x-spoken $server_protocol always; gzip on; gzip_proxied any; gzip_types application/json;
  upstream origin {{ server 127.0.0.1:{origin}; }}
{servers}
}}
"""
    LISTEN = {"clear": "listen 127.0.0.1:{port};", "tls": "listen 127.0.0.1:{port} ssl;",
              "mtls": "listen 127.0.0.1:{port} ssl; ssl_verify_client on;", "h2c": "listen 127.0.0.1:{port} http2;",
              "h2_tls": "listen 127.0.0.1:{port} ssl http2;",
              "h2_mtls": "listen 127.0.0.1:{port} ssl http2; ssl_verify_client on;"}

    def conf(self):
        servers = "\n".join("  server {{ {} location / {{ proxy_pass http://origin; }} }}".format(
            self.LISTEN[kind].format(port=port)) for kind, port in self.ports.items())
        return self.CONF.format(dir=self.dir, pair=self.pair, ca=self.pki.ca, origin=self.origin.at, servers=servers)

    def command(self):
        return ["nginx", "-p", str(self.dir), "-e", str(self.log), "-c", str(self.path)]


class Haproxy(Peer):
    kinds = ("clear", "tls", "mtls", "h2c", "h2_tls", "h2_mtls")
    reload_signal = signal.SIGUSR2
    CONF = """
global
  stats socket {dir}/stats mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend all
{binds}
  compression algo gzip
  compression type application/json
  http-request set-var(txn.spoken) req.ver
  http-response set-header x-spoken "HTTP/%[var(txn.spoken)]"
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""
    BIND = {"clear": "", "tls": "ssl crt {pem}", "mtls": "ssl crt {pem} ca-file {ca} verify required", "h2c": "proto h2",
            "h2_tls": "ssl crt {pem} alpn h2", "h2_mtls": "ssl crt {pem} ca-file {ca} verify required alpn h2"}

    def conf(self):
        pem = self.dir / "pair.pem"
        pem.write_text("".join(pathlib.Path(path).read_text() for path in self.pair))
        binds = "\n".join(f"  bind 127.0.0.1:{port} " + self.BIND[kind].format(pem=pem, ca=self.pki.ca)
                          for kind, port in self.ports.items())
        return self.CONF.format(dir=self.dir, binds=binds, origin=self.origin.at)

    def command(self):
        return ["haproxy", "-W", "-db", "-f", str(self.path)]


class Nghttpd(Peer):
    """Has files of its own, and sends back what is posted to it; every answer with a body has a trailer. In clear
    text it takes few streams at once, and bodies through small windows."""
    kinds = ("h2c", "h2_tls")
    BIG = 2000000
    COMMON = "-a 127.0.0.1 -d {dir} --mime-types-file={dir}/types --echo-upload --trailer 'x-sum: 1' "

    def conf(self):
        (self.dir / "types").write_text("application/json json\ntext/plain txt\n")
        (self.dir / "big.json").write_text(json.dumps({"fill": (ALPHABET * (self.BIG // 26 + 1))[:self.BIG]},
                                                      separators=(",", ":")))
        (self.dir / "small.txt").write_text("small\n")
        common = self.COMMON.format(dir=self.dir)
        return (f"nghttpd {common} --no-tls -m 7 -w 14 {self.ports['h2c']} &\n"
                f"exec nghttpd {common} {self.ports['h2_tls']} {self.pair[1]} {self.pair[0]}\n")

    def command(self):
        return ["sh", str(self.path)]


PEERS = {"nginx": Nginx, "haproxy": Haproxy}


def missing(*names):
    """Why they cannot be started, or None."""
    absent = [name for name in names or PEERS if not shutil.which(name)]
    return f"no {', '.join(absent)}" if absent else None
