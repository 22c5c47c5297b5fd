# SPDX-License-Identifier: Apache-2.0
"""Every Python of 3.9 and later that is on this machine runs one short program, and in the long form
the package's other tests, as far as they need nothing else."""

import glob
import os
import pathlib
import re
import subprocess
import sys
import unittest

import support

SHORT = """
import asyncio, threading, hearth
cache = hearth.Cache(share_bytes=100000)
for value in (b"1", "2", 3, [4], {"five": 5.5}, None):
    cache.set("key", value)
    for _ in range(3):
        assert cache.get("key") == value, value
assert cache.get("none", 7) == 7
assert cache.fetch("loaded", lambda key: [key]) == ["loaded"]
assert cache.fetch("loaded", None) == ["loaded"]
try:
    cache.fetch("failed", lambda key: 1 / 0)
    raise SystemExit("nothing was raised")
except ZeroDivisionError:
    pass
assert cache.get_many(["key", "loaded"]) == {"key": None, "loaded": ["loaded"]}
@cache.cached(key="f:{a}")
def f(a): return {"a": a}
assert f(1) == f(a=1) == {"a": 1} and f.invalidate(1)
@cache.cached(key="g:{a}")
async def g(a):
    await asyncio.sleep(0)
    return a
async def all_of_them():
    return await asyncio.gather(*(g(1) for _ in range(5)))
assert asyncio.run(all_of_them()) == [1] * 5
def work():
    for number in range(300):
        cache.set(f"t{number}", [number])
        assert cache.get(f"t{number}") == [number]
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert cache.stats().failed_reads == 0
cache.close()
print("done")
"""

#: programs that need no package of Debian's
PROGRAMS = ("test_verbs", "test_fetch", "test_decorator", "test_nodes", "test_prefork", "test_readme")


def pythons():
    """One of each version: on the PATH, beside this one, and of pyenv."""
    found = {}
    places = [*os.environ.get("PATH", "").split(":"), "/usr/bin", "/usr/local/bin"]
    places += glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin"))
    for place in places:
        for path in glob.glob(f"{place}/python3.*"):
            match = re.fullmatch(r"python3\.(\d+)", os.path.basename(path))
            if match and int(match.group(1)) >= 9:
                found.setdefault(int(match.group(1)), []).append(path)
    for minor, paths in sorted(found.items()):
        for path in paths:
            done = subprocess.run([path, "-c", "import ctypes"], capture_output=True)
            if done.returncode == 0:
                yield minor, path
                break


def told(done):
    """What of a program's output tells why it failed."""
    lines = [line for line in done.stdout.splitlines() if "RUN" not in line and " OK " not in line]
    return "\n".join(lines)[-2000:] + done.stderr[-2000:]


class Matrix(unittest.TestCase):
    """As many as there are."""

    def test_a_short_program_on_each(self):
        versions = dict(pythons())
        versions.setdefault(sys.version_info.minor, sys.executable)
        for minor, path in versions.items():
            with self.subTest(path):
                done = support.run_python(SHORT, python=path)
                self.assertEqual((done.stdout, done.stderr), ("done\n", ""), path)
        print("tried:", *(f"3.{minor}" for minor in versions))

    @support.long_form
    def test_the_other_tests_on_each(self):
        for minor, path in pythons():
            for program in PROGRAMS:
                with self.subTest(f"{program} on 3.{minor}"):
                    file = pathlib.Path(support.HERE, f"{program}.py")
                    done = subprocess.run(
                        [path, "-X", "dev", "-W", "error", str(file)],
                        env=support.environment(), capture_output=True, text=True, timeout=300,
                    )
                    self.assertEqual(done.returncode, 0, told(done))


if __name__ == "__main__":
    support.main()
