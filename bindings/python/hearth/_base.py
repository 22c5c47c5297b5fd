# SPDX-License-Identifier: Apache-2.0
"""What all verbs of a cache share: the open cache, the codec, the binding's own counters."""

import atexit
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Union

from . import _tables
from ._arguments import key_bytes
from ._handle import NOTHING, Call, Handle, error_of, get_with
from ._loads import Loads
from ._log import forward_log, logger
from ._shared import Entry, SharedObjects
from ._space import Space
from .errors import BY_STATUS, ConfigError, Key, NodeError, TooLargeError, WrongTypeError
from .serializers import Codec, Serializer, compression_of, serializer_of

if TYPE_CHECKING:
    from ._queue import LoopQueue, LoopQueues

#: statuses of a read that tell of a node, not of a mistake
_NODE_FAILURES = frozenset(
    status
    for status, error in BY_STATUS.items()
    if issubclass(error, (NodeError, TooLargeError, WrongTypeError))
)

_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "b": 1}

#: how long the end of a forgotten cache waits for what is under way
_EXIT_WAIT_S = 1.0


def _bytes_of(text: str) -> int:
    """64 MiB of "64mb"."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return int(text[: -len(unit)]) * factor
    return int(text)


def _end(handle: Handle, loads: Loads, queues: "List[LoopQueues]") -> None:
    """When nobody knows the cache any more."""
    loads.stop(wait=False)
    handle.close(_EXIT_WAIT_S, loads.owed)
    for each in queues:
        each.close()


class Base:
    """An open cache. Its verbs are in the classes that come after it."""

    def __init__(
        self,
        *,
        serializer: Union[str, Serializer] = "json",
        secret: Union[bytes, Sequence[bytes], None] = None,
        accept: Iterable[Union[str, Serializer]] = (),
        compression: Optional[str] = None,
        compress_over: int = 1024,
        share_bytes: int = 0,
        on_error: str = "miss",
        **options: Any,
    ) -> None:
        if on_error not in ("miss", "raise"):
            raise ConfigError(f"on_error={on_error!r}: one of miss, raise")
        own = serializer_of(serializer, secret)
        others = [serializer_of(each, secret) for each in accept]
        packer = compression_of(compression) if compression is not None else None
        self._raises = on_error == "raise"
        #: the name of the namespace whose keys they are; of the cache's own keys none
        self._space = b""
        self._spaces: Dict[bytes, Space] = {}
        self._handle = Handle(options)
        settings = {name: text.decode() for name, text in self._handle.settings.items()}
        self._default_ttl_ms = int(settings["ttl_ms"])
        self._wait_ms = int(settings["load.hard_timeout_ms"])
        most_bytes, prefix = _bytes_of(settings["remote.max_value_bytes"]), settings["remote.prefix"]
        self._codec = Codec(own, others, packer, compress_over, most_bytes, prefix.encode())
        self._loads = Loads(int(settings["load.workers"]))
        self._share_bytes = share_bytes
        self._objects = SharedObjects(share_bytes) if share_bytes else None
        self._address = self._handle.address
        self._get_text, self._current = self._handle.get_text, self._handle.current
        self._shared: Dict[Key, Entry] = self._objects.entries if self._objects else {}
        self._failed_reads = self._refused_values = 0
        self._log_due = 0.0
        # Locks are reentrant: a signal's handler, or a finalizer, may come in between and use a cache.
        self._count_lock = threading.RLock()
        #: of event loops, for each namespace that a loop has asked
        self._queues: "List[LoopQueues]" = []
        self._own_queues: "Optional[LoopQueues]" = None
        self._finalizer = weakref.finalize(self, _end, self._handle, self._loads, self._queues)
        self._finalizer.atexit = False
        _caches.add(self)

    # ---- event loops ----

    def _queue(self) -> "LoopQueue":
        """The running loop's."""
        if self._own_queues is None:
            self._own_queues = self._queues_of(self)
        return self._own_queues.of_running_loop()

    def _queues_of(self, owner: "Union[Base, Space]") -> "LoopQueues":
        """Those of the cache or of one of its namespaces: two who ask get the same."""
        from ._queue import LoopQueues  # who has no loop is spared asyncio

        with self._count_lock:
            if owner._own_queues is None:
                owner._own_queues = LoopQueues(owner._handle)
                self._queues.append(owner._own_queues)
            return owner._own_queues

    # ---- namespaces ----

    def _space_of(self, name: Key) -> Space:
        """What this process has of a namespace."""
        raw = key_bytes(name)
        found = self._spaces.get(raw)
        if found is None:
            found = Space(self._handle, raw, self._share_bytes)
            with self._count_lock:
                found = self._spaces.setdefault(raw, found)
        return found

    # ---- what is counted ----

    def _count_refused(self, key: Key, error: BaseException) -> None:
        with self._count_lock:
            self._refused_values += 1
        logger.debug("the value of %.100r is taken for a miss: %r", key, error)

    def _read_failed(self, status: int, key: Optional[Key], times: int = 1) -> None:
        """A read whose node failed is a miss, and counted; anything else is raised."""
        if status not in _NODE_FAILURES or self._raises:
            raise error_of(status, key)
        with self._count_lock:
            self._failed_reads += times
            now = time.monotonic()
            if now < self._log_due:
                return
            self._log_due = now + 1
        self._forward_log()

    def _forward_log(self) -> int:
        call = self._handle.take()
        try:
            return forward_log(self._address)
        finally:
            self._handle.give(call)

    # ---- what is found ----

    def _decoded(self, key: Key, raw: bytes, call: Call) -> Any:
        """The answer's value; NOTHING if it is none for this cache."""
        info = call.informed()
        content = info.content
        data = call.data()
        if content == 0:
            # A counter has neither version nor content, and is never kept in the local tier.
            if info.version == 0 and info.tier == _tables.TIER_REMOTE and data.isdigit():
                return int(data)
            return data
        try:
            value = self._codec.decode(raw, data, content)
        except Exception as error:
            self._count_refused(key, error)
            return NOTHING
        if self._objects is not None and info.version and info.freshness == _tables.FRESH:
            self._objects.keep(key, raw, info.version, value, len(data))
        return value

    def _at_once(self, key: Key) -> Any:
        """A fresh local hit that needs no node and no decoding, else NOTHING."""
        if self._shared:
            entry = self._shared.get(key)
            if entry is not None:
                probe, value = entry
                if self._current(probe):
                    return value
        if type(key) is str:
            return self._get_text(key)
        raw = key_bytes(key)
        return get_with(self._address, raw, len(raw))

    def _after_fork(self) -> None:
        self._count_lock = threading.RLock()
        self._loads.after_fork()
        for queues in self._queues:
            queues.after_fork()
        if self._objects is not None:
            self._objects.after_fork()
        for space in list(self._spaces.values()):
            if space.objects is not None:
                space.objects.after_fork()


_caches: "weakref.WeakSet[Base]" = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """Daemon threads go on for a moment yet: what they may use is left to the end of the process."""
    if threading.active_count() == 1:
        for cache in list(_caches):
            cache._finalizer()


def _after_fork() -> None:
    for cache in list(_caches):
        cache._after_fork()


os.register_at_fork(after_in_child=_after_fork)
