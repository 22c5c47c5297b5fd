/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Hearth's statistics: one table makes the struct, the names and the Prometheus text.
 */
#ifndef HEARTH_STATS_H
#define HEARTH_STATS_H

#include <stddef.h>
#include <stdint.h>

/**
 * Every statistic as X(field, kind, help); kind is counter (since hearth_open()) or gauge
 * (now). The Prometheus name of a counter is hearth_<field>_total, of a gauge hearth_<field>.
 * New ones are added at the end.
 */
#define HEARTH_STATS_MAP(X)                                                                        \
    X(reads, counter,                                                                              \
      "Keys asked for by get, get_with, get_many, fetch and fetch_many, and versions told")        \
    X(local_hits, counter, "Reads answered by the local tier, absences included")                  \
    X(local_stale_hits, counter, "Local hits that were past their soft life")                      \
    X(remote_hits, counter, "Reads answered by a node, absences included")                         \
    X(remote_misses, counter, "Reads that a node had no usable answer for")                        \
    X(remote_errors, counter, "Reads and writes that a node failed or did not answer in time")     \
    X(flight_waits, counter, "Fetches that waited for another caller's load")                      \
    X(flight_timeouts, counter,                                                                    \
      "Fetches whose deadline passed while they waited for another caller's load")                 \
    X(flight_detaches, counter, "Loads detached by a write of their key")                          \
    X(loads, counter, "Calls of a loader, for one key or for many")                                \
    X(load_errors, counter, "Keys whose load failed")                                              \
    X(load_absents, counter, "Keys that a load found not to exist")                                \
    X(load_ms, counter, "Time spent in loaders, in milliseconds")                                  \
    X(stale_served, counter,                                                                       \
      "Answers past their soft life, given because a renewal ran or had failed")                   \
    X(fills_refused, counter,                                                                      \
      "Answers not kept because a write, or another load, came between")                           \
    X(writes, counter, "Keys written: set, add, replace, delete, touch, increment")                \
    X(writes_unknown, counter, "Writes that were sent and whose answer was lost")                  \
    X(values_foreign, counter, "Values refused because Hearth did not write them")                 \
    X(values_damaged, counter,                                                                     \
      "Values refused because a checksum or the key did not match, or were cut")                   \
    X(values_newer, counter, "Values refused because a newer version of Hearth wrote them")        \
    X(connects, counter, "Connections opened to nodes")                                            \
    X(connect_errors, counter, "Connections to nodes that failed to open")                         \
    X(disconnects, counter, "Connections closed because of an error or a timeout")                 \
    X(local_entries, gauge, "Entries in the local tier")                                           \
    X(local_bytes, gauge, "Bytes used by the local tier, its index included")                      \
    X(local_limit_bytes, gauge, "The local tier's limit")                                          \
    X(local_evictions, counter, "Entries that made room for others")                               \
    X(local_expirations, counter, "Entries found past their hard life")                            \
    X(local_refusals, counter, "Values too large for the local tier")                              \
    X(flights, gauge, "Loads under way")                                                           \
    X(log_lost, counter, "Log records dropped because nobody read them")                           \
    X(local_dead_bytes, gauge,                                                                     \
      "Bytes of local entries that were overwritten or deleted and not yet reused")                \
    X(local_index_evictions, counter,                                                              \
      "Entries evicted because the local index, not the memory, was full")                         \
    X(local_moves, counter, "Entries moved within the local tier because others made room")        \
    X(hot_keys_bytes, gauge, "Bytes used to find the hot keys, those of all threads together")     \
    X(local_negative_entries, gauge,                                                               \
      "Keys that the local tier knows not to exist, of its entries")                               \
    X(local_negative_bytes, gauge,                                                                 \
      "Bytes of the local tier used for keys that do not exist, at most 4 % of its limit")         \
    X(breaker_openings, counter, "Times that a node was found not to answer")                      \
    X(breaker_refusals, counter,                                                                   \
      "Reads and writes that failed at once because their node had not answered before")           \
    X(breaker_probes, counter, "Calls let through to find out whether a node answers again")       \
    X(nodes_left_alone, gauge, "Nodes whose calls fail at once just now, but for probes")          \
    X(queued_deletes, gauge, "Deletes kept for nodes that did not answer them")                    \
    X(queued_bytes, gauge, "Bytes used for them, at most remote.max_queued_bytes")                 \
    X(deletes_queued, counter,                                                                     \
      "Deletes that a node did not answer and that were kept, those of what a set was to replace " \
      "included")                                                                                  \
    X(deletes_replayed, counter, "Kept deletes that were carried out")                             \
    X(deletes_fenced, counter, "Deletes that found no room to be kept")                            \
    X(values_fenced, counter,                                                                      \
      "Values of nodes taken for missing: a delete of theirs may have found no room, or the key "  \
      "was another node's since")                                                                  \
    X(guard_denials, counter, "Reads that the guard answered: the key is known not to exist")      \
    X(guard_audits, counter, "Denials of the guard that were checked at the source")               \
    X(guard_false_negatives, counter,                                                              \
      "Keys that the guard had denied and that exist; each disabled it until it was rebuilt")      \
    X(guard_certified, gauge,                                                                      \
      "1: the guard may deny; 0: it is off, not built yet or disabled")                            \
    X(guard_outgrown, gauge,                                                                       \
      "1: the guard lets over twice guard.target_rate pass, and hearth_guard_rebuild() is due")    \
    X(guard_generation, gauge, "Filters that were published by rebuilds and loads")                \
    X(guard_keys, gauge, "Keys in the guard's filter, estimated")                                  \
    X(guard_fill_ppm, gauge, "Bits that are set in the guard's filter, in millionths")             \
    X(guard_rate_ppm, gauge,                                                                       \
      "Missing keys that the guard's filter lets pass, estimated, in millionths")                  \
    X(guard_bytes, gauge, "Bytes used by the guard's filter, and by the next one meanwhile")       \
    X(guard_copies, counter, "Times that the shared filter was copied to this process")            \
    X(guard_untold, counter,                                                                       \
      "Keys of writes that the shared filter could not be told of at once")                        \
    X(worker_loads, counter, "Loads run by workers or lent threads")                               \
    X(renewals_dropped, counter,                                                                   \
      "Renewals left undone because too many loads waited for a worker, or ran")                   \
    X(loads_waiting, gauge, "Loads that wait for a worker or a lent thread")                       \
    X(load_unchanged, counter, "Keys that a load found unchanged")                                 \
    X(early_renewals, counter, "Renewals that began before the value expired")                     \
    X(renewals_paused, counter,                                                                    \
      "Stale answers whose renewal was not tried: one had just failed, or is another process's, "  \
      "or too many loads ran")                                                                     \
    X(leases_won, counter, "Leases that a node granted to this process, which then loaded")        \
    X(leases_lost, counter, "Loads that another process's lease kept this one from")               \
    X(leases_extended, counter, "Times that a lease was extended because its load still ran")      \
    X(leases_void, counter,                                                                        \
      "Loads that were not stored at their node because their lease was no longer theirs")         \
    X(leases, gauge, "Leases held now")                                                            \
    X(loads_running, gauge, "Loads that run now and count for load.max_concurrent")                \
    X(loads_queued, counter, "Loads that had to wait because load.max_concurrent others ran")      \
    X(loads_refused, counter,                                                                      \
      "Loads not made because load.max_concurrent others ran for too long (HEARTH_E_OVERLOAD)")    \
    X(load_retries, counter, "Loads of a key with a value, tried again after one had failed")      \
    X(changes_told, counter,                                                                       \
      "Keys of which a node, or the bus, told that they may have changed")                         \
    X(changes_lost, counter,                                                                       \
      "Times that a node's changes were told no more: what was kept of it counts as changed")      \
    X(tag_invalidations, counter, "Tags invalidated by this process")                              \
    X(values_invalidated, counter, "Values of nodes that a tag had invalidated")                   \
    X(values_distrusted, counter,                                                                  \
      "Values of a node that was restarted, taken for stale: it may have lost what replaced them") \
    X(values_unchecked, counter,                                                                   \
      "Values of nodes taken for stale, or not stored, because their tags could not be asked for") \
    X(namespace_bumps, counter, "Namespaces bumped or cleared by this process")                    \
    X(copies_confirmed, counter,                                                                   \
      "Local copies that had ended, and that their nodes still had: not read anew")                \
    X(canaries_heard, counter,                                                                     \
      "Changes made by this process to see that nodes tell of changes, and told")                  \
    X(canaries_unheard, counter,                                                                   \
      "Such changes that were not told: each cost its connection and the copies read on it")       \
    X(canary_us, counter,                                                                          \
      "Time until those were told, from before they were sent, in microseconds")                   \
    X(canary_p50_us, gauge,                                                                        \
      "Half of those were told within so many microseconds; 0: none was")                          \
    X(canary_p99_us, gauge,                                                                        \
      "Of a hundred of those 99 were told within so many microseconds; 0: none was")               \
    X(changes_published, counter,                                                                  \
      "Keys of which this process told others that they changed (coherence.mode=bus)")             \
    X(changes_untold, counter,                                                                     \
      "Calls that ended before the bus had taken what they were to tell: it is told later")

/** The statistics; the library fills min(size, its own size) bytes. All values are uint64_t. */
typedef struct hearth_stats {
    size_t size; /**< set by the caller: sizeof(hearth_stats) */
#define HEARTH_STATS_FIELD(field, kind, help) uint64_t field;
    HEARTH_STATS_MAP(HEARTH_STATS_FIELD)
#undef HEARTH_STATS_FIELD
} hearth_stats;

#endif
