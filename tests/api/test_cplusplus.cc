/* SPDX-License-Identifier: Apache-2.0 */
/* hearth.hpp: what it adds to hearth.h, which has its own tests. */
#include <hearth/hearth.hpp>

#include <atomic>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

extern "C" {
#include <cmocka.h>
}

using std::chrono::milliseconds;

static_assert(!std::is_copy_constructible_v<hearthpp::cache> &&
              std::is_nothrow_move_constructible_v<hearthpp::cache>);
static_assert(!std::is_copy_constructible_v<hearthpp::value> &&
              std::is_nothrow_move_assignable_v<hearthpp::value>);
static_assert(!std::is_copy_constructible_v<hearthpp::queue>);
static_assert(!std::is_copy_constructible_v<hearthpp::cache_namespace> &&
              std::is_nothrow_move_assignable_v<hearthpp::cache_namespace>);

static void values_go_and_come(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open({{"local.max_bytes", "1mb"}}).value();
    hearthpp::value value;
    const std::byte raw[] = {std::byte{1}, std::byte{0}, std::byte{2}};
    assert_true(cache.get("key", value) == HEARTH_MISS);
    assert_true(cache.set("key", hearthpp::view_of({raw, 3})).ok());
    assert_true(cache.get("key", value).ok());
    assert_int_equal(value.size(), 3);
    assert_true(value.as_bytes()[2] == std::byte{2});
    assert_int_equal(value.info().tier(), HEARTH_TIER_LOCAL);
    assert_true(cache.erase("key").ok());
    assert_true(cache.exists("key") == HEARTH_MISS);
}

static void times_are_durations(void **state) {
    (void)state;
    using namespace std::chrono_literals;
    auto cache = hearthpp::cache::open().value();
    hearthpp::value value;
    assert_true(cache.set("key", "text", hearthpp::write_options().ttl(1h).content(7)).ok());
    assert_true(cache.get("key", value, hearthpp::read_options().deadline(1s)).ok());
    assert_true(value.info().ttl_left() > 59min && value.info().ttl_left() <= 1h);
    assert_int_equal(value.info().content(), 7);
}

static void a_callable_loads(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open().value();
    hearthpp::value value;
    int calls = 0;
    auto load = [&](std::string_view key, hearthpp::fill &fill) {
        calls++;
        return fill.value("row of " + std::string(key));
    };
    for (int i = 0; i < 2; i++) {
        assert_true(cache.fetch("user:1", value, load).ok());
        assert_true(value.view() == "row of user:1");
    }
    assert_int_equal(calls, 1);
    assert_true(cache.fetch("none", value, [](std::string_view, hearthpp::fill &fill) {
        return fill.absent();
    }) == HEARTH_ABSENT);
    assert_true(cache.fetch("bad", value, [](std::string_view, hearthpp::fill &) {
        return hearthpp::status(HEARTH_E_UNAVAILABLE);
    }) == HEARTH_E_LOADER);
}

static void what_a_loader_throws_comes_out_of_the_fetch(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open().value();
    hearthpp::value value;
    bool caught = false;
    try {
        (void)cache.fetch("key", value,
                          [](std::string_view, hearthpp::fill &) -> hearthpp::status {
                              throw std::out_of_range("no row");
                          });
    } catch (const std::out_of_range &thrown) {
        caught = std::string(thrown.what()) == "no row";
    }
    assert_true(caught);
    assert_true(cache.set("key", "text").ok()); /* the load is over */
}

/* ---- a loader of hearth.h that throws: faults.md, row 14 ---- */

/* Throws on the thread that calls it once as many wait for it, or at once. */
struct thrower {
    hearth *cache = nullptr;
    std::uint64_t waiters = 0;
    std::atomic<int> calls{0};
    bool throws = true;

    thrower() {
        hearthpp::options options;
        assert_true(options.set("load.max_concurrent", "1").ok());
        assert_int_equal(hearth_open(options.get(), &cache), HEARTH_OK);
    }
};

static hearth_stats stats_of(thrower &own) {
    hearth_stats stats = {};
    stats.size = sizeof stats;
    assert_int_equal(hearth_stats_get(own.cache, &stats), HEARTH_OK);
    return stats;
}

static void leave_or_fill(thrower &own, hearth_fill *const *fills, std::size_t count) {
    own.calls++;
    if (own.throws) {
        while (stats_of(own).flight_waits < own.waiters) {
            std::this_thread::yield();
        }
        (void)hearth_fill_value(fills[0], "half", 4);
        throw std::out_of_range("no row");
    }
    for (std::size_t i = 0; i < count; i++) {
        (void)hearth_fill_value(fills[i], "row", 3);
    }
}

static std::int32_t load_one(void *arg, const void *, std::size_t, hearth_fill *fill) {
    leave_or_fill(*static_cast<thrower *>(arg), &fill, 1);
    return HEARTH_OK;
}

static std::int32_t load_all(void *arg, std::size_t count, const void *const *,
                             const std::size_t *, hearth_fill *const *fills) {
    leave_or_fill(*static_cast<thrower *>(arg), fills, count);
    return HEARTH_OK;
}

static hearth_loader loader_of(thrower &own, bool many) {
    hearth_loader loader = {};
    loader.size = sizeof loader;
    loader.load = load_one;
    loader.load_many = many ? load_all : nullptr;
    loader.arg = &own;
    return loader;
}

static std::int32_t fetch_key(thrower &own,
                              const hearthpp::read_options &read = hearthpp::read_options(),
                              hearth_value *value = nullptr) {
    const hearth_loader loader = loader_of(own, false);
    return hearth_fetch(own.cache, "b", 1, &loader, read.get(), nullptr, value);
}

/* A batch of "a", "b" and "c". */
static std::int32_t fetch_three(thrower &own, bool many) {
    const void *const keys[] = {"a", "b", "c"};
    const std::size_t sizes[] = {1, 1, 1};
    std::int32_t statuses[3];
    const hearth_loader loader = loader_of(own, many);
    return hearth_fetch_many(own.cache, 3, keys, sizes, &loader, nullptr, nullptr, nullptr,
                             statuses);
}

template <typename F> static bool throws_out_of_range(F call) {
    try {
        (void)call();
    } catch (const std::out_of_range &) {
        return true;
    }
    return false;
}

/* As if the load had only failed: no load runs, none has its place, nobody is inside, and the next one is stored. */
static void expect_nothing_left(thrower &own) {
    const hearth_stats stats = stats_of(own);
    assert_int_equal(stats.flights, 0);
    assert_int_equal(stats.loads_running, 0);
    own.throws = false;
    assert_int_equal(fetch_three(own, false), HEARTH_OK);
    hearthpp::value value;
    assert_int_equal(hearth_get(own.cache, "b", 1, nullptr, value.get()), HEARTH_OK);
    assert_true(value.view() == "row");
    assert_int_equal(hearth_close(own.cache), HEARTH_OK);
}

static void who_waits_for_a_loader_that_throws_is_released(void **state) {
    (void)state;
    enum { WAITERS = 4 };
    thrower own;
    std::int32_t statuses[WAITERS] = {};
    std::vector<std::thread> waiters;
    own.waiters = WAITERS;
    std::thread leader(
        [&] { assert_true(throws_out_of_range([&] { return fetch_key(own); })); });
    while (own.calls == 0) {
        std::this_thread::yield();
    }
    for (std::int32_t &status : statuses) {
        waiters.emplace_back([&own, &status] { status = fetch_key(own); });
    }
    leader.join();
    for (std::thread &waiter : waiters) {
        waiter.join();
    }
    for (std::int32_t status : statuses) {
        assert_int_equal(status, HEARTH_E_LOADER);
    }
    assert_int_equal(own.calls, 1);
    assert_int_equal(stats_of(own).load_errors, 1);
    expect_nothing_left(own);
}

static void a_loader_that_throws_leaves_what_there_is(void **state) {
    (void)state;
    thrower own;
    hearthpp::value value;
    hearthpp::read_options read;
    assert_int_equal(hearth_set(own.cache, "b", 1, "old", 3, nullptr), HEARTH_OK);
    read.flags(HEARTH_READ_RELOAD);
    assert_true(throws_out_of_range([&] { return fetch_key(own, read); }));
    assert_true(throws_out_of_range([&] { return fetch_key(own, read, value.get()); }));
    for (std::uint32_t tier : {HEARTH_READ_NO_LOCAL, HEARTH_READ_NO_REMOTE}) {
        read.flags(tier);
        assert_int_equal(hearth_get(own.cache, "b", 1, read.get(), value.get()), HEARTH_OK);
        assert_true(value.view() == "old");
    }
    assert_int_equal(hearth_delete(own.cache, "b", 1, nullptr), HEARTH_OK);
    expect_nothing_left(own);
}

static void a_batch_whose_loader_throws_leaves_nothing(void **state) {
    (void)state;
    for (bool many : {false, true}) {
        thrower own;
        assert_true(throws_out_of_range([&] { return fetch_three(own, many); }));
        assert_int_equal(own.calls, 1);
        expect_nothing_left(own);
    }
}

static void mistakes_are_told_with_and_without_exceptions(void **state) {
    (void)state;
    auto refused = hearthpp::cache::open({{"remote.timeout", "5"}});
    assert_false(refused.ok());
    assert_true(refused.code() == HEARTH_E_INVALID);
    assert_true(refused.why().find("remote.timeout_ms") != std::string::npos);
    bool caught = false;
    try {
        (void)hearthpp::cache::open({{"ttl_ms", "yes"}}).value();
    } catch (const hearthpp::error &thrown) {
        caught = thrown.code() == HEARTH_E_INVALID &&
                 std::string(thrown.what()).find("ttl_ms") != std::string::npos;
    }
    assert_true(caught);
    hearthpp::cache empty;
    assert_true(empty.set("key", "text") == HEARTH_E_INVALID);
}

static void handles_move(void **state) {
    (void)state;
    auto first = hearthpp::cache::open().value();
    assert_true(first.set("key", "text").ok());
    hearthpp::cache second = std::move(first);
    hearthpp::value value;
    assert_true(second.get("key", value).ok());
    hearthpp::value other = std::move(value);
    assert_true(other.view() == "text");
    second = hearthpp::cache();
    assert_true(second.get("key", other) == HEARTH_E_INVALID);
}

static void a_namespace_is_forgotten_at_once(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open().value();
    auto users = cache.open_namespace("users").value();
    hearthpp::value value;
    assert_true(cache.set("7", "own").ok());
    for (bool bump : {true, false}) {
        assert_true(users.set("7", "Ada").ok());
        assert_true(users.get("7", value).ok());
        assert_true(value.view() == "Ada");
        assert_true((bump ? users.bump() : users.clear()).ok());
        assert_true(users.get("7", value) == HEARTH_MISS);
        assert_true(cache.get("7", value).ok());
        assert_true(value.view() == "own");
    }
    assert_true(users
                    .fetch("8", value,
                           [](std::string_view key, hearthpp::fill &fill) {
                               return fill.value("row of " + std::string(key));
                           })
                    .ok());
    assert_true(value.view() == "row of 8");
    assert_true(cache.exists("8") == HEARTH_MISS);
    assert_true(cache.clear().ok());
    assert_true(cache.exists("7") == HEARTH_MISS);
    assert_true(users.exists("8").ok());
    auto refused = cache.open_namespace("a blank");
    assert_true(refused.code() == HEARTH_E_INVALID);
}

static void a_namespace_ends_alone(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open().value();
    hearthpp::cache_namespace kept;
    assert_true(kept.bump() == HEARTH_E_INVALID);
    {
        auto users = cache.open_namespace("users").value();
        auto same = users.open_namespace("users").value();
        assert_true(users.set("7", "Ada").ok());
        assert_true(users.close().ok());
        assert_true(users.exists("7") == HEARTH_E_INVALID);
        kept = std::move(same);
    }
    assert_true(kept.exists("7").ok());
    assert_true(cache.set("7", "own").ok());
    auto queue = hearthpp::queue::open(kept).value();
    hearthpp::value value;
    std::uint64_t ticket = 0;
    assert_true(queue.get("7", value, nullptr, ticket).ok());
    assert_int_equal(ticket, 0);
    assert_true(value.view() == "Ada");
    assert_true(kept.evict_local("7").ok());
    assert_true(queue.get("7", value, nullptr, ticket).ok());
    assert_int_not_equal(ticket, 0);
    assert_true(
        queue
            .collect(
                [](const hearth_result &result) { assert_int_equal(result.status, HEARTH_OK); },
                milliseconds(30000))
            .ok());
    assert_true(value.view() == "Ada");
}

static void many_keys_at_once(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open().value();
    assert_true(cache.set("a", "1").ok());
    const std::vector<std::string_view> keys = {"a", "b"};
    std::vector<hearthpp::value> values(2);
    std::vector<std::int32_t> statuses(2);
    assert_true(cache.get_many(keys, values, statuses).ok());
    assert_true(values[0].view() == "1");
    assert_int_equal(statuses[1], HEARTH_MISS);
    statuses.pop_back();
    assert_true(cache.get_many(keys, values, statuses) == HEARTH_E_INVALID);
}

static void a_queue_gives_results(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open({{"local.max_bytes", "0"}}).value();
    auto queue = hearthpp::queue::open(cache).value();
    assert_true(queue.event_fd().value() >= 0);
    hearthpp::value value;
    int tag = 0;
    std::uint64_t ticket = 0;
    std::uint64_t seen = 0;
    assert_true(queue.set("key", "text", &tag, ticket).ok());
    assert_true(queue.get("key", value, &tag, ticket).ok());
    assert_true(ticket != 0);
    for (int results = 0; results < 2;) {
        assert_true(queue
                        .collect(
                            [&](const hearth_result &result) {
                                results++;
                                seen = result.tag == &tag && result.status == HEARTH_OK
                                           ? result.ticket
                                           : seen;
                            },
                            milliseconds(30000))
                        .ok());
    }
    assert_int_equal(seen, ticket);
    assert_true(value.view() == "text");
    assert_true(queue.cancel(ticket) == HEARTH_MISS);
}

/* What comes of what was submitted with this ticket. */
static hearth_result result_of(const hearthpp::queue &queue, hearthpp::status submitted,
                               std::uint64_t ticket) {
    hearth_result found = {};
    assert_true(submitted.ok() && ticket != 0);
    assert_true(
        queue.collect([&](const hearth_result &result) { found = result; }, milliseconds(30000))
            .ok());
    assert_int_equal(found.ticket, ticket);
    return found;
}

static void a_queue_writes_in_every_way(void **state) {
    (void)state;
    auto cache = hearthpp::cache::open({}).value();
    auto queue = hearthpp::queue::open(cache).value();
    std::uint64_t ticket = 0;
    auto status_of = [&](hearthpp::status submitted) {
        return result_of(queue, submitted, ticket).status;
    };
    assert_int_equal(status_of(queue.replace("key", "text", nullptr, ticket)), HEARTH_MISS);
    assert_int_equal(status_of(queue.add("key", "text", nullptr, ticket)), HEARTH_OK);
    assert_int_equal(status_of(queue.add("key", "text", nullptr, ticket)), HEARTH_EXISTS);
    assert_int_equal(status_of(queue.touch("key", nullptr, ticket,
                                           hearthpp::write_options().ttl(milliseconds(9000)))),
                     HEARTH_OK);
    assert_int_equal(status_of(queue.mark_stale("key", nullptr, ticket)), HEARTH_OK);
    assert_int_equal(status_of(queue.invalidate_tag("red", nullptr, ticket)), HEARTH_OK);
    assert_int_equal(status_of(queue.erase("key", nullptr, ticket)), HEARTH_OK);
    assert_int_equal(
        status_of(queue.add("count", "7", nullptr, ticket,
                            hearthpp::write_options().flags(HEARTH_WRITE_INTEGER))),
        HEARTH_OK);
    hearthpp::status submitted = queue.increment("count", 5, nullptr, ticket);
    assert_int_equal(result_of(queue, submitted, ticket).number, 12);
    assert_true(cache.mark_stale("key") == HEARTH_MISS);
    assert_true(cache.invalidate_tag("red").ok());
}

int main() {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_and_come),
        cmocka_unit_test(times_are_durations),
        cmocka_unit_test(a_callable_loads),
        cmocka_unit_test(what_a_loader_throws_comes_out_of_the_fetch),
        cmocka_unit_test(who_waits_for_a_loader_that_throws_is_released),
        cmocka_unit_test(a_loader_that_throws_leaves_what_there_is),
        cmocka_unit_test(a_batch_whose_loader_throws_leaves_nothing),
        cmocka_unit_test(mistakes_are_told_with_and_without_exceptions),
        cmocka_unit_test(handles_move),
        cmocka_unit_test(a_namespace_is_forgotten_at_once),
        cmocka_unit_test(a_namespace_ends_alone),
        cmocka_unit_test(many_keys_at_once),
        cmocka_unit_test(a_queue_gives_results),
        cmocka_unit_test(a_queue_writes_in_every_way),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
