#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plain text rules: licence line, blanks, tabs, header guards, length, no notes to self."""

import re

import source

FOLDERS = ("include", "sdk", "tests", "bench", "bindings", ".ci")
CODE = (".c", ".h", ".py", ".sh", ".map", ".in")
TEXT = CODE + (".md", ".txt", ".golden", ".toml", ".cfg", "")
TOP_FILES = ("Makefile", "README.md", "CHANGELOG.md", "SECURITY.md", ".clang-format", ".clang-tidy")

# In two halves, so that this file does not find itself.
NOTES = re.compile(r"\b(" + "|".join(("TO" "DO", "FIX" "ME", "XX" "X")) + r")\b")
MAX_LINES = 400
LONG_FILE = "Longer than 400 lines:"


def is_source(path):
    return path.suffix in CODE and path.suffix != ".in" or path.name in ("Makefile", "run")


def check_lines(path, text, findings):
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            findings.add(path, number, "blanks at the end of the line")
        if "\t" in line and path.name != "Makefile":
            findings.add(path, number, "a tab")
        if is_source(path) and NOTES.search(line):
            findings.add(path, number, f"{NOTES.search(line).group()}: finish it or leave it out")
    if text and not text.endswith("\n"):
        findings.add(path, text.count("\n") + 1, "no newline at the end")
    if text.endswith("\n\n"):
        findings.add(path, text.count("\n"), "empty lines at the end")


def check_source(path, text, findings):
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in text.split("\n")[:2]):
        findings.add(path, 1, "no SPDX-License-Identifier in the first two lines")
    # A public header is a manual, and as long as that takes.
    if path.parts[0] == "sdk" and text.count("\n") > MAX_LINES and LONG_FILE not in text:
        message = f"more than {MAX_LINES} lines: split it, or say `{LONG_FILE} why` in it"
        findings.add(path, MAX_LINES + 1, message)


def check_guard(path, text, findings):
    """HEARTH_RING_RING_H for sdk/ring/ring.h, HEARTH_ERRORS_H for include/hearth/errors.h."""
    inside = path.parts[2:] if path.parts[0] == "include" else path.parts[1:]
    if path.parts[0] in ("tests", "bench"):
        inside = path.parts
    guard = "HEARTH_" + re.sub(r"\W", "_", "_".join(inside)).upper()
    match = re.search(r"^#ifndef (\w+)\n#define (\w+)\n", text, re.MULTILINE)
    if not match or match.group(1) != guard or match.group(2) != guard:
        line = source.line_of(text, match.start()) if match else 1
        findings.add(path, line, f"the header guard must be {guard}")


def main():
    findings = source.Findings()
    paths = list(source.files(*FOLDERS, suffixes=TEXT))
    paths += [source.pathlib.Path(name) for name in TOP_FILES if (source.ROOT / name).is_file()]
    for path in paths:
        try:
            text = source.read(path)
        except UnicodeDecodeError:
            continue  # a binary: a corpus file, say
        check_lines(path, text, findings)
        if is_source(path):
            check_source(path, text, findings)
        if path.suffix == ".h" and path.parts[0] in ("sdk", "include"):
            check_guard(path, text, findings)
    findings.finish("text")


if __name__ == "__main__":
    main()
