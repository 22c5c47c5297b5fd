/* SPDX-License-Identifier: Apache-2.0 */
/* Tags, marks and namespaces: what was invalidated or forgotten is not answered, what was not stays,
 * and a write whose tags found no memory is no write without tags. */
#include "fault/scenarios.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LONG_TAG = 200, MANY = 6 };

static char long_tag[LONG_TAG];
static const void *const tags[] = {"tag", long_tag};
static const size_t tag_sizes[] = {3, LONG_TAG};

static hearth_write_options tagged(void) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    memset(long_tag, 't', LONG_TAG);
    write.tags = tags;
    write.tag_sizes = tag_sizes;
    write.tag_count = 2;
    return write;
}

static int32_t invalidate(hearth *cache, uint32_t flags) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = flags;
    return hearth_invalidate_tag(cache, tags[1], tag_sizes[1], &write);
}

static const char *even_stale(struct trial *trial) {
    return cache_get(trial->cache, trial->key, HEARTH_READ_ALLOW_STALE);
}

/* ---- tags ---- */

static int32_t set(struct trial *trial) {
    const hearth_write_options write = tagged();
    return hearth_set(trial->cache, trial->key, strlen(trial->key), "new", 3, &write);
}

static int32_t add(struct trial *trial) {
    const hearth_write_options write = tagged();
    return hearth_add(trial->cache, trial->key, strlen(trial->key), "new", 3, &write);
}

static int32_t replace(struct trial *trial) {
    const hearth_write_options write = tagged();
    return hearth_replace(trial->cache, trial->key, strlen(trial->key), "new", 3, &write);
}

/* It is there with its tags, or not at all. */
static void judge_tagged(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    if (status == HEARTH_OK) {
        assert_string_equal(cache_get(trial->cache, trial->key, 0), "=new");
    } else {
        assert_string_equal(trial_in_local(trial), "MISS");
    }
    assert_int_equal(invalidate(trial->cache, 0), HEARTH_OK);
    assert_string_not_equal(even_stale(trial), "=new");
}

static void tagged_value(struct trial *trial) {
    const hearth_write_options write = tagged();
    assert_int_equal(hearth_set(trial->cache, trial->key, strlen(trial->key), "old", 3, &write),
                     HEARTH_OK);
}

static int32_t get(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value);
}

static void judge_get(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    assert_string_equal(trial_in_remote(trial), "=old");
}

static void invalidated_value(struct trial *trial) {
    tagged_value(trial);
    assert_int_equal(invalidate(trial->cache, 0), HEARTH_OK);
}

static void judge_no_get(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_MISS || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), "");
}

static int32_t invalidate_tag(struct trial *trial) {
    return invalidate(trial->cache, 0);
}

static int32_t invalidate_softly(struct trial *trial) {
    return invalidate(trial->cache, HEARTH_WRITE_KEEP_STALE);
}

static void judge_invalidation(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_true(status == HEARTH_E_NOMEM || strcmp(even_stale(trial), "MISS") == 0);
    assert_int_equal(invalidate(trial->cache, 0), HEARTH_OK);
    assert_string_equal(even_stale(trial), "MISS");
}

static void judge_soft_invalidation(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(even_stale(trial), "=old");
    if (status == HEARTH_OK) {
        assert_string_equal(cache_get(trial->cache, trial->key, 0), "MISS");
    }
}

static int32_t set_many(struct trial *trial) {
    const void *keys[MANY];
    const void *datas[MANY];
    size_t sizes[MANY];
    size_t data_sizes[MANY];
    int32_t statuses[MANY];
    char names[MANY][8];
    const hearth_write_options write = tagged();
    for (size_t i = 0; i < MANY; i++) {
        sizes[i] = (size_t)snprintf(names[i], sizeof names[i], "key%zu", i);
        keys[i] = names[i];
        datas[i] = "new";
        data_sizes[i] = 3;
    }
    const int32_t status =
        hearth_set_many(trial->cache, MANY, keys, sizes, datas, data_sizes, &write, statuses);
    trial->failed = failing_memory_failures() != 0;
    failing_memory_pass(); /* what follows only looks */
    bool right = true;
    for (size_t i = 0; i < MANY; i++) {
        right = right && (statuses[i] == HEARTH_OK || statuses[i] == HEARTH_E_NOMEM);
        right = right && (statuses[i] != HEARTH_OK ||
                          strcmp(cache_get(trial->cache, names[i], 0), "=new") == 0);
    }
    right = right && invalidate(trial->cache, 0) == HEARTH_OK;
    for (size_t i = 0; i < MANY; i++) {
        right = right &&
                strcmp(cache_get(trial->cache, names[i], HEARTH_READ_ALLOW_STALE), "MISS") == 0;
    }
    return right ? status : HEARTH_E_UNKNOWN;
}

static void judge_answer(struct trial *trial, int32_t status) {
    (void)trial;
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
}

static void name_tags(struct source *source, hearth_fill *fill) {
    (void)source;
    for (size_t i = 0; i < 2; i++) {
        (void)hearth_fill_tag(fill, tags[i], tag_sizes[i]); /* refused: the load fails */
    }
}

/* A process that has met a tag stores loads that name one. */
static void tagging_source(struct trial *trial) {
    tagged_value(trial);
    assert_int_equal(hearth_delete(trial->cache, trial->key, strlen(trial->key), NULL),
                     HEARTH_OK);
    trial->source.inside = name_tags;
}

static int32_t fetch(struct trial *trial) {
    return source_fetch(trial->cache, trial->key, &trial->source, trial->value);
}

static void judge_fetch(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM || status == HEARTH_E_LOADER);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "new" : "");
    assert_true(is_one_of(trial_in_local(trial), "=new", "MISS"));
    assert_int_equal(invalidate(trial->cache, 0), HEARTH_OK);
    assert_string_equal(even_stale(trial), "MISS");
}

/* ---- marks ---- */

static int32_t mark_stale(struct trial *trial) {
    return hearth_mark_stale(trial->cache, trial->key, strlen(trial->key), NULL);
}

static void judge_mark(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_string_equal(trial_in_remote(trial), status == HEARTH_OK ? "MISS" : "=old");
    assert_string_equal(even_stale(trial), "=old");
}

static int32_t mark_local(struct trial *trial) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    return hearth_mark_stale(trial->cache, trial->key, strlen(trial->key), &write);
}

static void judge_local_mark(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_string_equal(trial_in_remote(trial), "=old");
}

/* ---- namespaces ---- */

static int32_t open_namespace(struct trial *trial) {
    return hearth_namespace_open(trial->cache, "space", 5, &trial->view);
}

static void judge_open(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_int_equal(trial->view != NULL, status == HEARTH_OK);
    assert_int_equal(open_namespace(trial), HEARTH_OK);
    assert_int_equal(cache_set(trial->view, trial->key, "inside"), HEARTH_OK);
    assert_string_equal(cache_get(trial->view, trial->key, 0), "=inside");
    assert_string_equal(cache_get(trial->cache, trial->key, 0), "=old");
}

static void open_space(struct trial *trial) {
    old_value(trial);
    assert_int_equal(open_namespace(trial), HEARTH_OK);
    assert_int_equal(cache_set(trial->view, trial->key, "inside"), HEARTH_OK);
}

static void judge_space(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    const char *inside = status == HEARTH_OK ? "MISS" : "=inside";
    assert_true(is_one_of(cache_get(trial->view, trial->key, 0), inside, "MISS"));
    assert_string_equal(cache_get(trial->cache, trial->key, 0), "=old");
}

static int32_t bump(struct trial *trial) {
    return hearth_namespace_bump(trial->view, NULL);
}

static int32_t clear_space(struct trial *trial) {
    return hearth_clear(trial->view);
}

static int32_t clear_all(struct trial *trial) {
    return hearth_clear(trial->cache);
}

static void judge_clear_all(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(cache_get(trial->view, trial->key, 0), "=inside");
    assert_string_equal(cache_get(trial->cache, trial->key, 0),
                        status == HEARTH_OK ? "MISS" : "=old");
}

static int32_t set_inside(struct trial *trial) {
    return cache_set(trial->view, trial->key, "new");
}

static void judge_set_inside(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    const char *seen = cache_get(trial->view, trial->key, HEARTH_READ_NO_LOCAL);
    assert_true(is_one_of(seen, status == HEARTH_OK ? "=new" : "=inside", "MISS"));
    assert_true(status != HEARTH_OK || strcmp(seen, "=new") == 0);
    assert_true(status == HEARTH_OK ||
                strcmp(cache_get(trial->view, trial->key, HEARTH_READ_NO_REMOTE), "MISS") == 0);
    assert_string_equal(cache_get(trial->cache, trial->key, 0), "=old");
}

static int32_t delete_inside(struct trial *trial) {
    return hearth_delete(trial->view, trial->key, strlen(trial->key), NULL);
}

static void judge_delete_inside(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(cache_get(trial->view, trial->key, HEARTH_READ_NO_REMOTE), "MISS");
    assert_string_equal(cache_get(trial->view, trial->key, HEARTH_READ_NO_LOCAL),
                        status == HEARTH_OK ? "MISS" : "=inside");
}

static int32_t evict_inside(struct trial *trial) {
    return hearth_evict_local(trial->view, trial->key, strlen(trial->key));
}

static void judge_evict_inside(struct trial *trial, int32_t status) {
    assert_int_equal(status, HEARTH_OK);
    assert_string_equal(cache_get(trial->view, trial->key, HEARTH_READ_NO_REMOTE), "MISS");
}

static int32_t get_inside(struct trial *trial) {
    return hearth_get(trial->view, trial->key, strlen(trial->key), NULL, trial->value);
}

static void judge_get_inside(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "inside" : "");
}

static void empty_space(struct trial *trial) {
    open_space(trial);
    assert_int_equal(bump(trial), HEARTH_OK);
}

static int32_t fetch_inside(struct trial *trial) {
    return source_fetch(trial->view, trial->key, &trial->source, trial->value);
}

static void judge_fetch_inside(struct trial *trial, int32_t status) {
    judge_answer(trial, status);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "new" : "");
    assert_true(is_one_of(cache_get(trial->view, trial->key, 0), "=new", "MISS"));
    assert_string_equal(cache_get(trial->cache, trial->key, 0), "=old");
}

/* ---- all of them ---- */

static const struct scenario scenarios[] = {
    {"hearth_set", "tagged", old_value, set, judge_tagged},
    {"hearth_set", "tagged anew", tagged_value, set, judge_tagged},
    {"hearth_add", "tagged", nothing, add, judge_tagged},
    {"hearth_replace", "tagged", old_value, replace, judge_tagged},
    {"hearth_set_many", "tagged", nothing, set_many, judge_answer},
    {"hearth_get", "tagged", tagged_value, get, judge_get},
    {"hearth_get", "invalidated", invalidated_value, get, judge_no_get},
    {"hearth_fill_tag", "", tagging_source, fetch, judge_fetch},
    {"hearth_invalidate_tag", "", tagged_value, invalidate_tag, judge_invalidation},
    {"hearth_invalidate_tag", "softly", tagged_value, invalidate_softly,
     judge_soft_invalidation},
    {"hearth_mark_stale", "", old_value, mark_stale, judge_mark},
    {"hearth_mark_stale", "the local copy", old_value, mark_local, judge_local_mark},
    {"hearth_namespace_open", "", old_value, open_namespace, judge_open},
    {"hearth_clear", "the cache", open_space, clear_all, judge_clear_all},
    {"hearth_set", "in a namespace", open_space, set_inside, judge_set_inside},
    {"hearth_delete", "in a namespace", open_space, delete_inside, judge_delete_inside},
    {"hearth_get", "in a namespace", open_space, get_inside, judge_get_inside},
    {"hearth_fetch", "in a namespace", empty_space, fetch_inside, judge_fetch_inside},
};

const struct scenario_set scenarios_of_families = {
    .scenarios = scenarios,
    .count = sizeof scenarios / sizeof scenarios[0],
};

static const struct scenario without[] = {
    {"hearth_namespace_bump", "", open_space, bump, judge_space},
    {"hearth_clear", "a namespace", open_space, clear_space, judge_space},
    {"hearth_evict_local", "in a namespace", open_space, evict_inside, judge_evict_inside},
};

const struct scenario_set scenarios_of_families_without_memory = {
    .scenarios = without,
    .count = sizeof without / sizeof without[0],
    .takes_none = true,
};
