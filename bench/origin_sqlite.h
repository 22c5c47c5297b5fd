/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of the origin. */
#ifndef HEARTH_BENCH_ORIGIN_SQLITE_H
#define HEARTH_BENCH_ORIGIN_SQLITE_H

/* Once per process, before the first connection: no locks between the connections of different
 * threads, and no shared count of memory, which would be one. */
void origin_set_up_sqlite(void);

#endif
