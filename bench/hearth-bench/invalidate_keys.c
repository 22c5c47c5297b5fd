/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many keys invalidated by one call, by their tag or with their namespace: how long the call takes beside a round trip (a get of a
 * key without either), and beside deleting the keys. A sample of them must be gone at once for the cache that did it, and within
 * coherence.version_ttl_ms for another one that has just read them.
 */
#include "hearth-bench/invalidate.h"

#include "base/clock.h"
#include "hearth-bench/report.h"
#include "hearth-bench/workload.h"
#include "sample.h"

enum {
    MANY_KEYS = 1000000,
    MANY_QUICK = 20000,
    SAMPLED = 1000, /* of the keys, evenly */
    CALLS = 51,     /* the first finds the keys there, all are timed */
    BOUND_MS = 100,
    PLAIN_KEY = 90000000, /* of no tag, in no namespace */
};

#define NS_PER_MS  1000000
#define BOUND_TEXT "100"

/* One way of invalidating, and what became of it. */
struct way {
    const char *name;
    hearth *ours; /* that invalidates; a cache, or a namespace of it */
    hearth *others;
    int32_t (*invalidate)(hearth *cache);
    double call_us[CALLS];
    double trip_us[CALLS];
    int64_t elsewhere_ns; /* until the other one had none of them */
};

struct run {
    struct invalidate_site site;
    uint32_t count;
    int64_t deletes_ns;
    hearth_value *value;
    struct way tag;
    struct way name;
};

static int32_t invalidate_tag(hearth *cache) {
    return hearth_invalidate_tag(cache, "product", 7, NULL);
}

static int32_t bump(hearth *view) {
    return hearth_namespace_bump(view, NULL);
}

/* ---- a sample --------------------------------------------------------------------------- */

static int32_t get(const struct run *run, hearth *cache, uint32_t id) {
    char key[KEY_SIZE];
    key_write(key, id);
    int32_t status = hearth_get(cache, key, KEY_SIZE, NULL, run->value);
    bool right = status != HEARTH_OK ||
                 value_is(hearth_value_data(run->value), hearth_value_size(run->value), id);
    return right ? status : HEARTH_E_PROTOCOL;
}

static uint32_t sampled(const struct run *run, uint32_t i) {
    return i * (run->count / SAMPLED);
}

static int sample_answers(const struct bench *bench, const struct run *run, hearth *cache,
                          int32_t wanted) {
    for (uint32_t i = 0; i < SAMPLED; i++) {
        int32_t status = get(run, cache, sampled(run, i));
        if (status != wanted) {
            return bench_fail(bench, "key %u: %s, wanted %s", (unsigned)sampled(run, i),
                              hearth_strerror(status), hearth_strerror(wanted));
        }
    }
    return 0;
}

/* A read that begins after the bound must not find anything. */
static int await_elsewhere(const struct bench *bench, const struct run *run, struct way *way,
                           int64_t done_ns) {
    for (uint32_t i = 0; i < SAMPLED; i++) {
        bool waited = i == 0;
        int64_t begin_ns = hearth__monotonic_ns();
        int32_t status = HEARTH_MISS;
        while ((status = get(run, way->others, sampled(run, i))) == HEARTH_OK) {
            if (begin_ns > done_ns + (int64_t)BOUND_MS * NS_PER_MS) {
                return bench_fail(bench, "%s: another cache still has key %u after %s ms",
                                  way->name, (unsigned)sampled(run, i), BOUND_TEXT);
            }
            waited = true;
            begin_ns = hearth__monotonic_ns();
        }
        if (status != HEARTH_MISS) {
            return bench_fail(bench, "%s", hearth_strerror(status));
        }
        if (waited) {
            way->elsewhere_ns = hearth__monotonic_ns() - done_ns;
        }
    }
    return 0;
}

/* ---- the calls -------------------------------------------------------------------------- */

/* A round trip, and a call. The time at which it had returned; -1: one of them failed, which was reported. */
static int64_t call_once(const struct bench *bench, const struct run *run, struct way *way,
                         size_t i) {
    char key[KEY_SIZE];
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_LOCAL;
    key_write(key, PLAIN_KEY);
    int64_t begin_ns = hearth__monotonic_ns();
    int32_t status = hearth_get(run->site.caches[0], key, KEY_SIZE, &read, run->value);
    int64_t read_ns = hearth__monotonic_ns();
    if (status == HEARTH_OK) {
        status = way->invalidate(way->ours);
    }
    int64_t done_ns = hearth__monotonic_ns();
    way->trip_us[i] = (double)(read_ns - begin_ns) / 1e3;
    way->call_us[i] = (double)(done_ns - read_ns) / 1e3;
    return status == HEARTH_OK ? done_ns : bench_fail(bench, "%s", hearth_strerror(status));
}

static int invalidate(const struct bench *bench, const struct run *run, struct way *way) {
    if (sample_answers(bench, run, way->ours, HEARTH_OK) != 0 ||
        sample_answers(bench, run, way->others, HEARTH_OK) != 0) {
        return -1;
    }
    int64_t done_ns = call_once(bench, run, way, 0);
    if (done_ns < 0 || await_elsewhere(bench, run, way, done_ns) != 0 ||
        sample_answers(bench, run, way->ours, HEARTH_MISS) != 0) {
        return -1;
    }
    for (size_t i = 1; i < CALLS; i++) {
        if (call_once(bench, run, way, i) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the case --------------------------------------------------------------------------- */

static void report(struct bench *bench, const struct run *run, const struct way *way) {
    char metric[64];
    const struct figure call = {sample_median(way->call_us, CALLS),
                                sample_spread(way->call_us, CALLS)};
    const struct figure trip = {sample_median(way->trip_us, CALLS),
                                sample_spread(way->trip_us, CALLS)};
    const struct figure first = {way->call_us[0], -1};
    (void)snprintf(metric, sizeof metric, "%s", way->name);
    bench_row(bench, metric, "us", call, "round-trip", trip);
    (void)snprintf(metric, sizeof metric, "%s first", way->name);
    bench_row(bench, metric, "us", first, "round-trip", (struct figure){trip.value, -1});
    bench_row(bench, metric, "us", first, "deletes",
              (struct figure){(double)run->deletes_ns / 1e3, -1});
    (void)snprintf(metric, sizeof metric, "%s elsewhere", way->name);
    bench_row(bench, metric, "ms", (struct figure){(double)way->elsewhere_ns / NS_PER_MS, -1},
              "bound", (struct figure){BOUND_MS, -1});
}

/* The tagged keys still lie there when they were invalidated, so that the peer can delete them. */
static int measure_tag(const struct bench *bench, struct run *run) {
    const void *tags[] = {"product"};
    const size_t sizes[] = {7};
    hearth_write_options write;
    hearth_write_options_init(&write, sizeof write);
    write.tags = tags;
    write.tag_sizes = sizes;
    write.tag_count = 1;
    if (invalidate_store(bench, run->tag.ours, PLAIN_KEY, 1, NULL) != 0 ||
        invalidate_store(bench, run->tag.ours, 0, run->count, &write) != 0 ||
        invalidate(bench, run, &run->tag) != 0) {
        return -1;
    }
    bench_progress(bench, "deletes");
    return invalidate_delete_all(bench, &run->site.servers.nodes[0], run->count,
                                 &run->deletes_ns);
}

static int measure_namespace(const struct bench *bench, struct run *run) {
    if (hearth_namespace_open(run->site.caches[0], "shop", 4, &run->name.ours) != HEARTH_OK ||
        hearth_namespace_open(run->site.caches[1], "shop", 4, &run->name.others) != HEARTH_OK) {
        return bench_fail(bench, "no namespace");
    }
    if (invalidate_store(bench, run->name.ours, 0, run->count, NULL) != 0) {
        return -1;
    }
    return invalidate(bench, run, &run->name);
}

static void end(struct run *run) {
    hearth_value_free(run->value);
    if (run->name.ours != NULL) {
        (void)hearth_close(run->name.ours);
    }
    if (run->name.others != NULL) {
        (void)hearth_close(run->name.others);
    }
    invalidate_close(&run->site);
}

static int run_on(struct bench *bench, enum server_kind kind) {
    static struct run run;
    const struct invalidate_plan plan = {kind, {"64mb", "64mb"}, BOUND_TEXT};
    run = (struct run){.count = bench->quick ? MANY_QUICK : MANY_KEYS,
                       .value = hearth_value_new(),
                       .tag = {.name = "tag", .invalidate = invalidate_tag},
                       .name = {.name = "bump", .invalidate = bump}};
    int result = invalidate_open(&run.site, bench, &plan);
    if (result == 0) {
        run.tag.ours = run.site.caches[0];
        run.tag.others = run.site.caches[1];
        result = run.value != NULL ? 0 : bench_fail(bench, "no memory");
    }
    if (result == 0) {
        result = measure_tag(bench, &run);
    }
    if (result == 0) {
        result = measure_namespace(bench, &run);
    }
    bench_progress_end(bench);
    if (result == 0) {
        report(bench, &run, &run.tag);
        report(bench, &run, &run.name);
        report_note(bench, "%u keys of %d bytes each way; a sample of %d was looked at",
                    (unsigned)run.count, VALUE_SIZE, SAMPLED);
    }
    end(&run);
    return result;
}

int invalidate_keys_redis(struct bench *bench, void *stage) {
    (void)stage;
    return run_on(bench, SERVER_REDIS);
}

int invalidate_keys_memcached(struct bench *bench, void *stage) {
    (void)stage;
    return run_on(bench, SERVER_MEMCACHED);
}
