/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench compare`: the rows of two runs beside each other. */
#ifndef HEARTH_BENCH_COMPARE_H
#define HEARTH_BENCH_COMPARE_H

/* Prints what became of each row of the first file in the second. 0; 1: something became worse; 2: a file cannot be read, and
 * stderr says where. */
int compare_files(const char *before, const char *after);

#endif
