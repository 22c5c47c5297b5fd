# SPDX-License-Identifier: Apache-2.0
"""@cache.cached: functions whose results are kept."""

import functools
import inspect
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Generic,
    Iterable,
    Optional,
    Tuple,
    TypeVar,
    Union,
    cast,
)

from ._arguments import TTL, UNSET, Unset, key_bytes, tags_bytes
from ._call_keys import CallKeys, KeyRule, takes_self
from ._fetches import Fetches, Plan
from ._handle import NOTHING, get_with
from ._writes import Writes
from .errors import Key

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
else:
    P = TypeVar("P")
R = TypeVar("R")

#: arguments of these very classes are equal only if they are the same: not so 1, 1.0 and True
_PLAIN = frozenset((str, int, bytes, type(None)))

#: keys of calls that are remembered for each function
_MOST_KEYS = 4096


class CachedFunction(Generic[P, R]):
    """What a cached function has besides being called. (At run time it is a plain function with these
    attributes; of a coroutine function `refresh` is one too.)"""

    __wrapped__: Callable[P, R]
    __name__: str
    __qualname__: str

    def __call__(self, *args: "P.args", **kwargs: "P.kwargs") -> R:
        """The result, kept or new."""
        raise NotImplementedError

    def key(self, *args: "P.args", **kwargs: "P.kwargs") -> Key:
        """The key of a call."""
        raise NotImplementedError

    def invalidate(self, *args: "P.args", **kwargs: "P.kwargs") -> bool:
        """Deletes the result of a call, as Cache.delete(): it raises if that is not certain."""
        raise NotImplementedError

    def refresh(self, *args: "P.args", **kwargs: "P.kwargs") -> R:
        """Deletes the result of a call and makes it anew."""
        raise NotImplementedError

    def __get__(self, instance: Any, owner: Any = None) -> "CachedFunction[..., R]":
        """The method of an object."""
        raise NotImplementedError


def tag_rules(tags: Any) -> Tuple[Any, ...]:
    """TypeError for one that is no list."""
    if isinstance(tags, (str, bytes)) or callable(tags):
        raise TypeError("tags is a list of templates and functions, not one")
    rules = tuple(tags)
    if not all(isinstance(each, str) or callable(each) for each in rules):
        raise TypeError("a tag of a cached function is a template or a function")
    return rules


class _Calls:
    """The calls of one cached function."""

    def __init__(
        self,
        cache: "Cached",
        function: Callable[..., Any],
        rule: KeyRule,
        plan: Plan,
        tags: "Iterable[Union[str, Callable[..., Key]]]" = (),
    ) -> None:
        self.cache = cache
        self.function = function
        self.keys = CallKeys(function, rule)
        self.plan = plan
        self.tags = [CallKeys(function, each) for each in tags]
        self.raws: Dict[Tuple[Any, ...], bytes] = {}

    def key(self, *args: Any, **kwargs: Any) -> Key:
        """Of a call."""
        return self.keys.of(args, kwargs)

    def raw(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> bytes:
        """The key of a call as bytes; remembered where that is safe."""
        raw = key_bytes(self.keys.of(args, kwargs))
        if not kwargs and self.keys.is_pure and all(type(each) in _PLAIN for each in args):
            if len(self.raws) >= _MOST_KEYS:
                self.raws.clear()
            self.raws[args] = raw
        return raw

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Deletes the result of a call."""
        return self.cache.delete(self.keys.of(args, kwargs))

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Deletes it and makes it anew."""
        self.invalidate(*args, **kwargs)
        return self.load(self.raw(args, kwargs), args, kwargs)

    def load(self, raw: bytes, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Any:
        """What is not found at once."""
        plan = self.plan_of(args, kwargs)
        return self.cache._fetch(raw, lambda _: self.function(*args, **kwargs), plan)[0]

    def plan_of(self, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Plan:
        """With the tags of a call."""
        if not self.tags:
            return self.plan
        tags = tags_bytes([each.of(args, kwargs) for each in self.tags])
        return self.plan._replace(tags=tags)

    def wrapper(self) -> Callable[..., Any]:
        """The function that is called instead."""
        cache, raws, plain, at_once = self.cache, self.raws, _PLAIN, self.cache._at_once
        address = cache._address
        shares = cache._objects is not None

        @functools.wraps(self.function)
        def cached(*args: Any, **kwargs: Any) -> Any:
            raw = None
            if not kwargs:
                for each in args:
                    if each.__class__ not in plain:
                        break
                else:
                    raw = raws.get(args)
            if raw is None:
                raw = self.raw(args, kwargs)
            found = at_once(raw) if shares else get_with(address, raw, len(raw))
            if found is NOTHING:
                return self.load(raw, args, kwargs)
            return found

        return cached


class _CachedMethod:
    """A cached function in a class: bound to an object when it is looked up there."""

    def __init__(self, calls: Any) -> None:
        functools.update_wrapper(cast(Any, self), calls.function)
        self._calls = calls
        self._call = calls.wrapper()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("key", "invalidate", "refresh"):
            return getattr(self._calls, name)
        raise AttributeError(name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _Bound(self, instance)


class _Bound:
    """A cached method of an object."""

    def __init__(self, method: _CachedMethod, instance: Any) -> None:
        self._method, self._instance = method, instance
        self.__wrapped__ = method._calls.function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._method._call(self._instance, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return functools.partial(getattr(self._method, name), self._instance)


class _CachedClassMethod:
    """A cached method of a class: bound to the class in which it is looked up."""

    def __init__(self, method: _CachedMethod) -> None:
        functools.update_wrapper(cast(Any, self), method._calls.function)
        self._method = method

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return _Bound(self._method, type(instance) if owner is None else owner)


class Cached(Fetches, Writes):
    """The decorator."""

    def cached(
        self,
        ttl: Union[TTL, Unset] = UNSET,
        *,
        key: KeyRule = None,
        tags: "Iterable[Union[str, Callable[..., Key]]]" = (),
        stale: TTL = None,
        background: bool = False,
        namespace: Optional[Key] = None,
    ) -> "Callable[[Callable[P, R]], CachedFunction[P, R]]":
        """Keeps the results of a function, method or coroutine function; one caller of the same
        arguments calls it at a time, the others wait for that result.

            @cache.cached(ttl=60)
            def profile(user_id): ...

            profile(7)                 # called
            profile(7)                 # kept
            profile.invalidate(7)      # after a change
            profile.refresh(7)         # deleted and called anew
            profile.key(7)             # 'app.users.profile(7)'

        `key`: a template of the parameters, `"profile:{user_id}"`; or a function of the same arguments
        that makes the key, each time anew. Without it the key is the function's name and its arguments
        (see README.md); methods, and functions inside of functions, must say theirs:
        `key="user:{self.id}:posts:{page}"`. It stands above @classmethod, which from Python 3.13 on
        binds nothing that it is put around but calls. `tags`: templates or functions like it, of the result's tags,
        for invalidate_tag(). `ttl`, `stale`, `background`, and what None means: as for
        fetch(). `namespace`: the results are kept in that one, and bump_namespace() forgets those of all
        arguments. An exception is raised to all who wait, and not kept.
        """
        if namespace is not None:
            view: Cached = cast(Any, self).namespace(namespace)
            return view.cached(ttl, key=key, tags=tags, stale=stale, background=background)
        plan, rules = self._plan(ttl, stale, background, None, 0, None), tag_rules(tags)

        def decorate(function: "Callable[P, R]") -> "CachedFunction[P, R]":
            given: Any = function
            if isinstance(given, classmethod):
                method = cast(_CachedMethod, decorate(given.__func__))
                return cast("CachedFunction[P, R]", _CachedClassMethod(method))
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError("what a generator gives can be taken once: cache a list")
            kind = _Calls
            if inspect.iscoroutinefunction(function):
                from ._coroutines import CoroutineCalls

                kind = CoroutineCalls
            calls = kind(self, function, key, plan, rules)
            if takes_self(function):
                return cast("CachedFunction[P, R]", _CachedMethod(calls))
            wrapper: Any = calls.wrapper()
            for name in ("key", "invalidate", "refresh"):
                setattr(wrapper, name, getattr(calls, name))
            return cast("CachedFunction[P, R]", wrapper)

        return decorate
