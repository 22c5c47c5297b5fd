/* SPDX-License-Identifier: Apache-2.0 */
/* The suite `memory`: how much of the local tier's bound is of use, and whether the bound holds.
 * What lives is counted from the outside, by asking for every key that could. */
#include "hearth-bench/ours.h"
#include "hearth-bench/peers.h"

#include "splitmix.h"
#include "zipf.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LIMIT = 64 << 20,
    LIMIT_QUICK = 4 << 20,
    MAX_ENTRY_BYTES = 4096,
    CHURN = 10, /* times the limit */
    OVERWRITE_PERCENT = 20,
    DELETE_PERCENT = 10,
    SIZE_MOST = 1024,
    SOFT_TTL_MS = 6 * 3600 * 1000,
};

/* What a case does to the tier. */
struct load {
    bool described; /* entries have version, soft expiry and the duration of their load */
    unsigned overwrite_percent;
    unsigned delete_percent;
    unsigned churn;    /* times the limit */
    size_t value_size; /* on the average */
    size_t varies;     /* sizes lie so far on either side of it */
    uint32_t popular; /* by Zipf's law among so many keys, half gets and half sets; 0: new keys,
                          with the overwrites and deletes above */
};

struct tier {
    struct ours ours;
    size_t limit;
    const struct load *load;
    uint64_t random;
    uint32_t next; /* keys from here on were never set */
    uint64_t written_bytes;
    unsigned char value[SIZE_MOST];
    size_t value_size; /* of the present set */
    /* The watcher's: */
    pthread_t watcher;
    atomic_bool ended;
    uint64_t tracked_most;
};

struct live {
    uint64_t entries;
    uint64_t bytes; /* of keys and values */
};

static double mib(double bytes) {
    return bytes / (1 << 20);
}

static struct figure once(double value) {
    return (struct figure){value, -1};
}

/* ---- the process's memory --------------------------------------------------------------- */

static size_t resident_bytes(void) {
    char text[128] = "";
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL && fgets(text, sizeof text, file) != NULL) {
        char *end = text;
        (void)strtoul(text, &end, 10); /* the first number counts what is mapped */
        pages = strtoul(end, NULL, 10);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- one operation ---------------------------------------------------------------------- */

static int32_t load_value(void *arg, const void *key, size_t key_size, hearth_fill *fill) {
    const struct tier *tier = arg;
    (void)key;
    (void)key_size;
    return hearth_fill_value(fill, tier->value, tier->value_size);
}

/* A load leaves how long it took; a set does not. */
static int32_t put_described(struct tier *tier, const char *key) {
    const hearth_loader loader = {.size = sizeof loader, .load = load_value, .arg = tier};
    hearth_read_options read;
    hearth_read_options_init(&read, sizeof read);
    read.flags = HEARTH_READ_NO_REMOTE;
    hearth_write_options write = tier->ours.write;
    write.flags = 0; /* a fetch has no flags of its own for its write: the read's count */
    return hearth_fetch(tier->ours.cache, key, KEY_SIZE, &loader, &read, &write, NULL);
}

static int32_t put(struct tier *tier, uint32_t id, bool is_new) {
    char key[KEY_SIZE];
    key_write(key, id);
    tier->value_size = tier->load->value_size;
    if (tier->load->varies != 0) {
        uint32_t width = (uint32_t)tier->load->varies * 2 + 1;
        tier->value_size += splitmix_below(&tier->random, width) - tier->load->varies;
    }
    tier->written_bytes += KEY_SIZE + tier->value_size;
    if (tier->load->described && is_new) {
        return put_described(tier, key);
    }
    return hearth_set(tier->ours.cache, key, KEY_SIZE, tier->value, tier->value_size,
                      &tier->ours.write);
}

/* One of the keys that were new last and surely live. */
static uint32_t recent(struct tier *tier) {
    uint32_t window = (uint32_t)(tier->limit / 512);
    window = window < tier->next ? window : tier->next;
    return tier->next - 1 - splitmix_below(&tier->random, window);
}

static int32_t churn_once(struct tier *tier) {
    uint32_t drawn = splitmix_below(&tier->random, 100);
    if (tier->next == 0 ||
        drawn >= tier->load->overwrite_percent + tier->load->delete_percent) {
        return put(tier, tier->next++, true);
    }
    if (drawn < tier->load->overwrite_percent) {
        return put(tier, recent(tier), false);
    }
    char key[KEY_SIZE];
    key_write(key, recent(tier));
    (void)hearth_evict_local(tier->ours.cache, key, KEY_SIZE);
    return HEARTH_OK;
}

/* Half of the requests read, and set what they miss; half set. */
static int32_t popular_once(struct tier *tier, const struct zipf *zipf) {
    uint64_t drawn = splitmix(&tier->random);
    /* Ranks are spread over the numbers. */
    uint32_t id = (uint32_t)(zipf_rank(zipf, drawn) * UINT64_C(2654435761) % zipf->count);
    if ((drawn & 1) != 0 && ours_find(&tier->ours, id)) {
        return HEARTH_OK;
    }
    return put(tier, id, false);
}

static bool has_enough(const struct tier *tier) {
    return tier->written_bytes / tier->load->churn >= tier->limit;
}

static int32_t churn(struct tier *tier) {
    int32_t status = HEARTH_OK;
    while (status == HEARTH_OK && !has_enough(tier)) {
        status = churn_once(tier);
    }
    return status;
}

static int32_t churn_popular(struct tier *tier) {
    struct zipf zipf;
    int32_t status = HEARTH_OK;
    zipf_init(&zipf, tier->load->popular, 0.99);
    tier->next = tier->load->popular;
    while (status == HEARTH_OK && !has_enough(tier)) {
        status = popular_once(tier, &zipf);
    }
    return status;
}

/* ---- what lives ------------------------------------------------------------------------- */

static struct live count_live(struct tier *tier) {
    struct live live = {0, 0};
    for (uint32_t id = 0; id < tier->next; id++) {
        if (ours_find(&tier->ours, id)) {
            live.entries++;
            live.bytes += KEY_SIZE + hearth_value_size(tier->ours.values[0][0]);
        }
    }
    return live;
}

/* The bound holds at every moment, so it is looked at all the time. */
static void *watch(void *arg) {
    struct tier *tier = arg;
    while (!atomic_load(&tier->ended)) {
        uint64_t tracked = ours_stats(&tier->ours).local_bytes;
        tier->tracked_most = tracked > tier->tracked_most ? tracked : tier->tracked_most;
        (void)usleep(50);
    }
    return NULL;
}

static int churn_watched(struct tier *tier, const struct bench *bench) {
    if (pthread_create(&tier->watcher, NULL, watch, tier) != 0) {
        return bench_fail(bench, "no thread");
    }
    bench_progress(bench, "writing %u times the limit", tier->load->churn);
    int32_t status = tier->load->popular != 0 ? churn_popular(tier) : churn(tier);
    atomic_store(&tier->ended, true);
    (void)pthread_join(tier->watcher, NULL);
    bench_progress_end(bench);
    return status == HEARTH_OK ? 0 : bench_fail(bench, "%s", hearth_strerror(status));
}

/* What a tier under this load has come to. */
struct outcome {
    struct live live;
    size_t limit;
    double tracked_most;
    double tracked;
    double resident; /* more than before it was opened */
};

static int run_load(struct bench *bench, const struct load *load, struct outcome *outcome) {
    struct tier tier = {
        .limit = bench->quick ? LIMIT_QUICK : LIMIT, .load = load, .random = bench->seed};
    const struct ours_settings settings = {.max_bytes = tier.limit,
                                           .max_entry_bytes = MAX_ENTRY_BYTES};
    (void)malloc_trim(0);
    size_t resident_before = resident_bytes();
    memset(tier.value, 'h', sizeof tier.value);
    int result = ours_open(&tier.ours, bench, &settings);
    if (load->described) {
        tier.ours.write.soft_ttl_ms = SOFT_TTL_MS;
    }
    if (result == 0) {
        result = churn_watched(&tier, bench);
    }
    if (result == 0) {
        outcome->resident = (double)resident_bytes() - (double)resident_before;
        outcome->tracked = (double)ours_stats(&tier.ours).local_bytes;
        outcome->tracked_most = (double)tier.tracked_most;
        outcome->limit = tier.limit;
        outcome->live = count_live(&tier);
    }
    ours_close(&tier.ours);
    return result;
}

/* ---- rows ------------------------------------------------------------------------------- */

static double share_of(const struct outcome *outcome) {
    return (double)outcome->live.bytes / (double)outcome->limit;
}

static void row_bounds(struct bench *bench, const struct outcome *outcome) {
    double limit_mib = mib((double)outcome->limit);
    bench_row(bench, "tracked-max", "MiB", once(mib(outcome->tracked_most)), "limit",
              once(limit_mib));
    bench_row(bench, "rss", "MiB", once(mib(outcome->resident)), "limit", once(limit_mib));
}

/* Bytes an entry that are neither key nor value; and the peer's, holding as many. */
static int row_overhead(struct bench *bench, const struct outcome *outcome) {
    uint32_t entries = (uint32_t)outcome->live.entries;
    struct sharded_lru *lru = sharded_create(entries, NULL);
    int failed = lru == NULL || entries == 0;
    for (uint32_t id = 0; !failed && id < entries; id++) {
        failed = sharded_put(lru, id);
    }
    if (!failed) {
        double limit = (double)outcome->limit;
        double theirs = (double)sharded_bytes(lru) / (double)sharded_entries(lru);
        bench_row(bench, "overhead", "B/entry",
                  once((limit - (double)outcome->live.bytes) / entries), "sharded-lru",
                  once(theirs - KEY_SIZE - VALUE_SIZE));
    }
    sharded_destroy(lru);
    return failed ? bench_fail(bench, "nothing lives, or no memory") : 0;
}

static int measure(struct bench *bench, const struct load *load) {
    struct outcome outcome;
    if (run_load(bench, load, &outcome) != 0 || row_overhead(bench, &outcome) != 0) {
        return -1;
    }
    row_bounds(bench, &outcome);
    return 0;
}

static int plain(struct bench *bench, void *stage) {
    (void)stage;
    return measure(bench, &(struct load){.value_size = VALUE_SIZE,
                                         .overwrite_percent = OVERWRITE_PERCENT,
                                         .churn = CHURN});
}

static int plain_deletes(struct bench *bench, void *stage) {
    (void)stage;
    return measure(bench, &(struct load){.value_size = VALUE_SIZE,
                                         .overwrite_percent = OVERWRITE_PERCENT,
                                         .delete_percent = DELETE_PERCENT,
                                         .churn = CHURN});
}

static int described(struct bench *bench, void *stage) {
    (void)stage;
    return measure(bench, &(struct load){.value_size = VALUE_SIZE,
                                         .described = true,
                                         .overwrite_percent = OVERWRITE_PERCENT,
                                         .churn = CHURN});
}

static int described_deletes(struct bench *bench, void *stage) {
    (void)stage;
    return measure(bench, &(struct load){.value_size = VALUE_SIZE,
                                         .described = true,
                                         .overwrite_percent = OVERWRITE_PERCENT,
                                         .delete_percent = DELETE_PERCENT,
                                         .churn = CHURN});
}

/* Beside a tier of the same size with entries of the same sizes, into which only new keys were
 * set: what is missing is what dead entries hold. */
static int popular(struct bench *bench, size_t varies) {
    struct outcome outcome;
    struct outcome fresh;
    size_t limit = bench->quick ? LIMIT_QUICK : LIMIT;
    const struct load load = {.value_size = VALUE_SIZE,
                              .varies = varies,
                              .popular = (uint32_t)(limit / 40), /* some four times what fits */
                              .churn = CHURN};
    const struct load inserts = {.value_size = VALUE_SIZE, .varies = varies, .churn = 2};
    if (run_load(bench, &load, &outcome) != 0 || run_load(bench, &inserts, &fresh) != 0) {
        return -1;
    }
    bench_row(bench, "live-share", "of limit", once(share_of(&outcome)), "insert-only",
              once(share_of(&fresh)));
    row_bounds(bench, &outcome);
    return 0;
}

static int zipf_overwrites(struct bench *bench, void *stage) {
    (void)stage;
    return popular(bench, 0);
}

static int zipf_resized(struct bench *bench, void *stage) {
    (void)stage;
    return popular(bench, VALUE_SIZE / 2);
}

static int tiny(struct bench *bench, void *stage) {
    (void)stage;
    struct outcome outcome;
    if (run_load(bench, &(struct load){.value_size = 1, .churn = 1}, &outcome) != 0) {
        return -1;
    }
    double limit = (double)outcome.limit;
    double entries = (double)outcome.live.entries;
    bench_row(bench, "footprint", "B/entry", once(limit / entries), "bytes-given",
              once(KEY_SIZE + 1));
    bench_row(bench, "used", "MiB", once(mib(outcome.tracked)), "limit", once(mib(limit)));
    row_bounds(bench, &outcome);
    return 0;
}

static const struct bench_case cases[] = {
    {"plain", "new keys, 20 % overwrites of equal size", plain},
    {"plain-deletes", "the same with 10 % deletes", plain_deletes},
    {"described", "as plain, with version, soft expiry and load time", described},
    {"described-deletes", "the same with 10 % deletes", described_deletes},
    {"zipf-overwrites", "half gets, half sets of popular keys, equal sizes", zipf_overwrites},
    {"zipf-resized", "the same with sizes that change: 50 to 150 bytes", zipf_resized},
    {"tiny", "values of 1 byte", tiny},
};

const struct suite suite_memory = {
    .name = "memory",
    .what =
        "how much of the local tier's limit is of use, and whether it holds, after ten times "
        "the limit was written",
    .cases = cases,
    .count = sizeof cases / sizeof cases[0],
};
