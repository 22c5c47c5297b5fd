/* SPDX-License-Identifier: Apache-2.0 */
/* Exact miss counts of three textbook caches over a sequence of requests: the yardsticks beside
 * which a hit ratio says something. The caches hold `capacity` objects, whatever their size; a
 * miss inserts; they start empty.
 *
 * items[i] is the number of the i-th requested object, below `distinct`. The answer is the
 * number of misses, or -1 when there is no memory. A capacity of 0 misses always. Any thread.
 *
 * Where objects have sizes, by object, the capacity is in bytes, and an object that is larger
 * than the whole cache is not inserted. For Belady there is no such form: with sizes the best
 * choice is not known, only that it is hard to find.
 */
#ifndef HEARTH_BENCH_REFERENCE_H
#define HEARTH_BENCH_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* Evicts the object that was requested least recently. */
int64_t reference_lru_misses(const uint32_t *items, size_t count, uint32_t distinct,
                             uint32_t capacity) __attribute__((warn_unused_result));

/* Evicts the object that was inserted first. */
int64_t reference_fifo_misses(const uint32_t *items, size_t count, uint32_t distinct,
                              uint32_t capacity) __attribute__((warn_unused_result));

/* Evicts the object whose next request is the furthest away (Belady 1966): no cache that must
 * insert what it misses does better. It knows the future, so it is a bound, not a policy. */
int64_t reference_belady_misses(const uint32_t *items, size_t count, uint32_t distinct,
                                uint32_t capacity) __attribute__((warn_unused_result));

int64_t reference_lru_misses_sized(const uint32_t *items, size_t count, uint32_t distinct,
                                   const uint64_t *sizes, uint64_t capacity)
    __attribute__((warn_unused_result));
int64_t reference_fifo_misses_sized(const uint32_t *items, size_t count, uint32_t distinct,
                                    const uint64_t *sizes, uint64_t capacity)
    __attribute__((warn_unused_result));

#endif
