# SPDX-License-Identifier: Apache-2.0
"""The verbs that write, for event loops."""

import ctypes
import functools
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from . import _tables
from ._arguments import (
    OVER,
    TTL,
    UNSET,
    Unset,
    deadline,
    key_bytes,
    milliseconds,
    soft_life,
    tags_bytes,
)
from ._coroutines import in_thread
from ._handle import OK, check, error_of
from ._queue import Operation
from ._reads import Timeout
from ._writes import (
    CONFLICT,
    EXISTS,
    ROUNDS,
    checked_delta,
    checked_version,
    note_failures,
    raise_failed,
    write_flags,
)
from .cache import Cache
from .errors import CacheError, Key

_DEFAULT_LIVES = (_tables.TTL_DEFAULT, _tables.TTL_DEFAULT)


class AsyncWrites:
    """As those of Cache, through the loop's queue."""

    #: the same cache for threads
    cache: Cache

    async def _write(
        self,
        verb: int,
        key: Optional[Key],
        raw: bytes,
        data: Optional[bytes],
        *options: Any,
        delta: int = 0,
    ) -> Tuple[int, int]:
        """Its status, and the number that an increment made."""
        queue = self.cache._queue()
        operation = queue.take()
        operation.writing(*options)
        operation.one(verb, raw)
        operation.stores(data or b"")
        operation.request.delta = delta
        status = await queue.ask(operation)
        number = operation.number
        queue.give(operation)
        return check(status, key), number

    async def _store(
        self,
        verb: int,
        key: Key,
        value: Any,
        ttl_ms: int,
        stale: TTL,
        timeout: Timeout,
        flags: int,
        if_version: int = 0,
        tags: Iterable[Key] = (),
    ) -> int:
        raw, tags_raw = key_bytes(key), tags_bytes(tags)
        data, content = self.cache._encoded(raw, value, flags)
        soft_ms = soft_life(ttl_ms, stale, self.cache._default_ttl_ms)
        options = (ttl_ms, soft_ms, deadline(timeout), content, flags, if_version, tags_raw)
        return (await self._write(verb, key, raw, data, *options))[0]

    async def set(
        self,
        key: Key,
        value: Any,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        counter: bool = False,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> None:
        """As Cache.set()."""
        ttl_ms = milliseconds(ttl)
        if ttl_ms == OVER:
            await self.delete(key, timeout=timeout)
            return
        flags = write_flags(local, remote) | (_tables.WRITE_INTEGER if counter else 0)
        await self._store(_tables.VERB_SET, key, value, ttl_ms, stale, timeout, flags, 0, tags)

    async def add(
        self,
        key: Key,
        value: Any,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        counter: bool = False,
        timeout: Timeout = None,
    ) -> bool:
        """As Cache.add()."""
        ttl_ms = milliseconds(ttl)
        ttl_ms = 1 if ttl_ms == OVER else ttl_ms
        flags = _tables.WRITE_INTEGER if counter else 0
        verb = _tables.VERB_ADD
        status = await self._store(verb, key, value, ttl_ms, stale, timeout, flags, 0, tags)
        return status != EXISTS

    async def replace(
        self,
        key: Key,
        value: Any,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        if_version: Optional[int] = None,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        timeout: Timeout = None,
    ) -> bool:
        """As Cache.replace()."""
        ttl_ms = milliseconds(ttl)
        version = checked_version(if_version)
        ttl_ms = 1 if ttl_ms == OVER else ttl_ms
        verb = _tables.VERB_REPLACE
        status = await self._store(verb, key, value, ttl_ms, stale, timeout, 0, version, tags)
        return status == OK

    async def _change(
        self, verb: int, key: Optional[Key], raw: bytes, timeout: Timeout, flags: int = 0
    ) -> int:
        """Of a verb that stores nothing."""
        options = (*_DEFAULT_LIVES, deadline(timeout), 0, flags)
        return (await self._write(verb, key, raw, None, *options))[0]

    async def delete(self, key: Key, *, timeout: Timeout = None) -> bool:
        """As Cache.delete(): it raises whenever the node did not say that it is done."""
        return await self._change(_tables.VERB_DELETE, key, key_bytes(key), timeout) == OK

    async def mark_stale(self, key: Key, *, timeout: Timeout = None) -> bool:
        """As Cache.mark_stale()."""
        return await self._change(_tables.VERB_MARK_STALE, key, key_bytes(key), timeout) == OK

    async def invalidate_tag(
        self, tag: Key, *, keep_stale: bool = False, timeout: Timeout = None
    ) -> None:
        """As Cache.invalidate_tag(). What this loop has begun to store with the tag before goes, too."""
        (raw,) = tags_bytes((tag,))
        flags = _tables.WRITE_KEEP_STALE if keep_stale else 0
        await self._change(_tables.VERB_INVALIDATE_TAG, None, raw, timeout, flags)

    async def touch(
        self,
        key: Key,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        timeout: Timeout = None,
    ) -> bool:
        """As Cache.touch()."""
        ttl_ms = milliseconds(ttl)
        if ttl_ms == OVER:
            return await self.delete(key, timeout=timeout)
        raw = key_bytes(key)
        soft_ms = soft_life(ttl_ms, stale, self.cache._default_ttl_ms)
        options = (ttl_ms, soft_ms, deadline(timeout))
        status, _ = await self._write(_tables.VERB_TOUCH, key, raw, None, *options)
        if status == CONFLICT:
            raise CacheError(f"others kept changing {key!r:.100}")
        return status == OK

    async def incr(
        self,
        key: Key,
        delta: int = 1,
        *,
        initial: Optional[int] = None,
        ttl: Union[TTL, Unset] = UNSET,
        timeout: Timeout = None,
    ) -> int:
        """As Cache.incr()."""
        checked_delta(delta)
        raw, options = key_bytes(key), (*_DEFAULT_LIVES, deadline(timeout))
        verb = _tables.VERB_INCREMENT
        for _ in range(ROUNDS):
            status, number = await self._write(verb, key, raw, None, *options, delta=delta)
            if status == OK:
                return number
            if initial is None:
                raise KeyError(key)
            if await self.add(key, initial, ttl, counter=True, timeout=timeout):
                return initial
        raise CacheError(f"others kept making and deleting {key!r:.100}")

    async def decr(self, key: Key, delta: int = 1, *, timeout: Timeout = None) -> int:
        """As Cache.decr()."""
        return await self.incr(key, -delta, timeout=timeout)

    async def write_through(
        self,
        key: Key,
        value: Any,
        writer: Callable[[Any, Any], Any],
        ttl: Union[TTL, Unset] = UNSET,
        **more: Any,
    ) -> bool:
        """As Cache.write_through(); the writer is a plain function, called on another thread."""
        verb = self.cache.write_through
        return await in_thread(functools.partial(verb, key, value, writer, ttl, **more))

    async def evict_local(self, key: Key) -> bool:
        """As Cache.evict_local()."""
        return self.cache.evict_local(key)

    # ---- many keys ----

    async def set_many(
        self,
        values: Mapping[Key, Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        timeout: Timeout = None,
    ) -> None:
        """As Cache.set_many()."""
        ttl_ms = milliseconds(ttl)
        if ttl_ms == OVER:
            await self.delete_many(values, timeout=timeout)
            return
        soft_ms = soft_life(ttl_ms, stale, self.cache._default_ttl_ms)
        deadline_ms = deadline(timeout)
        failed: Dict[Key, CacheError] = {}
        tags_raw = tags_bytes(tags)
        for content, rows in self.cache._rows_of(values).items():
            options = (ttl_ms, soft_ms, deadline_ms, content, 0, 0, tags_raw)
            await self._write_many(_tables.VERB_SET, rows, options, failed)
        raise_failed(failed)

    async def delete_many(self, keys: Iterable[Key], *, timeout: Timeout = None) -> int:
        """As Cache.delete_many()."""
        rows = [(key, key_bytes(key), None) for key in dict.fromkeys(keys)]
        if not rows:
            return 0
        options = (*_DEFAULT_LIVES, deadline(timeout))
        failed: Dict[Key, CacheError] = {}
        statuses = await self._write_many(_tables.VERB_DELETE, rows, options, failed)
        raise_failed(failed)
        return sum(statuses[at] == OK for at in range(len(rows)))

    async def _write_many(
        self,
        verb: int,
        rows: List[Tuple[Key, bytes, Any]],
        options: Tuple[Any, ...],
        failed: Dict[Key, CacheError],
    ) -> Any:
        queue = self.cache._queue()
        operation = Operation()
        operation.writing(*options)
        datas = [row[2] for row in rows] if verb == _tables.VERB_SET else None
        statuses = operation.many(verb, [row[1] for row in rows], datas, [])
        status = await queue.ask(operation)
        if status < 0 and operation.ticket.value == 0:  # it was not taken, and no status set
            raise error_of(status)
        note_failures([row[0] for row in rows], status, statuses, failed)
        return statuses
