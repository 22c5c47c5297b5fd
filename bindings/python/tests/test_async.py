# SPDX-License-Identifier: Apache-2.0
"""AsyncCache: its verbs on each kind of node, and what may become of tasks, loops and processes."""

import asyncio
import gc
import os
import signal
import threading
import unittest
import weakref
from unittest import mock

import support

import hearth

GLAD = {"glad": [1, 2]}


def at_once(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as answer:
        return answer.value
    coroutine.close()
    raise AssertionError("it waits")


def descriptors():
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


class OnEmbedded(support.OnNodes, unittest.IsolatedAsyncioTestCase):
    """The verbs, on the tier in the process."""

    async def asyncSetUp(self):
        # What is read at once is counted on: no copy is to end because its node begins to tell.
        mode = {"coherence_mode": "ttl"} if self.url.startswith("redis") else {}
        self.cache = hearth.AsyncCache.from_url(
            self.url, remote_prefix=self.id(), remote_timeout_ms=5000, **mode
        )
        self.addAsyncCleanup(self.cache.close)

    async def test_the_verbs_answer_as_those_for_threads_do(self):
        cache = self.cache
        for value in (b"1", "text", GLAD, 5, None, b"", False):
            await cache.set("key", value, 60)
            self.assertEqual(await cache.get("key", 7), value)
            await cache.evict_local("key")
            self.assertEqual(await cache.get("key", 7), value)
            self.assertEqual(cache.cache.get("key", 7), value)
        self.assertEqual(await cache.get("none", 7), 7)
        self.assertTrue(await cache.contains("key"))
        self.assertEqual(
            [await cache.add("key", b"2"), await cache.add("new", b"2", ttl=60)], [False, True]
        )
        self.assertEqual(
            [await cache.replace("key", b"3"), await cache.replace("none", b"3")], [True, False]
        )
        self.assertEqual([await cache.touch("key", 60), await cache.touch("none")], [True, False])
        self.assertEqual([await cache.delete("key"), await cache.delete("key")], [True, False])
        self.assertEqual([await cache.incr("count", initial=1, ttl=60)], [1])
        self.assertEqual([await cache.incr("count", 10), await cache.decr("count")], [11, 10])
        await cache.set("count", 4, counter=True)
        self.assertEqual(await cache.get("count"), 4)
        with self.assertRaises(KeyError):
            await cache.incr("none")
        await cache.set("new", b"over", ttl=0)
        self.assertIsNone(await cache.get("new"))
        with self.assertRaises(TypeError):
            await cache.get(1)
        with self.assertRaises(hearth.SerializationError):
            await cache.set("key", (1,))

    async def test_writes_need_no_thread_of_pythons(self):
        cache, loop = self.cache, asyncio.get_running_loop()
        with mock.patch.object(loop, "run_in_executor", side_effect=AssertionError):
            self.assertTrue(await cache.add("key", b"1", tags=("red",)))
            self.assertTrue(await cache.replace("key", GLAD, tags=("red",)))
            self.assertTrue(await cache.touch("key", 60))
            self.assertTrue(await cache.mark_stale("key"))
            await cache.invalidate_tag("red", keep_stale=True)
            old = await cache.get_value("key", allow_stale=True, local=False)
            self.assertEqual((old.value, old.stale), (GLAD, True))
            await cache.invalidate_tag("red")
            self.assertIsNone(await cache.get_value("key", allow_stale=True, local=False))
            self.assertEqual(await cache.incr("count", initial=2**62), 2**62)
            self.assertEqual(await cache.incr("count", 2**62 - 1), 2**63 - 1)
            self.assertEqual(await cache.decr("count", 2**63 - 2), 1)
        with self.assertRaises(hearth.WrongTypeError):
            await cache.set("key", b"1")
            await cache.incr("key")
        with self.assertRaises(hearth.InvalidArgumentError):
            await cache.incr("count", 2**63)
        with self.assertRaises(hearth.InvalidArgumentError):
            await cache.replace("key", b"1", if_version=0)

    async def test_each_increment_counts_once(self):
        await self.cache.set("count", 0, counter=True)
        numbers = await asyncio.gather(*(self.cache.incr("count") for _ in range(100)))
        self.assertEqual(sorted(numbers), list(range(1, 101)))

    async def test_a_tags_invalidation_keeps_its_place(self):
        cache = self.cache
        await asyncio.gather(
            cache.set("old", b"1", tags=("red",)), cache.invalidate_tag("red"),
            cache.set("new", b"2", tags=("red",)),
        )  # fmt: skip
        self.assertEqual([await cache.get("old"), await cache.get("new")], [None, b"2"])

    async def test_many_keys(self):
        values = {"a": b"1", "b": "two", "c": [3], b"d": None}
        await self.cache.set_many(values, 60)
        for _ in range(2):
            self.assertEqual(await self.cache.get_many([*values, "none"]), values)
            for key in values:
                await self.cache.evict_local(key)
        self.assertEqual(await self.cache.delete_many(["a", "b", "none", "a"]), 2)
        self.assertEqual(await self.cache.get_many(values), {"c": [3], b"d": None})
        await self.cache.set_many({"c": 1}, 0)
        self.assertEqual(await self.cache.get_many(values), {b"d": None})
        self.assertEqual([await self.cache.get_many([]), await self.cache.delete_many([])], [{}, 0])

    async def test_what_is_known_of_a_value(self):
        await self.cache.set("key", GLAD, 60)
        found = await self.cache.get_value("key")
        self.assertEqual((found.value, found.tier, found.stale), (GLAD, "local", False))
        far = await self.cache.get_value("key", local=False)
        self.assertEqual((far.value, far.tier, far.version), (GLAD, "remote", found.version))
        self.assertIsNone(await self.cache.get_value("none"))
        self.assertTrue(await self.cache.replace("key", b"2", if_version=found.version))
        self.assertTrue(await self.cache.mark_stale("key"))
        self.assertIsNone(await self.cache.get_value("key"))
        old = await self.cache.get_value("key", allow_stale=True)
        self.assertEqual((old.value, old.stale), (b"2", True))

    async def test_what_the_local_tier_has_is_answered_at_once(self):
        for value in (b"1", "text", GLAD):
            await self.cache.set("key", value, 60)
            await self.cache.get("key")
            self.assertEqual(at_once(self.cache.get("key")), value)
            self.assertEqual(at_once(self.cache.fetch("key", None)), value)
            self.assertEqual(at_once(self.cache.get_value("key")).value, value)
        self.assertEqual(at_once(self.cache.get_many(["key"])), {"key": GLAD})

    async def test_more_at_once_than_a_queue_takes(self):
        small = hearth.AsyncCache.from_url(
            self.url, remote_prefix=self.id(), local_max_bytes=0, submit_max_operations=8,
            remote_timeout_ms=5000,
        )
        keys = [f"key {number}" for number in range(100)]
        await asyncio.gather(*(small.set(key, key, 60) for key in keys))
        self.assertEqual(await asyncio.gather(*map(small.get, keys)), keys)
        # Those who are cancelled while they wait for their turn take nobody else's.
        tasks = [asyncio.ensure_future(small.get(key)) for key in keys]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        self.assertEqual(await asyncio.gather(*tasks[1::2]), keys[1::2])
        await small.close()

    async def test_a_load_is_shared_by_tasks_and_threads(self):
        calls, goes_on = [], threading.Event()

        def in_thread(key):
            calls.append("thread")
            goes_on.wait(20)
            return GLAD

        async def in_task(key):
            calls.append("task")
            return b"another"

        leading = asyncio.ensure_future(asyncio.to_thread(self.cache.cache.fetch, "key", in_thread))
        while not calls:
            await asyncio.sleep(0.001)
        asked, ask = [], self.cache.cache._ask

        def counted(*arguments):
            answer = ask(*arguments)
            asked.append(answer)
            return answer

        with mock.patch.object(self.cache.cache, "_ask", counted):
            tasks = [asyncio.ensure_future(self.cache.fetch("key", in_task)) for _ in range(5)]
            while len(asked) < 5:  # all know that another loads
                await asyncio.sleep(0.001)
        goes_on.set()
        results = await asyncio.gather(leading, *tasks)
        self.assertEqual((results, calls), ([GLAD] * 6, ["thread"]))
        self.assertEqual(len(set(map(id, results))), 6)
        self.assertEqual(await self.cache.fetch("other", in_task, 60), b"another")
        self.assertEqual(self.cache.cache.fetch("other", in_thread), b"another")

    async def test_namespaces(self):
        users = self.cache.namespace("users")
        calls = []

        @self.cache.cached(ttl=60, key="row:{row}", namespace="users")
        async def row_of(row):
            calls.append(row)
            return [row]

        await self.cache.set("key", b"own")
        for bump in (users.bump, users.clear, lambda: self.cache.bump_namespace("users")):
            await users.set_many({"key": b"1", "other": GLAD}, 60)
            self.assertEqual(await users.get_many(["key", "other"]), {"key": b"1", "other": GLAD})
            await users.evict_local("key")
            self.assertEqual(await users.get("key"), b"1")
            self.assertEqual([await row_of(1), await row_of(1)], [[1], [1]])
            await bump()
            self.assertEqual(await users.get_many(["key", "other", "row:1"]), {})
            self.assertEqual(await users.fetch("key", self.loaded, 60), ["key"])
        self.assertEqual(calls, [1, 1, 1])
        self.assertEqual(await self.cache.get("key"), b"own")

    async def loaded(self, key):
        return [key]

    async def test_a_namespace_ends_alone(self):
        async with self.cache.namespace("users") as view:
            other = self.cache.namespace("users")
            await view.set("key", b"1")
        for call in (view.get("key"), view.set("key", b"2"), view.bump(), view.fetch("none", self.loaded)):
            with self.assertRaises(hearth.ClosedError):
                await call
        self.assertTrue(view.closed)
        self.assertEqual(await other.get("key"), b"1")

    async def test_one_key_may_be_loaded_in_two_namespaces(self):
        users, posts = self.cache.namespace("users"), self.cache.namespace("posts")

        async def load(key):
            return [await posts.fetch(key, self.loaded)]

        self.assertEqual(await users.fetch("key", load, 60), [["key"]])

        async def ends(key):
            with self.assertRaises(hearth.DeadlockError):
                await self.cache.close()
            return "open"

        self.assertEqual(await users.fetch("other", ends, 60), "open")


class OnRedis(OnEmbedded):
    """The same on Redis."""

    server = "redis"


class OnMemcached(OnEmbedded):
    """The same on Memcached."""

    server = "memcached"


class Loads(unittest.IsolatedAsyncioTestCase):
    """fetch, and the decorator."""

    async def asyncSetUp(self):
        self.cache = hearth.AsyncCache(local_max_bytes="1mb")
        self.addAsyncCleanup(self.cache.close)
        self.calls = []

    async def load(self, key):
        self.calls.append(key)
        await asyncio.sleep(0)
        return {"key": key}

    async def test_loaders_of_each_kind(self):
        for loader in (self.load, lambda key: self.load(key), lambda key: {"key": key}):
            self.assertEqual(await self.cache.fetch("key", loader, 60), {"key": "key"})
            self.assertEqual(await self.cache.fetch("key", None), {"key": "key"})
            await self.cache.delete("key")
        self.assertIsNone(await self.cache.fetch("absent", lambda key: None))
        self.assertIsNone(await self.cache.fetch("absent", None))
        self.assertTrue((await self.cache.get_value("absent")).absent)
        await self.cache.fetch("short", lambda key: hearth.Loaded(b"1", ttl=7), 60)
        self.assertLessEqual((await self.cache.get_value("short")).ttl_left_ms, 7000)
        self.assertEqual(await self.cache.get_or_set("it", 5), 5)
        self.assertEqual(await self.cache.get_or_set("that", lambda: self.load("x")), {"key": "x"})
        known = await self.cache.fetch_value("value", self.load, 60)
        self.assertEqual((known.value, known.tier), ({"key": "value"}, "loaded"))
        known = await self.cache.fetch_value("value", self.load, 60)
        self.assertEqual((known.value, known.tier), ({"key": "value"}, "local"))

    async def test_an_exception_reaches_all_tasks_and_is_not_kept(self):
        def failing(key):
            self.calls.append(key)
            raise ZeroDivisionError

        for _ in range(2):
            results = await asyncio.gather(
                *(self.cache.fetch("key", failing) for _ in range(5)), return_exceptions=True
            )
            self.assertEqual({type(each) for each in results}, {ZeroDivisionError})
        self.assertEqual(len(self.calls), 2)
        self.assertEqual(await self.cache.fetch("key", self.load), {"key": "key"})

    async def test_a_task_takes_over_from_one_that_is_cancelled(self):
        started = asyncio.Event()

        async def endless(key):
            started.set()
            await asyncio.Event().wait()

        first = asyncio.ensure_future(self.cache.fetch("key", endless))
        await started.wait()
        others = [asyncio.ensure_future(self.cache.fetch("key", self.load)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await first
        self.assertEqual(await asyncio.gather(*others), [{"key": "key"}] * 3)
        self.assertEqual(self.calls, ["key"])

    async def test_a_task_that_is_cancelled_while_its_load_is_stored(self):
        for turn in range(20):
            loaded = asyncio.Event()

            async def load(key, loaded=loaded):
                loaded.set()
                return {"turn": turn}

            task = asyncio.ensure_future(self.cache.fetch(f"key {turn}", load, 60))
            await loaded.wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.assertIn(
                await self.cache.fetch(f"key {turn}", self.load, 60),
                ({"turn": turn}, {"key": f"key {turn}"}),
            )

    async def test_a_renewal_in_the_background(self):
        await self.cache.set("key", {"old": 1}, 1000, stale=999.99)
        while await self.cache.get("key") is not None:
            await asyncio.sleep(0.002)
        goes_on = asyncio.Event()

        async def renew(key):
            self.calls.append(key)
            await goes_on.wait()
            return {"new": 1}

        for _ in range(2):
            found = await self.cache.fetch("key", renew, 60, background=True)
            self.assertEqual(found, {"old": 1})
        while not self.calls:
            await asyncio.sleep(0.001)
        with self.assertRaises(hearth.DeadlockError):
            self.cache.cache.close()  # it would wait for a task of this very loop
        goes_on.set()
        while await self.cache.get("key") is None:
            await asyncio.sleep(0.001)
        self.assertEqual((await self.cache.get("key"), self.calls), ({"new": 1}, ["key"]))

    async def test_tags_reloads_and_conditional_loads(self):
        await self.cache.set("known", b"1", tags=["a tag"])
        await self.cache.set_many({"a": b"1", "b": [2]}, tags=["red"])
        self.assertEqual(await self.cache.get_many(["a", "b"]), {"a": b"1", "b": [2]})
        await self.cache.fetch("c", self.load, 60, tags=["red"])
        self.assertEqual(await self.cache.fetch("c", None), {"key": "c"})
        await self.cache.invalidate_tag("red")
        self.assertEqual(await self.cache.get_many(["a", "b", "c"]), {})
        await self.cache.set("key", b"old")
        self.assertEqual(await self.cache.fetch("key", self.load, 60, reload=True), {"key": "key"})
        await self.cache.mark_stale("key")

        async def unchanged(key, old):
            self.calls.append(old.value)
            return hearth.UNCHANGED

        found = await self.cache.fetch("key", unchanged, 60, conditional=True)
        self.assertEqual((found, self.calls[-1]), ({"key": "key"}, {"key": "key"}))
        self.assertEqual(await self.cache.get("key"), {"key": "key"})
        source = {}
        self.assertTrue(await self.cache.write_through("key", b"new", source.__setitem__, 60))
        self.assertEqual((await self.cache.get("key"), source), (b"new", {"key": b"new"}))

    async def test_many_keys_are_loaded_by_one_call(self):
        async def load(keys):
            self.calls.append(sorted(keys))
            await asyncio.sleep(0.001)
            return {key: {"key": key} for key in keys if key != "c"}

        await self.cache.set("b", b"there")
        wanted = {"a": {"key": "a"}, "b": b"there", "d": {"key": "d"}}
        both = [self.cache.fetch_many(order, load, 60) for order in (["d", "a", "b", "c"], "abcd")]
        self.assertEqual(await asyncio.gather(*both), [wanted] * 2)
        self.assertEqual(self.calls, [["a", "c", "d"]])
        self.assertTrue((await self.cache.get_value("c")).absent)
        self.assertEqual(await self.cache.fetch_many([], load), {})
        with self.assertRaises(ZeroDivisionError):
            await self.cache.fetch_many(["x", "y"], lambda keys: 1 / 0)
        started = asyncio.Event()

        async def endless(keys):
            started.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(self.cache.fetch_many(["x", "y"], endless))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.assertEqual(await self.cache.fetch_many("xy", load), {"x": {"key": "x"}, "y": {"key": "y"}})

    async def test_a_loader_that_waits_for_itself_or_closes_its_cache_is_told(self):
        async def itself(key):
            return await asyncio.gather(self.cache.fetch(key, itself))

        with self.assertRaises(hearth.DeadlockError):
            await self.cache.fetch("key", itself)
        with self.assertRaises(hearth.DeadlockError):
            await self.cache.fetch("key", lambda key: self.cache.close())
        self.assertFalse(self.cache.closed)

    async def test_the_decorator(self):
        @self.cache.cached(60, key="double:{number}")
        async def double(number):
            self.calls.append(number)
            return [number * 2]

        self.assertEqual([await double(2), await double(2), self.calls], [[4], [4], [2]])
        self.assertEqual(double.key(2), "double:2")
        self.assertEqual([await double.invalidate(2), await double.invalidate(2)], [True, False])
        self.assertEqual([await double(2), await double.refresh(2), self.calls], [[4], [4], [2] * 3])
        with self.assertRaises(TypeError):
            self.cache.cached(60)(len)


class OneNode(unittest.TestCase):
    """Tasks, loops and processes that end while a node is asked."""

    @classmethod
    def setUpClass(cls):
        cls.node = support.Server("redis")
        cls.addClassCleanup(cls.node.end)

    def setUp(self):
        self.cache = self.open(remote_timeout_ms=5000)

    def open(self, **options):
        cache = hearth.AsyncCache.from_url(
            self.node.url, remote_prefix=self.id(), local_max_bytes=0, **options
        )
        self.addCleanup(cache.cache.close)
        return cache

    async def all_is_well(self, cache=None, count=50):
        """Answers belong to their questions."""
        cache = cache or self.cache
        values = [b"%d" % number * 100 for number in range(count)]
        await asyncio.gather(*(cache.set(value, value) for value in values))
        self.assertEqual(await asyncio.gather(*map(cache.get, values)), values)
        self.assertEqual(await cache.get_many(values), dict(zip(values, values)))

    def under_way(self):
        return sum(len(queue._pending) for queue in self.cache.cache._queues[0]._all)

    def test_a_task_that_is_cancelled(self):
        async def scene():
            await self.cache.set("key", b"old")
            with self.node.held():
                tasks = [asyncio.ensure_future(self.cache.get("key")) for _ in range(40)]
                tasks += [asyncio.ensure_future(self.cache.get_many(["key", "two"]))]
                tasks += [asyncio.ensure_future(self.cache.set("two", b"new" * 1000))]
                done, _ = await asyncio.wait(tasks, timeout=0.02)
                self.assertEqual(done, set())
                for task in tasks:
                    task.cancel()
                done, left = await asyncio.wait(tasks, timeout=2)
                self.assertEqual((len(done), len(left)), (42, 0))
                self.assertTrue(all(task.cancelled() for task in tasks))
            await self.all_is_well()
            while self.under_way():
                await asyncio.sleep(0.001)

        asyncio.run(scene())
        with self.assertRaises(asyncio.TimeoutError), self.node.held():
            asyncio.run(asyncio.wait_for(self.cache.get("key"), 0.02))
        asyncio.run(self.all_is_well())

    def test_a_loop_that_is_closed_with_operations_in_flight(self):
        asyncio.run(self.all_is_well())
        kept = []
        for turn in range(3):
            loop = asyncio.new_event_loop()
            with self.node.held():
                tasks = [loop.create_task(self.cache.get("key")) for _ in range(20)]
                loop.run_until_complete(asyncio.wait(tasks, timeout=0.005))
                for task in tasks:
                    task._log_destroy_pending = False
                loop.close()
                self.assertGreater(self.under_way(), 0)
            if turn == 0:
                kept = tasks  # they wait for ever
            del tasks, task, loop
            gc.collect()
            asyncio.run(self.all_is_well())
        self.assertEqual(len(self.cache.cache._queues[0]._all), 1)  # a loop's is the next one's
        self.assertEqual(self.under_way(), 0)
        self.assertFalse(any(task.done() for task in kept))

    def test_several_loops_at_once(self):
        support.run_threads(4, lambda _: asyncio.run(self.all_is_well(count=100)))
        self.assertLessEqual(len(self.cache.cache._queues[0]._all), 4)

    def test_a_fork_with_operations_in_flight(self):
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        loop.run_until_complete(self.all_is_well())
        with self.node.held():
            task = loop.create_task(self.cache.get(b"0" * 100))
            loop.run_until_complete(asyncio.wait([task], timeout=0.01))

            def child():
                asyncio.set_event_loop(None)
                other = self.open()
                os.kill(self.node.process.pid, signal.SIGCONT)
                asyncio.run(self.all_is_well())
                asyncio.run(self.all_is_well(other))
                self.assertEqual(self.under_way(), 0)
                asyncio.run(self.cache.close())

            support.in_child(child)
        self.assertEqual(loop.run_until_complete(task), b"0" * 100)
        loop.run_until_complete(self.all_is_well())

    def test_a_cache_that_is_closed_while_tasks_wait(self):
        for closing in (lambda cache: cache.close(), lambda cache: asyncio.to_thread(cache.cache.close)):
            cache = self.open(remote_timeout_ms=100)

            async def scene(cache=cache, closing=closing):
                with self.node.held():
                    tasks = [asyncio.ensure_future(cache.set("key", b"1")) for _ in range(20)]
                    await asyncio.wait(tasks, timeout=0.01)
                    await closing(cache)
                    results = await asyncio.gather(*tasks, return_exceptions=True)
                self.assertTrue(
                    all(isinstance(each, (hearth.ClosedError, hearth.NodeError)) for each in results),
                    results,
                )
                with self.assertRaises(hearth.ClosedError):
                    await cache.get("key")
                with self.assertRaises(hearth.ClosedError):
                    await cache.fetch("key", None)

            asyncio.run(scene())

    def test_a_cache_that_nobody_knows_any_more(self):
        async def scene():
            cache = self.open(remote_timeout_ms=100)
            self.doCleanups()
            cache = hearth.AsyncCache.from_url(
                self.node.url, local_max_bytes=0, remote_timeout_ms=5000
            )
            await self.all_is_well(cache)
            gone, watched = weakref.ref(cache.cache), cache.cache._queues[0]._all[0]._fd
            before = descriptors()
            del cache
            gc.collect()
            self.assertIsNone(gone())
            self.assertLess(descriptors(), before)
            self.assertFalse(asyncio.get_running_loop().remove_reader(watched))
            await self.all_is_well(self.open())  # whose descriptors have the same numbers

        asyncio.run(scene())

    def test_a_node_that_is_gone(self):
        node = support.Server("redis")
        self.addCleanup(node.end)
        cache = hearth.AsyncCache.from_url(node.url, local_max_bytes=0, remote_timeout_ms=5000)
        self.addCleanup(cache.cache.close)

        async def scene():
            await cache.set("key", b"1")
            node.stop()
            self.assertEqual(await cache.get("key", 7), 7)
            self.assertIsNone(await cache.get_value("key"))
            self.assertEqual(await cache.get_many(["key", "other"]), {})
            self.assertEqual(cache.stats().failed_reads, 4)
            self.assertEqual(await cache.fetch("key", lambda key: b"2"), b"2")
            with self.assertRaises(hearth.DeleteQueuedError):
                await cache.delete("key")
            with self.assertRaises(hearth.NodeError):
                await cache.set("key", b"3")
            with self.assertRaises(hearth.NodeError) as raised:
                await cache.set_many({"key": b"3", "other": b"4"})
            self.assertEqual(set(raised.exception.failed), {"key", "other"})
            with self.assertRaises(hearth.NodeError) as raised:
                await cache.delete_many(["key"])

        asyncio.run(scene())


if __name__ == "__main__":
    support.main()
