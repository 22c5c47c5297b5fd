# SPDX-License-Identifier: Apache-2.0
"""cachelib and Flask-Caching on Hearth, on all kinds of nodes."""

import pickle
import unittest

import support

if support.has("cachelib"):
    from hearth.cachelib import HearthCache
if support.has("flask_caching"):
    import hearth.flask_caching
    from flask import Flask
    from flask_caching import Cache

SECRET = b"a secret of the tests"


class Contract(support.OnNodes):
    """The same for all nodes."""

    def setUp(self):
        self.cache = self.open()

    def open(self, **more):
        own = {"secret": SECRET, "local_max_bytes": "1mb", "embedded_max_bytes": "4mb"}
        own.update(remote_prefix=self.id()[-100:], remote_timeout_ms=5000)
        return HearthCache(self.url, **{**own, **more})

    def test_verbs(self):
        cache = self.cache
        self.assertIsNone(cache.get("a"))
        self.assertIs(cache.set("a", [1, (2,)]), True)
        for _ in range(3):
            self.assertEqual(cache.get("a"), [1, (2,)])
        self.assertIs(cache.add("a", 2), False)
        self.assertIs(cache.add("b", None), True)
        self.assertIs(cache.has("b"), True)
        self.assertIs(cache.has("c"), False)
        self.assertEqual(cache.set_many({"c": 3, "d": 4}), ["c", "d"])
        self.assertEqual(cache.get_many("c", "x", "d"), [3, None, 4])
        self.assertEqual(cache.get_dict("c", "x"), {"c": 3, "x": None})
        self.assertIs(cache.delete("a"), True)
        self.assertIs(cache.delete("a"), False)
        self.assertEqual(cache.delete_many("x", "c", "d"), ["c", "d"])
        self.assertIs(cache.clear(), True)
        self.assertIs(cache.has("b"), False)

    def test_numbers(self):
        cache = self.cache
        self.assertEqual((cache.inc("n"), cache.inc("n", 5), cache.dec("n", 10)), (1, 6, -4))
        self.assertEqual((cache.dec("m"), cache.get("m")), (-1, -1))
        support.run_threads(3, lambda _: [cache.inc("t") for _ in range(10)])
        self.assertEqual(cache.get("t"), 30)

    def test_timeouts(self):
        cache = self.cache
        for timeout in (0, None, 60 * 60 * 24 * 40, 10**11):
            self.assertIs(cache.set("a", 1, timeout), True)
            self.assertIs(cache.add(f"b{timeout}", 1, timeout), True)
            self.assertEqual(cache.set_many({"c": 1}, timeout), ["c"])
            self.assertEqual(cache.get_many("a", f"b{timeout}", "c"), [1, 1, 1])
        self.assertIs(cache.set("a", 1, -1), True)
        self.assertIsNone(cache.get("a"))
        cache.set("a", 1, 0.1)
        support.await_until(lambda: cache.get("a") is None, 5)
        forever = self.open(default_timeout=0)
        forever.set("a", 1)
        self.assertEqual(forever.get("a"), 1)

    def test_pickle_errors_are_the_callers(self):
        class Local:
            pass

        with self.assertRaises((pickle.PickleError, AttributeError)):
            self.cache.set("a", Local())


class Nodes(Contract):
    """What only nodes outside of the process show."""

    def test_a_node_that_is_gone(self):
        node = support.Server(self.server)
        self.addCleanup(node.end)
        cache = HearthCache(
            node.url, secret=SECRET, local_max_bytes=0, remote_timeout_ms=5000
        )
        self.assertIs(cache.set("a", 1), True)
        node.stop()
        self.assertIsNone(cache.get("a"))
        self.assertIs(cache.set("a", 1), False)
        self.assertIs(cache.add("a", 1), False)
        self.assertIsNone(cache.inc("a"))
        for call in (lambda: cache.delete("a"), cache.clear):
            with self.assertRaises(OSError):
                call()

    def test_a_sum_goes_on_after_its_node_was_not_reached(self):
        node = support.Server(self.server)
        self.addCleanup(node.end)
        # Other options: not the same cache.
        HearthCache(node.url, secret=SECRET, remote_timeout_ms=5000).inc("n", 40)
        with node.unreachable():
            late = HearthCache(node.url, secret=SECRET, remote_timeout_ms=5001)
            self.assertIsNone(late.get("n"))
            self.assertIsNone(late.inc("n", 2))
        sums = []
        support.await_until(lambda: sums.append(late.inc("n", 2)) or sums[-1] is not None)
        self.assertEqual(sums[-1], 42)

    def test_prefixes_are_apart(self):
        other = self.open(key_prefix="other")
        self.cache.set("a", 1)
        other.set("a", 2)
        self.cache.clear()
        self.assertEqual((self.cache.get("a"), other.get("a")), (None, 2))


@support.needs("cachelib")
class Embedded(Contract, unittest.TestCase):
    """In the process."""


@support.needs("cachelib")
class Redis(Nodes, unittest.TestCase):
    """A Redis node."""

    server = "redis"


@support.needs("cachelib")
class Memcached(Nodes, unittest.TestCase):
    """A Memcached node."""

    server = "memcached"


@support.needs("flask_caching")
class InFlask(unittest.TestCase):
    """What Flask-Caching builds on its backend."""

    def setUp(self):
        self.app = Flask("tests")
        self.app.config.update(
            SECRET_KEY="a secret", CACHE_TYPE="hearth.flask_caching.HearthCache",
            CACHE_KEY_PREFIX="p:", CACHE_OPTIONS={"local_max_bytes": "1mb"},
        )  # fmt: skip
        self.cache = Cache(self.app)
        self.calls = []
        context = self.app.app_context()
        context.push()
        self.addCleanup(context.pop)

    def test_memoize(self):
        @self.cache.memoize(60)
        def double(number):
            self.calls.append(number)
            return {"double": 2 * number}

        for _ in range(3):
            self.assertEqual(double(2), {"double": 4})
        self.assertEqual(double(3), {"double": 6})
        self.assertEqual(self.calls, [2, 3])
        self.cache.delete_memoized(double, 2)
        double(2), double(3)
        self.assertEqual(self.calls, [2, 3, 2])
        self.cache.delete_memoized(double)
        double(3)
        self.assertEqual(self.calls, [2, 3, 2, 3])

    def test_memoize_of_its_own_cache(self):
        self.cache = hearth.flask_caching.Cache(self.app)
        self.test_memoize()

        class Account:
            def __repr__(inner):
                return "account"

            @self.cache.memoize(60)
            def total(inner, a, b=2):
                self.calls.append((a, b))
                return [a + b]

        account, self.calls = Account(), []
        for call in (account.total(1), account.total(1, 2), account.total(b=2, a=1)):
            self.assertEqual(call, [3])
        self.assertEqual(self.calls, [(1, 2)])
        self.assertEqual(self.cache.memoize(60)(len)([1, 2]), 2)
        theirs = Cache(self.app, with_jinja2_ext=False).memoize(60)(lambda a, b=1: a)
        ours = self.cache.memoize(60)(theirs.uncached)
        self.assertEqual(
            ours.make_cache_key(ours.uncached, 1)[:16], theirs.make_cache_key(theirs.uncached, 1)[:16]
        )

    def test_pages(self):
        @self.app.route("/")
        @self.cache.cached(60)
        def index():
            self.calls.append(1)
            return f"page {len(self.calls)}"

        client = self.app.test_client()
        self.assertEqual([client.get("/").data for _ in range(3)], [b"page 1"] * 3)
        self.cache.clear()
        self.assertEqual(client.get("/").data, b"page 2")

    def test_its_verbs(self):
        self.assertTrue(self.cache.set("a", 1))
        self.assertEqual(self.cache.get_many("a", "b"), [1, None])
        self.assertEqual(self.cache.delete_many("a", "b"), ["a"])
        self.cache.set("c", 1)
        self.assertEqual(self.cache.delete_many("b", "c"), [])  # it ends at what is not there
        self.assertTrue(self.cache.has("c"))


if __name__ == "__main__":
    support.main()
