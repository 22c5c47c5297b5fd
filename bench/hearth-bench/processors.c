/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/processors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

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
    processors->last = last;
    processors->servers = processors->all;
    CPU_CLR(last, &processors->servers);
    CPU_SET(last, &processors->clients);
}

void processors_place(pid_t pid, const cpu_set_t *some) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return;
    }
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        pid_t thread = (pid_t)strtol(task->d_name, NULL, 10);
        if (thread > 0) {
            (void)sched_setaffinity(thread, sizeof *some, some);
        }
    }
    (void)closedir(tasks);
}

void processors_use(const struct processors *processors, const cpu_set_t *some) {
    if (processors->divided) {
        (void)sched_setaffinity(0, sizeof *some, some);
    }
}
