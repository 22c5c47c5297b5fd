# SPDX-License-Identifier: Apache-2.0
"""Decoded objects that are handed out again as long as the value's version is the same."""

import ctypes
import threading
from typing import Any, Dict, Tuple

from .errors import Key

#: what hearth_peek_version() needs for a key, the version it must find, and the object. The place
#: for the version belongs to the entry: whatever thread writes there, it writes this key's version
#: of that moment, which is as good for the others.
Entry = Tuple[bytes, int, Any, ctypes.c_uint64, int, Any]

#: what an entry takes besides its object, about
_ENTRY_BYTES = 400


class SharedObjects:
    """At most so many bytes of values, counted as they are stored; the oldest go first. The dict is
    read without a lock."""

    def __init__(self, max_bytes: int) -> None:
        self.entries: Dict[Key, Entry] = {}
        self._sizes: Dict[Key, int] = {}
        self._bytes = 0
        self._max_bytes = max_bytes
        self._lock = threading.RLock()

    def keep(self, key: Key, raw: bytes, version: int, value: Any, size: int) -> None:
        """From now on `value` is what get() of that version answers."""
        cost = size + len(raw) + _ENTRY_BYTES
        if cost > self._max_bytes:
            return
        cell = ctypes.c_uint64()
        entry = (raw, len(raw), ctypes.byref(cell), cell, version, value)
        with self._lock:
            self._forget(key)
            while self._sizes and self._bytes + cost > self._max_bytes:
                self._forget(next(iter(self._sizes)))
            self._sizes[key] = cost
            self._bytes += cost
            self.entries[key] = entry

    def _forget(self, key: Key) -> None:
        self._bytes -= self._sizes.pop(key, 0)
        self.entries.pop(key, None)

    def after_fork(self) -> None:
        """In the child: a lock that another thread held stays held."""
        self._lock = threading.RLock()
