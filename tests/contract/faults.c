/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that die or stop: only their own operations fail, in time, and no answer goes astray. */
#include "contract/suite.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_MS = 50, VERDICT_MS = 2000, BROKEN = 1 };

static void pause_ms(int64_t ms) {
    const struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static void must(struct rig *rig, int result) {
    if (result != 0) {
        fail_msg("%s", rig->servers.error);
    }
}

static void store_everywhere(struct rig *rig) {
    for (uint32_t node = 0; node < rig->nodes; node++) {
        hearth__remote_op op = rig_store(rig, HEARTH__SET, "key", "value");
        op.node = node;
        rig_expect(rig, op, HEARTH_OK, "set");
    }
}

/* A read's and a write's failure at a node that is gone or does not answer. */
static bool is_failed_read(int32_t status) {
    return status == HEARTH_E_UNAVAILABLE || status == HEARTH_E_TIMEOUT;
}

static bool is_failed_write(int32_t status) {
    return is_failed_read(status) || status == HEARTH_E_UNKNOWN;
}

/* One batch of reads and writes over all nodes: BROKEN's fail, the others' do not. `writes` false:
 * reads only. */
static void check_others_live(struct rig *rig, int64_t deadline_ms, bool writes) {
    enum { EACH = 4 };
    hearth__remote_op ops[RIG_NODES * EACH];
    hearth__buffer bodies[RIG_NODES * EACH] = {{0}};
    size_t count = (size_t)rig->nodes * EACH;
    for (size_t i = 0; i < count; i++) {
        bool reads = !writes || i / rig->nodes % 2 == 0;
        ops[i] = rig_store(rig, reads ? HEARTH__GET : HEARTH__SET, "key", "value");
        ops[i].node = (uint32_t)(i % rig->nodes);
        ops[i].body = reads ? &bodies[i] : NULL;
    }
    hearth__remote_execute(rig->remote, ops, count, hearth__deadline_ns(deadline_ms));
    for (size_t i = 0; i < count; i++) {
        if (ops[i].node != BROKEN) {
            rig_same_status(ops[i].status, HEARTH_OK, "operation at a node that lives");
        } else if (!(ops[i].verb == HEARTH__GET ? is_failed_read(ops[i].status)
                                                : is_failed_write(ops[i].status))) {
            fail_msg("operation at a node that is gone: %s", hearth_status_name(ops[i].status));
        } else {
            assert_int_equal(bodies[i].size, 0);
        }
        hearth__buffer_fini(&bodies[i]);
    }
}

void test_dead_node_fails_alone(void **state) {
    struct rig *rig = *state;
    if (!rig->contract->has_servers) {
        return;
    }
    store_everywhere(rig);
    must(rig, servers_kill(&rig->servers, BROKEN));
    check_others_live(rig, RIG_DEADLINE_MS, true); /* with connections from before */
    check_others_live(rig, RIG_DEADLINE_MS, true); /* with none to that node */
    check_others_live(rig, RIG_DEADLINE_MS, true);
}

/* Until it answers as it should; the bound only ends a test that would never end. */
static void await_status(struct rig *rig, hearth__remote_op op, int32_t expected) {
    int64_t bound_ns = hearth__deadline_ns(RIG_DEADLINE_MS);
    int32_t last = HEARTH__PENDING;
    while (last != expected) {
        hearth__remote_op copy = op;
        last = rig_run_within(rig, &copy, 500);
        if (hearth__monotonic_ns() >= bound_ns) {
            rig_same_status(last, expected, "node that is back");
        }
        pause_ms(5);
    }
}

void test_dead_node_comes_back(void **state) {
    struct rig *rig = *state;
    if (!rig->contract->has_servers) {
        return;
    }
    store_everywhere(rig);
    must(rig, servers_kill(&rig->servers, BROKEN));
    check_others_live(rig, RIG_DEADLINE_MS, true);
    must(rig, servers_restart(&rig->servers, BROKEN));
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "key", "again");
    op.node = BROKEN;
    await_status(rig, op, HEARTH_OK);
    op = rig_get(rig, "key");
    op.node = BROKEN;
    rig_expect(rig, op, HEARTH_OK, "get");
    assert_int_equal(rig->body.size, 5);
}

void test_stopped_node(void **state) {
    struct rig *rig = *state;
    if (!rig->contract->has_servers) {
        return;
    }
    store_everywhere(rig);
    must(rig, servers_pause(&rig->servers, BROKEN));
    static const enum hearth__verb verbs[] = {
        HEARTH__GET,  HEARTH__SET,   HEARTH__ADD,       HEARTH__REPLACE,
        HEARTH__SWAP, HEARTH__TOUCH, HEARTH__INCREMENT, HEARTH__DELETE,
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        hearth__remote_op op = rig_store(rig, verbs[i], "key", "other");
        op.node = BROKEN;
        op.number = 1;
        int64_t begun_ns = hearth__monotonic_ns();
        (void)rig_run_within(rig, &op, SHORT_MS);
        int64_t took_ms = (hearth__monotonic_ns() - begun_ns) / 1000000;
        if (!is_failed_write(op.status) ||
            (verbs[i] == HEARTH__GET && !is_failed_read(op.status))) {
            fail_msg("verb %d: %s", (int)verbs[i], hearth_status_name(op.status));
        }
        assert_true(took_ms < VERDICT_MS); /* no hang: the deadline is 50 ms */
    }
    check_others_live(rig, 500, rig->contract->pipelines_writes);
    must(rig, servers_resume(&rig->servers, BROKEN));
    hearth__remote_op op = rig_store(rig, HEARTH__SET, "key", "back");
    op.node = BROKEN;
    await_status(rig, op, HEARTH_OK);
}

/* ---- answers that come when nobody waits for them any more ---- */

enum { READERS = 4, READ_KEYS = 40, STALLS = 6 };

struct reader {
    struct rig *rig;
    uint32_t seed;
    _Atomic bool *over;
    _Atomic uint32_t *answered;
    _Atomic uint32_t *failed;
    _Atomic uint32_t *wrong;
};

static void read_once(struct reader *reader, hearth__buffer *body, uint32_t number) {
    char key[24];
    char value[24];
    hearth__remote_op op = {
        .verb = HEARTH__GET,
        .node = BROKEN,
        .key = key,
        .key_size = (size_t)snprintf(key, sizeof key, "stray-%u", number),
        .body = body,
    };
    size_t size = (size_t)snprintf(value, sizeof value, "value %u", number);
    (void)rig_run_within(reader->rig, &op, 20);
    if (op.status == HEARTH_OK) {
        bool same = body->size == size && memcmp(body->data, value, size) == 0;
        atomic_fetch_add(same ? reader->answered : reader->wrong, 1);
    } else {
        atomic_fetch_add(op.status < 0 ? reader->failed : reader->wrong, 1);
    }
}

static void *keep_reading(void *arg) {
    struct reader *own = arg;
    hearth__buffer body = {0};
    while (!atomic_load(own->over)) {
        own->seed = own->seed * 1664525 + 1013904223;
        read_once(own, &body, own->seed / 65536 % READ_KEYS);
    }
    hearth__buffer_fini(&body);
    return NULL;
}

/* Until the count has grown; false: it never did. */
static bool await_growth(_Atomic uint32_t *count) {
    uint32_t before = atomic_load(count);
    int64_t bound_ns = hearth__deadline_ns(RIG_DEADLINE_MS);
    while (atomic_load(count) < before + 2 * READERS && hearth__monotonic_ns() < bound_ns) {
        pause_ms(2);
    }
    return atomic_load(count) >= before + 2 * READERS;
}

void test_no_answer_goes_astray(void **state) {
    struct rig *rig = *state;
    if (!rig->contract->has_servers) {
        return;
    }
    for (uint32_t i = 0; i < READ_KEYS; i++) {
        char key[24];
        char value[24];
        snprintf(key, sizeof key, "stray-%u", i);
        snprintf(value, sizeof value, "value %u", i);
        hearth__remote_op op = rig_store(rig, HEARTH__SET, key, value);
        op.node = BROKEN;
        rig_expect(rig, op, HEARTH_OK, "set");
    }
    _Atomic bool over = false;
    _Atomic uint32_t counts[3] = {0, 0, 0};
    struct reader readers[READERS];
    pthread_t threads[READERS];
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){rig, i + 1, &over, &counts[0], &counts[1], &counts[2]};
        assert_int_equal(pthread_create(&threads[i], NULL, keep_reading, &readers[i]), 0);
    }
    bool moves = true;
    for (size_t i = 0; i < STALLS; i++) {
        moves = moves && await_growth(&counts[0]);
        moves = moves && servers_pause(&rig->servers, BROKEN) == 0;
        moves = moves && await_growth(&counts[1]);
        moves = moves && servers_resume(&rig->servers, BROKEN) == 0;
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(counts[2], 0);
    assert_true(moves);
}

void test_deadline_has_passed(void **state) {
    struct rig *rig = *state;
    if (!rig->contract->has_servers) {
        return; /* nothing to wait for */
    }
    hearth__remote_op ops[] = {rig_get(rig, "key"), rig_store(rig, HEARTH__SET, "key", "value"),
                               rig_verb(HEARTH__DELETE, "key")};
    hearth__remote_execute(rig->remote, ops, 3, hearth__monotonic_ns() - 1);
    for (size_t i = 0; i < 3; i++) {
        rig_same_status(ops[i].status, HEARTH_E_TIMEOUT, "with no time left");
    }
    rig_expect(rig, rig_get(rig, "key"), HEARTH_MISS, "get");
    rig_expect(rig, rig_store(rig, HEARTH__SET, "key", "value"), HEARTH_OK, "set");
    (void)rig_expect_get(rig, "key", HEARTH_OK, "value");
}

/* ---- fork ---- */

enum { CHILDREN = 8, FORK_ROUNDS = 200, FORKS_WITH_THREADS = 40, FORKS_LONG = 10000 };

/* Own keys, own values; how many answers were wrong or failed. */
static uint32_t traffic(struct rig *rig, uint32_t who, uint32_t rounds) {
    uint32_t bad = 0;
    hearth__buffer body = {0};
    for (uint32_t i = 0; i < rounds; i++) {
        char key[40];
        char value[40];
        snprintf(key, sizeof key, "fork-%u-%u", who, i % 16);
        int size = snprintf(value, sizeof value, "value %u of %u", i, who);
        hearth__remote_op op = {.verb = HEARTH__SET,
                                .node = i % rig->nodes,
                                .key = key,
                                .key_size = strlen(key),
                                .data = value,
                                .data_size = (size_t)size,
                                .version = hearth__remote_new_version(rig->remote)};
        bad += rig_run(rig, &op) != HEARTH_OK;
        op.verb = HEARTH__GET;
        op.body = &body;
        bad += rig_run(rig, &op) != HEARTH_OK || body.size != (size_t)size ||
               memcmp(body.data, value, body.size) != 0;
    }
    hearth__buffer_fini(&body);
    return bad;
}

/* Without cmocka: an assertion would return into the parent's test. */
static void be_child(struct rig *rig, uint32_t who, uint32_t rounds) {
    uint32_t bad = traffic(rig, who, rounds);
    hearth__remote_close(rig->remote);
    _exit(bad == 0 ? 0 : 1);
}

static uint32_t reap(size_t children) {
    uint32_t bad = 0;
    for (size_t i = 0; i < children; i++) {
        int result = 0;
        while (wait(&result) < 0) {
        }
        bad += !WIFEXITED(result) || WEXITSTATUS(result) != 0;
    }
    return bad;
}

void test_fork(void **state) {
    struct rig *rig = *state;
    assert_int_equal(traffic(rig, 100, FORK_ROUNDS), 0); /* connections are open */
    for (uint32_t i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0 && i % 4 == 3) {
            _exit(0); /* or do not even that */
        }
        if (pid == 0) {
            be_child(rig, i, i % 2 == 0 ? FORK_ROUNDS : 0); /* some only close what they got */
        }
        assert_int_equal(traffic(rig, 100, FORK_ROUNDS / 10), 0);
    }
    assert_int_equal(traffic(rig, 100, FORK_ROUNDS), 0);
    assert_int_equal(reap(CHILDREN), 0);
    assert_int_equal(traffic(rig, 100, FORK_ROUNDS), 0);
}

/* The numbers by which versions of the same millisecond differ. */
struct numbers {
    uint16_t of[8];
};

static struct numbers next_numbers(const struct rig *rig) {
    struct numbers numbers;
    for (size_t i = 0; i < sizeof numbers.of / sizeof numbers.of[0]; i++) {
        numbers.of[i] = (uint16_t)hearth__remote_new_version(rig->remote);
    }
    return numbers;
}

/* Two workers of one parent may store a value in the same millisecond. */
void test_fork_versions(void **state) {
    struct rig *rig = *state;
    struct numbers numbers[3];
    for (size_t child = 0; child < 2; child++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            numbers[child] = next_numbers(rig);
            _exit(write(ends[1], &numbers[child], sizeof numbers[child]) < 0);
        }
        assert_int_equal(read(ends[0], &numbers[child], sizeof numbers[child]),
                         sizeof numbers[child]);
        (void)close(ends[0]);
        (void)close(ends[1]);
        assert_int_equal(reap(1), 0);
    }
    numbers[2] = next_numbers(rig);
    assert_memory_not_equal(&numbers[0], &numbers[1], sizeof numbers[0]);
    assert_memory_not_equal(&numbers[0], &numbers[2], sizeof numbers[0]);
    assert_memory_not_equal(&numbers[1], &numbers[2], sizeof numbers[0]);
}

#if !SANITIZED

struct busy {
    struct rig *rig;
    uint32_t who;
    _Atomic bool *over;
    _Atomic uint32_t *bad;
};

static void *be_busy(void *arg) {
    struct busy *own = arg;
    while (!atomic_load(own->over)) {
        atomic_fetch_add(own->bad, traffic(own->rig, own->who, 20));
    }
    return NULL;
}

/* The child's fork may find every lock held by a thread that it does not have. */
void test_fork_with_threads(void **state) {
    struct rig *rig = *state;
    _Atomic bool over = false;
    _Atomic uint32_t bad = 0;
    struct busy busy[4];
    pthread_t threads[4];
    uint32_t failed = 0;
    uint32_t forks = getenv("HEARTH_LONG") != NULL ? FORKS_LONG : FORKS_WITH_THREADS;
    for (uint32_t i = 0; i < 4; i++) {
        busy[i] = (struct busy){rig, 200 + i, &over, &bad};
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, &busy[i]), 0);
    }
    for (uint32_t i = 0; i < forks; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            be_child(rig, i % 4, 4);
        }
        failed += pid < 0 ? 1 : reap(1);
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(failed, 0);
    assert_int_equal(bad, 0);
}

#endif
