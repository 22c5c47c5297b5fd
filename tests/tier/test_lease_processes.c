/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases between real processes, some of them killed or frozen. Few and small here; HEARTH_LONG: 16 processes of 64 threads, and
 * the default times.
 */
#include "base/clock.h"
#include "tier/lease_rig.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 16, THREADS_MAX = 64 };

/* What all processes see. */
struct shared {
    _Atomic int calls;  /* of the loader, in the fleet */
    _Atomic int loader; /* the process of the last of them */
    _Atomic bool go;    /* loaders may end */
    _Atomic bool stuck; /* the first one may not, whatever the others may */
    _Atomic int right;  /* threads that got the value of the last call or the first */
    _Atomic int wrong;
    _Atomic int answers[PROCESSES_MAX]; /* of each process */
    _Atomic uint64_t lost[PROCESSES_MAX];
    _Atomic uint64_t extended;
    _Atomic uint64_t refused;
};

static struct shared *shared;
static int64_t until_ms; /* a test that takes longer has failed */
static struct lease_rig *rig;
static bool is_long;
static int processes;
static size_t threads;

struct process {
    hearth *cache;
    int number;
};

static void nap(void) {
    (void)usleep(1000);
}

/* Answers the number of its call. */
static int32_t load(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    char text[16];
    (void)arg;
    (void)key;
    (void)key_size;
    int call = atomic_fetch_add(&shared->calls, 1) + 1;
    atomic_store(&shared->loader, (int)getpid());
    while (!atomic_load(&shared->go) || (call == 1 && atomic_load(&shared->stuck))) {
        nap();
    }
    snprintf(text, sizeof text, "%d", call);
    return hearth_fill_value(fill, text, strlen(text));
}

static void fetch(void *arg, size_t index) {
    struct process *process = arg;
    const hearth_loader loader = {.size = sizeof loader, .load = load};
    hearth_value *value = hearth_value_new();
    (void)index;
    int32_t status =
        hearth_fetch(process->cache, rig->key, strlen(rig->key), &loader, NULL, NULL, value);
    atomic_fetch_add(status == HEARTH_OK && hearth_value_size(value) == 1 ? &shared->right
                                                                          : &shared->wrong,
                     1);
    atomic_fetch_add(&shared->answers[process->number], 1);
    hearth_value_free(value);
}

/* A process: its threads fetch the key, and it tells how they fare. */
static int live(int number, const char *const *options) {
    static struct crowd crowd;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* of a test that failed nothing is left */
    struct process process = {lease_open_cache(rig, options), number};
    bool started = crowd_start(&crowd, threads, fetch, &process);
    while (started && atomic_load(&shared->answers[number]) < (int)threads) {
        hearth_stats stats = cache_stats(process.cache);
        atomic_store(&shared->lost[number], stats.leases_lost);
        if (stats.leases_won != 0) {
            atomic_store(&shared->extended, stats.leases_extended);
        }
        nap();
    }
    crowd_join(&crowd);
    atomic_fetch_add(&shared->refused, cache_stats(process.cache).leases_void);
    return started && hearth_close(process.cache) == HEARTH_OK ? 0 : 1;
}

static pid_t pids[PROCESSES_MAX];

static void start(const char *const *options) {
    for (int i = 0; i < processes; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            _exit(live(i, options));
        }
    }
}

/* All have ended well, but for one that was killed. */
static void finish(pid_t killed) {
    for (int i = 0; i < processes; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (pids[i] != killed) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
        }
    }
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_int_equal(atomic_load(&shared->right),
                     (int)threads * (killed != 0 ? processes - 1 : processes));
}

/* Between two looks; fails the test when that took too long. */
static void look_again(void) {
    if (hearth__boot_ms() >= until_ms) {
        fail_msg("it did not happen within two minutes");
    }
    nap();
}

static void await_count(_Atomic int *count, int least) {
    while (atomic_load(count) < least) {
        look_again();
    }
}

/* Until every process but the one that loads has been told so. */
static void await_all_wait(void) {
    for (int waiting = 0; waiting < processes - 1;) {
        waiting = 0;
        for (int i = 0; i < processes; i++) {
            waiting += atomic_load(&shared->lost[i]) != 0;
        }
        look_again();
    }
}

static const char *at_node(void) {
    hearth *cache = lease_open_cache(rig, NULL);
    const char *text = cache_get(cache, rig->key, 0);
    assert_int_equal(hearth_close(cache), HEARTH_OK);
    return text;
}

/* ---- the tests -------------------------------------------------------------------------- */

static const char *const usual[] = {NULL};
static const char *const brief[] = {"lease.ttl_ms", "150", NULL};

static const char *const *times(void) {
    return is_long ? usual : brief;
}

static void one_miss_is_one_call(void **state) {
    (void)state;
    start(usual);
    await_count(&shared->calls, 1);
    await_all_wait();
    atomic_store(&shared->go, true);
    finish(0);
    assert_int_equal(atomic_load(&shared->calls), 1);
    assert_string_equal(at_node(), "=1");
}

static void a_killed_winner_is_followed_by_one(void **state) {
    (void)state;
    atomic_store(&shared->stuck, true);
    start(times());
    await_count(&shared->calls, 1);
    await_all_wait();
    pid_t winner = atomic_load(&shared->loader);
    int64_t killed_ms = hearth__boot_ms();
    assert_int_equal(kill(winner, SIGKILL), 0);
    await_count(&shared->calls, 2);
    int64_t took_ms = hearth__boot_ms() - killed_ms;
    atomic_store(&shared->go, true);
    finish(winner);
    assert_int_equal(atomic_load(&shared->calls), 2);
    assert_string_equal(at_node(), "=2");
    if (is_long) {
        print_message("the second call came %lld ms after the first one's end\n",
                      (long long)took_ms);
        assert_true(took_ms <= 3000 + 1000);
    }
}

static void a_slow_loader_is_called_once(void **state) {
    (void)state;
    start(times());
    await_count(&shared->calls, 1);
    int64_t began_ms = hearth__boot_ms();
    while (atomic_load(&shared->extended) < 5 ||
           (is_long && hearth__boot_ms() - began_ms < 12000)) {
        look_again();
    }
    atomic_store(&shared->go, true);
    finish(0);
    assert_int_equal(atomic_load(&shared->calls), 1);
    assert_string_equal(at_node(), "=1");
}

/* It comes back when another has loaded in its place: what it has is stored nowhere. */
static void a_frozen_winner_stores_nothing(void **state) {
    (void)state;
    atomic_store(&shared->stuck, true);
    start(times());
    await_count(&shared->calls, 1);
    pid_t winner = atomic_load(&shared->loader);
    assert_int_equal(kill(winner, SIGSTOP), 0);
    await_count(&shared->calls, 2);
    atomic_store(&shared->go, true);
    for (int i = 0; i < processes; i++) {
        if (pids[i] != winner) {
            await_count(&shared->answers[i], (int)threads);
        }
    }
    atomic_store(&shared->stuck, false);
    assert_int_equal(kill(winner, SIGCONT), 0);
    finish(0);
    assert_int_equal(atomic_load(&shared->calls), 2);
    assert_int_equal(atomic_load(&shared->refused), 1);
    assert_string_equal(at_node(), "=2");
}

/* ---- fixtures: no thread lives when processes are made ------------------------------------ */

static int open_test(enum server_kind kind) {
    static unsigned number;
    memset(shared, 0, sizeof *shared);
    until_ms = hearth__boot_ms() + 120000;
    rig->kind = kind;
    rig->client = "hearth";
    snprintf(rig->key, sizeof rig->key, "key-%u", number++);
    return 0;
}

static int open_redis(void **state) {
    (void)state;
    return open_test(SERVER_REDIS);
}

static int open_memcached(void **state) {
    (void)state;
    return open_test(SERVER_MEMCACHED);
}

static int open_group(void **state) {
    static struct lease_rig only;
    rig = &only;
    is_long = getenv("HEARTH_LONG") != NULL;
    processes = is_long ? PROCESSES_MAX : 3;
    threads = is_long ? THREADS_MAX : 4;
    shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared != MAP_FAILED ? lease_servers_start(state) : -1;
}

static int close_group(void **state) {
    (void)munmap(shared, sizeof *shared);
    return lease_servers_stop(state);
}

#define ON_BOTH(function)                         \
    cmocka_unit_test_setup(function, open_redis), \
        cmocka_unit_test_setup(function, open_memcached)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_BOTH(one_miss_is_one_call),
        ON_BOTH(a_killed_winner_is_followed_by_one),
        ON_BOTH(a_slow_loader_is_called_once),
        ON_BOTH(a_frozen_winner_stores_nothing),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
