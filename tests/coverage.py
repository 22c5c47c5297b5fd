#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what of the library's lines and branches ran, file by file and in total, from gcovr's summary.

    coverage.py --lines 90 --branches 80 SUMMARY

Exit status 1: the total is below one of these, in percent; or a file of the library with code is not in the summary.
Left out: the branches of exceptions that pass through (no test could take most of them), and what a process did that was
killed, or that ended by _exit(), as forked children of the tests do.
"""

import argparse
import json
import pathlib
import sys

LEFT_OUT = "left out: branches of exceptions that pass through; processes that were killed or ended by _exit()"


def share(covered, total):
    """In percent; of nothing, all is covered."""
    return 100.0 if total == 0 else 100.0 * covered / total


def row(name, counts):
    lines = (counts["line_covered"], counts["line_total"])
    branches = (counts["branch_covered"], counts["branch_total"])
    return "{:40} {:6.1f} % of {:5} lines {:6.1f} % of {:5} branches".format(
        name, share(*lines), lines[1], share(*branches), branches[1]
    )


def without_counts(files):
    """Sources of which nothing is known, although they have lines of their own."""
    known = {each["filename"] for each in files}
    return [str(path) for path in sorted(pathlib.Path("sdk").glob("*/*.c")) if str(path) not in known]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=float, required=True, help="percent")
    parser.add_argument("--branches", type=float, required=True, help="percent")
    parser.add_argument("summary")
    arguments = parser.parse_args()
    with open(arguments.summary, encoding="utf-8") as file:
        summary = json.load(file)

    for each in sorted(summary["files"], key=lambda counts: counts["filename"]):
        print(row(each["filename"], each))
    print(LEFT_OUT)
    print(row("sdk", summary))

    failures = [f"{name}: no counts" for name in without_counts(summary["files"])]
    for what, least in (("line", arguments.lines), ("branch", arguments.branches)):
        if share(summary[f"{what}_covered"], summary[f"{what}_total"]) < least:
            failures.append(f"less than {least:g} % ({what})")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
