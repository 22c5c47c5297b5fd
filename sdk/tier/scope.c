/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls with a namespace's handle: each gets its keys a generation, and goes on with the cache's own tiers. What is not known to be of
 * the generation of now is stale: a node is not asked for it, and nothing is written.
 *
 * Longer than 400 lines: all calls with keys stand in one file.
 */
#include "tier/scope.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/unwind.h"
#include "tier/namespace_stats.h"

/* A key in a scope. Must not move. */
struct scoped {
    const void *key;
    size_t size;
    void *heap;
    unsigned char few[256];
};

static bool open_key(const hearth__scope *scope, const void *key, size_t key_size,
                     struct scoped *scoped) {
    scoped->size = hearth__scope_size(scope, key, key_size);
    scoped->heap = NULL;
    unsigned char *to = scoped->few;
    if (scoped->size > sizeof scoped->few) {
        to = scoped->heap = hearth__alloc(scoped->size);
    }
    scoped->key = to;
    if (to != NULL) {
        hearth__scope_write(scope, key, key_size, to);
    }
    return to != NULL;
}

static void close_key(struct scoped *scoped) {
    hearth__free(scoped->heap);
}

/* ---- reads ------------------------------------------------------------------------------ */

static hearth__scope begin_read(hearth *handle, const hearth_read_options *options) {
    int64_t own_ms = handle->whole->config.remote_timeout_ms;
    bool is_shorter = options->deadline_ms != 0 && options->deadline_ms < own_ms;
    return hearth__scope_begin(handle, HEARTH__SCOPE_READ, options->max_stale_ms,
                               hearth__deadline_ns(is_shorter ? options->deadline_ms : own_ms));
}

/* What the tiers may be asked, in a scope. */
static hearth_read_options narrow(const hearth__scope *scope,
                                  const hearth_read_options *options) {
    hearth_read_options narrowed = *options;
    if (scope->status != HEARTH_OK) {
        narrowed.flags |= HEARTH_READ_NO_REMOTE | HEARTH__READ_UNTRUSTED;
    }
    if (!hearth__scope_is_known(scope)) {
        narrowed.flags |= HEARTH_READ_NO_LOCAL;
    }
    return narrowed;
}

/* An answer is known to be right no later than its generation. A plain hit was counted for the cache only. */
static void note_scope(const hearth__scope *scope, hearth_value *value) {
    value->answer.space_ms = scope->known_ms;
    if (value->plain == HEARTH__NOT_PLAIN) {
        return;
    }
    if (scope->known_ms != 0) {
        value->plain |= HEARTH__PLAIN_SCOPED;
    }
    if (scope->space != NULL && scope->space->family != 0) {
        hearth__seat_add_family(hearth__seats_own(scope->cache->counters), scope->space->family,
                                HEARTH__NAMESPACE_local_hits, 1);
    }
}

/* What a get answers that found nothing: why its node was not asked, if so. */
static int32_t get_status(const hearth__scope *scope, const hearth_read_options *options,
                          int32_t status) {
    bool untold = status == HEARTH_MISS && scope->status != HEARTH_OK &&
                  (options->flags & HEARTH_READ_NO_REMOTE) == 0;
    return untold ? scope->status : status;
}

int32_t hearth__scoped_get(hearth *handle, const void *key, size_t key_size,
                           const hearth_read_options *options, hearth_value *value) {
    if (!hearth__is_scoped(handle, key)) {
        return hearth__chain_get(handle, key, key_size, options, value);
    }
    struct scoped scoped;
    hearth__scope scope = begin_read(handle, options);
    hearth__value_clear(value);
    if (!open_key(&scope, key, key_size, &scoped)) {
        return HEARTH_E_NOMEM;
    }
    hearth_read_options narrowed = narrow(&scope, options);
    int32_t status = HEARTH_OK;
    if (scope.status != HEARTH_OK || !hearth__read_takes_any_hit(options) ||
        !hearth__chain_plain_hit(scope.cache, scoped.key, scoped.size, value)) {
        status = hearth__chain_get(scope.cache, scoped.key, scoped.size, &narrowed, value);
    }
    note_scope(&scope, value);
    close_key(&scoped);
    return get_status(&scope, options, status);
}

int32_t hearth__scoped_fetch(hearth *handle, const void *key, size_t key_size,
                             const hearth_loader *loader, const hearth_read_options *options,
                             const hearth_write_options *write, hearth_value *value) {
    if (!hearth__is_scoped(handle, key)) {
        return hearth__chain_fetch(handle, key, key_size, loader, options, write, value);
    }
    HEARTH__AT_END(close_key) struct scoped scoped = {0};
    hearth__scope scope = begin_read(handle, options);
    hearth__value_clear(value);
    if (!open_key(&scope, key, key_size, &scoped)) {
        return HEARTH_E_NOMEM;
    }
    hearth_read_options narrowed = narrow(&scope, options);
    int32_t status = HEARTH_OK;
    if (scope.status != HEARTH_OK || !hearth__read_takes_any_hit(options) ||
        !hearth__chain_plain_hit(scope.cache, scoped.key, scoped.size, value)) {
        status = hearth__chain_fetch(scope.cache, scoped.key, scoped.size, loader, &narrowed,
                                     write, value);
    }
    note_scope(&scope, value);
    return status;
}

int32_t hearth__scoped_fetch_begin(hearth *handle, const void *key, size_t key_size,
                                   const hearth_read_options *options, hearth_value *value,
                                   hearth_fill **fill) {
    if (!hearth__is_scoped(handle, key)) {
        return hearth__chain_fetch_begin(handle, key, key_size, options, value, fill);
    }
    struct scoped scoped;
    hearth__scope scope = begin_read(handle, options);
    hearth__value_clear(value);
    if (!open_key(&scope, key, key_size, &scoped)) {
        return HEARTH_E_NOMEM;
    }
    hearth_read_options narrowed = narrow(&scope, options);
    int32_t status =
        hearth__chain_fetch_begin(scope.cache, scoped.key, scoped.size, &narrowed, value, fill);
    note_scope(&scope, value);
    close_key(&scoped);
    return status;
}

/* ---- many ------------------------------------------------------------------------------- */

/* Keys in a scope, in one piece of memory: pointers, sizes, bytes. */
struct scoped_many {
    const void **keys;
    size_t *sizes;
    void *heap;
};

static bool any_scoped(const hearth *handle, size_t count, const void *const *keys) {
    bool any = false;
    for (size_t i = 0; !any && i < count; i++) {
        any = hearth__is_scoped(handle, keys[i]);
    }
    return any;
}

static bool open_keys(const hearth__scope *scope, size_t count, const void *const *keys,
                      const size_t *key_sizes, struct scoped_many *many) {
    size_t bytes = count * (sizeof(void *) + sizeof(size_t));
    for (size_t i = 0; i < count; i++) {
        bytes += hearth__scope_size(scope, keys[i], key_sizes[i]);
    }
    many->heap = hearth__alloc(bytes);
    if (many->heap == NULL) {
        return false;
    }
    many->keys = many->heap;
    many->sizes = (size_t *)(void *)(many->keys + count);
    unsigned char *to = (unsigned char *)(many->sizes + count);
    for (size_t i = 0; i < count; i++) {
        many->keys[i] = to;
        many->sizes[i] = hearth__scope_size(scope, keys[i], key_sizes[i]);
        hearth__scope_write(scope, keys[i], key_sizes[i], to);
        to += many->sizes[i];
    }
    return true;
}

static void close_keys(struct scoped_many *many) {
    hearth__free(many->heap);
}

static void clear_all(size_t count, hearth_value *const *values) {
    for (size_t i = 0; i < count; i++) {
        hearth__value_clear(values[i]);
    }
}

int32_t hearth__scoped_get_many(hearth *handle, size_t count, const void *const *keys,
                                const size_t *key_sizes, const hearth_read_options *options,
                                hearth_value *const *values, int32_t *statuses) {
    if (!any_scoped(handle, count, keys)) {
        return hearth__chain_get_many(handle->whole, count, keys, key_sizes, options, values,
                                      statuses);
    }
    struct scoped_many many;
    hearth__scope scope = begin_read(handle, options);
    clear_all(count, values);
    if (!open_keys(&scope, count, keys, key_sizes, &many)) {
        return HEARTH_E_NOMEM;
    }
    hearth_read_options narrowed = narrow(&scope, options);
    int32_t result = hearth__chain_get_many(scope.cache, count, many.keys, many.sizes,
                                            &narrowed, values, statuses);
    for (size_t i = 0; result == HEARTH_OK && i < count; i++) {
        note_scope(&scope, values[i]);
        statuses[i] = get_status(&scope, options, statuses[i]);
    }
    close_keys(&many);
    return result;
}

int32_t hearth__scoped_get_many_begin(hearth *handle, size_t count, const void *const *keys,
                                      const size_t *key_sizes,
                                      const hearth_read_options *options,
                                      hearth_value *const *values, int32_t *statuses,
                                      hearth__many **out) {
    if (!any_scoped(handle, count, keys)) {
        return hearth__chain_get_many_begin(handle->whole, count, keys, key_sizes, options,
                                            values, statuses, out);
    }
    *out = NULL;
    return hearth__scoped_get_many(handle, count, keys, key_sizes, options, values, statuses);
}

int32_t hearth__scoped_fetch_many(hearth *handle, size_t count, const void *const *keys,
                                  const size_t *key_sizes, const hearth_loader *loader,
                                  const hearth_read_options *options,
                                  const hearth_write_options *write,
                                  hearth_value *const *values, int32_t *statuses) {
    if (!any_scoped(handle, count, keys)) {
        return hearth__chain_fetch_many(handle->whole, count, keys, key_sizes, loader, options,
                                        write, values, statuses);
    }
    HEARTH__AT_END(close_keys) struct scoped_many many = {0};
    hearth__scope scope = begin_read(handle, options);
    clear_all(count, values);
    if (!open_keys(&scope, count, keys, key_sizes, &many)) {
        return HEARTH_E_NOMEM;
    }
    hearth_read_options narrowed = narrow(&scope, options);
    int32_t result = hearth__chain_fetch_many(scope.cache, count, many.keys, many.sizes, loader,
                                              &narrowed, write, values, statuses);
    for (size_t i = 0; result == HEARTH_OK && i < count; i++) {
        note_scope(&scope, values[i]);
    }
    return result;
}

/* ---- writes ----------------------------------------------------------------------------- */

/* What is for the local tier alone goes by what is trusted: what it replaces was read by that. */
static hearth__scope begin_write(hearth *handle, const hearth_write_options *options) {
    bool local = (options->flags & HEARTH_WRITE_NO_REMOTE) != 0;
    return hearth__scope_begin(handle, local ? HEARTH__SCOPE_READ : HEARTH__SCOPE_WRITE,
                               HEARTH_STALE_ANY, hearth__write_deadline_ns(handle, options));
}

/* Takes its memory from the stack: it is also for when there is no other. */
static int32_t evict_local(const hearth__scope *scope, const void *key, size_t key_size) {
    unsigned char own[HEARTH__KEY_HEAD + HEARTH_NAMESPACE_MAX + HEARTH_KEY_MAX];
    hearth__scope_write(scope, key, key_size, own);
    return hearth__write_evict_local(scope->cache, own,
                                     hearth__scope_size(scope, key, key_size));
}

/* Nothing is written: no local copy stays, as after any write that failed. */
static void fail(const hearth__scope *scope, hearth__write *writes, size_t count,
                 int32_t status) {
    for (size_t i = 0; i < count; i++) {
        writes[i].status = status;
        if (hearth__scope_is_known(scope)) {
            (void)evict_local(scope, writes[i].key, writes[i].key_size);
        }
    }
}

static void run_one(const hearth__scope *scope, hearth__write *write,
                    const hearth_write_options *options) {
    struct scoped scoped;
    if (!open_key(scope, write->key, write->key_size, &scoped)) {
        fail(scope, write, 1, HEARTH_E_NOMEM);
        return;
    }
    hearth__write own = *write;
    own.key = scoped.key;
    own.key_size = scoped.size;
    hearth__write_run(scope->cache, &own, 1, options);
    write->status = own.status;
    write->number = own.number;
    close_key(&scoped);
}

static bool run_all(const hearth__scope *scope, hearth__write *writes, size_t count,
                    const hearth_write_options *options) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += hearth__scope_size(scope, writes[i].key, writes[i].key_size);
    }
    hearth__write *own = hearth__alloc_zero(count, sizeof *own);
    unsigned char *keys = hearth__alloc(bytes);
    unsigned char *to = keys;
    bool ready = own != NULL && keys != NULL;
    for (size_t i = 0; ready && i < count; i++) {
        own[i] = writes[i];
        own[i].key = to;
        own[i].key_size = hearth__scope_size(scope, writes[i].key, writes[i].key_size);
        hearth__scope_write(scope, writes[i].key, writes[i].key_size, to);
        to += own[i].key_size;
    }
    if (ready) {
        hearth__write_run(scope->cache, own, count, options);
    }
    for (size_t i = 0; ready && i < count; i++) {
        writes[i].status = own[i].status;
        writes[i].number = own[i].number;
    }
    hearth__free(keys);
    hearth__free(own);
    return ready;
}

static bool writes_scoped(const hearth *handle, const hearth__write *writes, size_t count) {
    bool any = false;
    for (size_t i = 0; !any && i < count; i++) {
        any = hearth__is_scoped(handle, writes[i].key);
    }
    return any;
}

void hearth__scoped_write(hearth *handle, hearth__write *writes, size_t count,
                          const hearth_write_options *options) {
    if (!writes_scoped(handle, writes, count)) {
        hearth__write_run(handle, writes, count, options);
        return;
    }
    hearth__scope scope = begin_write(handle, options);
    if (scope.status != HEARTH_OK) {
        fail(&scope, writes, count, scope.status);
    } else if (count == 1) {
        run_one(&scope, writes, options);
    } else if (!run_all(&scope, writes, count, options)) {
        fail(&scope, writes, count, HEARTH_E_NOMEM);
    }
}

int32_t hearth__scoped_write_through(hearth *handle, const hearth__write *write,
                                     const hearth_write_options *options, hearth_writer writer,
                                     void *arg) {
    if (!hearth__is_scoped(handle, write->key)) {
        return hearth__write_through(handle, write, options, writer, arg);
    }
    struct scoped scoped;
    hearth__write own = *write;
    hearth__scope scope = begin_write(handle, options);
    if (scope.status != HEARTH_OK) {
        fail(&scope, &own, 1, scope.status);
        return scope.status;
    }
    if (!open_key(&scope, write->key, write->key_size, &scoped)) {
        return HEARTH_E_NOMEM;
    }
    own.key = scoped.key;
    own.key_size = scoped.size;
    int32_t status = hearth__write_through(scope.cache, &own, options, writer, arg);
    close_key(&scoped);
    return status;
}

/* ---- what asks no node ------------------------------------------------------------------ */

static bool peek_key(hearth *handle, const void *key, size_t key_size, hearth__scope *scope,
                     struct scoped *scoped) {
    *scope = hearth__scope_begin(handle, HEARTH__SCOPE_PEEK, HEARTH_STALE_ANY, 0);
    return hearth__scope_is_known(scope) && open_key(scope, key, key_size, scoped);
}

/* The caller is inside. */
static bool hit(hearth *handle, const void *key, size_t key_size, int64_t max_stale_ms,
                hearth_value *value) {
    struct scoped scoped;
    hearth__scope scope = hearth__scope_begin(handle, HEARTH__SCOPE_HIT, max_stale_ms, 0);
    if (scope.status != HEARTH_OK || !hearth__scope_is_known(&scope) ||
        !open_key(&scope, key, key_size, &scoped)) {
        return false;
    }
    bool hit = hearth__chain_plain_hit(scope.cache, scoped.key, scoped.size, value);
    if (hit) {
        note_scope(&scope, value);
    }
    close_key(&scoped);
    return hit;
}

bool hearth__scoped_hit(hearth *handle, const void *key, size_t key_size, int64_t max_stale_ms,
                        hearth_value *value) {
    if (!hearth__is_scoped(handle, key)) {
        return hearth__chain_plain_hit(handle, key, key_size, value);
    }
    hearth__seat *seat = hearth__seats_enter(handle->counters);
    bool is_hit = seat != NULL && hit(handle, key, key_size, max_stale_ms, value);
    if (seat != NULL) {
        hearth__seat_leave(seat);
    }
    return is_hit;
}

int32_t hearth__scoped_evict_local(hearth *handle, const void *key, size_t key_size) {
    if (!hearth__is_scoped(handle, key)) {
        return hearth__write_evict_local(handle, key, key_size);
    }
    hearth__scope scope = hearth__scope_begin(handle, HEARTH__SCOPE_PEEK, HEARTH_STALE_ANY, 0);
    return hearth__scope_is_known(&scope) ? evict_local(&scope, key, key_size) : HEARTH_MISS;
}

void *hearth__scoped_peek_with(hearth *handle, const void *key, size_t key_size) {
    struct scoped scoped;
    hearth__scope scope;
    if (!hearth__is_scoped(handle, key)) {
        return hearth__peek_with(handle, key, key_size);
    }
    if (!peek_key(handle, key, key_size, &scope, &scoped)) {
        return hearth__peek_miss(scope.cache);
    }
    void *object = scope.status == HEARTH_OK
                       ? hearth__peek_with(scope.cache, scoped.key, scoped.size)
                       : hearth__peek_miss(scope.cache);
    close_key(&scoped);
    return object;
}

int32_t hearth__scoped_peek_version(hearth *handle, const void *key, size_t key_size,
                                    uint64_t *version) {
    struct scoped scoped;
    hearth__scope scope;
    if (!hearth__is_scoped(handle, key)) {
        return hearth__peek_version(handle, key, key_size, version);
    }
    if (!peek_key(handle, key, key_size, &scope, &scoped)) {
        return HEARTH_MISS;
    }
    int32_t status = scope.status == HEARTH_OK
                         ? hearth__peek_version(scope.cache, scoped.key, scoped.size, version)
                         : HEARTH_MISS;
    close_key(&scoped);
    return status;
}

int32_t hearth__scoped_node_of(hearth *handle, const void *key, size_t key_size,
                               uint32_t *index, char *name, size_t name_size) {
    struct scoped scoped;
    hearth__scope scope = hearth__scope_begin(handle, HEARTH__SCOPE_PEEK, HEARTH_STALE_ANY, 0);
    if (!open_key(&scope, key, key_size,
                  &scoped)) { /* of whatever generation: the node is the same */
        return HEARTH_E_NOMEM;
    }
    int32_t status =
        hearth__cache_node_of(scope.cache, scoped.key, scoped.size, index, name, name_size);
    close_key(&scoped);
    return status;
}
