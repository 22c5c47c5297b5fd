/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers from the kernel: never the same in a child as in its parent. Any thread may
 * call these. */
#ifndef HEARTH_BASE_RANDOM_H
#define HEARTH_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `size` bytes. Cannot fail: before the kernel's pool is ready it mixes clocks and
 * addresses. */
void hearth__random_bytes(void *data, size_t size);

/* One random number. */
uint64_t hearth__random_u64(void);

#endif
