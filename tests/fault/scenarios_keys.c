/* SPDX-License-Identifier: Apache-2.0 */
/* Calls with keys: the status is HEARTH_E_NOMEM or the answer is right, no local copy is wrong. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- reads ---- */

static int32_t get(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value);
}

static int32_t get_without_value(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, NULL);
}

static void judge_get(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    assert_string_equal(trial_in_remote(trial), "=old");
}

static void judge_get_without_value(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_remote(trial), "=old");
}

static void judge_miss(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_MISS || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), "");
}

enum { MANY = 20 };

struct many {
    char names[MANY][16];
    const void *keys[MANY];
    size_t sizes[MANY];
    int32_t statuses[MANY];
    hearth_value *values[MANY];
};

static void name_many(struct many *many) {
    for (size_t i = 0; i < MANY; i++) {
        many->sizes[i] = (size_t)snprintf(many->names[i], sizeof many->names[i], "key%zu", i);
        many->keys[i] = many->names[i];
        many->statuses[i] = 99;
        many->values[i] = NULL;
    }
}

/* Every fourth is not there; of the others, every second has no local copy. */
static void many_values(struct trial *trial) {
    struct many many;
    name_many(&many);
    for (size_t i = 0; i < MANY; i++) {
        if (i % 4 != 3) {
            assert_int_equal(cache_set(trial->cache, many.names[i], many.names[i]), HEARTH_OK);
        }
        if (i % 4 == 1) {
            assert_int_equal(hearth_evict_local(trial->cache, many.names[i], many.sizes[i]),
                             HEARTH_OK);
        }
    }
}

static int32_t get_many(struct trial *trial) {
    struct many many;
    name_many(&many);
    for (size_t i = 0; i < MANY; i++) {
        many.values[i] = i % 3 == 0 ? NULL : hearth_value_new();
    }
    const int32_t status = hearth_get_many(trial->cache, MANY, many.keys, many.sizes, NULL,
                                           many.values, many.statuses);
    int32_t first = HEARTH_OK;
    bool right = true;
    for (size_t i = 0; i < MANY; i++) {
        const int32_t expected = i % 4 == 3 ? HEARTH_MISS : HEARTH_OK;
        const size_t size = many.statuses[i] == HEARTH_OK ? many.sizes[i] : 0;
        first = first == HEARTH_OK && many.statuses[i] < 0 ? many.statuses[i] : first;
        right = right && (many.statuses[i] == expected || many.statuses[i] == HEARTH_E_NOMEM);
        right =
            right && (many.values[i] == NULL ||
                      (hearth_value_size(many.values[i]) == size &&
                       memcmp(hearth_value_data(many.values[i]), many.names[i], size) == 0));
        hearth_value_free(many.values[i]);
    }
    return right && status == first ? status : HEARTH_E_UNKNOWN;
}

static int32_t load_name(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    (void)arg;
    return hearth_fill_value(fill, key, key_size);
}

static int32_t load_names(void *arg, size_t count, const void *const *keys,
                          const size_t *key_sizes, hearth_fill *const *fills) {
    for (size_t i = 0; i < count; i++) {
        (void)load_name(arg, keys[i], key_sizes[i], fills[i]); /* a failure is that key's */
    }
    return HEARTH_OK;
}

/* The second half of the keys is asked for twice. */
static int32_t fetch_many(struct trial *trial) {
    const hearth_loader loader = {
        .size = sizeof loader, .load = load_name, .load_many = load_names};
    struct many many;
    name_many(&many);
    for (size_t i = 0; i < MANY; i++) {
        many.values[i] = i % 3 == 0 ? NULL : hearth_value_new();
        const size_t place = i < MANY / 2 ? i + MANY / 2 : i;
        many.keys[i] = many.names[place];
        many.sizes[i] = strlen(many.names[place]);
    }
    const int32_t status = hearth_fetch_many(trial->cache, MANY, many.keys, many.sizes, &loader,
                                             NULL, NULL, many.values, many.statuses);
    bool right = true;
    for (size_t i = 0; i < MANY; i++) {
        const size_t size = many.statuses[i] == HEARTH_OK ? many.sizes[i] : 0;
        right = right && (many.statuses[i] == HEARTH_OK || many.statuses[i] == HEARTH_E_NOMEM);
        right = right && (many.values[i] == NULL ||
                          (hearth_value_size(many.values[i]) == size &&
                           memcmp(hearth_value_data(many.values[i]), many.keys[i], size) == 0));
        hearth_value_free(many.values[i]);
    }
    return right ? status : HEARTH_E_UNKNOWN;
}

static void judge_many(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

/* ---- fetches ---- */

static void absent_source(struct trial *trial) {
    trial->source.absent = true;
}

static void judge_absence(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_ABSENT || status == HEARTH_E_NOMEM);
    assert_true(is_one_of(trial_in_local(trial), "ABSENT", "MISS"));
    assert_true(is_one_of(trial_in_remote(trial), "ABSENT", "MISS"));
}

static void judge_fetch_of_remote(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    const char *text = trial_text(trial);
    assert_true(status == HEARTH_OK ? is_one_of(text, "old", "new") : text[0] == '\0');
    /* A load that read the version there may have replaced it; a copy is the same. */
    char remote[16];
    (void)snprintf(remote, sizeof remote, "%.15s", trial_in_remote(trial));
    assert_true(is_one_of(remote, "=old", "=new"));
    assert_true(is_one_of(trial_in_local(trial), remote, "MISS"));
}

/* ---- writes ---- */

static int32_t add(struct trial *trial) {
    return hearth_add(trial->cache, trial->key, strlen(trial->key), "new", 3, NULL);
}

static int32_t replace(struct trial *trial) {
    return hearth_replace(trial->cache, trial->key, strlen(trial->key), "new", 3, NULL);
}

static int32_t swap(struct trial *trial) {
    hearth_info info = {.size = sizeof info};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    (void)hearth_value_info(trial->value, &info);
    write.if_version = info.version;
    return hearth_set(trial->cache, trial->key, strlen(trial->key), "new", 3, &write);
}

static void old_value_with_version(struct trial *trial) {
    old_value(trial);
    assert_int_equal(get(trial), HEARTH_OK);
}

/* What failed is not in the local tier; what is, is what the node holds. */
static void judge_store(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    if (status == HEARTH_OK) {
        assert_true(is_one_of(trial_in_local(trial), "=new", "MISS"));
        assert_string_equal(trial_in_remote(trial), "=new");
    } else {
        assert_string_equal(trial_in_local(trial), "MISS");
        assert_true(is_one_of(trial_in_remote(trial), "=old", "MISS"));
    }
}

static int32_t delete (struct trial *trial) {
    return hearth_delete(trial->cache, trial->key, strlen(trial->key), NULL);
}

static void judge_delete(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_string_equal(trial_in_remote(trial), status == HEARTH_OK ? "MISS" : "=old");
}

static int32_t touch(struct trial *trial) {
    return hearth_touch(trial->cache, trial->key, strlen(trial->key), NULL);
}

static void judge_touch(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_string_equal(trial_in_remote(trial), "=old");
}

static void number(struct trial *trial) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    assert_int_equal(hearth_set(trial->cache, trial->key, strlen(trial->key), "41", 2, &write),
                     HEARTH_OK);
}

static int32_t increment(struct trial *trial) {
    int64_t sum = 5;
    const int32_t status =
        hearth_increment(trial->cache, trial->key, strlen(trial->key), 1, &sum, NULL);
    return sum == (status == HEARTH_OK ? 42 : 5) ? status : HEARTH_E_UNKNOWN;
}

static void judge_increment(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    if (status == HEARTH_OK) {
        assert_string_equal(trial_in_remote(trial), "=42");
    } else {
        assert_true(is_one_of(trial_in_remote(trial), "=41", "MISS"));
    }
}

static int32_t write_many(struct trial *trial, bool stores) {
    static const void *data[MANY];
    static size_t sizes[MANY];
    struct many many;
    name_many(&many);
    for (size_t i = 0; i < MANY; i++) {
        data[i] = "new";
        sizes[i] = 3;
    }
    const int32_t status = stores ? hearth_set_many(trial->cache, MANY, many.keys, many.sizes,
                                                    data, sizes, NULL, many.statuses)
                                  : hearth_delete_many(trial->cache, MANY, many.keys,
                                                       many.sizes, NULL, many.statuses);
    trial->failed = failing_memory_failures() != 0;
    failing_memory_pass(); /* what follows only looks */
    int32_t first = HEARTH_OK;
    bool right = true;
    for (size_t i = 0; i < MANY; i++) {
        const char *now = stores ? "=new" : "MISS";
        const char *copy = cache_get(trial->cache, many.names[i], HEARTH_READ_NO_REMOTE);
        first = first == HEARTH_OK && many.statuses[i] < 0 ? many.statuses[i] : first;
        if (many.statuses[i] >= 0) {
            right = right && is_one_of(copy, now, "MISS");
            copy = cache_get(trial->cache, many.names[i], HEARTH_READ_NO_LOCAL);
            right = right && strcmp(copy, now) == 0;
        } else {
            right = right && many.statuses[i] == HEARTH_E_NOMEM && strcmp(copy, "MISS") == 0;
        }
    }
    return right && status == first ? status : HEARTH_E_UNKNOWN;
}

static int32_t set_many(struct trial *trial) {
    return write_many(trial, true);
}

static int32_t delete_many(struct trial *trial) {
    return write_many(trial, false);
}

/* ---- all of them ---- */

static const struct scenario scenarios[] = {
    {"hearth_get", "local", old_value, get, judge_get},
    {"hearth_get", "remote", old_value_remotely, get, judge_get},
    {"hearth_get", "no value", old_value, get_without_value, judge_get_without_value},
    {"hearth_get", "no value, remote", old_value_remotely, get_without_value,
     judge_get_without_value},
    {"hearth_get", "nothing there", nothing, get, judge_miss},
    {"hearth_get_many", "", many_values, get_many, judge_many},
    {"hearth_fetch_many", "", many_values, fetch_many, judge_many},
    {"hearth_fetch", "a load", nothing, trial_fetch, judge_trial_load},
    {"hearth_fetch", "an absence", absent_source, trial_fetch, judge_absence},
    {"hearth_fetch", "remote", old_value_remotely, trial_fetch, judge_fetch_of_remote},
    {"hearth_fetch", "a renewal", stale_value, trial_fetch, judge_trial_renewal},
    {"hearth_set", "", old_value, trial_set, judge_store},
    {"hearth_set", "nothing there", nothing, trial_set, judge_store},
    {"hearth_set", "if_version", old_value_with_version, swap, judge_store},
    {"hearth_add", "", nothing, add, judge_store},
    {"hearth_replace", "", old_value, replace, judge_store},
    {"hearth_delete", "", old_value, delete, judge_delete},
    {"hearth_touch", "", old_value, touch, judge_touch},
    {"hearth_increment", "", number, increment, judge_increment},
    {"hearth_set_many", "", many_values, set_many, judge_many},
    {"hearth_delete_many", "", many_values, delete_many, judge_many},
};

const struct scenario_set scenarios_of_keys = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
    .settings = (const char *const[]){"remote.prefix", "app:", NULL},
};
