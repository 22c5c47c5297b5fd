/* SPDX-License-Identifier: Apache-2.0 */
/* Runs against the user's own servers: what is said before anything is written there, and how a run ends early. */
#ifndef HEARTH_BENCH_HOTKEY_REMOTE_H
#define HEARTH_BENCH_HOTKEY_REMOTE_H

#include "hearth-bench/hotkey.h"

/* Whether all nodes are on this machine: unix sockets, and addresses of its own. */
bool hotkey_is_here(const hearth__remote_url *url);

/*
 * Says on stderr what will be written where. If a node is elsewhere, and --yes was not said, then on a terminal there are five
 * seconds for second thoughts, and without one nothing is written. 0: go on; -1, and bench_fail() has said why.
 */
int hotkey_warn(struct bench *bench, const struct hotkey_scene *scene);

/* From here on SIGINT, SIGTERM and SIGHUP end a run early instead of the program, so that what was written can be deleted. */
void hotkey_catch_interrupts(void);
bool hotkey_is_interrupted(void);

/* Waits until `done` keys may have been written since begin_ns, where --rate limits a run on other people's servers. */
void hotkey_pace(const struct hotkey_scene *scene, int64_t begin_ns, uint32_t done);

#endif
