/* SPDX-License-Identifier: Apache-2.0 */
/* Every public call while the n-th allocation fails, for every n, once alone and once with all that
 * follow: the status is HEARTH_E_NOMEM or the answer is right, nothing leaks, no local copy is
 * wrong, and the cache goes on. */
#include "api/source.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* More than the stack of a call keeps for itself: the key takes memory of the heap. */
enum { LONG_KEY = 300 };

struct trial {
    hearth *cache;
    hearth_value *value;
    struct source source;
    const char *key;
    bool failed; /* an allocation did, as far as the call itself noted */
};

/* Prepares a cache, before any allocation fails. */
typedef void (*prepare)(struct trial *trial);
/* Makes the call. */
typedef int32_t (*attempt)(struct trial *trial);
/* Looks at its status and at what is left, when memory is there again. */
typedef void (*judge)(struct trial *trial, int32_t status);

struct scenario {
    const char *name;
    prepare prepare;
    attempt attempt;
    judge judge;
};

static const char *text_of_value(const struct trial *trial) {
    static char text[64];
    (void)snprintf(text, sizeof text, "%.*s", (int)hearth_value_size(trial->value),
                   (const char *)hearth_value_data(trial->value));
    return text;
}

static const char *in_remote(struct trial *trial) {
    return cache_get(trial->cache, trial->key, HEARTH_READ_NO_LOCAL);
}

static const char *in_local(struct trial *trial) {
    return cache_get(trial->cache, trial->key, HEARTH_READ_NO_REMOTE);
}

static bool is_one_of(const char *text, const char *a, const char *b) {
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* ---- what was there before ---- */

static void nothing(struct trial *trial) {
    (void)trial;
}

static void old_value(struct trial *trial) {
    assert_int_equal(cache_set(trial->cache, trial->key, "old"), HEARTH_OK);
}

static void old_value_remotely(struct trial *trial) {
    old_value(trial);
    assert_int_equal(hearth_evict_local(trial->cache, trial->key, strlen(trial->key)),
                     HEARTH_OK);
}

static bool is_stale(void *arg) {
    return strcmp(in_remote(arg), "MISS") == 0;
}

static void stale_value(struct trial *trial) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.soft_ttl_ms = 1;
    assert_int_equal(hearth_set(trial->cache, trial->key, strlen(trial->key), "old", 3, &write),
                     HEARTH_OK);
    assert_true(await_until(is_stale, trial));
}

static void number(struct trial *trial) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    assert_int_equal(hearth_set(trial->cache, trial->key, strlen(trial->key), "41", 2, &write),
                     HEARTH_OK);
}

/* ---- reads ---- */

static int32_t get(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value);
}

static int32_t get_without_value(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, NULL);
}

static void judge_get(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(text_of_value(trial), status == HEARTH_OK ? "old" : "");
    assert_string_equal(in_remote(trial), "=old");
}

static void judge_get_without_value(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(in_remote(trial), "=old");
}

static void judge_miss(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_MISS || status == HEARTH_E_NOMEM);
    assert_string_equal(text_of_value(trial), "");
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

static int32_t fetch(struct trial *trial) {
    return source_fetch(trial->cache, trial->key, &trial->source, trial->value);
}

static void judge_load(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(text_of_value(trial), status == HEARTH_OK ? "new" : "");
    assert_true(is_one_of(in_local(trial), "=new", "MISS"));
    assert_true(is_one_of(in_remote(trial), "=new", "MISS"));
}

static void absent_source(struct trial *trial) {
    trial->source.absent = true;
}

static void judge_absence(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_ABSENT || status == HEARTH_E_NOMEM);
    assert_true(is_one_of(in_local(trial), "ABSENT", "MISS"));
    assert_true(is_one_of(in_remote(trial), "ABSENT", "MISS"));
}

static void judge_fetch_of_remote(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    const char *text = text_of_value(trial);
    assert_true(status == HEARTH_OK ? is_one_of(text, "old", "new") : text[0] == '\0');
    /* A load that read the version there may have replaced it; a copy is the same. */
    char remote[16];
    (void)snprintf(remote, sizeof remote, "%.15s", in_remote(trial));
    assert_true(is_one_of(remote, "=old", "=new"));
    assert_true(is_one_of(in_local(trial), remote, "MISS"));
}

static void judge_renewal(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    const char *text = text_of_value(trial);
    assert_true(status == HEARTH_OK ? is_one_of(text, "old", "new") : text[0] == '\0');
    assert_true(is_one_of(in_remote(trial), "=new", "MISS"));
    assert_true(is_one_of(in_local(trial), "=new", "MISS"));
}

/* ---- writes ---- */

static int32_t set(struct trial *trial) {
    return cache_set(trial->cache, trial->key, "new");
}

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
        assert_true(is_one_of(in_local(trial), "=new", "MISS"));
        assert_string_equal(in_remote(trial), "=new");
    } else {
        assert_string_equal(in_local(trial), "MISS");
        assert_true(is_one_of(in_remote(trial), "=old", "MISS"));
    }
}

static int32_t delete (struct trial *trial) {
    return hearth_delete(trial->cache, trial->key, strlen(trial->key), NULL);
}

static void judge_delete(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(in_local(trial), "MISS");
    assert_string_equal(in_remote(trial), status == HEARTH_OK ? "MISS" : "=old");
}

static int32_t touch(struct trial *trial) {
    return hearth_touch(trial->cache, trial->key, strlen(trial->key), NULL);
}

static void judge_touch(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(in_local(trial), "MISS");
    assert_string_equal(in_remote(trial), "=old");
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
        assert_string_equal(in_remote(trial), "=42");
    } else {
        assert_true(is_one_of(in_remote(trial), "=41", "MISS"));
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

/* ---- the sweep ---- */

static const struct scenario scenarios[] = {
    {"get, local", old_value, get, judge_get},
    {"get, remote", old_value_remotely, get, judge_get},
    {"get, no value", old_value, get_without_value, judge_get_without_value},
    {"get, no value, remote", old_value_remotely, get_without_value, judge_get_without_value},
    {"get, nothing there", nothing, get, judge_miss},
    {"get_many", many_values, get_many, judge_many},
    {"fetch_many", many_values, fetch_many, judge_many},
    {"fetch, a load", nothing, fetch, judge_load},
    {"fetch, an absence", absent_source, fetch, judge_absence},
    {"fetch, remote", old_value_remotely, fetch, judge_fetch_of_remote},
    {"fetch, a renewal", stale_value, fetch, judge_renewal},
    {"set", old_value, set, judge_store},
    {"set, nothing there", nothing, set, judge_store},
    {"set, if_version", old_value_with_version, swap, judge_store},
    {"add", nothing, add, judge_store},
    {"replace", old_value, replace, judge_store},
    {"delete", old_value, delete, judge_delete},
    {"touch", old_value, touch, judge_touch},
    {"increment", number, increment, judge_increment},
    {"set_many", many_values, set_many, judge_many},
    {"delete_many", many_values, delete_many, judge_many},
};

static void expect_usable(struct trial *trial) {
    assert_int_equal(cache_set(trial->cache, "after", "well"), HEARTH_OK);
    assert_string_equal(cache_get(trial->cache, "after", 0), "=well");
    assert_string_equal(cache_get(trial->cache, "after", HEARTH_READ_NO_LOCAL), "=well");
    assert_int_equal(cache_stats(trial->cache).flights, 0);
    const int32_t status = cache_set(trial->cache, trial->key, "again");
    assert_int_equal(status, HEARTH_OK);
    assert_string_equal(cache_get(trial->cache, trial->key, 0), "=again");
}

/* One run of a scenario, on a cache of its own. False: nothing failed any more. */
static bool run(const struct scenario *scenario, uint64_t successes, uint64_t failures) {
    static char key[LONG_KEY + 1];
    memset(key, 'k', LONG_KEY);
    struct trial trial = {.source = {SOURCE_INIT, .text = "new"}, .key = key};
    trial.cache = cache_open((const char *const[]){"remote.prefix", "app:", NULL});
    trial.value = hearth_value_new();
    assert_non_null(trial.cache);
    assert_non_null(trial.value);
    scenario->prepare(&trial);
    failing_memory_fail(successes, failures);
    const int32_t status = scenario->attempt(&trial);
    const bool failed = trial.failed || failing_memory_failures() != 0;
    failing_memory_pass();
    scenario->judge(&trial, status);
    expect_usable(&trial);
    hearth_value_free(trial.value);
    assert_int_equal(hearth_close(trial.cache), HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
    return failed;
}

static void every_allocation_of_every_call_may_fail(void **state) {
    (void)state;
    static const uint64_t failures[] = {1, UINT64_MAX};
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        for (size_t j = 0; j < 2; j++) {
            uint64_t successes = 0;
            while (run(&scenarios[i], successes, failures[j])) {
                successes++;
            }
            print_message("%-24s %2u allocations\n", scenarios[i].name, (unsigned)successes);
        }
    }
}

/* ---- the list of nodes: nobody connects to them ---- */

#define LIST_BEFORE "redis://10.0.0.1,10.0.0.2"
#define LIST_AFTER  "redis://10.0.0.3,10.0.0.2,10.0.0.4"

enum { OWNED = 40 };

static uint32_t owned_by(hearth *cache, uint32_t number) {
    char key[16];
    uint32_t index = UINT32_MAX;
    (void)snprintf(key, sizeof key, "key%u", number);
    assert_int_equal(hearth_node_of(cache, key, strlen(key), &index, NULL, 0), HEARTH_OK);
    return index;
}

/* All of its nodes are there, too. */
static void expect_list(hearth *cache, const char *url) {
    static char text[65536];
    size_t needed = 0;
    assert_int_equal(hearth_stats_text(cache, text, sizeof text, &needed), HEARTH_OK);
    for (const char *at = strstr(url, "10."); at != NULL; at = strstr(at + 1, "10.")) {
        char label[64];
        (void)snprintf(label, sizeof label, "hearth_node_errors_total{node=\"%.8s:6379\"} 0",
                       at);
        assert_non_null(strstr(text, label));
    }
    hearth *other = cache_open((const char *const[]){"remote.url", url, NULL});
    assert_non_null(other);
    for (uint32_t i = 0; i < OWNED; i++) {
        assert_int_equal(owned_by(cache, i), owned_by(other, i));
    }
    assert_int_equal(hearth_close(other), HEARTH_OK);
}

/* The whole list or nothing of it, and the next try is as good as the first. False: nothing failed any more. */
static bool change_the_nodes(uint64_t successes, uint64_t failures) {
    char why[64] = "";
    hearth *cache = cache_open((const char *const[]){"remote.url", LIST_BEFORE, NULL});
    assert_non_null(cache);
    failing_memory_fail(successes, failures);
    int32_t status = hearth_set_nodes(cache, LIST_AFTER, why, sizeof why);
    const bool failed = failing_memory_failures() != 0;
    failing_memory_pass();
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    expect_list(cache, status == HEARTH_OK ? LIST_AFTER : LIST_BEFORE);
    assert_int_equal(hearth_set_nodes(cache, LIST_AFTER, NULL, 0), HEARTH_OK);
    expect_list(cache, LIST_AFTER);
    assert_int_equal(hearth_set_nodes(cache, LIST_BEFORE, NULL, 0), HEARTH_OK);
    expect_list(cache, LIST_BEFORE);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(failing_memory_blocks(), 0);
    return failed;
}

static void every_allocation_of_a_new_list_may_fail(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint64_t successes = 0;
        while (change_the_nodes(successes, i == 0 ? 1 : UINT64_MAX)) {
            successes++;
        }
        print_message("%-24s %2u allocations\n", "set_nodes", (unsigned)successes);
        assert_true(successes > 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_every_call_may_fail),
        cmocka_unit_test(every_allocation_of_a_new_list_may_fail),
    };
    return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
