/* SPDX-License-Identifier: Apache-2.0 */
/* Options as a program sets them: by name, from a file, and what it is told when they are wrong.
 * (Each option's own range and units: tests/tier/test_config.c.) */
#include "support/failing_memory.h"

#include <hearth/hearth.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static hearth_options *options;
static char folder[64];
static char path[96];

static int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/hearth-options-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/hearth.conf", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static int new_options(void **state) {
    (void)state;
    options = hearth_options_new();
    return options != NULL ? 0 : -1;
}

static int free_options(void **state) {
    (void)state;
    hearth_options_free(options);
    options = NULL;
    return failing_memory_blocks() == 0 ? 0 : -1;
}

static void expect_set(const char *name, const char *expected) {
    char text[20000];
    assert_int_equal(hearth_options_get(options, name, text, sizeof text, NULL), HEARTH_OK);
    assert_string_equal(text, expected);
}

static void expect_said(const char *part) {
    if (strstr(hearth_options_error(options), part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, hearth_options_error(options));
    }
}

static void expect_nothing_said(void) {
    assert_string_equal(hearth_options_error(options), "");
}

/* ---- by name ---- */

static void a_value_is_set_and_read_back(void **state) {
    (void)state;
    assert_int_equal(hearth_options_set(options, "local.max_bytes", "65536kb"), HEARTH_OK);
    expect_set("local.max_bytes", "64mb");
    assert_int_equal(hearth_options_set(options, "remote.url", "redis://a,b/3"), HEARTH_OK);
    expect_set("remote.url", "redis://a,b/3");
    assert_int_equal(hearth_options_set(options, "coherence.mode", "TTL"), HEARTH_OK);
    expect_set("coherence.mode", "ttl");
    expect_nothing_said();
}

static void a_wrong_one_is_told_and_changes_nothing(void **state) {
    (void)state;
    assert_int_equal(hearth_options_set(options, "remote.lanes", "0"), HEARTH_E_INVALID);
    expect_said("remote.lanes");
    expect_said("from 1 to 1024");
    expect_set("remote.lanes", "4");
    assert_int_equal(hearth_options_set(options, "remote.lane", "3"), HEARTH_E_INVALID);
    expect_said("'remote.lanes'");
    assert_int_equal(hearth_options_set(options, NULL, "3"), HEARTH_E_INVALID);
    expect_said("name");
    assert_int_equal(hearth_options_set(options, "remote.lanes", NULL), HEARTH_E_INVALID);
    expect_said("value");
    assert_int_equal(hearth_options_set(options, "remote.lanes", "5"), HEARTH_OK);
    expect_nothing_said();
}

static void reading_back_needs_room(void **state) {
    (void)state;
    char text[16] = "before";
    size_t needed = 99;
    assert_int_equal(hearth_options_get(options, "remote.url", text, 11, &needed),
                     HEARTH_E_TOO_LARGE);
    assert_int_equal(needed, strlen("embedded://") + 1);
    assert_string_equal(text, "before");
    assert_int_equal(hearth_options_get(options, "remote.url", NULL, 0, &needed),
                     HEARTH_E_TOO_LARGE);
    assert_int_equal(hearth_options_get(options, "remote.url", text, 12, NULL), HEARTH_OK);
    assert_string_equal(text, "embedded://");
    needed = 99;
    assert_int_equal(hearth_options_get(options, "remote.urls", text, 16, &needed),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_options_get(options, NULL, text, 16, &needed), HEARTH_E_INVALID);
    assert_int_equal(hearth_options_get(NULL, "remote.url", text, 16, &needed),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_options_get(options, "remote.url", NULL, 16, &needed),
                     HEARTH_E_INVALID);
    assert_int_equal(needed, 99);
    assert_string_equal(text, "embedded://");
}

static void without_options_nothing_is_set(void **state) {
    (void)state;
    assert_int_equal(hearth_options_set(NULL, "ttl_ms", "1"), HEARTH_E_INVALID);
    assert_int_equal(hearth_options_load(NULL, path), HEARTH_E_INVALID);
    assert_int_equal(hearth_options_set_log(NULL, NULL, NULL), HEARTH_E_INVALID);
    assert_non_null(hearth_options_error(NULL));
    hearth_options_free(NULL);
}

static void an_option_is_told_to_callers_of_any_version(void **state) {
    (void)state;
    struct {
        hearth_option_info info;
        char later[32];
    } larger;
    hearth_option_info first = {.size = sizeof first};
    assert_int_equal(hearth_options_describe(0, &first), HEARTH_OK);
    assert_string_equal(first.name, "remote.url");
    memset(&larger, 'x', sizeof larger);
    larger.info.size = sizeof larger;
    assert_int_equal(hearth_options_describe(0, &larger.info), HEARTH_OK);
    assert_int_equal(larger.info.size, sizeof larger);
    assert_string_equal(larger.info.help, first.help);
    assert_int_equal(larger.later[0], 'x');
    const size_t smaller = offsetof(hearth_option_info, initial);
    memset(&larger, 'x', sizeof larger);
    larger.info.size = smaller;
    assert_int_equal(hearth_options_describe(0, &larger.info), HEARTH_OK);
    assert_string_equal(larger.info.type, "text");
    assert_int_equal(((const char *)&larger)[smaller], 'x');
    for (size_t size = 0; size < sizeof(size_t); size++) {
        larger.info.size = size;
        assert_int_equal(hearth_options_describe(0, &larger.info), HEARTH_E_INVALID);
    }
    assert_int_equal(hearth_options_describe(0, NULL), HEARTH_E_INVALID);
    const hearth_option_info before = first;
    assert_int_equal(hearth_options_describe(1000, &first), HEARTH_MISS);
    assert_memory_equal(&first, &before, sizeof first);
}

/* ---- from a file ---- */

static void write_file(const char *text, size_t size) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int32_t load(const char *text) {
    write_file(text, strlen(text));
    return hearth_options_load(options, path);
}

static void a_file_sets_options(void **state) {
    (void)state;
    assert_int_equal(load("# a cache\n"
                          "\n"
                          "local.max_bytes = 1mb\r\n"
                          "  # indented, with = in it\n"
                          "\tttl_ms=2h\t\r\n"
                          "   \t \r\n"
                          "remote.url = redis://:pa=ss#word@a?weight=2\n"
                          "remote.prefix =\n"
                          "stale_ms = 1s\n"
                          "stale_ms = 2s\n"
                          "remote.lanes = 9"), /* no newline */
                     HEARTH_OK);
    expect_nothing_said();
    expect_set("local.max_bytes", "1mb");
    expect_set("ttl_ms", "7200000");
    expect_set("remote.url", "redis://:pa=ss#word@a?weight=2");
    expect_set("remote.prefix", "");
    expect_set("stale_ms", "2000");
    expect_set("remote.lanes", "9");
    assert_int_equal(load(""), HEARTH_OK);
    expect_set("remote.lanes", "9");
}

/* The file sets remote.lanes before its line `line` goes wrong. */
static void expect_refused(const char *text, size_t size, unsigned line, const char *part) {
    char place[128];
    (void)snprintf(place, sizeof place, "%s:%u: ", path, line);
    write_file(text, size);
    assert_int_equal(hearth_options_load(options, path), HEARTH_E_INVALID);
    expect_said(place);
    expect_said(part);
    expect_set("remote.lanes", "4");
    expect_set("ttl_ms", "300000");
}

#define EXPECT_REFUSED(text, line, part) expect_refused(text, sizeof(text) - 1, line, part)

static void a_bad_file_is_told_with_its_line_and_changes_nothing(void **state) {
    (void)state;
    EXPECT_REFUSED("remote.lanes = 9\nttl_ms 5\n", 2, "'='");
    EXPECT_REFUSED("remote.lanes = 9\r\n# c\r\n\r\nttl_ms\r\n", 4, "'='");
    EXPECT_REFUSED("remote.lanes = 9\nttl = 5\n", 2, "'ttl_ms'");
    EXPECT_REFUSED("remote.lanes = 9\n\nttl_ms = 5x", 3, "ttl_ms");
    EXPECT_REFUSED("remote.lanes = 9\n = 5\n", 2, "is not an option");
    EXPECT_REFUSED("remote.lanes = 9\nttl_ms = \n", 2, "ttl_ms");
    EXPECT_REFUSED("remote.lanes = 9\nttl_ms = 5 # a comment\n", 2, "ttl_ms");
    EXPECT_REFUSED("remote.lanes = 9\nttl_ms = 5\0\nlocal.max_bytes = 0\n", 2, "NUL");
    EXPECT_REFUSED("remote.lanes = 9\nremote.prefix = a\0b\n", 2, "NUL");
    /* The message fits, and its reason is not crowded out by a long name. */
    EXPECT_REFUSED(
        "remote.lanes = 9\n"
        "a.very.long.name.that.goes.on.and.on.and.on.and.on.and.on.and.on.and.on.and."
        "on.and.on.and.on.and.on.and.on.and.on.and.on.and.on.and.on.and.on = 5\n",
        2, "is not an option");
}

static void the_longest_address_fits_into_a_line(void **state) {
    (void)state;
    enum { LONGEST = 16384, NAME = sizeof "remote.url = " - 1 };
    char *text = malloc(NAME + 100000);
    assert_non_null(text);
    (void)snprintf(text, NAME + 1, "remote.url = ");
    memset(text + NAME, 'h', 99999);
    write_file(text, NAME + LONGEST);
    assert_int_equal(hearth_options_load(options, path), HEARTH_OK);
    char value[LONGEST + 1];
    size_t needed = 0;
    assert_int_equal(hearth_options_get(options, "remote.url", value, sizeof value, &needed),
                     HEARTH_OK);
    assert_int_equal(needed, sizeof value);
    expect_refused(text, NAME + LONGEST + 1, 1, "remote.url");
    for (size_t size = 19990; size < 20010; size++) {
        expect_refused(text, size, 1, "");
    }
    expect_refused(text, NAME + 99999, 1, "too long");
    free(text);
}

static void what_cannot_be_read_is_told(void **state) {
    (void)state;
    char missing[128];
    (void)snprintf(missing, sizeof missing, "%s/no-such-file", folder);
    assert_int_equal(hearth_options_load(options, missing), HEARTH_E_UNAVAILABLE);
    expect_said(missing);
    expect_said("No such file");
    assert_int_equal(hearth_options_load(options, folder), HEARTH_E_UNAVAILABLE);
    expect_said(folder);
    expect_said("directory");
    assert_int_equal(hearth_options_load(options, NULL), HEARTH_E_INVALID);
    expect_said("path");
    /* A line without an end, of nothing but NULs. */
    assert_int_equal(hearth_options_load(options, "/dev/zero"), HEARTH_E_INVALID);
    expect_said("/dev/zero:1: ");
    assert_int_equal(hearth_options_load(options, "/dev/null"), HEARTH_OK);
    expect_nothing_said();
}

/* ---- passwords ---- */

static void no_message_shows_a_password(void **state) {
    (void)state;
    static const char *const lines[] = {
        "remote.url redis://user:s3cret@host\n",
        "remote.url redis://user:s3cret@host?db=2\n",
        "redis://user:s3cret@host = remote.url\n",
        "remote.lanes = redis://user:s3cret@host\n",
        "remote.uri = redis://user:s3cret@host\n",
        "remote.url : redis://:s3cret@host/?weight=2\n",
    };
    static const char *const urls[] = {
        "redis://user:s3cret@host:port",
        "redis://user:s3cret",
        "redis://user:s3cret@",
        "rediss://user:s3cret@host",
        "redis://user:a?s3cret@host",
        "redis://user:s3cret?x@host",
        "redis+unix://:s3cret?@/path",
        "redis+unix://:x/s3cret?@/path",
        "memcached://user:s3cret@host",
        "postgres://user:s3cret@host",
        "embedded://user:s3cret@host",
        "redis://user:s3cret%zz@host",
        "redis://user:s3cret@host/x",
        "redis://user:s3cret@h?weight=0",
        "redis://:s3cret@",
        "redis://s3cret:@h:1:2",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(load(lines[i]), HEARTH_E_INVALID);
        expect_said(":1: ");
        assert_null(strstr(hearth_options_error(options), "s3cret"));
    }
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        hearth *cache = NULL;
        assert_int_equal(hearth_options_set(options, "remote.url", urls[i]), HEARTH_OK);
        int32_t status = hearth_open(options, &cache);
        assert_true(status == HEARTH_E_INVALID || status == HEARTH_E_UNSUPPORTED);
        assert_null(cache);
        expect_said("remote.url: ");
        assert_null(strstr(hearth_options_error(options), "s3cret"));
    }
}

/* ---- opening ---- */

static void opening_says_what_does_not_fit_together(void **state) {
    (void)state;
    hearth *cache = NULL;
    assert_int_equal(hearth_options_set(options, "ttl_ms", "5s"), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "stale_ms", "5s"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_E_INVALID);
    assert_null(cache);
    expect_said("stale_ms");
    expect_said("ttl_ms");
    assert_int_equal(hearth_options_set(options, "stale_ms", "4999"), HEARTH_OK);
    expect_nothing_said();
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    expect_nothing_said();
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "ttl_ms", "0"), HEARTH_OK); /* for ever */
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_int_equal(hearth_open(options, NULL), HEARTH_E_INVALID);
}

static void a_cache_has_options_of_its_own(void **state) {
    (void)state;
    hearth *cache = NULL;
    hearth_stats stats = {.size = sizeof stats};
    assert_int_equal(hearth_options_set(options, "local.max_bytes", "3mb"), HEARTH_OK);
    assert_int_equal(hearth_open(options, &cache), HEARTH_OK);
    assert_int_equal(hearth_options_set(options, "local.max_bytes", "5mb"), HEARTH_OK);
    hearth_options_free(options);
    options = NULL;
    assert_int_equal(hearth_set(cache, "k", 1, "v", 1, NULL), HEARTH_OK);
    assert_int_equal(hearth_stats_get(cache, &stats), HEARTH_OK);
    assert_int_equal(stats.local_limit_bytes, 3 << 20);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

/* Every failure leaves a sentence, that of the heap included. */
static void without_memory_it_is_said_and_nothing_is_set(void **state) {
    (void)state;
    hearth *cache = NULL;
    failing_memory_fail(0, 1);
    assert_int_equal(hearth_options_set(options, "remote.prefix", "p"), HEARTH_E_NOMEM);
    expect_said("memory");
    write_file("remote.prefix = p\nremote.lanes = 9\n", 35);
    uint64_t failures = 0;
    for (int32_t status = HEARTH_E_NOMEM; status != HEARTH_OK; failures++) {
        expect_set("remote.prefix", "");
        failing_memory_fail(failures, 1);
        status = hearth_options_load(options, path);
        failing_memory_pass();
        assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
        assert_true(status == HEARTH_OK || strstr(hearth_options_error(options), "memory"));
    }
    assert_true(failures > 3);
    expect_set("remote.prefix", "p");
    expect_set("remote.lanes", "9");
    for (failing_memory_fail(failures = 0, 1); hearth_open(options, &cache) == HEARTH_E_NOMEM;
         failing_memory_fail(++failures, 1)) {
        assert_null(cache);
        expect_said("memory");
    }
    failing_memory_pass();
    assert_true(failures > 10);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    failing_memory_fail(0, 1);
    assert_null(hearth_options_new());
    failing_memory_pass();
}

static void hear(void *arg, const hearth_log_record *record) {
    (void)arg;
    (void)record;
}

static void what_is_said_is_about_the_last_call(void **state) {
    (void)state;
    assert_int_equal(hearth_options_set(options, "no", "1"), HEARTH_E_INVALID);
    assert_int_equal(hearth_options_set_log(options, hear, NULL), HEARTH_OK);
    expect_nothing_said();
    assert_int_equal(hearth_options_load(options, folder), HEARTH_E_UNAVAILABLE);
    assert_int_equal(load("remote.lanes = 3\n"), HEARTH_OK);
    expect_nothing_said();
}

#define WITH_OPTIONS(test) cmocka_unit_test_setup_teardown(test, new_options, free_options)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_OPTIONS(a_value_is_set_and_read_back),
        WITH_OPTIONS(a_wrong_one_is_told_and_changes_nothing),
        WITH_OPTIONS(reading_back_needs_room),
        WITH_OPTIONS(without_options_nothing_is_set),
        WITH_OPTIONS(an_option_is_told_to_callers_of_any_version),
        WITH_OPTIONS(a_file_sets_options),
        WITH_OPTIONS(a_bad_file_is_told_with_its_line_and_changes_nothing),
        WITH_OPTIONS(the_longest_address_fits_into_a_line),
        WITH_OPTIONS(what_cannot_be_read_is_told),
        WITH_OPTIONS(no_message_shows_a_password),
        WITH_OPTIONS(opening_says_what_does_not_fit_together),
        WITH_OPTIONS(a_cache_has_options_of_its_own),
        WITH_OPTIONS(without_memory_it_is_said_and_nothing_is_set),
        WITH_OPTIONS(what_is_said_is_about_the_last_call),
    };
    return cmocka_run_group_tests_name("options", tests, make_folder, remove_folder);
}
