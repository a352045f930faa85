"""What each plugin costs an item: the main path with one plugin at a time, beside the same without any, in interleaved rounds."""
import hashlib
import json
import re
import statistics

from rig import JSON, ROOT

N = 100
KEY = "a-key-of-the-bench"
NUMBER = "#" * 16  # load.c puts another one in its place each time


def token():
    """A token that jose made, good for the keys beside it, see tests/unit/plugins/jwt_samples.mjs."""
    text = (ROOT / "tests/unit/plugins/jwt_samples.h").read_text()
    found = dict(re.findall(r'#define SAMPLE_(\w+) *\\\n((?: *".*" *\\?\n)+)', text))
    return ["".join(json.loads(piece) for piece in re.findall(r'".*"', found[name])) for name in ("ES256", "JWKS")]


def variants(rig):
    """({what is configured: plugins as YAML}, the head that all are sent)."""
    bearer, jwks = token()
    (rig.dir / "jwks").write_text(jwks)
    (rig.dir / "keys").write_text(f"bench {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    head = f"Authorization: Bearer {bearer}\r\nX-Api-Key: {KEY}\r\nOrigin: https://app.example\r\nIdempotency-Key: b-{NUMBER}"
    return {
        "none": "",
        "ip_access": "{use: ip_access, allow: [127.0.0.0/8, 10.0.0.0/8]}",
        "api_key": f"{{use: api_key, keys: {rig.dir}/keys}}",
        "jwt": f"{{use: jwt, jwks: {rig.dir}/jwks, claims_to_headers: [{{claim: sub, header: x-user}}]}}",
        "headers": "{use: headers, request: {remove: [x-debug], set: {x-client: \"${client_ip}\"}}, response: {remove: [x-powered-by]}}",
        "cors": "{use: cors, origins: [\"https://app.example\"]}",
        "rate_limit": "{use: rate_limit, limits: [{rate: 1000000000, per: 1s}]}",
        "access_log": f"{{use: access_log, path: {rig.dir}/access.log, lines: both}}",
        "cache": "{use: cache}",  # who asks says who he is: looked up, sent, looked at again
        "trace": "{use: trace, ratio: \"0.01\"}",
        "idempotency": "{use: idempotency, methods: [GET], entries: 65536, max_answer: 1KiB}",  # each batch has a new key
    }, head


def run(rig, is_quick):
    """Returns how many answers went wrong."""
    port = rig.nginx_backend("backend")
    plugins, head = variants(rig)
    gateways = {name: rig.sheaf(f"plugins-{name}", [port], endpoint=f"linger: 20ms, plugins: [{text}]")
                for name, text in plugins.items()}
    costs, bad = {name: [] for name in gateways}, 0
    for number in range(4 if is_quick else 10):
        for name, gateway in gateways.items():
            cell = rig.load(gateway, N, 0.5 if is_quick else 1.0, JSON, head)
            bad += cell["bad"]
            if number > 0:  # the first round warms caches, pools and connections
                costs[name].append(cell["cpu"])
    print(f"\n| plugin, N={N}, JSON | CPU us/item | more than without |\n|---|---|---|")
    for name, row in costs.items():
        more = statistics.median(cost - base for cost, base in zip(row, costs["none"]))
        print(f"| {name} | {statistics.median(row):.2f} | {more:.2f} |")
    return bad
