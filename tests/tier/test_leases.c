/* SPDX-License-Identifier: Apache-2.0 */
/* Of all processes that miss a key one loads; the others wait, or take what is stale. What is written meanwhile stands. */
#include "tier/lease_rig.h"

#include <sys/wait.h>
#include <unistd.h>

static const char *const brief[] = {"lease.ttl_ms", "90", NULL};

static void expect(const struct lease_fetch *fetch, int32_t status, const char *text,
                   int calls) {
    assert_int_equal(fetch->status, status);
    if (status == HEARTH_OK) {
        assert_string_equal(fetch->text, text);
    }
    assert_int_equal(atomic_load(&fetch->source.calls), calls);
}

/* ---- a true miss ---- */

static void one_loads_and_the_other_gets_it(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&a);
    assert_int_equal(cache_stats(rig->a).leases, 1);
    lease_start(&b);
    LEASE_AWAIT(rig->b, leases_lost, 1);
    assert_string_equal(lease_at_node(rig),
                        "MISS"); /* a get does not wait, and takes no lease */
    lease_finish(&a);
    lease_finish(&b);
    expect(&a, HEARTH_OK, "from a", 1);
    expect(&b, HEARTH_OK, "from a", 0);
    assert_string_equal(lease_at_node(rig), "=from a");
    assert_int_equal(cache_stats(rig->a).leases_won, 1);
    assert_int_equal(cache_stats(rig->a).leases, 0);
    assert_int_equal(cache_stats(rig->b).leases_won, 0);
    assert_int_equal(cache_stats(rig->b).loads, 0);
}

/* ---- a thousand callers, half of them in each process ---- */

enum { CALLERS = 1000 };

struct rush {
    const struct lease_rig *rig;
    struct source source;
    pthread_barrier_t begin;
    _Atomic size_t next;
    _Atomic int right;
};

static void *be_one_of_many(void *arg) {
    struct rush *rush = arg;
    hearth *caches[] = {rush->rig->a, rush->rig->b};
    hearth *cache = caches[atomic_fetch_add(&rush->next, 1) % 2];
    hearth_value *value = hearth_value_new();
    (void)pthread_barrier_wait(&rush->begin);
    bool right = source_fetch(cache, rush->rig->key, &rush->source, value) == HEARTH_OK &&
                 hearth_value_size(value) == strlen("loaded");
    atomic_fetch_add(&rush->right, right);
    hearth_value_free(value);
    return NULL;
}

/* But for one in each process, which loads or waits for the other process. */
static bool all_wait(void *arg) {
    const struct lease_rig *rig = arg;
    return cache_stats(rig->a).flight_waits + cache_stats(rig->b).flight_waits == CALLERS - 2;
}

static void of_a_thousand_callers_one_loads(void **state) {
    struct lease_rig *rig = *state;
    static pthread_t threads[CALLERS];
    struct rush rush = {.rig = rig, .source = {SOURCE_INIT, .text = "loaded", .waits = true}};
    pthread_attr_t small;
    assert_int_equal(pthread_barrier_init(&rush.begin, NULL, CALLERS), 0);
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(pthread_attr_setstacksize(&small, 256 << 10), 0);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], &small, be_one_of_many, &rush), 0);
    }
    bool waiting = event_await(&rush.source.entered, 1) && await_until(all_wait, rig);
    event_raise(&rush.source.go);
    for (size_t i = 0; i < CALLERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    (void)pthread_attr_destroy(&small);
    (void)pthread_barrier_destroy(&rush.begin);
    assert_true(waiting);
    assert_int_equal(atomic_load(&rush.source.calls), 1);
    assert_int_equal(atomic_load(&rush.right), CALLERS);
}

static void an_absence_is_passed_on_too(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_prepare(&a, rig->a, rig->key, "");
    lease_prepare(&b, rig->b, rig->key, "from b");
    a.source.absent = true;
    lease_start_slow(&a);
    lease_start(&b);
    LEASE_AWAIT(rig->b, leases_lost, 1);
    lease_finish(&a);
    lease_finish(&b);
    expect(&a, HEARTH_ABSENT, NULL, 1);
    expect(&b, HEARTH_ABSENT, NULL, 0);
}

static void a_load_that_fails_frees_the_lease(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    a.source.returns = -1;
    lease_start_slow(&a);
    lease_start(&b);
    LEASE_AWAIT(rig->b, leases_lost, 1);
    lease_finish(&a);
    lease_finish(&b);
    expect(&a, HEARTH_E_LOADER, NULL, 1);
    expect(&b, HEARTH_OK, "from b", 1);
    assert_string_equal(lease_at_node(rig), "=from b");
}

static void who_failed_leaves_no_lease_to_wait_for(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    a.source.returns = -1;
    assert_int_equal(lease_fetch(&a), HEARTH_E_LOADER);
    assert_int_equal(lease_fetch(&b), HEARTH_OK);
    expect(&b, HEARTH_OK, "from b", 1);
    assert_int_equal(cache_stats(rig->b).leases_lost, 0);
}

static void who_waits_is_back_by_its_deadline(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch hasty;
    struct lease_fetch patient;
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&hasty, rig->b, rig->key, "from b");
    lease_prepare(&patient, rig->b, rig->key, "from b");
    hasty.read.deadline_ms = 50;
    lease_start_slow(&a);
    lease_start(&hasty);
    LEASE_AWAIT(rig->b, leases_lost, 1);
    lease_start(
        &patient); /* waits for the one with less time, or for the lease if that one is gone */
    lease_finish(&hasty);
    expect(&hasty, HEARTH_E_TIMEOUT, NULL, 0);
    LEASE_AWAIT(rig->b, leases_lost, 2);
    lease_finish(&a);
    lease_finish(&patient);
    expect(&patient, HEARTH_OK, "from a", 0);
}

static void a_slow_load_keeps_its_lease(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_reopen(rig, &rig->a, brief);
    lease_reopen(rig, &rig->b, brief);
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&a);
    lease_start(&b);
    LEASE_AWAIT(rig->a, leases_extended, 4); /* more than its time has passed */
    lease_finish(&a);
    lease_finish(&b);
    expect(&a, HEARTH_OK, "from a", 1);
    expect(&b, HEARTH_OK, "from a", 0);
    assert_string_equal(lease_at_node(rig), "=from a");
}

static void a_lease_is_not_extended_for_ever(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    static const char *const bounded[] = {"lease.ttl_ms", "90", "load.hard_timeout_ms", "50",
                                          NULL};
    lease_reopen(rig, &rig->a, bounded);
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&a);
    assert_int_equal(lease_fetch(&b), HEARTH_OK);
    expect(&b, HEARTH_OK, "from b", 1);
    lease_finish(&a);
    expect(&a, HEARTH_OK, "from a", 1); /* its caller has it; the node does not */
    assert_string_equal(lease_at_node(rig), "=from b");
    assert_int_equal(cache_stats(rig->a).leases_void, 1);
}

static void without_leases_all_load(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    static const char *const none[] = {"lease.ttl_ms", "0", NULL};
    lease_reopen(rig, &rig->a, none);
    lease_reopen(rig, &rig->b, none);
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&a);
    assert_int_equal(lease_fetch(&b), HEARTH_OK);
    expect(&b, HEARTH_OK, "from b", 1);
    lease_finish(&a);
    expect(&a, HEARTH_OK, "from a", 1);
    assert_string_equal(lease_at_node(rig), "=from b");
}

/* ---- writes meanwhile ---- */

static void a_delete_voids_the_load(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    lease_prepare(&a, rig->a, rig->key, "old row");
    lease_start_slow(&a);
    /* The key never existed: nothing but the lease tells of this. */
    assert_int_equal(hearth_delete(rig->b, rig->key, strlen(rig->key), NULL), HEARTH_MISS);
    lease_finish(&a);
    expect(&a, HEARTH_OK, "old row", 1);
    assert_string_equal(lease_at_node(rig), "MISS");
    assert_string_equal(cache_get(rig->a, rig->key, HEARTH_READ_NO_REMOTE), "MISS");
    assert_int_equal(cache_stats(rig->a).leases_void, 1);
}

static void a_set_stands(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    lease_prepare(&a, rig->a, rig->key, "old row");
    lease_start_slow(&a);
    assert_int_equal(cache_set(rig->b, rig->key, "new row"), HEARTH_OK);
    lease_finish(&a);
    assert_string_equal(lease_at_node(rig), "=new row");
    assert_string_equal(cache_get(rig->a, rig->key, 0), "=new row");
}

static void an_own_delete_lets_the_next_load_at_once(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch older;
    struct lease_fetch newer;
    lease_prepare(&older, rig->a, rig->key, "old row");
    lease_prepare(&newer, rig->a, rig->key, "new row");
    lease_start_slow(&older);
    assert_int_equal(hearth_delete(rig->a, rig->key, strlen(rig->key), NULL), HEARTH_MISS);
    assert_int_equal(lease_fetch(&newer), HEARTH_OK);
    expect(&newer, HEARTH_OK, "new row", 1);
    lease_finish(&older);
    assert_string_equal(lease_at_node(rig), "=new row");
    assert_string_equal(cache_get(rig->a, rig->key, 0), "=new row");
}

/* The older load ends while the newer one runs. */
static void an_older_load_leaves_the_newer_lease_alone(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch older;
    struct lease_fetch newer;
    lease_prepare(&older, rig->a, rig->key, "old row");
    lease_prepare(&newer, rig->b, rig->key, "new row");
    lease_start_slow(&older);
    assert_int_equal(hearth_delete(rig->b, rig->key, strlen(rig->key), NULL), HEARTH_MISS);
    lease_start_slow(&newer);
    lease_finish(&older);
    assert_string_equal(lease_at_node(rig), "MISS");
    lease_finish(&newer);
    expect(&newer, HEARTH_OK, "new row", 1);
    assert_string_equal(lease_at_node(rig), "=new row");
}

/* ---- renewals ---- */

static void a_stale_value_is_renewed_by_one(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_make_stale(rig->a, rig->key);
    lease_prepare(&a, rig->a, rig->key, "new");
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&a);
    assert_int_equal(lease_fetch(&b), HEARTH_OK); /* at once */
    assert_int_equal(lease_fetch(&b), HEARTH_OK);
    expect(&b, HEARTH_OK, "old", 0);
    assert_int_equal(cache_stats(rig->b).leases_lost, 1); /* it did not ask again */
    lease_finish(&a);
    expect(&a, HEARTH_OK, "new", 1);
    assert_string_equal(lease_at_node(rig), "=new");
    assert_int_equal(cache_stats(rig->a).leases, 0);
    /* The next renewal finds no lease in its way. */
    lease_make_stale(rig->a, rig->key);
    assert_int_equal(lease_fetch(&a), HEARTH_OK);
    expect(&a, HEARTH_OK, "new", 2);
}

static void a_renewal_that_fails_lets_another_try(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_make_stale(rig->a, rig->key);
    lease_prepare(&a, rig->a, rig->key, "new");
    lease_prepare(&b, rig->b, rig->key, "from b");
    a.source.returns = -1;
    assert_int_equal(lease_fetch(&a), HEARTH_OK);
    expect(&a, HEARTH_OK, "old", 1);
    assert_int_equal(lease_fetch(&b), HEARTH_OK);
    expect(&b, HEARTH_OK, "from b", 1);
}

static void a_write_voids_a_renewal(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    lease_make_stale(rig->a, rig->key);
    lease_prepare(&a, rig->a, rig->key, "renewed");
    lease_start_slow(&a);
    assert_int_equal(hearth_delete(rig->b, rig->key, strlen(rig->key), NULL), HEARTH_OK);
    lease_finish(&a);
    assert_string_equal(lease_at_node(rig), "MISS");
}

/* ---- fills in steps, batches, loaders that fetch ---- */

static hearth_fill *begin(struct lease_rig *rig, hearth *cache, uint32_t flags,
                          int32_t status) {
    hearth_fill *fill = NULL;
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = flags;
    assert_int_equal(
        hearth_fetch_begin(cache, rig->key, strlen(rig->key), &read, rig->value, &fill),
        status);
    return fill;
}

static void fills_in_steps_have_leases(void **state) {
    struct lease_rig *rig = *state;
    hearth_fill *fill = begin(rig, rig->a, 0, HEARTH_MISS);
    assert_non_null(fill);
    assert_null(begin(rig, rig->b, HEARTH_READ_NO_WAIT, HEARTH_MISS));
    assert_int_equal(hearth_fill_abandon(fill), HEARTH_OK);
    fill = begin(rig, rig->b, HEARTH_READ_NO_WAIT, HEARTH_MISS);
    assert_non_null(fill);
    assert_null(begin(rig, rig->a, HEARTH_READ_NO_WAIT, HEARTH_MISS));
    assert_int_equal(hearth_fill_value(fill, "stepwise", 8), HEARTH_OK);
    assert_int_equal(hearth_fill_commit(fill, NULL, NULL), HEARTH_OK);
    assert_null(begin(rig, rig->a, 0, HEARTH_OK));
    assert_string_equal(lease_at_node(rig), "=stepwise");
}

struct many {
    hearth *cache;
    char keys[3][40];
    struct source source;
    int32_t statuses[3];
    int32_t status;
};

static int32_t load_all(void *arg, size_t count, const void *const *keys, const size_t *sizes,
                        hearth_fill *const *fills) {
    struct source *source = arg;
    atomic_fetch_add(&source->calls, (int)count);
    for (size_t i = 0; i < count; i++) {
        (void)hearth_fill_value(fills[i], keys[i], sizes[i]);
    }
    event_raise(&source->entered);
    return HEARTH_OK;
}

static void *fetch_all(void *arg) {
    struct many *many = arg;
    const void *keys[] = {many->keys[0], many->keys[1], many->keys[2]};
    const size_t sizes[] = {strlen(many->keys[0]), strlen(many->keys[1]),
                            strlen(many->keys[2])};
    const hearth_loader loader = {
        .size = sizeof loader, .load_many = load_all, .arg = &many->source};
    many->status = hearth_fetch_many(many->cache, 3, keys, sizes, &loader, NULL, NULL, NULL,
                                     many->statuses);
    return NULL;
}

static void a_batch_loads_its_own_before_it_waits(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct many many = {.cache = rig->b, .source = {SOURCE_INIT}};
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        snprintf(many.keys[i], sizeof many.keys[i], "%s-%d", rig->key, i);
    }
    lease_prepare(&a, rig->a, many.keys[1], "from a");
    lease_start_slow(&a);
    assert_int_equal(pthread_create(&thread, NULL, fetch_all, &many), 0);
    assert_true(event_await(&many.source.entered, 1)); /* though one is another's */
    lease_finish(&a);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(many.status, HEARTH_OK);
    assert_int_equal(atomic_load(&many.source.calls), 2);
    assert_string_equal(cache_get(rig->b, many.keys[1], 0), "=from a");
    assert_string_equal(cache_get(rig->a, many.keys[0], 0) + strlen("="), many.keys[0]);
    assert_int_equal(cache_stats(rig->b).leases_won, 2);
    assert_int_equal(cache_stats(rig->b).leases_lost, 1);
}

static void a_batch_loads_what_another_failed_to(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct many many = {.cache = rig->b, .source = {SOURCE_INIT}};
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        snprintf(many.keys[i], sizeof many.keys[i], "%s-%d", rig->key, i);
    }
    lease_prepare(&a, rig->a, many.keys[1], "from a");
    a.source.returns = -1;
    lease_start_slow(&a);
    assert_int_equal(pthread_create(&thread, NULL, fetch_all, &many), 0);
    assert_true(event_await(&many.source.entered, 1));
    lease_finish(&a);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(many.status, HEARTH_OK);
    assert_int_equal(atomic_load(&many.source.calls), 3);
    assert_string_equal(cache_get(rig->a, many.keys[1], 0) + strlen("="), many.keys[1]);
}

/* A loader that fetches a key whose lease another process has: the two could wait for each other. */
static void fetch_inside(struct source *source, hearth_fill *fill) {
    (void)fill;
    struct lease_fetch *inner = source->arg;
    (void)lease_fetch(inner);
}

static void loaders_do_not_wait_for_each_other(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch outer;
    struct lease_fetch inner;
    char other[40];
    snprintf(other, sizeof other, "%s-outer", rig->key);
    static const char *const impatient[] = {"lease.wait_ms", "20", NULL};
    lease_reopen(rig, &rig->b, impatient);
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&inner, rig->b, rig->key, "inside");
    lease_prepare(&outer, rig->b, other, "outer");
    outer.source.inside = fetch_inside;
    outer.source.arg = &inner;
    lease_start_slow(&a);
    assert_int_equal(lease_fetch(&outer), HEARTH_OK);
    expect(&inner, HEARTH_OK, "inside", 1);
    lease_finish(&a);
    assert_string_equal(lease_at_node(rig),
                        "=from a"); /* what was loaded without a lease is not there */
}

/* ---- nodes that fail ---- */

static void who_waits_loads_when_the_node_is_gone(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch a;
    struct lease_fetch b;
    lease_prepare(&a, rig->a, rig->key, "from a");
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&a);
    lease_start(&b);
    LEASE_AWAIT(rig->b, leases_lost, 1);
    assert_true(proxy_door(rig->proxy, PROXY_SHUT));
    proxy_cut(rig->proxy, false);
    assert_true(event_await(&b.source.entered, 1));
    lease_finish(&b);
    expect(&b, HEARTH_OK, "from b", 1);
    assert_string_equal(lease_at_node(rig), "MISS");
    lease_finish(&a);
    assert_string_equal(lease_at_node(rig), "=from a");
}

static bool has_noticed(void *arg) {
    struct lease_rig *rig = arg;
    (void)cache_get(rig->b, "another key", HEARTH_READ_NO_LOCAL);
    return cache_stats(rig->b).disconnects != 0;
}

/* The lease is still there; but what became of it while the connection was lost, nobody knows. */
static void a_lost_connection_voids_the_lease(void **state) {
    struct lease_rig *rig = *state;
    struct lease_fetch b;
    lease_prepare(&b, rig->b, rig->key, "from b");
    lease_start_slow(&b);
    proxy_cut(rig->proxy, false);
    assert_true(await_until(has_noticed, rig));
    lease_finish(&b);
    expect(&b, HEARTH_OK, "from b", 1);
    assert_string_equal(lease_at_node(rig), "MISS");
    assert_string_equal(cache_get(rig->b, rig->key, HEARTH_READ_NO_REMOTE), "MISS");
    assert_int_equal(cache_stats(rig->b).leases_void, 1);
}

#define ON(kind, function) \
    cmocka_unit_test_setup_teardown(function, lease_open_##kind, lease_close)
#define ON_BOTH(function) ON(redis, function), ON(memcached, function)

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_BOTH(one_loads_and_the_other_gets_it),
        ON(libmemcached, one_loads_and_the_other_gets_it),
        ON_BOTH(of_a_thousand_callers_one_loads),
        ON_BOTH(an_absence_is_passed_on_too),
        ON_BOTH(a_load_that_fails_frees_the_lease),
        ON(libmemcached, a_load_that_fails_frees_the_lease),
        ON_BOTH(who_failed_leaves_no_lease_to_wait_for),
        ON_BOTH(who_waits_is_back_by_its_deadline),
        ON_BOTH(a_slow_load_keeps_its_lease),
        ON_BOTH(a_lease_is_not_extended_for_ever),
        ON_BOTH(without_leases_all_load),
        ON_BOTH(a_delete_voids_the_load),
        ON(libmemcached, a_delete_voids_the_load),
        ON_BOTH(a_set_stands),
        ON_BOTH(an_own_delete_lets_the_next_load_at_once),
        ON_BOTH(an_older_load_leaves_the_newer_lease_alone),
        ON_BOTH(a_stale_value_is_renewed_by_one),
        ON_BOTH(a_renewal_that_fails_lets_another_try),
        ON_BOTH(a_write_voids_a_renewal),
        ON_BOTH(fills_in_steps_have_leases),
        ON_BOTH(a_batch_loads_its_own_before_it_waits),
        ON_BOTH(a_batch_loads_what_another_failed_to),
        ON_BOTH(loaders_do_not_wait_for_each_other),
        ON_BOTH(who_waits_loads_when_the_node_is_gone),
        ON_BOTH(a_lost_connection_voids_the_lease),
    };
    return cmocka_run_group_tests(tests, lease_servers_start, lease_servers_stop);
}
