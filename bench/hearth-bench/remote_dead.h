/* SPDX-License-Identifier: Apache-2.0 */
/* Cases about a dead node; the last one of the site, which has a proxy before it. */
#ifndef HEARTH_BENCH_REMOTE_DEAD_H
#define HEARTH_BENCH_REMOTE_DEAD_H

#include "hearth-bench/remote_site.h"

/* It refuses connections; takes all and answers nothing; is silent every other second. As a case_run. */
int remote_dead_refused(struct bench *bench, struct site *site);
int remote_dead_silent(struct bench *bench, struct site *site);
int remote_dead_flapping(struct bench *bench, struct site *site);

#endif
