# SPDX-License-Identifier: Apache-2.0
"""Nodes that fail: reads are misses and counted, writes raise."""

import unittest

import support

import hearth


class Failing:
    """The same for both kinds of servers."""

    kind = ""

    def setUp(self):
        self.node = support.Server(self.kind)
        self.addCleanup(self.node.end)

    def open(self, **options):
        cache = hearth.Cache.from_url(
            self.node.url, remote_timeout_ms=5000, local_max_bytes=0, **options
        )
        self.addCleanup(cache.close)
        return cache

    def test_a_read_is_a_counted_miss(self):
        cache = self.open()
        cache.set("key", b"1")
        self.node.stop()
        with self.assertLogs("hearth", "INFO") as logs:
            self.assertEqual(cache.get("key", 7), 7)
        self.assertIn(self.node.socket, "".join(logs.output))
        self.assertIsNone(cache.get_value("key"))
        self.assertEqual(cache.get_many(["key", "other"]), {})
        self.assertNotIn("key", cache)
        self.assertEqual(cache.stats().failed_reads, 5)

    def test_a_read_raises_if_so_wished(self):
        cache = self.open(on_error="raise")
        cache.set("key", b"1")
        self.node.stop()
        for call in (
            lambda: cache.get("key"),
            lambda: cache.get_value("key"),
            lambda: cache.get_many(["key"]),
        ):
            with self.assertRaises(hearth.NodeUnavailableError) as raised:
                call()
            self.assertIsInstance(raised.exception, ConnectionError)
        self.assertEqual(cache.stats().failed_reads, 0)

    def test_a_write_raises(self):
        cache = self.open()
        cache.set("key", b"1")
        self.node.stop()
        for call in (
            lambda: cache.set("key", b"2"),
            lambda: cache.add("key", b"2"),
            lambda: cache.replace("key", b"2"),
            lambda: cache.touch("key"),
            lambda: cache.incr("count"),
        ):
            with self.assertRaises(hearth.NodeError) as raised:
                call()
            self.assertIsInstance(raised.exception, OSError)
            self.assertIn(raised.exception.key, ("key", "count"))
        with self.assertRaises(hearth.NodeError) as raised:
            cache.set_many({"a": b"1", "b": [2]})
        self.assertEqual(set(raised.exception.failed), {"a", "b"})

    def test_a_delete_that_is_not_certain_raises_and_is_carried_out_later(self):
        cache = self.open()
        cache.set("key", b"1")
        self.node.stop()
        with self.assertRaises(hearth.DeleteQueuedError):
            cache.delete("key")
        with self.assertRaises(hearth.DeleteQueuedError) as raised:
            cache.delete_many(["key", "other"])
        self.assertEqual(set(raised.exception.failed), {"key", "other"})
        with self.assertRaises(hearth.DeleteQueuedError):
            cache.touch("key", 0)
        self.assertEqual(cache.stats().queued_deletes, 2)
        self.node.start()
        support.await_until(lambda: self.takes(cache))
        self.assertIsNone(cache.get("key"))
        self.assertEqual(cache.stats().queued_deletes, 0)

    def takes(self, cache):
        try:
            cache.set("probe", b"1")
        except hearth.NodeError:
            return False
        return True

    def test_a_fetch_is_answered_by_its_loader(self):
        cache = self.open()
        self.node.stop()
        for number in range(10):
            self.assertEqual(cache.fetch("key", lambda key, n=number: {"n": n}), {"n": number})

    def test_a_counter_of_another_program(self):
        if self.kind != "redis":
            return
        import subprocess

        cache = self.open()
        for command in (["SET", "count", "41"], ["RPUSH", "list", "a"]):
            subprocess.run(["redis-cli", "-s", self.node.socket, *command], check=True,
                           stdout=subprocess.DEVNULL)
        self.assertEqual(cache.incr("count"), 42)
        self.assertEqual(cache.get("count"), 42)
        self.assertIsNone(cache.get("list"))
        self.assertEqual(cache.stats().failed_reads, 1)


class Lists(unittest.TestCase):
    """Nodes that come and go."""

    def test_nodes_are_changed_while_the_cache_is_in_use(self):
        nodes = [support.Server("redis") for _ in range(2)]
        for node in nodes:
            self.addCleanup(node.end)
        one, both = (f"redis+unix://{','.join(n.socket for n in nodes[:count])}" for count in (1, 2))
        with hearth.Cache.from_url(one, remote_timeout_ms=5000) as cache:
            keys = [f"key{number}" for number in range(100)]
            cache.set_many(dict.fromkeys(keys, b"1"))
            self.assertEqual({cache.node_of(key).position for key in keys}, {0})
            cache.set_nodes(both)
            moved = [key for key in keys if cache.node_of(key).position == 1]
            self.assertTrue(20 < len(moved) < 80)
            self.assertEqual(set(keys) - set(cache.get_many(keys)), set(moved))
            for bad in ("redis://", "memcached://host", "nonsense", ""):
                with self.assertRaises(hearth.ConfigError) as raised:
                    cache.set_nodes(bad)
                self.assertTrue(str(raised.exception))
            cache.set_many(dict.fromkeys(moved, b"2"))
            self.assertEqual(len(cache.get_many(keys)), 100)


class Redis(Failing, unittest.TestCase):
    """A Redis node."""

    kind = "redis"


class Memcached(Failing, unittest.TestCase):
    """A Memcached node."""

    kind = "memcached"


if __name__ == "__main__":
    support.main()
