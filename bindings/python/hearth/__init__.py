# SPDX-License-Identifier: Apache-2.0
"""Hearth: a two-tier cache.

    import hearth

    with hearth.Cache.from_url("redis://cache1,cache2", local_max_bytes="64mb") as cache:
        user = cache.fetch("user:7", lambda key: database.user(7), ttl=60)

README.md of this package shows each part with an example; the classes' docstrings are the manual.
"""

from . import _library, _tables
from ._insight import HotKey, Node
from ._tables import Stats
from .cache import Cache, Option, options
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
from .values import Loaded, Value

#: of this package
__version__ = _tables.VERSION
#: of the library that was found, and its file
library_version: str = _library.lib.hearth_version().decode()
library_path: str = _library.path

__all__ = [
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
    "UnknownOutcomeError",
    "UnsupportedError",
    "Value",
    "VersionMismatchError",
    "WrongTypeError",
    "library_path",
    "library_version",
    "options",
]
