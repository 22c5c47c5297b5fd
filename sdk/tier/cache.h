/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the tier room share. Longer than 400 lines: what is behind the handle, and a section for each file. */
#ifndef HEARTH_TIER_CACHE_H
#define HEARTH_TIER_CACHE_H

#include "base/bell.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "base/stat.h"
#include "base/workers.h"
#include "coherence/coherence.h"
#include "guard/guard.h"
#include "local/local.h"
#include "remote/remote.h"
#include "tier/members.h"
#include "tier/tag_table.h"
#include "tier/tier.h"

#include <pthread.h>

/* Keys that do not exist (guard.c). */
struct hearth__existence {
    hearth__bloom_guard *filter; /* NULL: it is off */
    uint64_t seed;               /* of its hash */
    hearth__bell bell;           /* rings when the cache is closed */
    _Atomic bool closing;
    _Atomic(const void *) scanning; /* by which thread the application's keys are asked for */
};

/* Keys on their way to the thread below. */
enum { HEARTH__GUARD_SUSPECTS = 16, HEARTH__GUARD_UNTOLD = 256 };

/* The filter that processes share (guard_shared.c), and the thread that copies it (guard_copy.c), started with its first use. */
struct hearth__guard_shared {
    char *key; /* its name at the server; NULL: none is shared */
    size_t key_size;
    pthread_t thread;
    _Atomic uint64_t
        started_in;             /* which process has the thread (base/fork.h), and 1; 0: none */
    _Atomic uint64_t head_lock; /* odd: somebody writes the head that was seen last */
    _Atomic uint64_t head[3];
    _Atomic int64_t seen_until_ms; /* boot time: the head is younger than guard.view_ms */
    _Atomic uint64_t copied;       /* the id of the filter that is copied here; 0: none */
    _Atomic uint64_t copying;      /* odd: just now */
    _Atomic uint64_t making;       /* the id of the one that is made here */
    _Atomic uint64_t published;    /* the id of the one that was made here last */
    uint64_t position;             /* of the copy, in the log; the thread's own, as are */
    uint64_t refused;              /* the id of a filter with a false negative */
    bool told_too_large;
    _Atomic uint64_t
        suspects[HEARTH__GUARD_SUSPECTS]; /* hashes that exist and were denied; 0: none */
    _Atomic uint64_t untold[HEARTH__GUARD_UNTOLD]; /* hashes that are to be inserted */
    _Atomic bool overflowed;                       /* there were more */
};

/* The thread that extends leases (lease_extend.c), started with the first of them. */
struct hearth__lease_extender {
    pthread_mutex_t lock; /* of what follows, but for the bell */
    pthread_t thread;
    bool started;
    bool closing;
    uint64_t fork_generation; /* of the process whose thread it is */
    _Atomic bool sleeps;      /* until the bell rings, not until a time */
    hearth__bell bell;
};

/* Calls that do not wait (queue.h). */
struct hearth__queues {
    hearth__workers *drivers;
    hearth__workers *loaders;
    pthread_mutex_t lock; /* of the list and the clock's beginning and end */
    hearth_queue *first;
    uint64_t last_id;
    pthread_t clock;
    bool clock_started;
    bool clock_ends;
    uint64_t clock_generation; /* of the process whose thread it is */
    _Atomic uint64_t clock_of; /* the same, once it runs */
    _Atomic bool clock_sleeps; /* until the bell rings */
    hearth__bell clock_bell;
};

/* What processes tell each other (bus.h). */
typedef struct hearth__bus_seat {
    hearth__bus *bus;              /* NULL: they do not */
    const hearth__remote_url *url; /* where: the cache's own, or */
    hearth__remote_url own_url;
    char host[256];
    char *stream;
} hearth__bus_seat;

typedef struct hearth__latencies hearth__latencies; /* latencies.h */

enum { HEARTH__NAME_HASHES = 32 }; /* of namespaces' names */

/* Behind the public handle; and behind that of a namespace, which has what is in front of the counters, these, the log and the
 * options only. */
struct hearth {
    hearth *whole; /* itself; of a namespace: the cache whose tiers it shares */
    _Atomic(struct hearth__namespace *) space; /* NULL: keys are as they are given */
    struct hearth__namespace *namespaces;      /* all that were opened */
    _Atomic(struct hearth__namespace *) namespaces_of[HEARTH__NAME_HASHES]; /* by their names */
    uint32_t families; /* of them that are counted apart */
    pthread_mutex_t namespaces_lock;
    bool has_namespaces_lock;
    hearth__config config;
    hearth__seats *counters;
    hearth__log *log;
    hearth__local *local;
    hearth__flights *flights;
    hearth__backoff *backoff; /* of renewals */
    hearth__retries retries;  /* of those that failed */
    hearth__limiter *limiter; /* of loads */
    double early_beta;
    struct hearth__existence guard;
    struct hearth__tag_table *tags;
    _Atomic uint64_t invalidations; /* of tags, begun by this process */
    _Atomic bool asks_tags;         /* somebody does, before they are not trusted any more */
    struct hearth__guard_shared shared;
    hearth__workers *workers;
    struct hearth__queues queues;
    hearth__leases *leases;
    int64_t lease_ttl_ms;
    struct hearth__lease_extender extender;
    _Atomic(hearth__members *) members; /* of now */
    struct hearth__membership *membership;
    hearth__remote *remote;
    hearth__remote_url url;            /* of opening; its nodes are the members' */
    struct hearth__node_guard *guards; /* of its nodes; NULL: embedded, which is never down */
    hearth__hints_budget hints_budget;
    hearth__bus_seat bus;
    size_t prefix_size;
    int64_t local_max_ttl_ms;      /* INT64_MAX: a local copy lives as long as the value */
    bool keeps_local;              /* there is a local tier */
    int64_t plain;                 /* of its local hits */
    hearth__listener *listener;    /* NULL: nodes do not tell of changes */
    hearth__tracker tracker;       /* what the remote room asks of it */
    hearth__buffer broadcast;      /* beginnings of keys of which nodes tell all changes */
    hearth__beginning *beginnings; /* in there; NULL: nodes tell of what was read */
    size_t beginnings_count;
    hearth__bell told;                         /* rings when a change was told, */
    _Atomic uint32_t awaits_told;              /* if somebody awaits it */
    hearth__histogram canaries;                /* how soon they were heard */
    struct hearth__stats_socket *stats_socket; /* NULL: none, and then */
    hearth__latencies *latencies;              /* are not measured */
    bool takes_leases; /* for what is missing, since other processes can miss it too */
    bool sole_writer; /* nobody else can change the remote tier: local copies are never stale */
};

/* A key on its way to a node: prefix and key, and who owns it, by the members that it holds. */
typedef struct hearth__route {
    const void *key;
    size_t key_size;
    uint32_t node;
    bool is_hashed;           /* always, where the ring hashes something else than the key */
    uint32_t hash;            /* of what it hashes */
    uint32_t place;           /* of the hold */
    hearth__members *members; /* NULL: none are held */
    void *heap;               /* NULL: the key needed no memory of its own */
    unsigned char few[256];
} hearth__route;

/* Finds the route. HEARTH_OK, HEARTH_E_NOMEM; ended by fini. The route must not move. */
int32_t hearth__route_init(const hearth *cache, const void *key, size_t key_size,
                           hearth__route *route);
/* The same for a key of the library's own, named by `before` in front of the prefix: not within anybody's. */
int32_t hearth__route_init_beside(const hearth *cache, const char *before, const void *key,
                                  size_t key_size, hearth__route *route);

/* hearth__route_init() of many, in two steps: all but the owner, of each; then the owners of all, which takes less than each by
 * itself. In between only fini. */
int32_t hearth__route_begin(const hearth *cache, const void *key, size_t key_size,
                            hearth__route *route);
void hearth__routes_find_owners(const hearth *cache, hearth__route *const *routes,
                                size_t count);

void hearth__route_fini(hearth__route *route);

/* Finds the owner anew if the members have changed. */
void hearth__route_refresh(hearth__route *route);

/* hearth__local_sample() of a key, void if the route's members are not those of now: what their change voids, it voids for what is
 * on the way by such a route too. */
hearth__local_ticket hearth__route_sample(const hearth__route *route, const void *key,
                                          size_t key_size);

/* Whether what its node has of the key, written at that time, is a leftover of when it owned the key before. */
bool hearth__route_is_leftover(const hearth__route *route, int64_t wall_ms);

/* An operation of the remote room on a routed key; the route is its asker. */
hearth__remote_op hearth__route_op(const hearth__route *route, enum hearth__verb verb);

/* ---- nodes.c: operations on nodes, past a breaker around each, and never past a delete that one missed ---- */

/* Once the url and the options are there. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__nodes_open(hearth *cache);

/* Tries once more to carry out what is still kept. Nobody may be inside. */
void hearth__nodes_close(hearth *cache);

/* A node of this number comes, or has gone. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__nodes_add(hearth *cache, uint32_t node);
void hearth__nodes_remove(hearth *cache, uint32_t node);

/*
 * As hearth__remote_execute(). Operations on a node whose breaker is open end with HEARTH_E_UNAVAILABLE at once. A DELETE that its
 * node did not answer is kept and ends with HEARTH_E_QUEUED, if there is room; so is the delete of what an unanswered SET or
 * REPLACE was to replace, whose status stays. Before anything is asked of a node about a key whose delete is kept, it is carried
 * out; if it cannot be, that operation ends with HEARTH_E_UNAVAILABLE.
 */
void hearth__nodes_execute(hearth *cache, hearth__remote_op *ops, size_t count,
                           int64_t deadline_ns);

/* How nodes stand. */
typedef struct hearth__nodes_usage {
    uint64_t left_alone; /* just now, but for probes */
    uint64_t queued;     /* deletes kept for them */
    uint64_t queued_bytes;
} hearth__nodes_usage;

void hearth__nodes_usage_get(const hearth *cache, hearth__nodes_usage *usage);
bool hearth__nodes_is_open(const hearth *cache, uint32_t node);
uint64_t hearth__nodes_queued(const hearth *cache, uint32_t node);

/* ---- renewal.c ---- */

/* Whether who sees this fresh local value goes on, to a fetch that renews it early. It is asked once: that fetch does if it comes
 * from the same thread. */
bool hearth__renewal_is_due(const hearth *cache, const void *key, size_t key_size,
                            const hearth__local_entry *entry, int64_t now_ms);

/* ---- tracking.c: changes that nodes tell of ---- */

/* How long a local copy lives that nothing invalidates, unless told otherwise. */
enum { HEARTH__TTL_MODE_MS = 1000 };

/* Whether the nodes are to be listened to: whether one grants it is known when it is asked. Once the url and the options are there. */
bool hearth__tracking_wanted(const hearth *cache);

/* Once the url and the options are there. HEARTH_OK, with or without; HEARTH_E_NOMEM. */
int32_t hearth__tracking_open(hearth *cache);

/* Ends its threads, while all else is there still; and the rest of it, when nothing is any more. */
void hearth__tracking_stop(hearth *cache);
void hearth__tracking_close(hearth *cache);

/* When something is asked of nodes, and the source of what is answered where nobody is told of changes. */
typedef struct hearth__tracking_moment {
    int64_t sent_ms;
    uint32_t untold;
} hearth__tracking_moment;

/* Around what is asked of nodes; each answer has its source then. */
hearth__tracking_moment hearth__tracking_begin(hearth *cache);
void hearth__tracking_heard(hearth *cache, hearth__remote_op *ops, size_t count,
                            const hearth__tracking_moment *moment);

/* Whether changes of what that source brought are told; its number as it is kept. */
bool hearth__tracking_tells(const hearth *cache, uint32_t source);

/* Whether what this process stores can have a copy that is told of. Where nodes tell of all changes they tell of this one too. */
static inline bool hearth__tracking_keeps_own(const hearth *cache) {
    return cache->listener == NULL || cache->beginnings == NULL;
}

/* How long a copy of it may live. */
int64_t hearth__tracking_life_ms(const hearth *cache, uint32_t source);

/* Just before what was loaded is stored: what is told of until now does not void its copies, all else does. */
void hearth__tracking_begin_fills(hearth *cache, hearth_fill *const *fills, size_t count);

/* What is known of a value that was stored, and seen there. */
void hearth__tracking_checked(const hearth__remote_op *op, int64_t sent_ms,
                              hearth__local_entry *entry);

/* ---- chain.c ---- */

/* Flights whose results are the chain's. NULL: out of memory. */
hearth__flights *hearth__chain_flights_create(void);

/* ---- guard.c: keys that do not exist ---- */

/* HEARTH_OK, with or without a guard, as the options say; HEARTH_E_NOMEM. */
int32_t hearth__guard_open(hearth *cache);
/* Who rebuilds the filter is to give up. */
void hearth__guard_close(hearth *cache);
/* Whether the calling thread is inside an iterator of hearth_guard_rebuild(). */
bool hearth__guard_is_scanning(const hearth *cache);
/* What guard.max_bytes has to allow; 0: there is no guard. */
uint64_t hearth__guard_bytes_needed(const hearth__config *config);

/* Whether a key is known not to exist. */
enum hearth__bloom_answer hearth__guard_ask(hearth *cache, const void *key, size_t key_size);
/* A key may come to exist by what this process writes. */
void hearth__guard_add_own(hearth *cache, const void *key, size_t key_size);
/* The same of all keys that are written. */
void hearth__guard_add_all_own(hearth *cache, const hearth__write *writes, size_t count);
/* A key was seen to exist. If it was denied, nothing is any more. */
void hearth__guard_found(hearth *cache, const void *key, size_t key_size);

/* Logs why something was refused, and gives the status back; for one of bloom_guard.h; for a guard that is off. */
int32_t hearth__guard_refuse(const hearth *cache, int32_t status, const char *why);
int32_t hearth__guard_fail(const hearth *cache, int32_t status);
int32_t hearth__guard_off(const hearth *cache);

/* The filter that was begun is the filter. */
void hearth__guard_publish(const hearth *cache, uint64_t generation);

/* Gives writers the time that guard.view_ms grants between an add and the key at its source, so often. False: the cache is closed. */
bool hearth__guard_wait(hearth *cache, int times);

/* Strokes of the guard's bell. */
enum { HEARTH__GUARD_CLOSING = 1, HEARTH__GUARD_WORK = 2, HEARTH__GUARD_LOOKED = 4 };

/* ---- guard_shared.c: one filter for all processes ---- */

/* Whether the options fit; else why not. HEARTH_OK, HEARTH_E_INVALID, HEARTH_E_UNSUPPORTED. */
int32_t hearth__shared_check(const hearth *cache, char *why, size_t why_size);
/* HEARTH_OK, with or without it, as the options say; HEARTH_E_NOMEM. */
int32_t hearth__shared_open(hearth *cache);
void hearth__shared_close(hearth *cache);

static inline bool hearth__shared_is_on(const hearth *cache) {
    return cache->shared.key != NULL;
}

/* guard_copy.c: starts the thread, if it does not run in this process; ends it, when nobody is inside. */
void hearth__shared_start(hearth *cache);
void hearth__shared_stop(hearth *cache);

/*
 * Inserts a key into the filter of all, and answers when the server has. HEARTH_OK; HEARTH_E_TIMEOUT, HEARTH_E_UNAVAILABLE,
 * HEARTH_E_PROTOCOL, HEARTH_E_NOMEM: it may be there or not.
 */
int32_t hearth__shared_add(hearth *cache, uint64_t hash);

/* The same, now or as soon as the server answers. */
void hearth__shared_add_later(hearth *cache, uint64_t hash);
/* The same of many, in as few round trips as that takes. The hashes are the callee's to move. */
void hearth__shared_add_all_later(hearth *cache, uint64_t *hashes, size_t count);

/* A key exists that would be denied: it may have come since the last look. */
void hearth__shared_suspect(hearth *cache, uint64_t hash);

/* ---- guard_publish.c: the shared filter made anew ---- */

/* Begins one at the server. HEARTH_OK and its id; HEARTH_E_OVERLOAD: another process makes one; HEARTH_E_TOO_LARGE; as above. */
int32_t hearth__shared_begin(hearth *cache, uint32_t blocks, uint64_t *id);

/* It is to have all that this one has, and is the filter of all. HEARTH_CONFLICT: it is not there any more. */
int32_t hearth__shared_publish(hearth *cache, uint64_t id, const hearth__bloom *filter);
void hearth__shared_abandon(hearth *cache, uint64_t id);
/* hearth__bloom_guard_begin(), once the thread does not copy just now. */
int32_t hearth__shared_begin_here(hearth *cache);
/* Until what was published last is copied here, but not long. */
void hearth__shared_await(hearth *cache);

/* A step at the server that has the filter. HEARTH_OK and what it answers; else why there is no answer. */
int32_t hearth__shared_exchange(hearth *cache, enum hearth__filter_step step, const void *words,
                                size_t size, hearth__buffer *answer);

/* The head that was seen last. Who writes while another does leaves it; who reads meanwhile gets none, and false. */
void hearth__shared_write_head(struct hearth__guard_shared *shared,
                               const hearth__bloom_head *head);
bool hearth__shared_read_head(const struct hearth__guard_shared *shared,
                              hearth__bloom_head *head);

/* Blocks in a piece that is read or sent. */
uint32_t hearth__shared_piece(const hearth *cache, uint32_t first, uint32_t blocks);

/* ---- fill.c: what an answer or a load may leave in the tiers ---- */

/* A node's answer to a GET that was sent at `sent_ms` (hearth__boot_ms()), and heard at `heard_ms`. */
hearth__answer hearth__answer_from_remote(const hearth *cache, const hearth__remote_op *op,
                                          int64_t sent_ms, int64_t heard_ms);

/* Whether an answer is past its soft life. */
bool hearth__answer_is_stale(const hearth__answer *answer);

/* How much an answer can differ from the remote tier: changes younger than this. */
int64_t hearth__answer_bound_ms(const hearth__answer *answer);

/* An answer's lead (hearth__early_lead_ms()), and what it leads to: its soft expiry, or the hard one if there is none. */
uint32_t hearth__answer_lead_ms(const hearth *cache, const hearth__answer *answer,
                                int64_t *expiry_ms);

/* Keeps an entry for no longer than local.max_ttl_ms after it was asked for, or written. */
void hearth__local_entry_bound(const hearth *cache, hearth__local_entry *entry);

/* What is kept of an answer locally: the same, bound, and with its lead. */
hearth__local_entry hearth__answer_local_entry(const hearth *cache,
                                               const hearth__answer *answer);

/* The same of a value with tags, which have to last until it is kept. */
void hearth__answer_tag_entry(const hearth__tags_check *check, const void *tags,
                              size_t tags_size, uint64_t stamp, hearth__local_entry *entry);

/* The point `left_ms` after `from_ms`, on the clock of hearth__boot_ms(); -1: never. */
int64_t hearth__expiry_ms(int64_t from_ms, int64_t left_ms);

/* The lives that a write's options mean with this cache's defaults. */
typedef struct hearth__lives {
    int64_t ttl_ms;      /* 0: for ever */
    int64_t soft_ttl_ms; /* 0: none */
} hearth__lives;

hearth__lives hearth__lives_of(const hearth *cache, int64_t ttl_ms, int64_t soft_ttl_ms);

/* Of what was loaded: shortened at random, as ttl_jitter says. */
hearth__lives hearth__lives_jittered(const hearth *cache, hearth__lives lives);

/* What a load is to replace in the remote tier, and what voids it. */
typedef struct hearth__fill_plan {
    hearth__flight *flight;
    const hearth__route *route;  /* NULL: the remote tier is not to be filled */
    uint64_t replaces;           /* the version that was read there; 0: nothing was */
    bool is_whole;               /* and it was a value, not damaged */
    hearth__local_ticket ticket; /* from before anything was asked */
    bool keep_local;
    bool is_told; /* the taking of the flight's lease is a change that the node tells of */
} hearth__fill_plan;

/* One load of one key: what the loader says, and how it is stored. */
struct hearth_fill {
    hearth *cache;
    const void *key;
    size_t key_size;
    const hearth_write_options *write;
    hearth__fill_plan plan;
    hearth__buffer *bytes; /* the caller's value */
    hearth__buffer tags;   /* that the loader named */
    uint64_t stamp;        /* of the tags' clock, from before; 0: none */
    hearth__tags_check
        tags_check;         /* by which they were good, with epoch 0: they were not looked at */
    uint64_t invalidations; /* of tags, begun by this process before */
    const hearth_value *present; /* the value that there is; NULL: none */
    uint64_t version;
    int64_t began_ms;
    uint32_t source; /* of what is read from there on, where processes tell each other */
    bool filled;
    bool absent;
    bool unchanged; /* the present value is the answer */
    bool has_ttl;   /* the loader chose it */
    /* what becomes of a value that lacks a tag, which would outlive its invalidation; HEARTH_OK: it has all */
    int32_t untagged;
    int32_t refused; /* why hearth_fill_value() took nothing; HEARTH_OK: it did not refuse */
    int64_t ttl_ms;
    int64_t soft_ttl_ms;
    bool begun;     /* by hearth_fetch_begin() */
    bool is_retry;  /* of a key that has a value still, and whose last load failed */
    bool stores;    /* writers of the key wait until it has */
    bool told_node; /* its node was asked to store it, whatever became of that */
    bool thrown;    /* the loader was left by an exception */
    hearth__lives lives;
    hearth__answer answer; /* if `status` is one */
    /* what came of it: HEARTH_OK, HEARTH_ABSENT, HEARTH_E_LOADER, HEARTH_E_TOO_LARGE, HEARTH_E_NOMEM */
    int32_t status;
};

/* A load begins: it has its version and its age from here. */
void hearth__fill_begin(hearth_fill *fill);

/* It ends: what the fill was given counts if the loader, or who else gave it, says HEARTH_OK. */
void hearth__fill_end(hearth_fill *fill, int32_t said);

/* ---- limit.c: how many loads run, and how many are tried again ---- */

/* How long a load waits for a place, instead of a time: not at all; or not at all, as the renewal of a value that there is, which
 * takes only what callers can spare. */
enum { HEARTH__LIMIT_NOW = 0, HEARTH__LIMIT_SPARE = -1 };

/* A place for a load, to be left when its loader has returned, by `until_ns` at the latest (hearth__monotonic_ns()). False: there is
 * none, and it was counted. */
bool hearth__limit_enter(hearth *cache, hearth__place *place, int64_t until_ns);

/* How long a load waits for a place that nobody has an answer without, of a call with this deadline. */
int64_t hearth__limit_until_ns(const hearth *cache, int64_t deadline_ns);

/* The calling thread waits for another's load, which may need the place that this one has: all between these two. */
void hearth__limit_lend(const hearth *cache);
void hearth__limit_take_back(const hearth *cache);

/* Whether the renewal of a value that there is can be tried: no load of it has failed just now, nor have too many others. */
bool hearth__limit_allows_renewal(hearth *cache, const void *key, size_t key_size);

/* A load begins, and has failed or not. */
void hearth__limit_begin(hearth_fill *fill);
void hearth__limit_failed(const hearth_fill *fill);
void hearth__limit_succeeded(const hearth_fill *fill);

/* ---- fill.c ---- */

/* Calls the loader for one key whose fill is set up to `bytes`. The answer is stored nowhere yet. What the loader throws goes
 * through here, and the load has failed: the fill says so. */
void hearth__fill_load(hearth_fill *fill, const hearth_loader *loader);

/* The same for many keys by one call of load_many. `keys` and `key_sizes` are those of the fills. */
void hearth__fill_load_many(hearth_fill *const *fills, size_t count, const void *const *keys,
                            const size_t *key_sizes, const hearth_loader *loader);

/*
 * Stores what was loaded in both tiers, all nodes at once, but for loads that failed or whose flight was detached. `ops` is
 * room for `count` operations.
 */
void hearth__fill_store(hearth_fill *const *fills, hearth__remote_op *ops, size_t count);

#endif
