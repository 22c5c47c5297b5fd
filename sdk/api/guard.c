/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

int32_t hearth_guard_add(hearth *cache, const void *key, size_t key_size) {
    if (cache == NULL || !hearth__check_key(key, key_size)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__guard_add(cache, key, key_size);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_guard_rebuild(hearth *cache, hearth_guard_iterator iterator, void *arg) {
    if (cache == NULL || iterator == NULL) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__guard_rebuild(cache, iterator, arg);
    hearth__cache_leave(cache);
    return status;
}

/* What is done with a file. */
typedef int32_t (*file_call)(hearth *cache, const char *path);

static int32_t with_file(hearth *cache, const char *path, file_call call) {
    if (cache == NULL || path == NULL || path[0] == '\0') {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = call(cache, path);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_guard_save(hearth *cache, const char *path) {
    return with_file(cache, path, hearth__guard_save);
}

int32_t hearth_guard_load(hearth *cache, const char *path) {
    return with_file(cache, path, hearth__guard_load);
}
