#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs, some at a time, and counts their tests: cmocka's, and Python's (`*.py`) that report as
cmocka does.

A program that crashes, hangs, exits early or runs no test at all counts as a failure, the rest
still runs. What failed is said once more at the end. The last line is `N passed, N failed`, alone.
Exit status 0 means: nothing failed.
"""

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

# How long processes of a program that has ended may take to end themselves.
LINGER_S = 2

# Not anchored: a program may have written half a line before.
RESULT = re.compile(r"\[ *(RUN|OK|FAILED|ERROR|SKIPPED) *\] (\S.*)$")
# What cmocka says before it says FAILED: the condition, and its place.
REASON = re.compile(r"\[ *(?:ERROR|LINE) *\] --- (.+)$")
ANNOUNCED = re.compile(r"\[=+\] (?:.*: )?Running (\d+) test\(s\)\.")

# Every finding of a sanitizer ends the program with a failure, and leaks are looked for.
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1:halt_on_error=0:exitcode=66",
}


class Outcome:
    """What one program's output says about its tests."""

    def __init__(self):
        self.announced = 0
        self.results = []
        self.running = None
        self.reasons = []
        self.failures = []

    def read(self, line):
        announced = ANNOUNCED.search(line)
        if announced:
            self.announced += int(announced.group(1))
        reason = REASON.search(line)
        if reason:
            self.reasons.append(reason.group(1))
        found = RESULT.search(line)
        if not found:
            return
        word, test = found.groups()
        if word == "RUN":
            self.running = test
            self.reasons = []
        elif test == self.running:
            self.results.append(word)
            self.running = None
            if word in ("FAILED", "ERROR"):
                self.failures.append(": ".join([test, *self.reasons]))

    def passed(self):
        return self.results.count("OK")

    def skipped(self):
        return self.results.count("SKIPPED")

    def failed(self):
        return self.results.count("FAILED") + self.results.count("ERROR")

    def lost(self):
        """Tests that were announced and never came to a result."""
        return max(0, self.announced - len(self.results))


def environment():
    env = dict(os.environ)
    for name, options in SANITIZER_OPTIONS.items():
        env[name] = options + (":" + env[name] if env.get(name) else "")
    return env


def group_lives(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


def stop_group(group):
    """Ends the program and whatever it started: it leads a process group of its own."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def leaves_processes(group):
    """Whether something that the program started outlives it, beyond a moment to end in."""
    limit = time.monotonic() + LINGER_S
    while group_lives(group):
        if time.monotonic() > limit:
            return True
        time.sleep(0.01)
    return False


def command(program, python):
    """A program of Python runs in development mode: every warning fails it."""
    if program.endswith(".py"):
        return [python, "-X", "dev", "-W", "error", program]
    return [program]


def run(arguments, timeout_s):
    """Runs one program; returns (its outcome, its output, what went wrong or None)."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
        trouble = None
        try:
            process.wait(timeout_s)
            if leaves_processes(process.pid):
                trouble = "left a process behind"
        except subprocess.TimeoutExpired:
            trouble = f"did not end within {timeout_s} s"
        finally:
            stop_group(process.pid)
            process.wait()
        file.seek(0)
        output = file.read().decode(errors="replace")
    outcome = Outcome()
    for line in output.splitlines():
        outcome.read(line)
    return outcome, output, trouble or judge(process.returncode, outcome)


def judge(status, outcome):
    """What is wrong with a program that ended, beside the tests that say FAILED themselves."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    if outcome.announced == 0:
        return "ran no test"
    if outcome.lost() > 0:
        return f"ended with status {status} before all its tests had run"
    if status != 0 and outcome.failed() == 0:
        return f"ended with status {status} although its tests passed"
    return None


def tally(path, passed, failed, troubles):
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{passed} {failed}\n")
            file.writelines(f"# {trouble}\n" for trouble in troubles)


def timed(program, python, timeout_s):
    start = time.monotonic()
    return program, *run(command(program, python), timeout_s), time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timeout", type=int, default=120, help="seconds for each program")
    # Many wait for a server or for a life to end: another one computes meanwhile.
    parser.add_argument("--jobs", type=int, default=2, help="programs that run at a time")
    parser.add_argument(
        "--beside",
        metavar="WORD",
        help="programs with this word in their path do little but wait: one more runs at a time, of them",
    )
    parser.add_argument("--python", default=sys.executable, help="for programs of Python")
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()

    passed = failed = skipped = 0
    troubles = []
    executor = concurrent.futures.ThreadPoolExecutor
    with executor(max_workers=max(1, arguments.jobs)) as pool, executor(max_workers=1) as beside:
        started = [
            (beside if arguments.beside and arguments.beside in each else pool).submit(
                timed, each, arguments.python, arguments.timeout
            )
            for each in arguments.programs
        ]
        for finished in concurrent.futures.as_completed(started):
            program, outcome, output, trouble, seconds = finished.result()
            print(f"--- {program}", output.rstrip("\n"), f"--- {seconds:.1f} s", sep="\n", flush=True)
            bad = outcome.failed() + outcome.lost()
            if trouble and bad == 0:
                bad = 1
            if trouble:
                troubles.append(f"{program} {trouble}")
            elif bad:
                troubles.append(f"{program}: {bad} failed")
            troubles += [f"{program}: {failure}" for failure in outcome.failures]
            passed += outcome.passed()
            skipped += outcome.skipped()
            failed += bad

    if skipped and os.environ.get("CI"):
        troubles.append(f"{skipped} skipped, which CI does not accept")
        failed += skipped
    if not arguments.programs:
        troubles.append("no test program was selected")
        failed = 1
    for trouble in troubles:
        print(f"FAILED: {trouble}")
    if skipped:
        print(f"skipped: {skipped}")
    tally(os.environ.get("HEARTH_TALLY"), passed, failed, troubles)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
