#!/usr/bin/env python3
"""Checks every #include against the floors of the house.

A floor includes only floors below it; batch and upstream never include each other; libh2o is seen by gateway/front
only, libuv only where an event loop is driven. Prints each offence as file:line and exits 1 if there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEIGHT = {"gateway/base": 0, "gateway/http": 1, "config": 2, "gateway/upstream": 3, "gateway/batch": 3,
          "gateway/codec": 4, "gateway/front": 5, "gateway/run": 6}
# Which folders or files may include a library's headers; what is not named here may be included by every floor.
LIBRARIES = {
    r"h2o(\.h|/.*)": ["gateway/front/"],
    # conn and lookup drive sockets; upstream and server hold their handles; their headers show the loop's type
    r"uv\.h": ["gateway/front/", "gateway/run/", "gateway/upstream/conn.", "gateway/upstream/lookup.",
               "gateway/upstream/upstream.h", "gateway/upstream/upstream.c", "gateway/upstream/private.h"],
    # main prints the versions of the libraries
    r"ares\.h": ["gateway/upstream/lookup.", "gateway/run/main.c"],
    r"libfyaml\.h": ["config/", "gateway/run/main.c"],
    r"zlib\.h": ["gateway/http/inflate.", "gateway/front/squeeze.", "gateway/run/main.c"],
    r"expat\.h": ["gateway/codec/", "gateway/run/main.c"],
    r"jansson\.h": ["gateway/run/", "gateway/batch/expand."],
    # config reads certificates and makes contexts of them, so that `sheaf check` and a running gateway agree
    r"openssl/.*": ["config/", "gateway/front/", "gateway/upstream/tls.", "gateway/run/"],
    r"nghttp2/.*": ["gateway/upstream/h2", "gateway/front/guard/shadow."],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def floor_of(path):
    """The floor a repository path lies on, or None."""
    for folder in HEIGHT:
        if path.startswith(folder + "/"):
            return folder
    return None


def own_offence(path, included):
    """What is wrong with `path` including the repository's file `included`, or None."""
    here, there = floor_of(path), floor_of(included)
    if not (ROOT / included).exists():
        return f'"{included}" is not a path from the repository root'
    if here is None or there is None or here == there:
        return None
    if HEIGHT[there] >= HEIGHT[here]:
        return f"{here} (floor {HEIGHT[here]}) includes {included} (floor {HEIGHT[there]})"
    return None


def is_part(included):
    """Whether it is of a folder of plugins/ that is no plugin: those become part of the plugins that name them."""
    names = included.split("/")
    return names[0] == "plugins" and len(names) == 3 and not (ROOT / "plugins" / names[1] / f"{names[1]}.c").exists()


def plugin_offence(path, included):
    """A plugin knows the ABI, its own folder and parts it is built with, and nothing else of the repository."""
    folder = "/".join(path.split("/")[:2]) + "/"
    if is_part(included) and (ROOT / included).exists():
        return None
    if included == "plugins/sheaf_plugin.h" or included.startswith(folder) or (ROOT / folder / included).exists():
        return None
    return f"a plugin includes {included}: only plugins/sheaf_plugin.h and its own folder are its business"


def library_offence(path, included):
    """What is wrong with `path` including the system header `included`, or None."""
    for pattern, places in LIBRARIES.items():
        if re.fullmatch(pattern, included) and not any(path.startswith(place) for place in places):
            return f"<{included}> belongs in {', '.join(places)} only"
    return None


def offences(path):
    for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            own, library = match.groups()
            if path.startswith("plugins/"):
                what = plugin_offence(path, own) if own else None  # it links what it wants
            else:
                what = own_offence(path, own) if own else library_offence(path, library)
            if what:
                yield f"{path}:{number}: {what}"


def main():
    files = [path.relative_to(ROOT).as_posix() for top in ("gateway", "config", "plugins")
             for path in sorted((ROOT / top).rglob("*.[ch]"))]
    found = [offence for path in files for offence in offences(path)]
    print("\n".join(found + [f"includes: {len(files)} files, {len(found)} offences"]))
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
