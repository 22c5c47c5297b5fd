/* SPDX-License-Identifier: Apache-2.0 */
#include "hot_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hot_ask(struct hot *hot, hearth *cache, size_t most) {
    *hot = (struct hot){.keys = calloc(most, sizeof *hot->keys)};
    if (hot->keys == NULL) {
        (void)fprintf(stderr, "no memory for %zu hot keys\n", most);
        return;
    }
    hot->keys[0].size = sizeof *hot->keys;
    int32_t status = hearth_hot_keys(cache, hot->keys, most, &hot->count);
    if (status != HEARTH_OK) {
        (void)fprintf(stderr, "hot keys: %s\n", hearth_status_name(status));
    }
}

void hot_free(struct hot *hot) {
    free(hot->keys);
    *hot = (struct hot){0};
}

size_t hot_place(const struct hot *hot, const char *key) {
    for (size_t i = 0; i < hot->count; i++) {
        if (hot->keys[i].key_size == strlen(key) &&
            memcmp(hot->keys[i].key, key, strlen(key)) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

uint64_t hot_rate(const struct hot *hot, const char *key) {
    size_t place = hot_place(hot, key);
    return place != SIZE_MAX ? hot->keys[place].requests_per_s : 0;
}
