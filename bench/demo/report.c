/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/report.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "demo/progress.h"

enum { CELL_BYTES = 32 };

/* ---- the tables ---- */

static double rate(uint64_t requests, uint64_t ns) {
    return ns == 0 ? 0 : (double)requests * 1e9 / (double)ns;
}

static double rate_of(const struct pass *pass) {
    return rate(pass->outcome.requests, pass->outcome.elapsed_ns);
}

/* Against the origin as it was on the way. */
static double times(const struct pass *pass) {
    double origin = rate(pass->origin_requests, pass->origin_ns);
    return origin > 0 ? rate_of(pass) / origin : 0;
}

static double percent(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static double answered_percent(const struct pass *pass, enum hearth_tier tier) {
    return percent(pass->outcome.answered[tier], pass->outcome.requests);
}

static const char *time_cell(char *cell, const struct pass *pass, double share) {
    double us = (double)latency_percentile(&pass->outcome.latency, share) / 1e3;
    if (us < 1000) {
        (void)snprintf(cell, CELL_BYTES, "%.1f us", us);
    } else {
        (void)snprintf(cell, CELL_BYTES, "%.2f ms", us / 1e3);
    }
    return cell;
}

static void say_speed(const struct pass *pass) {
    char rate[PROGRESS_COUNT_BYTES];
    char p50[CELL_BYTES];
    char p99[CELL_BYTES];
    char p999[CELL_BYTES];
    progress_say("%-29s %10s %7.1f %10s %10s %10s", pass->name,
                 progress_count(rate, (uint64_t)rate_of(pass)), times(pass),
                 time_cell(p50, pass, 50), time_cell(p99, pass, 99),
                 time_cell(p999, pass, 99.9));
}

static void say_sources(const struct pass *pass) {
    char loads[PROGRESS_COUNT_BYTES];
    char errors[PROGRESS_COUNT_BYTES];
    char hottest[CELL_BYTES] = "";
    if (pass->has_nodes) {
        (void)snprintf(hottest, sizeof hottest, "%.0f %% (%.0f %%)",
                       100 * pass->hottest_requests, 100 * pass->hottest_keys);
    }
    progress_say("%-29s %5.1f %% %5.1f %% %5.1f %% %8s %13s %6s", pass->name,
                 answered_percent(pass, HEARTH_TIER_LOCAL),
                 answered_percent(pass, HEARTH_TIER_REMOTE),
                 answered_percent(pass, HEARTH_TIER_LOADED), progress_count(loads, pass->loads),
                 hottest, progress_count(errors, pass->errors));
}

/* The passes of all shows, one after the other. */
static const struct pass *pass_of(const struct show *shows, size_t place) {
    return &shows[place / WAY_PASSES].passes[place % WAY_PASSES];
}

void report_tables(const struct pass *origin, const struct show *shows, size_t count) {
    progress_say("\n%-29s %10s %7s %10s %10s %10s", "How fast", "requests/s", "times", "p50",
                 "p99", "p99.9");
    say_speed(origin);
    for (size_t i = 0; i < count * WAY_PASSES; i++) {
        say_speed(pass_of(shows, i));
    }
    progress_say("(times: against the origin's rate in %.1f s of slices, within the same pass)",
                 (double)origin->outcome.elapsed_ns / 1e9);
    progress_say("\n%-29s %7s %7s %7s %8s %13s %6s", "From where", "local", "remote", "loaded",
                 "loads", "hottest node", "errors");
    say_sources(origin);
    for (size_t i = 0; i < count * WAY_PASSES; i++) {
        say_sources(pass_of(shows, i));
    }
}

/* ---- what they show ---- */

static void say_gain(const struct show *show) {
    const struct pass *cold = &show->passes[WAY_HEARTH_COLD];
    const struct pass *warm = &show->passes[WAY_HEARTH_WARM];
    progress_say("- %s: with Hearth %.1f times the origin's rate while the tiers fill, %.1f "
                 "times when they are\n"
                 "  full; %.1f %% and %.1f %% of the requests were answered in the process.",
                 way_server_name(show->kind), times(cold), times(warm),
                 answered_percent(cold, HEARTH_TIER_LOCAL),
                 answered_percent(warm, HEARTH_TIER_LOCAL));
}

static bool judge_kill(const struct show *show) {
    char request[PROGRESS_COUNT_BYTES];
    char loads[PROGRESS_COUNT_BYTES];
    char errors[PROGRESS_COUNT_BYTES];
    const struct pass *warm = &show->passes[WAY_HEARTH_WARM];
    const struct kill *kill = &show->kill;
    if (!kill->is_done) {
        progress_say("- %s: BROKEN: no node was killed.", way_server_name(show->kind));
        return false;
    }
    progress_say(
        "- %s: node %zu of %d was killed with signal 9 after %.2f s of the warm pass, at "
        "request %s.\n"
        "  Requests that failed: %" PRIu64 ". The library counted %s errors of the node "
        "and loaded %s times\n"
        "  what it had held.",
        way_server_name(show->kind), kill->node, STAGE_NODES, (double)kill->at_ns / 1e9,
        progress_count(request, kill->at_request), warm->outcome.failed,
        progress_count(errors, warm->errors), progress_count(loads, warm->loads));
    return true;
}

/* A node that does not answer in time costs at most one load for each such error. */
static bool judge_loads(const char *server, const char *way, const struct ledger_sums *sums,
                        uint64_t errors) {
    char loads[PROGRESS_COUNT_BYTES];
    char keys[PROGRESS_COUNT_BYTES];
    (void)progress_count(loads, sums->loads);
    (void)progress_count(keys, sums->keys);
    if (sums->repeated == 0) {
        progress_say(
            "- %s, %s: %s loads for %s pages, none twice: at most one a key and expiry.",
            server, way, loads, keys);
        return true;
    }
    progress_say("- %s, %s: %s loads for %s pages, up to %" PRIu64 " of one page.", server, way,
                 loads, keys, sums->key_loads);
    if (sums->repeated > errors) {
        progress_say("  BROKEN: at most one load per key and expiry.");
        return false;
    }
    progress_say("  %" PRIu64
                 " times a node did not answer in time (remote.timeout_ms): such a "
                 "page is loaded again.",
                 errors);
    return true;
}

static bool judge_show(const struct show *show) {
    const char *server = way_server_name(show->kind);
    const struct pass *passes = show->passes;
    uint64_t remote_errors = passes[WAY_REMOTE_COLD].errors + passes[WAY_REMOTE_WARM].errors;
    uint64_t cold_errors = passes[WAY_HEARTH_COLD].errors;
    uint64_t hearth_errors = cold_errors + passes[WAY_HEARTH_WARM].errors;
    bool kept = judge_loads(server, "remote only", &show->remote_loads, remote_errors);
    if (!show->kills) {
        return judge_loads(server, "Hearth", &show->hearth_loads, hearth_errors) && kept;
    }
    kept = judge_loads(server, "Hearth, cold", &show->cold_loads, cold_errors) && kept;
    return judge_kill(show) && kept;
}

static bool judge_answers(const struct pass *origin, const struct show *shows, size_t count) {
    char requests[PROGRESS_COUNT_BYTES];
    struct crew_outcome sum = {.requests = origin->outcome.requests,
                               .failed = origin->outcome.failed,
                               .failure = origin->outcome.failure,
                               .wrong = origin->outcome.wrong};
    for (size_t i = 0; i < count * WAY_PASSES; i++) {
        const struct crew_outcome *outcome = &pass_of(shows, i)->outcome;
        sum.requests += outcome->requests;
        sum.failed += outcome->failed;
        sum.failure = outcome->failed != 0 ? outcome->failure : sum.failure;
        sum.wrong += outcome->wrong;
    }
    progress_say("- %s requests were answered and checked: %" PRIu64 " failed%s%s%s, %" PRIu64
                 " got another key's page.",
                 progress_count(requests, sum.requests), sum.failed,
                 sum.failed != 0 ? " (" : "",
                 sum.failed != 0 ? hearth_status_name(sum.failure) : "",
                 sum.failed != 0 ? ")" : "", sum.wrong);
    return sum.failed == 0 && sum.wrong == 0;
}

bool report_verdict(const struct pass *origin, const struct show *shows, size_t count) {
    bool kept = true;
    progress_say("\nWhat this shows");
    for (size_t i = 0; i < count; i++) {
        say_gain(&shows[i]);
        kept = judge_show(&shows[i]) && kept;
    }
    return judge_answers(origin, shows, count) && kept;
}
