/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

#include <stdio.h>
#include <string.h>

enum { WHY_BYTES = 256 };

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

/* ---- hot keys --------------------------------------------------------------------------- */

_Static_assert((int)HEARTH_HOT_KEY_BYTES == (int)HEARTH__HOT_KEY_BYTES, "as many are kept");

/* The caller's keys, each of `stride` bytes. */
struct hot_keys {
    unsigned char *next;
    size_t stride;
    size_t count;
};

static void give_hot_key(void *arg, const hearth__hot_key *key) {
    struct hot_keys *keys = arg;
    hearth_hot_key own = {.size = keys->stride,
                          .requests_per_s = key->requests_per_s,
                          .key_size = key->key_size,
                          .full_size = key->full_size};
    memcpy(own.key, key->key, sizeof own.key);
    memcpy(keys->next, &own, keys->stride < sizeof own ? keys->stride : sizeof own);
    keys->next += keys->stride;
    keys->count++;
}

int32_t hearth_hot_keys(hearth *cache, hearth_hot_key *keys, size_t capacity, size_t *count) {
    if (cache == NULL || count == NULL || (keys == NULL && capacity != 0) ||
        (capacity != 0 && keys->size < sizeof keys->size)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    struct hot_keys given = {.next = (unsigned char *)keys,
                             .stride = capacity != 0 ? keys->size : 0};
    int32_t status = hearth__cache_hot_keys(cache, capacity, give_hot_key, &given);
    if (status == HEARTH_OK) {
        *count = given.count;
    }
    hearth__cache_leave(cache);
    return status;
}

/* ---- nodes ------------------------------------------------------------------------------ */

int32_t hearth_set_nodes(hearth *cache, const char *url, char *why, size_t why_size) {
    char own[WHY_BYTES];
    if (cache == NULL || url == NULL || (why == NULL && why_size != 0)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    own[0] = '\0';
    int32_t status = hearth__cache_set_nodes(cache, url, own, sizeof own);
    hearth__cache_leave(cache);
    if (why != NULL && why_size != 0) {
        (void)snprintf(why, why_size, "%s", own);
    }
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
    int32_t status = hearth__scoped_node_of(cache, key, key_size, index, name, name_size);
    hearth__cache_leave(cache);
    return status;
}
