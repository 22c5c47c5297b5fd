/* SPDX-License-Identifier: Apache-2.0 */
#include "support/log_record.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

bool log_record_awaited(hearth__log *log, uint32_t level, const char *words) {
    const struct timespec pause = {.tv_nsec = 1000000}; /* the log has nothing to wait on */
    int64_t bound_ns = hearth__deadline_ns(LOG_RECORD_MS);
    hearth_log_record record = {.size = sizeof record};
    while (hearth__monotonic_ns() < bound_ns) {
        if (hearth__log_next(log, &record) != HEARTH_OK) {
            nanosleep(&pause, NULL);
        } else if (record.level == level && strstr(record.text, words) != NULL) {
            return true;
        }
    }
    return false;
}
