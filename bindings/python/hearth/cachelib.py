# SPDX-License-Identifier: Apache-2.0
"""A cache for cachelib, and whatever takes one of those (Flask-Session, Werkzeug's users):
`HearthCache("redis://...", secret=...)`.

docs/flask.md of this package has the settings and what differs from cachelib's own caches.
"""

from typing import Any, Sequence, Union

from cachelib.base import BaseCache

from ._cachelib_verbs import CachelibVerbs
from ._pickled import PickledStore, Secret, new_cache, open_store, url_of


class HearthCache(CachelibVerbs, BaseCache):
    """cachelib's cache, on Hearth's two tiers.

    `url`: nodes, or nothing for a cache of this object's own in the process. `secret`: values are
    pickles signed with it; without, values on nodes are bytes and strict JSON. `key_prefix`: what
    clear() is of. The rest are options of `hearth.Cache`.
    """

    def __init__(
        self,
        url: Union[str, Sequence[str]] = "",
        default_timeout: int = 300,
        key_prefix: str = "",
        *,
        secret: Secret = None,
        **options: Any,
    ) -> None:
        BaseCache.__init__(self, default_timeout)
        self._store = store_of(url, secret, key_prefix, options)


def store_of(
    location: Union[str, Sequence[str]], secret: Secret, scope: str, options: Any
) -> PickledStore:
    """The store of these settings."""
    url, name = url_of(location)
    if url.startswith("embedded:") and not name:
        ignore = options.get("on_error") == "ignore"
        if ignore:
            options = {**options, "on_error": "miss"}
        return PickledStore(new_cache(url, secret, **options), scope, ignore)
    return open_store(url, secret, scope, name, **options)
