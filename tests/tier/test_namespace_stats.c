/* SPDX-License-Identifier: Apache-2.0 */
/* A namespace's figures: its own reads, hits, loads, writes and local bytes, whoever asked and whatever became of the entries. */
#include "tier/lease_rig.h"

enum { COUNTED = 63, SMALL_BYTES = 512 << 10, FLOOD = 20000 };

static hearth *open_space(hearth *cache, const char *name) {
    hearth *view = NULL;
    assert_int_equal(hearth_namespace_open(cache, name, strlen(name), &view), HEARTH_OK);
    return view;
}

static hearth *open_small(void) {
    hearth *cache = cache_open((const char *const[]){"local.max_bytes", "512kb", NULL});
    assert_non_null(cache);
    return cache;
}

static void expect_nothing(hearth *view) {
    hearth_stats stats = cache_stats(view);
    hearth_stats none = {.size = stats.size, .local_limit_bytes = stats.local_limit_bytes};
    assert_memory_equal(&stats, &none, sizeof stats);
}

/* ---- calls ---- */

static void each_counts_its_own(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *users = open_space(cache, "users");
    hearth *posts = open_space(cache, "posts");
    struct source source = {SOURCE_INIT, .text = "x"};
    assert_int_equal(cache_set(users, "a", "x"), HEARTH_OK);
    (void)cache_get(users, "a", 0);
    (void)cache_get(users, "a", 0);
    (void)cache_get(users, "a", HEARTH_READ_NO_LOCAL);
    (void)cache_get(users, "b", 0);
    (void)cache_get(cache, "a", 0);
    assert_int_equal(source_fetch(posts, "c", &source, NULL), HEARTH_OK);
    assert_int_equal(source_fetch(posts, "c", &source, NULL), HEARTH_OK);
    source.absent = true;
    assert_int_equal(source_fetch(posts, "d", &source, NULL), HEARTH_ABSENT);
    source.returns = 1;
    assert_int_equal(source_fetch(posts, "e", &source, NULL), HEARTH_E_LOADER);
    hearth_stats of_users = cache_stats(users);
    hearth_stats of_posts = cache_stats(posts);
    hearth_stats all = cache_stats(cache);
    assert_int_equal(of_users.reads, 4);
    assert_int_equal(of_users.local_hits, 2);
    assert_int_equal(of_users.remote_hits, 1);
    assert_int_equal(of_users.remote_misses, 1);
    assert_int_equal(of_users.writes, 1);
    assert_int_equal(of_users.loads, 0);
    assert_int_equal(of_users.local_entries, 1);
    assert_int_equal(of_posts.reads, 4);
    assert_int_equal(of_posts.local_hits, 1);
    assert_int_equal(of_posts.loads, 3);
    assert_int_equal(of_posts.load_absents, 1);
    assert_int_equal(of_posts.load_errors, 1);
    assert_int_equal(of_posts.writes, 0);
    assert_int_equal(of_posts.local_entries, 2); /* an absence is one */
    assert_int_equal(all.reads, of_users.reads + of_posts.reads + 1);
    assert_int_equal(all.local_hits, of_users.local_hits + of_posts.local_hits);
    assert_int_equal(all.loads, of_posts.loads);
    assert_int_equal(of_users.connects, 0);
    assert_int_equal(of_users.local_limit_bytes, all.local_limit_bytes);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void many_are_counted_by_key(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *users = open_space(cache, "users");
    const void *const keys[] = {"a", "b", "c"};
    const size_t sizes[] = {1, 1, 1};
    int32_t statuses[3];
    assert_int_equal(cache_set(users, "a", "x"), HEARTH_OK);
    assert_int_equal(cache_set(users, "b", "x"), HEARTH_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            hearth_get_many(users, i == 0 ? 3 : 2, keys, sizes, NULL, NULL, statuses),
            HEARTH_OK);
    }
    hearth_stats stats = cache_stats(users);
    assert_int_equal(stats.reads, 5);
    assert_int_equal(stats.local_hits, 4);
    assert_int_equal(stats.remote_misses, 1);
    assert_int_equal(hearth_delete_many(users, 3, keys, sizes, NULL, statuses), HEARTH_OK);
    assert_int_equal(cache_stats(users).writes, 5);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void *read_once(void *view) {
    return cache_get(view, "a", 0)[0] == '=' ? view : NULL;
}

static void threads_that_ended_count(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *users = open_space(cache, "users");
    assert_int_equal(cache_set(users, "a", "x"), HEARTH_OK);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *hit = NULL;
        assert_int_equal(pthread_create(&thread, NULL, read_once, users), 0);
        assert_int_equal(pthread_join(thread, &hit), 0);
        assert_non_null(hit);
        assert_int_equal(cache_stats(users).local_hits, i + 1);
    }
    assert_int_equal(hearth_close(users), HEARTH_OK); /* they go on when it is opened again */
    assert_int_equal(cache_stats(open_space(cache, "users")).local_hits, 3);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Of two processes, on servers. */
static void nodes_answers_are_counted(void **state) {
    struct lease_rig *rig = *state;
    hearth *of_a = open_space(rig->a, "users");
    hearth *of_b = open_space(rig->b, "users");
    assert_int_equal(cache_set(of_a, rig->key, "x"), HEARTH_OK);
    assert_string_equal(cache_get(of_b, rig->key, 0), "=x");
    assert_string_equal(cache_get(of_b, rig->key, 0), "=x");
    hearth_stats stats = cache_stats(of_b);
    assert_int_equal(stats.reads, 2);
    assert_int_equal(stats.remote_hits, 1);
    assert_int_equal(stats.local_hits, 1);
    assert_int_equal(stats.local_entries, 1);
}

/* ---- the local tier ---- */

static void bytes_follow_the_entries(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *users = open_space(cache, "users");
    hearth *posts = open_space(cache, "posts");
    static char large[1000];
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(cache_set(users, "a", "x"), HEARTH_OK);
    uint64_t small_bytes = cache_stats(users).local_bytes;
    assert_true(small_bytes > 0 && small_bytes < 200);
    assert_int_equal(cache_set(users, "a", "y"), HEARTH_OK);
    assert_int_equal(cache_stats(users).local_bytes, small_bytes);
    assert_int_equal(cache_set(users, "a", large), HEARTH_OK);
    assert_true(cache_stats(users).local_bytes > 1000);
    assert_int_equal(cache_stats(users).local_entries, 1);
    expect_nothing(posts);
    assert_int_equal(hearth_evict_local(users, "a", 1), HEARTH_OK);
    assert_int_equal(cache_stats(users).local_bytes, 0);
    assert_int_equal(cache_stats(users).local_entries, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Entries that are moved, dropped or replaced at random: what is left is counted right, and nothing once it is all removed. */
static void bytes_are_right_after_a_flood(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *views[] = {open_space(cache, "users"), open_space(cache, "posts"), cache};
    static char text[300];
    memset(text, 'x', sizeof text - 1);
    uint64_t random = 1;
    for (int i = 0; i < FLOOD; i++) {
        char key[16];
        random = random * 6364136223846793005u + 1442695040888963407u;
        (void)snprintf(key, sizeof key, "%u", (unsigned)(random >> 40) % 4000);
        const char *value = text + (random >> 33) % (sizeof text - 1);
        assert_int_equal(cache_set(views[i % 3], key, value), HEARTH_OK);
        (void)cache_get(views[(i + 1) % 3], key, 0);
    }
    hearth_stats all = cache_stats(cache);
    hearth_stats users = cache_stats(views[0]);
    hearth_stats posts = cache_stats(views[1]);
    assert_true(all.local_evictions > 0);
    assert_true(users.local_entries > 0 && posts.local_entries > 0);
    assert_true(users.local_entries + posts.local_entries < all.local_entries);
    assert_true(users.local_bytes + posts.local_bytes < SMALL_BYTES);
    for (int i = 0; i < 4000; i++) {
        char key[16];
        int size = snprintf(key, sizeof key, "%d", i);
        (void)hearth_evict_local(views[0], key, (size_t)size);
        (void)hearth_evict_local(views[1], key, (size_t)size);
    }
    assert_int_equal(cache_stats(views[0]).local_bytes, 0);
    assert_int_equal(cache_stats(views[0]).local_entries, 0);
    assert_int_equal(cache_stats(views[1]).local_bytes, 0);
    assert_int_equal(cache_stats(cache).local_entries,
                     all.local_entries - users.local_entries - posts.local_entries);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* ---- where they are shown ---- */

static void expect_in_text(hearth *cache, const char *line) {
    static char text[65536];
    assert_int_equal(hearth_stats_text(cache, text, sizeof text, NULL), HEARTH_OK);
    if (strstr(text, line) == NULL) {
        fail_msg("not there: %s", line);
    }
}

static void the_text_has_them_by_name(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *users = open_space(cache, "us\"ers");
    assert_int_equal(cache_set(users, "a", "x"), HEARTH_OK);
    (void)cache_get(users, "a", 0);
    expect_in_text(cache, "\nhearth_namespace_local_hits_total{namespace=\"us\\\"ers\"} 1\n");
    expect_in_text(users, "\nhearth_namespace_writes_total{namespace=\"us\\\"ers\"} 1\n");
    expect_in_text(users, "\nhearth_namespace_local_entries{namespace=\"us\\\"ers\"} 1\n");
    expect_in_text(users, "\nhearth_local_hits_total 1\n");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Names are to be few: others are counted with the cache only. */
static void only_so_many_are_counted(void **state) {
    (void)state;
    hearth *cache = open_small();
    hearth *view = NULL;
    for (int i = 0; i < COUNTED + 2; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "space%d", i);
        view = open_space(cache, name);
        assert_int_equal(cache_set(view, "a", "x"), HEARTH_OK);
        (void)cache_get(view, "a", 0);
        if (i < COUNTED) {
            assert_int_equal(cache_stats(view).local_hits, 1);
            assert_int_equal(cache_stats(view).local_entries, 1);
        } else {
            expect_nothing(view);
        }
    }
    assert_int_equal(cache_stats(cache).local_hits, COUNTED + 2);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

#define ON(open, test) cmocka_unit_test_setup_teardown(test, open, lease_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_counts_its_own),
        cmocka_unit_test(many_are_counted_by_key),
        cmocka_unit_test(threads_that_ended_count),
        ON(lease_open_redis, nodes_answers_are_counted),
        ON(lease_open_memcached, nodes_answers_are_counted),
        cmocka_unit_test(bytes_follow_the_entries),
        cmocka_unit_test(bytes_are_right_after_a_flood),
        cmocka_unit_test(the_text_has_them_by_name),
        cmocka_unit_test(only_so_many_are_counted),
    };
    return cmocka_run_group_tests_name("namespaces' figures", tests, lease_servers_start,
                                       lease_servers_stop);
}
