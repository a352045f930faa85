"""The main path with everything on that waits for trouble: what watching costs while nothing happens, beside the floor
and beside the same gateway without it. Two addresses of one nginx, so that a retry or a hedge has somewhere to go."""
import statistics

from rig import mark

N = 100
GUARDS = {"retry": "{}", "outlier": "{}", "breaker": "{}", "health": "{}"}
ALL = {**GUARDS, "adaptive": "{}", "hedge": "{}", "shed": "true"}


def written(rig, keys):
    return ", ".join(["max_connections: 512", *(f"{key}: {value}" for key, value in keys.items() if rig.knows(key))])


def measure(rig, rounds, seconds):
    """({what is written: [CPU per item, a round each]}, how many answers went wrong); the floor is the first of them."""
    port = rig.nginx_backend("backend")
    servers = [f"http://127.0.0.{host}:{port}" for host in (1, 2)]
    variants = {"nothing written": {}, ", ".join(GUARDS): GUARDS, "and " + ", ".join(list(ALL)[len(GUARDS):]): ALL}
    gateways = {name: rig.sheaf(f"armed-{i}", servers, written(rig, keys)) for i, (name, keys) in enumerate(variants.items())}
    costs, bad = {name: [] for name in ("floor", *gateways)}, 0
    for number in range(rounds + 1):
        cells = {name: rig.load(gateway, N, seconds) for name, gateway in gateways.items()}
        bad += sum(cell["bad"] for cell in cells.values())
        if number == 0:
            continue  # the first round warms caches, pools and connections
        costs["floor"].append(rig.floor(port, N, seconds)["cpu_us_per_item"])
        for name, cell in cells.items():
            costs[name].append(cell["cpu"])
    return costs, bad


def run(rig, is_quick):
    """Returns how many answers went wrong."""
    costs, bad = measure(rig, *((3, 0.7) if is_quick else (9, 1.5)))
    ratios = {name: statistics.median(cost / floor for cost, floor in zip(row, costs["floor"])) for name, row in costs.items()}
    print(f"\n| main path, N={N}, JSON, two servers | CPU us/item | / floor |\n|---|---|---|")
    for name, row in costs.items():
        print(f"| {name} | {statistics.median(row):.2f} | {ratios[name]:.2f} |")
    guarded = ratios[", ".join(GUARDS)]
    mark(f"armed: {guarded:.2f} x the floor", guarded <= 1.5, "1.5")
    return bad
