/* SPDX-License-Identifier: Apache-2.0 */
/* A public call while the n-th allocation fails, for every n until none does, once alone and once with all that follow. Each run
 * has a cache of its own, which must answer well afterwards and leave nothing behind. */
#ifndef HEARTH_TESTS_FAULT_SWEEP_H
#define HEARTH_TESTS_FAULT_SWEEP_H

#include "api/source.h"

#include <hearth/hearth.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One run. What is not NULL at its end is closed by the sweep. */
struct trial {
    hearth *cache; /* an attempt that closed it leaves NULL */
    hearth *view;
    hearth_queue *queue;
    hearth_fill *fill; /* abandoned at the end */
    hearth_value *value;
    struct source source;
    const char *key; /* longer than what calls keep on the stack: it takes memory of the heap */
    bool failed;     /* an allocation did, as far as the call itself noted */
    int64_t number;  /* of a queue's last result */
};

/* Prepares a cache, before any allocation fails. */
typedef void (*prepare)(struct trial *trial);
/* Makes the call. */
typedef int32_t (*attempt)(struct trial *trial);
/* Looks at its status and at what is left, when memory is there again. */
typedef void (*judge)(struct trial *trial, int32_t status);

struct scenario {
    const char *call; /* the public function whose allocations fail */
    const char *name; /* what is special about it, or "" */
    prepare prepare;
    attempt attempt;
    judge judge;
};

/* Scenarios for one kind of cache. */
struct scenario_set {
    const struct scenario *scenarios;
    size_t count;
    const char *const *settings; /* as for cache_open(), or NULL */
    bool takes_none; /* none of the calls takes memory, which is looked at; else each does */
};

/* Runs them all. */
void sweep(const struct scenario_set *set);

/* The answer in the trial's value; valid until the next call. */
const char *trial_text(const struct trial *trial);

/* What cache_get() finds at the trial's key, asking no other tier. */
const char *trial_in_remote(struct trial *trial);
const char *trial_in_local(struct trial *trial);

bool is_one_of(const char *text, const char *a, const char *b);

/* What there may be before: nothing; "old" in both tiers, in the remote tier alone, or marked stale. */
void nothing(struct trial *trial);
void old_value(struct trial *trial);
void old_value_remotely(struct trial *trial);
void stale_value(struct trial *trial);

/* What several sets do: loads by the trial's source, of nothing or of a stale value; a store of "new"; and a write-through of it to
 * an application's source, which has `trial_source_text`. */
int32_t trial_fetch(struct trial *trial);
void judge_trial_load(struct trial *trial, int32_t status);
void judge_trial_renewal(struct trial *trial, int32_t status);
int32_t trial_set(struct trial *trial);
extern char trial_source_text[8];
void old_source_and_value(struct trial *trial);
int32_t trial_write_through(struct trial *trial);

#endif
