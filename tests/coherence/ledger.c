/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

struct entry {
    uint32_t key;
    uint32_t writer;
    int64_t begun_ns;
    _Atomic int64_t settled_ns;
    _Atomic int64_t ended_ns; /* INT64_MAX: not that anybody knows */
};

struct sight {
    uint32_t key;
    uint32_t reader;
    uint32_t write;
    int64_t began_ns;
    int64_t known_ns;
};

struct ledger {
    size_t size; /* of all of it */
    uint32_t keys;
    uint32_t writes_max;
    uint32_t reads_max;
    _Atomic uint32_t writes;
    _Atomic uint32_t reads;
    struct sight *sights;
    struct entry entries[];
};

int64_t ledger_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- writing it down -------------------------------------------------------------------- */

void ledger_clear(struct ledger *ledger) {
    for (uint32_t i = 0; i < ledger->keys; i++) {
        struct entry *entry = &ledger->entries[i];
        entry->key = i;
        entry->writer = LEDGER_WRITERS;
        entry->begun_ns = 0;
        atomic_store(&entry->settled_ns, 0);
        atomic_store(&entry->ended_ns, 0);
    }
    atomic_store(&ledger->writes, ledger->keys);
    atomic_store(&ledger->reads, 0);
}

struct ledger *ledger_create(uint32_t keys, uint32_t writes, uint32_t reads) {
    size_t entries = (keys + (size_t)writes) * sizeof(struct entry);
    size_t size = sizeof(struct ledger) + entries + reads * sizeof(struct sight);
    struct ledger *ledger =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ledger == MAP_FAILED) {
        return NULL;
    }
    ledger->size = size;
    ledger->keys = keys;
    ledger->writes_max = keys + writes;
    ledger->reads_max = reads;
    ledger->sights = (struct sight *)(void *)&ledger->entries[ledger->writes_max];
    ledger_clear(ledger);
    return ledger;
}

void ledger_destroy(struct ledger *ledger) {
    if (ledger != NULL) {
        (void)munmap(ledger, ledger->size);
    }
}

static uint32_t take(_Atomic uint32_t *next, uint32_t max) {
    uint32_t number = atomic_load(next);
    while (number < max && !atomic_compare_exchange_weak(next, &number, number + 1)) {
    }
    return number < max ? number : UINT32_MAX;
}

uint32_t ledger_begin(struct ledger *ledger, uint32_t key, uint32_t writer) {
    uint32_t write = take(&ledger->writes, ledger->writes_max);
    if (write != UINT32_MAX) {
        struct entry *entry = &ledger->entries[write];
        entry->key = key;
        entry->writer = writer;
        entry->begun_ns = ledger_now_ns();
        atomic_store(&entry->settled_ns, INT64_MAX);
        atomic_store(&entry->ended_ns, INT64_MAX);
    }
    return write;
}

void ledger_settle(struct ledger *ledger, uint32_t write) {
    atomic_store(&ledger->entries[write].settled_ns, ledger_now_ns());
}

void ledger_end(struct ledger *ledger, uint32_t write) {
    atomic_store(&ledger->entries[write].ended_ns, ledger_now_ns());
}

void ledger_read(struct ledger *ledger, uint32_t key, uint32_t reader, uint32_t write,
                 int64_t began_ns, int64_t known_ns) {
    uint32_t read = take(&ledger->reads, ledger->reads_max);
    if (read != UINT32_MAX) {
        ledger->sights[read] = (struct sight){key, reader, write, began_ns, known_ns};
    }
}

uint32_t ledger_reads(const struct ledger *ledger) {
    return atomic_load(&ledger->reads);
}

uint32_t ledger_writes(const struct ledger *ledger) {
    return atomic_load(&ledger->writes) - ledger->keys;
}

/* ---- checking it ------------------------------------------------------------------------ */

/* A key's writes, of all or of one writer, in the order in which they began; with each, when the first of it and those behind it
 * had ended. */
struct line {
    size_t count;
    int64_t *begun_ns;
    int64_t *ended_ns;
};

static int by_begin(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static bool is_of(const struct entry *entry, uint32_t key, uint32_t writer) {
    return entry->key == key && (writer == LEDGER_WRITERS || entry->writer == writer);
}

struct pair {
    int64_t begun_ns;
    int64_t ended_ns;
};

static void *take_memory(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static struct line line_of(const struct ledger *ledger, const uint32_t *order,
                           size_t order_count, uint32_t key, uint32_t writer) {
    struct pair *pairs = take_memory(order_count, sizeof *pairs);
    struct line line = {.count = 0};
    for (size_t i = 0; i < order_count; i++) {
        const struct entry *entry = &ledger->entries[order[i]];
        if (is_of(entry, key, writer)) {
            pairs[line.count++] = (struct pair){entry->begun_ns, atomic_load(&entry->ended_ns)};
        }
    }
    qsort(pairs, line.count, sizeof *pairs, by_begin);
    line.begun_ns = take_memory(line.count, sizeof *line.begun_ns);
    line.ended_ns = take_memory(line.count, sizeof *line.ended_ns);
    int64_t first_ns = INT64_MAX;
    for (size_t i = line.count; i-- > 0;) {
        first_ns = pairs[i].ended_ns < first_ns ? pairs[i].ended_ns : first_ns;
        line.begun_ns[i] = pairs[i].begun_ns;
        line.ended_ns[i] = first_ns;
    }
    free(pairs);
    return line;
}

/* When the first write that began behind that time had ended. */
static int64_t ended_behind(const struct line *line, int64_t settled_ns) {
    size_t low = 0;
    size_t high = line->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (line->begun_ns[middle] > settled_ns) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < line->count ? line->ended_ns[low] : INT64_MAX;
}

/* All of a ledger's lines: of each key that of all writers, and then each writer's. */
struct lines {
    struct line *all;
};

enum { LINES_PER_KEY = LEDGER_WRITERS + 1 };

static struct lines draw(const struct ledger *ledger) {
    uint32_t count = atomic_load(&ledger->writes);
    struct lines lines = {take_memory((size_t)ledger->keys * LINES_PER_KEY, sizeof *lines.all)};
    uint32_t *order = take_memory(count, sizeof *order);
    for (uint32_t key = 0; key < ledger->keys; key++) {
        size_t own = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (ledger->entries[i].key == key) {
                order[own++] = i;
            }
        }
        for (uint32_t writer = 0; writer <= LEDGER_WRITERS; writer++) {
            lines.all[key * LINES_PER_KEY + writer] = line_of(ledger, order, own, key, writer);
        }
    }
    free(order);
    return lines;
}

static void drop(const struct ledger *ledger, struct lines *lines) {
    for (size_t i = 0; i < (size_t)ledger->keys * LINES_PER_KEY; i++) {
        free(lines->all[i].begun_ns);
        free(lines->all[i].ended_ns);
    }
    free(lines->all);
}

static enum ledger_verdict judge(const struct ledger *ledger, const struct lines *lines,
                                 const struct sight *sight, int64_t *late_ns) {
    *late_ns = 0;
    if (sight->write >= atomic_load(&ledger->writes) ||
        ledger->entries[sight->write].key != sight->key) {
        return LEDGER_UNKNOWN;
    }
    const struct line *own = &lines->all[(size_t)sight->key * LINES_PER_KEY];
    int64_t settled_ns = atomic_load(&ledger->entries[sight->write].settled_ns);
    int64_t ended_ns = ended_behind(&own[sight->reader], settled_ns);
    if (ended_ns < sight->began_ns) {
        *late_ns = sight->began_ns - ended_ns;
        return LEDGER_OWN_UNSEEN;
    }
    ended_ns = ended_behind(&own[LEDGER_WRITERS], settled_ns);
    if (ended_ns < sight->known_ns) {
        *late_ns = sight->known_ns - ended_ns;
        return LEDGER_TOO_OLD;
    }
    return LEDGER_RIGHT;
}

enum ledger_verdict ledger_check(const struct ledger *ledger, struct ledger_finding *finding) {
    enum ledger_verdict verdict = LEDGER_RIGHT;
    uint32_t reads = atomic_load(&ledger->reads);
    struct lines lines = draw(ledger);
    *finding = (struct ledger_finding){.count = 0};
    for (uint32_t i = 0; i < reads; i++) {
        const struct sight *sight = &ledger->sights[i];
        int64_t late_ns = 0;
        enum ledger_verdict own = judge(ledger, &lines, sight, &late_ns);
        if (own != LEDGER_RIGHT && finding->count++ == 0) {
            verdict = own;
            finding->key = sight->key;
            finding->reader = sight->reader;
            finding->write = sight->write;
            finding->late_ns = late_ns;
            finding->bound_ns = sight->began_ns - sight->known_ns;
        }
    }
    drop(ledger, &lines);
    return verdict;
}
