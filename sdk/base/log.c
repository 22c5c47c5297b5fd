/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

enum { RECORDS = 256 };

struct hearth__log {
    hearth_log_function function;
    void *arg;
    pthread_mutex_t lock;
    uint64_t added;
    uint64_t taken;    /* every record below this was taken or dropped */
    uint64_t lost;     /* dropped in all */
    uint64_t reported; /* of these, how many a taken record has told of */
    hearth_log_record records[RECORDS];
};

hearth__log *hearth__log_create(hearth_log_function function, void *arg) {
    hearth__log *log = hearth__alloc_zero(1, sizeof *log);
    if (log == NULL) {
        return NULL;
    }
    log->function = function;
    log->arg = arg;
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        hearth__free(log);
        return NULL;
    }
    return log;
}

void hearth__log_destroy(hearth__log *log) {
    if (log != NULL) {
        pthread_mutex_destroy(&log->lock);
        hearth__free(log);
    }
}

static void keep(hearth__log *log, const hearth_log_record *record) {
    pthread_mutex_lock(&log->lock);
    if (log->added - log->taken == RECORDS) {
        log->taken++;
        log->lost++;
    }
    log->records[log->added % RECORDS] = *record;
    log->added++;
    pthread_mutex_unlock(&log->lock);
}

void hearth__log_add(hearth__log *log, uint32_t level, int32_t status, const char *format,
                     ...) {
    if (log == NULL) {
        return;
    }
    hearth_log_record record = {
        .size = sizeof record, .unix_ms = hearth__wall_ms(), .level = level, .status = status};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(record.text, sizeof record.text, format, args);
    va_end(args);
    if (log->function != NULL) {
        log->function(log->arg, &record);
    } else {
        keep(log, &record);
    }
}

int32_t hearth__log_next(hearth__log *log, hearth_log_record *record) {
    int32_t status = HEARTH_MISS;
    pthread_mutex_lock(&log->lock);
    if (log->taken != log->added) {
        *record = log->records[log->taken % RECORDS];
        record->lost = log->lost - log->reported;
        log->reported = log->lost;
        log->taken++;
        status = HEARTH_OK;
    }
    pthread_mutex_unlock(&log->lock);
    return status;
}

uint64_t hearth__log_lost(hearth__log *log) {
    pthread_mutex_lock(&log->lock);
    uint64_t lost = log->lost;
    pthread_mutex_unlock(&log->lock);
    return lost;
}
