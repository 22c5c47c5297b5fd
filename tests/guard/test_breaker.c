/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker: by hand, against a plain model through all orders of events, and from many threads,
 * over simulated time. */
#include "guard/breaker.h"

#include "support/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
/* cmocka.h needs stdarg, stddef and setjmp before it. */
#include <cmocka.h>

#define CLOSED    HEARTH__BREAKER_CLOSED
#define OPEN      HEARTH__BREAKER_OPEN
#define HALF_OPEN HEARTH__BREAKER_HALF_OPEN
#define SUCCESS   HEARTH__BREAKER_SUCCESS
#define FAILURE   HEARTH__BREAKER_FAILURE
#define NOTHING   HEARTH__BREAKER_NOTHING

enum {
    PROBE_MS = 3000,
    LEAST_MS = 1250, /* between two probes */
};

#define BEGIN_MS INT64_C(1000000)

/* ---- by hand -------------------------------------------------------------------------------- */

/* A call that is let through and ends at once. */
static bool call(hearth__breaker *breaker, enum hearth__breaker_outcome outcome,
                 int64_t now_ms) {
    hearth__breaker_pass pass = hearth__breaker_ask(breaker, now_ms);
    assert_true(pass.granted);
    return hearth__breaker_report(breaker, pass, outcome, now_ms);
}

static bool refuses(hearth__breaker *breaker, int64_t now_ms) {
    return !hearth__breaker_ask(breaker, now_ms).granted;
}

static hearth__breaker open_breaker(uint32_t failures) {
    hearth__breaker breaker;
    hearth__breaker_init(&breaker, failures, PROBE_MS);
    for (uint32_t i = 0; i < failures; i++) {
        assert_int_equal(call(&breaker, FAILURE, BEGIN_MS), i + 1 == failures);
    }
    assert_int_equal(hearth__breaker_state_of(&breaker), OPEN);
    return breaker;
}

/* All sequences of 12 outcomes: it opens by the first so many failures in a row, not sooner. */
static void failures_in_a_row_open_it(void **state) {
    (void)state;
    enum { LENGTH = 12 };
    for (uint32_t failures = 1; failures <= 5; failures++) {
        for (unsigned outcomes = 0; outcomes < 1u << LENGTH; outcomes++) {
            hearth__breaker breaker;
            hearth__breaker_init(&breaker, failures, PROBE_MS);
            uint32_t in_a_row = 0;
            for (unsigned i = 0; i < LENGTH && in_a_row < failures; i++) {
                bool fails = (outcomes >> i & 1) != 0;
                in_a_row = fails ? in_a_row + 1 : 0;
                bool opens = call(&breaker, fails ? FAILURE : SUCCESS, BEGIN_MS);
                assert_int_equal(opens, in_a_row == failures);
                assert_int_equal(hearth__breaker_state_of(&breaker), opens ? OPEN : CLOSED);
            }
        }
    }
}

static void what_says_nothing_counts_neither_way(void **state) {
    (void)state;
    hearth__breaker breaker;
    hearth__breaker_init(&breaker, 3, PROBE_MS);
    (void)call(&breaker, FAILURE, BEGIN_MS);
    (void)call(&breaker, FAILURE, BEGIN_MS);
    assert_false(call(&breaker, NOTHING, BEGIN_MS));
    assert_int_equal(hearth__breaker_state_of(&breaker), CLOSED);
    assert_true(call(&breaker, FAILURE, BEGIN_MS));
}

static void with_0_failures_it_never_opens(void **state) {
    (void)state;
    hearth__breaker breaker;
    hearth__breaker_init(&breaker, 0, PROBE_MS);
    for (int i = 0; i < 100000; i++) {
        assert_false(call(&breaker, FAILURE, BEGIN_MS));
    }
    assert_int_equal(hearth__breaker_state_of(&breaker), CLOSED);
}

/* From an opening or a failed probe on: when the next one is let through. */
static int64_t next_probe_ms(hearth__breaker *breaker, int64_t from_ms,
                             hearth__breaker_pass *pass) {
    int64_t now_ms = from_ms;
    do {
        *pass = hearth__breaker_ask(breaker, ++now_ms);
    } while (!pass->granted);
    assert_true(pass->probe);
    assert_int_equal(hearth__breaker_state_of(breaker), HALF_OPEN);
    return now_ms;
}

static void a_probe_that_succeeds_closes_it(void **state) {
    (void)state;
    hearth__breaker breaker = open_breaker(5);
    hearth__breaker_pass probe;
    int64_t now_ms = next_probe_ms(&breaker, BEGIN_MS, &probe);
    assert_in_range(now_ms - BEGIN_MS, LEAST_MS, LEAST_MS + LEAST_MS / 2);
    assert_true(refuses(&breaker, now_ms)); /* it is the only one */
    assert_true(hearth__breaker_report(&breaker, probe, SUCCESS, now_ms + 10));
    assert_int_equal(hearth__breaker_state_of(&breaker), CLOSED);
    for (int i = 0; i < 4; i++) { /* and all begins anew */
        assert_false(call(&breaker, FAILURE, now_ms + 10));
    }
    assert_true(call(&breaker, FAILURE, now_ms + 10));
}

/* Later and later, to a bound, and not all processes at once. */
static void probes_back_off(void **state) {
    (void)state;
    static const int64_t least_ms[] = {1250, 2500, 5000, 5000, 5000};
    int64_t first_pauses[64];
    int64_t different = 0;
    for (size_t i = 0; i < 64; i++) {
        hearth__breaker breaker = open_breaker(1);
        int64_t from_ms = BEGIN_MS;
        for (size_t round = 0; round < sizeof least_ms / sizeof least_ms[0]; round++) {
            hearth__breaker_pass probe;
            int64_t now_ms = next_probe_ms(&breaker, from_ms, &probe);
            int64_t pause_ms = now_ms - from_ms;
            assert_in_range(pause_ms, least_ms[round], least_ms[round] * 3 / 2);
            first_pauses[i] = round == 0 ? pause_ms : first_pauses[i];
            from_ms = now_ms + 50;
            assert_false(hearth__breaker_report(&breaker, probe, FAILURE, from_ms));
            assert_int_equal(hearth__breaker_state_of(&breaker), OPEN);
        }
        different += first_pauses[i] != first_pauses[0];
    }
    assert_true(different > 32);
}

/* After a success the next pause is the first again. */
static void a_success_ends_the_back_off(void **state) {
    (void)state;
    hearth__breaker breaker = open_breaker(1);
    hearth__breaker_pass probe;
    int64_t now_ms = BEGIN_MS;
    for (int i = 0; i < 3; i++) {
        now_ms = next_probe_ms(&breaker, now_ms, &probe);
        (void)hearth__breaker_report(&breaker, probe, i < 2 ? FAILURE : SUCCESS, now_ms);
    }
    assert_true(call(&breaker, FAILURE, now_ms));
    assert_in_range(next_probe_ms(&breaker, now_ms, &probe) - now_ms, LEAST_MS,
                    LEAST_MS * 3 / 2);
}

/* Its caller may be gone for good, with a fork for example. */
static void a_probe_that_is_never_reported_is_given_up(void **state) {
    (void)state;
    hearth__breaker breaker = open_breaker(1);
    hearth__breaker_pass lost;
    hearth__breaker_pass second;
    int64_t now_ms = next_probe_ms(&breaker, BEGIN_MS, &lost);
    assert_int_equal(next_probe_ms(&breaker, now_ms, &second) - now_ms, PROBE_MS);
    assert_false(hearth__breaker_report(&breaker, lost, SUCCESS, now_ms + PROBE_MS));
    assert_int_equal(hearth__breaker_state_of(&breaker), HALF_OPEN);
    assert_true(hearth__breaker_report(&breaker, second, SUCCESS, now_ms + PROBE_MS));
}

static void what_began_before_says_nothing_afterwards(void **state) {
    (void)state;
    hearth__breaker breaker;
    hearth__breaker_init(&breaker, 1, PROBE_MS);
    hearth__breaker_pass early = hearth__breaker_ask(&breaker, BEGIN_MS);
    hearth__breaker_pass late = hearth__breaker_ask(&breaker, BEGIN_MS);
    assert_true(call(&breaker, FAILURE, BEGIN_MS));
    assert_false(hearth__breaker_report(&breaker, early, SUCCESS, BEGIN_MS));
    assert_int_equal(hearth__breaker_state_of(&breaker), OPEN);
    hearth__breaker_pass probe;
    int64_t now_ms = next_probe_ms(&breaker, BEGIN_MS, &probe);
    assert_true(hearth__breaker_report(&breaker, probe, SUCCESS, now_ms));
    assert_false(hearth__breaker_report(&breaker, late, FAILURE, now_ms));
    assert_int_equal(hearth__breaker_state_of(&breaker), CLOSED);
}

/* A call that took 50 ms for nothing, the calls that were answered meanwhile, and whether it counts. */
static void what_was_overtaken_does_not_count(void **state) {
    (void)state;
    static const struct {
        int64_t began_ms; /* after the call that fails; none: so many before it */
        bool counts;
    } answered[] = {{-1, true}, {0, true}, {1, false}, {49, false}};
    for (size_t i = 0; i < sizeof answered / sizeof answered[0]; i++) {
        hearth__breaker breaker;
        hearth__breaker_init(&breaker, 1, PROBE_MS);
        hearth__breaker_pass slow = hearth__breaker_ask(&breaker, BEGIN_MS);
        (void)call(&breaker, SUCCESS, BEGIN_MS + answered[i].began_ms);
        (void)call(&breaker, SUCCESS, BEGIN_MS - 1);
        assert_int_equal(hearth__breaker_report(&breaker, slow, FAILURE, BEGIN_MS + 50),
                         answered[i].counts);
    }
}

/* All that wait behind one late answer fail at once. */
static void many_on_one_slow_connection_do_not_open_it(void **state) {
    (void)state;
    enum { WAITING = 64 };
    hearth__breaker breaker;
    hearth__breaker_pass waiting[WAITING];
    hearth__breaker_init(&breaker, 5, PROBE_MS);
    for (size_t i = 0; i < WAITING; i++) {
        waiting[i] = hearth__breaker_ask(&breaker, BEGIN_MS);
    }
    (void)call(&breaker, SUCCESS, BEGIN_MS + 10);
    for (size_t i = 0; i < WAITING; i++) {
        assert_false(hearth__breaker_report(&breaker, waiting[i], FAILURE, BEGIN_MS + 50));
    }
    for (int i = 0; i < 4; i++) { /* nor do they count with those that come after */
        assert_false(call(&breaker, FAILURE, BEGIN_MS + 50));
    }
    assert_true(call(&breaker, FAILURE, BEGIN_MS + 50));
}

/* In memory that cannot be written: neither a healthy node nor an open one is written to, but once a ms. */
static void the_usual_ways_write_nothing(void **state) {
    (void)state;
    hearth__breaker *breaker =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(breaker != MAP_FAILED);
    hearth__breaker_init(breaker, 1, PROBE_MS);
    (void)call(breaker, SUCCESS, BEGIN_MS);
    assert_int_equal(mprotect(breaker, 4096, PROT_READ), 0);
    for (int i = 0; i < 1000; i++) {
        (void)call(breaker, SUCCESS, BEGIN_MS - i);
        (void)call(breaker, NOTHING, BEGIN_MS + i);
    }
    assert_int_equal(mprotect(breaker, 4096, PROT_READ | PROT_WRITE), 0);
    assert_true(call(breaker, FAILURE, BEGIN_MS));
    assert_int_equal(mprotect(breaker, 4096, PROT_READ), 0);
    for (int i = 0; i < LEAST_MS; i++) {
        assert_true(refuses(breaker, BEGIN_MS + i));
    }
    assert_int_equal(munmap(breaker, 4096), 0);
}

/* ---- all orders of events ------------------------------------------------------------------- */

enum { FAILURES = 2, PASSES = 3 };

/* A call under way, as the model knows it. */
struct under_way {
    bool exists;
    unsigned phase; /* of the model, when it was let through */
    bool probe;
    int64_t began_ms;
    hearth__breaker_pass pass;
};

/* What the breaker should be, in plain words, and the breaker. */
struct model {
    enum hearth__breaker_state state;
    unsigned phase; /* one more at every change of state */
    unsigned failures;
    unsigned failed_probes;
    int64_t now_ms;
    int64_t earliest_ms; /* of the next probe */
    int64_t latest_ms;
    int64_t last_probe_ms;
    int64_t answered_ms; /* when the latest call began that was answered */
    struct under_way calls[PASSES];
    uint64_t word;
    uint32_t word_failed_probes;
    int64_t word_answered_ms;
};

static hearth__breaker walked;
static uint64_t walks;

static void turn(struct model *model, enum hearth__breaker_state state) {
    model->state = state;
    model->phase++;
    model->failures = 0;
}

static void model_open(struct model *model) {
    int64_t least_ms = LEAST_MS << (model->failed_probes < 2 ? model->failed_probes : 2);
    turn(model, OPEN);
    model->earliest_ms = model->now_ms + least_ms;
    model->latest_ms = model->now_ms + least_ms * 3 / 2;
}

/* What an ask must answer; -1: refused, 0: granted, 1: a probe, 2: either, by chance. */
static int model_ask(const struct model *model) {
    if (model->state == CLOSED) {
        return 0;
    }
    if (model->now_ms < model->earliest_ms) {
        return -1;
    }
    return model->now_ms >= model->latest_ms ? 1 : 2;
}

static void ask(struct model *model) {
    int expected = model_ask(model);
    hearth__breaker_pass pass = hearth__breaker_ask(&walked, model->now_ms);
    int answered = pass.granted ? pass.probe : -1;
    assert_true(answered == expected || (expected == 2 && answered != 0));
    if (!pass.granted) {
        return;
    }
    if (pass.probe) {
        assert_true(model->now_ms - model->last_probe_ms >= LEAST_MS);
        model->last_probe_ms = model->now_ms;
        turn(model, HALF_OPEN);
        model->earliest_ms = model->latest_ms = model->now_ms + PROBE_MS;
    }
    for (size_t i = 0; i < PASSES; i++) {
        if (!model->calls[i].exists) {
            model->calls[i] =
                (struct under_way){true, model->phase, pass.probe, model->now_ms, pass};
            return;
        }
    }
}

static bool model_report(struct model *model, const struct under_way *call,
                         enum hearth__breaker_outcome outcome) {
    if (call->phase != model->phase) {
        return false;
    }
    if (call->probe && outcome == SUCCESS) {
        model->failed_probes = 0;
        turn(model, CLOSED);
        return true;
    }
    if (call->probe) {
        model->failed_probes += outcome == FAILURE;
        model_open(model);
        return false;
    }
    if (outcome == SUCCESS) {
        model->failures = 0;
        model->answered_ms =
            call->began_ms > model->answered_ms ? call->began_ms : model->answered_ms;
    }
    model->failures += outcome == FAILURE && model->answered_ms <= call->began_ms;
    if (model->failures == FAILURES) {
        model_open(model);
        return true;
    }
    return false;
}

static void report(struct model *model, size_t i, enum hearth__breaker_outcome outcome) {
    struct under_way call = model->calls[i];
    model->calls[i].exists = false;
    bool changes = hearth__breaker_report(&walked, call.pass, outcome, model->now_ms);
    assert_int_equal(changes, model_report(model, &call, outcome));
}

/* Event number `event`, if it can happen now. */
static bool happen(struct model *model, unsigned event) {
    enum { ASK, JUST_BEFORE, AT_LAST, REPORTS };
    if (event == ASK) {
        ask(model);
        return true;
    }
    if (event == JUST_BEFORE && model->state == CLOSED) {
        model->now_ms++;
        return true;
    }
    if (event == JUST_BEFORE || event == AT_LAST) {
        int64_t to_ms = event == JUST_BEFORE ? model->earliest_ms - 1 : model->latest_ms;
        bool later = model->state != CLOSED && to_ms > model->now_ms;
        model->now_ms = later ? to_ms : model->now_ms;
        return later;
    }
    size_t call = (event - REPORTS) / 3;
    if (!model->calls[call].exists) {
        return false;
    }
    report(model, call, (enum hearth__breaker_outcome)((event - REPORTS) % 3));
    return true;
}

enum { EVENTS = 3 + 3 * PASSES };

/* NOLINTNEXTLINE(misc-no-recursion) as deep as its second argument */
static void walk(const struct model *model, unsigned depth) {
    for (unsigned event = 0; depth != 0 && event < EVENTS; event++) {
        struct model next = *model;
        atomic_store(&walked.word, model->word);
        atomic_store(&walked.failed_probes, model->word_failed_probes);
        atomic_store(&walked.answered_ms, model->word_answered_ms);
        if (!happen(&next, event)) {
            continue;
        }
        assert_int_equal(hearth__breaker_state_of(&walked), next.state);
        next.word = atomic_load(&walked.word);
        next.word_failed_probes = atomic_load(&walked.failed_probes);
        next.word_answered_ms = atomic_load(&walked.answered_ms);
        walks++;
        walk(&next, depth - 1);
    }
}

static void it_is_what_the_model_says_in_every_order(void **state) {
    (void)state;
    struct model model = {.now_ms = BEGIN_MS,
                          .last_probe_ms = INT64_MIN / 2,
                          .answered_ms = INT64_MIN,
                          .word_answered_ms = INT64_MIN};
    walks = 0;
    hearth__breaker_init(&walked, FAILURES, PROBE_MS);
    walk(&model, getenv("HEARTH_LONG") != NULL ? 11 : 9);
    /* From where it is open, and from where a probe is under way. */
    for (int i = 0; i < 2; i++) {
        struct model open = model;
        hearth__breaker_init(&walked, FAILURES, PROBE_MS);
        ask(&open);
        ask(&open);
        report(&open, 0, FAILURE);
        report(&open, 1, FAILURE);
        open.now_ms = i == 0 ? open.now_ms : open.latest_ms;
        ask(&open);
        open.word = atomic_load(&walked.word);
        open.word_answered_ms = atomic_load(&walked.answered_ms);
        walk(&open, getenv("HEARTH_LONG") != NULL ? 11 : 9);
    }
    print_message("%llu events\n", (unsigned long long)walks);
    assert_true(walks > 100000);
}

/* ---- many threads --------------------------------------------------------------------------- */

enum { THREADS = 8, LIMIT = 5, ROUNDS = 40, PROBES_MAX = 65536 };

/* A node that is up or down, and a clock that each call moves on by a millisecond. */
struct town {
    hearth__breaker breaker;
    _Atomic int64_t now_ms;
    _Atomic bool up;
    _Atomic bool over;
    _Atomic uint64_t granted; /* while the node was down */
    _Atomic uint32_t probes;
    int64_t probes_ms[PROBES_MAX];
    _Atomic uint32_t opened;
    _Atomic uint32_t closed;
};

static void keep_calling(void *arg, size_t index) {
    struct town *town = arg;
    (void)index;
    while (!atomic_load(&town->over)) {
        int64_t now_ms = atomic_fetch_add(&town->now_ms, 1);
        hearth__breaker_pass pass = hearth__breaker_ask(&town->breaker, now_ms);
        if (!pass.granted) {
            continue;
        }
        bool up = atomic_load(&town->up);
        if (pass.probe) {
            uint32_t at = atomic_fetch_add(&town->probes, 1);
            if (at < PROBES_MAX) { /* a slow machine makes more */
                town->probes_ms[at] = now_ms;
            }
        } else if (!up) {
            atomic_fetch_add(&town->granted, 1);
        }
        if (hearth__breaker_report(&town->breaker, pass, up ? SUCCESS : FAILURE, now_ms)) {
            atomic_fetch_add(up ? &town->closed : &town->opened, 1);
        }
    }
}

struct wanted {
    struct town *town;
    enum hearth__breaker_state state;
    int64_t until_ms;
};

static bool is_wanted(void *arg) {
    const struct wanted *wanted = arg;
    return wanted->until_ms != 0
               ? atomic_load(&wanted->town->now_ms) >= wanted->until_ms
               : hearth__breaker_state_of(&wanted->town->breaker) == wanted->state;
}

static void await_state(struct town *town, enum hearth__breaker_state state) {
    struct wanted wanted = {town, state, 0};
    assert_true(await_until(is_wanted, &wanted));
}

static void await_ms(struct town *town, int64_t ms) {
    struct wanted wanted = {town, OPEN, atomic_load(&town->now_ms) + ms};
    assert_true(await_until(is_wanted, &wanted));
}

static int by_time(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Threads wrote them down in any order; where there is no room for all, the first ones. */
static void check_probes(struct town *town) {
    uint32_t count = town->probes < PROBES_MAX ? town->probes : PROBES_MAX;
    assert_true(count >= ROUNDS * 4);
    qsort(town->probes_ms, count, sizeof town->probes_ms[0], by_time);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(town->probes_ms[i] - town->probes_ms[i - 1] >= LEAST_MS);
    }
}

static void many_threads_agree(void **state) {
    (void)state;
    static struct town town;
    static struct crowd crowd;
    memset(&town, 0, sizeof town);
    hearth__breaker_init(&town.breaker, LIMIT, PROBE_MS);
    atomic_store(&town.now_ms, BEGIN_MS);
    atomic_store(&town.up, true);
    assert_true(crowd_start(&crowd, THREADS, keep_calling, &town));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        atomic_store(&town.up, false);
        await_state(&town, OPEN);
        uint64_t granted = atomic_load(&town.granted);
        await_ms(&town,
                 20000); /* no call goes there but probes, and those that were under way */
        assert_true(atomic_load(&town.granted) <= granted + THREADS);
        atomic_store(&town.up, true);
        await_state(&town, CLOSED);
    }
    atomic_store(&town.over, true);
    crowd_join(&crowd);
    assert_int_equal(town.opened, ROUNDS);
    assert_int_equal(town.closed, ROUNDS);
    check_probes(&town);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it),
        cmocka_unit_test(what_says_nothing_counts_neither_way),
        cmocka_unit_test(with_0_failures_it_never_opens),
        cmocka_unit_test(a_probe_that_succeeds_closes_it),
        cmocka_unit_test(probes_back_off),
        cmocka_unit_test(a_success_ends_the_back_off),
        cmocka_unit_test(a_probe_that_is_never_reported_is_given_up),
        cmocka_unit_test(what_began_before_says_nothing_afterwards),
        cmocka_unit_test(what_was_overtaken_does_not_count),
        cmocka_unit_test(many_on_one_slow_connection_do_not_open_it),
        cmocka_unit_test(the_usual_ways_write_nothing),
        cmocka_unit_test(it_is_what_the_model_says_in_every_order),
        cmocka_unit_test(many_threads_agree),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
