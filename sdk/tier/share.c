/* SPDX-License-Identifier: Apache-2.0 */
#include "tier/share.h"

#include "base/seats.h"
#include "tier/rate.h"

#include <hearth/errors.h>
#include <hearth/hearth.h>

#include <stdio.h>
#include <string.h>

enum { RATE_BYTES = 24, BILLION = 1000000000 };

/* A piece of the list: NAME=RATE. False: it is none. */
static bool parse(const char *piece, size_t size, hearth__share *share) {
    char rate[RATE_BYTES];
    const char *equals = memrchr(piece, '=', size);
    size_t rate_size = equals != NULL ? size - (size_t)(equals + 1 - piece) : 0;
    if (equals == NULL || equals == piece || equals - piece > HEARTH_NAMESPACE_MAX ||
        rate_size >= sizeof rate) {
        return false;
    }
    memcpy(rate, equals + 1, rate_size);
    rate[rate_size] = '\0';
    *share = (hearth__share){.name = piece, .name_size = (size_t)(equals - piece)};
    for (size_t i = 0; i < share->name_size; i++) {
        if ((unsigned char)piece[i] <= ' ' || piece[i] == 0x7F) {
            return false;
        }
    }
    return hearth__rate_parse(rate, &share->billionths) && share->billionths <= BILLION;
}

static size_t size_of(const char *piece) {
    return strcspn(piece, ",");
}

/* The piece behind it; NULL: there is none. */
static const char *behind(const char *piece) {
    piece += size_of(piece);
    return *piece == ',' ? piece + 1 : NULL;
}

static bool is_twice(const hearth__share *share, const char *rest) {
    hearth__share other;
    bool twice = false;
    for (; !twice && rest != NULL; rest = behind(rest)) {
        twice = parse(rest, size_of(rest), &other) && other.name_size == share->name_size &&
                memcmp(other.name, share->name, share->name_size) == 0;
    }
    return twice;
}

int32_t hearth__share_check(const hearth__config *config, char *why, size_t why_size) {
    const char *at = config->local_share[0] != '\0' ? config->local_share : NULL;
    hearth__share share;
    size_t count = 0;
    for (; at != NULL; at = behind(at)) {
        if (!parse(at, size_of(at), &share)) {
            (void)snprintf(why, why_size,
                           "local.share: '%.*s' is not a namespace and its share, 0 to 1: "
                           "name=0.25, with commas between them",
                           (int)size_of(at), at);
            return HEARTH_E_INVALID;
        }
        if (is_twice(&share, behind(at))) {
            (void)snprintf(why, why_size, "local.share: '%.*s' is there twice",
                           (int)share.name_size, share.name);
            return HEARTH_E_INVALID;
        }
        if (++count >= HEARTH__FAMILIES) {
            (void)snprintf(why, why_size,
                           "local.share: '%.*s' is one too many, there are at most %d",
                           (int)share.name_size, share.name, HEARTH__FAMILIES - 1);
            return HEARTH_E_INVALID;
        }
    }
    return HEARTH_OK;
}

bool hearth__share_next(const char **at, hearth__share *share) {
    const char *piece = *at;
    if (piece == NULL || piece[0] == '\0') {
        return false;
    }
    *at = behind(piece);
    return parse(piece, size_of(piece), share);
}
