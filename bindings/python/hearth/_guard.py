# SPDX-License-Identifier: Apache-2.0
"""The guard: a filter that answers for keys that do not exist."""

import ctypes
import os
from typing import Any, Iterable, List, Optional, Union

from ._abi import GuardIterator
from ._arguments import key_bytes
from ._base import Base
from ._handle import MISS, OK, check
from ._library import lib
from ._tables import STATUSES
from .errors import Key

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Guard(Base):
    """With the option `guard_expected_keys`, a Bloom filter of all keys that exist: reads of others
    are known not to exist at once, and nobody is asked."""

    def guard_add(self, key: Key) -> None:
        """Tells the guard of a key that is about to exist: call it before the source of truth has
        it. Without a guard it does nothing."""
        raw = key_bytes(key)
        call = self._handle.take()
        try:
            check(lib.hearth_guard_add(self._address, raw, len(raw)), key)
        finally:
            self._handle.give(call)

    def guard_rebuild(self, keys: Iterable[Key]) -> None:
        """Makes the filter anew from all keys that exist, and lets it deny from then on. It waits
        for `guard_view_ms` first: let the first step of the iteration open the cursor or snapshot,
        as a generator does, so that it sees every key that exists by then. An exception of the
        iteration reaches the caller, and the filter that was there stays.

        OverloadError: another rebuild, save or load is under way. UnsupportedError: the guard is off.
        """
        left = iter(keys)
        kept: List[bytes] = []
        errors: List[BaseException] = []

        def step(_: Any, key_place: Any, size_place: Any) -> int:
            try:
                raw: Optional[bytes] = None
                for key in left:
                    raw = key_bytes(key)
                    break
                if raw is None:
                    return MISS
                kept[:] = [raw]  # it must stay until the next step
                key_place[0] = ctypes.cast(ctypes.c_char_p(raw), ctypes.c_void_p)
                size_place[0] = len(raw)
                return OK
            except BaseException as error:
                errors.append(error)
                return STATUSES["E_LOADER"]

        function = GuardIterator(step)
        call = self._handle.take()
        try:
            status = lib.hearth_guard_rebuild(self._address, function, None)
        finally:
            self._handle.give(call)
        if errors:
            raise errors[0]
        check(status)

    def guard_save(self, path: Path) -> bool:
        """Writes the filter to a file, for guard_load(). False: it may not deny just now, and nothing
        was written."""
        return self._guard_file(lib.hearth_guard_save, path)

    def guard_load(self, path: Path) -> bool:
        """Adds the keys of a file of guard_save() and lets the filter deny. False: the file is of
        another seed, or older than what is there. Who calls it vouches for the file: every key that
        came to exist since it was made has been added here."""
        return self._guard_file(lib.hearth_guard_load, path)

    def _guard_file(self, verb: Any, path: Path) -> bool:
        name = os.fsencode(path)
        call = self._handle.take()
        try:
            status = verb(self._address, name)
        finally:
            self._handle.give(call)
        return check(status) == OK
