#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the tests see what they are there to see: each patch in tests/mutations/ breaks one thing, and the test
that the patch names must fail.

A patch is a text that says what is broken, with a line `Caught by: PROGRAM: TEST`, and a diff of one file. Line
numbers mean nothing: the old lines of each hunk must be in the file exactly once. `--refresh` writes the patches
anew, with today's line numbers and as little context as is unique.

Each patch is applied to a copy of the tree that is whole otherwise. One that does not apply, does not compile, or is not noticed
is a failure. The last line is `N passed, N failed`, alone.
"""

import argparse
import concurrent.futures
import difflib
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from run import RESULT, environment, stop_group, tally

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATCHES = ROOT / "tests" / "mutations"
SOURCES = ("Makefile", "include", "sdk", "tests", "bench")
TEST_TIMEOUT_S = 120
BUILD_TIMEOUT_S = 600
CHECKER_READS = "200000"  # of tests/coherence/test_checker, which finds what it finds by chance
SIMULATED_SEEDS = "1000"  # of tests/simulation/test_simulation: any of them may be the one

CAUGHT_BY = re.compile(r"^Caught by: (\S+): (\w+)$", re.MULTILINE)
DIFF = re.compile(r"^--- a/(\S+)\n\+\+\+ b/\1\n", re.MULTILINE)


class Broken(Exception):
    """What is wrong with a patch."""


class Patch:
    def __init__(self, path):
        self.path = path
        text = path.read_text(encoding="utf-8")
        caught_by = CAUGHT_BY.search(text)
        diffs = list(DIFF.finditer(text))
        if not caught_by or len(diffs) != 1:
            raise Broken("is no patch of one file with a line `Caught by: PROGRAM: TEST`")
        self.program, self.test = caught_by.groups()
        self.says = text[: diffs[0].start()]
        self.file = diffs[0].group(1)
        self.hunks = [hunk_of(lines) for lines in split_hunks(text[diffs[0].end() :])]

    def apply(self, old):
        """The text of the file, broken."""
        text = old
        for before, after in self.hunks:
            times = ("\n" + text).count("\n" + before)
            if times != 1:
                raise Broken(f"does not apply: its old lines are {times} times in {self.file}")
            text = ("\n" + text).replace("\n" + before, "\n" + after)[1:]
        return text

    def refresh(self, old):
        """The patch as text, with the least context that is unique."""
        new = self.apply(old)
        for context in range(10):
            lines = difflib.unified_diff(
                old.splitlines(True), new.splitlines(True), f"a/{self.file}", f"b/{self.file}", n=context
            )
            text = self.says + "".join(lines)
            hunks = [hunk_of(lines) for lines in split_hunks(DIFF.split(text)[2])]
            if all(("\n" + old).count("\n" + before) == 1 for before, _ in hunks):
                return text
        raise Broken("needs more context than ten lines")


def split_hunks(text):
    return [hunk.splitlines(True)[1:] for hunk in re.split(r"^(?=@@ )", text, flags=re.MULTILINE) if hunk]


def hunk_of(lines):
    """A hunk's lines as (text before, text after)."""
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    return before, after


class Tree:
    """A copy of the tree, with what is built of it."""

    def __init__(self, path, out, origin=ROOT):
        self.path = path
        self.out = path / out
        path.mkdir()
        for name in SOURCES:
            copy = shutil.copytree if (origin / name).is_dir() else shutil.copy2
            copy(origin / name, path / name)
        if (origin / out).is_dir():
            shutil.copytree(origin / out, self.out, symlinks=True)

    def build(self, programs):
        make = os.environ.get("MAKE", "make").split()
        command = make + ["-C", str(self.path)] + [str(self.out.relative_to(self.path) / name) for name in programs]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BUILD_TIMEOUT_S, text=True, check=False
        )
        if done.returncode != 0:
            raise Broken("does not compile:\n" + done.stdout)

    def verdict(self, program, test):
        """What becomes of the test: OK, FAILED, or how the program ended before it did; does not wait for the rest."""
        process = subprocess.Popen(
            [self.out / program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in environment().items() if name != "HEARTH_LONG"}
            | {"HEARTH_OPS": CHECKER_READS, "HEARTH_SEEDS": SIMULATED_SEEDS},
            start_new_session=True,
        )
        timer = threading.Timer(TEST_TIMEOUT_S, stop_group, (process.pid,))
        timer.start()
        last, running = "", False
        try:
            for line in process.stdout:
                found = RESULT.search(line.decode(errors="replace"))
                if found and found.group(2) == test:
                    last, running = found.group(1), True
                    if last != "RUN":
                        return last
            if running:
                return "FAILED"  # the program ended, or was ended, within the test
            return f"not run: {program} has no such test, or ended before it"
        finally:
            timer.cancel()
            stop_group(process.pid)
            process.wait()


def load(words):
    """The patches whose names contain one of the words, and what is wrong with the others."""
    patches, wrong = [], []
    for path in sorted(PATCHES.glob("*.patch")):
        if words and not any(word in path.stem for word in words):
            continue
        try:
            patches.append(Patch(path))
        except Broken as reason:
            wrong.append(f"{path.stem} {reason}")
    return patches, wrong


def try_patch(tree, patch):
    """Breaks the copy, looks whether the test notices, and mends the copy."""
    file = tree.path / patch.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(patch.apply(whole), encoding="utf-8")
    try:
        tree.build([patch.program])
        verdict = tree.verdict(patch.program, patch.test)
        if verdict not in ("FAILED", "ERROR"):
            raise Broken(f"is not caught by {patch.test}: {verdict}")
    finally:
        file.write_text(whole, encoding="utf-8")


def check_whole(tree, patches):
    """A test that fails anyhow shows nothing."""
    programs = sorted({patch.program for patch in patches})
    tree.build(programs)
    for program, test in sorted({(patch.program, patch.test) for patch in patches}):
        verdict = tree.verdict(program, test)
        if verdict != "OK":
            raise Broken(f"{program}: {test} must pass before anything is broken: {verdict}")


def try_next(tree, patches, wrong):
    """Takes patches until none is left."""
    while True:
        try:
            patch = patches.get_nowait()
        except queue.Empty:
            return
        start = time.monotonic()
        result = "caught"
        try:
            try_patch(tree, patch)
        except Broken as reason:
            wrong.append(f"{patch.path.stem} {reason}")
            result = "MISSED"
        print(f"{result}  {time.monotonic() - start:4.1f} s  {patch.path.stem}: {patch.test}", flush=True)


def try_all(patches, out, jobs, wrong):
    left = queue.SimpleQueue()
    for patch in patches:
        left.put(patch)
    with tempfile.TemporaryDirectory(prefix="hearth-mutations-") as folder:
        first = Tree(pathlib.Path(folder) / "1", out)
        check_whole(first, patches)
        others = [Tree(pathlib.Path(folder) / str(i), out, first.path) for i in range(2, jobs + 1)]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(try_next, tree, left, wrong) for tree in [first] + others]:
                done.result()


def refresh(patches, wrong):
    for patch in patches:
        try:
            text = patch.refresh((ROOT / patch.file).read_text(encoding="utf-8"))
            patch.path.write_text(text, encoding="utf-8")
        except Broken as reason:
            wrong.append(f"{patch.path.stem} {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--refresh", action="store_true", help="write the patches anew")
    parser.add_argument("--build", default="build/plain", help="where make builds")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("words", nargs="*", help="only patches whose names contain one of these")
    arguments = parser.parse_args()

    patches, wrong = load(arguments.words)
    if not patches:
        wrong.append("no patch was selected")
    elif arguments.refresh:
        refresh(patches, wrong)
    else:
        try:
            try_all(patches, arguments.build, arguments.jobs, wrong)
        except Broken as reason:
            wrong.append(str(reason))
            patches = []
    for reason in wrong:
        print(f"FAILED: {reason}")
    if not arguments.refresh:
        passed = max(0, len(patches) - len(wrong))
        tally(os.environ.get("HEARTH_TALLY"), passed, len(wrong), wrong)
        print(f"{passed} passed, {len(wrong)} failed", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
