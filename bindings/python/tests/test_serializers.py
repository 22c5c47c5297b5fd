# SPDX-License-Identifier: Apache-2.0
"""What is stored of a value, and what is taken for one."""

import collections
import datetime
import enum
import gc
import unittest
import zlib

import support

import hearth
from hearth import _copies, _library, _objects, serializers
from hearth._handle import NOTHING

SECRET = b"0123456789abcdef"


class Color(enum.IntEnum):
    """An int that would come back as a plain one."""

    RED = 1


class Touched:
    """Its pickle calls this when it is loaded."""

    loads = 0

    def __reduce__(self):
        return Touched._load, ()

    @staticmethod
    def _load():
        Touched.loads += 1
        return "run"


class Stored(unittest.TestCase):
    """Through one embedded tier that two caches share is not to be had, so raw bytes are written."""

    def open(self, **options):
        cache = hearth.Cache(**options)
        self.addCleanup(cache.close)
        return cache

    def write_raw(self, cache, key, data, content):
        """As another program would: any bytes with any content word."""
        call = cache._handle.take()
        options = call.writing(content=content)
        status = _library.lib.hearth_set(cache._address, key, len(key), data, len(data), options)
        cache._handle.give(call)
        self.assertEqual(status, 0)

    def read_raw(self, cache, key):
        call = cache._handle.take()
        status = _library.lib.hearth_get(cache._address, key, len(key), None, call.value)
        data, content = call.data(), call.informed().content
        cache._handle.give(call)
        self.assertEqual(status, 0)
        return data, content

    def test_the_content_word_says_the_format(self):
        cache = self.open()
        for value, data, content in (
            (b"\0\xff", b"\0\xff", 0),
            ("größer", "größer".encode(), 1),
            ({"b": [1, 2.5, None, True], "a": "ö"}, '{"b":[1,2.5,null,true],"a":"ö"}'.encode(), 2),
            (12345678901234567890123, b"12345678901234567890123", 2),
            (None, b"null", 2),
        ):
            cache.set("key", value)
            self.assertEqual(self.read_raw(cache, b"key"), (data, content))

    def test_json_stores_nothing_that_would_come_back_different(self):
        cache = self.open()
        circle = []
        circle.append(circle)
        deep = []
        for _ in range(100000):
            deep = [deep]
        for bad in (
            (1, 2),
            [(1,)],
            {"a": {"b": ()}},
            {1: 2},
            {None: 1},
            {True: 1},
            {1, 2},
            frozenset(),
            float("nan"),
            [float("inf")],
            b"".join,
            object(),
            [b"bytes inside"],
            bytearray(b"1"),
            datetime.datetime(2026, 1, 1),
            collections.OrderedDict(a=1),
            collections.namedtuple("N", "a")(1),
            Color.RED,
            [Color.RED],
            circle,
            deep,
            "\ud800",
            ["\ud800"],
        ):
            with self.assertRaises(hearth.SerializationError) as raised:
                cache.set("key", bad)
            self.assertIsInstance(raised.exception, TypeError)
            self.assertIsNotNone(raised.exception.__cause__)
        self.assertIsNone(cache.get_value("key"))

    def test_a_subclass_of_bytes_or_str_is_not_taken_for_one(self):
        class Own(str):
            pass

        with self.assertRaises(hearth.SerializationError):
            self.open().set("key", Own("a"))

    def test_a_format_that_is_not_accepted_is_a_counted_miss(self):
        cache = self.open()
        for count, (data, content) in enumerate(
            (
                (b"v", 77),
                (b"\x81\xa1a\x01", serializers.MSGPACK_FORMAT),
                (b"v", serializers.PICKLE_FORMAT),
                (b"{", serializers.JSON_FORMAT),
                (b"\xff", serializers.TEXT),
                (b"v", 0x0100),
                (b"v", 0x0900),
                (b"v", 0x10000),
                (b"v", 0x80000000),
            ),
            1,
        ):
            self.write_raw(cache, b"key", data, content)
            self.assertEqual(cache.get("key", 7), 7, content)
            self.assertEqual(cache.stats().refused_values, count)
            self.assertIsNone(cache.get_value("key"))
            self.assertEqual(cache.get_many(["key"]), {})
            cache._refused_values -= 2
            self.assertEqual(cache.fetch("key", lambda key: [1]), [1])
            cache._refused_values -= 1
            self.assertEqual(cache.get("key"), [1])

    def test_a_refused_value_that_somebody_replaces_meanwhile_is_left_alone(self):
        cache = self.open()
        self.write_raw(cache, b"key", b"v", 77)

        def load(key):
            cache.set("key", b"newer")
            return b"older"

        self.assertEqual(cache.fetch("key", load), b"older")
        self.assertEqual(cache.get("key"), b"newer")

    # ---- msgpack ----

    @support.needs("msgpack")
    def test_msgpack(self):
        cache = self.open(serializer="msgpack")
        for value in ([1, b"2", {"a": None}], {1: 2}, 1.5, {"a": {"b": [True]}}):
            cache.set("key", value)
            self.assertEqual(self.read_raw(cache, b"key")[1], serializers.MSGPACK_FORMAT)
            self.assertEqual(cache.get("key"), value)
        for bad in ((1, 2), {1, 2}, object(), Color.RED, [(1,)]):
            with self.assertRaises(hearth.SerializationError):
                cache.set("key", bad)
        self.write_raw(cache, b"json", b"[1]", serializers.JSON_FORMAT)
        self.assertEqual(cache.get("json"), [1])
        other = self.open(accept=["msgpack"])
        self.write_raw(other, b"key", b"\x81\xa1a\x01", serializers.MSGPACK_FORMAT)
        self.assertEqual(other.get("key"), {"a": 1})
        other.set("key", {"a": 2})
        self.assertEqual(self.read_raw(other, b"key")[1], serializers.JSON_FORMAT)

    # ---- pickle ----

    def test_pickle_needs_a_secret(self):
        for secret in (None, b"short", [], [b"short"], "0123456789abcdef", [SECRET, None]):
            with self.assertRaises(hearth.ConfigError):
                hearth.Cache(serializer="pickle", secret=secret)

    def test_pickle(self):
        cache = self.open(serializer="pickle", secret=SECRET)
        for value in ((1, 2), {1, 2}, datetime.date(2026, 1, 1), Color.RED):
            cache.set("key", value)
            self.assertEqual(cache.get("key"), value)
        cache.set("key", b"bytes")
        self.assertEqual(self.read_raw(cache, b"key"), (b"bytes", 0))
        with self.assertRaises(hearth.SerializationError):
            cache.set("key", lambda: 1)

    def test_nothing_is_unpickled_whose_signature_is_not_good(self):
        cache = self.open(serializer="pickle", secret=SECRET, compression="zlib", compress_over=50)
        for filler in (0, 1000):
            cache.set("key", [Touched(), "x" * filler])
            good, content = self.read_raw(cache, b"key")
            self.assertEqual(content >> 8, 1 if filler else 0)
            Touched.loads = 0
            forged = [
                (b"other", good, content),
                (b"key", good[:-1], content),
                (b"key", good[32:], content),
                (b"key", b"\0" * 32 + good[32:], content),
                (b"key", good[:40] + b"x" + good[41:], content),
                (b"key", good, content ^ 0x0100),
                (b"key", b"", content),
                (b"key", good[:31], content),
            ]
            for key, data, word in forged:
                self.write_raw(cache, key, data, word)
                self.assertIsNone(cache.get(key), data)
            self.assertEqual(Touched.loads, 0)
            self.write_raw(cache, b"key", good, content)
            self.assertEqual(cache.get("key")[0], "run")

    def test_another_prefix_is_another_key(self):
        one = self.open(serializer="pickle", secret=SECRET, remote_prefix="one:")
        one.set("key", (1,))
        data, content = self.read_raw(one, b"key")
        two = self.open(serializer="pickle", secret=SECRET, remote_prefix="two:")
        self.write_raw(two, b"key", data, content)
        self.assertIsNone(two.get("key"))

    def test_secrets_can_be_changed_while_servers_run(self):
        old = self.open(serializer="pickle", secret=SECRET)
        both = self.open(serializer="pickle", secret=[b"a new secret of mine", SECRET])
        new = self.open(serializer="pickle", secret=b"a new secret of mine")
        old.set("key", (1,))
        for cache in (both, new):
            self.write_raw(cache, b"key", *self.read_raw(old, b"key"))
        self.assertEqual(both.get("key"), (1,))
        self.assertIsNone(new.get("key"))
        both.set("key", (2,))
        self.write_raw(new, b"key", *self.read_raw(both, b"key"))
        self.assertEqual(new.get("key"), (2,))

    def test_a_serializer_of_ones_own(self):
        class Reversed:
            format = 200

            def dumps(self, value):
                return value.text[::-1].encode()

            def loads(self, data):
                return Reversed.Text(data.decode()[::-1])

            class Text:
                def __init__(self, text):
                    self.text = text

        cache = self.open(serializer=Reversed())
        cache.set("key", Reversed.Text("abc"))
        self.assertEqual(self.read_raw(cache, b"key"), (b"cba", 200))
        self.assertEqual(cache.get("key").text, "abc")
        for number in (0, 1, 256, -1, "2", None):
            bad = Reversed()
            bad.format = number
            with self.assertRaises(hearth.ConfigError):
                hearth.Cache(serializer=bad)

    # ---- compression ----

    @support.needs("zstandard", "lz4")
    def test_large_values_are_compressed(self):
        for name, number in (("zlib", 1), ("zstd", 2), ("lz4", 3)):
            cache = self.open(compression=name, compress_over=100)
            for value, content in ((b"a" * 5000, 0), ("ä" * 5000, 1), (["a"] * 5000, 2)):
                cache.set("key", value)
                data, word = self.read_raw(cache, b"key")
                self.assertTrue(len(data) < 1000)
                self.assertEqual(word, number << 8 | content)
                self.assertEqual(cache.get("key"), value)
                plain = self.open()
                self.write_raw(plain, b"key", data, word)
                self.assertEqual(plain.get("key"), value)
            cache.set("key", b"a" * 100)
            self.assertEqual(self.read_raw(cache, b"key"), (b"a" * 100, 0))
            noise = bytes(hash((n, 7)) & 255 for n in range(200))
            cache.set("key", noise)
            self.assertEqual(cache.get("key"), noise)

    @support.needs("zstandard", "lz4")
    def test_a_bomb_is_not_unpacked(self):
        cache = self.open(remote_max_value_bytes="1mb")
        self.write_raw(cache, b"fits", zlib.compress(b"a" * (1 << 20)), 0x0100)
        self.assertEqual(len(cache.get("fits")), 1 << 20)
        for name, number in (("zlib", 1), ("zstd", 2), ("lz4", 3)):
            packed = serializers.compression_of(name).shrink(b"a" * ((1 << 20) + 1))
            self.write_raw(cache, b"bomb", packed, number << 8)
            self.assertIsNone(cache.get("bomb"), name)
            self.write_raw(cache, b"cut", packed[:-5], number << 8)
            self.assertIsNone(cache.get("cut"), name)


class Shared(unittest.TestCase):
    """The same object, as long as it is the same value."""

    def open(self, size=100000):
        cache = hearth.Cache(share_bytes=size)
        self.addCleanup(cache.close)
        return cache

    def test_only_if_asked_for(self):
        with hearth.Cache() as cache:
            cache.set("key", [1])
            self.assertIsNot(cache.get("key"), cache.get("key"))

    def test_the_same_object_until_the_value_changes(self):
        cache = self.open()
        cache.set("key", {"a": [1]})
        first = cache.get("key")
        self.assertIs(cache.get("key"), first)
        self.assertIs(cache.fetch("key", str), first)
        cache.set("key", {"a": [1]})
        self.assertIsNot(cache.get("key"), first)
        cache.delete("key")
        self.assertIsNone(cache.get("key"))
        cache.set("key", "text")
        self.assertEqual(cache.get("key"), "text")
        cache.set("key", b"bytes")
        self.assertEqual(cache.get("key"), b"bytes")
        self.assertEqual(cache.get("key"), b"bytes")

    def test_an_expired_value_is_not_handed_out(self):
        cache = self.open()
        cache.set("key", [1], 0.05)
        self.assertEqual(cache.get("key"), [1])
        support.await_until(lambda: cache.get("key") is None)

    def test_they_are_bounded(self):
        cache = self.open(20000)
        for n in range(1000):
            cache.set(f"key{n}", ["x" * 100])
            cache.get(f"key{n}")
        self.assertTrue(10 < len(cache._shared) < 60, len(cache._shared))
        newest = cache.get("key999")
        self.assertIs(cache.get("key999"), newest)
        cache.set("large", ["x" * 30000])
        self.assertIsNot(cache.get("large"), cache.get("large"))

    def test_a_closed_cache_hands_out_nothing(self):
        cache = self.open()
        cache.set("key", [1])
        cache.get("key")
        cache.close()
        with self.assertRaises(hearth.ClosedError):
            cache.get("key")

    def test_writers_and_readers(self):
        """No reader sees a number go back."""
        cache = self.open()
        cache.set("key", [0])

        def work(index):
            if index == 0:
                for n in range(1, 1500):
                    cache.set("key", [n])
                return
            last = 0
            while last < 1499:
                found = cache.get("key")
                if found is None:
                    continue
                assert found[0] >= last, (found, last)
                last = found[0]

        support.run_threads(4, work)


class Direct(unittest.TestCase):
    """What is called without ctypes' work for each argument, and what stands in for it elsewhere."""

    def each_way(self, cache):
        """get_text() and current() of both kinds."""
        yield cache._get_text, cache._current
        yield _objects._by_ctypes(cache._address, NOTHING)

    def test_a_text_is_a_key(self):
        with hearth.Cache() as cache:
            cache.set("größe", b"1")
            cache.set("decoded", [1])
            for get_text, _ in self.each_way(cache):
                self.assertEqual(get_text("größe"), b"1")
                for key in ("nothing", "decoded", "", "k" * 40000):
                    self.assertIs(get_text(key), NOTHING)
                with self.assertRaises(UnicodeEncodeError):
                    get_text("\ud800")

    def test_probes_are_current_until_a_value_changes(self):
        with hearth.Cache() as cache:
            probes = []
            for key in ("one", "two"):
                cache.set(key, [1])
                probes.append(_objects.probe_of(cache.get_value(key).version, key.encode()))
            wrong = [_objects.probe_of(7, b"one"), _objects.probe_of(7, b"nothing"), b"short", b""]
            for _, current in self.each_way(cache):
                self.assertIs(current(*probes), True)
                for probe in wrong:
                    self.assertIs(current(probes[0], probe), False)
            cache.set("two", [1])
            for _, current in self.each_way(cache):
                self.assertIs(current(*probes), False)
                self.assertIs(current(probes[0]), True)

    def test_what_is_of_another_class_is_refused(self):
        with hearth.Cache() as cache:
            for wrong in (None, 1, b"bytes"):
                self.assertRaises(TypeError, cache._get_text, wrong)
            for wrong in (None, 1, "text"):
                self.assertRaises(TypeError, cache._current, wrong)

    def test_they_outlive_their_cache(self):
        cache = hearth.Cache()
        cache.set("key", b"1")
        probe = _objects.probe_of(cache.get_value("key").version, b"key")
        get_text, current = cache._get_text, cache._current
        self.assertEqual((get_text("key"), current(probe)), (b"1", True))
        del cache
        gc.collect()
        self.assertEqual((get_text("key"), current(probe)), (NOTHING, False))


class Copies(unittest.TestCase):
    """Of plain objects, without pickle."""

    def test_a_copy_is_equal_and_its_own(self):
        for model in (
            {}, [1, "a"], {1, 2}, {"a": 1, (1, b"b"): None}, {"a": [1, {"b": {2}}], "c": (1, [2])},
            ([], 1), [[], [], ({},)],
        ):
            copy_of = _copies.copier_of(model)
            before, one, two = repr(model), copy_of(), copy_of()
            self.assertEqual((repr(one), repr(two)), (before, before))
            self.spoil(one)
            self.assertEqual((repr(model), repr(two), repr(copy_of())), (before,) * 3)

    def spoil(self, value):
        """Changes all of it that can be changed."""
        for each in list(value.values() if type(value) is dict else value):
            if type(each) in (dict, list, set, tuple):
                self.spoil(each)
        if type(value) is dict:
            value["spoiled"] = True
        elif type(value) is not tuple:
            value.clear()

    def test_what_a_copy_would_not_keep_is_left_to_pickle(self):
        part, itself = [], []
        itself.append(itself)
        deep = []
        for _ in range(20):
            deep = [deep]
        for model in (
            [part, part], {"a": part, "b": (part,)}, itself, deep, [object()], {Color.RED: []},
            collections.OrderedDict(a=1), bytearray(b"1"), [bytearray(b"1")], [[] for _ in range(500)],
        ):
            self.assertIsNone(_copies.copier_of(model))


if __name__ == "__main__":
    support.main()
