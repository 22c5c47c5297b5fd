/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's filter in a file, so that a process which starts need not ask for all keys. */
#include "base/memory.h"
#include "tier/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = HEARTH__BLOOM_IMAGE_PIECE * HEARTH__BLOOM_BLOCK };

/* ---- bytes ------------------------------------------------------------------------------ */

static bool write_all(int file, const unsigned char *bytes, size_t size) {
    while (size != 0) {
        ssize_t written = write(file, bytes, size);
        if (written < 0 && errno == EINTR) { /* a signal of the application's */
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

static bool read_all(int file, unsigned char *bytes, size_t size) {
    while (size != 0) {
        ssize_t got = read(file, bytes, size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

/* How many blocks a piece has that begins with `first`. */
static size_t piece_at(uint64_t first, uint64_t blocks) {
    uint64_t left = blocks - first;
    return left < HEARTH__BLOOM_IMAGE_PIECE ? (size_t)left : HEARTH__BLOOM_IMAGE_PIECE;
}

/* ---- save ------------------------------------------------------------------------------- */

/* The header comes last: it has the sum. */
static bool write_image(int file, const hearth__bloom *filter, hearth__bloom_image *image,
                        unsigned char *piece) {
    unsigned char header[HEARTH__BLOOM_IMAGE_HEADER] = {0};
    bool whole = write_all(file, header, sizeof header);
    for (uint64_t at = 0; whole && at < image->blocks; at += HEARTH__BLOOM_IMAGE_PIECE) {
        size_t count = piece_at(at, image->blocks);
        hearth__bloom_copy_out(filter, (uint32_t)at, count, piece);
        image->sum = hearth__bloom_image_sum(image->sum, piece, count * HEARTH__BLOOM_BLOCK);
        whole = write_all(file, piece, count * HEARTH__BLOOM_BLOCK);
    }
    hearth__bloom_image_compose(image, header);
    return whole && lseek(file, 0, SEEK_SET) == 0 && write_all(file, header, sizeof header) &&
           fsync(file) == 0;
}

/* Beside the file, so that the old one stays until the new one is whole. */
static bool replace(const char *path, char *beside, const hearth__bloom *filter,
                    hearth__bloom_image *image, unsigned char *piece) {
    int file = mkostemp(beside, O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    bool whole = write_image(file, filter, image, piece);
    whole = close(file) == 0 && whole && rename(beside, path) == 0;
    if (!whole) {
        (void)unlink(beside);
    }
    return whole;
}

static int32_t save(const hearth *cache, const char *path, const hearth__bloom *filter) {
    static const char ending[] = ".XXXXXX";
    size_t length = strlen(path);
    char *beside = hearth__alloc(length + sizeof ending);
    unsigned char *piece = hearth__alloc(PIECE);
    int32_t status = HEARTH_E_NOMEM;
    if (beside != NULL && piece != NULL) {
        memcpy(beside, path, length);
        memcpy(beside + length, ending, sizeof ending);
        hearth__bloom_image image = {.seed = cache->guard.seed,
                                     .generation =
                                         hearth__bloom_guard_generation(cache->guard.filter),
                                     .blocks = hearth__bloom_blocks(filter)};
        status = replace(path, beside, filter, &image, piece)
                     ? HEARTH_OK
                     : hearth__guard_refuse(cache, HEARTH_E_UNAVAILABLE,
                                            "its file cannot be written; an older one is still "
                                            "there as it was");
    }
    hearth__free(piece);
    hearth__free(beside);
    return status;
}

int32_t hearth__guard_save(hearth *handle, const char *path) {
    hearth *cache = handle->whole;
    const hearth__bloom *filter = NULL;
    if (cache->guard.filter == NULL) {
        return hearth__guard_off(cache);
    }
    int32_t status = hearth__bloom_guard_hold(cache->guard.filter, &filter);
    if (status == HEARTH_CONFLICT) {
        return hearth__guard_refuse(cache, status,
                                    "it is not certified, so it is not saved; call "
                                    "hearth_guard_rebuild() first");
    }
    if (status != HEARTH_OK) {
        return hearth__guard_fail(cache, status);
    }
    status = save(cache, path, filter);
    hearth__bloom_guard_release(cache->guard.filter);
    return status;
}

/* ---- load ------------------------------------------------------------------------------- */

static int32_t refuse_image(const hearth *cache, enum hearth__bloom_image_fault fault) {
    static const char *const why[] = {
        [HEARTH__BLOOM_IMAGE_FOREIGN] = "the file is none of hearth_guard_save()",
        [HEARTH__BLOOM_IMAGE_NEWER] = "the file is of a newer version of Hearth",
        [HEARTH__BLOOM_IMAGE_DAMAGED] = "the file is damaged: its header's checksum is wrong",
    };
    return hearth__guard_refuse(cache, HEARTH_E_PROTOCOL, why[fault]);
}

/* Whether the file is what this cache can use. HEARTH_OK, or refused. */
static int32_t check_image(const hearth *cache, int file, const hearth__bloom_image *image) {
    struct stat status;
    if (image->seed != cache->guard.seed) {
        return hearth__guard_refuse(cache, HEARTH_CONFLICT,
                                    "the file has another seed: it was saved with another "
                                    "guard.seed or remote.prefix");
    }
    if (image->blocks > UINT32_MAX || fstat(file, &status) != 0 ||
        (uint64_t)status.st_size !=
            HEARTH__BLOOM_IMAGE_HEADER + image->blocks * HEARTH__BLOOM_BLOCK) {
        return hearth__guard_refuse(cache, HEARTH_E_PROTOCOL,
                                    "the file is truncated, or has more than it should");
    }
    if (image->generation < hearth__bloom_guard_generation(cache->guard.filter)) {
        return hearth__guard_refuse(cache, HEARTH_CONFLICT,
                                    "the file is older than the filter that is there");
    }
    if (hearth__bloom_guard_is_disabled(cache->guard.filter)) {
        return hearth__guard_refuse(cache, HEARTH_CONFLICT,
                                    "a key existed that it denied: after that only "
                                    "hearth_guard_rebuild() is trusted, no file");
    }
    return HEARTH_OK;
}

/* False: the file ends too soon, or its sum is wrong. */
static bool read_blocks(int file, hearth__bloom *into, const hearth__bloom_image *image,
                        unsigned char *piece) {
    uint64_t sum = 0;
    for (uint64_t at = 0; at < image->blocks; at += HEARTH__BLOOM_IMAGE_PIECE) {
        size_t count = piece_at(at, image->blocks);
        if (!read_all(file, piece, count * HEARTH__BLOOM_BLOCK)) {
            return false;
        }
        sum = hearth__bloom_image_sum(sum, piece, count * HEARTH__BLOOM_BLOCK);
        hearth__bloom_merge_in(into, (uint32_t)at, count, piece);
    }
    return sum == image->sum;
}

static int32_t load_blocks(hearth *cache, int file, const hearth__bloom_image *image) {
    hearth__bloom_guard *guard = cache->guard.filter;
    unsigned char *piece = hearth__alloc(PIECE);
    int32_t status =
        piece != NULL ? hearth__bloom_guard_begin_copy(guard, image->blocks) : HEARTH_E_NOMEM;
    if (status != HEARTH_OK) {
        hearth__free(piece);
        return hearth__guard_fail(cache, status);
    }
    if (read_blocks(file, hearth__bloom_guard_next(guard), image, piece)) {
        hearth__guard_publish(cache, image->generation);
    } else {
        hearth__bloom_guard_abandon(guard);
        status = hearth__guard_refuse(cache, HEARTH_E_PROTOCOL,
                                      "the file is damaged: its checksum is wrong");
    }
    hearth__free(piece);
    return status;
}

static int32_t load(hearth *cache, int file) {
    unsigned char header[HEARTH__BLOOM_IMAGE_HEADER];
    hearth__bloom_image image;
    if (!read_all(file, header, sizeof header)) {
        return refuse_image(cache, HEARTH__BLOOM_IMAGE_FOREIGN);
    }
    enum hearth__bloom_image_fault fault = hearth__bloom_image_parse(header, &image);
    if (fault != HEARTH__BLOOM_IMAGE_GOOD) {
        return refuse_image(cache, fault);
    }
    int32_t status = check_image(cache, file, &image);
    return status == HEARTH_OK ? load_blocks(cache, file, &image) : status;
}

int32_t hearth__guard_load(hearth *handle, const char *path) {
    hearth *cache = handle->whole;
    if (cache->guard.filter == NULL) {
        return hearth__guard_off(cache);
    }
    if (hearth__shared_is_on(cache)) {
        return hearth__guard_refuse(cache, HEARTH_E_UNSUPPORTED,
                                    "with guard.shared the filter comes from the remote tier, "
                                    "not from a file");
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return hearth__guard_refuse(cache, HEARTH_E_UNAVAILABLE, "its file cannot be read");
    }
    int32_t status = load(cache, file);
    (void)close(file);
    return status;
}
