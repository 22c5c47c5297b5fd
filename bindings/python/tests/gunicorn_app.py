# SPDX-License-Identifier: Apache-2.0
"""The application that test_gunicorn.py serves: a cache opened, and used, before the fork."""

import os

import flask

import hearth

cache = hearth.Cache.from_url(os.environ["HEARTH_TEST_URL"], remote_timeout_ms=5000)
cache.set("from the master", b"1")
assert cache.get("from the master") == b"1"

app = flask.Flask(__name__)


@app.get("/user/<int:number>")
def user(number):
    """What the loader says, or an earlier one said."""
    return cache.fetch(f"user {number}", lambda key: {"n": number, "square": number * number}, 5)


@app.get("/write/<int:number>")
def write(number):
    """A write and reads of it."""
    key = f"own {os.getpid()} {number}"
    cache.set(key, [number])
    found = cache.get_value(key, local=False)
    assert found is not None and found.value == [number], found
    assert cache.get(key) == [number]
    cache.delete(key)
    assert cache.get(key) is None
    return str(number)


@app.get("/sockets")
def sockets():
    """This worker's connected sockets, but for the listener that all share."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return {"pid": os.getpid(), "sockets": [link for link in links if link.startswith("socket:")]}
