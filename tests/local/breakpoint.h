/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that is stopped before one of its instructions, as if its thread had lost its turn there: a breakpoint is put into the
 * code itself, which is the product's. Which instructions there are is learned from a call that the processor stops after each
 * of them by itself (its trap flag). For one thread.
 */
#ifndef HEARTH_TESTS_LOCAL_BREAKPOINT_H
#define HEARTH_TESTS_LOCAL_BREAKPOINT_H

#include "base/tsan.h"

#include <stdbool.h>

/* Under ThreadSanitizer a read takes some ten thousand instructions. */
#if defined(__x86_64__) && !defined(HEARTH__TSAN)
#define BREAKPOINTS 1

/* Learns the call's way. How many instructions it took. */
long breakpoint_learn(void (*call)(void));

/* Calls, and calls `meanwhile` before the instruction of that number, which is on the way that was learned. Whether the call
 * came there. */
bool breakpoint_stop(void (*call)(void), long instruction, void (*meanwhile)(void));

#else
#define BREAKPOINTS 0
#endif

#endif
