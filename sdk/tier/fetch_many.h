/* SPDX-License-Identifier: Apache-2.0 */
/* A fetch of many keys, between fetch_many.c, which takes its steps, and fetch_many_load.c, which calls the loader. */
#ifndef HEARTH_TIER_FETCH_MANY_H
#define HEARTH_TIER_FETCH_MANY_H

#include "tier/lease.h"

/* What a key of a batch still needs. */
enum hearth__fetch_need {
    HEARTH__NEED_NOTHING,
    HEARTH__NEED_A_LEADER, /* another caller leads: its answer */
    HEARTH__NEED_ANOTHERS, /* this caller leads, and another process loads */
    HEARTH__NEED_A_VALUE,  /* this caller leads */
    HEARTH__NEED_RENEWAL,  /* this caller leads, and has an answer meanwhile */
    HEARTH__NEED_A_LOAD, /* this caller leads, and only a load is an answer, whatever there is */
};

/* A key that has no fresh local value. */
typedef struct hearth__fetch_part {
    struct hearth__fetch_part *next; /* in the order of the keys */
    struct hearth__fetch_part
        *twin; /* the same key, earlier in the batch, whose answer this one shares */
    hearth__read read;
    hearth__route route;
    hearth__flight *flight;
    hearth_value fresh; /* a renewal's */
    hearth_fill fill;
    hearth__local_ticket ticket;
    size_t place; /* among the caller's keys */
    enum hearth__fetch_need need;
    bool asks;      /* its node */
    bool loads;     /* into `fresh` */
    int32_t status; /* its answer so far */
} hearth__fetch_part;

typedef struct hearth__fetch_batch {
    hearth *cache;
    const hearth_loader *loader;
    int64_t deadline_ns;
    bool reloads;
    hearth__fetch_part *parts; /* a list */
    hearth__fetch_part
        *rooms; /* the parts' memory, and below room for calls about some of them */
    hearth__remote_op *ops;
    hearth_fill **fills;
    const void **keys;
    size_t *key_sizes;
    hearth__lease_asking *askings;
} hearth__fetch_batch;

/* The caller has its key's flight, and nothing that ends it. */
static inline bool hearth__fetch_leads(const hearth__fetch_part *part) {
    return part->need == HEARTH__NEED_A_VALUE || part->need == HEARTH__NEED_RENEWAL ||
           part->need == HEARTH__NEED_A_LOAD;
}

/* ---- fetch_many.c ---- */

/* The read that asks and loads for a part: what there is already is left alone. `renewal`: room for it. */
hearth__read *hearth__fetch_reader(hearth__fetch_part *part, hearth__read *renewal);

/* A leader's answer, or its error, for which those who wait get what there is: all that it needs. */
void hearth__fetch_land(hearth__fetch_part *part, int32_t status);

/* ---- fetch_many_load.c ---- */

/* Loads and lands all that is led, in one place among the loads. */
void hearth__fetch_load_led(hearth__fetch_batch *batch);

/* The same for one that was another process's. */
void hearth__fetch_load_late(hearth__fetch_batch *batch, hearth__fetch_part *part);

/* Ends a part's flight if nobody came back to do so, since a loader has thrown; else it has ended. */
void hearth__fetch_give_up(hearth__fetch_part *part);

#endif
