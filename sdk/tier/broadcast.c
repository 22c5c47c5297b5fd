/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/broadcast.h"

#include "base/memory.h"
#include "tier/namespace.h"
#include "tier/tag_at_node.h"

#include <hearth/errors.h>

#include <stdio.h>
#include <string.h>

/* The next of a list with commas between; false: there is none. */
static bool next_of(const char **at, hearth__key_part *part) {
    if (*at == NULL) {
        return false;
    }
    size_t size = strcspn(*at, ",");
    *part = (hearth__key_part){.data = (const unsigned char *)*at, .size = size};
    *at = (*at)[size] == ',' ? *at + size + 1 : NULL;
    return true;
}

static bool begins(const hearth__key_part *whole, const hearth__key_part *with) {
    return whole->size >= with->size && memcmp(whole->data, with->data, with->size) == 0;
}

/* ---- at the door ------------------------------------------------------------------------ */

/* Redis refuses such ones too, but with two answers instead of one. */
static int32_t refuse_overlap(const hearth__key_part *a, const hearth__key_part *b, char *why,
                              size_t why_size) {
    bool a_is_longer = a->size > b->size;
    const hearth__key_part *longer = a_is_longer ? a : b;
    const hearth__key_part *shorter = a_is_longer ? b : a;
    (void)snprintf(why, why_size,
                   "coherence.prefixes: '%.*s' begins with '%.*s', and they may not overlap: "
                   "leave the longer one out",
                   (int)longer->size, (const char *)longer->data, (int)shorter->size,
                   (const char *)shorter->data);
    return HEARTH_E_INVALID;
}

static int32_t check_one(const hearth__key_part *part, const char *rest, char *why,
                         size_t why_size) {
    hearth__key_part other;
    if (part->size == 0) {
        (void)snprintf(why, why_size,
                       "coherence.prefixes: there is nothing between two commas, or behind the "
                       "last: say all prefixes, or none for all keys");
        return HEARTH_E_INVALID;
    }
    if (hearth__key_is_marked(part->data)) {
        (void)snprintf(why, why_size,
                       "coherence.prefixes: keys that begin with the byte 0x89 are told of as "
                       "those of namespaces are: leave it out");
        return HEARTH_E_INVALID;
    }
    while (next_of(&rest, &other)) {
        if (other.size != 0 && (begins(part, &other) || begins(&other, part))) {
            return refuse_overlap(part, &other, why, why_size);
        }
    }
    return HEARTH_OK;
}

int32_t hearth__broadcast_check(const hearth__config *config, char *why, size_t why_size) {
    const char *at = config->coherence_prefixes;
    hearth__key_part part;
    if (*at == '\0') {
        return HEARTH_OK;
    }
    if (config->coherence_tracking != HEARTH__COHERENCE_BROADCAST) {
        (void)snprintf(why, why_size,
                       "coherence.prefixes: they are for coherence.tracking = broadcast only");
        return HEARTH_E_INVALID;
    }
    int32_t status = HEARTH_OK;
    while (status == HEARTH_OK && next_of(&at, &part)) {
        status = check_one(&part, at, why, why_size);
    }
    return status;
}

/* ---- what the remote room asks ---------------------------------------------------------- */

static uint32_t source(void *arg, uint32_t listened) {
    const hearth *cache = arg;
    return hearth__listener_source(cache->listener, listened);
}

static bool covers(void *arg, const void *key, size_t key_size) {
    const hearth *cache = arg;
    for (size_t i = 0; i < cache->beginnings_count; i++) {
        const hearth__beginning *beginning = &cache->beginnings[i];
        if (key_size >= beginning->size && memcmp(key, beginning->data, beginning->size) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- open and close --------------------------------------------------------------------- */

/* What the library keeps beside everybody's keys: the prefix follows. */
static const char *const beside[] = {HEARTH__TAG_KEYS, HEARTH__NAMESPACE_KEYS};
enum { BESIDE = sizeof beside / sizeof beside[0], BESIDE_SIZE = 16 };

/* How many there are, with those; and, of a list, one more for namespaces' keys. */
static size_t count_of(const char *list) {
    hearth__key_part part;
    size_t count = 1 + BESIDE;
    const char *at = *list != '\0' ? list : NULL;
    while (next_of(&at, &part)) {
        count++;
    }
    return count;
}

/* The one and then the other, unless it overlaps with what there is already. */
static void add_both(hearth *cache, const hearth__key_part *first,
                     const hearth__key_part *second) {
    hearth__buffer *all = &cache->broadcast;
    unsigned char *at = (unsigned char *)all->data + all->size;
    const hearth__key_part part = {.data = at, .size = first->size + second->size};
    memcpy(at, first->data, first->size);
    memcpy(at + first->size, second->data, second->size);
    for (size_t i = 0; i < cache->beginnings_count; i++) {
        const hearth__key_part other = {.data = cache->beginnings[i].data,
                                        .size = cache->beginnings[i].size};
        if (begins(&part, &other) || begins(&other, &part)) {
            return;
        }
    }
    cache->beginnings[cache->beginnings_count++] =
        (hearth__beginning){.data = part.data, .size = part.size};
    all->size += part.size;
}

static hearth__key_part prefix_of(const hearth *cache) {
    return (hearth__key_part){.data = (const unsigned char *)cache->config.remote_prefix,
                              .size = cache->prefix_size};
}

static void add(hearth *cache, const hearth__key_part *part) {
    hearth__key_part prefix = prefix_of(cache);
    add_both(cache, &prefix, part);
}

static void add_beside(hearth *cache, const char *before) {
    hearth__key_part prefix = prefix_of(cache);
    const hearth__key_part part = {.data = (const unsigned char *)before,
                                   .size = strlen(before)};
    add_both(cache, &part, &prefix);
}

/* What is tried out is told of too: it may be anyway. */
static void add_canaries(hearth *cache) {
    const hearth__key_part nothing = {.data = (const unsigned char *)"", .size = 0};
    const hearth__key_part canary = {.data = (const unsigned char *)cache->tracker.canary,
                                     .size = strlen(cache->tracker.canary)};
    if (cache->config.coherence_canary_ms != 0) {
        add_both(cache, &canary, &nothing);
    }
}

int32_t hearth__broadcast_open(hearth *cache) {
    static const unsigned char mark[] = {HEARTH__KEY_MARK};
    const char *list = cache->config.coherence_prefixes;
    hearth__key_part part = {.data = mark, .size = *list != '\0' ? sizeof mark : 0};
    if (cache->config.coherence_tracking != HEARTH__COHERENCE_BROADCAST) {
        return HEARTH_OK;
    }
    size_t count = count_of(list);
    cache->beginnings = hearth__alloc_zero(count + 1, sizeof *cache->beginnings);
    if (cache->beginnings == NULL ||
        !hearth__buffer_reserve(&cache->broadcast, count * (cache->prefix_size + BESIDE_SIZE) +
                                                       strlen(list) + HEARTH__CANARY_SIZE)) {
        return HEARTH_E_NOMEM;
    }
    add(cache, &part); /* with a list: what is of namespaces; else: all */
    const char *at = *list != '\0' ? list : NULL;
    while (next_of(&at, &part)) {
        add(cache, &part);
    }
    for (size_t i = 0; i < BESIDE; i++) {
        add_beside(cache, beside[i]);
    }
    add_canaries(cache);
    cache->tracker.source = source;
    cache->tracker.covers = covers;
    return HEARTH_OK;
}

void hearth__broadcast_close(hearth *cache) {
    hearth__free(cache->beginnings);
    hearth__buffer_fini(&cache->broadcast);
}
