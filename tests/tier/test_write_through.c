/* SPDX-License-Identifier: Apache-2.0 */
/* Write-through: no tier has anything older than the source, whatever goes on meanwhile, and whatever goes wrong. */
#include "tier/lease_rig.h"

/* The application's source, and what happens while it is changed. */
struct origin {
    struct lease_rig *rig;
    char row[16];
    int calls;
    int32_t returns;
    void (*meanwhile)(struct origin *origin);
    int32_t seen; /* the status of what was done meanwhile */
    struct lease_fetch *fetch;
    struct event entered;
    struct event go;
    bool waits;
};

static int32_t change(void *arg, const void *key, size_t key_size, const void *data,
                      size_t size) {
    struct origin *origin = arg;
    origin->calls++;
    event_raise(&origin->entered);
    if (origin->waits && !event_await(&origin->go, 1)) {
        return -1;
    }
    if (origin->meanwhile != NULL) {
        origin->meanwhile(origin);
    }
    bool is_key =
        key_size == strlen(origin->rig->key) && memcmp(key, origin->rig->key, key_size) == 0;
    if (origin->returns == HEARTH_OK && is_key) {
        snprintf(origin->row, sizeof origin->row, "%.*s", (int)size, (const char *)data);
    }
    return origin->returns;
}

static void prepare(struct origin *origin, struct lease_rig *rig) {
    *origin = (struct origin){.rig = rig, .entered = EVENT_INIT, .go = EVENT_INIT};
}

static int32_t write_new(struct origin *origin, hearth *cache) {
    return hearth_write_through(cache, origin->rig->key, strlen(origin->rig->key), "new", 3,
                                change, origin, NULL);
}

static const char *here(const struct lease_rig *rig, hearth *cache) {
    return cache_get(cache, rig->key, HEARTH_READ_NO_REMOTE);
}

static void source_and_tiers_have_it(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    prepare(&origin, rig);
    assert_int_equal(cache_set(rig->a, rig->key, "old"), HEARTH_OK);
    assert_int_equal(write_new(&origin, rig->a), HEARTH_OK);
    assert_int_equal(origin.calls, 1);
    assert_string_equal(origin.row, "new");
    assert_string_equal(here(rig, rig->a), "=new");
    assert_string_equal(cache_get(rig->b, rig->key, 0), "=new");
    assert_int_equal(cache_stats(rig->a).leases, 0);
}

static void a_writer_that_fails_leaves_nothing(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    prepare(&origin, rig);
    origin.returns = -1;
    assert_int_equal(cache_set(rig->a, rig->key, "old"), HEARTH_OK);
    assert_int_equal(write_new(&origin, rig->a), HEARTH_E_LOADER);
    assert_string_equal(here(rig, rig->a), "MISS");
    assert_string_equal(lease_at_node(rig), "MISS");
    /* And no lease that others would wait for. */
    struct lease_fetch fetch;
    lease_prepare(&fetch, rig->b, rig->key, "loaded");
    assert_int_equal(lease_fetch(&fetch), HEARTH_OK);
    assert_int_equal(atomic_load(&fetch.source.calls), 1);
    assert_int_equal(cache_stats(rig->b).leases_lost, 0);
}

static void look_at_all(struct origin *origin) {
    const struct lease_rig *rig = origin->rig;
    bool empty = strcmp(here(rig, rig->a), "MISS") == 0 &&
                 strcmp(cache_get(rig->b, rig->key, HEARTH_READ_NO_LOCAL), "MISS") == 0;
    origin->seen = empty ? HEARTH_MISS : HEARTH_OK;
}

static void nothing_old_is_there_while_the_source_changes(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    prepare(&origin, rig);
    origin.meanwhile = look_at_all;
    assert_int_equal(cache_set(rig->a, rig->key, "old"), HEARTH_OK);
    assert_int_equal(write_new(&origin, rig->a), HEARTH_OK);
    assert_int_equal(origin.seen, HEARTH_MISS);
}

static void an_older_load_is_not_stored(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    struct lease_fetch older;
    prepare(&origin, rig);
    lease_prepare(&older, rig->b, rig->key, "old row");
    lease_start_slow(&older);
    assert_int_equal(write_new(&origin, rig->a), HEARTH_OK);
    lease_finish(&older);
    assert_string_equal(lease_at_node(rig), "=new");
}

static void *write_on(void *arg) {
    struct origin *origin = arg;
    origin->seen = write_new(origin, origin->rig->a);
    return NULL;
}

/* Other processes, and other threads of this one. */
static void fetches_wait_for_the_writer(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    struct lease_fetch there;
    struct lease_fetch here_too;
    pthread_t thread;
    prepare(&origin, rig);
    origin.waits = true;
    lease_prepare(&there, rig->b, rig->key, "old row");
    lease_prepare(&here_too, rig->a, rig->key, "old row");
    assert_int_equal(pthread_create(&thread, NULL, write_on, &origin), 0);
    assert_true(event_await(&origin.entered, 1));
    lease_start(&there);
    lease_start(&here_too);
    LEASE_AWAIT(rig->b, leases_lost, 1);
    LEASE_AWAIT(rig->a, flight_waits, 1);
    event_raise(&origin.go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    lease_finish(&there);
    lease_finish(&here_too);
    assert_int_equal(origin.seen, HEARTH_OK);
    assert_string_equal(there.text, "new");
    assert_string_equal(here_too.text, "new");
    assert_int_equal(atomic_load(&there.source.calls), 0);
    assert_int_equal(atomic_load(&here_too.source.calls), 0);
}

static void set_there(struct origin *origin) {
    origin->seen = cache_set(origin->rig->b, origin->rig->key, "other");
}

static void two_writers_leave_nothing_doubtful(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    prepare(&origin, rig);
    origin.meanwhile = set_there;
    assert_int_equal(write_new(&origin, rig->a), HEARTH_CONFLICT);
    assert_int_equal(origin.seen, HEARTH_OK);
    assert_string_equal(origin.row, "new");
    assert_string_equal(lease_at_node(rig), "MISS");
    assert_string_equal(here(rig, rig->a), "MISS");
}

static void fetch_own(struct origin *origin) {
    origin->seen = lease_fetch(origin->fetch);
}

static void a_writer_does_not_wait_for_itself(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    struct lease_fetch own;
    prepare(&origin, rig);
    lease_prepare(&own, rig->a, rig->key, "own");
    origin.fetch = &own;
    origin.meanwhile = fetch_own;
    assert_int_equal(write_new(&origin, rig->a), HEARTH_OK);
    assert_int_equal(origin.seen, HEARTH_E_DEADLOCK);
}

static void a_node_that_is_gone_is_told_later(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    prepare(&origin, rig);
    assert_int_equal(cache_set(rig->b, rig->key, "old"), HEARTH_OK);
    assert_true(proxy_door(rig->proxy, PROXY_SHUT));
    proxy_cut(rig->proxy, false);
    assert_int_equal(write_new(&origin, rig->b), HEARTH_E_QUEUED);
    assert_int_equal(origin.calls, 1);
    assert_string_equal(origin.row, "new");
    assert_string_equal(here(rig, rig->b), "MISS");
    assert_int_equal(cache_stats(rig->b).queued_deletes, 1);
}

static void what_cannot_be_done_is_not_begun(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    hearth_write_options options;
    static const char *const small[] = {"remote.max_value_bytes", "1kb", NULL};
    static const char large[1025];
    size_t size = strlen(rig->key);
    prepare(&origin, rig);
    lease_reopen(rig, &rig->a, small);
    hearth_write_options_init(&options, sizeof options);
    options.if_version = 1;
    assert_int_equal(
        hearth_write_through(rig->a, rig->key, size, "new", 3, change, &origin, &options),
        HEARTH_E_INVALID);
    assert_int_equal(
        hearth_write_through(rig->a, rig->key, size, "new", 3, NULL, &origin, NULL),
        HEARTH_E_INVALID);
    assert_int_equal(
        hearth_write_through(NULL, rig->key, size, "new", 3, change, &origin, NULL),
        HEARTH_E_INVALID);
    assert_int_equal(hearth_write_through(rig->a, rig->key, 0, "new", 3, change, &origin, NULL),
                     HEARTH_E_INVALID);
    assert_int_equal(hearth_write_through(rig->a, rig->key, size, large, sizeof large, change,
                                          &origin, NULL),
                     HEARTH_E_TOO_LARGE);
    assert_int_equal(origin.calls, 0);
}

/* In a tier of the process's own the same holds. */
static void embedded_tiers_too(void **state) {
    struct lease_rig *rig = *state;
    struct origin origin;
    hearth *cache = cache_open(NULL);
    assert_non_null(cache);
    prepare(&origin, rig);
    assert_int_equal(cache_set(cache, rig->key, "old"), HEARTH_OK);
    assert_int_equal(write_new(&origin, cache), HEARTH_OK);
    assert_string_equal(cache_get(cache, rig->key, HEARTH_READ_NO_LOCAL), "=new");
    assert_string_equal(here(rig, cache), "=new");
    origin.returns = -1;
    assert_int_equal(write_new(&origin, cache), HEARTH_E_LOADER);
    assert_string_equal(cache_get(cache, rig->key, 0), "MISS");
    assert_int_equal(hearth_close(cache), HEARTH_OK);
}

#define ON(kind, function) \
    cmocka_unit_test_setup_teardown(function, lease_open_##kind, lease_close)
#define ON_BOTH(function) ON(redis, function), ON(memcached, function)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_BOTH(source_and_tiers_have_it),
        ON_BOTH(a_writer_that_fails_leaves_nothing),
        ON_BOTH(nothing_old_is_there_while_the_source_changes),
        ON_BOTH(an_older_load_is_not_stored),
        ON_BOTH(fetches_wait_for_the_writer),
        ON_BOTH(two_writers_leave_nothing_doubtful),
        ON_BOTH(a_writer_does_not_wait_for_itself),
        ON_BOTH(a_node_that_is_gone_is_told_later),
        ON_BOTH(what_cannot_be_done_is_not_begun),
        ON(redis, embedded_tiers_too),
    };
    return cmocka_run_group_tests(tests, lease_servers_start, lease_servers_stop);
}
