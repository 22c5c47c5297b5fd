/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/breaker.h"

#include "base/random.h"

/*
 * The word:
 *
 *   bits 48 to 63   epoch: one more at every change of state, so that late reports are known as such
 *   bits 46 and 47  state
 *   bits 0 to 45    closed: failures in a row; else when the next probe may go, ms
 */
enum { STATE_AT = 46, EPOCH_AT = 48 };

#define NUMBER_MASK ((UINT64_C(1) << STATE_AT) - 1)

enum {
    PAUSE_MS =
        1250, /* the least between two probes: longer than a node's own between two connects */
    DOUBLINGS = 2, /* of the pause, while probes fail */
};

struct view {
    uint16_t epoch;
    enum hearth__breaker_state state;
    uint64_t number;
};

static struct view view_of(uint64_t word) {
    return (struct view){.epoch = (uint16_t)(word >> EPOCH_AT),
                         .state = (enum hearth__breaker_state)(word >> STATE_AT & 3),
                         .number = word & NUMBER_MASK};
}

static uint64_t word_of(uint16_t epoch, enum hearth__breaker_state state, uint64_t number) {
    return (uint64_t)epoch << EPOCH_AT | (uint64_t)state << STATE_AT | (number & NUMBER_MASK);
}

/* False: another thread was first; *word is what it left. */
static bool change(hearth__breaker *breaker, uint64_t *word, uint64_t next) {
    return atomic_compare_exchange_weak_explicit(&breaker->word, word, next,
                                                 memory_order_relaxed, memory_order_relaxed);
}

static uint64_t time_of(int64_t ms) {
    return ms > 0 ? (uint64_t)ms : 0;
}

/* Longer while probes fail, and not the same in all processes. */
static int64_t pause_ms(hearth__breaker *breaker) {
    uint32_t failed = atomic_load_explicit(&breaker->failed_probes, memory_order_relaxed);
    int64_t least_ms = (int64_t)PAUSE_MS << (failed < DOUBLINGS ? failed : DOUBLINGS);
    return least_ms + (int64_t)(hearth__random_u64() % (uint64_t)(least_ms / 2));
}

void hearth__breaker_init(hearth__breaker *breaker, uint32_t failures, int64_t probe_ms) {
    atomic_init(&breaker->word, 0);
    atomic_init(&breaker->failed_probes, 0);
    atomic_init(&breaker->answered_ms, INT64_MIN);
    breaker->failures = failures;
    breaker->probe_ms = probe_ms > PAUSE_MS ? probe_ms : PAUSE_MS;
}

hearth__breaker_pass hearth__breaker_ask(hearth__breaker *breaker, int64_t now_ms) {
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_relaxed);
    struct view view = view_of(word);
    if (view.state == HEARTH__BREAKER_CLOSED) {
        return (hearth__breaker_pass){.granted = true, .epoch = view.epoch, .began_ms = now_ms};
    }
    if (time_of(now_ms) < view.number) {
        return (hearth__breaker_pass){.granted = false};
    }
    uint16_t epoch = (uint16_t)(view.epoch + 1);
    uint64_t probing =
        word_of(epoch, HEARTH__BREAKER_HALF_OPEN, time_of(now_ms + breaker->probe_ms));
    bool first = atomic_compare_exchange_strong_explicit(
        &breaker->word, &word, probing, memory_order_relaxed, memory_order_relaxed);
    return (hearth__breaker_pass){
        .granted = first, .probe = first, .epoch = epoch, .began_ms = now_ms};
}

static uint64_t opened(hearth__breaker *breaker, uint16_t epoch, int64_t now_ms) {
    return word_of((uint16_t)(epoch + 1), HEARTH__BREAKER_OPEN,
                   time_of(now_ms + pause_ms(breaker)));
}

/* The probe's report: only one can have the epoch. */
static bool report_probe(hearth__breaker *breaker, uint64_t word,
                         enum hearth__breaker_outcome outcome, int64_t now_ms) {
    struct view view = view_of(word);
    if (outcome == HEARTH__BREAKER_SUCCESS) {
        atomic_store_explicit(&breaker->failed_probes, 0, memory_order_relaxed);
        uint64_t closed = word_of((uint16_t)(view.epoch + 1), HEARTH__BREAKER_CLOSED, 0);
        return atomic_compare_exchange_strong_explicit(
            &breaker->word, &word, closed, memory_order_relaxed, memory_order_relaxed);
    }
    if (outcome == HEARTH__BREAKER_FAILURE) {
        atomic_fetch_add_explicit(&breaker->failed_probes, 1, memory_order_relaxed);
    }
    (void)atomic_compare_exchange_strong_explicit(&breaker->word, &word,
                                                  opened(breaker, view.epoch, now_ms),
                                                  memory_order_relaxed, memory_order_relaxed);
    return false;
}

/* Two at once may leave the earlier one: a later one puts it right. */
static void note_answer(hearth__breaker *breaker, int64_t began_ms) {
    if (atomic_load_explicit(&breaker->answered_ms, memory_order_relaxed) < began_ms) {
        atomic_store_explicit(&breaker->answered_ms, began_ms, memory_order_relaxed);
    }
}

/* Whether the node has answered what was asked later. */
static bool is_overtaken(const hearth__breaker *breaker, hearth__breaker_pass pass) {
    return atomic_load_explicit(&breaker->answered_ms, memory_order_relaxed) > pass.began_ms;
}

static bool report_failure(hearth__breaker *breaker, uint64_t word, int64_t now_ms) {
    struct view view = view_of(word);
    uint16_t epoch = view.epoch;
    while (view.epoch == epoch) {
        bool last = view.number + 1 >= breaker->failures;
        uint64_t next = last ? opened(breaker, epoch, now_ms)
                             : word_of(epoch, HEARTH__BREAKER_CLOSED, view.number + 1);
        if (change(breaker, &word, next)) {
            return last;
        }
        view = view_of(word);
    }
    return false;
}

static void report_success(hearth__breaker *breaker, uint64_t word) {
    struct view view = view_of(word);
    uint16_t epoch = view.epoch;
    while (view.epoch == epoch && view.number != 0 &&
           !change(breaker, &word, word_of(epoch, HEARTH__BREAKER_CLOSED, 0))) {
        view = view_of(word);
    }
}

bool hearth__breaker_report(hearth__breaker *breaker, hearth__breaker_pass pass,
                            enum hearth__breaker_outcome outcome, int64_t now_ms) {
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_relaxed);
    if (!pass.granted || view_of(word).epoch != pass.epoch) {
        return false;
    }
    if (pass.probe) {
        return report_probe(breaker, word, outcome, now_ms);
    }
    if (outcome == HEARTH__BREAKER_FAILURE && breaker->failures != 0 &&
        !is_overtaken(breaker, pass)) {
        return report_failure(breaker, word, now_ms);
    }
    if (outcome == HEARTH__BREAKER_SUCCESS) {
        note_answer(breaker, pass.began_ms);
        report_success(breaker, word);
    }
    return false;
}

enum hearth__breaker_state hearth__breaker_state_of(const hearth__breaker *breaker) {
    return view_of(atomic_load_explicit(&breaker->word, memory_order_relaxed)).state;
}
