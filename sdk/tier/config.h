/* SPDX-License-Identifier: Apache-2.0 */
/* What a cache is opened with: the options, parsed. One table drives names, types, ranges, defaults and help. */
#ifndef HEARTH_TIER_CONFIG_H
#define HEARTH_TIER_CONFIG_H

#include <hearth/hearth.h>

#include <stdbool.h>

enum hearth__coherence_mode {
    HEARTH__COHERENCE_AUTO,
    HEARTH__COHERENCE_TTL,
    HEARTH__COHERENCE_TRACKING,
    HEARTH__COHERENCE_BUS
};
enum hearth__coherence_writers { HEARTH__WRITERS_ANY, HEARTH__WRITERS_HEARTH };
enum hearth__coherence_tracking { HEARTH__COHERENCE_DEFAULT, HEARTH__COHERENCE_BROADCAST };
enum hearth__local_policy { HEARTH__LOCAL_ADAPTIVE, HEARTH__LOCAL_S3FIFO, HEARTH__LOCAL_LRU };
/* That of remote.memcached_client is hearth__memcached_client of remote/remote.h. */

/*
 * Every option as X(name, field, type, low, high, default, help). `type` is one of BYTES, MS, COUNT, RATE (in
 * billionths), FLAG, TEXT (at most `high` bytes) and CHOICE (of `choices` in config.c).
 */
#define HEARTH__OPTION_MAP(X)                                                                    \
    X("remote.url", remote_url, TEXT, 1, 16384, "embedded://",                                   \
      "The nodes of the remote tier: embedded://, redis://[user:password@]host:port,...[/db], "  \
      "redis+unix:///path,..., memcached://host:port,... or memcached+unix:///path,...; "        \
      "?weight=1,2,... gives each node its share of the ring.")                                  \
    X("remote.prefix", remote_prefix, TEXT, 0, 128, "",                                          \
      "Put before every key on the nodes, so that several applications can share them.")         \
    X("remote.timeout_ms", remote_timeout_ms, MS, 1, 3600000, "50",                              \
      "Deadline of an operation on a node, connecting included.")                                \
    X("remote.stall_ms", remote_stall_ms, MS, 1, 3600000, "100",                                 \
      "A connection on which an operation is unanswered so long after its deadline counts as "   \
      "dead and is closed.")                                                                     \
    X("remote.restart_distrust_ms", remote_restart_distrust_ms, MS, 0, 86400000, "60000",        \
      "Redis: so long after a node was restarted, or another server took its place, what was "   \
      "written there before counts as stale: it may come from a snapshot, without later "        \
      "deletes. One that this process meets first is trusted if it says that it began empty. "   \
      "0: all is trusted at once, and no node is asked for its run (INFO).")                     \
    X("remote.max_value_bytes", remote_max_value_bytes, BYTES, 1024, 536870912, "64mb",          \
      "The largest value that is stored or accepted from a node.")                               \
    X("remote.max_queued_bytes", remote_max_queued_bytes, BYTES, 0, 1099511627776, "4mb",        \
      "Memory for deletes that their nodes did not answer, kept until those answer again; "      \
      "a delete that finds no room makes all older values of its node count as missing.")        \
    X("remote.lanes", remote_lanes, COUNT, 1, 1024, "4",                                         \
      "Connections to each node at the most, shared by all threads.")                            \
    X("remote.accept_foreign", remote_accept_foreign, FLAG, 0, 1, "no",                          \
      "Whether values that Hearth did not write are answers; they have no freshness.")           \
    X("remote.memcached_client", remote_memcached_client, CHOICE, 0, 1, "hearth",                \
      "Who speaks with Memcached: hearth, or libmemcached, which has limits (README).")          \
    X("breaker.failures", breaker_failures, COUNT, 0, 1000000, "5",                              \
      "After so many calls in a row that a node did not answer, nor any that began later, "      \
      "calls to it fail at once; every other second or so one is tried. 0: never.")              \
    X("embedded.max_bytes", embedded_max_bytes, BYTES, 65536, 1099511627776, "64mb",             \
      "Limit of the remote tier of embedded://.")                                                \
    X("ttl_ms", ttl_ms, MS, 0, HEARTH_TTL_MAX, "300000",                                         \
      "Hard life of a value that is written without one of its own; 0: for ever.")               \
    X("stale_ms", stale_ms, MS, 0, HEARTH_TTL_MAX, "0",                                          \
      "The last part of the hard life, in which a value is stale: served while it is renewed "   \
      "or if the renewal fails. Values that live no longer than this have no such part.")        \
    X("negative_ttl_ms", negative_ttl_ms, MS, 1, HEARTH_TTL_MAX, "5000",                         \
      "How long it is remembered that a key does not exist.")                                    \
    X("ttl_jitter", ttl_jitter, RATE, 0, 900000000, "0.1",                                       \
      "The life of what a load gave is shortened at random, by at most this share of it, so "    \
      "that what was loaded together does not expire together.")                                 \
    X("early.beta", early_beta, RATE, 0, INT64_C(100000000000), "1",                             \
      "How much earlier than it has to be a value is renewed, by one of its readers and in "     \
      "proportion to what its load took (XFetch); more is earlier. 0: not before it expires.")   \
    X("load.workers", load_workers, COUNT, 0, 256, "2",                                          \
      "Threads that load for callers who do not wait, started at first need; only for loaders "  \
      "with retain and release. 0: none, loads wait for threads lent by hearth_work().")         \
    X("load.max_concurrent", load_max_concurrent, COUNT, 0, 1000000, "64",                       \
      "Loads that run at once in this process at the most, so that a cold cache does not "       \
      "bring its source down; a batch counts as one, loaders within loaders not at all. "        \
      "0: no limit.")                                                                            \
    X("load.wait_ms", load_wait_ms, MS, 0, 86400000, "5000",                                     \
      "How long a fetch that finds load.max_concurrent loads running waits for its turn, at "    \
      "most to its deadline. Then it answers HEARTH_E_OVERLOAD. Who has a stale value takes "    \
      "that, after load.soft_timeout_ms.")                                                       \
    X("load.soft_timeout_ms", load_soft_timeout_ms, MS, 0, 86400000, "0",                        \
      "How long the caller who finds a value stale waits for its renewal by a worker before "    \
      "it takes the stale one; 0: not at all.")                                                  \
    X("load.retry_after_ms", load_retry_after_ms, MS, 0, 86400000, "1000",                       \
      "After a load of a key failed that has a value still, how long that one is served at "     \
      "least before the next is tried; these retries are at most a tenth of all loads, and "     \
      "one a second. 0: every caller tries, without a limit.")                                   \
    X("load.hard_timeout_ms", load_hard_timeout_ms, MS, 1, 86400000, "30000",                    \
      "Deadline of a fetch that gives none: how long it waits for another caller's load.")       \
    X("submit.threads", submit_threads, COUNT, 1, 256, "2",                                      \
      "Threads that carry out what was submitted (hearth_submit()), started at first need.")     \
    X("submit.load_threads", submit_load_threads, COUNT, 1, 4096, "8",                           \
      "Threads that load for fetches that were submitted, started at first need.")               \
    X("submit.max_operations", submit_max_operations, COUNT, 1, 16777216, "65536",               \
      "Operations of one queue that were submitted and whose results were not collected.")       \
    X("submit.max_bytes", submit_max_bytes, BYTES, 65536, 1099511627776, "64mb",                 \
      "Memory for them: what is kept of each, with its keys and what is to be stored.")          \
    X("lease.ttl_ms", lease_ttl_ms, MS, 0, 3600000, "3000",                                      \
      "Of all processes that miss a key one loads, and the others wait for its result: for so "  \
      "long if it dies; while it lives and loads, up to load.hard_timeout_ms. 0: all of them "   \
      "load.")                                                                                   \
    X("lease.wait_ms", lease_wait_ms, MS, 0, 3600000, "200",                                     \
      "Who has a stale value that another process renews takes it, and looks again after so "    \
      "long. A fetch inside a loader waits for another process's load no longer than this, "     \
      "then it loads by itself: those two could wait for each other.")                           \
    X("local.max_bytes", local_max_bytes, BYTES, 0, 1099511627776, "64mb",                       \
      "Limit of the local tier, its index included; at least 256kb, or 0: no local tier. The "   \
      "index is made for a full one: hits of a tier that is never nearly full are slower.")      \
    X("local.policy", local_policy, CHOICE, 0, 2, "adaptive",                                    \
      "Which values stay when the local tier is full: adaptive (queues whose sizes follow the "  \
      "load), s3fifo, or lru (a second chance for what was read).")                              \
    X("local.expected_entry_bytes", local_expected_entry_bytes, BYTES, 32, 1048576, "128b",      \
      "The size of a usual key and value together: the index has room for as many as fit.")      \
    X("local.max_entry_bytes", local_max_entry_bytes, BYTES, 0, 1073741824, "0",                 \
      "Larger keys and values together are not kept locally; 0: a 64th of the tier, at most "    \
      "an eighth of a shard.")                                                                   \
    X("local.max_ttl_ms", local_max_ttl_ms, MS, -1, HEARTH_TTL_MAX, "-1",                        \
      "Longest life of a local copy, and so the bound of its staleness; -1: as "                 \
      "coherence.mode says; 0: no local copies.")                                                \
    X("local.share", local_share, TEXT, 0, 1024, "",                                             \
      "Bounds of namespaces, as name=share with commas between, at most 63: "                    \
      "users=0.2,pages=0.1. The live entries of such a namespace have at most that share of "    \
      "local.max_bytes (without the index), whatever is stored: for what is over, its own "      \
      "entries go, those not read lately first, or it is not kept. Each shard of the tier has "  \
      "an equal part of it: what is larger than that part is not kept. Shares may add up to "    \
      "more than 1. Empty: no bounds.")                                                          \
    X("guard.expected_keys", guard_expected_keys, COUNT, 0, 100000000000, "0",                   \
      "Keys that exist, for the guard: a Bloom filter that answers for keys that do not, "       \
      "without any server. 0: no guard. hearth_guard_rebuild() tells it which keys there are.")  \
    X("guard.target_rate", guard_target_rate, RATE, 1000, 500000000, "0.01",                     \
      "The share of missing keys that the guard's filter may let through when it holds the "     \
      "expected keys. It takes 1.3 bytes a key for 0.01, 2.1 for 0.001.")                        \
    X("guard.audit", guard_audit, COUNT, 0, 1000000000, "1000",                                  \
      "One of so many denials of the guard is checked at the source; 0: none. A key that "       \
      "exists all the same disables it until it is rebuilt.")                                    \
    X("guard.view_ms", guard_view_ms, MS, 0, 3600000, "1000",                                    \
      "A key must be at its source within this time after hearth_guard_add(); so long a "        \
      "rebuild waits before it asks for the keys. With guard.shared, at least 10: so old "       \
      "may be what a process knows of the shared filter.")                                       \
    X("guard.shared", guard_shared, FLAG, 0, 1, "no",                                            \
      "yes: processes with the same remote.prefix share the guard's filter, at a server: what "  \
      "one rebuilds or adds, all others know within guard.view_ms.")                             \
    X("guard.max_bytes", guard_max_bytes, BYTES, 4096, 1099511627776, "1gb",                     \
      "Limit of the guard's filter, of which there are two while it is rebuilt.")                \
    X("guard.seed", guard_seed, COUNT, 0, INT64_C(999999999999999999), "0",                      \
      "Of the filter's hash: whoever shares a file needs the same. A secret number keeps "       \
      "those who choose keys from choosing what passes.")                                        \
    X("coherence.mode", coherence_mode, CHOICE, 0, 3, "auto",                                    \
      "How local copies are kept fresh. ttl: they live at most local.max_ttl_ms, by default "    \
      "1 s. tracking, on Redis: the nodes tell of changes; copies live at most "                 \
      "local.max_ttl_ms, by default 10 s and never over 1 h, and at most 1 s where a node does " \
      "not tell. bus: processes tell each other, see coherence.bus_url; copies live as long as " \
      "with tracking. auto: tracking on Redis, ttl on Memcached; on embedded:// copies live as " \
      "long as the value, since only this process writes it.")                                   \
    X("coherence.bus_url", coherence_bus_url, TEXT, 0, 1024, "",                                 \
      "With bus: the Redis server over which processes with the same remote.prefix tell each "   \
      "other what they write, of any size and the same for all of them. Empty: that of "         \
      "remote.url, if that is one Redis server.")                                                \
    X("coherence.writers", coherence_writers, CHOICE, 0, 1, "any",                               \
      "With bus: who writes the keys. any: others too, who tell nobody: a copy may be as old "   \
      "as it is, and its staleness bound says so. hearth: only processes that use this bus; "    \
      "then the bound counts from when the bus was last heard.")                                 \
    X("coherence.ping_ms", coherence_ping_ms, MS, 1, 3600000, "1000",                            \
      "With tracking or bus: how often each node, or the bus, is asked whether it still tells "  \
      "of changes.")                                                                             \
    X("coherence.dead_ms", coherence_dead_ms, MS, 1, 3600000, "1000",                            \
      "With tracking or bus: who owes that answer for so long counts as lost. No copy is a "     \
      "hit when nothing was heard of its node, or of the bus, for this and coherence.ping_ms "   \
      "together.")                                                                               \
    X("coherence.tracking", coherence_tracking, CHOICE, 0, 1, "default",                         \
      "With tracking: what nodes tell of. default: changes of what this process has read. "      \
      "broadcast: changes of all keys that begin with remote.prefix and one of "                 \
      "coherence.prefixes, each to all processes; nodes remember no keys then, and what "        \
      "was loaded or set here is a local copy only once it was read again (hearth.h).")          \
    X("coherence.prefixes", coherence_prefixes, TEXT, 0, 1024, "",                               \
      "With coherence.tracking=broadcast: beginnings of the cache's own keys, behind "           \
      "remote.prefix, with commas between; none may begin with another. Copies of other keys "   \
      "live at most 1 s; those of namespaces are told of too. Empty: all keys.")                 \
    X("coherence.canary_ms", coherence_canary_ms, MS, 0, 3600000, "5000",                        \
      "With tracking: how often a key of its own (hearth-canary:N) is read and set on each "     \
      "connection, or by broadcast at each node, to measure how soon changes are told, and to "  \
      "close connections of which none are. Rounded up to coherence.ping_ms. 0: never.")         \
    X("coherence.version_ttl_ms", coherence_version_ttl_ms, MS, 1, 3600000, "1000",              \
      "How long what is known of a tag, or of a namespace's generation, counts before its node " \
      "is asked again: so long, at most, a value is still fresh after another process "          \
      "invalidated one of its tags or its namespace.")                                           \
    X("coherence.clear", coherence_clear, FLAG, 0, 1, "no",                                      \
      "Whether the cache's own keys, beside those of namespaces, can be forgotten at once by "   \
      "hearth_clear(). With yes they have a generation at the nodes, as a namespace's: other "   \
      "clients, and processes with no, have other keys. On embedded:// it is always so.")        \
    X("stats.socket", stats_socket, TEXT, 0, 90, "",                                             \
      "Path of a unix socket at which the same user can read what the cache does just now "      \
      "(hearth-bench top), in a folder that only this user can write to; empty: none.")

/* Types of fields. */
typedef int64_t hearth__option_BYTES;
typedef int64_t hearth__option_MS;
typedef int64_t hearth__option_COUNT;
typedef int64_t hearth__option_RATE;
typedef int64_t hearth__option_FLAG;
typedef int64_t hearth__option_CHOICE;
typedef char *hearth__option_TEXT;

/* What hearth_get_with() makes of a value, and of none. All zero: there is no sink. */
typedef struct hearth__sink {
    hearth_sink_make make;
    hearth_sink_retain retain; /* NULL: `miss` needs none */
    void *miss;
} hearth__sink;

typedef struct hearth__config {
#define HEARTH__OPTION_FIELD(name, field, type, low, high, initial, help) \
    hearth__option_##type field;
    HEARTH__OPTION_MAP(HEARTH__OPTION_FIELD)
#undef HEARTH__OPTION_FIELD
    hearth_log_function log;
    void *log_arg;
    hearth__sink sink;
} hearth__config;

/* A rate as a number. */
static inline double hearth__rate_of(int64_t billionths) {
    return (double)billionths / 1e9;
}

/* Sets every option to its default. HEARTH_OK, HEARTH_E_NOMEM. Ended by fini in either case. */
int32_t hearth__config_init(hearth__config *config);
void hearth__config_fini(hearth__config *config);

/*
 * Sets one option. HEARTH_OK; HEARTH_E_NOMEM; HEARTH_E_INVALID: `why` says what is wrong, what is allowed, and for an
 * unknown name the nearest one.
 */
int32_t hearth__config_set(hearth__config *config, const char *name, const char *value,
                           char *why, size_t why_size);

/* The present value as a text that hearth__config_set() takes; HEARTH_E_INVALID: no such name. *needed counts the NUL. */
int32_t hearth__config_get(const hearth__config *config, const char *name, char *text,
                           size_t size, size_t *needed);

/* The option at `index`: HEARTH_OK, HEARTH_MISS. The texts are static. */
int32_t hearth__config_describe(uint32_t index, hearth_option_info *info);

/* Copies all of it. HEARTH_OK, HEARTH_E_NOMEM (then `copy` needs no fini). */
int32_t hearth__config_copy(const hearth__config *config, hearth__config *copy);

#endif
