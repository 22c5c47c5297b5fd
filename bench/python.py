#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The suite `python` of the harness: the Python package beside what one would use instead.

Both sides run in this process, in turns, on the same keys; what counts is each side's median. A row is
as hearth-bench prints it: `ratio` is Hearth's value divided by the peer's, so less than 1 is better;
`spread` is half the distance between the quartiles of the rounds. The servers are on Unix sockets.

    get-local       a hit of 100 bytes, keys str, beside cachetools.LRUCache under a lock, a get of redis-py
                    and of pylibmc
    get-dict        a hit of a small dict, decoded each time (self-bytes: the hit of bytes), and shared
    cached-hit      a function under @cache.cached, its result bytes, beside cachetools.cached with a lock
    cached-dict     the same, its result a shared dict
    get-remote      a read that goes to the node, beside redis-py and pylibmc
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bindings" / "python"))

try:
    import cachetools
    import pylibmc
    import redis
except ImportError as error:
    sys.exit(f"the suite python needs its peers ({error}): run `make deps-test`, or take Debian's Python")

import hearth

VALUE = b"v" * 100
DICT = {"id": 7, "name": "Ada Lovelace", "roles": ["admin", "editor"], "score": 12.5, "on": True}
KEYS = [f"user:profile:{number:05d}" for number in range(1000)]


def answers(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@contextlib.contextmanager
def server(command, folder, name):
    """A server on a Unix socket; its path."""
    path = os.path.join(folder, name)
    process = subprocess.Popen(
        [*command, path], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(path):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with status {process.returncode}")
            time.sleep(0.01)  # nothing tells when a server listens
        yield path
    finally:
        process.kill()
        process.wait()


# ---- what is measured: each walks over all keys once -------------------------------------------


def walk(call):
    """A call with each key."""

    def once():
        for key in KEYS:
            call(key)

    return once


def walk_lru():
    """cachetools' LRU under a lock, without a function around it."""
    cache, lock = cachetools.LRUCache(100000), threading.Lock()
    for key in KEYS:
        cache[key] = VALUE

    def once():
        for key in KEYS:
            with lock:
                cache[key]

    return once


def filled(cache, value):
    """With all keys."""
    cache.set_many(dict.fromkeys(KEYS, value), None)
    for key in KEYS:
        for _ in range(2):
            assert cache.get(key) == value
    return cache


class Suite:
    """Rows, printed and written."""

    def __init__(self, rounds, quick, out):
        self.rounds, self.out = rounds, out
        self.least_s = 0.01 if quick else 0.05

    def time_of(self, once):
        """Seconds for one key."""
        turns, start = 0, time.perf_counter()
        while True:
            once()
            turns += 1
            spent = time.perf_counter() - start
            if spent >= self.least_s:
                return spent / turns / len(KEYS)

    def compare(self, case, ours, peers):
        """A row for each peer: all sides in turns."""
        sides = {"": ours, **peers}
        for once in sides.values():
            once()
        times = {name: [] for name in sides}
        for _ in range(self.rounds):
            for name, once in sides.items():
                times[name].append(self.time_of(once))
        for name in peers:
            self.row(case, times[""], name, times[name])

    def row(self, case, ours, peer, theirs):
        """In nanoseconds for one call."""
        own, other = (statistics.median(each) * 1e9 for each in (ours, theirs))
        print(
            f"{'python':<7} {case:<18} {'time':<14} {own:12.1f} {'ns':<9} {peer:<14} "
            f"{other:10.1f} {own / other:7.3f}  {spread(ours)} {spread(theirs)}",
            flush=True,
        )
        if self.out:
            row = {
                "suite": "python", "case": case, "metric": "time", "value": own, "unit": "ns",
                "peer": peer, "peer_value": other, "ratio": own / other,
            }
            self.out.write(json.dumps(row, separators=(",", ":")) + "\n")


def spread(times):
    """Half the distance between the quartiles."""
    first, median, third = statistics.quantiles(times, n=4)
    return f"{(third - first) / 2 / median:.1%}"


def cases(suite, redis_path, memcached_path, wanted):
    """All of them, or those that are wanted."""

    def is_wanted(name):
        return not wanted or name in wanted

    peer_redis = redis.Redis(unix_socket_path=redis_path)
    peer_memcached = pylibmc.Client([memcached_path], binary=False)
    for key in KEYS:
        peer_redis.set(f"peer:{key}", VALUE)
        peer_memcached.set(f"peer:{key}", VALUE)

    def get_redis(key, get=peer_redis.get):
        return get(f"peer:{key}")

    def get_memcached(key, get=peer_memcached.get):
        return get(f"peer:{key}")

    remote = {"redis-py": walk(get_redis), "pylibmc": walk(get_memcached)}
    url = f"redis+unix://{redis_path}"
    local = filled(hearth.Cache.from_url(url, local_max_ttl_ms=10**9), VALUE)
    if is_wanted("get-local"):
        suite.compare("get-local", walk(local.get), {"cachetools": walk_lru(), **remote})
    if is_wanted("get-dict"):
        with filled(hearth.Cache(), DICT) as plain, filled(
            hearth.Cache(share_bytes=1 << 24), DICT
        ) as sharing:
            suite.compare("get-dict", walk(plain.get), {"self-bytes": walk(local.get)})
            suite.compare("get-shared-dict", walk(sharing.get), {"self-bytes": walk(local.get)})
    if is_wanted("cached-hit"):
        ours = local.cached(None, key="cached:{key}")(lambda key: VALUE)
        theirs = cachetools.cached(cachetools.LRUCache(100000), lock=threading.Lock())(
            lambda key: VALUE
        )
        suite.compare("cached-hit", walk(ours), {"cachetools": walk(theirs)})
    if is_wanted("cached-dict"):
        with hearth.Cache(share_bytes=1 << 24) as sharing:
            ours = sharing.cached(None, key="cached:{key}")(lambda key: dict(DICT))
            theirs = cachetools.cached(cachetools.LRUCache(100000), lock=threading.Lock())(
                lambda key: dict(DICT)
            )
            suite.compare("cached-dict", walk(ours), {"cachetools": walk(theirs)})
    if is_wanted("get-remote"):
        with filled(hearth.Cache.from_url(url, local_max_bytes=0), VALUE) as far:
            suite.compare("get-remote", walk(far.get), remote)
    local.close()


def main():
    """The command line is that of hearth-bench."""
    parser = argparse.ArgumentParser(
        prog="python.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", help="only this one")
    parser.add_argument("--quick", action="store_true", help="shorter rounds: for a look")
    parser.add_argument("--rounds", type=int, default=7, help="5 to 99")
    parser.add_argument("--json", help="also writes each row there")
    parser.add_argument("--append", action="store_true", help="behind what is there")
    wish = parser.parse_args()
    if not 5 <= wish.rounds <= 99:
        parser.error("--rounds is 5 to 99")
    out = open(wish.json, "a" if wish.append else "w", encoding="utf-8") if wish.json else None
    print(f"# versions  hearth {hearth.library_version}, CPython {platform.python_version()}, cachetools "
          f"{cachetools.__version__}, redis-py {redis.__version__}, pylibmc {pylibmc.__version__}")
    print(f"# settings  {len(KEYS)} keys, medians of {wish.rounds} rounds"
          f"{', quick: for a look, not for a comparison' if wish.quick else ''}")
    print(f"{'suite':<7} {'case':<18} {'metric':<14} {'hearth':>12} {'unit':<9} {'peer':<14} "
          f"{'peer value':>10} {'ratio':>7}  spread")
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder, server(
        ["redis-server", "--port", "0", "--save", "", "--unixsocket"], folder, "r"
    ) as redis_path, server(["memcached", "-u", "root", "-s"], folder, "m") as memcached_path:
        cases(Suite(wish.rounds, wish.quick, out), redis_path, memcached_path, wish.case)
    if out:
        out.close()


if __name__ == "__main__":
    main()
