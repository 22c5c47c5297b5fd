/* SPDX-License-Identifier: Apache-2.0 */
/* Deals threads to stripes, so that what all of them write does not share cache lines. */
#ifndef HEARTH_BASE_STRIPE_H
#define HEARTH_BASE_STRIPE_H

#include <stddef.h>

enum { HEARTH__THREAD_STRIPES = 16 };

/* The calling thread's stripe, always the same: below HEARTH__THREAD_STRIPES. */
size_t hearth__thread_stripe(void);

#endif
