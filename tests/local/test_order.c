/* SPDX-License-Identifier: Apache-2.0 */
/* The order of this process's own reads and writes: three actors, all ways to interleave their
 * steps, compared with a model that knows only when each began and ended. */
#include "base/stat.h"
#include "local/local.h"

#include <hearth/errors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ACTORS = 3, STEPS = 3, ALL_STEPS = ACTORS * STEPS, NONE = -1 };

static const hearth__local_entry everlasting = {.soft_expiry_ms = HEARTH__LOCAL_FOREVER,
                                                .hard_expiry_ms = HEARTH__LOCAL_FOREVER};

/* A reader samples, asks the remote tier, fills. A writer begins, writes the remote tier, ends;
 * one that fails changes nothing there and keeps nothing. */
enum role { READER, WRITER, FAILING_WRITER };

struct actor {
    enum role role;
    size_t key; /* which of the two */
};

/* Two keys, their values in the remote tier, and what the model expects of the local one. */
struct world {
    hearth__seats *counters;
    hearth__local *local;
    char keys[2][16];
    bool same_stripe;
    int remote[2];
    int expected[2]; /* NONE: no copy */
    const struct actor *actors;
    hearth__local_ticket tickets[ACTORS];
    int seen[ACTORS];       /* what a reader saw */
    bool under_way[ACTORS]; /* between first and last step */
    bool crossed[ACTORS];   /* another's write of the stripe overlapped */
    size_t runs;
};

static bool share_stripe(const struct world *world, size_t a, size_t b) {
    return world->actors[a].key == world->actors[b].key || world->same_stripe;
}

static bool writes(const struct world *world, size_t actor) {
    return world->actors[actor].role != READER;
}

/* Who else is under way while this one begins: both have been crossed, if it matters to them. */
static void note_overlaps(struct world *world, size_t actor) {
    for (size_t other = 0; other < ACTORS; other++) {
        if (other == actor || !world->under_way[other] || !share_stripe(world, actor, other)) {
            continue;
        }
        world->crossed[actor] = world->crossed[actor] || writes(world, other);
        world->crossed[other] = world->crossed[other] || writes(world, actor);
    }
}

static void begin(struct world *world, size_t actor) {
    const size_t key = world->actors[actor].key;
    const char *name = world->keys[key];
    note_overlaps(world, actor);
    world->under_way[actor] = true;
    if (writes(world, actor)) {
        world->tickets[actor] = hearth__local_write_begin(world->local, name, strlen(name));
        world->expected[key] = NONE;
    } else {
        world->tickets[actor] = hearth__local_sample(world->local, name, strlen(name));
    }
}

static void touch_remote(struct world *world, size_t actor) {
    const size_t key = world->actors[actor].key;
    if (world->actors[actor].role == READER) {
        world->seen[actor] = world->remote[key];
    } else if (world->actors[actor].role == WRITER) {
        world->remote[key] = (int)actor + 100;
    }
}

static void end(struct world *world, size_t actor) {
    const size_t key = world->actors[actor].key;
    const char *name = world->keys[key];
    const bool crossed = world->crossed[actor];
    int value = (int)actor + 100;
    world->under_way[actor] = false;
    if (world->actors[actor].role == READER) {
        value = world->seen[actor];
        bool kept = hearth__local_fill(world->local, name, strlen(name), world->tickets[actor],
                                       &everlasting, &value, sizeof value);
        assert_int_equal(kept, !crossed);
        world->expected[key] = kept ? value : world->expected[key];
        return;
    }
    bool keeps = world->actors[actor].role == WRITER;
    hearth__local_write_end(world->local, name, strlen(name), world->tickets[actor],
                            keeps ? &everlasting : NULL, &value, sizeof value);
    world->expected[key] = keeps && !crossed ? value : NONE;
}

static int copy_of(const struct world *world, size_t key) {
    hearth__buffer bytes = {0};
    hearth__local_entry entry;
    int value = NONE;
    if (hearth__local_get(world->local, world->keys[key], strlen(world->keys[key]), 0, &bytes,
                          &entry) == HEARTH_OK) {
        memcpy(&value, bytes.data, sizeof value);
    }
    hearth__buffer_fini(&bytes);
    return value;
}

static void take_step(struct world *world, size_t actor, size_t step) {
    static void (*const steps[STEPS])(struct world *, size_t) = {begin, touch_remote, end};
    steps[step](world, actor);
    for (size_t key = 0; key < 2; key++) {
        const int copy = copy_of(world, key);
        assert_int_equal(copy, world->expected[key]);
        /* A copy that stands while nobody writes its key is what the remote tier holds. */
        bool writing = false;
        for (size_t i = 0; i < ACTORS; i++) {
            writing = writing ||
                      (world->under_way[i] && writes(world, i) && world->actors[i].key == key);
        }
        assert_true(copy == NONE || (!writing && copy == world->remote[key]));
    }
}

static void forget_all(struct world *world) {
    for (size_t key = 0; key < 2; key++) {
        (void)hearth__local_evict(world->local, world->keys[key], strlen(world->keys[key]));
        world->remote[key] = (int)key + 1;
        world->expected[key] = NONE;
    }
    for (size_t i = 0; i < ACTORS; i++) {
        world->under_way[i] = world->crossed[i] = false;
    }
}

static void run(struct world *world, const size_t order[ALL_STEPS]) {
    size_t taken[ACTORS] = {0};
    forget_all(world);
    for (size_t i = 0; i < ALL_STEPS; i++) {
        take_step(world, order[i], taken[order[i]]++);
    }
    world->runs++;
}

/* Every order of the actors' steps: as deep as there are steps. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void run_all(struct world *world, size_t order[ALL_STEPS], size_t at,
                    size_t left[ACTORS]) {
    if (at == ALL_STEPS) {
        run(world, order);
        return;
    }
    for (size_t actor = 0; actor < ACTORS; actor++) {
        if (left[actor] != 0) {
            left[actor]--;
            order[at] = actor;
            run_all(world, order, at + 1, left);
            left[actor]++;
        }
    }
}

/* A write of one key holds fills of another off exactly when they share a stripe. */
static bool stripe_is_shared(hearth__local *local, const char *a, const char *b) {
    hearth__local_ticket ticket = hearth__local_write_begin(local, a, strlen(a));
    bool shared = !hearth__local_sample(local, b, strlen(b)).valid;
    hearth__local_write_end(local, a, strlen(a), ticket, NULL, NULL, 0);
    return shared;
}

static void choose_keys(struct world *world, bool same_stripe) {
    world->same_stripe = same_stripe;
    (void)snprintf(world->keys[0], sizeof world->keys[0], "key");
    bool found = false;
    for (int i = 0; !found && i < 1000000; i++) {
        (void)snprintf(world->keys[1], sizeof world->keys[1], "other%d", i);
        found = stripe_is_shared(world->local, world->keys[0], world->keys[1]) == same_stripe;
    }
    assert_true(found);
}

static void play(const struct actor actors[ACTORS], bool same_stripe) {
    struct world world = {.actors = actors};
    world.counters = hearth__local_seats_create();
    assert_non_null(world.counters);
    const hearth__local_config config = {.max_bytes = 1 << 20, .counters = world.counters};
    assert_int_equal(hearth__local_open(&config, &world.local), HEARTH_OK);
    choose_keys(&world, same_stripe);
    size_t order[ALL_STEPS];
    size_t left[ACTORS] = {STEPS, STEPS, STEPS};
    run_all(&world, order, 0, left);
    assert_int_equal(world.runs, 1680); /* 9! / (3! 3! 3!) */
    hearth__local_close(world.local);
    hearth__seats_destroy(world.counters);
}

static void two_writers_and_a_reader_of_one_key(void **state) {
    (void)state;
    const struct actor actors[] = {{WRITER, 0}, {WRITER, 0}, {READER, 0}};
    play(actors, false);
}

static void one_of_the_writers_fails(void **state) {
    (void)state;
    const struct actor first[] = {{FAILING_WRITER, 0}, {WRITER, 0}, {READER, 0}};
    const struct actor both[] = {{FAILING_WRITER, 0}, {FAILING_WRITER, 0}, {READER, 0}};
    play(first, false);
    play(both, false);
}

static void two_readers_and_a_writer_of_one_key(void **state) {
    (void)state;
    const struct actor actors[] = {{READER, 0}, {WRITER, 0}, {READER, 0}};
    play(actors, false);
}

static void three_writers_of_one_key(void **state) {
    (void)state;
    const struct actor actors[] = {{WRITER, 0}, {WRITER, 0}, {WRITER, 0}};
    play(actors, false);
}

static void keys_that_share_a_stripe(void **state) {
    (void)state;
    const struct actor reader_of_first[] = {{WRITER, 0}, {WRITER, 1}, {READER, 0}};
    const struct actor reader_of_second[] = {{WRITER, 0}, {WRITER, 0}, {READER, 1}};
    const struct actor failing[] = {{WRITER, 0}, {FAILING_WRITER, 1}, {READER, 1}};
    const struct actor readers[] = {{READER, 0}, {WRITER, 1}, {READER, 1}};
    play(reader_of_first, true);
    play(reader_of_second, true);
    play(failing, true);
    play(readers, true);
}

static void keys_of_two_stripes_do_not_hinder_each_other(void **state) {
    (void)state;
    const struct actor reader_of_first[] = {{WRITER, 0}, {WRITER, 1}, {READER, 0}};
    const struct actor reader_of_second[] = {{WRITER, 0}, {WRITER, 0}, {READER, 1}};
    play(reader_of_first, false);
    play(reader_of_second, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_writers_and_a_reader_of_one_key),
        cmocka_unit_test(one_of_the_writers_fails),
        cmocka_unit_test(two_readers_and_a_writer_of_one_key),
        cmocka_unit_test(three_writers_of_one_key),
        cmocka_unit_test(keys_that_share_a_stripe),
        cmocka_unit_test(keys_of_two_stripes_do_not_hinder_each_other),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
