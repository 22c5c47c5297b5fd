/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Hearth: a two-tier cache that an application server links.
 *
 * A key is answered by the local tier in this process; failing that, by the remote tier (Redis
 * or Memcached nodes on a consistent-hash ring, or a tier embedded in the process); failing
 * that, by the application's own loader, once, which fills both. If every cache server is gone,
 * hearth_fetch() still answers, from the loader.
 *
 *     hearth *cache;
 *     hearth_open(NULL, &cache);
 *     hearth_value *value = hearth_value_new();
 *     if (hearth_fetch(cache, "user:1", 6, &loader, NULL, NULL, value) == HEARTH_OK)
 *         use(hearth_value_data(value), hearth_value_size(value));
 *
 * This file is the manual. It begins with what everybody needs; options and special calls
 * follow. What is said here once holds for every call:
 *
 * - **Statuses.** A call answers an int32_t of errors.h: 0 and above are answers, below 0 are
 * errors. An out-parameter is untouched when the call answers an error, unless its comment says
 * otherwise. Every call with a cache may answer HEARTH_E_INVALID (a NULL, a key of 0 or more
 * than 32,768 bytes, an unknown flag, a bad time: nothing was done), HEARTH_E_NOMEM and
 * HEARTH_E_CLOSED (hearth_close() has begun).
 * - **Remote errors.** A call that reaches a node may answer HEARTH_E_UNAVAILABLE (no
 * connection, or the node refuses, or it has not answered several calls in a row and is left
 * alone for a while, which takes no time: `breaker.failures`), HEARTH_E_TIMEOUT (the deadline passed; for a write: before
 * it was sent), HEARTH_E_PROTOCOL (the node sent nonsense; the connection was closed),
 * HEARTH_E_TYPE (the key holds something that is not a string, or, for an increment, not a
 *   number), HEARTH_E_TOO_LARGE (the value exceeds `remote.max_value_bytes` or the server's own
 * limit) and, writes only, HEARTH_E_UNKNOWN (it was sent, its answer was lost: it may have
 * happened). The details are in the log (hearth_log_next()). A write that did not answer
 * HEARTH_OK leaves no local copy of the key.
 * - **Deletes that a node missed** are kept in this process (HEARTH_E_QUEUED) and carried out
 * when the node answers again, before anything is asked of it about their keys: what was deleted
 * here is not read here again. Until then reads and writes of these keys answer
 * HEARTH_E_UNAVAILABLE. The next call to the node, of whatever key, carries them out; until then
 * other processes may read the old value there. They end with the cache. At most
 * `remote.max_queued_bytes` are kept; a delete that finds no room answers its error, and from
 * then on this process takes what was written to that node before (by the writers' clocks) for
 * missing, except numbers.
 * - **Keys and values** are bytes: no encoding, no terminator. They are copied; the caller
 * keeps its own.
 * - **Threads.** Every call may be made by any thread at any time, except that one
 * hearth_options and one hearth_value belong to one thread at a time, and nothing may use a
 * handle after hearth_close() returned.
 * - **Times** are int64_t milliseconds, sizes are bytes.
 * - **Fork.** A child may use a cache that its parent opened: it makes connections and workers of its own
 * at first use. What waited for the parent's workers is dropped in the child, what ran there is the
 * parent's alone. fork() while other threads are inside a call is not supported yet; the library's own
 * threads are no hindrance.
 * - The library prints nothing, ends no process, and touches no signal; its threads block all
 * signals. hearth_open() connects to nothing, and starts no thread unless `stats.socket` is set.
 * - **Threads of its own**, deaf to signals, each started when it is first needed: workers
 * (`load.workers`), those that carry out what was submitted (`submit.threads`,
 * `submit.load_threads`) and one that looks after their deadlines, one that extends leases, one that
 * copies a shared filter (`guard.shared`), and, one a node and only for as long, those that look up a
 * node's host name and connect anew to a node that failed. Where Redis tells of changes
 * (`coherence.mode`) there are two more, and likewise with bus, from the first call that asks a node. With `stats.socket` there is one more, from hearth_open()
 * on, that serves the readers of that socket. hearth_close() waits for them all: for
 * loads and extensions that are under way, for a try to connect (`remote.timeout_ms` at the most),
 * and, if the system's resolver is just being asked, for its answer.
 * - **Changes that others make** to a key on a Redis node, whoever they are, are told to this process
 * unless `coherence.mode` = ttl or bus (Redis's server-assisted client-side caching, RESP2): local
 * copies go within milliseconds. It takes one more connection to each node, as the same user, who
 * may say CLIENT and SUBSCRIBE __redis__:invalidate; of a node that refuses it copies live for a
 * second, and the log says why. What is known of a copy, and how long it is trusted when nothing is heard of its node, is in its staleness bound.
 * Every `coherence.canary_ms` each connection also reads and sets a key of the library's own, named
 * `hearth-canary:` and a small number, which lives for 60 s and is no value of anybody's: so it is
 * known how soon changes are told (hearth_stats), and a connection behind a proxy that keeps them
 * back is found out: it is closed, and what was read on it counts as changed. A user who may not
 * write such keys does without: the log says so once.
 * In front of Memcached, or wherever that is wanted, processes tell each other with `coherence.mode` = bus: each write is
 * published on one Redis server (`coherence.bus_url`) before its call returns, and so is what is loaded. A
 * write of any kind that its node took and the bus did not, by the call's deadline or since it does not
 * answer, is HEARTH_E_QUEUED: it is done, other processes will be told of it, and their copies may be older
 * until then. `coherence.writers` says whether that covers all who write.
 * - **Whom nodes tell of what.** By default a node remembers which connection has read which key, and
 * tells that one of the key's next change: each process hears of what it has, and of nothing else,
 * and what it loads or sets is a local copy at once. With `coherence.tracking` = broadcast a node
 * remembers no keys, and tells each process of every change of every key that begins with
 * `remote.prefix`, or with one of `coherence.prefixes` behind it: connections that end cost no
 * copies, and `tracking-table-max-keys` is no limit. But each change is a message to each process,
 * whether it has a copy or not: of W changes a second P processes get W times P, and by default no
 * more than they lose copies. A process also hears of its own loads and sets as of anybody's: what
 * it loaded or set is a local copy only when it was read once more. By hearth-bench's `coherence`
 * a load asks 6 commands of the server instead of 8, the first read behind it 2 instead of none,
 * and hits are as fast. Canaries (`coherence.canary_ms`) have a random number of the cache's in their
 * names then, and are one a node; if one is not told of, the listening connection is made anew, and
 * all copies count as changed. So broadcast is for few changes, few processes, or more keys than a
 * node is to remember, and not the default.
 * The bound is the distance to the remote tier: it does not cover the time between a change in the
 * application's database and its hearth_delete().
 */
#ifndef HEARTH_HEARTH_H
#define HEARTH_HEARTH_H

#include <stddef.h>
#include <stdint.h>

#include <hearth/errors.h>
#include <hearth/export.h>
#include <hearth/stats.h>
#include <hearth/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A cache: its tiers, connections and loads. Opened by hearth_open(), ended by hearth_close().
 */
typedef struct hearth hearth;

/** Options by name, for hearth_open(). */
typedef struct hearth_options hearth_options;

/** Where a read puts its answer; reused call after call, its buffer grows like getline's. */
typedef struct hearth_value hearth_value;

/** One load under way: what a loader answers with, valid inside the loader only; or one that
 * hearth_fetch_begin() gave, valid until it is ended. */
typedef struct hearth_fill hearth_fill;

/** The longest key, in bytes. The shortest has 1. */
#define HEARTH_KEY_MAX 32768

/** The longest time to live that is accepted: 100 years, in ms. */
#define HEARTH_TTL_MAX INT64_C(3155760000000)

/** For ttl_ms and soft_ttl_ms: as the options `ttl_ms` and `stale_ms` say. The one negative
 * value allowed. */
#define HEARTH_TTL_DEFAULT INT64_C(-1)

/** For max_stale_ms: a local copy of any staleness bound will do. */
#define HEARTH_STALE_ANY INT64_MAX

/* ---- Open and close ---------------------------------------------------------------------- */

/**
 * Opens a cache. Nothing is connected and no thread is started: the first use does that. Only with
 * `stats.socket` there is a socket and its thread from now on, until hearth_close(); a forked child has neither.
 *
 * `options` may be NULL for the defaults (a 64 MiB local tier before a remote tier embedded in
 * the process); they are copied.
 *
 * Result: HEARTH_OK and *cache; HEARTH_E_INVALID (an option's value does not fit another's, or
 * an address is not valid: hearth_options_error() names it), HEARTH_E_UNSUPPORTED (an option
 * asks for what this version does not have, named likewise), HEARTH_E_UNAVAILABLE (`stats.socket`
 * cannot be made, or another cache serves it: named likewise), HEARTH_E_NOMEM.
 * Ownership: *cache is the caller's, to be closed with hearth_close(). `options` stays the
 * caller's.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_open(hearth_options *options, hearth **cache) HEARTH_CHECK;

/**
 * Closes a cache: calls that come now answer HEARTH_E_CLOSED, calls that are inside leave by
 * their own deadlines (a loader is waited for), fills that hearth_fetch_begin() gave are waited
 * for, and so are loads that run on workers. Those that wait for a worker are not begun any more:
 * who waits for them gets HEARTH_E_CLOSED, and their `arg` is released. Deletes that are kept for
 * nodes are tried once more, for less than `remote.timeout_ms`, then all is freed. NULL is
 * allowed. Using or closing the handle afterwards is undefined. The handle of a namespace ends
 * alone: nothing of what it shares with its cache is closed, no call is waited for.
 *
 * Result: HEARTH_OK; HEARTH_E_DEADLOCK when called from inside a loader of this cache (nothing
 * is closed).
 * Ownership: `cache` is gone; hearth_value objects are the caller's still.
 * Threads: one, once; blocks until the last call has left.
 */
HEARTH_API int32_t hearth_close(hearth *cache);

/* ---- Values ------------------------------------------------------------------------------ */

/** Where an answer came from. */
enum hearth_tier {
    HEARTH_TIER_NONE = 0,   /**< there is no answer */
    HEARTH_TIER_LOCAL = 1,  /**< this process */
    HEARTH_TIER_REMOTE = 2, /**< a node */
    HEARTH_TIER_LOADED = 3, /**< the loader, for this call or one that it waited for */
    HEARTH_TIER_GUARD = 4,  /**< the guard's filter in this process: the key does not exist */
};

/** Whether an answer is within its soft life. */
enum hearth_freshness {
    HEARTH_FRESH = 1, /**< within its soft life */
    /** Past its soft life, marked stale, or a local copy whose node tells of no changes and does not
        answer, but within its hard life. */
    HEARTH_STALE = 2,
};

/** What is known about a value. The library fills min(size, its own size) bytes. */
typedef struct hearth_info {
    size_t size;        /**< set by the caller: sizeof(hearth_info) */
    uint32_t tier;      /**< enum hearth_tier */
    uint32_t freshness; /**< enum hearth_freshness; 0 when there is no answer */
    int64_t
        age_ms; /**< since the load or write that made it began; -1: that is not kept (the embedded remote tier, and set with
                       HEARTH_WRITE_NO_REMOTE, or a number) */
    int64_t
        ttl_left_ms; /**< until its hard expiry in the tier that answered; -1: for ever, or of a
                            life over 49 days that was read past the local tier: not asked */
    int64_t staleness_bound_ms; /**< it can differ from the remote tier only by changes younger
                                   than this */
    uint64_t version; /**< identity of this write or load, never an order; 0: it has none (an
                         integer) */
    uint32_t content; /**< the application's own word, as written */
    uint32_t reserved;
} hearth_info;

/**
 * Makes an empty value object, to be used for any number of calls.
 *
 * Result: the object; NULL: out of memory.
 * Ownership: the caller's, to be freed with hearth_value_free().
 * Threads: any.
 */
HEARTH_API hearth_value *hearth_value_new(void) HEARTH_CHECK;

/**
 * The bytes of the last answer.
 *
 * Result: a pointer, never NULL; to 0 bytes when the last call answered anything but HEARTH_OK.
 * Ownership: the object's; valid until its next use.
 * Threads: the object's.
 */
HEARTH_API const void *hearth_value_data(const hearth_value *value);

/**
 * The number of bytes of the last answer, which may be 0: an empty value is a value.
 *
 * Result: bytes.
 * Ownership: nothing changes hands.
 * Threads: the object's.
 */
HEARTH_API size_t hearth_value_size(const hearth_value *value);

/**
 * What is known about the last answer: tier, freshness, and as of now its age and time left. After HEARTH_ABSENT it
 * tells of the absence; after anything else `tier` is HEARTH_TIER_NONE.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (a NULL, or info->size less than sizeof(size_t)).
 * Ownership: `info` is the caller's; min(info->size, the library's size) bytes are written,
 * `size` is kept.
 * Threads: the object's.
 */
HEARTH_API int32_t hearth_value_info(const hearth_value *value, hearth_info *info);

/**
 * Frees a value object. NULL is allowed.
 *
 * Result: none.
 * Ownership: the object and its bytes are gone.
 * Threads: the object's.
 */
HEARTH_API void hearth_value_free(hearth_value *value);

/* ---- Read and write options of a call ---------------------------------------------------- */

/** Flags of hearth_read_options. */
#define HEARTH_READ_NO_LOCAL  1u /**< neither ask the local tier nor keep the answer there */
#define HEARTH_READ_NO_REMOTE 2u /**< ask no node, and do not fill one */
/** hearth_get(): a value past its soft life, or marked stale, is an answer; so is, where the node does not answer, a local copy of
 * which it no longer tells (see hearth_fetch()). */
#define HEARTH_READ_ALLOW_STALE 4u
/** hearth_fetch_begin(): do not wait for another caller's load. */
#define HEARTH_READ_NO_WAIT 8u
/** hearth_fetch(), hearth_fetch_many(), hearth_fetch_begin(): ask the loader whatever is cached, and store what it says. A load
 * that another caller began after this call will do; one that began before is waited for, and then there is another. */
#define HEARTH_READ_RELOAD 16u
/** hearth_fetch(), hearth_fetch_many(): what the tiers have, be it stale, or HEARTH_MISS; the loader is not called, nothing is
 * renewed, no load is waited for. */
#define HEARTH_READ_NO_LOAD 32u

/** Options of a read; NULL stands for what hearth_read_options_init() sets. */
typedef struct hearth_read_options {
    size_t size;          /**< set by init */
    int64_t deadline_ms;  /**< from the call's start; 0: `remote.timeout_ms`, in a fetch
                             `load.hard_timeout_ms` */
    int64_t max_stale_ms; /**< go to the remote tier when the local copy's staleness bound is
                             larger; HEARTH_STALE_ANY */
    uint32_t flags;       /**< HEARTH_READ_... */
    uint32_t reserved;    /**< 0 */
} hearth_read_options;

/** Flags of hearth_write_options. */
#define HEARTH_WRITE_NO_LOCAL 1u /**< keep no local copy of what is written */
/** The value is a number for hearth_increment(): ASCII digits, 0 to 2^63-1. */
#define HEARTH_WRITE_INTEGER 2u
/** hearth_set(), hearth_set_many(), hearth_mark_stale(): write the local tier alone, no node: for what only this process needs to know. The value
 * has no version. */
#define HEARTH_WRITE_NO_REMOTE 4u

/** hearth_invalidate_tag(): the values stay, as stale ones. */
#define HEARTH_WRITE_KEEP_STALE 8u

/** The most tags of a value, and the most bytes of one; the shortest has 1. All of a value's, with a byte more for each, have at most
 * 1024. */
#define HEARTH_TAGS_MAX     16
#define HEARTH_TAG_SIZE_MAX 250

/** Options of a write; NULL stands for what hearth_write_options_init() sets. */
typedef struct hearth_write_options {
    size_t size; /**< set by init */
    /** hard life; 0: for ever; HEARTH_TTL_DEFAULT (init): the option `ttl_ms` */
    int64_t ttl_ms;
    int64_t soft_ttl_ms; /**< soft life, at most ttl_ms; 0: none; HEARTH_TTL_DEFAULT (init):
                            ttl_ms less `stale_ms` */
    int64_t deadline_ms; /**< from the call's start; 0: `remote.timeout_ms` */
    uint64_t if_version; /**< hearth_set, hearth_replace: only over the value of this version;
                            0: any */
    uint32_t content;    /**< the application's own word, kept with the value */
    uint32_t flags;      /**< HEARTH_WRITE_... */
    /** hearth_set(), hearth_set_many(), hearth_add(), hearth_replace(): the value's tags, for hearth_invalidate_tag(); tag_count of
     * them, at most HEARTH_TAGS_MAX */
    const void *const *tags;
    const size_t *tag_sizes;
    size_t tag_count;
} hearth_write_options;

/**
 * Sets the defaults: no deadline of its own, HEARTH_STALE_ANY, no flags.
 *
 * Result: none.
 * Ownership: the struct is the caller's; exactly `size` bytes are written.
 * Threads: any.
 * Units: `size` is sizeof(hearth_read_options) as the caller was compiled.
 */
HEARTH_API void hearth_read_options_init(hearth_read_options *options, size_t size);

/**
 * Sets the defaults: times as the cache's options say, no condition, content 0, no flags.
 *
 * Result: none.
 * Ownership: the struct is the caller's; exactly `size` bytes are written.
 * Threads: any.
 * Units: `size` is sizeof(hearth_write_options) as the caller was compiled.
 */
HEARTH_API void hearth_write_options_init(hearth_write_options *options, size_t size);

/* ---- Read-through ------------------------------------------------------------------------ */

/**
 * The application's way to its source of truth.
 *
 * `load` gets the key and answers by hearth_fill_value() or hearth_fill_absent() and returning
 * HEARTH_OK; any other return is a failure of the load, which is shared with those who wait for
 * it and stored nowhere. It runs under no lock. It may fetch other keys; its own key is
 * HEARTH_E_DEADLOCK. A longjmp out of it is undefined. What a loader in C++ throws goes through the
 * library to who called the fetch; the load has failed, and those who wait for it have the value that
 * there still is, or HEARTH_E_LOADER. The call's value objects are then good for another call, and
 * what they hold is not said. With `retain` and `release` a loader must not throw: where it runs,
 * nobody may be there to catch.
 *
 * `load_many` does the same for the missing keys of a hearth_fetch_many(): `count` keys, each
 * once, in the order of their bytes, and a fill for each. A key whose fill is given nothing has
 * failed, and no other; if it does not return HEARTH_OK all have.
 *
 * **Without `retain` or without `release`** a load runs on the calling thread of one of the
 * fetches for the key, and never outlives that call: `arg` may lie on its stack. A stale value is
 * then renewed by the caller who finds it.
 *
 * **With both** a load may outlive the call, and these run on other threads, workers of the library
 * or threads lent by hearth_work(), whichever is free: the renewal of a stale value, which nobody
 * waits for (but see `load.soft_timeout_ms`); and the load of a hearth_fetch() with a deadline_ms of
 * its own, whose caller is back by then with HEARTH_E_TIMEOUT if need be, while the load goes on
 * and its result is stored when it comes. All other loads run on the calling thread, and so do
 * these where there is no thread for them, or from inside a loader. At most 256 loads wait for a
 * thread; a renewal beyond that is left to a later caller and counted (`renewals_dropped`), and so is one for which
 * `load.max_concurrent` has no place.
 * `retain` is called once for each load that is to go to another thread, by the caller;
 * `release` once for each of those, by the thread that ran it, or by hearth_close() if none did.
 * `load`, `load_many` and `release` then have to stand being called by any thread, several at once,
 * also after the fetch has returned, but not after hearth_close() has.
 */
typedef struct hearth_loader {
    size_t size; /**< sizeof(hearth_loader) */
    /** may be NULL if only hearth_fetch_many() is called, and load_many given */
    int32_t (*load)(void *arg, const void *key, size_t key_size, hearth_fill *fill);
    /** NULL: hearth_fetch_many() calls `load` key by key */
    int32_t (*load_many)(void *arg, size_t count, const void *const *keys,
                         const size_t *key_sizes, hearth_fill *const *fills);
    void *arg;                  /**< given to all four */
    void (*retain)(void *arg);  /**< takes a reference of `arg`; or NULL */
    void (*release)(void *arg); /**< gives one back; or NULL */
} hearth_loader;

/**
 * Answers a key from the local tier, the remote tier or the loader, in that order, and fills
 * the tiers above.
 *
 * At most one load of a key runs in this process at a time: the others wait for its result,
 * each to its own deadline. A hearth_set(), hearth_delete() or other write of the key detaches
 * the load that runs: who waits already gets its result, who comes later starts a new one, and
 * the old result is stored nowhere. Of several processes that miss a key on Redis or Memcached one loads (`lease.ttl_ms`), and
 * the others wait for what it stores, each to its deadline; if it fails or dies, another one loads. Any write or delete of the key
 * there, by whomever, voids a load that began before: it is stored nowhere. A remote tier that is down, slow or wrong never fails a
 * fetch: the loader answers, and the log and the statistics say so. A value past its soft life
 * is renewed by one caller, the others get it as it is; if that load fails, the stale value is
 * the answer, and for `load.retry_after_ms` nobody tries again; such retries are at most a tenth of all loads, and one a second.
 * If the node does not answer and the load fails, a local copy that is no hit any more, because its node no longer tells of changes,
 * is a stale value too, until its life here ends (`local.max_ttl_ms`) and if its bound is within max_stale_ms.
 * A loader that failed, another's load
 * that did not end in time, and a key that does not exist are three things: HEARTH_E_LOADER,
 * HEARTH_E_TIMEOUT, HEARTH_ABSENT. Without anything stale the failure is that of all who waited for
 * this load, and of nobody else: the next call loads again.
 *
 * What was loaded is renewed before it expires, so that at a hot key nobody ever waits: each reader
 * has a small chance to begin that, which grows towards the expiry in proportion to what the load took
 * (XFetch, Vattani and others 2015; `early.beta`). The others, and with `retain` that one too, have the
 * present value at once.
 *
 * At most `load.max_concurrent` loads run at once in a process, so that a cold cache does not bring the source down. Who has no
 * value waits for its turn, in the order of coming, at most `load.wait_ms` and to its deadline; who has one, be it stale, takes
 * it (a stale one after `load.soft_timeout_ms`). What a loader fetches itself needs no turn of its own.
 *
 * Result: HEARTH_OK (the value; hearth_value_info() tells its tier); HEARTH_ABSENT (the loader
 * said that it does not exist, now or within `negative_ttl_ms`, or the guard denies it);
 * HEARTH_E_LOADER (the load failed, and there is nothing stale); HEARTH_E_TIMEOUT (another
 * caller's or a worker's load did not end before the deadline); HEARTH_E_OVERLOAD (as many loads as
 * may run did not end for too long, and there is nothing stale); HEARTH_E_DEADLOCK (called from a
 * loader that this load waits for); HEARTH_MISS (only with HEARTH_READ_NO_LOAD);
 * HEARTH_E_TOO_LARGE (the loaded value exceeds `remote.max_value_bytes`); HEARTH_E_INVALID.
 * HEARTH_E_CLOSED (also: hearth_close() began while the load waited for a thread).
 * Ownership: `loader` is copied; `arg` is used until the call returns, not longer, unless it has
 * `retain` and `release`. `value` may be NULL.
 * Threads: any. Blocks for the loader, and for nodes at most `remote.timeout_ms` each time; a
 * caller who does not load itself is back by its deadline.
 * Units: read->deadline_ms 0 stands for `load.hard_timeout_ms`; write says how long a loaded
 * value lives.
 */
HEARTH_API int32_t hearth_fetch(hearth *cache, const void *key, size_t key_size,
                                const hearth_loader *loader, const hearth_read_options *read,
                                const hearth_write_options *write,
                                hearth_value *value) HEARTH_CHECK;

/**
 * Lends the calling thread to the cache: runs one load that waits for a thread (see hearth_loader),
 * as soon as there is one. With `load.workers` = 0 no other threads run them: a binding whose
 * loaders may not be called by foreign threads lends its own, each in a loop. Whoever lends threads
 * comes back within a second: where nobody did for that long, and there are no workers, callers load
 * for themselves.
 *
 * Result: HEARTH_OK (it ran one, whatever came of it); HEARTH_MISS (there was none in time);
 * HEARTH_E_DEADLOCK (called from inside a loader of this cache); HEARTH_E_INVALID (also: a negative
 * time); HEARTH_E_CLOSED (hearth_close() has begun: the thread is free).
 * Ownership: nothing changes hands.
 * Threads: any. Blocks until there is a load, at most `timeout_ms`, and then for that load.
 * Units: `timeout_ms` 0 looks and does not wait.
 */
HEARTH_API int32_t hearth_work(hearth *cache, int64_t timeout_ms) HEARTH_CHECK;

/**
 * hearth_fetch() in steps, for callers who load by themselves: event loops, coroutines, and code
 * that would otherwise get, load and set, by which an old value can overwrite a newer one. It
 * answers what the tiers have, or makes the caller the one who loads:
 *
 *     hearth_fill *fill;
 *     int32_t status = hearth_fetch_begin(cache, key, key_size, NULL, value, &fill);
 *     if (fill != NULL) {
 *         if (query(key, &row))
 *             hearth_fill_value(fill, row.data, row.size);
 *         status = hearth_fill_commit(fill, NULL, value);
 *     }
 *
 * With *fill, all others who want the key wait for this caller. It gives the fill a value
 * (hearth_fill_value(), hearth_fill_absent(), hearth_fill_unchanged(), hearth_fill_ttl()), and then ends it, once, by
 * hearth_fill_commit() or hearth_fill_abandon(). A write of the key by this process meanwhile
 * voids the fill, as it detaches any load.
 *
 * Result: HEARTH_OK and the value: without a fill it is fresh, or somebody renews it; with a fill it
 * is stale, or soon will be, and its renewal is the caller's, now or after it has answered its own; HEARTH_ABSENT, no
 * fill; HEARTH_MISS with a fill: load it; HEARTH_MISS without one, only with HEARTH_READ_NO_WAIT:
 * another caller loads, or as many as may (`load.max_concurrent`), ask again later; HEARTH_E_OVERLOAD: they did not end for too
 * long; HEARTH_E_LOADER and other errors of another caller's load that was waited for; HEARTH_E_TIMEOUT (it did not end before the deadline); HEARTH_E_DEADLOCK
 * (called from a loader that it waits for); HEARTH_E_INVALID. *fill is NULL unless it says
 * otherwise, after an error too.
 * Ownership: the fill is the caller's until it is ended; hearth_close() waits for that, and so do
 * all who wait for the key, to their own deadlines. `value` may be NULL. In a forked child a fill
 * of the parent's is to be ended too, and stores nothing.
 * Threads: any. Blocks for nodes, at most `remote.timeout_ms` each time, and, without
 * HEARTH_READ_NO_WAIT, for another caller's load, to the deadline. A fill belongs to one thread at a
 * time, not to the one that began it: so a thread that waits for a key of which only it could
 * end the fill is not told, but waits to its deadline. Until the fill is ended the thread that began it counts as inside a
 * loader: it can begin more of them whatever `load.max_concurrent` says, so an event loop has to set its own limit.
 * Units: read->deadline_ms 0 stands for `load.hard_timeout_ms`.
 */
HEARTH_API int32_t hearth_fetch_begin(hearth *cache, const void *key, size_t key_size,
                                      const hearth_read_options *read, hearth_value *value,
                                      hearth_fill **fill) HEARTH_CHECK;

/**
 * Ends a fill that hearth_fetch_begin() gave: what it was given is stored in both tiers, unless the
 * key was written meanwhile, and given to all who wait for it.
 *
 * Result: HEARTH_OK (the value), HEARTH_ABSENT; HEARTH_E_LOADER (the fill was given nothing);
 * HEARTH_E_TOO_LARGE, HEARTH_E_NOMEM (hearth_fill_value() or hearth_fill_tag() had refused): in all these cases the fill
 * is gone. HEARTH_E_INVALID (NULL, a loader's fill, a bad option or if_version): nothing happened.
 * Ownership: the fill is the library's again. `value` may be NULL. `write` may be NULL.
 * Threads: the fill's. Blocks for the node, at most `remote.timeout_ms`.
 * Units: write says how long the value lives, unless hearth_fill_ttl() did.
 */
HEARTH_API int32_t hearth_fill_commit(hearth_fill *fill, const hearth_write_options *write,
                                      hearth_value *value) HEARTH_CHECK;

/**
 * Ends a fill that hearth_fetch_begin() gave without an answer: nothing is stored, and all who wait
 * for it get HEARTH_E_LOADER, or the value that there is. It counts as a load that failed.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (NULL, or a loader's fill): nothing happened.
 * Ownership: the fill is the library's again.
 * Threads: the fill's; does not block.
 */
HEARTH_API int32_t hearth_fill_abandon(hearth_fill *fill);

/**
 * Inside a loader, or on a fill of hearth_fetch_begin(): the value. The bytes are copied; a second call replaces the first.
 *
 * Result: HEARTH_OK; HEARTH_E_TOO_LARGE (over `remote.max_value_bytes`), HEARTH_E_NOMEM,
 * HEARTH_E_INVALID: the fill then holds nothing.
 * Ownership: `data` stays the caller's.
 * Threads: the loader's own, or the fill's.
 */
HEARTH_API int32_t hearth_fill_value(hearth_fill *fill, const void *data, size_t size);

/**
 * Inside a loader, or on a fill of hearth_fetch_begin(): the key is known not to exist. Kept for `negative_ttl_ms`.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID.
 * Ownership: nothing changes hands.
 * Threads: the loader's own, or the fill's.
 */
HEARTH_API int32_t hearth_fill_absent(hearth_fill *fill);

/**
 * Inside a loader, or on a fill of hearth_fetch_begin(): the value that there is, stale or soon to be, with what is known of
 * it: for a conditional request to the source, by the content word or a tag within the bytes.
 *
 * Result: HEARTH_OK, *data (never NULL) and *size; HEARTH_MISS (there is none); HEARTH_E_INVALID.
 * Ownership: the bytes are the library's, valid until the load or the fill ends. `info` may be NULL; else min(info->size, the
 * library's size) bytes are written.
 * Threads: the loader's own, or the fill's.
 */
HEARTH_API int32_t hearth_fill_stale(const hearth_fill *fill, const void **data, size_t *size,
                                     hearth_info *info);

/**
 * Inside a loader, or on a fill of hearth_fetch_begin(): the source has what hearth_fill_stale() gives. It begins a new life, as
 * if it had been loaded, with its content word; on Redis its bytes are not sent again.
 *
 * Result: HEARTH_OK; HEARTH_MISS (there is none: the fill holds what it held); HEARTH_E_NOMEM (it holds nothing);
 * HEARTH_E_INVALID.
 * Ownership: nothing changes hands.
 * Threads: the loader's own, or the fill's.
 */
HEARTH_API int32_t hearth_fill_unchanged(hearth_fill *fill);

/**
 * Inside a loader, or on a fill of hearth_fetch_begin(): how long this result lives, instead of what the call's write options say (of
 * an absence: instead of `negative_ttl_ms`), less what `ttl_jitter` takes.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (as for hearth_write_options: negative but not
 * HEARTH_TTL_DEFAULT, over HEARTH_TTL_MAX, or a soft life longer than the hard one).
 * Ownership: nothing changes hands.
 * Threads: the loader's own, or the fill's.
 * Units: ms; 0: for ever, or no soft life.
 */
HEARTH_API int32_t hearth_fill_ttl(hearth_fill *fill, int64_t ttl_ms, int64_t soft_ttl_ms);

/**
 * Inside a loader, or on a fill of hearth_fetch_begin(): the value has this tag, for hearth_invalidate_tag(). Tags may be named at
 * any time before the fill ends, also after the source was read: one that was invalidated since the load began voids what is
 * loaded. hearth_fill_unchanged() keeps no tags: they are named again, or nothing is stored.
 *
 * The first load that names a tag in a process that has met none before is not stored.
 *
 * Result: HEARTH_OK, also if the value has it already; HEARTH_E_TOO_LARGE (the value has HEARTH_TAGS_MAX of them, or they are too
 * long together); HEARTH_E_NOMEM; HEARTH_E_INVALID (NULL, or no bytes, or more than HEARTH_TAG_SIZE_MAX). A load to which a
 * tag was refused fails, whatever the loader returns: it has no value then that the tag would not invalidate.
 * Ownership: the tag is copied.
 * Threads: the loader's own, or the fill's.
 */
HEARTH_API int32_t hearth_fill_tag(hearth_fill *fill, const void *tag, size_t tag_size);

/* ---- Cache-aside ------------------------------------------------------------------------- */

/**
 * Asks the local tier, then the remote tier.
 *
 * Result: HEARTH_OK; HEARTH_MISS (not cached, or past its soft life or marked stale and
 * HEARTH_READ_ALLOW_STALE not given); HEARTH_ABSENT (cached as not existing, or the guard denies
 * it); the remote errors of this file's head.
 * Ownership: the answer is the value object's. `value` may be NULL: the status alone is wanted.
 * On a status other than HEARTH_OK the object is empty.
 * Threads: any. Blocks for a node, at most to the deadline.
 */
HEARTH_API int32_t hearth_get(hearth *cache, const void *key, size_t key_size,
                              const hearth_read_options *read,
                              hearth_value *value) HEARTH_CHECK;

/**
 * Stores a value in both tiers, whatever is there. With write->if_version: only over the value
 * of that version.
 *
 * Result: HEARTH_OK; with HEARTH_WRITE_NO_REMOTE also HEARTH_MISS (the local tier did not take
 * it: it is off, or the value too large for it); with if_version also HEARTH_CONFLICT (another version is there) and
 * HEARTH_MISS (nothing is there); HEARTH_E_TOO_LARGE (then no tier holds an older value of the
 * key either; with if_version the node keeps what it has); HEARTH_E_INVALID (also:
 * HEARTH_WRITE_INTEGER, and the value is no number); the remote errors: what was to be replaced
 * is then deleted, as by a hearth_delete() that was kept (not with
 * if_version).
 * Ownership: key and data stay the caller's. `data` may be NULL when size is 0.
 * Threads: any. Blocks for the node, at most to the deadline. When it has returned HEARTH_OK,
 * every later read of this process sees this value or a later one.
 */
HEARTH_API int32_t hearth_set(hearth *cache, const void *key, size_t key_size, const void *data,
                              size_t size, const hearth_write_options *write);

/**
 * Stores a value only where there is none: nothing, an absence or a value marked stale.
 *
 * Result: HEARTH_OK; HEARTH_EXISTS; HEARTH_E_TOO_LARGE; HEARTH_E_INVALID (also: if_version
 * given); the remote errors.
 * Ownership: as hearth_set().
 * Threads: as hearth_set().
 */
HEARTH_API int32_t hearth_add(hearth *cache, const void *key, size_t key_size, const void *data,
                              size_t size, const hearth_write_options *write);

/**
 * Stores a value only over one that is there, be it stale. With write->if_version: only over
 * that version.
 *
 * Result: HEARTH_OK; HEARTH_MISS; HEARTH_CONFLICT (with if_version: another version is there;
 * without: others kept changing it meanwhile); HEARTH_E_TOO_LARGE; the remote errors (with the
 * same end of what was to be replaced as in hearth_set()).
 * Ownership: as hearth_set().
 * Threads: as hearth_set().
 */
HEARTH_API int32_t hearth_replace(hearth *cache, const void *key, size_t key_size,
                                  const void *data, size_t size,
                                  const hearth_write_options *write);

/**
 * Removes a key from both tiers, with whatever is cached about it (an absence, a value marked
 * stale).
 *
 * Result: HEARTH_OK (a value was removed: the node said so); HEARTH_MISS (there was none);
 * HEARTH_E_QUEUED (the node did not answer in time, or refused: the delete is kept, see this
 * file's head); the remote errors (it found no room to be kept): the key may still be there. The
 * local copy is gone in any case. A delete whose connection broke is tried once more by itself.
 * Ownership: nothing changes hands. Of `write` only deadline_ms is used; it may be NULL.
 * Threads: as hearth_set().
 */
HEARTH_API int32_t hearth_delete(hearth *cache, const void *key, size_t key_size,
                                 const hearth_write_options *write) HEARTH_CHECK;

/**
 * Tells that a value is out of date, and keeps it for when nothing newer can be had: it is past its
 * soft life from now on, whoever reads it. A fetch loads it anew, and has the old value only if that
 * fails, or while another does (as of any stale value); a get answers HEARTH_MISS, or with
 * HEARTH_READ_ALLOW_STALE the old value. Its hard life stays as it was. What was read or loaded
 * before is not stored over it any more: no renewal, no load under way in any process. An absence, a
 * load's lease and what cannot be read are removed, as by hearth_delete(); so is a value that others
 * kept changing meanwhile, and one without end, or of more than 49 days, on a Memcached server that does not tell
 * what is left of it.
 *
 * Result: HEARTH_OK (there is a stale value now); HEARTH_MISS (there was no value to keep); HEARTH_E_TYPE
 * (a number, or a value without a header: it stays as it is, only the local copy is dropped);
 * HEARTH_E_QUEUED (the node did not answer in time, or refused: a delete is kept in its place, see
 * this file's head); the remote errors: the value may still be fresh there.
 * Ownership: nothing changes hands. Of `write` only deadline_ms is used, and flags:
 * HEARTH_WRITE_NO_REMOTE marks the local copy alone. It may be NULL.
 * Threads: as hearth_set(). The local copy stays, as stale, if it is the value that the node has; after
 * anything but HEARTH_OK there is none.
 */
HEARTH_API int32_t hearth_mark_stale(hearth *cache, const void *key, size_t key_size,
                                     const hearth_write_options *write) HEARTH_CHECK;

/**
 * Invalidates all values with a tag, however many, in one round trip, or in two where the tag and the tags' clock are at different nodes: the values
 * are gone for whoever reads them, local copies too, and what is being loaded or renewed for them from before is stored nowhere. This process sees
 * it at once, others within `coherence.version_ttl_ms`, until when they trust what they know of a tag; where Redis or the bus tells of
 * changes (`coherence.mode`), as soon as they are told. Half of that time after its tags were asked for, a local copy is looked at again, and
 * staleness_bound_ms of hearth_info tells how old that is. With HEARTH_WRITE_KEEP_STALE in write->flags the values stay, as
 * those of hearth_mark_stale() do.
 *
 * What was invalidated does not come back: a node that loses what it knows of a tag (evicted, flushed, started again) loses
 * the values with it. If that node does not answer, they are stale, not fresh.
 *
 * Result: HEARTH_OK; the remote errors: it may not have happened, call it again; HEARTH_E_UNSUPPORTED (Memcached, with a prefix that
 * its keys cannot hold).
 * Ownership: nothing changes hands. Of `write` deadline_ms and flags are used; it may be NULL.
 * Threads: any. Blocks for nodes, to the deadline.
 */
HEARTH_API int32_t hearth_invalidate_tag(hearth *cache, const void *tag, size_t tag_size,
                                         const hearth_write_options *write) HEARTH_CHECK;

/**
 * Gives a value a new life, counted from now: write->ttl_ms and soft_ttl_ms. Its version stays.
 *
 * Result: HEARTH_OK; HEARTH_MISS (nothing, an absence, or a value marked stale);
 * HEARTH_CONFLICT (others kept changing it meanwhile); the remote errors.
 * Ownership: nothing changes hands.
 * Threads: as hearth_set(). The local copy is dropped.
 */
HEARTH_API int32_t hearth_touch(hearth *cache, const void *key, size_t key_size,
                                const hearth_write_options *write);

/**
 * Adds `delta` to a number that was stored with HEARTH_WRITE_INTEGER (or by another client as
 * bare digits). Numbers live in the remote tier only, lie in 0 to 2^63-1, and stop at 0 on the
 * way down. The number's life is unchanged.
 *
 * Result: HEARTH_OK and *number; HEARTH_MISS (nothing is there: store it first); HEARTH_E_TYPE
 * (a value that is no number); HEARTH_E_TOO_LARGE (it would pass 2^63-1: unchanged);
 * HEARTH_E_UNSUPPORTED (on Memcached, a key that it would refuse: over 250 bytes, or with blanks
 * or control bytes; storing a number there is refused too); the remote errors;
 * HEARTH_E_UNKNOWN is never retried.
 * Ownership: `number` may be NULL. Of `write` only deadline_ms is used; it may be NULL.
 * Threads: as hearth_set().
 */
HEARTH_API int32_t hearth_increment(hearth *cache, const void *key, size_t key_size,
                                    int64_t delta, int64_t *number,
                                    const hearth_write_options *write) HEARTH_CHECK;

/**
 * The application's way to change its source of truth: HEARTH_OK when the change is committed; anything else: it is not, or that
 * is not known. It runs on the caller's thread, under no lock. It may use the cache; a fetch of its own key is
 * HEARTH_E_DEADLOCK. A longjmp or an exception out of it is undefined.
 */
typedef int32_t (*hearth_writer)(void *arg, const void *key, size_t key_size, const void *data,
                                 size_t size);

/**
 * Writes a value to the source and to both tiers, so that no tier ever has anything older than the source: first the key is
 * made void in all tiers, and a lease of this call stands in its place; then `writer` changes the source; then the value takes
 * the lease's place. Loads of the key that run meanwhile, in any process, are stored nowhere; fetches wait for this call, gets
 * answer HEARTH_MISS. If two such calls meet, neither value may be kept: the next fetch loads.
 *
 * `writer` is called whatever the nodes do, once; only then is the cache told: a source that is changed and a cache that cannot
 * be told is a delete that is kept, as with hearth_delete().
 *
 * Result: HEARTH_OK (source and cache have it); HEARTH_CONFLICT (the source has it; no tier does, since another write of the key
 * came between, or the node failed for a moment); HEARTH_E_LOADER (the writer failed: no tier has anything, neither old nor new);
 * HEARTH_E_QUEUED and the remote errors (the source has it; the node may still have what was there before: as hearth_delete());
 * HEARTH_E_TOO_LARGE (over `remote.max_value_bytes`: nothing happened; over the server's own limit: the source has it, and no
 * tier does); HEARTH_E_INVALID (also: if_version, no writer), HEARTH_E_NOMEM, HEARTH_E_CLOSED: nothing happened.
 * Ownership: key and data stay the caller's; `arg` is given to the writer, and not used after the call. `data` may be NULL when
 * size is 0.
 * Threads: any. Blocks for the writer, and for the node at most to the deadline before it, and twice after it.
 * Units: write->deadline_ms counts anew for each of these.
 */
HEARTH_API int32_t hearth_write_through(hearth *cache, const void *key, size_t key_size,
                                        const void *data, size_t size, hearth_writer writer,
                                        void *arg,
                                        const hearth_write_options *write) HEARTH_CHECK;

/**
 * Drops the local copy, if there is one. The remote tier is not asked.
 *
 * Result: HEARTH_OK (there was one); HEARTH_MISS.
 * Ownership: nothing changes hands.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_evict_local(hearth *cache, const void *key, size_t key_size);

/* ---- Namespaces -------------------------------------------------------------------------- */

/** The longest name of a namespace, in bytes. The shortest has 1. */
#define HEARTH_NAMESPACE_MAX 100

/**
 * Opens a namespace: a handle whose keys are its own, beside the cache's and those of other namespaces, and can all be forgotten at
 * once (hearth_namespace_bump()). It shares all else with the cache: tiers, connections, loads, tags. Every call that takes
 * a cache takes it; those that are not about keys act on the cache as a whole, but hearth_stats_get(), which tells the namespace's own figures. hearth_guard_add() and hearth_guard_rebuild() refuse it
 * (HEARTH_E_UNSUPPORTED): the guard knows the cache's own keys, and lets all of a namespace's pass. Loaders and writers are given the key as the
 * caller gave it; hearth_hot_keys() tells the name and the key together, and so hashes the ring.
 *
 * A namespace has a generation, a number at a node, that is part of its keys in both tiers. What a process knows of it counts for
 * `coherence.version_ttl_ms`, and a call asks for it once half of that is over. Writes ask for it each time, which is one request more, since
 * they have to meet what is read now. If its node does not answer, nobody knows whether the namespace was bumped: local copies are
 * stale then, not fresh; hearth_get() answers the node's error, hearth_fetch() loads and stores nothing at nodes, and writes answer the
 * error and write nothing.
 *
 * With `local.share` the live entries of a namespace have at most that share of `local.max_bytes` (without the index), whatever is
 * stored: for what is over, its own entries go, those not read lately first, or it is not kept locally. Which of others' entries go when the
 * tier is full is not said.
 *
 * Result: HEARTH_OK and *view, which is the same for the same name; HEARTH_E_INVALID (a name of 0 or more than HEARTH_NAMESPACE_MAX bytes,
 * or with blanks or control bytes).
 * Ownership: *view is the caller's, to be closed with hearth_close() before the cache is, which ends it too. What is known of a
 * namespace stays until the cache is closed (a few KB), so let names be few.
 * Threads: any; asks no node.
 */
HEARTH_API int32_t hearth_namespace_open(hearth *cache, const void *name, size_t name_size,
                                         hearth **view) HEARTH_CHECK;

/**
 * Forgets all keys of a namespace, however many, by one request: its generation goes on. This process has none of them from when this
 * returns, others from `coherence.version_ttl_ms` later at most, and where Redis or the bus tells of changes, once they are told. What is being loaded for it goes to those who wait for it, and to nobody
 * who comes after. The old values stay where they are until they expire or make room for others.
 *
 * What was forgotten does not come back: a generation that its node lost (evicted, flushed, deleted) is made anew with another number, at
 * random. After a Redis server that was started again from an older snapshot, or a change of nodes that brings an old number back, a process that
 * knew a later one makes it anew.
 *
 * Result: HEARTH_OK; the remote errors: it may or may not have happened, call it again; HEARTH_E_UNSUPPORTED (`view` is a cache whose own
 * keys have no generation: see hearth_clear()).
 * Ownership: nothing changes hands. Of `write` only deadline_ms is used; it may be NULL.
 * Threads: any. Blocks for one node, to the deadline.
 */
HEARTH_API int32_t hearth_namespace_bump(hearth *view,
                                         const hearth_write_options *write) HEARTH_CHECK;

/**
 * Forgets every key of the handle's namespace, as hearth_namespace_bump() does. The cache's own keys can be forgotten if it is
 * embedded, or was opened with `coherence.clear` = yes; then they have a generation too, so all processes have to say the same.
 *
 * Result: as hearth_namespace_bump().
 * Ownership: nothing changes hands.
 * Threads: any. Blocks for one node, for `remote.timeout_ms` at the most.
 */
HEARTH_API int32_t hearth_clear(hearth *cache);

/* ---- Many keys at once ------------------------------------------------------------------- */

/**
 * hearth_get() for `count` keys: what the local tier lacks is asked of all nodes at once.
 *
 * Result: HEARTH_OK when every key was answered (HEARTH_OK, HEARTH_MISS or HEARTH_ABSENT each);
 * else the first error among statuses, which are all set. HEARTH_E_INVALID for a bad array or
 * option, HEARTH_E_CLOSED: statuses are untouched.
 * Ownership: `keys`, `key_sizes`: arrays of `count`. `values`: array of `count` distinct value
 * objects or NULLs, or NULL. `statuses`: array of `count`, filled by the call. A key may occur
 * more than once.
 * Threads: any. Blocks for the slowest node, at most to the deadline.
 */
HEARTH_API int32_t hearth_get_many(hearth *cache, size_t count, const void *const *keys,
                                   const size_t *key_sizes, const hearth_read_options *read,
                                   hearth_value *const *values, int32_t *statuses) HEARTH_CHECK;

/**
 * hearth_fetch() for `count` keys: what the local tier lacks is asked of all nodes at once, and
 * what they lack is loaded by one call of `load_many`.
 *
 * Keys that other callers are loading just now are not loaded again: their results are waited
 * for, after this call has loaded and given out its own, so that calls for the same keys never
 * wait for each other in a circle, whatever the order. Each key has its own status: one that
 * fails takes no other with it. A key that occurs more than once is asked for once.
 *
 * Result: HEARTH_OK when every key was answered (HEARTH_OK or HEARTH_ABSENT each); else the first
 * error among statuses, which are all set as hearth_fetch() would answer. HEARTH_E_INVALID for a
 * bad array, loader or option, HEARTH_E_CLOSED: statuses are untouched. HEARTH_E_DEADLOCK of a
 * key: called from a loader that this key's load waits for. A loader of a batch holds all of its
 * keys: another that fetches one of them and is waited for by it gets HEARTH_E_DEADLOCK.
 * Ownership: `keys`, `key_sizes`: arrays of `count`. `values`: array of `count` distinct value
 * objects or NULLs, or NULL. `statuses`: array of `count`, filled by the call. `loader` as for
 * hearth_fetch(): where a load may outlive the call, stale values are renewed by workers, key by
 * key; what is missing is loaded by the calling thread.
 * Threads: any. Blocks for the loader, for nodes at most `remote.timeout_ms` each time, and for
 * other callers' loads at most to the deadline.
 * Units: read->deadline_ms 0 stands for `load.hard_timeout_ms`; write says how long loaded values
 * live.
 */
HEARTH_API int32_t hearth_fetch_many(hearth *cache, size_t count, const void *const *keys,
                                     const size_t *key_sizes, const hearth_loader *loader,
                                     const hearth_read_options *read,
                                     const hearth_write_options *write,
                                     hearth_value *const *values,
                                     int32_t *statuses) HEARTH_CHECK;

/**
 * hearth_set() for `count` keys and values, with the same options for all.
 *
 * Result: HEARTH_OK when every status is HEARTH_OK; else the first error among statuses.
 * HEARTH_E_INVALID also for if_version.
 * Ownership: arrays of `count`; all stay the caller's. Of a key that occurs twice, the last
 * value stays.
 * Threads: as hearth_get_many().
 */
HEARTH_API int32_t hearth_set_many(hearth *cache, size_t count, const void *const *keys,
                                   const size_t *key_sizes, const void *const *data,
                                   const size_t *sizes, const hearth_write_options *write,
                                   int32_t *statuses);

/**
 * hearth_delete() for `count` keys.
 *
 * Result: HEARTH_OK when every status is HEARTH_OK or HEARTH_MISS; else the first error among
 * statuses, HEARTH_E_QUEUED included.
 * Ownership: arrays of `count`; all stay the caller's.
 * Threads: as hearth_get_many().
 */
HEARTH_API int32_t hearth_delete_many(hearth *cache, size_t count, const void *const *keys,
                                      const size_t *key_sizes,
                                      const hearth_write_options *write,
                                      int32_t *statuses) HEARTH_CHECK;

/* ---- Calls that do not wait -------------------------------------------------------------- */

/*
 * An event loop may not block. It opens a queue, submits operations to it, and collects their results when the queue's
 * descriptor is readable:
 *
 *     hearth_queue *queue;
 *     int fd;
 *     hearth_queue_open(cache, &queue);
 *     hearth_event_fd(queue, &fd);                    (poll it for input, with the loop's other descriptors)
 *
 *     hearth_operation get;
 *     hearth_operation_init(&get, sizeof get);
 *     get.verb = HEARTH_VERB_GET;
 *     get.key = "user:1";
 *     get.key_size = 6;
 *     get.value = request->value;
 *     get.tag = request;
 *     int32_t status = hearth_submit(queue, &get, &ticket);
 *     if (status != HEARTH_OK || ticket == 0)
 *         answer(request, status);                    (a local hit, or refused: there is no result to come)
 *
 *     hearth_result results[64] = {{.size = sizeof results[0]}};      (when fd is readable)
 *     while (hearth_collect(queue, results, 64, 0, &count) == HEARTH_OK)
 *         for (size_t i = 0; i < count; i++)
 *             answer(results[i].tag, results[i].status);
 *
 * Each operation that hearth_submit() gave a ticket ends once: by a result, or by a hearth_cancel() that answers HEARTH_OK. What is
 * in flight on a queue is asked of the nodes in pipelines. An event loop, or a thread, has a queue of its own; a cache may have any
 * number. Operations of one queue on the same key take effect in the order in which they were submitted: a get sees the sets
 * before it, and no set behind it. Those on different keys have no order, and results come in none. The load of a fetch is no part
 * of that order: a write that is submitted behind it does not wait for the loader, but voids what it loads, as any write does. The
 * invalidation of a tag takes effect behind what was submitted before with that tag, and before what is submitted later with it; a read
 * that is to see it waits for its result, since nobody knows a key's tags until it is read.
 *
 * A forked child may use a queue that its parent opened. It finds nothing in it: what was submitted is the parent's, and so is the
 * descriptor, so it asks for a new one.
 */

/** A queue of operations and of their results. */
typedef struct hearth_queue hearth_queue;

/** What an operation does. */
enum hearth_verb {
    HEARTH_VERB_GET = 1,        /**< as hearth_get() and hearth_get_many() */
    HEARTH_VERB_SET = 2,        /**< as hearth_set() and hearth_set_many() */
    HEARTH_VERB_DELETE = 3,     /**< as hearth_delete() and hearth_delete_many() */
    HEARTH_VERB_FETCH = 4,      /**< as hearth_fetch() and hearth_fetch_many() */
    HEARTH_VERB_ADD = 5,        /**< as hearth_add(); this and the following take one key */
    HEARTH_VERB_REPLACE = 6,    /**< as hearth_replace() */
    HEARTH_VERB_TOUCH = 7,      /**< as hearth_touch() */
    HEARTH_VERB_INCREMENT = 8,  /**< as hearth_increment(); the result has the number */
    HEARTH_VERB_MARK_STALE = 9, /**< as hearth_mark_stale() */
    HEARTH_VERB_INVALIDATE_TAG = 10, /**< as hearth_invalidate_tag(); `key` is the tag */
};

/**
 * One operation. hearth_submit() copies all of it, keys and what is to be stored included; only where the result goes, and the
 * loader's `arg`, have to stay until it is there: `value` or the objects of `values`, and `statuses`.
 */
typedef struct hearth_operation {
    size_t size;   /**< set by init */
    uint32_t verb; /**< enum hearth_verb */
    uint32_t reserved;
    /** 0 (init): one key, which `key`, `key_size` and, to store something, `data` and `data_size` tell, and of a read `value`,
     * which may be NULL; else the number of keys in the arrays */
    size_t count;
    const void *key;
    size_t key_size;
    const void *data;
    size_t data_size;
    hearth_value *value;
    const void *const
        *keys; /**< arrays of `count`, as those of hearth_get_many() and hearth_set_many() */
    const size_t *key_sizes;
    const void *const *datas;
    const size_t *data_sizes;
    hearth_value *const *values; /**< or NULL; may have NULLs */
    int32_t *statuses;           /**< with `count`: filled when the result is there */
    const hearth_loader
        *loader; /**< of a fetch; its functions are called by threads of the library's own */
    const hearth_read_options *read;   /**< or NULL */
    const hearth_write_options *write; /**< or NULL */
    void *tag;                         /**< given back with the result */
    int64_t delta;                     /**< of an increment; of others it is not looked at */
} hearth_operation;

/** The result of an operation. */
typedef struct hearth_result {
    size_t size;     /**< set by the caller, in the first of an array: sizeof(hearth_result) */
    uint64_t ticket; /**< of hearth_submit() */
    void *tag;       /**< of the operation */
    hearth_value *value; /**< of a read of one key: the operation's, with the answer; or NULL */
    int32_t status;      /**< what the call that the verb names would answer */
    uint32_t verb;       /**< enum hearth_verb */
    int64_t number;      /**< of an increment that is HEARTH_OK: the number; else 0 */
} hearth_result;

/**
 * Sets an operation to one key, no verb, and everything else to nothing.
 *
 * Result: none.
 * Ownership: the struct is the caller's; exactly `size` bytes are written.
 * Threads: any.
 * Units: `size` is sizeof(hearth_operation) as the caller was compiled.
 */
HEARTH_API void hearth_operation_init(hearth_operation *operation, size_t size);

/**
 * Opens a queue of a cache. No thread is started: hearth_event_fd() does that, or the first operation that has to wait
 * (`submit.threads`).
 *
 * Result: HEARTH_OK and *queue; HEARTH_E_INVALID, HEARTH_E_NOMEM, HEARTH_E_CLOSED.
 * Ownership: *queue is the caller's, to be closed with hearth_queue_close(), before hearth_close() or after it has returned.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_queue_open(hearth *cache, hearth_queue **queue) HEARTH_CHECK;

/** Gets a result that nobody collected, on the thread that closes the queue. It must not use the queue. */
typedef void (*hearth_result_function)(void *arg, const hearth_result *result);

/**
 * Closes a queue: operations that wait are not carried out and end with HEARTH_E_CLOSED; those that run are waited for, each to
 * its deadline (a loader is waited for). Then `tell` gets every result that was not collected. NULL is allowed for both. Nothing may
 * use the queue meanwhile or afterwards.
 *
 * After hearth_close() of its cache a queue has its results still, of which those that waited are HEARTH_E_CLOSED; it is to be
 * closed then, too.
 *
 * Result: HEARTH_OK; HEARTH_E_DEADLOCK when called from inside a loader of this cache (nothing is closed).
 * Ownership: the queue is gone, and its descriptor closed.
 * Threads: one, once, and not while hearth_close() runs; blocks for what runs.
 */
HEARTH_API int32_t hearth_queue_close(hearth_queue *queue, hearth_result_function tell,
                                      void *arg);

/**
 * Submits an operation. A get or fetch of one key that the local tier answers with a fresh value is done at once, in a namespace
 * too, unless a write of the key is in the queue; everything else is carried out by other threads, or by hearth_collect().
 *
 * The deadline of the options counts from here, or from a millisecond or so later, when the operation is taken in; one that still
 * waits then ends with HEARTH_E_TIMEOUT. The loader of a fetch runs on one of `submit.load_threads` threads; with a deadline_ms of
 * its own, and `retain` and `release`, as hearth_fetch() says.
 *
 * Result: HEARTH_OK and *ticket: a result will come; HEARTH_OK and *ticket 0: it is done, and the answer is in `value`.
 * HEARTH_E_OVERLOAD (`submit.max_operations` or `submit.max_bytes` of this queue are not collected yet: collect, or answer
 * without the cache); HEARTH_E_INVALID (as the verb's call; also a count over 65,536), HEARTH_E_NOMEM, HEARTH_E_CLOSED: no
 * result will come, *ticket is 0.
 * Ownership: see hearth_operation. Values and statuses may not be looked at before the result is there.
 * Threads: any, several at once; waits for nothing but other callers of the same queue, who have its lock for a moment: neither for
 * a node, nor for a loader, nor for a thread of the library's, unless malloc() does so to make room for a local hit in its value. The
 * first that has to wait starts two threads, unless hearth_event_fd() did.
 */
HEARTH_API int32_t hearth_submit(hearth_queue *queue, const hearth_operation *operation,
                                 uint64_t *ticket) HEARTH_CHECK;

/**
 * Takes an operation back that was not begun.
 *
 * Result: HEARTH_OK: nothing was done, and no result will come; HEARTH_MISS: it is too late: its result comes, is there, or was
 * collected; or there is no such ticket. HEARTH_E_INVALID.
 * Ownership: with HEARTH_OK, what the result would have gone to is the caller's again; after HEARTH_MISS when the result is there.
 * Threads: any; as hearth_submit(). Its memory is free about a millisecond later; who cancels `submit.max_operations` before that
 * gets HEARTH_E_OVERLOAD from the next submit.
 */
HEARTH_API int32_t hearth_cancel(hearth_queue *queue, uint64_t ticket) HEARTH_CHECK;

/**
 * Collects results, as many as there are, at most `capacity` and 1,024 at once. Who waits for them carries out operations that
 * wait meanwhile, where their deadline is no more than a millisecond behind this call's: then nothing has to be handed from thread to thread. Loaders are
 * never called here.
 *
 * Result: HEARTH_OK and *count, at least 1; HEARTH_MISS (there is none, or none came in time); HEARTH_E_CLOSED (there is none, and
 * none will come: the cache is closed); HEARTH_E_INVALID.
 * Ownership: `results` is the caller's array of `capacity` structs of results[0].size bytes each; of each of the first *count,
 * min(results[0].size, the library's size) bytes are written; `size` becomes that of the first.
 * Threads: any, several at once; each result goes to one. Blocks at most `timeout_ms`; with 0 it waits for no thread of the
 * library's, as hearth_submit().
 * Units: ms; `timeout_ms` 0 looks and does not wait; -1 waits without end.
 */
HEARTH_API int32_t hearth_collect(hearth_queue *queue, hearth_result *results, size_t capacity,
                                  int64_t timeout_ms, size_t *count) HEARTH_CHECK;

/**
 * A descriptor that is readable while there are results: for poll, epoll and any loop over them. It is written once when there come
 * to be results, however many, and hearth_collect() clears it when it takes the last. Once in a while it is readable although another
 * call took them: then hearth_collect() finds none, and clears it too. The first call starts the threads that carry out what is
 * submitted, so that no submit of a loop's has to.
 *
 * Result: HEARTH_OK and *fd, the same in every call of a process; HEARTH_E_UNAVAILABLE (there is no descriptor left);
 * HEARTH_E_INVALID.
 * Ownership: the queue's: it is to be polled, and neither read, written nor closed. A forked child asks for its own.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_event_fd(hearth_queue *queue, int *fd) HEARTH_CHECK;

/* ---- The guard: keys that do not exist --------------------------------------------------- */

/*
 * With `guard.expected_keys` set, a Bloom filter of all keys that exist stands behind the local tier: hearth_get(),
 * hearth_get_many() and hearth_fetch() of a key that it does not contain answer HEARTH_ABSENT at once, and neither a node nor
 * the loader is asked. Of the keys that do not exist it lets through `guard.target_rate`; of those that exist it denies none, on
 * these terms:
 *
 * - **It denies only what it can know.** At first it denies nothing: it is certified by hearth_guard_rebuild() or
 * hearth_guard_load(), which tell it what there was before. A forked child has to be told anew, unless the filter is shared.
 * - **The insert contract.** A key is added *before* it comes to exist: hearth_guard_add(), then the commit in the database, at
 * the latest `guard.view_ms` later. Else it is denied, though it exists. What this process writes by hearth_set(), hearth_add()
 * and hearth_replace(), and what its loads find, is added by itself, before the write is sent or the load returns.
 * - **It knows this process only**, unless `guard.shared` is on. What other processes make it learns by the next rebuild. Where
 * others make keys too, share the filter, or have them tell this one in time, or leave the guard off.
 * - **Nothing is taken out.** A deleted key stays 'maybe' until the next rebuild; hearth_delete() adds its key, since it may be
 * the news of one that was just made.
 * - **It is checked.** One denial in `guard.audit` goes on all the same: a get to the node, a fetch to the loader. If the key is
 * found there, this read has it, and the guard denies nothing until the next rebuild; statistics and log say so.
 *
 * With `guard.shared` (Redis, or Memcached by our own client) all processes with the same `remote.prefix` and `guard.seed` have one filter, at one node of the
 * remote tier. One process rebuilds it; the others, those that start later and forked children too, copy it without asking for any
 * key. Each looks several times within `guard.view_ms` for what was added since, by a thread of the library's own. Then these terms
 * hold for all of them together:
 *
 * - **A key that was added here is not denied elsewhere** from `guard.view_ms` after hearth_guard_add() answered HEARTH_OK, and
 * here from that answer on. Who can not have that a key is denied for a moment lets so long pass before the commit; a rebuild grants
 * `guard.view_ms` between the two at the most, so it has to be set to twice what passes then. If another status is answered, the
 * server may not have it: the key must not come to exist, or is denied by others. Call it again.
 * - **What this process writes** is told in the same way before the write is sent. If the server of the filter does not answer, the
 * write goes on without, and the key is told as soon as it does: until then other processes may deny a key that nobody added by
 * hearth_guard_add(). Statistics count that (`guard_untold`). Where too many are kept, the filter ends for all.
 * - **A process denies nothing** while its last look at the server that found all in order is older than `guard.view_ms`, and from a
 * look on that finds anything else: no filter, or one whose blocks or log are not whole (flushed, evicted, trimmed: then it is
 * copied anew if it is whole); another server, or one that was restarted, has failed over or was synchronized anew, which may have
 * lost what it acknowledged. Then the filter is done with, and a rebuild makes another. The server must not evict: evictions cost
 * the filter, never an answer. Two servers that both take themselves for the master are not told apart by who sees one of them.
 * - **A false negative** that one process proves ends the filter for all.
 * - **hearth_set_nodes()** may give the filter's place to another node, where there is none: rebuild after it. Change the nodes of
 * all processes within `guard.view_ms`, or keys added by the new list are unknown to who has the old one.
 *
 * A Redis server has to allow scripts and INFO to the user. A Memcached server keeps whole generations, in items of 64 KiB, and what
 * was added since in others: whichever of them it evicts, the filter ends with the first process that misses it. No proxy may stand
 * between, since commands have to be carried out in their order, and `remote.max_value_bytes` is 128 KiB at least. The filter's size
 * is that which the process had that made it, up to 512 MiB.
 */

/**
 * Adds a key that is about to exist: call it before the source of truth has it. With the guard off it does nothing. While a
 * filter is rebuilt the key goes into both.
 *
 * Result: HEARTH_OK: from now on the key is not denied in this process, and with `guard.shared` from `guard.view_ms` later in no
 * other; HEARTH_E_INVALID; HEARTH_E_CLOSED. With `guard.shared` also, and then other processes may deny the key, so that it must not
 * come to exist before a call answered HEARTH_OK: HEARTH_E_TIMEOUT (the server did not answer in time), HEARTH_E_UNAVAILABLE (it is
 * down, or refuses), HEARTH_E_PROTOCOL (it answered nonsense), HEARTH_E_NOMEM.
 * Ownership: the key stays the caller's.
 * Threads: any; takes no lock, and does not block; with `guard.shared` it waits for the server's acknowledgement, for
 * `remote.timeout_ms` at the most a try (it tries again only while another process replaces the filter), and for nothing if
 * the filter is known to have the key.
 */
HEARTH_API int32_t hearth_guard_add(hearth *cache, const void *key, size_t key_size);

/**
 * Gives the next key that exists, in any order; a key may be given more than once. It answers HEARTH_OK and *key and
 * *key_size; HEARTH_MISS when there are no more; anything else when it failed, and then there is no new filter. The bytes have to
 * stay until it is called again, or until hearth_guard_rebuild() returns.
 *
 * Its first call must see every key that exists by then: open the cursor or snapshot in that call, not before
 * hearth_guard_rebuild(). Keys that live in the cache alone, with no database behind it, are to be given too. It may use the cache
 * in any way but one: hearth_close() answers HEARTH_E_DEADLOCK. A longjmp or an exception out of it is undefined.
 */
typedef int32_t (*hearth_guard_iterator)(void *arg, const void **key, size_t *key_size);

/**
 * Makes the guard's filter anew from all keys that exist, and certifies it. Reads and writes of other threads go on meanwhile,
 * with the filter that was there; every key that is added goes into both; then the new one takes its place as a whole. The
 * filter is made for `guard.expected_keys`, or for a quarter more than there are now. Call it at the start, when
 * `guard_outgrown` of the statistics is 1 (the log says so too), and when many keys were deleted.
 *
 * It runs on the calling thread and not on one of the library's, so that `iterator` and `arg` are not needed any longer than this
 * call, and so that bindings can give functions of a managed language. Who does not want to wait has a thread for it. The
 * library keeps no iterator: it says when a larger filter is due, and makes one only here.
 *
 * Result: HEARTH_OK; HEARTH_E_LOADER (the iterator failed); HEARTH_E_INVALID (also: it gave a key of 0 or more than 32,768
 * bytes); HEARTH_E_OVERLOAD (another rebuild, save or load is under way); HEARTH_E_TOO_LARGE (the filter would exceed half of
 * `guard.max_bytes`); HEARTH_E_UNSUPPORTED (the guard is off); HEARTH_E_NOMEM; HEARTH_E_CLOSED (hearth_close() began meanwhile).
 * With `guard.shared` it makes the filter of all processes, and answers also: HEARTH_E_OVERLOAD (another process makes it: it will
 * be this one's too), HEARTH_CONFLICT (the server lost it meanwhile), HEARTH_E_TIMEOUT, HEARTH_E_UNAVAILABLE, HEARTH_E_PROTOCOL
 * (the server does not take it).
 * Unless it is HEARTH_OK, the filter that was there stays, with its certificate if it had one; the log says why.
 * Ownership: `arg` is given to the iterator, and not used afterwards.
 * Threads: any, one at a time. Blocks for `guard.view_ms`, so that keys which were added just before are at their source, and then
 * for the iterator; with `guard.shared` for twice as long, then for the iterator, and until the server has all and this process
 * its copy.
 */
HEARTH_API int32_t hearth_guard_rebuild(hearth *cache, hearth_guard_iterator iterator,
                                        void *arg) HEARTH_CHECK;

/**
 * Writes the guard's filter to a file, with checksums, its seed and its generation, for hearth_guard_load(). The file is replaced
 * as a whole; if that fails, an older one stays as it was. Keys that are added during the call may be missing in the file.
 *
 * Result: HEARTH_OK; HEARTH_CONFLICT (the filter is not certified); HEARTH_E_UNAVAILABLE (the file cannot be written);
 * HEARTH_E_OVERLOAD, HEARTH_E_UNSUPPORTED (as hearth_guard_rebuild()); HEARTH_E_INVALID; HEARTH_E_NOMEM; HEARTH_E_CLOSED. The
 * log says why.
 * Ownership: `path` stays the caller's.
 * Threads: any, one at a time. Writes a file, and waits until it is on the disk.
 */
HEARTH_API int32_t hearth_guard_save(hearth *cache, const char *path) HEARTH_CHECK;

/**
 * Adds all keys of a file of hearth_guard_save() to the guard's filter, and certifies it. What this process has added stays.
 * The filter gets the size that it has in the file.
 *
 * Who calls it vouches for the file: every key that came to exist since hearth_guard_save() began, in whatever process, has been
 * added by hearth_guard_add() here. A file of the last orderly shutdown is good if nothing was written since; one that is left
 * from before a crash is not: delete the file when it is loaded, and rebuild if there is none.
 *
 * Result: HEARTH_OK; HEARTH_CONFLICT (the file has another seed: `guard.seed` or `remote.prefix` were others; or it is older
 * than the filter that is there; or a false negative was proven, after which only a rebuild is trusted); HEARTH_E_PROTOCOL
 * (truncated, damaged, or no such file at all); HEARTH_E_UNAVAILABLE (it cannot be read); HEARTH_E_TOO_LARGE,
 * HEARTH_E_OVERLOAD, HEARTH_E_UNSUPPORTED (as hearth_guard_rebuild(); also: `guard.shared` is on); HEARTH_E_INVALID; HEARTH_E_NOMEM; HEARTH_E_CLOSED. Unless
 * it is HEARTH_OK, nothing has changed; the log says why.
 * Ownership: `path` stays the caller's.
 * Threads: any, one at a time. Reads a file.
 */
HEARTH_API int32_t hearth_guard_load(hearth *cache, const char *path) HEARTH_CHECK;

/* ---- Options ----------------------------------------------------------------------------- */

/** One option, as hearth_options_describe() tells it. The texts are the library's and live as
 * long as it does. */
typedef struct hearth_option_info {
    size_t size;         /**< set by the caller: sizeof(hearth_option_info) */
    const char *name;    /**< for hearth_options_set() */
    const char *type;    /**< "bytes", "ms", "count", "rate", "flag", "text" or "choice" */
    const char *initial; /**< the default, as a text that hearth_options_set() would take */
    const char *choices; /**< of a choice: the names allowed, separated by blanks; else "" */
    const char *help;    /**< what it does */
    int64_t low; /**< the least value allowed; of a text: its bytes; of a rate: in billionths */
    int64_t high; /**< the greatest */
} hearth_option_info;

/**
 * Makes a set of options, all at their defaults.
 *
 * Result: the options; NULL: out of memory.
 * Ownership: the caller's, to be freed with hearth_options_free().
 * Threads: any.
 */
HEARTH_API hearth_options *hearth_options_new(void) HEARTH_CHECK;

/**
 * Sets an option by name: hearth_options_set(o, "local.max_bytes", "64mb").
 *
 * Sizes take kb, mb, gb (powers of 1024); times take ms, s, m, h, d and are ms without a unit;
 * flags take yes and no.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID: hearth_options_error() says what is wrong, what is
 * allowed, and the nearest valid name; the option keeps its value. HEARTH_E_NOMEM.
 * Ownership: name and value are copied.
 * Threads: the options'.
 */
HEARTH_API int32_t hearth_options_set(hearth_options *options, const char *name,
                                      const char *value) HEARTH_CHECK;

/**
 * The present value of an option, as a text that hearth_options_set() would take.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (no such option); HEARTH_E_TOO_LARGE (the text with its
 * NUL needs *needed bytes).
 * Ownership: `text` is the caller's buffer of `size` bytes, filled and ended by NUL. `needed`
 * may be NULL.
 * Threads: the options'.
 */
HEARTH_API int32_t hearth_options_get(const hearth_options *options, const char *name,
                                      char *text, size_t size, size_t *needed);

/**
 * Sets options from a file of lines `name = value`; blank lines and lines that begin with `#`
 * are skipped.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (hearth_options_error() names file, line and reason; none
 * of the file's options is set); HEARTH_E_UNAVAILABLE (the file cannot be read);
 * HEARTH_E_NOMEM.
 * Ownership: path is the caller's.
 * Threads: the options'. Reads a file.
 */
HEARTH_API int32_t hearth_options_load(hearth_options *options, const char *path) HEARTH_CHECK;

/**
 * Why the last call with these options failed, hearth_open() included.
 *
 * Result: a sentence, empty after a success; never NULL.
 * Ownership: the options'; valid until their next use.
 * Threads: the options'.
 */
HEARTH_API const char *hearth_options_error(const hearth_options *options);

/**
 * The option at `index`, counted from 0, in the order of the manual.
 *
 * Result: HEARTH_OK; HEARTH_MISS (there are no more); HEARTH_E_INVALID (a NULL, or info->size
 * less than sizeof(size_t)).
 * Ownership: `info` is the caller's; min(info->size, the library's size) bytes are written,
 * `size` is kept.
 * Threads: any.
 */
HEARTH_API int32_t hearth_options_describe(uint32_t index, hearth_option_info *info);

/**
 * Frees options. NULL is allowed. Caches that were opened with them do not need them.
 *
 * Result: none.
 * Ownership: the options are gone.
 * Threads: the options'.
 */
HEARTH_API void hearth_options_free(hearth_options *options);

/* ---- Reads that never wait --------------------------------------------------------------- */

/**
 * Makes the caller's object of a value: `size` bytes at `data`, which are whole, will not change,
 * and are the library's again when it returns. `data` is never NULL. What it returns is what
 * hearth_get_with() returns, NULL included.
 *
 * It runs on the thread that called hearth_get_with(), under no lock, when that call has left the
 * cache: it may use the library in any way, hearth_get_with() and hearth_close() included. A
 * longjmp out of it is undefined.
 */
typedef void *(*hearth_sink_make)(const char *data, ptrdiff_t size);

/** Takes a reference of `miss` for a caller who is about to get it. Runs as hearth_sink_make does.
 */
typedef void (*hearth_sink_retain)(void *miss);

/**
 * Says what hearth_get_with() makes of a value and of a miss, in caches opened with these options.
 * It is meant for bindings: with it a read is one call without out-parameters. For CPython:
 *
 *     hearth_options_set_sink(options, PyBytes_FromStringAndSize, Py_IncRef, an_object)
 *
 * `retain` may be NULL if `miss` needs no references; all three NULL: no sink, as at first.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (`make` or `miss` is missing, so that a miss would be NULL:
 * hearth_options_error() says so, and the sink stays as it was).
 * Ownership: `miss` stays the caller's, and must outlive every call of hearth_get_with().
 * Threads: the options'; `make` and `retain` are called by any thread that calls
 * hearth_get_with(), also by several at once.
 */
HEARTH_API int32_t hearth_options_set_sink(hearth_options *options, hearth_sink_make make,
                                           hearth_sink_retain retain, void *miss) HEARTH_CHECK;

/**
 * Asks the local tier alone, at once, and answers with an object: what `make` makes of the value if
 * there is a fresh one with content 0, else `miss`, retained. It never waits: it takes no lock, asks no node, calls
 * no loader. So it may be called where a wait would block others: in an event loop, or with an
 * interpreter's lock held. Who gets `miss` asks on by hearth_get() or hearth_fetch(), where waiting
 * is allowed.
 *
 * `miss` is the answer to everything but such a value: nothing there, a value past its soft life
 * or marked stale, one with a content word (which says how its bytes are to be read, and `make` is
 * not told it), a key known not to exist, a value that other threads kept overwriting while it
 * was read, no memory, a key that is not valid, a cache that is being closed.
 *
 * Result: the object of `make`, or `miss`. NULL only if `make` returned NULL (it has then told its
 * own caller why, as a binding's does by an exception), or if there is no sink: `cache` is NULL or
 * was opened without hearth_options_set_sink(). That is a mistake of the caller's which no object
 * could tell, so a binding sets its sink before it opens a cache, and checks that status.
 * Ownership: the object is the caller's, by the rules of `make` and `retain`. Nothing else changes
 * hands.
 * Threads: any; does not block. The first call of a thread with a cache, as any call, makes the
 * thread known to it (a short lock and a little memory); so does each of a thread that goes between
 * more than eight caches. A value of more than 4096 bytes is copied to a buffer that the thread
 * keeps until it ends and that grows to the largest value so read.
 * Statistics: a value counts as a local hit, everything else as a read without one (another read
 * then follows where the caller asks on).
 */
HEARTH_API void *hearth_get_with(hearth *cache, const void *key, size_t key_size) HEARTH_CHECK;

/**
 * The version of the value that hearth_get_with() would find now, without the value: who keeps
 * decoded objects learns whether one is still good. Equal versions are equal values of the key; a
 * version is an identity, never an order. It never waits, in the same way, and it is a use of the
 * value as any read: what is only peeked at stays in the tier.
 *
 * Result: HEARTH_OK and *version, which is not 0; HEARTH_MISS (no fresh value, or one without a
 * version: see HEARTH_WRITE_NO_REMOTE, `remote.accept_foreign`; or others kept overwriting it); HEARTH_ABSENT (the local
 * tier knows that the key does not exist); HEARTH_E_INVALID; HEARTH_E_CLOSED. *version is untouched
 * unless the answer is HEARTH_OK.
 * Ownership: nothing changes hands.
 * Threads: any; does not block; the first call of a thread as for hearth_get_with().
 * Statistics: HEARTH_OK counts as a local hit, anything else is left to the read that follows.
 */
HEARTH_API int32_t hearth_peek_version(hearth *cache, const void *key, size_t key_size,
                                       uint64_t *version) HEARTH_CHECK;

/**
 * Functions of the interpreter that runs in this process. With them a function of the library can be one of the interpreter's
 * own, which is called without anything in between that turns objects into arguments. For CPython:
 *
 *     {sizeof it, PyCapsule_GetPointer, PyUnicode_AsUTF8AndSize, PyBytes_AsStringAndSize, Py_IncRef, Py_True, Py_False,
 *      Py_DecRef, PyObject_Type, &PyUnicode_Type, PyDict_GetItemWithError, PyTuple_Size, PyTuple_GetItem,
 *      PyObject_Vectorcall, PyObject_SetItem}
 *
 * and PyCFunction_NewEx makes functions of hearth_object_get (METH_O), hearth_object_current (METH_FASTCALL) and
 * hearth_object_find (METH_FASTCALL | METH_KEYWORDS).
 */
typedef struct hearth_interpreter {
    /** sizeof(hearth_interpreter). */
    size_t size;
    /** The pointer that `self` holds: of a hearth *, which may change between calls. `name` is NULL. */
    void *(*place_of)(void *self, const char *name);
    /** The bytes of a text, which stay as long as the object. NULL: it has raised its own exception. */
    const char *(*text_of)(void *text, ptrdiff_t *size);
    /** The bytes of an object of bytes. Not 0: it has raised its own exception. */
    int (*bytes_of)(void *object, char **data, ptrdiff_t *size);
    /** Takes a reference of `yes` or `no` for the caller. */
    void (*retain)(void *object);
    /** What hearth_object_current() answers. */
    void *yes;
    void *no;

    /* What follows is for hearth_object_find(): all of it, or all NULL. */

    /** Gives a reference back. */
    void (*release)(void *object);
    /** An object's class, retained, and that of texts. */
    void *(*class_of)(void *object);
    void *text_class;
    /** What a table has under a text, not retained. NULL: nothing. It runs nobody's code. */
    void *(*find)(void *table, void *text);
    /** How many objects a row has, and one of them, not retained. NULL: it has raised its own exception. */
    ptrdiff_t (*count)(void *row);
    void *(*item)(void *row, ptrdiff_t at);
    /** Calls an object with arguments, the last ones of which have these names (NULL: none). NULL: an exception. */
    void *(*call)(void *callable, void *const *arguments, size_t count, void *names);
    /** Puts a part into an object. Not 0: it has raised its own exception. */
    int (*put)(void *object, void *at, void *part);
} hearth_interpreter;

/**
 * Says which interpreter that is, once in a process, before any hearth_object_ function is called.
 *
 * Result: HEARTH_OK (also when it was the same before); HEARTH_E_INVALID (something is missing, or another interpreter was named
 * before).
 * Ownership: the struct is copied; `yes` and `no` stay the caller's, and last as long as the process.
 * Threads: any. What it says is known to calls that begin after it has returned.
 */
HEARTH_API int32_t hearth_set_interpreter(const hearth_interpreter *interpreter) HEARTH_CHECK;

/**
 * hearth_get_with() of the cache that `self` leads to; the key is a text object.
 *
 * Result: as hearth_get_with(); NULL also if `self` or `text` is not what it has to be, or is no UTF-8 (the interpreter has raised
 * its exception), or if no interpreter was named.
 * Ownership: as hearth_get_with(). It takes no reference of its arguments.
 * Threads: any that may use objects of the interpreter; does not block, and keeps the interpreter's lock.
 */
HEARTH_API void *hearth_object_get(void *self, void *text) HEARTH_CHECK;

/**
 * Whether decoded objects are still good, of one key or of several that belong together: hearth_peek_version() of each. A probe is
 * an object of bytes: the version as a uint64_t, and the key.
 *
 * Result: `yes` if each key has that version, else `no`, retained; NULL if an argument is not what it has to be (the interpreter has
 * raised its exception), or if no interpreter was named.
 * Ownership: as hearth_object_get().
 * Threads: as hearth_object_get().
 * Statistics: as hearth_peek_version(), for those that were asked: none behind one that is not so.
 */
HEARTH_API void *hearth_object_current(void *self, void *const *probes,
                                       ptrdiff_t count) HEARTH_CHECK;

/**
 * A lookup of decoded objects in one call: what a table has under the first argument, as long as it is still good, else what
 * another function answers to the same arguments. `self` is a row: what leads to the cache (as `self` of hearth_object_get()), the
 * table, that function. Of the table's entries, which are rows too, the first two objects are probes (as those of
 * hearth_object_current()), and the third is the answer. If there are more, the answer is made anew: by a call of the fourth, into which
 * is put, at the place that the fifth is, what a call of the sixth returns, and so on by twos.
 *
 * The table is asked if there are one or two arguments, none of which has a name, and the first is a text of the very class. A second one
 * is of interest to the function alone: what to answer if there is nothing.
 *
 * Result: the answer, retained; NULL if something that was called has raised its exception, if an object is not what it has to be (the
 * interpreter has raised its exception), or if no interpreter with `find` was named.
 * Ownership: as hearth_object_get(). An entry is retained meanwhile, so it may leave its table.
 * Threads: as hearth_object_get(), but what is called may block.
 * Statistics: as hearth_object_current().
 */
HEARTH_API void *hearth_object_find(void *self, void *const *arguments, ptrdiff_t count,
                                    void *names) HEARTH_CHECK;

/* ---- Insight ----------------------------------------------------------------------------- */

/** How serious a log record is. */
enum hearth_log_level {
    HEARTH_LOG_ERROR = 1,   /**< something that a person should look at */
    HEARTH_LOG_WARNING = 2, /**< something went wrong and was dealt with */
    HEARTH_LOG_NOTICE = 3,  /**< a change that is worth knowing: a node is back */
};

/** One log record. */
typedef struct hearth_log_record {
    size_t size;     /**< set by the caller: sizeof(hearth_log_record) */
    int64_t unix_ms; /**< wall clock */
    /** records dropped between the one before and this, because nobody read them */
    uint64_t lost;
    uint32_t level; /**< enum hearth_log_level */
    int32_t status; /**< what the call concerned was answered */
    char text[232]; /**< one sentence, ended by NUL: names the node and what to do */
} hearth_log_record;

/** Gets every record as it is made, on the thread that made it, under no lock. It must not call
 * Hearth. */
typedef void (*hearth_log_function)(void *arg, const hearth_log_record *record);

/**
 * Sends the log of a cache opened with these options to a function, instead of the ring that
 * hearth_log_next() reads.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID.
 * Ownership: `arg` must stay valid until hearth_close() returned. NULL for `log`: back to the
 * ring.
 * Threads: the options'; `log` is called by any thread that uses the cache and by threads of the
 * library's own, also by several at once.
 */
HEARTH_API int32_t hearth_options_set_log(hearth_options *options, hearth_log_function log,
                                          void *arg);

/**
 * Takes the oldest log record. The ring keeps 256; older ones are dropped and counted in
 * `lost`. Records that repeat are limited to about one a second for each node and kind.
 *
 * Result: HEARTH_OK; HEARTH_MISS (there is none); HEARTH_E_INVALID.
 * Ownership: `record` is the caller's; min(record->size, the library's size) bytes are written,
 * `size` is kept.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_log_next(hearth *cache, hearth_log_record *record) HEARTH_CHECK;

/**
 * The counters and gauges of stats.h; of a namespace's handle its own figures, of all reads and writes by this process since it was
 * opened first: reads, local_hits, local_stale_hits, remote_hits, remote_misses, loads, load_errors, load_absents, load_ms (a batch counts
 * once), stale_served, writes; local_entries and local_bytes, which are live entries, without the index; local_limit_bytes as
 * the cache's. Its other fields are 0: ask the cache. So are all of a namespace's beyond the first 63 that a cache opened. Entries
 * of a generation before a bump count until they make room for others.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID.
 * Ownership: `stats` is the caller's; min(stats->size, the library's size) bytes are written,
 * `size` is kept.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_stats_get(hearth *cache, hearth_stats *stats);

/**
 * The cache's, whatever the handle, its nodes' and its namespaces', as Prometheus text (exposition format 0.0.4).
 *
 * Result: HEARTH_OK; HEARTH_E_TOO_LARGE (the text with its NUL needs *needed bytes);
 * HEARTH_E_INVALID.
 * Ownership: `text` is the caller's buffer of `size` bytes, filled and ended by NUL; NULL with
 * size 0 asks for *needed only. `needed` may be NULL.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_stats_text(hearth *cache, char *text, size_t size, size_t *needed);

/** How much is kept of a hot key, in bytes. */
#define HEARTH_HOT_KEY_BYTES 128

/** A key that is asked for often. */
typedef struct hearth_hot_key {
    size_t size; /**< set by the caller, in the first of an array: sizeof(hearth_hot_key) */
    uint64_t requests_per_s; /**< estimated; by all threads of this process */
    uint64_t key_size;       /**< bytes in `key` */
    uint64_t
        full_size; /**< of the whole key; more than key_size if that is longer than HEARTH_HOT_KEY_BYTES */
    unsigned char key[HEARTH_HOT_KEY_BYTES]; /**< the key, or its beginning; no terminator */
} hearth_hot_key;

/**
 * The keys that this process asks for most, the hottest first: reads of the last 8 to 16 seconds by hearth_get(),
 * hearth_get_many() and hearth_fetch(), whatever they answered, and hits of hearth_get_with() and hearth_peek_version(). A key
 * that nobody asks for any more is gone after at most 17 seconds.
 *
 *     hearth_hot_key hottest[10] = {{.size = sizeof hottest[0]}};
 *     size_t count;
 *     if (hearth_hot_keys(cache, hottest, 10, &count) == HEARTH_OK)
 *         for (size_t i = 0; i < count; i++)
 *             printf("%.*s\n", (int)hottest[i].key_size, (const char *)hottest[i].key);
 *
 * They are found by sampling: each thread looks at one in about 40 of its requests, at random, and remembers at most 128 keys. Of
 * n requests for a key some n / 40 were looked at, and the standard error of its rate is 1 / sqrt(n / 40): 6 % for 10,000
 * requests, 20 % for 1,000. A key of which fewer than two requests were looked at is not told. What is told of a key was seen of
 * that key: cold keys are never taken for hot ones.
 *
 * Result: HEARTH_OK and *count, which may be 0; HEARTH_E_NOMEM; HEARTH_E_INVALID (also: keys[0].size is less than
 * sizeof(size_t)); HEARTH_E_CLOSED. On an error nothing is written.
 * Ownership: `keys` is the caller's array of `capacity` structs of keys[0].size bytes each, and may be NULL if `capacity` is 0.
 * Of each of the first *count, min(keys[0].size, the library's size) bytes are written; `size` becomes that of the first.
 * Threads: any. No read or write waits for it, except the first call of a thread with a cache. It takes up to 20 KB for each
 * thread that uses the cache, and gives them back.
 * Units: requests a second.
 */
HEARTH_API int32_t hearth_hot_keys(hearth *cache, hearth_hot_key *keys, size_t capacity,
                                   size_t *count) HEARTH_CHECK;

/**
 * Replaces the list of nodes while the cache is in use: `url` is written as `remote.url` is, and
 * is the whole new list. Only keys whose owner on the ring changes move; a node that is in both
 * lists (the same host and port, or path) keeps its connections, whatever its weight. Calls go
 * on meanwhile: who has found a key's node before the change asks that node still, and a node
 * that left goes when the last such call has its answer.
 *
 * What is known here of a key that moves is dropped: its local copy (so no copy outlives its
 * owner), and what is just being read or loaded for it goes to those who wait for it and is
 * stored nowhere. Values are not carried to the new owner: a moved key is a miss there, or has
 * what its new owner holds.
 *
 * A key that comes back to a node that owned it before finds no leftover: what was written there
 * before it came back counts as missing (`values_fenced`), and is replaced by the next set or load.
 * A process knows this of its last 8 lists, by the clocks of those who wrote; not of counters
 * (hearth_increment()), which have no time, and not of what was before it was started. So flush a
 * node that was out of the list for a while, before it is added again.
 *
 * Processes that use the same nodes should change their lists at about the same time: until all
 * have, a key that moves has two owners, and what one process writes another does not see.
 *
 * Scheme's kind of server, database, user and password are those of `remote.url`: a list may
 * leave user and password out, and cannot change any of them (from redis:// to redis+unix:// and
 * back is no change). A list that is refused changes nothing.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID (`why` says what is wrong with the list);
 * HEARTH_E_UNSUPPORTED (other credentials, or a scheme that hearth_open() refuses too);
 * HEARTH_E_OVERLOAD (more than 2,048 nodes at once, with those that calls still use);
 * HEARTH_E_NOMEM; HEARTH_E_CLOSED.
 * Ownership: `url` is the caller's, and copied; `why` is the caller's buffer of `why_size` bytes,
 * or NULL with 0: a sentence, cut to fit, empty after HEARTH_OK; it never repeats a password.
 * Threads: any; several at once take turns. It connects to nothing, and waits for no node and no
 * call. It looks at each local copy once (about half a microsecond each).
 */
HEARTH_API int32_t hearth_set_nodes(hearth *cache, const char *url, char *why, size_t why_size);

/**
 * The node that owns a key: its position in `remote.url` or in the list that hearth_set_nodes()
 * was given last, counted from 0, and its name on the ring. It is the node that any client with
 * libmemcached's weighted ketama picks (for the prefix and the key together).
 *
 * Result: HEARTH_OK; HEARTH_E_TOO_LARGE (the name with its NUL does not fit); HEARTH_E_INVALID.
 * Ownership: `index` may be NULL; `name` is the caller's buffer of `name_size` bytes, or NULL
 * with 0.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_node_of(hearth *cache, const void *key, size_t key_size,
                                  uint32_t *index, char *name, size_t name_size);

#ifdef __cplusplus
}
#endif

#endif
