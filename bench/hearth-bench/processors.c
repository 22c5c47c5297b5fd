/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/processors.h"

#include <stddef.h>

void processors_divide(struct processors *processors) {
    *processors = (struct processors){.divided = false};
    if (sched_getaffinity(0, sizeof processors->all, &processors->all) != 0 ||
        CPU_COUNT(&processors->all) < 2) {
        return;
    }
    size_t last = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        last = CPU_ISSET(cpu, &processors->all) ? cpu : last;
    }
    processors->divided = true;
    processors->servers = processors->all;
    CPU_CLR(last, &processors->servers);
    CPU_SET(last, &processors->clients);
}

void processors_use(const struct processors *processors, const cpu_set_t *some) {
    if (processors->divided) {
        (void)sched_setaffinity(0, sizeof *some, some);
    }
}
