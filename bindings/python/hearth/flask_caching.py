# SPDX-License-Identifier: Apache-2.0
"""A backend for Flask-Caching, `CACHE_TYPE = "hearth.flask_caching.HearthCache"`, and its `Cache` with
less to do at each hit.

docs/flask.md of this package has the settings and what differs from Flask-Caching's own backends.
"""

import contextlib
import inspect
from typing import Any, Callable, Dict, List, Sequence, Union

import flask_caching
from flask_caching.backends.base import BaseCache

from ._cachelib_verbs import CachelibVerbs
from ._pickled import Secret
from .cachelib import store_of


class HearthCache(CachelibVerbs, BaseCache):
    """Flask-Caching's cache, on Hearth's two tiers.

    Settings: `CACHE_HEARTH_URL` (nodes; nothing: in the process), `CACHE_KEY_PREFIX`,
    `CACHE_DEFAULT_TIMEOUT`, `CACHE_IGNORE_ERRORS`, and in `CACHE_OPTIONS` the options of
    `hearth.Cache` and `secret` (else the application's SECRET_KEY).
    """

    def __init__(
        self,
        url: Union[str, Sequence[str]] = "",
        default_timeout: int = 300,
        key_prefix: str = "",
        ignore_errors: bool = False,
        *,
        secret: Secret = None,
        **options: Any,
    ) -> None:
        BaseCache.__init__(self, default_timeout=default_timeout)
        self.ignore_errors = ignore_errors
        self.key_prefix = key_prefix
        self._store = store_of(url, secret, key_prefix, options)

    @classmethod
    def factory(
        cls, app: Any, config: Dict[str, Any], args: Sequence[Any], kwargs: Dict[str, Any]
    ) -> "HearthCache":
        """As Flask-Caching calls it."""
        settings: Dict[str, Any] = {
            "url": config.get("CACHE_HEARTH_URL") or "",
            "key_prefix": config.get("CACHE_KEY_PREFIX") or "",
            "ignore_errors": bool(config.get("CACHE_IGNORE_ERRORS")),
            "secret": _derived(app.config.get("SECRET_KEY")),
        }
        return cls(*args, **{**settings, **kwargs})

    def delete_many(self, *keys: str) -> List[Any]:
        """Removes many; the keys of those that there were. As in all of Flask-Caching's backends it
        ends at the first that was not there, unless `CACHE_IGNORE_ERRORS`."""
        deleted = []
        for key in keys:
            if self.delete(key):
                deleted.append(key)
            elif not self.ignore_errors:
                break
        return deleted


class Cache(flask_caching.Cache):
    """Flask-Caching's `Cache`, for any backend. Its memoize() asks for its function's signature three
    times in a call, which takes longer than all else: here the function keeps it, as its
    `__signature__`."""

    def memoize(self, *args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], Any]:
        """As Flask-Caching has it."""
        decorate = super().memoize(*args, **kwargs)

        def memoized(function: Callable[..., Any]) -> Any:
            # What takes no attribute, or has no signature, is asked each time.
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
            return decorate(function)

        return memoized


def _derived(secret_key: Any) -> Secret:
    """A key of its own, made of the application's."""
    if not secret_key:
        return None
    import hashlib

    raw = secret_key if isinstance(secret_key, bytes) else str(secret_key).encode()
    return hashlib.sha256(b"hearth.flask_caching.HearthCache" + raw).digest()
