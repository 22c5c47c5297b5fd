/* SPDX-License-Identifier: Apache-2.0 */
/* What every public call checks at the door. */
#ifndef HEARTH_API_CHECK_H
#define HEARTH_API_CHECK_H

#include "tier/tier.h"

/* Whether a key has 1 to HEARTH_KEY_MAX bytes. */
static inline bool hearth__check_key(const void *key, size_t key_size) {
    return key != NULL && key_size - 1 < HEARTH_KEY_MAX;
}

/* Whether it can be a namespace's name: what every node takes as part of a key. */
bool hearth__check_name(const void *name, size_t size);

/* Whether it can be a tag. */
bool hearth__check_tag(const void *tag, size_t size);

/* Whether a value is there: NULL only with size 0. */
bool hearth__check_data(const void *data, size_t size);

/*
 * Complete read options from what the caller gave (NULL: the defaults; a struct of another version's size: its prefix, laid
 * over the defaults in `scratch`). NULL: a flag or time is not valid, or the struct holds something that this version does
 * not know.
 */
const hearth_read_options *hearth__check_read(const hearth_read_options *given,
                                              hearth_read_options *scratch);

/* The same, with HEARTH_READ_RELOAD or HEARTH_READ_NO_LOAD allowed. */
const hearth_read_options *hearth__check_fetch(const hearth_read_options *given,
                                               hearth_read_options *scratch);

/* The same, with HEARTH_READ_NO_WAIT and HEARTH_READ_RELOAD allowed. */
const hearth_read_options *hearth__check_begin(const hearth_read_options *given,
                                               hearth_read_options *scratch);

/* The same for a write, false for NULL; `allowed` are the flags that this call takes. Tags are for those that may keep no local copy of what
 * they write. */
bool hearth__check_write(const hearth *cache, const hearth_write_options *given,
                         uint32_t allowed, hearth_write_options *complete);

/* Whether both are a time to live or HEARTH_TTL_DEFAULT. Whether they fit together is the cache's to say. */
bool hearth__check_lives(int64_t ttl_ms, int64_t soft_ttl_ms);

/* The flags of writes, and those of a set, which may be for the local tier alone. */
#define HEARTH__WRITE_FLAGS (HEARTH_WRITE_NO_LOCAL | HEARTH_WRITE_INTEGER)
#define HEARTH__SET_FLAGS   (HEARTH__WRITE_FLAGS | HEARTH_WRITE_NO_REMOTE)

/* Whether options of a write fit together: numbers live in the remote tier only, and something has to be written. */
bool hearth__check_together(const hearth_write_options *options);

/* Lays a caller's struct of any version, which begins with its size, over the defaults. False: it holds something that this version
 * does not know. */
bool hearth__check_take(void *complete, size_t own_size, const void *given);

/* Copies what fits of a struct that the library fills, whose first field is its size. False: no room for that field. */
bool hearth__check_give(void *to, const void *from, size_t from_size);

#endif
