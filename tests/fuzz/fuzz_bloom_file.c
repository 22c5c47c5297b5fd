/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hearth_guard_load(): the first byte says whether header and sums are made to match, so that what lies
 * behind them is reached too. Whatever is loaded, a key that this process added is not denied.
 */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "guard/bloom.h"
#include "guard/bloom_image.h"
#include "tier/cache.h"

#include <hearth/errors.h>
#include <hearth/hearth.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 16 };

static const char KEY[] = "added before";

static void expect(bool holds) {
    if (!holds) {
        abort();
    }
}

static hearth *cache_with_guard(void) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    expect(options != NULL);
    expect(hearth_options_set(options, "remote.url", "embedded://") == HEARTH_OK);
    expect(hearth_options_set(options, "local.max_bytes", "0") == HEARTH_OK);
    expect(hearth_options_set(options, "guard.expected_keys", "1000") == HEARTH_OK);
    expect(hearth_open(options, &cache) == HEARTH_OK);
    hearth_options_free(options);
    return cache;
}

/* A file whose sums are right, whatever its other numbers say. */
static unsigned char *sealed(const hearth *cache, const uint8_t *data, size_t size) {
    hearth__bloom_image image = {.seed = cache->guard.seed};
    unsigned char *file = hearth__alloc(HEARTH__BLOOM_IMAGE_HEADER + size);
    expect(file != NULL);
    image.generation = data[9];
    image.blocks = size / HEARTH__BLOOM_BLOCK;
    image.blocks += data[8] >= 200 ? data[8] : 0;
    const size_t piece = (size_t)HEARTH__BLOOM_IMAGE_PIECE * HEARTH__BLOOM_BLOCK;
    for (size_t at = 0; at < size; at += piece) {
        size_t left = size - at;
        image.sum = hearth__bloom_image_sum(image.sum, data + at, left < piece ? left : piece);
    }
    hearth__bloom_image_compose(&image, file);
    memcpy(file + HEARTH__BLOOM_IMAGE_HEADER, data, size);
    return file;
}

static hearth *open_cache;

/* A file that is refused changes nothing, so the next one may find the same cache. */
static hearth *cache_to_load(void) {
    if (open_cache == NULL) {
        open_cache = cache_with_guard();
        expect(hearth_guard_add(open_cache, KEY, sizeof KEY) == HEARTH_OK);
    }
    return open_cache;
}

static void close_cache(void) {
    expect(open_cache == NULL || hearth_close(open_cache) == HEARTH_OK);
    open_cache = NULL;
}

int fuzz_bloom_file(const uint8_t *data, size_t size) {
    static bool is_begun;
    if (size == 0) {
        return 0;
    }
    if (!is_begun) {
        is_begun = atexit(close_cache) == 0;
    }
    hearth *cache = cache_to_load();
    hearth_value *value = hearth_value_new();
    expect(value != NULL);
    bool seals = (data[0] & 1) != 0 && size > FIELDS;
    unsigned char *own = seals ? sealed(cache, data + 1, size - 1) : NULL;
    const char *path = seals ? fuzz_file(own, HEARTH__BLOOM_IMAGE_HEADER + size - 1)
                             : fuzz_file(data + 1, size - 1);
    int32_t status = hearth_guard_load(cache, path);
    hearth__free(own);
    expect(status == HEARTH_OK || status == HEARTH_CONFLICT || status == HEARTH_E_PROTOCOL);
    expect(hearth_get(cache, KEY, sizeof KEY, NULL, value) != HEARTH_ABSENT);
    hearth_value_free(value);
    if (status == HEARTH_OK) {
        close_cache();
    }
    return 0;
}
