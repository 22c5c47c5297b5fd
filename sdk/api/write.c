/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"
#include "base/memory.h"

#include <string.h>

void hearth_write_options_init(hearth_write_options *options, size_t size) {
    const hearth_write_options initial = {
        .size = size, .ttl_ms = HEARTH_TTL_DEFAULT, .soft_ttl_ms = HEARTH_TTL_DEFAULT};
    if (options != NULL) {
        memset(options, 0, size);
        memcpy(options, &initial, size < sizeof initial ? size : sizeof initial);
    }
}

static bool check_one(const hearth__write *write, const hearth_write_options *options) {
    bool integer = (options->flags & HEARTH_WRITE_INTEGER) != 0;
    return hearth__check_key(write->key, write->key_size) &&
           hearth__check_data(write->data, write->size) &&
           (!integer || hearth__write_is_integer(write->data, write->size));
}

/* Checks and runs writes of one verb. */
static int32_t run(hearth *cache, hearth__write *writes, size_t count,
                   const hearth_write_options *given, uint32_t flags, bool takes_version) {
    hearth_write_options options;
    if (!hearth__check_write(cache, given, flags, &options) ||
        !hearth__check_together(&options) || (options.if_version != 0 && !takes_version)) {
        return HEARTH_E_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!check_one(&writes[i], &options)) {
            return HEARTH_E_INVALID;
        }
    }
    if (count == 0) {
        return HEARTH_OK;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    hearth__scoped_write(cache, writes, count, &options);
    hearth__cache_leave(cache);
    return HEARTH_OK;
}

static int32_t run_one(hearth *cache, hearth__write *write, const hearth_write_options *options,
                       uint32_t flags, bool takes_version) {
    if (cache == NULL) {
        return HEARTH_E_INVALID;
    }
    int32_t status = run(cache, write, 1, options, flags, takes_version);
    return status == HEARTH_OK ? write->status : status;
}

int32_t hearth_set(hearth *cache, const void *key, size_t key_size, const void *data,
                   size_t size, const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_SET, key, key_size, data, size, 0, HEARTH_OK};
    return run_one(cache, &write, options, HEARTH__SET_FLAGS, true);
}

int32_t hearth_add(hearth *cache, const void *key, size_t key_size, const void *data,
                   size_t size, const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_ADD, key, key_size, data, size, 0, HEARTH_OK};
    return run_one(cache, &write, options, HEARTH__WRITE_FLAGS, false);
}

int32_t hearth_replace(hearth *cache, const void *key, size_t key_size, const void *data,
                       size_t size, const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_REPLACE, key, key_size, data, size, 0, HEARTH_OK};
    return run_one(cache, &write, options, HEARTH__WRITE_FLAGS, true);
}

int32_t hearth_delete(hearth *cache, const void *key, size_t key_size,
                      const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_DELETE, key, key_size, NULL, 0, 0, HEARTH_OK};
    return run_one(cache, &write, options, 0, false);
}

int32_t hearth_invalidate_tag(hearth *cache, const void *tag, size_t tag_size,
                              const hearth_write_options *write) {
    hearth_write_options options;
    if (cache == NULL || !hearth__check_tag(tag, tag_size) ||
        !hearth__check_write(cache, write, HEARTH_WRITE_KEEP_STALE, &options) ||
        options.if_version != 0) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__invalidate_tag(cache, tag, tag_size,
                                            (options.flags & HEARTH_WRITE_KEEP_STALE) != 0,
                                            hearth__write_deadline_ns(cache, &options));
    hearth__cache_leave(cache);
    return status;
}

static int32_t bump(hearth *handle, const hearth_write_options *options) {
    if (!hearth__cache_enter(handle)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__namespace_bump(handle, hearth__write_deadline_ns(handle, options));
    hearth__cache_leave(handle);
    return status;
}

int32_t hearth_namespace_bump(hearth *view, const hearth_write_options *write) {
    hearth_write_options options;
    if (view == NULL || !hearth__check_write(view, write, 0, &options) ||
        options.if_version != 0) {
        return HEARTH_E_INVALID;
    }
    return bump(view, &options);
}

int32_t hearth_mark_stale(hearth *cache, const void *key, size_t key_size,
                          const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_MARK, key, key_size, NULL, 0, 0, HEARTH_OK};
    return run_one(cache, &write, options, HEARTH_WRITE_NO_REMOTE, false);
}

int32_t hearth_touch(hearth *cache, const void *key, size_t key_size,
                     const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_TOUCH, key, key_size, NULL, 0, 0, HEARTH_OK};
    return run_one(cache, &write, options, 0, false);
}

int32_t hearth_increment(hearth *cache, const void *key, size_t key_size, int64_t delta,
                         int64_t *number, const hearth_write_options *options) {
    hearth__write write = {HEARTH__WRITE_INCREMENT, key, key_size, NULL, 0, delta, HEARTH_OK};
    int32_t status = run_one(cache, &write, options, 0, false);
    if (status == HEARTH_OK && number != NULL) {
        *number = write.number;
    }
    return status;
}

int32_t hearth_write_through(hearth *cache, const void *key, size_t key_size, const void *data,
                             size_t size, hearth_writer writer, void *arg,
                             const hearth_write_options *given) {
    hearth_write_options options;
    hearth__write write = {HEARTH__WRITE_SET, key, key_size, data, size, 0, HEARTH_OK};
    if (cache == NULL || writer == NULL ||
        !hearth__check_write(cache, given, HEARTH__WRITE_FLAGS, &options) ||
        options.if_version != 0 || options.tag_count != 0 || !check_one(&write, &options)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__scoped_write_through(cache, &write, &options, writer, arg);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_evict_local(hearth *cache, const void *key, size_t key_size) {
    if (cache == NULL || !hearth__check_key(key, key_size)) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__scoped_evict_local(cache, key, key_size);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_clear(hearth *cache) {
    hearth_write_options options;
    hearth_write_options_init(&options, sizeof options);
    return cache != NULL ? bump(cache, &options) : HEARTH_E_INVALID;
}

/* ---- many ------------------------------------------------------------------------------- */

/* Without memory nothing is written, and no local copy stays, as after any write that failed. */
static int32_t fail_many(hearth *cache, size_t count, const void *const *keys,
                         const size_t *key_sizes, int32_t *statuses) {
    for (size_t i = 0; i < count; i++) {
        (void)hearth_evict_local(cache, keys[i], key_sizes[i]);
        statuses[i] = HEARTH_E_NOMEM;
    }
    return HEARTH_E_NOMEM;
}

/* Runs the writes, hands their statuses out and frees them. */
static int32_t run_many(hearth *cache, hearth__write *writes, size_t count,
                        const hearth_write_options *options, uint32_t flags,
                        int32_t *statuses) {
    int32_t result = run(cache, writes, count, options, flags, false);
    bool ran = result == HEARTH_OK;
    for (size_t i = 0; ran && i < count; i++) {
        statuses[i] = writes[i].status;
        if (result == HEARTH_OK && statuses[i] < 0) {
            result = statuses[i];
        }
    }
    hearth__free(writes);
    return result;
}

int32_t hearth_set_many(hearth *cache, size_t count, const void *const *keys,
                        const size_t *key_sizes, const void *const *data, const size_t *sizes,
                        const hearth_write_options *options, int32_t *statuses) {
    if (cache == NULL || keys == NULL || key_sizes == NULL || data == NULL || sizes == NULL ||
        statuses == NULL) {
        return HEARTH_E_INVALID;
    }
    hearth__write *writes = hearth__alloc_zero(count, sizeof *writes);
    if (writes == NULL) {
        return fail_many(cache, count, keys, key_sizes, statuses);
    }
    for (size_t i = 0; i < count; i++) {
        writes[i] = (hearth__write){HEARTH__WRITE_SET, keys[i], key_sizes[i], data[i],
                                    sizes[i],          0,       HEARTH_OK};
    }
    return run_many(cache, writes, count, options, HEARTH__SET_FLAGS, statuses);
}

int32_t hearth_delete_many(hearth *cache, size_t count, const void *const *keys,
                           const size_t *key_sizes, const hearth_write_options *options,
                           int32_t *statuses) {
    if (cache == NULL || keys == NULL || key_sizes == NULL || statuses == NULL) {
        return HEARTH_E_INVALID;
    }
    hearth__write *writes = hearth__alloc_zero(count, sizeof *writes);
    if (writes == NULL) {
        return fail_many(cache, count, keys, key_sizes, statuses);
    }
    for (size_t i = 0; i < count; i++) {
        writes[i] =
            (hearth__write){HEARTH__WRITE_DELETE, keys[i], key_sizes[i], NULL, 0, 0, HEARTH_OK};
    }
    return run_many(cache, writes, count, options, 0, statuses);
}
