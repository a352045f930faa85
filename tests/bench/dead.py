"""A dead server among four, under load: which share of the items fails in the first second and from then on, without and
with `retry`. Once it is killed (its port refuses), once it is stopped (its port is mute, as that of a machine that fell
off the network; `first_byte_timeout` finds it). Long enough that it is tried again once (10 s) and ejected anew."""
import time

from rig import mark

N, RATE, DELAY_US, LEAD = 20, 100, 2000, 1.5
UPSTREAM = "max_connections: 256, first_byte_timeout: 200ms, outlier: {}"
VARIANTS = {"outlier": UPSTREAM, "outlier, retry": f"{UPSTREAM}, retry: {{}}"}
DEATHS = {"killed": "stop", "mute": "freeze"}  # what is done to it


def share(paced, from_us, to_us):
    """Of the items of batches that were posted in this time, how many failed."""
    good = [good for at_us, _, good in paced.batches if from_us <= at_us < to_us]
    return 1 - sum(good) / (N * len(good))


def lose_one(rig, name, upstream, death, seconds):
    """Shares that failed: before, in the first second, after it."""
    servers = [rig.slow(1, DELAY_US) for _ in range(4)]
    gateway = rig.sheaf(name, [server.ports[0] for server in servers], upstream)
    paced = rig.pace(gateway, N, RATE, LEAD + seconds)
    time.sleep(LEAD)  # a lead, no synchronisation: each batch says when it was posted
    begin_us = time.monotonic_ns() // 1000 - 100000  # what was under way belongs to the first second
    getattr(servers[0], death)()
    paced.wait()
    end_us = begin_us + 1100000
    return share(paced, 0, begin_us), share(paced, begin_us, end_us), share(paced, end_us, 1 << 62)


def run(rig, is_quick):
    """Returns 1 when items failed while all servers lived."""
    seconds = 3 if is_quick else 14
    print("\n| one of four servers dies: share of failed items | before | first second | after |\n|---|---|---|---|")
    rows = {}
    for death, how in DEATHS.items():
        for name, upstream in VARIANTS.items():
            rows[death, name] = lose_one(rig, f"dead-{len(rows)}", upstream, how, seconds)
            print(f"| {death}; {name} | " + " | ".join(f"{part:.3%}" for part in rows[death, name]) + " |")
    after = max(row[2] for (_, name), row in rows.items() if "retry" not in name)
    retried = max(max(row) for (_, name), row in rows.items() if "retry" in name)
    mark(f"dead server: {after:.3%} fail after ejection", after < 0.01, "under 1 %")
    mark(f"dead server, retry: {retried:.3%} fail", retried == 0, "none")
    return any(row[0] > 0 for row in rows.values())
