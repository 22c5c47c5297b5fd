#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of symbols: hearth_ is public and defined in sdk/api/ alone, hearth__ is shared inside the
library, all else is static. The shared library exports what the headers declare, and the golden
list says when that changes.

usage: symbols.py [--update] SHARED_LIBRARY OBJECT...  (objects of sdk/)
"""

import re
import subprocess
import sys

import source

GOLDEN = "tests/install/symbols.golden"
DECLARED = re.compile(r"^HEARTH_API\b[^;(]*?\b(\w+)\s*\(", re.MULTILINE)


def nm(*arguments):
    return subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True).stdout


def place(symbol, path):
    """file:line of a symbol in an object."""
    for line in nm("-g", "-l", "--defined-only", path).splitlines():
        words, _, where = line.partition("\t")
        if words.split()[-1] == symbol and "/sdk/" in where:
            file, _, number = where.rpartition("/sdk/")[2].rpartition(":")
            return "sdk/" + file, number
    return "sdk/" + path.rpartition("/sdk/")[2].removesuffix(".o") + ".c", 1


def check_objects(paths, findings):
    for path in paths:
        room = path.rpartition("/sdk/")[2].split("/")[0]
        for line in nm("-g", "--defined-only", path).splitlines():
            symbol = line.split()[-1]
            if symbol.startswith("DW.ref."):
                continue  # the compiler's own, hidden: how it finds its handler of exceptions
            if not symbol.startswith("hearth_"):
                findings.add(*place(symbol, path), f"{symbol}: make it static or call it hearth__...")
            elif not symbol.startswith("hearth__") and room != "api":
                findings.add(*place(symbol, path), f"{symbol}: only sdk/api/ defines public symbols")


def exported(library):
    """Names that the library exports; the version node itself is not one of them."""
    names = set()
    for line in nm("-D", "--defined-only", library).splitlines():
        _, kind, name = line.split()
        if kind != "A":
            names.add(name.partition("@")[0])
    return names


def declared():
    """name -> (header, line) of every HEARTH_API function."""
    names = {}
    for path in source.files("include"):
        text = source.code_only(source.read(path))
        for match in DECLARED.finditer(text):
            names[match.group(1)] = (path, source.line_of(text, match.start()))
    return names


def golden():
    path = source.ROOT / GOLDEN
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name: number for number, name in enumerate(lines, 1)}


def check_library(library, findings):
    symbols, listed, headers = exported(library), golden(), declared()
    for name in sorted(symbols):
        if not re.match(r"hearth_[^_]", name):
            findings.add(library, 1, f"{name} is exported and is no public name")
        elif name not in headers:
            findings.add(library, 1, f"{name} is exported and declared in no public header")
    for name in sorted(headers.keys() - symbols):
        findings.add(*headers[name], f"{name} is declared and the shared library does not export it")
    for name in sorted(symbols - listed.keys()):
        findings.add(GOLDEN, 1, f"{name} is new: `make update-symbols` if it is meant to be public")
    for name in sorted(listed.keys() - symbols):
        findings.add(GOLDEN, listed[name], f"{name} is gone: `make update-symbols` and a new ABI version")


def main():
    arguments = sys.argv[1:]
    if arguments[0] == "--update":
        names = "".join(f"{name}\n" for name in sorted(exported(arguments[1])))
        (source.ROOT / GOLDEN).write_text(names, encoding="utf-8")
        return
    findings = source.Findings()
    check_objects(arguments[1:], findings)
    check_library(arguments[0], findings)
    findings.finish("symbols")


if __name__ == "__main__":
    main()
