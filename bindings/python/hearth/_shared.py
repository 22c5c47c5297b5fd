# SPDX-License-Identifier: Apache-2.0
"""Decoded objects that are handed out again as long as the value's version is the same."""

import threading
from typing import Any, Callable, Dict, Optional, Tuple

from ._objects import probe_of
from .errors import Key

#: what tells whether the object is still good, and the object
Entry = Tuple[bytes, Any]

#: what an entry takes besides its object, about
_ENTRY_BYTES = 300


class SharedObjects:
    """At most so many bytes of values, counted as they are stored; the oldest go first. The dict is
    read without a lock."""

    def __init__(self, max_bytes: int) -> None:
        self.entries: Dict[Key, Entry] = {}
        #: is told of each value that is not kept any more
        self.forgotten: Optional[Callable[[Any], None]] = None
        self._sizes: Dict[Key, int] = {}
        self._bytes = 0
        self._max_bytes = max_bytes
        self._lock = threading.RLock()

    def keep(self, key: Key, raw: bytes, version: int, value: Any, size: int) -> None:
        """From now on `value` is what get() of that version answers."""
        cost = size + len(raw) + _ENTRY_BYTES
        if cost > self._max_bytes:
            return
        entry = probe_of(version, raw), value
        with self._lock:
            self._forget(key)
            while self._sizes and self._bytes + cost > self._max_bytes:
                self._forget(next(iter(self._sizes)))
            self._sizes[key] = cost
            self._bytes += cost
            self.entries[key] = entry

    def _forget(self, key: Key) -> None:
        self._bytes -= self._sizes.pop(key, 0)
        entry = self.entries.pop(key, None)
        if entry is not None and self.forgotten is not None:
            self.forgotten(entry[1])

    def after_fork(self) -> None:
        """In the child: a lock that another thread held stays held."""
        self._lock = threading.RLock()
