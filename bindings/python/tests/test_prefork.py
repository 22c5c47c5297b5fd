# SPDX-License-Identifier: Apache-2.0
"""Forks in any order, and the end of processes with calls under way."""

import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import support

import hearth


class Forks(unittest.TestCase):
    """One Redis node, caches on it."""

    @classmethod
    def setUpClass(cls):
        cls.node = support.Server("redis")
        cls.addClassCleanup(cls.node.end)

    def open(self, **options):
        cache = hearth.Cache.from_url(
            self.node.url, remote_prefix=self.id(), remote_timeout_ms=5000, **options
        )
        self.addCleanup(cache.close)
        return cache

    def test_opened_in_the_master_used_in_the_workers(self):
        for used_before in (False, True):
            cache = self.open(share_bytes=100000)
            if used_before:
                cache.set("own", [0])
                self.assertEqual(cache.get("own"), [0])

            def work(cache=cache):
                name = f"key {os.getpid()}"
                for number in range(50):
                    cache.set(name, {"n": number})
                    assert cache.get(name) == {"n": number}
                    assert cache.get_value(name, local=False).value == {"n": number}
                    assert cache.fetch(f"{name} {number}", lambda key: key) == f"{name} {number}"

            for _ in range(3):
                support.in_child(work)
            work()

    def test_a_child_that_closes_leaves_the_parent_alone(self):
        cache = self.open(local_max_bytes=0)
        cache.set("key", b"parent")

        def work():
            assert cache.get("key") == b"parent"
            cache.set("key", b"child")
            cache.close()

        support.in_child(work)
        for number in range(1000):
            cache.set("key", b"%d" % number)
            self.assertEqual(cache.get("key"), b"%d" % number)

    def test_no_descriptor_is_shared(self):
        cache = self.open(local_max_bytes=0)
        cache.set("key", b"1")

        def peers():
            found = set()
            for name in os.listdir("/proc/self/fd"):
                try:
                    link = os.readlink(f"/proc/self/fd/{name}")
                except OSError:
                    continue
                if link.startswith("socket:"):
                    found.add(link)
            return found

        before = peers()

        def work():
            cache.get("key")
            # What the parent had is closed or not used: there is at least one of the child's own.
            assert peers() - before, (peers(), before)

        support.in_child(work)

    def test_forked_inside_a_loader(self):
        cache = self.open()

        def load(key):
            support.in_child(lambda: cache.set("from the child", b"1"))
            return b"loaded"

        self.assertEqual(cache.fetch("key", load), b"loaded")
        self.assertEqual(cache.get("from the child"), b"1")

    def test_what_a_parent_loads_is_its_childs_answer_too(self):
        cache = self.open()
        loading, done = threading.Event(), threading.Event()

        def load(key):
            loading.set()
            done.wait(20)
            return b"parent"

        thread = threading.Thread(target=cache.fetch, args=("key", load))
        thread.start()
        loading.wait(20)

        def work():
            assert cache.fetch("key", lambda key: b"child") == b"parent"
            cache.close()

        threading.Timer(0.1, done.set).start()
        support.in_child(work)
        thread.join()
        self.assertEqual(cache.get("key"), b"parent")

    def test_renewals_run_in_the_child_too(self):
        cache = self.open(local_max_ttl_ms=1000000)
        cache.set("key", b"old", 1000, stale=999.99)
        support.await_until(lambda: cache.get("key") is None)
        self.assertEqual(cache.fetch("key", lambda key: b"new", background=True), b"old")
        support.await_until(lambda: cache.get("key") == b"new")

        def work():
            cache.set("other", b"old", 1000, stale=999.99)
            support.await_until(lambda: cache.get("other") is None)
            assert cache.fetch("other", lambda key: b"new", background=True) == b"old"
            support.await_until(lambda: cache.get("other") == b"new")

        support.in_child(work)

    def test_multiprocessing(self):
        code = """
import multiprocessing, sys, hearth
cache = hearth.Cache.from_url(sys.argv[1], remote_timeout_ms=5000)
def work(number):
    cache.set(f"mp {number}", [number])
    return cache.get(f"mp {number}")
if __name__ == "__main__":
    cache.set("before", b"1")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(work, range(30)) == [[n] for n in range(30)]
    assert cache.get("mp 7") == [7]
"""
        done = support.run_python(code, self.node.url)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Ends(unittest.TestCase):
    """The end of the interpreter."""

    def assert_ends(self, code, seconds=10, status=0):
        start = time.monotonic()
        # What is registered first runs last: daemon threads have a moment after the package's end.
        first = "import atexit, time; atexit.register(time.sleep, 0.1)\n"
        done = support.run_python(f"{first}import hearth, threading, sys\n{code}")
        self.assertEqual((done.returncode, done.stderr), (status, ""), code)
        self.assertLess(time.monotonic() - start, seconds)
        return done.stdout

    def test_open_or_closed_or_forgotten(self):
        self.assert_ends("cache = hearth.Cache(); cache.set('k', [1]); cache.get('k')")
        self.assert_ends("cache = hearth.Cache(); cache.close(); cache.close()")
        self.assert_ends("for _ in range(50): hearth.Cache().set('k', b'1')")
        self.assert_ends("class A: pass\na = A(); a.a = a; a.cache = hearth.Cache()\ndel a")
        self.assert_ends("cache = hearth.Cache(); sys.exit(3)", status=3)

    def test_with_a_loader_under_way_in_a_daemon_thread(self):
        self.assert_ends(
            """
cache = hearth.Cache()
started = threading.Event()
def load(key):
    started.set()
    time.sleep(1000)
for key in ("a", "a", "b"):
    threading.Thread(target=cache.fetch, args=(key, load), daemon=True).start()
started.wait()
"""
        )

    def test_with_readers_and_writers_under_way_in_daemon_threads(self):
        self.assert_ends(
            """
cache = hearth.Cache(share_bytes=10000)
def work():
    while True:
        cache.set("key", [1]); cache.get("key"); cache.get("none"); cache.fetch("f", lambda key: None)
        cache.delete("f")
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""
        )

    def test_with_a_renewal_under_way(self):
        said = self.assert_ends(
            """
cache = hearth.Cache()
cache.set("key", b"old", 1000, stale=999.99)
while cache.get("key"): time.sleep(0.001)
def load(key):
    time.sleep(0.2)
    print("renewed")
    return b"new"
assert cache.fetch("key", load, background=True) == b"old"
"""
        )
        self.assertIn("renewed", said)

    def test_used_by_what_runs_at_exit(self):
        self.assert_ends(
            """
import atexit
cache = hearth.Cache()
def late():
    try:
        cache.set("key", b"1")
    except hearth.ClosedError:
        pass
atexit.register(late)
class Late:
    def __del__(self, late=late): late()
keep = Late()
"""
        )

    def test_ctrl_c_ends_a_program(self):
        code = """
import hearth, sys, time
cache = hearth.Cache()
def load(key):
    print("loading", flush=True)
    time.sleep(1000)
cache.fetch("key", load)
"""
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=support.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self.assertEqual(process.stdout.readline(), "loading\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        self.assertTrue(errors.strip().endswith("KeyboardInterrupt"), errors)


if __name__ == "__main__":
    support.main()
