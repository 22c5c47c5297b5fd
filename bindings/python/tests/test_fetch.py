# SPDX-License-Identifier: Apache-2.0
"""Read-through: who loads, who waits, what is stored."""

import contextvars
import gc
import signal
import threading
import time
import unittest
import weakref
from unittest import mock

import support

import hearth


class Loader:
    """Counts its calls, and answers as it is told."""

    def __init__(self, answer=b"loaded", wait=None):
        self.answer, self.wait, self.calls = answer, wait, []

    def __call__(self, key):
        self.calls.append(key)
        if self.wait:
            self.wait.wait(20)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class OwnError(Exception):
    """One that the cache knows nothing of."""


class Fetch(unittest.TestCase):
    """One process, the embedded tier."""

    def setUp(self):
        self.cache = hearth.Cache(local_max_bytes="1mb")
        self.addCleanup(self.cache.close)

    def waiting(self):
        return self.cache.stats().flight_waits

    def test_what_is_not_there_is_loaded_once_and_kept(self):
        for value in (b"1", "text", {"a": [1]}, 5, 0, "", b"", False, []):
            loader = Loader(value)
            key = f"key {value!r}"
            for _ in range(3):
                self.assertEqual(self.cache.fetch(key, loader, 60), value)
            self.assertEqual(loader.calls, [key])
            self.cache.evict_local(key)
            self.assertEqual(self.cache.fetch(key, loader, 60), value)
            self.assertEqual(self.cache.get(key), value)
            self.assertEqual(loader.calls, [key])

    def test_none_means_that_it_does_not_exist(self):
        loader = Loader(None)
        for _ in range(3):
            self.assertIsNone(self.cache.fetch("key", loader))
        self.assertEqual(len(loader.calls), 1)
        self.assertEqual(self.cache.get("key", 7), 7)
        known = self.cache.get_value("key")
        self.assertEqual((known.value, known.absent), (None, True))
        self.assertTrue(0 < known.ttl_left_ms <= 5000)
        self.assertTrue(self.cache.fetch_value("key", loader).absent)
        self.cache.delete("key")
        self.assertIsNone(self.cache.get_value("key"))

    def test_a_loader_says_how_long_its_result_lives(self):
        self.cache.fetch("key", lambda key: hearth.Loaded({"a": 1}, ttl=7), 60)
        self.assertEqual(self.cache.get("key"), {"a": 1})
        self.assertTrue(6000 < self.cache.get_value("key").ttl_left_ms <= 7000)
        self.cache.fetch("absent", lambda key: hearth.Loaded(None, ttl=50), 60)
        self.assertTrue(40000 < self.cache.get_value("absent").ttl_left_ms <= 50000)
        self.cache.fetch("usual", lambda key: hearth.Loaded(b"1"), 60)
        self.assertTrue(50000 < self.cache.get_value("usual").ttl_left_ms <= 60000)

    def test_what_is_known_of_what_was_loaded(self):
        self.assertEqual(self.cache.fetch_value("key", Loader([1])).tier, "loaded")
        known = support.kept(lambda: self.cache.fetch_value("key", Loader([2])))
        self.assertEqual(known.value, [1])

    def test_get_or_set_takes_a_function_or_a_value(self):
        self.assertEqual(self.cache.get_or_set("a", lambda: [1]), [1])
        self.assertEqual(self.cache.get_or_set("a", lambda: [2]), [1])
        self.assertEqual(self.cache.get_or_set("b", "value", 5), "value")
        self.assertTrue(self.cache.get_value("b").ttl_left_ms <= 5000)

    # ---- many callers ----

    def crowd(self, loader, count=8):
        """So many fetch one key: the first loads, the loader goes on when the others wait."""
        before = self.waiting()

        def work(index):
            if index == 0:
                support.await_until(lambda: self.waiting() - before >= count - 2)
                loader.wait.set()
                return None
            try:
                return self.cache.fetch("key", loader)
            except Exception as error:
                return error

        return support.run_threads(count, work)[1:]

    def test_of_many_callers_one_loads(self):
        loader = Loader({"a": 1}, threading.Event())
        results = self.crowd(loader)
        self.assertEqual(results, [{"a": 1}] * 7)
        self.assertEqual(len(loader.calls), 1)
        for result in results[1:]:
            self.assertIsNot(result, results[0])

    def test_of_many_callers_all_learn_that_it_does_not_exist(self):
        loader = Loader(None, threading.Event())
        self.assertEqual(self.crowd(loader), [None] * 7)
        self.assertEqual(len(loader.calls), 1)

    def test_an_exception_reaches_all_as_itself_and_nothing_is_kept(self):
        error = OwnError("no such table")
        loader = Loader(error, threading.Event())
        for result in self.crowd(loader):
            self.assertIs(result, error)
        self.assertEqual(len(loader.calls), 1)
        self.assertIsNone(self.cache.get_value("key"))
        self.assertEqual(self.cache.fetch("key", Loader(b"better")), b"better")

    def test_an_exception_is_not_held_when_all_have_it(self):
        class Held:
            pass

        held = Held()
        seen = weakref.ref(held)

        def load(key, held=held):
            raise OwnError(held)

        with self.assertRaises(OwnError):
            self.cache.fetch("key", load)
        del load, held
        gc.collect()
        self.assertIsNone(seen())

    def test_who_waits_takes_over_from_who_was_interrupted(self):
        event = threading.Event()
        calls = []

        def load(key):
            calls.append(key)
            if len(calls) == 1:
                event.wait(20)
                raise SystemExit
            return b"second"

        def work(index):
            if index == 0:
                support.await_until(lambda: self.waiting() >= 3)
                event.set()
                return None
            try:
                return self.cache.fetch("key", load)
            except SystemExit:
                return "ended"

        results = support.run_threads(5, work)[1:]
        self.assertEqual(sorted(map(str, results)), ["b'second'"] * 3 + ["ended"])
        self.assertEqual(len(calls), 2)

    def test_garbage_from_a_loader_is_a_serialization_error_to_all(self):
        loader = Loader((1, 2), threading.Event())
        for result in self.crowd(loader):
            self.assertIsInstance(result, hearth.SerializationError)
        self.assertEqual(len(loader.calls), 1)
        self.assertEqual(self.cache.fetch("key", Loader(b"1")), b"1")

    def test_what_is_too_large_to_store_is_the_answer_all_the_same(self):
        with hearth.Cache(remote_max_value_bytes="1kb") as cache:
            loader = Loader("x" * 2000)
            self.assertEqual(cache.fetch("key", loader), loader.answer)
            self.assertEqual(cache.fetch_value("key", loader).value, loader.answer)
            self.assertEqual(len(loader.calls), 2)
            with self.assertRaises(hearth.TooLargeError):
                cache.set("key", loader.answer)

    def test_a_loader_that_cannot_be_called(self):
        with self.assertRaises(TypeError):
            self.cache.fetch("key", None)
        with self.assertRaises(TypeError):
            self.cache.fetch("key", lambda: b"no argument")
        self.assertEqual(self.cache.fetch("key", Loader(b"1")), b"1")

    def test_a_write_voids_the_load_that_it_overtakes(self):
        for write in (
            lambda: self.cache.set("key", b"written"),
            lambda: self.cache.delete("key"),
        ):
            self.cache.delete("key")

            def load(key, write=write):
                write()
                return b"old"

            self.assertEqual(self.cache.fetch("key", load), b"old")
            self.assertNotEqual(self.cache.get("key"), b"old")

    def test_who_waits_too_long_is_told(self):
        loader = Loader(b"late", threading.Event())

        def work(index):
            if index == 0:
                return self.cache.fetch("key", loader)
            support.await_until(lambda: loader.calls)
            try:
                return self.cache.fetch("key", loader, timeout=0.05)
            except hearth.LoadTimeoutError as error:
                self.assertIsInstance(error, TimeoutError)
                self.assertEqual(error.key, "key")
                loader.wait.set()
                return "told"

        self.assertEqual(support.run_threads(2, work), [b"late", "told"])

    # ---- nested loads ----

    def test_a_loader_may_fetch_other_keys(self):
        def load(key):
            return b"%d" % (int(self.cache.fetch(str(int(key) - 1), load)) + 1) if key != "0" else b"0"

        self.assertEqual(self.cache.fetch("30", load), b"30")

    def test_a_loader_that_fetches_its_own_key_is_told(self):
        with self.assertRaises(hearth.DeadlockError):
            self.cache.fetch("key", lambda key: self.cache.fetch(key, Loader()))

        def through_another(key):
            return self.cache.fetch("b" if key == "a" else "a", through_another)

        with self.assertRaises(hearth.DeadlockError):
            self.cache.fetch("a", through_another)
        self.assertEqual(self.cache.fetch("key", Loader(b"1")), b"1")

    def test_loaders_that_wait_for_each_other_are_told(self):
        both = threading.Barrier(2)

        def load(key):
            both.wait(20)
            return self.cache.fetch("b" if key == "a" else "a", Loader(b"inner"))

        def work(index):
            try:
                return self.cache.fetch("ab"[index], load)
            except hearth.DeadlockError:
                return "deadlock"

        results = support.run_threads(2, work)
        self.assertIn("deadlock", results)

    def test_loads_that_overtake_each_other_are_no_deadlock(self):
        """A write lets a second load of the key begin while the first still runs."""
        first, second = threading.Event(), threading.Event()
        calls = []

        def load(key):
            calls.append(key)
            if len(calls) == 1:
                self.cache.set("key", b"written")
                self.cache.delete("key")
                first.set()
                second.wait(20)
                return b"first"
            second.set()
            support.await_until(lambda: done)
            return b"second"

        done = []

        def work(index):
            if index == 0:
                self.assertEqual(self.cache.fetch("key", load), b"first")
                done.append(1)
                return self.cache.fetch("key", load)
            first.wait(20)
            return self.cache.fetch("key", load)

        self.assertEqual(support.run_threads(2, work), [b"second"] * 2)

    def test_a_loader_cannot_close_its_cache(self):
        def load(key):
            self.cache.close()

        with self.assertRaises(hearth.DeadlockError):
            self.cache.fetch("key", load)
        self.assertFalse(self.cache.closed)
        self.assertEqual(self.cache.fetch("key", Loader(b"1")), b"1")

    # ---- whatever is cached ----

    def test_a_reload_loads_whatever_is_cached(self):
        self.cache.set("key", b"old", 60)
        self.assertEqual(self.cache.fetch("key", Loader(b"new"), reload=True), b"new")
        self.assertEqual(self.cache.get("key"), b"new")
        self.assertEqual(self.cache.fetch_value("key", Loader(b"newer"), reload=True).tier, "loaded")
        with self.assertRaises(OwnError):
            self.cache.fetch("key", Loader(OwnError()), reload=True)
        self.assertEqual(self.cache.get("key"), b"newer")
        self.assertEqual(self.cache.fetch("none", Loader(b"1"), reload=True), b"1")

    def test_a_conditional_load_has_the_old_value(self):
        seen = []

        def load(key, old):
            seen.append(old and old.value)
            return hearth.UNCHANGED if old else {"etag": 1}

        self.assertEqual(self.cache.fetch("key", load, 60, conditional=True), {"etag": 1})
        self.cache.mark_stale("key")
        self.assertEqual(self.cache.fetch("key", load, 60, conditional=True), {"etag": 1})
        self.assertEqual(seen, [None, {"etag": 1}])
        self.assertFalse(self.cache.get_value("key").stale)
        self.assertEqual(self.cache.fetch("key", load, 60, conditional=True, reload=True), {"etag": 1})
        self.assertEqual(seen, [None, {"etag": 1}, {"etag": 1}])
        with self.assertRaises(hearth.LoadError):
            self.cache.fetch("none", lambda key, old: hearth.UNCHANGED, conditional=True)

    # ---- many keys ----

    def test_many_keys_are_loaded_by_one_call(self):
        calls = []

        def load(keys):
            calls.append(keys)
            return {key: {"key": key} for key in keys if key != "c"}

        self.cache.set("b", b"there")
        wanted = {"a": {"key": "a"}, "b": b"there", "d": {"key": "d"}}
        for _ in range(2):
            found = self.cache.fetch_many(["d", "a", "b", "c", "a"], load, 60)
            self.assertEqual((found, list(found)), (wanted, ["d", "a", "b"]))
        self.assertEqual(calls, [["a", "c", "d"]])
        self.assertTrue(self.cache.get_value("c").absent)
        self.assertEqual(self.cache.fetch_many([], load), {})

    def test_a_loader_of_many_that_raises(self):
        with self.assertRaises(OwnError):
            self.cache.fetch_many(["a", "b"], Loader(OwnError()))
        self.assertEqual(self.cache.fetch_many(["a", "b"], Loader({"a": 1})), {"a": 1})
        self.cache.mark_stale("a")
        with self.assertLogs("hearth", "WARNING"):
            self.assertEqual(self.cache.fetch_many(["a"], Loader(OwnError())), {"a": 1})

    def test_many_keys_of_which_others_load_some(self):
        leading = Loader(b"theirs", threading.Event())
        other = threading.Thread(target=self.cache.fetch, args=("b", leading))
        other.start()
        support.await_until(lambda: leading.calls)

        def load(keys):
            self.assertEqual(keys, ["a", "c"])
            leading.wait.set()
            return dict.fromkeys(keys, b"ours")

        found = self.cache.fetch_many(["a", "b", "c"], load)
        other.join()
        self.assertEqual(found, {"a": b"ours", "b": b"theirs", "c": b"ours"})

    def test_two_who_want_the_same_keys_do_not_wait_for_each_other(self):
        def work(index):
            keys = [f"key {number}" for number in range(20)][:: 1 if index % 2 else -1]
            return self.cache.fetch_many(keys, lambda keys: dict.fromkeys(keys, index), 60)

        results = support.run_threads(6, work)
        self.assertTrue(all(each == results[0] for each in results))

    # ---- interruptions ----

    def test_ctrl_c_in_a_loader(self):
        def load(key):
            signal.raise_signal(signal.SIGINT)
            time.sleep(20)

        for _ in range(3):
            with self.assertRaises(KeyboardInterrupt):
                self.cache.fetch("key", load)
        self.assertEqual(self.cache.fetch("key", Loader(b"1")), b"1")

    def test_ctrl_c_while_another_loads(self):
        loader = Loader(b"late", threading.Event())
        other = threading.Thread(target=self.cache.fetch, args=("key", loader))
        other.start()
        support.await_until(lambda: loader.calls)
        before = self.waiting()

        def interrupt():
            support.await_until(lambda: self.waiting() > before)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        killer = threading.Thread(target=interrupt)
        killer.start()
        with self.assertRaises(KeyboardInterrupt):
            self.cache.fetch("key", loader)
        killer.join()
        self.assertTrue(other.is_alive())  # it was not waited for
        loader.wait.set()
        other.join()
        self.assertEqual(self.cache.get("key"), b"late")


    def test_a_signal_handler_cannot_close_what_it_came_in_between_of(self):
        told = []

        def handler(number, frame):
            try:
                self.cache.close()
            except hearth.DeadlockError:
                told.append(1)

        before = signal.signal(signal.SIGUSR1, handler)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        call = self.cache._handle.take()
        signal.raise_signal(signal.SIGUSR1)
        self.cache._handle.give(call)
        self.assertEqual(told, [1])
        self.assertFalse(self.cache.closed)


class Stale(unittest.TestCase):
    """Values past their soft life."""

    def setUp(self):
        self.cache = hearth.Cache(local_max_bytes="1mb", load_retry_after_ms=0)
        self.addCleanup(self.cache.close)
        self.cache.set("key", b"old", 1000, stale=999.99)
        support.await_until(lambda: self.cache.get("key") is None)

    def test_who_finds_it_renews_it(self):
        self.assertEqual(self.cache.fetch("key", Loader(b"new")), b"new")
        self.assertEqual(self.cache.get("key"), b"new")

    def test_the_others_get_it_meanwhile(self):
        loader = Loader(b"new", threading.Event())

        def work(index):
            if index == 0:
                return self.cache.fetch("key", loader)
            support.await_until(lambda: loader.calls)
            found = [self.cache.fetch("key", loader) for _ in range(10)]
            known = self.cache.fetch_value("key", loader)
            self.assertEqual((known.value, known.stale), (b"old", True))
            loader.wait.set()
            return found

        self.assertEqual(support.run_threads(2, work), [b"new", [b"old"] * 10])
        self.assertEqual(len(loader.calls), 1)

    def test_it_stays_the_answer_if_the_renewal_fails(self):
        for background in (False, True):
            with self.assertLogs("hearth", "WARNING") as logs:
                loader = Loader(OwnError("down"))
                found = self.cache.fetch("key", loader, background=background)
                self.assertEqual(found, b"old")
                support.await_until(lambda: logs.output)
            self.assertIn("down", logs.output[0])
        self.assertEqual(self.cache.fetch("key", Loader(b"new")), b"new")

    def test_in_the_background_nobody_waits(self):
        tenant = contextvars.ContextVar("tenant")
        tenant.set("acme")
        seen = []
        event = threading.Event()

        def load(key):
            event.wait(20)
            seen.append((tenant.get(), threading.current_thread().name))
            return b"new"

        self.assertEqual(self.cache.fetch("key", load, background=True), b"old")
        self.assertEqual(self.cache.fetch("key", load, background=True), b"old")
        event.set()
        support.await_until(lambda: self.cache.get("key") == b"new")
        self.assertEqual(len(seen), 1)
        self.assertEqual(seen[0][0], "acme")
        self.assertIn("hearth-renewal", seen[0][1])

    def test_closing_waits_for_a_renewal_and_drops_those_that_wait(self):
        cache = hearth.Cache(load_workers=1)
        for key in ("a", "b", "c"):
            cache.set(key, b"old", 1000, stale=999.99)
        support.await_until(lambda: not cache.get_many("abc"))
        loader = Loader(b"new", threading.Event())
        for key in ("a", "b", "c"):
            self.assertEqual(cache.fetch(key, loader, background=True), b"old")
        support.await_until(lambda: loader.calls)
        threading.Timer(0.05, loader.wait.set).start()
        cache.close()
        self.assertEqual(loader.calls, ["a"])


    def test_renewals_that_wait_are_bounded(self):
        keys = [f"key{number}" for number in range(6)]
        with hearth.Cache(load_workers=1, load_retry_after_ms=0) as cache, mock.patch("hearth._loads._MOST_WAITING", 2):
            cache.set_many(dict.fromkeys(keys, b"old"), 1000, stale=999.99)
            support.await_until(lambda: not cache.get_many(keys))
            loader = Loader(b"new", threading.Event())
            for key in keys:
                self.assertEqual(cache.fetch(key, loader, background=True), b"old")
            loader.wait.set()
            support.await_until(lambda: len(cache.get_many(keys)) == 2)
            self.assertEqual(cache.fetch("key5", loader), b"new")
            self.assertEqual(loader.calls, ["key0", "key1", "key5"])


class Guard(unittest.TestCase):
    """Keys that do not exist."""

    def setUp(self):
        self.cache = hearth.Cache(guard_expected_keys=1000, guard_view_ms=0, guard_audit=0)
        self.addCleanup(self.cache.close)

    def test_what_does_not_exist_is_not_loaded(self):
        loader = Loader(b"1")
        self.cache.guard_rebuild(f"key{n}" for n in range(100))
        self.assertEqual(self.cache.fetch("key7", loader), b"1")
        denied = sum(self.cache.fetch(f"none{n}", loader) is None for n in range(100))
        self.assertTrue(denied > 80, denied)
        known = self.cache.get_value("none1000")
        self.assertTrue(known is None or known.tier == "guard")
        self.cache.guard_add("new")
        self.assertEqual(self.cache.fetch("new", loader), b"1")

    def test_an_exception_of_the_iteration_reaches_the_caller(self):
        def keys():
            yield "a"
            raise OwnError("cursor lost")

        with self.assertRaises(OwnError):
            self.cache.guard_rebuild(keys())
        for bad in ([1], [""], [None]):
            with self.assertRaises((TypeError, ValueError)):
                self.cache.guard_rebuild(bad)
        with self.assertRaises(KeyboardInterrupt):
            self.cache.guard_rebuild(self.interrupting())
        self.assertEqual(self.cache.stats().guard_certified, 0)
        self.cache.guard_rebuild([])
        self.assertEqual(self.cache.stats().guard_certified, 1)

    def interrupting(self):
        yield "a"
        signal.raise_signal(signal.SIGINT)
        yield "b"

    def test_a_filter_is_saved_and_loaded(self):
        import pathlib
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "filter"
            self.assertFalse(self.cache.guard_save(path))
            self.cache.guard_rebuild(["a", b"b"])
            self.assertTrue(self.cache.guard_save(path))
            with hearth.Cache(guard_expected_keys=1000, guard_audit=0) as other:
                self.assertTrue(other.guard_load(path))
                self.assertEqual(other.stats().guard_certified, 1)
            with self.assertRaises(hearth.NodeUnavailableError):
                self.cache.guard_load(pathlib.Path(folder) / "none")
        with hearth.Cache() as other, self.assertRaises(hearth.UnsupportedError):
            other.guard_rebuild([])


if __name__ == "__main__":
    support.main()
