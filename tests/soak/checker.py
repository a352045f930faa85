"""Clients that look at every item they get, and one that does not wait for the end."""
import json
import random
import threading
import time

UNSAFE = {502, 503, 504}  # what may become of a POST whose server died


def filled(length):
    return ("abcdefghijklmnopqrstuvwxyz" * (length // 26 + 1))[:length]


def has_begun(kind, detail):
    """Whether a problem of this kind says that the answer had begun: then it was cut, and is not asked for again."""
    return kind == "reset" and ": within its answer" in detail or kind == "timeout" and "no progress" in detail


class Item:
    """One item, and what must come of it."""

    def __init__(self, url, wanted, status=200, **more):
        self.request, self.wanted, self.status = {"url": url, **more}, wanted, status
        self.is_safe = more.get("method") != "POST"

    def verdict(self, result):
        """None when all is well, "lost" for a POST that its server took along, "cut" for an answer that ended or stopped
        within its body, else what is wrong."""
        if result.get("status") == self.status:
            return None if self.wanted(result.get("body")) else "another answer than its own"
        if not self.is_safe and result.get("status") in UNSAFE:
            return "lost"
        problem = result["body"] if isinstance(result.get("body"), dict) else {}
        if has_begun(problem.get("type", "").rsplit(":", 1)[-1], problem.get("detail", "")):
            return "cut"
        return f"status {result.get('status')}"


def make_items(dice, kind):
    """A batch of every kind, each with a mark of its own so that no answer can pass for another."""
    mark = f"{dice.getrandbits(48):x}"
    length = dice.choice((0, 100, 10000, 200000))
    text = {"content-type": "text/plain"}
    return [
        Item(f"/{kind}/echo?{mark}", lambda body: body["target"] == f"/echo?{mark}"),
        Item(f"/{kind}/json/{length}", lambda body: body == {"fill": filled(length)}),
        Item(f"/{kind}/echo", lambda body: body["body"] == mark, method="PUT", headers=text, body=mark),
        Item(f"/{kind}/echo", lambda body: body["body"] == mark, method="POST", headers=text, body=mark),
        Item(f"/{kind}/echo", lambda body: body["body"] == mark * 2000, method="PUT", headers=text, body=mark * 2000),
        Item(f"/{kind}/status/404", lambda body: body == {"status": 404}, 404),
        Item(f"/{kind}/head204", lambda body: body is None, 204),
        Item(f"/{kind}/delay/{dice.randrange(40)}/echo?{mark}", lambda body: body["method"] == "GET"),
        Item(f"/{kind}/chunked/5000?trailers", lambda body: len(body) == 5000),
        Item(f"/{kind}/binary", lambda body: len(body) == 344),
    ]


class Client(threading.Thread):
    def __init__(self, gateway, seed):
        super().__init__(daemon=True)
        self.gateway, self.dice = gateway, random.Random(seed)
        self.over = threading.Event()
        self.batches = 0
        self.wrong = []
        self.start()

    def end(self):
        self.over.set()
        self.join(60)


class Checker(Client):
    """Counts items, those POSTs that died with their servers and the answers that were cut within; everything else that is
    not as it should be is wrong. `trouble` tells which of them had a reason."""
    items = lost = cut = 0

    def __init__(self, gateway, seed, trouble):
        self.trouble = trouble
        super().__init__(gateway, seed)

    def run(self):
        conn = self.gateway.connect()
        while not self.over.is_set():
            items = make_items(self.dice, self.dice.choice(self.gateway.kinds)) * 2
            begin = time.monotonic()
            try:
                self.check(items, self.gateway.batch([item.request for item in items], conn=conn), begin)
            except Exception as failure:  # whatever it is, this batch had no proper answer
                self.wrong.append(repr(failure))
                conn.close()
                conn = self.gateway.connect()
        conn.close()

    def check(self, items, answer, begin):
        self.batches += 1
        self.items += len(items)
        results = answer.json["responses"]
        if answer.status != 207 or [result["id"] for result in results] != [str(at) for at in range(len(items))]:
            self.wrong.append(f"batch: {answer.status} {answer.body[:300]}")
            return
        end = time.monotonic()
        is_troubled = self.trouble.is_reason(begin, end)
        for item, result in zip(items, results):
            verdict = item.verdict(result)
            if verdict == "lost" and is_troubled:
                self.lost += 1
            elif verdict == "cut" and is_troubled:
                self.cut += 1
            elif verdict:
                self.wrong.append(f"{verdict}: {item.request} {json.dumps(result)[:400]} ({self.trouble.told(begin, end)})")


class Leaver(Client):
    """Posts a batch and is gone after a moment, some twenty times a second."""

    def run(self):
        kinds = self.gateway.kinds
        body = json.dumps({"requests": [{"url": f"/{kinds[ms % len(kinds)]}/delay/{ms}/json/5000"} for ms in range(0, 60, 3)]})
        while not self.over.is_set():
            conn = self.gateway.connect()
            try:
                conn.request("POST", "/batch", body, {"Content-Type": "application/json"})
                time.sleep(self.dice.random() * 0.08)  # when it leaves: nothing is awaited
                self.batches += 1
            except Exception as failure:
                self.wrong.append(repr(failure))
            conn.close()
