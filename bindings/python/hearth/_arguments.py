# SPDX-License-Identifier: Apache-2.0
"""Keys and times as the callers give them, made what the C library takes."""

import enum
import math
from datetime import timedelta
from typing import Any, Iterable, Optional, Tuple, Union

from . import _tables
from .errors import InvalidArgumentError


class Unset(enum.Enum):
    """Nothing was given, where None means something."""

    UNSET = "unset"


UNSET = Unset.UNSET

#: seconds, or None: for ever
TTL = Union[int, float, timedelta, None]

TAGS_MAX = 16
TAG_SIZE_MAX = 250
_ALL_TAGS_MAX = 1024

#: what milliseconds() answers for a life that is over before it begins
OVER = -2


def key_bytes(key: Any) -> bytes:
    """A key as the library takes it: text in UTF-8. Never str() of something else, or 1 and "1"
    would be one key."""
    if isinstance(key, str):
        raw = key.encode()
    elif isinstance(key, bytes):
        raw = bytes(key)
    else:
        raise TypeError(f"a key is str or bytes, not {type(key).__name__}")
    if not 0 < len(raw) <= _tables.KEY_MAX:
        raise InvalidArgumentError(f"a key has 1 to {_tables.KEY_MAX} bytes, not {len(raw)}")
    return raw


def milliseconds(ttl: Union[TTL, Unset]) -> int:
    """A life: UNSET: as the options say; None: for ever; OVER for 0 and less."""
    if ttl is UNSET:
        return _tables.TTL_DEFAULT
    if ttl is None:
        return 0
    seconds = seconds_of(ttl, "a ttl")
    if seconds <= 0:
        return OVER
    ms = math.ceil(seconds * 1000)
    if ms > _tables.TTL_MAX:
        raise InvalidArgumentError("a ttl is at most 100 years; None is for ever")
    return ms


def deadline(timeout: Union[int, float, timedelta, None]) -> int:
    """A deadline from now in ms; None: as the options say."""
    if timeout is None:
        return 0
    seconds = seconds_of(timeout, "a timeout")
    if not 0 < seconds <= 10**9:
        raise InvalidArgumentError(f"a timeout is more than 0 seconds, not {seconds}")
    return math.ceil(seconds * 1000)


def seconds_of(given: Any, what: str) -> float:
    """As a number; TypeError, ValueError."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"{what} is seconds or a timedelta, not {type(given).__name__}")
    if isinstance(given, float) and not math.isfinite(given):
        raise InvalidArgumentError(f"{what} is a number of seconds, not {given}")
    return given


def soft_life(ttl_ms: int, stale: TTL, default_ttl_ms: int) -> int:
    """The soft life of a value whose last part, `stale` seconds long, it is stale in."""
    if stale is None:
        return _tables.TTL_DEFAULT
    stale_ms = math.ceil(seconds_of(stale, "stale") * 1000)
    if stale_ms < 0:
        raise InvalidArgumentError(f"stale is 0 seconds or more, not {stale}")
    if stale_ms == 0:
        return 0
    life = default_ttl_ms if ttl_ms == _tables.TTL_DEFAULT else ttl_ms
    if life == 0:
        raise InvalidArgumentError("a value that lives for ever has no last part to be stale in")
    if stale_ms >= life:
        raise InvalidArgumentError("stale is the last part of the ttl, and so less")
    return life - stale_ms


def tags_bytes(tags: "Iterable[Union[str, bytes]]") -> Tuple[bytes, ...]:
    """Tags as the library takes them."""
    if isinstance(tags, (str, bytes)):
        raise TypeError("tags is a list of tags, not one")
    raws = tuple(dict.fromkeys(each.encode() if isinstance(each, str) else each for each in tags))
    if not all(isinstance(each, bytes) and 0 < len(each) <= TAG_SIZE_MAX for each in raws):
        raise InvalidArgumentError(f"a tag is str or bytes, of 1 to {TAG_SIZE_MAX} bytes")
    if len(raws) > TAGS_MAX or sum(len(each) + 1 for each in raws) > _ALL_TAGS_MAX:
        raise InvalidArgumentError(
            f"a value has at most {TAGS_MAX} tags, of {_ALL_TAGS_MAX} bytes together"
        )
    return raws


def option_text(value: Optional[Any]) -> str:
    """An option's value as hearth_options_set() takes it: times as ms."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return str(round(value.total_seconds() * 1000))
    return str(value)
