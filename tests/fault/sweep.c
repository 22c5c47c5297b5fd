/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "base/thread_buffer.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

enum { LONG_KEY = 300 };

const char *trial_text(const struct trial *trial) {
    static char text[64];
    (void)snprintf(text, sizeof text, "%.*s", (int)hearth_value_size(trial->value),
                   (const char *)hearth_value_data(trial->value));
    return text;
}

const char *trial_in_remote(struct trial *trial) {
    return cache_get(trial->cache, trial->key, HEARTH_READ_NO_LOCAL);
}

const char *trial_in_local(struct trial *trial) {
    return cache_get(trial->cache, trial->key, HEARTH_READ_NO_REMOTE);
}

bool is_one_of(const char *text, const char *a, const char *b) {
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* ---- what was there before ---- */

void nothing(struct trial *trial) {
    (void)trial;
}

void old_value(struct trial *trial) {
    assert_int_equal(cache_set(trial->cache, trial->key, "old"), HEARTH_OK);
}

void old_value_remotely(struct trial *trial) {
    old_value(trial);
    assert_int_equal(hearth_evict_local(trial->cache, trial->key, strlen(trial->key)),
                     HEARTH_OK);
}

/* By no clock: the tiers' are not the same to the millisecond. */
void stale_value(struct trial *trial) {
    old_value(trial);
    assert_int_equal(hearth_mark_stale(trial->cache, trial->key, strlen(trial->key), NULL),
                     HEARTH_OK);
}

/* ---- the runs ---- */

static void expect_usable(struct trial *trial) {
    assert_int_equal(cache_set(trial->cache, "after", "well"), HEARTH_OK);
    assert_string_equal(cache_get(trial->cache, "after", 0), "=well");
    assert_string_equal(cache_get(trial->cache, "after", HEARTH_READ_NO_LOCAL), "=well");
    assert_int_equal(cache_stats(trial->cache).flights, 0);
    const int32_t status = cache_set(trial->cache, trial->key, "again");
    assert_int_equal(status, HEARTH_OK);
    assert_string_equal(cache_get(trial->cache, trial->key, 0), "=again");
}

/* It would not be asked for again. */
static void drop_buffer_of_thread(void) {
    hearth__buffer kept = hearth__thread_buffer_take();
    hearth__buffer_fini(&kept);
}

static void end(struct trial *trial) {
    if (trial->fill != NULL) {
        assert_int_equal(hearth_fill_abandon(trial->fill), HEARTH_OK);
    }
    assert_int_equal(hearth_queue_close(trial->queue, NULL, NULL), HEARTH_OK);
    assert_int_equal(hearth_close(trial->view), HEARTH_OK);
    if (trial->cache != NULL) {
        expect_usable(trial);
    }
    hearth_value_free(trial->value);
    assert_int_equal(hearth_close(trial->cache), HEARTH_OK);
    drop_buffer_of_thread();
    assert_int_equal(failing_memory_blocks(), 0);
}

/* One run of a scenario, on a cache of its own. False: nothing failed any more. */
static bool run(const struct scenario *scenario, const char *const *settings,
                uint64_t successes, uint64_t failures) {
    static unsigned runs;
    static char key[LONG_KEY + 1];
    struct trial trial = {.source = {SOURCE_INIT, .text = "new"}, .key = key};
    memset(key, 'k', LONG_KEY);
    key[snprintf(key, sizeof key, "%u", runs++)] = '-'; /* a server may have the one before */
    assert_int_equal(cache_open_with_value(settings, &trial.cache, &trial.value), 0);
    scenario->prepare(&trial);
    failing_memory_fail(successes, failures);
    const int32_t status = scenario->attempt(&trial);
    const bool failed = trial.failed || failing_memory_failures() != 0;
    failing_memory_pass();
    scenario->judge(&trial, status);
    end(&trial);
    return failed;
}

static void run_all(const struct scenario *scenario, const char *const *settings) {
    static const uint64_t failures[] = {1, UINT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        uint64_t successes = 0;
        while (run(scenario, settings, successes, failures[i])) {
            successes++;
        }
        print_message("%-24s %-24s %2u allocations\n", scenario->call, scenario->name,
                      (unsigned)successes);
        assert_true(successes != 0);
    }
}

void sweep(const struct scenario_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (set->takes_none) {
            print_message("%-24s %s\n", set->scenarios[i].call, set->scenarios[i].name);
            assert_false(run(&set->scenarios[i], set->settings, 0, UINT64_MAX));
        } else {
            run_all(&set->scenarios[i], set->settings);
        }
    }
}

/* ---- what several sets do ---------------------------------------------------------------- */

char trial_source_text[8];

int32_t trial_fetch(struct trial *trial) {
    return source_fetch(trial->cache, trial->key, &trial->source, trial->value);
}

void judge_trial_load(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "new" : "");
    assert_true(is_one_of(trial_in_local(trial), "=new", "MISS"));
    assert_true(is_one_of(trial_in_remote(trial), "=new", "MISS"));
}

void judge_trial_renewal(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    const char *text = trial_text(trial);
    assert_true(status == HEARTH_OK ? is_one_of(text, "old", "new") : text[0] == '\0');
    assert_true(is_one_of(trial_in_remote(trial), "=new", "MISS"));
    assert_true(is_one_of(trial_in_local(trial), "=new", "MISS"));
}

int32_t trial_set(struct trial *trial) {
    return cache_set(trial->cache, trial->key, "new");
}

static int32_t change_source(void *arg, const void *key, size_t key_size, const void *data,
                             size_t size) {
    (void)arg;
    (void)key;
    (void)key_size;
    memcpy(trial_source_text, data, size);
    trial_source_text[size] = '\0';
    return HEARTH_OK;
}

void old_source_and_value(struct trial *trial) {
    (void)snprintf(trial_source_text, sizeof trial_source_text, "old");
    old_value(trial);
}

int32_t trial_write_through(struct trial *trial) {
    return hearth_write_through(trial->cache, trial->key, strlen(trial->key), "new", 3,
                                change_source, NULL, NULL);
}
