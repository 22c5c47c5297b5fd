/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a shard: divides its memory into index, ghosts and logs. */
#include "local/shard.h"

#include <hearth/errors.h>

enum {
    SPINS = 1000, /* some 20 us */
    PAGE = 4096,
    LINE = 64,
    LOAD_NUMERATOR = 4, /* slots for each expected entry: 4/3, a load of 0.75 */
    LOAD_DENOMINATOR = 3,
    EXPECTED_OVERHEAD = 24, /* of an expected entry: its words, and what pads key and value */
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

static void open_log(hearth__shard *shard, enum hearth__log_id id, uint64_t start,
                     uint64_t bytes) {
    hearth__log *log = &shard->logs[id];
    log->space = (hearth__ring_space){.base = shard->base + start, .bytes = bytes};
    log->start = start;
    log->lap_shift = offset_bits((uint64_t)(shard->end - shard->base));
    log->known_tail = UINT64_MAX;
}

/* How a shard's limit is spent. */
struct budget {
    uint64_t buckets;
    uint64_t index_bytes;
    uint64_t state_bytes;
    uint64_t logs_bytes; /* 0: nothing is left */
};

static struct budget budget_of(const hearth__shard_config *config) {
    uint64_t expected = config->bytes / (config->expected_entry_bytes + EXPECTED_OVERHEAD);
    struct budget budget = {
        .buckets = expected * LOAD_NUMERATOR / LOAD_DENOMINATOR / HEARTH__BUCKET_SLOTS + 1,
        .state_bytes = rounded_up(config->policy->state_bytes(expected), LINE)};
    budget.index_bytes = budget.buckets * HEARTH__BUCKET_SLOTS * sizeof(uint64_t);
    uint64_t fixed = sizeof(hearth__shard) + budget.index_bytes + budget.state_bytes;
    if (fixed + PAGE <= config->bytes) {
        budget.logs_bytes = (config->bytes - fixed) / LINE * LINE;
    }
    return budget;
}

size_t hearth__shard_memory_bytes(const hearth__shard_config *config) {
    struct budget budget = budget_of(config);
    return budget.logs_bytes != 0 ? budget.index_bytes + budget.state_bytes + budget.logs_bytes
                                  : 0;
}

static void open_logs(const hearth__shard_config *config, hearth__shard *shard,
                      unsigned char *base, uint64_t bytes) {
    uint64_t window = bytes * config->policy->window_permille / 1000 / LINE * LINE;
    shard->base = base;
    shard->end = base + bytes;
    shard->offset_mask = (UINT64_C(1) << offset_bits(bytes)) - 1;
    open_log(shard, HEARTH__WINDOW, 0, window);
    open_log(shard, HEARTH__MAIN, window, bytes - window);
    uint64_t largest = (bytes - window) / 4 - HEARTH__ENTRY_OVERHEAD_MAX;
    shard->max_entry_bytes =
        config->max_entry_bytes < largest ? config->max_entry_bytes : largest;
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
    shard->fixed_bytes = sizeof *shard + budget.index_bytes + budget.state_bytes;
    shard->policy = config->policy;
    shard->mark_max = (uint64_t)config->policy->mark_max << HEARTH__SLOT_MARK_AT;
    shard->counters = config->counters;
    shard->secret = config->secret;
    shard->opened_ms = config->opened_ms;
    open_logs(config, shard, at + budget.index_bytes + budget.state_bytes, budget.logs_bytes);
    if (budget.state_bytes != 0) {
        config->policy->init(shard->policy_state, budget.state_bytes, budget.logs_bytes);
    }
    return HEARTH_OK;
}

void hearth__shard_close(hearth__shard *shard) {
    if (shard->is_open) {
        pthread_mutex_destroy(&shard->lock);
    }
}
