/* SPDX-License-Identifier: Apache-2.0 */
/* A process that has no file descriptor left: nodes cannot be reached, and that is said; loads go on,
 * and so does everything when there are some again. None is left behind, here or in a program that
 * this one turns into. */
#include "api/source.h"
#include "support/servers.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static struct servers servers; /* 0: Redis, 1: Memcached */

static int start(void **state) {
    (void)state;
    if (servers_open(&servers) != 0 ||
        servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
        servers_start(&servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
        fail_msg("%s", servers.error);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

static hearth *open_at(enum server_kind kind) {
    char url[SERVERS_PATH_BYTES + 64];
    assert_int_equal(servers_url(&servers, kind, url, sizeof url), 0);
    hearth *cache = cache_open((const char *const[]){"remote.url", url, NULL});
    assert_non_null(cache);
    return cache;
}

/* How many descriptors there are; those that would live on in another program, if `inherited`. */
static unsigned descriptors(bool inherited) {
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        int flags = entry->d_name[0] != '.' ? fcntl(fd, F_GETFD) : -1;
        count += flags >= 0 && fd != dirfd(folder) && (!inherited || (flags & FD_CLOEXEC) == 0);
    }
    closedir(folder);
    return count;
}

enum { LEFT = 64 };

/* All descriptors up to a limit are taken. */
struct hogs {
    struct rlimit before;
    int fds[LEFT];
    size_t count;
};

static void take_all(struct hogs *hogs) {
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &hogs->before), 0);
    struct rlimit less = {.rlim_cur = LEFT, .rlim_max = hogs->before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    hogs->count = 0;
    int fd = -1;
    while (hogs->count < LEFT && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        hogs->fds[hogs->count++] = fd;
    }
    assert_true(hogs->count > 0 && fd < 0);
}

static void give_back(struct hogs *hogs) {
    while (hogs->count > 0) {
        close(hogs->fds[--hogs->count]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &hogs->before), 0);
}

static bool is_well(void *arg) {
    return cache_set(arg, "key", "well") == HEARTH_OK;
}

/* No connection is there, and none can be made. */
static void use_without(hearth *cache) {
    struct source source = {SOURCE_INIT, .text = "loaded"};
    hearth_value *value = hearth_value_new();
    assert_non_null(value);
    assert_int_equal(cache_set(cache, "key", "text"), HEARTH_E_UNAVAILABLE);
    assert_string_equal(cache_get(cache, "key", 0), "E_UNAVAILABLE");
    assert_true(hearth_delete(cache, "key", 3, NULL) < 0);
    assert_int_equal(source_fetch(cache, "key", &source, value), HEARTH_OK);
    assert_int_equal(hearth_value_size(value), strlen("loaded"));
    hearth_value_free(value);
}

static const enum server_kind kinds[] = {SERVER_REDIS, SERVER_MEMCACHED};

enum { KINDS = 2 };

static void without_a_descriptor_nodes_are_not_there(void **state) {
    (void)state;
    struct hogs hogs;
    hearth *caches[KINDS];
    unsigned before = descriptors(false);
    for (size_t i = 0; i < KINDS; i++) {
        caches[i] = open_at(kinds[i]);
    }
    take_all(&hogs);
    for (size_t i = 0; i < KINDS; i++) {
        use_without(caches[i]);
    }
    give_back(&hogs);
    assert_int_equal(descriptors(false), before);
    for (size_t i = 0; i < KINDS; i++) {
        assert_true(await_until(is_well, caches[i]));
        assert_string_equal(cache_get(caches[i], "key", HEARTH_READ_NO_LOCAL), "=well");
        assert_int_equal(hearth_close(caches[i]), HEARTH_OK);
    }
    assert_int_equal(descriptors(false), before);
}

/* A connection that is there needs none. */
static void who_has_a_connection_needs_no_descriptor(void **state) {
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        struct hogs hogs;
        hearth *cache = open_at(kinds[i]);
        assert_true(is_well(cache));
        take_all(&hogs);
        assert_true(is_well(cache));
        assert_string_equal(cache_get(cache, "key", HEARTH_READ_NO_LOCAL), "=well");
        give_back(&hogs);
        assert_int_equal(hearth_close(cache), HEARTH_OK);
    }
}

static void no_descriptor_outlives_the_program(void **state) {
    (void)state;
    unsigned before = descriptors(true);
    hearth *redis = open_at(SERVER_REDIS);
    hearth *memcached = open_at(SERVER_MEMCACHED);
    assert_true(is_well(redis) && is_well(memcached));
    assert_int_equal(descriptors(true), before);
    assert_int_equal(hearth_close(redis), HEARTH_OK);
    assert_int_equal(hearth_close(memcached), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_descriptor_nodes_are_not_there),
        cmocka_unit_test(who_has_a_connection_needs_no_descriptor),
        cmocka_unit_test(no_descriptor_outlives_the_program),
    };
    return cmocka_run_group_tests_name("descriptors", tests, start, stop);
}
