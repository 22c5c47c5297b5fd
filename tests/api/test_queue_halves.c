/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who collects comes back with one half of what is on its way, and has left the other half with the nodes. Whether that is so just then
 * cannot be seen from outside, so each test does the same some times over.
 */
#include "base/tsan.h"
#include "queue_rig.h"
#include "support/servers.h"

#include <sys/wait.h>
#include <unistd.h>

enum { FLIGHT = 64, ROUNDS = 20, KEY_BYTES = 8, URL_BYTES = 512 };

static struct servers servers;
static char url[URL_BYTES];
static hearth_value *values[FLIGHT];
static char keys[FLIGHT][KEY_BYTES];
static bool seen[FLIGHT];
static size_t answered;
static bool closes; /* then what still waits ends without an answer */

static int start(void **state) {
    (void)state;
    bool good = servers_open(&servers) == 0 &&
                servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL) == 0 &&
                servers_url(&servers, SERVER_REDIS, url, sizeof url) == 0;
    return good ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    servers_stop(&servers);
    return 0;
}

static int open_all(void **state) {
    (void)state;
    closes = false;
    int opened =
        queue_open_with((const char *const[]){"remote.url", url, "local.max_bytes", "0", NULL});
    for (size_t i = 0; opened == 0 && i < FLIGHT; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key%zu", i);
        values[i] = hearth_value_new();
        opened = values[i] != NULL && cache_set(cache, keys[i], keys[i]) == HEARTH_OK ? 0 : -1;
    }
    return opened;
}

static int close_all(void **state) {
    for (size_t i = 0; i < FLIGHT; i++) {
        hearth_value_free(values[i]);
    }
    return queue_close(state);
}

/* ---- a flight of gets, each of its own key ---- */

static void submit_get(size_t index) {
    hearth_operation get = operation(HEARTH_VERB_GET, keys[index]);
    get.value = values[index];
    get.tag = keys[index];
    seen[index] = false;
    assert_true(submit(&get) != 0);
}

static void submit_all(void) {
    answered = 0;
    for (size_t i = 0; i < FLIGHT; i++) {
        submit_get(i);
    }
}

static size_t index_of(const hearth_result *result) {
    return (size_t)((char(*)[KEY_BYTES])result->tag - keys);
}

/* Each comes once. */
static void note(void *arg, const hearth_result *result) {
    size_t index = index_of(result);
    (void)arg;
    assert_in_range(index, 0, FLIGHT - 1);
    assert_false(seen[index]);
    seen[index] = true;
    answered++;
    if (result->status != HEARTH_E_CLOSED || !closes) {
        assert_int_equal(result->status, HEARTH_OK);
        expect_text(values[index], keys[index]);
    }
}

static size_t collect_some(size_t most, int64_t timeout_ms) {
    hearth_result results[FLIGHT] = {{.size = sizeof results[0]}};
    size_t count = 0;
    if (hearth_collect(queue, results, most, timeout_ms, &count) != HEARTH_OK) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        note(NULL, &results[i]);
    }
    return count;
}

/* From here on it is who collects that carries out. */
static void collect_for_a_while(void) {
    for (int i = 0; i < ROUNDS; i++) {
        submit_get(0);
        assert_int_equal(collect_some(1, QUEUE_SECONDS_MS), 1);
    }
}

/* All of a flight on its way, of which one result was taken. */
static void set_out(void) {
    collect_for_a_while();
    submit_all();
    assert_int_equal(collect_some(1, QUEUE_SECONDS_MS), 1);
}

/* ---- the tests ---- */

static void all_come_once_while_more_is_submitted(void **state) {
    enum { ALL = 50 * FLIGHT };
    size_t free_slots[FLIGHT];
    size_t free_count = 0;
    (void)state;
    submit_all();
    for (size_t all = FLIGHT; answered < ALL;) {
        hearth_result results[FLIGHT] = {{.size = sizeof results[0]}};
        size_t count = 0;
        assert_int_equal(hearth_collect(queue, results, FLIGHT, QUEUE_SECONDS_MS, &count),
                         HEARTH_OK);
        for (size_t i = 0; i < count; i++) {
            note(NULL, &results[i]);
            free_slots[free_count++] = index_of(&results[i]);
        }
        for (; free_count != 0 && all < ALL; all++) {
            submit_get(free_slots[--free_count]);
        }
    }
    expect_nothing();
}

static void what_has_begun_comes_without_its_collector(void **state) {
    int fd = -1;
    (void)state;
    assert_int_equal(hearth_event_fd(queue, &fd), HEARTH_OK);
    for (int i = 0; i < ROUNDS; i++) {
        set_out();
        while (answered < FLIGHT) {
            assert_true(is_readable(fd, QUEUE_SECONDS_MS));
            (void)collect_some(FLIGHT, 0);
        }
    }
}

static void a_write_behind_it_waits_for_it(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        set_out();
        for (size_t at = 0; at < FLIGHT; at++) {
            assert_true(submit_set(keys[at], "new") != 0);
        }
        for (size_t left = 2 * FLIGHT - 1; left != 0; left--) {
            hearth_result result = collect_one();
            assert_int_equal(result.status, HEARTH_OK);
            if (result.verb == HEARTH_VERB_GET) {
                note(NULL, &result); /* what was there before */
            }
        }
        for (size_t at = 0; at < FLIGHT; at++) {
            assert_string_equal(cache_get(cache, keys[at], 0), "=new");
            assert_int_equal(cache_set(cache, keys[at], keys[at]), HEARTH_OK);
        }
    }
}

/* Many waits for one answer are not to be cut short: one of a node that is stopped ends in time. */
static void it_ends_in_time_if_its_node_does_not_answer(void **state) {
    (void)state;
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.deadline_ms = 50;
    collect_for_a_while();
    assert_int_equal(servers_pause(&servers, 0), 0);
    for (size_t i = 0; i < FLIGHT; i++) {
        hearth_operation get = operation(HEARTH_VERB_GET, keys[i]);
        get.value = values[i];
        get.read = &read;
        assert_true(submit(&get) != 0);
    }
    for (size_t i = 0; i < FLIGHT; i++) {
        assert_true(collect_one().status < 0);
    }
    assert_int_equal(servers_resume(&servers, 0), 0);
}

static void closing_the_queue_tells_of_it(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        set_out();
        closes = true;
        assert_int_equal(hearth_queue_close(queue, note, NULL), HEARTH_OK);
        assert_int_equal(answered, FLIGHT);
        closes = false;
        assert_int_equal(hearth_queue_open(cache, &queue), HEARTH_OK);
    }
}

static void it_comes_when_its_cache_is_closed(void **state) {
    for (int i = 0; i < ROUNDS; i++) {
        set_out();
        closes = true;
        assert_int_equal(hearth_close(cache), HEARTH_OK);
        while (answered < FLIGHT) {
            assert_true(collect_some(FLIGHT, QUEUE_SECONDS_MS) != 0);
        }
        assert_int_equal(hearth_queue_close(queue, NULL, NULL), HEARTH_OK);
        hearth_value_free(value);
        for (size_t at = 0; at < FLIGHT; at++) {
            hearth_value_free(values[at]);
        }
        assert_int_equal(open_all(state), 0);
    }
}

/* In a child nothing of it is left, and the parent's connections are the parent's. */
static bool child_works(void) {
    hearth_result result = {.size = sizeof result};
    size_t count = 0;
    uint64_t ticket = 0;
    bool good = hearth_collect(queue, &result, 1, 0, &count) == HEARTH_MISS;
#if !defined(HEARTH__TSAN) /* it lets a child start no thread */
    hearth_operation get = operation(HEARTH_VERB_GET, keys[0]);
    good = good && hearth_submit(queue, &get, &ticket) == HEARTH_OK && ticket != 0 &&
           hearth_collect(queue, &result, 1, QUEUE_SECONDS_MS, &count) == HEARTH_OK &&
           result.ticket == ticket && result.status == HEARTH_OK;
#endif
    (void)ticket;
    return good && hearth_queue_close(queue, NULL, NULL) == HEARTH_OK &&
           hearth_close(cache) == HEARTH_OK;
}

static void a_child_has_none_of_it(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        int status = 1;
        set_out();
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(child_works() ? 0 : 1);
        }
        while (answered < FLIGHT) {
            assert_true(collect_some(FLIGHT, QUEUE_SECONDS_MS) != 0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_come_once_while_more_is_submitted, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(what_has_begun_comes_without_its_collector, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_write_behind_it_waits_for_it, open_all, close_all),
        cmocka_unit_test_setup_teardown(it_ends_in_time_if_its_node_does_not_answer, open_all,
                                        close_all),
        cmocka_unit_test_setup_teardown(closing_the_queue_tells_of_it, open_all, close_all),
        cmocka_unit_test_setup_teardown(it_comes_when_its_cache_is_closed, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_child_has_none_of_it, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
