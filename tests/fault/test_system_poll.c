/* SPDX-License-Identifier: Apache-2.0 */
/* poll(2) fails, and goes on failing, in the threads that only wait: they neither take a processor for it nor stop to do what they
 * are for, and a cache closes as ever. */
#include "api/source.h"
#include "api/tracking_rig.h"
#include "base/clock.h"
#include "base/rest.h"
#include "system_calls.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STRIKES = 20, NS_PER_MS = 1000000 };

static const struct system_fault faults[] = {
    {SYSTEM_POLL, ENOMEM, false},
    {SYSTEM_POLL, EINTR, false},
};

static bool has_struck_often(void *arg) {
    (void)arg;
    return system_fault_strikes() >= STRIKES;
}

/* `threads` of them poll. A machine may be slow, so there is no upper bound of the time. */
static void expect_rests(int64_t begun_ns, unsigned threads) {
    assert_true(await_until(has_struck_often, NULL));
    const int64_t rests = STRIKES / (int64_t)threads - 1;
    assert_true(hearth__monotonic_ns() - begun_ns >= rests * HEARTH__REST_MS * NS_PER_MS);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void changes_are_told_all_the_same(const struct system_fault *fault) {
    struct tracking_rig rig;
    tracking_rig_open(&rig);
    tracking_set(rig.other, "k", "old");
    tracking_track(&rig, "k");
    const int64_t begun_ns = hearth__monotonic_ns();
    system_fault_begin(fault, 0, true);
    for (int i = 0; i < 3; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "new %d", i);
        tracking_set(rig.other, "k", text);
        tracking_await_text(&rig, "k", text);
        tracking_track(&rig, "k");
    }
    expect_rests(begun_ns, 2); /* that of each cache */
    tracking_rig_close(&rig);
    assert_true(system_fault_end());
}

static void a_listener_that_cannot_poll_rests(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        changes_are_told_all_the_same(&faults[i]);
    }
}

/* ---- statistics ------------------------------------------------------------------------------ */

/* Whether who connects there gets a report. */
static bool gets_a_report(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char bytes[4096];
    char last = 0;
    ssize_t got = 0;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
        last = bytes[got - 1];
    }
    (void)close(fd);
    return last == '\n';
}

static void statistics_that_cannot_be_polled_are_told(void **state) {
    char folder[] = "/tmp/hearth-XXXXXX";
    char path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/stats", folder);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        system_fault_begin(&faults[i], 0, true);
        const int64_t begun_ns = hearth__monotonic_ns();
        hearth *cache = cache_open((const char *const[]){"stats.socket", path, NULL});
        assert_non_null(cache);
        assert_true(gets_a_report(path) && gets_a_report(path));
        expect_rests(begun_ns, 1);
        assert_int_equal(hearth_close(cache), HEARTH_OK);
        assert_true(system_fault_end());
    }
    assert_int_equal(rmdir(folder), 0);
}

/* ---- the bus --------------------------------------------------------------------------------- */

enum { ATTEMPTS = 3, PAUSES_MS = 1000 /* at least, the second one */ };

static bool has_been_tried_often(void *arg) {
    (void)arg;
    return system_fault_strikes() >= ATTEMPTS;
}

/* Who connects there is never answered, so he would wait. */
static int listen_at(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

/* Its connections cannot be waited on, so they are made anew, each once, with pauses that grow, and that no close waits for. */
static void a_bus_that_cannot_be_polled_is_left_alone(void **state) {
    char url[SERVERS_PATH_BYTES + 64];
    char folder[] = "/tmp/hearth-XXXXXX";
    char path[64];
    char bus[96];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/bus", folder);
    (void)snprintf(bus, sizeof bus, "redis+unix://%s", path);
    const int fd = listen_at(path);
    (void)snprintf(url, sizeof url, "redis+unix://%s", tracking_servers()->nodes[0].path);
    system_fault_begin(&faults[0], 0, true);
    const int64_t begun_ns = hearth__monotonic_ns();
    hearth *cache = cache_open((const char *const[]){"remote.url", url, "coherence.mode", "bus",
                                                     "coherence.bus_url", bus,
                                                     "coherence.dead_ms", "60000", NULL});
    assert_non_null(cache);
    assert_string_equal(cache_get(cache, "nothing", 0), "MISS");
    assert_true(await_until(has_been_tried_often, NULL));
    assert_true(hearth__monotonic_ns() - begun_ns >= (int64_t)PAUSES_MS * NS_PER_MS);
    const int32_t status = cache_set(cache, "k", "v");
    assert_true(status == HEARTH_OK || status == HEARTH_E_QUEUED);
    assert_string_equal(cache_get(cache, "k", HEARTH_READ_NO_LOCAL), "=v");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    assert_true(system_fault_end());
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_that_cannot_poll_rests),
        cmocka_unit_test(statistics_that_cannot_be_polled_are_told),
        cmocka_unit_test(a_bus_that_cannot_be_polled_is_left_alone),
    };
    return cmocka_run_group_tests_name("poll fails", tests, tracking_start, tracking_stop);
}
