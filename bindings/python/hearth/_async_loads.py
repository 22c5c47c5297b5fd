# SPDX-License-Identifier: Apache-2.0
"""What the frameworks' backends do for an event loop: a local hit is answered at once, the rest on a
thread of the loop's executor, in a copy of the caller's context."""

import asyncio
import contextvars
import inspect
import pickle
from typing import Any, Callable, TypeVar

from ._arguments import TTL
from ._coroutines import CoroutineCalls
from ._pickled import MISSING, Boxed, Kept, PickledStore, is_over

T = TypeVar("T")


async def in_thread(call: Callable[..., T], *args: Any) -> T:
    """A call that may wait for a node; the loop goes on."""
    run: Any = contextvars.copy_context().run
    result: T = await asyncio.get_running_loop().run_in_executor(None, run, call, *args)
    return result


async def result_of(load: Callable[[], Any]) -> Any:
    """What a function or coroutine function returns."""
    result = load()
    return await result if inspect.isawaitable(result) else result


async def load_in_task(
    store: PickledStore, key: str, load: Callable[[], Any], ttl: TTL
) -> Any:
    """The value; else what `load` returns, stored. One task of this loop loads at a time, and one
    caller of the process."""
    found = store.get_local(key)
    if found is not MISSING:
        return found
    if is_over(ttl):
        found = await in_thread(store.get, key)
        return await result_of(load) if found is MISSING else found
    loaded_here = []

    async def boxed() -> Boxed:
        box = Boxed(await result_of(load))
        loaded_here.append(box)
        return box

    cache = store.cache
    full = await in_thread(store._start) + key
    plan = cache._plan(ttl, None, False, None, 0, None)
    calls = CoroutineCalls(cache, boxed, lambda: full, plan)
    result = await calls._shared_load(full.encode(), (), {})
    if type(result) is Kept:
        return result.take()
    if type(result) is not Boxed:
        return await result_of(load)
    if result in loaded_here:
        return result.value
    return pickle.loads(pickle.dumps(result.value))  # another task's object
