/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo says while it runs: on a terminal one line that is redrawn in place, elsewhere
 * only what is done, a plain line each. For the main thread. */
#ifndef HEARTH_BENCH_DEMO_PROGRESS_H
#define HEARTH_BENCH_DEMO_PROGRESS_H

#include <stdint.h>

/* Once, before anything is printed. */
void progress_set_up(void);

/* On a terminal: shows the line. Else nothing. */
__attribute__((format(printf, 1, 2))) void progress_show(const char *format, ...);

/* A line that stays; one that is shown goes away. */
__attribute__((format(printf, 1, 2))) void progress_say(const char *format, ...);

/* Tells stderr what failed and why. Always -1. */
int progress_fail(const char *what, const char *why);

/* "1,234,567"; `text` has PROGRESS_COUNT_BYTES. */
enum { PROGRESS_COUNT_BYTES = 32 };
const char *progress_count(char *text, uint64_t number);

#endif
