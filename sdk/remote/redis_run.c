/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_run.h"

#include "base/hash.h"

#include <string.h>

/* What stands behind a field's name, up to the end of its line. NULL: there is no such field. */
static const char *field_of(const char *text, size_t size, const char *name, size_t *length) {
    size_t name_size = strlen(name);
    for (size_t at = 0; at < size;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', size - at);
        size_t line_size = end != NULL ? (size_t)(end - line) : size - at;
        if (line_size > name_size && memcmp(line, name, name_size) == 0) {
            *length = line_size - name_size;
            *length -= line[line_size - 1] == '\r';
            return line + name_size;
        }
        at += line_size + 1;
    }
    return NULL;
}

static bool says(const char *text, size_t size, const char *name, char digit) {
    size_t length = 0;
    const char *value = field_of(text, size, name, &length);
    return value != NULL && length == 1 && value[0] == digit;
}

bool hearth__redis_run_parse(const char *text, size_t size, hearth__redis_run_info *info) {
    enum { DIGITS_MAX = 12, MS = 1000 };
    size_t id_size = 0;
    size_t digits = 0;
    int64_t seconds = 0;
    const char *id = field_of(text, size, "run_id:", &id_size);
    const char *uptime = field_of(text, size, "uptime_in_seconds:", &digits);
    if (id == NULL || id_size == 0 || uptime == NULL || digits == 0 || digits > DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        if (uptime[i] < '0' || uptime[i] > '9') {
            return false;
        }
        seconds = seconds * 10 + (uptime[i] - '0');
    }
    info->id = hearth__hash64_seeded(0, id, id_size) | 1;
    info->uptime_ms = seconds * MS;
    info->began_empty = says(text, size, "loading:", '0') &&
                        says(text, size, "rdb_last_load_keys_loaded:", '0') &&
                        says(text, size, "aof_enabled:", '0');
    return true;
}

bool hearth__redis_run_meet(hearth__redis_run *run, const hearth__redis_run_info *info,
                            int64_t distrust_ms, int64_t now_ms, int64_t wall_ms) {
    /* It counts the seconds that have begun: so much less it may run than it says. */
    enum { SECOND_MS = 1000 };
    int64_t age_ms = info->uptime_ms > SECOND_MS ? info->uptime_ms - SECOND_MS : 0;
    uint64_t before = atomic_load(&run->id);
    if (before == info->id) {
        return false;
    }
    /* The fence stands before any other connection may take the run for known. */
    if (before != 0) {
        atomic_store(&run->fence_ms, wall_ms);
        atomic_store(&run->until_ms, now_ms + distrust_ms);
    } else if (!info->began_empty && age_ms < distrust_ms) {
        atomic_store(&run->fence_ms, wall_ms - age_ms);
        atomic_store(&run->until_ms, now_ms + distrust_ms - age_ms);
    }
    atomic_store(&run->id, info->id);
    return before != 0;
}

bool hearth__redis_run_distrusts(const hearth__redis_run *run, int64_t written_ms,
                                 int64_t now_ms) {
    return now_ms < atomic_load(&run->until_ms) && written_ms <= atomic_load(&run->fence_ms);
}
