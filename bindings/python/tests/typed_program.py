# SPDX-License-Identifier: Apache-2.0
"""A program that uses the package as its types allow, and in ways that they do not: `make lint` has
mypy look at it (an ignored error that is none is an error). It is not run."""

from datetime import timedelta
from typing import Dict, List, Optional

from typing_extensions import assert_type

import hearth

cache = hearth.Cache.from_url("embedded://", local_max_bytes="1mb", ttl_ms=timedelta(minutes=1))


def load(key: str) -> Optional[Dict[str, int]]:
    """A loader."""
    return {key: 1} if key else None


@cache.cached(ttl=60, key="double:{number}", namespace="numbers")
def double(number: int, sign: str = "+") -> str:
    """A function."""
    return sign + str(number * 2)


@cache.cached(ttl=None, key="half:{number}")
async def half(number: float) -> float:
    """A coroutine function."""
    return number / 2


loop_cache = hearth.AsyncCache(cache)


async def load_soon(key: str) -> Dict[str, int]:
    """A loader that is a coroutine."""
    return {key: 1}


@loop_cache.cached(ttl=60, key="third:{number}")
async def third(number: float) -> float:
    """A coroutine function."""
    return number / 3


async def use_loop() -> None:
    """What types come out of coroutines."""
    assert_type(await loop_cache.fetch("key", load_soon), Optional[Dict[str, int]])
    assert_type(await loop_cache.fetch("key", load), Optional[Dict[str, int]])
    assert_type(await loop_cache.get_value("key"), Optional[hearth.Value])
    assert_type(await third(1.5), float)
    assert_type(await third.invalidate(1.5), bool)
    assert_type(await third.refresh(1.5), float)
    assert_type(loop_cache.namespace("users"), hearth.AsyncNamespace)
    await loop_cache.namespace("users").bump(timeout=1.5)
    await loop_cache.bump()  # type: ignore[attr-defined]
    async with loop_cache as same:
        assert_type(same, hearth.AsyncCache)
    await loop_cache.get(1)  # type: ignore[arg-type]


async def use() -> None:
    """What types come out."""
    assert_type(cache.fetch("key", load, ttl=timedelta(seconds=5)), Optional[Dict[str, int]])
    assert_type(cache.get_value("key"), Optional[hearth.Value])
    assert_type(cache.incr("count", initial=1), int)
    assert_type(cache.hot_keys(), List[hearth.HotKey])
    assert_type(double(1, sign="-"), str)
    assert_type(double.invalidate(1), bool)
    assert_type(double.refresh(1), str)
    assert_type(await half(1.5), float)
    assert_type(cache.namespace("users"), hearth.Namespace)
    cache.bump()  # type: ignore[attr-defined]
    with cache as same:
        assert_type(same, hearth.Cache)
    cache.get(1)  # type: ignore[arg-type]
    cache.set("key", b"1", "soon")  # type: ignore[arg-type]
    double("1")  # type: ignore[arg-type]
    double.key()  # type: ignore[call-arg]
