/* SPDX-License-Identifier: Apache-2.0 */
/* What the two loops see of a server that stands still, and how requests arrive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <hiredis/hiredis.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "generator.h"
#include "support/servers.h"

static const int64_t SECOND_NS = 1000000000;

static void sleep_ms(int64_t ms) {
    const struct timespec length = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&length, NULL);
}

/* calloc() does not know how they are to be aligned. */
static struct generator_seat *make_seats(size_t count) {
    struct generator_seat *seats =
        aligned_alloc(alignof(struct generator_seat), count * sizeof *seats);
    assert_non_null(seats);
    memset(seats, 0, count * sizeof *seats);
    return seats;
}

static uint64_t answers_of(struct generator_seat *seat, enum generator_answer answer) {
    return atomic_load(&seat->answers[answer]);
}

static void await_answers(struct generator_seat *seat, enum generator_answer answer,
                          uint64_t count) {
    while (answers_of(seat, answer) < count) {
        assert_int_equal(answers_of(seat, GENERATOR_WRONG), 0);
        sleep_ms(1);
    }
}

/* ---- a server that stands still ---------------------------------------------------------- */

static enum generator_answer ping(void *arg, unsigned thread, uint64_t count, int64_t at_ns) {
    (void)thread;
    (void)count;
    (void)at_ns;
    redisReply *reply = redisCommand(arg, "PING");
    bool right = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return right ? GENERATOR_REMOTE : GENERATOR_WRONG;
}

enum { ASKED = 2000, RATE = 2000 };

/* One thread of each kind at once, before and after a second without answers. */
static void the_open_loop_sees_a_stopped_second_and_the_closed_one_does_not(void **state) {
    (void)state;
    struct servers servers;
    struct generator_seat *seats = make_seats(2);
    struct generator loops[2];
    assert_int_equal(servers_open(&servers), 0);
    assert_int_equal(servers_start(&servers, SERVER_REDIS, SERVER_UNIX, NULL), 0);
    int64_t begin_ns = hearth__monotonic_ns();
    for (size_t i = 0; i < 2; i++) {
        loops[i] = (struct generator){.ask = ping,
                                      .arg = redisConnectUnix(servers.nodes[0].path),
                                      .threads = 1,
                                      .rate = i == 0 ? 0 : RATE,
                                      .seats = &seats[i],
                                      .begin_ns = begin_ns,
                                      .from_ns = begin_ns,
                                      .until_ns = INT64_MAX};
        assert_non_null(loops[i].arg);
        assert_int_equal(generator_start(&loops[i]), 0);
    }
    await_answers(&seats[0], GENERATOR_REMOTE, ASKED);
    assert_int_equal(servers_pause(&servers, 0), 0);
    sleep_ms(1000);
    assert_int_equal(servers_resume(&servers, 0), 0);
    await_answers(&seats[0], GENERATOR_REMOTE,
                  answers_of(&seats[0], GENERATOR_REMOTE) + ASKED / 10);
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&loops[i].until_ns, hearth__monotonic_ns());
        generator_join(&loops[i]);
        redisFree(loops[i].arg);
    }
    servers_stop(&servers);
    /* Both had a request under way; only the open one had more. */
    assert_true(latency_percentile(&seats[0].latency, 100) > (uint64_t)SECOND_NS * 9 / 10);
    assert_true(latency_percentile(&seats[1].latency, 100) > (uint64_t)SECOND_NS * 9 / 10);
    assert_true(latency_percentile(&seats[0].latency, 99.9) < (uint64_t)SECOND_NS / 4);
    assert_true(latency_percentile(&seats[1].latency, 99.9) > (uint64_t)SECOND_NS * 9 / 10);
    /* A request that fell due at a random moment of it waited for half of it. */
    assert_true(latency_percentile(&seats[1].latency, 90) > (uint64_t)SECOND_NS / 10);
    free(seats);
}

/* ---- arrivals ---------------------------------------------------------------------------- */

enum { TICKS = 20000 };

struct diary {
    int64_t at_ns[2][TICKS];
    uint64_t counts[2];
};

static enum generator_answer note(void *arg, unsigned thread, uint64_t count, int64_t at_ns) {
    struct diary *diary = arg;
    if (count >= TICKS) {
        return GENERATOR_WRONG;
    }
    diary->at_ns[thread - 7][count] = at_ns;
    diary->counts[thread - 7] = count + 1;
    return GENERATOR_LOCAL;
}

/* All are due at once: a begin that lies back. So the times are those of the process itself. */
static void arrivals_are_those_of_a_poisson_process(void **state) {
    (void)state;
    struct diary *diary = calloc(1, sizeof *diary);
    struct generator_seat *seats = make_seats(2);
    assert_non_null(diary);
    const int64_t begin_ns = hearth__monotonic_ns() - 10 * SECOND_NS;
    struct generator generator = {.ask = note,
                                  .arg = diary,
                                  .threads = 2,
                                  .first = 7,
                                  .rate = 2000,
                                  .seed = 5,
                                  .seats = seats,
                                  .begin_ns = begin_ns,
                                  .from_ns = begin_ns + SECOND_NS,
                                  .until_ns = INT64_MAX};
    assert_int_equal(generator_start(&generator), 0);
    await_answers(&seats[0], GENERATOR_LOCAL, 9500);
    await_answers(&seats[1], GENERATOR_LOCAL, 9500);
    atomic_store(&generator.until_ns, hearth__monotonic_ns());
    generator_join(&generator);
    for (size_t i = 0; i < 2; i++) {
        double sum = 0;
        double squares = 0;
        size_t gaps = 9000; /* of some 10,000 in 10 s */
        assert_true(diary->counts[i] > gaps + 1);
        for (size_t at = 0; at < gaps; at++) {
            double gap = (double)(diary->at_ns[i][at + 1] - diary->at_ns[i][at]) / 1e6;
            sum += gap;
            squares += gap * gap;
        }
        double mean = sum / (double)gaps;
        /* 1,000 a second; mean and deviation of the exponential distribution are the same. */
        assert_true(fabs(mean - 1) < 0.05);
        assert_true(fabs(sqrt(squares / (double)gaps - mean * mean) - 1) < 0.1);
        assert_int_equal(answers_of(&seats[i], GENERATOR_WRONG), 0);
        assert_int_equal(answers_of(&seats[i], GENERATOR_LOCAL), diary->counts[i]);
        /* Those of the first second are not kept, the others are, with what they waited; so are those
         * that a slow machine had not begun by the end. */
        uint64_t kept = seats[i].latency.count - seats[i].unbegun;
        assert_true(kept > 8000 && kept + 800 < diary->counts[i]);
        assert_true(latency_percentile(&seats[i].latency, 50) > (uint64_t)SECOND_NS);
    }
    /* Not the same arrivals. */
    assert_memory_not_equal(diary->at_ns[0], diary->at_ns[1], sizeof diary->at_ns[0]);
    free(diary);
    free(seats);
}

static enum generator_answer dawdle(void *arg, unsigned thread, uint64_t count, int64_t at_ns) {
    (void)arg;
    (void)thread;
    (void)count;
    (void)at_ns;
    sleep_ms(50);
    return GENERATOR_LOCAL;
}

/* 1,000 a second, of which one thread gets 20 done. */
static void what_was_not_begun_at_the_end_counts(void **state) {
    (void)state;
    static struct generator_seat seat;
    int64_t begin_ns = hearth__monotonic_ns();
    struct generator generator = {.ask = dawdle,
                                  .threads = 1,
                                  .rate = 1000,
                                  .seats = &seat,
                                  .begin_ns = begin_ns,
                                  .from_ns = begin_ns,
                                  .until_ns = begin_ns + SECOND_NS / 5};
    assert_int_equal(generator_start(&generator), 0);
    generator_join(&generator);
    uint64_t begun = answers_of(&seat, GENERATOR_LOCAL);
    assert_true(begun <= 5);
    assert_true(seat.unbegun > 100);
    assert_int_equal(seat.latency.count, begun + seat.unbegun);
    assert_true(latency_percentile(&seat.latency, 50) > 50000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_open_loop_sees_a_stopped_second_and_the_closed_one_does_not),
        cmocka_unit_test(arrivals_are_those_of_a_poisson_process),
        cmocka_unit_test(what_was_not_begun_at_the_end_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
