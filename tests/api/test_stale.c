/* SPDX-License-Identifier: Apache-2.0 */
/* Values past their soft life: an answer to a fetch while one renews them, a miss to a get that does
 * not ask for them. */
#include "source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static hearth_value *value;
static struct source source;

static int open_cache(void **state) {
    (void)state;
    source = (struct source){SOURCE_INIT, .text = "new"};
    cache = cache_open(NULL);
    value = hearth_value_new();
    return cache != NULL && value != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    hearth_value_free(value);
    return hearth_close(cache);
}

static hearth_info info_of_value(void) {
    hearth_info info = {.size = sizeof info};
    assert_int_equal(hearth_value_info(value, &info), HEARTH_OK);
    return info;
}

static void expect_answer(const char *text, uint32_t tier, uint32_t freshness) {
    assert_int_equal(hearth_value_size(value), strlen(text));
    assert_memory_equal(hearth_value_data(value), text, strlen(text));
    assert_int_equal(info_of_value().tier, tier);
    assert_int_equal(info_of_value().freshness, freshness);
}

static void expect_in_tiers(const char *key, const char *local, const char *remote) {
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_REMOTE), local);
    assert_string_equal(cache_get(cache, key, HEARTH_READ_NO_LOCAL), remote);
}

static void make_stale(const char *key) {
    assert_true(cache_make_stale(cache, key));
    expect_in_tiers(key, "MISS", "MISS");
}

static int32_t get(const char *key, uint32_t flags) {
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    return hearth_get(cache, key, strlen(key), &read, value);
}

/* ---- get ---- */

static void a_get_takes_it_only_if_it_says_so(void **state) {
    (void)state;
    char key[] = "key";
    make_stale(key);
    assert_int_equal(get(key, 0), HEARTH_MISS);
    assert_int_equal(hearth_value_size(value), 0);
    assert_int_equal(get(key, HEARTH_READ_ALLOW_STALE), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
    assert_int_equal(get(key, HEARTH_READ_ALLOW_STALE | HEARTH_READ_NO_LOCAL), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_REMOTE, HEARTH_STALE);
    assert_true(info_of_value().ttl_left_ms > 1000000);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.local_stale_hits, 1);
}

static void of_many_each_is_judged_by_itself(void **state) {
    (void)state;
    char key[] = "key";
    const void *const keys[] = {"fresh", key};
    const size_t sizes[] = {5, 3};
    int32_t statuses[2];
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    make_stale(key);
    assert_int_equal(cache_set(cache, "fresh", "x"), HEARTH_OK);
    assert_int_equal(hearth_get_many(cache, 2, keys, sizes, &read, NULL, statuses), HEARTH_OK);
    assert_int_equal(statuses[0], HEARTH_OK);
    assert_int_equal(statuses[1], HEARTH_MISS);
    read.flags = HEARTH_READ_ALLOW_STALE;
    assert_int_equal(hearth_get_many(cache, 2, keys, sizes, &read, NULL, statuses), HEARTH_OK);
    assert_int_equal(statuses[1], HEARTH_OK);
}

/* At the very edge too: what a get takes for fresh, it tells as fresh. */
static void what_a_get_answers_is_fresh(void **state) {
    (void)state;
    static const uint32_t tiers[] = {0, HEARTH_READ_NO_LOCAL};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.soft_ttl_ms = 2;
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(hearth_set(cache, "key", 3, "old", 3, &write), HEARTH_OK);
        while (get("key", tiers[i % 2]) == HEARTH_OK) {
            assert_int_equal(info_of_value().freshness, HEARTH_FRESH);
        }
    }
    assert_int_equal(cache_stats(cache).stale_served, 0);
}

/* ---- a fetch renews ---- */

static void a_fetch_renews_it_in_both_tiers(void **state) {
    (void)state;
    char key[] = "key";
    make_stale(key);
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOADED, HEARTH_FRESH);
    expect_in_tiers(key, "=new", "=new");
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOCAL, HEARTH_FRESH);
    assert_int_equal(atomic_load(&source.calls), 1);
}

/* The same when only the node has it. */
static void a_stale_value_of_the_node_is_renewed(void **state) {
    (void)state;
    char key[] = "key";
    make_stale(key);
    assert_int_equal(hearth_evict_local(cache, key, 3), HEARTH_OK);
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOADED, HEARTH_FRESH);
    expect_in_tiers(key, "=new", "=new");
}

static void what_another_has_renewed_is_taken_from_the_node(void **state) {
    (void)state;
    char key[] = "key";
    hearth_read_options read;
    const hearth_loader loader = source_loader(&source);
    hearth_read_options_init(&read, sizeof read);
    make_stale(key);
    /* As if by another process: the node alone is asked and filled. */
    read.flags = HEARTH_READ_NO_LOCAL;
    assert_int_equal(hearth_fetch(cache, key, 3, &loader, &read, NULL, value), HEARTH_OK);
    source.text = "newer";
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_REMOTE, HEARTH_FRESH);
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void a_value_that_has_gone_is_known_to_be_gone(void **state) {
    (void)state;
    char key[] = "key";
    make_stale(key);
    source.absent = true;
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_ABSENT);
    assert_int_equal(hearth_value_size(value), 0);
    expect_in_tiers(key, "ABSENT", "ABSENT");
}

static void reopen(const char *const *settings) {
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    cache = cache_open(settings);
    assert_non_null(cache);
}

static void a_renewal_that_fails_leaves_the_stale_value(void **state) {
    (void)state;
    char key[] = "key";
    reopen((const char *const[]){"load.retry_after_ms", "0", NULL});
    make_stale(key);
    source.returns = 7;
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
        expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
        assert_int_equal(atomic_load(&source.calls), i);
    }
    assert_int_equal(hearth_evict_local(cache, key, 3), HEARTH_OK);
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_REMOTE, HEARTH_STALE);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.load_errors, 4);
    assert_int_equal(stats.stale_served, 4);
    source.returns = HEARTH_OK;
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOADED, HEARTH_FRESH);
}

static void the_option_gives_every_value_a_soft_life(void **state) {
    (void)state;
    reopen((const char *const[]){"ttl_ms", "10000000", "stale_ms", "9999990", NULL});
    char set[] = "set";
    char loaded[] = "loaded";
    assert_int_equal(cache_set(cache, set, "old"), HEARTH_OK);
    assert_int_equal(source_fetch(cache, loaded, &source, value), HEARTH_OK);
    assert_true(cache_await_stale(cache, set));
    assert_true(cache_await_stale(cache, loaded));
    assert_int_equal(get(set, HEARTH_READ_ALLOW_STALE), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
    assert_int_equal(get(loaded, HEARTH_READ_ALLOW_STALE), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOCAL, HEARTH_STALE);
}

/* ---- while it is renewed ---- */

struct renewer {
    char *key;
    int32_t status;
    char text[16];
};

static void renew(void *arg, size_t index) {
    struct renewer *renewer = arg;
    hearth_value *own = hearth_value_new();
    renewer->status = source_fetch(cache, renewer->key, &source, own);
    (void)snprintf(renewer->text, sizeof renewer->text, "%.*s", (int)hearth_value_size(own),
                   (const char *)hearth_value_data(own));
    hearth_value_free(own);
    (void)index;
}

/* A thread is in the loader of the stale key. */
static void start_renewal(struct crowd *crowd, struct renewer *renewer) {
    make_stale(renewer->key);
    source.waits = true;
    assert_true(crowd_start(crowd, 1, renew, renewer));
    assert_true(event_await(&source.entered, 1));
}

static void finish_renewal(struct crowd *crowd, const struct renewer *renewer) {
    event_raise(&source.go);
    crowd_join(crowd);
    assert_int_equal(renewer->status, HEARTH_OK);
    assert_string_equal(renewer->text, "new");
}

static void others_get_it_as_it_is_meanwhile(void **state) {
    (void)state;
    char key[] = "key";
    struct renewer renewer = {.key = key};
    struct crowd crowd;
    start_renewal(&crowd, &renewer);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
        expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
    }
    assert_int_equal(atomic_load(&source.calls), 1);
    assert_int_equal(cache_stats(cache).stale_served, 5);
    assert_int_equal(cache_stats(cache).flight_waits, 0);
    finish_renewal(&crowd, &renewer);
    assert_int_equal(source_fetch(cache, key, &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOCAL, HEARTH_FRESH);
    assert_int_equal(atomic_load(&source.calls), 1);
}

static void a_set_meanwhile_wins(void **state) {
    (void)state;
    char key[] = "key";
    struct renewer renewer = {.key = key};
    struct crowd crowd;
    start_renewal(&crowd, &renewer);
    assert_int_equal(cache_set(cache, key, "set"), HEARTH_OK);
    finish_renewal(&crowd, &renewer);
    expect_in_tiers(key, "=set", "=set");
}

static void a_delete_meanwhile_is_not_undone(void **state) {
    (void)state;
    char key[] = "key";
    struct renewer renewer = {.key = key};
    struct crowd crowd;
    start_renewal(&crowd, &renewer);
    assert_int_equal(hearth_delete(cache, key, 3, NULL), HEARTH_OK);
    assert_int_equal(get(key, HEARTH_READ_ALLOW_STALE), HEARTH_MISS);
    finish_renewal(&crowd, &renewer);
    expect_in_tiers(key, "MISS", "MISS");
    assert_int_equal(get(key, HEARTH_READ_ALLOW_STALE), HEARTH_MISS);
}

/* Deleted is not stale: who comes after the delete loads, and gets no older value. */
static void after_a_delete_the_stale_value_is_no_answer(void **state) {
    (void)state;
    char key[] = "key";
    struct renewer renewer = {.key = key};
    struct source failing = {SOURCE_INIT, .returns = 1};
    struct crowd crowd;
    start_renewal(&crowd, &renewer);
    assert_int_equal(hearth_delete(cache, key, 3, NULL), HEARTH_OK);
    assert_int_equal(source_fetch(cache, key, &failing, value), HEARTH_E_LOADER);
    assert_int_equal(hearth_value_size(value), 0);
    finish_renewal(&crowd, &renewer);
    expect_in_tiers(key, "MISS", "MISS");
}

/* Many find it stale on the node at once: they all get an answer, and one renewal was enough. */
static void many_at_once_renew_once(void **state) {
    (void)state;
    enum { ROUNDS = 30, THREADS = 8 };
    for (int round = 0; round < ROUNDS; round++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", round);
        make_stale(key);
        assert_int_equal(hearth_evict_local(cache, key, strlen(key)), HEARTH_OK);
        const int before = atomic_load(&source.calls);
        struct renewer renewers[THREADS];
        struct crowd crowds[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            renewers[i] = (struct renewer){.key = key};
            assert_true(crowd_start(&crowds[i], 1, renew, &renewers[i]));
        }
        for (size_t i = 0; i < THREADS; i++) {
            crowd_join(&crowds[i]);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(renewers[i].status, HEARTH_OK);
            assert_true(strcmp(renewers[i].text, "new") == 0 ||
                        strcmp(renewers[i].text, "old") == 0);
        }
        assert_int_equal(atomic_load(&source.calls) - before, 1);
        expect_in_tiers(key, "=new", "=new");
    }
}

/* ---- marked stale ---- */

static void mark(const char *key, uint32_t flags, int32_t status) {
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = flags;
    assert_int_equal(hearth_mark_stale(cache, key, strlen(key), &write), status);
}

static void what_is_marked_is_stale_in_both_tiers(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    assert_int_equal(get("key", 0), HEARTH_OK);
    const hearth_info before = info_of_value();
    for (int i = 0; i < 2; i++) { /* also what is stale already */
        mark("key", 0, HEARTH_OK);
        expect_in_tiers("key", "MISS", "MISS");
    }
    assert_int_equal(get("key", HEARTH_READ_ALLOW_STALE), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
    const hearth_info here = info_of_value();
    assert_int_equal(get("key", HEARTH_READ_ALLOW_STALE | HEARTH_READ_NO_LOCAL), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_REMOTE, HEARTH_STALE);
    assert_true(here.version == info_of_value().version);
    assert_true(here.version != before.version);
    const int64_t most_ms = before.ttl_left_ms + 1; /* it was rounded */
    assert_in_range(info_of_value().ttl_left_ms, 1, most_ms);
    assert_in_range(here.ttl_left_ms, 1, most_ms);
}

static void a_fetch_renews_what_is_marked(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    mark("key", 0, HEARTH_OK);
    source.returns = 7;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
    reopen((const char *const[]){"load.retry_after_ms", "0", NULL});
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    mark("key", 0, HEARTH_OK);
    source.returns = HEARTH_OK;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_answer("new", HEARTH_TIER_LOADED, HEARTH_FRESH);
    expect_in_tiers("key", "=new", "=new");
}

static void only_values_can_be_marked(void **state) {
    (void)state;
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_INTEGER;
    mark("key", 0, HEARTH_MISS);
    assert_int_equal(hearth_set(cache, "number", 6, "7", 1, &write), HEARTH_OK);
    mark("number", 0, HEARTH_E_TYPE);
    assert_string_equal(cache_get(cache, "number", 0), "=7");
    source.absent = true;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_ABSENT);
    mark("key", 0, HEARTH_MISS);
    expect_in_tiers("key", "MISS", "MISS");
}

static void a_local_copy_can_be_marked_alone(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "old"), HEARTH_OK);
    mark("key", HEARTH_WRITE_NO_REMOTE, HEARTH_OK);
    expect_in_tiers("key", "MISS", "=old");
    assert_int_equal(get("key", HEARTH_READ_ALLOW_STALE | HEARTH_READ_NO_REMOTE), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
    mark("none", HEARTH_WRITE_NO_REMOTE, HEARTH_MISS);
}

/* A copy that is not of the value that the node has is none to keep. */
static void another_local_copy_does_not_stay(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "key", "node"), HEARTH_OK);
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.flags = HEARTH_WRITE_NO_REMOTE;
    assert_int_equal(hearth_set(cache, "key", 3, "here", 4, &write), HEARTH_OK);
    mark("key", 0, HEARTH_OK);
    assert_int_equal(get("key", HEARTH_READ_ALLOW_STALE), HEARTH_OK);
    expect_answer("node", HEARTH_TIER_REMOTE, HEARTH_STALE);
}

/* The load began before: what it found may be what the mark is for. */
static void a_renewal_under_way_is_not_stored_over_a_mark(void **state) {
    (void)state;
    char key[] = "key";
    struct renewer renewer = {.key = key};
    struct crowd crowd;
    start_renewal(&crowd, &renewer);
    mark(key, 0, HEARTH_OK);
    finish_renewal(&crowd, &renewer);
    expect_in_tiers(key, "MISS", "MISS");
    assert_int_equal(get(key, HEARTH_READ_ALLOW_STALE), HEARTH_OK);
    expect_answer("old", HEARTH_TIER_LOCAL, HEARTH_STALE);
}

static void mark_own_key(struct source *from, hearth_fill *fill) {
    (void)from;
    (void)fill;
    mark("key", 0, HEARTH_MISS);
}

static void a_load_under_way_is_not_stored_after_a_mark(void **state) {
    (void)state;
    source.inside = mark_own_key;
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    expect_in_tiers("key", "MISS", "MISS");
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(a_get_takes_it_only_if_it_says_so),
        WITH_CACHE(of_many_each_is_judged_by_itself),
        WITH_CACHE(what_a_get_answers_is_fresh),
        WITH_CACHE(a_fetch_renews_it_in_both_tiers),
        WITH_CACHE(a_stale_value_of_the_node_is_renewed),
        WITH_CACHE(what_another_has_renewed_is_taken_from_the_node),
        WITH_CACHE(a_value_that_has_gone_is_known_to_be_gone),
        WITH_CACHE(a_renewal_that_fails_leaves_the_stale_value),
        WITH_CACHE(the_option_gives_every_value_a_soft_life),
        WITH_CACHE(others_get_it_as_it_is_meanwhile),
        WITH_CACHE(a_set_meanwhile_wins),
        WITH_CACHE(a_delete_meanwhile_is_not_undone),
        WITH_CACHE(after_a_delete_the_stale_value_is_no_answer),
        WITH_CACHE(many_at_once_renew_once),
        WITH_CACHE(what_is_marked_is_stale_in_both_tiers),
        WITH_CACHE(a_fetch_renews_what_is_marked),
        WITH_CACHE(only_values_can_be_marked),
        WITH_CACHE(a_local_copy_can_be_marked_alone),
        WITH_CACHE(another_local_copy_does_not_stay),
        WITH_CACHE(a_renewal_under_way_is_not_stored_over_a_mark),
        WITH_CACHE(a_load_under_way_is_not_stored_after_a_mark),
    };
    return cmocka_run_group_tests_name("stale", tests, NULL, NULL);
}
