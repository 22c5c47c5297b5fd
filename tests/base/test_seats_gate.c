/* SPDX-License-Identifier: Apache-2.0 */
#include "base/seats.h"
#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 200 };

static void an_open_gate_lets_callers_in_again_and_again(void **state) {
    (void)state;
    hearth__seats *gate = hearth__seats_create(1);
    assert_non_null(gate);
    assert_true(hearth__seats_enter(gate));
    assert_true(hearth__seats_enter(gate)); /* from inside, as a loader does */
    hearth__seats_leave(gate);
    hearth__seats_leave(gate);
    assert_true(hearth__seats_enter(gate));
    hearth__seats_leave(gate);
    hearth__seats_shut(gate);
    hearth__seats_destroy(gate);
}

static void a_shut_gate_refuses_for_ever(void **state) {
    (void)state;
    hearth__seats *gate = hearth__seats_create(1);
    assert_non_null(gate);
    hearth__seats_shut(gate);
    for (int i = 0; i < 10; i++) {
        assert_false(hearth__seats_enter(gate));
    }
    hearth__seats_shut(gate); /* nobody got in: it does not wait */
    hearth__seats_destroy(gate);
}

struct scene {
    hearth__seats *gate;
    struct event inside;    /* callers that are in */
    struct event go;        /* they may leave */
    struct event shut;      /* it was */
    _Atomic int left_early; /* shut returned although somebody was in */
};

static void stay_inside(struct scene *scene) {
    if (!hearth__seats_enter(scene->gate)) {
        return;
    }
    event_raise(&scene->inside);
    if (!event_await(&scene->go, 1) || scene->shut.times != 0) {
        atomic_fetch_add(&scene->left_early, 1);
    }
    hearth__seats_leave(scene->gate);
}

static bool is_refusing(void *arg) {
    hearth__seats *gate = arg;
    if (hearth__seats_enter(gate)) {
        hearth__seats_leave(gate);
        return false;
    }
    return true;
}

static void visit(void *arg, size_t index) {
    struct scene *scene = arg;
    if (index < THREADS) {
        stay_inside(scene);
        return;
    }
    if (event_await(&scene->inside, THREADS)) {
        hearth__seats_shut(scene->gate);
    }
    event_raise(&scene->shut);
}

/* While it waits for those inside, newcomers are refused already. */
static void shutting_waits_for_all_who_are_inside(void **state) {
    (void)state;
    struct scene scene = {.gate = hearth__seats_create(1),
                          .inside = EVENT_INIT,
                          .go = EVENT_INIT,
                          .shut = EVENT_INIT};
    assert_non_null(scene.gate);
    struct crowd crowd;
    assert_true(crowd_start(&crowd, THREADS + 1, visit, &scene));
    bool came = event_await(&scene.inside, THREADS);
    bool refused = await_until(is_refusing, scene.gate);
    event_raise(&scene.go);
    bool shut = event_await(&scene.shut, 1);
    crowd_join(&crowd);
    assert_true(came && refused && shut);
    assert_int_equal(atomic_load(&scene.left_early), 0);
    hearth__seats_destroy(scene.gate);
}

/* What the gate guards: freed as soon as it is shut, so that a sanitizer sees who still uses it. */
struct guarded {
    hearth__seats *gate;
    _Atomic(int *) treasure;
    _Atomic int entries;
    _Atomic int found_nothing;
};

static void use_until_refused(void *arg, size_t index) {
    struct guarded *guarded = arg;
    while (hearth__seats_enter(guarded->gate)) {
        int *treasure = atomic_load(&guarded->treasure);
        if (treasure == NULL || *(volatile int *)treasure != 7) {
            atomic_fetch_add(&guarded->found_nothing, 1);
        }
        atomic_fetch_add(&guarded->entries, 1);
        hearth__seats_leave(guarded->gate);
    }
    (void)index;
}

static bool is_busy(void *arg) {
    struct guarded *guarded = arg;
    return atomic_load(&guarded->entries) >= THREADS;
}

static void nobody_is_inside_once_it_is_shut(void **state) {
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct guarded guarded = {.gate = hearth__seats_create(1)};
        assert_non_null(guarded.gate);
        int *treasure = malloc(sizeof *treasure);
        assert_non_null(treasure);
        *treasure = 7;
        atomic_store(&guarded.treasure, treasure);
        struct crowd crowd;
        assert_true(crowd_start(&crowd, THREADS, use_until_refused, &guarded));
        bool busy = await_until(is_busy, &guarded);
        hearth__seats_shut(guarded.gate);
        atomic_store(&guarded.treasure, NULL);
        free(treasure);
        crowd_join(&crowd);
        assert_true(busy);
        assert_int_equal(atomic_load(&guarded.found_nothing), 0);
        assert_false(hearth__seats_enter(guarded.gate));
        hearth__seats_destroy(guarded.gate);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_gate_lets_callers_in_again_and_again),
        cmocka_unit_test(a_shut_gate_refuses_for_ever),
        cmocka_unit_test(shutting_waits_for_all_who_are_inside),
        cmocka_unit_test(nobody_is_inside_once_it_is_shut),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
