/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: whatever fails, no key that exists is denied, and what a certified filter denied it still denies. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FEW = 5, MANY = 10, NAME_BYTES = 32, PATH_BYTES = 64 };

/* ---- the application's keys ------------------------------------------------------------- */

struct names {
    unsigned count;
    unsigned given;
    char name[NAME_BYTES];
};

static const char *name_of(unsigned number) {
    static char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "there:%u", number);
    return name;
}

static int32_t next_name(void *arg, const void **key, size_t *key_size) {
    struct names *names = arg;
    if (names->given == names->count) {
        return HEARTH_MISS;
    }
    *key_size =
        (size_t)snprintf(names->name, sizeof names->name, "%s", name_of(names->given++));
    *key = names->name;
    return HEARTH_OK;
}

static int32_t rebuild_of(struct trial *trial, unsigned count) {
    struct names names = {.count = count};
    return hearth_guard_rebuild(trial->cache, next_name, &names);
}

/* Asks the guard, and no node. */
static bool is_denied(struct trial *trial, const char *key) {
    return strcmp(cache_get(trial->cache, key, HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE),
                  "ABSENT") == 0;
}

static void expect_filter(struct trial *trial, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        assert_false(is_denied(trial, name_of(i)));
    }
    assert_true(is_denied(trial, "of no source") || is_denied(trial, "of none either"));
}

static void judge_answer(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

static void certified(struct trial *trial) {
    assert_int_equal(rebuild_of(trial, FEW), HEARTH_OK);
}

static int32_t rebuild(struct trial *trial) {
    return rebuild_of(trial, MANY);
}

static void judge_first(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(is_denied(trial, "of no source") || is_denied(trial, "of none either"),
                     status == HEARTH_OK);
    assert_int_equal(rebuild(trial), HEARTH_OK);
    expect_filter(trial, MANY);
}

static void judge_rebuild(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    expect_filter(trial, status == HEARTH_OK ? MANY : FEW);
    assert_int_equal(rebuild(trial), HEARTH_OK);
    expect_filter(trial, MANY);
}

static int32_t add(struct trial *trial) {
    return hearth_guard_add(trial->cache, trial->key, strlen(trial->key));
}

static void judge_add(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_false(is_denied(trial, trial->key));
}

/* ---- its file --------------------------------------------------------------------------- */

static char folder[PATH_BYTES / 2];
static char path[PATH_BYTES];

static void make_folder(struct trial *trial) {
    certified(trial);
    (void)snprintf(folder, sizeof folder, "/tmp/hearth-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/filter", folder);
}

static int32_t save(struct trial *trial) {
    return hearth_guard_save(trial->cache, path);
}

static int32_t load(struct trial *trial) {
    return hearth_guard_load(trial->cache, path);
}

/* The file, or nothing of it: then the folder is empty. */
static void judge_save(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    if (status == HEARTH_OK) {
        assert_int_equal(load(trial), HEARTH_OK);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    expect_filter(trial, FEW);
}

/* What it was made of later is in the filter too, and stays. */
static void saved(struct trial *trial) {
    make_folder(trial);
    assert_int_equal(save(trial), HEARTH_OK);
    assert_int_equal(hearth_guard_add(trial->cache, name_of(FEW), strlen(name_of(FEW))),
                     HEARTH_OK);
}

static void judge_load(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    expect_filter(trial, FEW + 1);
}

/* ---- calls behind it -------------------------------------------------------------------- */

/* Its key is one that the filter does not have. */
static void denied(struct trial *trial) {
    static char key[NAME_BYTES];
    unsigned number = 0;
    certified(trial);
    do {
        (void)snprintf(key, sizeof key, "absent:%u", number++);
    } while (!is_denied(trial, key));
    trial->key = key;
}

static int32_t get(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value);
}

static int32_t fetch(struct trial *trial) {
    return source_fetch(trial->cache, trial->key, &trial->source, trial->value);
}

static void judge_denied(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_ABSENT);
    assert_int_equal(atomic_load(&trial->source.calls), 0);
}

static int32_t set(struct trial *trial) {
    return cache_set(trial->cache, trial->key, "new");
}

/* Denied still, or let through: whichever, what was written is found. */
static void judge_set(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    if (status == HEARTH_OK) {
        assert_string_equal(trial_in_remote(trial), "=new");
    } else {
        assert_string_equal(trial_in_local(trial), "MISS");
    }
}

/* ---- all of them ---- */

/* One denial in none is checked, or some would not be. */
static const char *const guarded[] = {
    "guard.expected_keys", "1000", "guard.view_ms", "0", "guard.audit", "0", NULL};

static const struct scenario scenarios[] = {
    {"hearth_guard_rebuild", "the first", nothing, rebuild, judge_first},
    {"hearth_guard_rebuild", "another", certified, rebuild, judge_rebuild},
    {"hearth_guard_save", "", make_folder, save, judge_save},
    {"hearth_guard_load", "", saved, load, judge_load},
    {"hearth_set", "of a key denied", denied, set, judge_set},
};

const struct scenario_set scenarios_of_guards = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
    .settings = guarded,
};

static const struct scenario without[] = {
    {"hearth_guard_add", "", certified, add, judge_add},
    {"hearth_get", "of a key denied", denied, get, judge_denied},
    {"hearth_fetch", "of a key denied", denied, fetch, judge_denied},
};

const struct scenario_set scenarios_of_guards_without_memory = {
    .scenarios = without,
    .count = sizeof without / sizeof without[0],
    .settings = guarded,
    .takes_none = true,
};
