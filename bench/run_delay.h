/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread was ready to run and got no processor: time that says something of the machine's other work, not of what was
 * measured. */
#ifndef HEARTH_BENCH_RUN_DELAY_H
#define HEARTH_BENCH_RUN_DELAY_H

#include <stdint.h>

/* A descriptor for the calling thread, to be closed with close(); -1 where the kernel does not tell. */
int run_delay_open(void);

/* ns so far, of the thread that opened it; 0 where the kernel does not tell. Takes a microsecond or two. */
uint64_t run_delay_ns(int file);

#endif
