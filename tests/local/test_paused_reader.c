/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader that is stopped within its read, at each of its instructions in turn, while writers do their worst and the logs go
 * round three times.
 */
#include "base/racy.h"
#include "base/stat.h"
#include "local/breakpoint.h"
#include "local/local.h"
#include "local/shard.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum {
    TIER_BYTES = 40 << 10,
    KEY_SIZE = 8,
    VALUE_MOST = 512,
    LAPS = 3,
    OTHERS = 100000,
    STOPS_MOST =
        500, /* of a scene; a read that is longer is not stopped at every instruction */
};

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .bare = true};

enum after { THERE, GONE, EITHER };
enum way { GET, HIT, HIT_MANY, WAYS };

/* What happens while the reader stands still, and what it may then say. */
struct scene {
    const char *what;
    void (*meanwhile)(void);
    bool may_miss;
    enum after after;   /* whether the key is there at last, with its last value */
    size_t size;        /* of the value that the reader finds at first */
    size_t others_size; /* of the other keys' values; 0: of all sizes */
};

static struct {
    const struct scene *scene;
    enum way way;         /* to read: a short one first, as the public calls do */
    hearth__buffer bytes; /* the reader's; large enough for every value */
    hearth__seats *counters;
    hearth__local *local;
    uint32_t number; /* of the last value written under the reader's key */
    uint32_t others; /* keys written beside it */
    uint32_t lost;   /* times that the reader's key was gone though it was just written */
    int32_t status;  /* of this read */
    long stop_at;
    bool met; /* what happens meanwhile has happened */
} world;

static hearth__shard *shard(void) {
    return &world.local->shards[0];
}

/* In the place of the C library's: between two instructions so much time passes that each read would see another tick. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    *time = (struct timespec){.tv_sec = 1000};
    return 0;
}

/* ---- values ---- */

/* The reader's key; others differ in the number only. */
static void name_key(uint32_t number, char key[KEY_SIZE + 1]) {
    (void)snprintf(key, KEY_SIZE + 1, "k%07u", number);
}

/*
 * A value looks like a row of entries of the reader's key, each of a size that no value has: who takes recycled memory for an
 * entry finds one wherever it looks. The first word tells the value's number.
 */
static void compose(uint32_t number, size_t size, unsigned char value[VALUE_MOST]) {
    char key[KEY_SIZE + 1];
    name_key(0, key);
    uint64_t decoy[3] = {2 * (uint64_t)VALUE_MOST, HEARTH__ENTRY_NEVER << 24 | KEY_SIZE << 8,
                         0};
    memcpy(&decoy[2], key, KEY_SIZE);
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = at == 0 ? number : decoy[(at / 8 + number) % 3];
        memcpy(value + at, &word, 8);
    }
}

static void put(uint32_t key_number, uint32_t number, size_t size) {
    unsigned char value[VALUE_MOST];
    char key[KEY_SIZE + 1];
    name_key(key_number, key);
    compose(number, size, value);
    (void)hearth__local_put(world.local, key, KEY_SIZE, &everlasting, value, size);
}

/* Whether these are all bytes of a value; *number: which. */
static bool is_whole(const hearth__buffer *bytes, uint32_t *number) {
    unsigned char value[VALUE_MOST];
    if (bytes->size < 8 || bytes->size > VALUE_MOST || bytes->size % 8 != 0) {
        return false;
    }
    memcpy(number, bytes->data, sizeof *number);
    compose(*number, bytes->size, value);
    return memcmp(value, bytes->data, bytes->size) == 0;
}

/* ---- what happens meanwhile ---- */

static void read_often(uint32_t key_number, hearth__buffer *bytes) {
    char key[KEY_SIZE + 1];
    hearth__local_entry entry;
    name_key(key_number, key);
    for (int i = 0; i < 3; i++) {
        (void)hearth__local_get(world.local, key, KEY_SIZE, 0, bytes, &entry);
    }
}

/* Writes other keys until the logs have gone round, and the reader's key after each of them, if `anew` says how. */
static void go_round(void (*anew)(void)) {
    static unsigned char room[VALUE_MOST];
    hearth__buffer bytes = {.data = room,
                            .capacity = sizeof room}; /* a handler allocates nothing */
    const hearth__log *main_log = &shard()->logs[HEARTH__MAIN];
    uint64_t until = main_log->lap + LAPS + 1;
    while (main_log->lap < until) {
        uint32_t other = 1 + world.others++ % OTHERS;
        size_t size = world.scene->others_size;
        put(other, 0, size != 0 ? size : 8 + other % 16 * 8);
        read_often(other, &bytes); /* so that it goes on to the main log */
        if (anew != NULL) {
            anew();
        }
    }
}

static void evict_by_others(void) {
    go_round(NULL);
}

static void rewrite_in_place(void) {
    put(0, ++world.number, world.scene->size);
}

static void overwrite(void) {
    static unsigned char room[VALUE_MOST];
    hearth__buffer bytes = {.data = room, .capacity = sizeof room};
    hearth__local_entry entry;
    char key[KEY_SIZE + 1];
    name_key(0, key);
    world.lost += hearth__local_get(world.local, key, KEY_SIZE, 0, &bytes, &entry) != HEARTH_OK;
    world.number++;
    put(0, world.number, 8 + world.number % 8 * 8);
}

static void overwrite_and_evict_others(void) {
    go_round(overwrite);
}

static void delete (void) {
    char key[KEY_SIZE + 1];
    name_key(0, key);
    (void)hearth__local_evict(world.local, key, KEY_SIZE);
}

static void delete_and_write(void) {
    go_round(NULL);
    delete ();
    put(world.others, 0, 16);
    put(0, ++world.number, 16);
}

static void delete_and_evict_others(void) {
    delete ();
    go_round(NULL);
}

static const struct scene scenes[] = {
    {"evicted", evict_by_others, true, EITHER, 104, 0},
    {"evicted by its like", evict_by_others, true, EITHER, 104, 104},
    {"deleted", delete, true, GONE, 104, 0},
    {"deleted, and its memory used anew", delete_and_evict_others, true, GONE, 104, 0},
    {"rewritten in place", rewrite_in_place, false, THERE, 104, 0},
    {"overwritten time and again", overwrite_and_evict_others, false, THERE, 104, 0},
    {"deleted and written", delete_and_write, true, THERE, 104, 0},
    {"a short one evicted", evict_by_others, true, EITHER, 8, 0},
    {"a long one overwritten", overwrite_and_evict_others, false, THERE, VALUE_MOST, 0},
};

/* ---- what must hold ---- */

/* Nothing that a late reader did reached an entry: each that can be found is whole. */
static void expect_all_whole(void) {
    hearth__buffer bytes = {0};
    for (uint32_t i = 0; i < 400; i++) {
        char key[KEY_SIZE + 1];
        hearth__local_entry entry;
        uint32_t number = 0;
        uint32_t other = 1 + (world.others + OTHERS - i - 1) % OTHERS;
        name_key(other, key);
        if (hearth__local_get(world.local, key, KEY_SIZE, 0, &bytes, &entry) == HEARTH_OK) {
            assert_true(is_whole(&bytes, &number) && number == 0);
        }
    }
    hearth__buffer_fini(&bytes);
}

static void expect_right(int32_t status, uint32_t first) {
    uint32_t number = 0;
    if (status == HEARTH_MISS && world.scene->may_miss) {
        return;
    }
    if (status != HEARTH_OK || !is_whole(&world.bytes, &number) || number < first ||
        number > world.number) {
        fail_msg(
            "%s: stopped after %ld instructions, the read is wrong: status %d, value %u of "
            "%u..%u",
            world.scene->what, world.stop_at, (int)status, number, first, world.number);
    }
}

/* What is no plain hit is asked for again, the long way. */
static int32_t no_hit(void *owner, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

static int32_t read_key(void) {
    static const char key[] =
        "k0000000"; /* as name_key() names it: here every instruction counts */
    hearth__local_raw raw;
    hearth__local_entry entry;
    const hearth__local_ask ask = {key, KEY_SIZE, &world.bytes, &raw};
    int32_t status = HEARTH_MISS;
    if (world.way == HIT) {
        status = hearth__local_hit(world.local, key, KEY_SIZE, &world.bytes, &raw, no_hit);
    } else if (world.way == HIT_MANY) {
        hearth__local_hit_many(world.local, &ask, 1, &status);
    }
    return status == HEARTH_OK
               ? status
               : hearth__local_get(world.local, key, KEY_SIZE, 0, &world.bytes, &entry);
}

/* What the stopped reader did after its stop has changed nothing. */
static void expect_after(void) {
    uint32_t number = 0;
    int32_t status = read_key();
    if (status == HEARTH_OK) {
        assert_true(is_whole(&world.bytes, &number));
        assert_int_equal(number, world.number);
    }
    if (world.met && world.scene->after != EITHER) {
        assert_int_equal(status, world.scene->after == THERE ? HEARTH_OK : HEARTH_MISS);
    }
}

static void expect_all(int32_t status, uint32_t first) {
    expect_right(status, first);
    expect_after();
    /* Sizes are believed only after the slot said that they are the entry's. */
    assert_int_equal(world.bytes.capacity, VALUE_MOST);
    assert_true(world.scene->may_miss || world.lost == 0);
    expect_all_whole();
}

static uint32_t begin(void) {
    put(0, ++world.number, world.scene->size);
    world.met = false;
    return world.number;
}

/* Plays all scenes, each in this way. */
static void play_all(const char *policy, long offset, void (*play)(long offset)) {
    world.counters = hearth__local_seats_create();
    assert_non_null(world.counters);
    const hearth__local_config config = {.max_bytes = TIER_BYTES,
                                         .max_entry_bytes = 2000,
                                         .expected_entry_bytes = 32,
                                         .policy = policy,
                                         .counters = world.counters};
    assert_int_equal(hearth__local_open(&config, &world.local), HEARTH_OK);
    assert_true(hearth__buffer_reserve(&world.bytes, VALUE_MOST));
    assert_int_equal(world.bytes.capacity, VALUE_MOST);
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        world.scene = &scenes[i];
        play(offset);
    }
    hearth__local_close(world.local);
    hearth__seats_destroy(world.counters);
    hearth__buffer_fini(&world.bytes);
}

/* ---- readers who come before or after ---- */

static void play_apart(long offset) {
    (void)offset;
    uint32_t first = begin();
    expect_all(read_key(), first);
    first = begin();
    world.scene->meanwhile();
    world.met = true;
    expect_all(read_key(), first);
}

static void a_reader_alone_is_right(void **state) {
    (void)state;
    for (world.way = GET; world.way < WAYS; world.way++) {
        play_all("lru", 0, play_apart);
        play_all("s3fifo", 0, play_apart);
    }
}

#if BREAKPOINTS

/* ---- readers who are stopped ---- */

static void read_once(void) {
    world.status = read_key();
}

static void read_stopped(long stop_at) {
    uint32_t first = begin();
    world.stop_at = stop_at;
    world.met = breakpoint_stop(read_once, stop_at, world.scene->meanwhile);
    expect_all(world.status, first);
}

static void play_all_stops(long offset) {
    long stops = 0;
    (void)begin();
    read_once(); /* the first read takes a seat among the counters */
    long steps = breakpoint_learn(read_once);
    long stride = 1 + (steps - 1) / STOPS_MOST;
    for (long stop_at = offset % stride; stop_at < steps; stop_at += stride) {
        read_stopped(stop_at);
        stops += world.met;
    }
    print_message("%s: stopped at %ld of %ld instructions\n", world.scene->what, stops, steps);
    assert_true(stops >= 20);
}

static void a_stopped_reader_is_right(void **state) {
    (void)state;
    world.way = GET;
    play_all("lru", 0, play_all_stops);
    play_all("s3fifo", 1, play_all_stops);
}

static void and_so_it_is_on_the_short_way(void **state) {
    (void)state;
    world.way = HIT;
    play_all("lru", 0, play_all_stops);
    play_all("s3fifo", 1, play_all_stops);
}

static void and_so_it_is_among_many(void **state) {
    (void)state;
    world.way = HIT_MANY;
    play_all("lru", 0, play_all_stops);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_alone_is_right),
#if BREAKPOINTS
        cmocka_unit_test(a_stopped_reader_is_right),
        cmocka_unit_test(and_so_it_is_on_the_short_way),
        cmocka_unit_test(and_so_it_is_among_many),
#endif
    };
    return cmocka_run_group_tests_name("paused reader", tests, NULL, NULL);
}
