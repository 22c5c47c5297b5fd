# SPDX-License-Identifier: Apache-2.0
"""Copies of objects that are made anew for each caller: of plain lists, dicts and sets, by their own
copy(), which takes a fraction of the time of unpickling.

A copier holds an object that nobody else has. Copies share what nobody can change.
"""

import datetime
import decimal
import functools
import itertools
import uuid
from typing import Any, Callable, List, Optional, Set, Tuple

_FROZEN = {
    str, bytes, int, float, complex, bool, type(None), range, decimal.Decimal, uuid.UUID,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
}  # fmt: skip

#: beyond that the object is unpickled
_MOST_DEPTH = 8
_MOST_PARTS = 200

Copy = Callable[[], Any]


def freeze(kind: type) -> None:
    """Objects of this very class are handed out as they are."""
    _FROZEN.add(kind)


def is_frozen(value: Any) -> bool:
    """Whether nobody can change it, so that all may have the same object."""
    kind = type(value)
    if kind is tuple or kind is frozenset:
        return all(map(is_frozen, value))
    return kind in _FROZEN


class _Unknown(Exception):
    """It is not only of what can be copied here."""


def copier_of(value: Any) -> Optional[Copy]:
    """What makes copies of a changeable object; None: it has parts of other classes, an object in it
    is there twice, which a copy has to keep, or it is large."""
    try:
        return _copier(value, set(), _MOST_DEPTH)
    except _Unknown:
        return None


def parts_of(copy: Copy) -> Tuple[Any, ...]:
    """What such a copy is made of: what makes the object, and by twos a place in it and what makes the
    part for that."""
    if isinstance(copy, functools.partial) and copy.func is _with_parts:
        whole, parts = copy.args
        return (whole, *itertools.chain.from_iterable(parts))
    return (copy,)


def _copier(value: Any, seen: Set[int], depth: int) -> Copy:
    kind = type(value)
    if depth == 0 or id(value) in seen or len(seen) > _MOST_PARTS:
        raise _Unknown
    seen.add(id(value))
    if kind is dict and all(map(is_frozen, value)):
        parts = [(key, _copier(each, seen, depth - 1)) for key, each in _changeable(value.items())]
    elif kind is list or kind is tuple:
        parts = [(at, _copier(each, seen, depth - 1)) for at, each in _changeable(enumerate(value))]
    elif kind is set and all(map(is_frozen, value)):
        parts = []
    else:
        raise _Unknown
    if kind is tuple:
        return functools.partial(_tuple_of, list(value), parts)
    # The object's own copy() is the quickest.
    copy: Copy = value.copy
    if not parts:
        return copy
    return functools.partial(_with_parts, copy, parts)


def _changeable(items: Any) -> List[Tuple[Any, Any]]:
    return [(at, each) for at, each in items if not is_frozen(each)]


def _with_parts(copy: Copy, parts: List[Tuple[Any, Copy]]) -> Any:
    new = copy()
    for at, copy_of_part in parts:
        new[at] = copy_of_part()
    return new


def _tuple_of(values: List[Any], parts: List[Tuple[Any, Copy]]) -> Any:
    return tuple(_with_parts(values.copy, parts))
