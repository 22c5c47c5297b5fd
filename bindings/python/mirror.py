#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes hearth/_tables.py: what the C headers say of versions, statuses, flags and statistics.

usage: mirror.py [--check]

With --check nothing is written, and a file that differs is an error. The layouts of structs and the
prototypes are in hearth/_abi.py; tests/test_abi.py compares those with what the compiler says.
"""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
HEADERS = HERE.parent.parent / "include" / "hearth"
TABLES = HERE / "hearth" / "_tables.py"

HEAD = '''# SPDX-License-Identifier: Apache-2.0
"""Made by mirror.py from the C headers; do not edit."""

from typing import Dict, NamedTuple

'''

# Statistics of the binding itself, behind the library's.
OWN = (
    ("failed_reads", "counter", '"Reads that a node failed and that were taken for misses"'),
    (
        "refused_values",
        "counter",
        '"Values taken for misses: their format is not accepted here, or they do not decode"',
    ),
)

# Names of hearth.h that the binding needs, in its order.
CONSTANTS = re.compile(
    r"^(?:#define |    )HEARTH_((?:READ|WRITE|TIER|KEY|TTL|STALE|FRESH|HOT_KEY|LOG|VERB)(?:_\w+)?)\s+"
    r"(?:= )?(\S+?),?(?:\s|$)",
    re.MULTILINE,
)


def read(name):
    return (HEADERS / name).read_text(encoding="utf-8")


def joined_texts(text):
    """The value of C string literals side by side."""
    return "".join(re.findall(r'"((?:\\.|[^"\\])*)"', text)).replace('\\"', '"')


def number(text):
    match = re.fullmatch(r"INT64_C\((-?\d+)\)", text)
    if match:
        return int(match.group(1))
    return 2**63 - 1 if text == "INT64_MAX" else int(text.rstrip("u"))


def versions():
    found = dict(re.findall(r"^#define HEARTH_(\w+) +(\d+)$", read("version.h"), re.MULTILINE))
    parts = [int(found[f"VERSION_{part}"]) for part in ("MAJOR", "MINOR", "PATCH")]
    yield f'VERSION = "{".".join(map(str, parts))}"'
    yield f"ABI_VERSION = {found['ABI_VERSION']}"


def constants():
    for name, value in CONSTANTS.findall(read("hearth.h")):
        yield f"{name} = {number(value)}"


def statuses():
    yield "STATUSES: Dict[str, int] = {"
    for name, value in re.findall(r'X\((\w+), (-?\d+), "', read("errors.h")):
        yield f'    "{name}": {value},'
    yield "}"


def statistics():
    table = re.findall(
        r'X\((\w+),\s*(counter|gauge),[\s\\]*((?:"(?:\\.|[^"\\])*"[\s\\]*)+)\)', read("stats.h")
    )
    yield "class Stats(NamedTuple):"
    yield '    """Statistics since the cache was opened (counters) or now (gauges)."""'
    for name, kind, text in (*table, *OWN):
        words, line = f"#: {kind}: {joined_texts(text)}".split(), "   "
        yield ""
        for word in words:
            if len(line) + 1 + len(word) > 100:
                yield line
                line = "    #:"
            line += " " + word
        yield line
        yield f"    {name}: int"
    yield ""
    yield ""
    yield "#: of those, the library's own come first"
    yield f"LIBRARY_STATS = {len(table)}"


def text_of_tables():
    blocks = ["\n".join(versions()), "\n".join(constants()), "\n".join(statuses())]
    return HEAD + "\n\n".join(blocks) + "\n\n\n" + "\n".join(statistics()) + "\n"


def main():
    text = text_of_tables()
    if "--check" not in sys.argv[1:]:
        TABLES.write_text(text, encoding="utf-8")
    elif not TABLES.exists() or TABLES.read_text(encoding="utf-8") != text:
        sys.exit(f"{TABLES}: not what the C headers say; run `make update-python`")


if __name__ == "__main__":
    main()
