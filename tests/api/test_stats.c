/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics: each counts what it says, and their text is what Prometheus reads (exposition
 * format 0.0.4). */
#include "source.h"
#include "support/failing_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hearth *cache;
static struct source source;

static int open_cache(void **state) {
    (void)state;
    source = (struct source){SOURCE_INIT};
    cache = cache_open((const char *const[]){"local.max_bytes", "1mb", NULL});
    return cache != NULL ? 0 : -1;
}

static int close_cache(void **state) {
    (void)state;
    return hearth_close(cache);
}

/* ---- the numbers ---- */

static void reads_are_counted_by_where_they_end(void **state) {
    (void)state;
    assert_int_equal(cache_set(cache, "a", "x"), HEARTH_OK);
    (void)cache_get(cache, "a", 0);
    (void)cache_get(cache, "a", 0);
    (void)cache_get(cache, "a", HEARTH_READ_NO_LOCAL);
    (void)cache_get(cache, "b", 0);
    (void)cache_get(cache, "b", HEARTH_READ_NO_REMOTE);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.reads, 5);
    assert_int_equal(stats.local_hits, 2);
    assert_int_equal(stats.remote_hits, 1);
    assert_int_equal(stats.remote_misses, 1);
    assert_int_equal(stats.remote_errors, 0);
    assert_int_equal(stats.writes, 1);
    assert_int_equal(stats.loads, 0);
}

static void loads_are_counted_by_how_they_end(void **state) {
    (void)state;
    source.text = "x";
    assert_int_equal(source_fetch(cache, "a", &source, NULL), HEARTH_OK);
    assert_int_equal(source_fetch(cache, "a", &source, NULL), HEARTH_OK);
    source.absent = true;
    assert_int_equal(source_fetch(cache, "b", &source, NULL), HEARTH_ABSENT);
    assert_int_equal(source_fetch(cache, "b", &source, NULL), HEARTH_ABSENT);
    source.returns = 1;
    assert_int_equal(source_fetch(cache, "c", &source, NULL), HEARTH_E_LOADER);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.reads, 5);
    assert_int_equal(stats.loads, 3);
    assert_int_equal(stats.load_absents, 1);
    assert_int_equal(stats.load_errors, 1);
    assert_int_equal(stats.local_hits, 2); /* the absence too */
    assert_int_equal(stats.flights, 0);
    assert_int_equal(stats.flight_waits, 0);
    assert_int_equal(stats.writes, 0);
}

static void many_and_other_writes_are_counted_by_key(void **state) {
    (void)state;
    const void *const keys[] = {"a", "b", "c"};
    const size_t sizes[] = {1, 1, 1};
    int32_t statuses[3];
    assert_int_equal(hearth_set_many(cache, 3, keys, sizes, keys, sizes, NULL, statuses),
                     HEARTH_OK);
    assert_int_equal(hearth_get_many(cache, 3, keys, sizes, NULL, NULL, statuses), HEARTH_OK);
    assert_int_equal(hearth_touch(cache, "a", 1, NULL), HEARTH_OK);
    assert_int_equal(hearth_increment(cache, "x", 1, 1, NULL, NULL), HEARTH_MISS);
    assert_int_equal(hearth_add(cache, "a", 1, "x", 1, NULL), HEARTH_EXISTS);
    assert_int_equal(hearth_delete_many(cache, 2, keys, sizes, NULL, statuses), HEARTH_OK);
    const hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.writes, 8);
    assert_int_equal(stats.reads, 3);
}

static void the_local_tier_is_told(void **state) {
    (void)state;
    char large[20000] = {0};
    hearth_stats stats = cache_stats(cache);
    assert_int_equal(stats.local_entries, 0);
    const uint64_t empty = stats.local_bytes; /* the index */
    assert_true(empty < (1 << 20) / 4);
    assert_int_equal(stats.local_limit_bytes, 1 << 20);
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(hearth_set(cache, key, strlen(key), large, 15000, NULL), HEARTH_OK);
    }
    assert_int_equal(hearth_set(cache, "l", 1, large, sizeof large, NULL), HEARTH_OK);
    stats = cache_stats(cache);
    assert_true(stats.local_bytes > 500000 && stats.local_bytes <= 1 << 20);
    assert_true(stats.local_entries > 30 && stats.local_entries < 70);
    assert_int_equal(stats.local_evictions, 100 - stats.local_entries);
    assert_int_equal(stats.local_refusals, 1);
}

/* ---- the text ---- */

static char *text_of(hearth *of) {
    size_t needed = 0;
    assert_int_equal(hearth_stats_text(of, NULL, 0, &needed), HEARTH_E_TOO_LARGE);
    assert_true(needed > 1000);
    char *text = malloc(needed + 64);
    assert_non_null(text);
    memset(text, 'x', needed + 64);
    size_t again = 0;
    assert_int_equal(hearth_stats_text(of, text, needed, &again), HEARTH_OK);
    assert_int_equal(again, needed);
    assert_int_equal(strlen(text), needed - 1);
    assert_int_equal(text[needed], 'x');
    return text;
}

/* The sample's value: the text behind "\n<name> ", to be found once. */
static uint64_t sample_of(const char *text, const char *name) {
    char line[128];
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr(text, line);
    if (found == NULL || strstr(found + 1, line) != NULL) {
        fail_msg("%s is not there once", name);
        return 0;
    }
    char *end = NULL;
    const uint64_t value = strtoull(found + strlen(line), &end, 10);
    assert_int_equal(*end, '\n');
    return value;
}

static void expect_family(const char *text, const char *name, const char *kind,
                          const char *help) {
    char lines[512];
    (void)snprintf(lines, sizeof lines, "# HELP %s %s.\n# TYPE %s %s\n%s ", name, help, name,
                   kind, name);
    if (strstr(text, lines) == NULL) {
        fail_msg("not there: %s", lines);
    }
}

static void every_statistic_is_in_the_text(void **state) {
    (void)state;
    source.text = "x";
    assert_int_equal(cache_set(cache, "a", "x"), HEARTH_OK);
    for (int i = 0; i < 7; i++) {
        (void)cache_get(cache, "a", 0);
        assert_int_equal(source_fetch(cache, "b", &source, NULL), HEARTH_OK);
    }
    const hearth_stats stats = cache_stats(cache);
    char *text = text_of(cache);
    struct {
        const char *name;
        const char *kind;
        const char *help;
        uint64_t value;
    } rows[] = {
#define ROW(field, kind, help) {#field, #kind, help, stats.field},
        HEARTH_STATS_MAP(ROW)
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[128];
        bool counter = strcmp(rows[i].kind, "counter") == 0;
        assert_true(counter || strcmp(rows[i].kind, "gauge") == 0);
        (void)snprintf(name, sizeof name, "hearth_%s%s", rows[i].name, counter ? "_total" : "");
        expect_family(text, name, rows[i].kind, rows[i].help);
        assert_int_equal(sample_of(text, name), rows[i].value);
    }
    assert_int_equal(sample_of(text, "hearth_node_requests_total{node=\"embedded\"}"), 3);
    assert_int_equal(sample_of(text, "hearth_node_errors_total{node=\"embedded\"}"), 0);
    free(text);
}

static size_t name_length(const char *at) {
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
    assert_true(length > 7 && memcmp(at, "hearth_", 7) == 0);
    return length;
}

/* A sample of this family: name, perhaps one label, a whole number. */
static void expect_sample(const char *line, const char *family, size_t family_length) {
    const char *at = line + name_length(line);
    assert_int_equal(at - line, family_length);
    assert_memory_equal(line, family, family_length);
    if (*at == '{') {
        assert_memory_equal(at, "{node=\"", 7);
        for (at += 7; *at != '"'; at++) {
            assert_true(*at != '\0' && *at != '\n');
            at += *at == '\\';
        }
        assert_memory_equal(at, "\"}", 2);
        at += 2;
    }
    assert_int_equal(*at, ' ');
    const size_t digits = strspn(at + 1, "0123456789");
    assert_true(digits > 0 && at[1 + digits] == '\0');
}

/* A histogram's: each bucket has what the one before it has, and more; the last has all, as many as are counted. */
struct buckets {
    uint64_t last;
    bool is_whole;
    bool is_counted;
};

static void expect_part(const char *line, const char *family, size_t length,
                        struct buckets *buckets) {
    const char *value = strchr(line, ' ');
    assert_memory_equal(line, family, length);
    assert_non_null(value);
    uint64_t number = strtoull(value + 1, NULL, 10);
    if (strncmp(line + length, "_bucket{le=\"", 12) == 0) {
        assert_true(!buckets->is_whole && number >= buckets->last);
        buckets->is_whole = strncmp(line + length + 12, "+Inf\"} ", 7) == 0;
        assert_true(buckets->is_whole || strtod(line + length + 12, NULL) > 0);
        buckets->last = number;
    } else if (strncmp(line + length, "_count ", 7) == 0) {
        assert_true(buckets->is_whole);
        assert_int_equal(number, buckets->last);
        buckets->is_counted = true;
    } else {
        assert_memory_equal(line + length, "_sum ", 5);
    }
}

/* Line by line: HELP, TYPE of the same name, samples of that name, and so on. */
static void expect_well_formed(char *text) {
    enum { START, HELP, TYPE, SAMPLE } last = START;
    const char *family = "";
    size_t length = 0;
    bool is_histogram = false;
    struct buckets buckets = {0};
    char *rest = text;
    size_t size = strlen(text);
    assert_int_equal(text[size - 1], '\n');
    text[size - 1] = '\0';
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_true(last == START || last == SAMPLE);
            family = line + 7;
            length = name_length(family);
            assert_true(family[length] == ' ' && family[length + 1] != '\0');
            assert_null(strchr(line, '\\'));
            last = HELP;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_true(last == HELP && name_length(line + 7) == length);
            assert_memory_equal(line + 7, family, length);
            bool total = length > 6 && memcmp(family + length - 6, "_total", 6) == 0;
            is_histogram = strcmp(line + 7 + length, " histogram") == 0;
            assert_true(is_histogram ||
                        strcmp(line + 7 + length, total ? " counter" : " gauge") == 0);
            last = TYPE;
        } else if (is_histogram) {
            expect_part(line, family, length, &buckets);
            last = SAMPLE;
        } else {
            assert_true(last == TYPE || last == SAMPLE);
            expect_sample(line, family, length);
            last = SAMPLE;
        }
    }
    assert_int_equal(last, SAMPLE);
    assert_true(buckets.is_counted);
}

static void the_text_is_well_formed(void **state) {
    (void)state;
    char *text = text_of(cache);
    expect_well_formed(text);
    free(text);
}

/* A node is told by its address, and that may hold what a label must escape. */
static void each_node_has_its_samples(void **state) {
    (void)state;
    hearth *nodes = cache_open((const char *const[]){
        "remote.url", "redis+unix:///no/such\"socket\\,/nor/this%0aone", NULL});
    assert_non_null(nodes);
    char *text = text_of(nodes);
    assert_int_equal(
        sample_of(text, "hearth_node_requests_total{node=\"/no/such\\\"socket\\\\\"}"), 0);
    assert_int_equal(sample_of(text, "hearth_node_errors_total{node=\"/nor/this\\none\"}"), 0);
    expect_well_formed(text);
    free(text);
    assert_int_equal(hearth_close(nodes), HEARTH_OK);
}

static void a_buffer_that_is_too_small_stays_as_it_was(void **state) {
    (void)state;
    size_t needed = 0;
    char *text = text_of(cache);
    const size_t size = strlen(text) + 1;
    const size_t sizes[] = {size - 1, size / 2, 1, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *small = malloc(size);
        assert_non_null(small);
        memset(small, 'y', size);
        assert_int_equal(hearth_stats_text(cache, small, sizes[i], &needed),
                         HEARTH_E_TOO_LARGE);
        assert_int_equal(needed, size);
        assert_int_equal(hearth_stats_text(cache, small, sizes[i], NULL), HEARTH_E_TOO_LARGE);
        for (size_t j = 0; j < size; j++) {
            assert_int_equal(small[j], 'y');
        }
        free(small);
    }
    free(text);
}

/* ---- the struct ---- */

static void numbers_are_told_to_callers_of_any_version(void **state) {
    (void)state;
    struct {
        hearth_stats stats;
        uint64_t later;
    } larger;
    (void)cache_get(cache, "a", 0);
    memset(&larger, 0x33, sizeof larger);
    larger.stats.size = sizeof larger;
    assert_int_equal(hearth_stats_get(cache, &larger.stats), HEARTH_OK);
    assert_int_equal(larger.stats.size, sizeof larger);
    assert_int_equal(larger.stats.reads, 1);
    assert_true(larger.later == UINT64_C(0x3333333333333333));
    memset(&larger, 0x33, sizeof larger);
    larger.stats.size = offsetof(hearth_stats, local_hits);
    assert_int_equal(hearth_stats_get(cache, &larger.stats), HEARTH_OK);
    assert_int_equal(larger.stats.reads, 1);
    assert_true(larger.stats.local_hits == UINT64_C(0x3333333333333333));
    for (size_t size = 0; size < sizeof(size_t); size++) {
        larger.stats.size = size;
        assert_int_equal(hearth_stats_get(cache, &larger.stats), HEARTH_E_INVALID);
    }
}

static void telling_takes_no_memory(void **state) {
    (void)state;
    char text[65536];
    failing_memory_fail(0, UINT64_MAX);
    hearth_stats stats = {.size = sizeof stats};
    const int32_t got = hearth_stats_get(cache, &stats);
    const int32_t told = hearth_stats_text(cache, text, sizeof text, NULL);
    failing_memory_pass();
    assert_int_equal(got, HEARTH_OK);
    assert_int_equal(told, HEARTH_OK);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(reads_are_counted_by_where_they_end),
        WITH_CACHE(loads_are_counted_by_how_they_end),
        WITH_CACHE(many_and_other_writes_are_counted_by_key),
        WITH_CACHE(the_local_tier_is_told),
        WITH_CACHE(every_statistic_is_in_the_text),
        WITH_CACHE(the_text_is_well_formed),
        WITH_CACHE(each_node_has_its_samples),
        WITH_CACHE(a_buffer_that_is_too_small_stays_as_it_was),
        WITH_CACHE(numbers_are_told_to_callers_of_any_version),
        WITH_CACHE(telling_takes_no_memory),
    };
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
