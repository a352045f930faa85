"""All of them at once for a while: the load, the clients, and who makes the trouble."""
import statistics
import time

from checker import Checker, Leaver, has_begun
from stage import Load, Trouble


class Act:
    """Lasts from its making to end(). `failures` is what was not as it should be, `cut` counts the answers of the load that
    were cut within, `samples` is the gateway's memory in KiB, twice a second."""

    def __init__(self, seconds, loader, directory, gateway, backends, every, seed, turns=0):
        self.gateway, self.seconds = gateway, seconds
        self.failures, self.samples, self.cut = [], [], 0
        self.load = Load(loader, gateway, directory, seconds)
        self.trouble = Trouble(gateway, backends, every, seed, turns)
        self.checkers = [Checker(gateway, seed + number, self.trouble) for number in range(2)]
        self.leaver = Leaver(gateway, seed + 9)

    def must(self, is_so, what):
        if not is_so:
            self.failures.append(what)

    def watch(self):
        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 0 and self.load.process.poll() is None:
            self.samples.append(self.gateway.kib())
            time.sleep(min(0.5, left))

    def end(self):
        """When the load is over. All that has been asked is answered then."""
        self.counted = self.load.end()
        self.trouble.end()
        clients = [*self.checkers, self.leaver]
        for client in clients:
            client.end()
        self.must(self.trouble.failure is None, f"trouble had trouble: {self.trouble.failure!r}")
        self.judge_load()
        wrong = [wrong for client in clients for wrong in client.wrong]
        self.must(not wrong, f"{len(wrong)} wrong, the first:\n" + "\n".join(wrong[:10]))
        asked = min(self.counted["batches"], *[client.batches for client in clients])
        self.must(asked > 0, "nothing was asked")

    def judge_load(self):
        """What is missing must be answers that were cut, and nothing else."""
        wrong, missing = [], self.counted["missing"]
        for when, url, status, kind, detail in self.load.problems:
            begin = when - self.trouble.AFTER_S
            if self.trouble.is_reason(begin, when) and has_begun(kind, detail):
                self.cut += 1
            else:
                wrong.append(f"{url}: {status} {kind}, {detail} ({self.trouble.told(begin, when)})")
        self.must(not wrong, f"{len(wrong)} items of the load failed, the first:\n" + "\n".join(wrong[:20]))
        self.must(missing == len(self.load.problems),
                  f"{missing} items are not good, {len(self.load.problems)} of them problems: {list(self.load.words)}")

    def memory(self):
        """Under load, near its beginning and at its end: medians, in KiB."""
        part = max(1, len(self.samples) // 6)
        return statistics.median(self.samples[part:2 * part]), statistics.median(self.samples[-part:])
