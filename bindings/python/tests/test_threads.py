# SPDX-License-Identifier: Apache-2.0
"""Eight threads, mixed calls on real nodes: no wrong value, no memory that is kept."""

import gc
import os
import random
import threading
import unittest

import support

import hearth

THREADS = 8
CALLS = int(os.environ.get("HEARTH_TEST_CALLS", 1_000_000 if support.LONG else 16_000))


def resident_kb():
    """Of this process, when Python has given back what it can."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class OwnError(Exception):
    """Of a loader."""


class Mixed(unittest.TestCase):
    """A value tells its key, so that one under a wrong key is seen."""

    def value_of(self, key, number):
        kind = number % 4
        if kind == 0:
            return b"%b %d" % (key.encode(), number)
        return (None, f"{key} {number}", [key, number], {"key": key, "n": number})[kind]

    def check(self, key, value):
        if value is None:
            return
        if isinstance(value, (bytes, str)):
            text = value.decode() if isinstance(value, bytes) else value
            self.assertEqual(text.split()[0], key)
        else:
            self.assertEqual(value[0] if isinstance(value, list) else value["key"], key)

    def load(self, key):
        number = random.randrange(100)
        if number < 5:
            raise OwnError(key)
        if number < 10:
            return None
        if number < 12:
            return {1, 2}
        return self.value_of(key, number)

    def step(self, cache, random_of, key):
        choice = random_of.randrange(12)
        if choice < 4:
            self.check(key, cache.get(key))
        elif choice < 6:
            try:
                self.check(key, cache.fetch(key, self.load, 60, stale=30, background=choice == 5))
            except (OwnError, hearth.SerializationError):
                pass
        elif choice == 6:
            cache.set(key, self.value_of(key, random_of.randrange(100)))
        elif choice == 7:
            cache.delete(key)
        elif choice == 8:
            keys = [f"key{random_of.randrange(300)}" for _ in range(8)]
            for each, value in cache.get_many(keys).items():
                self.check(each, value)
        elif choice == 9:
            cache.set_many({key: self.value_of(key, 1), f"{key}x": b"%b x" % f"{key}x".encode()})
        elif choice == 10:
            known = cache.get_value(key, allow_stale=True)
            self.check(key, known.value if known else None)
        else:
            cache.incr(f"count:{key}", initial=0)

    def work(self, cache, index, calls):
        random_of = random.Random(index)
        for _ in range(calls):
            self.step(cache, random_of, f"key{random_of.randrange(300)}")

    def run_on(self, url, **options):
        with hearth.Cache.from_url(
            url, remote_timeout_ms=10000, local_max_bytes="1mb", share_bytes=100000, **options
        ) as cache:
            calls = CALLS // THREADS
            support.run_threads(THREADS, lambda index: self.work(cache, index, calls // 4))
            before = resident_kb()
            for _ in range(3):
                support.run_threads(THREADS, lambda index: self.work(cache, index, calls // 4))
            after = resident_kb()
            print(f"{before} KB before, {after} KB after")
            self.assertLess(after, before * 1.02 + 512)
            stats = cache.stats()
            self.assertEqual((stats.failed_reads, stats.refused_values), (0, 0))
            self.assertLess(threading.active_count(), 8)

    def test_on_redis(self):
        node = support.Server("redis")
        self.addCleanup(node.end)
        self.run_on(node.url)

    def test_on_memcached(self):
        node = support.Server("memcached")
        self.addCleanup(node.end)
        self.run_on(node.url)

    def test_what_callers_leave_is_freed(self):
        """Caches, values, exceptions, keys: none stays behind."""

        def turn():
            with hearth.Cache(local_max_bytes="1mb", share_bytes=10000) as cache:
                for number in range(40):
                    key = f"key{number}"
                    cache.set(key, [number] * 100)
                    cache.get(key)
                    cache.fetch(f"{key} loaded", lambda key: {"key": key})
                    with self.assertRaises(OwnError):
                        cache.fetch(f"{key} failed", self.fail_to_load)
                cache.get_many([f"key{number}" for number in range(40)])

        for _ in range(20):
            turn()
        before = resident_kb()
        for _ in range(100 if support.LONG else 40):
            turn()
        self.assertLess(resident_kb(), before * 1.02 + 256)

    def fail_to_load(self, key):
        raise OwnError(key)


if __name__ == "__main__":
    support.main()
