# SPDX-License-Identifier: Apache-2.0
"""Read-through for event loops, and cached coroutine functions.

A local hit is answered at once, and what a node has through the loop's queue. Only a load's begin and
end, which the queue does not know, are on a thread of the loop's executor. The loader runs in the
task of its first caller. Tasks of one loop wait for one future; where another thread, loop or process
loads, it is asked again after a while.
"""

import asyncio
import contextlib
import contextvars
import functools
import inspect
import time
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    Optional,
    Tuple,
    TypeVar,
)

from . import _tables
from ._fetches import Answer, Fetches, Plan
from ._handle import ABSENT, MISS, NOTHING, OK, error_of
from ._loads import Fill
from ._log import logger
from .decorator import _PLAIN, _Calls
from .errors import DeadlockError, Key, LoadTimeoutError
from .values import Loaded, Value, value_of

T = TypeVar("T")

#: keys whose loader this task is inside of, with their caches
_inside: "contextvars.ContextVar[FrozenSet[Tuple[int, bytes, bytes]]]" = contextvars.ContextVar(
    "hearth_inside", default=frozenset()
)

_LONGEST_PAUSE_S = 0.05


async def in_thread(call: Callable[..., T], *args: Any) -> T:
    """A call that may wait for a node; the loop goes on. It runs in a copy of the caller's context."""
    run: Any = contextvars.copy_context().run
    result: T = await asyncio.get_running_loop().run_in_executor(None, run, call, *args)
    return result


async def awaited(result: Any) -> Any:
    """It, or what it comes to."""
    return await result if inspect.isawaitable(result) else result


@contextlib.contextmanager
def inside(cache: Fetches, raws: Iterable[bytes]) -> Iterator[None]:
    """This task loads these keys meanwhile."""
    reset = _inside.set(_inside.get() | {(id(cache._loads), cache._space, raw) for raw in raws})
    try:
        yield
    finally:
        _inside.reset(reset)


def is_inside(cache: Fetches) -> bool:
    """Whether this task is inside a loader of the cache."""
    return any(each == id(cache._loads) for each, _, _ in _inside.get())


class TaskFetch:
    """One fetch of one task. `load` is called without arguments, of a conditional plan with the old
    value, and what it returns is awaited if that can be. `waits` is called when another caller's load is
    waited for."""

    def __init__(
        self,
        cache: Fetches,
        key: Key,
        raw: bytes,
        load: Callable[..., Any],
        plan: Plan,
        waits: Callable[[], None] = lambda: None,
    ) -> None:
        self.cache, self.key, self.raw, self.load, self.plan = cache, key, raw, load, plan
        self.waits = waits
        self.token = (id(cache._loads), cache._space, raw)

    async def run(self) -> Tuple[Any, Optional[Value]]:
        """One task of this loop goes on for the key; if it is cancelled, another does."""
        if self.token in _inside.get():
            raise DeadlockError(f"the load of {self.key!r:.100} waits for itself")
        pending = self.cache._loads.coroutines
        loop, space, raw = asyncio.get_running_loop(), self.cache._space, self.raw
        while True:
            future = pending.get((loop, space, raw))
            if future is None:
                break
            self.waits()
            await asyncio.wait([future])
            if not future.cancelled():
                return self._own(*future.result())
        future = pending[loop, space, raw] = loop.create_future()
        try:
            result = await self._once()
            future.set_result(result)
            return result
        except Exception as error:
            future.set_exception(error)
            future.exception()  # nobody may be waiting
            raise
        finally:
            future.cancel()  # if it has no result: this task was cancelled
            if pending.get((loop, space, raw)) is future:
                del pending[loop, space, raw]

    def _own(self, result: Any, known: Optional[Value]) -> Tuple[Any, Optional[Value]]:
        """An object of its own for each task, as if it had been read."""
        if result is None or type(result) in (bytes, str) or self.cache._objects is not None:
            return result, known
        codec = self.cache._codec
        own = codec.decode(self.raw, *codec.encode(self.raw, result))
        return own, known and known._replace(value=own)

    async def _once(self) -> Tuple[Any, Optional[Value]]:
        reloads = bool(self.plan.flags & _tables.READ_RELOAD)
        found = None if reloads else await self._look()
        if found is not None:
            return found
        answer = await self._ask()
        status, value, known, fill = answer
        if status == ABSENT:
            return None, known
        if status == OK and fill is None and value is not NOTHING:
            return value, known
        if status < 0:
            raise error_of(status, self.key)
        if reloads:
            return await self._load(fill)
        if fill is not None and value is not NOTHING and self.plan.background:
            self._renew_later(answer, fill)
            return value, known
        if fill is not None and value is not NOTHING:
            return await self._renew(answer, fill)
        return await self._load(fill)

    def _renew_later(self, answer: Answer, fill: Fill) -> None:
        """In a task of its own, which is kept here: a loop has but weak references to its tasks."""
        loop, renewals = asyncio.get_running_loop(), self.cache._loads.renewals
        renewal = loop.create_task(self._renew(answer, fill))
        renewals[renewal] = loop
        renewal.add_done_callback(renewals.pop)

    async def _look(self) -> Optional[Tuple[Any, Optional[Value]]]:
        """What a tier has and need not be renewed; None: that is not known."""
        cache, plan = self.cache, self.plan
        queue = cache._queue()
        operation = queue.take()
        operation.reading(0, plan.max_stale_ms, plan.flags)
        operation.one(_tables.VERB_GET, self.raw, True)
        status = await queue.ask(operation)
        found: Optional[Tuple[Any, Optional[Value]]] = None
        if status == ABSENT:
            found = None, value_of(None, True, operation.informed())
        elif status == OK:
            value = cache._decoded(self.key, self.raw, operation)
            info = operation.informed()
            # What the local tier did not answer at once is soon to be renewed.
            is_due = info.tier == _tables.TIER_LOCAL and operation.ticket.value != 0
            if value is not NOTHING and not is_due:
                found = value, value_of(value, False, info)
        queue.give(operation)
        return found

    async def _ask(self) -> Answer:
        """Until there is an answer, or this task is to load."""
        plan, key, raw = self.plan, self.key, self.raw
        limit = time.monotonic() + plan.wait_ms / 1000
        pause_s = 0.001
        while True:
            answer = await in_thread(
                self.cache._ask, key, raw, plan, _tables.READ_NO_WAIT, plan.wait_ms
            )
            if answer.status != MISS or answer.fill is not None:
                return answer
            if time.monotonic() > limit:
                raise LoadTimeoutError(f"another load of {key!r:.100} did not end in time")
            self.waits()
            await asyncio.sleep(pause_s)  # another caller loads, and nothing tells a loop when it is done
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _load(self, fill: Optional[Fill]) -> Tuple[Any, Optional[Value]]:
        try:
            old: Optional[Value] = None
            if self.plan.conditional:
                old = self.cache._old(self.key, self.raw, fill) if fill is not None else None
            with inside(self.cache, [self.raw]):
                result = await awaited(self.load(old) if self.plan.conditional else self.load())
        except BaseException:
            if fill is not None:
                fill.abandon()
            raise
        if fill is None:  # a value that this cache does not take
            return (result.value if isinstance(result, Loaded) else result), None
        # If this task is cancelled meanwhile, the thread stores it all the same, and ends the fill.
        storing = in_thread(_store, self.cache, self.raw, result, self.plan, fill, old)
        return await asyncio.shield(storing)

    async def _renew(self, answer: Answer, fill: Fill) -> Tuple[Any, Optional[Value]]:
        """A stale value is there: it stays the answer if nothing newer comes."""
        try:
            return await self._load(fill)
        except Exception:
            logger.warning("the renewal of %.100r failed", self.key, exc_info=True)
            return answer.value, answer.known


def _store(
    cache: Fetches, raw: bytes, result: Any, plan: Plan, fill: Fill, old: Optional[Value]
) -> Tuple[Any, Optional[Value]]:
    try:
        return cache._store_load(raw, result, plan, fill, old)
    finally:
        fill.abandon()


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
            return await self.load_in_task(raw, args, kwargs)

        return cached

    async def load_in_task(
        self, raw: bytes, args: Tuple[Any, ...], kwargs: Dict[str, Any]
    ) -> Any:
        """What is not found at once."""
        load = functools.partial(self.function, *args, **kwargs)
        plan = self.plan_of(args, kwargs)
        return (await TaskFetch(self.cache, raw, raw, load, plan).run())[0]

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Deletes the result of a call and makes it anew."""
        key = self.keys.of(args, kwargs)
        await in_thread(self.cache.delete, key)
        return await self.load_in_task(self.raw(args, kwargs), args, kwargs)


def _are_plain(args: Tuple[Any, ...]) -> bool:
    return all(each.__class__ in _PLAIN for each in args)
