"""The main path with everything on that waits for trouble: what watching costs while nothing happens, beside the floor
and beside the same gateway without it. Two addresses of one nginx, so that a retry or a hedge has somewhere to go."""
import statistics

from rig import mark

N = 100
ARMOUR = {"retry": "{}", "outlier": "{}", "breaker": "{}", "health": "{}", "adaptive": "{}", "hedge": "{}", "shed": "true"}


def measure(rig, rounds, seconds):
    port = rig.nginx_backend("backend")
    servers = [f"http://127.0.0.{host}:{port}" for host in (1, 2)]
    worn = {key: value for key, value in ARMOUR.items() if rig.knows(key)}
    plain = rig.sheaf("plain", servers)
    armed = rig.sheaf("armed", servers, ", ".join(["max_connections: 512", *(f"{key}: {value}" for key, value in worn.items())]))
    costs, bad = {"floor": [], "nothing written": [], ", ".join(worn): []}, 0
    for number in range(rounds + 1):
        floor = rig.floor(port, N, seconds)["cpu_us_per_item"]
        cells = [rig.load(gateway, N, seconds) for gateway in (plain, armed)]
        bad += sum(cell["bad"] for cell in cells)
        for row, cost in zip(costs.values(), [floor, *(cell["cpu"] for cell in cells)] if number > 0 else []):
            row.append(cost)  # the first round warms caches, pools and connections
    return costs, bad


def run(rig, is_quick):
    """Returns how many answers went wrong."""
    costs, bad = measure(rig, *((3, 0.7) if is_quick else (9, 1.5)))
    floors = costs["floor"]
    ratios = {name: statistics.median(cost / floor for cost, floor in zip(row, floors)) for name, row in costs.items()}
    print(f"\n| main path, N={N}, JSON, two servers | CPU us/item | / floor |\n|---|---|---|")
    for name, row in costs.items():
        print(f"| {name} | {statistics.median(row):.2f} | {ratios[name]:.2f} |")
    ratio = list(ratios.values())[-1]
    mark(f"armed: {ratio:.2f} x the floor", ratio <= 1.5, "1.5")
    return bad
