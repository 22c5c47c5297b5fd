# SPDX-License-Identifier: Apache-2.0
"""A backend for dogpile.cache: `region.configure("hearth", arguments={"url": "redis://..."})`.

docs/dogpile.md of this package has the arguments and what differs from dogpile's own backends. An
installed package registers it by its entry point; from a folder, `register()` does.
"""

import random
import secrets
import threading
import time
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from dogpile.cache import register_backend
from dogpile.cache.api import NO_VALUE, CacheBackend, CachedValue, CacheMutex

from ._pickled import MISSING, PickledStore, Secret, bounded, new_cache, open_store, url_of
from .errors import NodeError

_LONGEST_PAUSE_S = 0.05

#: so many locks are kept, then it begins anew
_MOST_MUTEXES = 1 << 14
_FREE = ""
_new_tuple = tuple.__new__


class Mutex(CacheMutex):
    """A lock that all processes share: a key that one of them has put where there was none. It falls
    free by itself after its lease, so that one who died holds up nobody; release() gives it back only
    if it is still this one's. Threads of a process queue here, and one of them asks the node. Where
    the node fails it is a lock between the threads of this process.

    Who has it finds what was made before that: this process's copy of the value may be older, and is
    dropped."""

    def __init__(self, store: PickledStore, key: str, lease_s: float, reads: "Reads") -> None:
        self._store = store
        self._cache = store.cache
        self._value_key = key
        self._lease_s = lease_s
        self._reads = reads
        self._thread_lock = threading.Lock()
        self._version = 0

    def _key(self) -> str:
        return f"hearth:lock:{self._value_key}"

    def acquire(self, wait: bool = True) -> bool:
        """Takes it; True. Without `wait`, False if somebody else has it, or had it and made the value
        since this thread read it: a region then goes without, as it does while one is made."""
        if not self._thread_lock.acquire(wait):
            return False
        pause_s = 0.001
        try:
            while not self._try():
                if not wait:
                    self._thread_lock.release()
                    return False
                time.sleep(pause_s * (0.5 + random.random()))  # nothing tells when it falls free
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            has_value = self._is_made(wait)
        except BaseException:
            self._thread_lock.release()
            raise
        if has_value:
            self.release()
        return not has_value

    def _is_made(self, waits: bool) -> bool:
        """Whether there is another value than the one for whose sake this thread has come."""
        key = self._value_key
        seen = _creation_of(self._reads.take(key))
        try:
            self._store.evict_local(key)
            # Who waits asks again by itself. Who does not is taken at its word that the value is over.
            made = None if waits or seen is None else _creation_of(self._store.get(key))
            return made is not None and made != seen
        except NodeError:
            return False

    def _try(self) -> bool:
        token = secrets.token_urlsafe(16)
        try:
            if not self._cache.add(self._key(), token, self._lease_s):
                free = self._found()
                if free is None or free[0] != _FREE:
                    return False
                # Given back: whoever replaces just that has it.
                if not self._cache.replace(self._key(), token, self._lease_s, if_version=free[1]):
                    return False
            mine = self._found()
            self._version = mine[1] if mine is not None and mine[0] == token else 0
        except NodeError:
            self._version = 0  # the threads of this process go on in order
        return True

    def _found(self) -> Any:
        found = self._cache.get_value(self._key(), local=False)
        return None if found is None else (found.value.take(), found.version)

    def release(self) -> None:
        """Gives it back. One whose lease ran out meanwhile is left to whom it is now."""
        version, self._version = self._version, 0
        try:
            if version:
                self._cache.replace(self._key(), _FREE, self._lease_s, if_version=version)
        except NodeError:
            pass  # it falls free by itself
        finally:
            self._thread_lock.release()

    def locked(self) -> bool:
        """Whether anybody has it."""
        if self._thread_lock.locked():
            return True
        found = self._found()
        return found is not None and found[0] != _FREE


class Reads(threading.local):
    """What this thread was given last."""

    one: Tuple[Any, Any] = (None, None)
    many: Mapping[str, Any] = {}

    def take(self, key: str) -> Any:
        """What it was for this key, if anything; it is told once."""
        if self.one[0] == key:
            found, self.one = self.one[1], (None, None)
            return found
        found = self.many.get(key)
        if found is not None:
            self.many = {each: value for each, value in self.many.items() if each != key}
        return found


def _creation_of(found: Any) -> Any:
    """What tells one creation of a value from another; None: nothing does."""
    if type(found) is CachedValue:
        return found.metadata.get("ct")
    return found if type(found) is bytes else found[2] if _is_stored_value(found) else None


class HearthBackend(CacheBackend):
    """Keeps a region's values in Hearth's two tiers.

    Arguments: `url` (default: in this process); `expiration_time`, seconds after which the nodes
    forget a value (the region's own is the region's); `secret`, without which values on nodes are JSON
    and not pickles; `lock_timeout`, seconds that a creator may take before another may begin;
    `on_error`; and each option of `hearth.Cache`.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        options: Dict[str, Any] = dict(arguments)
        url, name = url_of(options.pop("url", ""))
        secret: Secret = options.pop("secret", None)
        life = options.pop("expiration_time", None)
        options.pop("distributed_lock", None)
        self._ttl = bounded(float(life)) if life else None
        self._lock_s = float(options.pop("lock_timeout", None) or 30)
        if url.startswith("embedded:") and not name:
            self._store = PickledStore(new_cache(url, secret, **options))  # this region's alone
        else:
            self._store = open_store(url, secret, "dogpile", name, **options)
        self._get_local = self._store.get_local
        self._reads = Reads()
        #: A region looks for its key's lock at each hit, and knows it only as long as somebody has it:
        #: making one takes longer than all else of a hit.
        self._mutexes: Dict[str, Mutex] = {}

    # A CachedValue has a dict in it: without, most are objects that nobody can change.

    @staticmethod
    def _stored(value: Any) -> Any:
        if type(value) is CachedValue and list(value.metadata) == ["ct", "v"]:
            return "CachedValue", value.payload, value.metadata["ct"], value.metadata["v"]
        return value

    def get(self, key: str) -> Any:
        """The value as it was set, or NO_VALUE."""
        found = self._get_local(key)
        if found is MISSING:
            found = self._store.get_further(key)
            if found is MISSING:
                return NO_VALUE
        self._reads.one = key, found
        # As _given(), which is called for many.
        if type(found) is tuple and len(found) == 4 and found[0] == "CachedValue":
            return _new_tuple(CachedValue, (found[1], {"ct": found[2], "v": found[3]}))
        return _given(found)

    def get_multi(self, keys: Sequence[str]) -> List[Any]:
        """The value of each key, or NO_VALUE in its place."""
        self._reads.many = found = self._store.get_many(keys)
        return [_given(found[key]) if key in found else NO_VALUE for key in keys]

    def set(self, key: str, value: Any) -> None:
        """Stores a value: a CachedValue, or the bytes that the region's serializer made."""
        self._store.set(key, self._packed(value), self._ttl)

    def _packed(self, value: Any) -> Any:
        stored = self._stored(value)
        return list(stored) if type(stored) is tuple and self._store.is_plain else stored

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        """Stores many."""
        values = {key: self._packed(value) for key, value in mapping.items()}
        self._store.set_many(values, self._ttl, raises=True)

    def delete(self, key: str) -> None:
        """Removes a value, if there is one. It raises if that is not certain."""
        self._store.delete(key)

    def delete_multi(self, keys: Sequence[str]) -> None:
        """Removes many."""
        self._store.delete_many(keys)

    def get_mutex(self, key: str) -> Mutex:
        """The lock for making the key's value."""
        mutex = Mutex(self._store, key, self._lock_s, self._reads)
        if len(self._mutexes) >= _MOST_MUTEXES:
            self._mutexes.clear()
        self._mutexes[key] = mutex
        return mutex


def _is_stored_value(found: Any) -> bool:
    return type(found) in (tuple, list) and len(found) == 4 and found[0] == "CachedValue"


def _given(found: Any) -> Any:
    if _is_stored_value(found):
        return CachedValue(found[1], {"ct": found[2], "v": found[3]})
    return found


def register() -> None:
    """Makes `configure("hearth")` known where the package was not installed."""
    register_backend("hearth", __name__, "HearthBackend")
