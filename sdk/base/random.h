/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: never the same in a child as in its parent. Any thread may call these. */
#ifndef HEARTH_BASE_RANDOM_H
#define HEARTH_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `size` bytes from the kernel. Cannot fail: before the kernel's pool is ready it mixes clocks and
 * addresses. */
void hearth__random_bytes(void *data, size_t size);

/* One random number. */
uint64_t hearth__random_u64(void);

/* A number above 0 and at most 1, in 2^32 steps, for a few ns: of a generator of the calling thread's own, which is seeded from
 * the kernel, and anew in a forked child. No secret may depend on it. */
double hearth__random_unit(void);

#endif
