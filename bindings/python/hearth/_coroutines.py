# SPDX-License-Identifier: Apache-2.0
"""Cached coroutine functions.

A local hit is answered at once. What a node may have to answer is asked on a thread of the loop's
executor, so that the loop goes on; the coroutine itself runs in the task of its first caller. Tasks
of one loop wait for one future; where another thread or loop loads, it is asked again after a while.
"""

import asyncio
import contextvars
import functools
import time
from typing import Any, Dict, FrozenSet, Tuple

from . import _tables
from ._fetches import Answer
from ._handle import ABSENT, MISS, NOTHING, OK, error_of
from ._loads import Fill
from ._log import logger
from .decorator import _PLAIN, _Calls
from .errors import DeadlockError, LoadTimeoutError

#: keys whose coroutine this task is inside of, with their caches
_inside: "contextvars.ContextVar[FrozenSet[Tuple[int, bytes]]]" = contextvars.ContextVar(
    "hearth_inside", default=frozenset()
)

_LONGEST_PAUSE_S = 0.05


class CoroutineCalls(_Calls):
    """The calls of one cached coroutine function."""

    def wrapper(self) -> Any:
        """The coroutine function that is called instead."""

        @functools.wraps(self.function)
        async def cached(*args: Any, **kwargs: Any) -> Any:
            raw = self.raws.get(args) if not kwargs and _are_plain(args) else None
            if raw is None:
                raw = self.raw(args, kwargs)
            found = self.cache._at_once(raw)
            if found is not NOTHING:
                return found
            return await self._shared_load(raw, args, kwargs)

        return cached

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Deletes the result of a call and makes it anew."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: self.invalidate(*args, **kwargs))
        return await self._shared_load(self.raw(args, kwargs), args, kwargs)

    async def _shared_load(
        self, raw: bytes, args: Tuple[Any, ...], kwargs: Dict[str, Any]
    ) -> Any:
        """One task of this loop goes on for the key; if it is cancelled, another does."""
        token = (id(self.cache), raw)
        if token in _inside.get():
            raise DeadlockError(f"the load of {raw!r:.100} waits for itself")
        pending = self.cache._loads.coroutines
        loop = asyncio.get_running_loop()
        while True:
            future = pending.get((loop, raw))
            if future is None:
                break
            await asyncio.wait([future])
            if not future.cancelled():
                return self._own(raw, future.result())
        future = pending[loop, raw] = loop.create_future()
        try:
            result = await self._load_once(raw, args, kwargs, token)
            future.set_result(result)
            return result
        except Exception as error:
            future.set_exception(error)
            future.exception()  # nobody may be waiting
            raise
        finally:
            future.cancel()  # if it has no result: this task was cancelled
            if pending.get((loop, raw)) is future:
                del pending[loop, raw]

    def _own(self, raw: bytes, result: Any) -> Any:
        """An object of its own for each task, as if it had been read."""
        if result is None or type(result) in (bytes, str) or self.cache._objects is not None:
            return result
        codec = self.cache._codec
        return codec.decode(raw, *codec.encode(raw, result))

    async def _load_once(
        self,
        raw: bytes,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        token: Tuple[int, bytes],
    ) -> Any:
        answer = await self._ask(raw)
        status, value, _, fill = answer
        if status == ABSENT:
            return None
        if status == OK and fill is None and value is not NOTHING:
            return value
        if status < 0:
            raise error_of(status, raw)
        reset = _inside.set(_inside.get() | {token})
        try:
            result = await self.function(*args, **kwargs)
            if fill is None:  # a value that this cache does not take
                return result
            return await self._store(raw, result, fill)
        except Exception:
            if value is NOTHING:
                raise
            logger.warning("the renewal of %.100r failed", raw, exc_info=True)
            return value
        finally:
            _inside.reset(reset)
            if fill is not None:
                fill.abandon()

    async def _ask(self, raw: bytes) -> Answer:
        """Until there is an answer, or this task is to load."""
        loop, plan = asyncio.get_running_loop(), self.plan
        limit = time.monotonic() + plan.wait_ms / 1000
        pause_s = 0.001
        while True:
            answer: Answer = await loop.run_in_executor(
                None, self.cache._ask, raw, raw, plan, _tables.READ_NO_WAIT, plan.wait_ms
            )
            if answer.status != MISS or answer.fill is not None:
                return answer
            if time.monotonic() > limit:
                raise LoadTimeoutError(f"another load of {raw!r:.100} did not end in time")
            await asyncio.sleep(pause_s)  # another caller loads, and nothing tells a loop when it is done
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _store(self, raw: bytes, result: Any, fill: Fill) -> Any:
        loop, plan = asyncio.get_running_loop(), self.plan
        stored: Tuple[Any, Any] = await loop.run_in_executor(
            None, self.cache._store_load, raw, result, plan, fill
        )
        return stored[0]


def _are_plain(args: Tuple[Any, ...]) -> bool:
    return all(each.__class__ in _PLAIN for each in args)
