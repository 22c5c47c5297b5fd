/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of the table: its default, its range, its units, and what is said when it is wrong. */
#include "support/failing_memory.h"
#include "tier/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hearth__config config;
static char why[512];

static int open_config(void **state) {
    (void)state;
    return hearth__config_init(&config) == HEARTH_OK ? 0 : -1;
}

static int close_config(void **state) {
    (void)state;
    hearth__config_fini(&config);
    return 0;
}

static int32_t set(const char *name, const char *value) {
    why[0] = '\0';
    return hearth__config_set(&config, name, value, why, sizeof why);
}

static const char *get(const char *name) {
    static char text[20000];
    size_t needed = 0;
    assert_int_equal(hearth__config_get(&config, name, text, sizeof text, &needed), HEARTH_OK);
    assert_int_equal(needed, strlen(text) + 1);
    return text;
}

static bool describe(uint32_t index, hearth_option_info *info) {
    *info = (hearth_option_info){.size = sizeof *info};
    return hearth__config_describe(index, info) == HEARTH_OK;
}

static bool is_number(const hearth_option_info *info) {
    return strcmp(info->type, "bytes") == 0 || strcmp(info->type, "ms") == 0 ||
           strcmp(info->type, "count") == 0;
}

/* Whether the message holds this number, perhaps with a unit of bytes. */
static bool tells_number(int64_t number) {
    for (const char *at = why; *at != '\0'; at++) {
        char *end = NULL;
        if (at != why && strchr(" '", at[-1]) == NULL) {
            continue;
        }
        long long told = strtoll(at, &end, 10);
        if (end != at) {
            int shift = strncmp(end, "kb", 2) == 0   ? 10
                        : strncmp(end, "mb", 2) == 0 ? 20
                        : strncmp(end, "gb", 2) == 0 ? 30
                                                     : 0;
            if (told * (1LL << shift) == number) {
                return true;
            }
        }
    }
    return false;
}

/* ---- every option ---- */

static void each_option_is_told_whole(void **state) {
    (void)state;
    hearth_option_info info;
    uint32_t count = 0;
    for (; describe(count, &info); count++) {
        assert_true(strlen(info.name) > 3 && strlen(info.name) < 64);
        assert_true(strlen(info.help) > 20 && strchr(info.help, '\n') == NULL);
        assert_int_equal(info.help[strlen(info.help) - 1], '.');
        assert_true(info.low < info.high);
        assert_int_equal(info.choices[0] != '\0', strcmp(info.type, "choice") == 0);
        for (uint32_t i = 0; i < count; i++) {
            hearth_option_info other;
            assert_true(describe(i, &other));
            assert_string_not_equal(other.name, info.name);
        }
    }
    assert_true(count >= 15);
    assert_false(describe(UINT32_MAX, &info));
}

static void each_default_is_what_describe_says(void **state) {
    (void)state;
    hearth_option_info info;
    for (uint32_t i = 0; describe(i, &info); i++) {
        assert_string_equal(get(info.name), info.initial);
        assert_int_equal(set(info.name, info.initial), HEARTH_OK);
        assert_string_equal(get(info.name), info.initial);
    }
}

static void expect_refused(const hearth_option_info *info, const char *value) {
    char before[20000];
    (void)snprintf(before, sizeof before, "%s", get(info->name));
    assert_int_equal(set(info->name, value), HEARTH_E_INVALID);
    assert_non_null(strstr(why, info->name));
    assert_true(tells_number(info->low));
    assert_true(tells_number(info->high));
    assert_string_equal(get(info->name), before);
}

static void expect_number(const hearth_option_info *info, int64_t number) {
    char text[32];
    char read_back[64];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    assert_int_equal(set(info->name, text), HEARTH_OK);
    (void)snprintf(read_back, sizeof read_back, "%s", get(info->name));
    /* What get says, set takes, to the same end. */
    assert_int_equal(set(info->name, info->initial), HEARTH_OK);
    assert_int_equal(set(info->name, read_back), HEARTH_OK);
    assert_string_equal(get(info->name), read_back);
}

static void each_number_keeps_to_its_range(void **state) {
    (void)state;
    hearth_option_info info;
    for (uint32_t i = 0; describe(i, &info); i++) {
        if (!is_number(&info)) {
            continue;
        }
        char beyond[32];
        expect_number(&info, info.low);
        expect_number(&info, info.high);
        expect_number(&info, info.high - 1);
        (void)snprintf(beyond, sizeof beyond, "%lld", (long long)info.low - 1);
        expect_refused(&info, beyond);
        (void)snprintf(beyond, sizeof beyond, "%lld", (long long)info.high + 1);
        expect_refused(&info, beyond);
        expect_refused(&info, "");
        expect_refused(&info, "many");
        expect_refused(&info, "9223372036854775808");
    }
}

static void each_text_keeps_to_its_size(void **state) {
    (void)state;
    hearth_option_info info;
    for (uint32_t i = 0; describe(i, &info); i++) {
        if (strcmp(info.type, "text") != 0) {
            continue;
        }
        char *text = malloc((size_t)info.high + 2);
        assert_non_null(text);
        memset(text, 'q', (size_t)info.high + 1);
        text[info.high + 1] = '\0';
        expect_refused(&info, text);
        assert_null(strstr(why, "qqq")); /* it may hold a password */
        text[info.high] = '\0';
        assert_int_equal(set(info.name, text), HEARTH_OK);
        assert_string_equal(get(info.name), text);
        text[info.low] = '\0';
        assert_int_equal(set(info.name, text), HEARTH_OK);
        assert_string_equal(get(info.name), text);
        if (info.low > 0) {
            expect_refused(&info, "");
        }
        free(text);
    }
}

static void each_flag_and_choice_takes_its_words_only(void **state) {
    (void)state;
    hearth_option_info info;
    const char *const wrong[] = {"", "2", "y", "yess", "yes no", " yes", "autos", "auto ttl"};
    for (uint32_t i = 0; describe(i, &info); i++) {
        bool flag = strcmp(info.type, "flag") == 0;
        if (!flag && strcmp(info.type, "choice") != 0) {
            continue;
        }
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            assert_int_equal(set(info.name, wrong[j]), HEARTH_E_INVALID);
            assert_non_null(strstr(why, info.name));
            assert_non_null(strstr(why, flag ? "yes nor no" : info.choices));
            assert_string_equal(get(info.name), info.initial);
        }
        char words[256];
        char *rest = words;
        (void)snprintf(words, sizeof words, "%s", flag ? "yes no" : info.choices);
        for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
            assert_int_equal(set(info.name, word), HEARTH_OK);
            assert_string_equal(get(info.name), word);
        }
    }
    static const char *const yes[] = {"yes", "YES", "true", "on", "1"};
    static const char *const no[] = {"no", "No", "false", "off", "0"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(set("remote.accept_foreign", yes[i]), HEARTH_OK);
        assert_int_equal(config.remote_accept_foreign, 1);
        assert_int_equal(set("remote.accept_foreign", no[i]), HEARTH_OK);
        assert_int_equal(config.remote_accept_foreign, 0);
    }
}

/* ---- units ---- */

static void units_are_taken_as_written(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        int64_t number; /* INT64_MIN: refused */
    } cases[] = {
        {"local.max_bytes", "64mb", 67108864},
        {"local.max_bytes", "64MB", 67108864},
        {"local.max_bytes", "3kb", 3072},
        {"local.max_bytes", "2gb", INT64_C(2147483648)},
        {"local.max_bytes", "1000", 1000},
        {"local.max_bytes", "1000b", 1000},
        {"local.max_bytes", "0", 0},
        {"local.max_bytes", "0gb", 0},
        {"local.max_bytes", "0064mb", 67108864},
        {"local.max_bytes", "1024gb", INT64_C(1099511627776)},
        {"local.max_bytes", "1025gb", INT64_MIN},
        {"local.max_bytes", "64s", INT64_MIN},
        {"local.max_bytes", "64m", INT64_MIN},
        {"local.max_bytes", "64tb", INT64_MIN},
        {"local.max_bytes", "64mbx", INT64_MIN},
        {"local.max_bytes", "1.5mb", INT64_MIN},
        {"local.max_bytes", "0x10", INT64_MIN},
        {"local.max_bytes", "1e3", INT64_MIN},
        {"local.max_bytes", "+1", INT64_MIN},
        {"local.max_bytes", "-0", 0},
        {"local.max_bytes", "-", INT64_MIN},
        {"local.max_bytes", "mb", INT64_MIN},
        {"local.max_bytes", "1 mb", INT64_MIN},
        {"local.max_bytes", "1\n", INT64_MIN},
        {"local.max_bytes", "\xd9\xa3", INT64_MIN}, /* another script's three */
        /* Beyond 64 bits, as a number or only with its unit. */
        {"local.max_bytes", "9223372036854775807", INT64_MIN},
        {"local.max_bytes", "18446744073709551617", INT64_MIN},
        {"local.max_bytes", "99999999999999999999999999999999", INT64_MIN},
        {"local.max_bytes", "8589934592gb", INT64_MIN},
        {"local.max_bytes", "17179869185gb", INT64_MIN},
        {"ttl_ms", "500", 500},
        {"ttl_ms", "500ms", 500},
        {"ttl_ms", "5s", 5000},
        {"ttl_ms", "5S", 5000},
        {"ttl_ms", "3m", 180000},
        {"ttl_ms", "2h", 7200000},
        {"ttl_ms", "1d", 86400000},
        {"ttl_ms", "36525d", HEARTH_TTL_MAX},
        {"ttl_ms", "36526d", INT64_MIN},
        {"ttl_ms", "213503982335d", INT64_MIN}, /* would wrap to a small number */
        {"ttl_ms", "5kb", INT64_MIN},
        {"ttl_ms", "5sec", INT64_MIN},
        {"ttl_ms", "-1", INT64_MIN},
        {"local.max_ttl_ms", "-1", -1},
        {"local.max_ttl_ms", "-1ms", -1},
        {"local.max_ttl_ms", "-1s", INT64_MIN},
        {"local.max_ttl_ms", "--1", INT64_MIN},
        {"remote.lanes", "7", 7},
        {"remote.lanes", "7s", INT64_MIN},
        {"remote.lanes", "1kb", INT64_MIN},
        {"guard.target_rate", "0.01", 10000000},
        {"guard.target_rate", "00.010", 10000000},
        {"guard.target_rate", "0.5", 500000000},
        {"guard.target_rate", "0.500000001", INT64_MIN},
        {"guard.target_rate", "0.000001", 1000},
        {"guard.target_rate", "0.000000999", INT64_MIN},
        {"guard.target_rate", "0.0100000000", INT64_MIN}, /* ten digits */
        {"guard.target_rate", "1", INT64_MIN},
        {"guard.target_rate", "0", INT64_MIN},
        {"guard.target_rate", "", INT64_MIN},
        {"guard.target_rate", ".01", INT64_MIN},
        {"guard.target_rate", "0.", INT64_MIN},
        {"guard.target_rate", "-0.01", INT64_MIN},
        {"guard.target_rate", "0,01", INT64_MIN},
        {"guard.target_rate", "1e-2", INT64_MIN},
        {"guard.target_rate", "0.01%", INT64_MIN},
        {"guard.target_rate", "9999999999.1", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t *field =
            strcmp(cases[i].name, "local.max_bytes") == 0     ? &config.local_max_bytes
            : strcmp(cases[i].name, "ttl_ms") == 0            ? &config.ttl_ms
            : strcmp(cases[i].name, "remote.lanes") == 0      ? &config.remote_lanes
            : strcmp(cases[i].name, "guard.target_rate") == 0 ? &config.guard_target_rate
                                                              : &config.local_max_ttl_ms;
        const int64_t before = *field;
        bool refused = cases[i].number == INT64_MIN;
        assert_int_equal(set(cases[i].name, cases[i].text),
                         refused ? HEARTH_E_INVALID : HEARTH_OK);
        assert_int_equal(*field, refused ? before : cases[i].number);
    }
}

/* ---- names ---- */

static void a_wrong_name_gets_the_nearest_one(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"local.max_byte", "'local.max_bytes'"},
        {"local.maxbytes", "'local.max_bytes'"},
        {"Local.Max_Bytes", "'local.max_bytes'"},
        {"max_bytes", "'local.max_bytes'"},
        {"remote.timeout", "'remote.timeout_ms'"},
        {"remote.lane", "'remote.lanes'"},
        {"ttl", "'ttl_ms'"},
        {"tll_ms", "'ttl_ms'"},
        {"remote.url.", "'remote.url'"},
        {"coherence_mode", "'coherence.mode'"},
        {"local.max_bytes_and_so_on_and_so_on_until_it_is_a_very_long_name_indeed_0123456789",
         "the nearest one is '"},
        {"", "the nearest one is '"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(set(cases[i][0], "1"), HEARTH_E_INVALID);
        assert_non_null(strstr(why, cases[i][1]));
        char shown[32];
        (void)snprintf(shown, sizeof shown, "'%.20s", cases[i][0]);
        assert_non_null(strstr(why, shown));
    }
}

/* A line of a file that went wrong, or arguments in the wrong order: neither name nor value may
 * show what could be a password. */
static void no_message_shows_a_password(void **state) {
    (void)state;
    static const char *const urls[] = {
        "redis://user:s3cret@host", "remote.url redis://user:s3cret@host/?db",
        "remote.url: redis://:s3cret@host", ":s3cret@host", "remote.url\tredis://a:s3cret@b"};
    hearth_option_info info;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(set(urls[i], "1"), HEARTH_E_INVALID);
        assert_null(strstr(why, "s3cret"));
        for (uint32_t j = 0; describe(j, &info); j++) {
            if (strcmp(info.type, "text") != 0) {
                assert_int_equal(set(info.name, urls[i]), HEARTH_E_INVALID);
                assert_null(strstr(why, "s3cret"));
            }
        }
    }
}

static void a_message_fits_its_buffer(void **state) {
    (void)state;
    static const char *const names[] = {
        "local.max_bytes",       "ttl_ms",         "remote.lanes",  "remote.url",
        "remote.accept_foreign", "coherence.mode", "no.such.option"};
    char long_value[2000];
    memset(long_value, 'v', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = strcmp(names[i], "remote.url") == 0 ? "" : long_value;
        for (size_t size = 1; size < 300; size++) {
            char *text = malloc(size); /* so that ASan sees its end */
            assert_non_null(text);
            assert_int_equal(hearth__config_set(&config, names[i], value, text, size),
                             HEARTH_E_INVALID);
            assert_true(strnlen(text, size) < size);
            free(text);
        }
    }
}

/* ---- the whole ---- */

static void a_copy_stands_alone(void **state) {
    (void)state;
    hearth__config copy;
    assert_int_equal(set("remote.url", "redis://a"), HEARTH_OK);
    assert_int_equal(set("ttl_ms", "7"), HEARTH_OK);
    assert_int_equal(hearth__config_copy(&config, &copy), HEARTH_OK);
    assert_int_equal(set("remote.url", "redis://b"), HEARTH_OK);
    assert_int_equal(set("ttl_ms", "8"), HEARTH_OK);
    assert_string_equal(copy.remote_url, "redis://a");
    assert_int_equal(copy.ttl_ms, 7);
    hearth__config_fini(&copy);
    assert_string_equal(get("remote.url"), "redis://b");
}

static void without_memory_nothing_is_lost(void **state) {
    (void)state;
    const int64_t blocks = failing_memory_blocks();
    hearth__config other;
    uint64_t failures = 0;
    for (int32_t status = HEARTH_E_NOMEM; status != HEARTH_OK; failures++) {
        failing_memory_fail(failures, 1);
        status = hearth__config_init(&other);
        failing_memory_pass();
        hearth__config_fini(&other);
        assert_true(status == HEARTH_OK || status == HEARTH_E_NOMEM);
        assert_int_equal(failing_memory_blocks(), blocks);
    }
    for (failing_memory_fail(failures = 0, 1);
         hearth__config_copy(&config, &other) == HEARTH_E_NOMEM;
         failing_memory_fail(++failures, 1)) {
        assert_int_equal(failing_memory_blocks(), blocks);
    }
    failing_memory_pass();
    assert_true(failures >= 2);
    hearth__config_fini(&other);
    assert_int_equal(set("remote.prefix", "app:"), HEARTH_OK);
    failing_memory_fail(0, 1);
    assert_int_equal(set("remote.prefix", "other:"), HEARTH_E_NOMEM);
    failing_memory_pass();
    assert_string_equal(get("remote.prefix"), "app:");
}

#define WITH_CONFIG(test) cmocka_unit_test_setup_teardown(test, open_config, close_config)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CONFIG(each_option_is_told_whole),
        WITH_CONFIG(each_default_is_what_describe_says),
        WITH_CONFIG(each_number_keeps_to_its_range),
        WITH_CONFIG(each_text_keeps_to_its_size),
        WITH_CONFIG(each_flag_and_choice_takes_its_words_only),
        WITH_CONFIG(units_are_taken_as_written),
        WITH_CONFIG(a_wrong_name_gets_the_nearest_one),
        WITH_CONFIG(no_message_shows_a_password),
        WITH_CONFIG(a_message_fits_its_buffer),
        WITH_CONFIG(a_copy_stands_alone),
        WITH_CONFIG(without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
