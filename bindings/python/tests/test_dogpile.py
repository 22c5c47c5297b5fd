# SPDX-License-Identifier: Apache-2.0
"""dogpile.cache on Hearth: regions, the backend by itself, its lock, on all kinds of nodes."""

import json
import pathlib
import tempfile
import threading
import unittest

import support

if support.has("dogpile.cache"):
    import hearth.dogpile
    from dogpile.cache import make_region
    from dogpile.cache.api import NO_VALUE, CachedValue
    from dogpile.cache.proxy import ProxyBackend

    hearth.dogpile.register()

SECRET = b"a secret of the tests"

#: of a value that processes make anew when it is over
LIFE_S = 0.15

#: ten threads that ask for a key until it has been made anew a few times
ASKER = """
import os, sys, threading, time
sys.path.insert(0, {tests!r})
import support
support.has("dogpile.cache")
import hearth.dogpile
from dogpile.cache import make_region
from dogpile.cache.proxy import ProxyBackend
hearth.dogpile.register()
in_background, log, life_s, rounds = {in_background!r}, {log!r}, {life_s!r}, {rounds!r}
class Marking(ProxyBackend):
    def set(self, key, value):
        self.proxied.set(key, value._replace(payload=("marked", value.payload)))
def create():
    start = time.time()
    time.sleep(0.02)  # a source that is slow: the others come meanwhile
    with open(log, "a") as file:
        file.write(f"{{start}} {{time.time()}}\\n")
    with open(log) as file:
        return len(file.readlines())
def runner(region, key, creator, mutex):
    def work():
        try:
            region.set(key, creator())
        finally:
            mutex.release()
    threading.Thread(target=work).start()
region = make_region(async_creation_runner=runner if in_background else None).configure(
    "hearth", expiration_time=life_s, wrap=[Marking],
    arguments={{"url": {url!r}, "secret": b"s" * 16, "remote_prefix": {prefix!r}, "remote_timeout_ms": 5000}})
def work(_):
    found = 0
    while found < rounds:
        value = region.get_or_create("key", create)
        number = value[1] if type(value) is tuple else value
        assert number >= found, (number, found)
        found = number
support.run_threads(10, work)
"""


class Contract(support.OnNodes):
    """The same for all nodes."""

    def arguments(self, **more):
        own = {"url": self.url, "secret": SECRET, "local_max_bytes": "1mb", "remote_timeout_ms": 5000}
        return {**own, "embedded_max_bytes": "4mb", "remote_prefix": self.id()[-100:], **more}

    def region(self, arguments=None, serializer=None, wrap=(), **settings):
        region = make_region(**(serializer or {}))
        return region.configure(
            "hearth", arguments=arguments or self.arguments(), wrap=list(wrap), **settings
        )

    def test_values(self):
        region = self.region()
        self.assertIs(region.get("key"), NO_VALUE)
        for value in (None, 1, "text", b"bytes", [1, {"a": (1, 2)}], {1, 2}, (1, 2)):
            region.set("key", value)
            for _ in range(3):
                self.assertEqual(region.get("key"), value)
                self.assertIs(type(region.get("key")), type(value))
        found = region.get("key")
        region.set("key", [1])
        region.get("key").append(2)
        self.assertEqual(region.get("key"), [1])
        self.assertIsNone(region.delete("key"))
        self.assertIsNone(region.delete("key"))
        self.assertIs(region.get("key"), NO_VALUE)
        self.assertEqual(found, (1, 2))

    def test_many(self):
        region = self.region()
        self.assertIsNone(region.set_multi({"a": 1, "b": [2]}))
        self.assertEqual(region.get_multi(["b", "c", "a"]), [[2], NO_VALUE, 1])
        self.assertEqual(
            region.get_or_create_multi(["a", "d", "e"], lambda *keys: list(keys)), [1, "d", "e"]
        )
        region.delete_multi(["a", "c", "d"])
        self.assertEqual(region.get_multi(["a", "d", "e"]), [NO_VALUE, NO_VALUE, "e"])

    def test_the_backend_by_itself(self):
        backend = self.region().backend
        self.assertIs(backend.get("key"), NO_VALUE)
        self.assertEqual(backend.get_multi(["a", "b"]), [NO_VALUE, NO_VALUE])
        for value in ("some value", CachedValue([1], {"ct": 1.5, "v": 1}), CachedValue(1, {"x": 2})):
            backend.set("key", value)
            for _ in range(3):
                self.assertEqual(backend.get("key"), value)
                self.assertIs(type(backend.get("key")), type(value))
        backend.set_serialized("key", b'{"ct": 1}|bytes')
        self.assertEqual(backend.get_serialized("key"), b'{"ct": 1}|bytes')
        backend.set_serialized_multi({"a": b"1", "b": b"2"})
        self.assertEqual(backend.get_serialized_multi(["a", "c", "b"]), [b"1", NO_VALUE, b"2"])
        backend.delete_multi(["a", "b", "c"])
        self.assertIs(backend.get("a"), NO_VALUE)

    def test_a_serializer_of_the_regions(self):
        serializer = {
            "serializer": lambda value: json.dumps(value).encode(),
            "deserializer": json.loads,
        }
        region = self.region(serializer=serializer)
        region.set("key", (1, 2))
        for _ in range(2):
            self.assertEqual(region.get("key"), [1, 2])
        self.assertEqual(type(region.backend.get_serialized("key")), bytes)

    def test_a_proxy(self):
        seen = []

        class Seeing(ProxyBackend):
            def get(self, key):
                seen.append(key)
                return self.proxied.get(key)

        region = self.region(wrap=[Seeing])
        region.set("key", 1)
        self.assertEqual((region.get("key"), seen), (1, ["key"]))

    def test_a_lock_is_made_once(self):
        made = []

        class Counting(ProxyBackend):
            def get_mutex(self, key):
                made.append(key)
                return self.proxied.get_mutex(key)

        region = self.region(wrap=[Counting], expiration_time=60)
        for _ in range(5):
            self.assertEqual([region.get_or_create(key, lambda: 7) for key in "ab"], [7, 7])
        self.assertEqual(made, ["a", "b"])

    def test_expiry_and_invalidation(self):
        region = self.region(expiration_time=0.05)
        made = iter(range(10))
        self.assertEqual(region.get_or_create("key", lambda: next(made)), 0)
        support.await_until(lambda: region.get_or_create("key", lambda: next(made)) == 1)
        region.invalidate()
        self.assertEqual(region.get_or_create("key", lambda: next(made)), 2)

    def test_the_lock(self):
        backend = self.region().backend
        mutex, other = backend.get_mutex("key"), backend.get_mutex("key")
        for _ in range(3):
            self.assertFalse(mutex.locked())
            self.assertIs(mutex.acquire(), True)
            self.assertTrue(mutex.locked() and other.locked())
            self.assertIs(mutex.acquire(False), False)
            self.assertIs(other.acquire(wait=False), False)
            self.assertIs(backend.get_mutex("another").acquire(False), True)
            mutex.release()
            self.assertFalse(mutex.locked() or other.locked())
            self.assertIs(other.acquire(False), True)
            other.release()
            backend.get_mutex("another")._cache.delete("hearth:lock:another")

    def test_a_lock_that_ran_out_is_anothers(self):
        backend = self.region(self.arguments(lock_timeout=0.05)).backend
        late, other, third = (backend.get_mutex("key") for _ in range(3))
        other._lease_s = 30
        self.assertTrue(late.acquire())
        self.assertTrue(other.acquire())
        late.release()
        self.assertFalse(third.acquire(False))
        other.release()
        self.assertTrue(third.acquire(False))

    def test_key_is_locked_while_a_creator_runs(self):
        region = self.region()
        states = []

        def create():
            states.append(region.key_is_locked("key"))
            return 1

        self.assertEqual(region.get_or_create("key", create), 1)
        states.append(region.key_is_locked("key"))
        self.assertEqual(states, [True, False])

    def test_one_creator_of_many_threads(self):
        region = self.region(expiration_time=60)
        calls, release = [], threading.Event()

        def create():
            calls.append(1)
            release.wait(20)
            return [1]

        threading.Timer(0.03, release.set).start()
        found = support.run_threads(10, lambda _: region.get_or_create("key", create))
        self.assertEqual((found, calls), ([[1]] * 10, [1]))

    def test_a_creator_in_the_background(self):
        done = threading.Event()

        def runner(region, key, creator, mutex):
            def work():
                try:
                    region.set(key, creator())
                finally:
                    mutex.release()
                    done.set()

            threading.Thread(target=work).start()

        region = make_region(async_creation_runner=runner).configure(
            "hearth", expiration_time=0.01, arguments=self.arguments()
        )
        region.set("key", "old")
        support.await_until(lambda: region.get("key") is NO_VALUE)
        self.assertEqual(region.get_or_create("key", lambda: "new"), "old")
        self.assertTrue(done.wait(20))
        self.assertEqual(region.get("key", ignore_expiration=True), "new")

    def test_creators_that_ask_for_other_keys(self):
        region = self.region()
        inner = lambda: region.get_or_create("inner", lambda: 2) + 1
        self.assertEqual(region.get_or_create("outer", inner), 3)


class Nodes(Contract):
    """What only nodes outside of the process show."""

    def ask_in_processes(self, in_background):
        """When a creator of a key that expires began and ended, of 4 processes with 10 threads each."""
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "log")
            program = ASKER.format(
                tests=str(support.HERE), url=self.url, prefix=f"{self.id()}:"[-90:], log=str(log),
                in_background=in_background, life_s=LIFE_S, rounds=4,
            )
            for result in support.run_threads(4, lambda _: support.run_python(program)):
                self.assertEqual((result.returncode, result.stderr), (0, ""))
            return [tuple(map(float, line.split())) for line in log.read_text().splitlines()]

    def assert_one_creator_for_each_expiry(self, times):
        self.assertGreaterEqual(len(times), 4)
        for (_, ended), (began, _) in zip(times, times[1:]):
            self.assertGreaterEqual(began - ended, LIFE_S)

    def test_one_creator_for_each_expiry(self):
        self.assert_one_creator_for_each_expiry(self.ask_in_processes(False))

    def test_one_creator_in_the_background_for_each_expiry(self):
        self.assert_one_creator_for_each_expiry(self.ask_in_processes(True))

    def test_without_a_secret_nothing_is_pickled(self):
        region = self.region(self.arguments(secret=None))
        for value in ([1, {"a": None}], "text", b"bytes\0", 1.5):
            try:
                region.set("key", value)
            except TypeError:
                self.assertIs(type(value), bytes)
                continue
            for _ in range(3):
                self.assertEqual(region.get("key"), value)
        with self.assertRaisesRegex(TypeError, "secret"):
            region.set("key", {1, 2})


@support.needs("dogpile.cache")
class Embedded(Contract, unittest.TestCase):
    """In the process."""

    def test_regions_are_apart(self):
        one, two = self.region(), self.region()
        one.set("key", 1)
        self.assertIs(two.get("key"), NO_VALUE)


@support.needs("dogpile.cache")
class Redis(Nodes, unittest.TestCase):
    """A Redis node."""

    server = "redis"


@support.needs("dogpile.cache")
class Memcached(Nodes, unittest.TestCase):
    """A Memcached node."""

    server = "memcached"


if __name__ == "__main__":
    support.main()
