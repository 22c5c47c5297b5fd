# SPDX-License-Identifier: Apache-2.0
"""Made by mirror.py from the C headers; do not edit."""

from typing import Dict, NamedTuple

VERSION = "0.1.0"
ABI_VERSION = 0

KEY_MAX = 32768
TTL_MAX = 3155760000000
TTL_DEFAULT = -1
STALE_ANY = 9223372036854775807
TIER_NONE = 0
TIER_LOCAL = 1
TIER_REMOTE = 2
TIER_LOADED = 3
TIER_GUARD = 4
FRESH = 1
STALE = 2
READ_NO_LOCAL = 1
READ_NO_REMOTE = 2
READ_ALLOW_STALE = 4
READ_NO_WAIT = 8
READ_RELOAD = 16
READ_NO_LOAD = 32
WRITE_NO_LOCAL = 1
WRITE_INTEGER = 2
WRITE_NO_REMOTE = 4
WRITE_KEEP_STALE = 8
VERB_GET = 1
VERB_SET = 2
VERB_DELETE = 3
VERB_FETCH = 4
VERB_ADD = 5
VERB_REPLACE = 6
VERB_TOUCH = 7
VERB_INCREMENT = 8
VERB_MARK_STALE = 9
VERB_INVALIDATE_TAG = 10
LOG_ERROR = 1
LOG_WARNING = 2
LOG_NOTICE = 3
HOT_KEY_BYTES = 128

STATUSES: Dict[str, int] = {
    "OK": 0,
    "MISS": 1,
    "ABSENT": 2,
    "EXISTS": 3,
    "CONFLICT": 4,
    "E_INVALID": -1,
    "E_NOMEM": -2,
    "E_TIMEOUT": -3,
    "E_UNAVAILABLE": -4,
    "E_PROTOCOL": -5,
    "E_TOO_LARGE": -6,
    "E_TYPE": -7,
    "E_LOADER": -8,
    "E_OVERLOAD": -9,
    "E_DEADLOCK": -10,
    "E_UNKNOWN": -11,
    "E_QUEUED": -12,
    "E_CLOSED": -13,
    "E_UNSUPPORTED": -14,
}


class Stats(NamedTuple):
    """Statistics since the cache was opened (counters) or now (gauges)."""

    #: counter: Keys asked for by get, get_with, get_many, fetch and fetch_many, and versions told
    reads: int

    #: counter: Reads answered by the local tier, absences included
    local_hits: int

    #: counter: Local hits that were past their soft life
    local_stale_hits: int

    #: counter: Reads answered by a node, absences included
    remote_hits: int

    #: counter: Reads that a node had no usable answer for
    remote_misses: int

    #: counter: Reads and writes that a node failed or did not answer in time
    remote_errors: int

    #: counter: Fetches that waited for another caller's load
    flight_waits: int

    #: counter: Fetches whose deadline passed while they waited for another caller's load
    flight_timeouts: int

    #: counter: Loads detached by a write of their key
    flight_detaches: int

    #: counter: Calls of a loader, for one key or for many
    loads: int

    #: counter: Keys whose load failed
    load_errors: int

    #: counter: Keys that a load found not to exist
    load_absents: int

    #: counter: Time spent in loaders, in milliseconds
    load_ms: int

    #: counter: Answers past their soft life, given because a renewal ran or had failed
    stale_served: int

    #: counter: Answers not kept because a write, or another load, came between
    fills_refused: int

    #: counter: Keys written: set, add, replace, delete, touch, increment
    writes: int

    #: counter: Writes that were sent and whose answer was lost
    writes_unknown: int

    #: counter: Values refused because Hearth did not write them
    values_foreign: int

    #: counter: Values refused because a checksum or the key did not match, or were cut
    values_damaged: int

    #: counter: Values refused because a newer version of Hearth wrote them
    values_newer: int

    #: counter: Connections opened to nodes
    connects: int

    #: counter: Connections to nodes that failed to open
    connect_errors: int

    #: counter: Connections closed because of an error or a timeout
    disconnects: int

    #: gauge: Entries in the local tier
    local_entries: int

    #: gauge: Bytes used by the local tier, its index included
    local_bytes: int

    #: gauge: The local tier's limit
    local_limit_bytes: int

    #: counter: Entries that made room for others
    local_evictions: int

    #: counter: Entries found past their hard life
    local_expirations: int

    #: counter: Values too large for the local tier
    local_refusals: int

    #: gauge: Loads under way
    flights: int

    #: counter: Log records dropped because nobody read them
    log_lost: int

    #: gauge: Bytes of local entries that were overwritten or deleted and not yet reused
    local_dead_bytes: int

    #: counter: Entries evicted because the local index, not the memory, was full
    local_index_evictions: int

    #: counter: Entries moved within the local tier because others made room
    local_moves: int

    #: gauge: Bytes used to find the hot keys, those of all threads together
    hot_keys_bytes: int

    #: gauge: Keys that the local tier knows not to exist, of its entries
    local_negative_entries: int

    #: gauge: Bytes of the local tier used for keys that do not exist, at most 4 % of its limit
    local_negative_bytes: int

    #: counter: Times that a node was found not to answer
    breaker_openings: int

    #: counter: Reads and writes that failed at once because their node had not answered before
    breaker_refusals: int

    #: counter: Calls let through to find out whether a node answers again
    breaker_probes: int

    #: gauge: Nodes whose calls fail at once just now, but for probes
    nodes_left_alone: int

    #: gauge: Deletes kept for nodes that did not answer them
    queued_deletes: int

    #: gauge: Bytes used for them, at most remote.max_queued_bytes
    queued_bytes: int

    #: counter: Deletes that a node did not answer and that were kept, those of what a set was to
    #: replace included
    deletes_queued: int

    #: counter: Kept deletes that were carried out
    deletes_replayed: int

    #: counter: Deletes that found no room to be kept
    deletes_fenced: int

    #: counter: Values of nodes taken for missing: a delete of theirs may have found no room, or the
    #: key was another node's since
    values_fenced: int

    #: counter: Reads that the guard answered: the key is known not to exist
    guard_denials: int

    #: counter: Denials of the guard that were checked at the source
    guard_audits: int

    #: counter: Keys that the guard had denied and that exist; each disabled it until it was rebuilt
    guard_false_negatives: int

    #: gauge: 1: the guard may deny; 0: it is off, not built yet or disabled
    guard_certified: int

    #: gauge: 1: the guard lets over twice guard.target_rate pass, and hearth_guard_rebuild() is due
    guard_outgrown: int

    #: gauge: Filters that were published by rebuilds and loads
    guard_generation: int

    #: gauge: Keys in the guard's filter, estimated
    guard_keys: int

    #: gauge: Bits that are set in the guard's filter, in millionths
    guard_fill_ppm: int

    #: gauge: Missing keys that the guard's filter lets pass, estimated, in millionths
    guard_rate_ppm: int

    #: gauge: Bytes used by the guard's filter, and by the next one meanwhile
    guard_bytes: int

    #: counter: Times that the shared filter was copied to this process
    guard_copies: int

    #: counter: Keys of writes that the shared filter could not be told of at once
    guard_untold: int

    #: counter: Loads run by workers or lent threads
    worker_loads: int

    #: counter: Renewals left undone because too many loads waited for a worker, or ran
    renewals_dropped: int

    #: gauge: Loads that wait for a worker or a lent thread
    loads_waiting: int

    #: counter: Keys that a load found unchanged
    load_unchanged: int

    #: counter: Renewals that began before the value expired
    early_renewals: int

    #: counter: Stale answers whose renewal was not tried: one had just failed, or is another
    #: process's, or too many loads ran
    renewals_paused: int

    #: counter: Leases that a node granted to this process, which then loaded
    leases_won: int

    #: counter: Loads that another process's lease kept this one from
    leases_lost: int

    #: counter: Times that a lease was extended because its load still ran
    leases_extended: int

    #: counter: Loads that were not stored at their node because their lease was no longer theirs
    leases_void: int

    #: gauge: Leases held now
    leases: int

    #: gauge: Loads that run now and count for load.max_concurrent
    loads_running: int

    #: counter: Loads that had to wait because load.max_concurrent others ran
    loads_queued: int

    #: counter: Loads not made because load.max_concurrent others ran for too long
    #: (HEARTH_E_OVERLOAD)
    loads_refused: int

    #: counter: Loads of a key with a value, tried again after one had failed
    load_retries: int

    #: counter: Keys of which a node, or the bus, told that they may have changed
    changes_told: int

    #: counter: Times that a node's changes were told no more: what was kept of it counts as changed
    changes_lost: int

    #: counter: Tags invalidated by this process
    tag_invalidations: int

    #: counter: Values of nodes that a tag had invalidated
    values_invalidated: int

    #: counter: Values of a node that was restarted, taken for stale: it may have lost what replaced
    #: them
    values_distrusted: int

    #: counter: Values of nodes taken for stale, or not stored, because their tags could not be
    #: asked for
    values_unchecked: int

    #: counter: Namespaces bumped or cleared by this process
    namespace_bumps: int

    #: counter: Local copies that had ended, and that their nodes still had: not read anew
    copies_confirmed: int

    #: counter: Changes made by this process to see that nodes tell of changes, and told
    canaries_heard: int

    #: counter: Such changes that were not told: each cost its connection and the copies read on it
    canaries_unheard: int

    #: counter: Time until those were told, from before they were sent, in microseconds
    canary_us: int

    #: gauge: Half of those were told within so many microseconds; 0: none was
    canary_p50_us: int

    #: gauge: Of a hundred of those 99 were told within so many microseconds; 0: none was
    canary_p99_us: int

    #: counter: Keys of which this process told others that they changed (coherence.mode=bus)
    changes_published: int

    #: counter: Calls that ended before the bus had taken what they were to tell: it is told later
    changes_untold: int

    #: counter: Reads that a node failed and that were taken for misses
    failed_reads: int

    #: counter: Values taken for misses: their format is not accepted here, or they do not decode
    refused_values: int


#: of those, the library's own come first
LIBRARY_STATS = 89
