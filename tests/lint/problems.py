#!/usr/bin/env python3
"""The problem types that clients may rely on: the list in gateway/codec/README.md is what errors.def says.

`tests/lint/problems.py write` brings the list up to date. A type that has been published is never renamed.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "gateway/codec/README.md"
ROW = re.compile(r'^X\((\w+), (\d+), "([^"]*)", "([^"]*)"\)', re.M)
TITLE = "## Problem types\n"
HEAD = "| type | status | title |\n|---|---|---|\n"


def wanted():
    rows = ROW.findall((ROOT / "gateway/base/errors.def").read_text(encoding="utf-8"))
    return HEAD + "".join(f"| `urn:sheaf:problem:{slug}` | {status} | {title} |\n"
                          for _, status, slug, title in rows if status != "0")


def main():
    text = README.read_text(encoding="utf-8")
    before, title, section = text.partition(TITLE)
    at = section.find(HEAD)
    table = re.match(r"(\|.*\n)+", section[at:]).group() if title and at >= 0 else ""
    want = wanted()
    if table and table != want and sys.argv[1:] == ["write"]:
        README.write_text(before + title + section[:at] + want + section[at + len(table):], encoding="utf-8")
        table = want
    lost = sorted(set(want.splitlines()) ^ set(table.splitlines()))
    print("\n".join(f"gateway/codec/README.md: not as errors.def says: {line}" for line in lost))
    print(f"problems: {want.count(chr(10)) - 2} types, {'as' if table == want else 'not as'} errors.def says")
    return 0 if table == want else 1


if __name__ == "__main__":
    sys.exit(main())
