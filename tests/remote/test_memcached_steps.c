/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs on a real Memcached server, step by step, in both protocols: what others do between two
 * steps, and what other clients leave there. */
#include "remote/memcached_courier.h"

#include "base/stat.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One server for all tests; each begins with a new connection. */
static struct servers servers;

static int start_server(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
        print_error("%s\n", servers.error);
        return -1;
    }
    return 0;
}

static int stop_server(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

static int open_in(void **state, bool meta) {
    struct courier *courier = malloc(sizeof *courier);
    assert_non_null(courier);
    courier_open(courier, &servers, meta);
    courier_say(&servers, "flush_all\r\n", "OK\r\n");
    *state = courier;
    return 0;
}

static int open_meta(void **state) {
    return open_in(state, true);
}

static int open_text(void **state) {
    return open_in(state, false);
}

static int close_it(void **state) {
    courier_close(*state);
    free(*state);
    return 0;
}

static hearth__remote_op store_of(struct courier *courier, enum hearth__verb verb,
                                  enum hearth__kind kind, const char *data) {
    hearth__remote_op op = courier_op(courier, verb, "key", data);
    op.kind = kind;
    return op;
}

static hearth__remote_op verb_of(struct courier *courier, enum hearth__verb verb) {
    return courier_op(courier, verb, "key", NULL);
}

static void set(struct courier *courier, enum hearth__kind kind, const char *data) {
    courier_expect(courier, store_of(courier, HEARTH__SET, kind, data), HEARTH_OK);
}

/* ---- one request where one is enough -------------------------------------------------------- */

static void expect_asked(struct courier *courier, hearth__remote_op op, int32_t status,
                         unsigned asked) {
    courier_expect(courier, op, status);
    assert_int_equal(courier->asked, asked);
}

static void most_operations_ask_once(void **state) {
    struct courier *courier = *state;
    expect_asked(courier, verb_of(courier, HEARTH__GET), HEARTH_MISS, 1);
    expect_asked(courier, verb_of(courier, HEARTH__DELETE), HEARTH_MISS, 1);
    expect_asked(courier, store_of(courier, HEARTH__ADD, HEARTH__KIND_VALUE, "a"), HEARTH_OK,
                 1);
    expect_asked(courier, verb_of(courier, HEARTH__GET), HEARTH_OK, 1);
    expect_asked(courier, store_of(courier, HEARTH__SET, HEARTH__KIND_VALUE, "b"), HEARTH_OK,
                 1);
    expect_asked(courier, verb_of(courier, HEARTH__DELETE), HEARTH_OK, 1);
    set(courier, HEARTH__KIND_INTEGER, "41");
    hearth__remote_op op = verb_of(courier, HEARTH__INCREMENT);
    op.number = 1;
    expect_asked(courier, op, HEARTH_OK, 1);
    expect_asked(courier, verb_of(courier, HEARTH__DELETE), HEARTH_OK, 1);
    expect_asked(courier, op, HEARTH_MISS, 1);
}

static void what_depends_on_the_value_looks_first(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_VALUE, "a");
    expect_asked(courier, store_of(courier, HEARTH__REPLACE, HEARTH__KIND_VALUE, "b"),
                 HEARTH_OK, 2);
    hearth__remote_op op = store_of(courier, HEARTH__SWAP, HEARTH__KIND_VALUE, "c");
    op.if_version = op.version - 1;
    expect_asked(courier, op, HEARTH_OK, 2);
    expect_asked(courier, op, HEARTH_CONFLICT, 1);
    expect_asked(courier, verb_of(courier, HEARTH__TOUCH), HEARTH_OK, 2);
    expect_asked(courier, store_of(courier, HEARTH__ADD, HEARTH__KIND_VALUE, "d"),
                 HEARTH_EXISTS, 2);
    set(courier, HEARTH__KIND_ABSENT, "");
    expect_asked(courier, store_of(courier, HEARTH__ADD, HEARTH__KIND_VALUE, "e"), HEARTH_OK,
                 3);
    (void)courier_expect_get(courier, "key", HEARTH_OK, "e");
}

/* A delete tells a value from what stands in its place without reading it. */
static void a_delete_does_not_read_the_value(void **state) {
    struct courier *courier = *state;
    enum { LARGE = 500000 };
    char *large = calloc(1, LARGE);
    assert_non_null(large);
    static const struct {
        enum hearth__kind kind;
        int32_t status;
    } kinds[] = {
        {HEARTH__KIND_VALUE, HEARTH_OK},    {HEARTH__KIND_STALE, HEARTH_OK},
        {HEARTH__KIND_ABSENT, HEARTH_MISS}, {HEARTH__KIND_LEASE, HEARTH_MISS},
        {HEARTH__KIND_FOREIGN, HEARTH_OK},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        hearth__remote_op op = store_of(courier, HEARTH__SET, kinds[i].kind, "");
        op.data = large;
        op.data_size = LARGE;
        courier_expect(courier, op, HEARTH_OK);
        expect_asked(courier, verb_of(courier, HEARTH__DELETE), kinds[i].status, 1);
        if (courier->meta) { /* the text protocol has no other way */
            assert_true(courier->brought < 100);
        }
        expect_asked(courier, verb_of(courier, HEARTH__DELETE), HEARTH_MISS, 1);
    }
    free(large);
}

/* ---- others come between -------------------------------------------------------------------- */

static void other_sets(struct courier *courier, unsigned asked) {
    (void)courier;
    (void)asked;
    courier_say(&servers, "set key 0 0 7\r\nforeign\r\n", "STORED\r\n");
}

static void other_sets_once(struct courier *courier, unsigned asked) {
    if (asked == 1) {
        other_sets(courier, asked);
    }
}

static void other_deletes_once(struct courier *courier, unsigned asked) {
    (void)courier;
    if (asked == 1) {
        courier_say(&servers, "delete key\r\n", "DELETED\r\n");
    }
}

static void other_counts_once(struct courier *courier, unsigned asked) {
    (void)courier;
    if (asked == 1) {
        courier_say(&servers, "incr key 1\r\n", "42\r\n");
    }
}

static void a_lost_race_is_run_again(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_VALUE, "old");
    courier->between = other_sets_once;
    expect_asked(courier, store_of(courier, HEARTH__REPLACE, HEARTH__KIND_VALUE, "new"),
                 HEARTH_OK, 4);
    courier->between = NULL;
    (void)courier_expect_get(courier, "key", HEARTH_OK, "new");
    set(courier, HEARTH__KIND_VALUE, "old");
    courier->between = other_deletes_once;
    expect_asked(courier, store_of(courier, HEARTH__REPLACE, HEARTH__KIND_VALUE, "new"),
                 HEARTH_MISS, 3);
    set(courier, HEARTH__KIND_ABSENT, "");
    expect_asked(courier, store_of(courier, HEARTH__ADD, HEARTH__KIND_VALUE, "new"), HEARTH_OK,
                 3);
}

static void a_swap_takes_only_the_version_it_saw(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_VALUE, "old");
    hearth__remote_op op = store_of(courier, HEARTH__SWAP, HEARTH__KIND_VALUE, "new");
    op.if_version = op.version - 1;
    courier->between = other_sets_once;
    courier_expect(courier, op, HEARTH_CONFLICT);
    courier_say(&servers, "get key\r\n", "VALUE key 0 7\r\nforeign\r\nEND\r\n");
    courier->between = NULL;
    set(courier, HEARTH__KIND_VALUE, "old");
    op = store_of(courier, HEARTH__SWAP, HEARTH__KIND_VALUE, "new");
    op.if_version = op.version - 1;
    courier->between = other_deletes_once;
    courier_expect(courier, op, HEARTH_MISS);
    courier_say(&servers, "get key\r\n", "END\r\n");
}

static void who_always_loses_gives_up(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_VALUE, "old");
    courier->between = other_sets;
    courier_expect(courier, store_of(courier, HEARTH__REPLACE, HEARTH__KIND_VALUE, "new"),
                   HEARTH_CONFLICT);
    courier_say(&servers, "get key\r\n", "VALUE key 0 7\r\nforeign\r\nEND\r\n");
}

static void a_touch_changes_nothing_but_the_life(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_VALUE, "old");
    courier->between = other_sets_once; /* the value that was read is not written back */
    courier_expect(courier, verb_of(courier, HEARTH__TOUCH), HEARTH_OK);
    courier_say(&servers, "get key\r\n", "VALUE key 0 7\r\nforeign\r\nEND\r\n");
    courier->between = NULL;
    set(courier, HEARTH__KIND_INTEGER, "41");
    courier->between = other_counts_once;
    courier_expect(courier, verb_of(courier, HEARTH__TOUCH), HEARTH_OK);
    (void)courier_expect_get(courier, "key", HEARTH_OK, "42");
}

/* ---- values that the server cannot hold ----------------------------------------------------- */

static void what_is_too_large_leaves_nothing_older(void **state) {
    struct courier *courier = *state;
    enum { TOO_LARGE = (1 << 20) + 1 };
    char *large = calloc(1, TOO_LARGE);
    assert_non_null(large);
    static const enum hearth__verb verbs[] = {HEARTH__SET, HEARTH__ADD, HEARTH__REPLACE,
                                              HEARTH__SWAP};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        enum hearth__kind old =
            verbs[i] == HEARTH__ADD ? HEARTH__KIND_ABSENT : HEARTH__KIND_VALUE;
        set(courier, old, "old");
        hearth__remote_op op = store_of(courier, verbs[i], HEARTH__KIND_VALUE, "");
        op.if_version = op.version - 1;
        op.data = large;
        op.data_size = TOO_LARGE;
        courier_expect(courier, op, HEARTH_E_TOO_LARGE);
        courier_say(&servers, "get key\r\n", "END\r\n");
        set(courier, HEARTH__KIND_VALUE, "next"); /* the connection is in step */
        (void)courier_expect_get(courier, "key", HEARTH_OK, "next");
    }
    free(large);
}

/* What could not even be announced in a line is not sent. */
static void what_no_server_takes_is_not_sent(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_VALUE, "old");
    hearth__remote_op op = store_of(courier, HEARTH__SET, HEARTH__KIND_VALUE, "");
    op.data_size = SIZE_MAX / 2; /* nobody looks at the bytes */
    courier_expect(courier, op, HEARTH_E_TOO_LARGE);
    courier_say(&servers, "get key\r\n", "END\r\n");
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void expect_count(struct courier *courier, int64_t amount, int32_t status,
                         const char *after) {
    hearth__remote_op op = verb_of(courier, HEARTH__INCREMENT);
    op.number = amount;
    courier_expect(courier, op, status);
    char reply[64];
    (void)snprintf(reply, sizeof reply, "%s\r\n", after);
    courier_say(&servers, "incr key 0\r\n", reply); /* without blanks behind it */
}

static void numbers_stay_in_their_range(void **state) {
    struct courier *courier = *state;
    set(courier, HEARTH__KIND_INTEGER, "9223372036854775807");
    expect_count(courier, 1, HEARTH_E_TOO_LARGE, "9223372036854775807");
    expect_count(courier, INT64_MAX, HEARTH_E_TOO_LARGE, "9223372036854775807");
    expect_count(courier, INT64_MIN, HEARTH_OK, "0");
    expect_count(courier, -1, HEARTH_OK, "0");
    (void)courier_expect_get(courier, "key", HEARTH_OK, "0");
    /* A foreign one beyond it, which would begin at 0 again. */
    courier_say(&servers, "set key 0 0 20\r\n18446744073709551615\r\n", "STORED\r\n");
    expect_count(courier, 1, HEARTH_E_TOO_LARGE, "18446744073709551615");
    expect_count(courier, INT64_MAX, HEARTH_E_TOO_LARGE, "18446744073709551615");
    expect_count(courier, 0, HEARTH_E_TOO_LARGE, "18446744073709551615");
}

static void what_is_no_number_says_so(void **state) {
    struct courier *courier = *state;
    hearth__remote_op op = verb_of(courier, HEARTH__INCREMENT);
    op.number = 1;
    set(courier, HEARTH__KIND_VALUE, "12");
    expect_asked(courier, op, HEARTH_E_TYPE, 2);
    set(courier, HEARTH__KIND_LEASE, "");
    expect_asked(courier, op, HEARTH_MISS, 2);
    courier_say(&servers, "set key 0 0 2\r\n-1\r\n", "STORED\r\n");
    expect_asked(courier, op, HEARTH_E_TYPE, 2);
    op.key = "with a blank";
    op.key_size = strlen("with a blank");
    courier_expect(courier, op, HEARTH_E_UNSUPPORTED);
}

/* ---- lives ---------------------------------------------------------------------------------- */

static void expect_life(const char *left_s) {
    char reply[64];
    (void)snprintf(reply, sizeof reply, "HD t%s\r\n", left_s);
    courier_say(&servers, "mg key t\r\n", reply);
}

static void lives_are_told_and_learned(void **state) {
    struct courier *courier = *state;
    hearth__remote_op op = store_of(courier, HEARTH__SET, HEARTH__KIND_VALUE, "v");
    op.ttl_ms = 0;
    courier_expect(courier, op, HEARTH_OK);
    expect_life("-1");
    op.ttl_ms = INT64_C(2592000000);
    courier_expect(courier, op, HEARTH_OK);
    hearth__remote_op got = courier_expect_get(courier, "key", HEARTH_OK, "v");
    assert_in_range(got.left_ms, INT64_C(2592000000) - 20000, INT64_C(2592000000));
    op = verb_of(courier, HEARTH__TOUCH);
    op.ttl_ms = 0;
    courier_expect(courier, op, HEARTH_OK);
    expect_life("-1");
    got = courier_expect_get(courier, "key", HEARTH_OK, "v");
    assert_int_equal(got.left_ms, -1);
}

/* The writer's clock was an hour ahead, or behind: the server's seconds say how long it lives. */
static void another_hosts_wrong_clock_does_no_harm(void **state) {
    struct courier *courier = *state;
    static const int64_t wrong_ms[] = {3600000, -3600000};
    for (size_t i = 0; i < 2; i++) {
        hearth__remote_op op = store_of(courier, HEARTH__SET, HEARTH__KIND_VALUE, "v");
        op.version += (uint64_t)wrong_ms[i] << 16;
        op.ttl_ms = 60000;
        courier_expect(courier, op, HEARTH_OK);
        if (!courier->meta) { /* it does not tell */
            continue;
        }
        hearth__remote_op got = courier_expect_get(courier, "key", HEARTH_OK, "v");
        assert_in_range(got.left_ms, 60000 - 15000, 60000);
    }
}

/* ---- what other clients leave --------------------------------------------------------------- */

/* An item that a client was promised to make, and one that a client marked stale, by the server's own
 * means. */
static void marks_of_the_server_are_respected(void **state) {
    struct courier *courier = *state;
    courier->config.accept_foreign = true;
    courier_say(&servers, "mg key N30 v\r\n", "VA 0 W\r\n\r\n");
    if (courier->meta) { /* the text protocol shows an empty value there */
        (void)courier_expect_get(courier, "key", HEARTH_MISS, NULL);
        courier_expect(courier, store_of(courier, HEARTH__REPLACE, HEARTH__KIND_VALUE, "a"),
                       HEARTH_MISS);
        courier_expect(courier, store_of(courier, HEARTH__ADD, HEARTH__KIND_VALUE, "a"),
                       HEARTH_OK);
    }
    set(courier, HEARTH__KIND_VALUE, "a");
    courier_say(&servers, "md key I T30\r\n", "HD\r\n");
    hearth__remote_op got = courier_expect_get(courier, "key", HEARTH_OK, "a");
    assert_int_equal(got.found, courier->meta ? HEARTH__KIND_STALE : HEARTH__KIND_VALUE);
    if (courier->meta) {
        courier_expect(courier, verb_of(courier, HEARTH__TOUCH), HEARTH_MISS);
        courier_expect(courier, store_of(courier, HEARTH__ADD, HEARTH__KIND_VALUE, "b"),
                       HEARTH_OK);
        (void)courier_expect_get(courier, "key", HEARTH_OK, "b");
    }
}

/* Client's flags are theirs: a delete of such a value is one of a value. */
static void foreign_flags_mean_nothing(void **state) {
    struct courier *courier = *state;
    courier->config.accept_foreign = true;
    courier_say(&servers, "set key 4294967295 0 3\r\nabc\r\n", "STORED\r\n");
    (void)courier_expect_get(courier, "key", HEARTH_OK, "abc");
    courier_expect(courier, verb_of(courier, HEARTH__DELETE), HEARTH_OK);
    courier_say(&servers, "get key\r\n", "END\r\n");
}

static void hidden_keys_carry_themselves(void **state) {
    struct courier *courier = *state;
    char key[1000];
    memset(key, 'a', sizeof key);
    for (size_t size = 249; size <= 251; size++) {
        key[size] = '\0';
        courier_expect(courier, courier_op(courier, HEARTH__SET, key, "body"), HEARTH_OK);
        (void)courier_expect_get(courier, key, HEARTH_OK, "body");
        courier_expect(courier, courier_op(courier, HEARTH__TOUCH, key, NULL), HEARTH_OK);
        (void)courier_expect_get(courier, key, HEARTH_OK, "body");
        courier_expect(courier, courier_op(courier, HEARTH__DELETE, key, NULL), HEARTH_OK);
        key[size] = 'a';
    }
    courier_say(&servers, "get pwned\r\n", "END\r\n");
}

#define IN_BOTH(test)                                     \
    {#test " (meta)", test, open_meta, close_it, NULL}, { \
#test " (text)", test, open_text, close_it, NULL  \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_BOTH(most_operations_ask_once),
        IN_BOTH(what_depends_on_the_value_looks_first),
        IN_BOTH(a_delete_does_not_read_the_value),
        IN_BOTH(a_lost_race_is_run_again),
        IN_BOTH(a_swap_takes_only_the_version_it_saw),
        IN_BOTH(who_always_loses_gives_up),
        IN_BOTH(a_touch_changes_nothing_but_the_life),
        IN_BOTH(what_is_too_large_leaves_nothing_older),
        IN_BOTH(what_no_server_takes_is_not_sent),
        IN_BOTH(numbers_stay_in_their_range),
        IN_BOTH(what_is_no_number_says_so),
        IN_BOTH(lives_are_told_and_learned),
        IN_BOTH(another_hosts_wrong_clock_does_no_harm),
        IN_BOTH(marks_of_the_server_are_respected),
        IN_BOTH(foreign_flags_mean_nothing),
        IN_BOTH(hidden_keys_carry_themselves),
    };
    return cmocka_run_group_tests_name("memcached verbs", tests, start_server, stop_server);
}
