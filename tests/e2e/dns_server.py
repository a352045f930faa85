"""A DNS server that says what the test says, by UDP and TCP, and a gateway that asks it.

The gateway runs in a mount namespace of its own, where /etc/resolv.conf names the server: an address of loopback that
nobody else has, port 53.
"""
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

from harness import SHEAF

A, CNAME, AAAA, SRV = 1, 5, 28, 33
SERVFAIL, NXDOMAIN = 2, 3


def missing():
    """Why this machine cannot do it, or None."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "a resolv.conf of its own needs root and unshare"
    tried = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False)
    return "mount namespaces are not permitted" if tried.returncode else None


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def a(address, ttl=0):
    family = AAAA if ":" in address else A
    return family, ttl, socket.inet_pton(socket.AF_INET6 if family == AAAA else socket.AF_INET, address)


def srv(port, target, weight=1, priority=0, ttl=0):
    return SRV, ttl, struct.pack(">HHH", priority, weight, port) + encoded(target)


def cname(target, ttl=0):
    return CNAME, ttl, encoded(target)


class DnsServer:
    """`records` maps a name to its records; what is not there is NXDOMAIN. Change it as you like."""

    def __init__(self):
        self.records, self.asked = {}, []
        self.failure = None      # a code for every question
        self.is_mute = False
        self.is_short = False    # by UDP nothing fits
        self.is_over = False
        self.lock = threading.Lock()
        self._bind()
        self.threads = [threading.Thread(target=self._serve_udp, daemon=True),
                        threading.Thread(target=self._serve_tcp, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _bind(self):
        for _ in range(50):
            self.at = f"127.53.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
            self.udp, self.tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind((self.at, 53))
                self.tcp.bind((self.at, 53))
            except OSError:
                self.udp.close()
                self.tcp.close()
                continue
            self.tcp.listen(16)
            for sock in (self.udp, self.tcp):
                sock.settimeout(0.2)  # to see the end
            return
        raise AssertionError("no address of loopback has port 53 free")

    def say(self, name, *records):
        self.records = {**self.records, name: list(records)}

    def count(self, kind, name=None):
        """How often records of that type were asked for."""
        with self.lock:
            return sum(asked[0] == kind and name in (None, asked[1]) for asked in self.asked)

    def count_tcp(self):
        with self.lock:
            return sum(asked[2] for asked in self.asked)

    def _answer(self, query, is_tcp):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
        with self.lock:
            self.asked.append((kind, name, is_tcp))
        records, is_cut = self.records.get(name), self.is_short and not is_tcp
        code = self.failure or (NXDOMAIN if records is None else 0)
        body = [] if code or is_cut else [record for record in records if record[0] in (kind, CNAME)]
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | is_cut << 9 | code, 1, len(body), 0, 0)
        return head + query[12:at + 5] + b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind_, 1, ttl, len(data)) + data for kind_, ttl, data in body)

    def _serve_udp(self):
        while not self.is_over:
            try:
                query, client = self.udp.recvfrom(4096)
            except TimeoutError:
                continue
            answer = self._answer(query, False)
            if not self.is_mute:
                self.udp.sendto(answer, client)

    def _serve_tcp(self):
        while not self.is_over:
            try:
                conn, _ = self.tcp.accept()
            except TimeoutError:
                continue
            with conn:
                conn.settimeout(5)
                self._serve_conn(conn)

    def _serve_conn(self, conn):
        try:
            stream = conn.makefile("rb")
            while len(size := stream.read(2)) == 2:
                answer = self._answer(stream.read(struct.unpack(">H", size)[0]), True)
                if not self.is_mute:
                    conn.sendall(struct.pack(">H", len(answer)) + answer)
        except OSError:
            pass

    def close(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(10)
        self.udp.close()
        self.tcp.close()


class Asking:
    """What makes a gateway ask that server: give `binary` to Sheaf."""

    def __init__(self, dns):
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-dns-")
        folder = pathlib.Path(self.folder.name)
        (folder / "resolv.conf").write_text(f"nameserver {dns.at}\noptions timeout:1\n")
        self.binary = folder / "sheaf"
        self.binary.write_text(f"#!/bin/sh\nexec unshare -m sh -c 'mount --bind {folder}/resolv.conf /etc/resolv.conf && "
                               f"exec {SHEAF} \"$@\"' sheaf \"$@\"\n")
        self.binary.chmod(0o755)
        self.binary = str(self.binary)

    def close(self):
        self.folder.cleanup()
