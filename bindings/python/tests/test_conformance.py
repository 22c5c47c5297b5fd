# SPDX-License-Identifier: Apache-2.0
"""The cases of tests/conformance/verbs.json, which the C library's own tests run too, on all kinds of
nodes. README.md beside that file says what they mean."""

import asyncio
import json
import logging
import unittest

import support

import hearth

FILE = json.loads((support.ROOT / "tests/conformance/verbs.json").read_text(encoding="utf-8"))
OPTIONS = {name.replace(".", "_"): value for name, value in FILE["options"].items()}

#: what the file's errors are here
ERRORS = {
    hearth.InvalidArgumentError: "E_INVALID",
    hearth.TooLargeError: "E_TOO_LARGE",
    hearth.WrongTypeError: "E_TYPE",
    hearth.UnsupportedError: "E_UNSUPPORTED",
}
NOTHING = object()

# Loads that are to fail are told there.
logging.getLogger("hearth").addHandler(logging.NullHandler())


class SourceError(Exception):
    """Of a loader that fails."""


def plain(written):
    """A key or value as it is written in the file: text, or bytes."""
    if isinstance(written, str):
        return written
    if "hex" in written:
        return bytes.fromhex(written["hex"])
    return written["repeat"] * written["times"]


def raw(written):
    """The bytes of a value."""
    value = plain(written)
    return value.encode() if isinstance(value, str) else value


def life(step):
    """The ttl as an argument, and what else is said of the value; ms in the file, seconds here."""
    named = {}
    if "ttl" in step:
        ttl = step.pop("ttl")
        named["ttl"] = None if ttl == "forever" else ttl / 1000
    if "stale" in step:
        named["stale"] = step.pop("stale") / 1000
    if "tags" in step:
        named["tags"] = [plain(tag) for tag in step.pop("tags")]
    return named


def told(known):
    """Of a hearth.Value or None."""
    if known is None:
        return {"status": "MISS"}
    left = "forever" if known.ttl_left_ms is None else known.ttl_left_ms
    outcome = {"status": "ABSENT", "tier": known.tier, "ttl_left_ms": left, "stale": known.stale}
    # A counter is its digits in the file, and an int here.
    value = b"%d" % known.value if type(known.value) is int else known.value
    return outcome if known.absent else {**outcome, "status": "OK", "value": value}


class Operations:
    """Each takes of its step what it uses, and answers what the file may expect."""

    def __init__(self, cache):
        self.cache = cache
        #: those that a step remembered
        self.versions = {}

    def get(self, step):
        key = plain(step.pop("key"))
        ask, name = step.pop("ask", None), step.pop("remember", None)
        asked = {} if ask is None else {"local": ask == "local", "remote": ask == "remote"}
        if "allow_stale" in step:
            asked["allow_stale"] = step.pop("allow_stale")
        known = self.cache.get_value(key, **asked)
        outcome = told(known)
        if name is not None:
            self.versions[name] = known.version
        if asked:
            return outcome
        # What has no answer of its own in get() is the default.
        found = self.cache.get(key, NOTHING)
        if type(found) is int:
            found = b"%d" % found
        assert found == outcome.get("value", NOTHING), found
        return outcome

    def _stored(self, step):
        counter = {"counter": True} if step.pop("counter", False) else {}
        value = step.pop("value")
        value = int(value) if counter else raw(value)
        return (plain(step.pop("key")), value), {**life(step), **counter}

    def set(self, step):
        arguments, named = self._stored(step)
        assert self.cache.set(*arguments, **named) is None
        return {"status": "OK"}

    def add(self, step):
        arguments, named = self._stored(step)
        return {"status": {True: "OK", False: "EXISTS"}[self.cache.add(*arguments, **named)]}

    def replace(self, step):
        arguments, named = self._stored(step)
        otherwise = "MISS"
        if "if_version" in step:
            named["if_version"], otherwise = self.versions[step.pop("if_version")], "CONFLICT"
        return {"status": {True: "OK", False: otherwise}[self.cache.replace(*arguments, **named)]}

    def delete(self, step):
        return {"status": {True: "OK", False: "MISS"}[self.cache.delete(plain(step.pop("key")))]}

    def evict_local(self, step):
        there = self.cache.evict_local(plain(step.pop("key")))
        return {"status": {True: "OK", False: "MISS"}[there]}

    def mark_stale(self, step):
        done = self.cache.mark_stale(plain(step.pop("key")))
        return {"status": {True: "OK", False: "MISS"}[done]}

    def invalidate_tag(self, step):
        keep = step.pop("keep_stale", False)
        assert self.cache.invalidate_tag(plain(step.pop("tag")), keep_stale=keep) is None
        return {"status": "OK"}

    def touch(self, step):
        done = self.cache.touch(plain(step.pop("key")), **life(step))
        return {"status": {True: "OK", False: "MISS"}[done]}

    def _counted(self, verb, step):
        delta = [step.pop("delta")] if "delta" in step else []
        try:
            return {"status": "OK", "number": verb(plain(step.pop("key")), *delta)}
        except KeyError:
            return {"status": "MISS"}

    def incr(self, step):
        return self._counted(self.cache.incr, step)

    def decr(self, step):
        return self._counted(self.cache.decr, step)

    def get_many(self, step):
        return {"status": "OK", "values": self.cache.get_many(map(plain, step.pop("keys")))}

    def set_many(self, step):
        values = {key: raw(value) for key, value in step.pop("values").items()}
        assert self.cache.set_many(values, **life(step)) is None
        return {"status": "OK"}

    def delete_many(self, step):
        return {"status": "OK", "removed": self.cache.delete_many(map(plain, step.pop("keys")))}

    def fetch(self, step):
        answer, loads = step.pop("loader"), []

        def load(key):
            loads.append(key)
            if answer == "fails":
                raise SourceError
            return None if answer == "absent" else raw(answer["value"])

        key = plain(step.pop("key"))
        try:
            outcome = told(self.cache.fetch_value(key, load, **life(step)))
        except SourceError:
            outcome = {"status": "E_LOADER"}
        except hearth.CacheError as error:
            outcome = {"status": ERRORS[type(error)]}
        return {**outcome, "loads": len(loads)}


class Awaited:
    """An AsyncCache whose verbs a thread can call; loaders are coroutine functions."""

    def __init__(self, cache, loop):
        self.cache, self.loop = hearth.AsyncCache(cache), loop

    def __getattr__(self, name):
        verb = getattr(self.cache, name)
        return lambda *args, **named: self.loop.run_until_complete(verb(*args, **named))

    def fetch_value(self, key, loader, **named):
        async def load(key):
            await asyncio.sleep(0)  # a load that gives the loop a turn, as real ones do
            return loader(key)

        return self.loop.run_until_complete(self.cache.fetch_value(key, load, **named))


class Cases(support.OnNodes):
    """A test for each, in a key space of its own."""

    #: the verbs are coroutines
    awaited = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.loop = asyncio.new_event_loop()

    @classmethod
    def tearDownClass(cls):
        cls.loop.run_until_complete(cls.loop.shutdown_default_executor())
        cls.loop.close()
        super().tearDownClass()

    def run_case(self, case):
        # Where nobody is told of changes a read does not depend on when that begins.
        untold = {"coherence_mode": "ttl"} if self.url.startswith("redis") else {}
        with hearth.Cache.from_url(self.url, remote_prefix=f"{case['name']}:", **OPTIONS, **untold) as cache:
            operations = Operations(Awaited(cache, self.loop) if self.awaited else cache)
            for number, step in enumerate(case["steps"], 1):
                step = dict(step)
                operation, expect = getattr(operations, step.pop("op")), step.pop("expect")
                try:
                    outcome = operation(step)
                except hearth.CacheError as error:
                    outcome, step = {"status": ERRORS[type(error)]}, {}
                self.assertEqual(step, {}, f"step {number}: that is not known here")
                self.assertIn("status", expect)
                for name, expected in expect.items():
                    self.check(name, expected, outcome, f"step {number}: {name} in {outcome}")

    def check(self, name, expected, outcome, where):
        self.assertIn(name, outcome, where)
        found = outcome[name]
        if name == "ttl_left_ms" and isinstance(expected, list):
            self.assertIsInstance(found, int, where)
            self.assertTrue(expected[0] <= found <= expected[1], where)
            return
        if name == "value":
            expected = raw(expected)
        elif name == "values":
            expected = {key: raw(value) for key, value in expected.items()}
        self.assertEqual(found, expected, where)


def test_of(case):
    return lambda self: self.run_case(case)


for each in FILE["cases"]:
    if each.get("only", "bindings") == "bindings":
        setattr(Cases, f"test_{each['name']}", test_of(each))


class OnEmbedded(Cases, unittest.TestCase):
    pass


class OnRedis(Cases, unittest.TestCase):
    server = "redis"


class OnMemcached(Cases, unittest.TestCase):
    server = "memcached"


class OnEmbeddedAwaited(Cases, unittest.TestCase):
    awaited = True


class OnRedisAwaited(Cases, unittest.TestCase):
    awaited, server = True, "redis"


class OnMemcachedAwaited(Cases, unittest.TestCase):
    awaited, server = True, "memcached"


if FILE["format"] != 1:
    raise SystemExit("tests/conformance/verbs.json is of another format")

if __name__ == "__main__":
    support.main()
