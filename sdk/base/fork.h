/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a forked child from its parent, so that it leaves the parent's connections alone. */
#ifndef HEARTH_BASE_FORK_H
#define HEARTH_BASE_FORK_H

#include <stdint.h>

/* A number that is another in every forked child. Any thread may ask; one load after the first
 * call. */
uint64_t hearth__fork_generation(void);

#endif
