# SPDX-License-Identifier: Apache-2.0
"""The cache."""

from types import TracebackType
from typing import Any, List, NamedTuple, Optional, Sequence, Type

from ._guard import Guard
from ._handle import OPTIONS, option_infos
from ._insight import Insight
from ._loads import current_owner
from ._reads import Reads
from .decorator import Cached
from .errors import ClosedError, DeadlockError


class Cache(Cached, Reads, Guard, Insight):
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
        self._finalizer.detach()

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


__all__ = ["Cache", "Option", "options"]
