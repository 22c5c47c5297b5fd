# SPDX-License-Identifier: Apache-2.0
"""A cache backend for Django: `"BACKEND": "hearth.django.HearthCache"`.

docs/django.md of this package has the settings and what differs from Django's own backends.
"""

import hashlib
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache, default_key_func
from django.utils.safestring import SafeString

from ._async_loads import get_in_task
from ._copies import freeze
from ._coroutines import in_thread
from ._objects import Table
from ._pickled import MISSING, Secret, bounded, open_store, url_of

freeze(SafeString)

#: settings of other backends, which do not bound a store that is bounded in bytes
_WITHOUT_MEANING = frozenset(("MAX_ENTRIES", "CULL_FREQUENCY"))


def _secret() -> List[bytes]:
    """What values are signed with: a key of its own, made of each SECRET_KEY."""
    keys = [settings.SECRET_KEY, *getattr(settings, "SECRET_KEY_FALLBACKS", ())]
    raws = [key if isinstance(key, bytes) else str(key).encode() for key in keys]
    return [hashlib.sha256(b"hearth.django.HearthCache" + raw).digest() for raw in raws]


#: what Django's make_key() looks at
_MAKES_KEYS = frozenset(("key_prefix", "version", "key_func", "make_key", "validate_key"))

#: so many made keys are remembered, then it begins anew
_MOST_KEYS = 1 << 16


class HearthCache(BaseCache):
    """Django's cache, on Hearth: reads of what this process knows take a call of C, everything else
    goes to the nodes of LOCATION. All objects of the same settings share one store in a process.

    Values are pickles signed with SECRET_KEY, under their keys. clear() forgets what has this
    KEY_PREFIX (all versions of it), and nothing else on the nodes. A read whose node fails is a miss;
    a write raises, unless OPTIONS say `"on_error": "ignore"`; deletes and clear() always raise.
    """

    def __init__(self, location: Union[str, Sequence[str]], params: Dict[str, Any]) -> None:
        #: what make_key() made of keys, where that depends on nothing else
        self._made: Dict[Any, str] = {}
        self._table: Optional[Table] = None
        self._own_get: Any = None
        super().__init__(params)
        options = {
            name: value
            for name, value in (params.get("OPTIONS") or {}).items()
            if name not in _WITHOUT_MEANING
        }
        secret: Secret = options.pop("secret", None) or _secret()
        url, name = url_of(location or "")
        self._store = open_store(url, secret, str(self.key_prefix), name, **options)
        self._get_local = self._store.get_local
        self._find_at_once()

    def __setattr__(self, name: str, value: Any) -> None:
        """What keys are made of may be changed at any time."""
        if name in _MAKES_KEYS:
            self._table = None  # before any key is made in the new way
        super().__setattr__(name, value)
        if name in _MAKES_KEYS:
            self._made = {}
            if "_get_local" in self.__dict__:
                self._find_at_once()

    def __delattr__(self, name: str) -> None:
        """As set to what the class has."""
        if name in _MAKES_KEYS:
            self._table = None
        super().__delattr__(name)
        if name in _MAKES_KEYS:
            self._made = {}
            self._find_at_once()

    def _find_at_once(self) -> None:
        """Puts a function in the place of get() that looks first whether this process knows the answer to the
        same text; where keys are not made of it in another way each time, and get() is this class's."""
        own = self.__dict__
        if "get" in own and own["get"] is own.get("_own_get"):
            del own["get"]
        self._table = self._own_get = None
        if "get" in own or type(self).get is not HearthCache.get or not self._makes_the_same():
            return
        prefix, version = self.key_prefix, self.version
        self._table = self._store.table_of((prefix, type(version), version))
        self._own_get = self._store.finder_of(
            self._table, HearthCache.get.__get__(self), "(key, default=None, version=None)"
        )
        own["get"] = self._own_get

    # ---- keys and times ----

    def _key(self, key: Any, version: Optional[int] = None) -> str:
        """The whole key, with Django's warnings about those that memcached would not take."""
        made = str(self.make_key(key, version))
        # Most keys are seen to be good at once; Django's own look goes through each character.
        if self._checks or len(made) > 250 or not made.isprintable() or " " in made:
            self.validate_key(made)
        return made

    def make_and_validate_key(self, key: Any, version: Optional[int] = None) -> str:
        """As Django has it since 4.0."""
        return self._key(key, version)

    def _ttl(self, timeout: Any) -> Optional[float]:
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return bounded(timeout)

    @property
    def _checks(self) -> bool:
        """Whether each key is checked in another way than Django's."""
        return getattr(self.validate_key, "__func__", None) is not BaseCache.validate_key

    # ---- the verbs ----

    def _makes_the_same(self) -> bool:
        """Whether make_key() of a key is the same each time, until one of these is set."""
        return (
            not self._checks
            and self.key_func is default_key_func
            and type(self.key_prefix) is str
            and type(self.version) in (int, str)
            and getattr(self.make_key, "__func__", None) is BaseCache.make_key
            # A subclass may have properties in their place, of a tenant for example.
            and not any(hasattr(type(self), name) for name in ("key_func", "key_prefix", "version"))
        )

    def _made_of(self, key: Any, version: Optional[int]) -> str:
        """The whole key, without warnings; remembered for a text, if that is possible."""
        remembered = self._made
        if self._checks:
            return self._key(key, version)
        made = str(self.make_key(key, version))
        if version is None and type(key) is str and self._makes_the_same():
            if len(remembered) >= _MOST_KEYS:
                remembered.clear()
            remembered[key] = made
        return made

    def _local(self, key: Any, version: Optional[int]) -> Any:
        """A value that this process has read before and that is still the one, or MISSING."""
        return self._get_local(self._made_of(key, version))

    def get(self, key: Any, default: Any = None, version: Optional[int] = None) -> Any:
        """The value, or `default`."""
        table = self._table
        made = self._made.get(key) if version is None and type(key) is str else None
        if made is None:
            made = self._made_of(key, version)
        found = self._get_local(made)
        if found is MISSING:
            found = self._store.get_further(self._key(key, version))
            if found is MISSING:
                return default
        if version is None and type(key) is str and table is not None and table is self._table:
            self._store.enter(table, key, made)
        return found

    def set(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> None:
        """Stores a value."""
        self._store.set(self._key(key, version), value, self._ttl(timeout))

    def add(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """Stores a value where there is none. False: there is one."""
        return self._store.add(self._key(key, version), value, self._ttl(timeout))

    def touch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None
    ) -> bool:
        """Gives a value a new life from now. False: there is none."""
        return self._store.touch(self._key(key, version), self._ttl(timeout))

    def delete(self, key: Any, version: Optional[int] = None) -> bool:
        """Removes a value. False: there was none. It raises if that is not certain."""
        return self._store.delete(self._key(key, version))

    def has_key(self, key: Any, version: Optional[int] = None) -> bool:
        """Whether there is a value."""
        if self._local(key, version) is not MISSING:
            return True
        return self._store.has(self._key(key, version))

    def incr(self, key: Any, delta: Any = 1, version: Optional[int] = None) -> Any:
        """Adds to a number and answers the sum; ValueError if there is none. No sum is lost between
        processes, and the number lives as long as it would have."""
        try:
            return self._store.add_to(self._key(key, version), delta)
        except KeyError:
            raise ValueError(f"Key '{key}' not found") from None

    def decr(self, key: Any, delta: Any = 1, version: Optional[int] = None) -> Any:
        """As incr(), downwards, below 0 too."""
        return self.incr(key, -delta, version=version)

    def get_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> Any:
        """The value; else `default`, stored: what it returns if it can be called, or itself. One caller
        calls it at a time, the others wait for that result."""
        found = self._local(key, version)
        if found is not MISSING:
            return found
        load: Callable[[], Any] = default if callable(default) else lambda: default
        return self._store.get_or_load(self._key(key, version), load, self._ttl(timeout))

    def get_many(self, keys: Iterable[Any], version: Optional[int] = None) -> Dict[Any, Any]:
        """The values of those keys that have one."""
        by_made = {self._key(key, version): key for key in keys}
        found = self._store.get_many(by_made)
        return {by_made[made]: value for made, value in found.items()}

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> List[Any]:
        """Stores many; a list of the keys that were not."""
        by_made = {self._key(key, version): key for key in data}
        values = {made: data[key] for made, key in by_made.items()}
        failed = self._store.set_many(values, self._ttl(timeout))
        return [by_made[made] for made in failed]

    def delete_many(self, keys: Iterable[Any], version: Optional[int] = None) -> None:
        """Removes many."""
        self._store.delete_many([self._key(key, version) for key in keys])

    def clear(self) -> None:
        """Forgets all values with this KEY_PREFIX."""
        self._store.clear()

    def close(self, **kwargs: Any) -> None:
        """Django calls it after each request: connections are kept."""

    # ---- for an event loop: a get waits for its node without a thread, the rest is on one ----

    async def aget(self, key: Any, default: Any = None, version: Optional[int] = None) -> Any:
        """get()."""
        found = self._local(key, version)
        if found is MISSING:
            found = await get_in_task(self._store, self._key(key, version))
        return default if found is MISSING else found

    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> None:
        """set()."""
        await in_thread(self.set, key, value, timeout, version)

    async def aadd(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """add()."""
        return await in_thread(self.add, key, value, timeout, version)

    async def atouch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None
    ) -> bool:
        """touch()."""
        return await in_thread(self.touch, key, timeout, version)

    async def adelete(self, key: Any, version: Optional[int] = None) -> bool:
        """delete()."""
        return await in_thread(self.delete, key, version)

    async def ahas_key(self, key: Any, version: Optional[int] = None) -> bool:
        """has_key()."""
        return await self.aget(key, MISSING, version) is not MISSING

    async def aincr(self, key: Any, delta: Any = 1, version: Optional[int] = None) -> Any:
        """incr()."""
        return await in_thread(self.incr, key, delta, version)

    async def adecr(self, key: Any, delta: Any = 1, version: Optional[int] = None) -> Any:
        """decr()."""
        return await in_thread(self.incr, key, -delta, version)

    async def aget_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> Any:
        """get_or_set(); `default` may be a coroutine function. It is called in its first caller's
        task, while the other tasks and threads wait for that result."""
        found = self._local(key, version)
        if found is not MISSING:
            return found
        load: Callable[[], Any] = default if callable(default) else lambda: default
        made = self._key(key, version)
        return await self._store.get_or_load_async(made, load, self._ttl(timeout))

    async def aget_many(
        self, keys: Iterable[Any], version: Optional[int] = None
    ) -> Dict[Any, Any]:
        """get_many()."""
        return await in_thread(self.get_many, list(keys), version)

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> List[Any]:
        """set_many()."""
        return await in_thread(self.set_many, data, timeout, version)

    async def adelete_many(self, keys: Iterable[Any], version: Optional[int] = None) -> None:
        """delete_many()."""
        await in_thread(self.delete_many, list(keys), version)

    async def aclear(self) -> None:
        """clear()."""
        await in_thread(self.clear)

    async def aincr_version(
        self, key: Any, delta: int = 1, version: Optional[int] = None
    ) -> int:
        """incr_version()."""
        return await in_thread(self.incr_version, key, delta, version)

    async def adecr_version(
        self, key: Any, delta: int = 1, version: Optional[int] = None
    ) -> int:
        """decr_version()."""
        return await in_thread(self.incr_version, key, -delta, version)

    async def aclose(self, **kwargs: Any) -> None:
        """close()."""


__all__ = ["HearthCache"]
