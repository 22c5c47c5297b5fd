/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench top`: what a running process's cache does, as its stats.socket tells. */
#ifndef HEARTH_BENCH_TOP_H
#define HEARTH_BENCH_TOP_H

/* Its command line, from the word `top` on. 0; 1: the socket could not be read, and stderr says why; 2: a wrong command line. */
int top(int count, char **words);

#endif
