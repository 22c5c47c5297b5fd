/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of `remote.url`: what it takes has nodes with hosts, and what it refuses has a sentence that
 * does not repeat the password. */
#include "fuzz/fuzz.h"

#include "base/memory.h"
#include "remote/remote.h"

#include <hearth/errors.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 1000, WHY_SIZE = 256, SECRET_MIN = 8 };

/* What stands between the last ':' before an '@' and that '@' may be a password. */
static void check_secret(const char *text, const char *why) {
    const char *at = strrchr(text, '@');
    if (at == NULL) {
        return;
    }
    const char *begin = at;
    while (begin > text && begin[-1] != ':' && begin[-1] != '/') {
        begin--;
    }
    size_t size = (size_t)(at - begin);
    bool is_word = strcspn(begin, "0123456789") >= size; /* which a sentence may have too */
    if (size >= SECRET_MIN && !is_word && memmem(why, strlen(why), begin, size) != NULL) {
        abort();
    }
}

static void check_nodes(const hearth__remote_url *url) {
    if (url->count == 0 || url->count > NODES_MAX) {
        abort();
    }
    for (size_t i = 0; i < url->count; i++) {
        if (url->nodes[i].host == NULL || url->nodes[i].host[0] == '\0') {
            abort();
        }
    }
}

int fuzz_remote_url(const uint8_t *data, size_t size) {
    char *text = hearth__alloc(size + 1);
    if (text == NULL) {
        abort();
    }
    memcpy(text, data, size);
    text[size] = '\0';
    hearth__remote_url url;
    char why[WHY_SIZE] = "";
    int32_t status = hearth__remote_url_parse(text, &url, why, sizeof why);
    if (status == HEARTH_OK) {
        check_nodes(&url);
        hearth__remote_url_fini(&url);
    } else if (strlen(why) == 0 ||
               (status != HEARTH_E_INVALID && status != HEARTH_E_UNSUPPORTED)) {
        abort();
    } else {
        check_secret(text, why);
    }
    hearth__free(text);
    return 0;
}
