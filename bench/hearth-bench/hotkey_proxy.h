/* SPDX-License-Identifier: Apache-2.0 */
/* twemproxy (nutcracker) before servers of the harness's own: what many put there to keep connections few. */
#ifndef HEARTH_BENCH_HOTKEY_PROXY_H
#define HEARTH_BENCH_HOTKEY_PROXY_H

#include "remote/remote.h"
#include "support/servers.h"

#include <stdbool.h>

/*
 * Starts one before all nodes of the url, in the servers' folder; it ends with them. 0, and *proxy is its url, to be ended by
 * hearth__remote_url_fini(); 1: it is not installed; -1, and the reason in `why`.
 */
int hotkey_proxy_start(struct servers *servers, const hearth__remote_url *nodes,
                       hearth__remote_url *proxy, char *why, size_t why_size);

#endif
