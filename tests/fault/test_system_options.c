/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the system that reading options or opening a cache with them makes fails, once and with all that follow it, at each
 * place where it is made. It is said, and the options are what they were; what a signal interrupts, or what comes in pieces, is seen
 * by nobody. */
#include "api/source.h"
#include "system_calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* `EINTR` that lasts would be without end. */
static const struct system_fault faults[] = {
    {SYSTEM_OPEN, EMFILE, false},         {SYSTEM_OPEN, EACCES, false},
    {SYSTEM_OPEN, EINTR, true},           {SYSTEM_READ, EIO, false},
    {SYSTEM_READ, EISDIR, false},         {SYSTEM_READ, EINTR, true},
    {SYSTEM_READ, SYSTEM_ONE_BYTE, true},
};

static const struct system_fault faults_of_memory[] = {{SYSTEM_MMAP, ENOMEM, false}};

enum { LINES = 300 /* more than what is read at once */ };

static char path[] = "/tmp/hearth-XXXXXX";

static int write_file(void **state) {
    (void)state;
    const int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        return -1;
    }
    for (int i = 0; i < LINES; i++) {
        (void)fprintf(file, "# a comment, and another option\nttl_ms = %d\n", i + 1);
    }
    (void)fprintf(file, "remote.prefix = new:\nlocal.max_bytes = 1mb\n");
    return fclose(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void expect_option(const hearth_options *options, const char *name, const char *wanted) {
    char text[64];
    assert_int_equal(hearth_options_get(options, name, text, sizeof text, NULL), HEARTH_OK);
    assert_string_equal(text, wanted);
}

/* Whether a call was struck. */
static bool load_failing_at(const struct system_fault *fault, unsigned place, bool lasts) {
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_set(options, "remote.prefix", "old:"), HEARTH_OK);
    system_fault_begin(fault, place, lasts);
    const int32_t status = hearth_options_load(options, path);
    const bool struck = system_fault_end();
    const bool loads = !struck || fault->unseen;
    if (status != (loads ? HEARTH_OK : HEARTH_E_UNAVAILABLE)) {
        fail_msg("%s, place %u: status %d", system_fault_text(fault), place, (int)status);
    }
    expect_option(options, "remote.prefix", loads ? "new:" : "old:");
    expect_option(options, "ttl_ms", loads ? "300" : "300000");
    const char *why = hearth_options_error(options);
    assert_int_equal(strstr(why, path) != NULL, !loads);
    assert_int_equal(loads || strstr(why, strerror(fault->fate)) != NULL, 1);
    hearth_options_free(options);
    return struck;
}

static void options_are_read_whole_or_not_at_all(void **state) {
    (void)state;
    const unsigned before = system_descriptors();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        unsigned place = 0;
        while (load_failing_at(&faults[i], place, false)) {
            place++;
        }
        for (unsigned at = 0; faults[i].fate != EINTR && at < place; at++) {
            assert_true(load_failing_at(&faults[i], at, true));
        }
        print_message("%-44s %u places\n", system_fault_text(&faults[i]), place);
        assert_true(place != 0);
    }
    assert_int_equal(system_descriptors(), before);
}

/* Whether a call was struck. */
static bool open_failing_at(const struct system_fault *fault, unsigned place, bool lasts) {
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    assert_int_equal(hearth_options_load(options, path), HEARTH_OK);
    system_fault_begin(fault, place, lasts);
    const int32_t status = hearth_open(options, &cache);
    const bool struck = system_fault_end();
    assert_int_equal(status, struck ? HEARTH_E_NOMEM : HEARTH_OK);
    assert_int_equal(cache != NULL, !struck);
    assert_int_equal(hearth_options_error(options)[0] != '\0', struck);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    hearth_options_free(options);
    return struck;
}

static void a_cache_opens_whole_or_not_at_all(void **state) {
    (void)state;
    const unsigned before = system_descriptors();
    for (size_t i = 0; i < sizeof faults_of_memory / sizeof faults_of_memory[0]; i++) {
        const struct system_fault *fault = &faults_of_memory[i];
        unsigned place = 0;
        while (open_failing_at(fault, place, false)) {
            assert_true(open_failing_at(fault, place, true));
            place++;
        }
        print_message("%-44s %u places\n", system_fault_text(fault), place);
        assert_true(place != 0);
    }
    assert_int_equal(system_descriptors(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read_whole_or_not_at_all),
        cmocka_unit_test(a_cache_opens_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("system calls of options", tests, write_file,
                                       remove_file);
}
