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
    hearth_value *value;         /* with the last answer that was OK or ABSENT */
    const hearth_value *present; /* of a renewal: what is to be renewed */
    uint64_t replaces;      /* the version that the node holds, stale or unreadable; 0: none */
    bool is_whole;          /* and it was an answer */
    bool node_failed;       /* it did not answer: it is not to be filled */
    bool is_leased;         /* another process loads the key */
    bool is_told;           /* who changes what was seen there, this process too, has it told */
    bool audited;           /* the guard denied it, and that is to be checked */
    uint64_t invalidations; /* of tags, begun by this process before */
    int64_t heard_ms;       /* when its node answered; 0: just now */
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

/* confirm.c: asks whether the node still has what there is a local copy of, that is no hit any more. False: there is none, or it has
 * something else; else *status as that of hearth__read_take_remote(). */
bool hearth__read_confirm(hearth__read *read, const hearth__route *route, int64_t deadline_ns,
                          int32_t *status);

/* The two halves of that, for many keys in one go: the version to ask for as hearth__remote_op.known_version, and a copy of what it is
 * the version of, to be freed in any case; 0: there is none. And what the node said, unless the operation is `changed`. */
uint64_t hearth__read_known(const hearth__read *read, hearth__buffer *copy);
int32_t hearth__read_take_known(hearth__read *read, const hearth__remote_op *op,
                                hearth__local_ticket ticket, int64_t sent_ms,
                                hearth__buffer *copy);

/* ended.c: what a call answers that would fail with this status after its node did not answer: HEARTH_OK, a stale value, if there
 * is a local copy whose source has ended; else the same status. */
int32_t hearth__read_ended(hearth__read *read, int32_t status);

/* Something newer is known of a key: a copy that has ended is no value of it any more, not even a stale one. */
void hearth__ended_drop(hearth *cache, const void *key, size_t key_size);

/* What an answer means to a get: a stale one is a miss unless the caller takes it. */
int32_t hearth__read_judge(const hearth__read *read, int32_t status);

/* The same of what its node said, for a get that ends with it. */
int32_t hearth__read_get_end(hearth__read *read, int32_t status);

/* Gives the caller what was found: the one exit, the one place for the accounting. */
int32_t hearth__read_deliver(hearth__read *read, int32_t status);

/* When a get, a fetch, and a node that a fetch asks have to be done. */
int64_t hearth__read_get_deadline_ns(const hearth *cache, const hearth_read_options *options);
int64_t hearth__read_fetch_deadline_ns(const hearth *cache, const hearth_read_options *options);
int64_t hearth__read_node_deadline_ns(const hearth__read *read);

/* What a fetch asks the tiers that may not load, and what their answer to it is. */
static inline hearth_read_options
hearth__read_without_load(const hearth_read_options *options) {
    hearth_read_options tiers = *options;
    tiers.flags &= ~(uint32_t)HEARTH_READ_NO_LOAD;
    tiers.flags |= HEARTH_READ_ALLOW_STALE;
    return tiers;
}

/* get_many.c: hearth__chain_get_many() in two steps, which any two threads may take: between them nodes are at work. All that was given
 * has to stay until the second. *out is NULL: that was all. */
typedef struct hearth__many hearth__many;
int32_t hearth__chain_get_many_begin(hearth *cache, size_t count, const void *const *keys,
                                     const size_t *key_sizes,
                                     const hearth_read_options *options,
                                     hearth_value *const *values, int32_t *statuses,
                                     hearth__many **out);
void hearth__chain_get_many_finish(hearth__many *many);

/* The same for many keys: as hearth__chain_fetch_many(). */
int32_t hearth__read_look_many(hearth *cache, size_t count, const void *const *keys,
                               const size_t *key_sizes, const hearth_read_options *options,
                               hearth_value *const *values, int32_t *statuses);

static inline int32_t hearth__read_found(int32_t status) {
    return status >= 0 || status == HEARTH_E_NOMEM ? status : HEARTH_MISS;
}

/* ---- renewal.c: when a cached value is loaded anew ---- */

/* Whether who was given this value by a tier tries to lead its renewal: it is stale, or it is early (guard/early.h), and not to
 * be left alone just now. Draws a random number: to be asked once. */
bool hearth__read_needs_renewal(const hearth__read *read);

/* What a renewal found in a tier: whether that is one, so that nothing need be loaded. */
bool hearth__read_is_renewed(const hearth__read *read);

/* The renewal of `read->present` begins. */
void hearth__read_renewal_begins(const hearth__read *read);

/* Asks the node, unless that is not wanted. HEARTH_OK (perhaps stale), HEARTH_ABSENT; HEARTH_MISS, also if it did not answer. */
int32_t hearth__read_ask_remote(hearth__read *read, const hearth__route *route);

/* ---- reload.c ---- */

/* As a fetch's way to the point where a load is needed, but no cached value is an answer, and no load that began before this
 * call: *led is the caller's to load, and the status HEARTH_OK (there is a value, in read->value) or HEARTH_MISS; without it, the
 * status is the answer. */
int32_t hearth__read_seek_load(hearth__read *read, hearth__route *route, hearth__flight **led);

/* Loads whatever is cached; but who waits for another's load, which began later than this call, takes that one's. The status is
 * that of the load. */
int32_t hearth__read_reload(hearth__read *read, hearth__route *route);

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

/* A fetch of a key that was waited for in vain, from the flight on: it leads or follows, and loads. */
int32_t hearth__read_go_on(hearth__read *read, hearth__route *route);

/* How long a load of the read's key waits for a place (hearth__limit_enter()). */
int64_t hearth__read_place_ns(const hearth__read *read);

/* A load of the read's key, into its value; `route` as in hearth__fill_plan. */
hearth_fill hearth__read_fill(const hearth__read *read, hearth__flight *flight,
                              const hearth__route *route);

#endif
