/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that reach a real server while the n-th allocation fails: leases, changes that the server tells of, write-through, a shared
 * filter (its rebuilds with HEARTH_LONG). What threads of the library's own allocate meanwhile may be what fails. */
#include "fault/sweep.h"
#include "support/failing_memory.h"
#include "support/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { URL_BYTES = 160, FEW = 5, NAME_BYTES = 32 };

static struct servers servers;
static char redis_url[URL_BYTES];
static char memcached_url[URL_BYTES];

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0 ||
        servers_url(&servers, SERVER_REDIS, redis_url, sizeof redis_url) != 0 ||
        servers_url(&servers, SERVER_MEMCACHED, memcached_url, sizeof memcached_url) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

/* ---- reads ------------------------------------------------------------------------------ */

static int32_t get(struct trial *trial) {
    return hearth_get(trial->cache, trial->key, strlen(trial->key), NULL, trial->value);
}

static void judge_get(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_string_equal(trial_text(trial), status == HEARTH_OK ? "old" : "");
    assert_string_equal(trial_in_remote(trial), "=old");
}

/* ---- writes ----------------------------------------------------------------------------- */

/* What was sent although its answer was not understood may have happened. */
static void judge_set(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM || status == HEARTH_E_UNKNOWN);
    char remote[16];
    (void)snprintf(remote, sizeof remote, "%.15s", trial_in_remote(trial));
    assert_true(strcmp(remote, "=new") == 0 || status != HEARTH_OK);
    assert_true(is_one_of(remote, "=new", "MISS") || strcmp(remote, "=old") == 0);
    assert_true(
        is_one_of(trial_in_local(trial), status == HEARTH_OK ? "=new" : "MISS", "MISS"));
}

static int32_t delete (struct trial *trial) {
    return hearth_delete(trial->cache, trial->key, strlen(trial->key), NULL);
}

static void judge_delete(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM || status == HEARTH_E_UNKNOWN ||
                status == HEARTH_E_QUEUED);
    assert_string_equal(trial_in_local(trial), "MISS");
    assert_true(is_one_of(trial_in_remote(trial), "MISS", status < 0 ? "=old" : "MISS"));
}

static bool keeps_values(void *arg) {
    struct trial *trial = arg;
    return cache_set(trial->cache, "after", "well") == HEARTH_OK &&
           strcmp(cache_get(trial->cache, "after", HEARTH_READ_NO_LOCAL), "=well") == 0;
}

/* No tier has what the source has no more. A delete that found no memory to be kept makes missing what the node got in the same
 * millisecond, too. */
static void judge_write_through(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_CONFLICT || status == HEARTH_E_NOMEM ||
                status == HEARTH_E_UNKNOWN || status == HEARTH_E_QUEUED);
    char now[16];
    (void)snprintf(now, sizeof now, "=%s", trial_source_text);
    assert_true(is_one_of(trial_in_remote(trial), now, "MISS"));
    assert_true(is_one_of(trial_in_local(trial), now, "MISS"));
    assert_true(status != HEARTH_OK || strcmp(trial_in_remote(trial), "=new") == 0);
    assert_true(status != HEARTH_E_UNKNOWN || await_until(keeps_values, trial));
}

/* ---- a filter that processes share ------------------------------------------------------ */

struct names {
    unsigned given;
    char name[NAME_BYTES];
};

static int32_t next_name(void *arg, const void **key, size_t *key_size) {
    struct names *names = arg;
    if (names->given == FEW) {
        return HEARTH_MISS;
    }
    *key_size = (size_t)snprintf(names->name, sizeof names->name, "there:%u", names->given++);
    *key = names->name;
    return HEARTH_OK;
}

static int32_t rebuild(struct trial *trial) {
    struct names names = {.given = 0};
    return hearth_guard_rebuild(trial->cache, next_name, &names);
}

static bool is_denied(struct trial *trial, const char *key) {
    return strcmp(cache_get(trial->cache, key, HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE),
                  "ABSENT") == 0;
}

static void expect_no_denial(struct trial *trial) {
    for (unsigned i = 0; i < FEW; i++) {
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof name, "there:%u", i);
        assert_false(is_denied(trial, name));
    }
}

static bool denies(void *trial) {
    return is_denied(trial, "of no source") || is_denied(trial, "of none either");
}

/* The server may still know of one that another run could not end. */
static void judge_rebuild(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM ||
                status == HEARTH_E_OVERLOAD || status == HEARTH_CONFLICT);
    expect_no_denial(trial);
    if (status == HEARTH_OK) {
        assert_true(await_until(denies, trial));
        expect_no_denial(trial);
    }
}

static int32_t add(struct trial *trial) {
    return hearth_guard_add(trial->cache, trial->key, strlen(trial->key));
}

static void judge_add(struct trial *trial, int32_t status) {
    assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
    assert_int_equal(add(trial), HEARTH_OK);
    assert_false(is_denied(trial, trial->key));
    expect_no_denial(trial);
}

/* ---- all of them ------------------------------------------------------------------------ */

static const struct scenario scenarios[] = {
    {"hearth_get", "the first connection", old_value_remotely, get, judge_get},
    {"hearth_fetch", "a load", nothing, trial_fetch, judge_trial_load},
    {"hearth_fetch", "a renewal", stale_value, trial_fetch, judge_trial_renewal},
    {"hearth_set", "", old_value, trial_set, judge_set},
    {"hearth_delete", "", old_value, delete, judge_delete},
    {"hearth_write_through", "", old_source_and_value, trial_write_through,
     judge_write_through},
};

static const struct scenario first_calls[] = {
    {"hearth_set", "first of all", nothing, trial_set, judge_set},
};

static const struct scenario adds[] = {
    {"hearth_guard_add", "first of all", nothing, add, judge_add},
};

/* Each waits for the time that a key may take to its source: long. */
static const struct scenario rebuilds[] = {
    {"hearth_guard_rebuild", "", nothing, rebuild, judge_rebuild},
};

#define COUNT_OF(list) (sizeof(list) / sizeof(list)[0])

static void sweep_at(const struct scenario *list, size_t count, const char *url,
                     const char *const *settings) {
    const char *all[16] = {"remote.url", url};
    for (size_t i = 0; settings[i] != NULL; i++) {
        all[i + 2] = settings[i];
    }
    const struct scenario_set set = {.scenarios = list, .count = count, .settings = all};
    sweep(&set);
}

static void at_a_redis_node(void **state) {
    static const char *const settings[] = {"coherence.mode", "ttl", NULL};
    (void)state;
    sweep_at(scenarios, COUNT_OF(scenarios), redis_url, settings);
    sweep_at(first_calls, COUNT_OF(first_calls), redis_url, settings);
}

static void at_a_redis_node_that_tells_of_changes(void **state) {
    static const char *const settings[] = {"coherence.mode", "tracking", NULL};
    (void)state;
    sweep_at(scenarios, COUNT_OF(scenarios), redis_url, settings);
    sweep_at(first_calls, COUNT_OF(first_calls), redis_url, settings);
}

static void at_a_memcached_node(void **state) {
    static const char *const settings[] = {NULL};
    (void)state;
    sweep_at(scenarios, COUNT_OF(scenarios), memcached_url, settings);
    sweep_at(first_calls, COUNT_OF(first_calls), memcached_url, settings);
}

static const char *const sharing[] = {"guard.expected_keys",
                                      "1000",
                                      "guard.shared",
                                      "yes",
                                      "guard.view_ms",
                                      "10",
                                      "guard.audit",
                                      "0",
                                      NULL};

static void of_a_filter_that_processes_share(void **state) {
    (void)state;
    sweep_at(adds, COUNT_OF(adds), redis_url, sharing);
    sweep_at(adds, COUNT_OF(adds), memcached_url, sharing);
    if (getenv("HEARTH_LONG") != NULL) {
        sweep_at(rebuilds, COUNT_OF(rebuilds), redis_url, sharing);
        sweep_at(rebuilds, COUNT_OF(rebuilds), memcached_url, sharing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_a_redis_node),
        cmocka_unit_test(at_a_redis_node_that_tells_of_changes),
        cmocka_unit_test(at_a_memcached_node),
        cmocka_unit_test(of_a_filter_that_processes_share),
    };
    return cmocka_run_group_tests_name("allocations at servers", tests, start, stop);
}
