/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which run of its server a node is: a server that ends and comes back from a snapshot, or is another one in its place, may hold
 * older values than it had acknowledged, and misses deletes. So what was written before it was met is not trusted for a while.
 *
 * A server tells its run by a number of its own (INFO: run_id), how long it runs (uptime_in_seconds), and whether it has read
 * anything from a file (rdb_last_load_keys_loaded, from Redis 7; aof_enabled). What this process has not met before, but began
 * lately, is not trusted with what may be older than its beginning, unless it began with nothing.
 *
 * No locks; the clocks are passed in.
 */
#ifndef HEARTH_REMOTE_REDIS_RUN_H
#define HEARTH_REMOTE_REDIS_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: no run was met yet. */
typedef struct hearth__redis_run {
    _Atomic uint64_t id;      /* a hash of its number; 0: none */
    _Atomic int64_t fence_ms; /* wall clock: what was written until then is not trusted, */
    _Atomic int64_t until_ms; /* boot time: until then */
} hearth__redis_run;

/* What INFO told. */
typedef struct hearth__redis_run_info {
    uint64_t id;
    /* A second more or less than it is: one clock of seconds less another. */
    int64_t uptime_ms;
    bool began_empty;
} hearth__redis_run_info;

/* Reads the text of INFO. False: it is none. */
bool hearth__redis_run_parse(const char *text, size_t size, hearth__redis_run_info *info);

/* A connection is to that run, before anything is read on it. True: it is another one than before. Any thread. */
bool hearth__redis_run_meet(hearth__redis_run *run, const hearth__redis_run_info *info,
                            int64_t distrust_ms, int64_t now_ms, int64_t wall_ms);

/* Whether anything may not be trusted: a load, where a clock would cost more. */
static inline bool hearth__redis_run_is_doubtful(const hearth__redis_run *run) {
    return atomic_load_explicit(&run->until_ms, memory_order_relaxed) != 0;
}

/* Whether what was written then is not trusted now. Any thread. */
bool hearth__redis_run_distrusts(const hearth__redis_run *run, int64_t written_ms,
                                 int64_t now_ms);

#endif
