# SPDX-License-Identifier: Apache-2.0
"""The cache."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence, Type

from ._arguments import deadline
from ._fetch_many import FetchesMany
from ._guard import Guard
from ._handle import OPTIONS, check, error_of, option_infos
from ._insight import Insight, _text_or_bytes
from ._library import lib
from ._loads import current_owner
from ._reads import Timeout
from ._tables import STATUSES, Stats
from .decorator import Cached
from .errors import ClosedError, DeadlockError, Key

if TYPE_CHECKING:
    from ._queue import LoopQueue


class Cache(Cached, FetchesMany, Guard, Insight):
    """A local tier in this process before a remote tier of Redis or Memcached nodes, or one that is
    embedded in the process.

    One for a process is the normal use. Every method may be called by any thread at any time. It may
    be opened before a fork: nothing is connected and no thread is started before the first use, and a
    child makes connections of its own. fork() while other threads are inside a call is not supported.

    Options are those of libhearth, with `_` for the dot: `Cache(remote_url="redis://cache1,cache2",
    local_max_bytes="64mb", ttl_ms=60000)`; `hearth.options()` lists them. Besides:

    - `options_file`: a file of `name = value` lines, read first.
    - `serializer`: of values that are neither bytes nor str: "json" (strict), "msgpack", "pickle", or
      an object with `format`, `dumps` and `loads`. `secret`: for pickle. `accept`: further
      serializers whose values may be read.
    - `compression`: None, "zlib", "zstd" or "lz4", of values over `compress_over` bytes.
    - `share_bytes`: keep decoded values, up to so many bytes as they are stored, and hand out **the
      same object** again as long as nobody has changed the value. Who gets a shared dict or list must
      not change it.
    - `on_error`: "miss": a get() whose node fails is a miss, and counted; "raise": it raises.
    """

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "Cache":
        """A cache with these nodes: "redis://host:port,host2:port2/0", "redis+unix:///path",
        "memcached://host:port", "memcached+unix:///path" or "embedded://"."""
        return cls(remote_url=url, **options)

    def close(self) -> None:
        """Closes the cache: calls that come now raise ClosedError, those that are under way are
        waited for, loaders too. It is done by itself when nobody knows the cache any more, and at the
        end of the process. Once closed, it does nothing."""
        if self._handle.closed:
            return
        if self._loads.leads_any(current_owner()) or self._loads.runs_coroutine_here():
            raise DeadlockError("a load of this thread cannot wait for its cache to be closed")
        if self._handle.is_used_here():
            raise DeadlockError("a signal's handler cannot close a cache that it came in between of")
        self._loads.stop()
        self._handle.close()
        for queues in self._queues:
            queues.close()
        self._finalizer.detach()

    # ---- namespaces ----

    def namespace(self, name: Key) -> "Namespace":
        """A view of the cache whose keys are its own, beside the cache's and those of other namespaces, and
        can all be forgotten at once. The name has 1 to 100 bytes, without blanks and control bytes; what
        is known of a name stays until the cache is closed, so let names be few. No node is asked."""
        return Namespace(self, name)

    def bump_namespace(self, name: Key, *, timeout: Timeout = None) -> None:
        """namespace(name).bump()."""
        self.namespace(name).bump(timeout=timeout)

    def clear(self) -> None:
        """Forgets every key, of the cache's own and of no namespace, as Namespace.bump() does. A cache with
        nodes has to be opened with `coherence_clear=True`, in all processes alike, else UnsupportedError:
        then its keys have a generation too."""
        call = self._handle.take()
        try:
            status = lib.hearth_clear(self._address)
        finally:
            self._handle.give(call)
        if status == STATUSES["E_UNSUPPORTED"]:
            raise error_of(
                status, None, "open it with coherence_clear=True in all processes, or use a namespace"
            )
        check(status)

    @property
    def closed(self) -> bool:
        """Whether close() has begun."""
        return self._handle.closed

    def __enter__(self) -> "Cache":
        """Itself."""
        if self._handle.closed:
            raise ClosedError("the cache is closed")
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Closes it."""
        self.close()


class Namespace(Cache):
    """A view of a cache: keys of their own, all else the cache's. `cache.namespace("users")` makes one.

    Every verb of a cache is one of a view; those that are not about keys (the log, nodes, tags) are about
    the cache as a whole, and stats() tells the namespace's own figures. guard_add() and guard_rebuild() raise UnsupportedError: the guard
    knows the cache's own keys. Loaders and writers get the key as the caller gave it. `share_bytes` counts
    for each namespace.

    The keys have a generation, a number at a node. What a process knows of it counts for
    `coherence_version_ttl_ms`; a write asks for it each time, which is one request more. If that node does
    not answer, local copies are stale, get() fails as if the key's node did, fetch() loads and stores nothing
    at nodes, and writes raise and write nothing.

    A view ends with its cache. Closing it, which is not needed, ends it alone: other views of the same
    name go on.
    """

    _whole: Cache

    def __init__(self, cache: Cache, name: Key) -> None:
        whole: Cache = cache._whole if isinstance(cache, Namespace) else cache
        space = whole._space_of(name)
        self._whole, self._own = whole, space
        self._view = self._handle = space.view()  # type: ignore[assignment]
        self._address = self._view.address
        self._get_text, self._current = self._view.get_text, self._view.current
        self._space, self._spaces = space.name, whole._spaces
        self._raises, self._codec = whole._raises, whole._codec.within(space.name)
        self._default_ttl_ms, self._wait_ms = whole._default_ttl_ms, whole._wait_ms
        self._loads, self._queues = whole._loads, whole._queues
        self._objects = space.objects
        self._shared = space.objects.entries if space.objects is not None else {}

    @property
    def name(self) -> Key:
        """Text, or bytes if it is no UTF-8."""
        return _text_or_bytes(self._space)

    def bump(self, *, timeout: Timeout = None) -> None:
        """Forgets all keys of the namespace, however many, by one request. This process has none of them
        from when it returns, others from `coherence_version_ttl_ms` later at most. What is being loaded goes
        to those who wait for it, and to nobody who comes later. A NodeError: it may or may not have
        happened, call it again."""
        deadline_ms = deadline(timeout)
        call = self._handle.take()
        try:
            status = lib.hearth_namespace_bump(self._address, call.writing(deadline_ms=deadline_ms))
        finally:
            self._handle.give(call)
        check(status)

    def close(self) -> None:
        """Ends this view alone: calls that come now raise ClosedError, and nothing is waited for."""
        self._view.close()

    # ---- what is the cache's ----

    def _queue(self) -> "LoopQueue":
        if self._view.closed:
            raise ClosedError("the namespace is closed")
        queues = self._own._own_queues or self._whole._queues_of(self._own)
        return queues.of_running_loop()

    def _count_refused(self, key: Key, error: BaseException) -> None:
        self._whole._count_refused(key, error)

    def _read_failed(self, status: int, key: Optional[Key], times: int = 1) -> None:
        self._whole._read_failed(status, key, times)

    def stats(self) -> Stats:
        """Those of the namespace: its reads, hits, loads and writes, and what the local tier has of it
        (local_entries, local_bytes). What is not counted by namespace is 0; the cache's stats() tell it."""
        return self._stats(0, 0)


class Option(NamedTuple):
    """An option of the library."""

    #: for Cache(): `local_max_bytes`
    keyword: str
    #: for an options file: `local.max_bytes`
    name: str
    #: "bytes", "ms", "count", "rate", "flag", "text" or "choice"
    type: str
    #: the default, as text
    default: str
    #: of a choice
    choices: Sequence[str]
    #: what it does
    help: str


def options() -> List[Option]:
    """The options that the library has, in the order of its manual."""
    return [
        Option(
            keyword,
            info.name.decode(),
            info.type.decode(),
            info.initial.decode(),
            tuple(info.choices.decode().split()),
            info.help.decode(),
        )
        for keyword, info in zip(OPTIONS, option_infos())
    ]


__all__ = ["Cache", "Namespace", "Option", "options"]
