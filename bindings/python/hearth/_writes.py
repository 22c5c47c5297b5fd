# SPDX-License-Identifier: Apache-2.0
"""The verbs that write."""

import ctypes
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from . import _tables
from ._abi import Writer
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
from ._base import Base
from ._handle import OK, check, error_of
from ._library import lib, unchecked
from ._reads import Timeout, array_of, key_arrays
from .errors import CacheError, InvalidArgumentError, Key

EXISTS = _tables.STATUSES["EXISTS"]
CONFLICT = _tables.STATUSES["CONFLICT"]

#: of incr(): made by one, counted by the next, gone before the third; a few are plenty
ROUNDS = 8

_set_many = unchecked("hearth_set_many")
_delete_many = unchecked("hearth_delete_many")


def number_text(value: Any) -> bytes:
    """A counter's digits."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise InvalidArgumentError(f"a counter is an int from 0 to 2**63 - 1, not {value!r}")
    return b"%d" % value


def checked_version(if_version: Optional[int]) -> int:
    """Of replace(); 0: any."""
    if if_version is not None and (type(if_version) is not int or not 0 < if_version < 2**64):
        raise InvalidArgumentError(f"if_version is a version of get_value(), not {if_version!r}")
    return if_version or 0


def checked_delta(delta: int) -> int:
    """Of incr()."""
    if type(delta) is not int or not -(2**63) <= delta < 2**63:
        raise InvalidArgumentError(f"delta is an int of 64 bits, not {delta!r}")
    return delta


class Writes(Base):
    """set and what is like it. A failure is raised: a write that did not happen must not look like
    one that did. After any write, every later read of this process sees it or something later."""

    def _encoded(self, raw: bytes, value: Any, flags: int) -> Tuple[bytes, int]:
        """A value's bytes, and how they are read: a counter's number, or as the serializer has it."""
        return (number_text(value), 0) if flags & _tables.WRITE_INTEGER else self._codec.encode(raw, value)

    def _store(
        self,
        verb: Any,
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
        data, content = self._encoded(raw, value, flags)
        soft_ms = soft_life(ttl_ms, stale, self._default_ttl_ms)
        deadline_ms = deadline(timeout)
        call = self._handle.take()
        try:
            options = call.writing(
                ttl_ms, soft_ms, deadline_ms, content, flags, if_version, tags_raw
            )
            status: int = verb(self._address, raw, len(raw), data, len(data), options)
        finally:
            self._handle.give(call)
        return check(status, key)

    def set(
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
        """Stores a value in both tiers, whatever is there.

        `ttl`: seconds or a timedelta; None: for ever; not given: the option `ttl_ms`; 0 or less: it
        is over already, and the key is deleted. `stale`: the last part of that, in which fetch()
        serves the value while it is renewed; not given: the option `stale_ms`. `tags`: of
        invalidate_tag(); a value with tags is kept by its node alone. `counter`: a number for incr(). `local=False` keeps no local copy, `remote=False` stores it in this process only
        (and does nothing if the local tier is off or the value too large for it).
        """
        ttl_ms = milliseconds(ttl)
        if ttl_ms == OVER:
            self.delete(key, timeout=timeout)
            return
        flags = write_flags(local, remote) | (_tables.WRITE_INTEGER if counter else 0)
        self._store(lib.hearth_set, key, value, ttl_ms, stale, timeout, flags, 0, tags)

    def add(
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
        """Stores a value only where there is none. False: there was one, nothing was stored. A ttl
        of 0 or less stores nothing that could be seen."""
        ttl_ms = milliseconds(ttl)
        flags = _tables.WRITE_INTEGER if counter else 0
        if ttl_ms == OVER:
            ttl_ms = 1
        status = self._store(lib.hearth_add, key, value, ttl_ms, stale, timeout, flags, 0, tags)
        return status != EXISTS

    def replace(
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
        """Stores a value only over one that is there; with `if_version`, of get_value(), only over
        that very one. False: it was not so, nothing was stored."""
        ttl_ms = milliseconds(ttl)
        version = checked_version(if_version)
        if ttl_ms == OVER:
            ttl_ms = 1
        status = self._store(
            lib.hearth_replace, key, value, ttl_ms, stale, timeout, 0, version, tags
        )
        return status == OK

    def delete(self, key: Key, *, timeout: Timeout = None) -> bool:
        """Removes a key from both tiers, and what is known of it. True: there was a value.

        It raises whenever the node did not say that it is done: DeleteQueuedError if the delete is
        kept for a node that does not answer, other NodeErrors if it could not even be kept. The
        local copy is gone in any case.
        """
        raw = key_bytes(key)
        deadline_ms = deadline(timeout)
        call = self._handle.take()
        try:
            options = call.writing(deadline_ms=deadline_ms)
            status = lib.hearth_delete(self._address, raw, len(raw), options)
        finally:
            self._handle.give(call)
        return check(status, key) == OK

    def mark_stale(self, key: Key, *, timeout: Timeout = None) -> bool:
        """Tells that a value is out of date, and keeps it for when nothing newer can be had: the next
        fetch() loads it anew, get() finds nothing, get_value(allow_stale=True) the old value. False: there
        was none. It raises as delete() does, and WrongTypeError for a counter."""
        raw = key_bytes(key)
        deadline_ms = deadline(timeout)
        call = self._handle.take()
        try:
            options = call.writing(deadline_ms=deadline_ms)
            status = lib.hearth_mark_stale(self._address, raw, len(raw), options)
        finally:
            self._handle.give(call)
        return check(status, key) == OK

    def invalidate_tag(
        self, tag: Key, *, keep_stale: bool = False, timeout: Timeout = None
    ) -> None:
        """Ends all values with a tag, however many: they are gone for whoever reads them, and what is
        being loaded for them from before is stored nowhere. This process sees it at once, others within
        `coherence_version_ttl_ms`. With `keep_stale` the values stay, as those of mark_stale() do. It
        raises if it may not have happened."""
        (raw,) = tags_bytes((tag,))
        deadline_ms = deadline(timeout)
        call = self._handle.take()
        try:
            flags = _tables.WRITE_KEEP_STALE if keep_stale else 0
            options = call.writing(deadline_ms=deadline_ms, flags=flags)
            status = lib.hearth_invalidate_tag(self._address, raw, len(raw), options)
        finally:
            self._handle.give(call)
        check(status)

    def write_through(
        self,
        key: Key,
        value: Any,
        writer: Callable[[Any, Any], Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        timeout: Timeout = None,
    ) -> bool:
        """Changes the source of truth by `writer(key, value)`, and both tiers with it, so that none of
        them ever has anything older: the key is void while the writer runs, fetches wait for it, and
        loads that run meanwhile are stored nowhere.

        True: source and tiers have the value. False: the source has it and no tier does, since another
        write came between or the node failed; the next fetch loads. The writer is called once, whatever
        the nodes do; if it raises, that is raised, and no tier has anything, neither old nor new. A
        NodeError: the source has the value, and the node may have the old one, as for delete().
        """
        ttl_ms = milliseconds(ttl)
        ttl_ms = 1 if ttl_ms == OVER else ttl_ms
        raw, tags_raw = key_bytes(key), tags_bytes(tags)
        data, content = self._codec.encode(raw, value)
        soft_ms = soft_life(ttl_ms, stale, self._default_ttl_ms)
        errors: List[BaseException] = []

        def write(*_: Any) -> int:
            try:
                writer(key, value)
                return OK
            except BaseException as error:
                errors.append(error)
                return _tables.STATUSES["E_LOADER"]

        deadline_ms, function = deadline(timeout), Writer(write)
        call = self._handle.take()
        try:
            options = call.writing(ttl_ms, soft_ms, deadline_ms, content, tags=tags_raw)
            status = lib.hearth_write_through(
                self._address, raw, len(raw), data, len(data), function, None, options
            )
        finally:
            self._handle.give(call)
        if errors:
            raise errors[0]
        return check(status, key) == OK

    def touch(
        self,
        key: Key,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        timeout: Timeout = None,
    ) -> bool:
        """Gives a value a new life, from now. False: there is none. A ttl of 0 or less deletes."""
        ttl_ms = milliseconds(ttl)
        if ttl_ms == OVER:
            return self.delete(key, timeout=timeout)
        raw = key_bytes(key)
        soft_ms = soft_life(ttl_ms, stale, self._default_ttl_ms)
        deadline_ms = deadline(timeout)
        call = self._handle.take()
        try:
            options = call.writing(ttl_ms, soft_ms, deadline_ms)
            status = lib.hearth_touch(self._address, raw, len(raw), options)
        finally:
            self._handle.give(call)
        status = check(status, key)
        if status == CONFLICT:
            raise CacheError(f"others kept changing {key!r:.100}")
        return bool(status == OK)

    def incr(
        self,
        key: Key,
        delta: int = 1,
        *,
        initial: Optional[int] = None,
        ttl: Union[TTL, Unset] = UNSET,
        timeout: Timeout = None,
    ) -> int:
        """Adds to a counter, and answers what it is then: 0 to 2**63 - 1, and on the way down it
        stops at 0. Counters live on the nodes only.

        Where there is none: with `initial` it is made with that value and `ttl` and answered as it
        is, else KeyError. WrongTypeError if the key holds something else: a counter is made by
        `initial`, or by set() or add() with counter=True. UnknownOutcomeError: it may have happened.
        """
        checked_delta(delta)
        for _ in range(ROUNDS):
            number = self._increment(key, delta, timeout)
            if number is not None:
                return number
            if initial is None:
                raise KeyError(key)
            if self.add(key, initial, ttl, counter=True, timeout=timeout):
                return initial
        raise CacheError(f"others kept making and deleting {key!r:.100}")

    def _increment(self, key: Key, delta: int, timeout: Timeout) -> Optional[int]:
        raw = key_bytes(key)
        deadline_ms = deadline(timeout)
        number = ctypes.c_int64()
        call = self._handle.take()
        try:
            options = call.writing(deadline_ms=deadline_ms)
            status = lib.hearth_increment(
                self._address, raw, len(raw), delta, ctypes.byref(number), options
            )
        finally:
            self._handle.give(call)
        return number.value if check(status, key) == OK else None

    def decr(self, key: Key, delta: int = 1, *, timeout: Timeout = None) -> int:
        """As incr(), downwards; it stops at 0."""
        return self.incr(key, -delta, timeout=timeout)

    def evict_local(self, key: Key) -> bool:
        """Drops the local copy; the node is not asked. True: there was one."""
        raw = key_bytes(key)
        call = self._handle.take()
        try:
            return check(lib.hearth_evict_local(self._address, raw, len(raw)), key) == OK
        finally:
            self._handle.give(call)

    # ---- many keys ----

    def set_many(
        self,
        values: Mapping[Key, Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        timeout: Timeout = None,
    ) -> None:
        """set() for many: all nodes are written at once. If any fails, the error of the first is
        raised, and its `failed` tells the error of each that did; the others are stored."""
        ttl_ms = milliseconds(ttl)
        if ttl_ms == OVER:
            self.delete_many(values, timeout=timeout)
            return
        soft_ms = soft_life(ttl_ms, stale, self._default_ttl_ms)
        deadline_ms = deadline(timeout)
        failed: Dict[Key, CacheError] = {}
        tags_raw = tags_bytes(tags)
        for content, rows in self._rows_of(values).items():
            options = (ttl_ms, soft_ms, deadline_ms, content, 0, 0, tags_raw)
            self._set_rows(rows, options, failed)
        raise_failed(failed)

    def _rows_of(self, values: Mapping[Key, Any]) -> Dict[int, List[Any]]:
        """Keys, their bytes and those of the values, by the values' content words."""
        by_content: Dict[int, List[Any]] = {}
        for key, value in values.items():
            raw = key_bytes(key)
            data, content = self._codec.encode(raw, value)
            by_content.setdefault(content, []).append((key, raw, data))
        return by_content

    def _set_rows(
        self,
        rows: List[Any],
        wanted: Tuple[Any, ...],
        failed: Dict[Key, CacheError],
    ) -> None:
        count = len(rows)
        keys, sizes = key_arrays([row[1] for row in rows])
        data, data_sizes = key_arrays([row[2] for row in rows])
        statuses = array_of(ctypes.c_int32, count)
        call = self._handle.take()
        try:
            options = call.writing(*wanted)
            status = _set_many(
                self._address, ctypes.c_size_t(count), keys, sizes, data, data_sizes, options,
                statuses,
            )
        finally:
            self._handle.give(call)
        note_failures([row[0] for row in rows], status, statuses, failed)

    def delete_many(self, keys: Iterable[Key], *, timeout: Timeout = None) -> int:
        """delete() for many; how many there were. It raises as set_many() does."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return 0
        count = len(wanted)
        raws = [key_bytes(key) for key in wanted]
        deadline_ms = deadline(timeout)
        arrays = key_arrays(raws)
        statuses = array_of(ctypes.c_int32, count)
        call = self._handle.take()
        try:
            options = call.writing(deadline_ms=deadline_ms)
            status = _delete_many(
                self._address, ctypes.c_size_t(count), *arrays, options, statuses
            )
        finally:
            self._handle.give(call)
        failed: Dict[Key, CacheError] = {}
        note_failures(wanted, status, statuses, failed)
        raise_failed(failed)
        return sum(statuses[at] == OK for at in range(count))

    def __setitem__(self, key: Key, value: Any) -> None:
        """As set(), for as long as the options say."""
        self.set(key, value)

    def __delitem__(self, key: Key) -> None:
        """As delete(); KeyError if there was no value."""
        if not self.delete(key):
            raise KeyError(key)


def write_flags(local: bool, remote: bool) -> int:
    """Which tiers are written."""
    return (0 if local else _tables.WRITE_NO_LOCAL) | (0 if remote else _tables.WRITE_NO_REMOTE)


def note_failures(
    keys: List[Key], status: int, statuses: Any, failed: Dict[Key, CacheError]
) -> None:
    """The error of each key whose status is one."""
    if status in (_tables.STATUSES["E_CLOSED"], _tables.STATUSES["E_INVALID"]):
        raise error_of(status)
    for at, key in enumerate(keys):
        if statuses[at] < 0:
            failed[key] = error_of(statuses[at], key)


def raise_failed(failed: Dict[Key, CacheError]) -> None:
    """The first of them, which knows all."""
    if failed:
        first = next(iter(failed.values()))
        first.failed = failed
        raise first
