/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

void *hearth_get_with(hearth *cache, const void *key, size_t key_size) {
    if (cache == NULL) {
        return NULL;
    }
    if (!hearth__check_key(key, key_size)) {
        return hearth__peek_miss(cache);
    }
    return hearth__scoped_peek_with(cache, key, key_size);
}

int32_t hearth_peek_version(hearth *cache, const void *key, size_t key_size,
                            uint64_t *version) {
    if (cache == NULL || !hearth__check_key(key, key_size) || version == NULL) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__scoped_peek_version(cache, key, key_size, version);
    hearth__cache_leave(cache);
    return status;
}
