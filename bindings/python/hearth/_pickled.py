# SPDX-License-Identifier: Apache-2.0
"""A store of values of any kind that can be cleared: what the frameworks' backends are made of.

Their caches take any object and give a copy back. Here each value is a pickle, signed together with
its key. A local hit neither checks nor unpickles it again as long as the value's version is the same:
an object that nobody can change is handed out itself, another is made anew from bytes that were
checked once.

All keys of a store begin with its generation, a random word that is itself a value of the cache; to
clear is to write a new one. Other processes see that as soon as they would see any other change, and
no generation ever comes back, even if the nodes lose it. What was stored under an old one is never
read again, and goes when its life ends or its room is needed.
"""

import datetime
import functools
import os
import pickle
import random
import secrets
import threading
import time
import types
import weakref
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ._arguments import TTL
from ._copies import copier_of, is_frozen, parts_of
from ._objects import Table, finder_of, probe_of
from .cache import Cache
from .errors import CacheError, ConfigError, Key, NodeError, SerializationError, TooLargeError
from .serializers import Json, SignedPickle

#: nothing is stored under the key
MISSING: Any = object()

_CHANGEABLE: Any = object()
#: bytes of a value that is copied, and not unpickled, for each caller
_MOST_COPIED = 1 << 16

#: so many whole keys are remembered, then it begins anew
_MOST_KEYS = 1 << 16

#: how long an increment goes on when others keep changing the number
_INCREMENT_S = 10.0

#: 100 years: what lives longer lives for ever
_LONGEST_S = 36500 * 86400.0


class Boxed:
    """A value on its way to a load's result, where a bare None means that nothing exists."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Kept:
    """A value that was read: the object itself if it is frozen, else what makes one for each caller."""

    __slots__ = ("_data", "_first", "_make", "_places", "copy", "value")

    def __init__(self, value: Any, data: bytes, make: Callable[[bytes], Any]) -> None:
        #: makes an object for one caller; None: take() does
        self.copy: Optional[Callable[[], Any]] = None
        #: the tables that have it, and under what
        self._places: List[Tuple[Table, str]] = []
        if is_frozen(value):
            self.value = value
        else:
            self.value, self._data, self._first, self._make = _CHANGEABLE, data, [value], make

    def take(self) -> Any:
        """An object for one caller."""
        if self.value is not _CHANGEABLE:
            return self.value
        try:
            return self._first.pop()  # made when it was read, and nobody has it yet
        except IndexError:
            pass
        if self.copy is None:
            make = functools.partial(self._make, self._data)
            # What is copied is kept as an object, which takes more room than its bytes.
            self.copy = (len(self._data) <= _MOST_COPIED and copier_of(make())) or make
        return self.copy()


    def enter(self, table: Table, text: str, probes: Tuple[bytes, bytes]) -> None:
        """From now on a look into the table finds it."""
        if self.value is not _CHANGEABLE:
            table[text] = *probes, self.value
        elif self.copy is not None:
            table[text] = *probes, None, *parts_of(self.copy)
        else:
            return
        if not any(each is table and place == text for each, place in self._places):
            self._places.append((table, text))

    def leave(self) -> None:
        """Not any more: there is another value, or no room."""
        places, self._places = self._places, []
        for table, text in places:
            table.pop(text, None)


def _forgotten(value: Any) -> None:
    if type(value) is Kept:
        value.leave()


class PickledValues(SignedPickle):
    """The serializer: every value is a signed pickle, text and bytes too, and is read as a Kept."""

    takes_all = True

    def dumps(self, value: Any) -> bytes:
        """The pickle, not signed yet."""
        return super().dumps(value.value if type(value) is Boxed else value)

    def loads(self, data: bytes) -> Any:
        """A Kept."""
        return Kept(pickle.loads(data), data, pickle.loads)


class PlainValues:
    """The serializer where there is no secret: bytes and strict JSON, which nobody can make code of.
    Read as a Kept."""

    takes_all = True
    format = 128

    def __init__(self) -> None:
        self._json = Json()

    def dumps(self, value: Any) -> bytes:
        """One byte that says which, and the bytes."""
        value = value.value if type(value) is Boxed else value
        if type(value) is bytes:
            return b"b" + value
        try:
            return b"j" + self._json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{error}; with a secret= values are pickled and signed") from None

    def _make(self, data: bytes) -> Any:
        return data[1:] if data[:1] == b"b" else self._json.loads(data[1:])

    def loads(self, data: bytes) -> Any:
        """A Kept."""
        return Kept(self._make(data), data, self._make)


class PickledStore:
    """What is in a cache under one name, `scope`. All methods may be called by any thread.

    A `ttl` is in seconds; None: for ever; 0 and less: over at once. Reads fail open as the cache's
    do; a write raises, but with `ignore_errors` one whose node fails is dropped. Deletes and clear()
    raise whenever the node did not say that it is done.
    """

    def __init__(self, cache: Cache, scope: str = "", ignore_errors: bool = False) -> None:
        self.cache = cache
        self._ignore_errors = ignore_errors
        #: values are bytes and JSON, not pickles
        self.is_plain = isinstance(cache._codec._serializer, PlainValues)
        self._current = cache._current
        self._shared: Dict[Key, Any] = cache._shared
        self._name = f"hearth:generation:{scope}"
        self._raw = self._name.encode()
        #: what tells whether the generation is still this one, what keys begin with, and keys with that
        self._generation: Tuple[bytes, str, Dict[str, str]] = (probe_of(0, self._raw), "", {})
        self._tables: "weakref.WeakValueDictionary[Any, Table]" = weakref.WeakValueDictionary()
        if cache._objects is not None:
            cache._objects.forgotten = _forgotten
        #: get_known(), by one call of C where it can
        self._own_table = self.table_of(None)
        known = types.MethodType(PickledStore.get_known, weakref.proxy(self))  # not one another's only owner
        self.get_local = self.finder_of(self._own_table, known, "(key)")

    # ---- the generation ----

    def known_start(self) -> Optional[str]:
        """What keys begin with, if this process knows that."""
        probe, start, _ = self._generation
        return start if self._current(probe) else None

    def _start(self) -> str:
        """What keys begin with now."""
        return self.known_start() or self._asked_start()

    def _asked_start(self) -> str:
        found = self.cache.fetch_value(self._name, lambda _: secrets.token_urlsafe(9), None)
        word = found.value.take() if type(found.value) is Kept else found.value
        if type(word) is not str:  # somebody else's value: it is not signed
            word = secrets.token_urlsafe(9)
            self.cache.set(self._name, word, None)
        start = f"{word}:"
        if start != self._generation[1] or not found.version:
            self._generation = (probe_of(found.version, self._raw), start, {})
        else:
            self._generation = (probe_of(found.version, self._raw), start, self._generation[2])
        return start

    def _is_outdated(self, full: str) -> bool:
        """Whether the node has another generation than a whole key: one that it did not tell when it was
        asked, or of another process's clear(). The next _start() asks it."""
        found = self.cache._told_value(self._name)
        if found is None or type(found.value) is not Kept or full.startswith(f"{found.value.take()}:"):
            return False
        self.cache.evict_local(self._name)
        return True

    def clear(self) -> None:
        """Forgets all values of this store, and no other."""
        self.cache.set(self._name, secrets.token_urlsafe(9), None)

    # ---- reads ----

    def table_of(self, maker: Any) -> Table:
        """The table of the store for texts of which `maker` makes keys; None: they are keys."""
        return self._tables.setdefault(maker, Table())

    def finder_of(
        self, table: Table, function: Callable[..., Any], signature: str
    ) -> Callable[..., Any]:
        """A function that looks into the table first."""
        return finder_of(self.cache._address, table, function, signature)

    def enter(self, table: Table, text: str, key: str) -> None:
        """Puts what is known of a key into a table, as long as it is known. `text` is of the class str."""
        probe, _, fulls = self._generation
        known = table.get(text)
        if known is not None and known[0] is probe:
            return  # what is replaced leaves by itself
        full = fulls.get(key, b"")
        entry = self._shared.get(full)
        if entry is not None:
            entry[1].enter(table, text, (probe, entry[0]))
            if self._shared.get(full) is not entry:
                entry[1].leave()

    def get_known(self, key: str) -> Any:
        """A fresh local value that was read before, else MISSING; it waits for nothing."""
        probe, _, fulls = self._generation
        entry = self._shared.get(fulls.get(key, b""))  # no key is empty
        if entry is None or not self._current(probe, entry[0]):
            return MISSING
        kept: Kept = entry[1]
        found = kept.take()
        if type(key) is str:
            self.enter(self._own_table, key, key)
        return found

    def get(self, key: str) -> Any:
        """The value, or MISSING."""
        found = self.get_local(key)
        return found if found is not MISSING else self.get_further(key)

    def get_further(self, key: str) -> Any:
        """What is not, or not yet, among the local values that were read."""
        found = self.cache.get_value(self._remembered(key))
        if found is None or type(found.value) is not Kept:
            return MISSING
        return found.value.take()

    def _remembered(self, key: str) -> str:
        """The whole key, for get_local() too."""
        full = self._start() + key
        _, start, fulls = self._generation
        if full.startswith(start):
            if len(fulls) >= _MOST_KEYS:
                fulls.clear()
            fulls[key] = full
        return full

    def get_many(self, keys: Iterable[str]) -> Dict[str, Any]:
        """The values of those keys that have one."""
        values: Dict[str, Any] = {}
        others: List[str] = []
        for key in keys:
            found = self.get_local(key)
            if found is MISSING:
                others.append(key)
            else:
                values[key] = found
        if not others:
            return values
        by_full = {self._remembered(key): key for key in others}
        for full, kept in self.cache.get_many(by_full).items():
            if type(kept) is Kept:
                values[by_full[str(full)]] = kept.take()
        return values

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        if self.get_local(key) is not MISSING:
            return True
        found = self.cache.get_value(self._start() + key)
        return found is not None and type(found.value) is Kept

    def evict_local(self, key: str) -> None:
        """The next read of it asks the node."""
        self.cache.evict_local(self._start() + key)

    # ---- writes ----

    def _written(self, full: str, write: Callable[[], Any], otherwise: Any) -> Any:
        """What a write answers. The pickler's own errors reach the caller as themselves."""
        try:
            return write()
        except SerializationError as error:
            raise (error.__cause__ or error) from None
        except TooLargeError:
            self.cache.delete(full)  # what was there before is not the value any more
            raise
        except NodeError:
            if self._ignore_errors:
                return otherwise
            raise

    def set(self, key: str, value: Any, ttl: TTL) -> bool:
        """Stores a value; one whose life is over at once is deleted. False: it was dropped."""
        full = self._start() + key

        def write() -> bool:
            self.cache.set(full, value, ttl)
            return True

        return bool(self._written(full, write, False))

    def add(self, key: str, value: Any, ttl: TTL) -> bool:
        """Stores a value where there is none. False: there is one."""
        if is_over(ttl):
            return not self.has(key)
        full = self._start() + key
        return bool(self._written(full, lambda: self.cache.add(full, value, ttl), False))

    def set_many(
        self, values: Mapping[str, Any], ttl: TTL, raises: bool = False
    ) -> List[str]:
        """Stores many; the keys of those that were not, unless that raises."""
        start = self._start()
        skip = len(start)
        try:
            self.cache.set_many({start + key: value for key, value in values.items()}, ttl)
        except SerializationError as error:
            raise (error.__cause__ or error) from None
        except CacheError as error:
            if not error.failed or (raises and not self._ignore_errors):
                raise
            return [str(full)[skip:] for full in error.failed]
        return []

    def touch(self, key: str, ttl: TTL) -> bool:
        """Gives a value a new life. False: there is none."""
        full = self._start() + key
        return bool(self._written(full, lambda: self.cache.touch(full, ttl), False))

    def delete(self, key: str) -> bool:
        """Removes a value. False: there was none."""
        return self.cache.delete(self._start() + key)

    def delete_many(self, keys: Iterable[str]) -> int:
        """Removes many; how many there were."""
        start = self._start()
        return self.cache.delete_many([start + key for key in keys])

    def add_to(self, key: str, delta: Any) -> Any:
        """Adds to a number, of any kind and sign, and answers the sum; its life goes on as it was.
        KeyError: there is none, and the node said so; one that does not answer raises. Nobody's sum is
        lost: it replaces just the value that it was made of."""
        limit, losses = time.monotonic() + _INCREMENT_S, 0
        while True:
            full = self._start() + key
            found = self.cache._told_value(full)
            if found is None or type(found.value) is not Kept:
                if time.monotonic() < limit and self._is_outdated(full):
                    continue
                raise KeyError(key)
            total = found.value.take() + delta
            left_ms = found.ttl_left_ms
            ttl = None if left_ms is None else datetime.timedelta(milliseconds=max(1, left_ms))
            if self.cache.replace(full, total, ttl, if_version=found.version or None):
                return total
            if time.monotonic() > limit:
                raise CacheError(f"others kept changing {key!r:.100}")
            losses += 1
            # Others were quicker: a while at random, so that they do not meet again.
            time.sleep(random.random() * min(losses, 20) * 0.0002)

    # ---- loads ----

    def get_or_load(self, key: str, load: Callable[[], Any], ttl: TTL) -> Any:
        """The value; else what `load` returns, None too, which is stored. One caller loads at a
        time, the others wait for it."""
        if is_over(ttl):
            found = self.get(key)
            return load() if found is MISSING else found
        found = self.get_local(key)
        if found is not MISSING:
            return found
        full = self._start() + key
        try:
            result: Any = self.cache.fetch(full, lambda _: Boxed(load()), ttl)
        except SerializationError as error:
            raise (error.__cause__ or error) from None
        if type(result) is Boxed:
            return result.value
        return result.take() if type(result) is Kept else load()

    async def get_or_load_async(self, key: str, load: Callable[[], Any], ttl: TTL) -> Any:
        """The same for an event loop: `load` is called in the task of its first caller, and what it
        returns is awaited if it can be."""
        from ._async_loads import load_in_task

        return await load_in_task(self, key, load, ttl)


def is_over(ttl: TTL) -> bool:
    """Whether such a life is over before it begins."""
    if isinstance(ttl, datetime.timedelta):
        return ttl.total_seconds() <= 0
    return ttl is not None and ttl <= 0


def bounded(seconds: Optional[float]) -> Optional[float]:
    """Seconds as a ttl: what is beyond what a cache can count is for ever."""
    return None if seconds is None or seconds >= _LONGEST_S else seconds


# ---- opening ---------------------------------------------------------------------------------

_stores: Dict[Any, PickledStore] = {}
_caches: Dict[Any, Cache] = {}
_lock = threading.RLock()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)

Secret = Union[str, bytes, Sequence[Union[str, bytes]], None]


def secrets_of(given: Secret) -> List[bytes]:
    """As bytes, of which the first signs."""
    if not given:
        return []
    all_of_them = [given] if isinstance(given, (str, bytes)) else list(given)
    return [each.encode() if isinstance(each, str) else bytes(each) for each in all_of_them]


_own_secret = secrets.token_bytes(32)


def new_cache(url: str, secret: Secret, **options: Any) -> Cache:
    """A cache for a store. What stays in this process is signed with a secret of the process; where
    nodes are without a secret of the application, values are not pickled."""
    signers = secrets_of(secret) or ([_own_secret] if url.startswith("embedded:") else [])
    protocol = int(options.pop("pickle_protocol", pickle.HIGHEST_PROTOCOL))
    options.setdefault("share_bytes", 16 << 20)
    serializer = PickledValues(signers, protocol) if signers else PlainValues()
    return Cache.from_url(url, serializer=serializer, **options)


def open_cache(url: str, secret: Secret, name: str = "", **options: Any) -> Cache:
    """The cache of these settings: there is one in a process for all who ask with the same ones, as
    frameworks make a backend object for each thread. It stays open until the process ends."""
    key = (url, name, tuple(secrets_of(secret)), repr(sorted(options.items())))
    with _lock:
        cache = _caches.get(key)
        if cache is None or cache.closed:
            cache = _caches[key] = new_cache(url, secret, **options)
        return cache


def open_store(
    url: str, secret: Secret, scope: str = "", name: str = "", **options: Any
) -> PickledStore:
    """The store of these settings, as open_cache(). `on_error="ignore"` drops writes whose node
    fails, too."""
    ignore = options.get("on_error") == "ignore"
    if ignore:
        options["on_error"] = "miss"
    cache = open_cache(url, secret, name, **options)
    with _lock:
        store = _stores.get((id(cache), scope, ignore))
        if store is None or store.cache is not cache:
            store = _stores[id(cache), scope, ignore] = PickledStore(cache, scope, ignore)
        return store


def url_of(location: Union[str, Sequence[str]]) -> Tuple[str, str]:
    """The nodes' address and the store's name, of what a framework's settings say: a URL of ours,
    several of them, `host:port` and `unix:/path` of Memcached nodes, or a bare name for a store in
    this process."""
    parts = [location] if isinstance(location, str) else [str(each) for each in location]
    if len(parts) == 1 and "://" in parts[0]:
        return parts[0], ""
    parts = [each.strip() for part in parts for each in part.replace(";", ",").split(",")]
    parts = [each for each in parts if each]
    if not parts:
        return "embedded://", ""
    if all("://" in each for each in parts):
        return joined_url(parts), ""
    if all(each.startswith(("unix:", "/")) for each in parts):
        paths = [each[5:] if each.startswith("unix:") else each for each in parts]
        return "memcached+unix://" + ",".join(paths), ""
    if all(":" in each or "." in each for each in parts):
        return "memcached://" + ",".join(parts), ""
    if len(parts) == 1:
        return "embedded://", parts[0]
    raise ConfigError(f"LOCATION {location!r}: one URL, host:port addresses, or one name")


def joined_url(urls: Sequence[str]) -> str:
    """One URL of several of the same scheme: their nodes make one ring."""
    scheme, first = urls[0].split("://", 1)
    nodes = [first]
    for url in urls[1:]:
        other, rest = url.split("://", 1)
        if other != scheme:
            raise ConfigError(f"one scheme for all nodes, not {scheme} and {other}")
        nodes.append(rest.split("@")[-1])
    tail = ""
    if not scheme.endswith("+unix") and "/" in nodes[-1]:
        tail = "/" + nodes[-1].split("/", 1)[1]
        nodes = [each.split("/", 1)[0] for each in nodes]
    return f"{scheme}://{','.join(nodes)}{tail}"
