/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a read, from chain.c, which takes them for one key, for get_many.c and fetch_many.c, which take them for
 * many. */
#ifndef HEARTH_TIER_READ_H
#define HEARTH_TIER_READ_H

#include "tier/cache.h"

/* One read on its way. */
typedef struct hearth__read {
    hearth *cache;
    const void *key;
    size_t key_size;
    const hearth_read_options *options;
    const hearth_loader *loader; /* fetch only, and the two below */
    const hearth_write_options *write;
    int64_t deadline_ns;
    hearth_value *value; /* with the last answer that was OK or ABSENT */
    uint64_t replaces;   /* the version that the node holds, stale or unreadable; 0: none */
    bool node_failed;    /* it did not answer: it is not to be filled */
    bool audited;        /* the guard denied it, and that is to be checked */
} hearth__read;

static inline bool hearth__read_wants(const hearth__read *read, uint32_t flag) {
    return (read->options->flags & flag) != 0;
}

static inline bool hearth__read_keeps_local(const hearth__read *read) {
    return !hearth__read_wants(read, HEARTH_READ_NO_LOCAL) && read->cache->keeps_local;
}

static inline bool hearth__read_is_stale(const hearth__read *read) {
    return hearth__answer_is_stale(&read->value->answer);
}

/* What a leader leaves to those who wait for it. */
typedef struct hearth__outcome {
    hearth__answer answer;
    hearth__buffer bytes;
} hearth__outcome;

/* Notes of a fetch what its node's answer says about the node. */
static inline void hearth__read_note_node(hearth__read *read, int32_t status) {
    read->node_failed = status == HEARTH_E_UNAVAILABLE || status == HEARTH_E_TIMEOUT;
}

/* Begins a read with a value emptied of what it held. */
hearth__read hearth__read_begin(hearth *cache, const void *key, size_t key_size,
                                const hearth_read_options *options, hearth_value *value);

/* HEARTH_OK (perhaps stale), HEARTH_ABSENT, HEARTH_MISS, HEARTH_E_NOMEM. */
int32_t hearth__read_ask_local(hearth__read *read);

/* After a miss in the local tier. HEARTH_ABSENT: the key does not exist; HEARTH_MISS: it may, or it is to be looked for all
 * the same, and hearth__read_audit() is to judge what is found. */
int32_t hearth__read_ask_guard(hearth__read *read);

/* What a read that was to be checked found: a value proves the guard wrong; a check that fails says nothing. */
int32_t hearth__read_audit(hearth__read *read, int32_t status);

/* A GET, into a value emptied of a stale copy. */
hearth__remote_op hearth__read_question(const hearth__read *read, const hearth__route *route);

/* Takes what the node said, and keeps a local copy if no write of this process came between. `ticket` and `sent_ms` are from
 * before it was asked. HEARTH_OK (perhaps stale), HEARTH_ABSENT, HEARTH_MISS, or the node's error. */
int32_t hearth__read_take_remote(hearth__read *read, const hearth__remote_op *op,
                                 hearth__local_ticket ticket, int64_t sent_ms);

/* What an answer means to a get: a stale one is a miss unless the caller takes it. */
int32_t hearth__read_judge(const hearth__read *read, int32_t status);

/* Gives the caller what was found: the one exit, the one place for the accounting. */
int32_t hearth__read_deliver(hearth__read *read, int32_t status);

/* When a get, a fetch, and a node that a fetch asks have to be done. */
int64_t hearth__read_get_deadline_ns(const hearth *cache, const hearth_read_options *options);
int64_t hearth__read_fetch_deadline_ns(const hearth *cache, const hearth_read_options *options);
int64_t hearth__read_node_deadline_ns(const hearth__read *read);

/* The leader's end: its status, and a copy of its answer for the others. */
int32_t hearth__read_land(hearth__read *read, hearth__flight *flight, int32_t status);

/* Waits for the leader's answer, and leaves. */
int32_t hearth__read_follow(hearth__read *read, hearth__flight *flight);

/* Whether any fresh local value is an answer. */
bool hearth__read_takes_any_hit(const hearth_read_options *options);

/* How many of the keys were plain hits; the others are HEARTH_MISS. */
size_t hearth__read_hit_many(hearth *cache, size_t count, const void *const *keys,
                             const size_t *key_sizes, hearth_value *const *values,
                             int32_t *statuses);

/*
 * Gives the renewal of a stale answer, which this caller leads, to a worker, and waits for it at most `soft_ms`. The answer:
 * HEARTH_OK, HEARTH_ABSENT; HEARTH_MISS: the caller has to renew, and leads still.
 */
int32_t hearth__read_renew_elsewhere(hearth__read *read, hearth__flight *flight,
                                     int64_t soft_ms);

/* A load of the read's key, into its value; `route` as in hearth__fill_plan. */
hearth_fill hearth__read_fill(const hearth__read *read, hearth__flight *flight,
                              const hearth__route *route);

#endif
