# SPDX-License-Identifier: Apache-2.0
"""Read-through of many keys by one call of a loader, in an event loop.

Each key is fetched by a task of its own. The loader is called when it is known of each of them whether
it is to be loaded here: one that another caller loads is not waited for, so that two who want the same
keys never wait for each other.
"""

import asyncio
import functools
from typing import Any, Callable, Dict, List, Optional, Set

from ._coroutines import TaskFetch, awaited, inside
from ._fetches import Fetches, Plan
from .errors import Key

Loader = Callable[[List[Any]], Any]


class BatchLoad:
    """One call of a loader, for those of the keys that turn out to be this caller's."""

    def __init__(self, cache: Fetches, raws: Dict[Key, bytes], loader: Loader, plan: Plan) -> None:
        self._cache, self._raws, self._loader, self._plan = cache, raws, loader, plan
        self._open: Set[Key] = set(raws)
        self._waiting: Dict[Key, "asyncio.Future[Any]"] = {}
        self._task: Optional["asyncio.Task[None]"] = None

    async def run(self) -> Dict[Key, Any]:
        """The values of those keys that have one."""
        tasks = [asyncio.ensure_future(self._fetch(key)) for key in self._raws]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if self._task is not None:
                self._task.cancel()  # if it goes on still, nobody waits for it
        for each in results:
            if isinstance(each, BaseException):
                raise each
        return {key: value for key, value in zip(self._raws, results) if value is not None}

    async def _fetch(self, key: Key) -> Any:
        settle = functools.partial(self._settle, key)
        load = functools.partial(self._load, key)
        task = TaskFetch(self._cache, key, self._raws[key], load, self._plan, settle)
        try:
            return (await task.run())[0]
        finally:
            settle()

    def _settle(self, key: Key) -> None:
        """It is known whether the key is loaded here."""
        self._open.discard(key)
        if not self._open and self._waiting and self._task is None:
            self._task = asyncio.ensure_future(self._load_all())

    async def _load(self, key: Key) -> Any:
        if self._task is not None:  # another caller had it, and did not load it after all
            return (await awaited(self._loader([key]))).get(key)
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        self._settle(key)
        return await future

    async def _load_all(self) -> None:
        waiting = self._waiting
        try:
            with inside(self._cache, [self._raws[key] for key in waiting]):
                results = await awaited(self._loader(list(waiting)))
            for key, future in waiting.items():
                if not future.done():
                    future.set_result(results.get(key))
        except Exception as error:
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
