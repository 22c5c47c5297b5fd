/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a bounded ring of records that the application pulls, or a function of the
 * application's. */
#ifndef HEARTH_BASE_LOG_H
#define HEARTH_BASE_LOG_H

#include <hearth/hearth.h>

typedef struct hearth__log hearth__log;

/* A log that calls `function`, or keeps the newest 256 records when that is NULL. NULL: out of
 * memory. */
hearth__log *hearth__log_create(hearth_log_function function, void *arg)
    __attribute__((warn_unused_result));
void hearth__log_destroy(hearth__log *log);

/* Adds a record. Any thread; calls the application's function under no lock. A NULL log takes
 * nothing. */
void hearth__log_add(hearth__log *log, uint32_t level, int32_t status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Takes the oldest record: HEARTH_OK or HEARTH_MISS. Any thread. */
int32_t hearth__log_next(hearth__log *log, hearth_log_record *record);

/* How many records were dropped unread. */
uint64_t hearth__log_lost(hearth__log *log);

#endif
