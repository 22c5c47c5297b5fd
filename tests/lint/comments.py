#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The public headers are the manual: each HEARTH_API declaration carries a comment block that says
what it answers (Result:), who owns what (Ownership:), and which threads may call it (Threads:)."""

import re

import source

DECLARATION = re.compile(r"^HEARTH_API\b([^;]*);", re.MULTILINE)
BLOCK_BEFORE = re.compile(r"/\*\*(?:(?!\*/).)*\*/[ \t]*\n\Z", re.DOTALL)


def parts_of(declaration):
    """The parts that the comment must have; a function without a result needs none for it."""
    if re.match(r"\s*void\s+\w", declaration):
        return ("Ownership:", "Threads:")
    return ("Result:", "Ownership:", "Threads:")


def main():
    findings = source.Findings()
    count = 0
    for path in source.files("include"):
        text = source.read(path)
        for match in DECLARATION.finditer(text):
            count += 1
            line = source.line_of(text, match.start())
            name = re.search(r"(\w+)\s*\(", match.group(1))
            shown = name.group(1) if name else match.group(1).strip()
            block = BLOCK_BEFORE.search(text[: match.start()])
            if not block:
                findings.add(path, line, f"{shown} has no /** comment */ right above it")
                continue
            for part in parts_of(match.group(1)):
                if not re.search(r"^ \* " + part, block.group(), re.MULTILINE):
                    findings.add(path, line, f"the comment of {shown} has no line `{part} ...`")
    findings.finish(f"comments of {count} public functions")


if __name__ == "__main__":
    main()
