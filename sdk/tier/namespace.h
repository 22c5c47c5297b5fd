/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: families of keys that are all forgotten at once.
 *
 * Each has a generation, a counter at a node (counter.h), that is part of its keys (namespace_key.h): a bump makes other keys of
 * them all. Who reads trusts what it knows of the generation for coherence.version_ttl_ms; who writes asks for it each time, since
 * what it is to replace or to delete is of the generation of now. A counter that its node lost is made anew with another epoch, one
 * that went back or came again is made anew too.
 */
#ifndef HEARTH_TIER_NAMESPACE_H
#define HEARTH_TIER_NAMESPACE_H

#include "tier/cache.h"
#include "tier/namespace_key.h"

#include <pthread.h>

enum { HEARTH__RETIRED = 8 };

/* Where generations stand at their nodes; the prefix follows, and the name. */
#define HEARTH__NAMESPACE_KEYS "hearth-space:"

/* A namespace, as this process knows it, until its cache is closed. */
struct hearth__namespace {
    struct hearth__namespace *next;
    struct hearth__namespace *next_alike; /* of those whose names have the same hash */
    hearth *view;                         /* the handle for it */
    uint32_t family;                      /* of its keys, where they are counted; 0: none */
    uint64_t opens;                       /* that were not closed */
    pthread_mutex_t lock;                 /* of what follows, where it changes; innermost */
    _Atomic uint64_t generation;          /* 0: not known yet */
    _Atomic int64_t known_ms;             /* it was so then (hearth__boot_ms()), or later */
    _Atomic int64_t until_ms;             /* and is trusted until then */
    _Atomic bool asking;                  /* somebody asks before that is over */
    uint64_t asked;                       /* a number for each question */
    uint64_t answered;                    /* the latest of which the answer is known */
    uint64_t told;                        /* changes of it that were told of */
    uint64_t retired[HEARTH__RETIRED];    /* generations of the epochs that were before */
    size_t retired_at;
    size_t name_size;
    unsigned char name[];
};

/* What a call wants of a generation. */
enum hearth__scope_use {
    HEARTH__SCOPE_PEEK,  /* what is known, if it is trusted: no node is asked */
    HEARTH__SCOPE_HIT,   /* the same, unless it is about to be asked for anyhow */
    HEARTH__SCOPE_READ,  /* one that is trusted */
    HEARTH__SCOPE_WRITE, /* the one of now */
};

/* The generation for a call. */
typedef struct hearth__scope {
    hearth *cache;                   /* whose tiers they are */
    struct hearth__namespace *space; /* NULL: the cache's own keys */
    uint64_t generation;
    int64_t known_ms; /* it was so then; 0: nobody else can change it */
    int32_t
        status; /* HEARTH_OK; HEARTH_MISS: it is not trusted, and no node was asked; or the error of its node */
} hearth__scope;

/* Whether a call with this handle and key has to go by a scope. */
static inline bool hearth__is_scoped(const hearth *handle, const void *key) {
    return atomic_load_explicit(&handle->space, memory_order_acquire) != NULL ||
           hearth__key_is_marked(key);
}

/* `max_stale_ms`: how long ago it may have been so. */
hearth__scope hearth__scope_begin(hearth *handle, enum hearth__scope_use use,
                                  int64_t max_stale_ms, int64_t deadline_ns);

/* Whether anything is known of the generation, be it trusted or not. */
static inline bool hearth__scope_is_known(const hearth__scope *scope) {
    return scope->status == HEARTH_OK || scope->generation != 0;
}

/* How many bytes a key has in a scope; writes them. */
size_t hearth__scope_size(const hearth__scope *scope, const void *key, size_t key_size);
void hearth__scope_write(const hearth__scope *scope, const void *key, size_t key_size,
                         unsigned char *to);

/* One that was opened is closed. It stays known, to calls that are under way and for when it is opened again. */
int32_t hearth__namespace_close(hearth *view);

/* A key of a node's has changed, which may be a generation's: that is asked for again. No I/O. */
void hearth__namespaces_changed(hearth *cache, const void *key, size_t key_size);

/* Frees them all, with the cache. */
void hearth__namespaces_close(hearth *cache);

/* Before any is opened. The cache's own keys become a namespace without a name, if the options say so. HEARTH_OK, HEARTH_E_NOMEM. */
int32_t hearth__namespaces_begin(hearth *cache);

#endif
