# SPDX-License-Identifier: Apache-2.0
"""Read-through of many keys by one call of a loader."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, TypeVar, Union

from . import _tables
from ._arguments import TTL, UNSET, Unset, key_bytes, tags_bytes
from ._fetches import Fetches, Plan
from ._handle import ABSENT, NOTHING, OK
from ._loads import Fill, Interest, current_owner
from ._log import logger
from ._reads import Reads, Timeout
from .errors import Key, NodeError

V = TypeVar("V")


class Owed(NamedTuple):
    """A key that this caller is to load."""

    key: Key
    raw: bytes
    interest: Interest
    fill: Fill
    #: what there is, for when the load fails; NOTHING
    stale: Any


class Batch:
    """What a fetch of many keys came to before its loader was called."""

    def __init__(self) -> None:
        self.found: Dict[Key, Any] = {}
        #: of this caller, in the order of the keys' bytes
        self.owed: List[Owed] = []
        #: of other callers
        self.others: List[Key] = []

    def keys(self) -> List[Key]:
        """For the loader."""
        return [each.key for each in self.owed]


class FetchesMany(Fetches, Reads):
    """fetch_many."""

    def fetch_many(
        self,
        keys: Iterable[Key],
        loader: Callable[[List[Any]], Mapping[Any, Optional[V]]],
        ttl: Union[TTL, Unset] = UNSET,
        *,
        stale: TTL = None,
        tags: Iterable[Key] = (),
        timeout: Timeout = None,
    ) -> Dict[Key, V]:
        """The values of those keys that have one. What neither tier has is loaded by one call of
        `loader(keys)`, which returns a mapping; a key that is not in it, or has None, does not exist.

        What the local tier lacks is asked of all nodes at once; a key that is loaded then costs two trips to
        its node more, one to begin and one to store it. Keys that other callers are loading just now
        are waited for, after this caller has stored and given out its own. If the loader raises, that
        is raised, to all who wait for one of its keys; values that are stale are no reason to raise.
        """
        wanted = list(dict.fromkeys(keys))
        plan = self._plan(ttl, stale, False, None, 0, timeout, tags_bytes(tags))
        batch = Batch()
        batch.found = self._found_of(wanted)
        try:
            self._begin_many([key for key in wanted if key not in batch.found], plan, batch)
            if batch.owed:
                self._note_owners(batch, True)
                try:
                    self._store_many(batch, loader(batch.keys()), plan)
                except Exception as error:
                    self._failed_many(batch, error)
                finally:
                    self._note_owners(batch, False)
        finally:
            self._end_many(batch)
        for key in batch.others:
            value = self._fetch(key, lambda _, key=key: loader([key]).get(key), plan)[0]
            if value is not None:
                batch.found[key] = value
        return {key: batch.found[key] for key in wanted if key in batch.found}

    def _found_of(self, keys: List[Key]) -> Dict[Key, Any]:
        try:
            return self.get_many(keys)
        except NodeError:  # on_error="raise", of which a fetch knows nothing
            return {}

    def _begin_many(self, keys: List[Key], plan: Plan, batch: Batch) -> None:
        for key in sorted(keys, key=key_bytes):
            raw = key_bytes(key)
            interest = self._loads.enter(self._space, raw)
            fill = None
            try:
                answer = self._ask(key, raw, plan, _tables.READ_NO_WAIT, plan.wait_ms)
                fill = answer.fill
                if fill is not None:
                    batch.owed.append(Owed(key, raw, interest, fill, answer.value))
                elif answer.status == OK and answer.value is not NOTHING:
                    batch.found[key] = answer.value
                elif answer.status != ABSENT:
                    batch.others.append(key)
            finally:
                if fill is None:
                    self._loads.leave(self._space, raw, interest)

    def _note_owners(self, batch: Batch, begins: bool) -> None:
        owner = current_owner()
        note = self._loads.load_begins if begins else self._loads.load_ends
        for each in batch.owed:
            note(each.interest, owner)

    def _store_many(self, batch: Batch, results: Mapping[Any, Any], plan: Plan) -> None:
        for each in batch.owed:
            value = self._store_load(each.raw, results.get(each.key), plan, each.fill)[0]
            if value is not None:
                batch.found[each.key] = value

    def _failed_many(self, batch: Batch, error: Exception) -> None:
        """Who has a stale value for each key has that; else the error is everybody's."""
        for each in batch.owed:
            each.interest.error = error
        if any(each.stale is NOTHING for each in batch.owed):
            raise error
        logger.warning("the renewal of %d keys failed", len(batch.owed), exc_info=error)
        for each in batch.owed:
            batch.found[each.key] = each.stale

    def _end_many(self, batch: Batch) -> None:
        for each in batch.owed:
            each.fill.abandon()
            self._loads.leave(self._space, each.raw, each.interest)
