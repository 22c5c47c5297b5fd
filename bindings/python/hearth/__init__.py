# SPDX-License-Identifier: Apache-2.0
"""Hearth: a two-tier cache.

    import hearth

    with hearth.Cache.from_url("redis://cache1,cache2", local_max_bytes="64mb") as cache:
        user = cache.fetch("user:7", lambda key: database.user(7), ttl=60)

README.md of this package shows each part with an example; the classes' docstrings are the manual.
"""

from typing import TYPE_CHECKING, Any

from . import _library, _tables
from ._insight import HotKey, Node
from ._tables import Stats
from .cache import Cache, Namespace, Option, options
from .decorator import CachedFunction
from .errors import (
    CacheError,
    ClosedError,
    ConfigError,
    DeadlockError,
    DeleteQueuedError,
    InvalidArgumentError,
    LibraryNotFoundError,
    LoadError,
    LoadTimeoutError,
    NodeError,
    NodeProtocolError,
    NodeTimeoutError,
    NodeUnavailableError,
    OutOfMemoryError,
    OverloadError,
    SerializationError,
    TooLargeError,
    UnknownOutcomeError,
    UnsupportedError,
    VersionMismatchError,
    WrongTypeError,
)
from .serializers import Json, Msgpack, Serializer, SignedPickle
from .values import UNCHANGED, Loaded, Value

if TYPE_CHECKING:
    from .async_cache import AsyncCache, AsyncCachedFunction, AsyncNamespace


def __getattr__(name: str) -> Any:
    """What needs asyncio is imported when it is asked for."""
    if name in ("AsyncCache", "AsyncCachedFunction", "AsyncNamespace"):
        from . import async_cache

        return getattr(async_cache, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


#: of this package
__version__ = _tables.VERSION
#: of the library that was found, and its file
library_version: str = _library.lib.hearth_version().decode()
library_path: str = _library.path

__all__ = [
    "AsyncCache",
    "AsyncCachedFunction",
    "AsyncNamespace",
    "Cache",
    "CacheError",
    "CachedFunction",
    "ClosedError",
    "ConfigError",
    "DeadlockError",
    "DeleteQueuedError",
    "HotKey",
    "InvalidArgumentError",
    "Json",
    "LibraryNotFoundError",
    "LoadError",
    "LoadTimeoutError",
    "Loaded",
    "Msgpack",
    "Namespace",
    "Node",
    "NodeError",
    "NodeProtocolError",
    "NodeTimeoutError",
    "NodeUnavailableError",
    "Option",
    "OutOfMemoryError",
    "OverloadError",
    "SerializationError",
    "Serializer",
    "SignedPickle",
    "Stats",
    "TooLargeError",
    "UNCHANGED",
    "UnknownOutcomeError",
    "UnsupportedError",
    "Value",
    "VersionMismatchError",
    "WrongTypeError",
    "library_path",
    "library_version",
    "options",
]
