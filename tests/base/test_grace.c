/* SPDX-License-Identifier: Apache-2.0 */
/* Grace periods: who waits does so for those who were inside, and for nobody else. */
#include "base/grace.h"

#include "base/memory.h"
#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

static void with_nobody_inside_there_is_nothing_to_wait_for(void **state) {
    (void)state;
    static hearth__grace grace;
    for (int i = 0; i < 3; i++) {
        hearth__grace_leave(hearth__grace_enter(&grace));
        hearth__grace_wait(&grace);
    }
}

struct stage {
    hearth__grace grace;
    struct event entered;
    struct event go;
    _Atomic bool left;
    bool left_before_waiter;
};

/* The first is inside until it is told to leave, the second waits for it. */
static void hold_or_wait(void *arg, size_t index) {
    struct stage *stage = arg;
    if (index == 0) {
        hearth__grace_section outer = hearth__grace_enter(&stage->grace);
        hearth__grace_leave(hearth__grace_enter(&stage->grace));
        event_raise(&stage->entered);
        if (event_await(&stage->go, 1)) {
            atomic_store(&stage->left, true);
        }
        hearth__grace_leave(outer);
    } else if (event_await(&stage->entered, 1)) {
        event_raise(&stage->go);
        hearth__grace_wait(&stage->grace);
        stage->left_before_waiter = atomic_load(&stage->left);
    }
}

static void who_waits_does_so_for_those_inside(void **state) {
    (void)state;
    static struct stage stage = {.entered = EVENT_INIT, .go = EVENT_INIT};
    for (size_t i = 0; i < 200; i++) {
        stage.entered.times = 0;
        stage.go.times = 0;
        stage.left = false;
        assert_true(crowd_run(2, hold_or_wait, &stage));
        assert_true(stage.left_before_waiter);
    }
}

enum { READERS = 4, REPLACEMENTS = 300 };

struct shelf {
    hearth__grace grace;
    _Atomic(uint64_t *) number;
    _Atomic bool done;
    _Atomic uint64_t wrong;
};

/* Whoever reads freed memory, a sanitizer tells of; without one, what was freed has been changed before. */
static void read_on(void *arg, size_t index) {
    struct shelf *shelf = arg;
    (void)index;
    while (!atomic_load(&shelf->done)) {
        hearth__grace_section section = hearth__grace_enter(&shelf->grace);
        const uint64_t *number = atomic_load(&shelf->number);
        atomic_fetch_add(&shelf->wrong, *number != 42);
        hearth__grace_leave(section);
    }
}

static uint64_t *make_number(void) {
    uint64_t *number = hearth__alloc(sizeof *number);
    assert_non_null(number);
    *number = 42;
    return number;
}

static void nobody_holds_what_was_replaced(void **state) {
    (void)state;
    static struct shelf shelf;
    struct crowd crowd;
    atomic_store(&shelf.number, make_number());
    assert_true(crowd_start(&crowd, READERS, read_on, &shelf));
    for (int i = 0; i < REPLACEMENTS; i++) {
        uint64_t *old = atomic_exchange(&shelf.number, make_number());
        hearth__grace_wait(&shelf.grace);
        *old = 0;
        hearth__free(old);
    }
    atomic_store(&shelf.done, true);
    crowd_join(&crowd);
    assert_int_equal(shelf.wrong, 0);
    hearth__free(atomic_load(&shelf.number));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_nobody_inside_there_is_nothing_to_wait_for),
        cmocka_unit_test(who_waits_does_so_for_those_inside),
        cmocka_unit_test(nobody_holds_what_was_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
