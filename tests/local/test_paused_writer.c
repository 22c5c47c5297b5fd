/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer that is stopped after each of its instructions: whatever it is at, a reader finds a key that is there, with the
 * value from before or the one that is being written, and once with the new one, never with the old one again.
 */
#include "base/hash.h"
#include "base/racy.h"
#include "base/stat.h"
#include "local/local.h"
#include "local/shard.h"
#include "support/sanitizer.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

/* Under ThreadSanitizer a write takes some ten thousand instructions. */
#if defined(__x86_64__) && !defined(HEARTH__RACY_WORDS)
#define CAN_STOP 1
#include <x86intrin.h>
#else
#define CAN_STOP 0
#endif

enum {
    TRAP_FLAG = 0x100,
    TIER_BYTES = 24 << 10,
    WORDS_MOST = 16,
    WRITES = 2000,               /* that go round the logs a few times; */
    EACH = 100,                  /* of so many of them */
    STOPPED = SANITIZED ? 1 : 3, /* these are stopped */
};

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .bare = true};

static struct {
    hearth__seats *counters;
    hearth__local *local;
    uint64_t key;     /* that is read */
    uint64_t written; /* the number of the key's last value, or of the one under way */
    uint64_t before;  /* the least that may be read */
    long looks;
    long wrong;
    char what[128]; /* the first of them */
    uint64_t room[WORDS_MOST];
} world;

/* ---- values ---- */

static size_t words_of(uint64_t number) {
    return number % 3 == 0 ? 4 : 1 + number % WORDS_MOST; /* some of one size after the other */
}

static void put(uint64_t which, uint64_t number) {
    uint64_t value[WORDS_MOST];
    size_t words = words_of(number / 3);
    for (size_t i = 0; i < words; i++) {
        value[i] = number + i * UINT64_C(0x9e3779b97f4a7c15);
    }
    (void)hearth__local_put(world.local, &which, sizeof which, &everlasting, value,
                            words * sizeof value[0]);
}

/* The number of a value; UINT64_MAX: it is none. */
static uint64_t number_of(const hearth__buffer *bytes) {
    uint64_t value[WORDS_MOST];
    if (bytes->size < sizeof value[0] || bytes->size > sizeof value) {
        return UINT64_MAX;
    }
    memcpy(value, bytes->data, bytes->size);
    bool whole = bytes->size == words_of(value[0] / 3) * sizeof value[0];
    for (size_t i = 0; whole && i * sizeof value[0] < bytes->size; i++) {
        whole = value[i] == value[0] + i * UINT64_C(0x9e3779b97f4a7c15);
    }
    return whole ? value[0] : UINT64_MAX;
}

/* ---- a reader ---- */

/* Whether the key's entry is being rewritten: then a reader waits for the writer, which here is itself. */
static bool is_being_rewritten(void) {
    const hearth__shard *shard = &world.local->shards[0];
    hearth__probe probe = hearth__probe_of(
        shard, hearth__hash_key(&world.local->secret, &world.key, sizeof world.key));
    for (size_t i = 0; i < (size_t)2 * HEARTH__BUCKET_SLOTS; i++) {
        size_t bucket = probe.buckets[i / HEARTH__BUCKET_SLOTS];
        uint64_t slot = atomic_load(&shard->slots[bucket + i % HEARTH__BUCKET_SLOTS]);
        if (slot != 0 && slot >> HEARTH__SLOT_TAG_AT == probe.tag >> HEARTH__SLOT_TAG_AT) {
            uint64_t word0 = hearth__racy_word(hearth__slot_entry(shard, slot));
            if ((word0 >> 32 & 1) != 0) {
                return true;
            }
        }
    }
    return false;
}

/* What is no plain hit is asked for again, the long way. */
static int32_t no_hit(void *owner, const void *key, size_t key_size, hearth__buffer *bytes) {
    (void)owner;
    (void)key;
    (void)key_size;
    (void)bytes;
    return HEARTH_MISS;
}

static void look(void) {
    hearth__buffer bytes = {.data = (unsigned char *)world.room, .capacity = sizeof world.room};
    hearth__local_entry entry;
    if (is_being_rewritten()) {
        return;
    }
    hearth__local_raw raw;
    const hearth__local_ask ask = {&world.key, sizeof world.key, &bytes, &raw};
    int32_t status = HEARTH_MISS;
    if (world.looks % 3 == 0) {
        hearth__local_hit_many(world.local, &ask, 1, &status);
    } else if (world.looks % 3 == 1) {
        status =
            hearth__local_hit(world.local, &world.key, sizeof world.key, &bytes, &raw, no_hit);
    }
    if (status == HEARTH_MISS) {
        status =
            hearth__local_get(world.local, &world.key, sizeof world.key, 0, &bytes, &entry);
    }
    uint64_t number = status == HEARTH_OK ? number_of(&bytes) : 0;
    world.looks++;
    if (status != HEARTH_OK || number < world.before || number > world.written) {
        if (world.wrong++ == 0) {
            (void)snprintf(world.what, sizeof world.what, "status %d, value %llu of %llu..%llu",
                           (int)status, (unsigned long long)number,
                           (unsigned long long)world.before, (unsigned long long)world.written);
        }
        return;
    }
    world.before = number;
}

/* ---- writers ---- */

typedef void (*writer)(uint64_t which, uint64_t number);

static void open_tier(const char *policy) {
    memset(&world, 0, sizeof world);
    world.counters = hearth__local_seats_create();
    assert_non_null(world.counters);
    const hearth__local_config config = {.max_bytes = TIER_BYTES,
                                         .max_entry_bytes = 2000,
                                         .expected_entry_bytes = 32,
                                         .policy = policy,
                                         .counters = world.counters};
    assert_int_equal(hearth__local_open(&config, &world.local), HEARTH_OK);
}

static void close_tier(void) {
    hearth__local_close(world.local);
    hearth__seats_destroy(world.counters);
}

static void expect_none_wrong(const char *policy, uint64_t write) {
    if (world.wrong != 0) {
        fail_msg("%s, write %llu: %s", policy, (unsigned long long)write, world.what);
    }
}

/* The key is overwritten, in place and not, among writes of others. */
static void overwrite(const char *policy, writer stopped) {
    open_tier(policy);
    put(world.key, ++world.written);
    for (uint64_t i = 0; i < WRITES; i++) {
        writer write = i % EACH < STOPPED ? stopped : put;
        if (i % 3 == 0) {
            write(world.key, ++world.written);
        } else {
            write(1 + i, i);
        }
        look();
        world.before = world.written; /* that write has ended */
        expect_none_wrong(policy, i);
    }
    print_message("%s: %ld looks\n", policy, world.looks);
    assert_true(world.looks >= WRITES / 2);
    close_tier();
}

/* The key whose entry is the next to be moved or evicted. */
static uint64_t key_at_tail(void) {
    const hearth__log *log = &world.local->shards[0].logs[HEARTH__MAIN];
    const unsigned char *entry = log->space.base + log->tail;
    uint64_t found = 0;
    memcpy(&found,
           entry + hearth__entry_words(hearth__entry_flags(hearth__racy_word(entry + 8))) * 8,
           sizeof found);
    return found;
}

/* The oldest key was read, so it is moved when others need the room. */
static void move(const char *policy, writer stopped) {
    uint64_t moves = 0;
    open_tier(policy);
    for (uint64_t i = 0; i < WRITES; i++) {
        put(1 + i, i);
        world.key = 1 + i; /* two reads are enough for the main log */
        world.before = world.written = i;
        look();
        look();
        if (i > WRITES / 2 && i % EACH < STOPPED) {
            world.key = key_at_tail();
            world.before = world.written = world.key - (world.key > WRITES ? WRITES : 1);
            look();
            uint64_t before = hearth__seats_sum(world.counters, HEARTH__STAT_local_moves);
            stopped(WRITES + i, i);
            moves += hearth__seats_sum(world.counters, HEARTH__STAT_local_moves) - before;
            look();
        }
        expect_none_wrong(policy, i);
    }
    print_message("%s: %llu moves stopped at\n", policy, (unsigned long long)moves);
    assert_true(moves > 0);
    close_tier();
}

static void play(writer stopped) {
    overwrite("lru", stopped);
    overwrite("s3fifo", stopped);
    overwrite("adaptive", stopped);
    move("lru", stopped);
    move("s3fifo", stopped);
    move("adaptive", stopped);
}

static void each_write_is_seen(void **state) {
    (void)state;
    play(put);
}

#if CAN_STOP

static void on_step(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number;
    (void)info;
    (void)context;
    look();
}

static void put_with_stops(uint64_t which, uint64_t number) {
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    (void)sigaction(SIGTRAP, &action, &before);
    atomic_signal_fence(memory_order_seq_cst);
    __writeeflags(__readeflags() | TRAP_FLAG);
    put(which, number);
    __writeeflags(__readeflags() & ~(unsigned long long)TRAP_FLAG);
    atomic_signal_fence(memory_order_seq_cst);
    (void)sigaction(SIGTRAP, &before, NULL);
}

static void readers_find_the_key_at_every_instruction(void **state) {
    (void)state;
    play(put_with_stops);
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_is_seen),
#if CAN_STOP
        cmocka_unit_test(readers_find_the_key_at_every_instruction),
#endif
    };
    return cmocka_run_group_tests_name("paused writer", tests, NULL, NULL);
}
