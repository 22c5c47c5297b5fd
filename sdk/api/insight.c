/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

int32_t hearth_log_next(hearth *cache, hearth_log_record *record) {
    if (cache == NULL || record == NULL || record->size < sizeof record->size) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    hearth_log_record own;
    int32_t status = hearth__cache_log_next(cache, &own);
    if (status == HEARTH_OK) {
        (void)hearth__check_give(record, &own, sizeof own);
    }
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_stats_get(hearth *cache, hearth_stats *stats) {
    if (cache == NULL || stats == NULL || stats->size < sizeof stats->size) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    hearth_stats own;
    hearth__cache_stats(cache, &own);
    (void)hearth__check_give(stats, &own, sizeof own);
    hearth__cache_leave(cache);
    return HEARTH_OK;
}

int32_t hearth_stats_text(hearth *cache, char *text, size_t size, size_t *needed) {
    size_t own_needed = 0;
    if (cache == NULL || (text == NULL && size != 0)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__cache_stats_text(cache, text, size, &own_needed);
    if (needed != NULL) {
        *needed = own_needed;
    }
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_node_of(hearth *cache, const void *key, size_t key_size, uint32_t *index,
                       char *name, size_t name_size) {
    if (cache == NULL || !hearth__check_key(key, key_size) ||
        (name == NULL && name_size != 0)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__cache_node_of(cache, key, key_size, index, name, name_size);
    hearth__cache_leave(cache);
    return status;
}
