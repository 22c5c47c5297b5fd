/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/limiter.h"

#include "base/clock.h"
#include "base/fork.h"
#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static hearth__limiter *limiter;

static void make(uint32_t places) {
    limiter = hearth__limiter_create(places);
    assert_non_null(limiter);
}

static int destroy(void **state) {
    (void)state;
    hearth__limiter_destroy(limiter);
    limiter = NULL;
    return 0;
}

static bool enter(hearth__place *place, int64_t deadline_ns) {
    bool waited = false;
    return hearth__limiter_enter(limiter, place, deadline_ns, &waited);
}

/* Another thread's step, done before the call returns. */
struct step {
    hearth__place place;
    bool spare;
    bool entered;
};

static void take_step(void *arg, size_t index) {
    struct step *step = arg;
    (void)index;
    step->entered = step->spare ? hearth__limiter_enter_spare(limiter, &step->place)
                                : enter(&step->place, 0);
}

static bool other_enters(struct step *step) {
    assert_true(crowd_run(1, take_step, step));
    return step->entered;
}

static void so_many_have_a_place(void **state) {
    (void)state;
    struct step steps[4] = {0};
    make(3);
    for (int i = 0; i < 3; i++) {
        assert_true(other_enters(&steps[i]));
    }
    assert_int_equal(hearth__limiter_running(limiter), 3);
    assert_false(other_enters(&steps[3]));
    hearth__limiter_leave(&steps[3].place); /* it has none */
    hearth__limiter_leave(&steps[1].place);
    assert_true(other_enters(&steps[3]));
    hearth__limiter_leave(&steps[0].place);
    hearth__limiter_leave(&steps[2].place);
    hearth__limiter_leave(&steps[3].place);
    assert_int_equal(hearth__limiter_running(limiter), 0);
}

static void without_a_limit_all_have(void **state) {
    (void)state;
    struct step steps[100] = {0};
    make(0);
    for (int i = 0; i < 100; i++) {
        steps[i].spare = i % 2 != 0;
        take_step(&steps[i], 0);
        assert_true(steps[i].entered);
    }
    assert_true(hearth__limiter_has_spare(limiter));
    hearth__limiter_lend(limiter);
    hearth__limiter_take_back(limiter, HEARTH__NEVER);
    for (int i = 0; i < 100; i++) {
        hearth__limiter_leave(&steps[i].place);
    }
}

static void the_last_place_is_not_to_spare(void **state) {
    (void)state;
    struct step first = {.spare = true};
    struct step second = {.spare = true};
    make(2);
    assert_true(hearth__limiter_has_spare(limiter));
    assert_true(other_enters(&first));
    assert_false(hearth__limiter_has_spare(limiter));
    assert_false(other_enters(&second));
    second.spare = false;
    assert_true(other_enters(&second));
    hearth__limiter_leave(&first.place);
    hearth__limiter_leave(&second.place);
}

static void the_only_place_is_while_nobody_wants_it(void **state) {
    (void)state;
    struct step first = {.spare = true};
    struct step second = {.spare = true};
    make(1);
    assert_true(other_enters(&first));
    assert_false(other_enters(&second));
    hearth__limiter_leave(&first.place);
}

static void who_is_inside_needs_no_other_place(void **state) {
    (void)state;
    hearth__place outer;
    hearth__place inner;
    struct step other = {0};
    make(1);
    assert_true(enter(&outer, 0));
    assert_true(enter(&inner, 0));
    assert_int_equal(hearth__limiter_running(limiter), 1);
    hearth__limiter_leave(&inner);
    assert_false(other_enters(&other));
    hearth__limiter_leave(&outer);
    assert_true(other_enters(&other));
    hearth__limiter_leave(&other.place);
}

/* ---- the line ---- */

struct line {
    struct event go[CROWD_MAX];
    _Atomic size_t served;
    size_t order[CROWD_MAX];
    _Atomic int refused;
    _Atomic size_t arrived;
};

static bool has_waiters(void *arg) {
    const struct line *line = arg;
    return atomic_load(&line->arrived) != 0 && !hearth__limiter_has_spare(limiter);
}

static void wait_in_line(void *arg, size_t index) {
    struct line *line = arg;
    hearth__place place;
    if (!event_await(&line->go[index], 1)) {
        return;
    }
    atomic_fetch_add(&line->arrived, 1);
    if (!enter(&place, HEARTH__NEVER)) {
        atomic_fetch_add(&line->refused, 1);
        return;
    }
    line->order[index] = atomic_fetch_add(&line->served, 1);
    hearth__limiter_leave(&place);
}

/* A place goes to whoever waits, and nobody who comes later is before. */
static void a_place_that_is_left_goes_to_who_waits(void **state) {
    (void)state;
    struct line line = {.go = {EVENT_INIT}};
    struct crowd crowd;
    struct step step = {0};
    make(2);
    hearth__place places[2];
    assert_true(other_enters(&step));
    places[0] = (hearth__place){0};
    assert_true(enter(&places[1], 0));
    assert_true(crowd_start(&crowd, 1, wait_in_line, &line));
    event_raise(&line.go[0]);
    assert_true(await_until(has_waiters, &line));
    struct step late = {.spare = true};
    assert_false(other_enters(&late));
    hearth__limiter_leave(&step.place);
    crowd_join(&crowd);
    assert_int_equal(line.served, 1);
    assert_int_equal(line.refused, 0);
    hearth__limiter_leave(&places[1]);
}

static void who_waits_in_vain_is_told_and_leaves_no_trace(void **state) {
    (void)state;
    struct step step = {0};
    hearth__place place;
    bool waited = false;
    make(1);
    assert_true(other_enters(&step));
    assert_false(hearth__limiter_enter(limiter, &place, hearth__deadline_ns(1), &waited));
    assert_true(waited);
    hearth__limiter_leave(&place);
    hearth__limiter_leave(&step.place);
    assert_true(enter(&place, 0));
    hearth__limiter_leave(&place);
}

enum { RUNNERS = 16, ROUNDS = 400, PLACES = 3 };

struct race {
    _Atomic int inside;
    _Atomic int most;
    _Atomic int entered;
};

static void run(void *arg, size_t index) {
    struct race *race = arg;
    for (int i = 0; i < ROUNDS; i++) {
        hearth__place place;
        bool spare = (index + (size_t)i) % 5 == 0;
        if (!(spare ? hearth__limiter_enter_spare(limiter, &place)
                    : enter(&place, HEARTH__NEVER))) {
            continue;
        }
        int inside = atomic_fetch_add(&race->inside, 1) + 1;
        int most = atomic_load(&race->most);
        while (inside > most && !atomic_compare_exchange_weak(&race->most, &most, inside)) {
        }
        if (i % 7 == 0) {
            atomic_fetch_sub(&race->inside, 1);
            hearth__limiter_lend(limiter);
            hearth__limiter_take_back(limiter, HEARTH__NEVER);
            atomic_fetch_add(&race->inside, 1);
        }
        atomic_fetch_add(&race->entered, 1);
        atomic_fetch_sub(&race->inside, 1);
        hearth__limiter_leave(&place);
    }
}

static void never_more_than_so_many(void **state) {
    (void)state;
    struct race race = {0};
    make(PLACES);
    assert_true(crowd_run(RUNNERS, run, &race));
    assert_true(race.most <= PLACES);
    assert_true(race.entered >= RUNNERS * ROUNDS * 4 / 5); /* all that wait come in */
    assert_int_equal(hearth__limiter_running(limiter), 0);
}

/* ---- lent places ---- */

static void a_lent_place_is_another_s_meanwhile(void **state) {
    (void)state;
    hearth__place place;
    hearth__place inner;
    struct step other = {0};
    make(1);
    assert_true(enter(&place, 0));
    hearth__limiter_lend(limiter);
    assert_true(other_enters(&other));
    assert_true(enter(&inner, 0)); /* still inside */
    hearth__limiter_leave(&inner);
    hearth__limiter_leave(&other.place);
    hearth__limiter_take_back(limiter, HEARTH__NEVER);
    assert_false(other_enters(&other));
    hearth__limiter_leave(&place);
}

static void what_is_not_given_back_in_time_is_taken(void **state) {
    (void)state;
    hearth__place place;
    struct step other = {0};
    make(1);
    assert_true(enter(&place, 0));
    hearth__limiter_lend(limiter);
    assert_true(other_enters(&other));
    hearth__limiter_take_back(limiter, hearth__deadline_ns(1));
    assert_int_equal(hearth__limiter_running(limiter), 2);
    hearth__limiter_leave(&other.place);
    hearth__limiter_leave(&place);
    assert_int_equal(hearth__limiter_running(limiter), 0);
}

static void a_lent_place_can_be_left(void **state) {
    (void)state;
    hearth__place place;
    make(1);
    assert_true(enter(&place, 0));
    hearth__limiter_lend(limiter);
    hearth__limiter_leave(&place);
    hearth__limiter_take_back(limiter, HEARTH__NEVER);
    assert_int_equal(hearth__limiter_running(limiter), 0);
}

/* ---- a forked child ---- */

static void a_child_has_its_own_thread_s_places_only(void **state) {
    (void)state;
    hearth__place own;
    struct step other = {0};
    make(2);
    assert_true(other_enters(&other));
    assert_true(enter(&own, 0));
    pid_t child = fork();
    if (child == 0) {
        bool right = hearth__limiter_running(limiter) == 1;
        hearth__limiter_leave(&other.place); /* a parent's: says nothing here */
        right = right && hearth__limiter_running(limiter) == 1;
        hearth__limiter_leave(&own);
        right = right && hearth__limiter_running(limiter) == 0;
        _exit(right ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(hearth__limiter_running(limiter), 2);
    hearth__limiter_leave(&other.place);
    hearth__limiter_leave(&own);
}

/* A thread of the library's own, which holds fork() off. */
struct held {
    struct event begun;
    bool entered;
};

static void wait_as_a_worker(void *arg, size_t index) {
    struct held *held = arg;
    hearth__place place;
    (void)index;
    hearth__fork_hold();
    event_raise(&held->begun);
    held->entered = enter(&place, hearth__deadline_ns(10000));
    hearth__limiter_leave(&place);
    hearth__fork_release();
}

static void who_waits_for_a_place_holds_no_fork_off(void **state) {
    (void)state;
    hearth__place own;
    struct crowd crowd;
    struct held held = {.begun = EVENT_INIT};
    make(1);
    assert_true(enter(&own, 0));
    assert_true(crowd_start(&crowd, 1, wait_as_a_worker, &held));
    assert_true(event_await(&held.begun, 1));
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    hearth__limiter_leave(&own);
    crowd_join(&crowd);
    assert_true(held.entered); /* else fork() came back when it had given up */
    assert_int_equal(waitpid(child, NULL, 0), child);
}

#define WITH(test) cmocka_unit_test_teardown(test, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(so_many_have_a_place),
        WITH(without_a_limit_all_have),
        WITH(the_last_place_is_not_to_spare),
        WITH(the_only_place_is_while_nobody_wants_it),
        WITH(who_is_inside_needs_no_other_place),
        WITH(a_place_that_is_left_goes_to_who_waits),
        WITH(who_waits_in_vain_is_told_and_leaves_no_trace),
        WITH(a_lent_place_is_another_s_meanwhile),
        WITH(what_is_not_given_back_in_time_is_taken),
        WITH(a_lent_place_can_be_left),
        WITH(a_child_has_its_own_thread_s_places_only),
        WITH(who_waits_for_a_place_holds_no_fork_off),
        WITH(never_more_than_so_many),
    };
    return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
