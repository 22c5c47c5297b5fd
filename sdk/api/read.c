/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/unwind.h"

#include <string.h>

void hearth_read_options_init(hearth_read_options *options, size_t size) {
    const hearth_read_options initial = {.size = size, .max_stale_ms = HEARTH_STALE_ANY};
    if (options != NULL) {
        memset(options, 0, size);
        memcpy(options, &initial, size < sizeof initial ? size : sizeof initial);
    }
}

/* A call that is refused leaves no older answer behind. */
static int32_t refuse(hearth_value *value, int32_t status) {
    if (value != NULL) {
        hearth__value_clear(value);
    }
    return status;
}

/* Whether any fresh local value is an answer: then the short way may be tried. */
static bool takes_any_hit(const hearth_read_options *read, const hearth_value *value) {
    if (value == NULL) {
        return false;
    }
    return read == NULL || (read->size == sizeof *read &&
                            (read->flags & ~(uint32_t)HEARTH_READ_NO_REMOTE) == 0 &&
                            read->max_stale_ms == HEARTH_STALE_ANY && read->deadline_ms >= 0 &&
                            read->reserved == 0);
}

/* A get that is no plain hit. */
static int32_t get(hearth *cache, const void *key, size_t key_size,
                   const hearth_read_options *read, hearth_value *value) {
    hearth_read_options scratch;
    const hearth_read_options *options = hearth__check_read(read, &scratch);
    if (!hearth__cache_enter(cache)) {
        return refuse(value, HEARTH_E_CLOSED);
    }
    hearth_value unwanted = {0};
    int32_t status = options == NULL ? refuse(value, HEARTH_E_INVALID)
                                     : hearth__scoped_get(cache, key, key_size, options,
                                                          value != NULL ? value : &unwanted);
    hearth__buffer_fini(&unwanted.bytes);
    hearth__cache_leave(cache);
    return status;
}

static __attribute__((noinline)) int32_t get_by_options(hearth *cache, const void *key,
                                                        size_t key_size,
                                                        const hearth_read_options *read,
                                                        hearth_value *value) {
    if (cache == NULL || !hearth__check_key(key, key_size)) {
        return refuse(value, HEARTH_E_INVALID);
    }
    if (takes_any_hit(read, value) && hearth__chain_hit(cache, key, key_size, value)) {
        return HEARTH_OK;
    }
    return get(cache, key, key_size, read, value);
}

int32_t hearth_get(hearth *cache, const void *key, size_t key_size,
                   const hearth_read_options *read, hearth_value *value) {
    bool is_plain =
        cache != NULL && hearth__check_key(key, key_size) && read == NULL && value != NULL;
    return is_plain ? hearth__chain_get_by_default(cache, key, key_size, value)
                    : get_by_options(cache, key, key_size, read, value);
}

static void fini_value(hearth_value *value) {
    hearth__buffer_fini(&value->bytes);
}

/* A fetch that is no plain hit. The caller is inside. */
static int32_t fetch(hearth *cache, const void *key, size_t key_size,
                     const hearth_loader *loader, const hearth_read_options *read,
                     const hearth_write_options *write, hearth_value *value) {
    hearth_read_options scratch;
    const hearth_read_options *read_options = hearth__check_fetch(read, &scratch);
    hearth_write_options write_options;
    if (read_options == NULL || !hearth__check_write(cache, write, 0, &write_options) ||
        write_options.if_version != 0) {
        return refuse(value, HEARTH_E_INVALID);
    }
    HEARTH__AT_END(fini_value) hearth_value unwanted = {0};
    return hearth__scoped_fetch(cache, key, key_size, loader, read_options, &write_options,
                                value != NULL ? value : &unwanted);
}

static __attribute__((noinline)) int32_t
fetch_by_options(hearth *cache, const void *key, size_t key_size, const hearth_loader *loader,
                 const hearth_read_options *read, const hearth_write_options *write,
                 hearth_value *value) {
    if (cache == NULL || !hearth__check_key(key, key_size) || loader == NULL ||
        loader->size < sizeof *loader || loader->load == NULL) {
        return refuse(value, HEARTH_E_INVALID);
    }
    if (write == NULL && takes_any_hit(read, value) &&
        hearth__chain_hit(cache, key, key_size, value)) {
        return HEARTH_OK;
    }
    if (!hearth__cache_enter(cache)) {
        return refuse(value, HEARTH_E_CLOSED);
    }
    HEARTH__AT_END(hearth__cache_left) hearth *inside = cache;
    return fetch(inside, key, key_size, loader, read, write, value);
}

int32_t hearth_fetch(hearth *cache, const void *key, size_t key_size,
                     const hearth_loader *loader, const hearth_read_options *read,
                     const hearth_write_options *write, hearth_value *value) {
    bool is_plain = cache != NULL && hearth__check_key(key, key_size) && loader != NULL &&
                    loader->size >= sizeof *loader && loader->load != NULL && read == NULL &&
                    write == NULL && value != NULL;
    return is_plain ? hearth__chain_fetch_by_default(cache, key, key_size, loader, value)
                    : fetch_by_options(cache, key, key_size, loader, read, write, value);
}

/* ---- in a loader ------------------------------------------------------------------------ */

int32_t hearth_fill_value(hearth_fill *fill, const void *data, size_t size) {
    return fill != NULL ? hearth__fill_value(fill, data, size) : HEARTH_E_INVALID;
}

int32_t hearth_fill_absent(hearth_fill *fill) {
    return fill != NULL ? hearth__fill_absent(fill) : HEARTH_E_INVALID;
}

int32_t hearth_fill_stale(const hearth_fill *fill, const void **data, size_t *size,
                          hearth_info *info) {
    if (fill == NULL || data == NULL || size == NULL) {
        return HEARTH_E_INVALID;
    }
    hearth_info own;
    int32_t status = hearth__fill_stale(fill, data, size, &own);
    bool given =
        status != HEARTH_OK || info == NULL || hearth__check_give(info, &own, sizeof own);
    return given ? status : HEARTH_E_INVALID;
}

int32_t hearth_fill_unchanged(hearth_fill *fill) {
    return fill != NULL ? hearth__fill_unchanged(fill) : HEARTH_E_INVALID;
}

int32_t hearth_fill_ttl(hearth_fill *fill, int64_t ttl_ms, int64_t soft_ttl_ms) {
    if (fill == NULL || !hearth__check_lives(ttl_ms, soft_ttl_ms)) {
        return HEARTH_E_INVALID;
    }
    return hearth__fill_ttl(fill, ttl_ms, soft_ttl_ms);
}

int32_t hearth_fill_tag(hearth_fill *fill, const void *tag, size_t tag_size) {
    return fill != NULL
               ? hearth__fill_tag(fill, hearth__check_tag(tag, tag_size) ? tag : NULL, tag_size)
               : HEARTH_E_INVALID;
}

/* ---- in steps --------------------------------------------------------------------------- */

int32_t hearth_fetch_begin(hearth *cache, const void *key, size_t key_size,
                           const hearth_read_options *read, hearth_value *value,
                           hearth_fill **fill) {
    hearth_read_options scratch;
    const hearth_read_options *options = hearth__check_begin(read, &scratch);
    if (fill != NULL) {
        *fill = NULL;
    }
    if (cache == NULL || !hearth__check_key(key, key_size) || options == NULL || fill == NULL) {
        return refuse(value, HEARTH_E_INVALID);
    }
    if (!hearth__cache_enter(cache)) {
        return refuse(value, HEARTH_E_CLOSED);
    }
    hearth_value unwanted = {0};
    int32_t status = hearth__scoped_fetch_begin(cache, key, key_size, options,
                                                value != NULL ? value : &unwanted, fill);
    hearth__buffer_fini(&unwanted.bytes);
    hearth__cache_leave(cache);
    return status;
}

int32_t hearth_fill_commit(hearth_fill *fill, const hearth_write_options *write,
                           hearth_value *value) {
    const hearth *cache = fill != NULL ? hearth__load_begun(fill) : NULL;
    hearth_write_options options;
    if (value != NULL) {
        hearth__value_clear(value);
    }
    if (cache == NULL || !hearth__check_write(cache, write, 0, &options) ||
        options.if_version != 0) {
        return HEARTH_E_INVALID;
    }
    return hearth__load_commit(fill, &options, value);
}

int32_t hearth_fill_abandon(hearth_fill *fill) {
    if (fill == NULL || hearth__load_begun(fill) == NULL) {
        return HEARTH_E_INVALID;
    }
    hearth__load_abandon(fill);
    return HEARTH_OK;
}

int32_t hearth_work(hearth *cache, int64_t timeout_ms) {
    if (cache == NULL || timeout_ms < 0 || timeout_ms > HEARTH_TTL_MAX) {
        return HEARTH_E_INVALID;
    }
    if (!hearth__cache_enter(cache)) {
        return HEARTH_E_CLOSED;
    }
    int32_t status = hearth__load_work(cache, hearth__deadline_ns(timeout_ms));
    hearth__cache_leave(cache);
    return status;
}

/* ---- many ------------------------------------------------------------------------------- */

/* The first error among statuses; HEARTH_OK: there is none. */
static int32_t first_error(const int32_t *statuses, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (statuses[i] < 0) {
            return statuses[i];
        }
    }
    return HEARTH_OK;
}

static bool check_keys(size_t count, const void *const *keys, const size_t *key_sizes) {
    for (size_t i = 0; i < count; i++) {
        if (!hearth__check_key(keys[i], key_sizes[i])) {
            return false;
        }
    }
    return true;
}

static bool wants_each(size_t count, hearth_value *const *values) {
    for (size_t i = 0; values != NULL && i < count; i++) {
        if (values[i] == NULL) {
            return false;
        }
    }
    return values != NULL;
}

/* A place for every value, be it wanted or not. */
struct places {
    size_t count;
    hearth_value *const *values;
    hearth_value *unwanted;
    hearth_value **mixed;
};

static bool open_places(struct places *places, size_t count, hearth_value *const *values) {
    *places = (struct places){.count = count, .values = values};
    if (wants_each(count, values)) {
        return true;
    }
    places->unwanted = hearth__alloc_zero(count, sizeof *places->unwanted);
    places->mixed = hearth__alloc_zero(count, sizeof(hearth_value *));
    if (places->unwanted == NULL || places->mixed == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool wanted = values != NULL && values[i] != NULL;
        places->mixed[i] = wanted ? values[i] : &places->unwanted[i];
    }
    places->values = places->mixed;
    return true;
}

static void close_places(struct places *places) {
    for (size_t i = 0; places->unwanted != NULL && i < places->count; i++) {
        hearth__buffer_fini(&places->unwanted[i].bytes);
    }
    hearth__free(places->mixed);
    hearth__free(places->unwanted);
}

/* A call that is refused leaves no older answers behind. */
static int32_t refuse_many(size_t count, hearth_value *const *values, int32_t status) {
    for (size_t i = 0; values != NULL && i < count; i++) {
        (void)refuse(values[i], status);
    }
    return status;
}

/* What a call for many answers: `status` if it failed as a whole, else the first of its statuses that is an error. */
static int32_t conclude(size_t count, hearth_value *const *values, int32_t *statuses,
                        int32_t status) {
    if (status == HEARTH_OK) {
        return first_error(statuses, count);
    }
    for (size_t i = 0; i < count; i++) {
        statuses[i] = status;
    }
    return refuse_many(count, values, status);
}

int32_t hearth_get_many(hearth *cache, size_t count, const void *const *keys,
                        const size_t *key_sizes, const hearth_read_options *read,
                        hearth_value *const *values, int32_t *statuses) {
    hearth_read_options scratch;
    const hearth_read_options *options = hearth__check_read(read, &scratch);
    if (cache == NULL || keys == NULL || key_sizes == NULL || statuses == NULL ||
        !check_keys(count, keys, key_sizes) || options == NULL) {
        return refuse_many(count, values, HEARTH_E_INVALID);
    }
    if (!hearth__cache_enter(cache)) {
        return refuse_many(count, values, HEARTH_E_CLOSED);
    }
    struct places places;
    int32_t status = HEARTH_E_NOMEM;
    if (open_places(&places, count, values)) {
        status = hearth__scoped_get_many(cache, count, keys, key_sizes, options, places.values,
                                         statuses);
    }
    close_places(&places);
    hearth__cache_leave(cache);
    return conclude(count, values, statuses, status);
}

/* The caller is inside. */
static int32_t fetch_many(hearth *cache, size_t count, const void *const *keys,
                          const size_t *key_sizes, const hearth_loader *loader,
                          const hearth_read_options *read, const hearth_write_options *write,
                          hearth_value *const *values, int32_t *statuses) {
    hearth_write_options write_options;
    if (!hearth__check_write(cache, write, 0, &write_options) ||
        write_options.if_version != 0) {
        return HEARTH_E_INVALID;
    }
    HEARTH__AT_END(close_places) struct places places;
    return open_places(&places, count, values)
               ? hearth__scoped_fetch_many(cache, count, keys, key_sizes, loader, read,
                                           &write_options, places.values, statuses)
               : HEARTH_E_NOMEM;
}

static bool check_loader_of_many(const hearth_loader *loader) {
    return loader != NULL && loader->size >= sizeof *loader &&
           (loader->load != NULL || loader->load_many != NULL);
}

int32_t hearth_fetch_many(hearth *cache, size_t count, const void *const *keys,
                          const size_t *key_sizes, const hearth_loader *loader,
                          const hearth_read_options *read, const hearth_write_options *write,
                          hearth_value *const *values, int32_t *statuses) {
    hearth_read_options scratch;
    const hearth_read_options *read_options = hearth__check_fetch(read, &scratch);
    if (cache == NULL || keys == NULL || key_sizes == NULL || statuses == NULL ||
        !check_keys(count, keys, key_sizes) || !check_loader_of_many(loader) ||
        read_options == NULL) {
        return refuse_many(count, values, HEARTH_E_INVALID);
    }
    if (!hearth__cache_enter(cache)) {
        return refuse_many(count, values, HEARTH_E_CLOSED);
    }
    HEARTH__AT_END(hearth__cache_left) hearth *inside = cache;
    int32_t status = fetch_many(inside, count, keys, key_sizes, loader, read_options, write,
                                values, statuses);
    return status == HEARTH_E_INVALID ? refuse_many(count, values, status)
                                      : conclude(count, values, statuses, status);
}
