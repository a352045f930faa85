"""Fairness: batches of one item alone, and beside a stream of 1,000-item batches on the same upstream, whose servers take
10 ms and whose connections are fewer than the stream wants: with 64 items in flight per batch, as is the default, and
with as many as there are, so that every connection is taken at once and all get free at once. Then a single item waits
for the next answer, which is up to 10 ms away, and no turn-taking can do better."""
from rig import mark, percentile

SERVERS, DELAY_US, CONNECTIONS = 4, 10000, 128
SINGLE_RATE, STREAM_N, STREAM_RATE = 100, 1000, 12  # of 12,800 items a second that the connections can carry
PARALLEL = (64, STREAM_N)


def measure(rig, parallel, rounds, seconds):
    """(single items alone, beside the stream, the stream), each a list of Paced."""
    slow = rig.slow(SERVERS, DELAY_US)
    gateway = rig.sheaf(f"fairness-{parallel}", slow.ports, f"max_connections: {CONNECTIONS}",
                        f"parallel: {parallel}, max_item_body: 16KiB")
    rig.pace(gateway, STREAM_N, STREAM_RATE, 1).wait()
    alone, beside, streams = [], [], []
    for _ in range(rounds):
        alone.append(rig.pace(gateway, 1, SINGLE_RATE, seconds).wait())
        stream = rig.pace(gateway, STREAM_N, STREAM_RATE, seconds + 0.5)
        beside.append(rig.pace(gateway, 1, SINGLE_RATE, seconds).wait())
        streams.append(stream.wait())
    return alone, beside, streams


def show_row(name, runs):
    took_ms = [took for paced in runs for took in paced.took_ms()]
    times = " | ".join(f"{percentile(took_ms, percent):.1f}" for percent in (50, 99, 100))
    print(f"| {name} | {len(took_ms)} | {times} | {max(paced.cpu_share for paced in runs):.0%} |")
    return percentile(took_ms, 99)


def show(parallel, alone, beside, streams):
    print(f"\n| fairness: servers take {DELAY_US // 1000} ms, {CONNECTIONS} connections, {parallel} in flight per batch | "
          "batches | p50 ms | p99 ms | most ms | CPU |\n|---|---|---|---|---|---|")
    alone_ms = show_row("1 item, alone", alone)
    beside_ms = show_row(f"1 item, beside {STREAM_RATE} batches/s of {STREAM_N:,}", beside)
    show_row(f"{STREAM_N:,} items, beside them", streams)
    cpu = max(paced.cpu_share for paced in beside)
    mark(f"fairness, {parallel} in flight: p99 {beside_ms - alone_ms:+.1f} ms at {cpu:.0%} CPU",
         beside_ms - alone_ms <= 10 and cpu < 0.7, "+10 ms under 70 %")
    return sum(paced.bad_items() for runs in (alone, beside, streams) for paced in runs)


def run(rig, is_quick):
    """Returns how many items went wrong."""
    rounds, seconds = (1, 2) if is_quick else (3, 10)
    return sum(show(parallel, *measure(rig, parallel, rounds, seconds)) for parallel in PARALLEL)
