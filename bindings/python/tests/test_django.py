# SPDX-License-Identifier: Apache-2.0
"""Django's cache API on Hearth: each documented method, on all kinds of nodes, and what Django builds
on its cache."""

import asyncio
import contextlib
import inspect
import os
import pickle
import threading
import time
import unittest
import unittest.mock
import warnings

import support

MISSING_FRAMEWORK = not support.has("django")

if not MISSING_FRAMEWORK:
    import django
    from django.conf import settings
    from django.core.cache import CacheKeyWarning, caches
    from django.http import HttpResponse
    from django.template import Context, Template
    from django.test import RequestFactory, override_settings
    from django.utils.safestring import SafeString, mark_safe

    settings.configure(
        SECRET_KEY="a secret of the tests, long enough",
        CACHES={"default": {"BACKEND": "hearth.django.HearthCache"}},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        USE_TZ=True,
        ALLOWED_HOSTS=["testserver"],
    )
    django.setup()

    import hearth
    from hearth.django import HearthCache

def reversed_key(key, prefix, version):
    return f"CUSTOM-{prefix}-{version}-{key[::-1]}"


class Unpicklable:
    def __getstate__(self):
        raise pickle.PickleError("not to be pickled")


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return type(other) is Point and self.x == other.x


class Contract(support.OnNodes):
    """The same for all nodes."""

    def open(self, **params):
        options = {"remote_prefix": f"{self.id()}:"[-100:], "remote_timeout_ms": 5000}
        options.update(local_max_bytes="1mb", embedded_max_bytes="4mb")
        options.update(params.pop("OPTIONS", {}))
        return HearthCache(self.url, {"OPTIONS": options, **params})

    def setUp(self):
        self.cache = self.open()

    def fresh(self):
        """As another process sees it that keeps nothing itself."""
        return self.open(OPTIONS={"local_max_bytes": 0}) if self.server else self.cache

    # ---- values ----

    def test_values_come_back_as_they_were(self):
        values = [
            None, True, 0, -7, 1.5, "", "größe", b"a\0b", (1, [2]), {"a": {"b": {1, 2}}},
            frozenset((1, 2)), Point(3), len, Point, "x" * 5000,
        ]  # fmt: skip
        for value in values:
            self.assertIsNone(self.cache.set("key", value))
            for _ in range(3):
                found = self.cache.get("key", "other")
                self.assertEqual(found, value)
                self.assertIs(type(found), type(value))
            self.assertEqual(self.fresh().get("key", "other"), value)

    def test_what_is_got_is_a_copy(self):
        stored = {"list": [1]}
        self.cache.set("key", stored)
        stored["list"].append(2)
        first = self.cache.get("key")
        self.assertEqual(first, {"list": [1]})
        first["list"].append(3)
        for _ in range(3):
            self.assertEqual(self.cache.get("key"), {"list": [1]})
        self.assertIsNot(self.cache.get("key"), self.cache.get("key"))

    def test_pickle_errors_are_the_callers(self):
        for call in (
            lambda: self.cache.set("key", Unpicklable()),
            lambda: self.cache.add("key", Unpicklable()),
            lambda: self.cache.set_many({"key": Unpicklable()}),
            lambda: self.cache.get_or_set("key", Unpicklable),
        ):
            with self.assertRaises(pickle.PickleError):
                call()

    def test_none_is_a_value(self):
        self.cache.set("none", None)
        self.assertIsNone(self.cache.get("none", "default"))
        self.assertIn("none", self.cache)
        self.assertIs(self.cache.add("none", 1), False)
        self.assertEqual(self.cache.get_many(["none", "other"]), {"none": None})
        self.assertIsNone(self.cache.get_or_set("other", lambda: None))
        self.assertIsNone(self.cache.get("other", "default"))

    # ---- what the verbs answer ----

    def test_return_types(self):
        self.assertIsNone(self.cache.set("key", 1))
        self.assertIs(self.cache.add("key", 2), False)
        self.assertIs(self.cache.add("new", 2), True)
        self.assertIs(self.cache.has_key("key"), True)
        self.assertIs(self.cache.has_key("nothing"), False)
        self.assertIs("key" in self.cache, True)
        self.assertIs("nothing" in self.cache, False)
        self.assertIs(self.cache.touch("key"), True)
        self.assertIs(self.cache.touch("nothing"), False)
        self.assertEqual(self.cache.set_many({"a": 1, "b": 2}), [])
        self.assertEqual(self.cache.set_many({}), [])
        self.assertEqual(self.cache.get_many([]), {})
        self.assertEqual(self.cache.get_many(iter(["a", "c", "b"])), {"a": 1, "b": 2})
        self.assertIsNone(self.cache.delete_many(["a", "c"]))
        self.assertIsNone(self.cache.delete_many([]))
        self.assertEqual(self.cache.get_many(["a", "b"]), {"b": 2})
        self.assertIs(self.cache.delete("b"), True)
        self.assertIs(self.cache.delete("b"), False)
        self.assertIsNone(self.cache.clear())
        self.assertIsNone(self.cache.close())
        self.assertEqual(self.cache.get("key", "gone"), "gone")

    def test_numbers(self):
        self.cache.set("n", 41)
        self.assertEqual(self.cache.incr("n"), 42)
        self.assertEqual(self.cache.incr("n", 10), 52)
        self.assertEqual(self.cache.get("n"), 52)
        self.assertEqual(self.cache.incr("n", -10), 42)
        self.assertEqual(self.cache.decr("n", 43), -1)
        self.assertEqual(self.fresh().get("n"), -1)
        self.cache.set("n", 2**70)
        self.assertEqual(self.cache.incr("n"), 2**70 + 1)
        self.cache.set("n", 1.5)
        self.assertEqual(self.cache.incr("n", 0.25), 1.75)
        for call in (self.cache.incr, self.cache.decr):
            with self.assertRaisesRegex(ValueError, "Key 'nothing' not found"):
                call("nothing")
        self.cache.set("text", "a")
        with self.assertRaises(TypeError):
            self.cache.incr("text")

    def test_an_increment_keeps_the_life(self):
        self.cache.set("n", 1, timeout=0.3)
        self.cache.set("forever", 1, timeout=None)
        self.cache.incr("n")
        self.cache.incr("forever")
        support.await_until(lambda: self.cache.get("n") is None, 5)
        self.assertEqual(self.cache.get("forever"), 2)

    def test_no_increment_is_lost(self):
        self.cache.set("n", 0)
        support.run_threads(4, lambda _: [self.cache.incr("n") for _ in range(25)])
        self.assertEqual(self.cache.get("n"), 100)

    def test_get_or_set(self):
        self.assertEqual(self.cache.get_or_set("a", 1), 1)
        self.assertEqual(self.cache.get_or_set("a", 2), 1)
        self.assertEqual(self.cache.get_or_set("b", lambda: "made"), "made")
        self.assertEqual(self.cache.get_or_set("c", 5, timeout=0), 5)
        self.assertIsNone(self.cache.get("c"))
        self.assertEqual(self.cache.get_or_set("a", 3, version=2), 3)
        with self.assertRaises(TypeError):
            self.cache.get_or_set("d")
        with self.assertRaises(ZeroDivisionError):
            self.cache.get_or_set("d", lambda: 1 // 0)
        self.assertNotIn("d", self.cache)

    def test_one_caller_makes_the_value(self):
        calls, release = [], threading.Event()

        def make():
            calls.append(1)
            release.wait(20)
            return [len(calls)]

        threading.Timer(0.05, release.set).start()
        found = support.run_threads(8, lambda _: self.cache.get_or_set("slow", make))
        self.assertEqual(found, [[1]] * 8)
        self.assertEqual(len(calls), 1)
        self.assertEqual(len({id(each) for each in found}), 8)

    # ---- times ----

    def test_a_timeout_of_zero_or_less_is_over_at_once(self):
        for timeout in (0, -1, -0.5):
            self.cache.set("a", 1)
            self.cache.set("a", 2, timeout=timeout)
            self.assertIsNone(self.cache.get("a"))
            self.assertIs(self.cache.add("b", 1, timeout=timeout), True)
            self.assertIsNone(self.cache.get("b"))
            self.assertEqual(self.cache.set_many({"c": 1}, timeout=timeout), [])
            self.assertIsNone(self.cache.get("c"))
            self.cache.set("d", 1)
            self.assertIs(self.cache.add("d", 1, timeout=timeout), False)
            self.assertIs(self.cache.touch("d", timeout=timeout), True)
            self.assertIsNone(self.cache.get("d"))
            self.assertIs(self.cache.touch("d", timeout=timeout), False)

    def test_lives(self):
        for timeout in (None, 60 * 60 * 24 * 31, 10**12, float("inf"), 0.9, 100):
            self.cache.set("a", 1, timeout)
            self.assertIs(self.cache.add("b", 1, timeout), True)
            self.assertIs(self.cache.touch("a", timeout), True)
            self.assertEqual(self.cache.set_many({"c": 1}, timeout), [])
            self.assertEqual(self.fresh().get_many("abc"), {"a": 1, "b": 1, "c": 1})
            self.cache.delete_many("abc")

    def test_a_fraction_of_a_second_is_one(self):
        self.cache.set("a", 1, 0.2)
        self.cache.set("b", 1, 100)
        self.cache.touch("b", 0.2)
        start = time.monotonic()
        self.assertEqual(self.cache.get_many("ab"), {"a": 1, "b": 1})
        support.await_until(lambda: not self.cache.get_many("ab"), 5)
        self.assertGreater(time.monotonic() - start, 0.1)

    def test_the_default_timeout(self):
        for timeout, lives in ((0, False), (None, True), (300, True)):
            cache = self.open(TIMEOUT=timeout)
            cache.set("key", 1)
            self.assertEqual(cache.get("key"), 1 if lives else None)

    # ---- keys ----

    def test_versions(self):
        second = self.open(VERSION=2)
        self.cache.set("key", "one")
        self.assertIsNone(second.get("key"))
        self.assertEqual(second.get("key", version=1), "one")
        second.set("key", "two")
        self.assertEqual(self.cache.get("key"), "one")
        self.assertEqual(self.cache.get("key", version=2), "two")
        self.assertEqual(self.cache.get_many(["key"], version=2), {"key": "two"})
        self.assertIs(self.cache.delete("key", version=2), True)
        self.assertEqual(self.cache.incr_version("key"), 2)
        self.assertIsNone(self.cache.get("key"))
        self.assertEqual(second.get("key"), "one")
        self.assertEqual(second.decr_version("key"), 1)
        self.assertEqual(self.cache.get("key"), "one")
        for call in (self.cache.incr_version, self.cache.decr_version):
            with self.assertRaises(ValueError):
                call("nothing")
        self.cache.set("n", 1, version=3)
        self.assertEqual(self.cache.incr("n", version=3), 2)
        with self.assertRaises(ValueError):
            self.cache.incr("n")

    def test_prefixes_and_key_functions(self):
        prefixed = self.open(KEY_PREFIX="p")
        custom = self.open(KEY_FUNCTION=reversed_key)
        by_path = self.open(KEY_FUNCTION=f"{__name__}.reversed_key")
        self.cache.set("key", 1)
        self.assertIsNone(prefixed.get("key"))
        self.assertIsNone(custom.get("key"))
        custom.set("key", 2)
        self.assertEqual(by_path.get("key"), 2)
        self.assertEqual(self.cache.get("key"), 1)
        self.assertEqual(custom.get_many(["key"]), {"key": 2})
        self.assertEqual(custom.make_key("ab"), "CUSTOM--1-ba")

    def test_what_keys_are_made_of_may_change(self):
        def set_and_get(value):
            self.cache.set("key", value)
            for _ in range(3):
                self.assertEqual(self.cache.get("key"), value)

        changes = [("version", 2), ("key_prefix", "p"), ("key_func", reversed_key)]
        before = [getattr(self.cache, name) for name, _ in changes]
        set_and_get(0)
        for number, (name, value) in enumerate(changes, 1):
            setattr(self.cache, name, value)
            self.assertIsNone(self.cache.get("key"))
            set_and_get(number)
        for (name, _), value in zip(changes, before):
            setattr(self.cache, name, value)
        self.assertEqual(self.cache.get("key"), 0)
        self.cache.make_key = lambda key, version=None: f"own:{key}"
        self.assertIsNone(self.cache.get("key"))
        set_and_get(4)
        for key in (1, True, 1.0):
            self.cache.set(key, repr(key))
        for key in (1, True, 1.0) * 2:
            self.assertEqual(self.cache.get(key), repr(key))

    def test_what_a_subclass_has_of_its_own_counts(self):
        class Loud(HearthCache):
            def get(self, key, default=None, version=None):
                return super().get(key.lower(), default, version)

        class Strict(HearthCache):
            def validate_key(self, key):
                if "bad" in key:
                    raise ValueError(key)
                super().validate_key(key)

        class Apart(HearthCache):
            def make_key(self, key, version=None):
                return super().make_key(f"{self.tenant}:{key}", version)

        loud, strict, apart = (kind(kind.__name__, {}) for kind in (Loud, Strict, Apart))
        loud.set("key", 1)
        strict.set("key", 2)
        for _ in range(3):
            self.assertEqual(loud.get("KEY"), 1)
            self.assertEqual(strict.get("key"), 2)
            with self.assertRaises(ValueError):
                strict.get("bad")
        for tenant in "ab" * 3:
            apart.tenant = tenant
            apart.set("key", tenant)
            self.assertEqual([apart.get("key") for _ in range(3)], [tenant] * 3)

    def test_get_may_be_replaced(self):
        self.cache.set("key", 1)
        self.assertEqual([self.cache.get("key") for _ in range(3)], [1] * 3)
        real = self.cache.get
        self.assertEqual(str(inspect.signature(real)), "(key, default=None, version=None)")
        with unittest.mock.patch.object(self.cache, "get", lambda key: 2):
            self.assertEqual(self.cache.get("key"), 2)
        self.assertEqual((self.cache.get("key"), real("key")), (1, 1))

    def test_all_ways_to_call_get(self):
        self.cache.set("key", 1)
        self.cache.set("key", 2, version=2)
        get = self.cache.get
        for _ in range(3):
            self.assertEqual((get("key"), get("key", 7), get("key", default=7), get(key="key")), (1,) * 4)
            self.assertEqual((get("key", 7, 2), get("key", version=2), get("key", None, None)), (2, 2, 1))
            self.assertEqual((get("no"), get("no", 7), get("no", default=7), get("no", 7, 2)), (None, 7, 7, 7))
        with self.assertRaises(TypeError):
            get()
        with self.assertRaises(TypeError):
            get("key", 1, 1, 1)

    def test_a_hit_is_never_of_the_past(self):
        values = ["text", ["a", ["b"]], {"list": [1], "dict": {}}, (1, [2]), 7] * 2
        for value in values:
            self.cache.set("key", value)
            for _ in range(4):
                found = self.cache.get("key")
                self.assertEqual(found, value)
                if type(found) is dict:
                    found["list"].append(2)
                    found["dict"]["more"] = 1
                elif type(found) is list:
                    found[1].append("c")
            self.cache.delete("key")
            self.assertIsNone(self.cache.get("key"))
        for number in range(5):
            self.cache.set("key", number)
            self.assertEqual([self.cache.get("key") for _ in range(3)], [number] * 3)
            self.cache.clear()
            self.assertIsNone(self.cache.get("key"))

    def test_what_is_remembered_is_bounded(self):
        cache = self.open(KEY_PREFIX="bounded", OPTIONS={"share_bytes": 100000})
        for number in range(200):
            cache.set(f"key{number}", "v" * 3000)
            for _ in range(3):
                self.assertEqual(cache.get(f"key{number}"), "v" * 3000)
        self.assertLess(len(cache._table), 40)

    def test_a_prefix_that_is_a_propertys(self):
        tenant = ["one"]

        class OfTenants(HearthCache):
            @property
            def key_prefix(self):
                return tenant[0]

            @key_prefix.setter
            def key_prefix(self, value):
                pass

        options = {"remote_prefix": f"{self.id()}:"[-100:], "remote_timeout_ms": 5000}
        cache = OfTenants(self.url, {"OPTIONS": options})
        for each in ("one", "two", "one", "two"):
            tenant[0] = each
            cache.add("key", each)
            for _ in range(3):
                self.assertEqual(cache.get("key"), each)

    def test_objects_that_are_in_a_value_twice_are_one(self):
        part = [1]
        for value in ([part, part], {"a": part, "b": [part]}):
            self.cache.set("key", value)
            for _ in range(4):
                found = self.cache.get("key")
                first, second = found if type(found) is list else (found["a"], found["b"][0])
                self.assertIs(first, second)
                first.append(2)

    def test_a_clear_is_of_this_prefix_only(self):
        other = self.open(KEY_PREFIX="other")
        third = self.open(VERSION=3)
        for cache in (self.cache, other, third):
            cache.set("key", 1)
            self.assertEqual(cache.get("key"), 1)
        self.cache.clear()
        self.assertIsNone(self.cache.get("key"))
        self.assertIsNone(third.get("key"))
        self.assertEqual(other.get("key"), 1)
        self.assertIsNone(self.fresh().get("key"))
        self.cache.set("key", 2)
        self.assertEqual(self.cache.get("key"), 2)
        other.clear()
        self.assertEqual(self.cache.get("key"), 2)

    def test_keys_that_memcached_would_refuse_are_warned_of(self):
        for key, text in (("key with blanks", "characters"), ("k" * 251, "longer"), ("a\0", "char")):
            calls = [
                lambda: self.cache.set(key, 1),
                lambda: self.cache.add(key, 1),
                lambda: self.cache.get(key),
                lambda: self.cache.get_many([key, "b"]),
                lambda: self.cache.set_many({key: 1, "b": 2}),
                lambda: self.cache.incr(key),
                lambda: self.cache.touch(key),
                lambda: self.cache.delete(key),
                lambda: self.cache.delete_many([key, "b"]),
            ]
            for at, call in enumerate(calls):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    call()
                self.assertEqual([each.category for each in caught], [CacheKeyWarning], at)
                self.assertIn(text, str(caught[0].message))

    def test_keys_are_what_str_makes_of_them(self):
        self.cache.set(7, "number")
        self.assertEqual(self.cache.get("7"), "number")
        self.assertEqual(self.cache.get_many([7]), {7: "number"})

    # ---- an event loop ----

    def test_async(self):
        cache = self.cache

        async def all_of_them():
            self.assertIsNone(await cache.aset("key", [1]))
            self.assertEqual(await cache.aget("key"), [1])
            self.assertEqual(await cache.aget("key"), [1])
            self.assertEqual(await cache.aget("nothing", 5), 5)
            self.assertIs(await cache.aadd("key", 1), False)
            self.assertIs(await cache.ahas_key("key"), True)
            self.assertIs(await cache.atouch("key", 10), True)
            self.assertEqual(await cache.aset_many({"a": 1, "b": 2}), [])
            self.assertEqual(await cache.aget_many(["a", "b", "c"]), {"a": 1, "b": 2})
            self.assertEqual(await cache.aincr("a"), 2)
            self.assertEqual(await cache.adecr("a", 3), -1)
            self.assertEqual(await cache.aincr_version("a"), 2)
            self.assertEqual(await cache.adecr_version("a", version=2), 1)
            self.assertIsNone(await cache.adelete_many(["a", "b"]))
            self.assertIs(await cache.adelete("key"), True)
            self.assertEqual(await cache.aget_or_set("d", lambda: 7), 7)
            self.assertEqual(await cache.aget_or_set("d", 8), 7)
            self.assertEqual(await cache.aget_or_set("e", 8, timeout=0), 8)
            self.assertIsNone(await cache.aclear())
            self.assertIsNone(await cache.aget("d"))
            self.assertIsNone(await cache.aclose())

        asyncio.run(all_of_them())

    def test_one_task_makes_the_value(self):
        calls, asked = [], []

        async def ask():
            all_ask = asyncio.Event()

            async def make():
                calls.append(1)
                await all_ask.wait()
                return [1]

            async def one():
                asked.append(1)
                if len(asked) == 5:
                    all_ask.set()
                return await self.cache.aget_or_set("a", make)

            return await asyncio.gather(*(one() for _ in range(5)))

        found = asyncio.run(ask())
        self.assertEqual((found, len(calls)), ([[1]] * 5, 1))
        self.assertEqual(len({id(each) for each in found}), 5)
        self.assertEqual(self.cache.get("a"), [1])


class Nodes(Contract):
    """What only nodes outside of the process show."""

    def test_another_process_reads_and_clears(self):
        other = self.fresh()
        self.cache = self.open(OPTIONS={"local_max_ttl_ms": 50})
        self.cache.set("key", [1])
        self.assertEqual(other.get("key"), [1])
        other.clear()
        support.await_until(lambda: self.cache.get("key") is None)
        self.cache.set("key", [2])
        self.assertEqual(other.get("key"), [2])

    def test_what_is_signed_with_another_secret_is_a_miss(self):
        self.cache.set("key", "value")
        with override_settings(
            SECRET_KEY="new", SECRET_KEY_FALLBACKS=["a secret of the tests, long enough"]
        ):
            self.assertEqual(self.open().get("key"), "value")
        with override_settings(SECRET_KEY="another secret, as long as that"):
            self.assertIsNone(self.open().get("key"))

    def test_a_node_that_is_gone(self):
        node = support.Server(self.server)
        self.addCleanup(node.end)
        options = {"local_max_bytes": 0, "remote_timeout_ms": 5000}
        cache = HearthCache(node.url, {"OPTIONS": options})
        quiet = HearthCache(node.url, {"OPTIONS": {**options, "on_error": "ignore"}})
        cache.set("key", 1)
        self.assertEqual(quiet.get("key"), 1)
        node.stop()
        with self.assertLogs("hearth"):
            self.assertEqual(cache.get("key", "default"), "default")
            self.assertEqual(cache.get_or_set("key", lambda: 5), 5)
            with self.assertRaises(OSError):
                cache.set("key", 2)
            self.assertIsNone(quiet.set("key", 2))
            self.assertIs(quiet.add("key", 2), False)
            for call in (cache.clear, quiet.clear, lambda: quiet.delete("key")):
                with self.assertRaises(OSError):
                    call()
            for each in (cache, quiet):
                for call in (each.incr, each.decr):
                    with self.assertRaises(hearth.NodeError):
                        call("key")
                for call in (each.aincr, each.adecr):
                    with self.assertRaises(hearth.NodeError):
                        asyncio.run(call("key"))

    def test_a_number_is_there_after_its_node_was_not_reached(self):
        node = support.Server(self.server)
        self.addCleanup(node.end)
        # Other options: not the same cache.
        first = HearthCache(node.url, {"OPTIONS": {"remote_timeout_ms": 5000}})
        first.set("n", 1)
        late = HearthCache(node.url, {"OPTIONS": {"remote_timeout_ms": 5001}})
        with node.unreachable(), self.assertLogs("hearth"):
            self.assertIsNone(late.get("n"))
            with self.assertRaises(hearth.NodeError):
                late.incr("n")
        sums = []

        def is_added():
            with contextlib.suppress(hearth.NodeError):
                sums.append(late.incr("n"))
            return bool(sums)

        support.await_until(is_added)
        self.assertEqual(sums, [2])
        with self.assertRaises(ValueError):
            late.incr("nothing")
        self.assertEqual(first.incr("n"), 3)


@support.needs("django")
class Embedded(Contract, unittest.TestCase):
    """In the process."""


@support.needs("django")
class Redis(Nodes, unittest.TestCase):
    """A Redis node."""

    server = "redis"

    def test_a_planted_value_is_a_miss(self):
        import redis

        self.cache.set("key", "mine")
        self.cache.set("other", "other's")
        direct = redis.Redis(unix_socket_path=self.node.socket)
        names = {each.rsplit(b":", 1)[1]: each for each in direct.keys(f"*{self._testMethodName}:*:1:*")}
        for planted in (direct.get(names[b"other"]), b"planted", b"5"):
            direct.set(names[b"key"], planted)
            self.assertIsNone(self.fresh().get("key"))


@support.needs("django")
class Memcached(Nodes, unittest.TestCase):
    """A Memcached node."""

    server = "memcached"

    def test_what_is_too_large_leaves_nothing_old(self):
        self.cache.set("key", "small")
        with self.assertRaises(hearth.TooLargeError):
            self.cache.set("key", os.urandom(1 << 21))
        self.assertIsNone(self.cache.get("key"))


@support.needs("django")
class Locations(unittest.TestCase):
    """What LOCATION may be."""

    def test_addresses(self):
        from hearth._pickled import url_of

        for location, url in (
            ("", "embedded://"),
            ("redis://a:1/2", "redis://a:1/2"),
            (["redis://u:p@a:1/2", "redis://b:3/2"], "redis://u:p@a:1,b:3/2"),
            ("127.0.0.1:11211", "memcached://127.0.0.1:11211"),
            ("a:1;b:2", "memcached://a:1,b:2"),
            (["a:1", "b:2"], "memcached://a:1,b:2"),
            ("unix:/tmp/m", "memcached+unix:///tmp/m"),
        ):
            self.assertEqual(url_of(location)[0], url, location)
        self.assertEqual(url_of("unique-snowflake"), ("embedded://", "unique-snowflake"))
        with self.assertRaises(hearth.ConfigError):
            url_of(["redis://a", "memcached://b"])

    def test_stores_in_the_process_have_names(self):
        one, two = HearthCache("one", {}), HearthCache("two", {})
        one.set("key", 1)
        self.assertIsNone(two.get("key"))
        self.assertEqual(HearthCache("one", {"OPTIONS": {"MAX_ENTRIES": 5}}).get("key"), 1)

    def test_a_wrong_option_is_refused(self):
        with self.assertRaisesRegex(hearth.ConfigError, "local_max_byte"):
            HearthCache("", {"OPTIONS": {"local_max_byte": 1}})


@support.needs("django")
class InDjango(unittest.TestCase):
    """What Django builds on its cache."""

    def setUp(self):
        self.cache = caches["default"]
        self.cache.clear()

    def test_all_threads_share_the_store(self):
        self.cache.set("key", 1)
        found = support.run_threads(2, lambda _: (caches["default"], caches["default"].get("key")))
        self.assertEqual([each[1] for each in found], [1, 1])
        self.assertIsNot(found[0][0], self.cache)

    def test_requests_leave_it_open(self):
        from django.core.signals import request_finished

        self.cache.set("key", 1)
        request_finished.send(self.__class__)
        self.assertEqual(self.cache.get("key"), 1)

    def test_sessions(self):
        from django.contrib.sessions.backends.cache import SessionStore

        session = SessionStore()
        session["user"] = 7
        session.save()
        again = SessionStore(session.session_key)
        self.assertEqual(again["user"], 7)
        again.flush()
        self.assertFalse(again.exists(session.session_key))

    def test_fragments(self):
        template = Template(
            "{% load cache %}{% cache 60 part user %}{{ made }}{% endcache %}"
        )
        for made, user, shown in (("<1>", 1, "&lt;1&gt;"), ("2", 1, "&lt;1&gt;"), ("3", 2, "3")):
            self.assertEqual(template.render(Context({"made": made, "user": user})), shown)
        self.cache.set("safe", mark_safe("<b>"))
        for _ in range(2):
            self.assertIs(type(self.cache.get("safe")), SafeString)

    def test_pages(self):
        from django.views.decorators.cache import cache_page

        made = []

        @cache_page(60)
        def view(request):
            made.append(1)
            return HttpResponse(f"page {len(made)}", headers={"X-Own": "yes"})

        factory = RequestFactory()
        for _ in range(3):
            page = view(factory.get("/page"))
            self.assertEqual((page.content, page["X-Own"]), (b"page 1", "yes"))
        self.assertEqual(view(factory.get("/other")).content, b"page 2")
        self.assertIn("max-age", page["Cache-Control"])


if __name__ == "__main__":
    support.main()
