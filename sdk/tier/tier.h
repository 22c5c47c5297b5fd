/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tier room: the data path. It is the only room that knows all others, and the one that the public calls go to.
 *
 *   plain_hit.c   a read's first step, and the last of nearly all: a fresh local value
 *   chain.c   a read's way: local, single flight, remote, loader
 *   get_many.c, fetch_many.c   the same for many keys at once; fetch_many_load.c: the loads among it
 *   peek.c    reads of the local tier that never wait
 *   guard.c   keys that do not exist: asked between the two, told by writes and loads; guard_file.c: in a file; guard_shared.c,
 *             guard_copy.c, guard_publish.c: one filter for all processes
 *   renewal.c   when a value that there is is loaded anew
 *   reload.c   loads that are made whatever there is
 *   lives.c   how long values live
 *   scope.c   calls with a namespace's handle; namespace.c the generations of namespaces; namespace_stats.c their figures; counter.c counters that everybody reads
 *   tags.c    families of keys that are invalidated at once; tag_table.c what is known of them
 *   fill.c    what an answer or a load may leave in the tiers
 *   limit.c   how many loads run, and are tried again
 *   lease.c   leases between processes: who loads, and who waits; lease_extend.c: as long as a load runs
 *   write.c   a write's way: detach loads, drop the local copy, write the node, keep the new copy
 *   write_through.c   a write that changes the source too
 *   queue.c   calls that do not wait (queue.h has its files)
 *   cache.c   opening, closing, routes
 *   members.c the nodes, and their change
 *   stats.c   statistics; stats_socket.c, stats_server.c, stats_report.c: for who looks in from outside
 *   latencies.c how long nodes and loaders take
 *   tracking.c  changes that nodes tell of: who listens, and what is dropped
 *   bus.c     changes that processes tell each other of
 *   config.c  the options; rate.c decimals among them
 *
 * Arguments were checked by api/ already, and the caller is inside the cache's gate.
 */
#ifndef HEARTH_TIER_TIER_H
#define HEARTH_TIER_TIER_H

#include "base/buffer.h"
#include "local/local.h"
#include "tier/config.h"

/* What is known about an answer, in the local tier's terms. */
typedef struct hearth__answer {
    hearth__local_entry entry;
    int64_t now_ms;         /* when it was given */
    uint32_t tier;          /* enum hearth_tier; HEARTH_TIER_NONE: there is no answer */
    bool sole_writer;       /* nobody else could have changed the remote tier */
    int64_t grace_ms;       /* so long before its entry's until_ms it was known to be right */
    bool tagged;            /* the value has tags */
    int64_t tags_ms;        /* which were known to be good then; 0: it has none */
    int64_t space_ms;       /* the generation of its namespace was known then; 0: it has none */
    uint64_t invalidations; /* of tags, begun by this process before the value was asked for */
} hearth__answer;

/* A plain hit leaves all of its answer but this to be told when it is asked for: one of these, and behind it, from
 * HEARTH__PLAIN_GRACE on, the answer's grace_ms. */
enum hearth__plain { HEARTH__NOT_PLAIN, HEARTH__PLAIN, HEARTH__PLAIN_SOLE_WRITER };

enum { HEARTH__PLAIN_GRACE = 4 };

/* A flag beside: the answer's space_ms is told already. */
enum { HEARTH__PLAIN_SCOPED = 8 };

/* Behind the public handle hearth_value. */
struct hearth_value {
    hearth__buffer bytes;
    hearth__answer answer;
    int64_t plain;               /* enum hearth__plain, and more */
    hearth__local_raw raw;       /* of a plain hit */
    const hearth_loader *loader; /* of a fetch that begins, until it is known to hit */
};

/* What hearth_value_info() tells. */
void hearth__value_describe(const hearth_value *value, hearth_info *info);

/*
 * A get's or fetch's first step, and the last one of nearly all: true: the value is in the local tier and fresh. False:
 * nothing has happened, hearth__chain_get() or hearth__chain_fetch() goes the whole way. Only for the default read options;
 * it goes through the gate by itself.
 */
bool hearth__chain_hit(hearth *cache, const void *key, size_t key_size, hearth_value *value);

/* The same of a key as the tiers have it. */
bool hearth__chain_plain_hit(hearth *cache, const void *key, size_t key_size,
                             hearth_value *value);

/* A get with the default options, from the gate on: hearth__chain_hit(), and failing that hearth__chain_get(). */
int32_t hearth__chain_get_by_default(hearth *cache, const void *key, size_t key_size,
                                     hearth_value *value);

/* The same of a fetch. */
int32_t hearth__chain_fetch_by_default(hearth *cache, const void *key, size_t key_size,
                                       const hearth_loader *loader, hearth_value *value);

/* Empties a value object before it is filled. */
void hearth__value_clear(hearth_value *value);

/*
 * Opens a cache with a copy of the options. HEARTH_OK; HEARTH_E_INVALID, HEARTH_E_UNSUPPORTED: `why` names the option;
 * HEARTH_E_NOMEM.
 */
int32_t hearth__cache_open(const hearth__config *config, char *why, size_t why_size,
                           hearth **cache);

/* Waits for all who are inside. HEARTH_OK; HEARTH_E_DEADLOCK: this thread is inside a loader. */
int32_t hearth__cache_close(hearth *cache);

/* Around every call that uses a cache. False: it is being closed. */
bool hearth__cache_enter(hearth *cache);
void hearth__cache_leave(hearth *cache);
/* Leaves at the end of a call that a loader may throw through. */
void hearth__cache_left(hearth *const *inside);

void hearth__cache_stats(hearth *cache, hearth_stats *stats);
/* As hearth_stats_text(). */
int32_t hearth__cache_stats_text(hearth *cache, char *text, size_t size, size_t *needed);
/* As hearth__local_hot_keys(). */
int32_t hearth__cache_hot_keys(hearth *cache, size_t most,
                               void (*give)(void *arg, const hearth__hot_key *key), void *arg);
int32_t hearth__cache_log_next(hearth *cache, hearth_log_record *record);
/* As hearth_set_nodes(); `why` is there. */
int32_t hearth__cache_set_nodes(hearth *cache, const char *url, char *why, size_t why_size);
int32_t hearth__cache_node_of(hearth *cache, const void *key, size_t key_size, uint32_t *index,
                              char *name, size_t name_size);

/* The reads. Options are complete: no NULL. `value` may be NULL. Statuses as in hearth.h. */
int32_t hearth__chain_get(hearth *cache, const void *key, size_t key_size,
                          const hearth_read_options *read, hearth_value *value);
int32_t hearth__chain_get_many(hearth *cache, size_t count, const void *const *keys,
                               const size_t *key_sizes, const hearth_read_options *read,
                               hearth_value *const *values, int32_t *statuses);
int32_t hearth__chain_fetch(hearth *cache, const void *key, size_t key_size,
                            const hearth_loader *loader, const hearth_read_options *read,
                            const hearth_write_options *write, hearth_value *value);
int32_t hearth__chain_fetch_begin(hearth *cache, const void *key, size_t key_size,
                                  const hearth_read_options *read, hearth_value *value,
                                  hearth_fill **fill);
int32_t hearth__chain_fetch_many(hearth *cache, size_t count, const void *const *keys,
                                 const size_t *key_sizes, const hearth_loader *loader,
                                 const hearth_read_options *read,
                                 const hearth_write_options *write, hearth_value *const *values,
                                 int32_t *statuses);

/* A flag of a read beside those of hearth.h: what the local tier has is stale, since nobody knows whether it is of the generation of
 * now. */
#define HEARTH__READ_UNTRUSTED 0x80000000u

/* The same with any handle, be it a cache or a namespace of one (scope.c). */
int32_t hearth__scoped_get(hearth *handle, const void *key, size_t key_size,
                           const hearth_read_options *options, hearth_value *value);
int32_t hearth__scoped_get_many(hearth *handle, size_t count, const void *const *keys,
                                const size_t *key_sizes, const hearth_read_options *options,
                                hearth_value *const *values, int32_t *statuses);
int32_t hearth__scoped_fetch(hearth *handle, const void *key, size_t key_size,
                             const hearth_loader *loader, const hearth_read_options *options,
                             const hearth_write_options *write, hearth_value *value);
int32_t hearth__scoped_fetch_begin(hearth *handle, const void *key, size_t key_size,
                                   const hearth_read_options *options, hearth_value *value,
                                   hearth_fill **fill);
int32_t hearth__scoped_fetch_many(hearth *handle, size_t count, const void *const *keys,
                                  const size_t *key_sizes, const hearth_loader *loader,
                                  const hearth_read_options *options,
                                  const hearth_write_options *write,
                                  hearth_value *const *values, int32_t *statuses);
void *hearth__scoped_peek_with(hearth *handle, const void *key, size_t key_size);
int32_t hearth__scoped_peek_version(hearth *handle, const void *key, size_t key_size,
                                    uint64_t *version);
int32_t hearth__scoped_node_of(hearth *handle, const void *key, size_t key_size,
                               uint32_t *index, char *name, size_t name_size);

/* As hearth_namespace_open(). */
int32_t hearth__namespace_open(hearth *handle, const void *name, size_t size, hearth **view);

/* Its keys are others from now on. HEARTH_OK; HEARTH_E_UNSUPPORTED: it has no generation; or why its node did not do it. */
int32_t hearth__namespace_bump(hearth *handle, int64_t deadline_ns);

/*
 * What hearth_get_with() answers; NULL: the cache has no sink. The caller is not inside the gate: peek_with goes through it by
 * itself, and has left when it calls the sink. peek_miss is its answer to what is refused at the door.
 */
void *hearth__peek_with(hearth *cache, const void *key, size_t key_size);
void *hearth__peek_miss(const hearth *cache);

/* As hearth_peek_version(). */
int32_t hearth__peek_version(hearth *cache, const void *key, size_t key_size,
                             uint64_t *version);

/* Runs one load that waits for a worker. HEARTH_OK; HEARTH_MISS: there was none until the deadline; HEARTH_E_DEADLOCK: this
 * thread is inside a loader; HEARTH_E_CLOSED. */
int32_t hearth__load_work(hearth *cache, int64_t deadline_ns);

/* The ends of a fill that hearth__chain_fetch_begin() gave, which is gone then. The cache stays open until here. */
int32_t hearth__load_commit(hearth_fill *fill, const hearth_write_options *write,
                            hearth_value *value);
void hearth__load_abandon(hearth_fill *fill);

/* The cache of a fill that hearth__chain_fetch_begin() gave; NULL: a loader's. */
hearth *hearth__load_begun(const hearth_fill *fill);

/* The loader's side of a load; as the public calls, but times are checked one by one already, and a tag that is not valid is NULL. */
int32_t hearth__fill_value(hearth_fill *fill, const void *data, size_t size);
int32_t hearth__fill_absent(hearth_fill *fill);
int32_t hearth__fill_stale(const hearth_fill *fill, const void **data, size_t *size,
                           hearth_info *info);
int32_t hearth__fill_unchanged(hearth_fill *fill);
int32_t hearth__fill_ttl(hearth_fill *fill, int64_t ttl_ms, int64_t soft_ttl_ms);
int32_t hearth__fill_tag(hearth_fill *fill, const void *tag, size_t size);

/* As hearth_invalidate_tag(); to the deadline (hearth__monotonic_ns()). */
int32_t hearth__invalidate_tag(hearth *cache, const void *tag, size_t size, bool keeps_stale,
                               int64_t deadline_ns);

/* As hearth_guard_add(), _rebuild(), _save() and _load(). */
int32_t hearth__guard_add(hearth *cache, const void *key, size_t key_size);
int32_t hearth__guard_rebuild(hearth *cache, hearth_guard_iterator iterator, void *arg);
int32_t hearth__guard_save(hearth *cache, const char *path);
int32_t hearth__guard_load(hearth *cache, const char *path);

/* An operation for a queue. Arrays of `count`; options are complete, and checked. */
typedef struct hearth__operation {
    uint32_t verb; /* enum hearth_verb */
    bool is_many;  /* it has statuses */
    size_t count;
    const void *const *keys;
    const size_t *key_sizes;
    const void *const *data; /* SET, ADD, REPLACE */
    const size_t *sizes;
    hearth_value *const *values; /* GET, FETCH; NULL, or with NULLs: not wanted */
    int32_t *statuses;
    const hearth_loader *loader; /* FETCH */
    const hearth_read_options *read;
    const hearth_write_options *write;
    void *tag;
    int64_t delta; /* INCREMENT */
} hearth__operation;

/* As hearth_queue_open(), hearth_queue_close(), hearth_submit(), hearth_cancel(), hearth_collect(), hearth_event_fd(). What is said
 * of a queue's cache holds while hearth__queue_enter() said so. */
int32_t hearth__queue_open(hearth *cache, hearth_queue **queue);
int32_t hearth__queue_close(hearth_queue *queue, hearth_result_function tell, void *arg);
hearth *hearth__queue_cache(const hearth_queue *queue);
bool hearth__queue_enter(hearth_queue *queue);
void hearth__queue_leave(hearth_queue *queue);
int32_t hearth__queue_submit(hearth_queue *queue, const hearth__operation *submission,
                             uint64_t *ticket);
int32_t hearth__queue_cancel(hearth_queue *queue, uint64_t ticket);
int32_t hearth__queue_collect(hearth_queue *queue, size_t capacity, int64_t deadline_ns,
                              void (*give)(void *arg, size_t index,
                                           const hearth_result *result),
                              void *arg, size_t *count);
int32_t hearth__queue_event_fd(hearth_queue *queue, int *fd);

/* What a write does to a key. */
enum hearth__write_verb {
    HEARTH__WRITE_SET,
    HEARTH__WRITE_ADD,
    HEARTH__WRITE_REPLACE,
    HEARTH__WRITE_TOUCH,
    HEARTH__WRITE_INCREMENT,
    HEARTH__WRITE_DELETE,
    HEARTH__WRITE_MARK, /* stale */
};

/* One write. `status` is its answer, `number` that of an increment. */
typedef struct hearth__write {
    enum hearth__write_verb verb;
    const void *key;
    size_t key_size;
    const void *data;
    size_t size;
    int64_t number;
    int32_t status;
} hearth__write;

/* The writes with any handle, be it a cache or a namespace of one (scope.c). */
void hearth__scoped_write(hearth *handle, hearth__write *writes, size_t count,
                          const hearth_write_options *options);
int32_t hearth__scoped_write_through(hearth *handle, const hearth__write *write,
                                     const hearth_write_options *options, hearth_writer writer,
                                     void *arg);
int32_t hearth__scoped_evict_local(hearth *handle, const void *key, size_t key_size);

/* Whether a soft life fits into a hard one, both as given in options, with this cache's defaults. */
bool hearth__lives_fit(const hearth *cache, int64_t ttl_ms, int64_t soft_ttl_ms);

/* Whether a value can be stored with HEARTH_WRITE_INTEGER. */
bool hearth__write_is_integer(const void *data, size_t size);

/* Until when a call with these options may take (hearth__monotonic_ns()). */
int64_t hearth__write_deadline_ns(const hearth *cache, const hearth_write_options *options);

/* Carries out writes with the same options, all nodes at once, and gives each its status. */
void hearth__write_run(hearth *cache, hearth__write *writes, size_t count,
                       const hearth_write_options *options);

/* As hearth_write_through(); of `write` the key and the value. */
int32_t hearth__write_through(hearth *cache, const hearth__write *write,
                              const hearth_write_options *options, hearth_writer writer,
                              void *arg);

/* Drops the local copy. HEARTH_OK, HEARTH_MISS. */
int32_t hearth__write_evict_local(hearth *cache, const void *key, size_t key_size);

#endif
