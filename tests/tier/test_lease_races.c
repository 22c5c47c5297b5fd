/* SPDX-License-Identifier: Apache-2.0 */
/* Loads and deletes of the same key at the same time, in several caches: what a load read before a delete is never left at the
 * node. Three rounds in ten the key holds a value before, else nothing. HEARTH_LONG: 10,000 rounds. */
#include "tier/lease_rig.h"

enum { ROUNDS = 120, ROUNDS_LONG = 10000 };

struct race {
    struct lease_rig *rig;
    char key[48];
    _Atomic int row; /* in the source of truth */
    _Atomic int failed;
    pthread_barrier_t begin;
};

static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    struct race *race = arg;
    char text[16];
    (void)key;
    (void)key_size;
    snprintf(text, sizeof text, "%d", atomic_load(&race->row));
    return hearth_fill_value(fill, text, strlen(text));
}

static void fetch(struct race *race, hearth *cache) {
    const hearth_loader loader = {.size = sizeof loader, .load = load, .arg = race};
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOCAL;
    int32_t status =
        hearth_fetch(cache, race->key, strlen(race->key), &loader, &read, NULL, NULL);
    atomic_fetch_add(&race->failed, status != HEARTH_OK);
}

static void *fetch_too(void *arg) {
    struct race *race = arg;
    (void)pthread_barrier_wait(&race->begin);
    fetch(race, race->rig->a);
    return NULL;
}

/* Another process's: it changes the row, and deletes the key. */
static void *change(void *arg) {
    struct race *race = arg;
    (void)pthread_barrier_wait(&race->begin);
    atomic_fetch_add(&race->row, 1);
    int32_t status = hearth_delete(race->rig->b, race->key, strlen(race->key), NULL);
    atomic_fetch_add(&race->failed, status != HEARTH_OK && status != HEARTH_MISS);
    return NULL;
}

static void run_round(struct race *race, int round) {
    pthread_t threads[2];
    char now[16];
    snprintf(race->key, sizeof race->key, "%s-%d", race->rig->key, round);
    if (round % 10 < 3) {
        fetch(race, race->rig->b);
    }
    assert_int_equal(pthread_create(&threads[0], NULL, fetch_too, race), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, change, race), 0);
    (void)pthread_barrier_wait(&race->begin);
    if (round % 2 == 0) {
        fetch(race, race->rig->b); /* where the delete is made, too */
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    const char *left = cache_get(race->rig->a, race->key, HEARTH_READ_NO_LOCAL);
    snprintf(now, sizeof now, "=%d", atomic_load(&race->row));
    if (strcmp(left, "MISS") != 0 && strcmp(left, now) != 0) {
        fail_msg("round %d: %s is left at the node, and the row is %s", round, left, now);
    }
}

static void no_delete_is_lost(void **state) {
    struct race race = {.rig = *state};
    int rounds = getenv("HEARTH_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
    assert_int_equal(pthread_barrier_init(&race.begin, NULL, 3), 0);
    for (int round = 0; round < rounds; round++) {
        run_round(&race, round);
    }
    pthread_barrier_destroy(&race.begin);
    assert_int_equal(atomic_load(&race.failed), 0);
    assert_true(cache_stats(race.rig->a).leases_won != 0); /* else nothing was tested */
}

/* The same in one thread, between any two steps: the delete comes when the row is read and nothing is stored. */
static void a_delete_after_the_row_was_read_wins(void **state) {
    struct lease_rig *rig = *state;
    int rounds = getenv("HEARTH_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
    for (int round = 0; round < rounds; round++) {
        char key[48];
        hearth_fill *fill = NULL;
        snprintf(key, sizeof key, "%s-%d", rig->key, round);
        assert_int_equal(hearth_fetch_begin(rig->a, key, strlen(key), NULL, NULL, &fill),
                         HEARTH_MISS);
        assert_non_null(fill);
        assert_int_equal(hearth_fill_value(fill, "old", 3), HEARTH_OK);
        assert_int_equal(hearth_delete(rig->b, key, strlen(key), NULL), HEARTH_MISS);
        assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_OK);
        assert_string_equal(cache_get(rig->b, key, HEARTH_READ_NO_LOCAL), "MISS");
    }
    assert_int_equal(cache_stats(rig->a).leases_void, rounds);
}

#define ON(kind, function) \
    cmocka_unit_test_setup_teardown(function, lease_open_##kind, lease_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON(redis, no_delete_is_lost),
        ON(memcached, no_delete_is_lost),
        ON(redis, a_delete_after_the_row_was_read_wins),
        ON(memcached, a_delete_after_the_row_was_read_wins),
    };
    return cmocka_run_group_tests(tests, lease_servers_start, lease_servers_stop);
}
