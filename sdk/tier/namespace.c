/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 400 lines: what is known of a generation, and who may trust it, stands in one file. */
#include "tier/namespace.h"

#include "base/clock.h"
#include "base/memory.h"
#include "tier/bus.h"
#include "tier/counter.h"
#include "tier/namespace_stats.h"
#include "tier/share.h"

#include <endian.h>
#include <string.h>

#define GENERATION HEARTH__NAMESPACE_KEYS

static const char digits[] = "0123456789abcdef";

static size_t value_of(unsigned char digit) {
    return digit <= '9' ? (size_t)(digit - '0') : (size_t)(digit - 'a' + 10);
}

/* ---- keys ------------------------------------------------------------------------------- */

size_t hearth__key_name_size(const void *key) {
    const unsigned char *bytes = key;
    return hearth__key_is_marked(key) ? value_of(bytes[HEARTH__KEY_NAME_SIZE_AT]) * 16 +
                                            value_of(bytes[HEARTH__KEY_NAME_SIZE_AT + 1])
                                      : 0;
}

static size_t name_size(const hearth__scope *scope) {
    return scope->space != NULL ? scope->space->name_size : 0;
}

static bool is_marked(const hearth__scope *scope, const void *key) {
    return scope->space != NULL || hearth__key_is_marked(key);
}

/* Eight hexadecimal digits, all at once: a hit in a namespace does this. What is behind them. */
static unsigned char *put_digits(unsigned char *to, uint32_t number) {
    enum { DIGITS = 8, LETTERS = 'a' - '0' - 10 };
    uint64_t each = number; /* a digit in each byte */
    each = (each << 16 | each) & UINT64_C(0x0000ffff0000ffff);
    each = (each << 8 | each) & UINT64_C(0x00ff00ff00ff00ff);
    each = (each << 4 | each) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t is_letter =
        (each + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    each += UINT64_C(0x3030303030303030) + is_letter * LETTERS;
    each = htobe64(each);
    memcpy(to, &each, DIGITS);
    return to + DIGITS;
}

size_t hearth__scope_size(const hearth__scope *scope, const void *key, size_t key_size) {
    return is_marked(scope, key) ? HEARTH__KEY_HEAD + name_size(scope) + key_size : key_size;
}

void hearth__scope_write(const hearth__scope *scope, const void *key, size_t key_size,
                         unsigned char *to) {
    if (is_marked(scope, key)) {
        size_t name = name_size(scope);
        *to++ = HEARTH__KEY_MARK;
        to = put_digits(to, (uint32_t)(scope->generation >> 32));
        to = put_digits(to, (uint32_t)scope->generation);
        *to++ = (unsigned char)digits[name >> 4];
        *to++ = (unsigned char)digits[name & 15];
        if (name != 0) {
            memcpy(to, scope->space->name, name);
        }
        to += name;
    }
    memcpy(to, key, key_size);
}

/* ---- what is known of a generation ------------------------------------------------------ */

static bool same_epoch(uint64_t a, uint64_t b) {
    return a >> HEARTH__COUNTER_SEQUENCE_BITS == b >> HEARTH__COUNTER_SEQUENCE_BITS;
}

/* A question on its way. */
struct question {
    uint64_t number;
    uint64_t seen; /* the generation that was known before it was asked */
    uint64_t told; /* changes, before it was asked */
    int64_t asked_ms;
};

static struct question begin_question(struct hearth__namespace *space) {
    pthread_mutex_lock(&space->lock);
    struct question question = {
        .number = ++space->asked, .seen = atomic_load(&space->generation), .told = space->told};
    pthread_mutex_unlock(&space->lock);
    question.asked_ms = hearth__boot_ms();
    return question;
}

static bool was_retired(const struct hearth__namespace *space, uint64_t generation) {
    for (size_t i = 0; i < HEARTH__RETIRED; i++) {
        if (space->retired[i] != 0 && same_epoch(space->retired[i], generation)) {
            return true;
        }
    }
    return false;
}

static void replace(struct hearth__namespace *space, uint64_t known, uint64_t generation) {
    if (known != 0 && !same_epoch(known, generation)) {
        space->retired[space->retired_at++ % HEARTH__RETIRED] = known;
    }
    atomic_store(&space->generation, generation);
}

/* Takes an answer. False: it is not to be, since the counter has gone back, or came again. Who reads looks at the time first, so that
 * is written last. */
static bool learn(struct hearth__namespace *space, const struct question *question,
                  uint64_t generation, int64_t trust_ms) {
    pthread_mutex_lock(&space->lock);
    uint64_t known = atomic_load(&space->generation);
    bool later = question->number > space->answered;
    bool same = known == 0 || same_epoch(known, generation);
    bool as_seen = question->seen != 0 && same_epoch(question->seen, generation);
    bool right = as_seen ? generation >= question->seen : !was_retired(space, generation);
    if (right && (same ? generation > known : later && !was_retired(space, generation))) {
        replace(space, known, generation);
        known = generation;
    }
    if (right && later && known == generation) {
        space->answered = question->number;
        atomic_store(&space->known_ms, question->asked_ms);
        atomic_store(&space->until_ms,
                     question->told == space->told ? question->asked_ms + trust_ms : INT64_MIN);
    } else if (right && !same_epoch(known, generation)) {
        atomic_store(&space->until_ms, INT64_MIN); /* two answers at once: it is asked again */
    }
    pthread_mutex_unlock(&space->lock);
    return right;
}

static void distrust(struct hearth__namespace *space) {
    pthread_mutex_lock(&space->lock);
    atomic_store(&space->until_ms, INT64_MIN);
    pthread_mutex_unlock(&space->lock);
}

/* Asks the counter's node, after a step. What it says may have gone back to what was before: then it is made anew. */
static int32_t ask(hearth *cache, struct hearth__namespace *space, int64_t step,
                   int64_t deadline_ns) {
    int64_t trust_ms = cache->config.coherence_version_ttl_ms;
    struct question question = begin_question(space);
    uint64_t generation = 0;
    int32_t status = hearth__counter_ask(cache, GENERATION, space->name, space->name_size, step,
                                         deadline_ns, &generation);
    if (status == HEARTH_OK && learn(space, &question, generation, trust_ms)) {
        return HEARTH_OK;
    }
    if (status != HEARTH_OK && status != HEARTH_E_TYPE) {
        return status;
    }
    question = begin_question(space);
    status = hearth__counter_renew(cache, GENERATION, space->name, space->name_size,
                                   deadline_ns, &generation);
    if (status == HEARTH_OK && !learn(space, &question, generation, trust_ms)) {
        status = HEARTH_E_UNAVAILABLE;
    }
    return status;
}

/* ---- scopes ----------------------------------------------------------------------------- */

static hearth__scope look(hearth *cache, struct hearth__namespace *space) {
    hearth__scope scope = {.cache = cache, .space = space, .status = HEARTH_OK};
    if (space != NULL) {
        scope.known_ms = cache->sole_writer ? 0 : atomic_load(&space->known_ms);
        scope.generation = atomic_load(&space->generation);
    }
    return scope;
}

/* Whether it is to be asked for before it is trusted no more: one caller does, the others go on. */
static bool is_due(const struct hearth__namespace *space, int64_t now_ms, int64_t until_ms,
                   int64_t trust_ms) {
    return until_ms < now_ms + trust_ms / 2 && !atomic_load(&space->asking);
}

hearth__scope hearth__scope_begin(hearth *handle, enum hearth__scope_use use,
                                  int64_t max_stale_ms, int64_t deadline_ns) {
    hearth *cache = handle->whole;
    struct hearth__namespace *space = atomic_load(&handle->space);
    if (space == NULL || cache->sole_writer) {
        return look(cache, space);
    }
    int64_t now_ms = hearth__boot_coarse_ms() + HEARTH__COARSE_LAG_MS;
    int64_t until_ms = atomic_load(&space->until_ms);
    hearth__scope scope = look(cache, space);
    bool trusted = now_ms < until_ms && now_ms - scope.known_ms <= max_stale_ms;
    bool due = is_due(space, now_ms, until_ms, cache->config.coherence_version_ttl_ms);
    if (use == HEARTH__SCOPE_PEEK || use == HEARTH__SCOPE_HIT) {
        scope.status = trusted && !(due && use == HEARTH__SCOPE_HIT) ? HEARTH_OK : HEARTH_MISS;
        return scope;
    }
    bool asks = use == HEARTH__SCOPE_WRITE || !trusted;
    due = due && !asks && !atomic_exchange(&space->asking, true);
    if (asks || due) {
        int32_t status = ask(cache, space, 0, deadline_ns);
        scope = look(cache, space);
        scope.status = asks ? status : HEARTH_OK;
    }
    if (due) {
        atomic_store(&space->asking, false);
    }
    return scope;
}

/* ---- open and close --------------------------------------------------------------------- */

static hearth *create_view(hearth *cache) {
    hearth *view = hearth__alloc_zero(1, sizeof *view);
    if (view != NULL) { /* what the door needs */
        view->whole = cache;
        view->config = cache->config;
        view->counters = cache->counters;
        view->log = cache->log;
    }
    return view;
}

static size_t hash_of_name(const void *name, size_t size) {
    const unsigned char *bytes = name;
    uint32_t hash = 0;
    for (size_t i = 0; i < size; i++) {
        hash = hash * 31 + bytes[i];
    }
    return hash % HEARTH__NAME_HASHES;
}

/* Takes no lock: what was opened stays. */
static struct hearth__namespace *find(hearth *cache, const void *name, size_t size) {
    struct hearth__namespace *space = atomic_load_explicit(
        &cache->namespaces_of[hash_of_name(name, size)], memory_order_acquire);
    while (space != NULL &&
           (space->name_size != size || memcmp(space->name, name, size) != 0)) {
        space = space->next_alike;
    }
    return space;
}

/* The cache's own keys are of no family, and so are those of namespaces for which there is none left. False: no memory. */
static bool give_family(hearth *cache, struct hearth__namespace *space) {
    if (space->name_size == 0 || cache->families == HEARTH__FAMILIES - 1) {
        return true;
    }
    if (!hearth__seats_open_family(cache->counters, cache->families + 1)) {
        return false;
    }
    space->family = ++cache->families;
    return true;
}

static void add_namespace(hearth *cache, struct hearth__namespace *space) {
    _Atomic(struct hearth__namespace *) *first =
        &cache->namespaces_of[hash_of_name(space->name, space->name_size)];
    space->next_alike = atomic_load(first);
    space->next = cache->namespaces;
    cache->namespaces = space;
    atomic_store(first, space);
}

uint32_t hearth__namespace_family(void *cache, const void *key, size_t key_size) {
    (void)key_size;
    if (!hearth__key_is_marked(key)) {
        return 0;
    }
    const struct hearth__namespace *space =
        find(cache, (const char *)key + HEARTH__KEY_HEAD, hearth__key_name_size(key));
    return space != NULL ? space->family : 0;
}

static struct hearth__namespace *create(hearth *cache, const void *name, size_t size) {
    struct hearth__namespace *space = hearth__alloc_zero(1, sizeof *space + size);
    if (space == NULL) {
        return NULL;
    }
    space->name_size = size;
    if (size != 0) {
        memcpy(space->name, name, size);
    }
    space->view = create_view(cache);
    bool whole = space->view != NULL && pthread_mutex_init(&space->lock, NULL) == 0;
    if (!whole || !give_family(cache, space)) {
        if (whole) {
            (void)pthread_mutex_destroy(&space->lock);
        }
        hearth__free(space->view);
        hearth__free(space);
        return NULL;
    }
    atomic_store(&space->view->space, space);
    atomic_store(&space->until_ms, INT64_MIN);
    atomic_store(&space->generation, cache->sole_writer ? hearth__counter_first() : 0);
    add_namespace(cache, space);
    return space;
}

int32_t hearth__namespace_open(hearth *handle, const void *name, size_t size, hearth **view) {
    hearth *cache = handle->whole;
    pthread_mutex_lock(&cache->namespaces_lock);
    struct hearth__namespace *space = find(cache, name, size);
    if (space == NULL) {
        space = create(cache, name, size);
    }
    if (space != NULL) {
        space->opens++;
        *view = space->view;
    }
    pthread_mutex_unlock(&cache->namespaces_lock);
    return space != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

int32_t hearth__namespace_close(hearth *view) {
    hearth *cache = view->whole;
    pthread_mutex_lock(&cache->namespaces_lock);
    atomic_load(&view->space)->opens--;
    pthread_mutex_unlock(&cache->namespaces_lock);
    return HEARTH_OK;
}

void hearth__namespaces_changed(hearth *cache, const void *key, size_t key_size) {
    size_t head = sizeof GENERATION - 1;
    size_t prefix = cache->prefix_size;
    const char *bytes = key;
    if (key_size < head + prefix || memcmp(bytes, GENERATION, head) != 0 ||
        memcmp(bytes + head, cache->config.remote_prefix, prefix) != 0) {
        return;
    }
    struct hearth__namespace *space =
        find(cache, bytes + head + prefix, key_size - head - prefix);
    if (space != NULL) {
        pthread_mutex_lock(&space->lock);
        space->told++; /* what is on its way may be from before */
        atomic_store(&space->until_ms, INT64_MIN);
        pthread_mutex_unlock(&space->lock);
    }
}

/* The cache's own keys become a namespace without a name. */
static int32_t name_own(hearth *cache) {
    pthread_mutex_lock(&cache->namespaces_lock);
    struct hearth__namespace *own = find(cache, "", 0);
    own = own != NULL ? own : create(cache, "", 0);
    atomic_store(&cache->space, own);
    pthread_mutex_unlock(&cache->namespaces_lock);
    return own != NULL ? HEARTH_OK : HEARTH_E_NOMEM;
}

/* Those with a share are the first of all, so that there is a family for each. */
static bool add_shares(hearth *cache) {
    const char *at = cache->config.local_share;
    hearth__share share;
    bool whole = true;
    while (whole && hearth__share_next(&at, &share)) {
        const struct hearth__namespace *space = create(cache, share.name, share.name_size);
        whole = space != NULL;
        if (whole && cache->keeps_local) {
            double bytes =
                (double)cache->config.local_max_bytes * hearth__rate_of(share.billionths);
            hearth__local_limit_family(cache->local, space->family, (uint64_t)bytes);
        }
    }
    return whole;
}

int32_t hearth__namespaces_begin(hearth *cache) {
    cache->whole = cache;
    if (pthread_mutex_init(&cache->namespaces_lock, NULL) != 0) {
        return HEARTH_E_NOMEM;
    }
    cache->has_namespaces_lock = true;
    if (!add_shares(cache)) {
        return HEARTH_E_NOMEM;
    }
    return cache->config.coherence_clear != 0 && !cache->sole_writer ? name_own(cache)
                                                                     : HEARTH_OK;
}

void hearth__namespaces_close(hearth *cache) {
    while (cache->namespaces != NULL) {
        struct hearth__namespace *space = cache->namespaces;
        cache->namespaces = space->next;
        (void)pthread_mutex_destroy(&space->lock);
        hearth__free(space->view);
        hearth__free(space);
    }
    if (cache->has_namespaces_lock) {
        (void)pthread_mutex_destroy(&cache->namespaces_lock);
    }
}

/* ---- bump ------------------------------------------------------------------------------- */

int32_t hearth__namespace_bump(hearth *handle, int64_t deadline_ns) {
    hearth *cache = handle->whole;
    struct hearth__namespace *space = atomic_load(&handle->space);
    HEARTH__COUNT(cache->counters, namespace_bumps);
    if (cache->sole_writer) {
        if (space == NULL) { /* which is another generation than none */
            return name_own(cache);
        }
        atomic_fetch_add(&space->generation, 1);
        return HEARTH_OK;
    }
    if (space == NULL) {
        hearth__log_add(cache->log, HEARTH_LOG_WARNING, HEARTH_E_UNSUPPORTED,
                        "hearth_clear: the cache's own keys have no generation; set "
                        "coherence.clear = yes in all processes, or open a namespace");
        return HEARTH_E_UNSUPPORTED;
    }
    int32_t status = ask(cache, space, 1, deadline_ns);
    if (status != HEARTH_OK) {
        distrust(space); /* it may have gone on */
    }
    hearth__bus_tell_beside(cache, GENERATION, space->name, space->name_size, status,
                            deadline_ns);
    return status;
}
