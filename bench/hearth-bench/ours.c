/* SPDX-License-Identifier: Apache-2.0 */
#include "hearth-bench/ours.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- an object sink --------------------------------------------------------------------- */

/* Their addresses are the object for any value, and that for a miss. */
static char something;
static char nothing;

/* What an application makes of a value is not what is measured. */
static void *make_something(const char *data, ptrdiff_t size) {
    (void)data;
    (void)size;
    return &something;
}

/* ---- a cache ---------------------------------------------------------------------------- */

static int open_cache(struct ours *ours, const struct bench *bench,
                      const struct ours_settings *wanted) {
    char bytes[32];
    char entry_bytes[32];
    char expected_bytes[32];
    (void)snprintf(bytes, sizeof bytes, "%zu", wanted->max_bytes);
    (void)snprintf(entry_bytes, sizeof entry_bytes, "%zu", wanted->max_entry_bytes);
    (void)snprintf(expected_bytes, sizeof expected_bytes, "%zu",
                   wanted->expected_entry_bytes != 0 ? wanted->expected_entry_bytes : 128);
    const char *const settings[][2] = {
        {"remote.url", "embedded://"},
        {"embedded.max_bytes", "4mb"},       /* it is not what is measured, */
        {"remote.max_value_bytes", "128kb"}, /* so it is small */
        {"local.max_bytes", bytes},
        {"local.max_entry_bytes", entry_bytes},
        {"local.expected_entry_bytes", expected_bytes},
        {"ttl_ms", "12h"}, /* values have a life, so its check is paid, but outlive the run */
    };
    hearth_options *options = hearth_options_new();
    int32_t status = options != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    for (size_t i = 0; status == HEARTH_OK && i < sizeof settings / sizeof settings[0]; i++) {
        status = hearth_options_set(options, settings[i][0], settings[i][1]);
    }
    if (status == HEARTH_OK) {
        status = hearth_options_set_sink(options, make_something, NULL, &nothing);
    }
    if (status == HEARTH_OK) {
        status = hearth_open(options, &ours->cache);
    }
    int result = 0;
    if (status != HEARTH_OK) {
        result = bench_fail(bench, "no cache: %s", hearth_options_error(options));
    }
    hearth_options_free(options);
    return result;
}

int ours_open(struct ours *ours, const struct bench *bench,
              const struct ours_settings *settings) {
    *ours = (struct ours){.order = settings->order, .value_size = settings->value_size};
    hearth_write_options_init(&ours->write, sizeof ours->write);
    ours->write.flags = HEARTH_WRITE_NO_REMOTE;
    for (size_t thread = 0; thread < CREW_THREADS; thread++) {
        for (size_t i = 0; i < OURS_MANY; i++) {
            ours->values[thread][i] = hearth_value_new();
            if (ours->values[thread][i] == NULL) {
                return bench_fail(bench, "no memory");
            }
        }
    }
    return open_cache(ours, bench, settings);
}

void ours_close(struct ours *ours) {
    for (size_t thread = 0; thread < CREW_THREADS; thread++) {
        for (size_t i = 0; i < OURS_MANY; i++) {
            hearth_value_free(ours->values[thread][i]);
        }
    }
    (void)hearth_close(ours->cache);
    *ours = (struct ours){0};
}

hearth_stats ours_stats(const struct ours *ours) {
    hearth_stats stats = {.size = sizeof stats};
    (void)hearth_stats_get(ours->cache, &stats);
    return stats;
}

/* ---- one key ---------------------------------------------------------------------------- */

int32_t ours_put(struct ours *ours, uint32_t id) {
    char key[KEY_SIZE];
    unsigned char value[VALUE_SIZE];
    key_write(key, id);
    value_write(value, VALUE_SIZE, id);
    return hearth_set(ours->cache, key, KEY_SIZE, value, VALUE_SIZE, &ours->write);
}

bool ours_find(struct ours *ours, uint32_t id) {
    char key[KEY_SIZE];
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    key_write(key, id);
    return hearth_get(ours->cache, key, KEY_SIZE, &read, ours->values[0][0]) == HEARTH_OK;
}

/* ---- all keys --------------------------------------------------------------------------- */

int ours_fill(struct ours *ours, const struct bench *bench, uint32_t count) {
    uint32_t *ids = insertion_order(count, bench->seed);
    void *value = malloc(ours->value_size);
    int32_t status = ids != NULL && value != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
    if (status == HEARTH_OK) {
        value_write(value, ours->value_size, 0);
    }
    bench_progress(bench, "filling");
    for (uint32_t i = 0; status == HEARTH_OK && i < count; i++) {
        char key[KEY_SIZE];
        key_write(key, ids[i]);
        value_readdress(value, ours->value_size, ids[i]);
        status = hearth_set(ours->cache, key, KEY_SIZE, value, ours->value_size, &ours->write);
    }
    bench_progress_end(bench);
    free(ids);
    free(value);
    return status == HEARTH_OK ? 0 : bench_fail(bench, "set: %s", hearth_strerror(status));
}

static bool holds_own_value(const struct ours *ours, uint32_t id) {
    const hearth_value *value = ours->values[0][0];
    return hearth_value_size(value) == ours->value_size &&
           value_is(hearth_value_data(value), ours->value_size, id);
}

/* Whether a key is there. -1: with the value of another, and bench_fail() has said so. */
static int look(struct ours *ours, const struct bench *bench, uint32_t id) {
    if (!ours_find(ours, id)) {
        return 0;
    }
    return holds_own_value(ours, id) ? 1
                                     : bench_fail(bench, "key %u has the value of another", id);
}

/* Which key to ask for instead of each: itself, or a neighbour that is there. */
static int find_instead(struct ours *ours, const struct bench *bench, uint32_t count,
                        uint32_t *instead) {
    uint32_t absent = 0;
    uint32_t last = 0;
    for (uint32_t id = 0; id < count; id++) {
        int there = look(ours, bench, id);
        if (there < 0) {
            return -1;
        }
        absent += !there;
        last = there ? id : last;
        instead[id] = last;
    }
    for (uint32_t id = 0; id < count && instead[id] != id; id++) {
        instead[id] = last; /* those before the first that is there */
    }
    return absent <= count / 100
               ? 0
               : bench_fail(bench, "%u of %u keys are not in the local tier", absent, count);
}

int ours_verify(struct ours *ours, const struct bench *bench, uint32_t count,
                struct order *order) {
    uint32_t *instead = malloc(count * sizeof *instead);
    int failed = instead == NULL ? bench_fail(bench, "no memory")
                                 : find_instead(ours, bench, count, instead);
    if (failed == 0) {
        order_replace(order, instead);
    }
    free(instead);
    return failed;
}

int ours_repair(struct ours *ours, const struct bench *bench) {
    size_t count = ours->order->per_thread * CREW_THREADS;
    size_t absent = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t id = ours->order->ids[i];
        int there = look(ours, bench, id);
        if (there < 0) {
            return -1;
        }
        absent += !there;
        if (!there && ours_put(ours, id) != HEARTH_OK) {
            return bench_fail(bench, "set failed");
        }
    }
    return absent <= count / 1000
               ? 0
               : bench_fail(bench, "%zu of %zu requests found no local value", absent, count);
}

int ours_contest(struct ours *ours, struct bench *bench, struct party *parties, size_t count,
                 uint64_t misses_most) {
    hearth_stats before = ours_stats(ours);
    if (crew_contest(bench, parties, count) != 0) {
        return -1;
    }
    hearth_stats after = ours_stats(ours);
    uint64_t reads = after.reads - before.reads;
    uint64_t hits = after.local_hits - before.local_hits;
    if (reads == 0 || reads - hits > reads * misses_most / 1000000) {
        return bench_fail(bench, "%llu of %llu reads were local hits", (unsigned long long)hits,
                          (unsigned long long)reads);
    }
    return 0;
}

/* ---- parties ---------------------------------------------------------------------------- */

uint64_t ours_get(void *arg, unsigned thread, size_t from, size_t count) {
    struct ours *ours = arg;
    const struct request *requests = order_requests(ours->order, thread, from);
    hearth_value *value = ours->values[thread][0];
    uint64_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        missed += hearth_get(ours->cache, requests[i].key, KEY_SIZE, NULL, value) != HEARTH_OK;
    }
    return missed;
}

uint64_t ours_get_with(void *arg, unsigned thread, size_t from, size_t count) {
    struct ours *ours = arg;
    const struct request *requests = order_requests(ours->order, thread, from);
    uint64_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        missed += hearth_get_with(ours->cache, requests[i].key, KEY_SIZE) != &something;
    }
    return missed;
}

static int32_t refuse_to_load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    (void)key;
    (void)key_size;
    (void)fill;
    return HEARTH_E_LOADER;
}

uint64_t ours_fetch(void *arg, unsigned thread, size_t from, size_t count) {
    struct ours *ours = arg;
    const hearth_loader loader = {.size = sizeof loader, .load = refuse_to_load};
    const struct request *requests = order_requests(ours->order, thread, from);
    hearth_value *value = ours->values[thread][0];
    uint64_t missed = 0;
    for (size_t i = 0; i < count; i++) {
        missed += hearth_fetch(ours->cache, requests[i].key, KEY_SIZE, &loader, NULL, NULL,
                               value) != HEARTH_OK;
    }
    return missed;
}

uint64_t ours_get_many(void *arg, unsigned thread, size_t from, size_t count) {
    struct ours *ours = arg;
    const struct request *requests = order_requests(ours->order, thread, from);
    const void *keys[OURS_MANY];
    size_t sizes[OURS_MANY];
    int32_t statuses[OURS_MANY];
    uint64_t missed = 0;
    for (size_t at = 0; at < count; at += OURS_MANY) {
        for (size_t i = 0; i < OURS_MANY; i++) {
            keys[i] = requests[at + i].key;
            sizes[i] = KEY_SIZE;
        }
        (void)!hearth_get_many(ours->cache, OURS_MANY, keys, sizes, NULL, ours->values[thread],
                               statuses);
        for (size_t i = 0; i < OURS_MANY; i++) {
            missed += statuses[i] != HEARTH_OK;
        }
    }
    return missed;
}

uint64_t ours_set(void *arg, unsigned thread, size_t from, size_t count) {
    struct ours *ours = arg;
    const struct request *requests = order_requests(ours->order, thread, from);
    const uint32_t *ids = order_ids(ours->order, thread, from);
    unsigned char value[VALUE_SIZE];
    uint64_t failed = 0;
    value_write(value, VALUE_SIZE, 0);
    for (size_t i = 0; i < count; i++) {
        value_readdress(value, VALUE_SIZE, ids[i]);
        failed += hearth_set(ours->cache, requests[i].key, KEY_SIZE, value, VALUE_SIZE,
                             &ours->write) != HEARTH_OK;
    }
    return failed;
}

uint64_t ours_mixed(void *arg, unsigned thread, size_t from, size_t count) {
    struct ours *ours = arg;
    const struct request *requests = order_requests(ours->order, thread, from);
    const uint32_t *ids = order_ids(ours->order, thread, from);
    hearth_value *value = ours->values[thread][0];
    unsigned char written[VALUE_SIZE];
    uint64_t wrong = 0;
    value_write(written, VALUE_SIZE, 0);
    for (size_t i = 0; i < count; i++) {
        const char *key = requests[i].key;
        int32_t status = HEARTH_OK;
        if (requests[i].writes != 0) {
            value_readdress(written, VALUE_SIZE, ids[i]);
            status = hearth_set(ours->cache, key, KEY_SIZE, written, VALUE_SIZE, &ours->write);
        } else {
            status = hearth_get(ours->cache, key, KEY_SIZE, NULL, value);
        }
        wrong +=
            status < 0; /* another thread's set may leave nothing: the contest counts misses */
    }
    return wrong;
}
