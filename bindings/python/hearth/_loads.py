# SPDX-License-Identifier: Apache-2.0
"""Loads under way: who leads, who waits, and how a load ends.

The library joins callers of one key: hearth_fetch_begin() makes one the leader and lets the others
wait. What it cannot tell is kept here: the exception of a load that failed, and circles of threads
that wait for each other's loads.
"""

import concurrent.futures
import contextvars
import ctypes
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, List, Optional, Set, Tuple

from ._library import lib
from .errors import DeadlockError, Key

if TYPE_CHECKING:
    import asyncio

#: renewals that may wait for a thread; what is beyond is left to a later caller
_MOST_WAITING = 256


def current_owner() -> Hashable:
    """Who loads or waits: this thread."""
    return threading.get_ident()


class Interest:
    """All callers who want one key just now. There may be several who load it: a write lets whoever
    comes later begin a load of their own. Who waits, waits for the last of them."""

    __slots__ = ("count", "error", "owners")

    def __init__(self) -> None:
        self.count = 0
        self.error: Optional[Exception] = None
        self.owners: List[Hashable] = []

    def owner(self) -> Optional[Hashable]:
        """The last one."""
        return self.owners[-1] if self.owners else None


class Fill:
    """A load that this process owes the others. It is ended once, at the latest when nobody knows
    of it any more."""

    __slots__ = ("_abandon", "_is_ended", "_owed", "pointer")

    def __init__(self, address: int, owed: Set[int]) -> None:
        self._abandon = lib.hearth_fill_abandon
        self._owed = owed
        self._is_ended = False
        self.pointer = ctypes.c_void_p(address)
        owed.add(address)

    def end(self) -> ctypes.c_void_p:
        """Its pointer, for the one call that ends it."""
        self._is_ended = True
        self._owed.discard(self.pointer.value or 0)
        return self.pointer

    def abandon(self) -> None:
        """Ends it without a result, unless it has been ended."""
        if not self._is_ended:
            self._abandon(self.end())

    def __del__(self) -> None:
        self.abandon()


class Loads:
    """Those of one cache."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.after_fork()

    def after_fork(self) -> None:
        """At first, and in a child: the threads that loaded are not there."""
        self._lock = threading.RLock()
        #: by namespace and key
        self._interests: Dict[Tuple[bytes, bytes], Interest] = {}
        self._waits: Dict[Hashable, Interest] = {}
        #: fills that are not ended yet, and coroutines that load, by loop, namespace and key
        self.owed: Set[int] = set()
        self.coroutines: Dict[Tuple[Any, bytes, bytes], "asyncio.Future[Any]"] = {}
        #: renewals in tasks that nobody waits for, with their loops
        self.renewals: Dict["asyncio.Task[Any]", Any] = {}
        self._pool: Optional[concurrent.futures.ThreadPoolExecutor] = None
        self._waiting = 0

    # ---- interest ----

    def enter(self, space: bytes, raw: bytes) -> Interest:
        """One more caller for the key."""
        with self._lock:
            interest = self._interests.get((space, raw))
            if interest is None:
                interest = self._interests[space, raw] = Interest()
            interest.count += 1
            return interest

    def leave(self, space: bytes, raw: bytes, interest: Interest) -> None:
        """One less. With the last one the exception goes, and the frames that it holds."""
        with self._lock:
            interest.count -= 1
            if interest.count == 0:
                interest.error = None
                if self._interests.get((space, raw)) is interest:
                    del self._interests[space, raw]

    def load_begins(self, interest: Interest, owner: Hashable) -> None:
        """It calls the loader."""
        with self._lock:
            interest.owners.append(owner)

    def load_ends(self, interest: Interest, owner: Hashable) -> None:
        """It has been called."""
        with self._lock:
            interest.owners.remove(owner)

    def leads_any(self, owner: Hashable) -> bool:
        """Whether it is inside a loader."""
        with self._lock:
            return any(owner in each.owners for each in self._interests.values())

    def runs_coroutine_here(self) -> bool:
        """Whether this thread's event loop has a coroutine that loads."""
        if not self.coroutines and not self.renewals:
            return False
        import asyncio

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        loops = [each for each, _, _ in list(self.coroutines)] + list(self.renewals.values())
        return any(each is loop for each in loops)

    def wait_begins(self, interest: Interest, waiter: Hashable, key: Key) -> None:
        """DeadlockError if who leads the key waits, in the end, for the waiter."""
        with self._lock:
            self._waits[waiter] = interest
            owner = interest.owner()
            # Circles that the waiter is no part of end at the deadlines of those who are.
            for _ in range(len(self._waits) + 1):
                if owner is None:
                    return
                if owner == waiter:
                    del self._waits[waiter]
                    raise DeadlockError(f"the load of {key!r:.100} waits for itself")
                behind = self._waits.get(owner)
                owner = behind.owner() if behind is not None else None

    def wait_ends(self, waiter: Hashable) -> None:
        """It has its answer."""
        with self._lock:
            self._waits.pop(waiter, None)

    # ---- renewals ----

    def run_later(self, renewal: Callable[[], Any]) -> bool:
        """Runs it on a thread of this cache's own, in the caller's context. False: too many wait."""
        with self._lock:
            if self._workers == 0 or self._waiting >= _MOST_WAITING:
                return False
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(
                    self._workers, thread_name_prefix="hearth-renewal"
                )
            self._waiting += 1
            pool = self._pool
        try:
            run: Callable[..., Any] = contextvars.copy_context().run
            future = pool.submit(run, renewal)
        except RuntimeError:  # the cache or the interpreter is ending
            self._one_done()
            return False
        future.add_done_callback(self._one_done)
        return True

    def _one_done(self, _: Any = None) -> None:
        with self._lock:
            self._waiting -= 1

    def stop(self, wait: bool = True) -> None:
        """Ends the threads. What waits is dropped, what runs is waited for if so wished."""
        with self._lock:
            pool, self._pool, self._workers = self._pool, None, 0
        if pool is not None:
            pool.shutdown(wait=wait, cancel_futures=True)
