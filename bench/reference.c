/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- LRU: a ring of numbers, most recent behind the head, linked through two arrays ---- */

struct recency {
    uint32_t *next;
    uint32_t *previous;
    uint32_t head; /* the number behind the last object: it closes the ring */
};

static void unlink_item(struct recency *recency, uint32_t item) {
    uint32_t next = recency->next[item];
    uint32_t previous = recency->previous[item];
    recency->next[previous] = next;
    recency->previous[next] = previous;
}

static void link_first(struct recency *recency, uint32_t item) {
    uint32_t second = recency->next[recency->head];
    recency->next[item] = second;
    recency->previous[item] = recency->head;
    recency->previous[second] = item;
    recency->next[recency->head] = item;
}

static int64_t count_lru(struct recency *recency, bool *is_resident, const uint32_t *items,
                         size_t count, uint32_t capacity) {
    uint32_t residents = 0;
    int64_t misses = 0;
    recency->next[recency->head] = recency->previous[recency->head] = recency->head;
    for (size_t i = 0; i < count; i++) {
        uint32_t item = items[i];
        if (is_resident[item]) {
            unlink_item(recency, item);
        } else {
            misses++;
            if (residents == capacity) {
                uint32_t oldest = recency->previous[recency->head];
                unlink_item(recency, oldest);
                is_resident[oldest] = false;
            } else {
                residents++;
            }
            is_resident[item] = true;
        }
        link_first(recency, item);
    }
    return misses;
}

int64_t reference_lru_misses(const uint32_t *items, size_t count, uint32_t distinct,
                             uint32_t capacity) {
    if (capacity == 0) {
        return (int64_t)count;
    }
    size_t places = (size_t)distinct + 1;
    struct recency recency = {.next = malloc(places * sizeof(uint32_t)),
                              .previous = malloc(places * sizeof(uint32_t)),
                              .head = distinct};
    bool *is_resident = calloc(places, sizeof(bool));
    int64_t misses = -1;
    if (recency.next != NULL && recency.previous != NULL && is_resident != NULL) {
        misses = count_lru(&recency, is_resident, items, count, capacity);
    }
    free(recency.next);
    free(recency.previous);
    free(is_resident);
    return misses;
}

/* ---- FIFO ---- */

int64_t reference_fifo_misses(const uint32_t *items, size_t count, uint32_t distinct,
                              uint32_t capacity) {
    if (capacity == 0) {
        return (int64_t)count;
    }
    /* One that holds everything needs no larger queue. */
    size_t places = capacity < distinct ? capacity : distinct;
    uint32_t *queue = malloc((places + 1) * sizeof *queue);
    bool *is_resident = calloc((size_t)distinct + 1, sizeof(bool));
    int64_t misses = queue == NULL || is_resident == NULL ? -1 : 0;
    size_t at = 0;
    for (size_t i = 0; misses >= 0 && i < count; i++) {
        if (is_resident[items[i]]) {
            continue;
        }
        if ((size_t)misses >= places) {
            is_resident[queue[at]] = false;
        }
        misses++;
        is_resident[items[i]] = true;
        queue[at] = items[i];
        at = at + 1 == places ? 0 : at + 1;
    }
    free(queue);
    free(is_resident);
    return misses;
}

/* ---- Belady: a heap of residents, the furthest next request on top ---- */

struct residence {
    size_t next; /* index of the next request, SIZE_MAX: none */
    uint32_t item;
};

struct belady {
    struct residence *heap; /* may hold stale entries: each hit pushes a new one */
    size_t heap_count;
    size_t *next_of;  /* per request: the index of the next one for the same object */
    size_t *resident; /* per object: the next request that its residence waits for, 0: out */
    uint32_t residents;
};

static void push(struct belady *belady, struct residence added) {
    struct residence *heap = belady->heap;
    size_t at = belady->heap_count++;
    while (at > 0 && heap[(at - 1) / 2].next < added.next) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = added;
}

static struct residence pop(struct belady *belady) {
    struct residence *heap = belady->heap;
    struct residence top = heap[0];
    struct residence last = heap[--belady->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < belady->heap_count && heap[child + 1].next > heap[child].next) {
            child++;
        }
        if (child >= belady->heap_count || heap[child].next <= last.next) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

static void find_next(struct belady *belady, const uint32_t *items, size_t count) {
    /* `resident` serves as "where the object comes next" while going backwards. */
    for (size_t i = count; i-- > 0;) {
        size_t next = belady->resident[items[i]];
        belady->next_of[i] = next == 0 ? SIZE_MAX : next;
        belady->resident[items[i]] = i;
    }
}

static void evict_furthest(struct belady *belady) {
    for (;;) {
        struct residence top = pop(belady);
        if (belady->resident[top.item] == top.next) {
            belady->resident[top.item] = 0;
            return;
        }
    }
}

static int64_t count_belady(struct belady *belady, const uint32_t *items, size_t count,
                            uint32_t distinct, uint32_t capacity) {
    int64_t misses = 0;
    find_next(belady, items, count);
    memset(belady->resident, 0, distinct * sizeof *belady->resident);
    for (size_t i = 0; i < count; i++) {
        if (belady->resident[items[i]] == 0) {
            misses++;
            if (belady->residents == capacity) {
                evict_furthest(belady);
            } else {
                belady->residents++;
            }
        }
        belady->resident[items[i]] = belady->next_of[i];
        push(belady, (struct residence){belady->next_of[i], items[i]});
    }
    return misses;
}

int64_t reference_belady_misses(const uint32_t *items, size_t count, uint32_t distinct,
                                uint32_t capacity) {
    if (capacity == 0) {
        return (int64_t)count;
    }
    struct belady belady = {.heap = calloc(count + 1, sizeof *belady.heap),
                            .next_of = malloc((count + 1) * sizeof *belady.next_of),
                            .resident = calloc((size_t)distinct + 1, sizeof *belady.resident)};
    int64_t misses = -1;
    if (belady.heap != NULL && belady.next_of != NULL && belady.resident != NULL) {
        misses = count_belady(&belady, items, count, distinct, capacity);
    }
    free(belady.heap);
    free(belady.next_of);
    free(belady.resident);
    return misses;
}

/* ---- with sizes: a ring of residents whose tail leaves; LRU renews what is hit ---- */

struct sized {
    struct recency recency;
    bool *is_resident;
    const uint64_t *sizes;
    uint64_t capacity;
    uint64_t used;
    bool renews;
};

static void insert_sized(struct sized *sized, uint32_t item) {
    if (sized->sizes[item] > sized->capacity) {
        return;
    }
    while (sized->used + sized->sizes[item] > sized->capacity) {
        uint32_t oldest = sized->recency.previous[sized->recency.head];
        unlink_item(&sized->recency, oldest);
        sized->is_resident[oldest] = false;
        sized->used -= sized->sizes[oldest];
    }
    sized->used += sized->sizes[item];
    sized->is_resident[item] = true;
    link_first(&sized->recency, item);
}

static int64_t count_sized(struct sized *sized, const uint32_t *items, size_t count) {
    struct recency *recency = &sized->recency;
    int64_t misses = 0;
    recency->next[recency->head] = recency->previous[recency->head] = recency->head;
    for (size_t i = 0; i < count; i++) {
        if (!sized->is_resident[items[i]]) {
            misses++;
            insert_sized(sized, items[i]);
        } else if (sized->renews) {
            unlink_item(recency, items[i]);
            link_first(recency, items[i]);
        }
    }
    return misses;
}

static int64_t misses_sized(const uint32_t *items, size_t count, uint32_t distinct,
                            const uint64_t *sizes, uint64_t capacity, bool renews) {
    size_t places = (size_t)distinct + 1;
    struct sized sized = {.recency = {.next = malloc(places * sizeof(uint32_t)),
                                      .previous = malloc(places * sizeof(uint32_t)),
                                      .head = distinct},
                          .is_resident = calloc(places, sizeof(bool)),
                          .sizes = sizes,
                          .capacity = capacity,
                          .renews = renews};
    int64_t misses = -1;
    if (sized.recency.next != NULL && sized.recency.previous != NULL &&
        sized.is_resident != NULL) {
        misses = count_sized(&sized, items, count);
    }
    free(sized.recency.next);
    free(sized.recency.previous);
    free(sized.is_resident);
    return misses;
}

int64_t reference_lru_misses_sized(const uint32_t *items, size_t count, uint32_t distinct,
                                   const uint64_t *sizes, uint64_t capacity) {
    return misses_sized(items, count, distinct, sizes, capacity, true);
}

int64_t reference_fifo_misses_sized(const uint32_t *items, size_t count, uint32_t distinct,
                                    const uint64_t *sizes, uint64_t capacity) {
    return misses_sized(items, count, distinct, sizes, capacity, false);
}
