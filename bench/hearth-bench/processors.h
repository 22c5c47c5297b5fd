/* SPDX-License-Identifier: Apache-2.0 */
/* Which processors those who are started use: a client that shares one with the server it asks has the system do its packets' work in
 * the server's time. */
#ifndef HEARTH_BENCH_PROCESSORS_H
#define HEARTH_BENCH_PROCESSORS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Ours, divided in two. */
struct processors {
    bool divided; /* there are at least two */
    cpu_set_t all;
    cpu_set_t servers; /* all but one */
    cpu_set_t clients; /* that one, */
    size_t last;       /* by its number */
};

void processors_divide(struct processors *processors);

/* All threads of a process that runs. */
void processors_place(pid_t pid, const cpu_set_t *some);

/* Whom this thread starts from here on uses these. */
void processors_use(const struct processors *processors, const cpu_set_t *some);

#endif
