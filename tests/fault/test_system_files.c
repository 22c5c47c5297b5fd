/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of the system that saving or loading the guard's filter makes fails, once and with all that follow it, at each place
 * where it is made: on a full disk, a bad one, or without a descriptor. It is said, the file stays whole, and there is no other. What
 * a signal interrupts, or what comes in pieces, is seen by nobody. */
#include "api/source.h"
#include "system_calls.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct system_fault faults[] = {
    {SYSTEM_OPEN, EMFILE, false},
    {SYSTEM_OPEN, EACCES, false},
    {SYSTEM_WRITE, ENOSPC, false},
    {SYSTEM_WRITE, EINTR, true},
    {SYSTEM_WRITE, SYSTEM_ONE_BYTE, true},
    {SYSTEM_READ, EIO, false},
    {SYSTEM_READ, EINTR, true},
    {SYSTEM_READ, SYSTEM_ONE_BYTE, true},
    {SYSTEM_FSYNC, EIO, false},
    {SYSTEM_FSYNC, ENOSPC, false},
};

static char folder[] = "/tmp/hearth-XXXXXX";
static char path[64];

static int start(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/filter", folder);
    return 0;
}

static int stop(void **state) {
    (void)state;
    return unlink(path) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static int32_t one_key(void *arg, const void **key, size_t *key_size) {
    bool *given = arg;
    const int32_t status = *given ? HEARTH_MISS : HEARTH_OK;
    *given = true;
    *key = "there";
    *key_size = 5;
    return status;
}

static hearth *open_guarded(void) {
    hearth *cache =
        cache_open((const char *const[]){"guard.expected_keys", "1000", "guard.view_ms", "0",
                                         "guard.audit", "0", "local.max_bytes", "0", NULL});
    assert_non_null(cache);
    return cache;
}

static bool denies_others(hearth *cache) {
    return strcmp(cache_get(cache, "there", 0), "MISS") == 0 &&
           strcmp(cache_get(cache, "another", 0), "ABSENT") == 0;
}

/* Whether there is one file, which another process would load. */
static bool is_whole(void) {
    unsigned count = 0;
    DIR *files = opendir(folder);
    hearth *cache = open_guarded();
    assert_non_null(files);
    for (const struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files)) {
        count += entry->d_name[0] != '.';
    }
    closedir(files);
    const bool whole =
        count == 1 && hearth_guard_load(cache, path) == HEARTH_OK && denies_others(cache);
    return hearth_close(cache) == HEARTH_OK && whole;
}

static int32_t save(hearth *cache) {
    return hearth_guard_save(cache, path);
}

static int32_t load(hearth *cache) {
    hearth *another = open_guarded();
    const int32_t status = hearth_guard_load(another, path);
    (void)cache;
    assert_int_equal(denies_others(another), status == HEARTH_OK);
    assert_int_equal(hearth_close(another), HEARTH_OK);
    return status;
}

/* How many calls of the kind there are. */
static unsigned fail_at_each(hearth *cache, int32_t (*attempt)(hearth *cache),
                             const struct system_fault *fault, bool lasts) {
    unsigned place = 0;
    for (bool struck = true; struck; place += struck) {
        system_fault_begin(fault, place, lasts);
        const int32_t status = attempt(cache);
        struck = system_fault_end();
        const bool fails = struck && !fault->unseen;
        if ((status == HEARTH_OK) == fails || !is_whole()) {
            fail_msg("%s, place %u: status %d", system_fault_text(fault), place, (int)status);
        }
    }
    return place;
}

static void any_call_may_fail_in(int32_t (*attempt)(hearth *cache)) {
    bool given = false;
    hearth *cache = open_guarded();
    assert_int_equal(hearth_guard_rebuild(cache, one_key, &given), HEARTH_OK);
    assert_int_equal(save(cache), HEARTH_OK);
    const unsigned before = system_descriptors();
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        unsigned places = fail_at_each(cache, attempt, &faults[i], false);
        if (faults[i].fate != EINTR) { /* which would be without end */
            (void)fail_at_each(cache, attempt, &faults[i], true);
        }
        print_message("%-44s %u places\n", system_fault_text(&faults[i]), places);
        assert_int_equal(places != 0, faults[i].call == SYSTEM_OPEN ||
                                          (faults[i].call == SYSTEM_READ) == (attempt == load));
    }
    assert_int_equal(system_descriptors(), before);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

static void a_save_that_fails_leaves_the_old_file(void **state) {
    (void)state;
    any_call_may_fail_in(save);
}

static void a_load_that_fails_says_so(void **state) {
    (void)state;
    any_call_may_fail_in(load);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_that_fails_leaves_the_old_file),
        cmocka_unit_test(a_load_that_fails_says_so),
    };
    return cmocka_run_group_tests_name("system calls of files", tests, start, stop);
}
