/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One filter for all processes. A server has it; each process has a copy, which a thread of the library's own brings up to date
 * several times within guard.view_ms: it asks what was inserted since, and copies the whole when it missed something or when there
 * is another filter. A copy may deny while the last look at the server that found nothing wrong is younger than guard.view_ms.
 *
 * The copy has what the filter at the server has, and nothing else: a key goes to the server first. So what an up-to-date copy
 * contains need not be inserted again.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "tier/cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PIECE_BYTES = 65536,
    VIEW_LEAST_MS = 10,
    TRIES = 8,   /* of an insert while filters come and go */
    BATCH = 256, /* keys that are inserted at once */
};

/* Not within anybody's prefix. */
#define NAME "hearth-guard:"

/* ---- open and close --------------------------------------------------------------------- */

static bool is_of_libmemcached(const hearth *cache) {
    return cache->url.kind == HEARTH__MEMCACHED &&
           cache->config.remote_memcached_client == HEARTH__MEMCACHED_LIBMEMCACHED;
}

int32_t hearth__shared_check(const hearth *cache, char *why, size_t why_size) {
    const hearth__config *config = &cache->config;
    if (config->guard_shared == 0 || config->guard_expected_keys == 0) {
        return HEARTH_OK;
    }
    if (cache->url.kind == HEARTH__EMBEDDED || is_of_libmemcached(cache)) {
        (void)snprintf(why, why_size,
                       "guard.shared: the filter that processes share is at a Redis or "
                       "Memcached server, for which remote.memcached_client must be hearth; "
                       "leave it off, or give such an url as remote.url");
        return HEARTH_E_UNSUPPORTED;
    }
    if (cache->url.kind == HEARTH__MEMCACHED &&
        config->remote_max_value_bytes < INT64_C(2) * PIECE_BYTES) {
        (void)snprintf(
            why, why_size,
            "remote.max_value_bytes: with guard.shared, Memcached's have to be 128kb "
            "at least, for the pieces of the filter");
        return HEARTH_E_INVALID;
    }
    if (config->guard_view_ms < VIEW_LEAST_MS) {
        (void)snprintf(why, why_size,
                       "guard.view_ms: %lld is too little with guard.shared, which needs at "
                       "least %d",
                       (long long)config->guard_view_ms, VIEW_LEAST_MS);
        return HEARTH_E_INVALID;
    }
    if (hearth__guard_bytes_needed(config) / 2 / HEARTH__BLOOM_BLOCK >
        HEARTH__BLOOM_SHARE_BLOCKS) {
        (void)snprintf(why, why_size,
                       "guard.expected_keys: with guard.shared the filter may have 512mb, "
                       "and so many keys at guard.target_rate need more");
        return HEARTH_E_INVALID;
    }
    return HEARTH_OK;
}

int32_t hearth__shared_open(hearth *cache) {
    struct hearth__guard_shared *shared = &cache->shared;
    const hearth__config *config = &cache->config;
    if (config->guard_shared == 0 || cache->guard.filter == NULL) {
        return HEARTH_OK;
    }
    size_t size = sizeof NAME + cache->prefix_size + 1 + HEARTH__BLOOM_ID;
    shared->key = hearth__alloc(size);
    if (shared->key == NULL) {
        return HEARTH_E_NOMEM;
    }
    /* Filters of another seed, which comes of the prefix too, are other filters. Memcached's names are short, and without blanks. */
    bool is_short = cache->url.kind == HEARTH__MEMCACHED;
    (void)snprintf(shared->key, size, NAME "%s%s%016" PRIx64,
                   is_short ? "" : config->remote_prefix, is_short ? "" : ":",
                   cache->guard.seed);
    shared->key_size = strlen(shared->key);
    hearth__bloom_guard_confirm(cache->guard.filter, 0);
    return HEARTH_OK;
}

void hearth__shared_close(hearth *cache) {
    hearth__free(cache->shared.key);
}

/* ---- the server ------------------------------------------------------------------------- */

int32_t hearth__shared_exchange(hearth *cache, enum hearth__filter_step step, const void *words,
                                size_t size, hearth__buffer *answer) {
    const struct hearth__guard_shared *shared = &cache->shared;
    uint32_t place = 0;
    hearth__members *members = hearth__members_hold(cache, &place);
    uint32_t owner = hearth__ring_pick(members->placement->ring, shared->key, shared->key_size);
    hearth__remote_op op = {.verb = HEARTH__FILTER,
                            .filter = step,
                            .node = members->nodes[owner],
                            .key = shared->key,
                            .key_size = shared->key_size,
                            .data = words,
                            .data_size = size,
                            .body = answer};
    hearth__nodes_execute(cache, &op, 1, hearth__deadline_ns(cache->config.remote_timeout_ms));
    hearth__members_let_go(members, place);
    return op.status == HEARTH_E_UNKNOWN ? HEARTH_E_TIMEOUT : op.status;
}

uint32_t hearth__shared_piece(const hearth *cache, uint32_t first, uint32_t blocks) {
    int64_t most = cache->config.remote_max_value_bytes;
    uint32_t piece = (uint32_t)(most < PIECE_BYTES ? most : PIECE_BYTES) / HEARTH__BLOOM_BLOCK;
    return blocks - first < piece ? blocks - first : piece;
}

/* ---- the head that was seen last -------------------------------------------------------- */

static bool is_nothing(const hearth__bloom_head *head) {
    return head->id == 0 && head->next == 0;
}

static bool is_same(const hearth__bloom_head *one, const hearth__bloom_head *other) {
    return one->id == other->id && one->next == other->next && one->blocks == other->blocks &&
           one->next_blocks == other->next_blocks;
}

/* If somebody else writes one, theirs is as good. */
void hearth__shared_write_head(struct hearth__guard_shared *shared,
                               const hearth__bloom_head *head) {
    uint64_t free = atomic_load(&shared->head_lock) & ~UINT64_C(1);
    if (!atomic_compare_exchange_strong(&shared->head_lock, &free, free + 1)) {
        return;
    }
    atomic_store(&shared->head[0], head->id);
    atomic_store(&shared->head[1], head->next);
    atomic_store(&shared->head[2], (uint64_t)head->blocks << 32 | head->next_blocks);
    atomic_store(&shared->head_lock, free + 2);
}

/* False: it is being written. Then it is none, which a server sets right. */
bool hearth__shared_read_head(const struct hearth__guard_shared *shared,
                              hearth__bloom_head *head) {
    uint64_t before = atomic_load(&shared->head_lock);
    uint64_t id = atomic_load(&shared->head[0]);
    uint64_t next = atomic_load(&shared->head[1]);
    uint64_t sizes = atomic_load(&shared->head[2]);
    *head = (hearth__bloom_head){0};
    if ((before & 1) != 0 || atomic_load(&shared->head_lock) != before) {
        return false;
    }
    *head = (hearth__bloom_head){.id = id,
                                 .next = next,
                                 .blocks = (uint32_t)(sizes >> 32),
                                 .next_blocks = (uint32_t)sizes};
    return true;
}

/* ---- inserts ---------------------------------------------------------------------------- */

/*
 * Whether the server need not be asked: by a look younger than guard.view_ms the filter has the key, or there is none at all. Who
 * makes a filter waits for as long before it asks for the keys that exist.
 */
static bool is_told(hearth *cache, uint64_t hash) {
    const struct hearth__guard_shared *shared = &cache->shared;
    hearth__bloom_head head;
    int64_t until_ms = atomic_load(&shared->seen_until_ms);
    if (!hearth__shared_read_head(shared, &head) || hearth__boot_ms() >= until_ms) {
        return false;
    }
    if (is_nothing(&head)) {
        return true;
    }
    return head.next == 0 && atomic_load(&shared->copied) == head.id &&
           hearth__bloom_guard_contains(cache->guard.filter, hash);
}

/* Keys, and room for what is said of them. */
struct news {
    const uint64_t *hashes;
    size_t count;
    unsigned char *words;
    hearth__buffer answer;
};

/* One try: *head is what the server says. HEARTH_OK: they were inserted, or there is nothing; HEARTH_CONFLICT: the head was another. */
static int32_t insert(hearth *cache, struct news *news, hearth__bloom_head *head) {
    hearth__bloom_head said = *head;
    hearth__buffer *answer = &news->answer;
    size_t size = hearth__bloom_say_insert(head, news->hashes, news->count, news->words);
    int32_t status =
        hearth__shared_exchange(cache, HEARTH__FILTER_INSERT, news->words, size, answer);
    if (status != HEARTH_OK) {
        return status;
    }
    if (!hearth__bloom_head_parse(answer->data, answer->size, head)) {
        return HEARTH_E_PROTOCOL;
    }
    return is_nothing(head) || is_same(head, &said) ? HEARTH_OK : HEARTH_CONFLICT;
}

/* Until the server has them. */
static int32_t tell(hearth *cache, struct news *news) {
    hearth__bloom_head head;
    (void)hearth__shared_read_head(&cache->shared, &head);
    int32_t status = HEARTH_CONFLICT;
    for (int i = 0; i < TRIES && status == HEARTH_CONFLICT; i++) {
        status = insert(cache, news, &head);
        if (status == HEARTH_CONFLICT) {
            hearth__shared_write_head(&cache->shared, &head);
        }
    }
    hearth__buffer_fini(&news->answer);
    for (size_t i = 0; status == HEARTH_OK && !is_nothing(&head) && i < news->count; i++) {
        /* Here it is not denied. */
        (void)hearth__bloom_guard_add(cache->guard.filter, news->hashes[i]);
    }
    return status != HEARTH_CONFLICT ? status : HEARTH_E_UNAVAILABLE;
}

int32_t hearth__shared_add(hearth *cache, uint64_t hash) {
    unsigned char words[HEARTH__BLOOM_WORDS];
    struct news news = {.hashes = &hash, .count = 1, .words = words};
    hearth__shared_start(cache);
    return is_told(cache, hash) ? HEARTH_OK : tell(cache, &news);
}

/* False: there is no room. */
static bool keep(_Atomic uint64_t *slots, size_t count, uint64_t hash) {
    for (size_t i = 0; i < count; i++) {
        uint64_t empty = 0;
        if (atomic_load_explicit(&slots[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&slots[i], &empty, hash)) {
            return true;
        }
    }
    return false;
}

/* It is told as soon as the server answers. */
static void keep_untold(hearth *cache, uint64_t hash) {
    struct hearth__guard_shared *shared = &cache->shared;
    HEARTH__COUNT(cache->counters, guard_untold);
    if (!keep(shared->untold, HEARTH__GUARD_UNTOLD, hash)) {
        atomic_store(&shared->overflowed, true);
    }
}

void hearth__shared_add_later(hearth *cache, uint64_t hash) {
    if (hearth__shared_add(cache, hash) != HEARTH_OK) {
        keep_untold(cache, hash);
    }
}

void hearth__shared_add_all_later(hearth *cache, uint64_t *hashes, size_t count) {
    size_t left = 0;
    hearth__shared_start(cache);
    for (size_t i = 0; i < count; i++) {
        if (!is_told(cache, hashes[i])) {
            hashes[left++] = hashes[i];
        }
    }
    size_t batch = left < BATCH ? left : BATCH;
    unsigned char *words =
        left != 0 ? hearth__alloc(HEARTH__BLOOM_HEAD + batch * HEARTH__BLOOM_INSERT) : NULL;
    for (size_t at = 0; at < left; at += batch) {
        struct news news = {.hashes = hashes + at,
                            .count = left - at < batch ? left - at : batch,
                            .words = words};
        bool told = words != NULL && tell(cache, &news) == HEARTH_OK;
        for (size_t i = 0; !told && i < news.count; i++) {
            keep_untold(cache, news.hashes[i]);
        }
    }
    hearth__free(words);
}

void hearth__shared_suspect(hearth *cache, uint64_t hash) {
    struct hearth__guard_shared *shared = &cache->shared;
    if (hearth__bloom_guard_would_deny(cache->guard.filter, hash) &&
        keep(shared->suspects, HEARTH__GUARD_SUSPECTS, hash)) {
        hearth__bell_ring(&cache->guard.bell, HEARTH__GUARD_WORK);
    }
}
