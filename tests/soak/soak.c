/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long mixed load (load.h) over nodes of Redis and of Memcached that are killed, restarted empty, and stopped for a while, at random.
 * Threads come and go meanwhile, and so do caches. Memory, descriptors and threads of this process are looked at once a second: at
 * the end they are within 2 % of what they were after the first five minutes, or after half of a run that is shorter than ten.
 *
 *   soak [--minutes N] [--rate OPERATIONS_A_SECOND] [--seed N]
 *
 * Ends with 0 if that is so, and no answer was wrong.
 */
#include "soak/load.h"
#include "support/servers.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    URL_BYTES = 512,
    NODES_OF_A_KIND = 2,
    LOADS = 2,
    HOUR_S = 3600,
    RATE = 2000,
    WARM_S = 300,
    WINDOW_S = 60, /* what is compared are medians of so long */
    LOOK_NS = 20000000,
    VISIT_S = 2,
    CACHE_S = 5,
    REBUILD_S = 60,
    ALLOWED_PERCENT = 2,
    MAPPED_BYTES = 64 * 1024,
};

enum measure { RESIDENT, DESCRIPTORS, THREADS, MEASURES };

static const char *const NAMES[MEASURES] = {"resident KiB", "descriptors", "threads"};

struct soak {
    int64_t seconds;
    uint64_t rate;
    uint64_t random;
    struct servers servers;
    char urls[LOADS][URL_BYTES];
    char bus[URL_BYTES];
    struct load loads[LOADS];
    size_t down; /* the node that is away, if `is_away` */
    bool is_away;
    bool is_paused;
    int64_t change_ms; /* when a node goes or comes next */
    uint64_t outages;
    uint64_t visits;
    size_t count; /* of samples, one a second */
    uint32_t (*samples)[MEASURES];
};

static _Noreturn void give_up(const char *what, const char *why) {
    (void)fprintf(stderr, "soak: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static uint64_t draw(struct soak *soak, uint64_t below) {
    soak->random = soak->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (soak->random >> 33) % below;
}

/* ---- what is measured ---- */

static uint32_t entries_of(const char *path) {
    uint32_t count = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        give_up(path, "it cannot be read");
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count;
}

static uint32_t resident_kib(void) {
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fgets(text, sizeof text, file) == NULL) {
        give_up("/proc/self/statm", "it cannot be read");
    }
    (void)fclose(file);
    char *end = text;
    (void)strtoul(text, &end, 10); /* what is mapped */
    return (uint32_t)(strtoul(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024);
}

static int by_size(const void *a, const void *b) {
    const uint32_t *left = a;
    const uint32_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* Of `count` samples from `first` on. */
static uint32_t median_of(const struct soak *soak, size_t first, size_t count,
                          enum measure measure) {
    uint32_t sorted[WINDOW_S];
    for (size_t i = 0; i < count; i++) {
        sorted[i] = soak->samples[first + i][measure];
    }
    qsort(sorted, count, sizeof sorted[0], by_size);
    return sorted[count / 2];
}

static void say_progress(const struct soak *soak) {
    size_t window = soak->count < WINDOW_S ? soak->count : WINDOW_S;
    size_t first = soak->count - window;
    uint64_t operations = 0;
    uint64_t refused = 0;
    for (size_t i = 0; i < LOADS; i++) {
        operations += atomic_load(&soak->loads[i].operations);
        refused += atomic_load(&soak->loads[i].refused);
    }
    (void)printf("%4zu min", soak->count / 60);
    for (enum measure i = 0; i < MEASURES; i++) {
        (void)printf(", %u %s", median_of(soak, first, window, i), NAMES[i]);
    }
    (void)printf(", %llu operations, %llu refused, %llu outages, %.1f s of a core\n",
                 (unsigned long long)operations, (unsigned long long)refused,
                 (unsigned long long)soak->outages, (double)clock() / CLOCKS_PER_SEC);
    (void)fflush(stdout);
}

static void take_sample(struct soak *soak) {
    uint32_t *sample = soak->samples[soak->count++];
    sample[RESIDENT] = resident_kib();
    sample[DESCRIPTORS] = entries_of("/proc/self/fd");
    sample[THREADS] = entries_of("/proc/self/task");
    if (soak->count % 60 == 0) {
        say_progress(soak);
    }
}

/* ---- nodes ---- */

static void start_nodes(struct soak *soak) {
    struct servers *servers = &soak->servers;
    if (servers_cleanup_on_signals() != 0 || servers_open(servers) != 0) {
        give_up("servers", servers->error);
    }
    for (int i = 0; i < NODES_OF_A_KIND; i++) {
        if (servers_start(servers, SERVER_REDIS, SERVER_UNIX, NULL) != 0 ||
            servers_start(servers, SERVER_MEMCACHED, SERVER_UNIX, NULL) != 0) {
            give_up("servers", servers->error);
        }
    }
    if (servers_url(servers, SERVER_REDIS, soak->urls[0], URL_BYTES) != 0 ||
        servers_url(servers, SERVER_MEMCACHED, soak->urls[1], URL_BYTES) != 0) {
        give_up("servers", servers->error);
    }
    (void)snprintf(soak->bus, sizeof soak->bus, "redis+unix://%s", servers->nodes[0].path);
}

/* One node at a time is killed, or stopped, and comes back a little later. */
static void disturb_nodes(struct soak *soak) {
    if (now_ms() < soak->change_ms) {
        return;
    }
    int failed = 0;
    if (soak->is_away) {
        failed = soak->is_paused ? servers_resume(&soak->servers, soak->down)
                                 : servers_restart(&soak->servers, soak->down);
        soak->change_ms = now_ms() + 3000 + (int64_t)draw(soak, 9000);
    } else {
        soak->down = draw(soak, soak->servers.count);
        soak->is_paused = draw(soak, 4) == 0;
        failed = soak->is_paused ? servers_pause(&soak->servers, soak->down)
                                 : servers_kill(&soak->servers, soak->down);
        soak->change_ms = now_ms() + 100 + (int64_t)draw(soak, 3000);
        soak->outages++;
    }
    soak->is_away = !soak->is_away;
    if (failed != 0) {
        give_up("servers", soak->servers.error);
    }
}

/* ---- caches ---- */

/* `lanes`: with one, how many connections there are does not follow the load. */
static hearth *open_cache(struct soak *soak, size_t kind, const char *lanes) {
    const char *const settings[][2] = {
        {"remote.url", soak->urls[kind]},
        {"remote.prefix", "soak:"},
        {"remote.lanes", lanes},
        {"local.max_bytes", "8mb"}, /* soon all of it is in use */
        {"ttl_ms", "20000"},
        {"stale_ms", "5000"},
        {"guard.expected_keys", "40000"},
        {"guard.view_ms", "100"},
        {"submit.load_threads", "2"}, /* all of them are needed soon */
        {kind == 0 ? "coherence.mode" : "coherence.bus_url", kind == 0 ? "auto" : soak->bus},
        {"coherence.mode", kind == 0 ? "auto" : "bus"},
    };
    hearth *cache = NULL;
    hearth_options *options = hearth_options_new();
    if (options == NULL) {
        give_up("options", "no memory");
    }
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (hearth_options_set(options, settings[i][0], settings[i][1]) != HEARTH_OK) {
            give_up("options", hearth_options_error(options));
        }
    }
    if (hearth_open(options, &cache) != HEARTH_OK) {
        give_up("hearth_open", hearth_options_error(options));
    }
    hearth_options_free(options);
    return cache;
}

static void *visit(void *arg) {
    struct soak *soak = arg;
    for (size_t i = 0; i < LOADS; i++) {
        load_visit(&soak->loads[i], soak->visits);
    }
    return NULL;
}

/* A thread that lives no longer than a request. */
static void send_visitor(struct soak *soak) {
    pthread_t thread;
    soak->visits++;
    if (pthread_create(&thread, NULL, visit, soak) != 0 || pthread_join(thread, NULL) != 0) {
        give_up("a thread", "it could not be started");
    }
}

/* A cache that lives no longer either. */
static void use_another_cache(struct soak *soak, size_t kind) {
    struct load load = {.cache = open_cache(soak, kind, "4"), .zipf = soak->loads[kind].zipf};
    load_visit(&load, soak->visits);
    if (hearth_close(load.cache) != HEARTH_OK) {
        give_up("hearth_close", "it failed");
    }
    if (atomic_load(&load.wrong) != 0) {
        give_up("a cache that was just opened", load.fault);
    }
}

static void do_each_second(struct soak *soak) {
    size_t second = soak->count;
    take_sample(soak);
    if (second % VISIT_S == 0) {
        send_visitor(soak);
    }
    if (second % CACHE_S == 0) {
        use_another_cache(soak, second / CACHE_S % LOADS);
    }
    if (second % REBUILD_S == 0) {
        for (size_t i = 0; i < LOADS; i++) {
            load_rebuild(&soak->loads[i]);
        }
    }
}

/* ---- the whole ---- */

static void run(struct soak *soak) {
    for (size_t i = 0; i < LOADS; i++) {
        soak->loads[i].cache = open_cache(soak, i, "1");
        soak->loads[i].rate = soak->rate / LOADS;
        if (!load_start(&soak->loads[i])) {
            give_up("threads", "they could not be started");
        }
    }
    int64_t start = now_ms();
    while ((int64_t)soak->count < soak->seconds) {
        disturb_nodes(soak);
        if (now_ms() - start >= (int64_t)soak->count * 1000) {
            do_each_second(soak);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    for (size_t i = 0; i < LOADS; i++) {
        load_stop(&soak->loads[i]);
    }
}

/* Whether it is as it was; and says so. */
static bool is_flat(const struct soak *soak, enum measure measure) {
    size_t warm = soak->count / 2 < WARM_S ? soak->count / 2 : WARM_S;
    size_t window = warm / 2 < WINDOW_S ? warm / 2 : WINDOW_S;
    uint32_t then = median_of(soak, warm, window, measure);
    uint32_t now = median_of(soak, soak->count - window, window, measure);
    double percent = 100.0 * ((double)now - (double)then) / (double)then;
    bool is_within = percent <= ALLOWED_PERCENT && percent >= -ALLOWED_PERCENT;
    (void)printf("%s: %u after %zu s, %u at the end: %+.2f %%%s\n", NAMES[measure], then, warm,
                 now, percent, is_within ? "" : " FAILED");
    return is_within;
}

static bool is_right(struct soak *soak, size_t kind) {
    const struct load *load = &soak->loads[kind];
    uint64_t wrong = atomic_load(&load->wrong);
    (void)printf("%s: %llu operations, %llu loads, %llu refused, %llu wrong%s%s\n",
                 kind == 0 ? "redis" : "memcached",
                 (unsigned long long)atomic_load(&load->operations),
                 (unsigned long long)atomic_load(&load->loads),
                 (unsigned long long)atomic_load(&load->refused), (unsigned long long)wrong,
                 wrong == 0 ? "" : ": FAILED: ", load->fault);
    return wrong == 0;
}

static bool judge(struct soak *soak) {
    bool is_good = true;
    for (size_t i = 0; i < LOADS; i++) {
        is_good = is_right(soak, i) && is_good;
        is_good = atomic_load(&soak->loads[i].operations) != 0 && is_good;
    }
    for (enum measure i = 0; i < MEASURES; i++) {
        is_good = is_flat(soak, i) && is_good;
    }
    return is_good;
}

static uint64_t number_of(const char *name, const char *text) {
    char *end = NULL;
    uint64_t number = text == NULL ? 0 : strtoull(text, &end, 10);
    if (text == NULL || *text == '\0' || *end != '\0' || number == 0 || number > 1000000) {
        give_up(name, "give a number from 1 to 1000000");
    }
    return number;
}

int main(int count, char **words) {
    static struct soak soak = {.seconds = HOUR_S, .rate = RATE, .random = 1};
    for (int i = 1; i < count; i += 2) {
        uint64_t number = number_of(words[i], words[i + 1]);
        if (strcmp(words[i], "--minutes") == 0) {
            soak.seconds = (int64_t)number * 60;
        } else if (strcmp(words[i], "--rate") == 0) {
            soak.rate = number;
        } else if (strcmp(words[i], "--seed") == 0) {
            soak.random = number;
        } else {
            give_up(words[i], "it is none of --minutes, --rate, --seed");
        }
    }
    soak.samples = calloc((size_t)soak.seconds, sizeof soak.samples[0]);
    if (soak.samples == NULL) {
        give_up("samples", "no memory");
    }
    /* Their pages are there from the beginning. */
    memset(soak.samples, 1, (size_t)soak.seconds * sizeof soak.samples[0]);
    /* Memory is what the library holds, and not how full more and more arenas are, nor what large blocks leave between small ones. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    start_nodes(&soak);
    run(&soak);
    bool is_good = judge(&soak);
    for (size_t i = 0; i < LOADS; i++) {
        is_good = hearth_close(soak.loads[i].cache) == HEARTH_OK && is_good;
    }
    servers_stop(&soak.servers);
    free(soak.samples);
    return is_good ? 0 : 1;
}
