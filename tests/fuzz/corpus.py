#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a fuzzer's inputs into a text that can be read and compared, and back.

    corpus.py unpack TEXT FOLDER    a file for each line of the text, as libFuzzer wants them
    corpus.py pack TEXT FOLDER      adds the folder's files to the text

A line is one input: printable ASCII as it is, but for the backslash; the rest as \\r, \\n, \\t, \\\\ and \\xNN.
Lines that begin with '#' are for readers. To keep what a long run found, let libFuzzer choose what
covers the same (fuzz_NAME -merge=1 small large), and pack `small`.
"""

import hashlib
import pathlib
import sys

NAMED = {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\"}


def written(data):
    """The line for an input."""
    line = "".join(
        NAMED[byte] if byte in NAMED else chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data
    )
    line = "\\x23" + line[1:] if line.startswith("#") else line
    return line[:-1] + "\\x20" if line.endswith(" ") else line


def meant(line):
    """The input of a line."""
    return line.encode("ascii").decode("unicode_escape").encode("latin-1")


def lines_of(text):
    """The inputs of a text, as they are written there."""
    lines = text.read_text("ascii").split("\n") if text.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def unpack(text, folder):
    for line in lines_of(text):
        data = meant(line)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def pack(text, folder):
    known = set(lines_of(text))
    new = {written(file.read_bytes()) for file in folder.iterdir()} - known
    with text.open("a", encoding="ascii") as out:
        for line in sorted(new, key=lambda line: (len(line), line)):
            if line:
                print(line, file=out)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
        sys.exit(__doc__)
    {"pack": pack, "unpack": unpack}[sys.argv[1]](pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))


if __name__ == "__main__":
    main()
