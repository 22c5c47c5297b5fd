# SPDX-License-Identifier: Apache-2.0
"""Each verb, on all kinds of nodes."""

import gc
import time
import unittest
from datetime import timedelta

import support

import hearth


class Verbs(support.OnNodes):
    """The same for all nodes."""

    def setUp(self):
        # Each test has keys of its own, on the same node.
        self.prefix = f"{self.id()}:"[-100:]
        self.cache = self.open()
        self.addCleanup(self.cache.close)

    def open(self, **options):
        options.setdefault("remote_prefix", self.prefix)
        if self.url.startswith("redis"):  # a copy from before the node tells of changes ends once
            options.setdefault("coherence_mode", "ttl")
        return hearth.Cache.from_url(self.url, remote_timeout_ms=5000, **options)

    def test_what_is_set_is_got(self):
        for value in (b"", b"a\0b", "", "größer", 0, -1, 1.5, True, None, [], {"a": [1, None]}):
            self.cache.set("key", value)
            for _ in range(2):
                found = self.cache.get("key", "other")
                self.assertEqual(found, value)
                self.assertIs(type(found), type(value))
            self.assertTrue(self.cache.evict_local("key"))
            self.assertFalse(self.cache.evict_local("key"))
            found = self.cache.get("key", "other")
            self.assertEqual(found, value)
            self.assertIs(type(found), type(value))

    def test_what_is_not_there_is_the_default(self):
        self.assertIsNone(self.cache.get("key"))
        self.assertEqual(self.cache.get("key", 7), 7)
        self.assertIsNone(self.cache.get_value("key"))
        self.assertNotIn("key", self.cache)
        with self.assertRaises(KeyError):
            self.cache["key"]

    def test_keys_are_text_or_bytes(self):
        self.cache.set("größe", b"1")
        self.assertEqual(self.cache.get("größe".encode()), b"1")
        self.cache.set(b"\xff\0", b"2")
        self.assertEqual(self.cache.get(b"\xff\0"), b"2")
        for bad in (1, None, ("a",), bytearray(b"a"), 1.0):
            for call in (
                self.cache.get,
                self.cache.get_value,
                self.cache.delete,
                self.cache.touch,
                self.cache.mark_stale,
                self.cache.incr,
                self.cache.evict_local,
                self.cache.guard_add,
                self.cache.node_of,
                lambda key: self.cache.set(key, b""),
                lambda key: self.cache.add(key, b""),
                lambda key: self.cache.replace(key, b""),
                lambda key: self.cache.fetch(key, str),
                lambda key: self.cache.get_many([key]),
                lambda key: self.cache.delete_many([key]),
            ):
                with self.assertRaises(TypeError, msg=repr(bad)):
                    call(bad)

    def test_keys_have_1_to_32768_bytes(self):
        self.cache.set("k" * 32768, b"v")
        self.assertEqual(self.cache.get("k" * 32768), b"v")
        for bad in ("", b"", "k" * 32769, "ä" * 16385):
            for call in (self.cache.get, self.cache.delete, lambda key: self.cache.set(key, b"")):
                with self.assertRaises(hearth.InvalidArgumentError):
                    call(bad)

    def test_a_subclass_of_str_is_its_text(self):
        class Name(str):
            pass

        self.cache.set(Name("key"), b"v")
        self.assertEqual(self.cache.get(Name("key")), b"v")
        self.assertEqual(self.cache.get("key"), b"v")

    def test_add_and_replace_look_first(self):
        self.assertFalse(self.cache.replace("key", b"0"))
        self.assertTrue(self.cache.add("key", b"1"))
        self.assertFalse(self.cache.add("key", b"2"))
        self.assertEqual(self.cache.get("key"), b"1")
        self.assertTrue(self.cache.replace("key", {"n": 3}))
        self.assertEqual(self.cache.get("key"), {"n": 3})

    def test_replace_of_one_version(self):
        self.cache.set("key", b"1")
        version = self.cache.get_value("key").version
        self.assertTrue(self.cache.replace("key", b"2", if_version=version))
        self.assertFalse(self.cache.replace("key", b"3", if_version=version))
        self.assertEqual(self.cache.get("key"), b"2")
        self.assertFalse(self.cache.replace("none", b"3", if_version=version))
        for bad in (0, -1, 2**64, "1", True):
            with self.assertRaises(hearth.InvalidArgumentError):
                self.cache.replace("key", b"3", if_version=bad)

    def test_delete_tells_whether_there_was_a_value(self):
        self.cache.set("key", b"1")
        self.assertIs(self.cache.delete("key"), True)
        self.assertIs(self.cache.delete("key"), False)
        self.assertIsNone(self.cache.get("key"))
        self.cache["key"] = b"2"
        del self.cache["key"]
        with self.assertRaises(KeyError):
            del self.cache["key"]

    def test_lives(self):
        for ttl, least, most in ((10, 8000, 10000), (timedelta(minutes=1), 58000, 60000)):
            self.cache.set("key", b"1", ttl)
            left = self.cache.get_value("key", local=False).ttl_left_ms
            # The writer's clock and the reader's begin their milliseconds at different times.
            self.assertTrue(least < left <= most + 1, left)
        self.cache.set("key", b"1", None)
        self.assertIsNone(self.cache.get_value("key", local=False).ttl_left_ms)
        self.assertTrue(self.cache.touch("key", 20))
        self.assertTrue(18000 < self.cache.get_value("key", local=False).ttl_left_ms <= 20001)
        self.assertFalse(self.cache.touch("none", 20))
        for bad in ("1", True, float("nan"), float("inf"), 10**12, [1]):
            with self.assertRaises((TypeError, ValueError)):
                self.cache.set("key", b"2", bad)
        self.assertEqual(self.cache.get("key"), b"1")

    def test_marked_stale(self):
        self.cache.set("key", b"old", 60)
        self.assertTrue(self.cache.mark_stale("key"))
        self.assertIsNone(self.cache.get("key"))
        found = self.cache.get_value("key", allow_stale=True, local=False)
        self.assertEqual(found.value, b"old")
        self.assertTrue(found.stale)
        self.assertTrue(50000 < found.ttl_left_ms <= 60000)
        self.assertEqual(self.cache.fetch("key", lambda key: b"new"), b"new")
        self.assertEqual(self.cache.get("key"), b"new")
        self.assertFalse(self.cache.mark_stale("none"))
        self.cache.set("number", 1, counter=True)
        with self.assertRaises(hearth.WrongTypeError):
            self.cache.mark_stale("number")

    def test_a_life_that_is_over_before_it_begins(self):
        for ttl in (0, -1, timedelta(seconds=-5)):
            self.cache.set("key", b"1")
            self.cache.set("key", b"2", ttl)
            self.assertIsNone(self.cache.get("key"))
            self.cache.set("key", b"1")
            self.assertTrue(self.cache.touch("key", ttl))
            self.assertIsNone(self.cache.get("key"))
            self.cache.set_many({"key": b"1", "other": b"2"})
            self.cache.set_many({"key": b"1", "other": b"2"}, ttl)
            self.assertEqual(self.cache.get_many(["key", "other"]), {})

    def test_counters(self):
        with self.assertRaises(KeyError):
            self.cache.incr("count")
        self.assertEqual(self.cache.incr("count", initial=5, ttl=100), 5)
        self.assertEqual(self.cache.incr("count"), 6)
        self.assertEqual(self.cache.incr("count", 10, initial=5), 16)
        self.assertEqual(self.cache.decr("count", 2), 14)
        self.assertEqual(self.cache.get("count"), 14)
        self.assertIs(type(self.cache.get("count")), int)
        self.assertEqual(self.cache.get_many(["count"]), {"count": 14})
        self.assertEqual(self.cache.decr("count", 100), 0)
        self.cache.set("count", 2**63 - 2, counter=True)
        self.assertEqual(self.cache.incr("count"), 2**63 - 1)
        with self.assertRaises(hearth.TooLargeError):
            self.cache.incr("count")
        self.assertFalse(self.cache.add("count", 1, counter=True))
        for bad in (-1, 2**63, "1", 1.0, True):
            with self.assertRaises(hearth.InvalidArgumentError):
                self.cache.set("count", bad, counter=True)
        for bad in (2**63, 1.5, "1"):
            with self.assertRaises(hearth.InvalidArgumentError):
                self.cache.incr("count", bad)

    def test_what_is_no_counter_is_not_counted(self):
        for value in (5, b"5", "5"):
            self.cache.set("key", value)
            with self.assertRaises(hearth.WrongTypeError) as raised:
                self.cache.incr("key")
            self.assertEqual(raised.exception.key, "key")
            self.assertEqual(self.cache.get("key"), value)

    def test_digits_that_are_bytes_stay_bytes(self):
        self.cache.set("key", b"42")
        self.assertTrue(self.cache.evict_local("key"))
        self.assertEqual(self.cache.get("key"), b"42")
        self.cache.set("only here", b"42", remote=False)
        self.assertEqual(self.cache.get_value("only here").value, b"42")

    def test_many(self):
        values = {f"key{n}": (b"%d" % n, n, f"{n}", [n])[n % 4] for n in range(100)}
        values[b"bytes"] = {"a": 1}
        self.cache.set_many(values)
        self.assertEqual(self.cache.get_many([*values, "none", "none"]), values)
        for key in list(values)[::3]:
            self.cache.evict_local(key)
        self.assertEqual(self.cache.get_many(values), values)
        self.assertEqual(self.cache.delete_many([*list(values)[:50], "none"]), 50)
        self.assertEqual(self.cache.get_many(values), dict(list(values.items())[50:]))
        self.cache.set_many({})
        self.assertEqual(self.cache.get_many([]), {})
        self.assertEqual(self.cache.delete_many([]), 0)

    def test_a_value_that_cannot_be_stored_stores_none_of_many(self):
        with self.assertRaises(hearth.SerializationError):
            self.cache.set_many({"good": b"1", "bad": (1,)})
        self.assertEqual(self.cache.get_many(["good", "bad"]), {})

    def test_what_is_known_of_a_value(self):
        self.cache.set("key", {"a": 1}, 100)
        known = self.cache.get_value("key", local=False)
        self.assertEqual((known.value, known.absent, known.tier), ({"a": 1}, False, "remote"))
        self.assertFalse(known.stale)
        self.assertTrue(known.version > 0)
        known = support.kept(lambda: self.cache.get_value("key"))
        self.assertTrue(0 <= known.staleness_bound_ms < 60000)
        self.assertTrue(98000 < known.ttl_left_ms <= 100000 or self.server)
        self.assertIsNone(self.cache.get_value("key", local=False, remote=False))

    def test_a_stale_value_is_an_answer_to_who_asks_for_it(self):
        self.cache.set("key", b"1", 1000, stale=999.99)
        support.await_until(lambda: self.cache.get("key") is None)
        self.assertIsNone(self.cache.get_value("key"))
        known = self.cache.get_value("key", allow_stale=True)
        self.assertEqual((known.value, known.stale), (b"1", True))

    def test_stale_is_a_part_of_the_life(self):
        for ttl, stale in ((10, 10), (10, 11), (None, 5), (10, -1), (0.001, 1)):
            with self.assertRaises(hearth.InvalidArgumentError, msg=(ttl, stale)):
                self.cache.set("key", b"1", ttl, stale=stale)
        self.assertIsNone(self.cache.get("key"))
        self.cache.set("key", b"1", 10, stale=0)
        self.assertEqual(self.cache.get("key"), b"1")

    def test_two_caches_on_one_node(self):
        if not self.server:
            return
        other = self.open(local_max_ttl_ms=1000000)
        self.addCleanup(other.close)
        self.cache.set("key", [1])
        self.assertEqual(other.get("key"), [1])
        self.cache.set("key", [2])
        support.await_until(lambda: other.get_value("key").staleness_bound_ms > 0)
        known = other.get_value("key", max_stale=0)
        self.assertEqual((known.value, known.tier), ([2], "remote"))


    # ---- tags ----

    def test_a_tag_ends_all_values_that_have_it(self):
        other = self.open()
        self.addCleanup(other.close)
        self.cache.set("one", b"1", 60, tags=["red", b"round"])
        self.cache.set_many({"two": "2", "three": {"three": 3}}, 60, tags=["red"])
        self.assertTrue(self.cache.add("four", b"4", 60, tags=["blue"]))
        self.cache.set("five", b"5", 60)
        keys = ["one", "two", "three", "four", "five"]
        everything = {"one": b"1", "two": "2", "three": {"three": 3}, "four": b"4", "five": b"5"}
        self.assertEqual(self.cache.get_many(keys), everything)
        if self.server:  # what is embedded is each cache's own
            self.assertEqual(other.get_many(keys), everything)
        self.cache.invalidate_tag("red")
        self.assertEqual(self.cache.get_many(keys), {"four": b"4", "five": b"5"})
        self.assertTrue(self.cache.replace("five", b"5", 60, tags=["blue"]))
        self.cache.invalidate_tag("blue", keep_stale=True)
        self.assertEqual(self.cache.get_many(keys), {})
        old = self.cache.get_value("four", allow_stale=True)
        self.assertEqual((old.value, old.stale), (b"4", True))

    def test_a_load_has_tags(self):
        calls = []

        def load(key):
            calls.append(key)
            return hearth.Loaded([len(calls)], tags=["own"]) if key == "two" else [len(calls)]

        self.cache.set("known", b"1", tags=["a tag"])  # a process's first load with a tag is not stored
        for _ in range(2):
            self.assertEqual(self.cache.fetch("one", load, 60, tags=["both"]), [1])
            self.assertEqual(self.cache.fetch("two", load, 60, tags=["both"]), [2])
        self.cache.invalidate_tag("own")
        self.assertEqual(self.cache.fetch("one", load, 60, tags=["both"]), [1])
        self.assertEqual(self.cache.fetch("two", load, 60, tags=["both"]), [3])
        self.cache.invalidate_tag("both")
        self.assertEqual(self.cache.fetch_many(["one", "two"], lambda keys: {}, tags=["both"]), {})

    def test_what_is_no_list_of_tags_is_refused(self):
        for tags in ("red", b"red", 7, [7]):
            with self.assertRaises((TypeError, hearth.InvalidArgumentError)):
                self.cache.set("key", b"1", tags=tags)
        many = [f"{number}" for number in range(17)]
        for tags in ([""], ["x" * 251], many, [each * 250 for each in "abcde"]):
            with self.assertRaises(hearth.InvalidArgumentError):
                self.cache.set("key", b"1", tags=tags)
        with self.assertRaises(hearth.InvalidArgumentError):
            self.cache.invalidate_tag("")
        self.assertNotIn("key", self.cache)

    # ---- the source too ----

    def test_a_namespace_has_keys_of_its_own(self):
        users, user = self.cache.namespace("users"), self.cache.namespace(b"user")
        self.cache["users1"], users["1"], user["s1"] = b"own", [1], {"n": 1}
        for _ in range(2):
            self.assertEqual((self.cache["users1"], users["1"], user["s1"]), (b"own", [1], {"n": 1}))
            for each in (users, user):
                each.evict_local("1")
                each.evict_local("s1")
        self.assertNotIn("1", self.cache)
        self.assertNotIn("s1", users)
        self.assertEqual(users.fetch("2", lambda key: [key], 60), ["2"])
        users.set_many({"3": b"3", "4": b"4"}, 60)
        self.assertEqual(
            users.get_many(["1", "2", "3", "5"]), {"1": [1], "2": ["2"], "3": b"3"}
        )
        found = users.fetch_many(["4", "5"], lambda keys: {key: key for key in keys})
        self.assertEqual(found, {"4": b"4", "5": "5"})
        self.assertTrue(users.add("6", 1, counter=True))
        self.assertEqual(users.incr("6"), 2)
        source = {}
        self.assertTrue(users.write_through("7", b"7", source.__setitem__, 60))
        self.assertEqual((source, users["7"]), ({"7": b"7"}, b"7"))
        self.assertEqual(users.delete_many(["3", "4", "9"]), 2)
        self.assertEqual(user.namespace("users")["1"], [1])
        self.assertEqual((users.name, user.name), ("users", "user"))

    def test_a_namespace_tells_its_own_figures(self):
        users, posts = self.cache.namespace("users"), self.cache.namespace("posts")
        users["1"], posts["1"] = b"one", b"other"
        for key in ("1", "1", "2"):
            users.get(key)
        found, none = users.stats(), posts.stats()
        self.assertEqual((found.writes, found.local_hits, found.local_entries), (1, 2, 1))
        self.assertGreater(found.reads, 2)
        self.assertEqual((none.writes, none.reads, none.local_entries), (1, 0, 1))
        self.assertEqual(self.cache.stats().local_hits, 2)
        self.assertIn(
            'hearth_namespace_writes_total{namespace="posts"} 1', self.cache.stats_text()
        )

    def test_a_bump_forgets_a_namespace(self):
        with self.open(coherence_version_ttl_ms=1) as other:
            one = self.cache.namespace("users")
            two = other.namespace("users") if self.server else one
            self.cache.namespace("posts")["0"] = b"stays"
            self.cache["0"] = b"own"
            bumps = (one.bump, one.clear, lambda: self.cache.bump_namespace("users"))
            for key, bump in zip("012", bumps):
                one[key] = b"old"
                self.assertEqual(two[key], b"old")
                bump()
                self.assertIsNone(one.get_value(key, allow_stale=True))
                self.assertEqual(one.fetch(key, lambda _: b"new", 60), b"new")
                support.await_until(lambda key=key: two.get(key) == b"new")
            self.assertEqual(self.cache.namespace("posts")["0"], b"stays")
            self.assertEqual(self.cache["0"], b"own")
            self.assertEqual(self.cache.stats().namespace_bumps, 3)

    def test_a_bump_makes_a_load_from_before_nobodys_who_comes_later(self):
        users = self.cache.namespace("users")

        def load(key):
            self.cache.bump_namespace("users")
            return [key]

        self.assertEqual(users.fetch("key", load, 60), ["key"])
        self.assertNotIn("key", users)

    def test_loads_of_one_key_in_two_namespaces_are_two(self):
        users, posts = self.cache.namespace("users"), self.cache.namespace("posts")
        began = []

        def slow(key):
            began.append(key)
            support.await_until(lambda: self.cache.stats().flight_waits)
            return "post"

        def work(index):
            if index == 0:
                return posts.fetch("key", slow, 60)
            support.await_until(lambda: began)
            return users.fetch("key", lambda key: [posts.fetch(key, str)], 60)

        self.assertEqual(support.run_threads(2, work), ["post", ["post"]])
        with self.assertRaises(hearth.DeadlockError):
            users.fetch("other", lambda key: self.cache.namespace("users").fetch(key, str))

    def test_all_keys_are_cleared_if_options_say_so(self):
        with self.open(coherence_clear=True, remote_prefix=self.prefix[:-5] + "clear") as cache:
            view = cache.namespace("users")
            cache["key"] = view["key"] = b"1"
            cache.clear()
            self.assertIsNone(cache.get_value("key", allow_stale=True))
            self.assertEqual(view["key"], b"1")

    def test_names_of_namespaces(self):
        for bad in ("", "a b", "a\n", "n" * 101):
            with self.assertRaises(hearth.InvalidArgumentError):
                self.cache.namespace(bad)
        for bad in (None, 1, ("a",)):
            with self.assertRaises(TypeError):
                self.cache.namespace(bad)
        self.cache.namespace("n" * 100)["key"] = b"1"
        self.assertEqual(self.cache.namespace("n" * 100)["key"], b"1")

    def test_a_write_that_changes_the_source_too(self):
        source = {}

        def write(key, value):
            source[key] = value
            self.assertIsNone(self.cache.get("key"))  # nothing old, while the source is being changed
            self.assertEqual(type(value), dict)

        self.cache.set("key", b"old")
        self.assertTrue(self.cache.write_through("key", {"a": 1}, write, 60))
        self.assertEqual((self.cache.get("key"), source), ({"a": 1}, {"key": {"a": 1}}))
        far = self.cache.get_value("key", local=False)
        self.assertTrue(50000 < far.ttl_left_ms <= 60000)

        def fail(key, value):
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            self.cache.write_through("key", b"new", fail)
        self.assertIsNone(self.cache.get("key"))  # it is not known what the source has

        def interfere(key, value):
            self.cache.set("key", b"another's")

        self.assertFalse(self.cache.write_through("key", b"new", interfere))
        self.assertEqual(self.cache.fetch("key", lambda key: b"loaded"), self.cache.get("key"))


class OnEmbedded(Verbs, unittest.TestCase):
    """In the process."""


class OnRedis(Verbs, unittest.TestCase):
    """On a Redis node."""

    server = "redis"


class OnMemcached(Verbs, unittest.TestCase):
    """On a Memcached node."""

    server = "memcached"


class Opening(unittest.TestCase):
    """Options, and the end."""

    def test_options_are_keywords(self):
        with hearth.Cache(local_max_bytes="1mb", ttl_ms=timedelta(seconds=2)) as cache:
            self.assertEqual(cache.stats().local_limit_bytes, 1 << 20)
            cache.set("key", b"1")
            self.assertTrue(1000 < cache.get_value("key").ttl_left_ms <= 2000)
        with hearth.Cache(remote_accept_foreign=True, local_max_bytes=0) as cache:
            self.assertEqual(cache.stats().local_limit_bytes, 0)

    def test_a_wrong_option_is_named(self):
        for options, word in (
            ({"local_max_byte": 1}, "local.max_bytes"),
            ({"local_max_bytes": "many"}, "local.max_bytes"),
            ({"remote_url": "http://host"}, "remote.url"),
            ({"serializer": "yaml"}, "yaml"),
            ({"serializer": "pickle"}, "secret"),
            ({"compression": "rar"}, "rar"),
            ({"on_error": "hide"}, "hide"),
            ({"options_file": "/nonexistent"}, "/nonexistent"),
        ):
            with self.assertRaises(hearth.ConfigError) as raised:
                hearth.Cache(**options)
            self.assertIn(word, str(raised.exception))
            self.assertIsInstance(raised.exception, ValueError)

    def test_options_are_listed(self):
        found = {option.keyword: option for option in hearth.options()}
        self.assertEqual(found["local_max_bytes"].name, "local.max_bytes")
        self.assertEqual(found["local_policy"].choices, ("adaptive", "s3fifo", "lru"))
        self.assertTrue(all(option.help and option.type for option in found.values()))

    def test_closed_is_closed(self):
        cache = hearth.Cache()
        cache.set("key", b"1")
        with cache:
            pass
        cache.close()
        self.assertTrue(cache.closed)
        for call in (
            lambda: cache.get("key"),
            lambda: cache.get("other"),
            lambda: cache.set("key", b"1"),
            lambda: cache.fetch("key", str),
            lambda: cache.get_many(["key"]),
            lambda: cache.delete("key"),
            cache.stats,
            cache.hot_keys,
            cache.__enter__,
        ):
            with self.assertRaises(hearth.ClosedError):
                call()

    def test_who_is_inside_is_waited_for(self):
        cache = hearth.Cache()
        inside = []

        def load(key):
            inside.append(key)
            time.sleep(0.1)
            return b"loaded"

        def work(index):
            if index == 0:
                return cache.fetch("key", load)
            support.await_until(lambda: inside)
            cache.close()
            return time.monotonic()

        self.assertEqual(support.run_threads(2, work)[0], b"loaded")

    def test_a_namespace_ends_alone_and_with_its_cache(self):
        cache = hearth.Cache(local_max_bytes="1mb", share_bytes=100000)
        with cache.namespace("users") as view:
            other = cache.namespace("users")
            view["bytes"], view["object"] = b"1", [1]
            self.assertIs(view["object"], other["object"])
        for ended in (view, other):
            self.assertTrue(ended.closed)
            for call in (
                lambda ended=ended: ended.get("bytes"),
                lambda ended=ended: ended.get("object"),
                lambda ended=ended: ended.set("bytes", b"1"),
                lambda ended=ended: ended.fetch("bytes", str),
                ended.bump,
                ended.clear,
                ended.__enter__,
            ):
                with self.assertRaises(hearth.ClosedError):
                    call()
            ended.close()
            if ended is view:
                self.assertFalse(other.closed)
                self.assertEqual((other["bytes"], other["object"]), (b"1", [1]))
                cache.close()
        with self.assertRaises(hearth.ClosedError):
            cache.namespace("users")
        with self.assertRaises(hearth.ClosedError):
            cache.clear()

    def test_a_namespace_keeps_its_cache_open(self):
        view = hearth.Cache().namespace("users")
        gc.collect()
        view["key"] = b"1"
        self.assertEqual(view["key"], b"1")

    def test_the_guard_knows_the_caches_own_keys(self):
        with hearth.Cache(guard_expected_keys=100, guard_view_ms=0) as cache:
            cache.guard_rebuild([])
            view = cache.namespace("users")
            for call in (lambda: view.guard_add("key"), lambda: view.guard_rebuild([])):
                with self.assertRaises(hearth.UnsupportedError):
                    call()
            self.assertEqual((cache.fetch("key", str), view.fetch("key", str)), (None, "key"))

    def test_a_value_sealed_for_one_namespace_is_no_others(self):
        with hearth.Cache(serializer="pickle", secret=b"s" * 32) as cache:
            codecs = [each._codec for each in (cache, cache.namespace("a"), cache.namespace("b"))]
            data, content = codecs[1].encode(b"key", {1})
            self.assertEqual(codecs[1].decode(b"key", data, content), {1})
            for other in (codecs[0], codecs[2]):
                with self.assertRaises(Exception):
                    other.decode(b"key", data, content)

    def test_closing_while_others_read(self):
        for _ in range(20):
            cache = hearth.Cache(local_max_bytes="1mb", share_bytes=100000)
            cache.set("bytes", b"1")
            cache.set("object", [1])

            def work(index, cache=cache):
                if index == 0:
                    time.sleep(0.002)
                    cache.close()
                    return
                try:
                    while True:
                        assert cache.get("bytes") == b"1"
                        assert cache.get("object") == [1]
                        cache.set("other", b"2")
                        view = cache.namespace("users")
                        assert view.get("bytes", b"2") == b"2"
                        view.set("other", b"2")
                        cache.get("none")
                except hearth.ClosedError:
                    pass

            support.run_threads(4, work)


if __name__ == "__main__":
    support.main()
