"""A TCP proxy that does to the bytes of a backend what networks and dying processes do.

    proxy = FaultProxy(origin.at)          # honest until it is told otherwise
    proxy.fault = Fault(after=10, then=RESET)
    proxy.at                               # where the gateway is to connect

Every connection takes the fault that is set when it is accepted; a list is taken in turn, and what follows is honest; a
function is asked.
All proxies of a process run in one thread of its own; nothing here needs one of the test's.
"""
import asyncio
import contextlib
import dataclasses
import socket
import struct
import threading
import typing

STALL, END, RESET = "stall", "end", "reset"  # what comes after so many bytes: nothing, FIN, RST


@dataclasses.dataclass(frozen=True)
class Fault:
    delay: float = 0.0  # seconds before the first byte of an answer
    piece: int = 0  # so many bytes at a time; 0: as they come
    pause: float = 0.0  # seconds between pieces
    after: typing.Optional[int] = None  # bytes of answers, then
    then: str = STALL
    flip: typing.Optional[int] = None  # this byte of the answers has its lowest bits changed
    reads: typing.Optional[int] = None  # so many bytes of requests, then RST
    sips: int = 0  # reads so many bytes of requests at a time, with the pause between
    is_deaf: bool = False  # accepts and never reads
    is_cut_at_once: bool = False  # RST in place of a welcome


HONEST = Fault()


class Thread:
    """The loop that all proxies share."""
    loop = None

    @classmethod
    def call(cls, coroutine):
        if cls.loop is None:
            cls.loop = asyncio.new_event_loop()
            threading.Thread(target=cls.loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, cls.loop).result(15)


def set_reset(sock):
    """Its close is an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class FaultProxy:
    def __init__(self, backend, fault=HONEST, address="127.0.0.1"):
        self.backend, self.fault, self.address = backend, fault, address
        self.at, self.accepted = 0, 0
        self.fillers, self.tasks = [], set()
        self.start()

    def start(self):
        """Listens, again where it did."""
        Thread.call(self._start())

    def stop(self):
        """Refuses connections from here on, and resets those it has."""
        Thread.call(self._stop())

    def block(self):
        """Takes no more connections and has its backlog full: the kernel drops every SYN."""
        Thread.call(self._block())

    def unblock(self):
        Thread.call(self._unblock())

    # --- in the thread ---

    async def _start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # so that a slow reader is felt soon
        self.listener.setblocking(False)
        self.listener.bind((self.address, self.at))
        self.at = self.listener.getsockname()[1]
        await self._unblock()

    async def _unblock(self):
        self.listener.listen(512)
        self._drop_fillers()
        self.accepting = self._task(self._accept())

    async def _block(self):
        self.accepting.cancel()
        self.listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((self.address, self.at))
            self.fillers.append(filler)

    def _drop_fillers(self):
        for filler in self.fillers:
            filler.close()
        self.fillers = []

    async def _stop(self):
        self._drop_fillers()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.listener.close()

    def _task(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _accept(self):
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            self.accepted += 1
            self._task(self._serve(sock))

    def _next(self):
        if callable(self.fault):
            return self.fault()
        if not isinstance(self.fault, list):
            return self.fault
        return self.fault.pop(0) if self.fault else HONEST

    async def _serve(self, sock):
        """The gateway's side of it is open until one side ends, or the proxy does."""
        fault = self._next()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        set_reset(sock)
        with contextlib.closing(sock), contextlib.suppress(OSError):
            if fault.is_cut_at_once:
                return
            if fault.is_deaf:
                await asyncio.Event().wait()
            with contextlib.closing(socket.socket()) as other:
                other.setblocking(False)
                await asyncio.get_running_loop().sock_connect(other, ("127.0.0.1", self.backend))
                await self._pump(fault, sock, other)

    async def _pump(self, fault, sock, other):
        ways = [self._task(self._up(fault, sock, other)), self._task(self._down(fault, other, sock))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    @staticmethod
    async def _up(fault, sock, other):
        loop, passed = asyncio.get_running_loop(), 0
        while data := await loop.sock_recv(sock, fault.sips or 65536):
            await loop.sock_sendall(other, data)
            passed += len(data)
            if fault.reads is not None and passed >= fault.reads:
                return
            if fault.sips:
                await asyncio.sleep(fault.pause)

    async def _down(self, fault, other, sock):
        loop, passed = asyncio.get_running_loop(), 0
        while data := await self._answer(fault, other, passed):
            is_cut = fault.after is not None and passed + len(data) > fault.after
            data = data[:fault.after - passed] if is_cut else data
            await self._pass_on(fault, sock, data)
            passed += len(data)
            if is_cut:
                await self._finish(fault, sock)
                return
        await self._finish(dataclasses.replace(fault, then=END), sock)

    async def _answer(self, fault, other, passed):
        data = await asyncio.get_running_loop().sock_recv(other, 65536)
        if data and passed == 0 and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.flip is not None and passed <= fault.flip < passed + len(data):
            at = fault.flip - passed
            data = data[:at] + bytes([data[at] ^ 7]) + data[at + 1:]
        return data

    @staticmethod
    async def _pass_on(fault, sock, data):
        loop, step = asyncio.get_running_loop(), fault.piece or len(data) or 1
        for at in range(0, len(data), step):
            await loop.sock_sendall(sock, data[at:at + step])
            if fault.piece:
                await asyncio.sleep(fault.pause)

    @staticmethod
    async def _finish(fault, sock):
        if fault.then == RESET:
            return  # closing it does
        if fault.then == END:
            sock.shutdown(socket.SHUT_WR)
        await asyncio.Event().wait()  # until the gateway closes
