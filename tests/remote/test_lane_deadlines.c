/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that share one connection, each with a deadline of its own: who is impatient harms nobody
 * else, who drives the connection and does not come back keeps nobody, and signals change nothing.
 *
 * What is measured (HEARTH_LONG) is printed beside what a thread sees that only sleeps.
 */
#include "remote/faulty_node.h"

#include "base/clock.h"
#include "support/crowd.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

enum { CROWD = 64, SHORT_MS = 1 };

/* A read by a thread of its own. */
struct reader {
    struct faulty_node *node;
    int64_t deadline_ms;
    pthread_t thread;
    int64_t late_ns; /* beyond the deadline */
    int32_t status;
    bool right;
    _Atomic bool done;
    char key[16];
};

static void read_own(struct reader *own) {
    hearth__buffer body = {0};
    hearth__remote_op op = faulty_op(own->node, HEARTH__GET, own->key, NULL);
    op.body = &body;
    int64_t deadline_ns = hearth__deadline_ns(own->deadline_ms);
    hearth__remote_execute(own->node->remote, &op, 1, deadline_ns);
    own->late_ns = hearth__monotonic_ns() - deadline_ns;
    own->status = op.status;
    own->right = body.size == strlen(own->key) && memcmp(body.data, own->key, body.size) == 0;
    hearth__buffer_fini(&body);
    atomic_store(&own->done, true);
}

static void *be_reader(void *arg) {
    read_own(arg);
    return NULL;
}

/* Every reader's key holds its name. */
static void store_keys(struct faulty_node *node, struct reader *readers, size_t count,
                       int64_t deadline_ms) {
    for (size_t i = 0; i < count; i++) {
        readers[i] = (struct reader){.node = node, .deadline_ms = deadline_ms};
        snprintf(readers[i].key, sizeof readers[i].key, "key-%zu", i);
        faulty_expect(node, faulty_op(node, HEARTH__SET, readers[i].key, readers[i].key),
                      HEARTH_OK, "set");
    }
}

static void start(struct reader *reader) {
    atomic_store(&reader->done, false);
    assert_int_equal(pthread_create(&reader->thread, NULL, be_reader, reader), 0);
}

static void expect_right(const struct reader *readers, size_t first, size_t count) {
    for (size_t i = first; i < count; i++) {
        if (readers[i].status != HEARTH_OK || !readers[i].right) {
            fail_msg("%s, %s: %s", faulty_name(readers[i].node), readers[i].key,
                     hearth_status_name(readers[i].status));
        }
    }
}

/* ---- the impatient -------------------------------------------------------------------------- */

/* The first of `readers` is the impatient one; the others begin before it or after it, while the
 * server's answers are held back until it has given up. */
static void be_impatient(struct faulty_node *node, struct reader *readers, bool drives) {
    uint64_t seen = proxy_seen(node->proxy, PROXY_TO_SERVER);
    proxy_hold(node->proxy, PROXY_TO_CLIENT);
    start(&readers[drives ? 0 : 1]);
    assert_true(proxy_await_seen(node->proxy, PROXY_TO_SERVER, seen + 1));
    for (size_t i = drives ? 1 : 2; i < CROWD; i++) {
        start(&readers[i]);
    }
    if (!drives) {
        start(&readers[0]);
    }
    pthread_join(readers[0].thread, NULL);
    proxy_release(node->proxy, PROXY_TO_CLIENT);
    for (size_t i = 1; i < CROWD; i++) {
        pthread_join(readers[i].thread, NULL);
    }
    assert_int_equal(readers[0].status, HEARTH_E_TIMEOUT);
    expect_right(readers, 1, CROWD);
    assert_int_equal(faulty_count(node, HEARTH__STAT_connects), 1);
    assert_int_equal(faulty_count(node, HEARTH__STAT_disconnects), 0);
}

/* How it goes with 50 ms for the others, and answers that come after 5. */
static void count_failures(struct faulty_node *node, struct reader *readers) {
    enum { ROUNDS = 200 };
    unsigned gave_up = 0;
    unsigned failed = 0;
    proxy_delay(node->proxy, PROXY_TO_CLIENT, 5);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < CROWD; i++) {
            readers[i].deadline_ms = i == 0 ? SHORT_MS : 50;
            start(&readers[i]);
        }
        for (size_t i = 0; i < CROWD; i++) {
            pthread_join(readers[i].thread, NULL);
            gave_up += i == 0 && readers[i].status == HEARTH_E_TIMEOUT;
            failed += i != 0 && (readers[i].status != HEARTH_OK || !readers[i].right);
        }
    }
    print_message("%s: %u of %u with 1 ms gave up, %u of %u with 50 ms failed\n",
                  faulty_name(node), gave_up, ROUNDS, failed, ROUNDS * (CROWD - 1));
    assert_int_equal(faulty_count(node, HEARTH__STAT_disconnects), 0);
}

static void who_is_impatient_fails_nobody_else(void **state) {
    (void)state;
    static struct reader readers[CROWD];
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        faulty_open(&node, (enum faulty_protocol)protocol, 1, FAULTY_DEADLINE_MS);
        store_keys(&node, readers, CROWD, FAULTY_DEADLINE_MS);
        readers[0].deadline_ms = SHORT_MS;
        be_impatient(&node, readers, true);
        be_impatient(&node, readers, false);
        if (getenv("HEARTH_LONG") != NULL) {
            count_failures(&node, readers);
        }
        faulty_close(&node);
    }
}

/* ---- frozen threads ------------------------------------------------------------------------- */

enum { FEW = 4, FROZEN_MS = 20 };

static sem_t frozen; /* a thread is */
static sem_t thaw;

/* As if the thread were not scheduled. */
static void freeze(int number) {
    int error = errno;
    (void)number;
    (void)sem_post(&frozen);
    while (sem_wait(&thaw) != 0) {
    }
    errno = error;
}

static void freeze_all_but(struct reader *readers, size_t free) {
    for (size_t i = 0; i < FEW; i++) {
        if (i != free) {
            assert_int_equal(pthread_kill(readers[i].thread, SIGUSR1), 0);
            while (sem_wait(&frozen) != 0) {
            }
        }
    }
}

static void thaw_all(void) {
    for (size_t i = 1; i < FEW; i++) {
        (void)sem_post(&thaw);
    }
}

/* All have asked, nobody is answered, and all but one do not run: that one leaves in time. */
static void run_frozen(struct faulty_node *node, struct reader *readers, size_t free) {
    uint64_t seen = proxy_seen(node->proxy, PROXY_TO_SERVER);
    proxy_hold(node->proxy, PROXY_TO_CLIENT);
    for (size_t i = 0; i < FEW; i++) {
        readers[i].deadline_ms = i == free ? 2 * FROZEN_MS : FAULTY_DEADLINE_MS;
        start(&readers[i]);
        if (i == 0) { /* it drives */
            assert_true(proxy_await_seen(node->proxy, PROXY_TO_SERVER, seen + 1));
        }
    }
    freeze_all_but(readers, free);
    pthread_join(readers[free].thread, NULL); /* it would wait for ever */
    thaw_all();
    proxy_release(node->proxy, PROXY_TO_CLIENT);
    for (size_t i = 0; i < FEW; i++) {
        if (i != free) {
            pthread_join(readers[i].thread, NULL);
        }
    }
    assert_int_equal(readers[free].status, HEARTH_E_TIMEOUT);
    readers[free].status = HEARTH_OK;
    readers[free].right = true;
    expect_right(readers, 0, FEW);
}

static int64_t oversleep_ns(int64_t ms) {
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    int64_t begun_ns = hearth__monotonic_ns();
    nanosleep(&pause, NULL);
    return hearth__monotonic_ns() - begun_ns - ms * 1000000;
}

/* The driver is frozen for 20 ms while others have 10: how late they leave. */
static void measure_frozen(struct faulty_node *node, struct reader *readers) {
    enum { ROUNDS = 200 };
    int64_t late_ns = 0;
    int64_t control_ns = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t seen = proxy_seen(node->proxy, PROXY_TO_SERVER);
        proxy_hold(node->proxy, PROXY_TO_CLIENT);
        for (size_t i = 0; i < FEW; i++) {
            readers[i].deadline_ms = i == 0 ? FAULTY_DEADLINE_MS : FROZEN_MS / 2;
            start(&readers[i]);
            if (i == 0) {
                assert_true(proxy_await_seen(node->proxy, PROXY_TO_SERVER, seen + 1));
                assert_int_equal(pthread_kill(readers[0].thread, SIGUSR1), 0);
                while (sem_wait(&frozen) != 0) {
                }
            }
        }
        int64_t slept_ns = oversleep_ns(FROZEN_MS);
        control_ns = slept_ns > control_ns ? slept_ns : control_ns;
        (void)sem_post(&thaw);
        proxy_release(node->proxy, PROXY_TO_CLIENT);
        for (size_t i = 0; i < FEW; i++) {
            pthread_join(readers[i].thread, NULL);
            late_ns = i != 0 && readers[i].late_ns > late_ns ? readers[i].late_ns : late_ns;
        }
        expect_right(readers, 0, 1);
    }
    print_message("%s: driver frozen for %d ms, waiters at most %" PRId64
                  " us late, a sleeper %" PRId64 "\n",
                  faulty_name(node), FROZEN_MS, late_ns / 1000, control_ns / 1000);
}

static void who_does_not_run_keeps_nobody(void **state) {
    (void)state;
    struct reader readers[FEW];
    const struct sigaction freezes = {.sa_handler = freeze};
    struct sigaction before;
    assert_int_equal(sem_init(&frozen, 0, 0), 0);
    assert_int_equal(sem_init(&thaw, 0, 0), 0);
    assert_int_equal(sigaction(SIGUSR1, &freezes, &before), 0);
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        faulty_open(&node, (enum faulty_protocol)protocol, 1, FAULTY_DEADLINE_MS);
        store_keys(&node, readers, FEW, FAULTY_DEADLINE_MS);
        for (size_t free = 0; free < FEW; free++) {
            run_frozen(&node, readers, free);
        }
        assert_int_equal(faulty_count(&node, HEARTH__STAT_disconnects), 0);
        measure_frozen(&node, readers);
        faulty_close(&node);
    }
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

/* ---- signals -------------------------------------------------------------------------------- */

static _Atomic unsigned alarms;
static _Atomic unsigned profiles;

static void note(int number) {
    atomic_fetch_add(number == SIGALRM ? &alarms : &profiles, 1);
}

/* A thousand times a second each, without SA_RESTART. */
static void signal_often(long us) {
    const struct itimerval often = {{.tv_usec = us}, {.tv_usec = us}};
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_int_equal(setitimer(ITIMER_PROF, &often, NULL), 0);
}

struct traffic {
    struct faulty_node *node;
    _Atomic unsigned wrong;
};

static bool is_answered(struct faulty_node *node, enum hearth__verb verb, const char *key,
                        const char *data) {
    hearth__remote_op op = faulty_op(node, verb, key, data);
    return faulty_run(node, &op, FAULTY_DEADLINE_MS) == HEARTH_OK;
}

static void use_verbs(void *arg, size_t index) {
    struct traffic *traffic = arg;
    struct reader own = {.node = traffic->node, .deadline_ms = FAULTY_DEADLINE_MS};
    snprintf(own.key, sizeof own.key, "busy-%zu", index);
    while (atomic_load(&alarms) < 100 || atomic_load(&profiles) < 2) {
        bool right = is_answered(own.node, HEARTH__SET, own.key, "other") &&
                     is_answered(own.node, HEARTH__REPLACE, own.key, own.key) &&
                     is_answered(own.node, HEARTH__TOUCH, own.key, NULL);
        read_own(&own);
        right = right && own.status == HEARTH_OK && own.right &&
                is_answered(own.node, HEARTH__DELETE, own.key, NULL);
        atomic_fetch_add(&traffic->wrong, !right);
    }
}

/* Interrupted again and again, a wait still ends. */
static void wait_in_vain(struct faulty_node *node, struct reader *reader) {
    proxy_hold(node->proxy, PROXY_TO_CLIENT);
    reader->deadline_ms = FROZEN_MS;
    read_own(reader);
    assert_int_equal(reader->status, HEARTH_E_TIMEOUT);
    proxy_release(node->proxy, PROXY_TO_CLIENT);
    reader->deadline_ms = FAULTY_DEADLINE_MS;
    read_own(reader);
    expect_right(reader, 0, 1);
}

static void measure_signalled(struct faulty_node *node, struct reader *reader) {
    enum { ROUNDS = 100 };
    int64_t late_ns = 0;
    int64_t control_ns = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        proxy_hold(node->proxy, PROXY_TO_CLIENT);
        reader->deadline_ms = FROZEN_MS;
        read_own(reader);
        late_ns = reader->late_ns > late_ns ? reader->late_ns : late_ns;
        proxy_release(node->proxy, PROXY_TO_CLIENT);
        signal_often(0);
        int64_t slept_ns = oversleep_ns(FROZEN_MS);
        control_ns = slept_ns > control_ns ? slept_ns : control_ns;
        signal_often(1000);
    }
    print_message("%s: 1000 signals a second, at most %" PRId64 " us late, a sleeper %" PRId64
                  "\n",
                  faulty_name(node), late_ns / 1000, control_ns / 1000);
}

static void signals_change_nothing(void **state) {
    (void)state;
    const struct sigaction notes = {.sa_handler = note};
    struct sigaction before[3];
    const struct sigaction dies = {.sa_handler = SIG_DFL};
    assert_int_equal(sigaction(SIGALRM, &notes, &before[0]), 0);
    assert_int_equal(sigaction(SIGPROF, &notes, &before[1]), 0);
    assert_int_equal(sigaction(SIGPIPE, &dies, &before[2]), 0);
    for (int protocol = 0; protocol < FAULTY_PROTOCOLS; protocol++) {
        struct faulty_node node;
        struct traffic traffic = {.node = &node};
        struct reader reader;
        faulty_open(&node, (enum faulty_protocol)protocol, 2, FAULTY_DEADLINE_MS);
        store_keys(&node, &reader, 1, FAULTY_DEADLINE_MS);
        atomic_store(&alarms, 0);
        atomic_store(&profiles, 0);
        signal_often(1000);
        assert_true(crowd_run(3, use_verbs, &traffic));
        assert_int_equal(traffic.wrong, 0);
        wait_in_vain(&node, &reader);
        if (getenv("HEARTH_LONG") != NULL) {
            measure_signalled(&node, &reader);
        }
        signal_often(0);
        assert_int_equal(faulty_count(&node, HEARTH__STAT_disconnects), 0);
        proxy_cut(node.proxy, true); /* and writing to a dead connection is no end of us */
        (void)is_answered(&node, HEARTH__SET, reader.key, reader.key);
        faulty_close(&node);
    }
    assert_int_equal(sigaction(SIGALRM, &before[0], NULL), 0);
    assert_int_equal(sigaction(SIGPROF, &before[1], NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, &before[2], NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_impatient_fails_nobody_else),
        cmocka_unit_test(signals_change_nothing),
    };
    /* Whoever is frozen by a signal may hold any lock, the allocator's too: then this waits for ever. */
    const struct CMUnitTest long_tests[] = {cmocka_unit_test(who_does_not_run_keeps_nobody)};
    if (getenv("HEARTH_LONG") != NULL &&
        cmocka_run_group_tests_name("frozen threads", long_tests, faulty_servers_start,
                                    faulty_servers_stop) != 0) {
        return 1;
    }
    return cmocka_run_group_tests_name("lane deadlines", tests, faulty_servers_start,
                                       faulty_servers_stop);
}
