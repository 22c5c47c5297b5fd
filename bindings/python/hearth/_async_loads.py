# SPDX-License-Identifier: Apache-2.0
"""What the frameworks' backends read and load in an event loop."""

import pickle
from typing import Any, Callable

from ._arguments import TTL
from ._coroutines import TaskFetch, awaited, in_thread
from ._pickled import MISSING, Boxed, Kept, PickledStore, is_over
from .async_cache import AsyncCache


async def _start_in_task(store: PickledStore) -> str:
    start = store.known_start()
    return start if start is not None else await in_thread(store._start)


async def get_in_task(store: PickledStore, key: str) -> Any:
    """What is not, or not yet, among the local values that were read; MISSING."""
    start = await _start_in_task(store)
    found = await AsyncCache(store.cache).get_value(start + key)
    if found is None or type(found.value) is not Kept:
        return MISSING
    return found.value.take()


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
        return await awaited(load()) if found is MISSING else found
    loaded_here = []

    async def boxed() -> Boxed:
        box = Boxed(await awaited(load()))
        loaded_here.append(box)
        return box

    cache = store.cache
    full = await _start_in_task(store) + key
    plan = cache._plan(ttl, None, False, None, 0, None)
    result = (await TaskFetch(cache, full, full.encode(), boxed, plan).run())[0]
    if type(result) is Kept:
        return result.take()
    if type(result) is not Boxed:
        return await awaited(load())
    if result in loaded_here:
        return result.value
    return pickle.loads(pickle.dumps(result.value))  # another task's object
