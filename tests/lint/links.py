#!/usr/bin/env python3
"""What the pages of this repository point to is there: relative links, and paths in backticks.

A path in backticks counts when it begins with a folder of the repository's top (`tests/bench/run --plugins`); what is built
(`build/...`) and what stands for others (`plugins/mine/mine.c`) does not.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"`([^`\s]+/[^`\s]*)[^`]*`")
PATTERN = re.compile(r"[*{<]")  # stands for many
ELSEWHERE = ("plugins/mine/", "tests/unit/plugins/test_mine.c")


def present():
    """Files and folders, from the root, but for what is built and what is hidden."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "build" and not name.startswith(".")]
        yield from (str((pathlib.Path(folder) / name).relative_to(ROOT)) for name in (*folders, *files))


def targets(page, line, tops):
    """(what a line points to, where that is from the root)."""
    for link in LINK.findall(line):
        if "://" not in link and not link.startswith(("#", "mailto:")):
            place = (ROOT / page).parent.joinpath(link.partition("#")[0]).resolve()
            yield link, str(place.relative_to(ROOT)) if place.is_relative_to(ROOT) else link
    for path in NAMED.findall(line):
        if path.partition("/")[0] in tops and not path.startswith(ELSEWHERE) and not PATTERN.search(path):
            yield path, path.rstrip("/").rstrip(".,:")


def lost(page, tops, known):
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        for written, place in targets(page, line, tops):
            if place not in known and place + ".h" not in known:  # a room is named without the ends of its pair
                yield f"{page}:{number}: nothing is there: {written}"


def main():
    known = set(present())
    tops = {name.partition("/")[0] for name in known if "/" in name}
    pages = sorted(name for name in known if name.endswith(".md"))
    words = [word for page in pages for word in lost(page, tops, known)]
    print("\n".join([*words, f"links: {len(pages)} pages, {len(words)} dead"]))
    return 1 if words or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
