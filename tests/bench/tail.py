"""The tail: 100-item batches over 20 servers that answer in 5 ms, but once in a thousand in 500 ms, so that every tenth
batch meets a late answer. The same pace with and without hedging; extra requests as the servers counted them."""
from rig import mark, percentile

SERVERS, N, RATE = 20, 100, 200
WARM = 12  # seconds: opens connections, and their cold start leaves the window (10 s) that p99 is read from
UPSTREAM = "max_connections: 1000"
VARIANTS = {"no hedging": UPSTREAM, "hedge: {after: p99, budget: 5%}": f"{UPSTREAM}, hedge: {{after: p99, budget: 5%}}"}


class Sum:
    """What the rounds of one variant gave together."""

    def __init__(self):
        self.took_ms, self.items, self.requests, self.bad, self.cpu_shares = [], 0, 0, 0, []

    def add(self, paced, requests):
        self.took_ms += paced.took_ms()
        self.items += paced.items()
        self.bad += paced.bad_items()
        self.requests += requests
        self.cpu_shares.append(paced.cpu_share)

    def extra(self):
        return self.requests / self.items - 1


def run_once(rig, gateway, slow, seconds, result):
    before = slow.counts()["requests"]
    paced = rig.pace(gateway, N, RATE, seconds).wait()
    result.add(paced, slow.counts()["requests"] - before)


def measure(rig, rounds, seconds):
    slow = rig.slow(SERVERS, 5000, 500000, 1000)
    variants = {name: upstream for name, upstream in VARIANTS.items() if "hedge" not in upstream or rig.knows("hedge")}
    gateways = {name: rig.sheaf(f"tail-{i}", slow.ports, upstream, f"parallel: {N}, max_item_body: 16KiB")
                for i, (name, upstream) in enumerate(variants.items())}
    results = {name: Sum() for name in variants}
    for gateway in gateways.values():
        run_once(rig, gateway, slow, WARM, Sum())
    for _ in range(rounds):
        for name, gateway in gateways.items():
            run_once(rig, gateway, slow, seconds, results[name])
    return results


def show(results):
    print(f"\n| tail: {N} items, {SERVERS} servers, 5 ms, 500 ms once in 1,000 | batches | p50 ms | p99 ms | p99.9 ms | "
          "extra requests | CPU |\n|---|---|---|---|---|---|---|")
    for name, result in results.items():
        times = " | ".join(f"{percentile(result.took_ms, percent):.1f}" for percent in (50, 99, 99.9))
        print(f"| {name} | {len(result.took_ms)} | {times} | {result.extra():.2%} | {max(result.cpu_shares):.0%} |")
    if len(results) < 2:
        return sum(result.bad for result in results.values())
    plain, hedged = results.values()
    factor = percentile(plain.took_ms, 99.9) / percentile(hedged.took_ms, 99.9)
    mark(f"tail: p99.9 {factor:.1f} x lower", factor >= 10, "10 x")
    mark(f"tail: {hedged.extra():.2%} more requests", hedged.extra() <= 0.05, "5 %")
    return plain.bad + hedged.bad


def run(rig, is_quick):
    """Returns how many items went wrong."""
    return show(measure(rig, 1, 6) if is_quick else measure(rig, 3, 15))
