/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that tell a bus, or have copies that depend on it, while the n-th allocation fails: of the call's own or of the bus's
 * threads. Another process's cache, which has a copy, ends up with what the node has. */
#include "coherence/bus.h"
#include "fault/sweep.h"
#include "support/failing_memory.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { URL_BYTES = 160, RETRY_MS = 20, SHORT_MS = 100 };

/* Who lost the bus for want of memory need not wait for a second. */
/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int32_t __real_hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus);
int32_t __wrap_hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus);

int32_t __wrap_hearth__bus_create(const hearth__bus_config *config, hearth__bus **bus) {
    hearth__bus_config own = *config;
    own.retry_ms = RETRY_MS;
    return __real_hearth__bus_create(&own, bus);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static struct servers servers;
static char redis_url[URL_BYTES];
static char memcached_url[URL_BYTES];
/* A load whose message cannot be composed waits for so long; what is written, for SHORT_MS. */
static const char *settings[] = {
    "remote.url", NULL, "coherence.mode", "bus", "coherence.bus_url", NULL, "remote.timeout_ms",
    "1s",         NULL};

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0 ||
        servers_url(&servers, SERVER_REDIS, redis_url, sizeof redis_url) != 0 ||
        servers_url(&servers, SERVER_MEMCACHED, memcached_url, sizeof memcached_url) != 0) {
        fail_msg("%s", servers.error);
    }
    settings[5] = redis_url;
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* ---- the other process ------------------------------------------------------------------ */

static hearth *other;
static hearth *other_view;

/* What is copied before lives for a second, whatever is told. */
static bool hears(void *arg) {
    const struct trial *trial = arg;
    (void)cache_get(other, "heard", 0);
    return cache_set(trial->cache, "heard", "x") == HEARTH_OK &&
           cache_stats(other).changes_told != 0;
}

static void begin_other(struct trial *trial) {
    other = cache_open(settings);
    assert_non_null(other);
    assert_true(await_until(hears, trial));
}

static bool has_a_copy(void *arg) {
    const struct trial *trial = arg;
    (void)cache_get(other, trial->key, 0);
    return strcmp(cache_get(other, trial->key, HEARTH_READ_NO_REMOTE), "=old") == 0;
}

static void open_other(struct trial *trial) {
    begin_other(trial);
    assert_true(await_until(has_a_copy, trial));
}

static bool tells(void *arg) {
    struct trial *trial = arg;
    return cache_set(trial->cache, "after", "well") == HEARTH_OK &&
           strcmp(cache_get(trial->cache, "after", HEARTH_READ_NO_LOCAL), "=well") == 0;
}

static bool agrees(void *arg) {
    struct trial *trial = arg;
    char there[64];
    (void)snprintf(there, sizeof there, "%s", trial_in_remote(trial));
    return strcmp(cache_get(other, trial->key, 0), there) == 0;
}

/* When there is memory again. */
static void expect_agreement(struct trial *trial) {
    assert_true(await_until(tells, trial));
    if (other != NULL) {
        char there[64];
        (void)snprintf(there, sizeof there, "%s", trial_in_remote(trial));
        assert_true(is_one_of(trial_in_local(trial), there, "MISS"));
        assert_true(await_until(agrees, trial));
    }
    assert_int_equal(hearth_close(other_view), HEARTH_OK);
    assert_int_equal(hearth_close(other), HEARTH_OK);
    other_view = NULL;
    other = NULL;
}

/* ---- what was there before -------------------------------------------------------------- */

static void old_and_a_copy(struct trial *trial) {
    old_value(trial);
    open_other(trial);
}

static void old_remotely_and_a_copy(struct trial *trial) {
    old_value_remotely(trial);
    open_other(trial);
}

static void old_source_and_a_copy(struct trial *trial) {
    old_source_and_value(trial);
    open_other(trial);
}

static const void *const tags[] = {"tag"};
static const size_t tag_sizes[] = {3};

static void tagged_and_a_copy(struct trial *trial) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = tag_sizes;
    write.tag_count = 1;
    assert_int_equal(hearth_set(trial->cache, trial->key, strlen(trial->key), "old", 3, &write),
                     HEARTH_OK);
    open_other(trial);
}

static bool sees_inside(void *arg) {
    const struct trial *trial = arg;
    return strcmp(cache_get(other_view, trial->key, 0), "=inside") == 0;
}

static void space_and_a_copy(struct trial *trial) {
    assert_int_equal(hearth_namespace_open(trial->cache, "space", 5, &trial->view), HEARTH_OK);
    assert_int_equal(cache_set(trial->view, trial->key, "inside"), HEARTH_OK);
    begin_other(trial);
    assert_int_equal(hearth_namespace_open(other, "space", 5, &other_view), HEARTH_OK);
    assert_true(await_until(sees_inside, trial));
}

/* ---- calls ------------------------------------------------------------------------------ */

static bool is_of_a_read(int32_t status) {
    return status == HEARTH_OK || status == HEARTH_E_NOMEM;
}

/* Its deadline is short, and the machine may be busy. */
static bool is_of_a_write(int32_t status) {
    return is_of_a_read(status) || status == HEARTH_E_UNKNOWN || status == HEARTH_E_QUEUED ||
           status == HEARTH_E_TIMEOUT || status == HEARTH_E_UNAVAILABLE;
}

static const hearth_write_options *in_time(void) {
    static hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.deadline_ms = SHORT_MS;
    return &write;
}

static int32_t get(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value);
}

static void judge_get(struct trial *trial, int32_t status) {
    assert_true(is_of_a_read(status));
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    assert_string_equal(trial_in_remote(trial), "=old");
    expect_agreement(trial);
}

static void judge_load(struct trial *trial, int32_t status) {
    judge_trial_load(trial, status);
    expect_agreement(trial);
}

static void judge_set(struct trial *trial, int32_t status) {
    assert_true(is_of_a_write(status));
    assert_true(status != HEARTH_OK || strcmp(trial_in_remote(trial), "=new") == 0);
    expect_agreement(trial);
}

static int32_t set(struct trial *trial) {
    return hearth_set(trial->cache, trial->key, strlen(trial->key), "new", 3, in_time());
}

static int32_t set_many(struct trial *trial) {
    const void *const keys[] = {trial->key, "second"};
    const size_t key_sizes[] = {strlen(trial->key), 6};
    const void *const data[] = {"new", "new"};
    const size_t sizes[] = {3, 3};
    int32_t statuses[2];
    int32_t status =
        hearth_set_many(trial->cache, 2, keys, key_sizes, data, sizes, in_time(), statuses);
    return status == HEARTH_OK ? statuses[0] : status;
}

static int32_t delete (struct trial *trial) {
    return hearth_delete(trial->cache, trial->key, strlen(trial->key), in_time());
}

static void judge_delete(struct trial *trial, int32_t status) {
    assert_true(is_of_a_write(status));
    assert_true(status != HEARTH_OK || strcmp(trial_in_remote(trial), "MISS") == 0);
    expect_agreement(trial);
}

static void judge_write_through(struct trial *trial, int32_t status) {
    assert_true(is_of_a_write(status) || status == HEARTH_CONFLICT);
    char now[16];
    (void)snprintf(now, sizeof now, "=%s", trial_source_text);
    assert_true(is_one_of(trial_in_remote(trial), now, "MISS"));
    expect_agreement(trial);
}

static int32_t invalidate_tag(struct trial *trial) {
    return hearth_invalidate_tag(trial->cache, tags[0], tag_sizes[0], in_time());
}

static void judge_invalidation(struct trial *trial, int32_t status) {
    assert_true(is_of_a_write(status));
    assert_true(status != HEARTH_OK || strcmp(trial_in_remote(trial), "MISS") == 0);
    expect_agreement(trial);
}

static int32_t bump(struct trial *trial) {
    return hearth_namespace_bump(trial->view, in_time());
}

static bool forgot_the_space(void *arg) {
    const struct trial *trial = arg;
    return strcmp(cache_get(other_view, trial->key, 0), "MISS") == 0;
}

static void judge_bump(struct trial *trial, int32_t status) {
    assert_true(is_of_a_write(status));
    if (status == HEARTH_OK) {
        assert_string_equal(cache_get(trial->view, trial->key, 0), "MISS");
        assert_true(await_until(forgot_the_space, trial));
    }
    expect_agreement(trial);
}

/* ---- all of them ------------------------------------------------------------------------ */

static const struct scenario scenarios[] = {
    {"hearth_set", "first of all", nothing, set, judge_set},
    {"hearth_get", "the first connection", old_remotely_and_a_copy, get, judge_get},
    {"hearth_fetch", "a load", nothing, trial_fetch, judge_load},
    {"hearth_set", "", old_and_a_copy, set, judge_set},
    {"hearth_set_many", "", old_and_a_copy, set_many, judge_set},
    {"hearth_delete", "", old_and_a_copy, delete, judge_delete},
    {"hearth_write_through", "", old_source_and_a_copy, trial_write_through,
     judge_write_through},
    {"hearth_invalidate_tag", "", tagged_and_a_copy, invalidate_tag, judge_invalidation},
    {"hearth_namespace_bump", "", space_and_a_copy, bump, judge_bump},
};

static void sweep_at(const char *url) {
    const struct scenario_set set = {.scenarios = scenarios,
                                     .count = sizeof scenarios / sizeof scenarios[0],
                                     .settings = settings};
    settings[1] = url;
    sweep(&set);
}

static void at_a_redis_node_with_a_bus(void **state) {
    (void)state;
    sweep_at(redis_url);
}

static void at_a_memcached_node_with_a_bus(void **state) {
    (void)state;
    sweep_at(memcached_url);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_a_redis_node_with_a_bus),
        cmocka_unit_test(at_a_memcached_node_with_a_bus),
    };
    return cmocka_run_group_tests_name("allocations with a bus", tests, start, stop);
}
