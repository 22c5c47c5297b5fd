/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/rest.h"
#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

enum { STROKE = 2, OTHER = 1, LONG_MS = 3600000, SHORT_MS = 20, NS_PER_MS = 1000000 };

struct resting {
    hearth__bell bell;
    _Atomic bool over;
    int64_t ms;
    int64_t took_ns;
    _Atomic bool ended;
    struct event begins;
};

static void rest(void *arg, size_t index) {
    struct resting *resting = arg;
    int64_t begun_ns = hearth__monotonic_ns();
    (void)index;
    event_raise(&resting->begins);
    hearth__rest(&resting->bell, STROKE, &resting->over, resting->ms);
    resting->took_ns = hearth__monotonic_ns() - begun_ns;
    atomic_store(&resting->ended, true);
}

/* Whoever rings, and whenever that comes. */
static void an_end_is_not_waited_for(void **state) {
    enum { TIMES = 200 };
    (void)state;
    for (int i = 0; i < TIMES; i++) {
        struct resting resting = {.ms = LONG_MS, .begins = EVENT_INIT};
        struct crowd crowd;
        assert_true(crowd_start(&crowd, 1, rest, &resting));
        if (i % 2 == 0) {
            assert_true(event_await(&resting.begins, 1));
        }
        atomic_store(&resting.over, true);
        hearth__bell_ring(&resting.bell, STROKE | OTHER);
        crowd_join(&crowd);
    }
}

static bool rings_until_it_has_ended(void *arg) {
    struct resting *resting = arg;
    hearth__bell_ring(&resting->bell, STROKE | OTHER);
    return atomic_load(&resting->ended);
}

static void other_rings_do_not_shorten_it(void **state) {
    (void)state;
    struct resting resting = {.ms = SHORT_MS, .begins = EVENT_INIT};
    struct crowd crowd;
    assert_true(crowd_start(&crowd, 1, rest, &resting));
    bool ended = await_until(rings_until_it_has_ended, &resting);
    crowd_join(&crowd);
    assert_true(ended);
    assert_true(resting.took_ns >= (int64_t)SHORT_MS * NS_PER_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_not_waited_for),
        cmocka_unit_test(other_rings_do_not_shorten_it),
    };
    return cmocka_run_group_tests_name("rest", tests, NULL, NULL);
}
