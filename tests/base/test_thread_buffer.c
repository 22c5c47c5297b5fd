/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's own buffer: kept from call to call, freed with the thread. */
#include "base/thread_buffer.h"
#include "support/crowd.h"
#include "support/failing_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 8 };

static pthread_key_t last_words;

/* What the threads of a test saw. */
struct notes {
    _Atomic int fresh;  /* began without a buffer */
    _Atomic int kept;   /* got back what they had put */
    _Atomic int own;    /* and what they had written into it */
    _Atomic int larger; /* of two, the larger one stayed */
    _Atomic int at_end; /* used it once more while they ended */
};

static void use(void *arg, size_t index) {
    struct notes *notes = arg;
    hearth__buffer first = hearth__thread_buffer_take();
    atomic_fetch_add(&notes->fresh, first.capacity == 0 && first.data == NULL);
    if (!hearth__buffer_assign(&first, &index, sizeof index)) {
        return;
    }
    const unsigned char *data = first.data;
    hearth__thread_buffer_put(&first);
    hearth__buffer again = hearth__thread_buffer_take();
    atomic_fetch_add(&notes->kept, again.data == data && first.data == NULL);
    atomic_fetch_add(&notes->own, memcmp(again.data, &index, sizeof index) == 0);
    hearth__buffer inner = hearth__thread_buffer_take(); /* a call within the call */
    bool was_empty = inner.capacity == 0;
    if (!hearth__buffer_reserve(&inner, 10000)) {
        return;
    }
    hearth__thread_buffer_put(&inner);
    hearth__thread_buffer_put(&again);
    hearth__buffer largest = hearth__thread_buffer_take();
    atomic_fetch_add(&notes->larger, was_empty && largest.capacity >= 10000);
    hearth__thread_buffer_put(&largest);
    (void)pthread_setspecific(last_words, notes);
}

/* Others' ends of a thread come before and after ours. */
static void use_at_end(void *arg) {
    struct notes *notes = arg;
    hearth__buffer bytes = hearth__thread_buffer_take();
    atomic_fetch_add(&notes->at_end, hearth__buffer_reserve(&bytes, 20000));
    hearth__thread_buffer_put(&bytes);
}

static void each_thread_has_its_own(void **state) {
    (void)state;
    struct notes notes = {0};
    assert_int_equal(pthread_key_create(&last_words, use_at_end), 0);
    assert_true(crowd_run(THREADS, use, &notes));
    assert_int_equal(pthread_key_delete(last_words), 0);
    assert_int_equal(atomic_load(&notes.fresh), THREADS);
    assert_int_equal(atomic_load(&notes.kept), THREADS);
    assert_int_equal(atomic_load(&notes.own), THREADS);
    assert_int_equal(atomic_load(&notes.larger), THREADS);
    assert_int_equal(atomic_load(&notes.at_end), THREADS);
    assert_int_equal(failing_memory_blocks(), 0);
}

static void an_empty_one_may_be_put(void **state) {
    (void)state;
    hearth__buffer none = {0};
    hearth__thread_buffer_put(&none);
    none = hearth__thread_buffer_take();
    assert_true(none.data == NULL && none.capacity == 0);
    assert_int_equal(failing_memory_blocks(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_may_be_put),
        cmocka_unit_test(each_thread_has_its_own),
    };
    return cmocka_run_group_tests_name("thread buffer", tests, NULL, NULL);
}
