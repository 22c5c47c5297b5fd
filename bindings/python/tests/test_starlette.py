# SPDX-License-Identifier: Apache-2.0
"""Responses kept by Cache-Control, and a cache whose verbs are coroutines."""

import asyncio
import threading
import unittest

import support

import hearth
from hearth.starlette import CacheDependency, LoopCache, ResponseCache

HAS_STARLETTE = support.has("starlette") and support.has("httpx")
if HAS_STARLETTE:
    import httpx
    from starlette.applications import Starlette
    from starlette.responses import Response, StreamingResponse


@unittest.skipUnless(HAS_STARLETTE, "no starlette, httpx here")
class Responses(unittest.TestCase):
    """What is kept and what not."""

    def setUp(self):
        self.cache = hearth.Cache(local_max_bytes="1mb", embedded_max_bytes="4mb")
        self.addCleanup(self.cache.close)
        self.calls = 0

    def ask(self, headers, *requests, status=200, body=None, path="/", **settings):
        """What comes of these requests, each the headers of one, where the answer has those."""

        async def endpoint(request):
            self.calls += 1
            if body == "stream":
                return StreamingResponse((f"{at}" for at in range(5)), status, dict(headers))
            made = body if body is not None else f"answer {self.calls}"
            return Response(made, status, dict(headers))

        app = Starlette()
        app.add_route("/", endpoint, methods=["GET", "POST"])
        wrapped = ResponseCache(app, self.cache, **settings)

        async def go():
            found = []
            async with httpx.AsyncClient(app=wrapped, base_url="http://t") as client:
                for each in requests:
                    each = dict(each)
                    method = each.pop("method", "GET")
                    found.append(await client.request(method, each.pop("path", path), headers=each))
            return found

        return asyncio.run(go())

    def kept(self, headers, request=(), **settings):
        """Whether a second request is answered without the application."""
        self.calls = 0
        self.cache = hearth.Cache(local_max_bytes="1mb", embedded_max_bytes="1mb")
        first, second = self.ask(headers, request, request, **settings)
        self.cache.close()
        self.assertEqual(self.calls, 1 if first.text == second.text else 2)
        return self.calls == 1

    def test_lives(self):
        for control, kept in (
            ("max-age=60", True), ("max-age=0", False), ("max-age=0, s-maxage=9", True),
            ("s-maxage=0, max-age=60", False), ("no-store", False), ("max-age=60, no-store", False),
            ("private, max-age=60", False), ("no-cache, max-age=60", False), ("public", False),
            ('MAX-AGE="60"', True), ("max-age=nonsense", False), ("max-age=-1", False),
        ):  # fmt: skip
            self.assertEqual(self.kept([("cache-control", control)]), kept, control)
        self.assertFalse(self.kept([]))
        self.assertTrue(self.kept([], ttl=60))
        self.assertFalse(self.kept([("cache-control", "public")], ttl=60))

    def test_what_is_somebodys_own(self):
        public, plain = ("cache-control", "public, max-age=60"), ("cache-control", "max-age=60")
        for headers, request, kept in (
            ([plain, ("set-cookie", "a=b")], (), False),
            ([plain], [("authorization", "x")], False),
            ([public], [("authorization", "x")], True),
            ([plain, ("vary", "*")], (), False),
        ):
            self.assertEqual(self.kept(headers, request), kept, (headers, request))
        self.assertFalse(self.kept([], [("cookie", "a=b")], ttl=60))

    def test_who_is_known_does_not_get_what_is_not_public(self):
        found = self.ask([("cache-control", "max-age=60")], (), [("authorization", "x")])
        self.assertEqual([each.text for each in found], ["answer 1", "answer 2"])

    def test_only_get_and_whole(self):
        control = [("cache-control", "max-age=60")]
        self.assertFalse(self.kept(control, [("method", "POST")]))
        self.assertFalse(self.kept(control, [("range", "bytes=0-1")]))
        self.assertFalse(self.kept(control, status=500))
        self.assertTrue(self.kept(control, status=404))

    def test_what_the_request_says(self):
        control = [("cache-control", "max-age=60")]
        found = self.ask(
            control, [("cache-control", "only-if-cached")], (), [("cache-control", "no-store")],
            [("cache-control", "no-cache")], (), [("cache-control", "only-if-cached")],
        )  # fmt: skip
        self.assertEqual(found[0].status_code, 504)
        self.assertEqual(
            [each.text for each in found[1:]],
            ["answer 1", "answer 2", "answer 3", "answer 3", "answer 3"],
        )

    def test_addresses_are_apart(self):
        found = self.ask(
            [("cache-control", "max-age=60")], (), [("path", "/?a=1")], [("host", "other")], ()
        )
        self.assertEqual([each.text[-1] for each in found], ["1", "2", "3", "1"])

    def test_vary(self):
        headers = [("cache-control", "max-age=60"), ("vary", "Accept-Language, X-Own")]
        found = self.ask(
            headers, *([("accept-language", each)] for each in ("de", "en", "de", "en"))
        )
        self.assertEqual([each.text[-1] for each in found], ["1", "2", "1", "2"])

    def test_tags(self):
        control = ("cache-control", "max-age=60")
        first, again = self.ask([control], (), ())
        tag = first.headers["etag"]
        self.assertEqual(again.headers["etag"], tag)
        self.assertNotIn("age", first.headers)
        self.assertIn("age", again.headers)
        for wanted, status in (
            (tag, 304), (f"W/{tag}", 304), (f'"other", {tag}', 304), ("*", 304), ('"other"', 200)
        ):  # fmt: skip
            (found,) = self.ask([control], [("if-none-match", wanted)])
            self.assertEqual(found.status_code, status, wanted)
            self.assertEqual(found.text, "" if status == 304 else "answer 1")
            self.assertEqual(found.headers["etag"], tag)
            self.assertEqual(found.headers["cache-control"], "max-age=60")
        self.assertEqual(self.calls, 1)

    def test_a_tag_of_the_applications(self):
        found = self.ask([("cache-control", "max-age=60"), ("etag", '"own"')], (), ())
        self.assertEqual([each.headers["etag"] for each in found], ['"own"'] * 2)

    def test_bodies(self):
        control = [("cache-control", "max-age=60")]
        self.assertTrue(self.kept(control, body=bytes(range(256))))
        for most, calls in ((5, 1), (3, 2)):
            self.calls, self.cache = 0, hearth.Cache(local_max_bytes="1mb", embedded_max_bytes="1mb")
            self.addCleanup(self.cache.close)
            found = self.ask(control, (), (), body="stream", max_body_bytes=most)
            self.assertEqual([each.text for each in found], ["01234"] * 2)
            self.assertEqual(self.calls, calls)

    def test_a_cache_that_fails_fails_no_request(self):
        node = support.Server("redis")
        self.addCleanup(node.end)
        self.cache = hearth.Cache.from_url(node.url, local_max_bytes=0)
        self.addCleanup(self.cache.close)
        node.stop()
        found = self.ask([("cache-control", "max-age=60")], (), ())
        self.cache.close()
        found += self.ask([("cache-control", "max-age=60")], ())
        self.assertEqual([each.text for each in found], ["answer 1", "answer 2", "answer 3"])


class Verbs(unittest.TestCase):
    """LoopCache."""

    def test_verbs(self):
        dependency = CacheDependency(local_max_bytes="1mb")
        self.addCleanup(dependency.close)
        cache = dependency()
        self.assertIs(cache, dependency())
        calls, asked = [], []

        async def go():
            all_ask = asyncio.Event()

            async def load():
                calls.append(threading.get_ident())
                await all_ask.wait()
                return {"a": 1}

            async def one():
                asked.append(1)
                if len(asked) == 5:
                    all_ask.set()
                return await cache.fetch("f", load, 60)

            await cache.set("a", [1], 60)
            self.assertEqual(await cache.get("a"), [1])
            self.assertEqual(await cache.get("b", 5), 5)
            self.assertIs(await cache.add("a", 1), False)
            await cache.set_many({"c": b"1", "d": 2})
            self.assertEqual(await cache.get_many(["c", "d", "e"]), {"c": b"1", "d": 2})
            self.assertIs(await cache.delete("a"), True)
            self.assertEqual(await cache.delete_many(["c", "x"]), 1)
            found = await asyncio.gather(*(one() for _ in range(5)))
            self.assertEqual(found, [{"a": 1}] * 5)
            self.assertEqual(await cache.fetch("f", load), {"a": 1})
            self.assertEqual(calls, [threading.get_ident()])

        asyncio.run(go())

    def test_a_local_hit_does_not_leave_the_loop(self):
        cache = LoopCache(hearth.Cache(local_max_bytes="1mb"))
        self.addCleanup(cache.cache.close)
        cache.cache.set("a", b"1")
        hit = cache.get("a")
        with self.assertRaises(StopIteration) as end:
            hit.send(None)
        self.assertEqual(end.exception.value, b"1")


if __name__ == "__main__":
    support.main()
