/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RING = 256 };

static hearth__log *open_ring(void) {
    hearth__log *log = hearth__log_create(NULL, NULL);
    assert_non_null(log);
    return log;
}

static void expect_next(hearth__log *log, const char *text, uint64_t lost) {
    hearth_log_record record;
    assert_int_equal(hearth__log_next(log, &record), HEARTH_OK);
    assert_string_equal(record.text, text);
    assert_int_equal(record.lost, lost);
}

static void add_numbers(hearth__log *log, int first, int last) {
    for (int i = first; i <= last; i++) {
        hearth__log_add(log, HEARTH_LOG_NOTICE, HEARTH_OK, "%d", i);
    }
}

static void expect_numbers(hearth__log *log, int first, int last) {
    for (int i = first; i <= last; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        expect_next(log, text, 0);
    }
}

static void expect_empty(hearth__log *log) {
    hearth_log_record record;
    memset(&record, 'x', sizeof record);
    const hearth_log_record before = record;
    assert_int_equal(hearth__log_next(log, &record), HEARTH_MISS);
    assert_memory_equal(&record, &before, sizeof record);
}

static void records_come_in_order_and_whole(void **state) {
    (void)state;
    hearth__log *log = open_ring();
    expect_empty(log);
    hearth__log_add(log, HEARTH_LOG_ERROR, HEARTH_E_TIMEOUT, "node %s: %d ms", "a:1", 50);
    hearth__log_add(log, HEARTH_LOG_NOTICE, HEARTH_OK, "node %s is back", "a:1");
    hearth_log_record record;
    assert_int_equal(hearth__log_next(log, &record), HEARTH_OK);
    assert_string_equal(record.text, "node a:1: 50 ms");
    assert_int_equal(record.level, HEARTH_LOG_ERROR);
    assert_int_equal(record.status, HEARTH_E_TIMEOUT);
    assert_true(record.unix_ms > INT64_C(1600000000000));
    expect_next(log, "node a:1 is back", 0);
    expect_empty(log);
    hearth__log_destroy(log);
}

static void a_full_ring_drops_the_oldest_and_counts_them_once(void **state) {
    (void)state;
    hearth__log *log = open_ring();
    add_numbers(log, 1, RING);
    assert_int_equal(hearth__log_lost(log), 0);
    add_numbers(log, RING + 1, RING + 3);
    assert_int_equal(hearth__log_lost(log), 3);
    expect_next(log, "4", 3);
    expect_numbers(log, 5, RING + 3);
    expect_empty(log);
    add_numbers(log, 1, 2);
    expect_numbers(log, 1, 2);
    assert_int_equal(hearth__log_lost(log), 3);
    hearth__log_destroy(log);
}

/* Records lost between two that were taken are told by the later one. */
static void losses_in_the_middle_are_told_where_they_were(void **state) {
    (void)state;
    hearth__log *log = open_ring();
    add_numbers(log, 1, 10);
    expect_numbers(log, 1, 5);
    add_numbers(log, 11, 5 + RING + 7);
    expect_next(log, "13", 7);
    add_numbers(log, 1000, 1000);
    add_numbers(log, 1001, 1001);
    expect_next(log, "15", 1);
    assert_int_equal(hearth__log_lost(log), 8);
    hearth__log_destroy(log);
}

static void a_long_text_is_cut(void **state) {
    (void)state;
    hearth__log *log = open_ring();
    char text[1000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    hearth__log_add(log, HEARTH_LOG_ERROR, HEARTH_OK, "%s", text);
    hearth_log_record record;
    assert_int_equal(hearth__log_next(log, &record), HEARTH_OK);
    assert_int_equal(strlen(record.text), sizeof record.text - 1);
    assert_memory_equal(record.text, text, sizeof record.text - 1);
    hearth__log_destroy(log);
}

struct listener {
    int calls;
    hearth_log_record last;
};

static void listen(void *arg, const hearth_log_record *record) {
    struct listener *listener = arg;
    listener->calls++;
    listener->last = *record;
}

static void a_function_gets_every_record_and_the_ring_none(void **state) {
    (void)state;
    struct listener listener = {0};
    hearth__log *log = hearth__log_create(listen, &listener);
    assert_non_null(log);
    for (int i = 1; i <= RING * 2; i++) {
        hearth__log_add(log, HEARTH_LOG_WARNING, HEARTH_E_PROTOCOL, "%d", i);
        assert_int_equal(listener.calls, i);
    }
    assert_string_equal(listener.last.text, "512");
    assert_int_equal(listener.last.size, sizeof(hearth_log_record));
    assert_int_equal(listener.last.level, HEARTH_LOG_WARNING);
    assert_int_equal(listener.last.status, HEARTH_E_PROTOCOL);
    assert_int_equal(hearth__log_lost(log), 0);
    expect_empty(log);
    hearth__log_destroy(log);
}

static void no_log_takes_nothing(void **state) {
    (void)state;
    hearth__log_add(NULL, HEARTH_LOG_ERROR, HEARTH_OK, "nobody hears this");
    hearth__log_destroy(NULL);
    failing_memory_fail(0, 1);
    assert_null(hearth__log_create(NULL, NULL));
    failing_memory_pass();
    assert_int_equal(failing_memory_blocks(), 0);
}

enum { WRITERS = 8, EACH = 2000 };

struct traffic {
    hearth__log *log;
    uint64_t taken;
    uint64_t told_lost;
    bool out_of_order;
    _Atomic int writing;
};

/* Each writer's numbers must come up only; `last` holds the last one seen of each. */
static void take_all(struct traffic *traffic, int *last) {
    hearth_log_record record;
    while (hearth__log_next(traffic->log, &record) == HEARTH_OK) {
        int writer = 0;
        int number = 0;
        traffic->taken++;
        traffic->told_lost += record.lost;
        bool read =
            sscanf(record.text, "%d %d", &writer, &number) == 2; /* NOLINT(cert-err34-c) */
        if (!read || writer < 0 || writer >= WRITERS || number <= last[writer]) {
            traffic->out_of_order = true;
            continue;
        }
        last[writer] = number;
    }
}

static void write_or_read(void *arg, size_t index) {
    struct traffic *traffic = arg;
    int last[WRITERS] = {0};
    if (index == WRITERS) {
        while (atomic_load(&traffic->writing) != 0) {
            take_all(traffic, last);
        }
        take_all(traffic, last);
        return;
    }
    for (int i = 1; i <= EACH; i++) {
        hearth__log_add(traffic->log, HEARTH_LOG_NOTICE, HEARTH_OK, "%zu %d", index, i);
    }
    atomic_fetch_sub(&traffic->writing, 1);
}

static void every_record_is_taken_or_counted_as_lost(void **state) {
    (void)state;
    struct traffic traffic = {.log = open_ring(), .writing = WRITERS};
    assert_true(crowd_run(WRITERS + 1, write_or_read, &traffic));
    assert_false(traffic.out_of_order);
    assert_int_equal(traffic.told_lost, hearth__log_lost(traffic.log));
    assert_int_equal(traffic.taken + traffic.told_lost, WRITERS * EACH);
    hearth__log_destroy(traffic.log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_in_order_and_whole),
        cmocka_unit_test(a_full_ring_drops_the_oldest_and_counts_them_once),
        cmocka_unit_test(losses_in_the_middle_are_told_where_they_were),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(a_function_gets_every_record_and_the_ring_none),
        cmocka_unit_test(no_log_takes_nothing),
        cmocka_unit_test(every_record_is_taken_or_counted_as_lost),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
