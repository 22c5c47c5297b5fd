/* SPDX-License-Identifier: Apache-2.0 */
/* The library's heap (base/memory.h) with a switch: it counts, and it fails when told to. A test
 * program that calls one of these gets this heap in the place of the library's own.
 *
 * Any thread may call these; a test that makes allocations fail is alone with the library. */
#ifndef HEARTH_TESTS_SUPPORT_FAILING_MEMORY_H
#define HEARTH_TESTS_SUPPORT_FAILING_MEMORY_H

#include <stdint.h>

/* Every allocation succeeds from now on, as at the beginning. Counting starts at 0. */
void failing_memory_pass(void);

/* From now on `successes` allocations succeed, the next `failures` fail, and all after them
 * succeed. Counting starts at 0. */
void failing_memory_fail(uint64_t successes, uint64_t failures);

/* Allocations and reallocations asked for since counting started. */
uint64_t failing_memory_requests(void);

/* How many of them failed. */
uint64_t failing_memory_failures(void);

/* Blocks that live now, and the bytes that may be used in them: what was asked for, rounded up
 * by the heap, to less than 16 more. */
int64_t failing_memory_blocks(void);
int64_t failing_memory_bytes(void);

#endif
