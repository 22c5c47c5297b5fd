# SPDX-License-Identifier: Apache-2.0
"""The C cache, and what keeps it from being used when it is gone.

A call that may wait gives the interpreter's lock up, so another thread may close the cache
meanwhile. Each such call therefore takes a `Call` from the handle and gives it back, and close()
waits until all are back. Calls that keep the lock cannot be interrupted by a close(): that puts the
address of a cache that is always empty in the place of the one to be closed, while it has the lock.
"""

import ctypes
import itertools
import os
import threading
import time
import weakref
from typing import Any, Collection, Dict, Iterator, List, Optional, Sequence

from . import _abi, _tables
from ._arguments import option_text
from ._library import kept, lib
from ._objects import functions_of
from .errors import BY_STATUS, CacheError, ClosedError, ConfigError, Key

OK = _tables.STATUSES["OK"]
MISS = _tables.STATUSES["MISS"]
ABSENT = _tables.STATUSES["ABSENT"]

#: a value object whose buffer grew beyond this is not kept
_LARGE_BYTES = 1 << 20

#: so many are kept; a call for many keys takes one for each
_MOST_KEPT = 512

#: options that the binding goes by itself
_SETTINGS = (
    "ttl_ms",
    "load.hard_timeout_ms",
    "load.workers",
    "remote.max_value_bytes",
    "remote.prefix",
)


class Nothing:
    """The object for a miss."""

    def __repr__(self) -> str:
        return "<nothing>"


NOTHING = Nothing()

value_data = kept("hearth_value_data", ctypes.c_void_p)
value_size = kept("hearth_value_size", ctypes.c_size_t)
value_info = kept("hearth_value_info", ctypes.c_int32)
get_with = kept("hearth_get_with", ctypes.py_object)


def error_of(status: int, key: Optional[Key] = None, detail: str = "") -> CacheError:
    """The exception for a status below 0."""
    text = lib.hearth_strerror(status).decode()
    if detail:
        text = f"{text}: {detail}"
    elif key is not None:
        text = f"{text}: {key!r:.100}"
    error = BY_STATUS.get(status, CacheError)(text)
    error.status, error.key = status, key
    return error


def check(status: int, key: Optional[Key] = None) -> int:
    """The status, if it is an answer; else raises."""
    if status < 0:
        raise error_of(status, key)
    return status


class Call:
    """What one call needs: a value object and the structs that go with it. One thread has it."""

    __slots__ = (
        "value", "info", "info_ref", "read", "read_ref", "write", "write_ref", "fill", "fill_ref",
        "tags", "thread", "_free", "__weakref__",
    )

    def __init__(self) -> None:
        self._free = lib.hearth_value_free
        self.value = ctypes.c_void_p(lib.hearth_value_new())
        if not self.value:
            raise error_of(_tables.STATUSES["E_NOMEM"])
        self.info = _abi.Info(size=ctypes.sizeof(_abi.Info))
        self.info_ref = ctypes.byref(self.info)
        self.read = _abi.ReadOptions()
        lib.hearth_read_options_init(self.read, ctypes.sizeof(self.read))
        self.read_ref = ctypes.byref(self.read)
        self.write = _abi.WriteOptions()
        lib.hearth_write_options_init(self.write, ctypes.sizeof(self.write))
        self.write_ref = ctypes.byref(self.write)
        self.fill = ctypes.c_void_p()
        self.fill_ref = ctypes.byref(self.fill)
        self.thread = 0
        self.tags: Any = None

    def __del__(self) -> None:
        try:
            if self.value:
                self._free(self.value)
        except (AttributeError, TypeError):
            pass  # it was not made, or the interpreter has ended

    def reading(self, deadline_ms: int, max_stale_ms: int, flags: int) -> Any:
        """The read options, set."""
        read = self.read
        read.deadline_ms, read.max_stale_ms, read.flags = deadline_ms, max_stale_ms, flags
        return self.read_ref

    def writing(
        self,
        ttl_ms: int = _tables.TTL_DEFAULT,
        soft_ttl_ms: int = _tables.TTL_DEFAULT,
        deadline_ms: int = 0,
        content: int = 0,
        flags: int = 0,
        if_version: int = 0,
        tags: Sequence[bytes] = (),
    ) -> Any:
        """The write options, set."""
        write = self.write
        write.ttl_ms, write.soft_ttl_ms, write.deadline_ms = ttl_ms, soft_ttl_ms, deadline_ms
        write.content, write.flags, write.if_version = content, flags, if_version
        write.tag_count = len(tags)
        if tags:
            names = (ctypes.c_char_p * len(tags))(*tags)
            sizes = (ctypes.c_size_t * len(tags))(*map(len, tags))
            self.tags = names, sizes
            write.tags, write.tag_sizes = ctypes.addressof(names), ctypes.addressof(sizes)
        return self.write_ref

    def owe_nothing(self) -> None:
        """Before a call that may give a fill."""
        self.fill.value = None

    def owed(self) -> Optional[int]:
        """The fill that it gave."""
        return self.fill.value

    def data(self) -> bytes:
        """The answer's bytes."""
        return ctypes.string_at(value_data(self.value), value_size(self.value))

    def informed(self) -> _abi.Info:
        """What is known about the answer; filled anew by the next call."""
        value_info(self.value, self.info_ref)
        return self.info


class Handle:
    """An open cache."""

    def __init__(self, options: Dict[str, Any]) -> None:
        self.closed = False
        self.address = ctypes.c_void_p()
        self._lock = threading.RLock()
        self._free_calls: List[Call] = []
        self._calls: "weakref.WeakSet[Call]" = weakref.WeakSet()
        self._views: "weakref.WeakSet[View]" = weakref.WeakSet()
        self.settings = _open(options, self.address)
        self.get_text, self.current = functions_of(self.address, NOTHING)
        _handles.add(self)

    def take(self, even_closing: bool = False) -> Call:
        """A Call, to be given back. ClosedError."""
        try:
            call = self._free_calls.pop()
        except IndexError:
            call = Call()
            with self._lock:
                self._calls.add(call)
        call.thread = threading.get_ident()
        if self.closed and not even_closing:
            call.thread = 0
            self._free_calls.append(call)
            raise ClosedError("the cache is closed")
        return call

    def give(self, call: Call) -> None:
        """Takes it back."""
        call.thread = 0
        if value_size(call.value) <= _LARGE_BYTES and len(self._free_calls) < _MOST_KEPT:
            self._free_calls.append(call)
        # Else it is not kept, and so nobody waits for it.

    def is_used_here(self) -> bool:
        """Whether this thread is inside a call: a signal came in between."""
        own = threading.get_ident()
        with self._lock:
            return any(call.thread == own for call in self._calls)

    def close(self, patience_s: Optional[float] = None, owed: Collection[int] = ()) -> None:
        """Closes, once. Without an end to its patience it waits for calls that are under way, and
        for the loads that are owed; else the cache is left as it is, which costs its memory."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
            views = list(self._views)
        real = self.address.value
        for address in (self.address, *(view.address for view in views)):
            address.value = _always_empty().value
        if self._all_calls_back(patience_s, owed):
            lib.hearth_close(real)

    def add_view(self, view: "View", address: Optional[int]) -> None:
        """From now on it has this address, until the cache is closed. ClosedError."""
        with self._lock:
            if self.closed:
                raise ClosedError("the cache is closed")
            view.address.value = address
            self._views.add(view)

    def _all_calls_back(self, patience_s: Optional[float], owed: Collection[int]) -> bool:
        limit = None if patience_s is None else time.monotonic() + patience_s
        pause_s = 0.0002
        while len(self._free_calls) < len(self._calls) or (limit is not None and owed):
            if limit is not None and time.monotonic() > limit:
                return False
            time.sleep(pause_s)  # who gives a call back may hold no lock: it may be a signal's handler
            pause_s = min(pause_s * 2, 0.01)
        return True

    def after_fork(self) -> None:
        """In the child: other threads are gone, and what they had taken does not come back."""
        self._lock = threading.RLock()
        self._calls = weakref.WeakSet(self._free_calls)


class View:
    """A handle of a namespace of an open cache. The library keeps what is behind it until that cache is
    closed: a view that ends before only stops to be one."""

    def __init__(self, handle: Handle, address: Optional[int]) -> None:
        self._handle = handle
        self._is_closed = False
        self.address = ctypes.c_void_p()
        self.get_text, self.current = functions_of(self.address, NOTHING)
        self.give = handle.give
        handle.add_view(self, address)

    @property
    def closed(self) -> bool:
        """Whether it has ended, or its cache has."""
        return self._is_closed or self._handle.closed

    def take(self, even_closing: bool = False) -> Call:
        """A Call, to be given back. ClosedError."""
        if self._is_closed and not even_closing:
            raise ClosedError("the namespace is closed")
        return self._handle.take(even_closing)

    def close(self) -> None:
        """Ends this view alone. No call is waited for."""
        self._is_closed = True
        self.address.value = _always_empty().value


# ---- opening ---------------------------------------------------------------------------------


def option_infos() -> Iterator[_abi.OptionInfo]:
    """What the library tells of each of its options."""
    for at in itertools.count():
        info = _abi.OptionInfo(size=ctypes.sizeof(_abi.OptionInfo))
        if lib.hearth_options_describe(at, info) != OK:
            return
        yield info


#: the library's name of each option, by the keyword for it
OPTIONS = {info.name.decode().replace(".", "_"): info.name.decode() for info in option_infos()}


def _refused(options: ctypes.c_void_p) -> ConfigError:
    error = ConfigError(lib.hearth_options_error(options).decode())
    error.status = _tables.STATUSES["E_INVALID"]
    return error


def _fill_options(options: ctypes.c_void_p, given: Dict[str, Any]) -> None:
    given = dict(given)
    file = given.pop("options_file", None)
    if file is not None and lib.hearth_options_load(options, os.fsencode(file)) != OK:
        raise _refused(options)
    for keyword, value in given.items():
        name = OPTIONS.get(keyword, keyword).encode()
        if lib.hearth_options_set(options, name, option_text(value).encode()) != OK:
            raise _refused(options)


def _text_of(options: ctypes.c_void_p, name: str) -> bytes:
    room = ctypes.create_string_buffer(20000)
    check(lib.hearth_options_get(options, name.encode(), room, len(room), None))
    return room.value


def _open(given: Dict[str, Any], address: ctypes.c_void_p) -> Dict[str, bytes]:
    """Opens a cache, and tells those of its options that the binding needs itself."""
    options = ctypes.c_void_p(lib.hearth_options_new())
    if not options:
        raise error_of(_tables.STATUSES["E_NOMEM"])
    try:
        _fill_options(options, given)
        make = ctypes.cast(ctypes.pythonapi.PyBytes_FromStringAndSize, ctypes.c_void_p)
        retain = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p)
        # Without a sink hearth_get_with() would answer NULL, which is no object.
        check(lib.hearth_options_set_sink(options, make, retain, id(NOTHING)))
        status = lib.hearth_open(options, ctypes.byref(address))
        if status in (_tables.STATUSES["E_INVALID"], _tables.STATUSES["E_UNSUPPORTED"]):
            raise _refused(options)
        check(status)
        return {name: _text_of(options, name) for name in _SETTINGS}
    finally:
        lib.hearth_options_free(options)


_empty = ctypes.c_void_p()
_empty_lock = threading.RLock()


def _always_empty() -> ctypes.c_void_p:
    """A cache without a local tier. It is never closed."""
    with _empty_lock:
        if not _empty:
            _open({"local_max_bytes": 0, "embedded_max_bytes": "64kb"}, _empty)
    return _empty


# ---- fork ------------------------------------------------------------------------------------

_handles: "weakref.WeakSet[Handle]" = weakref.WeakSet()


def _after_fork() -> None:
    global _empty_lock
    _empty_lock = threading.RLock()
    for handle in list(_handles):
        handle.after_fork()


os.register_at_fork(after_in_child=_after_fork)
