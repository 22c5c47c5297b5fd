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
 * signals. hearth_open() connects to nothing and starts no thread.
 * - **Threads of its own**, deaf to signals, each started when it is first needed: workers
 * (`load.workers`), one that extends leases, and, one a node and only for as long, those that look
 * up a node's host name and connect anew to a node that failed. hearth_close() waits for them: for
 * loads and extensions that are under way, for a try to connect (`remote.timeout_ms` at the most),
 * and, if the system's resolver is just being asked, for its answer.
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
 * Opens a cache. Nothing is connected and no thread is started: the first use does that.
 *
 * `options` may be NULL for the defaults (a 64 MiB local tier before a remote tier embedded in
 * the process); they are copied.
 *
 * Result: HEARTH_OK and *cache; HEARTH_E_INVALID (an option's value does not fit another's, or
 * an address is not valid: hearth_options_error() names it), HEARTH_E_UNSUPPORTED (an option
 * asks for what this version does not have, named likewise), HEARTH_E_NOMEM.
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
 * allowed. Using or closing the handle afterwards is undefined.
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
    HEARTH_STALE = 2, /**< past its soft life, or marked stale, but within its hard life */
};

/** What is known about a value. The library fills min(size, its own size) bytes. */
typedef struct hearth_info {
    size_t size;        /**< set by the caller: sizeof(hearth_info) */
    uint32_t tier;      /**< enum hearth_tier */
    uint32_t freshness; /**< enum hearth_freshness; 0 when there is no answer */
    int64_t
        age_ms; /**< since the load or write that made it began; -1: that is not kept (the embedded remote tier, and set with
                       HEARTH_WRITE_NO_REMOTE, or a number) */
    int64_t ttl_left_ms; /**< until its hard expiry in the tier that answered; -1: for ever */
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
/** hearth_get(): a value past its soft life, or marked stale, is an answer. */
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
/** hearth_set(), hearth_set_many(): write the local tier alone, no node: for what only this process needs to know. The value
 * has no version. */
#define HEARTH_WRITE_NO_REMOTE 4u

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
 * HEARTH_E_DEADLOCK. A longjmp out of it is undefined.
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
 * HEARTH_E_TOO_LARGE, HEARTH_E_NOMEM (hearth_fill_value() had refused): in all these cases the fill
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
 * HEARTH_E_DEADLOCK. A longjmp out of it is undefined.
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

/**
 * Forgets every key of the cache's namespace. It comes with namespaces.
 *
 * Result: HEARTH_E_UNSUPPORTED in this version.
 * Ownership: nothing changes hands.
 * Threads: any.
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

/* ---- The guard: keys that do not exist --------------------------------------------------- */

/*
 * With `guard.expected_keys` set, a Bloom filter of all keys that exist stands behind the local tier: hearth_get(),
 * hearth_get_many() and hearth_fetch() of a key that it does not contain answer HEARTH_ABSENT at once, and neither a node nor
 * the loader is asked. Of the keys that do not exist it lets through `guard.target_rate`; of those that exist it denies none, on
 * these terms:
 *
 * - **It denies only what it can know.** At first it denies nothing: it is certified by hearth_guard_rebuild() or
 * hearth_guard_load(), which tell it what there was before. A forked child has to be told anew.
 * - **The insert contract.** A key is added *before* it comes to exist: hearth_guard_add(), then the commit in the database, at
 * the latest `guard.view_ms` later. Else it is denied, though it exists. What this process writes by hearth_set(), hearth_add()
 * and hearth_replace(), and what its loads find, is added by itself, before the write is sent or the load returns.
 * - **It knows this process only.** What other processes make it learns by the next rebuild. Where others make keys too, have
 * them tell this one in time, or leave the guard off.
 * - **Nothing is taken out.** A deleted key stays 'maybe' until the next rebuild; hearth_delete() adds its key, since it may be
 * the news of one that was just made.
 * - **It is checked.** One denial in `guard.audit` goes on all the same: a get to the node, a fetch to the loader. If the key is
 * found there, this read has it, and the guard denies nothing until the next rebuild; statistics and log say so.
 */

/**
 * Adds a key that is about to exist: call it before the source of truth has it. With the guard off it does nothing. While a
 * filter is rebuilt the key goes into both.
 *
 * Result: HEARTH_OK: from now on the key is not denied; HEARTH_E_INVALID; HEARTH_E_CLOSED.
 * Ownership: the key stays the caller's.
 * Threads: any; does not block, takes no lock.
 */
HEARTH_API int32_t hearth_guard_add(hearth *cache, const void *key, size_t key_size);

/**
 * Gives the next key that exists, in any order; a key may be given more than once. It answers HEARTH_OK and *key and
 * *key_size; HEARTH_MISS when there are no more; anything else when it failed, and then there is no new filter. The bytes have to
 * stay until it is called again, or until hearth_guard_rebuild() returns.
 *
 * Its first call must see every key that exists by then: open the cursor or snapshot in that call, not before
 * hearth_guard_rebuild(). Keys that live in the cache alone, with no database behind it, are to be given too. It may use the cache
 * in any way but one: hearth_close() answers HEARTH_E_DEADLOCK. A longjmp out of it is undefined.
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
 * Unless it is HEARTH_OK, the filter that was there stays, with its certificate if it had one; the log says why.
 * Ownership: `arg` is given to the iterator, and not used afterwards.
 * Threads: any, one at a time. Blocks for `guard.view_ms`, so that keys which were added just before are at their source, and then
 * for the iterator.
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
 * HEARTH_E_OVERLOAD, HEARTH_E_UNSUPPORTED (as hearth_guard_rebuild()); HEARTH_E_INVALID; HEARTH_E_NOMEM; HEARTH_E_CLOSED. Unless
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
 * The counters and gauges of stats.h.
 *
 * Result: HEARTH_OK; HEARTH_E_INVALID.
 * Ownership: `stats` is the caller's; min(stats->size, the library's size) bytes are written,
 * `size` is kept.
 * Threads: any; does not block.
 */
HEARTH_API int32_t hearth_stats_get(hearth *cache, hearth_stats *stats);

/**
 * The same, and the nodes', as Prometheus text (exposition format 0.0.4).
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
