/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/lease.h"

#include "base/fork.h"
#include "base/memory.h"
#include "base/random.h"

#include <pthread.h>
#include <string.h>
#include <utlist.h>

enum { THIRDS = 3 };

/* All are extended after the same time, so they stand in the order in which they are due. */
struct held {
    hearth__lease lease; /* first: one pointer for both */
    struct held *prev;
    struct held *next;
    int64_t due_ms;
    int64_t until_ms; /* it is not extended any more from then on */
    uint64_t fork_generation;
    bool listed;
    bool away; /* it is being extended */
    bool over; /* meanwhile its holder has let it go */
    unsigned char key[];
};

struct hearth__leases {
    pthread_mutex_t lock; /* innermost */
    int64_t third_ms;
    int64_t limit_ms;
    void *owner;
    uint64_t fork_generation;
    uint64_t count; /* held, those that are not extended any more included */
    struct held *line;
};

hearth__leases *hearth__leases_create(int64_t ttl_ms, int64_t limit_ms, void *owner) {
    hearth__leases *leases = hearth__alloc_zero(1, sizeof *leases);
    if (leases == NULL) {
        return NULL;
    }
    leases->third_ms = ttl_ms > THIRDS ? ttl_ms / THIRDS : 1;
    leases->limit_ms = limit_ms;
    leases->owner = owner;
    leases->fork_generation = hearth__fork_generation();
    if (pthread_mutex_init(&leases->lock, NULL) != 0) {
        hearth__free(leases);
        return NULL;
    }
    return leases;
}

void hearth__leases_destroy(hearth__leases *leases) {
    if (leases != NULL) {
        pthread_mutex_destroy(&leases->lock);
        hearth__free(leases);
    }
}

void *hearth__leases_owner(const hearth__leases *leases) {
    return leases->owner;
}

static struct held *held_of(hearth__lease *lease) {
    return (struct held *)(void *)lease;
}

/* Takes the lock, and first makes a forked child's leases its own: there are none. */
static void lock(hearth__leases *leases) {
    pthread_mutex_lock(&leases->lock);
    if (leases->fork_generation != hearth__fork_generation()) {
        leases->fork_generation = hearth__fork_generation();
        leases->line = NULL;
        leases->count = 0;
    }
}

static void unlock(hearth__leases *leases) {
    pthread_mutex_unlock(&leases->lock);
}

uint64_t hearth__leases_held(hearth__leases *leases) {
    lock(leases);
    uint64_t count = leases->count;
    unlock(leases);
    return count;
}

/* ---- a lease ---------------------------------------------------------------------------- */

hearth__lease *hearth__lease_create(hearth__leases *leases, const char *before, const void *key,
                                    size_t key_size, uint32_t node, uint64_t generation) {
    size_t before_size = strlen(before);
    struct held *held = hearth__alloc_zero(1, sizeof *held + before_size + key_size);
    if (held == NULL) {
        return NULL;
    }
    memcpy(held->key, before, before_size);
    memcpy(held->key + before_size, key, key_size);
    held->fork_generation = hearth__fork_generation();
    held->lease = (hearth__lease){.leases = leases,
                                  .node = node,
                                  .generation = generation,
                                  .beside = before_size != 0,
                                  .key_size = before_size + key_size,
                                  .key = held->key};
    hearth__random_bytes(held->lease.token, sizeof held->lease.token);
    return &held->lease;
}

/* At the end of the line: nobody is due later. Under the lock. */
static void line_up(struct held *held, int64_t now_ms) {
    hearth__leases *leases = held->lease.leases;
    held->due_ms = now_ms + leases->third_ms;
    if (held->due_ms < held->until_ms) {
        DL_APPEND(leases->line, held);
        held->listed = true;
    }
}

static void leave_line(struct held *held) {
    if (held->listed) {
        DL_DELETE(held->lease.leases->line, held);
        held->listed = false;
    }
}

bool hearth__lease_hold(hearth__lease *lease, int64_t now_ms) {
    struct held *held = held_of(lease);
    hearth__leases *leases = lease->leases;
    lock(leases);
    bool is_first = leases->count++ == 0;
    held->until_ms = now_ms + leases->limit_ms;
    line_up(held, now_ms);
    unlock(leases);
    return is_first;
}

bool hearth__lease_is_own(const hearth__lease *lease) {
    return ((const struct held *)(const void *)lease)->fork_generation ==
           hearth__fork_generation();
}

void hearth__lease_destroy(hearth__lease *lease) {
    if (lease == NULL) {
        return;
    }
    struct held *held = held_of(lease);
    hearth__leases *leases = lease->leases;
    if (!hearth__lease_is_own(lease)) { /* and in no line of this process */
        hearth__free(held);
        return;
    }
    lock(leases);
    leave_line(held);
    leases->count -= held->until_ms != 0;
    held->over = true;
    bool away = held->away;
    unlock(leases);
    if (!away) {
        hearth__free(held);
    }
}

/* ---- extending -------------------------------------------------------------------------- */

hearth__lease *hearth__leases_due(hearth__leases *leases, int64_t now_ms) {
    lock(leases);
    struct held *held = leases->line;
    bool is_due = held != NULL && held->due_ms <= now_ms;
    if (is_due) {
        leave_line(held);
        held->away = true;
    }
    unlock(leases);
    return is_due ? &held->lease : NULL;
}

void hearth__lease_extended(hearth__lease *lease, bool lost, int64_t now_ms) {
    struct held *held = held_of(lease);
    hearth__leases *leases = lease->leases;
    lock(leases);
    held->away = false;
    bool over = held->over;
    if (!over && !lost) {
        line_up(held, now_ms);
    }
    unlock(leases);
    if (over) {
        hearth__free(held);
    }
}

int64_t hearth__leases_due_ms(hearth__leases *leases) {
    lock(leases);
    int64_t due_ms = leases->line != NULL ? leases->line->due_ms : INT64_MAX;
    unlock(leases);
    return due_ms;
}
