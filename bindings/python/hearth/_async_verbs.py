# SPDX-License-Identifier: Apache-2.0
"""The verbs that read, for event loops; with those that write, all that load nothing."""

import ctypes
from typing import Any, Callable, Dict, Iterable, List, Optional, cast

from . import _tables
from ._arguments import deadline, key_bytes
from ._async_writes import AsyncWrites
from ._handle import NOTHING, OK, Call
from ._objects import peek_version
from ._queue import Operation
from ._reads import Timeout, read_flags, stale_bound
from .errors import Key
from .values import Value


class AsyncVerbs(AsyncWrites):
    """Those that load nothing."""

    #: of a text: a local hit that needs neither a node nor decoding, else NOTHING
    _hit: Callable[[Any], Any]

    # ---- reads ----

    async def get(self, key: Key, default: Any = None) -> Any:
        """The value, or `default` if it is not cached, or known not to exist."""
        try:
            found = self._hit(key)
        except (TypeError, AttributeError):  # no text, or no key at all
            found = self.cache._at_once(key)
        if found is NOTHING:
            return await self._get_further(key, key_bytes(key), default)
        return found

    async def _get_further(self, key: Key, raw: bytes, default: Any) -> Any:
        queue = self.cache._queue()
        operation = queue.take()
        operation.one(_tables.VERB_GET, raw)
        status = await queue.ask(operation)
        found = self.cache._decoded(key, raw, operation) if status == OK else NOTHING
        queue.give(operation)
        if status < 0:
            self.cache._read_failed(status, key)
        return default if found is NOTHING else found

    async def get_value(
        self,
        key: Key,
        *,
        max_stale: Timeout = None,
        allow_stale: bool = False,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> Optional[Value]:
        """As Cache.get_value()."""
        raw = key_bytes(key)
        flags = read_flags(local, remote) | (_tables.READ_ALLOW_STALE if allow_stale else 0)
        bound, deadline_ms = stale_bound(max_stale), deadline(timeout)
        queue = self.cache._queue()
        operation = queue.take()
        operation.reading(deadline_ms, bound, flags)
        operation.one(_tables.VERB_GET, raw, True)
        status = await queue.ask(operation)
        found = self.cache._answer(key, raw, status, operation)
        queue.give(operation)
        if status < 0:
            self.cache._read_failed(status, key)
        return found

    async def get_many(self, keys: Iterable[Key]) -> Dict[Key, Any]:
        """The values of those keys that have one."""
        found, others = self.cache._local_of(keys)
        missing, version = [], ctypes.c_uint64()
        for key, raw in others:
            if peek_version(self.cache._address, raw, len(raw), ctypes.byref(version)):
                missing.append((key, raw))
                continue
            value = await self._get_further(key, raw, NOTHING)  # here, but to be decoded
            if value is not NOTHING:
                found[key] = value
        if not missing:
            return found
        queue = self.cache._queue()
        calls: List[Call] = [queue.take() for _ in missing]
        operation = Operation()
        statuses = operation.many(_tables.VERB_GET, [raw for _, raw in missing], None, calls)
        status = await queue.ask(operation)
        if status < 0 and operation.ticket.value == 0:  # it was not taken, and no status set
            self.cache._read_failed(status, None, len(missing))
            return found
        self.cache._take_many(missing, calls, status, statuses, found)
        for call in calls:
            queue.give(cast(Operation, call))
        return found

    async def contains(self, key: Key) -> bool:
        """Whether get() would find a value now."""
        return await self.get(key, NOTHING) is not NOTHING
