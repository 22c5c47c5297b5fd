# SPDX-License-Identifier: Apache-2.0
"""For Starlette and FastAPI: a cache as a dependency, and a middleware that caches responses.

docs/fastapi.md of this package shows both. The event loop goes on while a node is asked.
"""

import hashlib
import json
import time
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from ._arguments import TTL, UNSET, Unset
from .async_cache import AsyncCache
from .cache import Cache
from .errors import CacheError, Key

Headers = List[Tuple[bytes, bytes]]
Message = Dict[str, Any]

#: statuses that may be kept (RFC 9110, 15.1), without partial content
_KEPT_STATUSES = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))

#: what a 304 tells of the response that it stands for (RFC 9110, 15.4.5)
_OF_304 = frozenset(
    (b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary", b"age")
)


class LoopCache:
    """A hearth.Cache whose verbs are coroutines; `.all` is the hearth.AsyncCache with the other verbs."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.all = AsyncCache(cache)

    async def get(self, key: Key, default: Any = None) -> Any:
        """AsyncCache.get()."""
        return await self.all.get(key, default)

    async def get_many(self, keys: Iterable[Key]) -> Dict[Key, Any]:
        """AsyncCache.get_many()."""
        return await self.all.get_many(keys)

    async def set(self, key: Key, value: Any, ttl: Union[TTL, Unset] = UNSET) -> None:
        """AsyncCache.set()."""
        await self.all.set(key, value, ttl)

    async def set_many(
        self, values: Mapping[Key, Any], ttl: Union[TTL, Unset] = UNSET
    ) -> None:
        """AsyncCache.set_many()."""
        await self.all.set_many(values, ttl)

    async def add(self, key: Key, value: Any, ttl: Union[TTL, Unset] = UNSET) -> bool:
        """AsyncCache.add()."""
        return await self.all.add(key, value, ttl)

    async def delete(self, key: Key) -> bool:
        """AsyncCache.delete()."""
        return await self.all.delete(key)

    async def delete_many(self, keys: Iterable[Key]) -> int:
        """AsyncCache.delete_many()."""
        return await self.all.delete_many(keys)

    async def fetch(
        self, key: Key, load: Callable[[], Any], ttl: Union[TTL, Unset] = UNSET
    ) -> Any:
        """The value; else what the function or coroutine function `load` returns, stored: it is called
        in its first caller's task, the others wait. None means that nothing exists, as for
        Cache.fetch()."""
        return await self.all.fetch(key, lambda _: load(), ttl)


class CacheDependency:
    """`cache = CacheDependency("redis://...")`, and in a path function
    `cache: LoopCache = Depends(cache)`. Arguments as for `hearth.Cache`."""

    def __init__(self, url: str = "embedded://", **options: Any) -> None:
        self.cache = Cache.from_url(url, **options)
        self._loop_cache = LoopCache(self.cache)

    def __call__(self) -> LoopCache:
        """What the path function gets: one for all."""
        return self._loop_cache

    def close(self) -> None:
        """For the application's shutdown."""
        self.cache.close()


# ---- responses -------------------------------------------------------------------------------


def directives(headers: Headers, name: bytes = b"cache-control") -> Dict[str, str]:
    """The directives of Cache-Control, by their names in small letters."""
    found: Dict[str, str] = {}
    for each, value in headers:
        if each.lower() == name:
            for part in value.decode("latin-1").split(","):
                word, _, argument = part.strip().partition("=")
                found.setdefault(word.strip().lower(), argument.strip().strip('"'))
    return found


def value_of(headers: Headers, name: bytes) -> Optional[bytes]:
    """A header's value; of several all, joined by commas."""
    values = [value for each, value in headers if each.lower() == name]
    return b",".join(values) if values else None


def seconds(found: Dict[str, str], name: str) -> Optional[int]:
    """A directive's argument; what is no number is 0: rather too short than too long."""
    if name not in found:
        return None
    return int(found[name]) if found[name].isdigit() else 0


class Response:
    """A response that is whole."""

    def __init__(self, status: int, headers: Headers, body: bytes, stored_s: float) -> None:
        self.status, self.headers, self.body, self.stored_s = status, headers, body, stored_s

    def packed(self) -> bytes:
        """For the cache: a line of JSON, and the body."""
        names = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        head = {"status": self.status, "headers": names, "stored": self.stored_s}
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.body

    @classmethod
    def unpacked(cls, data: bytes) -> "Response":
        """Of what packed() made."""
        line, _, body = data.partition(b"\n")
        head = json.loads(line)
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in head["headers"]]
        return cls(head["status"], headers, body, head["stored"])

    def matches(self, wanted: Optional[bytes]) -> bool:
        """Whether If-None-Match names it (weak comparison)."""
        own = value_of(self.headers, b"etag")
        if not wanted or not own or self.status != 200:
            return False
        tags = [tag.strip() for tag in wanted.split(b",")]
        return b"*" in tags or own.removeprefix(b"W/") in [tag.removeprefix(b"W/") for tag in tags]


class ResponseCache:
    """ASGI middleware: keeps responses to GET requests, for as long as their Cache-Control says.

    `cache`: a hearth.Cache or CacheDependency. `ttl`: seconds for responses without Cache-Control, to
    requests without cookies; None: those are not kept. `max_body_bytes`: larger ones are not kept.
    A response of what is kept gets an ETag if it has none, and a request that names it gets a 304.
    Never kept: what says no-store, no-cache or private, sets a cookie, varies by `*`, or answers a
    request with Authorization, unless it says public or s-maxage (RFC 9111).
    """

    def __init__(
        self,
        app: Any,
        cache: Union[Cache, CacheDependency],
        ttl: Optional[float] = None,
        max_body_bytes: int = 1 << 20,
        prefix: str = "response:",
    ) -> None:
        self._app = app
        self._loop_cache = LoopCache(cache.cache if isinstance(cache, CacheDependency) else cache)
        self._ttl = ttl
        self._most = max_body_bytes
        self._prefix = prefix

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """ASGI."""
        headers: Headers = list(scope.get("headers") or ())
        wants = directives(headers)
        if scope["type"] != "http" or scope["method"] != "GET" or "no-store" in wants:
            await self._app(scope, receive, send)
            return
        if value_of(headers, b"range") is not None:
            await self._app(scope, receive, send)
            return
        base = self._base_key(scope, headers)
        if not ("no-cache" in wants or value_of(headers, b"pragma") == b"no-cache"):
            found = await self._found(base, headers, seconds(wants, "max-age"))
            if found is not None:
                await _give(found, headers, send, time.time() - found.stored_s)
                return
        if "only-if-cached" in wants:
            await _give(Response(504, [], b"", 0), [], send, None)
            return
        await self._app(scope, receive, _Recorder(self, base, headers, send))

    # ---- keys ----

    def _base_key(self, scope: Any, headers: Headers) -> str:
        host = (value_of(headers, b"host") or b"").decode("latin-1")
        path = scope.get("root_path", "") + scope["path"]
        query = scope.get("query_string", b"").decode("latin-1")
        text = json.dumps([scope.get("scheme", "http"), host, path, query])
        return self._prefix + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @staticmethod
    def variant_key(base: str, vary: Iterable[str], headers: Headers) -> str:
        """The key of the response for these values of the headers that it varies by."""
        values = []
        for name in vary:
            value = value_of(headers, name.encode("latin-1"))
            values.append([name, None if value is None else value.decode("latin-1")])
        digest = hashlib.blake2b(json.dumps(values).encode(), digest_size=16).hexdigest()
        return f"{base}:{digest}"

    # ---- the cache ----

    async def _found(
        self, base: str, headers: Headers, max_age: Optional[int]
    ) -> Optional[Response]:
        try:
            vary = await self._loop_cache.get(base)
            if type(vary) is not bytes:
                return None
            names = vary.decode("latin-1").split(",") if vary else []
            data = await self._loop_cache.get(self.variant_key(base, names, headers))
            if type(data) is not bytes:
                return None
            found = Response.unpacked(data)
        except (CacheError, ValueError, KeyError, TypeError):
            return None  # nothing of ours, or nothing to be had
        if max_age is not None and time.time() - found.stored_s > max_age:
            return None
        if value_of(headers, b"authorization") is not None:
            says = directives(found.headers)
            if "public" not in says and "s-maxage" not in says:
                return None
        return found

    def life_of(self, status: int, headers: Headers, request: Headers) -> Optional[float]:
        """For how many seconds a response may be kept; None: not at all."""
        says = directives(headers)
        if status not in _KEPT_STATUSES or {"no-store", "no-cache", "private"} & says.keys():
            return None
        if value_of(headers, b"set-cookie") or b"*" in (value_of(headers, b"vary") or b""):
            return None
        is_shared = "public" in says or "s-maxage" in says
        if value_of(request, b"authorization") is not None and not is_shared:
            return None
        life: Optional[float] = seconds(says, "s-maxage")
        if life is None:
            life = seconds(says, "max-age")
        if life is None and not says and value_of(request, b"cookie") is None:
            life = self._ttl
        return life if life is not None and life > 0 else None

    async def keep(self, base: str, request: Headers, made: Response, life: float) -> None:
        """Keeps a response. A node that fails is no reason to fail the request."""
        vary = (value_of(made.headers, b"vary") or b"").decode("latin-1").lower()
        names = sorted({name.strip() for name in vary.split(",") if name.strip()})
        try:
            await self._loop_cache.set(
                self.variant_key(base, names, request), made.packed(), life
            )
            await self._loop_cache.set(base, ",".join(names).encode("latin-1"), life)
        except CacheError as error:
            self._loop_cache.cache._count_refused(base, error)

    @property
    def most_bytes(self) -> int:
        """Of a body that is kept."""
        return self._most


class _Recorder:
    """The `send` of a request that was not answered from the cache."""

    def __init__(self, owner: ResponseCache, base: str, request: Headers, send: Any) -> None:
        self._owner, self._base, self._request, self._send = owner, base, request, send
        self._start: Optional[Message] = None
        self._life: Optional[float] = None
        self._parts: List[bytes] = []
        self._size = 0

    async def __call__(self, message: Message) -> None:
        """What may be kept is held back until it is whole, or too large."""
        if message["type"] == "http.response.start":
            headers: Headers = list(message.get("headers") or ())
            self._life = self._owner.life_of(message["status"], headers, self._request)
            if self._life is not None:
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._parts.append(message.get("body", b""))
            self._size += len(self._parts[-1])
            if self._size > self._owner.most_bytes:
                await self._let_go(message.get("more_body", False))
            elif not message.get("more_body", False):
                await self._whole()
            return
        await self._send(message)

    async def _let_go(self, more: bool) -> None:
        start, self._start = self._start, None
        await self._send(start)
        await self._send(
            {"type": "http.response.body", "body": b"".join(self._parts), "more_body": more}
        )

    async def _whole(self) -> None:
        assert self._start is not None and self._life is not None
        headers: Headers = list(self._start.get("headers") or ())
        body = b"".join(self._parts)
        if value_of(headers, b"etag") is None and self._start["status"] == 200:
            tag = hashlib.blake2b(body, digest_size=16).hexdigest()
            headers.append((b"etag", f'"{tag}"'.encode()))
        made = Response(self._start["status"], headers, body, time.time())
        await self._owner.keep(self._base, self._request, made, self._life)
        await _give(made, self._request, self._send, None)


async def _give(found: Response, request: Headers, send: Any, age_s: Optional[float]) -> None:
    headers = list(found.headers)
    if age_s is not None:
        headers.append((b"age", str(max(0, int(age_s))).encode()))
    status, body = found.status, found.body
    if found.matches(value_of(request, b"if-none-match")):
        status, body = 304, b""
        headers = [(name, value) for name, value in headers if name.lower() in _OF_304]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
