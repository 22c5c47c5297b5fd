/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters that everybody reads, each a number at its node: the tags' clock, and namespaces' generations.
 *
 * A counter's value is 24 bits of an epoch, never 0, and 39 of a sequence. One that was lost (evicted, flushed) is made anew with
 * another epoch, drawn at random: what it said before it was lost it never says again.
 */
#ifndef HEARTH_TIER_COUNTER_H
#define HEARTH_TIER_COUNTER_H

#include "tier/cache.h"

enum { HEARTH__COUNTER_SEQUENCE_BITS = 39, HEARTH__COUNTER_TRIES = 8 };

/* A first value, of a new epoch. */
uint64_t hearth__counter_first(void);

/* Whether a number can be a counter's value. */
bool hearth__counter_is_value(uint64_t number);

/* The number that a node gave as digits. */
uint64_t hearth__counter_parse(const hearth__buffer *digits);

/*
 * The value of the counter that is named by `before` in front of the prefix and `name`, after it went on by `step`. It is made where
 * there is none. HEARTH_OK; HEARTH_E_TYPE: something else is there; else why there is no answer: with a step, it may have gone on.
 */
int32_t hearth__counter_ask(hearth *cache, const char *before, const void *name, size_t size,
                            int64_t step, int64_t deadline_ns, uint64_t *value);

/* Makes it anew, whatever is there. */
int32_t hearth__counter_renew(hearth *cache, const char *before, const void *name, size_t size,
                              int64_t deadline_ns, uint64_t *value);

#endif
