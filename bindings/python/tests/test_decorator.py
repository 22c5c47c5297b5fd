# SPDX-License-Identifier: Apache-2.0
"""@cache.cached on functions, methods and coroutine functions."""

import asyncio
import contextvars
import threading
import time
import unittest

import support

import hearth
from hearth._call_keys import CallKeys

cache = hearth.Cache(local_max_bytes="1mb")
sharing = hearth.Cache(local_max_bytes="1mb", share_bytes=1 << 20)
calls = []


@cache.cached(ttl=60)
def plain(a, b=2, *rest, flag=False, **more):
    """What it is for."""
    calls.append((a, b, rest, flag, more))
    return b"%d" % len(calls)


@cache.cached(key="squared:{number}")
def squared(number):
    calls.append(number)
    return number * number if number >= 0 else None


@cache.cached()
async def later(number):
    calls.append(number)
    await asyncio.sleep(0.01)
    if number >= 13:
        raise ZeroDivisionError(number)
    return {"number": number} if number else None


class Account:
    def __init__(self, number):
        self.number = number

    @cache.cached(key="account:{self.number}:{page}", ttl=60)
    def posts(self, page=1):
        """Of this account."""
        calls.append((self.number, page))
        return [self.number, page]

    @cache.cached(key="account:{self.number}:later")
    async def later(self):
        calls.append(self.number)
        return [self.number]

    @staticmethod
    @cache.cached()
    def of_nobody(page):
        calls.append(page)
        return page

    @cache.cached(key="{cls.__name__}:{page}")
    @classmethod
    def of_all(cls, page):
        calls.append(page)
        return page


class Functions(unittest.TestCase):
    """Plain ones."""

    def setUp(self):
        calls.clear()

    def test_a_result_is_kept_by_its_arguments(self):
        first = plain(1)
        for again in (plain(1), plain(1, 2), plain(a=1), plain(1, b=2, flag=False)):
            self.assertEqual(again, first)
        self.assertEqual(len(calls), 1)
        for other in ((1, 3), (2,), ("1",), (1.0,), (True,), (None,), (b"1",), ([1],), ((1,),)):
            plain(*other)
        plain(1, flag=True)
        plain(1, x=1)
        plain(1, 2, 3)
        self.assertEqual(len(calls), 13)
        for other in (1.0, True, 1, "1", 1.0, True):
            plain(other)
        self.assertEqual(len(calls), 13)

    def test_keys_are_readable_and_pinned(self):
        name = f"{plain.__module__}.plain" if __name__ != "__main__" else "test_decorator.plain"
        for args, kwargs, text in (
            ((1,), {}, "1,2,flag=false"),
            (("ä\n\"'",), {"b": None}, '"ä\\n\\"\'",null,flag=false'),
            ((1.5, b"\0a"), {"flag": True}, "1.5,x'0061',flag=true"),
            (([1, "2"],), {"z": 1, "y": (2,)}, '[1,"2"],2,flag=false,y=(2,),z=1'),
            (({"b": 1, "a": []}, 2, 3, 4), {}, '{"a":[],"b":1},2,3,4,flag=false'),
            ((-0.0, 10**20), {}, "-0.0,100000000000000000000,flag=false"),
        ):
            self.assertEqual(plain.key(*args, **kwargs), f"{name}({text})")
        self.assertEqual(squared.key(7), "squared:7")

    def test_long_keys_end_in_a_hash(self):
        one, two = plain.key("x" * 300 + "1"), plain.key("x" * 300 + "2")
        self.assertNotEqual(one, two)
        self.assertEqual(one[:200], two[:200])
        self.assertTrue(len(one) <= 250)
        self.assertTrue(one.endswith("#9b45ea24446dfc1c5ec6610414a9a86c"), one)

    def test_what_has_no_stable_text_needs_a_key(self):
        for bad in (object(), {1, 2}, {1: 2}, time, Account(1), [object()]):
            with self.assertRaises(TypeError):
                plain(bad)
        with self.assertRaises(TypeError):
            plain()
        self.assertEqual(calls, [])

    def test_invalidate_and_refresh(self):
        self.assertEqual(squared(3), 9)
        self.assertEqual(squared(3), 9)
        self.assertTrue(squared.invalidate(3))
        self.assertFalse(squared.invalidate(3))
        self.assertEqual(squared(3), 9)
        self.assertEqual(squared.refresh(number=3), 9)
        self.assertEqual(calls, [3, 3, 3])
        self.assertEqual(cache.get("squared:3"), 9)

    def test_none_is_kept_as_what_does_not_exist(self):
        self.assertIsNone(squared(-1))
        self.assertIsNone(squared(-1))
        self.assertEqual(calls, [-1])

    def test_it_looks_like_the_function(self):
        self.assertEqual(plain.__name__, "plain")
        self.assertEqual(plain.__doc__, "What it is for.")
        self.assertEqual(plain.__wrapped__(1, 2, 3), b"1")

    def test_a_key_by_a_function_is_made_each_time(self):
        tenant = contextvars.ContextVar("tenant", default="a")

        @cache.cached(key=lambda page: f"{tenant.get()}:{page}")
        def page_of(page):
            calls.append(page)
            return f"{tenant.get()} {page}"

        self.assertEqual(page_of(1), "a 1")
        tenant.set("b")
        self.assertEqual(page_of(1), "b 1")
        self.assertEqual(page_of(1), "b 1")
        self.assertEqual(calls, [1, 1])

    def test_what_cannot_be_told_apart_is_refused_when_it_is_decorated(self):
        def inner(a):
            return a

        def method(self, a):
            return a

        def generator(a):
            yield a

        async def async_generator(a):
            yield a

        for function, key in (
            (inner, None),
            (lambda a: a, None),
            (method, None),
            (generator, "k"),
            (async_generator, "k"),
            (inner, "{b}"),
            (inner, "{}"),
            (inner, 5),
        ):
            with self.assertRaises(TypeError, msg=(function, key)):
                cache.cached(key=key)(function)
        with self.assertRaises(ValueError):
            cache.cached(ttl=5, stale=5)

    def test_exceptions_are_raised_and_not_kept(self):
        @cache.cached(key="failing")
        def failing():
            calls.append(1)
            raise ZeroDivisionError

        for _ in range(2):
            with self.assertRaises(ZeroDivisionError):
                failing()
        self.assertEqual(len(calls), 2)

    def test_many_threads_make_one_call(self):
        event = threading.Event()

        @cache.cached(key="slow:{a}")
        def slow(a):
            calls.append(a)
            event.wait(20)
            return a

        before = cache.stats().flight_waits

        def work(index):
            if index == 0:
                support.await_until(lambda: cache.stats().flight_waits - before >= 6)
                event.set()
                return 1
            return slow(1)

        self.assertEqual(support.run_threads(8, work), [1] * 8)
        self.assertEqual(calls, [1])

    def test_shared_results(self):
        @sharing.cached(key="shared:{a}")
        def shared(a):
            return {"a": a}

        shared(1)
        found = shared(1)
        self.assertIs(shared(1), found)
        shared.invalidate(1)
        self.assertIsNot(shared(1), found)

    def test_remembered_keys_are_bounded(self):
        @cache.cached(key="many:{a}")
        def many(a):
            return b"%d" % a

        for number in range(10000):
            self.assertEqual(many(number), b"%d" % number)
        self.assertEqual(many(5), b"5")

    def test_the_name_of_a_function_of_the_program(self):
        self.assertIn(CallKeys(plain.__wrapped__, None).of((1,), {}), plain.key(1))


class Tags(unittest.TestCase):
    """Results that have tags."""

    def test_a_tag_ends_results(self):
        cache.set("known", b"1", tags=["a tag"])  # a process's first load with a tag is not stored
        calls.clear()

        @cache.cached(key="page:{user}:{page}", tags=["user:{user}", lambda user, page=1: "pages"])
        def page_of(user, page=1):
            calls.append((user, page))
            return [user, page]

        for _ in range(2):
            self.assertEqual([page_of(1), page_of(1, 2), page_of(2)], [[1, 1], [1, 2], [2, 1]])
        self.assertEqual(len(calls), 3)
        cache.invalidate_tag("user:1")
        self.assertEqual([page_of(1), page_of(1, 2), page_of(2)], [[1, 1], [1, 2], [2, 1]])
        self.assertEqual(len(calls), 5)
        cache.invalidate_tag("pages")
        self.assertEqual([page_of(2), len(calls)], [[2, 1], 6])

    def test_a_namespace_is_forgotten_at_once(self):
        calls.clear()

        @cache.cached(ttl=60, key="row:{row}", namespace="rows")
        def row_of(row):
            calls.append(row)
            return [row]

        for _ in range(2):
            self.assertEqual([row_of(1), row_of(2)], [[1], [2]])
        self.assertEqual(calls, [1, 2])
        self.assertIn("row:1", cache.namespace("rows"))
        self.assertNotIn("row:1", cache)
        self.assertTrue(row_of.invalidate(1))
        self.assertEqual([row_of(1), row_of(2), calls], [[1], [2], [1, 2, 1]])
        cache.bump_namespace("rows")
        self.assertEqual([row_of(1), row_of(2), calls], [[1], [2], [1, 2, 1, 1, 2]])

    def test_wrong_tags_are_told_when_it_is_decorated(self):
        for tags in ("user:{user}", ["user:{nobody}"], [7], len):
            with self.assertRaises(TypeError):
                cache.cached(key="x", tags=tags)(lambda user: user)


class Methods(unittest.TestCase):
    """In classes."""

    def setUp(self):
        calls.clear()

    def test_a_result_is_kept_by_the_object_that_the_key_names(self):
        one, two = Account(1), Account(2)
        for _ in range(2):
            self.assertEqual(one.posts(), [1, 1])
            self.assertEqual(two.posts(page=1), [2, 1])
            self.assertEqual(Account(1).posts(1), [1, 1])
        self.assertEqual(calls, [(1, 1), (2, 1)])
        self.assertEqual(one.posts.key(3), "account:1:3")
        self.assertTrue(one.posts.invalidate())
        self.assertEqual(one.posts(), [1, 1])
        self.assertEqual(two.posts.refresh(1), [2, 1])
        self.assertEqual(calls, [(1, 1), (2, 1), (1, 1), (2, 1)])
        self.assertEqual(Account.posts(one, 1), [1, 1])
        self.assertEqual(Account.posts.key(one, 1), "account:1:1")
        self.assertEqual(Account.posts.__doc__, "Of this account.")
        with self.assertRaises(AttributeError):
            Account.posts.nothing

    def test_static_and_class_methods(self):
        for _ in range(2):
            self.assertEqual(Account.of_nobody(1), 1)
            self.assertEqual(Account.of_all(2), 2)
            self.assertEqual(Account(1).of_all(2), 2)
        self.assertEqual(calls, [1, 2])
        self.assertEqual(Account.of_all.key(2), "Account:2")
        self.assertEqual(Account(1).of_all.key(2), "Account:2")
        self.assertTrue(Account.of_all.invalidate(2))
        self.assertEqual(Account.of_all(2), 2)
        self.assertEqual(calls, [1, 2, 2])


class Coroutines(unittest.TestCase):
    """Coroutine functions."""

    def setUp(self):
        calls.clear()

    def run_all(self, *coroutines):
        async def together():
            return await asyncio.gather(*coroutines, return_exceptions=True)

        return asyncio.run(together())

    def test_a_result_is_kept(self):
        self.assertEqual(self.run_all(later(1)), [{"number": 1}])
        self.assertEqual(self.run_all(later(1)), [{"number": 1}])
        self.assertEqual(calls, [1])
        self.assertTrue(later.invalidate(1))
        self.assertEqual(self.run_all(later(1)), [{"number": 1}])
        self.assertEqual(self.run_all(later.refresh(1)), [{"number": 1}])
        self.assertEqual(calls, [1, 1, 1])
        self.assertEqual(self.run_all(later(0), later(0)), [None, None])
        self.assertEqual(self.run_all(later(0)), [None])
        self.assertEqual(calls, [1, 1, 1, 0])

    def test_a_local_hit_does_not_leave_the_loop(self):
        self.run_all(later(2))
        cache.set(later.key(2), b"at once")
        try:
            later(2).send(None)
        except StopIteration as answer:
            self.assertEqual(answer.value, b"at once")
        else:
            self.fail("it waits")

    def test_many_tasks_make_one_call(self):
        results = self.run_all(*(later(3) for _ in range(50)))
        self.assertEqual(results, [{"number": 3}] * 50)
        self.assertEqual(len(set(map(id, results))), 50)
        self.assertEqual(calls, [3])

    def test_many_loops_in_threads_make_one_call(self):
        def work(_):
            return self.run_all(*(later(4) for _ in range(3)))

        self.assertEqual(support.run_threads(4, work), [[{"number": 4}] * 3] * 4)
        self.assertEqual(calls, [4])

    def test_an_exception_reaches_all_tasks(self):
        for _ in range(2):
            results = self.run_all(*(later(13) for _ in range(5)))
            self.assertEqual({type(each) for each in results}, {ZeroDivisionError})
        self.assertEqual(calls, [13, 13])

    def test_a_task_takes_over_from_one_that_is_cancelled(self):
        async def scene():
            first = asyncio.ensure_future(later(5))
            await asyncio.sleep(0)
            others = [asyncio.ensure_future(later(5)) for _ in range(3)]
            while not calls:
                await asyncio.sleep(0.001)
            first.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await first
            return await asyncio.gather(*others)

        self.assertEqual(asyncio.run(scene()), [{"number": 5}] * 3)
        self.assertEqual(calls, [5, 5])

    def test_a_coroutine_that_waits_for_itself_is_told(self):
        @cache.cached(key="itself")
        async def itself():
            return await asyncio.gather(itself())

        self.assertIsInstance(self.run_all(itself())[0], hearth.DeadlockError)

        @cache.cached(key="closing")
        async def closing():
            cache.close()

        self.assertIsInstance(self.run_all(closing())[0], hearth.DeadlockError)
        self.assertFalse(cache.closed)

    def test_a_stale_result_stays_the_answer_if_the_renewal_fails(self):
        cache.set(later.key(14), {"old": 1}, 1000, stale=999.99)
        support.await_until(lambda: cache.get(later.key(14)) is None)
        with self.assertLogs("hearth", "WARNING"):
            self.assertEqual(self.run_all(later(14)), [{"old": 1}])
        self.assertEqual(calls, [14])

    def test_methods(self):
        one = Account(1)
        self.assertEqual(self.run_all(one.later(), one.later()), [[1], [1]])
        self.assertEqual(calls, [1])
        self.assertTrue(one.later.invalidate())
        self.assertEqual(self.run_all(one.later.refresh()), [[1]])
        self.assertEqual(calls, [1, 1])


if __name__ == "__main__":
    support.main()
