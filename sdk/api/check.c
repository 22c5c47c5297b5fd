/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

#include <string.h>

bool hearth__check_data(const void *data, size_t size) {
    return data != NULL || size == 0;
}

bool hearth__check_take(void *complete, size_t own_size, const void *given) {
    size_t size = 0;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > 4096) {
        return false;
    }
    const unsigned char *bytes = given;
    for (size_t i = own_size; i < size; i++) {
        if (bytes[i] != 0) {
            return false; /* a wish of a later version */
        }
    }
    memcpy(complete, given, size < own_size ? size : own_size);
    return true;
}

bool hearth__check_name(const void *name, size_t size) {
    const unsigned char *bytes = name;
    bool fits = name != NULL && size != 0 && size <= HEARTH_NAMESPACE_MAX;
    for (size_t i = 0; fits && i < size; i++) {
        fits = bytes[i] > ' ' && bytes[i] != 0x7f;
    }
    return fits;
}

bool hearth__check_tag(const void *tag, size_t size) {
    return tag != NULL && size != 0 && size <= HEARTH_TAG_SIZE_MAX;
}

static bool tags_fit(const hearth_write_options *write, uint32_t allowed) {
    const uint32_t others = HEARTH_WRITE_INTEGER | HEARTH_WRITE_NO_REMOTE;
    size_t bytes = 0;
    if (write->tag_count == 0) {
        return true;
    }
    if (write->tag_count > HEARTH_TAGS_MAX || write->tags == NULL || write->tag_sizes == NULL ||
        (allowed & HEARTH_WRITE_NO_LOCAL) == 0 || (write->flags & others) != 0) {
        return false;
    }
    for (size_t i = 0; i < write->tag_count; i++) {
        bytes += 1 + write->tag_sizes[i];
        if (!hearth__check_tag(write->tags[i], write->tag_sizes[i])) {
            return false;
        }
    }
    return bytes <= 1024;
}

static bool time_fits(int64_t ms) {
    return ms >= 0 && ms <= HEARTH_TTL_MAX;
}

bool hearth__check_lives(int64_t ttl_ms, int64_t soft_ttl_ms) {
    return (ttl_ms == HEARTH_TTL_DEFAULT || time_fits(ttl_ms)) &&
           (soft_ttl_ms == HEARTH_TTL_DEFAULT || time_fits(soft_ttl_ms));
}

static const hearth_read_options *check_read(const hearth_read_options *given, uint32_t known,
                                             hearth_read_options *scratch) {
    static const hearth_read_options defaults = {.size = sizeof defaults,
                                                 .max_stale_ms = HEARTH_STALE_ANY};
    if (given == NULL) {
        return &defaults;
    }
    if (given->size != sizeof *given) {
        *scratch = defaults;
        if (!hearth__check_take(scratch, sizeof *scratch, given)) {
            return NULL;
        }
        given = scratch;
    }
    bool valid = (given->flags & ~known) == 0 && given->reserved == 0 &&
                 time_fits(given->deadline_ms) && given->max_stale_ms >= 0;
    return valid ? given : NULL;
}

enum { READ_FLAGS = HEARTH_READ_NO_LOCAL | HEARTH_READ_NO_REMOTE | HEARTH_READ_ALLOW_STALE };

const hearth_read_options *hearth__check_read(const hearth_read_options *given,
                                              hearth_read_options *scratch) {
    return check_read(given, READ_FLAGS, scratch);
}

const hearth_read_options *hearth__check_fetch(const hearth_read_options *given,
                                               hearth_read_options *scratch) {
    enum { BOTH = HEARTH_READ_RELOAD | HEARTH_READ_NO_LOAD };
    const hearth_read_options *options = check_read(given, READ_FLAGS | BOTH, scratch);
    return options == NULL || (options->flags & BOTH) == BOTH ? NULL : options;
}

const hearth_read_options *hearth__check_begin(const hearth_read_options *given,
                                               hearth_read_options *scratch) {
    return check_read(given, READ_FLAGS | HEARTH_READ_NO_WAIT | HEARTH_READ_RELOAD, scratch);
}

bool hearth__check_write(const hearth *cache, const hearth_write_options *given,
                         uint32_t allowed, hearth_write_options *complete) {
    if (given != NULL && given->size == sizeof *given) {
        *complete = *given;
    } else {
        hearth_write_options_init(complete, sizeof *complete);
        if (given != NULL && !hearth__check_take(complete, sizeof *complete, given)) {
            return false;
        }
    }
    bool times_fit = time_fits(complete->deadline_ms) &&
                     hearth__check_lives(complete->ttl_ms, complete->soft_ttl_ms);
    return times_fit && tags_fit(complete, allowed) && (complete->flags & ~allowed) == 0 &&
           hearth__lives_fit(cache, complete->ttl_ms, complete->soft_ttl_ms);
}

bool hearth__check_together(const hearth_write_options *options) {
    uint32_t other = HEARTH_WRITE_NO_LOCAL | HEARTH_WRITE_INTEGER;
    return (options->flags & HEARTH_WRITE_NO_REMOTE) == 0 ||
           ((options->flags & other) == 0 && options->if_version == 0);
}

bool hearth__check_give(void *to, const void *from, size_t from_size) {
    size_t size = 0;
    memcpy(&size, to, sizeof size);
    if (size < sizeof size) {
        return false;
    }
    memcpy(to, from, size < from_size ? size : from_size);
    memcpy(to, &size, sizeof size);
    return true;
}
