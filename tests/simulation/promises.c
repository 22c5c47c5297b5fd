/* SPDX-License-Identifier: Apache-2.0 */
#include "simulation/promises.h"

#include "simulation/servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOADS_MAX = 64, SLACK_MS = 2 };

/* From then on no version below is right at the node. */
struct floor {
    int64_t since_ns;
    uint64_t version;
};

struct truth {
    int64_t *committed_ns; /* of each version, from 0 on */
    uint64_t version;
    size_t room;
    struct floor *floors; /* in their order */
    size_t floor_count;
    size_t floor_room;
    uint64_t kept_floor; /* when its server's data was kept */
    int64_t voided_ns;
    int64_t lowered_ns; /* when writes were last taken back, and what is right since */
    uint64_t lowered_to;
    uint64_t own[SCHEDULE_PROCESSES];
    int64_t detached_ns[SCHEDULE_PROCESSES];
    unsigned writes[SCHEDULE_PROCESSES]; /* that are under way */
};

struct load {
    bool runs;
    unsigned process;
    unsigned key;
    int64_t since_ns;
};

static struct {
    struct promises_limits limits;
    struct truth truths[PROMISES_KEYS];
    struct load loads[LOADS_MAX];
} all;

/* ---- keys and values -------------------------------------------------------------------- */

void promises_key(unsigned key, char text[PROMISES_KEY_BYTES + 1]) {
    (void)snprintf(text, PROMISES_KEY_BYTES + 1, "k%02u", key % 100);
}

unsigned promises_key_of(const void *text, size_t size) {
    const char *letters = text;
    if (size != PROMISES_KEY_BYTES || letters[0] != 'k') {
        return PROMISES_KEYS;
    }
    unsigned key = (unsigned)(letters[1] - '0') * 10 + (unsigned)(letters[2] - '0');
    return key < PROMISES_KEYS ? key : PROMISES_KEYS;
}

size_t promises_value(unsigned key, uint64_t version, char text[PROMISES_VALUE_BYTES]) {
    return (size_t)snprintf(text, PROMISES_VALUE_BYTES, "k%02u:%llu", key % 100,
                            (unsigned long long)version);
}

/* False: nobody ever wrote these bytes for the key. */
static bool parse(unsigned key, const void *value, size_t size, uint64_t *version) {
    char text[PROMISES_VALUE_BYTES];
    char again[PROMISES_VALUE_BYTES];
    if (value == NULL) {
        *version = 0;
        return true;
    }
    if (size <= PROMISES_KEY_BYTES + 1 || size >= sizeof text) {
        return false;
    }
    memcpy(text, value, size);
    text[size] = '\0';
    *version = strtoull(text + PROMISES_KEY_BYTES + 1, NULL, 10);
    return *version != 0 && *version <= all.truths[key].version &&
           promises_value(key, *version, again) == size && memcmp(again, value, size) == 0;
}

/* ---- the database ----------------------------------------------------------------------- */

static void *grown(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) {
        return array;
    }
    *room = *room != 0 ? *room * 2 : 64;
    array = realloc(array, *room * size);
    if (array == NULL) {
        abort();
    }
    return array;
}

uint64_t promises_version(unsigned key) {
    return all.truths[key].version;
}

uint64_t promises_commit(unsigned key) {
    struct truth *truth = &all.truths[key];
    truth->committed_ns =
        grown(truth->committed_ns, truth->version + 1, &truth->room, sizeof(int64_t));
    truth->committed_ns[++truth->version] = schedule_now();
    schedule_trace("commits k%02u:%llu", key, (unsigned long long)truth->version);
    return truth->version;
}

/* ---- floors ----------------------------------------------------------------------------- */

static uint64_t floor_of(const struct truth *truth) {
    return truth->floor_count != 0 ? truth->floors[truth->floor_count - 1].version : 0;
}

static void set_floor(struct truth *truth, uint64_t version) {
    if (version != floor_of(truth)) {
        truth->floors =
            grown(truth->floors, truth->floor_count, &truth->floor_room, sizeof(struct floor));
        truth->floors[truth->floor_count++] =
            (struct floor){.since_ns = schedule_now(), .version = version};
    }
}

/* The least from then to now. */
static uint64_t floor_since(const struct truth *truth, int64_t since_ns) {
    uint64_t least = UINT64_MAX;
    for (size_t i = truth->floor_count; i-- != 0;) {
        const struct floor *floor = &truth->floors[i];
        least = floor->version < least ? floor->version : least;
        if (floor->since_ns <= since_ns) {
            return least;
        }
    }
    return 0;
}

static void lower(struct truth *truth, uint64_t version) {
    bool again = schedule_now() - truth->lowered_ns < all.limits.life_ms * SCHEDULE_MS;
    truth->lowered_to = again && truth->lowered_to < version ? truth->lowered_to : version;
    truth->lowered_ns = schedule_now();
    if (version < floor_of(truth)) {
        set_floor(truth, version);
    }
    for (unsigned i = 0; i < SCHEDULE_PROCESSES; i++) {
        truth->own[i] = version < truth->own[i] ? version : truth->own[i];
    }
}

void promises_write_begins(unsigned process, unsigned key) {
    all.truths[key].writes[process]++;
    all.truths[key].detached_ns[process] = schedule_now();
}

void promises_write_ends(unsigned process, unsigned key) {
    all.truths[key].writes[process]--;
    all.truths[key].detached_ns[process] = schedule_now();
}

void promises_written(unsigned process, unsigned key, uint64_t version, bool everywhere,
                      int64_t since_ns) {
    struct truth *truth = &all.truths[key];
    /* What was carried out may have been taken back before its answer came. */
    if (truth->lowered_ns >= since_ns && truth->lowered_to < version) {
        version = truth->lowered_to;
    }
    if (version > truth->own[process]) {
        truth->own[process] = version;
    }
    if (everywhere && version > floor_of(truth)) {
        set_floor(truth, version);
    }
}

void promises_voided(unsigned key) {
    all.truths[key].voided_ns = schedule_now();
}

void promises_late(unsigned key, const void *value, size_t size) {
    uint64_t version = 0;
    if (parse(key, value, size, &version)) {
        lower(&all.truths[key], version);
    }
}

void promises_kept(unsigned server, const unsigned *server_of) {
    for (unsigned key = 0; key < PROMISES_KEYS; key++) {
        if (server_of[key] == server) {
            all.truths[key].kept_floor = floor_of(&all.truths[key]);
        }
    }
}

void promises_lost(unsigned server, const unsigned *server_of) {
    for (unsigned key = 0; key < PROMISES_KEYS; key++) {
        if (server_of[key] == server) {
            lower(&all.truths[key], all.truths[key].kept_floor);
        }
    }
}

/* ---- loads ------------------------------------------------------------------------------ */

/* Either of the two may be the one that was detached. */
static void judge_load(unsigned process, unsigned key, int64_t since_ns,
                       const struct load *other) {
    const struct truth *truth = &all.truths[key];
    int64_t older_ns = since_ns < other->since_ns ? since_ns : other->since_ns;
    if (!other->runs || other->key != key) {
        return;
    }
    if (other->process == process && truth->writes[process] == 0 &&
        older_ns > truth->detached_ns[process]) {
        schedule_fail("k%02u is loaded twice at once in process %u, and nothing detached the "
                      "first load",
                      key, process);
    }
    if (all.limits.calm && other->process != process && older_ns > truth->voided_ns) {
        schedule_fail("k%02u is loaded by process %u while process %u has its lease", key,
                      process, other->process);
    }
}

unsigned promises_load_begins(unsigned process, unsigned key, int64_t since_ns) {
    unsigned place = LOADS_MAX;
    for (unsigned i = 0; i < LOADS_MAX; i++) {
        judge_load(process, key, since_ns, &all.loads[i]);
        place = all.loads[i].runs ? place : i;
    }
    if (place == LOADS_MAX) {
        abort();
    }
    all.loads[place] =
        (struct load){.runs = true, .process = process, .key = key, .since_ns = since_ns};
    return place;
}

void promises_load_ends(unsigned load) {
    all.loads[load].runs = false;
}

/* ---- reads ------------------------------------------------------------------------------ */

struct promises_read promises_read_begins(unsigned process, unsigned key) {
    return (struct promises_read){.process = process,
                                  .key = key,
                                  .began_ns = schedule_now(),
                                  .own = all.truths[key].own[process],
                                  .existed = all.truths[key].version != 0,
                                  .boot_ahead_ms = schedule_clock_of(process)->boot_ahead_ms};
}

/* What a lossy restart or a late set took back meanwhile. */
static uint64_t own_of(const struct promises_read *read) {
    uint64_t now = all.truths[read->key].own[read->process];
    return now < read->own ? now : read->own;
}

static void judge_life(const struct promises_read *read, const struct truth *truth,
                       uint64_t version) {
    int64_t since_ns = version < truth->version ? truth->committed_ns[version + 1] : INT64_MAX;
    if (since_ns < read->began_ns - all.limits.life_ms * SCHEDULE_MS) {
        schedule_fail(
            "process %u reads k%02u:%llu, which outlived its hard life: it was replaced "
            "%lld ms before",
            read->process, read->key, (unsigned long long)version,
            (long long)((read->began_ns - since_ns) / SCHEDULE_MS));
    }
}

void promises_judge(const struct promises_read *read, const void *value, size_t size,
                    enum promises_tier tier, int64_t bound_ms, int64_t at_ns) {
    const struct truth *truth = &all.truths[read->key];
    uint64_t version = 0;
    if (!parse(read->key, value, size, &version)) {
        schedule_fail("process %u reads from k%02u what nobody wrote: %.*s", read->process,
                      read->key, (int)size, (const char *)value);
        return;
    }
    schedule_trace("reads k%02u:%llu, tier %d, bound %lld ms", read->key,
                   (unsigned long long)version, (int)tier, (long long)bound_ms);
    uint64_t floor = floor_since(truth, at_ns - (bound_ms + SLACK_MS) * SCHEDULE_MS);
    uint64_t own = own_of(read);
    if (tier == PROMISES_GUARD && read->existed) {
        schedule_fail("the guard of process %u denies k%02u, which exists", read->process,
                      read->key);
    } else if (version < own) {
        schedule_fail("process %u reads k%02u:%llu, and its own write of %llu was acknowledged",
                      read->process, read->key, (unsigned long long)version,
                      (unsigned long long)own);
    } else if (version < floor) {
        schedule_fail("process %u reads k%02u:%llu, staler than its bound of %lld ms: %llu was "
                      "acknowledged before",
                      read->process, read->key, (unsigned long long)version,
                      (long long)bound_ms, (unsigned long long)floor);
    }
    int64_t took_ms = (schedule_now() - read->began_ns) / SCHEDULE_MS +
                      schedule_clock_of(read->process)->boot_ahead_ms - read->boot_ahead_ms;
    if (tier == PROMISES_LOCAL && bound_ms > all.limits.bound_ms + took_ms) {
        schedule_fail("process %u has a local hit of k%02u with a bound of %lld ms",
                      read->process, read->key, (long long)bound_ms);
    }
    judge_life(read, truth, version);
}

/* ---- begin and end ---------------------------------------------------------------------- */

void promises_begin(const struct promises_limits *limits) {
    memset(&all, 0, sizeof all);
    all.limits = *limits;
}

void promises_end(void) {
    for (unsigned key = 0; key < PROMISES_KEYS; key++) {
        free(all.truths[key].committed_ns);
        free(all.truths[key].floors);
    }
}
