#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs fuzzers, one after another, and counts what they executed.

    run.py [--runs N] [--seconds N] OUT NAME...

OUT/fuzz_NAME goes on from what it has learned in OUT/corpus/NAME and from tests/fuzz/corpus/NAME.txt, for so many executions and
at most so long (0: no bound). It says all it has to say into OUT/fuzz_NAME.log. The first finding ends the run: what made it
is beside that, and the exit status is 1.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

import corpus

HERE = pathlib.Path(__file__).resolve().parent

LIMITS = (
    "-max_len=3000",  # more than a line of Memcached's may have, and two bytes in front
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-malloc_limit_mb=2200",  # a trace's zstd may ask for a window of 2 GiB, of which little is touched
)

# One input leaves little behind that is freed; more of it would only be out of the processor's caches.
SANITIZER = "quarantine_size_mb=16"


def learned(out, name):
    """The folder of its inputs."""
    folder = out / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    corpus.unpack(HERE / "corpus" / f"{name}.txt", folder)
    return folder


def statistic(text, name):
    """What libFuzzer says at its end: of all runs that it made until then, also where it found something."""
    found = re.search(rf"^stat::{name}: *(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def run(out, name, options):
    """How often it was executed, and whether nothing was found."""
    command = [
        str(out / f"fuzz_{name}"),
        f"-runs={options.runs}",
        f"-max_total_time={options.seconds}",
        *LIMITS,
        "-print_final_stats=1",
        "-verbosity=0",
        f"-dict={HERE / (name + '.dict')}",
        f"-artifact_prefix={out}/{name}-",
        str(learned(out, name)),
    ]
    log = out / f"fuzz_{name}.log"
    before = os.environ.get("ASAN_OPTIONS")
    environment = {**os.environ, "ASAN_OPTIONS": f"{SANITIZER}:{before}" if before else SANITIZER}
    with log.open("wb") as said:
        status = subprocess.run(command, env=environment, stdout=said, stderr=said, check=False).returncode
    text = log.read_text("utf-8", "replace")
    count = statistic(text, "number_of_executed_units")
    rate = statistic(text, "average_exec_per_sec")
    print(f"{name}: {count} executions, {rate} a second, {statistic(text, 'new_units_added')} inputs more", flush=True)
    if status != 0:
        print(text[-8000:], file=sys.stderr)
        print(f"{name}: FAILED, see {log}", file=sys.stderr)
    return count, status == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="+", metavar="NAME")
    options = parser.parse_args()
    total = 0
    for name in options.names:
        count, is_good = run(options.out, name, options)
        total += count
        if not is_good:
            break
    print(f"{total} executions", flush=True)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
