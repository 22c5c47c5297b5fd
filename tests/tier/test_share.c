/* SPDX-License-Identifier: Apache-2.0 */
/* local.share: what a namespace has of the local tier, whatever is stored in it, and what others keep. */
#include "api/source.h"

#include <hearth/hearth.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LIMIT_BYTES = 2 << 20,
    SHARE_BYTES = LIMIT_BYTES / 10,
    OTHERS = 1500,
    FLOOD = 20000,
    ROUND = 2000
};

static char text[3001];

static hearth *open_policy(const char *policy, const char *share) {
    hearth *cache = cache_open((const char *const[]){"local.max_bytes", "2mb", "local.policy",
                                                     policy, "local.expected_entry_bytes",
                                                     "512b", "local.share", share, NULL});
    assert_non_null(cache);
    memset(text, 'x', sizeof text - 1);
    return cache;
}

static hearth *open_space(hearth *cache, const char *name) {
    hearth *view = NULL;
    assert_int_equal(hearth_namespace_open(cache, name, strlen(name), &view), HEARTH_OK);
    return view;
}

static void set(hearth *view, const char *head, int number) {
    char key[32];
    (void)snprintf(key, sizeof key, "%s%d", head, number);
    assert_int_equal(cache_set(view, key, text + sizeof text - 601 + number % 100), HEARTH_OK);
}

static int present(hearth *view, const char *head, int count) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s%d", head, i);
        found += cache_get(view, key, HEARTH_READ_NO_REMOTE)[0] == '=';
    }
    return found;
}

static void get(hearth *view, int number) {
    char key[32];
    (void)snprintf(key, sizeof key, "%d", number);
    (void)cache_get(view, key, HEARTH_READ_NO_REMOTE);
}

/* How many of others' keys, which are read again and again, are left by a flood of keys that are read at once. */
static int left_by_flood(const char *policy, const char *share, uint64_t bound) {
    hearth *cache = open_policy(policy, share);
    hearth *users = open_space(cache, "users");
    for (int i = 0; i < OTHERS; i++) {
        set(cache, "other", i);
    }
    assert_int_equal(present(cache, "other", OTHERS), OTHERS);
    for (int i = 0; i < FLOOD; i++) {
        set(users, "", i);
        get(users, i);
        get(users, i);
        assert_true(cache_stats(users).local_bytes <= bound);
        if (i % ROUND == 0) {
            (void)present(cache, "other", OTHERS);
        }
    }
    int left = present(cache, "other", OTHERS);
    assert_true(cache_stats(users).local_bytes > SHARE_BYTES / 2);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    return left;
}

static void a_flood_stays_within_its_share(void **state) {
    (void)state;
    static const char *const policies[] = {"adaptive", "s3fifo", "lru"};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        int left = left_by_flood(policies[i], "posts=1,users=0.1", SHARE_BYTES);
        int control = left_by_flood(policies[i], "", LIMIT_BYTES);
        assert_true(left >= OTHERS * 9 / 10);
        assert_true(control < OTHERS * 9 / 10);
    }
}

/* What is read stays, what is not goes; and what is newer comes in. */
static void its_own_go_for_what_is_new(void **state) {
    (void)state;
    enum { HOT = 50 };
    hearth *cache = open_policy("adaptive", "users=0.1");
    hearth *users = open_space(cache, "users");
    for (int i = 0; i < FLOOD; i++) {
        if (i < HOT) {
            set(users, "hot", i);
        }
        if (i % 20 == 0) {
            (void)present(users, "hot", HOT);
        }
        set(users, "", i);
    }
    int kept = present(users, "hot", HOT);
    assert_true(kept > HOT * 3 / 4);
    int late = 0;
    for (int i = FLOOD - 100; i < FLOOD; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%d", i);
        late += cache_get(users, key, HEARTH_READ_NO_REMOTE)[0] == '=';
    }
    assert_true(late > 50);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* What was forgotten by a bump still counts; it goes when there is something new. */
static void a_bump_leaves_room(void **state) {
    (void)state;
    hearth *cache = open_policy("adaptive", "users=0.1");
    hearth *users = open_space(cache, "users");
    for (int i = 0; i < 2000; i++) {
        set(users, "", i);
    }
    assert_int_equal(hearth_namespace_bump(users, NULL), HEARTH_OK);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 100; i++) {
            set(users, "new", i);
        }
    }
    assert_int_equal(present(users, "new", 100), 100);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void local_is(hearth *view, const char *key, const char *wanted) {
    assert_string_equal(cache_get(view, key, HEARTH_READ_NO_REMOTE), wanted);
}

/* What grows counts with what it has now; what is larger than its share is not kept, nor is what it replaces. */
static void a_larger_value_takes_the_place(void **state) {
    (void)state;
    hearth *cache = open_policy("adaptive", "users=0.001");
    hearth *users = open_space(cache, "users");
    assert_int_equal(cache_set(users, "key", "small"), HEARTH_OK);
    uint64_t small = cache_stats(users).local_bytes;
    assert_int_equal(cache_set(users, "key", "mall's"), HEARTH_OK);
    local_is(users, "key", "=mall's");
    assert_int_equal(cache_stats(users).local_bytes, small);
    for (int i = 0; i < 100; i++) {
        const char *value = text + sizeof text - 1 - 1000 - (size_t)(i % 7) * 100;
        assert_int_equal(cache_set(users, "key", value), HEARTH_OK);
        assert_int_equal(cache_get(users, "key", HEARTH_READ_NO_REMOTE)[0], '=');
        assert_int_equal(cache_stats(users).local_entries, 1);
    }
    assert_int_equal(cache_set(users, "key", text), HEARTH_OK);
    local_is(users, "key", "MISS");
    assert_int_equal(cache_stats(users).local_entries, 0);
    assert_int_equal(cache_stats(users).local_bytes, 0);
    assert_int_equal(cache_get(users, "key", 0)[0], '='); /* of its node */
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Keys known not to exist count with their namespace, and displace no value of it. */
static void no_value_goes_for_an_absence(void **state) {
    (void)state;
    hearth *cache = open_policy("adaptive", "users=0.1");
    hearth *users = open_space(cache, "users");
    hearth_value *value = hearth_value_new();
    struct source source = {SOURCE_INIT, .absent = true};
    for (int i = 0; i < 1000; i++) {
        set(users, "", i);
    }
    int before = present(users, "", 1000);
    for (int i = 0; i < 1000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "none%d", i);
        assert_int_equal(source_fetch(users, key, &source, value), HEARTH_ABSENT);
        assert_true(cache_stats(users).local_bytes <= SHARE_BYTES);
    }
    assert_true(before > 100);
    assert_int_equal(present(users, "", 1000), before);
    hearth_value_free(value);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Each shard has its part of it. */
static void shards_have_parts(void **state) {
    (void)state;
    enum { BOUND = (16 << 20) / 100 };
    hearth *cache =
        cache_open((const char *const[]){"local.max_bytes", "16mb", "local.policy", "adaptive",
                                         "local.share", "users=0.01", NULL});
    assert_non_null(cache);
    memset(text, 'x', sizeof text - 1);
    hearth *users = open_space(cache, "users");
    for (int i = 0; i < FLOOD / 10; i++) {
        set(users, "", i);
        assert_true(cache_stats(users).local_bytes <= BOUND);
    }
    assert_true(cache_stats(users).local_bytes > BOUND * 3 / 4);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void with_none_nothing_is_kept(void **state) {
    (void)state;
    hearth *cache = open_policy("adaptive", "users=0,a=b=0.5");
    hearth *users = open_space(cache, "users");
    hearth *posts = open_space(cache, "posts");
    hearth *equals = open_space(cache, "a=b");
    set(users, "", 1);
    set(posts, "", 1);
    set(equals, "", 1);
    assert_int_equal(cache_stats(users).local_entries, 0);
    assert_string_equal(cache_get(users, "1", HEARTH_READ_NO_REMOTE), "MISS");
    assert_int_equal(cache_get(users, "1", 0)[0], '='); /* of its node */
    assert_int_equal(cache_stats(posts).local_entries, 1);
    assert_int_equal(cache_stats(equals).local_entries, 1);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* A child's local tier begins with what its parent's had, bound and count included. */
static bool keeps_within(hearth *cache, hearth *users, uint64_t before) {
    bool within = cache_stats(users).local_bytes == before;
    for (int i = 0; i < FLOOD / 10; i++) {
        set(users, "child", i);
        within = within && cache_stats(users).local_bytes <= SHARE_BYTES;
    }
    return within && cache_stats(users).local_bytes > SHARE_BYTES / 2 &&
           present(cache, "other", OTHERS) >= OTHERS * 9 / 10;
}

static void a_forked_child_keeps_to_it(void **state) {
    (void)state;
    hearth *cache = open_policy("adaptive", "users=0.1");
    hearth *users = open_space(cache, "users");
    for (int i = 0; i < OTHERS; i++) {
        set(cache, "other", i);
    }
    for (int i = 0; i < 100; i++) {
        set(users, "", i);
    }
    uint64_t before = cache_stats(users).local_bytes;
    assert_in_range(before, 1, SHARE_BYTES);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(keeps_within(cache, users, before) ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(cache_stats(users).local_bytes, before);
    assert_true(keeps_within(cache, users, before));
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void what_is_no_list_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *list, *piece;
    } wrong[] = {{"users", "'users'"},
                 {"posts=1,users=", "'users='"},
                 {"=0.5", "'=0.5'"},
                 {"users=1.1,posts=1", "'users=1.1'"},
                 {"users=0.1,", "''"},
                 {",users=0.1", "''"},
                 {"users=-1", "'users=-1'"},
                 {"us ers=0.1", "'us ers=0.1'"},
                 {"users=0.1x", "'users=0.1x'"},
                 {"a=0.1,b=0.1,a=0.2", "'a'"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hearth *cache = NULL;
        hearth_options *options = hearth_options_new();
        assert_non_null(options);
        assert_int_equal(hearth_options_set(options, "local.share", wrong[i].list), HEARTH_OK);
        assert_int_equal(hearth_open(options, &cache), HEARTH_E_INVALID);
        assert_non_null(strstr(hearth_options_error(options), "local.share"));
        assert_non_null(strstr(hearth_options_error(options), wrong[i].piece));
        hearth_options_free(options);
    }
}

static void there_may_be_63(void **state) {
    (void)state;
    char list[1024] = "";
    for (int i = 0; i < 63; i++) {
        (void)snprintf(list + strlen(list), sizeof list - strlen(list), "%sn%d=0.5",
                       i != 0 ? "," : "", i);
    }
    hearth *cache = open_policy("adaptive", list);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    (void)snprintf(list + strlen(list), sizeof list - strlen(list), ",last=1");
    hearth_options *options = hearth_options_new();
    assert_non_null(options);
    assert_int_equal(hearth_options_set(options, "local.share", list), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_E_INVALID);
    assert_non_null(strstr(hearth_options_error(options), "'last'"));
    hearth_options_free(options);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_stays_within_its_share),
        cmocka_unit_test(its_own_go_for_what_is_new),
        cmocka_unit_test(a_bump_leaves_room),
        cmocka_unit_test(a_larger_value_takes_the_place),
        cmocka_unit_test(no_value_goes_for_an_absence),
        cmocka_unit_test(shards_have_parts),
        cmocka_unit_test(with_none_nothing_is_kept),
        cmocka_unit_test(a_forked_child_keeps_to_it),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(there_may_be_63),
    };
    return cmocka_run_group_tests_name("local.share", tests, NULL, NULL);
}
