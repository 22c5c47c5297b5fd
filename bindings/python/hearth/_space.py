# SPDX-License-Identifier: Apache-2.0
"""What a process has of a namespace, whatever views of it there are."""

import ctypes
from typing import TYPE_CHECKING, Optional

from ._handle import Handle, View, check, error_of
from ._library import lib
from ._shared import SharedObjects
from ._tables import STATUSES

if TYPE_CHECKING:
    from ._queue import LoopQueues


class Space:
    """A namespace of an open cache. It lasts as long as the cache does."""

    def __init__(self, handle: Handle, name: bytes, share_bytes: int) -> None:
        pointer = ctypes.c_void_p()
        call = handle.take()
        try:
            status = lib.hearth_namespace_open(
                handle.address, name, len(name), ctypes.byref(pointer)
            )
            if status == STATUSES["E_INVALID"]:
                why = "a namespace's name has 1 to 100 bytes, no blanks and no control bytes"
                raise error_of(status, name, f"{name!r:.120}: {why}")
            check(status)
            self._real = pointer.value
            self._whole = handle
            #: for what lasts as long as the cache
            self._handle = View(handle, self._real)
        finally:
            handle.give(call)
        self.name = name
        self.objects = SharedObjects(share_bytes) if share_bytes else None
        self._own_queues: "Optional[LoopQueues]" = None

    def view(self) -> View:
        """One more handle of it, with an end of its own."""
        return View(self._whole, self._real)
