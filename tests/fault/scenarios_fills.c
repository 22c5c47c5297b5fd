/* SPDX-License-Identifier: Apache-2.0 */
/* Loads that no call carries out from its beginning to its end: fills that a caller has begun, loads on a lent thread, and
 * write-through. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void judge_answer(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

/* ---- a fill is begun -------------------------------------------------------------------- */

static int32_t begin(struct trial *trial) {
    return hearth_fetch_begin(trial->cache, trial->key, strlen(trial->key), NULL, trial->value,
                              &trial->fill);
}

/* It is ended, and whoever comes then has the value. */
static void commit_new(struct trial *trial) {
    assert_int_equal(hearth_fill_value(trial->fill, "new", 3), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(trial->fill, NULL, trial->value), HEARTH_OK);
    trial->fill = NULL;
    assert_string_equal(trial_text(trial), "new");
    assert_string_equal(trial_in_remote(trial), "=new");
}

static void judge_begin(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_MISS || status == HEARTH_E_NOMEM);
    assert_int_equal(trial->fill != NULL, status == HEARTH_MISS);
    assert_string_equal(trial_text(trial), "");
    if (trial->fill != NULL) {
        commit_new(trial);
    }
}

/* Who cannot renew a stale value has it all the same, or is told. */
static void judge_begin_renewal(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    assert_true(trial->fill == NULL || status == HEARTH_OK);
    if (trial->fill != NULL) {
        commit_new(trial);
    }
}

/* A node that cannot be asked leaves it to be loaded. */
static void judge_begin_hit(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_MISS || status == HEARTH_E_NOMEM);
    assert_int_equal(trial->fill != NULL, status == HEARTH_MISS);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    if (trial->fill != NULL) {
        assert_int_equal(hearth_fill_abandon(trial->fill), HEARTH_OK);
        trial->fill = NULL;
    }
    assert_string_equal(trial_in_remote(trial), "=old");
}

/* ---- and given something ---------------------------------------------------------------- */

static void begun(struct trial *trial) {
    assert_int_equal(begin(trial), HEARTH_MISS);
}

static void begun_renewal(struct trial *trial) {
    stale_value(trial);
    assert_int_equal(begin(trial), HEARTH_OK);
    assert_non_null(trial->fill);
}

static int32_t give_value(struct trial *trial) {
    return hearth_fill_value(trial->fill, trial->key, strlen(trial->key));
}

static int32_t give_tag(struct trial *trial) {
    return hearth_fill_tag(trial->fill, trial->key, 200);
}

static int32_t give_unchanged(struct trial *trial) {
    return hearth_fill_unchanged(trial->fill);
}

/* What was refused is not stored as something else. */
static void judge_gift(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    const int32_t ended = hearth_fill_commit(trial->fill, NULL, trial->value);
    trial->fill = NULL;
    assert_int_equal(ended, status);
    assert_int_equal(hearth_value_size(trial->value),
                     status == HEARTH_OK ? strlen(trial->key) : 0);
    assert_int_equal(strcmp(trial_in_remote(trial), "MISS") == 0, status != HEARTH_OK);
}

static void judge_tag(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(hearth_fill_value(trial->fill, "new", 3), HEARTH_OK);
    const int32_t ended = hearth_fill_commit(trial->fill, NULL, trial->value);
    trial->fill = NULL;
    assert_int_equal(ended, status);
    assert_int_equal(hearth_invalidate_tag(trial->cache, trial->key, 200, NULL), HEARTH_OK);
    assert_string_not_equal(trial_in_remote(trial), "=new");
}

static void judge_unchanged(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    const int32_t ended = hearth_fill_commit(trial->fill, NULL, trial->value);
    trial->fill = NULL;
    assert_true(ended == HEARTH_OK || (status == HEARTH_E_NOMEM && ended < 0));
    assert_string_equal(cache_get(trial->cache, trial->key, HEARTH_READ_ALLOW_STALE), "=old");
}

static int32_t give_absence(struct trial *trial) {
    return hearth_fill_absent(trial->fill);
}

static void judge_absence(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_int_equal(hearth_fill_commit(trial->fill, NULL, trial->value), HEARTH_ABSENT);
    trial->fill = NULL;
    assert_string_equal(trial_in_remote(trial), "ABSENT");
}

static int32_t give_ttl(struct trial *trial) {
    return hearth_fill_ttl(trial->fill, 60000, 30000);
}

static void judge_ttl(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    commit_new(trial);
}

static int32_t look_at_stale(struct trial *trial) {
    hearth_info info = {.size = sizeof info};
    const void *data = NULL;
    size_t size = 0;
    const int32_t status = hearth_fill_stale(trial->fill, &data, &size, &info);
    return size == 3 && memcmp(data, "old", size) == 0 ? status : HEARTH_E_UNKNOWN;
}

/* ---- and ended -------------------------------------------------------------------------- */

static void filled(struct trial *trial) {
    begun(trial);
    assert_int_equal(hearth_fill_value(trial->fill, "new", 3), HEARTH_OK);
}

static void filled_renewal(struct trial *trial) {
    begun_renewal(trial);
    assert_int_equal(hearth_fill_value(trial->fill, "new", 3), HEARTH_OK);
}

static int32_t commit(struct trial *trial) {
    const int32_t status = hearth_fill_commit(trial->fill, NULL, trial->value);
    trial->fill = NULL;
    return status;
}

static void judge_commit(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_true(status != HEARTH_OK || strcmp(trial_text(trial), "new") == 0);
    assert_true(is_one_of(trial_in_remote(trial), "=new", "MISS"));
    assert_true(is_one_of(trial_in_local(trial), trial_in_remote(trial), "MISS"));
}

static int32_t abandon(struct trial *trial) {
    const int32_t status = hearth_fill_abandon(trial->fill);
    trial->fill = NULL;
    return status;
}

static void judge_abandon(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_string_equal(trial_in_remote(trial), "MISS");
    assert_string_equal(trial_in_local(trial), "MISS");
}

static void judge_abandoned_renewal(struct trial *trial, int32_t status) {
    judge_abandon(trial, status);
    assert_string_equal(cache_get(trial->cache, trial->key, HEARTH_READ_ALLOW_STALE), "=old");
}

/* ---- a load on a thread that is lent ------------------------------------------------------ */

static unsigned references; /* of the loader's argument */

static void retain(void *arg) {
    (void)arg;
    references++;
}

static void release(void *arg) {
    (void)arg;
    references--;
}

static hearth_loader lasting_loader(struct trial *trial) {
    hearth_loader loader = source_loader(&trial->source);
    loader.retain = retain;
    loader.release = release;
    return loader;
}

/* A renewal waits for the thread that was here a moment ago. */
static void load_that_waits(struct trial *trial) {
    const hearth_loader loader = lasting_loader(trial);
    references = 0;
    stale_value(trial);
    assert_int_equal(hearth_work(trial->cache, 0), HEARTH_MISS);
    assert_int_equal(hearth_fetch(trial->cache, trial->key, strlen(trial->key), &loader, NULL,
                                  NULL, trial->value),
                     HEARTH_OK);
    assert_string_equal(trial_text(trial), "old");
    assert_int_equal(references, 1);
}

static int32_t work(struct trial *trial) {
    return hearth_work(trial->cache, 0);
}

static void judge_work(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_int_equal(references, 0);
    const bool renewed = strcmp(trial_in_remote(trial), "=new") == 0;
    assert_true(is_one_of(cache_get(trial->cache, trial->key, HEARTH_READ_ALLOW_STALE), "=new",
                          renewed ? "=new" : "=old"));
    assert_int_equal(hearth_work(trial->cache, 0), HEARTH_MISS);
}

/* The renewal is handed over, carried out by the caller, or left to a later one. */
static void lent_thread(struct trial *trial) {
    references = 0;
    stale_value(trial);
    assert_int_equal(hearth_work(trial->cache, 0), HEARTH_MISS);
}

static int32_t hand_over(struct trial *trial) {
    const hearth_loader loader = lasting_loader(trial);
    return hearth_fetch(trial->cache, trial->key, strlen(trial->key), &loader, NULL, NULL,
                        trial->value);
}

static void judge_hand_over(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    const char *text = trial_text(trial);
    assert_true(status == HEARTH_OK ? is_one_of(text, "old", "new") : text[0] == '\0');
    int32_t work = references != 0 ? HEARTH_OK : HEARTH_MISS;
    assert_int_equal(hearth_work(trial->cache, 0), work);
    assert_int_equal(references, 0);
}

/* ---- write-through ------------------------------------------------------------------------ */

/* No tier has what the source has no more. */
static void judge_write_through(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_CONFLICT || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_source_text, status == HEARTH_E_NOMEM ? "old" : "new");
    const char *now = status == HEARTH_OK ? "=new" : status < 0 ? "=old" : "MISS";
    assert_true(is_one_of(trial_in_remote(trial), now, status < 0 ? "MISS" : now));
    assert_true(is_one_of(trial_in_local(trial), now, "MISS"));
}

/* ---- all of them ---- */

static const char *const lent[] = {"load.workers", "0", NULL};

static const struct scenario scenarios[] = {
    {"hearth_fetch_begin", "", nothing, begin, judge_begin},
    {"hearth_fetch_begin", "a renewal", stale_value, begin, judge_begin_renewal},
    {"hearth_fetch_begin", "remote", old_value_remotely, begin, judge_begin_hit},
    {"hearth_fill_value", "", begun, give_value, judge_gift},
    {"hearth_fill_tag", "", begun, give_tag, judge_tag},
    {"hearth_fill_unchanged", "", begun_renewal, give_unchanged, judge_unchanged},
    {"hearth_fill_commit", "", filled, commit, judge_commit},
    {"hearth_fill_commit", "a renewal", filled_renewal, commit, judge_commit},
    {"hearth_fill_abandon", "a renewal", begun_renewal, abandon, judge_abandoned_renewal},
    {"hearth_work", "", load_that_waits, work, judge_work},
    {"hearth_fetch", "handed over", lent_thread, hand_over, judge_hand_over},
    {"hearth_write_through", "", old_source_and_value, trial_write_through,
     judge_write_through},
};

const struct scenario_set scenarios_of_fills = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
    .settings = lent,
};

static const struct scenario without[] = {
    {"hearth_fill_absent", "", begun, give_absence, judge_absence},
    {"hearth_fill_ttl", "", begun, give_ttl, judge_ttl},
    {"hearth_fill_stale", "", begun_renewal, look_at_stale, judge_answer},
    {"hearth_fill_abandon", "", begun, abandon, judge_abandon},
};

const struct scenario_set scenarios_of_fills_without_memory = {
    .scenarios = without,
    .count = sizeof without / sizeof without[0],
    .takes_none = true,
};
