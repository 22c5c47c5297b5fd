# SPDX-License-Identifier: Apache-2.0
"""cachelib's verbs, as cachelib and Flask-Caching have them."""

from typing import Any, Dict, List, Optional

from ._pickled import MISSING, PickledStore, bounded
from .errors import CacheError


class CachelibVerbs:
    """A timeout is in seconds; None: the default; 0: for ever; less: over at once.

    Writes answer False where the node fails, as cachelib has it; deletes and clear() raise, since a
    lost one would be an old value that nobody knows of.
    """

    default_timeout: Any
    _store: PickledStore

    def _ttl(self, timeout: Optional[float]) -> Optional[float]:
        if timeout is None:
            timeout = self.default_timeout
        return bounded(None if timeout is None or timeout == 0 else timeout)

    def get(self, key: str) -> Any:
        """The value, or None."""
        found = self._store.get(key)
        return None if found is MISSING else found

    def get_many(self, *keys: str) -> List[Any]:
        """The value of each key, or None in its place."""
        found = self._store.get_many(keys)
        return [found.get(key) for key in keys]

    def get_dict(self, *keys: str) -> Dict[str, Any]:
        """The same by key."""
        return dict(zip(keys, self.get_many(*keys)))

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return self._store.has(key)

    def set(self, key: str, value: Any, timeout: Optional[float] = None) -> bool:
        """Stores a value. False: the node failed."""
        try:
            return self._store.set(key, value, self._ttl(timeout))
        except OSError:
            return False

    def add(self, key: str, value: Any, timeout: Optional[float] = None) -> bool:
        """Stores a value where there is none. False: there is one, or the node failed."""
        try:
            return self._store.add(key, value, self._ttl(timeout))
        except OSError:
            return False

    def set_many(self, mapping: Dict[str, Any], timeout: Optional[float] = None) -> List[Any]:
        """Stores many; the keys of those that were."""
        failed = set(self._store.set_many(mapping, self._ttl(timeout)))
        return [key for key in mapping if key not in failed]

    def delete(self, key: str) -> bool:
        """Removes a value. False: there was none."""
        return self._store.delete(key)

    def delete_many(self, *keys: str) -> List[Any]:
        """Removes many; the keys of those that there were."""
        return [key for key in dict.fromkeys(keys) if self._store.delete(key)]

    def clear(self) -> bool:
        """Forgets all values of this cache, and no other's."""
        self._store.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> Optional[int]:
        """Adds to a number, from 0 where there is none; the sum. No sum is lost between processes.
        None: the node failed."""
        try:
            # Made by one, gone before the next: a few rounds are plenty.
            for _ in range(8):
                try:
                    total: int = self._store.add_to(key, delta)
                    return total
                except KeyError:
                    if self._store.add(key, delta, self._ttl(None)):
                        return delta
        except (OSError, CacheError):
            pass
        return None

    def dec(self, key: str, delta: int = 1) -> Optional[int]:
        """As inc(), downwards, below 0 too."""
        return self.inc(key, -delta)
