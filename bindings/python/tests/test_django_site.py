# SPDX-License-Identifier: Apache-2.0
"""A Django project with two worker processes: what one of them does with the cache the other one sees,
for every documented method, and so it is with pages, fragments and sessions."""

import http.client
import json
import subprocess
import sys
import unittest

import support

#: (method, arguments, what it answers, key, what the other worker then has of that key)
CALLS = [
    ("set", ["key", [1, {"a": None}]], None, "key", [1, {"a": None}]),
    ("add", ["key", 2], False, "key", [1, {"a": None}]),
    ("add", ["added", 2], True, "added", 2),
    ("get_or_set", ["key", 3], [1, {"a": None}], "key", [1, {"a": None}]),
    ("get_or_set", ["made", "new"], "new", "made", "new"),
    ("touch", ["key", 600], True, "key", [1, {"a": None}]),
    ("touch", ["nothing", 600], False, "nothing", "none"),
    ("touch", ["key", 0], True, "key", "none"),
    ("set", ["key", "over", 0], None, "key", "none"),
    ("set", ["key", "forever", None], None, "key", "forever"),
    ("set_many", [{"n": 5, "m": 6.5, "key": None}], [], "key", None),
    ("get_many", [["n", "nothing", "key"]], {"key": None, "n": 5}, "key", None),
    ("has_key", ["key"], True, "key", None),
    ("has_key", ["nothing"], False, "nothing", "none"),
    ("incr", ["n"], 6, "n", 6),
    ("incr", ["n", 10], 16, "n", 16),
    ("decr", ["n", 20], -4, "n", -4),
    ("incr", ["nothing"], ValueError("Key 'nothing' not found"), "nothing", "none"),
    ("delete", ["added"], True, "added", "none"),
    ("delete", ["added"], False, "added", "none"),
    ("delete_many", [["n", "m", "nothing"]], None, "m", "none"),
    ("incr_version", ["made"], 2, "made", "none"),
    ("decr_version", ["made", 1, 2], 1, "made", "new"),
    ("close", [], None, "made", "new"),
    ("clear", [], None, "made", "none"),
]


class TwoWorkers(support.OnNodes):
    """Two processes of one master, each with an address."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.paths = [f"{cls.node.folder}/{name}" for name in "ab"]
        binds = [f"--bind=unix:{path}" for path in cls.paths]
        cls.master = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "gunicorn", "--preload", "--workers=2", *binds,
             "--config=python:django_site", "--log-level=critical", "django_site"],
            cwd=support.HERE, env=support.environment(HEARTH_TEST_URL=cls.node.url),
        )
        for path in cls.paths:
            support.await_until(lambda path=path: cls.answers(path))
        cls.one, cls.two = cls.paths

    @classmethod
    def tearDownClass(cls):
        cls.master.terminate()
        cls.master.wait()
        super().tearDownClass()

    @classmethod
    def answers(cls, path):
        try:
            return cls.ask(path, "/visit").status == 200
        except (OSError, http.client.HTTPException):
            return False

    @staticmethod
    def ask(path, what, body=None, **headers):
        """The answer of a worker, its body as `text`."""
        connection = support.Connection(path)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("POST" if body else "GET", what, body, headers)
            answer = connection.getresponse()
            answer.text = answer.read().decode()
            return answer
        finally:
            connection.close()

    def call(self, path, method, *args, is_async=False, alias="default", **named):
        """What a method answers in a worker, as its repr."""
        said = {"alias": alias, "method": method, "args": args, "named": named}
        answer = self.ask(path, "/call_async" if is_async else "/call", json.dumps(said))
        self.assertEqual(answer.status, 200, answer.text)
        return json.loads(answer.text)["found"]

    def clear(self):
        """By one worker, until the other one has heard of it: what it sets before that goes too."""
        self.call(self.one, "set", "before", 1)
        support.await_until(lambda: self.call(self.two, "get", "before") == "1")
        self.call(self.one, "clear")
        support.await_until(lambda: self.call(self.two, "get", "before") == "None")

    def check_calls(self, is_async):
        mark = "a" if is_async else ""
        self.clear()
        for at, (method, args, answer, key, then) in enumerate(CALLS):
            worker, other = (self.one, self.two) if at % 2 else (self.two, self.one)
            where = f"{at}: {mark}{method}{args}"
            found = self.call(worker, mark + method, *args, is_async=is_async)
            self.assertEqual(found, repr(answer), where)
            # The worker itself sees it at once, the other one when its copy is over.
            seen = self.call(worker, f"{mark}get", key, "none", is_async=is_async)
            self.assertEqual(seen, repr(then), where)
            with self.subTest(where):
                support.await_until(
                    lambda: self.call(other, f"{mark}get", key, "none", is_async=is_async) == seen
                )

    def test_every_method(self):
        self.check_calls(False)

    def test_every_method_awaited(self):
        self.check_calls(True)

    def test_what_the_master_had_set(self):
        self.call(self.one, "set", "from the master", [1])
        for worker in self.paths:
            self.assertEqual(self.call(worker, "get", "from the master"), "[1]")

    def test_versions_and_prefixes(self):
        self.call(self.one, "set", "key", "one", version=1)
        self.call(self.one, "set", "key", "two", version=2)
        self.call(self.one, "set", "key", "other", alias="other")
        for version, found in ((1, "'one'"), (2, "'two'"), (3, "None")):
            self.assertEqual(self.call(self.two, "get", "key", version=version), found)
        self.assertEqual(self.call(self.two, "get", "key", alias="other"), "'other'")
        self.clear()
        self.assertEqual(self.call(self.two, "get", "key"), "None")
        self.assertEqual(self.call(self.two, "get", "key", version=2), "None")
        self.assertEqual(self.call(self.two, "get", "key", alias="other"), "'other'")

    def test_no_increment_of_two_workers_is_lost(self):
        self.call(self.one, "set", "sum", 0)
        support.await_until(lambda: self.call(self.two, "get", "sum") == "0")
        sums = support.run_threads(
            4, lambda at: [self.call(self.paths[at % 2], "incr", "sum") for _ in range(10)]
        )
        self.assertEqual(sorted(int(told) for own in sums for told in own), list(range(1, 41)))
        support.await_until(lambda: self.call(self.one, "get", "sum") == "40")

    # ---- pages ----

    def test_pages_by_the_middleware_and_by_views(self):
        for what in ("/page", "/view"):
            first = self.ask(self.one, what)
            self.assertEqual((first.status, first.headers["X-Own"]), (200, "yes"))
            self.assertIn("max-age=600", first.headers["Cache-Control"])
            for worker in (self.two, self.one, self.two):
                again = self.ask(worker, what)
                self.assertEqual((again.text, again.headers["X-Own"]), (first.text, "yes"))
                self.assertEqual(again.headers["Expires"], first.headers["Expires"])
            self.assertNotEqual(self.ask(self.two, f"{what}?another").text, first.text)

    def test_pages_that_vary(self):
        pages = {
            device: self.ask(worker, "/varying", X_Device=device).text
            for device, worker in (("phone", self.one), ("screen", self.two))
        }
        for device, text in pages.items():
            self.assertTrue(text.startswith(f"{device} by "), text)
            for worker in self.paths:
                self.assertEqual(self.ask(worker, "/varying", X_Device=device).text, text)

    def test_fragments(self):
        made = self.ask(self.one, "/fragment?user=7").text.split(" in ")
        again = self.ask(self.two, "/fragment?user=7").text.split(" in ")
        self.assertEqual(again[0], made[0])
        self.assertEqual(made[0], f"by {made[1]}")
        self.assertNotEqual(again[1], made[1])
        self.assertEqual(self.ask(self.two, "/fragment?user=8").text.split(" in ")[0], f"by {again[1]}")
        self.assertEqual(json.loads(self.ask(self.two, "/forget?user=7").text), {"found": "True"})
        self.assertEqual(self.ask(self.two, "/fragment?user=7").text.split(" in ")[0], f"by {again[1]}")

    def test_sessions(self):
        first = self.ask(self.one, "/visit")
        cookie = first.headers["Set-Cookie"].split(";")[0]
        self.assertEqual(first.text, "1")
        self.assertEqual(self.ask(self.two, "/visit", Cookie=cookie).text, "2")
        self.assertEqual(self.ask(self.two, "/visit").text, "1")


@support.needs("django", "gunicorn")
class OnRedis(TwoWorkers, unittest.TestCase):
    server = "redis"


@support.needs("django", "gunicorn")
class OnMemcached(TwoWorkers, unittest.TestCase):
    server = "memcached"


if __name__ == "__main__":
    support.main()
