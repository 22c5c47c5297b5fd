# SPDX-License-Identifier: Apache-2.0
"""What is known about a value, and what a loader may answer with."""

from typing import Any, Iterable, NamedTuple, Optional

from ._abi import Info
from ._arguments import TTL, UNSET, Unset, tags_bytes
from ._tables import STALE

#: by the number that the library has for each
TIERS = ("none", "local", "remote", "loaded", "guard")


class Value(NamedTuple):
    """An answer and where it came from."""

    #: the value; None if the key is known not to exist
    value: Any
    #: True: the key is known not to exist
    absent: bool
    #: "local" (this process), "remote" (a node), "loaded", or "guard" (its filter: absent)
    tier: str
    #: past its soft life, but within its hard life
    stale: bool
    #: since the load or write that made it began; None: that is not kept
    age_ms: Optional[int]
    #: until it expires in the tier that answered; None: never
    ttl_left_ms: Optional[int]
    #: it can differ from the remote tier only by changes younger than this
    staleness_bound_ms: int
    #: identity of this write or load, never an order, for `replace(if_version=)`; 0: it has none
    version: int


def value_of(value: Any, absent: bool, info: Info) -> Value:
    """A Value of what the library tells."""
    return Value(
        value,
        absent,
        TIERS[info.tier] if info.tier < len(TIERS) else "none",
        info.freshness == STALE,
        info.age_ms if info.age_ms >= 0 else None,
        info.ttl_left_ms if info.ttl_left_ms >= 0 else None,
        info.staleness_bound_ms,
        info.version,
    )


class Loaded:
    """What a loader returns to say how long this very result lives: `return Loaded(row, ttl=5)`, and
    which tags it has, besides those of the call: `Loaded(row, tags=["team:3"])`.
    `Loaded(None, ttl=5)` is known not to exist for 5 seconds."""

    __slots__ = ("stale", "tags", "ttl", "value")

    def __init__(
        self,
        value: Any,
        *,
        ttl: "TTL | Unset" = UNSET,
        stale: TTL = None,
        tags: "Iterable[str | bytes]" = (),
    ) -> None:
        self.value = value
        self.ttl = ttl
        self.stale = stale
        self.tags = tags_bytes(tags)


class Unchanged:
    """The class of UNCHANGED."""

    def __repr__(self) -> str:
        return "hearth.UNCHANGED"


#: what a loader under `conditional=True` returns when the source has what the cache has
UNCHANGED = Unchanged()
