# SPDX-License-Identifier: Apache-2.0
"""Read-through: what the tiers do not have is loaded, once, however many ask.

The load is done in the library's three steps (begin, load, commit), so that the loader is called by
Python and not by C: its exception goes its usual way, and the format of what it returned is known
when it is stored.
"""

import ctypes
import threading
import time
from typing import Any, Callable, Iterable, NamedTuple, Optional, Tuple, TypeVar, Union

from . import _tables
from ._abi import Info
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
from ._handle import ABSENT, MISS, NOTHING, OK, check, error_of
from ._library import lib, unchecked
from ._loads import Fill, Interest, current_owner
from ._log import logger
from ._reads import Timeout, read_flags, stale_bound
from .errors import Key, LoadError, LoadTimeoutError
from .values import UNCHANGED, Loaded, Value, value_of

V = TypeVar("V")

_begin = unchecked("hearth_fetch_begin")
_commit = unchecked("hearth_fill_commit")

_LOADER = _tables.STATUSES["E_LOADER"]
_TIMEOUT = _tables.STATUSES["E_TIMEOUT"]
#: the leader has its value and could not give it to the others
_NOT_SHARED = (_tables.STATUSES["E_TOO_LARGE"], _tables.STATUSES["E_NOMEM"])

#: Ctrl-C is seen between waits of so long
_SLICE_MS = 500


class Plan(NamedTuple):
    """What a fetch was asked for besides the key."""

    ttl_ms: int
    soft_ttl_ms: int
    wait_ms: int
    max_stale_ms: int
    flags: int
    background: bool
    tags: Tuple[bytes, ...] = ()
    conditional: bool = False


class Answer(NamedTuple):
    """What a step came to: the value may be NOTHING; with a fill, the load is the caller's."""

    status: int
    value: Any
    known: Optional[Value]
    fill: Optional[Fill]


class Fetches(Base):
    """fetch and what is like it."""

    def fetch(
        self,
        key: Key,
        loader: Callable[..., Optional[V]],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        background: bool = False,
        reload: bool = False,
        conditional: bool = False,
        max_stale: Timeout = None,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> Optional[V]:
        """The value; what neither tier has is loaded by `loader(key)`, and both keep it.

        One caller of a key loads at a time, the others wait for its result, at most `timeout` seconds
        (else the option `load_hard_timeout_ms`; then LoadTimeoutError). A node that fails never fails
        a fetch. An exception of the loader reaches everybody who waits for that load, as itself, and
        nothing is stored. A set() or delete() of the key meanwhile voids the load: who waits has its
        result, but it is not stored.

        **None means: does not exist.** It is the answer, and remembered for `negative_ttl_ms`. A
        loader may return `Loaded(value, ttl=...)` to say how long this result lives.

        `ttl`, `stale`: as for set(). A stale value is renewed by the caller who finds it, who gets the
        new one, while the others get the stale one; with `background=True` by a thread of the cache
        (at most `load_workers`), in a copy of the caller's context, and nobody waits. If a renewal
        fails the stale value is the answer, and the failure is logged.

        `tags`: of the loaded value, for invalidate_tag(). `reload=True`: whatever is cached, it is loaded;
        a load that another caller began since will do; a failure is raised. `conditional=True`: the loader is called as
        `loader(key, old)`, where `old` is the value that there is, stale or soon to be, as a Value, or
        None; it may return `hearth.UNCHANGED`: `old` begins a new life, and is the answer.
        """
        if local and max_stale is None and not reload:
            found = self._at_once(key)
            if found is not NOTHING:
                return found  # type: ignore[no-any-return]
        flags = read_flags(local, remote, reload)
        plan = self._plan(
            ttl, stale, background, max_stale, flags, timeout, tags_bytes(tags), conditional
        )
        return self._fetch(key, loader, plan)[0]  # type: ignore[no-any-return]

    def fetch_value(
        self,
        key: Key,
        loader: Callable[..., Any],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        background: bool = False,
        reload: bool = False,
        conditional: bool = False,
        max_stale: Timeout = None,
        local: bool = True,
        remote: bool = True,
        timeout: Timeout = None,
    ) -> Value:
        """fetch() with what is known about the answer."""
        flags = read_flags(local, remote, reload)
        plan = self._plan(
            ttl, stale, background, max_stale, flags, timeout, tags_bytes(tags), conditional
        )
        value, known = self._fetch(key, loader, plan)
        return known if known is not None else loaded_value(value)

    def get_or_set(
        self, key: Key, default: Any, ttl: Union[TTL, Unset] = UNSET, *, stale: TTL = None
    ) -> Any:
        """The value; else `default`, stored: what it returns if it is a function (called without
        arguments), or itself. As fetch(), None is not a value here."""
        if callable(default):
            return self.fetch(key, lambda _: default(), ttl, stale=stale)
        return self.fetch(key, lambda _: default, ttl, stale=stale)

    def _plan(
        self,
        ttl: Union[TTL, Unset],
        stale: TTL,
        background: bool,
        max_stale: Timeout,
        flags: int,
        timeout: Timeout,
        tags: Tuple[bytes, ...] = (),
        conditional: bool = False,
    ) -> Plan:
        ttl_ms = milliseconds(ttl)
        ttl_ms = 1 if ttl_ms == OVER else ttl_ms
        soft_ms = soft_life(ttl_ms, stale, self._default_ttl_ms)
        wait_ms = deadline(timeout) or self._wait_ms
        bound = stale_bound(max_stale)
        return Plan(ttl_ms, soft_ms, wait_ms, bound, flags, background, tags, conditional)

    # ---- the steps ----

    def _fetch(
        self, key: Key, loader: Callable[..., Any], plan: Plan
    ) -> Tuple[Any, Optional[Value]]:
        raw = key_bytes(key)
        interest = self._loads.enter(self._space, raw)
        try:
            limit = time.monotonic() + plan.wait_ms / 1000
            while True:
                answer = self._ask(key, raw, plan, _tables.READ_NO_WAIT, plan.wait_ms)
                if answer.status == MISS and answer.fill is None:
                    answer = self._wait(key, raw, plan, interest, limit)
                if answer.status == _LOADER:
                    if interest.error is not None:
                        raise interest.error
                    if time.monotonic() < limit:
                        continue  # who loaded was interrupted: this caller may lead now
                return self._answered(key, raw, loader, plan, interest, answer)
        finally:
            self._loads.leave(self._space, raw, interest)

    def _ask(self, key: Key, raw: bytes, plan: Plan, flags: int, wait_ms: int) -> Answer:
        """One hearth_fetch_begin()."""
        call = self._handle.take()
        fill: Optional[Fill] = None
        try:
            options = call.reading(wait_ms, plan.max_stale_ms, plan.flags | flags)
            call.owe_nothing()
            status = _begin(
                self._address, raw, len(raw), options, call.value, call.fill_ref
            )
            address = call.owed()
            if address is not None:
                fill = Fill(address, self._loads.owed)
            if status == OK:
                value = self._decoded(key, raw, call)
                return Answer(OK, value, value_of(value, False, call.informed()), fill)
            known = value_of(None, True, call.informed()) if status == ABSENT else None
            return Answer(status, NOTHING, known, fill)
        except BaseException:
            if fill is None and call.owed() is not None:
                lib.hearth_fill_abandon(call.fill)
            raise
        finally:
            self._handle.give(call)

    def _wait(
        self, key: Key, raw: bytes, plan: Plan, interest: Interest, limit: float
    ) -> Answer:
        """For another caller's load, in slices where a signal may come in."""
        is_main = threading.current_thread() is threading.main_thread()
        self._loads.wait_begins(interest, current_owner(), key)
        try:
            while True:
                left_ms = max(1, int((limit - time.monotonic()) * 1000))
                answer = self._ask(
                    key, raw, plan, 0, min(left_ms, _SLICE_MS) if is_main else left_ms
                )
                if answer.status != _TIMEOUT or left_ms <= 1:
                    return answer
        finally:
            self._loads.wait_ends(current_owner())

    def _answered(
        self,
        key: Key,
        raw: bytes,
        loader: Callable[..., Any],
        plan: Plan,
        interest: Interest,
        answer: Answer,
    ) -> Tuple[Any, Optional[Value]]:
        """What follows from an answer of the library."""
        status, value, known, fill = answer
        if status == ABSENT:
            return None, known
        if status == OK and fill is None and value is not NOTHING:
            return value, known
        if fill is not None:
            if value is NOTHING or plan.flags & _tables.READ_RELOAD:
                return self._load(key, raw, loader, plan, interest, fill)
            return self._renew(key, raw, loader, plan, answer, fill)
        if status == OK:
            return self._load_over(key, raw, loader, plan, known)
        if status in _NOT_SHARED:
            return value_only(loader(key, None) if plan.conditional else loader(key))
        if status == _TIMEOUT:
            error = LoadTimeoutError(f"another load of {key!r:.100} did not end in time")
            error.status, error.key = status, key
            raise error
        raise error_of(status, key)

    def _load(
        self,
        key: Key,
        raw: bytes,
        loader: Callable[..., Any],
        plan: Plan,
        interest: Interest,
        fill: Fill,
    ) -> Tuple[Any, Optional[Value]]:
        """Calls the loader, and ends the fill in any case."""
        owner = current_owner()
        self._loads.load_begins(interest, owner)
        try:
            if not plan.conditional:
                return self._store_load(raw, loader(key), plan, fill)
            old = self._old(key, raw, fill)
            return self._store_load(raw, loader(key, old), plan, fill, old)
        except Exception as error:
            interest.error = error
            raise
        finally:
            self._loads.load_ends(interest, owner)
            fill.abandon()

    def _renew(
        self,
        key: Key,
        raw: bytes,
        loader: Callable[..., Any],
        plan: Plan,
        answer: Answer,
        fill: Fill,
    ) -> Tuple[Any, Optional[Value]]:
        """A stale value is there: it stays the answer if nothing newer comes."""

        def renew() -> Tuple[Any, Optional[Value]]:
            own = self._loads.enter(self._space, raw)
            try:
                return self._load(key, raw, loader, plan, own, fill)
            except Exception:
                logger.warning("the renewal of %.100r failed", key, exc_info=True)
                return answer.value, answer.known
            finally:
                self._loads.leave(self._space, raw, own)

        if not plan.background:
            return renew()
        if not self._loads.run_later(renew):
            fill.abandon()
        return answer.value, answer.known

    def _old(self, key: Key, raw: bytes, fill: Fill) -> Optional[Value]:
        """What there is, for a conditional load."""
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        info = Info(size=ctypes.sizeof(Info))
        places = ctypes.byref(data), ctypes.byref(size), ctypes.byref(info)
        if lib.hearth_fill_stale(fill.pointer, *places) != OK:
            return None
        found = ctypes.string_at(data.value or 0, size.value)
        try:
            value = self._codec.decode(raw, found, info.content) if info.content else found
        except Exception as error:
            self._count_refused(key, error)
            return None
        return value_of(value, False, info)

    def _store_load(
        self, raw: bytes, result: Any, plan: Plan, fill: Fill, old: Optional[Value] = None
    ) -> Tuple[Any, Optional[Value]]:
        """Gives the tiers what was loaded. What they cannot keep is the answer all the same."""
        tags = plan.tags
        ttl_ms, soft_ms = plan.ttl_ms, plan.soft_ttl_ms
        if isinstance(result, Loaded):
            if result.ttl is not UNSET:
                ttl_ms = milliseconds(result.ttl)
                ttl_ms = 1 if ttl_ms == OVER else ttl_ms
                soft_ms = soft_life(ttl_ms, result.stale, self._default_ttl_ms)
                lib.hearth_fill_ttl(fill.pointer, ttl_ms, soft_ms)
            tags += result.tags
            result = result.value
        content = 0
        if result is UNCHANGED:
            if old is None:
                raise LoadError("a loader said UNCHANGED where there is no old value")
            check(lib.hearth_fill_unchanged(fill.pointer))
            result = old.value
        elif result is None:
            lib.hearth_fill_absent(fill.pointer)
        else:
            data, content = self._codec.encode(raw, result)
            lib.hearth_fill_value(fill.pointer, data, len(data))
        for tag in tags:
            check(lib.hearth_fill_tag(fill.pointer, tag, len(tag)))
        call = self._handle.take(even_closing=True)
        try:
            options = call.writing(ttl_ms, soft_ms, 0, content)
            status = _commit(fill.end(), options, call.value)
            if status not in (OK, ABSENT):
                return value_only(result)
            return result, value_of(result, status == ABSENT, call.informed())
        finally:
            self._handle.give(call)

    def _load_over(
        self,
        key: Key,
        raw: bytes,
        loader: Callable[..., Any],
        plan: Plan,
        known: Optional[Value],
    ) -> Tuple[Any, Optional[Value]]:
        """The tiers have a value that this cache does not take: it is loaded, and replaces that very
        one, unless somebody else was quicker."""
        result, tags = loader(key, None) if plan.conditional else loader(key), plan.tags
        if isinstance(result, Loaded):
            result, tags = result.value, tags + result.tags
        if result is None or known is None or not known.version:
            return value_only(result)
        data, content = self._codec.encode(raw, result)
        call = self._handle.take()
        try:
            options = call.writing(
                plan.ttl_ms, plan.soft_ttl_ms, 0, content, 0, known.version, tags
            )
            lib.hearth_replace(self._address, raw, len(raw), data, len(data), options)
        finally:
            self._handle.give(call)
        return value_only(result)


def loaded_value(value: Any) -> Value:
    """What no tier keeps."""
    return Value(value, value is None, "loaded", False, 0, None, 0, 0)


def value_only(result: Any) -> Tuple[Any, None]:
    """Of which nothing more is known."""
    return (result.value if isinstance(result, Loaded) else result), None
