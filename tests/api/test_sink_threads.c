/* SPDX-License-Identifier: Apache-2.0 */
/* hearth_get_with() and hearth_peek_version() among threads that write and close; and that they wait for nothing: no lock of
 * the library's, no system call. */
#include "base/tsan.h"
#include "sink.h"
#include "source.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- with writers ---- */

enum {
    READERS = 3,
    WRITERS = 2,
    KEYS = 4,
    WORDS_MAX = 2048, /* 16 KiB: on either side of what goes over the stack */
#if defined(HEARTH__TSAN)
    HITS = 2000, /* of each reader; every word takes its time here */
#else
    HITS = 150000,
#endif
};

struct scene {
    hearth *cache;
    _Atomic uint64_t written[KEYS]; /* a write of this number has ended */
    _Atomic uint64_t next[KEYS];
    _Atomic int writers_of[KEYS];
    _Atomic int readers_left;
    _Atomic uint64_t torn;
    _Atomic uint64_t old; /* values older than a write that had ended */
    _Atomic uint64_t large;
    _Atomic uint64_t null;
    _Atomic uint64_t versioned; /* values whose version was known for sure */
    _Atomic uint64_t mistaken;  /* of these, others than were seen with this version before */
};

/* Every word follows from the key and the number of the write. */
static uint64_t word_of(uint64_t key, uint64_t number, uint64_t index) {
    return ((key << 48 | number) + index) * 0x9e3779b97f4a7c15u;
}

/* Each length is that of some writes in a row, which then may be made in place. Short, for the stack, and for more. */
static size_t words_for(uint64_t number) {
    static const uint64_t most[] = {16, 500, WORDS_MAX - 2};
    uint64_t random = (number / 16 + 1) * 0x9e3779b97f4a7c15u >> 33;
    return 2 + (size_t)(random / 3 % most[random % 3]);
}

/* What a value says of itself, as words at its beginning: key and number. 0: it is not whole. */
static uint64_t number_of(const struct object *object, uint64_t key) {
    uint64_t number = 0;
    memcpy(&number, object->bytes, object->size >= 8 ? 8 : 0);
    bool whole = object->size == words_for(number) * 8;
    for (size_t i = 1; whole && i < object->size / 8; i++) {
        uint64_t word = 0;
        memcpy(&word, object->bytes + i * 8, 8);
        whole = word == word_of(key, number, i);
    }
    return whole ? number : 0;
}

/* One writer a key at a time, so that the numbers grow. Only what a node has too has a version. */
static void write_one(struct scene *scene, uint64_t key, uint64_t *words,
                      const hearth_write_options *options) {
    char name = (char)('a' + key);
    if (atomic_fetch_add(&scene->writers_of[key], 1) == 0) {
        uint64_t number = atomic_fetch_add(&scene->next[key], 1) + 1;
        size_t count = words_for(number);
        words[0] = number;
        for (size_t i = 1; i < count; i++) {
            words[i] = word_of(key, number, i);
        }
        if (hearth_set(scene->cache, &name, 1, words, count * 8, options) == HEARTH_OK) {
            atomic_store(&scene->written[key], number);
        }
    }
    atomic_fetch_sub(&scene->writers_of[key], 1);
}

static void write_until_read(struct scene *scene, size_t index) {
    uint64_t *words = malloc(WORDS_MAX * sizeof *words);
    hearth_write_options local_only;
    hearth_write_options_init(&local_only, sizeof local_only);
    local_only.flags = HEARTH_WRITE_NO_REMOTE;
    for (uint64_t i = index; words != NULL && atomic_load(&scene->readers_left) != 0; i++) {
        write_one(scene, i % KEYS, words, i / KEYS % 4 == 0 ? &local_only : NULL);
    }
    free(words);
}

/* What a reader remembers of a key. */
struct memory {
    uint64_t version;
    uint64_t number;
};

/* The number of the value that was read; 0: a miss. */
static uint64_t read_one(struct scene *scene, uint64_t key) {
    char name = (char)('a' + key);
    const uint64_t floor = atomic_load(&scene->written[key]);
    void *answer = hearth_get_with(scene->cache, &name, 1);
    struct object *object = answer != &missing ? answer : NULL;
    uint64_t number = 0;
    atomic_fetch_add(&scene->null, answer == NULL);
    if (object != NULL) {
        number = number_of(object, key);
        atomic_fetch_add(&scene->torn, number == 0);
        atomic_fetch_add(&scene->old, number != 0 && number < floor);
        atomic_fetch_add(&scene->large, object->size > 4096);
        free(object);
    }
    return number;
}

/* A value read between two peeks at the same version is that version's, then and ever after. */
static bool read_with_version(struct scene *scene, uint64_t key, struct memory *memory) {
    const char name = (char)('a' + key);
    uint64_t before = 0;
    uint64_t after = 0;
    const int32_t first = hearth_peek_version(scene->cache, &name, 1, &before);
    const uint64_t number = read_one(scene, key);
    const int32_t last = hearth_peek_version(scene->cache, &name, 1, &after);
    if (number != 0 && first == HEARTH_OK && last == HEARTH_OK && before == after) {
        atomic_fetch_add(&scene->versioned, 1);
        atomic_fetch_add(&scene->mistaken,
                         before == memory->version && number != memory->number);
        *memory = (struct memory){.version = before, .number = number};
    }
    return number != 0;
}

static void read_until_enough(struct scene *scene, size_t index) {
    struct memory memories[KEYS] = {{0}};
    uint64_t hits = 0;
    for (uint64_t i = index; hits < HITS; i++) {
        const uint64_t key = i / 4 % KEYS; /* each some times in a row */
        hits += read_with_version(scene, key, &memories[key]);
    }
    atomic_fetch_sub(&scene->readers_left, 1);
}

static void play(void *arg, size_t index) {
    if (index < READERS) {
        read_until_enough(arg, index);
    } else {
        write_until_read(arg, index);
    }
}

static void values_are_whole_and_none_is_old(void **state) {
    (void)state;
    struct scene scene = {.readers_left = READERS};
    scene.cache = cache_open_with_sink(
        (const char *const[]){"local.max_bytes", "1mb", "local.max_entry_bytes", "32kb", NULL},
        NULL);
    assert_non_null(scene.cache);
    assert_true(crowd_run(READERS + WRITERS, play, &scene));
    assert_int_equal(atomic_load(&scene.torn), 0);
    assert_int_equal(atomic_load(&scene.old), 0);
    assert_int_equal(atomic_load(&scene.null), 0);
    assert_int_equal(atomic_load(&scene.mistaken), 0);
    assert_true(atomic_load(&scene.versioned) > HITS / 10);
    assert_true(atomic_load(&scene.large) > HITS / 10);
    const hearth_stats stats = cache_stats(scene.cache);
    assert_true(stats.local_hits >= (uint64_t)READERS * HITS);
    assert_int_equal(hearth_close(scene.cache), HEARTH_OK);
}

/* ---- while a cache is closed ---- */

struct closing {
    hearth *cache;
    struct source held; /* keeps one caller inside, so that the handle stays valid */
    int32_t close_status;
};

static void hold(void *arg, size_t index) {
    struct closing *closing = arg;
    (void)index;
    (void)source_fetch(closing->cache, "held", &closing->held, NULL);
}

static void close_it(void *arg, size_t index) {
    struct closing *closing = arg;
    (void)index;
    closing->close_status = hearth_close(closing->cache);
}

static bool is_closing(void *arg) {
    uint64_t version = 0;
    struct closing *closing = arg;
    return hearth_peek_version(closing->cache, "key", 3, &version) == HEARTH_E_CLOSED;
}

static void a_cache_being_closed_has_only_misses(void **state) {
    (void)state;
    struct closing closing = {.cache = cache_open_with_sink(NULL, NULL),
                              .held = {SOURCE_INIT, .text = "x", .waits = true}};
    struct crowd holder;
    struct crowd closer;
    assert_non_null(closing.cache);
    assert_int_equal(cache_set(closing.cache, "key", "v"), HEARTH_OK);
    assert_string_equal(cache_get_with(closing.cache, "key"), "=v");
    assert_true(crowd_start(&holder, 1, hold, &closing));
    bool held = event_await(&closing.held.entered, 1);
    bool begun =
        crowd_start(&closer, 1, close_it, &closing) && await_until(is_closing, &closing);
    const char *said = begun ? cache_get_with(closing.cache, "key") : "";
    event_raise(&closing.held.go);
    crowd_join(&holder);
    crowd_join(&closer);
    assert_true(held && begun);
    assert_string_equal(said, "MISS");
    assert_int_equal(closing.close_status, HEARTH_OK);
}

/* ---- no lock ---- */

enum { MANY = 8, TURNS = 3 };

static char the_object[] = "v";
static hearth *caches[MANY];
static bool looks_in_fork;
static int found_in_fork;

/* Our handlers were set before the library's: the one before the fork runs when the library holds what it locks for a fork,
 * the one in the child when it has not let go yet. */
static void read_in_fork(void) {
    for (int i = 0; i < MANY * TURNS && looks_in_fork; i++) {
        uint64_t version = 0;
        hearth *cache = caches[i % MANY];
        found_in_fork += hearth_get_with(cache, "key", 3) == the_object;
        found_in_fork += hearth_peek_version(cache, "key", 3, &version) == HEARTH_OK;
    }
}

static void *make_the_object(const char *data, ptrdiff_t size) {
    return size == 1 && data[0] == the_object[0] ? the_object : NULL;
}

/* A thread that goes between caches, while the list of threads is locked. */
static void the_list_of_threads_is_not_waited_for(void **state) {
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        caches[i] = cache_open_with_sink(NULL, make_the_object);
        assert_non_null(caches[i]);
        assert_int_equal(cache_set(caches[i], "key", the_object), HEARTH_OK);
        assert_ptr_equal(hearth_get_with(caches[i], "key", 3), the_object);
    }
    found_in_fork = 0;
    looks_in_fork = true;
    (void)fflush(NULL);
    const pid_t child = fork();
    looks_in_fork = false;
    assert_true(child >= 0);
    if (child == 0) {
        _exit(found_in_fork == 4 * MANY * TURNS ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(found_in_fork, 2 * MANY * TURNS);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(hearth_close(caches[i]), HEARTH_OK);
    }
}

/* ---- no system call ---- */

/* Under ThreadSanitizer a process has threads that are not its own. */
#if !defined(HEARTH__TSAN)

/* Runs in a child that the kernel ends at any call but read, write and exit. */
static bool runs_without_the_kernel(bool (*run)(void)) {
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool well = run(); /* first calls may take what they need */
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0) {
            well = run() && well;
        }
        syscall(SYS_exit, well ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool read_clocks(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0;
}

static bool large_was_whole;

static void *make_checked(const char *data, ptrdiff_t size) {
    large_was_whole = size == 30000 && data[0] == 'x' && data[29999] == 'x';
    return the_object;
}

static hearth *checked;

static bool read_large_and_small(void) {
    bool well = true;
    for (int i = 0; i < 1000; i++) {
        uint64_t version = 0;
        well = hearth_get_with(checked, "large", 5) == the_object && large_was_whole && well;
        well = hearth_get_with(checked, "small", 5) == the_object && well;
        well = hearth_get_with(checked, "nothing", 7) == &missing && well;
        well = hearth_get_with(checked, "stale", 5) == &missing && well;
        well = hearth_peek_version(checked, "large", 5, &version) == HEARTH_OK && well;
        well = hearth_peek_version(checked, "nothing", 7, &version) == HEARTH_MISS && well;
    }
    return well;
}

static bool is_stale(void *arg) {
    (void)arg;
    return hearth_get_with(checked, "stale", 5) == &missing;
}

static void the_kernel_is_not_asked(void **state) {
    (void)state;
    char large[30000];
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    memset(large, 'x', sizeof large);
    checked = cache_open_with_sink(NULL, make_checked);
    assert_non_null(checked);
    assert_int_equal(hearth_set(checked, "large", 5, large, sizeof large, NULL), HEARTH_OK);
    assert_int_equal(cache_set(checked, "small", "v"), HEARTH_OK);
    write.soft_ttl_ms = 1;
    assert_int_equal(hearth_set(checked, "stale", 5, "v", 1, &write), HEARTH_OK);
    assert_true(await_until(is_stale, NULL));
    if (!runs_without_the_kernel(read_clocks)) {
        print_message("on this machine the clocks themselves are system calls\n");
    } else {
        assert_true(runs_without_the_kernel(read_large_and_small));
    }
    assert_int_equal(hearth_close(checked), HEARTH_OK);
}

#endif

int main(void) {
    if (pthread_atfork(read_in_fork, NULL, read_in_fork) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_whole_and_none_is_old),
        cmocka_unit_test(a_cache_being_closed_has_only_misses),
        cmocka_unit_test(the_list_of_threads_is_not_waited_for),
#if !defined(HEARTH__TSAN)
        cmocka_unit_test(the_kernel_is_not_asked),
#endif
    };
    return cmocka_run_group_tests_name("sink, threads", tests, NULL, NULL);
}
