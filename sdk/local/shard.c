/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a shard: divides its memory into index, ghosts and logs. */
#include "local/shard.h"

#include <hearth/errors.h>

enum {
    SPINS = 1000, /* some 20 us */
    PAGE = 4096,
    WINDOW_PARTS = 8,
    DEAD_PARTS = 16,
    LOAD_NUMERATOR = 4, /* slots for each expected entry: 4/3, a load of 0.75 */
    LOAD_DENOMINATOR = 3,
    EXPECTED_OVERHEAD = 24, /* of an expected entry: its words, and what pads key and value */
    NEGATIVE_SHARE = 25,    /* absences have this part of the logs' bytes at most */
};

static uint64_t rounded_up(uint64_t bytes, uint64_t to) {
    return (bytes + to - 1) / to * to;
}

static unsigned offset_bits(uint64_t bytes) {
    unsigned bits = 0;
    while ((UINT64_C(8) << bits) < bytes) {
        bits++;
    }
    return bits;
}

static void open_log(hearth__shard *shard, enum hearth__log_id id, uint64_t begin,
                     uint64_t end) {
    hearth__log *log = &shard->logs[id];
    uint64_t bytes = (uint64_t)(shard->end - shard->base);
    log->space = (hearth__ring_space){.base = shard->base, .bytes = bytes};
    log->lap_shift = offset_bits(bytes);
    log->begin = log->next_begin = log->head = log->tail = begin;
    log->end = end;
    log->limit = bytes;
    log->known_tail = UINT64_MAX;
}

/* How a shard's limit is spent. */
struct budget {
    uint64_t buckets;
    uint64_t index_bytes;
    uint64_t state_bytes;
    uint64_t families_bytes;
    uint64_t logs_bytes; /* 0: nothing is left */
};

static struct budget budget_of(const hearth__shard_config *config) {
    uint64_t expected = config->bytes / (config->expected_entry_bytes + EXPECTED_OVERHEAD);
    struct budget budget = {
        .buckets = expected * LOAD_NUMERATOR / LOAD_DENOMINATOR / HEARTH__BUCKET_SLOTS + 1,
        .state_bytes = rounded_up(config->policy->state_bytes(expected), HEARTH__LINE),
        .families_bytes =
            config->family != NULL ? HEARTH__FAMILIES * sizeof(hearth__shard_family) : 0};
    budget.index_bytes = budget.buckets * HEARTH__BUCKET_SLOTS * sizeof(uint64_t);
    uint64_t fixed =
        sizeof(hearth__shard) + budget.index_bytes + budget.state_bytes + budget.families_bytes;
    if (fixed + PAGE <= config->bytes) {
        budget.logs_bytes = (config->bytes - fixed) / HEARTH__LINE * HEARTH__LINE;
    }
    return budget;
}

size_t hearth__shard_memory_bytes(const hearth__shard_config *config) {
    struct budget budget = budget_of(config);
    return budget.logs_bytes != 0 ? budget.index_bytes + budget.state_bytes +
                                        budget.families_bytes + budget.logs_bytes
                                  : 0;
}

static bool has_absences(const hearth__shard *shard) {
    return shard->logs[HEARTH__NEGATIVE].used != 0 || hearth__shard_keeps_absences(shard);
}

/* What the policy divides are all bytes: of these absences have the same part of either log. */
static uint64_t wanted_window(const hearth__shard *shard, uint64_t present) {
    if (!has_absences(shard)) {
        return shard->policy->window_bytes(shard->policy_state, present) / HEARTH__LINE *
               HEARTH__LINE;
    }
    uint64_t of_all = present + present / (NEGATIVE_SHARE - 1);
    uint64_t wanted = shard->policy->window_bytes(shard->policy_state, of_all);
    return (wanted - wanted / NEGATIVE_SHARE) / HEARTH__LINE * HEARTH__LINE;
}

static void open_logs(const hearth__shard_config *config, hearth__shard *shard,
                      unsigned char *base, uint64_t bytes) {
    uint64_t window = wanted_window(shard, bytes / 5);
    shard->asked_window = window;
    shard->base = base;
    shard->end = base + bytes;
    shard->offset_mask = (UINT64_C(1) << offset_bits(bytes)) - 1;
    open_log(shard, HEARTH__WINDOW, 0, window);
    open_log(shard, HEARTH__MAIN, window, bytes);
    shard->values_end = bytes - bytes / NEGATIVE_SHARE / HEARTH__LINE * HEARTH__LINE;
    open_log(shard, HEARTH__NEGATIVE, shard->values_end, bytes);
    shard->fills = true;
    uint64_t largest = bytes / 4 - HEARTH__ENTRY_OVERHEAD_MAX;
    shard->max_entry_bytes =
        config->max_entry_bytes < largest ? config->max_entry_bytes : largest;
}

/*
 * Where the window's head has to turn, when the policy wants it to have less. What it leaves is of use only when the main log
 * comes there: so it leaves some at a time, and only if that will be soon, or if it is the larger one.
 */
static uint64_t window_end(const hearth__log *main, uint64_t wanted) {
    uint64_t part = (main->begin - main->begin / WINDOW_PARTS) / HEARTH__LINE * HEARTH__LINE;
    bool turns_soon = main->used == 0 || (main->end - main->head) * 2 < main->end - main->begin;
    if (wanted < main->begin && main->begin <= main->end / 2 && !turns_soon &&
        !hearth__log_goes_down(main)) {
        return main->begin;
    }
    return wanted > part ? wanted : part;
}

/* How far the window may come: not where the main log's tail is to go round. */
static uint64_t lowest_of(const hearth__log *main) {
    if (main->used == 0) {
        return main->end;
    }
    uint64_t gap = hearth__log_gap(main);
    uint64_t lowest = hearth__log_lowest(main);
    return main->turn != 0 || lowest < gap || hearth__log_fits_ahead(main, gap) ? lowest
                                                                                : lowest - gap;
}

/* What is as it was is not stored: else its line would be taken from other threads. */
static void set(uint64_t *place, uint64_t value) {
    if (*place != value) {
        *place = value;
    }
}

void hearth__shard_divide(hearth__shard *shard) {
    hearth__log *window = &shard->logs[HEARTH__WINDOW];
    hearth__log *main = &shard->logs[HEARTH__MAIN];
    uint64_t values_end =
        has_absences(shard) ? shard->values_end : (uint64_t)(shard->end - shard->base);
    if (main->head <= values_end && main->limit != values_end) {
        shard->fills = shard->fills || values_end > main->limit;
        main->end = main->limit = values_end;
    }
    uint64_t wanted = shard->asked_window;
    uint64_t highest = hearth__log_highest(window);
    uint64_t lowest = lowest_of(main);
    if (window->dead > main->end / DEAD_PARTS / 2 && wanted > main->begin) {
        wanted = main->begin;
    }
    uint64_t end = window_end(main, wanted);
    set(&shard->wanted_window, wanted);
    set(&window->end, end < lowest ? end : lowest);
    set(&main->next_begin, highest); /* not where the window has yet to come: raise_border() */
    if (main->used == 0) {
        hearth__log_begin_at(main, main->next_begin);
        main->tail = main->begin;
        main->is_raised = false; /* nothing was appended in this lap */
    }
    if (!shard->fills && (main->used * 2 < main->end - main->begin ||
                          window->dead + main->dead > main->end / DEAD_PARTS)) {
        shard->fills = true;
    }
}

void hearth__shard_consult(hearth__shard *shard) {
    set(&shard->asked_window, wanted_window(shard, shard->logs[HEARTH__MAIN].begin));
    hearth__shard_divide(shard);
}

/* It is held for less than a microsecond, and a sleep costs several: who waits looks again and again first. */
void hearth__shard_lock(hearth__shard *shard) {
    for (int i = 0; i < SPINS; i++) {
        if (pthread_mutex_trylock(&shard->lock) == 0) {
            return;
        }
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&shard->lock);
}

int32_t hearth__shard_open(const hearth__shard_config *config, hearth__shard *shard) {
    struct budget budget = budget_of(config);
    unsigned char *at = config->memory;
    if (pthread_mutex_init(&shard->lock, NULL) != 0) {
        return HEARTH_E_NOMEM;
    }
    shard->is_open = true;
    shard->buckets = budget.buckets;
    shard->slots = (_Atomic uint64_t *)(void *)at;
    shard->policy_state = (hearth__policy_state *)(void *)(at + budget.index_bytes);
    at += budget.index_bytes + budget.state_bytes;
    if (budget.families_bytes != 0) {
        shard->families = (hearth__shard_family *)(void *)at;
        at += budget.families_bytes;
    }
    shard->fixed_bytes =
        sizeof *shard + budget.index_bytes + budget.state_bytes + budget.families_bytes;
    shard->policy = config->policy;
    shard->mark_max = (uint64_t)config->policy->mark_max << HEARTH__SLOT_MARK_AT;
    shard->counters = config->counters;
    shard->secret = config->secret;
    shard->opened_ms = config->opened_ms;
    shard->family = config->family;
    shard->owner = config->owner;
    if (budget.state_bytes != 0) {
        config->policy->init(shard->policy_state, budget.state_bytes, budget.logs_bytes);
    }
    open_logs(config, shard, at, budget.logs_bytes);
    return HEARTH_OK;
}

void hearth__shard_close(hearth__shard *shard) {
    if (shard->is_open) {
        pthread_mutex_destroy(&shard->lock);
    }
}
