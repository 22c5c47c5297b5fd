# SPDX-License-Identifier: Apache-2.0
"""The cache for event loops."""

import contextlib
import functools
import inspect
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Coroutine,
    Dict,
    Generic,
    Iterable,
    List,
    Optional,
    Type,
    TypeVar,
    Union,
    cast,
    overload,
)

from ._arguments import TTL, UNSET, Unset, key_bytes, tags_bytes
from ._async_verbs import AsyncVerbs
from ._batch_loads import BatchLoad
from ._call_keys import KeyRule, takes_self
from ._coroutines import CoroutineCalls, TaskFetch, in_thread, is_inside
from ._fetches import loaded_value
from ._guard import Path
from ._handle import NOTHING
from ._insight import HotKey, Node
from ._reads import Timeout, read_flags
from ._tables import Stats
from .cache import Cache, Namespace
from .decorator import _CachedMethod, tag_rules
from .errors import ClosedError, ConfigError, DeadlockError, Key, NodeError
from .values import Value

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
else:
    P = TypeVar("P")
R = TypeVar("R")
V = TypeVar("V")


def _load(loader: Callable[..., Any], key: Key, *old: Optional[Value]) -> Any:
    return loader(key, *old)


class AsyncCachedFunction(Generic[P, R]):
    """What a function under AsyncCache.cached() has besides being called."""

    __wrapped__: "Callable[P, Coroutine[Any, Any, R]]"
    __name__: str
    __qualname__: str

    def __call__(self, *args: "P.args", **kwargs: "P.kwargs") -> Coroutine[Any, Any, R]:
        """The result, kept or new."""
        raise NotImplementedError

    def key(self, *args: "P.args", **kwargs: "P.kwargs") -> Key:
        """The key of a call."""
        raise NotImplementedError

    async def invalidate(self, *args: "P.args", **kwargs: "P.kwargs") -> bool:
        """Deletes the result of a call, as AsyncCache.delete()."""
        raise NotImplementedError

    async def refresh(self, *args: "P.args", **kwargs: "P.kwargs") -> R:
        """Deletes the result of a call and makes it anew."""
        raise NotImplementedError

    def __get__(self, instance: Any, owner: Any = None) -> "AsyncCachedFunction[..., R]":
        """The method of an object."""
        raise NotImplementedError


class _Calls(CoroutineCalls):
    """Those of one function, all of them coroutines."""

    def __init__(
        self, cache: "AsyncCache", function: Any, rule: KeyRule, plan: Any, tags: Any
    ) -> None:
        super().__init__(cache.cache, function, rule, plan, tags)
        self._delete = cache.delete

    async def invalidate(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Deletes the result of a call."""
        return await self._delete(self.keys.of(args, kwargs))


class AsyncCache(AsyncVerbs):
    """A cache whose verbs are coroutines, for any number of event loops.

        async with hearth.AsyncCache.from_url("redis://cache1,cache2") as cache:
            user = await cache.fetch("user:7", load_user, ttl=60)

    Arguments, answers and exceptions are those of `hearth.Cache`; `AsyncCache(cache)` is another face
    of one that is open, `AsyncCache(**options)` opens one, and `.cache` is the Cache itself. It may be
    used by the loops of several threads, and closed loops are of no concern to it.

    - What the local tier has is answered at once: nothing is awaited, no other task has its turn.
    - What reads or writes keys, and what a node has for `fetch`, goes through a queue of the library's,
      one for each loop: no thread of Python's is needed, and what many tasks ask at once is asked of the
      nodes together. The library has no such queue for `write_through`, `bump`, `clear`, the guard, and
      the begin and the end of a load: those run on threads of the loop's executor.
    - **Cancelled**, a task leaves at once. A write that was not sent by then is not done; one that was
      may have happened, as if its answer had been lost. A load that is cancelled is another task's.
    - As many operations as `submit_max_operations` are under way at once for a loop, further ones
      wait for their turn.
    """

    def __init__(self, cache: Optional[Cache] = None, **options: Any) -> None:
        if cache is not None and options:
            raise ConfigError("a cache that is open has its options already")
        self.cache = cache if cache is not None else Cache(**options)
        shares = self.cache._objects is not None
        self._hit = self.cache._at_once if shares else self.cache._get_text

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "AsyncCache":
        """As Cache.from_url()."""
        return cls(remote_url=url, **options)

    async def close(self) -> None:
        """Closes the cache, for threads too. Loads that run are waited for, the loop goes on."""
        if is_inside(self.cache):
            raise DeadlockError("a load of this task cannot wait for its cache to be closed")
        await in_thread(self.cache.close)

    @property
    def closed(self) -> bool:
        """Whether close() has begun."""
        return self.cache.closed

    async def __aenter__(self) -> "AsyncCache":
        """Itself."""
        if self.cache.closed:
            raise ClosedError("the cache is closed")
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Closes it."""
        await self.close()

    # ---- read-through ----

    @overload
    async def fetch(
        self,
        key: Key,
        loader: Callable[..., Awaitable[Optional[V]]],
        ttl: Union[TTL, Unset] = ...,
        *,
        stale: TTL = ...,
        tags: Iterable[Key] = ...,
        background: bool = ...,
        reload: bool = ...,
        conditional: bool = ...,
        max_stale: Timeout = ...,
        local: bool = ...,
        remote: bool = ...,
        timeout: Timeout = ...,
    ) -> Optional[V]: ...

    @overload
    async def fetch(
        self,
        key: Key,
        loader: Callable[..., Optional[V]],
        ttl: Union[TTL, Unset] = ...,
        *,
        stale: TTL = ...,
        tags: Iterable[Key] = ...,
        background: bool = ...,
        reload: bool = ...,
        conditional: bool = ...,
        max_stale: Timeout = ...,
        local: bool = ...,
        remote: bool = ...,
        timeout: Timeout = ...,
    ) -> Optional[V]: ...

    async def fetch(
        self,
        key: Key,
        loader: Callable[..., Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        background: bool = False,
        reload: bool = False,
        conditional: bool = False,
        max_stale: Timeout = None,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> Any:
        """The value; what neither tier has is loaded by `loader(key)`, and both keep it.

        The loader is called in the task of its first caller, and what it returns is awaited if that can
        be: a plain function holds the loop up for as long as it takes. Other tasks, and the callers of
        Cache.fetch() in threads, wait for that load; if its task is cancelled, another of this loop
        loads, in its own task. With `background=True` a stale value is renewed in a task of its own.
        All else is as Cache.fetch() says.
        """
        if local and max_stale is None and not reload:
            found = self.cache._at_once(key)
            if found is not NOTHING:
                return found
        flags = read_flags(local, remote, reload)
        plan = self.cache._plan(
            ttl, stale, background, max_stale, flags, timeout, tags_bytes(tags), conditional
        )
        load = functools.partial(_load, loader, key)
        task = TaskFetch(self.cache, key, key_bytes(key), load, plan)
        return (await task.run())[0]

    async def fetch_value(
        self,
        key: Key,
        loader: Callable[..., Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        background: bool = False,
        reload: bool = False,
        conditional: bool = False,
        max_stale: Timeout = None,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> Value:
        """fetch() with what is known about the answer."""
        flags = read_flags(local, remote, reload)
        plan = self.cache._plan(
            ttl, stale, background, max_stale, flags, timeout, tags_bytes(tags), conditional
        )
        load = functools.partial(_load, loader, key)
        task = TaskFetch(self.cache, key, key_bytes(key), load, plan)
        value, known = await task.run()
        return known if known is not None else loaded_value(value)

    async def fetch_many(
        self,
        keys: Iterable[Key],
        loader: Callable[[List[Any]], Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        timeout: Timeout = None,
    ) -> Dict[Key, Any]:
        """As Cache.fetch_many(); what `loader(keys)` returns is awaited if it can be."""
        wanted = list(dict.fromkeys(keys))
        plan = self.cache._plan(ttl, stale, False, None, 0, timeout, tags_bytes(tags))
        found = {}
        with contextlib.suppress(NodeError):  # on_error="raise", of which a fetch knows nothing
            found = await self.get_many(wanted)
        missing = {key: key_bytes(key) for key in wanted if key not in found}
        if missing:
            found.update(await BatchLoad(self.cache, missing, loader, plan).run())
        return {key: found[key] for key in wanted if key in found}

    async def get_or_set(
        self, key: Key, default: Any, ttl: Union[TTL, Unset] = UNSET, *, stale: TTL = None
    ) -> Any:
        """The value; else `default`, stored: what it returns if it is a function or a coroutine
        function (called without arguments), or itself."""
        return await self.fetch(
            key, lambda _: default() if callable(default) else default, ttl, stale=stale
        )

    def cached(
        self,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        key: KeyRule = None,
        tags: "Iterable[Union[str, Callable[..., Key]]]" = (),
        stale: TTL = None,
        background: bool = False,
        namespace: Optional[Key] = None,
    ) -> "Callable[[Callable[P, Coroutine[Any, Any, R]]], AsyncCachedFunction[P, R]]":
        """As Cache.cached(), for coroutine functions: `invalidate` and `refresh` are coroutines."""
        if namespace is not None:
            return self.namespace(namespace).cached(
                ttl, key=key, tags=tags, stale=stale, background=background
            )
        plan, rules = self.cache._plan(ttl, stale, background, None, 0, None), tag_rules(tags)

        def decorate(
            function: "Callable[P, Coroutine[Any, Any, R]]",
        ) -> "AsyncCachedFunction[P, R]":
            if not inspect.iscoroutinefunction(function):
                raise TypeError("a coroutine function is wanted; `.cache.cached` takes others")
            calls = _Calls(self, function, key, plan, rules)
            if takes_self(function):
                return cast("AsyncCachedFunction[P, R]", _CachedMethod(calls))
            wrapper: Any = calls.wrapper()
            for name in ("key", "invalidate", "refresh"):
                setattr(wrapper, name, getattr(calls, name))
            return cast("AsyncCachedFunction[P, R]", wrapper)

        return decorate

    # ---- namespaces ----

    def namespace(self, name: Key) -> "AsyncNamespace":
        """As Cache.namespace(); it waits for nothing, and is no coroutine."""
        return AsyncNamespace(self.cache.namespace(name))

    async def bump_namespace(self, name: Key, *, timeout: Timeout = None) -> None:
        """As Cache.bump_namespace()."""
        await in_thread(functools.partial(self.cache.bump_namespace, name, timeout=timeout))

    async def clear(self) -> None:
        """As Cache.clear()."""
        await in_thread(self.cache.clear)

    # ---- the guard ----

    async def guard_add(self, key: Key) -> None:
        """As Cache.guard_add()."""
        await in_thread(self.cache.guard_add, key)

    async def guard_rebuild(self, keys: Iterable[Key]) -> None:
        """As Cache.guard_rebuild(); `keys` is walked through on another thread."""
        await in_thread(self.cache.guard_rebuild, keys)

    async def guard_save(self, path: Path) -> bool:
        """As Cache.guard_save()."""
        return await in_thread(self.cache.guard_save, path)

    async def guard_load(self, path: Path) -> bool:
        """As Cache.guard_load()."""
        return await in_thread(self.cache.guard_load, path)

    # ---- insight: these wait for nothing, and are no coroutines ----

    def stats(self) -> Stats:
        """As Cache.stats()."""
        return self.cache.stats()

    def stats_text(self) -> str:
        """As Cache.stats_text()."""
        return self.cache.stats_text()

    def hot_keys(self, count: int = 10) -> List[HotKey]:
        """As Cache.hot_keys()."""
        return self.cache.hot_keys(count)

    def node_of(self, key: Key) -> Node:
        """As Cache.node_of()."""
        return self.cache.node_of(key)

    def forward_log(self) -> int:
        """As Cache.forward_log()."""
        return self.cache.forward_log()

    async def set_nodes(self, url: str) -> None:
        """As Cache.set_nodes()."""
        await in_thread(self.cache.set_nodes, url)


class AsyncNamespace(AsyncCache):
    """A view of a cache, as hearth.Namespace, whose verbs are coroutines."""

    cache: Namespace

    def __init__(self, view: Namespace) -> None:
        super().__init__(view)

    async def bump(self, *, timeout: Timeout = None) -> None:
        """As Namespace.bump()."""
        await in_thread(functools.partial(self.cache.bump, timeout=timeout))

    async def close(self) -> None:
        """As Namespace.close()."""
        self.cache.close()
