# SPDX-License-Identifier: Apache-2.0
"""What the cache raises: one base, and one class for each status that a caller can act on.

Each is also the builtin exception that fits, so that code which catches those goes on working.
"""

from typing import Dict, Mapping, Optional, Type, Union

from ._tables import STATUSES

Key = Union[str, bytes]


class CacheError(Exception):
    """The base of all. `status` is the C library's, or 0; `key` is the key it is about, or None."""

    status: int = 0
    key: Optional[Key] = None
    #: of a call with many keys: the error of each that failed
    failed: Mapping[Key, "CacheError"] = {}


class LibraryNotFoundError(CacheError, ImportError):
    """libhearth could not be loaded; the message names each place and what was wrong there."""


class VersionMismatchError(CacheError, ImportError):
    """The libhearth that was found does not fit; the message names the file and both versions."""


class ConfigError(CacheError, ValueError):
    """An option is not known, or its value not valid; the message says what is allowed."""


class InvalidArgumentError(CacheError, ValueError):
    """A key, time or other argument is not valid; nothing was done."""


class SerializationError(CacheError, TypeError):
    """A value cannot be stored as it is with this cache's serializer."""


class OutOfMemoryError(CacheError, MemoryError):
    """The library got no memory."""


class TooLargeError(CacheError, ValueError):
    """The value or number is larger than the node or `remote_max_value_bytes` allows."""


class WrongTypeError(CacheError, TypeError):
    """The key holds something of another type: incr of what is no counter."""


class UnsupportedError(CacheError):
    """This is not supported here; the message of the C manual says where."""


class ClosedError(CacheError):
    """The cache is closed."""


class OverloadError(CacheError):
    """Too much is under way already: another rebuild of the guard, say."""


class LoadError(CacheError):
    """A load failed of which this process does not know the exception."""


class LoadTimeoutError(LoadError, TimeoutError):
    """Another caller's load of the key did not end before the deadline."""


class DeadlockError(CacheError, RuntimeError):
    """A loader asked for a key that waits for this very load, or closed its own cache."""


class NodeError(CacheError, OSError):
    """A node failed the operation. Its subclasses say how; catch this one for any of them."""


class NodeTimeoutError(NodeError, TimeoutError):
    """The node did not answer before the deadline; a write was not sent."""


class NodeUnavailableError(NodeError, ConnectionError):
    """The node cannot be reached, refuses, or is left alone since it did not answer before."""


class NodeProtocolError(NodeError):
    """The node sent something that is not its protocol."""


class UnknownOutcomeError(NodeError):
    """A write was sent and its answer was lost: it may have happened."""


class DeleteQueuedError(NodeError):
    """The node is down: the delete is kept, and carried out before anything else is asked of the
    node about the key. Until then other processes may read the old value. Or, with
    ``coherence_mode="bus"``, of any write: it is done, and the bus does not answer, so other
    processes are told later."""


_CLASSES: Dict[str, Type[CacheError]] = {
    "E_INVALID": InvalidArgumentError,
    "E_NOMEM": OutOfMemoryError,
    "E_TIMEOUT": NodeTimeoutError,
    "E_UNAVAILABLE": NodeUnavailableError,
    "E_PROTOCOL": NodeProtocolError,
    "E_TOO_LARGE": TooLargeError,
    "E_TYPE": WrongTypeError,
    "E_LOADER": LoadError,
    "E_OVERLOAD": OverloadError,
    "E_DEADLOCK": DeadlockError,
    "E_UNKNOWN": UnknownOutcomeError,
    "E_QUEUED": DeleteQueuedError,
    "E_CLOSED": ClosedError,
    "E_UNSUPPORTED": UnsupportedError,
}
BY_STATUS: Dict[int, Type[CacheError]] = {STATUSES[name]: each for name, each in _CLASSES.items()}
