# SPDX-License-Identifier: Apache-2.0
"""The verbs that read."""

import ctypes
from datetime import timedelta
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

from . import _tables
from ._arguments import deadline, key_bytes, seconds_of
from ._base import Base
from ._handle import ABSENT, NOTHING, OK, Call, check, get_with
from ._library import unchecked
from .errors import Key
from .values import Value, value_of

_get = unchecked("hearth_get")
_get_many = unchecked("hearth_get_many")

Timeout = Union[int, float, timedelta, None]


def stale_bound(max_stale: Timeout) -> int:
    """In ms; None: any."""
    if max_stale is None:
        return _tables.STALE_ANY
    ms = int(seconds_of(max_stale, "max_stale") * 1000)
    if ms < 0:
        raise ValueError("max_stale is 0 seconds or more")
    return ms


class Reads(Base):
    """get and what is like it. A node that fails is a miss, and counted (`Stats.failed_reads`),
    unless the cache was opened with on_error="raise"."""

    def get(self, key: Key, default: Any = None) -> Any:
        """The value, or `default` if it is not cached, or known not to exist.

        A local hit of bytes takes one call of C, which waits for nothing.
        """
        if self._shared and key in self._shared:
            try:
                probe, value = self._shared[key]
            except KeyError:  # it made room meanwhile
                return self._get_further(key, key_bytes(key), default)
            if self._current(probe):
                return value
        if type(key) is str:
            found = self._get_text(key)
        else:
            raw = key_bytes(key)
            found = get_with(self._address, raw, len(raw))
        if found is NOTHING:
            return self._get_further(key, key_bytes(key), default)
        return found

    def _get_further(self, key: Key, raw: bytes, default: Any) -> Any:
        """What the local tier does not have, or not as plain bytes."""
        call = self._handle.take()
        try:
            status = _get(self._address, raw, len(raw), None, call.value)
            if status == OK:
                found = self._decoded(key, raw, call)
                return default if found is NOTHING else found
        finally:
            self._handle.give(call)
        if status < 0:
            self._read_failed(status, key)
        return default

    def get_value(
        self,
        key: Key,
        *,
        max_stale: Timeout = None,
        allow_stale: bool = False,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> Optional[Value]:
        """The value with what is known about it; None if it is not cached.

        `max_stale`: ask the node if the local copy could differ from it by changes older than so
        many seconds. `allow_stale`: a value past its soft life is an answer too. `local=False`,
        `remote=False`: ask only the other tier. `timeout`: seconds; else `remote_timeout_ms`.
        """
        flags = read_flags(local, remote) | (_tables.READ_ALLOW_STALE if allow_stale else 0)
        status, answer = self._asked(key, deadline(timeout), stale_bound(max_stale), flags)
        if status < 0:
            self._read_failed(status, key)
        return answer

    def _told_value(self, key: Key) -> Optional[Value]:
        """What the node has; None: it said that there is nothing. One that does not answer is never a
        miss here, whatever `on_error` is: what is made of a value must not be made of its absence."""
        status, answer = self._asked(key, 0, _tables.STALE_ANY, read_flags(False, True))
        check(status, key)
        return answer

    def _asked(
        self, key: Key, deadline_ms: int, bound: int, flags: int
    ) -> Tuple[int, Optional[Value]]:
        raw = key_bytes(key)
        call = self._handle.take()
        try:
            options = call.reading(deadline_ms, bound, flags)
            status = _get(self._address, raw, len(raw), options, call.value)
            return status, self._answer(key, raw, status, call)
        finally:
            self._handle.give(call)

    def _answer(self, key: Key, raw: bytes, status: int, call: Call) -> Optional[Value]:
        """Of get_value()."""
        if status == OK:
            found = self._decoded(key, raw, call)
            return None if found is NOTHING else value_of(found, False, call.informed())
        return value_of(None, True, call.informed()) if status == ABSENT else None

    def get_many(self, keys: Iterable[Key]) -> Dict[Key, Any]:
        """The values of those keys that have one: what the local tier lacks is asked of all nodes at
        once."""
        found, missing = self._local_of(keys)
        if missing:
            self._get_many_further(missing, found)
        return found

    def _local_of(self, keys: Iterable[Key]) -> Tuple[Dict[Key, Any], List[Tuple[Key, bytes]]]:
        """What is found without waiting, and what is left."""
        found: Dict[Key, Any] = {}
        missing: List[Tuple[Key, bytes]] = []
        for key in dict.fromkeys(keys):
            raw = key_bytes(key)
            value = get_with(self._address, raw, len(raw))
            if value is NOTHING:
                missing.append((key, raw))
            else:
                found[key] = value
        return found, missing

    def _get_many_further(self, missing: List[Tuple[Key, bytes]], found: Dict[Key, Any]) -> None:
        calls: List[Call] = []
        count = len(missing)
        statuses = array_of(ctypes.c_int32, count)
        try:
            while len(calls) < count:
                calls.append(self._handle.take())
            keys, sizes = key_arrays([raw for _, raw in missing])
            values = array_of(ctypes.c_void_p, count)
            for at, call in enumerate(calls):
                values[at] = call.value.value
            status = _get_many(
                self._address, ctypes.c_size_t(count), keys, sizes, None, values, statuses
            )
            self._take_many(missing, calls, status, statuses, found)
        finally:
            for call in calls:
                self._handle.give(call)

    def _take_many(
        self,
        missing: List[Tuple[Key, bytes]],
        calls: List[Call],
        status: int,
        statuses: Any,
        found: Dict[Key, Any],
    ) -> None:
        """Of get_many(): what the nodes told of each."""
        failed = 0
        if status in (_tables.STATUSES["E_CLOSED"], _tables.STATUSES["E_INVALID"]):
            self._read_failed(status, None)
        for at, (key, raw) in enumerate(missing):
            if statuses[at] == OK:
                value = self._decoded(key, raw, calls[at])
                if value is not NOTHING:
                    found[key] = value
            elif statuses[at] < 0:
                failed += 1
        if failed:
            self._read_failed(status, None, failed)

    def __contains__(self, key: Key) -> bool:
        """Whether get() would find a value now."""
        return self.get(key, NOTHING) is not NOTHING

    def __getitem__(self, key: Key) -> Any:
        """As get(); KeyError if there is none."""
        found = self.get(key, NOTHING)
        if found is NOTHING:
            raise KeyError(key)
        return found


def read_flags(local: bool, remote: bool, reload: bool = False) -> int:
    """Of which tiers may be asked, and whether they may answer."""
    tiers = (0 if local else _tables.READ_NO_LOCAL) | (0 if remote else _tables.READ_NO_REMOTE)
    return tiers | (_tables.READ_RELOAD if reload else 0)


def array_of(kind: Any, count: int) -> Any:
    """An array of at least `count`. There is a type for each length, and they are never freed, so
    lengths are powers of two."""
    return (kind * (1 << max(count - 1, 0).bit_length()))()


def key_arrays(raws: List[bytes]) -> Tuple[Any, Any]:
    """Pointers and sizes. The bytes must be kept for as long."""
    keys, sizes = array_of(ctypes.c_char_p, len(raws)), array_of(ctypes.c_size_t, len(raws))
    for at, raw in enumerate(raws):
        keys[at] = raw
        sizes[at] = len(raw)
    return keys, sizes
