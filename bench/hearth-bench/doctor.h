/* SPDX-License-Identifier: Apache-2.0 */
/* `hearth-bench doctor`: whether servers are fit for Hearth, and what could be better. */
#ifndef HEARTH_BENCH_DOCTOR_H
#define HEARTH_BENCH_DOCTOR_H

/* Its command line, from the word `doctor` on. Reports on stdout. 0: nothing is wrong; 1: something is, a node that does not
 * answer included; 2: a wrong command line, and stderr says how. */
int doctor(int count, char **words);

#endif
