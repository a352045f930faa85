"""A Redis of a class's own, on a unix socket in a folder of its own; started again it knows nothing of before."""
import pathlib
import shutil
import subprocess
import tempfile

from harness import wait_until

IS_THERE = bool(shutil.which("redis-server"))


class RedisServer:
    def __init__(self, cls):
        """Runs until `cls` is over."""
        self.folder = tempfile.TemporaryDirectory(prefix="sheaf-redis-")
        cls.addClassCleanup(self.folder.cleanup)
        self.socket = pathlib.Path(self.folder.name) / "redis.sock"
        self.address = f"unix:{self.socket}"
        self.start()
        cls.addClassCleanup(self.kill)

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "",
                                         "--dir", self.folder.name], stdout=subprocess.DEVNULL)
        wait_until(self.socket.exists, what="redis")

    def kill(self):
        self.process.kill()
        self.process.wait()
