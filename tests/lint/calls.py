#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What library code may not call: it never prints, exits or sets signal handlers; heap and clocks
are reached through base/ only. Sources are read for the line, objects for what a macro hides.

usage: calls.py OBJECT...  (objects of sdk/, as build/.../sdk/ROOM/FILE.o)
"""

import re
import subprocess
import sys

import source

PRINTS = "printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putchar putc perror syslog stdout stderr"
ENDS = "exit _exit _Exit quick_exit abort assert raise"
SIGNALS = "signal sigaction sigprocmask pthread_sigmask"
HEAP = (
    "malloc calloc realloc reallocarray free strdup strndup aligned_alloc posix_memalign memalign valloc "
    "asprintf vasprintf getline getdelim open_memstream"
)
CLOCKS = "clock_gettime gettimeofday time clock timespec_get ftime"

EVERYWHERE = {
    **{name: "library code prints nothing" for name in PRINTS.split()},
    **{name: "library code never ends the process" for name in ENDS.split()},
    **{name: "library code leaves signals alone" for name in SIGNALS.split()},
}
BASE_ONLY = {
    **{name: "the heap is reached through base/memory.h" for name in HEAP.split()},
    **{name: "clocks are reached through base/" for name in CLOCKS.split()},
}
VARIABLES = {"stdout", "stderr"}

# What the C library makes of some of the names above.
SYMBOLS = {"__assert_fail": "assert", "__isoc99_printf": "printf"}


def reason(name, room):
    if name in EVERYWHERE:
        return EVERYWHERE[name]
    return BASE_ONLY.get(name) if room != "base" else None


def check_sources(findings):
    names = sorted(EVERYWHERE | BASE_ONLY)
    # Not behind a dot or arrow: a struct may have a member called `time`.
    call = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\b(\s*\()?")
    for path in source.files("sdk"):
        text = source.code_only(source.read(path))
        for match in call.finditer(text):
            name = match.group(1)
            why = reason(name, path.parts[1])
            if why and (match.group(2) or name in VARIABLES):
                findings.add(path, source.line_of(text, match.start()), f"{name}: {why}")


def undefined_symbols(path):
    listing = subprocess.run(["nm", "-u", "-l", path], check=True, capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        symbol, _, place = line.partition("\t")
        yield symbol.split()[-1], place


def plain_name(symbol):
    chk = re.fullmatch(r"__(\w+)_chk", symbol)
    return chk.group(1) if chk else SYMBOLS.get(symbol, symbol)


def check_objects(paths, findings):
    for path in paths:
        file = "sdk/" + path.rpartition("/sdk/")[2].removesuffix(".o") + ".c"
        for symbol, place in undefined_symbols(path):
            name = plain_name(symbol)
            why = reason(name, file.split("/")[1])
            if why:
                where = place.rpartition("/sdk/")[2]
                _, _, line = place.rpartition(":")
                shown = "sdk/" + where.rpartition(":")[0] if where != place else file
                message = f"{name}, in what the compiler made of this: {why}"
                findings.add(shown, line if line.isdigit() else 1, message)


def main():
    findings = source.Findings()
    check_sources(findings)
    if not findings.lines:
        check_objects(sys.argv[1:], findings)
    findings.finish("calls")


if __name__ == "__main__":
    main()
