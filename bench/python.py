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
    async-get       a hit of AsyncCache.get(), beside the same of Cache.get()
    async-remote    100 reads at once that go to the node, beside Cache.get() in the loop's executor, and
                    redis-py's own coroutines
    django-get      cache.get() of Django, a local hit, beside its LocMemCache and PyLibMCCache
    django-get-dict the same of a small dict
    dogpile-hit     get_or_create() of dogpile.cache, a hit, beside dogpile.cache.memory_pickle
    flask-memoize   a function under memoize() of Flask-Caching, a hit, beside SimpleCache; most of it is the
                    framework's own code
    flask-own-cache the same by hearth.flask_caching.Cache, which spares that
"""

import argparse
import asyncio
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
    import django
    import dogpile.cache
    import flask_caching
    import pylibmc
    import redis
    import redis.asyncio
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


#: tasks that read at once
AT_ONCE = 100


def together(loop, read):
    """All keys by coroutines, so many at once."""

    async def all_of_them():
        for start in range(0, len(KEYS), AT_ONCE):
            found = await asyncio.gather(*map(read, KEYS[start : start + AT_ONCE]))
            assert found[-1] == VALUE

    return lambda: loop.run_until_complete(all_of_them())


def async_cases(suite, redis_path, wanted):
    """AsyncCache, on one event loop."""
    url = f"redis+unix://{redis_path}"
    loop = asyncio.new_event_loop()
    if not wanted or "async-get" in wanted:
        with filled(hearth.Cache.from_url(url, local_max_ttl_ms=10**9), VALUE) as near:
            get = hearth.AsyncCache(near).get

            async def each_of_them():
                for key in KEYS:
                    await get(key)

            suite.compare(
                "async-get", lambda: loop.run_until_complete(each_of_them()), {"self-sync": walk(near.get)}
            )
    if not wanted or "async-remote" in wanted:
        with filled(hearth.Cache.from_url(url, local_max_bytes=0), VALUE) as far:
            peer = redis.asyncio.Redis(unix_socket_path=redis_path)

            async def of_executor(key):
                return await loop.run_in_executor(None, far.get, key)

            async def of_redis(key):
                return await peer.get(f"peer:{key}")

            peers = {"self-executor": together(loop, of_executor), "redis-asyncio": together(loop, of_redis)}
            suite.compare("async-remote", together(loop, hearth.AsyncCache(far).get), peers)
            loop.run_until_complete(peer.connection_pool.disconnect())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def walk_django(backend, value):
    """get() of a backend that has all keys."""
    backend.set_many(dict.fromkeys(KEYS, value), None)
    for key in KEYS:
        assert backend.get(key) == value == backend.get(key)
    return walk(backend.get)


def django_cases(suite, redis_path, memcached_path, wanted):
    """The backend of Django beside Django's own."""
    from django.conf import settings

    # Local copies live as long as those of LocMemCache do: what is measured is a hit.
    options = {"local_max_ttl_ms": 10**9, "remote_prefix": "django:"}
    backends = "django.core.cache.backends"
    settings.configure(
        SECRET_KEY="of the harness",
        CACHES={
            "default": {
                "BACKEND": "hearth.django.HearthCache",
                "LOCATION": f"redis+unix://{redis_path}",
                "OPTIONS": options,
            },
            "LocMem": {
                "BACKEND": f"{backends}.locmem.LocMemCache",
                "OPTIONS": {"MAX_ENTRIES": 10 * len(KEYS)},
            },
            "PyLibMC": {
                "BACKEND": f"{backends}.memcached.PyLibMCCache", "LOCATION": memcached_path
            },
        },
    )
    from django.core.cache import caches

    for case, value in (("django-get", VALUE.decode()), ("django-get-dict", DICT)):
        if not wanted or case in wanted:
            peers = {name: walk_django(caches[name], value) for name in ("LocMem", "PyLibMC")}
            suite.compare(case, walk_django(caches["default"], value), peers)


def dogpile_case(suite, redis_path):
    """get_or_create() of what is there."""
    import hearth.dogpile

    hearth.dogpile.register()
    arguments = {
        "url": f"redis+unix://{redis_path}", "secret": b"of the harness....",
        "local_max_ttl_ms": 10**9, "remote_prefix": "dogpile:",
    }

    def walk_region(backend, **settings):
        region = dogpile.cache.make_region().configure(backend, expiration_time=3600, **settings)

        def hit(key, make=lambda: dict(DICT)):
            return region.get_or_create(key, make)

        for key in KEYS:
            assert hit(key) == DICT == hit(key)
        return walk(hit)

    peers = {"memory_pickle": walk_region("dogpile.cache.memory_pickle")}
    suite.compare("dogpile-hit", walk_region("hearth", arguments=arguments), peers)


def flask_case(suite, redis_path):
    """A memoized function."""
    import flask
    import hearth.flask_caching

    def walk_memoize(kind, make=flask_caching.Cache, **settings):
        app = flask.Flask("harness")
        app.config.update(SECRET_KEY="of the harness", CACHE_TYPE=kind, **settings)
        cache = make(app)
        with app.app_context():

            @cache.memoize(3600)
            def profile(key):
                return dict(DICT)

            for key in KEYS:
                assert profile(key) == DICT == profile(key)

        def once():
            with app.app_context():
                for key in KEYS:
                    profile(key)

        return once

    options = {"local_max_ttl_ms": 10**9, "remote_prefix": "flask:"}
    own = {"CACHE_HEARTH_URL": f"redis+unix://{redis_path}", "CACHE_OPTIONS": options}
    ours = walk_memoize("hearth.flask_caching.HearthCache", **own)
    quick = walk_memoize("hearth.flask_caching.HearthCache", hearth.flask_caching.Cache, **own)
    theirs = walk_memoize("SimpleCache", CACHE_THRESHOLD=10 * len(KEYS))
    suite.compare("flask-memoize", ours, {"SimpleCache": theirs})
    suite.compare("flask-own-cache", quick, {"SimpleCache": theirs})


def frameworks(suite, redis_path, memcached_path, wanted):
    """What the frameworks' users wait for."""
    if not wanted or any(each.startswith("django") for each in wanted):
        django_cases(suite, redis_path, memcached_path, wanted)
    if not wanted or "dogpile-hit" in wanted:
        dogpile_case(suite, redis_path)
    if not wanted or "flask-memoize" in wanted:
        flask_case(suite, redis_path)


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
          f"{cachetools.__version__}, redis-py {redis.__version__}, pylibmc {pylibmc.__version__}, Django {django.__version__}, dogpile.cache "
          f"{dogpile.cache.__version__}, Flask-Caching {flask_caching.__version__}")
    print(f"# settings  {len(KEYS)} keys, medians of {wish.rounds} rounds"
          f"{', quick: for a look, not for a comparison' if wish.quick else ''}")
    print(f"{'suite':<7} {'case':<18} {'metric':<14} {'hearth':>12} {'unit':<9} {'peer':<14} "
          f"{'peer value':>10} {'ratio':>7}  spread")
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder, server(
        ["redis-server", "--port", "0", "--save", "", "--unixsocket"], folder, "r"
    ) as redis_path, server(["memcached", "-u", "root", "-s"], folder, "m") as memcached_path:
        suite = Suite(wish.rounds, wish.quick, out)
        cases(suite, redis_path, memcached_path, wish.case)
        async_cases(suite, redis_path, wish.case)
        frameworks(suite, redis_path, memcached_path, wish.case)
    if out:
        out.close()


if __name__ == "__main__":
    main()
