/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decides who stays: a policy over two logs, a window for what is new and a main log for what proved itself. It sees a
 * key's hash and the bytes of an entry, never the entry; so a simulation runs the same code.
 *
 * An entry has a mark, 0 to mark_max: readers raise it by one, up to mark_max, and only the policy lowers it. Entries leave a
 * log at its tail only, oldest first; there the policy is asked.
 *
 * To add one: a file with a hearth__policy, its name in policy.c.
 */
#ifndef HEARTH_LOCAL_POLICY_H
#define HEARTH_LOCAL_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The logs; the numbers stand in index slots, where 0 is no log. Absences have their own, of which no policy knows. */
enum hearth__log_id {
    HEARTH__WINDOW = 1,
    HEARTH__MAIN = 2,
    HEARTH__NEGATIVE = 3,
    HEARTH__LOGS
};

/* Where an entry goes on, or begins, and with which mark. */
typedef struct hearth__place {
    enum hearth__log_id log;
    unsigned mark;
} hearth__place;

/* What becomes of the entry at a log's tail. */
typedef struct hearth__verdict {
    bool keep; /* false: it goes */
    hearth__place to;
} hearth__verdict;

/* A policy's state: its ghosts. One a shard, under the shard's lock. */
typedef struct hearth__policy_state hearth__policy_state;

typedef struct hearth__policy {
    const char *name;
    unsigned mark_max;

    /* Bytes of state for a tier that expects so many entries. */
    size_t (*state_bytes)(uint64_t expected_entries);

    /* Makes a state of `memory`, that many bytes, all zero. `bytes` is the size of the logs together. */
    void (*init)(hearth__policy_state *state, size_t memory, uint64_t bytes);

    /*
     * Of the logs' bytes, those that the window is to have; 0: there is only the main log, which may have the rest. `present`:
     * what the window has now, as it follows slowly.
     */
    uint64_t (*window_bytes)(hearth__policy_state *state, uint64_t present);

    /* Asks for the memory that admit() and dropped() need for a key. */
    void (*ahead)(const hearth__policy_state *state, uint64_t hash);

    /* Where a new entry of `bytes` begins. */
    hearth__place (*admit)(hearth__policy_state *state, uint64_t hash, uint64_t bytes);

    /* What becomes of the entry at the tail of `from`. `room_in_main`: the main log could take it as it is. */
    hearth__verdict (*judge)(hearth__policy_state *state, enum hearth__log_id from,
                             unsigned mark, bool room_in_main);

    /* An entry is gone from the tail of `from`. */
    void (*dropped)(hearth__policy_state *state, enum hearth__log_id from, uint64_t hash,
                    uint64_t bytes);
} hearth__policy;

/* The policy of a name; NULL: there is none. */
const hearth__policy *hearth__policy_find(const char *name);

/* All policies; how many. */
const hearth__policy *const *hearth__policies(size_t *count);

/* A window whose size follows what was evicted too early: policy_adaptive.c. */
extern const hearth__policy hearth__policy_adaptive;

/* CLOCK, the second chance of least recently used: what was read since it was appended is appended once more. */
extern const hearth__policy hearth__policy_lru;

/* S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023). */
extern const hearth__policy hearth__policy_s3fifo;

#endif
