/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: what it denies and what never, how it is rebuilt, saved, loaded, checked, and outgrown. */
#include "source.h"
#include "support/failing_memory.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define GUARD "guard.expected_keys", "1000", "guard.view_ms", "0", "local.max_bytes", "1mb"

static hearth *open_guarded(const char *name, const char *value) {
    hearth *cache = cache_open((const char *const[]){GUARD, name, value, NULL});
    assert_non_null(cache);
    return cache;
}

/* ---- the application's keys ------------------------------------------------------------- */

enum { KEY_BYTES = 32 };

/* The keys there:0 to there:(count - 1); then `ends`. */
struct keys {
    uint64_t count;
    uint64_t given;
    int32_t ends; /* HEARTH_MISS, or a failure */
    char key[KEY_BYTES];
    void (*inside)(void *arg); /* called in the middle, if not NULL */
    void *arg;
};

static int32_t next_key(void *arg, const void **key, size_t *key_size) {
    struct keys *keys = arg;
    if (keys->inside != NULL && keys->given == keys->count / 2) {
        keys->inside(keys->arg);
        keys->inside = NULL;
    }
    if (keys->given == keys->count) {
        return keys->ends;
    }
    *key_size = (size_t)snprintf(keys->key, sizeof keys->key, "there:%llu",
                                 (unsigned long long)keys->given++);
    *key = keys->key;
    return HEARTH_OK;
}

static int32_t rebuild(hearth *cache, uint64_t count) {
    struct keys keys = {.count = count, .ends = HEARTH_MISS};
    return hearth_guard_rebuild(cache, next_key, &keys);
}

/* Asks the guard, and no node. */
static bool is_denied(hearth *cache, const char *key) {
    return strcmp(cache_get(cache, key, HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE),
                  "ABSENT") == 0;
}

/* How many of so many keys with a prefix are denied. */
static uint64_t count_denied(hearth *cache, const char *prefix, uint64_t count) {
    uint64_t denied = 0;
    for (uint64_t i = 0; i < count; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "%s:%llu", prefix, (unsigned long long)i);
        denied += is_denied(cache, key);
    }
    return denied;
}

/* A key that the filter does not contain by accident. */
static const char *absent_key(hearth *cache) {
    static char key[KEY_BYTES];
    for (int i = 0;; i++) {
        (void)snprintf(key, sizeof key, "absent:%d", i);
        if (is_denied(cache, key)) {
            return key;
        }
    }
}

static bool log_says(hearth *cache, const char *words) {
    hearth_log_record record = {.size = sizeof record};
    bool says = false;
    while (hearth_log_next(cache, &record) == HEARTH_OK) {
        says = says || strstr(record.text, words) != NULL;
    }
    return says;
}

/* ---- denials ---------------------------------------------------------------------------- */

static void without_expected_keys_there_is_no_guard(void **state) {
    (void)state;
    hearth *cache = cache_open(NULL);
    assert_int_equal(hearth_guard_add(cache, "a", 1), HEARTH_OK);
    assert_int_equal(rebuild(cache, 10), HEARTH_E_UNSUPPORTED);
    assert_int_equal(hearth_guard_save(cache, "guard"), HEARTH_E_UNSUPPORTED);
    assert_int_equal(hearth_guard_load(cache, "guard"), HEARTH_E_UNSUPPORTED);
    assert_true(log_says(cache, "guard.expected_keys"));
    assert_string_equal(cache_get(cache, "a", 0), "MISS");
    assert_int_equal(cache_stats(cache).guard_bytes, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void until_it_knows_all_keys_it_denies_none(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    struct source source = {SOURCE_INIT, .text = "x"};
    assert_int_equal(count_denied(cache, "absent", 100), 0);
    assert_string_equal(cache_get(cache, "absent:1", 0), "MISS");
    assert_int_equal(source_fetch(cache, "absent:1", &source, NULL), HEARTH_OK);
    assert_int_equal(cache_stats(cache).guard_certified, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Long: 10^7 keys. */
static void of_keys_that_exist_none_is_denied(void **state) {
    (void)state;
    bool is_long = getenv("HEARTH_LONG") != NULL;
    uint64_t count = is_long ? 10000000 : 20000;
    hearth *cache = open_guarded("guard.expected_keys", is_long ? "10000000" : "20000");
    assert_int_equal(rebuild(cache, count), HEARTH_OK);
    assert_int_equal(count_denied(cache, "there", count), 0);
    uint64_t denied = count_denied(cache, "absent", count);
    assert_true((double)(count - denied) / (double)count < 0.0125);
    hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.guard_certified, 1);
    assert_int_equal(stats.guard_generation, 1);
    assert_int_equal(stats.guard_outgrown, 0);
    assert_in_range(stats.guard_keys, count - count / 20, count + count / 20);
    assert_in_range(stats.guard_rate_ppm, 8000, 12500);
    assert_in_range(stats.guard_fill_ppm, 500000, 550000);
    assert_int_equal(stats.guard_denials, denied);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_denial_reaches_no_server_and_no_loader(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    const char *key = absent_key(cache);
    struct source source = {SOURCE_INIT, .text = "x"};
    hearth_value *value = hearth_value_new();
    hearth_stats before = cache_stats(cache);
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_ABSENT);
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    assert_int_equal(info.tier, HEARTH_TIER_GUARD);
    assert_int_equal(info.freshness, HEARTH_FRESH);
    assert_int_equal(info.ttl_left_ms, 0);
    assert_string_equal(cache_get(cache, key, 0), "ABSENT");
    const void *const keys[] = {key, "there:1", key};
    const size_t sizes[] = {strlen(key), 7, strlen(key)};
    int32_t statuses[3];
    assert_int_equal(hearth_get_many(cache, 3, keys, sizes, NULL, NULL, statuses), HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_ABSENT);
    assert_int_equal(statuses[1], HEARTH_MISS);
    assert_int_equal(statuses[2], HEARTH_ABSENT);
    hearth_loader loader = source_loader(&source);
    assert_int_equal(
        hearth_fetch_many(cache, 1, keys, sizes, &loader, NULL, NULL, NULL, statuses),
        HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_ABSENT);
    hearth_stats after = cache_stats(cache);
    assert_int_equal(source.calls, 0);
    assert_int_equal(after.remote_misses - before.remote_misses, 1); /* there:1 */
    assert_int_equal(after.guard_denials - before.guard_denials, 5);
    assert_int_equal(after.reads - before.reads, 6);
    assert_int_equal(after.local_hits, before.local_hits);
    assert_int_equal(after.local_negative_entries, 0);
    hearth_value_free(value);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- what is added ---------------------------------------------------------------------- */

static int32_t write_many(hearth *cache, const char *key) {
    const void *const keys[] = {key};
    const size_t size = strlen(key);
    int32_t status;
    return hearth_set_many(cache, 1, keys, &size, keys, &size, NULL, &status);
}

static int32_t write_local(hearth *cache, const char *key) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    return hearth_set(cache, key, strlen(key), "x", 1, &write);
}

static int32_t write_plain(hearth *cache, const char *key) {
    return cache_set(cache, key, "x");
}

static int32_t write_add(hearth *cache, const char *key) {
    return hearth_add(cache, key, strlen(key), "x", 1, NULL);
}

static int32_t write_replace(hearth *cache, const char *key) {
    (void)hearth_replace(cache, key, strlen(key), "x", 1, NULL);
    return HEARTH_OK;
}

/* A delete may be the news that the source has it now. */
static int32_t write_delete(hearth *cache, const char *key) {
    int32_t status = hearth_delete(cache, key, strlen(key), NULL);
    return status == HEARTH_MISS ? HEARTH_OK : status;
}

static int32_t write_guard(hearth *cache, const char *key) {
    return hearth_guard_add(cache, key, strlen(key));
}

static int32_t (*const writes[])(hearth *cache, const char *key) = {
    write_plain, write_add, write_many, write_local, write_replace, write_delete, write_guard};
enum { WRITES = sizeof writes / sizeof writes[0] };

static void every_write_adds_its_key(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    for (size_t i = 0; i < WRITES; i++) {
        const char *key = absent_key(cache);
        assert_int_equal(writes[i](cache, key), HEARTH_OK);
        assert_false(is_denied(cache, key));
    }
    assert_int_equal(cache_stats(cache).guard_false_negatives, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Writes and loads while a filter is made of keys that were there before. */
static void write_all(void *arg) {
    hearth *cache = arg;
    struct source source = {SOURCE_INIT, .text = "x"};
    for (size_t i = 0; i < WRITES; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "new:%zu", i);
        (void)writes[i](cache, key);
    }
    (void)source_fetch(cache, "loaded", &source, NULL);
}

static void what_is_added_meanwhile_is_in_the_new_filter(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    struct keys keys = {.count = 10, .ends = HEARTH_MISS, .inside = write_all, .arg = cache};
    assert_int_equal(hearth_guard_rebuild(cache, next_key, &keys), HEARTH_OK);
    assert_int_equal(count_denied(cache, "new", WRITES), 0);
    assert_false(is_denied(cache, "loaded"));
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- rebuilds --------------------------------------------------------------------------- */

static void a_rebuild_forgets_what_is_gone(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_int_equal(count_denied(cache, "there", 10), 0);
    assert_in_range(count_denied(cache, "there", 1000), 970, 990);
    assert_int_equal(cache_stats(cache).guard_generation, 2);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static int32_t give_nothing(void *arg, const void **key, size_t *key_size) {
    (void)arg;
    *key = "";
    *key_size = 0;
    return HEARTH_OK;
}

static void after_a_failed_rebuild_the_old_filter_stays(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    struct keys failing = {.count = 10, .ends = HEARTH_E_LOADER};
    assert_int_equal(hearth_guard_rebuild(cache, next_key, &failing), HEARTH_E_LOADER);
    assert_true(log_says(cache, "the iterator failed"));
    assert_int_equal(count_denied(cache, "absent", 100), 0);
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    failing.given = 0;
    assert_int_equal(hearth_guard_rebuild(cache, next_key, &failing), HEARTH_E_LOADER);
    assert_int_equal(hearth_guard_rebuild(cache, give_nothing, NULL), HEARTH_E_INVALID);
    assert_int_equal(count_denied(cache, "there", 1000), 0);
    assert_true(is_denied(cache, absent_key(cache)));
    assert_int_equal(cache_stats(cache).guard_generation, 1);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

struct inner {
    hearth *cache;
    int32_t rebuild;
    int32_t save;
    int32_t load;
    int32_t close;
};

static void call_all(void *arg) {
    struct inner *inner = arg;
    inner->rebuild = rebuild(inner->cache, 1);
    inner->save = hearth_guard_save(inner->cache, "/nowhere/guard");
    inner->load = hearth_guard_load(inner->cache, "/nowhere/guard");
    inner->close = hearth_close(inner->cache);
}

static void one_rebuild_at_a_time(void **state) {
    (void)state;
    struct inner inner = {.cache = open_guarded("guard.audit", "0")};
    struct keys keys = {.count = 10, .ends = HEARTH_MISS, .inside = call_all, .arg = &inner};
    assert_int_equal(hearth_guard_rebuild(inner.cache, next_key, &keys), HEARTH_OK);
    assert_int_equal(inner.rebuild, HEARTH_E_OVERLOAD);
    assert_int_equal(inner.save, HEARTH_E_OVERLOAD);
    assert_int_equal(inner.load, HEARTH_E_UNAVAILABLE);
    assert_int_equal(inner.close, HEARTH_E_DEADLOCK);
    assert_int_equal(rebuild(inner.cache, 10), HEARTH_OK);
    assert_int_equal(hearth_close(inner.cache), HEARTH_OK);
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void note_time(void *arg) {
    *(int64_t *)arg = now_ms();
}

static void keys_are_asked_for_when_those_added_before_are_there(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.view_ms", "30");
    int64_t asked_ms = 0;
    struct keys keys = {.ends = HEARTH_MISS, .inside = note_time, .arg = &asked_ms};
    int64_t began_ms = now_ms();
    assert_int_equal(hearth_guard_rebuild(cache, next_key, &keys), HEARTH_OK);
    assert_true(asked_ms - began_ms >= 30);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* A rebuild that nobody but hearth_close() ends. */
struct endless {
    hearth *cache;
    struct event began;
    int32_t status;
};

static int32_t give_for_ever(void *arg, const void **key, size_t *key_size) {
    struct endless *endless = arg;
    event_raise(&endless->began);
    *key = "key";
    *key_size = 3;
    return HEARTH_OK;
}

static void rebuild_for_ever(void *arg, size_t index) {
    struct endless *endless = arg;
    (void)index;
    endless->status = hearth_guard_rebuild(endless->cache, give_for_ever, endless);
}

static bool is_rebuilding(void *arg) {
    hearth *cache = arg;
    return cache_stats(cache).guard_bytes > 2000; /* two filters */
}

static void close_under_way(const char *view_ms, bool await_key) {
    struct endless endless = {.cache = open_guarded("guard.view_ms", view_ms),
                              .began = EVENT_INIT};
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, rebuild_for_ever, &endless));
    assert_true(await_key ? event_await(&endless.began, 1)
                          : await_until(is_rebuilding, endless.cache));
    assert_int_equal(hearth_close(endless.cache), HEARTH_OK);
    crowd_join(&crowd);
    assert_int_equal(endless.status, HEARTH_E_CLOSED);
}

static void close_ends_a_rebuild(void **state) {
    (void)state;
    close_under_way("0", true);
    close_under_way("1h", false); /* while it waits for writers */
}

static void it_says_when_it_is_outgrown(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    assert_false(log_says(cache, "larger filter"));
    for (int i = 0; i < 3000; i++) {
        char key[KEY_BYTES];
        int size = snprintf(key, sizeof key, "more:%d", i);
        assert_int_equal(hearth_guard_add(cache, key, (size_t)size), HEARTH_OK);
    }
    hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.guard_outgrown, 1);
    assert_true(stats.guard_rate_ppm > 20000);
    assert_int_equal(stats.guard_certified, 1);
    assert_true(log_says(cache, "larger filter"));
    assert_int_equal(rebuild(cache, 4000), HEARTH_OK);
    hearth_stats grown = cache_stats(cache);
    assert_int_equal(grown.guard_outgrown, 0);
    assert_true(grown.guard_rate_ppm < 12500);
    assert_true(grown.guard_bytes > 3 * stats.guard_bytes);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_filter_stays_within_its_limit(void **state) {
    (void)state;
    hearth_options *options = hearth_options_new();
    hearth *cache = NULL;
    assert_int_equal(hearth_options_set(options, "guard.expected_keys", "1000000"), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "guard.max_bytes", "1mb"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_E_INVALID);
    assert_non_null(strstr(hearth_options_error(options), "guard.max_bytes: 1048576"));
    hearth_options_free(options);
    cache = open_guarded("guard.max_bytes", "4kb");
    assert_int_equal(rebuild(cache, 5000), HEARTH_OK);
    assert_int_equal(rebuild(cache, 5000), HEARTH_E_TOO_LARGE);
    assert_true(log_says(cache, "guard.max_bytes"));
    assert_true(cache_stats(cache).guard_bytes <= 4096);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- audits ----------------------------------------------------------------------------- */

/* A node has a key that the iterator did not give. */
static hearth *open_with_a_lie(const char *audit) {
    hearth *cache = open_guarded("guard.audit", audit);
    assert_int_equal(cache_set(cache, "lie", "x"), HEARTH_OK);
    assert_int_equal(hearth_evict_local(cache, "lie", 3), HEARTH_OK);
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_true(is_denied(cache, "lie"));
    return cache;
}

static void assert_disabled(hearth *cache) {
    hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.guard_false_negatives, 1);
    assert_int_equal(stats.guard_certified, 0);
    assert_int_equal(count_denied(cache, "absent", 100), 0);
    assert_true(log_says(cache, "a key exists that it denied"));
    assert_int_equal(hearth_guard_save(cache, "/nowhere/guard"), HEARTH_CONFLICT);
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_true(count_denied(cache, "absent", 100) > 90);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void an_audit_of_a_get_proves_a_false_negative(void **state) {
    (void)state;
    hearth *cache = open_with_a_lie("1");
    assert_string_equal(cache_get(cache, "lie", 0), "=x");
    assert_disabled(cache);
}

static void an_audit_of_a_get_many_proves_it(void **state) {
    (void)state;
    hearth *cache = open_with_a_lie("1");
    const void *const keys[] = {"lie", "absent"};
    const size_t sizes[] = {3, 6};
    int32_t statuses[2];
    assert_int_equal(hearth_get_many(cache, 2, keys, sizes, NULL, NULL, statuses), HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(statuses[1], HEARTH_ABSENT);
    assert_disabled(cache);
}

static void an_audit_of_a_fetch_runs_on_to_the_loader(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "1");
    struct source source = {SOURCE_INIT, .text = "x"};
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_int_equal(source_fetch(cache, absent_key(cache), &source, NULL), HEARTH_OK);
    assert_int_equal(source.calls, 1);
    assert_disabled(cache);
}

static void an_audit_of_a_fetch_many_does_too(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "1");
    struct source source = {SOURCE_INIT, .text = "x"};
    hearth_loader loader = source_loader(&source);
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    const char *key = absent_key(cache);
    const void *const keys[] = {key};
    const size_t size = strlen(key);
    int32_t statuses[1];
    assert_int_equal(
        hearth_fetch_many(cache, 1, keys, &size, &loader, NULL, NULL, NULL, statuses),
        HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(source.calls, 1);
    assert_disabled(cache);
}

static void a_begun_fetch_asks_the_guard(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    const char *key = absent_key(cache);
    hearth_fill *fill = NULL;
    assert_int_equal(hearth_fetch_begin(cache, key, strlen(key), NULL, NULL, &fill),
                     HEARTH_ABSENT);
    assert_null(fill);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void one_denial_in_so_many_is_audited(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "10");
    struct source source = {SOURCE_INIT, .absent = true};
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    hearth_stats before = cache_stats(cache);
    for (int i = 0; i < 100; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "absent:%d", i);
        assert_int_equal(source_fetch(cache, key, &source, NULL), HEARTH_ABSENT);
    }
    hearth_stats after = cache_stats(cache);
    uint64_t audits = after.guard_audits - before.guard_audits;
    assert_in_range(audits, 9, 10); /* a few keys may be in it by accident */
    assert_int_equal(after.guard_denials - before.guard_denials + after.remote_misses -
                         before.remote_misses - audits,
                     100);
    assert_int_equal(after.guard_certified, 1);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* The denial stands: a source that is down must not make a fetch fail that would have been answered. */
static void an_audit_that_fails_says_nothing(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "1");
    struct source source = {SOURCE_INIT, .returns = 1};
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_int_equal(source_fetch(cache, "absent:1", &source, NULL), HEARTH_ABSENT);
    assert_int_equal(source.calls, 1);
    assert_int_equal(cache_stats(cache).guard_certified, 1);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void make_the_key(struct source *source, hearth_fill *fill) {
    (void)fill;
    (void)hearth_guard_add(source->arg, "absent:1", 8);
}

/* It came to exist after it was denied, and was added before, as it should. */
static void a_key_that_is_made_meanwhile_proves_nothing(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "1");
    struct source source = {SOURCE_INIT, .text = "x", .inside = make_the_key, .arg = cache};
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_true(is_denied(cache, "absent:1"));
    assert_int_equal(source_fetch(cache, "absent:1", &source, NULL), HEARTH_OK);
    assert_int_equal(cache_stats(cache).guard_false_negatives, 0);
    assert_int_equal(cache_stats(cache).guard_certified, 1);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- files ------------------------------------------------------------------------------ */

struct folder {
    char path[64];
    char file[96];
};

static struct folder folder_create(void) {
    struct folder folder = {.path = "/tmp/hearth-guard.XXXXXX"};
    assert_non_null(mkdtemp(folder.path));
    (void)snprintf(folder.file, sizeof folder.file, "%s/guard", folder.path);
    return folder;
}

/* Nothing else may be left in it. */
static void folder_destroy(const struct folder *folder) {
    (void)unlink(folder->file);
    assert_int_equal(rmdir(folder->path), 0);
}

/* A file with 1,000 keys. */
static struct folder folder_with_file(void) {
    struct folder folder = folder_create();
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    assert_int_equal(hearth_guard_save(cache, folder.file), HEARTH_OK);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    return folder;
}

static void a_file_is_as_good_as_the_keys(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    hearth *cache = open_guarded("guard.expected_keys", "3000"); /* of another size */
    assert_int_equal(hearth_guard_add(cache, "own", 3), HEARTH_OK);
    assert_int_equal(hearth_guard_load(cache, folder.file), HEARTH_OK);
    assert_int_equal(count_denied(cache, "there", 1000), 0);
    assert_false(is_denied(cache, "own"));
    assert_true(count_denied(cache, "absent", 1000) > 970);
    assert_int_equal(cache_stats(cache).guard_generation, 1);
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_int_equal(hearth_guard_load(cache, folder.file), HEARTH_CONFLICT);
    assert_true(log_says(cache, "older"));
    assert_int_equal(cache_stats(cache).guard_generation, 2);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    folder_destroy(&folder);
}

static void refuse_file(const struct folder *folder, const char *option, const char *value,
                        int32_t expected, const char *words) {
    hearth *cache = open_guarded(option, value);
    assert_int_equal(hearth_guard_load(cache, folder->file), expected);
    assert_true(log_says(cache, words));
    assert_int_equal(count_denied(cache, "absent", 20), 0);
    assert_int_equal(cache_stats(cache).guard_certified, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_file_of_another_seed_is_refused(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    refuse_file(&folder, "guard.seed", "1", HEARTH_CONFLICT, "another seed");
    refuse_file(&folder, "remote.prefix", "app:", HEARTH_CONFLICT, "another seed");
    folder_destroy(&folder);
}

static off_t size_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void a_truncated_file_is_refused(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    off_t size = size_of(folder.file);
    assert_int_equal(truncate(folder.file, size + 1), 0);
    refuse_file(&folder, "guard.audit", "0", HEARTH_E_PROTOCOL, "truncated");
    const off_t sizes[] = {size - 1, size - 32, 65, 64, 63, 1, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(truncate(folder.file, sizes[i]), 0);
        refuse_file(&folder, "guard.audit", "0", HEARTH_E_PROTOCOL,
                    sizes[i] >= 64 ? "truncated" : "none of hearth_guard_save()");
    }
    folder_destroy(&folder);
    refuse_file(&folder, "guard.audit", "0", HEARTH_E_UNAVAILABLE, "cannot be read");
}

static void flip(const char *path, off_t at) {
    unsigned char byte = 0;
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    (void)close(file);
}

static void a_damaged_file_is_refused(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    off_t size = size_of(folder.file);
    hearth *cache = open_guarded("guard.audit", "0");
    for (off_t at = 0; at < size; at += at < 64 ? 1 : 41) {
        flip(folder.file, at);
        assert_int_equal(hearth_guard_load(cache, folder.file), HEARTH_E_PROTOCOL);
        flip(folder.file, at);
    }
    assert_int_equal(cache_stats(cache).guard_certified, 0);
    assert_int_equal(hearth_guard_load(cache, folder.file), HEARTH_OK);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    folder_destroy(&folder);
}

static void what_cannot_be_saved_is_refused(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(hearth_guard_save(cache, folder.file), HEARTH_CONFLICT);
    assert_true(log_says(cache, "not certified"));
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_int_equal(hearth_guard_save(cache, "/nowhere/guard"), HEARTH_E_UNAVAILABLE);
    assert_int_equal(hearth_guard_save(cache, folder.path), HEARTH_E_UNAVAILABLE);
    assert_int_equal(hearth_guard_save(cache, ""), HEARTH_E_INVALID);
    assert_int_equal(hearth_guard_save(cache, folder.file), HEARTH_OK); /* over the old one */
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    folder_destroy(&folder);
}

static void after_a_false_negative_no_file_is_trusted(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    hearth *cache = open_with_a_lie("1");
    assert_string_equal(cache_get(cache, "lie", 0), "=x");
    assert_int_equal(hearth_guard_load(cache, folder.file), HEARTH_CONFLICT);
    assert_disabled(cache);
    folder_destroy(&folder);
}

/* ---- threads, forks, memory --------------------------------------------------------------- */

enum { WRITERS = 8, EACH = 400, REBUILDS = 20 };

/* The source of truth: a key is there when its flag is. */
struct database {
    hearth *cache;
    _Atomic bool there[WRITERS][EACH];
    _Atomic uint64_t denied;
    _Atomic size_t done;
};

static void name_key(char *key, size_t writer, size_t i) {
    (void)snprintf(key, KEY_BYTES, "key:%zu:%zu", writer, i);
}

static void write_and_ask(void *arg, size_t index) {
    struct database *database = arg;
    char key[KEY_BYTES];
    for (size_t i = 0; i < EACH; i++) {
        name_key(key, index, i);
        (void)hearth_guard_add(database->cache, key, strlen(key));
        atomic_store(&database->there[index][i], true);
        (void)hearth_set(database->cache, key, strlen(key), "x", 1, NULL);
        atomic_fetch_add(&database->denied, is_denied(database->cache, key));
        name_key(key, index, i / 2); /* an older one */
        atomic_fetch_add(&database->denied, is_denied(database->cache, key));
    }
    atomic_fetch_add(&database->done, 1);
}

struct cursor {
    struct database *database;
    size_t at;
    char key[KEY_BYTES];
};

static int32_t next_row(void *arg, const void **key, size_t *key_size) {
    struct cursor *cursor = arg;
    const _Atomic bool *there = &cursor->database->there[0][0];
    while (cursor->at < (size_t)WRITERS * EACH && !atomic_load(&there[cursor->at])) {
        cursor->at++;
    }
    if (cursor->at == (size_t)WRITERS * EACH) {
        return HEARTH_MISS;
    }
    name_key(cursor->key, cursor->at / EACH, cursor->at % EACH);
    cursor->at++;
    *key = cursor->key;
    *key_size = strlen(cursor->key);
    return HEARTH_OK;
}

static uint64_t count_denied_rows(struct database *database) {
    uint64_t denied = 0;
    char key[KEY_BYTES];
    for (size_t i = 0; i < (size_t)WRITERS * EACH; i++) {
        name_key(key, i / EACH, i % EACH);
        denied += is_denied(database->cache, key);
    }
    return denied;
}

static void writers_during_rebuilds_are_never_denied(void **state) {
    (void)state;
    static struct database database;
    database.cache = open_guarded("guard.expected_keys", "5000");
    struct crowd crowd;
    assert_true(crowd_start(&crowd, WRITERS, write_and_ask, &database));
    int rebuilds = 0;
    while (rebuilds < REBUILDS || atomic_load(&database.done) < WRITERS) {
        struct cursor cursor = {.database = &database};
        assert_int_equal(hearth_guard_rebuild(database.cache, next_row, &cursor), HEARTH_OK);
        rebuilds++;
    }
    crowd_join(&crowd);
    assert_int_equal(database.denied, 0);
    assert_int_equal(count_denied_rows(&database), 0);
    assert_true(count_denied(database.cache, "absent", 100) > 90);
    hearth_stats stats = cache_stats(database.cache);
    assert_int_equal(stats.guard_false_negatives, 0);
    assert_int_equal(stats.guard_generation, (uint64_t)rebuilds);
    assert_int_equal(hearth_close(database.cache), HEARTH_OK);
}

/* What the parent adds from now on its child does not see. */
static void a_forked_child_denies_nothing(void **state) {
    (void)state;
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 10), HEARTH_OK);
    assert_true(count_denied(cache, "absent", 100) > 90);
    pid_t child = fork();
    if (child == 0) {
        bool denies = count_denied(cache, "absent", 100) != 0;
        bool again = rebuild(cache, 10) == HEARTH_OK && count_denied(cache, "absent", 100) > 90;
        _exit(!denies && again ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(count_denied(cache, "absent", 100) > 90);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void without_memory_nothing_changes(void **state) {
    (void)state;
    struct folder folder = folder_with_file();
    hearth *cache = open_guarded("guard.audit", "0");
    assert_int_equal(rebuild(cache, 1000), HEARTH_OK);
    for (uint64_t n = 0, failures = 1; failures != 0; n++) {
        failing_memory_fail(n, UINT64_MAX);
        int32_t built = rebuild(cache, 1000);
        failures = failing_memory_failures();
        failing_memory_fail(n, UINT64_MAX);
        int32_t saved = hearth_guard_save(cache, folder.file);
        failures += failing_memory_failures();
        failing_memory_fail(n, UINT64_MAX);
        int32_t loaded = hearth_guard_load(cache, folder.file);
        failures += failing_memory_failures();
        failing_memory_pass();
        assert_true(built == HEARTH_OK || built == HEARTH_E_NOMEM);
        assert_true(saved == HEARTH_OK || saved == HEARTH_E_NOMEM);
        assert_true(loaded == HEARTH_OK || loaded == HEARTH_E_NOMEM ||
                    loaded == HEARTH_CONFLICT);
        assert_int_equal(count_denied(cache, "there", 1000), 0);
        assert_int_equal(cache_stats(cache).guard_certified, 1);
    }
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    folder_destroy(&folder);
}

/* ---- floods ----------------------------------------------------------------------------- */

/* Hot keys stay, and of what is missing next to nothing gets through. */
static void a_flood_of_missing_keys_is_stopped(void **state) {
    (void)state;
    enum { HOT = 1000, FLOOD = 50000 };
    hearth *cache = open_guarded("guard.audit", "1000");
    struct source source = {SOURCE_INIT, .absent = true};
    assert_int_equal(rebuild(cache, HOT), HEARTH_OK);
    for (int i = 0; i < HOT; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "there:%d", i);
        assert_int_equal(cache_set(cache, key, "x"), HEARTH_OK);
    }
    hearth_stats before = cache_stats(cache);
    for (int i = 0; i < FLOOD; i++) {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof key, "flood:%d", i);
        assert_int_equal(source_fetch(cache, key, &source, NULL), HEARTH_ABSENT);
    }
    hearth_stats after = cache_stats(cache);
    assert_true(after.remote_misses - before.remote_misses < FLOOD * 13 / 1000);
    assert_int_equal(source.calls, after.remote_misses - before.remote_misses);
    assert_int_equal(after.local_evictions, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_expected_keys_there_is_no_guard),
        cmocka_unit_test(until_it_knows_all_keys_it_denies_none),
        cmocka_unit_test(of_keys_that_exist_none_is_denied),
        cmocka_unit_test(a_denial_reaches_no_server_and_no_loader),
        cmocka_unit_test(every_write_adds_its_key),
        cmocka_unit_test(what_is_added_meanwhile_is_in_the_new_filter),
        cmocka_unit_test(a_rebuild_forgets_what_is_gone),
        cmocka_unit_test(after_a_failed_rebuild_the_old_filter_stays),
        cmocka_unit_test(one_rebuild_at_a_time),
        cmocka_unit_test(keys_are_asked_for_when_those_added_before_are_there),
        cmocka_unit_test(close_ends_a_rebuild),
        cmocka_unit_test(it_says_when_it_is_outgrown),
        cmocka_unit_test(a_filter_stays_within_its_limit),
        cmocka_unit_test(an_audit_of_a_get_proves_a_false_negative),
        cmocka_unit_test(an_audit_of_a_get_many_proves_it),
        cmocka_unit_test(an_audit_of_a_fetch_runs_on_to_the_loader),
        cmocka_unit_test(an_audit_of_a_fetch_many_does_too),
        cmocka_unit_test(a_begun_fetch_asks_the_guard),
        cmocka_unit_test(one_denial_in_so_many_is_audited),
        cmocka_unit_test(an_audit_that_fails_says_nothing),
        cmocka_unit_test(a_key_that_is_made_meanwhile_proves_nothing),
        cmocka_unit_test(a_file_is_as_good_as_the_keys),
        cmocka_unit_test(a_file_of_another_seed_is_refused),
        cmocka_unit_test(a_truncated_file_is_refused),
        cmocka_unit_test(a_damaged_file_is_refused),
        cmocka_unit_test(what_cannot_be_saved_is_refused),
        cmocka_unit_test(after_a_false_negative_no_file_is_trusted),
        cmocka_unit_test(writers_during_rebuilds_are_never_denied),
        cmocka_unit_test(a_forked_child_denies_nothing),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(a_flood_of_missing_keys_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
