# SPDX-License-Identifier: Apache-2.0
"""Statistics, hot keys, the log, and the nodes."""

import ctypes
from typing import List, NamedTuple, Union

from . import _abi, _tables
from ._arguments import key_bytes
from ._base import Base
from ._handle import check
from ._library import lib
from ._tables import Stats
from .errors import ConfigError, Key

class HotKey(NamedTuple):
    """A key that is asked for often."""

    #: text, or bytes if it is no UTF-8; the first 128 bytes of a longer key
    key: Union[str, bytes]
    #: estimated, of all threads of this process
    requests_per_s: int
    #: of the whole key, in bytes
    key_bytes: int


class Node(NamedTuple):
    """A node of the remote tier."""

    #: in the URL, from 0
    position: int
    #: on the ring
    name: str


def _text_or_bytes(raw: bytes) -> Union[str, bytes]:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


class Insight(Base):
    """What a cache tells of itself."""

    def stats(self) -> Stats:
        """The statistics, those of the library and of this package."""
        return self._stats(self._failed_reads, self._refused_values)

    def _stats(self, failed_reads: int, refused_values: int) -> Stats:
        found = _abi.Stats(size=ctypes.sizeof(_abi.Stats))
        call = self._handle.take()
        try:
            check(lib.hearth_stats_get(self._address, found))
        finally:
            self._handle.give(call)
        names = Stats._fields[: _tables.LIBRARY_STATS]
        return Stats._make([*(getattr(found, name) for name in names), failed_reads, refused_values])

    def stats_text(self) -> str:
        """The library's statistics, those of each node too, as Prometheus text."""
        needed = ctypes.c_size_t(16384)
        call = self._handle.take()
        try:
            while True:
                room = ctypes.create_string_buffer(needed.value + 1024)
                status = lib.hearth_stats_text(
                    self._address, room, len(room), ctypes.byref(needed)
                )
                if status != _tables.STATUSES["E_TOO_LARGE"]:
                    break
            check(status)
        finally:
            self._handle.give(call)
        return room.value.decode()

    def hot_keys(self, count: int = 10) -> List[HotKey]:
        """The keys that this process asks for most, the hottest first: of the last 8 to 16 seconds,
        found by sampling. Hits count, and reads that go on to a node."""
        if not 0 <= count <= 10000:
            raise ValueError("count is 0 to 10000")
        room = (_abi.HotKey * max(count, 1))()
        room[0].size = ctypes.sizeof(_abi.HotKey)
        found = ctypes.c_size_t()
        call = self._handle.take()
        try:
            check(lib.hearth_hot_keys(self._address, room, count, ctypes.byref(found)))
        finally:
            self._handle.give(call)
        return [
            HotKey(
                _text_or_bytes(bytes(each.key[: each.key_size])),
                each.requests_per_s,
                each.full_size,
            )
            for each in room[: found.value]
        ]

    def forward_log(self) -> int:
        """Hands what the library has logged to the logger "hearth", and tells how many records that
        were. It is done by itself when a read fails, at most once a second; a program that wants the
        rest calls it now and then. The library keeps 256 records."""
        return self._forward_log()

    def set_nodes(self, url: str) -> None:
        """Replaces the list of nodes while the cache is in use: `url` is written as that of
        from_url(), and is the whole new list. Only keys whose owner changes move; they are missing
        at their new owner until they are loaded or set there. ConfigError: the list is refused, and
        nothing has changed. Processes that share nodes should change their lists at the same time.
        """
        why = ctypes.create_string_buffer(1024)
        call = self._handle.take()
        try:
            status = lib.hearth_set_nodes(self._address, url.encode(), why, len(why))
        finally:
            self._handle.give(call)
        if status in (_tables.STATUSES["E_INVALID"], _tables.STATUSES["E_UNSUPPORTED"]):
            error = ConfigError(why.value.decode(errors="replace"))
            error.status = status
            raise error
        check(status)

    def node_of(self, key: Key) -> Node:
        """The node that owns a key: the one that any client with libmemcached's weighted ketama
        picks."""
        raw = key_bytes(key)
        index = ctypes.c_uint32()
        name = ctypes.create_string_buffer(1024)
        call = self._handle.take()
        try:
            check(
                lib.hearth_node_of(
                    self._address, raw, len(raw), ctypes.byref(index), name, len(name)
                ),
                key,
            )
        finally:
            self._handle.give(call)
        return Node(index.value, name.value.decode())
