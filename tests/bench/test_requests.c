/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in memory: numbered from a trace, and generated with the shape of a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reference.h"
#include "requests.h"

static char file[] = "/tmp/hearth-requests-XXXXXX";

static int make_file(void **state) {
    (void)state;
    int fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(file);
}

static void write_text(const char *text) {
    FILE *stream = fopen(file, "we");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

/* ---- from a trace ---- */

static void keys_are_numbered_by_first_appearance(void **state) {
    (void)state;
    struct requests requests;
    char error[512];
    static const uint32_t expected[] = {0, 1, 0, 2, 1, 3};
    write_text("zoo\nant\nzoo\nan\nant\nzoos\n");
    assert_int_equal(requests_read(&requests, file, TRACE_AUTO, 0, error, sizeof error), 0);
    assert_int_equal(requests.count, 6);
    assert_int_equal(requests.distinct, 4);
    assert_memory_equal(requests.items, expected, sizeof expected);
    assert_null(requests.sizes);
    requests_fini(&requests);
}

static void the_first_size_of_a_key_counts(void **state) {
    (void)state;
    struct requests requests;
    char error[512];
    write_text("b,10\na,20\nb,30\nc,0\n");
    assert_int_equal(requests_read(&requests, file, TRACE_AUTO, 0, error, sizeof error), 0);
    assert_int_equal(requests.distinct, 3);
    assert_int_equal(requests.sizes[0], 10);
    assert_int_equal(requests.sizes[1], 20);
    assert_int_equal(requests.sizes[2], 0);
    requests_fini(&requests);
}

static void a_maximum_cuts_the_trace(void **state) {
    (void)state;
    struct requests requests;
    char error[512];
    write_text("a\nb\na\n\n"); /* what is behind the maximum is not read: line 4 is wrong */
    assert_int_equal(requests_read(&requests, file, TRACE_AUTO, 3, error, sizeof error), 0);
    assert_int_equal(requests.count, 3);
    assert_int_equal(requests.distinct, 2);
    requests_fini(&requests);
    assert_int_equal(requests_read(&requests, file, TRACE_AUTO, 4, error, sizeof error), -1);
    assert_non_null(strstr(error, "line 4"));
    assert_int_equal(
        requests_read(&requests, "/nonexistent", TRACE_AUTO, 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "/nonexistent"));
}

/* Each has room for 65,536 at first. */
static void what_takes_too_much_memory_is_refused(void **state) {
    (void)state;
    enum { ROOM = 65536 * (sizeof(uint32_t) + sizeof(uint64_t)) };
    struct requests requests;
    char error[512];
    write_text("a\nb\na\nc\n");
    assert_int_equal(
        requests_read_within(&requests, ROOM, file, TRACE_AUTO, 0, error, sizeof error), -1);
    assert_non_null(strstr(error, file));
    assert_non_null(strstr(error, "its first 1 requests and their 1 keys take more than"));
    assert_int_equal(
        requests_read_within(&requests, ROOM + 1000, file, TRACE_AUTO, 0, error, sizeof error),
        0);
    assert_int_equal(requests.count, 4);
    requests_fini(&requests);
}

static void many_keys_are_told_apart(void **state) {
    (void)state;
    struct requests requests;
    char error[512];
    enum { KEYS = 100000 };
    FILE *stream = fopen(file, "we");
    assert_non_null(stream);
    for (int i = 0; i < 2 * KEYS; i++) {
        fprintf(stream, "key:%d,%d\n", i % KEYS, i % KEYS);
    }
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(requests_read(&requests, file, TRACE_AUTO, 0, error, sizeof error), 0);
    assert_int_equal(requests.count, 2 * KEYS);
    assert_int_equal(requests.distinct, KEYS);
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        assert_int_equal(requests.items[i], i % KEYS);
        assert_int_equal(requests.sizes[i % KEYS], i % KEYS);
    }
    requests_fini(&requests);
}

/* ---- generated ---- */

/* What the trace cache2k-web12 gives at 0.1 %, 1 % and 10 % of its distinct keys. */
static const struct {
    uint32_t capacity;
    double lru, fifo, belady;
} real[] = {
    {13, 0.8366, 0.8387, 0.6660},
    {137, 0.6030, 0.6237, 0.4154},
    {1375, 0.3152, 0.3546, 0.1997},
};
/* Its share of requests for the most popular keys. */
static const struct {
    size_t keys;
    double share;
} real_popularity[] = {{1, 0.0096}, {10, 0.0711}, {100, 0.2756}, {1000, 0.6659}};

static double ratio(int64_t misses, const struct requests *requests) {
    assert_true(misses >= 0);
    return (double)misses / (double)requests->count;
}

static void assert_near(const char *name, double value, double wanted, double tolerance) {
    print_message("%-28s real %.4f  generated %.4f\n", name, wanted, value);
    if (value < wanted - tolerance || value > wanted + tolerance) {
        fail_msg("%s: more than %.2f apart", name, tolerance);
    }
}

static int compare_down(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return a < b ? 1 : a > b ? -1 : 0;
}

static void assert_miss_ratios(const struct requests *requests) {
    char name[64];
    for (size_t i = 0; i < sizeof real / sizeof real[0]; i++) {
        uint32_t capacity = real[i].capacity;
        const uint32_t *items = requests->items;
        size_t count = requests->count;
        uint32_t distinct = requests->distinct;
        snprintf(name, sizeof name, "LRU misses, %u objects", capacity);
        assert_near(name,
                    ratio(reference_lru_misses(items, count, distinct, capacity), requests),
                    real[i].lru, 0.03);
        snprintf(name, sizeof name, "FIFO misses, %u objects", capacity);
        assert_near(name,
                    ratio(reference_fifo_misses(items, count, distinct, capacity), requests),
                    real[i].fifo, 0.03);
        snprintf(name, sizeof name, "Belady misses, %u objects", capacity);
        assert_near(name,
                    ratio(reference_belady_misses(items, count, distinct, capacity), requests),
                    real[i].belady, 0.03);
    }
}

static void assert_popularity(const struct requests *requests) {
    char name[64];
    uint32_t *counts = calloc(requests->distinct, sizeof *counts);
    assert_non_null(counts);
    for (size_t i = 0; i < requests->count; i++) {
        assert_in_range(requests->items[i], 0, requests->distinct - 1);
        counts[requests->items[i]]++;
    }
    qsort(counts, requests->distinct, sizeof *counts, compare_down);
    assert_true(counts[requests->distinct - 1] > 0);
    for (size_t i = 0; i < sizeof real_popularity / sizeof real_popularity[0]; i++) {
        uint64_t sum = 0;
        for (size_t rank = 0; rank < real_popularity[i].keys; rank++) {
            sum += counts[rank];
        }
        snprintf(name, sizeof name, "share of the top %zu", real_popularity[i].keys);
        assert_near(name, ratio((int64_t)sum, requests), real_popularity[i].share, 0.03);
    }
    free(counts);
}

static void generated_requests_have_the_shape_of_real_ones(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct requests requests;
        assert_int_equal(requests_generate(&requests, seed), 0);
        assert_int_equal(requests.count, 95607);
        assert_int_equal(requests.distinct, 13756);
        assert_null(requests.sizes);
        assert_miss_ratios(&requests);
        assert_popularity(&requests);
        requests_fini(&requests);
    }
}

/* FNV-1a over the numbers. */
static uint64_t sum_of(const struct requests *requests) {
    uint64_t sum = 0xCBF29CE484222325U;
    for (size_t i = 0; i < requests->count; i++) {
        sum = (sum ^ requests->items[i]) * 0x100000001B3U;
    }
    return sum;
}

static void a_seed_means_one_stream(void **state) {
    (void)state;
    struct requests first;
    struct requests second;
    struct requests other;
    assert_int_equal(requests_generate(&first, 42), 0);
    assert_int_equal(requests_generate(&second, 42), 0);
    assert_int_equal(requests_generate(&other, 43), 0);
    assert_memory_equal(first.items, second.items, first.count * sizeof *first.items);
    assert_int_not_equal(sum_of(&first), sum_of(&other));
    /* On any machine, with any compiler. */
    assert_int_equal(sum_of(&first), 0x5C37367C8C80B9B7U);
    requests_fini(&first);
    requests_fini(&second);
    requests_fini(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_numbered_by_first_appearance),
        cmocka_unit_test(the_first_size_of_a_key_counts),
        cmocka_unit_test(a_maximum_cuts_the_trace),
        cmocka_unit_test(what_takes_too_much_memory_is_refused),
        cmocka_unit_test(many_keys_are_told_apart),
        cmocka_unit_test(generated_requests_have_the_shape_of_real_ones),
        cmocka_unit_test(a_seed_means_one_stream),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
